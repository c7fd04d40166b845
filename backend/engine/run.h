/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run.h - segments of one flow that follow each other: an aggregate to be
 *
 * A run is empty or collecting. It holds what the header will need, and what
 * the next segment is compared with (MECHANISMS C); a frame that was appended
 * is not looked at again.
 */
#ifndef VTOE_ENGINE_RUN_H
#define VTOE_ENGINE_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "engine/aggregate_config.h"
#include "engine/delivery.h"
#include "engine/event.h"
#include "engine/frame.h"
#include "engine/segment.h"

struct run {
	struct list node; /* among all that collect, oldest first */
	struct segment_list segments;
	uint64_t first_at;
	uint64_t first_ref;
	uint64_t sum; /* of the segments' headers (frame_header_sum()) */
	struct frame_shape shape;
	uint32_t seq;
	uint32_t bytes; /* of payload */
	uint32_t ack;
	uint32_t ts_first;
	uint32_t ts_last;
	uint32_t ts_echo;
	uint32_t owner;
	uint16_t window;
	uint16_t tcp_flags;
	uint16_t count; /* frames; 0: empty */
	uint16_t pure_acks;
	uint16_t duplicate_acks;
	uint16_t ack_changes;
	uint16_t max_segment;
	uint16_t first_length;
	uint16_t last_length;
	uint16_t last_id;
	uint8_t l3;
	uint8_t l4;
	uint8_t header_length;
	uint8_t version;
	bool has_timestamp;
	bool fixed_id; /* if count > 1 */
	uint8_t header[FRAME_HEAD];
};

static inline bool run_is_empty(const struct run *r)
{
	return !r->count;
}

/* The sequence number behind its last byte. */
static inline uint32_t run_end(const struct run *r)
{
	return r->seq + r->bytes;
}

void run_init(struct run *r);
/* Whether a plain frame may begin a run. -> END_NONE, or the event that it is
 */
uint8_t run_may_begin(const struct frame *f, const struct aggregate_config *c);
/*
 * Whether a plain frame with the next sequence number fits what was collected.
 * As run_may_begin() for an empty run.
 */
uint8_t run_fits(const struct run *r, const struct frame *f,
		 const struct aggregate_config *c);
/* Needs room in the pool; the frame fits, or the run is empty. */
void run_append(struct run *r, const struct frame *f, uint64_t now,
		struct segment_pool *p);
/* Whether the segment that was appended last ends it (class AC). -> an event */
uint8_t run_is_done(const struct run *r, const struct aggregate_config *c);
/* Whether `later` begins where r ends, and the two make one aggregate (T23). */
bool run_fits_run(const struct run *r, const struct run *later,
		  const struct aggregate_config *c);
/* Moves all of `later` to the end of r. */
void run_join(struct run *r, struct run *later, struct segment_pool *p);

#endif
