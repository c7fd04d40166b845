/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * direct_native ADDRESS PORT COUNT SIZE - many receives into one buffer
 *
 * Receives COUNT times SIZE bytes (or fewer, as they come) into one buffer of
 * the program's own memory, which the library registers on first use. Prints
 * the library's counters as `name value` lines, for counters.sh to judge.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <vtoe.h>

#include "tests/netns/prog.h"

static void print_counters(const struct vtoe *ctx, uint64_t receives,
			   uint64_t bytes)
{
	struct vtoe_counters c;

	vtoe_get_counters(ctx, &c);
	printf("receives %llu\nbytes %llu\n", (unsigned long long)receives,
	       (unsigned long long)bytes);
	printf("registrations %llu\ncache_hits %llu\ncache_misses %llu\n",
	       (unsigned long long)c.registrations,
	       (unsigned long long)c.cache_hits,
	       (unsigned long long)c.cache_misses);
	printf("bytes_copied %llu\n", (unsigned long long)c.bytes_copied);
}

int main(int argc, char **argv)
{
	struct vtoe_params params = { 0 };
	struct sockaddr_storage to;
	uint64_t i, count, bytes = 0;
	struct vtoe_counters before;
	struct vtoe_lane *lane;
	struct vtoe *ctx;
	uint32_t stream;
	socklen_t len;
	size_t size;
	ssize_t n;
	void *at;

	if (argc != 5)
		prog_error("usage: direct_native ADDRESS PORT COUNT SIZE");
	len = prog_address(argv[1], argv[2], &to);
	count = prog_number(argv[3]);
	size = prog_number(argv[4]);
	at = mmap(NULL, size, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		prog_error("mmap");
	errno = -vtoe_open(&ctx, &params);
	if (errno)
		prog_fail("no backend");
	errno = -vtoe_lane_open(ctx, &lane, 0, 0, 0);
	if (errno)
		prog_fail("lane");
	errno = -vtoe_stream_open_connect(lane, &stream,
					  (struct sockaddr *)&to, len, 10000);
	if (errno)
		prog_fail("connect");
	vtoe_get_counters(ctx, &before);
	printf("registrations_before %llu\ncopied_before %llu\n",
	       (unsigned long long)before.registrations,
	       (unsigned long long)before.bytes_copied);

	for (i = 0; i < count; i++) {
		n = vtoe_stream_recv(lane, stream, at, size, 10000);
		errno = n < 0 ? (int)-n : 0;
		if (n <= 0)
			prog_fail("receive %llu", (unsigned long long)i);
		if (prog_pattern_check(at, 1, bytes, (size_t)n) != (size_t)n)
			prog_fail("receive %llu: wrong bytes",
				  (unsigned long long)i);
		bytes += (uint64_t)n;
	}
	print_counters(ctx, count, bytes);
	vtoe_stream_close(lane, stream, 1);
	vtoe_lane_close(lane);
	vtoe_close(ctx);
	return 0;
}
