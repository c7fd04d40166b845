/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_timer.c - what happens when a connection's time has come
 *
 * Each connection has one timer for what it sends (RTO, RACK's reordering, tail
 * loss probe or window probe: never two at once), and one each for the delayed
 * ACK, the keepalive, TIME-WAIT or FIN-WAIT-2, and the linger.
 */
#include "engine/tcp_internal.h"

#include <errno.h>

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
		/* RFC 3168, 6.1.1.1: perhaps it was lost for its bits */
		if (c->state == TCP_ST_SYN_SENT)
			c->ecn_ok = false;
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
		tcp_conn_stop_timers(c);
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

void tcp_timers(struct tcp_stack *s, uint64_t now)
{
	struct tcp_conn *c;

	while ((c = tcp_heap_due(s, now)))
		fire(s, c, now);
}
