/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * device.c - the worker's turn
 *
 *   1. serve: control rings and lanes on the ready lists, each up to its
 *      credit, then to the end of the list: one greedy lane waits for all
 *      others (fairness)
 *   2. issue: the sends that this gathered, per stream (toe_issue())
 *   3. flush: publish completions, notify the guests that asked
 *   4. submit: one system call for all of the above; it sleeps if nothing is
 *      ready and everything is armed, which a lane is as soon as all that it
 *      had is taken. While it pays to look (spin.h), lanes stay on the ready
 *      list unarmed, and the turn does not sleep. A stalled lane (lane.c) is
 *      neither: something else wakes it
 *   5. reap: what the kernel completed becomes completions; flush again
 *
 * Objects that ended are freed at the end of the turn, after everything that
 * names them or their descriptors is with the kernel.
 */
#include "path/path.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { URING_ENTRIES = 1024, REAP_BATCH = 256 };

int device_init(struct device *d, const struct device_limits *limits,
		struct vtoe_stats *stats)
{
	uint32_t i;
	int rc;

	memset(d, 0, sizeof(*d));
	d->limits = *limits;
	d->stats = stats;
	d->wake_us = DEVICE_NEVER;
	spin_init(&d->spin, limits->spin_usec);
	list_init(&d->conns);
	list_init(&d->ready);
	list_init(&d->ready_conns);
	list_init(&d->dirty);
	list_init(&d->live);
	list_init(&d->blocked);
	list_init(&d->sending);
	list_init(&d->tokens);
	list_init(&d->dead_streams);
	list_init(&d->quiet_queued);
	list_init(&d->quiet_sent);
	list_init(&d->dead_conns);
	pool_init(&d->requests, sizeof(struct request), 64, limits->requests);
	pool_init(&d->batches, sizeof(struct send_batch), 16, limits->requests);
	pool_init(&d->holds, sizeof(struct hold), 64, limits->streams * 4);
	d->streams = calloc(limits->streams + 1, sizeof(*d->streams));
	d->generation = calloc(limits->streams + 1, sizeof(*d->generation));
	d->free_index = calloc(limits->streams + 1, sizeof(*d->free_index));
	rc = -ENOMEM;
	if (d->streams && d->generation && d->free_index)
		rc = uring_open(&d->uring, URING_ENTRIES,
				limits->no_registered_files ?
					0 : limits->streams + 1,
				limits->threads);
	if (rc) {
		device_free(d);
		return rc;
	}
	for (i = limits->streams; i > 0; i--)
		d->free_index[d->free_count++] = i;
	return 0;
}

void device_free(struct device *d)
{
	uring_close(&d->uring);
	pool_free(&d->requests);
	pool_free(&d->batches);
	pool_free(&d->holds);
	free(d->streams);
	free(d->generation);
	free(d->free_index);
}

static struct io_uring_sqe *device_caller_sqe(struct device *d, unsigned which)
{
	struct io_uring_sqe *sqe = uring_sqe(&d->uring, NULL, TAG_CALLER);

	sqe->user_data = (uint64_t)which << 4 | TAG_CALLER;
	return sqe;
}

void device_watch(struct device *d, int fd, unsigned which)
{
	io_uring_prep_poll_add(device_caller_sqe(d, which), fd, POLLIN);
}

void device_watch_read(struct device *d, int fd, void *into, unsigned bytes,
		       unsigned which)
{
	io_uring_prep_read(device_caller_sqe(d, which), fd, into, bytes, 0);
}

void device_write(struct device *d, int fd, const void *from, unsigned bytes)
{
	struct io_uring_sqe *sqe = uring_sqe(&d->uring, NULL, TAG_IGNORE);

	io_uring_prep_write(sqe, fd, from, bytes, 0);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

void device_set_timer(struct device *d)
{
	if (d->timer_armed)
		return;
	d->timer_armed = true;
	d->timer.tv_sec = 0;
	d->timer.tv_nsec = 500000000;
	io_uring_prep_timeout(uring_sqe(&d->uring, d, TAG_TIMER), &d->timer, 0,
			      0);
}

static void device_serve(struct device *d, bool *busy)
{
	struct list round;
	struct lane *lane;
	int taken;

	list_init(&round);
	/* Those that are ready now; who has more goes behind all others. */
	list_move_all(&round, &d->ready_conns);
	while (!list_empty(&round)) {
		conn_turn(list_entry(round.next, struct conn, ready_node));
		*busy = true;
	}
	list_move_all(&round, &d->blocked);
	while (!list_empty(&round))
		toe_accept_next(list_entry(round.next, struct stream,
					   starved_node));
	list_move_all(&round, &d->ready);
	while (!list_empty(&round)) {
		lane = list_entry(round.next, struct lane, ready_node);
		list_del(&lane->ready_node);
		taken = lane_turn(lane, d->limits.credit);
		*busy |= taken > 0;
		if (!lane->stalled &&
		    (taken == (int)d->limits.credit ||
		     (taken > 0 ? spin_may(&d->spin) :
				  spin_is_on(&d->spin, d->now_us)))) {
			lane_ready(lane); /* unarmed: the guest need not ring */
		} else if (!lane->parked && lane->open && !lane_arm(lane)) {
			lane_ready(lane);
			*busy = true;
		}
	}
	toe_issue(d, busy);
	if (d->frames)
		d->frames->turn(d, busy);
}

static void device_flush(struct device *d)
{
	struct lane *lane;

	while (!list_empty(&d->dirty)) {
		lane = list_entry(d->dirty.next, struct lane, dirty_node);
		list_del(&lane->dirty_node);
		if (lane->cq.broken && lane->open)
			lane_park(lane, VTOE_VIOLATION_CONSUMER);
		lane_flush(lane);
	}
}

static void device_doorbell(struct conn *c, uint32_t flags)
{
	c->device->stats->doorbells++;
	conn_kick(c);
	if (flags & IORING_CQE_F_MORE)
		return;
	c->doorbell_armed = false;
	if (c->state == CONN_LEAVING)
		conn_try_free(c);
	else
		conn_watch(c);
}

static void device_tick(struct device *d)
{
	bool again;

	d->timer_armed = false;
	again = stream_tick(d);
	again |= conn_tick(d);
	if (d->frames)
		again |= d->frames->tick(d);
	if (again)
		device_set_timer(d);
}

static void device_complete(struct device *d, uint64_t tag, int32_t result,
			    uint32_t flags, unsigned *events)
{
	void *object = uring_tag_object(tag);

	switch (uring_tag_kind(tag)) {
	case TAG_DOORBELL:
		device_doorbell(object, flags);
		break;
	case TAG_HANGUP:
		if (((struct conn *)object)->state == CONN_LEAVING) {
			((struct conn *)object)->hangup_armed = false;
			conn_try_free(object);
		} else {
			conn_hangup(object);
		}
		break;
	case TAG_TIMER:
		device_tick(d);
		break;
	case TAG_FRAMES:
		d->frames->woken(d, object);
		break;
	case TAG_CALLER:
		*events |= 1u << (tag >> 4 & 3);
		d->caller_result[tag >> 4 & 3] = result;
		break;
	default:
		toe_complete(tag, result, flags);
		break;
	}
}

/* -> bit mask of the caller's events */
static unsigned device_reap(struct device *d, bool *busy)
{
	struct io_uring_cqe *cqe;
	unsigned events = 0, n;
	uint64_t tag;
	uint32_t flags;
	int32_t result;

	for (n = 0; n < REAP_BATCH * 4; n++) {
		if (io_uring_peek_cqe(&d->uring.ring, &cqe))
			break;
		tag = cqe->user_data;
		result = cqe->res;
		flags = cqe->flags;
		io_uring_cqe_seen(&d->uring.ring, cqe);
		device_complete(d, tag, result, flags, &events);
		*busy = true;
	}
	return events;
}

static void device_bury(struct device *d)
{
	struct list *at, *tmp;

	if (list_empty(&d->dead_streams) && list_empty(&d->dead_conns))
		return;
	/* Notifications that were queued name descriptors of dead connections:
	 * they go to the kernel before those are closed. */
	if (!list_empty(&d->dead_conns))
		uring_submit(&d->uring, false);
	list_for_each_safe(at, tmp, &d->dead_streams) {
		list_del(at);
		free(list_entry(at, struct stream, live_node));
	}
	list_for_each_safe(at, tmp, &d->dead_conns)
		conn_free(list_entry(at, struct conn, node));
}

uint64_t device_clock_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* The caller's time goes on meanwhile: what is begun for what has come (a drain)
 * must not have begun before a long sleep. */
static void device_sleep(struct device *d)
{
	uint64_t before = device_clock_us();

	if (d->wake_us == DEVICE_NEVER)
		uring_submit(&d->uring, true);
	else
		uring_wait(&d->uring, d->wake_us - d->now_us);
	d->now_us += device_clock_us() - before;
	d->now = d->now_us / 1000;
}

bool device_is_idle(const struct device *d)
{
	return list_empty(&d->ready) && list_empty(&d->ready_conns) &&
	       d->wake_us > d->now_us;
}

/* What the guests have asked for; a few times, as one thing leads to another. */
enum { TURNS_BESIDE = 4 };

bool device_turn_beside(struct device *d, uint64_t now_us)
{
	unsigned n;
	bool busy = false, more = true;

	d->now_us = now_us;
	d->now = now_us / 1000;
	for (n = 0; n < TURNS_BESIDE && more; n++) {
		d->stats->turns++;
		device_serve(d, &busy);
		device_flush(d);
		if (list_empty(&d->dead_conns))
			device_bury(d);
		more = !device_is_idle(d);
	}
	if (io_uring_sq_ready(&d->uring.ring))
		uring_submit(&d->uring, false);
	return !more && list_empty(&d->dead_conns);
}

unsigned device_turn(struct device *d, uint64_t now_us, bool sleep, bool *busy)
{
	unsigned events;

	d->now_us = now_us;
	d->now = now_us / 1000;
	*busy = false;
	device_serve(d, busy);
	device_flush(d);
	device_bury(d);
	sleep = sleep && device_is_idle(d) && list_empty(&d->quiet_sent) &&
		!io_uring_cq_ready(&d->uring.ring) &&
		(!d->frames || d->frames->arm(d));
	d->stats->turns++;
	if (sleep) {
		d->stats->sleeps++;
		device_sleep(d);
	} else {
		uring_poll(&d->uring);
	}
	if (!io_uring_sq_ready(&d->uring.ring))
		toe_send_submitted(d);
	events = device_reap(d, busy);
	if (!uring_has_answers(&d->uring))
		toe_send_settle(d);
	device_flush(d);
	if (*busy && sleep)
		spin_slept(&d->spin, d->stats->rx_bytes + d->stats->tx_bytes);
	else if (*busy)
		spin_found(&d->spin, now_us,
			   d->stats->rx_bytes + d->stats->tx_bytes);
	else
		spin_missed(&d->spin, now_us);
	return events;
}
