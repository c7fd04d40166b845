/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The worker looks for work as long as that has been worth it, and never behind
 * bulk data.
 */
#include "path/spin.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

static void test_never_when_off(void **state)
{
	struct spin s;
	unsigned i;

	(void)state;
	spin_init(&s, 0);
	for (i = 1; i < 100; i++) {
		spin_found(&s, i, i);
		assert_false(spin_is_on(&s, i));
	}
}

static void test_looks_after_work_for_the_window(void **state)
{
	struct spin s;

	(void)state;
	spin_init(&s, 50);
	assert_false(spin_is_on(&s, 1));
	spin_found(&s, 1000, 1);
	assert_true(spin_is_on(&s, 1049));
	assert_false(spin_is_on(&s, 1050));
}

static void test_failure_halves_and_success_restores(void **state)
{
	struct spin s;

	(void)state;
	spin_init(&s, 64);
	spin_found(&s, 1000, 1);
	spin_missed(&s, 1010);
	spin_missed(&s, 1064); /* over */
	assert_false(spin_is_on(&s, 1064));
	spin_found(&s, 2000, 2);
	assert_true(spin_is_on(&s, 2031));
	assert_false(spin_is_on(&s, 2032));
	spin_missed(&s, 2010);
	spin_found(&s, 2020, 3); /* found while looking */
	assert_true(spin_is_on(&s, 2083));
}

static void test_work_without_looking_restores_nothing(void **state)
{
	struct spin s;

	(void)state;
	spin_init(&s, 64);
	spin_found(&s, 1000, 1);
	spin_missed(&s, 2000);
	spin_found(&s, 3000, 2);
	spin_found(&s, 3001, 3); /* the very next turn: nobody looked */
	assert_false(spin_is_on(&s, 3001 + 32));
}

static void test_gives_up_and_tries_again_now_and_then(void **state)
{
	unsigned i, tried = 0, looked = 0;
	struct spin s;

	(void)state;
	spin_init(&s, 64);
	for (i = 0; i < 7 + SPIN_RETRY * 10; i++) {
		uint64_t now = 1000 * (i + 1);

		spin_found(&s, now, i);
		if (i >= 7) {
			tried += spin_is_on(&s, now + 60);
			looked += spin_is_on(&s, now);
		}
		spin_missed(&s, now + 999);
	}
	assert_in_range(tried, 9, 11);
	assert_int_equal(looked, tried); /* a try that fails ends it */
}

static void test_not_behind_bulk(void **state)
{
	struct spin s;

	(void)state;
	spin_init(&s, 64);
	spin_found(&s, 1000, 100);
	assert_true(spin_is_on(&s, 1001));
	spin_found(&s, 1002, 100 + SPIN_BULK_BYTES + 1);
	assert_false(spin_is_on(&s, 1003));
	spin_found(&s, 1004, 100 + SPIN_BULK_BYTES + 2);
	assert_true(spin_is_on(&s, 1005));
}

/* Behind a turn that slept there is no looking, but it counts as a time that
 * looking was left out. */
static void test_slept(void **state)
{
	struct spin s;
	unsigned i;

	(void)state;
	spin_init(&s, 50);
	spin_found(&s, 1000, 1);
	spin_slept(&s, 2);
	assert_false(spin_is_on(&s, 1001));
	assert_true(spin_may(&s));
	for (i = 0; i < 6; i++) { /* 50, 25, ... 1, 0 */
		spin_found(&s, 2000, 3);
		spin_missed(&s, 3000);
	}
	assert_false(spin_may(&s));
	for (i = 1; i < SPIN_RETRY; i++) {
		spin_slept(&s, 3);
		assert_false(spin_may(&s));
	}
	spin_slept(&s, 3);
	assert_true(spin_may(&s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_never_when_off),
		cmocka_unit_test(test_looks_after_work_for_the_window),
		cmocka_unit_test(test_failure_halves_and_success_restores),
		cmocka_unit_test(test_work_without_looking_restores_nothing),
		cmocka_unit_test(test_gives_up_and_tries_again_now_and_then),
		cmocka_unit_test(test_not_behind_bulk),
		cmocka_unit_test(test_slept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
