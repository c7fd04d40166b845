/* SPDX-License-Identifier: BSD-2-Clause */
#include "path_guest.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>

#include "port/mem.h"

enum { GUESTS = 4, RINGS = 64 << 10, LANES = 4 };

struct vtoe_stats stats;
static bool no_registered_files;
static uint64_t now = 1000;
/* Unmapped at the end only: the kernel may still read from them. */
static void *memories[GUESTS];

void turn(void)
{
	bool busy;
	int i;

	for (i = 0; i < 4; i++)
		device_turn(&device, world_us(now), false, &busy);
}

void pass(uint32_t ms)
{
	now += ms;
	device.now = world_us(now) / 1000;
	stream_tick(&device);
	conn_tick(&device);
	if (device.frames)
		device.frames->tick(&device);
	turn();
}

void set_now(uint64_t ms)
{
	if (ms > now)
		now = ms;
}

void start(void)
{
	const struct device_limits limits = {
		.peers = GUESTS, .lanes = LANES, .streams = 64,
		.peer_streams = 32, .regions = 16, .inflight = 128,
		.credit = 16, .requests = 512, .ring_entries = 1024,
		.drain_ms = 5000, .no_registered_files = no_registered_files,
	};

	memset(&stats, 0, sizeof(stats));
	assert_int_equal(world_start(&limits), 0);
	if (no_registered_files)
		assert_false(device.uring.fixed);
}

void stop(void)
{
	int i;

	for (i = 0; i < 1000 && (stats.streams || stats.peers); i++) {
		turn();
		usleep(i < 10 ? 0 : 200);
	}
	assert_int_equal(stats.streams, 0);
	assert_int_equal(stats.lanes, 0);
	assert_int_equal(stats.peers, 0);
	assert_int_equal(stats.regions, 0);
	assert_int_equal(stats.region_bytes, 0);
	assert_int_equal(device.requests.used, 0);
	assert_int_equal(device.batches.used, 0);
	assert_int_equal(device.holds.used, 0);
	assert_int_equal(device.token_count, 0);
	world_stop();
	for (i = 0; i < GUESTS; i++) {
		if (memories[i])
			munmap(memories[i], BYTES);
		memories[i] = NULL;
	}
}

void ctl_enter(struct guest *g, struct vtoe_ctl_request q)
{
	struct vtoe_ctl_request *at = vtoe_ring_reserve(&g->ctl_q);

	assert_non_null(at);
	q.user_data = q.user_data ? q.user_data : 1;
	*at = q;
	vtoe_ring_submit(&g->ctl_q);
}

struct vtoe_ctl_completion ctl_wait(struct guest *g)
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

struct vtoe_ctl_completion ctl(struct guest *g, struct vtoe_ctl_request q)
{
	ctl_enter(g, q);
	return ctl_wait(g);
}

uint64_t region(struct guest *g, uint64_t offset, uint64_t bytes,
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

void add_lane(struct guest *g, uint32_t sq_entries, uint32_t cq_entries)
{
	struct vtoe_ctl_request q = { .op = VTOE_CTL_LANE_ADD };
	uint32_t sq = g->rings, cq = sq + VTOE_RING_BYTES(sq_entries);
	struct vtoe_ctl_completion c;

	g->rings = cq + VTOE_RING_BYTES(cq_entries);
	assert_true(g->rings <= ARENA);
	memset(g->memory + sq, 0, VTOE_RING_HEADER);
	memset(g->memory + cq, 0, VTOE_RING_HEADER);
	q.u.lane.sq_offset = sq;
	q.u.lane.cq_offset = cq;
	q.u.lane.sq_entries = sq_entries;
	q.u.lane.cq_entries = cq_entries;
	q.u.lane.vector = 1;
	vtoe_ring_init(&g->sq, g->memory + sq, sq_entries);
	vtoe_ring_init(&g->cq, g->memory + cq, cq_entries);
	c = ctl(g, q);
	assert_int_equal(c.result, 0);
	g->lane = c.lane;
}

struct lane *lane_of(struct guest *g)
{
	return &g->conn->lanes[g->lane];
}

void join(struct guest *g)
{
	join_with(g, path_features(&device));
}

void join_with(struct guest *g, uint64_t features)
{
	const struct vtoe_device_page page = { .magic = VTOE_MAGIC };
	struct vtoe_ctl_request q = { .op = VTOE_CTL_HELLO };
	struct port_link link;
	int i;

	memset(g, 0, sizeof(*g));
	g->memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(g->memory, MAP_FAILED);
	for (i = 0; i < GUESTS - 1 && memories[i]; i++)
		;
	memories[i] = g->memory;
	g->rings = RINGS;
	mem_link_init(&link, g->memory, BYTES, LANES, &page);
	link.id = ++device.next_conn;
	g->conn = conn_add(&device, &link);
	assert_non_null(g->conn);
	vtoe_ring_init(&g->ctl_q, g->memory + VTOE_CTL_REQUEST_OFFSET,
		       VTOE_CTL_ENTRIES);
	vtoe_ring_init(&g->ctl_c, g->memory + VTOE_CTL_COMPLETION_OFFSET,
		       VTOE_CTL_ENTRIES);
	q.u.hello.version = VTOE_VERSION_1;
	q.u.hello.features = features;
	assert_int_equal(ctl(g, q).result, 0);
	add_lane(g, ENTRIES, ENTRIES);
	g->key = region(g, ARENA, BYTES - ARENA,
			VTOE_REGION_READ | VTOE_REGION_WRITE);
}

void leave(struct guest *g)
{
	conn_leave(g->conn);
	turn();
	turn();
}

struct vtoe_sqe *entry(struct guest *g, enum vtoe_op op, uint32_t stream,
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

void submit(struct guest *g)
{
	vtoe_ring_submit(&g->sq);
	conn_kick(g->conn);
	turn();
}

int try_wait(struct guest *g, struct vtoe_cqe *to, int turns)
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

struct vtoe_cqe wait_cqe(struct guest *g)
{
	struct vtoe_cqe c;

	assert_true(try_wait(g, &c, 10000));
	return c;
}

unsigned take_all(struct guest *g)
{
	unsigned n = 0;

	for (; vtoe_ring_peek(&g->cq); n++)
		vtoe_ring_advance(&g->cq);
	if (vtoe_ring_release(&g->cq))
		conn_kick(g->conn);
	return n;
}

static int listener(uint16_t *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(world_peer) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (void *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 16), 0);
	getsockname(fd, (void *)&a, &len);
	*port = ntohs(a.sin_port);
	return fd;
}

static void address(struct vtoe_address *a, uint32_t ip, uint16_t port)
{
	memset(a, 0, sizeof(*a));
	a->family = VTOE_AF_INET;
	a->port = port;
	ip = htonl(ip);
	memcpy(a->ip, &ip, 4);
}

uint32_t connected(struct guest *g, int *peer)
{
	struct vtoe_cqe c;
	uint16_t port;
	int l = listener(&port);
	struct vtoe_sqe *e;
	uint32_t id;

	e = entry(g, VTOE_OP_OPEN, 0, 1);
	e->u.address.family = VTOE_AF_INET;
	e = entry(g, VTOE_OP_CONNECT, VTOE_STREAM_LAST, 2);
	address(&e->u.address, world_peer, port);
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

uint32_t listening(struct guest *g, uint16_t *port)
{
	struct vtoe_sqe *e = entry(g, VTOE_OP_OPEN, 0, 1);
	struct vtoe_cqe c;
	int i;

	e->u.address.family = VTOE_AF_INET;
	e = entry(g, VTOE_OP_BIND, VTOE_STREAM_LAST, 2);
	address(&e->u.address, world_own, 0);
	entry(g, VTOE_OP_LISTEN, VTOE_STREAM_LAST, 3)->length = 64;
	submit(g);
	for (i = 0; i < 3; i++) {
		c = wait_cqe(g);
		assert_int_equal(c.result, 0);
	}
	*port = c.u.address.port;
	return c.stream;
}

int dial(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(world_own) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int i;

	/* the other end may need turns of ours to answer */
	if (connect(fd, (void *)&a, sizeof(a))) {
		assert_int_equal(errno, EINPROGRESS);
		for (i = 0; i < 1000 && !poll(&p, 1, 1); i++)
			turn();
		assert_int_not_equal(p.revents, 0);
	}
	fcntl(fd, F_SETFL, 0);
	turn();
	return fd;
}

void share(struct guest *from, struct guest *to, uint32_t id)
{
	struct vtoe_sqe *e;
	struct vtoe_cqe c;

	entry(from, VTOE_OP_SHARE, id, 1);
	submit(from);
	c = wait_cqe(from);
	assert_int_equal(c.result, 0);
	e = entry(to, VTOE_OP_ADOPT, 0, 2);
	memcpy(e->u.token, c.u.token, sizeof(c.u.token));
	submit(to);
	c = wait_cqe(to);
	assert_int_equal(c.result, 0);
	assert_int_equal(c.stream, id);
}

void set_option(struct guest *g, uint32_t id, uint16_t level, uint16_t name,
		const void *value, uint32_t bytes)
{
	struct vtoe_sqe *e = entry(g, VTOE_OP_SETOPT, id, 98);

	e->u.option.level = level;
	e->u.option.name = name;
	e->u.option.length = bytes;
	memcpy(e->u.option.value, value, bytes);
	submit(g);
	assert_int_equal(wait_cqe(g).result, 0);
}

void set_linger(struct guest *g, uint32_t id, int seconds)
{
	const struct linger l = { .l_onoff = 1, .l_linger = seconds };

	set_option(g, id, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

void send_much(struct guest *g, uint32_t id)
{
	enum { SENDS = 16 };
	struct vtoe_sqe *e;
	int i;

	/* 48 MiB; buffers grow to ten or so */
	for (i = 0; i < SENDS; i++) {
		e = entry(g, VTOE_OP_SEND, id, 97);
		e->length = BYTES - ARENA;
	}
	submit(g);
}

void close_stream(struct guest *g, uint32_t id, int peer)
{
	entry(g, VTOE_OP_CLOSE, id, 99);
	submit(g);
	assert_int_equal(wait_cqe(g).result, 0);
	close(peer);
}

void send_peer(int peer, const void *from, size_t n)
{
	const uint8_t *at = from;
	ssize_t done;
	int i;

	for (i = 0; i < 10000 && n; i++) {
		done = send(peer, at, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (done > 0) {
			at += done;
			n -= (size_t)done;
		} else {
			turn();
		}
	}
	assert_int_equal(n, 0);
}

size_t receive_peer(int peer, uint8_t *to, size_t n)
{
	size_t have = 0;
	ssize_t got;
	int idle;

	for (idle = 0; idle < 100 && have < n; idle++) {
		turn();
		got = recv(peer, to + have, n - have, MSG_DONTWAIT);
		if (got == 0 || (got < 0 && errno != EAGAIN))
			break;
		if (got < 0) {
			usleep(200);
			continue;
		}
		have += (size_t)got;
		idle = 0;
	}
	return have;
}

uint8_t byte_at(uint64_t k)
{
	return (uint8_t)(k * 2654435761u >> 13);
}

int path_run(const char *name, const struct CMUnitTest *tests, size_t count)
{
	unsigned seed = (unsigned)time(NULL);
	int failed;

	if (world_network()) {
		print_message("needs the right to make a network namespace "
			      "(run as root)\n");
		return 77;
	}
	print_message("seed %u\n", seed);
	srand(seed);
	failed = _cmocka_run_group_tests(name, tests, count, NULL, NULL);
	print_message("without registered files:\n");
	no_registered_files = true;
	failed += _cmocka_run_group_tests(name, tests, count, NULL, NULL);
	return failed ? 1 : 0;
}
