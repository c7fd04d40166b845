/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tto_nic.h - the guest's side of the TTO service, for tto_linux.c
 *
 * A worker's data path in this process, with a guest of the `mem` port, on the
 * interface "ours": CLAIM, AGGREGATE, SEGMENT as the contract has them. What the
 * supervisor keeps (the steering) is opened once; the worker, with all that it
 * holds, can be lost and begun again.
 */
#ifndef VTOE_TESTS_TTO_NIC_H
#define VTOE_TESTS_TTO_NIC_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/tcp.h"
#include "nic/steer.h"
#include "tests/unit/path_guest.h"

struct nic {
	int ifindex;
	struct steer steer;
	unsigned family;
	uint16_t port; /* ours: all peers', or of the one connection */
	bool connects;
	/* -- the worker's -- */
	struct guest guest;
	uint32_t claim;
	uint32_t send_slot;
	uint32_t hold_usec;
	uint64_t life; /* frames until it is killed; 0: it is not */
	/* -- of all workers -- */
	uint64_t frames;
	uint64_t aggregates;
	uint64_t in_aggregates; /* frames */
	uint64_t lost; /* frames that were not read when it was killed */
	uint64_t sent_long;
	uint64_t sent_short;
	uint64_t sent_routed;
};

/* A segment or an aggregate: packet.refs[0].buffer is memory of its own, which
 * is the receiver's to free. */
typedef void nic_handler(void *of, const struct tcp_packet *packet);

void nic_open(struct nic *n, unsigned family, uint16_t port, bool connects);
void nic_close(struct nic *n);
void nic_worker_start(struct nic *n, uint64_t life);
/* As by SIGKILL: nothing is unclaimed; and worse: what it had delivered and was
 * not read is lost, too. */
void nic_worker_kill(struct nic *n);
/* Becomes readable when frames have come. */
int nic_descriptor(const struct nic *n);
/* -> false: its life is over. */
bool nic_receive(struct nic *n, nic_handler *handler, void *of);
void nic_send(struct nic *n, const struct tcp_segment *s, uint8_t *payload);
__attribute__((noreturn)) void nic_fail(const char *what, int error);

#endif
