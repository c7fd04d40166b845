/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * steer.h - which frames of an interface are ours: claims, and the XDP program
 *
 * An XDP program on the interface looks at every frame before the kernel does.
 * TCP of a claim goes to the AF_XDP socket of its queue (xsk.h); every other
 * frame passes up as if there were no program. A claim is one connection (both
 * addresses, both ports), or a local port of IPv4 or IPv6, whoever sends to
 * whatever address of ours; and both name the VLAN.
 *
 * What becomes of a frame of a claimed flow that the socket cannot take: it is
 * dropped and counted, never passed up, for the kernel has no connection for it
 * and would answer with a reset (T14, and DESIGN 2). So it is for
 *
 * - a first fragment (those behind it have no ports; without it the kernel never
 *   has a whole datagram),
 * - a frame longer than the buffers of the socket,
 * - a frame on a queue without a socket: the worker is dead, or not there yet.
 *
 * These pass up although they may be of a claimed flow: fragments but the first,
 * TCP behind IPv6 extension headers other than a fragment's, frames with two
 * VLAN tags, and tags that the NIC stripped (turn rxvlan off). To answer
 * such a frame with a reset tells its sender no more than it could tell itself.
 *
 * A sender on the same machine leaves the TCP checksum to the device, and veth
 * hands the frame over without: turn tx off at the other end of ours.
 *
 * Opening needs CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW, that is the supervisor.
 * The worker gets `claims` and `sockets` as descriptors, and needs of bpf(2)
 * only the calls that update, delete, look up and list elements of maps. Frames
 * are steered until `link` is closed by everyone, and not in `pins`.
 *
 * `pins` is a directory of a bpf file system, where `claims` and `link` are left.
 * Whoever opens it next takes them over: on the same interface not one frame of
 * a claim passes up in between (steer_pin.c), on another the claims are in force
 * from the start. What no longer fits is removed. Functions return 0, or -errno.
 */
#ifndef VTOE_NIC_STEER_H
#define VTOE_NIC_STEER_H

#include <stdbool.h>
#include <stdint.h>

/* The key of the map: numbers in network order, IPv4 as ::ffff:a.b.c.d. */
struct steer_claim {
	uint8_t local[16];
	uint8_t remote[16];   /* both zero, and remote_port too: a local port */
	uint16_t local_port;
	uint16_t remote_port;
	uint16_t vlan;	      /* 0: untagged (or tagged for priority only) */
	uint16_t family;      /* of a local port: 4 or 6; else 0 */
};

enum steer_counter {
	STEER_FRAGMENT, /* dropped: first fragments */
	STEER_LONG,	/* dropped: longer than the buffers */
	STEER_COUNTERS,
};

struct steer {
	int claims; /* struct steer_claim -> uint64_t */
	int sockets;
	int program;
	int link;
	bool native; /* in the driver, before the kernel has made an skb */
	bool found;  /* the claims are those that were left in `pins` */
	int unpinned; /* 0; or why nothing is left in `pins`: -errno */
	const uint64_t *counters; /* written by the program */
};

struct steer_config {
	int ifindex;
	uint32_t claims_max;
	uint32_t queues;
	uint32_t frame_max; /* of the sockets: xsk_frame_max() */
	bool generic;	    /* do not even try native mode */
	const char *pins;   /* a directory; NULL: nothing is to be left */
};

int steer_open(struct steer *s, const struct steer_config *c);
/* What is in `pins` stays there. */
void steer_close(struct steer *s);
/* As close, and the program is off the interface when this returns, whoever has
 * the link, too, or a name of it: else that takes the kernel a moment. */
void steer_end(struct steer *s);

/* -EEXIST: claimed already; -E2BIG: claims_max. `note` is the caller's. */
int steer_claim(int claims, const struct steer_claim *c, uint64_t note);
/* -ENOENT: not claimed */
int steer_unclaim(int claims, const struct steer_claim *c);
/* Steps from claim to claim, in no order: to the first if *c is zero (which names
 * no claim), and *note; -ENOENT behind the last. */
int steer_next(int claims, struct steer_claim *c, uint64_t *note);
/* Hands the frames of a queue to a socket that is started. Ends by itself when
 * the socket is closed. */
int steer_queue(int sockets, uint32_t queue, int socket);

static inline uint64_t steer_count(const struct steer *s,
				   enum steer_counter which)
{
	return __atomic_load_n(&s->counters[which], __ATOMIC_RELAXED);
}

#endif
