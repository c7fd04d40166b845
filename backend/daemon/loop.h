/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * loop.h - the supervisor's event loop: descriptors and timers
 *
 * A watch or a timer lives inside the object that owns it. A callback may
 * remove any watch or timer, its own too: one event is taken at a time, so no
 * stale one is left.
 */
#ifndef VTOE_DAEMON_LOOP_H
#define VTOE_DAEMON_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct loop {
	int epoll;
	bool stopped;
	struct list timers;
};

struct loop_watch {
	int fd; /* -1: not watched */
	void (*ready)(struct loop_watch *watch, uint32_t events);
};

struct loop_timer {
	struct list link;
	uint64_t at; /* of loop_now() */
	void (*expired)(struct loop_timer *timer);
};

int loop_init(struct loop *loop);
void loop_close(struct loop *loop);
/* Until loop_stop(). 0 or -errno. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* Milliseconds of the monotonic clock. */
uint64_t loop_now(void);

int loop_add(struct loop *loop, struct loop_watch *watch, int fd,
	     uint32_t events);
void loop_change(struct loop *loop, struct loop_watch *watch, uint32_t events);
/* Does not close the descriptor. */
void loop_remove(struct loop *loop, struct loop_watch *watch);

void loop_timer_init(struct loop_timer *timer,
		     void (*expired)(struct loop_timer *timer));
/* Moves it if it is set already. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer,
		    uint64_t milliseconds);
void loop_timer_clear(struct loop_timer *timer);

#endif
