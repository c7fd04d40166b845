/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * worker.c - the process that serves one guest device
 *
 * Told everything by the supervisor's first packet (setup.h), it gives up its
 * privileges in named phases (isolation.h), opens its io_uring in between, and
 * then turns: device_turn() is the data path; here are only the new
 * connections, the supervisor's questions, and the end. A guest's violation is
 * logged here, because nothing below logs.
 */
#include "daemon/worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "daemon/isolation.h"
#include "daemon/log.h"
#include "daemon/worker_tto.h"
#include "daemon/worker_xen.h"
#include "port/local_peer.h"

enum { WATCH_LISTENER = 0, WATCH_SUPERVISOR = 1, WATCH_XEN = 2 };
enum { ACCEPT_TURN = 16, REQUESTS_MAX = 65536, INFLIGHT_MAX = 16384,
       RING_ENTRIES_MAX = 16384, DRAIN_MS = VTOE_DRAIN_SECONDS * 1000,
       STREAMS_MAX = 1 << 20 };
enum { GUEST_LINES = 5 }; /* of log that guests may cause in a second */

struct worker {
	struct worker_setup setup;
	struct device device;
	struct vtoe_device_page page;
	struct vtoe_stats *stats;
	struct worker_xen *xen; /* or NULL */
	struct worker_tto tto;
	int listen_fd;
	int stats_fd;
	uint64_t log_second; /* the one in which log_lines are counted */
	unsigned log_lines;
	char name[48];
};

static uint64_t worker_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static _Noreturn void worker_fail(const char *what, int error)
{
	struct worker_failed m = { .h.message = WORKER_FAILED,
				   .error = error };

	vtoe_log(VTOE_LOG_ERROR, "%s: %s", what, strerror(error));
	snprintf(m.what, sizeof(m.what), "%s", what);
	send(WORKER_FD, &m, sizeof(m), MSG_NOSIGNAL);
	_exit(1);
}

static void worker_receive_setup(struct worker *w)
{
	char control[CMSG_SPACE(WORKER_SETUP_FDS * sizeof(int))];
	struct iovec iov = { &w->setup, sizeof(w->setup) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	int fds[WORKER_SETUP_FDS];
	ssize_t n;

	do
		n = recvmsg(WORKER_FD, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		_exit(0); /* the supervisor changed its mind */
	if (n < 0)
		worker_fail("receive the set-up", errno);
	c = CMSG_FIRSTHDR(&msg);
	if (n != sizeof(w->setup) || w->setup.magic != WORKER_SETUP_MAGIC ||
	    w->setup.version != WORKER_SETUP_VERSION || !c ||
	    c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(sizeof(fds)))
		worker_fail("the set-up is not of this version", EPROTO);
	memcpy(fds, CMSG_DATA(c), sizeof(fds));
	w->listen_fd = fds[0];
	w->stats_fd = fds[1];
	close(fds[2]);
	worker_tto_init(&w->tto, &w->setup, fds[3], fds[4]);
	w->setup.name[sizeof(w->setup.name) - 1] = 0;
	if (w->setup.max_lanes > PORT_MAX_LANES)
		w->setup.max_lanes = PORT_MAX_LANES;
	if (w->setup.allow_count > 16)
		w->setup.allow_count = 16;
	if (w->setup.max_streams >= STREAMS_MAX)
		w->setup.max_streams = STREAMS_MAX - 1;
}

static void worker_map_stats(struct worker *w)
{
	w->stats = mmap(NULL, VTOE_STATS_BYTES, PROT_READ | PROT_WRITE,
			MAP_SHARED, w->stats_fd, 0);
	if (w->stats == MAP_FAILED)
		worker_fail("map the counters", errno);
	close(w->stats_fd);
	memset(w->stats, 0, sizeof(*w->stats));
	w->stats->magic = VTOE_STATS_MAGIC;
}

static void worker_make_page(struct worker *w)
{
	const struct worker_setup *s = &w->setup;
	struct vtoe_device_page *p = &w->page;

	p->magic = VTOE_MAGIC;
	p->version_min = p->version_max = VTOE_VERSION_1;
	if (s->port == WORKER_PORT_XEN)
		p->features &= ~PATH_WITHHELD_XEN;
	p->control_entries = VTOE_CTL_ENTRIES;
	p->max_lanes = s->max_lanes;
	p->max_streams = s->max_peer_streams;
	p->max_regions = s->max_regions;
	p->max_inflight = INFLIGHT_MAX;
	p->max_ring_entries = RING_ENTRIES_MAX;
	if (getrandom(&p->incarnation, sizeof(p->incarnation), 0) < 0)
		worker_fail("random numbers", errno);
	memcpy(p->mac, s->mac, sizeof(p->mac));
	p->mtu = s->mtu;
	memcpy(p->ipv4, s->ipv4, sizeof(p->ipv4));
	p->ipv4_prefix = s->ipv4_prefix;
	p->ipv6_prefix = s->ipv6_prefix;
	memcpy(p->ipv6, s->ipv6, sizeof(p->ipv6));
	memcpy(p->name, s->name, sizeof(p->name));
	p->link = s->link;
}

static void worker_limit(struct worker *w)
{
	const struct isolation_limits limits = {
		.descriptors = 2ull * w->setup.max_streams +
			       (uint64_t)w->setup.max_peers *
				       (w->setup.max_lanes + 8) + 256,
		.locked = w->setup.total_memory + worker_tto_locked(&w->tto),
	};
	const char *what = "limits", *short_of = NULL;
	int rc;

	rc = isolation_limits(&limits, &short_of, &what);
	if (rc)
		worker_fail(what, -rc);
	if (short_of)
		vtoe_log(VTOE_LOG_WARNING, "%s stays lower than wanted",
			 short_of);
}

static void worker_open_xen(struct worker *w)
{
	const char *what;
	int rc;

	w->xen = worker_xen_open(&w->setup, &rc, &what);
	if (!w->xen)
		worker_fail(what, -rc);
	if (w->setup.zerocopy_min && !worker_xen_may_zerocopy())
		w->setup.zerocopy_min = 0;
}

static void worker_open_device(struct worker *w)
{
	struct device_limits d = {
		.peers = w->setup.max_peers,
		.lanes = w->setup.max_lanes,
		.streams = w->setup.max_streams,
		.peer_streams = w->setup.max_peer_streams,
		.regions = w->setup.max_regions,
		.inflight = INFLIGHT_MAX,
		.credit = w->setup.credit ? w->setup.credit : 64,
		.zerocopy_min = w->setup.zerocopy_min,
		.requests = REQUESTS_MAX,
		.ring_entries = RING_ENTRIES_MAX,
		.drain_ms = DRAIN_MS,
		.spin_usec = w->setup.spin_usec,
		.withheld = w->xen ? PATH_WITHHELD_XEN : 0,
	};
	int rc = device_init(&w->device, &d, w->stats);

	if (rc)
		worker_fail("io_uring (Linux 6.1 or later is needed)", -rc);
}

/* @what is set by whoever made @rc. */
static void worker_check(int rc, const char *const *what)
{
	if (rc)
		worker_fail(*what, -rc);
}

/* The privilege phases, in the order that isolation.h gives. */
static void worker_confine(struct worker *w)
{
	const char *what = NULL;

	worker_limit(w);
	if (w->setup.port == WORKER_PORT_XEN)
		worker_open_xen(w);
	worker_tto_open(&w->tto);
	worker_check(isolation_mounts(&what), &what);
	worker_open_device(w);
	worker_check(isolation_identity(w->setup.uid, w->setup.gid, &what),
		     &what);
	worker_tto_start(&w->tto, &w->device);
	w->page.features = path_features(&w->device);
	worker_check(isolation_last(&what), &what);
	worker_check(isolation_syscalls((w->xen ? ISOLATION_XEN : 0) |
					(w->tto.started ? ISOLATION_TTO : 0),
					&what), &what);
}

/* -- connections --------------------------------------------------------- */

/* What a guest can cause at will is logged a few times in a second only: the
 * driver domain's disk is not the guest's to fill. */
__attribute__((format(printf, 2, 3)))
static void worker_log_guest(struct worker *w, const char *format, ...)
{
	uint64_t second = w->device.now / 1000;
	char line[256];
	va_list args;

	if (second != w->log_second)
		w->log_lines = 0;
	w->log_second = second;
	if (w->log_lines++ >= GUEST_LINES)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	vtoe_log(VTOE_LOG_WARNING, "%s: %s%s", w->setup.name, line,
		 w->log_lines == GUEST_LINES ?
		 " (more of this in the same second is not logged)" : "");
}

static bool worker_has_room(const struct worker *w)
{
	uint64_t n = w->device.conn_count + 1ull;

	return n <= w->setup.max_peers &&
	       n * w->setup.peer_memory <= w->setup.total_memory;
}

/* Refused: it reads the reason where the version should come. */
static void worker_refuse(struct worker *w, int error, const char *why)
{
	int fd = accept4(w->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	local_peer_refuse(fd, error);
	close(fd);
	w->stats->refused_peers++;
	worker_log_guest(w, "connection refused: %s", why);
}

static int worker_accept(struct worker *w)
{
	const struct local_limits limits = {
		.memory = w->setup.peer_memory,
		.lanes = w->setup.max_lanes,
		.allow = w->setup.allow_uid,
		.allow_count = w->setup.allow_count,
	};
	struct port_link link;
	int rc;

	/* ids of QEMU's protocol have 16 bits; 0 is ours */
	w->device.next_conn = w->device.next_conn % 65535 + 1;
	rc = local_peer_accept(&link, w->listen_fd, w->device.next_conn,
			       &limits, &w->page);
	if (rc == -EAGAIN)
		return rc;
	if (rc) {
		w->stats->refused_peers++;
		worker_log_guest(w, "connection refused: %s", rc == -EACCES ?
				 "its user is not in allow_uid" :
				 strerror(-rc));
		return 0;
	}
	rc = local_peer_greet(&link);
	if (!rc)
		rc = conn_add(&w->device, &link) ? 0 : -ENOMEM;
	if (rc) {
		port_link_close(&link);
		worker_log_guest(w, "handshake with process %u: %s", link.pid,
				 strerror(-rc));
	}
	return 0;
}

static void worker_accept_all(struct worker *w)
{
	int n;

	for (n = 0; n < ACCEPT_TURN; n++) {
		struct pollfd p = { .fd = w->listen_fd, .events = POLLIN };

		if (poll(&p, 1, 0) <= 0)
			break;
		if (!worker_has_room(w))
			worker_refuse(w, -EUSERS,
				      "the quota of peers or of memory is used "
				      "up (peers, total_memory)");
		else if (worker_accept(w))
			break;
	}
	device_watch(&w->device, w->listen_fd, WATCH_LISTENER);
}

/* -- the supervisor ------------------------------------------------------ */

static void worker_leave(struct worker *w)
{
	struct list *at;
	bool busy;

	for (at = w->device.conns.next; at != &w->device.conns; at = at->next) {
		struct conn *c = list_entry(at, struct conn, node);

		conn_set_status(c, VTOE_STATUS_LEAVING);
		conn_event(c, VTOE_EVENT_LEAVING, 0, 0);
	}
	device_turn(&w->device, worker_now_us(), false, &busy);
	device_turn(&w->device, worker_now_us(), false, &busy);
	_exit(0);
}

static void worker_set_link(struct worker *w, uint32_t link)
{
	struct list *at;

	w->page.link = link;
	for (at = w->device.conns.next; at != &w->device.conns; at = at->next)
		conn_set_link(list_entry(at, struct conn, node), link);
}

static void worker_carry_out(struct worker *w, struct worker_header h)
{
	switch (h.message) {
	case WORKER_QUERY_SOCKETS:
		worker_report_sockets(&w->device, WORKER_FD);
		break;
	case WORKER_QUERY_PEERS:
		worker_report_peers(&w->device, WORKER_FD);
		break;
	case WORKER_QUERY_FLOWS:
		if (w->tto.started)
			worker_report_flows(&w->device, WORKER_FD);
		break;
	case WORKER_SET_LOG:
		vtoe_log_set_level(h.value);
		break;
	case WORKER_SET_LINK:
		worker_set_link(w, h.value);
		break;
	case WORKER_LEAVE:
		worker_leave(w);
		break;
	default:
		break;
	}
}

static void worker_answer(struct worker *w)
{
	union worker_question q;
	int fd = -1;
	ssize_t n;

	n = w->tto.started ? worker_tto_receive(&q, &fd) :
			     recv(WORKER_FD, &q, sizeof(q), MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		_exit(0); /* workers do not outlive their supervisor */
	device_watch(&w->device, WORKER_FD, WATCH_SUPERVISOR);
	if (n == sizeof(q.capture) && q.h.message == WORKER_CAPTURE) {
		worker_tto_capture(&w->device, &q.capture, fd);
		fd = -1;
	} else if (n == sizeof(q.h)) {
		worker_carry_out(w, q.h);
	}
	if (fd >= 0)
		close(fd); /* nobody's */
	if (n >= (ssize_t)sizeof(q.h))
		worker_report_end(WORKER_FD, q.h.message);
}

static void worker_serve_xen(struct worker *w)
{
	int rc = worker_xen_serve(w->xen, &w->device, &w->page, WATCH_XEN);

	if (rc == -EPROTO) {
		worker_log_guest(w, "the frontend broke its ring: it is not "
				 "served any more");
	} else if (rc) {
		worker_fail("/dev/xen/evtchn", -rc); /* another is made */
	}
}

static void worker_log_violation(struct worker *w)
{
	static const char *const text[] = {
		"none", "producer index beyond the ring",
		"consumer index that cannot be", "no valid HELLO",
		"features that were not offered", "version", "flood",
		"bytes on the socket",
	};
	uint32_t v = w->device.parked_violation;

	if (!w->device.parked_conn)
		return;
	worker_log_guest(w, "peer %u is parked: %s", w->device.parked_conn,
			 v < sizeof(text) / sizeof(*text) ? text[v] : "?");
	w->device.parked_conn = 0;
}

static void worker_log_refusal(struct worker *w)
{
	char why[WORKER_XEN_WHY];

	if (w->device.refused_conn)
		worker_log_guest(w, "peer %u is refused more than its %u %s: "
				 "raise %s in vtoed.conf if it needs them",
				 w->device.refused_conn,
				 w->device.refused_limit,
				 w->device.refused_key, w->device.refused_key);
	w->device.refused_conn = 0;
	if (w->xen && worker_xen_refused(w->xen, why, sizeof(why)))
		worker_log_guest(w, "%s", why);
}

static _Noreturn void worker_run(struct worker *w)
{
	unsigned events;
	bool busy;

	if (w->xen)
		worker_xen_watch(w->xen, &w->device, WATCH_XEN);
	else
		device_watch(&w->device, w->listen_fd, WATCH_LISTENER);
	device_watch(&w->device, WORKER_FD, WATCH_SUPERVISOR);
	for (;;) {
		events = device_turn(&w->device, worker_now_us(), true, &busy);
		/* it slept: what begins below begins now */
		w->device.now_us = worker_now_us();
		w->device.now = w->device.now_us / 1000;
		if (events & 1u << WATCH_LISTENER)
			worker_accept_all(w);
		if (events & 1u << WATCH_SUPERVISOR)
			worker_answer(w);
		if (events & 1u << WATCH_XEN)
			worker_serve_xen(w);
		if (w->xen)
			worker_xen_turn(w->xen, w->device.stats);
		worker_log_violation(w);
		worker_log_refusal(w);
	}
}

int worker_main(void)
{
	static struct worker w;
	const struct timeval patience = { .tv_sec = 1 };
	struct worker_header ready = { WORKER_READY, 0 };

	vtoe_log_init("vtoed worker", VTOE_LOG_INFO);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN); /* the supervisor tells us */
	worker_receive_setup(&w);
	snprintf(w.name, sizeof(w.name), "worker %s", w.setup.name);
	vtoe_log_init(w.name, w.setup.log_level);
	worker_map_stats(&w);
	worker_make_page(&w);
	setsockopt(WORKER_FD, SOL_SOCKET, SO_SNDTIMEO, &patience,
		   sizeof(patience));
	worker_confine(&w);
	ready.value = w.tto.started ? WORKER_OFFERS_TTO : 0;
	if (send(WORKER_FD, &ready, sizeof(ready), MSG_NOSIGNAL) < 0)
		_exit(0);
	vtoe_log(VTOE_LOG_INFO, "serves %s with %s%s%s",
		 w.tto.started ? "TOE and TTO" : "TOE",
		 w.device.uring.defer ? "deferred task work" : "task work",
		 w.device.uring.fixed ? ", registered files" : "",
		 w.device.uring.restricted ? ", restricted ring" : "");
	worker_run(&w);
}
