// SPDX-License-Identifier: BSD-2-Clause
/*
 * sockapi_signal.c - cases: calls that signals interrupt
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sockapi.h"

static char c[70000];

static volatile sig_atomic_t handled;

static void count(int sig)
{
	(void)sig;
	handled++;
}

/* SIGUSR1 after some time, with or without SA_RESTART. */
static void signal_soon(int ms, int flags)
{
	struct sigaction action = { .sa_handler = count, .sa_flags = flags };
	pid_t parent = getpid();

	handled = 0;
	sigaction(SIGUSR1, &action, NULL);
	if (!fork()) {
		pause_ms(ms);
		kill(parent, SIGUSR1);
		_exit(0);
	}
}

static void signals_off(void)
{
	signal(SIGUSR1, SIG_IGN);
	note(" handled=%d", (int)handled);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

/* The cases' own alarm has a handler too, which restarts. */
static void signal_read(void)
{
	int fd = dial("d5000");

	signal_soon(80, 0);
	SAY(read(fd, c, 1));
	signals_off();
}

static void signal_read_restart(void)
{
	int fd = dial("d200 s3");

	signal_soon(80, SA_RESTART);
	SAY(read(fd, c, 3));
	signals_off();
}

static void signal_read_timed(void)
{
	struct timeval t = { 3, 0 };
	int fd = dial("d5000");

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	signal_soon(80, SA_RESTART);
	SAY(read(fd, c, 3));
	signals_off();
}

static void signal_waitall(void)
{
	int fd = dial("s4 d5000");

	signal_soon(80, 0);
	SAY(recv(fd, c, 10, MSG_WAITALL));
	signals_off();
}

static void signal_accept(void)
{
	int port, server = listener(AF_INET, &port);

	signal_soon(80, 0);
	SAY(accept(server, NULL, NULL));
	signals_off();
}

static void signal_accept_restart(void)
{
	int port, server = listener(AF_INET, &port);

	signal_soon(60, SA_RESTART);
	peer_dial(AF_INET, port, "e");
	pause_ms(200);
	SAY_SIGN(accept(server, NULL, NULL));
	signals_off();
}

static void signal_poll(void)
{
	int fd = dial("d5000");
	struct pollfd p = { fd, POLLIN, 0 };

	signal_soon(80, SA_RESTART);
	SAY(poll(&p, 1, 3000));
	signals_off();
}

static void signal_epoll(void)
{
	int fd = dial("d5000"), set = epoll_create1(0);
	struct epoll_event e = { EPOLLIN, { .u64 = 1 } };

	epoll_ctl(set, EPOLL_CTL_ADD, fd, &e);
	signal_soon(80, SA_RESTART);
	SAY(epoll_wait(set, &e, 1, 3000));
	signals_off();
}

static void signal_select(void)
{
	int fd = dial("d5000");
	fd_set in;

	FD_ZERO(&in);
	FD_SET(fd, &in);
	signal_soon(80, SA_RESTART);
	SAY(select(fd + 1, &in, NULL, NULL, NULL));
	signals_off();
}

static void signal_write(void)
{
	int fd = dial("d5000");
	ssize_t n;

	signal_soon(150, 0);
	while ((n = write(fd, c, sizeof(c))) == sizeof(c))
		;
	/* either all or nothing of the last piece, or a part of it */
	note(" %s", n < 0 && errno != EINTR ? strerrorname_np(errno) :
					      "interrupted");
	signals_off();
}

static void signal_masked(void)
{
	int fd = dial("d5000");
	struct pollfd p = { fd, POLLIN, 0 };
	struct timespec t = { 3, 0 };
	sigset_t usr1, old;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, &old);
	signal_soon(50, 0);
	pause_ms(100);
	note(" %d", (int)handled);
	SAY(ppoll(&p, 1, &t, &old));
	sigprocmask(SIG_SETMASK, &old, NULL);
	signals_off();
}

static void signal_pipe(void)
{
	int fd = dial("e");

	handled = 0;
	signal(SIGPIPE, count);
	shutdown(fd, SHUT_WR);
	SAY(write(fd, "a", 1));
	SAY(send(fd, "a", 1, 0));
	note(" %d", (int)handled);
	SAY(send(fd, "a", 1, MSG_NOSIGNAL));
	note(" %d", (int)handled);
	SAY(write(tcp(AF_INET, 0), "a", 1));
	note(" %d", (int)handled);
	signal(SIGPIPE, SIG_IGN);
}

static void signal_connect(void)
{
	int fd = tcp(AF_INET, 0);
	struct sockaddr_storage to;
	socklen_t len = address(AF_INET, silent_host(), 80, &to);

	signal_soon(80, 0);
	SAY(connect(fd, (struct sockaddr *)&to, len));
	signals_off();
	nonblocking(fd, true);
	SAY(connect(fd, (struct sockaddr *)&to, len));
}

const struct sockapi_case signal_cases[] = {
	{ "signal_read", signal_read },
	{ "signal_read_restart", signal_read_restart },
	{ "signal_read_timed", signal_read_timed },
	{ "signal_waitall", signal_waitall },
	{ "signal_accept", signal_accept },
	{ "signal_accept_restart", signal_accept_restart },
	{ "signal_poll", signal_poll },
	{ "signal_epoll", signal_epoll },
	{ "signal_select", signal_select },
	{ "signal_write", signal_write },
	{ "signal_masked", signal_masked },
	{ "signal_pipe", signal_pipe },
	{ "signal_connect", signal_connect },
	{ NULL, NULL },
};
