// SPDX-License-Identifier: BSD-2-Clause
/*
 * ulib_ring.c - the ring verbs between two threads (MECHANISMS I1, I2, I3)
 *
 * A producer and a consumer that sleep whenever they may: every entry arrives
 * once, in order, and nobody sleeps for ever, that is, no wake-up is lost in
 * many races between arming and completing (VTOE_RING_RACES of them). A
 * consumer that only polls is never notified.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include <vtoe_ring.h>

#define PATIENCE_MS 20000

struct pipe {
	_Alignas(64) uint8_t memory[VTOE_RING_BYTES(4096)];
	uint32_t size;
	uint64_t total;
	int data_event, space_event;
	uint64_t notified_data, notified_space; /* each by one thread */
	int polling;
	int lost; /* a sleeper was not woken */
};

static void event_write(int fd)
{
	const uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		abort();
}

/* -> 0: notified; -1: nothing came in time */
static int event_wait(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t count;

	if (poll(&p, 1, PATIENCE_MS) != 1)
		return -1;
	return read(fd, &count, sizeof(count)) == sizeof(count) ? 0 : -1;
}

static void *producer(void *arg)
{
	struct pipe *pipe = arg;
	unsigned seed = 1;
	struct vtoe_ring r;
	uint64_t i = 0;

	vtoe_ring_init(&r, pipe->memory, pipe->size);
	while (i < pipe->total) {
		uint64_t *entry = NULL;
		/* mostly one at a time, where the races are */
		unsigned batch = rand_r(&seed) % 8 ? 1 :
						     rand_r(&seed) % 100 + 1;

		while (batch-- && i < pipe->total &&
		       (entry = vtoe_ring_reserve(&r))) {
			entry[0] = i;
			entry[7] = ~i;
			i++;
		}
		if (vtoe_ring_submit(&r)) {
			pipe->notified_data++;
			event_write(pipe->data_event);
		}
		if (entry || i == pipe->total)
			continue;
		if (!vtoe_ring_arm_space(&r, 1) &&
		    event_wait(pipe->space_event)) {
			pipe->lost = 1;
			break;
		}
	}
	return NULL;
}

static void consume(struct pipe *pipe)
{
	struct vtoe_ring r;
	uint64_t i = 0;

	vtoe_ring_init(&r, pipe->memory, pipe->size);
	while (i < pipe->total) {
		const uint64_t *entry = vtoe_ring_peek(&r);

		if (entry) {
			assert_int_equal(entry[0], i);
			assert_int_equal(entry[7], ~i);
			i++;
			vtoe_ring_advance(&r);
			if (i % 3)
				continue; /* release a few at a time */
		}
		if (vtoe_ring_release(&r)) {
			pipe->notified_space++;
			event_write(pipe->space_event);
		}
		if (entry || pipe->polling)
			continue;
		if (!vtoe_ring_arm(&r))
			assert_int_equal(event_wait(pipe->data_event), 0);
	}
	/* the producer may wait for the last room */
	if (vtoe_ring_release(&r))
		event_write(pipe->space_event);
	assert_null(vtoe_ring_peek(&r));
}

static struct pipe *run(uint32_t size, uint64_t total, int polling)
{
	struct pipe *pipe = aligned_alloc(64, sizeof(*pipe));
	pthread_t thread;

	assert_non_null(pipe);
	memset(pipe, 0, sizeof(*pipe));
	pipe->size = size;
	pipe->total = total;
	pipe->polling = polling;
	if (polling) /* from the beginning: behind the first index */
		((struct vtoe_ring_shared *)pipe->memory)->c.event = UINT32_MAX;
	pipe->data_event = eventfd(0, 0);
	pipe->space_event = eventfd(0, 0);
	assert_int_equal(pthread_create(&thread, NULL, producer, pipe), 0);
	consume(pipe);
	pthread_join(thread, NULL);
	assert_false(pipe->lost);
	close(pipe->data_event);
	close(pipe->space_event);
	return pipe;
}

static uint64_t races(void)
{
	const char *text = getenv("VTOE_RING_RACES");

	return text ? strtoull(text, NULL, 0) : 300000;
}

static void test_no_lost_wakeup_small(void **state)
{
	(void)state;
	free(run(VTOE_RING_MIN, races(), 0));
}

static void test_no_lost_wakeup_large(void **state)
{
	struct pipe *pipe;

	(void)state;
	pipe = run(4096, races(), 0);
	/* suppression works: far fewer notifications than entries */
	assert_true(pipe->notified_data < pipe->total);
	free(pipe);
}

static void test_polling_is_not_notified(void **state)
{
	struct pipe *pipe;

	(void)state;
	pipe = run(256, races(), 1);
	assert_int_equal(pipe->notified_data, 0);
	free(pipe);
}

/* The event-index comparison against its definition, around the wrap. */
static void test_need_event(void **state)
{
	uint32_t old, n, e, i;

	(void)state;
	for (old = UINT32_MAX - 20; old != 20; old++)
		for (n = 0; n < 12; n++)
			for (e = old - 15; e != old + 15; e++) {
				int passed = 0;

				for (i = 0; i < n; i++)
					passed |= old + i == e;
				assert_int_equal(
					!!vtoe_ring_need_event(e, old + n,
							       old),
					passed);
			}
}

/* Indices run free: a ring that starts just below 2^32. */
static void test_indices_wrap(void **state)
{
	_Alignas(64) static uint8_t memory[VTOE_RING_BYTES(8)];
	uint32_t start = UINT32_MAX - 11;
	struct vtoe_ring p, c;
	uint64_t i, j;

	(void)state;
	vtoe_ring_init(&p, memory, 8);
	vtoe_ring_init(&c, memory, 8);
	p.local = p.other = p.published = start;
	c.local = c.other = c.published = start;
	p.shared->p.producer = p.shared->c.consumer = start;
	for (i = 0; i < 100; i++) {
		for (j = 0; j < 8; j++)
			*(uint64_t *)vtoe_ring_reserve(&p) = 8 * i + j;
		assert_null(vtoe_ring_reserve(&p));
		vtoe_ring_submit(&p);
		for (j = 0; j < 8; j++) {
			uint64_t *entry = vtoe_ring_peek(&c);

			assert_non_null(entry);
			assert_int_equal(*entry, 8 * i + j);
			vtoe_ring_advance(&c);
		}
		assert_null(vtoe_ring_peek(&c));
		vtoe_ring_release(&c);
	}
}

/* Who is armed is notified of the next entry, who is disarmed of none, and armed
 * again of the one behind it. */
static void test_disarm(void **state)
{
	_Alignas(64) static uint8_t memory[VTOE_RING_BYTES(8)];
	struct vtoe_ring p, c;
	int i;

	(void)state;
	vtoe_ring_init(&p, memory, 8);
	vtoe_ring_init(&c, memory, 8);
	for (i = 0; i < 100; i++) {
		assert_false(vtoe_ring_arm(&c));
		if (i % 2)
			vtoe_ring_disarm(&c);
		vtoe_ring_reserve(&p);
		assert_int_equal(vtoe_ring_submit(&p), i % 2 ? 0 : 1);
		vtoe_ring_reserve(&p);
		assert_int_equal(vtoe_ring_submit(&p), 0);
		for (; vtoe_ring_peek(&c); vtoe_ring_advance(&c))
			;
		vtoe_ring_release(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_need_event),
		cmocka_unit_test(test_indices_wrap),
		cmocka_unit_test(test_disarm),
		cmocka_unit_test(test_no_lost_wakeup_small),
		cmocka_unit_test(test_no_lost_wakeup_large),
		cmocka_unit_test(test_polling_is_not_notified),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
