/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * manyconns ADDRESS PORT COUNT - many connections open at once
 *
 * Opens COUNT connections to an echo server, non-blocking, with at most
 * CONNECTING of them on their way (a listener's backlog is finite). Only when
 * all are open does each send a message of its own, and each must get exactly
 * that one back.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tests/netns/prog.h"

#define CONNECTING 256
#define MESSAGE 200
#define PATIENCE_MS 20000

struct many {
	struct sockaddr_storage to;
	socklen_t len;
	int epoll;
	uint32_t count, started, open;
	int *fds;
	uint32_t *got; /* bytes of the echo */
};

static void many_start(struct many *m)
{
	struct epoll_event event = { .events = EPOLLOUT };
	uint32_t i = m->started++;
	int fd = socket(m->to.ss_family,
			SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		prog_fail("socket %u", i);
	m->fds[i] = fd;
	if (connect(fd, (struct sockaddr *)&m->to, m->len) < 0 &&
	    errno != EINPROGRESS)
		prog_fail("connect %u", i);
	event.data.u32 = i;
	if (epoll_ctl(m->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		prog_fail("epoll_ctl %u", i);
}

static int many_wait(struct many *m, struct epoll_event *events, int room)
{
	int n = epoll_wait(m->epoll, events, room, PATIENCE_MS);

	if (n < 0)
		prog_fail("epoll_wait");
	errno = 0;
	if (!n)
		prog_fail("nothing happened for %d ms: %u started, %u open",
			  PATIENCE_MS, m->started, m->open);
	return n;
}

static void many_open(struct many *m)
{
	struct epoll_event events[64], event;
	int i, n, error;
	socklen_t len;

	while (m->open < m->count) {
		while (m->started < m->count &&
		       m->started - m->open < CONNECTING)
			many_start(m);
		n = many_wait(m, events, 64);
		for (i = 0; i < n; i++) {
			len = sizeof(error);
			if (getsockopt(m->fds[events[i].data.u32], SOL_SOCKET,
				       SO_ERROR, &error, &len) < 0)
				prog_fail("SO_ERROR");
			errno = error;
			if (error)
				prog_fail("connection %u",
					  events[i].data.u32);
			event = events[i];
			event.events = EPOLLIN;
			if (epoll_ctl(m->epoll, EPOLL_CTL_MOD,
				      m->fds[event.data.u32], &event) < 0)
				prog_fail("epoll_ctl");
			m->open++;
		}
	}
}

static void many_send(struct many *m)
{
	char message[MESSAGE];
	uint32_t i;

	for (i = 0; i < m->count; i++) {
		prog_pattern_fill(message, i, 0, sizeof(message));
		if (send(m->fds[i], message, sizeof(message), MSG_NOSIGNAL) !=
		    MESSAGE)
			prog_fail("send on connection %u", i);
	}
}

static void many_receive(struct many *m)
{
	struct epoll_event events[64];
	uint32_t done = 0, c;
	char data[MESSAGE];
	ssize_t got;
	int i, n;

	while (done < m->count) {
		n = many_wait(m, events, 64);
		for (i = 0; i < n; i++) {
			c = events[i].data.u32;
			got = recv(m->fds[c], data, MESSAGE - m->got[c], 0);
			if (got < 0 && errno == EAGAIN)
				continue;
			if (got <= 0)
				prog_fail("connection %u ended early", c);
			errno = 0;
			if (prog_pattern_check(data, c, m->got[c],
					       (size_t)got) != (size_t)got)
				prog_fail("connection %u: wrong bytes", c);
			m->got[c] += (uint32_t)got;
			if (m->got[c] < MESSAGE)
				continue;
			if (epoll_ctl(m->epoll, EPOLL_CTL_DEL, m->fds[c],
				      NULL) < 0)
				prog_fail("epoll_ctl");
			done++;
		}
	}
}

int main(int argc, char **argv)
{
	struct many m = { 0 };
	uint64_t start;
	uint32_t i;

	if (argc != 4)
		prog_error("usage: manyconns ADDRESS PORT COUNT");
	prog_raise_files();
	m.len = prog_address(argv[1], argv[2], &m.to);
	m.count = (uint32_t)prog_number(argv[3]);
	m.fds = calloc(m.count, sizeof(*m.fds));
	m.got = calloc(m.count, sizeof(*m.got));
	m.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!m.fds || !m.got || m.epoll < 0)
		prog_error("memory, or epoll");

	start = prog_now_ms();
	many_open(&m);
	printf("open %u after %llu ms\n", m.open,
	       (unsigned long long)(prog_now_ms() - start));
	fflush(stdout);
	many_send(&m);
	many_receive(&m);
	for (i = 0; i < m.count; i++)
		if (close(m.fds[i]) < 0)
			prog_fail("close of connection %u", i);
	free(m.fds);
	free(m.got);
	printf("echoed %u after %llu ms\n", m.count,
	       (unsigned long long)(prog_now_ms() - start));
	return 0;
}
