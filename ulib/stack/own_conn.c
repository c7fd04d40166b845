/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * own_conn.c - TCP connections and their bytes
 *
 * Sent bytes are copied into a ring, where they stay until the peer has
 * acknowledged them: so a SEND completes when its bytes are queued, as with a
 * kernel's socket, and nothing that the wire loses is lost. The ring grows with
 * what is asked of it, up to SO_SNDBUF.
 *
 * Received bytes stay where the wire put them, in pieces, until somebody reads:
 * the one copy. Few pieces at a time are taken from TCP, so that it sees what is
 * not read, and closes its window.
 */
#include "stack/own.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { RING_MIN = 16384, PIECES = 64, MANY = 64 };

/* Nobody has a connection any more, and its peer takes nothing: it may not keep
 * us for ever by answering probes of its closed window. */
#define ORPHAN_US (120 * 1000000ull)

struct own_conn *own_conn_find(struct own *o, int id)
{
	struct list *head = &o->conns[(uint32_t)id % OWN_BUCKETS], *at;

	for (at = head->next; at != head; at = at->next) {
		struct own_conn *c = list_entry(at, struct own_conn,
						hash_node);

		if (c->id == id)
			return c;
	}
	return NULL;
}

struct own_conn *own_conn_new(struct own_claim *claim, int id)
{
	struct own_conn *c = calloc(1, sizeof(*c));
	struct own *o = claim->own;
	struct tcp_status st;

	if (!c)
		return NULL;
	c->pieces = calloc(PIECES, sizeof(*c->pieces));
	if (!c->pieces) {
		free(c);
		return NULL;
	}
	list_init(&c->backlog_node);
	c->own = o;
	c->id = id;
	c->claim = claim;
	c->local = !tcp_get_status(o->tcp, id, &st) &&
		   own_local_is(o, st.tuple.family, st.tuple.remote);
	claim->users++;
	list_add_tail(&o->conns[(uint32_t)id % OWN_BUCKETS], &c->hash_node);
	o->conn_count++;
	return c;
}

/* -- sending --------------------------------------------------------------- */

static uint32_t ring_limit(const struct own_conn *c)
{
	int32_t bytes = c->stream ? c->stream->values[OWN_SNDBUF] : RING_MIN;

	return bytes < RING_MIN ? RING_MIN : (uint32_t)bytes;
}

uint32_t own_conn_room(const struct own_conn *c)
{
	uint64_t used = c->queued - c->acked;
	uint32_t limit = ring_limit(c);

	if (!c->connected || c->over || c->shut_write)
		return 0;
	return used < limit ? limit - (uint32_t)used : 0;
}

static void ring_put(struct own_conn *c, uint64_t offset, struct span from)
{
	uint32_t at = (uint32_t)(offset & (c->ring_bytes - 1));
	uint32_t first = c->ring_bytes - at;

	if (first > from.length)
		first = from.length;
	span_copy_out(c->ring + at, from, first);
	from.at += first;
	from.length -= first;
	span_copy_out(c->ring, from, from.length);
}

static bool ring_grow(struct own_conn *c, uint64_t bytes)
{
	uint32_t size = c->ring_bytes ? c->ring_bytes : RING_MIN;
	struct own_conn old = *c;
	struct iovec live[2];
	uint32_t used = (uint32_t)(c->queued - c->acked);

	while (size < bytes)
		size *= 2;
	c->ring = malloc(size);
	if (!c->ring) {
		c->ring = old.ring;
		return false;
	}
	c->ring_bytes = size;
	if (used) {
		own_conn_payload(&old, c->acked, used, live);
		ring_put(c, c->acked, (struct span){ live[0].iov_base,
				(uint32_t)live[0].iov_len });
		ring_put(c, c->acked + live[0].iov_len,
			 (struct span){ live[1].iov_base,
					(uint32_t)live[1].iov_len });
	}
	free(old.ring);
	return true;
}

uint32_t own_conn_write(struct own_conn *c, struct span from)
{
	uint32_t room = own_conn_room(c);
	uint64_t need;

	if (from.length > room)
		from.length = room;
	if (!from.length)
		return 0;
	need = c->queued - c->acked + from.length;
	if (need > c->ring_bytes && !ring_grow(c, need))
		return 0;
	ring_put(c, c->queued, from);
	if (tcp_send(c->own->tcp, c->id, from.length, 0,
		     c->own->device.now_us))
		return 0;
	c->queued += from.length;
	c->own->device.stats->tx_bytes += from.length;
	c->own->device.stats->tx_copied_bytes += from.length;
	return from.length;
}

void own_conn_payload(const struct own_conn *c, uint64_t offset,
		      uint32_t length, struct iovec payload[2])
{
	uint32_t at, first;

	memset(payload, 0, 2 * sizeof(*payload));
	if (!length)
		return;
	at = (uint32_t)(offset & (c->ring_bytes - 1));
	first = c->ring_bytes - at;
	if (first > length)
		first = length;
	payload[0].iov_base = c->ring + at;
	payload[0].iov_len = first;
	payload[1].iov_base = c->ring;
	payload[1].iov_len = length - first;
}

static void conn_acked(struct own_conn *c)
{
	struct tcp_status st;

	if (tcp_get_status(c->own->tcp, c->id, &st))
		return;
	c->acked = st.acked > c->queued ? c->queued : st.acked;
	/* idle ones cost little, where there are many */
	if (c->acked == c->queued && c->ring_bytes > RING_MIN &&
	    c->own->conn_count > MANY) {
		free(c->ring);
		c->ring = NULL;
		c->ring_bytes = 0;
	}
}

bool own_conn_delivered(const struct own_conn *c)
{
	struct tcp_status st;

	return c->over || tcp_get_status(c->own->tcp, c->id, &st) ||
	       (st.state != TCP_ST_FIN_WAIT_1 && st.state != TCP_ST_CLOSING &&
		st.state != TCP_ST_LAST_ACK && st.state != TCP_ST_ESTABLISHED &&
		st.state != TCP_ST_CLOSE_WAIT);
}

/* -- receiving ------------------------------------------------------------- */

static void piece_end(struct own_conn *c, const struct tcp_piece *p)
{
	if (p->flags & TCP_PIECE_LAST)
		own_give_back(c->own, p->buffer);
}

static struct tcp_piece *piece_at(const struct own_conn *c, uint32_t i)
{
	return &c->pieces[(c->piece_first + i) % PIECES];
}

/* Takes pieces from TCP while there is room for them. */
static void conn_take(struct own_conn *c)
{
	struct tcp_piece p;

	while (c->piece_count < PIECES &&
	       tcp_recv_take(c->own->tcp, c->id, &p, 1) == 1) {
		if (p.flags & TCP_PIECE_DROPPED || c->left || !p.length) {
			piece_end(c, &p);
			continue;
		}
		*piece_at(c, c->piece_count) = p;
		c->piece_count++;
	}
}

static void conn_drop_pieces(struct own_conn *c)
{
	for (; c->piece_count; c->piece_count--) {
		piece_end(c, piece_at(c, 0));
		c->piece_first = (c->piece_first + 1) % PIECES;
	}
	c->left = true;
	conn_take(c);
}

static uint32_t piece_copy(const struct tcp_piece *p, struct span to)
{
	const struct wire_buffer *b = (void *)(uintptr_t)p->buffer;

	return span_copy_in(to, b->at + p->offset, p->length);
}

static uint32_t conn_peek(const struct own_conn *c, struct span to)
{
	uint32_t i, n, done = 0;

	for (i = 0; i < c->piece_count && to.length; i++) {
		n = piece_copy(piece_at(c, i), to);
		to.at += n;
		to.length -= n;
		done += n;
	}
	return done;
}

uint32_t own_conn_read(struct own_conn *c, struct span to, bool peek)
{
	uint32_t n, done = 0;

	if (peek)
		return conn_peek(c, to);
	while (to.length && c->piece_count) {
		struct tcp_piece *p = piece_at(c, 0);

		n = piece_copy(p, to);
		to.at += n;
		to.length -= n;
		done += n;
		p->offset += n;
		p->length -= n;
		if (p->length)
			break;
		piece_end(c, p);
		c->piece_first = (c->piece_first + 1) % PIECES;
		if (!--c->piece_count)
			conn_take(c);
	}
	if (!done)
		return 0;
	tcp_recv_done(c->own->tcp, c->id, done, c->own->device.now_us);
	/* the window has grown: behind toe_issue() the peer is told at once */
	c->own->device.wake_us = 0;
	c->own->device.stats->rx_bytes += done;
	return done;
}

uint64_t own_conn_unread(const struct own_conn *c)
{
	struct tcp_status st;
	uint64_t n = 0;
	uint32_t i;

	for (i = 0; i < c->piece_count; i++)
		n += piece_at(c, i)->length;
	if (!tcp_get_status(c->own->tcp, c->id, &st))
		n += st.unread;
	return n;
}

int own_conn_take_error(struct own_conn *c)
{
	int error = c->error;

	c->error = 0;
	return -error;
}

/* -- what happens to it ---------------------------------------------------- */

void own_conn_event(struct own_conn *c, uint32_t what, int error)
{
	uint64_t acked;

	if (what & TCP_EVENT_CONNECTED)
		c->connected = true;
	if (what & TCP_EVENT_RESET) {
		c->reset = c->over = true;
		c->error = c->left ? 0 : error;
		/* as Linux: who goes on sending to one that has closed */
		if (c->eof && !c->shut_write && error == ECONNRESET)
			c->error = EPIPE;
	}
	if (what & TCP_EVENT_CLOSED)
		c->over = true;
	if (what & TCP_EVENT_EOF)
		c->eof = true;
	acked = c->acked;
	conn_acked(c);
	if (c->left && !c->over && c->acked != acked) /* its time begins anew */
		tcp_close(c->own->tcp, c->id, ORPHAN_US,
			  c->own->device.now_us);
	conn_take(c);
	if (c->stream)
		own_stream_progress(c->stream);
	else
		own_conn_try_free(c);
}

void own_conn_unreachable(struct own *o, int id, int result)
{
	struct own_conn *c = own_conn_find(o, id);
	struct own_stream *st = c ? c->stream : NULL;
	struct tcp_status now;

	if (!st || st->s.state != STREAM_CONNECTING ||
	    tcp_get_status(o->tcp, id, &now) || now.state != TCP_ST_SYN_SENT)
		return;
	stream_op_begin(&st->s);
	own_connect_done(st, result);
	own_stream_progress(st); /* what waited for it has an answer too */
	stream_op_end(&st->s);
}

void own_conn_back_all(struct own *o)
{
	struct list *at;
	uint32_t i;

	if (!o->back)
		return;
	for (i = 0; i < OWN_BUCKETS; i++) {
		for (at = o->conns[i].next; at != &o->conns[i]; at = at->next) {
			struct own_conn *c = list_entry(at, struct own_conn,
							hash_node);

			if (c->claim->back && !c->local)
				tcp_path_back(o->tcp, c->id, o->device.now_us);
		}
	}
	for (i = 0; i < o->claim_top; i++)
		o->claims[i].back = false;
	o->back = false;
}

void own_conn_leave(struct own_conn *c, bool abort)
{
	struct own *o = c->own;
	bool unread = c->piece_count > 0;

	list_del(&c->backlog_node);
	c->stream = NULL;
	conn_drop_pieces(c);
	if (!c->over && (abort || unread || !c->connected))
		tcp_abort(o->tcp, c->id, o->device.now_us);
	else if (!c->over)
		tcp_close(o->tcp, c->id, ORPHAN_US, o->device.now_us);
	own_conn_try_free(c);
}

void own_conn_try_free(struct own_conn *c)
{
	struct own *o = c->own;
	bool late = !c->reset;

	/* one that waits for ACCEPT is let go with its listener */
	if (!c->over || c->stream || !list_empty(&c->backlog_node))
		return;
	do
		conn_drop_pieces(c);
	while (tcp_free(o->tcp, c->id, o->device.now_us) == -EBUSY);
	list_del(&c->hash_node);
	o->conn_count--;
	own_claim_put(c->claim, late);
	free(c->pieces);
	free(c->ring);
	free(c);
}
