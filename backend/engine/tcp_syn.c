/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_syn.c - SYN-SENT (RFC 9293, 3.10.7.3)
 *
 *	SYN-SENT ── SYN,ACK of our SYN ──► ESTABLISHED
 *	    └────── SYN (both at once) ──► SYN-RECEIVED
 */
#include "engine/tcp_internal.h"

#include <errno.h>

static void take_peer(struct tcp_stack *s, struct tcp_conn *c,
		      const struct tcp_arrival *in)
{
	const struct tcp_head *h = &in->h;

	tcp_conn_options(s, c, h);
	c->irs = h->seq;
	c->rcv_nxt = c->rcv_acked = h->seq + 1;
	c->rcv_right = c->rcv_nxt + tcp_build_syn_window(c);
	c->snd_wnd = h->window;	   /* never scaled in a SYN */
	c->snd_wnd_max = c->snd_wnd;
	c->snd_wl1 = h->seq;
	c->snd_wl2 = h->ack;
	if (c->ts_ok) {
		c->ts_recent = h->tsval;
		c->ts_recent_at = in->now;
	}
}

static void open_both(struct tcp_conn *c, const struct tcp_arrival *in)
{
	uint8_t both = TCP_ECE | TCP_CWR;

	c->ecn_ok = c->ecn_ok && (in->h.flags & both) == both;
	c->state = TCP_ST_SYN_RECEIVED;
	c->syn_pending = true;
}

static void establish(struct tcp_stack *s, struct tcp_conn *c,
		      const struct tcp_arrival *in)
{
	const struct tcp_head *h = &in->h;

	/* RFC 3168, 6.1.1: ECE and not CWR */
	c->ecn_ok = c->ecn_ok &&
		    (h->flags & (TCP_ECE | TCP_CWR)) == TCP_ECE;
	c->snd_una = h->ack;
	if (!c->tries)
		tcp_rtt_sample(s, c, in->now - c->last_sent);
	tcp_conn_established(s, c, in->now);
	c->ack_now = true;
}

void tcp_syn_sent_input(struct tcp_stack *s, struct tcp_conn *c,
			struct tcp_arrival *in)
{
	bool acked = in->h.flags & TCP_ACK;

	if (acked && in->h.ack != c->iss + 1) {
		s->counters.rx_bad_ack++;
		tcp_reply_reset(s, in);
		return;
	}
	if (in->h.flags & TCP_RST) {
		/* believable only with an ACK of our SYN */
		if (acked)
			tcp_conn_finish(s, c, ECONNREFUSED);
		return;
	}
	if (!(in->h.flags & TCP_SYN))
		return;
	/* a payload or FIN with it is not taken: the peer sends it again */
	take_peer(s, c, in);
	if (acked)
		establish(s, c, in);
	else
		open_both(c, in);
}
