/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/netns/tto_rig.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>

enum { WAIT_MS = 5000, MARK_PORT = 9, SECONDS = 100, USER_FLUSH = 991 };

struct rig rig;

static const uint8_t macs[12] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1 };

static uint32_t next_frame(uint8_t *to, int ms)
{
	struct pollfd p = { .fd = rig.wire, .events = POLLIN };
	struct sockaddr_ll from;
	socklen_t size;
	ssize_t n;

	do {
		if (poll(&p, 1, ms) != 1)
			return 0;
		size = sizeof(from);
		n = recvfrom(rig.wire, to, RIG_LONGEST, MSG_TRUNC,
			     (struct sockaddr *)&from, &size);
		assert_true(n < RIG_LONGEST);
	} while (n < 0 || from.sll_pkttype == PACKET_OUTGOING);
	return (uint32_t)n;
}

/* -- life ------------------------------------------------------------------ */

static void must(const char *what, int rc)
{
	if (rc)
		fail_msg("%s: %s", what, strerror(rc < 0 ? -rc : rc));
}

void rig_worker(void)
{
	struct tto_config c = { .claims = rig.steer.claims,
				.queues = rig.steer.sockets,
				.ifindex = rig.ifindex,
				.mtu = RIG_MTU,
				.frames = rig.options.frames,
				.hold_usec = rig.options.hold_usec,
				.segments = rig.options.segments,
				.push_joins = rig.options.push_joins,
				.acks_join = rig.options.acks_join };
	const char *what;

	memcpy(c.mac, macs, sizeof(c.mac));
	start();
	must(what, tto_sockets_open(&c.sockets, rig.ifindex, &what));
	must(what, tto_start(&device, &c, &what));
	turn();
}

void rig_begin(const struct rig_options *o)
{
	struct steer_config c = { .ifindex = rig.ifindex,
				  .claims_max = 64,
				  .queues = 1,
				  .frame_max = tto_frame_max(RIG_MTU) };
	uint8_t garbage[RIG_LONGEST];

	if (rig.open) { /* a test before failed */
		tto_stop(&device);
		steer_close(&rig.steer);
	}
	while (next_frame(garbage, 0))
		;
	rig.open = true;
	rig.options = (struct rig_options){ .frames = 1024 };
	if (o)
		rig.options = *o;
	if (!rig.options.frames)
		rig.options.frames = 1024;
	if (rig.options.claims_max)
		c.claims_max = rig.options.claims_max;
	must("steer_open", steer_open(&rig.steer, &c));
	rig_worker();
}

static void all_leave(void)
{
	struct list *at, *tmp;

	list_for_each_safe(at, tmp, &device.conns)
		conn_leave(list_entry(at, struct conn, node));
	turn();
}

/* All frames are the kernel's again, or in the queue. */
static void nothing_is_kept(void)
{
	const struct aggregator *a = &device.tto->aggregator;

	assert_true(list_empty(&device.tto->waiting));
	assert_true(list_empty(&device.tto->stalled));
	assert_true(list_empty(&device.tto->stalled_again));
	assert_int_equal(device.tto->held.used, 0);
	assert_int_equal(a->stats.rx_frames,
			 a->held_frames + a->stats.segs_in_agg +
				 a->stats.pass_through + a->stats.drops_bad +
				 a->stats.drops_delivery);
}

void rig_kill(void)
{
	device.tto->config.claims = -1; /* it cannot touch the map any more */
	all_leave();
	tto_stop(&device);
	stop();
}

void rig_end(void)
{
	all_leave();
	nothing_is_kept();
	assert_int_equal(stats.tto_claims, device.tto->orphans);
	if (!device.tto->orphans)
		assert_int_equal(rig_mapped(), 0);
	tto_stop(&device);
	stop();
	steer_close(&rig.steer);
	rig.open = false;
}

unsigned rig_mapped(void)
{
	struct steer_claim c = { .vlan = 0 };
	uint64_t note;
	unsigned n = 0;

	while (!steer_next(rig.steer.claims, &c, &note))
		n++;
	return n;
}

/* -- frames to the service ------------------------------------------------- */

static void put_address(uint8_t *to, bool six, uint8_t last)
{
	static const uint8_t prefix4[4] = { 10, 99 };
	static const uint8_t prefix6[16] = { 0xfd, 0x99 };

	memcpy(to, six ? prefix6 : prefix4, six ? 16 : 4);
	to[six ? 15 : 3] = last;
}

static void put_checksum(uint8_t *at, uint64_t sum, bool bad)
{
	uint16_t c = (uint16_t)~checksum_fold(sum);

	memcpy(at, &c, sizeof(c));
	at[0] ^= bad;
}

static uint32_t put_ip(uint8_t *ip, const struct frame_of *f, uint32_t length)
{
	uint8_t remote = f->remote ? f->remote : 1;
	uint8_t local = f->local ? f->local : 2;

	if (f->family == VTOE_AF_INET6) {
		bytes_put32(ip, 0x60000000u | (uint32_t)f->ecn << 20);
		bytes_put16(ip + 4, (uint16_t)length);
		ip[6] = IPPROTO_TCP;
		ip[7] = 64;
		put_address(ip + 8, true, remote);
		put_address(ip + 24, true, local);
		return 40;
	}
	ip[0] = 0x45;
	ip[1] = f->ecn;
	bytes_put16(ip + 2, (uint16_t)(20 + length));
	ip[6] = 0x40;
	ip[8] = 64;
	ip[9] = IPPROTO_TCP;
	put_address(ip + 12, false, remote);
	put_address(ip + 16, false, local);
	put_checksum(ip + 10, checksum_sum(ip, 20), f->bad_ip);
	return 20;
}

static void put_tcp(uint8_t *tcp, const struct frame_of *f)
{
	uint32_t head = 20 + f->option_bytes, i;

	bytes_put16(tcp, f->remote_port);
	bytes_put16(tcp + 2, f->local_port);
	bytes_put32(tcp + 4, f->seq);
	bytes_put32(tcp + 8, f->ack);
	tcp[12] = (uint8_t)(head / 4 << 4);
	tcp[13] = f->flags ? f->flags : FLAG_ACK;
	bytes_put16(tcp + 14, f->window ? f->window : 1000);
	if (f->option_bytes)
		memcpy(tcp + 20, f->options, f->option_bytes);
	for (i = 0; i < f->payload; i++)
		tcp[head + i] = byte_at(f->seq + i);
}

void wire_send(const struct frame_of *f)
{
	uint32_t length = 20 + f->option_bytes + f->payload, l4;
	bool six = f->family == VTOE_AF_INET6;
	uint8_t frame[RIG_LONGEST] = { 0 };
	ssize_t n;

	memcpy(frame, macs, sizeof(macs));
	bytes_put16(frame + 12, six ? ETHERTYPE_IPV6 : ETHERTYPE_IP);
	l4 = RIG_LINK + put_ip(frame + RIG_LINK, f, length);
	put_tcp(frame + l4, f);
	put_checksum(frame + l4 + 16,
		     frame_pseudo_sum(frame, RIG_LINK,
				      six ? FLOW_IPV6 : FLOW_IPV4, length) +
			     checksum_sum(frame + l4, length), f->bad_tcp);
	do
		n = send(rig.wire, frame, l4 + length, 0);
	while (n < 0 && (errno == ENOBUFS || errno == EINTR));
	assert_int_equal(n, l4 + length);
}

void wire_deliver(const struct frame_of *f, unsigned count)
{
	uint64_t before = stats.tto_frames;
	unsigned i;

	for (i = 0; i < count; i++)
		wire_send(&f[i]);
	wait_until(stats.tto_frames == before + count);
}

/* -- frames from the service and the kernel -------------------------------- */

/* false: no TCP */
static bool look_at_ip(struct seen *s)
{
	uint8_t *ip = s->bytes + RIG_LINK;
	uint16_t type = bytes_get16(s->bytes + 12);
	uint32_t length;

	s->six = type == ETHERTYPE_IPV6;
	if (type != ETHERTYPE_IP && !s->six)
		return false;
	if (ip[s->six ? 6 : 9] != IPPROTO_TCP)
		return false;
	s->l4 = RIG_LINK + (s->six ? 40 : 20);
	length = s->six ? 40u + bytes_get16(ip + 4) : bytes_get16(ip + 2);
	/* a short one is not padded on a veth */
	assert_int_equal(s->length, RIG_LINK + length);
	assert_int_equal(ip[0] >> 4, s->six ? 6 : 4);
	if (!s->six) {
		assert_int_equal(ip[0], 0x45);
		assert_true(checksum_is_right(checksum_sum(ip, 20)));
	}
	s->ecn = s->six ? ip[1] >> 4 & 3 : ip[1] & 3;
	return true;
}

bool wire_next(struct seen *s, int ms)
{
	const uint8_t *tcp;
	uint32_t length;

	memset(s, 0, sizeof(*s));
	do {
		s->length = next_frame(s->bytes, ms);
		if (!s->length)
			return false;
	} while (!look_at_ip(s));
	tcp = s->bytes + s->l4;
	length = s->length - s->l4;
	assert_memory_equal(s->bytes, macs + 6, 6);
	assert_memory_equal(s->bytes + 6, macs, 6);
	assert_true(checksum_is_right(
		frame_pseudo_sum(s->bytes, RIG_LINK,
				 s->six ? FLOW_IPV6 : FLOW_IPV4, length) +
		checksum_sum(tcp, length)));
	s->local_port = bytes_get16(tcp);
	s->remote_port = bytes_get16(tcp + 2);
	s->seq = bytes_get32(tcp + 4);
	s->flags = tcp[13];
	s->payload = s->l4 + (tcp[12] >> 4) * 4u;
	s->payload_length = s->length - s->payload;
	return true;
}

static void expect_reset(uint16_t local_port, uint16_t remote_port)
{
	struct seen s;

	assert_true(wire_next(&s, WAIT_MS));
	assert_int_equal(s.local_port, local_port);
	assert_int_equal(s.remote_port, remote_port);
	assert_true(s.flags & FLAG_RST);
}

void wire_is_answered(const struct frame_of *f)
{
	wire_send(f);
	expect_reset(f->local_port, f->remote_port);
}

void wire_is_silent(void)
{
	static uint16_t mark;
	struct frame_of f = { .local_port = MARK_PORT,
			      .remote_port = (uint16_t)(30000 + mark++ % 999) };

	if (device.tto)
		turn();
	wire_is_answered(&f);
}

void wire_is_swallowed(const struct frame_of *f)
{
	wire_send(f);
	wire_is_silent();
}

/* -- requests -------------------------------------------------------------- */

void name(struct vtoe_address *a, unsigned family, uint8_t last, uint16_t port)
{
	memset(a, 0, sizeof(*a));
	a->family = (vtoe_u16)family;
	a->port = port;
	if (last)
		put_address(a->ip, family == VTOE_AF_INET6, last);
}

struct vtoe_cqe answer(struct guest *g)
{
	submit(g);
	return wait_cqe(g);
}

struct vtoe_sqe *claim_entry(struct guest *g, unsigned family, uint8_t last,
			     uint16_t remote_port, uint16_t local_port,
			     uint64_t user)
{
	struct vtoe_sqe *e = entry(g, VTOE_OP_CLAIM, 0, user);

	name(&e->u.address, family, last, remote_port);
	e->length = local_port;
	e->offset = RIG_SECRET;
	return e;
}

struct vtoe_sqe *port_entry(struct guest *g, unsigned family, uint8_t last,
			    uint16_t port, uint64_t user)
{
	struct vtoe_sqe *e = entry(g, VTOE_OP_CLAIM, 0, user);

	name(&e->u.address, family, last, port);
	e->op_flags = VTOE_CLAIM_PORT;
	e->offset = RIG_SECRET;
	return e;
}

static uint32_t granted(struct guest *g, uint64_t user)
{
	struct vtoe_cqe c = answer(g);

	assert_int_equal(c.result, 0);
	assert_int_equal(c.user_data, user);
	assert_int_equal(c.flags, VTOE_CQE_MORE);
	assert_int_not_equal(c.stream, 0);
	return c.stream;
}

uint32_t claimed(struct guest *g, unsigned family, uint16_t remote_port,
		 uint16_t local_port, uint64_t user)
{
	claim_entry(g, family, 1, remote_port, local_port, user);
	return granted(g, user);
}

uint32_t port_claimed(struct guest *g, unsigned family, uint16_t port,
		      uint64_t user)
{
	port_entry(g, family, 0, port, user);
	return granted(g, user);
}

void unclaim(struct guest *g, uint32_t claim, uint64_t user)
{
	struct vtoe_cqe c;

	entry(g, VTOE_OP_UNCLAIM, claim, user + 1);
	c = answer(g);
	assert_int_equal(c.user_data, user);
	assert_int_equal(c.result, 0);
	assert_int_equal(c.flags, 0);
	assert_int_equal(c.stream, claim);
	c = wait_cqe(g);
	assert_int_equal(c.user_data, user + 1);
	assert_int_equal(c.result, 0);
	assert_int_equal(c.flags, 0);
}

void lend(struct guest *g, uint64_t offset, uint32_t count, uint32_t each)
{
	struct vtoe_sqe *e = entry(g, VTOE_OP_AGGREGATE, 0, 9);

	e->offset = offset;
	e->length = count * each;
	e->op_flags = count;
	submit(g);
}

void flush(struct guest *g, uint32_t claim)
{
	entry(g, VTOE_OP_FLUSH, claim, USER_FLUSH);
	submit(g);
}

void is_flushed(struct guest *g)
{
	struct vtoe_cqe c = wait_cqe(g);

	assert_int_equal(c.user_data, USER_FLUSH);
	assert_int_equal(c.result, 0);
}

struct vtoe_cqe wait_frame(struct guest *g, uint64_t user)
{
	struct vtoe_cqe c = wait_cqe(g);

	assert_int_equal(c.user_data, user);
	assert_int_equal(c.flags & ~VTOE_CQE_CONTINUED,
			 VTOE_CQE_FRAME | VTOE_CQE_MORE);
	return c;
}

const struct vtoe_received *received(struct guest *g, const struct vtoe_cqe *c)
{
	return (const void *)(g->memory + ARENA + c->offset);
}

void is_quiet(struct guest *g)
{
	struct vtoe_cqe c;

	turn();
	assert_false(try_wait(g, &c, 1));
}

/* -- the place ------------------------------------------------------------- */

static const char make_place[] =
	"set -e\n"
	"ip link set lo up\n"
	"ip link add ours address 02:00:00:00:00:02 type veth"
	" peer name wire address 02:00:00:00:00:01\n"
	"echo 1 >/proc/sys/net/ipv6/conf/wire/disable_ipv6\n"
	"ip addr add 10.99.0.2/16 dev ours\n"
	"ip -6 addr add fd99::2/64 dev ours nodad\n"
	/* what is on a wire has its checksum, and is not longer than a frame */
	"ethtool -K ours tx off tso off gso off >/dev/null\n"
	"ethtool -K wire tx off tso off gso off >/dev/null\n"
	"ip link set wire up\n"
	"ip link set ours up\n"
	"ip neigh add 10.99.0.1 lladdr 02:00:00:00:00:01 dev ours\n"
	"ip -6 neigh add fd99::1 lladdr 02:00:00:00:00:01 dev ours\n";

static int open_wire(void)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex("wire"),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	int bytes = 8 << 20;

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)))
		return -1;
	return fd;
}

/* -> 0, or an exit status: the machine, or its user, has no XDP. */
static int try_steer(void)
{
	struct steer_config c = { .ifindex = rig.ifindex, .claims_max = 1,
				  .queues = 1, .frame_max = 1500 };
	struct steer s;
	int rc = steer_open(&s, &c);

	if (!rc) {
		steer_close(&s);
		return 0;
	}
	if (rc == -EPERM || rc == -ENOSYS || rc == -EOPNOTSUPP) {
		printf("SKIP: machine: no XDP (%s)\n", strerror(-rc));
		return 77;
	}
	printf("ERROR: steer_open: %s\n", strerror(-rc));
	return 99;
}

static int prepare(void)
{
	if (geteuid()) {
		printf("SKIP: needs root for network namespaces\n");
		return 77;
	}
	if (system("command -v ethtool >/dev/null")) {
		printf("SKIP: ethtool is not installed: apt-get install "
		       "ethtool\n");
		return 77;
	}
	if (unshare(CLONE_NEWNET) || system(make_place)) {
		printf("ERROR: cannot make a veth pair\n");
		return 99;
	}
	rig.ifindex = (int)if_nametoindex("ours");
	rig.wire = open_wire();
	if (rig.wire < 0) {
		printf("ERROR: no packet socket: %s\n", strerror(errno));
		return 99;
	}
	return try_steer();
}

int rig_run(const char *name, const struct CMUnitTest *tests, size_t count)
{
	int rc = prepare();

	if (rc)
		return rc;
	alarm(SECONDS); /* a turn that sleeps for ever */
	return _cmocka_run_group_tests(name, tests, count, NULL, NULL) ? 1 : 0;
}
