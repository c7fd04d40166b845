/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine_tcp_sim - two TCP engines over a bad wire deliver every byte, once and
 * in order, close cleanly, and give back every reference and every record. Over
 * a good wire nothing is sent twice.
 *
 * VTOE_TCP_SEEDS is how many random wires (200); VTOE_TCP_SEED runs one, the
 * one that a failure names.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/tcp_internal.h"
#include "tests/lib/tcp_sim.h"

static void run(struct sim *sim, const struct sim_config *c)
{
	if (!sim_run(sim, c))
		return;
	fail_msg("VTOE_TCP_SEED=%llu: %s", (unsigned long long)c->seed,
		 sim->failure);
}

static struct tcp_counters counters(const struct sim *sim, unsigned host)
{
	struct tcp_counters c;

	tcp_get_counters(sim->host[host].tcp, &c);
	return c;
}

static void no_errors(const struct sim *sim)
{
	if (sim->host[0].error || sim->host[1].error)
		fail_msg("VTOE_TCP_SEED=%llu: errors %d, %d",
			 (unsigned long long)sim->c.seed, sim->host[0].error,
			 sim->host[1].error);
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
		no_errors(&sim);
		sim_free(&sim);
	}
}

/* Whatever the delay, the options, the readers: no loss, no retransmission. */
static void test_good_wires(void **state)
{
	struct sim_config c;
	struct sim sim;
	unsigned i, h;

	(void)state;
	for (i = 1; i <= 100; i++) {
		sim_config_random(&c, i);
		c.jitter = c.loss = c.duplicate = c.corrupt = 0;
		c.outage_for = c.mtu_later = 0;
		c.drop_syn = false;
		c.rate = i % 3 ? 0 : c.rate;
		c.queue = 1 << 30;
		/* a receiver that holds little drops, which is a loss */
		for (h = 0; h < 2; h++)
			c.tcp[h].conn_holds = 4096;
		run(&sim, &c);
		no_errors(&sim);
		for (h = 0; h < 2; h++)
			if (counters(&sim, h).retransmits)
				fail_msg("seed %u: host %u sent %llu twice", i,
					 h, (unsigned long long)
					 counters(&sim, h).retransmits);
		sim_free(&sim);
	}
}

/* Packets that overtake one another are waited for. */
static void test_overtaking(void **state)
{
	struct sim_config c;
	struct sim sim;

	(void)state;
	sim_config_init(&c, 1);
	c.bytes[0] = 2000000;
	c.jitter = 5000; /* a quarter of the RTT */
	run(&sim, &c);
	no_errors(&sim);
	assert_int_equal(counters(&sim, 0).timeouts, 0);
	assert_in_range(counters(&sim, 0).retransmits, 0, 2000000 / 1460 / 20);
	sim_free(&sim);
}

/* One percent is lost, 20 ms: what Reno's formula gives at least. */
static void test_goodput(void **state)
{
	struct sim_config c;
	struct sim sim;
	uint64_t begin;
	unsigned cc;

	(void)state;
	for (cc = 0; cc < TCP_CC_KINDS; cc++) {
		sim_config_init(&c, 3);
		c.tcp[0].cc = (uint8_t)cc;
		c.bytes[0] = 5000000;
		c.bytes[1] = 0;
		c.loss = 100;
		c.start = begin = 1000000;
		run(&sim, &c);
		no_errors(&sim);
		/* 1.22 MSS / (RTT sqrt(p)) is 880 kB/s */
		printf("%s: %llu kB/s, %llu timeouts\n",
		       cc == TCP_CC_CUBIC ? "cubic" : "newreno",
		       (unsigned long long)(c.bytes[0] * 1000 /
					    (sim.now - begin)),
		       (unsigned long long)counters(&sim, 0).timeouts);
		assert_true(c.bytes[0] * 1000 / (sim.now - begin) > 700);
		sim_free(&sim);
	}
}

static void test_abort(void **state)
{
	struct sim_config c;
	struct sim sim;
	unsigned i;

	(void)state;
	for (i = 1; i <= 20; i++) {
		sim_config_random(&c, i);
		c.loss = c.corrupt = c.outage_for = 0;
		c.bytes[0] += 100000;
		c.abort = true;
		run(&sim, &c);
		assert_int_equal(sim.host[0].error, ECONNABORTED);
		sim_free(&sim);
	}
}

/* A wire that is cut: both ends learn it, and nothing is left. */
static void test_cut(void **state)
{
	struct sim_config c;
	struct sim sim;

	(void)state;
	sim_config_init(&c, 1);
	c.bytes[0] = c.bytes[1] = 5000000;
	c.outage_at = 100000;
	c.outage_for = TCP_NEVER / 4;
	run(&sim, &c);
	assert_int_equal(sim.host[0].error, ETIMEDOUT);
	assert_int_equal(sim.host[1].error, ETIMEDOUT);
	sim_free(&sim);
}

/* Sequence numbers that wrap in the middle, of the sender. */
static void test_wrap(void **state)
{
	struct sim_config c;
	struct sim sim;
	uint32_t iss;

	(void)state;
	sim_config_init(&c, 1);
	c.loss = 300;
	c.start = 1000000;
	run(&sim, &c);
	iss = tcp_conn_at(sim.host[0].tcp, 0)->iss;
	sim_free(&sim);
	c.start += 4 * (uint64_t)(0xffffffffu - 100000 - iss);
	run(&sim, &c);
	assert_int_equal(tcp_conn_at(sim.host[0].tcp, 0)->iss,
			 0xffffffffu - 100000);
	no_errors(&sim);
	sim_free(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_good_wires),
		cmocka_unit_test(test_overtaking),
		cmocka_unit_test(test_goodput),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
