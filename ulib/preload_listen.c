/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * preload_listen.c - listen and accept
 *
 * Theory of operation. Each accept is a request of its own, so that processes
 * that share a listener take turns, and connections stay in the backend's
 * backlog until somebody wants them. The accepted stream gets a placeholder
 * like any other; it is made first, so that a full table of descriptors loses
 * no connection. Readiness of a listener is asked for with POLL. When the
 * backend dies, whoever accepts learns of it by ECONNABORTED, which servers take
 * for a passing error. That is said once; then the listener is *lost*, and
 * accept, poll and epoll_wait listen again at the backend's successor as soon as
 * there is one, so that a server outlives a worker. Until then nothing is
 * ready, and they try at intervals that grow to a second.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "preload.h"

static int vt_listen(struct vsock *s, int fd, int backlog)
{
	int q_length = backlog < 0 ? 4096 : backlog;
	bool fresh = s->state == VT_NEW;
	struct vt_req *open = NULL, *r;
	struct vtoe_sqe *q;
	struct vtoe_cqe c;
	int rc;

	if (fresh) {
		rc = vt_decide(s, fd, NULL, NULL, 0);
		if (rc <= 0)
			return rc ? rc : 1;
		open = vt_open_begin(s);
	} else if (s->state != VT_BOUND && s->state != VT_LISTENING) {
		return -EINVAL;
	}
	r = vt_req_get(s, NULL);
	q = vt_sqe(r, VTOE_OP_LISTEN, fresh ? VTOE_STREAM_LAST : s->stream);
	q->length = q_length;
	rc = fresh ? vt_open_finish(s, open) : 0;
	if (rc) {
		vt_req_result(r, NULL);
		vt_to_kernel(s, fd, vt_open_fallback(rc), NULL, NULL, 0);
		return 1;
	}
	if (fresh)
		s->state = VT_BOUND;
	rc = vt_req_result(r, &c);
	if (rc < 0)
		return rc;
	if (c.u.address.family) {
		s->local = c.u.address;
		s->has_local = true;
	}
	s->queue = q_length;
	if (s->state != VT_LISTENING) {
		struct sockaddr_storage at;
		socklen_t len = vtoe_address_to(&s->local,
						(struct sockaddr *)&at,
						sizeof(at));

		vt_explain_offload(fd, "listen", (struct sockaddr *)&at, len);
	}
	s->state = VT_LISTENING;
	vt_notify(s);
	return 0;
}

VT_EXPORT int listen(int fd, int backlog)
{
	struct vsock *s = vt_enter(fd);
	int rc;

	if (!s)
		return REAL(listen)(fd, backlog);
	rc = vt_listen(s, fd, backlog);
	if (rc == 1)
		rc = REAL(listen)(fd, backlog);
	else if (rc < 0)
		rc = vt_fail(-rc);
	vt_leave(s);
	return rc;
}

#define VT_RETRY_MIN 20000000ll /* ns */
#define VT_RETRY_MAX 1000000000ll

/*
 * The backend died and another came: listens there again, at the same address.
 * Processes that share the listener all do, side by side.
 */
static int vt_listen_there(struct vsock *s)
{
	struct vt_option again = { SOL_SOCKET, SO_REUSEADDR, sizeof(int),
				   { 1 } };
	struct vt_option together = { SOL_SOCKET, SO_REUSEPORT, sizeof(int),
				      { 1 } };
	struct vt_req *open, *bind, *listen;
	bool opened;
	int rc;

	if (!s->has_local || vt_backend())
		return -ECONNRESET;
	open = vt_open_begin(s);
	/* connections of before may still be ending at this address */
	vt_option_submit(s, VTOE_STREAM_LAST, &again, vt_req_ignore);
	if (s->shared)
		vt_option_submit(s, VTOE_STREAM_LAST, &together,
				 vt_req_ignore);
	bind = vt_req_get(s, NULL);
	vt_sqe(bind, VTOE_OP_BIND, VTOE_STREAM_LAST)->u.address = s->local;
	listen = vt_req_get(s, NULL);
	vt_sqe(listen, VTOE_OP_LISTEN, VTOE_STREAM_LAST)->length = s->queue;
	rc = vt_open_finish(s, open);
	opened = !rc;
	if (vt_req_result(bind, NULL) < 0)
		rc = -ECONNRESET;
	if (vt_req_result(listen, NULL) < 0)
		rc = -ECONNRESET;
	if (rc < 0) {
		/* `dead` again: then the stream went with its backend */
		if (opened && !s->dead)
			vt_sqe(vt_req_get(NULL, vt_req_ignore),
			       VTOE_OP_CLOSE, s->stream)->op_flags =
				VTOE_CLOSE_ABORT;
		s->dead = s->reset = true;
		return -ECONNRESET;
	}
	s->err = 0;
	s->poll_bits = 0;
	return 0;
}

/* Makes a lost listener again, if it is time to try. The lock is given up
 * meanwhile: a socket that nobody holds may be gone afterwards. */
void vt_listen_again(struct vsock *s)
{
	if (!s->lost || s->state != VT_LISTENING || vt_now() < s->retry)
		return;
	s->retry_step *= 2;
	if (s->retry_step > VT_RETRY_MAX)
		s->retry_step = VT_RETRY_MAX;
	s->retry = vt_now() + s->retry_step;
	vt_hold(&s->o);
	if (!vt_listen_there(s)) {
		s->lost = s->poll_busy = false;
		vt.lost--;
		vt_arm_poll(s);
		vt_notify(s);
	}
	vt_drop(&s->o);
}

/* When the next lost listener is to be tried. */
int64_t vt_listen_retry(void)
{
	int64_t retry = VT_NEVER;
	struct vsock *s;

	for (s = vt.socks; s; s = s->next)
		if (s->lost && s->retry < retry)
			retry = s->retry;
	return retry;
}

/* accept on a listener whose backend died: 0 when it listens again. */
static int vt_accept_dead(struct vsock *s, bool wait)
{
	int64_t deadline = vt_deadline(s->rcv_timeout);
	int rc = 0;

	if (!s->lost) {
		s->lost = true;
		s->retry = 0;
		s->retry_step = VT_RETRY_MIN / 2;
		s->err = 0;
		vt.lost++;
		return -ECONNABORTED;
	}
	for (;;) {
		vt_listen_again(s);
		if (!s->lost)
			return 0;
		if (!wait || rc == -ETIME)
			return -EAGAIN;
		if (rc == -EINTR && !vt_restart(s->rcv_timeout))
			return -EINTR;
		rc = vt_sleep(s, deadline, NULL, 0, NULL);
	}
}

/* One ACCEPT; -> 0 with the completion, or a negated errno. */
static int vt_accept_once(struct vsock *s, bool wait, struct vtoe_cqe *c)
{
	int64_t deadline = vt_deadline(s->rcv_timeout);
	struct vtoe_sqe *q;
	struct vt_req *r;
	int rc;

	for (;;) {
		if (s->dead || s->lost) {
			rc = vt_accept_dead(s, wait);
			if (rc)
				return rc;
		}
		if (s->shut_rd)
			return -EINVAL;
		r = vt_req_get(s, NULL);
		q = vt_sqe(r, VTOE_OP_ACCEPT, s->stream);
		q->op_flags = wait ? 0 : VTOE_IO_NONBLOCK;
		rc = vt_req_wait(r, wait ? deadline : VT_NEVER);
		if (!rc) {
			rc = vt_req_result(r, c);
			return s->dead ? vt_accept_dead(s, wait) : rc;
		}
		if (vt_req_cancel(r, c) >= 0)
			return 0; /* it came after all */
		if (rc == -ETIME)
			return -EAGAIN;
		if (wait && !vt_restart(s->rcv_timeout))
			return -EINTR;
	}
}

static void vt_accepted(struct vsock *from, int fd, const struct vtoe_cqe *c,
			int flags)
{
	struct vsock *s = vsock_new(fd, from->family, flags & SOCK_NONBLOCK);

	if (!s)
		return;
	s->state = VT_CONNECTED;
	s->stream = c->stream;
	s->peer = c->u.address;
	s->has_peer = true;
	vt_inherit(from, s, fd);
	vt.offloaded++;
	if (vt_table_set(fd, &s->o))
		vsock_last_close(s);
}

static int vt_accept(struct vsock *s, int listener, struct sockaddr *peer,
		     socklen_t *len, int flags)
{
	bool wait = !s->nonblock;
	struct vtoe_cqe c;
	int fd, rc;

	if (s->state != VT_LISTENING)
		return -EINVAL;
	if (peer && !len)
		return -EFAULT;
	if (s->shared && wait)
		wait = !(REAL(fcntl)(listener, F_GETFL) & O_NONBLOCK);
	/* A POLL under way means that nobody has come. */
	vt_reap();
	if (!wait && s->poll_busy && !s->dead)
		return -EAGAIN;
	fd = REAL(socket)(s->family, SOCK_STREAM | flags, 0);
	if (fd < 0)
		return -errno;
	rc = vt_accept_once(s, wait, &c);
	if (!s->dead)
		s->poll_bits = 0;
	if (s->items)
		vt_interest(s);
	if (rc < 0) {
		REAL(close)(fd);
		return rc;
	}
	vt_accepted(s, fd, &c, flags);
	if (peer) {
		struct sockaddr_storage at;
		socklen_t full = vtoe_address_to(&c.u.address,
						 (struct sockaddr *)&at,
						 sizeof(at));

		memcpy(peer, &at, full < *len ? full : *len);
		*len = full;
	}
	return fd;
}

VT_EXPORT int accept4(int fd, struct sockaddr *peer, socklen_t *len,
		      int flags)
{
	struct vsock *s = vt_enter(fd);
	int rc;

	if (!s)
		return REAL(accept4)(fd, peer, len, flags);
	if (s->state == VT_NEW || (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)))
		rc = -EINVAL;
	else
		rc = vt_accept(s, fd, peer, len, flags);
	vt_leave(s);
	return rc < 0 ? vt_fail(-rc) : rc;
}

VT_EXPORT int accept(int fd, struct sockaddr *peer, socklen_t *len)
{
	if (!vt_peek(fd))
		return REAL(accept)(fd, peer, len);
	return accept4(fd, peer, len, 0);
}
