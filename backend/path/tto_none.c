/* SPDX-License-Identifier: BSD-2-Clause */
/* tto_none.c - no TTO service: built without libbpf */
#include "path/tto.h"

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

bool tto_is_built(void)
{
	return false;
}

uint32_t tto_frame_max(uint32_t mtu)
{
	(void)mtu;
	return 0;
}

int tto_sockets_open(struct tto_sockets *s, int ifindex, const char **what)
{
	(void)ifindex;
	*s = (struct tto_sockets){ -1, -1, -1, -1, -1, -1 };
	*what = "vtoed is built without libbpf";
	return -EOPNOTSUPP;
}

uint64_t tto_locked_bytes(const struct tto_config *c)
{
	(void)c;
	return 0;
}

int tto_start(struct device *d, const struct tto_config *c, const char **what)
{
	(void)d;
	(void)c;
	*what = "vtoed is built without libbpf";
	return -EOPNOTSUPP;
}

void tto_stop(struct device *d)
{
	(void)d;
}

int tto_capture(struct device *d, int fd, uint32_t claim, uint32_t snap)
{
	(void)d;
	(void)claim;
	(void)snap;
	close(fd);
	return -EOPNOTSUPP;
}

bool tto_next_flow(const struct device *d, uint32_t *at, struct tto_flow *flow)
{
	(void)d;
	(void)at;
	(void)flow;
	return false;
}

const char *tto_reason(const struct device *d, unsigned reason, uint64_t *ended,
		       uint64_t *passed)
{
	(void)d;
	(void)reason;
	(void)ended;
	(void)passed;
	return NULL;
}
