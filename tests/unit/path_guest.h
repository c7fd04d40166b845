/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * path_guest.h - a guest of the data path, for tests
 *
 * The guest's half is played with the guest's own ring verbs, in the test's
 * own process and on the `mem` port; the other ends of its streams are real
 * loopback sockets. Turns are made by hand and the clock is the test's, so
 * every interleaving is the test's choice.
 *
 *	start(); join(&g); ... leave(&g); stop();
 *
 * stop() fails the test if anything is left of what was made. A test fails
 * by cmocka's assertions, also inside of these functions.
 */
#ifndef VTOE_TESTS_PATH_GUEST_H
#define VTOE_TESTS_PATH_GUEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "path/path.h"

/* Shared memory of a guest; its data region goes from ARENA to the end. */
enum { BYTES = 4 << 20, ENTRIES = 256, ARENA = 1 << 20 };

struct guest {
	struct vtoe_ring ctl_q, ctl_c, sq, cq;
	uint8_t *memory;
	struct conn *conn;
	uint64_t key; /* of the arena */
	uint32_t lane;
	uint32_t rings; /* where add_lane() puts the next ones */
};

extern struct device device;
extern struct vtoe_stats stats;

/* -- the engine, and the network that its peers are in: path_kernel.c has the
 * kernel's sockets, stack_world.c a TCP of our own -- */
extern const uint32_t world_own, world_peer; /* addresses, of host order */
extern const bool world_off_waits; /* GRQ_MODE off, for the kernel's answer */
int world_network(void); /* of this process, once */
int world_start(const struct device_limits *limits);
void world_stop(void);
/* Microseconds, at a time of the test's clock. */
uint64_t world_us(uint64_t ms);

void start(void);
void stop(void);
void turn(void);
/* Lets time go by, for the device's timers. */
void pass(uint32_t ms);
/* Sets the time, which does not go back; no timer runs. */
void set_now(uint64_t ms);

/* -- a connection -- */
void join(struct guest *g);
/* One that accepts these features only. */
void join_with(struct guest *g, uint64_t features);
void leave(struct guest *g);
/* Its next lane; sq and cq are those of this one from now on. */
void add_lane(struct guest *g, uint32_t sq_entries, uint32_t cq_entries);
struct lane *lane_of(struct guest *g);
uint64_t region(struct guest *g, uint64_t offset, uint64_t bytes,
		uint32_t rights);
/* Enters a control request, and waits for the answer. */
void ctl_enter(struct guest *g, struct vtoe_ctl_request q);
struct vtoe_ctl_completion ctl_wait(struct guest *g);
struct vtoe_ctl_completion ctl(struct guest *g, struct vtoe_ctl_request q);

/* -- a lane -- */
struct vtoe_sqe *entry(struct guest *g, enum vtoe_op op, uint32_t stream,
		       uint64_t user);
void submit(struct guest *g);
int try_wait(struct guest *g, struct vtoe_cqe *to, int turns);
struct vtoe_cqe wait_cqe(struct guest *g);
/* Takes all there is, without a turn; rings only if the backend asked. -> how
 * many. */
unsigned take_all(struct guest *g);

/* -- streams -- */
/* A connected one, and the socket at its other end. */
uint32_t connected(struct guest *g, int *peer);
/* One that listens at `port` of the loopback address. */
uint32_t listening(struct guest *g, uint16_t *port);
int dial(uint16_t port);
/* Lets `to` hold a stream of `from` as well. */
void share(struct guest *from, struct guest *to, uint32_t id);
void set_option(struct guest *g, uint32_t id, uint16_t level, uint16_t name,
		const void *value, uint32_t bytes);
void set_linger(struct guest *g, uint32_t id, int seconds);
/* More than sockets buffer, to a peer that does not read. */
void send_much(struct guest *g, uint32_t id);
void close_stream(struct guest *g, uint32_t id, int peer);
void send_peer(int peer, const void *from, size_t n);
/* Reads all that comes within some turns, up to n bytes. */
size_t receive_peer(int peer, uint8_t *to, size_t n);

/* Bytes are numbered: the k-th byte of a stream is byte_at(k). */
uint8_t byte_at(uint64_t k);

#define wait_until(condition)                                      \
	do {                                                       \
		int left_ = 10000;                                 \
		for (; left_ && !(condition); left_--) {           \
			turn();                                    \
			usleep(left_ < 9900 ? 200 : 0);            \
		}                                                  \
		assert_true(condition);                            \
	} while (0)

/* Runs all, in a network namespace of its own: with registered files if the
 * kernel has good ones, and without, as Debian 12's and 13's kernels do.
 * -> exit status */
int path_run(const char *name, const struct CMUnitTest *tests, size_t count);
#define PATH_RUN(tests) path_run(#tests, tests, sizeof(tests) / sizeof(*tests))

#endif
