/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * path_toe - the TOE service on the `mem` port, over real loopback sockets
 *
 * Shows: errors of entries, order, cancel, share and adopt, drain after the
 * guest is gone. path_recv has more of receiving, path_control of the control
 * ring and of the ends of things, path_limits of hostile guests.
 */
#include "path_guest.h"

#include <fcntl.h>
#include <pthread.h>
#include <time.h>

static void test_direct(void **state)
{
	struct vtoe_sqe *e;
	struct vtoe_cqe c;
	struct guest g;
	uint8_t got[64];
	uint32_t id;
	int peer;

	(void)state;
	start();
	join(&g);
	id = connected(&g, &peer);
	e = entry(&g, VTOE_OP_RECV, id, 7);
	e->offset = 100;
	e->length = 1000;
	submit(&g);
	assert_false(try_wait(&g, &c, 2));
	send_peer(peer, "hello", 5);
	c = wait_cqe(&g);
	assert_int_equal(c.user_data, 7);
	assert_int_equal(c.result, 5);
	assert_int_equal(c.offset, 100);
	assert_memory_equal(g.memory + ARENA + 100, "hello", 5);
	assert_int_equal(stats.rx_placed_bytes, 5);
	assert_int_equal(stats.rx_copied_bytes, 0);
	memcpy(g.memory + ARENA, "abcdefghij", 10);
	e = entry(&g, VTOE_OP_SEND, id, 8);
	e->length = 4;
	e = entry(&g, VTOE_OP_SEND, id, 9);
	e->offset = 4;
	e->length = 6;
	entry(&g, VTOE_OP_SHUTDOWN, id, 10)->length = SHUT_WR;
	submit(&g);
	assert_int_equal(wait_cqe(&g).result, 4);
	assert_int_equal(wait_cqe(&g).result, 6);
	c = wait_cqe(&g);
	assert_int_equal(c.user_data, 10);
	assert_int_equal(recv(peer, got, 10, MSG_WAITALL), 10);
	assert_memory_equal(got, "abcdefghij", 10);
	assert_int_equal(recv(peer, got, 1, 0), 0);
	shutdown(peer, SHUT_WR);
	e = entry(&g, VTOE_OP_RECV, id, 11);
	e->length = 10;
	submit(&g);
	assert_int_equal(wait_cqe(&g).result, 0);
	close_stream(&g, id, peer);
	leave(&g);
	stop();
}

static void test_entry_errors(void **state)
{
	struct guest g, other;
	const uint32_t W = VTOE_REGION_WRITE, R = VTOE_REGION_READ;
	uint64_t only_read, only_write;
	uint32_t id, n;
	int peer, i;

	(void)state;
	start();
	join(&g);
	join(&other);
	id = connected(&g, &peer);
	only_read = region(&g, ARENA, 4096, R);
	only_write = region(&g, ARENA, 4096, W);
	const struct {
		struct vtoe_sqe e;
		int rc;
	} bad[] = {
		{ { .op = 99 }, -EINVAL },
		{ { .op = 255 }, -EINVAL },
		{ { .op = VTOE_OP_CLAIM }, -EOPNOTSUPP },
		{ { .op = VTOE_OP_FLUSH }, -EOPNOTSUPP },
		{ { .op = VTOE_OP_NOP, .flags = 0x80 }, -EINVAL },
		{ { .op = VTOE_OP_NOP, .reserved = 1 }, -EINVAL },
		{ { .op = VTOE_OP_NOP, .op_flags = 1 }, -EINVAL },
		{ { .op = VTOE_OP_OPEN }, -EAFNOSUPPORT },
		{ { .op = VTOE_OP_RECV, .stream = id, .key = 1, .length = 1 },
		  -ENOKEY },
		{ { .op = VTOE_OP_RECV, .stream = id, .key = only_read,
		    .length = 1 }, -EACCES },
		{ { .op = VTOE_OP_SEND, .stream = id, .key = only_write,
		    .length = 1 }, -EACCES },
		{ { .op = VTOE_OP_RECV, .stream = id, .key = other.key,
		    .length = 1 }, -ENOKEY },
		{ { .op = VTOE_OP_RECV, .stream = id, .key = g.key,
		    .offset = BYTES - ARENA, .length = 1 }, -ERANGE },
		{ { .op = VTOE_OP_RECV, .stream = id, .key = g.key,
		    .offset = UINT64_MAX, .length = UINT32_MAX }, -ERANGE },
		{ { .op = VTOE_OP_SEND, .stream = id, .key = g.key,
		    .length = UINT32_MAX }, -ERANGE },
		{ { .op = VTOE_OP_RECV, .stream = id, .key = g.key }, 0 },
		{ { .op = VTOE_OP_RECV, .stream = id, .key = g.key,
		    .length = 1u << 31 }, -ERANGE },
		{ { .op = VTOE_OP_ACCEPT, .stream = id,
		    .op_flags = VTOE_IO_NONBLOCK | VTOE_IO_MULTI }, -EINVAL },
		{ { .op = VTOE_OP_RECV, .stream = id, .key = g.key,
		    .length = 1, .op_flags = 1u << 31 }, -EINVAL },
		{ { .op = VTOE_OP_SEND, .stream = id, .key = g.key,
		    .length = 1, .op_flags = VTOE_IO_OOB }, -EOPNOTSUPP },
		{ { .op = VTOE_OP_RECV, .stream = id + 1, .key = g.key,
		    .length = 1 }, -EBADF },
		{ { .op = VTOE_OP_RECV, .stream = UINT32_MAX - 1, .key = g.key,
		    .length = 1 }, -EBADF },
		{ { .op = VTOE_OP_SHUTDOWN, .stream = id, .length = 3 },
		  -EINVAL },
		{ { .op = VTOE_OP_GETNAME, .stream = id, .length = 2 },
		  -EINVAL },
		{ { .op = VTOE_OP_GRQ_ADD, .key = g.key, .length = 10,
		    .op_flags = 3 }, -EINVAL },
		{ { .op = VTOE_OP_GRQ_ADD, .key = g.key, .length = 0,
		    .op_flags = 1 }, -EINVAL },
		{ { .op = VTOE_OP_GRQ_ADD, .key = g.key, .length = 1 << 20,
		    .op_flags = 1 << 20 }, -EINVAL },
		{ { .op = VTOE_OP_ADOPT }, -ENOENT },
		{ { .op = VTOE_OP_REPORT, .op_flags = 99 }, -EINVAL },
		{ { .op = VTOE_OP_SETOPT, .stream = id,
		    .u.option = { SOL_SOCKET, SO_BINDTODEVICE, 4, { 0 } } },
		  -ENOPROTOOPT },
		{ { .op = VTOE_OP_SETOPT, .stream = id,
		    .u.option = { SOL_SOCKET, SO_RCVBUF, 400, { 0 } } },
		  -EINVAL },
		{ { .op = VTOE_OP_POLL, .stream = id, .op_flags = 1u << 30 },
		  -EINVAL },
	};
	for (n = 0; n < sizeof(bad) / sizeof(*bad); n++) {
		struct vtoe_sqe *e = entry(&g, 0, 0, 0);
		struct vtoe_cqe c;

		*e = bad[n].e;
		e->user_data = 1000 + n;
		submit(&g);
		c = wait_cqe(&g);
		assert_int_equal(c.user_data, 1000 + n);
		if (c.result != bad[n].rc)
			print_message("case %u\n", n);
		assert_int_equal(c.result, bad[n].rc);
	}
	/* somebody else's stream */
	entry(&other, VTOE_OP_CLOSE, id, 5);
	submit(&other);
	assert_int_equal(wait_cqe(&other).result, -EACCES);
	/* the stream is none the worse for it */
	send_peer(peer, "x", 1);
	entry(&g, VTOE_OP_RECV, id, 3)->length = 1;
	submit(&g);
	assert_int_equal(wait_cqe(&g).result, 1);
	for (i = 0; i < 3; i++) /* and the quota of requests holds */
		assert_int_equal(stats.parked, 0);
	close_stream(&g, id, peer);
	leave(&g);
	leave(&other);
	stop();
}

/* A byte that is sent quietly, 2, in front of the receive of its answer, 1. */
static void enter_exchange(struct guest *g, uint32_t id)
{
	struct vtoe_sqe *q;

	q = entry(g, VTOE_OP_RECV, id, 1);
	q->key = g->key;
	q->length = 1;
	q = entry(g, VTOE_OP_SEND, id, 2);
	q->flags = VTOE_SQE_QUIET;
	q->key = g->key;
	q->length = 1;
}

/* I2, I4: a completion that is quiet comes, and is no reason to notify; an error
 * is one, and so is what follows. */
static void test_quiet(void **state)
{
	struct vtoe_sqe *q;
	struct guest g;
	uint64_t notified;
	uint32_t id;
	int peer, i;

	(void)state;
	start();
	join(&g);
	id = connected(&g, &peer);
	for (i = 0; i < 3; i++)
		turn(); /* the guest sleeps, and what went before is over */
	assert_false(vtoe_ring_arm(&g.cq));
	notified = stats.notify;
	enter_exchange(&g, id);
	submit(&g);
	wait_until(vtoe_ring_peek(&g.cq));
	for (i = 0; i < 3; i++)
		turn();
	assert_int_equal(stats.notify, notified);
	send_peer(peer, "x", 1);
	wait_until(stats.notify == notified + 1);
	assert_int_equal(wait_cqe(&g).user_data, 2);
	assert_int_equal(wait_cqe(&g).user_data, 1);
	assert_false(vtoe_ring_arm(&g.cq));
	q = entry(&g, VTOE_OP_SEND, id, 3);
	q->flags = VTOE_SQE_QUIET;
	q->key = 1;
	q->length = 1;
	submit(&g);
	wait_until(stats.notify == notified + 2);
	assert_int_equal(wait_cqe(&g).result, -ENOKEY);
	/* Who did not accept the feature does not have it. */
	g.conn->features &= ~VTOE_F_QUIET;
	entry(&g, VTOE_OP_NOP, 0, 4)->flags = VTOE_SQE_QUIET;
	submit(&g);
	assert_int_equal(wait_cqe(&g).result, -EINVAL);
	g.conn->features |= VTOE_F_QUIET;
	close_stream(&g, id, peer);
	/* A CQ full of quiet ones is a reason: something waits behind them. */
	add_lane(&g, 16, 8);
	entry(&g, VTOE_OP_NOP, 0, 9); /* the first one's room is told of */
	submit(&g);
	assert_int_equal(wait_cqe(&g).user_data, 9);
	assert_false(vtoe_ring_arm(&g.cq));
	notified = stats.notify;
	for (i = 0; i < 8; i++)
		entry(&g, VTOE_OP_NOP, 0, 10)->flags = VTOE_SQE_QUIET;
	submit(&g);
	for (i = 0; i < 5; i++)
		turn();
	assert_int_equal(stats.notify, notified);
	entry(&g, VTOE_OP_NOP, 0, 11);
	submit(&g);
	wait_until(stats.notify == notified + 1);
	for (i = 0; i < 8; i++)
		assert_int_equal(wait_cqe(&g).user_data, 10);
	assert_int_equal(wait_cqe(&g).user_data, 11);
	leave(&g);
	stop();
}

static long ms_between(const struct timespec *a, const struct timespec *b)
{
	return (b->tv_sec - a->tv_sec) * 1000 +
	       (b->tv_nsec - a->tv_nsec) / 1000000;
}

static void *answer_later(void *peer)
{
	usleep(100000);
	send_peer(*(int *)peer, "x", 1);
	return NULL;
}

/* The turn that sends a quiet one sleeps until there is more: it does not come
 * back for its completion, which is there with the next one. */
static void test_quiet_sleep(void **state)
{
	struct guest g;
	struct timespec before, after;
	pthread_t thread;
	uint32_t id;
	uint8_t byte;
	int peer, i;
	bool busy;

	(void)state;
	start();
	join(&g);
	id = connected(&g, &peer);
	for (i = 0; i < 3; i++)
		turn();
	enter_exchange(&g, id);
	vtoe_ring_submit(&g.sq);
	conn_kick(g.conn);
	assert_int_equal(pthread_create(&thread, NULL, answer_later, &peer), 0);
	clock_gettime(CLOCK_MONOTONIC, &before);
	do {
		device_turn(&device, 1000, true, &busy);
		clock_gettime(CLOCK_MONOTONIC, &after);
	} while (!vtoe_ring_peek(&g.cq));
	pthread_join(thread, NULL);
	assert_true(ms_between(&before, &after) >= 50);
	assert_int_equal(receive_peer(peer, &byte, 1), 1);
	assert_int_equal(wait_cqe(&g).user_data + wait_cqe(&g).user_data, 3);
	close_stream(&g, id, peer);
	leave(&g);
	stop();
}

/* What comes behind a quiet send in the same turn is not held up by its sleep. */
static void test_quiet_then(void **state)
{
	static const enum vtoe_op then[] = { VTOE_OP_SHUTDOWN, VTOE_OP_CLOSE };
	struct vtoe_sqe *q;
	struct guest g;
	struct timespec before, after;
	uint8_t got[4];
	uint32_t id;
	int peer, i;
	bool busy;

	(void)state;
	start();
	join(&g);
	for (i = 0; i < 2; i++) {
		id = connected(&g, &peer);
		q = entry(&g, VTOE_OP_SEND, id, 1);
		q->flags = VTOE_SQE_QUIET;
		q->key = g.key;
		q->length = 1;
		q = entry(&g, then[i], id, 2);
		q->flags = VTOE_SQE_QUIET;
		q->length = then[i] == VTOE_OP_SHUTDOWN ? SHUT_WR : 0;
		vtoe_ring_submit(&g.sq);
		conn_kick(g.conn);
		device_set_timer(&device); /* ends a sleep for ever, late */
		clock_gettime(CLOCK_MONOTONIC, &before);
		device_turn(&device, 1000, true, &busy);
		clock_gettime(CLOCK_MONOTONIC, &after);
		assert_true(ms_between(&before, &after) < 400);
		turn();
		assert_int_equal(recv(peer, got, 1, MSG_WAITALL), 1);
		assert_int_equal(recv(peer, got, 1, MSG_DONTWAIT), 0);
		assert_int_equal(wait_cqe(&g).result +
					 wait_cqe(&g).result, 1);
		if (then[i] == VTOE_OP_SHUTDOWN)
			close_stream(&g, id, peer);
		else
			close(peer);
	}
	leave(&g);
	stop();
}

/* Quiet sends that find the socket full: each byte comes, in order, and each
 * completion, and the memory is not given back before. */
static void test_quiet_full(void **state)
{
	enum { BYTES_EACH = 8000, COUNT = 200 };
	static uint8_t got[BYTES_EACH];
	uint64_t from = 0, to = 0;
	struct vtoe_cqe c;
	struct guest g;
	unsigned sent = 0, done = 0, i;
	size_t n;
	uint32_t id;
	int peer, small = 4096;

	(void)state;
	start();
	join(&g);
	id = connected(&g, &peer);
	set_option(&g, id, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	while (to < (uint64_t)BYTES_EACH * COUNT) {
		/* two of them under way, in one place each */
		while (sent < COUNT && sent - done < 2) {
			uint64_t at = (uint64_t)(sent & 1) * BYTES_EACH;
			struct vtoe_sqe *q = entry(&g, VTOE_OP_SEND, id, sent);

			for (i = 0; i < BYTES_EACH; i++)
				g.memory[ARENA + at + i] = byte_at(from++);
			q->flags = VTOE_SQE_QUIET;
			q->key = g.key;
			q->offset = at;
			q->length = BYTES_EACH;
			sent++;
			submit(&g);
		}
		turn();
		while (try_wait(&g, &c, 1)) {
			assert_int_equal(c.user_data, done++);
			assert_int_equal(c.result, BYTES_EACH);
		}
		n = receive_peer(peer, got, sizeof(got));
		for (i = 0; i < n; i++)
			assert_int_equal(got[i], byte_at(to++));
	}
	while (done < COUNT) {
		assert_int_equal(wait_cqe(&g).user_data, done);
		done++;
	}
	close_stream(&g, id, peer);
	leave(&g);
	stop();
}

static void test_cancel(void **state)
{
	struct vtoe_cqe c;
	struct guest g;
	uint32_t id;
	int peer, i, canceled = 0;

	(void)state;
	start();
	join(&g);
	id = connected(&g, &peer);
	for (i = 0; i < 3; i++)
		entry(&g, VTOE_OP_RECV, id, 70 + i)->length = 100;
	entry(&g, VTOE_OP_POLL, id, 73)->op_flags = POLLIN;
	submit(&g);
	entry(&g, VTOE_OP_CANCEL, id, 80)->u.target = 71;
	entry(&g, VTOE_OP_CANCEL, 0, 81)->u.target = 70;
	entry(&g, VTOE_OP_CANCEL, 0, 82)->u.target = 73;
	entry(&g, VTOE_OP_CANCEL, 0, 83)->u.target = 12345;
	submit(&g);
	for (i = 0; i < 7; i++) {
		c = wait_cqe(&g);
		if (c.user_data < 80) {
			assert_int_not_equal(c.user_data, 72);
			assert_int_equal(c.result, -ECANCELED);
			canceled++;
		} else {
			assert_int_equal(c.result, c.user_data < 83);
		}
	}
	assert_int_equal(canceled, 3);
	send_peer(peer, "yes", 3);
	c = wait_cqe(&g);
	assert_int_equal(c.user_data, 72);
	assert_int_equal(c.result, 3);
	/* CLOSE ends what waits */
	entry(&g, VTOE_OP_RECV, id, 74)->length = 10;
	submit(&g);
	entry(&g, VTOE_OP_CLOSE, id, 75);
	submit(&g);
	for (i = 0; i < 2; i++) {
		c = wait_cqe(&g);
		assert_int_equal(c.result, c.user_data == 74 ? -ECANCELED : 0);
	}
	assert_int_equal(recv(peer, &c, 1, 0), 0);
	close(peer);
	leave(&g);
	stop();
}

static void test_share(void **state)
{
	struct guest a, b;
	struct vtoe_sqe *e;
	struct vtoe_cqe c;
	uint8_t token[16];
	uint32_t id;
	int peer;

	(void)state;
	start();
	join(&a);
	join(&b);
	id = connected(&a, &peer);
	entry(&a, VTOE_OP_SHARE, id, 1);
	entry(&a, VTOE_OP_CLOSE, id, 2);
	submit(&a);
	c = wait_cqe(&a);
	assert_int_equal(c.result, 0);
	memcpy(token, c.u.token, 16);
	assert_int_equal(wait_cqe(&a).result, 0);
	/* held by the token alone, it lives */
	assert_int_equal(stats.streams, 1);
	e = entry(&b, VTOE_OP_ADOPT, 0, 3);
	memcpy(e->u.token, token, 16);
	entry(&b, VTOE_OP_RECV, id, 4)->length = 10;
	submit(&b);
	c = wait_cqe(&b);
	assert_int_equal(c.result, 0);
	assert_int_equal(c.stream, id);
	send_peer(peer, "moved", 5);
	assert_int_equal(wait_cqe(&b).result, 5);
	/* a token works once */
	e = entry(&b, VTOE_OP_ADOPT, 0, 5);
	memcpy(e->u.token, token, 16);
	submit(&b);
	assert_int_equal(wait_cqe(&b).result, -ENOENT);
	/* and one that nobody takes expires */
	entry(&b, VTOE_OP_SHARE, id, 6);
	submit(&b);
	assert_int_equal(wait_cqe(&b).result, 0);
	close_stream(&b, id, -1);
	assert_int_equal(stats.streams, 1);
	pass((VTOE_TOKEN_SECONDS + 1) * 1000);
	assert_int_equal(stats.streams, 0);
	assert_int_equal(recv(peer, token, 1, 0), 0);
	close(peer);
	leave(&a);
	leave(&b);
	stop();
}

/* What was submitted before the guest went is sent. */
static void test_drain(void **state)
{
	enum { BIG = 2 << 20 };
	uint8_t *got = malloc(BIG);
	struct vtoe_sqe *e;
	struct guest g;
	size_t n = 0, i;
	uint32_t id;
	int peer;

	(void)state;
	start();
	join(&g);
	id = connected(&g, &peer);
	for (i = 0; i < BIG; i++)
		g.memory[ARENA + i] = byte_at(i);
	for (i = 0; i < 8; i++) {
		e = entry(&g, VTOE_OP_SEND, id, i);
		e->offset = i * (BIG / 8);
		e->length = BIG / 8;
	}
	vtoe_ring_submit(&g.sq);
	conn_leave(g.conn); /* no turn in between: it is gone at once */
	fcntl(peer, F_SETFL, O_NONBLOCK);
	for (i = 0; n < BIG && i < 100000; i++) {
		ssize_t r;

		turn();
		r = recv(peer, got + n, BIG - n, 0);
		if (r > 0)
			n += (size_t)r;
		else if (r == 0)
			break;
	}
	assert_int_equal(n, BIG);
	for (i = 0; i < BIG; i++)
		assert_int_equal(got[i], byte_at(i));
	turn();
	close(peer);
	free(got);
	for (i = 0; i < 1000 && stats.peers; i++)
		turn();
	stop();
}

/* A RECV that is left behind takes nothing from who else holds the stream. */
static void test_leave_receive(void **state)
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
	share(&a, &b, id);
	send_peer(peer, "hello", 5);
	entry(&b, VTOE_OP_POLL, id, 1)->op_flags = POLLIN;
	submit(&b);
	assert_int_equal(wait_cqe(&b).result, POLLIN);
	entry(&a, VTOE_OP_RECV, id, 2)->length = 5;
	vtoe_ring_submit(&a.sq);
	conn_leave(a.conn);
	wait_until(stats.peers == 1);
	entry(&b, VTOE_OP_RECV, id, 3)->length = 5;
	submit(&b);
	c = wait_cqe(&b);
	assert_int_equal(c.user_data, 3);
	assert_int_equal(c.result, 5);
	assert_memory_equal(b.memory + ARENA, "hello", 5);
	close_stream(&b, id, peer);
	leave(&b);
	stop();
}

/* A connection that cannot be: what was submitted behind it has its answer. */
static void test_connect_batch_fails(void **state)
{
	struct vtoe_address to = { .family = VTOE_AF_INET6, .port = 80 };
	struct vtoe_cqe c;
	struct guest g;
	uint32_t id = 0;
	int i;

	(void)state;
	start();
	join(&g);
	to.ip[0] = 0x20;
	to.ip[1] = 0x01;
	to.ip[15] = 1;
	entry(&g, VTOE_OP_OPEN, 0, 1)->u.address.family = VTOE_AF_INET6;
	entry(&g, VTOE_OP_CONNECT, VTOE_STREAM_LAST, 2)->u.address = to;
	entry(&g, VTOE_OP_SEND, VTOE_STREAM_LAST, 3)->length = 5;
	entry(&g, VTOE_OP_RECV, VTOE_STREAM_LAST, 4)->length = 5;
	submit(&g);
	for (i = 0; i < 4; i++) {
		c = wait_cqe(&g);
		if (c.user_data == 1)
			id = c.stream;
		else
			assert_true(c.result < 0);
	}
	close_stream(&g, id, -1);
	leave(&g);
	stop();
}

/* Completions that find the CQ full wait, and none is lost. */
static void test_cq_full(void **state)
{
	struct vtoe_cqe c;
	unsigned i, n = 0;
	struct guest g;

	(void)state;
	start();
	join(&g);
	for (i = 0; i < 3 * ENTRIES; i++) {
		struct vtoe_sqe *e;

		while (!(e = vtoe_ring_reserve(&g.sq))) {
			submit(&g);
			if (try_wait(&g, &c, 1))
				assert_int_equal(c.user_data, n++);
		}
		memset(e, 0, sizeof(*e));
		e->user_data = i;
	}
	submit(&g);
	while (try_wait(&g, &c, 10))
		assert_int_equal(c.user_data, n++);
	assert_int_equal(n, 3 * ENTRIES);
	leave(&g);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_direct),
		cmocka_unit_test(test_entry_errors),
		cmocka_unit_test(test_quiet),
		cmocka_unit_test(test_quiet_sleep),
		cmocka_unit_test(test_quiet_then),
		cmocka_unit_test(test_quiet_full),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_share),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_leave_receive),
		cmocka_unit_test(test_connect_batch_fails),
		cmocka_unit_test(test_cq_full),
	};

	return PATH_RUN(tests);
}
