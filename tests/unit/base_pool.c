/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * base_pool - a pool keeps its limit, zeroes what it gives, and keeps elements
 * apart; a list's element may be removed twice; span copies stop at the span.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/list.h"
#include "base/pool.h"
#include "base/span.h"

static void test_limit(void **state)
{
	struct pool p;
	void *e[10];
	int i, j;

	(void)state;
	pool_init(&p, 24, 4, 10);
	for (i = 0; i < 10; i++) {
		e[i] = pool_get(&p);
		assert_non_null(e[i]);
		assert_int_equal((uintptr_t)e[i] % 16, 0);
		for (j = 0; j < i; j++)
			assert_true(e[i] != e[j]);
		memset(e[i], 0xff, 24);
	}
	assert_null(pool_get(&p));
	pool_put(&p, e[3]);
	e[3] = pool_get(&p);
	assert_non_null(e[3]);
	for (i = 0; i < 24; i++)
		assert_int_equal(((uint8_t *)e[3])[i], 0);
	assert_null(pool_get(&p));
	assert_int_equal(p.used, 10);
	pool_free(&p);
}

static void test_list(void **state)
{
	struct item {
		struct list node;
		int value;
	} items[3] = { { .value = 0 }, { .value = 1 }, { .value = 2 } };
	struct list head, *at, *tmp;
	int sum = 0, i;

	(void)state;
	list_init(&head);
	for (i = 0; i < 3; i++)
		list_add_tail(&head, &items[i].node);
	list_del(&items[1].node);
	list_del(&items[1].node);
	assert_true(list_empty(&items[1].node));
	list_add_head(&head, &items[1].node);
	list_for_each_safe(at, tmp, &head) {
		sum = sum * 10 + list_entry(at, struct item, node)->value;
		list_del(at);
	}
	assert_int_equal(sum, 102);
	assert_true(list_empty(&head));
}

static void test_span(void **state)
{
	uint8_t memory[8] = "abcdefgh", out[8] = { 0 };
	struct span s = { memory + 2, 3 };

	(void)state;
	assert_int_equal(span_copy_in(s, "XYZW", 4), 3);
	assert_memory_equal(memory, "abXYZfgh", 8);
	assert_int_equal(span_copy_out(out, s, 8), 3);
	assert_memory_equal(out, "XYZ\0", 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_span),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
