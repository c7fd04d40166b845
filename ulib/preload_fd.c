/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * preload_fd.c - what is done to descriptors: dup, close, fcntl, ioctl
 *
 * Theory of operation. The kernel does it to the placeholder, and the table
 * follows: the two always agree on which numbers name one socket. The
 * library's own descriptors cannot be closed by the program: closing one looks
 * as if nothing had been there, and closing a range goes around them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "preload.h"

#ifndef SIOCATMARK
#define SIOCATMARK 0x8905
#endif

int close_range(unsigned int first, unsigned int last, int flags);
void closefrom(int from);
int fcntl64(int fd, int command, ...);

/* -- close --------------------------------------------------------------------- */

VT_EXPORT int close(int fd)
{
	struct vt_object *o;
	int rc;

	if (vt_inside) {
		vt_unprotect(fd);
		return REAL(close)(fd);
	}
	if (vt_protected(fd))
		return vt_fail(EBADF);
	if (!vt_peek(fd))
		return REAL(close)(fd);
	vt_lock();
	vt_calls_check(__builtin_frame_address(0));
	o = vt_table_take(fd);
	rc = REAL(close)(fd);
	if (o)
		vt_unref(o);
	vt_unlock();
	return rc;
}

/* Entries of a range that is about to be closed. */
static void vt_table_drop(unsigned first, unsigned last)
{
	int fd = first > 1u << 20 ? -1 : vt_table_next(first);

	for (; fd >= 0 && (unsigned)fd <= last; fd = vt_table_next(fd + 1)) {
		struct vt_object *o = vt_table_take(fd);

		if (!o)
			continue;
		vt_unref(o);
	}
}

VT_EXPORT int close_range(unsigned int first, unsigned int last, int flags)
{
	int keep, rc = 0;

	if (first > last || flags & ~(CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE))
		return syscall(SYS_close_range, first, last, flags);
	vt_lock();
	if (!(flags & CLOSE_RANGE_CLOEXEC))
		vt_table_drop(first, last);
	keep = first > 1u << 20 ? -1 : vt_protected_next(first);
	while (!rc && keep >= 0 && (unsigned)keep <= last) {
		if ((unsigned)keep > first)
			rc = syscall(SYS_close_range, first, keep - 1, flags);
		first = keep + 1;
		keep = vt_protected_next(first);
	}
	if (!rc && first <= last)
		rc = syscall(SYS_close_range, first, last, flags);
	vt_unlock();
	return rc;
}

VT_EXPORT void closefrom(int from)
{
	close_range(from < 0 ? 0 : from, ~0u, 0);
}

/* -- dup ------------------------------------------------------------------------ */

/* `to` now names what `from` names; what it named before is closed. */
static void vt_table_copy(int from, int to)
{
	struct vt_object *o = vt_peek(from), *old = vt_table_take(to);

	if (o)
		vt_table_set(to, o);
	if (old)
		vt_unref(old);
	if (o && to <= 2)
		vt_stdio_adopt(to);
}

VT_EXPORT int dup(int fd)
{
	int to;

	if (!vt_peek(fd))
		return REAL(dup)(fd);
	vt_lock();
	to = REAL(dup)(fd);
	if (to >= 0)
		vt_table_copy(fd, to);
	vt_unlock();
	return to;
}

VT_EXPORT int dup2(int fd, int to)
{
	int rc;

	if (vt_protected(to) || vt_protected(fd))
		return vt_fail(vt_protected(fd) ? EBADF : EBUSY);
	if ((!vt_peek(fd) && !vt_peek(to)) || fd == to)
		return REAL(dup2)(fd, to);
	vt_lock();
	rc = REAL(dup2)(fd, to);
	if (rc >= 0)
		vt_table_copy(fd, to);
	vt_unlock();
	return rc;
}

VT_EXPORT int dup3(int fd, int to, int flags)
{
	int rc;

	if (vt_protected(to) || vt_protected(fd))
		return vt_fail(vt_protected(fd) ? EBADF : EBUSY);
	if ((!vt_peek(fd) && !vt_peek(to)) || fd == to)
		return REAL(dup3)(fd, to, flags);
	vt_lock();
	rc = REAL(dup3)(fd, to, flags);
	if (rc >= 0)
		vt_table_copy(fd, to);
	vt_unlock();
	return rc;
}

/* -- fcntl and ioctl ------------------------------------------------------------ */

static int vt_fcntl(int fd, int command, void *arg)
{
	struct vt_object *o = vt_peek(fd);
	int rc;

	if (!o)
		return REAL(fcntl64)(fd, command, arg);
	vt_lock();
	rc = REAL(fcntl64)(fd, command, arg);
	o = vt_peek(fd);
	if (rc >= 0 && o) {
		if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
			vt_table_copy(fd, rc);
		else if (command == F_SETFL && o->kind == VT_SOCK)
			((struct vsock *)o)->nonblock =
				(intptr_t)arg & O_NONBLOCK;
	}
	vt_unlock();
	return rc;
}

VT_EXPORT int fcntl(int fd, int command, ...)
{
	va_list args;
	void *arg;

	va_start(args, command);
	arg = va_arg(args, void *);
	va_end(args);
	return vt_fcntl(fd, command, arg);
}

VT_EXPORT int fcntl64(int fd, int command, ...)
{
	va_list args;
	void *arg;

	va_start(args, command);
	arg = va_arg(args, void *);
	va_end(args);
	return vt_fcntl(fd, command, arg);
}

static int vt_ioctl(struct vsock *s, int fd, unsigned long request, void *arg)
{
	switch (request) {
	case FIONBIO:
		if (!REAL(ioctl)(fd, request, arg))
			s->nonblock = *(int *)arg != 0;
		else
			return -errno;
		return 0;
	case FIONREAD:
		if (!arg)
			return -EFAULT;
		if (s->state == VT_LISTENING)
			return -EINVAL;
		vt_want_data(s);
		vt_submit();
		vt_reap();
		*(int *)arg = vt_waiting_bytes(s);
		return 0;
	case TIOCOUTQ:
		if (!arg)
			return -EFAULT;
		if (s->state == VT_LISTENING)
			return -EINVAL;
		vt_reap();
		/* who asks until it is 0 sleeps elsewhere, if at all */
		if (s->inflight)
			vt_ask_sends();
		*(int *)arg = s->inflight;
		return 0;
	case SIOCATMARK:
		if (!arg)
			return -EFAULT;
		*(int *)arg = 0;
		return 0;
	default:
		return REAL(ioctl)(fd, request, arg) ? -errno : 0;
	}
}

VT_EXPORT int ioctl(int fd, unsigned long request, ...)
{
	struct vsock *s;
	va_list args;
	void *arg;
	int rc;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	s = vt_enter(fd);
	if (!s)
		return REAL(ioctl)(fd, request, arg);
	if (s->state == VT_NEW && request != FIONBIO)
		rc = REAL(ioctl)(fd, request, arg) ? -errno : 0;
	else
		rc = vt_ioctl(s, fd, request, arg);
	vt_leave(s);
	return rc < 0 ? vt_fail(-rc) : rc;
}
