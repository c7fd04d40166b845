/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * claim_native ADDRESS PORT - the TTO service, just as far as one handshake
 *
 * Claims a connection to a server and a local port, sends a SYN, takes the
 * SYN-ACK as an aggregate, and resets. Prints `claimed PORT` with the local
 * port, and ends what it has claimed when its standard input ends; or is killed
 * before. That is enough to make a worker do each kind of system call that it
 * makes for the service.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <vtoe.h>

#include "tests/netns/prog.h"

enum { BUFFERS = 16, WAIT_MS = 5000, SEQUENCE = 1000 };
enum { CLAIM = 1, CLAIM_PORT, BUFFER, SEGMENT, FLUSH, UNCLAIM };
enum { SYN = 2, RST = 4, ACK = 16 };

struct test {
	struct vtoe *ctx;
	struct vtoe_lane *lane;
	struct vtoe_segment *segment;
	uint8_t *buffers;
	uint32_t claim, port_claim;
};

static struct vtoe_sqe *entry(struct test *t, unsigned op, uint32_t claim,
			      uint64_t user_data)
{
	struct vtoe_sqe *sqe = vtoe_get_sqe(t->lane);

	errno = 0;
	if (!sqe)
		prog_fail("no entry");
	vtoe_sqe_set(sqe, op, claim, user_data);
	return sqe;
}

/* The next completion, which must be of @user_data. */
static struct vtoe_cqe next(struct test *t, uint64_t user_data)
{
	struct vtoe_cqe *cqe, copy;

	errno = -vtoe_submit(t->lane);
	if (errno > 0)
		prog_fail("submit");
	errno = -vtoe_wait_cqe(t->lane, &cqe, WAIT_MS);
	if (errno)
		prog_fail("no completion of request %d", (int)user_data);
	copy = *cqe;
	vtoe_cqe_seen(t->lane);
	errno = copy.result < 0 ? -copy.result : 0;
	if (copy.user_data != user_data || errno)
		prog_fail("completion of %d, not of %d", (int)copy.user_data,
			  (int)user_data);
	return copy;
}

static void begin(struct test *t)
{
	struct vtoe_params params = { 0 };
	struct vtoe_sqe *sqe;

	errno = -vtoe_open(&t->ctx, &params);
	if (errno)
		prog_fail("no backend");
	if (!(vtoe_device(t->ctx)->features & VTOE_F_TTO))
		prog_fail("the backend does not offer TTO");
	errno = -vtoe_lane_open(t->ctx, &t->lane, 0, 0, 0);
	if (errno)
		prog_fail("lane");
	t->segment = vtoe_alloc(t->ctx, sizeof(*t->segment));
	t->buffers = vtoe_alloc(t->ctx, BUFFERS * VTOE_AGGREGATE_BUFFER_MIN);
	if (!t->segment || !t->buffers)
		prog_error("no memory");
	sqe = entry(t, VTOE_OP_AGGREGATE, VTOE_STREAM_NONE, BUFFER);
	sqe->op_flags = BUFFERS;
	vtoe_sqe_memory(t->ctx, sqe, t->buffers,
			BUFFERS * VTOE_AGGREGATE_BUFFER_MIN);
}

static void claim(struct test *t, const struct vtoe_address *peer)
{
	struct vtoe_segment *s = t->segment;
	struct vtoe_sqe *sqe;
	struct vtoe_cqe cqe;

	sqe = entry(t, VTOE_OP_CLAIM, VTOE_STREAM_NONE, CLAIM);
	sqe->u.address = *peer;
	sqe->offset = 4711;
	cqe = next(t, CLAIM);
	if (!(cqe.flags & VTOE_CQE_MORE) || !cqe.stream || cqe.length < 576)
		prog_fail("the claim's completion is wrong");
	t->claim = cqe.stream;
	memset(s, 0, sizeof(*s));
	s->local = cqe.u.address;
	s->remote = *peer;
	sqe = entry(t, VTOE_OP_CLAIM, VTOE_STREAM_NONE, CLAIM_PORT);
	sqe->u.address.family = peer->family;
	sqe->op_flags = VTOE_CLAIM_PORT;
	t->port_claim = next(t, CLAIM_PORT).stream;
}

static void send_flags(struct test *t, uint8_t flags, uint32_t seq,
		       uint32_t ack)
{
	struct vtoe_segment *s = t->segment;
	uint16_t ports[2] = { htons(s->local.port), htons(s->remote.port) };
	uint32_t numbers[2] = { htonl(seq), htonl(ack) };

	s->head_bytes = 20;
	memcpy(s->head, ports, 4);
	memcpy(s->head + 4, numbers, 8);
	s->head[12] = 5 << 4;
	s->head[13] = flags;
	s->head[14] = 0xff; /* the window */
	vtoe_sqe_memory(t->ctx, entry(t, VTOE_OP_SEGMENT, t->claim, SEGMENT),
			s, sizeof(*s));
	next(t, SEGMENT);
}

/* The server's SYN-ACK is the claim's, whole and alone. */
static void shake_hands(struct test *t)
{
	struct vtoe_received *r;
	struct vtoe_cqe cqe;

	send_flags(t, SYN, SEQUENCE, 0);
	cqe = next(t, CLAIM);
	r = (struct vtoe_received *)(void *)t->buffers;
	while ((uint8_t *)r < t->buffers +
			      BUFFERS * VTOE_AGGREGATE_BUFFER_MIN &&
	       !r->head_bytes)
		r = (struct vtoe_received *)(void *)
			((uint8_t *)r + VTOE_AGGREGATE_BUFFER_MIN);
	if (!(cqe.flags & VTOE_CQE_FRAME) || cqe.u.aggregate.segments != 1 ||
	    cqe.u.aggregate.ack != SEQUENCE + 1 ||
	    (r->head[13] & (SYN | ACK)) != (SYN | ACK))
		prog_fail("what came is no SYN-ACK of ours");
	send_flags(t, RST, SEQUENCE + 1, 0);
}

/* The last completion of the claim comes first. */
static void unclaim(struct test *t, uint32_t claim, uint64_t user_data)
{
	entry(t, VTOE_OP_UNCLAIM, claim, UNCLAIM);
	if (next(t, user_data).flags & VTOE_CQE_MORE)
		prog_fail("more of a claim that has ended");
	next(t, UNCLAIM);
}

int main(int argc, char **argv)
{
	struct sockaddr_storage to;
	struct vtoe_address peer;
	struct test t = { 0 };
	socklen_t len;
	char c;

	if (argc != 3)
		prog_error("usage: claim_native ADDRESS PORT");
	len = prog_address(argv[1], argv[2], &to);
	if (vtoe_address_from(&peer, (struct sockaddr *)&to, len))
		prog_error("address");
	begin(&t);
	claim(&t, &peer);
	shake_hands(&t);
	printf("claimed %u\n", t.segment->local.port);
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	entry(&t, VTOE_OP_FLUSH, VTOE_STREAM_NONE, FLUSH);
	next(&t, FLUSH);
	unclaim(&t, t.claim, CLAIM);
	unclaim(&t, t.port_claim, CLAIM_PORT);
	vtoe_lane_close(t.lane);
	vtoe_close(t.ctx);
	printf("unclaimed\n");
	return 0;
}
