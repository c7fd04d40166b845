/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * steer_program.h - the XDP program of steer.h, as instructions
 *
 * Put together here from instructions, not compiled from C by clang: it is one
 * screen long; so neither building nor running needs clang, an ELF loader or
 * BTF, the program is the same on every machine, and descriptors and limits
 * are constants in it.
 */
#ifndef VTOE_NIC_STEER_PROGRAM_H
#define VTOE_NIC_STEER_PROGRAM_H

#include <linux/bpf.h>
#include <stdint.h>

enum {
	STEER_INSNS = 160,
	STEER_LABELS = 16,
};

struct steer_program {
	struct bpf_insn insn[STEER_INSNS];
	unsigned count; /* STEER_INSNS + 1: did not fit */
	/* -- while it is being made -- */
	uint8_t to[STEER_INSNS];	/* label that a jump goes to */
	unsigned label[STEER_LABELS]; /* where it is */
};

/* Of descriptors of maps. -> 0, -ENOSPC: our own mistake */
int steer_program_make(struct steer_program *p, int claims, int sockets,
		       int counters, uint32_t frame_max);

#endif
