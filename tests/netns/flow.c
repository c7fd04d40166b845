/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flow push|pull listen PORT | connect ADDRESS PORT [BYTES] - one direction
 *
 * push  sends the pattern of seed 1 without blocking until nothing more has
 *       been taken for a second, says `stalled N`; then sends on, blocking,
 *       until BYTES in all (default: for ever), and says `pushed N`.
 *       A receiver that has gone ends it too: `reset N`, and that is no error.
 * pull  says `connected`, reads nothing until SIGUSR1, then reads and checks
 *       all, and says `pulled N`. With BYTES it does not wait, and ends
 *       after that many.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/netns/prog.h"

#define CHUNK 65536
#define STALL_MS 1000

static char data[CHUNK];

static int flow_socket(int argc, char **argv, uint64_t *bytes)
{
	int fd, listener, used;

	if (argc >= 4 && !strcmp(argv[2], "listen")) {
		listener = prog_listen(argv[3]);
		fd = accept(listener, NULL, NULL);
		if (fd < 0)
			prog_fail("accept");
		close(listener);
		used = 4;
	} else if (argc >= 5 && !strcmp(argv[2], "connect")) {
		fd = prog_connect(argv[3], argv[4]);
		used = 5;
	} else {
		prog_error("usage: flow push|pull listen PORT | connect "
			   "ADDRESS PORT [BYTES]");
	}
	*bytes = argc > used ? prog_number(argv[used]) : 0;
	return fd;
}

static void say(const char *what, uint64_t bytes)
{
	printf("%s %llu\n", what, (unsigned long long)bytes);
	fflush(stdout);
}

/* One piece; 0 when the receiver has gone. */
static int push_piece(int fd, uint64_t *done, uint64_t limit, int flags)
{
	size_t size = CHUNK;
	ssize_t n;

	if (limit - *done < size)
		size = (size_t)(limit - *done);
	prog_pattern_fill(data, 1, *done, size);
	n = send(fd, data, size, flags | MSG_NOSIGNAL);
	if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
		say("reset", *done);
		return 0;
	}
	if (n < 0)
		return -1;
	*done += (uint64_t)n;
	return 1;
}

static void flow_push(int fd, uint64_t limit)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	uint64_t done = 0;
	int went = 1;

	if (!limit)
		limit = UINT64_MAX;
	while (done < limit) {
		went = push_piece(fd, &done, limit, MSG_DONTWAIT);
		if (!went)
			return;
		if (went > 0)
			continue;
		if (errno != EAGAIN)
			prog_fail("send after %llu bytes",
				  (unsigned long long)done);
		if (!poll(&p, 1, STALL_MS))
			break;
	}
	say("stalled", done);
	while (done < limit) {
		went = push_piece(fd, &done, limit, 0);
		if (went < 0)
			prog_fail("send after %llu bytes",
				  (unsigned long long)done);
		if (!went)
			return;
	}
	say("pushed", done);
	if (shutdown(fd, SHUT_WR) < 0)
		prog_fail("shutdown");
	/* Until the receiver closes too. */
	if (recv(fd, data, sizeof(data), 0) > 0)
		prog_fail("bytes from a receiver that sends none");
}

static void flow_pull(int fd, uint64_t limit)
{
	uint64_t done = 0;
	sigset_t set;
	ssize_t n;
	int sig;

	say("connected", 0);
	if (!limit) {
		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		sigwait(&set, &sig);
		limit = UINT64_MAX;
	}
	while (done < limit) {
		n = recv(fd, data, sizeof(data), 0);
		if (n < 0)
			prog_fail("receive after %llu bytes",
				  (unsigned long long)done);
		if (!n)
			break;
		errno = 0;
		if (prog_pattern_check(data, 1, done, (size_t)n) != (size_t)n)
			prog_fail("wrong byte near %llu",
				  (unsigned long long)done);
		done += (uint64_t)n;
	}
	say("pulled", done);
}

int main(int argc, char **argv)
{
	uint64_t bytes;
	sigset_t set;
	int fd;

	/* Before anything else: the script may send it early. */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = flow_socket(argc, argv, &bytes);
	if (!strcmp(argv[1], "push"))
		flow_push(fd, bytes);
	else
		flow_pull(fd, bytes);
	close(fd);
	return 0;
}
