// SPDX-License-Identifier: BSD-2-Clause
/*
 * cache.c - registrations: which memory the backend may touch, by key
 *
 * A registration is a REGION_ADD that the backend answered with a key. The
 * cache (MECHANISMS H1, H4) keeps them until the caller unregisters or
 * invalidates the memory, or until the cap on bytes or on their number makes
 * it drop the least recently used one that no request under way names. They are
 * found by address in a sorted array, and by key with a guess that is nearly
 * always right.
 *
 * The pages behind are share.c's affair: dropping a registration takes away
 * the backend's key, not the application's pages.
 *
 * Two locks: `change` is held by the one thread that adds or removes, also
 * while it talks to the backend; `table` guards the arrays for the instant of
 * a look-up or an update.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

#define MAX_REGISTRATIONS 16384u

int cache_init(struct vtoe *ctx, uint32_t max_regions, size_t limit)
{
	struct cache *c = &ctx->cache;

	pthread_mutex_init(&c->change, NULL);
	pthread_mutex_init(&c->table, NULL);
	/* the arena is one of the device's regions */
	c->room = max_regions - 1;
	if (c->room > MAX_REGISTRATIONS)
		c->room = MAX_REGISTRATIONS;
	c->limit = limit ? limit : ctx->bytes / 2;
	c->regions = calloc(c->room + 1, sizeof(*c->regions));
	c->order = calloc(c->room + 1, sizeof(*c->order));
	return c->regions && c->order ? 0 : -ENOMEM;
}

void cache_free(struct vtoe *ctx)
{
	free(ctx->cache.regions);
	free(ctx->cache.order);
	free(ctx->cache.share.extents);
}

/* -- look-ups; `table` is held ------------------------------------------- */

/* The first place in `order` whose region starts after `at`. */
static uint32_t cache_place(const struct cache *c, uintptr_t at)
{
	uint32_t low = 0, high = c->count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (c->regions[c->order[middle]].at > at)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

struct region *cache_find(struct cache *c, uintptr_t at, size_t bytes,
			  unsigned rights)
{
	uint32_t i = cache_place(c, at);

	while (i-- > 0) {
		struct region *r = &c->regions[c->order[i]];

		if (at - r->at >= c->longest)
			break; /* no region before can reach this far */
		if (at - r->at <= r->bytes &&
		    bytes <= r->bytes - (at - r->at) &&
		    (r->rights & rights) == rights) {
			r->touched = ++c->clock;
			return r;
		}
	}
	return NULL;
}

struct region *cache_find_key(struct cache *c, uint64_t key)
{
	uint32_t i;

	for (i = 0; i < c->count; i++)
		if (c->regions[c->order[i]].key == key)
			return &c->regions[c->order[i]];
	return NULL;
}

/* -- references ---------------------------------------------------------- */

static bool region_pin(struct region *r, uint64_t key)
{
	/* sequentially consistent, both: pairs with region_condemn() */
	__atomic_fetch_add(&r->users, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&r->key, __ATOMIC_SEQ_CST) == key)
		return true;
	__atomic_fetch_sub(&r->users, 1, __ATOMIC_RELEASE);
	return false;
}

/* Takes the key away. false: it is in use, and has its key back. */
static bool region_condemn(struct region *r)
{
	uint64_t key = r->key;

	/* pairs with region_pin(): either we see its user, or it sees no key */
	__atomic_store_n(&r->key, 0, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&r->users, __ATOMIC_SEQ_CST))
		return true;
	__atomic_store_n(&r->key, key, __ATOMIC_SEQ_CST);
	return false;
}

uint32_t cache_pin(struct vtoe *ctx, uint64_t key, uint32_t guess)
{
	struct cache *c = &ctx->cache;
	uint32_t index = NO_REGION;
	struct region *r;

	if (guess < c->room && region_pin(&c->regions[guess], key))
		return guess;
	pthread_mutex_lock(&c->table);
	r = cache_find_key(c, key);
	if (r && region_pin(r, key))
		index = (uint32_t)(r - c->regions);
	pthread_mutex_unlock(&c->table);
	return index;
}

void cache_unpin(struct vtoe *ctx, uint32_t region)
{
	__atomic_fetch_sub(&ctx->cache.regions[region].users, 1,
			   __ATOMIC_RELEASE);
}

/* -- adding and removing; `change` is held ------------------------------- */

/* Takes region i of `order` out of the table. -> its key */
static void cache_unlink(struct cache *c, uint32_t i)
{
	c->bytes -= c->regions[c->order[i]].bytes;
	memmove(&c->order[i], &c->order[i + 1],
		(--c->count - i) * sizeof(*c->order));
}

/* The backend forgets the key; returns when nothing under way names it. */
static int region_del(struct vtoe *ctx, uint64_t key, int timeout_ms)
{
	struct vtoe_ctl_request request = { .op = VTOE_CTL_REGION_DEL };
	struct vtoe_ctl_completion completion;
	int rc;

	request.u.key = key;
	rc = control_request(ctx, &request, &completion, timeout_ms);
	__atomic_fetch_add(&ctx->cache.deregistrations, 1, __ATOMIC_RELAXED);
	/* a dead backend touches nothing any more */
	return rc == -ENOTCONN ? 0 : rc ? rc : completion.result;
}

/* Drops the least recently used registration that is not in use. */
static int cache_evict(struct vtoe *ctx)
{
	struct cache *c = &ctx->cache;
	uint64_t after = 0, key;
	struct region *r;
	uint32_t i, best;

	pthread_mutex_lock(&c->table);
	for (;;) {
		best = NO_REGION;
		for (i = 0; i < c->count; i++) {
			r = &c->regions[c->order[i]];
			if (r->touched > after &&
			    (best == NO_REGION ||
			     r->touched <
				     c->regions[c->order[best]].touched))
				best = i;
		}
		if (best == NO_REGION) {
			pthread_mutex_unlock(&c->table);
			return -ENOMEM;
		}
		r = &c->regions[c->order[best]];
		key = r->key;
		if (region_condemn(r))
			break;
		after = r->touched; /* in use: the next oldest */
	}
	cache_unlink(c, best);
	c->evictions++;
	pthread_mutex_unlock(&c->table);
	return region_del(ctx, key, ctx->answer_ms);
}

static int region_add(struct vtoe *ctx, uintptr_t at, size_t bytes,
		      unsigned rights, uint64_t *key)
{
	struct vtoe_ctl_request request = { .op = VTOE_CTL_REGION_ADD };
	struct vtoe_range ranges[VTOE_REGION_MAX_RANGES];
	struct vtoe_ctl_completion completion;
	uint64_t list = 0;
	int n, rc;

	pthread_mutex_lock(&ctx->cache.table);
	n = share_ranges(&ctx->cache.share, at, bytes, ranges,
			 VTOE_REGION_MAX_RANGES);
	pthread_mutex_unlock(&ctx->cache.table);
	if (n < 0 || (n > 1 && !(ctx->features & VTOE_F_REGION_LIST)))
		return -ENOMEM; /* the arena is too fragmented */
	request.lane = VTOE_LANE_ANY;
	request.u.region.count = (vtoe_u32)n;
	request.u.region.rights = rights;
	request.u.region.offset = ranges[0].offset;
	request.u.region.length = ranges[0].length;
	if (n > 1) {
		list = arena_alloc(&ctx->arena, sizeof(ranges));
		if (!list)
			return -ENOMEM;
		memcpy(ctx->memory + list, ranges, (size_t)n * sizeof(*ranges));
		request.u.region.offset = list;
		request.u.region.length = (size_t)n * sizeof(*ranges);
	}
	rc = control_request(ctx, &request, &completion, ctx->answer_ms);
	if (list)
		arena_release(&ctx->arena, list);
	if (rc)
		return rc;
	if (completion.result)
		return completion.result < 0 ? completion.result : -EPROTO;
	*key = completion.key;
	return *key ? 0 : -EPROTO;
}

/* A structure that nobody uses, not even for a request of its past life. */
static struct region *cache_free_region(struct cache *c)
{
	uint32_t i;

	for (i = 0; i < c->room; i++)
		if (!c->regions[i].key &&
		    !__atomic_load_n(&c->regions[i].users, __ATOMIC_ACQUIRE))
			return &c->regions[i];
	return NULL;
}

static int cache_add(struct vtoe *ctx, uintptr_t at, size_t bytes,
		     unsigned rights)
{
	struct cache *c = &ctx->cache;
	struct region *r;
	uint64_t key;
	uint32_t i;
	int rc = 0;

	if (bytes > c->limit)
		return -ENOMEM;
	pthread_mutex_lock(&c->table);
	c->misses++;
	while (!rc && (c->bytes + bytes > c->limit || c->count >= c->room)) {
		pthread_mutex_unlock(&c->table);
		rc = cache_evict(ctx);
		pthread_mutex_lock(&c->table);
	}
	pthread_mutex_unlock(&c->table);
	if (!rc)
		rc = share_pages(ctx, at, bytes);
	if (rc)
		return rc;
	rc = region_add(ctx, at, bytes, rights, &key);
	if (rc) {
		share_undo(ctx, at, bytes);
		return rc;
	}
	pthread_mutex_lock(&c->table);
	c->registrations++;
	r = cache_free_region(c);
	if (r) {
		r->at = at;
		r->bytes = bytes;
		r->rights = rights;
		r->touched = ++c->clock;
		__atomic_store_n(&r->key, key, __ATOMIC_SEQ_CST);
		i = cache_place(c, at);
		memmove(&c->order[i + 1], &c->order[i],
			(c->count++ - i) * sizeof(*c->order));
		c->order[i] = (uint32_t)(r - c->regions);
		c->bytes += bytes;
		c->longest = bytes >= c->longest ? bytes + 1 : c->longest;
	}
	pthread_mutex_unlock(&c->table);
	if (!r) {
		region_del(ctx, key, ctx->answer_ms);
		return -ENOMEM;
	}
	return 0;
}

static bool overlaps_arena(const struct vtoe *ctx, uintptr_t at, size_t bytes)
{
	uintptr_t start = (uintptr_t)ctx->memory;

	return at < start + ctx->bytes && at + bytes > start;
}

/* Is there one already? */
static bool cache_hit(struct cache *c, uintptr_t at, size_t bytes,
		      unsigned rights)
{
	bool hit;

	pthread_mutex_lock(&c->table);
	hit = cache_find(c, at, bytes, rights) != NULL;
	if (hit)
		c->hits++;
	pthread_mutex_unlock(&c->table);
	return hit;
}

int vtoe_register(struct vtoe *ctx, void *memory, size_t bytes,
		  unsigned rights)
{
	struct cache *c = &ctx->cache;
	uintptr_t at = (uintptr_t)memory;
	int rc;

	if (!bytes || at % VTOE_PAGE || bytes % VTOE_PAGE || at + bytes < at ||
	    !rights || rights & ~(VTOE_READ | VTOE_WRITE))
		return -EINVAL;
	if (overlaps_arena(ctx, at, bytes)) {
		uint64_t key, offset;

		return vtoe_translate(ctx, memory, bytes, &key, &offset) ?
			       -EINVAL :
			       0;
	}
	if (cache_hit(c, at, bytes, rights))
		return 0;
	pthread_mutex_lock(&c->change);
	if (cache_hit(c, at, bytes, rights)) {
		rc = 0; /* another thread was faster */
	} else {
		rc = context_dead(ctx);
		if (!rc)
			rc = cache_add(ctx, at, bytes, rights);
	}
	pthread_mutex_unlock(&c->change);
	return rc;
}

/* Takes the first registration that overlaps out of the table. -> its key, 0:
 * none */
static uint64_t cache_take_overlap(struct cache *c, uintptr_t at, size_t bytes)
{
	uint64_t key = 0;
	uint32_t i;

	pthread_mutex_lock(&c->table);
	for (i = 0; i < c->count && !key; i++) {
		struct region *r = &c->regions[c->order[i]];

		if (r->at >= at + bytes)
			break;
		if (r->at + r->bytes <= at)
			continue;
		key = r->key;
		/* no new users; REGION_DEL waits for those it has */
		__atomic_store_n(&r->key, 0, __ATOMIC_SEQ_CST);
		cache_unlink(c, i);
	}
	pthread_mutex_unlock(&c->table);
	return key;
}

static bool share_overlaps(struct cache *c, uintptr_t at, size_t bytes)
{
	bool yes;
	size_t i;

	pthread_mutex_lock(&c->table);
	i = share_find(&c->share, at);
	yes = i < c->share.count && c->share.extents[i].at < at + bytes;
	pthread_mutex_unlock(&c->table);
	return yes;
}

static int cache_remove(struct vtoe *ctx, uintptr_t at, size_t bytes)
{
	struct cache *c = &ctx->cache;
	uint64_t key;
	int rc = 0, one;

	if (!share_overlaps(c, at, bytes))
		return 0;
	/* without `change`: it may wait long for requests of other threads */
	while ((key = cache_take_overlap(c, at, bytes))) {
		one = region_del(ctx, key, -1);
		rc = rc ? rc : one;
	}
	if (rc)
		return rc; /* the backend may still write there: keep it */
	pthread_mutex_lock(&c->change);
	rc = share_end(ctx, at, bytes);
	pthread_mutex_unlock(&c->change);
	return rc;
}

int vtoe_unregister(struct vtoe *ctx, void *memory, size_t bytes)
{
	uintptr_t at = (uintptr_t)memory;

	if (!bytes || at % VTOE_PAGE || bytes % VTOE_PAGE || at + bytes < at)
		return -EINVAL;
	return cache_remove(ctx, at, bytes);
}

int vtoe_invalidate(struct vtoe *ctx, void *memory, size_t bytes)
{
	uintptr_t at = (uintptr_t)memory;
	uintptr_t from = at / VTOE_PAGE * VTOE_PAGE;

	if (at + bytes < at || at + bytes > UINTPTR_MAX - VTOE_PAGE)
		return -EINVAL;
	bytes = (at + bytes + VTOE_PAGE - 1) / VTOE_PAGE * VTOE_PAGE - from;
	return bytes ? cache_remove(ctx, from, bytes) : 0;
}

void cache_make_private(struct vtoe *ctx)
{
	/* in a child of fork a thread that is not here may hold the lock */
	if (getpid() != ctx->pid)
		pthread_mutex_init(&ctx->cache.table, NULL);
	share_end(ctx, 0, UINTPTR_MAX);
}

void cache_get_counters(struct vtoe *ctx, struct vtoe_counters *to)
{
	struct cache *c = &ctx->cache;

	pthread_mutex_lock(&c->table);
	to->registrations = c->registrations;
	to->deregistrations =
		__atomic_load_n(&c->deregistrations, __ATOMIC_RELAXED);
	to->cache_hits = c->hits;
	to->cache_misses = c->misses;
	to->cache_evictions = c->evictions;
	to->registered_bytes = c->bytes;
	pthread_mutex_unlock(&c->table);
}
