/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flow_table.h - the flows that are being collected (MECHANISMS B)
 *
 * A fixed number of entries in the caller's memory. A flow may be in any of
 * FLOW_PROBES slots from its hash on, so a look-up costs no more than that
 * whatever tuples arrive (B6), and removing leaves nothing behind. Where all
 * of them are taken, one of them is the victim (B5): it still owns what it
 * collected, so the caller delivers that before it takes the slot over.
 */
#ifndef VTOE_ENGINE_FLOW_TABLE_H
#define VTOE_ENGINE_FLOW_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/flow_key.h"

enum {
	FLOW_PROBES = 8
};

/* What is known of a flow (B2); nothing of it ever leaves the engine but as
 * numbers of a delivery (B9). */
struct flow {
	struct flow_key key;
	uint64_t used_at; /* `now` of its last frame */
	uint32_t next;	  /* the sequence number that is expected, if
			   * synced */
	uint32_t last_ack;
	uint16_t last_window;
	bool synced;
	bool acked;	     /* last_ack and last_window are known */
	uint8_t held;	     /* runs of it that hold frames */
	bool tx_valid;	     /* the two below are known (J2) */
	uint16_t tx_window;  /* the last one that was sent, raw */
	uint32_t tx_next;    /* behind the last byte that was sent */
	uint16_t duplicates; /* duplicate ACKs in a row */
	uint16_t old;	     /* old segments in a row */
	bool proven;	     /* it sent data: not only a SYN, or ACKs */
	bool in_use;
};

struct flow_table {
	struct flow *flows;
	uint32_t *tags; /* of the hash; 0: free */
	uint32_t mask;	/* slots - 1; a power of two */
	uint32_t probes;
	uint32_t used;
	uint64_t secret[2];
	uint64_t random; /* which victim */
};

/* Bytes for so many flows, a power of two; a multiple of 64. */
size_t flow_table_bytes(uint32_t flows);
/* memory: aligned to 64, and the caller's. */
void flow_table_init(struct flow_table *t, uint32_t flows,
		     const uint64_t secret[2], void *memory);
/* NULL: not there. */
struct flow *flow_table_find(const struct flow_table *t,
			     const struct flow_key *key, uint64_t hash);
/*
 * A slot for a key that is not there. If it is in_use, it is the victim: first
 * one that holds nothing, of these one that is not proven, of these the longest
 * unused; else any. The caller delivers what it holds, and removes it.
 */
struct flow *flow_table_place(struct flow_table *t, uint64_t hash);
/* Takes a slot that is not in use; all but the key is zero. */
void flow_table_take(struct flow_table *t, struct flow *f,
		     const struct flow_key *key, uint64_t hash);
void flow_table_remove(struct flow_table *t, struct flow *f);

#endif
