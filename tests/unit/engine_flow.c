/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine_flow - which segments are of one flow, and a table that is too small
 * (MECHANISMS B)
 */
#include "tests/unit/engine_rig.h"

#include <errno.h>

/* B1: owner, VLANs, version, addresses and both ports tell flows apart. */
static void test_key(void **state)
{
	struct flow_tuple base = { .version = FLOW_IPV4,
				   .source = { 10, 0, 0, 1 },
				   .destination = { 10, 0, 0, 2 },
				   .source_port = 1000,
				   .destination_port = 2000 };
	struct flow_tuple other[9];
	struct flow_key a, b, c, d;
	unsigned i;

	(void)state;
	for (i = 0; i < 9; i++)
		other[i] = base;
	other[0].version = FLOW_IPV6;
	other[1].source[3] = 9;
	other[2].destination[3] = 9;
	other[3].source_port++;
	other[4].destination_port++;
	other[5].owner = 1;
	other[6].outer_vid = 1;
	other[7].inner_vid = 1;
	memcpy(other[8].source, base.destination, 16); /* swapped */
	memcpy(other[8].destination, base.source, 16);
	flow_key_make(&a, &base);
	for (i = 0; i < 9; i++) {
		const uint64_t secret[2] = { 1, 2 };

		flow_key_make(&b, &other[i]);
		assert_false(flow_key_is(&a, &b));
		assert_true(flow_key_hash(&a, secret) !=
			    flow_key_hash(&b, secret));
		flow_key_reverse(&c, &b);
		assert_false(flow_key_is(&c, &b));
		flow_key_reverse(&d, &c);
		assert_true(flow_key_is(&d, &b));
	}
	base.version = FLOW_IPV6;
	flow_key_make(&a, &base);
	for (i = 0; i < 32; i++) { /* every byte of an address */
		struct flow_tuple t = base;

		*(i < 16 ? &t.source[i] : &t.destination[i - 16]) ^= 1;
		flow_key_make(&b, &t);
		assert_false(flow_key_is(&a, &b));
	}
	assert_true(flow_key_hash(&a, (uint64_t[]){ 1, 2 }) !=
		    flow_key_hash(&a, (uint64_t[]){ 2, 2 }));
}

/* SipHash-1-3 of these words under 00..0f, worked out apart from this code. */
static void test_hash(void **state)
{
	const uint64_t secret[2] = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };
	struct flow_key k4 = { { 1, 0, 0, 0 }, 2, (uint64_t)FLOW_IPV4 << 32 };
	struct flow_key k6 = { { 1, 2, 3, 4 }, 5, (uint64_t)FLOW_IPV6 << 32 };

	(void)state;
	assert_true(flow_key_hash(&k4, secret) == 0xf7d94a5147cd53e5ull);
	assert_true(flow_key_hash(&k6, secret) == 0xe818f55aa13f2503ull);
}

/* B1: the same four numbers of two guests never merge. */
static void test_owners(void **state)
{
	struct net_seg s = net_first(1), o;
	struct rig r;
	int i;

	(void)state;
	rig_start(&r, NULL);
	r.any_order = true; /* the rig takes the two for one */
	o = s;
	o.owner = 7;
	for (i = 0; i < 5; i++) {
		rig_send(&r, &s, 1);
		rig_send(&r, &o, 1);
	}
	rig_flush(&r, END_FLUSH);
	rig_expect(&r, "A5:flush A5:flush");
	assert_int_equal(r.last.owner, 7);
	rig_stop(&r);
}

/* B3: create_on=syn leaves a flow alone that it did not see open. */
static void test_create(void **state)
{
	struct net_seg s = net_first(1);
	struct aggregate_config c;
	struct rig r;

	(void)state;
	rig_default(&c);
	c.create = CREATE_ON_SYN;
	rig_start(&r, &c);
	rig_send(&r, &s, 2);
	rig_expect(&r, "F:no_entry F:no_entry");
	s.flags = TCP_SYN; /* J4: passive open */
	s.length = 0;
	rig_send(&r, &s, 1);
	s.seq++;
	s.flags = TCP_ACK;
	s.length = NET_MSS;
	rig_send(&r, &s, 3);
	rig_flush(&r, END_FLUSH);
	rig_expect(&r, "F:syn A3:flush");
	s = net_first(2);
	s.flags = TCP_SYN | TCP_ACK; /* J4: active open */
	s.length = 0;
	rig_send(&r, &s, 1);
	s.seq++;
	s.flags = TCP_ACK;
	s.length = NET_MSS;
	rig_send(&r, &s, 3);
	rig_flush(&r, END_FLUSH);
	rig_expect(&r, "F:syn A3:flush");
	s.flags |= TCP_FIN;
	rig_send(&r, &s, 1);
	s.flags = TCP_ACK;
	rig_send(&r, &s, 1);
	rig_expect(&r, "F:fin F:no_entry");
	rig_stop(&r);
}

/* B3: with create_on=data, nothing but data makes an entry. */
static void test_create_on_data(void **state)
{
	static const uint16_t flags[] = { TCP_SYN, TCP_SYN | TCP_ACK, TCP_RST,
					  TCP_FIN | TCP_ACK, TCP_ACK };
	struct rig r;
	unsigned i;

	(void)state;
	rig_start(&r, NULL);
	for (i = 0; i < 5; i++) {
		struct net_seg s = net_first(i);

		s.flags = flags[i];
		s.length = 0;
		rig_push(&r, &s);
	}
	rig_expect(&r, "F:syn F:syn F:rst F:fin F:pure_ack");
	assert_int_equal(r.a.table.used, 0);
	rig_stop(&r);
}

/* Aggregates of each flow. */
static void judge_share(struct rig *r, const struct delivery *d,
			const uint32_t *refs, unsigned count)
{
	uint32_t *aggregates = r->judge_state;

	(void)d;
	(void)count;
	aggregates[r->frames[refs[0]].seg.flow]++;
}

/* B5: five flows in four slots: nothing is lost, and no flow is the one that
 * pays for all: each still gets aggregates of more than two segments. */
static void test_full(void **state)
{
	uint32_t aggregates[5] = { 0 };
	struct net_seg s[5];
	struct aggregate_config c;
	unsigned i, round;
	struct rig *r = malloc(sizeof(*r));

	(void)state;
	assert_non_null(r);
	rig_default(&c);
	c.flows = 4;
	rig_start(r, &c);
	r->quiet = true;
	r->judge = judge_share;
	r->judge_state = aggregates;
	for (i = 0; i < 5; i++) {
		s[i] = net_first(i);
		s[i].length = 20;
	}
	for (round = 0; round < 10000; round++)
		for (i = 0; i < 5; i++)
			rig_send(r, &s[i], 1);
	for (i = 0; i < 5; i++) {
		assert_true(r->next_order[i] > 10000 - 64);
		assert_true(aggregates[i] < 10000 / 2);
	}
	assert_true(r->a.stats.ended[END_TABLE_FULL] > 1000);
	rig_stop(r);
	free(r);
}

/* B6: tuples that all fall into one window: memory and look-ups stay bounded,
 * and nothing is lost. The test knows the secret; an attacker does not. */
static void test_colliding(void **state)
{
	struct aggregate_config c;
	struct rig *r = malloc(sizeof(*r));
	uint32_t port, flow, pushed = 0;

	(void)state;
	assert_non_null(r);
	rig_default(&c);
	c.flows = 256;
	rig_start(r, &c);
	r->quiet = true;
	r->slack = UINT64_MAX / 2;
	for (flow = 0; flow < 4 && pushed < 1000; flow++)
		for (port = 1; port < 65536; port++) {
			struct net_seg s = net_first(flow);
			struct flow_key key;

			s.source_port = (uint16_t)port;
			s.length = 1;
			key = net_key(&s);
			if (flow_key_hash(&key, c.secret) & (c.flows - 1))
				continue;
			r->any_order = true; /* many flows of one number */
			rig_push(r, &s);
			pushed++;
			assert_true(r->a.table.used <= FLOW_PROBES);
		}
	assert_true(pushed > 500);
	assert_int_equal(r->a.stats.flt_evictions, pushed - FLOW_PROBES);
	rig_stop(r);
	free(r);
}

/* B6: 10^5 tuples over one window. */
static void test_flood(void **state)
{
	struct aggregate_config c;
	struct rig *r = malloc(sizeof(*r));
	uint32_t round, i;

	(void)state;
	assert_non_null(r);
	rig_default(&c);
	c.flows = FLOW_PROBES;
	for (round = 0; round < 2; round++) {
		rig_start(r, &c);
		r->quiet = true;
		r->any_order = true;
		for (i = 0; i < 50000; i++) {
			struct net_seg s = net_first(round);

			s.source_port = (uint16_t)i;
			s.length = 1;
			rig_push(r, &s);
			assert_true(r->a.table.used <= FLOW_PROBES);
		}
		assert_int_equal(r->a.stats.ended[END_TABLE_FULL],
				 50000 - FLOW_PROBES);
		rig_stop(r);
	}
	free(r);
}

/* A victim that holds nothing is preferred, the one that rests longest. */
static void test_victim(void **state)
{
	struct aggregate_config c;
	struct net_seg s[5];
	struct rig r;
	unsigned i;

	(void)state;
	rig_default(&c);
	c.flows = 4;
	rig_start(&r, &c);
	for (i = 0; i < 5; i++)
		s[i] = net_first(i);
	for (i = 0; i < 4; i++) {
		s[i].flags = i == 2 || i == 1 ? TCP_ACK | TCP_PSH : TCP_ACK;
		rig_send(&r, &s[i], 1);
		r.now++;
	}
	rig_expect(&r, "A1:psh A1:psh");
	rig_send(&r, &s[4], 1); /* takes the place of flow 1 */
	rig_expect(&r, "");
	s[2].flags = TCP_ACK;
	s[2].seq += 5; /* its entry is there: this is a gap */
	rig_send(&r, &s[2], 1);
	assert_int_equal(r.a.stats.ooo, 1);
	rig_flush(&r, END_FLUSH);
	rig_stop(&r);
}

/* B3, B5: SYNs from everywhere do not push out a connection that rests. */
static void test_syn_flood(void **state)
{
	struct net_seg s = net_first(1), syn;
	struct aggregate_config c;
	struct rig r;
	unsigned i;

	(void)state;
	rig_default(&c);
	c.create = CREATE_ON_SYN;
	c.flows = FLOW_PROBES;
	rig_start(&r, &c);
	s.flags = TCP_SYN;
	s.length = 0;
	rig_send(&r, &s, 1);
	s.seq++;
	s.flags = TCP_ACK;
	s.length = NET_MSS;
	rig_send(&r, &s, 2);
	rig_flush(&r, END_FLUSH);
	r.quiet = true;
	for (i = 2; i < 1000; i++) {
		r.now++;
		syn = net_first(i);
		syn.flags = TCP_SYN;
		syn.length = 0;
		rig_push(&r, &syn);
	}
	r.quiet = false;
	r.words[0] = 0;
	rig_send(&r, &s, 2);
	rig_flush(&r, END_FLUSH);
	rig_expect(&r, "A2:flush");
	rig_stop(&r);
}

/* Nor do ACKs, where these are merged and so make entries. */
static void test_ack_flood(void **state)
{
	struct net_seg s = net_first(1), ack;
	struct aggregate_config c;
	struct rig r;
	unsigned i;

	(void)state;
	rig_default(&c);
	c.ack_merge_max = 10;
	c.flows = FLOW_PROBES;
	rig_start(&r, &c);
	rig_send(&r, &s, 2);
	rig_flush(&r, END_FLUSH);
	r.quiet = true;
	for (i = 2; i < 1000; i++) {
		r.now++;
		ack = net_first(i);
		ack.length = 0;
		rig_push(&r, &ack);
		rig_flush(&r, END_FLUSH);
	}
	r.quiet = false;
	r.words[0] = 0;
	s.seq += 5; /* its entry is there: this is a gap */
	rig_send(&r, &s, 1);
	assert_int_equal(r.a.stats.ooo, 1);
	rig_flush(&r, END_FLUSH);
	rig_stop(&r);
}

/* B7: after RST and a new SYN there are no old numbers left; an entry that
 * rests goes; an owner that goes takes its entries along. */
static void test_removal(void **state)
{
	struct net_seg s = net_first(1);
	struct aggregate_config c;
	struct rig r;
	int i;

	(void)state;
	rig_default(&c);
	c.idle = 10 * NET_MS;
	rig_start(&r, &c);
	rig_send(&r, &s, 2);
	s.flags = TCP_RST;
	rig_push(&r, &s);
	assert_int_equal(r.a.table.used, 0);
	s.flags = TCP_SYN;
	s.seq = 5;
	s.length = 0;
	rig_push(&r, &s);
	s.flags = TCP_ACK;
	s.seq = 6;
	s.length = NET_MSS;
	rig_send(&r, &s, 3);
	rig_flush(&r, END_FLUSH);
	rig_expect(&r, "A2:rst F:rst F:syn A3:flush");
	assert_int_equal(r.a.stats.dup, 0);

	for (i = 0; i < 32; i++) /* a sweep over 64 slots is 16 calls */
		rig_pass(&r, NET_MS / 4);
	assert_int_equal(r.a.table.used, 1);
	for (i = 0; i < 32; i++)
		rig_pass(&r, NET_MS / 4);
	assert_int_equal(r.a.table.used, 0);
	assert_int_equal(r.a.stats.flt_idle, 1);

	s.owner = 3;
	rig_send(&r, &s, 1);
	assert_int_equal(aggregate_forget_owner(&r.a, 3), -EBUSY);
	rig_flush(&r, END_LINK_DOWN);
	assert_int_equal(r.a.table.used, 1);
	assert_int_equal(aggregate_forget_owner(&r.a, 4), 0);
	assert_int_equal(r.a.table.used, 1);
	assert_int_equal(aggregate_forget_owner(&r.a, 3), 0);
	assert_int_equal(r.a.table.used, 0);
	rig_stop(&r);
}

/* B8: not opted in, or off: as it came, and no entry. */
static void test_not_chosen(void **state)
{
	struct net_seg s = net_first(1);
	struct aggregate_config c;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	s.input_flags = 0;
	rig_send(&r, &s, 2);
	rig_expect(&r, "F:not_chosen F:not_chosen");
	assert_int_equal(r.a.table.used, 0);
	assert_int_equal(r.a.stats.touched_bytes, 0);
	rig_stop(&r);

	rig_default(&c);
	c.mode = AGGREGATE_OFF;
	rig_start(&r, &c);
	s.input_flags = FRAME_CHOSEN;
	rig_send(&r, &s, 2);
	rig_expect(&r, "F:not_chosen F:not_chosen");
	rig_stop(&r);
}

/* B9, as far as the engine shows it: thrown away and begun anew anywhere, it
 * aggregates on; only what was held is gone. */
static void test_disposable(void **state)
{
	struct net_seg s = net_first(1);
	struct rig r;
	uint32_t held;
	int i;

	(void)state;
	rig_start(&r, NULL);
	for (i = 0; i < 100; i++) {
		rig_send(&r, &s, (unsigned)i % 7);
		held = aggregate_held(&r.a);
		assert_int_equal(held, (unsigned)i % 7);
		aggregate_init(&r.a, &r.config, r.memory,
			       aggregate_bytes(&r.config));
		while (held) { /* the wire's loss, not ours */
			free(r.frames[r.count - held].data);
			r.frames[r.count - held--].data = NULL;
		}
		r.count = 0;
		rig_send(&r, &s, 3);
		rig_flush(&r, END_FLUSH);
		rig_expect(&r, "A3:flush");
		assert_int_equal(r.a.stats.ooo + r.a.stats.dup, 0);
		r.count = 0;
		aggregate_init(&r.a, &r.config, r.memory,
			       aggregate_bytes(&r.config));
	}
	rig_stop(&r);
}

/* A forged segment costs its flow no more than a few segments. */
static void test_forged(void **state)
{
	struct net_seg s = net_first(1), forged;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	rig_send(&r, &s, 3);
	forged = s;
	forged.seq += 1u << 30;
	rig_push(&r, &forged);
	r.words[0] = 0;
	rig_send(&r, &s, 40);
	assert_int_equal(r.a.stats.passed[END_DUPLICATE], 16);
	rig_flush(&r, END_FLUSH);
	assert_int_equal(r.last.count, 24);
	rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key),
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_owners),
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_create_on_data),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_colliding),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_victim),
		cmocka_unit_test(test_syn_flood),
		cmocka_unit_test(test_ack_flood),
		cmocka_unit_test(test_removal),
		cmocka_unit_test(test_not_chosen),
		cmocka_unit_test(test_disposable),
		cmocka_unit_test(test_forged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
