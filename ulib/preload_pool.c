/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * preload_pool.c - what the arena is used for
 *
 * Theory of operation. Send chunks come in three sizes, cut from slabs that
 * are allocated as needed and kept; a chunk is the backend's from SEND until
 * its completion. Generic receive buffers are slabs of equal buffers, given
 * to the lane with GRQ_ADD; a consumed one goes back when the application has
 * read it, in batches (neighbours as one entry): with whatever else is published,
 * at the latest when the lock is given up with many of them waiting, or when a
 * stream may be short of them. One alone is not worth a doorbell: an answer that
 * follows takes it along.
 *
 * The key and offset of a slab are translated once.
 *
 * In a small arena slabs are small, too, and the first one of send chunks is
 * made at the start: generic buffers, of which there are more with every stream
 * that is not read, would otherwise leave nothing to send from, and a program
 * that cannot ask gets no answer to read.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "preload.h"

#define VT_SLAB_BYTES (1u << 20)
#define VT_SLABS_MAX 48 /* of send chunks */
#define VT_SLABS_SHORT 12 /* of them, kept for short ones */
#define VT_GENERIC_BYTES 65536u
#define VT_GENERIC_SLAB 64	/* buffers of a slab, at most */
#define VT_GENERIC_SLABS 12
#define VT_GENERIC_BATCH 16	/* given back together */

static const uint32_t vt_class_bytes[] = { 2048, 16384, 131072 };
#define VT_CLASSES 3

struct vt_slab {
	unsigned char *at;
	uint64_t key, offset;
	struct vt_chunk *chunks;
	unsigned buffers; /* generic ones */
};

static struct {
	struct vt_slab slabs[VT_SLABS_MAX];
	unsigned slab_count, slab_max;
	size_t free_bytes; /* of chunks */
	struct vt_chunk *free[VT_CLASSES];
	struct vt_slab generic[VT_GENERIC_SLABS];
	unsigned generic_count;
	unsigned buffers; /* generic ones in all */
	unsigned out;	  /* of them, those that hold unread data */
	int back[VT_GENERIC_BATCH * 4];
	unsigned back_count;
} pool;

static int vt_slab_make(struct vt_slab *slab, size_t bytes)
{
	slab->chunks = NULL;
	slab->at = vtoe_alloc(vt.ctx, bytes);
	if (!slab->at)
		return -ENOMEM;
	return vtoe_translate(vt.ctx, slab->at, bytes, &slab->key,
			      &slab->offset);
}

static bool vt_class_grow(int class)
{
	uint32_t size = vt_class_bytes[class], bytes = VT_SLAB_BYTES, count, i;
	struct vt_slab *slab;

	if (!vt.ctx || pool.slab_count + (class ? VT_SLABS_SHORT : 0) >=
			       pool.slab_max)
		return false;
	slab = &pool.slabs[pool.slab_count];
	while (vt_slab_make(slab, bytes)) {
		bytes /= 2;
		if (bytes < vt_class_bytes[VT_CLASSES - 1]) {
			/* the arena is used up */
			pool.slab_max = pool.slab_count;
			return false;
		}
	}
	count = bytes / size;
	slab->chunks = calloc(count, sizeof(*slab->chunks));
	if (!slab->chunks) {
		vtoe_free(vt.ctx, slab->at);
		return false;
	}
	pool.slab_count++;
	pool.free_bytes += count * size;
	for (i = 0; i < count; i++) {
		struct vt_chunk *c = &slab->chunks[i];

		c->at = slab->at + i * size;
		c->key = slab->key;
		c->offset = slab->offset + i * size;
		c->size = size;
		c->class = class;
		c->next = pool.free[class];
		pool.free[class] = c;
	}
	return true;
}

/* A chunk of about the size wanted; NULL when the arena is used up. */
struct vt_chunk *vt_chunk_get(size_t want)
{
	int class = 0, i;

	while (class < VT_CLASSES - 1 && want > vt_class_bytes[class])
		class++;
	if (!pool.free[class])
		vt_class_grow(class);
	for (i = class; i < VT_CLASSES; i++)
		if (pool.free[i])
			break;
	if (i == VT_CLASSES)
		for (i = class - 1; i >= 0; i--)
			if (pool.free[i])
				break;
	if (i >= 0) {
		struct vt_chunk *c = pool.free[i];

		pool.free[i] = c->next;
		pool.free_bytes -= c->size;
		return c;
	}
	return NULL;
}

void vt_chunk_put(struct vt_chunk *c)
{
	c->next = pool.free[c->class];
	pool.free[c->class] = c;
	pool.free_bytes += c->size;
}

bool vt_chunk_left(void)
{
	int i;

	for (i = 0; i < VT_CLASSES; i++)
		if (pool.free[i])
			return true;
	return pool.slab_count < pool.slab_max;
}

size_t vt_chunk_bytes_left(void)
{
	return pool.free_bytes +
	       (size_t)(pool.slab_max - pool.slab_count) * VT_SLAB_BYTES;
}

/* -- generic receive buffers -------------------------------------------------- */

static void vt_generic_add(uint64_t key, uint64_t offset, unsigned count)
{
	struct vt_req *r = vt_req_get(NULL, vt_req_ignore);
	struct vtoe_sqe *q = vt_sqe(r, VTOE_OP_GRQ_ADD, VTOE_STREAM_NONE);

	/* No completion unless it fails, and then there is nothing to do. */
	q->user_data = 0;
	q->key = key;
	q->offset = offset;
	q->length = count * VT_GENERIC_BYTES;
	q->op_flags = count;
	vt_req_put(r);
}

static bool vt_generic_grow(unsigned n)
{
	struct vt_slab *slab = &pool.generic[pool.generic_count];

	if (pool.generic_count == VT_GENERIC_SLABS)
		return false;
	while (n && vt_slab_make(slab, n * VT_GENERIC_BYTES))
		n /= 2;
	if (!n)
		return false;
	slab->buffers = n;
	pool.buffers += n;
	pool.generic_count++;
	vt_generic_add(slab->key, slab->offset, n);
	return true;
}

/* How many buffers leave room for a slab of send chunks, which is made. */
static unsigned vt_generic_first(void)
{
	unsigned n;

	for (n = VT_GENERIC_SLAB; n; n /= 2) {
		void *at = vtoe_alloc(vt.ctx, n * VT_GENERIC_BYTES);
		bool room;

		pool.slab_max = VT_SLABS_MAX;
		room = at && vt_class_grow(1);
		if (at)
			vtoe_free(vt.ctx, at);
		if (room)
			break;
	}
	return n;
}

int vt_generic_start(void)
{
	return vt_generic_grow(vt_generic_first()) ? 0 : -ENOMEM;
}

/* The address of received data, and the buffer that it is in. */
unsigned char *vt_generic_at(uint64_t key, uint64_t offset, size_t length,
			     int *index)
{
	unsigned i;

	for (i = 0; i < pool.generic_count; i++) {
		struct vt_slab *slab = &pool.generic[i];
		uint64_t bytes = (uint64_t)slab->buffers * VT_GENERIC_BYTES;

		if (key != slab->key || offset < slab->offset ||
		    offset - slab->offset > bytes - length)
			continue;
		*index = i * VT_GENERIC_SLAB +
			 (offset - slab->offset) / VT_GENERIC_BYTES;
		pool.out++;
		/* Keep a quarter free, for streams that are read. */
		if (pool.out * 4 > pool.buffers * 3)
			vt_generic_grow(VT_GENERIC_SLAB);
		return slab->at + (offset - slab->offset);
	}
	return NULL;
}

static int vt_compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void vt_generic_give(void)
{
	unsigned i = 0, n = pool.back_count, run;
	int sorted[VT_GENERIC_BATCH * 4];

	memcpy(sorted, pool.back, n * sizeof(*sorted));
	pool.back_count = 0;
	qsort(sorted, n, sizeof(*sorted), vt_compare);
	for (; i < n; i += run) {
		struct vt_slab *slab =
			&pool.generic[sorted[i] / VT_GENERIC_SLAB];
		unsigned at = sorted[i] % VT_GENERIC_SLAB;

		run = 1;
		while (i + run < n && sorted[i + run] == sorted[i] + (int)run &&
		       (sorted[i] + (int)run) % VT_GENERIC_SLAB)
			run++;
		vt_generic_add(slab->key,
			       slab->offset + at * VT_GENERIC_BYTES, run);
	}
}

/* Most buffers hold unread data, and there will be no more of them: what
 * comes now is better kept elsewhere. */
bool vt_generic_scarce(void)
{
	return pool.out * 4 > pool.buffers * 3;
}

/* A buffer has been read. */
void vt_generic_back(int index)
{
	if (index < 0 || !vt.lane)
		return;
	pool.out--;
	pool.back[pool.back_count++] = index;
	if (pool.back_count == VT_GENERIC_BATCH * 4)
		vt_generic_give();
}

/* May a stream be short of buffers? The backend lets a stream have as many as
 * it has itself (P-33), and counts those that wait here to be given back as the
 * stream's still. With less than half of all with us no stream can be at that
 * bound. */
static bool vt_generic_short(void)
{
	return (pool.out + pool.back_count) * 2 >= pool.buffers;
}

/* Before publishing: many buffers go along. */
void vt_generic_flush(void)
{
	if (vt.lane && pool.back_count &&
	    (pool.back_count >= VT_GENERIC_BATCH || vt.dirty ||
	     vt_generic_short()))
		vt_generic_give();
}

/* The context is gone, and its memory with it. */
void vt_pool_forget(void)
{
	unsigned i;

	for (i = 0; i < pool.slab_count; i++)
		free(pool.slabs[i].chunks);
	memset(&pool, 0, sizeof(pool));
}
