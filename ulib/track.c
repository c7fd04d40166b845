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

static void track_link_free(struct track *t, uint32_t from)
{
	uint32_t i;

	for (i = from; i < t->size; i++)
		t->entries[i].next = i + 1 < t->size ? i + 1 : t->free;
	t->free = from;
}

int track_init(struct track *t, uint32_t size)
{
	t->entries = calloc(size, sizeof(*t->entries));
	t->buckets = malloc(size * sizeof(*t->buckets));
	if (!t->entries || !t->buckets) {
		track_free(t);
		return -ENOMEM;
	}
	memset(t->buckets, 0xff, size * sizeof(*t->buckets));
	t->size = size;
	t->count = 0;
	t->free = NOT_TRACKED;
	track_link_free(t, 0);
	return 0;
}

void track_free(struct track *t)
{
	free(t->entries);
	free(t->buckets);
	t->entries = NULL;
	t->buckets = NULL;
}

static void track_rehash(struct track *t, uint32_t used)
{
	uint32_t i, b;

	memset(t->buckets, 0xff, t->size * sizeof(*t->buckets));
	for (i = 0; i < used; i++) {
		b = track_bucket(t, t->entries[i].user_data);
		t->entries[i].next = t->buckets[b];
		t->buckets[b] = i;
	}
}

int track_reserve(struct track *t, uint32_t want)
{
	uint32_t old = t->size, size = t->size;
	struct tracked *entries;
	uint32_t *buckets;

	if (t->size - t->count >= want)
		return 0;
	/* Entries move only when every one is in use: none is lost. */
	while (size - t->count < want)
		size *= 2;
	if (t->count != old)
		goto compact;
grow:
	entries = realloc(t->entries, size * sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	t->entries = entries;
	buckets = realloc(t->buckets, size * sizeof(*buckets));
	if (!buckets)
		return -ENOMEM;
	t->buckets = buckets;
	t->size = size;
	track_rehash(t, t->count);
	t->free = NOT_TRACKED;
	track_link_free(t, t->count);
	return 0;

compact: {
	/* Move the used entries to the front, so that [0, count) is theirs. */
	uint8_t *is_free = calloc(old, 1);
	uint32_t from, to = 0, i;

	if (!is_free)
		return -ENOMEM;
	for (i = t->free; i != NOT_TRACKED; i = t->entries[i].next)
		is_free[i] = 1;
	for (from = 0; from < old; from++)
		if (!is_free[from])
			t->entries[to++] = t->entries[from];
	free(is_free);
	track_rehash(t, t->count);
	t->free = NOT_TRACKED;
	track_link_free(t, t->count);
	goto grow;
}
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
	if (cqe->length && e->key == cqe->key && e->offset == cqe->offset)
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
