/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * toe_recv.c - receive: posted buffers (RQ) before generic ones (GRQ)
 *
 * At most one receive of a stream is with the kernel at any time, either into
 * the oldest posted buffer or into a generic one; so bytes have one order. The
 * kernel writes into the guest's page itself: the only copy.
 *
 *   a posted buffer waits      receive into it (MECHANISMS H3, L11)
 *   none waits, GRQ_MODE on    receive into a generic buffer, which the kernel
 *                              picks from the lane's ring only when data is
 *                              there (H7): an idle stream costs no buffer
 *   none waits, GRQ_MODE off   nothing: data stays in the socket, and TCP's
 *                              window closes (L16)
 *
 * A buffer posted while a generic receive is armed: that one is cancelled
 * first, and if it got data meanwhile, its completion goes before (H9, H10).
 *
 * A receive that wants all of a large buffer is not worth a wake-up for every
 * few packets: the socket's low-water mark follows what is missing, up to
 * LOWAT_MAX, so that the kernel tells us of much at once (it tells earlier when
 * its own buffer is full, or the stream has ended). Everything else that looks
 * at the socket finds the mark at one byte again.
 */
#include "path/path.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "nic/socket.h"

/* One receive takes at most this much, so that no stream holds the worker. */
enum {
	RECV_TURN_BYTES = 1 << 20,
	LOWAT_MIN = 16 << 10, /* less is not worth the system call */
	LOWAT_MAX = 128 << 10,
};

static void toe_recv_lowat(struct stream *s, uint32_t bytes)
{
	if (s->lowat == bytes || s->lowat_guest)
		return;
	if (!socket_set_lowat(s->fd, bytes ? bytes : 1))
		s->lowat = bytes;
}

void toe_recv_lowat_reset(struct stream *s)
{
	toe_recv_lowat(s, 0);
}

/* Does it wait until all has come? */
/* The low-water mark for what is missing; 0: none. Never more than what is
 * missing, since no more may ever come. */
static uint32_t recv_lowat_of(const struct stream *s, const struct request *r)
{
	uint32_t missing = r->sqe.length - r->done;

	if (!toe_recv_is_whole(r) || s->lowat_guest || missing < LOWAT_MIN ||
	    !list_empty(&s->others)) /* a POLL */
		return 0;
	return missing < LOWAT_MAX ? missing : LOWAT_MAX;
}

static void toe_recv_issue(struct stream *s, struct request *r)
{
	struct device *d = s->device;
	struct io_uring_sqe *sqe = uring_sqe(&d->uring, r, TAG_RECV);
	uint32_t bytes = r->sqe.length - r->done;
	unsigned flags = 0;

	toe_recv_lowat(s, recv_lowat_of(s, r));
	if (r->sqe.op_flags & VTOE_IO_NONBLOCK)
		flags |= MSG_DONTWAIT;
	if (r->sqe.op_flags & VTOE_IO_PEEK)
		flags |= MSG_PEEK;
	else if (r->sqe.op_flags & VTOE_IO_WAITALL && !s->lowat)
		flags |= MSG_WAITALL;
	if (!(flags & MSG_WAITALL) && bytes > RECV_TURN_BYTES)
		bytes = RECV_TURN_BYTES;
	io_uring_prep_recv(sqe, 0, r->at + r->done, bytes, (int)flags);
	uring_use_socket(&d->uring, sqe, s->index, s->fd);
	/* Known to be empty, or not worth it yet: wait for readiness before the
	 * first attempt. */
	if ((!s->nonempty || s->lowat) && !(flags & MSG_DONTWAIT))
		sqe->ioprio |= URING_RECVSEND_POLL_FIRST;
	r->busy = true;
	s->recv_busy = true;
	stream_op_begin(s);
}

void toe_recv_next(struct stream *s)
{
	if (s->recv_busy || s->generic != GENERIC_IDLE ||
	    s->state >= STREAM_DRAINING)
		return;
	if (s->recv_error && !list_empty(&s->recvs)) {
		int32_t error = s->recv_error;

		s->recv_error = 0;
		request_finish(list_entry(s->recvs.next, struct request, node),
			       error, 0);
	}
	if (!list_empty(&s->recvs))
		toe_recv_issue(s, list_entry(s->recvs.next, struct request,
					     node));
	else if (s->generic_on)
		toe_generic_arm(s);
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
	    (s->recv_busy || s->generic != GENERIC_IDLE || s->generic_held ||
	     !list_empty(&s->recvs)))
		goto put;
	rc = -EBUSY;
	r = request_new(lane, s, sqe);
	if (!r)
		goto put;
	r->region = region;
	r->at = at;
	list_add_tail(&s->recvs, &r->node);
	lane->conn->device->stats->rq_posts++;
	toe_generic_cancel(s);
	toe_recv_next(s);
	return TOE_ASYNC;
put:
	region_put(lane->conn, region);
	return rc;
}

/* Some came: is the rest still wanted? */
static bool recv_goes_on(const struct stream *s, const struct request *r,
			 int32_t result)
{
	return result > 0 && toe_recv_is_whole(r) && !r->cancelled &&
	       s->state < STREAM_DRAINING &&
	       r->done + (uint32_t)result < r->sqe.length;
}

/* What a receive in several parts comes to, when `result` ends it. An error
 * behind good bytes is the next receive's. */
static int32_t recv_total(struct request *r, int32_t result)
{
	if (!r->done)
		return result;
	if (result < 0 && result != -ECANCELED && result != -EINTR)
		r->stream->recv_error = result;
	return (int32_t)r->done + (result > 0 ? result : 0);
}

void toe_recv_done(struct request *r, int32_t result, uint32_t flags)
{
	struct stream *s = r->stream;
	struct vtoe_stats *stats = s->device->stats;
	uint32_t out = 0;

	s->recv_busy = false;
	s->nonempty = flags & IORING_CQE_F_SOCK_NONEMPTY;
	if (result > 0 && !(r->sqe.op_flags & VTOE_IO_PEEK)) {
		s->rx_bytes += (uint32_t)result;
		s->rx_placed += (uint32_t)result;
		stats->rx_bytes += (uint32_t)result;
		stats->rx_placed_bytes += (uint32_t)result;
	}
	if (recv_goes_on(s, r, result)) {
		r->busy = false;
		r->done += (uint32_t)result;
		toe_recv_issue(s, r);
		stream_op_end(s);
		return;
	}
	if (s->nonempty)
		out |= VTOE_CQE_NONEMPTY;
	stats->rq_completions++;
	request_finish(r, recv_total(r, result), out);
	toe_recv_next(s);
	stream_op_end(s);
}
