// SPDX-License-Identifier: BSD-2-Clause
/*
 * arena.c - the page allocator of the shared memory
 *
 * Lane rings, vtoe_alloc() blocks and the pages behind registered application
 * memory all come from here. A block is a run of pages. Two bitmaps in private
 * memory say all there is to say: `used` has a bit for every page that is
 * taken, `last` one for the last page of every block, so that a block's length
 * need not be kept anywhere. 128 MiB of shared memory are 512 words of each;
 * a search skips full words, and starts where the one before ended (next fit).
 */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"

#define WORD 64u

static bool bit_test(const uint64_t *map, uint32_t i)
{
	return map[i / WORD] >> (i % WORD) & 1;
}

static void bit_set(uint64_t *map, uint32_t i)
{
	map[i / WORD] |= 1ull << (i % WORD);
}

static void bit_clear(uint64_t *map, uint32_t i)
{
	map[i / WORD] &= ~(1ull << (i % WORD));
}

int arena_init(struct arena *a, uint64_t from, uint64_t bytes)
{
	uint64_t first = (from + VTOE_PAGE - 1) / VTOE_PAGE;
	uint64_t pages = bytes / VTOE_PAGE;
	size_t words = pages / WORD + 1;

	if (pages <= first || pages > UINT32_MAX)
		return -EPROTO;
	a->used = calloc(words, sizeof(*a->used));
	a->last = calloc(words, sizeof(*a->last));
	if (!a->used || !a->last) {
		free(a->used);
		free(a->last);
		a->used = a->last = NULL;
		return -ENOMEM;
	}
	pthread_mutex_init(&a->lock, NULL);
	a->first = a->next = (uint32_t)first;
	a->pages = (uint32_t)pages;
	a->free = a->pages - a->first;
	return 0;
}

void arena_free_tables(struct arena *a)
{
	free(a->used);
	free(a->last);
}

/* The first run of `want` free pages in [from, to), or 0. */
static uint32_t arena_find(const struct arena *a, uint32_t want,
			   uint32_t from, uint32_t to)
{
	uint32_t page = from, run = 0;

	while (page < to) {
		uint64_t word = a->used[page / WORD];

		if (page % WORD == 0 && to - page >= WORD &&
		    (word == 0 || word == UINT64_MAX)) {
			run = word ? 0 : run + WORD;
			page += WORD;
		} else {
			run = word >> (page % WORD) & 1 ? 0 : run + 1;
			page++;
		}
		if (run >= want)
			return page - run;
	}
	return 0;
}

uint64_t arena_alloc(struct arena *a, size_t bytes)
{
	uint32_t want, at = 0, i;

	if (!bytes || bytes > (uint64_t)a->pages * VTOE_PAGE)
		return 0;
	want = (uint32_t)((bytes + VTOE_PAGE - 1) / VTOE_PAGE);
	pthread_mutex_lock(&a->lock);
	if (want > a->free)
		goto out;
	at = arena_find(a, want, a->next, a->pages);
	if (!at)
		at = arena_find(a, want, a->first, a->pages);
	if (!at)
		goto out;
	for (i = at; i < at + want; i++)
		bit_set(a->used, i);
	bit_set(a->last, at + want - 1);
	a->free -= want;
	a->next = at + want < a->pages ? at + want : a->first;
out:
	pthread_mutex_unlock(&a->lock);
	return (uint64_t)at * VTOE_PAGE;
}

size_t arena_release(struct arena *a, uint64_t offset)
{
	uint64_t page = offset / VTOE_PAGE;
	uint32_t start, i;
	size_t bytes = 0;

	if (offset % VTOE_PAGE || page < a->first || page >= a->pages)
		return 0;
	start = (uint32_t)page;
	pthread_mutex_lock(&a->lock);
	if (!bit_test(a->used, start))
		goto out;
	/* the page before belongs to this block too: not its start */
	if (start > a->first && bit_test(a->used, start - 1) &&
	    !bit_test(a->last, start - 1))
		goto out;
	for (i = start;; i++) {
		bool last = bit_test(a->last, i);

		bit_clear(a->used, i);
		bit_clear(a->last, i);
		bytes += VTOE_PAGE;
		if (last)
			break;
	}
	a->free += bytes / VTOE_PAGE;
out:
	pthread_mutex_unlock(&a->lock);
	return bytes;
}

void arena_release_part(struct arena *a, uint64_t offset, size_t bytes)
{
	uint32_t page = (uint32_t)(offset / VTOE_PAGE);
	uint32_t end = page + (uint32_t)(bytes / VTOE_PAGE), i;

	pthread_mutex_lock(&a->lock);
	/* what is left before the part must end there */
	if (page > a->first && bit_test(a->used, page - 1))
		bit_set(a->last, page - 1);
	for (i = page; i < end; i++) {
		bit_clear(a->used, i);
		bit_clear(a->last, i);
		a->free++;
	}
	pthread_mutex_unlock(&a->lock);
}
