/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * toe_wait.c - connect, accept and poll: what waits for the network
 *
 * One accept of a listener is with the kernel at a time, for the oldest ACCEPT
 * in its queue; several lanes that hold a listener are served in the order in
 * which they asked. With VTOE_IO_MULTI a request goes back to the queue's end
 * after each connection. A lane whose CQ is full accepts nothing: connections
 * stay in the kernel's backlog.
 */
#include "path/path.h"

#include <errno.h>
#include <unistd.h>

#include "nic/socket.h"

/* What a connection has from its listener, of that which the kernel does not
 * know or which is not plain to see. */
static void accept_inherit(struct stream *s, const struct stream *listener)
{
	s->state = STREAM_CONNECTED;
	s->lowat_guest = listener->lowat_guest;
	s->linger = listener->linger;
}

/* Makes the stream of an accepted socket and tells the lane. -> result */
static int accept_deliver(struct request *r, int fd, bool more)
{
	struct lane *lane = r->lane;
	struct vtoe_cqe cqe = { .flags = more ? VTOE_CQE_MORE : 0 };
	struct request *told = r;
	struct stream *s;
	int rc;

	socket_name(fd, 1, &cqe.u.address);
	rc = stream_new(lane, fd, r->stream->family, &s);
	if (rc) { /* this ends the request, with VTOE_IO_MULTI as well */
		close(fd);
		cqe.result = rc;
		cqe.flags = 0;
		request_finish_cqe(r, &cqe);
		return rc;
	}
	if (more) {
		/* a copy carries the completion, the original goes on */
		told = request_new(lane, NULL, &r->sqe);
		if (!told) {
			told = r;
			cqe.flags = 0;
		}
	}
	accept_inherit(s, r->stream);
	cqe.stream = s->id;
	lane->conn->device->stats->accepts++;
	request_finish_cqe(told, &cqe);
	return 0;
}

void toe_accept_next(struct stream *s)
{
	struct device *d = s->device;
	struct io_uring_sqe *sqe;
	struct request *r;

	list_del(&s->starved_node);
	if (s->accept_busy || list_empty(&s->accepts) ||
	    s->state >= STREAM_DRAINING)
		return;
	r = toe_accept_candidate(s);
	if (!r) {
		list_add_tail(&d->blocked, &s->starved_node);
		return;
	}
	list_del(&r->node); /* the kernel works for the first */
	list_add_head(&s->accepts, &r->node);
	sqe = uring_sqe(&d->uring, s, TAG_ACCEPT);
	io_uring_prep_accept(sqe, 0, NULL, NULL, SOCK_CLOEXEC);
	uring_use_socket(&d->uring, sqe, s->index, s->fd);
	r->busy = true;
	s->accept_busy = true;
	stream_op_begin(s);
}

int toe_accept(struct lane *lane, struct stream *s, const struct vtoe_sqe *sqe,
	       struct vtoe_cqe *cqe)
{
	struct request *r;
	struct stream *got;
	int fd, rc;

	if (sqe->op_flags & VTOE_IO_NONBLOCK && sqe->op_flags & VTOE_IO_MULTI)
		return -EINVAL;
	if (lane->conn->stream_count >= s->device->limits.peer_streams)
		return -EMFILE;
	if (sqe->op_flags & VTOE_IO_NONBLOCK) {
		if (!list_empty(&s->accepts))
			return -EAGAIN;
		fd = socket_accept_now(s->fd);
		if (fd < 0)
			return fd;
		socket_name(fd, 1, &cqe->u.address);
		rc = stream_new(lane, fd, s->family, &got);
		if (rc) {
			close(fd);
			return rc;
		}
		accept_inherit(got, s);
		cqe->stream = got->id;
		s->device->stats->accepts++;
		return 0;
	}
	r = request_new(lane, s, sqe);
	if (!r)
		return -EBUSY;
	list_add_tail(&s->accepts, &r->node);
	toe_accept_next(s);
	return TOE_ASYNC;
}

static struct request *accept_first(struct stream *s)
{
	if (list_empty(&s->accepts))
		return NULL;
	return list_entry(s->accepts.next, struct request, node);
}

void toe_accept_done(struct stream *s, int32_t result)
{
	struct request *r;

	s->accept_busy = false;
	/* The one that the kernel worked for is the oldest; if its lane is
	 * going away, the connection is the next one's. */
	while ((r = accept_first(s)) && r->lane->finishing) {
		r->cancelled = true;
		request_finish(r, -ECANCELED, 0);
	}
	if (!r) {
		if (result >= 0)
			close(result);
	} else if (result < 0) {
		r->busy = false;
		if (result != -ECANCELED || r->cancelled ||
		    s->state >= STREAM_DRAINING)
			request_finish(r, result, 0);
	} else if (r->sqe.op_flags & VTOE_IO_MULTI && !r->cancelled) {
		r->busy = false;
		list_del(&r->node);
		list_add_tail(&s->accepts, &r->node);
		accept_deliver(r, result, true);
	} else {
		accept_deliver(r, result, false);
	}
	toe_accept_next(s);
	stream_op_end(s);
}

int toe_connect(struct lane *lane, struct stream *s,
		const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe)
{
	struct device *d = s->device;
	union socket_address to;
	struct io_uring_sqe *e;
	struct request *r;
	socklen_t len;
	int rc;

	(void)cqe;
	if (s->state == STREAM_CONNECTING)
		return -EALREADY;
	rc = socket_address_from(&to, &len, &sqe->u.address, s->family);
	if (rc)
		return rc;
	r = request_new(lane, s, sqe);
	if (!r)
		return -EBUSY;
	list_add_tail(&s->others, &r->node);
	r->busy = true;
	if (s->state == STREAM_OPEN)
		s->state = STREAM_CONNECTING;
	/* The kernel copies the address when it starts the operation, which
	 * is at the next submission; until then it lies in the batch pool's
	 * scratch place for it. */
	d->connect_address[d->connect_count % DEVICE_CONNECTS] = to;
	e = uring_sqe(&d->uring, r, TAG_CONNECT);
	io_uring_prep_connect(
		e, 0, &d->connect_address[d->connect_count %
					  DEVICE_CONNECTS].sa, len);
	uring_use_socket(&d->uring, e, s->index, s->fd);
	stream_op_begin(s);
	if (++d->connect_count % DEVICE_CONNECTS == 0)
		uring_submit(&d->uring, false);
	return TOE_ASYNC;
}

void toe_connect_done(struct request *r, int32_t result)
{
	struct vtoe_cqe cqe = { .result = result };
	struct stream *s = r->stream;

	if (s->state == STREAM_CONNECTING)
		s->state = result ? STREAM_OPEN : STREAM_CONNECTED;
	cqe.stream = s->id;
	if (!result) {
		s->device->stats->connects++;
		if (s->fd >= 0)
			socket_name(s->fd, 0, &cqe.u.address);
	}
	request_finish_cqe(r, &cqe);
	stream_op_end(s);
}

int toe_poll(struct lane *lane, struct stream *s, const struct vtoe_sqe *sqe,
	     struct vtoe_cqe *cqe)
{
	struct device *d = s->device;
	struct io_uring_sqe *e;
	struct request *r;

	(void)cqe;
	if (sqe->op_flags >> 16)
		return -EINVAL;
	r = request_new(lane, s, sqe);
	if (!r)
		return -EBUSY;
	list_add_tail(&s->others, &r->node);
	toe_recv_lowat_reset(s);
	r->busy = true;
	e = uring_sqe(&d->uring, r, TAG_POLL);
	io_uring_prep_poll_add(e, 0, sqe->op_flags);
	uring_use_socket(&d->uring, e, s->index, s->fd);
	stream_op_begin(s);
	return TOE_ASYNC;
}

void toe_poll_done(struct request *r, int32_t result)
{
	struct stream *s = r->stream;

	request_finish(r, result, 0);
	stream_op_end(s);
}
