/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * aggregate.c - one frame in, deliveries out
 *
 * aggregate_push() is the path of a frame, from top to bottom: parse it, find
 * its flow, say which event it is, act on the event. Everything that an event
 * means is in two tables: frame.c and run.c name the event, event.c the action.
 *
 * An entry knows what its flow's next sequence number is (synced), or not: then
 * any segment begins anew. It is known after a data segment or a SYN, and lost
 * after a frame that could not be read to its end (options, fragments). An
 * entry never changes because of a frame that was not verified, so nobody
 * outside of the connection's path can do more than end a collection early.
 *
 * Where the number is wrong (a forged segment, or a connection that began anew
 * unseen), the flow's real segments look old, and each passes alone. After
 * OLD_MAX of them in a row the next one counts as the truth.
 *
 * A run that was held too long is closed when its flow's next frame comes, even
 * if aggregate_expire() has not been called for a while.
 */
#include "engine/aggregate_private.h"

#include "engine/header.h"

enum {
	OLD_MAX = 16
};

void aggregate_close_run(struct aggregator *a, struct flow *flow, struct run *r,
			 uint8_t reason, struct outbox *o)
{
	struct delivery *d;

	if (run_is_empty(r) || o->count == o->room)
		return;
	d = &o->at[o->count++];
	a->held_frames -= r->count;
	a->stats.agg_out++;
	a->stats.segs_in_agg += r->count;
	a->stats.ended[reason]++;
	header_make(d, r, reason, &a->config);
	if (flow->tx_valid) {
		d->flags |= DELIVERY_SENT;
		d->tx_next = flow->tx_next;
		d->tx_window = flow->tx_window;
	}
	list_del(&r->node);
	flow->held--;
}

void aggregate_close_flow(struct aggregator *a, struct flow *flow,
			  uint8_t reason, struct outbox *o)
{
	struct run *isle = aggregate_isle(a, flow);

	aggregate_close_run(a, flow, aggregate_run(a, flow), reason, o);
	if (!isle || run_is_empty(isle))
		return;
	flow->next = run_end(isle);
	aggregate_close_run(a, flow, isle, reason, o);
}

void aggregate_pass(struct aggregator *a, const struct flow *flow,
		    const struct frame *f, uint8_t reason, uint64_t now,
		    struct outbox *o)
{
	struct delivery *d = &o->at[o->count++];

	a->stats.pass_through++;
	a->stats.passed[reason]++;
	header_pass(d, f, reason, now);
	if (flow && flow->tx_valid) {
		d->flags |= DELIVERY_SENT;
		d->tx_next = flow->tx_next;
		d->tx_window = flow->tx_window;
	}
}

void aggregate_collect(struct aggregator *a, struct flow *flow, struct run *r,
		       const struct frame *f, uint64_t now, struct outbox *o)
{
	uint8_t done;

	if (run_is_empty(r)) {
		list_add_tail(&a->collecting, &r->node);
		flow->held++;
	}
	run_append(r, f, now, &a->pool);
	a->held_frames++;
	done = run_is_done(r, &a->config);
	if (done == END_NONE)
		return;
	if (r == aggregate_run(a, flow))
		aggregate_close_run(a, flow, r, done, o);
	else /* an isle never leaves before what comes before it */
		aggregate_close_flow(a, flow, done, o);
}

void aggregate_forget(struct aggregator *a, struct flow *flow)
{
	if (a->recent == flow)
		a->recent = NULL;
	flow_table_remove(&a->table, flow);
}

/* -- which event a frame is -- */

static struct flow *find_flow(struct aggregator *a, const struct frame *f,
			      uint64_t *hash)
{
	struct flow *flow = a->recent;

	*hash = 0;
	if (flow && flow_key_is(&flow->key, &f->key))
		return flow;
	*hash = flow_key_hash(&f->key, a->table.secret);
	flow = flow_table_find(&a->table, &f->key, *hash);
	if (flow)
		a->recent = flow;
	return flow;
}

static int32_t distance(uint32_t from, uint32_t to)
{
	return (int32_t)(to - from);
}

/* T32, T33: a segment without payload. -> END_NONE: it may be merged */
static uint8_t pure_ack_event(const struct aggregator *a, struct flow *flow,
			      const struct frame *f)
{
	const struct run *r = aggregate_run(a, flow);
	const struct aggregate_config *c = &a->config;
	bool again = flow->acked && f->ack == flow->last_ack &&
		     f->window == flow->last_window;

	flow->duplicates = again ? flow->duplicates + 1u : 0;
	if (again && flow->duplicates > c->duplicate_max) {
		flow->duplicates = c->duplicate_max; /* it must not wrap */
		return END_DUPLICATE_ACK;
	}
	if (!c->ack_merge_max || (flow->synced && f->seq != flow->next) ||
	    (!run_is_empty(r) && r->pure_acks >= c->ack_merge_max))
		return END_PURE_ACK;
	return run_fits(r, f, c);
}

/* T20 to T22, and then whatever the run says. */
static uint8_t data_event(struct aggregator *a, struct flow *flow,
			  const struct frame *f)
{
	int32_t ahead = distance(flow->next, f->seq);
	uint8_t event;

	flow->duplicates = 0;
	if (flow->synced && ahead < 0) {
		a->stats.dup++;
		if (++flow->old > OLD_MAX &&
		    run_may_begin(f, &a->config) == END_NONE) {
			flow->old = 0;
			return EVENT_RESTART;
		}
		if (distance(flow->next, f->seq + f->payload_length) <= 0)
			return END_DUPLICATE;
		return END_OVERLAP;
	}
	flow->old = 0;
	if (flow->synced && ahead > 0) {
		a->stats.ooo++;
		event = run_may_begin(f, &a->config);
		return event == END_NONE ? END_GAP : event;
	}
	return run_fits(aggregate_run(a, flow), f, &a->config);
}

/* Of a frame with an entry. May read the payload, for the checksum. */
static uint8_t flow_event(struct aggregator *a, struct flow *flow,
			  struct frame *f)
{
	bool known = frame_verify(f, &a->stats.touched_bytes);

	switch (f->event) {
	case END_BAD_IP:
	case END_BAD_TCP: /* malformed */
	case END_IP_OPTIONS:
	case END_FRAGMENT:
		return f->event;
	default:
		break;
	}
	if (!known) {
		a->stats.bad_tcp++;
		return END_BAD_TCP;
	}
	if (f->event != END_NONE)
		return f->event;
	if (!f->payload_length)
		return pure_ack_event(a, flow, f);
	return data_event(a, flow, f);
}

/* -- acting on it -- */

/* B3 */
static bool may_open(const struct aggregator *a, const struct frame *f)
{
	if (a->config.create == CREATE_ON_SYN)
		return f->event == END_SYN;
	return f->event == END_NONE &&
	       (f->payload_length || a->config.ack_merge_max);
}

/* B5: an entry for a frame that has none; a victim's data comes out. */
static struct flow *open_flow(struct aggregator *a, const struct frame *f,
			      uint64_t hash, struct outbox *o)
{
	struct flow *flow;

	flow = flow_table_place(&a->table, hash);
	if (flow->in_use) {
		a->stats.flt_evictions++;
		aggregate_close_flow(a, flow, END_TABLE_FULL, o);
		aggregate_forget(a, flow);
	}
	flow_table_take(&a->table, flow, &f->key, hash);
	a->recent = flow;
	return flow;
}

/* The part of the flow's state that any verified segment brings forward. */
static void advance(struct flow *flow, const struct frame *f)
{
	uint32_t end = f->seq + frame_sequence_length(f);

	if (!f->verified || !f->has_tcp)
		return;
	if (f->tcp_flags & TCP_ACK) {
		flow->acked = true;
		flow->last_ack = f->ack;
		flow->last_window = f->window;
	}
	if (flow->synced && distance(f->seq, flow->next) >= 0 &&
	    distance(flow->next, end) > 0)
		flow->next = end;
}

static void apply_effect(struct aggregator *a, struct flow *flow,
			 const struct frame *f, uint8_t effect)
{
	switch (effect) {
	case EFFECT_FORGET:
		aggregate_forget(a, flow);
		break;
	case EFFECT_REOPEN:
		flow->synced = true;
		flow->next = f->seq + frame_sequence_length(f);
		flow->acked = false;
		flow->duplicates = flow->old = 0;
		break;
	case EFFECT_UNKNOWN:
		flow->synced = false;
		break;
	default:
		break;
	}
}

/* Whether the frame of an event is collected, and does not pass. */
static bool is_held(uint8_t event)
{
	return event == END_NONE || event_rules[event].action == ACTION_CS;
}

/* It is to be held: alone in a new run (CS), or behind what is there. */
static void hold(struct aggregator *a, struct flow *flow, const struct frame *f,
		 uint8_t event, uint64_t now, struct outbox *o)
{
	struct run *r = aggregate_run(a, flow);
	bool again = flow->acked && f->ack == flow->last_ack &&
		     f->window == flow->last_window;

	if (event != END_NONE)
		aggregate_close_run(a, flow, r, event_rules[event].reason, o);
	flow->synced = true;
	if (f->payload_length)
		flow->proven = true;
	flow->next = f->seq + f->payload_length;
	advance(flow, f);
	if (!segment_list_has_room(&a->pool, &r->segments)) {
		aggregate_close_flow(a, flow, END_RESOURCE, o);
		aggregate_pass(a, flow, f, END_RESOURCE, now, o);
		return;
	}
	if (!f->payload_length && again && !run_is_empty(r))
		r->duplicate_acks++;
	aggregate_collect(a, flow, r, f, now, o);
}

static void act(struct aggregator *a, struct flow *flow, const struct frame *f,
		uint8_t event, uint64_t now, struct outbox *o)
{
	const struct event_rule *rule = &event_rules[event];

	if (is_held(event)) {
		hold(a, flow, f, event, now, o);
		return;
	}
	aggregate_close_flow(a, flow, rule->reason, o);
	aggregate_pass(a, flow, f, rule->reason, now, o);
	advance(flow, f);
	apply_effect(a, flow, f, rule->effect);
}

static bool is_late(const struct aggregator *a, const struct run *r,
		    uint64_t now)
{
	return r && !run_is_empty(r) &&
	       (int64_t)(now - r->first_at) >= (int64_t)a->config.timeout;
}

/* What time and lack of room bring about before the frame is looked at. */
static void make_room(struct aggregator *a, struct flow *flow, uint64_t now,
		      struct outbox *o)
{
	struct run *oldest;

	if (flow && flow->held &&
	    (is_late(a, aggregate_run(a, flow), now) ||
	     is_late(a, aggregate_isle(a, flow), now)))
		aggregate_close_flow(a, flow, END_TIMER, o);
	if (a->held_frames < a->config.hold_max)
		return;
	oldest = list_entry(a->collecting.next, struct run, node);
	aggregate_close_flow(a, aggregate_flow(a, oldest), END_LOW_BUFFERS, o);
}

static bool is_bad(const struct aggregator *a, const struct frame *f,
		   uint8_t event)
{
	return a->config.drop_bad && !f->malformed &&
	       (event == END_BAD_IP || event == END_BAD_TCP);
}

/* Finds its flow, or opens one, and says which event it is there. */
static uint8_t classify(struct aggregator *a, struct frame *f,
			struct flow **flow, uint64_t now, struct outbox *o)
{
	bool chosen = f->in.flags & FRAME_CHOSEN && a->config.mode;
	uint64_t hash;

	*flow = NULL;
	if (!f->has_flow)
		return f->event;
	*flow = find_flow(a, f, &hash);
	make_room(a, *flow, now, o);
	if (!chosen) {
		/* it was, and nobody said that it is not any more */
		if (*flow)
			aggregate_close_flow(a, *flow, END_OWNER, o);
		return PASS_NOT_CHOSEN;
	}
	if (*flow)
		return flow_event(a, *flow, f);
	if (may_open(a, f)) {
		if (!frame_verify(f, &a->stats.touched_bytes)) {
			a->stats.bad_tcp++;
			return END_BAD_TCP;
		}
		*flow = open_flow(a, f, hash, o);
		return flow_event(a, *flow, f);
	}
	if (f->event != END_NONE)
		return f->event;
	return f->payload_length ? PASS_NO_ENTRY : END_PURE_ACK;
}

unsigned aggregate_push(struct aggregator *a, const struct frame_input *in,
			uint64_t now, struct delivery out[AGGREGATE_OUT])
{
	struct outbox o = { out, 0, AGGREGATE_OUT };
	struct flow *flow;
	struct frame f;
	uint8_t event;

	a->stats.rx_frames++;
	a->stats.rx_bytes += in->length;
	frame_parse(&f, in);
	a->stats.malformed += f.malformed;
	a->stats.bad_ip += f.event == END_BAD_IP && !f.malformed;
	event = classify(a, &f, &flow, now, &o);
	if (is_bad(a, &f, event)) {
		a->stats.drops_bad++;
		return o.count | AGGREGATE_DROPPED;
	}
	if (!flow) {
		aggregate_pass(a, NULL, &f, event, now, &o);
		return o.count;
	}
	flow->used_at = now;
	if (!is_held(event) || !a->isles || !f.payload_length ||
	    !isle_take(a, flow, &f, now, &o))
		act(a, flow, &f, event, now, &o);
	return o.count;
}
