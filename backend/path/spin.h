/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spin.h - for how long to look for new work before sleeping
 *
 * A sleep costs system calls, a context switch and, in a virtual machine, the
 * hypervisor's part of an interrupt; requests and responses come sooner when
 * the worker still looks. It looks for as long as that has been worth it lately:
 *
 *   work found while looking   the window is the whole of `most` again
 *   window over, nothing came  the window is halved, down to nothing; then one
 *                              time in SPIN_RETRY the whole of it is tried, and
 *                              given up at once if that fails
 *   work that moved much       no looking: bulk data is worth a wake-up, and
 *                              looking makes small pieces of it
 *
 * Times are microseconds of any monotonic clock, given by the caller.
 */
#ifndef VTOE_PATH_SPIN_H
#define VTOE_PATH_SPIN_H

#include <stdbool.h>
#include <stdint.h>

enum {
	SPIN_RETRY = 64,
	SPIN_BULK_BYTES = 8192,
};

struct spin {
	uint32_t most;	 /* 0: never */
	uint32_t window; /* now, up to most */
	uint32_t skipped;
	uint64_t until;	 /* 0: not looking */
	uint64_t bytes;	 /* moved in all, when it was last told */
	bool looking;	 /* a turn since the last work found nothing */
	bool trial;	 /* the window is there to be tried */
};

void spin_init(struct spin *s, uint32_t most);
/* Work was done; `bytes` is the count of all bytes ever moved. */
void spin_found(struct spin *s, uint64_t now, uint64_t bytes);
/* Work was done by a turn that slept meanwhile: there is no looking behind it,
 * for its time is not known. */
void spin_slept(struct spin *s, uint64_t bytes);
/* Nothing was there. */
void spin_missed(struct spin *s, uint64_t now);

/* May it pay to look after work that is being done now? */
static inline bool spin_may(const struct spin *s)
{
	return s->window > 0;
}

/* Look again before sleeping? */
static inline bool spin_is_on(const struct spin *s, uint64_t now)
{
	return now < s->until;
}

#endif
