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
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/netns/claims.h"
#include "tests/netns/prog.h"

enum { BUFFERS = 16, BUFFER_BYTES = 69632, PAYLOAD = 65000 };

struct test {
	struct claims c;
	uint8_t *buffers, *payload;
	uint32_t seq, ack; /* the next to send, to come */
	bool sending; /* its memory is in use */
	bool unacked;
	uint64_t received, aggregates, segments, most;
};

static void begin(struct test *t, char **argv)
{
	struct claims *c = &t->c;
	unsigned i;

	claims_open(c, argv[1], argv[2]);
	t->buffers = claims_alloc(c, BUFFERS * BUFFER_BYTES);
	t->payload = claims_alloc(c, PAYLOAD);
	for (i = 0; i < BUFFERS; i++)
		claims_lend(c, t->buffers + (size_t)i * BUFFER_BYTES, 1,
			    BUFFER_BYTES);
	claims_make(c);
	c->segment->segment_size = (uint16_t)(c->mtu - 40 -
			(c->peer.family == VTOE_AF_INET6 ? 20 : 0));
}

static void send_segment(struct test *t, uint8_t flags, uint32_t bytes)
{
	struct vtoe_segment *s = t->c.segment;
	struct vtoe_sqe at = { 0 };

	vtoe_sqe_memory(t->c.ctx, &at, t->payload, bytes);
	s->pieces[0].key = at.key;
	s->pieces[0].offset = at.offset;
	s->pieces[0].length = bytes;
	claims_send(&t->c, flags, t->seq, t->ack);
	t->seq += bytes + !!(flags & SYN);
	t->sending = true;
}

/* The buffer goes back at once. */
static void take_aggregate(struct test *t, const struct vtoe_cqe *cqe)
{
	struct vtoe_sqe first = { 0 };
	struct vtoe_received *r;
	uint8_t *at;

	vtoe_sqe_memory(t->c.ctx, &first, t->buffers, BUFFER_BYTES);
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
	claims_lend(&t->c, at, 1, BUFFER_BYTES);
}

/* Takes one completion, and acknowledges what it can. */
static void turn(struct test *t)
{
	struct vtoe_cqe cqe;

	if (t->unacked && !t->sending) {
		send_segment(t, ACK, 0);
		t->unacked = false;
	}
	cqe = claims_next(&t->c);
	if (cqe.user_data == SEGMENT)
		t->sending = false;
	else if (cqe.user_data == CLAIM)
		take_aggregate(t, &cqe);
	else
		prog_fail("completion of %d", (int)cqe.user_data);
}

static void shake_hands(struct test *t)
{
	t->seq = CLAIMS_SEQUENCE;
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
	claims_entry(&t->c, VTOE_OP_UNCLAIM, t->c.claim, UNCLAIM);
	while (claims_next(&t->c).user_data != UNCLAIM)
		;
	claims_entry(&t->c, VTOE_OP_UNCLAIM, t->c.port_claim, UNCLAIM);
	while (claims_next(&t->c).user_data != UNCLAIM)
		;
	claims_close(&t->c);
}

int main(int argc, char **argv)
{
	struct test t = { 0 };
	uint64_t bytes, rounds;
	char c;

	if (argc < 4 || argc > 5)
		prog_error("usage: echo_native ADDRESS PORT BYTES [ROUNDS]");
	bytes = prog_number(argv[3]);
	rounds = argc > 4 ? prog_number(argv[4]) : 1;
	if (bytes > PAYLOAD)
		prog_error("at most %d bytes", PAYLOAD);
	begin(&t, argv);
	printf("claimed %u %u\n", t.c.claim, t.c.port_claim);
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
