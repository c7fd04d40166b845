/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * internal.h - the parts of libvtoe as they see one another
 *
 *   connect.c  the handshake, the mapping, the life of a context
 *   control.c  requests on the control ring
 *   arena.c    the page allocator of the shared memory
 *   share.c    application memory whose pages are replaced by shared ones
 *   pin.c      application memory that a guest's driver pins and grants
 *   maps.c     what the kernel says is mapped
 *   cache.c    registrations: which memory the backend may touch, by key
 *   track.c    the requests under way on a lane
 *   lane.c     the queue verbs, waiting
 *   lane_open.c  the life of a lane
 *   memory.c   blocks of the arena; addresses and {key, offset}
 *   stream.c   the blocking helpers; transfer.c those that move bytes
 *   text.c     addresses and texts
 *   wait.c     time, conditions, sleeping
 *   inside.c   a context whose TCP is in this process
 *
 * Everything in the shared memory is written by somebody else: a value is
 * loaded once into private memory, checked, and only then used. The library
 * keeps nothing of its own there but what the backend must read.
 *
 * Locks, outermost first: change (cache.c) > lane > table (cache.c);
 * control.lock, arena.lock and lanes_lock are leaves. No lock is held while
 * a thread sleeps, except `change`, around control requests that the backend
 * answers at once.
 */
#ifndef VTOE_INTERNAL_H
#define VTOE_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <vtoe_ring.h>

#include "vtoe.h"
#include "wait.h"

/* user_data with these upper bits belongs to the blocking helpers */
#define LIBRARY_TAG 0xffff000000000000ull

#define NO_REGION UINT32_MAX
/* a backend that needs longer for an answer is taken for dead */
#define ANSWER_TIMEOUT_MS 10000
/* aborted connections take their time */
#define LANE_DEL_PATIENCE 3
#define PIN_GUESSES 64u /* a power of two */

/* -- connect.c, connect_device.c ------------------------------------------ */

/* Our own copy of the device page, checked; memory is mapped. */
int context_read_device(struct vtoe *ctx);
/* The only /dev/vtoeN; -ENOENT, -ENOTUNIQ. */
int device_find(char *path, size_t room);
int device_is(const char *path);
/* Everything up to HELLO. */
int device_connect(struct vtoe *ctx, const char *path);
struct sleep_on;
/* The same as context_sleep(), there. */
int device_sleep(struct vtoe *ctx, const struct sleep_on *on,
		 uint64_t deadline);
/* How many notifications there were; 0 on the local port. */
uint32_t context_events(const struct vtoe *ctx);
/* A descriptor that the library keeps, fresh from the kernel -> its number from
 * now on. */
int context_own_fd(int fd);

/* -- arena.c ------------------------------------------------------------- */

/* Pages [first, pages) of the shared memory. */
struct arena {
	pthread_mutex_t lock;
	uint64_t *used;	 /* a bit a page */
	uint64_t *last;	 /* the last page of a block */
	uint32_t first;
	uint32_t pages;
	uint32_t next;	 /* where the next search starts */
	uint32_t free;
};

int arena_init(struct arena *a, uint64_t from, uint64_t bytes);
void arena_free_tables(struct arena *a);
/* -> offset in the shared memory, or 0 */
uint64_t arena_alloc(struct arena *a, size_t bytes);
/* Frees a block by its offset. -> its bytes, 0 if no block starts there. */
size_t arena_release(struct arena *a, uint64_t offset);
/* Frees pages of a block one by one; the rest of the block stays. */
void arena_release_part(struct arena *a, uint64_t offset, size_t bytes);

/* -- control.c ----------------------------------------------------------- */

struct control_call {
	struct control_call *next;
	uint64_t user_data;
	bool done;
	struct vtoe_ctl_completion completion;
};

struct control {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct vtoe_ring requests;
	struct vtoe_ring completions;
	struct control_call *calls; /* that wait for their completion */
	uint64_t last_user_data;
	bool reader; /* a thread is asleep on the event descriptor */
};

int control_init(struct vtoe *ctx, uint32_t entries);
/* Sends a request and waits for its completion. 0, or -ENOTCONN, -EPROTO,
 * -ETIMEDOUT; the backend's own verdict is in completion->result.
 * timeout_ms -1: for ever. */
int control_request(struct vtoe *ctx, struct vtoe_ctl_request *request,
		    struct vtoe_ctl_completion *completion, int timeout_ms);

/* -- share.c ------------------------------------------------------------- */

/* Application pages that are pages of the shared memory. */
struct extent {
	uintptr_t at;
	size_t bytes;
	uint64_t offset;
	uint64_t made; /* share.made when it was made */
};

struct share {
	struct extent *extents; /* by address, disjoint */
	size_t count;
	size_t room;
	uint64_t made; /* calls of share_pages */
};

/* The callers hold cache.change; those of share_find hold cache.table, which
 * guards the array. */
/* Gives the pages back. Those that are still mapped there become private ones
 * with the same content; what else is mapped there is left alone. */
int share_end(struct vtoe *ctx, uintptr_t at, size_t bytes);
/* The first extent that ends after `at`; count if none. */
size_t share_find(const struct share *s, uintptr_t at);

struct region;

/*
 * How memory of the application becomes reachable for the backend: a table for
 * each of the two ways. cache.c keeps what they make, and knows no more.
 */
struct memory_ops {
	bool any_alignment; /* of what is registered */
	/* Makes r->at, bytes and rights reachable, and sets r->key; `change` is
	 * held. */
	int (*add)(struct vtoe *ctx, struct region *r);
	/* Takes the key away; returns when nothing under way names it.
	 * timeout_ms -1: for ever. */
	int (*remove)(struct vtoe *ctx, uint64_t key, int timeout_ms);
	/* No registration reaches into [at, at+bytes) any more; NULL: nothing
	 * is to be done then. */
	int (*give_back)(struct vtoe *ctx, uintptr_t at, size_t bytes);
	/* Is this a process that must not register? NULL: never. */
	bool (*lost)(const struct vtoe *ctx);
	/* Are the pages that were registered still those that are mapped
	 * there? `table` is held. NULL: nobody can tell. */
	bool (*valid)(const struct vtoe *ctx, const struct region *r);
	/* For the blocking helpers: how many bytes from `at` on the backend can
	 * read or write in place; registers them if that is worth it. 0: copy. */
	size_t (*reach)(struct vtoe *ctx, void *at, size_t bytes,
			unsigned rights);
};

extern const struct memory_ops share_ops;

/* -- pin.c --------------------------------------------------------------- */

struct vtoe_ioc_register;

/* The two calls of the guest's driver (vtoe_ioctl.h); tests have a driver of
 * their own. */
struct driver_ops {
	int (*add)(struct vtoe *ctx, struct vtoe_ioc_register *q);
	int (*remove)(struct vtoe *ctx, struct vtoe_ioc_register *q);
};

struct pin {
	const struct driver_ops *driver;
	const struct vtoe_state_page *state; /* the driver's */
	uint32_t *own;	  /* a page that is zero in a child of fork */
	size_t most;	  /* bytes of one registration */
	uint64_t seen;	  /* generation at which nothing stale was left */
	uint32_t refused; /* in a row */
	uint32_t skip;	  /* so many more transfers are not worth a try */
	uint64_t copied;  /* transfers copied because of a refusal */
};

extern const struct memory_ops pin_ops;

/* Fills ctx->pin; the state page is mapped by the caller. */
int pin_init(struct vtoe *ctx, const struct driver_ops *driver, size_t most);
void pin_free(struct vtoe *ctx);

/* -- maps.c -------------------------------------------------------------- */

/* Is [at, at+bytes) readable and writable private anonymous memory that may be
 * replaced? -> 0, -EINVAL: it is not, -EFAULT: nothing is mapped, -errno */
int maps_check_private(uintptr_t at, size_t bytes);
/* The first part of [at, at+bytes) that maps the file with this inode, such
 * that `at` would be its byte `offset`. -> its bytes, 0: none, and *found */
size_t maps_find_shared(uintptr_t at, size_t bytes, uint64_t inode,
			uint64_t offset, uintptr_t *found);

/* -- cache.c ------------------------------------------------------------- */

/*
 * One registration. The structure is never freed while the context lives, so
 * that a lane can take a reference without a lock: raise `users`, then look
 * at `key` again; who removes clears `key` first and then looks at `users`.
 */
struct region {
	uint64_t key;	 /* 0: free, or being removed */
	uint32_t users;	 /* requests under way that name it */
	uint32_t rights;
	uint32_t slot;	 /* pin.c: its place in the state page */
	uintptr_t at;	 /* what was asked for, to the byte; the region */
	size_t bytes;	 /* itself is of whole pages: region_base() */
	uint64_t touched; /* when it was used last, in look-ups */
};

struct cache {
	pthread_mutex_t change; /* one thread adds or removes at a time */
	pthread_mutex_t table;	/* guards what follows; never held long */
	struct region *regions;
	uint32_t *order;	/* of regions in use, by address */
	uint32_t count;
	uint32_t room;
	size_t longest;		/* bytes of the longest ever */
	size_t bytes;		/* in all */
	size_t limit;
	uint64_t clock;
	struct share share;
	uint64_t registrations, deregistrations, hits, misses, evictions;
	uint64_t invalidations;
};

static inline uintptr_t page_down(uintptr_t at)
{
	return at / VTOE_PAGE * VTOE_PAGE;
}

static inline uintptr_t page_up(uintptr_t at)
{
	return page_down(at + VTOE_PAGE - 1);
}

/* The first byte of the region: offset 0. */
static inline uintptr_t region_base(const struct region *r)
{
	return page_down(r->at);
}

static inline size_t region_span(const struct region *r)
{
	return page_up(r->at + r->bytes) - region_base(r);
}

int cache_init(struct vtoe *ctx, uint32_t max_regions, size_t limit);
void cache_free(struct vtoe *ctx);
/* With `table` held: a region with these rights that covers [at, at+bytes), or
 * the one with this key; NULL if there is none. */
struct region *cache_find(struct vtoe *ctx, uintptr_t at, size_t bytes,
			  unsigned rights);
struct region *cache_find_key(struct cache *c, uint64_t key);
/* How many of the bytes from `at` on one region with these rights has. Counts
 * a hit if it is at least `enough`. */
size_t cache_reach(struct vtoe *ctx, uintptr_t at, size_t bytes,
		   unsigned rights, size_t enough);
/* Registers what is not registered yet; arguments are checked. */
int cache_register(struct vtoe *ctx, uintptr_t at, size_t bytes,
		   unsigned rights);
/* Drops the least recently used registration, of *bytes; `change` is held. */
int cache_evict(struct vtoe *ctx, size_t *bytes);
/* Drops those that are not valid any more. -> false: one is in use still */
bool cache_drop_stale(struct vtoe *ctx);
/* Takes a reference to the region with this key. -> its index or NO_REGION */
uint32_t cache_pin(struct vtoe *ctx, uint64_t key, uint32_t guess);
void cache_unpin(struct vtoe *ctx, uint32_t region);
/* {key, offset} of memory that has all these rights; -EFAULT */
int cache_translate(struct vtoe *ctx, const void *at, size_t bytes,
		    unsigned rights, uint64_t *key, uint64_t *offset);
/* All registered memory becomes private again, its content kept. */
void cache_make_private(struct vtoe *ctx);
void cache_get_counters(struct vtoe *ctx, struct vtoe_counters *to);
/* Is the memory a receive would fill still the shared one? Overwrites a word
 * of every page of it. False: it was mapped anew. */
bool cache_still_shared(struct vtoe *ctx, void *at, size_t bytes);

/* -- track.c ------------------------------------------------------------- */

/* What the library must remember of a request that is under way. */
struct tracked {
	uint64_t user_data;
	uint64_t key;
	uint64_t offset;
	uint32_t length;
	uint32_t stream;
	uint32_t region; /* pinned, or NO_REGION */
	uint32_t next;	 /* in its bucket, or of the free ones */
	uint32_t sequence;
	uint8_t op;
};

#define NOT_TRACKED UINT32_MAX

struct track {
	struct tracked *entries;
	uint32_t *buckets;
	uint32_t size; /* a power of two, of both */
	uint32_t count;
	uint32_t free;
	uint32_t sequence;
};

int track_init(struct track *t, uint32_t size);
void track_free(struct track *t);
/* Room for `want` entries more. */
int track_reserve(struct track *t, uint32_t want);
void track_add(struct track *t, const struct vtoe_sqe *sqe, uint32_t region);
/* The request that a completion belongs to, or NOT_TRACKED. */
uint32_t track_match(const struct track *t, const struct vtoe_cqe *cqe);
void track_remove(struct track *t, uint32_t index);
/* The oldest one, or NOT_TRACKED. Slow: for when all is over. */
uint32_t track_oldest(const struct track *t);

/* -- lane.c -------------------------------------------------------------- */

struct lane_counters {
	uint64_t submitted, completed;
	uint64_t doorbells, wakeups, spurious_wakeups;
	uint64_t bytes_copied;
};

/* A piece of the arena for one copy at a time. */
struct bounce {
	struct bounce *next;
	char *at;
};

/* A blocking helper's request. */
struct waiter {
	struct waiter *next;
	uint64_t user_data;
	uint8_t op;
	bool done;
	struct vtoe_cqe cqe;
};

struct vtoe_lane {
	struct vtoe *ctx;
	struct vtoe_ring sq;
	struct vtoe_ring cq;
	struct vtoe_sqe *staged; /* sq.size of them, until submit */
	struct track track;
	int event_fd;
	int dead; /* 0, or the negated errno of every call from now on */
	bool dying; /* the hang-up was seen; the rest is still to be read */
	uint32_t violation; /* why it was parked: enum vtoe_violation */
	bool current_valid;
	bool armed;
	bool bell;    /* published, and the backend is still to be told */
	bool sleeper; /* a thread is asleep on event_fd */
	bool grq;     /* generic buffers were given: completions without a
		       * request may come */
	uint32_t idle_peeks;
	uint32_t pin_guess[PIN_GUESSES]; /* the region of a key, likely */
	struct vtoe_cqe current; /* what peek returned */

	struct vtoe_cqe *kept; /* for later peeks; a power of two */
	uint32_t kept_size, kept_head, kept_tail;

	struct waiter *waiters;
	uint64_t last_tag;
	struct bounce *bounce; /* that are free */

	uint32_t spin_usec;
	uint32_t spin_window; /* adapted, 0 .. spin_usec */
	uint32_t spin_skipped;
	bool spin_trial; /* the window is there to be tried */

	uint32_t id;
	uint32_t vector;
	uint64_t rings; /* offset of the block that holds them */
	unsigned flags;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct vtoe_lane *next_lane;
	struct lane_counters counters;
};

/* For the blocking helpers; the lane's lock is held. */
/* An entry, waiting for room; NULL: *error. */
struct vtoe_sqe *lane_get_sqe(struct vtoe_lane *lane, uint64_t deadline,
			      int *error);
/* Names the entry as the waiter's. */
void lane_add_waiter(struct vtoe_lane *lane, struct waiter *w,
		     struct vtoe_sqe *sqe);
void lane_drop_waiter(struct vtoe_lane *lane, struct waiter *w);
/* -> 0 when w->done, else -ETIME, -EINTR */
int lane_wait(struct vtoe_lane *lane, struct waiter *w, uint64_t deadline);
void lane_fail(struct vtoe_lane *lane, int error);
/* Frees the structure; the backend is not told. */
void lane_free(struct vtoe_lane *lane);
void lane_counters_add(struct lane_counters *to,
		       const struct lane_counters *from);

static inline void lane_lock_if(struct vtoe_lane *lane)
{
	if (lane->flags & VTOE_LANE_LOCKED)
		pthread_mutex_lock(&lane->lock);
}

static inline void lane_unlock_if(struct vtoe_lane *lane)
{
	if (lane->flags & VTOE_LANE_LOCKED)
		pthread_mutex_unlock(&lane->lock);
}

/* -- stream.c, transfer.c; the lane is locked ----------------------------- */

/* Submits a copy of *request. */
int stream_start(struct vtoe_lane *lane, const struct vtoe_sqe *request,
		 struct waiter *w, uint64_t deadline);
/* Asks the backend to stop it; takes effect with the next submit. */
void stream_stop(struct vtoe_lane *lane, uint32_t stream,
		 const struct waiter *w);
/* Waits for it; cancels it after the deadline or a signal. -> its result */
int stream_finish(struct vtoe_lane *lane, uint32_t stream, struct waiter *w,
		  uint64_t deadline);
/* Frees the structures of the lane's free bounces. */
void bounce_free(struct vtoe_lane *lane);

/* Counts with a plain store: a lane's counters have one writer. */
static inline void lane_count(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/* -- connect.c ----------------------------------------------------------- */

struct vtoe {
	char *memory;
	size_t bytes;  /* of the shared memory that the device has */
	size_t mapped; /* of its descriptor */
	bool on_device; /* /dev/vtoeN, of a guest */
	int socket;
	int memory_fd;
	uint64_t memory_inode;
	int doorbell;
	int *vectors; /* 0 .. vector_count-1 */
	uint32_t vector_count;
	int dead; /* 0 or a negated errno; atomic */
	pid_t pid; /* that opened it */
	const struct memory_ops *memory_ops;
	struct pin pin;
	bool whole_pages; /* VTOE_OPEN_WHOLE_PAGES */
	uint64_t arena_key;
	uint64_t arena_start; /* offset of the arena region */
	size_t direct_min;
	int answer_ms;
	struct vtoe_device_page device; /* our copy */
	uint64_t features;
	struct arena arena;
	struct control control;
	struct cache cache;
	pthread_mutex_t lanes_lock;
	struct vtoe_lane *lanes;
	uint8_t *vectors_used;
	struct lane_counters retired; /* of lanes that were closed */
	const struct inside_ops *inside_ops;
	struct inside *inside; /* the stack in this process, or NULL */
};

/* Marks the context dead and wakes what sleeps on it. */
void context_fail(struct vtoe *ctx, int error);
/* Looks whether the backend hung up. -> 0 or the negated errno */
int context_check(struct vtoe *ctx);

static inline int context_dead(const struct vtoe *ctx)
{
	return __atomic_load_n(&ctx->dead, __ATOMIC_RELAXED);
}

/* -- inside.c ------------------------------------------------------------ */

/* A stack in this process, to the device (NULL: the only one). -> 0 or -errno */
int context_inside_open(struct vtoe *ctx, const char *device);
/* `forget`: it is the parent's. */
void context_inside_end(struct vtoe *ctx, bool forget);
/* context_sleep() there. */
int context_inside_sleep(struct vtoe *ctx, const struct sleep_on *on,
		 uint64_t deadline);

/* -- small helpers ------------------------------------------------------- */

#define FOREVER UINT64_MAX

uint64_t clock_ns(void);
/* timeout_ms -1: FOREVER */
uint64_t deadline_after(int timeout_ms);
/* Until then, 0 if it is over; a tick more if it is long. */
uint64_t time_left(uint64_t deadline);
/* What a thread sleeps on. On a guest's device, that is the number of events:
 * `seen` is context_events() from before the ring was armed. */
struct sleep_on {
	int fd;	       /* the vector's; drained when it has woken us */
	uint32_t seen;
	bool bell;     /* the doorbell is to be rung first */
	struct vtoe_ring *ring; /* that is armed; or NULL */
};

/* Sleeps until the backend notifies, the socket hangs up, or the deadline.
 * -> 0, -ETIME, -EINTR, or the context's error. */
int context_sleep(struct vtoe *ctx, const struct sleep_on *on,
		  uint64_t deadline);
/* Processors that this process may run on. */
unsigned processors(void);
void condition_init(pthread_cond_t *condition);
/* Waits on a condition_init()ed condition; -ETIME after the deadline. */
int condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock,
		   uint64_t deadline);
/* There is something for the backend in a ring. */
void context_ring(struct vtoe *ctx);

static inline bool power_of_two(uint64_t n)
{
	return n && !(n & (n - 1));
}

#endif
