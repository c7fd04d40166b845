/* SPDX-License-Identifier: MIT */
/*
 * vtoe_xen.h - how a Xen guest's connections reach the backend
 *
 * A connection (an open /dev/vtoeN) is what it is on the local port: a stretch
 * of shared memory with a device page, a control ring and the guest's part
 * (vtoe_device.h). On Xen the guest's kernel allocates and grants its pages,
 * and announces it on a ring of the device. This header is that ring and the
 * xenbus handshake around it; PROTOCOL.md, "Xen", has the rules.
 *
 * Backend's directory (/local/domain/B/backend/vtoe/G/N):
 *   state             XenbusState
 *   frontend, frontend-id, online    as for every xenbus device
 *   version           "1": the versions of this header, comma-separated
 *   features          decimal, VTOE_F_*: information; HELLO negotiates
 *   connection-pages  the most pages that one connection may have
 *   max-connections   at once
 *   mac, ipv4, ipv6   information, as attached; empty: none
 *   error             why the frontend's last attempt failed
 *
 * Frontend's directory (/local/domain/G/device/vtoe/N):
 *   state, backend, backend-id
 *   version           the one that it speaks, of those offered
 *   ring-ref          grant reference of the ring page
 *   event-channel     of the ring page; unbound, for the backend's domain
 *
 * States: both begin Initialising. The backend offers its keys and goes to
 * InitWait; the frontend writes its keys and goes to Initialised; the backend
 * starts its worker, which maps the ring, and goes to Connected; the frontend
 * follows. Its keys are decimal numbers and nothing else; with others, or when
 * the worker cannot start, the backend says why in its key `error`, and closes.
 *
 * Closing, for whatever reason (the frontend closed, the driver was unloaded,
 * the worker or the supervisor died), is always the same:
 *
 *   backend   Closing ............. Closed - a moment - InitWait
 *   frontend  ........ Closed ............................ ...... Initialised
 *
 * The backend waits for the frontend's Closed (or Initialising, or no valid
 * state), and until nothing of the frontend's is mapped. It comes to InitWait
 * by itself: a frontend that is there starts anew with a new ring, one that is
 * loaded later finds InitWait. After ten quick rounds, the moment is a second.
 * For detaching, `online` is 0, and after Closed, or five seconds, both
 * directories are removed. A domain has one device, number 0.
 */
#ifndef VTOE_XEN_H
#define VTOE_XEN_H

#include "vtoe_types.h"

#define VTOE_XEN_VERSION 1u

/* The ring page: two rings (vtoe_ring.h), requests by the frontend,
 * completions by the backend. */
#define VTOE_XEN_RING_ENTRIES 16u
#define VTOE_XEN_REQUEST_OFFSET 0u
#define VTOE_XEN_COMPLETION_OFFSET 2048u

/* A byte of the ring page, 0 at first. The backend's process writes 1 when it
 * has mapped the page, and has its system write 0 and ring the event channel
 * when it ends, however it ends (gntdev's IOCTL_GNTDEV_SET_UNMAP_NOTIFY). After
 * a 1, a 0 tells the frontend that nobody serves the ring any more, before
 * xenbus does. A backend that never writes 1 is missed by xenbus alone. */
#define VTOE_XEN_ALIVE_OFFSET 4095u

/* Grant references of pages, by indirection: list pages, each granted
 * read-only, each of 1024 references in order. */
#define VTOE_XEN_REFS_PER_PAGE 1024u
#define VTOE_XEN_LIST_PAGES 8u
#define VTOE_XEN_MAX_PAGES (VTOE_XEN_REFS_PER_PAGE * VTOE_XEN_LIST_PAGES)

enum vtoe_xen_op {
	VTOE_XEN_CONNECT = 1,	 /* u.pages, event_channel: the connection's
				  * memory, mapped one page behind the other */
	VTOE_XEN_DISCONNECT = 2, /* completes when nothing of it is mapped any
				  * more */
	VTOE_XEN_REGION_ADD = 3, /* u.pages, rights: application memory outside
				  * of the connection's own; completion: key */
	VTOE_XEN_REGION_DEL = 4, /* u.key; completes when it is not mapped any
				  * more */
};

struct vtoe_xen_request {
	vtoe_u8 op; /* enum vtoe_xen_op */
	vtoe_u8 reserved[3];
	vtoe_u32 connection; /* chosen by the frontend, below max-connections */
	vtoe_u64 user_data;
	union {
		struct {
			vtoe_u32 pages;
			vtoe_u32 event_channel; /* CONNECT */
			vtoe_u32 rights;	/* REGION_ADD: VTOE_REGION_* */
			vtoe_u32 reserved;
			vtoe_u32 list_ref[VTOE_XEN_LIST_PAGES];
		} memory;
		vtoe_u64 key; /* REGION_DEL */
		vtoe_u8 raw[48];
	} u;
};
VTOE_ASSERT(sizeof(struct vtoe_xen_request) == 64);

struct vtoe_xen_completion {
	vtoe_u8 op;
	vtoe_u8 reserved[3];
	vtoe_s32 result; /* 0 or a negated errno */
	vtoe_u64 user_data;
	vtoe_u64 key;
	vtoe_u8 pad[40];
};
VTOE_ASSERT(sizeof(struct vtoe_xen_completion) == 64);

#endif
