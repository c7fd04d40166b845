/* SPDX-License-Identifier: BSD-2-Clause */
#include "port/ring_peer.h"

#include <errno.h>
#include <string.h>

void ring_in_init(struct ring_in *r, void *at, uint32_t size)
{
	memset(r, 0, sizeof(*r));
	r->shared = at;
	r->entries = (uint8_t *)at + VTOE_RING_HEADER;
	r->size = size;
	__atomic_store_n(&r->shared->c.consumer, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&r->shared->c.event, 0, __ATOMIC_RELEASE);
}

int ring_in_peek(struct ring_in *r)
{
	uint32_t producer;

	if (r->broken)
		return -EPROTO;
	/* acquire: pairs with the guest's release store in its submit */
	producer = __atomic_load_n(&r->shared->p.producer, __ATOMIC_ACQUIRE);
	/* Never beyond the ring, and never behind what it showed before. */
	if (producer - r->consumer > r->size ||
	    producer - r->consumer < r->producer - r->consumer) {
		r->broken = true;
		return -EPROTO;
	}
	r->producer = producer;
	return (int)(producer - r->consumer);
}

void ring_in_take(struct ring_in *r, void *to)
{
	memcpy(to, r->entries + (r->consumer & (r->size - 1)) * VTOE_RING_ENTRY,
	       VTOE_RING_ENTRY);
	/* The copy is what is used: the compiler may not go back to the page. */
	__asm__ volatile("" ::: "memory");
	r->consumer++;
}

void ring_in_leave(struct ring_in *r)
{
	r->consumer--;
}

bool ring_in_release(struct ring_in *r)
{
	uint32_t old_index = r->published, event;

	if (old_index == r->consumer)
		return false;
	r->published = r->consumer;
	/* release: the guest may overwrite the entries after this; pairs with
	 * the acquire load in its reserve */
	__atomic_store_n(&r->shared->c.consumer, r->consumer, __ATOMIC_RELEASE);
	/* full: pairs with the guest's fence after writing space_event */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	event = __atomic_load_n(&r->shared->p.space_event, __ATOMIC_RELAXED);
	return vtoe_ring_need_event(event, r->consumer, old_index);
}

int ring_in_arm(struct ring_in *r)
{
	__atomic_store_n(&r->shared->c.event, r->consumer, __ATOMIC_RELAXED);
	/* full: pairs with the guest's fence in its submit */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return ring_in_peek(r);
}

void ring_out_init(struct ring_out *r, void *at, uint32_t size)
{
	memset(r, 0, sizeof(*r));
	r->shared = at;
	r->entries = (uint8_t *)at + VTOE_RING_HEADER;
	r->size = size;
	__atomic_store_n(&r->shared->p.producer, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&r->shared->p.space_event, UINT32_MAX,
			 __ATOMIC_RELAXED);
	ring_out_status(r, 1, 0);
}

int ring_out_room(struct ring_out *r, uint32_t want)
{
	uint32_t consumer, seen = r->size - (r->producer - r->consumer);

	if (r->broken)
		return -EPROTO;
	/* the guest's word is looked at before it is needed, not each time */
	if (seen > r->size / 2 && seen >= want)
		return (int)seen;
	/* acquire: pairs with the guest's release store in its release verb */
	consumer = __atomic_load_n(&r->shared->c.consumer, __ATOMIC_ACQUIRE);
	/* Never ahead of what we published, never behind what it showed. */
	if (consumer - r->consumer > r->published - r->consumer) {
		r->broken = true;
		return -EPROTO;
	}
	r->consumer = consumer;
	return (int)(r->size - (r->producer - consumer));
}

void ring_out_put(struct ring_out *r, const void *from)
{
	memcpy(r->entries + (r->producer & (r->size - 1)) * VTOE_RING_ENTRY,
	       from, VTOE_RING_ENTRY);
	r->producer++;
}

bool ring_out_wants_all(const struct ring_out *r)
{
	return __atomic_load_n(&r->shared->c.wants, __ATOMIC_RELAXED) &
	       VTOE_RING_WANT_ALL;
}

bool ring_out_publish(struct ring_out *r, bool quiet)
{
	uint32_t old_index = r->told, event;

	if (r->published == r->producer && (quiet || old_index == r->producer))
		return false;
	r->published = r->producer;
	/* release: pairs with the acquire load in the guest's peek */
	__atomic_store_n(&r->shared->p.producer, r->producer, __ATOMIC_RELEASE);
	/* full: pairs with the guest's fence between `event` and `wants` and its
	 * peek */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (quiet && !ring_out_wants_all(r)) {
		/* An `event` that is waited for is in the ring: no need to
		 * remember more than that, and no wrap-around. */
		if (r->producer - r->told > r->size)
			r->told = r->producer - r->size;
		return false;
	}
	r->told = r->producer;
	event = __atomic_load_n(&r->shared->c.event, __ATOMIC_RELAXED);
	return vtoe_ring_need_event(event, r->producer, old_index);
}

bool ring_out_arm_space(struct ring_out *r, uint32_t want)
{
	__atomic_store_n(&r->shared->p.space_event,
			 r->producer - r->size + want - 1, __ATOMIC_RELAXED);
	/* full: pairs with the guest's fence in its release verb */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return ring_out_room(r, want) >= (int)want;
}

void ring_out_status(struct ring_out *r, uint32_t status, uint32_t violation)
{
	__atomic_store_n(&r->shared->p.violation, violation, __ATOMIC_RELAXED);
	__atomic_store_n(&r->shared->p.status, status, __ATOMIC_RELEASE);
}
