/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring_peer.h - the backend's half of a ring whose other half is hostile
 *
 * The layout is vtoe_ring.h's. Here each word that the guest writes is loaded
 * once and checked against our private indices before use; entries are copied
 * out before they are looked at; our own indices are never read back. A word
 * that cannot be true yields -EPROTO, for ever after (the ring is broken and
 * its owner parks it). Not thread-safe.
 */
#ifndef VTOE_PORT_RING_PEER_H
#define VTOE_PORT_RING_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include <vtoe_ring.h>

/* A ring that the guest fills and we empty (SQ, control requests). */
struct ring_in {
	struct vtoe_ring_shared *shared;
	uint8_t *entries;
	uint32_t size;
	uint32_t consumer;  /* ours, private */
	uint32_t published; /* ours, as the guest sees it */
	uint32_t producer;  /* the guest's, as last checked */
	bool broken;
};

void ring_in_init(struct ring_in *r, void *at, uint32_t size);
/* Entries that wait; -EPROTO if the guest's index is impossible. */
int ring_in_peek(struct ring_in *r);
/* Copies the next entry out and steps over it; only after peek said > 0. */
void ring_in_take(struct ring_in *r, void *to);
/* Steps back over the one just taken, which stays the guest's to change: what is
 * taken the next time is another entry. Only before the next release. */
void ring_in_leave(struct ring_in *r);
/* Publishes what was taken; true if the guest waits for space. */
bool ring_in_release(struct ring_in *r);
/* Asks the guest to notify with its next entry; entries that came meanwhile,
 * or -EPROTO: do not sleep unless this returns 0. */
int ring_in_arm(struct ring_in *r);

/* A ring that we fill and the guest empties (CQ, control completions). */
struct ring_out {
	struct vtoe_ring_shared *shared;
	uint8_t *entries;
	uint32_t size;
	uint32_t producer;  /* ours, private */
	uint32_t published; /* ours, as the guest sees it */
	uint32_t told;	    /* up to where `event` was looked at */
	uint32_t consumer;  /* the guest's, as last checked */
	bool broken;
};

void ring_out_init(struct ring_out *r, void *at, uint32_t size);
/* Free entries: as many as there are if they are fewer than `want`, at least so
 * many else; -EPROTO if the guest's index is impossible. */
int ring_out_room(struct ring_out *r, uint32_t want);
/* Writes the next entry; only after room said > 0. */
void ring_out_put(struct ring_out *r, const void *from);
/* Publishes what was put; true if the guest wants a notification. `quiet`: what
 * was put is no reason for one, unless the guest wants all (VTOE_RING_WANT_ALL);
 * the next call that is not quiet counts it too, even if nothing more was put. */
bool ring_out_publish(struct ring_out *r, bool quiet);
/* Does the guest want to hear of quiet ones too, as of now? */
bool ring_out_wants_all(const struct ring_out *r);
/* Asks the guest to notify when `want` entries are free; true if they are. */
bool ring_out_arm_space(struct ring_out *r, uint32_t want);
void ring_out_status(struct ring_out *r, uint32_t status, uint32_t violation);

#endif
