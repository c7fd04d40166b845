/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile_rings.c - indices that lie, entries that change, pages scribbled on
 */
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void store(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static const char *nops(struct raw_lane *l, unsigned count)
{
	while (count--)
		TRY(want_answers(l));
	return NULL;
}

/* -- submission queue -- */

struct jump {
	unsigned before; /* NOPs that go well first */
	uint32_t by;	 /* added to the producer index */
};

static const char *sq_jump(const struct hostile *h, const void *arg)
{
	const struct jump *j = arg;
	const char *text;
	struct rig g;

	TRY(rig_open(&g, h));
	text = nops(&g.lane, j->before);
	if (!text) {
		store(&g.lane.sq.shared->p.producer, j->before + j->by);
		raw_ring_doorbell(&g.peer);
		text = want_lane_parked(&g, VTOE_VIOLATION_INDEX);
	}
	rig_close(&g);
	return text;
}

static const struct jump jump_one = { 0, 64 + 1 };
static const struct jump jump_far = { 3, 1000 };
static const struct jump jump_half = { 3, 0x80000000u };
static const struct jump jump_back = { 5, -1u };
static const struct jump jump_back_far = { 5, -5u };
static const struct jump jump_wrap = { 0, 0xffffffffu };

/* What was submitted before the lie is not served any more, but the lane can
 * be deleted and another made in its place. */
static const char *sq_parked_then_deleted(const struct hostile *h,
					  const void *arg)
{
	const char *text;
	struct rig g;
	int result;

	(void)arg;
	TRY(rig_open(&g, h));
	store(&g.lane.sq.shared->p.producer, 100000);
	raw_ring_doorbell(&g.peer);
	text = want_lane_parked(&g, VTOE_VIOLATION_INDEX);
	if (!text) {
		result = raw_lane_del(&g.lane);
		text = want_result(0, result);
	}
	if (!text) {
		result = raw_lane_add(&g.peer, &g.lane, 64, 64, 1);
		text = want_result(0, result);
	}
	if (!text)
		text = want_answers(&g.lane);
	rig_close(&g);
	return text;
}

/* LANE_ADD over ring heads that are not zero (P-23). */
static const char *heads_not_zero(const struct hostile *h, const void *arg)
{
	struct vtoe_ctl_request r = { .op = VTOE_CTL_LANE_ADD };
	struct vtoe_ctl_completion c;
	const char *text = NULL;
	struct raw_lane l = { 0 };
	struct rig g;
	int error;

	(void)arg;
	TRY(rig_open(&g, h));
	l.peer = &g.peer;
	l.vector = 1;
	l.sq_offset = raw_alloc(&g.peer, VTOE_RING_BYTES(8));
	l.cq_offset = raw_alloc(&g.peer, VTOE_RING_BYTES(8));
	memset(g.peer.memory + l.sq_offset, 0x5a, VTOE_RING_HEADER);
	memset(g.peer.memory + l.cq_offset, 0x5a, VTOE_RING_HEADER);
	vtoe_ring_init(&l.sq, g.peer.memory + l.sq_offset, 8);
	vtoe_ring_init(&l.cq, g.peer.memory + l.cq_offset, 8);
	r.u.lane.sq_offset = l.sq_offset;
	r.u.lane.cq_offset = l.cq_offset;
	r.u.lane.sq_entries = r.u.lane.cq_entries = 8;
	r.u.lane.vector = 1;
	error = raw_control(&g.peer, &r, &c);
	if (error || c.result)
		text = want_result(0, error ? error : c.result);
	if (!text) {
		g.lane = l;
		raw_ring_doorbell(&g.peer);
		text = want_lane_parked(&g, VTOE_VIOLATION_INDEX);
	}
	rig_close(&g);
	return text;
}

/* -- completion queue -- */

/* The backend looks at the consumer index when half of the ring seems used:
 * more requests than that make it look. */
static const char *cq_lie(const struct hostile *h, const void *arg)
{
	const struct jump *j = arg;
	struct vtoe_sqe s = { .op = VTOE_OP_NOP };
	const char *text;
	struct rig g;
	unsigned i;

	TRY(rig_open(&g, h));
	/* The backend sees this one: the ring was full by half before. */
	text = nops(&g.lane, j->before);
	if (!text) {
		for (i = 0; i < 60; i++) {
			s.user_data = 0;
			raw_put(&g.lane, &s);
		}
		store(&g.lane.cq.shared->c.consumer, j->before + j->by);
		raw_submit(&g.lane);
		raw_ring_doorbell(&g.peer);
		text = want_lane_parked(&g, VTOE_VIOLATION_CONSUMER);
	}
	rig_close(&g);
	return text;
}

static const struct jump cq_ahead = { 0, 61 };
static const struct jump cq_far = { 40, 0x40000000u };
static const struct jump cq_back_wrap = { 0, 0xffffffffu };
static const struct jump cq_back = { 100, -70u };

/* -- control ring -- */

static const char *control_jump(const struct hostile *h, const void *arg)
{
	const struct jump *j = arg;
	const char *text;
	struct rig g;

	TRY(rig_open(&g, h));
	store(&g.peer.requests.shared->p.producer,
	      g.peer.requests.local + j->by);
	raw_ring_doorbell(&g.peer);
	text = want_parked(&g.peer, VTOE_VIOLATION_INDEX);
	rig_close(&g);
	return text;
}

static const struct jump control_forward = { 0, VTOE_CTL_ENTRIES + 1 };
static const struct jump control_back = { 0, -1u };
static const struct jump control_half = { 0, 0x80000000u };

static const char *control_consumer(const struct hostile *h, const void *arg)
{
	struct vtoe_ctl_request r = { .op = 77, .user_data = 1 };
	const struct jump *j = arg;
	const char *text;
	struct rig g;
	unsigned i;

	TRY(rig_open(&g, h));
	store(&g.peer.completions.shared->c.consumer,
	      g.peer.completions.local + j->by);
	for (i = 0; i < VTOE_CTL_ENTRIES - 4; i++)
		raw_control_submit(&g.peer, &r);
	text = want_parked(&g.peer, VTOE_VIOLATION_CONSUMER);
	rig_close(&g);
	return text;
}

static const struct jump control_ahead = { 0, 3000 };
static const struct jump control_behind = { 0, -3000u };

/* -- scribbling -- */

/* The backend's halves: it must go on from its own copies (P-5). */
static const char *backend_half(const struct hostile *h, const void *arg)
{
	struct vtoe_device_page *page;
	const char *text;
	struct rig g;
	int i, result;

	(void)arg;
	TRY(rig_open(&g, h));
	page = (void *)g.peer.memory;
	for (i = 0; i < 50; i++) {
		memset(page, 0xff, sizeof(*page));
		page->status = VTOE_STATUS_READY;
		memset(&g.lane.sq.shared->c, 0x77, sizeof(g.lane.sq.shared->c));
		g.lane.cq.shared->p.space_event = 0x33333333;
		g.lane.cq.shared->p.violation = 9;
		memset(&g.peer.requests.shared->c, 0x55, 64);
		raw_ring_doorbell(&g.peer);
		/* Our view of what is free is private, so it still works. */
		g.lane.sq.other = g.lane.sq.local;
		g.peer.requests.other = g.peer.requests.local;
		text = want_answers(&g.lane);
		if (text)
			break;
	}
	if (!text) {
		result = raw_lane_del(&g.other);
		text = want_result(0, result);
	}
	rig_close(&g);
	return text;
}

/* Our own completions overwritten, and the producer index with them. */
static const char *backend_producer(const struct hostile *h, const void *arg)
{
	const char *text;
	struct rig g;
	uint32_t at;

	(void)arg;
	TRY(rig_open(&g, h));
	text = nops(&g.lane, 3);
	store(&g.lane.cq.shared->p.producer, 0xdead);
	if (!text) {
		struct vtoe_sqe s = { .op = VTOE_OP_NOP, .user_data = 7 };

		raw_put(&g.lane, &s);
		raw_submit(&g.lane);
		raw_ring_doorbell(&g.peer);
		for (at = 0; at < 5000; at++) {
			if (g.lane.cq.shared->p.producer == 4)
				break;
			usleep(1000);
		}
		if (g.lane.cq.shared->p.producer != 4)
			text = wrong("the producer index went on from ours");
	}
	rig_close(&g);
	return text;
}

/* The pages under the rings are taken away: they read as zero again. */
static const char *holes(const struct hostile *h, const void *arg)
{
	const char *text;
	struct rig g;
	int error;

	(void)arg;
	TRY(rig_open(&g, h));
	text = nops(&g.lane, 10);
	error = fallocate(g.peer.memory_fd,
			  FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  (off_t)g.lane.sq_offset, VTOE_PAGE);
	if (!text && error && errno == ENODEV) { /* a device, not a file */
		rig_close(&g);
		return NULL;
	}
	if (!text && error)
		text = wrong("cannot punch a hole: %s", strerror(errno));
	if (!text) {
		raw_ring_doorbell(&g.peer);
		text = want_lane_parked(&g, VTOE_VIOLATION_INDEX);
	}
	rig_close(&g);
	return text;
}

/* -- entries that change -- */

struct flipper {
	uint32_t *words;
	unsigned count;
	bool stop;
};

static void *flip(void *arg)
{
	struct flipper *f = arg;
	uint32_t seed = 1;

	while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
		seed = seed * 1664525u + 1013904223u;
		__atomic_store_n(&f->words[(seed >> 8) % f->count], seed,
				 __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Random words in the entries while they are read: anything may come back but
 * a lane that stands still, a parked lane, or a dead worker. */
static const char *entries_change(const struct hostile *h, const void *arg)
{
	struct vtoe_sqe s = { .op = VTOE_OP_NOP };
	struct flipper f = { .count = 64 * 16 };
	const char *text = NULL;
	unsigned round, i;
	struct vtoe_cqe c;
	pthread_t thread;
	uint32_t why;
	struct rig g;

	(void)arg;
	TRY(rig_open(&g, h));
	f.words = (void *)g.lane.sq.entries;
	pthread_create(&thread, NULL, flip, &f);
	for (round = 0; round < 300 && !text; round++) {
		for (i = 0; i < 32; i++) {
			s.op = (uint8_t)(round + i) % 20;
			s.user_data = 1;
			s.key = g.key;
			s.length = 64;
			if (raw_put(&g.lane, &s))
				break;
		}
		raw_submit(&g.lane);
		raw_ring_doorbell(&g.peer);
		while (raw_next(&g.lane, &c, 2) == 0)
			;
		if (raw_lane_status(&g.lane, &why) != VTOE_STATUS_READY)
			text = wrong("parked (%u)", why);
	}
	__atomic_store_n(&f.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	if (!text)
		text = want_answers(&g.other);
	rig_close(&g);
	return text;
}

static const char *control_changes(const struct hostile *h, const void *arg)
{
	struct vtoe_ctl_request r = { .op = VTOE_CTL_REGION_ADD };
	struct flipper f = { .count = VTOE_CTL_ENTRIES * 16 };
	struct vtoe_ctl_completion c;
	const char *text = NULL;
	unsigned round, i;
	pthread_t thread;
	uint32_t why;
	struct rig g;

	(void)arg;
	TRY(rig_open(&g, h));
	f.words = (void *)g.peer.requests.entries;
	pthread_create(&thread, NULL, flip, &f);
	for (round = 0; round < 40; round++) {
		for (i = 0; i < 16; i++) {
			r.op = (uint8_t)(1 + (round + i) % 5);
			r.user_data = 9;
			raw_control_submit(&g.peer, &r);
		}
		while (raw_control_next(&g.peer, &c, 2) == 0)
			;
	}
	__atomic_store_n(&f.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	/* Enough refusals in a row are a flood; nothing else may park us. */
	if (raw_status(&g.peer, &why) == VTOE_STATUS_PARKED &&
	    why != VTOE_VIOLATION_FLOOD)
		text = wrong("parked (%u)", why);
	rig_close(&g);
	return text;
}

/* -- standing still -- */

/* No doorbell: our own delay, nobody else's. */
static const char *no_doorbell(const struct hostile *h, const void *arg)
{
	struct vtoe_sqe s = { .op = VTOE_OP_NOP };
	const char *text;
	struct rig g;
	int i;

	(void)arg;
	TRY(rig_open(&g, h));
	for (i = 0; i < 20; i++) {
		s.user_data = 0;
		raw_put(&g.lane, &s);
	}
	vtoe_ring_submit(&g.lane.sq);
	text = want_answers(&g.other);
	if (!text) {
		struct vtoe_cqe c;

		raw_ring_doorbell(&g.peer);
		for (i = 0; i < 20 && !text; i++)
			text = want_result(0, raw_next(&g.lane, &c,
						       RAW_TIMEOUT_MS));
	}
	rig_close(&g);
	return text;
}

/* A process that is stopped with a full CQ. Its other half never comes. */
static const char *stopped_client(const struct hostile *h, const void *arg)
{
	struct vtoe_sqe s = { .op = VTOE_OP_NOP };
	const char *text = NULL;
	struct rig g;
	int status;
	pid_t pid;

	(void)arg;
	pid = fork();
	if (pid < 0)
		return wrong("cannot fork");
	if (pid == 0) {
		unsigned round;

		if (rig_open(&g, h))
			_exit(1);
		for (round = 0; round < 4; round++) {
			do
				s.user_data = 0;
			while (raw_put(&g.lane, &s) == 0);
			raw_submit(&g.lane);
			raw_ring_doorbell(&g.peer);
			usleep(20000);
		}
		raise(SIGSTOP);
		_exit(0);
	}
	if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status))
		text = wrong("the client did not get as far as its stop");
	else
		text = rig_open(&g, h);
	if (!text) {
		text = nops(&g.lane, 200);
		rig_close(&g);
	}
	kill(pid, SIGKILL);
	kill(pid, SIGCONT);
	waitpid(pid, &status, 0);
	return text;
}

/* A full CQ loses nothing: all completions come once there is room. */
static const char *full_cq(const struct hostile *h, const void *arg)
{
	struct vtoe_sqe s = { .op = VTOE_OP_NOP };
	const char *text = NULL;
	unsigned sent = 0, got = 0, round;
	struct vtoe_cqe c;
	struct rig g;

	(void)arg;
	TRY(rig_open(&g, h));
	for (round = 0; round < 10; round++) {
		do
			s.user_data = sent + 1;
		while (raw_put(&g.lane, &s) == 0 && ++sent);
		raw_submit(&g.lane);
		raw_ring_doorbell(&g.peer);
		usleep(5000);
	}
	if (sent <= 64)
		text = wrong("nothing was taken beyond the first %u", sent);
	while (!text && got < sent) {
		text = want_result(0, raw_next(&g.lane, &c, RAW_TIMEOUT_MS));
		if (!text && c.user_data != ++got)
			text = wrong("completion %u instead of %u",
				     (unsigned)c.user_data, got);
	}
	rig_close(&g);
	return text;
}

static const struct hostile_case cases[] = {
	{ "sq-producer-one-too-far", "P-15", "lane parked: INDEX", sq_jump,
	  &jump_one },
	{ "sq-producer-far", "P-15", "lane parked: INDEX", sq_jump,
	  &jump_far },
	{ "sq-producer-half-way-round", "P-15", "lane parked: INDEX", sq_jump,
	  &jump_half },
	{ "sq-producer-back-by-one", "P-15", "lane parked: INDEX", sq_jump,
	  &jump_back },
	{ "sq-producer-back-to-zero", "P-15", "lane parked: INDEX", sq_jump,
	  &jump_back_far },
	{ "sq-producer-all-ones", "P-15", "lane parked: INDEX", sq_jump,
	  &jump_wrap },
	{ "parked-lane-deleted", "P-15", "lane parked; LANE_DEL clears it",
	  sq_parked_then_deleted, NULL },
	{ "ring-heads-not-zero", "P-23", "lane parked: INDEX", heads_not_zero,
	  NULL },
	{ "cq-consumer-ahead", "P-16", "lane parked: CONSUMER", cq_lie,
	  &cq_ahead },
	{ "cq-consumer-far", "P-16", "lane parked: CONSUMER", cq_lie,
	  &cq_far },
	{ "cq-consumer-all-ones", "P-16", "lane parked: CONSUMER", cq_lie,
	  &cq_back_wrap },
	{ "cq-consumer-back", "P-16", "lane parked: CONSUMER", cq_lie,
	  &cq_back },
	{ "control-producer-forward", "P-15", "connection parked: INDEX",
	  control_jump, &control_forward },
	{ "control-producer-back", "P-15", "connection parked: INDEX",
	  control_jump, &control_back },
	{ "control-producer-half", "P-15", "connection parked: INDEX",
	  control_jump, &control_half },
	{ "control-consumer-ahead", "P-16", "connection parked: CONSUMER",
	  control_consumer, &control_ahead },
	{ "control-consumer-back", "P-16", "connection parked: CONSUMER",
	  control_consumer, &control_behind },
	{ "backend-half-scribbled", "P-5", "none", backend_half, NULL },
	{ "backend-producer-scribbled", "P-5", "none", backend_producer,
	  NULL },
	{ "pages-punched-out", "P-15", "lane parked: INDEX", holes, NULL },
	{ "entries-change", "P-3", "lane goes on", entries_change, NULL },
	{ "control-entries-change", "P-3", "nothing but FLOOD",
	  control_changes, NULL },
	{ "no-doorbell", "P-18", "own delay", no_doorbell, NULL },
	{ "stopped-with-full-cq", "P-30", "its lane stands still",
	  stopped_client, NULL },
	{ "full-cq-loses-nothing", "P-30", "completions wait", full_cq, NULL },
};
HOSTILE_TABLE(hostile_rings, cases);
