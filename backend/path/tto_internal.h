/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tto_internal.h - what the files of the TTO service share
 *
 *   tto.c        the service: start, the turn, what is shown of it
 *   tto_claim.c  claims, and those that a dead worker left
 *   tto_place.c  aggregates into the guest's buffers
 *   tto_send.c   segments onto the wire
 *   tto_stall.c  lanes whose segments wait for room there
 *   tto_capture.c  both, for who looks on
 */
#ifndef VTOE_PATH_TTO_INTERNAL_H
#define VTOE_PATH_TTO_INTERNAL_H

#include "engine/aggregate.h"
#include "engine/bytes.h"
#include "engine/checksum.h"
#include "nic/steer.h"
#include "nic/xsk.h"
#include "path/path.h"
#include "path/tto.h"
#include "path/tto_capture.h"

enum {
	TTO_PORTS = 65536,
	TTO_NEIGHBOURS = 1024,
	TTO_LOCALS = 8,
	TTO_UNREACHED = 16,
};

struct claim {
	struct list lane_node;
	struct claim *next; /* of the same port, or in the same bucket */
	struct lane *lane;  /* NULL: its worker died */
	uint32_t id;
	bool port;	    /* a local port, of every peer */
	struct vtoe_address local, remote;
	struct steer_claim steer; /* in the map */
	struct flow_key key;	  /* of its frames; not of a port's */
	uint64_t secret;
	uint64_t user_data;
	int fd;		    /* of a connection: has the port; -1 */
	uint64_t deadline;  /* without a lane: ms; 0: not set yet */
	uint64_t aggregates, segments, rx_bytes, dropped, sent, tx_bytes;
};

struct frame_buffer {
	struct region *region; /* held */
	uint8_t *at;
	uint64_t key;
	uint64_t offset;
	uint32_t length;
};

struct tto_port {
	struct claim *claims;
	int socket; /* that has it, + 1; 0: none */
};

/* A lane's part of the service. */
struct frame_lane {
	struct lane *lane;
	struct list node; /* on tto.waiting, while `held` is not empty */
	struct list claims;
	struct list held; /* struct held, oldest first */
	uint32_t held_frames;
	struct list stall_node; /* on tto.stalled or tto.stalled_again */
	bool stalled;	/* its last request was left in the queue */
	uint32_t buffer_count;
	struct frame_buffer *buffers; /* VTOE_AGGREGATE_MAX: a stack */
};

/* A delivery that waits for buffers or room (T45). */
struct held {
	struct list node;
	struct claim *claim;
	struct delivery delivery;
};

/* Who has the MAC to which packets for this address go: learned from what comes
 * from it, so it is good while something does. */
struct neighbour {
	uint8_t ip[16];
	uint8_t family;
	uint8_t mac[6];
	uint64_t until; /* ms */
};

/* Is it an address of this device? Asking costs system calls. */
struct local_known {
	struct vtoe_address address;
	bool ours;
	uint64_t until; /* ms */
};

/* Whose neighbour has not answered the kernel, a moment ago. */
struct unreached {
	struct vtoe_address address; /* family 0: none */
	uint64_t until; /* ms */
};

/* How a segment leaves (tto_send.c). */
enum tto_way { WAY_ROUTED, WAY_FRAME, WAY_CUT, WAYS };

struct tto {
	struct tto_config config;
	struct device *device;
	struct xsk xsk;
	void *umem;
	size_t umem_bytes;
	struct aggregator aggregator;
	void *memory; /* the aggregator's */
	struct claim **claims; /* by index, from 1 on */
	uint16_t *generation;
	uint32_t claim_count, claim_max, claim_hint;
	struct claim **buckets; /* of connections */
	uint32_t bucket_count;	/* a power of two */
	struct tto_port (*ports)[TTO_PORTS]; /* two: of IPv4, of IPv6 */
	uint32_t orphans;
	struct list waiting; /* struct frame_lane */
	uint32_t held_frames; /* of all of them */
	struct tto_capture *capture; /* NULL: nobody looks on */
	struct pool held;
	bool polled;	/* io_uring watches the socket */
	bool more;	/* the queue was not empty */
	bool unsent;	/* frames were queued, and not flushed */
	bool timed;	/* io_uring has the timer */
	_Alignas(16) struct __kernel_timespec timer; /* named in a tag */
	struct neighbour neighbours[TTO_NEIGHBOURS];
	struct local_known locals[TTO_LOCALS];
	uint32_t local_next;
	struct unreached unreached[TTO_UNREACHED];
	uint32_t unreached_next;
	uint64_t listen_until; /* ms: a neighbour may be found not to answer */
	uint32_t routed; /* packets along the kernel's route in this turn */
	/* struct frame_lane: what has sent something since it last waited; and
	 * what has not, which goes first. `stalled` is named in a tag. */
	_Alignas(16) struct list stalled;
	struct list stalled_again;
	bool full;	  /* the packet socket, and nobody was woken since */
	bool full_polled; /* io_uring watches it */
	bool stall_timed;
	_Alignas(16) struct __kernel_timespec stall_timer;
	uint64_t took_us[WAYS]; /* when something went that way last */
};

/* -- tto.c -- */
/* What the aggregator gave out: to the claims that it is of. */
void tto_deliver(struct tto *t, struct delivery *out, unsigned count);
/* Ends what is being collected of a connection, or of all (NULL). */
void tto_flush(struct tto *t, const struct flow_key *key,
	       enum end_reason reason);
/* Delivers what is held of a claim; of a port's, whatever is collected for
 * anybody. NULL: of all claims of the lane, likewise. */
void tto_flush_claim(struct tto *t, struct lane *lane, const struct claim *c,
		     enum end_reason reason);
struct frame_lane *tto_lane(struct lane *lane); /* NULL: no memory */

/* -- tto_claim.c -- */
int tto_claims_init(struct tto *t);
void tto_claims_free(struct tto *t);
/* Makes claims without a lane of what a dead worker left in the map. */
void tto_claims_find(struct tto *t);
/* Lets go of those that were not claimed again; true while some are left. */
bool tto_claims_tick(struct tto *t);
int tto_claim(struct lane *lane, const struct vtoe_sqe *sqe,
	      struct vtoe_cqe *cqe);
int tto_unclaim(struct lane *lane, const struct vtoe_sqe *sqe,
		struct vtoe_cqe *cqe);
/* Of this lane; -EBADF. */
int tto_claim_find(struct lane *lane, uint32_t id, struct claim **claim);
/* Of any lane, or of none; NULL. */
struct claim *tto_claim_named(const struct tto *t, uint32_t id);
/* Whose frames these are, or NULL. */
struct claim *tto_claim_of(struct tto *t, const struct flow_tuple *tuple);
void tto_claim_free(struct tto *t, struct claim *c);

/* -- tto_place.c -- */
int tto_buffers_add(struct lane *lane, const struct vtoe_sqe *sqe);
void tto_buffers_forget(struct lane *lane, struct region *r);
/* Into its lane's buffers, or behind what waits for some; or drops it. */
void tto_place(struct tto *t, struct claim *c, struct delivery *d);
/* Gives its frames back; `dropped`: it reached nobody. */
void tto_delivery_end(struct tto *t, struct delivery *d, bool dropped);
/* Tries again what waits: of a lane, or of all. */
void tto_place_held_of(struct tto *t, struct lane *lane);
void tto_place_held(struct tto *t);
/* For how many entries of the CQ does the first of them wait; 0: for buffers, or
 * none does. */
uint32_t tto_wants_room(const struct lane *lane);
/* Drops what waits of a claim, or of all (NULL). */
void tto_held_drop(struct tto *t, struct frame_lane *fl,
		   const struct claim *c);

/* -- tto_send.c -- */
int tto_segment(struct lane *lane, const struct vtoe_sqe *sqe);
void tto_send_flush(struct tto *t);
/* Hears of neighbours that do not answer; true while one may come to that. */
bool tto_send_tick(struct tto *t);
/* Asks once in a while. */
bool tto_is_local(struct tto *t, const struct vtoe_address *a);
void tto_neighbour_learn(struct tto *t, unsigned family, const uint8_t *ip,
			 const uint8_t *mac);

/* -- tto_stall.c -- */
/* Has nothing gone this way for so long that nothing is likely to? */
bool tto_is_stuck(const struct tto *t, enum tto_way way);
/* There is no room for the lane's next segment, which goes this way. false: it is
 * not to wait; else it is TOE_LATER. */
bool tto_stall(struct lane *lane, enum tto_way way);
/* Once a turn: has those that wait woken. */
void tto_stall_watch(struct tto *t);
void tto_stall_woken(struct tto *t, const void *object);

/* -- tto_capture.c; only where tto.capture is not NULL -- */
/* Before its frames are given back. */
void tto_capture_delivered(struct tto *t, const struct claim *c,
			   const struct delivery *d);
/* [0]: link, IP and TCP headers, whose TCP checksum is zero. */
void tto_capture_sent(struct tto *t, const struct claim *c,
		      const struct iovec *iov, unsigned count, uint32_t l4,
		      unsigned frames);
void tto_capture_end(struct tto *t);

/* A delivery's headers, from the link's on. */
static inline const uint8_t *tto_delivery_head(const struct tto *t,
					       const struct delivery *d)
{
	return d->kind == DELIVERY_AGGREGATE ?
		       d->header : (const uint8_t *)t->umem + d->ref;
}

/* IPv4 in the first four bytes, as the contract has it. */
static inline unsigned tto_ip_bytes(unsigned family)
{
	return family == VTOE_AF_INET6 ? 16 : 4;
}

#endif
