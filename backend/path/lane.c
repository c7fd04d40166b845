/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lane.c - a lane: from the submission queue to the completion queue
 *
 * lane_turn() is the data path's first half, from top to bottom: look at the
 * guest's producer index, copy an entry out, start it, go on while credit and
 * room last. A request is taken only when its completion could be written at
 * once, so what completes at once never waits; what completes later may find
 * the CQ full, and then waits in the lane's pending list, in order, inside the
 * object that it concerns: a request, or a stream. So the worker's memory is
 * bounded by requests and streams, whatever the guest does with its CQ.
 *
 * A lane that has nothing to take is armed (event index) and leaves the ready
 * list; a doorbell puts all lanes of its connection back. One whose next entry
 * cannot be started yet (TOE_LATER) is stalled: it leaves the list unarmed, with
 * the entry and all behind it in the queue, until who stalled it puts it back.
 */
#include "path/path.h"

#include <errno.h>
#include <string.h>

void lane_init(struct lane *lane, struct conn *c, uint32_t id, uint32_t vector,
	       void *sq, uint32_t sq_entries, void *cq, uint32_t cq_entries)
{
	memset(lane, 0, sizeof(*lane));
	list_init(&lane->ready_node);
	list_init(&lane->dirty_node);
	list_init(&lane->pending);
	list_init(&lane->requests);
	list_init(&lane->holds);
	list_init(&lane->starved);
	lane->conn = c;
	lane->id = id;
	lane->vector = vector;
	lane->open = true;
	ring_in_init(&lane->sq, sq, sq_entries);
	ring_out_init(&lane->cq, cq, cq_entries);
}

void lane_ready(struct lane *lane)
{
	if (list_empty(&lane->ready_node) && !lane->finishing && !lane->parked)
		list_add_tail(&lane->conn->device->ready, &lane->ready_node);
}

void lane_dirty(struct lane *lane)
{
	if (list_empty(&lane->dirty_node))
		list_add_tail(&lane->conn->device->dirty, &lane->dirty_node);
}

/* A broken CQ has no room; the lane is parked for it by the next flush, not
 * here: callers walk the lists that parking empties. */
static int lane_room(struct lane *lane, uint32_t want)
{
	int room = ring_out_room(&lane->cq, want);

	if (room < 0) {
		lane_dirty(lane);
		return 0;
	}
	/* A guest that sleeps must make some, of quiet completions too. */
	if (!room)
		lane->loud = true;
	return room;
}

static void pending_sent(struct pending *p)
{
	struct request *r;

	if (p->kind == PENDING_GENERIC) {
		toe_generic_posted(list_entry(p, struct stream,
					      generic_pending));
		return;
	}
	r = list_entry(p, struct request, pending);
	r->lane->conn->inflight--;
	pool_put(&r->lane->conn->device->requests, r);
}

/* Moves what waits into the CQ, oldest first. */
static void lane_flush_pending(struct lane *lane)
{
	struct pending *p;

	while (!list_empty(&lane->pending) && lane_room(lane, 1) > 0) {
		p = list_entry(lane->pending.next, struct pending, node);
		list_del(&p->node);
		lane_post(lane, &p->cqe, 0);
		pending_sent(p);
	}
}

bool lane_has_room(struct lane *lane)
{
	return list_empty(&lane->pending) && lane_room(lane, 1) > 0;
}

bool lane_has_room_for(struct lane *lane, uint32_t count)
{
	int room = list_empty(&lane->pending) ? lane_room(lane, count) : 0;

	if (room < (int)count)
		lane->loud = true;
	return room >= (int)count;
}

void lane_post(struct lane *lane, const struct vtoe_cqe *cqe,
	       unsigned sqe_flags)
{
	struct device *d = lane->conn->device;

	ring_out_put(&lane->cq, cqe);
	d->stats->completions++;
	if (cqe->result < 0)
		d->stats->errors++;
	if (cqe->result < 0 || !(sqe_flags & VTOE_SQE_QUIET))
		lane->loud = true;
	lane_dirty(lane);
}

void lane_post_pending(struct lane *lane, struct pending *p,
		       unsigned sqe_flags)
{
	if (lane->parked || lane->conn->state == CONN_LEAVING) {
		pending_sent(p);
	} else if (lane_has_room(lane)) {
		lane_post(lane, &p->cqe, sqe_flags);
		pending_sent(p);
	} else {
		lane->conn->device->stats->cq_full++;
		list_add_tail(&lane->pending, &p->node);
		lane_dirty(lane);
	}
}

int lane_turn(struct lane *lane, uint32_t credit)
{
	struct device *d = lane->conn->device;
	struct vtoe_sqe sqe;
	uint32_t taken = 0;
	int waiting;

	lane_flush_pending(lane);
	waiting = ring_in_peek(&lane->sq);
	if (waiting < 0)
		lane_park(lane, VTOE_VIOLATION_INDEX);
	lane->stalled = false;
	while (!lane->parked && !lane->finishing && !lane->stalled &&
	       taken < credit && (int)taken < waiting &&
	       (lane->conn->state == CONN_LEAVING || lane_has_room(lane))) {
		ring_in_take(&lane->sq, &sqe);
		lane->stalled = !toe_start(lane, &sqe);
		if (lane->stalled)
			ring_in_leave(&lane->sq);
		else
			taken++;
	}
	if (lane->parked)
		return -EPROTO;
	if (ring_in_release(&lane->sq)) {
		lane->notify = true;
		lane_dirty(lane);
	}
	if ((int)taken < waiting && !lane_has_room(lane))
		lane_dirty(lane);
	if (!list_empty(&lane->starved))
		toe_generic_feed(lane);
	d->stats->requests += taken;
	return (int)taken;
}

/* How many completions must the guest read before all that waits can go on? */
static uint32_t lane_wants_room(const struct lane *lane)
{
	const struct frame_service *f = lane->conn->device->frames;

	if (!list_empty(&lane->pending))
		return 1;
	return lane->frames ? f->wants_room(lane) : 0;
}

bool lane_arm(struct lane *lane)
{
	int waiting = lane->stalled ? 0 : ring_in_arm(&lane->sq);
	uint32_t room = lane_wants_room(lane);

	if (waiting < 0) {
		lane_park(lane, VTOE_VIOLATION_INDEX);
		return true;
	}
	if (!waiting && !room)
		return true;
	/* Something waits: for room in the CQ, or to be taken now. */
	return !ring_out_arm_space(&lane->cq, waiting ? 1 : room) &&
	       !lane->cq.broken;
}

void lane_flush(struct lane *lane)
{
	struct conn *c = lane->conn;
	uint32_t room;
	bool wanted;

	lane_flush_pending(lane);
	room = lane_wants_room(lane);
	if (!lane->parked && room && ring_out_arm_space(&lane->cq, room))
		lane_ready(lane);
	wanted = ring_out_publish(&lane->cq, !lane->loud);
	lane->loud = false;
	if (wanted || lane->notify) {
		lane->notify = false;
		c->device->stats->notify++;
		c->link.notified[lane->vector]++;
		conn_notify(c, lane->vector);
	}
}

static void lane_drop_pending(struct lane *lane)
{
	struct pending *p;

	while (!list_empty(&lane->pending)) {
		p = list_entry(lane->pending.next, struct pending, node);
		list_del(&p->node);
		pending_sent(p);
	}
}

void lane_park(struct lane *lane, enum vtoe_violation why)
{
	struct conn *c = lane->conn;

	if (lane->parked)
		return;
	lane->parked = true;
	c->device->stats->parked++;
	c->device->parked_conn = c->link.id;
	c->device->parked_violation = why;
	ring_out_status(&lane->cq, VTOE_STATUS_PARKED, why);
	lane_drop_pending(lane);
	lane->notify = true;
	lane_dirty(lane);
	conn_event(c, VTOE_EVENT_LANE_PARKED, lane->id, why);
	lane_finish(lane, true);
}

void lane_finish(struct lane *lane, bool abort)
{
	struct list *at, *tmp;

	lane->finishing = true;
	list_del(&lane->ready_node);
	if (lane->frames)
		lane->conn->device->frames->lane_gone(lane);
	list_for_each_safe(at, tmp, &lane->holds)
		stream_unhold(list_entry(at, struct hold, lane_node), abort);
	/* Nobody waits any more for closes that linger. */
	list_for_each_safe(at, tmp, &lane->requests) {
		struct request *r = list_entry(at, struct request, lane_node);

		if (r->sqe.op != VTOE_OP_CLOSE || !r->stream)
			continue;
		r->stream->linger = 0;
		if (r->stream->linger_wait)
			r->stream->deadline = 0;
	}
	/* What is left concerns no stream, or the kernel has it. */
	lane_try_free(lane);
}

void lane_try_free(struct lane *lane)
{
	struct conn *c = lane->conn;

	if (!lane->open || !lane->finishing || lane->inflight ||
	    lane->generic_armed || !list_empty(&lane->holds))
		return;
	/* A parked lane keeps its slot until the guest removes it. */
	if (lane->parked && !lane->removing && c->state != CONN_LEAVING)
		return;
	lane_flush(lane);
	lane_drop_pending(lane); /* no room, and nobody who will make any */
	list_del(&lane->dirty_node);
	list_del(&lane->ready_node);
	toe_generic_free(lane);
	lane->open = false;
	conn_lane_gone(c, lane);
}

/* -- requests ------------------------------------------------------------ */

struct request *request_new(struct lane *lane, struct stream *s,
			    const struct vtoe_sqe *sqe)
{
	struct device *d = lane->conn->device;
	struct request *r;

	/* nor may one connection take what all others need */
	if (lane->inflight >= d->limits.inflight ||
	    lane->conn->inflight >= d->limits.requests / 2)
		return NULL;
	r = pool_get(&d->requests);
	if (!r)
		return NULL;
	list_init(&r->node);
	list_add_tail(&lane->requests, &r->lane_node);
	lane->inflight++;
	lane->conn->inflight++;
	r->lane = lane;
	r->stream = s;
	r->sqe = *sqe;
	return r;
}

void region_put(struct conn *c, struct region *r)
{
	if (region_drop(r))
		conn_region_gone(c, r);
}

void request_finish_cqe(struct request *r, struct vtoe_cqe *cqe)
{
	struct lane *lane = r->lane;

	if (r->finished)
		return;
	r->finished = true;
	if (r->cancelled && cqe->result < 0)
		cqe->result = -ECANCELED; /* whatever the kernel called it */
	list_del(&r->node);
	list_del(&r->lane_node);
	lane->inflight--;
	if (r->region)
		region_put(lane->conn, r->region);
	r->region = NULL;
	cqe->user_data = r->sqe.user_data;
	r->pending.kind = PENDING_REQUEST;
	r->pending.cqe = *cqe;
	lane_post_pending(lane, &r->pending, r->sqe.flags);
	if (lane->finishing)
		lane_try_free(lane);
}

void request_finish(struct request *r, int32_t result, uint32_t flags)
{
	struct vtoe_cqe cqe = {
		.result = result,
		.flags = flags,
		.stream = r->stream ? r->stream->id : r->sqe.stream,
		.key = r->sqe.key,
		.offset = r->sqe.offset,
		.length = result > 0 && r->at ? (uint32_t)result : 0,
	};

	request_finish_cqe(r, &cqe);
}

void request_cancel(struct request *r)
{
	if (r->finished || r->cancelled || r->settled)
		return;
	r->cancelled = true;
	if (r->busy)
		toe_cancel_started(r);
	else
		request_finish(r, r->done ? (int32_t)r->done : -ECANCELED, 0);
}

int request_memory(struct lane *lane, const struct vtoe_sqe *sqe,
		   uint32_t length, uint32_t rights, struct region **region,
		   uint8_t **at)
{
	struct vtoe_stats *stats = lane->conn->device->stats;
	struct span span;
	struct region *r;
	int rc;

	rc = region_find(&lane->conn->regions, sqe->key, lane->id, rights, &r);
	if (rc) {
		stats->bad_key++;
		return rc;
	}
	rc = -ERANGE; /* a result is signed */
	if (length <= INT32_MAX)
		rc = region_span(r, sqe->offset, length, &span);
	if (rc) {
		stats->bad_range++;
		return rc;
	}
	region_hold(r);
	*region = r;
	*at = span.at;
	return 0;
}
