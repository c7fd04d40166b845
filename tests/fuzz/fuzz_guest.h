/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_guest.h - a device on the `mem` port, and a guest whose every byte is
 * the input's; used by fuzz_control.c, fuzz_frames.c, fuzz_lane.c and
 * fuzz_local.c
 *
 * The device is the worker's data path itself, with its io_uring and real
 * sockets, in a network namespace that has a loopback interface and nothing
 * else. After each input the guest leaves, and everything that it had must be
 * gone: connections, lanes, streams, regions, requests.
 */
#ifndef VTOE_TESTS_FUZZ_GUEST_H
#define VTOE_TESTS_FUZZ_GUEST_H

#include "fuzz.h"

#include "path/path.h"

#define GUEST_BYTES (1u << 20)
#define GUEST_SQ (64u << 10)
#define GUEST_CQ (128u << 10)
#define GUEST_ENTRIES 64u
#define GUEST_ARENA (256u << 10)
#define GUEST_LISTEN_PORT 7000

struct fuzz_guest {
	uint8_t *memory;
	struct conn *conn; /* valid until it leaves */
	uint64_t key;
};

/* Once: network namespace, device. Ends the process with 77 without the rights
 * for a namespace. */
void guest_device_open(void);
/* A connection; with `ready`, HELLO, one lane and a region of the arena. */
void guest_join(struct fuzz_guest *g, bool ready);
void guest_turns(unsigned n);
/* Time goes by. */
void guest_pass(uint64_t us);
/* The region, the lane goes, or comes again, where it can; *c: the last answer. */
void guest_region(struct fuzz_guest *g, bool add,
		  struct vtoe_ctl_completion *c);
void guest_lane(struct fuzz_guest *g, bool add, struct vtoe_ctl_completion *c);
/* Leaves, waits until nothing is left, and checks that. */
void guest_leave(struct fuzz_guest *g);
/* The same in parts: hangs up, and after a guest_leave() of the last one
 * unmaps the memory. */
void guest_part(struct fuzz_guest *g);
void guest_forget(struct fuzz_guest *g);
/* The second half of that: all other ends have gone already. */
void guest_settle(void);
struct device *guest_device(void);
/* Entry `index` of a ring at that offset. */
void *guest_entry(struct fuzz_guest *g, uint32_t ring, uint32_t entries,
		  uint32_t index);
uint32_t *guest_word(struct fuzz_guest *g, uint32_t offset);

#endif
