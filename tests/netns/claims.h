/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * claims.h - a client of the TTO service, for the native programs
 *
 * A lane, a claim of one connection, a claim of a port, and the headers of what
 * the connection sends; the rest of TCP is the program's. What goes wrong ends the
 * program (prog.h).
 */
#ifndef TESTS_NETNS_CLAIMS_H
#define TESTS_NETNS_CLAIMS_H

#include <vtoe.h>

enum { CLAIMS_WAIT_MS = 5000, CLAIMS_SEQUENCE = 1000 };
/* user_data of requests; a program's own begin with the last. */
enum { CLAIM = 1, CLAIM_PORT, BUFFER, SEGMENT, UNCLAIM, FLUSH };
enum { SYN = 2, RST = 4, PSH = 8, ACK = 16 };

struct claims {
	struct vtoe *ctx;
	struct vtoe_lane *lane;
	struct vtoe_address peer;
	struct vtoe_segment *segment; /* of the arena */
	uint32_t claim, port_claim;
	uint32_t mtu;
};

/* A lane of a backend that offers TTO. */
void claims_open(struct claims *c, const char *host, const char *port);
void claims_close(struct claims *c);
/* Memory of the arena. */
void *claims_alloc(struct claims *c, size_t bytes);
struct vtoe_sqe *claims_entry(struct claims *c, unsigned op, uint32_t claim,
			      uint64_t user_data);
/* Buffers of equal size for aggregates. */
void claims_lend(struct claims *c, void *at, unsigned count, size_t each);
/* The next completion, which must be no error; and be this request's. */
struct vtoe_cqe claims_next(struct claims *c);
struct vtoe_cqe claims_next_of(struct claims *c, uint64_t user_data);
/* Claims the connection to the peer, and some port. */
void claims_make(struct claims *c);
/* Submits c->segment, with this header. */
void claims_send(struct claims *c, uint8_t flags, uint32_t seq, uint32_t ack);

#endif
