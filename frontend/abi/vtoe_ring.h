/* SPDX-License-Identifier: MIT */
/*
 * vtoe_ring.h - a single-producer single-consumer ring of 64-byte entries
 *
 * Layout, at a 64-byte aligned offset of the shared memory:
 *
 *   byte   0  struct vtoe_ring_producer   written by the producer only
 *   byte  64  struct vtoe_ring_consumer   written by the consumer only
 *   byte 128  entries, 64 bytes each, a power of two of them
 *
 * Indices are free-running 32-bit counters; entry i is at i & (entries - 1);
 * the ring holds (producer - consumer) entries, never more than its size.
 *
 * Notification suppression, both ways (the event index of virtio and of Xen's
 * ring.h): the consumer writes `event`, and the producer notifies it when its
 * index moves past that value; the producer writes `space_event`, and the
 * consumer notifies when its index moves past that one. An index is passed
 * when vtoe_ring_need_event() says so. To poll without notifications, leave
 * the value behind one's own index.
 *
 * The four verbs below serve the guest (libvtoe); the backend has its own
 * hardened ones. Each side keeps its own indices in private memory and never
 * reads them back from the shared page. Not thread-safe: one producer and one
 * consumer at a time, by the caller's lock if needed.
 */
#ifndef VTOE_RING_H
#define VTOE_RING_H

#include "vtoe_types.h"

#define VTOE_RING_ENTRY 64u
#define VTOE_RING_HEADER 128u
#define VTOE_RING_MIN 8u
#define VTOE_RING_MAX 32768u

struct vtoe_ring_producer {
	vtoe_u32 producer;
	vtoe_u32 space_event; /* consumer: notify me when you pass this */
	vtoe_u32 status;      /* completion rings: enum vtoe_status of the lane */
	vtoe_u32 violation;   /* with VTOE_STATUS_PARKED */
	vtoe_u8 pad[48];
};
VTOE_ASSERT(sizeof(struct vtoe_ring_producer) == VTOE_CACHE_LINE);

struct vtoe_ring_consumer {
	vtoe_u32 consumer;
	vtoe_u32 event; /* producer: notify me when you pass this */
	vtoe_u32 wants; /* completion rings: VTOE_RING_WANT_* */
	vtoe_u8 pad[52];
};
VTOE_ASSERT(sizeof(struct vtoe_ring_consumer) == VTOE_CACHE_LINE);

/* Notify for the completions of VTOE_SQE_QUIET too. */
#define VTOE_RING_WANT_ALL (1u << 0)

struct vtoe_ring_shared {
	struct vtoe_ring_producer p;
	struct vtoe_ring_consumer c;
	/* entries follow */
};
VTOE_ASSERT(sizeof(struct vtoe_ring_shared) == VTOE_RING_HEADER);

/* Bytes of a ring of n entries. */
#define VTOE_RING_BYTES(n) (VTOE_RING_HEADER + (n) * VTOE_RING_ENTRY)

/* Did the index pass `event` when it went from old_index to new_index? */
static inline int vtoe_ring_need_event(vtoe_u32 event, vtoe_u32 new_index,
				       vtoe_u32 old_index)
{
	return (vtoe_u32)(new_index - event - 1u) <
	       (vtoe_u32)(new_index - old_index);
}

#ifndef __KERNEL__

/* One side's private view of a ring. */
struct vtoe_ring {
	struct vtoe_ring_shared *shared;
	vtoe_u8 *entries;
	vtoe_u32 size;	   /* entries, a power of two */
	vtoe_u32 local;	   /* my index: producer's or consumer's */
	vtoe_u32 other;	   /* the other side's index, as last seen */
	vtoe_u32 published; /* my index, as the other side can see it */
};

static inline void vtoe_ring_init(struct vtoe_ring *r, void *at, vtoe_u32 size)
{
	r->shared = (struct vtoe_ring_shared *)at;
	r->entries = (vtoe_u8 *)at + VTOE_RING_HEADER;
	r->size = size;
	r->local = r->other = r->published = 0;
}

/* reserve: the next free entry, or NULL if the ring is full. */
static inline void *vtoe_ring_reserve(struct vtoe_ring *r)
{
	if (r->local - r->other >= r->size) {
		/* acquire: pairs with the consumer's release store in its
		 * release verb; the entry's old content has been read */
		r->other = __atomic_load_n(&r->shared->c.consumer,
					   __ATOMIC_ACQUIRE);
		if (r->local - r->other >= r->size)
			return (void *)0;
	}
	return r->entries +
	       (r->local++ & (r->size - 1)) * VTOE_RING_ENTRY;
}

/* submit: publish what was reserved; 1 if the consumer wants a notification. */
static inline int vtoe_ring_submit(struct vtoe_ring *r)
{
	vtoe_u32 old_index = r->published, event;

	if (old_index == r->local)
		return 0;
	r->published = r->local;
	/* release: pairs with the consumer's acquire load in peek */
	__atomic_store_n(&r->shared->p.producer, r->local, __ATOMIC_RELEASE);
	/* full: the index must be visible before `event` is read; pairs with
	 * the consumer's fence between writing `event` and its last peek */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	event = __atomic_load_n(&r->shared->c.event, __ATOMIC_RELAXED);
	return vtoe_ring_need_event(event, r->local, old_index);
}

/* peek: the next filled entry, or NULL if the ring is empty. */
static inline void *vtoe_ring_peek(struct vtoe_ring *r)
{
	if (r->local == r->other) {
		/* acquire: pairs with the producer's release store in submit */
		r->other = __atomic_load_n(&r->shared->p.producer,
					   __ATOMIC_ACQUIRE);
		if (r->local == r->other)
			return (void *)0;
	}
	return r->entries + (r->local & (r->size - 1)) * VTOE_RING_ENTRY;
}

/* advance: the entry that peek returned has been read. */
static inline void vtoe_ring_advance(struct vtoe_ring *r)
{
	r->local++;
}

/* release: give back all entries read; 1 if the producer waits for space. */
static inline int vtoe_ring_release(struct vtoe_ring *r)
{
	vtoe_u32 old_index = r->published, event;

	if (old_index == r->local)
		return 0;
	r->published = r->local;
	/* release: pairs with the producer's acquire load in reserve */
	__atomic_store_n(&r->shared->c.consumer, r->local, __ATOMIC_RELEASE);
	/* full: pairs with the producer's fence after writing space_event */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	event = __atomic_load_n(&r->shared->p.space_event, __ATOMIC_RELAXED);
	return vtoe_ring_need_event(event, r->local, old_index);
}

/* Consumer: ask for a notification with the next entry. 1 if an entry came
 * meanwhile: then do not sleep. */
static inline int vtoe_ring_arm(struct vtoe_ring *r)
{
	__atomic_store_n(&r->shared->c.event, r->local, __ATOMIC_RELAXED);
	/* full: pairs with the producer's fence in submit */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return vtoe_ring_peek(r) != (void *)0;
}

/* Consumer: no notification with the next entries after all; for one that will
 * look by itself. One that was on its way comes. */
static inline void vtoe_ring_disarm(struct vtoe_ring *r)
{
	vtoe_u32 event = __atomic_load_n(&r->shared->c.event, __ATOMIC_RELAXED);

	__atomic_store_n(&r->shared->c.event, event - 1, __ATOMIC_RELAXED);
}

/* Producer: ask for a notification when `want` entries more are free. 1 if
 * they are free already. */
static inline int vtoe_ring_arm_space(struct vtoe_ring *r, vtoe_u32 want)
{
	__atomic_store_n(&r->shared->p.space_event,
			 r->local - r->size + want - 1, __ATOMIC_RELAXED);
	/* full: pairs with the consumer's fence in release */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	r->other = __atomic_load_n(&r->shared->c.consumer, __ATOMIC_ACQUIRE);
	return r->size - (r->local - r->other) >= want;
}
#endif /* !__KERNEL__ */

#endif
