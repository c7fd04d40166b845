/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * crossed ADDRESS ECHO_PORT PUSH_PORT STREAMS - read one, leave the others
 *
 * Connects to STREAMS senders (ports PUSH_PORT and up) that send as much as
 * they can, waits until each is readable, reads one byte of each, and then
 * none. Meanwhile request and response on another connection of this process
 * must go on: what is not read of one stream is not in the way of another.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/netns/prog.h"

#define STREAMS 64
#define EXCHANGES 2000
#define PATIENCE_MS 10000

static void wait_readable(int fd, const char *what)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int n = poll(&p, 1, PATIENCE_MS);

	if (n < 0)
		prog_fail("poll");
	errno = 0;
	if (!n)
		prog_fail("%s: nothing to read after %d ms", what,
			  PATIENCE_MS);
}

static void exchange(int fd, uint64_t number)
{
	char out[1000], in[1000];
	size_t done = 0;
	ssize_t n;

	prog_pattern_fill(out, number, 0, sizeof(out));
	if (send(fd, out, sizeof(out), MSG_NOSIGNAL) != sizeof(out))
		prog_fail("send");
	while (done < sizeof(in)) {
		wait_readable(fd, "the stream that is read");
		n = recv(fd, in + done, sizeof(in) - done, 0);
		if (n <= 0)
			prog_fail("receive");
		done += (size_t)n;
	}
	errno = 0;
	if (prog_pattern_check(in, number, 0, sizeof(in)) != sizeof(in))
		prog_fail("response %llu is wrong", (unsigned long long)number);
}

int main(int argc, char **argv)
{
	uint64_t i, streams;
	int fds[STREAMS], fd;
	char port[8], c;

	if (argc != 5)
		prog_error("usage: crossed ADDRESS ECHO_PORT PUSH_PORT STREAMS");
	streams = prog_number(argv[4]);
	if (streams > STREAMS)
		prog_error("more than %d streams", STREAMS);
	fd = prog_connect(argv[1], argv[2]);
	for (i = 0; i < streams; i++) {
		snprintf(port, sizeof(port), "%u",
			 (unsigned)(prog_number(argv[3]) + i) & 0xffff);
		fds[i] = prog_connect(argv[1], port);
	}
	for (i = 0; i < streams; i++) {
		wait_readable(fds[i], "a stream that is sent to");
		if (recv(fds[i], &c, 1, 0) != 1)
			prog_fail("receive");
	}
	/* Each exchange gives what is not read some more time to pile up. */
	for (i = 0; i < EXCHANGES; i++)
		exchange(fd, i);
	printf("exchanged %d beside %llu that are not read\n", EXCHANGES,
	       (unsigned long long)streams);
	return 0;
}
