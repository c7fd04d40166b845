/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guest.h - one guest of the supervisor: its network, its socket, its worker
 */
#ifndef VTOE_DAEMON_GUEST_H
#define VTOE_DAEMON_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/stats.h"
#include "daemon/cgroup.h"
#include "daemon/config.h"
#include "daemon/loop.h"
#include "daemon/network.h"
#include "daemon/probe.h"
#include "daemon/process.h"
#include "daemon/setup.h"
#include "daemon/steering.h"

#define GUEST_WHY_MAX NETWORK_WHY_MAX

/* What may happen in each state. */
enum guest_state {
	GUEST_PROBING,	/* asks for its addresses: the answer; stop */
	GUEST_STARTING, /* a worker runs, not ready: READY, FAILED, its end */
	GUEST_RUNNING,	/* answers queries; its end; stop */
	GUEST_WAITING,	/* the worker ended: restart by the timer; stop */
	GUEST_LEAVING,	/* told to leave: its end, or the timer kills it */
	GUEST_IDLE,	/* of Xen: no worker until the driver is there; stop */
};

struct guest;
struct guest_xen;
struct xen_host;

/* What all guests share, and who hears of them. */
struct guest_host {
	struct loop *loop;
	const struct cgroup_root *cgroup;
	const char *run_dir;
	uid_t uid; /* of workers */
	gid_t gid;
	/* The first worker is ready; or, with @error, it could not start: then
	 * the guest is stopped by the owner. */
	void (*started)(struct guest *guest, const char *error);
	/* All that it had is gone; the owner calls guest_free(). */
	void (*gone)(struct guest *guest);
	void *owner;
	bool hands_over; /* claims are left to the next supervisor */
	struct xen_host *xen; /* guest_xen.c's; NULL: no such guest yet */
};

/*
 * A question to a worker. It belongs to the asker until @done, which is called
 * exactly once; @answer is called for each packet before, whose length fits its
 * type and whose texts are terminated.
 */
struct guest_query {
	struct list link;
	uint32_t answers; /* so far */
	void (*answer)(struct guest_query *query,
		       const struct worker_header *packet);
	void (*done)(struct guest_query *query, const char *error);
};

/* Whoever waits until a guest has started, or is gone: told once. */
struct guest_waiter {
	void (*done)(struct guest_waiter *waiter, const char *error);
};

struct guest {
	struct list link; /* the owner's */
	struct guest_waiter *waiter; /* the owner's; NULL: nobody */
	struct guest_host *host;
	struct config_guest config;
	struct network network;
	struct steering steering;
	struct probe probe;
	int listener; /* -1: none (Xen) */
	struct guest_xen *xen; /* NULL: of another port */
	struct list xen_link;
	enum guest_state state;
	bool was_ready; /* some worker of it has been */
	bool announced; /* the owner knows whether it started */
	uint32_t link_state; /* enum vtoe_link */
	uint32_t log_level;
	struct process process;
	struct loop_watch ended;   /* the pidfd */
	struct loop_watch channel;
	struct loop_timer timer;   /* see enum guest_state */
	struct list queries;
	struct loop_timer query_timer;
	unsigned int stale_queries; /* given up; their answers still come */
	const struct vtoe_stats *stats;
	uint64_t started_at;
	unsigned int restarts;
	unsigned int quick_ends;
	char failure[GUEST_WHY_MAX];
	bool tto; /* the worker offers it */
	char tto_failure[GUEST_WHY_MAX]; /* why it does not though steered */
};

/* NULL with @why, and nothing left behind. The guest is PROBING or STARTING. */
struct guest *guest_attach(struct guest_host *host,
			   const struct config_guest *config,
			   uint32_t log_level, char *why);
/* Ends it in order; it may be gone when this returns. */
void guest_stop(struct guest *guest);
void guest_free(struct guest *guest);

/* @done is called with an error, from here, if it cannot be asked. */
void guest_ask(struct guest *guest, uint32_t message, uint32_t value,
	       struct guest_query *query);

/* The same with the socket of a capture, which stays the caller's. */
void guest_ask_capture(struct guest *guest,
		       const struct worker_capture *question, int socket,
		       struct guest_query *query);

/* Why TTO is not offered though it is wanted; "". */
const char *guest_tto_failure(const struct guest *guest);
const char *guest_state_name(const struct guest *guest);
double guest_cpu_seconds(const struct guest *guest);

/* guest_worker.c: the worker's side of a guest. */
int guest_start_worker(struct guest *guest, char *why);
void guest_fail_queries(struct guest *guest, const char *error);
void guest_on_channel(struct loop_watch *watch, uint32_t events);
void guest_on_query_timer(struct loop_timer *timer);

/* guest.c, called by guest_worker.c and guest_xen.c. */
void guest_finish(struct guest *guest);
void guest_on_ready(struct guest *guest);
void guest_on_ended(struct loop_watch *watch, uint32_t events);

#endif
