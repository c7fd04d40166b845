/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine_tcp_strange - segments that nobody honest sends, or an old connection
 * did: blind resets, SYNs and ACKs (RFC 5961), old timestamps (PAWS), data that
 * overlaps and differs, ACKs of what was never sent, blocks that make no sense,
 * headers that are none. The RFC's answer, counted, and the stream unharmed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/tcp_script.h"

static void begin(struct script *s)
{
	script_config(s);
	script_begin(s);
	script_connected(s);
}

/* RFC 5961, 3.2 */
static void test_blind_reset(void **state)
{
	struct script s;

	(void)state;
	begin(&s);
	IN(&s, R_, 100, 0, 0); /* in the window: challenged */
	OUT(&s, A_, 1, 0, 1);
	IN(&s, R_, 65537, 0, 0); /* outside: nothing */
	IN(&s, R_, 0, 0, 0);
	QUIET(&s);
	assert_int_equal(script_state(&s), TCP_ST_ESTABLISHED);
	assert_int_equal(script_counters(&s).resets_challenged, 1);
	IN(&s, R_, 1, 0, 0); /* exact */
	QUIET(&s);
	assert_int_equal(script_state(&s), TCP_ST_CLOSED);
	script_events(&s);
	assert_int_equal(s.error, ECONNRESET);
	script_end(&s);
}

/* The same in the states after a close. */
static void test_reset_while_closing(void **state)
{
	struct script s;

	(void)state;
	begin(&s);
	tcp_shutdown(s.tcp, s.conn, s.now);
	OUT(&s, F_ | A_, 1, 0, 1);
	IN(&s, R_, 9, 0, 0);
	OUT(&s, A_, 2, 0, 1);
	IN(&s, A_, 1, 0, 2);
	IN(&s, R_, 9, 0, 0);
	OUT(&s, A_, 2, 0, 1);
	IN(&s, R_, 1, 0, 0);
	assert_int_equal(script_state(&s), TCP_ST_CLOSED);
	script_end(&s);
}

/* RFC 5961, 4.2 */
static void test_blind_syn(void **state)
{
	struct script s;

	(void)state;
	begin(&s);
	IN(&s, S_, 50, 0, 0);
	OUT(&s, A_, 1, 0, 1);
	IN(&s, S_, 500000, 0, 0);
	OUT(&s, A_, 1, 0, 1);
	IN(&s, S_ | A_, 0, 0, 1);
	OUT(&s, A_, 1, 0, 1);
	assert_int_equal(script_state(&s), TCP_ST_ESTABLISHED);
	assert_int_equal(script_counters(&s).challenge_acks, 3);
	script_end(&s);
}

/* RFC 5961, 7: no more than so many in a second */
static void test_challenge_limit(void **state)
{
	struct script s;
	unsigned i, n = 0;

	(void)state;
	begin(&s);
	for (i = 0; i < 1000; i++) {
		IN(&s, S_, 50, 0, 0);
		n += tcp_output(s.tcp, &s.seg, 1, s.now);
	}
	assert_int_equal(n, 10);
	script_wait(&s, SECONDS);
	IN(&s, S_, 50, 0, 0);
	OUT(&s, A_, 1, 0, 1);
	assert_int_equal(script_counters(&s).challenge_limited, 990);
	script_end(&s);
}

/* RFC 5961, 5.2 */
static void test_never_sent(void **state)
{
	struct script s;

	(void)state;
	begin(&s);
	tcp_send(s.tcp, s.conn, 100, 0, s.now);
	OUT(&s, A_ | P_, 1, 100, 1);
	IN(&s, A_ | P_, 1, 10, 102); /* one too far; its payload goes too */
	assert_int_equal(s.kept.bits[0], 0);
	OUT(&s, A_, 101, 0, 1);
	IN(&s, A_ | P_, 1, 10, 101 - 70000); /* long before */
	assert_int_equal(s.kept.bits[0], 0);
	OUT(&s, A_, 101, 0, 1);
	assert_int_equal(script_counters(&s).rx_bad_ack, 2);
	assert_int_equal(script_status(&s).acked, 0);
	IN(&s, A_ | P_, 1, 10, 1); /* old, but believable */
	assert_int_equal(s.kept.bits[0], 1);
	IN(&s, A_, 11, 0, 101);
	assert_int_equal(script_status(&s).acked, 100);
	script_end(&s);
}

static void test_old_segments(void **state)
{
	struct script s;

	(void)state;
	begin(&s);
	IN(&s, A_, 1, 1000, 1);
	IN(&s, A_, 1001, 1000, 1);
	OUT(&s, A_, 1, 0, 2001);
	IN(&s, A_, 1, 1000, 1);
	assert_int_equal(s.kept.bits[0], 0);
	OUT(&s, A_, 1, 0, 2001);
	/* half of it is new */
	IN(&s, A_, 1501, 1000, 1);
	assert_int_equal(s.kept.bits[0], 1);
	OUT(&s, A_, 1, 0, 2501);
	assert_int_equal(script_read(&s), 2500);
	/* beyond the window */
	IN(&s, A_, 70000, 10, 1);
	assert_int_equal(s.kept.bits[0], 0);
	OUT(&s, A_, 1, 0, 2501);
	/* without ACK: nothing at all */
	IN(&s, P_, 2501, 10, 0);
	assert_int_equal(s.kept.bits[0], 0);
	QUIET(&s);
	script_end(&s);
}

/* What came first counts, wherever the later copies lie. */
static void test_overlap(void **state)
{
	struct tcp_piece p[8];
	struct script s;

	(void)state;
	begin(&s);
	s.buffer = 10;
	IN(&s, A_, 101, 100, 1); /* buffer 10: [101, 201) */
	IN(&s, A_, 301, 100, 1); /* 11: [301, 401) */
	IN(&s, A_, 151, 200, 1); /* 12: only [201, 301) is new */
	IN(&s, A_, 101, 300, 1); /* 13: nothing new */
	assert_int_equal(s.kept.bits[0], 0);
	IN(&s, A_, 1, 500, 1); /* 14: [1, 101) and [401, 501) */
	assert_int_equal(tcp_recv_take(s.tcp, s.conn, p, 8), 5);
	assert_true(p[0].buffer == 14 && p[0].offset == 0 &&
		    p[0].length == 100 && p[0].flags == 0);
	assert_true(p[1].buffer == 10 && p[1].offset == 0 &&
		    p[1].length == 100 && p[1].flags == TCP_PIECE_LAST);
	assert_true(p[2].buffer == 12 && p[2].offset == 50 &&
		    p[2].length == 100 && p[2].flags == TCP_PIECE_LAST);
	assert_true(p[3].buffer == 11 && p[3].offset == 0 &&
		    p[3].length == 100 && p[3].flags == TCP_PIECE_LAST);
	assert_true(p[4].buffer == 14 && p[4].offset == 400 &&
		    p[4].length == 100 && p[4].flags == TCP_PIECE_LAST);
	assert_int_equal(script_counters(&s).rx_duplicate_bytes,
			 50 + 50 + 300 + 300);
	script_end(&s);
}

/* A FIN in the middle of what was received is a lie. */
static void test_fin_inside(void **state)
{
	struct script s;

	(void)state;
	begin(&s);
	IN(&s, A_, 101, 100, 1);
	OUT(&s, A_, 1, 0, 1);
	IN(&s, F_ | A_, 50, 10, 1);
	OUT(&s, A_, 1, 0, 1);
	IN(&s, A_, 1, 100, 1);
	OUT(&s, A_, 1, 0, 201);
	assert_int_equal(script_state(&s), TCP_ST_ESTABLISHED);
	/* and nothing counts behind an early one */
	IN(&s, F_ | A_, 301, 0, 1);
	OUT(&s, A_, 1, 0, 201);
	IN(&s, A_, 201, 500, 1);
	OUT(&s, A_, 1, 0, 302);
	assert_int_equal(script_state(&s), TCP_ST_CLOSE_WAIT);
	assert_int_equal(script_read(&s), 300);
	script_end(&s);
}

/* RFC 7323, 5.3 */
static void test_paws(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	s.config.timestamps = true;
	s.ts = true;
	s.tsval = 1000;
	script_begin(&s);
	script_connected(&s);
	assert_true(script_status(&s).timestamps);
	s.tsval = 2000;
	IN(&s, A_, 1, 10, 1);
	script_wait(&s, 40 * MS);
	OUT(&s, A_, 1, 0, 11);
	assert_int_equal(s.head.tsecr, 2000);
	s.tsval = 1999; /* of an old connection */
	IN(&s, A_, 11, 10, 1);
	assert_int_equal(s.kept.bits[0], 0);
	OUT(&s, A_, 1, 0, 11);
	IN(&s, R_, 11, 0, 0); /* a reset needs none */
	assert_int_equal(script_state(&s), TCP_ST_CLOSED);
	assert_int_equal(script_counters(&s).rx_paws, 1);
	script_end(&s);
}

static void test_paws_wraps_and_ages(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	s.config.timestamps = true;
	s.ts = true;
	s.tsval = 0xfffffff0u;
	script_begin(&s);
	script_connected(&s);
	s.tsval = 5; /* after the wrap */
	IN(&s, A_, 1, 10, 1);
	assert_int_equal(s.kept.bits[0], 1);
	/* 5.5: after 24 days the old one means nothing */
	s.now += 25ull * 86400 * SECONDS;
	while (tcp_output(s.tcp, &s.seg, 1, s.now))
		;
	s.tsval = 0xf0000000u;
	IN(&s, A_, 11, 10, 1);
	assert_int_equal(s.kept.bits[0], 1);
	/* 3.2: without one it is dropped */
	s.ts = false;
	IN(&s, A_, 21, 10, 1);
	assert_int_equal(s.kept.bits[0], 0);
	assert_int_equal(script_counters(&s).rx_no_timestamp, 1);
	script_end(&s);
}

/* RFC 7323, 4.3: the echo is that of the first segment not acknowledged. */
static void test_echo(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	s.config.timestamps = true;
	s.ts = true;
	s.tsval = 1000;
	script_begin(&s);
	script_connected(&s);
	s.tsval = 1010;
	IN(&s, A_, 1, 10, 1);
	s.tsval = 1020;
	IN(&s, A_, 11, 10, 1);
	OUT(&s, A_, 1, 0, 21);
	assert_int_equal(s.head.tsecr, 1010);
	/* a gap: still the last in order */
	s.tsval = 1030;
	IN(&s, A_, 31, 10, 1);
	OUT(&s, A_, 1, 0, 21);
	assert_int_equal(s.head.tsecr, 1010);
	s.tsval = 1040;
	IN(&s, A_, 21, 10, 1);
	OUT(&s, A_, 1, 0, 41);
	assert_int_equal(s.head.tsecr, 1040);
	script_end(&s);
}

static void test_bad_sack(void **state)
{
	static const struct tcp_range bad[] = {
		{ 2001, 1001 }, { 9001, 20001 }, { 1, 0x80000001u },
		{ 5001, 5001 }, { 0xfffffff0u, 3001 },
	};
	struct script s;
	unsigned i;

	(void)state;
	begin(&s);
	tcp_send(s.tcp, s.conn, 10000, 0, s.now);
	OUT(&s, A_ | P_, 1, 10000, 1);
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		s.sack[0].start = 2001;
		s.sack[0].end = 2002;
		s.sack[1] = bad[i];
		s.sack_count = 2;
		IN(&s, A_, 1, 0, 1);
	}
	assert_int_equal(script_counters(&s).rx_bad_sack, i);
	while (tcp_output(s.tcp, &s.seg, 1, s.now))
		; /* the one good block shows a loss */
	IN(&s, A_, 1, 0, 10001);
	assert_int_equal(script_status(&s).acked, 10000);
	script_end(&s);
}

/* Blocks of one byte each: records run out, and nothing else happens. */
static void test_sack_splits(void **state)
{
	struct script s;
	uint32_t i;

	(void)state;
	begin(&s);
	tcp_send(s.tcp, s.conn, 10000, 0, s.now);
	OUT(&s, A_ | P_, 1, 10000, 1);
	for (i = 3; i < 9000; i += 2) {
		s.sack[0].start = i;
		s.sack[0].end = i + 1;
		s.sack_count = 1;
		IN(&s, A_, 1, 0, 1);
	}
	while (tcp_output(s.tcp, &s.seg, 1, s.now))
		;
	script_wait(&s, 10 * SECONDS);
	while (tcp_output(s.tcp, &s.seg, 1, s.now))
		;
	IN(&s, A_, 1, 0, 10001);
	assert_int_equal(script_status(&s).acked, 10000);
	assert_int_equal(script_status(&s).in_flight, 0);
	script_end(&s);
}

/* One byte here, one there: holds are bounded, and the gap still fills. */
static void test_islands_bounded(void **state)
{
	struct script s;
	uint32_t i;

	(void)state;
	begin(&s);
	for (i = 3; i < 4003; i += 2) {
		IN(&s, A_, i, 1, 1);
		while (tcp_output(s.tcp, &s.seg, 1, s.now))
			;
	}
	assert_int_equal(script_status(&s).held, 64);
	assert_true(script_counters(&s).rx_no_hold > 1000);
	IN(&s, A_, 1, 4000, 1);
	assert_int_equal(script_status(&s).received, 129);
	script_read(&s);
	script_end(&s);
}

static void test_no_header(void **state)
{
	struct tcp_packet p = { 0 };
	struct tcp_kept kept;
	struct script s;
	uint8_t bytes[TCP_HEAD_MAX];
	struct tcp_head h = { 0 };

	(void)state;
	begin(&s);
	h.source = s.tuple.remote_port;
	h.destination = s.tuple.local_port;
	h.seq = s.peer_iss + 1;
	h.ack = s.iss + 1;
	h.flags = TCP_ACK;
	p.tuple = s.tuple;
	p.head = bytes;
	p.head_bytes = tcp_wire_build(bytes, &h);
	p.head_bytes--;
	assert_int_equal(tcp_input(s.tcp, &p, &kept, s.now), -EBADMSG);
	p.head_bytes++;
	bytes[12] = 4 << 4; /* shorter than a header */
	assert_int_equal(tcp_input(s.tcp, &p, &kept, s.now), -EBADMSG);
	bytes[12] = 15 << 4; /* longer than what is there */
	assert_int_equal(tcp_input(s.tcp, &p, &kept, s.now), -EBADMSG);
	bytes[12] = 5 << 4;
	p.ref_count = TCP_REFS_MAX + 1;
	assert_int_equal(tcp_input(s.tcp, &p, &kept, s.now), -EBADMSG);
	p.ref_count = 0;
	assert_int_equal(tcp_input(s.tcp, &p, &kept, s.now), 0);
	/* options whose length is none end the list */
	memset(bytes + 20, 0, 40);
	bytes[12] = 15 << 4;
	bytes[20] = 8;
	bytes[21] = 0;
	p.head_bytes = 60;
	assert_int_equal(tcp_input(s.tcp, &p, &kept, s.now), 0);
	bytes[21] = 200;
	assert_int_equal(tcp_input(s.tcp, &p, &kept, s.now), 0);
	assert_int_equal(script_counters(&s).rx_bad, 4);
	QUIET(&s);
	script_end(&s);
}

/* A checksum is right only for the very bytes, in pieces of any length. */
static void test_checksum(void **state)
{
	uint8_t data[] = "a stream of an odd length.";
	struct tcp_bytes one = { data, sizeof(data) };
	struct tcp_bytes pieces[3] = {
		{ data, 1 }, { data + 1, 7 }, { data + 8, sizeof(data) - 8 },
	};
	struct tcp_packet p = { 0 };
	struct script s;
	unsigned i;

	(void)state;
	begin(&s);
	tcp_send(s.tcp, s.conn, sizeof(data), 0, s.now);
	OUT(&s, A_ | P_, 1, sizeof(data), 1);
	tcp_checksum_segment(&s.seg, pieces, 3);
	p.tuple = s.seg.tuple;
	p.head = s.seg.head;
	p.head_bytes = s.seg.head_bytes;
	assert_true(tcp_checksum_packet(&p, &one, 1));
	assert_true(tcp_checksum_packet(&p, pieces, 3));
	for (i = 0; i < 8 * sizeof(data); i++) {
		data[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_false(tcp_checksum_packet(&p, pieces, 3));
		data[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	p.tuple.local[0] ^= 1;
	assert_false(tcp_checksum_packet(&p, &one, 1));
	script_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blind_reset),
		cmocka_unit_test(test_reset_while_closing),
		cmocka_unit_test(test_blind_syn),
		cmocka_unit_test(test_challenge_limit),
		cmocka_unit_test(test_never_sent),
		cmocka_unit_test(test_old_segments),
		cmocka_unit_test(test_overlap),
		cmocka_unit_test(test_fin_inside),
		cmocka_unit_test(test_paws),
		cmocka_unit_test(test_paws_wraps_and_ages),
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_bad_sack),
		cmocka_unit_test(test_sack_splits),
		cmocka_unit_test(test_islands_bounded),
		cmocka_unit_test(test_no_header),
		cmocka_unit_test(test_checksum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
