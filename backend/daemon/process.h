/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * process.h - the process of a worker, as its parent sees it
 */
#ifndef VTOE_DAEMON_PROCESS_H
#define VTOE_DAEMON_PROCESS_H

#include <stddef.h>

struct process {
	int pid;     /* 0: none */
	int pidfd;   /* readable when it has ended */
	int channel; /* our end of the worker's descriptor 3 */
};

/*
 * Starts `vtoed --worker NAME` in the namespace @netns and, unless it is -1,
 * in the control group whose cgroup.procs is @cgroup. 0 or -errno.
 */
int process_start(struct process *process, const char *name, int netns,
		  int cgroup);
void process_kill(const struct process *process);
/* Waits for an ended one, says how it ended, and forgets it. */
void process_reap(struct process *process, char *how, size_t size);

#endif
