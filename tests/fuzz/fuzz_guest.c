/* SPDX-License-Identifier: BSD-2-Clause */
#include "fuzz_guest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "port/mem.h"

static struct device device;
static struct vtoe_stats stats;
static uint64_t now_us = 1000000;
static int listener = -1;

static void fail(const char *what)
{
	fprintf(stderr, "fuzz: %s: %s\n", what, strerror(errno));
	exit(errno == EPERM ? 77 : 99);
}

static void own_network(void)
{
	struct ifreq r = { .ifr_flags = IFF_UP | IFF_RUNNING };
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons(GUEST_LISTEN_PORT) };
	int fd;

	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		fail("a network namespace");
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	strcpy(r.ifr_name, "lo");
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &r))
		fail("the loopback interface");
	close(fd);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			  0);
	if (listener < 0 || bind(listener, (void *)&at, sizeof(at)) ||
	    listen(listener, 64))
		fail("a listener");
}

void guest_device_open(void)
{
	const struct device_limits limits = {
		.peers = 4, .lanes = 4, .streams = 64, .peer_streams = 24,
		.regions = 8, .inflight = 32, .credit = 16, .requests = 256,
		.ring_entries = 1024, .drain_ms = 1000, .zerocopy_min = 8192,
	};

	own_network();
	memset(&stats, 0, sizeof(stats));
	if (device_init(&device, &limits, &stats))
		fail("io_uring");
}

/* The other end: takes connections, echoes a little, resets some. */
static void other_end(void)
{
	struct linger reset = { .l_onoff = 1 };
	char buffer[4096];
	ssize_t n;
	int fd;

	while ((fd = accept4(listener, NULL, NULL,
			     SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		n = recv(fd, buffer, sizeof(buffer), 0);
		if (n > 0)
			n = send(fd, buffer, (size_t)n, MSG_NOSIGNAL);
		else
			n = send(fd, "hello", 5, MSG_NOSIGNAL);
		if (n > 0 && buffer[0] & 1)
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset,
				   sizeof(reset));
		close(fd);
	}
}

void guest_turns(unsigned n)
{
	bool busy;

	while (n--) {
		device_turn(&device, now_us, false, &busy);
		other_end();
	}
}

void *guest_entry(struct fuzz_guest *g, uint32_t ring, uint32_t entries,
		  uint32_t index)
{
	return g->memory + ring + VTOE_RING_HEADER +
	       (size_t)(index & (entries - 1)) * VTOE_RING_ENTRY;
}

uint32_t *guest_word(struct fuzz_guest *g, uint32_t offset)
{
	return (uint32_t *)(void *)(g->memory + offset);
}

void guest_pass(uint64_t us)
{
	now_us += us;
}

static void control(struct fuzz_guest *g, uint32_t index,
		    struct vtoe_ctl_request q, struct vtoe_ctl_completion *to)
{
	q.user_data = 1 + index;
	memcpy(guest_entry(g, VTOE_CTL_REQUEST_OFFSET, VTOE_CTL_ENTRIES, index),
	       &q, sizeof(q));
	*guest_word(g, VTOE_CTL_REQUEST_OFFSET) = index + 1;
	conn_kick(g->conn);
	guest_turns(2);
	memcpy(to, guest_entry(g, VTOE_CTL_COMPLETION_OFFSET, VTOE_CTL_ENTRIES,
			       index), sizeof(*to));
	*guest_word(g, VTOE_CTL_COMPLETION_OFFSET + 64) = index + 1;
	FUZZ_MUST(to->user_data == q.user_data && to->result == 0);
}

static struct vtoe_ctl_request lane_request(bool add)
{
	struct vtoe_ctl_request q = { .op = add ? VTOE_CTL_LANE_ADD :
						  VTOE_CTL_LANE_DEL };

	if (!add)
		return q;
	q.u.lane.sq_offset = GUEST_SQ;
	q.u.lane.cq_offset = GUEST_CQ;
	q.u.lane.sq_entries = q.u.lane.cq_entries = GUEST_ENTRIES;
	q.u.lane.vector = 1;
	return q;
}

static struct vtoe_ctl_request region_request(const struct fuzz_guest *g,
					      bool add)
{
	struct vtoe_ctl_request q = { .op = add ? VTOE_CTL_REGION_ADD :
						  VTOE_CTL_REGION_DEL };

	if (!add) {
		q.u.key = g->key;
		return q;
	}
	q.lane = VTOE_LANE_ANY;
	q.u.region.offset = GUEST_ARENA;
	q.u.region.length = GUEST_BYTES - GUEST_ARENA;
	q.u.region.count = 1;
	q.u.region.rights = VTOE_REGION_READ | VTOE_REGION_WRITE;
	return q;
}

void guest_join(struct fuzz_guest *g, bool ready)
{
	const struct vtoe_device_page page = { .magic = VTOE_MAGIC };
	struct vtoe_ctl_request q = { .op = VTOE_CTL_HELLO };
	struct vtoe_ctl_completion c;
	struct port_link link;

	g->memory = mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (g->memory == MAP_FAILED)
		fail("memory");
	mem_link_init(&link, g->memory, GUEST_BYTES, 4, &page);
	link.id = ++device.next_conn;
	FUZZ_MUST(conn_add(&device, &link));
	g->conn = list_entry(device.conns.prev, struct conn, node);
	if (!ready)
		return;
	q.u.hello.version = VTOE_VERSION_1;
	q.u.hello.features = path_features(&device);
	control(g, 0, q, &c);
	q = lane_request(true);
	control(g, 1, q, &c);
	q = region_request(g, true);
	control(g, 2, q, &c);
	g->key = c.key;
}

/* The next request of a guest whose rings may be as broken as the input wants
 * them: it has an answer, or not. */
static void control_next(struct fuzz_guest *g, struct vtoe_ctl_request q,
			 struct vtoe_ctl_completion *to)
{
	uint32_t n = *guest_word(g, VTOE_CTL_REQUEST_OFFSET), done;

	q.user_data = 99;
	memcpy(guest_entry(g, VTOE_CTL_REQUEST_OFFSET, VTOE_CTL_ENTRIES, n),
	       &q, sizeof(q));
	*guest_word(g, VTOE_CTL_REQUEST_OFFSET) = n + 1;
	conn_kick(g->conn);
	guest_turns(2);
	done = *guest_word(g, VTOE_CTL_COMPLETION_OFFSET);
	*guest_word(g, VTOE_CTL_COMPLETION_OFFSET + 64) = done;
	memcpy(to, guest_entry(g, VTOE_CTL_COMPLETION_OFFSET, VTOE_CTL_ENTRIES,
			       done - 1), sizeof(*to));
}

void guest_region(struct fuzz_guest *g, bool add, struct vtoe_ctl_completion *c)
{
	control_next(g, region_request(g, add), c);
	if (add && c->op == VTOE_CTL_REGION_ADD && !c->result)
		g->key = c->key;
}

void guest_lane(struct fuzz_guest *g, bool add, struct vtoe_ctl_completion *c)
{
	control_next(g, lane_request(add), c);
}

static bool nothing_left(void)
{
	return !stats.peers && !stats.lanes && !stats.streams &&
	       !stats.regions && !stats.region_bytes && !device.requests.used &&
	       !device.batches.used && !device.holds.used &&
	       list_empty(&device.tokens);
}

struct device *guest_device(void)
{
	return &device;
}

void guest_settle(void)
{
	int i;

	for (i = 0; i < 4000 && !nothing_left(); i++) {
		guest_turns(1);
		/* The device's clock is ours: drains and tokens end. Its timer
		 * is the kernel's; we tick in its place. */
		now_us += 100000;
		stream_tick(&device);
		if (device.frames)
			device.frames->tick(&device);
		if (i > 100)
			poll(NULL, 0, 1);
	}
	if (!nothing_left())
		fprintf(stderr, "left: %lu connections, %lu lanes, %lu streams,"
			" %lu regions, %u requests, %u batches, %u holds\n",
			(unsigned long)stats.peers, (unsigned long)stats.lanes,
			(unsigned long)stats.streams,
			(unsigned long)stats.regions, device.requests.used,
			device.batches.used, device.holds.used);
	FUZZ_MUST(nothing_left());
}

void guest_part(struct fuzz_guest *g)
{
	conn_leave(g->conn);
	guest_turns(1);
}

void guest_forget(struct fuzz_guest *g)
{
	munmap(g->memory, GUEST_BYTES);
}

void guest_leave(struct fuzz_guest *g)
{
	guest_part(g);
	guest_settle();
	guest_forget(g);
}
