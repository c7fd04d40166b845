/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * path_toe - the TOE service on the `mem` port, over real loopback sockets
 *
 * The guest's half is played here with the guest's own ring verbs; turns are
 * made by hand, so every interleaving is the test's choice. Shows: rules of
 * the control ring, errors of entries, RQ before GRQ without a hole or a
 * duplicate (MECHANISMS H7, H9, H10), order, cancel, removal of memory in
 * flight (O9), share and adopt, drain after the guest is gone, parking.
 * In a network namespace of its own, so that no port is anybody else's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "path/path.h"
#include "port/mem.h"

enum { BYTES = 4 << 20, ENTRIES = 256, ARENA = 1 << 20 };

struct guest {
	struct vtoe_ring ctl_q, ctl_c, sq, cq;
	uint8_t *memory;
	struct conn *conn;
	uint64_t key; /* of the arena */
	uint32_t lane;
};

static struct device device;
static struct vtoe_stats stats;
static uint64_t now = 1000;

static void turn(void)
{
	bool busy;
	int i;

	for (i = 0; i < 4; i++)
		device_turn(&device, now * 1000, false, &busy);
}

static void start(void)
{
	const struct device_limits limits = {
		.peers = 4, .lanes = 4, .streams = 64, .peer_streams = 32,
		.regions = 16, .inflight = 128, .credit = 16,
		.requests = 512, .ring_entries = 1024, .drain_ms = 5000,
	};

	memset(&stats, 0, sizeof(stats));
	assert_int_equal(device_init(&device, &limits, &stats), 0);
}

static struct vtoe_ctl_completion ctl_wait(struct guest *g)
{
	struct vtoe_ctl_completion *c = NULL, copy;
	int i;

	for (i = 0; i < 1000 && !c; i++) {
		conn_kick(g->conn);
		turn();
		c = vtoe_ring_peek(&g->ctl_c);
	}
	assert_non_null(c);
	copy = *c;
	vtoe_ring_advance(&g->ctl_c);
	vtoe_ring_release(&g->ctl_c);
	return copy;
}

static struct vtoe_ctl_completion ctl(struct guest *g,
				      struct vtoe_ctl_request q)
{
	struct vtoe_ctl_request *at = vtoe_ring_reserve(&g->ctl_q);

	assert_non_null(at);
	q.user_data = q.user_data ? q.user_data : 1;
	*at = q;
	vtoe_ring_submit(&g->ctl_q);
	return ctl_wait(g);
}

static uint64_t region(struct guest *g, uint64_t offset, uint64_t bytes,
		       uint32_t rights)
{
	struct vtoe_ctl_request q = { .op = VTOE_CTL_REGION_ADD,
				      .lane = VTOE_LANE_ANY };
	struct vtoe_ctl_completion c;

	q.u.region.offset = offset;
	q.u.region.length = bytes;
	q.u.region.count = 1;
	q.u.region.rights = rights;
	c = ctl(g, q);
	assert_int_equal(c.result, 0);
	return c.key;
}

static void join(struct guest *g)
{
	const struct vtoe_device_page page = { .magic = VTOE_MAGIC };
	struct vtoe_ctl_request q = { .op = VTOE_CTL_HELLO };
	struct port_link link;

	memset(g, 0, sizeof(*g));
	g->memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mem_link_init(&link, g->memory, BYTES, 4, &page);
	link.id = ++device.next_conn;
	g->conn = conn_add(&device, &link);
	assert_non_null(g->conn);
	vtoe_ring_init(&g->ctl_q, g->memory + VTOE_CTL_REQUEST_OFFSET,
		       VTOE_CTL_ENTRIES);
	vtoe_ring_init(&g->ctl_c, g->memory + VTOE_CTL_COMPLETION_OFFSET,
		       VTOE_CTL_ENTRIES);
	q.u.hello.version = VTOE_VERSION_1;
	q.u.hello.features = PATH_FEATURES;
	assert_int_equal(ctl(g, q).result, 0);
	memset(&q, 0, sizeof(q));
	q.op = VTOE_CTL_LANE_ADD;
	q.u.lane.sq_offset = 64 << 10;
	q.u.lane.cq_offset = 128 << 10;
	q.u.lane.sq_entries = q.u.lane.cq_entries = ENTRIES;
	q.u.lane.vector = 1;
	vtoe_ring_init(&g->sq, g->memory + (64 << 10), ENTRIES);
	vtoe_ring_init(&g->cq, g->memory + (128 << 10), ENTRIES);
	assert_int_equal(ctl(g, q).result, 0);
	g->key = region(g, ARENA, BYTES - ARENA,
			VTOE_REGION_READ | VTOE_REGION_WRITE);
}

static struct vtoe_sqe *entry(struct guest *g, enum vtoe_op op, uint32_t stream,
			      uint64_t user)
{
	struct vtoe_sqe *e = vtoe_ring_reserve(&g->sq);

	if (!e)
		exit(99); /* more entries than the test's queue has */
	memset(e, 0, sizeof(*e));
	e->op = (vtoe_u8)op;
	e->stream = stream;
	e->user_data = user;
	e->key = g->key;
	return e;
}

static void submit(struct guest *g)
{
	vtoe_ring_submit(&g->sq);
	conn_kick(g->conn);
	turn();
}

static int try_wait(struct guest *g, struct vtoe_cqe *to, int turns)
{
	struct vtoe_cqe *c = NULL;

	while (turns-- && !(c = vtoe_ring_peek(&g->cq))) {
		turn();
		if (turns > 1)
			usleep(200);
	}
	if (!c)
		return 0;
	*to = *c;
	vtoe_ring_advance(&g->cq);
	if (vtoe_ring_release(&g->cq))
		conn_kick(g->conn);
	return 1;
}

static struct vtoe_cqe wait_cqe(struct guest *g)
{
	struct vtoe_cqe c;

	assert_true(try_wait(g, &c, 10000));
	return c;
}

static int listener(uint16_t *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (void *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 16), 0);
	getsockname(fd, (void *)&a, &len);
	*port = ntohs(a.sin_port);
	return fd;
}

static void loopback(struct vtoe_address *a, uint16_t port)
{
	memset(a, 0, sizeof(*a));
	a->family = VTOE_AF_INET;
	a->port = port;
	memcpy(a->ip, "\x7f\0\0\1", 4);
}

/* A stream of the guest's and the socket at its other end. */
static uint32_t connected(struct guest *g, int *peer)
{
	struct vtoe_cqe c;
	uint16_t port;
	int l = listener(&port);
	struct vtoe_sqe *e;
	uint32_t id;

	e = entry(g, VTOE_OP_OPEN, 0, 1);
	e->u.address.family = VTOE_AF_INET;
	e = entry(g, VTOE_OP_CONNECT, VTOE_STREAM_LAST, 2);
	loopback(&e->u.address, port);
	submit(g);
	c = wait_cqe(g);
	assert_int_equal(c.result, 0);
	id = c.stream;
	c = wait_cqe(g);
	assert_int_equal(c.user_data, 2);
	assert_int_equal(c.result, 0);
	assert_int_equal(c.stream, id);
	*peer = accept(l, NULL, NULL);
	close(l);
	return id;
}

static void send_peer(int peer, const uint8_t *from, size_t n)
{
	assert_int_equal(send(peer, from, n, MSG_NOSIGNAL), n);
}

static void close_stream(struct guest *g, uint32_t id, int peer)
{
	entry(g, VTOE_OP_CLOSE, id, 99);
	submit(g);
	assert_int_equal(wait_cqe(g).result, 0);
	close(peer);
}

static void leave(struct guest *g)
{
	conn_leave(g->conn);
	turn();
	turn();
	munmap(g->memory, BYTES);
}

static void stop(void)
{
	turn();
	assert_int_equal(stats.streams, 0);
	assert_int_equal(stats.lanes, 0);
	assert_int_equal(stats.peers, 0);
	assert_int_equal(stats.regions, 0);
	assert_int_equal(stats.region_bytes, 0);
	assert_int_equal(device.requests.used, 0);
	assert_int_equal(device.batches.used, 0);
	assert_int_equal(device.holds.used, 0);
	device_free(&device);
}

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
	send_peer(peer, (const uint8_t *)"hello", 5);
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
	send_peer(peer, (const uint8_t *)"x", 1);
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
		{ { .op = VTOE_OP_NOP, .reserved0 = 1 }, -EINVAL },
		{ { .op = VTOE_OP_NOP, .reserved1 = 1 }, -EINVAL },
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
	send_peer(peer, (const uint8_t *)"x", 1);
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

/* Bytes are numbered: the k-th byte of the stream is hash(k). */
static uint8_t byte_at(uint64_t k)
{
	return (uint8_t)(k * 2654435761u >> 13);
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
	send_peer(peer, (const uint8_t *)"yes", 3);
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
	send_peer(peer, (const uint8_t *)"late", 4);
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
	send_peer(peer, (const uint8_t *)"none", 4);
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
	send_peer(peer, (const uint8_t *)"moved", 5);
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
	now += (VTOE_TOKEN_SECONDS + 1) * 1000;
	device.now = now;
	stream_tick(&device);
	turn();
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
	munmap(g.memory, BYTES);
	stop();
}

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

static int own_network(void)
{
	struct ifreq up = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd, rc;

	if (unshare(CLONE_NEWNET))
		return -1;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	rc = ioctl(fd, SIOCSIFFLAGS, &up);
	close(fd);
	return rc;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_direct),
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_entry_errors),
		cmocka_unit_test(test_rq_grq_order),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_region_in_flight),
		cmocka_unit_test(test_share),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_park),
		cmocka_unit_test(test_park_consumer),
		cmocka_unit_test(test_cq_full),
	};
	unsigned seed = (unsigned)time(NULL);

	if (own_network()) {
		print_message("needs the right to make a network namespace "
			      "(run as root)\n");
		return 77;
	}
	print_message("seed %u\n", seed);
	srand(seed);
	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
