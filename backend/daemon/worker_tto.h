/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * worker_tto.h - the TTO service of a worker: its start, or why there is none
 *
 * Its steps stand between those of isolation.h. When one fails, the supervisor
 * is told (WORKER_NO_TTO) and the worker goes on without the service.
 */
#ifndef VTOE_DAEMON_WORKER_TTO_H
#define VTOE_DAEMON_WORKER_TTO_H

#include <sys/types.h>

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

/* -- while it runs -- */

/* What the supervisor asks: the header alone, or all of WORKER_CAPTURE's. */
union worker_question {
	struct worker_header h;
	struct worker_capture capture;
};

/* From WORKER_FD, without waiting; *fd: the descriptor that came with it, or -1.
 * Only where the service has started (isolation_tto.c). */
ssize_t worker_tto_receive(union worker_question *question, int *fd);
/* Begins it, or tells the supervisor why not; fd is taken over. */
void worker_tto_capture(struct device *d, const struct worker_capture *question,
			int fd);

#endif
