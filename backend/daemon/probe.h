/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * probe.h - asking the network whether an address is in use
 */
#ifndef VTOE_DAEMON_PROBE_H
#define VTOE_DAEMON_PROBE_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/loop.h"
#include "daemon/network.h"

struct probe {
	struct loop *loop; /* NULL: none is under way */
	const struct network *network;
	unsigned int index; /* of the interface inside */
	struct loop_watch arp, neighbour;
	struct loop_timer timer;
	unsigned int sent;
	/* @conflict: a text, or NULL when nobody answered. */
	void (*done)(struct probe *probe, const char *conflict);
};

void probe_init(struct probe *probe,
		void (*done)(struct probe *probe, const char *conflict));
/* Asks for the addresses of @network; @done follows. 0 or -errno. */
int probe_start(struct probe *probe, struct loop *loop,
		const struct network *network);
void probe_stop(struct probe *probe);

#endif
