/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * left_over.c - what a supervisor that was killed leaves behind
 *
 * A note is a small text file, RUN_DIR/NAME.state, with three lines: the name
 * of the guest's namespace ("-": it is not ours), the kernel's number of it, and
 * the path of the guest's socket. It is written before any of them exists under
 * that name, and removed after they are gone. The socket is removed although a
 * worker may have it for a moment more: nobody else has its path. The numbers tell our namespace from another
 * with the same name; interfaces go with their namespace. run_dir is on a file
 * system that a reboot empties, and is locked by one supervisor at a time.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/left_over.h"
#include "daemon/netns.h"
#include "daemon/rtnl.h"

int left_over_note(struct network *network, const struct config_guest *guest,
		   const char *run_dir, char *why)
{
	char path[sizeof(network->state_path)];
	int written;
	FILE *note;

	snprintf(path, sizeof(path), "%s/%s.state", run_dir, guest->name);
	note = fopen(path, "wxe");
	if (!note)
		goto fail;
	strcpy(network->state_path, path);
	written = fprintf(note, "netns %s\ninode %" PRIu64 "\nsocket %s\n",
			  network->ours ? network->netns_name : "-",
			  network->inode, guest->socket);
	if (!fclose(note) && written > 0)
		return 0;
fail:
	snprintf(why, NETWORK_WHY_MAX, "writing %s: %s", path,
		 strerror(errno));
	return -1;
}

struct left_over {
	char netns[64];
	uint64_t inode;
	char socket[CONFIG_PATH_MAX];
};

static int left_over_read(const char *path, struct left_over *left)
{
	FILE *note = fopen(path, "re");
	int fields;

	memset(left, 0, sizeof(*left));
	if (!note)
		return -1;
	fields = fscanf(note, "netns %63s inode %" SCNu64 " socket %107[^\n]",
			left->netns, &left->inode, left->socket);
	fclose(note);
	return fields == 3 ? 0 : -1;
}

/* All interfaces of ours inside; a veth's other end goes with it at once. */
static void left_over_clean_links(const struct left_over *left)
{
	struct rtnl_link link;
	struct rtnl rtnl;
	uint64_t inode;
	int home;
	int fd;

	fd = netns_open(left->netns);
	if (fd < 0)
		return;
	if (!netns_inode(fd, &inode) && inode == left->inode &&
	    !netns_enter(fd, &home)) {
		if (!rtnl_open(&rtnl)) {
			if (!rtnl_link_get(&rtnl, NETWORK_INSIDE, &link))
				rtnl_link_del(&rtnl, link.index);
			rtnl_close(&rtnl);
		}
		netns_leave(home);
	}
	close(fd);
}

static void left_over_clean_one(const char *path)
{
	struct left_over left;
	struct stat st;
	int error = 0;
	bool ours;

	if (left_over_read(path, &left)) {
		/* Killed while it was written: then nothing was named yet. */
		vtoe_log(VTOE_LOG_WARNING, "%s: an incomplete note, removed",
			 path);
		unlink(path);
		return;
	}
	ours = strcmp(left.netns, "-");
	if (ours) {
		left_over_clean_links(&left);
		error = netns_unbind(left.netns, left.inode);
	}
	if (error == -EBUSY)
		vtoe_log(VTOE_LOG_WARNING, "network namespace %s is another "
			 "than the one of %s: left alone", left.netns, path);
	else if (error)
		vtoe_log(VTOE_LOG_WARNING, "removing network namespace %s: %s",
			 left.netns, strerror(-error));
	if (!lstat(left.socket, &st) && S_ISSOCK(st.st_mode))
		unlink(left.socket);
	unlink(path);
	vtoe_log(VTOE_LOG_INFO, "removed what an earlier vtoed left behind: "
		 "%s%s%ssocket %s", ours ? "network namespace " : "",
		 ours ? left.netns : "", ours ? ", " : "", left.socket);
}

static bool left_over_is_note(const char *name)
{
	size_t length = strlen(name);

	return length > 6 && !strcmp(name + length - 6, ".state");
}

void left_over_clean(const char *run_dir)
{
	DIR *directory = opendir(run_dir);
	struct dirent *entry;
	char path[512];

	if (!directory)
		return;
	while ((entry = readdir(directory))) {
		if (!left_over_is_note(entry->d_name))
			continue;
		snprintf(path, sizeof(path), "%s/%s", run_dir, entry->d_name);
		left_over_clean_one(path);
	}
	closedir(directory);
}
