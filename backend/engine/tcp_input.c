/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_input.c - a segment arrives (RFC 9293, 3.10.7)
 *
 * tcp_input() parses once, finds the connection, and hands the segment to what
 * its state asks for: a listener, SYN-SENT (tcp_syn.c), TIME-WAIT, or the steps
 * of 3.10.7.4 in their order, here: timestamp, sequence number, RST, SYN, ACK,
 * URG, payload, FIN. A stranger who guesses addresses and ports gets at most a
 * challenge ACK out of these (RFC 5961).
 */
#include "engine/tcp_internal.h"

#include <errno.h>
#include <string.h>

/* RFC 7323, 5.5: an echo older than this says nothing. */
#define PAWS_IDLE (24ull * 86400 * TCP_US_PER_S)

enum { PAYLOAD_MAX = 1 << 20 };

/* -- RFC 7323, 5.3 --------------------------------------------------------- */

static bool too_old(const struct tcp_conn *c, const struct tcp_arrival *in)
{
	return seq_lt(in->h.tsval, c->ts_recent) &&
	       in->now - c->ts_recent_at < PAWS_IDLE;
}

/* -> the segment is to be looked at further */
static bool check_timestamp(struct tcp_stack *s, struct tcp_conn *c,
			    const struct tcp_arrival *in)
{
	if (!c->ts_ok || (in->h.flags & TCP_RST))
		return true;
	if (!in->h.has_ts) {
		/* 3.2: a segment without it is dropped */
		s->counters.rx_no_timestamp++;
		return false;
	}
	if (!too_old(c, in))
		return true;
	s->counters.rx_paws++;
	if (in->length)
		c->ack_now = true;
	else
		tcp_conn_challenge(s, c, in->now);
	return false;
}

/* 4.3: what is echoed is the timestamp of the first segment not yet acked. */
static void take_timestamp(struct tcp_conn *c, const struct tcp_arrival *in)
{
	if (!c->ts_ok || !in->h.has_ts || seq_lt(c->rcv_acked, in->h.seq) ||
	    seq_lt(in->h.tsval, c->ts_recent))
		return;
	c->ts_recent = in->h.tsval;
	c->ts_recent_at = in->now;
}

/* -- sequence number, RST, SYN --------------------------------------------- */

/*
 * RFC 9293, 3.4: some part must be in the window. A closed window still takes
 * the ACK of a segment at its edge.
 */
static bool in_window(const struct tcp_conn *c, const struct tcp_arrival *in)
{
	uint32_t right = seq_max(c->rcv_right, c->rcv_nxt), end = in->end;

	if (in->h.flags & TCP_FIN)
		end++;
	if (in->h.flags & TCP_SYN)
		end++;
	if (end == in->h.seq || right == c->rcv_nxt)
		return seq_le(c->rcv_nxt, in->h.seq) &&
		       seq_le(in->h.seq, right);
	return seq_lt(c->rcv_nxt, end) && seq_lt(in->h.seq, right);
}

/*
 * What is outside is answered, so that a peer that lost an ACK goes on. Only an
 * answer to payload is free: two confused peers could answer each other's empty
 * ACKs for ever.
 */
static void refuse_sequence(struct tcp_stack *s, struct tcp_conn *c,
			    const struct tcp_arrival *in)
{
	s->counters.rx_out_of_window++;
	if (in->h.flags & TCP_RST)
		return;
	if (in->length && !(in->h.flags & TCP_SYN)) {
		if (c->sack_ok && seq_le(in->end, c->rcv_nxt) &&
		    c->rcv_nxt - in->h.seq < 1u << 30) {
			s->counters.rx_duplicate_bytes += in->length;
			c->dsack_pending = true;
			c->dsack.start = in->h.seq;
			c->dsack.end = in->end;
		}
		c->ack_now = true;
		return;
	}
	if ((in->h.flags & TCP_FIN) && in->end + 1 == c->rcv_nxt)
		c->ack_now = true;
	else
		tcp_conn_challenge(s, c, in->now);
}

/* RFC 5961, 3.2: only the exact sequence number resets. */
static void take_reset(struct tcp_stack *s, struct tcp_conn *c,
		       const struct tcp_arrival *in)
{
	int error = ECONNRESET;

	if (in->h.seq != c->rcv_nxt) {
		s->counters.resets_challenged++;
		tcp_conn_challenge(s, c, in->now);
		return;
	}
	if (c->state == TCP_ST_SYN_RECEIVED)
		error = ECONNREFUSED;
	tcp_conn_finish(s, c, error);
}

/* SYN-RECEIVED: the peer has not got our SYN, or sends both at once. */
static bool take_syn_again(struct tcp_conn *c, struct tcp_arrival *in)
{
	if (c->state != TCP_ST_SYN_RECEIVED || in->h.seq != c->irs)
		return false;
	if (!(in->h.flags & TCP_ACK)) {
		c->syn_pending = true;
		return false;
	}
	if (c->passive || in->length || in->h.ack != c->iss + 1)
		return false;
	/* simultaneous open: its SYN,ACK counts as an ACK */
	in->h.seq++;
	in->end++;
	in->h.flags &= (uint8_t)~TCP_SYN;
	return true;
}

/* -- ACK in SYN-RECEIVED --------------------------------------------------- */

static bool complete_handshake(struct tcp_stack *s, struct tcp_conn *c,
			       struct tcp_arrival *in)
{
	struct tcp_listener *l;

	if (in->h.ack != c->iss + 1) {
		tcp_reply_reset(s, in);
		return false;
	}
	if (c->passive) {
		l = tcp_listener_at(s, c->listener);
		if (l->waiting >= l->backlog) {
			/* as if lost: our SYN,ACK comes again, and its ACK */
			s->counters.accept_full++;
			return false;
		}
	}
	c->snd_una = in->h.ack;
	c->snd_wnd = (uint32_t)in->h.window << c->snd_wscale;
	c->snd_wnd_max = c->snd_wnd;
	c->snd_wl1 = in->h.seq;
	c->snd_wl2 = in->h.ack;
	if (!c->tries && c->last_sent)
		tcp_rtt_sample(s, c, in->now - c->last_sent);
	tcp_conn_established(s, c, in->now);
	return true;
}

/* -- ECN, URG, payload, FIN ------------------------------------------------ */

/*
 * RFC 6093: urgent data stays in the stream; what is told is where the mark is,
 * the pointer being that of the byte after it.
 */
static void take_urgent(struct tcp_stack *s, struct tcp_conn *c,
			const struct tcp_arrival *in)
{
	uint32_t up = in->h.seq + in->h.urgent;

	if (!(in->h.flags & TCP_URG) || !seq_lt(c->rcv_nxt, up) ||
	    (c->rcv_urgent && seq_le(up, c->rcv_up)))
		return;
	c->rcv_urgent = true;
	c->rcv_up = up;
	tcp_conn_event(s, c, TCP_EVENT_URGENT);
}

/* RFC 3168, 6.1.3: a mark is echoed until the peer says that it has heard. */
static void take_ecn(struct tcp_conn *c, const struct tcp_arrival *in)
{
	if (!c->ecn_ok || !in->length)
		return;
	if (in->h.flags & TCP_CWR)
		c->ece_send = false;
	if ((in->packet->ecn & TCP_ECN_MASK) == TCP_ECN_CE) {
		c->ece_send = true;
		c->ack_now = true;
	}
}

static void take_fin(struct tcp_stack *s, struct tcp_conn *c, uint64_t now)
{
	if (!c->rcv_fin || c->rcv_nxt != c->fin_seq)
		return;
	c->rcv_nxt++;
	c->ack_now = true;
	tcp_conn_event(s, c, TCP_EVENT_EOF | TCP_EVENT_READABLE);
	switch (c->state) {
	case TCP_ST_ESTABLISHED:
		c->state = TCP_ST_CLOSE_WAIT;
		break;
	case TCP_ST_FIN_WAIT_1:
		/* had our FIN been acknowledged, this were FIN-WAIT-2 */
		c->state = TCP_ST_CLOSING;
		break;
	case TCP_ST_FIN_WAIT_2:
		tcp_conn_time_wait(s, c, now);
		break;
	}
}

static bool can_receive(const struct tcp_conn *c)
{
	return c->state == TCP_ST_ESTABLISHED ||
	       c->state == TCP_ST_FIN_WAIT_1 || c->state == TCP_ST_FIN_WAIT_2;
}

/* What an ACK of our FIN leads to. */
static void our_fin_acked(struct tcp_stack *s, struct tcp_conn *c, uint64_t now)
{
	if (!c->fin_acked)
		return;
	switch (c->state) {
	case TCP_ST_FIN_WAIT_1:
		c->state = TCP_ST_FIN_WAIT_2;
		if (c->read_closed)
			c->wait_at = now + s->config.fin_wait_2;
		break;
	case TCP_ST_CLOSING:
		tcp_conn_time_wait(s, c, now);
		break;
	case TCP_ST_LAST_ACK:
		tcp_conn_finish(s, c, 0);
		break;
	}
}

static void open_input(struct tcp_stack *s, struct tcp_conn *c,
		       struct tcp_arrival *in)
{
	if (!check_timestamp(s, c, in))
		return;
	if ((in->h.flags & TCP_SYN) && !(in->h.flags & TCP_RST) &&
	    !take_syn_again(c, in)) {
		/* RFC 5961, 4.2 */
		if (!c->syn_pending)
			tcp_conn_challenge(s, c, in->now);
		return;
	}
	if (!in_window(c, in)) {
		refuse_sequence(s, c, in);
		return;
	}
	if (in->h.flags & TCP_RST) {
		take_reset(s, c, in);
		return;
	}
	if (!(in->h.flags & TCP_ACK))
		return;
	if (c->state == TCP_ST_SYN_RECEIVED && !complete_handshake(s, c, in))
		return;
	c->last_heard = in->now;
	c->keep_tries = 0;
	if (!tcp_ack_input(s, c, in))
		return;
	take_timestamp(c, in);
	our_fin_acked(s, c, in->now);
	if (!can_receive(c))
		return;
	take_ecn(c, in);
	take_urgent(s, c, in);
	if (c->read_closed && seq_lt(c->rcv_nxt, in->end)) {
		/* RFC 2525, 2.17: nobody will ever read it */
		tcp_conn_reset(s, c, ECONNRESET);
		return;
	}
	tcp_receive_data(s, c, in);
	take_fin(s, c, in->now);
}

/* -- TIME-WAIT ------------------------------------------------------------- */

/* RFC 9293, 3.10.7.4, and RFC 6191: may this SYN begin a new connection? */
static bool newer_syn(const struct tcp_conn *c, const struct tcp_arrival *in)
{
	if ((in->h.flags & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN)
		return false;
	if (c->ts_ok && in->h.has_ts && in->h.tsval != c->ts_recent)
		return seq_lt(c->ts_recent, in->h.tsval);
	return seq_lt(c->rcv_nxt, in->h.seq);
}

/* -> false: it is over, and the segment is a listener's */
static bool time_wait_input(struct tcp_stack *s, struct tcp_conn *c,
			    struct tcp_arrival *in)
{
	if (newer_syn(c, in) && !c->owned &&
	    tcp_listener_find(s, &in->packet->tuple)) {
		s->counters.time_wait_reused++;
		tcp_conn_free(s, c);
		return false;
	}
	/* RFC 1337: a reset must not end it */
	if (in->h.flags & TCP_RST)
		return true;
	if (c->ts_ok && in->h.has_ts && too_old(c, in)) {
		s->counters.rx_paws++;
		tcp_conn_challenge(s, c, in->now);
		return true;
	}
	if ((in->h.flags & TCP_FIN) && in->end + 1 == c->rcv_nxt) {
		c->ack_now = true;
		c->wait_at = in->now + s->config.time_wait;
		return true;
	}
	if (in->length || (in->h.flags & TCP_SYN) || in->h.seq != c->rcv_nxt)
		tcp_conn_challenge(s, c, in->now);
	return true;
}

/* -- entry ----------------------------------------------------------------- */

static void no_connection(struct tcp_stack *s, struct tcp_arrival *in)
{
	struct tcp_listener *l = tcp_listener_find(s, &in->packet->tuple);
	struct tcp_conn *c = NULL;

	if (l)
		c = tcp_listen_input(s, l, in);
	else
		tcp_reply_reset(s, in);
	if (c) {
		open_input(s, c, in);
		tcp_conn_touch(s, c);
	}
}

static bool measure(struct tcp_arrival *in)
{
	const struct tcp_packet *p = in->packet;
	uint64_t length = 0;
	unsigned i;

	if (p->ref_count > TCP_REFS_MAX)
		return false;
	for (i = 0; i < p->ref_count; i++)
		length += p->refs[i].length;
	if (length > PAYLOAD_MAX)
		return false;
	in->length = (uint32_t)length;
	in->end = in->h.seq + in->length;
	return true;
}

int tcp_input(struct tcp_stack *s, const struct tcp_packet *packet,
	      struct tcp_kept *kept, uint64_t now)
{
	struct tcp_arrival in = { .packet = packet, .kept = kept, .now = now };
	struct tcp_conn *c;

	memset(kept, 0, sizeof(*kept));
	s->counters.rx_packets++;
	s->counters.rx_segments += packet->segments ? packet->segments : 1;
	if (tcp_wire_parse(&in.h, packet->head, packet->head_bytes) < 0 ||
	    in.h.source != packet->tuple.remote_port ||
	    in.h.destination != packet->tuple.local_port || !measure(&in)) {
		s->counters.rx_bad++;
		return -EBADMSG;
	}
	c = tcp_table_find(s, &packet->tuple);
	if (c && c->state == TCP_ST_TIME_WAIT && !time_wait_input(s, c, &in))
		c = NULL;
	else if (c && c->state == TCP_ST_SYN_SENT)
		tcp_syn_sent_input(s, c, &in);
	else if (c && c->state != TCP_ST_TIME_WAIT)
		open_input(s, c, &in);
	if (!c) {
		s->counters.rx_no_conn++;
		no_connection(s, &in);
		return -ENOENT;
	}
	tcp_conn_touch(s, c);
	return 0;
}
