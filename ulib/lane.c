// SPDX-License-Identifier: BSD-2-Clause
/*
 * lane.c - the queue verbs
 *
 * Submission: get_sqe hands out entries of a private array, submit copies them
 * into the shared ring, publishes them, and rings the doorbell if the backend
 * asked for it. What the backend sees is whole and final.
 *
 * Completion: an entry is copied out of the shared ring once, held against the
 * request that it answers (track.c), and given to whoever waits for it: a
 * blocking helper (its user_data carries LIBRARY_TAG), or the caller's next
 * peek. Completions that a helper found on its way are kept for later peeks.
 *
 * A dead lane: the backend hung up (-ENOTCONN), parked the lane (-ENOTCONN),
 * or broke the contract (-EPROTO, MECHANISMS N5). What it completed before
 * death is still delivered; then every other request under way is completed
 * by the library itself with -ENOTCONN, oldest first; then every call returns
 * the lane's error.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inside.h"
#include "internal.h"

#define RARELY(x) __builtin_expect(!!(x), 0)
/* how often a caller that only peeks looks whether the backend hung up */
#define PEEKS_PER_CHECK 1024u
#define SPIN_BULK_BYTES 8192
#define SPIN_RETRY 64u

/* -- death --------------------------------------------------------------- */

static bool is_library(const struct vtoe_cqe *cqe)
{
	return (cqe->user_data & LIBRARY_TAG) == LIBRARY_TAG;
}

/* Keeps a completion for a later peek. -> false: no memory */
static bool lane_keep(struct vtoe_lane *lane, const struct vtoe_cqe *cqe)
{
	uint32_t n = lane->kept_tail - lane->kept_head, i;

	if (n == lane->kept_size) {
		uint32_t size = n ? 2 * n : 16;
		struct vtoe_cqe *kept = malloc(size * sizeof(*kept));

		if (!kept)
			return false;
		for (i = 0; i < n; i++)
			kept[i] = lane->kept[(lane->kept_head + i) & (n - 1)];
		free(lane->kept);
		lane->kept = kept;
		lane->kept_size = size;
		lane->kept_head = 0;
		lane->kept_tail = n;
	}
	lane->kept[lane->kept_tail++ & (lane->kept_size - 1)] = *cqe;
	return true;
}

/* Hands a completion to the helper that waits for it. */
static void lane_give(struct vtoe_lane *lane, const struct vtoe_cqe *cqe)
{
	struct waiter **link, *w;

	for (link = &lane->waiters; (w = *link); link = &w->next)
		if (w->user_data == cqe->user_data) {
			*link = w->next;
			w->cqe = *cqe;
			w->done = true;
			if (lane->flags & VTOE_LANE_LOCKED)
				pthread_cond_broadcast(&lane->changed);
			return;
		}
	/* nobody waits: the completion of a CANCEL */
}

void lane_fail(struct vtoe_lane *lane, int error)
{
	if (lane->dead)
		return;
	lane->dead = error;
	/* staged entries never started */
	lane->sq.local = lane->sq.published;
	if (lane->flags & VTOE_LANE_LOCKED)
		pthread_cond_broadcast(&lane->changed);
}

/* A dead lane's next completion, made here. -> false: none is left */
static bool lane_bury_one(struct vtoe_lane *lane, struct vtoe_cqe *cqe)
{
	uint32_t index = track_oldest(&lane->track);
	const struct tracked *e;

	if (index == NOT_TRACKED)
		return false;
	e = &lane->track.entries[index];
	memset(cqe, 0, sizeof(*cqe));
	cqe->user_data = e->user_data;
	cqe->stream = e->stream;
	cqe->result = -ENOTCONN;
	if (e->region != NO_REGION)
		cache_unpin(lane->ctx, e->region);
	track_remove(&lane->track, index);
	return true;
}

/* -- taking completions -------------------------------------------------- */

/* Memory that a completion names outside the request's own must at least be
 * memory that the backend may touch. */
static bool memory_is_ours(struct vtoe_lane *lane, const struct vtoe_cqe *cqe)
{
	return vtoe_address_of(lane->ctx, cqe->key, cqe->offset,
			       cqe->length) != NULL;
}

/* Holds a completion against its request. -> 0 or -EPROTO */
static int lane_account(struct vtoe_lane *lane, const struct vtoe_cqe *cqe)
{
	const struct tracked *e;
	uint32_t index;

	if (RARELY(cqe->flags & VTOE_CQE_GRQ)) {
		if (!lane->grq || cqe->result > (int64_t)cqe->length ||
		    (cqe->length && !memory_is_ours(lane, cqe)))
			return -EPROTO;
		return 0;
	}
	index = track_match(&lane->track, cqe);
	if (RARELY(index == NOT_TRACKED))
		/* GRQ_ADD, AGGREGATE: complete only if they fail */
		return lane->grq && cqe->result < 0 ? 0 : -EPROTO;
	e = &lane->track.entries[index];
	if (cqe->flags & VTOE_CQE_FRAME)
		return e->op == VTOE_OP_CLAIM && cqe->result >= 0 &&
				       (int64_t)cqe->length <= cqe->result &&
				       cqe->flags & VTOE_CQE_MORE &&
				       memory_is_ours(lane, cqe) ?
			       0 : -EPROTO;
	if (cqe->result >= 0 &&
	    (e->op == VTOE_OP_RECV || e->op == VTOE_OP_SEND) &&
	    ((uint32_t)cqe->result > e->length ||
	     (cqe->length && (cqe->key != e->key || cqe->offset != e->offset ||
			      cqe->length > e->length))))
		return -EPROTO;
	if (cqe->flags & VTOE_CQE_MORE)
		return 0;
	if (e->region != NO_REGION)
		cache_unpin(lane->ctx, e->region);
	track_remove(&lane->track, index);
	return 0;
}

/* Gives the entries that were read back to the backend. */
static void lane_release(struct vtoe_lane *lane)
{
	if (vtoe_ring_release(&lane->cq)) {
		lane_count(&lane->counters.doorbells, 1);
		context_ring(lane->ctx);
	}
}

/* The ring is empty: is that all there will be? */
static void lane_look_for_death(struct vtoe_lane *lane)
{
	const struct vtoe_ring_producer *p = &lane->cq.shared->p;

	if (RARELY(__atomic_load_n(&p->status, __ATOMIC_RELAXED) ==
		   VTOE_STATUS_PARKED)) {
		lane->violation =
			__atomic_load_n(&p->violation, __ATOMIC_RELAXED);
		lane_fail(lane, -ENOTCONN);
	}
	if (RARELY(++lane->idle_peeks % PEEKS_PER_CHECK == 0))
		context_check(lane->ctx);
	if (RARELY(context_dead(lane->ctx)))
		lane->dying = true;
}

/* The next completion, of helpers too. -> 1, 0, or a negated errno */
static int lane_take(struct vtoe_lane *lane, struct vtoe_cqe *cqe)
{
	struct vtoe_ring *cq = &lane->cq;
	const void *entry;

again:
	if (RARELY(lane->dead))
		return lane_bury_one(lane, cqe) ? 1 : lane->dead;
	entry = vtoe_ring_peek(cq);
	if (!entry) {
		lane_release(lane);
		/* death is declared only when the ring is found empty after
		 * the hang-up was seen: nothing completed is lost */
		if (RARELY(lane->dying)) {
			lane_fail(lane, context_dead(lane->ctx));
			goto again;
		}
		lane_look_for_death(lane);
		if (RARELY(lane->dead || lane->dying))
			goto again;
		return 0;
	}
	if (RARELY(cq->other - cq->local > cq->size)) {
		lane_fail(lane, -EPROTO);
		goto again;
	}
	memcpy(cqe, entry, sizeof(*cqe));
	/* the copy is checked and used, the shared entry not looked at again */
	__asm__ volatile("" ::: "memory");
	vtoe_ring_advance(cq);
	if (cq->local - cq->published >= cq->size / 4)
		lane_release(lane);
	if (RARELY(lane_account(lane, cqe))) {
		lane_fail(lane, -EPROTO);
		goto again;
	}
	lane_count(&lane->counters.completed, 1);
	return 1;
}

int vtoe_peek_cqe(struct vtoe_lane *lane, struct vtoe_cqe **cqe)
{
	int rc;

	*cqe = &lane->current;
	if (lane->current_valid)
		return 1;
	if (lane->kept_head != lane->kept_tail) {
		lane->current = lane->kept[lane->kept_head++ &
					   (lane->kept_size - 1)];
		lane->current_valid = true;
		return 1;
	}
	for (;;) {
		rc = lane_take(lane, &lane->current);
		if (rc <= 0)
			return rc;
		if (!is_library(&lane->current))
			break;
		lane_give(lane, &lane->current);
	}
	lane->current_valid = true;
	return 1;
}

void vtoe_cqe_seen(struct vtoe_lane *lane)
{
	lane->current_valid = false;
}

/* Takes all that has come: for helpers, and for later peeks. */
static void lane_collect(struct vtoe_lane *lane)
{
	struct vtoe_cqe cqe;

	while (lane_take(lane, &cqe) > 0) {
		if (is_library(&cqe))
			lane_give(lane, &cqe);
		else if (!lane_keep(lane, &cqe))
			lane_fail(lane, -ENOMEM);
	}
}

/* -- submitting ---------------------------------------------------------- */

struct vtoe_sqe *vtoe_get_sqe(struct vtoe_lane *lane)
{
	struct vtoe_ring *sq = &lane->sq;
	struct vtoe_sqe *sqe;

	if (RARELY(lane->dead))
		return NULL;
	if (RARELY(track_reserve(&lane->track,
				 sq->local - sq->published + 1))) {
		lane_fail(lane, -ENOMEM);
		return NULL;
	}
	if (!vtoe_ring_reserve(sq)) {
		if (sq->published - sq->other > sq->size)
			lane_fail(lane, -EPROTO);
		return NULL;
	}
	if (RARELY(sq->published - sq->other > sq->size)) {
		lane_fail(lane, -EPROTO);
		return NULL;
	}
	sqe = &lane->staged[(sq->local - 1) & (sq->size - 1)];
	memset(sqe, 0, sizeof(*sqe));
	return sqe;
}

/* Remembers the request; a registration that it names is in use now. */
static void lane_track(struct vtoe_lane *lane, const struct vtoe_sqe *sqe)
{
	uint32_t region = NO_REGION;

	if (RARELY(sqe->op == VTOE_OP_GRQ_ADD ||
		   sqe->op == VTOE_OP_GRQ_MODE ||
		   sqe->op == VTOE_OP_AGGREGATE)) {
		lane->grq = true;
		/* it completes only if it fails */
		if (sqe->op != VTOE_OP_GRQ_MODE)
			return;
	}
	if (sqe->key && sqe->key != lane->ctx->arena_key) {
		/* keys are random: any bits of them will do */
		uint32_t *guess = &lane->pin_guess[sqe->key % PIN_GUESSES];

		region = cache_pin(lane->ctx, sqe->key, *guess);
		if (region != NO_REGION)
			*guess = region;
	}
	track_add(&lane->track, sqe, region);
}

/* Makes what was staged visible; lane->bell says whether the backend is to be
 * told of it. */
static int lane_publish(struct vtoe_lane *lane)
{
	struct vtoe_ring *sq = &lane->sq;
	uint32_t i, n = sq->local - sq->published;

	if (RARELY(lane->dead))
		return lane->dead;
	if (!n)
		return 0;
	if (RARELY(context_dead(lane->ctx))) {
		sq->local = sq->published;
		lane->dying = true;
		return context_dead(lane->ctx);
	}
	for (i = sq->published; i != sq->local; i++) {
		struct vtoe_sqe *sqe = &lane->staged[i & (sq->size - 1)];

		if (!(lane->ctx->features & VTOE_F_QUIET))
			sqe->flags &= (vtoe_u8)~VTOE_SQE_QUIET;
		lane_track(lane, sqe);
		memcpy(sq->entries + (i & (sq->size - 1)) * VTOE_RING_ENTRY,
		       sqe, sizeof(*sqe));
	}
	lane_count(&lane->counters.submitted, n);
	if (vtoe_ring_submit(sq)) {
		lane_count(&lane->counters.doorbells, 1);
		lane->bell = true;
	}
	return (int)n;
}

static void lane_ring(struct vtoe_lane *lane)
{
	if (!lane->bell)
		return;
	lane->bell = false;
	context_ring(lane->ctx);
}

int vtoe_submit(struct vtoe_lane *lane)
{
	int rc = lane_publish(lane);

	lane_ring(lane);
	return rc;
}

/* -- waiting ------------------------------------------------------------- */

static inline void cpu_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#else
	__asm__ volatile("" ::: "memory");
#endif
}

/*
 * Spins until something comes, for as long as it has been worth it lately: a
 * spin that finds nothing halves the window, one that finds something restores
 * it. With the window at zero, one wait in SPIN_RETRY tries again, and gives up at
 * once if that fails: a doorbell that is rung before a spin costs a system call.
 * Bulk data is worth a wake-up: nothing is spun for behind it.
 */
static bool lane_may_spin(struct vtoe_lane *lane)
{
	if (lane->current.result > SPIN_BULK_BYTES)
		return false;
	if (!lane->spin_window) {
		if (!lane->spin_usec || ++lane->spin_skipped % SPIN_RETRY)
			return false;
		lane->spin_window = lane->spin_usec;
		lane->spin_trial = true;
	}
	return true;
}

static bool lane_spin_once(struct vtoe_lane *lane, uint32_t seen)
{
	const struct vtoe_ring_producer *p = &lane->cq.shared->p;
	uint32_t i;

	for (i = 0; i < 32; i++) {
		/* only a hint: taking it acquires */
		if (__atomic_load_n(&p->producer, __ATOMIC_RELAXED) !=
		    seen)
			return true;
		cpu_pause();
	}
	if (lane->ctx->inside)
		lane->ctx->inside_ops->spin_look(lane->ctx->inside);
	return false;
}

static void lane_spin(struct vtoe_lane *lane)
{
	uint32_t seen = lane->cq.local;
	uint64_t until;
	bool found;

	if (!lane_may_spin(lane))
		return;
	lane_ring(lane);
	until = clock_ns() + lane->spin_window * 1000ull;
	lane_unlock_if(lane);
	if (lane->ctx->inside)
		lane->ctx->inside_ops->spin_begin(lane->ctx->inside);
	do
		found = lane_spin_once(lane, seen);
	while (!found && clock_ns() < until);
	if (lane->ctx->inside && !found)
		lane->ctx->inside_ops->spin_end(lane->ctx->inside);
	lane_lock_if(lane);
	if (found) {
		lane->spin_window = lane->spin_usec;
		lane->spin_trial = false;
	} else {
		lane->spin_window = lane->spin_trial ? 0 :
						       lane->spin_window / 2;
	}
}

/* Sleeps until something may have come; rings first if a doorbell is due. One
 * thread of a locked lane sleeps on the descriptor, the others on the condition.
 * -> 0, -ETIME, -EINTR */
static int lane_sleep(struct vtoe_lane *lane, uint64_t deadline)
{
	struct vtoe *ctx = lane->ctx;
	uint64_t before = lane->counters.completed;
	struct sleep_on s = { .fd = lane->event_fd };
	int rc;

	if (lane->sleeper) {
		lane_ring(lane);
		return condition_wait(&lane->changed, &lane->lock, deadline);
	}
	/* it completes some: what is armed would be notified of that */
	if (ctx->inside && lane->bell) {
		lane_ring(lane);
		return 0;
	}
	s.seen = context_events(ctx);
	if (vtoe_ring_arm(&lane->cq)) {
		lane_ring(lane);
		return 0;
	}
	lane_look_for_death(lane);
	if (lane->dead || lane->dying)
		return 0;
	s.bell = lane->bell;
	s.ring = &lane->cq;
	lane->bell = false;
	lane->sleeper = true;
	lane_unlock_if(lane);
	rc = context_sleep(ctx, &s, deadline);
	lane_lock_if(lane);
	lane->sleeper = false;
	if (rc == 0) {
		lane_count(&lane->counters.wakeups, 1);
		if (before == lane->counters.completed &&
		    !vtoe_ring_peek(&lane->cq))
			lane_count(&lane->counters.spurious_wakeups, 1);
	}
	if (lane->flags & VTOE_LANE_LOCKED)
		pthread_cond_broadcast(&lane->changed);
	if (rc == -ETIME || rc == -EINTR)
		return rc;
	if (rc)
		lane->dying = true;
	return 0;
}

int vtoe_wait_cqe(struct vtoe_lane *lane, struct vtoe_cqe **cqe,
		  int timeout_ms)
{
	uint64_t deadline;
	int rc;

	lane_publish(lane);
	rc = vtoe_peek_cqe(lane, cqe);
	if (rc || !timeout_ms)
		lane_ring(lane);
	if (rc)
		return rc < 0 ? rc : 0;
	deadline = deadline_after(timeout_ms);
	if (timeout_ms)
		lane_spin(lane);
	for (;;) {
		int slept;

		rc = vtoe_peek_cqe(lane, cqe);
		if (rc) {
			lane_ring(lane);
			return rc < 0 ? rc : 0;
		}
		slept = lane_sleep(lane, deadline);
		if (!slept)
			continue;
		rc = vtoe_peek_cqe(lane, cqe);
		if (rc)
			return rc < 0 ? rc : 0;
		return slept;
	}
}

int vtoe_lane_fd(const struct vtoe_lane *lane)
{
	return lane->event_fd;
}

int vtoe_lane_arm(struct vtoe_lane *lane)
{
	lane->armed = true;
	if (lane->ctx->inside)
		lane->ctx->inside_ops->watch(lane->ctx->inside);
	if (lane->current_valid || lane->kept_head != lane->kept_tail ||
	    lane->dead || lane->dying)
		return 1;
	lane_release(lane);
	if (vtoe_ring_arm(&lane->cq))
		return 1;
	lane_look_for_death(lane);
	return lane->dead || lane->dying;
}

void vtoe_lane_disarm(struct vtoe_lane *lane)
{
	/* a thread that sleeps on the descriptor needs what is in it */
	if (lane->armed && !lane->sleeper)
		event_drain(lane->event_fd);
	lane->armed = false;
}

void vtoe_lane_want_all(struct vtoe_lane *lane, int all)
{
	uint32_t wants = all ? VTOE_RING_WANT_ALL : 0;

	if (__atomic_exchange_n(&lane->cq.shared->c.wants, wants,
				__ATOMIC_SEQ_CST) == wants || !all)
		return;
	/* the backend may know of some that it has not told of */
	lane_count(&lane->counters.doorbells, 1);
	context_ring(lane->ctx);
}

void vtoe_lane_set_spin(struct vtoe_lane *lane, unsigned usec)
{
	lane->spin_usec = lane->spin_window = usec;
}

/* Waits until an entry is free, or something completes. */
static int lane_wait_space(struct vtoe_lane *lane, uint64_t deadline)
{
	int rc;

	lane_collect(lane);
	if (vtoe_ring_arm_space(&lane->sq, 1))
		return 0;
	rc = lane_sleep(lane, deadline);
	lane_collect(lane);
	return rc;
}

static int lane_wait_sqe(struct vtoe_lane *lane, uint64_t deadline)
{
	struct vtoe_ring *sq = &lane->sq;
	int rc;

	rc = vtoe_submit(lane);
	while (rc >= 0) {
		sq->other = __atomic_load_n(&sq->shared->c.consumer,
					    __ATOMIC_ACQUIRE);
		if (sq->published - sq->other > sq->size)
			lane_fail(lane, -EPROTO);
		if (lane->dead)
			return lane->dead;
		if (sq->local - sq->other < sq->size)
			return 0;
		rc = lane_wait_space(lane, deadline);
	}
	return rc;
}

int vtoe_wait_sqe(struct vtoe_lane *lane, int timeout_ms)
{
	return lane_wait_sqe(lane, deadline_after(timeout_ms));
}

/* -- for the blocking helpers -------------------------------------------- */

struct vtoe_sqe *lane_get_sqe(struct vtoe_lane *lane, uint64_t deadline,
			      int *error)
{
	struct vtoe_sqe *sqe;

	while (!(sqe = vtoe_get_sqe(lane))) {
		*error = lane_wait_sqe(lane, deadline);
		if (*error)
			return NULL;
	}
	*error = 0;
	return sqe;
}

void lane_add_waiter(struct vtoe_lane *lane, struct waiter *w,
		     struct vtoe_sqe *sqe)
{
	/* LIBRARY_TAG itself is that of requests that nobody waits for */
	w->user_data = LIBRARY_TAG | (++lane->last_tag & ~LIBRARY_TAG);
	w->op = sqe->op;
	w->done = false;
	w->next = lane->waiters;
	lane->waiters = w;
	sqe->user_data = w->user_data;
}

void lane_drop_waiter(struct vtoe_lane *lane, struct waiter *w)
{
	struct waiter **link;

	for (link = &lane->waiters; *link; link = &(*link)->next)
		if (*link == w) {
			*link = w->next;
			return;
		}
}

int lane_wait(struct vtoe_lane *lane, struct waiter *w, uint64_t deadline)
{
	int slept = 0;

	lane_collect(lane);
	if (!w->done && deadline)
		lane_spin(lane);
	for (;;) {
		lane_collect(lane);
		if (w->done)
			return 0;
		if (slept)
			return slept;
		if (lane->dead)
			return lane->dead;
		slept = lane_sleep(lane, deadline);
	}
}

void lane_counters_add(struct lane_counters *to,
		       const struct lane_counters *from)
{
	to->submitted += __atomic_load_n(&from->submitted, __ATOMIC_RELAXED);
	to->completed += __atomic_load_n(&from->completed, __ATOMIC_RELAXED);
	to->doorbells += __atomic_load_n(&from->doorbells, __ATOMIC_RELAXED);
	to->wakeups += __atomic_load_n(&from->wakeups, __ATOMIC_RELAXED);
	to->spurious_wakeups +=
		__atomic_load_n(&from->spurious_wakeups, __ATOMIC_RELAXED);
	to->bytes_copied +=
		__atomic_load_n(&from->bytes_copied, __ATOMIC_RELAXED);
}
