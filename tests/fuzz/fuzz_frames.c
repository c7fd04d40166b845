/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_frames.c - the operations on frames, and frames on a wire
 *
 * The input is a sequence of actions of two guests: an entry with fields near
 * what is valid, an entry of 64 free bytes, a frame on the wire, a turn,
 * completions that are consumed or not, the removal of the region or the lane
 * under all of it. What the service places must be inside the region: the canary
 * around it is looked at; and when the guests have gone, no frame and no claim
 * may be left.
 */
#include "fuzz_wire.h"

enum { CANARY = 4096, OPS = VTOE_OP_FLUSH - VTOE_OP_CLAIM + 1 };

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	guest_device_open();
	if (!wire_open(guest_device()))
		fprintf(stderr, "fuzz: no XDP: frames are refused only\n");
	return 0;
}

static void canary(struct fuzz_guest *g, bool write)
{
	uint8_t *at = g->memory + GUEST_ARENA - CANARY;
	unsigned i;

	if (write)
		memset(at, 0xa5, CANARY);
	for (i = 0; i < CANARY; i++)
		FUZZ_MUST(at[i] == 0xa5);
}

static void address(struct vtoe_address *a, uint8_t last, uint16_t port)
{
	memset(a, 0, sizeof(*a));
	a->family = VTOE_AF_INET;
	a->port = port;
	if (!last)
		return;
	memcpy(a->ip, "\x0a\x63\0", 3);
	a->ip[3] = last;
}

/* One that is right; then some of its bytes change. */
static void segment(struct fuzz_guest *g, struct fuzz_input *in,
		    struct vtoe_sqe *e)
{
	struct vtoe_segment s = { .head_bytes = 20 };
	uint8_t how = fuzz_u8(in);
	uint8_t *raw = (uint8_t *)&s;

	address(&s.local, 2, (uint16_t)(WIRE_PORT + (how & 3)));
	address(&s.remote, 1, WIRE_PEER);
	s.head[0] = (uint8_t)(s.local.port >> 8);
	s.head[1] = (uint8_t)s.local.port;
	s.head[2] = WIRE_PEER >> 8;
	s.head[3] = WIRE_PEER & 0xff;
	s.head[12] = 5 << 4;
	s.head[13] = fuzz_u8(in);
	s.segment_size = how & 4 ? 1400 : fuzz_u16(in);
	s.pieces[0] = (struct vtoe_piece){ g->key, 4096, fuzz_u16(in), 0 };
	s.pieces[2] = (struct vtoe_piece){ g->key, 1, fuzz_u8(in), 0 };
	for (how >>= 5; how; how--)
		raw[fuzz_u8(in) % sizeof(s)] = fuzz_u8(in);
	e->offset = (uint64_t)fuzz_u8(in) << 8;
	e->length = sizeof(s);
	memcpy(g->memory + GUEST_ARENA + e->offset, &s, sizeof(s));
}

static void shape(struct fuzz_guest *g, struct fuzz_input *in,
		  struct vtoe_sqe *e, uint32_t claim)
{
	uint8_t how = fuzz_u8(in);

	e->op = (vtoe_u8)(VTOE_OP_CLAIM + fuzz_u8(in) % OPS);
	e->stream = how & 1 ? VTOE_STREAM_NONE : claim;
	e->user_data = how;
	e->key = g->key;
	switch (e->op) {
	case VTOE_OP_CLAIM:
		e->op_flags = how >> 1 & VTOE_CLAIM_PORT;
		address(&e->u.address, how & 2 ? 0 : 1,
			(uint16_t)(how & 2 ? WIRE_PORT + (how >> 2 & 3) :
					     WIRE_PEER));
		e->length = how & 2 ? 0 : WIRE_PORT + (how >> 2 & 3);
		e->offset = how >> 6;
		break;
	case VTOE_OP_SEGMENT:
		segment(g, in, e);
		break;
	case VTOE_OP_AGGREGATE:
		e->op_flags = fuzz_u8(in);
		e->length = e->op_flags * (2048 + (how & 4 ? fuzz_u16(in) : 0));
		e->offset = (uint64_t)fuzz_u16(in) << (how >> 5);
		break;
	default:
		break;
	}
	if (how & 16) /* a byte of it is wrong */
		((uint8_t *)e)[fuzz_u8(in) % sizeof(*e)] = fuzz_u8(in);
}

/* The claim that was granted last. */
static uint32_t newest(struct fuzz_guest *g)
{
	uint32_t n = *guest_word(g, GUEST_CQ);
	struct vtoe_cqe c;
	unsigned i;

	for (i = 1; i <= 16; i++) {
		memcpy(&c, guest_entry(g, GUEST_CQ, GUEST_ENTRIES, n - i),
		       sizeof(c));
		if (c.stream && c.result >= 0 && c.flags & VTOE_CQE_MORE)
			return c.stream;
	}
	return 0;
}

static void submit(struct fuzz_guest *g, struct fuzz_input *in, bool free_form,
		   uint32_t *produced)
{
	struct vtoe_sqe e = { 0 };

	if (free_form)
		fuzz_bytes(in, &e, sizeof(e));
	else
		shape(g, in, &e, newest(g));
	memcpy(guest_entry(g, GUEST_SQ, GUEST_ENTRIES, *produced), &e,
	       sizeof(e));
	*guest_word(g, GUEST_SQ) = ++*produced;
}

/* The region goes, or the lane; or they come again. */
static void control(struct fuzz_guest *g, uint8_t what, uint32_t *produced)
{
	struct vtoe_ctl_completion c;

	if (what & 1)
		guest_region(g, what & 2, &c);
	else
		guest_lane(g, what & 2, &c);
	if (!(what & 1) && c.op == VTOE_CTL_LANE_DEL && !c.result) {
		memset(g->memory + GUEST_SQ, 0, VTOE_RING_HEADER);
		memset(g->memory + GUEST_CQ, 0, VTOE_RING_HEADER);
		*produced = 0;
	}
}

static void act(struct fuzz_guest guests[2], struct fuzz_input *in,
		uint32_t produced[2], unsigned *who)
{
	uint8_t action = fuzz_u8(in);
	struct fuzz_guest *g = &guests[*who];

	switch (action & 7) {
	case 0:
		if (action & 64)
			*guest_word(g, GUEST_CQ + 64) = fuzz_u32(in);
		else /* consume all */
			*guest_word(g, GUEST_CQ + 64) =
				*guest_word(g, GUEST_CQ);
		break;
	case 1:
	case 2:
		wire_input(in);
		break;
	case 3:
		guest_pass((uint64_t)(action >> 4) * 200);
		if (action & 8)
			*who ^= 1;
		break;
	case 4:
		if (action >> 5 == 0)
			control(g, action >> 3, &produced[*who]);
		else
			submit(g, in, action >> 5 == 1, &produced[*who]);
		break;
	default:
		submit(g, in, false, &produced[*who]);
	}
	if (action & 8) {
		conn_kick(g->conn);
		guest_turns(1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fuzz_input in = { data, bytes };
	uint32_t produced[2] = { 0 };
	struct fuzz_guest guests[2];
	unsigned actions = 0, who = 0, i;

	for (i = 0; i < 2; i++) {
		guest_join(&guests[i], true);
		canary(&guests[i], true);
	}
	while (in.left && actions++ < 200)
		act(guests, &in, produced, &who);
	for (i = 0; i < 2; i++)
		conn_kick(guests[i].conn);
	guest_turns(3);
	for (i = 0; i < 2; i++)
		canary(&guests[i], false);
	guest_part(&guests[0]);
	guest_leave(&guests[1]);
	guest_forget(&guests[0]);
	wire_check(guest_device());
	return 0;
}
