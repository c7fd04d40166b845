/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment.h - where the payload of an aggregate lies (MECHANISMS C7)
 *
 * A list of (frame, offset, length), in chunks of one cache line from a pool
 * of fixed size in the caller's memory. Frames are only named.
 */
#ifndef VTOE_ENGINE_SEGMENT_H
#define VTOE_ENGINE_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SEGMENTS_PER_CHUNK = 5
};

#define SEGMENT_NONE 0x1fffffffu

struct segment_chunk {
	uint64_t ref[SEGMENTS_PER_CHUNK];
	uint16_t offset[SEGMENTS_PER_CHUNK];
	uint16_t length[SEGMENTS_PER_CHUNK];
	uint32_t next : 29; /* SEGMENT_NONE: the last one */
	uint32_t used : 3;
};

struct segment_pool {
	struct segment_chunk *chunks;
	uint32_t count;
	uint32_t free_first;
	uint32_t free;
};

/* Empty: first is SEGMENT_NONE. */
struct segment_list {
	uint32_t first;
	uint32_t last;
};

/* A piece of payload: all or a part of one frame's. */
struct segment {
	uint64_t ref;
	uint32_t offset; /* in the frame, bytes */
	uint32_t length; /* bytes; 0 for a merged pure ACK */
	bool whole;	 /* it ends the frame's payload: the frame will not
			  * appear again in this list */
};

/* How far a list has been read. */
struct segment_cursor {
	uint32_t chunk;
	uint32_t at;
	uint32_t bytes; /* of that segment, already */
};

size_t segment_pool_bytes(uint32_t chunks);
void segment_pool_init(struct segment_pool *p, uint32_t chunks, void *memory);
/* Whether one more segment finds room. */
bool segment_list_has_room(const struct segment_pool *p,
			   const struct segment_list *l);
/* Needs room. */
void segment_list_append(struct segment_pool *p, struct segment_list *l,
			 uint64_t ref, uint32_t offset, uint32_t length);
/* Moves all of `from` to the end of `to`. */
void segment_list_join(struct segment_pool *p, struct segment_list *to,
		       struct segment_list *from);
/* Gives the chunks back; the list is empty then. */
void segment_list_release(struct segment_pool *p, struct segment_list *l);

void segment_cursor_begin(struct segment_cursor *c,
			  const struct segment_list *l);
/*
 * The next piece, of no more than max bytes (> 0): so a list can be laid over
 * buffers of any size (C6). -> false at the end
 */
bool segment_cursor_next(const struct segment_pool *p, struct segment_cursor *c,
			 uint32_t max, struct segment *piece);

static inline void segment_list_init(struct segment_list *l)
{
	l->first = l->last = SEGMENT_NONE;
}

#endif
