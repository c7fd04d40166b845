/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * preload_socket.c - socket, bind, connect: where a socket goes
 *
 * Theory of operation. socket() makes a kernel socket, which is the
 * placeholder of the descriptor. Where the connection lives is decided when it
 * first gets an address: a loopback address is the kernel's, everything else
 * the backend's. OPEN, the options set so far, and BIND, CONNECT or LISTEN go
 * as one batch. When there is no backend, or it cannot take the stream, the
 * descriptor leaves the table and the placeholder is simply the socket.
 *
 * While a connection is being made, `connecting` says what the kernel's
 * SS_CONNECTING says: the next connect() reports how it ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "preload.h"

static bool vt_is_loopback(const struct vtoe_address *a)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	static const unsigned char one[16] = { [15] = 1 };

	if (a->family == VTOE_AF_INET)
		return a->ip[0] == 127;
	if (!memcmp(a->ip, mapped, sizeof(mapped)))
		return a->ip[12] == 127;
	return !memcmp(a->ip, one, sizeof(one));
}

/* Connecting to the wildcard address is connecting to oneself. */
static void vt_no_wildcard(struct vtoe_address *a)
{
	static const unsigned char none[16];
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (a->family == VTOE_AF_INET) {
		if (!memcmp(a->ip, none, 4))
			a->ip[0] = 127, a->ip[3] = 1;
	} else if (!memcmp(a->ip, none, 16)) {
		a->ip[15] = 1;
	} else if (!memcmp(a->ip, mapped, 12) && !memcmp(a->ip + 12, none, 4)) {
		a->ip[12] = 127, a->ip[15] = 1;
	}
}

/* -- where it goes ------------------------------------------------------------- */

/* Reports wait for the backend: it is not opened to tell it only that nothing
 * is asked of it. The last ones are kept. */
#define VT_REPORTS 16

static struct {
	struct {
		unsigned why;
		struct vtoe_address to;
	} list[VT_REPORTS];
	unsigned count;
} waiting;

static void vt_report_send(unsigned why, const struct vtoe_address *to)
{
	struct vtoe_sqe *q;

	q = vt_sqe(vt_req_get(NULL, vt_req_ignore), VTOE_OP_REPORT,
		   VTOE_STREAM_NONE);
	q->op_flags = why;
	q->u.address = *to;
}

static void vt_report(unsigned why, const struct vtoe_address *a)
{
	struct vtoe_address none = { .family = VTOE_AF_UNSPEC };
	unsigned at = waiting.count % VT_REPORTS;

	if (!a)
		a = &none;
	if (vt.lane) {
		vt_report_send(why, a);
		return;
	}
	waiting.list[at].why = why;
	waiting.list[at].to = *a;
	waiting.count++;
}

void vt_reports_send(void)
{
	unsigned n = waiting.count;
	unsigned i = n > VT_REPORTS ? n - VT_REPORTS : 0;

	waiting.count = 0;
	for (; i < n; i++)
		vt_report_send(waiting.list[i % VT_REPORTS].why,
			       &waiting.list[i % VT_REPORTS].to);
}

void vt_reports_forget(void)
{
	waiting.count = 0;
}

/* The socket is the kernel's from now on: forget all its descriptors. */
void vt_kernel_decided(struct vsock *s, int fd)
{
	int at;

	vt.fallbacks++;
	vt_items_to_kernel(s, fd);
	for (at = vt_table_next(0); at >= 0; at = vt_table_next(at + 1))
		if (vt_peek(at) == &s->o) {
			vt_table_take(at);
			s->o.refs--;
		}
}

void vt_to_kernel(struct vsock *s, int fd, unsigned why,
		  const char *detail, const struct sockaddr *to,
			 socklen_t len)
{
	struct vtoe_address a;

	vt_explain_kernel(fd, why, detail, to, len);
	vt_report(why, to && !vtoe_address_from(&a, to, len) ? &a : NULL);
	vt_kernel_decided(s, fd);
}

/*
 * Is this socket to be the backend's? 1: yes, and the backend is there; 0: the
 * kernel's, and has been made so; or a negated errno.
 */
int vt_decide(struct vsock *s, int fd, const struct vtoe_address *a,
	      const struct sockaddr *to, socklen_t len)
{
	unsigned i;
	int rc;

	if (a && !vt.config.offload_loopback && vt_is_loopback(a)) {
		vt_to_kernel(s, fd, VTOE_FALLBACK_LOOPBACK, NULL, to, len);
		return 0;
	}
	for (i = 0; i < s->option_count; i++)
		if (vt_option_is_kernels(s->options[i].level,
					 s->options[i].name)) {
			vt_to_kernel(s, fd, VTOE_FALLBACK_OPTION, NULL, to,
				     len);
			return 0;
		}
	rc = vt_backend();
	if (!rc)
		return 1;
	vt_no_backend(rc);
	if (vt.config.require)
		return -ENETDOWN;
	vt_to_kernel(s, fd, rc == -EUSERS ? VTOE_FALLBACK_QUOTA :
					    VTOE_FALLBACK_NO_BACKEND,
		     NULL, to, len);
	return 0;
}

/*
 * OPEN and the options, as the beginning of a batch; what follows says
 * VTOE_STREAM_LAST. vt_open_finish() waits for the OPEN.
 */
struct vt_req *vt_open_begin(struct vsock *s)
{
	struct vt_req *r = vt_req_get(s, NULL);
	struct vtoe_sqe *q = vt_sqe(r, VTOE_OP_OPEN, VTOE_STREAM_NONE);

	s->dead = s->reset = s->failed = false;
	q->u.address.family = s->family == AF_INET ? VTOE_AF_INET :
						     VTOE_AF_INET6;
	vt_replay(s, VTOE_STREAM_LAST);
	return r;
}

int vt_open_finish(struct vsock *s, struct vt_req *r)
{
	struct vtoe_cqe c;
	int rc = vt_req_result(r, &c);

	if (rc >= 0) {
		s->stream = c.stream;
		vt.offloaded++;
	}
	return rc < 0 ? rc : 0;
}

unsigned vt_open_fallback(int rc)
{
	return rc == -EAFNOSUPPORT ? VTOE_FALLBACK_FAMILY :
				     VTOE_FALLBACK_QUOTA;
}

/* -- entry points ---------------------------------------------------------------- */

VT_EXPORT int socket(int family, int type, int protocol)
{
	int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
	int fd = REAL(socket)(family, type, protocol);
	struct vsock *s;

	if (fd < 0 || vt.off)
		return fd;
	if (vt_inside)
		return vt_protect(fd);
	if ((family != AF_INET && family != AF_INET6) ||
	    kind != SOCK_STREAM ||
	    (protocol != 0 && protocol != IPPROTO_TCP)) {
		vt_explain_kernel(fd, VTOE_FALLBACK_NOT_TCP, NULL, NULL, 0);
		if (family == AF_INET || family == AF_INET6) {
			vt_lock();
			vt_report(VTOE_FALLBACK_NOT_TCP, NULL);
			vt_unlock();
		}
		return fd;
	}
	vt_lock();
	s = vsock_new(fd, family, type & SOCK_NONBLOCK);
	if (s && vt_table_set(fd, &s->o))
		vsock_free(s);
	vt_unlock();
	return fd;
}

static int vt_bind_stream(struct vsock *s, int fd,
			  const struct vtoe_address *a,
			  const struct sockaddr *at, socklen_t len)
{
	struct vt_req *open, *r;
	struct vtoe_sqe *q;
	int rc;

	open = vt_open_begin(s);
	r = vt_req_get(s, NULL);
	q = vt_sqe(r, VTOE_OP_BIND, VTOE_STREAM_LAST);
	q->u.address = *a;
	rc = vt_open_finish(s, open);
	if (rc) {
		vt_req_result(r, NULL);
		vt_to_kernel(s, fd, vt_open_fallback(rc), NULL, at, len);
		return 1;
	}
	rc = vt_req_result(r, NULL);
	if (!rc) {
		s->bound = true;
		s->state = VT_BOUND;
		vt_explain_offload(fd, "bind", at, len);
		return 0;
	}
	vt.offloaded--;
	s->state = VT_BOUND;
	vt_drop_stream(s, false);
	if (rc == -EADDRNOTAVAIL && !REAL(bind)(fd, at, len)) {
		/* The kernel has that address itself. */
		vt_to_kernel(s, fd, VTOE_FALLBACK_POLICY,
			     "the address is the kernel's own", at, len);
		return 0;
	}
	return rc;
}

VT_EXPORT int bind(int fd, const struct sockaddr *at, socklen_t len)
{
	struct vsock *s = vt_enter(fd);
	struct vtoe_address a;
	int rc;

	if (!s)
		return REAL(bind)(fd, at, len);
	if (!at) {
		rc = -EFAULT;
	} else if (s->state != VT_NEW) {
		rc = -EINVAL;
	} else if (vtoe_address_from(&a, at, len) ||
		   at->sa_family != s->family) {
		rc = 1; /* the kernel knows what is wrong */
	} else {
		rc = vt_decide(s, fd, &a, at, len);
		rc = rc == 1 ? vt_bind_stream(s, fd, &a, at, len) :
		     rc == 0 ? 1 : rc;
	}
	if (rc == 1)
		rc = REAL(bind)(fd, at, len);
	else if (rc < 0)
		rc = vt_fail(-rc);
	vt_leave(s);
	return rc;
}

/* -- connect ---------------------------------------------------------------------- */

static void vt_connect_finish(struct vt_req *r, const struct vtoe_cqe *c)
{
	vt_connect_done(r->s, c->result, &c->u.address);
}

void vt_connect_done(struct vsock *s, int result,
		     const struct vtoe_address *local)
{
	if (s->state != VT_CONNECTING)
		return;
	if (result >= 0) {
		s->state = VT_CONNECTED;
		if (local && local->family) {
			s->local = *local;
			s->has_local = true;
		}
		s->has_peer = true;
		/* A reset is to be known before the next send. */
		if (s->stream)
			vt_want_data(s);
	} else {
		s->state = VT_BOUND;
		s->failed = true;
		s->err = -result;
		s->has_peer = false;
	}
	vt_notify(s);
}

/* As the second half of the kernel's connect(): waits, says how it went. */
static int vt_connect_wait(struct vsock *s, bool wait)
{
	int64_t deadline = vt_deadline(s->snd_timeout);
	int rc = 0;

	vt_submit();
	vt_reap();
	while (s->state == VT_CONNECTING) {
		if (!wait || rc == -ETIME)
			return -EINPROGRESS;
		if (rc == -EINTR && !vt_restart(s->snd_timeout))
			return -EINTR;
		rc = vt_sleep(s, deadline, NULL, 0, NULL);
	}
	s->connecting = false;
	if (s->state == VT_CONNECTED)
		return 0;
	/* Once told of, it is forgotten: as a socket that never connected. */
	rc = s->err ? -s->err : -ECONNABORTED;
	s->err = 0;
	s->failed = false;
	return rc;
}

/* Is a connection that failed at once known to have failed? One round trip
 * behind it tells. */
static void vt_connect_settle(struct vsock *s)
{
	struct vt_req *r = vt_req_get(s, NULL);

	vt_sqe(r, VTOE_OP_NOP, VTOE_STREAM_NONE);
	vt_req_result(r, NULL);
	vt_reap();
}

/* Did it fail as the kernel's would have before sending anything? */
static bool vt_connect_at_once(const struct vsock *s)
{
	return s->state == VT_BOUND &&
	       (s->err == ENETUNREACH || s->err == EHOSTUNREACH ||
		s->err == EADDRNOTAVAIL || s->err == EINVAL ||
		s->err == EACCES || s->err == ENETDOWN);
}

/* OPEN and CONNECT. -> 0, or 1: the kernel's now. */
static int vt_connect_open(struct vsock *s, int fd,
			   const struct vtoe_address *a,
			   const struct sockaddr *to, socklen_t len)
{
	bool fresh = s->state == VT_NEW;
	struct vt_req *open = NULL, *r;
	struct vtoe_sqe *q;
	int rc = 0;

	if (fresh)
		open = vt_open_begin(s);
	s->state = VT_CONNECTING;
	s->failed = s->reset = false;
	s->err = 0;
	s->peer = *a;
	r = vt_req_get(s, vt_connect_finish);
	q = vt_sqe(r, VTOE_OP_CONNECT, fresh ? VTOE_STREAM_LAST : s->stream);
	q->u.address = *a;
	if (fresh)
		rc = vt_open_finish(s, open);
	if (rc) {
		vt_connect_settle(s);
		vt_drop_stream(s, true);
		vt_to_kernel(s, fd, vt_open_fallback(rc), NULL, to, len);
		return 1;
	}
	s->connecting = true;
	if (s->state == VT_CONNECTED)
		vt_want_data(s);
	vt_explain_offload(fd, "connect", to, len);
	return 0;
}

/* Bound to the backend's port, and now to go to the kernel: bind there. */
static int vt_rebind(struct vsock *s, int fd)
{
	struct sockaddr_storage at;
	struct vtoe_sqe *q;
	struct vtoe_cqe c;
	struct vt_req *r;
	int rc;

	r = vt_req_get(s, NULL);
	q = vt_sqe(r, VTOE_OP_GETNAME, s->stream);
	q->length = 0;
	rc = vt_req_result(r, &c);
	vt_drop_stream(s, false);
	if (!rc && c.u.address.port) {
		socklen_t len = vtoe_address_to(&c.u.address,
						(struct sockaddr *)&at,
						sizeof(at));

		if (REAL(bind)(fd, (struct sockaddr *)&at, len))
			return -errno;
	}
	return 0;
}

/* -> 0 or a negated errno; 1: ask the kernel */
static int vt_connect(struct vsock *s, int fd, const struct sockaddr *to,
		      socklen_t len)
{
	bool wait = !s->nonblock;
	struct vtoe_address a;
	int rc;

	if (s->state == VT_LISTENING)
		return -EISCONN;
	if (s->connecting) {
		if (s->state == VT_CONNECTING && !wait)
			return -EALREADY;
		return vt_connect_wait(s, wait);
	}
	if (to->sa_family == AF_UNSPEC && s->state != VT_NEW) {
		vt_drop_stream(s, true);
		s->err = ECONNRESET; /* as tcp_disconnect() says */
		return 0;
	}
	if (s->state == VT_CONNECTED)
		return -EISCONN;
	if (vtoe_address_from(&a, to, len) || to->sa_family != s->family)
		return s->state == VT_NEW ? 1 : -EAFNOSUPPORT;
	vt_no_wildcard(&a);
	if (s->state == VT_NEW || s->dead) {
		if (s->dead)
			vt_drop_stream(s, true);
		rc = vt_decide(s, fd, &a, to, len);
		if (rc <= 0)
			return rc ? rc : 1;
	} else if (!vt.config.offload_loopback && vt_is_loopback(&a)) {
		rc = vt_rebind(s, fd);
		if (rc)
			return rc;
		vt_to_kernel(s, fd, VTOE_FALLBACK_LOOPBACK, NULL, to, len);
		return 1;
	}
	rc = vt_connect_open(s, fd, &a, to, len);
	if (rc)
		return rc;
	if (!wait) {
		vt_connect_settle(s);
		return vt_connect_at_once(s) ? vt_connect_wait(s, false) :
					       -EINPROGRESS;
	}
	return vt_connect_wait(s, true);
}

VT_EXPORT int connect(int fd, const struct sockaddr *to, socklen_t len)
{
	struct vsock *s = vt_enter(fd);
	int rc;

	if (!s)
		return REAL(connect)(fd, to, len);
	vt_reap();
	if (!to)
		rc = -EFAULT;
	else if (len < sizeof(to->sa_family))
		rc = -EINVAL;
	else
		rc = vt_connect(s, fd, to, len);
	vt_leave(s);
	/* The kernel's connect may block: without the lock. */
	return rc == 1 ? REAL(connect)(fd, to, len) : rc ? vt_fail(-rc) : 0;
}
