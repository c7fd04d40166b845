/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * path_limits - what one guest can take of that which all share
 *
 * Requests, tokens, time of the worker: each has a bound, an error at the
 * bound, and is there again afterwards.
 */
#include "path_guest.h"

#include <time.h>

/* Completions that wait for room count: lanes whose CQs are never emptied do
 * not take the device's requests from the others. */
static void test_pending_counts(void **state)
{
	enum { REQUESTS = 512 }; /* start()'s limit */
	uint8_t bytes[128] = { 0 };
	struct guest a, b;
	uint32_t id;
	int peer[3], k, i;

	(void)state;
	start();
	join(&a);
	join(&b);
	for (k = 0; k < 3; k++) {
		add_lane(&a, 256, 8);
		id = connected(&a, &peer[k]);
		for (i = 0; i < 128; i++)
			entry(&a, VTOE_OP_RECV, id, 77)->length = 1;
		submit(&a);
		for (i = 0; i < 10; i++)
			turn();
		send_peer(peer[k], bytes, sizeof(bytes));
		shutdown(peer[k], SHUT_WR);
		for (i = 0; i < 40; i++)
			turn();
		assert_true(device.requests.used <= REQUESTS / 2);
		assert_int_equal(device.requests.used, a.conn->inflight);
	}
	/* the first lane alone has its 128 posted buffers, less eight */
	assert_true(device.requests.used >= 120);
	id = connected(&b, &peer[0]);
	for (i = 0; i < 128; i++)
		entry(&b, VTOE_OP_RECV, id, 78)->length = 1;
	submit(&b);
	for (i = 0; i < 10; i++)
		turn();
	send_peer(peer[0], bytes, sizeof(bytes));
	for (i = 0; i < 128; i++)
		assert_int_equal(wait_cqe(&b).result, 1);
	for (k = 0; k < 3; k++)
		close(peer[k]);
	leave(&a);
	leave(&b);
	stop();
}

/* At a lane's quota of requests, every entry still has its answer. */
static void test_quota_answers(void **state)
{
	enum { QUOTA = 128 }; /* start()'s limit */
	unsigned busy = 0, canceled = 0, shut = 0, i;
	struct vtoe_cqe c;
	struct guest g;
	uint32_t id;
	int peer;

	(void)state;
	start();
	join(&g);
	id = connected(&g, &peer);
	for (i = 0; i < QUOTA + 3; i++)
		entry(&g, VTOE_OP_SEND, id, 1)->length = 2 << 20;
	entry(&g, VTOE_OP_SHUTDOWN, id, 2)->length = SHUT_WR;
	submit(&g);
	for (i = 0; i < 20; i++)
		turn();
	entry(&g, VTOE_OP_CLOSE, id, 3)->op_flags = VTOE_CLOSE_ABORT;
	submit(&g);
	while (try_wait(&g, &c, 100)) {
		busy += c.user_data == 1 && c.result == -EBUSY;
		canceled += c.user_data == 1 && c.result != -EBUSY;
		shut += c.user_data == 2;
		if (c.user_data == 2)
			assert_int_equal(c.result, -EBUSY);
	}
	assert_int_equal(busy + canceled, QUOTA + 3);
	assert_true(busy);
	assert_int_equal(shut, 1);
	assert_int_equal(device.requests.used, 0);
	close(peer);
	leave(&g);
	stop();
}

static int share_result(struct guest *g, uint32_t id)
{
	entry(g, VTOE_OP_SHARE, id, 1);
	submit(g);
	return wait_cqe(g).result;
}

/* Tokens: so many for one stream, so many for the device; again after they
 * have expired. */
static void test_tokens(void **state)
{
	enum { EACH = 64, ALL = 1024, STREAMS = ALL / EACH + 1 };
	uint32_t id[STREAMS];
	struct guest g;
	int i, k;

	(void)state;
	start();
	join(&g);
	for (i = 0; i < STREAMS; i++) {
		entry(&g, VTOE_OP_OPEN, 0, 1)->u.address.family = VTOE_AF_INET;
		submit(&g);
		id[i] = wait_cqe(&g).stream;
	}
	for (k = 0; k < EACH; k++)
		assert_int_equal(share_result(&g, id[0]), 0);
	assert_int_equal(share_result(&g, id[0]), -EBUSY);
	for (i = 1; i < STREAMS - 1; i++)
		for (k = 0; k < EACH; k++)
			assert_int_equal(share_result(&g, id[i]), 0);
	assert_int_equal(device.token_count, ALL);
	assert_int_equal(share_result(&g, id[STREAMS - 1]), -EBUSY);
	pass(VTOE_TOKEN_SECONDS * 1000 + 1);
	assert_int_equal(device.token_count, 0);
	assert_int_equal(share_result(&g, id[STREAMS - 1]), 0);
	assert_int_equal(share_result(&g, id[0]), 0);
	pass(VTOE_TOKEN_SECONDS * 1000 + 1);
	leave(&g);
	stop();
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The worker's time for 64 GRQ_ADDs of `count` buffers that do not fit. */
static uint64_t refuse(struct guest *g, uint32_t count)
{
	struct vtoe_sqe *e;
	uint64_t before;
	int i;

	for (i = 0; i < 64; i++) {
		e = entry(g, VTOE_OP_GRQ_ADD, 0, 3);
		e->offset = 1 << 20;
		e->length = count;
		e->op_flags = count;
	}
	before = cpu_ns();
	submit(g);
	before = cpu_ns() - before;
	for (i = 0; i < 64; i++)
		assert_int_equal(wait_cqe(g).result, -EDQUOT);
	return before;
}

/* Refusing many generic buffers costs about as much as refusing one: not a
 * search for each (a thousand times as much). */
static void test_refusal_is_cheap(void **state)
{
	uint64_t one = UINT64_MAX, many = UINT64_MAX, t;
	struct vtoe_sqe *e;
	struct vtoe_cqe c;
	struct guest g;
	uint32_t id;
	int peer, i;

	(void)state;
	start();
	join(&g);
	id = connected(&g, &peer);
	e = entry(&g, VTOE_OP_GRQ_ADD, 0, 1);
	e->length = VTOE_GRQ_MAX * 64;
	e->op_flags = VTOE_GRQ_MAX;
	entry(&g, VTOE_OP_GRQ_MODE, id, 2)->op_flags = 1;
	submit(&g);
	assert_int_equal(wait_cqe(&g).result, 0);
	send_peer(peer, "x", 1);
	c = wait_cqe(&g);
	assert_int_equal(c.flags & VTOE_CQE_GRQ, VTOE_CQE_GRQ);
	for (i = 0; i < 3; i++) { /* the best of three */
		t = refuse(&g, 1);
		one = t < one ? t : one;
		t = refuse(&g, VTOE_GRQ_MAX);
		many = t < many ? t : many;
	}
	print_message("one: %llu ns, many: %llu ns\n", (unsigned long long)one,
		      (unsigned long long)many);
	assert_true(many < 20 * one);
	close_stream(&g, id, peer);
	leave(&g);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pending_counts),
		cmocka_unit_test(test_quota_answers),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_refusal_is_cheap),
	};

	return PATH_RUN(tests);
}
