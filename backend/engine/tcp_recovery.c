/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_recovery.c - what an ACK or a timeout means for the congestion window
 *
 *	OPEN ── loss found ──────────────► FAST ── all of it acknowledged ──► OPEN
 *	  └──── timeout (from FAST too) ─► LOSS ── all of it acknowledged ──► OPEN
 *
 * Which segment is lost is RACK's to say (tcp_rack.c), or three duplicate ACKs'
 * for a peer without SACK (RFC 6582). In FAST the window follows the
 * proportional rate of RFC 6937; in LOSS it grows from one segment. A reduction
 * is taken back when the first ACK after it answers, by its timestamp, the
 * original and not the retransmission (RFC 3522, 4015).
 */
#include "engine/tcp_internal.h"

enum { DUP_THRESHOLD = 3 };

static void remember_for_undo(struct tcp_conn *c)
{
	c->undo = c->cc;
	c->undo_valid = c->ts_ok;
	c->undo_ts = 0; /* set by the first retransmission */
}

void tcp_recovery_enter(struct tcp_conn *c, uint64_t now)
{
	remember_for_undo(c);
	c->recovery = TCP_RECOVERY_FAST;
	c->recovery_point = c->snd_nxt;
	c->prr_delivered = c->prr_out = 0;
	c->prr_flight = tcp_max32(c->snd_nxt - c->snd_una, 1);
	tcp_cc_reduce(c, now);
}

static void leave(struct tcp_conn *c)
{
	if (c->recovery == TCP_RECOVERY_FAST)
		c->cc.cwnd = c->cc.ssthresh;
	c->recovery = TCP_RECOVERY_OPEN;
	c->dup_acks = 0;
	c->undo_valid = false;
	if (c->reo_persist && !--c->reo_persist)
		c->reo_mult = 1; /* RFC 8985, 6.2, step 4 */
}

static void undo(struct tcp_stack *s, struct tcp_conn *c)
{
	uint32_t i = c->sent_first;

	while (i != TCP_NIL) {
		struct tcp_sent *r = tcp_sent_at(s, i);

		i = r->next;
		if (!r->resent)
			tcp_flight_clear_lost(c, r);
	}
	s->counters.undone++;
	c->cc = c->undo;
	c->undo_valid = false;
	c->recovery = TCP_RECOVERY_OPEN;
	c->dup_acks = 0;
	c->backoff = 0;
	c->reordering = true;
}

static bool is_needless(const struct tcp_conn *c, const struct tcp_head *h,
			const struct tcp_acked *a)
{
	return c->undo_valid && c->undo_ts && a->advanced && h->has_ts &&
	       h->tsecr && seq_lt(h->tsecr, c->undo_ts);
}

/*
 * RFC 6582 for a peer without SACK: three duplicates, and then each ACK that
 * does not cover all of it, tell that the segment at SND.UNA is lost.
 */
static bool reno_detect(struct tcp_stack *s, struct tcp_conn *c,
			const struct tcp_acked *a)
{
	struct tcp_sent *r;
	uint32_t mss = tcp_conn_mss(c);

	if (a->advanced) {
		uint32_t acked = a->advanced / mss;

		c->dup_acks -= tcp_min32(c->dup_acks, acked ? acked - 1 : 0);
		if (c->recovery == TCP_RECOVERY_OPEN)
			c->dup_acks = 0;
	}
	c->dup_acks += a->repeats;
	/* no more than there are segments, whatever a peer sends */
	c->dup_acks = tcp_min32(c->dup_acks,
				(c->snd_nxt - c->snd_una) / mss + 1);
	if (c->sent_first == TCP_NIL)
		return false;
	if (c->recovery == TCP_RECOVERY_OPEN) {
		/* step 2: nothing that an earlier recovery has caused */
		if (c->dup_acks < DUP_THRESHOLD ||
		    seq_lt(c->snd_una, c->recovery_point))
			return false;
	} else if (!a->advanced) {
		return false;
	}
	r = tcp_sent_at(s, c->sent_first);
	if (r->lost && !r->resent)
		return false;
	if (r->end - r->seq > mss)
		tcp_flight_split(s, c, r, r->seq + mss);
	tcp_flight_mark_lost(c, r);
	return true;
}

/* RFC 6937, with the slow start reduction bound. */
static void prr(struct tcp_conn *c, const struct tcp_acked *a)
{
	uint32_t delivered = a->cumulative + a->sacked;
	uint32_t pipe = tcp_flight_pipe(c), mss = tcp_conn_mss(c);
	uint64_t target;
	uint32_t send = 0;

	if (!c->sack_ok)
		delivered += a->repeats * mss;
	c->prr_delivered += delivered;
	if (pipe > c->cc.ssthresh) {
		target = ((uint64_t)c->prr_delivered * c->cc.ssthresh +
			  c->prr_flight - 1) / c->prr_flight;
		if (target > c->prr_out)
			send = (uint32_t)(target - c->prr_out);
	} else {
		uint32_t limit = delivered;

		if (c->prr_delivered > c->prr_out)
			limit = tcp_max32(limit,
					  c->prr_delivered - c->prr_out);
		send = tcp_min32(c->cc.ssthresh - pipe, limit + mss);
	}
	if (!c->prr_out) /* the first retransmission goes out in any case */
		send = tcp_max32(send, mss);
	c->cc.cwnd = pipe + send;
}

static void reduce_for_ecn(struct tcp_stack *s, struct tcp_conn *c,
			   uint64_t now)
{
	/* RFC 3168, 6.1.2: once for each window */
	if (c->ecn_reduced && seq_lt(c->snd_una, c->ecn_point))
		return;
	c->ecn_reduced = true;
	c->ecn_point = c->snd_nxt;
	c->cwr_pending = true;
	s->counters.ecn_reductions++;
	if (c->recovery != TCP_RECOVERY_OPEN)
		return;
	tcp_cc_reduce(c, now);
	c->cc.cwnd = c->cc.ssthresh;
}

static bool detect(struct tcp_stack *s, struct tcp_conn *c,
		   const struct tcp_acked *a, uint64_t now)
{
	return c->sack_ok ? tcp_rack_detect(s, c, now) : reno_detect(s, c, a);
}

void tcp_recovery_ack(struct tcp_stack *s, struct tcp_conn *c,
		      const struct tcp_head *h, const struct tcp_acked *a,
		      uint64_t now)
{
	bool lost, was_open = c->recovery == TCP_RECOVERY_OPEN;

	if (!was_open) {
		if (is_needless(c, h, a))
			undo(s, c);
		else if (seq_le(c->recovery_point, c->snd_una))
			leave(c);
	}
	tcp_rack_adapt(c, a);
	lost = detect(s, c, a, now);
	if (lost && c->recovery == TCP_RECOVERY_OPEN) {
		s->counters.recoveries++;
		tcp_recovery_enter(c, now);
	}
	if (c->ecn_ok && (h->flags & TCP_ECE))
		reduce_for_ecn(s, c, now);
	if (c->recovery == TCP_RECOVERY_FAST)
		prr(c, a);
	else if (c->recovery == TCP_RECOVERY_LOSS)
		tcp_cc_ack(c, a->cumulative + a->sacked, now);
	else if (was_open) /* what was only sacked does not count yet */
		tcp_cc_ack(c, a->advanced, now);
}

void tcp_recovery_reorder(struct tcp_stack *s, struct tcp_conn *c, uint64_t now)
{
	struct tcp_acked none = { .rtt = TCP_NEVER };

	c->send_timer = TCP_TIMER_RTO;
	c->send_at = c->rto_at;
	if (!tcp_rack_detect(s, c, now))
		return;
	if (c->recovery == TCP_RECOVERY_OPEN) {
		s->counters.recoveries++;
		tcp_recovery_enter(c, now);
	}
	if (c->recovery == TCP_RECOVERY_FAST)
		prr(c, &none);
}

/*
 * RFC 8985, 6.3: the first segment is lost, and so is what was sent long enough
 * ago. When even the first was sacked, the peer has thrown away what it had
 * (RFC 2018, 8), and nothing that it said of others counts any more.
 */
static void mark_after_timeout(struct tcp_stack *s, struct tcp_conn *c,
			       uint64_t now)
{
	bool reneged = tcp_sent_at(s, c->sent_first)->sacked;
	uint64_t late = c->rack_rtt;
	uint32_t i = c->sent_first;

	if (c->min_rtt != TCP_NEVER)
		late += c->min_rtt / 4;
	while (i != TCP_NIL) {
		struct tcp_sent *r = tcp_sent_at(s, i);
		bool first = i == c->sent_first;

		i = r->next;
		if (reneged)
			tcp_flight_clear_sacked(c, r);
		if (first || r->at + late <= now || !c->sack_ok) {
			tcp_flight_unmark_resent(c, r);
			tcp_flight_mark_lost(c, r);
		}
	}
}

void tcp_recovery_timeout(struct tcp_stack *s, struct tcp_conn *c, uint64_t now)
{
	bool first = c->recovery != TCP_RECOVERY_LOSS;

	s->counters.timeouts++;
	if (c->sent_first == TCP_NIL)
		return;
	if (c->recovery == TCP_RECOVERY_OPEN)
		remember_for_undo(c);
	else if (!first)
		c->undo_valid = false;
	if (first) /* RFC 5681, 3.1: not again for the same data */
		tcp_cc_reduce(c, now);
	c->recovery = TCP_RECOVERY_LOSS;
	c->recovery_point = c->snd_nxt;
	c->dup_acks = 0;
	c->tlp_out = c->tlp_now = false;
	mark_after_timeout(s, c, now);
	/* one segment, whatever else may still be on its way */
	c->cc.cwnd = tcp_flight_pipe(c) + tcp_conn_mss(c);
}

void tcp_recovery_mss(struct tcp_stack *s, struct tcp_conn *c, uint64_t now)
{
	uint32_t i = c->sent_first, mss = tcp_conn_mss(c);

	(void)now;
	while (i != TCP_NIL) {
		struct tcp_sent *r = tcp_sent_at(s, i);

		i = r->next;
		if (r->mss <= mss || r->end - r->seq <= mss || r->sacked)
			continue;
		tcp_flight_unmark_resent(c, r);
		tcp_flight_mark_lost(c, r);
	}
}
