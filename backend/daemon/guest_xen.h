/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guest_xen.h - guests that are Xen domains
 */
#ifndef VTOE_DAEMON_GUEST_XEN_H
#define VTOE_DAEMON_GUEST_XEN_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/guest.h"
#include "daemon/xenbus.h"

/* Of one guest. */
struct guest_xen {
	struct guest *guest;
	struct xenbus_device device;
	struct loop_timer timer;
	uint64_t looked_at; /* at the frontend's nodes */
	bool changed;	    /* they have, since then */
	bool ending;	    /* we end its worker ourselves */
	uint64_t retry_at;  /* the offer failed; 0: it did not */
};

/* 0, or -1 with @why, and nothing left behind. Before guest_xen_begin(). */
int guest_xen_attach(struct guest *guest, char *why);
/* Its network is there: the device is offered as soon as there is a domain. */
void guest_xen_begin(struct guest *guest);
void guest_xen_free(struct guest *guest);

/* The guest's worker is ready or has ended; the guest may be gone after the
 * second one. */
void guest_xen_ready(struct guest *guest);
void guest_xen_ended(struct guest *guest, const char *why);
/* Closes the device; it may be gone when this returns. */
void guest_xen_leave(struct guest *guest);

/* When the last guest is gone. */
void guest_xen_close(struct guest_host *host);

#endif
