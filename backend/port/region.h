/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * region.h - the table of memory that one guest lets us touch
 *
 * The NIC-managed translation table (MECHANISMS O3): a 64-bit random key names
 * a mapped stretch of guest memory; requests name {key, offset, length} (O5).
 * A region belongs to one lane or to all lanes of its connection (O7), and has
 * rights (O8). Users hold a region while they name it; removal completes when
 * the last hold is dropped (O9), and from its start on no new hold is given.
 * Not thread-safe.
 */
#ifndef VTOE_PORT_REGION_H
#define VTOE_PORT_REGION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "port/port.h"

struct region {
	uint64_t key; /* 0: slot is free */
	uint8_t *at;
	uint64_t bytes;
	uint32_t rights;
	uint32_t lane; /* or VTOE_LANE_ANY */
	uint32_t holds;
	bool mapped;   /* by ops->map, so ops->unmap it */
	uint32_t mappings;
	bool external; /* made by the port: it is told of the end */
	bool removing;
	uint64_t remove_user_data;
};

struct region_table {
	struct port_link *link;
	struct region *slots;
	uint32_t slot_count;
	uint32_t used;
	uint64_t bytes;	    /* of all regions */
	uint32_t mappings;  /* of several ranges; a process has only so many */
	uint32_t mappings_max;
	struct region *last; /* the last one found: most look-ups */
};

/* Two ways to be wrong that callers count apart: */
#define REGION_BAD_KEY(rc) ((rc) == -ENOKEY || (rc) == -EACCES)

/* `mappings`: how many ranges of listed regions there may be in all. */
int region_table_init(struct region_table *t, struct port_link *link,
		      uint32_t slots, uint32_t mappings);
void region_table_free(struct region_table *t);

/* Checks and maps; `key` is random and not 0, and the caller's to choose.
 * -EINVAL: rights, count, alignment; -ERANGE: outside the guest's memory;
 * -EDQUOT: no slot, or too many ranges in all; -EEXIST: key in use; -ENOMEM: cannot map. */
int region_add(struct region_table *t, uint64_t key, uint32_t lane,
	       uint64_t offset, uint64_t length, uint32_t count,
	       uint32_t rights);

/* Makes a region of memory that the port has mapped already, for all lanes; it
 * is unmapped with the region. -EDQUOT, -EEXIST. */
int region_add_mapped(struct region_table *t, uint64_t key, void *at,
		      uint64_t bytes, uint32_t rights);

/* Finds a region and checks lane and rights; -ENOKEY, -EACCES. */
int region_find(struct region_table *t, uint64_t key, uint32_t lane,
		uint32_t rights, struct region **region);
/* The span of {offset, length}; -ERANGE. Hold the region while it is used. */
int region_span(struct region *r, uint64_t offset, uint32_t length,
		struct span *span);
static inline void region_hold(struct region *r)
{
	r->holds++;
}
/* Drops a hold; true if a removal that waited is now complete: the caller then
 * calls region_release(). */
static inline bool region_drop(struct region *r)
{
	return --r->holds == 0 && r->removing;
}
/* Begins the removal; -ENOKEY, also for a region of the other kind than
 * `external`. When no hold is left the caller releases. */
int region_remove(struct region_table *t, uint64_t key, bool external,
		  struct region **region);
/* Unmaps and frees the slot; only without holds. */
void region_release(struct region_table *t, struct region *r);

#endif
