/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine_collect - collecting: sequence numbers that wrap, ACKs that are
 * merged, isles, pieces, and what is known of the other direction (MECHANISMS
 * B4, C1, C6 to C8, T20 to T23, T32, T33, J2 to J5)
 */
#include "tests/unit/engine_rig.h"

/* B4; C1: across 2^32, byte-exact; with a gap and a duplicate there too. */
static void test_wrap(void **state)
{
	struct net_seg s = net_first(1), old;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	s.seq = (uint32_t)-3500;
	rig_send(&r, &s, 7);
	rig_flush(&r, END_FLUSH);
	rig_expect(&r, "A7:flush");
	assert_int_equal(r.last.seq, (uint32_t)-3500);

	s.seq = (uint32_t)-1500;
	s.flow = 2;
	rig_send(&r, &s, 1);
	old = s;
	s.seq += 1000; /* at 500: a gap across zero */
	rig_send(&r, &s, 1);
	old.seq -= 500; /* before zero again */
	rig_push(&r, &old);
	rig_send(&r, &s, 1);
	rig_flush(&r, END_FLUSH);
	rig_expect(&r, "A1:gap A1:duplicate F:duplicate A1:flush");
	rig_stop(&r);
}

/* T21: retransmissions do not disturb the stream; T20 begins at the gap. */
static void test_loss(void **state)
{
	struct net_seg s = net_first(1), lost;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	rig_send(&r, &s, 2);
	lost = s;
	s = net_after(&s);
	rig_send(&r, &s, 3);
	rig_push(&r, &lost);
	rig_send(&r, &s, 2);
	rig_flush(&r, END_FLUSH);
	rig_expect(&r, "A2:gap A3:duplicate F:duplicate A2:flush");
	assert_int_equal(r.a.stats.ooo, 1);
	assert_int_equal(r.a.stats.dup, 1);
	rig_stop(&r);
}

/* T13, T14: what comes after a frame that was not read to its end is no gap,
 * wherever it is. */
static void test_unknown(void **state)
{
	struct net_seg s = net_first(1), t;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	rig_send(&r, &s, 2);
	t = s;
	t.ip_options = 1;
	rig_push(&r, &t);
	s = net_after(&s);
	rig_send(&r, &s, 2);
	t = s;
	t.fragment = 0x2000;
	rig_push(&r, &t);
	s.seq -= 5 * NET_MSS;
	rig_send(&r, &s, 2);
	rig_flush(&r, END_FLUSH);
	rig_expect(&r, "A2:ip_options F:ip_options A2:fragment F:fragment "
		       "A2:flush");
	assert_int_equal(r.a.stats.ooo + r.a.stats.dup, 0);
	rig_stop(&r);
}

static void isle_start(struct rig *r)
{
	struct aggregate_config c;

	rig_default(&c);
	c.isle = true;
	rig_start(r, &c);
	r->any_order = true;
}

/* The n-th segment of a stream. */
static struct net_seg nth(unsigned n)
{
	struct net_seg s = net_first(1);

	s.ts = true;
	s.seq += n * NET_MSS;
	s.id += n;
	return s;
}

static void push_nth(struct rig *r, unsigned n, uint32_t ts_value)
{
	struct net_seg s = nth(n);

	s.ts_value = ts_value;
	rig_push(r, &s);
}

/* C8, T23: 1, 2, 4, 5, then 3. */
static void test_isle_join(void **state)
{
	struct rig r;

	(void)state;
	isle_start(&r);
	push_nth(&r, 1, 100);
	push_nth(&r, 2, 100);
	push_nth(&r, 4, 101);
	push_nth(&r, 5, 101);
	rig_expect(&r, "");
	push_nth(&r, 3, 100);
	rig_expect(&r, "A2:join A3:join");
	assert_int_equal(r.last.seq, nth(3).seq);
	push_nth(&r, 6, 102);
	rig_flush(&r, END_FLUSH);
	rig_expect(&r, "A1:flush");
	rig_stop(&r);
}

/* A retransmission is newer than the isle: in order of arrival, for PAWS. */
static void test_isle_retransmission(void **state)
{
	struct rig r;

	(void)state;
	isle_start(&r);
	r.any_order = false;
	push_nth(&r, 1, 100);
	push_nth(&r, 3, 101);
	push_nth(&r, 4, 101);
	push_nth(&r, 2, 150);
	rig_expect(&r, "A1:join A2:join A1:join");
	push_nth(&r, 5, 151);
	rig_flush(&r, END_FLUSH);
	rig_expect(&r, "A1:flush");

	push_nth(&r, 9, 200); /* a hole of two */
	push_nth(&r, 6, 250);
	rig_expect(&r, "A1:timestamp F:timestamp");
	push_nth(&r, 10, 260);
	rig_flush(&r, END_FLUSH);
	rig_expect(&r, "A1:flush");
	rig_stop(&r);
}

/* What does not fit the isle or the gap makes everything leave, in order. */
static void test_isle_ends(void **state)
{
	struct net_seg s;
	struct rig r;

	(void)state;
	isle_start(&r);
	push_nth(&r, 1, 100);
	push_nth(&r, 3, 100);
	push_nth(&r, 5, 100); /* a second gap */
	rig_expect(&r, "A1:gap A1:gap");
	push_nth(&r, 6, 100);
	rig_flush(&r, END_FLUSH);
	rig_expect(&r, "A2:flush");

	push_nth(&r, 7, 100);
	push_nth(&r, 10, 100);
	push_nth(&r, 9, 100); /* ahead, but before the isle */
	rig_expect(&r, "A1:gap A1:gap F:gap");

	push_nth(&r, 11, 100);
	push_nth(&r, 13, 100);
	s = nth(12);
	s.ts_value = 100;
	s.length = NET_MSS + 10;
	rig_push(&r, &s); /* more than the gap takes */
	rig_expect(&r, "A1:overlap A1:overlap F:overlap");

	push_nth(&r, 14, 100);
	push_nth(&r, 16, 100);
	s = nth(16);
	s.ts_value = 100;
	s.seq += 5;
	rig_push(&r, &s); /* into the isle */
	rig_expect(&r, "A1:overlap A1:overlap F:overlap");

	s = nth(17); /* from where that ended */
	s.seq += 5;
	s.ts_value = 100;
	rig_push(&r, &s);
	s.seq += 2 * NET_MSS;
	rig_push(&r, &s);
	s.flags |= TCP_PSH;
	s.seq += NET_MSS;
	rig_push(&r, &s); /* PSH in the isle */
	rig_expect(&r, "A1:psh A2:psh");

	s.flags = TCP_ACK;
	s.seq += NET_MSS;
	rig_push(&r, &s);
	s.seq += 2 * NET_MSS;
	rig_push(&r, &s);
	s.seq += NET_MSS;
	s.flags |= TCP_FIN;
	rig_push(&r, &s);
	rig_expect(&r, "A1:fin A1:fin F:fin");
	rig_stop(&r);
}

/* A hole of two closes from below; the joined aggregate is as old as its
 * oldest segment. */
static void test_isle_hole(void **state)
{
	struct net_seg s = nth(4);
	struct rig r;

	(void)state;
	isle_start(&r);
	push_nth(&r, 1, 100);
	s.ts_value = 100;
	s.length += 10; /* the largest one is in the isle */
	rig_push(&r, &s);
	rig_pass(&r, 10);
	push_nth(&r, 2, 100);
	rig_expect(&r, "");
	push_nth(&r, 3, 100);
	rig_expect(&r, "A2:join A2:join");
	assert_true(r.last.first_at == r.now - 10);
	rig_stop(&r);
}

/* Joined only within the limits, and never in reversible mode. */
static void test_isle_limits(void **state)
{
	struct aggregate_config c;
	struct rig r;

	(void)state;
	rig_default(&c);
	c.isle = true;
	c.bytes_max = 2 * NET_MSS;
	rig_start(&r, &c);
	push_nth(&r, 1, 100);
	push_nth(&r, 3, 100);
	push_nth(&r, 4, 100);
	push_nth(&r, 2, 100);
	rig_expect(&r, "A1:join A2:join A1:join");
	rig_stop(&r);

	c.bytes_max = 65535;
	c.mode = AGGREGATE_REVERSIBLE;
	rig_start(&r, &c);
	push_nth(&r, 1, 100);
	push_nth(&r, 3, 100);
	push_nth(&r, 2, 100);
	rig_expect(&r, "A1:join A1:join A1:join");
	rig_stop(&r);
}

/* A flow leaves whole: with room for one and a half, one is taken. */
static void test_isle_flush(void **state)
{
	struct delivery d[3];
	struct rig r;
	unsigned i, n;

	(void)state;
	isle_start(&r);
	for (i = 0; i < 6; i++) {
		struct net_seg s = net_first(i / 2);

		s.seq += (i & 1) * 5000;
		rig_push(&r, &s);
	}
	for (i = 0; i < 3; i++) {
		n = aggregate_flush(&r.a, END_FLUSH, d, 3);
		assert_int_equal(n, 2);
		rig_take(&r, d, n);
		assert_int_equal(r.last.seq, 6000);
	}
	assert_int_equal(aggregate_flush(&r.a, END_FLUSH, d, 1), 0);
	rig_stop(&r);
}

/* T45 with isles: no chunk left for the segment that closes the gap, or for
 * the isle. */
static void test_isle_backlog(void **state)
{
	struct segment_list taken;
	struct aggregate_config c;
	struct rig r;
	unsigned i;

	(void)state;
	rig_default(&c);
	c.isle = true;
	rig_start(&r, &c);
	r.any_order = true;
	segment_list_init(&taken);
	push_nth(&r, 1, 100);
	push_nth(&r, 3, 100);
	while (r.a.pool.free) /* a guest that gives nothing back */
		segment_list_append(&r.a.pool, &taken, 0, 0, 0);
	push_nth(&r, 2, 100);
	rig_expect(&r, "A1:join A1:resource F:resource");
	push_nth(&r, 4, 100); /* in order: there are chunks again */
	push_nth(&r, 6, 100);
	while (r.a.pool.free)
		segment_list_append(&r.a.pool, &taken, 0, 0, 0);
	for (i = 7; i <= 10; i++)
		push_nth(&r, i, 100);
	rig_expect(&r, "");
	push_nth(&r, 11, 100); /* the isle's chunk is full */
	rig_expect(&r, "A1:resource A5:resource F:resource");
	segment_list_release(&r.a.pool, &taken);
	rig_stop(&r);
}

/* The timer of an isle, and of what is before it. */
static void test_isle_timer(void **state)
{
	struct rig r;

	(void)state;
	isle_start(&r);
	push_nth(&r, 1, 100);
	rig_pass(&r, NET_MS / 2);
	push_nth(&r, 3, 100);
	rig_pass(&r, NET_MS / 2);
	rig_expect(&r, "A1:timer A1:timer");
	push_nth(&r, 2, 100);
	rig_expect(&r, "F:duplicate"); /* late, and the gap is forgotten */
	push_nth(&r, 4, 100);
	push_nth(&r, 6, 100);
	r.now += NET_MS; /* nobody calls the timer */
	push_nth(&r, 7, 100);
	rig_expect(&r, "A1:timer A1:timer");
	rig_flush(&r, END_FLUSH);
	rig_stop(&r);
}

/* C6: an aggregate of 4000 bytes into buffers of 1000, each frame named whole
 * once. (The rig reads all others in pieces of 777.) */
static void test_pieces(void **state)
{
	struct net_seg s = net_first(1);
	struct delivery d[AGGREGATE_OUT];
	struct segment_cursor cursor;
	struct segment piece;
	unsigned i, pieces = 0, whole = 0, n;
	uint32_t length;
	uint8_t *frames[3];
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	s.length = 1333;
	for (i = 0; i < 3; i++) {
		struct frame_input in = { .flags = FRAME_CHOSEN, .ref = i };

		frames[i] = net_build(&s, &length);
		in.data = frames[i];
		in.length = length;
		s = net_after(&s);
		assert_int_equal(aggregate_push(&r.a, &in, r.now, d), 0);
	}
	n = aggregate_flush(&r.a, END_BOUNDARY, d, AGGREGATE_OUT); /* T43 */
	assert_int_equal(n, 1);
	assert_int_equal(d[0].reason, END_BOUNDARY);
	segment_cursor_begin(&cursor, &d[0].segments);
	for (i = 0; i < 3999; i += 1000) {
		uint32_t room = 1000;

		while (room && segment_cursor_next(&r.a.pool, &cursor, room,
						   &piece)) {
			room -= piece.length;
			pieces++;
			whole += piece.whole;
			assert_int_equal(frames[piece.ref][piece.offset],
					 net_byte(1, 1000 + i + 1000 - room -
							     piece.length));
		}
		assert_true(!room || i == 3000);
	}
	assert_false(segment_cursor_next(&r.a.pool, &cursor, 1, &piece));
	assert_int_equal(whole, 3);
	assert_int_equal(pieces, 6);
	aggregate_release(&r.a, &d[0]);
	for (i = 0; i < 3; i++)
		free(frames[i]);
	r.a.stats.rx_frames = r.a.stats.segs_in_agg = 0;
	rig_stop(&r);
}

/* T32: pure ACKs pass alone and in order; or, where that is on, are merged up
 * to ack_merge_max, alone or with data. */
static void test_pure_acks(void **state)
{
	struct net_seg s = net_first(1), ack;
	struct aggregate_config c;
	struct rig r;

	(void)state;
	rig_default(&c);
	c.ack_merge_max = 3;
	c.ack_change_max = 100;
	rig_start(&r, &c);
	rig_send(&r, &s, 2);
	ack = s;
	ack.length = 0;
	ack.ack++;
	rig_push(&r, &ack);
	s.ack = ack.ack;
	rig_send(&r, &s, 1);
	ack.seq = s.seq;
	ack.ack++;
	rig_push(&r, &ack);
	ack.ack++;
	rig_push(&r, &ack);
	ack.ack++;
	rig_push(&r, &ack); /* a fourth */
	rig_expect(&r, "A6:pure_ack F:pure_ack");
	s.ack = ack.ack;
	ack.ack++;
	rig_push(&r, &ack); /* begins one */
	ack.ack++;
	rig_push(&r, &ack);
	rig_flush(&r, END_FLUSH);
	rig_expect(&r, "A2:flush");
	assert_int_equal(r.last.pure_acks, 2);
	assert_int_equal(r.last.payload_length, 0);
	ack.window = 0;
	rig_push(&r, &ack);
	ack.window = 10;
	rig_push(&r, &ack);
	rig_expect(&r, "A1:window");
	ack.seq += 5; /* not the next one: passes */
	rig_push(&r, &ack);
	rig_expect(&r, "A1:pure_ack F:pure_ack");
	rig_stop(&r);
}

/* T33: duplicates beyond the threshold always pass, one by one; below it they
 * are merged and counted. */
static void test_duplicate_acks(void **state)
{
	struct net_seg s = net_first(1), ack;
	struct aggregate_config c;
	struct rig r;
	int i;

	(void)state;
	rig_start(&r, NULL);
	rig_send(&r, &s, 1);
	ack = s;
	ack.length = 0;
	for (i = 0; i < 4; i++)
		rig_push(&r, &ack);
	rig_expect(&r, "A1:pure_ack F:pure_ack F:duplicate_ack F:duplicate_ack "
		       "F:duplicate_ack");
	rig_stop(&r);

	rig_default(&c);
	c.ack_merge_max = 10;
	c.duplicate_max = 3;
	rig_start(&r, &c);
	rig_send(&r, &s, 1);
	ack.seq = s.seq;
	for (i = 0; i < 3; i++)
		rig_push(&r, &ack);
	rig_expect(&r, "");
	rig_push(&r, &ack);
	rig_expect(&r, "A4:duplicate_ack F:duplicate_ack");
	rig_send(&r, &s, 1);
	ack.seq = s.seq;
	for (i = 0; i < 3; i++)
		rig_push(&r, &ack);
	rig_flush(&r, END_FLUSH);
	rig_expect(&r, "A4:flush");
	assert_int_equal(r.last.duplicate_acks, 3); /* E11 */
	assert_int_equal(r.last.pure_acks, 3);
	rig_stop(&r);
}

static void note(struct rig *r, const struct net_seg *s)
{
	struct frame_input in = { .owner = s->owner };
	uint32_t length;
	uint8_t *d = net_build(s, &length), half[4], port[2];

	memcpy(half, d + 26, 4); /* turn it round */
	memcpy(d + 26, d + 30, 4);
	memcpy(d + 30, half, 4);
	memcpy(port, d + 34, 2);
	memcpy(d + 34, d + 36, 2);
	memcpy(d + 36, port, 2);
	in.flags = FRAME_IP_VERIFIED;
	in.data = d;
	in.length = length;
	aggregate_note_sent(&r->a, &in);
	free(d);
}

/* J2, J5: what was sent last comes with the next delivery of the flow. */
static void test_sent(void **state)
{
	struct net_seg s = net_first(1), tx = net_first(1);
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	tx.seq = 4000000000u;
	tx.window = 4321;
	note(&r, &tx); /* no entry: nothing to note it in */
	rig_send(&r, &s, 1);
	rig_flush(&r, END_FLUSH);
	assert_false(r.last.flags & DELIVERY_SENT);
	note(&r, &tx);
	rig_send(&r, &s, 2);
	rig_flush(&r, END_FLUSH);
	assert_true(r.last.flags & DELIVERY_SENT);
	assert_int_equal(r.last.tx_next, 4000001000u);
	assert_int_equal(r.last.tx_window, 4321);
	tx.seq += 1000 * 300000;
	tx.window = 1;
	note(&r, &tx); /* beyond 2^32 */
	tx.seq -= 5000;
	tx.window = 2;
	note(&r, &tx); /* a retransmission */
	s.flags |= TCP_URG;
	rig_send(&r, &s, 1);
	assert_true(r.last.flags & DELIVERY_SENT);
	assert_int_equal(r.last.tx_next, 4000000000u + 300001000u);
	assert_int_equal(r.last.tx_window, 2);
	rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_loss),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_isle_join),
		cmocka_unit_test(test_isle_retransmission),
		cmocka_unit_test(test_isle_ends),
		cmocka_unit_test(test_isle_hole),
		cmocka_unit_test(test_isle_limits),
		cmocka_unit_test(test_isle_flush),
		cmocka_unit_test(test_isle_backlog),
		cmocka_unit_test(test_isle_timer),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_pure_acks),
		cmocka_unit_test(test_duplicate_acks),
		cmocka_unit_test(test_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
