/* SPDX-License-Identifier: BSD-2-Clause */
#include "port/region.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int region_table_init(struct region_table *t, struct port_link *link,
		      uint32_t slots, uint32_t mappings)
{
	memset(t, 0, sizeof(*t));
	t->link = link;
	t->slots = calloc(slots, sizeof(*t->slots));
	t->slot_count = slots;
	t->mappings_max = mappings;
	return t->slots ? 0 : -ENOMEM;
}

void region_table_free(struct region_table *t)
{
	uint32_t i;

	for (i = 0; i < t->slot_count; i++)
		if (t->slots[i].key)
			region_release(t, &t->slots[i]);
	free(t->slots);
	t->slots = NULL;
	t->slot_count = 0;
}

static bool region_range_ok(const struct port_link *link,
			    const struct vtoe_range *r)
{
	return r->length && !(r->length & (VTOE_PAGE - 1)) &&
	       !(r->offset & (VTOE_PAGE - 1)) &&
	       r->offset >= VTOE_GUEST_OFFSET && r->offset <= link->bytes &&
	       r->length <= link->bytes - r->offset;
}

/* Copies the list out of the guest's memory, once, and then checks the copy. */
static int region_read_ranges(struct port_link *link, uint64_t offset,
			      uint64_t length, uint32_t count,
			      struct vtoe_range *ranges, uint64_t *bytes)
{
	const void *list;
	uint32_t i, j;

	if (count == 1) {
		ranges[0].offset = offset;
		ranges[0].length = length;
	} else {
		if (offset & 15)
			return -EINVAL;
		list = port_link_at(link, offset, count * sizeof(*ranges), 16);
		if (!list)
			return -ERANGE;
		memcpy(ranges, list, count * sizeof(*ranges));
		__asm__ volatile("" ::: "memory");
	}
	*bytes = 0;
	for (i = 0; i < count; i++) {
		if ((ranges[i].offset | ranges[i].length) & (VTOE_PAGE - 1) ||
		    !ranges[i].length)
			return -EINVAL;
		if (!region_range_ok(link, &ranges[i]))
			return -ERANGE;
		for (j = 0; j < i; j++)
			if (ranges[i].offset <
				    ranges[j].offset + ranges[j].length &&
			    ranges[j].offset <
				    ranges[i].offset + ranges[i].length)
				return -EINVAL;
		/* cannot overflow: 256 ranges of at most link->bytes */
		*bytes += ranges[i].length;
	}
	return *bytes <= link->bytes ? 0 : -ERANGE;
}

static struct region *region_slot(struct region_table *t, uint64_t key)
{
	uint32_t i;

	for (i = 0; i < t->slot_count; i++)
		if (t->slots[i].key == key)
			return &t->slots[i];
	return NULL;
}

int region_add(struct region_table *t, uint64_t key, uint32_t lane,
	       uint64_t offset, uint64_t length, uint32_t count,
	       uint32_t rights)
{
	const uint32_t both = VTOE_REGION_READ | VTOE_REGION_WRITE;
	struct vtoe_range ranges[VTOE_REGION_MAX_RANGES];
	struct region *r;
	uint64_t bytes;
	int rc;

	if (!count || count > VTOE_REGION_MAX_RANGES || !rights ||
	    rights & ~both)
		return -EINVAL;
	rc = region_read_ranges(t->link, offset, length, count, ranges, &bytes);
	if (rc)
		return rc;
	if (region_slot(t, key))
		return -EEXIST;
	r = region_slot(t, 0);
	if (!r || (count > 1 && count > t->mappings_max - t->mappings))
		return -EDQUOT;
	memset(r, 0, sizeof(*r));
	/* One range with both rights is addressed where it is already. */
	if (count == 1 && rights == both) {
		r->at = t->link->base + ranges[0].offset;
	} else {
		r->at = t->link->ops->map(t->link, ranges, count, bytes,
					  rights);
		if (!r->at)
			return -errno;
		r->mapped = true;
		r->mappings = count > 1 ? count : 0;
		t->mappings += r->mappings;
	}
	r->key = key;
	r->lane = lane;
	r->rights = rights;
	r->bytes = bytes;
	t->used++;
	t->bytes += bytes;
	return 0;
}

int region_add_mapped(struct region_table *t, uint64_t key, void *at,
		      uint64_t bytes, uint32_t rights)
{
	struct region *r;

	if (region_slot(t, key))
		return -EEXIST;
	r = region_slot(t, 0);
	if (!r)
		return -EDQUOT;
	*r = (struct region){
		.key = key,
		.at = at,
		.bytes = bytes,
		.rights = rights,
		.lane = VTOE_LANE_ANY,
		.mapped = true,
		.external = true,
	};
	t->used++;
	t->bytes += bytes;
	return 0;
}

int region_find(struct region_table *t, uint64_t key, uint32_t lane,
		uint32_t rights, struct region **region)
{
	struct region *r = t->last;

	if (!key)
		return -ENOKEY;
	if (!r || r->key != key) {
		r = region_slot(t, key);
		if (!r)
			return -ENOKEY;
		t->last = r;
	}
	if (r->removing)
		return -ENOKEY;
	if ((r->lane != VTOE_LANE_ANY && r->lane != lane) ||
	    (r->rights & rights) != rights)
		return -EACCES;
	*region = r;
	return 0;
}

int region_span(struct region *r, uint64_t offset, uint32_t length,
		struct span *span)
{
	if (offset > r->bytes || length > r->bytes - offset)
		return -ERANGE;
	span->at = r->at + offset;
	span->length = length;
	return 0;
}

int region_remove(struct region_table *t, uint64_t key, bool external,
		  struct region **region)
{
	struct region *r = key ? region_slot(t, key) : NULL;

	if (!r || r->removing || r->external != external)
		return -ENOKEY;
	r->removing = true;
	*region = r;
	return 0;
}

void region_release(struct region_table *t, struct region *r)
{
	if (r->mapped)
		t->link->ops->unmap(t->link, r->at, r->bytes);
	if (t->last == r)
		t->last = NULL;
	t->used--;
	t->mappings -= r->mappings;
	t->bytes -= r->bytes;
	memset(r, 0, sizeof(*r));
}
