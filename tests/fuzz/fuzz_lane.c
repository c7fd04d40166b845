/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_lane.c - submission entries, over real sockets on a loopback interface
 *
 * The input is a sequence of actions: an entry with fields near what is valid
 * (key, stream, offset), an entry of 64 free bytes, a store to a ring's head,
 * a turn, and the removal of the region or the lane under all of it, by two
 * guests, who may share streams. Bytes that the service places must be inside
 * the region: the canary around it is looked at afterwards.
 */
#include "fuzz_guest.h"

enum { CANARY = 4096 };

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	guest_device_open();
	return 0;
}

static void shape(struct fuzz_guest *g, struct fuzz_input *in,
		  struct vtoe_sqe *e, const struct vtoe_cqe *last)
{
	uint8_t flags = fuzz_u8(in);

	e->op = fuzz_u8(in) % 21;
	e->stream = flags & 1 ? VTOE_STREAM_LAST : last->stream;
	if (flags & 2)
		e->stream = fuzz_u32(in);
	e->user_data = fuzz_u8(in) & 7;
	e->key = flags & 4 ? fuzz_u32(in) : g->key;
	e->offset = (uint64_t)fuzz_u16(in) << (flags & 8 ? 48 : 4);
	e->length = fuzz_u16(in);
	if (flags & 16)
		e->length <<= 16;
	e->op_flags = fuzz_u8(in);
	switch (e->op) {
	case VTOE_OP_OPEN:
	case VTOE_OP_BIND:
	case VTOE_OP_CONNECT:
		e->u.address.family = flags & 32 ? fuzz_u16(in) : VTOE_AF_INET;
		e->u.address.port = flags & 64 ? fuzz_u16(in) :
						 GUEST_LISTEN_PORT;
		memcpy(e->u.address.ip, "\x7f\0\0\1", 4);
		break;
	case VTOE_OP_CANCEL:
		e->u.target = fuzz_u8(in) & 7;
		break;
	case VTOE_OP_SETOPT:
	case VTOE_OP_GETOPT:
		e->u.option.level = fuzz_u16(in);
		e->u.option.name = fuzz_u16(in);
		e->u.option.length = fuzz_u8(in);
		fuzz_bytes(in, e->u.option.value, 8);
		break;
	default:
		break;
	}
}

/* The completion that named a stream last. */
static void newest(struct fuzz_guest *g, struct vtoe_cqe *c)
{
	uint32_t n = *guest_word(g, GUEST_CQ);
	unsigned i;

	for (i = 1; i <= 8; i++) {
		memcpy(c, guest_entry(g, GUEST_CQ, GUEST_ENTRIES, n - i),
		       sizeof(*c));
		if (c->stream && c->result >= 0)
			return;
	}
	memset(c, 0, sizeof(*c));
}

/* The region or the lane goes, or comes again. */
static void control(struct fuzz_guest *g, uint8_t what, uint32_t *produced)
{
	uint32_t n = *guest_word(g, VTOE_CTL_REQUEST_OFFSET), done;
	struct vtoe_ctl_request q = { .user_data = 99 };
	struct vtoe_ctl_completion c;

	switch (what & 3) {
	case 0:
		q.op = VTOE_CTL_REGION_DEL;
		q.u.key = g->key;
		break;
	case 1:
		q.op = VTOE_CTL_LANE_DEL;
		break;
	case 2:
		q.op = VTOE_CTL_REGION_ADD;
		q.lane = what & 4 ? 0 : VTOE_LANE_ANY;
		q.u.region.offset = GUEST_ARENA;
		q.u.region.length = GUEST_BYTES - GUEST_ARENA;
		q.u.region.count = 1;
		q.u.region.rights = VTOE_REGION_READ | VTOE_REGION_WRITE;
		break;
	default:
		q.op = VTOE_CTL_LANE_ADD;
		q.u.lane.sq_offset = GUEST_SQ;
		q.u.lane.cq_offset = GUEST_CQ;
		q.u.lane.sq_entries = q.u.lane.cq_entries = GUEST_ENTRIES;
		q.u.lane.vector = 1;
	}
	memcpy(guest_entry(g, VTOE_CTL_REQUEST_OFFSET, VTOE_CTL_ENTRIES, n),
	       &q, sizeof(q));
	*guest_word(g, VTOE_CTL_REQUEST_OFFSET) = n + 1;
	conn_kick(g->conn);
	guest_turns(what & 8 ? 3 : 1);
	done = *guest_word(g, VTOE_CTL_COMPLETION_OFFSET);
	*guest_word(g, VTOE_CTL_COMPLETION_OFFSET + 64) = done;
	memcpy(&c, guest_entry(g, VTOE_CTL_COMPLETION_OFFSET, VTOE_CTL_ENTRIES,
			       done - 1), sizeof(c));
	if (c.result)
		return;
	if (c.op == VTOE_CTL_REGION_ADD)
		g->key = c.key;
	if (c.op == VTOE_CTL_LANE_DEL) {
		memset(g->memory + GUEST_SQ, 0, VTOE_RING_HEADER);
		memset(g->memory + GUEST_CQ, 0, VTOE_RING_HEADER);
		*produced = 0;
	}
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

/* An entry of the current guest; ADOPT looks at what the other one shared. */
static void submit(struct fuzz_guest *g, struct fuzz_guest *other,
		   struct fuzz_input *in, bool free_form, uint32_t *produced)
{
	struct vtoe_cqe last, shared;
	struct vtoe_sqe e = { 0 };

	if (free_form) {
		fuzz_bytes(in, &e, sizeof(e));
	} else {
		newest(g, &last);
		shape(g, in, &e, &last);
		newest(other, &shared);
		if (e.op == VTOE_OP_ADOPT)
			memcpy(e.u.token, shared.u.token, sizeof(e.u.token));
	}
	memcpy(guest_entry(g, GUEST_SQ, GUEST_ENTRIES, *produced), &e,
	       sizeof(e));
	++*produced;
	*guest_word(g, GUEST_SQ) = *produced;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fuzz_input in = { data, bytes };
	uint32_t produced[2] = { 0 }, at;
	struct fuzz_guest guests[2];
	unsigned actions = 0, who = 0;
	struct fuzz_guest *g;
	uint8_t action;

	for (at = 0; at < 2; at++) {
		guest_join(&guests[at], true);
		canary(&guests[at], true);
	}
	while (in.left && actions++ < 200) {
		action = fuzz_u8(&in);
		g = &guests[who];
		switch (action & 7) {
		case 0:
			at = action & 8 ? GUEST_CQ : GUEST_SQ;
			*guest_word(g, at + (action >> 4) * 4) = fuzz_u32(&in);
			break;
		case 1: /* consume all completions */
			*guest_word(g, GUEST_CQ + 64) =
				*guest_word(g, GUEST_CQ);
			if (action & 8)
				control(g, action >> 4, &produced[who]);
			break;
		case 2:
			conn_kick(g->conn);
			guest_turns(1 + (action >> 6));
			if (action & 8)
				who ^= 1;
			break;
		default:
			submit(g, &guests[!who], &in, (action & 7) == 3,
			       &produced[who]);
			if (action & 8) {
				conn_kick(g->conn);
				guest_turns(1);
			}
		}
	}
	for (at = 0; at < 2; at++)
		conn_kick(guests[at].conn);
	guest_turns(3);
	for (at = 0; at < 2; at++)
		canary(&guests[at], false);
	/* One leaves before the other. */
	guest_part(&guests[0]);
	guest_leave(&guests[1]);
	guest_forget(&guests[0]);
	return 0;
}
