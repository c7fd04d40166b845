/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_check.c - what must always hold inside of a TCP stack
 *
 * Walks every connection: its records cover [SND.UNA, SND.NXT) in order and
 * without a gap, the sums are those of the records, its holds are in order and
 * disjoint, and all of them together are what the pools say is in use.
 */
#include "engine/tcp_internal.h"
#include "tests/lib/tcp_sim.h"

static const char *check_sent(struct tcp_stack *s, struct tcp_conn *c,
			      uint32_t *used)
{
	uint32_t sacked = 0, lost = 0, resent = 0, count = 0, at = c->snd_una;
	uint32_t i;

	for (i = c->sent_first; i != TCP_NIL; count++) {
		struct tcp_sent *r = tcp_sent_at(s, i);
		uint32_t length = r->end - r->seq;

		if (r->seq != at && c->state != TCP_ST_CLOSED)
			return "records have a gap";
		if (!length || length > 1u << 20)
			return "a record is empty";
		if (r->sacked && (r->lost || r->resent))
			return "a record is both sacked and lost";
		if (r->resent && !r->lost)
			return "a record is resent but not lost";
		sacked += r->sacked ? length : 0;
		lost += r->lost ? length : 0;
		resent += r->resent ? length : 0;
		at = r->end;
		if (r->next == TCP_NIL && c->sent_last != i)
			return "the last record is not the last";
		i = r->next;
	}
	if (count && at != c->snd_nxt)
		return "records do not reach SND.NXT";
	if (count != c->sent_count)
		return "records are miscounted";
	if (sacked != c->sacked_bytes || lost != c->lost_bytes ||
	    resent != c->resent_bytes)
		return "sums differ from the records";
	*used += count;
	return NULL;
}

static const char *check_holds(struct tcp_stack *s, struct tcp_conn *c,
			       uint32_t *used)
{
	uint32_t ready = 0, islands = 0, bytes = 0, at = c->rcv_nxt, i;
	struct tcp_hold *p;

	for (i = c->ready_first; i != TCP_NIL; i = p->next, ready++) {
		p = tcp_hold_at(s, i);
		if (!(p->flags & TCP_PIECE_DROPPED))
			bytes += p->length;
		if (p->next == TCP_NIL && c->ready_last != i)
			return "the last ready hold is not the last";
	}
	for (i = c->island_first; i != TCP_NIL; i = p->next, islands++) {
		p = tcp_hold_at(s, i);
		if (!islands && !seq_lt(at, p->seq))
			return "an island touches RCV.NXT";
		if (seq_lt(p->seq, at))
			return "islands overlap";
		if (!p->length || seq_lt(c->rcv_right, p->seq + p->length))
			return "an island is beyond the window";
		at = p->seq + p->length;
		if (p->next == TCP_NIL && c->island_last != i)
			return "the last island is not the last";
	}
	if (bytes != c->ready_bytes || ready != c->ready_count ||
	    islands != c->island_count)
		return "holds are miscounted";
	if (c->pending < c->ready_bytes)
		return "more is ready than pending";
	*used += ready + islands;
	return NULL;
}

static const char *check_conn(struct tcp_stack *s, struct tcp_conn *c,
			      uint32_t *sends, uint32_t *holds)
{
	const char *bad = check_sent(s, c, sends);

	if (!bad)
		bad = check_holds(s, c, holds);
	if (bad)
		return bad;
	if (c->state == TCP_ST_CLOSED)
		return NULL;
	if (tcp_table_find(s, &c->tuple) != c)
		return "the table does not find it";
	if (!tcp_state_synchronized(c->state) || c->state == TCP_ST_TIME_WAIT)
		return NULL;
	if (seq_lt(c->snd_nxt, c->snd_una) || seq_lt(c->snd_max, c->snd_nxt))
		return "SND.UNA, SND.NXT, SND.MAX are not in order";
	if (tcp_flight_pipe(c) > c->snd_nxt - c->snd_una)
		return "more in the pipe than in flight";
	if (c->una_offset > c->queued)
		return "more acknowledged than queued";
	if (c->snd_una != c->snd_nxt && c->send_at == TCP_NEVER)
		return "in flight and no timer";
	return NULL;
}

static const char *check_heap(struct tcp_stack *s)
{
	uint32_t i;

	for (i = 0; i < s->heap_count; i++) {
		struct tcp_conn *c = tcp_conn_at(s, *tcp_heap_slot(s, i));

		if (c->heap_at != i)
			return "the heap's places are wrong";
		if (i && tcp_conn_at(s, *tcp_heap_slot(s, (i - 1) / 2))
					 ->heap_key > c->heap_key)
			return "the heap is not in order";
	}
	return NULL;
}

const char *tcp_check(struct tcp_stack *s)
{
	uint32_t sends = 0, holds = 0, i;
	const char *bad;

	for (i = 0; i < s->config.conns; i++) {
		struct tcp_conn *c = tcp_conn_at(s, i);

		if (c->link[TCP_LIST_PLACE].on && !c->in_queue &&
		    !c->time_wait)
			continue; /* free */
		bad = check_conn(s, c, &sends, &holds);
		if (bad)
			return bad;
	}
	if (sends != s->sends_used || holds != s->holds_used)
		return "a pool has lost elements";
	return check_heap(s);
}
