/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * preload_table.c - which descriptors are ours
 *
 * Theory of operation. The table has two levels, 1024 entries each, and an
 * entry is the object behind the descriptor or NULL. Entries change under the
 * process's lock; they are read without it to find out that a descriptor is
 * not ours, and read again under the lock when it is. An object counts its
 * descriptors (refs) and the calls under way (users): as in the kernel, a
 * close takes effect when the last call that uses the descriptor returns.
 *
 * The library's own descriptors (the backend's socket, eventfds) are moved to
 * high numbers and marked, so that programs that close everything, or expect
 * the lowest free number, find what they would find without us.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "preload.h"

#define VT_SPAN 1024
#define VT_SPANS 1024

static struct vt_object **vt_table[VT_SPANS];
static unsigned char *vt_marks; /* protected descriptors, a bit each */
VT_TLS bool vt_inside_here;

bool *vt_inside_flag(void)
{
	return &vt_inside_here;
}

struct vt_object *vt_peek(int fd)
{
	struct vt_object **span;

	if (fd < 0 || fd >= VT_SPAN * VT_SPANS || vt_inside_here)
		return NULL;
	/* acquire: pairs with the release store in vt_table_set */
	span = __atomic_load_n(&vt_table[fd / VT_SPAN], __ATOMIC_ACQUIRE);
	if (!span)
		return NULL;
	return __atomic_load_n(&span[fd % VT_SPAN], __ATOMIC_ACQUIRE);
}

struct vt_object *vt_table_get(int fd)
{
	return vt_peek(fd);
}

int vt_table_set(int fd, struct vt_object *o)
{
	struct vt_object **span;

	if (fd < 0 || fd >= VT_SPAN * VT_SPANS)
		return -EMFILE;
	span = vt_table[fd / VT_SPAN];
	if (!span) {
		span = calloc(VT_SPAN, sizeof(*span));
		if (!span)
			return -ENOMEM;
		__atomic_store_n(&vt_table[fd / VT_SPAN], span,
				 __ATOMIC_RELEASE);
	}
	o->refs++;
	/* release: pairs with the acquire load in vt_peek */
	__atomic_store_n(&span[fd % VT_SPAN], o, __ATOMIC_RELEASE);
	return 0;
}

/* Takes the entry out; the caller owns the reference that it held. */
struct vt_object *vt_table_take(int fd)
{
	struct vt_object *o = vt_peek(fd);

	if (o)
		__atomic_store_n(&vt_table[fd / VT_SPAN][fd % VT_SPAN], NULL,
				 __ATOMIC_RELEASE);
	return o;
}

int vt_table_next(int fd)
{
	if (fd < 0)
		fd = 0;
	while (fd < VT_SPAN * VT_SPANS) {
		struct vt_object **span = vt_table[fd / VT_SPAN];

		if (!span) {
			fd = (fd / VT_SPAN + 1) * VT_SPAN;
			continue;
		}
		if (span[fd % VT_SPAN])
			return fd;
		fd++;
	}
	return -1;
}

/*
 * The calls of this thread that are under way, to find those which a signal
 * handler left by longjmp: a new call whose frame is not below theirs says that
 * they are gone, and their use of the object is given back. (Calls nest when a
 * handler makes one. A handler on a stack of its own proves nothing.)
 */
#define VT_CALLS 4

VT_TLS struct {
	struct vt_object *o;
	const char *frame;
} vt_calls[VT_CALLS];
VT_TLS unsigned vt_call_count;

static bool vt_on_other_stack(void)
{
	stack_t now;

	return sigaltstack(NULL, &now) || now.ss_flags & SS_ONSTACK;
}

/* Gives back the uses of calls that are gone. Called locked. */
void vt_calls_check(const void *frame)
{
	while (vt_call_count &&
	       (const char *)frame >= vt_calls[vt_call_count - 1].frame &&
	       !vt_on_other_stack())
		vt_drop(vt_calls[--vt_call_count].o);
}

static void vt_calls_enter(struct vt_object *o, const void *frame)
{
	vt_calls_check(frame);
	if (vt_call_count == VT_CALLS)
		return;
	vt_calls[vt_call_count].o = o;
	vt_calls[vt_call_count++].frame = frame;
}

static void vt_calls_leave(struct vt_object *o)
{
	if (vt_call_count && vt_calls[vt_call_count - 1].o == o)
		vt_call_count--;
}

/* The thread is being cancelled. */
void vt_calls_end(void)
{
	while (vt_call_count)
		vt_drop(vt_calls[--vt_call_count].o);
}

/* In the child of a fork there are no other calls. */
void vt_calls_child(void)
{
	vt_call_count = 0;
}

struct vsock *vt_enter(int fd)
{
	struct vt_object *o = vt_peek(fd);

	if (!o || o->kind != VT_SOCK)
		return NULL;
	vt_lock();
	o = vt_peek(fd);
	if (!o || o->kind != VT_SOCK) {
		vt_unlock();
		return NULL;
	}
	o->users++;
	vt_calls_enter(o, __builtin_frame_address(0));
	return (struct vsock *)o;
}

void vt_hold(struct vt_object *o)
{
	o->users++;
}

static void vt_object_end(struct vt_object *o)
{
	if (o->refs || o->users)
		return;
	if (o->kind == VT_SOCK)
		vsock_last_close((struct vsock *)o);
	else
		vepoll_free((struct vepoll *)o);
}

void vt_drop(struct vt_object *o)
{
	o->users--;
	vt_object_end(o);
}

void vt_unref(struct vt_object *o)
{
	o->refs--;
	vt_object_end(o);
}

void vt_leave(struct vsock *s)
{
	int err = errno;

	vt_calls_leave(&s->o);
	vt_drop(&s->o);
	vt_unlock();
	errno = err;
}

/* -- protection ------------------------------------------------------------ */

static int vt_high(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur < 128)
		return 64;
	if (limit.rlim_cur > VT_SPAN * VT_SPANS)
		return VT_SPAN * VT_SPANS - 4096;
	if (limit.rlim_cur > 2048)
		return (int)limit.rlim_cur - 1024;
	return (int)limit.rlim_cur / 2;
}

int vt_protect(int fd)
{
	int high = (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, vt_high());

	if (high >= 0)
		syscall(SYS_close, fd);
	else
		high = fd; /* better low than none */
	if (high >= VT_SPAN * VT_SPANS)
		return high;
	if (!vt_marks)
		vt_marks = calloc(VT_SPAN * VT_SPANS / 8, 1);
	if (vt_marks)
		__atomic_fetch_or(&vt_marks[high / 8], 1 << high % 8,
				  __ATOMIC_RELEASE);
	return high;
}

/* libvtoe's, in place of its own: what it opens itself (a guest's device). What
 * comes over the backend's socket is seen in socket() and recvmsg(). */
int context_own_fd(int fd)
{
	return vt_protect(fd);
}

void vt_unprotect(int fd)
{
	if (vt_marks && fd >= 0 && fd < VT_SPAN * VT_SPANS)
		__atomic_fetch_and(&vt_marks[fd / 8], ~(1 << fd % 8),
				   __ATOMIC_RELEASE);
}

bool vt_protected(int fd)
{
	return vt_marks && fd >= 0 && fd < VT_SPAN * VT_SPANS &&
	       (vt_marks[fd / 8] & 1 << fd % 8);
}

/* The first protected descriptor >= fd, or -1. */
int vt_protected_next(int fd)
{
	if (!vt_marks)
		return -1;
	if (fd < 0)
		fd = 0;
	while (fd < VT_SPAN * VT_SPANS) {
		if (!(fd % 8) && !vt_marks[fd / 8]) {
			fd += 8;
			continue;
		}
		if (vt_protected(fd))
			return fd;
		fd++;
	}
	return -1;
}

/* -- sockets ---------------------------------------------------------------- */

struct vsock *vsock_new(int fd, int family, bool nonblock)
{
	struct vsock *s = calloc(1, sizeof(*s));
	struct stat st;

	if (!s)
		return NULL;
	s->o.kind = VT_SOCK;
	s->family = family;
	s->nonblock = nonblock;
	s->common_fd = -1;
	if (!fstat(fd, &st))
		s->inode = st.st_ino;
	s->next = vt.socks;
	if (s->next)
		s->next->prev = s;
	vt.socks = s;
	return s;
}

void vsock_free(struct vsock *s)
{
	vt_want_room(s, false);
	if (s->next)
		s->next->prev = s->prev;
	if (s->prev)
		s->prev->next = s->next;
	else
		vt.socks = s->next;
	vt_items_forget(s);
	vt_hold_end(s);
	vt_common_drop(s);
	vt.lost -= s->lost;
	free(s->pieces);
	free(s->options);
	free(s);
}
