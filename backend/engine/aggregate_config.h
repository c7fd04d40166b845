/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * aggregate_config.h - what may be collected, and when it ends
 */
#ifndef VTOE_ENGINE_AGGREGATE_CONFIG_H
#define VTOE_ENGINE_AGGREGATE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

enum aggregate_mode {
	/* Every frame passes. */
	AGGREGATE_OFF,
	/* For a guest whose own TCP consumes the aggregates (TTO): ACK, window
	 * and TSecr are those of the last segment, sizes may differ. */
	AGGREGATE_ENDPOINT,
	/* For a guest that forwards: cutting an aggregate into segments of
	 * max_segment bytes gives back the frames that came in (as GRO). */
	AGGREGATE_REVERSIBLE,
};

enum aggregate_create {
	CREATE_ON_DATA, /* a flow's first data segment, or ACK if those merge */
	CREATE_ON_SYN,	/* a SYN that arrives: SYN or SYN+ACK (J4) */
};

enum aggregate_window {
	/* Zero, opening from zero, and smaller with the same ACK. (With another
	 * ACK a smaller window is what a reader that lags behind looks like.)
	 */
	WINDOW_SHRINK,
	WINDOW_ANY, /* each change */
};

struct aggregate_config {
	/* -- sizes of memory: cannot be changed later -- */
	uint32_t flows;	   /* entries, a power of two up to 2^20 (B5) */
	uint32_t hold_max; /* frames held at most; one more closes the oldest
			    * (T31). 1 to 2^20 */
	uint32_t backlog;  /* segment chunks (segment.h) for deliveries that are
			    * not released yet; when they are used up, frames
			    * pass alone (T45). AGGREGATE_OUT to 2^20 */
	bool isle;	   /* C8 */
	uint64_t secret[2]; /* of the hash: random, and known to nobody (B6) */
	/* -- the rest may be, while nothing is held -- */
	uint8_t mode;	/* enum aggregate_mode */
	uint8_t create; /* enum aggregate_create (B3) */
	uint8_t window; /* enum aggregate_window (T35) */
	bool drop_bad;	/* wrong checksums are dropped, not passed (T15, T16) */
	bool no_checksum;   /* the TCP checksum of an aggregate is zero and only
			     * marked as verified (E10) */
	uint32_t bytes_max; /* payload of an aggregate, 1 to 65535 (T24) */
	uint16_t count_max; /* its segments, from 1 (T25) */
	uint16_t runt;	    /* shorter segments end it; 0: those shorter than
			     * the largest one in it (T26) */
	uint16_t ack_change_max; /* changes of the ACK number in it (T34) */
	uint16_t ack_merge_max;	 /* pure ACKs in it; 0: they pass alone (T32).
				  * Not in reversible mode */
	uint16_t duplicate_max;	 /* duplicate ACKs in a row that may be merged;
				  * what is over passes, as T33 */
	bool push_joins; /* PSH ends nothing (not T01): for a caller that flushes
			  * whenever it finds nothing more to push, so that
			  * nobody waits for what was pushed. Linux as a sender
			  * sets PSH on the last segment of each of its bursts,
			  * of two or three on a slow path. Not in reversible
			  * mode */
	uint64_t timeout; /* from the first segment on, in units of `now` (T28)
			   */
	uint64_t idle;	  /* an entry that rests so long is removed (B7); 0:
			   * never */
};

/* Endpoint mode, for `now` in nanoseconds; the secret is all that is missing.
 */
void aggregate_config_default(struct aggregate_config *c);
/* 0 or -EINVAL */
int aggregate_config_check(const struct aggregate_config *c);

#endif
