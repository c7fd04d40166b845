// SPDX-License-Identifier: BSD-2-Clause
/*
 * cache.c - registrations: which memory the backend may touch, by key
 *
 * A registration is a region that the backend answered with a key. The
 * cache (MECHANISMS H1, H4) keeps them until the caller unregisters or
 * invalidates the memory, or until the cap on bytes or on their number makes
 * it drop the least recently used one that no request under way names. They are
 * found by address in a sorted array, and by key with a guess that is nearly
 * always right.
 *
 * How memory becomes a region, and the pages behind, are the affair of a table
 * of operations: share.c replaces pages, pin.c has them pinned and granted.
 * Dropping a registration takes away the backend's key, not the application's
 * pages.
 *
 * Where the operations can tell that a region's pages are no longer those that
 * are mapped at its address (H5), a look-up does not find it, and the next
 * registering drops it.
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
/* pinned memory is none of the arena's: a part of what the driver allows */
#define CACHE_PINNED (32u << 20)

int cache_init(struct vtoe *ctx, uint32_t max_regions, size_t limit)
{
	struct cache *c = &ctx->cache;

	pthread_mutex_init(&c->change, NULL);
	pthread_mutex_init(&c->table, NULL);
	/* the arena is one of the device's regions */
	c->room = max_regions - 1;
	if (c->room > MAX_REGISTRATIONS)
		c->room = MAX_REGISTRATIONS;
	c->limit = limit ? limit : ctx->pin.driver ? CACHE_PINNED :
						     ctx->bytes / 2;
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

/* The bytes from `at` on that the region has; 0 if `at` is not in it, or it is
 * of no use. At its end an empty range is still in it. */
static bool region_reaches(const struct vtoe *ctx, const struct region *r,
			   uintptr_t at, unsigned rights, size_t *room)
{
	if (at - r->at > r->bytes || (r->rights & rights) != rights ||
	    (ctx->memory_ops->valid && !ctx->memory_ops->valid(ctx, r)))
		return false;
	*room = r->bytes - (at - r->at);
	return true;
}

struct region *cache_find(struct vtoe *ctx, uintptr_t at, size_t bytes,
			  unsigned rights)
{
	struct cache *c = &ctx->cache;
	uint32_t i = cache_place(c, at);
	size_t room;

	while (i-- > 0) {
		struct region *r = &c->regions[c->order[i]];

		if (at - r->at >= c->longest)
			break; /* no region before can reach this far */
		if (region_reaches(ctx, r, at, rights, &room) &&
		    bytes <= room) {
			r->touched = ++c->clock;
			return r;
		}
	}
	return NULL;
}

size_t cache_reach(struct vtoe *ctx, uintptr_t at, size_t bytes,
		   unsigned rights, size_t enough)
{
	struct cache *c = &ctx->cache;
	struct region *r, *found = NULL;
	size_t best = 0, room;
	uint32_t i;

	pthread_mutex_lock(&c->table);
	for (i = cache_place(c, at); best < bytes && i-- > 0;) {
		r = &c->regions[c->order[i]];
		if (at - r->at >= c->longest)
			break;
		if (region_reaches(ctx, r, at, rights, &room) && room > best) {
			best = room;
			found = r;
		}
	}
	best = best < bytes ? best : bytes;
	if (best && best >= enough) {
		c->hits++;
		found->touched = ++c->clock;
	}
	pthread_mutex_unlock(&c->table);
	return best;
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
	c->bytes -= region_span(&c->regions[c->order[i]]);
	memmove(&c->order[i], &c->order[i + 1],
		(--c->count - i) * sizeof(*c->order));
}

/* The backend forgets the key; returns when nothing under way names it. */
static int cache_forget(struct vtoe *ctx, uint64_t key, int timeout_ms)
{
	int rc = ctx->memory_ops->remove(ctx, key, timeout_ms);

	__atomic_fetch_add(&ctx->cache.deregistrations, 1, __ATOMIC_RELAXED);
	/* a dead backend touches nothing any more */
	return rc == -ENOTCONN ? 0 : rc;
}

/* One that is in use is not dropped. */
int cache_evict(struct vtoe *ctx, size_t *bytes)
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
	*bytes = region_span(r);
	cache_unlink(c, best);
	c->evictions++;
	pthread_mutex_unlock(&c->table);
	return cache_forget(ctx, key, ctx->answer_ms);
}

/* Takes one that is stale, and not in use, out of the table. -> its key, 0:
 * there is none */
static uint64_t cache_take_stale(struct vtoe *ctx, bool *in_use)
{
	struct cache *c = &ctx->cache;
	uint64_t key = 0;
	uint32_t i;

	*in_use = false;
	pthread_mutex_lock(&c->table);
	for (i = 0; i < c->count && !key; i++) {
		struct region *r = &c->regions[c->order[i]];

		if (ctx->memory_ops->valid(ctx, r))
			continue;
		key = r->key;
		if (region_condemn(r)) {
			cache_unlink(c, i);
			c->invalidations++;
		} else {
			key = 0;
			*in_use = true;
		}
	}
	pthread_mutex_unlock(&c->table);
	return key;
}

bool cache_drop_stale(struct vtoe *ctx)
{
	bool in_use = false;
	uint64_t key;

	if (!ctx->memory_ops->valid)
		return true;
	while ((key = cache_take_stale(ctx, &in_use)))
		cache_forget(ctx, key, ctx->answer_ms);
	return !in_use;
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

static void cache_insert(struct cache *c, struct region *r,
			 const struct region *made)
{
	uint32_t i = cache_place(c, made->at);

	r->at = made->at;
	r->bytes = made->bytes;
	r->rights = made->rights;
	r->slot = made->slot;
	r->touched = ++c->clock;
	__atomic_store_n(&r->key, made->key, __ATOMIC_SEQ_CST);
	memmove(&c->order[i + 1], &c->order[i],
		(c->count++ - i) * sizeof(*c->order));
	c->order[i] = (uint32_t)(r - c->regions);
	c->bytes += region_span(r);
	c->longest = r->bytes >= c->longest ? r->bytes + 1 : c->longest;
}

static int cache_add(struct vtoe *ctx, uintptr_t at, size_t bytes,
		     unsigned rights)
{
	struct region made = { .at = at, .bytes = bytes, .rights = rights };
	struct cache *c = &ctx->cache;
	size_t span = region_span(&made), freed;
	struct region *r;
	int rc = 0;

	if (span > c->limit)
		return -ENOMEM;
	cache_drop_stale(ctx);
	pthread_mutex_lock(&c->table);
	c->misses++;
	while (!rc && (c->bytes + span > c->limit || c->count >= c->room)) {
		pthread_mutex_unlock(&c->table);
		rc = cache_evict(ctx, &freed);
		pthread_mutex_lock(&c->table);
	}
	pthread_mutex_unlock(&c->table);
	if (!rc)
		rc = ctx->memory_ops->add(ctx, &made);
	if (rc)
		return rc;
	pthread_mutex_lock(&c->table);
	c->registrations++;
	r = cache_free_region(c);
	if (r)
		cache_insert(c, r, &made);
	pthread_mutex_unlock(&c->table);
	if (!r) {
		cache_forget(ctx, made.key, ctx->answer_ms);
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
static bool cache_hit(struct vtoe *ctx, uintptr_t at, size_t bytes,
		      unsigned rights)
{
	struct cache *c = &ctx->cache;
	bool hit;

	pthread_mutex_lock(&c->table);
	hit = cache_find(ctx, at, bytes, rights) != NULL;
	if (hit)
		c->hits++;
	pthread_mutex_unlock(&c->table);
	return hit;
}

int cache_register(struct vtoe *ctx, uintptr_t at, size_t bytes,
		   unsigned rights)
{
	struct cache *c = &ctx->cache;
	int rc;

	if (ctx->memory_ops->lost && ctx->memory_ops->lost(ctx))
		return -EPERM;
	if (cache_hit(ctx, at, bytes, rights))
		return 0;
	pthread_mutex_lock(&c->change);
	if (cache_hit(ctx, at, bytes, rights)) {
		rc = 0; /* another thread was faster */
	} else {
		rc = context_dead(ctx);
		if (!rc)
			rc = cache_add(ctx, at, bytes, rights);
	}
	pthread_mutex_unlock(&c->change);
	return rc;
}

static bool range_is_bad(const struct vtoe *ctx, uintptr_t at, size_t bytes)
{
	return !bytes || at + bytes < at ||
	       at + bytes > UINTPTR_MAX - VTOE_PAGE ||
	       (!ctx->memory_ops->any_alignment &&
		(at % VTOE_PAGE || bytes % VTOE_PAGE));
}

int vtoe_register(struct vtoe *ctx, void *memory, size_t bytes,
		  unsigned rights)
{
	uintptr_t at = (uintptr_t)memory;

	if (range_is_bad(ctx, at, bytes) || !rights ||
	    rights & ~(VTOE_READ | VTOE_WRITE))
		return -EINVAL;
	if (overlaps_arena(ctx, at, bytes)) {
		uint64_t key, offset;

		return vtoe_translate(ctx, memory, bytes, &key, &offset) ?
			       -EINVAL :
			       0;
	}
	return cache_register(ctx, at, bytes, rights);
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

static int cache_remove(struct vtoe *ctx, uintptr_t at, size_t bytes)
{
	uint64_t key;
	int rc = 0, one;

	/* without `change`: it may wait long for requests of other threads */
	while ((key = cache_take_overlap(&ctx->cache, at, bytes))) {
		one = cache_forget(ctx, key, -1);
		rc = rc ? rc : one;
	}
	/* after a failure the backend may still write there: keep it */
	if (!rc && ctx->memory_ops->give_back)
		rc = ctx->memory_ops->give_back(ctx, at, bytes);
	return rc;
}

int vtoe_unregister(struct vtoe *ctx, void *memory, size_t bytes)
{
	if (range_is_bad(ctx, (uintptr_t)memory, bytes))
		return -EINVAL;
	return cache_remove(ctx, (uintptr_t)memory, bytes);
}

int vtoe_invalidate(struct vtoe *ctx, void *memory, size_t bytes)
{
	uintptr_t at = (uintptr_t)memory, from = at;

	if (at + bytes < at || at + bytes > UINTPTR_MAX - VTOE_PAGE)
		return -EINVAL;
	if (!bytes)
		return 0;
	if (!ctx->memory_ops->any_alignment) {
		from = page_down(at);
		bytes = page_up(at + bytes) - from;
	}
	return cache_remove(ctx, from, bytes);
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
	to->cache_invalidations = c->invalidations;
	to->registrations_refused =
		__atomic_load_n(&ctx->pin.copied, __ATOMIC_RELAXED);
	to->registered_bytes = c->bytes;
	pthread_mutex_unlock(&c->table);
}
