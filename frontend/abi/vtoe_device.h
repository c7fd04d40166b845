/* SPDX-License-Identifier: MIT */
/*
 * vtoe_device.h - the device page: what both sides say once
 *
 * Page 0 of the shared memory (local, ivshmem, mem), or the page whose grant
 * the frontend advertises (xen). The first half is written by the backend and
 * read by the guest; the second half the other way round. Neither side ever
 * reads back what it wrote itself: it keeps its own copy.
 *
 *   offset 0      struct vtoe_device_page (4096 bytes)
 *   offset 4096   control ring: request ring, then completion ring (see
 *                 VTOE_CTL_*_OFFSET)
 *   VTOE_GUEST_OFFSET ..  the guest's to divide: lane rings, arena, regions
 */
#ifndef VTOE_DEVICE_H
#define VTOE_DEVICE_H

#include "vtoe_types.h"

#define VTOE_MAGIC 0x454f5456u /* "VTOE" */
#define VTOE_VERSION_1 1u

/*
 * Features. The backend offers a set, the guest accepts a subset of it in its
 * HELLO (vtoe_control.h). A guest that accepts a bit that the backend did not
 * offer is parked (VTOE_VIOLATION_FEATURES); a bit that is offered and unknown to the
 * guest is not accepted by it, and so never used.
 */
#define VTOE_F_TOE (1ull << 0)	    /* socket-level operations */
#define VTOE_F_TTO (1ull << 1)	    /* frame-level operations */
#define VTOE_F_GRQ (1ull << 2)	    /* generic receive buffers */
#define VTOE_F_SHARE (1ull << 3)    /* SHARE and ADOPT between lanes */
#define VTOE_F_REGION_LIST (1ull << 4) /* regions of several ranges */
#define VTOE_F_IPV6 (1ull << 5)
#define VTOE_F_QUIET (1ull << 6)    /* VTOE_SQE_QUIET */

/* status of the backend, and of one lane (struct vtoe_ring_producer) */
enum vtoe_status {
	VTOE_STATUS_STARTING = 0,
	VTOE_STATUS_READY = 1,
	VTOE_STATUS_PARKED = 2,	 /* a violation: see enum vtoe_violation */
	VTOE_STATUS_LEAVING = 3, /* the backend is going away in order */
};

/* Why a guest, or a lane of it, was parked. PROTOCOL.md has the rules. */
enum vtoe_violation {
	VTOE_VIOLATION_NONE = 0,
	VTOE_VIOLATION_INDEX = 1,    /* producer index passed consumer + size */
	VTOE_VIOLATION_CONSUMER = 2, /* consumer index passed producer, or
				      * went backwards */
	VTOE_VIOLATION_HELLO = 3,    /* first request is not a valid HELLO */
	VTOE_VIOLATION_FEATURES = 4, /* accepted what was not offered */
	VTOE_VIOLATION_VERSION = 5,
	VTOE_VIOLATION_FLOOD = 6,    /* control requests without progress */
	VTOE_VIOLATION_DATA = 7,     /* the guest sent bytes on a socket that
				      * only the backend writes */
};

enum vtoe_link {
	VTOE_LINK_DOWN = 0,
	VTOE_LINK_UP = 1,
};

struct vtoe_device_page {
	/* -- written by the backend before the guest can see the page -- */
	vtoe_u32 magic;
	vtoe_u16 version_min;
	vtoe_u16 version_max;
	vtoe_u64 features;	  /* offered: VTOE_F_* */
	vtoe_u64 memory_bytes;	  /* size of the shared memory, page multiple */
	vtoe_u32 control_entries; /* of each half of the control ring */
	vtoe_u32 max_lanes;
	vtoe_u32 max_streams;
	vtoe_u32 max_regions;
	vtoe_u32 max_inflight;	  /* requests under way on one lane */
	vtoe_u32 max_ring_entries; /* SQ and CQ of a lane */
	vtoe_u64 incarnation;	  /* random; differs after a backend restart */
	vtoe_u8 mac[6];
	vtoe_u16 mtu;
	vtoe_u8 ipv4[4];	  /* zero if none */
	vtoe_u8 ipv4_prefix;
	vtoe_u8 ipv6_prefix;
	vtoe_u16 reserved0;
	vtoe_u8 ipv6[16];	  /* zero if none */
	char name[32];		  /* of the device, NUL-terminated */
	/* -- may change while the guest runs; an event announces it -- */
	vtoe_u32 status;	  /* enum vtoe_status */
	vtoe_u32 violation;	  /* enum vtoe_violation, with PARKED */
	vtoe_u32 link;		  /* enum vtoe_link */
	vtoe_u32 reserved1;
	vtoe_u8 pad[4096 - 136];
};
VTOE_ASSERT(sizeof(struct vtoe_device_page) == VTOE_PAGE);

/* The control ring's fixed place: entries of 64 bytes after 128 of indices. */
#define VTOE_CTL_ENTRIES 64u
#define VTOE_CTL_REQUEST_OFFSET 4096u
#define VTOE_CTL_COMPLETION_OFFSET 12288u
#define VTOE_GUEST_OFFSET 20480u

/* Vector 0 carries control events; a lane names its own in LANE_ADD. The
 * backend's only vector is 0: the doorbell of all rings of this guest. */
#define VTOE_VECTOR_CONTROL 0u

#endif
