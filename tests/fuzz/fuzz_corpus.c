/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_corpus DIRECTORY - writes the seeds of all fuzz targets
 *
 * A few small inputs each, DIRECTORY/TARGET/NAME, that lead a target through
 * what is valid; made by a program, so that they follow the headers. The
 * formats are those that the targets read.
 */
#include "fuzz.h"

#include <errno.h>
#include <sys/stat.h>

#include <vtoe_control.h>
#include <vtoe_device.h>
#include <vtoe_lane.h>

static uint8_t out[16384];
static size_t used;
static const char *top;

static void bytes(const void *from, size_t n)
{
	if (used + n > sizeof(out))
		exit(99);
	memcpy(out + used, from, n);
	used += n;
}

static void u8(unsigned v)
{
	uint8_t b = (uint8_t)v;

	bytes(&b, 1);
}

static void u16(unsigned v)
{
	u8(v & 0xff);
	u8(v >> 8);
}

static void u32(uint32_t v)
{
	u16(v & 0xffff);
	u16(v >> 16);
}

static void save(const char *target, const char *name)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", top, target);
	if (mkdir(path, 0777) && errno != EEXIST)
		exit(99);
	snprintf(path, sizeof(path), "%s/%s/%s", top, target, name);
	f = fopen(path, "wbe");
	if (!f || fwrite(out, 1, used, f) != used || fclose(f)) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(99);
	}
	used = 0;
}

/* -- ring -- */

static void ring(void)
{
	unsigned i;

	u8(0);
	for (i = 1; i < 40; i++) {
		u8(0x40 | 3); /* the producer one ahead */
		u8(1);
		u8(2);
		u8(3);
	}
	save("ring", "steady-in");
	u8(1);
	for (i = 1; i < 40; i++) {
		u8(0x20 | 1);
		u8(0x20 | 2);
		u8(0x50 | 2);
		u8(0x20 | 3);
	}
	save("ring", "steady-out");
	u8(2);
	u8(0x80);
	u32(0xffffffff);
	u8(0);
	u8(0x90);
	u32(77);
	u8(0x20);
	save("ring", "jump");
}

/* -- control -- */

static void request(struct vtoe_ctl_request r, uint64_t user_data)
{
	u8(4 | 8);
	r.user_data = user_data;
	bytes(&r, sizeof(r));
	u8(3);
	u8(2);
}

static struct vtoe_ctl_request hello(void)
{
	struct vtoe_ctl_request r = { .op = VTOE_CTL_HELLO };

	r.u.hello.version = VTOE_VERSION_1;
	r.u.hello.features = 0x3d;
	return r;
}

static struct vtoe_ctl_request lane(uint32_t n)
{
	struct vtoe_ctl_request r = { .op = VTOE_CTL_LANE_ADD };

	r.u.lane.sq_offset = 0x20000 + n * 0x4000u;
	r.u.lane.cq_offset = 0x22000 + n * 0x4000u;
	r.u.lane.sq_entries = 16;
	r.u.lane.cq_entries = 32;
	r.u.lane.vector = 1 + n;
	return r;
}

static struct vtoe_ctl_request region(uint64_t offset, uint64_t length,
				      uint32_t count)
{
	struct vtoe_ctl_request r = { .op = VTOE_CTL_REGION_ADD,
				      .lane = VTOE_LANE_ANY };

	r.u.region.offset = offset;
	r.u.region.length = length;
	r.u.region.count = count;
	r.u.region.rights = 3;
	return r;
}

static struct vtoe_ctl_request lane_del(uint32_t id)
{
	struct vtoe_ctl_request r = { .op = VTOE_CTL_LANE_DEL, .lane = id };

	return r;
}

static void control(void)
{
	struct vtoe_range ranges[4] = { { 0x80000, 4096 }, { 0x81000, 8192 },
					{ 0x83000, 4096 }, { 0x84000, 4096 } };
	uint32_t i;

	u8(0);
	request(hello(), 1);
	for (i = 0; i < 3; i++)
		request(lane(i), 2 + i);
	for (i = 0; i < 3; i++)
		request(lane_del(i), 10 + i);
	save("control", "lanes");
	u8(1);
	for (i = 0; i < 9; i++)
		request(region(0x80000, 4096, 1), 4 + i);
	save("control", "regions");
	u8(1);
	u8(1);
	u16(0x1000);
	bytes(ranges, sizeof(ranges));
	request(region(VTOE_GUEST_OFFSET + 0x1000, 0, 4), 4);
	request(region(VTOE_GUEST_OFFSET + 0x1000, 0, 2), 5);
	save("control", "list");
	u8(1);
	u8(0);
	u32(1000);
	u8(3);
	save("control", "jump");
}

/* -- lane -- */

static void entry(unsigned op, unsigned flags, unsigned offset, unsigned length,
		  unsigned op_flags)
{
	u8(4 | 8);
	u8(flags);
	u8(op);
	u8(op & 7);
	u16(offset);
	u16(length);
	u8(op_flags);
	if (op <= VTOE_OP_CONNECT && op >= VTOE_OP_OPEN && flags & 64)
		u16(7777);
	if (op == VTOE_OP_CANCEL)
		u8(VTOE_OP_RECV);
}

static void connected(void)
{
	entry(VTOE_OP_OPEN, 0, 0, 0, 0);
	entry(VTOE_OP_CONNECT, 1, 0, 0, 0);
	u8(2 | 0xc0);
}

static void lanes(void)
{
	unsigned i;

	connected();
	for (i = 0; i < 4; i++) {
		entry(VTOE_OP_SEND, 1, i * 16, 100, 0);
		entry(VTOE_OP_RECV, 1, 1024, 4096, i & 1 ? VTOE_IO_WAITALL : 0);
		u8(2);
		u8(1);
	}
	entry(VTOE_OP_SHUTDOWN, 1, 0, 1, 0);
	entry(VTOE_OP_CLOSE, 1, 0, 0, 0);
	save("lane", "stream");
	connected();
	entry(VTOE_OP_GRQ_ADD, 1, 0, 8192, 8);
	entry(VTOE_OP_GRQ_MODE, 1, 0, 0, 1);
	u8(2);
	entry(VTOE_OP_SEND, 1, 2048, 64, 0);
	u8(2 | 0xc0);
	entry(VTOE_OP_RECV, 1, 4096, 64, 0);
	entry(VTOE_OP_GRQ_MODE, 1, 0, 0, 0);
	save("lane", "generic");
	entry(VTOE_OP_OPEN, 0, 0, 0, 0);
	entry(VTOE_OP_BIND, 1 | 64, 0, 0, 0);
	entry(VTOE_OP_LISTEN, 1, 0, 16, 0);
	entry(VTOE_OP_ACCEPT, 1, 0, 0, VTOE_IO_MULTI);
	entry(VTOE_OP_OPEN, 0, 0, 0, 0);
	entry(VTOE_OP_CONNECT, 1 | 64, 0, 0, 0);
	u8(2 | 0xc0);
	entry(VTOE_OP_ACCEPT, 0, 0, 0, VTOE_IO_NONBLOCK);
	save("lane", "listen");
	connected();
	entry(VTOE_OP_RECV, 1, 0, 100, 0);
	entry(VTOE_OP_POLL, 1, 0, 0, 1);
	entry(VTOE_OP_CANCEL, 1, 0, 0, 0);
	entry(VTOE_OP_SHARE, 1, 0, 0, 0);
	entry(VTOE_OP_ADOPT, 0, 0, 0, 0);
	entry(VTOE_OP_CLOSE, 1, 0, 0, VTOE_CLOSE_ABORT);
	save("lane", "cancel");
	connected();
	entry(VTOE_OP_SHARE, 1, 0, 0, 0);
	u8(2 | 8);
	entry(VTOE_OP_ADOPT, 0, 0, 0, 0);
	entry(VTOE_OP_SEND, 0, 0, 100, 0);
	u8(2 | 8);
	entry(VTOE_OP_CLOSE, 1, 0, 0, 0);
	save("lane", "share");
	connected();
	for (i = 0; i < 20; i++)
		entry(VTOE_OP_SEND, 1, i, 60000, 0);
	u8(2);
	entry(VTOE_OP_CLOSE, 1, 0, 0, 0);
	save("lane", "bulk");
	connected();
	entry(VTOE_OP_RECV, 1, 0, 100, 0);
	entry(VTOE_OP_GRQ_ADD, 1, 512, 8192, 4);
	for (i = 0; i < 4; i++)
		entry(VTOE_OP_SEND, 1, i, 60000, 0);
	u8(1 | 8 | 0x80); /* the region goes, and comes */
	u8(1 | 8 | 0x20);
	entry(VTOE_OP_RECV, 1, 0, 100, 0);
	u8(1 | 8 | 0x10); /* the lane */
	u8(1 | 8 | 0xb0);
	connected();
	save("lane", "removal");
	for (i = 0; i < 20; i++)
		entry(i, 0, 0, 16, 1);
	save("lane", "all-ops");
}

/* -- frames -- */

static void frame_op(unsigned op, unsigned how)
{
	u8(5 | 8);
	u8(how);
	u8(op - VTOE_OP_CLAIM);
}

static void lend(unsigned count, unsigned offset)
{
	frame_op(VTOE_OP_AGGREGATE, 0);
	u8(count);
	u16(offset);
}

static void on_wire(unsigned port, unsigned payload, unsigned seq,
		    unsigned flags)
{
	u8(1 | 8);
	u8(port);
	u16(payload);
	u16(seq);
	u8(flags);
}

static void send_segment(unsigned port, unsigned payload)
{
	frame_op(VTOE_OP_SEGMENT, 0);
	u8(port | 4);
	u8(0x18);
	u16(payload);
	u8(7);
	u8(1);
}

static void frames(void)
{
	unsigned i, port;

	lend(16, 4096);
	frame_op(VTOE_OP_CLAIM, 0);
	for (i = 0; i < 8; i++)
		on_wire(0, 1000, i * 1000, i % 4 == 3 ? 0x18 : 0x10);
	frame_op(VTOE_OP_FLUSH, 0);
	u8(0);
	send_segment(0, 100);
	send_segment(0, 30000);
	u8(0);
	frame_op(VTOE_OP_UNCLAIM, 0);
	save("frames", "connection");
	for (port = 0; port < 4; port++)
		frame_op(VTOE_OP_CLAIM, 2 | port << 2);
	for (i = 0; i < 40; i++)
		on_wire(i % 4, 100, i * 100, 0x18);
	u8(3 | 0xf0);
	lend(30, 0);
	u8(0);
	u8(3 | 8); /* the other guest */
	lend(30, 0);
	frame_op(VTOE_OP_CLAIM, 2);
	save("frames", "ports");
	frame_op(VTOE_OP_CLAIM, 0);
	for (i = 0; i < 8; i++)
		on_wire(0, 1400, i * 1400, 0x10);
	lend(2, 0);
	u8(4 | 8); /* the region goes, and comes */
	u8(4 | 8 | 16);
	lend(8, 0);
	on_wire(0, 0, 9000, 0x11);
	u8(4); /* the lane */
	u8(4 | 16);
	frame_op(VTOE_OP_CLAIM, 4);
	on_wire(8, 10, 0, 2);
	on_wire(1, 10, 0, 2);
	save("frames", "removal");
}

/* -- local -- */

static void local(void)
{
	struct vtoe_ctl_request r = hello();
	unsigned i;

	u8(0);
	u8(1);
	u8(4);
	r.user_data = 1;
	u8(9);
	bytes(&r, sizeof(r));
	u8(11);
	u8(0);
	u8(15);
	r = lane(0);
	r.user_data = 2;
	u8(9);
	bytes(&r, sizeof(r));
	u8(11);
	u8(0);
	u8(15);
	u8(7);
	save("local", "session");
	for (i = 0; i < 3; i++) {
		u8(0 | i << 4);
		u8(1);
	}
	u8(5);
	u8(15);
	u8(0x16);
	u8(1);
	u8(15);
	u8(0x27);
	u8(15);
	save("local", "three");
}

/* -- connect -- */

static void completions(unsigned count)
{
	struct vtoe_ctl_completion c = { .op = VTOE_CTL_HELLO };
	unsigned i;

	u8(count);
	for (i = 0; i < count; i++) {
		c.op = (uint8_t)(i == 1 ? VTOE_CTL_REGION_ADD :
				 i == 2 ? VTOE_CTL_LANE_ADD : VTOE_CTL_HELLO);
		c.user_data = i + 1;
		c.key = i == 1 ? 0x1234567890ull : 0;
		c.lane = i == 2;
		bytes(&c, sizeof(c));
	}
}

/* As many right messages as said; the page changed in one place. */
static void handshake(const char *name, unsigned count, int at, unsigned value,
		      unsigned done)
{
	unsigned i;

	u8(count == 7 ? 0 : count << 1 | 1);
	for (i = 0; i < count; i++) {
		u8(0);
		if (i != 2)
			continue;
		u8(at >= 0);
		if (at >= 0) {
			u8((unsigned)at);
			u8(value);
		}
		completions(done);
	}
	save("connect", name);
}

static void connects(void)
{
	unsigned i;

	handshake("whole", 7, -1, 0, 3);
	handshake("no-answer", 7, -1, 0, 0);
	handshake("bad-magic", 7, 0, 0, 3);
	handshake("bad-version", 7, 4, 9, 3);
	handshake("bad-lanes", 7, 29, 0xff, 3);
	handshake("bad-control", 7, 24, 63, 3);
	handshake("short", 4, -1, 0, 3);
	u8(1 | 1 << 1);
	u8(0x40);
	for (i = 0; i < 8; i++)
		u8(i ? 0xff : 0xf3);
	save("connect", "refused");
}

/* -- config -- */

static void config(void)
{
	static const char small[] =
		"[vtoed]\nlog_level = info\n[guest web]\nuplink = bridge:br0\n"
		"address = 192.0.2.10/24, 2001:db8::10/64\n"
		"gateway = 192.0.2.1\nmac = 02:00:00:00:00:01\n";
	static const char two[] =
		"# comment\n[guest a]\nuplink = none\npeer_memory = 64M\n\n"
		"[guest b]\nuplink = macvlan:eth0\nmtu = 9000\n"
		"allow_uid = 0, 1000\nzerocopy_min = 16K\npeers = 10\n";
	static const char bad[] = "[guest ../x]\nuplink = bridge:\naddress=1\n";

	bytes(small, sizeof(small) - 1);
	save("config", "small");
	bytes(two, sizeof(two) - 1);
	save("config", "two");
	bytes(bad, sizeof(bad) - 1);
	save("config", "bad");
}

/* -- aggregate -- */

/* Good segments of four flows; `a` and `b` are the configuration. */
static void aggregate(const char *name, unsigned a, unsigned b, unsigned honest)
{
	unsigned i;

	u8(a);
	u8(b);
	u8(63);
	u16(65534);
	u8(honest);
	for (i = 0; i < 60; i++) {
		u8(0x80);
		u8((i & 3) | (i & 3) << 2);
		u8(0);
		u8(50);
		if (i == 20) { /* behind, with PSH, with an odd timestamp */
			u8(0x80);
			u8(0x7b);
			u8(0);
			u8(50);
			u8(0xce);
			u8(0x18);
			u8(9);
		}
		if (i == 30) { /* a patch: the TTL */
			u8(0x80);
			u8(0);
			u8(1);
			u8(50);
			u8(22);
			u8(9);
		}
		if (i == 40) { /* flush, time, and a raw frame */
			u8(0x20);
			u8(0);
			u8(29);
			u8(0);
			u16(2000);
			u8(0x40);
			u16(1);
			u16(20);
			bytes("01234567890123456789", 20);
		}
	}
	save("aggregate", name);
}

static void aggregates(void)
{
	aggregate("endpoint", 4, 31, 1);
	aggregate("isle", 0x14, 31, 1);
	aggregate("reversible", 0x44, 31, 1);
	aggregate("few", 0, 0xe3, 0);
}

/* -- tcp -- */

/* A segment near to where the connection is; no options. */
static void segment(unsigned action, unsigned flags, unsigned seq, unsigned ack)
{
	u8(action);
	u8(flags);
	u16(seq);
	u16(ack);
	u16(65535);
	u8(0);
}

static void tcp(void)
{
	/* accepted; payload in and out; closed by the peer first */
	u8(0x1f);
	segment(0, 0x02, 0, 0);
	u8(0x8f);
	segment(0, 0x10, 0, 1);
	u8(0x89);
	segment(1, 0x18, 0, 0);
	u16(1000);
	u8(0x82);
	u8(0x81);
	u16(3000);
	u8(0x8f);
	segment(0, 0x10, 0, 3000);
	segment(0, 0x11, 0, 0);
	u8(0x83);
	u8(0x8f);
	segment(0, 0x10, 0, 1);
	u8(0x89);
	save("tcp", "passive");

	/* connected; a gap, SACK blocks, a timeout, a window that closes */
	u8(0x9e);
	u8(0x8f);
	segment(0, 0x12, 0, 1);
	u8(0x8f);
	segment(1, 0x10, 1000, 0);
	u16(1000);
	u8(0x80);
	u32(20000);
	u8(0x8f);
	u8(0);
	u8(0x10);
	u32(0);
	u16(0);
	u8(12);
	bytes("\1\1\5\12", 4);
	u32(0);
	u32(0x10000);
	u8(0x8d);
	u8(0x8f);
	u8(0x8d);
	u8(0x8f);
	segment(2, 0x18, 0, 0);
	u16(500);
	u16(500);
	u8(0x82);
	u8(0x86);
	u16(500);
	u8(0x84);
	u32(1000000);
	u8(0x8d);
	u8(0x8f);
	save("tcp", "active");
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: fuzz_corpus DIRECTORY\n");
		return 99;
	}
	top = argv[1];
	ring();
	tcp();
	control();
	lanes();
	frames();
	local();
	connects();
	config();
	aggregates();
	return 0;
}
