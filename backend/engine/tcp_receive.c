/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_receive.c - received payload: references in order, and islands
 *
 * No byte is copied or looked at. What arrives becomes holds, each a piece of
 * one reference: the ready list, in order, for tcp_recv_take(), and behind
 * RCV.NXT the islands, sorted and disjoint. Where bytes come twice the first
 * arrival counts: an attacker who guesses a sequence number cannot change what
 * is already held, and what was told by SACK is never taken back.
 *
 * Bounds: islands take at most half of a connection's holds and leave a quarter
 * of all holds free, so that the segment that fills the gap always has room. A
 * reader that leaves three quarters of its holds unread gets no more window,
 * however few bytes are in them.
 */
#include "engine/tcp_internal.h"

static struct tcp_hold *take(struct tcp_stack *s, struct tcp_conn *c,
			     bool in_order)
{
	const struct tcp_config *cfg = &s->config;
	struct tcp_hold *p;

	if (s->free_hold == TCP_NIL ||
	    c->ready_count + c->island_count >= cfg->conn_holds)
		return NULL;
	if (!in_order && (c->island_count >= cfg->conn_holds / 2 ||
			  s->holds_used >= cfg->holds - cfg->holds / 4))
		return NULL;
	p = tcp_hold_at(s, s->free_hold);
	s->free_hold = p->next;
	s->holds_used++;
	return p;
}

static uint32_t index_of(struct tcp_stack *s, const struct tcp_hold *p)
{
	return (uint32_t)(p - tcp_hold_at(s, 0));
}

static uint32_t end_of(const struct tcp_hold *p)
{
	return p->seq + p->length;
}

static void insert_after(struct tcp_stack *s, struct tcp_conn *c,
			 struct tcp_hold *prev, struct tcp_hold *p)
{
	if (prev) {
		p->next = prev->next;
		prev->next = index_of(s, p);
	} else {
		p->next = c->island_first;
		c->island_first = index_of(s, p);
	}
	if (p->next == TCP_NIL)
		c->island_last = index_of(s, p);
	c->island_count++;
}

/* The last hold that ends at or before `seq`; NULL: there is none. */
static struct tcp_hold *before(struct tcp_stack *s, struct tcp_conn *c,
			       uint32_t seq)
{
	struct tcp_hold *prev = NULL, *p;
	uint32_t i;

	if (c->island_last != TCP_NIL) {
		p = tcp_hold_at(s, c->island_last);
		if (seq_le(end_of(p), seq))
			return p;
	}
	for (i = c->island_first; i != TCP_NIL; i = p->next) {
		p = tcp_hold_at(s, i);
		if (seq_lt(seq, end_of(p)))
			break;
		prev = p;
	}
	return prev;
}

static void move_ready(struct tcp_stack *s, struct tcp_conn *c)
{
	uint32_t i = c->island_first;
	struct tcp_hold *p = tcp_hold_at(s, i);

	c->island_first = p->next;
	if (p->next == TCP_NIL)
		c->island_last = TCP_NIL;
	c->island_count--;
	p->next = TCP_NIL;
	if (c->ready_last == TCP_NIL)
		c->ready_first = i;
	else
		tcp_hold_at(s, c->ready_last)->next = i;
	c->ready_last = i;
	c->ready_count++;
}

static void advance(struct tcp_stack *s, struct tcp_conn *c)
{
	while (c->island_first != TCP_NIL) {
		struct tcp_hold *p = tcp_hold_at(s, c->island_first);

		if (p->seq != c->rcv_nxt)
			break;
		c->rcv_nxt += p->length;
		c->pending += p->length;
		c->ready_bytes += p->length;
		c->received += p->length;
		move_ready(s, c);
	}
}

static void note_duplicate(struct tcp_stack *s, struct tcp_conn *c,
			   uint32_t start, uint32_t end)
{
	s->counters.rx_duplicate_bytes += end - start;
	if (c->dsack_pending || !c->sack_ok || start == end)
		return;
	c->dsack_pending = true;
	c->dsack.start = start;
	c->dsack.end = end;
}

/*
 * Keeps what is new of [start, stop), a part of reference `i` that begins at
 * `origin`. -> sequence number of a byte that was kept, or `stop`
 */
static uint32_t keep(struct tcp_stack *s, struct tcp_conn *c,
		     struct tcp_arrival *in, unsigned i, uint32_t origin,
		     struct tcp_range r)
{
	const struct tcp_ref *ref = &in->packet->refs[i];
	struct tcp_hold *prev = before(s, c, r.start), *last = NULL, *p, *next;
	bool in_order = r.start == c->rcv_nxt;
	uint32_t at, stop;

	while (seq_lt(r.start, r.end)) {
		at = prev ? prev->next : c->island_first;
		next = at == TCP_NIL ? NULL : tcp_hold_at(s, at);
		if (next && seq_le(next->seq, r.start)) {
			stop = seq_min(end_of(next), r.end);
			note_duplicate(s, c, r.start, stop);
			r.start = stop;
			prev = next;
			continue;
		}
		stop = next ? seq_min(next->seq, r.end) : r.end;
		p = take(s, c, in_order);
		if (!p) {
			s->counters.rx_no_hold++;
			break;
		}
		p->buffer = ref->buffer;
		p->offset = ref->offset + (r.start - origin);
		p->length = stop - r.start;
		p->seq = r.start;
		p->flags = 0;
		insert_after(s, c, prev, p);
		prev = last = p;
		r.start = stop;
	}
	if (!last)
		return r.end;
	last->flags = TCP_PIECE_LAST;
	in->kept->bits[i / 64] |= 1ull << i % 64;
	return last->seq;
}

static void keep_all(struct tcp_stack *s, struct tcp_conn *c,
		     struct tcp_arrival *in, uint32_t limit)
{
	uint32_t at = in->h.seq, origin, kept;
	struct tcp_range r;
	unsigned i;

	for (i = 0; i < in->packet->ref_count; i++) {
		origin = at;
		at += in->packet->refs[i].length;
		r.start = seq_max(origin, c->rcv_nxt);
		r.end = seq_min(at, limit);
		if (!seq_lt(r.start, r.end))
			continue;
		kept = keep(s, c, in, i, origin, r);
		advance(s, c);
		if (kept != r.end && seq_lt(c->rcv_nxt, kept))
			tcp_sack_note(s, c, kept);
	}
}

/* RFC 9293, 3.8.6.3, RFC 5681, 4.2: when it is acknowledged. */
static void decide_ack(struct tcp_stack *s, struct tcp_conn *c,
		       struct tcp_arrival *in, bool at_once)
{
	uint32_t segments = in->packet->segments ? in->packet->segments : 1;

	c->ack_segments += segments;
	if (at_once || c->ack_segments >= s->config.ack_every)
		c->ack_now = true;
	else
		c->ack_at = tcp_min64(c->ack_at, in->now + s->config.delack);
}

static void note_size(struct tcp_conn *c, const struct tcp_arrival *in)
{
	uint32_t size = in->packet->segment_max;

	if (!size || size > in->length)
		size = in->length;
	if (in->packet->segments <= 1 || in->packet->segment_max)
		c->rcv_mss = tcp_max32(c->rcv_mss, tcp_min32(size, 65535));
}

/* A FIN holds where it is consistent with what is held. */
static void note_fin(struct tcp_stack *s, struct tcp_conn *c,
		     const struct tcp_arrival *in)
{
	if (c->rcv_fin || seq_lt(in->end, c->rcv_nxt) ||
	    seq_lt(seq_max(c->rcv_right, c->rcv_nxt), in->end))
		return;
	if (c->island_last != TCP_NIL &&
	    seq_lt(in->end, end_of(tcp_hold_at(s, c->island_last))))
		return;
	c->rcv_fin = true;
	c->fin_seq = in->end;
}

void tcp_receive_data(struct tcp_stack *s, struct tcp_conn *c,
		      struct tcp_arrival *in)
{
	uint32_t limit = c->rcv_right, before_nxt = c->rcv_nxt;
	bool gap = c->island_first != TCP_NIL, fin = in->h.flags & TCP_FIN;

	if (!in->length && !fin)
		return;
	note_size(c, in);
	if (fin)
		note_fin(s, c, in);
	if (c->rcv_fin)
		limit = seq_min(limit, c->fin_seq);
	if (seq_lt(in->h.seq, c->rcv_nxt))
		note_duplicate(s, c, in->h.seq, seq_min(in->end, c->rcv_nxt));
	if (seq_lt(limit, in->end))
		s->counters.rx_beyond_bytes +=
			in->end - seq_max(limit, in->h.seq);
	keep_all(s, c, in, limit);
	if (c->rcv_nxt != before_nxt)
		tcp_conn_event(s, c, TCP_EVENT_READABLE);
	if (gap && c->rcv_nxt != before_nxt)
		c->ack_jump = true;
	gap = gap || c->island_first != TCP_NIL;
	if (c->rcv_nxt == before_nxt && gap)
		s->counters.rx_out_of_order++;
	decide_ack(s, c, in, gap || fin || c->rcv_nxt != in->end ||
				     in->h.seq != before_nxt);
}

/*
 * The edge never goes back. RFC 7323, 2.4: what rounding to the scale seems to
 * take back is still accepted. It advances in steps worth a segment (RFC 9293,
 * 3.8.6.2.2).
 */
uint32_t tcp_receive_window(struct tcp_stack *s, struct tcp_conn *c)
{
	uint32_t most = 65535u << c->rcv_wscale, step, room, now = 0;

	if (seq_lt(c->rcv_nxt, c->rcv_right))
		now = c->rcv_right - c->rcv_nxt;
	room = c->recv_bytes > c->pending ? c->recv_bytes - c->pending : 0;
	if (c->ready_count >= s->config.conn_holds / 4 * 3)
		room = 0;
	step = tcp_min32(c->recv_bytes / 2, c->rcv_mss);
	if (room > now && room - now >= step)
		now = room;
	now = tcp_min32(now, most) >> c->rcv_wscale << c->rcv_wscale;
	c->rcv_right = seq_max(c->rcv_right, c->rcv_nxt + now);
	return now;
}

bool tcp_receive_window_grew(struct tcp_stack *s, const struct tcp_conn *c)
{
	uint32_t told = 0, room;

	if (seq_lt(c->rcv_nxt, c->rcv_right))
		told = c->rcv_right - c->rcv_nxt;
	room = c->recv_bytes > c->pending ? c->recv_bytes - c->pending : 0;
	if (c->ready_count >= s->config.conn_holds / 4 * 3)
		return false;
	room = tcp_min32(room, 65535u << c->rcv_wscale);
	return room > told &&
	       room - told >= tcp_min32(c->recv_bytes / 2, 2 * c->rcv_mss);
}

void tcp_receive_drop(struct tcp_stack *s, struct tcp_conn *c)
{
	while (c->island_first != TCP_NIL) {
		tcp_hold_at(s, c->island_first)->flags |= TCP_PIECE_DROPPED;
		move_ready(s, c);
		tcp_conn_event(s, c, TCP_EVENT_READABLE);
	}
}
