/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * receive_wire.h - a veth pair with interleaved flows on it, for receive.c
 *
 * The frames are made where a NIC would put them: a BPF program run on frames
 * that the kernel takes from a page pool writes flow and sequence number into
 * them and redirects them to the pair's far end. So they reach the near end as
 * from a driver, without an skb, on the processor of a NAPI thread, whose time
 * can be told apart.
 */
#ifndef VTOE_TESTS_RECEIVE_WIRE_H
#define VTOE_TESTS_RECEIVE_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	WIRE_PAYLOAD = 1448,
	WIRE_FRAME = 66 + WIRE_PAYLOAD,
	WIRE_PORT = 1024, /* flow n comes from this port + n */
	WIRE_AHEAD = 192, /* frames under way: the pair has room for 256 */
};

/* Shared with the BPF programs; each writer has lines of its own. */
struct wire_state {
	uint64_t made;	/* frames: by the one that makes them */
	uint64_t total; /* frames to be made */
	uint64_t pad[14];
	uint64_t taken;	  /* frames that are through: by whoever takes them */
	uint64_t packets; /* ... and what the kernel made of them */
};

struct wire {
	int ifindex; /* of the near end */
	int far;
	uint32_t flows;
	int program;
	int state_map;
	volatile struct wire_state *state;
	pid_t napi; /* the thread of the near end */
};

/* What the kernel is given at the near end is counted as taken, and dropped
 * where IP would begin. Exits with 77 where the machine cannot. */
void wire_up(struct wire *w);
/* The thread is another one after the program of the near end has changed. */
void wire_find_napi(struct wire *w);
double wire_napi_seconds(const struct wire *w);
/* Sends what state->total says, never much ahead of state->taken; until a
 * signal comes. For a process of its own. */
void wire_send(struct wire *w, uint32_t flows);
__attribute__((noreturn)) void wire_fail(const char *what);

#endif
