/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_ack.c - the acknowledgement and the window of a segment
 *
 * Decides whether the ACK is believable (RFC 5961, 5.2), moves SND.UNA and the
 * window (RFC 9293, 3.10.7.4), and hands what was learned to recovery. A peer
 * that shrinks its window is believed about what it will take, and what is in
 * flight stays in flight.
 */
#include "engine/tcp_internal.h"

static bool believable(struct tcp_stack *s, struct tcp_conn *c,
		       const struct tcp_arrival *in)
{
	uint32_t ack = in->h.ack;

	if (!seq_lt(c->snd_max, ack) &&
	    !seq_lt(ack, c->snd_una - c->snd_wnd_max))
		return true;
	s->counters.rx_bad_ack++;
	tcp_conn_challenge(s, c, in->now);
	return false;
}

static bool update_window(struct tcp_conn *c, const struct tcp_arrival *in)
{
	uint32_t window = (uint32_t)in->h.window << c->snd_wscale;
	bool changed = window != c->snd_wnd;

	if (!seq_lt(c->snd_wl1, in->h.seq) &&
	    (c->snd_wl1 != in->h.seq || seq_lt(in->h.ack, c->snd_wl2)))
		return false;
	c->snd_wnd = window;
	c->snd_wnd_max = tcp_max32(c->snd_wnd_max, window);
	c->snd_wl1 = in->h.seq;
	c->snd_wl2 = in->h.ack;
	return changed;
}

/* Moves SND.UNA over stream bytes, and maybe the FIN. */
static void advance(struct tcp_stack *s, struct tcp_conn *c,
		    const struct tcp_arrival *in, struct tcp_acked *a)
{
	uint32_t ack = in->h.ack;

	a->advanced = ack - c->snd_una;
	tcp_flight_ack(s, c, ack, &in->h, a, in->now);
	if (c->fin_sent && !c->fin_acked &&
	    ack == tcp_conn_queue_end(c) + 1) {
		c->fin_acked = true;
		c->una_offset = c->queued;
	} else {
		c->una_offset += a->advanced;
	}
	c->snd_una = ack;
	/* a window probe's byte was accepted */
	if (seq_lt(c->snd_nxt, ack))
		c->snd_nxt = ack;
	if (c->urgent && seq_le(c->snd_up, ack))
		c->urgent = false;
	tcp_conn_event(s, c, TCP_EVENT_WRITABLE);
}

/*
 * Where no record tells the time, the timestamp does (RFC 7323, 4). But an echo
 * of the original may mean that its ACK was lost, not that it took long: only
 * the time since the retransmission is sure then. Taking more would let each
 * lost ACK make the timer as long as its own wait.
 */
static void sample_rtt(struct tcp_stack *s, struct tcp_conn *c,
		       const struct tcp_arrival *in, const struct tcp_acked *a)
{
	uint32_t echo = tcp_conn_ts(c, in->now) - in->h.tsecr;
	uint64_t since = in->now - a->resent_at, rtt;

	if (a->rtt != TCP_NEVER) {
		tcp_rtt_sample(s, c, a->rtt);
		return;
	}
	if (!a->cumulative || !c->ts_ok || !in->h.has_ts || !in->h.tsecr ||
	    echo >= 1u << 22)
		return;
	rtt = (echo ? echo : 1ull) * TCP_US_PER_MS;
	if (a->resent && (c->min_rtt == TCP_NEVER || since >= c->min_rtt))
		rtt = tcp_min64(rtt, since);
	tcp_rtt_sample(s, c, rtt);
}

static void restart_timer(struct tcp_conn *c, struct tcp_stack *s,
			  const struct tcp_acked *a, uint64_t now)
{
	if (a->advanced) {
		c->backoff = 0;
		tcp_rtt_arm(s, c, now);
	} else if (c->send_timer == TCP_TIMER_REORDER ||
		   (c->send_timer == TCP_TIMER_TLP && a->sacked)) {
		c->send_timer = TCP_TIMER_RTO;
		c->send_at = c->rto_at;
	}
}

/*
 * The peer lives: what it may still do without progress is keep its window
 * closed, for as long as it likes (RFC 9293, 3.8.6.1).
 */
static void note_answer(struct tcp_conn *c, const struct tcp_acked *a)
{
	if (a->advanced || c->send_timer == TCP_TIMER_PERSIST ||
	    c->snd_wnd == 0)
		c->tries = 0;
	if (c->send_timer == TCP_TIMER_PERSIST && a->window_changed) {
		c->send_timer = TCP_TIMER_OFF;
		c->send_at = c->rto_at = TCP_NEVER;
		c->backoff = 0;
	}
}

bool tcp_ack_input(struct tcp_stack *s, struct tcp_conn *c,
		   struct tcp_arrival *in)
{
	struct tcp_acked a = { .rtt = TCP_NEVER };
	uint32_t flight = c->snd_nxt - c->snd_una;

	if (!believable(s, c, in))
		return false;
	if (seq_lt(in->h.ack, c->snd_una))
		return true;
	a.has_data = in->length || (in->h.flags & TCP_FIN);
	a.window_changed = update_window(c, in);
	if (in->h.ack != c->snd_una)
		advance(s, c, in, &a);
	else if (flight && !a.has_data && !a.window_changed)
		a.repeats = in->packet->dup_acks ? in->packet->dup_acks : 1;
	tcp_sack_input(s, c, &in->h, &a, in->now);
	sample_rtt(s, c, in, &a);
	note_answer(c, &a);
	restart_timer(c, s, &a, in->now);
	tcp_tlp_ack(s, c, in->h.ack, &a, in->now);
	if (flight)
		tcp_recovery_ack(s, c, &in->h, &a, in->now);
	return true;
}
