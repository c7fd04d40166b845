/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * aggregate - what the aggregator costs, beside nothing
 *
 *	aggregate [FLOWS...]
 *
 * Frames of 1448 bytes of payload, with timestamps, of so many interleaved
 * flows (default 1 16 256 1024), over and over: processor time of a frame, with
 * the checksum verified by a NIC and by software, and segments of an aggregate.
 * Deliveries are thrown away. The frames take 96 MiB, so they come from
 * memory and not from a cache, as they would from a NIC without DDIO.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/aggregate.h"
#include "engine/bytes.h"
#include "engine/checksum.h"

enum {
	FRAMES = 1 << 16,
	STRIDE = 1536,
	PAYLOAD = 1448,
	HEADER = 66,
	PASSES = 5,
};

static uint8_t *frames;

static double processor_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void put_sum(uint8_t *at, uint64_t sum)
{
	uint16_t checksum = (uint16_t)~checksum_fold(sum);

	memcpy(at, &checksum, 2);
}

static void make_frame(uint8_t *f, uint32_t flow, uint32_t seq)
{
	static const uint8_t header[HEADER] = {
		2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0x05, 0xdc,
		0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 0, 192, 0, 2, 1, 0x9c,
		0x40, 0, 80, 0, 0, 0, 0, 0, 0, 0, 1, 0x80, 0x10, 1, 0, 0, 0, 0,
		0, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1
	};

	memcpy(f, header, HEADER);
	bytes_put16(f + 28, (uint16_t)flow);
	bytes_put32(f + 38, seq);
	put_sum(f + 24, checksum_sum(f + 14, 20));
	put_sum(f + 50, checksum_sum(f + 26, 8) + checksum_number(6) +
				checksum_number(32 + PAYLOAD) +
				checksum_sum(f + 34, 32 + PAYLOAD));
}

static void run(struct aggregator *a, uint32_t flows, uint32_t flags,
		uint32_t pass, double *seconds)
{
	struct delivery out[AGGREGATE_OUT];
	struct frame_input in = { .length = HEADER + PAYLOAD };
	unsigned n, k;
	double begin;
	uint32_t i;

	for (i = 0; i < FRAMES; i++)
		make_frame(frames + (size_t)i * STRIDE, i % flows,
			   (pass * (FRAMES / flows) + i / flows) * PAYLOAD);
	in.flags = FRAME_CHOSEN | flags;
	begin = processor_seconds();
	for (i = 0; i < FRAMES; i++) {
		in.data = frames + (size_t)i * STRIDE;
		in.ref = i;
		__builtin_prefetch(in.data + 2 * STRIDE);
		__builtin_prefetch(in.data + 2 * STRIDE + 64);
		n = aggregate_push(a, &in, i, out);
		for (k = 0; k < n; k++)
			aggregate_release(a, &out[k]);
	}
	*seconds += processor_seconds() - begin;
}

static int measure(uint32_t flows, uint32_t flags, const char *name)
{
	struct aggregate_config c;
	struct aggregator a;
	double seconds = 0, ignored = 0;
	void *memory;
	uint32_t i;

	aggregate_config_default(&c);
	c.secret[0] = 1;
	c.hold_max = FRAMES;
	c.timeout = UINT64_MAX / 4;
	memory = aligned_alloc(64, aggregate_bytes(&c));
	if (!memory || aggregate_init(&a, &c, memory, aggregate_bytes(&c)))
		return -1;
	run(&a, flows, flags, 0, &ignored);
	for (i = 1; i <= PASSES; i++)
		run(&a, flows, flags, i, &seconds);
	printf("%6u  %-12s  %8.1f ns  %6.1f\n", flows, name,
	       seconds * 1e9 / FRAMES / PASSES,
	       (double)a.stats.segs_in_agg / (double)a.stats.agg_out);
	free(memory);
	return 0;
}

int main(int argc, char **argv)
{
	static const uint32_t usual[] = { 1, 16, 256, 1024 };
	int i, count = argc > 1 ? argc - 1 : 4;
	uint32_t flows;

	frames = calloc(FRAMES + 2, STRIDE);
	if (!frames)
		return 99;
	printf(" flows  checksum      per frame  segments/aggregate\n");
	for (i = 0; i < count; i++) {
		flows = argc > 1 ? (uint32_t)strtoul(argv[i + 1], NULL, 0) :
				   usual[i];
		if (!flows || flows > 4096) {
			fprintf(stderr, "aggregate: 1 to 4096 flows\n");
			return 99;
		}
		if (measure(flows, FRAME_IP_VERIFIED | FRAME_TCP_VERIFIED,
			    "by the NIC") ||
		    measure(flows, 0, "by software"))
			return 99;
	}
	free(frames);
	return 0;
}
