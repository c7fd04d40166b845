/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * path_generic - generic buffers: on and off, given back, taken away
 *
 * The pool's books are checked at the end of each test: a slot that no buffer
 * has is free, and a stream whose buffers are all back has none out.
 */
#include "path_guest.h"

enum { SIZE = 512, COUNT = 16 };

static void lend(struct guest *g, uint64_t key, uint64_t offset, uint32_t count)
{
	struct vtoe_sqe *e = entry(g, VTOE_OP_GRQ_ADD, 0, 51);

	e->key = key;
	e->offset = offset;
	e->length = count * SIZE;
	e->op_flags = count;
}

static void mode(struct guest *g, uint32_t id, int on, uint64_t user)
{
	entry(g, VTOE_OP_GRQ_MODE, id, user)->op_flags = on ? 1 : 0;
}

static void mode_on(struct guest *g, uint32_t id)
{
	mode(g, id, 1, 60);
	submit(g);
	assert_int_equal(wait_cqe(g).result, 0);
}

static void send_numbered(int peer, uint64_t from, size_t n)
{
	uint8_t chunk[4096];
	size_t i;

	assert_true(n <= sizeof(chunk));
	for (i = 0; i < n; i++)
		chunk[i] = byte_at(from + i);
	send_peer(peer, chunk, n);
}

/* The stream's next bytes are there; -> how many */
static uint32_t check_bytes(struct guest *g, const struct vtoe_cqe *c,
			    uint64_t base, uint64_t seen)
{
	const uint8_t *at = g->memory + base + c->offset;
	uint32_t i;

	assert_true(c->result > 0);
	assert_int_equal(c->result, c->length);
	for (i = 0; i < c->length; i++)
		assert_int_equal(at[i], byte_at(seen + i));
	return c->length;
}

static const struct generic_pool *pool_of(struct guest *g)
{
	return &lane_of(g)->generic;
}

/* Off, and On before Off has ended: Off completes, On is refused. */
static void test_off_on(void **state)
{
	struct vtoe_cqe c;
	struct guest g;
	uint32_t id;
	int peer, i, ends = 0;

	(void)state;
	start();
	join(&g);
	id = connected(&g, &peer);
	lend(&g, g.key, 0, COUNT);
	mode_on(&g, id);
	mode(&g, id, 0, 3);
	mode(&g, id, 1, 4);
	submit(&g);
	for (i = 0; i < 2; i++) {
		c = wait_cqe(&g);
		ends |= (int)c.user_data;
		assert_int_equal(c.result, c.user_data == 4 && world_off_waits ?
						   -EALREADY : 0);
	}
	assert_int_equal(ends, 7);
	assert_int_equal(lane_of(&g)->inflight, 0);
	mode_on(&g, id);
	send_numbered(peer, 0, 10);
	c = wait_cqe(&g);
	assert_int_equal(check_bytes(&g, &c, ARENA, 0), 10);
	close_stream(&g, id, peer);
	leave(&g);
	stop();
}

/* Given back in runs of any length, in the order in which they came. */
static void test_runs(void **state)
{
	uint64_t seen = 0, first = 0;
	uint32_t id, run, out = 0;
	struct vtoe_cqe c;
	struct guest g;
	int peer, round, i;

	(void)state;
	start();
	join(&g);
	id = connected(&g, &peer);
	lend(&g, g.key, 0, COUNT);
	mode_on(&g, id);
	for (round = 0; round < 300; round++) {
		run = 1 + (uint32_t)rand() % (COUNT / 2 - 1);
		for (i = 0; i < (int)run; i++) {
			send_numbered(peer, seen, 1 + (size_t)rand() % SIZE);
			c = wait_cqe(&g);
			assert_int_equal(c.flags & VTOE_CQE_GRQ, VTOE_CQE_GRQ);
			assert_int_equal(c.offset, (first + out) % COUNT * SIZE);
			seen += check_bytes(&g, &c, ARENA, seen);
			out++;
		}
		assert_int_equal(pool_of(&g)->lent, COUNT - out);
		while (out) { /* a run does not wrap */
			run = COUNT - (uint32_t)(first % COUNT);
			run = run < out ? run : out;
			memset(g.memory + ARENA + first % COUNT * SIZE, 0x5a,
			       run * SIZE);
			lend(&g, g.key, first % COUNT * SIZE, run);
			first += run;
			out -= run;
		}
		submit(&g);
		assert_int_equal(pool_of(&g)->lent, COUNT);
		assert_int_equal(pool_of(&g)->free_count, VTOE_GRQ_MAX - COUNT);
	}
	assert_false(try_wait(&g, &c, 2)); /* none was refused */
	assert_int_equal(stats.grq_starved, 0);
	close_stream(&g, id, peer);
	leave(&g);
	stop();
}

/* A region goes while data comes into its buffers, and whatever the kernel has
 * done by then: nothing is lost, the guest has seen what is in the region
 * before it gets it back, and nothing is written there afterwards. */
static void test_region_del(void **state)
{
	enum { ROUNDS = 200, PLACE = 1 << 20 };
	struct vtoe_ctl_request q = { .op = VTOE_CTL_REGION_DEL };
	uint64_t seen = 0, sent = 0, key, base;
	struct vtoe_cqe c;
	struct guest g;
	int peer, i, n;
	uint32_t id;

	(void)state;
	start();
	join(&g);
	id = connected(&g, &peer);
	for (i = 0; i < ROUNDS; i++) {
		base = ARENA + PLACE;
		key = region(&g, base, COUNT * SIZE, VTOE_REGION_WRITE);
		lend(&g, key, 0, COUNT);
		if (!i)
			mode(&g, id, 1, 60);
		if (i == ROUNDS / 2)
			lend(&g, g.key, 0, 1); /* one that stays */
		submit(&g);
		for (n = rand() % 4; n; n--) {
			size_t bytes = 1 + (size_t)rand() % (2 * SIZE);

			send_numbered(peer, sent, bytes);
			sent += bytes;
			if (rand() % 2)
				turn();
		}
		/* the kernel fills one, and we have not seen it */
		if (rand() % 2)
			uring_submit(&device.uring, false);
		q.u.key = key;
		ctl_enter(&g, q);
		assert_int_equal(ctl_wait(&g).result, 0);
		while (vtoe_ring_peek(&g.cq)) {
			c = wait_cqe(&g);
			if (!(c.flags & VTOE_CQE_GRQ))
				continue; /* of the mode */
			seen += check_bytes(&g, &c, c.key == key ? base : ARENA,
					    seen);
			if (c.key != key)
				lend(&g, c.key, c.offset, 1);
		}
		memset(g.memory + base, 0x5a, COUNT * SIZE);
		submit(&g);
		while (i >= ROUNDS / 2 && seen < sent) {
			c = wait_cqe(&g);
			assert_int_equal(c.key, g.key);
			seen += check_bytes(&g, &c, ARENA, seen);
			lend(&g, c.key, c.offset, 1);
			submit(&g);
		}
		for (n = 0; n < COUNT * SIZE; n++)
			assert_int_equal(g.memory[base + (size_t)n], 0x5a);
		assert_int_equal(pool_of(&g)->free_count +
				 pool_of(&g)->lent, VTOE_GRQ_MAX);
	}
	close_stream(&g, id, peer);
	leave(&g);
	stop();
}

/* Buffers that the guest has when their region goes are not counted for ever:
 * the stream goes on with others. */
static void test_region_del_out(void **state)
{
	struct vtoe_ctl_request q = { .op = VTOE_CTL_REGION_DEL };
	uint64_t seen = 0, key;
	struct vtoe_cqe c;
	struct guest g;
	uint32_t id;
	int peer, i;

	(void)state;
	start();
	join(&g);
	id = connected(&g, &peer);
	key = region(&g, ARENA, COUNT * SIZE, VTOE_REGION_WRITE);
	lend(&g, key, 0, COUNT);
	mode_on(&g, id);
	for (i = 0; i < COUNT / 2; i++) {
		send_numbered(peer, seen, 5);
		c = wait_cqe(&g);
		seen += check_bytes(&g, &c, ARENA, seen);
	}
	q.u.key = key;
	assert_int_equal(ctl(&g, q).result, 0);
	assert_int_equal(pool_of(&g)->free_count, VTOE_GRQ_MAX);
	lend(&g, g.key, 1 << 20, 1);
	submit(&g);
	send_numbered(peer, seen, 5);
	c = wait_cqe(&g);
	assert_int_equal(check_bytes(&g, &c, ARENA, seen), 5);
	close_stream(&g, id, peer);
	leave(&g);
	stop();
}

/* CLOSE while a filled buffer waits for room in the CQ: it is not lost to the
 * pool, since its guest never hears of it. */
static void test_close_held(void **state)
{
	struct vtoe_cqe c;
	struct guest g;
	uint32_t id, i;
	int peer;

	(void)state;
	start();
	join(&g);
	add_lane(&g, 64, 8);
	id = connected(&g, &peer);
	lend(&g, g.key, 0, COUNT);
	mode_on(&g, id);
	for (i = 0; i < 8; i++) {
		entry(&g, VTOE_OP_NOP, 0, i);
		submit(&g);
	}
	send_numbered(peer, 0, 10);
	wait_until(!list_empty(&lane_of(&g)->pending));
	assert_int_equal(pool_of(&g)->lent, COUNT - 1);
	entry(&g, VTOE_OP_CLOSE, id, 9);
	for (i = 0; i < 8; i++)
		assert_int_equal(wait_cqe(&g).user_data, i);
	submit(&g);
	while (try_wait(&g, &c, 20))
		if (c.flags & VTOE_CQE_GRQ)
			lend(&g, c.key, c.offset, 1);
	submit(&g);
	wait_until(!stats.streams);
	assert_int_equal(pool_of(&g)->lent, COUNT);
	close(peer);
	leave(&g);
	stop();
}

/* A stream of two lanes: the first has turned generic receive off, and waited
 * for that, before it goes; the second gets every byte that the first did not,
 * whichever way the first goes. */
static void test_handed_over(void **state)
{
	enum { ROUNDS = 60, SECOND = 2 << 20 };
	struct vtoe_ctl_request q = { .op = VTOE_CTL_LANE_DEL };
	struct guest a, b;
	struct vtoe_sqe *e;
	struct vtoe_cqe c;
	int peer, round;

	(void)state;
	for (round = 0; round < ROUNDS; round++) {
		uint64_t sent, seen = 0, total = 5000;
		bool off = false;
		uint32_t id;

		start();
		join(&a);
		join(&b);
		add_lane(&a, 64, 64);
		id = connected(&a, &peer);
		lend(&a, a.key, 0, COUNT);
		mode_on(&a, id);
		share(&a, &b, id);
		sent = 1 + (uint64_t)rand() % 2000;
		send_numbered(peer, 0, sent);
		if (round % 2)
			turn();
		mode(&a, id, 0, 61);
		submit(&a);
		send_numbered(peer, sent, 1000);
		sent += 1000;
		while (!off) {
			c = wait_cqe(&a);
			off = c.user_data == 61;
			if (!off)
				seen += check_bytes(&a, &c, ARENA, seen);
		}
		/* the other has posted already, sometimes */
		e = entry(&b, VTOE_OP_RECV, id, 70);
		e->offset = SECOND;
		e->length = 3000;
		if (round % 3)
			submit(&b);
		q.lane = a.lane;
		if (round % 5 == 0)
			leave(&a);
		else if (round % 5 == 1)
			assert_int_equal(ctl(&a, q).result, 0);
		else
			close_stream(&a, id, -1);
		send_numbered(peer, sent, total - sent);
		submit(&b);
		lend(&b, b.key, 0, COUNT);
		while (seen < total) {
			c = wait_cqe(&b);
			if (c.user_data == 60 && !(c.flags & VTOE_CQE_GRQ))
				continue;
			if (c.user_data == 70)
				mode(&b, id, 1, 60);
			seen += check_bytes(&b, &c, ARENA, seen);
			if (c.flags & VTOE_CQE_GRQ)
				lend(&b, c.key, c.offset, 1);
			submit(&b);
		}
		close(peer);
		if (round % 5)
			leave(&a);
		leave(&b);
		stop();
	}
}

/* It goes while its generic receive is armed: the stream is the other's to
 * read, with either kind of buffer. */
static void test_first_goes_armed(void **state)
{
	struct guest a, b;
	struct vtoe_cqe c;
	uint32_t id;
	int peer;

	(void)state;
	start();
	join(&a);
	join(&b);
	id = connected(&a, &peer);
	lend(&a, a.key, 0, COUNT);
	mode_on(&a, id);
	share(&a, &b, id);
	mode(&b, id, 1, 60);
	submit(&b);
	assert_int_equal(wait_cqe(&b).result, -EBUSY);
	leave(&a);
	wait_until(stats.peers == 1);
	lend(&b, b.key, 0, COUNT);
	mode_on(&b, id);
	send_numbered(peer, 0, 100);
	c = wait_cqe(&b);
	assert_int_equal(check_bytes(&b, &c, ARENA, 0), 100);
	close_stream(&b, id, peer);
	leave(&b);
	stop();
}

/* Buffers that the first lane never gave back do not keep the second, whose
 * pool is smaller, from reading. */
static void test_kept_by_first(void **state)
{
	struct guest a, b;
	uint64_t seen = 0;
	struct vtoe_cqe c;
	uint32_t id;
	int peer, i, n;

	(void)state;
	start();
	join(&a);
	join(&b);
	id = connected(&a, &peer);
	lend(&a, a.key, 0, COUNT);
	mode_on(&a, id);
	share(&a, &b, id);
	for (i = 0; i < COUNT / 2; i++) {
		send_numbered(peer, seen, 5);
		c = wait_cqe(&a);
		seen += check_bytes(&a, &c, ARENA, seen);
	}
	mode(&a, id, 0, 61);
	submit(&a);
	assert_int_equal(wait_cqe(&a).user_data, 61);
	lend(&b, b.key, 0, 2);
	mode_on(&b, id);
	for (n = 0; n < 2; n++) {
		/* nor does what it gives back now count as the other's */
		lend(&a, a.key, 0, 1);
		submit(&a);
		for (i = 0; i < 8; i++) {
			send_numbered(peer, seen, 5);
			c = wait_cqe(&b);
			seen += check_bytes(&b, &c, ARENA, seen);
			lend(&b, c.key, c.offset, 1);
			submit(&b);
		}
		if (!n)
			close_stream(&a, id, -1);
	}
	close_stream(&b, id, peer);
	leave(&a);
	leave(&b);
	stop();
}

/* A slow reader gets half of the pool, and goes on as it gives back (P-33);
 * the other half is for others. */
static void test_half(void **state)
{
	uint64_t seen = 0, sent = 0;
	struct vtoe_cqe c, last;
	int slow_peer, peer, i;
	uint32_t slow, id;
	struct guest g;

	(void)state;
	start();
	join(&g);
	slow = connected(&g, &slow_peer);
	id = connected(&g, &peer);
	lend(&g, g.key, 0, COUNT);
	mode_on(&g, slow);
	mode_on(&g, id);
	for (; sent < COUNT * SIZE; sent += SIZE)
		send_numbered(slow_peer, sent, SIZE);
	for (i = 0; i < COUNT / 2; i++) {
		last = wait_cqe(&g);
		seen += check_bytes(&g, &last, ARENA, seen);
	}
	assert_false(try_wait(&g, &c, 20));
	send_numbered(peer, 0, 10);
	c = wait_cqe(&g);
	assert_int_equal(c.stream, id);
	assert_int_equal(check_bytes(&g, &c, ARENA, 0), 10);
	lend(&g, c.key, c.offset, 1);
	lend(&g, last.key, last.offset, 1);
	submit(&g);
	while (seen < sent) {
		c = wait_cqe(&g);
		assert_int_equal(c.stream, slow);
		seen += check_bytes(&g, &c, ARENA, seen);
		lend(&g, c.key, c.offset, 1);
		submit(&g);
	}
	close_stream(&g, slow, slow_peer);
	close_stream(&g, id, peer);
	leave(&g);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_off_on),
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_region_del),
		cmocka_unit_test(test_region_del_out),
		cmocka_unit_test(test_close_held),
		cmocka_unit_test(test_handed_over),
		cmocka_unit_test(test_first_goes_armed),
		cmocka_unit_test(test_kept_by_first),
		cmocka_unit_test(test_half),
	};

	return PATH_RUN(tests);
}
