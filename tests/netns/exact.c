/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exact - both directions of many connections at once, byte for byte
 *
 *   exact serve PORT CONNECTIONS
 *   exact connect ADDRESS PORT CONNECTIONS BYTES SEED
 *
 * One epoll loop over plain sockets; BYTES each way and connection. Chunk
 * sizes are random from SEED (the server's from the header's), 1 byte to
 * 256 KiB, so that every boundary falls everywhere. See exact.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tests/netns/exact.h"
#include "tests/netns/prog.h"

#define CHUNK 262144
/* Chunks of one direction in a row, before others have their turn. */
#define TURN 4

struct half {
	uint64_t seed, done;
	int ended;
};

struct conn {
	int fd;
	size_t header_done;
	struct exact_header header;
	struct half in, out;
	uint64_t random;
};

struct exact {
	int epoll, listener, serving;
	uint32_t ended;
	uint64_t in_bytes, out_bytes;
	char data[CHUNK];
};

static size_t chunk_size(struct conn *c)
{
	uint64_t r = prog_random(&c->random);

	/* One in four is small: headers, lines, tails. */
	return 1 + (r >> 8) % ((r & 3) ? CHUNK : 100);
}

static void conn_begin(struct exact *x, struct conn *c)
{
	uint64_t up = exact_up_seed(&c->header);
	uint64_t down = exact_down_seed(&c->header);

	if (c->header.magic != EXACT_MAGIC)
		prog_fail("connection %llu: wrong header",
			  (unsigned long long)c->header.index);
	c->in.seed = x->serving ? up : down;
	c->out.seed = x->serving ? down : up;
	c->random = c->out.seed;
}

/* 1: again, 0: would block, or nothing is left. */
static int conn_header(struct exact *x, struct conn *c)
{
	char *at = (char *)&c->header + c->header_done;
	size_t left = sizeof(c->header) - c->header_done;
	ssize_t n = x->serving ? recv(c->fd, at, left, 0) :
				 send(c->fd, at, left, MSG_NOSIGNAL);

	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0)
		prog_fail("header");
	c->header_done += (size_t)n;
	if (c->header_done == sizeof(c->header))
		conn_begin(x, c);
	return 1;
}

static int conn_receive(struct exact *x, struct conn *c)
{
	ssize_t n;

	if (c->in.ended)
		return 0;
	n = recv(c->fd, x->data, chunk_size(c), 0);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n < 0)
		prog_fail("connection %llu: receive after %llu bytes",
			  (unsigned long long)c->header.index,
			  (unsigned long long)c->in.done);
	errno = 0;
	if (prog_pattern_check(x->data, c->in.seed, c->in.done, (size_t)n) !=
	    (size_t)n)
		prog_fail("connection %llu: wrong byte near %llu",
			  (unsigned long long)c->header.index,
			  (unsigned long long)c->in.done);
	c->in.done += (uint64_t)n;
	x->in_bytes += (uint64_t)n;
	if (!n && c->in.done != c->header.bytes)
		prog_fail("connection %llu: ended after %llu of %llu bytes",
			  (unsigned long long)c->header.index,
			  (unsigned long long)c->in.done,
			  (unsigned long long)c->header.bytes);
	if (c->in.done > c->header.bytes)
		prog_fail("connection %llu: too many bytes",
			  (unsigned long long)c->header.index);
	c->in.ended = !n;
	return 1;
}

static int conn_send(struct exact *x, struct conn *c)
{
	uint64_t left = c->header.bytes - c->out.done;
	size_t size;
	ssize_t n;

	if (c->out.ended)
		return 0;
	if (!left) {
		if (shutdown(c->fd, SHUT_WR) < 0)
			prog_fail("shutdown");
		c->out.ended = 1;
		return 0;
	}
	size = chunk_size(c);
	if (size > left)
		size = (size_t)left;
	prog_pattern_fill(x->data, c->out.seed, c->out.done, size);
	n = send(c->fd, x->data, size, MSG_NOSIGNAL);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n < 0)
		prog_fail("connection %llu: send after %llu bytes",
			  (unsigned long long)c->header.index,
			  (unsigned long long)c->out.done);
	c->out.done += (uint64_t)n;
	x->out_bytes += (uint64_t)n;
	return 1;
}

static void conn_serve(struct exact *x, struct conn *c)
{
	struct epoll_event event = { .data.ptr = c };
	int i, more = 1;

	while (c->header_done < sizeof(c->header))
		if (!conn_header(x, c))
			return;
	for (i = 0; i < TURN && more; i++) {
		more = conn_receive(x, c);
		more |= conn_send(x, c);
	}
	if (c->in.ended && c->out.ended) {
		if (close(c->fd) < 0)
			prog_fail("close");
		free(c);
		x->ended++;
		return;
	}
	event.events = (c->in.ended ? 0 : EPOLLIN) |
		       (c->out.ended ? 0 : EPOLLOUT);
	if (epoll_ctl(x->epoll, EPOLL_CTL_MOD, c->fd, &event) < 0)
		prog_fail("epoll_ctl");
}

static struct conn *conn_add(struct exact *x, int fd)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT };
	struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		prog_error("memory");
	if (x->serving)
		event.events = EPOLLIN;
	c->fd = fd;
	prog_set_nonblocking(fd);
	event.data.ptr = c;
	if (epoll_ctl(x->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		prog_fail("epoll_ctl");
	return c;
}

static void exact_accept(struct exact *x)
{
	int fd = accept(x->listener, NULL, NULL);

	if (fd < 0)
		prog_fail("accept");
	conn_add(x, fd);
}

static void exact_connect(struct exact *x, char **argv, uint32_t count)
{
	struct conn *c;
	uint32_t i;

	for (i = 0; i < count; i++) {
		c = conn_add(x, prog_connect(argv[2], argv[3]));
		c->header.magic = EXACT_MAGIC;
		c->header.seed = prog_number(argv[6]);
		c->header.index = i;
		c->header.bytes = prog_number(argv[5]);
	}
}

int main(int argc, char **argv)
{
	struct epoll_event events[16], event = { .events = EPOLLIN };
	static struct exact x;
	uint32_t count = 0;
	int i, n;

	x.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (x.epoll < 0)
		prog_error("epoll");
	if (argc == 4 && !strcmp(argv[1], "serve")) {
		count = (uint32_t)prog_number(argv[3]);
		x.serving = 1;
		x.listener = prog_listen(argv[2]);
		if (epoll_ctl(x.epoll, EPOLL_CTL_ADD, x.listener, &event) < 0)
			prog_fail("epoll_ctl");
	} else if (argc == 7 && !strcmp(argv[1], "connect")) {
		count = (uint32_t)prog_number(argv[4]);
		exact_connect(&x, argv, count);
	} else {
		prog_error("usage: exact serve PORT CONNECTIONS | connect "
			   "ADDRESS PORT CONNECTIONS BYTES SEED");
	}

	while (x.ended < count) {
		n = epoll_wait(x.epoll, events, 16, 20000);
		if (n < 0 && errno != EINTR)
			prog_fail("epoll_wait");
		errno = 0;
		if (!n && x.ended + x.in_bytes)
			prog_fail("nothing happened for 20 s");
		for (i = 0; i < n; i++)
			if (events[i].data.ptr)
				conn_serve(&x, events[i].data.ptr);
			else
				exact_accept(&x);
	}
	printf("%u connections: %llu bytes in, %llu bytes out, all right\n",
	       count, (unsigned long long)x.in_bytes,
	       (unsigned long long)x.out_bytes);
	return 0;
}
