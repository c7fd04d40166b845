/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * echo PORT [CONNECTIONS] - sends back what it gets, to many clients at once
 *
 * One epoll loop. Ends with 0 when that many connections have come and gone;
 * without a number it serves for ever. What the client does not take back yet
 * waits in a buffer of that connection, and nothing more is read meanwhile.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tests/netns/prog.h"

struct client {
	int fd;
	size_t from, to; /* of data: not echoed yet */
	char data[16384];
};

struct server {
	int epoll;
	int listener;
	uint64_t open, most, ended;
};

static void server_accept(struct server *s)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct client *c;
	int fd;

	while ((fd = accept4(s->listener, NULL, NULL,
			     SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		c = calloc(1, sizeof(*c));
		if (!c)
			prog_error("memory");
		c->fd = fd;
		event.data.ptr = c;
		if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
			prog_fail("epoll_ctl");
		if (++s->open > s->most)
			s->most = s->open;
	}
	if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
		prog_fail("accept");
}

static void server_drop(struct server *s, struct client *c)
{
	if (close(c->fd) < 0)
		prog_fail("close");
	free(c);
	s->open--;
	s->ended++;
}

/* 0 when the connection has ended. */
static int client_serve(struct server *s, struct client *c)
{
	struct epoll_event event = { .data.ptr = c };
	ssize_t n;

	for (;;) {
		while (c->from < c->to) {
			n = send(c->fd, c->data + c->from, c->to - c->from,
				 MSG_NOSIGNAL);
			if (n < 0 && errno == EAGAIN) {
				event.events = EPOLLOUT;
				goto wait;
			}
			if (n < 0)
				return 0;
			c->from += (size_t)n;
		}
		n = recv(c->fd, c->data, sizeof(c->data), 0);
		if (n < 0 && errno == EAGAIN) {
			event.events = EPOLLIN;
			goto wait;
		}
		if (n <= 0)
			return 0;
		c->from = 0;
		c->to = (size_t)n;
	}
wait:
	if (epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->fd, &event) < 0)
		prog_fail("epoll_ctl");
	return 1;
}

int main(int argc, char **argv)
{
	struct epoll_event events[64], event = { .events = EPOLLIN };
	struct server s = { 0 };
	uint64_t limit;
	int i, n;

	if (argc < 2)
		prog_error("usage: echo PORT [CONNECTIONS]");
	limit = argc > 2 ? prog_number(argv[2]) : UINT64_MAX;
	prog_raise_files();
	s.listener = prog_listen(argv[1]);
	prog_set_nonblocking(s.listener);
	s.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s.epoll < 0 ||
	    epoll_ctl(s.epoll, EPOLL_CTL_ADD, s.listener, &event) < 0)
		prog_error("epoll");

	while (s.ended < limit) {
		n = epoll_wait(s.epoll, events, 64, -1);
		if (n < 0 && errno != EINTR)
			prog_fail("epoll_wait");
		for (i = 0; i < n; i++)
			if (!events[i].data.ptr)
				server_accept(&s);
			else if (!client_serve(&s, events[i].data.ptr))
				server_drop(&s, events[i].data.ptr);
	}
	printf("served %llu, %llu at once\n", (unsigned long long)s.ended,
	       (unsigned long long)s.most);
	return 0;
}
