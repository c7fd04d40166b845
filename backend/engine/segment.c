/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment.c - lists of segments
 *
 * Chunks are named by index: 29 bits do, and the other three say how many of a
 * chunk's places are taken, so lists can be joined without moving anything.
 */
#include "engine/segment.h"

_Static_assert(sizeof(struct segment_chunk) == 64, "one cache line");

size_t segment_pool_bytes(uint32_t chunks)
{
	return chunks * sizeof(struct segment_chunk);
}

void segment_pool_init(struct segment_pool *p, uint32_t chunks, void *memory)
{
	uint32_t i;

	p->chunks = memory;
	p->count = p->free = chunks;
	p->free_first = chunks ? 0 : SEGMENT_NONE;
	for (i = 0; i < chunks; i++) {
		p->chunks[i].used = 0;
		p->chunks[i].next = i + 1 < chunks ? i + 1 : SEGMENT_NONE;
	}
}

bool segment_list_has_room(const struct segment_pool *p,
			   const struct segment_list *l)
{
	return p->free || (l->last != SEGMENT_NONE &&
			   p->chunks[l->last].used < SEGMENTS_PER_CHUNK);
}

static struct segment_chunk *segment_list_grow(struct segment_pool *p,
					       struct segment_list *l)
{
	struct segment_chunk *c = &p->chunks[p->free_first];
	uint32_t index = p->free_first;

	p->free_first = c->next;
	p->free--;
	c->used = 0;
	c->next = SEGMENT_NONE;
	if (l->last == SEGMENT_NONE)
		l->first = index;
	else
		p->chunks[l->last].next = index;
	l->last = index;
	return c;
}

void segment_list_append(struct segment_pool *p, struct segment_list *l,
			 uint64_t ref, uint32_t offset, uint32_t length)
{
	struct segment_chunk *c = NULL;
	uint32_t at;

	if (l->last != SEGMENT_NONE)
		c = &p->chunks[l->last];
	if (!c || c->used == SEGMENTS_PER_CHUNK)
		c = segment_list_grow(p, l);
	at = c->used++;
	c->ref[at] = ref;
	c->offset[at] = (uint16_t)offset;
	c->length[at] = (uint16_t)length;
}

void segment_list_join(struct segment_pool *p, struct segment_list *to,
		       struct segment_list *from)
{
	if (from->first == SEGMENT_NONE)
		return;
	if (to->last == SEGMENT_NONE)
		to->first = from->first;
	else
		p->chunks[to->last].next = from->first;
	to->last = from->last;
	segment_list_init(from);
}

void segment_list_release(struct segment_pool *p, struct segment_list *l)
{
	uint32_t at = l->first, next;

	for (; at != SEGMENT_NONE; at = next) {
		next = p->chunks[at].next;
		p->chunks[at].next = p->free_first;
		p->free_first = at;
		p->free++;
	}
	segment_list_init(l);
}

void segment_cursor_begin(struct segment_cursor *c,
			  const struct segment_list *l)
{
	c->chunk = l->first;
	c->at = 0;
	c->bytes = 0;
}

bool segment_cursor_next(const struct segment_pool *p, struct segment_cursor *c,
			 uint32_t max, struct segment *piece)
{
	const struct segment_chunk *chunk;
	uint32_t left;

	if (c->chunk == SEGMENT_NONE)
		return false;
	chunk = &p->chunks[c->chunk];
	left = chunk->length[c->at] - c->bytes;
	piece->ref = chunk->ref[c->at];
	piece->offset = chunk->offset[c->at] + c->bytes;
	piece->length = left < max ? left : max;
	piece->whole = piece->length == left;
	c->bytes += piece->length;
	if (!piece->whole)
		return true;
	c->bytes = 0;
	if (++c->at == chunk->used) {
		c->at = 0;
		c->chunk = chunk->next;
	}
	return true;
}
