/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * toe.c - the TOE service: the table of operations, and what is the same for
 * every engine
 *
 * Every entry goes through toe_start(): the table says whether the operation
 * wants a stream, and which flag bits it knows; then its function either
 * answers at once (a result), or has made a request that completes later
 * (TOE_ASYNC), or wants to be asked again (TOE_LATER). The engine that knows TCP is a choice of files: the kernel's
 * sockets (toe_socket.c and the others of this directory), or a TCP of our own
 * (ulib/stack).
 */
#include "path/path.h"

#include <errno.h>
#include <string.h>

static int toe_nop(struct lane *lane, struct stream *s,
		   const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe)
{
	(void)lane;
	(void)s;
	(void)sqe;
	(void)cqe;
	return 0;
}

static int toe_close(struct lane *lane, struct stream *s,
		     const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe)
{
	struct hold *h = stream_hold_of(s, lane);
	bool abort = sqe->op_flags & VTOE_CLOSE_ABORT;
	bool last = s->holds.next == &h->stream_node &&
		    s->holds.prev == &h->stream_node && !s->tokens;

	cqe->stream = s->id;
	if (lane->last_stream == s->id)
		lane->last_stream = VTOE_STREAM_NONE;
	if (last && !abort && s->linger > 0 && !s->close) {
		s->close = request_new(lane, s, sqe);
		if (s->close)
			s->close->busy = true; /* ends by itself */
	}
	if (s->close) {
		stream_unhold(h, false);
		return TOE_ASYNC;
	}
	stream_unhold(h, abort);
	return 0;
}

static int toe_cancel(struct lane *lane, struct stream *unused,
		      const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe)
{
	struct list *at, *tmp;
	struct stream *s = NULL;
	int n = 0, rc;

	(void)unused;
	(void)cqe;
	if (sqe->stream != VTOE_STREAM_NONE) {
		rc = stream_find(lane, sqe->stream, &s);
		if (rc)
			return rc;
	}
	list_for_each_safe(at, tmp, &lane->requests) {
		struct request *r = list_entry(at, struct request, lane_node);

		if (r->sqe.user_data != sqe->u.target || r->cancelled ||
		    (s && r->stream != s))
			continue;
		request_cancel(r);
		n++;
	}
	return n;
}

static int toe_share(struct lane *lane, struct stream *s,
		     const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe)
{
	(void)lane;
	(void)sqe;
	return stream_share(s, cqe->u.token);
}

static int toe_adopt(struct lane *lane, struct stream *unused,
		     const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe)
{
	struct stream *s;
	int rc;

	(void)unused;
	rc = stream_adopt(lane, sqe->u.token, &s);
	if (!rc)
		cqe->stream = s->id;
	return rc;
}

static int toe_report(struct lane *lane, struct stream *unused,
		      const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe)
{
	struct conn *c = lane->conn;
	struct device *d = c->device;
	uint64_t *count = &d->stats->fallback_not_tcp;
	struct fallback_entry *e;

	(void)unused;
	(void)cqe;
	if (!sqe->op_flags || sqe->op_flags >= VTOE_FALLBACK_COUNT)
		return -EINVAL;
	/* the counters stand in the enumeration's order (stats.h) */
	count[sqe->op_flags - VTOE_FALLBACK_NOT_TCP]++;
	e = &d->fallbacks[d->fallback_count++ % FALLBACK_LOG];
	e->reason = sqe->op_flags;
	e->conn_id = c->link.id;
	e->pid = c->pid;
	memcpy(e->program, c->program, sizeof(e->program));
	e->to = sqe->u.address;
	return 0;
}

static int toe_frames(struct lane *lane, struct stream *unused,
		      const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe)
{
	const struct frame_service *f = lane->conn->device->frames;

	(void)unused;
	return f ? f->start(lane, sqe, cqe) : -EOPNOTSUPP;
}

/* -- what engines share ---------------------------------------------------- */

int toe_transfer_memory(struct lane *lane, const struct vtoe_sqe *sqe,
			uint32_t rights, struct region **region, uint8_t **at)
{
	int rc;

	if (sqe->op_flags & VTOE_IO_OOB)
		return -EOPNOTSUPP;
	if (!sqe->length)
		return 0;
	if (sqe->length > INT32_MAX) /* the result is signed */
		return -ERANGE;
	rc = request_memory(lane, sqe, sqe->length, rights, region, at);
	return rc ? rc : 1;
}

int toe_option_answer(struct lane *lane, const struct vtoe_sqe *sqe,
		      struct vtoe_cqe *cqe, const uint8_t *value,
		      uint32_t bytes)
{
	uint32_t want = toe_option_wanted(sqe);
	struct region *region;
	uint8_t *at;
	int rc;

	if (want <= sizeof(cqe->u.value)) {
		memcpy(cqe->u.value, value, bytes);
		return (int)bytes;
	}
	rc = request_memory(lane, sqe, want, VTOE_REGION_WRITE, &region, &at);
	if (rc)
		return rc;
	span_copy_in((struct span){ at, want }, value, bytes);
	region_put(lane->conn, region);
	cqe->key = sqe->key;
	cqe->offset = sqe->offset;
	cqe->length = bytes;
	return (int)bytes;
}

struct request *toe_accept_candidate(struct stream *s)
{
	struct list *at;

	for (at = s->accepts.next; at != &s->accepts; at = at->next) {
		struct request *r = list_entry(at, struct request, node);

		if (!(r->sqe.op_flags & VTOE_IO_MULTI) ||
		    lane_has_room(r->lane))
			return r;
	}
	for (at = s->accepts.next; at != &s->accepts; at = at->next) {
		struct lane *lane = list_entry(at, struct request, node)->lane;

		if (ring_out_arm_space(&lane->cq, 1))
			lane_ready(lane);
	}
	return NULL;
}

/* -- the table ------------------------------------------------------------- */

/* Operations and the flag bits that they know. ANY_FLAGS: the function checks.
 */
#define ANY_FLAGS 0xffffffffu
#define RECV_FLAGS \
	(VTOE_IO_NONBLOCK | VTOE_IO_WAITALL | VTOE_IO_PEEK | VTOE_IO_OOB)
#define SEND_FLAGS (VTOE_IO_NONBLOCK | VTOE_IO_PUSH | VTOE_IO_OOB)

static const struct toe_operation {
	toe_function *start;
	uint32_t flags;
	bool stream;
	uint64_t feature; /* that the guest must have accepted, or 0 */
} toe_operations[] = {
	[VTOE_OP_NOP] = { toe_nop, 0, false, 0 },
	[VTOE_OP_OPEN] = { toe_open, 0, false, VTOE_F_TOE },
	[VTOE_OP_BIND] = { toe_bind, 0, true, VTOE_F_TOE },
	[VTOE_OP_CONNECT] = { toe_connect, 0, true, VTOE_F_TOE },
	[VTOE_OP_LISTEN] = { toe_listen, 0, true, VTOE_F_TOE },
	[VTOE_OP_ACCEPT] = { toe_accept, VTOE_IO_NONBLOCK | VTOE_IO_MULTI,
			     true, VTOE_F_TOE },
	[VTOE_OP_SEND] = { toe_send, SEND_FLAGS, true, VTOE_F_TOE },
	[VTOE_OP_RECV] = { toe_recv, RECV_FLAGS, true, VTOE_F_TOE },
	[VTOE_OP_SHUTDOWN] = { toe_shutdown, 0, true, VTOE_F_TOE },
	[VTOE_OP_CLOSE] = { toe_close, VTOE_CLOSE_ABORT, true, VTOE_F_TOE },
	[VTOE_OP_SETOPT] = { toe_setopt, 0, true, VTOE_F_TOE },
	[VTOE_OP_GETOPT] = { toe_getopt, 0, true, VTOE_F_TOE },
	[VTOE_OP_GETNAME] = { toe_getname, 0, true, VTOE_F_TOE },
	[VTOE_OP_CANCEL] = { toe_cancel, 0, false, 0 },
	[VTOE_OP_POLL] = { toe_poll, ANY_FLAGS, true, VTOE_F_TOE },
	[VTOE_OP_GRQ_ADD] = { toe_grq_add, ANY_FLAGS, false, VTOE_F_GRQ },
	[VTOE_OP_GRQ_MODE] = { toe_grq_mode, 1, true, VTOE_F_GRQ },
	[VTOE_OP_SHARE] = { toe_share, 0, true, VTOE_F_SHARE },
	[VTOE_OP_ADOPT] = { toe_adopt, 0, false, VTOE_F_SHARE },
	[VTOE_OP_REPORT] = { toe_report, ANY_FLAGS, false, 0 },
	[VTOE_OP_CLAIM] = { toe_frames, VTOE_CLAIM_PORT, false, VTOE_F_TTO },
	[VTOE_OP_UNCLAIM] = { toe_frames, 0, false, VTOE_F_TTO },
	[VTOE_OP_SEGMENT] = { toe_frames, 0, false, VTOE_F_TTO },
	[VTOE_OP_AGGREGATE] = { toe_frames, ANY_FLAGS, false, VTOE_F_TTO },
	[VTOE_OP_FLUSH] = { toe_frames, 0, false, VTOE_F_TTO },
};

static int toe_dispatch(struct lane *lane, const struct vtoe_sqe *sqe,
			struct vtoe_cqe *cqe)
{
	const struct toe_operation *op;
	struct stream *s = NULL;
	int rc;

	if (sqe->op >= sizeof(toe_operations) / sizeof(*toe_operations))
		return -EINVAL;
	op = &toe_operations[sqe->op];
	if (!op->start || sqe->reserved ||
	    sqe->flags & ~(lane->conn->features & VTOE_F_QUIET ?
				   VTOE_SQE_QUIET : 0))
		return -EINVAL;
	if ((op->feature & lane->conn->features) != op->feature)
		return -EOPNOTSUPP;
	if (sqe->op_flags & ~op->flags)
		return -EINVAL;
	if (op->stream) {
		rc = stream_find(lane, sqe->stream, &s);
		if (rc)
			return rc;
		cqe->stream = s->id;
	}
	return op->start(lane, s, sqe, cqe);
}

/* What a guest has left behind: its last bytes. What it would have received is
 * that of others who hold the stream. */
static bool toe_outlives(const struct vtoe_sqe *sqe)
{
	return sqe->op == VTOE_OP_SEND || sqe->op == VTOE_OP_SHUTDOWN ||
	       sqe->op == VTOE_OP_CLOSE;
}

bool toe_start(struct lane *lane, const struct vtoe_sqe *sqe)
{
	struct vtoe_cqe cqe = { .user_data = sqe->user_data,
				.stream = sqe->stream };
	int rc;

	if (lane->conn->state == CONN_LEAVING && !toe_outlives(sqe))
		return true;
	rc = toe_dispatch(lane, sqe, &cqe);
	if (rc == TOE_LATER)
		return false;
	/* lane_turn asked for room before it took the entry, but the call may
	 * have parked the lane or used the room for what it ended */
	if (rc == TOE_ASYNC || rc == TOE_SILENT || lane->parked ||
	    lane->conn->state == CONN_LEAVING)
		return true;
	cqe.result = rc;
	if (lane_has_room(lane)) {
		lane_post(lane, &cqe, sqe->flags);
	} else if (!lane->parked) {
		struct request *r = request_new(lane, NULL, sqe);

		/* no request is left for the answer: the guest has filled both
		 * its queue and its quota, and lives with the loss */
		if (r)
			request_finish_cqe(r, &cqe);
	}
	return true;
}
