/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rr ADDRESS PORT MILLISECONDS - one request and one response at a time
 *
 * The client of an echo server. Prints `count N`, `worst N` (microseconds).
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/netns/prog.h"

#define SIZE 64

static void exchange(int fd, uint64_t number)
{
	char out[SIZE], in[SIZE];
	size_t done = 0;
	ssize_t n;

	prog_pattern_fill(out, number, 0, SIZE);
	if (send(fd, out, SIZE, MSG_NOSIGNAL) != SIZE)
		prog_fail("send");
	while (done < SIZE) {
		n = recv(fd, in + done, SIZE - done, 0);
		if (n <= 0)
			prog_fail("receive");
		done += (size_t)n;
	}
	errno = 0;
	if (prog_pattern_check(in, number, 0, SIZE) != SIZE)
		prog_fail("response %llu is wrong", (unsigned long long)number);
}

int main(int argc, char **argv)
{
	uint64_t now, end, before, count = 0, worst = 0;
	int fd, one = 1;

	if (argc != 4)
		prog_error("usage: rr ADDRESS PORT MILLISECONDS");
	fd = prog_connect(argv[1], argv[2]);
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		prog_fail("TCP_NODELAY");
	now = prog_now_us();
	end = now + prog_number(argv[3]) * 1000;
	while (now < end) {
		before = now;
		exchange(fd, count++);
		now = prog_now_us();
		if (now - before > worst)
			worst = now - before;
	}
	close(fd);
	printf("count %llu\nworst %llu\n", (unsigned long long)count,
	       (unsigned long long)worst);
	return 0;
}
