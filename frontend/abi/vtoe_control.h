/* SPDX-License-Identifier: MIT */
/*
 * vtoe_control.h - the control ring: one per guest connection
 *
 * Requests and completions of 64 bytes on two rings at fixed places
 * (vtoe_device.h). The first request must be HELLO. Events are completions
 * with user_data 0 and op VTOE_CTL_EVENT.
 */
#ifndef VTOE_CONTROL_H
#define VTOE_CONTROL_H

#include "vtoe_types.h"

enum vtoe_ctl_op {
	VTOE_CTL_HELLO = 1,	 /* u.hello */
	VTOE_CTL_LANE_ADD = 2,	 /* u.lane; completion: lane */
	VTOE_CTL_LANE_DEL = 3,	 /* lane; completes when nothing of the lane is
				  * under way; its rings may then be reused */
	VTOE_CTL_REGION_ADD = 4, /* u.region; completion: key */
	VTOE_CTL_REGION_DEL = 5, /* key; completes when no request under way
				  * names the region (-ECANCELED for requests
				  * that had not started); only then may the
				  * memory be reused (MECHANISMS O9, H17) */
	VTOE_CTL_EVENT = 64,
};

enum vtoe_event {
	VTOE_EVENT_LINK = 1,	/* value: enum vtoe_link */
	VTOE_EVENT_LEAVING = 2, /* the backend is going away in order */
	VTOE_EVENT_LANE_PARKED = 3, /* lane; value: enum vtoe_violation */
	VTOE_EVENT_MTU = 4,	/* value: bytes */
};

/* Rights of a region, as the backend's: READ to send from it, WRITE to
 * receive into it (MECHANISMS O8). */
#define VTOE_REGION_READ 1u
#define VTOE_REGION_WRITE 2u

/* A region usable by every lane of this connection. */
#define VTOE_LANE_ANY 0xffffffffu

#define VTOE_REGION_MAX_RANGES 256u

/* A connection without HELLO is parked after so many seconds; one that sends
 * so many control requests in a row that all fail is parked (FLOOD). */
#define VTOE_HELLO_SECONDS 10u
#define VTOE_CTL_FAILURES_MAX 1024u

/* One range of a region: page-aligned, in the shared memory (local, ivshmem).
 * A region's offset 0 is the first byte of its first range. */
struct vtoe_range {
	vtoe_u64 offset;
	vtoe_u64 length;
};

struct vtoe_ctl_request {
	vtoe_u8 op; /* enum vtoe_ctl_op */
	vtoe_u8 reserved0[3];
	vtoe_u32 lane;
	vtoe_u64 user_data; /* not 0 */
	union {
		struct {
			vtoe_u32 version; /* one of version_min..max */
			vtoe_u32 pid;	  /* information only */
			vtoe_u64 features; /* accepted: a subset of offered */
			vtoe_u8 name[32]; /* of the program, NUL-padded;
					   * information only */
		} hello;
		struct {
			vtoe_u64 sq_offset; /* 64-byte aligned, in the guest's
					     * part of the shared memory */
			vtoe_u64 cq_offset;
			vtoe_u32 sq_entries; /* power of two, VTOE_RING_MIN to
					      * max_ring_entries */
			vtoe_u32 cq_entries;
			vtoe_u32 vector; /* 1 .. max_lanes */
			vtoe_u32 reserved;
		} lane;
		struct {
			vtoe_u64 offset; /* count 1: the range itself; else of
					  * the list of struct vtoe_range,
					  * 16-byte aligned */
			vtoe_u64 length; /* count 1: bytes of the range */
			vtoe_u32 count;	 /* of ranges */
			vtoe_u32 rights; /* VTOE_REGION_* */
		} region;
		vtoe_u64 key; /* REGION_DEL */
		vtoe_u8 raw[48];
	} u;
};
VTOE_ASSERT(sizeof(struct vtoe_ctl_request) == 64);

struct vtoe_ctl_completion {
	vtoe_u8 op; /* of the request, or VTOE_CTL_EVENT */
	vtoe_u8 event;
	vtoe_u8 reserved0[2];
	vtoe_s32 result;
	vtoe_u64 user_data;
	vtoe_u64 key;
	vtoe_u32 lane;
	vtoe_u32 value;
	vtoe_u8 pad[32];
};
VTOE_ASSERT(sizeof(struct vtoe_ctl_completion) == 64);

#endif
