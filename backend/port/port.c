/* SPDX-License-Identifier: BSD-2-Clause */
#include "port/port.h"

#include <stddef.h>

void *port_link_at(struct port_link *link, uint64_t offset, uint64_t bytes,
		   uint64_t align)
{
	if (offset < VTOE_GUEST_OFFSET || offset > link->bytes ||
	    bytes > link->bytes - offset || offset & (align - 1))
		return NULL;
	return link->base + offset;
}
