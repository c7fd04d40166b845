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
 *
 * One page more can be mapped, read-only, at VTOE_STATE_OFFSET: it belongs to
 * the driver, the backend never sees it, and it says which registrations are
 * stale, so that no system call is needed to use one (VTOE_IOC_REGISTER).
 *
 * The connection is the opener's: registering from another process (a child of
 * fork that kept the descriptor) is refused with -EPERM.
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

#define VTOE_IOCTL_VERSION 3u

/* Offset of the state page for mmap; far behind any connection's memory. */
#define VTOE_STATE_OFFSET (1ull << 40)
#define VTOE_STATE_SLOTS 4032u

/*
 * The state page. stale[slot] is not 0 from the moment on when the memory of
 * the registration in that slot is unmapped, remapped or discarded: before the
 * system call that does so returns, and before other pages can appear at the
 * address. `generation` goes up after each such change: who has seen it
 * unchanged need not look for stale registrations to drop.
 *
 * `events` counts the backend's notifications of this connection, for
 * VTOE_IOC_WAIT.
 */
struct vtoe_state_page {
	vtoe_u64 generation;
	vtoe_u32 events;
	vtoe_u8 reserved[52];
	vtoe_u8 stale[VTOE_STATE_SLOTS];
};
VTOE_ASSERT(sizeof(struct vtoe_state_page) == VTOE_PAGE);

struct vtoe_ioc_info {
	vtoe_u32 version;    /* VTOE_IOCTL_VERSION */
	vtoe_u32 connection; /* number of this connection */
	vtoe_u64 memory_bytes;
	vtoe_u64 region_bytes; /* the most that one registration may have */
};
VTOE_ASSERT(sizeof(struct vtoe_ioc_info) == 24);

/* Notifications of `vector` are signalled to this eventfd; -1 takes it away. */
struct vtoe_ioc_eventfd {
	vtoe_u32 vector;
	vtoe_s32 fd;
};

/*
 * WAIT sleeps until the backend has notified the connection since `events` was
 * `seen`, and with VTOE_WAIT_RING rings the doorbell first: one system call in
 * place of write(), poll() and read() of an eventfd. Load `events`, arm the
 * ring, look at it, and WAIT only if it is empty: so no notification is lost.
 * All who wait on the connection wake up. 0; -ETIME after timeout_ns
 * (VTOE_WAIT_FOREVER: none); -EINTR a signal; -ENOTCONN the backend is gone.
 */
#define VTOE_WAIT_RING (1u << 0)
#define VTOE_WAIT_FOREVER 0xffffffffffffffffull
struct vtoe_ioc_wait {
	vtoe_u32 flags; /* VTOE_WAIT_*; unknown bits: -EINVAL */
	vtoe_u32 seen;
	vtoe_u64 timeout_ns; /* from now on */
};
VTOE_ASSERT(sizeof(struct vtoe_ioc_wait) == 16);

/*
 * REGISTER pins and grants [address, address + bytes), page-aligned, for
 * `rights` (VTOE_REGION_*; without VTOE_REGION_WRITE the grants are read-only:
 * the hypervisor keeps the backend from writing), and makes a region of it,
 * usable by every lane of the connection. The key names the region until
 * UNREGISTER; `slot` is its place in the state page.
 *
 * What is registered are the pages, not the addresses. When other pages come
 * to the addresses (munmap, mremap, mmap over them, MADV_DONTNEED, a COW that
 * gives the process a new page, execve, exit) the registration is stale: the
 * old pages stay pinned and granted, and are what requests with the key read
 * and write, until UNREGISTER. Never are the new pages touched by an old key.
 * What leaves the pages in place changes nothing: mprotect, mlock, and fork (the
 * pages are the parent's; the child gets copies, and no use of the keys).
 *
 * UNREGISTER (by `key`) returns when the backend has let go of the pages:
 * requests that wait are cancelled, a send without a copy is waited for, which
 * may take as long as the network does; only SIGKILL interrupts it. `stale` says
 * whether the registration was.
 *
 * -EINVAL alignment, rights, more than region_bytes; -ENOMEM RLIMIT_MEMLOCK,
 * or the device's limit; -EDQUOT the backend's limit of regions or pages; -ENOSPC
 * no slot, or no grant reference; -EFAULT memory that cannot be pinned; -EPERM
 * another process; -ENOTCONN, -ETIMEDOUT the backend; -ENOENT no such key.
 */
struct vtoe_ioc_register {
	vtoe_u64 address;
	vtoe_u64 bytes;
	vtoe_u32 rights;
	vtoe_u32 stale; /* out, of UNREGISTER */
	vtoe_u64 key;	/* out; in for UNREGISTER */
	vtoe_u32 slot;	/* out: below VTOE_STATE_SLOTS */
	vtoe_u32 reserved;
};
VTOE_ASSERT(sizeof(struct vtoe_ioc_register) == 40);

#define VTOE_IOC_INFO VTOE_IOC(VTOE_IOC_READ, 0x10u, struct vtoe_ioc_info)
#define VTOE_IOC_EVENTFD \
	VTOE_IOC(VTOE_IOC_WRITE, 0x11u, struct vtoe_ioc_eventfd)
#define VTOE_IOC_REGISTER \
	VTOE_IOC(VTOE_IOC_READ | VTOE_IOC_WRITE, 0x13u, struct vtoe_ioc_register)
#define VTOE_IOC_UNREGISTER \
	VTOE_IOC(VTOE_IOC_READ | VTOE_IOC_WRITE, 0x14u, struct vtoe_ioc_register)
#define VTOE_IOC_WAIT VTOE_IOC(VTOE_IOC_WRITE, 0x15u, struct vtoe_ioc_wait)

#endif
