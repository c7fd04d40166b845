/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vtoe-stack - the TCP of the programs that one vtoe-run started
 *
 *	vtoe-stack DEVICE READY LIFE
 *
 * DEVICE is the device's socket, or "" for the one that libvtoe finds; READY and
 * LIFE are descriptors of pipes. It makes a directory of
 * its own with a socket in it, on which it serves programs as a worker does; says
 * "+" and the socket's path on READY, or "-" and why it cannot; and is in the
 * background from then on, in a session of its own: what ends its programs must
 * not end it before their last bytes are with the peers.
 *
 * It ends when LIFE hangs up (the programs have ended, or closed all that they did
 * not know) or SIGTERM has come, none has been connected for a moment, and all
 * connections are closed or VTOE_DRAIN_SECONDS over.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stack/server.h"

enum { WATCH_LIFE = SERVER_CALLER, IDLE_US = 1000000 };

struct run {
	struct server server;
	int ready_fd, life_fd;
	char device[108]; /* absolute; as a socket's address has room for */
	bool ended;	    /* LIFE has hung up */
	uint64_t idle_us;   /* since then nobody is connected; 0: somebody is */
	uint64_t drain_us;  /* draining ends; 0: not begun */
};

/* -- the start ------------------------------------------------------------- */

__attribute__((noreturn, format(printf, 2, 3)))
static void run_fail(struct run *r, const char *format, ...)
{
	char line[256] = "-";
	va_list args;

	va_start(args, format);
	vsnprintf(line + 1, sizeof(line) - 1, format, args);
	va_end(args);
	if (write(r->ready_fd, line, strlen(line)) < 0)
		fprintf(stderr, "vtoe-stack: %s\n", line + 1);
	server_close(&r->server);
	exit(1);
}

/* Descriptors of whoever started vtoe-run would be held open by us: locks, pipes
 * whose end somebody waits for. */
static void run_close_others(const struct run *r)
{
	unsigned low = (unsigned)r->ready_fd, high = (unsigned)r->life_fd;

	if (low > high) {
		low = (unsigned)r->life_fd;
		high = (unsigned)r->ready_fd;
	}
	if (low > 3)
		close_range(3, low - 1, 0);
	if (high > low + 1)
		close_range(low + 1, high - 1, 0);
	close_range(high + 1, ~0u, 0);
}

/* A relative path would mean something else once we are in the background. */
static const char *run_device(struct run *r, const char *given)
{
	char here[sizeof(r->device)];
	int n;

	if (*given == '/' || !getcwd(here, sizeof(here)))
		return given;
	n = snprintf(r->device, sizeof(r->device), "%s/%s", here, given);
	return n < (int)sizeof(r->device) ? r->device : given;
}

/* LIFE's hang-up and SIGTERM, by one descriptor. Who ends all processes of a
 * service means us too, but the programs' last bytes come first. */
static void run_watch_end(struct run *r)
{
	struct epoll_event e = { .events = EPOLLIN };
	int both = epoll_create1(EPOLL_CLOEXEC), term;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	term = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (both < 0 || term < 0 ||
	    epoll_ctl(both, EPOLL_CTL_ADD, term, &e) ||
	    epoll_ctl(both, EPOLL_CTL_ADD, r->life_fd, &e))
		run_fail(r, "epoll: %s", strerror(errno));
	r->life_fd = both;
}

/* What was the shell's, the program's, or the user's is let go of. */
static void run_background(struct run *r)
{
	struct rlimit files;
	char line[128];
	int null, n;

	setsid();
	if (chdir("/"))
		run_fail(r, "/: %s", strerror(errno));
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	null = open("/dev/null", O_RDWR);
	n = snprintf(line, sizeof(line), "+%s", r->server.path);
	if (null < 0 || write(r->ready_fd, line, (size_t)n) != n) {
		server_close(&r->server);
		exit(1);
	}
	for (n = 0; n < 3; n++)
		dup2(null, n);
	if (null > 2)
		close(null);
	close(r->ready_fd);
}

/* -- the loop -------------------------------------------------------------- */

/* -> true: nothing is left to do */
static bool run_is_over(struct run *r, uint64_t now)
{
	struct own *o = &r->server.own;

	if (!r->ended || o->device.conn_count || o->device.token_count) {
		r->idle_us = r->drain_us = 0;
		return false;
	}
	if (!r->idle_us)
		r->idle_us = now;
	device_set_timer(&o->device); /* looks again in a while */
	if (now - r->idle_us < IDLE_US)
		return false;
	if (!r->drain_us)
		r->drain_us = now + VTOE_DRAIN_SECONDS * 1000000ull;
	return (!o->conn_count && !o->late_count) || now >= r->drain_us;
}

static void run_loop(struct run *r)
{
	struct device *d = &r->server.own.device;
	unsigned events = 0;
	bool busy;

	device_watch(d, r->life_fd, WATCH_LIFE);
	server_events(&r->server, 0);
	do {
		events = device_turn(d, device_clock_us(), true, &busy);
		server_events(&r->server, events);
		r->ended |= events >> WATCH_LIFE & 1;
	} while (!run_is_over(r, d->now_us));
}

int main(int argc, char **argv)
{
	struct run *r = calloc(1, sizeof(*r));
	struct server_params params = { .others = !geteuid() };
	char why[256];

	if (argc != 4 || !r) {
		fprintf(stderr, "vtoe-stack is started by vtoe-run\n");
		return 125;
	}
	r->ready_fd = atoi(argv[2]);
	r->life_fd = atoi(argv[3]);
	umask(077);
	run_close_others(r);
	if (*argv[1])
		params.device = run_device(r, argv[1]);
	if (server_open(&r->server, &params, why, sizeof(why)))
		run_fail(r, "%s", why);
	run_watch_end(r);
	run_background(r);
	run_loop(r);
	server_close(&r->server);
	free(r);
	return 0;
}
