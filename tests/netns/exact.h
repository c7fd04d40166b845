/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exact.h - the protocol of the byte-exactness tests
 *
 * The connecting side sends this header. Then both sides send `bytes` bytes at
 * once, each the pattern of its own seed, shut down their direction, and check
 * every byte and the end of what comes.
 */
#ifndef TESTS_NETNS_EXACT_H
#define TESTS_NETNS_EXACT_H

#include <stdint.h>

#define EXACT_MAGIC 0x7463617865u

struct exact_header {
	uint64_t magic;
	uint64_t seed; /* of the run */
	uint64_t index; /* of the connection */
	uint64_t bytes; /* each way, after the header */
};

static inline uint64_t exact_up_seed(const struct exact_header *h)
{
	return h->seed * 1000003 + h->index * 2;
}

static inline uint64_t exact_down_seed(const struct exact_header *h)
{
	return exact_up_seed(h) + 1;
}

#endif
