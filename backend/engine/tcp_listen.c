/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_listen.c - listeners, and what a SYN may cost (RFC 9293, 3.10.7.2)
 *
 * A SYN makes a half-open connection while there are fewer than `backlog` of
 * this listener's; above that it is answered with a cookie (tcp_cookie.c) and
 * costs no memory. A handshake that completes goes to the accept queue, which
 * holds `backlog` too; when that is full, the ACK is ignored and the handshake
 * stays half open.
 */
#include "engine/tcp_internal.h"

#include <errno.h>
#include <string.h>

static void take_syn(struct tcp_stack *s, struct tcp_listener *l,
		     const struct tcp_arrival *in)
{
	const struct tcp_head *h = &in->h;
	struct tcp_conn *c;

	if (l->halves >= l->backlog) {
		tcp_cookie_send(s, l, in);
		return;
	}
	c = tcp_conn_make(s, &in->packet->tuple, l->mss, in->now);
	if (!c) {
		s->counters.syn_dropped++;
		return;
	}
	c->passive = true;
	c->listener = (uint32_t)(l - tcp_listener_at(s, 0));
	c->state = TCP_ST_SYN_RECEIVED;
	l->halves++;
	tcp_conn_options(s, c, h);
	c->irs = h->seq;
	c->rcv_nxt = c->rcv_acked = h->seq + 1;
	c->rcv_right = c->rcv_nxt + tcp_build_syn_window(c);
	c->ts_recent = h->tsval;
	c->ts_recent_at = in->now;
	c->ecn_ok = s->config.ecn && (h->flags & TCP_ECE) &&
		    (h->flags & TCP_CWR);
	c->syn_pending = true;
	/* a payload with it is not taken: the peer sends it again */
	tcp_conn_touch(s, c);
}

struct tcp_conn *tcp_listen_input(struct tcp_stack *s, struct tcp_listener *l,
				  struct tcp_arrival *in)
{
	struct tcp_conn *c = NULL;

	if (in->h.flags & TCP_RST)
		return NULL;
	if (in->h.flags & TCP_ACK) {
		if (!(in->h.flags & TCP_SYN))
			c = tcp_cookie_accept(s, l, in);
		if (!c)
			tcp_reply_reset(s, in);
	} else if ((in->h.flags & TCP_SYN) && !(in->h.flags & TCP_FIN)) {
		take_syn(s, l, in);
	}
	return c;
}

int tcp_listen(struct tcp_stack *s, const struct tcp_tuple *at, unsigned mss,
	       unsigned backlog)
{
	struct tcp_listener *l, *found = NULL;
	static const uint8_t zero[16];
	uint32_t i, free = TCP_NIL;

	if ((at->family != 4 && at->family != 6) || !at->local_port ||
	    !backlog || !mss || mss > 65535)
		return -EINVAL;
	for (i = 0; i < s->config.listeners; i++) {
		l = tcp_listener_at(s, i);
		if (!l->used) {
			free = free == TCP_NIL ? i : free;
			continue;
		}
		if (l->at.family == at->family &&
		    l->at.local_port == at->local_port &&
		    !memcmp(l->at.local, at->local, sizeof(at->local)))
			found = l;
	}
	if (found)
		return -EADDRINUSE;
	if (free == TCP_NIL)
		return -ENOSPC;
	l = tcp_listener_at(s, free);
	memset(l, 0, sizeof(*l));
	l->used = true;
	l->at = *at;
	l->any = !memcmp(at->local, zero, sizeof(zero));
	l->mss = mss;
	l->backlog = backlog;
	tcp_list_init(&l->queue);
	return tcp_listener_name(free);
}

int tcp_accept(struct tcp_stack *s, int listener)
{
	struct tcp_listener *l = tcp_listener_named(s, listener);
	struct tcp_conn *c;

	if (!l)
		return -EBADF;
	c = tcp_list_pop(s, &l->queue, TCP_LIST_PLACE);
	if (!c)
		return -EAGAIN;
	l->waiting--;
	c->in_queue = false;
	c->owned = true;
	if (c->events) /* what happened while it waited */
		tcp_list_add(s, &s->events, TCP_LIST_EVENT, c);
	return tcp_conn_name(c);
}

int tcp_unlisten(struct tcp_stack *s, int listener)
{
	struct tcp_listener *l = tcp_listener_named(s, listener);
	uint32_t i;

	if (!l)
		return -EBADF;
	l->closing = true;
	for (i = 0; i < s->config.conns && l->halves; i++) {
		struct tcp_conn *c = tcp_conn_at(s, i);

		if (c->state == TCP_ST_SYN_RECEIVED && c->passive &&
		    tcp_listener_at(s, c->listener) == l)
			tcp_conn_reset(s, c, ECONNABORTED);
	}
	if (l->waiting)
		return -EBUSY;
	if (l->event)
		s->listener_events--;
	l->used = false;
	return 0;
}
