/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_cookie.c - handshakes that are remembered by the peer (SYN cookies)
 *
 * The initial sequence number of the SYN,ACK is a keyed hash of the addresses,
 * the peer's number and the minute, with the MSS's class in it; what else a SYN
 * may offer is kept in the low bits of our timestamp, which the peer echoes:
 *
 *	bits 0-3 window scale, 15: none	 4 SACK
 *
 * without timestamps, a cookie's connection has neither. A cookie is good for
 * one to two periods. A wrong guess has 16 chances in 2^24 in each.
 */
#include "engine/tcp_internal.h"

#include "engine/tcp_hash.h"

#define PERIOD (64ull * TCP_US_PER_S)

enum {
	NO_WSCALE = 15,
	SACK_BIT = 16,
	STORED = 63,
	DATA_MASK = 0xffffff,
};

static const uint16_t classes[] = { 536, 1220, 1300, 1380,
				    1440, 1460, 4312, 8960 };

enum { CLASSES = sizeof(classes) / sizeof(*classes) };

static uint32_t hash(const struct tcp_stack *s, const struct tcp_tuple *t,
		     uint64_t use)
{
	return (uint32_t)tcp_hash(s->config.key, use, t, sizeof(*t));
}

static uint32_t cookie(const struct tcp_stack *s, const struct tcp_tuple *t,
		       uint32_t irs, uint64_t period, uint32_t data)
{
	return hash(s, t, 'C') + irs + ((uint32_t)period << 24) +
	       ((hash(s, t, 'D' | period << 8) + data) & DATA_MASK);
}

/* -> the MSS, 0: no cookie of ours */
static uint32_t read_cookie(const struct tcp_stack *s,
			    const struct tcp_tuple *t, uint32_t irs,
			    uint64_t now, uint32_t value)
{
	uint64_t period = now / PERIOD;
	uint32_t age, data;

	value -= hash(s, t, 'C') + irs;
	age = ((uint32_t)period - (value >> 24)) & 0xff;
	if (age > 1 || age > period)
		return 0;
	period -= age;
	data = (value - hash(s, t, 'D' | period << 8)) & DATA_MASK;
	return data < CLASSES ? classes[data] : 0;
}

/* A time not after `now` whose low bits are these. */
static uint32_t store(uint32_t now_ms, uint32_t bits)
{
	uint32_t ts = (now_ms & ~(uint32_t)STORED) | bits;

	return seq_lt(now_ms, ts) ? ts - (STORED + 1) : ts;
}

void tcp_cookie_send(struct tcp_stack *s, struct tcp_listener *l,
		     const struct tcp_arrival *in)
{
	const struct tcp_tuple *t = &in->packet->tuple;
	uint32_t ms = (uint32_t)(in->now / TCP_US_PER_MS);
	uint32_t mss = in->h.has_mss ? in->h.mss : classes[0];
	uint32_t class = CLASSES - 1;
	struct tcp_head h = {
		.flags = TCP_SYN | TCP_ACK,
		.ack = in->h.seq + 1,
		.has_mss = true,
		.mss = (uint16_t)l->mss,
		.window = (uint16_t)tcp_min32(s->config.recv_bytes, 65535),
	};

	while (class && classes[class] > mss)
		class--;
	h.seq = cookie(s, t, in->h.seq, in->now / PERIOD, class);
	if (in->h.has_ts && s->config.timestamps) {
		uint32_t bits = NO_WSCALE;

		h.has_ts = true;
		h.has_wscale = in->h.has_wscale && s->config.window_scale;
		h.has_sack_ok = in->h.has_sack_ok && s->config.sack;
		h.wscale = s->wscale;
		if (h.has_wscale)
			bits = in->h.wscale;
		if (h.has_sack_ok)
			bits |= SACK_BIT;
		h.tsval = store(ms, bits) + tcp_conn_ts_offset(s, t);
		h.tsecr = in->h.tsval;
	}
	l->cookie_at = in->now;
	s->counters.syn_backlog_full++;
	tcp_reply(s, t, &h);
}

/* The SYN that the cookie stands for. */
static void rebuild(struct tcp_stack *s, struct tcp_conn *c,
		    const struct tcp_arrival *in, uint32_t mss)
{
	uint32_t bits = in->h.tsecr - c->ts_offset;
	struct tcp_head h = {
		.has_mss = true,
		.mss = (uint16_t)mss,
		.has_ts = in->h.has_ts,
	};

	if (h.has_ts) {
		h.has_wscale = (bits & NO_WSCALE) != NO_WSCALE;
		h.wscale = bits & NO_WSCALE;
		h.has_sack_ok = bits & SACK_BIT;
	}
	tcp_conn_options(s, c, &h);
	c->iss = in->h.ack - 1;
	c->snd_una = c->iss;
	c->snd_nxt = c->snd_max = in->h.ack;
	c->irs = in->h.seq - 1;
	c->rcv_nxt = c->rcv_acked = in->h.seq;
	c->rcv_right = c->rcv_nxt + tcp_build_syn_window(c);
	c->ts_recent = in->h.tsval;
	c->ts_recent_at = in->now;
}

struct tcp_conn *tcp_cookie_accept(struct tcp_stack *s, struct tcp_listener *l,
				   const struct tcp_arrival *in)
{
	const struct tcp_tuple *t = &in->packet->tuple;
	struct tcp_conn *c;
	uint32_t mss;

	if (!l->cookie_at || in->now - l->cookie_at > 2 * PERIOD)
		return NULL;
	mss = read_cookie(s, t, in->h.seq - 1, in->now, in->h.ack - 1);
	if (!mss) {
		s->counters.cookies_bad++;
		return NULL;
	}
	if (l->waiting >= l->backlog) {
		s->counters.accept_full++;
		return NULL;
	}
	c = tcp_conn_make(s, t, l->mss, in->now);
	if (!c)
		return NULL;
	c->passive = true;
	c->listener = (uint32_t)(l - tcp_listener_at(s, 0));
	c->state = TCP_ST_SYN_RECEIVED;
	l->halves++;
	rebuild(s, c, in, mss);
	s->counters.cookies_good++;
	return c;
}
