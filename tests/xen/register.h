/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * register.h - what tests/xen/register and its peer outside say to each other
 *
 * The program in the guest sends orders over its connection, and the peer
 * follows them in turn.
 */
#ifndef VTOE_TESTS_REGISTER_H
#define VTOE_TESTS_REGISTER_H

#include <stdint.h>

enum order_op {
	ORDER_SEND = 1, /* send `bytes` of the pattern */
	ORDER_TAKE = 2, /* receive as many, and answer 'y' if they are right */
	ORDER_WAIT = 3, /* read nothing for `bytes` ms */
};

struct order {
	uint32_t op;
	uint32_t seed;
	uint64_t bytes;
};

static inline unsigned char pattern(uint64_t i, uint32_t seed)
{
	return (unsigned char)(i * 31 + seed + (i >> 9));
}

#endif
