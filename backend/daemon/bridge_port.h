/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bridge_port.h - bridges' ports that hand frames to guests (nic/shortcut.h)
 *
 * The program on a port is there as long as a guest uses it. All of the
 * supervisor's guests share one list, and its thread.
 */
#ifndef VTOE_DAEMON_BRIDGE_PORT_H
#define VTOE_DAEMON_BRIDGE_PORT_H

#include <stdint.h>

#define BRIDGE_PORT_WHY_MAX 256

/* Frames of TCP for @mac that come by @port go to @host, our end of a guest's
 * veth. 0, or -1 with @why. */
int bridge_port_add(const char *port, const uint8_t mac[6], const char *host,
		    char *why);
/* Undoes that. */
void bridge_port_remove(const char *port, const uint8_t mac[6]);

#endif
