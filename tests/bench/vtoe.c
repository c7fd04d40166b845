/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vtoe.c - the transport under test: libvtoe's native interface
 *
 * Buffers are arena memory, which the backend fills and sends from directly.
 * Entries are published and completions awaited in one call (vtoe_wait_cqe), so
 * whatever a workload posts between two waits is one batch.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <vtoe.h>

#include "transport.h"

/* user_data of requests that no workload waits for by tag; above all of those,
 * and below what libvtoe keeps for itself */
#define TAG_FIRST (1ull << 62)
#define TAG_OPEN (TAG_FIRST + 0)
#define TAG_OPTION (TAG_FIRST + 1)
#define TAG_CONNECT (TAG_FIRST + 2)
#define TAG_SHUTDOWN (TAG_FIRST + 3)
#define TAG_CLOSE (TAG_FIRST + 4)

/* Entries for every stream: `depth` of one direction and some control. */
#define ENTRIES_BESIDE 4u

struct vtoe_transport {
	struct transport base;
	struct vtoe *ctx;
	struct vtoe_lane *lane;
	unsigned used, room;
	uint32_t ids[]; /* VTOE_STREAM_NONE: number free */
};

static struct vtoe_transport *vtoe_of(struct transport *t)
{
	return (struct vtoe_transport *)t;
}

static unsigned vtoe_entries(const struct vtoe_transport *v,
			     const struct bench_options *o)
{
	unsigned most = vtoe_device(v->ctx)->max_ring_entries;
	unsigned wanted = v->room * (o->depth + ENTRIES_BESIDE), n = 64;

	while (n < wanted && n < most)
		n *= 2;
	return n;
}

static int vtoe_transport_open(struct transport **t,
			       const struct bench_options *o,
			       unsigned max_streams,
			       const struct transport_ops *ops, unsigned flags)
{
	struct vtoe_params params = { .path = o->vtoe_socket,
				      .name = "vtoe-bench",
				      .flags = flags };
	struct vtoe_transport *v;
	unsigned entries;
	int error;

	v = calloc(1, sizeof(*v) + max_streams * sizeof(v->ids[0]));
	if (!v)
		return -ENOMEM;
	v->room = max_streams;
	v->base.ops = ops;
	error = vtoe_open(&v->ctx, &params);
	if (error)
		goto free;
	entries = vtoe_entries(v, o);
	error = vtoe_lane_open(v->ctx, &v->lane, entries, entries, 0);
	if (error)
		goto close;
	if (o->spin_usec >= 0)
		vtoe_lane_set_spin(v->lane, (unsigned)o->spin_usec);
	*t = &v->base;
	return 0;
close:
	vtoe_close(v->ctx);
free:
	free(v);
	return error;
}

static void vtoe_transport_close(struct transport *t)
{
	struct vtoe_transport *v = vtoe_of(t);

	vtoe_lane_close(v->lane);
	vtoe_close(v->ctx);
	free(v);
}

static unsigned vtoe_depth(const struct transport *t, unsigned wanted)
{
	(void)t;
	return wanted;
}

static void *vtoe_transport_alloc(struct transport *t, size_t bytes)
{
	return vtoe_alloc(vtoe_of(t)->ctx, bytes);
}

static struct vtoe_sqe *vtoe_entry(struct vtoe_transport *v, enum vtoe_op op,
				   uint32_t stream, uint64_t tag)
{
	struct vtoe_sqe *sqe = vtoe_get_sqe(v->lane);

	if (!sqe && vtoe_submit(v->lane) >= 0)
		sqe = vtoe_get_sqe(v->lane);
	if (sqe)
		vtoe_sqe_set(sqe, op, stream, tag);
	return sqe;
}

/* The next completion, copied out. */
static int vtoe_next(struct vtoe_transport *v, struct vtoe_cqe *cqe)
{
	struct vtoe_cqe *at;
	int error;

	do
		error = vtoe_wait_cqe(v->lane, &at, TRANSPORT_TIMEOUT_MS);
	while (error == -EINTR);
	if (error)
		return error == -ETIME ? -ETIMEDOUT : error;
	*cqe = *at;
	vtoe_cqe_seen(v->lane);
	return 0;
}

/* OPEN, SETOPT and CONNECT as one batch; to be woken for the last is enough. */
static int vtoe_connect_post(struct vtoe_transport *v,
			     const struct sockaddr *to, socklen_t len)
{
	struct vtoe_sqe *sqe;
	const int one = 1;

	sqe = vtoe_entry(v, VTOE_OP_OPEN, VTOE_STREAM_NONE, TAG_OPEN);
	if (!sqe)
		return -EAGAIN;
	sqe->flags = VTOE_SQE_QUIET;
	sqe->u.address.family = to->sa_family == AF_INET6 ? VTOE_AF_INET6
							  : VTOE_AF_INET;
	sqe = vtoe_entry(v, VTOE_OP_SETOPT, VTOE_STREAM_LAST, TAG_OPTION);
	if (!sqe)
		return -EAGAIN;
	sqe->flags = VTOE_SQE_QUIET;
	sqe->u.option.level = IPPROTO_TCP;
	sqe->u.option.name = TCP_NODELAY;
	sqe->u.option.length = sizeof(one);
	memcpy(sqe->u.option.value, &one, sizeof(one));
	sqe = vtoe_entry(v, VTOE_OP_CONNECT, VTOE_STREAM_LAST, TAG_CONNECT);
	if (!sqe)
		return -EAGAIN;
	return vtoe_address_from(&sqe->u.address, to, len);
}

static int vtoe_connect(struct transport *t, const struct sockaddr *to,
			socklen_t len, unsigned *stream)
{
	struct vtoe_transport *v = vtoe_of(t);
	uint32_t id = VTOE_STREAM_NONE;
	struct vtoe_cqe cqe;
	int error;

	if (v->used == v->room)
		return -ENOSPC;
	error = vtoe_connect_post(v, to, len);
	if (error)
		return error;
	do {
		error = vtoe_next(v, &cqe);
		if (error)
			return error;
		/* A workload has nothing else under way while it connects. */
		if (cqe.user_data < TAG_FIRST)
			return -EPROTO;
		if (cqe.result < 0 && cqe.user_data != TAG_CLOSE)
			return cqe.result;
		if (cqe.user_data == TAG_OPEN)
			id = cqe.stream;
	} while (cqe.user_data != TAG_CONNECT);
	*stream = v->used++;
	v->ids[*stream] = id;
	return 0;
}

static int vtoe_post(struct vtoe_transport *v, enum vtoe_op op,
		     unsigned stream, const void *at, size_t bytes,
		     uint32_t flags, bool quiet, uint64_t tag)
{
	struct vtoe_sqe *sqe;

	sqe = vtoe_entry(v, op, v->ids[stream], tag);
	if (!sqe)
		return -EAGAIN;
	sqe->flags = quiet ? VTOE_SQE_QUIET : 0;
	sqe->op_flags = flags;
	return vtoe_sqe_memory(v->ctx, sqe, at, bytes);
}

static int vtoe_recv(struct transport *t, unsigned stream, void *into,
		     size_t bytes, bool all, uint64_t tag)
{
	return vtoe_post(vtoe_of(t), VTOE_OP_RECV, stream, into, bytes,
			 all ? VTOE_IO_WAITALL : 0, false, tag);
}

static int vtoe_send(struct transport *t, unsigned stream, const void *from,
		     size_t bytes, bool quiet, uint64_t tag)
{
	return vtoe_post(vtoe_of(t), VTOE_OP_SEND, stream, from, bytes, 0,
			 quiet, tag);
}

static int vtoe_wait(struct transport *t, struct transport_event *event)
{
	struct vtoe_cqe cqe;
	int error;

	do {
		error = vtoe_next(vtoe_of(t), &cqe);
		if (!error && cqe.user_data == TAG_SHUTDOWN)
			error = cqe.result;
		if (error < 0)
			return error;
	} while (cqe.user_data >= TAG_FIRST);
	event->tag = cqe.user_data;
	event->result = cqe.result;
	return 0;
}

static int vtoe_shutdown(struct transport *t, unsigned stream)
{
	struct vtoe_transport *v = vtoe_of(t);
	struct vtoe_sqe *sqe;

	sqe = vtoe_entry(v, VTOE_OP_SHUTDOWN, v->ids[stream], TAG_SHUTDOWN);
	if (!sqe)
		return -EAGAIN;
	sqe->length = 1; /* write */
	return 0;
}

/* Its entry goes out with the next batch; nobody waits for its completion. */
static void vtoe_drop(struct transport *t, unsigned stream)
{
	struct vtoe_transport *v = vtoe_of(t);
	struct vtoe_sqe *sqe;

	sqe = vtoe_entry(v, VTOE_OP_CLOSE, v->ids[stream], TAG_CLOSE);
	if (sqe)
		sqe->flags = VTOE_SQE_QUIET;
	v->ids[stream] = VTOE_STREAM_NONE;
	while (v->used && v->ids[v->used - 1] == VTOE_STREAM_NONE)
		v->used--;
}

static void vtoe_count(const struct transport *t,
		       struct transport_counters *to)
{
	struct vtoe_counters c;

	vtoe_get_counters(((const struct vtoe_transport *)t)->ctx, &c);
	to->registrations = c.registrations;
	to->doorbells = c.doorbells;
	to->wakeups = c.wakeups;
	to->bytes_copied = c.bytes_copied;
}

#define TRANSPORT_VTOE(name_, open_)         \
	{                                    \
		.name = name_,               \
		.has_worker = true,          \
		.open = open_,               \
		.close = vtoe_transport_close, \
		.depth = vtoe_depth,         \
		.alloc = vtoe_transport_alloc, \
		.connect = vtoe_connect,     \
		.recv = vtoe_recv,           \
		.send = vtoe_send,           \
		.wait = vtoe_wait,           \
		.shutdown = vtoe_shutdown,   \
		.drop = vtoe_drop,           \
		.count = vtoe_count,         \
	}

static int vtoe_open_toe(struct transport **t, const struct bench_options *o,
			 unsigned max_streams)
{
	return vtoe_transport_open(t, o, max_streams, &transport_vtoe, 0);
}

static int vtoe_open_tto(struct transport **t, const struct bench_options *o,
			 unsigned max_streams)
{
	return vtoe_transport_open(t, o, max_streams, &transport_vtoe_tto,
				   VTOE_OPEN_TTO);
}

const struct transport_ops transport_vtoe =
	TRANSPORT_VTOE("vtoe", vtoe_open_toe);
const struct transport_ops transport_vtoe_tto =
	TRANSPORT_VTOE("vtoe-tto", vtoe_open_tto);
