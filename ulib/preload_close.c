/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * preload_close.c - the end of a stream
 *
 * Theory of operation. The last close submits CLOSE behind the sends under way
 * and does not wait, unless SO_LINGER asks for it. As in the kernel, a stream
 * that still has unread data is reset, so that the peer learns that its bytes
 * were not read; and SO_LINGER with a time of 0 resets at once. The socket's
 * memory stays until its last completion has come.
 */
#include <errno.h>
#include <stdlib.h>

#include "preload.h"

void vsock_maybe_free(struct vsock *s)
{
	if (s->state == VT_CLOSED && !s->requests && !s->o.refs && !s->o.users)
		vsock_free(s);
}

static bool vt_close_aborts(struct vsock *s)
{
	if (s->linger.l_onoff && !s->linger.l_linger)
		return true;
	/* Sends before it have begun; those that the peer does not take, because
	 * it waits for us to read, must not keep the stream. */
	return !s->shared && s->state == VT_CONNECTED && s->backlog;
}

/* Gives up this process's hold of the stream. */
static struct vt_req *vt_close_submit(struct vsock *s, bool abort)
{
	struct vt_req *r = vt_req_get(s, NULL);
	struct vtoe_sqe *q = vt_sqe(r, VTOE_OP_CLOSE, s->stream);

	q->op_flags = abort ? VTOE_CLOSE_ABORT : 0;
	return r;
}

/* The stream goes, the socket stays (a kernel socket takes over). */
int vt_drop_stream(struct vsock *s, bool abort)
{
	int rc = 0;

	if (s->stream && !s->dead) {
		vt_backlog_drop(s);
		rc = vt_req_result(vt_close_submit(s, abort), NULL);
	}
	s->stream = 0;
	s->state = VT_NEW;
	s->grq = s->dead = s->reset = s->eof = false;
	s->shut_rd = s->shut_wr = s->wr_broken = s->connecting = false;
	s->has_local = s->has_peer = s->bound = false;
	s->poll_bits = 0;
	s->err = 0;
	return rc;
}

/* Called locked, when neither a descriptor nor a call is left. */
void vsock_last_close(struct vsock *s)
{
	int64_t deadline;
	struct vt_req *r;
	bool abort;

	if (s->state == VT_CLOSED)
		return;
	if (s->state == VT_NEW || s->dead) {
		s->state = VT_CLOSED;
		vsock_maybe_free(s);
		return;
	}
	abort = vt_close_aborts(s);
	s->state = VT_CLOSED;
	vt_hold_end(s);
	vt_items_forget(s);
	vt_backlog_drop(s);
	r = vt_close_submit(s, abort);
	if (!abort && s->linger.l_onoff) {
		deadline = vt_now() + s->linger.l_linger * 1000000000ll;
		s->o.users++; /* not to be freed while we wait */
		while (vt_req_wait(r, deadline) == 0 && !r->finished)
			;
		s->o.users--;
	}
	vt_req_abandon(r);
	vsock_maybe_free(s);
}

static int vt_shutdown(struct vsock *s, int how)
{
	struct vtoe_sqe *q;
	struct vt_req *r;

	if (how < SHUT_RD || how > SHUT_RDWR)
		return -EINVAL;
	if (s->reset || s->dead ||
	    (s->state != VT_CONNECTED && s->state != VT_LISTENING))
		return -ENOTCONN;
	if (s->state == VT_LISTENING && how == SHUT_WR)
		return 0;
	r = vt_req_get(s, vt_req_ignore);
	q = vt_sqe(r, VTOE_OP_SHUTDOWN, s->stream);
	q->length = how;
	if (how != SHUT_WR)
		s->shut_rd = true;
	if (how != SHUT_RD)
		s->shut_wr = true;
	vt_notify(s);
	return 0;
}

VT_EXPORT int shutdown(int fd, int how)
{
	struct vsock *s = vt_enter(fd);
	int rc;

	if (!s)
		return REAL(shutdown)(fd, how);
	vt_reap();
	rc = s->state == VT_NEW ? REAL(shutdown)(fd, how) :
				  vt_shutdown(s, how);
	if (rc < -1 || (rc == -1 && s->state != VT_NEW))
		rc = vt_fail(-rc);
	vt_leave(s);
	return rc;
}
