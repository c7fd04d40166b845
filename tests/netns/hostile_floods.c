/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile_floods.c - too much of everything. A flood may cost its own lane; the
 * witnesses, which hostile_peer.c checks after each case, must not notice more
 * than their share of turns.
 */
#include "hostile.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Sends `count` copies as fast as they are taken. `want` 1: any result. */
static const char *flood(struct raw_lane *l, struct vtoe_sqe s, unsigned count,
			 int want)
{
	unsigned sent = 0, got = 0;
	struct vtoe_cqe c;
	int error;

	while (got < count) {
		while (sent < count) {
			s.user_data = sent + 1;
			if (raw_put(l, &s))
				break;
			sent++;
		}
		raw_submit(l);
		error = raw_next(l, &c, RAW_TIMEOUT_MS);
		if (error)
			return wrong("after %u of %u: error %d", got, count,
				     error);
		if (want != 1)
			TRY(want_result(want, c.result));
		got++;
	}
	return NULL;
}

struct kind {
	uint8_t op;
	uint8_t reserved;
	uint32_t stream, flags;
	int result;
	unsigned count;
};

static const char *flood_of(const struct hostile *h, const void *arg)
{
	const struct kind *k = arg;
	struct vtoe_sqe s = { .op = k->op, .flags = k->reserved,
			      .stream = k->stream, .op_flags = k->flags };
	const char *text;
	struct rig g;

	TRY(rig_open(&g, h));
	s.key = g.key;
	text = flood(&g.lane, s, k->count / h->share, k->result);
	if (!text)
		text = want_answers(&g.other);
	rig_close(&g);
	return text;
}

#define KIND(name, ...) static const struct kind name = { __VA_ARGS__ }
KIND(nop, .op = VTOE_OP_NOP, .count = 200000);
KIND(bad, .op = 99, .result = -EINVAL, .count = 100000);
KIND(bad_reserved, .reserved = 0x80, .result = -EINVAL, .count = 50000);
KIND(bad_stream, .op = VTOE_OP_RECV, .stream = 0x4242, .result = -EBADF,
     .count = 50000);
KIND(report, .op = VTOE_OP_REPORT, .flags = VTOE_FALLBACK_NOT_TCP,
     .count = 20000);
KIND(cancel, .op = VTOE_OP_CANCEL, .count = 50000);
KIND(adopt, .op = VTOE_OP_ADOPT, .result = -ENOENT, .count = 50000);

/* OPEN until the quota, twice: what was opened comes back with CLOSE. */
static const char *open_flood(const struct hostile *h, const void *arg)
{
	static uint32_t streams[65536];
	struct vtoe_sqe s = { .op = VTOE_OP_OPEN };
	unsigned made = 0, before = 0, round;
	const char *text = NULL;
	struct vtoe_cqe c;
	struct rig g;
	int error;

	(void)arg;
	TRY(rig_open(&g, h));
	s.u.address.family = VTOE_AF_INET;
	for (round = 0; round < 2 && !text; round++) {
		for (made = 0; made < 65536; made++) {
			s.user_data = 0;
			error = raw_call(&g.lane, &s, &c);
			if (error || c.result)
				break;
			streams[made] = c.stream;
		}
		text = want_result(-EMFILE, error ? error : c.result);
		if (!text && round && made != before)
			text = wrong("%u streams first, then %u", before,
				     made);
		for (before = 0; before < made && !text; before++)
			text = want_result(0, raw_do(&g.lane, VTOE_OP_CLOSE,
						     streams[before], 0, 0,
						     NULL));
	}
	rig_close(&g);
	return text;
}

/* More waiting requests than a lane may have: -EBUSY, and CANCEL still goes. */
static const char *waiting_flood(const struct hostile *h, const void *arg)
{
	const struct kind *k = arg;
	struct vtoe_sqe s = { .op = k->op, .op_flags = k->flags };
	unsigned i, refused = 0, limit;
	struct vtoe_cqe c;
	const char *text;
	struct rig g;
	int error;

	TRY(rig_open(&g, h));
	text = rig_stream(&g, &h->echo, &s.stream);
	s.key = g.key;
	s.length = 8;
	limit = g.peer.page.max_inflight + 100;
	for (i = 0; i < limit && !text; i++) {
		s.user_data = 0x1000;
		while (raw_put(&g.lane, &s)) {
			raw_submit(&g.lane);
			error = vtoe_ring_arm_space(&g.lane.sq, 1);
			if (!error)
				usleep(100); /* taken in a turn or two */
		}
		while (vtoe_ring_peek(&g.lane.cq)) {
			raw_next(&g.lane, &c, 0);
			if (c.result == -EBUSY)
				refused++;
		}
	}
	raw_submit(&g.lane);
	while (!text && refused < 100) {
		error = raw_next(&g.lane, &c, RAW_TIMEOUT_MS);
		text = want_result(-EBUSY, error ? error : c.result);
		refused++;
	}
	if (!text) {
		struct vtoe_sqe stop = { .op = VTOE_OP_CANCEL,
					 .user_data = 0x2000 };

		stop.u.target = 0x1000;
		raw_put(&g.lane, &stop);
		raw_submit(&g.lane);
		for (i = 0; i < g.peer.page.max_inflight + 1 && !text; i++)
			text = want_result(0, raw_next(&g.lane, &c,
						       RAW_TIMEOUT_MS));
	}
	if (!text)
		text = want_answers(&g.lane);
	rig_close(&g);
	return text;
}

KIND(waiting_recv, .op = VTOE_OP_RECV);
KIND(waiting_poll, .op = VTOE_OP_POLL, .flags = 1);

/* CANCEL of what exists, again and again, while it completes. */
static const char *cancel_storm(const struct hostile *h, const void *arg)
{
	struct vtoe_sqe r = { .op = VTOE_OP_RECV, .length = 16 };
	struct vtoe_sqe x = { .op = VTOE_OP_CANCEL };
	unsigned rounds = 2000 / h->share, round, i, recvs = 0, cancels = 0;
	struct vtoe_cqe c;
	const char *text;
	struct rig g;

	(void)arg;
	TRY(rig_open(&g, h));
	text = rig_stream(&g, &h->echo, &r.stream);
	r.key = g.key;
	for (round = 0; round < rounds && !text; round++) {
		r.user_data = 1;
		x.user_data = 2;
		x.u.target = 1;
		raw_put(&g.lane, &r);
		for (i = 0; i < 8; i++)
			raw_put(&g.lane, &x);
		raw_submit(&g.lane);
		for (i = 0; i < 9 && !text; i++) {
			text = want_result(0, raw_next(&g.lane, &c,
						       RAW_TIMEOUT_MS));
			if (text)
				break;
			recvs += c.user_data == 1;
			cancels += c.user_data == 2;
			if (c.user_data == 1)
				text = want_result(-ECANCELED, c.result);
		}
	}
	if (!text && (recvs != rounds || cancels != 8 * rounds))
		text = wrong("%u RECVs and %u CANCELs completed", recvs,
			     cancels);
	rig_close(&g);
	return text;
}

/* Connections that nobody accepts, in all stages of dying. */
static const char *connect_storm(const struct hostile *h, const void *arg)
{
	uint32_t stream;
	const char *text = NULL;
	struct rig g;
	unsigned i;
	int result;

	(void)arg;
	TRY(rig_open(&g, h));
	for (i = 0; i < 500 / h->share && !text; i++) {
		stream = 0;
		result = raw_stream_connect(&g.lane, &h->closed, &stream);
		text = want_result(-ECONNREFUSED, result);
		if (!text)
			text = want_result(0, raw_do(&g.lane, VTOE_OP_CLOSE,
						     stream, 0,
						     VTOE_CLOSE_ABORT, NULL));
	}
	rig_close(&g);
	return text;
}

/* -- control ring -- */

static const char *control_flood(const struct hostile *h, const void *arg)
{
	struct vtoe_ctl_request r = { .op = 99 };
	struct vtoe_ctl_completion c;
	const char *text = NULL;
	struct rig g;
	unsigned i;
	int error = 0;

	(void)arg;
	TRY(rig_open(&g, h));
	for (i = 0; i < VTOE_CTL_FAILURES_MAX + 10 && !error; i++) {
		r.user_data = 0;
		error = raw_control(&g.peer, &r, &c);
		if (!error && c.result != -EINVAL)
			text = want_result(-EINVAL, c.result);
	}
	if (!text && i < VTOE_CTL_FAILURES_MAX)
		text = wrong("stopped after %u", i);
	if (!text)
		text = want_parked(&g.peer, VTOE_VIOLATION_FLOOD);
	rig_close(&g);
	return text;
}

/* A success in between: no flood. */
static const char *control_mistakes(const struct hostile *h, const void *arg)
{
	struct vtoe_ctl_request r = { .op = 99 };
	struct vtoe_ctl_completion c;
	const char *text = NULL;
	uint64_t key;
	struct rig g;
	unsigned i;
	int error;

	(void)arg;
	TRY(rig_open(&g, h));
	for (i = 0; i < VTOE_CTL_FAILURES_MAX + 500 && !text; i++) {
		r.user_data = 0;
		error = raw_control(&g.peer, &r, &c);
		text = want_result(-EINVAL, error ? error : c.result);
		if (!text && i % 500 == 0)
			text = want_result(0,
				raw_region_add(&g.peer, VTOE_LANE_ANY,
					       g.memory, VTOE_PAGE, 1, &key));
	}
	rig_close(&g);
	return text;
}

/* Requests whose answers are never taken: the ring stands still. */
static const char *control_unread(const struct hostile *h, const void *arg)
{
	struct vtoe_ctl_request r = { .op = VTOE_CTL_LANE_DEL, .lane = 0x777,
				      .user_data = 5 };
	const char *text;
	unsigned sent = 0;
	struct rig g;

	(void)arg;
	TRY(rig_open(&g, h));
	/* No more than the requests and the completions that fit are taken. */
	while (sent < 100000 && raw_control_submit(&g.peer, &r) == 0)
		sent++;
	usleep(20000);
	while (sent < 100000 && raw_control_submit(&g.peer, &r) == 0)
		sent++;
	text = sent > 3 * VTOE_CTL_ENTRIES ?
		       wrong("%u requests were taken unanswered", sent) :
		       want_answers(&g.lane);
	rig_close(&g);
	return text;
}

/* -- doorbells -- */

struct ringer {
	struct raw_peer *peer;
	bool stop;
};

static void *ring(void *arg)
{
	struct ringer *r = arg;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED))
		raw_ring_doorbell(r->peer);
	return NULL;
}

static const char *doorbell_storm(const struct hostile *h, const void *arg)
{
	struct timespec t = { .tv_nsec = 500000000 };
	struct ringer r = { 0 };
	const char *text;
	pthread_t thread;
	struct rig g;
	int i;

	(void)arg;
	TRY(rig_open(&g, h));
	r.peer = &g.peer;
	pthread_create(&thread, NULL, ring, &r);
	nanosleep(&t, NULL); /* the witnesses must go on meanwhile */
	text = NULL;
	for (i = 0; i < 100 && !text; i++)
		text = want_answers(&g.lane);
	__atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	rig_close(&g);
	return text;
}

static const struct hostile_case cases[] = {
	{ "flood-nop", "P-30", "served", flood_of, &nop },
	{ "flood-unknown-ops", "section 8", "-EINVAL", flood_of, &bad },
	{ "flood-reserved-fields", "P-1", "-EINVAL", flood_of,
	  &bad_reserved },
	{ "flood-unknown-streams", "section 8", "-EBADF", flood_of,
	  &bad_stream },
	{ "flood-reports", "section 9", "served", flood_of, &report },
	{ "flood-cancels-of-nothing", "section 9", "0", flood_of, &cancel },
	{ "flood-token-guesses", "section 9", "-ENOENT", flood_of, &adopt },
	{ "flood-open", "section 12", "-EMFILE", open_flood, NULL },
	{ "flood-recv", "section 12", "-EBUSY", waiting_flood,
	  &waiting_recv },
	{ "flood-poll", "section 12", "-EBUSY", waiting_flood,
	  &waiting_poll },
	{ "flood-cancel", "section 9", "each completes once", cancel_storm,
	  NULL },
	{ "flood-connect-refused", "section 9", "-ECONNREFUSED",
	  connect_storm, NULL },
	{ "flood-control", "P-22", "connection parked: FLOOD", control_flood,
	  NULL },
	{ "control-mistakes-between", "P-22", "-EINVAL, not parked",
	  control_mistakes, NULL },
	{ "control-answers-unread", "P-21", "requests not taken",
	  control_unread, NULL },
	{ "doorbell-storm", "P-11", "its own share of turns",
	  doorbell_storm, NULL },
};
HOSTILE_TABLE(hostile_floods, cases);
