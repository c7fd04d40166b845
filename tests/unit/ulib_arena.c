// SPDX-License-Identifier: BSD-2-Clause
/*
 * ulib_arena.c - the page allocator against a model, with random operations
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "internal.h"

#define PAGES 777u /* no multiple of a bitmap's word */
#define FIRST 5u

/* owner[page]: the block it belongs to, 0: free */
static uint32_t owner[PAGES];

static uint32_t model_free(void)
{
	uint32_t i, n = 0;

	for (i = FIRST; i < PAGES; i++)
		n += !owner[i];
	return n;
}

static uint32_t model_longest(void)
{
	uint32_t i, run = 0, best = 0;

	for (i = FIRST; i < PAGES; i++) {
		run = owner[i] ? 0 : run + 1;
		best = run > best ? run : best;
	}
	return best;
}

static void model_alloc(struct arena *a, uint32_t name, uint32_t pages)
{
	size_t bytes = (size_t)pages * VTOE_PAGE - (size_t)(rand() % 4096);
	uint64_t offset = arena_alloc(a, bytes);
	uint32_t at = (uint32_t)(offset / VTOE_PAGE), i;

	if (!offset) {
		/* fails only when there is no such run */
		assert_true(model_longest() < pages);
		return;
	}
	assert_int_equal(offset % VTOE_PAGE, 0);
	assert_true(at >= FIRST && at + pages <= PAGES);
	for (i = at; i < at + pages; i++) {
		assert_int_equal(owner[i], 0);
		owner[i] = name;
	}
}

static void model_release(struct arena *a, uint32_t page)
{
	uint32_t name = owner[page], start = page, end = page, i;

	while (start > FIRST && owner[start - 1] == name && name)
		start--;
	while (end + 1 < PAGES && owner[end + 1] == name && name)
		end++;
	/* a page that is free, or not a block's first, changes nothing */
	if (!name || page != start) {
		assert_int_equal(arena_release(a, (uint64_t)page * VTOE_PAGE),
				 0);
		return;
	}
	assert_int_equal(arena_release(a, (uint64_t)page * VTOE_PAGE),
			 (size_t)(end - start + 1) * VTOE_PAGE);
	for (i = start; i <= end; i++)
		owner[i] = 0;
}

static void model_release_part(struct arena *a, uint32_t page)
{
	uint32_t name = owner[page], n = 1, i;

	if (!name)
		return;
	while (page + n < PAGES && owner[page + n] == name && rand() % 4)
		n++;
	arena_release_part(a, (uint64_t)page * VTOE_PAGE,
			   (size_t)n * VTOE_PAGE);
	for (i = 0; i < n; i++)
		owner[page + i] = 0;
	/* what is left behind the part is a block of its own now */
	for (i = page + n; i < PAGES && owner[i] == name; i++)
		owner[i] = name | 0x80000000u;
}

static void test_random(void **state)
{
	struct arena a;
	uint32_t i;

	(void)state;
	srand(42);
	assert_int_equal(arena_init(&a, FIRST * VTOE_PAGE - 17,
				    PAGES * VTOE_PAGE + 5), 0);
	assert_int_equal(a.free, PAGES - FIRST);
	for (i = 1; i < 60000; i++) {
		uint32_t page = FIRST + (uint32_t)rand() % (PAGES - FIRST);

		if (rand() % 2)
			model_alloc(&a, i, (uint32_t)rand() %
						   (rand() % 8 ? 12 : 200) + 1);
		else if (rand() % 8)
			model_release(&a, page);
		else
			model_release_part(&a, page);
		assert_int_equal(a.free, model_free());
	}
	/* all that is left can be freed, and then all be had at once */
	for (i = FIRST; i < PAGES; i++)
		if (owner[i])
			model_release(&a, i);
	assert_int_equal(a.free, PAGES - FIRST);
	assert_int_equal(arena_alloc(&a, (PAGES - FIRST) * VTOE_PAGE),
			 FIRST * VTOE_PAGE);
	assert_int_equal(arena_alloc(&a, 1), 0);
	arena_free_tables(&a);
}

static void test_bad_arguments(void **state)
{
	struct arena a;

	(void)state;
	assert_int_equal(arena_init(&a, 20480, 20480), -EPROTO);
	assert_int_equal(arena_init(&a, 20480, 1ull << 60), -EPROTO);
	assert_int_equal(arena_init(&a, 20480, 1u << 20), 0);
	assert_int_equal(arena_alloc(&a, 0), 0);
	assert_int_equal(arena_alloc(&a, SIZE_MAX), 0);
	assert_int_equal(arena_alloc(&a, (1u << 20) + 1), 0);
	assert_int_equal(arena_release(&a, 0), 0);
	assert_int_equal(arena_release(&a, 20481), 0);
	assert_int_equal(arena_release(&a, UINT64_MAX / 4096 * 4096), 0);
	arena_free_tables(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_bad_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
