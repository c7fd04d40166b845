/* SPDX-License-Identifier: MIT */
/*
 * vtoe_ioctl.h - /dev/vtoeN, between vtoe.ko and libvtoe
 *
 * Opening the device makes a connection (PROTOCOL.md): its shared memory is
 * mapped with mmap(fd, offset 0, VTOE_IOC_INFO's memory_bytes); from there on
 * libvtoe and the backend talk as on the local port; parts of the memory may be
 * mapped elsewhere too, by their offset. write() of anything rings the doorbell.
 * poll() on the descriptor
 * says POLLERR | POLLHUP when the backend is gone: then nothing works any more
 * but close. Closing takes the memory back.
 */
#ifndef VTOE_IOCTL_H
#define VTOE_IOCTL_H

#include "vtoe_types.h"

/* The encoding of asm-generic/ioctl.h, spelt out so that nothing is included. */
#define VTOE_IOC_WRITE 1u /* the structure goes in */
#define VTOE_IOC_READ 2u  /* it comes out */
#define VTOE_IOC(direction, number, type)                                  \
	((direction) << 30 | (vtoe_u32)sizeof(type) << 16 | (vtoe_u32)'V' << 8 | \
	 (number))

#define VTOE_IOCTL_VERSION 1u

struct vtoe_ioc_info {
	vtoe_u32 version;    /* VTOE_IOCTL_VERSION */
	vtoe_u32 connection; /* number of this connection */
	vtoe_u64 memory_bytes;
	vtoe_u64 generation; /* counts changes of registered memory, see
			      * VTOE_IOC_REGISTER */
};

/* Notifications of `vector` are signalled to this eventfd; -1 takes it away. */
struct vtoe_ioc_eventfd {
	vtoe_u32 vector;
	vtoe_s32 fd;
};

/*
 * Pins and grants [address, address + bytes), page-aligned, for `rights`
 * (VTOE_REGION_*), and makes a region of it. When the memory is unmapped or
 * remapped while registered, the region is stale: the pages stay pinned, and
 * are written by requests under way, until it is unregistered; the generation
 * counter goes up, and UNREGISTER of it says so (value of `stale`).
 * -EINVAL alignment or rights; -ENOMEM RLIMIT_MEMLOCK or the device's limit;
 * -EDQUOT, -ENOSPC of the backend or the grant table; -EFAULT.
 */
struct vtoe_ioc_register {
	vtoe_u64 address;
	vtoe_u64 bytes;
	vtoe_u32 rights;
	vtoe_u32 stale; /* out, of UNREGISTER */
	vtoe_u64 key;	/* out; in for UNREGISTER */
};

#define VTOE_IOC_INFO VTOE_IOC(VTOE_IOC_READ, 0x10u, struct vtoe_ioc_info)
#define VTOE_IOC_EVENTFD \
	VTOE_IOC(VTOE_IOC_WRITE, 0x11u, struct vtoe_ioc_eventfd)
#define VTOE_IOC_REGISTER \
	VTOE_IOC(VTOE_IOC_READ | VTOE_IOC_WRITE, 0x13u, struct vtoe_ioc_register)
#define VTOE_IOC_UNREGISTER \
	VTOE_IOC(VTOE_IOC_READ | VTOE_IOC_WRITE, 0x14u, struct vtoe_ioc_register)

#endif
