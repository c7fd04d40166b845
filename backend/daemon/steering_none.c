/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * steering_none.c - no TTO service: built without libbpf
 *
 * What a vtoed with it left is removed, as nobody would take it over.
 */
#include <stdio.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/pins.h"
#include "daemon/steering.h"

void steering_init(struct steering *steering)
{
	memset(steering, 0, sizeof(*steering));
}

void steering_open(struct steering *steering, const struct network *network,
		   const struct config_guest *guest, const char *run_dir)
{
	(void)network;
	if (!guest->tto)
		return;
	pins_remove(run_dir, guest->name);
	snprintf(steering->why, sizeof(steering->why), "this vtoed is built "
		 "without libbpf: install libbpf-dev and build it again");
	vtoe_log(VTOE_LOG_WARNING, "guest %s: TTO is not offered: %s",
		 guest->name, steering->why);
}

void steering_close(struct steering *steering, const struct config_guest *guest,
		    const char *run_dir)
{
	(void)steering;
	(void)guest;
	(void)run_dir;
}

void steering_hand_over(struct steering *steering)
{
	(void)steering;
}
