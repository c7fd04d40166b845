/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * path_accept - listeners, when completion queues are full
 *
 * An ACCEPT with VTOE_IO_MULTI takes connections only while its lane's CQ has
 * room. The listener then waits, outlives the lane that had none, does not
 * keep other lanes waiting, and goes on when there is room again. Each was
 * wrong once.
 */
#include "path_guest.h"

enum { SMALL = 8, DIALS = 40 };

static int peers[DIALS];
static int dialled;

static void dial_some(uint16_t port, int n)
{
	while (n--) {
		assert_true(dialled < DIALS);
		peers[dialled++] = dial(port);
	}
}

static void hang_up_all(void)
{
	while (dialled)
		close(peers[--dialled]);
}

static void accept_multi(struct guest *g, uint32_t id, uint64_t user)
{
	entry(g, VTOE_OP_ACCEPT, id, user)->op_flags = VTOE_IO_MULTI;
	submit(g);
}

static void turns(int n)
{
	while (n--)
		turn();
}

/* The CQ was exactly full: the guest is asked to ring when it has taken some,
 * and then all connections come. */
static void test_room_again(void **state)
{
	struct guest a;
	unsigned n = 0;
	uint16_t port;
	uint32_t l;
	int i;

	(void)state;
	dialled = 0;
	start();
	join(&a);
	add_lane(&a, 64, SMALL);
	l = listening(&a, &port);
	accept_multi(&a, l, 6);
	dial_some(port, 3 * SMALL);
	turns(10);
	for (i = 0; i < 3; i++) {
		assert_int_equal(take_all(&a), SMALL);
		n += SMALL;
		turns(10);
	}
	assert_int_equal(n, 3 * SMALL);
	assert_int_equal(take_all(&a), 0);
	hang_up_all();
	leave(&a);
	stop();
}

/* More connections than the backlog has room for, and a program that asks for one
 * at a time and does not wait: it gets all of them. */
static void test_small_backlog(void **state)
{
	struct vtoe_cqe c;
	struct guest a;
	uint16_t port;
	uint32_t l;
	int i;

	(void)state;
	dialled = 0;
	start();
	join(&a);
	l = listening(&a, &port);
	entry(&a, VTOE_OP_LISTEN, l, 4)->length = 2;
	submit(&a);
	assert_int_equal(wait_cqe(&a).result, 0);
	dial_some(port, 3);
	turns(10);
	for (i = 0; i < 3; i++) {
		entry(&a, VTOE_OP_POLL, l, 5)->op_flags = POLLIN;
		submit(&a);
		assert_int_equal(wait_cqe(&a).result, POLLIN);
		entry(&a, VTOE_OP_ACCEPT, l, 6)->op_flags = VTOE_IO_NONBLOCK;
		submit(&a);
		c = wait_cqe(&a);
		assert_int_equal(c.result, 0);
	}
	hang_up_all();
	leave(&a);
	stop();
}

/* A lane without room does not keep another one from accepting; nor does the
 * listener remember it when it is gone. */
static void test_shared_listener(void **state)
{
	struct guest a, b;
	struct vtoe_cqe c;
	uint16_t port;
	uint32_t l;

	(void)state;
	dialled = 0;
	start();
	join(&a);
	add_lane(&a, 64, SMALL);
	join(&b);
	l = listening(&a, &port);
	share(&a, &b, l);
	accept_multi(&a, l, 6);
	dial_some(port, SMALL + 1);
	turns(10);
	entry(&b, VTOE_OP_ACCEPT, l, 8);
	submit(&b);
	c = wait_cqe(&b);
	assert_int_equal(c.user_data, 8);
	assert_int_equal(c.result, 0);
	leave(&a);
	wait_until(stats.peers == 1);
	entry(&b, VTOE_OP_ACCEPT, l, 9);
	submit(&b);
	dial_some(port, 1);
	c = wait_cqe(&b);
	assert_int_equal(c.user_data, 9);
	assert_int_equal(c.result, 0);
	close_stream(&b, l, -1);
	hang_up_all();
	leave(&b);
	stop();
}

/* The same with two lanes of one connection, the first removed. */
static void test_lane_removed(void **state)
{
	struct vtoe_ctl_request q = { .op = VTOE_CTL_LANE_DEL };
	struct guest a, b;
	struct vtoe_cqe c;
	uint16_t port;
	uint32_t l;

	(void)state;
	dialled = 0;
	start();
	join(&a);
	b = a; /* its first lane; a has the second from now on */
	add_lane(&a, 64, SMALL);
	l = listening(&a, &port);
	share(&a, &b, l);
	accept_multi(&a, l, 6);
	dial_some(port, SMALL + 2);
	turns(10);
	q.lane = a.lane;
	assert_int_equal(ctl(&a, q).result, 0);
	accept_multi(&b, l, 7);
	c = wait_cqe(&b);
	assert_int_equal(c.result, 0);
	assert_int_equal(c.flags, VTOE_CQE_MORE);
	c = wait_cqe(&b);
	assert_int_equal(c.result, 0);
	dial_some(port, 1);
	assert_int_equal(wait_cqe(&b).result, 0);
	hang_up_all();
	leave(&a);
	stop();
}

/* CLOSE of a listener that waits for room, with more that waits on it. */
static void test_close_blocked(void **state)
{
	unsigned seen = 0, n = 0;
	struct vtoe_cqe c;
	struct guest a;
	uint16_t port;
	uint32_t l;

	(void)state;
	dialled = 0;
	start();
	join(&a);
	add_lane(&a, 64, SMALL);
	l = listening(&a, &port);
	entry(&a, VTOE_OP_POLL, l, 1)->op_flags = POLLPRI;
	accept_multi(&a, l, 2);
	dial_some(port, SMALL + 1);
	turns(10);
	entry(&a, VTOE_OP_CLOSE, l, 4);
	vtoe_ring_submit(&a.sq);
	while (n < SMALL + 4 && try_wait(&a, &c, 100)) {
		n++;
		if (c.flags & VTOE_CQE_MORE)
			continue;
		assert_false(seen & c.user_data);
		seen |= (unsigned)c.user_data;
		/* the room has come, and so may one more connection have */
		if (c.user_data == 4 || (c.user_data == 2 && c.result >= 0))
			assert_int_equal(c.result, 0);
		else
			assert_int_equal(c.result, -ECANCELED);
	}
	assert_int_equal(seen, 7);
	assert_false(try_wait(&a, &c, 10));
	hang_up_all();
	leave(&a);
	stop();
}

/* At the quota of streams a MULTI accept ends with its error, once. */
static void test_quota(void **state)
{
	struct vtoe_cqe c;
	struct guest a;
	uint16_t port;
	unsigned n;
	uint32_t l;

	(void)state;
	dialled = 0;
	start();
	join(&a);
	l = listening(&a, &port);
	accept_multi(&a, l, 6);
	dial_some(port, 36);
	/* one of the 32 is the listener */
	for (n = 0; n < 31; n++) {
		c = wait_cqe(&a);
		assert_int_equal(c.result, 0);
		assert_int_equal(c.flags, VTOE_CQE_MORE);
	}
	c = wait_cqe(&a);
	assert_int_equal(c.user_data, 6);
	assert_int_equal(c.result, -EMFILE);
	assert_int_equal(c.flags, 0);
	assert_false(try_wait(&a, &c, 20));
	assert_int_equal(lane_of(&a)->inflight, 0);
	entry(&a, VTOE_OP_ACCEPT, l, 7);
	submit(&a);
	assert_int_equal(wait_cqe(&a).result, -EMFILE);
	hang_up_all();
	leave(&a);
	stop();
}

/* What a listener's options give to its connections, as in the kernel. */
static void test_inherit(void **state)
{
	const int mark = 100;
	struct vtoe_sqe *e;
	struct linger got;
	struct vtoe_cqe c;
	struct guest a;
	uint16_t port;
	uint32_t l;
	int i;

	(void)state;
	dialled = 0;
	start();
	join(&a);
	l = listening(&a, &port);
	set_linger(&a, l, 7);
	set_option(&a, l, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof(mark));
	for (i = 0; i < 2; i++) {
		dial_some(port, 1);
		e = entry(&a, VTOE_OP_ACCEPT, l, 1);
		e->op_flags = i ? VTOE_IO_NONBLOCK : 0;
		submit(&a);
		c = wait_cqe(&a);
		assert_int_equal(c.result, 0);
		e = entry(&a, VTOE_OP_GETOPT, c.stream, 2);
		e->u.option.level = SOL_SOCKET;
		e->u.option.name = SO_LINGER;
		e->u.option.length = sizeof(got);
		e = entry(&a, VTOE_OP_RECV, c.stream, 3);
		e->length = 1000;
		submit(&a);
		c = wait_cqe(&a);
		assert_int_equal(c.result, sizeof(got));
		memcpy(&got, c.u.value, sizeof(got));
		assert_int_equal(got.l_onoff, 1);
		assert_int_equal(got.l_linger, 7);
		send_peer(peers[i], "..", 2);
		assert_false(try_wait(&a, &c, 20));
		send_peer(peers[i], peers, 98);
		assert_int_equal(wait_cqe(&a).result, 100);
	}
	hang_up_all();
	leave(&a);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_room_again),
		cmocka_unit_test(test_shared_listener),
		cmocka_unit_test(test_small_backlog),
		cmocka_unit_test(test_lane_removed),
		cmocka_unit_test(test_close_blocked),
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_inherit),
	};

	return PATH_RUN(tests);
}
