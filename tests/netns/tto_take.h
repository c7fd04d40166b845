/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tto_take.h - frames for the rig, and what comes out in a guest's buffers
 *
 * Whatever is taken is checked: each byte of payload, its place, the metadata.
 */
#ifndef VTOE_TESTS_TTO_TAKE_H
#define VTOE_TESTS_TTO_TAKE_H

#include "tests/netns/tto_rig.h"

enum { PEER = 7000, PORT = 5001, USER = 100, EACH = 2048, V4 = VTOE_AF_INET,
       V6 = VTOE_AF_INET6, TAKE_HEAD = sizeof(struct vtoe_received) };

struct got {
	struct vtoe_cqe first;
	struct vtoe_received r;
	unsigned buffers;
};

/* Frames of the claim's peer. */
struct frame_of data(uint16_t local_port, uint32_t seq, uint32_t bytes);
/* With PSH: one that is delivered at once, alone. */
struct frame_of pushed(uint16_t local_port, uint32_t seq, uint32_t bytes);
void deliver_one(struct frame_of f);

/* The rig, a guest, and its buffers of EACH bytes; ends with rig_end(). */
void begin(struct guest *g, const struct rig_options *o, uint32_t buffers);
/* One aggregate of the claim, over buffers of so many bytes, which are lent again
 * if they are given back. */
struct got take_kept(struct guest *g, uint64_t user, uint32_t each,
		     bool give_back);
struct got take(struct guest *g, uint64_t user); /* of EACH bytes, given back */
/* It is the next, alone, and has this number. */
void take_number(struct guest *g, uint64_t user, uint32_t seq);

#endif
