/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine_tcp_close - connections end as RFC 9293 says, in every state: in order
 * from either side or both at once, by abort, by linger, by keepalive; and
 * TIME-WAIT protects, is reused, and makes way.
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

/* RFC 9293, figure 12, from the side that closes first. */
static void test_active(void **state)
{
	struct script s;

	(void)state;
	begin(&s);
	assert_int_equal(tcp_send(s.tcp, s.conn, 10, 0, s.now), 0);
	assert_int_equal(tcp_shutdown(s.tcp, s.conn, s.now), 0);
	assert_int_equal(tcp_send(s.tcp, s.conn, 1, 0, s.now), -EPIPE);
	OUT(&s, F_ | A_ | P_, 1, 10, 1);
	assert_int_equal(script_state(&s), TCP_ST_FIN_WAIT_1);
	IN(&s, A_, 1, 0, 11); /* the payload, not the FIN */
	assert_int_equal(script_state(&s), TCP_ST_FIN_WAIT_1);
	IN(&s, A_, 1, 0, 12);
	assert_int_equal(script_state(&s), TCP_ST_FIN_WAIT_2);
	assert_int_equal(script_status(&s).acked, 10);
	IN(&s, A_ | P_, 1, 20, 12); /* the other half goes on */
	assert_int_equal(script_read(&s), 20);
	script_wait(&s, 40 * MS);
	OUT(&s, A_, 12, 0, 21);
	IN(&s, F_ | A_, 21, 0, 12);
	OUT(&s, A_, 12, 0, 22);
	assert_int_equal(script_state(&s), TCP_ST_TIME_WAIT);
	script_events(&s);
	assert_true(s.events & TCP_EVENT_EOF);
	assert_true(s.events & TCP_EVENT_CLOSED);
	/* our ACK was lost: the FIN again, answered, and the wait restarts */
	script_wait(&s, 50 * SECONDS);
	IN(&s, F_ | A_, 21, 0, 12);
	OUT(&s, A_, 12, 0, 22);
	assert_int_equal(tcp_free(s.tcp, s.conn, s.now), 0);
	script_wait(&s, 59 * SECONDS);
	IN(&s, F_ | A_, 21, 0, 12);
	OUT(&s, A_, 12, 0, 22);
	script_wait(&s, 61 * SECONDS);
	IN(&s, F_ | A_, 21, 0, 12);
	OUT(&s, R_, 12, 0, 0);
	script_end(&s);
}

static void test_passive(void **state)
{
	struct script s;

	(void)state;
	begin(&s);
	IN(&s, F_ | A_, 1, 5, 1);
	OUT(&s, A_, 1, 0, 7);
	assert_int_equal(script_state(&s), TCP_ST_CLOSE_WAIT);
	assert_true(script_events(&s) & TCP_EVENT_EOF);
	assert_int_equal(script_read(&s), 5);
	IN(&s, F_ | A_, 1, 5, 1); /* again */
	OUT(&s, A_, 1, 0, 7);
	assert_int_equal(tcp_send(s.tcp, s.conn, 10, 0, s.now), 0);
	OUT(&s, A_ | P_, 1, 10, 7);
	assert_int_equal(tcp_shutdown(s.tcp, s.conn, s.now), 0);
	assert_int_equal(script_state(&s), TCP_ST_LAST_ACK);
	OUT(&s, F_ | A_, 11, 0, 7);
	IN(&s, A_, 7, 0, 11);
	assert_int_equal(script_state(&s), TCP_ST_LAST_ACK);
	IN(&s, A_, 7, 0, 12);
	assert_int_equal(script_state(&s), TCP_ST_CLOSED);
	script_events(&s);
	assert_true(s.events & TCP_EVENT_CLOSED);
	assert_int_equal(s.error, 0);
	assert_int_equal(tcp_free(s.tcp, s.conn, s.now), 0);
	script_end(&s);
}

/* Figure 13 */
static void test_simultaneous(void **state)
{
	struct script s;

	(void)state;
	begin(&s);
	assert_int_equal(tcp_shutdown(s.tcp, s.conn, s.now), 0);
	OUT(&s, F_ | A_, 1, 0, 1);
	IN(&s, F_ | A_, 1, 0, 1);
	OUT(&s, A_, 2, 0, 2);
	assert_int_equal(script_state(&s), TCP_ST_CLOSING);
	IN(&s, A_, 2, 0, 2);
	assert_int_equal(script_state(&s), TCP_ST_TIME_WAIT);
	script_end(&s);
}

/* The peer's FIN acknowledges ours. */
static void test_three_segments(void **state)
{
	struct script s;

	(void)state;
	begin(&s);
	assert_int_equal(tcp_shutdown(s.tcp, s.conn, s.now), 0);
	OUT(&s, F_ | A_, 1, 0, 1);
	IN(&s, F_ | A_, 1, 0, 2);
	OUT(&s, A_, 2, 0, 2);
	assert_int_equal(script_state(&s), TCP_ST_TIME_WAIT);
	script_end(&s);
}

/* A FIN that is lost comes again; one that came early waits for its gap. */
static void test_lost_fin(void **state)
{
	struct script s;

	(void)state;
	begin(&s);
	assert_int_equal(tcp_shutdown(s.tcp, s.conn, s.now), 0);
	OUT(&s, F_ | A_, 1, 0, 1);
	script_wait(&s, SECONDS);
	OUT(&s, F_ | A_, 1, 0, 1);
	IN(&s, F_ | A_, 11, 5, 2);
	OUT(&s, A_, 2, 0, 1);
	assert_int_equal(s.head.sack_count, 1);
	assert_int_equal(script_state(&s), TCP_ST_FIN_WAIT_2);
	IN(&s, A_, 1, 10, 2);
	OUT(&s, A_, 2, 0, 17);
	assert_int_equal(script_state(&s), TCP_ST_TIME_WAIT);
	assert_int_equal(script_read(&s), 15);
	script_end(&s);
}

/* Close in SYN-SENT, SYN-RECEIVED, and before the SYN went out. */
static void test_before_established(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	script_begin(&s);
	script_connect(&s);
	assert_int_equal(tcp_shutdown(s.tcp, s.conn, s.now), -ENOTCONN);
	assert_int_equal(tcp_close(s.tcp, s.conn, TCP_LINGER_NONE, s.now), 0);
	QUIET(&s);
	assert_int_equal(script_state(&s), TCP_ST_CLOSED);
	assert_int_equal(tcp_free(s.tcp, s.conn, s.now), 0);
	script_connect(&s);
	OUT(&s, S_, 0, 0, 0);
	IN(&s, S_, 0, 0, 0);
	OUT(&s, S_ | A_, 0, 0, 1);
	assert_int_equal(tcp_abort(s.tcp, s.conn, s.now), 0);
	OUT(&s, R_ | A_, 1, 0, 1);
	script_end(&s);
}

static void abort_in(enum tcp_state want, uint32_t seq)
{
	struct script s;

	begin(&s);
	if (want == TCP_ST_CLOSE_WAIT || want == TCP_ST_LAST_ACK) {
		IN(&s, F_ | A_, 1, 0, 1);
		OUT(&s, A_, 1, 0, 2);
	}
	if (want != TCP_ST_ESTABLISHED && want != TCP_ST_CLOSE_WAIT) {
		tcp_shutdown(s.tcp, s.conn, s.now);
		OUT(&s, F_ | A_, 1, 0, want == TCP_ST_LAST_ACK ? 2 : 1);
	}
	if (want == TCP_ST_FIN_WAIT_2)
		IN(&s, A_, 1, 0, 2);
	if (want == TCP_ST_CLOSING) {
		IN(&s, F_ | A_, 1, 0, 1);
		OUT(&s, A_, 2, 0, 2);
	}
	assert_int_equal(script_state(&s), want);
	assert_int_equal(tcp_abort(s.tcp, s.conn, s.now), 0);
	OUT(&s, R_ | A_, seq, 0, want == TCP_ST_CLOSE_WAIT ||
		    want == TCP_ST_LAST_ACK || want == TCP_ST_CLOSING ? 2 : 1);
	QUIET(&s);
	assert_int_equal(script_state(&s), TCP_ST_CLOSED);
	assert_true(script_events(&s) & TCP_EVENT_RESET);
	assert_int_equal(s.error, ECONNABORTED);
	assert_int_equal(tcp_free(s.tcp, s.conn, s.now), 0);
	script_end(&s);
}

static void test_abort(void **state)
{
	(void)state;
	abort_in(TCP_ST_ESTABLISHED, 1);
	abort_in(TCP_ST_CLOSE_WAIT, 1);
	abort_in(TCP_ST_FIN_WAIT_1, 2);
	abort_in(TCP_ST_FIN_WAIT_2, 2);
	abort_in(TCP_ST_CLOSING, 2);
	abort_in(TCP_ST_LAST_ACK, 2);
}

/* RFC 2525, 2.17: closed without reading, or payload after the close. */
static void test_close_unread(void **state)
{
	struct tcp_piece piece[2];
	struct script s;

	(void)state;
	begin(&s);
	IN(&s, A_ | P_, 1, 5, 1);
	IN(&s, A_ | P_, 10, 5, 1); /* an island */
	OUT(&s, A_, 1, 0, 6);
	assert_int_equal(tcp_close(s.tcp, s.conn, TCP_LINGER_NONE, s.now), 0);
	OUT(&s, R_ | A_, 1, 0, 6);
	assert_int_equal(tcp_free(s.tcp, s.conn, s.now), -EBUSY);
	/* the references come back, as no part of the stream */
	assert_int_equal(tcp_recv_take(s.tcp, s.conn, piece, 2), 2);
	assert_int_equal(piece[0].flags, TCP_PIECE_LAST | TCP_PIECE_DROPPED);
	assert_int_equal(piece[1].flags, TCP_PIECE_LAST | TCP_PIECE_DROPPED);
	assert_int_equal(tcp_free(s.tcp, s.conn, s.now), 0);
	script_end(&s);

	begin(&s);
	assert_int_equal(tcp_close(s.tcp, s.conn, TCP_LINGER_NONE, s.now), 0);
	OUT(&s, F_ | A_, 1, 0, 1);
	IN(&s, A_, 1, 0, 2);
	IN(&s, A_ | P_, 1, 5, 2);
	assert_int_equal(s.kept.bits[0], 0);
	OUT(&s, R_ | A_, 2, 0, 1);
	assert_int_equal(script_state(&s), TCP_ST_CLOSED);
	script_end(&s);
}

static void test_linger(void **state)
{
	struct script s;

	(void)state;
	begin(&s);
	assert_int_equal(tcp_send(s.tcp, s.conn, 10, 0, s.now), 0);
	OUT(&s, A_ | P_, 1, 10, 1);
	assert_int_equal(tcp_close(s.tcp, s.conn, 300 * MS, s.now), 0);
	OUT(&s, F_ | A_, 11, 0, 1);
	script_wait(&s, 299 * MS);
	assert_int_equal(script_state(&s), TCP_ST_FIN_WAIT_1);
	while (tcp_output(s.tcp, &s.seg, 1, s.now))
		; /* retransmissions */
	script_wait(&s, 1 * MS);
	OUT(&s, R_ | A_, 12, 0, 1);
	assert_true(script_events(&s) & TCP_EVENT_RESET);
	assert_int_equal(s.error, ETIMEDOUT);
	script_end(&s);

	begin(&s); /* a linger of nothing is an abort */
	assert_int_equal(tcp_close(s.tcp, s.conn, 0, s.now), 0);
	OUT(&s, R_ | A_, 1, 0, 1);
	script_end(&s);
}

/* A peer that never closes its half does not hold the connection for ever. */
static void test_fin_wait_2(void **state)
{
	struct script s;

	(void)state;
	begin(&s);
	assert_int_equal(tcp_close(s.tcp, s.conn, TCP_LINGER_NONE, s.now), 0);
	OUT(&s, F_ | A_, 1, 0, 1);
	IN(&s, A_, 1, 0, 2);
	script_wait(&s, 60 * SECONDS);
	OUT(&s, R_ | A_, 2, 0, 1);
	assert_int_equal(script_state(&s), TCP_ST_CLOSED);
	script_end(&s);

	begin(&s); /* but one that is only half closed is waited for */
	tcp_shutdown(s.tcp, s.conn, s.now);
	OUT(&s, F_ | A_, 1, 0, 1);
	IN(&s, A_, 1, 0, 2);
	script_wait(&s, 6000 * SECONDS);
	QUIET(&s);
	assert_int_equal(script_state(&s), TCP_ST_FIN_WAIT_2);
	script_end(&s);
}

static void to_time_wait(struct script *s)
{
	tcp_shutdown(s->tcp, s->conn, s->now);
	OUT(s, F_ | A_, 1, 0, 1);
	IN(s, F_ | A_, 1, 0, 2);
	OUT(s, A_, 2, 0, 2);
	assert_int_equal(script_state(s), TCP_ST_TIME_WAIT);
}

/* RFC 1337: nothing old ends it. RFC 9293, 3.10.7.4: a newer SYN does. */
static void test_time_wait(void **state)
{
	struct script s;

	(void)state;
	begin(&s);
	to_time_wait(&s);
	IN(&s, R_, 2, 0, 0);
	assert_int_equal(script_state(&s), TCP_ST_TIME_WAIT);
	IN(&s, A_ | P_, 1, 4, 2);
	OUT(&s, A_, 2, 0, 2);
	assert_int_equal(s.kept.bits[0], 0);
	script_events(&s);
	assert_int_equal(tcp_free(s.tcp, s.conn, s.now), 0);
	IN(&s, S_, 500, 0, 0); /* newer, but nobody listens */
	OUT(&s, A_, 2, 0, 2);
	script_listen(&s);
	IN(&s, S_, 1, 0, 0); /* older */
	OUT(&s, A_, 2, 0, 2);
	s.peer_iss += 500;
	IN(&s, S_, 0, 0, 0);
	OUT(&s, S_ | A_, 0, 0, 1);
	IN(&s, A_, 1, 0, 1);
	assert_true(tcp_accept(s.tcp, s.listener) > 0);
	assert_int_equal(script_counters(&s).time_wait_reused, 1);
	script_end(&s);
}

/* RFC 6191: with timestamps a newer one decides, whatever the number is. */
static void test_time_wait_timestamps(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	s.config.timestamps = true;
	s.ts = true;
	s.tsval = 1000;
	script_begin(&s);
	script_connected(&s);
	to_time_wait(&s);
	script_listen(&s);
	assert_int_equal(tcp_free(s.tcp, s.conn, s.now), 0);
	s.tsval = 999;
	IN(&s, S_, 500, 0, 0);
	OUT(&s, A_, 2, 0, 2);
	s.tsval = 1001;
	s.peer_iss -= 100000;
	IN(&s, S_, 0, 0, 0);
	OUT(&s, S_ | A_, 0, 0, 1);
	script_end(&s);
}

/* An own connection from the same port: after a second, with timestamps. */
static void test_time_wait_connect(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	s.config.timestamps = true;
	s.ts = true;
	s.tsval = 1000;
	script_begin(&s);
	script_connected(&s);
	to_time_wait(&s);
	assert_int_equal(tcp_free(s.tcp, s.conn, s.now), 0);
	assert_int_equal(tcp_connect(s.tcp, &s.tuple, 1460, s.now),
			 -EADDRINUSE);
	script_wait(&s, SECONDS);
	script_connected(&s);
	script_end(&s);
}

/* With no slot free, the oldest TIME-WAIT makes way. */
static void test_time_wait_recycled(void **state)
{
	struct script s;
	unsigned i;

	(void)state;
	script_config(&s);
	s.config.conns = 2;
	script_begin(&s);
	for (i = 0; i < 5; i++) {
		s.tuple.remote_port = (uint16_t)(7000 + i);
		script_connected(&s);
		to_time_wait(&s);
		assert_int_equal(tcp_free(s.tcp, s.conn, s.now), 0);
	}
	assert_int_equal(script_counters(&s).time_wait_recycled, 3);
	/* but never one that is in use */
	s.tuple.remote_port = 8000;
	script_connected(&s);
	s.tuple.remote_port = 8001;
	script_connected(&s);
	s.tuple.remote_port = 8002;
	assert_int_equal(tcp_connect(s.tcp, &s.tuple, 1460, s.now), -ENOBUFS);
	script_end(&s);
}

static void test_keepalive(void **state)
{
	struct script s;
	unsigned i;

	(void)state;
	begin(&s);
	tcp_set_option(s.tcp, s.conn, TCP_OPTION_KEEP_IDLE, 10 * SECONDS,
		       s.now);
	tcp_set_option(s.tcp, s.conn, TCP_OPTION_KEEP_INTERVAL, SECONDS, s.now);
	tcp_set_option(s.tcp, s.conn, TCP_OPTION_KEEP_COUNT, 3, s.now);
	tcp_set_option(s.tcp, s.conn, TCP_OPTION_KEEPALIVE, 1, s.now);
	script_wait(&s, 10 * SECONDS - 1);
	QUIET(&s);
	script_wait(&s, 1);
	OUT(&s, A_, 0, 0, 1);
	IN(&s, A_, 1, 0, 1); /* it lives */
	script_wait(&s, 9 * SECONDS);
	QUIET(&s);
	script_wait(&s, SECONDS);
	for (i = 0; i < 3; i++) {
		OUT(&s, A_, 0, 0, 1);
		script_wait(&s, SECONDS);
	}
	OUT(&s, R_ | A_, 1, 0, 1);
	assert_true(script_events(&s) & TCP_EVENT_RESET);
	assert_int_equal(s.error, ETIMEDOUT);
	/* a peer's keepalive is answered */
	script_end(&s);
	begin(&s);
	IN(&s, A_, 0, 0, 1);
	OUT(&s, A_, 1, 0, 1);
	script_end(&s);
}

/* What was received before a reset can still be read. */
static void test_read_after_reset(void **state)
{
	struct script s;

	(void)state;
	begin(&s);
	IN(&s, A_ | P_, 1, 5, 1);
	IN(&s, A_ | P_, 8, 5, 1);
	OUT(&s, A_, 1, 0, 6);
	IN(&s, R_, 6, 0, 0);
	script_events(&s);
	assert_int_equal(s.error, ECONNRESET);
	assert_int_equal(script_status(&s).unread, 5);
	assert_int_equal(script_read(&s), 10); /* with the dropped island */
	assert_int_equal(script_status(&s).received, 5);
	assert_int_equal(tcp_free(s.tcp, s.conn, s.now), 0);
	script_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_active),
		cmocka_unit_test(test_passive),
		cmocka_unit_test(test_simultaneous),
		cmocka_unit_test(test_three_segments),
		cmocka_unit_test(test_lost_fin),
		cmocka_unit_test(test_before_established),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_close_unread),
		cmocka_unit_test(test_linger),
		cmocka_unit_test(test_fin_wait_2),
		cmocka_unit_test(test_time_wait),
		cmocka_unit_test(test_time_wait_timestamps),
		cmocka_unit_test(test_time_wait_connect),
		cmocka_unit_test(test_time_wait_recycled),
		cmocka_unit_test(test_keepalive),
		cmocka_unit_test(test_read_after_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
