/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * toe_send.c - send: from the guest's page, in order, one kernel send at a time
 *
 * Sends of a stream wait in its queue; one kernel operation carries the oldest
 * with zero copy, if it is large enough to gain from that, or up to SEND_BATCH
 * smaller ones in one sendmsg. MSG_WAITALL makes the kernel finish what it
 * began, so a request completes with all of its bytes or with an error.
 *
 * Zero copy pins pages and answers twice: that the bytes are queued, and
 * (after the peer acknowledged them) that the pages are free. The request
 * completes with the second, because until then the memory is in use
 * (MECHANISMS J7); the next send starts after the first. Where the path copies
 * anyway (loopback, veth) the second answer says so, and after a few of those
 * the stream goes back to plain sends, and tries again now and then.
 *
 * Requests complete in the order of submission: one that is done while an older
 * zero-copy send waits for its second answer waits behind it, in `sent`.
 *
 * SHUTDOWN for writing takes its turn in the same queue.
 *
 * A short send whose completion nobody sleeps for (VTOE_SQE_QUIET) is given to the
 * kernel such that it answers only if it fails: MSG_DONTWAIT lets it not wait for
 * room in the socket, so when the call that submits returns, every such send that
 * has no answer has succeeded. The same call can so go on and sleep, instead of
 * coming back for the sake of that completion, which the guest gets when the
 * worker wakes up the next time. It may want it earlier, to have room again: it
 * says so by VTOE_RING_WANT_ALL, and rings (PROTOCOL.md). What found no room is
 * sent again as others are.
 */
#include "path/path.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum {
	SEND_TURN_BYTES = 1 << 20, /* in one sendmsg */
	SEND_QUIET_BYTES = 16384,  /* more may well find no room */
	ZC_COPIED_MAX = 4,	   /* copied in a row: stop trying */
	ZC_PAUSE = 1024,	   /* sends until the next try */
};

static bool toe_send_zero_copy(struct stream *s, const struct request *r)
{
	struct device *d = s->device;

	if (!d->limits.zerocopy_min || r->sqe.op_flags & VTOE_IO_NONBLOCK ||
	    r->sqe.length - r->done < d->limits.zerocopy_min)
		return false;
	if (s->zc_pause) {
		s->zc_pause--;
		return false;
	}
	return true;
}

static void send_finish(struct request *r, int32_t result, uint32_t flags)
{
	struct stream *s = r->stream;

	if (!r->sent && list_empty(&s->sent)) {
		request_finish(r, result, flags);
		return;
	}
	if (!r->sent) {
		list_del(&r->node);
		list_add_tail(&s->sent, &r->node);
		r->sent = true;
	}
	r->settled = true;
	r->result = result;
	r->flags = flags;
	while (!list_empty(&s->sent)) {
		r = list_entry(s->sent.next, struct request, node);
		if (!r->settled)
			break;
		request_finish(r, r->result, r->flags);
	}
}

static void send_batch_add(struct send_batch *b, struct request *r)
{
	b->requests[b->count] = r;
	b->iov[b->count].iov_base = r->at + r->done;
	b->iov[b->count].iov_len = r->sqe.length - r->done;
	b->bytes += r->sqe.length - r->done;
	b->count++;
	r->busy = true;
	r->batch = b;
}

/* Small sends that follow the first one go with it. */
static void send_batch_fill(struct send_batch *b)
{
	struct stream *s = b->stream;
	struct list *at = s->sends.next;

	for (; at != &s->sends && b->count < SEND_BATCH; at = at->next) {
		struct request *r = list_entry(at, struct request, node);

		if (r->busy)
			continue;
		if (r->sqe.op != VTOE_OP_SEND ||
		    r->sqe.op_flags & VTOE_IO_NONBLOCK ||
		    (uint64_t)b->bytes + r->sqe.length > SEND_TURN_BYTES)
			return;
		send_batch_add(b, r);
	}
}

/* Nothing may wait for its end: neither another request nor the stream's. */
static bool send_is_quiet(const struct send_batch *b)
{
	const struct request *r = b->requests[0];
	const struct stream *s = b->stream;

	return s->state == STREAM_CONNECTED && s->sends.next == &r->node &&
	       s->sends.prev == &r->node &&
	       r->sqe.flags & VTOE_SQE_QUIET && b->count == 1 &&
	       !b->zero_copy && !r->full && b->bytes <= SEND_QUIET_BYTES &&
	       !(r->sqe.op_flags & VTOE_IO_NONBLOCK) &&
	       list_empty(&s->sent) &&
	       !ring_out_wants_all(&r->lane->cq);
}

static void toe_send_issue(struct stream *s, struct request *r)
{
	struct device *d = s->device;
	struct send_batch *b = pool_get(&d->batches);
	int flags = MSG_NOSIGNAL | MSG_WAITALL;
	struct io_uring_sqe *sqe;

	if (!b) {
		send_finish(r, -ENOMEM, 0);
		return;
	}
	if (r->sqe.op_flags & VTOE_IO_NONBLOCK)
		flags = MSG_NOSIGNAL | MSG_DONTWAIT;
	b->stream = s;
	b->zero_copy = toe_send_zero_copy(s, r);
	send_batch_add(b, r);
	if (!b->zero_copy && !(r->sqe.op_flags & VTOE_IO_NONBLOCK))
		send_batch_fill(b);
	b->quiet = send_is_quiet(b);
	if (b->quiet)
		flags |= MSG_DONTWAIT;
	sqe = uring_sqe(&d->uring, b, TAG_SEND);
	if (b->zero_copy) {
		io_uring_prep_send_zc(sqe, 0, b->iov[0].iov_base, b->bytes,
				      flags, d->uring.report_usage ?
				      URING_SEND_ZC_REPORT_USAGE : 0);
	} else if (b->count == 1) {
		io_uring_prep_send(sqe, 0, b->iov[0].iov_base, b->bytes, flags);
	} else {
		b->msg.msg_iov = b->iov;
		b->msg.msg_iovlen = b->count;
		io_uring_prep_sendmsg(sqe, 0, &b->msg, (unsigned)flags);
	}
	uring_use_socket(&d->uring, sqe, s->index, s->fd);
	if (b->quiet) {
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
		list_add_tail(&d->quiet_queued, &b->node);
	}
	s->send_busy = true;
	s->zc_out += b->zero_copy;
	stream_op_begin(s);
}

void toe_send_next(struct stream *s)
{
	struct request *r;

	while (!s->send_busy && !list_empty(&s->sends) &&
	       s->state < STREAM_CLOSING) {
		r = list_entry(s->sends.next, struct request, node);
		if (r->sqe.op == VTOE_OP_SHUTDOWN) {
			int how = (int)r->sqe.length;

			send_finish(r, shutdown(s->fd, how) ? -errno : 0, 0);
			continue;
		}
		toe_send_issue(s, r);
	}
}

void toe_issue(struct device *d, bool *busy)
{
	struct list *at;

	(void)busy;
	while (!list_empty(&d->sending)) {
		at = d->sending.next;
		list_del(at);
		toe_send_next(list_entry(at, struct stream, send_node));
	}
}

int toe_send(struct lane *lane, struct stream *s, const struct vtoe_sqe *sqe,
	     struct vtoe_cqe *cqe)
{
	struct region *region;
	struct request *r;
	uint8_t *at;
	int rc;

	(void)cqe;
	rc = toe_transfer_memory(lane, sqe, VTOE_REGION_READ, &region, &at);
	if (rc <= 0)
		return rc;
	rc = -EAGAIN;
	if (sqe->op_flags & VTOE_IO_NONBLOCK && !list_empty(&s->sends))
		goto put;
	rc = -EBUSY;
	r = request_new(lane, s, sqe);
	if (!r)
		goto put;
	r->region = region;
	r->at = at;
	list_add_tail(&s->sends, &r->node);
	/* The lane's turn issues it, with what follows it in the queue. */
	if (list_empty(&s->send_node))
		list_add_tail(&lane->conn->device->sending, &s->send_node);
	return TOE_ASYNC;
put:
	region_put(lane->conn, region);
	return rc;
}

int toe_shutdown(struct lane *lane, struct stream *s,
		 const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe)
{
	struct request *r;

	(void)cqe;
	if (sqe->length > SHUT_RDWR)
		return -EINVAL;
	if (sqe->length == SHUT_RD ||
	    (list_empty(&s->sends) && list_empty(&s->sent)))
		return shutdown(s->fd, (int)sqe->length) ? -errno : 0;
	r = request_new(lane, s, sqe);
	if (!r)
		return -EBUSY;
	list_add_tail(&s->sends, &r->node);
	toe_send_next(s);
	return TOE_ASYNC;
}

/* One request's share of what was sent. True if it is finished. */
static bool send_request_done(struct request *r, uint32_t *sent, int32_t error,
			      uint32_t flags)
{
	uint32_t want = r->sqe.length - r->done;
	uint32_t got = *sent < want ? *sent : want;

	r->done += got;
	*sent -= got;
	r->busy = false;
	r->batch = NULL;
	if (r->done == r->sqe.length ||
	    (r->done && (error || r->cancelled ||
			 r->sqe.op_flags & VTOE_IO_NONBLOCK))) {
		send_finish(r, (int32_t)r->done, flags);
		return true;
	}
	if (error || r->cancelled) {
		send_finish(r, r->cancelled ? -ECANCELED : error, flags);
		return true;
	}
	return false; /* it stays in the queue and is sent again */
}

static void send_batch_end(struct send_batch *b, uint32_t flags)
{
	struct stream *s = b->stream;
	struct device *d = s->device;
	uint32_t sent = b->result > 0 ? (uint32_t)b->result : 0, i;
	int32_t error = b->result < 0 ? b->result : 0;

	/* An interrupted or cancelled operation is no error of the others. */
	if (error == -ECANCELED || error == -EINTR)
		error = s->state >= STREAM_CLOSING ? -ECANCELED : 0;
	for (i = 0; i < b->count; i++)
		send_request_done(b->requests[i], &sent, error, flags);
	pool_put(&d->batches, b);
	toe_send_next(s);
	stream_drained(s);
	stream_op_end(s);
}

/* The kernel would not, or could not, do it without a copy: the request stays
 * in the queue, and goes with the plain sends. */
static bool send_zero_copy_refused(struct send_batch *b, int32_t result)
{
	struct stream *s = b->stream;
	struct uring *u = &s->device->uring;

	if (!b->zero_copy || (result != -EINVAL && result != -EOPNOTSUPP &&
			      result != -ENOMEM && result != -ENOBUFS))
		return false;
	if (result == -EINVAL && u->report_usage)
		u->report_usage = false; /* before 6.2: try without it */
	else
		s->zc_pause = ZC_PAUSE;
	b->result = 0;
	return true;
}

static void send_notice(struct send_batch *b, uint32_t usage)
{
	struct stream *s = b->stream;
	struct vtoe_stats *stats = s->device->stats;
	uint32_t bytes = b->result > 0 ? (uint32_t)b->result : 0;
	bool copied = usage & URING_NOTIF_USAGE_ZC_COPIED;

	s->zc_out--;
	if (copied) {
		stats->tx_copied_bytes += bytes;
		if (++s->zc_copied >= ZC_COPIED_MAX) {
			s->zc_copied = 0;
			s->zc_pause = ZC_PAUSE;
		}
	} else {
		s->zc_copied = 0;
		s->tx_zerocopy += bytes;
		stats->tx_zerocopy_bytes += bytes;
	}
	if (!b->have_result)
		s->send_busy = false;
	send_batch_end(b, copied ? VTOE_CQE_COPIED : 0);
}

void toe_send_done(struct send_batch *b, int32_t result, uint32_t flags)
{
	struct stream *s = b->stream;
	struct vtoe_stats *stats = s->device->stats;
	uint32_t i;

	if (flags & IORING_CQE_F_NOTIF) {
		send_notice(b, (uint32_t)result);
		return;
	}
	if (b->quiet) {
		list_del(&b->node);
		b->requests[0]->full = true; /* if it is sent again */
		if (result == -EAGAIN)
			result = 0;
	}
	b->result = result;
	if (result > 0) {
		s->tx_bytes += (uint32_t)result;
		stats->tx_bytes += (uint32_t)result;
		if (!b->zero_copy)
			stats->tx_copied_bytes += (uint32_t)result;
	}
	send_zero_copy_refused(b, result);
	if (!(flags & IORING_CQE_F_MORE)) {
		s->send_busy = false;
		s->zc_out -= b->zero_copy;
		send_batch_end(b, VTOE_CQE_COPIED);
		return;
	}
	/* Queued; the pages are the kernel's until the notice. If all of it is
	 * queued, the next send may start: this one leaves the queue. */
	b->have_result = result == (int32_t)b->bytes;
	if (!b->have_result)
		return;
	for (i = 0; i < b->count; i++) {
		list_del(&b->requests[i]->node);
		list_add_tail(&s->sent, &b->requests[i]->node);
		b->requests[i]->sent = true;
	}
	s->send_busy = false;
	toe_send_next(s);
	stream_drained(s);
}

void toe_send_submitted(struct device *d)
{
	list_move_all(&d->quiet_sent, &d->quiet_queued);
}

void toe_send_settle(struct device *d)
{
	while (!list_empty(&d->quiet_sent)) {
		struct send_batch *b = list_entry(d->quiet_sent.next,
						  struct send_batch, node);

		toe_send_done(b, (int32_t)b->bytes, 0);
	}
}
