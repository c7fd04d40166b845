/* SPDX-License-Identifier: BSD-2-Clause */
/* steering_none.c - no TTO service: built without libbpf */
#include <stdio.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/steering.h"

void steering_init(struct steering *steering)
{
	memset(steering, 0, sizeof(*steering));
}

void steering_open(struct steering *steering, const struct network *network,
		   const struct config_guest *guest)
{
	(void)network;
	if (!guest->tto)
		return;
	snprintf(steering->why, sizeof(steering->why), "this vtoed is built "
		 "without libbpf: install libbpf-dev and build it again");
	vtoe_log(VTOE_LOG_WARNING, "guest %s: TTO is not offered: %s",
		 guest->name, steering->why);
}

void steering_close(struct steering *steering)
{
	(void)steering;
}
