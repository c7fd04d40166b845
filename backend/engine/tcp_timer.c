/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_timer.c - which connection's time comes next, and what happens then
 *
 * A binary heap of connections, ordered by the earliest of their times. A time
 * that moves away leaves the entry where it is; when it comes up, it is looked
 * at again and goes to its real place. So an ACK that only restarts a timer
 * costs nothing here.
 */
#include "engine/tcp_internal.h"

#include <errno.h>

static struct tcp_conn *heap_conn(struct tcp_stack *s, uint32_t at)
{
	return tcp_conn_at(s, *tcp_heap_slot(s, at));
}

static void heap_put(struct tcp_stack *s, uint32_t at, struct tcp_conn *c)
{
	*tcp_heap_slot(s, at) = c->index;
	c->heap_at = at;
}

static void heap_up(struct tcp_stack *s, struct tcp_conn *c)
{
	uint32_t at = c->heap_at;

	while (at) {
		struct tcp_conn *parent = heap_conn(s, (at - 1) / 2);

		if (parent->heap_key <= c->heap_key)
			break;
		heap_put(s, at, parent);
		at = (at - 1) / 2;
	}
	heap_put(s, at, c);
}

static void heap_down(struct tcp_stack *s, struct tcp_conn *c)
{
	uint32_t at = c->heap_at, child;

	while ((child = 2 * at + 1) < s->heap_count) {
		struct tcp_conn *least = heap_conn(s, child);

		if (child + 1 < s->heap_count &&
		    heap_conn(s, child + 1)->heap_key < least->heap_key)
			least = heap_conn(s, ++child);
		if (c->heap_key <= least->heap_key)
			break;
		heap_put(s, at, least);
		at = child;
	}
	heap_put(s, at, c);
}

void tcp_timer_remove(struct tcp_stack *s, struct tcp_conn *c)
{
	struct tcp_conn *last;
	uint32_t at = c->heap_at;

	if (at == TCP_NIL)
		return;
	c->heap_at = TCP_NIL;
	last = heap_conn(s, --s->heap_count);
	if (last == c)
		return;
	heap_put(s, at, last);
	heap_up(s, last);
	heap_down(s, last);
}

void tcp_timer_stop(struct tcp_conn *c)
{
	c->send_timer = TCP_TIMER_OFF;
	c->send_at = c->rto_at = c->ack_at = c->keep_at = TCP_NEVER;
	c->wait_at = c->linger_at = TCP_NEVER;
}

static uint64_t earliest(const struct tcp_conn *c)
{
	uint64_t t = tcp_min64(c->send_at, c->ack_at);

	t = tcp_min64(t, tcp_min64(c->keep_at, c->wait_at));
	return tcp_min64(t, c->linger_at);
}

void tcp_timer_update(struct tcp_stack *s, struct tcp_conn *c)
{
	uint64_t t = earliest(c);

	if (c->heap_at == TCP_NIL) {
		if (t == TCP_NEVER)
			return;
		c->heap_key = t;
		c->heap_at = s->heap_count++;
		heap_up(s, c);
	} else if (t < c->heap_key) {
		c->heap_key = t;
		heap_up(s, c);
	}
}

/* -- what happens then ----------------------------------------------------- */

static void give_up(struct tcp_stack *s, struct tcp_conn *c)
{
	s->counters.aborted_timeouts++;
	tcp_conn_finish(s, c, ETIMEDOUT);
}

/* RFC 9293, 3.8.3: how long without an answer before it is given up. */
static bool tried_enough(const struct tcp_stack *s, const struct tcp_conn *c,
			 uint64_t now)
{
	bool syn = !tcp_state_synchronized(c->state);

	if (c->user_timeout && c->tries)
		return now - c->first_try >= c->user_timeout;
	return c->tries >= (syn ? s->config.syn_retries : s->config.retries);
}

static void count_try(struct tcp_conn *c, uint64_t now)
{
	if (!c->tries)
		c->first_try = now;
	if (c->tries < UINT8_MAX)
		c->tries++;
	if (c->backoff < 16)
		c->backoff++;
}

static void fire_rto(struct tcp_stack *s, struct tcp_conn *c, uint64_t now)
{
	if (tried_enough(s, c, now)) {
		give_up(s, c);
		return;
	}
	count_try(c, now);
	if (!tcp_state_synchronized(c->state)) {
		c->syn_pending = true;
		c->retransmits++;
		s->counters.retransmits++;
		s->counters.timeouts++;
	} else {
		tcp_recovery_timeout(s, c, now);
	}
	c->send_timer = TCP_TIMER_RTO;
	c->send_at = c->rto_at = now + tcp_rtt_backed_off(s, c);
}

/*
 * RFC 9293, 3.8.6.1: a closed window is probed for as long as the peer answers;
 * `tries` starts again at each answer (tcp_ack.c).
 */
static void fire_persist(struct tcp_stack *s, struct tcp_conn *c, uint64_t now)
{
	if (tried_enough(s, c, now)) {
		give_up(s, c);
		return;
	}
	count_try(c, now);
	c->probe_now = true;
	c->send_at = now + tcp_rtt_backed_off(s, c);
}

static void fire_send(struct tcp_stack *s, struct tcp_conn *c, uint64_t now)
{
	switch (c->send_timer) {
	case TCP_TIMER_RTO:
		fire_rto(s, c, now);
		break;
	case TCP_TIMER_REORDER:
		tcp_recovery_reorder(s, c, now);
		break;
	case TCP_TIMER_TLP:
		c->tlp_now = true;
		c->send_timer = TCP_TIMER_RTO;
		c->send_at = c->rto_at = now + tcp_rtt_backed_off(s, c);
		break;
	case TCP_TIMER_PERSIST:
		fire_persist(s, c, now);
		break;
	default:
		c->send_at = TCP_NEVER;
	}
}

static void fire_keep(struct tcp_stack *s, struct tcp_conn *c, uint64_t now)
{
	uint64_t due = c->last_heard + c->keep_idle;

	/* what is in flight has a timer of its own */
	if (c->snd_una != c->snd_max && tcp_state_synchronized(c->state))
		due = now + c->keep_idle;
	if (!c->keep_tries && now < due) {
		c->keep_at = due;
		return;
	}
	if (c->keep_tries >= c->keep_count) {
		tcp_conn_reset(s, c, ETIMEDOUT);
		return;
	}
	c->keep_tries++;
	c->keep_now = true;
	c->keep_at = now + c->keep_interval;
}

static void fire_wait(struct tcp_stack *s, struct tcp_conn *c)
{
	if (c->state != TCP_ST_TIME_WAIT) {
		/* FIN-WAIT-2 of a connection that nobody reads */
		tcp_conn_reset(s, c, ETIMEDOUT);
		return;
	}
	if (c->owned) { /* its TCP_EVENT_CLOSED was when this state began */
		tcp_table_del(s, c);
		tcp_timer_stop(c);
		tcp_list_del(s, &s->output, TCP_LIST_OUTPUT, c);
		c->state = TCP_ST_CLOSED;
		return;
	}
	tcp_conn_free(s, c);
}

static void fire(struct tcp_stack *s, struct tcp_conn *c, uint64_t now)
{
	if (c->linger_at <= now) {
		tcp_conn_reset(s, c, ETIMEDOUT);
		return;
	}
	if (c->wait_at <= now) {
		fire_wait(s, c);
		return;
	}
	if (c->ack_at <= now) {
		c->ack_at = TCP_NEVER;
		c->ack_now = true;
	}
	if (c->send_at <= now)
		fire_send(s, c, now);
	if (c->keep_at <= now)
		fire_keep(s, c, now);
	tcp_conn_touch(s, c);
}

uint64_t tcp_next_timer(const struct tcp_stack *s)
{
	/* the heap's order is by heap_key, which may be early, never late */
	return s->heap_count ? heap_conn((struct tcp_stack *)s, 0)->heap_key :
			       TCP_NEVER;
}

void tcp_timers(struct tcp_stack *s, uint64_t now)
{
	struct tcp_conn *c;

	while (s->heap_count && (c = heap_conn(s, 0))->heap_key <= now) {
		tcp_timer_remove(s, c);
		if (earliest(c) <= now)
			fire(s, c, now);
		else
			tcp_timer_update(s, c);
	}
}
