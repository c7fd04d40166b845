/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * list.h - doubly linked lists with the links inside the elements
 *
 * A list is a head whose links point to itself when it is empty. An element
 * that is on no list has links that point to itself, so removing it twice is
 * harmless.
 */
#ifndef VTOE_BASE_LIST_H
#define VTOE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next;
	struct list *prev;
};

#define list_entry(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

/* The body may remove `at`. */
#define list_for_each_safe(at, tmp, head)                             \
	for ((at) = (head)->next, (tmp) = (at)->next; (at) != (head); \
	     (at) = (tmp), (tmp) = (at)->next)

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_add_tail(struct list *head, struct list *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

static inline void list_add_head(struct list *head, struct list *l)
{
	list_add_tail(head->next, l);
}

static inline void list_del(struct list *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	list_init(l);
}

/* All of `from`, in order, to the end of `to`. */
static inline void list_move_all(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#endif
