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
 *		key.addresses = 0, key.remote_port = 0, key.family = 4 or 6;
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

enum label {
	UNTAGGED = 1,
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

/* The family, below the key on the stack. */
#define FAMILY (-(int)sizeof(struct steer_claim) - 8)

static void note_family(struct bpf_code *p, int family)
{
	bpf_alu(p, BPF_MOV, R1, family);
	bpf_store(p, BPF_H, FAMILY, R1);
}

/* Passes the frame unless so many bytes are there behind the register. */
static void need(struct bpf_code *p, uint8_t from, int bytes)
{
	bpf_set(p, R1, from);
	bpf_alu(p, BPF_ADD, R1, bytes);
	bpf_jump_greater(p, R1, R8, PASS);
}

/* -- the program ----------------------------------------------------------- */

static void link_header(struct bpf_code *p)
{
	int i;

	bpf_set(p, R6, R1);
	bpf_load(p, BPF_W, R9, R6, offsetof(struct xdp_md, data));
	bpf_load(p, BPF_W, R8, R6, offsetof(struct xdp_md, data_end));
	bpf_alu(p, BPF_MOV, R7, 0);
	for (i = 0; i < (int)sizeof(struct steer_claim); i += 8)
		bpf_store_zero(p, BPF_DW, i - (int)sizeof(struct steer_claim));
	need(p, R9, ETH_HLEN);
	bpf_load(p, BPF_H, R5, R9, 12);
	bpf_alu(p, BPF_ADD, R9, ETH_HLEN);
	bpf_jump_if(p, BPF_JEQ, R5, htons(ETH_P_8021Q), TAGGED);
	bpf_jump_if(p, BPF_JNE, R5, htons(ETH_P_8021AD), UNTAGGED);
	bpf_label(p, TAGGED);
	need(p, R9, 4);
	bpf_load(p, BPF_H, R1, R9, 0);
	bpf_alu(p, BPF_AND, R1, htons(0x0fff));
	bpf_store(p, BPF_H, KEY(vlan), R1);
	bpf_load(p, BPF_H, R5, R9, 2);
	bpf_alu(p, BPF_ADD, R9, 4);
	bpf_label(p, UNTAGGED);
	bpf_jump_if(p, BPF_JEQ, R5, htons(ETH_P_IP), IPV4);
	bpf_jump_if(p, BPF_JEQ, R5, htons(ETH_P_IPV6), IPV6);
	bpf_jump(p, PASS);
}

static void ipv4_header(struct bpf_code *p)
{
	bpf_label(p, IPV4);
	note_family(p, 4);
	need(p, R9, 20);
	bpf_load(p, BPF_B, R1, R9, 9);
	bpf_jump_if(p, BPF_JNE, R1, IPPROTO_TCP, PASS);
	bpf_load(p, BPF_H, R7, R9, 6);
	bpf_set(p, R1, R7);
	bpf_alu(p, BPF_AND, R1, htons(0x1fff));
	bpf_jump_if(p, BPF_JNE, R1, 0, PASS);
	bpf_alu(p, BPF_AND, R7, htons(0x2000));
	bpf_alu(p, BPF_MOV, R1, 0xffff);
	bpf_store(p, BPF_H, KEY(local) + 10, R1);
	bpf_store(p, BPF_H, KEY(remote) + 10, R1);
	bpf_load(p, BPF_W, R1, R9, 12);
	bpf_store(p, BPF_W, KEY(remote) + 12, R1);
	bpf_load(p, BPF_W, R1, R9, 16);
	bpf_store(p, BPF_W, KEY(local) + 12, R1);
	bpf_load(p, BPF_B, R2, R9, 0); /* version 4, and the header's length */
	bpf_alu(p, BPF_SUB, R2, 0x45);
	bpf_jump_if(p, BPF_JGT, R2, 10, PASS);
	bpf_alu(p, BPF_LSH, R2, 2);
	bpf_alu(p, BPF_ADD, R2, 20);
	bpf_alu_reg(p, BPF_ADD, R9, R2);
	bpf_jump(p, PORTS);
}

static void ipv6_header(struct bpf_code *p)
{
	int i;

	bpf_label(p, IPV6);
	note_family(p, 6);
	need(p, R9, 40);
	for (i = 0; i < 16; i += 4) {
		bpf_load(p, BPF_W, R1, R9, 8 + i);
		bpf_store(p, BPF_W, KEY(remote) + i, R1);
		bpf_load(p, BPF_W, R1, R9, 24 + i);
		bpf_store(p, BPF_W, KEY(local) + i, R1);
	}
	bpf_load(p, BPF_B, R1, R9, 6);
	bpf_alu(p, BPF_ADD, R9, 40);
	bpf_jump_if(p, BPF_JEQ, R1, IPPROTO_TCP, PORTS);
	bpf_jump_if(p, BPF_JNE, R1, IPPROTO_FRAGMENT, PASS);
	need(p, R9, 8);
	bpf_load(p, BPF_B, R1, R9, 0);
	bpf_jump_if(p, BPF_JNE, R1, IPPROTO_TCP, PASS);
	bpf_load(p, BPF_H, R1, R9, 2);
	bpf_alu(p, BPF_AND, R1, htons(0xfff8));
	bpf_jump_if(p, BPF_JNE, R1, 0, PASS);
	bpf_alu(p, BPF_MOV, R7, 1);
	bpf_alu(p, BPF_ADD, R9, 8);
}

static void look_up(struct bpf_code *p, int claims)
{
	bpf_set_map(p, R1, BPF_PSEUDO_MAP_FD, claims, 0);
	bpf_set(p, R2, R10);
	bpf_alu(p, BPF_ADD, R2, -(int)sizeof(struct steer_claim));
	bpf_call(p, BPF_FUNC_map_lookup_elem);
}

static void find_claim(struct bpf_code *p, int claims)
{
	int i;

	bpf_label(p, PORTS);
	need(p, R9, 20);
	bpf_load(p, BPF_H, R1, R9, 0);
	bpf_store(p, BPF_H, KEY(remote_port), R1);
	bpf_load(p, BPF_H, R1, R9, 2);
	bpf_store(p, BPF_H, KEY(local_port), R1);
	look_up(p, claims);
	bpf_jump_if(p, BPF_JNE, R0, 0, CLAIMED);
	for (i = 0; i < 32; i += 8)
		bpf_store_zero(p, BPF_DW, KEY(local) + i);
	bpf_store_zero(p, BPF_H, KEY(remote_port));
	bpf_load(p, BPF_H, R1, R10, FAMILY);
	bpf_store(p, BPF_H, KEY(family), R1);
	look_up(p, claims);
	bpf_jump_if(p, BPF_JEQ, R0, 0, PASS);
}

static void drop_counted(struct bpf_code *p, int counters,
			 enum steer_counter which)
{
	bpf_set_map(p, R1, BPF_PSEUDO_MAP_VALUE, counters,
		    (int)(which * sizeof(uint64_t)));
	bpf_alu(p, BPF_MOV, R2, 1);
	bpf_count(p, R1, R2);
	bpf_leave(p, XDP_DROP);
}

static void deliver(struct bpf_code *p, int sockets, int counters,
		    uint32_t frame_max)
{
	bpf_label(p, CLAIMED);
	bpf_jump_if(p, BPF_JEQ, R7, 0, WHOLE);
	drop_counted(p, counters, STEER_FRAGMENT);
	bpf_label(p, WHOLE);
	bpf_set(p, R1, R6);
	bpf_call(p, BPF_FUNC_xdp_get_buff_len);
	bpf_jump_if(p, BPF_JLE, R0, (int)frame_max, FITS);
	drop_counted(p, counters, STEER_LONG);
	bpf_label(p, FITS);
	bpf_load(p, BPF_W, R2, R6, offsetof(struct xdp_md, rx_queue_index));
	bpf_set_map(p, R1, BPF_PSEUDO_MAP_FD, sockets, 0);
	bpf_alu(p, BPF_MOV, R3, XDP_DROP); /* where there is no socket */
	bpf_call(p, BPF_FUNC_redirect_map);
	bpf_exit(p);
}

int steer_program_make(struct bpf_code *p, int claims, int sockets,
		       int counters, uint32_t frame_max)
{
	memset(p, 0, sizeof(*p));
	link_header(p);
	ipv4_header(p);
	ipv6_header(p);
	find_claim(p, claims);
	deliver(p, sockets, counters, frame_max);
	bpf_label(p, PASS);
	bpf_leave(p, XDP_PASS);
	return bpf_code_end(p);
}
