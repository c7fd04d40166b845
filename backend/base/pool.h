/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pool.h - elements of one size, allocated in slabs, up to a limit
 *
 * The data path takes and gives back elements without system calls; slabs are
 * kept until the pool is freed, so an element's address stays mapped while the
 * kernel may still name it in a completion. Not thread-safe.
 */
#ifndef VTOE_BASE_POOL_H
#define VTOE_BASE_POOL_H

#include <stddef.h>

struct pool {
	size_t element;	   /* bytes, rounded up to 16 */
	unsigned per_slab;
	unsigned limit;	   /* elements at most */
	unsigned made;	   /* elements in slabs */
	unsigned used;
	void *free;	   /* singly linked through the first word */
	void *slabs;
};

void pool_init(struct pool *p, size_t element, unsigned per_slab,
	       unsigned limit);
/* A zeroed element, 16-byte aligned; NULL at the limit or out of memory. */
void *pool_get(struct pool *p);
void pool_put(struct pool *p, void *element);
void pool_free(struct pool *p);

#endif
