/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tto_place - aggregates into the guest's buffers: bytes, waiting, order
 *
 * Each byte of payload is checked, and each byte around the buffers; every
 * frame is delivered, dropped and counted, or waits. "Waits" is shown with
 * a worker that would sleep.
 */
#include "tests/netns/tto_take.h"

enum { HEAD = TAKE_HEAD, FRAMES = 1024, SHARE = FRAMES / 8, FULL = 1440,
       CANARY = 0xa5 };

static const struct rig_options held = { .hold_usec = 1000000 };

/* -- what it says ---------------------------------------------------------- */

static const uint8_t options[24] = {
	1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9, /* timestamps */
	1, 1, 5, 10, 0, 0, 1, 0, 0, 0, 2, 0, /* SACK */
};

static void header(unsigned family, uint32_t option_bytes, uint8_t flags)
{
	struct frame_of f = pushed(PORT, 1000, 700);
	struct vtoe_address local, remote;
	struct guest g;
	struct got got;

	f.family = family;
	f.ecn = 1;
	f.flags = flags;
	f.ack = 0x12345678;
	f.window = 4242;
	f.options = options;
	f.option_bytes = option_bytes;
	begin(&g, NULL, 4);
	port_claimed(&g, family, PORT, USER);
	deliver_one(f);
	got = take(&g, USER);
	name(&local, family, 2, PORT);
	name(&remote, family, 1, PEER);
	assert_memory_equal(&got.r.local, &local, sizeof(local));
	assert_memory_equal(&got.r.remote, &remote, sizeof(remote));
	assert_int_equal(got.r.ecn, 1);
	assert_int_equal(got.r.head_bytes, 20 + option_bytes);
	assert_int_equal(bytes_get32(got.r.head + 8), f.ack);
	assert_int_equal(got.r.head[13], flags);
	assert_memory_equal(got.r.head + 20, options, option_bytes);
	assert_int_equal(got.first.result, 700);
	assert_int_equal(got.first.u.aggregate.max_segment, 700);
	assert_int_equal(got.first.u.aggregate.duplicate_acks, 0);
	if (option_bytes == 12) { /* else it is not looked at */
		assert_int_equal(got.first.u.aggregate.ts_value, 7);
		assert_int_equal(got.first.u.aggregate.ts_echo, 9);
	}
	rig_end();
}

static void test_header(void **state)
{
	unsigned family;

	(void)state;
	for (family = V4; family <= V6; family += V6 - V4) {
		header(family, 0, FLAG_ACK | FLAG_PSH);
		header(family, 12, FLAG_ACK | FLAG_PSH);
		header(family, 24, FLAG_ACK | FLAG_PSH);
		header(family, 24, FLAG_ACK | FLAG_FIN);
		header(family, 0, FLAG_SYN);
	}
}

/* Of all kinds of segments that are not collected. */
static void test_alone(void **state)
{
	static const struct {
		uint8_t flags;
		uint32_t payload;
		uint8_t reason;
	} kinds[] = {
		{ FLAG_SYN, 0, END_SYN },
		{ FLAG_SYN | FLAG_ACK, 0, END_SYN },
		{ FLAG_ACK, 0, END_PURE_ACK },
		{ FLAG_ACK | FLAG_PSH, 5, END_PSH },
		{ FLAG_ACK | FLAG_FIN, 0, END_FIN },
		{ FLAG_RST, 0, END_RST },
		{ FLAG_ACK | FLAG_RST, 0, END_RST },
	};
	struct frame_of f = data(PORT, 0, 0);
	struct guest g;
	struct got got;
	unsigned i;

	(void)state;
	begin(&g, NULL, 4);
	claimed(&g, V4, PEER, PORT, USER);
	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		f.flags = kinds[i].flags;
		f.payload = kinds[i].payload;
		deliver_one(f);
		got = take(&g, USER);
		assert_int_equal(got.first.result, kinds[i].payload);
		assert_int_equal(got.first.length, kinds[i].payload);
		assert_int_equal(got.first.u.aggregate.segments, 1);
		assert_int_equal(got.first.u.aggregate.end_reason,
				 kinds[i].reason);
		assert_int_equal(got.r.head[13], kinds[i].flags);
	}
	is_quiet(&g);
	rig_end();
}

static void test_aggregate(void **state)
{
	struct frame_of f[5];
	struct guest g;
	struct got got;
	unsigned i;

	(void)state;
	begin(&g, &held, 8);
	claimed(&g, V4, PEER, PORT, USER);
	for (i = 0; i < 5; i++) {
		f[i] = data(PORT, 0xfffffc00u + i * 500, 500); /* it wraps */
		f[i].ack = 1 + i / 2;
		f[i].window = (uint16_t)(2000 + i);
	}
	f[4].payload = 400;
	wire_deliver(f, 5);
	got = take(&g, USER);
	assert_int_equal(got.first.result, 2400);
	assert_int_equal(got.buffers, 2);
	assert_int_equal(got.first.u.aggregate.segments, 5);
	assert_int_equal(got.first.u.aggregate.max_segment, 500);
	assert_int_equal(got.first.u.aggregate.end_reason, END_RUNT);
	assert_int_equal(got.first.u.aggregate.seq, f[0].seq);
	assert_int_equal(got.first.u.aggregate.ack, 3);
	assert_int_equal(got.first.u.aggregate.window, 2004);
	/* what is held is not overtaken */
	f[0] = data(PORT, f[4].seq + 400, 100);
	f[1] = data(PORT, f[0].seq + 100, 100);
	f[2] = data(PORT, f[1].seq + 100, 0);
	f[2].ack = 9;
	wire_deliver(f, 3);
	got = take(&g, USER);
	assert_int_equal(got.first.u.aggregate.segments, 2);
	assert_int_equal(got.first.u.aggregate.end_reason, END_PURE_ACK);
	got = take(&g, USER);
	assert_int_equal(got.first.result, 0);
	assert_int_equal(got.first.u.aggregate.ack, 9);
	is_quiet(&g);
	rig_end();
}

/* -- where it lies --------------------------------------------------------- */

/* An aggregate of so many bytes. -> what comes next */
static uint32_t deliver_bytes(uint16_t port, uint32_t seq, uint32_t bytes)
{
	struct frame_of f[64];
	unsigned n;

	for (n = 0; bytes; n++) {
		f[n] = data(port, seq, bytes < FULL ? bytes : FULL);
		seq += f[n].payload;
		bytes -= f[n].payload;
	}
	f[n - 1].flags = FLAG_ACK | FLAG_PSH;
	wire_deliver(f, n);
	return seq;
}

/* Nothing but the buffers that it named was written. */
static void test_fit(void **state)
{
	enum { AT = 40 };
	uint32_t seq = 1, k, d, bytes, i;
	struct guest g;
	struct got got;

	(void)state;
	begin(&g, &held, 0);
	claimed(&g, V4, PEER, PORT, USER);
	memset(g.memory + ARENA, CANARY, (AT + 80) * EACH);
	lend(&g, AT * EACH, 34, EACH);
	for (k = 1; k <= 32; k += k < 4 ? 1 : 7) {
		for (d = 0; d < 3; d++) {
			bytes = k * EACH - HEAD - 1 + d;
			seq = deliver_bytes(PORT, seq, bytes);
			got = take(&g, USER);
			assert_int_equal(got.first.result, bytes);
			assert_int_equal(got.buffers, d == 2 ? k + 1 : k);
		}
	}
	for (i = 0; i < AT * EACH; i++)
		assert_int_equal(g.memory[ARENA + i], CANARY);
	for (i = (AT + 34) * EACH; i < (AT + 80) * EACH; i++)
		assert_int_equal(g.memory[ARENA + i], CANARY);
	rig_end();
}

/* What a buffer does not need is not touched. */
static void test_behind_payload(void **state)
{
	struct vtoe_cqe c;
	struct guest g;
	uint32_t i;

	(void)state;
	begin(&g, NULL, 0);
	claimed(&g, V4, PEER, PORT, USER);
	memset(g.memory + ARENA, CANARY, 2 * EACH);
	lend(&g, 0, 1, EACH);
	deliver_one(pushed(PORT, 0, 100));
	c = wait_frame(&g, USER);
	for (i = (uint32_t)c.offset + HEAD + 100; i < 2 * EACH; i++)
		assert_int_equal(g.memory[ARENA + i], CANARY);
	rig_end();
}

/* Buffers of several sizes at once, up to the longest aggregate. */
static void test_sizes(void **state)
{
	uint32_t seq = 77, i, done = 0, head = HEAD;
	struct frame_of f[46];
	struct vtoe_cqe c;
	struct guest g;

	(void)state;
	begin(&g, &held, 0);
	claimed(&g, V4, PEER, PORT, USER);
	lend(&g, 0, 1, 65536);
	lend(&g, 65536, 3, 4096);
	lend(&g, 2 * 65536, 5, 2049);
	for (i = 0; i < 46; i++)
		f[i] = data(PORT, seq + i * FULL, FULL);
	wire_deliver(f, 46);
	c = wait_frame(&g, USER);
	assert_true(c.result > 45 * FULL - FULL && c.result <= 65535);
	for (;;) {
		uint32_t each = c.offset < 65536     ? 65536 :
				c.offset < 2 * 65536 ? 4096 : 2049;

		assert_true(c.length <= each - head);
		for (i = 0; i < c.length; i++)
			assert_int_equal(g.memory[ARENA + c.offset + head + i],
					 byte_at(seq + done + i));
		done += c.length;
		head = 0;
		if (!(c.flags & VTOE_CQE_CONTINUED))
			break;
		assert_int_equal(c.length, each - (done == c.length ? HEAD : 0));
		c = wait_frame(&g, USER);
	}
	assert_int_equal(done, c.result);
	/* what was left for the last and longest of them */
	assert_int_equal(c.length, done - (5 * 2049 + 3 * 4096 - HEAD));
	rig_end();
}

/* -- waiting --------------------------------------------------------------- */

/* The worker would sleep now. */
static void worker_rests(void)
{
	unsigned i;

	for (i = 0; i < 8; i++)
		turn();
	assert_true(list_empty(&device.ready));
	assert_true(list_empty(&device.ready_conns));
	assert_true(device.frames->arm(&device));
}

static void test_no_buffers(void **state)
{
	struct guest g;
	unsigned i;

	(void)state;
	begin(&g, NULL, 0);
	claimed(&g, V4, PEER, PORT, USER);
	claimed(&g, V4, PEER, PORT + 1, USER + 1);
	for (i = 0; i < 20; i++)
		deliver_one(pushed((uint16_t)(PORT + i % 2), i, 1));
	is_quiet(&g);
	worker_rests();
	assert_int_equal(stats.tto_held, 20);
	lend(&g, 0, 3, EACH);
	for (i = 0; i < 20; i++) /* of both claims in the wire's order */
		take_number(&g, USER + i % 2, i);
	deliver_one(pushed(PORT, 20, 1));
	take_number(&g, USER, 20);
	is_quiet(&g);
	assert_int_equal(stats.tto_dropped, 0);
	assert_int_equal(stats.tto_held, 20);
	rig_end();
}

/* A short one that there would be room for does not overtake a long one. */
static void test_no_overtaking(void **state)
{
	struct guest g;
	struct got got;

	(void)state;
	begin(&g, &held, 2);
	claimed(&g, V4, PEER, PORT, USER);
	claimed(&g, V4, PEER, PORT + 1, USER + 1);
	deliver_bytes(PORT, 0, 2 * EACH); /* takes three */
	deliver_one(pushed(PORT + 1, 0, 1));
	deliver_one(pushed(PORT, 2 * EACH, 1));
	is_quiet(&g);
	worker_rests();
	lend(&g, 10 * EACH, 1, EACH);
	got = take(&g, USER);
	assert_int_equal(got.buffers, 3);
	take_number(&g, USER + 1, 0);
	take_number(&g, USER, 2 * EACH);
	rig_end();
}

static uint64_t dropped_of(uint32_t at)
{
	struct tto_flow flow;

	assert_true(tto_next_flow(&device, &at, &flow));
	return flow.dropped;
}

/* Up to a lane's share of the frames; later ones are lost, and counted. */
static void test_share(void **state)
{
	struct guest g;
	unsigned i;

	(void)state;
	begin(&g, NULL, 0);
	claimed(&g, V4, PEER, PORT, USER);
	for (i = 0; i < SHARE + 70; i++)
		deliver_one(pushed(PORT, i, 1));
	worker_rests();
	assert_int_equal(stats.tto_held, SHARE);
	assert_int_equal(stats.tto_dropped, 70);
	assert_int_equal(dropped_of(0), 70);
	assert_int_equal(device.tto->aggregator.stats.drops_delivery, 70);
	lend(&g, 0, 8, EACH);
	for (i = 0; i < SHARE; i++)
		take_number(&g, USER, i);
	is_quiet(&g);
	deliver_one(pushed(PORT, SHARE + 70, 1));
	take_number(&g, USER, SHARE + 70);
	assert_int_equal(stats.tto_dropped, 70);
	/* lost with the lane: counted as well */
	for (i = 0; i < 8; i++)
		deliver_one(pushed(PORT, 1000 + i, 1));
	for (i = 0; i < 20; i++)
		deliver_one(pushed(PORT, 2000 + i, 1));
	leave(&g);
	assert_int_equal(stats.tto_dropped, 70 + 20);
	rig_end();
}

/* Slow lanes, of one guest and of many, do not stop another. */
static void test_slow_lanes(void **state)
{
	struct guest slow[2], g;
	uint16_t port = PORT;
	unsigned i, k, n;

	(void)state;
	begin(&g, NULL, 8);
	claimed(&g, V4, PEER, 7, USER);
	for (k = 0; k < 2; k++) {
		join(&slow[k]);
		for (n = 0; n < 4; n++, port++) {
			if (n)
				add_lane(&slow[k], 8, 8);
			claimed(&slow[k], V4, PEER, port, USER);
			for (i = 0; i < SHARE + 3; i++) {
				struct frame_of f = pushed(port, i, 1);

				wire_send(&f);
				turn();
			}
		}
	}
	for (i = 0; i < 2 * FRAMES; i++) {
		deliver_one(pushed(7, i, 1));
		take_number(&g, USER, i);
	}
	assert_true(stats.tto_held > FRAMES / 8);
	rig_end();
}

/* -- the completion queue -------------------------------------------------- */

enum { QUEUE = VTOE_RING_MIN };

static void join_small(struct guest *g)
{
	join(g);
	add_lane(g, QUEUE, QUEUE);
}

static void fill_queue(uint32_t seq, unsigned more)
{
	unsigned i;

	for (i = 0; i < QUEUE + more; i++)
		deliver_one(pushed(PORT, seq + i, 1));
	worker_rests();
}

/* Reads all there is. -> does the worker want to hear of the room? */
static bool read_queue(struct guest *g, uint32_t *seq)
{
	const struct vtoe_cqe *c;

	for (; (c = vtoe_ring_peek(&g->cq)); vtoe_ring_advance(&g->cq)) {
		assert_int_equal(c->user_data, USER);
		assert_int_equal(c->u.aggregate.seq, *seq);
		++*seq;
	}
	return vtoe_ring_release(&g->cq);
}

/* Without turns that another cause makes, all that waits comes. */
static void test_full_queue(void **state)
{
	uint32_t seq = 0, k, before;
	struct guest g;

	(void)state;
	rig_begin(NULL);
	join_small(&g);
	lend(&g, 0, 400, EACH);
	claimed(&g, V4, PEER, PORT, USER);
	for (k = 0; k < 20; k++) {
		fill_queue(seq, k);
		for (;;) {
			before = seq;
			if (!read_queue(&g, &seq))
				break;
			assert_int_equal(seq - before, QUEUE);
			conn_kick(g.conn);
			turn();
		}
		assert_true(seq - before <= QUEUE);
		assert_int_equal(seq, k * QUEUE + QUEUE + k * (k + 1) / 2);
		worker_rests();
	}
	assert_int_equal(stats.tto_dropped, 0);
	rig_end();
}

/* One that takes most of the queue, whatever is in it, and read of it. */
static void test_long_in_small_queue(void **state)
{
	uint32_t seq = 0, before, k, i;
	struct guest g;
	struct got got;

	(void)state;
	rig_begin(&held);
	join_small(&g);
	lend(&g, 0, 40, EACH);
	claimed(&g, V4, PEER, PORT, USER);
	for (k = 1; k <= QUEUE; k++) {
		for (before = 0; before <= QUEUE; before++) {
			for (i = 0; i < before; i++)
				deliver_one(pushed(PORT, seq++, 1));
			if (k % 2) /* read already, or after */
				for (i = 0; i < before; i++)
					take_number(&g, USER, seq - before + i);
			seq = deliver_bytes(PORT, seq, k * EACH - HEAD);
			if (!(k % 2))
				for (i = 0; i < before; i++)
					take_number(&g, USER,
						    seq - before + i -
							    (k * EACH - HEAD));
			got = take(&g, USER);
			assert_int_equal(got.buffers, k);
		}
	}
	assert_int_equal(stats.tto_dropped, 0);
	rig_end();
}

/* More buffers than the queue has entries: it can never be told of. */
static void test_too_long_for_queue(void **state)
{
	uint32_t seq = 0, bytes = QUEUE * EACH;
	struct guest g;

	(void)state;
	rig_begin(&held);
	join_small(&g);
	claimed(&g, V4, PEER, PORT, USER);
	lend(&g, 0, 40, EACH);
	seq = deliver_bytes(PORT, seq, bytes);
	deliver_one(pushed(PORT, seq, 1));
	take_number(&g, USER, seq);
	assert_int_equal(stats.tto_dropped, bytes / FULL + 1);
	is_quiet(&g);
	/* also when the buffers come later than it */
	leave(&g);
	join_small(&g);
	claimed(&g, V4, PEER, PORT, USER);
	seq = deliver_bytes(PORT, seq + 1, bytes);
	deliver_one(pushed(PORT, seq, 1));
	is_quiet(&g);
	lend(&g, 0, 40, EACH);
	take_number(&g, USER, seq);
	assert_int_equal(stats.tto_dropped, 2 * (bytes / FULL + 1));
	rig_end();
}

/* -- regions --------------------------------------------------------------- */

static void remove_region(struct guest *g, uint64_t key)
{
	struct vtoe_ctl_request q = { .op = VTOE_CTL_REGION_DEL };

	q.u.key = key;
	assert_int_equal(ctl(g, q).result, 0);
}

static void lend_of(struct guest *g, uint64_t key, uint64_t offset,
		    uint32_t count)
{
	struct vtoe_sqe *e = entry(g, VTOE_OP_AGGREGATE, 0, 9);

	e->key = key;
	e->offset = offset;
	e->length = count * EACH;
	e->op_flags = count;
	submit(g);
}

static void test_region_goes(void **state)
{
	enum { AT = 1 << 20 };
	struct guest g;
	uint64_t key;
	unsigned i;

	(void)state;
	begin(&g, &held, 0);
	claimed(&g, V4, PEER, PORT, USER);
	memset(g.memory + ARENA + AT, CANARY, 64 * EACH);
	key = region(&g, ARENA + AT, 64 * EACH, VTOE_REGION_WRITE);
	/* two of it, between those that stay */
	lend(&g, 0, 1, EACH);
	lend_of(&g, key, 0, 2);
	lend(&g, EACH, 1, EACH);
	deliver_bytes(PORT, 0, 4 * EACH); /* takes five: waits */
	is_quiet(&g);
	remove_region(&g, key);
	assert_int_equal(lane_of(&g)->frames->buffer_count, 2);
	entry(&g, VTOE_OP_AGGREGATE, 0, 9);
	lend_of(&g, key, 0, 1);
	assert_int_equal(wait_cqe(&g).result, -EINVAL); /* the empty one */
	assert_int_equal(wait_cqe(&g).result, -ENOKEY);
	lend(&g, 2 * EACH, 3, EACH);
	assert_int_equal(take(&g, USER).buffers, 5);
	for (i = 0; i < 64 * EACH; i++)
		assert_int_equal(g.memory[ARENA + AT + i], CANARY);
	/* with all buffers in it, and what waits for room in the CQ */
	remove_region(&g, g.key);
	assert_int_equal(lane_of(&g)->frames->buffer_count, 0);
	deliver_one(pushed(PORT, 4 * EACH, 1));
	is_quiet(&g);
	rig_end();
}

/* -- what is wrong --------------------------------------------------------- */

static void test_bad_checksums(void **state)
{
	struct frame_of f, good;
	uint64_t wrong = 0;
	struct guest g;
	unsigned i;

	(void)state;
	begin(&g, NULL, 4);
	port_claimed(&g, V4, PORT, USER);
	port_claimed(&g, V6, PORT, USER);
	for (i = 0; i < 16; i++) {
		f = pushed(PORT, 10 * i, 10);
		f.family = i & 1 ? V6 : V4;
		if (i & 2)
			f.flags = FLAG_SYN;
		if (i & 4) {
			f.payload = 0;
			f.remote_port += i; /* never seen before */
		}
		good = f;
		f.bad_tcp = i & 8 || f.family == V6;
		f.bad_ip = !f.bad_tcp;
		deliver_one(f);
		is_quiet(&g);
		assert_int_equal(stats.tto_unclaimed, ++wrong);
		deliver_one(good);
		take_number(&g, USER, good.seq);
	}
	wire_is_silent();
	assert_int_equal(stats.tto_unclaimed, wrong);
	rig_end();
}

/* Whose is it? Frames that were in the queue when their claim ended. */
static void test_claim_is_gone(void **state)
{
	struct frame_of f = pushed(PORT, 0, 10);
	struct steer_claim c = { .vlan = 0 };
	struct guest g;
	uint64_t note;

	(void)state;
	begin(&g, NULL, 4);
	claimed(&g, V4, PEER, PORT, USER);
	assert_int_equal(steer_next(rig.steer.claims, &c, &note), 0);
	leave(&g);
	assert_int_equal(steer_claim(rig.steer.claims, &c, note), 0);
	deliver_one(f);
	assert_int_equal(stats.tto_unclaimed, 1);
	assert_int_equal(steer_unclaim(rig.steer.claims, &c), 0);
	rig_end();
}

/* Nor are they another guest's, who claims the same. */
static void test_nobody_inherits(void **state)
{
	struct guest a, b;
	unsigned i;

	(void)state;
	begin(&a, &held, 4);
	join(&b);
	lend(&b, 0, 4, EACH);
	for (i = 0; i < 2; i++) {
		if (i)
			port_claimed(&a, V4, PORT, USER);
		else
			claimed(&a, V4, PEER, PORT, USER);
		deliver_one(data(PORT, 1000 * i, 100));
		leave(&a);
		assert_int_equal(aggregate_held(&device.tto->aggregator), 0);
		claimed(&b, V4, PEER, PORT, USER);
		deliver_one(data(PORT, 5000 + 1000 * i, 100));
		flush(&b, VTOE_STREAM_NONE);
		take_number(&b, USER, 5000 + 1000 * i);
		is_flushed(&b);
		is_quiet(&b);
		if (i)
			break;
		leave(&b);
		join(&a);
		join(&b);
		lend(&b, 0, 4, EACH);
	}
	rig_end();
}

/* -- AGGREGATE ------------------------------------------------------------- */

static void test_aggregate_errors(void **state)
{
	static const struct {
		uint64_t offset;
		uint32_t count, length;
		int error;
	} bad[] = {
		{ 0, 0, EACH, -EINVAL },
		{ 0, 0, 0, -EINVAL },
		{ 0, 1, 0, -EINVAL },
		{ 0, 1, EACH - 1, -EINVAL },
		{ 0, 2, 2 * EACH - 2, -EINVAL },
		{ 0, 2, 2 * EACH + 1, -EINVAL },
		{ 0, VTOE_AGGREGATE_MAX + 1, (VTOE_AGGREGATE_MAX + 1) * 4,
		  -EINVAL },
		{ 0, 0xffffffff, EACH, -EINVAL },
		{ BYTES - ARENA - EACH + 1, 1, EACH, -ERANGE },
		{ 0, 1, BYTES - ARENA + 1, -ERANGE },
		{ ~0ull - EACH, 2, 2 * EACH, -ERANGE },
		{ ~0ull - EACH + 1, 1, EACH, -ERANGE },
		{ 0, 1, 0xffffffff, -ERANGE },
	};
	struct vtoe_sqe *e;
	struct guest g;
	unsigned i;

	(void)state;
	begin(&g, NULL, 0);
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		e = entry(&g, VTOE_OP_AGGREGATE, 0, 9);
		e->offset = bad[i].offset;
		e->length = bad[i].length;
		e->op_flags = bad[i].count;
		assert_int_equal(answer(&g).result, bad[i].error);
		assert_int_equal(lane_of(&g)->frames->buffer_count, 0);
	}
	lend_of(&g, g.key + 1, 0, 1);
	assert_int_equal(wait_cqe(&g).result, -ENOKEY);
	lend_of(&g, region(&g, ARENA, 65536, VTOE_REGION_READ), 0, 1);
	assert_int_equal(wait_cqe(&g).result, -EACCES);
	rig_end();
}

static void test_aggregate_quota(void **state)
{
	struct guest g;
	unsigned i;

	(void)state;
	begin(&g, NULL, 0);
	claimed(&g, V4, PEER, PORT, USER);
	for (i = 0; i < 4; i++)
		lend(&g, 0, VTOE_AGGREGATE_MAX / 4 - 1, EACH);
	lend(&g, 0, 5, EACH); /* one too many */
	assert_int_equal(wait_cqe(&g).result, -EDQUOT);
	lend(&g, 0, 4, EACH);
	is_quiet(&g);
	lend(&g, 0, 1, EACH);
	assert_int_equal(wait_cqe(&g).result, -EDQUOT);
	deliver_one(pushed(PORT, 0, 1));
	take_number(&g, USER, 0); /* gives it back */
	is_quiet(&g);
	assert_int_equal(lane_of(&g)->frames->buffer_count, VTOE_AGGREGATE_MAX);
	rig_end();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_aggregate),
		cmocka_unit_test(test_fit),
		cmocka_unit_test(test_behind_payload),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_no_buffers),
		cmocka_unit_test(test_no_overtaking),
		cmocka_unit_test(test_share),
		cmocka_unit_test(test_slow_lanes),
		cmocka_unit_test(test_full_queue),
		cmocka_unit_test(test_long_in_small_queue),
		cmocka_unit_test(test_too_long_for_queue),
		cmocka_unit_test(test_region_goes),
		cmocka_unit_test(test_bad_checksums),
		cmocka_unit_test(test_claim_is_gone),
		cmocka_unit_test(test_nobody_inherits),
		cmocka_unit_test(test_aggregate_errors),
		cmocka_unit_test(test_aggregate_quota),
	};

	return RIG_RUN(tests);
}
