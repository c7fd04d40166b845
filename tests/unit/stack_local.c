/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stack_local - connections from a stack to itself
 *
 * Both ends are streams of one guest, and no frame goes to the wire: much goes
 * through in order; the ends come as over a wire; where nobody listens it is
 * refused; and a stream may even be its own peer. What TIME-WAIT does to a port.
 */
#include "path_guest.h"

#include "stack/own.h"

extern struct own own;

enum { TOTAL = 2000000, CHUNK = 60000, INTO = 1 << 20 };

static void to_own(struct vtoe_sqe *e, uint16_t port)
{
	e->u.address.family = VTOE_AF_INET;
	e->u.address.port = port;
	memcpy(e->u.address.ip, "\x0a\x4d\0\2", 4);
}

/* CONNECT's answer, with its stream. */
static struct vtoe_cqe call(struct guest *g, uint16_t port)
{
	entry(g, VTOE_OP_OPEN, 0, 1)->u.address.family = VTOE_AF_INET;
	to_own(entry(g, VTOE_OP_CONNECT, VTOE_STREAM_LAST, 2), port);
	submit(g);
	assert_int_equal(wait_cqe(g).result, 0);
	return wait_cqe(g);
}

static uint32_t accepted(struct guest *g, uint32_t listener)
{
	struct vtoe_cqe c;

	entry(g, VTOE_OP_ACCEPT, listener, 3);
	submit(g);
	c = wait_cqe(g);
	assert_int_equal(c.user_data, 3);
	assert_int_equal(c.result, 0);
	return c.stream;
}

static void close_one(struct guest *g, uint32_t id)
{
	entry(g, VTOE_OP_CLOSE, id, 9);
	submit(g);
	assert_int_equal(wait_cqe(g).user_data, 9);
}

/* -> the bytes that one RECV got */
static int32_t receive(struct guest *g, uint32_t id, uint64_t at)
{
	struct vtoe_sqe *e = entry(g, VTOE_OP_RECV, id, 5);
	struct vtoe_cqe c;
	int32_t i;

	e->offset = INTO;
	e->length = CHUNK;
	submit(g);
	do /* SENDs end meanwhile */
		c = wait_cqe(g);
	while (c.user_data != 5);
	for (i = 0; i < c.result; i++)
		assert_int_equal(g->memory[ARENA + INTO + i],
				 byte_at(at + (uint64_t)i));
	return c.result;
}

static void much(struct guest *g, uint32_t from, uint32_t to)
{
	uint64_t posted = 0, got = 0;
	struct vtoe_sqe *e;
	int32_t n;
	uint32_t i;

	while (got < TOTAL) {
		if (posted == got) {
			for (i = 0; i < CHUNK; i++)
				g->memory[ARENA + i] = byte_at(posted + i);
			e = entry(g, VTOE_OP_SEND, from, 4);
			e->length = CHUNK;
			posted += CHUNK;
		}
		n = receive(g, to, got);
		assert_true(n > 0);
		got += (uint32_t)n;
	}
	while (got < posted)
		got += (uint32_t)receive(g, to, got);
	assert_int_equal(got, posted);
}

static void test_both_ends(void **state)
{
	uint32_t listener, near, far;
	struct vtoe_cqe c;
	struct guest g;
	uint16_t port;

	(void)state;
	start();
	join(&g);
	listener = listening(&g, &port);
	c = call(&g, port);
	assert_int_equal(c.result, 0);
	assert_memory_equal(c.u.address.ip, "\x0a\x4d\0\2", 4);
	assert_int_not_equal(c.u.address.port, port);
	near = c.stream;
	far = accepted(&g, listener);
	much(&g, near, far);
	much(&g, far, near);
	close_one(&g, near);
	assert_int_equal(receive(&g, far, 0), 0);
	close_one(&g, far);
	close_one(&g, listener);
	take_all(&g);
	leave(&g);
	stop();
}

static void test_refused(void **state)
{
	struct vtoe_cqe c;
	struct guest g;

	(void)state;
	start();
	join(&g);
	c = call(&g, 9);
	assert_int_equal(c.result, -ECONNREFUSED);
	close_one(&g, c.stream);
	leave(&g);
	stop();
}

/* Its own peer, as Linux allows: what it sends comes back. */
static void test_itself(void **state)
{
	struct vtoe_cqe c;
	struct guest g;
	uint32_t id;

	(void)state;
	start();
	join(&g);
	entry(&g, VTOE_OP_OPEN, 0, 1)->u.address.family = VTOE_AF_INET;
	to_own(entry(&g, VTOE_OP_BIND, VTOE_STREAM_LAST, 2), 0);
	submit(&g);
	assert_int_equal(wait_cqe(&g).result, 0);
	c = wait_cqe(&g);
	assert_int_equal(c.result, 0);
	id = c.stream;
	to_own(entry(&g, VTOE_OP_CONNECT, id, 2), c.u.address.port);
	submit(&g);
	assert_int_equal(wait_cqe(&g).result, 0);
	much(&g, id, id);
	close_one(&g, id);
	take_all(&g);
	leave(&g);
	stop();
}

/* Several at once, left with bytes that nobody reads. */
static void test_many(void **state)
{
	enum { EACH = 6 };
	uint32_t listener, near[EACH], far[EACH];
	struct guest g;
	uint16_t port;
	unsigned i;

	(void)state;
	start();
	join(&g);
	listener = listening(&g, &port);
	for (i = 0; i < EACH; i++) {
		near[i] = call(&g, port).stream;
		far[i] = accepted(&g, listener);
		assert_true(own.local_count <= OWN_LOCAL_MAX + 16);
	}
	/* both ends at once */
	for (i = 0; i < EACH; i++) {
		entry(&g, VTOE_OP_SEND, near[i], 4)->length = CHUNK;
		entry(&g, VTOE_OP_CLOSE, far[i], 9);
		entry(&g, VTOE_OP_CLOSE, near[i], 9);
	}
	submit(&g);
	for (i = 0; i < 3 * EACH; i++)
		wait_cqe(&g);
	close_one(&g, listener);
	leave(&g);
	stop();
}

/* BIND's answer. */
static int32_t try_bind(struct guest *g, uint16_t port, int reuse, bool keep)
{
	struct vtoe_cqe c;
	uint32_t id;
	int32_t rc;

	entry(g, VTOE_OP_OPEN, 0, 1)->u.address.family = VTOE_AF_INET;
	submit(g);
	id = wait_cqe(g).stream;
	set_option(g, id, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
	to_own(entry(g, VTOE_OP_BIND, id, 2), port);
	submit(g);
	c = wait_cqe(g);
	rc = c.result;
	if (keep && !rc) {
		entry(g, VTOE_OP_LISTEN, id, 3)->length = 4;
		submit(g);
		assert_int_equal(wait_cqe(g).result, 0);
		return (int32_t)id;
	}
	close_one(g, id);
	return rc;
}

/* A server's port, when its connection is in TIME-WAIT: both ends must allow
 * that it is shared. */
static void test_time_wait(void **state)
{
	uint32_t listener, near, far;
	struct guest g;
	int reuse;

	(void)state;
	start();
	join(&g);
	for (reuse = 0; reuse < 2; reuse++) {
		uint16_t port = (uint16_t)(5000 + reuse);

		listener = (uint32_t)try_bind(&g, port, reuse, true);
		near = call(&g, port).stream;
		far = accepted(&g, listener);
		close_one(&g, listener);
		close_one(&g, far); /* first: it waits */
		assert_int_equal(receive(&g, near, 0), 0);
		close_one(&g, near);
		wait_until(!own.conn_count);
		assert_int_equal(try_bind(&g, port, 0, false), -EADDRINUSE);
		assert_int_equal(try_bind(&g, port, 1, false),
				 reuse ? 0 : -EADDRINUSE);
		usleep(150000); /* the world's TIME-WAIT is 100 ms */
		turn();
		assert_int_equal(try_bind(&g, port, 0, false), 0);
	}
	leave(&g);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ends),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_itself),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_time_wait),
	};

	return PATH_RUN(tests);
}
