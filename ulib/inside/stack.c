/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stack.c - the stack inside of a program: the table that ulib/inside.h describes
 *
 * Theory of operation. A server (server.h) and a thread that has its loop. Turns
 * are taken under a lock by that thread and by the program's own, of which each
 * takes one when it would have rung a doorbell. So an exchange costs no switch
 * between threads: the program's thread sends by itself, sleeps on the wire's
 * descriptor (it leads), and when that wakes it receives by itself.
 *
 * The thread is there for what must go on meanwhile (MECHANISMS G4): timers, what
 * comes while the program computes, connections of its children. It does not watch
 * the wire's descriptor while a program's thread does, or did a moment ago: both
 * would wake up for everything that comes. So it looks after TICK_US, and less and
 * less often while the program is busy, what the program's threads do:
 *
 *   one leads          they will do all there is to do. After a while in which
 *                      nothing happened it rests; the next turn ends that
 *   turns were taken   the program is busy in between: looks again
 *   neither            watches the wire, until a turn is taken again
 *
 * What comes when a busy program begins to compute thus waits for TICK_MAX_US at
 * most, and not at all later.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "inside.h"
#include "stack/server.h"
#include "stack/wire_session.h"
#include "wait.h"

enum { TICK_US = 4000, TICK_MAX_US = 16000, REST_TICKS = 4 };

struct inside {
	struct inside *next;
	pthread_mutex_t lock; /* of everything below */
	pthread_t thread;
	struct server server;
	int kick_fd; /* the thread looks at once */
	unsigned wanting; /* threads of the program; atomic, not under it */
	bool leading;	/* a program's thread sleeps on `leading_fd` */
	int leading_fd;
	bool resting;	/* the thread relies on it */
	bool always;	/* the thread watches the wire in any case */
	uint32_t turns; /* of the program's threads */
	uint64_t look_us; /* when the thread looks again by itself */
	bool ending;	/* nobody is to come any more */
	uint64_t drain_us;
	pid_t pid;
};

/* -- the program's threads ------------------------------------------------- */

static void inside_lock(struct inside *i)
{
	__atomic_add_fetch(&i->wanting, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&i->lock);
	__atomic_sub_fetch(&i->wanting, 1, __ATOMIC_RELAXED);
}

/* A turn; the thread is told if it has to go on, or earlier than it knows. */
static void inside_take_turn(struct inside *i)
{
	struct device *d = &i->server.own.device;
	bool done;

	i->turns++;
	done = device_turn_beside(d, device_clock_us());
	/* a tick late is in time */
	if (!done || i->resting ||
	    (i->look_us > TICK_MAX_US &&
	     d->wake_us < i->look_us - TICK_MAX_US)) {
		i->resting = false;
		i->look_us = 0;
		event_signal(i->kick_fd);
	}
}

static void inside_turn(struct inside *i)
{
	struct device *d = &i->server.own.device;
	struct list *at, *tmp;

	inside_lock(i);
	list_for_each_safe(at, tmp, &d->conns) {
		struct conn *c = list_entry(at, struct conn, node);

		if (c->link.pid == (uint32_t)i->pid)
			conn_kick(c);
	}
	inside_take_turn(i);
	pthread_mutex_unlock(&i->lock);
}

static void inside_watch(struct inside *i)
{
	inside_lock(i);
	if (!i->always)
		event_signal(i->kick_fd);
	i->always = true;
	pthread_mutex_unlock(&i->lock);
}

static void inside_wait_begin(struct inside *i, struct inside_wait *w)
{
	const struct device *d = &i->server.own.device;

	w->fd = -1;
	w->until_ns = INSIDE_NEVER;
	inside_lock(i);
	if (!i->leading) {
		w->fd = i->leading_fd = wire_tto_lane_fd(i->server.wire);
		i->leading = w->fd >= 0;
	}
	if (w->fd >= 0 && d->wake_us != DEVICE_NEVER)
		w->until_ns = d->wake_us * 1000;
	pthread_mutex_unlock(&i->lock);
}

static void inside_wait_end(struct inside *i, struct inside_wait *w,
			    bool happened)
{
	if (w->fd < 0)
		return;
	inside_lock(i);
	i->leading = false;
	/* not that of another worker by now */
	if (happened && w->fd == wire_tto_lane_fd(i->server.wire)) {
		wire_tto_woken(i->server.wire, false);
		inside_take_turn(i);
	} else if (i->resting) {
		i->resting = false;
		event_signal(i->kick_fd);
	}
	pthread_mutex_unlock(&i->lock);
}

/* Nobody is woken for what comes while a thread looks. */
static void inside_spin_begin(struct inside *i)
{
	inside_lock(i);
	if (!i->always && wire_tto_has_come(i->server.wire, true))
		inside_take_turn(i);
	pthread_mutex_unlock(&i->lock);
}

/* Another one takes a turn? Then there is nothing to look for. */
static void inside_spin_look(struct inside *i)
{
	if (pthread_mutex_trylock(&i->lock))
		return;
	if (wire_tto_has_come(i->server.wire, false))
		inside_take_turn(i);
	pthread_mutex_unlock(&i->lock);
}

/* It has found nothing: a turn asks to be woken. */
static void inside_spin_end(struct inside *i)
{
	inside_lock(i);
	if (!i->always)
		inside_take_turn(i);
	pthread_mutex_unlock(&i->lock);
}

/* -- the thread ------------------------------------------------------------ */

struct look {
	uint32_t turns; /* as they were at the last look */
	unsigned quiet; /* looks at which they were the same */
	uint64_t tick_us;
};

/* Does somebody else watch the wire, or did so a moment ago? */
static bool inside_is_led(struct inside *i, struct look *l)
{
	bool led = i->leading &&
		   i->leading_fd == wire_tto_lane_fd(i->server.wire);

	if (i->always)
		return false;
	l->quiet = l->turns == i->turns ? l->quiet + 1 : 0;
	l->turns = i->turns;
	l->tick_us = l->quiet ? TICK_US : 2 * l->tick_us;
	if (l->tick_us > TICK_MAX_US)
		l->tick_us = TICK_MAX_US;
	return led || !l->quiet;
}

/* -> when to look again; `p` is what to watch until then */
static uint64_t inside_plan(struct inside *i, struct look *l, struct pollfd p[3])
{
	struct device *d = &i->server.own.device;
	uint64_t until = d->wake_us;

	p[0] = (struct pollfd){ d->uring.ring.ring_fd, POLLIN, 0 };
	p[1] = (struct pollfd){ i->kick_fd, POLLIN, 0 };
	p[2] = (struct pollfd){ -1, POLLIN, 0 };
	if (!inside_is_led(i, l)) {
		p[2].fd = wire_tto_lane_fd(i->server.wire);
	} else if (i->leading && l->quiet >= REST_TICKS) {
		/* who leads keeps the time, too */
		i->resting = true;
		until = DEVICE_NEVER;
	} else if (until > d->now_us + l->tick_us) {
		until = d->now_us + l->tick_us;
	}
	return i->look_us = until;
}

static bool inside_is_over(struct inside *i, uint64_t now)
{
	struct own *o = &i->server.own;

	if (!i->ending)
		return false;
	device_set_timer(&o->device); /* looks again in a while */
	/* those that have ended are freed by the next turn */
	if (o->device.conn_count || !list_empty(&o->device.dead_conns) ||
	    !list_empty(&o->device.dead_streams))
		return false;
	if (!i->drain_us)
		i->drain_us = now + VTOE_DRAIN_SECONDS * 1000000ull;
	return !o->conn_count || now >= i->drain_us;
}

static bool inside_sleep(const struct pollfd from[3], uint64_t until)
{
	struct pollfd p[3] = { from[0], from[1], from[2] };
	uint64_t now = device_clock_us(), left = until > now ? until - now : 0;
	struct timespec t = timespec_from(left * 1000);

	if (ppoll(p, 3, until == DEVICE_NEVER ? NULL : &t, NULL) <= 0)
		return false;
	if (p[1].revents)
		event_drain(p[1].fd);
	return p[2].revents;
}

/* The lock is nobody's for long enough that who waits for it gets it. */
static void inside_give_way(struct inside *i)
{
	const struct timespec moment = { .tv_nsec = 50000 };

	if (!__atomic_load_n(&i->wanting, __ATOMIC_RELAXED))
		return;
	pthread_mutex_unlock(&i->lock);
	nanosleep(&moment, NULL);
	pthread_mutex_lock(&i->lock);
}

static void *inside_run(void *arg)
{
	struct inside *i = arg;
	struct device *d = &i->server.own.device;
	struct look look = { .tick_us = TICK_US };
	struct pollfd p[3];
	unsigned events;
	uint64_t until;
	bool busy, readable = false;

	pthread_mutex_lock(&i->lock);
	server_events(&i->server, 0);
	do {
		if (readable)
			wire_tto_woken(i->server.wire, false);
		events = device_turn(d, device_clock_us(), false, &busy);
		server_events(&i->server, events);
		/* so nothing is left if the program is killed */
		if (d->conn_count)
			server_hide(&i->server);
		readable = false;
		if (busy || !device_is_idle(d)) {
			inside_give_way(i);
			continue;
		}
		until = inside_plan(i, &look, p);
		pthread_mutex_unlock(&i->lock);
		readable = inside_sleep(p, until);
		pthread_mutex_lock(&i->lock);
		i->resting = false;
	} while (!inside_is_over(i, device_clock_us()));
	pthread_mutex_unlock(&i->lock);
	return NULL;
}

/* -- open and close -------------------------------------------------------- */

static void inside_free(struct inside *i)
{
	if (i->kick_fd >= 0)
		close(i->kick_fd);
	pthread_mutex_destroy(&i->lock);
	free(i);
}

/* -- fork ------------------------------------------------------------------ */

/* The child gets the stack as it is between two turns, to free it. */
static struct inside *insides;
static pthread_mutex_t insides_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t insides_once = PTHREAD_ONCE_INIT;

static void insides_stop(void)
{
	struct inside *i;

	pthread_mutex_lock(&insides_lock);
	for (i = insides; i; i = i->next)
		pthread_mutex_lock(&i->lock);
}

static void insides_go_on(void)
{
	struct inside *i;

	for (i = insides; i; i = i->next)
		pthread_mutex_unlock(&i->lock);
	pthread_mutex_unlock(&insides_lock);
}

static void insides_init(void)
{
	pthread_atfork(insides_stop, insides_go_on, insides_go_on);
}

static void insides_add(struct inside *i)
{
	pthread_once(&insides_once, insides_init);
	pthread_mutex_lock(&insides_lock);
	i->next = insides;
	insides = i;
	pthread_mutex_unlock(&insides_lock);
}

static void insides_remove(struct inside *i)
{
	struct inside **link = &insides;

	pthread_mutex_lock(&insides_lock);
	while (*link != i)
		link = &(*link)->next;
	*link = i->next;
	pthread_mutex_unlock(&insides_lock);
}

static void inside_close(struct inside *i)
{
	pthread_mutex_lock(&i->lock);
	i->ending = true;
	pthread_mutex_unlock(&i->lock);
	event_signal(i->kick_fd);
	pthread_join(i->thread, NULL);
	insides_remove(i);
	server_close(&i->server);
	inside_free(i);
}

static void inside_forget(struct inside *i)
{
	if (i->pid == getpid()) {
		inside_close(i);
		return;
	}
	insides_remove(i);
	server_forget(&i->server);
	inside_free(i);
}

static int inside_open(struct inside **out, const char *device, char *why,
		       size_t room)
{
	const struct server_params params = {
		.device = device,
		.threads = true,
		.looks = true,
	};
	struct inside *i = calloc(1, sizeof(*i));
	int rc;

	if (!i)
		return -ENOMEM;
	pthread_mutex_init(&i->lock, NULL);
	i->pid = getpid();
	i->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = server_open(&i->server, &params, why, room);
	if (!rc && i->kick_fd < 0)
		rc = -EMFILE;
	if (!rc)
		rc = session_thread(&i->thread, inside_run, i);
	if (rc) {
		server_close(&i->server);
		inside_free(i);
		return rc;
	}
	insides_add(i);
	*out = i;
	return 0;
}

static const char *inside_path(const struct inside *i)
{
	return i->server.path;
}

const struct inside_ops vtoe_inside = {
	.version = INSIDE_VERSION,
	.open = inside_open,
	.close = inside_close,
	.path = inside_path,
	.turn = inside_turn,
	.watch = inside_watch,
	.wait_begin = inside_wait_begin,
	.wait_end = inside_wait_end,
	.spin_begin = inside_spin_begin,
	.spin_look = inside_spin_look,
	.spin_end = inside_spin_end,
	.forget = inside_forget,
};
