/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine_tcp_window - flow control and acknowledgements: when an ACK is sent
 * (and how many for an aggregate), closed and small and shrunk windows, Nagle,
 * the window's scale, urgent data, ECN.
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

/* RFC 9293, 3.8.6.3: every second segment at once, one alone after a while. */
static void test_delayed_ack(void **state)
{
	struct script s;

	(void)state;
	begin(&s);
	IN(&s, A_, 1, 1000, 1);
	QUIET(&s);
	script_wait(&s, 40 * MS - 1);
	QUIET(&s);
	script_wait(&s, 1);
	OUT(&s, A_, 1, 0, 1001);
	IN(&s, A_, 1001, 1000, 1);
	IN(&s, A_, 2001, 1000, 1);
	OUT(&s, A_, 1, 0, 3001);
	script_wait(&s, SECONDS);
	QUIET(&s);
	/* payload carries it */
	IN(&s, A_, 3001, 1000, 1);
	tcp_send(s.tcp, s.conn, 10, 0, s.now);
	OUT(&s, A_ | P_, 1, 10, 4001);
	script_wait(&s, 100 * MS);
	QUIET(&s);
	script_end(&s);
}

/* J1: an aggregate counts as what it was made of. */
static void test_aggregate_ack(void **state)
{
	struct script s;
	unsigned i;

	(void)state;
	begin(&s);
	s.segments = 2;
	s.segment_max = 1000;
	IN(&s, A_, 1, 2000, 1);
	OUT(&s, A_, 1, 0, 2001);
	s.segments = 1;
	IN(&s, A_, 2001, 1000, 1);
	QUIET(&s);
	s.segments = 40;
	IN(&s, A_, 3001, 40000, 1);
	OUT(&s, A_, 1, 0, 43001);
	QUIET(&s);
	script_end(&s);

	/* a stretch of 2: as many ACKs as without aggregation */
	script_config(&s);
	s.config.ack_stretch = 2;
	script_begin(&s);
	script_connected(&s);
	s.segments = 11;
	s.segment_max = 1000;
	IN(&s, A_, 1, 11000, 1);
	for (i = 1; i <= 5; i++)
		OUT(&s, A_, 1, 0, 1 + 2000 * i);
	OUT(&s, A_, 1, 0, 11001);
	QUIET(&s);
	script_end(&s);
}

/* Out of order, filling a gap, again: at once (RFC 5681, 4.2). */
static void test_immediate_ack(void **state)
{
	struct script s;

	(void)state;
	begin(&s);
	IN(&s, A_, 1001, 1000, 1);
	OUT(&s, A_, 1, 0, 1);
	IN(&s, A_, 1, 500, 1);
	OUT(&s, A_, 1, 0, 501);
	IN(&s, A_, 501, 500, 1);
	OUT(&s, A_, 1, 0, 2001);
	IN(&s, A_, 1, 500, 1);
	OUT(&s, A_, 1, 0, 2001);
	script_end(&s);
}

static void test_window_closes_and_opens(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	s.config.recv_bytes = 10000;
	script_begin(&s);
	script_connected(&s);
	assert_int_equal(s.head.window, 10000);
	IN(&s, A_, 1, 6000, 1);
	script_wait(&s, 40 * MS);
	OUT(&s, A_, 1, 0, 6001);
	assert_int_equal(s.head.window, 4000);
	IN(&s, A_, 6001, 6000, 1); /* 2000 too many */
	OUT(&s, A_, 1, 0, 10001);
	assert_int_equal(s.head.window, 0);
	assert_int_equal(script_counters(&s).rx_beyond_bytes, 2000);
	IN(&s, A_, 10001, 1, 1); /* a window probe */
	assert_int_equal(s.kept.bits[0], 0);
	OUT(&s, A_, 1, 0, 10001);
	assert_int_equal(s.head.window, 0);
	assert_int_equal(script_read(&s), 10000);
	OUT(&s, A_, 1, 0, 10001);
	assert_int_equal(s.head.window, 10000);
	script_end(&s);
}

/* RFC 9293, 3.8.6.2.2: it does not open by little steps. */
static void test_silly_window(void **state)
{
	struct tcp_piece piece;
	struct script s;
	unsigned i;

	(void)state;
	script_config(&s);
	s.config.recv_bytes = 10000;
	script_begin(&s);
	script_connected(&s);
	for (i = 0; i < 10; i++)
		IN(&s, A_, 1 + 1000 * i, 1000, 1);
	while (tcp_output(s.tcp, &s.seg, 1, s.now))
		;
	assert_int_equal(tcp_recv_take(s.tcp, s.conn, &piece, 1), 1);
	assert_int_equal(tcp_recv_done(s.tcp, s.conn, 1001, s.now), -EINVAL);
	assert_int_equal(tcp_recv_done(s.tcp, s.conn, 900, s.now), 0);
	QUIET(&s);
	IN(&s, A_, 10001, 1, 1);
	OUT(&s, A_, 1, 0, 10001);
	assert_int_equal(s.head.window, 0);
	assert_int_equal(tcp_recv_done(s.tcp, s.conn, 100, s.now), 0);
	IN(&s, A_, 10001, 1, 1);
	OUT(&s, A_, 1, 0, 10001);
	assert_int_equal(s.head.window, 1000);
	script_end(&s);
}

/* RFC 7323: the scale, and that rounding takes nothing back. */
static void test_scale(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	s.config.recv_bytes = 1 << 20;
	s.wscale = 3;
	script_begin(&s);
	script_connected(&s);
	assert_int_equal(s.head.window, (1 << 20) >> 5);
	IN(&s, A_, 1, 7, 1);
	script_wait(&s, 40 * MS);
	OUT(&s, A_, 1, 0, 8);
	s.window = 100;
	IN(&s, A_, 8, 0, 1);
	assert_int_equal(script_status(&s).peer_window, 800);
	/* the last byte of the first window is still taken */
	IN(&s, A_, 1 << 20, 1, 1);
	assert_int_equal(s.kept.bits[0], 1);
	script_end(&s);
}

/* RFC 9293, 3.8.6.1: probes, further and further apart, and never an end. */
static void test_zero_window_probe(void **state)
{
	struct script s;
	unsigned i;

	(void)state;
	begin(&s);
	s.window = 0;
	IN(&s, A_, 1, 0, 1);
	tcp_send(s.tcp, s.conn, 3000, 0, s.now);
	QUIET(&s);
	for (i = 0; i < 40; i++) {
		uint64_t wait = script_status(&s).rto << (i < 12 ? i : 12);

		wait = wait > 120 * SECONDS ? 120 * SECONDS : wait;
		script_wait(&s, wait - 1);
		QUIET(&s);
		script_wait(&s, 1);
		OUT(&s, A_ | P_, 1, 1, 1);
		IN(&s, A_, 1, 0, 1);
	}
	assert_int_equal(script_counters(&s).window_probes, 40);
	/* it opens: all of it, the probe's byte too */
	s.window = 65535;
	IN(&s, A_, 1, 0, 1);
	OUT(&s, A_ | P_, 1, 3000, 1);
	assert_int_equal(script_counters(&s).retransmits, 0);
	script_end(&s);
}

/* The peer takes the probe's byte. */
static void test_probe_taken(void **state)
{
	struct script s;

	(void)state;
	begin(&s);
	s.window = 0;
	IN(&s, A_, 1, 0, 1);
	tcp_send(s.tcp, s.conn, 3, 0, s.now);
	QUIET(&s);
	script_wait(&s, SECONDS);
	OUT(&s, A_ | P_, 1, 1, 1);
	IN(&s, A_, 1, 0, 2);
	assert_int_equal(script_status(&s).acked, 1);
	tcp_shutdown(s.tcp, s.conn, s.now);
	QUIET(&s);
	script_wait(&s, SECONDS);
	OUT(&s, A_ | P_, 2, 1, 1);
	IN(&s, A_, 1, 0, 3);
	script_wait(&s, SECONDS);
	OUT(&s, A_ | P_, 3, 1, 1);
	IN(&s, A_, 1, 0, 4);
	/* even the FIN is probed with */
	script_wait(&s, SECONDS);
	OUT(&s, F_ | A_, 4, 0, 1);
	IN(&s, A_, 1, 0, 5);
	assert_int_equal(script_state(&s), TCP_ST_FIN_WAIT_2);
	script_end(&s);
}

/* Nobody answers the probes: that is an end. */
static void test_probe_unanswered(void **state)
{
	struct script s;
	unsigned i;

	(void)state;
	script_config(&s);
	s.config.retries = 4;
	script_begin(&s);
	script_connected(&s);
	s.window = 0;
	IN(&s, A_, 1, 0, 1);
	tcp_send(s.tcp, s.conn, 3, 0, s.now);
	QUIET(&s);
	for (i = 0; i < 4; i++) {
		script_wait(&s, 100 * SECONDS);
		OUT(&s, A_ | P_, 1, 1, 1);
	}
	script_wait(&s, 100 * SECONDS);
	QUIET(&s);
	script_events(&s);
	assert_int_equal(s.error, ETIMEDOUT);
	script_end(&s);
}

/* RFC 9293, 3.8.6.2.1: a window smaller than a segment is waited out. */
static void test_small_window(void **state)
{
	struct script s;

	(void)state;
	begin(&s);
	s.window = 300;
	IN(&s, A_, 1, 0, 1);
	tcp_send(s.tcp, s.conn, 3000, 0, s.now);
	QUIET(&s);
	script_wait(&s, SECONDS);
	OUT(&s, A_, 1, 300, 1); /* the override timer */
	IN(&s, A_, 1, 0, 301);
	QUIET(&s);
	script_end(&s);
}

/* A peer that takes its window back: nothing new, and no loss of sync. */
static void test_shrunk_window(void **state)
{
	struct script s;

	(void)state;
	begin(&s);
	tcp_send(s.tcp, s.conn, 8000, 0, s.now);
	OUT(&s, A_ | P_, 1, 8000, 1);
	s.window = 500;
	IN(&s, A_, 1, 0, 2001);
	tcp_send(s.tcp, s.conn, 1000, 0, s.now);
	QUIET(&s);
	script_wait(&s, SECONDS); /* a tail loss probe would be beyond it */
	QUIET(&s);
	script_wait(&s, SECONDS);
	/* only the first of what is in flight goes again */
	OUT(&s, A_, 2001, 1000, 1);
	QUIET(&s);
	s.window = 65535;
	IN(&s, A_, 1, 0, 8001);
	OUT(&s, A_ | P_, 8001, 1000, 1);
	script_end(&s);
}

/* RFC 9293, 3.7.4 */
static void test_nagle(void **state)
{
	struct script s;

	(void)state;
	begin(&s);
	tcp_send(s.tcp, s.conn, 10, 0, s.now);
	OUT(&s, A_ | P_, 1, 10, 1);
	tcp_send(s.tcp, s.conn, 10, 0, s.now);
	QUIET(&s);
	tcp_send(s.tcp, s.conn, 995, 0, s.now); /* a full one, 5 bytes wait */
	OUT(&s, A_, 11, 1000, 1);
	QUIET(&s);
	IN(&s, A_, 1, 0, 1011);
	OUT(&s, A_ | P_, 1011, 5, 1);
	/* the tail of a large write does not wait for its full segments */
	IN(&s, A_, 1, 0, 1016);
	tcp_send(s.tcp, s.conn, 2000, 0, s.now);
	OUT(&s, A_ | P_, 1016, 2000, 1);
	tcp_send(s.tcp, s.conn, 7, 0, s.now);
	OUT(&s, A_ | P_, 3016, 7, 1);
	/* without it */
	tcp_set_option(s.tcp, s.conn, TCP_OPTION_NODELAY, 1, s.now);
	tcp_send(s.tcp, s.conn, 1, 0, s.now);
	OUT(&s, A_ | P_, 3023, 1, 1);
	/* with a cork, until it is pulled */
	tcp_set_option(s.tcp, s.conn, TCP_OPTION_CORK, 1, s.now);
	tcp_send(s.tcp, s.conn, 1, 0, s.now);
	QUIET(&s);
	tcp_set_option(s.tcp, s.conn, TCP_OPTION_CORK, 0, s.now);
	OUT(&s, A_ | P_, 3024, 1, 1);
	tcp_send(s.tcp, s.conn, 1, TCP_SEND_MORE, s.now);
	QUIET(&s);
	tcp_send(s.tcp, s.conn, 1, 0, s.now);
	OUT(&s, A_ | P_, 3025, 2, 1);
	script_end(&s);
}

/* RFC 6093: in the stream, and the mark is the byte after. */
static void test_urgent(void **state)
{
	struct script s;

	(void)state;
	begin(&s);
	s.urgent = 3;
	IN(&s, A_ | TCP_URG, 1, 10, 1);
	assert_true(script_events(&s) & TCP_EVENT_URGENT);
	assert_int_equal(script_status(&s).urgent, 3);
	assert_int_equal(script_read(&s), 10);
	assert_int_equal(script_status(&s).urgent, 0);
	tcp_send(s.tcp, s.conn, 5, TCP_SEND_URGENT, s.now);
	OUT(&s, A_ | P_ | TCP_URG, 1, 5, 11);
	assert_int_equal(s.head.urgent, 5);
	IN(&s, A_, 11, 0, 6);
	tcp_send(s.tcp, s.conn, 5, 0, s.now);
	OUT(&s, A_ | P_, 6, 5, 11);
	script_end(&s);
}

/* RFC 3168: negotiation, echo until CWR, one reduction for a window. */
static void test_ecn(void **state)
{
	struct script s;
	uint32_t before;

	(void)state;
	script_config(&s);
	s.config.ecn = true;
	script_begin(&s);
	script_connect(&s);
	OUT(&s, S_ | TCP_ECE | TCP_CWR, 0, 0, 0);
	assert_int_equal(s.seg.ecn, TCP_ECN_NOT);
	IN(&s, S_ | A_ | TCP_ECE, 0, 0, 1);
	OUT(&s, A_, 1, 0, 1);
	assert_true(script_status(&s).ecn);
	/* received: a mark */
	s.ecn = TCP_ECN_CE;
	IN(&s, A_, 1, 100, 1);
	OUT(&s, A_ | TCP_ECE, 1, 0, 101);
	s.ecn = TCP_ECN_ECT0;
	IN(&s, A_, 101, 100, 1);
	script_wait(&s, 40 * MS);
	OUT(&s, A_ | TCP_ECE, 1, 0, 201);
	IN(&s, A_ | TCP_CWR, 201, 100, 1);
	script_wait(&s, 40 * MS);
	OUT(&s, A_, 1, 0, 301);
	assert_int_equal(s.seg.ecn, TCP_ECN_NOT);
	/* sent: an echo */
	s.ecn = TCP_ECN_NOT;
	before = script_status(&s).cwnd;
	tcp_send(s.tcp, s.conn, 4000, 0, s.now);
	OUT(&s, A_ | P_, 1, 4000, 301);
	assert_int_equal(s.seg.ecn, TCP_ECN_ECT0);
	IN(&s, A_ | TCP_ECE, 301, 0, 1001);
	assert_int_equal(script_status(&s).cwnd, before / 2);
	IN(&s, A_ | TCP_ECE, 301, 0, 2001);
	assert_int_equal(script_status(&s).cwnd, before / 2);
	tcp_send(s.tcp, s.conn, 2000, 0, s.now);
	OUT(&s, A_ | P_ | TCP_CWR, 4001, 2000, 301);
	assert_int_equal(script_counters(&s).ecn_reductions, 1);
	script_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delayed_ack),
		cmocka_unit_test(test_aggregate_ack),
		cmocka_unit_test(test_immediate_ack),
		cmocka_unit_test(test_window_closes_and_opens),
		cmocka_unit_test(test_silly_window),
		cmocka_unit_test(test_scale),
		cmocka_unit_test(test_zero_window_probe),
		cmocka_unit_test(test_probe_taken),
		cmocka_unit_test(test_probe_unanswered),
		cmocka_unit_test(test_small_window),
		cmocka_unit_test(test_shrunk_window),
		cmocka_unit_test(test_nagle),
		cmocka_unit_test(test_urgent),
		cmocka_unit_test(test_ecn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
