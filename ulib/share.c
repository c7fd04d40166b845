// SPDX-License-Identifier: BSD-2-Clause
/*
 * share.c - application memory whose pages are replaced by shared ones
 *
 * On the local port the backend can reach only the shared memory. So memory
 * that the application registers is moved there: its content is copied into
 * pages of the arena, and those are mapped at the very same addresses. The
 * application notices nothing, and from then on the backend fills the buffer
 * in place. An extent is a run of such pages; extents outlive registrations
 * (cache.c), so that an eviction moves nothing behind the application's back.
 *
 * Replacing is one mmap(MAP_FIXED), and going back one mremap of a copy: at no
 * instant is the address unmapped. Before going back the kernel is asked
 * whether the mapping is still ours; if the application has unmapped it
 * meanwhile, whatever is there now is not touched. Nobody tells us that it was:
 * a receive that is about to fill a buffer looks for itself (share_reach()).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "internal.h"

size_t share_find(const struct share *s, uintptr_t at)
{
	size_t low = 0, high = s->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (s->extents[middle].at + s->extents[middle].bytes > at)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static int share_reserve(struct share *s, size_t want)
{
	struct extent *extents;
	size_t room = s->room ? 2 * s->room : 16;

	if (s->room - s->count >= want)
		return 0;
	extents = realloc(s->extents, room * sizeof(*extents));
	if (!extents)
		return -ENOMEM;
	s->extents = extents;
	s->room = room;
	return 0;
}

static void share_insert(struct share *s, size_t index, struct extent e)
{
	memmove(&s->extents[index + 1], &s->extents[index],
		(s->count - index) * sizeof(e));
	s->extents[index] = e;
	s->count++;
}

/* Takes back what the last share_pages() did. */
static void share_undo(struct vtoe *ctx, uintptr_t at, size_t bytes);

/* Moves one run of private pages into a run of the arena. */
static int share_run(struct vtoe *ctx, uintptr_t at, size_t bytes,
		     uint64_t offset)
{
	struct share *s = &ctx->cache.share;
	int rc;

	pthread_mutex_lock(&ctx->cache.table);
	rc = share_reserve(s, 1);
	pthread_mutex_unlock(&ctx->cache.table);
	if (rc)
		return rc;
	memcpy(ctx->memory + offset, (void *)at, bytes);
	if (mmap((void *)at, bytes, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, ctx->memory_fd,
		 (off_t)offset) == MAP_FAILED)
		return -errno;
	pthread_mutex_lock(&ctx->cache.table);
	share_insert(s, share_find(s, at),
		     (struct extent){ at, bytes, offset, s->made });
	pthread_mutex_unlock(&ctx->cache.table);
	return 0;
}

/* Moves [at, at+bytes), all private, into as few runs as the arena has. */
static int share_gap(struct vtoe *ctx, uintptr_t at, size_t bytes)
{
	size_t chunk = bytes;
	uint64_t offset;
	int rc;

	rc = maps_check_private(at, bytes);
	while (!rc && bytes) {
		chunk = chunk < bytes ? chunk : bytes;
		offset = arena_alloc(&ctx->arena, chunk);
		if (!offset) {
			if (chunk <= VTOE_PAGE)
				return -ENOMEM;
			chunk = chunk / 2 / VTOE_PAGE * VTOE_PAGE;
			continue;
		}
		rc = share_run(ctx, at, chunk, offset);
		if (rc) {
			arena_release(&ctx->arena, offset);
			break;
		}
		at += chunk;
		bytes -= chunk;
	}
	return rc;
}

static int share_pages(struct vtoe *ctx, uintptr_t at, size_t bytes)
{
	struct share *s = &ctx->cache.share;
	uintptr_t next = at, end = at + bytes;
	int rc = 0;

	s->made++;
	/* only this thread changes the extents: `change` is held */
	while (!rc && next < end) {
		size_t i = share_find(s, next);
		uintptr_t start = i < s->count ? s->extents[i].at : end;

		if (start <= next) {
			next = s->extents[i].at + s->extents[i].bytes;
			continue;
		}
		start = start < end ? start : end;
		rc = share_gap(ctx, next, start - next);
		next = start;
	}
	if (rc)
		share_undo(ctx, at, bytes);
	return rc;
}

/* Private pages with the same content in the place of shared ones. */
static int restore_run(uintptr_t at, size_t bytes)
{
	void *copy;

	copy = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (copy == MAP_FAILED)
		return -errno;
	memcpy(copy, (void *)at, bytes);
	if (mremap(copy, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
		   (void *)at) == MAP_FAILED) {
		int error = errno;

		munmap(copy, bytes);
		return -error;
	}
	return 0;
}

/* Whatever of the run is still mapped by us goes back to private. */
static int restore_pages(struct vtoe *ctx, struct extent e)
{
	uintptr_t end = e.at + e.bytes, at;
	size_t n;
	int rc;

	while ((n = maps_find_shared(e.at, end - e.at, ctx->memory_inode,
				     e.offset, &at))) {
		rc = restore_run(at, n);
		if (rc)
			return rc;
		e.offset += at + n - e.at;
		e.at = at + n;
	}
	return 0;
}

/* Cuts [at, at+bytes) out of extent i, of which it is a part. */
static void share_cut(struct share *s, size_t i, uintptr_t at, size_t bytes)
{
	struct extent *e = &s->extents[i], rest = *e;

	rest.at = at + bytes;
	rest.bytes = e->at + e->bytes - rest.at;
	rest.offset = e->offset + (rest.at - e->at);
	e->bytes = at - e->at;
	if (e->bytes && rest.bytes)
		share_insert(s, i + 1, rest);
	else if (rest.bytes)
		*e = rest;
	else if (!e->bytes)
		memmove(e, e + 1, (--s->count - i) * sizeof(*e));
}

int share_end(struct vtoe *ctx, uintptr_t at, size_t bytes)
{
	struct share *s = &ctx->cache.share;
	uintptr_t end = at + bytes;
	struct extent part;
	int rc = 0;
	size_t i;

	while ((i = share_find(s, at)) < s->count && s->extents[i].at < end) {
		uintptr_t part_end = s->extents[i].at + s->extents[i].bytes;

		part = s->extents[i];
		if (part.at < at) {
			part.offset += at - part.at;
			part.at = at;
		}
		part.bytes = (part_end < end ? part_end : end) - part.at;
		rc = restore_pages(ctx, part);
		pthread_mutex_lock(&ctx->cache.table);
		if (!rc)
			rc = share_reserve(s, 1);
		if (!rc)
			share_cut(s, i, part.at, part.bytes);
		pthread_mutex_unlock(&ctx->cache.table);
		if (rc)
			break;
		/* a dead backend's late writes must hit nobody */
		if (context_dead(ctx))
			continue;
		/* what the application had there is not left to the backend */
		madvise(ctx->memory + part.offset, part.bytes, MADV_REMOVE);
		arena_release_part(&ctx->arena, part.offset, part.bytes);
	}
	return rc;
}

static void share_undo(struct vtoe *ctx, uintptr_t at, size_t bytes)
{
	const struct share *s = &ctx->cache.share;
	size_t i = share_find(s, at);

	while (i < s->count && s->extents[i].at < at + bytes) {
		const struct extent *e = &s->extents[i];

		if (e->made != s->made || share_end(ctx, e->at, e->bytes))
			i++;
	}
}

/* The ranges of shared memory behind [at, at+bytes), adjacent ones merged.
 * `table` is held. -> how many, or -EFAULT, -E2BIG */
static int share_ranges(const struct share *s, uintptr_t at, size_t bytes,
		 struct vtoe_range *ranges, size_t room)
{
	uintptr_t end = at + bytes;
	size_t i = share_find(s, at), n = 0;

	for (; at < end; i++) {
		const struct extent *e = &s->extents[i];
		uint64_t offset, length;

		if (i >= s->count || e->at > at)
			return -EFAULT;
		offset = e->offset + (at - e->at);
		length = e->at + e->bytes - at;
		length = length < end - at ? length : end - at;
		if (n && ranges[n - 1].offset + ranges[n - 1].length == offset)
			ranges[n - 1].length += length;
		else if (n == room)
			return -E2BIG;
		else
			ranges[n++] = (struct vtoe_range){ offset, length };
		at += length;
	}
	return (int)n;
}

/* -- the table ------------------------------------------------------------- */

static int share_announce(struct vtoe *ctx, struct region *r)
{
	struct vtoe_ctl_request request = { .op = VTOE_CTL_REGION_ADD };
	struct vtoe_range ranges[VTOE_REGION_MAX_RANGES];
	struct vtoe_ctl_completion completion;
	uint64_t list = 0;
	int n, rc;

	pthread_mutex_lock(&ctx->cache.table);
	n = share_ranges(&ctx->cache.share, r->at, r->bytes, ranges,
			 VTOE_REGION_MAX_RANGES);
	pthread_mutex_unlock(&ctx->cache.table);
	if (n < 0 || (n > 1 && !(ctx->features & VTOE_F_REGION_LIST)))
		return -ENOMEM; /* the arena is too fragmented */
	request.lane = VTOE_LANE_ANY;
	request.u.region.count = (vtoe_u32)n;
	request.u.region.rights = r->rights;
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
	r->key = completion.key;
	return r->key ? 0 : -EPROTO;
}

static int share_add(struct vtoe *ctx, struct region *r)
{
	int rc = share_pages(ctx, r->at, r->bytes);

	if (rc)
		return rc;
	rc = share_announce(ctx, r);
	if (rc)
		share_undo(ctx, r->at, r->bytes);
	return rc;
}

static int share_remove(struct vtoe *ctx, uint64_t key, int timeout_ms)
{
	struct vtoe_ctl_request request = { .op = VTOE_CTL_REGION_DEL };
	struct vtoe_ctl_completion completion;
	int rc;

	request.u.key = key;
	rc = control_request(ctx, &request, &completion, timeout_ms);
	return rc ? rc : completion.result;
}

static int share_give_back(struct vtoe *ctx, uintptr_t at, size_t bytes)
{
	struct cache *c = &ctx->cache;
	bool any;
	size_t i;
	int rc;

	pthread_mutex_lock(&c->table);
	i = share_find(&c->share, at);
	any = i < c->share.count && c->share.extents[i].at < at + bytes;
	pthread_mutex_unlock(&c->table);
	if (!any)
		return 0;
	pthread_mutex_lock(&c->change);
	rc = share_end(ctx, at, bytes);
	pthread_mutex_unlock(&c->change);
	return rc;
}

/* Sending never replaces pages: the application may be writing beside what it
 * sends. A buffer to be filled has pages that nobody looks at now. */
static size_t share_reach(struct vtoe *ctx, void *at, size_t bytes,
			  unsigned rights)
{
	const unsigned both = VTOE_READ | VTOE_WRITE;
	size_t whole = bytes / VTOE_PAGE * VTOE_PAGE;
	uint64_t key, offset;

	if (!(rights & VTOE_WRITE))
		return cache_translate(ctx, at, bytes, rights, &key, &offset) ?
			       0 : bytes;
	if ((uintptr_t)at % VTOE_PAGE || !whole || bytes < ctx->direct_min)
		return 0;
	if (vtoe_register(ctx, at, whole, both))
		return 0;
	if (cache_still_shared(ctx, at, whole))
		return whole;
	/* unmapped behind our back, and something new is there */
	vtoe_invalidate(ctx, at, whole);
	return vtoe_register(ctx, at, whole, both) ? 0 : whole;
}

const struct memory_ops share_ops = {
	.add = share_add,
	.remove = share_remove,
	.give_back = share_give_back,
	.reach = share_reach,
};
