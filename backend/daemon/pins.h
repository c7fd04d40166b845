/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pins.h - where claims are while no supervisor runs
 */
#ifndef VTOE_DAEMON_PINS_H
#define VTOE_DAEMON_PINS_H

#include "daemon/config.h"

#define PINS_PATH_MAX 96
#define PINS_WHY_MAX 256

/* The guest's directory, made if it is not there. 0, or -1 with @why
 * (PINS_WHY_MAX). */
int pins_open(const char *run_dir, const char *name, char path[PINS_PATH_MAX],
	      char *why);
/* With all that is in it; harmless if it is not there. */
void pins_remove(const char *run_dir, const char *name);
/* Removes what belongs to no guest of @config that has tto; NULL: everything,
 * and the file system when nothing is left. */
void pins_clean(const char *run_dir, const struct config *config);

#endif
