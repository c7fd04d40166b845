/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stack_loss - bytes over a wire that loses packets, and what a TCP of our own
 * makes of it
 *
 * Sends complete when their bytes are queued; the ring grows, wraps and empties;
 * every byte arrives once and in order, both ways at once, with one packet in
 * fifty lost each way. Closing behind sends that wait loses nothing. A wire
 * that was cut is used at once when it is back.
 */
#include "path_guest.h"

#include <time.h>

#include "stack/own.h"
#include "stack_tun.h"

extern struct tun stack_tun;
extern struct own own;

enum { TOTAL = 3000000, CHUNK = 60000, AHEAD = 8 };

struct flow {
	uint64_t posted, sent, received, peer_sent, peer_received;
	unsigned sends, recvs;
};

static void post_send(struct guest *g, uint32_t id, struct flow *f)
{
	uint32_t slot = (uint32_t)(f->posted / CHUNK % AHEAD), i;
	uint64_t n = TOTAL - f->posted;
	struct vtoe_sqe *e;

	if (n > CHUNK)
		n = CHUNK;
	for (i = 0; i < n; i++)
		g->memory[ARENA + slot * CHUNK + i] = byte_at(f->posted + i);
	e = entry(g, VTOE_OP_SEND, id, 1);
	e->offset = (uint64_t)slot * CHUNK;
	e->length = (uint32_t)n;
	f->posted += n;
	f->sends++;
}

static void post_recv(struct guest *g, uint32_t id, struct flow *f)
{
	struct vtoe_sqe *e = entry(g, VTOE_OP_RECV, id, 2);

	e->offset = 1 << 20;
	e->length = 1 + (uint32_t)rand() % CHUNK;
	f->recvs++;
}

static void took(struct guest *g, struct flow *f, const struct vtoe_cqe *c)
{
	const uint8_t *at = g->memory + ARENA + c->offset;
	int32_t i;

	assert_true(c->result > 0);
	if (c->user_data == 1) {
		f->sends--;
		f->sent += (uint32_t)c->result;
		return;
	}
	f->recvs--;
	for (i = 0; i < c->result; i++)
		assert_int_equal(at[i], byte_at(f->received++));
}

/* The peer's half, as much as there is. */
static void peer_goes_on(int peer, struct flow *f)
{
	static uint8_t chunk[CHUNK];
	uint64_t left = TOTAL - f->peer_sent;
	ssize_t n, i;

	n = recv(peer, chunk, sizeof(chunk), MSG_DONTWAIT);
	for (i = 0; i < n; i++)
		assert_int_equal(chunk[i], byte_at(f->peer_received++));
	if (!left)
		return;
	n = (ssize_t)(left < 10000 ? left : 10000);
	for (i = 0; i < n; i++)
		chunk[i] = byte_at(f->peer_sent + (uint64_t)i);
	n = send(peer, chunk, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
	f->peer_sent += n > 0 ? (uint64_t)n : 0;
}

static void test_both_ways(void **state)
{
	struct flow f = { .sends = 0 };
	uint32_t id, idle = 0;
	struct vtoe_cqe c;
	struct guest g;
	int peer;

	(void)state;
	start();
	join(&g);
	id = connected(&g, &peer);
	stack_tun.loss = 200;
	while (f.sent < TOTAL || f.received < TOTAL ||
	       f.peer_received < TOTAL) {
		while (f.sends < AHEAD && f.posted < TOTAL)
			post_send(&g, id, &f);
		if (!f.recvs && f.received < TOTAL)
			post_recv(&g, id, &f);
		submit(&g);
		peer_goes_on(peer, &f);
		while (try_wait(&g, &c, 1)) {
			took(&g, &f, &c);
			idle = 0;
		}
		if (idle++ > 100)
			usleep(1000);
		assert_true(idle < 20000);
	}
	assert_true(stack_tun.lost > 20);
	stack_tun.loss = 0;
	close_stream(&g, id, peer);
	leave(&g);
	stop();
}

/* Much is submitted, then the stream is closed and the program gone: all of it
 * arrives, and then the end. */
static void test_close_behind(void **state)
{
	enum { EACH = 1 << 20, SENDS = 4 };
	static uint8_t got[EACH];
	uint64_t seen = 0;
	struct vtoe_sqe *e;
	struct guest g;
	ssize_t n, i;
	uint32_t id;
	int peer, k;

	(void)state;
	start();
	join(&g);
	id = connected(&g, &peer);
	stack_tun.loss = 100;
	for (i = 0; i < EACH; i++)
		g.memory[ARENA + i] = byte_at((uint64_t)i);
	for (k = 0; k < SENDS; k++) {
		e = entry(&g, VTOE_OP_SEND, id, 1);
		e->length = EACH;
	}
	entry(&g, VTOE_OP_CLOSE, id, 2);
	submit(&g);
	conn_leave(g.conn);
	for (k = 0; k < 200000; k++) {
		n = recv(peer, got, sizeof(got), MSG_DONTWAIT);
		if (!n)
			break;
		for (i = 0; i < n; i++)
			assert_int_equal(got[i], byte_at(seen++ % EACH));
		turn();
		if (n < 0)
			usleep(500);
	}
	assert_int_equal(seen, (uint64_t)SENDS * EACH);
	stack_tun.loss = 0;
	close(peer);
	stop();
}

/* Where nobody listens. -> the stream */
static uint32_t connect_fails(struct guest *g, int error)
{
	struct vtoe_sqe *e;
	struct vtoe_cqe c;

	entry(g, VTOE_OP_OPEN, 0, 1)->u.address.family = VTOE_AF_INET;
	e = entry(g, VTOE_OP_CONNECT, VTOE_STREAM_LAST, 2);
	e->u.address.family = VTOE_AF_INET;
	e->u.address.port = 9;
	memcpy(e->u.address.ip, "\x0a\x4d\0\1", 4);
	submit(g);
	assert_int_equal(wait_cqe(g).result, 0);
	c = wait_cqe(g);
	assert_int_equal(c.result, error);
	return c.stream;
}

/* Nobody listens there; and a peer that resets. */
static void test_refused_and_reset(void **state)
{
	const struct linger reset = { .l_onoff = 1 };
	struct guest g;
	uint32_t id;
	int peer;

	(void)state;
	start();
	join(&g);
	id = connect_fails(&g, -ECONNREFUSED);
	entry(&g, VTOE_OP_CLOSE, id, 3);
	submit(&g);
	assert_int_equal(wait_cqe(&g).result, 0);
	id = connected(&g, &peer);
	entry(&g, VTOE_OP_RECV, id, 4)->length = 10;
	entry(&g, VTOE_OP_POLL, id, 5)->op_flags = POLLIN;
	submit(&g);
	setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(peer);
	assert_int_equal(wait_cqe(&g).result, -ECONNRESET);
	assert_true(wait_cqe(&g).result & POLLHUP);
	entry(&g, VTOE_OP_RECV, id, 6)->length = 10;
	entry(&g, VTOE_OP_SEND, id, 7)->length = 10;
	submit(&g);
	assert_int_equal(wait_cqe(&g).result, 0);
	assert_int_equal(wait_cqe(&g).result, -EPIPE);
	close_stream(&g, id, -1);
	leave(&g);
	stop();
}

/* No way to the peer ends a CONNECT, not a connection. */
static void test_unreachable(void **state)
{
	struct guest g;
	uint8_t got[10];
	uint32_t id;
	int peer, i;

	(void)state;
	start();
	join(&g);
	stack_tun.no_way = true;
	id = connect_fails(&g, -EHOSTUNREACH);
	close_stream(&g, id, -1);
	stack_tun.no_way = false;
	id = connected(&g, &peer);
	stack_tun.no_way = true;
	entry(&g, VTOE_OP_SEND, id, 3)->length = sizeof(got);
	submit(&g);
	assert_int_equal(wait_cqe(&g).result, sizeof(got));
	for (i = 0; i < 10; i++)
		turn();
	stack_tun.no_way = false;
	wait_until(recv(peer, got, sizeof(got), MSG_DONTWAIT | MSG_PEEK) ==
		   sizeof(got));
	(void)!recv(peer, got, sizeof(got), 0);
	close_stream(&g, id, peer);
	leave(&g);
	stop();
}

/* The wire was cut, for so long that TCP would wait for seconds more. */
static void test_wire_back(void **state)
{
	uint8_t got[10];
	struct guest g;
	uint32_t id;
	int peer, i;

	(void)state;
	start();
	join(&g);
	id = connected(&g, &peer);
	stack_tun.loss = 10000;
	entry(&g, VTOE_OP_SEND, id, 3)->length = sizeof(got);
	submit(&g);
	assert_int_equal(wait_cqe(&g).result, sizeof(got));
	for (i = 0; i < 6; i++)
		pass(200u << i);
	stack_tun.loss = 0;
	for (i = 0; i < 10; i++)
		turn();
	assert_int_equal(recv(peer, got, sizeof(got), MSG_DONTWAIT), -1);
	while (own.claims[stack_tun.back_claim].state != OWN_CLAIM_READY)
		stack_tun.back_claim++;
	stack_tun.back = true;
	turn();
	assert_int_equal(receive_peer(peer, got, sizeof(got)), sizeof(got));
	close_stream(&g, id, peer);
	leave(&g);
	stop();
}

/* A claim that is given while its stream goes, in every order. */
static void test_closed_meanwhile(void **state)
{
	struct vtoe_sqe *e;
	struct guest g;
	int k;

	(void)state;
	start();
	join(&g);
	for (k = 0; k < 3; k++) {
		entry(&g, VTOE_OP_OPEN, 0, 1)->u.address.family = VTOE_AF_INET;
		e = entry(&g, k ? VTOE_OP_BIND : VTOE_OP_CONNECT,
			  VTOE_STREAM_LAST, 2);
		e->u.address.family = VTOE_AF_INET;
		if (!k) {
			e->u.address.port = 9;
			memcpy(e->u.address.ip, "\x0a\x4d\0\1", 4);
		}
		if (k == 2)
			entry(&g, VTOE_OP_LISTEN, VTOE_STREAM_LAST, 3);
		entry(&g, VTOE_OP_CLOSE, VTOE_STREAM_LAST, 4);
		submit(&g);
		while (wait_cqe(&g).user_data != 4)
			;
		turn();
		take_all(&g);
		assert_int_equal(stats.streams, 0);
	}
	leave(&g);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_close_behind),
		cmocka_unit_test(test_refused_and_reset),
		cmocka_unit_test(test_unreachable),
		cmocka_unit_test(test_wire_back),
		cmocka_unit_test(test_closed_meanwhile),
	};

	return PATH_RUN(tests);
}
