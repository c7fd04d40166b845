/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tto_stall - more segments than the device has room for
 *
 * The device is made slow by a queueing discipline that drops nothing, or so slow
 * that it is stuck. The guest's segments wait in its queue; on the wire all are
 * there, once and in order. The service's clock stands still where nothing else is
 * said: what waits is woken by the socket, or by the kernel's timer.
 */
#include "tests/netns/tto_rig.h"

#include <time.h>

enum { PEER = 7000, PORT = 5001, USER = 100, V4 = VTOE_AF_INET, SIZE = 1400,
       PAYLOAD = 60000, SLOT = 62 << 10, FRAMES = (PAYLOAD + SIZE - 1) / SIZE,
       SEGMENTS = 40, FIELDS = 1024, WAIT_MS = 5000,
       FIRST = USER + 1000 };

#define SLOW "tc qdisc add dev ours root tbf rate 300mbit burst 64k limit 64m"
#define STUCK "tc qdisc add dev ours root tbf rate 8kbit burst 64k limit 64m"
#define FAST "tc qdisc del dev ours root"
#define FAST_AGAIN FAST " 2>/dev/null; true" /* a test before failed */

static struct guest g;
static uint32_t claim;

static void device_is(const char *command)
{
	assert_int_equal(system(command), 0);
}

/* The n-th of this guest, whose sequence numbers begin with 0. */
static void put(struct guest *who, uint32_t of, uint16_t port, uint32_t n)
{
	uint32_t at = n * SLOT, k;
	uint8_t *to = who->memory + ARENA + at;
	struct vtoe_segment s = { .head_bytes = 20, .segment_size = SIZE };
	struct vtoe_sqe *e = entry(who, VTOE_OP_SEGMENT, of, FIRST + n);

	name(&s.local, V4, 2, port);
	name(&s.remote, V4, 1, PEER);
	bytes_put16(s.head, port);
	bytes_put16(s.head + 2, PEER);
	bytes_put32(s.head + 4, n * PAYLOAD);
	s.head[12] = 5 << 4;
	s.head[13] = FLAG_ACK;
	s.pieces[0] = (struct vtoe_piece){ .key = who->key,
					   .offset = at + FIELDS,
					   .length = PAYLOAD };
	memcpy(to, &s, sizeof(s));
	for (k = 0; k < PAYLOAD; k++)
		to[FIELDS + k] = byte_at(n * PAYLOAD + k);
	e->offset = at;
	e->length = sizeof(s);
}

static void put_some(struct guest *who, uint32_t of, uint16_t port,
		     uint32_t count)
{
	uint32_t n;

	for (n = 0; n < count; n++)
		put(who, of, port, n);
	vtoe_ring_submit(&who->sq);
	conn_kick(who->conn);
}

static void put_all(struct guest *who, uint32_t of, uint16_t port)
{
	put_some(who, of, port, SEGMENTS);
}

static void is_right(const struct seen *seen, uint32_t at)
{
	uint32_t i;

	assert_int_equal(seen->seq, at);
	for (i = 0; i < seen->payload_length; i++)
		assert_int_equal(seen->bytes[seen->payload + i],
				 byte_at(at + i));
}

/* These segments are the next on the wire. */
static void comes(uint32_t from, uint32_t to)
{
	uint32_t at = from * PAYLOAD;
	struct seen seen;

	while (at < to * PAYLOAD) {
		assert_true(wire_next(&seen, WAIT_MS));
		is_right(&seen, at);
		at += seen.payload_length;
	}
	assert_int_equal(at, to * PAYLOAD);
}

static void complete(struct guest *who, uint32_t from, uint32_t to,
		     int32_t result)
{
	for (; from < to; from++) {
		struct vtoe_cqe c = wait_cqe(who);

		assert_int_equal(c.user_data, FIRST + from);
		assert_int_equal(c.result, result);
	}
}

/* Completions up to now. */
static uint32_t taken(struct guest *who)
{
	struct vtoe_cqe c;
	uint32_t n = 0;

	while (try_wait(who, &c, 1)) {
		assert_int_equal(c.user_data, FIRST + n);
		assert_int_equal(c.result, PAYLOAD);
		n++;
	}
	return n;
}

static void learn(void)
{
	struct frame_of f = { .remote_port = PEER, .local_port = PORT };

	wire_deliver(&f, 1); /* there is no buffer for it: it waits */
}

static void begin(void)
{
	device_is(FAST_AGAIN);
	rig_begin(NULL);
	join(&g);
	claim = claimed(&g, V4, PEER, PORT, USER);
	learn();
}

/* The service takes it that it has asked for this already: nothing comes. */
static void not_woken_by(bool socket, bool timer)
{
	device.tto->full_polled = socket;
	device.tto->stall_timed = timer;
}

static void set_buffer(int bytes)
{
	assert_int_equal(setsockopt(device.tto->config.sockets.packet,
				    SOL_SOCKET, SO_SNDBUF, &bytes,
				    sizeof(bytes)), 0);
}

/* -> how many were taken before the rest waited */
static uint32_t wait_stuck(void)
{
	uint32_t n;

	device_is(STUCK);
	put_all(&g, claim, PORT);
	turn();
	n = taken(&g);
	assert_true(n > 0 && n < SEGMENTS);
	assert_true(lane_of(&g)->stalled);
	assert_int_equal(stats.tto_stalled, 1);
	return n;
}

static uint32_t begin_stuck(void)
{
	begin();
	return wait_stuck();
}

/* -- they wait ------------------------------------------------------------- */

static void waits(bool no_socket, bool no_timer)
{
	begin();
	not_woken_by(no_socket, no_timer);
	device_is(SLOW);
	put_all(&g, claim, PORT);
	complete(&g, 0, SEGMENTS, PAYLOAD);
	comes(0, SEGMENTS);
	assert_true(stats.tto_stalled > 0);
	assert_true(stats.tto_stalled < SEGMENTS);
	assert_int_equal(stats.tto_lost, 0);
	assert_int_equal(stats.tto_segments, SEGMENTS);
	assert_int_equal(stats.tto_cut, SEGMENTS);
	assert_int_equal(stats.tx_bytes, SEGMENTS * PAYLOAD);
	assert_false(lane_of(&g)->stalled);
	device_is(FAST);
	rig_end();
}

static void test_waits(void **state)
{
	(void)state;
	waits(false, false);
}

/* Each of the two is enough. */
static void test_woken(void **state)
{
	(void)state;
	waits(true, false);
	waits(false, true);
}

/* With the socket's smallest buffer each waits for the one before. */
static void test_one_by_one(void **state)
{
	(void)state;
	begin();
	set_buffer(1);
	device_is(SLOW);
	put_all(&g, claim, PORT);
	complete(&g, 0, SEGMENTS, PAYLOAD);
	comes(0, SEGMENTS);
	assert_true(stats.tto_stalled > SEGMENTS / 2);
	assert_int_equal(stats.tto_lost, 0);
	device_is(FAST);
	rig_end();
}

/* Also behind a queue that the guest does not empty meanwhile. */
static void test_full_cq(void **state)
{
	enum { ROOM = VTOE_RING_MIN };

	(void)state;
	rig_begin(NULL);
	join(&g);
	add_lane(&g, ENTRIES, ROOM);
	claim = claimed(&g, V4, PEER, PORT, USER);
	learn();
	device_is(SLOW);
	put_all(&g, claim, PORT);
	wait_until(stats.tto_segments == ROOM);
	usleep(20000);
	turn();
	assert_int_equal(stats.tto_segments, ROOM);
	complete(&g, 0, SEGMENTS, PAYLOAD);
	comes(0, SEGMENTS);
	assert_int_equal(stats.tto_lost, 0);
	device_is(FAST);
	rig_end();
}

static uint64_t clock_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* The worker sleeps while they wait, and is woken: it neither spins nor does it
 * miss the moment. */
static void test_sleeps(void **state)
{
	enum { TURNS_A_MS = 10 };
	uint64_t from, begun, before, ms;
	bool busy;

	(void)state;
	begin();
	device_is(SLOW);
	put_all(&g, claim, PORT);
	before = stats.turns;
	from = clock_us();
	begun = device.now_us;
	while (stats.tto_segments < SEGMENTS)
		device_turn(&device, begun + clock_us() - from, true, &busy);
	ms = (clock_us() - from) / 1000;
	assert_true(stats.sleeps > 0);
	assert_true(ms > 5 && ms < 2000);
	assert_true(stats.turns - before < ms * TURNS_A_MS);
	assert_int_equal(stats.tto_lost, 0);
	complete(&g, 0, SEGMENTS, PAYLOAD);
	comes(0, SEGMENTS);
	device_is(FAST);
	rig_end();
}

/* Who waits longer goes first: none gets all of the device. */
static void test_fair(void **state)
{
	enum { GUESTS = 3, EACH = 20, BUFFER = 256 << 10, MOST = 12 };
	uint32_t claims[GUESTS], at[GUESTS] = { 0 }, i, n, run = 0;
	struct guest guests[GUESTS];
	uint16_t last = 0;
	struct seen seen;

	(void)state;
	begin();
	for (i = 0; i < GUESTS; i++) {
		join(&guests[i]);
		claims[i] = claimed(&guests[i], V4, PEER, PORT + 1 + i, USER);
	}
	/* in a turn each could fill it; and the first does so twice */
	set_buffer(BUFFER / 2);
	device.limits.credit = EACH;
	device_is(SLOW);
	for (i = 0; i < GUESTS; i++)
		put_some(&guests[i], claims[i], (uint16_t)(PORT + 1 + i),
			 EACH);
	for (i = 0; i < GUESTS; i++)
		complete(&guests[i], 0, EACH, PAYLOAD);
	for (n = 0; n < GUESTS * EACH * FRAMES; n++) {
		assert_true(wire_next(&seen, WAIT_MS));
		i = seen.local_port - PORT - 1;
		assert_true(i < GUESTS);
		is_right(&seen, at[i]);
		at[i] += seen.payload_length;
		run = seen.local_port == last ? run + 1 : 0;
		last = seen.local_port;
		/* but the last, who is alone */
		if (at[(i + 1) % GUESTS] < EACH * PAYLOAD)
			assert_true(run < MOST * FRAMES);
	}
	assert_true(stats.tto_stalled >= GUESTS);
	assert_int_equal(stats.tto_lost, 0);
	device_is(FAST);
	rig_end();
}

/* Room that was made while some wait is theirs, whoever looks for it before they
 * were woken. */
static void test_theirs(void **state)
{
	struct guest other;
	struct seen seen;
	uint32_t n;

	(void)state;
	begin();
	join(&other);
	not_woken_by(true, true);
	n = wait_stuck();
	comes(0, 1); /* that much may go at once */
	device_is(FAST); /* the rest is dropped with the discipline */
	put_all(&other, claimed(&other, V4, PEER, PORT + 1, USER), PORT + 1);
	turn();
	assert_int_equal(taken(&other), 0);
	conn_kick(g.conn);
	assert_int_equal(taken(&g), 0);
	assert_int_equal(stats.tto_stalled, 2);
	tto_stall_woken(device.tto, &device.tto->stalled);
	complete(&g, n, SEGMENTS, PAYLOAD);
	complete(&other, 0, SEGMENTS, PAYLOAD);
	assert_true(wire_next(&seen, WAIT_MS));
	assert_int_equal(seen.local_port, PORT);
	is_right(&seen, n * PAYLOAD);
	assert_int_equal(stats.tto_lost, 0);
	rig_end();
}

/* The AF_XDP queue, whose frames the driver has not given back. */
static void test_no_frame(void **state)
{
	struct xsk *x;
	uint32_t frames, k;
	struct seen seen;

	(void)state;
	begin();
	x = &device.tto->xsk;
	for (k = 0; k < 2; k++) {
		put(&g, claim, PORT, k);
		((struct vtoe_segment *)(g.memory + ARENA + k * SLOT))
			->pieces[0].length = 100;
		if (k) {
			frames = x->send_count;
			x->send_count = 0;
			submit(&g);
			usleep(3000);
			assert_int_equal(taken(&g), 0);
			assert_int_equal(stats.tto_stalled, 1);
			x->send_count = frames;
		}
		submit(&g);
		complete(&g, k, k + 1, 100);
		assert_true(wire_next(&seen, WAIT_MS));
		is_right(&seen, k * PAYLOAD);
	}
	assert_int_equal(stats.tto_cut, 0);
	assert_int_equal(stats.tto_lost, 0);
	rig_end();
}

/* -- for so long ----------------------------------------------------------- */

static void test_stuck(void **state)
{
	uint32_t n;

	(void)state;
	n = begin_stuck();
	pass(90);
	usleep(20000);
	assert_int_equal(taken(&g), 0);
	assert_int_equal(stats.tto_lost, 0);
	pass(20);
	complete(&g, n, SEGMENTS, -ENOBUFS);
	assert_int_equal(stats.tto_stalled, 1);
	assert_int_equal(stats.tto_lost, SEGMENTS - n);
	assert_int_equal(stats.tto_segments, SEGMENTS);
	comes(0, 1); /* that much may go at once */
	device_is(FAST); /* the rest is dropped with the discipline */
	put(&g, claim, PORT, 1);
	submit(&g);
	complete(&g, 1, 2, PAYLOAD);
	comes(1, 2);
	rig_end();
}

/* Others go on meanwhile. */
static void test_beside(void **state)
{
	struct guest other;

	(void)state;
	begin_stuck();
	join(&other);
	entry(&other, VTOE_OP_NOP, 0, 7);
	assert_int_equal(answer(&other).result, 0);
	claimed(&other, V4, PEER, PORT + 1, USER);
	assert_true(lane_of(&g)->stalled);
	device_is(FAST);
	rig_end();
}

/* -- and go ---------------------------------------------------------------- */

static void go_on(void)
{
	usleep(5000);
	turn();
	pass(200);
	device_is(FAST);
	rig_end();
}

static void test_lane_removed(void **state)
{
	struct vtoe_ctl_request del = { .op = VTOE_CTL_LANE_DEL };

	(void)state;
	begin_stuck();
	del.lane = g.lane;
	assert_int_equal(ctl(&g, del).result, 0);
	assert_int_equal(stats.lanes, 0);
	add_lane(&g, ENTRIES, ENTRIES);
	assert_false(lane_of(&g)->stalled);
	go_on();
}

static void test_lane_parked(void **state)
{
	(void)state;
	begin_stuck();
	__atomic_store_n(&lane_of(&g)->sq.shared->p.producer, ENTRIES * 3,
			 __ATOMIC_RELEASE);
	conn_kick(g.conn);
	turn();
	assert_true(lane_of(&g)->parked);
	go_on();
}

static void test_guest_parked(void **state)
{
	(void)state;
	begin_stuck();
	conn_park(g.conn, VTOE_VIOLATION_FLOOD);
	go_on();
}

static void test_guest_leaves(void **state)
{
	(void)state;
	begin_stuck();
	leave(&g);
	assert_int_equal(stats.peers, 0);
	go_on();
}

/* What is named by what waits is looked at again. */
static void test_memory_gone(void **state)
{
	struct vtoe_ctl_request del = { .op = VTOE_CTL_REGION_DEL };
	uint32_t n;

	(void)state;
	n = begin_stuck();
	del.u.key = g.key;
	assert_int_equal(ctl(&g, del).result, 0);
	device_is(FAST);
	complete(&g, n, SEGMENTS, -ENOKEY);
	assert_int_equal(stats.tto_lost, 0);
	rig_end();
}

/* The guest has changed its mind: the entry is another one. The claim's was the
 * first of the queue. */
static void test_rewritten(void **state)
{
	const struct vtoe_sqe nop = { .op = VTOE_OP_NOP, .user_data = 7 };
	struct vtoe_cqe c;
	uint32_t n;

	(void)state;
	n = begin_stuck();
	memcpy(lane_of(&g)->sq.entries + (1 + n) * VTOE_RING_ENTRY, &nop,
	       sizeof(nop));
	c = wait_cqe(&g);
	assert_int_equal(c.user_data, 7);
	assert_int_equal(c.result, 0);
	assert_int_equal(taken(&g), 0);
	assert_true(lane_of(&g)->stalled);
	device_is(FAST);
	complete(&g, n + 1, SEGMENTS, PAYLOAD);
	rig_end();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waits),
		cmocka_unit_test(test_woken),
		cmocka_unit_test(test_one_by_one),
		cmocka_unit_test(test_full_cq),
		cmocka_unit_test(test_sleeps),
		cmocka_unit_test(test_fair),
		cmocka_unit_test(test_theirs),
		cmocka_unit_test(test_no_frame),
		cmocka_unit_test(test_stuck),
		cmocka_unit_test(test_beside),
		cmocka_unit_test(test_lane_removed),
		cmocka_unit_test(test_lane_parked),
		cmocka_unit_test(test_guest_parked),
		cmocka_unit_test(test_guest_leaves),
		cmocka_unit_test(test_memory_gone),
		cmocka_unit_test(test_rewritten),
	};

	return RIG_RUN(tests);
}
