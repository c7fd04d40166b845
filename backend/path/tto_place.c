/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tto_place.c - aggregates into the guest's buffers
 *
 * The one copy of a received byte. A delivery is placed whole or not at all: its
 * lane must have buffers for all of it, and its CQ the room to say so. Else it
 * waits, and what comes later for the lane waits behind it, so that order is kept
 * (E14); only order within a lane can matter to it.
 */
#include "path/tto_internal.h"

#include <errno.h>
#include <string.h>

/* The part of all frames that deliveries may keep waiting. A lane may keep as many
 * as the others have left of it: those that do not read get a half, a quarter, an
 * eighth, and there are always some for one that does; and never so many that
 * receiving stops. */
#define HELD_SHARE 4u

/* -- buffers --------------------------------------------------------------- */

int tto_buffers_add(struct lane *lane, const struct vtoe_sqe *sqe)
{
	struct frame_lane *fl = lane->frames;
	uint32_t count = sqe->op_flags, each, i;
	struct region *region;
	uint8_t *at;
	int rc;

	rc = request_memory(lane, sqe, sqe->length, VTOE_REGION_WRITE, &region,
			    &at);
	if (rc)
		return rc;
	rc = TOE_SILENT;
	if (!count || count > VTOE_AGGREGATE_MAX || sqe->length % count ||
	    sqe->length / count < VTOE_AGGREGATE_BUFFER_MIN)
		rc = -EINVAL;
	else if (count > VTOE_AGGREGATE_MAX - fl->buffer_count)
		rc = -EDQUOT;
	if (rc != TOE_SILENT) {
		region_put(lane->conn, region);
		return rc;
	}
	each = sqe->length / count;
	for (i = 0; i < count; i++) {
		region_hold(region);
		fl->buffers[fl->buffer_count++] = (struct frame_buffer){
			.region = region,
			.at = at + (uint64_t)i * each,
			.key = sqe->key,
			.offset = sqe->offset + (uint64_t)i * each,
			.length = each,
		};
	}
	region_put(lane->conn, region);
	return TOE_SILENT;
}

void tto_buffers_forget(struct lane *lane, struct region *r)
{
	struct frame_lane *fl = lane->frames;
	uint32_t i, kept = 0;

	for (i = 0; i < fl->buffer_count; i++) {
		if (fl->buffers[i].region == r)
			region_put(lane->conn, r);
		else
			fl->buffers[kept++] = fl->buffers[i];
	}
	fl->buffer_count = kept;
}

/* How many buffers so much payload takes; 0: more than there are. The header is
 * in the first. */
static uint32_t buffers_for(const struct frame_lane *fl, uint32_t payload)
{
	uint64_t left = payload + sizeof(struct vtoe_received);
	uint32_t n = 0;

	while (n < fl->buffer_count) {
		uint32_t room = fl->buffers[fl->buffer_count - ++n].length;

		if (left <= room)
			return n;
		left -= room;
	}
	return 0;
}

/* -- one delivery ---------------------------------------------------------- */

/* Where its payload lies, piece by piece. */
struct payload {
	struct tto *t;
	const struct delivery *d;
	struct segment_cursor cursor;
	uint32_t done; /* of a single frame */
};

static bool payload_next(struct payload *p, uint32_t max, const uint8_t **at,
			 uint32_t *length)
{
	const struct delivery *d = p->d;
	const uint8_t *umem = p->t->umem;
	struct segment s;

	if (d->kind == DELIVERY_FRAME) {
		*at = umem + d->ref + d->payload_offset + p->done;
		*length = d->payload_length - p->done;
		if (*length > max)
			*length = max;
		p->done += *length;
		return *length > 0;
	}
	if (!segment_cursor_next(&p->t->aggregator.pool, &p->cursor, max, &s))
		return false;
	*at = umem + s.ref + s.offset;
	*length = s.length;
	return true;
}

/* Fills what is left of a span. -> bytes */
static uint32_t payload_copy(struct payload *p, struct span to)
{
	uint32_t done = 0, n;
	const uint8_t *from;

	while (done < to.length && payload_next(p, to.length - done, &from, &n)) {
		span_copy_in((struct span){ to.at + done, to.length - done },
			     from, n);
		done += n;
	}
	return done;
}

static void describe(const struct tto *t, const struct delivery *d,
		     struct vtoe_received *r)
{
	const uint8_t *head = tto_delivery_head(t, d);
	const uint8_t *ip = head + d->l3, *tcp = head + d->l4;
	bool six = ip[0] >> 4 == 6;
	unsigned bytes = six ? 16 : 4;

	memset(r, 0, sizeof(*r));
	r->local.family = r->remote.family = six ? VTOE_AF_INET6 : VTOE_AF_INET;
	memcpy(r->remote.ip, six ? ip + 8 : ip + 12, bytes);
	memcpy(r->local.ip, six ? ip + 24 : ip + 16, bytes);
	r->remote.port = bytes_get16(tcp);
	r->local.port = bytes_get16(tcp + 2);
	r->ecn = six ? ip[1] >> 4 & 3 : ip[1] & 3;
	r->head_bytes = (uint8_t)((tcp[12] >> 4) * 4);
	memcpy(r->head, tcp, r->head_bytes);
}

static struct vtoe_aggregate metadata(const struct delivery *d)
{
	struct vtoe_aggregate a = {
		.seq = d->seq,
		.ack = d->ack,
		.window = d->window,
		.segments = d->count,
		.max_segment = d->max_segment,
		.duplicate_acks = d->duplicate_acks < 255 ?
					  (uint8_t)d->duplicate_acks : 255,
		.end_reason = d->reason,
		.ts_value = d->ts_value,
		.ts_echo = d->ts_echo,
	};

	return a;
}

/* Takes the buffer on top; the guest has it from then on. */
static struct frame_buffer buffer_take(struct frame_lane *fl)
{
	return fl->buffers[--fl->buffer_count];
}

static void place(struct tto *t, struct claim *c, const struct delivery *d)
{
	struct frame_lane *fl = c->lane->frames;
	struct payload p = { .t = t, .d = d };
	struct vtoe_received r;
	struct vtoe_cqe cqe = {
		.user_data = c->user_data,
		.result = (int32_t)d->payload_length,
		.stream = c->id,
		.u.aggregate = metadata(d),
	};
	uint32_t done = 0, head = sizeof(r);

	segment_cursor_begin(&p.cursor, &d->segments);
	describe(t, d, &r);
	do {
		struct frame_buffer b = buffer_take(fl);
		struct span to = { b.at, b.length };

		if (head)
			span_copy_in(to, &r, head);
		to = (struct span){ b.at + head, b.length - head };
		cqe.length = payload_copy(&p, to);
		done += cqe.length;
		cqe.key = b.key;
		cqe.offset = b.offset;
		cqe.flags = VTOE_CQE_FRAME | VTOE_CQE_MORE;
		if (done < d->payload_length)
			cqe.flags |= VTOE_CQE_CONTINUED;
		region_put(c->lane->conn, b.region);
		lane_post(c->lane, &cqe, 0);
		head = 0;
	} while (done < d->payload_length);
}

/* -> false: not now */
static bool try_place(struct tto *t, struct claim *c, struct delivery *d)
{
	uint32_t n = buffers_for(c->lane->frames, d->payload_length);
	struct vtoe_stats *stats = t->device->stats;

	if (!n || !lane_has_room_for(c->lane, n))
		return false;
	place(t, c, d);
	if (t->capture)
		tto_capture_delivered(t, c, d);
	c->aggregates++;
	c->segments += d->count;
	c->rx_bytes += d->payload_length;
	stats->tto_aggregates++;
	stats->rx_bytes += d->payload_length;
	tto_delivery_end(t, d, false);
	return true;
}

void tto_delivery_end(struct tto *t, struct delivery *d, bool dropped)
{
	struct segment_cursor cursor;
	struct segment s;

	if (d->kind == DELIVERY_FRAME) {
		xsk_release(&t->xsk, (uint32_t)d->ref);
	} else {
		segment_cursor_begin(&cursor, &d->segments);
		while (segment_cursor_next(&t->aggregator.pool, &cursor,
					   UINT32_MAX, &s))
			if (s.whole)
				xsk_release(&t->xsk, (uint32_t)s.ref);
	}
	if (dropped)
		aggregate_drop(&t->aggregator, d);
	else
		aggregate_release(&t->aggregator, d);
}

/* -- waiting --------------------------------------------------------------- */

static void drop(struct tto *t, struct claim *c, struct delivery *d)
{
	c->dropped += d->count;
	t->device->stats->tto_dropped += d->count;
	tto_delivery_end(t, d, true);
}

void tto_place(struct tto *t, struct claim *c, struct delivery *d)
{
	struct frame_lane *fl = c->lane->frames;
	struct held *h = NULL;

	if (list_empty(&fl->held) && try_place(t, c, d))
		return;
	if (fl->held_frames + d->count <=
	    t->config.frames / HELD_SHARE - t->held_frames)
		h = pool_get(&t->held);
	if (!h) {
		drop(t, c, d);
		return;
	}
	h->claim = c;
	h->delivery = *d;
	list_init(&h->node);
	list_add_tail(&fl->held, &h->node);
	fl->held_frames += d->count;
	t->held_frames += d->count;
	t->device->stats->tto_held++;
	if (list_empty(&fl->node))
		list_add_tail(&t->waiting, &fl->node);
	lane_dirty(c->lane); /* it may be for room in the CQ */
}

static void held_free(struct tto *t, struct frame_lane *fl, struct held *h)
{
	fl->held_frames -= h->delivery.count;
	t->held_frames -= h->delivery.count;
	list_del(&h->node);
	pool_put(&t->held, h);
}

static void place_held_of(struct tto *t, struct frame_lane *fl)
{
	struct delivery d;
	struct held *h;
	struct claim *c;

	while (!list_empty(&fl->held)) {
		h = list_entry(fl->held.next, struct held, node);
		d = h->delivery;
		c = h->claim;
		if (try_place(t, c, &d)) {
			held_free(t, fl, h);
		} else if (buffers_for(fl, d.payload_length) >
			   c->lane->cq.size) {
			/* the CQ could never tell of it */
			held_free(t, fl, h);
			drop(t, c, &d);
		} else {
			lane_dirty(c->lane);
			return;
		}
	}
	list_del(&fl->node);
}

void tto_place_held_of(struct tto *t, struct lane *lane)
{
	place_held_of(t, lane->frames);
}

void tto_place_held(struct tto *t)
{
	struct list *at, *tmp;

	list_for_each_safe(at, tmp, &t->waiting)
		place_held_of(t, list_entry(at, struct frame_lane, node));
}

uint32_t tto_wants_room(const struct lane *lane)
{
	const struct frame_lane *fl = lane->frames;
	const struct held *h;

	if (list_empty(&fl->held))
		return 0;
	h = list_entry(fl->held.next, struct held, node);
	return buffers_for(fl, h->delivery.payload_length);
}

void tto_held_drop(struct tto *t, struct frame_lane *fl, const struct claim *c)
{
	struct list *at, *tmp;

	list_for_each_safe(at, tmp, &fl->held) {
		struct held *h = list_entry(at, struct held, node);
		struct delivery d = h->delivery;
		struct claim *of = h->claim;

		if (c && of != c)
			continue;
		held_free(t, fl, h);
		drop(t, of, &d);
	}
	if (list_empty(&fl->held))
		list_del(&fl->node);
}
