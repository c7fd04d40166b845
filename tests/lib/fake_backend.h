/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fake_backend.h - a backend for tests of the library alone
 *
 * A thread that speaks the server's half of the local port's handshake, answers
 * control requests and completes requests of lanes, with no network: every
 * stream is its own echo, what is sent into it can be received from it. It
 * does what a test asks, so it can also be a hostile or a dying backend.
 */
#ifndef VTOE_TESTS_FAKE_BACKEND_H
#define VTOE_TESTS_FAKE_BACKEND_H

#include <stdint.h>

#include <vtoe_device.h>

enum fake_evil {
	FAKE_GOOD = 0,
	/* the handshake */
	FAKE_REFUSES,	     /* sends -EUSERS and closes */
	FAKE_SILENT,	     /* accepts, sends nothing */
	FAKE_HANGS_UP,	     /* closes without a byte */
	FAKE_VERSION,	     /* of a later handshake */
	FAKE_HALF,	     /* closes in the middle of an integer */
	FAKE_NO_MEMORY,	     /* the memory's message without a descriptor */
	FAKE_UNSEALED,	     /* memory that can be shrunk */
	FAKE_SMALL,	     /* memory smaller than the page says */
	FAKE_MAGIC,	     /* not our magic */
	FAKE_LATER,	     /* only later versions of the contract */
	FAKE_LIMITS,	     /* a ring size that is no power of two */
	FAKE_MANY_LANES,     /* 2^32-1 lanes */
	FAKE_VECTOR_MISSING, /* the last vector has no descriptor */
	FAKE_EXTRA_FD,	     /* a descriptor where none belongs */
	FAKE_NO_HELLO,	     /* never answers on the control ring */
	FAKE_HELLO_REFUSED,  /* -EPROTO */
	/* the control ring, after HELLO */
	FAKE_CONTROL_INDEX,  /* the completion index jumps */
	FAKE_CONTROL_DATA,   /* a completion of nothing */
	FAKE_KEY_ZERO,
	/* a lane; each at the first NOP with this user_data: FAKE_TRIGGER */
	FAKE_CQ_INDEX,	     /* the completion index jumps */
	FAKE_SQ_INDEX,	     /* the consumer index jumps */
	FAKE_CQE_UNKNOWN,    /* a completion of nothing */
	FAKE_CQE_TWICE,	     /* the same completion again */
	FAKE_CQE_GRQ,	     /* a generic completion of memory not ours */
	FAKE_CQE_LONG,	     /* RECVs complete with more than they asked for */
	FAKE_CQE_ELSEWHERE,  /* RECVs complete with another offset */
	FAKE_PARKS,	     /* parks the lane */
	FAKE_DIES,	     /* hangs up */
	FAKE_SENDS_DATA,     /* writes bytes on the socket, then waits */
	FAKE_NEVER_COMPLETES, /* nothing from now on, CANCEL neither */
};

#define FAKE_TRIGGER 0x7472696767657221ull

struct fake_params {
	enum fake_evil evil;
	uint64_t memory;      /* 0: 8 MiB */
	uint32_t lanes;	      /* 0: 8 */
	uint32_t regions;     /* 0: 64 */
	uint64_t features;    /* 0: all that are known */
};

struct fake;

struct fake *fake_start(const struct fake_params *params);
const char *fake_path(const struct fake *fake);
/* Hangs up, if it has not yet, and joins the thread. */
void fake_stop(struct fake *fake);
/* Hangs up now, as a worker that is killed. */
void fake_kill(struct fake *fake);
/* A region of the test's own memory, as a guest's driver makes one. -> its key,
 * 0: as many as there may be. Removing cancels what names it. */
uint64_t fake_region_add(struct fake *fake, void *at, uint64_t bytes);
int fake_region_del(struct fake *fake, uint64_t key);
/* How many regions there are, how many bytes the last one had, in how many
 * ranges: for tests that wait for REGION_DEL. */
uint32_t fake_regions(const struct fake *fake);
uint32_t fake_last_ranges(const struct fake *fake);

#endif
