/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_cubic.c - CUBIC (RFC 9438) in whole numbers
 *
 * W_cubic(t) = C (t - K)^3 + W_max with C = 0.4, windows in bytes, times in
 * milliseconds; beta is 0.7. The variables have the RFC's names. (t - K) is
 * limited to 100 seconds, so that no product below exceeds 64 bits.
 */
#include "engine/tcp_internal.h"

enum { EST_SHIFT = 10, SPAN_MS = 100000 };

static uint32_t cube_root(uint64_t v)
{
	uint64_t root = 0, bit;

	for (bit = 1u << 20; bit; bit >>= 1) {
		uint64_t next = root | bit;

		if (next * next * next <= v)
			root = next;
	}
	return (uint32_t)root;
}

static void cubic_reset(struct tcp_conn *c)
{
	c->cc.epoch = 0;
	c->cc.part = 0;
}

/* 4.2: a new epoch begins at the first ACK of congestion avoidance. */
static void begin_epoch(struct tcp_conn *c, uint64_t now)
{
	struct tcp_cc_state *cc = &c->cc;
	uint32_t mss = tcp_conn_mss(c);

	cc->epoch = now;
	cc->cwnd_epoch = cc->cwnd;
	cc->w_est = (uint64_t)cc->cwnd << EST_SHIFT;
	cc->k = 0;
	if (cc->w_max < cc->cwnd)
		cc->w_max = cc->cwnd;
	/* K^3 = (W_max - cwnd) / C in segments and seconds */
	cc->k = cube_root((uint64_t)(cc->w_max - cc->cwnd) * 2500000000u / mss);
}

static uint32_t w_cubic(const struct tcp_conn *c, uint64_t t_ms)
{
	bool below = t_ms < c->cc.k;
	uint64_t d = below ? c->cc.k - t_ms : t_ms - c->cc.k;
	uint64_t bytes;

	d = tcp_min64(d, SPAN_MS);
	bytes = d * d * d / 1000 * tcp_conn_mss(c) * 2 / 5000000;
	if (below)
		return bytes < c->cc.w_max ? c->cc.w_max - (uint32_t)bytes : 0;
	return (uint32_t)tcp_min64(c->cc.w_max + bytes, 1u << 30);
}

/* 4.3: what Reno would have by now, with alpha = 3 (1 - beta) / (1 + beta). */
static void grow_estimate(struct tcp_conn *c, uint32_t acked)
{
	struct tcp_cc_state *cc = &c->cc;
	uint64_t part = ((uint64_t)acked << EST_SHIFT) * tcp_conn_mss(c) /
			cc->cwnd;

	if (cc->w_est >> EST_SHIFT < cc->cwnd_prior)
		part = part * 9 / 17;
	cc->w_est += part;
}

static void cubic_avoid(struct tcp_conn *c, uint32_t acked, uint64_t now)
{
	struct tcp_cc_state *cc = &c->cc;
	uint64_t target, grown, t_ms;

	if (!cc->epoch)
		begin_epoch(c, now);
	grow_estimate(c, acked);
	t_ms = (now - cc->epoch) / TCP_US_PER_MS;
	if (w_cubic(c, t_ms) < cc->w_est >> EST_SHIFT) {
		target = tcp_min64(cc->w_est >> EST_SHIFT, 1u << 30);
		cc->cwnd = tcp_max32(cc->cwnd, (uint32_t)target);
		return;
	}
	/* 4.4 and 4.5: (target - cwnd) / cwnd for each segment */
	target = w_cubic(c, t_ms + c->srtt / TCP_US_PER_MS);
	if (target < cc->cwnd)
		target = cc->cwnd;
	if (target > cc->cwnd + cc->cwnd / 2)
		target = cc->cwnd + cc->cwnd / 2;
	grown = (target - cc->cwnd) * acked + cc->part;
	cc->part = (uint32_t)(grown % cc->cwnd);
	cc->cwnd += (uint32_t)(grown / cc->cwnd);
}

/* 4.6 and 4.7 */
static uint32_t cubic_reduce(struct tcp_conn *c, uint64_t now)
{
	struct tcp_cc_state *cc = &c->cc;
	uint32_t cwnd = cc->cwnd;

	(void)now;
	cc->epoch = 0;
	cc->part = 0;
	cc->cwnd_prior = cwnd;
	/* fast convergence: below the last maximum, others need room */
	if (cwnd < cc->w_max)
		cc->w_max = (uint32_t)((uint64_t)cwnd * 17 / 20);
	else
		cc->w_max = cwnd;
	return (uint32_t)((uint64_t)cwnd * 7 / 10);
}

const struct tcp_cc tcp_cc_cubic = {
	.name = "cubic",
	.reset = cubic_reset,
	.avoid = cubic_avoid,
	.reduce = cubic_reduce,
};
