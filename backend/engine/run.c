/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run.c - the criteria of collection (MECHANISMS C), and collecting
 *
 * The order of the tests is the order of what a mistake would cost: what tells
 * one kind of segment from another (C3), then what would be lost by taking the
 * last value for all (C4, T34, T35), then limits (T24). In reversible mode
 * nothing may be lost, so everything that the header has only once must be the
 * same, and only the last segment may be shorter.
 */
#include "engine/run.h"

#include "engine/checksum.h"

enum {
	IP_MAX = 65535,
	IPV6_HEADER = 40
};

void run_init(struct run *r)
{
	list_init(&r->node);
	segment_list_init(&r->segments);
	r->count = 0;
}

static int32_t distance(uint32_t from, uint32_t to)
{
	return (int32_t)(to - from);
}

/* C3 */
static uint8_t shape_event(const struct frame_shape *a,
			   const struct frame_shape *b)
{
	uint64_t link = (a->link[0] ^ b->link[0]) | (a->link[1] ^ b->link[1]) |
			(a->link[2] ^ b->link[2]);
	uint64_t network = a->network ^ b->network;

	if (!(link | network))
		return END_NONE;
	if (link)
		return END_LINK;
	if (network & SHAPE_TOS)
		return END_TOS;
	if (network & SHAPE_TTL)
		return END_TTL;
	if (network & SHAPE_FLOW_LABEL)
		return END_FLOW_LABEL;
	if (network & SHAPE_FRAGMENT_BITS)
		return END_DF;
	return END_TIMESTAMP;
}

uint8_t run_may_begin(const struct frame *f, const struct aggregate_config *c)
{
	if (f->has_timestamp && !f->ts_echo)
		return EVENT_TS_OLD; /* C4 */
	if (f->payload_length > c->bytes_max)
		return EVENT_OVERSIZE;
	return END_NONE;
}

static bool window_ends(const struct run *r, uint32_t ack, uint16_t window,
			const struct aggregate_config *c)
{
	if (window == r->window)
		return false;
	if (c->window == WINDOW_ANY || c->mode == AGGREGATE_REVERSIBLE)
		return true;
	return !window || !r->window || (window < r->window && ack == r->ack);
}

static uint8_t ack_event(const struct run *r, uint32_t ack, uint16_t window,
			 const struct aggregate_config *c)
{
	uint32_t max = c->mode == AGGREGATE_REVERSIBLE ? 0 : c->ack_change_max;

	/* an older ACK would hide a newer one (E2) */
	if (distance(r->ack, ack) < 0)
		return END_ACK_CHANGES;
	if (ack != r->ack && r->ack_changes >= max)
		return END_ACK_CHANGES;
	if (window_ends(r, ack, window, c))
		return END_WINDOW;
	return END_NONE;
}

/* What IP's 16-bit length allows (T24). */
static uint32_t payload_max(uint32_t l3, uint32_t header, uint8_t version,
			    const struct aggregate_config *c)
{
	uint32_t counted = header - l3;
	uint32_t most;

	if (version == FLOW_IPV6)
		counted -= IPV6_HEADER;
	most = IP_MAX - counted;
	return most < c->bytes_max ? most : c->bytes_max;
}

static uint8_t reversible_event(const struct run *r, const struct frame *f)
{
	uint16_t step = (uint16_t)(f->ip_id - r->last_id);
	bool df = f->shape.network & SHAPE_DF;

	if (f->has_timestamp &&
	    (f->ts_value != r->ts_last || f->ts_echo != r->ts_echo))
		return END_TIMESTAMP;
	if (f->payload_length > r->first_length)
		return END_LARGER;
	if (r->version == FLOW_IPV6)
		return END_NONE;
	/* a fixed one is right only where nothing is ever fragmented */
	if (r->count == 1 ? !(step == 1 || (!step && df))
			  : step != !r->fixed_id)
		return END_IP_ID;
	return END_NONE;
}

uint8_t run_fits(const struct run *r, const struct frame *f,
		 const struct aggregate_config *c)
{
	uint8_t event = run_may_begin(f, c);

	if (event != END_NONE || run_is_empty(r))
		return event;
	event = shape_event(&r->shape, &f->shape);
	if (event != END_NONE)
		return event;
	if (f->has_timestamp && distance(r->ts_last, f->ts_value) < 0)
		return EVENT_TS_OLD;
	if (c->mode == AGGREGATE_REVERSIBLE) {
		event = reversible_event(r, f);
		if (event != END_NONE)
			return event;
	}
	if (r->bytes + f->payload_length >
	    payload_max(r->l3, r->header_length, r->version, c))
		return END_BYTES;
	return ack_event(r, f->ack, f->window, c);
}

static void run_begin(struct run *r, const struct frame *f, uint64_t now)
{
	r->first_at = now;
	r->first_ref = f->in.ref;
	r->sum = 0;
	r->shape = f->shape;
	r->seq = f->seq;
	r->bytes = 0;
	r->ack = f->ack;
	r->ts_first = f->ts_value;
	r->owner = f->in.owner;
	r->window = f->window;
	r->tcp_flags = 0;
	r->pure_acks = r->duplicate_acks = r->ack_changes = 0;
	r->max_segment = 0;
	r->first_length = (uint16_t)f->payload_length;
	r->fixed_id = false;
	r->l3 = (uint8_t)f->l3;
	r->l4 = (uint8_t)f->l4;
	r->header_length = (uint8_t)f->payload;
	r->version = f->version;
	r->has_timestamp = f->has_timestamp;
	memcpy(r->header, f->head, FRAME_HEAD);
}

void run_append(struct run *r, const struct frame *f, uint64_t now,
		struct segment_pool *p)
{
	uint64_t sum;

	if (run_is_empty(r))
		run_begin(r, f, now);
	else if (r->count == 1)
		r->fixed_id = f->ip_id == r->last_id;
	segment_list_append(p, &r->segments, f->in.ref, f->payload,
			    f->payload_length);
	sum = frame_header_sum(f);
	r->sum += r->bytes & 1 ? checksum_shift(sum) : sum;
	r->bytes += f->payload_length;
	r->count++;
	r->ack_changes += f->ack != r->ack;
	r->ack = f->ack;
	r->window = f->window;
	r->tcp_flags |= f->tcp_flags;
	r->ts_last = f->ts_value;
	r->ts_echo = f->ts_echo;
	r->last_id = f->ip_id;
	r->last_length = (uint16_t)f->payload_length;
	if (r->last_length > r->max_segment)
		r->max_segment = r->last_length;
	r->pure_acks += !f->payload_length;
}

uint8_t run_is_done(const struct run *r, const struct aggregate_config *c)
{
	if (r->tcp_flags & TCP_PSH && !c->push_joins)
		return END_PSH;
	if (!r->last_length)
		return r->count >= c->count_max ? END_COUNT : END_NONE;
	if (r->last_length < (c->runt ? c->runt : r->max_segment) ||
	    (c->mode == AGGREGATE_REVERSIBLE &&
	     r->last_length < r->first_length))
		return END_RUNT;
	return r->count >= c->count_max ? END_COUNT : END_NONE;
}

bool run_fits_run(const struct run *r, const struct run *later,
		  const struct aggregate_config *c)
{
	if (later->seq != run_end(r) ||
	    (r->tcp_flags & TCP_PSH && !c->push_joins) ||
	    shape_event(&r->shape, &later->shape) != END_NONE)
		return false;
	if (r->has_timestamp && distance(r->ts_last, later->ts_first) < 0)
		return false;
	if (c->mode == AGGREGATE_REVERSIBLE)
		return false; /* the IDs would not count up */
	if (r->bytes + later->bytes >
		    payload_max(r->l3, r->header_length, r->version, c) ||
	    r->count + later->count > c->count_max)
		return false;
	return r->ack == later->ack && r->window == later->window;
}

void run_join(struct run *r, struct run *later, struct segment_pool *p)
{
	segment_list_join(p, &r->segments, &later->segments);
	r->sum += r->bytes & 1 ? checksum_shift(later->sum) : later->sum;
	r->bytes += later->bytes;
	r->count += later->count;
	r->ack_changes += later->ack_changes;
	r->tcp_flags |= later->tcp_flags;
	r->ts_last = later->ts_last;
	r->ts_echo = later->ts_echo;
	r->last_length = later->last_length;
	if (later->max_segment > r->max_segment)
		r->max_segment = later->max_segment;
	if (later->first_at < r->first_at)
		r->first_at = later->first_at;
	later->count = 0;
}
