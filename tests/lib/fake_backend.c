// SPDX-License-Identifier: BSD-2-Clause
/*
 * fake_backend.c - a backend for tests of the library alone
 *
 * One thread, one connection. It uses the library's ring verbs from the other
 * end and trusts what it reads: hardening is the real backend's affair
 * (backend/port). What is under way is a table of requests without a
 * completion: receives, accepts, and whatever FAKE_NEVER_COMPLETES holds back.
 */
#include "tests/lib/fake_backend.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <vtoe_control.h>
#include <vtoe_lane.h>
#include <vtoe_ring.h>

#define MAX_LANES 64u
#define MAX_REGIONS 512u
#define MAX_WAITING 4096u
#define MAX_STREAMS 256u
#define ECHO_BYTES (1u << 20)

struct fake_region {
	uint64_t key;
	struct vtoe_range ranges[VTOE_REGION_MAX_RANGES];
	uint32_t count;
	char *outside; /* not in the shared memory: of the test */
};

struct fake_waiting {
	struct vtoe_sqe sqe;
	bool used;
};

struct fake_stream {
	char *echo; /* a ring of ECHO_BYTES */
	uint64_t in, out;
	bool shut;
};

struct fake_lane {
	struct vtoe_ring sq, cq;
	struct fake_waiting waiting[MAX_WAITING];
	uint32_t waiting_count;
	uint32_t vector;
	uint32_t last; /* VTOE_STREAM_LAST */
	bool used, stopped;
};

struct fake {
	struct fake_params p;
	char directory[64];
	char path[96];
	pthread_t thread;
	pthread_mutex_t lock; /* held while the thread serves */
	int listener, socket, memory_fd, doorbell, stop;
	int vectors[MAX_LANES + 1];
	char *memory;
	struct vtoe_ring requests, completions;
	struct fake_lane lanes[MAX_LANES];
	struct fake_region regions[MAX_REGIONS];
	struct fake_stream streams[MAX_STREAMS];
	uint64_t next_key;
	uint32_t next_stream;
	uint32_t region_count;	/* atomic, for the test */
	uint32_t last_ranges;	/* atomic */
	bool killed;		/* atomic */
	bool holds_back;
};

static void die(const char *what)
{
	perror(what);
	exit(99);
}

/* -- the handshake ------------------------------------------------------- */

static void send_integer(struct fake *f, int64_t value, int fd)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	uint64_t raw = htole64((uint64_t)value);
	struct iovec io = { &raw, sizeof(raw) };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1 };
	struct cmsghdr *c;

	if (fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	if (sendmsg(f->socket, &m, MSG_NOSIGNAL) != sizeof(raw) &&
	    errno != EPIPE && errno != ECONNRESET)
		die("fake: sendmsg");
}

static void make_memory(struct fake *f)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW;
	struct vtoe_device_page *page;

	f->memory_fd = memfd_create("fake", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (f->memory_fd < 0 || ftruncate(f->memory_fd, (off_t)f->p.memory))
		die("fake: memfd");
	if (f->p.evil != FAKE_UNSEALED &&
	    fcntl(f->memory_fd, F_ADD_SEALS, seals))
		die("fake: seals");
	f->memory = mmap(NULL, f->p.memory, PROT_READ | PROT_WRITE, MAP_SHARED,
			 f->memory_fd, 0);
	if (f->memory == MAP_FAILED)
		die("fake: mmap");
	page = (struct vtoe_device_page *)f->memory;
	page->magic = f->p.evil == FAKE_MAGIC ? 1 : VTOE_MAGIC;
	page->version_min = f->p.evil == FAKE_LATER ? 7 : 1;
	page->version_max = f->p.evil == FAKE_LATER ? 9 : 1;
	page->features = f->p.features;
	page->memory_bytes = f->p.memory * (f->p.evil == FAKE_SMALL ? 2 : 1);
	page->control_entries = VTOE_CTL_ENTRIES;
	page->max_lanes = f->p.evil == FAKE_MANY_LANES ? UINT32_MAX :
							 f->p.lanes;
	page->max_streams = MAX_STREAMS;
	page->max_regions = f->p.regions;
	page->max_inflight = MAX_WAITING;
	page->max_ring_entries = f->p.evil == FAKE_LIMITS ? 1000 : 4096;
	page->mtu = 1500;
	page->link = VTOE_LINK_UP;
	page->status = VTOE_STATUS_READY;
	strcpy(page->name, "fake");
}

/* -> false: there will be no connection */
static bool greet(struct fake *f)
{
	enum fake_evil evil = f->p.evil;
	const int64_t id = 7;
	uint32_t i;

	if (evil == FAKE_REFUSES)
		send_integer(f, -EUSERS, -1);
	if (evil == FAKE_HALF && write(f->socket, "\0\0\0", 3) != 3)
		die("fake: write");
	if (evil == FAKE_REFUSES || evil == FAKE_HANGS_UP || evil == FAKE_HALF)
		return false;
	if (evil == FAKE_SILENT)
		return true;
	send_integer(f, evil == FAKE_VERSION ? 1 : 0,
		     evil == FAKE_EXTRA_FD ? f->doorbell : -1);
	send_integer(f, id, -1);
	send_integer(f, -1, evil == FAKE_NO_MEMORY ? -1 : f->memory_fd);
	send_integer(f, 0, f->doorbell);
	for (i = 0; i < 1 + f->p.lanes; i++)
		send_integer(f, id,
			     evil == FAKE_VECTOR_MISSING && i == f->p.lanes ?
				     -1 : f->vectors[i]);
	return true;
}

/* -- regions ------------------------------------------------------------- */

static struct fake_region *region_of(struct fake *f, uint64_t key)
{
	uint32_t i;

	for (i = 0; i < MAX_REGIONS; i++)
		if (key && f->regions[i].key == key)
			return &f->regions[i];
	return NULL;
}

static uint64_t region_bytes(const struct fake_region *r)
{
	uint64_t bytes = 0;
	uint32_t i;

	for (i = 0; i < r->count; i++)
		bytes += r->ranges[i].length;
	return bytes;
}

/* Copies between a request's memory and a stream's echo. */
static void move(struct fake *f, const struct vtoe_sqe *sqe, uint32_t from,
		 uint32_t bytes, struct fake_stream *s, bool to_stream)
{
	const struct fake_region *r = region_of(f, sqe->key);
	uint64_t offset = sqe->offset + from;
	uint32_t i = 0;

	while (bytes) {
		uint64_t n;
		char *at;

		while (offset >= r->ranges[i].length)
			offset -= r->ranges[i++].length;
		at = (r->outside ? r->outside : f->memory) +
		     r->ranges[i].offset + offset;
		n = r->ranges[i].length - offset;
		n = n < bytes ? n : bytes;
		if (to_stream) {
			uint64_t room = ECHO_BYTES - s->in % ECHO_BYTES;

			n = n < room ? n : room;
			memcpy(s->echo + s->in % ECHO_BYTES, at, n);
			s->in += n;
		} else {
			uint64_t have = ECHO_BYTES - s->out % ECHO_BYTES;

			n = n < have ? n : have;
			memcpy(at, s->echo + s->out % ECHO_BYTES, n);
			s->out += n;
		}
		offset += n;
		bytes -= (uint32_t)n;
	}
}

static int region_add(struct fake *f, const struct vtoe_ctl_request *q,
		      uint64_t *key)
{
	struct fake_region *r;
	uint32_t i;

	for (i = 0; i < MAX_REGIONS && f->regions[i].key; i++)
		;
	if (i == MAX_REGIONS || f->region_count == f->p.regions)
		return -EDQUOT;
	r = &f->regions[i];
	r->outside = NULL;
	r->count = q->u.region.count;
	if (!r->count || r->count > VTOE_REGION_MAX_RANGES)
		return -EINVAL;
	if (r->count == 1)
		r->ranges[0] = (struct vtoe_range){ q->u.region.offset,
						    q->u.region.length };
	else
		memcpy(r->ranges, f->memory + q->u.region.offset,
		       r->count * sizeof(*r->ranges));
	for (i = 0; i < r->count; i++)
		if (r->ranges[i].offset % VTOE_PAGE ||
		    r->ranges[i].length % VTOE_PAGE || !r->ranges[i].length ||
		    r->ranges[i].offset < VTOE_GUEST_OFFSET ||
		    r->ranges[i].offset + r->ranges[i].length > f->p.memory)
			return -EINVAL;
	__atomic_store_n(&f->last_ranges, r->count, __ATOMIC_RELAXED);
	__atomic_fetch_add(&f->region_count, 1, __ATOMIC_RELAXED);
	r->key = f->next_key += 0x9e3779b97f4a7c15ull;
	*key = f->p.evil == FAKE_KEY_ZERO ? 0 : r->key;
	return 0;
}

/* -- lanes --------------------------------------------------------------- */

static void notify(int fd)
{
	const uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		die("fake: eventfd");
}

static void put_cqe(struct fake *f, struct fake_lane *lane,
		    const struct vtoe_cqe *cqe)
{
	void *entry;

	/* tests keep less under way than a ring holds */
	entry = vtoe_ring_reserve(&lane->cq);
	if (!entry) {
		fprintf(stderr, "fake: the completion ring is full\n");
		exit(99);
	}
	memcpy(entry, cqe, sizeof(*cqe));
	if (vtoe_ring_submit(&lane->cq))
		notify(f->vectors[lane->vector]);
}

static void complete(struct fake *f, struct fake_lane *lane,
		     const struct vtoe_sqe *sqe, int result, uint32_t stream)
{
	struct vtoe_cqe cqe = { .user_data = sqe->user_data, .result = result,
				.stream = stream };

	if (sqe->op == VTOE_OP_RECV && result > 0) {
		cqe.key = sqe->key;
		cqe.offset = sqe->offset;
		cqe.length = (vtoe_u32)result;
		if (f->p.evil == FAKE_CQE_LONG)
			cqe.result = (vtoe_s32)(sqe->length + 1);
		if (f->p.evil == FAKE_CQE_ELSEWHERE)
			cqe.offset += 8;
	}
	if (sqe->op == VTOE_OP_GETOPT && result > 0)
		memset(cqe.u.value, 0x11, sizeof(cqe.u.value));
	put_cqe(f, lane, &cqe);
}

static void wait_for_later(struct fake_lane *lane, const struct vtoe_sqe *sqe)
{
	uint32_t i;

	for (i = 0; i < MAX_WAITING; i++)
		if (!lane->waiting[i].used) {
			lane->waiting[i].used = true;
			lane->waiting[i].sqe = *sqe;
			lane->waiting_count++;
			return;
		}
	die("fake: too many requests");
}

/* Receives as much as there is. -> false: nothing to complete with yet */
static bool try_receive(struct fake *f, struct fake_lane *lane,
			const struct vtoe_sqe *sqe)
{
	struct fake_stream *s = &f->streams[sqe->stream % MAX_STREAMS];
	uint64_t n = s->in - s->out;
	const struct fake_region *r = region_of(f, sqe->key);

	if (!r || sqe->offset + sqe->length > region_bytes(r)) {
		complete(f, lane, sqe, r ? -ERANGE : -ENOKEY, sqe->stream);
		return true;
	}
	if (!n && !s->shut) {
		if (!(sqe->op_flags & VTOE_IO_NONBLOCK))
			return false;
		complete(f, lane, sqe, -EAGAIN, sqe->stream);
		return true;
	}
	n = n < sqe->length ? n : sqe->length;
	move(f, sqe, 0, (uint32_t)n, s, false);
	complete(f, lane, sqe, (int)n, sqe->stream);
	return true;
}

/* Something changed: complete what can be, in the order of submission. */
static void retry_waiting(struct fake *f, struct fake_lane *lane)
{
	uint32_t i;

	if (f->p.evil == FAKE_NEVER_COMPLETES)
		return;
	for (i = 0; i < MAX_WAITING && lane->waiting_count; i++) {
		struct fake_waiting *w = &lane->waiting[i];

		if (w->used && w->sqe.op == VTOE_OP_RECV &&
		    try_receive(f, lane, &w->sqe)) {
			w->used = false;
			lane->waiting_count--;
		}
	}
}

/* Cancels what matches. */
static int cancel(struct fake *f, struct fake_lane *lane, uint64_t target,
		  uint32_t stream, uint64_t key)
{
	uint32_t i;
	int n = 0;

	for (i = 0; i < MAX_WAITING; i++) {
		struct fake_waiting *w = &lane->waiting[i];

		if (!w->used || (target && w->sqe.user_data != target) ||
		    (stream && w->sqe.stream != stream) ||
		    (key && w->sqe.key != key))
			continue;
		w->used = false;
		lane->waiting_count--;
		complete(f, lane, &w->sqe, -ECANCELED, w->sqe.stream);
		n++;
	}
	return n;
}

static void do_send(struct fake *f, struct fake_lane *lane,
		    const struct vtoe_sqe *sqe)
{
	struct fake_stream *s = &f->streams[sqe->stream % MAX_STREAMS];
	const struct fake_region *r = region_of(f, sqe->key);

	if (!r || sqe->offset + sqe->length > region_bytes(r)) {
		complete(f, lane, sqe, r ? -ERANGE : -ENOKEY, sqe->stream);
		return;
	}
	if (!s->echo)
		s->echo = calloc(1, ECHO_BYTES);
	if (!s->echo || s->in - s->out + sqe->length > ECHO_BYTES) {
		complete(f, lane, sqe, -ENOBUFS, sqe->stream);
		return;
	}
	move(f, sqe, 0, sqe->length, s, true);
	complete(f, lane, sqe, (int)sqe->length, sqe->stream);
	retry_waiting(f, lane);
}

/* What an evil backend does instead of answering. -> true: done */
static bool do_evil(struct fake *f, struct fake_lane *lane,
		    const struct vtoe_sqe *sqe)
{
	struct vtoe_cqe cqe = { .user_data = sqe->user_data };

	switch (f->p.evil) {
	case FAKE_CQ_INDEX:
		__atomic_store_n(&lane->cq.shared->p.producer,
				 lane->cq.local + 100000, __ATOMIC_RELEASE);
		notify(f->vectors[lane->vector]);
		break;
	case FAKE_SQ_INDEX:
		__atomic_store_n(&lane->sq.shared->c.consumer,
				 lane->sq.local + 100000, __ATOMIC_RELEASE);
		complete(f, lane, sqe, 0, 0);
		break;
	case FAKE_CQE_UNKNOWN:
		cqe.user_data = 0x123456789abcull;
		put_cqe(f, lane, &cqe);
		break;
	case FAKE_CQE_TWICE:
		put_cqe(f, lane, &cqe);
		put_cqe(f, lane, &cqe);
		break;
	case FAKE_CQE_GRQ:
		cqe.flags = VTOE_CQE_GRQ;
		cqe.key = f->next_key;
		cqe.offset = f->p.memory - 10;
		cqe.result = 4096;
		cqe.length = 4096;
		put_cqe(f, lane, &cqe);
		break;
	case FAKE_PARKS:
		lane->cq.shared->p.violation = VTOE_VIOLATION_INDEX;
		__atomic_store_n(&lane->cq.shared->p.status,
				 VTOE_STATUS_PARKED, __ATOMIC_RELEASE);
		lane->stopped = true;
		notify(f->vectors[lane->vector]);
		break;
	case FAKE_DIES:
		shutdown(f->socket, SHUT_RDWR);
		break;
	case FAKE_SENDS_DATA:
		if (write(f->socket, "surprise", 8) != 8)
			die("fake: write");
		break;
	case FAKE_NEVER_COMPLETES:
		f->holds_back = true;
		break;
	default:
		return false;
	}
	return true;
}

static void do_sqe(struct fake *f, struct fake_lane *lane,
		   const struct vtoe_sqe *sqe)
{
	struct vtoe_sqe s = *sqe;

	if (s.stream == VTOE_STREAM_LAST)
		s.stream = lane->last;
	if (f->holds_back) { /* never completes */
		wait_for_later(lane, &s);
		return;
	}
	switch (s.op) {
	case VTOE_OP_NOP:
		if (s.user_data == FAKE_TRIGGER && do_evil(f, lane, &s))
			return;
		complete(f, lane, &s, 0, 0);
		break;
	case VTOE_OP_OPEN:
		lane->last = ++f->next_stream;
		complete(f, lane, &s, 0, lane->last);
		break;
	case VTOE_OP_SEND:
		do_send(f, lane, &s);
		break;
	case VTOE_OP_RECV:
		if (!try_receive(f, lane, &s))
			wait_for_later(lane, &s);
		break;
	case VTOE_OP_SHUTDOWN:
		f->streams[s.stream % MAX_STREAMS].shut = true;
		complete(f, lane, &s, 0, s.stream);
		retry_waiting(f, lane);
		break;
	case VTOE_OP_CLOSE:
		cancel(f, lane, 0, s.stream, 0);
		complete(f, lane, &s, 0, s.stream);
		break;
	case VTOE_OP_CANCEL:
		complete(f, lane, &s,
			 cancel(f, lane, s.u.target, s.stream, 0), s.stream);
		break;
	case VTOE_OP_ACCEPT:
		wait_for_later(lane, &s);
		break;
	case VTOE_OP_GETOPT:
		complete(f, lane, &s, (int)s.u.option.length, s.stream);
		break;
	case VTOE_OP_GRQ_ADD:
		break;
	default:
		complete(f, lane, &s, 0, s.stream);
		break;
	}
}

static void lane_turn(struct fake *f, struct fake_lane *lane)
{
	const struct vtoe_sqe *entry;
	struct vtoe_sqe sqe;

	do {
		while (!lane->stopped &&
		       (entry = vtoe_ring_peek(&lane->sq))) {
			sqe = *entry;
			vtoe_ring_advance(&lane->sq);
			do_sqe(f, lane, &sqe);
			if (f->p.evil != FAKE_SQ_INDEX &&
			    lane->sq.local - lane->sq.published >=
				    lane->sq.size / 4 &&
			    vtoe_ring_release(&lane->sq))
				notify(f->vectors[lane->vector]);
		}
		if (f->p.evil != FAKE_SQ_INDEX && vtoe_ring_release(&lane->sq))
			notify(f->vectors[lane->vector]);
	} while (!lane->stopped && vtoe_ring_arm(&lane->sq));
}

/* -- control ------------------------------------------------------------- */

static void lane_add(struct fake *f, const struct vtoe_ctl_request *q,
		     struct vtoe_ctl_completion *c)
{
	struct fake_lane *lane;
	uint32_t i;

	for (i = 0; i < f->p.lanes && f->lanes[i].used; i++)
		;
	if (i == f->p.lanes) {
		c->result = -EUSERS;
		return;
	}
	lane = &f->lanes[i];
	memset(lane, 0, sizeof(*lane));
	vtoe_ring_init(&lane->sq, f->memory + q->u.lane.sq_offset,
		       q->u.lane.sq_entries);
	vtoe_ring_init(&lane->cq, f->memory + q->u.lane.cq_offset,
		       q->u.lane.cq_entries);
	if (lane->sq.shared->p.producer || lane->cq.shared->c.consumer ||
	    lane->cq.shared->c.event) {
		c->result = -EINVAL; /* rule P-23 */
		return;
	}
	lane->cq.shared->p.space_event = UINT32_MAX;
	lane->vector = q->u.lane.vector;
	lane->used = true;
	c->lane = i;
}

static void region_del(struct fake *f, uint64_t key,
		       struct vtoe_ctl_completion *c)
{
	struct fake_region *r = region_of(f, key);
	uint32_t i;

	if (!r) {
		c->result = -ENOKEY;
		return;
	}
	for (i = 0; i < MAX_LANES; i++)
		if (f->lanes[i].used)
			cancel(f, &f->lanes[i], 0, 0, key);
	r->key = 0;
	__atomic_fetch_sub(&f->region_count, 1, __ATOMIC_RELAXED);
}

uint64_t fake_region_add(struct fake *f, void *at, uint64_t bytes)
{
	struct fake_region *r = NULL;
	uint64_t key = 0;
	uint32_t i;

	pthread_mutex_lock(&f->lock);
	for (i = 0; i < MAX_REGIONS && !r; i++)
		if (!f->regions[i].key)
			r = &f->regions[i];
	if (r && f->region_count < f->p.regions) {
		r->outside = at;
		r->count = 1;
		r->ranges[0] = (struct vtoe_range){ 0, bytes };
		key = r->key = f->next_key += 0x9e3779b97f4a7c15ull;
		__atomic_fetch_add(&f->region_count, 1, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&f->lock);
	return key;
}

int fake_region_del(struct fake *f, uint64_t key)
{
	struct vtoe_ctl_completion c = { .result = 0 };

	pthread_mutex_lock(&f->lock);
	region_del(f, key, &c);
	pthread_mutex_unlock(&f->lock);
	return c.result;
}

static void control_turn(struct fake *f)
{
	const struct vtoe_ctl_request *entry;
	struct vtoe_ctl_completion c;
	struct vtoe_ctl_request q;

	do {
		while ((entry = vtoe_ring_peek(&f->requests))) {
			q = *entry;
			vtoe_ring_advance(&f->requests);
			memset(&c, 0, sizeof(c));
			c.op = q.op;
			c.user_data = q.user_data;
			if (f->p.evil == FAKE_NO_HELLO)
				continue;
			if (q.op == VTOE_CTL_HELLO) {
				c.result = f->p.evil == FAKE_HELLO_REFUSED ?
						   -EPROTO : 0;
			} else if (f->p.evil == FAKE_CONTROL_INDEX) {
				__atomic_store_n(
					&f->completions.shared->p.producer,
					4000000, __ATOMIC_RELEASE);
				notify(f->vectors[0]);
				continue;
			} else if (f->p.evil == FAKE_CONTROL_DATA) {
				c.user_data = 0x5555;
			} else if (q.op == VTOE_CTL_LANE_ADD) {
				lane_add(f, &q, &c);
			} else if (q.op == VTOE_CTL_LANE_DEL) {
				f->lanes[q.lane].used = false;
			} else if (q.op == VTOE_CTL_REGION_ADD) {
				c.result = region_add(f, &q, &c.key);
			} else if (q.op == VTOE_CTL_REGION_DEL) {
				region_del(f, q.u.key, &c);
			}
			entry = vtoe_ring_reserve(&f->completions);
			if (!entry)
				die("fake: the control ring is full");
			memcpy((void *)entry, &c, sizeof(c));
			if (vtoe_ring_submit(&f->completions))
				notify(f->vectors[0]);
		}
		if (vtoe_ring_release(&f->requests))
			notify(f->vectors[0]);
	} while (vtoe_ring_arm(&f->requests));
}

/* -- life ---------------------------------------------------------------- */

static void serve(struct fake *f)
{
	struct pollfd p[3] = {
		{ .fd = f->doorbell, .events = POLLIN },
		{ .fd = f->socket, .events = POLLIN },
		{ .fd = f->stop, .events = POLLIN },
	};
	uint64_t count;
	uint32_t i;

	while (poll(p, 3, -1) >= 0 || errno == EINTR) {
		if (p[1].revents || p[2].revents)
			return;
		if (read(f->doorbell, &count, sizeof(count)) < 0 &&
		    errno != EAGAIN)
			die("fake: doorbell");
		pthread_mutex_lock(&f->lock);
		control_turn(f);
		for (i = 0; i < f->p.lanes; i++)
			if (f->lanes[i].used)
				lane_turn(f, &f->lanes[i]);
		pthread_mutex_unlock(&f->lock);
	}
}

static void *fake_thread(void *arg)
{
	struct fake *f = arg;
	struct pollfd p[2] = {
		{ .fd = f->listener, .events = POLLIN },
		{ .fd = f->stop, .events = POLLIN },
	};

	while (poll(p, 2, -1) < 0 && errno == EINTR)
		;
	if (p[1].revents)
		return NULL;
	f->socket = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
	if (f->socket < 0)
		die("fake: accept");
	if (greet(f))
		serve(f);
	shutdown(f->socket, SHUT_RDWR);
	close(f->socket);
	return NULL;
}

struct fake *fake_start(const struct fake_params *params)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct fake *f = calloc(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");
	uint32_t i;

	if (!f)
		die("fake: calloc");
	pthread_mutex_init(&f->lock, NULL);
	if (params)
		f->p = *params;
	f->p.memory = f->p.memory ? f->p.memory : 8u << 20;
	f->p.lanes = f->p.lanes ? f->p.lanes : 8;
	f->p.regions = f->p.regions ? f->p.regions : 64;
	f->p.features = f->p.features ? f->p.features :
					VTOE_F_TOE | VTOE_F_GRQ | VTOE_F_SHARE |
						VTOE_F_REGION_LIST | VTOE_F_IPV6;
	snprintf(f->directory, sizeof(f->directory), "%.40s/fake-XXXXXX",
		 tmp ? tmp : "/tmp");
	if (!mkdtemp(f->directory))
		die("fake: mkdtemp");
	snprintf(f->path, sizeof(f->path), "%s/fake.sock", f->directory);
	strcpy(at.sun_path, f->path);
	f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	f->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	f->doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (i = 0; i <= f->p.lanes; i++)
		f->vectors[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (f->listener < 0 ||
	    bind(f->listener, (struct sockaddr *)&at, sizeof(at)) ||
	    listen(f->listener, 1))
		die("fake: listen");
	make_memory(f);
	vtoe_ring_init(&f->requests, f->memory + VTOE_CTL_REQUEST_OFFSET,
		       VTOE_CTL_ENTRIES);
	vtoe_ring_init(&f->completions, f->memory + VTOE_CTL_COMPLETION_OFFSET,
		       VTOE_CTL_ENTRIES);
	if (pthread_create(&f->thread, NULL, fake_thread, f))
		die("fake: thread");
	return f;
}

const char *fake_path(const struct fake *f)
{
	return f->path;
}

void fake_kill(struct fake *f)
{
	if (!f->killed) {
		f->killed = true;
		notify(f->stop);
		pthread_join(f->thread, NULL);
	}
}

void fake_stop(struct fake *f)
{
	uint32_t i;

	fake_kill(f);
	munmap(f->memory, f->p.memory);
	close(f->memory_fd);
	close(f->listener);
	close(f->doorbell);
	close(f->stop);
	for (i = 0; i <= f->p.lanes; i++)
		close(f->vectors[i]);
	for (i = 0; i < MAX_STREAMS; i++)
		free(f->streams[i].echo);
	unlink(f->path);
	rmdir(f->directory);
	free(f);
}

uint32_t fake_regions(const struct fake *f)
{
	return __atomic_load_n(&f->region_count, __ATOMIC_RELAXED);
}

uint32_t fake_last_ranges(const struct fake *f)
{
	return __atomic_load_n(&f->last_ranges, __ATOMIC_RELAXED);
}
