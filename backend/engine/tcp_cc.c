/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_cc.c - congestion control: what is common to the algorithms (RFC 5681)
 *
 * An algorithm is a const table of three operations, named by a number in the
 * connection (a pointer would not survive in memory that processes share). Slow
 * start, the initial window and the restart after idleness are the same for
 * all. The window grows only while it is what holds the sender back (RFC 9438,
 * 5.8).
 */
#include "engine/tcp_internal.h"

static const struct tcp_cc *const table[TCP_CC_KINDS] = {
	[TCP_CC_CUBIC] = &tcp_cc_cubic,
	[TCP_CC_NEWRENO] = &tcp_cc_newreno,
};

/* RFC 6928 */
uint32_t tcp_cc_initial(const struct tcp_conn *c)
{
	uint32_t mss = tcp_conn_mss(c);

	return tcp_min32(10 * mss, tcp_max32(2 * mss, 14600));
}

void tcp_cc_init(struct tcp_conn *c)
{
	c->cc.cwnd = tcp_cc_initial(c);
	c->cc.ssthresh = UINT32_MAX;
	table[c->cc_kind]->reset(c);
}

void tcp_cc_ack(struct tcp_conn *c, uint32_t acked, uint64_t now)
{
	if (!c->cwnd_limited)
		return;
	if (c->cc.cwnd < c->cc.ssthresh) {
		/* as many as were acknowledged: an aggregate's ACK too */
		uint32_t room = c->cc.ssthresh - c->cc.cwnd;
		uint32_t slow = tcp_min32(acked, room);

		c->cc.cwnd += slow;
		acked -= slow;
	}
	if (acked)
		table[c->cc_kind]->avoid(c, acked, now);
	c->cc.cwnd = tcp_min32(c->cc.cwnd, 1u << 30);
}

void tcp_cc_reduce(struct tcp_conn *c, uint64_t now)
{
	uint32_t least = 2 * tcp_conn_mss(c);

	c->cc.ssthresh = tcp_max32(table[c->cc_kind]->reduce(c, now), least);
}

/* RFC 5681, 4.1 */
void tcp_cc_idle(struct tcp_conn *c)
{
	c->cc.cwnd = tcp_min32(c->cc.cwnd, tcp_cc_initial(c));
	table[c->cc_kind]->reset(c);
}
