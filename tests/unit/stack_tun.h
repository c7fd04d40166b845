/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stack_tun.h - a wire of the stack's to this host's kernel, over a tun device
 *
 * The stack has 10.77.0.2, the kernel 10.77.0.1, in a namespace of the test's. The
 * wire may lose packets, from a seed, or have no way.
 */
#ifndef VTOE_TESTS_STACK_TUN_H
#define VTOE_TESTS_STACK_TUN_H

#include "stack/wire.h"

#define TUN_OWN 0x0a4d0002u
#define TUN_PEER 0x0a4d0001u

enum { TUN_CLAIMS = 4096 };

struct tun_claim {
	bool used;
	struct wire_claim what;
	uint16_t port;
};

struct tun {
	struct wire wire; /* first */
	int fd;
	struct tun_claim claims[TUN_CLAIMS];
	uint32_t asked[TUN_CLAIMS]; /* claims that wait for their answer */
	uint32_t asked_head, asked_tail;
	uint16_t next_port;
	uint32_t loss; /* in 10,000, each way */
	uint64_t random;
	uint64_t lost, buffers; /* buffers: that were not given back */
	bool no_way;
	int no_way_conn; /* whose segment it refused; 0: none */
	bool back; /* the claim behind it is to be told so */
	uint32_t back_claim;
	uint8_t packet[65536];
};

/* Makes the device; -errno. Once a process. */
int tun_network(void);
int tun_open(struct tun *t);
void tun_close(struct tun *t);

#endif
