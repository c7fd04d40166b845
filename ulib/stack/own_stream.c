/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * own_stream.c - streams that are connections of our TCP: making, going on, end
 *
 * When the last hold is gone a stream drains: sends that wait for room go into
 * the connection's ring, then the stream ends, and the connection goes on without
 * it until the peer has everything. Bytes that came and were not read make it a
 * reset, as in a kernel. With a time set by SO_LINGER the stream stays until all
 * is acknowledged or the time is over.
 */
#include "stack/own.h"

#include <errno.h>
#include <stdlib.h>

struct own_stream *own_stream_new(struct lane *lane, unsigned family,
				  int *error)
{
	struct own_stream *st = calloc(1, sizeof(*st));

	*error = -ENOMEM;
	if (!st)
		return NULL;
	st->s.fd = -1;
	list_init(&st->backlog);
	list_init(&st->linger_node);
	list_init(&st->use[0].node);
	list_init(&st->use[0].listen_node);
	list_init(&st->use[1].node);
	list_init(&st->use[1].listen_node);
	own_options_init(st);
	*error = stream_enter(lane, &st->s, family);
	if (*error) {
		free(st);
		return NULL;
	}
	return st;
}

void own_stream_progress(struct own_stream *st)
{
	struct stream *s = &st->s;

	stream_op_begin(s); /* it stays over the calls below */
	if (s->state == STREAM_CONNECTING && st->conn) {
		if (st->conn->over)
			own_connect_done(st, -st->conn->error);
		else if (st->conn->connected)
			own_connect_done(st, 0);
	}
	own_send_progress(st);
	own_recv_progress(st);
	own_poll_wake(st);
	stream_op_end(s); /* drains on, if it does */
}

/* The application's end of it. */
static void own_stream_end(struct own_stream *st, bool abort)
{
	struct stream *s = &st->s;
	struct own_conn *c = st->conn;

	if (s->state == STREAM_CLOSING)
		return;
	s->state = STREAM_CLOSING;
	stream_op_begin(s);
	stream_cancel_queue(&s->recvs, NULL);
	stream_cancel_queue(&s->accepts, NULL);
	stream_cancel_queue(&s->others, NULL);
	stream_cancel_queue(&s->sends, NULL);
	list_del(&st->linger_node);
	st->conn = NULL;
	if (c)
		own_conn_leave(c, abort);
	if (st->claim) {
		st->claim->connecting = NULL;
		own_claim_put(st->claim, false);
	}
	st->claim = NULL;
	own_unbind(st);
	if (s->close)
		request_finish(s->close, 0, 0);
	s->close = NULL;
	stream_op_end(s);
}

static bool own_stream_lingers(struct own_stream *st)
{
	struct stream *s = &st->s;
	struct own *o = own_of(s->device);

	if (!st->conn || !st->conn->connected)
		return false;
	if (!s->linger_wait) {
		s->linger_wait = 1;
		s->deadline = o->device.now + (uint64_t)s->linger * 1000;
		st->conn->shut_write = true;
		tcp_shutdown(o->tcp, st->conn->id, o->device.now_us);
		list_add_tail(&o->lingering, &st->linger_node);
		device_set_timer(s->device);
	}
	return o->device.now < s->deadline && !own_conn_delivered(st->conn);
}

void own_stream_linger_all(struct own *o)
{
	struct list *at, *tmp;

	list_for_each_safe(at, tmp, &o->lingering)
		stream_drained(&list_entry(at, struct own_stream,
					   linger_node)->s);
}

void stream_drained(struct stream *s)
{
	struct own_stream *st = own_stream_of(s);

	if (s->state != STREAM_DRAINING || !list_empty(&s->sends))
		return;
	if (s->close && own_stream_lingers(st))
		return;
	own_stream_end(st, false);
}

void stream_drain(struct stream *s)
{
	struct own_stream *st = own_stream_of(s);
	struct device *d = s->device;
	bool waits = !list_empty(&s->sends) || s->close;

	s->state = STREAM_DRAINING;
	s->deadline = d->now + d->limits.drain_ms;
	if (waits && st->conn && own_conn_readable(st->conn))
		s->abort = true;
	if (s->abort || st->abort_close) {
		own_stream_end(st, true);
		return;
	}
	stream_drained(s);
	if (s->state == STREAM_DRAINING)
		device_set_timer(d);
}

bool stream_drain_on(struct stream *s)
{
	struct own_stream *st = own_stream_of(s);

	if (st->conn && own_conn_readable(st->conn) && !s->linger_wait)
		own_stream_end(st, true);
	else if (s->device->now < s->deadline)
		return true;
	else
		own_stream_end(st, !s->linger_wait);
	return false;
}
