/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/pool.h"

#include <stdlib.h>
#include <string.h>

/* The first 16 bytes of a slab link it to the one before. */
enum { SLAB_HEADER = 16, ALIGN = 16 };

void pool_init(struct pool *p, size_t element, unsigned per_slab,
	       unsigned limit)
{
	memset(p, 0, sizeof(*p));
	p->element = (element + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	p->per_slab = per_slab;
	p->limit = limit;
}

static int pool_grow(struct pool *p)
{
	unsigned n = p->per_slab, i;
	char *slab;

	if (n > p->limit - p->made)
		n = p->limit - p->made;
	if (!n)
		return -1;
	slab = aligned_alloc(ALIGN, SLAB_HEADER + n * p->element);
	if (!slab)
		return -1;
	*(void **)slab = p->slabs;
	p->slabs = slab;
	for (i = n; i-- > 0;) {
		void *e = slab + SLAB_HEADER + i * p->element;

		*(void **)e = p->free;
		p->free = e;
	}
	p->made += n;
	return 0;
}

void *pool_get(struct pool *p)
{
	void *e;

	if (!p->free && pool_grow(p))
		return NULL;
	e = p->free;
	p->free = *(void **)e;
	p->used++;
	memset(e, 0, p->element);
	return e;
}

void pool_put(struct pool *p, void *element)
{
	*(void **)element = p->free;
	p->free = element;
	p->used--;
}

void pool_free(struct pool *p)
{
	void *slab = p->slabs;

	while (slab) {
		void *next = *(void **)slab;

		free(slab);
		slab = next;
	}
	pool_init(p, p->element, p->per_slab, p->limit);
}
