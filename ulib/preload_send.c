/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * preload_send.c - sending
 *
 * Theory of operation. A send copies into chunks of the arena, submits them
 * and returns, as the kernel's does with its send buffer; a cap bounds what is
 * under way on one stream. Who finds no room waits (or gets EAGAIN) until half
 * of it is free again. An error of a SEND whose call has returned already
 * shows in a later call.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "preload.h"

#define VT_SEND_CAP (1u << 20)	/* of one stream, in bytes of chunks */
#define VT_SEND_FLOOR 4096u
#define VT_SENDS_SPARE 2048u	/* requests left to others than SEND */

/* What one stream may have under way: a part of what is left, so that those
 * whose peers do not read leave something to the others. */
static size_t vt_send_cap(void)
{
	size_t cap = vt_chunk_bytes_left() / 4;

	return cap > VT_SEND_CAP ? VT_SEND_CAP :
	       cap < VT_SEND_FLOOR ? VT_SEND_FLOOR : cap;
}

/* Completions of SENDs are quiet (VTOE_SQE_QUIET): a program that sleeps for an
 * answer is not woken because its request went out. Who waits for room says so. */
void vt_want_room(struct vsock *s, bool want)
{
	if (s->want_room == want)
		return;
	s->want_room = want;
	vt.want_sends += want ? 1 : -1;
}

bool vt_room(const struct vsock *s)
{
	if (!vt.ctx || !vt_chunk_left() ||
	    vt.sends + VT_SENDS_SPARE >= vtoe_device(vt.ctx)->max_inflight) {
		vt.starved = true;
		return false;
	}
	return !s->charged ||
	       s->charged < vt_send_cap() / (s->want_room ? 2 : 1);
}

/* There is memory again: tell those that found none. */
static void vt_send_fed(void)
{
	struct vsock *s;

	if (!vt.starved)
		return;
	vt.starved = false;
	for (s = vt.socks; s; s = s->next)
		if (s->want_room && vt_room(s))
			vt_notify(s);
}

static void vt_send_done(struct vt_req *r, const struct vtoe_cqe *c)
{
	struct vsock *s = r->s;
	bool had_room = vt_room(s);

	if (s->dead)
		return; /* the chunk is gone with the arena */
	s->inflight -= r->bytes;
	s->charged -= r->chunk->size;
	vt.sends--;
	vt_chunk_put(r->chunk);
	if (c->result == -EPIPE) {
		s->wr_broken = true;
	} else if (c->result < 0 && c->result != -ECANCELED && !s->reset) {
		s->reset = true;
		if (!s->err)
			s->err = -c->result;
	}
	if (c->result < 0 || (!had_room && vt_room(s))) {
		if (vt_room(s))
			vt_want_room(s, false);
		vt_notify(s);
	} else if (!s->inflight) {
		vt_wake(s); /* fork and linger wait for that */
	}
	vt_send_fed();
}

/* Copies the next bytes of the vector into a chunk. */
static size_t vt_gather(struct vt_chunk *c, const struct vt_io *io,
			size_t skip)
{
	size_t done = 0;
	unsigned i;

	for (i = 0; i < io->count && done < c->size; i++) {
		size_t n = io->iov[i].iov_len;

		if (skip >= n) {
			skip -= n;
			continue;
		}
		n -= skip;
		if (n > c->size - done)
			n = c->size - done;
		memcpy(c->at + done, (char *)io->iov[i].iov_base + skip, n);
		done += n;
		skip = 0;
	}
	return done;
}

static int vt_send_chunk(struct vsock *s, struct vt_io *io, size_t *done)
{
	struct vt_chunk *c = vt_chunk_get(io->bytes - *done);
	struct vtoe_sqe *q;
	struct vt_req *r;
	size_t n;

	if (!c)
		return -ENOBUFS;
	n = vt_gather(c, io, *done);
	r = vt_req_get(s, vt_send_done);
	r->chunk = c;
	r->bytes = n;
	s->inflight += n;
	s->charged += c->size;
	vt.sends++;
	q = vt_sqe(r, VTOE_OP_SEND, s->stream);
	/* after the peer's FIN each tells whether the connection broke */
	if (!s->eof)
		q->flags = VTOE_SQE_QUIET;
	q->key = c->key;
	q->offset = c->offset;
	q->length = n;
	*done += n;
	if (*done == io->bytes && !(io->flags & MSG_MORE))
		q->op_flags = VTOE_IO_PUSH;
	vt.bytes_out += n;
	return 0;
}

static int vt_send_error(struct vsock *s)
{
	int err = s->err;

	if (err) {
		s->err = 0;
		return -err;
	}
	return s->shut_wr || s->reset || s->dead || s->wr_broken ? -EPIPE : 0;
}

/*
 * After the peer's FIN no completion tells of a reset, so a send that has
 * nothing before it asks.
 */
static void vt_send_ask(struct vsock *s)
{
	int err = 0;

	if (!s->eof || s->inflight || s->reset || s->dead || s->shut_wr)
		return;
	if (vt_getsockopt_live(s, SOL_SOCKET, SO_ERROR, &err,
			       sizeof(err)) > 0 && err) {
		s->reset = true;
		s->err = err;
	}
}

/* Waits for a connection under way. */
static int vt_send_connected(struct vsock *s, bool wait, int64_t deadline)
{
	int rc = 0;

	if (s->state == VT_CONNECTING)
		vt_reap();
	while (s->state == VT_CONNECTING && wait && !rc) {
		rc = vt_sleep(s, deadline, NULL, 0, NULL);
		if (rc == -EINTR && vt_restart(s->snd_timeout))
			rc = 0;
	}
	if (s->state == VT_CONNECTING)
		return rc == -EINTR ? -EINTR : -EAGAIN;
	if (s->state != VT_CONNECTED) {
		rc = vt_send_error(s);
		return rc ? rc : -EPIPE;
	}
	return 0;
}

/* -> bytes, or a negated errno */
ssize_t vt_send(struct vsock *s, int fd, struct vt_io *io)
{
	bool wait = !s->nonblock && !(io->flags & MSG_DONTWAIT);
	int64_t deadline = vt_deadline(s->snd_timeout);
	size_t done = 0;
	int rc;

	if (s->shared && wait)
		wait = !(REAL(fcntl)(fd, F_GETFL) & O_NONBLOCK);
	if (io->flags & MSG_OOB)
		return -EOPNOTSUPP;
	rc = vt_send_connected(s, wait, deadline);
	if (rc)
		return rc;
	vt_want_data(s); /* a reset is to be known */
	vt_reap();
	vt_send_ask(s);
	rc = 0;
	do {
		int err = vt_send_error(s);

		if (err)
			return done ? (ssize_t)done : err;
		if (done == io->bytes)
			break;
		if (vt_room(s)) {
			vt_want_room(s, false);
			if (!vt_send_chunk(s, io, &done))
				continue;
		}
		vt_want_room(s, true);
		if (!wait || rc == -ETIME)
			return done ? (ssize_t)done : -EAGAIN;
		if (rc == -EINTR && (done || !vt_restart(s->snd_timeout)))
			return done ? (ssize_t)done : -EINTR;
		rc = vt_sleep(s, deadline, NULL, 0, NULL);
	} while (done < io->bytes);
	return done;
}
