// SPDX-License-Identifier: BSD-2-Clause
/*
 * ulib_hostile.c - the library against a backend that lies (MECHANISMS N5)
 *
 * Each case is one lie of tests/lib/fake_backend.h. The library must neither
 * crash, hang, leak, nor believe it: opening fails with the errno that
 * PROTOCOL.md P-10 says, a lane that is lied to is dead with -EPROTO, and what
 * was under way on it is completed with -ENOTCONN.
 */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <vtoe.h>

#include "tests/lib/fake_backend.h"

static unsigned open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void test_handshake(void **state)
{
	static const struct {
		enum fake_evil evil;
		int error;
	} cases[] = {
		{ FAKE_REFUSES, -EUSERS },
		{ FAKE_SILENT, -ETIMEDOUT },
		{ FAKE_HANGS_UP, -ECONNRESET },
		{ FAKE_VERSION, -EPROTO },
		{ FAKE_HALF, -EPROTO },
		{ FAKE_NO_MEMORY, -EPROTO },
		{ FAKE_UNSEALED, -EPROTO },
		{ FAKE_SMALL, -EPROTO },
		{ FAKE_MAGIC, -EPROTO },
		{ FAKE_LATER, -EPROTONOSUPPORT },
		{ FAKE_LIMITS, -EPROTO },
		{ FAKE_MANY_LANES, -EPROTO },
		{ FAKE_VECTOR_MISSING, -EPROTO },
		{ FAKE_EXTRA_FD, -EPROTO },
		{ FAKE_NO_HELLO, -ETIMEDOUT },
		{ FAKE_HELLO_REFUSED, -EPROTO },
		{ FAKE_CONTROL_INDEX, -EPROTO },
		{ FAKE_CONTROL_DATA, -EPROTO },
		{ FAKE_KEY_ZERO, -EPROTO },
	};
	unsigned before = open_descriptors();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fake_params fp = { .evil = cases[i].evil };
		struct fake *fake = fake_start(&fp);
		struct vtoe_params vp = { .path = fake_path(fake),
					  .timeout_ms = 300 };
		struct vtoe *ctx;
		int rc = vtoe_open(&ctx, &vp);

		if (rc != cases[i].error)
			fail_msg("lie %d: %d, not %d", cases[i].evil, rc,
				 cases[i].error);
		assert_null(ctx);
		fake_stop(fake);
		assert_int_equal(open_descriptors(), before);
	}
}

static void test_nobody_there(void **state)
{
	struct vtoe_params vp = { .path = "/nonexistent/vtoe.sock" };
	char longest[300];
	struct vtoe *ctx;

	(void)state;
	assert_int_equal(vtoe_open(&ctx, &vp), -ENOENT);
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = 0;
	vp.path = longest;
	assert_int_equal(vtoe_open(&ctx, &vp), -ENAMETOOLONG);
	setenv("VTOE_SOCKET", "/nonexistent/other.sock", 1);
	assert_int_equal(vtoe_open(&ctx, NULL), -ENOENT);
}

/* A request that will wait, then the one that makes the backend misbehave. */
static void provoke(struct vtoe *ctx, struct vtoe_lane *lane, void *memory)
{
	struct vtoe_sqe *sqe;
	unsigned i;

	for (i = 0; i < 3; i++) {
		sqe = vtoe_get_sqe(lane);
		assert_non_null(sqe);
		vtoe_sqe_set(sqe, VTOE_OP_RECV, 9, 100 + i);
		assert_int_equal(vtoe_sqe_memory(ctx, sqe, memory, 64), 0);
	}
	sqe = vtoe_get_sqe(lane);
	assert_non_null(sqe);
	vtoe_sqe_set(sqe, VTOE_OP_NOP, 0, FAKE_TRIGGER);
	assert_true(vtoe_submit(lane) > 0);
}

static void test_lane(void **state)
{
	static const struct {
		enum fake_evil evil;
		int error;
		int nop_completes;
	} cases[] = {
		{ FAKE_CQ_INDEX, -EPROTO, 0 },
		{ FAKE_CQE_UNKNOWN, -EPROTO, 0 },
		{ FAKE_CQE_TWICE, -EPROTO, 1 },
		{ FAKE_CQE_GRQ, -EPROTO, 0 },
		{ FAKE_PARKS, -ENOTCONN, 0 },
		{ FAKE_DIES, -ENOTCONN, 0 },
		{ FAKE_SENDS_DATA, -ENOTCONN, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fake_params fp = { .evil = cases[i].evil };
		struct fake *fake = fake_start(&fp);
		struct vtoe_params vp = { .path = fake_path(fake) };
		unsigned want = 100, nops = 0;
		struct vtoe_lane *lane;
		struct vtoe_cqe *cqe;
		struct vtoe *ctx;
		double begun;
		void *memory;
		int rc;

		assert_int_equal(vtoe_open(&ctx, &vp), 0);
		assert_int_equal(vtoe_lane_open(ctx, &lane, 8, 8, 0), 0);
		memory = vtoe_alloc(ctx, 4096);
		assert_non_null(memory);
		provoke(ctx, lane, memory);
		begun = now();
		while (!(rc = vtoe_wait_cqe(lane, &cqe, 5000))) {
			if (cqe->user_data == FAKE_TRIGGER) {
				assert_int_equal(cqe->result,
						 cases[i].nop_completes ?
							 0 : -ENOTCONN);
				nops++;
			} else {
				/* oldest first */
				assert_int_equal(cqe->user_data, want++);
				assert_int_equal(cqe->result, -ENOTCONN);
			}
			vtoe_cqe_seen(lane);
		}
		if (rc != cases[i].error)
			fail_msg("lie %d: %d, not %d", cases[i].evil, rc,
				 cases[i].error);
		assert_true(now() - begun < 1.0);
		assert_int_equal(nops, 1);
		assert_int_equal(want, 103);
		/* dead for good */
		assert_null(vtoe_get_sqe(lane));
		assert_int_equal(vtoe_submit(lane), cases[i].error);
		assert_int_equal(vtoe_peek_cqe(lane, &cqe), cases[i].error);
		assert_int_equal(vtoe_lane_violation(lane),
				 cases[i].evil == FAKE_PARKS ?
					 VTOE_VIOLATION_INDEX : 0);
		vtoe_lane_close(lane);
		/* one lane's death is not the connection's */
		if (cases[i].evil == FAKE_CQE_UNKNOWN) {
			assert_true(vtoe_alive(ctx));
			assert_int_equal(vtoe_lane_open(ctx, &lane, 0, 0, 0),
					 0);
			vtoe_lane_close(lane);
		}
		vtoe_close(ctx);
		fake_stop(fake);
	}
}

/* A consumer index that jumps is seen when room is looked for. */
static void test_consumer_index(void **state)
{
	struct fake_params fp = { .evil = FAKE_SQ_INDEX };
	struct fake *fake = fake_start(&fp);
	struct vtoe_params vp = { .path = fake_path(fake) };
	struct vtoe_lane *lane;
	struct vtoe_sqe *sqe;
	struct vtoe_cqe *cqe;
	struct vtoe *ctx;
	unsigned i;

	(void)state;
	assert_int_equal(vtoe_open(&ctx, &vp), 0);
	assert_int_equal(vtoe_lane_open(ctx, &lane, 8, 64, 0), 0);
	sqe = vtoe_get_sqe(lane);
	vtoe_sqe_set(sqe, VTOE_OP_NOP, 0, FAKE_TRIGGER);
	assert_int_equal(vtoe_wait_cqe(lane, &cqe, 5000), 0);
	vtoe_cqe_seen(lane);
	for (i = 0; i < 20 && (sqe = vtoe_get_sqe(lane)); i++)
		vtoe_sqe_set(sqe, VTOE_OP_NOP, 0, i);
	assert_null(sqe);
	assert_true(i <= 8);
	assert_int_equal(vtoe_submit(lane), -EPROTO);
	vtoe_lane_close(lane);
	vtoe_close(ctx);
	fake_stop(fake);
}

/* More bytes than were asked for, or elsewhere: never believed. */
static void test_receive_lies(void **state)
{
	static const enum fake_evil evils[] = { FAKE_CQE_LONG,
						FAKE_CQE_ELSEWHERE };
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct fake_params fp = { .evil = evils[i] };
		struct fake *fake = fake_start(&fp);
		struct vtoe_params vp = { .path = fake_path(fake) };
		char small[300] = "abc", into[20];
		struct vtoe_lane *lane;
		struct vtoe *ctx;

		assert_int_equal(vtoe_open(&ctx, &vp), 0);
		assert_int_equal(vtoe_lane_open(ctx, &lane, 0, 0, 0), 0);
		assert_int_equal(vtoe_stream_send(lane, 1, small, 300, 1000),
				 300);
		memset(into, 0, sizeof(into));
		assert_true(vtoe_stream_recv(lane, 1, into, 10, 1000) < 0);
		assert_int_equal(into[0], 0);
		assert_int_equal(into[10], 0);
		assert_int_equal(vtoe_submit(lane), -EPROTO);
		vtoe_lane_close(lane);
		vtoe_close(ctx);
		fake_stop(fake);
	}
}

/* A backend that stops answering: a helper's time-out is kept, and so is the
 * memory that the backend may still write. */
static void test_never_completes(void **state)
{
	struct fake_params fp = { .evil = FAKE_NEVER_COMPLETES };
	struct fake *fake = fake_start(&fp);
	struct vtoe_params vp = { .path = fake_path(fake), .timeout_ms = 500 };
	struct vtoe_lane *lane;
	struct vtoe_sqe *sqe;
	struct vtoe_cqe *cqe;
	struct vtoe *ctx;
	char into[10];
	double begun;

	(void)state;
	assert_int_equal(vtoe_open(&ctx, &vp), 0);
	assert_int_equal(vtoe_lane_open(ctx, &lane, 0, 0, 0), 0);
	sqe = vtoe_get_sqe(lane);
	vtoe_sqe_set(sqe, VTOE_OP_NOP, 0, FAKE_TRIGGER);
	assert_int_equal(vtoe_wait_cqe(lane, &cqe, 50), -ETIME);
	begun = now();
	assert_true(vtoe_stream_recv(lane, 1, into, sizeof(into), 50) < 0);
	assert_true(now() - begun < 5.0);
	/* ... and then the lane is not trusted any more */
	assert_int_equal(vtoe_submit(lane), -EPROTO);
	vtoe_lane_close(lane);
	vtoe_close(ctx);
	fake_stop(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handshake),
		cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_lane),
		cmocka_unit_test(test_consumer_index),
		cmocka_unit_test(test_receive_lies),
		cmocka_unit_test(test_never_completes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
