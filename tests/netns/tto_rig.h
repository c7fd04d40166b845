/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tto_rig.h - the TTO service on a wire that the test holds the other end of
 *
 * A veth pair in a network namespace of the test's own. The service, its worker
 * and its guests (path_guest.h) are at `ours`: 02:00:00:00:00:02, 10.99.0.2 and
 * fd99::2. Nobody is at `wire`: a packet socket there puts frames on it, and
 * sees what comes. 10.99.0.1 and fd99::1 are neighbours with 02:00:00:00:00:01.
 *
 *	rig_begin(&options); join(&g); ... rig_end();
 *
 * What the supervisor keeps (the steering) lives from the one to the other;
 * rig_kill() takes the worker away as SIGKILL would, rig_worker() brings the
 * next. Payload is numbered by its sequence numbers: byte_at(seq).
 *
 * Whether a frame came out nowhere is told by one behind it, not by waiting.
 */
#ifndef VTOE_TESTS_TTO_RIG_H
#define VTOE_TESTS_TTO_RIG_H

#include "tests/unit/path_guest.h"

#include "engine/bytes.h"
#include "nic/steer.h"
#include "path/tto_internal.h"

enum {
	RIG_MTU = 1500,
	RIG_LONGEST = 9216,
	RIG_SECRET = 4711,
	RIG_LINK = 14,
	FLAG_FIN = 1,
	FLAG_SYN = 2,
	FLAG_RST = 4,
	FLAG_PSH = 8,
	FLAG_ACK = 16,
	FLAG_CWR = 128,
};

struct rig_options {
	uint32_t hold_usec;
	uint32_t segments;
	bool push_joins;
	bool acks_join;
	uint32_t frames;
	uint32_t claims_max;
};

struct rig {
	int ifindex;
	int wire;
	struct rig_options options;
	struct steer steer;
	bool open;
};
extern struct rig rig;

/* A frame to the service; what is 0 is as it usually is. */
struct frame_of {
	unsigned family; /* VTOE_AF_*; 0: IPv4 */
	uint8_t remote;	 /* last byte of its address; 0: 1 */
	uint8_t local;	 /* 0: 2 */
	uint8_t flags;	 /* 0: ACK */
	uint8_t ecn;
	bool bad_tcp, bad_ip; /* checksums */
	uint16_t remote_port, local_port;
	uint16_t window; /* 0: 1000 */
	uint32_t seq, ack;
	uint32_t payload;
	uint32_t option_bytes;
	const uint8_t *options;
};

/* What was seen on the wire. */
struct seen {
	uint8_t bytes[RIG_LONGEST];
	uint32_t length;
	uint32_t l4, payload; /* offsets */
	uint32_t payload_length;
	uint32_t seq;
	uint8_t flags;
	uint8_t ecn;
	bool six;
	uint16_t local_port, remote_port; /* of the sender, of the receiver */
};

/* -- life -- */
void rig_begin(const struct rig_options *o); /* NULL: all 0 */
void rig_end(void);
void rig_worker(void);
void rig_kill(void);
/* Claims in the supervisor's map. */
unsigned rig_mapped(void);

/* -- the wire -- */
void wire_send(const struct frame_of *f);
/* The next TCP frame; its checksums, lengths and MACs are checked. */
bool wire_next(struct seen *s, int ms);
/* There is no frame up to now: that one which the kernel answers with a reset is
 * the first. */
void wire_is_silent(void);
/* Sends it; the kernel does (not) answer with a reset. */
void wire_is_answered(const struct frame_of *f);
void wire_is_swallowed(const struct frame_of *f);
/* Sends frames and waits until the service has taken them. */
void wire_deliver(const struct frame_of *f, unsigned count);

/* -- requests -- */
void name(struct vtoe_address *a, unsigned family, uint8_t last, uint16_t port);
struct vtoe_cqe answer(struct guest *g);
/* Entries: of 10.99.0.last or fd99::last; last 0: any. */
struct vtoe_sqe *claim_entry(struct guest *g, unsigned family, uint8_t last,
			     uint16_t remote_port, uint16_t local_port,
			     uint64_t user);
struct vtoe_sqe *port_entry(struct guest *g, unsigned family, uint8_t last,
			    uint16_t port, uint64_t user);
/* Granted, with RIG_SECRET. -> the claim */
uint32_t claimed(struct guest *g, unsigned family, uint16_t remote_port,
		 uint16_t local_port, uint64_t user);
uint32_t port_claimed(struct guest *g, unsigned family, uint16_t port,
		      uint64_t user);
/* One whose last completion is `user`'s. */
void unclaim(struct guest *g, uint32_t claim, uint64_t user);
/* So many buffers for aggregates at `offset` of the arena. */
void lend(struct guest *g, uint64_t offset, uint32_t count, uint32_t each);
void flush(struct guest *g, uint32_t claim);
void is_flushed(struct guest *g);
/* A delivery of the claim `user`, and no other completion, comes. */
struct vtoe_cqe wait_frame(struct guest *g, uint64_t user);
const struct vtoe_received *received(struct guest *g, const struct vtoe_cqe *c);
/* Nothing more is in the CQ, or comes with some turns. */
void is_quiet(struct guest *g);

/* -> exit status */
int rig_run(const char *name, const struct CMUnitTest *tests, size_t count);
#define RIG_RUN(tests) rig_run(#tests, tests, sizeof(tests) / sizeof(*tests))

#endif
