/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cgroup.c - a control group for each worker
 *
 * The group vtoe/NAME holds the worker of one guest, so that an administrator
 * can weigh and limit it (in version 2, as a controller that the machine has
 * turned on for it), and so that its CPU time includes io_uring's kernel
 * threads. Under systemd with Delegate=yes the groups are made inside the
 * service's own group: its processes move to a leaf "supervisor" first, as a
 * group with groups inside may not hold processes. Without systemd they are
 * made at the hierarchy's root. A machine without any writable hierarchy is
 * served as well: the CPU time then comes from /proc/PID/stat.
 */
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/cgroup.h"

static int cgroup_find_mount(char *path, size_t size)
{
	struct mntent *entry;
	int found = -1;
	FILE *mounts;

	mounts = setmntent("/proc/self/mounts", "re");
	if (!mounts)
		return -1;
	while (found && (entry = getmntent(mounts))) {
		if (strcmp(entry->mnt_type, "cgroup2") ||
		    strlen(entry->mnt_dir) >= size)
			continue;
		strcpy(path, entry->mnt_dir);
		found = 0;
	}
	endmntent(mounts);
	return found;
}

/* The group of this process in version 2: the line "0::/path". */
static int cgroup_find_own(char *path, size_t size)
{
	char line[256];
	int found = -1;
	FILE *file;

	file = fopen("/proc/self/cgroup", "re");
	if (!file)
		return -1;
	while (found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::", 3) || strlen(line + 3) >= size)
			continue;
		strcpy(path, line + 3);
		found = 0;
	}
	fclose(file);
	return found;
}

static int cgroup_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		error = -errno;
	close(fd);
	return error;
}

/* Under systemd: our own group is ours to divide. */
static int cgroup_init_delegated(struct cgroup_root *root, const char *mount)
{
	char own[96], path[224];
	int length;

	if (!getenv("INVOCATION_ID") || cgroup_find_own(own, sizeof(own)) ||
	    !strcmp(own, "/"))
		return -1;
	length = snprintf(path, sizeof(path), "%s%s/supervisor", mount, own);
	if (length >= (int)sizeof(path) ||
	    (mkdir(path, 0755) && errno != EEXIST))
		return -1;
	strcat(path, "/cgroup.procs");
	if (cgroup_write(path, "0"))
		return -1;
	snprintf(root->path, sizeof(root->path), "%s%s/vtoe", mount, own);
	return 0;
}

void cgroup_init(struct cgroup_root *root)
{
	char mount[64];

	root->path[0] = '\0';
	if (cgroup_find_mount(mount, sizeof(mount))) {
		vtoe_log(VTOE_LOG_INFO, "no cgroup version 2 is mounted: "
			 "workers get no control group of their own");
		return;
	}
	if (cgroup_init_delegated(root, mount))
		snprintf(root->path, sizeof(root->path), "%s/vtoe", mount);
	if (!mkdir(root->path, 0755) || errno == EEXIST)
		return;
	vtoe_log(VTOE_LOG_INFO, "%s: %s: workers get no control group of their "
		 "own", root->path, strerror(errno));
	root->path[0] = '\0';
}

void cgroup_close(struct cgroup_root *root)
{
	/* Fails while another supervisor has a guest there: as it should. */
	if (root->path[0])
		rmdir(root->path);
	root->path[0] = '\0';
}

int cgroup_create(const struct cgroup_root *root, const char *name)
{
	char path[256];
	int fd;

	if (!root->path[0])
		return -1;
	snprintf(path, sizeof(path), "%s/%s", root->path, name);
	/* Another supervisor may have removed it when it ended. */
	mkdir(root->path, 0755);
	/* An empty group of earlier: its CPU time is not this guest's. */
	rmdir(path);
	if (mkdir(path, 0755) && errno != EEXIST)
		goto fail;
	strcat(path, "/cgroup.procs");
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		return fd;
fail:
	vtoe_log(VTOE_LOG_INFO, "%s: %s: the worker of guest %s gets no "
		 "control group", path, strerror(errno), name);
	return -1;
}

void cgroup_remove(const struct cgroup_root *root, const char *name)
{
	char path[256];

	if (!root->path[0])
		return;
	snprintf(path, sizeof(path), "%s/%s", root->path, name);
	if (rmdir(path) && errno != ENOENT)
		vtoe_log(VTOE_LOG_DEBUG, "removing %s: %s", path,
			 strerror(errno));
}

static double cgroup_process_seconds(int pid)
{
	unsigned long long user, system;
	char path[64], line[512];
	const char *behind;
	FILE *file;
	int fields;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	behind = fgets(line, sizeof(line), file);
	fclose(file);
	/* The second field is a name, which may have anything in it. */
	behind = behind ? strrchr(line, ')') : NULL;
	if (!behind)
		return 0;
	fields = sscanf(behind + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u "
			"%*u %llu %llu", &user, &system);
	if (fields != 2)
		return 0;
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

double cgroup_cpu_seconds(const struct cgroup_root *root, const char *name,
			  int pid)
{
	unsigned long long usec;
	char path[256];
	FILE *file;
	int fields;

	if (!root->path[0])
		return cgroup_process_seconds(pid);
	snprintf(path, sizeof(path), "%s/%s/cpu.stat", root->path, name);
	file = fopen(path, "re");
	if (!file)
		return cgroup_process_seconds(pid);
	fields = fscanf(file, "usage_usec %llu", &usec);
	fclose(file);
	if (fields != 1)
		return cgroup_process_seconds(pid);
	return (double)usec / 1e6;
}
