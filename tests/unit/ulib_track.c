// SPDX-License-Identifier: BSD-2-Clause
/*
 * ulib_track.c - the table of requests under way, against a model
 *
 * user_data repeats on purpose: of several equal ones the right one goes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "internal.h"

#define MOST 3000u

static struct vtoe_sqe model[MOST];
static uint32_t model_count;

static void add(struct track *t, uint32_t serial)
{
	struct vtoe_sqe *sqe = &model[model_count];

	memset(sqe, 0, sizeof(*sqe));
	sqe->op = VTOE_OP_RECV;
	sqe->user_data = (uint64_t)(rand() % 500) << (rand() % 2 ? 0 : 32);
	sqe->stream = (uint32_t)rand() % 4;
	sqe->key = 77;
	sqe->offset = serial; /* tells equal ones apart */
	sqe->length = 100 + (uint32_t)rand() % 100;
	assert_int_equal(track_reserve(t, 1 + (uint32_t)rand() % 3), 0);
	track_add(t, sqe, serial);
	model_count++;
}

static void finish(struct track *t, uint32_t i)
{
	struct vtoe_sqe *sqe = &model[i];
	struct vtoe_cqe cqe = { .user_data = sqe->user_data,
				.stream = sqe->stream,
				.key = sqe->key,
				.offset = sqe->offset,
				.length = 50,
				.result = 50 };
	uint32_t index = track_match(t, &cqe);

	assert_int_not_equal(index, NOT_TRACKED);
	assert_int_equal(t->entries[index].offset, sqe->offset);
	assert_int_equal(t->entries[index].region, sqe->offset);
	assert_int_equal(t->entries[index].length, sqe->length);
	track_remove(t, index);
	*sqe = model[--model_count];
}

static void test_random(void **state)
{
	struct vtoe_cqe unknown = { .user_data = 0xdeadull << 40 };
	struct track t;
	uint32_t i;

	(void)state;
	srand(7);
	assert_int_equal(track_init(&t, 16), 0);
	for (i = 0; i < 100000; i++) {
		/* swells and ebbs */
		int grow = rand() % 100 < ((i / 5000) % 2 ? 40 : 60);

		if ((grow && model_count < MOST) || !model_count)
			add(&t, i);
		else
			finish(&t, (uint32_t)rand() % model_count);
		assert_int_equal(t.count, model_count);
	}
	assert_int_equal(track_match(&t, &unknown), NOT_TRACKED);
	while (model_count)
		finish(&t, model_count - 1);
	assert_int_equal(track_oldest(&t), NOT_TRACKED);
	track_free(&t);
}

/* Of equal requests the oldest goes first, also through growing. */
static void test_equal_in_order(void **state)
{
	struct vtoe_sqe sqe = { .op = VTOE_OP_RECV, .user_data = 5,
				.length = 10 };
	struct vtoe_cqe cqe = { .user_data = 5, .result = 0 };
	struct track t;
	uint32_t i;

	(void)state;
	assert_int_equal(track_init(&t, 8), 0);
	for (i = 0; i < 1000; i++) {
		assert_int_equal(track_reserve(&t, 1), 0);
		track_add(&t, &sqe, i);
	}
	for (i = 0; i < 1000; i++) {
		uint32_t index = i % 2 ? track_match(&t, &cqe) :
					 track_oldest(&t);

		assert_int_equal(t.entries[index].region, i);
		track_remove(&t, index);
	}
	track_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_equal_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
