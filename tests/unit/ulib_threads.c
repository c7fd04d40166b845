// SPDX-License-Identifier: BSD-2-Clause
/*
 * ulib_threads.c - many threads on one context (MECHANISMS G6)
 *
 * Lanes of their own, one locked lane for all, control calls and look-ups
 * from everywhere at once, and the death of the backend under all of them.
 * Meant for a thread sanitizer; right without one.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <cmocka.h>

#include <vtoe.h>

#include "tests/lib/fake_backend.h"

#define THREADS 4u
#define PAGE 4096u

struct shared {
	struct fake *fake;
	struct vtoe *ctx;
	struct vtoe_lane *lane; /* locked */
	unsigned next;	/* number of the next thread */
	unsigned failed;
	unsigned ended;
};

/* cmocka's assertions belong to the main thread. */
#define EXPECT(s, what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "line %d: %s\n", __LINE__, #what); \
			__atomic_fetch_add(&(s)->failed, 1, \
					   __ATOMIC_RELAXED); \
			return NULL; \
		} \
	} while (0)

static void run(struct shared *s, void *(*body)(void *), unsigned kill_ms)
{
	struct timespec delay = { .tv_nsec = (long)kill_ms * 1000000 };
	struct vtoe_params vp = { .cache_bytes = 12 * PAGE };
	pthread_t threads[THREADS];
	unsigned i;

	memset(s, 0, sizeof(*s));
	s->fake = fake_start(NULL);
	vp.path = fake_path(s->fake);
	assert_int_equal(vtoe_open(&s->ctx, &vp), 0);
	assert_int_equal(vtoe_lane_open(s->ctx, &s->lane, 64, 256,
					VTOE_LANE_LOCKED), 0);
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, body, s),
				 0);
	if (kill_ms) {
		nanosleep(&delay, NULL);
		fake_kill(s->fake);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(s->failed, 0);
	vtoe_lane_close(s->lane);
	vtoe_close(s->ctx);
	fake_stop(s->fake);
}

/* Sends a pattern into a stream of its own and checks what comes back. */
static void *echo_on(struct shared *s, struct vtoe_lane *lane, unsigned me,
		     unsigned rounds)
{
	char from[3000], *into;
	unsigned i, j;

	into = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT(s, into != MAP_FAILED);
	for (i = 0; i < rounds; i++) {
		size_t want = 1 + (i * 37) % sizeof(from), got = 0;

		for (j = 0; j < want; j++)
			from[j] = (char)(i + j * 3 + me);
		EXPECT(s, vtoe_stream_send(lane, 1 + me, from, want, 5000) ==
				  (ssize_t)want);
		while (got < want) {
			/* filled directly, and copied, in turn */
			char *at = i % 2 ? into : into + 1;
			ssize_t n = vtoe_stream_recv(lane, 1 + me, at,
						     i % 2 ? PAGE : 1000,
						     5000);

			EXPECT(s, n > 0 && got + (size_t)n <= want);
			EXPECT(s, !memcmp(from + got, at, (size_t)n));
			got += (size_t)n;
		}
	}
	EXPECT(s, vtoe_unregister(s->ctx, into, 2 * PAGE) == 0);
	munmap(into, 2 * PAGE);
	return NULL;
}

static void *one_lane_each(void *arg)
{
	struct shared *s = arg;
	unsigned me = __atomic_fetch_add(&s->next, 1, __ATOMIC_RELAXED);
	struct vtoe_lane *lane;

	EXPECT(s, vtoe_lane_open(s->ctx, &lane, 32, 64, 0) == 0);
	echo_on(s, lane, me, 300);
	vtoe_lane_close(lane);
	return NULL;
}

static void test_one_lane_each(void **state)
{
	struct shared s;

	(void)state;
	run(&s, one_lane_each, 0);
}

static void *one_lane_for_all(void *arg)
{
	struct shared *s = arg;
	unsigned me = __atomic_fetch_add(&s->next, 1, __ATOMIC_RELAXED);

	return echo_on(s, s->lane, me, 300);
}

static void test_one_lane_for_all(void **state)
{
	struct shared s;

	(void)state;
	run(&s, one_lane_for_all, 0);
}

/* The verbs under the lane's lock; each takes whatever completes, and what a
 * thread takes may be another's. */
static void *verbs(void *arg)
{
	struct shared *s = arg;
	struct vtoe_sqe *sqe;
	struct vtoe_cqe *cqe;
	unsigned i;

	for (i = 0; i < 2000; i++) {
		vtoe_lane_lock(s->lane);
		/* completed, but not given back yet: no entry for a moment */
		while (!(sqe = vtoe_get_sqe(s->lane)))
			EXPECT(s, vtoe_wait_sqe(s->lane, 10000) == 0);
		vtoe_sqe_set(sqe, VTOE_OP_NOP, 0, 4711);
		EXPECT(s, vtoe_submit(s->lane) == 1);
		EXPECT(s, vtoe_wait_cqe(s->lane, &cqe, 10000) == 0);
		EXPECT(s, cqe->user_data == 4711);
		vtoe_cqe_seen(s->lane);
		vtoe_lane_unlock(s->lane);
	}
	return NULL;
}

static void test_verbs(void **state)
{
	struct shared s;

	(void)state;
	run(&s, verbs, 0);
}

/* Lanes, registrations and look-ups in parallel; the cache is small, so that
 * threads evict one another's. */
static void *control(void *arg)
{
	struct shared *s = arg;
	struct vtoe_counters c;
	uint64_t key, offset;
	unsigned i;
	char *mine;

	mine = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT(s, mine != MAP_FAILED);
	for (i = 0; i < 200; i++) {
		struct vtoe_lane *lane;
		void *block = vtoe_alloc(s->ctx, 1 + i * 100);

		EXPECT(s, block != NULL);
		EXPECT(s, vtoe_lane_open(s->ctx, &lane, 8, 8, 0) == 0);
		EXPECT(s, vtoe_register(s->ctx, mine, 4 * PAGE, VTOE_WRITE) ==
				  0);
		vtoe_translate(s->ctx, mine + PAGE, 100, &key, &offset);
		EXPECT(s, vtoe_translate(s->ctx, block, 1, &key, &offset) ==
				  0);
		EXPECT(s, vtoe_address_of(s->ctx, key, offset, 1) == block);
		mine[i] = (char)i;
		vtoe_get_counters(s->ctx, &c);
		if (i % 4 == 0)
			EXPECT(s, vtoe_unregister(s->ctx, mine, 4 * PAGE) ==
					  0);
		EXPECT(s, mine[i] == (char)i);
		vtoe_device(s->ctx);
		vtoe_lane_close(lane);
		vtoe_free(s->ctx, block);
	}
	EXPECT(s, vtoe_unregister(s->ctx, mine, 4 * PAGE) == 0);
	munmap(mine, 4 * PAGE);
	return NULL;
}

static void test_control(void **state)
{
	struct shared s;

	(void)state;
	run(&s, control, 0);
}

/* All asleep on one locked lane when the backend dies: all wake. */
static void *sleepers(void *arg)
{
	struct shared *s = arg;
	unsigned me = __atomic_fetch_add(&s->next, 1, __ATOMIC_RELAXED);
	struct vtoe_cqe *cqe;
	char into[10];

	if (me % 2) {
		vtoe_lane_lock(s->lane);
		EXPECT(s, vtoe_wait_cqe(s->lane, &cqe, 10000) == -ENOTCONN);
		vtoe_lane_unlock(s->lane);
	} else {
		EXPECT(s, vtoe_stream_recv(s->lane, me + 1, into, 10, 10000) ==
				  -ENOTCONN);
	}
	__atomic_fetch_add(&s->ended, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void test_death(void **state)
{
	struct timespec begun, ended;
	struct shared s;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &begun);
	run(&s, sleepers, 200);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	assert_int_equal(s.ended, THREADS);
	assert_true(ended.tv_sec - begun.tv_sec <= 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_lane_each),
		cmocka_unit_test(test_one_lane_for_all),
		cmocka_unit_test(test_verbs),
		cmocka_unit_test(test_control),
		cmocka_unit_test(test_death),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
