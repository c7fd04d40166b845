/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * own_generic.c - generic buffers (GRQ): a lane's pool, and filling them
 *
 * A slot of the pool is FREE (names nothing), LENT (ours to fill; its region is
 * held) or OUT (filled, the guest's until it gives it back). The ids of those that
 * are lent are kept in order, so that they are used in turn.
 *
 * A stream may have as many buffers out at the guest as its lane has left (P-33).
 * One that may take none is put on the lane's starved list, and tried again when
 * buffers come back.
 */
#include "stack/own.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MASK = GENERIC_BUFFERS - 1 };

/* free_ids has two parts: a stack of the free ones, a ring of the lent ones. */
static uint16_t *lent_ids(struct generic_pool *g)
{
	return g->free_ids + GENERIC_BUFFERS;
}

static void lend(struct generic_pool *g, uint16_t id)
{
	lent_ids(g)[(g->first + g->lent++) & MASK] = id;
	g->buffers[id].state = GENERIC_LENT;
}

static uint16_t lent_take(struct generic_pool *g)
{
	uint16_t id = lent_ids(g)[g->first & MASK];

	g->first = (uint16_t)((g->first + 1) & MASK);
	g->lent--;
	return id;
}

static int pool_open(struct generic_pool *g)
{
	uint32_t i;

	g->buffers = calloc(GENERIC_BUFFERS, sizeof(*g->buffers));
	g->free_ids = calloc(2 * GENERIC_BUFFERS, sizeof(*g->free_ids));
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

void toe_generic_free(struct lane *lane)
{
	struct generic_pool *g = &lane->generic;
	uint32_t i;

	if (!g->buffers)
		return;
	for (i = 0; i < GENERIC_BUFFERS; i++)
		if (g->buffers[i].state == GENERIC_LENT)
			region_put(lane->conn, g->buffers[i].region);
	free(g->buffers);
	free(g->free_ids);
	memset(g, 0, sizeof(*g));
}

static void slot_free(struct generic_pool *g, uint32_t id)
{
	g->buffers[id].state = GENERIC_FREE;
	g->free_ids[g->free_count++] = (uint16_t)id;
}

static void slot_forget(struct lane *lane, uint32_t id)
{
	struct generic_pool *g = &lane->generic;
	struct stream *s;

	slot_free(g, id);
	if (!stream_find(lane, g->buffers[id].stream, &s) &&
	    s->generic_out_lane == lane && s->generic_out)
		s->generic_out--;
}

static bool returned(struct lane *lane, uint64_t key, uint64_t offset)
{
	struct generic_pool *g = &lane->generic;
	uint32_t n, id;

	for (n = 0, id = g->hint; n < GENERIC_BUFFERS; n++, id++) {
		struct generic_buffer *b = &g->buffers[id & MASK];

		if (b->state != GENERIC_OUT || b->key != key ||
		    b->offset != offset)
			continue;
		g->hint = (id + 1) & MASK;
		slot_forget(lane, id & MASK);
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
	int rc;

	(void)unused;
	(void)cqe;
	if (!count || count > GENERIC_BUFFERS || sqe->length % count ||
	    sqe->length / count == 0)
		return -EINVAL;
	each = sqe->length / count;
	rc = g->buffers ? 0 : pool_open(g);
	if (!rc)
		rc = request_memory(lane, sqe, sqe->length, VTOE_REGION_WRITE,
				    &region, &at);
	if (rc)
		return rc;
	/* all of them come back, or none: the first unknown one ends it */
	if (GENERIC_BUFFERS - g->free_count > g->lent)
		for (i = 0; i < count; i++)
			if (!returned(lane, sqe->key,
				      sqe->offset + (uint64_t)i * each))
				break;
	rc = g->free_count < count ? -EDQUOT : TOE_SILENT;
	for (i = 0; rc == TOE_SILENT && i < count; i++) {
		uint16_t id = g->free_ids[--g->free_count];

		g->buffers[id] = (struct generic_buffer){
			.region = region,
			.key = sqe->key,
			.offset = sqe->offset + (uint64_t)i * each,
			.length = each,
		};
		region_hold(region);
		lend(g, id);
	}
	region_put(lane->conn, region);
	return rc;
}

void toe_generic_region_gone(struct lane *lane, struct region *r)
{
	struct generic_pool *g = &lane->generic;
	uint32_t id, n = g->lent;

	if (!g->buffers)
		return;
	while (n--) {
		id = lent_take(g);
		if (g->buffers[id].region != r) {
			lend(g, (uint16_t)id);
			continue;
		}
		slot_free(g, id);
		region_put(lane->conn, r);
	}
	/* nobody can give these back any more */
	for (id = 0; id < GENERIC_BUFFERS; id++)
		if (g->buffers[id].state == GENERIC_OUT &&
		    g->buffers[id].key == r->key)
			slot_forget(lane, id);
}

/* -- a stream's ------------------------------------------------------------ */

/* Nothing of it is under way any more: end what waited for that. */
static void generic_rest(struct stream *s)
{
	struct request *off = s->generic_off;

	if (s->generic_held || s->generic_on)
		return;
	s->generic_lane = NULL;
	s->generic_off = NULL;
	if (off)
		request_finish(off, 0, 0);
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
		/* its completion is before theirs: they come with the turn */
		if (list_empty(&s->send_node))
			list_add_tail(&s->device->sending, &s->send_node);
		return 0;
	}
	if (s->generic_lane != lane)
		return -EINVAL;
	s->generic_on = false;
	list_del(&s->starved_node);
	if (!s->generic_held && !s->generic_off) {
		s->generic_lane = NULL;
		return 0;
	}
	if (s->generic_off)
		return -EALREADY;
	s->generic_off = request_new(lane, s, sqe);
	if (!s->generic_off)
		return -EBUSY;
	s->generic_off->busy = true; /* ends by itself */
	return TOE_ASYNC;
}

void toe_generic_unhold(struct stream *s, const struct lane *lane)
{
	if (s->generic_lane == lane) {
		s->generic_on = false;
		list_del(&s->starved_node);
		if (s->generic_held)
			list_del(&s->generic_pending.node);
		s->generic_held = false;
		generic_rest(s);
	}
	if (s->generic_out_lane != lane)
		return;
	s->generic_out_lane = NULL;
	s->generic_out = 0;
}

void toe_generic_posted(struct stream *s)
{
	struct own_stream *st = own_stream_of(s);

	s->generic_held = false;
	generic_rest(s);
	if (!st->filling)
		own_recv_progress(st);
}

static void generic_post(struct stream *s, int32_t result, uint32_t flags,
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

static bool may_take(const struct stream *s)
{
	return s->generic_out < s->generic_lane->generic.lent;
}

/* Fills one buffer. */
static void generic_place(struct own_stream *st)
{
	struct stream *s = &st->s;
	struct lane *lane = s->generic_lane;
	struct generic_buffer *b =
		&lane->generic.buffers[lent_take(&lane->generic)];
	struct region *r = b->region;
	uint32_t n;

	n = own_conn_read(st->conn, (struct span){ r->at + b->offset,
						   b->length }, false);
	b->region = NULL;
	b->state = GENERIC_OUT;
	b->stream = s->id;
	s->generic_out++;
	s->rx_bytes += n;
	s->device->stats->rx_generic_bytes += n;
	region_put(lane->conn, r);
	generic_post(s, (int32_t)n, own_conn_readable(st->conn) ?
					    VTOE_CQE_NONEMPTY : 0, b);
}

static void generic_end(struct own_stream *st)
{
	struct own_conn *c = st->conn;
	int rc;

	if (!c->eof && !c->over && !c->shut_read)
		return;
	rc = c->eof ? 0 : own_conn_take_error(c);
	st->s.generic_ended = true;
	generic_post(&st->s, rc, rc ? 0 : VTOE_CQE_EOF, NULL);
}

static void starve(struct stream *s)
{
	s->device->stats->grq_starved++;
	if (!list_empty(&s->starved_node))
		return;
	list_add_tail(&s->generic_lane->starved, &s->starved_node);
	device_set_timer(s->device);
}

void own_generic_fill(struct own_stream *st)
{
	struct stream *s = &st->s;

	if (st->filling || !st->conn || s->state != STREAM_CONNECTED)
		return;
	st->filling = true;
	while (s->generic_on && !s->generic_held && !s->generic_ended) {
		if (!own_conn_readable(st->conn)) {
			generic_end(st);
			break;
		}
		if (!may_take(s)) {
			starve(s);
			break;
		}
		list_del(&s->starved_node);
		generic_place(st);
	}
	st->filling = false;
}

void toe_generic_feed(struct lane *lane)
{
	struct list *at, *tmp;

	list_for_each_safe(at, tmp, &lane->starved) {
		struct stream *s = list_entry(at, struct stream, starved_node);

		if (may_take(s)) {
			list_del(&s->starved_node);
			own_recv_progress(own_stream_of(s));
		}
	}
}
