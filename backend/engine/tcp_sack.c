/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_sack.c - selective acknowledgements, both ways (RFC 2018, 2883, 6675)
 *
 * The peer's blocks are only a hint about what it has; nothing is freed for
 * them. A block must lie in what was sent and is outstanding; others are
 * counted and ignored. A record that is covered in part is cut; where there is
 * no record left to cut with, that part counts as not sacked, which costs a
 * retransmission and nothing else.
 *
 * Our own blocks: the one of the latest arrival first, then those told before,
 * latest first; a duplicate's range before all of them.
 */
#include "engine/tcp_internal.h"

static void sack_one(struct tcp_stack *s, struct tcp_conn *c,
		     const struct tcp_head *h, struct tcp_range b,
		     struct tcp_acked *a, uint64_t now)
{
	uint32_t i = c->sent_first;

	while (i != TCP_NIL) {
		struct tcp_sent *r = tcp_sent_at(s, i);

		if (seq_le(b.end, r->seq))
			break;
		i = r->next;
		if (seq_le(r->end, b.start) || r->sacked)
			continue;
		if (seq_lt(r->seq, b.start)) {
			if (tcp_flight_split(s, c, r, b.start))
				i = r->next;
			continue;
		}
		if (seq_lt(b.end, r->end) &&
		    !tcp_flight_split(s, c, r, b.end))
			break;
		a->sacked += r->end - r->seq;
		if (!r->ever_resent && a->rtt == TCP_NEVER)
			a->rtt = now - r->at;
		tcp_rack_delivered(c, r, r->end, h, now);
		tcp_flight_mark_sacked(c, r);
		i = r->next;
	}
}

/* RFC 2883, 4: below the ACK, or within the second block. */
static bool is_dsack(const struct tcp_head *h)
{
	struct tcp_range b = h->sack[0];

	if (seq_lt(b.start, h->ack))
		return seq_le(b.end, h->ack);
	return h->sack_count > 1 && seq_le(h->sack[1].start, b.start) &&
	       seq_le(b.end, h->sack[1].end);
}

void tcp_sack_input(struct tcp_stack *s, struct tcp_conn *c,
		    const struct tcp_head *h, struct tcp_acked *a, uint64_t now)
{
	unsigned i = 0;

	if (!c->sack_ok || !h->sack_count)
		return;
	if (is_dsack(h)) {
		a->dsack = true;
		a->dsack_end = h->sack[0].end;
		i = 1;
	}
	for (; i < h->sack_count; i++) {
		struct tcp_range b = h->sack[i];

		if (!seq_lt(b.start, b.end) || seq_lt(b.start, c->snd_una) ||
		    seq_lt(c->snd_nxt, b.end)) {
			s->counters.rx_bad_sack++;
			continue;
		}
		sack_one(s, c, h, b, a, now);
	}
}

/* The island around `seq`. -> false: there is none any more */
static bool island_of(struct tcp_stack *s, const struct tcp_conn *c,
		      uint32_t seq, struct tcp_range *out)
{
	uint32_t i = c->island_first;

	while (i != TCP_NIL) {
		struct tcp_hold *p = tcp_hold_at(s, i);

		out->start = p->seq;
		out->end = p->seq + p->length;
		for (i = p->next; i != TCP_NIL; i = p->next) {
			p = tcp_hold_at(s, i);
			if (p->seq != out->end)
				break;
			out->end += p->length;
		}
		if (seq_lt(seq, out->start))
			return false;
		if (seq_lt(seq, out->end))
			return true;
	}
	return false;
}

static bool told(const struct tcp_head *h, unsigned from, struct tcp_range b)
{
	unsigned i;

	for (i = from; i < h->sack_count; i++)
		if (h->sack[i].start == b.start)
			return true;
	return false;
}

/* RFC 2018, 4: the block of the latest arrival is told first. */
void tcp_sack_note(struct tcp_stack *s, struct tcp_conn *c, uint32_t seq)
{
	unsigned i, kept = 0;
	struct tcp_range b;
	uint32_t others[TCP_SACK_MAX];

	if (!island_of(s, c, seq, &b))
		return;
	for (i = 0; i < c->recent_count && kept < TCP_SACK_MAX - 1; i++)
		if (seq_lt(c->recent[i], b.start) ||
		    seq_le(b.end, c->recent[i]))
			others[kept++] = c->recent[i];
	c->recent[0] = seq;
	for (i = 0; i < kept; i++)
		c->recent[i + 1] = others[i];
	c->recent_count = (uint8_t)(kept + 1);
}

void tcp_sack_blocks(struct tcp_stack *s, struct tcp_conn *c,
		     struct tcp_head *h, unsigned max)
{
	unsigned i, kept = 0, first = 0;
	struct tcp_range b;

	if (!c->sack_ok)
		return;
	if (c->dsack_pending && max) {
		h->sack[h->sack_count++] = c->dsack;
		c->dsack_pending = false;
		first = 1;
	}
	for (i = 0; i < c->recent_count; i++) {
		if (!island_of(s, c, c->recent[i], &b))
			continue;
		c->recent[kept++] = c->recent[i];
		if (h->sack_count < max && !told(h, first, b))
			h->sack[h->sack_count++] = b;
	}
	c->recent_count = (uint8_t)kept;
}
