/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine_header - what an aggregate says of itself (MECHANISMS E), and that a
 * reversible one can be taken apart again
 *
 * The rig compares every header with one that it builds by itself; here are the
 * rows one by one, in numbers, and the cases that need a whole scene.
 */
#include "tests/unit/engine_rig.h"

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

/* E1 to E9: a..c of everything, IPv4 with timestamps. */
static void test_fields(void **state)
{
	struct net_seg s = net_first(1);
	const uint8_t *h;
	struct rig r;
	unsigned i;

	(void)state;
	rig_start(&r, NULL);
	s.ts = true;
	s.ttl = 57;
	for (i = 0; i < 3; i++) {
		rig_send(&r, &s, 1);
		s.ack += 10;
		s.window += 3;
		s.ts_value += 2;
		s.ts_echo += 5;
	}
	rig_flush(&r, END_FLUSH);
	h = r.last.header;
	assert_int_equal(r.last.header_length, 14 + 20 + 32);
	assert_int_equal(get32(h + 38), 1000);		/* E1 */
	assert_int_equal(get32(h + 42), 520);		/* E2 */
	assert_int_equal(get16(h + 48), 306);		/* E3 */
	assert_int_equal(get32(h + 58), 7000);		/* E4: first */
	assert_int_equal(get32(h + 62), 9010);		/* E4: last */
	assert_int_equal(r.last.ts_delta, 4);
	assert_int_equal(h[47], TCP_ACK);		/* E5 */
	assert_int_equal(h[46], 0x80);			/* pitfall 8 */
	assert_int_equal(get16(h + 16), 52 + 3 * NET_MSS); /* E6 */
	assert_int_equal(get16(h + 18), 10);		/* E7 */
	assert_int_equal(h[22], 57);			/* E8 */
	assert_int_equal(net_sum(h + 14, 20, 0), 0xffff); /* E9 */
	s.flags |= TCP_PSH;
	rig_send(&r, &s, 1);
	assert_int_equal(r.last.header[47], TCP_ACK | TCP_PSH);
	rig_stop(&r);
}

/* E10: right whatever the parities of the lengths are; or marked. */
static void test_checksum(void **state)
{
	struct aggregate_config c;
	struct rig r;
	unsigned i, k, mode;

	(void)state;
	rig_default(&c);
	c.runt = 1;
	for (mode = 0; mode < 2; mode++)
		for (i = 0; i < 64; i++) {
			struct net_seg s = net_first(1);

			c.no_checksum = mode;
			rig_start(&r, &c);
			s.v6 = i & 32;
			s.ts = i & 16;
			for (k = 0; k < 5; k++) {
				s.length = 100 + (i >> k & 1) + k;
				rig_send(&r, &s, 1);
			}
			rig_flush(&r, END_FLUSH);
			rig_expect(&r, "A5:flush"); /* the rig adds it up */
			rig_stop(&r);
		}
}

/* The frames may lie in memory that a guest writes: what it writes over the
 * headers of held frames is in no header that is generated. */
static void test_overwritten(void **state)
{
	struct net_seg s = net_first(1), whole = s;
	struct delivery d[AGGREGATE_OUT];
	uint8_t *frames[3], *want;
	uint32_t length;
	struct rig r;
	unsigned i;

	(void)state;
	rig_start(&r, NULL);
	for (i = 0; i < 3; i++) {
		struct frame_input in = { .flags = FRAME_CHOSEN, .ref = i };

		frames[i] = net_build(&s, &length);
		in.data = frames[i];
		in.length = length;
		s = net_after(&s);
		assert_int_equal(aggregate_push(&r.a, &in, r.now, d), 0);
		memset(frames[i], 0xff, length);
	}
	assert_int_equal(aggregate_flush(&r.a, END_FLUSH, d, AGGREGATE_OUT), 1);
	whole.length = 3 * NET_MSS;
	want = net_build(&whole, &length);
	assert_memory_equal(d[0].header, want, d[0].header_length);
	aggregate_release(&r.a, &d[0]);
	free(want);
	for (i = 0; i < 3; i++)
		free(frames[i]);
	r.a.stats.rx_frames = r.a.stats.segs_in_agg = 0;
	rig_stop(&r);
}

/* E11: the sum of the counts is the frames, that of the lengths the bytes. */
static void test_metadata(void **state)
{
	static const unsigned lengths[] = { 700, 1000, 1000, 1, 1400 };
	struct net_seg s = net_first(1);
	struct aggregate_config c;
	struct rig r;
	unsigned i;

	(void)state;
	rig_default(&c);
	c.runt = 1;
	rig_start(&r, &c);
	for (i = 0; i < 5; i++) {
		s.length = lengths[i];
		rig_send(&r, &s, 1);
	}
	rig_flush(&r, END_FLUSH);
	assert_int_equal(r.last.count, 5);
	assert_int_equal(r.last.payload_length, 4101);
	assert_int_equal(r.last.max_segment, 1400);
	for (i = 0; i < 5; i++)
		assert_int_equal(r.last_lengths[i], lengths[i]);
	rig_stop(&r);
}

/* E14: held data leaves before a later frame of the flow, whatever that is. The
 * matrix has every kind; here it is many flows at once. */
static void test_order(void **state)
{
	struct net_seg s[8];
	struct rig r;
	unsigned i, k;

	(void)state;
	rig_start(&r, NULL);
	for (i = 0; i < 8; i++)
		s[i] = net_first(i);
	for (k = 0; k < 40; k++)
		for (i = 0; i < 8; i++) {
			s[i].flags = k % 7 == i % 7 ? TCP_ACK | TCP_URG :
						      TCP_ACK;
			rig_send(&r, &s[i], 1); /* the rig checks order */
		}
	rig_stop(&r);
}

/* What a reversible aggregate is cut into: as GSO does it. */
static void judge_reversible(struct rig *r, const struct delivery *d,
			     const uint32_t *refs, unsigned count)
{
	struct net_seg cut;
	uint32_t left = d->payload_length, n, was;
	uint8_t *frame;
	unsigned i;

	if (d->kind == DELIVERY_FRAME)
		return;
	cut = r->frames[refs[0]].seg; /* for what the rig compared already */
	cut.pad = 0;
	for (i = 0; i < count; i++) {
		struct rig_frame *f = &r->frames[refs[i]];

		cut.length = left < d->max_segment ? left : d->max_segment;
		left -= cut.length;
		cut.seq = d->seq + i * d->max_segment;
		cut.ack = d->ack;
		cut.window = d->window;
		cut.flags = (uint16_t)(d->tcp_flags &
				       (left ? (unsigned)~TCP_PSH : ~0u));
		cut.ts_value = d->ts_value;
		cut.ts_echo = d->ts_echo;
		cut.id = (uint16_t)(get16(d->header + d->l3 + 4) +
				    (d->flags & DELIVERY_FIXED_ID ? 0 : i));
		frame = net_build(&cut, &n);
		was = f->length - f->seg.pad;
		if (n != was || memcmp(frame, f->data, n) != 0)
			rig_fail(r, "segment %u of %u is not the frame that it "
				 "was", i, count);
		free(frame);
	}
	if (left)
		rig_fail(r, "the aggregate does not divide into its frames");
}

/* Reversible mode over random streams: cutting restores the input (T12). */
static void test_reversible(void **state)
{
	struct aggregate_config c;
	uint32_t x = 7, i, k;
	struct rig *r = malloc(sizeof(*r));

	(void)state;
	assert_non_null(r);
	rig_default(&c);
	c.mode = AGGREGATE_REVERSIBLE;
	for (k = 0; k < 20; k++) {
		struct net_seg s = net_first(1);

		rig_start(r, &c);
		r->judge = judge_reversible;
		r->quiet = true;
		s.v6 = k & 1;
		s.ts = k & 2;
		for (i = 0; i < 300; i++) {
			x = x * 1664525 + 1013904223;
			rig_send(r, &s, 1 + (x >> 30));
			s.flags = TCP_ACK;
			switch (x >> 16 & 15) {
			case 0:
				s.length = 1 + (x >> 8 & 1023);
				break;
			case 1:
				s.id += x >> 28; /* fixed, or a jump */
				break;
			case 2:
				s.id--;
				break;
			case 3:
				s.ack++;
				break;
			case 4:
				s.window++;
				break;
			case 5:
				s.ts_value++;
				break;
			case 6:
				s.ts_echo++;
				break;
			case 7:
				s.flags |= TCP_PSH;
				break;
			case 8:
				s.fragment ^= NET_DF;
				break;
			case 9:
				s.urgent = x >> 31;
				break;
			default:
				s.length = NET_MSS;
			}
		}
		assert_true(r->a.stats.segs_in_agg >
			    r->a.stats.agg_out * 3 / 2);
		rig_stop(r);
	}
	free(r);
}

/* T12: IDs that stand still, that count up, and that do neither. */
static void test_ip_id(void **state)
{
	struct net_seg s = net_first(1);
	struct aggregate_config c;
	struct rig r;
	unsigned i;

	(void)state;
	rig_default(&c);
	c.mode = AGGREGATE_REVERSIBLE;
	rig_start(&r, &c);
	for (i = 0; i < 3; i++) {
		rig_send(&r, &s, 1);
		s.id--;
	}
	rig_send(&r, &s, 1);
	s.id += 6;
	rig_send(&r, &s, 1);
	rig_flush(&r, END_FLUSH);
	rig_expect(&r, "A4:ip_id A1:flush");
	s.id = 65534;
	rig_send(&r, &s, 4); /* 65534, 65535, 0, 1 */
	s.id--; /* 1 again: no */
	rig_send(&r, &s, 1);
	s.id -= 1;
	s.fragment = 0; /* fixed, but it may be fragmented */
	rig_send(&r, &s, 1);
	s.id--;
	rig_send(&r, &s, 1);
	rig_flush(&r, END_FLUSH);
	rig_expect(&r, "A4:ip_id A1:df A1:ip_id A1:flush");
	rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_checksum),
		cmocka_unit_test(test_overwritten),
		cmocka_unit_test(test_metadata),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_reversible),
		cmocka_unit_test(test_ip_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
