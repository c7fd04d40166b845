/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * toe_grq.c - generic buffers (GRQ): what is the same for every engine
 *
 * The guest lends buffers to its lane (GRQ_ADD). Each of the pool's slots is FREE
 * (names nothing), LENT (the engine may fill it; its region is held) or OUT (filled,
 * the guest's until it gives it back). How a lent one is filled is the engine's.
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

/* -- the pool ------------------------------------------------------------ */

int generic_pool_init(struct generic_pool *g, uint32_t ids)
{
	uint32_t i;

	g->buffers = calloc(GENERIC_BUFFERS, sizeof(*g->buffers));
	g->free_ids = calloc(ids, sizeof(*g->free_ids));
	if (!g->buffers || !g->free_ids) {
		free(g->buffers);
		free(g->free_ids);
		memset(g, 0, sizeof(*g));
		return -ENOMEM;
	}
	for (i = 0; i < GENERIC_BUFFERS; i++)
		g->free_ids[i] = (uint16_t)(GENERIC_BUFFERS - 1 - i);
	g->free_count = GENERIC_BUFFERS;
	return 0;
}

void generic_pool_free(struct lane *lane)
{
	struct generic_pool *g = &lane->generic;
	uint32_t i;

	for (i = 0; i < GENERIC_BUFFERS; i++)
		if (g->buffers[i].state == GENERIC_LENT)
			region_put(lane->conn, g->buffers[i].region);
	free(g->buffers);
	free(g->free_ids);
	memset(g, 0, sizeof(*g));
}

void generic_free(struct generic_pool *g, uint32_t id)
{
	g->buffers[id].state = GENERIC_FREE;
	g->free_ids[g->free_count++] = (uint16_t)id;
}

void generic_forget(struct lane *lane, uint32_t id)
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
static bool generic_returned(struct lane *lane, uint64_t key, uint64_t offset)
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
		return true;
	}
	return false;
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
	rc = toe_generic_open(lane);
	if (!rc)
		rc = request_memory(lane, sqe, sqe->length, VTOE_REGION_WRITE,
				    &region, &at);
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
		toe_generic_lend(g, id);
	}
	region_put(lane->conn, region);
	return rc;
}

/* -- a stream's ------------------------------------------------------------ */

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
		toe_generic_begin(s);
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
	/* Completes when the armed receive has come back, and what is held is in
	 * the CQ. */
	if (s->generic_off)
		return -EALREADY;
	s->generic_off = request_new(lane, s, sqe);
	if (!s->generic_off)
		return -EBUSY;
	s->generic_off->busy = true; /* ends by itself */
	toe_generic_cancel(s);
	return TOE_ASYNC;
}

void generic_rest(struct stream *s)
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
static void generic_stop(struct stream *s)
{
	s->generic_on = false;
	list_del(&s->starved_node);
	toe_generic_cancel(s);
	if (s->generic_held) {
		/* its lane goes: nobody will read it */
		list_del(&s->generic_pending.node);
		s->generic_held = false;
	}
	generic_rest(s);
}

void toe_generic_unhold(struct stream *s, const struct lane *lane)
{
	if (s->generic_lane == lane)
		generic_stop(s);
	if (s->generic_out_lane != lane)
		return;
	/* what it still has does not keep the others from reading */
	s->generic_out_lane = NULL;
	s->generic_out = 0;
}

void toe_generic_posted(struct stream *s)
{
	s->generic_held = false;
	generic_rest(s);
	toe_generic_go_on(s);
}

void generic_post(struct stream *s, int32_t result, uint32_t flags,
		  const struct generic_buffer *b)
{
	struct vtoe_cqe *cqe = &s->generic_pending.cqe;

	memset(cqe, 0, sizeof(*cqe));
	cqe->user_data = s->generic_user;
	cqe->result = result;
	cqe->flags = VTOE_CQE_GRQ | flags;
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

/* Tried again when the lane has its next turn, and by the timer: buffers also
 * come back without a request of the guest's. */
void generic_starve(struct stream *s)
{
	if (!list_empty(&s->starved_node) || !s->generic_lane)
		return;
	list_add_tail(&s->generic_lane->starved, &s->starved_node);
	device_set_timer(s->device);
}

void toe_generic_feed(struct lane *lane)
{
	struct list *at, *tmp;

	list_for_each_safe(at, tmp, &lane->starved) {
		struct stream *s = list_entry(at, struct stream, starved_node);

		if (generic_may_take(s)) {
			list_del(&s->starved_node);
			toe_generic_go_on(s);
		}
	}
}
