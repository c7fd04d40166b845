/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * checksum.c - adds up memory
 *
 * This is the only code of the engine that reads payload, and only when
 * nobody has verified the frame yet. It is written with the compiler's vector
 * type, which every machine has in some form: each 32-bit lane holds two
 * 16-bit words, which are added apart, so no carry is ever lost.
 */
#include "engine/checksum.h"

#include "engine/bytes.h"

typedef uint32_t lanes __attribute__((vector_size(16)));

enum {
	BLOCK = 64
};

uint64_t checksum_sum(const void *from, size_t bytes)
{
	const lanes mask = { 0xffff, 0xffff, 0xffff, 0xffff };
	lanes low = { 0 }, high = { 0 }, v[BLOCK / sizeof(lanes)];
	const uint8_t *at = from;
	uint8_t last[2] = { 0 };
	uint64_t sum = 0;
	unsigned i;

	for (; bytes >= BLOCK; bytes -= BLOCK, at += BLOCK) {
		memcpy(v, at, BLOCK);
		low += (v[0] & mask) + (v[1] & mask) + (v[2] & mask) +
		       (v[3] & mask);
		high += (v[0] >> 16) + (v[1] >> 16) + (v[2] >> 16) +
			(v[3] >> 16);
	}
	for (i = 0; i < sizeof(lanes) / 4; i++)
		sum += (uint64_t)low[i] + high[i];
	for (; bytes >= 4; bytes -= 4, at += 4)
		sum += bytes_raw32(at);
	if (bytes >= 2) {
		sum += bytes_raw16(at);
		bytes -= 2;
		at += 2;
	}
	if (bytes) {
		last[0] = *at;
		sum += bytes_raw16(last);
	}
	return sum;
}
