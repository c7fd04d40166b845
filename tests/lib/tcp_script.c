/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_script.c - a peer that a test plays: see tcp_script.h */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/tcp_script.h"
#include "tests/lib/tcp_sim.h"

void script_config(struct script *s)
{
	memset(s, 0, sizeof(*s));
	tcp_config_init(&s->config);
	s->config.conns = 8;
	s->config.listeners = 2;
	s->config.holds = s->config.sends = 256;
	s->config.conn_holds = s->config.conn_sends = 128;
	s->config.replies = 16;
	s->config.recv_bytes = 65535;
	s->config.timestamps = false;
	s->config.cc = TCP_CC_NEWRENO;
	memcpy(s->config.key, "0123456789abcdef", 16);
	s->now = 5 * SECONDS;
	s->peer_iss = 0xfffffff0u; /* wraps soon */
	s->window = 65535;
	s->mss = 1000;
	s->wscale = -1;
	s->sack_ok = true;
	s->tuple.family = 4;
	memcpy(s->tuple.local, "\x0a\x00\x00\x01", 4);
	memcpy(s->tuple.remote, "\x0a\x00\x00\x02", 4);
	s->tuple.local_port = 5000;
	s->tuple.remote_port = 6000;
}

void script_begin(struct script *s)
{
	size_t bytes = tcp_stack_bytes(&s->config);

	assert_true(bytes > 0);
	s->memory = aligned_alloc(16, (bytes + 15) & ~(size_t)15);
	s->tcp = tcp_stack_init(s->memory, bytes, &s->config);
	assert_non_null(s->tcp);
}

void script_end(struct script *s)
{
	const char *bad = tcp_check(s->tcp);

	if (bad)
		fail_msg("inconsistent: %s", bad);
	free(s->memory);
}

void script_connect(struct script *s)
{
	s->conn = tcp_connect(s->tcp, &s->tuple, 1460, s->now);
	assert_true(s->conn > 0);
}

void script_listen(struct script *s)
{
	s->listener = tcp_listen(s->tcp, &s->tuple, 1460, 4);
	assert_true(s->listener > 0);
}

static void put_syn_options(const struct script *s, struct tcp_head *h)
{
	h->has_mss = s->mss != 0;
	h->mss = s->mss;
	h->has_wscale = s->wscale >= 0;
	h->wscale = (uint8_t)s->wscale;
	h->has_sack_ok = s->sack_ok;
}

void script_inject(struct script *s, uint8_t flags, uint32_t seq,
		   uint32_t length, uint32_t ack)
{
	struct tcp_ref ref = { s->buffer++, 0, length };
	struct tcp_packet p = { .tuple = s->tuple };
	struct tcp_head h = {
		.source = s->tuple.remote_port,
		.destination = s->tuple.local_port,
		.seq = s->peer_iss + seq,
		.ack = flags & TCP_ACK ? s->iss + ack : 0,
		.flags = flags,
		.window = s->window,
		.urgent = s->urgent,
		.has_ts = s->ts,
		.tsval = s->tsval,
		.tsecr = s->tsecr_fixed ? s->tsecr : s->head.tsval,
	};
	uint8_t bytes[TCP_HEAD_MAX];
	unsigned i;

	if (flags & TCP_SYN)
		put_syn_options(s, &h);
	for (i = 0; i < s->sack_count; i++) {
		h.sack[i].start = s->iss + s->sack[i].start;
		h.sack[i].end = s->iss + s->sack[i].end;
	}
	h.sack_count = s->sack_count;
	s->sack_count = 0;
	p.head = bytes;
	p.head_bytes = tcp_wire_build(bytes, &h);
	p.refs = &ref;
	p.ref_count = length ? 1 : 0;
	p.ecn = s->ecn;
	p.segments = s->segments;
	p.segment_max = s->segment_max;
	s->result = tcp_input(s->tcp, &p, &s->kept, s->now);
}

static bool next_segment(struct script *s)
{
	struct tcp_bytes none = { NULL, 0 };
	struct tcp_packet look = { 0 };

	if (!tcp_output(s->tcp, &s->seg, 1, s->now))
		return false;
	look.tuple = s->seg.tuple;
	look.head = s->seg.head;
	look.head_bytes = s->seg.head_bytes;
	assert_true(tcp_wire_parse(&s->head, s->seg.head, s->seg.head_bytes) ==
		    s->seg.head_bytes);
	if (!s->seg.length)
		assert_true(tcp_checksum_packet(&look, &none, 0));
	if (s->head.flags & TCP_SYN)
		s->iss = s->head.seq;
	return true;
}

void script_expect(struct script *s, const char *file, int line, uint8_t flags,
		   uint32_t seq, uint32_t length, uint32_t ack)
{
	uint32_t got_seq, got_ack;

	if (!next_segment(s))
		fail_msg("%s:%d: nothing came out", file, line);
	got_seq = s->head.seq - s->iss;
	got_ack = s->head.flags & TCP_ACK ? s->head.ack - s->peer_iss : 0;
	/* PSH is of no consequence unless asked for */
	if ((s->head.flags & ~TCP_PSH) != (flags & ~TCP_PSH) ||
	    got_seq != seq || s->seg.length != length || got_ack != ack)
		fail_msg("%s:%d: flags %02x seq %u length %u ack %u, not "
			 "flags %02x seq %u length %u ack %u", file, line,
			 s->head.flags, got_seq, s->seg.length, got_ack, flags,
			 seq, length, ack);
}

void script_nothing(struct script *s, const char *file, int line)
{
	if (next_segment(s))
		fail_msg("%s:%d: flags %02x seq %u length %u ack %u came out",
			 file, line, s->head.flags, s->head.seq - s->iss,
			 s->seg.length, s->head.ack - s->peer_iss);
}

void script_connected(struct script *s)
{
	script_connect(s);
	OUT(s, S_, 0, 0, 0);
	IN(s, S_ | A_, 0, 0, 1);
	OUT(s, A_, 1, 0, 1);
	assert_true(script_events(s) & TCP_EVENT_CONNECTED);
	assert_int_equal(script_state(s), TCP_ST_ESTABLISHED);
}

void script_accepted(struct script *s)
{
	script_listen(s);
	IN(s, S_, 0, 0, 0);
	OUT(s, S_ | A_, 0, 0, 1);
	IN(s, A_, 1, 0, 1);
	s->conn = tcp_accept(s->tcp, s->listener);
	assert_true(s->conn > 0);
	assert_int_equal(script_state(s), TCP_ST_ESTABLISHED);
	QUIET(s);
}

void script_wait(struct script *s, uint64_t us)
{
	s->now += us;
	tcp_timers(s->tcp, s->now);
}

uint32_t script_events(struct script *s)
{
	struct tcp_event events[4];
	unsigned n, i;

	s->events = 0;
	while ((n = tcp_events(s->tcp, events, 4)))
		for (i = 0; i < n; i++) {
			s->events |= events[i].what;
			if (events[i].error)
				s->error = events[i].error;
		}
	return s->events;
}

uint32_t script_read(struct script *s)
{
	struct tcp_piece pieces[8];
	uint32_t bytes = 0, all = 0;
	int n, i;

	while ((n = tcp_recv_take(s->tcp, s->conn, pieces, 8)) > 0) {
		for (i = 0; i < n; i++) {
			all += pieces[i].length;
			if (!(pieces[i].flags & TCP_PIECE_DROPPED))
				bytes += pieces[i].length;
		}
	}
	assert_int_equal(tcp_recv_done(s->tcp, s->conn, bytes, s->now), 0);
	return all;
}

enum tcp_state script_state(struct script *s)
{
	return script_status(s).state;
}

struct tcp_status script_status(struct script *s)
{
	struct tcp_status st;

	assert_int_equal(tcp_get_status(s->tcp, s->conn, &st), 0);
	return st;
}

struct tcp_counters script_counters(struct script *s)
{
	struct tcp_counters c;

	tcp_get_counters(s->tcp, &c);
	return c;
}
