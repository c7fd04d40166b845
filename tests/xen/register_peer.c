// SPDX-License-Identifier: BSD-2-Clause
/*
 * register_peer.c - the far end of tests/xen/register: `register_peer PORT`
 *
 * A process for each connection; follows the orders of register.h.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/xen/register.h"

static unsigned char piece[1 << 16];

static int read_all(int fd, void *to, size_t n)
{
	while (n) {
		ssize_t got = read(fd, to, n);

		if (got <= 0)
			return -1;
		to = (char *)to + got;
		n -= (size_t)got;
	}
	return 0;
}

static int write_all(int fd, const void *from, size_t n)
{
	while (n) {
		ssize_t put = write(fd, from, n);

		if (put <= 0)
			return -1;
		from = (const char *)from + put;
		n -= (size_t)put;
	}
	return 0;
}

static int follow(int fd, const struct order *o)
{
	uint64_t at = 0;
	char right = 'y';
	size_t n, i;

	if (o->op == ORDER_WAIT)
		return usleep((useconds_t)o->bytes * 1000);
	for (; at < o->bytes; at += n) {
		n = o->bytes - at;
		n = n < sizeof(piece) ? n : sizeof(piece);
		if (o->op == ORDER_TAKE && read_all(fd, piece, n))
			return -1;
		for (i = 0; i < n; i++) {
			unsigned char want = pattern(at + i, o->seed);

			if (o->op == ORDER_SEND)
				piece[i] = want;
			else if (piece[i] != want)
				right = 'n';
		}
		if (o->op == ORDER_SEND && write_all(fd, piece, n))
			return -1;
	}
	return o->op == ORDER_TAKE ? write_all(fd, &right, 1) : 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int one = 1, l = socket(AF_INET, SOCK_STREAM, 0), fd;
	struct order o;

	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	a.sin_port = htons((uint16_t)atoi(argc > 1 ? argv[1] : "7300"));
	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(l, (void *)&a, sizeof(a)) || listen(l, 64)) {
		perror("register_peer");
		return 99;
	}
	while ((fd = accept(l, NULL, NULL)) >= 0) {
		if (fork()) {
			close(fd);
			continue;
		}
		close(l);
		while (!read_all(fd, &o, sizeof(o)) && !follow(fd, &o))
			;
		return 0;
	}
	return 99;
}
