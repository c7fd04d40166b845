/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_table.c - finds connections: by name, by addresses, on lists
 *
 * The table is chained through the connections; its hash is keyed, so that a
 * stranger cannot make chains long, and a chain is never longer than there are
 * connections. A name is the index with a generation above it, so that a name
 * that was freed is refused until its slot was used 2,047 times again.
 */
#include "engine/tcp_internal.h"

#include <string.h>

#include "engine/tcp_hash.h"

enum { INDEX_BITS = 19, GENERATION_MASK = 0x7ff, LISTENER = 1 << 30 };

void tcp_list_init(struct tcp_list *l)
{
	l->first = l->last = TCP_NIL;
}

void tcp_list_add(struct tcp_stack *s, struct tcp_list *l,
		  enum tcp_list_kind kind, struct tcp_conn *c)
{
	struct tcp_link *link = &c->link[kind];

	if (link->on)
		return;
	link->on = true;
	link->next = TCP_NIL;
	link->prev = l->last;
	if (l->last == TCP_NIL)
		l->first = c->index;
	else
		tcp_conn_at(s, l->last)->link[kind].next = c->index;
	l->last = c->index;
}

void tcp_list_del(struct tcp_stack *s, struct tcp_list *l,
		  enum tcp_list_kind kind, struct tcp_conn *c)
{
	struct tcp_link *link = &c->link[kind];

	if (!link->on)
		return;
	link->on = false;
	if (link->prev == TCP_NIL)
		l->first = link->next;
	else
		tcp_conn_at(s, link->prev)->link[kind].next = link->next;
	if (link->next == TCP_NIL)
		l->last = link->prev;
	else
		tcp_conn_at(s, link->next)->link[kind].prev = link->prev;
}

struct tcp_conn *tcp_list_pop(struct tcp_stack *s, struct tcp_list *l,
			      enum tcp_list_kind kind)
{
	struct tcp_conn *c;

	if (l->first == TCP_NIL)
		return NULL;
	c = tcp_conn_at(s, l->first);
	tcp_list_del(s, l, kind, c);
	return c;
}

static uint32_t *bucket(struct tcp_stack *s, const struct tcp_tuple *t)
{
	uint64_t hash = tcp_hash(s->config.key, 'T', t, sizeof(*t));

	return tcp_bucket_at(s, (uint32_t)hash & (s->buckets - 1));
}

struct tcp_conn *tcp_table_find(struct tcp_stack *s, const struct tcp_tuple *t)
{
	uint32_t i = *bucket(s, t);

	while (i != TCP_NIL) {
		struct tcp_conn *c = tcp_conn_at(s, i);

		if (!memcmp(&c->tuple, t, sizeof(*t)))
			return c;
		i = c->hash_next;
	}
	return NULL;
}

void tcp_table_add(struct tcp_stack *s, struct tcp_conn *c)
{
	uint32_t *head = bucket(s, &c->tuple);

	c->hash_next = *head;
	*head = c->index;
}

void tcp_table_del(struct tcp_stack *s, struct tcp_conn *c)
{
	uint32_t *at = bucket(s, &c->tuple);

	while (*at != TCP_NIL && *at != c->index)
		at = &tcp_conn_at(s, *at)->hash_next;
	if (*at == c->index)
		*at = c->hash_next;
	c->hash_next = TCP_NIL;
}

int tcp_conn_name(const struct tcp_conn *c)
{
	return (int)((c->generation & GENERATION_MASK) << INDEX_BITS |
		     (c->index + 1));
}

struct tcp_conn *tcp_conn_named(struct tcp_stack *s, int name)
{
	uint32_t index = ((uint32_t)name & ((1u << INDEX_BITS) - 1)) - 1;
	struct tcp_conn *c;

	if (name <= 0 || index >= s->config.conns)
		return NULL;
	c = tcp_conn_at(s, index);
	return c->owned && tcp_conn_name(c) == name ? c : NULL;
}

int tcp_listener_name(uint32_t index)
{
	return (int)(LISTENER | (index + 1));
}

struct tcp_listener *tcp_listener_named(struct tcp_stack *s, int name)
{
	uint32_t index = ((uint32_t)name ^ LISTENER) - 1;
	struct tcp_listener *l;

	if (name <= 0 || index >= s->config.listeners)
		return NULL;
	l = tcp_listener_at(s, index);
	return l->used ? l : NULL;
}

/* One for the very address goes before one for any. */
struct tcp_listener *tcp_listener_find(struct tcp_stack *s,
				       const struct tcp_tuple *t)
{
	struct tcp_listener *any = NULL, *l;
	uint32_t i;

	for (i = 0; i < s->config.listeners; i++) {
		l = tcp_listener_at(s, i);
		if (!l->used || l->closing || l->at.family != t->family ||
		    l->at.local_port != t->local_port)
			continue;
		if (!memcmp(l->at.local, t->local, sizeof(t->local)))
			return l;
		if (l->any)
			any = l;
	}
	return any;
}
