/* SPDX-License-Identifier: BSD-2-Clause */
#include "nic/shortcut.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "nic/bpf_code.h"

enum label { IPV6 = 1, TCP, LEARN, HAND_OVER, PASS };

enum {
	SHORTEST = ETH_HLEN + 40, /* and of IPv4 with TCP, too */
	IPV4_PROTOCOL = ETH_HLEN + 9,
	IPV6_NEXT = ETH_HLEN + 6,
	/* on the stack */
	MAC = -8,  /* a key: six bytes of a MAC and two zeros */
	NOW = -16,
};

/* The MAC at r9 + offset becomes the key. */
static void put_mac(struct bpf_code *p, int offset)
{
	int i;

	bpf_store_zero(p, BPF_DW, MAC);
	for (i = 0; i < ETH_ALEN; i += 2) {
		bpf_load(p, BPF_H, R1, R9, offset + i);
		bpf_store(p, BPF_H, MAC + i, R1);
	}
}

/* Calls a function of maps, for the key. */
static void call_with_key(struct bpf_code *p, int map, int function)
{
	bpf_set_map(p, R1, BPF_PSEUDO_MAP_FD, map, 0);
	bpf_set(p, R2, R10);
	bpf_alu(p, BPF_ADD, R2, MAC);
	bpf_call(p, function);
}

/*
 *	if (not TCP over IPv4 or IPv6, untagged) return XDP_PASS
 *	if (!(guest = guests[destination])) return XDP_PASS
 *	now = bpf_ktime_get_coarse_ns()
 *	if (!senders[source] || now - senders[source] > SHORTCUT_LEARN_S) {
 *		senders[source] = now;
 *		return XDP_PASS;
 *	}
 *	return bpf_redirect(guest, 0)
 *
 * Registers: r6 the guest's interface, r7 now, r8 the end of the data, r9 the
 * data.
 */
static int make_program(struct bpf_code *p, const struct shortcut *s)
{
	memset(p, 0, sizeof(*p));
	bpf_load(p, BPF_W, R9, R1, offsetof(struct xdp_md, data));
	bpf_load(p, BPF_W, R8, R1, offsetof(struct xdp_md, data_end));
	bpf_set(p, R1, R9);
	bpf_alu(p, BPF_ADD, R1, SHORTEST);
	bpf_jump_greater(p, R1, R8, PASS);
	bpf_load(p, BPF_H, R1, R9, offsetof(struct ethhdr, h_proto));
	bpf_jump_if(p, BPF_JEQ, R1, htons(ETH_P_IPV6), IPV6);
	bpf_jump_if(p, BPF_JNE, R1, htons(ETH_P_IP), PASS);
	bpf_load(p, BPF_B, R1, R9, IPV4_PROTOCOL);
	bpf_jump_if(p, BPF_JEQ, R1, IPPROTO_TCP, TCP);
	bpf_jump(p, PASS);
	bpf_label(p, IPV6);
	bpf_load(p, BPF_B, R1, R9, IPV6_NEXT);
	bpf_jump_if(p, BPF_JNE, R1, IPPROTO_TCP, PASS);
	bpf_label(p, TCP);
	put_mac(p, 0);
	call_with_key(p, s->guests, BPF_FUNC_map_lookup_elem);
	bpf_jump_if(p, BPF_JEQ, R0, 0, PASS);
	bpf_load(p, BPF_W, R6, R0, 0);
	put_mac(p, ETH_ALEN);
	bpf_call(p, BPF_FUNC_ktime_get_coarse_ns);
	bpf_set(p, R7, R0);
	call_with_key(p, s->senders, BPF_FUNC_map_lookup_elem);
	bpf_jump_if(p, BPF_JEQ, R0, 0, LEARN);
	bpf_load(p, BPF_DW, R1, R0, 0);
	bpf_alu_reg(p, BPF_SUB, R7, R1);
	bpf_alu(p, BPF_RSH, R7, 30); /* seconds, or nearly */
	bpf_jump_if(p, BPF_JLT, R7, SHORTCUT_LEARN_S, HAND_OVER);
	bpf_alu(p, BPF_LSH, R7, 30);
	bpf_alu_reg(p, BPF_ADD, R7, R1);
	bpf_label(p, LEARN);
	bpf_store(p, BPF_DW, NOW, R7);
	bpf_set(p, R3, R10);
	bpf_alu(p, BPF_ADD, R3, NOW);
	bpf_alu(p, BPF_MOV, R4, BPF_ANY);
	call_with_key(p, s->senders, BPF_FUNC_map_update_elem);
	bpf_label(p, PASS);
	bpf_leave(p, XDP_PASS);
	bpf_label(p, HAND_OVER);
	bpf_set(p, R1, R6);
	bpf_alu(p, BPF_MOV, R2, 0);
	bpf_call(p, BPF_FUNC_redirect);
	bpf_exit(p);
	return bpf_code_end(p);
}

static int open_all(struct shortcut *s, int ifindex)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);
	struct bpf_code p;
	int rc;

	s->guests = bpf_map_create(BPF_MAP_TYPE_HASH, "vtoe_guests", 8, 4,
				   SHORTCUT_GUESTS, NULL);
	if (s->guests < 0)
		return -errno;
	s->senders = bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "vtoe_senders", 8, 8,
				    SHORTCUT_SENDERS, NULL);
	if (s->senders < 0)
		return -errno;
	rc = make_program(&p, s);
	if (rc)
		return rc;
	s->program = bpf_prog_load(BPF_PROG_TYPE_XDP, "vtoe_shortcut",
				   "Dual BSD/GPL", p.insn, p.count, NULL);
	if (s->program < 0)
		return -errno;
	s->link = bpf_link_create(s->program, ifindex, BPF_XDP, &opts);
	return s->link < 0 ? -errno : 0;
}

int shortcut_open(struct shortcut *s, int ifindex)
{
	int rc;

	*s = (struct shortcut){ -1, -1, -1, -1 };
	rc = open_all(s, ifindex);
	if (rc)
		shortcut_close(s);
	return rc;
}

void shortcut_close(struct shortcut *s)
{
	int *all[] = { &s->link, &s->program, &s->senders, &s->guests };
	unsigned i;

	for (i = 0; i < sizeof(all) / sizeof(*all); i++) {
		if (*all[i] >= 0)
			close(*all[i]);
		*all[i] = -1;
	}
}

int shortcut_add(const struct shortcut *s, const uint8_t mac[6],
		 uint32_t ifindex)
{
	uint8_t key[8] = { 0 };

	memcpy(key, mac, 6);
	return bpf_map_update_elem(s->guests, key, &ifindex, BPF_ANY) ? -errno :
									0;
}

int shortcut_remove(const struct shortcut *s, const uint8_t mac[6])
{
	uint8_t key[8] = { 0 };

	memcpy(key, mac, 6);
	return bpf_map_delete_elem(s->guests, key) ? -errno : 0;
}
