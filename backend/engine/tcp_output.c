/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_output.c - fills the caller's array with what is to be sent
 *
 * Everything else only changes a connection's state and puts it on the output
 * list; here, once, it is decided what that state has to say, in this order:
 * SYN, ACKs that payload cannot carry, what is lost, a tail loss probe, new
 * payload and FIN, a window probe, a keepalive, an ACK alone. When the array is
 * full the connection stays on the list, at its end.
 */
#include "engine/tcp_internal.h"

struct room {
	struct tcp_segment *out;
	unsigned used;
	unsigned max;
	uint64_t now;
};

static struct tcp_segment *next_segment(struct room *r)
{
	return &r->out[r->used++];
}

static bool full(const struct room *r)
{
	return r->used == r->max;
}

static uint32_t unsent(const struct tcp_conn *c)
{
	uint32_t end = tcp_conn_queue_end(c);

	return !c->fin_acked && seq_lt(c->snd_nxt, end) ? end - c->snd_nxt : 0;
}

static bool fin_unsent(const struct tcp_conn *c)
{
	return c->fin_queued && !c->fin_acked &&
	       seq_le(c->snd_nxt, tcp_conn_queue_end(c));
}

static uint32_t window_left(const struct tcp_conn *c)
{
	uint32_t end = c->snd_una + c->snd_wnd;

	return seq_lt(c->snd_nxt, end) ? end - c->snd_nxt : 0;
}

static uint32_t cwnd_left(const struct tcp_conn *c)
{
	uint32_t pipe = tcp_flight_pipe(c);

	return pipe < c->cc.cwnd ? c->cc.cwnd - pipe : 0;
}

/* -- ACKs without payload -------------------------------------------------- */

static void send_ack(struct tcp_stack *s, struct tcp_conn *c, struct room *r,
		     uint32_t ack)
{
	tcp_build_ack(s, c, next_segment(r), c->snd_nxt, ack, r->now);
}

/*
 * An aggregate of many segments may be owed more ACKs than one: a sender that
 * counts ACKs and not bytes would grow too slowly (ack_stretch). Those before
 * the last go out here, and the last too if it has SACK blocks to tell. When a
 * gap was filled there is one ACK for all: apart, the later ones would look as
 * if they answered what was sent long ago.
 */
static void send_acks_first(struct tcp_stack *s, struct tcp_conn *c,
			    struct room *r)
{
	uint32_t step = s->config.ack_stretch * c->rcv_mss;

	if (!c->ack_now)
		return;
	while (step && !c->ack_jump && !full(r) &&
	       seq_lt(c->rcv_acked + step, c->rcv_nxt))
		send_ack(s, c, r, c->rcv_acked + step);
	if (!full(r) && (c->island_first != TCP_NIL || c->dsack_pending))
		send_ack(s, c, r, c->rcv_nxt);
}

/* -- what is lost ---------------------------------------------------------- */

static void resend(struct tcp_stack *s, struct tcp_conn *c, struct room *r,
		   struct tcp_sent *sent)
{
	uint32_t length = sent->end - sent->seq - sent->fin;
	uint32_t mss = tcp_conn_mss(c);
	uint8_t flags = TCP_PSH;

	if (sent->fin)
		flags |= TCP_FIN;
	tcp_flight_mark_resent(c, sent, r->now);
	sent->mss = (uint16_t)mss;
	c->prr_out += sent->end - sent->seq;
	if (c->undo_valid && !c->undo_ts)
		c->undo_ts = tcp_conn_ts(c, r->now) | 1;
	tcp_build_segment(s, c, next_segment(r), sent->seq, length, flags,
			  r->now);
	c->last_sent = r->now;
	c->retransmits += (length + mss - 1) / mss + !length;
	s->counters.retransmits += (length + mss - 1) / mss + !length;
}

/* How much of a lost record may go now; 0: wait. */
static uint32_t resend_size(const struct tcp_stack *s, const struct tcp_conn *c,
			    const struct tcp_sent *sent, bool first)
{
	uint32_t size = sent->end - sent->seq, mss = tcp_conn_mss(c);
	uint32_t left = cwnd_left(c);

	/* only the first is sent into a window that was taken back */
	if (seq_lt(c->snd_una + c->snd_wnd, sent->end)) {
		if (!first)
			return 0;
		size = tcp_min32(size, mss);
	}
	if (left < tcp_min32(size, mss))
		return tcp_flight_pipe(c) ? 0 : tcp_min32(size, mss);
	size = tcp_min32(size, tcp_min32(left, s->config.segment_bytes));
	return size > mss && size < sent->end - sent->seq ? size / mss * mss :
							    size;
}

static void send_lost(struct tcp_stack *s, struct tcp_conn *c, struct room *r)
{
	uint32_t i = c->sent_first, size;

	while (i != TCP_NIL && c->lost_bytes > c->resent_bytes && !full(r)) {
		struct tcp_sent *sent = tcp_sent_at(s, i);

		if (!sent->lost || sent->resent) {
			i = sent->next;
			continue;
		}
		size = resend_size(s, c, sent, i == c->sent_first);
		if (!size)
			break;
		/* with no record to cut with, all of it goes */
		if (size < sent->end - sent->seq)
			tcp_flight_split(s, c, sent, sent->seq + size);
		resend(s, c, r, sent);
		if (i == c->sent_first)
			tcp_rtt_arm(s, c, r->now);
		i = sent->next;
	}
}

/* -- new payload ----------------------------------------------------------- */

/*
 * RFC 9293, 3.7.4 (Nagle), in Minshall's form: a segment that is not full waits
 * while another such one is in flight; a tail after full ones need not.
 */
static bool may_send_small(const struct tcp_conn *c)
{
	if (c->push_small || c->fin_queued)
		return true;
	if (c->cork || c->more)
		return false;
	return c->nodelay || !seq_lt(c->snd_una, c->snd_small);
}

/* Bytes of the next new segment; 0: none now. */
static uint32_t new_size(const struct tcp_stack *s, struct tcp_conn *c)
{
	uint32_t mss = tcp_conn_mss(c), avail = unsent(c), left = cwnd_left(c);
	uint32_t window = window_left(c);
	uint32_t size = tcp_min32(avail, tcp_min32(window,
						   s->config.segment_bytes));

	if (left < size) {
		c->cwnd_limited = true;
		size = left / mss * mss;
		if (!size && !tcp_flight_pipe(c))
			size = tcp_min32(mss, tcp_min32(avail, window));
	}
	if (c->urgent) /* its pointer is not cut with the payload */
		size = tcp_min32(size, mss);
	if (size >= mss)
		return size % mss && (size < avail || !may_send_small(c)) ?
			       size - size % mss : size;
	if (size == avail)
		return may_send_small(c) ? size : 0;
	/* the window is small: RFC 9293, 3.8.6.2.1 */
	return c->push_small || size >= c->snd_wnd_max / 2 ? size : 0;
}

/* -> false: there is no record to remember it with */
static bool send_range(struct tcp_stack *s, struct tcp_conn *c, struct room *r,
		       uint32_t length, bool fin)
{
	uint32_t seq = c->snd_nxt, end = seq + length + fin;
	struct tcp_segment *out;
	struct tcp_sent *sent;
	uint8_t flags = 0;

	sent = tcp_flight_append(s, c, seq, end, r->now);
	if (!sent)
		return false;
	sent->fin = fin;
	sent->mss = (uint16_t)tcp_conn_mss(c);
	if (length == unsent(c))
		flags |= TCP_PSH;
	if (fin) {
		flags |= TCP_FIN;
		c->fin_sent = true;
	}
	if (length && c->cwr_pending) {
		flags |= TCP_CWR;
		c->cwr_pending = false;
	}
	out = next_segment(r);
	tcp_build_segment(s, c, out, seq, length, flags, r->now);
	if (length && c->ecn_ok)
		out->ecn = TCP_ECN_ECT0;
	c->snd_nxt = end;
	c->snd_max = seq_max(c->snd_max, end);
	if (length % sent->mss)
		c->snd_small = end;
	c->prr_out += end - seq;
	c->last_sent = r->now;
	return true;
}

/* RFC 6298, 5.1: it runs while anything is in flight. RFC 8985, 7.2. */
static void arm_after_send(struct tcp_stack *s, struct tcp_conn *c,
			   uint64_t now)
{
	uint64_t tlp;

	if (c->send_timer == TCP_TIMER_OFF ||
	    c->send_timer == TCP_TIMER_PERSIST) {
		c->backoff = 0;
		tcp_rtt_arm(s, c, now);
		return;
	}
	if (c->send_timer == TCP_TIMER_REORDER)
		return;
	tlp = tcp_tlp_timeout(s, c, now);
	c->send_timer = tlp < c->rto_at ? TCP_TIMER_TLP : TCP_TIMER_RTO;
	c->send_at = tcp_min64(tlp, c->rto_at);
}

/* -> segments sent */
static unsigned send_new(struct tcp_stack *s, struct tcp_conn *c,
			 struct room *r)
{
	unsigned begin = r->used;
	bool fin;

	if (c->snd_una == c->snd_nxt && c->last_sent &&
	    r->now - c->last_sent > c->rto)
		tcp_cc_idle(c);
	if (unsent(c) || fin_unsent(c))
		c->cwnd_limited = false;
	while (!full(r) && (unsent(c) || fin_unsent(c))) {
		uint32_t size = unsent(c) ? new_size(s, c) : 0;

		fin = fin_unsent(c) && size == unsent(c) &&
		      window_left(c) > size;
		if (!size && !fin)
			break;
		if (!send_range(s, c, r, size, fin))
			break;
	}
	if (r->used != begin) {
		/* while the window doubles, half of it is enough to go on */
		if (c->cc.cwnd < c->cc.ssthresh &&
		    tcp_flight_pipe(c) >= c->cc.cwnd / 2)
			c->cwnd_limited = true;
		arm_after_send(s, c, r->now);
	}
	return r->used - begin;
}

/* -- probes ---------------------------------------------------------------- */

/* RFC 8985, 7.3: new payload, else the last segment again. */
static void send_tlp(struct tcp_stack *s, struct tcp_conn *c, struct room *r)
{
	uint32_t mss = tcp_conn_mss(c), size;
	struct tcp_sent *last;

	if (!c->tlp_now || full(r))
		return;
	c->tlp_now = false;
	if (c->sent_last == TCP_NIL)
		return;
	size = tcp_min32(tcp_min32(unsent(c), mss), window_left(c));
	c->tlp_resent = !size || !send_range(s, c, r, size, false);
	if (c->tlp_resent) {
		last = tcp_sent_at(s, c->sent_last);
		if (seq_lt(c->snd_una + c->snd_wnd, last->end))
			return; /* the peer has taken its window back */
		if (last->end - last->seq > mss &&
		    tcp_flight_split(s, c, last, last->end - mss))
			last = tcp_sent_at(s, c->sent_last);
		resend(s, c, r, last);
	}
	s->counters.tlp_probes++;
	c->tlp_out = true;
	c->tlp_end = c->snd_nxt;
}

/*
 * RFC 9293, 3.8.6.1: one byte beyond the window, which is not counted as sent:
 * if the peer takes it, its ACK says so (SND.MAX).
 */
static void send_window_probe(struct tcp_stack *s, struct tcp_conn *c,
			      struct room *r)
{
	uint8_t flags = TCP_PSH;
	uint32_t length = 1;

	if (!unsent(c)) {
		flags = TCP_FIN;
		length = 0;
		c->fin_sent = true;
	}
	tcp_build_segment(s, c, next_segment(r), c->snd_nxt, length, flags,
			  r->now);
	c->snd_max = seq_max(c->snd_max, c->snd_nxt + 1);
	s->counters.window_probes++;
}

static void send_probe(struct tcp_stack *s, struct tcp_conn *c, struct room *r)
{
	if (!c->probe_now || full(r))
		return;
	c->probe_now = false;
	if (c->snd_una != c->snd_nxt || (!unsent(c) && !fin_unsent(c)))
		return;
	c->push_small = true;
	if (!send_new(s, c, r))
		send_window_probe(s, c, r);
	c->push_small = false;
}

/* With something to send and nothing in flight, only a timer goes on. */
static void arm_persist(struct tcp_stack *s, struct tcp_conn *c, uint64_t now)
{
	if (c->send_timer != TCP_TIMER_OFF || c->snd_una != c->snd_nxt ||
	    (!unsent(c) && !fin_unsent(c)))
		return;
	c->send_timer = TCP_TIMER_PERSIST;
	c->send_at = now + tcp_rtt_backed_off(s, c);
}

static void send_keepalive(struct tcp_stack *s, struct tcp_conn *c,
			   struct room *r)
{
	if (!c->keep_now || full(r))
		return;
	c->keep_now = false;
	tcp_build_ack(s, c, next_segment(r), c->snd_nxt - 1, c->rcv_nxt,
		      r->now);
	s->counters.keep_probes++;
}

/* -- all of it ------------------------------------------------------------- */

static void send_syn(struct tcp_stack *s, struct tcp_conn *c, struct room *r)
{
	if (!c->syn_pending || full(r))
		return;
	c->syn_pending = false;
	tcp_build_syn(s, c, next_segment(r), r->now);
	if (c->send_timer == TCP_TIMER_OFF) {
		c->send_timer = TCP_TIMER_RTO;
		c->send_at = c->rto_at = r->now + tcp_rtt_backed_off(s, c);
	}
}

static void conn_output(struct tcp_stack *s, struct tcp_conn *c, struct room *r)
{
	if (c->state == TCP_ST_SYN_SENT || c->state == TCP_ST_SYN_RECEIVED) {
		send_syn(s, c, r);
	} else if (c->state != TCP_ST_TIME_WAIT) {
		send_acks_first(s, c, r);
		send_lost(s, c, r);
		send_tlp(s, c, r);
		send_new(s, c, r);
		send_probe(s, c, r);
		arm_persist(s, c, r->now);
		send_keepalive(s, c, r);
	}
	if (c->ack_now && !full(r) && c->state != TCP_ST_SYN_SENT)
		send_ack(s, c, r, c->rcv_nxt);
}

unsigned tcp_output(struct tcp_stack *s, struct tcp_segment *out, unsigned max,
		    uint64_t now)
{
	struct room r = { .out = out, .max = max, .now = now };
	struct tcp_conn *c;

	while (s->reply_count && !full(&r)) {
		out[r.used++] = *tcp_reply_at(s, s->reply_first);
		s->reply_first = (s->reply_first + 1) % s->config.replies;
		s->reply_count--;
		s->counters.tx_segments++;
	}
	while (!full(&r) &&
	       (c = tcp_list_pop(s, &s->output, TCP_LIST_OUTPUT))) {
		conn_output(s, c, &r);
		tcp_heap_update(s, c);
		if (full(&r))
			tcp_list_add(s, &s->output, TCP_LIST_OUTPUT, c);
	}
	return r.used;
}
