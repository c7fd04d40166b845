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
#include <stdio.h>
#include <unistd.h>

#include "tests/netns/claims.h"
#include "tests/netns/prog.h"

enum { BUFFERS = 16 };

static void send_flags(struct claims *c, uint8_t flags, uint32_t seq)
{
	claims_send(c, flags, seq, 0);
	claims_next_of(c, SEGMENT);
}

/* The server's SYN-ACK is the claim's, whole and alone. */
static void shake_hands(struct claims *c, uint8_t *buffers)
{
	struct vtoe_received *r = (struct vtoe_received *)(void *)buffers;
	struct vtoe_cqe cqe;

	send_flags(c, SYN, CLAIMS_SEQUENCE);
	cqe = claims_next_of(c, CLAIM);
	while ((uint8_t *)r < buffers + BUFFERS * VTOE_AGGREGATE_BUFFER_MIN &&
	       !r->head_bytes)
		r = (struct vtoe_received *)(void *)
			((uint8_t *)r + VTOE_AGGREGATE_BUFFER_MIN);
	if (!(cqe.flags & VTOE_CQE_FRAME) || cqe.u.aggregate.segments != 1 ||
	    cqe.u.aggregate.ack != CLAIMS_SEQUENCE + 1 ||
	    (r->head[13] & (SYN | ACK)) != (SYN | ACK))
		prog_fail("what came is no SYN-ACK of ours");
	send_flags(c, RST, CLAIMS_SEQUENCE + 1);
}

/* The last completion of the claim comes first. */
static void unclaim(struct claims *c, uint32_t claim, uint64_t user_data)
{
	claims_entry(c, VTOE_OP_UNCLAIM, claim, UNCLAIM);
	if (claims_next_of(c, user_data).flags & VTOE_CQE_MORE)
		prog_fail("more of a claim that has ended");
	claims_next_of(c, UNCLAIM);
}

int main(int argc, char **argv)
{
	struct claims c = { 0 };
	uint8_t *buffers;
	char line;

	if (argc != 3)
		prog_error("usage: claim_native ADDRESS PORT");
	claims_open(&c, argv[1], argv[2]);
	buffers = claims_alloc(&c, BUFFERS * VTOE_AGGREGATE_BUFFER_MIN);
	claims_lend(&c, buffers, BUFFERS, VTOE_AGGREGATE_BUFFER_MIN);
	claims_make(&c);
	shake_hands(&c, buffers);
	printf("claimed %u\n", c.segment->local.port);
	fflush(stdout);
	while (read(STDIN_FILENO, &line, 1) > 0)
		;
	claims_entry(&c, VTOE_OP_FLUSH, VTOE_STREAM_NONE, FLUSH);
	claims_next_of(&c, FLUSH);
	unclaim(&c, c.claim, CLAIM);
	unclaim(&c, c.port_claim, CLAIM_PORT);
	claims_close(&c);
	printf("unclaimed\n");
	return 0;
}
