/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wire_session.h - what the stack has with one worker: a context, a lane, memory
 *
 * A session is opened, used, and over when its worker is dead; its memory stays
 * until the last of its buffers was given back. Used by one thread.
 *
 * To open one takes seconds where there is a device but nobody who answers: the
 * next one is opened by a thread of its own, whose only business that is, and
 * which touches nothing of the stack's. Meanwhile programs read what has come and
 * talk to each other.
 */
#ifndef VTOE_STACK_WIRE_SESSION_H
#define VTOE_STACK_WIRE_SESSION_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <vtoe.h>

#include "stack/wire.h"

enum {
	SLOTS_MAX = 128,
	BUFFERS_MAX = 1024,
	BUFFER_BYTES = 16384,
	SLOT_BYTES = 65536 + 4096,
	SPARE = 8, /* slots that one large segment may need */
};

/* user_data: kind, number of the asking, claim or slot */
enum { USER_CLAIM = 1, USER_UNCLAIM, USER_SEGMENT, USER_BUFFERS };
#define USER(kind, asking, i) \
	((uint64_t)(kind) << 56 | (uint64_t)((asking) & 0xffffff) << 32 | (i))
#define USER_KIND(u) ((unsigned)((u) >> 56))
#define USER_ASKING(u) ((uint32_t)((u) >> 32 & 0xffffff))
#define USER_INDEX(u) ((uint32_t)(u))

struct session;
struct tto_buffer {
	struct wire_buffer b; /* first */
	struct session *session; /* NULL: memory of its own */
	bool lent; /* the worker has it */
};

/* What there is with one worker. */
struct session {
	struct session *next; /* of those that are over */
	struct vtoe *ctx;
	struct vtoe_lane *lane;
	uint8_t *slots, *memory;
	uint64_t slots_key, slots_offset;
	uint64_t key, offset; /* of the buffers */
	uint32_t slot_count, buffer_count;
	uint32_t out; /* buffers that TCP has */
	struct tto_buffer *buffers;
	uint32_t free_slots;
	uint64_t since_us;
	bool unwatched;
	bool want_all; /* to hear of segments that were sent, too */
	bool slot_busy[SLOTS_MAX]; /* has a segment that is under way */
	int slot_conn[SLOTS_MAX];  /* of TCP, whose it is */
	uint16_t free_slot[SLOTS_MAX];
	/* given back, but the queue to the worker had no room */
	uint16_t *owed;
	uint32_t owed_count;
	uint32_t back; /* given back, and not yet submitted */
	bool due;      /* what is staged besides them is to be submitted */
};

/* Waits until the backend answers, or OPEN_MS. -> 0; -EOPNOTSUPP: no TTO */
int session_open(const char *path, struct session **out);
void session_free(struct session *s);
/* The same in a child of fork. */
void session_forget(struct session *s);
/* An entry for a request, which session_submit() sends; NULL: it is dead. */
struct vtoe_sqe *session_sqe(struct session *s);
/* Lends `count` buffers from `first` on. -> false: no room, or it is dead */
bool session_lend(struct session *s, uint32_t first, uint32_t count);
/* Those that found no room. */
void session_lend_owed(struct session *s);
void session_submit(struct session *s);
/* Is it one of the buffers that the worker has? -> its number */
bool session_is_ours(const struct session *s, uint64_t key, uint64_t offset,
		     uint64_t length, uint32_t *which);

/* Starts a thread of the stack's, in which no signal is handled: those are for the
 * program's own. -> 0 or -errno */
int session_thread(pthread_t *thread, void *(*run)(void *), void *arg);

/* The thread that opens one. */
struct session_opener {
	pthread_t thread;
	const char *path;
	struct session *session;
	int error;
	bool runs;
	bool done; /* by the thread, with release */
};

/* Begins, if it does not run. -> -EAGAIN: it does; else what session_open() gave,
 * once */
int session_opener_ask(struct session_opener *o, const char *path,
		       struct session **out);
/* Waits for it. */
void session_opener_end(struct session_opener *o);

#endif
