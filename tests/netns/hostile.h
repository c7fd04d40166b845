/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile.h - the cases of the hostile peer
 *
 * A case connects to the offender's device, breaks one rule of
 * frontend/abi/PROTOCOL.md, and looks whether the consequence is the one that
 * section 13 states. It returns NULL, or what was wrong. The main program
 * (hostile_peer.c) checks after each case that the worker lives, that it
 * accepts a new connection, and that the witnesses lost nothing.
 */
#ifndef VTOE_TESTS_HOSTILE_H
#define VTOE_TESTS_HOSTILE_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/lib/rawpeer.h"

struct hostile {
	const char *socket;	    /* of the offender's device */
	struct vtoe_address echo;   /* sends back what it gets */
	struct vtoe_address deaf;   /* accepts, never reads, never writes */
	struct vtoe_address closed; /* nobody listens */
	unsigned share;		    /* of a flood is sent: one in so many */
};

struct hostile_case {
	const char *name;
	const char *rule;     /* of PROTOCOL.md */
	const char *expected; /* the consequence, for the summary */
	const char *(*run)(const struct hostile *h, const void *arg);
	const void *arg;
};

struct hostile_table {
	const struct hostile_case *cases;
	unsigned count;
};

extern const struct hostile_table hostile_rings;
extern const struct hostile_table hostile_control;
extern const struct hostile_table hostile_regions;
extern const struct hostile_table hostile_keys;
extern const struct hostile_table hostile_entries;
extern const struct hostile_table hostile_floods;
extern const struct hostile_table hostile_streams;
extern const struct hostile_table hostile_sockets;

#define HOSTILE_TABLE(name, array)                         \
	const struct hostile_table name = {                \
		array, sizeof(array) / sizeof((array)[0]), \
	}

/* -- what most cases need (hostile_lib.c) -- */

/* A connection with two lanes and a region of 64 KiB for the first. */
struct rig {
	struct raw_peer peer;
	struct raw_lane lane, other;
	uint64_t key;	 /* of lane, both rights */
	uint64_t memory; /* its offset in the shared memory */
};
#define RIG_BYTES 65536u

/* All of these return NULL, or what is wrong. */
const char *rig_open(struct rig *g, const struct hostile *h);
void rig_close(struct rig *g);
const char *rig_stream(struct rig *g, const struct vtoe_address *to,
		       uint32_t *stream);

/* A text that lives until the next call in this thread. */
const char *wrong(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
/* got is a result or an error of rawpeer.h. */
const char *want_result(int want, int got);
/* The lane, and only it, is parked with that reason: its connection's other
 * lane still answers. */
const char *want_lane_parked(struct rig *g, uint32_t violation);
/* The connection is parked with that reason. */
const char *want_parked(struct raw_peer *p, uint32_t violation);
const char *want_hangup(struct raw_peer *p);
const char *want_answers(struct raw_lane *l);

#define TRY(call)                          \
	do {                               \
		const char *text_ = (call);\
		if (text_)                 \
			return text_;      \
	} while (0)

/* -- witnesses (hostile_witness.c) -- */

/* A well-behaved peer in a process of its own, that exchanges bytes with the
 * echo server and checks each. */
struct witness;
struct witness *witness_start(const struct hostile *h, const char *socket,
			      const char *name);
/* Has it exchanged more since the last call? Waits up to a few seconds. */
const char *witness_check(struct witness *w);
/* -> bytes exchanged */
uint64_t witness_stop(struct witness *w);

/* The servers of the other host: port echo, port + 1 deaf. Never returns. */
int hostile_serve(const char *ip, uint16_t port);

#endif
