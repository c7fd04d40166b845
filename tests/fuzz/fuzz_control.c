/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_control.c - the control ring, and the table of regions behind it
 *
 * The input is a sequence of actions: a request of 64 bytes, a store to any
 * word of the control rings, bytes for a list of ranges, a turn.
 */
#include "fuzz_guest.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	guest_device_open();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fuzz_input in = { data, bytes };
	struct fuzz_guest g;
	uint32_t produced, taken, at;
	unsigned actions = 0;
	uint8_t action;

	guest_join(&g, fuzz_u8(&in) & 1);
	produced = *guest_word(&g, VTOE_CTL_REQUEST_OFFSET);
	taken = *guest_word(&g, VTOE_CTL_COMPLETION_OFFSET + 64);
	while (in.left && actions++ < 400) {
		action = fuzz_u8(&in);
		switch (action & 7) {
		case 0: /* any word of the rings' heads */
			at = action & 8 ? VTOE_CTL_COMPLETION_OFFSET :
					  VTOE_CTL_REQUEST_OFFSET;
			*guest_word(&g, at + (action >> 4) * 4 % 128) =
				fuzz_u32(&in);
			break;
		case 1: /* a list of ranges, or a ring's head */
			at = VTOE_GUEST_OFFSET + (fuzz_u16(&in) & 0x7ff0);
			fuzz_bytes(&in, g.memory + at, 64);
			break;
		case 2:
			taken++;
			*guest_word(&g, VTOE_CTL_COMPLETION_OFFSET + 64) =
				taken;
			break;
		case 3:
			guest_turns(1);
			break;
		default:
			fuzz_bytes(&in, guest_entry(&g, VTOE_CTL_REQUEST_OFFSET,
						    VTOE_CTL_ENTRIES, produced),
				   64);
			produced++;
			*guest_word(&g, VTOE_CTL_REQUEST_OFFSET) = produced;
			if (action & 8)
				conn_kick(g.conn);
		}
	}
	conn_kick(g.conn);
	guest_turns(3);
	guest_leave(&g);
	return 0;
}
