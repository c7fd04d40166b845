// SPDX-License-Identifier: BSD-2-Clause
/*
 * sockapi_ready.c - cases: poll, select, epoll
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "sockapi.h"

#define IN_OUT (POLLIN | POLLOUT | POLLRDHUP)

static void polled(int fd, int events, int ms)
{
	struct pollfd p = { fd, events, 0x7fff };

	SAY(poll(&p, 1, ms));
	note("/%x", p.revents);
}

static char junk[65536];
static volatile int minus_one = -1; /* the compiler is not to see it */

static void fill_up(int fd)
{
	nonblocking(fd, true);
	for (;;) {
		struct pollfd p = { fd, POLLOUT, 0 };

		if (write(fd, junk, sizeof(junk)) < 0 && !poll(&p, 1, 60))
			return;
	}
}

static void poll_fresh(void)
{
	polled(tcp(AF_INET, 0), IN_OUT, 0);
}

static void poll_connected(void)
{
	polled(dial("e"), IN_OUT, 0);
}

static void poll_data(void)
{
	int fd = dial("s3 e");
	char b[8];

	polled(fd, POLLIN, 5000);
	polled(fd, IN_OUT, 0);
	SAY(read(fd, b, 8));
	polled(fd, IN_OUT, 0);
	polled(fd, POLLIN, 30);
	polled(fd, 0, 0);
}

static void poll_end(void)
{
	int fd = dial("s3 w e");
	char b[8];

	polled(fd, POLLRDHUP, 5000);
	polled(fd, IN_OUT, 0);
	SAY(read(fd, b, 8));
	SAY(read(fd, b, 8));
	polled(fd, IN_OUT, 0);
	shutdown(fd, SHUT_WR);
	pause_ms(30);
	polled(fd, IN_OUT, 0);
}

static void poll_reset(void)
{
	int fd = dial("d40 a");
	char b[8];

	polled(fd, POLLIN, 5000);
	polled(fd, IN_OUT, 0);
	SAY(read(fd, b, 8));
	polled(fd, IN_OUT, 0);
}

static void poll_shutdown(void)
{
	int fd = dial("e");

	shutdown(fd, SHUT_RD);
	polled(fd, IN_OUT, 0);
	fd = dial("d100 e");
	shutdown(fd, SHUT_WR);
	polled(fd, IN_OUT, 0);
	fd = dial("d100 e");
	shutdown(fd, SHUT_RDWR);
	polled(fd, IN_OUT, 0);
}

static void poll_full(void)
{
	int fd = dial("d600 e");

	fill_up(fd);
	polled(fd, IN_OUT, 0);
	polled(fd, POLLOUT, 10000);
}

static void poll_timeout(void)
{
	int fd = dial("d5000");
	long before = now_ms();

	polled(fd, POLLIN, 80);
	note(" ms=%d", now_ms() - before >= 79 && now_ms() - before < 1000);
}

static void poll_mixed(void)
{
	int fd = dial("d60 s3 e"), pipes[2];
	struct pollfd p[4];

	SAY(pipe(pipes));
	p[0] = (struct pollfd){ pipes[0], POLLIN, 0 };
	p[1] = (struct pollfd){ fd, POLLIN, 0 };
	p[2] = (struct pollfd){ -1, POLLIN, 7 };
	p[3] = (struct pollfd){ 999, POLLIN, 0 };
	SAY(poll(p, 3, 20));
	SAY(poll(p, 3, 5000));
	note("/%x %x %x", p[0].revents, p[1].revents, p[2].revents);
	SAY(write(pipes[1], "x", 1));
	SAY(poll(p, 3, 5000));
	note("/%x %x %x", p[0].revents, p[1].revents, p[2].revents);
	SAY(poll(p, 4, 5000));
	note("/%x %x %x %x", p[0].revents, p[1].revents, p[2].revents,
	     p[3].revents);
}

static void poll_pipe_wakes(void)
{
	int fd = dial("e"), pipes[2];
	struct pollfd p[2];

	SAY(pipe(pipes));
	if (!fork()) {
		pause_ms(60);
		_exit(write(pipes[1], "x", 1) != 1);
	}
	p[0] = (struct pollfd){ pipes[0], POLLIN, 0 };
	p[1] = (struct pollfd){ fd, POLLIN, 0 };
	SAY(poll(p, 2, 5000));
	note("/%x %x", p[0].revents, p[1].revents);
}

static void poll_ppoll(void)
{
	struct timespec t = { 0, 30000000 }, bad = { 0, -1 };
	int fd = dial("d100 s2");
	struct pollfd p = { fd, POLLIN, 0 };

	SAY(ppoll(&p, 1, &t, NULL));
	SAY(ppoll(&p, 1, NULL, NULL));
	SAY(ppoll(&p, 1, &bad, NULL));
}

static void poll_listener(void)
{
	int port, server = listener(AF_INET, &port);

	polled(server, IN_OUT, 20);
	peer_dial(AF_INET, port, "e");
	polled(server, IN_OUT, 5000);
	close(accept(server, NULL, NULL));
	polled(server, IN_OUT, 0);
}

static void poll_two_connections(void)
{
	int port, server = listener(AF_INET, &port);

	peer_dial(AF_INET, port, "e");
	peer_dial(AF_INET, port, "e");
	pause_ms(80);
	polled(server, POLLIN, 0);
	close(accept(server, NULL, NULL));
	polled(server, POLLIN, 0);
	close(accept(server, NULL, NULL));
	polled(server, POLLIN, 0);
}

static void sets(int n, fd_set *in, fd_set *out, fd_set *ex, int fd)
{
	note("/%d%d%d", in ? FD_ISSET(fd, in) : 0, out ? FD_ISSET(fd, out) : 0,
	     ex ? FD_ISSET(fd, ex) : 0);
	(void)n;
}

static void select_basic(void)
{
	int fd = dial("d60 s3 e");
	struct timeval t = { 5, 0 }, none = { 0, 0 };
	fd_set in, out, ex;
	char b[8];

	FD_ZERO(&in);
	FD_SET(fd, &in);
	out = ex = in;
	SAY(select(fd + 1, &in, &out, &ex, &none));
	sets(fd, &in, &out, &ex, fd);
	FD_SET(fd, &in);
	SAY(select(fd + 1, &in, NULL, NULL, &t));
	sets(fd, &in, NULL, NULL, fd);
	note(" left=%d", t.tv_sec < 5);
	SAY(read(fd, b, 8));
	FD_SET(fd, &in);
	t = (struct timeval){ 0, 30000 };
	SAY(select(fd + 1, &in, NULL, NULL, &t));
	sets(fd, &in, NULL, NULL, fd);
	note(" left=%ld", (long)t.tv_usec);
}

static void select_mixed(void)
{
	int fd = dial("e"), pipes[2];
	fd_set in, out;

	SAY(pipe(pipes));
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(fd, &in);
	FD_SET(pipes[0], &in);
	FD_SET(pipes[1], &out);
	SAY(select(64, &in, &out, NULL, NULL));
	sets(0, &in, &out, NULL, pipes[1]);
	sets(0, &in, &out, NULL, fd);
	FD_ZERO(&in);
	FD_SET(fd, &in);
	FD_SET(60, &in);
	SAY(select(64, &in, NULL, NULL, NULL));
	SAY(select(-1, &in, NULL, NULL, NULL));
}

static void select_end(void)
{
	int fd = dial("d40 a");
	fd_set in, out, ex;

	readable(fd);
	FD_ZERO(&in);
	FD_SET(fd, &in);
	out = ex = in;
	SAY(select(fd + 1, &in, &out, &ex, NULL));
	sets(fd, &in, &out, &ex, fd);
}

static void select_pselect(void)
{
	struct timespec t = { 0, 20000000 };
	int fd = dial("e");
	fd_set in;

	FD_ZERO(&in);
	FD_SET(fd, &in);
	SAY(pselect(fd + 1, &in, NULL, NULL, &t, NULL));
	note(" left=%ld", t.tv_nsec);
}

const struct sockapi_case poll_cases[] = {
	{ "poll_fresh", poll_fresh },
	{ "poll_connected", poll_connected },
	{ "poll_data", poll_data },
	{ "poll_end", poll_end },
	{ "poll_reset", poll_reset },
	{ "poll_shutdown", poll_shutdown },
	{ "poll_full", poll_full },
	{ "poll_timeout", poll_timeout },
	{ "poll_mixed", poll_mixed },
	{ "poll_pipe_wakes", poll_pipe_wakes },
	{ "poll_ppoll", poll_ppoll },
	{ "poll_listener", poll_listener },
	{ "poll_two_connections", poll_two_connections },
	{ "select_basic", select_basic },
	{ "select_mixed", select_mixed },
	{ "select_end", select_end },
	{ "select_pselect", select_pselect },
	{ NULL, NULL },
};

/* -- epoll ------------------------------------------------------------------- */

static int add(int set, int fd, unsigned events)
{
	struct epoll_event e = { events, { .u32 = fd } };

	return epoll_ctl(set, EPOLL_CTL_ADD, fd, &e);
}

static int mod(int set, int fd, unsigned events)
{
	struct epoll_event e = { events, { .u32 = fd } };

	return epoll_ctl(set, EPOLL_CTL_MOD, fd, &e);
}

/* Waits, and notes what came: events in the order of `fds`. */
static void waited(int set, int ms, int a, int b)
{
	struct epoll_event e[8];
	int n = say(epoll_wait(set, e, 8, ms)), i;
	unsigned for_a = 0, for_b = 0;

	for (i = 0; i < n; i++) {
		if (e[i].data.u32 == (unsigned)a)
			for_a |= e[i].events;
		else if (e[i].data.u32 == (unsigned)b)
			for_b |= e[i].events;
	}
	note("/%x", for_a);
	if (b >= 0)
		note(",%x", for_b);
}

static void epoll_level(void)
{
	int fd = dial("s6 e"), set = epoll_create1(0);
	char b[3];

	SAY(add(set, fd, EPOLLIN));
	waited(set, 5000, fd, -1);
	waited(set, 0, fd, -1);
	SAY(read(fd, b, 3));
	waited(set, 0, fd, -1);
	SAY(read(fd, b, 3));
	waited(set, 0, fd, -1);
	SAY(mod(set, fd, EPOLLIN | EPOLLOUT));
	waited(set, 0, fd, -1);
	waited(set, 0, fd, -1);
}

static void epoll_edge(void)
{
	int fd = dial("s6 d100 s2 e"), set = epoll_create1(0);
	char b[3];

	SAY(add(set, fd, EPOLLIN | EPOLLET));
	waited(set, 5000, fd, -1);
	waited(set, 0, fd, -1);
	SAY(read(fd, b, 3));
	waited(set, 0, fd, -1);
	waited(set, 5000, fd, -1);
	waited(set, 0, fd, -1);
	SAY(mod(set, fd, EPOLLIN | EPOLLET));
	waited(set, 0, fd, -1);
	waited(set, 0, fd, -1);
}

static void epoll_edge_out(void)
{
	int fd = dial("d400 e"), set = epoll_create1(0);

	SAY(add(set, fd, EPOLLIN | EPOLLOUT | EPOLLET));
	waited(set, 0, fd, -1);
	waited(set, 0, fd, -1);
	fill_up(fd);
	waited(set, 0, fd, -1);
	waited(set, 5000, fd, -1);
}

static void epoll_one_shot(void)
{
	int fd = dial("s6 e"), set = epoll_create1(0);

	SAY(add(set, fd, EPOLLIN | EPOLLONESHOT));
	waited(set, 5000, fd, -1);
	waited(set, 0, fd, -1);
	SAY(mod(set, fd, EPOLLIN | EPOLLONESHOT));
	waited(set, 0, fd, -1);
	waited(set, 0, fd, -1);
	SAY(mod(set, fd, EPOLLIN));
	waited(set, 0, fd, -1);
	waited(set, 0, fd, -1);
}

static void epoll_end(void)
{
	int fd = dial("s1 w e"), set = epoll_create1(0);

	SAY(add(set, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP));
	pause_ms(60);
	waited(set, 0, fd, -1);
	shutdown(fd, SHUT_WR);
	pause_ms(30);
	waited(set, 0, fd, -1);
}

static void epoll_reset(void)
{
	int fd = dial("d40 a"), set = epoll_create1(0);

	SAY(add(set, fd, EPOLLIN | EPOLLRDHUP));
	pause_ms(100);
	waited(set, 0, fd, -1);
}

static void epoll_errors(void)
{
	int fd = dial("e"), set = epoll_create1(0), port;
	struct epoll_event e;

	SAY(add(set, fd, EPOLLIN));
	SAY(add(set, fd, EPOLLIN));
	SAY(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL));
	SAY(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL));
	SAY(mod(set, fd, EPOLLIN));
	SAY(add(set, 999, EPOLLIN));
	SAY(add(999, fd, EPOLLIN));
	SAY(add(fd, set, EPOLLIN));
	SAY(add(listener(AF_INET, &port), fd, EPOLLIN));
	SAY(epoll_ctl(set, 77, fd, &e));
	SAY(epoll_ctl(set, EPOLL_CTL_ADD, fd, NULL));
	SAY(epoll_wait(set, &e, 0, 0));
	SAY(epoll_wait(set, &e, minus_one, 0));
	SAY(epoll_wait(fd, &e, 1, 0));
	SAY(epoll_wait(999, &e, 1, 0));
	SAY(epoll_create(0));
}

static void epoll_mixed(void)
{
	int fd = dial("d100 s2 e"), set = epoll_create1(0), pipes[2];
	char b[4];

	SAY(pipe(pipes));
	SAY(add(set, fd, EPOLLIN));
	SAY(add(set, pipes[0], EPOLLIN));
	waited(set, 10, fd, pipes[0]);
	SAY(write(pipes[1], "x", 1));
	waited(set, 1000, fd, pipes[0]);
	SAY(read(pipes[0], b, 1));
	waited(set, 5000, fd, pipes[0]);
	SAY(write(pipes[1], "x", 1));
	waited(set, 0, fd, pipes[0]);
	SAY(read(fd, b, 4));
	waited(set, 0, fd, pipes[0]);
}

static void epoll_timer(void)
{
	struct itimerspec in = { { 0, 0 }, { 0, 50000000 } };
	int fd = dial("e"), set = epoll_create1(0);
	int timer = timerfd_create(CLOCK_MONOTONIC, 0);

	SAY(add(set, fd, EPOLLIN));
	SAY(add(set, timer, EPOLLIN));
	SAY(timerfd_settime(timer, 0, &in, NULL));
	waited(set, 5000, fd, timer);
}

static void epoll_eventfd(void)
{
	int fd = dial("e"), set = epoll_create1(0), event = eventfd(0, 0);

	SAY(add(set, fd, EPOLLIN));
	SAY(add(set, event, EPOLLIN));
	SAY(eventfd_write(event, 1));
	waited(set, 5000, fd, event);
}

static void epoll_before_connect(void)
{
	int fd = tcp(AF_INET, SOCK_NONBLOCK), set = epoll_create1(0);
	struct sockaddr_storage to;
	socklen_t len = address(AF_INET, peer4, peer_port, &to);

	SAY(add(set, fd, EPOLLIN | EPOLLOUT));
	waited(set, 0, fd, -1);
	peer_next("d50 s2");
	SAY(connect(fd, (struct sockaddr *)&to, len));
	waited(set, 5000, fd, -1);
	SAY(mod(set, fd, EPOLLIN));
	waited(set, 5000, fd, -1);
}

static void epoll_refused(void)
{
	int fd = tcp(AF_INET, SOCK_NONBLOCK), set = epoll_create1(0);
	struct sockaddr_storage to;
	socklen_t len = address(AF_INET, peer4, 1, &to);

	SAY(connect(fd, (struct sockaddr *)&to, len));
	SAY(add(set, fd, EPOLLIN | EPOLLOUT));
	waited(set, 5000, fd, -1);
}

static void epoll_listener(void)
{
	int port, server = listener(AF_INET, &port), set = epoll_create1(0);
	int fd;

	nonblocking(server, true);
	SAY(add(set, server, EPOLLIN));
	waited(set, 20, server, -1);
	peer_dial(AF_INET, port, "s3 e");
	waited(set, 5000, server, -1);
	fd = accept(server, NULL, NULL);
	SAY(accept(server, NULL, NULL));
	waited(set, 20, server, -1);
	SAY(add(set, fd, EPOLLIN));
	waited(set, 5000, server, fd);
	peer_dial(AF_INET, port, "e");
	pause_ms(80);
	waited(set, 0, server, fd);
}

static void epoll_listener_edge(void)
{
	int port, server = listener(AF_INET, &port), set = epoll_create1(0), i;

	nonblocking(server, true);
	SAY(add(set, server, EPOLLIN | EPOLLET));
	for (i = 0; i < 3; i++) {
		peer_dial(AF_INET, port, "e");
		waited(set, 5000, server, -1);
		SAY_SIGN(accept(server, NULL, NULL));
		SAY(accept(server, NULL, NULL));
	}
	waited(set, 20, server, -1);
}

static void epoll_closed(void)
{
	int fd = dial("s3 e"), set = epoll_create1(0), other;

	SAY(add(set, fd, EPOLLIN));
	pause_ms(40);
	other = dup(fd);
	close(fd);
	waited(set, 0, fd, -1);
	close(other);
	waited(set, 0, fd, -1);
}

static void epoll_dup(void)
{
	int fd = dial("s3 e"), set = epoll_create1(0), copy = dup(fd);

	SAY(add(set, fd, EPOLLIN));
	SAY(add(set, copy, EPOLLIN));
	pause_ms(40);
	waited(set, 0, fd, copy);
	SAY(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL));
	waited(set, 0, fd, copy);
}

static void epoll_room(void)
{
	int a = dial("s3 e"), b = dial("s3 e"), set = epoll_create1(0);
	struct epoll_event e[2];
	unsigned first;

	SAY(add(set, a, EPOLLIN));
	SAY(add(set, b, EPOLLIN));
	pause_ms(60);
	SAY(epoll_wait(set, e, 1, 0));
	first = e[0].data.u32;
	SAY(epoll_wait(set, e, 1, 0));
	note(" fair=%d", e[0].data.u32 != first);
	SAY(epoll_wait(set, e, 2, 0));
}

static void epoll_in_poll(void)
{
	int fd = dial("d60 s3 e"), set = epoll_create1(0);
	struct pollfd p = { set, POLLIN, 0 };

	SAY(add(set, fd, EPOLLIN));
	SAY(poll(&p, 1, 0));
	SAY(poll(&p, 1, 5000));
	note("/%x", p.revents);
}

static void epoll_pwaits(void)
{
	struct timespec t = { 0, 20000000 };
	int fd = dial("d100 s3 e"), set = epoll_create1(0);
	struct epoll_event e;

	SAY(add(set, fd, EPOLLIN));
	SAY(epoll_pwait(set, &e, 1, 10, NULL));
	SAY(epoll_pwait2(set, &e, 1, &t, NULL));
	SAY(epoll_pwait2(set, &e, 1, NULL, NULL));
}

const struct sockapi_case epoll_cases[] = {
	{ "epoll_level", epoll_level },
	{ "epoll_edge", epoll_edge },
	{ "epoll_edge_out", epoll_edge_out },
	{ "epoll_one_shot", epoll_one_shot },
	{ "epoll_end", epoll_end },
	{ "epoll_reset", epoll_reset },
	{ "epoll_errors", epoll_errors },
	{ "epoll_mixed", epoll_mixed },
	{ "epoll_timer", epoll_timer },
	{ "epoll_eventfd", epoll_eventfd },
	{ "epoll_before_connect", epoll_before_connect },
	{ "epoll_refused", epoll_refused },
	{ "epoll_listener", epoll_listener },
	{ "epoll_listener_edge", epoll_listener_edge },
	{ "epoll_closed", epoll_closed },
	{ "epoll_dup", epoll_dup },
	{ "epoll_room", epoll_room },
	{ "epoll_in_poll", epoll_in_poll },
	{ "epoll_pwaits", epoll_pwaits },
	{ NULL, NULL },
};
