/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xenbus.h - the backend's side of one device on xenbus
 *
 * A struct xenbus_device is told what happened (its frontend's nodes changed,
 * its worker is ready or has ended, its domain is gone, time has passed) and
 * acts on xenstore. What it wants of its owner it says in its fields, which the
 * owner looks at after each call: `wants_worker`, `wake_at`, `phase`.
 *
 * xenstore is behind a table of operations: the real one is xenbus_store.c, and
 * xenbus_nostore.c where libxen is missing; a test has its own.
 */
#ifndef VTOE_DAEMON_XENBUS_H
#define VTOE_DAEMON_XENBUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XENBUS_PATH_MAX 96
#define XENBUS_VALUE_MAX 128
#define XENBUS_TOKEN_MAX 32
#define XENBUS_WHY_MAX 256
#define XENBUS_DOMAINS "@" /* the token of watches for domains */

enum xenbus_state {
	XENBUS_UNKNOWN = 0, /* no node, or garbage in it */
	XENBUS_INITIALISING = 1,
	XENBUS_INIT_WAIT = 2,
	XENBUS_INITIALISED = 3,
	XENBUS_CONNECTED = 4,
	XENBUS_CLOSING = 5,
	XENBUS_CLOSED = 6,
};

/* A node to be written, with its permissions: owner, and who may read. */
struct xenbus_node {
	char path[XENBUS_PATH_MAX];
	char value[XENBUS_VALUE_MAX];
	uint32_t owner, reader;
};

struct xenbus_store;

/* Pages of a guest that this domain maps. */
struct xenbus_needs {
	uint32_t connection; /* of one connection */
	uint64_t guest;	     /* all of this guest's together, at most */
	uint64_t others;     /* of the guests that are attached already */
};

/* Each returns 0 (or what is said) or -errno, and waits for nobody but
 * xenstored. */
struct xenbus_ops {
	/* Fills @value, cut and terminated; the length without the NUL. */
	int (*read)(struct xenbus_store *store, const char *path, char *value,
		    size_t size);
	int (*write)(struct xenbus_store *store, const char *path,
		     const char *value);
	/* In one transaction: removes @remove (NULL-terminated; NULL: none),
	 * then writes the nodes in order. */
	int (*publish)(struct xenbus_store *store, const char *const *remove,
		       const struct xenbus_node *nodes, size_t count);
	int (*watch)(struct xenbus_store *store, const char *path,
		     const char *token);
	void (*unwatch)(struct xenbus_store *store, const char *path,
			const char *token);
	/* 1 and the token of a watch that fired; 0: none. */
	int (*next)(struct xenbus_store *store, char *token, size_t size);
	bool (*exists)(struct xenbus_store *store, uint32_t domid);
	/* By name; -ENOENT. */
	int (*find)(struct xenbus_store *store, const char *name,
		    uint32_t *domid);
	/* Whether it fits the limits of both sides; else -1 with @why. */
	int (*check_limits)(struct xenbus_store *store, uint32_t domid,
			    const struct xenbus_needs *needs, char *why);
	void (*close)(struct xenbus_store *store);
};

struct xenbus_store {
	const struct xenbus_ops *ops;
	int fd; /* readable when a watch fired */
};

/* NULL with @why of XENBUS_WHY_MAX bytes. */
struct xenbus_store *xenbus_store_open(char *why);

/* What may happen in each phase; xenbus.c has the transitions. */
enum xenbus_phase {
	XENBUS_ABSENT,	 /* no domain: offer */
	XENBUS_OFFERED,	 /* InitWait: the frontend writes Initialised */
	XENBUS_STARTING, /* a worker is wanted: ready, its end, the frontend */
	XENBUS_SERVING,	 /* Connected: its end, the frontend */
	XENBUS_ENDING,	 /* Closing: the worker's end, the frontend's Closed */
	XENBUS_PAUSING,	 /* Closed: InitWait again by the timer */
	XENBUS_LEAVING,	 /* Closing for ever: as ENDING, and a timer */
	XENBUS_GONE,	 /* nothing is left in xenstore: free it */
};

/* What the guest's driver is told. */
struct xenbus_offer {
	uint32_t features, connection_pages, max_connections;
	char mac[18], ipv4[16], ipv6[46];
};

struct xenbus_device {
	struct xenbus_store *store;
	struct xenbus_offer offer;
	char token[XENBUS_TOKEN_MAX]; /* of its watch */
	uint32_t domid;	   /* valid unless ABSENT */
	enum xenbus_phase phase;
	enum xenbus_state frontend; /* as read last */
	char why[XENBUS_WHY_MAX]; /* why it closed last */
	/* For the owner. */
	bool wants_worker; /* one with these should run; else none */
	uint32_t ring_ref, event_channel;
	uint64_t wake_at; /* xenbus_expired() then; 0: never */
	/* Ours. */
	bool has_worker;
	bool watched;
	bool leaving; /* once the domain or the frontend is done */
	uint32_t credit; /* offers that may follow one another quickly */
	uint64_t credit_at;
};

/* @now: milliseconds of any clock that does not go back. */
void xenbus_init(struct xenbus_device *d, struct xenbus_store *store,
		 const char *token, uint64_t now);
/* Writes the device into domain @domid's xenstore. -errno: still ABSENT. */
int xenbus_offer(struct xenbus_device *d, uint32_t domid, uint64_t now);
void xenbus_frontend_changed(struct xenbus_device *d, uint64_t now);
void xenbus_worker_started(struct xenbus_device *d);
void xenbus_worker_ready(struct xenbus_device *d, uint64_t now);
/* Also when it could not be started; @why is for the frontend's reader. */
void xenbus_worker_ended(struct xenbus_device *d, const char *why,
			 uint64_t now);
void xenbus_domain_gone(struct xenbus_device *d);
/* Closes in order and removes the nodes. */
void xenbus_leave(struct xenbus_device *d, uint64_t now);
void xenbus_expired(struct xenbus_device *d, uint64_t now);

const char *xenbus_phase_name(const struct xenbus_device *d);
/* A decimal number of 32 bits and nothing else; -1 otherwise. */
int xenbus_parse_u32(const char *text, uint32_t *number);

#endif
