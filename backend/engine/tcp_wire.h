/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_wire.h - a TCP header in memory and as bytes, and the checksum
 *
 * Nothing here knows a connection. Reading accepts any bytes: what is not a
 * header is refused, what is not an option that we know is skipped, and an
 * option of a wrong length ends the list.
 */
#ifndef VTOE_ENGINE_TCP_WIRE_H
#define VTOE_ENGINE_TCP_WIRE_H

#include "engine/bytes.h"
#include "engine/tcp.h"
#include "engine/tcp_flags.h"

enum {
	TCP_HEAD_MIN = 20,
	TCP_SACK_MAX = 4,
	TCP_WSCALE_MAX = 14,	/* RFC 7323, 2.3 */
	TCP_TS_BYTES = 12,	/* NOP, NOP, timestamps */
};

enum tcp_ecn {
	TCP_ECN_NOT = 0,
	TCP_ECN_ECT1 = 1,
	TCP_ECN_ECT0 = 2,
	TCP_ECN_CE = 3,
	TCP_ECN_MASK = 3,
};

struct tcp_range {
	uint32_t start;
	uint32_t end;
};

struct tcp_head {
	uint32_t seq;
	uint32_t ack;
	uint32_t tsval;
	uint32_t tsecr;
	uint16_t source;
	uint16_t destination;
	uint16_t window;
	uint16_t urgent;
	uint16_t mss;		/* with has_mss; of a SYN only, as the next */
	uint8_t wscale;
	uint8_t flags;		/* enum tcp_flag */
	uint8_t sack_count;
	bool has_mss;
	bool has_wscale;
	bool has_sack_ok;
	bool has_ts;
	struct tcp_range sack[TCP_SACK_MAX];
};

/* -> bytes of the header, or -EBADMSG. */
int tcp_wire_parse(struct tcp_head *h, const uint8_t *bytes, size_t length);
/* -> bytes written; the checksum is zero. SACK blocks as many as fit. */
unsigned tcp_wire_build(uint8_t bytes[TCP_HEAD_MAX], const struct tcp_head *h);

/* The sum of 16-bit words; `odd` keeps the parity from piece to piece. */
struct tcp_sum {
	uint64_t sum;
	bool odd;
};

void tcp_sum_add(struct tcp_sum *sum, const void *bytes, size_t length);
uint16_t tcp_sum_fold(const struct tcp_sum *sum);

/* Where payload is, for the checksums. */
struct tcp_bytes {
	const void *at;
	size_t length;
};

/* Writes the checksum that struct tcp_segment speaks of into its head. */
void tcp_checksum_head(struct tcp_segment *seg, bool partial);
/* Completes one that is not partial; length <= segment_size. */
void tcp_checksum_segment(struct tcp_segment *seg,
			  const struct tcp_bytes *payload, unsigned count);
/* Whether a packet's checksum is right; head_bytes is the header's length. */
bool tcp_checksum_packet(const struct tcp_packet *packet,
			 const struct tcp_bytes *payload, unsigned count);

#endif
