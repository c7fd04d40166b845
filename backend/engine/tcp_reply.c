/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_reply.c - segments that belong to no connection: resets and SYN cookies
 *
 * They wait in a ring of fixed size for tcp_output(). When it is full they are
 * dropped and counted: whoever is owed one will ask again.
 */
#include "engine/tcp_internal.h"

void tcp_reply(struct tcp_stack *s, const struct tcp_tuple *t,
	       struct tcp_head *h)
{
	struct tcp_segment *out;

	if (s->reply_count == s->config.replies) {
		s->counters.tx_no_reply++;
		return;
	}
	out = tcp_reply_at(s, (s->reply_first + s->reply_count++) %
				      s->config.replies);
	out->conn = 0;
	out->offset = 0;
	out->length = 0;
	out->segment_size = 0;
	tcp_build_finish(s, out, t, h);
}

void tcp_reply_reset(struct tcp_stack *s, const struct tcp_arrival *in)
{
	struct tcp_head h = { 0 };

	if (in->h.flags & TCP_RST)
		return;
	if (in->h.flags & TCP_ACK) {
		h.seq = in->h.ack;
		h.flags = TCP_RST;
	} else {
		h.ack = in->end + !!(in->h.flags & TCP_SYN) +
			!!(in->h.flags & TCP_FIN);
		h.flags = TCP_RST | TCP_ACK;
	}
	s->counters.tx_resets++;
	tcp_reply(s, &in->packet->tuple, &h);
}
