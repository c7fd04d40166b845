/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vtoe.h - the native interface of libvtoe
 *
 * In the manner of liburing: get an entry, fill it, submit, wait for its
 * completion. Entries and completions are those of the wire contract
 * (vtoe_lane.h); the library adds the connection, memory, and the blocking
 * helpers.
 *
 * Objects
 *   struct vtoe       one connection to a backend: a device page, a control
 *                     ring, one stretch of shared memory (the arena)
 *   struct vtoe_lane  a submission and a completion queue
 *
 * Threads: a struct vtoe may be used by many threads (its control calls are
 * locked inside). A lane is one thread's at a time: give each thread its own,
 * or open it with VTOE_LANE_LOCKED and hold vtoe_lane_lock() around
 * get_sqe..submit and peek..seen; the blocking helpers lock by themselves.
 *
 * Errors: functions return 0 or a count, or a negated errno; pointers are NULL
 * with errno set. Nothing here prints, exits, or installs a signal handler.
 *
 * Fork: a context belongs to the process that opened it. In the child call
 * vtoe_forget(), which frees without telling the backend, and open a new one;
 * hand streams over with SHARE and ADOPT.
 *
 * When the backend dies, every lane is dead: pending requests complete with
 * -ENOTCONN (made by the library), submit and wait return -ENOTCONN. Open a
 * new context to go on.
 */
#ifndef VTOE_H
#define VTOE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <vtoe_control.h>
#include <vtoe_device.h>
#include <vtoe_lane.h>

#ifdef __cplusplus
extern "C" {
#endif
/* the library itself is compiled with hidden symbols */
#pragma GCC visibility push(default)

struct vtoe;
struct vtoe_lane;

/* -- connection ---------------------------------------------------------- */

struct vtoe_params {
	const char *path;  /* the device's socket, or /dev/vtoeN; NULL:
			    * $VTOE_SOCKET, else the only /dev/vtoe*, else the
			    * only socket in /run/vtoe */
	const char *name;  /* of the program, for `vtoectl sockets`; NULL:
			    * program_invocation_short_name */
	int timeout_ms;	   /* of the handshake, 0: 2000; and of answers that
			    * the backend owes at once, 0: 10000 */
	size_t cache_bytes; /* most that vtoe_register() keeps registered at
			     * once; 0: half of the shared memory */
	size_t direct_min; /* the blocking helpers register memory of at least
			    * so many bytes, and copy less; 0: 4096, in a guest
			    * 16384 */
	unsigned flags;	   /* VTOE_OPEN_* */
};

/* In a guest, the blocking helpers register only memory that fills its pages:
 * the backend never has a page with anything else in it. */
#define VTOE_OPEN_WHOLE_PAGES 1u

/*
 * TCP in this process, over the device's TTO service: what the backend has
 * received comes here as segments, and no other process is switched to on its way.
 * A thread of the library goes on with it meanwhile. vtoe_close() waits until the
 * peers have what was sent, for VTOE_DRAIN_SECONDS at most; what is under way when
 * the process ends without it is lost. In a child of fork the streams are the
 * parent's, and end with it: they can be shared with it as long. Errors of its
 * own: -EOPNOTSUPP: the device does not offer TTO; -ELIBACC: the module
 * vtoe-inside.so is not installed.
 */
#define VTOE_OPEN_TTO 2u

/* Connects, maps, says hello. -ENOENT: no backend; -ENOTUNIQ: several devices
 * and no path; -EACCES: not allowed; -EPROTO: not a vtoe backend; -ETIMEDOUT:
 * it does not answer; -EUSERS: its quota of peers is used up; -ECONNRESET: it
 * hung up without saying why. */
int vtoe_open(struct vtoe **ctx, const struct vtoe_params *params);
void vtoe_close(struct vtoe *ctx);
void vtoe_forget(struct vtoe *ctx);
/* The device's page: addresses, MTU, limits. Valid until vtoe_close; status,
 * link and MTU in it are as of this call. */
const struct vtoe_device_page *vtoe_device(const struct vtoe *ctx);
/* 1 while the backend lives. */
int vtoe_alive(const struct vtoe *ctx);
/* Becomes readable (POLLHUP) when the backend dies: add it to an event loop. */
int vtoe_control_fd(const struct vtoe *ctx);
/* The event descriptor that wakes the backend: for programs that must know
 * which descriptors are the library's. */
int vtoe_doorbell_fd(const struct vtoe *ctx);

/* -- memory -------------------------------------------------------------- */

#define VTOE_READ VTOE_REGION_READ   /* the backend may send from it */
#define VTOE_WRITE VTOE_REGION_WRITE /* the backend may receive into it */

/* Memory of the arena, page-aligned, already registered for both rights.
 * -> address; NULL with errno ENOMEM when the arena is full. */
void *vtoe_alloc(struct vtoe *ctx, size_t bytes);
void vtoe_free(struct vtoe *ctx, void *at);

/*
 * Registers the caller's own memory, through the registration cache: memory
 * inside a registration that has the rights costs a look-up. The cache is
 * bounded in bytes and in number, and evicts the least recently used one that no
 * request names.
 *
 * On the local port the pages of [at, at+bytes) are replaced by shared ones
 * with the same content, so `at` and `bytes` must be multiples of the page size,
 * nobody may write there during the call, and the memory must be private
 * anonymous; it is shared with children of a later fork. After an eviction its
 * pages stay where they are until vtoe_unregister; registering them again copies
 * nothing.
 *
 * In a guest (/dev/vtoeN) the pages are pinned where they are and granted to the
 * backend, for VTOE_READ alone so that it cannot write. Any address and size,
 * and any memory that can be pinned: the pages that the bytes lie in are
 * registered whole, so the backend, if it is hostile, can reach what else is in
 * the first and the last. What is unmapped, or replaced by other pages, is
 * dropped from the cache by itself. A child of fork cannot use or make
 * registrations.
 *
 * -EINVAL: alignment, or not private anonymous memory (local port); -ENOMEM: over
 * RLIMIT_MEMLOCK or the device's limit; -E2BIG: more than one registration can
 * have; -EDQUOT, -ENOSPC: the backend's or the driver's limit; -EFAULT: memory
 * that cannot be registered; -EPERM: another process's context.
 */
int vtoe_register(struct vtoe *ctx, void *at, size_t bytes, unsigned rights);
/* Before the memory is unmapped or freed. Waits until no request names it;
 * the memory is private again afterwards, its content kept. Needed on the local
 * port; in a guest it ends the pinning early. */
int vtoe_unregister(struct vtoe *ctx, void *at, size_t bytes);

/* The memory was unmapped, or perhaps something else is mapped there by now:
 * drops what was registered in [at, at+bytes). Pages that are still the shared
 * ones become private, all else is left alone. For any memory and alignment;
 * cheap when nothing was registered there. */
int vtoe_invalidate(struct vtoe *ctx, void *at, size_t bytes);

/* {key, offset} of an address in arena or registered memory; -EFAULT if any
 * byte of it is not. This is the virtual-address form (MECHANISMS O2). */
int vtoe_translate(struct vtoe *ctx, const void *at, size_t bytes,
		   uint64_t *key, uint64_t *offset);
/* The address of {key, offset}, of length bytes; NULL if there is none: how a
 * completion's memory is found. */
void *vtoe_address_of(struct vtoe *ctx, uint64_t key, uint64_t offset,
		      size_t length);

/* -- lanes --------------------------------------------------------------- */

#define VTOE_LANE_LOCKED 1u

/* sq and cq entries: powers of two, 0 for a default. */
int vtoe_lane_open(struct vtoe *ctx, struct vtoe_lane **lane, unsigned sq,
		   unsigned cq, unsigned flags);
void vtoe_lane_close(struct vtoe_lane *lane);
void vtoe_lane_lock(struct vtoe_lane *lane);
void vtoe_lane_unlock(struct vtoe_lane *lane);
/* Why the backend parked the lane: an enum vtoe_violation, 0 if it did not. */
unsigned vtoe_lane_violation(const struct vtoe_lane *lane);

/* The next free entry, zeroed; NULL when the queue is full: submit, and wait
 * for a completion or with vtoe_wait_sqe(). */
struct vtoe_sqe *vtoe_get_sqe(struct vtoe_lane *lane);
/* Waits until vtoe_get_sqe() has an entry; submits first. Completions that come
 * meanwhile are kept for later peeks. -> 0, -ETIME, -EINTR, -ENOTCONN. */
int vtoe_wait_sqe(struct vtoe_lane *lane, int timeout_ms);
/* Publishes what was got; rings the doorbell if the backend sleeps. -> count */
int vtoe_submit(struct vtoe_lane *lane);
/* The next completion, without waiting: 1 and *cqe, or 0, or -ENOTCONN. */
int vtoe_peek_cqe(struct vtoe_lane *lane, struct vtoe_cqe **cqe);
/* Spins shortly, then sleeps. timeout_ms -1: for ever. -> 0, -ETIME, -EINTR,
 * -ENOTCONN. Submits first. */
int vtoe_wait_cqe(struct vtoe_lane *lane, struct vtoe_cqe **cqe,
		  int timeout_ms);
/* The completion that peek or wait returned has been read. */
void vtoe_cqe_seen(struct vtoe_lane *lane);

/* For event loops: the descriptor becomes readable when completions come,
 * after vtoe_lane_arm(), which returns 1 when some are there already (then do
 * not sleep). vtoe_lane_disarm() after waking. */
int vtoe_lane_fd(const struct vtoe_lane *lane);
int vtoe_lane_arm(struct vtoe_lane *lane);
void vtoe_lane_disarm(struct vtoe_lane *lane);
/* From the next arming or wait on: shall completions of quiet requests
 * (VTOE_SQE_QUIET) wake too? 0: no, which is so at the start. */
void vtoe_lane_want_all(struct vtoe_lane *lane, int all);

/* Microseconds that wait spins before it sleeps; default 0 on one processor,
 * else 20. */
void vtoe_lane_set_spin(struct vtoe_lane *lane, unsigned usec);

/* -- filling entries ----------------------------------------------------- */

static inline void vtoe_sqe_set(struct vtoe_sqe *sqe, enum vtoe_op op,
				uint32_t stream, uint64_t user_data)
{
	sqe->op = (vtoe_u8)op;
	sqe->stream = stream;
	sqe->user_data = user_data;
}

/*
 * sqe->flags VTOE_SQE_QUIET: the completion, if the request succeeds, wakes nobody
 * who sleeps (vtoe_wait_cqe(), the lane's descriptor); it is found with the next
 * one that does. For a SEND in front of the RECV of its answer, an OPEN in front
 * of its CONNECT: each wake-up saved is a system call or two, and in a guest an
 * interrupt. Not for what is waited for alone, unless vtoe_lane_want_all(); a long
 * send, which may go without a copy, can complete after its answer. Without effect
 * on a backend that does not offer VTOE_F_QUIET.
 */
/* Names memory; -EFAULT if it is not arena or registered memory. */
int vtoe_sqe_memory(struct vtoe *ctx, struct vtoe_sqe *sqe, const void *at,
		    size_t bytes);
/* sockaddr <-> address; -EAFNOSUPPORT, -EINVAL. */
int vtoe_address_from(struct vtoe_address *to, const struct sockaddr *from,
		      socklen_t len);
socklen_t vtoe_address_to(const struct vtoe_address *from, struct sockaddr *to,
			  socklen_t room);

/* -- blocking helpers ---------------------------------------------------- */
/*
 * Each submits and waits for its own completion; completions of other requests
 * of the lane are kept and returned by later peeks. timeout_ms -1: for ever;
 * after a time-out the request is cancelled and -ETIME returned; after a signal
 * likewise -EINTR. user_data whose upper 16 bits are all ones is theirs.
 */
int vtoe_stream_open_connect(struct vtoe_lane *lane, uint32_t *stream,
			     const struct sockaddr *to, socklen_t len,
			     int timeout_ms);
int vtoe_stream_open_listen(struct vtoe_lane *lane, uint32_t *stream,
			    const struct sockaddr *at, socklen_t len,
			    int backlog);
int vtoe_stream_accept(struct vtoe_lane *lane, uint32_t listener,
		       uint32_t *stream, struct sockaddr *peer,
		       socklen_t *len, int timeout_ms);
/* All bytes; fewer if an error or the time-out came after some were sent; that
 * error if none was. Memory outside arena and registrations is copied through
 * the arena; in a guest it is registered on first use if it is large enough. */
ssize_t vtoe_stream_send(struct vtoe_lane *lane, uint32_t stream,
			 const void *from, size_t bytes, int timeout_ms);
/* At least one byte, or 0 at end of stream. Memory that is large enough is
 * registered on first use and filled directly, on the local port if it is
 * page-aligned; other memory is copied through the arena. */
ssize_t vtoe_stream_recv(struct vtoe_lane *lane, uint32_t stream, void *into,
			 size_t bytes, int timeout_ms);
int vtoe_stream_setsockopt(struct vtoe_lane *lane, uint32_t stream, int level,
			   int name, const void *value, socklen_t len);
int vtoe_stream_getsockopt(struct vtoe_lane *lane, uint32_t stream, int level,
			   int name, void *value, socklen_t *len);
int vtoe_stream_shutdown(struct vtoe_lane *lane, uint32_t stream, int how);
int vtoe_stream_close(struct vtoe_lane *lane, uint32_t stream, int abort);

/* -- counters ------------------------------------------------------------ */

struct vtoe_counters {
	uint64_t registrations, deregistrations; /* REGION_ADD, REGION_DEL */
	uint64_t cache_hits, cache_misses, cache_evictions;
	uint64_t registered_bytes;
	uint64_t submitted, completed;
	uint64_t doorbells, wakeups, spurious_wakeups;
	uint64_t bytes_copied; /* by the library, through the arena */
	uint64_t cache_invalidations; /* registrations dropped because the
				       * memory was unmapped or replaced */
	uint64_t registrations_refused; /* transfers that were copied because
					 * their memory could not be
					 * registered: RLIMIT_MEMLOCK, limits */
};
void vtoe_get_counters(const struct vtoe *ctx, struct vtoe_counters *to);

/* The text of an enum vtoe_violation, or of an enum vtoe_fallback. */
const char *vtoe_violation_text(unsigned violation);
const char *vtoe_fallback_text(unsigned fallback);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
