/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tto_capture.h - what a worker tells of one captured packet
 *
 * A message of the capture's socket (SOCK_SEQPACKET) is this, and then
 * `captured` bytes of an Ethernet frame. The worker may be a guest's by then:
 * who reads believes nothing of it (daemon/ctl_pcapng.c).
 */
#ifndef VTOE_PATH_TTO_CAPTURE_H
#define VTOE_PATH_TTO_CAPTURE_H

#include <stdint.h>

#define TTO_CAPTURED_MAGIC   0x50414354u
#define TTO_CAPTURED_VERSION 1u

/* Of one packet: an IP packet of the largest size, and its link header. */
#define TTO_CAPTURE_BYTES 65600u

enum tto_direction {
	TTO_DELIVERED = 1, /* to the guest, as it got it */
	TTO_SENT = 2,	   /* by the guest, before it was cut */
};

struct tto_captured {
	uint32_t magic;
	uint32_t version;
	uint64_t time;	 /* ns of CLOCK_REALTIME */
	uint64_t missed; /* packets that found no room, since the beginning */
	uint32_t claim;
	uint32_t original; /* bytes of the packet */
	uint32_t captured; /* ... of them here */
	uint16_t segments; /* frames: that are in it, or that it is cut into */
	uint8_t direction; /* enum tto_direction */
	uint8_t pad;
	char reason[16];   /* why the aggregate ended, or its one segment went
			    * alone; of a sent one "" */
};

#endif
