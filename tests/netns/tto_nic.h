/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tto_nic.h - the NIC's side of a TTO connection, for tto_linux.c
 *
 * What the supervisor would open once: the steering, the port's reservation,
 * the packet socket. And what a worker would have, and lose when it is killed:
 * the AF_XDP socket, its memory, the aggregator and all that it holds.
 */
#ifndef VTOE_TESTS_TTO_NIC_H
#define VTOE_TESTS_TTO_NIC_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/aggregate.h"
#include "engine/tcp.h"
#include "nic/steer.h"
#include "nic/xsk.h"

struct nic {
	int ifindex;
	struct steer steer;
	int packet;
	int reserved;
	/* -- the worker's -- */
	struct xsk xsk;
	struct aggregator aggregator;
	void *umem;
	size_t umem_bytes;
	void *memory;
	uint64_t life; /* frames until it is killed; 0: it is not */
	/* -- of all workers -- */
	uint64_t frames;
	uint64_t aggregates;
	uint64_t in_aggregates; /* frames */
	uint64_t held_lost; /* frames that it held when it was killed */
	uint64_t sent_long;
	uint64_t sent_short;
};

/* A segment or an aggregate: packet.refs[0].buffer is memory of its own, which
 * is the receiver's to free. */
typedef void nic_handler(void *of, const struct tcp_packet *packet);

void nic_open(struct nic *n, unsigned family, uint16_t port);
void nic_close(struct nic *n);
void nic_worker_start(struct nic *n, uint64_t life);
/* As by SIGKILL: nothing that it held is delivered. */
void nic_worker_kill(struct nic *n);
/* -> false: its life is over, in the midst of frames. */
bool nic_receive(struct nic *n, uint64_t now, nic_handler *handler, void *of);
void nic_send(struct nic *n, const struct tcp_segment *s, uint8_t *payload);
__attribute__((noreturn)) void nic_fail(const char *what, int error);

#endif
