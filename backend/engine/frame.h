/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * frame.h - the headers of a received frame (MECHANISMS A)
 *
 * frame_parse() reads a frame's headers once, into a copy, and works on the
 * copy: the frame may lie in memory that a guest can write. Everything that is
 * not a plain segment gets the event that says what it is (event.h).
 */
#ifndef VTOE_ENGINE_FRAME_H
#define VTOE_ENGINE_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/event.h"
#include "engine/flow_key.h"
#include "engine/tcp_flags.h"

/* Ethernet, two VLAN tags, IPv6, TCP with timestamps: 94 bytes. */
#define FRAME_HEAD 96u
/* A frame longer than this is no frame: IP ends at 65535 (+ 40 for IPv6). */
#define FRAME_MAX (65535u + 40u + 22u)

/* What the caller knows about a frame. */
#define FRAME_CHOSEN	   (1u << 0) /* its flow may be collected (B8) */
#define FRAME_IP_VERIFIED  (1u << 1) /* trusted: the IP header checksum (A3) */
#define FRAME_TCP_VERIFIED (1u << 2) /* trusted: the TCP checksum (A4) */

struct frame_input {
	const uint8_t *data; /* contiguous; read only during the call */
	uint32_t length;     /* bytes, padding included, FCS not (A5) */
	uint32_t flags;	     /* FRAME_* */
	uint64_t ref;	/* names the frame; the engine only hands it back */
	uint32_t owner; /* part of the flow's key (B1) */
};

/*
 * What all frames of one aggregate have in common (C3), as words to compare.
 * A difference in link is T36, in network that of the field.
 */
struct frame_shape {
	uint64_t link[3]; /* MACs; number of tags, and the tags */
	uint64_t network; /* SHAPE_* */
};

#define SHAPE_FLOW_LABEL    0x00000000000fffffull
#define SHAPE_TIMESTAMP	    0x0000000001000000ull
#define SHAPE_FRAGMENT_BITS 0x000000c000000000ull /* IPv4: reserved and DF */
#define SHAPE_DF	    0x0000004000000000ull
#define SHAPE_TTL	    0x0000ff0000000000ull
#define SHAPE_TOS	    0x00ff000000000000ull

struct frame {
	struct frame_input in;
	struct flow_key key;	  /* if has_flow */
	struct frame_shape shape; /* if plain */
	bool has_flow;		  /* the ports were found */
	bool has_tcp;		  /* seq to payload_length are valid */
	bool plain;		  /* nothing but what an aggregate can express:
				   * neither options nor extension headers */
	bool has_timestamp;
	bool malformed;
	bool verified;	 /* both checksums are known to be right */
	uint8_t event;	 /* END_NONE: a candidate */
	uint8_t version; /* FLOW_IPV4, FLOW_IPV6, 0: neither */
	uint16_t tcp_flags;
	uint16_t window;
	uint16_t ip_id;
	uint32_t l3; /* offsets in the frame, bytes */
	uint32_t l4;
	uint32_t payload;
	uint32_t payload_length;
	uint32_t seq;
	uint32_t ack;
	uint32_t ts_value;
	uint32_t ts_echo;
	uint8_t head[FRAME_HEAD]; /* the copy; zero beyond the frame's end */
};

/* Sequence numbers that the segment takes, SYN and FIN included. */
static inline uint32_t frame_sequence_length(const struct frame *f)
{
	return f->payload_length + !!(f->tcp_flags & TCP_SYN) +
	       !!(f->tcp_flags & TCP_FIN);
}

/* Never fails: see event, and malformed. */
void frame_parse(struct frame *f, const struct frame_input *in);
/*
 * Verifies the TCP checksum, unless that is known, by reading the payload.
 * Of plain frames and such with IPv4 options only: others stay unverified.
 * -> whether it is right. Adds the bytes that were read to *touched.
 */
bool frame_verify(struct frame *f, uint64_t *touched);
/*
 * The sum of a plain frame's pseudo header and TCP header, checksum included.
 * All of a right segment adds up to 0xffff, which is zero; so this tells what
 * the payload adds up to, without reading it: the complement (E10).
 */
uint64_t frame_header_sum(const struct frame *f);
/* The pseudo header (RFC 9293 3.1) of plain headers: addresses, protocol and
 * TCP length. */
uint64_t frame_pseudo_sum(const uint8_t *head, uint32_t l3, uint8_t version,
			  uint32_t tcp_length);

#endif
