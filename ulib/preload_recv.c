/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * preload_recv.c - receiving
 *
 * Theory of operation. A stream that only this process holds is in generic
 * receive mode from the first time that anybody shows interest in its data
 * (not from accept on: a server may accept, fork, and let the child read).
 * Completions queue pieces of generic buffers as the socket's backlog; a
 * reader copies out of it and gives the buffers back, so that the backend's
 * flow control sees what the application has read.
 *
 * A stream that another process may hold too (after a fork, or handed over by
 * exec) takes bytes out of the backend only when a reader asks for them, with
 * RECV, and learns of readiness with POLL; what was already here when it
 * became shared is in a backlog common to both processes.
 *
 * The end of the stream and errors come after the data that preceded them,
 * with the kernel's rules: a reset is reported once, then the stream is at
 * its end.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "preload.h"

#define VT_SPILL_MAX (128u << 10) /* unread bytes of a stream, then */

/* -- the backlog ---------------------------------------------------------------- */

static struct vt_piece *vt_piece_first(struct vsock *s)
{
	return &s->pieces[s->piece_head & (s->piece_room - 1)];
}

static struct vt_piece *vt_piece_add(struct vsock *s)
{
	if (s->piece_count == s->piece_room) {
		unsigned room = s->piece_room ? s->piece_room * 2 : 8, i;
		struct vt_piece *more = malloc(room * sizeof(*more));

		if (!more)
			return NULL;
		for (i = 0; i < s->piece_count; i++)
			more[i] = s->pieces[(s->piece_head + i) &
					    (s->piece_room - 1)];
		free(s->pieces);
		s->pieces = more;
		s->piece_room = room;
		s->piece_head = 0;
	}
	return &s->pieces[(s->piece_head + s->piece_count++) &
			  (s->piece_room - 1)];
}

/* Giving the buffer back may take completions, which add pieces, or find that
 * the backend died, which drops them all: so that comes last. */
static void vt_piece_done(struct vsock *s)
{
	int buffer = vt_piece_first(s)->buffer;

	free(vt_piece_first(s)->heap);
	s->piece_head++;
	s->piece_count--;
	vt_generic_back(buffer);
}

void vt_backlog_drop(struct vsock *s)
{
	while (s->piece_count)
		vt_piece_done(s);
	s->backlog = 0;
}

size_t vt_backlog_bytes(struct vsock *s)
{
	return s->backlog + (s->common ? vt_common_bytes(s) : 0);
}

static void vt_broken(struct vsock *s, int err)
{
	if (s->reset)
		return;
	s->reset = true;
	/* The kernel reports EPIPE when the peer had closed already. */
	if (!s->err)
		s->err = s->eof && err == ECONNRESET ? EPIPE : err;
}

/*
 * Generic buffers are scarce: keeps the bytes on the heap instead, so that
 * streams which are read have buffers. One that is not read must not fill the
 * heap: it is turned off until it has been.
 */
static void vt_spill(struct vsock *s, struct vt_piece *p)
{
	int buffer = p->buffer;
	struct vtoe_sqe *q;

	p->heap = malloc(p->length);
	if (!p->heap)
		return;
	memcpy(p->heap, p->at, p->length);
	p->at = p->heap;
	p->buffer = -1;
	vt_generic_back(buffer);
	if (s->backlog < VT_SPILL_MAX || !s->grq)
		return;
	s->grq = false;
	q = vt_sqe(vt_req_get(s, vt_req_ignore), VTOE_OP_GRQ_MODE, s->stream);
	q->op_flags = 0;
}

/* Queues received bytes; the buffer is ours until they are read. */
static void vt_receive_bytes(struct vsock *s, const struct vtoe_cqe *c)
{
	struct vt_piece *p = NULL;
	unsigned char *at;
	int index;

	at = vt_generic_at(c->key, c->offset, c->result, &index);
	if (!at)
		return;
	if (s->state != VT_CLOSED)
		p = vt_piece_add(s);
	if (!p) {
		vt_generic_back(index);
		return;
	}
	p->at = at;
	p->length = c->result;
	p->buffer = index;
	p->heap = NULL;
	s->poll_bits = 0;
	s->backlog += c->result;
	if (vt_generic_scarce())
		vt_spill(s, p);
}

/* A completion of generic receive, or of the request that turned it on. */
/* From now on only SENDs tell of a reset: those under way are to do so too. */
static void vt_received_end(struct vsock *s)
{
	s->eof = true;
	if (s->inflight)
		vt_ask_sends();
}

void vt_receive_done(struct vsock *s, const struct vtoe_cqe *c)
{
	if (!(c->flags & VTOE_CQE_GRQ)) {
		if (c->result != -EBUSY)
			return;
		/* Another process has it on: read as those who share do. */
		s->grq = false;
		s->shared = true;
		vt_interest(s);
	} else if (c->flags & VTOE_CQE_EOF) {
		vt_received_end(s);
	} else if (c->result > 0) {
		vt_receive_bytes(s, c);
	} else if (c->result < 0 && c->result != -ECANCELED) {
		vt_broken(s, -c->result);
	}
	vt_notify(s);
}

static void vt_grq_on(struct vsock *s)
{
	struct vtoe_sqe *q;
	struct vt_req *r;

	s->grq = true;
	r = vt_req_get(NULL, vt_req_ignore);
	q = vt_sqe(r, VTOE_OP_GRQ_MODE, s->stream);
	q->user_data = (uintptr_t)s | 1;
	q->op_flags = 1;
	vt_req_put(r);
}

/* Off, and no more data comes: what was on its way is in the backlog. */
int vt_grq_off(struct vsock *s)
{
	struct vtoe_sqe *q;
	struct vt_req *r;

	if (!s->grq)
		return 0;
	s->grq = false;
	r = vt_req_get(s, NULL);
	q = vt_sqe(r, VTOE_OP_GRQ_MODE, s->stream);
	q->op_flags = 0;
	return vt_req_result(r, NULL);
}

static void vt_poll_done(struct vt_req *r, const struct vtoe_cqe *c)
{
	struct vsock *s = r->s;

	s->poll_busy = false;
	vt_try_unshare(s);
	if (s->state == VT_CONNECTED && !s->shared)
		vt_want_data(s);
	else if (c->result >= 0)
		s->poll_bits |= c->result;
	else if (c->result != -ECANCELED)
		s->poll_bits |= POLLERR;
	vt_notify(s);
}

/* Asks for readiness of a listener or a shared stream, once. */
void vt_arm_poll(struct vsock *s)
{
	struct vtoe_sqe *q;
	struct vt_req *r;

	if (s->poll_busy || s->dead || s->lost || s->poll_bits)
		return;
	s->poll_busy = true;
	r = vt_req_get(s, vt_poll_done);
	q = vt_sqe(r, VTOE_OP_POLL, s->stream);
	q->op_flags = s->state == VT_CONNECTING ? POLLOUT :
		      s->state == VT_LISTENING ? POLLIN :
						 POLLIN | POLLRDHUP;
}

/* Somebody is interested in what can be read. */
void vt_want_data(struct vsock *s)
{
	if (s->dead)
		return;
	vt_try_unshare(s);
	if (s->state == VT_LISTENING || s->shared)
		vt_arm_poll(s);
	else if (s->state == VT_CONNECTED && !s->grq && !s->eof &&
		 !s->reset && s->backlog < VT_SPILL_MAX / 2)
		vt_grq_on(s);
}

/* -- copying out --------------------------------------------------------------- */

/* From linear memory into what is left of the vector. */
void vt_scatter(struct vt_io *io, size_t *done, const void *from,
		       size_t bytes)
{
	size_t skip = *done;
	unsigned i;

	*done += bytes;
	if (io->flags & MSG_TRUNC)
		return;
	for (i = 0; i < io->count && bytes; i++) {
		size_t n = io->iov[i].iov_len;

		if (skip >= n) {
			skip -= n;
			continue;
		}
		n -= skip;
		if (n > bytes)
			n = bytes;
		memcpy((char *)io->iov[i].iov_base + skip, from, n);
		from = (const char *)from + n;
		bytes -= n;
		skip = 0;
	}
}

static size_t vt_backlog_peek(struct vsock *s, struct vt_io *io)
{
	size_t done = 0;
	unsigned i;

	for (i = 0; i < s->piece_count && done < io->bytes; i++) {
		struct vt_piece *p = &s->pieces[(s->piece_head + i) &
						(s->piece_room - 1)];
		size_t n = io->bytes - done;

		vt_scatter(io, &done, p->at, n < p->length ? n : p->length);
	}
	return done;
}

size_t vt_backlog_take(struct vsock *s, struct vt_io *io, size_t done)
{
	size_t before = done;

	while (s->piece_count && done < io->bytes) {
		struct vt_piece *p = vt_piece_first(s);
		size_t n = io->bytes - done;

		if (n > p->length)
			n = p->length;
		vt_scatter(io, &done, p->at, n);
		p->at += n;
		p->length -= n;
		s->backlog -= n;
		if (!p->length)
			vt_piece_done(s);
	}
	vt.bytes_in += done - before;
	if (!s->grq && !s->shared)
		vt_want_data(s);
	return done;
}

/* What a reader gets when there is no data: 1 if it must wait. */
static int vt_no_data(struct vsock *s)
{
	if (s->eof || s->shut_rd) {
		if (s->eof || !s->err)
			return 0;
	}
	if (s->err) {
		int err = s->err;

		s->err = 0;
		return -err;
	}
	if (s->dead)
		return -ECONNRESET;
	return s->reset ? 0 : 1;
}

/* -- shared streams ------------------------------------------------------------- */

/* One RECV into a chunk; copies out what came. */
static ssize_t vt_recv_once(struct vsock *s, struct vt_io *io, size_t *done,
			    bool wait, int64_t deadline)
{
	struct vt_chunk *c = vt_chunk_get(io->bytes - *done);
	struct vtoe_sqe *q;
	struct vt_req *r;
	int rc;

	if (!c)
		return -ENOBUFS;
	r = vt_req_get(s, NULL);
	q = vt_sqe(r, VTOE_OP_RECV, s->stream);
	q->key = c->key;
	q->offset = c->offset;
	q->length = io->bytes - *done < c->size ? io->bytes - *done : c->size;
	q->op_flags = (wait ? 0 : VTOE_IO_NONBLOCK) |
		      (io->flags & MSG_PEEK ? VTOE_IO_PEEK : 0);
	rc = vt_req_wait(r, deadline);
	if (rc) {
		int got = vt_req_cancel(r, NULL);

		rc = got == -ECANCELED ? rc : got;
	} else {
		rc = vt_req_result(r, NULL);
	}
	if (rc > 0) {
		vt_scatter(io, done, c->at, rc);
		if (!(io->flags & MSG_PEEK))
			vt.bytes_in += rc;
	}
	if (!s->dead)
		vt_chunk_put(c); /* else it went with the arena */
	return rc;
}

/* How much can be read: of a shared stream, what the backend lets us see. */
ssize_t vt_waiting_bytes(struct vsock *s)
{
	struct vt_io io = { .flags = MSG_PEEK, .bytes = VT_SPILL_MAX };
	size_t done = vt_backlog_bytes(s), more = 0;

	if (s->shared && s->state == VT_CONNECTED && !s->dead)
		vt_recv_once(s, &io, &more, false, VT_NEVER);
	return done + more;
}

/*
 * What can be read, asked with an answer: for a poll that does not wait, of a
 * listener or stream that the backend has not been asked about yet.
 */
void vt_ask_data(struct vsock *s)
{
	struct tcp_info info;
	struct vt_io io = { .flags = MSG_PEEK, .bytes = 1 };
	size_t done = 0;
	ssize_t rc;

	if (s->dead || s->grq || s->poll_busy || s->poll_bits)
		return;
	if (s->state == VT_LISTENING) {
		/* of a listener, the connections that wait */
		if (vt_getsockopt_live(s, IPPROTO_TCP, TCP_INFO, &info,
				       sizeof(info)) > 0 && info.tcpi_unacked)
			s->poll_bits = POLLIN;
		return;
	}
	if (s->state != VT_CONNECTED || s->backlog || s->eof || s->reset ||
	    (s->common && vt_common_bytes(s)))
		return;
	rc = vt_recv_once(s, &io, &done, false, VT_NEVER);
	if (rc == -EAGAIN || s->dead)
		return;
	s->poll_bits = POLLIN;
	if (rc == 0)
		s->poll_bits |= POLLRDHUP;
}

static ssize_t vt_recv_shared(struct vsock *s, struct vt_io *io, bool wait)
{
	int64_t deadline = vt_deadline(s->rcv_timeout);
	bool peek = io->flags & MSG_PEEK;
	size_t done;
	ssize_t rc;

	done = s->common ? vt_common_take(s, io, peek) : 0;
	for (;;) {
		if (done == io->bytes || (done && peek))
			return done;
		if (done && !(io->flags & MSG_WAITALL && wait))
			return done;
		rc = vt_no_data(s);
		if (rc <= 0)
			break;
		rc = vt_recv_once(s, io, &done, wait, deadline);
		if (!s->dead)
			s->poll_bits = 0;
		if (rc == -EINTR && !done && vt_restart(s->rcv_timeout))
			continue;
		if (rc == 0)
			vt_received_end(s);
		if (rc == -ETIME)
			rc = -EAGAIN;
		if (rc < 0 && rc != -EAGAIN && rc != -EINTR && rc != -ENOBUFS) {
			vt_broken(s, -rc);
			if (!done)
				s->err = 0;
		}
		if (rc <= 0)
			break;
	}
	if (s->items)
		vt_interest(s);
	return done ? (ssize_t)done : rc;
}

/* -- streams of our own --------------------------------------------------------- */

static ssize_t vt_recv_own(struct vsock *s, struct vt_io *io, bool wait)
{
	int64_t deadline = vt_deadline(s->rcv_timeout);
	size_t done = 0;
	int rc = 0;

	s->poll_bits = 0;
	vt_want_data(s);
	if (!s->piece_count) {
		vt_submit();
		vt_reap();
	}
	for (;;) {
		if (s->shared) /* a fork, meanwhile */
			return done ? (ssize_t)done :
				      vt_recv_shared(s, io, wait);
		if (!io->bytes && s->piece_count)
			return 0;
		if (io->flags & MSG_PEEK)
			done = vt_backlog_peek(s, io);
		else
			done = vt_backlog_take(s, io, done);
		if (done && done == io->bytes)
			return done;
		if (done && !(io->flags & MSG_WAITALL && wait))
			return done;
		if (done && (s->err || s->eof || s->reset || s->shut_rd))
			return done;
		if (!done) {
			int end = vt_no_data(s);

			if (end <= 0)
				return end;
		}
		if (!wait || rc == -ETIME)
			return done ? (ssize_t)done : -EAGAIN;
		if (rc == -EINTR && (done || !vt_restart(s->rcv_timeout)))
			return done ? (ssize_t)done : -EINTR;
		rc = vt_sleep(s, deadline, NULL, 0, NULL);
	}
}

/* -> bytes, or a negated errno */
ssize_t vt_recv(struct vsock *s, int fd, struct vt_io *io)
{
	bool wait = !s->nonblock && !(io->flags & MSG_DONTWAIT);

	vt_try_unshare(s);
	if (s->shared && wait)
		wait = !(REAL(fcntl)(fd, F_GETFL) & O_NONBLOCK);
	if (io->flags & MSG_OOB)
		return -EINVAL;
	if (io->flags & MSG_ERRQUEUE)
		return -EAGAIN;
	if (s->state == VT_CONNECTING) {
		int64_t deadline = vt_deadline(s->rcv_timeout);
		int rc = 0;

		vt_reap();
		while (s->state == VT_CONNECTING && wait && !rc) {
			rc = vt_sleep(s, deadline, NULL, 0, NULL);
			if (rc == -EINTR && vt_restart(s->rcv_timeout))
				rc = 0;
		}
		if (s->state == VT_CONNECTING)
			return rc == -EINTR ? -EINTR : -EAGAIN;
	}
	if (s->state != VT_CONNECTED && !(!io->bytes && io->plain)) {
		int err = s->err;

		s->err = 0;
		return err ? -err : s->failed ? 0 : -ENOTCONN;
	}
	if (!io->bytes && (io->plain || s->shared))
		return 0;
	return s->shared ? vt_recv_shared(s, io, wait) :
			   vt_recv_own(s, io, wait);
}
