/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * aggregate_isle.c - a second run of a flow, beyond a gap (MECHANISMS C8)
 *
 * When the wire has reordered frames, a gap closes itself within a few frames.
 * With an isle the run before the gap goes on collecting meanwhile, and so does
 * the one behind it. Nothing is ever merged across the gap.
 *
 * An isle lives only until the gap is closed or anything else happens: whatever
 * makes it leave makes the run before it leave first, and what is expected next
 * is then what follows the isle. So no gap is remembered, and a segment that
 * fills one late passes alone, as an old one.
 *
 * A segment that fills the gap and was sent later than the isle, by its TSval,
 * is a retransmission. It must not leave before the isle: a receiver takes its
 * TSval for the newest, and then refuses the isle's (PAWS, RFC 7323 5.3).
 */
#include "engine/aggregate_private.h"

static int32_t distance(uint32_t from, uint32_t to)
{
	return (int32_t)(to - from);
}

/* Everything leaves, then the frame alone. */
static bool isle_end(struct aggregator *a, struct flow *flow,
		     const struct frame *f, uint8_t reason, uint64_t now,
		     struct outbox *o)
{
	uint32_t end = f->seq + f->payload_length;

	aggregate_close_flow(a, flow, reason, o);
	aggregate_pass(a, flow, f, reason, now, o);
	if (distance(flow->next, end) > 0)
		flow->next = end;
	return true;
}

/* T23: the frame closes the gap. Joined with the isle if the two fit; else in
 * the order of arrival. */
static bool isle_join(struct aggregator *a, struct flow *flow,
		      const struct frame *f, uint64_t now, struct outbox *o)
{
	struct run *isle = aggregate_isle(a, flow);
	struct run *r = aggregate_run(a, flow);

	aggregate_close_run(a, flow, r, END_JOIN, o);
	if (!segment_list_has_room(&a->pool, &r->segments))
		return isle_end(a, flow, f, END_RESOURCE, now, o);
	flow->next = run_end(isle);
	run_append(r, f, now, &a->pool);
	list_add_tail(&a->collecting, &r->node);
	a->held_frames++;
	flow->held++;
	if (run_fits_run(r, isle, &a->config)) {
		run_join(r, isle, &a->pool);
		list_del(&isle->node);
		flow->held--;
	}
	aggregate_close_run(a, flow, isle, END_JOIN, o);
	aggregate_close_run(a, flow, r, END_JOIN, o);
	return true;
}

/* The frame is the next one, before an isle. */
static bool isle_before(struct aggregator *a, struct flow *flow,
			const struct frame *f, uint64_t now, struct outbox *o)
{
	struct run *isle = aggregate_isle(a, flow);
	uint32_t end = f->seq + f->payload_length;

	if (end == isle->seq)
		return isle_join(a, flow, f, now, o);
	if (distance(isle->seq, end) > 0)
		return isle_end(a, flow, f, END_OVERLAP, now, o);
	if (f->has_timestamp && isle->has_timestamp &&
	    distance(isle->ts_first, f->ts_value) > 0)
		return isle_end(a, flow, f, END_TIMESTAMP, now, o);
	return false;
}

/* The frame is beyond a gap. */
static bool isle_beyond(struct aggregator *a, struct flow *flow,
			const struct frame *f, uint64_t now, struct outbox *o)
{
	struct run *isle = aggregate_isle(a, flow);
	uint32_t end = f->seq + f->payload_length;
	uint8_t event;

	if (!run_is_empty(isle) && f->seq != run_end(isle)) {
		if (distance(run_end(isle), f->seq) > 0) {
			aggregate_close_flow(a, flow, END_GAP, o);
			return false; /* it begins anew (CS) */
		}
		event = distance(isle->seq, end) <= 0 ? END_GAP : END_OVERLAP;
		return isle_end(a, flow, f, event, now, o);
	}
	event = run_fits(isle, f, &a->config);
	if (event == END_NONE &&
	    !segment_list_has_room(&a->pool, &isle->segments))
		event = END_RESOURCE;
	if (event == END_NONE) {
		aggregate_collect(a, flow, isle, f, now, o);
		return true;
	}
	aggregate_close_flow(a, flow, event_rules[event].reason, o);
	return false;
}

bool isle_take(struct aggregator *a, struct flow *flow, const struct frame *f,
	       uint64_t now, struct outbox *o)
{
	int32_t ahead = distance(flow->next, f->seq);

	if (!flow->synced || ahead < 0)
		return false;
	if (ahead > 0)
		return isle_beyond(a, flow, f, now, o);
	if (run_is_empty(aggregate_isle(a, flow)))
		return false;
	return isle_before(a, flow, f, now, o);
}
