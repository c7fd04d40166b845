/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * inside.h - a TCP stack inside of the program (VTOE_OPEN_TTO)
 *
 * The stack, ulib/stack, is a module of its own that is loaded when a program asks
 * for it: so libvtoe stays small, and needs no io_uring. The two meet in a table
 * of functions. To the context the stack is a backend like any other, at a socket,
 * with a thread that serves it; but since it is in the same process there are two
 * things that a context does better, and both save a switch between threads:
 *
 *   - where others ring the doorbell it takes a turn of the stack by itself
 *   - while it sleeps it watches the wire by itself, and takes the turn that what
 *     comes there needs
 *
 * The functions may be called by any thread, but those of one wait by one.
 */
#ifndef VTOE_INSIDE_H
#define VTOE_INSIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INSIDE_VERSION 1u
#define INSIDE_SYMBOL "vtoe_inside"
#define INSIDE_NEVER UINT64_MAX

struct inside;

/* What a thread that sleeps is to watch. */
struct inside_wait {
	int fd;		   /* readable: there is something to do; -1: nothing */
	uint64_t until_ns; /* of the monotonic clock; so is there then */
};

struct inside_ops {
	uint32_t version; /* INSIDE_VERSION */
	/* To the device (NULL: as vtoe_open()). -> 0 or -errno, in `why` what a
	 * user may be told. */
	int (*open)(struct inside **out, const char *device, char *why,
		    size_t room);
	/* All contexts are closed. Waits until what was sent has arrived, for
	 * VTOE_DRAIN_SECONDS at most. */
	void (*close)(struct inside *i);
	/* Of the socket that the context connects to, until it has. */
	const char *(*path)(const struct inside *i);
	/* There is something in a ring: takes a turn. */
	void (*turn)(struct inside *i);
	/* The program waits by descriptors of lanes (vtoe_lane_arm()): the wire is
	 * to be watched for it, from now on. */
	void (*watch)(struct inside *i);
	/* Before a thread sleeps, and after; `happened`: the descriptor is
	 * readable, or the time has come. */
	void (*wait_begin)(struct inside *i, struct inside_wait *w);
	void (*wait_end)(struct inside *i, struct inside_wait *w,
			 bool happened);
	/* A thread that looks for its completions takes the turn that makes them,
	 * if something has come. */
	void (*spin_begin)(struct inside *i);
	void (*spin_look)(struct inside *i);
	void (*spin_end)(struct inside *i); /* without success */
	/* In a child of fork: its threads, and so the stack, are the parent's. */
	void (*forget)(struct inside *i);
};

#endif
