/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine_frame - what is a candidate, and what is not (MECHANISMS A, C2)
 */
#include "tests/unit/engine_rig.h"

#include "engine/checksum.h"

static struct frame parse(const uint8_t *data, uint32_t length)
{
	struct frame_input in = { .data = data, .length = length,
				  .flags = FRAME_CHOSEN };
	uint8_t *exact = malloc(length ? length : 1);
	struct frame f;

	/* of the exact size: a sanitizer sees one byte too many */
	assert_non_null(exact);
	if (length)
		memcpy(exact, data, length);
	in.data = exact;
	memset(&f, 0xa5, sizeof(f)); /* it leaves nothing as it was */
	frame_parse(&f, &in);
	free(exact);
	f.in.data = data;
	return f;
}

static struct frame parse_seg(const struct net_seg *s)
{
	static uint8_t *data;
	uint32_t length;
	struct frame f;

	free(data);
	data = net_build(s, &length);
	f = parse(data, length);
	if (s->length == 0xffff) { /* the caller's way to give it back */
		free(data);
		data = NULL;
	}
	return f;
}

/* Gives parse_seg()'s memory back. */
static void parse_end(void)
{
	struct net_seg s = net_first(1);

	s.length = 0xffff;
	parse_seg(&s);
}

/* Fields are where they are, with every combination of headers. */
static void test_fields(void **state)
{
	unsigned variant;

	(void)state;
	for (variant = 0; variant < 12; variant++) {
		struct net_seg s = net_first(77);
		struct flow_key key;
		struct frame f;
		uint64_t touched = 0;

		s.v6 = variant & 1;
		s.ts = variant & 2;
		s.tags = variant / 4;
		s.tci[0] = 0x2123;
		s.tci[1] = 0x0456;
		s.pad = 5;
		f = parse_seg(&s);
		key = net_key(&s);
		assert_int_equal(f.event, END_NONE);
		assert_true(f.has_flow && f.has_tcp && f.plain && !f.malformed);
		assert_true(flow_key_is(&f.key, &key));
		assert_int_equal(f.seq, s.seq);
		assert_int_equal(f.ack, s.ack);
		assert_int_equal(f.window, s.window);
		assert_int_equal(f.tcp_flags, s.flags);
		assert_int_equal(f.payload_length, s.length);
		assert_int_equal(f.payload, f.in.length - 5 - s.length);
		assert_int_equal(f.has_timestamp, s.ts);
		if (s.ts) {
			assert_int_equal(f.ts_value, s.ts_value);
			assert_int_equal(f.ts_echo, s.ts_echo);
		}
		assert_true(frame_verify(&f, &touched));
		assert_true(checksum_is_right(
			frame_header_sum(&f) +
			checksum_sum(f.in.data + f.payload, s.length)));
	}
	parse_end();
}

/* A1: what is not TCP over IP passes at once, bit-exact, while the flow goes on
 * aggregating. */
static void test_others(void **state)
{
	static const struct {
		uint16_t type;
		uint8_t protocol;
		uint16_t port;
		const char *word;
	} others[] = {
		{ 0x0806, 0, 0, "F:protocol" },	    /* ARP */
		{ 0x88cc, 0, 0, "F:protocol" },	    /* LLDP */
		{ 0x0026, 0, 0, "F:not_ethernet" }, /* LLC: BPDU */
		{ 0x05ff, 0, 0, "F:not_ethernet" },
		{ 0x0600, 0, 0, "F:protocol" },
		{ 0x8847, 0, 0, "F:tunnel" }, /* MPLS */
		{ 0x8864, 0, 0, "F:tunnel" }, /* PPPoE */
		{ 0x0800, 1, 0, "F:protocol" },  /* ICMP */
		{ 0x0800, 17, 53, "F:protocol" },
		{ 0x0800, 17, 4789, "F:tunnel" }, /* VXLAN (A7) */
		{ 0x0800, 17, 6081, "F:tunnel" },
		{ 0x0800, 4, 0, "F:tunnel" },
		{ 0x0800, 41, 0, "F:tunnel" },
		{ 0x0800, 47, 0, "F:tunnel" },
		{ 0x0800, 50, 0, "F:protocol" }, /* ESP */
		{ 0x86dd, 58, 0, "F:protocol" }, /* ND */
		{ 0x86dd, 47, 0, "F:tunnel" },
	};
	struct net_seg s = net_first(1), o;
	uint8_t *data;
	uint32_t n;
	struct rig r;
	unsigned i;

	(void)state;
	rig_start(&r, NULL);
	for (i = 0; i < sizeof(others) / sizeof(*others); i++) {
		rig_send(&r, &s, 1);
		o = net_first(2);
		o.v6 = others[i].type == 0x86dd;
		o.protocol = others[i].protocol;
		data = net_build(&o, &n);
		data[12] = (uint8_t)(others[i].type >> 8);
		data[13] = (uint8_t)others[i].type;
		if (others[i].port) {
			data[36] = (uint8_t)(others[i].port >> 8);
			data[37] = (uint8_t)others[i].port;
		}
		rig_push_raw(&r, data, n, FRAME_CHOSEN);
		free(data);
		rig_expect(&r, others[i].word);
	}
	rig_flush(&r, END_FLUSH);
	rig_expect(&r, "A17:flush");
	assert_int_equal(r.a.stats.malformed, 0);
	rig_stop(&r);
}

/* A1: two tags are read, three are not. */
static void test_tags(void **state)
{
	struct net_seg s = net_first(1);
	struct frame f;

	(void)state;
	s.tags = 3;
	f = parse_seg(&s);
	assert_int_equal(f.event, END_TUNNEL);
	assert_false(f.has_flow || f.has_tcp || f.plain || f.has_timestamp ||
		     f.malformed || f.verified);
	assert_int_equal(f.version, 0);
	assert_int_equal(f.seq | f.ack | f.ts_value | f.ts_echo, 0);
	assert_int_equal(f.tcp_flags | f.window | f.ip_id, 0);
	assert_int_equal(f.l4 | f.payload | f.payload_length, 0);
	assert_true(!f.key.address[0] && !f.key.address[3] && !f.key.ports);
	assert_true(!f.shape.network);
	parse_end();
}

/* A2: cut to any length, no header is found beyond the end. */
static void test_cut(void **state)
{
	unsigned variant;
	uint32_t n, cut;
	uint8_t *data;

	(void)state;
	for (variant = 0; variant < 16; variant++) {
		struct net_seg s = net_first(1);

		s.v6 = variant & 1;
		s.ts = variant & 2;
		s.tags = variant >> 2 & 1 ? 2 : 0;
		s.length = 3;
		if (variant & 8) {
			s.ip_options = 10;
			s.extensions = 4;
			s.extension[0] = 0;
			s.extension[1] = 43;
			s.extension[2] = 51;
			s.extension[3] = 60;
			memset(s.option, 1, 28);
			s.option_length = 28;
		}
		data = net_build(&s, &n);
		for (cut = 0; cut < n; cut++) {
			struct frame f = parse(data, cut);

			assert_true(f.malformed);
			assert_true(f.event == END_BAD_IP ||
				    f.event == END_BAD_TCP ||
				    f.event == END_NOT_ETHERNET);
		}
		assert_false(parse(data, n).malformed);
		free(data);
	}
}

/* A2: lengths that contradict one another. */
static void test_lengths(void **state)
{
	struct net_seg s = net_first(1);
	struct frame_input in = { .flags = FRAME_CHOSEN | FRAME_IP_VERIFIED };
	struct frame f;
	uint32_t n;
	uint8_t *d = net_build(&s, &n);
	unsigned i;
	static const struct {
		uint8_t at, value, event;
	} lies[] = {
		{ 14, 0x44, END_BAD_IP },  /* IHL 4 */
		{ 14, 0x40, END_BAD_IP },
		{ 14, 0x55, END_BAD_IP },  /* version 5 */
		{ 14, 0x65, END_BAD_IP },
		{ 16, 0xff, END_BAD_IP },  /* total length beyond the frame */
		{ 16, 0x00, END_BAD_TCP }, /* total length 0x10 .. */
		{ 46, 0x40, END_BAD_TCP }, /* data offset 4 */
		{ 46, 0x00, END_BAD_TCP },
	};

	(void)state;
	in.data = d;
	in.length = n;
	for (i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
		uint8_t was = d[lies[i].at], low = d[17];

		d[lies[i].at] = lies[i].value;
		if (lies[i].at == 16 && !lies[i].value)
			d[17] = 39; /* a TCP header of 19 bytes */
		frame_parse(&f, &in);
		assert_true(f.malformed);
		assert_int_equal(f.event, lies[i].event);
		d[lies[i].at] = was;
		d[17] = low;
	}
	d[16] = 0; /* a data offset of 15 in a datagram that ends before */
	d[17] = 79;
	d[46] = 0xf0;
	frame_parse(&f, &in);
	assert_true(f.malformed && f.has_flow && !f.has_tcp);
	in.length = FRAME_MAX + 1; /* not read at all */
	frame_parse(&f, &in);
	assert_true(f.malformed);
	free(d);
}

/* A2: malformed frames of a flow come out unchanged, after what was held. */
static void test_malformed(void **state)
{
	struct net_seg s = net_first(1);
	struct rig r;
	uint32_t n;
	uint8_t *d;

	(void)state;
	rig_start(&r, NULL);
	rig_send(&r, &s, 2);
	d = net_build(&s, &n);
	d[46] = 0x40;
	rig_push_raw(&r, d, n, FRAME_CHOSEN);
	rig_expect(&r, "A2:bad_tcp F:bad_tcp");
	rig_push_raw(&r, d, 13, FRAME_CHOSEN);
	rig_push_raw(&r, d, 0, FRAME_CHOSEN);
	rig_expect(&r, "F:not_ethernet F:not_ethernet");
	assert_int_equal(r.a.stats.malformed, 3);
	assert_int_equal(r.a.stats.bad_tcp, 0);
	free(d);
	rig_stop(&r);
}

/* A2, pitfall 7: the padding of short frames is not payload. */
static void test_padding(void **state)
{
	struct net_seg s = net_first(1);
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	s.length = 1;
	s.pad = 5;
	rig_send(&r, &s, 10);
	rig_flush(&r, END_FLUSH);
	rig_expect(&r, "A10:flush");
	assert_int_equal(r.last.payload_length, 10);
	rig_stop(&r);
}

/* A3, A4: as the matrix; counted; with drop_bad they are dropped, and the flow
 * does not end for it. */
static void test_checksums(void **state)
{
	struct net_seg s = net_first(1), bad;
	struct aggregate_config c;
	struct rig r;

	(void)state;
	rig_default(&c);
	c.drop_bad = true;
	rig_start(&r, &c);
	rig_send(&r, &s, 2);
	bad = s;
	bad.bad_tcp = true;
	rig_push(&r, &bad);
	bad.bad_tcp = false;
	bad.bad_ip = true;
	rig_push(&r, &bad);
	bad.bad_ip = false;
	bad.bad_tcp = true;
	bad.flow = 2; /* and where no entry is */
	rig_push(&r, &bad);
	rig_send(&r, &s, 2);
	rig_flush(&r, END_FLUSH);
	rig_expect(&r, "A4:flush");
	assert_int_equal(r.a.stats.drops_bad, 3);
	assert_int_equal(r.a.stats.bad_tcp, 2);
	assert_int_equal(r.a.stats.bad_ip, 1);
	assert_int_equal(r.a.table.used, 1);
	rig_stop(&r);

	/* A4: trusted hints */
	rig_start(&r, NULL);
	r.any_order = true;
	s = net_first(1);
	s.input_flags |= FRAME_IP_VERIFIED | FRAME_TCP_VERIFIED;
	rig_send(&r, &s, 5);
	rig_flush(&r, END_FLUSH);
	rig_expect(&r, "A5:flush");
	assert_int_equal(r.a.stats.touched_bytes, 0);
	rig_stop(&r);
}

/* A4: a checksum of 0 or 0xffff is one like any other. */
static void test_checksum_zero(void **state)
{
	struct net_seg s = net_first(1);
	uint64_t touched = 0;
	struct frame f;
	uint8_t *d;
	uint32_t n, i, found = 0;

	(void)state;
	for (i = 0; i < 65536 && !found; i++) { /* one of them gives 0 */
		s.ack = i;
		s.length = 10;
		d = net_build(&s, &n);
		if (!d[50] && !d[51]) {
			found = 1;
			f = parse(d, n);
			assert_true(frame_verify(&f, &touched));
			d[50] = d[51] = 0xff;
			f = parse(d, n);
			assert_true(frame_verify(&f, &touched));
			d[51] = 0xfe;
			f = parse(d, n);
			assert_false(frame_verify(&f, &touched));
		}
		free(d);
	}
	assert_true(found);
}

/* A6: nothing but the exact pattern counts as timestamps. */
static void test_options(void **state)
{
	static const uint8_t options[][13] = {
		{ 4, 2, 4, 5, 0xb4 },			     /* MSS */
		{ 4, 1, 3, 3, 7 },			     /* window scale */
		{ 4, 1, 1, 4, 2 },			     /* SACK permitted */
		{ 12, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1 }, /* TS, NOP, NOP */
		{ 12, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1, 1 },
		{ 12, 1, 1, 8, 9, 0, 0, 0, 1, 0, 0, 0, 1 },
		{ 12, 1, 1, 8, 11, 0, 0, 0, 1, 0, 0, 0, 1 },
		{ 12, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 },
		{ 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
		{ 4, 253, 4, 1, 2 }, /* unknown */
	};
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(options) / sizeof(*options); i++) {
		struct net_seg s = net_first(1);

		s.option_length = options[i][0];
		memcpy(s.option, options[i] + 1, s.option_length);
		assert_int_equal(parse_seg(&s).event, END_TCP_OPTIONS);
	}
	parse_end();
}

/* Extension headers are walked to any depth (pitfall 1 for IPv6). */
static void test_extensions(void **state)
{
	struct net_seg s = net_first(1);
	struct flow_key key;
	struct frame f;
	uint32_t n, m, i;
	uint8_t *d, *deep;

	(void)state;
	s.v6 = true;
	key = net_key(&s);
	d = net_build(&s, &n);
	m = n + 8 * 100; /* a hundred destination options */
	deep = malloc(m);
	assert_non_null(deep);
	memcpy(deep, d, 54);
	for (i = 0; i < 100; i++) {
		static const uint8_t padn[8] = { 60, 0, 1, 4, 0, 0, 0, 0 };

		memcpy(deep + 54 + 8 * i, padn, 8);
	}
	deep[54 + 8 * 99] = 6;
	deep[20] = 60;
	deep[18] = (uint8_t)((m - 54) >> 8);
	deep[19] = (uint8_t)(m - 54);
	memcpy(deep + 54 + 800, d + 54, n - 54);
	f = parse(deep, m);
	assert_int_equal(f.event, END_IP_OPTIONS);
	assert_true(f.has_flow && f.has_tcp && flow_key_is(&f.key, &key));
	deep[54 + 8 * 99] = 60; /* one more, which is TCP's ports: then no end */
	f = parse(deep, m);
	assert_true(f.malformed || f.event == END_PROTOCOL);
	free(d);
	free(deep);
}

/* C2: all 64 flag words, as the second and as the first segment of a run. */
static void test_flags(void **state)
{
	unsigned flags, first;

	(void)state;
	for (flags = 0; flags < 64; flags++) {
		for (first = 0; first < 2; first++) {
			unsigned f = flags & 0x3f;
			struct net_seg s = net_first(1);
			struct rig r;
			char want[64];
			const char *why;

			why = f & TCP_RST	? "rst" :
			      f & TCP_SYN	? "syn" :
			      f & TCP_FIN	? "fin" :
			      f & TCP_URG	? "urg" :
			      !(f & TCP_ACK)	? "no_ack" :
			      f & TCP_PSH	? "psh" :
						  NULL;
			rig_start(&r, NULL);
			if (!first)
				rig_send(&r, &s, 1);
			s.flags = (uint16_t)f;
			rig_send(&r, &s, 1);
			rig_flush(&r, END_FLUSH);
			if (!why || !strcmp(why, "psh"))
				snprintf(want, sizeof(want), "A%d:%s",
					 first ? 1 : 2, why ? why : "flush");
			else if (first)
				snprintf(want, sizeof(want), "F:%s", why);
			else
				snprintf(want, sizeof(want), "A1:%s F:%s", why,
					 why);
			rig_expect(&r, want);
			rig_stop(&r);
		}
	}
}

static uint32_t seed = 1;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)seed * below >> 32);
}

/* A good frame of any kind with some of its bytes, or its end, changed. */
static uint8_t *mutate(uint32_t *length)
{
	struct net_seg s = net_first(rnd(4));
	uint32_t bits = rnd(256), i;
	uint8_t *d, *exact;

	s.v6 = bits & 1;
	s.ts = bits & 2;
	s.tags = bits >> 2 & 3;
	s.ip_options = bits & 16 ? (uint8_t)rnd(11) : 0;
	s.extensions = bits & 32 ? (uint8_t)rnd(5) : 0;
	s.extension[rnd(4)] = 44;
	s.extension[rnd(4)] = 51;
	s.length = rnd(40);
	d = net_build(&s, length);
	for (i = rnd(6); i; i--)
		d[rnd(*length)] = (uint8_t)rnd(256);
	if (bits & 64)
		*length = rnd(*length + 1);
	exact = malloc(*length ? *length : 1);
	assert_non_null(exact);
	memcpy(exact, d, *length);
	free(d);
	return exact;
}

/* A2: mutated frames, in memory of their exact size: whatever is said of one
 * lies inside of it. (The long run is tests/fuzz/fuzz_aggregate.) */
static void test_mutated(void **state)
{
	uint32_t i, n;

	(void)state;
	for (i = 0; i < 200000; i++) {
		uint8_t *d = mutate(&n);
		struct frame_input in = { .data = d, .length = n,
					  .flags = rnd(8) };
		uint64_t touched = 0;
		struct frame f;

		frame_parse(&f, &in);
		assert_true(!f.malformed || f.event != END_NONE);
		if (f.has_tcp) {
			assert_true(f.has_flow);
			assert_true(f.payload + f.payload_length <= n);
			assert_true(f.l4 + 20 <= f.payload);
			frame_verify(&f, &touched);
		}
		if (f.event == END_NONE) {
			assert_true(f.plain && f.has_tcp && !f.malformed);
			assert_true(f.payload <= FRAME_HEAD);
			frame_header_sum(&f);
		}
		free(d);
	}
}

/* Sums of every length and alignment, against the slow way. */
static void test_sums(void **state)
{
	uint8_t data[400], word[2];
	unsigned i, at, n;
	uint16_t sum;

	(void)state;
	for (i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 197 + 255);
	for (at = 0; at < 17; at++)
		for (n = 0; n + at <= sizeof(data); n++) {
			sum = checksum_fold(checksum_sum(data + at, n));
			memcpy(word, &sum, 2);
			assert_int_equal(word[0] << 8 | word[1],
					 net_sum(data + at, n, 0));
		}
	memset(data, 0xff, sizeof(data));
	assert_int_equal(checksum_fold(checksum_sum(data, 400)), 0xffff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_checksums),
		cmocka_unit_test(test_checksum_zero),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_extensions),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_mutated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
