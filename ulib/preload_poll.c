/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * preload_poll.c - readiness, poll and select
 *
 * Theory of operation. vt_ready() says what the kernel's tcp_poll() would say.
 * A poll that names none of ours is the kernel's. Otherwise our descriptors
 * are masked out of a copy of the array, and each round looks at ours, then
 * sleeps on the kernel's and the lane together. Interest in a listener or a
 * stream shared with another process is told to the backend first; a poll
 * that does not wait asks it, so that its answer is true. select is poll with
 * other clothes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "preload.h"

#define VT_IN (POLLIN | POLLRDNORM)
#define VT_OUT (POLLOUT | POLLWRNORM)

int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *t,
		const sigset_t *mask, size_t room);

static unsigned vt_ready_connected(struct vsock *s)
{
	bool closed_in = s->eof || s->shut_rd || s->reset || s->dead;
	bool closed_out = s->shut_wr || s->reset || s->dead || s->wr_broken;
	unsigned bits = 0;

	if (s->shared || !s->backlog)
		bits = s->poll_bits & (VT_IN | POLLRDHUP | POLLERR | POLLHUP);
	if (bits & POLLIN || s->backlog || (s->common && vt_common_bytes(s)))
		bits |= VT_IN;
	if (closed_in)
		bits |= VT_IN | POLLRDHUP;
	if (closed_in && closed_out)
		bits |= POLLHUP;
	if (closed_out || vt_room(s))
		bits |= VT_OUT;
	else
		vt_want_room(s, true);
	if (s->err || s->dead)
		bits |= POLLERR;
	return bits;
}

unsigned vt_ready(struct vsock *s)
{
	switch (s->state) {
	case VT_CONNECTED:
		return vt_ready_connected(s);
	case VT_CONNECTING:
		return 0;
	case VT_LISTENING:
		if (s->dead)
			return s->lost ? 0 : VT_IN | POLLERR | POLLHUP;
		if (s->shut_rd)
			return VT_IN | POLLRDHUP | POLLHUP | VT_OUT;
		return s->poll_bits & POLLIN ? VT_IN : 0;
	default:
		if (s->failed || s->dead)
			return VT_IN | VT_OUT | POLLHUP | POLLRDHUP |
			       (s->err ? POLLERR : 0);
		return VT_OUT | POLLHUP;
	}
}

/* Somebody wants to know when there is something to read. */
void vt_interest(struct vsock *s)
{
	vt_want_data(s);
}

/* -- poll ---------------------------------------------------------------------- */

static bool vt_poll_any(const struct pollfd *fds, nfds_t count)
{
	nfds_t i;

	for (i = 0; i < count; i++)
		if (vt_peek(fds[i].fd))
			return true;
	return false;
}

/* What ours are ready for; kernel's descriptors get their revents of extra. */
static int vt_poll_look(struct pollfd *fds, struct pollfd *extra, nfds_t count)
{
	int ready = 0;
	nfds_t i;

	for (i = 0; i < count; i++) {
		struct vt_object *o = vt_peek(fds[i].fd);
		unsigned bits = extra[i].revents;

		if (o && o->kind == VT_SOCK)
			bits = vt_ready((struct vsock *)o) &
			       (fds[i].events | POLLERR | POLLHUP);
		else if (o && vepoll_ready((struct vepoll *)o))
			bits |= VT_IN & fds[i].events;
		fds[i].revents = bits;
		ready += bits != 0;
	}
	return ready;
}

/* Tells the backend what is of interest; asks it, if there is no waiting. */
static void vt_poll_interest(const struct pollfd *fds, nfds_t count, bool now)
{
	nfds_t i;

	for (i = 0; i < count; i++) {
		struct vt_object *o = vt_peek(fds[i].fd);
		struct vsock *s = (struct vsock *)o;

		if (!o || o->kind != VT_SOCK)
			continue;
		if (now && fds[i].events & VT_IN) {
			vt_hold(o);
			vt_ask_data(s);
			vt_interest(s);
			vt_drop(o);
		} else {
			vt_interest(s);
		}
	}
}

static int vt_poll(struct pollfd *fds, struct pollfd *extra, nfds_t count,
		   int64_t deadline, const sigset_t *mask)
{
	bool now = deadline == 0, kernel = false;
	int rc = 0, ready;
	nfds_t i;

	for (i = 0; i < count; i++) {
		struct vt_object *o = vt_peek(fds[i].fd);

		extra[i] = fds[i];
		extra[i].revents = 0;
		if (o && o->kind == VT_SOCK)
			extra[i].fd = -1;
		kernel |= extra[i].fd >= 0;
	}
	vt_reap();
	vt_poll_interest(fds, count, now);
	for (;;) {
		ready = vt_poll_look(fds, extra, count);
		if (ready || now || rc == -ETIME)
			break;
		if (rc == -EINTR)
			return -EINTR;
		for (i = 0; vt.lost && i < count; i++) {
			struct vt_object *o = vt_peek(fds[i].fd);

			if (o && o->kind == VT_SOCK)
				vt_listen_again((struct vsock *)o);
		}
		vt_poll_interest(fds, count, false);
		rc = vt_sleep(NULL, deadline, extra, count, mask);
	}
	if (kernel && rc != -ETIME && REAL(poll)(extra, count, 0) > 0)
		ready = vt_poll_look(fds, extra, count);
	return ready;
}

static int vt_poll_entry(struct pollfd *fds, nfds_t count, int64_t deadline,
			 const sigset_t *mask)
{
	struct pollfd few[32], *extra = few;
	int rc;

	if (count > sizeof(few) / sizeof(*few)) {
		extra = malloc(count * sizeof(*extra));
		if (!extra)
			return vt_fail(ENOMEM);
	}
	vt_lock();
	rc = vt_poll(fds, extra, count, deadline, mask);
	vt_unlock();
	if (extra != few)
		free(extra);
	return rc < 0 ? vt_fail(-rc) : rc;
}

VT_EXPORT int poll(struct pollfd *fds, nfds_t count, int timeout)
{
	if (!vt_poll_any(fds, count))
		return REAL(poll)(fds, count, timeout);
	return vt_poll_entry(fds, count,
			     timeout < 0 ? VT_NEVER : timeout == 0 ? 0 :
			     vt_now() + timeout * 1000000ll, NULL);
}

static int64_t vt_deadline_spec(const struct timespec *t)
{
	if (!t)
		return VT_NEVER;
	if (!t->tv_sec && !t->tv_nsec)
		return 0;
	return vt_now() + t->tv_sec * 1000000000ll + t->tv_nsec;
}

VT_EXPORT int ppoll(struct pollfd *fds, nfds_t count,
		    const struct timespec *timeout, const sigset_t *mask)
{
	if (!vt_poll_any(fds, count))
		return REAL(ppoll)(fds, count, timeout, mask);
	if (timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 ||
			timeout->tv_nsec >= 1000000000))
		return vt_fail(EINVAL);
	return vt_poll_entry(fds, count, vt_deadline_spec(timeout), mask);
}

VT_EXPORT int __poll_chk(struct pollfd *fds, nfds_t count, int timeout,
			 size_t room)
{
	if (room / sizeof(*fds) < count)
		abort();
	return poll(fds, count, timeout);
}

VT_EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t count,
			  const struct timespec *t, const sigset_t *mask,
			  size_t room)
{
	if (room / sizeof(*fds) < count)
		abort();
	return ppoll(fds, count, t, mask);
}

/* -- select -------------------------------------------------------------------------- */

static bool vt_in_set(int fd, const fd_set *set)
{
	/* not FD_ISSET: its fortified form refuses large tables */
	return set && (((const unsigned long *)set)[fd / (8 * sizeof(long))] >>
		       fd % (8 * sizeof(long)) & 1);
}

static void vt_put_set(int fd, fd_set *set)
{
	((unsigned long *)set)[fd / (8 * sizeof(long))] |=
		1ul << fd % (8 * sizeof(long));
}

static void vt_clear_set(int n, fd_set *set)
{
	if (set)
		memset(set, 0, (n + 8 * sizeof(long) - 1) /
			       (8 * sizeof(long)) * sizeof(long));
}

static bool vt_select_any(int n, fd_set *in, fd_set *out, fd_set *except)
{
	int fd;

	for (fd = vt_table_next(0); fd >= 0 && fd < n;
	     fd = vt_table_next(fd + 1))
		if (vt_in_set(fd, in) || vt_in_set(fd, out) ||
		    vt_in_set(fd, except))
			return true;
	return false;
}

static int vt_select_result(struct pollfd *fds, int count, int n, fd_set *in,
			    fd_set *out, fd_set *except)
{
	int i, bits = 0;

	for (i = 0; i < count; i++)
		if (fds[i].revents & POLLNVAL)
			return vt_fail(EBADF);
	vt_clear_set(n, in);
	vt_clear_set(n, out);
	vt_clear_set(n, except);
	for (i = 0; i < count; i++) {
		int wanted = fds[i].events, got = fds[i].revents;

		if (wanted & POLLIN && got & (VT_IN | POLLHUP | POLLERR))
			vt_put_set(fds[i].fd, in), bits++;
		if (wanted & POLLOUT && got & (VT_OUT | POLLERR))
			vt_put_set(fds[i].fd, out), bits++;
		if (wanted & POLLPRI && got & POLLPRI)
			vt_put_set(fds[i].fd, except), bits++;
	}
	return bits;
}

/* HUP and ERR alone wake a poll, but make a select's write set only on ERR. */
static int vt_select(int n, fd_set *in, fd_set *out, fd_set *except,
		     int64_t deadline, const sigset_t *mask)
{
	int64_t until = deadline;
	struct pollfd *fds;
	int fd, count = 0, rc;

	fds = calloc(n ? n : 1, sizeof(*fds));
	if (!fds)
		return vt_fail(ENOMEM);
	for (fd = 0; fd < n; fd++) {
		short events = (vt_in_set(fd, in) ? VT_IN : 0) |
			       (vt_in_set(fd, out) ? VT_OUT : 0) |
			       (vt_in_set(fd, except) ? POLLPRI : 0);

		if (events)
			fds[count++] = (struct pollfd){ fd, events, 0 };
	}
	rc = vt_poll_entry(fds, count, until, mask);
	if (rc >= 0)
		rc = vt_select_result(fds, count, n, in, out, except);
	free(fds);
	return rc;
}

VT_EXPORT int select(int n, fd_set *in, fd_set *out, fd_set *except,
		     struct timeval *timeout)
{
	int64_t deadline = VT_NEVER, left;
	int rc;

	if (n < 0 || !vt_select_any(n, in, out, except))
		return REAL(select)(n, in, out, except, timeout);
	if (timeout) {
		if (timeout->tv_sec < 0 || timeout->tv_usec < 0)
			return vt_fail(EINVAL);
		left = timeout->tv_sec * 1000000000ll +
		       timeout->tv_usec * 1000ll;
		deadline = left ? vt_now() + left : 0;
	}
	rc = vt_select(n, in, out, except, deadline, NULL);
	if (timeout) {
		left = deadline ? deadline - vt_now() : 0;
		if (left < 0)
			left = 0;
		timeout->tv_sec = left / 1000000000;
		timeout->tv_usec = left % 1000000000 / 1000;
	}
	return rc;
}

VT_EXPORT int pselect(int n, fd_set *in, fd_set *out, fd_set *except,
		      const struct timespec *timeout, const sigset_t *mask)
{
	if (n < 0 || !vt_select_any(n, in, out, except))
		return REAL(pselect)(n, in, out, except, timeout, mask);
	if (timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0))
		return vt_fail(EINVAL);
	return vt_select(n, in, out, except, vt_deadline_spec(timeout), mask);
}
