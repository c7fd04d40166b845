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
 * meanwhile, whatever is there now is not touched.
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

int share_pages(struct vtoe *ctx, uintptr_t at, size_t bytes)
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

void share_undo(struct vtoe *ctx, uintptr_t at, size_t bytes)
{
	const struct share *s = &ctx->cache.share;
	size_t i = share_find(s, at);

	while (i < s->count && s->extents[i].at < at + bytes) {
		const struct extent *e = &s->extents[i];

		if (e->made != s->made || share_end(ctx, e->at, e->bytes))
			i++;
	}
}

int share_ranges(const struct share *s, uintptr_t at, size_t bytes,
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
