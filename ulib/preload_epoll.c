/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * preload_epoll.c - epoll
 *
 * Theory of operation. The kernel's descriptors stay in the real epoll set;
 * ours are items of a user-space set beside it, made after the kernel's model:
 * an item goes on the set's ready list when its socket's readiness may have
 * changed (vt_notify), and a wait looks at the ready list only. A
 * level-triggered item stays on the list as long as it is ready; an
 * edge-triggered or one-shot one leaves it when reported.
 *
 * A set without ours is waited for in the kernel. When the first of ours is
 * added, an eventfd of the set wakes those that already sleep there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "preload.h"

struct vt_item {
	struct vt_item *watch_next;	     /* of the socket */
	struct vt_item *next, *prev;	     /* of the set */
	struct vt_item *ready_next, *ready_prev;
	struct vepoll *e;
	struct vsock *s;
	int fd;
	uint32_t events;
	epoll_data_t data;
	bool ready, off; /* off: one-shot, reported */
};

struct vepoll {
	struct vt_object o;
	int fd;
	int kick; /* eventfd, -1: none yet */
	struct vt_item *items;
	struct vt_item *ready_first, *ready_last;
	unsigned kernel; /* at most so many of the kernel's */
	unsigned in_kernel; /* threads that wait there */
	bool kernel_first;
};

int epoll_pwait2(int set, struct epoll_event *events, int room,
		 const struct timespec *timeout, const sigset_t *mask);

static void vt_ready_add(struct vt_item *i)
{
	struct vepoll *e = i->e;

	if (i->ready || i->off)
		return;
	i->ready = true;
	i->ready_next = NULL;
	i->ready_prev = e->ready_last;
	if (e->ready_last)
		e->ready_last->ready_next = i;
	else
		e->ready_first = i;
	e->ready_last = i;
}

static void vt_ready_del(struct vt_item *i)
{
	struct vepoll *e = i->e;

	if (!i->ready)
		return;
	i->ready = false;
	if (i->ready_next)
		i->ready_next->ready_prev = i->ready_prev;
	else
		e->ready_last = i->ready_prev;
	if (i->ready_prev)
		i->ready_prev->ready_next = i->ready_next;
	else
		e->ready_first = i->ready_next;
}

/* What the socket is ready for may have changed: tell all who care. */
void vt_notify(struct vsock *s)
{
	struct vt_item *i;

	for (i = s->items; i; i = i->watch_next) {
		vt_ready_add(i);
		vt_wake(i->e);
	}
	vt_wake(s);
}

static void vt_item_free(struct vt_item *i)
{
	struct vt_item **at = &i->s->items;

	vt_ready_del(i);
	while (*at != i)
		at = &(*at)->watch_next;
	*at = i->watch_next;
	if (i->next)
		i->next->prev = i->prev;
	if (i->prev)
		i->prev->next = i->next;
	else
		i->e->items = i->next;
	free(i);
}

void vt_items_forget(struct vsock *s)
{
	while (s->items)
		vt_item_free(s->items);
}

/* The socket became the kernel's: so do its items. */
void vt_items_to_kernel(struct vsock *s, int fd)
{
	(void)fd;
	while (s->items) {
		struct vt_item *i = s->items;
		struct epoll_event event = { i->events, i->data };

		REAL(epoll_ctl)(i->e->fd, EPOLL_CTL_ADD, i->fd, &event);
		i->e->kernel++;
		vt_item_free(i);
	}
}

void vepoll_free(struct vepoll *e)
{
	while (e->items)
		vt_item_free(e->items);
	if (e->kick >= 0) {
		vt_unprotect(e->kick);
		REAL(close)(e->kick);
	}
	free(e);
}

static uint32_t vt_item_bits(struct vt_item *i)
{
	return i->off ? 0 : vt_ready(i->s) &
			    (i->events | EPOLLERR | EPOLLHUP) &
			    ~(EPOLLET | EPOLLONESHOT);
}

bool vepoll_ready(struct vepoll *e)
{
	struct vt_item *i;

	for (i = e->ready_first; i; i = i->ready_next)
		if (vt_item_bits(i))
			return true;
	return false;
}

/* -- sets ----------------------------------------------------------------------- */

/* Called locked. */
static struct vepoll *vepoll_new(int fd)
{
	struct vepoll *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->o.kind = VT_EPOLL;
	e->fd = fd;
	e->kick = -1;
	if (vt_table_set(fd, &e->o)) {
		free(e);
		return NULL;
	}
	return e;
}

static int vepoll_made(int fd)
{
	if (fd < 0 || vt.off)
		return fd;
	vt_lock();
	vepoll_new(fd);
	vt_unlock();
	return fd;
}

VT_EXPORT int epoll_create(int size)
{
	return vepoll_made(REAL(epoll_create)(size));
}

VT_EXPORT int epoll_create1(int flags)
{
	return vepoll_made(REAL(epoll_create1)(flags));
}

/* From now on waits look at us too: wake those that are in the kernel. */
static void vepoll_kick(struct vepoll *e)
{
	struct epoll_event event = { EPOLLIN, { .ptr = e } };

	if (!e->in_kernel)
		return;
	if (e->kick < 0) {
		e->kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (e->kick < 0)
			return;
		e->kick = vt_protect(e->kick);
		REAL(epoll_ctl)(e->fd, EPOLL_CTL_ADD, e->kick, &event);
	}
	eventfd_write(e->kick, 1);
}

static struct vt_item *vt_item_find(struct vepoll *e, struct vsock *s, int fd)
{
	struct vt_item *i;

	for (i = s->items; i; i = i->watch_next)
		if (i->e == e && i->fd == fd)
			return i;
	return NULL;
}

static void vt_item_set(struct vt_item *i, const struct epoll_event *event)
{
	i->events = event->events;
	i->data = event->data;
	i->off = false;
	vt_interest(i->s);
	vt_ready_add(i);
	vt_wake(i->e);
}

static int vt_item_ctl(struct vepoll *e, int op, struct vsock *s, int fd,
		       struct epoll_event *event)
{
	struct vt_item *i = vt_item_find(e, s, fd);

	if (op != EPOLL_CTL_DEL && !event)
		return -EFAULT;
	switch (op) {
	case EPOLL_CTL_ADD:
		if (i)
			return -EEXIST;
		i = calloc(1, sizeof(*i));
		if (!i)
			return -ENOMEM;
		i->e = e;
		i->s = s;
		i->fd = fd;
		i->watch_next = s->items;
		s->items = i;
		i->next = e->items;
		if (i->next)
			i->next->prev = i;
		e->items = i;
		vepoll_kick(e);
		vt_item_set(i, event);
		return 0;
	case EPOLL_CTL_MOD:
		if (!i)
			return -ENOENT;
		vt_item_set(i, event);
		return 0;
	case EPOLL_CTL_DEL:
		if (!i)
			return -ENOENT;
		vt_item_free(i);
		return 0;
	}
	return -EINVAL;
}

static bool fd_is_open(int fd)
{
	return REAL(fcntl)(fd, F_GETFD) >= 0;
}

/* Is it an epoll set that was made by other means than ours? */
static bool fd_is_epoll(int fd)
{
	struct epoll_event none;

	return REAL(epoll_wait)(fd, &none, 1, 0) >= 0;
}

VT_EXPORT int epoll_ctl(int set, int op, int fd, struct epoll_event *event)
{
	struct vt_object *o = vt_peek(fd), *e = vt_peek(set);
	int rc;

	if (!o || o->kind != VT_SOCK) {
		rc = REAL(epoll_ctl)(set, op, fd, event);
		if (!rc && e && e->kind == VT_EPOLL && op == EPOLL_CTL_ADD)
			__atomic_fetch_add(&((struct vepoll *)e)->kernel, 1,
					   __ATOMIC_RELAXED);
		return rc;
	}
	if (e && e->kind != VT_EPOLL)
		return vt_fail(EINVAL);
	vt_lock();
	o = vt_peek(fd);
	e = vt_peek(set);
	if (!e && fd_is_epoll(set))
		e = (struct vt_object *)vepoll_new(set);
	if (!o || !e)
		rc = fd_is_open(set) ? -EINVAL : -EBADF;
	else
		rc = vt_item_ctl((struct vepoll *)e, op, (struct vsock *)o, fd,
				 event);
	vt_unlock();
	return rc < 0 ? vt_fail(-rc) : rc;
}

/* -- waiting ------------------------------------------------------------------------ */

static int vepoll_collect(struct vepoll *e, struct epoll_event *events,
			  int room)
{
	struct vt_item *i = e->ready_first, *last = e->ready_last, *next;
	bool end = !i;
	int n = 0;

	for (; !end && n < room; i = next) {
		uint32_t bits = vt_item_bits(i);

		next = i->ready_next;
		end = i == last;
		vt_ready_del(i);
		if (!bits)
			continue;
		events[n].events = bits;
		events[n++].data = i->data;
		if (i->events & EPOLLONESHOT)
			i->off = true;
		else if (!(i->events & EPOLLET))
			vt_ready_add(i); /* at the end: others come first */
	}
	return n;
}

/* The kernel's part of the set, without our eventfd. */
static int vepoll_kernel(struct vepoll *e, int set, struct epoll_event *events,
			 int room)
{
	int n, i, kept = 0;

	if (!e->kernel || room <= 0)
		return 0;
	n = REAL(epoll_wait)(set, events, room, 0);
	for (i = 0; i < n; i++)
		if (events[i].data.ptr != e)
			events[kept++] = events[i];
	return n < 0 ? n : kept;
}

static int vepoll_both(struct vepoll *e, int set, struct epoll_event *events,
		       int room)
{
	int n = 0, k;

	e->kernel_first = !e->kernel_first;
	if (!e->kernel_first)
		n = vepoll_collect(e, events, room);
	k = vepoll_kernel(e, set, events + n, room - n);
	if (k > 0)
		n += k;
	if (e->kernel_first)
		n += vepoll_collect(e, events + n, room - n);
	return n;
}

static int vepoll_wait(struct vepoll *e, int set, struct epoll_event *events,
		       int room, int64_t deadline, const sigset_t *mask)
{
	struct pollfd kernel = { set, POLLIN, 0 };
	int rc = 0, n;

	vt_submit();
	vt_reap();
	for (;;) {
		n = vepoll_both(e, set, events, room);
		if (n || !deadline || rc == -ETIME)
			return n;
		if (rc == -EINTR)
			return -EINTR;
		rc = vt_sleep(e, deadline, &kernel, e->kernel ? 1 : 0, mask);
	}
}

/* No item of ours: the kernel waits. 1: there is one now. */
static int vepoll_wait_kernel(struct vepoll *e, int set,
			      struct epoll_event *events, int room,
			      int64_t deadline, const sigset_t *mask, int *n)
{
	int i, kept = 0, timeout = -1;

	if (deadline != VT_NEVER) {
		int64_t left = deadline ? deadline - vt_now() : 0;

		timeout = left > 0 ? (left + 999999) / 1000000 : 0;
	}
	*n = REAL(epoll_pwait)(set, events, room, timeout, mask);
	for (i = 0; i < *n; i++)
		if (events[i].data.ptr != e)
			events[kept++] = events[i];
	if (*n > 0 && !kept)
		return 1;
	if (*n > 0)
		*n = kept;
	return 0;
}

static int vt_epoll_wait(int set, struct epoll_event *events, int room,
			 int64_t deadline, const sigset_t *mask)
{
	struct vt_object *o;
	int n;

	if (room <= 0)
		return vt_fail(EINVAL);
	if (!events)
		return vt_fail(EFAULT);
	vt_lock();
	o = vt_peek(set);
	if (!o || o->kind != VT_EPOLL) {
		vt_unlock();
		return vt_fail(o ? EINVAL : EBADF);
	}
	vt_hold(o);
	for (;;) {
		struct vepoll *e = (struct vepoll *)o;
		int again;

		if (e->items) {
			n = vepoll_wait(e, set, events, room, deadline, mask);
			break;
		}
		e->in_kernel++;
		vt_unlock();
		again = vepoll_wait_kernel(e, set, events, room, deadline,
					   mask, &n);
		if (n < 0)
			n = -errno;
		vt_lock();
		if (!--e->in_kernel && e->kick >= 0) {
			eventfd_t drained;

			eventfd_read(e->kick, &drained);
		}
		if (!again)
			break;
	}
	vt_drop(o);
	vt_unlock();
	return n < 0 ? vt_fail(-n) : n;
}

VT_EXPORT int epoll_pwait(int set, struct epoll_event *events, int room,
			  int timeout, const sigset_t *mask)
{
	if (!vt_peek(set))
		return REAL(epoll_pwait)(set, events, room, timeout, mask);
	return vt_epoll_wait(set, events, room,
			     timeout < 0 ? VT_NEVER : timeout == 0 ? 0 :
			     vt_now() + timeout * 1000000ll, mask);
}

VT_EXPORT int epoll_wait(int set, struct epoll_event *events, int room,
			 int timeout)
{
	if (!vt_peek(set))
		return REAL(epoll_wait)(set, events, room, timeout);
	return epoll_pwait(set, events, room, timeout, NULL);
}

VT_EXPORT int epoll_pwait2(int set, struct epoll_event *events, int room,
			   const struct timespec *timeout,
			   const sigset_t *mask)
{
	int64_t deadline = VT_NEVER;

	if (!vt_peek(set))
		return syscall(SYS_epoll_pwait2, set, events, room, timeout,
			       mask, _NSIG / 8);
	if (timeout) {
		deadline = timeout->tv_sec * 1000000000ll + timeout->tv_nsec;
		if (deadline)
			deadline += vt_now();
	}
	return vt_epoll_wait(set, events, room, deadline, mask);
}
