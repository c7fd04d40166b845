/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * toe_generic.c - generic buffers (GRQ): a lane's pool, and receiving into it
 *
 * The guest lends buffers to its lane (GRQ_ADD); we lend them to the kernel as
 * a provided-buffer ring, from which a stream's receive takes one only when
 * data is there. A filled buffer is the guest's until it gives it back. Each of
 * the pool's slots is FREE, LENT (the kernel may fill it, its region is held) or
 * OUT (at the guest).
 *
 * A stream may have as many generic buffers out at the guest as its lane has
 * left: one slow reader gets half of them, eight get a ninth each, and there are
 * always some for a stream that is read (H8). One that may not take a buffer is
 * put on its lane's starved list, and tried again when buffers come back.
 */
#include "path/path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Linux before 6.9 never frees what it has of the groups below 64: a ring that is
 * registered there again begins where the kernel stood in the one before, at
 * entries that nobody has filled. */
#define GROUPS_FIRST 64u
#define GROUPS_END (64u * DEVICE_GROUP_WORDS)

/* Tried again when the lane has its next turn, and by the timer: buffers also
 * come back without a request of the guest's. */
static void toe_starve(struct stream *s)
{
	if (!list_empty(&s->starved_node) || !s->generic_lane)
		return;
	list_add_tail(&s->generic_lane->starved, &s->starved_node);
	device_set_timer(s->device);
}

static bool toe_generic_may_take(const struct stream *s)
{
	return s->generic_out < s->generic_lane->generic.lent;
}

void toe_generic_arm(struct stream *s)
{
	struct lane *lane = s->generic_lane;
	struct device *d = s->device;
	struct io_uring_sqe *sqe;

	if (s->generic_held || s->generic_ended)
		return;
	if (!toe_generic_may_take(s)) {
		d->stats->grq_starved++;
		toe_starve(s);
		return;
	}
	list_del(&s->starved_node);
	toe_recv_lowat_reset(s);
	sqe = uring_sqe(&d->uring, s, TAG_GENERIC);
	io_uring_prep_recv(sqe, 0, NULL, 0, 0);
	uring_use_socket(&d->uring, sqe, s->index, s->fd);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = lane->generic.group;
	if (!s->nonempty)
		sqe->ioprio |= URING_RECVSEND_POLL_FIRST;
	s->generic = GENERIC_ARMED;
	lane->generic_armed++;
	stream_op_begin(s);
}

void toe_generic_cancel(struct stream *s)
{
	struct uring *u = &s->device->uring;

	if (s->generic != GENERIC_ARMED)
		return;
	s->generic = GENERIC_CANCELLING;
	io_uring_prep_cancel64(uring_sqe(u, NULL, TAG_IGNORE),
			       uring_tag(s, TAG_GENERIC), 0);
}

/* -- the pool ------------------------------------------------------------ */

static int generic_init(struct lane *lane)
{
	struct device *d = lane->conn->device;
	struct generic_pool *g = &lane->generic;
	uint32_t group, i;

	for (group = GROUPS_FIRST; group < GROUPS_END; group++)
		if (!(d->groups[group / 64] & 1ull << group % 64))
			break;
	if (group == GROUPS_END)
		return -EDQUOT;
	g->buffers = calloc(GENERIC_BUFFERS, sizeof(*g->buffers));
	g->free_ids = calloc(GENERIC_BUFFERS, sizeof(*g->free_ids));
	if (g->buffers && g->free_ids)
		g->ring = uring_buffers_open(&d->uring, (uint16_t)group,
					     GENERIC_BUFFERS);
	if (!g->ring) {
		free(g->buffers);
		free(g->free_ids);
		memset(g, 0, sizeof(*g));
		return -ENOMEM;
	}
	d->groups[group / 64] |= 1ull << group % 64;
	g->group = (uint16_t)group;
	for (i = 0; i < GENERIC_BUFFERS; i++)
		g->free_ids[i] = (uint16_t)(GENERIC_BUFFERS - 1 - i);
	g->free_count = GENERIC_BUFFERS;
	return 0;
}

void toe_generic_free(struct lane *lane)
{
	struct device *d = lane->conn->device;
	struct generic_pool *g = &lane->generic;
	uint32_t i;

	if (!g->buffers)
		return;
	if (g->ring)
		uring_buffers_close(&d->uring, g->group, GENERIC_BUFFERS,
				    g->ring);
	d->groups[g->group / 64] &= ~(1ull << g->group % 64);
	for (i = 0; i < GENERIC_BUFFERS; i++)
		if (g->buffers[i].state == GENERIC_LENT)
			region_put(lane->conn, g->buffers[i].region);
	free(g->buffers);
	free(g->free_ids);
	memset(g, 0, sizeof(*g));
}

static void generic_lend(struct generic_pool *g, uint16_t id, uint8_t *at)
{
	io_uring_buf_ring_add(g->ring, at, g->buffers[id].length, id,
			      io_uring_buf_ring_mask(GENERIC_BUFFERS), 0);
	io_uring_buf_ring_advance(g->ring, 1);
	g->buffers[id].state = GENERIC_LENT;
	g->lent++;
}

static void generic_free(struct generic_pool *g, uint32_t id)
{
	g->buffers[id].state = GENERIC_FREE;
	g->free_ids[g->free_count++] = (uint16_t)id;
}

/* A buffer is not out any more: given back, or its region is gone. */
static void generic_forget(struct lane *lane, uint32_t id)
{
	struct generic_pool *g = &lane->generic;
	struct stream *s;

	generic_free(g, id);
	if (!stream_find(lane, g->buffers[id].stream, &s) &&
	    s->generic_out_lane == lane && s->generic_out)
		s->generic_out--;
}

/* Is this memory a buffer that the guest gives back? Guests return them nearly
 * in the order in which they got them, so the hint mostly finds it. */
static int generic_returned(struct lane *lane, uint64_t key, uint64_t offset)
{
	struct generic_pool *g = &lane->generic;
	uint32_t n, id;

	for (n = 0, id = g->hint; n < GENERIC_BUFFERS; n++, id++) {
		struct generic_buffer *b;

		id &= GENERIC_BUFFERS - 1;
		b = &g->buffers[id];
		if (b->state != GENERIC_OUT || b->key != key ||
		    b->offset != offset)
			continue;
		g->hint = id + 1;
		generic_forget(lane, id);
		return 1;
	}
	return 0;
}

int toe_grq_add(struct lane *lane, struct stream *unused,
		const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe)
{
	struct generic_pool *g = &lane->generic;
	uint32_t count = sqe->op_flags, each, i;
	struct region *region;
	uint8_t *at;
	uint16_t id;
	int rc;

	(void)unused;
	(void)cqe;
	if (!count || count > GENERIC_BUFFERS || sqe->length % count ||
	    sqe->length / count == 0)
		return -EINVAL;
	each = sqe->length / count;
	if (!g->buffers) {
		rc = generic_init(lane);
		if (rc)
			return rc;
	}
	if (!g->ring) /* lost when a region went */
		return -ENOMEM;
	rc = request_memory(lane, sqe, sqe->length, VTOE_REGION_WRITE, &region,
			    &at);
	if (rc)
		return rc;
	/* all of them come back, or none: the first unknown one ends it */
	if (GENERIC_BUFFERS - g->free_count > g->lent)
		for (i = 0; i < count; i++)
			if (!generic_returned(lane, sqe->key, sqe->offset +
							      (uint64_t)i * each))
				break;
	rc = TOE_SILENT;
	if (g->free_count < count)
		rc = -EDQUOT;
	for (i = 0; rc == TOE_SILENT && i < count; i++) {
		id = g->free_ids[--g->free_count];
		g->buffers[id].region = region;
		g->buffers[id].key = sqe->key;
		g->buffers[id].offset = sqe->offset + (uint64_t)i * each;
		g->buffers[id].length = each;
		region_hold(region);
		generic_lend(g, id, at + (uint64_t)i * each);
	}
	region_put(lane->conn, region);
	return rc;
}

/* Marks the buffers that completions already made, but not yet seen, name. */
static void generic_mark_filled(struct lane *lane, bool *filled)
{
	struct uring *u = &lane->conn->device->uring;
	struct io_uring_cqe *cqe;
	unsigned head, id;

	io_uring_for_each_cqe(&u->ring, head, cqe) {
		struct stream *s = uring_tag_object(cqe->user_data);

		if (uring_tag_kind(cqe->user_data) != TAG_GENERIC ||
		    !(cqe->flags & IORING_CQE_F_BUFFER) ||
		    s->generic_lane != lane)
			continue;
		id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
		filled[id & (GENERIC_BUFFERS - 1)] = true;
	}
}

/* The region goes: take its buffers back from the kernel. The kernel picks a
 * buffer only while it fills it, so between its operations the ring can be
 * replaced by one without them; what it has filled already keeps its hold
 * until its completion is seen. */
void toe_generic_region_gone(struct lane *lane, struct region *r)
{
	struct generic_pool *g = &lane->generic;
	struct uring *u = &lane->conn->device->uring;
	bool filled[GENERIC_BUFFERS] = { false };
	uint32_t id, found = 0;

	if (!g->ring)
		return;
	for (id = 0; id < GENERIC_BUFFERS; id++) {
		struct generic_buffer *b = &g->buffers[id];

		found += b->state == GENERIC_LENT && b->region == r;
		/* nobody can give these back any more */
		if (b->state == GENERIC_OUT && b->key == r->key)
			generic_forget(lane, id);
	}
	if (!found)
		return;
	uring_buffers_close(u, g->group, GENERIC_BUFFERS, g->ring);
	generic_mark_filled(lane, filled);
	/* without a new one the pool is empty, and the lane's streams starve */
	g->ring = uring_buffers_open(u, g->group, GENERIC_BUFFERS);
	g->lent = 0;
	for (id = 0; id < GENERIC_BUFFERS; id++) {
		struct generic_buffer *b = &g->buffers[id];

		if (b->state != GENERIC_LENT)
			continue;
		if (filled[id]) {
			g->lent++;
		} else if (b->region != r && g->ring) {
			generic_lend(g, (uint16_t)id,
				     b->region->at + b->offset);
		} else {
			struct region *held = b->region;

			generic_free(g, id);
			region_put(lane->conn, held);
		}
	}
}

int toe_grq_mode(struct lane *lane, struct stream *s,
		 const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe)
{
	(void)cqe;
	if (sqe->op_flags) {
		if (s->generic_lane && s->generic_lane != lane)
			return -EBUSY;
		if (s->generic_off) /* its Off comes first */
			return -EALREADY;
		if (s->generic_out_lane != lane)
			s->generic_out = 0;
		s->generic_lane = s->generic_out_lane = lane;
		s->generic_user = sqe->user_data;
		s->generic_on = true;
		toe_recv_next(s);
		return 0;
	}
	if (s->generic_lane != lane)
		return -EINVAL;
	s->generic_on = false;
	list_del(&s->starved_node);
	if (s->generic == GENERIC_IDLE && !s->generic_held) {
		s->generic_lane = NULL;
		return 0;
	}
	/* Completes when the armed receive has come back. */
	if (!s->generic_off) {
		s->generic_off = request_new(lane, s, sqe);
		if (!s->generic_off)
			return -EBUSY;
		s->generic_off->busy = true; /* ends by itself */
		toe_generic_cancel(s);
		return TOE_ASYNC;
	}
	return -EALREADY;
}

/* The stream's generic receive is at rest: end what waited for that. */
static void toe_generic_rest(struct stream *s)
{
	struct request *off = s->generic_off;

	if (s->generic != GENERIC_IDLE || s->generic_held || s->generic_on)
		return;
	s->generic_lane = NULL;
	s->generic_off = NULL;
	if (off)
		request_finish(off, 0, 0);
}

/* Its lane goes. */
static void toe_generic_stop(struct stream *s)
{
	s->generic_on = false;
	list_del(&s->starved_node);
	toe_generic_cancel(s);
	if (s->generic_held) {
		/* its lane goes: nobody will read it */
		list_del(&s->generic_pending.node);
		s->generic_held = false;
	}
	toe_generic_rest(s);
}

void toe_generic_unhold(struct stream *s, const struct lane *lane)
{
	if (s->generic_lane == lane)
		toe_generic_stop(s);
	if (s->generic_out_lane != lane)
		return;
	/* what it still has does not keep the others from reading */
	s->generic_out_lane = NULL;
	s->generic_out = 0;
}

void toe_generic_posted(struct stream *s)
{
	s->generic_held = false;
	toe_generic_rest(s);
	toe_recv_next(s);
}

static void toe_generic_post(struct stream *s, int32_t result, uint32_t flags,
			     const struct generic_buffer *b)
{
	struct vtoe_cqe *cqe = &s->generic_pending.cqe;

	memset(cqe, 0, sizeof(*cqe));
	cqe->user_data = s->generic_user;
	cqe->result = result;
	cqe->flags = flags;
	cqe->stream = s->id;
	if (b) {
		cqe->key = b->key;
		cqe->offset = b->offset;
		cqe->length = (uint32_t)result;
	}
	s->generic_pending.kind = PENDING_GENERIC;
	s->generic_held = true;
	s->device->stats->grq_completions++;
	lane_post_pending(s->generic_lane, &s->generic_pending, 0);
}

/* What became of the buffer that the kernel picked. */
static struct generic_buffer *toe_generic_take(struct lane *lane,
					       struct stream *s,
					       int32_t result, uint32_t flags,
					       bool wanted)
{
	struct generic_pool *g = &lane->generic;
	uint16_t id = (uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT);
	struct generic_buffer *b;
	struct region *r;

	if (!(flags & IORING_CQE_F_BUFFER) || id >= GENERIC_BUFFERS)
		return NULL;
	b = &g->buffers[id];
	if (b->state != GENERIC_LENT)
		return NULL;
	g->lent--;
	r = b->region;
	if ((result <= 0 || !wanted) && !r->removing && g->ring) {
		generic_lend(g, id, r->at + b->offset);
		return NULL;
	}
	b->region = NULL;
	if (r->removing) {
		/* the guest gets what is in it, but cannot give it back */
		generic_free(g, id);
	} else {
		b->state = GENERIC_OUT;
		b->stream = s->id;
		s->generic_out++;
	}
	region_put(lane->conn, r);
	return result > 0 && wanted ? b : NULL;
}

void toe_generic_done(struct stream *s, int32_t result, uint32_t flags)
{
	struct lane *lane = s->generic_lane;
	struct vtoe_stats *stats = s->device->stats;
	bool wanted = !lane->finishing && s->state < STREAM_DRAINING &&
		      stream_hold_of(s, lane);
	struct generic_buffer *b;

	s->generic = GENERIC_IDLE;
	lane->generic_armed--;
	s->nonempty = flags & IORING_CQE_F_SOCK_NONEMPTY;
	b = toe_generic_take(lane, s, result, flags, wanted);
	if (!wanted) {
		/* bytes for a stream that nobody reads any more */
	} else if (result > 0 && b) {
		s->rx_bytes += (uint32_t)result;
		stats->rx_bytes += (uint32_t)result;
		stats->rx_generic_bytes += (uint32_t)result;
		toe_generic_post(s, result, VTOE_CQE_GRQ |
				 (s->nonempty ? VTOE_CQE_NONEMPTY : 0), b);
	} else if (result == -ENOBUFS) {
		stats->grq_starved++;
		if (s->generic_on)
			toe_starve(s);
	} else if (result != -ECANCELED && result != -EINTR) {
		s->generic_ended = true;
		toe_generic_post(s, result, VTOE_CQE_GRQ |
				 (result ? 0 : VTOE_CQE_EOF), NULL);
	}
	toe_generic_rest(s);
	if (result != -ENOBUFS || !list_empty(&s->recvs))
		toe_recv_next(s);
	if (lane->finishing)
		lane_try_free(lane);
	stream_op_end(s);
}

void toe_generic_feed(struct lane *lane)
{
	struct list *at, *tmp;

	if (!lane->generic.lent && list_empty(&lane->starved))
		return;
	list_for_each_safe(at, tmp, &lane->starved) {
		struct stream *s = list_entry(at, struct stream, starved_node);

		if (toe_generic_may_take(s)) {
			list_del(&s->starved_node);
			toe_recv_next(s);
		}
	}
}
