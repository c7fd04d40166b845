/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * local_peer.h - the `local` port: a process on this host
 *
 * Speaks the server's half of QEMU's ivshmem protocol (version 0) on a unix
 * stream socket: 8-byte little-endian integers, some with a descriptor. The
 * client gets its peer id, a memory descriptor, the doorbell of the backend
 * (peer 0, one vector) and its own vectors; it never sends anything. Each
 * connection has a memory of its own, sealed against resizing, so that one
 * application sees nothing of another.
 */
#ifndef VTOE_PORT_LOCAL_PEER_H
#define VTOE_PORT_LOCAL_PEER_H

#include "port/port.h"

struct local_limits {
	uint64_t memory;       /* bytes of shared memory, page multiple */
	uint32_t lanes;	       /* vectors: one more */
	const uint32_t *allow; /* uids; */
	uint32_t allow_count;  /* 0: all */
};

/*
 * Takes one connection from the listening socket and makes its link: memory,
 * events, credentials. `page` is what the device page shall say (the memory's
 * size is filled in here). The handshake is sent by local_peer_greet().
 * -> 0; -EAGAIN: none waits; -EACCES: refused by uid; other -errno.
 */
int local_peer_accept(struct port_link *link, int listen_fd, uint32_t id,
		      const struct local_limits *limits,
		      const struct vtoe_device_page *page);
/* Sends a negated errno in the version's place; the caller closes. */
void local_peer_refuse(int socket_fd, int error);
/* Sends the whole handshake without waiting; -errno: close the link. */
int local_peer_greet(struct port_link *link);

#endif
