/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xen_peer.h - the `xen` port: connections of one Xen guest's device
 *
 * The guest's driver announces connections on a ring page (vtoe_xen.h): which
 * pages make its memory, which event channel rings. Here that ring is served
 * with the checks of ring_peer.h, grants are mapped (when a connection or a
 * region is made, and never in between), and links are made that the data path
 * uses like any other.
 *
 * Everything that needs a privilege is opened by xen_device_open(); mapping and
 * notifying then work without one. A mapping ends with this process at the
 * latest: the kernel unmaps it, and the ring page's unmap notification tells
 * the guest. Not thread-safe.
 */
#ifndef VTOE_PORT_XEN_PEER_H
#define VTOE_PORT_XEN_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include <vtoe_xen.h>

#include "port/port.h"
#include "port/ring_peer.h"

#define XEN_CONNECTIONS 256u
#define XEN_RUNG 64u

struct xengntdev_handle;
struct xenevtchn_handle;

struct xen_slot {
	bool used;
	bool gone;	 /* its link is closed: tell the guest */
	bool ending;	 /* DISCONNECT was taken */
	int port;	 /* local event channel, or -1 */
	uint64_t user_data; /* of its DISCONNECT */
	void *owner;	 /* the caller's, for events */
};

struct xen_device {
	struct xengntdev_handle *grants;
	struct xenevtchn_handle *events;
	uint32_t domid;
	uint8_t *page;	 /* the ring page */
	int port;	 /* its event channel, local */
	struct ring_in requests;
	struct ring_out completions;
	uint32_t connections; /* at once, at most */
	uint32_t max_pages;   /* of one connection */
	uint64_t maps, unmaps; /* grant operations, in calls */
	uint64_t region_bytes; /* mapped now for regions */
	uint64_t map_failures; /* of the former, by the hypervisor */
	struct xen_slot slots[XEN_CONNECTIONS];
	uint32_t rung[XEN_RUNG]; /* the caller's: for xen_device_fd() */
};

/* -errno, and *what names the step. */
int xen_device_open(struct xen_device *x, uint32_t domid, uint32_t ring_ref,
		    uint32_t event_channel, const char **what);
/* After all links are closed. */
void xen_device_close(struct xen_device *x);
/*
 * O_NONBLOCK. read() gives the event channels that were rung, 32 bits each;
 * write() of those lets them ring again, and at once if they were rung meanwhile
 * (<xen/evtchn.h>; xenevtchn_pending() and xenevtchn_unmask() are these two
 * calls. The worker makes them with its other system calls, in one).
 */
int xen_device_fd(const struct xen_device *x);
/* Whose channel that is: a slot, or -1: the ring page's. */
int xen_device_slot(const struct xen_device *x, uint32_t port);
/* Takes one request; 1, 0 when there is none, -EPROTO. */
int xen_device_take(struct xen_device *x, struct vtoe_xen_request *request);
/* Answers one; the guest is notified. */
void xen_device_answer(struct xen_device *x,
		       const struct vtoe_xen_request *request, int result,
		       uint64_t key);
/* Answers DISCONNECTs and REGION_DELs whose memory is unmapped by now. */
void xen_device_answer_ended(struct xen_device *x);

/* Makes the link that CONNECT announces: maps all of its pages. -EINVAL,
 * -EUSERS, -EBUSY (number in use), -ENOMEM, -errno of the hypervisor. */
int xen_link_connect(struct xen_device *x, struct port_link *link,
		     const struct vtoe_xen_request *request,
		     const struct vtoe_device_page *page);
/* Maps a region's pages; -> address or NULL with errno. Unmapped by the link's
 * operations. */
void *xen_link_map_region(struct xen_device *x,
			  const struct vtoe_xen_request *request,
			  uint64_t *bytes);

#endif
