// SPDX-License-Identifier: BSD-2-Clause
/*
 * transfer.c - the blocking helpers that move bytes
 *
 * Memory that the backend can reach is sent from and received into directly.
 * Other memory is copied through a bounce, a piece of the arena that the lane
 * keeps for the next time; a long send without a time-out has a few of them on
 * the way at once, so that copying and sending overlap. What is large enough is
 * registered the first time (MECHANISMS H1, H14) where the port can do it in
 * passing, and known not to have been unmapped and mapped anew each time (H5):
 * the table of memory_ops decides. Where registering is refused, bytes are
 * copied (H15).
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define BOUNCE_BYTES (64u << 10)
#define BOUNCE_WINDOW 4u
#define DIRECT_MOST (1u << 30) /* bytes of one request */
#define DIRECT_BOUNDED (1u << 20)

/* -- bounces; the lane is locked ----------------------------------------- */

static struct bounce *bounce_get(struct vtoe_lane *lane)
{
	struct bounce *b = lane->bounce;

	if (b) {
		lane->bounce = b->next;
		return b;
	}
	b = malloc(sizeof(*b));
	if (!b)
		return NULL;
	b->at = vtoe_alloc(lane->ctx, BOUNCE_BYTES);
	if (!b->at) {
		free(b);
		return NULL;
	}
	return b;
}

static void bounce_put(struct vtoe_lane *lane, struct bounce *b)
{
	/* after a failure the backend may still write there: never again */
	if (lane->dead == -EPROTO) {
		free(b);
		return;
	}
	b->next = lane->bounce;
	lane->bounce = b;
}

void bounce_free(struct vtoe_lane *lane)
{
	struct bounce *b;

	while ((b = lane->bounce)) {
		lane->bounce = b->next;
		free(b);
	}
}

/* -- sending ------------------------------------------------------------- */

static ssize_t send_direct(struct vtoe_lane *lane, uint32_t stream,
			   const char *from, size_t bytes)
{
	size_t done = 0;

	while (done < bytes) {
		struct vtoe_sqe request = { .op = VTOE_OP_SEND,
					    .stream = stream };
		size_t n = bytes - done;
		struct waiter w;
		int rc;

		n = n < DIRECT_MOST ? n : DIRECT_MOST;
		rc = vtoe_sqe_memory(lane->ctx, &request, from + done, n);
		if (!rc)
			rc = stream_start(lane, &request, &w, FOREVER);
		if (!rc)
			rc = stream_finish(lane, stream, &w, FOREVER);
		if (rc <= 0)
			return done ? (ssize_t)done : rc;
		done += (size_t)rc;
		if ((size_t)rc < n)
			break;
	}
	return (ssize_t)done;
}

/* Pieces of one send that are on the way, oldest first. */
struct pieces {
	struct piece {
		struct waiter w;
		struct bounce *bounce;
		size_t bytes;
	} ring[BOUNCE_WINDOW];
	unsigned head, tail;
};

static int piece_start(struct vtoe_lane *lane, struct pieces *pieces,
		       uint32_t stream, const char *from, size_t bytes)
{
	struct piece *p = &pieces->ring[pieces->tail % BOUNCE_WINDOW];
	struct vtoe_sqe request = { .op = VTOE_OP_SEND, .stream = stream };
	int rc;

	p->bounce = bounce_get(lane);
	if (!p->bounce)
		return -ENOMEM;
	p->bytes = bytes < BOUNCE_BYTES ? bytes : BOUNCE_BYTES;
	memcpy(p->bounce->at, from, p->bytes);
	lane_count(&lane->counters.bytes_copied, p->bytes);
	rc = vtoe_sqe_memory(lane->ctx, &request, p->bounce->at, p->bytes);
	if (!rc)
		rc = stream_start(lane, &request, &p->w, FOREVER);
	if (rc) {
		bounce_put(lane, p->bounce);
		return rc;
	}
	pieces->tail++;
	return 0;
}

/* Stops all, the youngest first, so that nothing goes out behind a piece that
 * was cut short. */
static void pieces_stop(struct vtoe_lane *lane, struct pieces *pieces,
			uint32_t stream)
{
	unsigned i;

	for (i = pieces->tail; i != pieces->head; i--)
		stream_stop(lane, stream,
			    &pieces->ring[(i - 1) % BOUNCE_WINDOW].w);
	vtoe_submit(lane);
}

/* The oldest piece's result. A signal stops all: *interrupted. */
static int piece_finish(struct vtoe_lane *lane, struct pieces *pieces,
			uint32_t stream, bool *interrupted)
{
	struct piece *p = &pieces->ring[pieces->head % BOUNCE_WINDOW];
	int rc;

	while ((rc = lane_wait(lane, &p->w, FOREVER)) == -EINTR) {
		if (!*interrupted)
			pieces_stop(lane, pieces, stream);
		*interrupted = true;
	}
	pieces->head++;
	if (rc)
		lane_drop_waiter(lane, &p->w);
	bounce_put(lane, p->bounce);
	if (!rc)
		rc = p->w.cqe.result;
	return rc == -ECANCELED && *interrupted ? -EINTR : rc;
}

static ssize_t send_copied(struct vtoe_lane *lane, uint32_t stream,
			   const char *from, size_t bytes)
{
	struct pieces pieces = { .head = 0 };
	size_t started = 0, done = 0, want;
	bool interrupted = false, hole = false;
	int rc = 0;

	while (!rc && done < bytes) {
		if (started < bytes && !interrupted &&
		    pieces.tail - pieces.head < BOUNCE_WINDOW) {
			rc = piece_start(lane, &pieces, stream, from + started,
					 bytes - started);
			if (!rc)
				started += pieces.ring[(pieces.tail - 1) %
						       BOUNCE_WINDOW].bytes;
			/* no room for one more: finish one first */
			if (rc == -ENOMEM && pieces.head != pieces.tail)
				rc = 0;
			else
				continue;
		}
		if (pieces.head == pieces.tail)
			break; /* interrupted, and all that was begun is done */
		want = pieces.ring[pieces.head % BOUNCE_WINDOW].bytes;
		rc = piece_finish(lane, &pieces, stream, &interrupted);
		if (rc >= 0) {
			done += (size_t)rc;
			rc = (size_t)rc < want ? -EPIPE : 0;
		}
	}
	/* What is behind one that failed or was cut short fails too, or is
	 * stopped already. If some of it went out after all (the backend ran
	 * out of something for one piece alone), there is a hole. */
	while (pieces.head != pieces.tail)
		if (piece_finish(lane, &pieces, stream, &interrupted) > 0)
			hole = true;
	if (hole)
		return -EIO;
	return done ? (ssize_t)done : rc;
}

/* Waits until the stream may take more. */
static int wait_for_room(struct vtoe_lane *lane, uint32_t stream,
			 uint64_t deadline)
{
	struct vtoe_sqe request = { .op = VTOE_OP_POLL, .stream = stream,
				    .op_flags = POLLOUT };
	struct waiter w;
	int rc;

	rc = stream_start(lane, &request, &w, deadline);
	if (!rc)
		rc = stream_finish(lane, stream, &w, deadline);
	return rc < 0 ? rc : 0;
}

/* With a time-out: what there is room for, at once, and then wait for room. No
 * send is under way when the time is over, so what was sent is known. */
static ssize_t send_bounded(struct vtoe_lane *lane, uint32_t stream,
			    const char *from, size_t bytes, bool direct,
			    uint64_t deadline)
{
	struct bounce *b = NULL;
	size_t done = 0, n;
	int rc = 0;

	if (!direct) {
		b = bounce_get(lane);
		if (!b)
			return -ENOMEM;
	}
	while (done < bytes && rc >= 0) {
		struct vtoe_sqe request = { .op = VTOE_OP_SEND,
					    .stream = stream,
					    .op_flags = VTOE_IO_NONBLOCK };
		const char *at = from + done;
		struct waiter w;

		n = bytes - done;
		if (direct) {
			n = n < DIRECT_BOUNDED ? n : DIRECT_BOUNDED;
		} else {
			n = n < BOUNCE_BYTES ? n : BOUNCE_BYTES;
			memcpy(b->at, at, n);
			at = b->at;
		}
		rc = vtoe_sqe_memory(lane->ctx, &request, at, n);
		if (!rc)
			rc = stream_start(lane, &request, &w, FOREVER);
		if (!rc)
			rc = stream_finish(lane, stream, &w, FOREVER);
		if (rc > 0) {
			done += (size_t)rc;
			if (b)
				lane_count(&lane->counters.bytes_copied,
					   (uint64_t)rc);
		} else if (rc == -EAGAIN) {
			rc = wait_for_room(lane, stream, deadline);
		}
	}
	if (b)
		bounce_put(lane, b);
	return done ? (ssize_t)done : rc;
}

/* How much from `at` on can the backend read or write in place? 0: copy. Not
 * with the lane's lock: it may register. */
static size_t direct_room(struct vtoe *ctx, const void *memory, size_t bytes,
			  unsigned rights)
{
	const char *at = memory;
	uint64_t key, offset;

	if (at >= ctx->memory && at < ctx->memory + ctx->bytes)
		return cache_translate(ctx, at, bytes, rights, &key, &offset) ?
			       0 : bytes;
	return ctx->memory_ops->reach(ctx, (void *)at, bytes, rights);
}

static ssize_t send_piece(struct vtoe_lane *lane, uint32_t stream,
			  const char *from, size_t bytes, bool direct,
			  uint64_t deadline)
{
	if (deadline != FOREVER)
		return send_bounded(lane, stream, from, bytes, direct,
				    deadline);
	if (direct)
		return send_direct(lane, stream, from, bytes);
	return send_copied(lane, stream, from, bytes);
}

ssize_t vtoe_stream_send(struct vtoe_lane *lane, uint32_t stream,
			 const void *from, size_t bytes, int timeout_ms)
{
	uint64_t deadline = deadline_after(timeout_ms);
	const char *at = from;
	size_t done = 0;

	while (done < bytes) {
		size_t n = direct_room(lane->ctx, at + done, bytes - done,
				       VTOE_READ);
		ssize_t rc = -EFAULT;

		vtoe_lane_lock(lane);
		if (n)
			rc = send_piece(lane, stream, at + done, n, true,
					deadline);
		/* not reachable, or evicted by another thread a moment ago:
		 * before anything of the piece was sent, or it says how much */
		if (rc == -EFAULT || rc == -ENOKEY) {
			n = bytes - done;
			rc = send_piece(lane, stream, at + done, n, false,
					deadline);
		}
		vtoe_lane_unlock(lane);
		if (rc <= 0)
			return done ? (ssize_t)done : rc;
		done += (size_t)rc;
		if ((size_t)rc < n)
			break; /* an error comes with the next one */
	}
	return (ssize_t)done;
}

/* -- receiving ----------------------------------------------------------- */

static ssize_t receive_copied(struct vtoe_lane *lane, struct vtoe_sqe *request,
			      char *into, size_t bytes, uint64_t deadline)
{
	struct waiter w;
	struct bounce *b;
	int rc;

	b = bounce_get(lane);
	if (!b)
		return -ENOMEM;
	bytes = bytes < BOUNCE_BYTES ? bytes : BOUNCE_BYTES;
	rc = vtoe_sqe_memory(lane->ctx, request, b->at, bytes);
	if (!rc)
		rc = stream_start(lane, request, &w, deadline);
	if (!rc)
		rc = stream_finish(lane, request->stream, &w, deadline);
	if (rc > 0) {
		/* never more than was asked for: lane.c checked */
		memcpy(into, b->at, (size_t)rc);
		lane_count(&lane->counters.bytes_copied, (uint64_t)rc);
	}
	bounce_put(lane, b);
	return rc;
}

ssize_t vtoe_stream_recv(struct vtoe_lane *lane, uint32_t stream, void *into,
			 size_t bytes, int timeout_ms)
{
	struct vtoe_sqe request = { .op = VTOE_OP_RECV, .stream = stream };
	uint64_t deadline = deadline_after(timeout_ms);
	struct waiter w;
	ssize_t n = -EFAULT;
	size_t room;

	if (!bytes)
		return 0;
	bytes = bytes < DIRECT_MOST ? bytes : DIRECT_MOST;
	room = direct_room(lane->ctx, into, bytes, VTOE_WRITE);
	vtoe_lane_lock(lane);
	if (room && !vtoe_sqe_memory(lane->ctx, &request, into, room)) {
		n = stream_start(lane, &request, &w, deadline);
		if (!n)
			n = stream_finish(lane, stream, &w, deadline);
	}
	/* not reachable, or evicted by another thread a moment ago */
	if (n == -EFAULT || n == -ENOKEY)
		n = receive_copied(lane, &request, into, bytes, deadline);
	vtoe_lane_unlock(lane);
	return n;
}
