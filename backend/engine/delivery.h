/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * delivery.h - what comes out: a frame as it came in, or an aggregate
 *
 * An aggregate looks like one segment of an ordinary sender (E12): a header,
 * generated here, and the payload, which still lies in the frames (C7, E13).
 * Beside them stands what a TCP needs to treat it as the many segments that it
 * was (E11).
 */
#ifndef VTOE_ENGINE_DELIVERY_H
#define VTOE_ENGINE_DELIVERY_H

#include <stdint.h>

#include "engine/frame.h"
#include "engine/segment.h"

/* No call that takes one frame makes more deliveries than this. */
#define AGGREGATE_OUT 8u

enum delivery_kind {
	DELIVERY_FRAME,	    /* one frame, untouched: ref and frame_length */
	DELIVERY_AGGREGATE, /* header, and the payload in segments */
};

#define DELIVERY_TCP (1u << 0) /* seq, ack and so on are valid */
#define DELIVERY_VERIFIED                                    \
	(1u << 1) /* the IP and TCP checksums of all that is \
		   * in it were right */
#define DELIVERY_NO_CHECKSUM                          \
	(1u << 2) /* the header's TCP checksum is not \
		   * valid, as configured (E10) */
#define DELIVERY_FIXED_ID                                                      \
	(1u << 3)		  /* all its frames had the same IPv4 ID, else \
				   * they counted up (reversible mode) */
#define DELIVERY_SENT	(1u << 4) /* tx_next and tx_window are valid (J5) */
#define DELIVERY_HAS_TS (1u << 5) /* ts_value and ts_echo are valid */

struct delivery {
	uint8_t kind;	   /* enum delivery_kind */
	uint8_t reason;	   /* enum end_reason: why it ended, or passed alone */
	uint16_t flags;	   /* DELIVERY_* */
	uint32_t owner;	   /* of the frames */
	uint64_t ref;	   /* the frame; of an aggregate the first one */
	uint64_t first_at; /* `now` when its first frame came */
	uint32_t frame_length;	 /* FRAME: as it was given */
	uint32_t payload_offset; /* FRAME of TCP: where in it payload begins */
	uint32_t payload_length; /* bytes in all */
	struct segment_list segments; /* AGGREGATE */
	/* -- as in the header, in host order -- */
	uint32_t seq;	   /* of the first segment (E1) */
	uint32_t ack;	   /* of the last (E2) */
	uint32_t ts_value; /* of the first (E4) */
	uint32_t ts_echo;  /* of the last (E4) */
	uint16_t window;   /* of the last, raw (E3) */
	uint16_t tcp_flags;
	/* -- about the segments (E11) -- */
	uint32_t ts_delta;	 /* from the first TSval to the last */
	uint16_t count;		 /* frames */
	uint16_t max_segment;	 /* bytes, the largest payload of one */
	uint16_t duplicate_acks; /* merged, of count */
	uint16_t pure_acks;	 /* merged, of count; duplicates are of them */
	/* -- what was last sent in the other direction (J5) -- */
	uint32_t tx_next; /* the sequence number behind it */
	uint16_t tx_window;
	/* -- the generated header; AGGREGATE only -- */
	uint16_t header_length; /* link header included */
	uint16_t l3;		/* offsets in it */
	uint16_t l4;
	uint8_t header[FRAME_HEAD];
};

#endif
