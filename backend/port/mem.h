/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mem.h - the `mem` port: both halves in one process, for tests and fuzzers
 *
 * The memory is the caller's (page-aligned); notifications are only counted
 * (port_link.notified). Regions are addressed in place, so a region of several
 * ranges must be contiguous, else -EOPNOTSUPP.
 */
#ifndef VTOE_PORT_MEM_H
#define VTOE_PORT_MEM_H

#include "port/port.h"

void mem_link_init(struct port_link *link, void *memory, uint64_t bytes,
		   uint32_t lanes, const struct vtoe_device_page *page);

#endif
