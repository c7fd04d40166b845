// SPDX-License-Identifier: BSD-2-Clause
/*
 * pin.c - application memory that a guest's driver pins and grants
 *
 * In a guest the driver can make a region of any memory of the application
 * (vtoe_ioctl.h): it pins the pages where they are and grants them to the
 * backend. Registering is a system call and a request to the backend; using a
 * registration is neither. Whether it is still good is read from the state
 * page: the driver marks a registration stale before the call that unmaps its
 * memory returns (H5). A stale one is not found any more, and is dropped by the
 * next registering, when no request names it.
 *
 * Whole pages are granted, and few buffers begin and end with a page. Is it
 * safe to register the pages that cover a buffer? For the bytes beside it: an
 * honest backend reads and writes the bytes that a request names and no others
 * (it never rewrites the rest of a page), so a neighbour in the same page, that
 * changes at the same time, is never touched: true for both rights. A hostile
 * backend gets more than it was offered: with VTOE_READ alone it can read the
 * neighbours, and the hypervisor keeps it from writing (O8); with VTOE_WRITE it
 * can change them, and what lies beside a buffer on a heap or a stack decides
 * what the program does. A driver domain that is not trusted that far gets memory
 * that fills its pages: VTOE_OPEN_WHOLE_PAGES makes the blocking helpers register
 * nothing else, and vtoe_register() registers what it is told. Two buffers in
 * one page are two registrations of it, and ending the one leaves the other.
 *
 * fork: the pages stay the parent's, which is what pinning promises: the child
 * gets copies of them at once, not at the first write. Its addresses then name
 * other pages than the keys do, so it must not use a key. A page that the
 * kernel wipes in a child tells, without a system call; and the driver refuses
 * to register for another process than the one that opened the device.
 *
 * Where registering is refused (RLIMIT_MEMLOCK, a limit of the device or of the
 * backend), bytes are copied, and counted (H15). Asking again each time would
 * cost a call each time, so after a refusal so many transfers are copied
 * without asking, twice as many after each one more.
 */
#include <errno.h>
#include <sys/mman.h>

#include <vtoe_ioctl.h>

#include "internal.h"

/* What is registered at once of a longer buffer: it moves this many bytes
 * between two registrations, and never needs more pages than this. */
#define WINDOW (4u << 20)
/* So much in place is worth a request, though more was asked for. */
#define WORTH_IT (256u << 10)
#define SKIP_MOST 1024u

int pin_init(struct vtoe *ctx, const struct driver_ops *driver, size_t most)
{
	uint32_t *own;

	if (most < VTOE_PAGE || most % VTOE_PAGE)
		return -EPROTO;
	own = mmap(NULL, VTOE_PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (own == MAP_FAILED)
		return -errno;
	if (madvise(own, VTOE_PAGE, MADV_WIPEONFORK)) {
		munmap(own, VTOE_PAGE);
		return -ENOSYS; /* older than any kernel that has the driver */
	}
	*own = 1;
	ctx->pin.own = own;
	ctx->pin.driver = driver;
	ctx->pin.most = most;
	ctx->memory_ops = &pin_ops;
	return 0;
}

void pin_free(struct vtoe *ctx)
{
	if (ctx->pin.own)
		munmap(ctx->pin.own, VTOE_PAGE);
	if (ctx->pin.state)
		munmap((void *)ctx->pin.state,
		       sizeof(struct vtoe_state_page));
}

static bool pin_forked(const struct vtoe *ctx)
{
	return !*(const volatile uint32_t *)ctx->pin.own;
}

static bool pin_valid(const struct vtoe *ctx, const struct region *r)
{
	/* The driver wrote it before the system call that made it so returned:
	 * whoever knows of that call sees it. */
	return !pin_forked(ctx) &&
	       !__atomic_load_n(&ctx->pin.state->stale[r->slot],
				__ATOMIC_RELAXED);
}

/* A limit that fewer registrations would help. */
static bool pin_limited(int rc)
{
	return rc == -ENOMEM || rc == -ENOSPC || rc == -EDQUOT;
}

static int pin_add(struct vtoe *ctx, struct region *r)
{
	struct vtoe_ioc_register q = {
		.address = region_base(r),
		.bytes = region_span(r),
		.rights = r->rights,
	};
	size_t one, freed = 0;
	int rc;

	if (q.bytes > ctx->pin.most)
		return -E2BIG;
	/* as many bytes as are wanted are given up for it, and no more: a
	 * request that can never be met must not empty the cache */
	while (pin_limited(rc = ctx->pin.driver->add(ctx, &q)) &&
	       freed < q.bytes && !cache_evict(ctx, &one))
		freed += one;
	if (rc)
		return rc;
	if (!q.key || q.slot >= VTOE_STATE_SLOTS)
		return -EPROTO;
	r->key = q.key;
	r->slot = q.slot;
	return 0;
}

static int pin_remove(struct vtoe *ctx, uint64_t key, int timeout_ms)
{
	struct vtoe_ioc_register q = { .key = key };

	(void)timeout_ms; /* the driver knows what it waits for */
	return ctx->pin.driver->remove(ctx, &q);
}

/* Drops what has become stale since the last time. */
static void pin_sweep(struct vtoe *ctx)
{
	uint64_t now = __atomic_load_n(&ctx->pin.state->generation,
				       __ATOMIC_ACQUIRE);

	if (now == __atomic_load_n(&ctx->pin.seen, __ATOMIC_RELAXED))
		return;
	pthread_mutex_lock(&ctx->cache.change);
	if (cache_drop_stale(ctx))
		__atomic_store_n(&ctx->pin.seen, now, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&ctx->cache.change);
}

/* Is another try to register due? */
static bool pin_may_try(struct pin *p)
{
	uint32_t skip = __atomic_load_n(&p->skip, __ATOMIC_RELAXED);

	/* approximate when threads race: a try more or less */
	if (skip)
		__atomic_store_n(&p->skip, skip - 1, __ATOMIC_RELAXED);
	return !skip;
}

static void pin_was_refused(struct pin *p)
{
	uint32_t n = __atomic_load_n(&p->refused, __ATOMIC_RELAXED);

	n = n ? 2 * n : 1;
	n = n < SKIP_MOST ? n : SKIP_MOST;
	__atomic_store_n(&p->refused, n, __ATOMIC_RELAXED);
	__atomic_store_n(&p->skip, n, __ATOMIC_RELAXED);
}

/* The pages of [at, at+bytes) that are registered in one piece. */
static size_t pin_pages(const struct vtoe *ctx, uintptr_t at, size_t bytes,
			uintptr_t *from)
{
	size_t window = WINDOW < ctx->pin.most ? WINDOW : ctx->pin.most;
	uintptr_t end;

	*from = page_down(at);
	if (bytes > window)
		bytes = window;
	if (ctx->whole_pages) {
		end = page_down(at + bytes);
		return *from == at ? end - at : 0;
	}
	end = page_up(at + bytes);
	return end - *from < window ? end - *from : window;
}

static size_t pin_reach(struct vtoe *ctx, void *memory, size_t bytes,
			unsigned rights)
{
	const unsigned both = VTOE_READ | VTOE_WRITE;
	uintptr_t at = (uintptr_t)memory, from;
	size_t enough, room, span;

	if (pin_forked(ctx))
		return 0;
	pin_sweep(ctx);
	if (bytes < ctx->direct_min)
		/* less is copied, but sent from where it can be */
		return rights == VTOE_READ &&
		       cache_reach(ctx, at, bytes, rights, bytes) == bytes ?
			       bytes : 0;
	enough = bytes < WORTH_IT ? bytes : WORTH_IT;
	room = cache_reach(ctx, at, bytes, rights, enough);
	if (room >= enough)
		return room;
	span = pin_pages(ctx, at, bytes, &from);
	if (span < at - from + ctx->direct_min)
		return 0;
	/* what is filled now is sent later, often: one registration for both;
	 * what is only sent is granted read-only */
	if (rights & VTOE_WRITE)
		rights = both;
	if (pin_may_try(&ctx->pin)) {
		if (!cache_register(ctx, from, span, rights)) {
			__atomic_store_n(&ctx->pin.refused, 0,
					 __ATOMIC_RELAXED);
			room = from + span - at;
			return room < bytes ? room : bytes;
		}
		pin_was_refused(&ctx->pin);
	}
	__atomic_fetch_add(&ctx->pin.copied, 1, __ATOMIC_RELAXED);
	return 0;
}

const struct memory_ops pin_ops = {
	.any_alignment = true,
	.add = pin_add,
	.remove = pin_remove,
	.lost = pin_forked,
	.valid = pin_valid,
	.reach = pin_reach,
};
