/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * isolation_xen.c - what the worker of a Xen guest needs besides
 *
 * Mapping and unmapping grants, and event channels, on descriptors that were
 * opened before (port/xen_peer.c, by libxengnttab and libxenevtchn). What was
 * rung is read and let ring again by io_uring.
 */
#include <fcntl.h>
#include <seccomp.h>
#include <stdint.h>
#include <sys/ioctl.h>

/* Two types of Xen's own headers, which the kernel's count on; so that this
 * builds without libxen-dev. */
typedef uint16_t domid_t;
typedef uint32_t grant_ref_t;
#include <xen/evtchn.h>
#include <xen/gntdev.h>

#include "daemon/isolation.h"

#define ALL32 0xffffffffu
#define REQUEST(number)                                                       \
	{ SCMP_SYS(ioctl), { 1, 1, ALL32, (uint32_t)(number) },               \
	  { 0, 0, 0, 0 } }

const struct isolation_syscall isolation_xen[] = {
	REQUEST(IOCTL_GNTDEV_MAP_GRANT_REF),
	REQUEST(IOCTL_GNTDEV_UNMAP_GRANT_REF),
	REQUEST(IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR),
	REQUEST(IOCTL_GNTDEV_SET_UNMAP_NOTIFY),
	REQUEST(IOCTL_EVTCHN_BIND_INTERDOMAIN),
	REQUEST(IOCTL_EVTCHN_UNBIND),
	REQUEST(IOCTL_EVTCHN_NOTIFY),
};

const size_t isolation_xen_count =
	sizeof(isolation_xen) / sizeof(isolation_xen[0]);
