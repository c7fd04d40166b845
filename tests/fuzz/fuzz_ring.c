/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_ring.c - the backend's half of a ring against any guest
 *
 * The input is a sequence of actions: the guest stores any value in any shared
 * word, the backend uses a verb. The ring's memory is of its exact size, so a
 * sanitizer sees every step outside; the counts that the verbs return are
 * checked against the ring's size, and that broken stays broken.
 */
#include "fuzz.h"

#include <errno.h>

#include "port/ring_peer.h"

enum { WORDS = VTOE_RING_HEADER / 4 };

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static void backend_in(struct ring_in *r, uint8_t verb)
{
	uint8_t entry[VTOE_RING_ENTRY];
	bool broken = r->broken;
	int n;

	switch (verb & 3) {
	case 0:
	case 1:
		n = ring_in_peek(r);
		FUZZ_MUST(n == -EPROTO || (n >= 0 && (uint32_t)n <= r->size));
		FUZZ_MUST(!broken || n == -EPROTO);
		FUZZ_MUST(r->broken == (n == -EPROTO));
		if (verb & 1)
			for (; n > 0; n--)
				ring_in_take(r, entry);
		else if (n > 0)
			ring_in_take(r, entry);
		break;
	case 2:
		ring_in_release(r);
		FUZZ_MUST(r->published == r->consumer);
		break;
	default:
		n = ring_in_arm(r);
		FUZZ_MUST(n == -EPROTO || (n >= 0 && (uint32_t)n <= r->size));
		FUZZ_MUST(!broken || n == -EPROTO);
	}
}

static void backend_out(struct ring_out *r, uint8_t verb)
{
	uint8_t entry[VTOE_RING_ENTRY] = { verb };
	bool broken = r->broken;
	int n;

	switch (verb & 3) {
	case 0:
	case 1:
		n = ring_out_room(r, 1);
		FUZZ_MUST(n == -EPROTO || (n >= 0 && (uint32_t)n <= r->size));
		FUZZ_MUST(!broken || n == -EPROTO);
		for (; n > 0; n = verb & 1 ? n - 1 : 0)
			ring_out_put(r, entry);
		FUZZ_MUST(r->producer - r->consumer <= r->size);
		break;
	case 2:
		ring_out_publish(r, verb & 4);
		FUZZ_MUST(r->published == r->producer);
		break;
	default:
		ring_out_arm_space(r, 1 + (verb >> 4));
		ring_out_status(r, verb, verb);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fuzz_input in = { data, bytes };
	uint32_t size = VTOE_RING_MIN << (fuzz_u8(&in) & 3);
	struct ring_out out;
	struct ring_in r;
	uint32_t *words;
	uint8_t action;

	words = aligned_alloc(VTOE_CACHE_LINE, VTOE_RING_BYTES(size));
	if (!words)
		return 0;
	memset(words, 0, VTOE_RING_BYTES(size));
	ring_in_init(&r, words, size);
	ring_out_init(&out, words, size);
	while (in.left) {
		action = fuzz_u8(&in);
		if (action & 0x80)
			words[action & (WORDS - 1)] = fuzz_u32(&in);
		else if (action & 0x40) /* near where the backend is */
			words[action & 16 ? 16 : 0] =
				(action & 16 ? out.consumer : r.consumer) +
				(action & 15) - 2;
		else if (action & 0x20)
			backend_out(&out, action & 0x1f);
		else
			backend_in(&r, action);
	}
	free(words);
	return 0;
}
