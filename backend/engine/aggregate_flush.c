/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * aggregate_flush.c - setting up, and everything that no frame causes
 *
 * Runs that collect are in one list, oldest first; with one timeout for all,
 * that is also the order in which they expire, so the timer looks at the head
 * only. Entries that rest are found by a sweep: each call of the timer looks at
 * a few slots, so a full round costs nobody a pause.
 */
#include "engine/aggregate_private.h"

#include <errno.h>
#include <string.h>

enum {
	SWEEP = 4
};

static size_t round_up(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

static uint32_t run_count(const struct aggregate_config *c)
{
	return c->isle ? 2 * c->flows : c->flows;
}

/* Each run ends in a chunk that may be nearly empty, and others are full. */
static uint32_t chunk_count(const struct aggregate_config *c)
{
	uint32_t runs = run_count(c);

	return (runs < c->hold_max ? runs : c->hold_max) +
	       c->hold_max / SEGMENTS_PER_CHUNK + c->backlog;
}

size_t aggregate_bytes(const struct aggregate_config *c)
{
	if (aggregate_config_check(c))
		return 0;
	return flow_table_bytes(c->flows) +
	       round_up(run_count(c) * sizeof(struct run)) +
	       segment_pool_bytes(chunk_count(c));
}

int aggregate_init(struct aggregator *a, const struct aggregate_config *c,
		   void *memory, size_t bytes)
{
	size_t needed = aggregate_bytes(c);
	uint8_t *at = memory;
	uint32_t i;

	if (!needed || (uintptr_t)memory & 63)
		return -EINVAL;
	if (bytes < needed)
		return -ENOSPC;
	memset(a, 0, sizeof(*a));
	a->config = *c;
	list_init(&a->collecting);
	flow_table_init(&a->table, c->flows, c->secret, at);
	at += flow_table_bytes(c->flows);
	a->runs = (struct run *)at;
	if (c->isle)
		a->isles = a->runs + c->flows;
	for (i = 0; i < run_count(c); i++)
		run_init(&a->runs[i]);
	at += round_up(run_count(c) * sizeof(struct run));
	segment_pool_init(&a->pool, chunk_count(c), at);
	return 0;
}

int aggregate_set_config(struct aggregator *a, const struct aggregate_config *c)
{
	const struct aggregate_config *old = &a->config;

	if (a->held_frames)
		return -EBUSY;
	if (aggregate_config_check(c) || c->flows != old->flows ||
	    c->hold_max != old->hold_max || c->backlog != old->backlog ||
	    c->isle != old->isle || c->secret[0] != old->secret[0] ||
	    c->secret[1] != old->secret[1])
		return -EINVAL;
	a->config = *c;
	return 0;
}

/* -- endings -- */

/* A flush needs one of class CO. */
static bool is_reason(enum end_reason reason)
{
	return (unsigned)reason < END_REASONS &&
	       event_rules[reason].action == ACTION_CO;
}

static void flush_flow(struct aggregator *a, struct flow *flow,
		       enum end_reason reason, struct outbox *o)
{
	aggregate_close_flow(a, flow, (uint8_t)reason, o);
	if (event_rules[reason].effect == EFFECT_FORGET)
		aggregate_forget(a, flow);
}

/* of_owner: only of that one */
static unsigned flush(struct aggregator *a, const uint32_t *of_owner,
		      enum end_reason reason, struct delivery *out,
		      unsigned room)
{
	struct outbox o = { out, 0, room };
	struct list *at;
	struct flow *flow;

	if (!is_reason(reason))
		return 0;
	/* closing a flow takes two runs out of the list, the second of which
	 * may be the next one: so the list is entered anew */
	for (at = a->collecting.next;
	     at != &a->collecting && o.count + 2 <= room;) {
		flow = aggregate_flow(a, list_entry(at, struct run, node));
		if (of_owner && (uint32_t)flow->key.ports != *of_owner) {
			at = at->next;
			continue;
		}
		flush_flow(a, flow, reason, &o);
		at = a->collecting.next;
	}
	return o.count;
}

unsigned aggregate_flush(struct aggregator *a, enum end_reason reason,
			 struct delivery *out, unsigned room)
{
	return flush(a, NULL, reason, out, room);
}

unsigned aggregate_flush_owner(struct aggregator *a, uint32_t owner,
			       enum end_reason reason, struct delivery *out,
			       unsigned room)
{
	return flush(a, &owner, reason, out, room);
}

static struct flow *find(struct aggregator *a, const struct flow_key *key)
{
	return flow_table_find(&a->table, key,
			       flow_key_hash(key, a->table.secret));
}

unsigned aggregate_flush_flow(struct aggregator *a, const struct flow_key *key,
			      enum end_reason reason, struct delivery *out,
			      unsigned room)
{
	struct outbox o = { out, 0, room };
	struct flow *flow = find(a, key);

	if (flow && room >= 2 && is_reason(reason))
		flush_flow(a, flow, reason, &o);
	return o.count;
}

static void sweep(struct aggregator *a, uint64_t now)
{
	struct flow *flow;
	unsigned i;

	for (i = 0; a->config.idle && i < SWEEP; i++) {
		flow = &a->table.flows[a->sweep++ & a->table.mask];
		if (!flow->in_use || flow->held ||
		    (int64_t)(now - flow->used_at) < (int64_t)a->config.idle)
			continue;
		aggregate_forget(a, flow);
		a->stats.flt_idle++;
	}
}

unsigned aggregate_expire(struct aggregator *a, uint64_t now,
			  struct delivery *out, unsigned room)
{
	struct outbox o = { out, 0, room };
	struct run *oldest;

	while (!list_empty(&a->collecting) && o.count + 2 <= room) {
		oldest = list_entry(a->collecting.next, struct run, node);
		if ((int64_t)(now - oldest->first_at) <
		    (int64_t)a->config.timeout)
			break;
		aggregate_close_flow(a, aggregate_flow(a, oldest), END_TIMER,
				     &o);
	}
	sweep(a, now);
	return o.count;
}

uint64_t aggregate_deadline(const struct aggregator *a)
{
	const struct run *oldest;

	if (list_empty(&a->collecting))
		return UINT64_MAX;
	oldest = list_entry(a->collecting.next, struct run, node);
	return oldest->first_at + a->config.timeout;
}

/* -- deliveries that are done with -- */

void aggregate_release(struct aggregator *a, struct delivery *d)
{
	segment_list_release(&a->pool, &d->segments);
}

void aggregate_drop(struct aggregator *a, struct delivery *d)
{
	struct aggregate_stats *s = &a->stats;

	s->drops_delivery += d->count;
	if (d->kind == DELIVERY_FRAME) {
		s->pass_through--;
		s->passed[d->reason]--;
	} else {
		s->agg_out--;
		s->segs_in_agg -= d->count;
		s->ended[d->reason]--;
	}
	aggregate_release(a, d);
}

/* -- control -- */

int aggregate_forget_owner(struct aggregator *a, uint32_t owner)
{
	struct flow *flow;
	int result = 0;
	uint32_t i;

	for (i = 0; i <= a->table.mask; i++) {
		flow = &a->table.flows[i];
		if (!flow->in_use || (uint32_t)flow->key.ports != owner)
			continue;
		if (flow->held)
			result = -EBUSY;
		else
			aggregate_forget(a, flow);
	}
	return result;
}

int aggregate_forget_flow(struct aggregator *a, const struct flow_key *key)
{
	struct flow *flow = find(a, key);

	if (!flow)
		return 0;
	if (flow->held)
		return -EBUSY;
	aggregate_forget(a, flow);
	return 0;
}

void aggregate_note_sent(struct aggregator *a, const struct frame_input *in)
{
	struct flow_key key;
	struct flow *flow;
	struct frame f;
	uint32_t end;

	frame_parse(&f, in);
	if (!f.has_tcp)
		return;
	flow_key_reverse(&key, &f.key);
	flow = find(a, &key);
	if (!flow)
		return;
	end = f.seq + frame_sequence_length(&f);
	if (!flow->tx_valid || f.tcp_flags & TCP_SYN ||
	    (int32_t)(end - flow->tx_next) > 0)
		flow->tx_next = end;
	flow->tx_window = f.window;
	flow->tx_valid = true;
}
