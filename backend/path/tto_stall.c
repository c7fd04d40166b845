/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tto_stall.c - lanes whose segments wait for room in the device's queue
 *
 * A SEGMENT for which the packet socket or the AF_XDP queue has no room is left
 * in its lane's submission queue, and so is all behind it: the order is kept, and
 * the guest runs out of room, as the driver of a NIC whose queue is full. All that
 * wait are tried again when the packet socket is writable, or after a millisecond:
 * nothing else tells of room in the AF_XDP queue.
 *
 * Until then the packet socket is nobody's: a lane that comes later, or rings, may
 * not take the room for which others wait. When they are woken the first may
 * fill it all; it waits behind those that got nothing then, which are in
 * `stalled_again`. So each gets there, in the order in which they began to wait.
 *
 * A device that takes nothing for a tenth of a second is stuck: segments are lost
 * until it takes one, and nobody waits. The time is the device's and not a
 * lane's: where many share a slow one, each may wait for long.
 */
#include "path/tto_internal.h"

#include <poll.h>

enum {
	/* less than TCP's shortest timeout (200 ms), and enough for one segment
	 * of 64 KiB at 5 Mbit/s */
	STUCK_US = 100000,
	AGAIN_NS = 1000000,
};

bool tto_is_stuck(const struct tto *t, enum tto_way way)
{
	return t->device->now_us - t->took_us[way] >= STUCK_US;
}

bool tto_stall(struct lane *lane, enum tto_way way)
{
	struct tto *t = lane->conn->device->tto;
	struct frame_lane *fl = lane->frames;

	if (tto_is_stuck(t, way))
		return false;
	if (!fl->stalled) {
		t->device->stats->tto_stalled++;
		list_del(&fl->stall_node);
		list_add_tail(&t->stalled, &fl->stall_node);
	} else if (list_empty(&fl->stall_node)) {
		list_add_tail(&t->stalled_again, &fl->stall_node);
	}
	return true;
}

void tto_stall_watch(struct tto *t)
{
	struct uring *u = &t->device->uring;

	if (!t->full && list_empty(&t->stalled) &&
	    list_empty(&t->stalled_again))
		return;
	if (t->full && !t->full_polled)
		io_uring_prep_poll_add(uring_sqe(u, &t->stalled, TAG_FRAMES),
				       t->config.sockets.packet, POLLOUT);
	t->full_polled |= t->full;
	if (t->stall_timed)
		return;
	t->stall_timed = true;
	t->stall_timer = (struct __kernel_timespec){ .tv_nsec = AGAIN_NS };
	io_uring_prep_timeout(uring_sqe(u, &t->stall_timer, TAG_FRAMES),
			      &t->stall_timer, 0, 0);
}

static void ready_all(struct list *lanes)
{
	while (!list_empty(lanes)) {
		struct frame_lane *fl = list_entry(lanes->next,
						   struct frame_lane,
						   stall_node);

		list_del(&fl->stall_node);
		lane_ready(fl->lane);
	}
}

void tto_stall_woken(struct tto *t, const void *object)
{
	if (object == &t->stalled)
		t->full_polled = false;
	else
		t->stall_timed = false;
	t->full = false;
	ready_all(&t->stalled_again);
	ready_all(&t->stalled);
}
