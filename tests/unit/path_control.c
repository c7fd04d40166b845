/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * path_control - the control ring, lanes, and how they end
 *
 * Parking for lies on either ring, answers that find the control ring full,
 * the removal of lanes with work under way, and connections that leave.
 */
#include "path_guest.h"

static void test_park(void **state)
{
	struct vtoe_ctl_request q = { .op = VTOE_CTL_LANE_DEL };
	struct vtoe_device_page *page;
	struct guest g, good;
	uint32_t id;
	int peer;

	(void)state;
	start();
	join(&good);
	join(&g);
	id = connected(&g, &peer);
	g.sq.shared->p.producer += ENTRIES + 1;
	conn_kick(g.conn);
	turn();
	assert_int_equal(g.cq.shared->p.status, VTOE_STATUS_PARKED);
	assert_int_equal(g.cq.shared->p.violation, VTOE_VIOLATION_INDEX);
	assert_int_equal(ctl_wait(&g).event, VTOE_EVENT_LANE_PARKED);
	assert_int_equal(stats.streams, 0);
	(void)id;
	/* its control ring still works; the lane can be removed */
	assert_int_equal(ctl(&g, q).result, 0);
	/* a lie on the control ring parks all of it */
	g.ctl_q.shared->p.producer += 1000;
	conn_kick(g.conn);
	turn();
	page = (void *)g.memory;
	assert_int_equal(page->status, VTOE_STATUS_PARKED);
	assert_int_equal(page->violation, VTOE_VIOLATION_INDEX);
	/* and nobody else noticed */
	entry(&good, VTOE_OP_NOP, 0, 12);
	submit(&good);
	assert_int_equal(wait_cqe(&good).user_data, 12);
	close(peer);
	leave(&g);
	leave(&good);
	stop();
}

/* A lie about the CQ, told while requests end: parked, and nothing is left. */
static void test_park_consumer(void **state)
{
	struct guest g, good;
	uint32_t id;
	int peer, i;

	(void)state;
	start();
	join(&good);
	join(&g);
	id = connected(&g, &peer);
	for (i = 0; i < 100; i++)
		entry(&g, VTOE_OP_RECV, id, 100)->length = 10;
	submit(&g);
	for (i = 0; i < 150; i++)
		entry(&g, VTOE_OP_NOP, 0, 1);
	submit(&g); /* more than half: the consumer index is looked at */
	entry(&g, VTOE_OP_CANCEL, 0, 2)->u.target = 100;
	vtoe_ring_submit(&g.sq);
	g.cq.shared->c.consumer += 5000;
	conn_kick(g.conn);
	turn();
	turn();
	assert_int_equal(g.cq.shared->p.status, VTOE_STATUS_PARKED);
	assert_int_equal(g.cq.shared->p.violation, VTOE_VIOLATION_CONSUMER);
	assert_int_equal(stats.streams, 0);
	entry(&good, VTOE_OP_NOP, 0, 12);
	submit(&good);
	assert_int_equal(wait_cqe(&good).user_data, 12);
	close(peer);
	leave(&g);
	leave(&good);
	stop();
}

/* Takes all there is, without a turn; rings only if asked to. */
static unsigned take_answers(struct guest *g)
{
	unsigned n = 0;

	for (; vtoe_ring_peek(&g->ctl_c); n++)
		vtoe_ring_advance(&g->ctl_c);
	if (vtoe_ring_release(&g->ctl_c))
		conn_kick(g->conn);
	return n;
}

static void ask_wrong(struct guest *g, int n)
{
	const struct vtoe_ctl_request q = { .op = 99 };

	while (n--)
		ctl_enter(g, q);
}

/* Requests that find the control ring full of answers are served when the
 * guest has taken some, and it is asked to say so. */
static void test_ctl_full(void **state)
{
	struct guest g;
	int i;

	(void)state;
	start();
	join(&g);
	ask_wrong(&g, VTOE_CTL_ENTRIES);
	conn_kick(g.conn);
	for (i = 0; i < 20; i++)
		turn();
	ask_wrong(&g, 3);
	conn_kick(g.conn);
	for (i = 0; i < 20; i++)
		turn();
	assert_int_equal(take_answers(&g), VTOE_CTL_ENTRIES);
	for (i = 0; i < 20; i++)
		turn();
	assert_int_equal(take_answers(&g), 3);
	leave(&g);
	stop();
}

/* An event that found no room comes, and is published, with the next room. */
static void test_event_waits(void **state)
{
	struct vtoe_ctl_completion *c;
	struct guest g;
	int i;

	(void)state;
	start();
	join(&g);
	ask_wrong(&g, VTOE_CTL_ENTRIES);
	conn_kick(g.conn);
	for (i = 0; i < 20; i++)
		turn();
	conn_set_link(g.conn, VTOE_LINK_UP);
	for (i = 0; i < 20; i++)
		turn();
	assert_int_equal(g.conn->pending_events, 1);
	assert_int_equal(take_answers(&g), VTOE_CTL_ENTRIES);
	for (i = 0; i < 20; i++)
		turn();
	c = vtoe_ring_peek(&g.ctl_c);
	assert_non_null(c);
	assert_int_equal(c->op, VTOE_CTL_EVENT);
	assert_int_equal(c->event, VTOE_EVENT_LINK);
	assert_int_equal(take_answers(&g), 1);
	leave(&g);
	stop();
}

static void break_consumer(struct guest *g)
{
	__atomic_store_n(&g->cq.shared->c.consumer, 0xdeadbeefu,
			 __ATOMIC_SEQ_CST);
}

static void post_bytes(struct guest *g, uint32_t id, int n)
{
	while (n--)
		entry(g, VTOE_OP_RECV, id, 77)->length = 1;
	submit(g);
}

static void lane_del(struct guest *g, uint32_t lane)
{
	const struct vtoe_ctl_request q = { .op = VTOE_CTL_LANE_DEL,
					    .lane = lane, .user_data = 9 };

	ctl_enter(g, q);
	conn_kick(g->conn);
	turn();
}

/* CANCEL of more requests than its CQ takes, with a lie about that CQ: ends. */
static void test_cancel_lie(void **state)
{
	struct guest g;
	uint32_t id;
	int peer;

	(void)state;
	start();
	join(&g);
	add_lane(&g, 64, 8);
	id = connected(&g, &peer);
	post_bytes(&g, id, 12);
	break_consumer(&g);
	entry(&g, VTOE_OP_CANCEL, 0, 5)->u.target = 77;
	submit(&g);
	wait_until(!device.requests.used);
	assert_int_equal(g.cq.shared->p.status, VTOE_STATUS_PARKED);
	assert_int_equal(g.cq.shared->p.violation, VTOE_VIOLATION_CONSUMER);
	close(peer);
	leave(&g);
	stop();
}

/* A lane that is removed while its guest lies about its CQ goes once: nothing
 * is counted or freed twice. First with requests under way, then with ones
 * that wait for room, and a second lane to miscount. */
static void test_lane_del_lie(void **state)
{
	int peer[4], blocked, i, way;
	uint32_t id[4], doomed;
	struct guest g, first;
	uint8_t bytes[12] = { 0 };

	(void)state;
	for (way = 0; way < 2; way++) {
		start();
		join(&g);
		first = g;
		send_much(&first, connected(&first, &blocked));
		add_lane(&g, 64, 8);
		doomed = g.lane;
		for (i = 0; i < 4; i++) {
			id[i] = connected(&g, &peer[i]);
			post_bytes(&g, id[i], way && i ? 0 : way ? 12 : 4);
		}
		if (way) {
			send_peer(peer[0], bytes, sizeof(bytes));
			wait_until(!list_empty(&lane_of(&g)->pending));
		}
		break_consumer(&g);
		lane_del(&g, doomed);
		wait_until(!g.conn->lanes[doomed].open);
		assert_int_equal(stats.lanes, 1);
		assert_int_equal(g.conn->lane_count, 1);
		assert_int_equal(device.holds.used, 1);
		wait_until(stats.streams == 1);
		lane_del(&g, first.lane);
		wait_until(!g.conn->lane_count);
		assert_int_equal(stats.lanes, 0);
		leave(&g);
		for (i = 0; i < 4; i++)
			close(peer[i]);
		close(blocked);
		stop();
	}
}

/* LANE_DEL ends what the lane has as CLOSE with ABORT does: no waiting for
 * sends that nobody reads, a reset for the other end, then the answer. */
static void test_lane_del_aborts(void **state)
{
	struct vtoe_ctl_completion c;
	uint32_t id, idle;
	int peer, idle_peer;
	struct guest g;
	char byte;

	(void)state;
	start();
	join(&g);
	idle = connected(&g, &idle_peer);
	entry(&g, VTOE_OP_RECV, idle, 2)->length = 10;
	id = connected(&g, &peer);
	set_linger(&g, id, 100);
	send_much(&g, id);
	lane_del(&g, g.lane);
	c = ctl_wait(&g);
	assert_int_equal(c.op, VTOE_CTL_LANE_DEL);
	assert_int_equal(c.user_data, 9);
	assert_int_equal(c.result, 0);
	assert_int_equal(device.requests.used, 0);
	wait_until(!stats.streams);
	assert_int_equal(recv(idle_peer, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	while (recv(peer, g.memory + ARENA, BYTES - ARENA, 0) > 0)
		;
	assert_int_equal(errno, ECONNRESET);
	close(peer);
	close(idle_peer);
	/* its place and its rings may be used again */
	g.rings = 64 << 10;
	add_lane(&g, ENTRIES, ENTRIES);
	close_stream(&g, connected(&g, &peer), peer);
	leave(&g);
	stop();
}

/* -- a connection that leaves -------------------------------------------- */

/* All that it had submitted is sent, more than its CQ could answer; also when
 * that CQ was full already. */
static void test_leave_full_queue(void **state)
{
	enum { SENDS = 40, EACH = 10 };
	uint8_t got[SENDS * EACH + 1];
	struct vtoe_sqe *e;
	struct guest g;
	int peer, i, way;
	uint32_t id;

	(void)state;
	for (way = 0; way < 2; way++) {
		start();
		join(&g);
		for (i = 0; i < SENDS * EACH; i++)
			g.memory[ARENA + i] = byte_at((uint64_t)i);
		add_lane(&g, 64, 8);
		id = connected(&g, &peer);
		for (i = 0; i < SENDS; i++) {
			e = entry(&g, VTOE_OP_SEND, id, (uint64_t)i);
			e->offset = (uint64_t)i * EACH;
			e->length = EACH;
		}
		vtoe_ring_submit(&g.sq);
		for (i = 0; way && i < 10; i++) {
			conn_kick(g.conn);
			turn();
		}
		leave(&g);
		assert_int_equal(receive_peer(peer, got, sizeof(got)),
				 SENDS * EACH);
		assert_memory_equal(got, g.memory + ARENA, SENDS * EACH);
		close(peer);
		stop();
	}
}

/* Its sends on a stream that another one holds do not keep it for longer than
 * the time to drain. */
static void test_leave_shared(void **state)
{
	struct guest a, b;
	uint32_t id;
	int peer;

	(void)state;
	start();
	join(&a);
	join(&b);
	id = connected(&a, &peer);
	share(&a, &b, id);
	send_much(&a, id);
	leave(&a);
	pass(4000);
	assert_int_equal(stats.peers, 2);
	pass(2000);
	wait_until(stats.peers == 1);
	assert_int_equal(device.requests.used, 0);
	/* and the other may go on with it */
	assert_int_equal(stats.streams, 1);
	send_peer(peer, "x", 1);
	entry(&b, VTOE_OP_RECV, id, 3)->length = 1;
	submit(&b);
	assert_int_equal(wait_cqe(&b).result, 1);
	close(peer);
	leave(&b);
	stop();
}

/* SO_LINGER is taken back: the leaver's last bytes come, and no reset. */
static void test_linger_taken_back(void **state)
{
	struct guest g;
	uint8_t got[8];
	uint32_t id;
	int peer;

	(void)state;
	start();
	join(&g);
	id = connected(&g, &peer);
	set_linger(&g, id, 0);
	set_linger(&g, id, 5);
	entry(&g, VTOE_OP_SEND, id, 2)->length = 5;
	submit(&g);
	assert_int_equal(wait_cqe(&g).result, 5);
	leave(&g);
	wait_until(!stats.streams);
	assert_int_equal(recv(peer, got, sizeof(got), 0), 5);
	assert_int_equal(recv(peer, got, sizeof(got), 0), 0);
	close(peer);
	stop();
}

/* A close that lingers, to a peer that does not read: the turn does not wait,
 * however long the time; it ends when all was read, or when its time has. A
 * negative time is the longest. */
static void test_linger_close(void **state)
{
	static const int seconds[] = { 100, -1 };
	struct vtoe_sqe *e;
	struct vtoe_cqe c;
	struct guest g;
	uint32_t id, i, n;
	int peer;

	(void)state;
	start();
	join(&g);
	for (i = 0; i < 2; i++) {
		id = connected(&g, &peer);
		set_linger(&g, id, seconds[i]);
		do {
			e = entry(&g, VTOE_OP_SEND, id, 2);
			e->length = 1 << 20;
			e->op_flags = VTOE_IO_NONBLOCK;
			submit(&g);
			c = wait_cqe(&g);
		} while (c.result > 0);
		entry(&g, VTOE_OP_CLOSE, id, 3);
		submit(&g);
		pass(i ? 119000 : 99000);
		assert_false(try_wait(&g, &c, 20));
		if (i)
			pass(2000);
		for (n = 0; !i && n < 1000 && !vtoe_ring_peek(&g.cq); n++)
			receive_peer(peer, g.memory + ARENA, 1 << 20);
		c = wait_cqe(&g);
		assert_int_equal(c.user_data, 3);
		assert_int_equal(c.result, 0);
		close(peer);
	}
	leave(&g);
	stop();
}

/* -- regions that the port made (Xen: registered application memory) -- */

static uint64_t gone[4];
static unsigned gone_count;

static void region_gone(struct port_link *link, uint64_t user_data)
{
	(void)link;
	assert_true(gone_count < 4);
	gone[gone_count++] = user_data;
}

static void recv_into(struct guest *g, uint32_t id, uint64_t key,
		      uint64_t offset, uint32_t length)
{
	struct vtoe_sqe *e = entry(g, VTOE_OP_RECV, id, 7);

	e->key = key;
	e->offset = offset;
	e->length = length;
	submit(g);
}

/* The key of one works like any other on its connection, with its rights and
 * bounds, and on no other connection; the control ring cannot remove it; removal
 * is answered to the port, once, and when the connection ends meanwhile too. */
static void test_external_region(void **state)
{
	static _Alignas(VTOE_PAGE) uint8_t outside[2 * VTOE_PAGE];
	struct vtoe_ctl_request q = { .op = VTOE_CTL_REGION_DEL };
	struct port_ops ops;
	struct guest g, other;
	uint64_t key, sending;
	uint32_t id, id2;
	int peer, peer2;

	(void)state;
	start();
	join(&g);
	join(&other);
	ops = *g.conn->link.ops;
	ops.region_gone = region_gone;
	g.conn->link.ops = &ops;
	gone_count = 0;
	id = connected(&g, &peer);
	id2 = connected(&other, &peer2);
	assert_int_equal(conn_region_add(g.conn, outside, sizeof(outside),
					 VTOE_REGION_WRITE, &key), 0);
	assert_int_equal(conn_region_add(g.conn, outside, sizeof(outside),
					 VTOE_REGION_READ, &sending), 0);
	send_peer(peer, "hello", 5);
	recv_into(&g, id, key, VTOE_PAGE - 2, 5);
	assert_int_equal(wait_cqe(&g).result, 5);
	assert_memory_equal(outside + VTOE_PAGE - 2, "hello", 5);
	recv_into(&g, id, key, sizeof(outside), 1);
	assert_int_equal(wait_cqe(&g).result, -ERANGE);
	recv_into(&g, id, key, UINT64_MAX, 2);
	assert_int_equal(wait_cqe(&g).result, -ERANGE);
	/* O8, O7, G5 */
	recv_into(&g, id, sending, 0, 5);
	assert_int_equal(wait_cqe(&g).result, -EACCES);
	recv_into(&other, id2, key, 0, 5);
	assert_int_equal(wait_cqe(&other).result, -ENOKEY);
	q.u.key = key;
	assert_int_equal(ctl(&g, q).result, -ENOKEY);
	assert_int_equal(ctl(&other, q).result, -ENOKEY);
	assert_int_equal(conn_region_remove(other.conn, key, 1, true),
			 -ENOKEY);
	/* O9: what waits ends first, then the port is told */
	recv_into(&g, id, key, 0, 5);
	assert_int_equal(conn_region_remove(g.conn, key, 41, true), TOE_ASYNC);
	assert_int_equal(wait_cqe(&g).result, -ECANCELED);
	wait_until(gone_count == 1);
	assert_int_equal(gone[0], 41);
	send_peer(peer, "later", 5);
	recv_into(&g, id, key, 0, 5);
	assert_int_equal(wait_cqe(&g).result, -ENOKEY);
	assert_memory_equal(outside + VTOE_PAGE - 2, "hello", 5);
	/* the connection ends while a removal waits */
	receive_peer(peer, g.memory + ARENA, 1);
	recv_into(&g, id, g.key, 0, 5);
	assert_int_equal(wait_cqe(&g).result, 5);
	assert_int_equal(conn_region_add(g.conn, outside, sizeof(outside),
					 VTOE_REGION_WRITE, &key), 0);
	recv_into(&g, id, key, 0, 5);
	assert_int_equal(conn_region_remove(g.conn, key, 42, true), TOE_ASYNC);
	conn_leave(g.conn);
	wait_until(gone_count == 2);
	assert_int_equal(gone[1], 42);
	close(peer);
	close(peer2);
	leave(&other);
	stop();
	assert_int_equal(gone_count, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_park),
		cmocka_unit_test(test_park_consumer),
		cmocka_unit_test(test_ctl_full),
		cmocka_unit_test(test_event_waits),
		cmocka_unit_test(test_cancel_lie),
		cmocka_unit_test(test_lane_del_lie),
		cmocka_unit_test(test_lane_del_aborts),
		cmocka_unit_test(test_leave_full_queue),
		cmocka_unit_test(test_leave_shared),
		cmocka_unit_test(test_linger_taken_back),
		cmocka_unit_test(test_linger_close),
		cmocka_unit_test(test_external_region),
	};

	return PATH_RUN(tests);
}
