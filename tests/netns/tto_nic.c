/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/netns/tto_nic.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <time.h>

#include "path/tto_internal.h"

enum {
	BUFFER = 8192,
	BUFFERS = 128,
	SEND_AT = BUFFERS * BUFFER, /* in the region, as all offsets */
	SEND_SLOT = 66 << 10,
	SEND_SLOTS = 16,
	MTU = 1500,
	USER_CLAIM = 7,
	USER_SEGMENT = 8,
	SECRET = 12345,
};

static const uint8_t our_mac[6] = { 2, 0, 0, 0, 0, 2 };

void nic_fail(const char *what, int error)
{
	printf("FAIL: %s: %s\n", what, strerror(error < 0 ? -error : error));
	exit(1);
}

/* -- the supervisor's part ------------------------------------------------- */

void nic_open(struct nic *n, unsigned family, uint16_t port, bool connects)
{
	struct steer_config c = { .claims_max = 16, .queues = 1,
				  .frame_max = tto_frame_max(MTU) };
	int rc;

	memset(n, 0, sizeof(*n));
	n->family = family == 4 ? VTOE_AF_INET : VTOE_AF_INET6;
	n->port = port;
	n->connects = connects;
	c.ifindex = n->ifindex = (int)if_nametoindex("ours");
	rc = steer_open(&n->steer, &c);
	if (rc == -EPERM || rc == -ENOSYS || rc == -EOPNOTSUPP) {
		printf("SKIP: machine: no XDP (%s)\n", strerror(-rc));
		exit(77);
	}
	if (rc)
		nic_fail("steer_open", rc);
}

void nic_close(struct nic *n)
{
	nic_worker_kill(n);
	steer_close(&n->steer);
}

/* -- the worker's ---------------------------------------------------------- */

static void clock_forward(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	set_now((uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000);
}

static void start_service(struct nic *n)
{
	struct tto_config c = { .claims = n->steer.claims,
				.queues = n->steer.sockets,
				.ifindex = n->ifindex,
				.mtu = MTU,
				.frames = 1024,
				.hold_usec = n->hold_usec };
	const char *what;
	int rc;

	memcpy(c.mac, our_mac, sizeof(c.mac));
	rc = tto_sockets_open(&c.sockets, n->ifindex, &what);
	if (!rc)
		rc = tto_start(&device, &c, &what);
	if (rc)
		nic_fail(what, rc);
}

static void their_address(const struct nic *n, struct vtoe_address *a)
{
	memset(a, 0, sizeof(*a));
	a->family = (vtoe_u16)n->family;
	a->port = n->port;
	if (n->family == VTOE_AF_INET)
		memcpy(a->ip, "\x0a\x63\0\1", 4);
	else
		memcpy(a->ip, "\xfd\x99\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);
}

static void give_buffers(struct nic *n, uint64_t offset, uint32_t count)
{
	struct vtoe_sqe *e = entry(&n->guest, VTOE_OP_AGGREGATE, 0, 9);

	e->offset = offset;
	e->length = count * BUFFER;
	e->op_flags = count;
	submit(&n->guest);
}

/* Ours is the port in either role. */
static void claim(struct nic *n)
{
	struct vtoe_sqe *e = entry(&n->guest, VTOE_OP_CLAIM, 0, USER_CLAIM);
	struct vtoe_cqe c;

	e->offset = SECRET;
	if (n->connects) {
		their_address(n, &e->u.address);
		e->length = n->port;
	} else {
		e->op_flags = VTOE_CLAIM_PORT;
		e->u.address.family = (vtoe_u16)n->family;
		e->u.address.port = n->port;
	}
	submit(&n->guest);
	c = wait_cqe(&n->guest);
	if (c.result || c.user_data != USER_CLAIM ||
	    !(c.flags & VTOE_CQE_MORE) || c.length != MTU ||
	    c.u.address.port != n->port)
		nic_fail("CLAIM", c.result ? c.result : EBADMSG);
	n->claim = c.stream;
}

void nic_worker_start(struct nic *n, uint64_t life)
{
	n->life = life;
	clock_forward();
	start();
	start_service(n);
	join(&n->guest);
	give_buffers(n, 0, BUFFERS);
	claim(n);
}

void nic_worker_kill(struct nic *n)
{
	struct tto *t = device.tto;
	const struct vtoe_cqe *c;

	n->frames += stats.tto_frames;
	n->aggregates += t->aggregator.stats.agg_out;
	n->in_aggregates += t->aggregator.stats.segs_in_agg;
	n->lost += aggregate_held(&t->aggregator);
	for (; (c = vtoe_ring_peek(&n->guest.cq));
	     vtoe_ring_advance(&n->guest.cq))
		if (c->flags & VTOE_CQE_FRAME &&
		    !(c->flags & VTOE_CQE_CONTINUED))
			n->lost += c->u.aggregate.segments;
	n->sent_routed += stats.tto_routed;
	n->sent_long += stats.tto_cut;
	n->sent_short += stats.tto_segments - stats.tto_cut - stats.tto_routed;
	/* it cannot touch the map any more */
	t->config.claims = -1;
	leave(&n->guest);
	tto_stop(&device);
	stop();
}

int nic_descriptor(const struct nic *n)
{
	(void)n;
	return device.tto->xsk.fd;
}

/* -- receiving ------------------------------------------------------------- */

static void name_tuple(struct tcp_packet *p, const struct vtoe_received *r)
{
	memset(&p->tuple, 0, sizeof(p->tuple));
	p->tuple.family = r->local.family == VTOE_AF_INET ? 4 : 6;
	memcpy(p->tuple.local, r->local.ip, 16);
	memcpy(p->tuple.remote, r->remote.ip, 16);
	p->tuple.local_port = r->local.port;
	p->tuple.remote_port = r->remote.port;
	p->head = r->head;
	p->head_bytes = r->head_bytes;
	p->ecn = r->ecn;
}

/* The next completion, which continues an aggregate. */
static struct vtoe_cqe continued(struct nic *n)
{
	struct vtoe_cqe c;

	if (!try_wait(&n->guest, &c, 1) || !(c.flags & VTOE_CQE_FRAME))
		nic_fail("an aggregate does not go on", EBADMSG);
	return c;
}

static void take_aggregate(struct nic *n, struct vtoe_cqe *c,
			   nic_handler *handler, void *of)
{
	struct vtoe_received r;
	struct tcp_packet p = { .segments = c->u.aggregate.segments,
				.segment_max = c->u.aggregate.max_segment,
				.dup_acks = c->u.aggregate.duplicate_acks };
	struct tcp_ref ref = { .length = (uint32_t)c->result };
	uint8_t *to = malloc(ref.length + 1);
	uint32_t done = 0, head = sizeof(r);

	memcpy(&r, n->guest.memory + ARENA + c->offset, sizeof(r));
	for (;;) {
		if (c->length > BUFFER - head || c->offset % BUFFER ||
		    done + c->length > ref.length)
			nic_fail("a completion is wrong", EBADMSG);
		memcpy(to + done, n->guest.memory + ARENA + c->offset + head,
		       c->length);
		done += c->length;
		give_buffers(n, c->offset, 1);
		if (!(c->flags & VTOE_CQE_CONTINUED))
			break;
		*c = continued(n);
		head = 0;
	}
	if (done != ref.length)
		nic_fail("an aggregate has other bytes than it says", EBADMSG);
	ref.buffer = (uintptr_t)to;
	p.refs = &ref;
	p.ref_count = 1;
	name_tuple(&p, &r);
	handler(of, &p);
}

bool nic_receive(struct nic *n, nic_handler *handler, void *of)
{
	struct vtoe_cqe c;

	clock_forward();
	turn();
	if (n->life && stats.tto_frames >= n->life)
		return false;
	while (try_wait(&n->guest, &c, 1)) {
		if (c.user_data == USER_SEGMENT)
			continue;
		if (c.user_data != USER_CLAIM || c.stream != n->claim ||
		    !(c.flags & VTOE_CQE_FRAME))
			nic_fail("a completion is wrong", EBADMSG);
		take_aggregate(n, &c, handler, of);
	}
	return true;
}

/* -- sending --------------------------------------------------------------- */

static void address(struct vtoe_address *to, const struct tcp_tuple *t,
		    const uint8_t *ip, uint16_t port)
{
	memset(to, 0, sizeof(*to));
	to->family = t->family == 4 ? VTOE_AF_INET : VTOE_AF_INET6;
	to->port = port;
	memcpy(to->ip, ip, 16);
}

/* In three pieces, which need not lie in order. */
static void lay_out(struct nic *n, struct vtoe_segment *v, uint64_t at,
		    const uint8_t *payload, uint32_t length)
{
	uint32_t third = length / 3, done = 0, i;

	for (i = 0; i < VTOE_SEGMENT_PIECES; i++) {
		uint32_t bytes = i < 2 ? third : length - done;
		/* the last one first */
		uint64_t place = at + (i < 2 ? length - 2 * third +
						       i * third : 0);

		v->pieces[i] = (struct vtoe_piece){ .key = n->guest.key,
						    .offset = place,
						    .length = bytes };
		memcpy(n->guest.memory + ARENA + place, payload + done, bytes);
		done += bytes;
	}
}

void nic_send(struct nic *n, const struct tcp_segment *s, uint8_t *payload)
{
	uint64_t at = SEND_AT + (uint64_t)(n->send_slot++ % SEND_SLOTS) *
					SEND_SLOT;
	struct vtoe_segment v = { .head_bytes = s->head_bytes,
				  .ecn = s->ecn,
				  .segment_size = s->segment_size };
	struct vtoe_sqe *e;

	address(&v.local, &s->tuple, s->tuple.local, s->tuple.local_port);
	address(&v.remote, &s->tuple, s->tuple.remote, s->tuple.remote_port);
	memcpy(v.head, s->head, s->head_bytes);
	lay_out(n, &v, at + sizeof(v), payload, s->length);
	memcpy(n->guest.memory + ARENA + at, &v, sizeof(v));
	e = entry(&n->guest, VTOE_OP_SEGMENT, n->claim, USER_SEGMENT);
	e->offset = at;
	e->length = sizeof(v);
	submit(&n->guest);
}
