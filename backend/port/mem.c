/* SPDX-License-Identifier: BSD-2-Clause */
#include "port/mem.h"

#include <errno.h>
#include <string.h>

static void *mem_map(struct port_link *link, const struct vtoe_range *ranges,
		     uint32_t count, uint64_t bytes, uint32_t rights)
{
	uint64_t at = ranges[0].offset;
	uint32_t i;

	(void)bytes;
	(void)rights;
	for (i = 0; i < count; i++) {
		if (ranges[i].offset != at) {
			errno = EOPNOTSUPP;
			return NULL;
		}
		at += ranges[i].length;
	}
	return link->base + ranges[0].offset;
}

static void mem_unmap(struct port_link *link, void *at, uint64_t bytes)
{
	(void)link;
	(void)at;
	(void)bytes;
}

static void mem_close(struct port_link *link)
{
	link->base = NULL;
}

static const struct port_ops mem_ops = {
	.name = "mem",
	.map = mem_map,
	.unmap = mem_unmap,
	.close = mem_close,
};

void mem_link_init(struct port_link *link, void *memory, uint64_t bytes,
		   uint32_t lanes, const struct vtoe_device_page *page)
{
	struct vtoe_device_page *shown = memory;

	memset(link, 0, sizeof(*link));
	memset(link->vector_fd, 0xff, sizeof(link->vector_fd));
	link->ops = &mem_ops;
	link->base = memory;
	link->bytes = bytes;
	link->memory_fd = link->socket_fd = link->doorbell_fd = -1;
	link->vectors = 1 + lanes;
	*shown = *page;
	shown->memory_bytes = bytes;
}
