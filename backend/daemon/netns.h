/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * netns.h - named network namespaces, in iproute2's manner
 *
 * Functions return 0 or a descriptor, or -errno.
 */
#ifndef VTOE_DAEMON_NETNS_H
#define VTOE_DAEMON_NETNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NETNS_DIR "/run/netns"
#define NETNS_PATH_MAX 96

void netns_path(const char *name, char path[NETNS_PATH_MAX]);
bool netns_exists(const char *name);
/* A descriptor of an existing namespace; -EINVAL if the file is none. */
int netns_open(const char *name);
/* A new one without a name; the caller stays where it is. */
int netns_create(void);
/* The number by which the kernel knows it. */
int netns_inode(int fd, uint64_t *inode);
/* Gives it a name; -EEXIST if the name is taken. */
int netns_bind(int fd, const char *name);
/* Takes the name away, if it is that of @inode or of nothing. */
int netns_unbind(const char *name, uint64_t inode);

/* Goes into a namespace and comes back: @home is where to. */
int netns_enter(int fd, int *home);
void netns_leave(int home);

/* Writes a file of /proc/sys/net of the current namespace. */
int netns_sysctl(const char *name, const char *value);

#endif
