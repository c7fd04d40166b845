/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_user.c - the calls of the user (RFC 9293, 3.10.1 to 3.10.6)
 *
 * Each checks what the state allows, changes the connection, and touches it, so
 * that tcp_output() looks at it. Nothing is sent from here.
 */
#include "engine/tcp_internal.h"

#include <errno.h>
#include <string.h>

enum { QUEUE_MAX = 1 << 30 };

/* A year: times beyond it are never reached, and must not wrap. */
#define LONGEST (365ull * 86400 * TCP_US_PER_S)

int tcp_connect(struct tcp_stack *s, const struct tcp_tuple *tuple,
		unsigned mss, uint64_t now)
{
	struct tcp_conn *c;

	if ((tuple->family != 4 && tuple->family != 6) || !tuple->local_port ||
	    !tuple->remote_port || !mss || mss > 65535)
		return -EINVAL;
	c = tcp_table_find(s, tuple);
	if (c) {
		/* RFC 6191 from the other side: our timestamps only rise */
		if (!c->time_wait || !c->ts_ok ||
		    now - c->last_heard < TCP_US_PER_S)
			return -EADDRINUSE;
		s->counters.time_wait_reused++;
		tcp_conn_free(s, c);
	}
	c = tcp_conn_make(s, tuple, mss, now);
	if (!c)
		return -ENOBUFS;
	c->owned = true;
	c->ecn_ok = s->config.ecn;
	c->state = TCP_ST_SYN_SENT;
	c->syn_pending = true;
	tcp_conn_touch(s, c);
	return tcp_conn_name(c);
}

static bool can_send(const struct tcp_conn *c)
{
	return c->state == TCP_ST_SYN_SENT || c->state == TCP_ST_SYN_RECEIVED ||
	       c->state == TCP_ST_ESTABLISHED || c->state == TCP_ST_CLOSE_WAIT;
}

int tcp_send(struct tcp_stack *s, int conn, uint32_t bytes, unsigned flags,
	     uint64_t now)
{
	struct tcp_conn *c = tcp_conn_named(s, conn);

	(void)now;
	if (!c)
		return -EBADF;
	if (c->fin_queued || !can_send(c))
		return c->state == TCP_ST_CLOSED ? -ENOTCONN : -EPIPE;
	/* sequence numbers must stay comparable */
	if (bytes > QUEUE_MAX - (c->queued - c->una_offset))
		return -ENOBUFS;
	c->queued += bytes;
	c->more = flags & TCP_SEND_MORE;
	if ((flags & TCP_SEND_URGENT) && bytes &&
	    tcp_state_synchronized(c->state)) {
		c->urgent = true;
		c->snd_up = tcp_conn_queue_end(c);
	}
	tcp_conn_touch(s, c);
	return 0;
}

static void hold_free(struct tcp_stack *s, struct tcp_conn *c)
{
	uint32_t i = c->ready_first;
	struct tcp_hold *p = tcp_hold_at(s, i);

	c->ready_first = p->next;
	if (c->ready_first == TCP_NIL)
		c->ready_last = TCP_NIL;
	c->ready_count--;
	p->next = s->free_hold;
	s->free_hold = i;
	s->holds_used--;
}

int tcp_recv_take(struct tcp_stack *s, int conn, struct tcp_piece *out,
		  unsigned max)
{
	struct tcp_conn *c = tcp_conn_named(s, conn);
	unsigned n = 0;

	if (!c)
		return -EBADF;
	for (; n < max && c->ready_first != TCP_NIL; n++) {
		const struct tcp_hold *p = tcp_hold_at(s, c->ready_first);

		out[n].buffer = p->buffer;
		out[n].offset = p->offset;
		out[n].length = p->length;
		out[n].flags = p->flags;
		if (!(p->flags & TCP_PIECE_DROPPED))
			c->ready_bytes -= p->length;
		hold_free(s, c);
	}
	return (int)n;
}

int tcp_recv_done(struct tcp_stack *s, int conn, uint32_t bytes, uint64_t now)
{
	struct tcp_conn *c = tcp_conn_named(s, conn);

	(void)now;
	if (!c)
		return -EBADF;
	if (bytes > c->pending - c->ready_bytes)
		return -EINVAL;
	c->pending -= bytes;
	if ((c->state == TCP_ST_ESTABLISHED || c->state == TCP_ST_FIN_WAIT_1 ||
	     c->state == TCP_ST_FIN_WAIT_2) && tcp_receive_window_grew(s, c)) {
		c->ack_now = true;
		tcp_conn_touch(s, c);
	}
	return 0;
}

static void queue_fin(struct tcp_stack *s, struct tcp_conn *c)
{
	c->fin_queued = true;
	c->more = c->cork = false;
	if (c->state == TCP_ST_ESTABLISHED)
		c->state = TCP_ST_FIN_WAIT_1;
	else if (c->state == TCP_ST_CLOSE_WAIT)
		c->state = TCP_ST_LAST_ACK;
	tcp_conn_touch(s, c);
}

int tcp_shutdown(struct tcp_stack *s, int conn, uint64_t now)
{
	struct tcp_conn *c = tcp_conn_named(s, conn);

	(void)now;
	if (!c)
		return -EBADF;
	if (c->fin_queued)
		return 0;
	if (c->state == TCP_ST_CLOSED || c->state == TCP_ST_SYN_SENT)
		return -ENOTCONN;
	queue_fin(s, c);
	return 0;
}

/* Nobody reads any more. -> something was there to read */
static bool drop_unread(struct tcp_stack *s, struct tcp_conn *c)
{
	bool unread = c->ready_bytes || c->island_first != TCP_NIL;
	uint32_t i;

	c->read_closed = true;
	for (i = c->ready_first; i != TCP_NIL; i = tcp_hold_at(s, i)->next)
		tcp_hold_at(s, i)->flags |= TCP_PIECE_DROPPED;
	c->ready_bytes = 0;
	tcp_receive_drop(s, c);
	return unread;
}

int tcp_close(struct tcp_stack *s, int conn, uint64_t linger, uint64_t now)
{
	struct tcp_conn *c = tcp_conn_named(s, conn);
	bool unread;

	if (!c)
		return -EBADF;
	unread = drop_unread(s, c);
	if (c->state == TCP_ST_CLOSED || c->state == TCP_ST_TIME_WAIT)
		return 0;
	if (unread || !linger || c->state == TCP_ST_SYN_SENT) {
		tcp_conn_reset(s, c, ECONNABORTED);
		return 0;
	}
	if (linger <= LONGEST)
		c->linger_at = now + linger;
	if (c->state == TCP_ST_FIN_WAIT_2)
		c->wait_at = now + s->config.fin_wait_2;
	if (!c->fin_queued)
		queue_fin(s, c);
	tcp_conn_touch(s, c);
	return 0;
}

int tcp_abort(struct tcp_stack *s, int conn, uint64_t now)
{
	struct tcp_conn *c = tcp_conn_named(s, conn);

	(void)now;
	if (!c)
		return -EBADF;
	drop_unread(s, c);
	tcp_conn_reset(s, c, ECONNABORTED);
	return 0;
}

int tcp_free(struct tcp_stack *s, int conn, uint64_t now)
{
	struct tcp_conn *c = tcp_conn_named(s, conn);

	(void)now;
	if (!c)
		return -EBADF;
	drop_unread(s, c);
	if (c->state != TCP_ST_CLOSED && c->state != TCP_ST_TIME_WAIT)
		tcp_conn_reset(s, c, ECONNABORTED);
	if (c->ready_first != TCP_NIL)
		return -EBUSY;
	c->events = 0;
	if (c->state == TCP_ST_CLOSED) {
		tcp_conn_free(s, c);
		return 0;
	}
	tcp_list_del(s, &s->events, TCP_LIST_EVENT, c);
	c->owned = false;
	c->time_wait = true;
	tcp_list_add(s, &s->time_wait, TCP_LIST_PLACE, c);
	return 0;
}

int tcp_set_mss(struct tcp_stack *s, int conn, unsigned mss, uint64_t now)
{
	struct tcp_conn *c = tcp_conn_named(s, conn);
	bool smaller;

	if (!c)
		return -EBADF;
	if (!mss || mss > 65535)
		return -EINVAL;
	smaller = mss < c->mss_path;
	c->mss_path = mss;
	if (smaller && tcp_state_synchronized(c->state)) {
		tcp_recovery_mss(s, c, now);
		tcp_conn_touch(s, c);
	}
	return 0;
}

int tcp_path_back(struct tcp_stack *s, int conn, uint64_t now)
{
	struct tcp_conn *c = tcp_conn_named(s, conn);

	if (!c)
		return -EBADF;
	c->backoff = 0;
	if (c->tries > 1) /* the first of them has its time (first_try) */
		c->tries = 1;
	if (c->send_timer != TCP_TIMER_OFF)
		c->send_at = now;
	if (tcp_state_synchronized(c->state))
		c->ack_now = true;
	tcp_conn_touch(s, c);
	return 0;
}

static int set_option(struct tcp_stack *s, struct tcp_conn *c,
		      enum tcp_option option, uint64_t value, uint64_t now)
{
	uint64_t time = tcp_min64(tcp_max64(value, TCP_US_PER_MS), LONGEST);
	uint32_t most = c->wscale_ok || !tcp_state_synchronized(c->state) ?
				s->config.recv_bytes : 65535;

	switch (option) {
	case TCP_OPTION_NODELAY:
		c->nodelay = value;
		return 0;
	case TCP_OPTION_CORK:
		c->cork = value;
		return 0;
	case TCP_OPTION_KEEPALIVE:
		c->keepalive = value;
		c->keep_tries = 0;
		c->keep_at = value && tcp_state_synchronized(c->state) ?
				     now + c->keep_idle : TCP_NEVER;
		return 0;
	case TCP_OPTION_KEEP_IDLE:
		c->keep_idle = time;
		if (c->keep_at != TCP_NEVER)
			c->keep_at = now + c->keep_idle;
		return 0;
	case TCP_OPTION_KEEP_INTERVAL:
		c->keep_interval = time;
		return 0;
	case TCP_OPTION_KEEP_COUNT:
		c->keep_count = (uint8_t)tcp_min64(value, 255);
		return 0;
	case TCP_OPTION_CC:
		if (value >= TCP_CC_KINDS)
			return -EINVAL;
		c->cc_kind = (uint8_t)value;
		c->cc.epoch = c->cc.part = 0;
		return 0;
	case TCP_OPTION_RECV_BYTES:
		if (value < 4096)
			return -EINVAL;
		c->recv_bytes = (uint32_t)tcp_min64(value, most);
		return 0;
	case TCP_OPTION_USER_TIMEOUT:
		c->user_timeout = value;
		return 0;
	case TCP_OPTION_REUSE_ADDR:
		c->reuse_addr = value;
		return 0;
	case TCP_OPTION_REUSE_PORT:
		c->reuse_port = value;
		return 0;
	}
	return -ENOPROTOOPT;
}

int tcp_set_option(struct tcp_stack *s, int conn, enum tcp_option option,
		   uint64_t value, uint64_t now)
{
	struct tcp_conn *c = tcp_conn_named(s, conn);
	int result;

	if (!c)
		return -EBADF;
	result = set_option(s, c, option, value, now);
	tcp_conn_touch(s, c);
	return result;
}

int tcp_get_status(const struct tcp_stack *s, int conn, struct tcp_status *out)
{
	struct tcp_conn *c = tcp_conn_named((struct tcp_stack *)s, conn);
	uint32_t first;

	if (!c)
		return -EBADF;
	memset(out, 0, sizeof(*out));
	out->tuple = c->tuple;
	out->state = (enum tcp_state)c->state;
	out->queued = c->queued;
	out->acked = c->una_offset;
	out->received = c->received;
	out->unread = c->ready_bytes;
	out->held = c->ready_count + c->island_count;
	first = c->rcv_nxt - c->ready_bytes;
	if (c->rcv_urgent && seq_lt(first, c->rcv_up))
		out->urgent = c->rcv_up - first;
	out->mss = tcp_conn_mss(c);
	out->cwnd = c->cc.cwnd;
	out->ssthresh = c->cc.ssthresh;
	out->in_flight = tcp_flight_pipe(c);
	out->peer_window = c->snd_wnd;
	out->srtt = c->srtt;
	out->rto = c->rto;
	out->retransmits = c->retransmits;
	out->sack = c->sack_ok;
	out->timestamps = c->ts_ok;
	out->ecn = c->ecn_ok;
	return 0;
}

/* Handshakes, and what waits for tcp_accept(), are their listener's matter. */
static bool has_port(const struct tcp_conn *c, const struct tcp_tuple *at,
		     bool any)
{
	return c->state != TCP_ST_CLOSED && !c->in_queue &&
	       !(c->passive && c->state == TCP_ST_SYN_RECEIVED) &&
	       c->tuple.family == at->family &&
	       c->tuple.local_port == at->local_port &&
	       (any ||
		!memcmp(c->tuple.local, at->local, sizeof(at->local)));
}

bool tcp_may_share(const struct tcp_stack *s, const struct tcp_tuple *at,
		   bool reuse_addr, bool reuse_port)
{
	static const uint8_t zero[sizeof(at->local)];
	bool any = !memcmp(at->local, zero, sizeof(zero));
	uint32_t i;

	for (i = 0; i < s->config.conns; i++) {
		const struct tcp_conn *c = tcp_conn_at((struct tcp_stack *)s,
						       i);

		if (has_port(c, at, any) && !(reuse_addr && c->reuse_addr) &&
		    !(reuse_port && c->reuse_port))
			return false;
	}
	return true;
}

static void listener_events(struct tcp_stack *s, struct tcp_event *out,
			    unsigned *used, unsigned max)
{
	uint32_t i;

	for (i = 0; i < s->config.listeners && s->listener_events; i++) {
		struct tcp_listener *l = tcp_listener_at(s, i);

		if (*used == max)
			return;
		if (!l->used || !l->event)
			continue;
		l->event = false;
		s->listener_events--;
		out[*used].id = tcp_listener_name(i);
		out[*used].what = TCP_EVENT_ACCEPT;
		out[(*used)++].error = 0;
	}
}

unsigned tcp_events(struct tcp_stack *s, struct tcp_event *out, unsigned max)
{
	struct tcp_conn *c;
	unsigned n = 0;

	listener_events(s, out, &n, max);
	while (n < max && (c = tcp_list_pop(s, &s->events, TCP_LIST_EVENT))) {
		out[n].id = tcp_conn_name(c);
		out[n].what = c->events;
		out[n++].error = c->error;
		c->events = 0;
	}
	return n;
}
