/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * own_wait.c - accept and poll: what waits for the network
 *
 * TCP's accept queue is emptied into the backlog of the stream that listens, in
 * turn where several share the port; what finds no room there stays with TCP. The
 * oldest ACCEPT whose lane has room for a completion gets the oldest connection;
 * with VTOE_IO_MULTI a request goes to the queue's end after each.
 */
#include "stack/own.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

struct own_claim *own_accept_listener(struct own *o, int listener)
{
	uint32_t i;

	for (i = 0; i < o->claim_top; i++)
		if (o->claims[i].state == OWN_CLAIM_READY &&
		    o->claims[i].listener == listener)
			return &o->claims[i];
	return NULL;
}

/* The stream of a connection for a lane. -> 0 or -errno; then it was reset */
static int accept_make(struct lane *lane, struct own_stream *listener,
		       struct vtoe_cqe *cqe)
{
	struct own_conn *c = list_entry(listener->backlog.next,
					struct own_conn, backlog_node);
	struct own_stream *st;
	int rc;

	list_del(&c->backlog_node);
	listener->backlog_count--;
	own_address_of(c, 1, listener->s.family, &cqe->u.address);
	st = own_stream_new(lane, listener->s.family, &rc);
	if (!st) {
		own_conn_leave(c, true);
		return rc;
	}
	st->conn = c;
	c->stream = st;
	st->s.state = STREAM_CONNECTED;
	st->s.linger = listener->s.linger;
	st->abort_close = listener->abort_close;
	memcpy(st->values, listener->values, sizeof(st->values));
	own_options_apply(st);
	cqe->stream = st->s.id;
	lane->conn->device->stats->accepts++;
	return 0;
}

static void accept_answer(struct own_stream *st, struct request *r)
{
	struct lane *lane = r->lane;
	bool more = r->sqe.op_flags & VTOE_IO_MULTI;
	struct vtoe_cqe cqe = { .flags = 0 };
	struct request *told = r;
	int rc;

	rc = accept_make(lane, st, &cqe);
	if (rc) { /* this ends the request, with VTOE_IO_MULTI as well */
		cqe.result = rc;
		request_finish_cqe(r, &cqe);
		return;
	}
	if (more) {
		/* a copy carries the completion, the original goes on */
		list_del(&r->node);
		list_add_tail(&st->s.accepts, &r->node);
		told = request_new(lane, NULL, &r->sqe);
		cqe.flags = told ? VTOE_CQE_MORE : 0;
	}
	request_finish_cqe(told ? told : r, &cqe);
}

static void accept_answer_all(struct own_stream *st)
{
	struct stream *s = &st->s;
	struct request *r;

	list_del(&s->starved_node);
	while (!list_empty(&s->accepts) && !list_empty(&st->backlog)) {
		r = toe_accept_candidate(s);
		if (!r) {
			list_add_tail(&s->device->blocked, &s->starved_node);
			return;
		}
		accept_answer(st, r);
	}
}

/* One more for this stream? */
static bool accept_take(struct own_claim *claim, struct own_stream *st)
{
	struct own_conn *c;
	int id;

	if (st->backlog_count >= st->backlog_max)
		return false;
	id = tcp_accept(claim->own->tcp, claim->listener);
	if (id <= 0)
		return false;
	c = own_conn_new(claim, id);
	if (!c) {
		tcp_free(claim->own->tcp, id, claim->own->device.now_us);
		return true;
	}
	own_options_inherit(st, id);
	c->connected = true;
	list_add_tail(&st->backlog, &c->backlog_node);
	st->backlog_count++;
	return true;
}

void own_accept_pull(struct own_claim *claim)
{
	struct list *at, *tmp;
	bool more;

	do {
		more = false;
		list_for_each_safe(at, tmp, &claim->listening) {
			struct own_stream *st =
				list_entry(at, struct own_use, listen_node)
					->stream;

			if (!accept_take(claim, st))
				continue;
			more = true;
			accept_answer_all(st);
			own_poll_wake(st);
		}
	} while (more);
}

void toe_accept_next(struct stream *s)
{
	struct own_stream *st = own_stream_of(s);
	unsigned i;

	if (s->state != STREAM_LISTENING) {
		list_del(&s->starved_node);
		return;
	}
	accept_answer_all(st);
	for (i = 0; i < 2; i++)
		if (st->use[i].claim && st->use[i].claim->listener)
			own_accept_pull(st->use[i].claim);
}

int toe_accept(struct lane *lane, struct stream *s, const struct vtoe_sqe *sqe,
	       struct vtoe_cqe *cqe)
{
	struct own_stream *st = own_stream_of(s);
	struct request *r;
	int rc;

	if (sqe->op_flags & VTOE_IO_NONBLOCK && sqe->op_flags & VTOE_IO_MULTI)
		return -EINVAL;
	if (lane->conn->stream_count >= s->device->limits.peer_streams)
		return -EMFILE;
	if (s->state != STREAM_LISTENING && !st->listen_asked)
		return -EINVAL;
	if (sqe->op_flags & VTOE_IO_NONBLOCK) {
		if (!list_empty(&s->accepts) || list_empty(&st->backlog))
			return -EAGAIN;
		rc = accept_make(lane, st, cqe);
		toe_accept_next(s); /* there is room for what TCP has kept */
		return rc;
	}
	r = request_new(lane, s, sqe);
	if (!r)
		return -EBUSY;
	list_add_tail(&s->accepts, &r->node);
	toe_accept_next(s);
	return TOE_ASYNC;
}

/* -- POLL ------------------------------------------------------------------ */

static uint32_t poll_conn(const struct own_conn *c)
{
	bool no_read = c->eof || c->over || c->shut_read;
	bool no_write = c->over || c->shut_write;
	uint32_t bits = 0;

	if (own_conn_readable(c) || no_read)
		bits |= POLLIN | POLLRDNORM;
	if (no_read)
		bits |= POLLRDHUP;
	/* as Linux: a third must be free to be worth it */
	if (no_write || own_conn_room(c) > (c->queued - c->acked) / 2)
		bits |= POLLOUT | POLLWRNORM;
	if ((no_read && no_write) || c->over)
		bits |= POLLHUP;
	if (c->error)
		bits |= POLLERR;
	return bits;
}

uint32_t own_poll_bits(struct own_stream *st)
{
	switch (st->s.state) {
	case STREAM_LISTENING:
		return list_empty(&st->backlog) ? 0 : POLLIN | POLLRDNORM;
	case STREAM_CONNECTING:
		return 0;
	default:
		if (st->conn)
			return poll_conn(st->conn);
		return POLLOUT | POLLWRNORM | POLLHUP |
		       (st->error ? POLLERR : 0);
	}
}

void own_poll_wake(struct own_stream *st)
{
	uint32_t bits = own_poll_bits(st), want;
	struct list *at, *tmp;

	list_for_each_safe(at, tmp, &st->s.others) {
		struct request *r = list_entry(at, struct request, node);

		want = r->sqe.op_flags | POLLERR | POLLHUP;
		if (r->sqe.op == VTOE_OP_POLL && bits & want)
			request_finish(r, (int32_t)(bits & want), 0);
	}
}

int toe_poll(struct lane *lane, struct stream *s, const struct vtoe_sqe *sqe,
	     struct vtoe_cqe *cqe)
{
	uint32_t want = sqe->op_flags | POLLERR | POLLHUP, bits;
	struct request *r;

	(void)cqe;
	if (sqe->op_flags >> 16)
		return -EINVAL;
	bits = own_poll_bits(own_stream_of(s)) & want;
	if (bits)
		return (int)bits;
	r = request_new(lane, s, sqe);
	if (!r)
		return -EBUSY;
	list_add_tail(&s->others, &r->node);
	return TOE_ASYNC;
}
