/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine_tcp_open - connections begin as RFC 9293 says: from either side, from
 * both at once, in spite of lost SYNs, refusals and a flood of SYNs.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/tcp_script.h"

static void test_active(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	script_begin(&s);
	script_connect(&s);
	assert_int_equal(script_state(&s), TCP_ST_SYN_SENT);
	OUT(&s, S_, 0, 0, 0);
	assert_true(s.head.has_mss && s.head.mss == 1460);
	assert_true(s.head.has_sack_ok && s.head.has_wscale);
	QUIET(&s);
	/* a SYN,ACK of something else is reset, and changes nothing */
	IN(&s, S_ | A_, 0, 0, 7);
	OUT(&s, R_, 7, 0, 0);
	IN(&s, S_ | A_, 0, 0, 1);
	OUT(&s, A_, 1, 0, 1);
	assert_int_equal(script_state(&s), TCP_ST_ESTABLISHED);
	/* what was queued before goes out with the peer's MSS */
	assert_int_equal(tcp_send(s.tcp, s.conn, 1500, 0, s.now), 0);
	OUT(&s, A_ | P_, 1, 1500, 1);
	assert_true(s.head.flags & TCP_PSH);
	assert_int_equal(s.seg.segment_size, 1000);
	script_end(&s);
}

static void test_passive(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	script_begin(&s);
	script_accepted(&s);
	assert_int_equal(tcp_accept(s.tcp, s.listener), -EAGAIN);
	IN(&s, A_ | P_, 1, 100, 1);
	assert_int_equal(script_read(&s), 100);
	script_end(&s);
}

/* The peer's ACK is lost, but its payload says the same. */
static void test_passive_by_payload(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	script_begin(&s);
	script_listen(&s);
	IN(&s, S_, 0, 0, 0);
	OUT(&s, S_ | A_, 0, 0, 1);
	IN(&s, A_ | P_, 1, 10, 1);
	assert_true(script_events(&s) & TCP_EVENT_ACCEPT);
	s.conn = tcp_accept(s.tcp, s.listener);
	assert_true(script_events(&s) & TCP_EVENT_READABLE);
	assert_int_equal(script_read(&s), 10);
	script_end(&s);
}

/* RFC 9293, figure 7 */
static void test_simultaneous(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	script_begin(&s);
	script_connect(&s);
	OUT(&s, S_, 0, 0, 0);
	IN(&s, S_, 0, 0, 0);
	assert_int_equal(script_state(&s), TCP_ST_SYN_RECEIVED);
	OUT(&s, S_ | A_, 0, 0, 1);
	IN(&s, S_ | A_, 0, 0, 1);
	assert_int_equal(script_state(&s), TCP_ST_ESTABLISHED);
	assert_true(script_events(&s) & TCP_EVENT_CONNECTED);
	IN(&s, A_ | P_, 1, 5, 1);
	assert_int_equal(script_read(&s), 5);
	script_end(&s);
}

/* The same, and the peer's ACK comes instead of its SYN,ACK. */
static void test_simultaneous_ack(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	script_begin(&s);
	script_connect(&s);
	OUT(&s, S_, 0, 0, 0);
	IN(&s, S_, 0, 0, 0);
	OUT(&s, S_ | A_, 0, 0, 1);
	assert_int_equal(tcp_shutdown(s.tcp, s.conn, s.now), 0);
	IN(&s, A_, 1, 0, 1);
	assert_int_equal(script_state(&s), TCP_ST_FIN_WAIT_1);
	OUT(&s, F_ | A_, 1, 0, 1);
	script_end(&s);
}

/* RFC 6298, 5.5: the wait doubles; then it is given up. */
static void test_syn_retransmission(void **state)
{
	struct script s;
	unsigned i;

	(void)state;
	script_config(&s);
	s.config.syn_retries = 3;
	script_begin(&s);
	script_connect(&s);
	OUT(&s, S_, 0, 0, 0);
	for (i = 0; i < 3; i++) {
		script_wait(&s, (SECONDS << i) - 1);
		QUIET(&s);
		script_wait(&s, 1);
		OUT(&s, S_, 0, 0, 0);
	}
	script_wait(&s, 8 * SECONDS);
	QUIET(&s);
	assert_true(script_events(&s) & TCP_EVENT_RESET);
	assert_int_equal(s.error, ETIMEDOUT);
	assert_int_equal(tcp_free(s.tcp, s.conn, s.now), 0);
	assert_int_equal(tcp_free(s.tcp, s.conn, s.now), -EBADF);
	script_end(&s);
}

/* RFC 6298, 5.7, and RFC 5681, 3.1: a lost SYN makes the sender careful. */
static void test_after_lost_syn(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	script_begin(&s);
	script_connect(&s);
	OUT(&s, S_, 0, 0, 0);
	script_wait(&s, SECONDS);
	OUT(&s, S_, 0, 0, 0);
	IN(&s, S_ | A_, 0, 0, 1);
	OUT(&s, A_, 1, 0, 1);
	assert_int_equal(script_status(&s).cwnd, 1000);
	assert_int_equal(script_status(&s).rto, 3 * SECONDS);
	script_end(&s);
}

static void test_syn_ack_retransmission(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	s.config.syn_retries = 2;
	script_begin(&s);
	script_listen(&s);
	IN(&s, S_, 0, 0, 0);
	OUT(&s, S_ | A_, 0, 0, 1);
	/* the same SYN again is answered at once */
	IN(&s, S_, 0, 0, 0);
	OUT(&s, S_ | A_, 0, 0, 1);
	script_wait(&s, SECONDS);
	OUT(&s, S_ | A_, 0, 0, 1);
	script_wait(&s, 2 * SECONDS);
	OUT(&s, S_ | A_, 0, 0, 1);
	script_wait(&s, 4 * SECONDS);
	QUIET(&s);
	/* and it is gone */
	IN(&s, A_, 1, 0, 1);
	OUT(&s, R_, 1, 0, 0);
	assert_int_equal(tcp_unlisten(s.tcp, s.listener), 0);
	script_end(&s);
}

static void test_refused(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	script_begin(&s);
	script_connect(&s);
	OUT(&s, S_, 0, 0, 0);
	/* RFC 9293, 3.10.7.3: a reset that acknowledges nothing is no one's */
	IN(&s, R_, 0, 0, 0);
	assert_int_equal(script_state(&s), TCP_ST_SYN_SENT);
	IN(&s, R_ | A_, 0, 0, 1);
	assert_true(script_events(&s) & TCP_EVENT_RESET);
	assert_int_equal(s.error, ECONNREFUSED);
	QUIET(&s);
	script_end(&s);
}

static void test_nobody_listens(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	script_begin(&s);
	IN(&s, S_, 10, 3, 0);
	OUT(&s, R_ | A_, 0, 0, 14);
	IN(&s, A_, 10, 0, 77);
	OUT(&s, R_, 77, 0, 0);
	IN(&s, R_, 10, 0, 0);
	QUIET(&s);
	assert_int_equal(s.result, -ENOENT);
	script_end(&s);
}

/* A reset, or a stranger's ACK, in SYN-RECEIVED. */
static void test_reset_half_open(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	script_begin(&s);
	script_listen(&s);
	IN(&s, S_, 0, 0, 0);
	OUT(&s, S_ | A_, 0, 0, 1);
	IN(&s, A_, 1, 0, 99);
	OUT(&s, R_, 99, 0, 0);
	IN(&s, R_, 1, 0, 0);
	QUIET(&s);
	assert_int_equal(script_events(&s), 0);
	IN(&s, A_, 1, 0, 1); /* nothing is there any more */
	OUT(&s, R_, 1, 0, 0);
	script_end(&s);
}

/* With the accept queue full, the handshake waits and then completes. */
static void test_accept_queue(void **state)
{
	struct script s;
	int i, first = 0;

	(void)state;
	script_config(&s);
	script_begin(&s);
	s.listener = tcp_listen(s.tcp, &s.tuple, 1460, 1);
	for (i = 0; i < 2; i++) {
		s.tuple.remote_port = (uint16_t)(6000 + i);
		IN(&s, S_, 0, 0, 0);
		OUT(&s, S_ | A_, 0, 0, 1);
		IN(&s, A_, 1, 0, 1);
		QUIET(&s);
	}
	first = tcp_accept(s.tcp, s.listener);
	assert_true(first > 0);
	assert_int_equal(tcp_accept(s.tcp, s.listener), -EAGAIN);
	IN(&s, A_, 1, 0, 1);
	assert_int_equal(tcp_unlisten(s.tcp, s.listener), -EBUSY);
	s.conn = tcp_accept(s.tcp, s.listener);
	assert_true(s.conn > 0 && s.conn != first);
	assert_int_equal(tcp_unlisten(s.tcp, s.listener), 0);
	assert_int_equal(script_counters(&s).accept_full, 1);
	script_end(&s);
}

/* A cookie's connection has the MSS's class, and by timestamps the rest. */
static void cookie(bool timestamps)
{
	struct script s;
	unsigned i;

	script_config(&s);
	s.config.timestamps = true;
	script_begin(&s);
	script_listen(&s);
	s.ts = timestamps;
	s.tsval = 1000;
	s.wscale = 5;
	s.mss = 1400;
	for (i = 0; i < 4; i++) { /* the backlog */
		s.tuple.remote_port = (uint16_t)(7000 + i);
		IN(&s, S_, 0, 0, 0);
		OUT(&s, S_ | A_, 0, 0, 1);
	}
	s.tuple.remote_port = 8000;
	IN(&s, S_, 0, 0, 0);
	OUT(&s, S_ | A_, 0, 0, 1);
	assert_int_equal(s.seg.conn, 0);
	s.tsecr_fixed = true;
	s.tsecr = s.head.tsval;
	assert_int_equal(script_counters(&s).syn_backlog_full, 1);
	script_wait(&s, 60 * SECONDS);
	while (tcp_output(s.tcp, &s.seg, 1, s.now))
		; /* SYN,ACKs of the others */
	IN(&s, A_, 1, 0, 1000); /* a guess */
	OUT(&s, R_, 1000, 0, 0);
	IN(&s, A_ | P_, 1, 10, 1);
	s.conn = tcp_accept(s.tcp, s.listener);
	assert_true(s.conn > 0);
	assert_int_equal(script_read(&s), 10);
	assert_int_equal(script_status(&s).mss,
			 timestamps ? 1380 - 12 : 1380);
	assert_int_equal(script_status(&s).timestamps, timestamps);
	assert_int_equal(script_status(&s).sack, timestamps);
	assert_int_equal(script_status(&s).peer_window,
			 timestamps ? 65535 << 5 : 65535);
	script_end(&s);
}

static void test_cookie(void **state)
{
	(void)state;
	cookie(false);
	cookie(true);
}

static void test_old_cookie(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	script_begin(&s);
	s.listener = tcp_listen(s.tcp, &s.tuple, 1460, 1);
	s.tuple.remote_port = 7000;
	IN(&s, S_, 0, 0, 0);
	OUT(&s, S_ | A_, 0, 0, 1);
	s.tuple.remote_port = 8000;
	IN(&s, S_, 0, 0, 0);
	OUT(&s, S_ | A_, 0, 0, 1);
	script_wait(&s, 130 * SECONDS);
	IN(&s, A_, 1, 0, 1);
	assert_int_equal(tcp_accept(s.tcp, s.listener), -EAGAIN);
	script_end(&s);
}

/* 10^6 SYNs: memory is what it was, and a client still gets in. */
static void test_flood(void **state)
{
	struct script s;
	uint32_t i;

	(void)state;
	script_config(&s);
	s.config.conns = 64;
	script_begin(&s);
	script_listen(&s);
	for (i = 0; i < 1000000; i++) {
		memcpy(s.tuple.remote, &i, sizeof(i));
		IN(&s, S_, i, 0, 0);
		s.now += 10;
		if (i % 8 == 0)
			while (tcp_output(s.tcp, &s.seg, 1, s.now))
				;
	}
	assert_true(script_counters(&s).syn_backlog_full > 900000);
	while (tcp_output(s.tcp, &s.seg, 1, s.now))
		;
	memcpy(s.tuple.remote, "\x0a\x00\x00\x09", 4);
	IN(&s, S_, 0, 0, 0);
	OUT(&s, S_ | A_, 0, 0, 1);
	IN(&s, A_ | P_, 1, 10, 1);
	s.conn = tcp_accept(s.tcp, s.listener);
	assert_true(s.conn > 0);
	assert_int_equal(script_read(&s), 10);
	script_end(&s);
}

/* Options of a SYN that make no sense do no harm. */
static void test_odd_options(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	script_begin(&s);
	s.mss = 1; /* would be a megabyte in a million segments */
	s.wscale = 200;
	script_connected(&s);
	assert_int_equal(script_status(&s).mss, 48);
	IN(&s, A_, 1, 0, 1);
	assert_int_equal(script_status(&s).peer_window, 65535u << 14);
	script_end(&s);
}

static void test_names(void **state)
{
	struct tcp_config c;
	struct script s;
	int old;

	(void)state;
	tcp_config_init(&c);
	c.conns = 0;
	assert_int_equal(tcp_stack_bytes(&c), 0);
	script_config(&s);
	script_begin(&s);
	assert_null(tcp_stack_init(s.memory, 100, &s.config));
	script_connect(&s);
	assert_int_equal(tcp_connect(s.tcp, &s.tuple, 1460, s.now),
			 -EADDRINUSE);
	old = s.conn;
	assert_int_equal(tcp_abort(s.tcp, s.conn, s.now), 0);
	assert_int_equal(tcp_free(s.tcp, s.conn, s.now), 0);
	script_connect(&s);
	assert_int_equal(tcp_send(s.tcp, old, 1, 0, s.now), -EBADF);
	assert_int_equal(tcp_send(s.tcp, -1, 1, 0, s.now), -EBADF);
	assert_int_equal(tcp_send(s.tcp, 0, 1, 0, s.now), -EBADF);
	assert_int_equal(tcp_send(s.tcp, 0x7fffffff, 1, 0, s.now), -EBADF);
	assert_int_equal(tcp_accept(s.tcp, s.conn), -EBADF);
	script_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_active),
		cmocka_unit_test(test_passive),
		cmocka_unit_test(test_passive_by_payload),
		cmocka_unit_test(test_simultaneous),
		cmocka_unit_test(test_simultaneous_ack),
		cmocka_unit_test(test_syn_retransmission),
		cmocka_unit_test(test_after_lost_syn),
		cmocka_unit_test(test_syn_ack_retransmission),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_nobody_listens),
		cmocka_unit_test(test_reset_half_open),
		cmocka_unit_test(test_accept_queue),
		cmocka_unit_test(test_cookie),
		cmocka_unit_test(test_old_cookie),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_odd_options),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
