/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ip.h - the kernel's routes, and whole IP packets sent along them
 *
 * For a service that makes packets itself, in a namespace whose kernel has the
 * routes and the neighbours. Functions return 0, or -errno; none waits.
 */
#ifndef VTOE_NIC_IP_H
#define VTOE_NIC_IP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include <vtoe_lane.h>

/* The address that packets to `to` come from (its port 0), and how long they may
 * be, IP header included. */
int ip_route(const struct vtoe_address *to, struct vtoe_address *from,
	     uint32_t *mtu);
/* Is it an address of one host that is not this one's loopback? No system call. */
bool ip_is_unicast(unsigned family, const uint8_t *ip);
/* ... and of this namespace's? */
bool ip_is_ours(const struct vtoe_address *a);
/* -> descriptor; needs CAP_NET_RAW. It receives nothing. */
int ip_raw_socket(unsigned family);
/* Sends a packet, IP header included, to where the kernel's route leads; the
 * kernel finds the neighbour's MAC, and keeps the packet meanwhile. */
int ip_send(int fd, const struct vtoe_address *to, const struct iovec *pieces,
	    unsigned count);

/* -> descriptor that hears of packets of TCP, whoever sent them here, whose
 * neighbour does not answer; needs CAP_NET_RAW. What routers say is not heard:
 * anybody can say it. */
int ip_error_socket(unsigned family);
/* The destination of one; false: none (any more). */
bool ip_next_unreached(int fd, unsigned family, struct vtoe_address *to);

#endif
