/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * handlers ADDRESS PORT - signal handlers that use sockets, and that jump
 *
 * Against an echo server. A timer's handler, run as often as it can be, writes
 * a byte to a socket of its own while the program moves bytes over another:
 * both get all they are owed. Then a handler leaves reads and writes by
 * siglongjmp, again and again, and the sockets work on.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/netns/prog.h"

#define BYTES (32u << 20)
#define BLOCK 32768
#define JUMPS 300

static int side;
static volatile sig_atomic_t written, lost;
static sigjmp_buf away;

static void on_timer(int sig)
{
	int err = errno;

	(void)sig;
	if (write(side, "x", 1) == 1)
		written++;
	else
		lost++;
	errno = err;
}

static void on_jump(int sig)
{
	(void)sig;
	siglongjmp(away, 1);
}

static void timer_every(long usec)
{
	struct itimerval every = { { 0, usec }, { 0, usec } };

	if (setitimer(ITIMER_REAL, &every, NULL))
		prog_error("setitimer");
}

static void handle(void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler,
				    .sa_flags = SA_RESTART };

	if (sigaction(SIGALRM, &action, NULL))
		prog_error("sigaction");
}

/* A signal ends even a WAITALL early, when there is something. */
static void recv_all(int fd, char *into, size_t bytes)
{
	while (bytes) {
		ssize_t n = recv(fd, into, bytes, MSG_WAITALL);

		if (n <= 0)
			prog_fail("read");
		into += n;
		bytes -= (size_t)n;
	}
}

static void move_bytes(int fd)
{
	static char out[BLOCK], back[BLOCK];
	uint64_t at;

	for (at = 0; at < BYTES; at += BLOCK) {
		prog_pattern_fill(out, 1, at, BLOCK);
		if (write(fd, out, BLOCK) != BLOCK)
			prog_fail("write");
		recv_all(fd, back, BLOCK);
		errno = 0;
		if (prog_pattern_check(back, 1, at, BLOCK) != BLOCK)
			prog_fail("wrong bytes at %llu",
				  (unsigned long long)at);
	}
}

static void test_writing(int fd)
{
	char byte;
	int n;

	handle(on_timer);
	timer_every(200);
	move_bytes(fd);
	timer_every(0);
	errno = 0;
	if (!written || lost)
		prog_fail("the handler wrote %d times, and failed %d times",
			  (int)written, (int)lost);
	for (n = 0; n < written; n++)
		if (read(side, &byte, 1) != 1)
			prog_fail("byte %d of the handler's", n);
}

/* What the peer echoes does not matter here; it must see the ends, though: the
 * echo server is told how many connections there will be. */
static void test_jumping(const char *host, const char *port)
{
	static volatile int jumps, fd;
	static char block[BLOCK];

	handle(on_jump);
	for (jumps = 0; jumps < JUMPS; jumps++) {
		if (jumps % 50 == 0) {
			timer_every(0);
			if (jumps)
				close(fd);
			fd = prog_connect(host, port);
		}
		if (sigsetjmp(away, 1))
			continue;
		timer_every(300);
		for (;;) {
			if (write(fd, block, BLOCK) < 0)
				prog_fail("write");
			if (read(fd, block, BLOCK) <= 0)
				prog_fail("read");
		}
	}
	timer_every(0);
	close(fd);
}

int main(int argc, char **argv)
{
	int fd;

	if (argc != 3)
		prog_error("usage: handlers ADDRESS PORT");
	fd = prog_connect(argv[1], argv[2]);
	side = prog_connect(argv[1], argv[2]);
	test_writing(fd);
	test_jumping(argv[1], argv[2]);
	move_bytes(fd);
	close(fd);
	close(side);
	printf("handlers: %d bytes from the handler, all closed\n",
	       (int)written);
	fflush(stdout);
	for (;;)
		pause(); /* to be ended: exiting would close too */
}
