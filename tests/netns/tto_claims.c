/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tto_claims - which frames are whose: CLAIM, UNCLAIM, and dead workers
 *
 * A claim is looked at in all of its three places: the guest's frames come and
 * others' do not; the kernel's sockets cannot have the port; and the
 * supervisor's map steers the frames, so that the kernel does not reset them,
 * until the claim ends.
 */
#include "tests/netns/tto_rig.h"

#include <arpa/inet.h>
#include <netinet/in.h>

enum { PEER = 7000, PORT = 5001, USER = 100, EACH = 2048, V4 = VTOE_AF_INET,
       V6 = VTOE_AF_INET6 };

static struct frame_of frame(unsigned family, uint16_t remote_port,
			     uint16_t local_port)
{
	return (struct frame_of){ .family = family,
				  .remote_port = remote_port,
				  .local_port = local_port,
				  .flags = FLAG_ACK | FLAG_PSH,
				  .payload = 10 };
}

/* Can the kernel's sockets have it? */
static bool port_is_free(unsigned family, uint16_t port)
{
	struct vtoe_address a;
	int fd = socket_open(family), rc, on = 1;

	if (family == V6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	name(&a, family, 0, port);
	rc = socket_bind(fd, &a, family);
	close(fd);
	assert_true(!rc || rc == -EADDRINUSE);
	return !rc;
}

/* A frame of it comes to this guest as the claim `user`'s. */
static void comes(struct guest *g, const struct frame_of *f, uint64_t user)
{
	struct vtoe_cqe c;

	wire_deliver(f, 1);
	c = wait_frame(g, user);
	assert_int_equal(c.result, f->payload);
	assert_int_equal(received(g, &c)->remote.port, f->remote_port);
	assert_int_equal(received(g, &c)->local.port, f->local_port);
	lend(g, c.offset, 1, EACH);
}

static void refused(struct guest *g, int error)
{
	struct vtoe_cqe c = answer(g);

	assert_int_equal(c.result, error);
	assert_int_equal(c.flags, 0);
	assert_int_equal(stats.tto_claims, rig_mapped());
}

static void begin(struct guest *g)
{
	rig_begin(NULL);
	join(g);
	lend(g, 0, 16, EACH);
}

/* -- what a claim is ------------------------------------------------------- */

static void connection(unsigned family)
{
	struct frame_of f = frame(family, PEER, PORT), other = f;
	struct vtoe_address local;
	struct vtoe_cqe c;
	struct guest g;

	begin(&g);
	wire_is_answered(&f); /* not claimed */
	claim_entry(&g, family, 1, PEER, PORT, USER);
	c = answer(&g);
	assert_int_equal(c.result, 0);
	assert_int_equal(c.flags, VTOE_CQE_MORE);
	assert_int_equal(c.length, RIG_MTU);
	name(&local, family, 2, PORT);
	assert_memory_equal(&c.u.address, &local, sizeof(local));
	assert_false(port_is_free(family, PORT));
	assert_int_equal(rig_mapped(), 1);
	assert_int_equal(stats.tto_claims, 1);
	comes(&g, &f, USER);
	other.remote_port++;
	wire_is_answered(&other);
	other = f;
	other.local_port++;
	wire_is_answered(&other);
	wire_is_silent();
	unclaim(&g, c.stream, USER);
	assert_true(port_is_free(family, PORT));
	assert_int_equal(rig_mapped(), 0);
	wire_is_answered(&f);
	is_quiet(&g);
	rig_end();
}

static void test_connection(void **state)
{
	(void)state;
	connection(V4);
	connection(V6);
}

/* Any port that is free. */
static void test_chosen_port(void **state)
{
	struct vtoe_cqe a, b;
	struct frame_of f;
	struct guest g;

	(void)state;
	begin(&g);
	claim_entry(&g, V4, 1, PEER, 0, USER);
	a = answer(&g);
	claim_entry(&g, V4, 1, PEER, 0, USER + 10);
	b = answer(&g);
	assert_true(a.u.address.port && b.u.address.port);
	assert_int_not_equal(a.u.address.port, b.u.address.port);
	assert_int_not_equal(a.stream, b.stream);
	assert_false(port_is_free(V4, a.u.address.port));
	f = frame(V4, PEER, b.u.address.port);
	comes(&g, &f, USER + 10);
	f.local_port = a.u.address.port;
	comes(&g, &f, USER);
	port_entry(&g, V4, 0, 0, USER + 20);
	a = answer(&g);
	assert_int_equal(a.result, 0);
	f = frame(V4, 1, a.u.address.port);
	comes(&g, &f, USER + 20);
	rig_end();
	assert_true(port_is_free(V4, f.local_port));
}

static void test_port(void **state)
{
	struct frame_of f = frame(V4, PEER, PORT), six = frame(V6, PEER, PORT);
	struct guest g;
	uint32_t id;

	(void)state;
	begin(&g);
	id = port_claimed(&g, V4, PORT, USER);
	assert_false(port_is_free(V4, PORT));
	assert_true(port_is_free(V6, PORT));
	comes(&g, &f, USER);
	f.remote_port = 1;
	comes(&g, &f, USER);
	f.remote = 77;
	comes(&g, &f, USER);
	wire_is_answered(&six); /* the other family's is the kernel's */
	is_quiet(&g);
	unclaim(&g, id, USER);
	f = frame(V4, PEER, PORT);
	wire_is_answered(&f);
	/* at one address only */
	port_entry(&g, V6, 2, PORT, USER);
	assert_int_equal(answer(&g).result, 0);
	comes(&g, &six, USER);
	six.local = 3;
	wire_is_swallowed(&six);
	is_quiet(&g);
	rig_end();
}

/* The two families of a port are two; addresses of one share it. */
static void test_both_families(void **state)
{
	struct frame_of f = frame(V4, PEER, PORT), six = frame(V6, PEER, PORT);
	struct guest a, b;
	uint32_t id;

	(void)state;
	begin(&a);
	join(&b);
	lend(&b, 0, 16, EACH);
	id = port_claimed(&a, V4, PORT, USER);
	port_entry(&b, V4, 2, PORT, USER + 10)->offset = RIG_SECRET + 1;
	refused(&b, -EADDRINUSE);
	port_entry(&b, V6, 0, PORT, USER + 10)->offset = RIG_SECRET + 1;
	assert_int_equal(answer(&b).result, 0);
	assert_int_equal(rig_mapped(), 2);
	assert_int_equal(stats.tto_claims, 2);
	comes(&a, &f, USER);
	comes(&b, &six, USER + 10);
	unclaim(&a, id, USER);
	assert_int_equal(rig_mapped(), 1);
	assert_true(port_is_free(V4, PORT));
	assert_false(port_is_free(V6, PORT));
	wire_is_answered(&f);
	comes(&b, &six, USER + 10);
	leave(&b);
	assert_int_equal(rig_mapped(), 0);
	wire_is_answered(&six);
	rig_end();
}

/* A port is a PORT claim's, or that of one connection, in each family. */
static void test_connection_beside_port(void **state)
{
	struct frame_of f = frame(V4, PEER, PORT), six = frame(V6, PEER, PORT);
	struct guest g;
	uint32_t port;

	(void)state;
	begin(&g);
	port = port_claimed(&g, V4, PORT, USER);
	claim_entry(&g, V4, 1, PEER, PORT, USER);
	refused(&g, -EADDRINUSE);
	claimed(&g, V6, PEER, PORT, USER + 20);
	comes(&g, &six, USER + 20);
	unclaim(&g, port, USER);
	claimed(&g, V4, PEER, PORT, USER + 10);
	comes(&g, &f, USER + 10);
	port_entry(&g, V4, 0, PORT, USER);
	refused(&g, -EADDRINUSE);
	rig_end();
}

/* -- what is refused ------------------------------------------------------- */

static void test_refused_connection(void **state)
{
	struct vtoe_sqe *e;
	struct guest g;

	(void)state;
	begin(&g);
	claim_entry(&g, VTOE_AF_UNSPEC, 0, PEER, PORT, USER);
	refused(&g, -EAFNOSUPPORT);
	claim_entry(&g, 5, 1, PEER, PORT, USER);
	refused(&g, -EAFNOSUPPORT);
	claim_entry(&g, V4, 1, 0, PORT, USER); /* the peer's port */
	refused(&g, -EINVAL);
	claim_entry(&g, V4, 0, PEER, PORT, USER); /* any peer */
	refused(&g, -EINVAL);
	claim_entry(&g, V6, 0, PEER, PORT, USER);
	refused(&g, -EINVAL);
	claim_entry(&g, V4, 1, PEER, PORT, USER)->length = 65536;
	refused(&g, -EINVAL);
	claim_entry(&g, V4, 1, PEER, PORT, USER)->op_flags = 2;
	refused(&g, -EINVAL);
	claim_entry(&g, V4, 1, PEER, PORT, USER)->reserved = 1;
	refused(&g, -EINVAL);
	claim_entry(&g, V4, 2, PEER, PORT, USER); /* ourselves */
	refused(&g, -ENETUNREACH);
	claim_entry(&g, V6, 2, PEER, PORT, USER);
	refused(&g, -ENETUNREACH);
	e = claim_entry(&g, V4, 1, PEER, PORT, USER);
	memcpy(e->u.address.ip, "\x7f\0\0\1", 4);
	refused(&g, -ENETUNREACH);
	e = claim_entry(&g, V4, 1, PEER, PORT, USER); /* no route */
	memcpy(e->u.address.ip, "\xc0\0\2\1", 4);
	refused(&g, -ENETUNREACH);
	e = claim_entry(&g, V6, 1, PEER, PORT, USER); /* IPv4 in disguise */
	memset(e->u.address.ip, 0, 16);
	memcpy(e->u.address.ip + 10, "\xff\xff\x0a\x63\0\1", 6);
	assert_true(answer(&g).result < 0);
	claim_entry(&g, V4, 1, PEER, PORT, USER)->key = 5; /* means nothing */
	assert_int_equal(answer(&g).result, 0);
	rig_end();
}

/* Frames to an address of ours do not come from the wire, whichever it is. */
static void test_own_second_address(void **state)
{
	struct guest g;

	(void)state;
	begin(&g);
	assert_int_equal(system("ip addr add 10.99.0.3/16 dev ours"), 0);
	claim_entry(&g, V4, 3, PEER, PORT, USER);
	refused(&g, -ENETUNREACH);
	assert_int_equal(system("ip addr del 10.99.0.3/16 dev ours"), 0);
	rig_end();
}

static void test_refused_port(void **state)
{
	struct vtoe_sqe *e;
	struct guest g;

	(void)state;
	begin(&g);
	port_entry(&g, VTOE_AF_UNSPEC, 0, PORT, USER);
	refused(&g, -EAFNOSUPPORT);
	port_entry(&g, V4, 1, PORT, USER); /* the peer's */
	refused(&g, -EADDRNOTAVAIL);
	port_entry(&g, V6, 1, PORT, USER);
	refused(&g, -EADDRNOTAVAIL);
	e = port_entry(&g, V4, 1, PORT, USER);
	memcpy(e->u.address.ip, "\x7f\0\0\1", 4);
	refused(&g, -EADDRNOTAVAIL);
	e = port_entry(&g, V4, 1, PORT, USER); /* broadcast */
	memcpy(e->u.address.ip, "\x0a\x63\xff\xff", 4);
	refused(&g, -EADDRNOTAVAIL);
	e = port_entry(&g, V6, 1, PORT, USER); /* IPv4 in disguise */
	memset(e->u.address.ip, 0, 16);
	memcpy(e->u.address.ip + 10, "\xff\xff\x0a\x63\0\2", 6);
	refused(&g, -EADDRNOTAVAIL);
	port_entry(&g, V4, 0, PORT, USER)->op_flags |= 4;
	refused(&g, -EINVAL);
	rig_end();
}

/* By a stream, by the kernel's own sockets, by a claim. */
static void test_port_in_use(void **state)
{
	struct guest a, b;
	uint32_t id;
	uint16_t port;

	(void)state;
	begin(&a);
	join(&b);
	id = listening(&a, &port); /* at the loopback address */
	port_entry(&b, V4, 0, port, USER);
	refused(&b, -EADDRINUSE);
	entry(&a, VTOE_OP_CLOSE, id, 1);
	assert_int_equal(answer(&a).result, 0);
	claimed(&a, V4, PEER, PORT, USER);
	claim_entry(&a, V4, 1, PEER, PORT, USER); /* the same */
	refused(&a, -EADDRINUSE);
	claim_entry(&b, V4, 1, PEER, PORT, USER);
	refused(&b, -EADDRINUSE);
	claim_entry(&b, V4, 1, PEER + 1, PORT, USER); /* only the port */
	refused(&b, -EADDRINUSE);
	port_entry(&b, V4, 0, PORT, USER);
	refused(&b, -EADDRINUSE);
	port_claimed(&a, V4, PORT + 1, USER);
	port_entry(&b, V4, 0, PORT + 1, USER);
	refused(&b, -EADDRINUSE);
	claim_entry(&b, V4, 1, PEER, PORT + 1, USER);
	refused(&b, -EADDRINUSE);
	/* and a stream does not get a claim's */
	entry(&b, VTOE_OP_OPEN, 0, 1)->u.address.family = V4;
	name(&entry(&b, VTOE_OP_BIND, VTOE_STREAM_LAST, 2)->u.address, V4, 0,
	     PORT);
	entry(&b, VTOE_OP_CLOSE, VTOE_STREAM_LAST, 3);
	assert_int_equal(answer(&b).result, 0);
	assert_int_equal(wait_cqe(&b).result, -EADDRINUSE);
	assert_int_equal(wait_cqe(&b).result, 0);
	rig_end();
}

static void bad_claim(struct guest *g, uint32_t id)
{
	static const enum vtoe_op ops[] = { VTOE_OP_UNCLAIM, VTOE_OP_SEGMENT,
					    VTOE_OP_FLUSH };
	unsigned i;

	for (i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
		entry(g, ops[i], id, 1)->length = sizeof(struct vtoe_segment);
		assert_int_equal(answer(g).result, -EBADF);
	}
}

static void test_not_your_claim(void **state)
{
	struct frame_of f = frame(V4, PEER, PORT);
	struct guest a, same, b;
	uint32_t id, again;

	(void)state;
	begin(&a);
	join(&b);
	id = claimed(&a, V4, PEER, PORT, USER);
	bad_claim(&b, id);
	same = a;
	add_lane(&same, ENTRIES, ENTRIES); /* of the same connection */
	bad_claim(&same, id);
	a.ctl_q = same.ctl_q;
	a.ctl_c = same.ctl_c;
	bad_claim(&a, id + 1);
	bad_claim(&a, id ^ 1u << 20);
	bad_claim(&a, VTOE_STREAM_LAST);
	entry(&a, VTOE_OP_UNCLAIM, VTOE_STREAM_NONE, 1);
	assert_int_equal(answer(&a).result, -EBADF);
	entry(&a, VTOE_OP_SEGMENT, VTOE_STREAM_NONE, 1);
	assert_int_equal(answer(&a).result, -EBADF);
	flush(&b, VTOE_STREAM_NONE);
	is_flushed(&b);
	comes(&a, &f, USER); /* nothing has happened to it */
	unclaim(&a, id, USER);
	bad_claim(&a, id); /* stale */
	again = claimed(&a, V4, PEER, PORT, USER);
	assert_int_not_equal(id, again);
	bad_claim(&a, id);
	comes(&a, &f, USER);
	rig_end();
}

static void test_flags(void **state)
{
	static const enum vtoe_op ops[] = { VTOE_OP_UNCLAIM, VTOE_OP_SEGMENT,
					    VTOE_OP_FLUSH };
	struct guest g;
	uint32_t id;
	unsigned i;

	(void)state;
	begin(&g);
	id = claimed(&g, V4, PEER, PORT, USER);
	for (i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
		entry(&g, ops[i], id, 1)->op_flags = 1;
		assert_int_equal(answer(&g).result, -EINVAL);
		entry(&g, ops[i], id, 1)->reserved = 1;
		assert_int_equal(answer(&g).result, -EINVAL);
	}
	unclaim(&g, id, USER);
	rig_end();
}

static void test_features(void **state)
{
	static const enum vtoe_op ops[] = {
		VTOE_OP_CLAIM, VTOE_OP_UNCLAIM, VTOE_OP_SEGMENT,
		VTOE_OP_AGGREGATE, VTOE_OP_FLUSH,
	};
	struct guest g, four;
	unsigned i;

	(void)state;
	rig_begin(NULL);
	assert_true(path_features(&device) & VTOE_F_TTO);
	join_with(&g, path_features(&device) & ~VTOE_F_TTO);
	for (i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
		entry(&g, ops[i], 0, 1);
		assert_int_equal(answer(&g).result, -EOPNOTSUPP);
	}
	join_with(&four, path_features(&device) & ~VTOE_F_IPV6);
	claim_entry(&four, V6, 1, PEER, PORT, USER);
	refused(&four, -EAFNOSUPPORT);
	claimed(&four, V4, PEER, PORT, USER);
	rig_end();
	/* nor does a device without the service offer it */
	start();
	assert_false(path_features(&device) & VTOE_F_TTO);
	stop();
}

/* A connection's, which is that of its streams; and the map's. */
static void test_quota(void **state)
{
	const struct rig_options few = { .claims_max = 3 };
	struct guest a, b;
	uint32_t id = 0, i;

	(void)state;
	begin(&a);
	join(&b);
	for (i = 0; i < device.limits.peer_streams; i++)
		id = claimed(&a, V4, PEER, (uint16_t)(PORT + i), USER);
	claim_entry(&a, V4, 1, PEER, (uint16_t)(PORT + i), USER);
	refused(&a, -EMFILE);
	port_entry(&a, V4, 0, (uint16_t)(PORT + i), USER);
	refused(&a, -EMFILE);
	claimed(&b, V4, PEER, (uint16_t)(PORT + i), USER);
	unclaim(&a, id, USER);
	claimed(&a, V4, PEER, (uint16_t)(PORT + i - 1), USER);
	rig_end();

	rig_begin(&few);
	join(&a);
	for (i = 0; i < few.claims_max; i++)
		id = claimed(&a, V4, PEER, (uint16_t)(PORT + i), USER);
	claim_entry(&a, V4, 1, PEER, (uint16_t)(PORT + i), USER);
	refused(&a, -EMFILE);
	assert_true(port_is_free(V4, (uint16_t)(PORT + i)));
	unclaim(&a, id, USER);
	claimed(&a, V4, PEER, (uint16_t)(PORT + i), USER);
	rig_end();
}

/* -- the end of a claim ---------------------------------------------------- */

/* What is held comes first, then CLAIM's last, then UNCLAIM's. */
static void test_unclaim_delivers(void **state)
{
	const struct rig_options hold = { .hold_usec = 1000000 };
	struct frame_of f[3], port;
	uint32_t id, i;
	struct vtoe_cqe c;
	struct guest g;

	(void)state;
	rig_begin(&hold);
	join(&g);
	lend(&g, 0, 4, 8192);
	id = claimed(&g, V4, PEER, PORT, USER);
	for (i = 0; i < 3; i++) {
		f[i] = frame(V4, PEER, PORT);
		f[i].flags = FLAG_ACK;
		f[i].payload = 1000;
		f[i].seq = 1000 * i;
	}
	wire_deliver(f, 3);
	is_quiet(&g);
	entry(&g, VTOE_OP_UNCLAIM, id, USER + 1);
	submit(&g);
	c = wait_frame(&g, USER);
	assert_int_equal(c.result, 3000);
	assert_int_equal(c.u.aggregate.segments, 3);
	assert_int_equal(c.u.aggregate.end_reason, END_OWNER);
	c = wait_cqe(&g);
	assert_int_equal(c.user_data, USER);
	assert_int_equal(c.flags, 0);
	assert_int_equal(c.result, 0);
	assert_int_equal(wait_cqe(&g).user_data, USER + 1);
	/* of a port likewise */
	id = port_claimed(&g, V4, PORT, USER);
	port = f[0];
	wire_deliver(&port, 1);
	entry(&g, VTOE_OP_UNCLAIM, id, USER + 1);
	submit(&g);
	assert_int_equal(wait_frame(&g, USER).result, 1000);
	assert_int_equal(wait_cqe(&g).user_data, USER);
	assert_int_equal(wait_cqe(&g).user_data, USER + 1);
	rig_end();
}

/* ... and what has no buffer is dropped. */
static void test_unclaim_drops(void **state)
{
	struct frame_of f = frame(V4, PEER, PORT), other = f;
	struct vtoe_cqe c;
	struct guest g;
	uint32_t id;

	(void)state;
	rig_begin(NULL);
	join(&g);
	id = claimed(&g, V4, PEER, PORT, USER);
	claimed(&g, V4, PEER, PORT + 1, USER + 10);
	other.local_port++;
	wire_deliver(&f, 1);
	wire_deliver(&other, 1);
	wire_deliver(&f, 1);
	unclaim(&g, id, USER);
	assert_int_equal(stats.tto_dropped, 2);
	lend(&g, 0, 4, EACH);
	c = wait_frame(&g, USER + 10); /* the other claim's has waited */
	assert_int_equal(c.result, other.payload);
	is_quiet(&g);
	rig_end();
}

/* At the lane's quota of requests, too. */
static void test_unclaim_at_quota(void **state)
{
	struct guest g;
	uint32_t claim, stream, i;
	int peer;

	(void)state;
	begin(&g);
	claim = claimed(&g, V4, PEER, PORT, USER);
	stream = connected(&g, &peer);
	for (i = 0; i < device.limits.inflight; i++)
		entry(&g, VTOE_OP_RECV, stream, 1)->length = 1;
	submit(&g);
	is_quiet(&g);
	assert_int_equal(lane_of(&g)->inflight, device.limits.inflight);
	unclaim(&g, claim, USER);
	close(peer);
	rig_end();
}

static void gone(const struct frame_of *f, uint16_t port)
{
	assert_int_equal(rig_mapped(), 0);
	assert_int_equal(stats.tto_claims, 0);
	assert_true(port_is_free(V4, port));
	wire_is_answered(f);
}

/* A lane that is deleted, one that is parked, a connection that hangs up. */
static void test_lane_ends(void **state)
{
	struct vtoe_ctl_request del = { .op = VTOE_CTL_LANE_DEL };
	struct frame_of f = frame(V4, PEER, PORT);
	struct guest g, second;

	(void)state;
	begin(&g);
	claimed(&g, V4, PEER, PORT, USER);
	port_claimed(&g, V4, PORT + 1, USER);
	wire_deliver(&f, 1);
	del.lane = g.lane;
	assert_int_equal(ctl(&g, del).result, 0);
	gone(&f, PORT);
	add_lane(&g, ENTRIES, ENTRIES);
	claimed(&g, V4, PEER, PORT, USER);
	wire_deliver(&f, 1); /* waits: the new lane has no buffers */
	__atomic_store_n(&g.sq.shared->p.producer, 0x12345678,
			 __ATOMIC_RELEASE);
	conn_kick(g.conn);
	turn();
	assert_true(lane_of(&g)->parked);
	gone(&f, PORT);
	join(&second);
	claimed(&second, V4, PEER, PORT, USER);
	port_claimed(&second, V6, PORT + 2, USER);
	wire_deliver(&f, 1);
	leave(&second);
	gone(&f, PORT);
	rig_end();
}

/* -- a worker that died ---------------------------------------------------- */

static void next_worker(struct guest *g)
{
	rig_worker();
	join(g);
	lend(g, 0, 16, EACH);
}

static void test_orphans(void **state)
{
	struct frame_of f = frame(V4, PEER, PORT), six = frame(V6, PEER, PORT);
	struct frame_of port = frame(V4, 1, PORT + 1);
	struct guest g;

	(void)state;
	begin(&g);
	claimed(&g, V4, PEER, PORT, USER);
	claimed(&g, V6, PEER, PORT, USER);
	port_claimed(&g, V4, PORT + 1, USER);
	rig_kill();
	assert_int_equal(rig_mapped(), 3);
	wire_is_swallowed(&f);
	wire_is_swallowed(&six);
	wire_is_swallowed(&port);
	next_worker(&g);
	assert_int_equal(stats.tto_claims, 3);
	wire_deliver(&f, 1);
	wire_deliver(&port, 1);
	wire_is_silent();
	assert_int_equal(stats.tto_unclaimed, 2);
	assert_false(port_is_free(V4, PORT));
	assert_false(port_is_free(V6, PORT));
	assert_false(port_is_free(V4, PORT + 1));
	is_quiet(&g);
	claim_entry(&g, V4, 1, PEER, PORT, USER)->offset = RIG_SECRET + 1;
	refused(&g, -EADDRINUSE);
	port_entry(&g, V4, 0, PORT + 1, USER)->offset = RIG_SECRET + 1;
	refused(&g, -EADDRINUSE);
	claim_entry(&g, V4, 1, PEER + 1, PORT, USER); /* another peer */
	refused(&g, -EADDRINUSE);
	claimed(&g, V4, PEER, PORT, USER);
	comes(&g, &f, USER);
	port_claimed(&g, V4, PORT + 1, USER + 10);
	comes(&g, &port, USER + 10);
	claimed(&g, V6, PEER, PORT, USER + 20);
	comes(&g, &six, USER + 20);
	assert_int_equal(rig_mapped(), 3);
	assert_int_equal(stats.tto_claims, 3);
	pass(VTOE_CLAIM_SECONDS * 2000);
	comes(&g, &f, USER);
	rig_end();
}

static void test_orphans_expire(void **state)
{
	struct frame_of f = frame(V4, PEER, PORT), kept = frame(V4, PEER, 7);
	struct guest g;

	(void)state;
	begin(&g);
	claimed(&g, V4, PEER, PORT, USER);
	claimed(&g, V4, PEER, 7, USER);
	port_claimed(&g, V6, PORT + 1, USER);
	rig_kill();
	next_worker(&g);
	claimed(&g, V4, PEER, 7, USER);
	pass(500);
	pass(VTOE_CLAIM_SECONDS * 1000 - 1000);
	assert_int_equal(rig_mapped(), 3);
	wire_is_swallowed(&f);
	pass(1500);
	assert_int_equal(rig_mapped(), 1);
	assert_int_equal(stats.tto_claims, 1);
	wire_is_answered(&f);
	assert_true(port_is_free(V4, PORT));
	comes(&g, &kept, USER);
	/* with any number, now */
	claim_entry(&g, V4, 1, PEER, PORT, USER)->offset = 1;
	assert_int_equal(answer(&g).result, 0);
	rig_end();
}

/* Both of a port are found, and taken over. */
static void test_orphans_both(void **state)
{
	struct frame_of f = frame(V4, PEER, PORT), six = frame(V6, PEER, PORT);
	struct guest g;

	(void)state;
	begin(&g);
	port_claimed(&g, V4, PORT, USER);
	port_claimed(&g, V6, PORT, USER);
	rig_kill();
	next_worker(&g);
	assert_int_equal(stats.tto_claims, 2);
	port_claimed(&g, V6, PORT, USER);
	port_entry(&g, V4, 0, PORT, USER)->offset = RIG_SECRET + 1;
	assert_int_equal(answer(&g).result, -EADDRINUSE);
	port_claimed(&g, V4, PORT, USER + 10);
	comes(&g, &six, USER);
	comes(&g, &f, USER + 10);
	rig_end();
}

/* One that cannot have its port now is still there for another try. */
static void test_orphans_try_again(void **state)
{
	struct frame_of f = frame(V4, PEER, PORT);
	struct vtoe_address a;
	struct guest g;
	int fd;

	(void)state;
	begin(&g);
	claimed(&g, V4, PEER, PORT, USER);
	rig_kill();
	fd = socket_open(V4);
	name(&a, V4, 0, PORT);
	assert_int_equal(socket_bind(fd, &a, V4), 0);
	next_worker(&g);
	claim_entry(&g, V4, 1, PEER, PORT, USER);
	assert_int_equal(answer(&g).result, -EADDRINUSE);
	assert_int_equal(stats.tto_claims, 1);
	close(fd);
	claimed(&g, V4, PEER, PORT, USER);
	comes(&g, &f, USER);
	rig_end();
}

/* Many deaths: none is lost, and none is left. */
static void test_many_deaths(void **state)
{
	struct frame_of f;
	struct guest g;
	unsigned i, k;

	(void)state;
	begin(&g);
	for (k = 0; k < 20; k++) {
		for (i = 0; i < 20; i++)
			claimed(&g, i % 2 ? V4 : V6, (uint16_t)(PEER + i),
				(uint16_t)(PORT + i), USER + i);
		f = frame(k % 2 ? V4 : V6, (uint16_t)(PEER + k),
			  (uint16_t)(PORT + k));
		comes(&g, &f, USER + k);
		assert_int_equal(rig_mapped(), 20);
		assert_int_equal(device.tto->orphans, 0);
		rig_kill();
		next_worker(&g);
	}
	pass(VTOE_CLAIM_SECONDS * 1000 + 1);
	pass(VTOE_CLAIM_SECONDS * 1000 + 1);
	assert_int_equal(rig_mapped(), 0);
	rig_end();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connection),
		cmocka_unit_test(test_chosen_port),
		cmocka_unit_test(test_port),
		cmocka_unit_test(test_both_families),
		cmocka_unit_test(test_connection_beside_port),
		cmocka_unit_test(test_refused_connection),
		cmocka_unit_test(test_own_second_address),
		cmocka_unit_test(test_refused_port),
		cmocka_unit_test(test_port_in_use),
		cmocka_unit_test(test_not_your_claim),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_unclaim_delivers),
		cmocka_unit_test(test_unclaim_drops),
		cmocka_unit_test(test_unclaim_at_quota),
		cmocka_unit_test(test_lane_ends),
		cmocka_unit_test(test_orphans),
		cmocka_unit_test(test_orphans_expire),
		cmocka_unit_test(test_orphans_both),
		cmocka_unit_test(test_orphans_try_again),
		cmocka_unit_test(test_many_deaths),
	};

	return RIG_RUN(tests);
}
