/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * port_ring - the backend's half of a ring against an honest and a lying guest
 *
 * Honest: random batches through the guest's own verbs (vtoe_ring.h), in
 * order, none lost, with the event index saying exactly when to notify, across
 * the wrap of the 32-bit indices. Lying: every index that cannot be is -EPROTO,
 * and stays so (MECHANISMS I7).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <time.h>

#include <cmocka.h>

#include "port/ring_peer.h"

enum { SIZE = 16 };
static _Alignas(64) uint8_t memory[VTOE_RING_BYTES(SIZE)];

static void start_at(struct vtoe_ring *guest, uint32_t index)
{
	guest->local = guest->other = guest->published = index;
	guest->shared->p.producer = guest->shared->c.consumer = index;
}

static void test_in_order(void **state)
{
	struct vtoe_ring guest;
	struct ring_in r;
	uint64_t sent = 0, seen = 0, entry[8], *to;
	int n;

	(void)state;
	memset(memory, 0, sizeof(memory));
	vtoe_ring_init(&guest, memory, SIZE);
	ring_in_init(&r, memory, SIZE);
	start_at(&guest, UINT32_MAX - 1000);
	r.consumer = r.producer = r.published = UINT32_MAX - 1000;
	while (seen < 100000) {
		bool armed = ring_in_arm(&r) == 0, rung = false;
		int put = rand() % (SIZE + 2);

		for (; put && (to = vtoe_ring_reserve(&guest)); put--)
			*to = sent++;
		rung = vtoe_ring_submit(&guest);
		/* armed and empty: the first submission must ring */
		if (armed && sent != seen)
			assert_true(rung);
		n = ring_in_peek(&r);
		assert_int_equal(n, sent - seen);
		for (n = rand() % (n + 1); n; n--) {
			ring_in_take(&r, entry);
			assert_int_equal(entry[0], seen++);
		}
		ring_in_release(&r);
	}
}

static void test_out_order(void **state)
{
	struct vtoe_ring guest;
	struct ring_out r;
	uint64_t sent = 0, seen = 0, entry[8] = { 0 }, *at;
	int room, n;

	(void)state;
	memset(memory, 0, sizeof(memory));
	vtoe_ring_init(&guest, memory, SIZE);
	ring_out_init(&r, memory, SIZE);
	start_at(&guest, UINT32_MAX - 1000);
	r.consumer = r.producer = r.published = r.told = UINT32_MAX - 1000;
	while (seen < 100000) {
		bool armed = !vtoe_ring_arm(&guest), rung;

		room = ring_out_room(&r, 1);
		assert_true(room >= 0 && room <= SIZE - (int)(sent - seen));
		n = rand() % (room + 1);
		for (; n; n--) {
			entry[0] = sent++;
			ring_out_put(&r, entry);
		}
		rung = ring_out_publish(&r, false);
		if (armed && sent != seen)
			assert_true(rung);
		for (n = rand() % (SIZE + 1); n; n--) {
			at = vtoe_ring_peek(&guest);
			if (!at)
				break;
			assert_int_equal(*at, seen++);
			vtoe_ring_advance(&guest);
		}
		vtoe_ring_release(&guest);
	}
}

/* What is quiet rings only for those who want all, and what follows it rings
 * although the guest waits since before the quiet ones. */
static void test_quiet(void **state)
{
	struct vtoe_ring_shared *s = (void *)memory;
	struct vtoe_ring guest;
	struct ring_out r;
	uint64_t entry[8] = { 0 };
	long i;

	(void)state;
	memset(memory, 0, sizeof(memory));
	vtoe_ring_init(&guest, memory, SIZE);
	ring_out_init(&r, memory, SIZE);
	start_at(&guest, UINT32_MAX - 2);
	r.consumer = r.producer = r.published = r.told = UINT32_MAX - 2;
	for (i = 0; i < 10; i++) {
		assert_false(vtoe_ring_arm(&guest));
		ring_out_put(&r, entry);
		assert_false(ring_out_publish(&r, true));
		assert_non_null(vtoe_ring_peek(&guest)); /* it is there */
		if (i & 1) {
			vtoe_ring_advance(&guest);
			vtoe_ring_release(&guest);
			assert_false(vtoe_ring_arm(&guest));
		}
		ring_out_put(&r, entry);
		assert_true(ring_out_publish(&r, false));
		while (vtoe_ring_peek(&guest))
			vtoe_ring_advance(&guest);
		vtoe_ring_release(&guest);
		assert_true(ring_out_room(&r, 1) >= 0);
	}
	s->c.wants = VTOE_RING_WANT_ALL;
	assert_false(vtoe_ring_arm(&guest));
	ring_out_put(&r, entry);
	assert_true(ring_out_publish(&r, true));
	s->c.wants = 0;
	/* Nothing but quiet ones, until the indices have gone round. */
	for (i = 0; i < 3; i++) {
		while (vtoe_ring_peek(&guest))
			vtoe_ring_advance(&guest);
		vtoe_ring_release(&guest);
		ring_out_room(&r, 1);
		guest.local = guest.other = guest.published += 0x60000000u;
		s->c.consumer = s->p.producer = guest.local;
		r.consumer = r.producer = r.published = guest.local;
		r.told += 1; /* as after quiet publishing all the way */
		ring_out_put(&r, entry);
		ring_out_publish(&r, true);
		assert_true(r.producer - r.told <= SIZE);
		assert_true(vtoe_ring_arm(&guest));
		vtoe_ring_advance(&guest);
		assert_false(vtoe_ring_arm(&guest));
		ring_out_put(&r, entry);
		assert_true(ring_out_publish(&r, false));
	}
}

static void test_space_event(void **state)
{
	struct vtoe_ring guest;
	struct ring_out r;
	uint64_t entry[8] = { 0 };
	int i;

	(void)state;
	memset(memory, 0, sizeof(memory));
	vtoe_ring_init(&guest, memory, SIZE);
	ring_out_init(&r, memory, SIZE);
	for (i = 0; i < SIZE; i++)
		ring_out_put(&r, entry);
	ring_out_publish(&r, false);
	assert_int_equal(ring_out_room(&r, 1), 0);
	assert_false(ring_out_arm_space(&r, 2));
	assert_non_null(vtoe_ring_peek(&guest));
	vtoe_ring_advance(&guest);
	assert_int_equal(vtoe_ring_release(&guest), 0); /* one is not two */
	assert_non_null(vtoe_ring_peek(&guest));
	vtoe_ring_advance(&guest);
	assert_int_equal(vtoe_ring_release(&guest), 1);
	assert_true(ring_out_arm_space(&r, 2));
}

static void test_lies_in(void **state)
{
	static const uint32_t lies[] = { SIZE + 1, SIZE + 5, 1u << 31,
					 UINT32_MAX, 4 /* backwards */ };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
		struct ring_in r;
		struct vtoe_ring_shared *s = (void *)memory;

		memset(memory, 0, sizeof(memory));
		ring_in_init(&r, memory, SIZE);
		s->p.producer = 5;
		assert_int_equal(ring_in_peek(&r), 5);
		s->p.producer = lies[i];
		assert_int_equal(ring_in_peek(&r), -EPROTO);
		s->p.producer = 5; /* repentance comes too late */
		assert_int_equal(ring_in_peek(&r), -EPROTO);
		assert_int_equal(ring_in_arm(&r), -EPROTO);
	}
}

static void test_lies_out(void **state)
{
	static const uint32_t lies[] = { SIZE + 1, 1u << 31, UINT32_MAX, 2 };
	uint64_t entry[8] = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
		struct vtoe_ring_shared *s = (void *)memory;
		struct ring_out r;
		int n;

		memset(memory, 0, sizeof(memory));
		ring_out_init(&r, memory, SIZE);
		for (n = 0; n < SIZE; n++)
			ring_out_put(&r, entry);
		ring_out_publish(&r, false);
		s->c.consumer = 3;
		assert_int_equal(ring_out_room(&r, 1), 3);
		for (n = 0; n < 3; n++)
			ring_out_put(&r, entry);
		ring_out_publish(&r, false);
		s->c.consumer = lies[i] == SIZE + 1 ? SIZE + 4 : lies[i];
		assert_int_equal(ring_out_room(&r, 1), -EPROTO);
		s->c.consumer = 3;
		assert_int_equal(ring_out_room(&r, 1), -EPROTO);
	}
}

/* The first entry of a ring, which begins with 42. */
static void take_42(struct ring_in *r, uint64_t entry[8])
{
	struct vtoe_ring_shared *s = (void *)memory;

	memset(memory, 0, sizeof(memory));
	ring_in_init(r, memory, SIZE);
	memory[VTOE_RING_HEADER] = 42;
	s->p.producer = 1;
	assert_int_equal(ring_in_peek(r), 1);
	ring_in_take(r, entry);
}

/* What was taken is ours: a later change of the page does not reach it. */
static void test_copy_is_private(void **state)
{
	uint64_t entry[8];
	struct ring_in r;

	(void)state;
	take_42(&r, entry);
	memory[VTOE_RING_HEADER] = 66;
	assert_int_equal(entry[0], 42);
}

/* What is left is not published as taken, and loaded anew. */
static void test_left(void **state)
{
	struct vtoe_ring_shared *s = (void *)memory;
	uint64_t entry[8];
	struct ring_in r;

	(void)state;
	take_42(&r, entry);
	ring_in_leave(&r);
	ring_in_release(&r);
	assert_int_equal(s->c.consumer, 0);
	assert_int_equal(ring_in_peek(&r), 1);
	memory[VTOE_RING_HEADER] = 66;
	ring_in_take(&r, entry);
	assert_int_equal(entry[0], 66);
	ring_in_release(&r);
	assert_int_equal(s->c.consumer, 1);
	assert_int_equal(ring_in_peek(&r), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_out_order),
		cmocka_unit_test(test_quiet),
		cmocka_unit_test(test_space_event),
		cmocka_unit_test(test_lies_in),
		cmocka_unit_test(test_lies_out),
		cmocka_unit_test(test_copy_is_private),
		cmocka_unit_test(test_left),
	};
	unsigned seed = (unsigned)time(NULL);

	print_message("seed %u\n", seed);
	srand(seed);
	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
