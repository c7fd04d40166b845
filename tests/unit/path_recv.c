/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * path_recv - receiving: posted and generic buffers
 *
 * RQ before GRQ without a hole or a duplicate (MECHANISMS H7, H9, H10),
 * receives of a whole large buffer and the low-water mark behind them,
 * removal of memory in flight (O9), and the pool of generic buffers.
 */
#include "path_guest.h"

static void post_whole(struct guest *g, uint32_t id, uint32_t bytes)
{
	struct vtoe_sqe *e = entry(g, VTOE_OP_RECV, id, bytes);

	e->length = bytes;
	e->op_flags = VTOE_IO_WAITALL;
	submit(g);
}

/* What the guest and its other requests see of the low-water mark: nothing. */
static void check_readable_at_one_byte(struct guest *g, uint32_t id, int peer)
{
	struct vtoe_sqe *e;
	struct vtoe_cqe c;
	int mark = 0;

	e = entry(g, VTOE_OP_GETOPT, id, 1);
	e->u.option.level = SOL_SOCKET;
	e->u.option.name = SO_RCVLOWAT;
	e->u.option.length = sizeof(mark);
	submit(g);
	c = wait_cqe(g);
	assert_int_equal(c.result, sizeof(mark));
	memcpy(&mark, c.u.value, sizeof(mark));
	assert_int_equal(mark, 1);
	send_peer(peer, "x", 1);
	entry(g, VTOE_OP_POLL, id, 2)->op_flags = POLLIN;
	submit(g);
	assert_int_equal(wait_cqe(g).result, POLLIN);
	entry(g, VTOE_OP_RECV, id, 3)->length = 100;
	submit(g);
	assert_int_equal(wait_cqe(g).result, 1);
}

static void test_whole(void **state)
{
	enum { WHOLE = 300000, PART = 140001 };
	const struct linger reset = { .l_onoff = 1 };
	struct vtoe_cqe c;
	struct guest g;
	uint8_t *data;
	uint32_t id;
	int peer, i;

	(void)state;
	start();
	join(&g);
	data = malloc(WHOLE);
	for (i = 0; i < WHOLE; i++)
		data[i] = (uint8_t)(i * 7 + i / 251);

	/* in parts, the last ones small: one completion, when all is there */
	id = connected(&g, &peer);
	post_whole(&g, id, WHOLE);
	send_peer(peer, data, PART);
	assert_false(try_wait(&g, &c, 50));
	send_peer(peer, data + PART, WHOLE - PART - 1);
	assert_false(try_wait(&g, &c, 50));
	send_peer(peer, data + WHOLE - 1, 1);
	c = wait_cqe(&g);
	assert_int_equal(c.result, WHOLE);
	assert_int_equal(c.length, WHOLE);
	assert_memory_equal(g.memory + ARENA, data, WHOLE);
	check_readable_at_one_byte(&g, id, peer);

	/* cancelled: what came is not lost */
	post_whole(&g, id, WHOLE);
	send_peer(peer, data, PART);
	assert_false(try_wait(&g, &c, 50));
	entry(&g, VTOE_OP_CANCEL, id, 4)->u.target = WHOLE;
	submit(&g);
	for (i = 0; i < 2; i++) {
		c = wait_cqe(&g);
		if (c.user_data != 4)
			break;
	}
	assert_int_equal(c.user_data, WHOLE);
	assert_int_equal(c.result, PART);
	if (!i)
		assert_int_equal(wait_cqe(&g).user_data, 4);

	/* the end of the stream before all is there */
	post_whole(&g, id, WHOLE);
	send_peer(peer, data, PART);
	shutdown(peer, SHUT_WR);
	assert_int_equal(wait_cqe(&g).result, PART);
	post_whole(&g, id, WHOLE);
	assert_int_equal(wait_cqe(&g).result, 0);
	close_stream(&g, id, peer);

	/* an error behind good bytes is told, to the next receive */
	id = connected(&g, &peer);
	post_whole(&g, id, WHOLE);
	send_peer(peer, data, PART);
	assert_false(try_wait(&g, &c, 50));
	setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(peer);
	assert_int_equal(wait_cqe(&g).result, PART);
	post_whole(&g, id, WHOLE);
	assert_int_equal(wait_cqe(&g).result, -ECONNRESET);
	close_stream(&g, id, -1);
	free(data);
	leave(&g);
	stop();
}

/* Random posts, generic buffers on and off, random arrivals: every byte once
 * and in order, whatever way it took (H9, H10, L11). */
static void test_rq_grq_order(void **state)
{
	enum { GENERIC = 16, SIZE = 512, TOTAL = 400000 };
	const uint32_t generic_at = 1 << 20, posted_at = 2 << 20;
	uint64_t sent = 0, seen = 0;
	unsigned posted = 0, next_post = 0, i;
	uint8_t chunk[4096];
	struct vtoe_sqe *e;
	struct vtoe_cqe c;
	struct guest g;
	bool on = false;
	uint32_t id;
	int peer, idle = 0;

	(void)state;
	start();
	join(&g);
	id = connected(&g, &peer);
	e = entry(&g, VTOE_OP_GRQ_ADD, 0, 50);
	e->offset = generic_at;
	e->length = GENERIC * SIZE;
	e->op_flags = GENERIC;
	while (seen < TOTAL) {
		unsigned what = (unsigned)rand() % 8;

		if (what < 2 && posted < 8) {
			e = entry(&g, VTOE_OP_RECV, id, 100 + next_post % 8);
			e->offset = posted_at + next_post % 8 * 8192;
			e->length = 1 + (unsigned)rand() % 3000;
			next_post++;
			posted++;
		} else if (what == 2) {
			entry(&g, VTOE_OP_GRQ_MODE, id, 60)->op_flags = 1;
			on = true;
		} else if (what == 3 && on && rand() % 4 == 0) {
			entry(&g, VTOE_OP_GRQ_MODE, id, 61);
			on = false;
		} else if (what < 7 && sent < TOTAL) {
			size_t n = 1 + (size_t)rand() % sizeof(chunk);

			if (n > TOTAL - sent)
				n = TOTAL - sent;
			for (i = 0; i < n; i++)
				chunk[i] = byte_at(sent + i);
			n = (size_t)send(peer, chunk, n, MSG_DONTWAIT);
			if (n != (size_t)-1)
				sent += n;
		}
		submit(&g);
		while (try_wait(&g, &c, 1)) {
			const uint8_t *at = g.memory + ARENA + c.offset;

			idle = 0;
			if (c.user_data == 61 || (c.user_data == 60 &&
						  !(c.flags & VTOE_CQE_GRQ)))
				continue;
			if (c.user_data >= 100)
				posted--;
			assert_true(c.result > 0);
			assert_int_equal(c.result, c.length);
			for (i = 0; i < c.length; i++)
				if (at[i] != byte_at(seen + i))
					fail_msg("byte %llu is wrong",
						 (unsigned long long)seen + i);
			seen += c.length;
			if (!(c.flags & VTOE_CQE_GRQ))
				continue;
			e = entry(&g, VTOE_OP_GRQ_ADD, 0, 51);
			e->offset = c.offset;
			e->length = SIZE;
			e->op_flags = 1;
		}
		assert_true(idle++ < 100000);
	}
	assert_int_equal(seen, TOTAL);
	assert_true(stats.rx_generic_bytes > TOTAL / 20);
	assert_true(stats.rx_placed_bytes > TOTAL / 20);
	assert_int_equal(stats.rx_generic_bytes + stats.rx_placed_bytes, TOTAL);
	entry(&g, VTOE_OP_CLOSE, id, 99);
	submit(&g);
	do { /* buffers may be posted yet */
		c = wait_cqe(&g);
		assert_int_equal(c.result, c.user_data == 99 ? 0 : -ECANCELED);
	} while (c.user_data != 99);
	close(peer);
	leave(&g);
	stop();
}

/* Memory is not given back while a request names it (O9, H17). */
static void test_region_in_flight(void **state)
{
	struct vtoe_ctl_request q = { .op = VTOE_CTL_REGION_DEL,
				      .user_data = 44 };
	struct vtoe_ctl_completion done;
	struct vtoe_ctl_request *at;
	struct vtoe_sqe *e;
	struct vtoe_cqe c;
	struct guest g;
	int peer, n, seen = 0;
	uint64_t key;
	uint32_t id;

	(void)state;
	start();
	join(&g);
	id = connected(&g, &peer);
	key = region(&g, ARENA, 8192, VTOE_REGION_WRITE);
	e = entry(&g, VTOE_OP_RECV, id, 1);
	e->key = key;
	e->length = 100;
	e = entry(&g, VTOE_OP_RECV, id, 2);
	e->key = key;
	e->length = 100;
	submit(&g);
	q.u.key = key;
	at = vtoe_ring_reserve(&g.ctl_q);
	*at = q;
	vtoe_ring_submit(&g.ctl_q);
	conn_kick(g.conn);
	turn();
	/* both are stopped, and only then is the memory the guest's again */
	for (n = 1; n <= 2; n++) {
		c = wait_cqe(&g);
		assert_int_equal(c.result, -ECANCELED);
		seen += (int)c.user_data;
	}
	assert_int_equal(seen, 3);
	done = ctl_wait(&g);
	assert_int_equal(done.user_data, 44);
	assert_int_equal(done.result, 0);
	/* the canary: bytes that come now are not written there */
	memset(g.memory + ARENA, 0x5a, 8192);
	send_peer(peer, "late", 4);
	assert_false(try_wait(&g, &c, 50));
	for (n = 0; n < 8192; n++)
		assert_int_equal(g.memory[ARENA + n], 0x5a);
	e = entry(&g, VTOE_OP_RECV, id, 9);
	e->offset = 1 << 20;
	e->length = 100;
	submit(&g);
	assert_int_equal(wait_cqe(&g).result, 4);
	/* generic buffers go with their region at once */
	key = region(&g, ARENA, 8192, VTOE_REGION_WRITE);
	e = entry(&g, VTOE_OP_GRQ_ADD, 0, 3);
	e->key = key;
	e->length = 8192;
	e->op_flags = 2;
	entry(&g, VTOE_OP_GRQ_MODE, id, 4)->op_flags = 1;
	submit(&g);
	assert_int_equal(wait_cqe(&g).result, 0);
	q.u.key = key;
	assert_int_equal(ctl(&g, q).result, 0);
	send_peer(peer, "none", 4);
	assert_false(try_wait(&g, &c, 50));
	e = entry(&g, VTOE_OP_GRQ_ADD, 0, 5);
	e->offset = 65536;
	e->length = 4096;
	e->op_flags = 1;
	submit(&g);
	c = wait_cqe(&g);
	assert_int_equal(c.user_data, 4);
	assert_int_equal(c.result, 4);
	assert_memory_equal(g.memory + ARENA + c.offset, "none", 4);
	close_stream(&g, id, peer);
	leave(&g);
	stop();
}

/* The mark of a large receive is gone before anything else looks at the
 * socket: one byte is readable at once, whatever asks for it, and however the
 * large receive has ended. */
static void test_one_byte_after_whole(void **state)
{
	enum { WHOLE = 200000 };
	static const struct {
		enum vtoe_op op;
		uint32_t length, flags;
		int32_t result;
	} ask[] = {
		{ VTOE_OP_RECV, 100, 0, 1 },
		{ VTOE_OP_RECV, 1, VTOE_IO_WAITALL, 1 },
		{ VTOE_OP_RECV, 100, VTOE_IO_PEEK, 1 },
		{ VTOE_OP_RECV, 100, VTOE_IO_NONBLOCK, 1 },
		{ VTOE_OP_POLL, 0, POLLIN, POLLIN },
	};
	uint8_t *data = calloc(1, WHOLE);
	struct vtoe_sqe *e;
	struct vtoe_cqe c;
	struct guest g;
	uint32_t id;
	unsigned i, way, n;
	int peer;

	(void)state;
	start();
	join(&g);
	for (i = 0; i < sizeof(ask) / sizeof(*ask); i++) {
		for (way = 0; way < 3; way++) {
			id = connected(&g, &peer);
			post_whole(&g, id, WHOLE);
			assert_false(try_wait(&g, &c, 3));
			if (way == 0) { /* filled */
				send_peer(peer, data, WHOLE);
				assert_int_equal(wait_cqe(&g).result, WHOLE);
			} else { /* cancelled, with and without bytes */
				if (way == 1)
					send_peer(peer, data, WHOLE / 2);
				assert_false(try_wait(&g, &c, 10));
				e = entry(&g, VTOE_OP_CANCEL, id, 4);
				e->u.target = WHOLE;
				submit(&g);
				for (n = 0; n < 2; n++) {
					c = wait_cqe(&g);
					if (c.user_data == 4)
						continue;
					assert_int_equal(c.result, way == 1 ?
							 WHOLE / 2 :
							 -ECANCELED);
				}
			}
			send_peer(peer, "x", 1);
			turn();
			e = entry(&g, ask[i].op, id, 5);
			e->length = ask[i].length;
			e->op_flags = ask[i].flags;
			submit(&g);
			c = wait_cqe(&g);
			assert_int_equal(c.user_data, 5);
			assert_int_equal(c.result, ask[i].result);
			close_stream(&g, id, peer);
		}
	}
	free(data);
	leave(&g);
	stop();
}

/* What is queued behind a large receive: the next posted buffer, and generic
 * ones. A POLL while it waits is told of the first byte, too. */
static void test_behind_whole(void **state)
{
	enum { WHOLE = 200000 };
	uint8_t *data = calloc(1, WHOLE);
	struct vtoe_sqe *e;
	struct vtoe_cqe c;
	struct guest g;
	uint32_t id;
	int peer;

	(void)state;
	start();
	join(&g);
	id = connected(&g, &peer);
	e = entry(&g, VTOE_OP_GRQ_ADD, 0, 1);
	e->offset = 1 << 20;
	e->length = 4 * 512;
	e->op_flags = 4;
	post_whole(&g, id, WHOLE);
	entry(&g, VTOE_OP_RECV, id, 2)->length = 100;
	entry(&g, VTOE_OP_GRQ_MODE, id, 3)->op_flags = 1;
	submit(&g);
	assert_int_equal(wait_cqe(&g).user_data, 3);
	send_peer(peer, data, WHOLE);
	assert_int_equal(wait_cqe(&g).result, WHOLE);
	send_peer(peer, "x", 1);
	c = wait_cqe(&g);
	assert_int_equal(c.user_data, 2);
	assert_int_equal(c.result, 1);
	send_peer(peer, "y", 1);
	c = wait_cqe(&g);
	assert_int_equal(c.flags, VTOE_CQE_GRQ);
	assert_int_equal(c.result, 1);
	entry(&g, VTOE_OP_GRQ_MODE, id, 4);
	submit(&g);
	assert_int_equal(wait_cqe(&g).user_data, 4);

	/* the receive may take the byte before the poll sees it: then the
	 * poll is told by the next */
	post_whole(&g, id, WHOLE);
	entry(&g, VTOE_OP_POLL, id, 5)->op_flags = POLLIN;
	submit(&g);
	send_peer(peer, "z", 1);
	if (!try_wait(&g, &c, 20)) {
		assert_int_equal(stats.rx_bytes, WHOLE + 3);
		entry(&g, VTOE_OP_CANCEL, id, 6)->u.target = WHOLE;
		submit(&g);
		do
			c = wait_cqe(&g);
		while (c.user_data != WHOLE);
		assert_int_equal(c.result, 1);
		send_peer(peer, "z", 1);
		do
			c = wait_cqe(&g);
		while (c.user_data == 6);
	}
	assert_int_equal(c.user_data, 5);
	assert_int_equal(c.result, POLLIN);
	free(data);
	close(peer);
	leave(&g);
	stop();
}

/* A mark that the guest sets is the guest's: a receive waits for it, a large
 * one leaves it as it is. */
static void test_guest_mark(void **state)
{
	enum { WHOLE = 200000, MARK = 100 };
	uint8_t *data = calloc(1, WHOLE);
	const int mark = MARK;
	struct vtoe_sqe *e;
	struct vtoe_cqe c;
	struct guest g;
	uint32_t id;
	int peer, got, i;

	(void)state;
	start();
	join(&g);
	id = connected(&g, &peer);
	set_option(&g, id, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof(mark));
	for (i = 0; i < 2; i++) {
		entry(&g, VTOE_OP_RECV, id, 1)->length = 1000;
		submit(&g);
		send_peer(peer, data, MARK - 1);
		assert_false(try_wait(&g, &c, 20));
		send_peer(peer, data, 1);
		assert_int_equal(wait_cqe(&g).result, MARK);
		e = entry(&g, VTOE_OP_GETOPT, id, 2);
		e->u.option.level = SOL_SOCKET;
		e->u.option.name = SO_RCVLOWAT;
		e->u.option.length = sizeof(got);
		submit(&g);
		c = wait_cqe(&g);
		memcpy(&got, c.u.value, sizeof(got));
		assert_int_equal(got, MARK);
		post_whole(&g, id, WHOLE);
		send_peer(peer, data, WHOLE);
		assert_int_equal(wait_cqe(&g).result, WHOLE);
	}
	free(data);
	close_stream(&g, id, peer);
	leave(&g);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_one_byte_after_whole),
		cmocka_unit_test(test_behind_whole),
		cmocka_unit_test(test_guest_mark),
		cmocka_unit_test(test_rq_grq_order),
		cmocka_unit_test(test_region_in_flight),
	};

	return PATH_RUN(tests);
}
