/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tto_when - when an aggregate ends: asked for, by time, with the batch, by PSH
 *
 * Each with the worker asleep or the queue as full as it says; what T01, T25, T28,
 * T29, T32 and T42 of MECHANISMS want, as the configuration has it.
 */
#include "tests/netns/tto_take.h"

#include <sys/timerfd.h>
#include <time.h>

static const struct rig_options held = { .hold_usec = 1000000 };

static void test_flush(void **state)
{
	struct frame_of f[3] = { data(PORT, 0, 100), data(PORT + 1, 0, 100),
				 data(PORT + 2, 0, 100) };
	uint32_t id, port;
	struct guest g;
	struct got got;

	(void)state;
	begin(&g, &held, 8);
	id = claimed(&g, V4, PEER, PORT, USER);
	claimed(&g, V4, PEER, PORT + 1, USER + 1);
	port = port_claimed(&g, V4, PORT + 2, USER + 2);
	wire_deliver(f, 2);
	is_quiet(&g);
	flush(&g, id);
	got = take(&g, USER);
	assert_int_equal(got.first.u.aggregate.end_reason, END_FLUSH);
	is_flushed(&g);
	is_quiet(&g);
	flush(&g, id); /* nothing is held */
	is_flushed(&g);
	flush(&g, VTOE_STREAM_NONE);
	take_number(&g, USER + 1, 0);
	is_flushed(&g);
	wire_deliver(&f[2], 1);
	is_quiet(&g);
	flush(&g, port);
	take_number(&g, USER + 2, 0);
	is_flushed(&g);
	is_quiet(&g);
	rig_end();
}

static uint64_t real_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

enum { GUARD_US = 400000, HOLD_US = 50000 };

/* Turns as the worker makes them, which sleep, until there are so many more
 * deliveries. The turn that makes the last one does not end by itself: a timer
 * of ours ends it. -> when that turn began */
static uint64_t sleep_until(uint64_t deliveries)
{
	const struct itimerspec end = { .it_value.tv_nsec = GUARD_US * 1000 };
	uint64_t wanted = stats.tto_aggregates + deliveries, at;
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	unsigned n = 0;
	bool busy;

	assert_int_equal(timerfd_settime(fd, 0, &end, NULL), 0);
	device_watch(&device, fd, 0);
	do {
		at = real_us();
		device_turn(&device, at, true, &busy);
		assert_true(++n < 20); /* it sleeps indeed */
	} while (stats.tto_aggregates < wanted);
	close(fd);
	set_now(real_us() / 1000 + 1);
	return at;
}

/* With time as it is, one claim, and buffers. */
static void begin_now(struct guest *g, const struct rig_options *o,
		      uint32_t buffers)
{
	set_now(real_us() / 1000);
	begin(g, o, buffers);
	claimed(g, V4, PEER, PORT, USER);
}

/* Such frames to the claim, in order. */
static void send_three(struct frame_of f)
{
	for (; f.seq < 300; f.seq += 100)
		wire_send(&f);
}

/* Without a frame or a request that would wake it, too. */
static void test_timer(void **state)
{
	const struct rig_options o = { .hold_usec = HOLD_US };
	struct frame_of f[3] = { data(PORT, 0, 100), data(PORT, 100, 100),
				 data(PORT + 1, 0, 100) };
	uint64_t began, took;
	struct guest g;
	struct got got;
	unsigned i;

	(void)state;
	begin_now(&g, &o, 8);
	claimed(&g, V4, PEER, PORT + 1, USER + 1);
	for (i = 0; i < 3; i++) {
		began = real_us();
		wire_send(&f[0]);
		wire_send(&f[1]);
		wire_send(&f[2]);
		took = sleep_until(2) - began;
		assert_true(took >= HOLD_US && took < GUARD_US / 2);
		got = take(&g, USER);
		assert_int_equal(got.first.u.aggregate.end_reason, END_TIMER);
		assert_int_equal(got.first.u.aggregate.segments, 2);
		take_number(&g, USER + 1, f[2].seq);
		f[0].seq += 200;
		f[1].seq += 200;
		f[2].seq += 100;
	}
	rig_end();
}

/* Without a time to hold: when the queue is found empty. */
static void test_batch(void **state)
{
	struct frame_of f = data(PORT, 0, 100);
	uint64_t began;
	struct guest g;
	struct got got;

	(void)state;
	begin_now(&g, NULL, 8);
	began = real_us();
	wire_send(&f);
	assert_true(sleep_until(1) - began < GUARD_US / 2);
	got = take(&g, USER);
	assert_int_equal(got.first.u.aggregate.end_reason, END_BATCH);
	rig_end();
}

/* Three segments with PSH that are in the queue together. */
static void three_pushed(const struct rig_options *o, unsigned aggregates,
			 unsigned reason)
{
	struct guest g;
	struct got got;
	unsigned i;

	begin_now(&g, o, 8);
	send_three(pushed(PORT, 0, 100));
	sleep_until(aggregates);
	for (i = 0; i < aggregates; i++) {
		got = take(&g, USER);
		assert_int_equal(got.first.u.aggregate.end_reason, reason);
		assert_int_equal(got.first.u.aggregate.segments, 3 / aggregates);
		assert_true(got.r.head[13] & FLAG_PSH);
	}
	is_quiet(&g);
	rig_end();
}

static void test_push(void **state)
{
	const struct rig_options joins = { .push_joins = true };
	const struct rig_options joins_not = { .push_joins = true,
					       .hold_usec = 1000000 };

	(void)state;
	three_pushed(NULL, 3, END_PSH);
	three_pushed(&joins, 1, END_BATCH);
	three_pushed(&joins_not, 3, END_PSH);
}

/* What was pushed comes in time also while the queue is never empty. */
static void test_busy_queue(void **state)
{
	const struct rig_options joins = { .push_joins = true };
	struct frame_of f = data(PORT + 1, 0, 100), p = pushed(PORT, 0, 100);
	const uint64_t *ended;
	struct guest g;
	uint64_t at;
	unsigned i;
	bool busy;

	(void)state;
	begin_now(&g, &joins, 256);
	ended = device.tto->aggregator.stats.ended;
	claimed(&g, V4, PEER, PORT + 1, USER + 1);
	wire_send(&p);
	for (i = 0; i < 900; i++, f.seq += 100)
		wire_send(&f);
	at = real_us();
	device_turn(&device, at, false, &busy);
	assert_true(device.tto->more);
	assert_int_equal(ended[END_TIMER], 0);
	for (i = 0; i < 500; i++, f.seq += 100)
		wire_send(&f);
	device_turn(&device, at + 2000, false, &busy);
	assert_true(device.tto->more);
	assert_true(ended[END_TIMER] > 0);
	assert_int_equal(ended[END_BATCH], 0);
	rig_end();
}

/* Five ACKs that are in the queue together, each of a little more. */
static void five_acks(const struct rig_options *o, unsigned deliveries)
{
	struct frame_of f = data(PORT, 0, 0);
	struct guest g;
	struct got got;
	unsigned i;

	begin_now(&g, o, 8);
	for (i = 1; i <= 5; i++) {
		f.ack = i * 1000;
		wire_send(&f);
	}
	sleep_until(deliveries);
	for (i = 0; i < deliveries; i++) {
		got = take(&g, USER);
		assert_int_equal(got.first.result, 0);
		assert_int_equal(got.first.u.aggregate.segments, 5 / deliveries);
	}
	assert_int_equal(got.first.u.aggregate.ack, 5000);
	is_quiet(&g);
	rig_end();
}

static void test_acks(void **state)
{
	const struct rig_options join = { .acks_join = true };
	const struct rig_options joins_not = { .acks_join = true,
					       .hold_usec = 1000000 };

	(void)state;
	five_acks(NULL, 5);
	five_acks(&join, 1);
	five_acks(&joins_not, 5);
}

/* Each alone: nothing waits for another. */
static void test_one_segment(void **state)
{
	const struct rig_options one = { .segments = 1, .hold_usec = 1000000 };
	struct guest g;
	uint32_t seq;

	(void)state;
	begin_now(&g, &one, 8);
	send_three(data(PORT, 0, 100));
	sleep_until(3);
	for (seq = 0; seq < 300; seq += 100)
		take_number(&g, USER, seq);
	rig_end();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_timer),
		cmocka_unit_test(test_batch),
		cmocka_unit_test(test_push),
		cmocka_unit_test(test_busy_queue),
		cmocka_unit_test(test_acks),
		cmocka_unit_test(test_one_segment),
	};

	return RIG_RUN(tests);
}
