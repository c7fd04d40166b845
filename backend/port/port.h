/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * port.h - how one guest connection reaches us
 *
 * A link is a guest's shared memory plus the means to notify it. The ports
 * differ only in how a link comes to be and how ranges of guest memory are
 * mapped; a const table of operations holds that difference (`local` here is
 * also what a KVM guest by ivshmem looks like; `mem` is for tests). Everything
 * else about a link is the same for all, and lies in struct port_link.
 *
 * Ownership: the creator of a link owns it until port_link_close(), which
 * unmaps and closes everything; regions must be gone before.
 */
#ifndef VTOE_PORT_PORT_H
#define VTOE_PORT_PORT_H

#include <stdint.h>
#include <sys/types.h>

#include <vtoe_control.h>
#include <vtoe_device.h>

#define PORT_MAX_LANES 64u

struct port_link;

struct port_ops {
	const char *name;
	/* Maps `count` ranges, checked already, one behind the other.
	 * -> address, or NULL with errno. `rights`: VTOE_REGION_*. */
	void *(*map)(struct port_link *link, const struct vtoe_range *ranges,
		     uint32_t count, uint64_t bytes, uint32_t rights);
	void (*unmap)(struct port_link *link, void *at, uint64_t bytes);
	/* Notifies a vector; NULL: vector_fd is written instead. */
	void (*notify)(struct port_link *link, uint32_t vector);
	/* A region that the port made itself is unmapped; NULL: there are
	 * none. */
	void (*region_gone)(struct port_link *link, uint64_t user_data);
	void (*close)(struct port_link *link);
};

struct port_link {
	const struct port_ops *ops;
	uint8_t *base;	     /* all of the shared memory, read-write */
	uint64_t bytes;
	int memory_fd;	     /* -1: none */
	int socket_fd;	     /* hangs up when the guest is gone; -1: none */
	int doorbell_fd;     /* the guest writes it; -1: none */
	int vector_fd[1 + PORT_MAX_LANES]; /* we write them; -1: count only */
	uint64_t notified[1 + PORT_MAX_LANES]; /* notifications, for tests */
	uint32_t vectors;
	uint32_t id;
	uint32_t pid, uid, gid; /* of the process at the other end */
	uint64_t private[2]; /* the port's own */
};

/* The bytes [offset, offset+bytes) of the guest's part of the shared memory,
 * aligned; NULL if they are not inside. Rings are found with it. */
void *port_link_at(struct port_link *link, uint64_t offset, uint64_t bytes,
		   uint64_t align);

static inline void port_link_close(struct port_link *link)
{
	link->ops->close(link);
}

#endif
