/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * worker_tto.h - the TTO service of a worker: its start, or why there is none
 *
 * Its steps stand between those of isolation.h. When one fails, the supervisor
 * is told (WORKER_NO_TTO) and the worker goes on without the service.
 */
#ifndef VTOE_DAEMON_WORKER_TTO_H
#define VTOE_DAEMON_WORKER_TTO_H

#include "daemon/setup.h"
#include "path/path.h"
#include "path/tto.h"

struct worker_tto {
	struct tto_config config;
	bool wanted;
	bool open;    /* the sockets are */
	bool started;
};

/* The maps are the worker's from here on. */
void worker_tto_init(struct worker_tto *t, const struct worker_setup *setup,
		     int claims, int sockets);
/* Bytes that it will lock. */
uint64_t worker_tto_locked(const struct worker_tto *t);
/* With privilege. */
void worker_tto_open(struct worker_tto *t);
/* With none but to lock memory, and before the list of system calls. */
void worker_tto_start(struct worker_tto *t, struct device *d);

#endif
