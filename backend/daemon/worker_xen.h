/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * worker_xen.h - a worker whose guest is a Xen domain
 *
 * Serves the ring of the guest's device (port/xen_peer.h): connections come
 * and go there instead of on a listening socket. Built as worker_xen.c with
 * libxengnttab and libxenevtchn, else as worker_noxen.c, which refuses.
 */
#ifndef VTOE_DAEMON_WORKER_XEN_H
#define VTOE_DAEMON_WORKER_XEN_H

#include "daemon/setup.h"
#include "path/path.h"

struct worker_xen;

/* Opens what needs privilege; NULL with -errno in *error and the step's name
 * in *what. */
struct worker_xen *worker_xen_open(const struct worker_setup *setup,
				   int *error, const char **what);
/*
 * Whether sockets may be handed pages of the guest (SEND_ZC). Not in a PV dom0:
 * there, gntdev unmaps by way of the process's page tables, and puts that off
 * while a packet still has the page. When a worker ends meanwhile, however it
 * ends, those tables are gone by then: the unmapping fails, or hits whoever has
 * them now (seen on Linux 6.12: a warning in gntdev.c for each page, grants that
 * stay mapped for ever, and mappings of the next worker with holes in them).
 * Before worker_confine() closes /sys.
 */
bool worker_xen_may_zerocopy(void);
/* Asks to be told, as bit `which` of device_turn(), when the guest rang. */
void worker_xen_watch(struct worker_xen *x, struct device *d, unsigned which);
/* Serves what rang, and watches again. `page` is what new connections are shown.
 * -EPROTO: the guest broke the device's ring, and is not watched any more.
 * Another error: of the descriptor, and nothing works any more. */
int worker_xen_serve(struct worker_xen *x, struct device *d,
		     const struct vtoe_device_page *page, unsigned which);
/* After each turn: answers what ended meanwhile, and counts. */
void worker_xen_turn(struct worker_xen *x, struct vtoe_stats *stats);
/* Why the guest was refused something, in one line, once for each time. */
#define WORKER_XEN_WHY 224
bool worker_xen_refused(struct worker_xen *x, char *why, size_t size);

#endif
