/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_lane.c - submission entries, over real sockets on a loopback interface
 *
 * The input is a sequence of actions: an entry with fields near what is valid
 * (key, stream, offset), an entry of 64 free bytes, a store to a ring's head,
 * a turn. Bytes that the service places must be inside the region: the canary
 * around it is looked at afterwards.
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
	case VTOE_OP_ADOPT: /* the answer to a SHARE, perhaps */
		memcpy(e->u.token, last->u.token, sizeof(e->u.token));
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

static void canary(struct fuzz_guest *g, bool write)
{
	uint8_t *at = g->memory + GUEST_ARENA - CANARY;
	unsigned i;

	if (write)
		memset(at, 0xa5, CANARY);
	for (i = 0; i < CANARY; i++)
		FUZZ_MUST(at[i] == 0xa5);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fuzz_input in = { data, bytes };
	uint32_t produced = 0, at;
	unsigned actions = 0;
	struct fuzz_guest g;
	struct vtoe_cqe last;
	struct vtoe_sqe e;
	uint8_t action;

	guest_join(&g, true);
	canary(&g, true);
	while (in.left && actions++ < 200) {
		action = fuzz_u8(&in);
		memset(&e, 0, sizeof(e));
		switch (action & 7) {
		case 0:
			at = action & 8 ? GUEST_CQ : GUEST_SQ;
			*guest_word(&g, at + (action >> 4) * 4) = fuzz_u32(&in);
			break;
		case 1: /* consume all completions */
			*guest_word(&g, GUEST_CQ + 64) =
				*guest_word(&g, GUEST_CQ);
			break;
		case 2:
			conn_kick(g.conn);
			guest_turns(1 + (action >> 6));
			break;
		case 3:
			fuzz_bytes(&in, &e, sizeof(e));
			break;
		default:
			newest(&g, &last);
			shape(&g, &in, &e, &last);
		}
		if ((action & 7) < 3)
			continue;
		memcpy(guest_entry(&g, GUEST_SQ, GUEST_ENTRIES, produced), &e,
		       sizeof(e));
		produced++;
		*guest_word(&g, GUEST_SQ) = produced;
		if (action & 8) {
			conn_kick(g.conn);
			guest_turns(1);
		}
	}
	conn_kick(g.conn);
	guest_turns(3);
	canary(&g, false);
	guest_leave(&g);
	return 0;
}
