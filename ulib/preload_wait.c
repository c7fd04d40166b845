/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * preload_wait.c - sleeping until something happens
 *
 * Theory of operation. A thread that must wait registers under the lock what
 * it waits for, gives the lock up and sleeps in ppoll on an eventfd of its
 * own. One of the sleepers, the leader, sleeps on the lane's eventfd and the
 * backend's socket too: it takes the completions when it wakes, and wakes the
 * others whose object changed. Who leaves while others sleep appoints the next
 * leader (vt_unlock). The lane is armed only by the leader, and the first
 * entry after that always notifies, so no wake-up is lost although other
 * threads may take completions meanwhile.
 *
 * A caller checks its condition, calls vt_sleep, and checks again: a wake-up
 * is a hint.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "preload.h"

static pthread_key_t vt_waiter_key;
static pthread_once_t vt_waiter_once = PTHREAD_ONCE_INIT;
VT_TLS struct vt_waiter *vt_own_waiter;

int64_t vt_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

int64_t vt_deadline(int64_t timeout)
{
	return timeout ? vt_now() + timeout : VT_NEVER;
}

static void vt_waiter_unlink(struct vt_waiter *w)
{
	if (!w->linked)
		return;
	w->linked = false;
	if (w->next)
		w->next->prev = w->prev;
	if (w->prev)
		w->prev->next = w->next;
	else
		vt.waiters = w->next;
	if (vt.leader == w) {
		vt.leader = NULL;
		if (vt.lane)
			vtoe_lane_disarm(vt.lane);
	}
}

static void vt_waiter_free(void *arg)
{
	struct vt_waiter *w = arg;

	vt_lock();
	vt_waiter_unlink(w);
	vt_unlock();
	vt_own_waiter = NULL;
	if (w->fd >= 0) {
		vt_unprotect(w->fd);
		REAL(close)(w->fd);
	}
	free(w);
}

static void vt_waiter_make_key(void)
{
	pthread_key_create(&vt_waiter_key, vt_waiter_free);
}

static struct vt_waiter *vt_waiter_get(void)
{
	struct vt_waiter *w = vt_own_waiter;

	if (!w) {
		w = calloc(1, sizeof(*w));
		if (!w)
			return NULL;
		w->fd = -1;
		pthread_once(&vt_waiter_once, vt_waiter_make_key);
		pthread_setspecific(vt_waiter_key, w);
		vt_own_waiter = w;
	}
	vt_waiter_unlink(w); /* left by longjmp */
	if (w->fd < 0) {
		w->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (w->fd >= 0)
			w->fd = vt_protect(w->fd);
	}
	return w;
}

/* In the child of a fork: eventfds are the parent's, other threads gone. */
void vt_wait_child(void)
{
	struct vt_waiter *w = vt_own_waiter;

	vt.waiters = vt.leader = NULL;
	if (w) {
		w->linked = false;
		if (w->fd >= 0) {
			vt_unprotect(w->fd);
			REAL(close)(w->fd);
		}
		w->fd = -1;
	}
}

void vt_wake(const void *on)
{
	struct vt_waiter *w;
	uint64_t one = 1;

	for (w = vt.waiters; w; w = w->next) {
		if (w->woken || (on && w->on && w->on != on))
			continue;
		if (REAL(write)(w->fd, &one, sizeof(one)) > 0)
			w->woken = true;
	}
}

static void vt_sleep_cancelled(void *arg)
{
	vt_lock();
	vt_waiter_unlink(arg);
	vt_calls_end();
	vt_unlock();
}

static int vt_ppoll(struct vt_waiter *w, struct pollfd *fds, nfds_t n,
		    int64_t deadline, const sigset_t *mask)
{
	int64_t ns = deadline == VT_NEVER ? 0 : deadline - vt_now();
	struct timespec left = { 0 };
	int rc;

	if (ns > 0) {
		left.tv_sec = ns / 1000000000;
		left.tv_nsec = ns % 1000000000;
	}
	pthread_cleanup_push(vt_sleep_cancelled, w);
	rc = REAL(ppoll)(fds, n, deadline == VT_NEVER ? NULL : &left, mask);
	pthread_cleanup_pop(0);
	return rc < 0 ? -errno : rc;
}

/* Are quiet completions a reason to wake up from now on? -> that has changed */
static bool vt_tell_sends(void)
{
	bool all = vt.want_sends || vt.starved;

	if (all == vt.told_sends)
		return false;
	vtoe_lane_want_all(vt.lane, all);
	vt.told_sends = all;
	return true;
}

/* The backend may know of SENDs that are complete and has not told us. */
void vt_ask_sends(void)
{
	if (!vt.lane)
		return;
	vtoe_lane_want_all(vt.lane, 1);
	vt.told_sends = true;
}

/* Becomes the leader, if there is none. 1 if completions are there already. */
static int vt_lead(struct vt_waiter *w)
{
	if (!vt.lane || (!vt_tell_sends() && vt.leader))
		return 0;
	/* the leader sleeps, and may have slept through quiet ones */
	if (vtoe_lane_arm(vt.lane)) {
		if (!vt.leader)
			vtoe_lane_disarm(vt.lane);
		return 1;
	}
	if (!vt.leader)
		vt.leader = w;
	return 0;
}

/*
 * Sleeps once. Called and returns locked; unlocked meanwhile. `extra` are
 * kernel descriptors to wait for too, their revents are filled. -> 0 when
 * something may have happened, -ETIME at the deadline, -EINTR after a signal.
 */
int vt_sleep(const void *on, int64_t deadline, struct pollfd *extra,
	     unsigned count, const sigset_t *mask)
{
	struct pollfd few[16], *fds = few;
	int64_t retry = vt.lost ? vt_listen_retry() : VT_NEVER;
	struct vt_waiter *w;
	unsigned n = 0;
	int rc, died;

	vt_submit();
	w = vt_waiter_get();
	if (!w || w->fd < 0)
		return -EINTR;
	if (vt_lead(w)) {
		vt_reap();
		return 0;
	}
	if (count + 3 > sizeof(few) / sizeof(*few)) {
		fds = malloc((count + 3) * sizeof(*fds));
		if (!fds)
			return -EINTR;
	}
	fds[n++] = (struct pollfd){ w->fd, POLLIN, 0 };
	if (vt.leader == w) {
		fds[n++] = (struct pollfd){ vt.lane_fd, POLLIN, 0 };
		fds[n++] = (struct pollfd){ vt.control_fd, 0, 0 };
	}
	if (count)
		memcpy(fds + n, extra, count * sizeof(*fds));
	w->on = on;
	w->woken = false;
	w->linked = true;
	w->prev = NULL;
	w->next = vt.waiters;
	if (w->next)
		w->next->prev = w;
	vt.waiters = w;
	vt.sleeps++;
	vt_signals_reset();
	pthread_mutex_unlock(&vt.lock);
	vt_signals_release();
	rc = vt_ppoll(w, fds, n + count, deadline < retry ? deadline : retry,
		      mask);
	vt_lock();
	died = rc > 0 && n == 3 && vt.leader == w &&
	       (fds[2].revents & (POLLHUP | POLLERR | POLLNVAL));
	vt_waiter_unlink(w);
	if (rc > 0 && fds[0].revents & POLLNVAL) {
		vt_unprotect(w->fd); /* closed by a system call of its own */
		w->fd = -1;
	} else if (rc > 0 && fds[0].revents) {
		uint64_t drain;

		while (REAL(read)(w->fd, &drain, sizeof(drain)) > 0)
			;
	}
	if (count && rc >= 0)
		memcpy(extra, fds + n, count * sizeof(*fds));
	if (fds != few)
		free(fds);
	vt_reap();
	if (died)
		vt_backend_died();
	return rc == 0 && deadline <= retry ? -ETIME : rc < 0 ? rc : 0;
}
