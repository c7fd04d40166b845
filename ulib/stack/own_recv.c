/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * own_recv.c - RECV: posted buffers before generic ones
 *
 * The oldest posted buffer is filled from the connection's pieces as soon as
 * there are some (P-32 to P-36): not while a generic completion of earlier bytes
 * waits for room in the CQ; and with none posted, own_generic.c has its turn.
 */
#include "stack/own.h"

#include <errno.h>

/* Enough to be told of (SO_RCVLOWAT)? */
static bool recv_enough(const struct own_stream *st, const struct request *r)
{
	const struct own_conn *c = st->conn;
	uint32_t want = (uint32_t)st->values[OWN_RCVLOWAT];

	if (!own_conn_readable(c))
		return false;
	if (want <= 1 || c->eof || c->over || r->done)
		return true;
	if (want > r->sqe.length)
		want = r->sqe.length;
	return own_conn_unread(c) >= want;
}

/* No more bytes will come: why? */
static int recv_end(struct own_stream *st, bool *ended)
{
	struct own_conn *c = st->conn;
	int rc = 0;

	*ended = c->over || c->eof || c->shut_read;
	/* as Linux: behind the peer's last byte an error is the sender's */
	if (*ended && !c->eof)
		rc = own_conn_take_error(c);
	return rc;
}

/* -> result, or -EAGAIN: it waits */
static int recv_on(struct own_stream *st, struct request *r)
{
	struct own_conn *c = st->conn;
	uint32_t n = 0;
	bool ended;
	int rc;

	if (st->s.state == STREAM_CONNECTING)
		return -EAGAIN;
	if (!c)
		return -ENOTCONN;
	if (recv_enough(st, r))
		n = own_conn_read(c, (struct span){ r->at + r->done,
						    r->sqe.length - r->done },
				  r->sqe.op_flags & VTOE_IO_PEEK);
	r->done += n;
	if (!(r->sqe.op_flags & VTOE_IO_PEEK)) {
		st->s.rx_bytes += n;
		st->s.rx_placed += n;
		st->s.device->stats->rx_placed_bytes += n;
	}
	if (r->done == r->sqe.length || (n && !toe_recv_is_whole(r)))
		return (int)r->done;
	rc = 0;
	ended = false;
	if (!own_conn_readable(c) && !r->done)
		rc = recv_end(st, &ended);
	else if (!own_conn_readable(c))
		ended = c->over || c->eof || c->shut_read;
	if (ended)
		return r->done ? (int)r->done : rc;
	return -EAGAIN;
}

void own_recv_progress(struct own_stream *st)
{
	struct stream *s = &st->s;
	int rc;

	while (!list_empty(&s->recvs) && !s->generic_held) {
		struct request *r = list_entry(s->recvs.next, struct request,
					       node);

		rc = recv_on(st, r);
		if (rc == -EAGAIN && !(r->sqe.op_flags & VTOE_IO_NONBLOCK))
			return;
		s->device->stats->rq_completions++;
		request_finish(r, rc, rc > 0 && own_conn_readable(st->conn) ?
					      VTOE_CQE_NONEMPTY : 0);
	}
	if (s->generic_on && list_empty(&s->recvs))
		own_generic_fill(st);
}

int toe_recv(struct lane *lane, struct stream *s, const struct vtoe_sqe *sqe,
	     struct vtoe_cqe *cqe)
{
	struct region *region;
	struct request *r;
	uint8_t *at;
	int rc;

	(void)cqe;
	rc = toe_transfer_memory(lane, sqe, VTOE_REGION_WRITE, &region, &at);
	if (rc <= 0)
		return rc;
	/* Whoever asks not to wait cannot be before those who wait. */
	rc = -EAGAIN;
	if (sqe->op_flags & VTOE_IO_NONBLOCK &&
	    (s->generic_held || !list_empty(&s->recvs)))
		goto put;
	rc = -EBUSY;
	r = request_new(lane, s, sqe);
	if (!r)
		goto put;
	r->region = region;
	r->at = at;
	list_add_tail(&s->recvs, &r->node);
	s->device->stats->rq_posts++;
	own_recv_progress(own_stream_of(s));
	return TOE_ASYNC;
put:
	region_put(lane->conn, region);
	return rc;
}
