// SPDX-License-Identifier: BSD-2-Clause
/*
 * memory.c - blocks of the arena, and the forms of an address
 *
 * An application's address becomes {key, offset} (the virtual-address form of
 * MECHANISMS O2 turned into the offset form of O5), and back. Every sum is
 * checked before it is made: a key and an offset may come from the backend.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"

void *vtoe_alloc(struct vtoe *ctx, size_t bytes)
{
	uint64_t offset = arena_alloc(&ctx->arena, bytes);

	if (!offset) {
		errno = bytes ? ENOMEM : EINVAL;
		return NULL;
	}
	return ctx->memory + offset;
}

void vtoe_free(struct vtoe *ctx, void *at)
{
	/* a dead backend's late writes must hit nobody */
	if (at && !context_dead(ctx))
		arena_release(&ctx->arena,
			      (uint64_t)((char *)at - ctx->memory));
}

int cache_translate(struct vtoe *ctx, const void *memory, size_t bytes,
		    unsigned rights, uint64_t *key, uint64_t *offset)
{
	uintptr_t at = (uintptr_t)memory;
	uintptr_t arena = (uintptr_t)ctx->memory + ctx->arena_start;
	uintptr_t arena_bytes = ctx->bytes - ctx->arena_start;
	struct cache *c = &ctx->cache;
	struct region *r;

	if (at >= arena && at - arena < arena_bytes) {
		if (bytes > arena_bytes - (at - arena))
			return -EFAULT;
		*key = ctx->arena_key;
		*offset = at - arena;
		return 0;
	}
	pthread_mutex_lock(&c->table);
	r = cache_find(ctx, at, bytes, rights);
	if (r) {
		*key = r->key;
		*offset = at - region_base(r);
	}
	pthread_mutex_unlock(&c->table);
	return r ? 0 : -EFAULT;
}

int vtoe_translate(struct vtoe *ctx, const void *at, size_t bytes,
		   uint64_t *key, uint64_t *offset)
{
	return cache_translate(ctx, at, bytes, 0, key, offset);
}

static void *address_in(char *base, uint64_t room, uint64_t offset,
			size_t length)
{
	if (offset > room || length > room - offset)
		return NULL;
	return base + offset;
}

void *vtoe_address_of(struct vtoe *ctx, uint64_t key, uint64_t offset,
		      size_t length)
{
	struct cache *c = &ctx->cache;
	void *found = NULL;
	struct region *r;

	if (!key)
		return NULL;
	if (key == ctx->arena_key)
		return address_in(ctx->memory + ctx->arena_start,
				  ctx->bytes - ctx->arena_start, offset,
				  length);
	pthread_mutex_lock(&c->table);
	r = cache_find_key(c, key);
	/* offsets count from the region's first page, and only what was
	 * registered of its first and last is anybody's business */
	if (r && offset >= r->at - region_base(r))
		found = address_in((char *)r->at, r->bytes,
				   offset - (r->at - region_base(r)), length);
	pthread_mutex_unlock(&c->table);
	return found;
}

int vtoe_sqe_memory(struct vtoe *ctx, struct vtoe_sqe *sqe, const void *at,
		    size_t bytes)
{
	unsigned rights = 0;
	uint64_t key, offset;
	int rc;

	if (bytes > UINT32_MAX)
		return -EINVAL;
	if (sqe->op == VTOE_OP_SEND || sqe->op == VTOE_OP_SEGMENT)
		rights = VTOE_READ;
	else if (sqe->op == VTOE_OP_RECV || sqe->op == VTOE_OP_GRQ_ADD ||
		 sqe->op == VTOE_OP_AGGREGATE)
		rights = VTOE_WRITE;
	rc = cache_translate(ctx, at, bytes, rights, &key, &offset);
	if (rc)
		return rc;
	sqe->key = key;
	sqe->offset = offset;
	sqe->length = (vtoe_u32)bytes;
	return 0;
}

bool cache_still_shared(struct vtoe *ctx, void *at, size_t bytes)
{
	struct cache *c = &ctx->cache;
	uintptr_t page = (uintptr_t)at, end = page + bytes;
	bool shared = true;
	size_t i;

	pthread_mutex_lock(&c->table);
	i = share_find(&c->share, page);
	for (; shared && page < end; page += VTOE_PAGE) {
		const struct extent *e = &c->share.extents[i];
		volatile uint64_t *ours, *theirs = (uint64_t *)page;

		while (i < c->share.count && e->at + e->bytes <= page)
			e = &c->share.extents[++i];
		if (i == c->share.count || e->at > page) {
			shared = false;
			break;
		}
		/* two windows on one page show the same word, and a changed
		 * one too */
		ours = (uint64_t *)(ctx->memory + e->offset + (page - e->at));
		*ours = *theirs ^ 0x5a5aa5a5c3c33c3cull;
		shared = *ours == *theirs;
	}
	pthread_mutex_unlock(&c->table);
	return shared;
}
