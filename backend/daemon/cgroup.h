/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cgroup.h - a control group for each worker
 */
#ifndef VTOE_DAEMON_CGROUP_H
#define VTOE_DAEMON_CGROUP_H

#include <stdint.h>

struct cgroup_root {
	char path[192]; /* of "vtoe"; "": this machine has none for us */
};

/* Finds a writable hierarchy and makes the group "vtoe" there. */
void cgroup_init(struct cgroup_root *root);
void cgroup_close(struct cgroup_root *root);

/* Makes the group of @name. A descriptor of its cgroup.procs for the child to
 * write "0" to, or -1. */
int cgroup_create(const struct cgroup_root *root, const char *name);
void cgroup_remove(const struct cgroup_root *root, const char *name);

/* User and system time so far: of the group, else of the process. */
double cgroup_cpu_seconds(const struct cgroup_root *root, const char *name,
			  int pid);

#endif
