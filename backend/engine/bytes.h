/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bytes.h - numbers at any address, in the network's byte order or as they lie
 */
#ifndef VTOE_ENGINE_BYTES_H
#define VTOE_ENGINE_BYTES_H

#include <stdint.h>
#include <string.h>

static inline uint16_t bytes_get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t bytes_get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 |
	       (uint32_t)at[2] << 8 | at[3];
}

static inline void bytes_put16(uint8_t *at, uint16_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static inline void bytes_put32(uint8_t *at, uint32_t v)
{
	bytes_put16(at, (uint16_t)(v >> 16));
	bytes_put16(at + 2, (uint16_t)v);
}

/* As they lie: to compare, to hash, and to add up. */
static inline uint16_t bytes_raw16(const uint8_t *at)
{
	uint16_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

static inline uint32_t bytes_raw32(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

static inline uint64_t bytes_raw64(const uint8_t *at)
{
	uint64_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

#endif
