// SPDX-License-Identifier: BSD-2-Clause
/*
 * ulib_lane.c - the queue verbs and the blocking helpers on one lane, over a
 * fake backend
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <vtoe.h>

#include "tests/lib/fake_backend.h"

struct fixture {
	struct fake *fake;
	struct vtoe *ctx;
	struct vtoe_lane *lane;
};

static struct fixture *start(unsigned sq, unsigned cq, unsigned flags)
{
	static struct fixture f;
	struct vtoe_params vp = { .name = "test" };

	f.fake = fake_start(NULL);
	vp.path = fake_path(f.fake);
	assert_int_equal(vtoe_open(&f.ctx, &vp), 0);
	assert_int_equal(vtoe_lane_open(f.ctx, &f.lane, sq, cq, flags), 0);
	return &f;
}

static void stop(struct fixture *f)
{
	vtoe_lane_close(f->lane);
	vtoe_close(f->ctx);
	fake_stop(f->fake);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void nop(struct fixture *f, uint64_t user_data)
{
	struct vtoe_sqe *sqe;

	/* completed, but not given back yet: no entry for a moment */
	while (!(sqe = vtoe_get_sqe(f->lane)))
		assert_int_equal(vtoe_wait_sqe(f->lane, 5000), 0);
	vtoe_sqe_set(sqe, VTOE_OP_NOP, 0, user_data);
}

/* Every request has one completion with its user_data (I1). */
static void test_nops(void **state)
{
	struct fixture *f = start(32, 64, 0);
	struct vtoe_counters c;
	struct vtoe_cqe *cqe;
	uint64_t i, sent = 0;

	(void)state;
	for (i = 0; i < 200000; i++) {
		while (sent < 200000 && sent - i < 32) {
			nop(f, sent++ ^ 0xabcdef);
			if (sent % 7 == 0)
				vtoe_submit(f->lane);
		}
		assert_int_equal(vtoe_wait_cqe(f->lane, &cqe, 5000), 0);
		assert_int_equal(cqe->user_data, i ^ 0xabcdef);
		assert_int_equal(cqe->result, 0);
		vtoe_cqe_seen(f->lane);
	}
	vtoe_get_counters(f->ctx, &c);
	assert_int_equal(c.submitted, 200000);
	assert_int_equal(c.completed, 200000);
	assert_true(c.doorbells < c.submitted);
	stop(f);
	/* counters outlive their lane: stop() closed it */
}

static void test_full_queue(void **state)
{
	struct fixture *f = start(8, 64, 0);
	struct vtoe_cqe *cqe, *again;
	unsigned i;

	(void)state;
	for (i = 0; i < 8; i++)
		nop(f, i);
	assert_null(vtoe_get_sqe(f->lane));
	assert_int_equal(vtoe_submit(f->lane), 8);
	assert_int_equal(vtoe_submit(f->lane), 0);
	for (i = 0; i < 8; i++) {
		assert_int_equal(vtoe_wait_cqe(f->lane, &cqe, 5000), 0);
		/* the same one until it is seen */
		assert_int_equal(vtoe_peek_cqe(f->lane, &again), 1);
		assert_ptr_equal(cqe, again);
		assert_int_equal(cqe->user_data, i);
		vtoe_cqe_seen(f->lane);
	}
	assert_int_equal(vtoe_peek_cqe(f->lane, &cqe), 0);
	stop(f);
}

static void test_bad_sizes(void **state)
{
	struct fixture *f = start(0, 0, 0);
	struct vtoe_lane *lanes[8], *one;
	unsigned i;

	(void)state;
	assert_int_equal(vtoe_lane_open(f->ctx, &one, 7, 0, 0), -EINVAL);
	assert_int_equal(vtoe_lane_open(f->ctx, &one, 4, 0, 0), -EINVAL);
	assert_int_equal(vtoe_lane_open(f->ctx, &one, 8192, 0, 0), -EINVAL);
	assert_int_equal(vtoe_lane_open(f->ctx, &one, 0, 12, 0), -EINVAL);
	assert_int_equal(vtoe_lane_open(f->ctx, &one, 0, 0, 8), -EINVAL);
	/* all the vectors, then one more, then again after closing */
	for (i = 0; i < 7; i++)
		assert_int_equal(vtoe_lane_open(f->ctx, &lanes[i], 8, 8, 0),
				 0);
	assert_int_equal(vtoe_lane_open(f->ctx, &one, 8, 8, 0), -EUSERS);
	for (i = 0; i < 7; i++)
		vtoe_lane_close(lanes[i]);
	for (i = 0; i < 300; i++) {
		assert_int_equal(vtoe_lane_open(f->ctx, &one, 0, 0, 0), 0);
		vtoe_lane_close(one);
	}
	stop(f);
}

/* A lane in an event loop: arm, sleep in epoll, disarm. */
static void test_epoll(void **state)
{
	struct fixture *f = start(0, 0, 0);
	struct epoll_event e = { .events = EPOLLIN };
	unsigned sleeps = 0, i;
	struct vtoe_cqe *cqe;
	int epoll = epoll_create1(0), n;

	(void)state;
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, vtoe_lane_fd(f->lane),
				   &e), 0);
	for (i = 0; i < 2000; i++) {
		nop(f, i);
		vtoe_submit(f->lane);
		while (!(n = vtoe_peek_cqe(f->lane, &cqe))) {
			if (vtoe_lane_arm(f->lane))
				continue;
			assert_int_equal(epoll_wait(epoll, &e, 1, 5000), 1);
			vtoe_lane_disarm(f->lane);
			sleeps++;
		}
		assert_int_equal(n, 1);
		assert_int_equal(cqe->user_data, i);
		vtoe_cqe_seen(f->lane);
	}
	assert_true(sleeps > 0);
	/* idle and disarmed: not readable */
	vtoe_lane_disarm(f->lane);
	assert_int_equal(epoll_wait(epoll, &e, 1, 0), 0);
	close(epoll);
	stop(f);
}

static void test_timeouts(void **state)
{
	struct fixture *f = start(0, 0, 0);
	char into[100], from[] = "late";
	struct vtoe_cqe *cqe;
	uint32_t stream;
	double begun;

	(void)state;
	begun = now();
	assert_int_equal(vtoe_wait_cqe(f->lane, &cqe, 60), -ETIME);
	assert_true(now() - begun >= 0.06);
	assert_int_equal(vtoe_wait_cqe(f->lane, &cqe, 0), -ETIME);
	begun = now();
	assert_int_equal(vtoe_stream_recv(f->lane, 1, into, 100, 60), -ETIME);
	assert_true(now() - begun >= 0.06 && now() - begun < 2);
	assert_int_equal(vtoe_stream_accept(f->lane, 1, &stream, NULL, NULL,
					    20), -ETIME);
	/* the receive was cancelled: it takes nothing of what comes now */
	assert_int_equal(vtoe_stream_send(f->lane, 1, from, 5, -1), 5);
	assert_int_equal(vtoe_stream_recv(f->lane, 1, into, 100, 1000), 5);
	assert_string_equal(into, "late");
	assert_int_equal(vtoe_peek_cqe(f->lane, &cqe), 0);
	stop(f);
}

static void on_alarm(int signal)
{
	(void)signal;
}

static void test_signals(void **state)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct itimerval soon = { .it_interval = { .tv_usec = 30000 },
				  .it_value = { .tv_usec = 30000 } };
	struct itimerval never = { .it_value = { .tv_usec = 0 } };
	struct fixture *f = start(0, 0, 0);
	struct vtoe_cqe *cqe;
	char into[10];

	(void)state;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	assert_int_equal(vtoe_wait_cqe(f->lane, &cqe, -1), -EINTR);
	assert_int_equal(vtoe_stream_recv(f->lane, 1, into, 10, -1), -EINTR);
	/* control requests go on */
	vtoe_lane_close(f->lane);
	assert_int_equal(vtoe_lane_open(f->ctx, &f->lane, 0, 0, 0), 0);
	setitimer(ITIMER_REAL, &never, NULL);
	stop(f);
}

/* Helpers keep the completions of others for later peeks, in order. */
static void test_foreign_completions(void **state)
{
	struct fixture *f = start(0, 0, 0);
	char bytes[64] = "kept";
	struct vtoe_cqe *cqe;
	unsigned i, next = 0;

	(void)state;
	for (i = 0; i < 100; i++) {
		nop(f, i);
		assert_int_equal(vtoe_stream_send(f->lane, 1, bytes, 64, 1000),
				 64);
		assert_int_equal(vtoe_stream_recv(f->lane, 1, bytes, 64, 1000),
				 64);
		if (i % 3)
			continue;
		assert_int_equal(vtoe_peek_cqe(f->lane, &cqe), 1);
		assert_int_equal(cqe->user_data, next++);
		vtoe_cqe_seen(f->lane);
	}
	assert_int_equal(vtoe_lane_arm(f->lane), 1);
	for (; next < 100; next++) {
		assert_int_equal(vtoe_peek_cqe(f->lane, &cqe), 1);
		assert_int_equal(cqe->user_data, next);
		vtoe_cqe_seen(f->lane);
	}
	assert_int_equal(vtoe_peek_cqe(f->lane, &cqe), 0);
	stop(f);
}

static void test_helpers(void **state)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET };
	struct fixture *f = start(0, 0, 0);
	char *from = malloc(700000), *into = malloc(700000);
	uint32_t stream, other;
	char value[200];
	socklen_t len;
	size_t i, got;

	(void)state;
	assert_int_equal(vtoe_stream_open_connect(f->lane, &stream,
						  (struct sockaddr *)&in4,
						  sizeof(in4), 1000), 0);
	assert_int_equal(vtoe_stream_open_connect(f->lane, &other,
						  (struct sockaddr *)&in4,
						  4, 1000), -EINVAL);
	in4.sin_family = AF_UNIX;
	assert_int_equal(vtoe_stream_open_connect(f->lane, &other,
						  (struct sockaddr *)&in4,
						  sizeof(in4), 1000),
			 -EAFNOSUPPORT);
	/* long, through the bounces */
	for (i = 0; i < 700000; i++)
		from[i] = (char)(i * 7 + i / 1000);
	assert_int_equal(vtoe_stream_send(f->lane, stream, from, 700000, 1000),
			 700000);
	assert_int_equal(vtoe_stream_shutdown(f->lane, stream, SHUT_WR), 0);
	for (got = 0; got < 700000; got += i) {
		ssize_t n = vtoe_stream_recv(f->lane, stream, into + got,
					     700000 - got, 1000);

		assert_true(n > 0);
		i = (size_t)n;
	}
	assert_memory_equal(from, into, 700000);
	assert_int_equal(vtoe_stream_recv(f->lane, stream, into, 10, 1000), 0);
	/* options: in the completion, and through memory */
	len = 4;
	assert_int_equal(vtoe_stream_getsockopt(f->lane, stream, 1, 2, value,
						&len), 0);
	assert_int_equal(len, 4);
	assert_int_equal(value[3], 0x11);
	len = 200;
	assert_int_equal(vtoe_stream_getsockopt(f->lane, stream, 6, 11, value,
						&len), 0);
	assert_int_equal(len, 200);
	assert_int_equal(vtoe_stream_setsockopt(f->lane, stream, 1, 2, value,
						17), -EINVAL);
	assert_int_equal(vtoe_stream_setsockopt(f->lane, stream, 1, 2, value,
						16), 0);
	assert_int_equal(vtoe_stream_shutdown(f->lane, stream, 3), -EINVAL);
	assert_int_equal(vtoe_stream_close(f->lane, stream, 0), 0);
	free(from);
	free(into);
	stop(f);
}

static void *killer(void *arg)
{
	struct timespec soon = { .tv_nsec = 100000000 };

	nanosleep(&soon, NULL);
	fake_kill(arg);
	return NULL;
}

/* The backend dies under a thread that sleeps: every way of waiting ends
 * within a second, and nothing that was under way is forgotten. */
static void test_death(void **state)
{
	unsigned way;

	(void)state;
	for (way = 0; way < 4; way++) {
		struct fixture *f = start(0, 0, way == 3 ? VTOE_LANE_LOCKED :
							   0);
		void *memory = vtoe_alloc(f->ctx, 4096);
		struct vtoe_sqe *sqe;
		struct vtoe_cqe *cqe;
		pthread_t thread;
		unsigned i, seen;
		char into[10];
		double begun;
		int rc;

		for (i = 0; i < 20; i++) {
			sqe = vtoe_get_sqe(f->lane);
			vtoe_sqe_set(sqe, VTOE_OP_RECV, 1, i);
			assert_int_equal(vtoe_sqe_memory(f->ctx, sqe, memory,
							 4096), 0);
		}
		assert_int_equal(vtoe_submit(f->lane), 20);
		assert_true(vtoe_alive(f->ctx));
		assert_int_equal(pthread_create(&thread, NULL, killer,
						f->fake), 0);
		begun = now();
		if (way == 0) {
			assert_int_equal(vtoe_wait_cqe(f->lane, &cqe, -1), 0);
		} else if (way == 1) {
			/* a program that only peeks */
			while (!(rc = vtoe_peek_cqe(f->lane, &cqe)))
				;
			assert_int_equal(rc, 1);
		} else {
			assert_int_equal(vtoe_stream_recv(f->lane, 2, into, 10,
							  -1), -ENOTCONN);
		}
		assert_true(now() - begun < 1.0);
		for (seen = 0; vtoe_peek_cqe(f->lane, &cqe) == 1; seen++) {
			assert_int_equal(cqe->user_data, seen);
			assert_int_equal(cqe->result, -ENOTCONN);
			vtoe_cqe_seen(f->lane);
		}
		assert_int_equal(seen, 20);
		assert_int_equal(vtoe_wait_cqe(f->lane, &cqe, -1), -ENOTCONN);
		assert_int_equal(vtoe_submit(f->lane), -ENOTCONN);
		assert_null(vtoe_get_sqe(f->lane));
		assert_false(vtoe_alive(f->ctx));
		assert_int_equal(vtoe_stream_send(f->lane, 1, "x", 1, -1),
				 -ENOTCONN);
		pthread_join(thread, NULL);
		stop(f);
	}
}

/* The control descriptor tells an event loop of the death. */
static void test_control_fd(void **state)
{
	struct fixture *f = start(0, 0, 0);
	struct pollfd p = { .events = POLLIN };
	struct vtoe_cqe *cqe;

	(void)state;
	p.fd = vtoe_control_fd(f->ctx);
	assert_int_equal(poll(&p, 1, 0), 0);
	nop(f, 1);
	fake_kill(f->fake);
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_true(p.revents & POLLHUP);
	/* not alive, says who looks; staged requests are refused then */
	assert_false(vtoe_alive(f->ctx));
	assert_int_equal(vtoe_submit(f->lane), -ENOTCONN);
	assert_int_equal(vtoe_peek_cqe(f->lane, &cqe), -ENOTCONN);
	stop(f);
}

/* What the backend completed before it died is delivered as it was. */
static void test_last_words(void **state)
{
	struct fixture *f = start(0, 0, 0);
	struct vtoe_cqe *cqe;
	unsigned i;

	(void)state;
	for (i = 0; i < 50; i++)
		nop(f, i);
	assert_int_equal(vtoe_wait_cqe(f->lane, &cqe, 5000), 0);
	/* a control request behind them: they are all done */
	assert_int_equal(vtoe_register(f->ctx, cqe, 4096, VTOE_READ), -EINVAL);
	vtoe_stream_setsockopt(f->lane, 1, 1, 1, &i, sizeof(i));
	fake_kill(f->fake);
	assert_false(vtoe_alive(f->ctx));
	for (i = 0; i < 50; i++) {
		assert_int_equal(vtoe_peek_cqe(f->lane, &cqe), 1);
		assert_int_equal(cqe->user_data, i);
		assert_int_equal(cqe->result, 0);
		vtoe_cqe_seen(f->lane);
	}
	assert_int_equal(vtoe_peek_cqe(f->lane, &cqe), -ENOTCONN);
	stop(f);
}

static void test_addresses(void **state)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
				    .sin6_port = htons(443),
				    .sin6_scope_id = 3 };
	struct sockaddr_in in4 = { .sin_family = AF_INET,
				   .sin_port = htons(80) };
	struct sockaddr_storage back;
	struct vtoe_address a;

	(void)state;
	in4.sin_addr.s_addr = htonl(0xc0000207);
	in6.sin6_addr.s6_addr[15] = 9;
	assert_int_equal(vtoe_address_from(&a, (struct sockaddr *)&in4,
					   sizeof(in4)), 0);
	assert_int_equal(a.family, VTOE_AF_INET);
	assert_int_equal(a.port, 80);
	assert_int_equal(a.ip[0], 192);
	assert_int_equal(vtoe_address_to(&a, (struct sockaddr *)&back,
					 sizeof(back)), sizeof(in4));
	assert_memory_equal(&back, &in4, sizeof(in4));
	assert_int_equal(vtoe_address_from(&a, (struct sockaddr *)&in6,
					   sizeof(in6)), 0);
	assert_int_equal(a.port, 443);
	assert_int_equal(a.scope, 3);
	/* cut off as accept(2) does */
	memset(&back, 0x55, sizeof(back));
	assert_int_equal(vtoe_address_to(&a, (struct sockaddr *)&back, 4),
			 sizeof(in6));
	assert_memory_equal(&back, &in6, 4);
	assert_int_equal(((char *)&back)[4], 0x55);
	assert_int_equal(vtoe_address_from(&a, (struct sockaddr *)&in6, 20),
			 -EINVAL);
	assert_int_equal(vtoe_address_from(&a, (struct sockaddr *)&in6, 1),
			 -EINVAL);
	a.family = VTOE_AF_UNSPEC;
	assert_int_equal(vtoe_address_to(&a, (struct sockaddr *)&back,
					 sizeof(back)), 0);
}

static void test_texts(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 20; i++) {
		assert_non_null(vtoe_violation_text(i));
		assert_non_null(vtoe_fallback_text(i));
	}
	for (i = 0; i < VTOE_FALLBACK_COUNT; i++)
		assert_string_not_equal(vtoe_fallback_text(i),
					"unknown reason");
	for (i = 0; i <= VTOE_VIOLATION_DATA; i++)
		assert_string_not_equal(vtoe_violation_text(i),
					"unknown violation");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nops),
		cmocka_unit_test(test_full_queue),
		cmocka_unit_test(test_bad_sizes),
		cmocka_unit_test(test_epoll),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_foreign_completions),
		cmocka_unit_test(test_helpers),
		cmocka_unit_test(test_death),
		cmocka_unit_test(test_control_fd),
		cmocka_unit_test(test_last_words),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
