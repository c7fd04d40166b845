/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_build.c - headers of what a connection sends
 *
 * Every segment but the first SYN acknowledges, so what an ACK owes (window,
 * timestamp echo, ECN echo, urgent pointer) is written here and nowhere else,
 * and what was owed is noted as paid. SACK blocks travel on segments without
 * payload only: tcp_output.c sends such a one first when there are any.
 */
#include "engine/tcp_internal.h"

#include <string.h>

void tcp_build_finish(struct tcp_stack *s, struct tcp_segment *out,
		      const struct tcp_tuple *t, struct tcp_head *h)
{
	h->source = t->local_port;
	h->destination = t->remote_port;
	out->tuple = *t;
	out->ecn = TCP_ECN_NOT;
	out->head_bytes = (uint8_t)tcp_wire_build(out->head, h);
	tcp_checksum_head(out, s->config.checksum_partial);
}

/* RFC 6093: the pointer is that of the byte after the urgent data. */
static void put_urgent(const struct tcp_conn *c, struct tcp_head *h)
{
	uint32_t ahead = c->snd_up - h->seq;

	if (!c->urgent || seq_le(c->snd_up, h->seq))
		return;
	h->flags |= TCP_URG;
	h->urgent = (uint16_t)tcp_min32(ahead, 65535);
}

static void put_common(struct tcp_stack *s, struct tcp_conn *c,
		       struct tcp_head *h, uint64_t now)
{
	uint32_t window = tcp_receive_window(s, c) + (c->rcv_nxt - h->ack);

	h->flags |= TCP_ACK;
	h->window = (uint16_t)tcp_min32(window >> c->rcv_wscale, 65535);
	if (c->ece_send)
		h->flags |= TCP_ECE;
	if (c->ts_ok) {
		h->has_ts = true;
		h->tsval = tcp_conn_ts(c, now);
		h->tsecr = c->ts_recent;
	}
}

static void acked(struct tcp_conn *c, uint32_t ack)
{
	c->rcv_acked = ack;
	if (ack != c->rcv_nxt)
		return;
	c->ack_now = c->ack_jump = false;
	c->ack_segments = 0;
	c->ack_at = TCP_NEVER;
}

static void begin(struct tcp_conn *c, struct tcp_segment *out)
{
	memset(out, 0, offsetof(struct tcp_segment, head));
	out->conn = tcp_conn_name(c);
}

void tcp_build_segment(struct tcp_stack *s, struct tcp_conn *c,
		       struct tcp_segment *out, uint32_t seq, uint32_t length,
		       uint8_t flags, uint64_t now)
{
	struct tcp_head h = { .seq = seq, .ack = c->rcv_nxt, .flags = flags };

	begin(c, out);
	put_common(s, c, &h, now);
	put_urgent(c, &h);
	out->offset = c->una_offset + (seq - c->snd_una);
	out->length = length;
	out->segment_size = (uint16_t)tcp_min32(tcp_conn_mss(c), 65535);
	tcp_build_finish(s, out, &c->tuple, &h);
	acked(c, c->rcv_nxt);
	s->counters.tx_segments++;
	s->counters.tx_bytes += length;
}

void tcp_build_ack(struct tcp_stack *s, struct tcp_conn *c,
		   struct tcp_segment *out, uint32_t seq, uint32_t ack,
		   uint64_t now)
{
	struct tcp_head h = { .seq = seq, .ack = ack };

	begin(c, out);
	put_common(s, c, &h, now);
	put_urgent(c, &h);
	if (ack == c->rcv_nxt)
		tcp_sack_blocks(s, c, &h, c->ts_ok ? 3 : 4);
	tcp_build_finish(s, out, &c->tuple, &h);
	acked(c, ack);
	s->counters.tx_segments++;
	s->counters.tx_acks++;
}

uint32_t tcp_build_syn_window(const struct tcp_conn *c)
{
	return tcp_min32(c->recv_bytes, 65535);
}

void tcp_build_syn(struct tcp_stack *s, struct tcp_conn *c,
		   struct tcp_segment *out, uint64_t now)
{
	bool first = c->state == TCP_ST_SYN_SENT;
	const struct tcp_config *cfg = &s->config;
	struct tcp_head h = { .seq = c->iss, .flags = TCP_SYN };

	begin(c, out);
	h.has_mss = true;
	h.mss = (uint16_t)tcp_min32(c->mss_path, 65535);
	h.has_wscale = first ? cfg->window_scale : c->wscale_ok;
	h.wscale = s->wscale;
	h.has_sack_ok = first ? cfg->sack : c->sack_ok;
	h.has_ts = first ? cfg->timestamps : c->ts_ok;
	h.tsval = tcp_conn_ts(c, now);
	h.window = (uint16_t)tcp_build_syn_window(c);
	if (first && c->ecn_ok) {
		h.flags |= TCP_ECE | TCP_CWR; /* RFC 3168, 6.1.1 */
	} else if (!first) {
		h.flags |= TCP_ACK;
		if (c->ecn_ok)
			h.flags |= TCP_ECE;
		h.ack = c->rcv_nxt;
		h.tsecr = c->ts_recent;
		c->rcv_right = seq_max(c->rcv_right, c->rcv_nxt + h.window);
		c->ack_now = false;
	}
	c->snd_nxt = c->snd_max = c->iss + 1;
	c->last_sent = now;
	tcp_build_finish(s, out, &c->tuple, &h);
	s->counters.tx_segments++;
}
