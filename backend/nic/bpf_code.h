/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bpf_code.h - puts a BPF program together, an instruction a call
 *
 * For programs of a screen or two, instead of clang: neither building nor
 * running needs clang, an ELF loader or BTF; the program is the same on every
 * machine; descriptors and limits are constants in it.
 *
 * A jump names a label, a number from 1 on; bpf_label() says where it is, and
 * bpf_code_end() fills in the distances.
 */
#ifndef VTOE_NIC_BPF_CODE_H
#define VTOE_NIC_BPF_CODE_H

#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>

enum { R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 };

enum {
	BPF_CODE_INSNS = 160,
	BPF_CODE_LABELS = 16,
};

struct bpf_code {
	struct bpf_insn insn[BPF_CODE_INSNS];
	unsigned count;		     /* BPF_CODE_INSNS + 1: did not fit */
	uint8_t to[BPF_CODE_INSNS];  /* the label of a jump, or 0 */
	unsigned label[BPF_CODE_LABELS];
};

static inline void bpf_put(struct bpf_code *p, struct bpf_insn insn,
			   unsigned to)
{
	if (p->count >= BPF_CODE_INSNS) {
		p->count = BPF_CODE_INSNS + 1;
		return;
	}
	p->insn[p->count] = insn;
	p->to[p->count++] = (uint8_t)to;
}

static inline void bpf_label(struct bpf_code *p, unsigned label)
{
	p->label[label] = p->count;
}

static inline int bpf_code_end(struct bpf_code *p)
{
	unsigned i;

	if (p->count > BPF_CODE_INSNS)
		return -ENOSPC;
	for (i = 0; i < p->count; i++)
		if (p->to[i])
			p->insn[i].off =
				(int16_t)(p->label[p->to[i]] - i - 1);
	return 0;
}

/* -- moving and counting: op is BPF_MOV, BPF_ADD, ... -- */

static inline void bpf_alu(struct bpf_code *p, uint8_t op, uint8_t dst, int imm)
{
	bpf_put(p, (struct bpf_insn){ .code = BPF_ALU64 | op | BPF_K,
				      .dst_reg = dst, .imm = imm }, 0);
}

static inline void bpf_alu_reg(struct bpf_code *p, uint8_t op, uint8_t dst,
			       uint8_t src)
{
	bpf_put(p, (struct bpf_insn){ .code = BPF_ALU64 | op | BPF_X,
				      .dst_reg = dst, .src_reg = src }, 0);
}

static inline void bpf_set(struct bpf_code *p, uint8_t dst, uint8_t src)
{
	bpf_alu_reg(p, BPF_MOV, dst, src);
}

/* The low bits (16, 32) of a register into the network's order. */
static inline void bpf_big_endian(struct bpf_code *p, uint8_t dst, int bits)
{
	bpf_put(p, (struct bpf_insn){ .code = BPF_ALU | BPF_END | BPF_TO_BE,
				      .dst_reg = dst, .imm = bits }, 0);
}

/* -- memory: size is BPF_B, BPF_H, BPF_W, BPF_DW -- */

static inline void bpf_load(struct bpf_code *p, uint8_t size, uint8_t dst,
			    uint8_t src, int offset)
{
	bpf_put(p, (struct bpf_insn){ .code = BPF_LDX | BPF_MEM | size,
				      .dst_reg = dst, .src_reg = src,
				      .off = (int16_t)offset }, 0);
}

static inline void bpf_store_at(struct bpf_code *p, uint8_t size, uint8_t dst,
				int offset, uint8_t src)
{
	bpf_put(p, (struct bpf_insn){ .code = BPF_STX | BPF_MEM | size,
				      .dst_reg = dst, .src_reg = src,
				      .off = (int16_t)offset }, 0);
}

/* On the stack; offsets are negative. */
static inline void bpf_store(struct bpf_code *p, uint8_t size, int offset,
			     uint8_t src)
{
	bpf_store_at(p, size, R10, offset, src);
}

static inline void bpf_store_zero(struct bpf_code *p, uint8_t size, int offset)
{
	bpf_put(p, (struct bpf_insn){ .code = BPF_ST | BPF_MEM | size,
				      .dst_reg = R10, .off = (int16_t)offset },
		0);
}

/* Adds to a 64-bit number in memory, atomically. */
static inline void bpf_count(struct bpf_code *p, uint8_t dst, uint8_t src)
{
	bpf_put(p, (struct bpf_insn){ .code = BPF_STX | BPF_DW | BPF_ATOMIC,
				      .dst_reg = dst, .src_reg = src,
				      .imm = BPF_ADD }, 0);
}

/* how: BPF_PSEUDO_MAP_FD (offset 0), or BPF_PSEUDO_MAP_VALUE */
static inline void bpf_set_map(struct bpf_code *p, uint8_t dst, uint8_t how,
			       int fd, int offset)
{
	bpf_put(p, (struct bpf_insn){ .code = BPF_LD | BPF_DW | BPF_IMM,
				      .dst_reg = dst, .src_reg = how,
				      .imm = fd }, 0);
	bpf_put(p, (struct bpf_insn){ .imm = offset }, 0);
}

/* -- going elsewhere: op is BPF_JEQ, BPF_JNE, BPF_JGT, ... -- */

static inline void bpf_jump_if(struct bpf_code *p, uint8_t op, uint8_t dst,
			       int imm, unsigned to)
{
	bpf_put(p, (struct bpf_insn){ .code = BPF_JMP | op | BPF_K,
				      .dst_reg = dst, .imm = imm }, to);
}

static inline void bpf_jump_greater(struct bpf_code *p, uint8_t dst,
				    uint8_t than, unsigned to)
{
	bpf_put(p, (struct bpf_insn){ .code = BPF_JMP | BPF_JGT | BPF_X,
				      .dst_reg = dst, .src_reg = than }, to);
}

static inline void bpf_jump(struct bpf_code *p, unsigned to)
{
	bpf_put(p, (struct bpf_insn){ .code = BPF_JMP | BPF_JA }, to);
}

static inline void bpf_call(struct bpf_code *p, int function)
{
	bpf_put(p, (struct bpf_insn){ .code = BPF_JMP | BPF_CALL,
				      .imm = function }, 0);
}

static inline void bpf_exit(struct bpf_code *p)
{
	bpf_put(p, (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT }, 0);
}

static inline void bpf_leave(struct bpf_code *p, int verdict)
{
	bpf_alu(p, BPF_MOV, R0, verdict);
	bpf_exit(p);
}

#endif
