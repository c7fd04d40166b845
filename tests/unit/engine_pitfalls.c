/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine_pitfalls - what other implementations got wrong (the list at the end
 * of MECHANISMS); those that a receive engine can get wrong, by number
 */
#include "tests/unit/engine_rig.h"

/* 1: SYN, options, fragments and ECN marks must not overtake held data. (The
 * rig fails where a frame of a flow comes out before an older one.) */
static void test_1_overtaking(void **state)
{
	struct net_seg s = net_first(1), t;
	struct rig r;
	unsigned i;

	(void)state;
	rig_start(&r, NULL);
	for (i = 0; i < 8; i++) {
		rig_send(&r, &s, 3);
		t = s;
		switch (i) {
		case 0:
			t.flags = TCP_SYN;
			break;
		case 1:
			t.flags |= TCP_ECE;
			break;
		case 2:
			t.flags |= TCP_CWR;
			break;
		case 3:
			t.tos = 3;
			break;
		case 4:
			t.ip_options = 1;
			break;
		case 5:
			t.fragment = 0x2000;
			break;
		case 6:
			t.ip_options = 10; /* the ports are far behind */
			break;
		default:
			t.bad_tcp = true;
		}
		r.words[0] = 0;
		rig_push(&r, &t);
		assert_true(!strncmp(r.words, "A3:", 3));
		assert_non_null(strstr(r.words, " F:"));
		s = net_after(&s);
		s.seq += !i; /* SYN takes a number too */
	}
	rig_stop(&r);
}

/* 2: DF clear is no fragment, and ECT is no mark. */
static void test_2_ect(void **state)
{
	struct net_seg s = net_first(1);
	struct rig r;
	uint8_t ecn;

	(void)state;
	rig_start(&r, NULL);
	for (ecn = 1; ecn <= 2; ecn++) {
		s.fragment = 0;
		s.tos = ecn;
		rig_send(&r, &s, 5);
		rig_flush(&r, END_FLUSH);
		rig_expect(&r, "A5:flush");
	}
	rig_stop(&r);
}

/* 3: nothing is freed undelivered when all ends. (The rig's frames are freed
 * only when they come out.) */
static void test_3_clean_up(void **state)
{
	struct net_seg s = net_first(1), o = net_first(2);
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	rig_send(&r, &s, 2);
	rig_send(&r, &o, 2);
	rig_flush(&r, END_LINK_DOWN);
	rig_expect(&r, "A2:link_down A2:link_down");
	rig_send(&r, &s, 2);
	rig_flush(&r, END_CONFIG);
	rig_expect(&r, "A2:config");
	assert_true(aggregate_deadline(&r.a) == UINT64_MAX);
	rig_stop(&r);
}

/* 4: flows are bounded, and each has a timer of its own. */
static void test_4_bounds(void **state)
{
	struct aggregate_config c;
	struct net_seg s[32];
	unsigned i;
	struct rig r;

	(void)state;
	rig_default(&c);
	c.flows = 8;
	c.hold_max = 16;
	rig_start(&r, &c);
	for (i = 0; i < 32; i++) {
		s[i] = net_first(i);
		rig_send(&r, &s[i], 1);
		assert_true(r.a.table.used <= 8);
		assert_true(aggregate_held(&r.a) <= 16);
	}
	rig_flush(&r, END_FLUSH);
	r.words[0] = 0;
	rig_send(&r, &s[0], 1);
	rig_pass(&r, NET_MS / 2);
	rig_send(&r, &s[1], 1);
	rig_pass(&r, NET_MS / 2);
	rig_expect(&r, "A1:timer"); /* the other has half of its time left */
	rig_send(&r, &s[1], 1);
	rig_pass(&r, NET_MS / 2);
	rig_expect(&r, "A2:timer");
	rig_stop(&r);
}

/* 5: a wrong checksum is found before anything is merged, in every byte. */
static void test_5_checksum(void **state)
{
	struct net_seg s = net_first(1);
	struct delivery d[AGGREGATE_OUT];
	uint32_t length, at;
	uint8_t *frame;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	s.length = 61;
	frame = net_build(&s, &length);
	for (at = 14; at < length; at++) {
		struct frame_input in = { .data = frame, .length = length,
					  .flags = FRAME_CHOSEN };
		uint8_t was = frame[at];
		unsigned n;

		if (at == 14 || at == 15 || at == 18 || at == 19)
			continue; /* the rig's own IP checks: see A2 */
		frame[at] ^= 0x5a;
		n = aggregate_push(&r.a, &in, r.now, d);
		assert_int_equal(n, 1);
		assert_int_equal(d[0].kind, DELIVERY_FRAME);
		assert_int_equal(d[0].flags & DELIVERY_VERIFIED, 0);
		frame[at] = was;
	}
	assert_int_equal(r.a.table.used, 0);
	free(frame);
	memset(&r.a.stats, 0, sizeof(r.a.stats));
	rig_stop(&r);
}

/* 6: TSval stays the first one's. */
static void test_6_tsval(void **state)
{
	struct net_seg s = net_first(1);
	struct rig r;
	int i;

	(void)state;
	rig_start(&r, NULL);
	s.ts = true;
	for (i = 0; i < 5; i++) {
		rig_send(&r, &s, 1);
		s.ts_value += 3;
		s.ts_echo += 4;
	}
	rig_flush(&r, END_FLUSH);
	rig_expect(&r, "A5:flush");
	assert_int_equal(r.last.ts_value, 7000);
	assert_int_equal(r.last.ts_delta, 12);
	assert_int_equal(r.last.ts_echo, 9016);
	rig_stop(&r);
}

/* 7: padding up to Ethernet's shortest frame is no payload. */
static void test_7_padding(void **state)
{
	struct net_seg s = net_first(1);
	struct rig r;
	uint32_t n;

	(void)state;
	rig_start(&r, NULL);
	for (n = 5; n >= 1; n--) {
		s.length = n;
		s.pad = (uint8_t)(6 - n);
		rig_send(&r, &s, 1);
		rig_flush(&r, END_FLUSH);
		assert_int_equal(r.last.payload_length, n);
	}
	rig_stop(&r);
}

/* 8: the last segment's flag word is not taken whole: the data offset is that
 * of the header that is sent. */
static void test_8_offset(void **state)
{
	struct net_seg s = net_first(1);
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	s.ts = true;
	rig_send(&r, &s, 2);
	s.ts = false;
	s.flags |= TCP_PSH;
	rig_send(&r, &s, 1);
	rig_expect(&r, "A2:timestamp A1:psh");
	assert_int_equal(r.last.header[46] >> 4, 5);
	s.ts = true;
	s.flags = TCP_ACK;
	rig_send(&r, &s, 2);
	s.flags |= TCP_PSH;
	rig_send(&r, &s, 1);
	rig_expect(&r, "A3:psh");
	assert_int_equal(r.last.header[46] >> 4, 8);
	assert_int_equal(r.last.header[47], TCP_ACK | TCP_PSH);
	rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_1_overtaking),
		cmocka_unit_test(test_2_ect),
		cmocka_unit_test(test_3_clean_up),
		cmocka_unit_test(test_4_bounds),
		cmocka_unit_test(test_5_checksum),
		cmocka_unit_test(test_6_tsval),
		cmocka_unit_test(test_7_padding),
		cmocka_unit_test(test_8_offset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
