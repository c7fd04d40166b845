/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_newreno.c - one segment more for each window acknowledged (RFC 5681, 3.1)
 */
#include "engine/tcp_internal.h"

static void newreno_reset(struct tcp_conn *c)
{
	c->cc.part = 0;
}

static void newreno_avoid(struct tcp_conn *c, uint32_t acked, uint64_t now)
{
	(void)now;
	c->cc.part += acked;
	while (c->cc.part >= c->cc.cwnd) {
		c->cc.part -= c->cc.cwnd;
		c->cc.cwnd += tcp_conn_mss(c);
	}
}

static uint32_t newreno_reduce(struct tcp_conn *c, uint64_t now)
{
	(void)now;
	c->cc.part = 0;
	return c->cc.cwnd / 2;
}

const struct tcp_cc tcp_cc_newreno = {
	.name = "newreno",
	.reset = newreno_reset,
	.avoid = newreno_avoid,
	.reduce = newreno_reduce,
};
