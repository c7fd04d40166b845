/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_rack.c - loss detection by time, and tail loss probes (RFC 8985)
 *
 * Of all that was delivered, RACK remembers what was sent last. Whatever was
 * sent before it, by more than the time by which packets overtake one another
 * on this path, is lost. That time starts at a quarter of the smallest RTT,
 * grows when duplicates are reported (the retransmission was needless), and is
 * nothing while three segments were sacked and no overtaking was ever seen.
 *
 * The names of the variables are those of the RFC: rack_at is RACK.xmit_ts,
 * rack_end RACK.end_seq, rack_fack RACK.fack.
 */
#include "engine/tcp_internal.h"

enum { DUP_THRESHOLD = 3, REO_MULT_MAX = 8, REO_PERSIST = 16 };

static bool sent_after(uint64_t at1, uint32_t end1, uint64_t at2, uint32_t end2)
{
	return at1 > at2 || (at1 == at2 && seq_lt(end2, end1));
}

/* RFC 8985, 6.2, steps 1 to 3, for one record. */
void tcp_rack_delivered(struct tcp_conn *c, const struct tcp_sent *r,
			uint32_t end, const struct tcp_head *h, uint64_t now)
{
	uint64_t rtt = now - r->at;

	if (!c->rack_valid || seq_lt(c->rack_fack, end))
		c->rack_fack = end;
	else if (!r->ever_resent && c->sack_ok)
		c->reordering = true;
	if (r->ever_resent) {
		/* it may be the first copy that arrived */
		uint32_t sent = (uint32_t)(r->at / TCP_US_PER_MS) +
				c->ts_offset;

		if (c->ts_ok && h->has_ts && seq_lt(h->tsecr, sent))
			return;
		if (c->min_rtt != TCP_NEVER && rtt < c->min_rtt)
			return;
	}
	if (!c->rack_valid ||
	    sent_after(r->at, end, c->rack_at, c->rack_end)) {
		c->rack_valid = true;
		c->rack_at = r->at;
		c->rack_end = end;
		c->rack_rtt = rtt;
	}
}

/* Step 4. */
static uint64_t reorder_window(const struct tcp_conn *c)
{
	uint64_t window;

	if (!c->reordering &&
	    (c->recovery != TCP_RECOVERY_OPEN ||
	     c->sacked_bytes >= DUP_THRESHOLD * tcp_conn_mss(c)))
		return 0;
	if (c->min_rtt == TCP_NEVER)
		return 0;
	window = c->reo_mult * (c->min_rtt / 4);
	return tcp_min64(window, c->srtt);
}

void tcp_rack_adapt(struct tcp_conn *c, const struct tcp_acked *a)
{
	if (c->reo_round_valid && seq_le(c->reo_round, c->snd_una))
		c->reo_round_valid = false;
	if (a->dsack && !c->reo_round_valid) {
		c->reo_round_valid = true;
		c->reo_round = c->snd_nxt;
		c->reo_persist = REO_PERSIST;
		if (c->reo_mult < REO_MULT_MAX)
			c->reo_mult++;
	}
}

static void arm_reorder(struct tcp_conn *c, uint64_t wait, uint64_t now)
{
	if (!wait || now + wait >= c->rto_at)
		return;
	c->send_timer = TCP_TIMER_REORDER;
	c->send_at = now + wait;
}

/* Step 5. The timer is armed over what tcp_rtt_arm() has set. */
bool tcp_rack_detect(struct tcp_stack *s, struct tcp_conn *c, uint64_t now)
{
	uint64_t window, due, wait = 0;
	uint32_t i = c->sent_first;
	bool found = false;

	if (!c->rack_valid)
		return false;
	window = reorder_window(c);
	while (i != TCP_NIL) {
		struct tcp_sent *r = tcp_sent_at(s, i);

		i = r->next;
		if (r->sacked || (r->lost && !r->resent))
			continue;
		if (!sent_after(c->rack_at, c->rack_end, r->at, r->end))
			continue;
		due = r->at + c->rack_rtt + window;
		if (due <= now) {
			tcp_flight_mark_lost(c, r);
			found = true;
		} else {
			wait = tcp_max64(wait, due - now);
		}
	}
	arm_reorder(c, wait, now);
	return found;
}

/* -- RFC 8985, 7 ----------------------------------------------------------- */

uint64_t tcp_tlp_timeout(struct tcp_stack *s, const struct tcp_conn *c,
			 uint64_t now)
{
	uint64_t pto = TCP_US_PER_S;

	if (!c->sack_ok || c->tlp_out || c->tlp_now || c->sacked_bytes ||
	    c->lost_bytes || c->recovery != TCP_RECOVERY_OPEN || c->backoff)
		return TCP_NEVER;
	if (c->srtt) {
		pto = 2 * c->srtt;
		/* alone, its ACK may be delayed */
		if (c->snd_nxt - c->snd_una <= tcp_conn_mss(c))
			pto += tcp_max64(s->config.rto_min, s->config.delack);
	}
	return now + pto;
}

/*
 * 7.4: when the probe was a retransmission and it repaired a loss, this was the
 * only sign of congestion, and the window must shrink for it.
 */
void tcp_tlp_ack(struct tcp_stack *s, struct tcp_conn *c, uint32_t ack,
		 const struct tcp_acked *a, uint64_t now)
{
	(void)s;
	if (!c->tlp_out || seq_lt(ack, c->tlp_end))
		return;
	if (!c->tlp_resent) {
		c->tlp_out = false;
	} else if (a->dsack && a->dsack_end == c->tlp_end) {
		c->tlp_out = false;
	} else if (seq_lt(c->tlp_end, ack)) {
		c->tlp_out = false;
		if (c->recovery == TCP_RECOVERY_OPEN) {
			tcp_cc_reduce(c, now);
			c->cc.cwnd = c->cc.ssthresh;
		}
	} else if (!a->advanced && !a->sacked && !a->has_data) {
		/* a duplicate ACK: both copies have arrived */
		c->tlp_out = false;
	}
}
