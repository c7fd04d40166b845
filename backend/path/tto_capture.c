/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tto_capture.c - a copy of what a guest gets and sends, for `vtoectl capture`
 *
 * The frames on the wire are not what the guest sees, and on the guest's
 * interface tcpdump sees none of them: the XDP program has taken them. So this
 * is the one place where an aggregate can be looked at as the guest got it: with
 * its generated header, as one packet; and a segment as the guest gave it.
 *
 * The socket is vtoectl's, which came from the supervisor (setup.h,
 * WORKER_CAPTURE). A packet is a message there, or it is counted as missed:
 * nothing waits. When the other end hangs up, which the next message finds out,
 * the capture is over. As long as there is none, it costs a branch a packet.
 *
 * A packet is copied before its checksum is made, because a guest can change
 * its payload at any time; so what is shown is right in itself.
 */
#include "path/tto_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/span.h"

enum {
	LINK_BYTES = 14,
	TCP_CHECKSUM = 16,
};

struct tto_capture {
	int fd;
	uint32_t claim; /* 0: of all */
	uint32_t snap;	/* bytes of a packet */
	uint64_t missed;
	uint32_t length;
	uint8_t bytes[TTO_CAPTURE_BYTES];
};

/* -- begin and end --------------------------------------------------------- */

static bool capture_is_over(const struct tto_capture *p)
{
	struct pollfd other = { .fd = p->fd };

	return poll(&other, 1, 0) != 0; /* it hung up */
}

void tto_capture_end(struct tto *t)
{
	struct tto_capture *p = t->capture;

	if (!p)
		return;
	t->capture = NULL;
	close(p->fd);
	free(p);
}

static int capture_begin(struct tto *t, int fd, uint32_t claim, uint32_t snap)
{
	struct tto_capture *p;

	if (t->capture && capture_is_over(t->capture))
		tto_capture_end(t);
	if (t->capture)
		return -EBUSY;
	if (claim && !tto_claim_named(t, claim))
		return -ENOENT;
	p = malloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->fd = fd;
	p->claim = claim;
	p->snap = snap && snap < sizeof(p->bytes) ? snap : sizeof(p->bytes);
	p->missed = 0;
	t->capture = p;
	return 0;
}

int tto_capture(struct device *d, int fd, uint32_t claim, uint32_t snap)
{
	int rc = -EOPNOTSUPP;

	if (d->tto)
		rc = capture_begin(d->tto, fd, claim, snap);
	if (rc)
		close(fd);
	return rc;
}

/* -- one packet ------------------------------------------------------------ */

static void capture_append(struct tto_capture *p, const uint8_t *from,
			   uint32_t bytes)
{
	uint32_t room = (uint32_t)sizeof(p->bytes) - p->length;

	if (bytes > room)
		bytes = room;
	memcpy(p->bytes + p->length, from, bytes);
	p->length += bytes;
}

static uint64_t capture_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void capture_send(struct tto *t, struct tto_captured *head)
{
	struct tto_capture *p = t->capture;
	struct iovec iov[2] = { { head, sizeof(*head) }, { p->bytes, 0 } };
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = 2 };

	head->magic = TTO_CAPTURED_MAGIC;
	head->version = TTO_CAPTURED_VERSION;
	head->time = capture_time();
	head->missed = p->missed;
	head->original = p->length;
	head->captured = p->length < p->snap ? p->length : p->snap;
	iov[1].iov_len = head->captured;
	if (sendmsg(p->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return;
	if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM ||
	    errno == EMSGSIZE || errno == EINTR)
		p->missed++;
	else
		tto_capture_end(t);
}

void tto_capture_delivered(struct tto *t, const struct claim *c,
			   const struct delivery *d)
{
	struct tto_captured head = {
		.claim = c->id,
		.segments = d->count,
		.direction = TTO_DELIVERED,
	};
	struct tto_capture *p = t->capture;
	const uint8_t *umem = t->umem;
	struct segment_cursor cursor;
	struct segment s;

	if (p->claim && p->claim != c->id)
		return;
	p->length = 0;
	if (d->kind == DELIVERY_FRAME) {
		capture_append(p, umem + d->ref, d->frame_length);
	} else {
		capture_append(p, d->header, d->header_length);
		segment_cursor_begin(&cursor, &d->segments);
		while (segment_cursor_next(&t->aggregator.pool, &cursor,
					   UINT32_MAX, &s))
			capture_append(p, umem + s.ref + s.offset, s.length);
	}
	strncpy(head.reason, event_reason_name(d->reason),
		sizeof(head.reason) - 1);
	capture_send(t, &head);
}

/* TCP's, which is zero, of what begins with link and IP headers. */
static void capture_checksum(struct tto_capture *p, uint32_t l4)
{
	uint8_t version = p->bytes[LINK_BYTES] >> 4 == 6 ? FLOW_IPV6 :
							   FLOW_IPV4;
	uint32_t length = p->length - l4;
	uint64_t sum = frame_pseudo_sum(p->bytes, LINK_BYTES, version, length) +
		       checksum_sum(p->bytes + l4, length);
	uint16_t c = (uint16_t)~checksum_fold(sum);

	memcpy(p->bytes + l4 + TCP_CHECKSUM, &c, sizeof(c));
}

void tto_capture_sent(struct tto *t, const struct claim *c,
		      const struct iovec *iov, unsigned count, uint32_t l4,
		      unsigned frames)
{
	struct tto_captured head = {
		.claim = c->id,
		.segments = (uint16_t)frames,
		.direction = TTO_SENT,
	};
	struct tto_capture *p = t->capture;
	unsigned i;

	if (p->claim && p->claim != c->id)
		return;
	p->length = 0;
	capture_append(p, iov[0].iov_base, (uint32_t)iov[0].iov_len);
	for (i = 1; i < count; i++) {
		struct span piece = { iov[i].iov_base,
				      (uint32_t)iov[i].iov_len };

		p->length += span_copy_out(p->bytes + p->length, piece,
					   (uint32_t)sizeof(p->bytes) -
						   p->length);
	}
	capture_checksum(p, l4);
	capture_send(t, &head);
}
