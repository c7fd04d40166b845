/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flood_native MILLISECONDS - the greediest lane that the rules allow
 *
 * Keeps a submission queue of the largest size full of requests that do
 * nothing, and takes the completions as they come. Prints `requests N`.
 */
#include <errno.h>
#include <stdio.h>
#include <vtoe.h>

#include "tests/netns/prog.h"

#define ENTRIES 4096

int main(int argc, char **argv)
{
	struct vtoe_params params = { 0 };
	uint64_t end, requests = 0, taken = 0;
	struct vtoe_lane *lane;
	struct vtoe_cqe *cqe;
	struct vtoe_sqe *sqe;
	struct vtoe *ctx;
	int n;

	if (argc != 2)
		prog_error("usage: flood_native MILLISECONDS");
	errno = -vtoe_open(&ctx, &params);
	if (errno)
		prog_fail("no backend");
	errno = -vtoe_lane_open(ctx, &lane, ENTRIES, ENTRIES, 0);
	if (errno)
		prog_fail("lane of %u entries", ENTRIES);
	end = prog_now_ms() + prog_number(argv[1]);
	while (prog_now_ms() < end) {
		while (requests - taken < ENTRIES &&
		       (sqe = vtoe_get_sqe(lane)) != NULL)
			vtoe_sqe_set(sqe, VTOE_OP_NOP, VTOE_STREAM_NONE,
				     ++requests);
		n = vtoe_submit(lane);
		errno = n < 0 ? -n : 0;
		if (n < 0)
			prog_fail("submit");
		while ((n = vtoe_peek_cqe(lane, &cqe)) > 0) {
			errno = 0;
			if (cqe->user_data != ++taken || cqe->result)
				prog_fail("completion %llu is wrong",
					  (unsigned long long)taken);
			vtoe_cqe_seen(lane);
		}
		errno = n < 0 ? -n : 0;
		if (n < 0)
			prog_fail("lane");
	}
	vtoe_lane_close(lane);
	vtoe_close(ctx);
	printf("requests %llu\n", (unsigned long long)taken);
	return 0;
}
