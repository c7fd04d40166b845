/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * endpoint.c - listening unix sockets with a path
 *
 * The supervisor holds the listeners of all guests: they survive a worker, and
 * an application that connects meanwhile waits in the backlog.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/endpoint.h"

#define ENDPOINT_BACKLOG 1024

static void endpoint_address(struct sockaddr_un *address, const char *path)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	strncpy(address->sun_path, path, sizeof(address->sun_path) - 1);
}

/* A socket whose listener is gone refuses every connection. */
static int endpoint_is_stale(const char *path)
{
	struct sockaddr_un address;
	struct stat st;
	int stale;
	int fd;

	if (lstat(path, &st) || !S_ISSOCK(st.st_mode))
		return 0;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return 0;
	endpoint_address(&address, path);
	stale = connect(fd, (struct sockaddr *)&address, sizeof(address)) &&
		errno == ECONNREFUSED;
	close(fd);
	return stale;
}

static int endpoint_bind(int fd, const char *path, uint32_t mode)
{
	struct sockaddr_un address;
	mode_t mask;
	int result;

	endpoint_address(&address, path);
	/* Never open to more than @mode, not for a moment. */
	mask = umask(0777 & ~mode);
	result = bind(fd, (struct sockaddr *)&address, sizeof(address));
	umask(mask);
	return result;
}

int endpoint_listen(const char *path, uint32_t mode, char *why, size_t size)
{
	int fd;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		snprintf(why, size, "socket: %s", strerror(errno));
		return -1;
	}
	if (endpoint_is_stale(path))
		unlink(path);
	if (endpoint_bind(fd, path, mode)) {
		snprintf(why, size, "socket %s: %s: %s", path, strerror(errno),
			 errno == EADDRINUSE ?
			 "another program uses this path: choose another" :
			 "choose another path");
		close(fd);
		return -1;
	}
	if (listen(fd, ENDPOINT_BACKLOG)) {
		snprintf(why, size, "listening on %s: %s", path,
			 strerror(errno));
		unlink(path);
		close(fd);
		return -1;
	}
	return fd;
}
