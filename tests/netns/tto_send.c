/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tto_send - segments onto the wire, and what does not get there
 *
 * Each frame is checked as it lies on the wire: MACs, lengths, both checksums
 * (by the rig), addresses, every header field and every byte of payload. Of what
 * is refused nothing may be there.
 */
#include "tests/netns/tto_rig.h"

enum { PEER = 7000, PORT = 5001, USER = 100, V4 = VTOE_AF_INET,
       V6 = VTOE_AF_INET6, SLOT = 70 << 10, SLOTS = 16, SEGMENT_AT = 1 << 20,
       FIELD_ACK = 0x1234abcd, WINDOW = 777, WAIT_MS = 5000,
       BYTES_OF = sizeof(struct vtoe_segment), HEADERS = 114 };

static struct guest g;
static uint32_t claim;
static unsigned slot;

static uint32_t slot_at(void)
{
	return SEGMENT_AT + slot % SLOTS * SLOT;
}

static void set_ports(struct vtoe_segment *s, uint16_t local, uint16_t remote)
{
	s->local.port = local;
	s->remote.port = remote;
	bytes_put16(s->head, local);
	bytes_put16(s->head + 2, remote);
}

/* In pieces of odd lengths, the last one first in memory. */
static void lay_out(struct vtoe_segment *s, uint32_t seq, uint32_t payload)
{
	uint32_t at = slot_at() + 256, done = 0, i, k;
	uint32_t lengths[3] = { 0, 0, payload };

	if (payload > 10) {
		lengths[0] = payload / 3 | 1;
		lengths[1] = payload / 4 | 1;
		lengths[2] -= lengths[0] + lengths[1];
	}
	for (i = 0; i < 3; i++) {
		uint32_t place = at + (i < 2 ? lengths[2] : 0) +
				 (i == 1 ? lengths[0] : 0);

		s->pieces[i] = (struct vtoe_piece){ .key = g.key,
						    .offset = place,
						    .length = lengths[i] };
		for (k = 0; k < lengths[i]; k++)
			g.memory[ARENA + place + k] = byte_at(seq + done++);
	}
}

static struct vtoe_segment segment(unsigned family, uint32_t seq,
				   uint32_t payload, uint16_t size)
{
	struct vtoe_segment s = { .head_bytes = 20, .segment_size = size };

	slot++;
	name(&s.local, family, 2, 0);
	name(&s.remote, family, 1, 0);
	set_ports(&s, PORT, PEER);
	bytes_put32(s.head + 4, seq);
	bytes_put32(s.head + 8, FIELD_ACK);
	s.head[12] = 5 << 4;
	s.head[13] = FLAG_ACK | FLAG_PSH;
	bytes_put16(s.head + 14, WINDOW);
	bytes_put16(s.head + 16, 0xbad); /* the checksum is not looked at */
	lay_out(&s, seq, payload);
	return s;
}

static struct vtoe_sqe *segment_entry(const struct vtoe_segment *s)
{
	struct vtoe_sqe *e = entry(&g, VTOE_OP_SEGMENT, claim, USER + 1);

	memcpy(g.memory + ARENA + slot_at(), s, sizeof(*s));
	e->offset = slot_at();
	e->length = sizeof(*s);
	return e;
}

static void spoil(void)
{
	memset(g.memory + ARENA + slot_at(), 0x5a, SLOT);
}

/* Takes it; from then on the memory is ours. */
static void give(const struct vtoe_segment *s, uint32_t payload)
{
	struct vtoe_cqe c;

	segment_entry(s);
	c = answer(&g);
	assert_int_equal(c.user_data, USER + 1);
	assert_int_equal(c.result, payload);
	spoil();
}

/* -- on the wire ----------------------------------------------------------- */

static void is_same_header(const struct seen *seen,
			   const struct vtoe_segment *s)
{
	const uint8_t *tcp = seen->bytes + seen->l4;
	const uint8_t *ip = seen->bytes + RIG_LINK;
	bool six = s->local.family == V6;

	assert_int_equal(seen->six, six);
	assert_memory_equal(ip + (six ? 8 : 12), s->local.ip, six ? 16 : 4);
	assert_memory_equal(ip + (six ? 24 : 16), s->remote.ip, six ? 16 : 4);
	assert_int_equal(seen->ecn, s->ecn);
	if (!six)
		assert_int_equal(ip[6], 0x40); /* not to be fragmented */
	assert_int_equal(seen->payload - seen->l4, s->head_bytes);
	assert_memory_equal(tcp, s->head, 4);
	assert_memory_equal(tcp + 8, s->head + 8, 5);
	assert_memory_equal(tcp + 14, s->head + 14, 2);
	assert_memory_equal(tcp + 18, s->head + 18, s->head_bytes - 18u);
}

/* The next frames are this segment, cut as it says. */
static unsigned comes(const struct vtoe_segment *s, uint32_t payload)
{
	uint32_t seq = bytes_get32(s->head + 4), size = s->segment_size, done;
	struct seen seen;
	unsigned n = 0;
	uint8_t flags;

	if (!size || size > payload)
		size = payload;
	done = 0;
	do {
		uint32_t i, most = payload - done < size ? payload - done : size;

		assert_true(wire_next(&seen, WAIT_MS));
		assert_true(seen.length <= RIG_LINK + RIG_MTU);
		is_same_header(&seen, s);
		assert_int_equal(seen.seq, seq + done);
		assert_int_equal(seen.payload_length, most);
		flags = s->head[13];
		if (done)
			flags &= (uint8_t)~FLAG_CWR;
		if (done + most < payload)
			flags &= (uint8_t)~(FLAG_PSH | FLAG_FIN);
		assert_int_equal(seen.flags, flags);
		for (i = 0; i < most; i++)
			assert_int_equal(seen.bytes[seen.payload + i],
					 byte_at(seq + done + i));
		done += most;
		n++;
	} while (done < payload);
	return n;
}

/* -- life ------------------------------------------------------------------ */

static void begin(unsigned family)
{
	rig_begin(NULL);
	join(&g);
	claim = claimed(&g, family, PEER, PORT, USER);
}

static void learn(unsigned family)
{
	struct frame_of f = { .family = family, .remote_port = PEER,
			      .local_port = PORT };

	wire_deliver(&f, 1); /* there is no buffer for it: it waits */
}

static void both(void (*test)(unsigned family))
{
	test(V4);
	test(V6);
}

/* -- what gets there ------------------------------------------------------- */

static const uint32_t lengths[] = { 0, 1, 2, 11, 12, 13, 535, 536, 1399, 1400 };

static void give_short(unsigned family, uint32_t seq, uint32_t payload)
{
	struct vtoe_segment s = segment(family, seq, payload, 1400);

	s.ecn = seq & 3;
	s.head[13] = (uint8_t)(FLAG_ACK | (seq & 1 ? FLAG_CWR : FLAG_FIN));
	if (seq & 2) { /* options */
		s.head_bytes = 60;
		s.head[12] = 15 << 4;
		memset(s.head + 20, 1, 39);
	}
	give(&s, payload);
	assert_int_equal(comes(&s, payload), 1);
}

static void short_ones(unsigned family)
{
	unsigned i, n = sizeof(lengths) / sizeof(*lengths);

	for (i = 0; i < 4 * n; i++)
		give_short(family, 0xfffffff0u + i, lengths[i / 4]);
}

/* As long as the service does not know the neighbour. */
static void routed(unsigned family)
{
	uint64_t sent;

	begin(family);
	short_ones(family);
	sent = stats.tto_segments;
	assert_true(sent > 0);
	assert_int_equal(stats.tto_routed, sent);
	rig_end();
}

static void test_routed(void **state)
{
	(void)state;
	both(routed);
}

/* When something has come from it. */
static void known(unsigned family)
{
	uint64_t by_xdp;

	begin(family);
	learn(family);
	by_xdp = device.tto->xsk.stats.sent;
	short_ones(family);
	assert_int_equal(stats.tto_routed, 0);
	assert_int_equal(stats.tto_cut, 0);
	assert_int_equal(device.tto->xsk.stats.sent - by_xdp,
			 stats.tto_segments);
	rig_end();
}

static void test_known(void **state)
{
	(void)state;
	both(known);
}

static void give_long(unsigned family, uint32_t seq, uint32_t payload,
		      uint16_t size)
{
	struct vtoe_segment s = segment(family, seq, payload, size);

	s.ecn = 2;
	s.head[13] = FLAG_ACK | FLAG_PSH | FLAG_FIN | FLAG_CWR;
	give(&s, payload);
	assert_int_equal(comes(&s, payload), (payload + size - 1) / size);
}

static void long_ones(unsigned family)
{
	uint32_t seq = 0xffff0000u;

	give_long(family, seq, 1401, 1400);
	give_long(family, seq, 2800, 1400);
	give_long(family, seq, 2801, 1400);
	give_long(family, seq, 9999, 1399);
	give_long(family, seq, 65535 - HEADERS, 1440);
	give_long(family, seq, VTOE_SEGMENT_FRAMES, 1);
	give_long(family, seq, VTOE_SEGMENT_FRAMES * 3 - 1, 3);
	give_long(family, seq, VTOE_SEGMENT_FRAMES * 511, 511);
}

static void cut(unsigned family)
{
	begin(family);
	learn(family);
	long_ones(family);
	assert_int_equal(stats.tto_cut, stats.tto_segments);
	rig_end();
	begin(family);
	long_ones(family);
	assert_int_equal(stats.tto_cut, 0);
	assert_int_equal(stats.tto_routed, stats.tto_segments);
	rig_end();
}

static void test_cut(void **state)
{
	(void)state;
	both(cut);
}

/* Whatever way each goes, given at once. */
static void in_order(unsigned family)
{
	enum { COUNT = SLOTS - 1 };
	struct vtoe_segment s[COUNT];
	uint32_t payload[COUNT], seq = 9, round, i;

	begin(family);
	for (round = 0; round < 20; round++) {
		if (round == 3) /* there are still frames of these ways */
			learn(family);
		for (i = 0; i < COUNT; i++) {
			payload[i] = (uint32_t)rand() % 2 ?
					     (uint32_t)rand() % 1400 :
					     1401 + (uint32_t)rand() % 8000;
			s[i] = segment(family, seq, payload[i], 1400);
			segment_entry(&s[i]);
			seq += payload[i];
		}
		submit(&g);
		for (i = 0; i < COUNT; i++)
			assert_int_equal(wait_cqe(&g).result, payload[i]);
		for (i = 0; i < COUNT; i++)
			comes(&s[i], payload[i]);
	}
	assert_true(stats.tto_cut && stats.tto_routed &&
		    device.tto->xsk.stats.sent);
	rig_end();
}

static void test_in_order(void **state)
{
	(void)state;
	both(in_order);
}

/* In one turn more than the service has frames to send from. */
static void test_many(void **state)
{
	enum { MANY = 900 };
	struct vtoe_segment s;
	unsigned i, round;

	(void)state;
	rig_begin(NULL);
	device.limits.credit = MANY;
	join(&g);
	add_lane(&g, 1024, 1024);
	claim = claimed(&g, V4, PEER, PORT, USER);
	learn(V4);
	for (round = 0; round < 4; round++) {
		s = segment(V4, 5, 100, 0);
		for (i = 0; i < MANY; i++)
			segment_entry(&s);
		submit(&g);
		for (i = 0; i < MANY; i++)
			assert_int_equal(wait_cqe(&g).result, 100);
		for (i = 0; i < MANY; i++)
			comes(&s, 100);
	}
	assert_int_equal(stats.tto_lost, 0);
	assert_int_equal(stats.tto_segments, 4 * MANY);
	assert_int_equal(stats.tx_bytes, 4 * MANY * 100);
	rig_end();
}

/* From each of our addresses, to each peer, with its port alone. */
static void test_port(void **state)
{
	struct vtoe_segment s;
	struct tto_flow flow;
	uint32_t at = 0;

	(void)state;
	rig_begin(NULL);
	assert_int_equal(system("ip addr add 10.99.0.3/16 dev ours;"
				" ip neigh add 10.99.0.9 dev ours"
				" lladdr 02:00:00:00:00:01"), 0);
	join(&g);
	claim = port_claimed(&g, V4, PORT, USER);
	s = segment(V4, 1, 100, 0);
	give(&s, 100);
	comes(&s, 100);
	s = segment(V4, 1, 100, 0);
	set_ports(&s, PORT, 1);
	s.local.ip[3] = 3;
	s.remote.ip[3] = 9;
	give(&s, 100);
	comes(&s, 100);
	assert_true(tto_next_flow(&device, &at, &flow));
	assert_int_equal(flow.sent, 2);
	assert_int_equal(flow.tx_bytes, 200);
	rig_end();
	assert_int_equal(system("ip addr del 10.99.0.3/16 dev ours;"
				" ip neigh del 10.99.0.9 dev ours"), 0);
}

/* What is known of a neighbour is known of that one, and not for ever. */
static void test_neighbour(void **state)
{
	struct vtoe_segment s;

	(void)state;
	assert_int_equal(system("ip neigh add 10.99.0.9 dev ours"
				" lladdr 02:00:00:00:00:01"), 0);
	rig_begin(NULL);
	join(&g);
	claim = port_claimed(&g, V4, PORT, USER);
	learn(V4);
	s = segment(V4, 1, 100, 0);
	s.remote.ip[3] = 9;
	give(&s, 100);
	comes(&s, 100);
	assert_int_equal(stats.tto_routed, 1);
	s = segment(V4, 1, 100, 0);
	give(&s, 100);
	comes(&s, 100);
	assert_int_equal(stats.tto_routed, 1);
	pass(60000);
	s = segment(V4, 1, 100, 0);
	give(&s, 100);
	comes(&s, 100);
	assert_int_equal(stats.tto_routed, 2);
	rig_end();
	assert_int_equal(system("ip neigh del 10.99.0.9 dev ours"), 0);
}

/* Longer than the path takes: lost, whichever way it goes. (A device takes four
 * bytes more, for a tag.) */
/* -- what does not --------------------------------------------------------- */

static void refused(const struct vtoe_segment *s, int error)
{
	uint64_t sent = stats.tto_segments;

	segment_entry(s);
	assert_int_equal(answer(&g).result, error);
	assert_true(stats.tto_segments - sent <= 1);
	wire_is_silent();
}

static void test_too_long_frame(void **state)
{
	static const uint32_t bytes[] = { 1465, 1700, 3000, 60000 };
	struct vtoe_segment s;
	unsigned i, k;

	(void)state;
	begin(V4);
	for (k = 0; k < 2; k++) {
		for (i = 0; i < 4; i++) {
			s = segment(V4, 1, bytes[i], 0);
			refused(&s, -EMSGSIZE);
		}
		learn(V4);
	}
	s = segment(V4, 1, 1460, 0);
	give(&s, 1460);
	comes(&s, 1460);
	rig_end();
}

typedef void change(struct vtoe_segment *s);

static void piece_reserved(struct vtoe_segment *s)
{
	s->pieces[2].reserved = 1; /* also of one that is not used */
}

static void pad(struct vtoe_segment *s)
{
	s->pad[7] = 1;
}

static void head_16(struct vtoe_segment *s)
{
	s->head_bytes = 16;
	s->head[12] = 4 << 4;
}

static void head_0(struct vtoe_segment *s)
{
	s->head_bytes = 0;
	s->head[12] = 0;
}

static void head_21(struct vtoe_segment *s)
{
	s->head_bytes = 21;
}

static void head_64(struct vtoe_segment *s)
{
	s->head_bytes = 64;
}

static void head_255(struct vtoe_segment *s)
{
	s->head_bytes = 255;
}

static void head_24(struct vtoe_segment *s)
{
	s->head_bytes = 24; /* says 20 itself */
}

static void head_says_24(struct vtoe_segment *s)
{
	s->head[12] = 6 << 4;
}

static void ecn_4(struct vtoe_segment *s)
{
	s->ecn = 4;
}

static void head_from_other(struct vtoe_segment *s)
{
	bytes_put16(s->head, PORT + 1);
}

static void head_to_other(struct vtoe_segment *s)
{
	bytes_put16(s->head + 2, PEER + 1);
}

static void from_other_port(struct vtoe_segment *s)
{
	set_ports(s, PORT + 1, PEER);
}

static void from_other(struct vtoe_segment *s)
{
	s->local.ip[3]++;
}

static void from_peer(struct vtoe_segment *s)
{
	s->local.ip[3] = 1;
}

static void from_none(struct vtoe_segment *s)
{
	memset(s->local.ip, 0, 16);
}

static void from_loopback(struct vtoe_segment *s)
{
	memcpy(s->local.ip, "\x7f\0\0\1", 4);
}

static void from_broadcast(struct vtoe_segment *s)
{
	memcpy(s->local.ip, "\x0a\x63\xff\xff", 4);
}

static void from_multicast(struct vtoe_segment *s)
{
	memcpy(s->local.ip, "\xe0\0\0\1", 4);
}

static void from_six(struct vtoe_segment *s)
{
	name(&s->local, V6, 2, PORT);
}

static void from_nothing(struct vtoe_segment *s)
{
	s->local.family = 0;
}

static void to_six(struct vtoe_segment *s)
{
	name(&s->remote, V6, 1, PEER);
}

static void both_six(struct vtoe_segment *s)
{
	from_six(s);
	to_six(s);
}

static void to_other_port(struct vtoe_segment *s)
{
	set_ports(s, PORT, PEER + 1);
}

static void to_other(struct vtoe_segment *s)
{
	s->remote.ip[3]++;
}

static void too_many_frames(struct vtoe_segment *s)
{
	lay_out(s, 1, VTOE_SEGMENT_FRAMES * 10 + 1);
	s->segment_size = 10;
}

static void too_long(struct vtoe_segment *s)
{
	lay_out(s, 1, 65536);
	s->segment_size = 1400;
}

static void too_long_with_headers(struct vtoe_segment *s)
{
	lay_out(s, 1, 65535);
	s->segment_size = 1400;
}

static void too_long_piece(struct vtoe_segment *s)
{
	s->pieces[1].length = 0xffffffff;
}

static void sum_wraps(struct vtoe_segment *s)
{
	s->pieces[0].length = 0xffffff00;
	s->pieces[1].length = 0x200;
}

static void bad_key(struct vtoe_segment *s)
{
	s->pieces[2].key++;
}

static void no_key(struct vtoe_segment *s)
{
	s->pieces[0].key = 0;
}

static void outside(struct vtoe_segment *s)
{
	s->pieces[1].offset = BYTES - ARENA - s->pieces[1].length + 1u;
}

static void far_outside(struct vtoe_segment *s)
{
	s->pieces[2].offset = ~0ull - 3;
}

static const struct {
	change *what;
	int error;
	bool connection, port; /* at which claims is it wrong? */
} changes[] = {
	{ piece_reserved, -EINVAL, true, true },
	{ pad, -EINVAL, true, true },
	{ head_16, -EINVAL, true, true },
	{ head_0, -EINVAL, true, true },
	{ head_21, -EINVAL, true, true },
	{ head_64, -EINVAL, true, true },
	{ head_255, -EINVAL, true, true },
	{ head_24, -EINVAL, true, true },
	{ head_says_24, -EINVAL, true, true },
	{ ecn_4, -EINVAL, true, true },
	{ head_from_other, -EACCES, true, true },
	{ head_to_other, -EACCES, true, true },
	{ from_other_port, -EACCES, true, true },
	{ from_other, -EACCES, true, true },
	{ from_peer, -EACCES, true, true },
	{ from_none, -EACCES, true, true },
	{ from_loopback, -EACCES, true, true },
	{ from_broadcast, -EACCES, true, true },
	{ from_multicast, -EACCES, true, true },
	{ from_six, -EACCES, true, true },
	{ from_nothing, -EACCES, true, true },
	{ to_six, -EACCES, true, true },
	{ both_six, -EACCES, true, true },
	{ to_other_port, -EACCES, true, false },
	{ to_other, -EACCES, true, false },
	{ too_many_frames, -EMSGSIZE, true, true },
	{ too_long, -EMSGSIZE, true, true },
	{ too_long_with_headers, -EMSGSIZE, true, true },
	{ too_long_piece, -EMSGSIZE, true, true },
	{ sum_wraps, -EMSGSIZE, true, true },
	{ bad_key, -ENOKEY, true, true },
	{ no_key, -ENOKEY, true, true },
	{ outside, -ERANGE, true, true },
	{ far_outside, -ERANGE, true, true },
};

static void refuse_all(bool port)
{
	struct vtoe_segment s;
	unsigned i;

	for (i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		if (port ? !changes[i].port : !changes[i].connection)
			continue;
		s = segment(V4, 1, 1000, 1400);
		changes[i].what(&s);
		refused(&s, changes[i].error);
	}
	s = segment(V4, 1, 1000, 1400);
	s.pieces[0].length = s.pieces[1].length = 0;
	s.pieces[0].key = 99; /* names no memory */
	s.pieces[1].offset = ~0ull;
	lay_out(&s, 1, 5);
	s.pieces[0].key = 99;
	s.pieces[1].offset = ~0ull;
	give(&s, 5);
	comes(&s, 5);
}

/* By all of the ways. */
static void test_refused(void **state)
{
	(void)state;
	begin(V4);
	refuse_all(false);
	learn(V4);
	refuse_all(false);
	rig_end();
	rig_begin(NULL);
	join(&g);
	claim = port_claimed(&g, V4, PORT, USER);
	refuse_all(true);
	learn(V4);
	refuse_all(true);
	rig_end();
}

/* IPv6's nobodies; a port's claim at one address. */
static void test_refused_addresses(void **state)
{
	struct vtoe_segment s;

	(void)state;
	rig_begin(NULL);
	assert_int_equal(system("ip addr add 10.99.0.3/16 dev ours"), 0);
	join(&g);
	claim = port_claimed(&g, V6, PORT, USER);
	s = segment(V6, 1, 100, 0);
	memset(s.local.ip, 0, 16);
	refused(&s, -EACCES);
	s.local.ip[15] = 1;
	refused(&s, -EACCES);
	memcpy(s.local.ip + 10, "\xff\xff\x0a\x63\0\2", 6);
	refused(&s, -EACCES);
	s = segment(V6, 1, 100, 0);
	s.local.ip[15] = 3;
	refused(&s, -EACCES);
	port_entry(&g, V4, 2, PORT, USER + 10);
	claim = answer(&g).stream;
	s = segment(V4, 1, 100, 0);
	s.local.ip[3] = 3;
	refused(&s, -EACCES);
	memset(s.local.ip, 0, 4);
	refused(&s, -EACCES);
	s = segment(V4, 1, 100, 0);
	give(&s, 100);
	comes(&s, 100);
	rig_end();
	assert_int_equal(system("ip addr del 10.99.0.3/16 dev ours"), 0);
}

/* The entry's memory, and rights. */
static void test_refused_memory(void **state)
{
	enum { AT = 64 << 10 };
	struct vtoe_ctl_request del = { .op = VTOE_CTL_REGION_DEL };
	struct vtoe_segment s;
	struct guest other;
	uint64_t key;
	uint32_t i;

	(void)state;
	begin(V4);
	join(&other);
	s = segment(V4, 1, 100, 0);
	for (i = 0; i < 3; i++) {
		segment_entry(&s)->length = i ? BYTES_OF - 3 + 2 * i : 0;
		assert_int_equal(answer(&g).result, -EINVAL);
	}
	segment_entry(&s)->key++;
	assert_int_equal(answer(&g).result, -ENOKEY);
	segment_entry(&s)->key = other.key;
	assert_int_equal(answer(&g).result, -ENOKEY);
	segment_entry(&s)->offset = BYTES - ARENA - BYTES_OF + 1;
	assert_int_equal(answer(&g).result, -ERANGE);
	key = region(&g, ARENA, AT, VTOE_REGION_WRITE);
	segment_entry(&s)->key = key;
	assert_int_equal(answer(&g).result, -EACCES);
	s.pieces[1].key = other.key;
	refused(&s, -ENOKEY);
	s.pieces[1].key = key;
	s.pieces[1].offset = 0;
	refused(&s, -EACCES);
	del.u.key = key;
	assert_int_equal(ctl(&g, del).result, 0); /* nothing holds it */
	refused(&s, -ENOKEY);
	/* to read it is enough */
	key = region(&g, ARENA, BYTES - ARENA, VTOE_REGION_READ);
	s = segment(V4, 1, 100, 0);
	for (i = 0; i < VTOE_SEGMENT_PIECES; i++)
		s.pieces[i].key = key;
	segment_entry(&s)->key = key;
	assert_int_equal(answer(&g).result, 100);
	comes(&s, 100);
	wire_is_silent();
	del.u.key = key;
	assert_int_equal(ctl(&g, del).result, 0); /* nor this one */
	rig_end();
}

/* Where the kernel has no way. */
static void test_no_route(void **state)
{
	struct vtoe_segment s;

	(void)state;
	rig_begin(NULL);
	join(&g);
	claim = port_claimed(&g, V4, PORT, USER);
	s = segment(V4, 1, 100, 0);
	memcpy(s.remote.ip, "\xc0\0\2\1", 4);
	refused(&s, -ENETUNREACH);
	s = segment(V4, 1, 5000, 1400);
	memcpy(s.remote.ip, "\xc0\0\2\1", 4);
	refused(&s, -ENETUNREACH);
	rig_end();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routed),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_port),
		cmocka_unit_test(test_neighbour),
		cmocka_unit_test(test_too_long_frame),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_refused_addresses),
		cmocka_unit_test(test_refused_memory),
		cmocka_unit_test(test_no_route),
	};

	return RIG_RUN(tests);
}
