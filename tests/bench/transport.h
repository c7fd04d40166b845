/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * transport.h - one small table for each way of talking TCP
 *
 * Requests are posted and complete later, which is how the native interface of
 * libvtoe works; over kernel sockets the request is carried out inside wait(),
 * with plain blocking calls when there is one stream, and edge-triggered epoll
 * when there are several, which is how a careful program for sockets is
 * written. A stream is a small number, given out in order of connecting.
 */
#ifndef VTOE_BENCH_TRANSPORT_H
#define VTOE_BENCH_TRANSPORT_H

#include "bench.h"

#define TRANSPORT_TIMEOUT_MS 10000

struct transport {
	const struct transport_ops *ops;
};

struct transport_event {
	uint64_t tag;
	ssize_t result; /* bytes, or a negated errno */
};

struct transport_ops {
	const char *name;
	bool has_worker; /* part of the work is done by vtoed's worker */
	/* Called in the child. 0 or a negated errno, and the same below. */
	int (*open)(struct transport **t, const struct bench_options *o,
		    unsigned max_streams);
	void (*close)(struct transport *t);
	/* Requests of one stream and direction that may be posted at once. */
	unsigned (*depth)(const struct transport *t, unsigned wanted);
	void *(*alloc)(struct transport *t, size_t bytes);
	int (*connect)(struct transport *t, const struct sockaddr *to,
		       socklen_t len, unsigned *stream);
	/* all: complete when the buffer is full (or at the end of stream) */
	int (*recv)(struct transport *t, unsigned stream, void *into,
		    size_t bytes, bool all, uint64_t tag);
	/* Completes when all bytes are taken. quiet: something else that is
	 * waited for completes behind it. */
	int (*send)(struct transport *t, unsigned stream, const void *from,
		    size_t bytes, bool quiet, uint64_t tag);
	/* The next completion. May give up with -ETIMEDOUT; a round that hangs
	 * is ended from outside (round.c). */
	int (*wait)(struct transport *t, struct transport_event *event);
	int (*shutdown)(struct transport *t, unsigned stream);
	/* The number may be given out again. Nothing may be posted on it. */
	void (*drop)(struct transport *t, unsigned stream);
	void (*count)(const struct transport *t, struct transport_counters *to);
};

extern const struct transport_ops transport_kernel;
extern const struct transport_ops transport_vtoe;
extern const struct transport_ops transport_vtoe_tto; /* not by default */

/* NULL-terminated */
extern const struct transport_ops *const transport_table[];

#endif
