/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine_control - endings that no segment causes, limits of memory, and the
 * rules of ownership (MECHANISMS T28 to T31, T39 to T45)
 */
#include "tests/unit/engine_rig.h"

#include <errno.h>

static uint32_t state = 1;

static uint32_t rnd(uint32_t below)
{
	state = state * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)state * below >> 32);
}

/* T28: 10^4 segments at random times: each comes out at its deadline, which is
 * known before, if nothing else made it. */
static void test_timer(void **unused)
{
	struct net_seg s = net_first(1);
	struct rig *r = malloc(sizeof(*r));
	uint64_t deadline;
	int i;

	(void)unused;
	assert_non_null(r);
	rig_start(r, NULL);
	assert_true(aggregate_deadline(&r->a) == UINT64_MAX);
	s.length = 10;
	for (i = 0; i < 10000; i++) {
		r->words[0] = 0;
		rig_send(r, &s, 1);
		deadline = aggregate_deadline(&r->a);
		assert_true(deadline == r->now + NET_MS);
		rig_pass(r, rnd(NET_MS));
		if (rnd(2))
			rig_send(r, &s, 1);
		assert_int_equal(r->words[0], 0);
		rig_pass(r, deadline - r->now - 1);
		assert_int_equal(r->words[0], 0);
		rig_pass(r, 1);
		assert_true(r->words[0] != 0);
	}
	assert_int_equal(r->a.stats.ended[END_TIMER], 10000);
	rig_stop(r);
	free(r);
}

/* T28: flows expire in the order in which they began, a few at a time. */
static void test_timer_order(void **unused)
{
	struct net_seg s[20];
	struct delivery d[5];
	struct rig r;
	unsigned i, n;

	(void)unused;
	rig_start(&r, NULL);
	r.slack = NET_MS;
	for (i = 0; i < 20; i++) {
		s[i] = net_first(i);
		rig_send(&r, &s[i], 2);
		r.now += 10;
	}
	rig_pass(&r, NET_MS - 100);
	rig_expect(&r, "A2:timer A2:timer A2:timer A2:timer A2:timer A2:timer "
		       "A2:timer A2:timer A2:timer A2:timer A2:timer");
	r.now += NET_MS - 200;
	n = aggregate_expire(&r.a, r.now, d, 5);
	assert_int_equal(n, 4); /* it keeps room for an isle */
	rig_take(&r, d, n);
	rig_pass(&r, 0);
	rig_stop(&r);
}

/* T29, T31, T39, T41, T42: all of it, with the reason that was given. */
static void test_flush(void **unused)
{
	static const struct {
		enum end_reason reason;
		const char *words;
	} flushes[] = {
		{ END_BATCH, "A2:batch A2:batch" },
		{ END_LOW_BUFFERS, "A2:low_buffers A2:low_buffers" },
		{ END_CONFIG, "A2:config A2:config" },
		{ END_LINK_DOWN, "A2:link_down A2:link_down" },
		{ END_FLUSH, "A2:flush A2:flush" },
	};
	struct net_seg a = net_first(1), b = net_first(2);
	struct delivery d[2];
	struct rig r;
	unsigned i;

	(void)unused;
	rig_start(&r, NULL);
	for (i = 0; i < sizeof(flushes) / sizeof(*flushes); i++) {
		rig_send(&r, &a, 2);
		rig_send(&r, &b, 2);
		rig_flush(&r, flushes[i].reason);
		rig_expect(&r, flushes[i].words);
		assert_int_equal(r.a.stats.ended[flushes[i].reason], 2);
		assert_int_equal(aggregate_held(&r.a), 0);
	}
	/* the flows go on where they were */
	assert_int_equal(r.a.stats.ooo + r.a.stats.dup, 0);
	assert_int_equal(aggregate_flush(&r.a, END_REASONS, d, 2), 0);
	rig_stop(&r);
}

/* T40, T42, T43: of one flow, of one owner. */
static void test_flush_some(void **unused)
{
	struct net_seg s[4];
	struct delivery d[8];
	struct flow_key key;
	struct rig r;
	unsigned i, n;

	(void)unused;
	rig_start(&r, NULL);
	for (i = 0; i < 4; i++) {
		s[i] = net_first(i);
		s[i].owner = i & 1;
		rig_send(&r, &s[i], i + 1);
	}
	key = net_key(&s[2]);
	n = aggregate_flush_flow(&r.a, &key, END_FLUSH, d, 8);
	rig_take(&r, d, n);
	rig_expect(&r, "A3:flush");
	n = aggregate_flush_flow(&r.a, &key, END_FLUSH, d, 8);
	assert_int_equal(n, 0);
	n = aggregate_flush_owner(&r.a, 1, END_OWNER, d, 8);
	rig_take(&r, d, n);
	rig_expect(&r, "A2:owner A4:owner");
	assert_int_equal(r.a.table.used, 2); /* those of owner 1 are gone */
	key = net_key(&s[0]);
	assert_int_equal(aggregate_forget_flow(&r.a, &key), -EBUSY);
	n = aggregate_flush_flow(&r.a, &key, END_BOUNDARY, d, 8);
	rig_take(&r, d, n);
	rig_expect(&r, "A1:boundary");
	assert_int_equal(aggregate_forget_flow(&r.a, &key), 0);
	assert_int_equal(aggregate_forget_flow(&r.a, &key), 0);
	assert_int_equal(r.a.table.used, 1);
	rig_stop(&r);
}

/* T31: one frame more than may be held closes the oldest. */
static void test_hold_max(void **unused)
{
	struct aggregate_config c;
	struct net_seg s[3];
	struct rig r;
	unsigned i;

	(void)unused;
	rig_default(&c);
	c.hold_max = 6;
	rig_start(&r, &c);
	for (i = 0; i < 3; i++) {
		s[i] = net_first(i);
		rig_send(&r, &s[i], 2);
	}
	rig_send(&r, &s[2], 1);
	rig_expect(&r, "A2:low_buffers");
	rig_send(&r, &s[2], 20);
	rig_flush(&r, END_FLUSH);
	rig_stop(&r);
}

/* T45: a guest that takes nothing: chunks run out, frames pass alone, nothing
 * is lost or out of order; what cannot be placed is dropped and counted. */
static void test_backlog(void **unused)
{
	struct net_seg s = net_first(1);
	struct delivery kept[200], d[AGGREGATE_OUT];
	struct aggregate_config c;
	unsigned i, n, count = 0, alone = 0;
	struct rig r;

	(void)unused;
	rig_default(&c);
	c.flows = 1;
	c.hold_max = 5;
	c.backlog = AGGREGATE_OUT;
	c.count_max = 5;
	rig_start(&r, &c);
	for (i = 0; i < 100; i++) {
		struct rig_frame *f = &r.frames[r.count];
		struct frame_input in = { .flags = FRAME_CHOSEN,
					  .ref = r.count };

		f->seg = s;
		f->at = r.now;
		f->order = r.sent[1]++;
		f->data = net_build(&s, &f->length);
		in.data = f->data;
		in.length = f->length;
		r.count++;
		s = net_after(&s);
		n = aggregate_push(&r.a, &in, r.now, d);
		memcpy(kept + count, d, n * sizeof(*d));
		count += n;
	}
	for (i = 0; i < count; i++)
		alone += kept[i].kind == DELIVERY_FRAME;
	/* 1 + 1 + 8 chunks, of five segments */
	assert_int_equal(count - alone, 10);
	assert_int_equal(alone, 50);
	assert_int_equal(r.a.stats.passed[END_RESOURCE], 50);
	assert_int_equal(r.a.pool.free, 0);
	rig_take(&r, kept, 3);
	/* a drop: the frames are the caller's, and count as drops */
	rig_take(&r, kept + 4, count - 5);
	aggregate_drop(&r.a, &kept[3]);
	aggregate_drop(&r.a, &kept[count - 1]);
	assert_int_equal(r.a.stats.drops_delivery, 6);
	for (i = 0; i < r.count; i++) {
		free(r.frames[i].data);
		r.frames[i].data = NULL;
	}
	rig_send(&r, &s, 7);
	rig_stop(&r);
}

/* T39: modes change a thousand times in the middle of a stream. */
static void test_config(void **unused)
{
	struct net_seg s = net_first(1);
	struct aggregate_config c;
	struct rig *r = malloc(sizeof(*r));
	int i;

	(void)unused;
	assert_non_null(r);
	rig_default(&c);
	rig_start(r, &c);
	r->quiet = true;
	s.length = 50;
	for (i = 0; i < 1000; i++) {
		rig_send(r, &s, 1 + rnd(5));
		if (aggregate_held(&r->a))
			assert_int_equal(aggregate_set_config(&r->a, &c),
					 -EBUSY);
		rig_flush(r, END_CONFIG);
		c.mode = (uint8_t)rnd(3);
		c.no_checksum = rnd(2);
		c.count_max = (uint16_t)(1 + rnd(9));
		assert_int_equal(aggregate_set_config(&r->a, &c), 0);
		r->config = c;
	}
	assert_true(r->a.stats.ended[END_CONFIG] > 100);
	assert_true(r->a.stats.passed[PASS_NOT_CHOSEN] > 100);
	rig_stop(r);
	free(r);
}

/* What is no configuration is refused. */
static void test_bad_config(void **unused)
{
	struct aggregate_config good, c;
	struct aggregator a;
	uint8_t *memory;
	size_t bytes;

	(void)unused;
	aggregate_config_default(&good);
	bytes = aggregate_bytes(&good);
	assert_true(bytes > 0);
#define BAD(change)                                                           \
	do {                                                                  \
		c = good;                                                     \
		change;                                                       \
		assert_int_equal(aggregate_bytes(&c), 0);                     \
		assert_int_equal(aggregate_init(&a, &c, NULL, 0), -EINVAL);   \
	} while (0)
	BAD(c.flows = 0);
	BAD(c.flows = 3);
	BAD(c.flows = 1u << 21);
	BAD(c.hold_max = 0);
	BAD(c.hold_max = UINT32_MAX);
	BAD(c.backlog = AGGREGATE_OUT - 1);
	BAD(c.mode = 3);
	BAD(c.create = 2);
	BAD(c.window = 2);
	BAD(c.bytes_max = 0);
	BAD(c.bytes_max = 65536);
	BAD(c.count_max = 0);
	BAD(c.mode = AGGREGATE_REVERSIBLE; c.ack_merge_max = 1);
	BAD(c.mode = AGGREGATE_REVERSIBLE; c.push_joins = true);
	memory = aligned_alloc(64, bytes);
	assert_non_null(memory);
	assert_int_equal(aggregate_init(&a, &good, memory, bytes - 1),
			 -ENOSPC);
	assert_int_equal(aggregate_init(&a, &good, memory + 8, bytes), -EINVAL);
	assert_int_equal(aggregate_init(&a, &good, memory, bytes), 0);
	c = good;
	c.flows *= 2;
	assert_int_equal(aggregate_set_config(&a, &c), -EINVAL);
	c = good;
	c.isle = true;
	assert_int_equal(aggregate_set_config(&a, &c), -EINVAL);
	c = good;
	c.timeout = 1;
	assert_int_equal(aggregate_set_config(&a, &c), 0);
	free(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timer),
		cmocka_unit_test(test_timer_order),
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_flush_some),
		cmocka_unit_test(test_hold_max),
		cmocka_unit_test(test_backlog),
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_bad_config),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
