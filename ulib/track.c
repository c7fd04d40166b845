// SPDX-License-Identifier: BSD-2-Clause
/*
 * track.c - the requests under way on a lane
 *
 * The library remembers every request until its completion: to answer it
 * itself when the backend dies, to know which registrations are in use, and to
 * hold a completion against what was asked (MECHANISMS N5): a backend must not
 * claim more bytes than the request had room for.
 *
 * A chained hash table by user_data over one array. user_data is the caller's
 * and need not be unique; among equal ones the best fit is chosen, which does
 * not matter to anyone who can tell his completions apart.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static uint32_t track_bucket(const struct track *t, uint64_t user_data)
{
	/* Fibonacci hashing: user_data is often an index or an address */
	return (uint32_t)((user_data * 0x9e3779b97f4a7c15ull) >> 32) &
	       (t->size - 1);
}

void track_free(struct track *t)
{
	free(t->entries);
	free(t->buckets);
	t->entries = NULL;
	t->buckets = NULL;
}

/* Builds buckets and the free list anew: [0, count) are in use. */
static void track_rehash(struct track *t)
{
	uint32_t i, b;

	memset(t->buckets, 0xff, t->size * sizeof(*t->buckets));
	for (i = 0; i < t->count; i++) {
		b = track_bucket(t, t->entries[i].user_data);
		t->entries[i].next = t->buckets[b];
		t->buckets[b] = i;
	}
	t->free = NOT_TRACKED;
	for (i = t->size; i-- > t->count;) {
		t->entries[i].next = t->free;
		t->free = i;
	}
}

int track_init(struct track *t, uint32_t size)
{
	t->entries = calloc(size, sizeof(*t->entries));
	t->buckets = malloc(size * sizeof(*t->buckets));
	if (!t->entries || !t->buckets) {
		track_free(t);
		return -ENOMEM;
	}
	t->size = size;
	t->count = 0;
	track_rehash(t);
	return 0;
}

/* Moves the entries in use to the front: [0, count) is theirs then. */
static int track_compact(struct track *t)
{
	uint8_t *is_free;
	uint32_t i, to;

	is_free = calloc(t->size, 1);
	if (!is_free)
		return -ENOMEM;
	for (i = t->free; i != NOT_TRACKED; i = t->entries[i].next)
		is_free[i] = 1;
	for (i = to = 0; i < t->size; i++)
		if (!is_free[i])
			t->entries[to++] = t->entries[i];
	free(is_free);
	return 0;
}

int track_reserve(struct track *t, uint32_t want)
{
	struct tracked *entries;
	uint32_t size = t->size;
	uint32_t *buckets;

	if (t->size - t->count >= want)
		return 0;
	while (size - t->count < want)
		size *= 2;
	buckets = malloc(size * sizeof(*buckets));
	if (!buckets)
		return -ENOMEM;
	if (track_compact(t))
		goto fail;
	entries = realloc(t->entries, size * sizeof(*entries));
	if (entries)
		t->entries = entries;
	/* even if it failed: the entries have moved */
	t->size = entries ? size : t->size;
	free(t->buckets);
	t->buckets = buckets;
	track_rehash(t);
	return entries ? 0 : -ENOMEM;
fail:
	free(buckets);
	return -ENOMEM;
}

void track_add(struct track *t, const struct vtoe_sqe *sqe, uint32_t region)
{
	uint32_t index = t->free, b = track_bucket(t, sqe->user_data);
	struct tracked *e = &t->entries[index];

	t->free = e->next;
	t->count++;
	e->user_data = sqe->user_data;
	e->key = sqe->key;
	e->offset = sqe->offset;
	e->length = sqe->length;
	e->stream = sqe->stream;
	e->op = sqe->op;
	e->region = region;
	e->sequence = t->sequence++;
	e->next = t->buckets[b];
	t->buckets[b] = index;
}

/* How well a completion fits a request; 0 if it cannot be its. */
static int track_fit(const struct tracked *e, const struct vtoe_cqe *cqe)
{
	int fit = 1;

	if (e->user_data != cqe->user_data)
		return 0;
	if (e->stream == cqe->stream)
		fit += 1;
	if (cqe->key && e->key == cqe->key && e->offset == cqe->offset)
		fit += 4;
	if (cqe->result >= 0 && (uint32_t)cqe->result <= e->length)
		fit += 2;
	return fit;
}

uint32_t track_match(const struct track *t, const struct vtoe_cqe *cqe)
{
	uint32_t i = t->buckets[track_bucket(t, cqe->user_data)];
	uint32_t best = NOT_TRACKED;
	int best_fit = 0;

	for (; i != NOT_TRACKED; i = t->entries[i].next) {
		const struct tracked *e = &t->entries[i];
		int fit = track_fit(e, cqe);

		/* of equals the oldest: a stream's requests complete in order */
		if (fit > best_fit ||
		    (fit && fit == best_fit &&
		     (int32_t)(e->sequence - t->entries[best].sequence) < 0)) {
			best_fit = fit;
			best = i;
		}
	}
	return best;
}

void track_remove(struct track *t, uint32_t index)
{
	struct tracked *e = &t->entries[index];
	uint32_t *link = &t->buckets[track_bucket(t, e->user_data)];

	while (*link != index)
		link = &t->entries[*link].next;
	*link = e->next;
	e->next = t->free;
	t->free = index;
	t->count--;
}

uint32_t track_oldest(const struct track *t)
{
	uint32_t b, i, best = NOT_TRACKED;

	for (b = 0; b < t->size; b++)
		for (i = t->buckets[b]; i != NOT_TRACKED;
		     i = t->entries[i].next)
			if (best == NOT_TRACKED ||
			    (int32_t)(t->entries[i].sequence -
				      t->entries[best].sequence) < 0)
				best = i;
	return best;
}
