/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_flight.c - what was sent and is not yet acknowledged
 *
 * A connection's records are in order, disjoint, and cover [SND.UNA, SND.NXT)
 * without a gap. A record is a whole large segment as it was given out; it is
 * cut when a SACK or a retransmission concerns a part of it. Its states:
 *
 *	in flight ──► sacked			delivered, wait for the ACK
 *	    │ ▲
 *	    ▼ │ (undo)
 *	  lost ──► lost, resent ──► sacked
 *	    ▲           │
 *	    └───────────┘ (lost again)
 *
 * Three sums follow every change of state: sacked_bytes, lost_bytes and
 * resent_bytes (a part of the lost ones). From these comes the pipe of RFC 6675
 * without a walk.
 */
#include "engine/tcp_internal.h"

static uint32_t length_of(const struct tcp_sent *r)
{
	return r->end - r->seq;
}

uint32_t tcp_flight_pipe(const struct tcp_conn *c)
{
	uint32_t out = c->snd_nxt - c->snd_una;
	uint32_t gone = c->sacked_bytes + c->lost_bytes - c->resent_bytes;
	uint32_t left;

	/* without SACK each duplicate ACK tells of one segment that has left */
	if (!c->sack_ok) {
		left = out - gone;
		gone += tcp_min32(left, c->dup_acks * tcp_conn_mss(c));
	}
	return out - gone;
}

static struct tcp_sent *take(struct tcp_stack *s, struct tcp_conn *c)
{
	struct tcp_sent *r;

	if (s->free_send == TCP_NIL || c->sent_count >= s->config.conn_sends)
		return NULL;
	r = tcp_sent_at(s, s->free_send);
	s->free_send = r->next;
	s->sends_used++;
	c->sent_count++;
	return r;
}

static uint32_t index_of(struct tcp_stack *s, const struct tcp_sent *r)
{
	return (uint32_t)(r - tcp_sent_at(s, 0));
}

static void give(struct tcp_stack *s, struct tcp_conn *c, struct tcp_sent *r)
{
	r->next = s->free_send;
	s->free_send = index_of(s, r);
	s->sends_used--;
	c->sent_count--;
}

struct tcp_sent *tcp_flight_append(struct tcp_stack *s, struct tcp_conn *c,
				   uint32_t seq, uint32_t end, uint64_t now)
{
	struct tcp_sent *r = take(s, c);

	if (!r)
		return NULL;
	*r = (struct tcp_sent){ .at = now, .seq = seq, .end = end,
				.next = TCP_NIL };
	if (c->sent_last == TCP_NIL)
		c->sent_first = index_of(s, r);
	else
		tcp_sent_at(s, c->sent_last)->next = index_of(s, r);
	c->sent_last = index_of(s, r);
	return r;
}

bool tcp_flight_split(struct tcp_stack *s, struct tcp_conn *c,
		      struct tcp_sent *r, uint32_t at)
{
	struct tcp_sent *rest = take(s, c);

	if (!rest)
		return false;
	*rest = *r; /* the sums do not change */
	rest->seq = at;
	r->end = at;
	r->fin = false;
	r->next = index_of(s, rest);
	if (c->sent_last == index_of(s, r))
		c->sent_last = r->next;
	return true;
}

void tcp_flight_clear_lost(struct tcp_conn *c, struct tcp_sent *r)
{
	if (r->lost)
		c->lost_bytes -= length_of(r);
	if (r->resent)
		c->resent_bytes -= length_of(r);
	r->lost = r->resent = false;
}

void tcp_flight_mark_sacked(struct tcp_conn *c, struct tcp_sent *r)
{
	tcp_flight_clear_lost(c, r);
	r->sacked = true;
	c->sacked_bytes += length_of(r);
}

void tcp_flight_clear_sacked(struct tcp_conn *c, struct tcp_sent *r)
{
	if (!r->sacked)
		return;
	c->sacked_bytes -= length_of(r);
	r->sacked = false;
	r->ever_resent = true; /* its time means nothing any more */
}

void tcp_flight_mark_lost(struct tcp_conn *c, struct tcp_sent *r)
{
	if (r->resent) {
		tcp_flight_unmark_resent(c, r);
		return;
	}
	if (r->lost || r->sacked)
		return;
	r->lost = true;
	c->lost_bytes += length_of(r);
}

void tcp_flight_mark_resent(struct tcp_conn *c, struct tcp_sent *r,
			    uint64_t now)
{
	if (r->lost && !r->resent) {
		r->resent = true;
		c->resent_bytes += length_of(r);
	}
	r->ever_resent = true;
	r->at = now;
}

void tcp_flight_unmark_resent(struct tcp_conn *c, struct tcp_sent *r)
{
	if (!r->resent)
		return;
	r->resent = false;
	c->resent_bytes -= length_of(r);
}

/* What an ACK for [r->seq, end) tells. */
static void note(struct tcp_conn *c, const struct tcp_sent *r, uint32_t end,
		 const struct tcp_head *h, struct tcp_acked *a, uint64_t now)
{
	if (r->sacked)
		return;
	a->cumulative += end - r->seq;
	if (r->ever_resent) {
		a->resent = true;
		a->resent_at = tcp_max64(a->resent_at, r->at);
	} else if (a->rtt == TCP_NEVER) {
		a->rtt = now - r->at;
	}
	tcp_rack_delivered(c, r, end, h, now);
}

void tcp_flight_ack(struct tcp_stack *s, struct tcp_conn *c, uint32_t ack,
		    const struct tcp_head *h, struct tcp_acked *a, uint64_t now)
{
	while (c->sent_first != TCP_NIL) {
		struct tcp_sent *r = tcp_sent_at(s, c->sent_first);
		struct tcp_sent part = *r;

		if (seq_le(ack, r->seq))
			break;
		note(c, r, seq_min(ack, r->end), h, a, now);
		if (seq_lt(ack, r->end)) {
			part.end = ack;
			r->seq = ack;
		}
		/* take what is acknowledged out of the sums */
		if (part.sacked)
			c->sacked_bytes -= length_of(&part);
		if (part.lost)
			c->lost_bytes -= length_of(&part);
		if (part.resent)
			c->resent_bytes -= length_of(&part);
		if (part.end == ack && part.end != r->end)
			break;
		c->sent_first = r->next;
		if (c->sent_first == TCP_NIL)
			c->sent_last = TCP_NIL;
		give(s, c, r);
	}
	/*
	 * Karn: with a retransmission in it, nobody knows which copy is meant,
	 * and what came after it has only waited for it to be acknowledged.
	 * Without SACK that is so until all of a recovery is acknowledged.
	 */
	if (a->resent ||
	    (!c->sack_ok && c->recovery != TCP_RECOVERY_OPEN))
		a->rtt = TCP_NEVER;
}

void tcp_flight_free(struct tcp_stack *s, struct tcp_conn *c)
{
	while (c->sent_first != TCP_NIL) {
		struct tcp_sent *r = tcp_sent_at(s, c->sent_first);

		c->sent_first = r->next;
		give(s, c, r);
	}
	c->sent_last = TCP_NIL;
	c->sacked_bytes = c->lost_bytes = c->resent_bytes = 0;
}
