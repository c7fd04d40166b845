/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_conn.c - the life of a connection
 *
 * A slot is free, half open (made by a SYN; known to its listener only), in
 * the accept queue, owned (the caller has its name), or an orphan: freed by the
 * caller and in TIME-WAIT. It returns to the free list when it is CLOSED and
 * neither owned nor in a queue. When none is free, the oldest orphan makes way:
 * TIME-WAIT protects against old duplicates, and so do initial sequence numbers
 * that only rise (RFC 6528) and PAWS, so service goes before it.
 */
#include "engine/tcp_internal.h"

#include <errno.h>
#include <string.h>

#include "engine/tcp_hash.h"

enum {
	MSS_LEAST = 48,	    /* of payload: a peer must not make it smaller */
	MSS_DEFAULT_4 = 536, /* RFC 9293, 3.7.1 */
	MSS_DEFAULT_6 = 1220,
	CHALLENGES = 10,    /* per second and connection (RFC 5961, 7) */
};

/* RFC 6528: a clock of 4 microseconds, and a secret of the addresses. */
uint32_t tcp_conn_isn(const struct tcp_stack *s, const struct tcp_tuple *t,
		      uint64_t now)
{
	return (uint32_t)(now / 4) +
	       (uint32_t)tcp_hash(s->config.isn_key, 'I', t, sizeof(*t));
}

/* RFC 7323, 5.4: the same for all connections of these addresses. */
uint32_t tcp_conn_ts_offset(const struct tcp_stack *s,
			    const struct tcp_tuple *t)
{
	return (uint32_t)tcp_hash(s->config.isn_key, 'O', t, sizeof(*t));
}

uint32_t tcp_conn_mss(const struct tcp_conn *c)
{
	uint32_t mss = tcp_min32(c->mss_path, c->mss_peer);
	uint32_t options = c->ts_ok ? TCP_TS_BYTES : 0;

	return mss > MSS_LEAST + options ? mss - options : MSS_LEAST;
}

static void recycle(struct tcp_stack *s)
{
	struct tcp_conn *c;

	if (s->time_wait.first == TCP_NIL)
		return;
	c = tcp_conn_at(s, s->time_wait.first);
	s->counters.time_wait_recycled++;
	tcp_conn_free(s, c);
}

void tcp_conn_stop_timers(struct tcp_conn *c)
{
	c->send_timer = TCP_TIMER_OFF;
	c->send_at = c->rto_at = c->ack_at = c->keep_at = TCP_NEVER;
	c->wait_at = c->linger_at = TCP_NEVER;
}

static void init_times(struct tcp_stack *s, struct tcp_conn *c, uint64_t now)
{
	tcp_conn_stop_timers(c);
	c->last_heard = now;
	c->keep_idle = s->config.keep_idle;
	c->keep_interval = s->config.keep_interval;
	c->keep_count = s->config.keep_count;
	c->rto = s->config.rto_initial;
	c->min_rtt = TCP_NEVER;
	c->reo_mult = 1;
}

static void init_receive(struct tcp_stack *s, struct tcp_conn *c)
{
	c->recv_bytes = s->config.recv_bytes;
	if (!s->config.window_scale)
		c->recv_bytes = tcp_min32(c->recv_bytes, 65535);
	c->ready_first = c->ready_last = TCP_NIL;
	c->island_first = c->island_last = TCP_NIL;
	c->rcv_mss = MSS_DEFAULT_4;
}

struct tcp_conn *tcp_conn_make(struct tcp_stack *s, const struct tcp_tuple *t,
			       uint32_t mss, uint64_t now)
{
	struct tcp_conn *c;
	uint32_t index, generation;

	if (s->free.first == TCP_NIL)
		recycle(s);
	c = tcp_list_pop(s, &s->free, TCP_LIST_PLACE);
	if (!c)
		return NULL;
	index = c->index;
	generation = c->generation;
	memset(c, 0, sizeof(*c));
	c->index = index;
	c->generation = generation;
	c->tuple = *t;
	c->heap_at = c->hash_next = c->listener = TCP_NIL;
	c->sent_first = c->sent_last = TCP_NIL;
	c->cc_kind = s->config.cc;
	c->mss_path = mss;
	c->mss_peer = t->family == 4 ? MSS_DEFAULT_4 : MSS_DEFAULT_6;
	c->ts_offset = tcp_conn_ts_offset(s, t);
	c->iss = tcp_conn_isn(s, t, now);
	c->snd_una = c->snd_nxt = c->snd_max = c->iss;
	init_times(s, c, now);
	init_receive(s, c);
	tcp_table_add(s, c);
	return c;
}

void tcp_conn_free(struct tcp_stack *s, struct tcp_conn *c)
{
	if (c->state != TCP_ST_CLOSED)
		tcp_table_del(s, c);
	tcp_heap_remove(s, c);
	tcp_list_del(s, &s->output, TCP_LIST_OUTPUT, c);
	tcp_list_del(s, &s->events, TCP_LIST_EVENT, c);
	if (c->time_wait)
		tcp_list_del(s, &s->time_wait, TCP_LIST_PLACE, c);
	tcp_flight_free(s, c);
	c->state = TCP_ST_CLOSED;
	c->owned = c->time_wait = false;
	c->generation++;
	tcp_list_add(s, &s->free, TCP_LIST_PLACE, c);
}

void tcp_conn_event(struct tcp_stack *s, struct tcp_conn *c, uint32_t what)
{
	c->events |= what;
	if (c->owned)
		tcp_list_add(s, &s->events, TCP_LIST_EVENT, c);
}

void tcp_conn_finish(struct tcp_stack *s, struct tcp_conn *c, int error)
{
	if (c->state == TCP_ST_CLOSED)
		return;
	if (c->passive && !c->owned && !c->in_queue)
		tcp_listener_at(s, c->listener)->halves--;
	tcp_table_del(s, c);
	tcp_conn_stop_timers(c);
	tcp_heap_remove(s, c);
	tcp_list_del(s, &s->output, TCP_LIST_OUTPUT, c);
	tcp_flight_free(s, c);
	tcp_receive_drop(s, c);
	c->state = TCP_ST_CLOSED;
	c->error = error;
	if (!c->owned && !c->in_queue) {
		tcp_conn_free(s, c);
		return;
	}
	tcp_conn_event(s, c, error ? TCP_EVENT_RESET : TCP_EVENT_CLOSED);
}

/* Closes and tells the peer, where there is one to tell. */
void tcp_conn_reset(struct tcp_stack *s, struct tcp_conn *c, int error)
{
	struct tcp_head h = {
		.seq = c->snd_nxt,
		.ack = c->rcv_nxt,
		.flags = TCP_RST | TCP_ACK,
	};

	if (c->state != TCP_ST_CLOSED && c->state != TCP_ST_SYN_SENT &&
	    c->state != TCP_ST_TIME_WAIT) {
		s->counters.tx_resets++;
		tcp_reply(s, &c->tuple, &h);
	}
	tcp_conn_finish(s, c, error);
}

/*
 * All is said in both directions: the caller need not wait, so the event comes
 * now. The slot stays, to answer a FIN that comes again.
 */
void tcp_conn_time_wait(struct tcp_stack *s, struct tcp_conn *c, uint64_t now)
{
	c->state = TCP_ST_TIME_WAIT;
	tcp_flight_free(s, c);
	tcp_conn_stop_timers(c);
	c->wait_at = now + s->config.time_wait;
	tcp_conn_event(s, c, TCP_EVENT_CLOSED);
}

static void queue_for_accept(struct tcp_stack *s, struct tcp_conn *c)
{
	struct tcp_listener *l = tcp_listener_at(s, c->listener);

	l->halves--;
	l->waiting++;
	c->in_queue = true;
	tcp_list_add(s, &l->queue, TCP_LIST_PLACE, c);
	if (!l->event) {
		l->event = true;
		s->listener_events++;
	}
}

/* SND.UNA and the peer's window are set; the options were read. */
void tcp_conn_established(struct tcp_stack *s, struct tcp_conn *c, uint64_t now)
{
	bool lost = c->tries > 0;

	c->state = c->fin_queued ? TCP_ST_FIN_WAIT_1 : TCP_ST_ESTABLISHED;
	c->snd_nxt = c->snd_max = c->snd_una;
	c->una_offset = 0;
	c->backoff = c->tries = 0;
	c->send_timer = TCP_TIMER_OFF;
	c->send_at = TCP_NEVER;
	c->syn_pending = false;
	c->rack_fack = c->recovery_point = c->snd_small = c->snd_una;
	tcp_cc_init(c);
	if (lost) {
		/* RFC 6298, 5.7, and RFC 5681, 3.1 */
		c->rto = tcp_max64(c->rto, 3 * TCP_US_PER_S);
		c->cc.cwnd = tcp_conn_mss(c);
	}
	c->last_heard = now;
	if (c->keepalive)
		c->keep_at = now + c->keep_idle;
	if (c->passive)
		queue_for_accept(s, c);
	else
		tcp_conn_event(s, c, TCP_EVENT_CONNECTED | TCP_EVENT_WRITABLE);
}

void tcp_conn_touch(struct tcp_stack *s, struct tcp_conn *c)
{
	if (c->state == TCP_ST_CLOSED)
		return;
	tcp_list_add(s, &s->output, TCP_LIST_OUTPUT, c);
	tcp_heap_update(s, c);
}

/*
 * RFC 5961: what a stranger could have sent is answered with an ACK, which
 * makes a peer that has really lost its state send an exact reset. The limit is
 * per connection: one for all would let a stranger count (CVE-2016-5696).
 */
void tcp_conn_challenge(struct tcp_stack *s, struct tcp_conn *c, uint64_t now)
{
	if (!c->challenge_at || now - c->challenge_at >= TCP_US_PER_S) {
		c->challenge_at = now;
		c->challenges = 0;
	}
	if (c->challenges >= CHALLENGES) {
		s->counters.challenge_limited++;
		return;
	}
	c->challenges++;
	s->counters.challenge_acks++;
	c->ack_now = true;
}

/* What a SYN offers, and we allow, holds for the connection's life. */
void tcp_conn_options(struct tcp_stack *s, struct tcp_conn *c,
		      const struct tcp_head *h)
{
	if (h->has_mss)
		c->mss_peer = h->mss;
	c->wscale_ok = h->has_wscale && s->config.window_scale;
	c->snd_wscale = c->wscale_ok ? h->wscale : 0;
	c->rcv_wscale = c->wscale_ok ? s->wscale : 0;
	if (!c->wscale_ok)
		c->recv_bytes = tcp_min32(c->recv_bytes, 65535);
	c->sack_ok = h->has_sack_ok && s->config.sack;
	c->ts_ok = h->has_ts && s->config.timestamps;
}
