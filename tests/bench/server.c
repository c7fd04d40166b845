/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * server.c - the far end: one thread, kernel sockets, epoll
 *
 * It is the same for every transport under test, so its cost is in all results
 * alike. workload.h has the protocol.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "workload.h"

#define CHUNK (256u << 10)
#define CALLS_PER_TURN 8 /* of one connection, before others get theirs */

struct peer {
	int fd;
	struct far_header header;
	size_t header_bytes;
	uint64_t position, mismatches;
	uint32_t message, filled, sent; /* echo: size, bytes in, bytes out */
	uint8_t *buffer;		/* echo */
	bool writing;
};

struct server {
	int epoll, listener;
	uint8_t *pattern, *chunk;
};

/* What a step says to do next. */
enum step { STEP_AGAIN, STEP_WAIT_IN, STEP_WAIT_OUT, STEP_CLOSE };

static enum step step_of_error(bool out)
{
	if (errno == EINTR)
		return STEP_AGAIN;
	if (errno != EAGAIN)
		return STEP_CLOSE;
	return out ? STEP_WAIT_OUT : STEP_WAIT_IN;
}

static enum step peer_header(struct peer *p)
{
	uint8_t *at = (uint8_t *)&p->header;
	ssize_t n;

	n = recv(p->fd, at + p->header_bytes,
		 sizeof(p->header) - p->header_bytes, 0);
	if (n <= 0)
		return n ? step_of_error(false) : STEP_CLOSE;
	p->header_bytes += (size_t)n;
	if (p->header.mode == FAR_CONNECT) {
		/* The FIN shares the byte's segment: see exchange.c. */
		if (send(p->fd, at, 1, MSG_MORE | MSG_NOSIGNAL) != 1)
			return STEP_CLOSE;
		shutdown(p->fd, SHUT_WR);
		return STEP_CLOSE;
	}
	if (p->header_bytes < sizeof(p->header))
		return STEP_AGAIN;
	p->message = ntohl(p->header.size);
	if (p->header.mode == FAR_IDLE)
		send(p->fd, at, 1, MSG_NOSIGNAL);
	if (p->header.mode != FAR_ECHO)
		return STEP_AGAIN;
	if (!p->message || p->message > FAR_MAX_MESSAGE)
		return STEP_CLOSE;
	p->buffer = malloc(p->message);
	return p->buffer ? STEP_AGAIN : STEP_CLOSE;
}

static enum step peer_source(struct server *s, struct peer *p)
{
	ssize_t n = send(p->fd, pattern_at(s->pattern, p->position), CHUNK,
			 MSG_NOSIGNAL);

	if (n < 0)
		return step_of_error(true);
	p->position += (uint64_t)n;
	return STEP_AGAIN;
}

static enum step peer_sink(struct server *s, struct peer *p)
{
	struct far_report report;
	ssize_t n;

	n = recv(p->fd, s->chunk, CHUNK, 0);
	if (n < 0)
		return step_of_error(false);
	if (!n) {
		report.bytes = htobe64(p->position);
		report.mismatches = htobe64(p->mismatches);
		send(p->fd, &report, sizeof(report), MSG_NOSIGNAL);
		return STEP_CLOSE;
	}
	if (p->header.verify &&
	    memcmp(s->chunk, pattern_at(s->pattern, p->position), (size_t)n))
		p->mismatches++;
	p->position += (uint64_t)n;
	return STEP_AGAIN;
}

static enum step peer_echo(struct peer *p)
{
	ssize_t n;

	if (p->filled < p->message) {
		n = recv(p->fd, p->buffer + p->filled, p->message - p->filled,
			 0);
		if (n <= 0)
			return n ? step_of_error(false) : STEP_CLOSE;
		p->filled += (uint32_t)n;
		if (p->filled < p->message)
			return STEP_AGAIN;
	}
	n = send(p->fd, p->buffer + p->sent, p->message - p->sent,
		 MSG_NOSIGNAL);
	if (n < 0)
		return step_of_error(true);
	p->sent += (uint32_t)n;
	if (p->sent < p->message)
		return STEP_AGAIN;
	p->sent = p->filled = 0;
	/* An answer is rarely followed at once by the next question. */
	return STEP_WAIT_IN;
}

static enum step peer_idle(struct server *s, struct peer *p)
{
	ssize_t n = recv(p->fd, s->chunk, CHUNK, 0);

	if (n < 0)
		return step_of_error(false);
	return n ? STEP_AGAIN : STEP_CLOSE;
}

static enum step peer_step(struct server *s, struct peer *p)
{
	if (p->header_bytes < sizeof(p->header))
		return peer_header(p);
	switch (p->header.mode) {
	case FAR_SOURCE:
		return peer_source(s, p);
	case FAR_SINK:
		return peer_sink(s, p);
	case FAR_ECHO:
		return peer_echo(p);
	case FAR_IDLE:
		return peer_idle(s, p);
	}
	return STEP_CLOSE;
}

static void peer_close(struct peer *p)
{
	close(p->fd);
	free(p->buffer);
	free(p);
}

static void peer_watch(struct server *s, struct peer *p, bool writing)
{
	struct epoll_event event = {
		.events = writing ? EPOLLOUT : EPOLLIN,
		.data.ptr = p,
	};

	if (p->writing == writing)
		return;
	p->writing = writing;
	epoll_ctl(s->epoll, EPOLL_CTL_MOD, p->fd, &event);
}

static void peer_turn(struct server *s, struct peer *p)
{
	enum step step = STEP_AGAIN;
	int calls;

	for (calls = 0; calls < CALLS_PER_TURN && step == STEP_AGAIN; calls++)
		step = peer_step(s, p);
	if (step == STEP_CLOSE)
		peer_close(p);
	else if (step == STEP_AGAIN)
		peer_watch(s, p, p->header_bytes == sizeof(p->header) &&
				 p->header.mode == FAR_SOURCE);
	else
		peer_watch(s, p, step == STEP_WAIT_OUT);
}

static void server_accept(struct server *s)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct peer *p;
	int fd, one = 1;

	while ((fd = accept4(s->listener, NULL, NULL,
			     SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		p = calloc(1, sizeof(*p));
		if (!p) {
			close(fd);
			return;
		}
		p->fd = fd;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		event.data.ptr = p;
		if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event)) {
			peer_close(p);
			continue;
		}
		/* The first bytes often are there already. */
		peer_turn(s, p);
	}
}

static int server_listen(struct server *s, const struct sockaddr *at,
			 socklen_t len)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
	int one = 1;

	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->listener = socket(at->sa_family,
			     SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->epoll < 0 || s->listener < 0 ||
	    setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &one,
		       sizeof(one)) ||
	    bind(s->listener, at, len) || listen(s->listener, 4096) ||
	    epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->listener, &event)) {
		perror("vtoe-bench: server");
		return -1;
	}
	return 0;
}

static void server_raise_limit(void)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int server_loop(struct server *s)
{
	struct epoll_event events[64];
	int i, n;

	for (;;) {
		n = epoll_wait(s->epoll, events, 64, -1);
		if (n < 0 && errno != EINTR) {
			perror("vtoe-bench: epoll_wait");
			return 1;
		}
		for (i = 0; i < n; i++) {
			if (events[i].data.ptr)
				peer_turn(s, events[i].data.ptr);
			else
				server_accept(s);
		}
	}
}

int bench_server(int argc, char **argv)
{
	static const struct option options[] = {
		{ "bind", required_argument, NULL, 'b' },
		{ "port", required_argument, NULL, 'p' },
		{ "cpu", required_argument, NULL, 'c' },
		{ NULL, 0, NULL, 0 },
	};
	const char *address = "0.0.0.0", *port = "5210", *cpu = NULL;
	struct sockaddr_storage at;
	struct server s = { 0 };
	socklen_t len;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (c != 'b' && c != 'p' && c != 'c') {
			bench_usage(true);
			return 2;
		}
		*(c == 'b' ? &address : c == 'p' ? &port : &cpu) = optarg;
	}
	if (cpu && bench_pin(atoi(cpu)))
		return 2;
	if (bench_resolve(address, port, &at, &len))
		return 2;
	server_raise_limit();
	s.chunk = malloc(CHUNK);
	s.pattern = malloc(pattern_bytes(CHUNK));
	if (!s.chunk || !s.pattern || server_listen(&s, (void *)&at, len))
		return 1;
	pattern_fill(s.pattern, CHUNK);
	printf("vtoe-bench: serving on %s port %s\n", address, port);
	fflush(stdout);
	return server_loop(&s);
}
