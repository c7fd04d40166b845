/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pattern.c - test data that needs no writing
 *
 * The stream repeats a pseudo-random block of a prime length, so that a
 * misplaced page or buffer shows. A buffer of period + window bytes holds every
 * window of the stream contiguously: a sender posts slices of it and never
 * touches the data, a receiver compares with memcmp.
 */
#include "workload.h"

size_t pattern_bytes(size_t window)
{
	return PATTERN_PERIOD + window;
}

void pattern_fill(uint8_t *at, size_t window)
{
	uint64_t x = 0x9e3779b97f4a7c15ull;
	size_t i;

	for (i = 0; i < pattern_bytes(window); i++) {
		if (i >= PATTERN_PERIOD) {
			at[i] = at[i - PATTERN_PERIOD];
			continue;
		}
		x ^= x << 13; /* xorshift64 */
		x ^= x >> 7;
		x ^= x << 17;
		at[i] = (uint8_t)(x >> 32);
	}
}
