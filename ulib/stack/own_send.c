/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * own_send.c - SEND and SHUTDOWN
 *
 * A SEND is done when all of its bytes are in the connection's ring; those that
 * find no room wait in the stream's queue, in order, and SHUTDOWN with them.
 */
#include "stack/own.h"

#include <errno.h>
#include <sys/socket.h>

/* What keeps a stream from sending now: 0, -EAGAIN: it has to wait. */
static int send_obstacle(struct own_stream *st)
{
	struct own_conn *c = st->conn;
	int rc;

	if (st->s.state == STREAM_CONNECTING)
		return -EAGAIN;
	if (!c)
		return -EPIPE;
	rc = own_conn_take_error(c);
	if (rc)
		return rc;
	return c->over || c->shut_write ? -EPIPE : 0;
}

static void send_answer(const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe,
			uint32_t bytes)
{
	cqe->flags = VTOE_CQE_COPIED;
	cqe->key = sqe->key;
	cqe->offset = sqe->offset;
	cqe->length = bytes;
}

/* -> what it comes to, or -EAGAIN: it waits */
static int send_on(struct own_stream *st, uint8_t *at, uint32_t length,
		   uint32_t *done)
{
	int rc = send_obstacle(st);

	if (!rc) {
		*done += own_conn_write(st->conn,
					(struct span){ at + *done,
						       length - *done });
		rc = *done == length ? (int)length : -EAGAIN;
	} else if (rc != -EAGAIN && *done) {
		if (st->conn && rc != -EPIPE)
			st->conn->error = -rc; /* the next one's */
		rc = (int)*done;
	}
	return rc;
}

int toe_send(struct lane *lane, struct stream *s, const struct vtoe_sqe *sqe,
	     struct vtoe_cqe *cqe)
{
	struct own_stream *st = own_stream_of(s);
	struct region *region;
	struct request *r;
	uint32_t done = 0;
	uint8_t *at;
	int rc;

	rc = toe_transfer_memory(lane, sqe, VTOE_REGION_READ, &region, &at);
	if (rc <= 0)
		return rc;
	rc = -EAGAIN;
	if (list_empty(&s->sends))
		rc = send_on(st, at, sqe->length, &done);
	if (rc == -EAGAIN && sqe->op_flags & VTOE_IO_NONBLOCK && done)
		rc = (int)done;
	if (rc != -EAGAIN || sqe->op_flags & VTOE_IO_NONBLOCK)
		goto put;
	r = request_new(lane, s, sqe);
	rc = done ? (int)done : -EBUSY;
	if (!r)
		goto put;
	r->region = region;
	r->at = at;
	r->done = done;
	list_add_tail(&s->sends, &r->node);
	return TOE_ASYNC;
put:
	region_put(lane->conn, region);
	if (rc >= 0)
		send_answer(sqe, cqe, (uint32_t)rc);
	return rc;
}

/* The writing side, when nothing is before it. */
static int shutdown_now(struct own_stream *st)
{
	struct own *o = own_of(st->s.device);
	struct own_conn *c = st->conn;

	if (!c || !c->connected || c->reset)
		return -ENOTCONN;
	if (!c->shut_write)
		tcp_shutdown(o->tcp, c->id, o->device.now_us);
	c->shut_write = true;
	return 0;
}

static int shutdown_read(struct own_stream *st)
{
	if (!st->conn || !st->conn->connected)
		return -ENOTCONN;
	st->conn->shut_read = true;
	return 0;
}

int toe_shutdown(struct lane *lane, struct stream *s,
		 const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe)
{
	struct own_stream *st = own_stream_of(s);
	struct request *r;
	int rc = 0;

	(void)cqe;
	if (sqe->length > SHUT_RDWR)
		return -EINVAL;
	if (sqe->length != SHUT_WR) {
		rc = shutdown_read(st);
		if (!rc)
			own_recv_progress(st);
	}
	if (rc || sqe->length == SHUT_RD) {
		own_poll_wake(st);
		return rc;
	}
	if (list_empty(&s->sends)) {
		rc = shutdown_now(st);
		own_poll_wake(st);
		return rc;
	}
	r = request_new(lane, s, sqe);
	if (!r)
		return -EBUSY;
	list_add_tail(&s->sends, &r->node);
	return TOE_ASYNC;
}

void own_send_progress(struct own_stream *st)
{
	struct stream *s = &st->s;
	int rc;

	while (!list_empty(&s->sends)) {
		struct request *r = list_entry(s->sends.next, struct request,
					       node);

		if (r->sqe.op == VTOE_OP_SHUTDOWN) {
			request_finish(r, shutdown_now(st), 0);
			continue;
		}
		rc = send_on(st, r->at, r->sqe.length, &r->done);
		if (rc == -EAGAIN)
			return;
		request_finish(r, rc, rc > 0 ? VTOE_CQE_COPIED : 0);
	}
}

