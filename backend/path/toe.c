/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * toe.c - the TOE service: the table of operations, and the simple ones
 *
 * Every entry goes through toe_start(): the table says whether the operation
 * wants a stream, and which flag bits it knows; then its function either
 * answers at once (a result), or has made a request that completes later
 * (TOE_ASYNC). What the kernel's TCP refuses (a send before connect, a second
 * listen), it refuses itself, with the errno that a program expects; nothing
 * here repeats its state machine.
 */
#include "path/path.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "nic/socket.h"

typedef int toe_function(struct lane *lane, struct stream *s,
			 const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe);

static int toe_nop(struct lane *lane, struct stream *s,
		   const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe)
{
	(void)lane;
	(void)s;
	(void)sqe;
	(void)cqe;
	return 0;
}

static int toe_open(struct lane *lane, struct stream *unused,
		    const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe)
{
	struct stream *s;
	int fd, rc;

	(void)unused;
	lane->last_stream = VTOE_STREAM_NONE;
	if (sqe->u.address.family == VTOE_AF_INET6 &&
	    !(lane->conn->features & VTOE_F_IPV6))
		return -EAFNOSUPPORT;
	fd = socket_open(sqe->u.address.family);
	if (fd < 0)
		return fd;
	rc = stream_new(lane, fd, sqe->u.address.family, &s);
	if (rc) {
		close(fd);
		return rc;
	}
	lane->last_stream = s->id;
	cqe->stream = s->id;
	return 0;
}

static int toe_bind(struct lane *lane, struct stream *s,
		    const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe)
{
	int rc;

	(void)lane;
	rc = socket_bind(s->fd, &sqe->u.address, s->family);
	s->bound |= !rc;
	if (!rc)
		socket_name(s->fd, 0, &cqe->u.address);
	return rc;
}

static int toe_listen(struct lane *lane, struct stream *s,
		      const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe)
{
	int rc;

	(void)lane;
	rc = socket_listen(s->fd, sqe->length);
	if (rc)
		return rc;
	s->state = STREAM_LISTENING;
	socket_name(s->fd, 0, &cqe->u.address);
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

/* The one option that we use ourselves, as long as the guest does not. */
static bool is_lowat(const struct vtoe_option *option)
{
	return option->level == SOL_SOCKET && option->name == SO_RCVLOWAT;
}

static int toe_setopt(struct lane *lane, struct stream *s,
		      const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe)
{
	int linger, rc;

	(void)lane;
	(void)cqe;
	if (is_lowat(&sqe->u.option)) {
		toe_recv_lowat_reset(s);
		s->lowat_guest = true;
	}
	rc = socket_set_option(s->fd, &sqe->u.option, &linger);
	if (!rc && linger >= 0)
		s->linger = (int16_t)linger;
	return rc;
}

/* The kernel does not know the time that we wait ourselves. */
static int toe_linger_of(const struct stream *s, uint8_t *value, uint32_t want)
{
	const struct linger l = { .l_onoff = 1, .l_linger = s->linger };

	if (want > sizeof(l))
		want = sizeof(l);
	memcpy(value, &l, want);
	return (int)want;
}

static int toe_getopt(struct lane *lane, struct stream *s,
		      const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe)
{
	uint32_t want = sqe->u.option.length;
	struct region *region;
	uint8_t value[256], *at;
	struct span to;
	int n, rc;

	if (want > sizeof(value))
		want = sizeof(value);
	memset(value, 0, sizeof(value));
	if (is_lowat(&sqe->u.option))
		toe_recv_lowat_reset(s);
	if (s->linger && sqe->u.option.level == SOL_SOCKET &&
	    sqe->u.option.name == SO_LINGER)
		n = toe_linger_of(s, value, want);
	else
		n = socket_get_option(s->fd, sqe->u.option.level,
				      sqe->u.option.name, value, want);
	if (n < 0)
		return n;
	if (want <= sizeof(cqe->u.value)) {
		memcpy(cqe->u.value, value, (size_t)n);
		return n;
	}
	rc = request_memory(lane, sqe, want, VTOE_REGION_WRITE, &region, &at);
	if (rc)
		return rc;
	to = (struct span){ at, want };
	span_copy_in(to, value, (uint32_t)n);
	region_put(lane->conn, region);
	cqe->key = sqe->key;
	cqe->offset = sqe->offset;
	cqe->length = (uint32_t)n;
	return n;
}

static int toe_getname(struct lane *lane, struct stream *s,
		       const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe)
{
	(void)lane;
	if (sqe->length > 1)
		return -EINVAL;
	return socket_name(s->fd, sqe->length, &cqe->u.address);
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
	/* of what a guest leaves behind only its sends are done */
	if (lane->conn->state == CONN_LEAVING)
		return TOE_SILENT;
	return f ? f->start(lane, sqe, cqe) : -EOPNOTSUPP;
}

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

void toe_start(struct lane *lane, const struct vtoe_sqe *sqe)
{
	struct vtoe_cqe cqe = { .user_data = sqe->user_data,
				.stream = sqe->stream };
	int rc;

	rc = toe_dispatch(lane, sqe, &cqe);
	/* lane_turn asked for room before it took the entry, but the call may
	 * have parked the lane or used the room for what it ended */
	if (rc == TOE_ASYNC || rc == TOE_SILENT || lane->parked ||
	    lane->conn->state == CONN_LEAVING)
		return;
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
}
