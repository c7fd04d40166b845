/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * netns.c - named network namespaces, in iproute2's manner
 *
 * A name is a file of /run/netns on which the namespace is mounted, so
 * `ip netns exec vtoe-NAME ss -tn` works. The directory is made a shared mount
 * when nobody has done so yet: then other mount namespaces see names come and
 * go, and none keeps a namespace alive.
 *
 * The supervisor has one thread, so it may go into a namespace itself: to open
 * sockets there, and to set its /proc/sys/net. If it could not come back it
 * would work on the wrong network from then on; so that ends it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/netns.h"

void netns_path(const char *name, char path[NETNS_PATH_MAX])
{
	snprintf(path, NETNS_PATH_MAX, NETNS_DIR "/%s", name);
}

bool netns_exists(const char *name)
{
	char path[NETNS_PATH_MAX];
	struct stat st;

	netns_path(name, path);
	return !lstat(path, &st);
}

static bool netns_is_one(int fd)
{
	return ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET;
}

int netns_open(const char *name)
{
	char path[NETNS_PATH_MAX];
	int fd;

	netns_path(name, path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (netns_is_one(fd))
		return fd;
	close(fd);
	return -EINVAL;
}

static int netns_open_own(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int netns_create(void)
{
	int home = netns_open_own();
	int fd;

	if (home < 0)
		return home;
	if (unshare(CLONE_NEWNET)) {
		fd = -errno;
		close(home);
		return fd;
	}
	fd = netns_open_own();
	netns_leave(home);
	return fd;
}

int netns_inode(int fd, uint64_t *inode)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	*inode = st.st_ino;
	return 0;
}

static int netns_prepare_dir(void)
{
	if (mkdir(NETNS_DIR, 0755) && errno != EEXIST)
		return -errno;
	if (!mount("", NETNS_DIR, "none", MS_SHARED | MS_REC, NULL))
		return 0;
	/* Not a mount point yet: it is made one, then shared. */
	if (errno != EINVAL)
		return -errno;
	if (mount(NETNS_DIR, NETNS_DIR, "none", MS_BIND | MS_REC, NULL) ||
	    mount("", NETNS_DIR, "none", MS_SHARED | MS_REC, NULL))
		return -errno;
	return 0;
}

int netns_bind(int fd, const char *name)
{
	char path[NETNS_PATH_MAX];
	char source[32];
	int error;
	int file;

	error = netns_prepare_dir();
	if (error)
		return error;
	netns_path(name, path);
	file = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);
	if (file < 0)
		return -errno;
	close(file);
	snprintf(source, sizeof(source), "/proc/self/fd/%d", fd);
	if (mount(source, path, "none", MS_BIND, NULL)) {
		error = -errno;
		unlink(path);
		return error;
	}
	return 0;
}

int netns_unbind(const char *name, uint64_t inode)
{
	char path[NETNS_PATH_MAX];
	struct stat st;
	bool mounted;
	int fd;

	netns_path(name, path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	mounted = netns_is_one(fd);
	if (fstat(fd, &st))
		st.st_ino = 0;
	close(fd);
	/* Somebody else's namespace, or somebody else's file. */
	if (mounted ? st.st_ino != inode : st.st_size != 0)
		return -EBUSY;
	if (mounted && umount2(path, MNT_DETACH))
		return -errno;
	return unlink(path) ? -errno : 0;
}

int netns_enter(int fd, int *home)
{
	int error;

	*home = netns_open_own();
	if (*home < 0)
		return *home;
	if (!setns(fd, CLONE_NEWNET))
		return 0;
	error = -errno;
	close(*home);
	return error;
}

void netns_leave(int home)
{
	if (setns(home, CLONE_NEWNET)) {
		vtoe_log(VTOE_LOG_ERROR, "cannot return to the driver domain's "
			 "network namespace: %s", strerror(errno));
		_exit(EXIT_FAILURE);
	}
	close(home);
}

int netns_sysctl(const char *name, const char *value)
{
	char path[128];
	int error = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		error = -errno;
	close(fd);
	return error;
}
