/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stream_socket.c - streams that are sockets of the kernel's: making, ending
 *
 * The end comes in steps. When the last hold and token are gone, the stream
 * drains: sends that were submitted before finish, and zero-copy sends are
 * acknowledged, so that an application may send and exit. Then (or at once, on
 * abort, or at the drain's deadline) the socket is closed, which ends the
 * kernel's operations; when the last of them came back the stream is freed.
 */
#include "path/path.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nic/socket.h"

int stream_new(struct lane *lane, int fd, unsigned family,
	       struct stream **stream)
{
	struct device *d = lane->conn->device;
	struct stream *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	s->fd = fd;
	rc = stream_enter(lane, s, family);
	if (rc) {
		free(s);
		return rc;
	}
	rc = uring_file_set(&d->uring, s->index, fd);
	if (rc) {
		s->fd = -1; /* the caller's again */
		stream_unhold(stream_hold_of(s, lane), true);
		return rc;
	}
	*stream = s;
	return 0;
}

static void stream_close_fd(struct stream *s)
{
	struct uring *u = &s->device->uring;
	int fd = s->fd;

	s->fd = -1;
	uring_file_set(u, s->index, -1);
	if (s->was_connected && !s->bound && !s->abort) {
		/* Nobody can tell when: its port stays in use for longer than
		 * to the end of this turn in any case. */
		uring_close_later(u, fd);
	} else {
		/* without a file table, queued operations name the descriptor
		 * itself: they must be with the kernel before its number is
		 * used again */
		if (!u->fixed)
			uring_submit(u, false);
		close(fd);
	}
	if (s->close)
		request_finish(s->close, 0, 0);
	s->close = NULL;
}

/* SO_LINGER with a time: a close in the kernel would hold a thread, and there
 * are few, so we look ourselves, at growing intervals, whether the other end
 * has acknowledged everything. True: not yet. */
static bool stream_lingers(struct stream *s)
{
	struct device *d = s->device;

	if (s->linger_timer)
		return true;
	if (!s->linger_wait) {
		shutdown(s->fd, SHUT_WR);
		s->deadline = d->now + (uint64_t)s->linger * 1000;
		s->linger_wait = 1;
	}
	if (d->now >= s->deadline || socket_delivered(s->fd))
		return false;
	s->linger_time.tv_nsec = s->linger_wait * 1000000;
	if (s->linger_wait < 128)
		s->linger_wait *= 2;
	io_uring_prep_timeout(uring_sqe(&d->uring, s, TAG_LINGER),
			      &s->linger_time, 0, 0);
	s->linger_timer = true;
	stream_op_begin(s);
	return true;
}

void stream_linger_done(struct stream *s)
{
	s->linger_timer = false;
	stream_op_end(s); /* looks again */
}

static void stream_close(struct stream *s)
{
	if (s->state == STREAM_CLOSING)
		return;
	s->state = STREAM_CLOSING;
	stream_op_begin(s); /* holds the stream over the calls below */
	/* The kernel's operations hold the socket until they come back, each
	 * cancelled by its own tag; the file slot is free for them no more. */
	stream_cancel_queue(&s->recvs, NULL);
	stream_cancel_queue(&s->accepts, NULL);
	stream_cancel_queue(&s->others, NULL);
	stream_cancel_queue(&s->sends, NULL);
	if (s->fd >= 0) {
		if (s->abort)
			socket_linger(s->fd, 1, 0);
		stream_close_fd(s);
	}
	stream_op_end(s);
}

void stream_abort(struct stream *s)
{
	s->abort = true;
	stream_close(s);
}

/* Bytes that came and that nobody will read: closing resets the connection
 * then, as the kernel's close does. While it drains that must not wait for the
 * sends: a peer that has no room for what it sends us may not read either. */
static bool stream_unread(const struct stream *s)
{
	char byte;

	return recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void stream_drained(struct stream *s)
{
	if (s->state != STREAM_DRAINING)
		return;
	if (!list_empty(&s->sends) || s->send_busy)
		return;
	if (s->zc_out) {
		/* Everything is submitted: say so to the peer, and wait for
		 * its acknowledgement, which gives the pages back. */
		shutdown(s->fd, SHUT_RDWR);
		return;
	}
	if (s->close && stream_lingers(s))
		return;
	stream_close(s);
}

/* No hold is left: sends finish, everything else ends. */
void stream_drain(struct stream *s)
{
	struct device *d = s->device;
	bool waits = !list_empty(&s->sends) || s->send_busy || s->zc_out ||
		     s->close;

	s->was_connected = s->state == STREAM_CONNECTED;
	s->state = STREAM_DRAINING;
	s->deadline = d->now + d->limits.drain_ms;
	if (waits)
		s->abort |= stream_unread(s); /* else close() looks itself */
	if (s->abort) {
		stream_close(s);
		return;
	}
	stream_drained(s);
	if (s->state == STREAM_DRAINING)
		device_set_timer(d);
}

bool stream_drain_on(struct stream *s)
{
	struct device *d = s->device;

	if (stream_unread(s))
		stream_abort(s);
	else if (d->now < s->deadline)
		return true;
	else if (s->linger_wait)
		stream_close(s); /* the kernel goes on with it */
	else
		stream_abort(s);
	return false;
}
