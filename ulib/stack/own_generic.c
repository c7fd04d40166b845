/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * own_generic.c - generic buffers (GRQ): filling them
 *
 * The ids of those that the guest has lent (path/toe_grq.c) are kept in order, so
 * that they are used in turn.
 */
#include "stack/own.h"

enum { MASK = GENERIC_BUFFERS - 1 };

/* free_ids has two parts: a stack of the free ones, a ring of the lent ones. */
static uint16_t *lent_ids(struct generic_pool *g)
{
	return g->free_ids + GENERIC_BUFFERS;
}

void toe_generic_lend(struct generic_pool *g, uint16_t id)
{
	lent_ids(g)[(g->first + g->lent++) & MASK] = id;
	g->buffers[id].state = GENERIC_LENT;
}

static uint16_t lent_take(struct generic_pool *g)
{
	uint16_t id = lent_ids(g)[g->first & MASK];

	g->first = (uint16_t)((g->first + 1) & MASK);
	g->lent--;
	return id;
}

int toe_generic_open(struct lane *lane)
{
	return lane->generic.buffers ? 0 :
		       generic_pool_init(&lane->generic, 2 * GENERIC_BUFFERS);
}

void toe_generic_free(struct lane *lane)
{
	if (lane->generic.buffers)
		generic_pool_free(lane);
}

void toe_generic_region_gone(struct lane *lane, struct region *r)
{
	struct generic_pool *g = &lane->generic;
	uint32_t id, n = g->lent;

	if (!g->buffers)
		return;
	while (n--) {
		id = lent_take(g);
		if (g->buffers[id].region != r) {
			toe_generic_lend(g, (uint16_t)id);
			continue;
		}
		generic_free(g, id);
		region_put(lane->conn, r);
	}
	/* nobody can give these back any more */
	for (id = 0; id < GENERIC_BUFFERS; id++)
		if (g->buffers[id].state == GENERIC_OUT &&
		    g->buffers[id].key == r->key)
			generic_forget(lane, id);
}

/* -- a stream's ------------------------------------------------------------ */

/* Its completion is before theirs: they come with the turn. */
void toe_generic_begin(struct stream *s)
{
	if (list_empty(&s->send_node))
		list_add_tail(&s->device->sending, &s->send_node);
}

/* Filling is never under way between two requests. */
void toe_generic_cancel(struct stream *s)
{
	(void)s;
}

void toe_generic_go_on(struct stream *s)
{
	struct own_stream *st = own_stream_of(s);

	if (!st->filling)
		own_recv_progress(st);
}

/* Fills one buffer. */
static void generic_place(struct own_stream *st)
{
	struct stream *s = &st->s;
	struct lane *lane = s->generic_lane;
	struct generic_buffer *b =
		&lane->generic.buffers[lent_take(&lane->generic)];
	struct region *r = b->region;
	uint32_t n;

	n = own_conn_read(st->conn, (struct span){ r->at + b->offset,
						   b->length }, false);
	b->region = NULL;
	b->state = GENERIC_OUT;
	b->stream = s->id;
	s->generic_out++;
	s->rx_bytes += n;
	s->device->stats->rx_generic_bytes += n;
	region_put(lane->conn, r);
	generic_post(s, (int32_t)n, own_conn_readable(st->conn) ?
					    VTOE_CQE_NONEMPTY : 0, b);
}

static void generic_end(struct own_stream *st)
{
	struct own_conn *c = st->conn;
	int rc;

	if (!c->eof && !c->over && !c->shut_read)
		return;
	rc = c->eof ? 0 : own_conn_take_error(c);
	st->s.generic_ended = true;
	generic_post(&st->s, rc, rc ? 0 : VTOE_CQE_EOF, NULL);
}

void own_generic_fill(struct own_stream *st)
{
	struct stream *s = &st->s;

	if (st->filling || !st->conn || s->state != STREAM_CONNECTED)
		return;
	st->filling = true;
	while (s->generic_on && !s->generic_held && !s->generic_ended) {
		if (!own_conn_readable(st->conn)) {
			generic_end(st);
			break;
		}
		if (!generic_may_take(s)) {
			s->device->stats->grq_starved++;
			generic_starve(s);
			break;
		}
		list_del(&s->starved_node);
		generic_place(st);
	}
	st->filling = false;
}
