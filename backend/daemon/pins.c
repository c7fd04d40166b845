/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pins.c - where claims are while no supervisor runs
 *
 * Maps and links of the kernel live as long as somebody has a descriptor of
 * them, or they have a name in a bpf file system. We mount one of our own on
 * RUN_DIR/steering: a run_dir is one supervisor's, so names in it need not be
 * told from others'; it is there where /sys/fs/bpf is not (containers, small
 * systems), and a reboot empties it. Root alone may enter it. It is mounted for
 * the first guest that needs it, and unmounted when nothing is in it at the
 * start or the end of a supervisor. In it is a directory for each guest
 * (nic/steer_pin.c says what is there).
 *
 *   kill -9, SIGUSR2   it stays, and the next supervisor takes it over
 *   SIGTERM            it is removed
 *   detach, reload     that guest's directory is removed
 *   start              so are those of guests that are not configured, or no
 *                      longer with tto
 *
 * The mount outlives us only where our mount namespace does.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/pins.h"

static void pins_root(char path[PINS_PATH_MAX], const char *run_dir)
{
	snprintf(path, PINS_PATH_MAX, "%s/steering", run_dir);
}

static bool pins_is_mounted(const char *root)
{
	struct statfs fs;

	return !statfs(root, &fs) &&
	       (unsigned long)fs.f_type == BPF_FS_MAGIC;
}

static int pins_mount(const char *root, char *why)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	int error;

	if (pins_is_mounted(root))
		return 0;
	if ((mkdir(root, 0700) && errno != EEXIST) ||
	    mount("bpf", root, "bpf", flags, "mode=0700")) {
		error = errno;
		rmdir(root);
		snprintf(why, PINS_WHY_MAX, "mounting a bpf file system on "
			 "%s: %s", root, strerror(error));
		return -1;
	}
	return 0;
}

int pins_open(const char *run_dir, const char *name, char path[PINS_PATH_MAX],
	      char *why)
{
	char root[PINS_PATH_MAX];
	int n;

	pins_root(root, run_dir);
	if (pins_mount(root, why))
		return -1;
	n = snprintf(path, PINS_PATH_MAX, "%s/%s", root, name);
	if (n >= PINS_PATH_MAX)
		errno = ENAMETOOLONG;
	else if (!mkdir(path, 0700) || errno == EEXIST)
		return 0;
	snprintf(why, PINS_WHY_MAX, "making %s: %s", path, strerror(errno));
	return -1;
}

static void pins_remove_at(int root, const char *name)
{
	int fd = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC |
			O_NOFOLLOW);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!directory) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(directory)))
		if (entry->d_name[0] != '.')
			unlinkat(fd, entry->d_name, 0);
	closedir(directory);
	unlinkat(root, name, AT_REMOVEDIR);
}

static DIR *pins_open_root(const char *run_dir, char root[PINS_PATH_MAX])
{
	pins_root(root, run_dir);
	return pins_is_mounted(root) ? opendir(root) : NULL;
}

void pins_remove(const char *run_dir, const char *name)
{
	char root[PINS_PATH_MAX];
	DIR *directory = pins_open_root(run_dir, root);

	if (!directory)
		return;
	pins_remove_at(dirfd(directory), name);
	closedir(directory);
}

static bool pins_are_wanted(const struct config *config, const char *name)
{
	size_t i;

	for (i = 0; config && i < config->guest_count; i++)
		if (!strcmp(config->guests[i].name, name))
			return config->guests[i].tto;
	return false;
}

void pins_clean(const char *run_dir, const struct config *config)
{
	char root[PINS_PATH_MAX];
	DIR *directory = pins_open_root(run_dir, root);
	struct dirent *entry;
	bool used = false;

	if (!directory)
		return;
	while ((entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		if (pins_are_wanted(config, entry->d_name))
			used = true;
		else
			pins_remove_at(dirfd(directory), entry->d_name);
	}
	closedir(directory);
	if (used)
		return;
	if (umount2(root, MNT_DETACH))
		vtoe_log(VTOE_LOG_WARNING, "unmounting %s: %s", root,
			 strerror(errno));
	rmdir(root);
}
