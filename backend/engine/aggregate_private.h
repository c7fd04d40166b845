/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * aggregate_private.h - what the files of the aggregator share
 */
#ifndef VTOE_ENGINE_AGGREGATE_PRIVATE_H
#define VTOE_ENGINE_AGGREGATE_PRIVATE_H

#include "engine/aggregate.h"

/* The caller's array, as it is filled. */
struct outbox {
	struct delivery *at;
	unsigned count;
	unsigned room;
};

static inline struct run *aggregate_run(const struct aggregator *a,
					const struct flow *flow)
{
	return &a->runs[flow - a->table.flows];
}

/* NULL: isles are off. */
static inline struct run *aggregate_isle(const struct aggregator *a,
					 const struct flow *flow)
{
	return a->isles ? &a->isles[flow - a->table.flows] : NULL;
}

/* Of a run, or of an isle. */
static inline struct flow *aggregate_flow(const struct aggregator *a,
					  const struct run *r)
{
	if (a->isles && r >= a->isles)
		return &a->table.flows[r - a->isles];
	return &a->table.flows[r - a->runs];
}

/* An empty run gives no delivery. */
void aggregate_close_run(struct aggregator *a, struct flow *flow, struct run *r,
			 uint8_t reason, struct outbox *o);
/* Both runs of a flow: at most two deliveries. What is expected next is then
 * what follows the last of them. */
void aggregate_close_flow(struct aggregator *a, struct flow *flow,
			  uint8_t reason, struct outbox *o);
void aggregate_pass(struct aggregator *a, const struct flow *flow,
		    const struct frame *f, uint8_t reason, uint64_t now,
		    struct outbox *o);
/* Needs room in the pool, and that it fits. Closes the run if the frame ends
 * it. */
void aggregate_collect(struct aggregator *a, struct flow *flow, struct run *r,
		       const struct frame *f, uint64_t now, struct outbox *o);
/* Removes an entry that holds nothing. */
void aggregate_forget(struct aggregator *a, struct flow *flow);

/*
 * C8, for a data segment that would be held. -> whether that settled it; else
 * it is to be treated as if there were no isles.
 */
bool isle_take(struct aggregator *a, struct flow *flow, const struct frame *f,
	       uint64_t now, struct outbox *o);

#endif
