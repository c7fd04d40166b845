/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * preload_io.c - read, write, send, recv and their likes
 *
 * Theory of operation. Every entry point makes a struct vt_io of its
 * arguments and calls vt_recv or vt_send. A socket that is not decided yet is
 * the kernel's to answer for, without the lock, since that may block. The
 * variants that _FORTIFY_SOURCE calls check the buffer and do the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "preload.h"

#define VT_FILE_PIECE 131072u

/* Without a stream the placeholder gives the kernel's own answer. */
static bool vt_unconnected(const struct vsock *s)
{
	return s->state == VT_NEW && !s->err;
}

static int vt_io_check(struct vt_io *io, const struct iovec *iov, int count)
{
	int i;

	if (count < 0 || count > IOV_MAX)
		return -EINVAL;
	if (!iov && count)
		return -EFAULT;
	io->iov = (struct iovec *)iov;
	io->count = count;
	io->bytes = 0;
	for (i = 0; i < count; i++) {
		if (iov[i].iov_len > SSIZE_MAX - io->bytes)
			return -EINVAL;
		if (iov[i].iov_len && (uintptr_t)iov[i].iov_base < 4096 &&
		    !(io->flags & MSG_TRUNC))
			return -EFAULT;
		io->bytes += iov[i].iov_len;
	}
	return 0;
}

/* -> bytes or a negated errno; *pass when the kernel is to be asked. */
static ssize_t vt_io_recv(int fd, const struct iovec *iov, int count,
			  int flags, bool plain, bool *pass)
{
	struct vt_io io = { .flags = flags, .plain = plain };
	struct vsock *s = vt_enter(fd);
	ssize_t rc;

	*pass = !s || vt_unconnected(s);
	if (!s)
		return 0;
	rc = vt_io_check(&io, iov, count);
	if (!rc && !*pass)
		rc = vt_recv(s, fd, &io);
	vt_leave(s);
	return rc;
}

static ssize_t vt_io_send(int fd, const struct iovec *iov, int count,
			  int flags, bool plain, bool *pass)
{
	struct vt_io io = { .flags = flags & ~MSG_TRUNC, .plain = plain };
	struct vsock *s = vt_enter(fd);
	ssize_t rc;

	*pass = !s || vt_unconnected(s);
	if (!s)
		return 0;
	rc = vt_io_check(&io, iov, count);
	if (!rc && !*pass)
		rc = vt_send(s, fd, &io);
	vt_leave(s);
	if (rc == -EPIPE && !(flags & MSG_NOSIGNAL) && !*pass)
		pthread_kill(pthread_self(), SIGPIPE);
	return rc;
}

static ssize_t vt_result(ssize_t rc)
{
	return rc < 0 ? vt_fail(-rc) : rc;
}

/* -- receiving ---------------------------------------------------------------------- */

VT_EXPORT ssize_t read(int fd, void *into, size_t bytes)
{
	struct iovec iov = { into, bytes };
	bool pass = true;
	ssize_t rc = 0;

	if (vt_peek(fd))
		rc = vt_io_recv(fd, &iov, 1, 0, true, &pass);
	return pass ? REAL(read)(fd, into, bytes) : vt_result(rc);
}

VT_EXPORT ssize_t readv(int fd, const struct iovec *iov, int count)
{
	bool pass = true;
	ssize_t rc = 0;

	if (vt_peek(fd))
		rc = vt_io_recv(fd, iov, count, 0, true, &pass);
	return pass ? REAL(readv)(fd, iov, count) : vt_result(rc);
}

VT_EXPORT ssize_t recvfrom(int fd, void *into, size_t bytes, int flags,
			   struct sockaddr *from, socklen_t *len)
{
	struct iovec iov = { into, bytes };
	bool pass = true;
	ssize_t rc = 0;

	if (vt_peek(fd))
		rc = vt_io_recv(fd, &iov, 1, flags, false, &pass);
	if (pass)
		return REAL(recvfrom)(fd, into, bytes, flags, from, len);
	if (rc >= 0 && from && len)
		*len = 0; /* a stream's bytes carry no address */
	return vt_result(rc);
}

VT_EXPORT ssize_t recv(int fd, void *into, size_t bytes, int flags)
{
	if (!vt_peek(fd))
		return REAL(recv)(fd, into, bytes, flags);
	return recvfrom(fd, into, bytes, flags, NULL, NULL);
}

/* libvtoe receives descriptors: they are moved out of the program's way. */
static ssize_t vt_recvmsg_inside(int fd, struct msghdr *msg, int flags)
{
	ssize_t rc = REAL(recvmsg)(fd, msg, flags);
	struct cmsghdr *c;
	int *fds;
	size_t i;

	if (rc < 0)
		return rc;
	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		fds = (int *)CMSG_DATA(c);
		for (i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++)
			fds[i] = vt_protect(fds[i]);
	}
	return rc;
}

VT_EXPORT ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	bool pass = true;
	ssize_t rc = 0;

	if (vt_inside)
		return vt_recvmsg_inside(fd, msg, flags);
	if (vt_peek(fd) && !msg)
		return vt_fail(EFAULT);
	if (vt_peek(fd))
		rc = vt_io_recv(fd, msg->msg_iov, msg->msg_iovlen, flags,
				false, &pass);
	if (pass)
		return REAL(recvmsg)(fd, msg, flags);
	if (rc >= 0) {
		msg->msg_namelen = 0;
		msg->msg_controllen = 0;
		msg->msg_flags = flags & MSG_CMSG_CLOEXEC;
	}
	return vt_result(rc);
}

VT_EXPORT int recvmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags,
		       struct timespec *timeout)
{
	int64_t deadline;
	unsigned i;

	if (!vt_peek(fd))
		return REAL(recvmmsg)(fd, msgs, count, flags, timeout);
	deadline = timeout ? vt_now() + timeout->tv_sec * 1000000000ll +
				     timeout->tv_nsec : VT_NEVER;
	for (i = 0; i < count; i++) {
		ssize_t rc = recvmsg(fd, &msgs[i].msg_hdr,
				     flags & ~MSG_WAITFORONE);

		if (rc < 0)
			break;
		msgs[i].msg_len = rc;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if (!rc || vt_now() >= deadline) {
			i++;
			break;
		}
	}
	return i ? (int)i : -1;
}

/* -- sending ------------------------------------------------------------------------- */

VT_EXPORT ssize_t write(int fd, const void *from, size_t bytes)
{
	struct iovec iov = { (void *)from, bytes };
	bool pass = true;
	ssize_t rc = 0;

	if (vt_peek(fd))
		rc = vt_io_send(fd, &iov, 1, 0, true, &pass);
	return pass ? REAL(write)(fd, from, bytes) : vt_result(rc);
}

VT_EXPORT ssize_t writev(int fd, const struct iovec *iov, int count)
{
	bool pass = true;
	ssize_t rc = 0;

	if (vt_peek(fd))
		rc = vt_io_send(fd, iov, count, 0, true, &pass);
	return pass ? REAL(writev)(fd, iov, count) : vt_result(rc);
}

/* A connection opened by its first bytes: here, connect and then send. */
static bool vt_fast_open(int fd, int flags, const struct sockaddr *to,
			 socklen_t len, int *rc)
{
	if (!(flags & MSG_FASTOPEN) || !to)
		return false;
	*rc = connect(fd, to, len);
	return true;
}

VT_EXPORT ssize_t sendto(int fd, const void *from, size_t bytes, int flags,
			 const struct sockaddr *to, socklen_t len)
{
	struct iovec iov = { (void *)from, bytes };
	bool pass = true;
	ssize_t rc = 0;
	int opened;

	if (vt_peek(fd)) {
		if (vt_fast_open(fd, flags, to, len, &opened)) {
			if (opened)
				return -1;
			return send(fd, from, bytes, flags & ~MSG_FASTOPEN);
		}
		rc = vt_io_send(fd, &iov, 1, flags, false, &pass);
	}
	return pass ? REAL(sendto)(fd, from, bytes, flags, to, len) :
		      vt_result(rc);
}

VT_EXPORT ssize_t send(int fd, const void *from, size_t bytes, int flags)
{
	if (!vt_peek(fd))
		return REAL(send)(fd, from, bytes, flags);
	return sendto(fd, from, bytes, flags, NULL, 0);
}

/* Does a message carry one of our streams? The kernel would pass on the
 * placeholder, which is connected to nothing. */
static bool vt_carries_ours(const struct msghdr *msg)
{
	struct cmsghdr *c;
	size_t i;
	int *fds;

	if (!msg || !msg->msg_control ||
	    msg->msg_controllen < sizeof(struct cmsghdr))
		return false;
	for (c = CMSG_FIRSTHDR(msg); c;
	     c = CMSG_NXTHDR((struct msghdr *)msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		fds = (int *)CMSG_DATA(c);
		for (i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		     i++) {
			struct vt_object *o = vt_peek(fds[i]);

			if (o && o->kind == VT_SOCK &&
			    ((struct vsock *)o)->state != VT_NEW)
				return true;
		}
	}
	return false;
}

VT_EXPORT ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	bool pass = true;
	ssize_t rc = 0;
	int opened;

	if (!vt_peek(fd)) {
		if (vt_carries_ours(msg)) {
			vt_say("fd %d: an offloaded socket cannot be passed "
			       "by SCM_RIGHTS", fd);
			return vt_fail(EOPNOTSUPP);
		}
		return REAL(sendmsg)(fd, msg, flags);
	}
	if (!msg)
		return vt_fail(EFAULT);
	if (vt_fast_open(fd, flags, msg->msg_name, msg->msg_namelen, &opened)) {
		if (opened)
			return -1;
		flags &= ~MSG_FASTOPEN;
	}
	rc = vt_io_send(fd, msg->msg_iov, msg->msg_iovlen, flags, false, &pass);
	return pass ? REAL(sendmsg)(fd, msg, flags) : vt_result(rc);
}

VT_EXPORT int sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
	unsigned i;

	if (!vt_peek(fd))
		return REAL(sendmmsg)(fd, msgs, count, flags);
	for (i = 0; i < count; i++) {
		ssize_t rc = sendmsg(fd, &msgs[i].msg_hdr, flags);

		if (rc < 0)
			break;
		msgs[i].msg_len = rc;
	}
	return i ? (int)i : -1;
}

/* -- sendfile and splice ----------------------------------------------------------------- */

static ssize_t vt_sendfile(int fd, int in, off64_t *offset, size_t bytes)
{
	off64_t at = offset ? *offset : lseek64(in, 0, SEEK_CUR);
	size_t done = 0;
	ssize_t rc = 0;
	char *piece;

	if (at < 0)
		return vt_fail(!offset && errno == EBADF ? EBADF : EINVAL);
	piece = malloc(VT_FILE_PIECE);
	if (!piece)
		return vt_fail(ENOMEM);
	while (done < bytes) {
		size_t want = bytes - done;
		ssize_t got;

		if (want > VT_FILE_PIECE)
			want = VT_FILE_PIECE;
		got = pread64(in, piece, want, at);
		if (got <= 0) {
			rc = got;
			break;
		}
		rc = send(fd, piece, got,
			  (size_t)got < bytes - done ? MSG_MORE : 0);
		if (rc < 0)
			break;
		done += rc;
		at += rc;
		if (rc < got)
			break;
	}
	free(piece);
	if (done && !offset)
		lseek64(in, at, SEEK_SET);
	if (done && offset)
		*offset = at;
	return done ? (ssize_t)done : rc;
}

VT_EXPORT ssize_t sendfile(int fd, int in, off_t *offset, size_t bytes)
{
	struct vt_object *o = vt_peek(in);

	if (o && o->kind == VT_SOCK)
		return vt_fail(EINVAL);
	if (!vt_peek(fd))
		return REAL(sendfile)(fd, in, offset, bytes);
	return vt_sendfile(fd, in, (off64_t *)offset, bytes);
}

VT_EXPORT ssize_t sendfile64(int fd, int in, off64_t *offset, size_t bytes)
{
	return sendfile(fd, in, (off_t *)offset, bytes);
}

/* Programs that splice can also copy: they must, for other sources. */
VT_EXPORT ssize_t splice(int in, off64_t *in_at, int out, off64_t *out_at,
			 size_t bytes, unsigned flags)
{
	if (vt_peek(in) || vt_peek(out))
		return vt_fail(EINVAL);
	return REAL(splice)(in, in_at, out, out_at, bytes, flags);
}

/* -- what _FORTIFY_SOURCE calls ------------------------------------------------------------ */

ssize_t __read_chk(int fd, void *into, size_t bytes, size_t room);
ssize_t __recv_chk(int fd, void *into, size_t bytes, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *into, size_t bytes, size_t room,
		       int flags, struct sockaddr *from, socklen_t *len);

static void vt_check_room(size_t bytes, size_t room)
{
	if (bytes <= room)
		return;
	vt_say("*** buffer overflow detected ***");
	abort();
}

VT_EXPORT ssize_t __read_chk(int fd, void *into, size_t bytes, size_t room)
{
	vt_check_room(bytes, room);
	return read(fd, into, bytes);
}

VT_EXPORT ssize_t __recv_chk(int fd, void *into, size_t bytes, size_t room,
			     int flags)
{
	vt_check_room(bytes, room);
	return recv(fd, into, bytes, flags);
}

VT_EXPORT ssize_t __recvfrom_chk(int fd, void *into, size_t bytes,
				 size_t room, int flags, struct sockaddr *from,
				 socklen_t *len)
{
	vt_check_room(bytes, room);
	return recvfrom(fd, into, bytes, flags, from, len);
}
