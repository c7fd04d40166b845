/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_rtt.c - round-trip time and the retransmission timer (RFC 6298)
 *
 * The RTO is SRTT + max(4 RTTVAR, rto_min). RFC 6298 wants at least a second in
 * all; what matters is that the sum stays above SRTT by more than a peer may
 * delay its ACK, also when the path is steady and RTTVAR goes to nothing.
 */
#include "engine/tcp_internal.h"

void tcp_rtt_sample(struct tcp_stack *s, struct tcp_conn *c, uint64_t rtt)
{
	uint64_t gap;

	rtt = tcp_max64(rtt, 1);
	c->min_rtt = tcp_min64(c->min_rtt, rtt);
	if (!c->srtt) {
		c->srtt = rtt;
		c->rttvar = rtt / 2;
	} else {
		gap = c->srtt > rtt ? c->srtt - rtt : rtt - c->srtt;
		c->rttvar = (3 * c->rttvar + gap) / 4;
		c->srtt = (7 * c->srtt + rtt) / 8;
	}
	c->rto = c->srtt + tcp_max64(4 * c->rttvar, s->config.rto_min);
	c->rto = tcp_min64(c->rto, s->config.rto_max);
}

uint64_t tcp_rtt_backed_off(const struct tcp_stack *s, const struct tcp_conn *c)
{
	return tcp_min64(c->rto << c->backoff, s->config.rto_max);
}

void tcp_rtt_arm(struct tcp_stack *s, struct tcp_conn *c, uint64_t now)
{
	uint64_t tlp;

	if (c->snd_una == c->snd_nxt) {
		if (c->send_timer != TCP_TIMER_PERSIST) {
			c->send_timer = TCP_TIMER_OFF;
			c->send_at = c->rto_at = TCP_NEVER;
		}
		return;
	}
	c->send_timer = TCP_TIMER_RTO;
	c->send_at = c->rto_at = now + tcp_rtt_backed_off(s, c);
	tlp = tcp_tlp_timeout(s, c, now);
	if (tlp < c->send_at) {
		c->send_timer = TCP_TIMER_TLP;
		c->send_at = tlp;
	}
}
