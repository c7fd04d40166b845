/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/netns/claims.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "tests/netns/prog.h"

void claims_open(struct claims *c, const char *host, const char *port)
{
	struct vtoe_params params = { 0 };
	struct sockaddr_storage to;
	socklen_t len = prog_address(host, port, &to);

	if (vtoe_address_from(&c->peer, (struct sockaddr *)&to, len))
		prog_error("address");
	errno = -vtoe_open(&c->ctx, &params);
	if (errno)
		prog_fail("no backend");
	if (!(vtoe_device(c->ctx)->features & VTOE_F_TTO))
		prog_fail("the backend does not offer TTO");
	errno = -vtoe_lane_open(c->ctx, &c->lane, 0, 0, 0);
	if (errno)
		prog_fail("lane");
	c->segment = claims_alloc(c, sizeof(*c->segment));
}

void claims_close(struct claims *c)
{
	vtoe_lane_close(c->lane);
	vtoe_close(c->ctx);
}

void *claims_alloc(struct claims *c, size_t bytes)
{
	void *at = vtoe_alloc(c->ctx, bytes);

	if (!at)
		prog_error("no memory");
	return at;
}

struct vtoe_sqe *claims_entry(struct claims *c, unsigned op, uint32_t claim,
			      uint64_t user_data)
{
	struct vtoe_sqe *sqe = vtoe_get_sqe(c->lane);

	errno = 0;
	if (!sqe)
		prog_fail("no entry");
	vtoe_sqe_set(sqe, op, claim, user_data);
	return sqe;
}

void claims_lend(struct claims *c, void *at, unsigned count, size_t each)
{
	struct vtoe_sqe *sqe = claims_entry(c, VTOE_OP_AGGREGATE,
					    VTOE_STREAM_NONE, BUFFER);

	sqe->op_flags = count;
	vtoe_sqe_memory(c->ctx, sqe, at, count * each);
}

struct vtoe_cqe claims_next(struct claims *c)
{
	struct vtoe_cqe *cqe, copy;

	errno = -vtoe_submit(c->lane);
	if (errno > 0)
		prog_fail("submit");
	errno = -vtoe_wait_cqe(c->lane, &cqe, CLAIMS_WAIT_MS);
	if (errno)
		prog_fail("no completion");
	copy = *cqe;
	vtoe_cqe_seen(c->lane);
	errno = copy.result < 0 ? -copy.result : 0;
	if (errno)
		prog_fail("completion of %d", (int)copy.user_data);
	return copy;
}

struct vtoe_cqe claims_next_of(struct claims *c, uint64_t user_data)
{
	struct vtoe_cqe cqe = claims_next(c);

	if (cqe.user_data != user_data)
		prog_fail("completion of %d, not of %d", (int)cqe.user_data,
			  (int)user_data);
	return cqe;
}

void claims_make(struct claims *c)
{
	struct vtoe_segment *s = c->segment;
	struct vtoe_sqe *sqe;
	struct vtoe_cqe cqe;

	sqe = claims_entry(c, VTOE_OP_CLAIM, VTOE_STREAM_NONE, CLAIM);
	sqe->u.address = c->peer;
	sqe->offset = 4711;
	cqe = claims_next_of(c, CLAIM);
	if (!(cqe.flags & VTOE_CQE_MORE) || !cqe.stream || cqe.length < 576)
		prog_fail("the claim's completion is wrong");
	c->claim = cqe.stream;
	c->mtu = cqe.length;
	memset(s, 0, sizeof(*s));
	s->local = cqe.u.address;
	s->remote = c->peer;
	sqe = claims_entry(c, VTOE_OP_CLAIM, VTOE_STREAM_NONE, CLAIM_PORT);
	sqe->u.address.family = c->peer.family;
	sqe->op_flags = VTOE_CLAIM_PORT;
	c->port_claim = claims_next_of(c, CLAIM_PORT).stream;
}

void claims_send(struct claims *c, uint8_t flags, uint32_t seq, uint32_t ack)
{
	struct vtoe_segment *s = c->segment;
	uint16_t ports[2] = { htons(s->local.port), htons(s->remote.port) };
	uint32_t numbers[2] = { htonl(seq), htonl(ack) };

	s->head_bytes = 20;
	memcpy(s->head, ports, 4);
	memcpy(s->head + 4, numbers, 8);
	s->head[12] = 5 << 4;
	s->head[13] = flags;
	s->head[14] = s->head[15] = 0xff; /* the window */
	vtoe_sqe_memory(c->ctx,
			claims_entry(c, VTOE_OP_SEGMENT, c->claim, SEGMENT), s,
			sizeof(*s));
}
