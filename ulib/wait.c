// SPDX-License-Identifier: BSD-2-Clause
/*
 * wait.c - time, event descriptors, conditions, and sleeping
 *
 * Deadlines are nanoseconds of the monotonic clock; FOREVER is none.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "inside.h"
#include "internal.h"

/* The coarse clock is the time of the kernel's last tick, ten milliseconds ago at
 * most. It is for waits that are far longer: to read the other one costs as much as
 * a system call where the processor's counter is emulated. */
#define FAR_MS 200
#define FAR_NS (FAR_MS * 1000000ull)

static uint64_t clock_read(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t clock_ns(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

uint64_t deadline_after(int timeout_ms)
{
	clockid_t clock = timeout_ms < FAR_MS ? CLOCK_MONOTONIC :
						CLOCK_MONOTONIC_COARSE;

	if (timeout_ms < 0)
		return FOREVER;
	return clock_read(clock) + (uint64_t)timeout_ms * 1000000u;
}

uint64_t time_left(uint64_t deadline)
{
	uint64_t now = clock_read(CLOCK_MONOTONIC_COARSE);

	if (deadline < now + FAR_NS)
		now = clock_ns();
	return deadline > now ? deadline - now : 0;
}

struct timespec timespec_from(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / 1000000000u),
				  .tv_nsec = (long)(ns % 1000000000u) };
}

int context_sleep(struct vtoe *ctx, const struct sleep_on *on,
		  uint64_t deadline)
{
	struct pollfd p[2] = {
		{ .fd = on->fd, .events = POLLIN },
		{ .fd = ctx->socket, .events = POLLIN },
	};
	struct timespec left;
	uint64_t ns;
	int n;

	if (ctx->on_device)
		return device_sleep(ctx, on, deadline);
	if (ctx->inside)
		return context_inside_sleep(ctx, on, deadline);
	if (on->bell)
		event_signal(ctx->doorbell);
	if (deadline != FOREVER) {
		ns = time_left(deadline);
		if (!ns)
			return -ETIME;
		left = timespec_from(ns);
	}
	n = ppoll(p, 2, deadline == FOREVER ? NULL : &left, NULL);
	if (n < 0)
		return -errno;
	if (p[0].revents)
		event_drain(on->fd);
	if (p[1].revents)
		return context_check(ctx);
	return n ? 0 : -ETIME;
}

void context_ring(struct vtoe *ctx)
{
	if (ctx->inside)
		ctx->inside_ops->turn(ctx->inside);
	else
		event_signal(ctx->doorbell);
}

unsigned processors(void)
{
	cpu_set_t set;

	/* fails only with more processors than a cpu_set_t has bits */
	if (sched_getaffinity(0, sizeof(set), &set))
		return CPU_SETSIZE;
	return (unsigned)CPU_COUNT(&set);
}

void condition_init(pthread_cond_t *condition)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(condition, &attr);
	pthread_condattr_destroy(&attr);
}

int condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock,
		   uint64_t deadline)
{
	struct timespec until;

	if (deadline == FOREVER) {
		pthread_cond_wait(condition, lock);
		return 0;
	}
	until = timespec_from(deadline);
	if (pthread_cond_timedwait(condition, lock, &until) == ETIMEDOUT)
		return -ETIME;
	return 0;
}

void event_drain(int fd)
{
	uint64_t count;

	while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
}

void event_signal(int fd)
{
	const uint64_t one = 1;

	/* EAGAIN means that 2^64-2 signals wait there unread: enough */
	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}
