/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * loop.c - the supervisor's event loop: descriptors and timers
 *
 * One thread, one epoll, one event a turn. There are few timers (one a guest,
 * one a client), so an unsorted list serves.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "daemon/loop.h"

int loop_init(struct loop *loop)
{
	list_init(&loop->timers);
	loop->stopped = false;
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	return loop->epoll < 0 ? -errno : 0;
}

void loop_close(struct loop *loop)
{
	close(loop->epoll);
	loop->epoll = -1;
}

uint64_t loop_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct loop_timer *loop_first_timer(struct loop *loop)
{
	struct loop_timer *first = NULL, *timer;
	struct list *at, *next;

	list_for_each_safe(at, next, &loop->timers) {
		timer = list_entry(at, struct loop_timer, link);
		if (!first || timer->at < first->at)
			first = timer;
	}
	return first;
}

static int loop_wait_time(const struct loop_timer *first)
{
	uint64_t now = loop_now();

	if (!first)
		return -1;
	if (first->at <= now)
		return 0;
	return first->at - now > 60000 ? 60000 : (int)(first->at - now);
}

int loop_run(struct loop *loop)
{
	struct loop_timer *first;
	struct loop_watch *watch;
	struct epoll_event event;
	int n;

	while (!loop->stopped) {
		first = loop_first_timer(loop);
		n = epoll_wait(loop->epoll, &event, 1, loop_wait_time(first));
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			watch = event.data.ptr;
			watch->ready(watch, event.events);
		}
		first = loop_first_timer(loop);
		if (first && first->at <= loop_now()) {
			loop_timer_clear(first);
			first->expired(first);
		}
	}
	return 0;
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}

int loop_add(struct loop *loop, struct loop_watch *watch, int fd,
	     uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event))
		return -errno;
	watch->fd = fd;
	return 0;
}

void loop_change(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	epoll_ctl(loop->epoll, EPOLL_CTL_MOD, watch->fd, &event);
}

void loop_remove(struct loop *loop, struct loop_watch *watch)
{
	if (watch->fd >= 0)
		epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->fd = -1;
}

void loop_timer_init(struct loop_timer *timer,
		     void (*expired)(struct loop_timer *timer))
{
	list_init(&timer->link);
	timer->expired = expired;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer,
		    uint64_t milliseconds)
{
	list_del(&timer->link);
	timer->at = loop_now() + milliseconds;
	list_add_tail(&loop->timers, &timer->link);
}

void loop_timer_clear(struct loop_timer *timer)
{
	list_del(&timer->link);
}
