/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * echo_native ADDRESS PORT BYTES [ROUNDS] - TCP of a kind over the TTO service
 *
 * Claims a connection to a server that echoes, and a local port; sends BYTES
 * in one segment, which is to be cut, takes them back as aggregates, each of
 * which it acknowledges; ROUNDS times (1), then resets. Nothing is sent twice:
 * this is for networks that lose nothing. Prints `claimed ID ID` (of the
 * connection, of the port), waits for a line or the end of its standard input
 * and begins; then prints `received N in N of N, of N at most`: bytes,
 * aggregates, segments.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <vtoe.h>

#include "tests/netns/prog.h"

enum { BUFFERS = 16, BUFFER_BYTES = 69632, PAYLOAD = 65000, WAIT_MS = 5000,
       SEQUENCE = 1000 };
enum { CLAIM = 1, CLAIM_PORT, BUFFER, SEGMENT, UNCLAIM };
enum { SYN = 2, RST = 4, PSH = 8, ACK = 16 };

struct test {
	struct vtoe *ctx;
	struct vtoe_lane *lane;
	struct vtoe_segment *segment;
	uint8_t *buffers, *payload;
	uint32_t claim, port_claim;
	uint32_t mss;
	uint32_t seq, ack; /* the next to send, to come */
	bool sending; /* its memory is in use */
	bool unacked;
	uint64_t received, aggregates, segments, most;
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

static struct vtoe_cqe next(struct test *t)
{
	struct vtoe_cqe *cqe, copy;

	errno = -vtoe_submit(t->lane);
	if (errno > 0)
		prog_fail("submit");
	errno = -vtoe_wait_cqe(t->lane, &cqe, WAIT_MS);
	if (errno)
		prog_fail("no completion");
	copy = *cqe;
	vtoe_cqe_seen(t->lane);
	errno = copy.result < 0 ? -copy.result : 0;
	if (errno)
		prog_fail("completion of %d", (int)copy.user_data);
	return copy;
}

static void give_buffer(struct test *t, uint8_t *at)
{
	struct vtoe_sqe *sqe = entry(t, VTOE_OP_AGGREGATE, VTOE_STREAM_NONE,
				     BUFFER);

	sqe->op_flags = 1;
	vtoe_sqe_memory(t->ctx, sqe, at, BUFFER_BYTES);
}

static void begin(struct test *t)
{
	struct vtoe_params params = { 0 };
	unsigned i;

	errno = -vtoe_open(&t->ctx, &params);
	if (errno)
		prog_fail("no backend");
	if (!(vtoe_device(t->ctx)->features & VTOE_F_TTO))
		prog_fail("the backend does not offer TTO");
	errno = -vtoe_lane_open(t->ctx, &t->lane, 0, 0, 0);
	if (errno)
		prog_fail("lane");
	t->segment = vtoe_alloc(t->ctx, sizeof(*t->segment));
	t->buffers = vtoe_alloc(t->ctx, BUFFERS * BUFFER_BYTES);
	t->payload = vtoe_alloc(t->ctx, PAYLOAD);
	if (!t->segment || !t->buffers || !t->payload)
		prog_error("no memory");
	for (i = 0; i < BUFFERS; i++)
		give_buffer(t, t->buffers + (size_t)i * BUFFER_BYTES);
}

static void claim(struct test *t, const struct vtoe_address *peer)
{
	struct vtoe_segment *s = t->segment;
	struct vtoe_sqe *sqe;
	struct vtoe_cqe cqe;

	sqe = entry(t, VTOE_OP_CLAIM, VTOE_STREAM_NONE, CLAIM);
	sqe->u.address = *peer;
	sqe->offset = 4711;
	cqe = next(t);
	t->claim = cqe.stream;
	t->mss = cqe.length - 40 - (peer->family == VTOE_AF_INET6 ? 20 : 0);
	memset(s, 0, sizeof(*s));
	s->local = cqe.u.address;
	s->remote = *peer;
	sqe = entry(t, VTOE_OP_CLAIM, VTOE_STREAM_NONE, CLAIM_PORT);
	sqe->u.address.family = peer->family;
	sqe->op_flags = VTOE_CLAIM_PORT;
	t->port_claim = next(t).stream;
}

static void send_segment(struct test *t, uint8_t flags, uint32_t bytes)
{
	struct vtoe_segment *s = t->segment;
	uint16_t ports[2] = { htons(s->local.port), htons(s->remote.port) };
	uint32_t numbers[2] = { htonl(t->seq), htonl(t->ack) };
	struct vtoe_sqe at = { 0 };

	s->head_bytes = 20;
	memcpy(s->head, ports, 4);
	memcpy(s->head + 4, numbers, 8);
	s->head[12] = 5 << 4;
	s->head[13] = flags;
	s->head[14] = s->head[15] = 0xff; /* the window */
	s->segment_size = (uint16_t)t->mss;
	vtoe_sqe_memory(t->ctx, &at, t->payload, bytes);
	s->pieces[0].key = at.key;
	s->pieces[0].offset = at.offset;
	s->pieces[0].length = bytes;
	vtoe_sqe_memory(t->ctx, entry(t, VTOE_OP_SEGMENT, t->claim, SEGMENT),
			s, sizeof(*s));
	t->seq += bytes + !!(flags & SYN);
	t->sending = true;
}

/* The buffer goes back at once. */
static void take_aggregate(struct test *t, const struct vtoe_cqe *cqe)
{
	struct vtoe_sqe first = { 0 };
	struct vtoe_received *r;
	uint8_t *at;

	vtoe_sqe_memory(t->ctx, &first, t->buffers, BUFFER_BYTES);
	at = t->buffers + (cqe->offset - first.offset);
	r = (struct vtoe_received *)(void *)at;
	errno = 0;
	if (!(cqe->flags & VTOE_CQE_FRAME) || r->head[13] & RST)
		prog_fail("the claim or the connection has ended");
	if (r->head[13] & SYN)
		t->ack = cqe->u.aggregate.seq + 1;
	else if (cqe->u.aggregate.seq != t->ack)
		prog_fail("a segment was lost");
	t->ack += (uint32_t)cqe->result;
	t->received += (uint64_t)cqe->result;
	if (cqe->result) {
		t->aggregates++;
		t->segments += cqe->u.aggregate.segments;
		if (cqe->u.aggregate.segments > t->most)
			t->most = cqe->u.aggregate.segments;
	}
	t->unacked = cqe->result || r->head[13] & SYN;
	give_buffer(t, at);
}

/* Takes one completion, and acknowledges what it can. */
static void turn(struct test *t)
{
	struct vtoe_cqe cqe;

	if (t->unacked && !t->sending) {
		send_segment(t, ACK, 0);
		t->unacked = false;
	}
	cqe = next(t);
	if (cqe.user_data == SEGMENT)
		t->sending = false;
	else if (cqe.user_data == CLAIM)
		take_aggregate(t, &cqe);
	else
		prog_fail("completion of %d", (int)cqe.user_data);
}

static void shake_hands(struct test *t)
{
	t->seq = SEQUENCE;
	send_segment(t, SYN, 0);
	while (!t->ack || t->unacked || t->sending)
		turn(t);
}

static void exchange(struct test *t, uint32_t bytes)
{
	uint64_t goal = t->received + bytes;

	send_segment(t, PSH | ACK, bytes);
	while (t->received < goal || t->unacked || t->sending)
		turn(t);
}

static void end(struct test *t)
{
	send_segment(t, RST | ACK, 0);
	while (t->sending)
		turn(t);
	entry(t, VTOE_OP_UNCLAIM, t->claim, UNCLAIM);
	while (next(t).user_data != UNCLAIM)
		;
	entry(t, VTOE_OP_UNCLAIM, t->port_claim, UNCLAIM);
	while (next(t).user_data != UNCLAIM)
		;
	vtoe_lane_close(t->lane);
	vtoe_close(t->ctx);
}

int main(int argc, char **argv)
{
	struct sockaddr_storage to;
	struct vtoe_address peer;
	struct test t = { 0 };
	uint64_t bytes, rounds;
	socklen_t len;
	char c;

	if (argc < 4 || argc > 5)
		prog_error("usage: echo_native ADDRESS PORT BYTES [ROUNDS]");
	len = prog_address(argv[1], argv[2], &to);
	bytes = prog_number(argv[3]);
	rounds = argc > 4 ? prog_number(argv[4]) : 1;
	if (vtoe_address_from(&peer, (struct sockaddr *)&to, len) ||
	    bytes > PAYLOAD)
		prog_error("address, or bytes");
	begin(&t);
	claim(&t, &peer);
	printf("claimed %u %u\n", t.claim, t.port_claim);
	fflush(stdout);
	if (read(STDIN_FILENO, &c, 1) < 0)
		prog_error("standard input");
	shake_hands(&t);
	while (rounds--)
		exchange(&t, (uint32_t)bytes);
	end(&t);
	printf("received %" PRIu64 " in %" PRIu64 " of %" PRIu64
	       ", of %" PRIu64 " at most\n", t.received, t.aggregates,
	       t.segments, t.most);
	return 0;
}
