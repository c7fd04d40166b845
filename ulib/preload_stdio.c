/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * preload_stdio.c - streams of the C library over our descriptors
 *
 * Theory of operation. The C library's streams call read and write inside
 * itself, where nobody can interpose. fdopen of one of ours makes a stream of
 * fopencookie's kind instead, which calls us; fileno answers from a list. When
 * one of ours becomes descriptor 0, 1 or 2, stdin, stdout or stderr is
 * replaced likewise.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "preload.h"

struct vt_stream {
	struct vt_stream *next;
	FILE *file;
	int fd;
	bool keeps; /* does not close the descriptor */
};

static struct {
	pthread_mutex_t lock;
	struct vt_stream *first;
} streams = { .lock = PTHREAD_MUTEX_INITIALIZER };

static ssize_t vt_stream_read(void *cookie, char *into, size_t bytes)
{
	return read(((struct vt_stream *)cookie)->fd, into, bytes);
}

static ssize_t vt_stream_write(void *cookie, const char *from, size_t bytes)
{
	struct vt_stream *t = cookie;
	size_t done = 0;

	while (done < bytes) {
		ssize_t n = write(t->fd, from + done, bytes - done);

		if (n < 0)
			return done;
		done += n;
	}
	return done;
}

static int vt_stream_close(void *cookie)
{
	struct vt_stream *t = cookie, **at;
	int rc = t->keeps ? 0 : close(t->fd);

	pthread_mutex_lock(&streams.lock);
	for (at = &streams.first; *at && *at != t; at = &(*at)->next)
		;
	if (*at)
		*at = t->next;
	pthread_mutex_unlock(&streams.lock);
	free(t);
	return rc;
}

static FILE *vt_stream_open(int fd, const char *mode, bool keeps)
{
	static const cookie_io_functions_t functions = {
		.read = vt_stream_read,
		.write = vt_stream_write,
		.close = vt_stream_close,
	};
	struct vt_stream *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->fd = fd;
	t->keeps = keeps;
	t->file = fopencookie(t, mode, functions);
	if (!t->file) {
		free(t);
		return NULL;
	}
	pthread_mutex_lock(&streams.lock);
	t->next = streams.first;
	streams.first = t;
	pthread_mutex_unlock(&streams.lock);
	return t->file;
}

VT_EXPORT FILE *fdopen(int fd, const char *mode)
{
	if (!vt_peek(fd))
		return REAL(fdopen)(fd, mode);
	if (!mode || !strchr("rwa", mode[0])) {
		errno = EINVAL;
		return NULL;
	}
	return vt_stream_open(fd, mode, false);
}

/* -> the descriptor of one of our streams, or -1 */
static int vt_stream_fd(FILE *file)
{
	struct vt_stream *t;
	int fd = -1;

	pthread_mutex_lock(&streams.lock);
	for (t = streams.first; t; t = t->next)
		if (t->file == file)
			fd = t->fd;
	pthread_mutex_unlock(&streams.lock);
	return fd;
}

VT_EXPORT int fileno(FILE *file)
{
	int fd = streams.first ? vt_stream_fd(file) : -1;

	return fd >= 0 ? fd : REAL(fileno)(file);
}

VT_EXPORT int fileno_unlocked(FILE *file)
{
	int fd = streams.first ? vt_stream_fd(file) : -1;

	return fd >= 0 ? fd : REAL(fileno_unlocked)(file);
}

VT_EXPORT int vdprintf(int fd, const char *format, va_list args)
{
	char *text;
	int n, sent = 0;

	if (!vt_peek(fd))
		return REAL(vdprintf)(fd, format, args);
	n = vasprintf(&text, format, args);
	if (n < 0)
		return -1;
	while (sent < n) {
		ssize_t rc = write(fd, text + sent, n - sent);

		if (rc < 0)
			break;
		sent += rc;
	}
	free(text);
	return sent < n ? -1 : n;
}

VT_EXPORT int dprintf(int fd, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vdprintf(fd, format, args);
	va_end(args);
	return n;
}

/* One of ours became a standard descriptor. */
void vt_stdio_adopt(int fd)
{
	FILE *file = vt_stream_open(fd, fd ? "w" : "r", true);

	if (!file)
		return;
	if (fd == 0) {
		stdin = file;
	} else if (fd == 1) {
		fflush(stdout);
		stdout = file;
	} else {
		setvbuf(file, NULL, _IONBF, 0);
		stderr = file;
	}
}
