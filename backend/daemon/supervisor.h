/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * supervisor.h - all guests of this machine
 */
#ifndef VTOE_DAEMON_SUPERVISOR_H
#define VTOE_DAEMON_SUPERVISOR_H

#include <stdbool.h>

#include "base/list.h"
#include "daemon/cgroup.h"
#include "daemon/config.h"
#include "daemon/guest.h"
#include "daemon/loop.h"

struct control;

struct supervisor {
	const char *config_path;
	struct config config; /* as read last */
	struct loop loop;
	struct loop_watch signals;
	struct cgroup_root cgroup;
	struct guest_host host;
	struct list guests;
	struct control *control;
	int lock;
	bool made_run_dir;
	bool stopping;
	bool failed;   /* the exit status */
	bool starting; /* guests of the configuration are not all ready */
	bool reloading; /* new guests wait until removed ones are gone */
};

/* The supervisor's whole life; returns the exit status. */
int supervisor_run(const char *config_path, struct config *config);

struct guest *supervisor_find(struct supervisor *s, const char *name);
/* -1 with @why, or @waiter hears how it went. @config is checked here. */
int supervisor_attach(struct supervisor *s, struct config_guest *config,
		      struct guest_waiter *waiter, char *why, size_t size);
int supervisor_detach(struct supervisor *s, const char *name,
		      struct guest_waiter *waiter, char *why, size_t size);

#endif
