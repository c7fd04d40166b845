/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * killed_native ADDRESS PORT ROUNDS - applications that are killed at work
 *
 * Each round starts a child that connects, registers memory, posts receives
 * and sends, and listens; then kills it with SIGKILL at a random instant of
 * its work. The script looks at what the worker still holds afterwards.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <vtoe.h>

#include "tests/netns/prog.h"

#define BYTES 65536

static void child_exchange(struct vtoe *ctx, struct vtoe_lane *lane,
			   uint32_t stream, char *at)
{
	struct vtoe_sqe *sqe;
	int i;

	for (i = 0; i < 4; i++) {
		sqe = vtoe_get_sqe(lane);
		if (!sqe)
			return;
		vtoe_sqe_set(sqe, i % 2 ? VTOE_OP_RECV : VTOE_OP_SEND, stream,
			     (uint64_t)i + 1);
		vtoe_sqe_memory(ctx, sqe, at + i * BYTES, BYTES);
	}
	vtoe_submit(lane);
}

static void child(char **argv, int ready)
{
	struct vtoe_params params = { 0 };
	struct sockaddr_storage to, at;
	socklen_t len = prog_address(argv[1], argv[2], &to);
	socklen_t at_len = prog_address("0.0.0.0", "0", &at);
	uint32_t stream, listener;
	struct vtoe_lane *lane;
	struct vtoe_cqe *cqe;
	struct vtoe *ctx;
	void *memory;

	memory = mmap(NULL, 4 * BYTES, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		prog_error("mmap");
	errno = -vtoe_open(&ctx, &params);
	if (errno)
		prog_fail("no backend");
	errno = -vtoe_lane_open(ctx, &lane, 0, 0, 0);
	if (errno)
		prog_fail("lane");
	errno = -vtoe_register(ctx, memory, 4 * BYTES, VTOE_READ | VTOE_WRITE);
	if (errno)
		prog_fail("register");
	errno = -vtoe_stream_open_listen(lane, &listener,
					 (struct sockaddr *)&at, at_len, 5);
	if (errno)
		prog_fail("listen");
	errno = -vtoe_stream_open_connect(lane, &stream,
					  (struct sockaddr *)&to, len, 10000);
	if (errno)
		prog_fail("connect");
	if (write(ready, "r", 1) != 1)
		prog_error("pipe");
	for (;;) {
		child_exchange(ctx, lane, stream, memory);
		while (vtoe_wait_cqe(lane, &cqe, 1) == 0)
			vtoe_cqe_seen(lane);
	}
}

static void round_of_one(char **argv, uint64_t *random)
{
	struct timespec nap = { 0 };
	int status, pipe_fd[2];
	pid_t pid;
	char c;

	if (pipe(pipe_fd) < 0)
		prog_error("pipe");
	pid = fork();
	if (pid < 0)
		prog_error("fork");
	if (!pid) {
		close(pipe_fd[0]);
		child(argv, pipe_fd[1]);
	}
	close(pipe_fd[1]);
	/* One in eight dies somewhere in its first steps already. */
	if (prog_random(random) % 8 && read(pipe_fd[0], &c, 1) != 1)
		prog_fail("the application ended by itself");
	nap.tv_nsec = (long)(prog_random(random) % 1000000);
	nanosleep(&nap, NULL);
	kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) != pid)
		prog_error("waitpid");
	errno = 0;
	if (!WIFSIGNALED(status))
		prog_fail("the application ended by itself");
	close(pipe_fd[0]);
}

int main(int argc, char **argv)
{
	uint64_t i, rounds, random = 1;

	if (argc != 4)
		prog_error("usage: killed_native ADDRESS PORT ROUNDS");
	rounds = prog_number(argv[3]);
	for (i = 0; i < rounds; i++)
		round_of_one(argv, &random);
	printf("killed %llu\n", (unsigned long long)rounds);
	return 0;
}
