/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tto.h - the TTO service: frames of claimed flows, aggregated, for the guests
 *
 * What the daemon sees of it. The guest's library is the TCP; this side steers,
 * aggregates, places and sends, and keeps nothing of a connection but the claim
 * that names it. tto.c has the theory of operation.
 *
 * A worker that has the privilege opens the sockets (tto_sockets_open()), in the
 * guest's network namespace; gives the privilege up; and begins (tto_start()).
 * The two maps are the supervisor's (nic/steer.h): the steering outlives the
 * worker, and the supervisor, so that frames of claims are lost while there is
 * none, and not answered by the kernel with resets (MECHANISMS B9).
 *
 * Built without libbpf there is tto_none.c, which says -EOPNOTSUPP.
 */
#ifndef VTOE_PATH_TTO_H
#define VTOE_PATH_TTO_H

#include <stdbool.h>
#include <stdint.h>

#include "vtoe_lane.h"

struct device;

/* Descriptors; -1: none. */
struct tto_sockets {
	int xsk;
	int packet;
	int raw4, raw6; /* raw6: -1 where there is no IPv6 */
	int errors4, errors6; /* -1: nobody tells of neighbours that are not
			       * there, and connections to them time out */
};

struct tto_config {
	struct tto_sockets sockets; /* the service's, also if it cannot start */
	int claims, queues; /* maps: steer.claims, steer.sockets */
	int ifindex;
	uint32_t mtu;
	uint8_t mac[6];
	uint32_t frames;    /* to receive into, a power of two; 0: 4096 */
	uint32_t hold_usec; /* an aggregate waits so long for more (T28); 0: it
			     * ends when the queue is found empty (T29) */
	uint32_t segments;  /* of an aggregate at most; 0: as many as fit, 1: none
			     * is merged */
	/* Only where hold_usec is 0, else they would wait: */
	bool push_joins;    /* PSH ends none (not T01) */
	bool acks_join;	    /* pure ACKs are collected, too (not T32) */
};

/* One claim, as `vtoectl flows` shows it. */
struct tto_flow {
	uint32_t claim;
	uint32_t conn;	 /* id; 0: none, its backend died */
	uint32_t pid;
	char program[32];
	bool port;	 /* a local port, of every peer */
	struct vtoe_address local, remote;
	uint64_t aggregates; /* and segments that were not merged */
	uint64_t segments;   /* frames in them */
	uint64_t rx_bytes;   /* payload */
	uint64_t dropped;    /* frames: no buffer in time (T45) */
	uint64_t sent;	     /* SEGMENTs */
	uint64_t tx_bytes;
};

/* -- before the start -- */

/* Is it built in? */
bool tto_is_built(void);
/* The longest frame that is received at this MTU, for steer_config; 0: the MTU is
 * too large. */
uint32_t tto_frame_max(uint32_t mtu);
/* With CAP_NET_RAW, in the guest's namespace. 0 or -errno, and *what was tried;
 * nothing is open then. */
int tto_sockets_open(struct tto_sockets *s, int ifindex, const char **what);
/* Bytes of memory that the service locks. */
uint64_t tto_locked_bytes(const struct tto_config *c);

/* -- without privilege, after device_init() -- */

/* 0 or -errno, and *what was tried. From then on VTOE_F_TTO may be offered. */
int tto_start(struct device *d, const struct tto_config *c, const char **what);
void tto_stop(struct device *d);

/* Tells `fd`, a SOCK_SEQPACKET socket, of each packet from now on, of one claim
 * or of all (0): struct tto_captured and at most `snap` bytes (0: all). It is
 * the service's, whatever comes. 0; -EBUSY: another capture is not over;
 * -ENOENT: there is no such claim; -ENOMEM; -EOPNOTSUPP: not started. */
int tto_capture(struct device *d, int fd, uint32_t claim, uint32_t snap);

/* -- looking at it; nothing of this when it is not started -- */

/* Fills *flow with the claim at or after place *at and moves *at behind it;
 * false: there is none. */
bool tto_next_flow(const struct device *d, uint32_t *at, struct tto_flow *flow);
/* How many aggregates ended (merged ones), and how many frames passed alone, for
 * this reason; its name, NULL behind the last. */
const char *tto_reason(const struct device *d, unsigned reason,
		       uint64_t *ended, uint64_t *passed);

#endif
