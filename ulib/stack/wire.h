/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wire.h - how the stack's segments reach the network, and what comes from there
 *
 * A wire gives addresses (claims), takes segments, and hands in packets. What
 * happened is asked for (next), so nothing here calls upward. A claim is named by
 * the caller; it must not be named again before the wire has answered it and it
 * was given up. A wire that loses its other end keeps the claims and gets them
 * again: to the caller that is a time in which packets are lost, and it is told
 * when that is over.
 */
#ifndef VTOE_STACK_WIRE_H
#define VTOE_STACK_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include <vtoe_lane.h>

#include "engine/tcp.h"

enum wire_event_kind {
	WIRE_CLAIMED, /* the answer to a claim, once */
	WIRE_BACK,    /* a claim that had no other end has one again */
	WIRE_PACKET,
	WIRE_UNREACHABLE, /* a segment that was sent; nothing is owed for it */
};

/* What tcp_ref.buffer points to: the wire's memory that a packet's payload is in.
 * Offsets of references are from `at`. */
struct wire_buffer {
	uint8_t *at;
	bool lone; /* not of a wire: free() gives it back */
};

struct wire_event {
	enum wire_event_kind kind;
	/* WIRE_CLAIMED */
	uint32_t claim;		   /* of _BACK, too */
	int result;		   /* 0 or -errno; of _UNREACHABLE, too */
	struct vtoe_address local; /* zeros in a PORT claim: any */
	uint32_t mtu;
	/* WIRE_UNREACHABLE */
	int conn;		   /* the segment's, as it was sent */
	/* WIRE_PACKET; its pointers are to the two below. Each reference is to a
	 * buffer of its own, which is to be given back. */
	struct tcp_packet packet;
	uint8_t head[TCP_HEAD_MAX];
	struct tcp_ref refs[TCP_REFS_MAX];
};

/* As in CLAIM of the contract. */
struct wire_claim {
	struct vtoe_address address;
	uint16_t port;
	uint32_t flags; /* VTOE_CLAIM_* */
};

struct wire;
struct wire_ops {
	void (*claim)(struct wire *w, uint32_t claim,
		      const struct wire_claim *what);
	void (*unclaim)(struct wire *w, uint32_t claim);
	/* Segments that send() takes now. */
	unsigned (*room)(struct wire *w);
	/* `payload`: up to two stretches, copied or used until flush(). */
	void (*send)(struct wire *w, uint32_t claim,
		     const struct tcp_segment *segment,
		     const struct iovec payload[2]);
	/* What was sent and given back is with the other end. */
	void (*flush)(struct wire *w);
	/* -> false: nothing has come */
	bool (*next)(struct wire *w, struct wire_event *e, uint64_t now_us);
	void (*give_back)(struct wire *w, struct wire_buffer *b);
	/* Before sleeping: its descriptor wakes; false: something is there. */
	bool (*arm)(struct wire *w);
	/* When it wants to be asked again; TCP_NEVER. */
	uint64_t (*wake_us)(const struct wire *w);
};

struct wire {
	const struct wire_ops *ops;
	uint8_t ipv4[4], ipv6[16]; /* the device's addresses; zeros: none */
};

#endif
