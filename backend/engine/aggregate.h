/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * aggregate.h - receive aggregation, the whole of it (MECHANISMS A to E)
 *
 *	aggregate_push(a, &frame, now, out)      one frame in, deliveries out
 *	aggregate_expire(a, now, out, room)      the timer (T28)
 *	aggregate_flush*(a, ..., reason, ...)    T29, T31, T39 to T43
 *	aggregate_release(a, &delivery)          when a delivery is done with
 *
 * Deliveries are in the order in which the guest must see them, and are to be
 * handed on in that order: what a flow held leaves before any later frame of
 * the flow (E14).
 *
 * Whose is what:
 * - All memory of the aggregator is the caller's; it calls nothing and keeps no
 *   pointer into a frame.
 * - A frame (frame_input.ref) is the aggregator's from the call that takes it
 *   until it comes out: as a delivery, or named in a delivery's segments, or,
 *   when aggregate_push() says that it dropped it, at once. Until then its
 *   payload must stay where it is. From then on it is the caller's again,
 *   whether or not the delivery has been released.
 * - A delivery is the caller's to keep. The segments of an aggregate are in the
 *   aggregator's memory until aggregate_release(); a caller that cannot place
 *   it yet (T45) keeps it, and the frames, for that long. There are as many
 *   chunks as the configuration says; when they are all out, frames pass alone.
 *   What cannot be placed at all is given to aggregate_drop().
 *
 * When to flush is the caller's policy. What a peer sends at once usually ends
 * itself (PSH, a shorter segment); for the rest, aggregate_flush(END_BATCH)
 *when the receive queue is found empty keeps latency (T29), and leaving it to
 *the timer collects more of many flows.
 *
 * `now` is any clock that does not go back, in the units of the configuration.
 * No call fails because of what is in a frame.
 */
#ifndef VTOE_ENGINE_AGGREGATE_H
#define VTOE_ENGINE_AGGREGATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "engine/aggregate_config.h"
#include "engine/delivery.h"
#include "engine/event.h"
#include "engine/flow_table.h"
#include "engine/frame.h"
#include "engine/run.h"
#include "engine/segment.h"

/*
 * At any time: rx_frames = held_frames + segs_in_agg + pass_through + drops.
 * The sum of ended is agg_out, that of passed is pass_through.
 */
struct aggregate_stats {
	uint64_t rx_frames;
	uint64_t rx_bytes;
	uint64_t agg_out;	 /* aggregates that came out */
	uint64_t segs_in_agg;	 /* frames in them */
	uint64_t pass_through;	 /* frames that came out alone, as they were */
	uint64_t drops_bad;	 /* frames: drop_bad */
	uint64_t drops_delivery; /* frames: aggregate_drop() (T45) */
	uint64_t ended[END_REASONS];  /* aggregates, by reason */
	uint64_t passed[END_REASONS]; /* frames, by reason */
	uint64_t malformed;	      /* frames (A2) */
	uint64_t bad_ip;	      /* IPv4 header checksums (A3) */
	uint64_t bad_tcp;	      /* TCP checksums (A4) */
	uint64_t ooo;		      /* segments ahead of what was expected */
	uint64_t dup;		      /* segments (partly) behind it */
	uint64_t flt_evictions;	      /* entries that were victims (T30) */
	uint64_t flt_idle;	      /* entries that went for resting (B7) */
	uint64_t touched_bytes;	      /* payload and TCP header bytes that were
				       * read for checksums */
};

struct aggregator {
	struct aggregate_config config;
	struct flow_table table;
	struct segment_pool pool;
	struct run *runs;	/* one for each slot of the table */
	struct run *isles;	/* likewise, or NULL (C8) */
	struct list collecting; /* runs, oldest first */
	struct flow *recent;	/* that of the last frame, or NULL */
	uint32_t held_frames;
	uint32_t sweep; /* the next slot to look at for rest */
	struct aggregate_stats stats;
};

/* 0: the configuration is bad. */
size_t aggregate_bytes(const struct aggregate_config *c);
/* memory: aligned to 64, of aggregate_bytes(). -> 0, -EINVAL, -ENOSPC */
int aggregate_init(struct aggregator *a, const struct aggregate_config *c,
		   void *memory, size_t bytes);

/* -- frames -- */

#define AGGREGATE_DROPPED (1u << 31)

/*
 * Takes one frame. -> how many deliveries it caused; with AGGREGATE_DROPPED if
 * the frame is not in them, and not held, but the caller's again.
 */
unsigned aggregate_push(struct aggregator *a, const struct frame_input *in,
			uint64_t now, struct delivery out[AGGREGATE_OUT]);
/* Notes what the guest sends, of frames with an entry (J2): the frame's headers
 * only, in their direction. */
void aggregate_note_sent(struct aggregator *a, const struct frame_input *in);
/* Gives back what a delivery's segments are written in. Once for each; of
 * a DELIVERY_FRAME it does nothing. */
void aggregate_release(struct aggregator *a, struct delivery *d);
/* As release, for a delivery that reaches nobody: its frames count as dropped,
 * and not as delivered. */
void aggregate_drop(struct aggregator *a, struct delivery *d);

/* -- endings that no frame causes; reason is one of class CO (event.h).
 * -> deliveries, at most room, which is 2 or more. Call again until it is 0. --
 */

unsigned aggregate_expire(struct aggregator *a, uint64_t now,
			  struct delivery *out, unsigned room);
/* Of all flows: T29, T31, T39, T41, T42. */
unsigned aggregate_flush(struct aggregator *a, enum end_reason reason,
			 struct delivery *out, unsigned room);
/* Of all flows of one owner: T40, T42. */
unsigned aggregate_flush_owner(struct aggregator *a, uint32_t owner,
			       enum end_reason reason, struct delivery *out,
			       unsigned room);
/* Of one flow: T40, T42, T43; at once. */
unsigned aggregate_flush_flow(struct aggregator *a, const struct flow_key *key,
			      enum end_reason reason, struct delivery *out,
			      unsigned room);
/* When aggregate_expire() has something to do; UINT64_MAX: not by itself. */
uint64_t aggregate_deadline(const struct aggregator *a);

/* -- control -- */

/* Removes the entries of an owner, or one: of an owner that goes, after
 * a flush. -> 0, or -EBUSY: they hold frames */
int aggregate_forget_owner(struct aggregator *a, uint32_t owner);
int aggregate_forget_flow(struct aggregator *a, const struct flow_key *key);
/* Of what may change. -> 0, -EINVAL, or -EBUSY: flush first (T39) */
int aggregate_set_config(struct aggregator *a,
			 const struct aggregate_config *c);

/* Frames that are neither delivered nor dropped. */
static inline uint32_t aggregate_held(const struct aggregator *a)
{
	return a->held_frames;
}

#endif
