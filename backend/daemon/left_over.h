/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * left_over.h - what a supervisor that was killed leaves behind
 */
#ifndef VTOE_DAEMON_LEFT_OVER_H
#define VTOE_DAEMON_LEFT_OVER_H

#include "daemon/config.h"
#include "daemon/network.h"

/* Writes RUN_DIR/NAME.state; 0, or -1 with @why (NETWORK_WHY_MAX). */
int left_over_note(struct network *network, const struct config_guest *guest,
		   const char *run_dir, char *why);
/* Removes what the notes in @run_dir name, then the notes. */
void left_over_clean(const char *run_dir);

#endif
