/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * port_region - the table of guest memory: keys, owners, rights, bounds, holds
 *
 * MECHANISMS O3 (stale key), O5 (offset and length: overflow, off by one), O7
 * (owner; 10^6 guessed keys here), O8 (rights), O9 (removal waits for holds).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <time.h>

#include <cmocka.h>

#include "port/mem.h"
#include "port/region.h"

enum { PAGES = 64, BYTES = PAGES * VTOE_PAGE };
enum { RW = VTOE_REGION_READ | VTOE_REGION_WRITE, FIRST = VTOE_GUEST_OFFSET };
static _Alignas(VTOE_PAGE) uint8_t memory[BYTES];
static struct port_link link_;
static struct region_table table;

static int setup(void **state)
{
	const struct vtoe_device_page page = { .magic = VTOE_MAGIC };

	(void)state;
	memset(memory, 0, sizeof(memory));
	mem_link_init(&link_, memory, BYTES, 4, &page);
	return region_table_init(&table, &link_, 8, 5);
}

static int teardown(void **state)
{
	(void)state;
	region_table_free(&table);
	return 0;
}

static void test_bounds(void **state)
{
	struct region *r;
	struct span s;
	int i;

	(void)state;
	assert_int_equal(region_add(&table, 7, 0, FIRST, 2 * VTOE_PAGE, 1, RW),
			 0);
	assert_int_equal(region_find(&table, 7, 0, RW, &r), 0);
	assert_int_equal(region_span(r, 0, 2 * VTOE_PAGE, &s), 0);
	assert_ptr_equal(s.at, memory + FIRST);
	assert_int_equal(region_span(r, 2 * VTOE_PAGE, 0, &s), 0);
	assert_int_equal(region_span(r, 2 * VTOE_PAGE, 1, &s), -ERANGE);
	assert_int_equal(region_span(r, 1, 2 * VTOE_PAGE, &s), -ERANGE);
	assert_int_equal(region_span(r, UINT64_MAX, 1, &s), -ERANGE);
	assert_int_equal(region_span(r, UINT64_MAX, UINT32_MAX, &s), -ERANGE);
	assert_int_equal(region_span(r, 1ull << 63, UINT32_MAX, &s), -ERANGE);
	assert_int_equal(region_span(r, 0, UINT32_MAX, &s), -ERANGE);
	for (i = 0; i < 1000000; i++) {
		uint64_t offset = (uint64_t)rand() % (3 * VTOE_PAGE);
		uint32_t length = (uint32_t)rand() % (3 * VTOE_PAGE);
		bool inside = offset + length <= 2 * VTOE_PAGE;

		if (i % 3 == 0)
			offset = UINT64_MAX - (uint64_t)rand() % 8192,
			inside = false;
		assert_int_equal(region_span(r, offset, length, &s),
				 inside ? 0 : -ERANGE);
	}
}

static void test_bad_add(void **state)
{
	struct vtoe_range *list = (void *)(memory + FIRST);
	const struct {
		uint64_t offset, length;
		uint32_t count, rights;
		int rc;
	} bad[] = {
		{ 0, VTOE_PAGE, 1, RW, -ERANGE },	/* the device page */
		{ VTOE_PAGE, VTOE_PAGE, 1, RW, -ERANGE },
		{ FIRST + 1, VTOE_PAGE, 1, RW, -EINVAL },
		{ FIRST, VTOE_PAGE - 1, 1, RW, -EINVAL },
		{ FIRST, 0, 1, RW, -EINVAL },
		{ FIRST, BYTES, 1, RW, -ERANGE },
		{ BYTES, VTOE_PAGE, 1, RW, -ERANGE },
		{ 0ull - VTOE_PAGE, 2 * VTOE_PAGE, 1, RW, -ERANGE },
		{ FIRST, 0ull - VTOE_PAGE, 1, RW, -ERANGE },
		{ FIRST, VTOE_PAGE, 0, RW, -EINVAL },
		{ FIRST, VTOE_PAGE, 257, RW, -EINVAL },
		{ FIRST, VTOE_PAGE, 1, 0, -EINVAL },
		{ FIRST, VTOE_PAGE, 1, 4, -EINVAL },
		{ BYTES - 16, 0, 2, RW, -ERANGE },	/* list over the end */
		{ 64, 0, 2, RW, -ERANGE },		/* list outside */
		{ FIRST + 8, 0, 2, RW, -EINVAL },	/* list misaligned */
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(region_add(&table, 9, 0, bad[i].offset,
					    bad[i].length, bad[i].count,
					    bad[i].rights), bad[i].rc);
	list[0] = (struct vtoe_range){ FIRST, VTOE_PAGE };
	list[1] = (struct vtoe_range){ BYTES, VTOE_PAGE };
	assert_int_equal(region_add(&table, 9, 0, FIRST, 0, 2, RW), -ERANGE);
	list[1] = (struct vtoe_range){ FIRST + VTOE_PAGE, VTOE_PAGE };
	assert_int_equal(region_add(&table, 9, 0, FIRST, 0, 2, RW), 0);
	assert_int_equal(table.used, 1);
	assert_int_equal(table.bytes, 2 * VTOE_PAGE);
}

static void test_owner_and_rights(void **state)
{
	struct region *r;
	uint64_t key;
	int i;

	(void)state;
	key = 0x1234567890abcdefull;
	assert_int_equal(region_add(&table, key, 1, FIRST, VTOE_PAGE, 1,
				    VTOE_REGION_READ), 0);
	assert_int_equal(region_find(&table, key, 1, VTOE_REGION_READ, &r), 0);
	assert_int_equal(region_find(&table, key, 1, VTOE_REGION_WRITE, &r),
			 -EACCES);
	assert_int_equal(region_find(&table, key, 2, VTOE_REGION_READ, &r),
			 -EACCES);
	assert_int_equal(region_find(&table, 0, 1, VTOE_REGION_READ, &r),
			 -ENOKEY);
	for (i = 0; i < 1000000; i++) {
		uint64_t guess = (uint64_t)rand() << 33 ^ (uint64_t)rand();

		if (guess != key)
			assert_int_equal(region_find(&table, guess, 1, 0, &r),
					 -ENOKEY);
	}
	assert_int_equal(region_add(&table, 5, VTOE_LANE_ANY, FIRST, VTOE_PAGE,
				    1, RW), 0);
	assert_int_equal(region_find(&table, 5, 3, RW, &r), 0);
	assert_int_equal(region_add(&table, 5, 0, FIRST, VTOE_PAGE, 1, RW),
			 -EEXIST);
}

static void test_removal_waits(void **state)
{
	struct region *r, *gone;

	(void)state;
	assert_int_equal(region_add(&table, 3, 0, FIRST, VTOE_PAGE, 1, RW), 0);
	assert_int_equal(region_find(&table, 3, 0, RW, &r), 0);
	region_hold(r);
	region_hold(r);
	assert_int_equal(region_remove(&table, 3, false, &gone), 0);
	assert_ptr_equal(r, gone);
	/* no new hold, not removed twice, alive until the last hold */
	assert_int_equal(region_find(&table, 3, 0, RW, &r), -ENOKEY);
	assert_int_equal(region_remove(&table, 3, false, &gone), -ENOKEY);
	assert_false(region_drop(gone));
	assert_true(region_drop(gone));
	region_release(&table, gone);
	assert_int_equal(table.used, 0);
	assert_int_equal(region_remove(&table, 3, false, &gone), -ENOKEY);
	assert_int_equal(region_find(&table, 3, 0, RW, &r), -ENOKEY);
}

static void test_quota(void **state)
{
	uint64_t key;

	(void)state;
	for (key = 1; key <= 8; key++)
		assert_int_equal(region_add(&table, key, 0, FIRST, VTOE_PAGE, 1,
					    RW), 0);
	assert_int_equal(region_add(&table, 9, 0, FIRST, VTOE_PAGE, 1, RW),
			 -EDQUOT);
}

/* Mappings are counted: five ranges in all here. */
static void test_mappings(void **state)
{
	struct vtoe_range *list = (void *)(memory + FIRST);
	struct region *r;
	int i;

	(void)state;
	for (i = 0; i < 3; i++)
		list[i] = (struct vtoe_range){
			FIRST + (uint64_t)(i + 1) * VTOE_PAGE, VTOE_PAGE };
	assert_int_equal(region_add(&table, 1, 0, FIRST, 0, 3, RW), 0);
	assert_int_equal(region_add(&table, 2, 0, FIRST, 0, 3, RW), -EDQUOT);
	assert_int_equal(region_add(&table, 2, 0, FIRST, 0, 2, RW), 0);
	assert_int_equal(region_remove(&table, 1, false, &r), 0);
	region_release(&table, r);
	assert_int_equal(region_add(&table, 1, 0, FIRST, 0, 3, RW), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_add, setup, teardown),
		cmocka_unit_test_setup_teardown(test_owner_and_rights, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_removal_waits, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_quota, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mappings, setup, teardown),
	};
	unsigned seed = (unsigned)time(NULL);

	print_message("seed %u\n", seed);
	srand(seed);
	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
