/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * steering.h - the supervisor's part of a guest's TTO service
 *
 * The XDP program on the guest's interface and its maps (nic/steer.h) live as
 * long as the guest is attached; workers come and go, and get the two maps as
 * descriptors. So no frame of a claim reaches the kernel while there is no
 * worker, and connections outlive one.
 *
 * They outlive the supervisor too, if it is killed or hands over: program and
 * claims are pinned (pins.h), and the next one takes them over. Its workers find
 * the claims as if they were a dead worker's. Where pinning fails, claims end
 * with vtoed, and `unpinned` says why.
 *
 * With tto_port frames come from that port of the bridge past it
 * (bridge_port.h); where that cannot be, by the bridge, and the log has why.
 *
 * A guest that asks for TTO and cannot have it goes on with TOE alone; `why`
 * has the reason, for the log and for `vtoectl list`. Built as steering_none.c
 * without libbpf.
 */
#ifndef VTOE_DAEMON_STEERING_H
#define VTOE_DAEMON_STEERING_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/config.h"
#include "daemon/network.h"
#include "nic/steer.h"

#define STEERING_WHY_MAX 256

struct steering {
	struct steer steer;
	bool open;
	uint32_t ifindex;
	char why[STEERING_WHY_MAX]; /* ""; or it is not open though wanted */
	char unpinned[STEERING_WHY_MAX]; /* ""; or claims end with vtoed */
	char port[IFNAMSIZ]; /* of the bridge, hands frames over; "": none */
	uint8_t mac[6];	     /* as which it knows the guest */
};

void steering_init(struct steering *steering);
/* If the guest's configuration wants it. A failure is logged and kept in
 * `why`. */
void steering_open(struct steering *steering, const struct network *network,
		   const struct config_guest *guest, const char *run_dir);
/* The program leaves the interface, and claims end; harmless if it is not
 * open. */
void steering_close(struct steering *steering, const struct config_guest *guest,
		    const char *run_dir);
/* What is pinned stays, for the next supervisor. */
void steering_hand_over(struct steering *steering);

#endif
