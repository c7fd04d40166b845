/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * preload_fork.c - one stream, several processes
 *
 * Theory of operation. Before a fork every stream is made *shared*: generic
 * receive is turned off, what has been received and not read moves to memory
 * common to both processes, what is being sent is waited for, and the backend
 * gives a token (SHARE). The child forgets the parent's context, opens one of
 * its own, and adopts the tokens before fork returns. From then on both take
 * bytes only when they read, so that each byte goes to one of them, as with
 * the kernel's sockets.
 *
 * This runs in pthread_atfork handlers, so that it also covers the forks which
 * the C library makes itself (daemon, forkpty). vfork becomes fork. The lock
 * is held from prepare to parent and child: no other thread is inside.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "preload.h"

#define VT_DRAIN_NS 2000000000ll /* how long a fork waits for sends */

/* -- the common backlog ------------------------------------------------------------- */

static void vt_common_lock(struct vt_shared_backlog *b)
{
	if (pthread_mutex_lock(&b->lock) == EOWNERDEAD)
		pthread_mutex_consistent(&b->lock);
}

size_t vt_common_bytes(struct vsock *s)
{
	return __atomic_load_n(&s->common->length, __ATOMIC_ACQUIRE);
}

size_t vt_common_take(struct vsock *s, struct vt_io *io, bool peek)
{
	struct vt_shared_backlog *b = s->common;
	size_t done = 0, n;

	if (!vt_common_bytes(s))
		return 0;
	vt_common_lock(b);
	n = b->length < io->bytes ? b->length : io->bytes;
	vt_scatter(io, &done, b->data + b->head, n);
	if (!peek) {
		b->head += n;
		__atomic_store_n(&b->length, b->length - n, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&b->lock);
	return n;
}

void vt_common_drop(struct vsock *s)
{
	if (s->common)
		munmap(s->common, s->common->room);
	if (s->common_fd >= 0) {
		vt_unprotect(s->common_fd);
		REAL(close)(s->common_fd);
	}
	s->common = NULL;
	s->common_fd = -1;
}

/* Maps the common backlog behind a descriptor, which becomes the socket's. */
int vt_common_map(struct vsock *s, int fd)
{
	struct vt_shared_backlog *b;
	off_t bytes = lseek(fd, 0, SEEK_END);

	if (bytes < (off_t)sizeof(*b))
		return -EINVAL;
	b = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (b == MAP_FAILED)
		return -errno;
	s->common = b;
	s->common_fd = vt_protect(fd);
	return 0;
}

static int vt_common_make(struct vsock *s, size_t bytes)
{
	size_t room = sizeof(struct vt_shared_backlog) + bytes;
	pthread_mutexattr_t attr;
	int fd, rc;

	fd = memfd_create("vtoe-backlog", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = ftruncate(fd, room) ? -errno : vt_common_map(s, fd);
	if (rc) {
		REAL(close)(fd);
		return rc;
	}
	s->common->room = room;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&s->common->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	return 0;
}

/* What was received and not read: from generic buffers to common memory. */
static int vt_backlog_to_common(struct vsock *s)
{
	size_t old = s->common ? vt_common_bytes(s) : 0;
	struct vsock keep = *s;
	struct iovec iov;
	struct vt_io io = { .iov = &iov, .count = 1 };
	int rc;

	if (!s->backlog)
		return 0;
	rc = vt_common_make(s, s->backlog + old);
	if (rc)
		return rc;
	iov.iov_base = s->common->data;
	iov.iov_len = io.bytes = old;
	if (old)
		vt_common_take(&keep, &io, false);
	if (keep.common)
		vt_common_drop(&keep);
	iov.iov_base = s->common->data + old;
	iov.iov_len = io.bytes = s->backlog;
	s->common->length = old + s->backlog;
	vt_backlog_take(s, &io, 0);
	return 0;
}

/* -- who holds a stream --------------------------------------------------------------- */

/*
 * A counter for each stream that a fork shared, in memory common to all
 * processes of the family. A child that closes the stream, or executes another
 * program without it, counts down; when only one process is left, the stream
 * is its own again. A process that dies without counting leaves the stream
 * shared, which is slower but not wrong.
 */
#define VT_COUNTERS 16384

static struct {
	int *at; /* the first is unused */
	int used;
} counters;

static int *vt_counter_new(void)
{
	if (!counters.at) {
		int *at = mmap(NULL, VT_COUNTERS * sizeof(*at),
			       PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

		if (at == MAP_FAILED)
			return NULL;
		counters.at = at;
	}
	/* taken with an atomic step: the others of the family take too */
	if (__atomic_load_n(counters.at, __ATOMIC_RELAXED) + 1 >= VT_COUNTERS)
		return NULL;
	return &counters.at[__atomic_add_fetch(counters.at, 1,
					       __ATOMIC_RELAXED)];
}

/* A fork is about to give it to one process more. */
void vt_hold_begin(struct vsock *s)
{
	if (!s->holders && !s->handed) {
		s->holders = vt_counter_new();
		if (s->holders)
			*s->holders = 1;
	}
	if (s->holders)
		__atomic_add_fetch(s->holders, 1, __ATOMIC_RELAXED);
}

void vt_hold_end(struct vsock *s)
{
	if (s->holders)
		__atomic_sub_fetch(s->holders, 1, __ATOMIC_RELEASE);
	s->holders = NULL;
}

/* Are we the last that hold it? Then it is ours alone. */
void vt_try_unshare(struct vsock *s)
{
	if (!s->shared || !s->holders || s->common || s->poll_busy ||
	    __atomic_load_n(s->holders, __ATOMIC_ACQUIRE) != 1)
		return;
	s->shared = false;
	s->poll_bits = 0;
}

/* -- sharing ------------------------------------------------------------------------- */

/* From now on another process may hold the stream too. */
int vt_make_shared(struct vsock *s)
{
	int64_t deadline = vt_now() + VT_DRAIN_NS;
	int rc = 0;

	if (s->shared && !s->inflight)
		return 0;
	s->shared = true;
	vt_wake(s);
	if (s->grq)
		vt_grq_off(s);
	vt.want_sends++;
	while (s->inflight && !s->dead && rc != -ETIME)
		rc = vt_sleep(s, deadline, NULL, 0, NULL);
	vt.want_sends--;
	return s->dead ? -ECONNRESET : vt_backlog_to_common(s);
}

int vt_share(struct vsock *s, unsigned char token[16])
{
	struct vtoe_cqe c;
	struct vt_req *r;
	int rc;

	r = vt_req_get(s, NULL);
	vt_sqe(r, VTOE_OP_SHARE, s->stream);
	rc = vt_req_result(r, &c);
	if (rc >= 0)
		memcpy(token, c.u.token, 16);
	return rc;
}

int vt_adopt(struct vsock *s, const unsigned char token[16])
{
	struct vtoe_sqe *q;
	struct vtoe_cqe c;
	struct vt_req *r;
	int rc = vt_backend();

	if (!rc) {
		r = vt_req_get(NULL, NULL);
		q = vt_sqe(r, VTOE_OP_ADOPT, VTOE_STREAM_NONE);
		memcpy(q->u.token, token, 16);
		rc = vt_req_result(r, &c);
	}
	s->shared = true;
	s->handed = !s->holders;
	if (rc >= 0) {
		s->stream = c.stream;
		return 0;
	}
	s->dead = s->reset = true;
	s->err = ECONNRESET;
	if (!vt.said_no_adoption)
		vt_say("%s[%d]: sockets of the parent are lost: %s",
		       vt.config.program, (int)getpid(), strerror(-rc));
	vt.said_no_adoption = true;
	return rc;
}

/* Uses up a token that was meant for somebody who will not come. */
void vt_token_drop(const unsigned char token[16])
{
	struct vt_req *r = vt_req_get(NULL, vt_req_ignore);
	struct vtoe_sqe *q = vt_sqe(r, VTOE_OP_ADOPT, VTOE_STREAM_NONE);

	memcpy(q->u.token, token, 16);
}

static bool vt_has_stream(const struct vsock *s)
{
	return s->state != VT_NEW && s->state != VT_CLOSED && !s->dead;
}

/* -- fork -------------------------------------------------------------------------------- */

static void vt_fork_prepare(void)
{
	struct vsock *s, *next;

	vt_lock();
	for (s = vt.socks; s; s = next) {
		s->has_token = false;
		if (vt_has_stream(s)) {
			vt_hold(&s->o); /* the lock is given up meanwhile */
			if (!vt_make_shared(s) && vt_share(s, s->token) >= 0) {
				s->has_token = true;
				vt_hold_begin(s);
			}
			next = s->next;
			vt_drop(&s->o);
		} else {
			next = s->next;
		}
	}
	vt_submit();
}

static void vt_fork_parent(void)
{
	struct vsock *s;

	for (s = vt.socks; s; s = s->next)
		if (s->items && vt_has_stream(s))
			vt_interest(s);
	vt_unlock();
}

/* What was true of the parent's threads and lane is not of the child's. */
static void vt_fork_reset(struct vsock *s)
{
	s->o.users = 0;
	s->requests = 0;
	s->inflight = s->charged = 0;
	s->grq = s->poll_busy = false;
	s->poll_bits = 0;
	s->piece_count = 0;
	s->backlog = 0;
}

static void vt_fork_child(void)
{
	struct vsock *s, *next;

	pthread_mutex_init(&vt.lock, NULL);
	vt_lock();
	vt_wait_child();
	vt_calls_child();
	vt_lane_child();
	for (s = vt.socks; s; s = s->next)
		vt_fork_reset(s);
	for (s = vt.socks; s; s = next) {
		next = s->next;
		if (s->state == VT_CLOSED || (!s->o.refs && !s->o.users)) {
			vsock_free(s);
			continue;
		}
		if (!vt_has_stream(s))
			continue;
		if (s->has_token) {
			vt_adopt(s, s->token);
		} else {
			s->dead = s->reset = true;
			s->err = ECONNRESET;
		}
		if (s->items)
			vt_interest(s);
	}
	vt_unlock();
}

void vt_fork_setup(void)
{
	pthread_atfork(vt_fork_prepare, vt_fork_parent, vt_fork_child);
}

/* A child that borrows our memory cannot be told from us. */
VT_EXPORT pid_t vfork(void)
{
	return fork();
}
