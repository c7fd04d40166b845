/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * preload_lane.c - the backend, requests and their completions
 *
 * Theory of operation. Everything here happens under vt.lock. Entries are
 * published when the lock is given up (vt_unlock, vt_sleep), so that what one
 * call asks for is one batch. A request lives in a block that is never freed:
 * its address is the user data on the ring, and a thread that leaves a wait by
 * longjmp or cancellation cannot make it dangle. User data with bit 0 set is a
 * socket's, for generic receive.
 *
 * When the backend dies, every request is completed with -ECONNRESET, every
 * stream is marked dead, and the context is closed; the next socket opens a
 * new one.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "preload.h"

#define VT_BLOCK 64
#define VT_SLOW_NS 500000000ll	    /* a backend that took so long to refuse */
#define VT_PATIENCE_NS 5000000000ll /* ... is not asked for so long */

struct vt vt = { .lock = PTHREAD_MUTEX_INITIALIZER,
		 .lane_fd = -1, .control_fd = -1 };

void vt_lock(void)
{
	vt_signals_hold();
	pthread_mutex_lock(&vt.lock);
}

/* Publishes, sees that somebody waits for the lane, and unlocks. */
void vt_unlock(void)
{
	vt_submit();
	if (vt.waiters && !vt.leader && vt.lane) {
		struct vt_waiter *w = vt.waiters;
		uint64_t one = 1;

		if (!w->woken && write(w->fd, &one, sizeof(one)) > 0)
			w->woken = true;
	}
	pthread_mutex_unlock(&vt.lock);
	vt_signals_release();
}

/* -- the backend -------------------------------------------------------------- */

/* 0 with vt.ctx and vt.lane, or why not. */
int vt_backend(void)
{
	struct vtoe_params params = {
		.path = vt.config.has_path ? vt.config.path : NULL,
		.name = vt.config.program,
	};
	int64_t before = vt_now();
	int rc;

	if (vt.off)
		return -ENOENT;
	if (vt.ctx && vtoe_alive(vt.ctx))
		return 0;
	if (vt.ctx)
		vt_backend_died();
	if (vt.ctx)
		return -ENOTCONN; /* it will have died in a moment */
	if (before < vt.patience)
		return -ETIMEDOUT;
	vt_inside = true;
	rc = vtoe_open(&vt.ctx, &params);
	/* One that hangs is not to delay every socket. */
	if (rc && vt_now() - before > VT_SLOW_NS)
		vt.patience = vt_now() + VT_PATIENCE_NS;
	if (!rc) {
		rc = vtoe_lane_open(vt.ctx, &vt.lane, 0, 0, 0);
		if (rc) {
			vtoe_close(vt.ctx);
			vt.lane = NULL;
		}
	}
	vt_inside = false;
	if (rc) {
		vt.ctx = NULL;
		return rc;
	}
	vt.lane_fd = vtoe_lane_fd(vt.lane);
	vt.control_fd = vtoe_control_fd(vt.ctx);
	vt.told_sends = false;
	rc = vt_generic_start();
	if (rc)
		vt_backend_died();
	else
		vt_reports_send();
	return rc;
}

static void vt_finish(struct vt_req *r, const struct vtoe_cqe *c)
{
	struct vsock *s = r->s;

	if (s)
		s->requests--;
	if (r->done) {
		r->done(r, c);
		vt_req_put(r);
	} else if (r->abandoned) {
		vt_req_put(r);
	} else {
		r->cqe = *c;
		r->finished = true;
		vt_wake(r);
	}
	if (s)
		vsock_maybe_free(s);
}

void vt_backend_died(void)
{
	struct vtoe_cqe c = { .result = -ECONNRESET };
	struct vtoe *ctx = vt.ctx;
	struct vsock *s, *next;
	struct vt_req *r, *next_req;

	if (!ctx)
		return;
	if (vt.reaping) {
		vt.died = true;
		return;
	}
	vt.died = false;
	vt.ctx = NULL;
	vt.lane = NULL;
	vt.leader = NULL;
	vt.lane_fd = vt.control_fd = -1;
	vt.dirty = false;
	vt.sends = 0;
	for (s = vt.socks; s; s = s->next) {
		if (s->state == VT_NEW)
			continue;
		s->dead = s->reset = true;
		vt_backlog_drop(s);
		s->inflight = s->charged = 0;
		if (s->state == VT_CONNECTED || s->state == VT_LISTENING)
			s->err = ECONNRESET;
	}
	for (r = vt.live_reqs; r; r = next_req) {
		next_req = r->next;
		if (!r->finished)
			vt_finish(r, &c);
	}
	vt_pool_forget();
	vt_inside = true;
	vtoe_close(ctx);
	vt_inside = false;
	for (s = vt.socks; s; s = next) {
		next = s->next;
		s->grq = s->poll_busy = false;
		vt_notify(s);
		vsock_maybe_free(s);
	}
	vt_wake(NULL);
}

/* After a fork, in the child: the context was the parent's. */
void vt_lane_child(void)
{
	struct vt_req *r, *next;

	if (vt.ctx) {
		vt_inside = true;
		vtoe_forget(vt.ctx);
		vt_inside = false;
	}
	vt.ctx = NULL;
	vt.lane = NULL;
	vt.lane_fd = vt.control_fd = -1;
	vt.dirty = vt.died = false;
	vt.later_next = vt.later_count = 0;
	vt_pool_forget();
	vt_reports_forget();
	for (r = vt.live_reqs; r; r = next) {
		next = r->next;
		vt_req_put(r);
	}
}

/* -- requests ---------------------------------------------------------------- */

static int vt_req_block(void)
{
	struct vt_req *block = calloc(VT_BLOCK, sizeof(*block));
	unsigned i;

	if (!block)
		return -ENOMEM;
	for (i = 0; i < VT_BLOCK; i++) {
		block[i].next = vt.free_reqs;
		vt.free_reqs = &block[i];
	}
	return 0;
}

/* Never fails: without memory for a request nothing works at all. */
struct vt_req *vt_req_get(struct vsock *s,
			  void (*done)(struct vt_req *,
				       const struct vtoe_cqe *))
{
	struct vt_req *r;

	while (!vt.free_reqs && vt_req_block())
		poll(NULL, 0, 1);
	r = vt.free_reqs;
	vt.free_reqs = r->next;
	memset(r, 0, sizeof(*r));
	r->s = s;
	r->done = done;
	r->live = true;
	r->next = vt.live_reqs;
	if (r->next)
		r->next->prev = r;
	vt.live_reqs = r;
	if (s)
		s->requests++;
	return r;
}

void vt_req_put(struct vt_req *r)
{
	if (!r->live)
		return;
	r->live = false;
	if (r->next)
		r->next->prev = r->prev;
	if (r->prev)
		r->prev->next = r->next;
	else
		vt.live_reqs = r->next;
	r->next = vt.free_reqs;
	vt.free_reqs = r;
}

void vt_req_ignore(struct vt_req *r, const struct vtoe_cqe *c)
{
	(void)r;
	(void)c;
}

/*
 * An entry for a request. Waits while the queue is full. When there is no
 * backend any more, the request is finished with -ECONNRESET and the entry
 * returned goes nowhere.
 */
struct vtoe_sqe *vt_sqe(struct vt_req *r, enum vtoe_op op, uint32_t stream)
{
	static struct vtoe_sqe nowhere;
	struct vtoe_cqe gone = { .result = -ECONNRESET };
	struct vtoe_sqe *q;

	while (vt.lane && !vt.died) {
		struct pollfd fd = { .fd = vt.lane_fd, .events = POLLIN };

		q = vtoe_get_sqe(vt.lane);
		if (q) {
			vtoe_sqe_set(q, op, stream, (uintptr_t)r);
			vt.dirty = true;
			return q;
		}
		vt_submit();
		vt_reap();
		if (vt.lane && !vtoe_lane_arm(vt.lane))
			REAL(poll)(&fd, 1, 1);
	}
	if (r->live && !r->finished)
		vt_finish(r, &gone);
	memset(&nowhere, 0, sizeof(nowhere));
	return &nowhere;
}

void vt_submit(void)
{
	vt_generic_flush();
	if (!vt.dirty || !vt.lane || vt.died)
		return;
	vt.dirty = false;
	if (vtoe_submit(vt.lane) < 0)
		vt_backend_died();
}

static void vt_dispatch(const struct vtoe_cqe *c)
{
	struct vt_req *r = (struct vt_req *)(uintptr_t)c->user_data;

	if (!c->user_data)
		return;
	if (c->user_data & 1)
		vt_receive_done((struct vsock *)(uintptr_t)
				(c->user_data & ~1ull), c);
	else if (r->live && !r->finished)
		vt_finish(r, c);
}

/* The next completion of the ring. */
static bool vt_take(struct vtoe_cqe *c)
{
	struct vtoe_cqe *at;
	int rc;

	if (!vt.lane || vt.died)
		return false;
	rc = vtoe_peek_cqe(vt.lane, &at);
	if (rc == 1) {
		*c = *at;
		vtoe_cqe_seen(vt.lane);
		if (c->result == -ENOTCONN && !vtoe_alive(vt.ctx))
			rc = -ENOTCONN;
	}
	if (rc < 0)
		vt_backend_died();
	return rc == 1;
}

static void vt_later_add(const struct vtoe_cqe *c)
{
	struct vtoe_cqe *more;

	while (vt.later_count == vt.later_room) {
		more = realloc(vt.later,
			       (vt.later_room + 256) * sizeof(*more));
		if (more) {
			vt.later = more;
			vt.later_room += 256;
		} else {
			poll(NULL, 0, 1);
		}
	}
	vt.later[vt.later_count++] = *c;
}

static bool vt_later_get(struct vtoe_cqe *c)
{
	if (vt.later_next == vt.later_count) {
		vt.later_next = vt.later_count = 0;
		return false;
	}
	*c = vt.later[vt.later_next++];
	return true;
}

/*
 * Takes the completions that are there. What they call may need an entry while
 * the queue is full, and so must take completions itself: these wait in
 * vt.later, to be dispatched in their order, and not while an object that they
 * end is still in use further up. The backend's death waits likewise.
 */
void vt_reap(void)
{
	struct vtoe_cqe c;

	if (vt.reaping) {
		while (vt_take(&c))
			vt_later_add(&c);
		return;
	}
	vt.reaping = true;
	while (vt_later_get(&c) || vt_take(&c))
		vt_dispatch(&c);
	vt.reaping = false;
	if (vt.died)
		vt_backend_died();
}

int vt_req_wait(struct vt_req *r, int64_t deadline)
{
	int rc = 0;

	vt_submit();
	vt_reap();
	while (!r->finished && rc != -ETIME && rc != -EINTR)
		rc = vt_sleep(r, deadline, NULL, 0, NULL);
	return r->finished ? 0 : rc;
}

int vt_req_result(struct vt_req *r, struct vtoe_cqe *cqe)
{
	int result;

	while (vt_req_wait(r, VT_NEVER))
		;
	result = r->cqe.result;
	if (cqe)
		*cqe = r->cqe;
	vt_req_put(r);
	return result;
}

void vt_req_abandon(struct vt_req *r)
{
	if (r->finished)
		vt_req_put(r);
	else
		r->abandoned = true;
}

int vt_req_cancel(struct vt_req *r, struct vtoe_cqe *cqe)
{
	if (!r->finished) {
		struct vt_req *c = vt_req_get(NULL, vt_req_ignore);
		struct vtoe_sqe *q = vt_sqe(c, VTOE_OP_CANCEL,
					    VTOE_STREAM_NONE);

		q->u.target = (uintptr_t)r;
	}
	return vt_req_result(r, cqe);
}
