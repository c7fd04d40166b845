/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz.h - what all fuzz targets share
 *
 * A target is one function, LLVMFuzzerTestOneInput(). With --enable-fuzz it is
 * linked with libFuzzer; else with fuzz_main.c, which replays the seeds and
 * simple mutations of them, so that every build runs them. The input is read
 * through a cursor: what is missing at its end reads as zero.
 */
#ifndef VTOE_TESTS_FUZZ_H
#define VTOE_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerInitialize(int *argc, char ***argv);

struct fuzz_input {
	const uint8_t *at;
	size_t left;
};

/* Copies as much as there is, zeroes the rest. -> bytes that were there */
static inline size_t fuzz_bytes(struct fuzz_input *in, void *to, size_t bytes)
{
	size_t n = bytes < in->left ? bytes : in->left;

	memset(to, 0, bytes);
	if (n)
		memcpy(to, in->at, n);
	in->at += n;
	in->left -= n;
	return n;
}

static inline uint8_t fuzz_u8(struct fuzz_input *in)
{
	uint8_t v;

	fuzz_bytes(in, &v, sizeof(v));
	return v;
}

static inline uint16_t fuzz_u16(struct fuzz_input *in)
{
	uint16_t v;

	fuzz_bytes(in, &v, sizeof(v));
	return v;
}

static inline uint32_t fuzz_u32(struct fuzz_input *in)
{
	uint32_t v;

	fuzz_bytes(in, &v, sizeof(v));
	return v;
}

/* What must hold whatever the input was. */
#define FUZZ_MUST(condition)                                              \
	do {                                                              \
		if (!(condition)) {                                       \
			fprintf(stderr, "%s:%d: does not hold: %s\n",     \
				__FILE__, __LINE__, #condition);          \
			abort();                                          \
		}                                                         \
	} while (0)

#endif
