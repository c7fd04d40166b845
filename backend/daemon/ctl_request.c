/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ctl_request.c - one request of vtoectl's to the supervisor
 *
 * A connection, one line there, one line back (control.h). An answer may have
 * a row for each of many thousand sockets, so its buffer grows; it ends at the
 * first newline.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/ctl_request.h"

#define CTL_TIMEOUT_S 30

static const char *ctl_remedy(int error)
{
	switch (error) {
	case EACCES:
	case EPERM:
		return "run vtoectl as root, or as a member of control_group";
	case ENOENT:
	case ECONNREFUSED:
		return "is vtoed running? Name its directory with --run-dir";
	}
	return "see vtoed's log";
}

static int ctl_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval timeout = { .tv_sec = CTL_TIMEOUT_S };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path)) {
		fprintf(stderr, "vtoectl: %s: the path is too long for a "
			"socket: name a shorter one\n", path);
		return -1;
	}
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 &&
	    !connect(fd, (struct sockaddr *)&address, sizeof(address)) &&
	    !setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout,
			sizeof(timeout)))
		return fd;
	fprintf(stderr, "vtoectl: %s: %s: %s\n", path, strerror(errno),
		ctl_remedy(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static int ctl_send(int fd, struct json_object *request)
{
	size_t length, sent = 0;
	char *line;
	ssize_t n;

	length = strlen(json_object_to_json_string_ext(request,
						       JSON_C_TO_STRING_PLAIN));
	line = malloc(length + 2);
	if (!line)
		return -1;
	strcpy(line, json_object_to_json_string_ext(request,
						    JSON_C_TO_STRING_PLAIN));
	line[length++] = '\n';
	while (sent < length) {
		n = send(fd, line + sent, length - sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		sent += (size_t)n;
	}
	free(line);
	return sent == length ? 0 : -1;
}

/* Reads; *descriptor becomes the first one that comes, and that is all that may
 * come. */
static ssize_t ctl_read(int fd, char *at, size_t size, int *descriptor)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { at, size };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = CMSG_LEN(sizeof(int)),
	};
	struct cmsghdr *c;
	ssize_t n;
	int came;

	n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	c = n < 0 ? NULL : CMSG_FIRSTHDR(&message);
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(sizeof(came)))
		return n;
	memcpy(&came, CMSG_DATA(c), sizeof(came));
	if (*descriptor < 0)
		*descriptor = came;
	else
		close(came);
	return n;
}

/* Reads one line; the caller frees it. */
static char *ctl_receive(int fd, int *descriptor)
{
	size_t length = 0, size = 65536;
	char *line = malloc(size), *grown;
	ssize_t n;

	while (line) {
		n = ctl_read(fd, line + length, size - length, descriptor);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (!n)
				errno = ECONNRESET;
			free(line);
			return NULL;
		}
		length += (size_t)n;
		if (line[length - 1] == '\n') {
			line[length - 1] = '\0';
			return line;
		}
		if (length < size)
			continue;
		grown = realloc(line, size * 2);
		if (!grown)
			free(line);
		line = grown;
		size *= 2;
	}
	return NULL;
}

struct json_object *ctl_request(const char *socket_path,
				struct json_object *request)
{
	struct json_object *answer;
	int descriptor;

	answer = ctl_request_descriptor(socket_path, request, &descriptor);
	if (descriptor >= 0)
		close(descriptor);
	return answer;
}

struct json_object *ctl_request_descriptor(const char *socket_path,
					   struct json_object *request,
					   int *descriptor)
{
	struct json_object *answer = NULL;
	char *line;
	int fd;

	*descriptor = -1;
	fd = ctl_connect(socket_path);
	if (fd < 0)
		return NULL;
	line = ctl_send(fd, request) ? NULL : ctl_receive(fd, descriptor);
	if (!line) {
		fprintf(stderr, "vtoectl: %s: no answer: %s: see vtoed's log\n",
			socket_path, strerror(errno));
	} else {
		answer = json_tokener_parse(line);
		if (!answer)
			fprintf(stderr, "vtoectl: %s: the answer is not JSON: "
				"is this vtoed's socket?\n", socket_path);
	}
	free(line);
	close(fd);
	return answer;
}
