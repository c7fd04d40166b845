/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stream.c - streams: the table, holds, tokens
 *
 * An id is the index in the table and a generation, so that a stale id finds
 * nothing. A lane may use a stream that it holds; SHARE makes a token that
 * stands for a hold until a lane ADOPTs it or it expires.
 *
 * The end comes in steps. When the last hold and token are gone, the stream
 * drains: what was submitted before finishes, so that an application may send
 * and exit. Then it closes; how both is done is the engine's business
 * (stream_socket.c for the kernel's sockets). When the last operation of the
 * stream came back it is freed.
 */
#include "path/path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* 20 bits of index; index 0 is not used, so id 0 (VTOE_STREAM_NONE) is free;
 * VTOE_STREAM_LAST cannot come up: its index is beyond every table. */
#define STREAM_INDEX_BITS 20
#define STREAM_INDEX(id) ((id) & ((1u << STREAM_INDEX_BITS) - 1))

/* The second is for the device: an ADOPT looks at all of them. */
enum { TOKENS_PER_STREAM = 64, TOKENS_MAX = 1024 };

int stream_enter(struct lane *lane, struct stream *s, unsigned family)
{
	struct device *d = lane->conn->device;
	int rc;

	if (!d->free_count ||
	    lane->conn->stream_count >= d->limits.peer_streams)
		return -EMFILE;
	list_init(&s->holds);
	list_init(&s->starved_node);
	list_init(&s->send_node);
	list_init(&s->live_node);
	list_init(&s->recvs);
	list_init(&s->sends);
	list_init(&s->sent);
	list_init(&s->accepts);
	list_init(&s->others);
	list_init(&s->generic_pending.node);
	s->device = d;
	s->family = (uint8_t)family;
	s->index = d->free_index[d->free_count - 1];
	s->id = s->index | (uint32_t)d->generation[s->index]
				   << STREAM_INDEX_BITS;
	rc = stream_hold(s, lane);
	if (rc)
		return rc;
	d->free_count--;
	d->streams[s->index] = s;
	list_add_tail(&d->live, &s->live_node);
	s->owner = lane->conn;
	s->owner->stream_count++;
	d->stats->streams++;
	return 0;
}

static struct stream *stream_by_id(struct device *d, uint32_t id)
{
	uint32_t index = STREAM_INDEX(id);
	struct stream *s;

	if (index > d->limits.streams)
		return NULL;
	s = d->streams[index];
	return s && s->id == id ? s : NULL;
}

struct hold *stream_hold_of(struct stream *s, struct lane *lane)
{
	struct list *at;

	for (at = s->holds.next; at != &s->holds; at = at->next) {
		struct hold *h = list_entry(at, struct hold, stream_node);

		if (h->lane == lane)
			return h;
	}
	return NULL;
}

int stream_find(struct lane *lane, uint32_t id, struct stream **stream)
{
	struct stream *s;

	if (id == VTOE_STREAM_LAST)
		id = lane->last_stream;
	s = stream_by_id(lane->conn->device, id);
	if (!s || s->state >= STREAM_DRAINING)
		return -EBADF;
	if (!stream_hold_of(s, lane))
		return -EACCES;
	*stream = s;
	return 0;
}

int stream_hold(struct stream *s, struct lane *lane)
{
	struct hold *h = pool_get(&lane->conn->device->holds);

	if (!h)
		return -ENOMEM;
	h->stream = s;
	h->lane = lane;
	list_add_tail(&s->holds, &h->stream_node);
	list_add_tail(&lane->holds, &h->lane_node);
	return 0;
}

void stream_cancel_queue(struct list *queue, const struct lane *lane)
{
	struct list *at, *tmp;

	list_for_each_safe(at, tmp, queue) {
		struct request *r = list_entry(at, struct request, node);

		if (!lane || r->lane == lane)
			request_cancel(r);
	}
}

void stream_op_begin(struct stream *s)
{
	s->inflight++;
}

static void stream_dispose(struct stream *s)
{
	struct device *d = s->device;

	d->streams[s->index] = NULL;
	/* 12 bits of generation: an id comes back after 4096 lives. */
	d->generation[s->index] = (d->generation[s->index] + 1) & 0xfff;
	d->free_index[d->free_count++] = s->index;
	d->stats->streams--;
	if (s->owner)
		s->owner->stream_count--;
	s->owner = NULL;
	list_del(&s->starved_node);
	list_del(&s->send_node);
	list_del(&s->live_node);
	list_add_tail(&d->dead_streams, &s->live_node);
}

void stream_op_end(struct stream *s)
{
	s->inflight--;
	if (s->state == STREAM_CLOSING && !s->inflight)
		stream_dispose(s);
	else if (s->state == STREAM_DRAINING)
		stream_drained(s);
}

/* The stream counts on the quota of one connection that holds it. */
static void stream_own(struct stream *s)
{
	struct list *at;

	for (at = s->holds.next; at != &s->holds; at = at->next)
		if (list_entry(at, struct hold, stream_node)->lane->conn ==
		    s->owner)
			return;
	if (s->owner)
		s->owner->stream_count--;
	s->owner = NULL;
	if (list_empty(&s->holds))
		return;
	s->owner = list_entry(s->holds.next, struct hold, stream_node)
			   ->lane->conn;
	s->owner->stream_count++;
}

void stream_unhold(struct hold *h, bool abort)
{
	struct stream *s = h->stream;
	struct lane *lane = h->lane;
	struct device *d = s->device;

	list_del(&h->stream_node);
	list_del(&h->lane_node);
	pool_put(&d->holds, h);
	stream_op_begin(s); /* the stream stays over the calls below */
	stream_own(s);
	toe_generic_unhold(s, lane);
	stream_cancel_queue(&s->recvs, lane);
	stream_cancel_queue(&s->accepts, lane);
	stream_cancel_queue(&s->others, lane);
	if (abort)
		stream_cancel_queue(&s->sends, lane);
	if (list_empty(&s->holds) && !s->tokens &&
	    s->state < STREAM_DRAINING) {
		s->abort |= abort;
		stream_drain(s);
	}
	stream_op_end(s);
}

int stream_share(struct stream *s, uint8_t token[16])
{
	struct device *d = s->device;
	struct token *t;

	if (s->tokens >= TOKENS_PER_STREAM || d->token_count >= TOKENS_MAX)
		return -EBUSY;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	if (getrandom(t->value, sizeof(t->value), 0) != sizeof(t->value)) {
		free(t);
		return -EAGAIN;
	}
	memcpy(token, t->value, sizeof(t->value));
	t->stream = s;
	t->deadline = d->now + VTOE_TOKEN_SECONDS * 1000;
	list_add_tail(&d->tokens, &t->node);
	s->tokens++;
	d->token_count++;
	device_set_timer(d);
	return 0;
}

static void token_free(struct token *t)
{
	struct stream *s = t->stream;

	list_del(&t->node);
	free(t);
	s->tokens--;
	s->device->token_count--;
	if (!s->tokens && list_empty(&s->holds) && s->state < STREAM_DRAINING)
		stream_drain(s);
}

int stream_adopt(struct lane *lane, const uint8_t token[16],
		 struct stream **stream)
{
	struct device *d = lane->conn->device;
	struct list *at, *tmp;
	int rc;

	list_for_each_safe(at, tmp, &d->tokens) {
		struct token *t = list_entry(at, struct token, node);
		struct stream *s = t->stream;

		if (memcmp(t->value, token, sizeof(t->value)))
			continue;
		if (!stream_hold_of(s, lane)) {
			if (lane->conn->stream_count >= d->limits.peer_streams)
				return -EMFILE;
			rc = stream_hold(s, lane);
			if (rc)
				return rc;
			stream_own(s);
		}
		token_free(t);
		*stream = s;
		return 0;
	}
	return -ENOENT;
}

bool stream_tick(struct device *d)
{
	struct list *at, *tmp;
	bool more;

	list_for_each_safe(at, tmp, &d->tokens) {
		struct token *t = list_entry(at, struct token, node);

		if (d->now >= t->deadline)
			token_free(t);
	}
	more = !list_empty(&d->tokens);
	list_for_each_safe(at, tmp, &d->live) {
		struct stream *s = list_entry(at, struct stream, live_node);

		if (s->state == STREAM_DRAINING)
			more |= stream_drain_on(s);
	}
	return more;
}
