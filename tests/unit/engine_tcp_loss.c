/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine_tcp_loss - losses are found and repaired: by RACK and SACK, by a tail
 * loss probe, by duplicate ACKs, by timeouts that back off; needless reductions
 * are taken back; a path that is back is used at once; the receiver's SACK blocks
 * are right; congestion windows move as their RFCs say; a smaller path MTU is not
 * congestion.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/tcp_script.h"

/* Established, with an RTT of 20 ms known. */
static void begin(struct script *s)
{
	script_begin(s);
	script_connect(s);
	OUT(s, S_, 0, 0, 0);
	script_wait(s, 20 * MS);
	IN(s, S_ | A_, 0, 0, 1);
	OUT(s, A_, 1, 0, 1);
}

static void sack(struct script *s, uint32_t start, uint32_t end)
{
	s->sack[s->sack_count].start = start;
	s->sack[s->sack_count++].end = end;
}

/* Ten segments; the second is lost. */
static void test_rack(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	begin(&s);
	assert_int_equal(script_status(&s).cwnd, 10000);
	tcp_send(s.tcp, s.conn, 10000, 0, s.now);
	OUT(&s, A_ | P_, 1, 10000, 1);
	script_wait(&s, 20 * MS);
	IN(&s, A_, 1, 0, 1001);
	sack(&s, 2001, 3001);
	IN(&s, A_, 1, 0, 1001);
	sack(&s, 2001, 4001);
	IN(&s, A_, 1, 0, 1001);
	QUIET(&s);
	sack(&s, 2001, 5001); /* the third: overtaking was never seen */
	IN(&s, A_, 1, 0, 1001);
	OUT(&s, A_, 1001, 1000, 1);
	QUIET(&s);
	/* half of what the first ACK had made of it */
	assert_int_equal(script_status(&s).ssthresh, 5500);
	IN(&s, A_, 1, 0, 10001);
	assert_int_equal(script_status(&s).cwnd, 5500);
	assert_int_equal(script_counters(&s).retransmits, 1);
	assert_int_equal(script_counters(&s).timeouts, 0);
	script_end(&s);
}

/* One that is only late is waited for: a quarter of the RTT. */
static void test_reordering(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	begin(&s);
	tcp_send(s.tcp, s.conn, 4000, 0, s.now);
	OUT(&s, A_ | P_, 1, 4000, 1);
	script_wait(&s, 20 * MS);
	sack(&s, 1001, 3001);
	IN(&s, A_, 1, 0, 1);
	QUIET(&s);
	script_wait(&s, 4 * MS);
	QUIET(&s);
	IN(&s, A_, 1, 0, 4001); /* it has come */
	script_wait(&s, SECONDS);
	QUIET(&s);
	assert_int_equal(script_counters(&s).retransmits, 0);
	/* and when it does not come, the timer says so */
	tcp_send(s.tcp, s.conn, 4000, 0, s.now);
	OUT(&s, A_ | P_, 4001, 4000, 1);
	script_wait(&s, 20 * MS);
	sack(&s, 5001, 7001);
	IN(&s, A_, 1, 0, 4001);
	QUIET(&s);
	script_wait(&s, 5 * MS);
	OUT(&s, A_, 4001, 1000, 1);
	script_end(&s);
}

/* A retransmission that is lost is found too, without a timeout. */
static void test_lost_retransmission(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	begin(&s);
	tcp_send(s.tcp, s.conn, 20000, 0, s.now);
	OUT(&s, A_, 1, 10000, 1);
	script_wait(&s, 20 * MS);
	sack(&s, 1001, 9001);
	IN(&s, A_, 1, 0, 1);
	OUT(&s, A_, 1, 1000, 1);
	OUT(&s, A_, 10001, 3000, 1); /* PRR: half of what was delivered */
	QUIET(&s);
	script_wait(&s, 20 * MS);
	sack(&s, 1001, 13001); /* sent after the retransmission */
	IN(&s, A_, 1, 0, 1);
	OUT(&s, A_, 1, 1000, 1);
	assert_int_equal(script_counters(&s).timeouts, 0);
	script_end(&s);
}

/* RFC 8985, 7: the tail is lost. */
static void test_tail_loss(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	begin(&s);
	tcp_send(s.tcp, s.conn, 3000, 0, s.now);
	OUT(&s, A_ | P_, 1, 3000, 1);
	script_wait(&s, 20 * MS);
	IN(&s, A_, 1, 0, 1001);
	script_wait(&s, 40 * MS - 1);
	QUIET(&s);
	script_wait(&s, 1);
	OUT(&s, A_ | P_, 2001, 1000, 1); /* the last */
	script_wait(&s, 20 * MS);
	sack(&s, 2001, 3001);
	IN(&s, A_, 1, 0, 1001);
	script_wait(&s, 5 * MS);
	OUT(&s, A_, 1001, 1000, 1); /* the first, by RACK */
	assert_int_equal(script_counters(&s).timeouts, 0);
	assert_int_equal(script_counters(&s).tlp_probes, 1);
	script_end(&s);
}

/* RFC 6298, 5.5: 2, 4, 8, ...; then the peer is given up. */
static void test_backoff(void **state)
{
	struct script s;
	uint64_t rto;
	unsigned i;

	(void)state;
	script_config(&s);
	s.config.sack = false; /* no probe before it */
	s.config.retries = 5;
	begin(&s);
	tcp_send(s.tcp, s.conn, 2000, 0, s.now);
	OUT(&s, A_ | P_, 1, 2000, 1);
	rto = script_status(&s).rto;
	assert_int_equal(rto, 20 * MS + 200 * MS);
	for (i = 0; i < 5; i++) {
		script_wait(&s, (rto << i) - 1);
		QUIET(&s);
		script_wait(&s, 1);
		OUT(&s, A_ | P_, 1, 1000, 1);
		QUIET(&s);
		assert_int_equal(script_status(&s).cwnd, 1000);
	}
	assert_int_equal(script_status(&s).ssthresh, 5000);
	script_wait(&s, rto << 5);
	QUIET(&s);
	script_events(&s);
	assert_int_equal(s.error, ETIMEDOUT);
	script_end(&s);
}

/* Karn: what waited for a retransmission tells nothing about the path. */
static void test_karn(void **state)
{
	struct script s;
	uint64_t srtt;

	(void)state;
	script_config(&s);
	begin(&s);
	srtt = script_status(&s).srtt;
	tcp_send(s.tcp, s.conn, 3000, 0, s.now);
	OUT(&s, A_ | P_, 1, 3000, 1);
	script_wait(&s, 40 * MS);
	OUT(&s, A_ | P_, 2001, 1000, 1); /* a tail loss probe */
	script_wait(&s, SECONDS);
	OUT(&s, A_, 1, 1000, 1);
	IN(&s, A_, 1, 0, 3001); /* the second was sent only once, long ago */
	assert_int_equal(script_status(&s).srtt, srtt);
	script_end(&s);
}

/* An ACK that was lost is not a long path: not even with nothing known of it. */
static void test_lost_ack(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	s.config.timestamps = true;
	s.config.sack = false;
	s.ts = true;
	s.tsval = 1;
	script_begin(&s);
	script_connect(&s);
	OUT(&s, S_, 0, 0, 0);
	script_wait(&s, SECONDS); /* so there is no RTT from the handshake */
	OUT(&s, S_, 0, 0, 0);
	IN(&s, S_ | A_, 0, 0, 1);
	OUT(&s, A_, 1, 0, 1);
	assert_int_equal(script_status(&s).srtt, 0);
	tcp_send(s.tcp, s.conn, 100, 0, s.now);
	OUT(&s, A_ | P_, 1, 100, 1);
	s.tsecr_fixed = true;
	s.tsecr = s.head.tsval; /* it had arrived */
	script_wait(&s, 3 * SECONDS);
	OUT(&s, A_ | P_, 1, 100, 1);
	script_wait(&s, 20 * MS);
	IN(&s, A_, 1, 0, 101);
	assert_int_equal(script_status(&s).srtt, 20 * MS);
	script_end(&s);
}

static void test_user_timeout(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	s.config.sack = false;
	begin(&s);
	tcp_set_option(s.tcp, s.conn, TCP_OPTION_USER_TIMEOUT, SECONDS, s.now);
	tcp_send(s.tcp, s.conn, 10, 0, s.now);
	OUT(&s, A_ | P_, 1, 10, 1);
	script_wait(&s, 500 * MS);
	OUT(&s, A_ | P_, 1, 10, 1);
	script_wait(&s, SECONDS);
	QUIET(&s);
	script_events(&s);
	assert_int_equal(s.error, ETIMEDOUT);
	script_end(&s);
}

/* Nothing arrived, and now it does again: the peer hears at once what came, and
 * so does it of what it has not; the time since counts, the attempts do not. */
static void test_path_back(void **state)
{
	struct script s;
	uint64_t rto;
	unsigned i;

	(void)state;
	script_config(&s);
	s.config.sack = false;
	s.config.retries = 5;
	begin(&s);
	IN(&s, A_, 1, 1000, 1);
	IN(&s, A_ | P_, 1001, 1000, 1);
	OUT(&s, A_, 1, 0, 2001);
	assert_int_equal(tcp_path_back(s.tcp, s.conn, s.now), 0);
	OUT(&s, A_, 1, 0, 2001); /* the first was lost */
	QUIET(&s);
	script_read(&s);
	tcp_send(s.tcp, s.conn, 2000, 0, s.now);
	OUT(&s, A_ | P_, 1, 2000, 2001);
	rto = script_status(&s).rto;
	for (i = 0; i < 4; i++) {
		script_wait(&s, rto << i);
		OUT(&s, A_ | P_, 1, 1000, 2001);
	}
	assert_int_equal(tcp_path_back(s.tcp, s.conn, s.now), 0);
	script_wait(&s, 0);
	OUT(&s, A_ | P_, 1, 1000, 2001);
	QUIET(&s);
	for (i = 1; i < 4; i++) {
		script_wait(&s, (rto << i) - 1);
		QUIET(&s);
		script_wait(&s, 1);
		OUT(&s, A_ | P_, 1, 1000, 2001);
	}
	IN(&s, A_, 2001, 0, 2001);
	script_events(&s);
	assert_int_equal(s.error, 0);
	/* from the first timeout on a second */
	tcp_set_option(s.tcp, s.conn, TCP_OPTION_USER_TIMEOUT, SECONDS, s.now);
	tcp_send(s.tcp, s.conn, 10, 0, s.now);
	OUT(&s, A_ | P_, 2001, 10, 2001);
	script_wait(&s, script_status(&s).rto);
	OUT(&s, A_ | P_, 2001, 10, 2001);
	script_wait(&s, 900 * MS);
	OUT(&s, A_ | P_, 2001, 10, 2001);
	tcp_path_back(s.tcp, s.conn, s.now);
	script_wait(&s, 0);
	OUT(&s, A_ | P_, 2001, 10, 2001);
	script_wait(&s, SECONDS);
	QUIET(&s);
	script_events(&s);
	assert_int_equal(s.error, ETIMEDOUT);
	assert_int_equal(tcp_path_back(s.tcp, -1, s.now), -EBADF);
	script_end(&s);
}

/* RFC 6582, for a peer without SACK. */
static void test_newreno(void **state)
{
	struct script s;
	unsigned i;

	(void)state;
	script_config(&s);
	s.sack_ok = false;
	begin(&s);
	tcp_send(s.tcp, s.conn, 10000, 0, s.now);
	OUT(&s, A_ | P_, 1, 10000, 1);
	script_wait(&s, 20 * MS);
	IN(&s, A_, 1, 0, 1001);
	for (i = 0; i < 2; i++)
		IN(&s, A_, 1, 0, 1001);
	QUIET(&s);
	IN(&s, A_, 1, 0, 1001);
	OUT(&s, A_, 1001, 1000, 1);
	assert_int_equal(script_status(&s).ssthresh, 5500);
	/* a partial ACK: the next hole */
	script_wait(&s, 20 * MS);
	IN(&s, A_, 1, 0, 4001);
	OUT(&s, A_, 4001, 1000, 1);
	IN(&s, A_, 1, 0, 10001);
	assert_int_equal(script_status(&s).cwnd, 5500);
	assert_int_equal(script_counters(&s).retransmits, 2);
	script_end(&s);
}

/* An aggregate of duplicate ACKs is as many (E11). */
static void test_merged_duplicates(void **state)
{
	struct tcp_packet p = { 0 };
	struct tcp_kept kept;
	uint8_t bytes[TCP_HEAD_MAX];
	struct tcp_head h = { 0 };
	struct script s;

	(void)state;
	script_config(&s);
	s.sack_ok = false;
	begin(&s);
	tcp_send(s.tcp, s.conn, 10000, 0, s.now);
	OUT(&s, A_ | P_, 1, 10000, 1);
	script_wait(&s, 20 * MS);
	h.source = s.tuple.remote_port;
	h.destination = s.tuple.local_port;
	h.seq = s.peer_iss + 1;
	h.ack = s.iss + 1;
	h.flags = TCP_ACK;
	h.window = s.window;
	p.tuple = s.tuple;
	p.head = bytes;
	p.head_bytes = tcp_wire_build(bytes, &h);
	p.dup_acks = 3;
	tcp_input(s.tcp, &p, &kept, s.now);
	OUT(&s, A_, 1, 1000, 1);
	script_end(&s);
}

/* RFC 4015: the original had only been late. */
static void test_needless_timeout(void **state)
{
	struct script s;
	uint32_t before;
	uint32_t original;

	(void)state;
	script_config(&s);
	s.config.timestamps = true;
	s.config.sack = false;
	s.ts = true;
	s.tsval = 1;
	begin(&s);
	before = script_status(&s).cwnd;
	tcp_send(s.tcp, s.conn, 4000, 0, s.now);
	OUT(&s, A_ | P_, 1, 4000, 1);
	original = s.head.tsval;
	script_wait(&s, 300 * MS);
	OUT(&s, A_, 1, 988, 1);
	assert_int_equal(script_status(&s).cwnd, 988);
	s.tsecr_fixed = true;
	s.tsecr = original;
	IN(&s, A_, 1, 0, 989);
	QUIET(&s);
	assert_true(script_status(&s).cwnd >= before);
	assert_int_equal(script_counters(&s).undone, 1);
	script_end(&s);
}

/* RFC 2018, 8: the peer threw away what it had sacked. */
static void test_reneging(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	begin(&s);
	tcp_send(s.tcp, s.conn, 3000, 0, s.now);
	OUT(&s, A_ | P_, 1, 3000, 1);
	script_wait(&s, 20 * MS);
	sack(&s, 1001, 3001);
	IN(&s, A_, 1, 0, 1);
	script_wait(&s, 10 * MS);
	OUT(&s, A_, 1, 1000, 1);
	IN(&s, A_, 1, 0, 1001); /* and not 3001 */
	QUIET(&s);
	script_wait(&s, SECONDS);
	OUT(&s, A_ | P_, 1001, 1000, 1);
	IN(&s, A_, 1, 0, 2001);
	OUT(&s, A_ | P_, 2001, 1000, 1);
	IN(&s, A_, 1, 0, 3001);
	assert_int_equal(script_status(&s).acked, 3000);
	script_end(&s);
}

/* Our blocks: the latest first, those told before behind it, none beyond 4. */
static void test_blocks(void **state)
{
	struct script s;
	unsigned i;

	(void)state;
	script_config(&s);
	begin(&s);
	for (i = 0; i < 5; i++) {
		IN(&s, A_, 1001 + 2000 * i, 1000, 1);
		OUT(&s, A_, 1, 0, 1);
		assert_int_equal(s.head.sack_count, i < 4 ? i + 1 : 4);
		assert_int_equal(s.head.sack[0].start - s.peer_iss,
				 1001 + 2000 * i);
		if (i)
			assert_int_equal(s.head.sack[1].start - s.peer_iss,
					 1001 + 2000 * (i - 1));
	}
	/* two blocks grow together: one block, and it is first */
	IN(&s, A_, 2001, 1000, 1);
	OUT(&s, A_, 1, 0, 1);
	assert_int_equal(s.head.sack[0].start - s.peer_iss, 1001);
	assert_int_equal(s.head.sack[0].end - s.peer_iss, 4001);
	/* RFC 2883: what came twice is told once, before all */
	IN(&s, A_, 5001, 1000, 1);
	OUT(&s, A_, 1, 0, 1);
	assert_int_equal(s.head.sack[0].start - s.peer_iss, 5001);
	assert_int_equal(s.head.sack[0].end - s.peer_iss, 6001);
	IN(&s, A_, 1, 1000, 1);
	OUT(&s, A_, 1, 0, 4001);
	IN(&s, A_, 1, 1000, 1);
	OUT(&s, A_, 1, 0, 4001);
	assert_int_equal(s.head.sack[0].start - s.peer_iss, 1);
	assert_int_equal(s.head.sack[0].end - s.peer_iss, 1001);
	script_end(&s);
}

/* Slow start by bytes, an aggregate's ACK too; then one segment for a window */
static void test_newreno_window(void **state)
{
	struct script s;
	uint32_t at = 0;

	(void)state;
	script_config(&s);
	begin(&s);
	tcp_send(s.tcp, s.conn, 40000, 0, s.now);
	OUT(&s, A_, 1, 10000, 1);
	QUIET(&s);
	script_wait(&s, 20 * MS);
	IN(&s, A_, 1, 0, 10001);
	assert_int_equal(script_status(&s).cwnd, 20000);
	OUT(&s, A_, 10001, 20000, 1);
	/* a loss: half of it, and then one segment for each window */
	script_wait(&s, 20 * MS);
	sack(&s, 11001, 30001);
	IN(&s, A_, 1, 0, 10001);
	OUT(&s, A_, 10001, 1000, 1);
	while (tcp_output(s.tcp, &s.seg, 1, s.now))
		at = s.seg.offset + s.seg.length + 1;
	script_wait(&s, 20 * MS);
	IN(&s, A_, 1, 0, at);
	assert_int_equal(script_status(&s).cwnd, 10000);
	tcp_send(s.tcp, s.conn, 20000, 0, s.now);
	OUT(&s, A_, at, 10000, 1);
	script_wait(&s, 20 * MS);
	IN(&s, A_, 1, 0, at + 10000);
	assert_int_equal(script_status(&s).cwnd, 11000);
	script_end(&s);
}

/* RFC 9438: 0.7 of it, and back to W_max after K seconds, then beyond. */
static void test_cubic_window(void **state)
{
	uint32_t cwnd = 0, at = 1;
	struct script s;
	unsigned i;

	(void)state;
	script_config(&s);
	s.config.cc = TCP_CC_CUBIC;
	s.wscale = 7;
	begin(&s);
	IN(&s, A_, 1, 0, 1);
	tcp_send(s.tcp, s.conn, 100000000, 0, s.now);
	for (i = 0; i < 4; i++) { /* slow start to 160 segments */
		while (tcp_output(s.tcp, &s.seg, 1, s.now))
			at = s.seg.offset + s.seg.length + 1;
		script_wait(&s, 20 * MS);
		IN(&s, A_, 1, 0, at);
	}
	assert_int_equal(script_status(&s).cwnd, 160000);
	while (tcp_output(s.tcp, &s.seg, 1, s.now))
		;
	script_wait(&s, 20 * MS);
	sack(&s, at + 1000, at + 100000);
	IN(&s, A_, 1, 0, at);
	assert_int_equal(script_status(&s).ssthresh, 112000);
	at += 160000;
	while (tcp_output(s.tcp, &s.seg, 1, s.now))
		if (s.seg.offset + s.seg.length + 1 > at)
			at = s.seg.offset + s.seg.length + 1;
	script_wait(&s, 20 * MS);
	IN(&s, A_, 1, 0, at);
	assert_int_equal(script_status(&s).cwnd, 112000);
	/* K = cbrt(160 * 0.3 / 0.4) = 4.93 s: concave before, convex after */
	for (i = 1; i <= 40; i++) { /* of 200 ms: Reno would be slower */
		while (tcp_output(s.tcp, &s.seg, 1, s.now))
			at = s.seg.offset + s.seg.length + 1;
		s.now += 200 * MS;
		IN(&s, A_, 1, 0, at);
		cwnd = script_status(&s).cwnd;
		if (i == 12)
			assert_in_range(cwnd, 150000, 158000);
		if (i == 25)
			assert_in_range(cwnd, 158000, 162000);
	}
	assert_in_range(cwnd, 167000, 176000);
	script_end(&s);
}

/* A smaller path MTU: again in smaller pieces, at the same rate. */
static void test_mtu(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	begin(&s);
	tcp_send(s.tcp, s.conn, 4500, 0, s.now);
	OUT(&s, A_ | P_, 1, 4500, 1);
	assert_int_equal(tcp_set_mss(s.tcp, s.conn, 600, s.now), 0);
	OUT(&s, A_ | P_, 1, 4500, 1);
	assert_int_equal(s.seg.segment_size, 600);
	assert_true(script_status(&s).cwnd >= 10000);
	IN(&s, A_, 1, 0, 4501);
	assert_int_equal(tcp_set_mss(s.tcp, s.conn, 1460, s.now), 0);
	assert_int_equal(script_status(&s).mss, 1000);
	script_end(&s);
}

/* RFC 5681, 4.1: after idleness the window starts again. */
static void test_idle(void **state)
{
	struct script s;

	(void)state;
	script_config(&s);
	begin(&s);
	tcp_send(s.tcp, s.conn, 10000, 0, s.now);
	OUT(&s, A_ | P_, 1, 10000, 1);
	script_wait(&s, 20 * MS);
	IN(&s, A_, 1, 0, 10001);
	assert_int_equal(script_status(&s).cwnd, 20000);
	script_wait(&s, 10 * SECONDS);
	tcp_send(s.tcp, s.conn, 20000, 0, s.now);
	OUT(&s, A_, 10001, 10000, 1);
	QUIET(&s);
	script_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rack),
		cmocka_unit_test(test_reordering),
		cmocka_unit_test(test_lost_retransmission),
		cmocka_unit_test(test_tail_loss),
		cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_karn),
		cmocka_unit_test(test_lost_ack),
		cmocka_unit_test(test_user_timeout),
		cmocka_unit_test(test_path_back),
		cmocka_unit_test(test_newreno),
		cmocka_unit_test(test_merged_duplicates),
		cmocka_unit_test(test_needless_timeout),
		cmocka_unit_test(test_reneging),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_newreno_window),
		cmocka_unit_test(test_cubic_window),
		cmocka_unit_test(test_mtu),
		cmocka_unit_test(test_idle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
