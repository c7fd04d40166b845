/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * checksum.h - the Internet checksum (RFC 1071)
 *
 * A sum is a plain 64-bit addition of 16-bit words as they lie in memory; it
 * is folded at the end. As RFC 1071 shows (2B), the byte order of the machine
 * does not matter as long as all words are taken, and the result stored, in
 * the same one. Zero has two forms, 0 and 0xffff; both are accepted wherever a
 * sum is checked (MECHANISMS A4).
 */
#ifndef VTOE_ENGINE_CHECKSUM_H
#define VTOE_ENGINE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Of up to 512 KiB; an odd last byte counts as if a zero byte followed. */
uint64_t checksum_sum(const void *at, size_t bytes);

static inline uint16_t checksum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Whether a sum that took in the checksum itself says that it is right. */
static inline int checksum_is_right(uint64_t sum)
{
	return checksum_fold(sum) == 0xffff;
}

/* A number, as the word that it would be in a header. */
static inline uint64_t checksum_number(uint16_t value)
{
	const uint8_t wire[2] = { (uint8_t)(value >> 8), (uint8_t)value };
	uint16_t word;

	memcpy(&word, wire, sizeof(word));
	return word;
}

/* The sum of bytes that begin at an odd offset of the whole (RFC 1071, 2B). */
static inline uint64_t checksum_shift(uint64_t sum)
{
	uint16_t s = checksum_fold(sum);

	return (uint16_t)(s << 8 | s >> 8);
}

#endif
