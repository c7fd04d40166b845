/* SPDX-License-Identifier: MIT */
/*
 * vtoe_types.h - integer types and size assertions of the wire contract
 *
 * The only header of frontend/abi that includes anything. All values on the
 * wire are little-endian; every structure has the same layout on 32-bit and
 * 64-bit guests (no implicit padding, asserted below each structure).
 */
#ifndef VTOE_TYPES_H
#define VTOE_TYPES_H

#ifdef __KERNEL__
#include <linux/types.h>
typedef __u8 vtoe_u8;
typedef __u16 vtoe_u16;
typedef __u32 vtoe_u32;
typedef __u64 vtoe_u64;
typedef __s32 vtoe_s32;
#else
#include <stdint.h>
typedef uint8_t vtoe_u8;
typedef uint16_t vtoe_u16;
typedef uint32_t vtoe_u32;
typedef uint64_t vtoe_u64;
typedef int32_t vtoe_s32;
#endif

/* A compile-time assertion in C99: a negative array size is an error. */
#define VTOE_ASSERT_JOIN2(a, b) a##b
#define VTOE_ASSERT_JOIN(a, b) VTOE_ASSERT_JOIN2(a, b)
#define VTOE_ASSERT(cond) \
	typedef char VTOE_ASSERT_JOIN(vtoe_assert_, __LINE__) \
		[(cond) ? 1 : -1] __attribute__((unused))

#define VTOE_CACHE_LINE 64
#define VTOE_PAGE 4096

#endif
