/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * server.h - a TCP stack with a wire, and the socket at which programs come to it
 *
 * What vtoe-stack (main.c) and a stack inside of a program (ulib/inside) are both
 * made of. The caller has the loop: device_turn() of server.own.device, and
 * server_events() with what that returned. Used by one thread at a time.
 */
#ifndef VTOE_STACK_SERVER_H
#define VTOE_STACK_SERVER_H

#include "stack/own.h"
#include "stack/wire_tto.h"

/* For device_watch(); the last one is the caller's own. */
enum server_watch { SERVER_LISTENER, SERVER_LANE, SERVER_HANGUP,
		    SERVER_CALLER };

struct server {
	struct own own;
	struct vtoe_stats stats;
	struct vtoe_device_page page;
	struct wire *wire;
	bool own_open;
	bool looks; /* the caller watches the wire's lane by itself */
	bool others; /* other users than its own may come */
	int listen_fd;
	char directory[80];
	char path[100];	  /* of its socket */
	bool listening; /* somebody has been looked for */
	uint64_t deaf_us; /* until then there is nothing to accept with; 0 */
	int lane_fd, hangup_fd; /* that are watched */
};

struct server_params {
	const char *device; /* NULL: the one that libvtoe finds */
	bool threads;	    /* turns are taken by several threads */
	bool looks, others; /* as above */
};

/* Connects to the device, makes the stack, and listens in a directory of its own.
 * -> 0, or -errno and in `why` what a user is to be told; -EOPNOTSUPP: the device
 * does not offer TTO. Close it in any case. */
int server_open(struct server *s, const struct server_params *p, char *why,
		size_t room);
/* Nobody else is to come: removes the socket. */
void server_hide(struct server *s);
void server_close(struct server *s);
/* Instead, in a child of fork: it is the parent's. */
void server_forget(struct server *s);
/* After each turn, and once before the first: takes in who has come, and watches
 * what has changed. */
void server_events(struct server *s, unsigned events);

#endif
