/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * steer_program.c - puts the XDP program together
 *
 * In C it would be:
 *
 *	key = {}, fragment = 0, l3 = data + 14, proto = ethertype
 *	if (VLAN) key.vlan = VID, l3 += 4, proto = inner ethertype
 *	if (IPv4) { TCP and fragment offset 0, else pass; fragment = MF; }
 *	if (IPv6) { TCP, or a fragment header of TCP with offset 0, else pass; }
 *	key.addresses, key.ports = ...
 *	if (!claims[key]) {
 *		key.addresses = 0, key.remote_port = 0;
 *		if (!claims[key]) return XDP_PASS;
 *	}
 *	if (fragment) { counters[FRAGMENT]++; return XDP_DROP; }
 *	if (length > frame_max) { counters[LONG]++; return XDP_DROP; }
 *	return redirect(sockets[queue]), without a socket XDP_DROP
 *
 * Registers: r6 the context, r7 is it a fragment, r8 the end of the data, r9
 * the header that is being read; the key is the top of the stack.
 */
#include "nic/steer_program.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "nic/steer.h"

enum { R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 };

enum label {
	NEXT, /* no jump */
	UNTAGGED,
	TAGGED,
	IPV4,
	IPV6,
	IPV6_FRAGMENT,
	IPV6_TCP,
	PORTS,
	CLAIMED,
	WHOLE,
	FITS,
	PASS,
};

#define KEY(field) \
	((int)offsetof(struct steer_claim, field) - \
	 (int)sizeof(struct steer_claim))

/* -- the assembler --------------------------------------------------------- */

static void put(struct steer_program *p, struct bpf_insn insn, enum label to)
{
	if (p->count >= STEER_INSNS) {
		p->count = STEER_INSNS + 1;
		return;
	}
	p->insn[p->count] = insn;
	p->to[p->count++] = (uint8_t)to;
}

static void at(struct steer_program *p, enum label l)
{
	p->label[l] = p->count;
}

static void set(struct steer_program *p, uint8_t dst, uint8_t src)
{
	put(p, (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_X,
				  .dst_reg = dst, .src_reg = src }, NEXT);
}

/* op: BPF_MOV, BPF_ADD, ... */
static void alu(struct steer_program *p, uint8_t op, uint8_t dst, int imm)
{
	put(p, (struct bpf_insn){ .code = BPF_ALU64 | op | BPF_K,
				  .dst_reg = dst, .imm = imm }, NEXT);
}

static void add(struct steer_program *p, uint8_t dst, uint8_t src)
{
	put(p, (struct bpf_insn){ .code = BPF_ALU64 | BPF_ADD | BPF_X,
				  .dst_reg = dst, .src_reg = src }, NEXT);
}

/* size: BPF_B, BPF_H, BPF_W */
static void load(struct steer_program *p, uint8_t size, uint8_t dst,
		 uint8_t src, int offset)
{
	put(p, (struct bpf_insn){ .code = BPF_LDX | BPF_MEM | size,
				  .dst_reg = dst, .src_reg = src,
				  .off = (int16_t)offset }, NEXT);
}

static void store(struct steer_program *p, uint8_t size, int offset,
		  uint8_t src)
{
	put(p, (struct bpf_insn){ .code = BPF_STX | BPF_MEM | size,
				  .dst_reg = R10, .src_reg = src,
				  .off = (int16_t)offset }, NEXT);
}

static void store_zero(struct steer_program *p, uint8_t size, int offset)
{
	put(p, (struct bpf_insn){ .code = BPF_ST | BPF_MEM | size,
				  .dst_reg = R10, .off = (int16_t)offset },
	    NEXT);
}

/* op: BPF_JEQ, BPF_JNE, BPF_JGT, ... */
static void jump_if(struct steer_program *p, uint8_t op, uint8_t dst, int imm,
		    enum label to)
{
	put(p, (struct bpf_insn){ .code = BPF_JMP | op | BPF_K,
				  .dst_reg = dst, .imm = imm }, to);
}

static void jump(struct steer_program *p, enum label to)
{
	put(p, (struct bpf_insn){ .code = BPF_JMP | BPF_JA }, to);
}

static void call(struct steer_program *p, int function)
{
	put(p, (struct bpf_insn){ .code = BPF_JMP | BPF_CALL,
				  .imm = function }, NEXT);
}

static void leave(struct steer_program *p, int verdict)
{
	alu(p, BPF_MOV, R0, verdict);
	put(p, (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT }, NEXT);
}

/* how: BPF_PSEUDO_MAP_FD (offset 0), or BPF_PSEUDO_MAP_VALUE */
static void set_map(struct steer_program *p, uint8_t dst, uint8_t how, int fd,
		    int offset)
{
	put(p, (struct bpf_insn){ .code = BPF_LD | BPF_DW | BPF_IMM,
				  .dst_reg = dst, .src_reg = how,
				  .imm = fd }, NEXT);
	put(p, (struct bpf_insn){ .imm = offset }, NEXT);
}

/* Passes the frame unless so many bytes are there behind the register. */
static void need(struct steer_program *p, uint8_t from, int bytes)
{
	set(p, R1, from);
	alu(p, BPF_ADD, R1, bytes);
	put(p, (struct bpf_insn){ .code = BPF_JMP | BPF_JGT | BPF_X,
				  .dst_reg = R1, .src_reg = R8 }, PASS);
}

static int resolve(struct steer_program *p)
{
	unsigned i;

	if (p->count > STEER_INSNS)
		return -ENOSPC;
	for (i = 0; i < p->count; i++)
		if (p->to[i] != NEXT)
			p->insn[i].off =
				(int16_t)(p->label[p->to[i]] - i - 1);
	return 0;
}

/* -- the program ----------------------------------------------------------- */

static void link_header(struct steer_program *p)
{
	int i;

	set(p, R6, R1);
	load(p, BPF_W, R9, R6, offsetof(struct xdp_md, data));
	load(p, BPF_W, R8, R6, offsetof(struct xdp_md, data_end));
	alu(p, BPF_MOV, R7, 0);
	for (i = 0; i < (int)sizeof(struct steer_claim); i += 8)
		store_zero(p, BPF_DW, i - (int)sizeof(struct steer_claim));
	need(p, R9, ETH_HLEN);
	load(p, BPF_H, R5, R9, 12);
	alu(p, BPF_ADD, R9, ETH_HLEN);
	jump_if(p, BPF_JEQ, R5, htons(ETH_P_8021Q), TAGGED);
	jump_if(p, BPF_JNE, R5, htons(ETH_P_8021AD), UNTAGGED);
	at(p, TAGGED);
	need(p, R9, 4);
	load(p, BPF_H, R1, R9, 0);
	alu(p, BPF_AND, R1, htons(0x0fff));
	store(p, BPF_H, KEY(vlan), R1);
	load(p, BPF_H, R5, R9, 2);
	alu(p, BPF_ADD, R9, 4);
	at(p, UNTAGGED);
	jump_if(p, BPF_JEQ, R5, htons(ETH_P_IP), IPV4);
	jump_if(p, BPF_JEQ, R5, htons(ETH_P_IPV6), IPV6);
	jump(p, PASS);
}

static void ipv4_header(struct steer_program *p)
{
	at(p, IPV4);
	need(p, R9, 20);
	load(p, BPF_B, R1, R9, 9);
	jump_if(p, BPF_JNE, R1, IPPROTO_TCP, PASS);
	load(p, BPF_H, R7, R9, 6);
	set(p, R1, R7);
	alu(p, BPF_AND, R1, htons(0x1fff));
	jump_if(p, BPF_JNE, R1, 0, PASS);
	alu(p, BPF_AND, R7, htons(0x2000));
	alu(p, BPF_MOV, R1, 0xffff);
	store(p, BPF_H, KEY(local) + 10, R1);
	store(p, BPF_H, KEY(remote) + 10, R1);
	load(p, BPF_W, R1, R9, 12);
	store(p, BPF_W, KEY(remote) + 12, R1);
	load(p, BPF_W, R1, R9, 16);
	store(p, BPF_W, KEY(local) + 12, R1);
	load(p, BPF_B, R2, R9, 0); /* version 4, and the header's length */
	alu(p, BPF_SUB, R2, 0x45);
	jump_if(p, BPF_JGT, R2, 10, PASS);
	alu(p, BPF_LSH, R2, 2);
	alu(p, BPF_ADD, R2, 20);
	add(p, R9, R2);
	jump(p, PORTS);
}

static void ipv6_header(struct steer_program *p)
{
	int i;

	at(p, IPV6);
	need(p, R9, 40);
	for (i = 0; i < 16; i += 4) {
		load(p, BPF_W, R1, R9, 8 + i);
		store(p, BPF_W, KEY(remote) + i, R1);
		load(p, BPF_W, R1, R9, 24 + i);
		store(p, BPF_W, KEY(local) + i, R1);
	}
	load(p, BPF_B, R1, R9, 6);
	alu(p, BPF_ADD, R9, 40);
	jump_if(p, BPF_JEQ, R1, IPPROTO_TCP, PORTS);
	jump_if(p, BPF_JNE, R1, IPPROTO_FRAGMENT, PASS);
	need(p, R9, 8);
	load(p, BPF_B, R1, R9, 0);
	jump_if(p, BPF_JNE, R1, IPPROTO_TCP, PASS);
	load(p, BPF_H, R1, R9, 2);
	alu(p, BPF_AND, R1, htons(0xfff8));
	jump_if(p, BPF_JNE, R1, 0, PASS);
	alu(p, BPF_MOV, R7, 1);
	alu(p, BPF_ADD, R9, 8);
}

static void look_up(struct steer_program *p, int claims)
{
	set_map(p, R1, BPF_PSEUDO_MAP_FD, claims, 0);
	set(p, R2, R10);
	alu(p, BPF_ADD, R2, -(int)sizeof(struct steer_claim));
	call(p, BPF_FUNC_map_lookup_elem);
}

static void find_claim(struct steer_program *p, int claims)
{
	int i;

	at(p, PORTS);
	need(p, R9, 20);
	load(p, BPF_H, R1, R9, 0);
	store(p, BPF_H, KEY(remote_port), R1);
	load(p, BPF_H, R1, R9, 2);
	store(p, BPF_H, KEY(local_port), R1);
	look_up(p, claims);
	jump_if(p, BPF_JNE, R0, 0, CLAIMED);
	for (i = 0; i < 32; i += 8)
		store_zero(p, BPF_DW, KEY(local) + i);
	store_zero(p, BPF_H, KEY(remote_port));
	look_up(p, claims);
	jump_if(p, BPF_JEQ, R0, 0, PASS);
}

static void drop_counted(struct steer_program *p, int counters,
			 enum steer_counter which)
{
	set_map(p, R1, BPF_PSEUDO_MAP_VALUE, counters,
		(int)(which * sizeof(uint64_t)));
	alu(p, BPF_MOV, R2, 1);
	put(p, (struct bpf_insn){ .code = BPF_STX | BPF_DW | BPF_ATOMIC,
				  .dst_reg = R1, .src_reg = R2,
				  .imm = BPF_ADD }, NEXT);
	leave(p, XDP_DROP);
}

static void deliver(struct steer_program *p, int sockets, int counters,
		    uint32_t frame_max)
{
	at(p, CLAIMED);
	jump_if(p, BPF_JEQ, R7, 0, WHOLE);
	drop_counted(p, counters, STEER_FRAGMENT);
	at(p, WHOLE);
	set(p, R1, R6);
	call(p, BPF_FUNC_xdp_get_buff_len);
	jump_if(p, BPF_JLE, R0, (int)frame_max, FITS);
	drop_counted(p, counters, STEER_LONG);
	at(p, FITS);
	load(p, BPF_W, R2, R6, offsetof(struct xdp_md, rx_queue_index));
	set_map(p, R1, BPF_PSEUDO_MAP_FD, sockets, 0);
	alu(p, BPF_MOV, R3, XDP_DROP); /* where there is no socket */
	call(p, BPF_FUNC_redirect_map);
	put(p, (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT }, NEXT);
}

int steer_program_make(struct steer_program *p, int claims, int sockets,
		       int counters, uint32_t frame_max)
{
	memset(p, 0, sizeof(*p));
	link_header(p);
	ipv4_header(p);
	ipv6_header(p);
	find_claim(p, claims);
	deliver(p, sockets, counters, frame_max);
	at(p, PASS);
	leave(p, XDP_PASS);
	return resolve(p);
}
