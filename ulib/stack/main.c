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
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "port/local_peer.h"
#include "stack/own.h"
#include "stack/wire_tto.h"

enum { WATCH_LISTENER, WATCH_LANE, WATCH_HANGUP, WATCH_LIFE };
enum { BACKLOG = 128, LANES = 64, MEMORY = 64 << 20, IDLE_US = 1000000,
       DEAF_US = 200000 };

struct run {
	struct own own;
	struct vtoe_stats stats;
	struct vtoe_device_page page;
	struct wire *wire;
	int listen_fd, ready_fd, life_fd;
	char directory[80];
	char path[100];
	char device[108]; /* absolute; as a socket's address has room for */
	bool ended;	    /* LIFE has hung up */
	uint64_t idle_us;   /* since then nobody is connected; 0: somebody is */
	uint64_t drain_us;  /* draining ends; 0: not begun */
	uint64_t deaf_us;   /* until then there is nothing to accept with; 0 */
	int lane_fd, hangup_fd; /* that are watched */
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* -- the start ------------------------------------------------------------- */

static void run_clean(const struct run *r)
{
	if (*r->path)
		unlink(r->path);
	if (*r->directory)
		rmdir(r->directory);
}

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
	run_clean(r);
	exit(1);
}

/* The user's own directory; that of another user (su) is no place for ours. */
static const char *run_base(void)
{
	const char *base = getenv("XDG_RUNTIME_DIR");
	struct stat st;

	if (!base || *base != '/' || strlen(base) > 50 || access(base, W_OK) ||
	    stat(base, &st) || st.st_uid != geteuid())
		return "/tmp";
	return base;
}

/* Root's program may become another user and connect only then (setpriv, gosu,
 * su-exec). Nobody can list the directory: who connects was told its random name,
 * by root's environment. */
static void run_open_to_others(struct run *r)
{
	if (geteuid())
		return;
	if (chmod(r->directory, 0711) || chmod(r->path, 0666))
		run_fail(r, "%s: %s", r->path, strerror(errno));
}

static void run_listen(struct run *r)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const char *base = run_base();
	int fd;

	snprintf(r->directory, sizeof(r->directory), "%s/vtoe-XXXXXX", base);
	if (!mkdtemp(r->directory)) {
		int error = errno;

		*r->directory = '\0';
		run_fail(r, "%s: %s", base, strerror(error));
	}
	snprintf(r->path, sizeof(r->path), "%s/stack.sock", r->directory);
	strcpy(a.sun_path, r->path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) ||
	    listen(fd, BACKLOG))
		run_fail(r, "%s: %s", r->path, strerror(errno));
	run_open_to_others(r);
	r->listen_fd = fd;
}

static void run_open_wire(struct run *r, const char *device)
{
	int error;

	r->wire = wire_tto_open(*device ? device : NULL, 4096, &error);
	if (error == -EOPNOTSUPP)
		run_fail(r, "the device does not offer TTO: set tto = yes for "
			 "the guest in vtoed.conf");
	if (error)
		run_fail(r, "no backend at %s: %s",
			 *device ? device : "/run/vtoe", strerror(-error));
}

static void run_make_page(struct run *r)
{
	const struct vtoe_device_page *from = wire_tto_page(r->wire);
	struct vtoe_device_page *p = &r->page;

	*p = *from;
	p->version_min = p->version_max = VTOE_VERSION_1;
	p->features = path_features(&r->own.device);
	p->control_entries = VTOE_CTL_ENTRIES;
	p->max_lanes = LANES;
	p->max_regions = r->own.device.limits.regions;
	p->max_inflight = r->own.device.limits.inflight;
	p->max_ring_entries = r->own.device.limits.ring_entries;
	p->max_streams = r->own.device.limits.peer_streams;
	p->status = VTOE_STATUS_STARTING;
	if (getrandom(&p->incarnation, sizeof(p->incarnation), 0) < 0)
		run_fail(r, "random numbers: %s", strerror(errno));
}

static void run_open_engine(struct run *r)
{
	struct own_params p;
	int rc;

	own_params_init(&p);
	p.wire = r->wire;
	if (getrandom(p.tcp.key, sizeof(p.tcp.key), 0) != sizeof(p.tcp.key))
		run_fail(r, "random numbers: %s", strerror(errno));
	rc = own_init(&r->own, &p, &r->stats);
	if (rc)
		run_fail(r, "io_uring (Linux 6.1 or later is needed): %s",
			 strerror(-rc));
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

	if (!*given || *given == '/' || !getcwd(here, sizeof(here)))
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
	n = snprintf(line, sizeof(line), "+%s", r->path);
	if (null < 0 || write(r->ready_fd, line, (size_t)n) != n) {
		run_clean(r);
		exit(1);
	}
	for (n = 0; n < 3; n++)
		dup2(null, n);
	if (null > 2)
		close(null);
	close(r->ready_fd);
}

/* -- programs -------------------------------------------------------------- */

static void run_refuse(struct run *r)
{
	int fd = accept4(r->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	local_peer_refuse(fd, -EUSERS);
	close(fd);
}

static int run_accept(struct run *r)
{
	const uint32_t uid = geteuid();
	const struct local_limits limits = {
		.memory = MEMORY,
		.lanes = LANES,
		.allow = &uid,
		.allow_count = uid ? 1 : 0, /* root's may become others */
	};
	struct device *d = &r->own.device;
	struct port_link link;
	int rc;

	d->next_conn = d->next_conn % 65535 + 1;
	rc = local_peer_accept(&link, r->listen_fd, d->next_conn, &limits,
			       &r->page);
	if (rc)
		return rc;
	rc = local_peer_greet(&link);
	if (!rc && !conn_add(d, &link))
		rc = -ENOMEM;
	if (rc)
		port_link_close(&link);
	return 0;
}

static void run_accept_all(struct run *r)
{
	struct pollfd p = { .fd = r->listen_fd, .events = POLLIN };
	struct device *d = &r->own.device;
	int n, rc;

	r->deaf_us = 0;
	for (n = 0; n < BACKLOG && poll(&p, 1, 0) > 0; n++) {
		if (d->conn_count >= d->limits.peers) {
			run_refuse(r);
			continue;
		}
		rc = run_accept(r);
		if (rc == -EAGAIN)
			break;
		if (rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM) {
			/* it stays readable: look again in a while */
			r->deaf_us = d->now_us + DEAF_US;
			device_set_timer(d);
			return;
		}
	}
	device_watch(&r->own.device, r->listen_fd, WATCH_LISTENER);
}

/* -- the loop -------------------------------------------------------------- */

/* The wire's descriptors change with its worker. */
static void run_watch_wire(struct run *r, unsigned events)
{
	int lane = wire_tto_lane_fd(r->wire);
	int hangup = wire_tto_hangup_fd(r->wire);

	if (events & (1u << WATCH_LANE | 1u << WATCH_HANGUP))
		wire_tto_woken(r->wire, events & 1u << WATCH_HANGUP);
	if (events & 1u << WATCH_LANE)
		r->lane_fd = -1;
	if (events & 1u << WATCH_HANGUP)
		r->hangup_fd = -1;
	if (lane >= 0 && r->lane_fd < 0) {
		device_watch(&r->own.device, lane, WATCH_LANE);
		r->lane_fd = lane;
	}
	if (hangup >= 0 && r->hangup_fd < 0) {
		device_watch(&r->own.device, hangup, WATCH_HANGUP);
		r->hangup_fd = hangup;
	}
}

/* -> true: nothing is left to do */
static bool run_is_over(struct run *r, uint64_t now)
{
	struct own *o = &r->own;

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
	struct device *d = &r->own.device;
	unsigned events = 0;
	bool busy;

	device_watch(d, r->listen_fd, WATCH_LISTENER);
	device_watch(d, r->life_fd, WATCH_LIFE);
	run_watch_wire(r, 0);
	do {
		events = device_turn(d, now_us(), true, &busy);
		run_watch_wire(r, events);
		if (events & 1u << WATCH_LISTENER ||
		    (r->deaf_us && d->now_us >= r->deaf_us))
			run_accept_all(r);
		r->ended |= events >> WATCH_LIFE & 1;
	} while (!run_is_over(r, d->now_us));
}

int main(int argc, char **argv)
{
	struct run *r = calloc(1, sizeof(*r));

	if (argc != 4 || !r) {
		fprintf(stderr, "vtoe-stack is started by vtoe-run\n");
		return 125;
	}
	r->ready_fd = atoi(argv[2]);
	r->life_fd = atoi(argv[3]);
	r->lane_fd = r->hangup_fd = -1;
	umask(077);
	run_close_others(r);
	run_open_wire(r, run_device(r, argv[1]));
	run_open_engine(r);
	run_make_page(r);
	run_listen(r);
	run_watch_end(r);
	run_background(r);
	run_loop(r);
	run_clean(r);
	own_free(&r->own);
	wire_tto_close(r->wire);
	free(r);
	return 0;
}
