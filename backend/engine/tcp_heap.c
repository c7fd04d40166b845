/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_heap.c - which connection's time comes next
 *
 * A binary heap of connections, ordered by the earliest of their times. A time
 * that moves away leaves the entry where it is; when it comes up, it is looked
 * at again and goes to its real place. So an ACK that only restarts a timer
 * costs nothing here.
 */
#include "engine/tcp_internal.h"

static struct tcp_conn *heap_conn(struct tcp_stack *s, uint32_t at)
{
	return tcp_conn_at(s, *tcp_heap_slot(s, at));
}

static void heap_put(struct tcp_stack *s, uint32_t at, struct tcp_conn *c)
{
	*tcp_heap_slot(s, at) = c->index;
	c->heap_at = at;
}

static void heap_up(struct tcp_stack *s, struct tcp_conn *c)
{
	uint32_t at = c->heap_at;

	while (at) {
		struct tcp_conn *parent = heap_conn(s, (at - 1) / 2);

		if (parent->heap_key <= c->heap_key)
			break;
		heap_put(s, at, parent);
		at = (at - 1) / 2;
	}
	heap_put(s, at, c);
}

static void heap_down(struct tcp_stack *s, struct tcp_conn *c)
{
	uint32_t at = c->heap_at, child;

	while ((child = 2 * at + 1) < s->heap_count) {
		struct tcp_conn *least = heap_conn(s, child);

		if (child + 1 < s->heap_count &&
		    heap_conn(s, child + 1)->heap_key < least->heap_key)
			least = heap_conn(s, ++child);
		if (c->heap_key <= least->heap_key)
			break;
		heap_put(s, at, least);
		at = child;
	}
	heap_put(s, at, c);
}

void tcp_heap_remove(struct tcp_stack *s, struct tcp_conn *c)
{
	struct tcp_conn *last;
	uint32_t at = c->heap_at;

	if (at == TCP_NIL)
		return;
	c->heap_at = TCP_NIL;
	last = heap_conn(s, --s->heap_count);
	if (last == c)
		return;
	heap_put(s, at, last);
	heap_up(s, last);
	heap_down(s, last);
}

uint64_t tcp_heap_earliest(const struct tcp_conn *c)
{
	uint64_t t = tcp_min64(c->send_at, c->ack_at);

	t = tcp_min64(t, tcp_min64(c->keep_at, c->wait_at));
	return tcp_min64(t, c->linger_at);
}

void tcp_heap_update(struct tcp_stack *s, struct tcp_conn *c)
{
	uint64_t t = tcp_heap_earliest(c);

	if (c->heap_at == TCP_NIL) {
		if (t == TCP_NEVER)
			return;
		c->heap_key = t;
		c->heap_at = s->heap_count++;
		heap_up(s, c);
	} else if (t < c->heap_key) {
		c->heap_key = t;
		heap_up(s, c);
	}
}

struct tcp_conn *tcp_heap_due(struct tcp_stack *s, uint64_t now)
{
	struct tcp_conn *c;

	while (s->heap_count && (c = heap_conn(s, 0))->heap_key <= now) {
		tcp_heap_remove(s, c);
		if (tcp_heap_earliest(c) <= now)
			return c;
		tcp_heap_update(s, c);
	}
	return NULL;
}

uint64_t tcp_next_timer(const struct tcp_stack *s)
{
	/* the heap's order is by heap_key, which may be early, never late */
	return s->heap_count ? heap_conn((struct tcp_stack *)s, 0)->heap_key :
			       TCP_NEVER;
}
