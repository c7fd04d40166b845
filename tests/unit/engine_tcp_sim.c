/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine_tcp_sim - two TCP engines over a bad wire deliver every byte, once and
 * in order, close cleanly, and give back every reference and every record.
 *
 * VTOE_TCP_SEEDS is how many random wires (200); VTOE_TCP_SEED runs one, the
 * one that a failure names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/lib/tcp_sim.h"

static void run(struct sim *sim, const struct sim_config *c)
{
	if (!sim_run(sim, c))
		return;
	fprintf(stderr, "VTOE_TCP_SEED=%llu: %s\n", (unsigned long long)c->seed,
		sim->failure);
	fail();
}

static void test_random(void **state)
{
	const char *many = getenv("VTOE_TCP_SEEDS");
	const char *one = getenv("VTOE_TCP_SEED");
	uint64_t first = one ? strtoull(one, NULL, 0) : 1;
	uint64_t n = one ? 1 : many ? strtoull(many, NULL, 0) : 200;
	struct sim_config c;
	struct sim sim;
	uint64_t i;

	(void)state;
	for (i = 0; i < n; i++) {
		sim_config_random(&c, first + i);
		run(&sim, &c);
		if (sim.host[0].error || sim.host[1].error) {
			fprintf(stderr, "VTOE_TCP_SEED=%llu: errors %d, %d\n",
				(unsigned long long)c.seed, sim.host[0].error,
				sim.host[1].error);
			fail();
		}
		sim_free(&sim);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
