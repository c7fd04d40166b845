/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * path.h - what the files of the data path offer each other
 *
 * device.c  the turn: serve lanes, submit, sleep, reap, flush
 * conn.c    a connection's life and its control ring
 * lane.c    lane_turn(), completions, requests
 * stream.c  streams, holds, tokens
 * toe.c     the table of operations and those that are the same everywhere
 * toe_grq.c generic buffers: a lane's pool, the mode of a stream
 *
 * and the engine, which knows TCP. Here it is the kernel's sockets:
 *
 * stream_socket.c   a stream's making, drain and close
 * toe_socket.c      the simple operations
 * toe_recv.c, toe_generic.c   receive into posted, into generic buffers
 * toe_send.c, toe_wait.c      send, accept/connect/poll
 * toe_uring.c       completions of the kernel's
 *
 * ulib/stack has another, and links the files above it with that.
 */
#ifndef VTOE_PATH_PATH_H
#define VTOE_PATH_PATH_H

#include "path/device.h"

/* What this backend offers, */
#define PATH_FEATURES                                                   \
	(VTOE_F_TOE | VTOE_F_GRQ | VTOE_F_SHARE | VTOE_F_REGION_LIST | \
	 VTOE_F_IPV6 | VTOE_F_QUIET)
/* But not to Xen's guests: what is granted is mapped once, its pages cannot be
 * put in another order. */
#define PATH_WITHHELD_XEN VTOE_F_REGION_LIST
/* and this device of it. */
static inline uint64_t path_features(const struct device *d)
{
	return (PATH_FEATURES & ~d->limits.withheld) |
	       (d->frames ? VTOE_F_TTO : 0);
}

/* -- device.c (used by the worker) -- */
int device_init(struct device *d, const struct device_limits *limits,
		struct vtoe_stats *stats);
void device_free(struct device *d);
/* Watches a descriptor of the caller's: its events come back from
 * device_turn() as bit `which` (0..3). Multishot: level is the caller's. */
void device_watch(struct device *d, int fd, unsigned which);
/* The same by reading it, O_NONBLOCK: with the bit comes the result, bytes or
 * -errno, in d->caller_result[which]. Once. */
void device_watch_read(struct device *d, int fd, void *into, unsigned bytes,
		       unsigned which);
/* Writes with the next submission, to an O_NONBLOCK descriptor that takes all it
 * is given; `from` is read until then. What is queued behind it comes after. */
void device_write(struct device *d, int fd, const void *from, unsigned bytes);
/*
 * One turn: serves what is ready, hands it to the kernel, sleeps if `sleep` and
 * nothing is ready, takes what the kernel completed, publishes. -> a bit mask
 * of the caller's descriptors that had events. *busy: work was done.
 */
unsigned device_turn(struct device *d, uint64_t now_us, bool sleep, bool *busy);
/* The same by a thread that does not watch descriptors, beside the one that does
 * (limits.threads), but not at the same time: it takes nothing from the kernel.
 * -> false: the other thread is to go on. When it has to, is in d->wake_us. */
bool device_turn_beside(struct device *d, uint64_t now_us);
/* Nothing is ready, and its time has not come. */
bool device_is_idle(const struct device *d);
/* The clock that turns are told, microseconds. */
uint64_t device_clock_us(void);
void device_set_timer(struct device *d);

/* -- conn.c -- */
/* Takes over the link; NULL when out of memory. */
struct conn *conn_add(struct device *d, const struct port_link *link);
void conn_notify(struct conn *c, uint32_t vector);
/* Regions that the port made (link.ops->region_gone): memory mapped already,
 * and their removal, which completes there. 0, or -errno at once. */
int conn_region_add(struct conn *c, void *at, uint64_t bytes, uint32_t rights,
		    uint64_t *key);
int conn_region_remove(struct conn *c, uint64_t key, uint64_t user_data,
		       bool external);
/* The other end is gone (or has to go): drain, then free. */
void conn_leave(struct conn *c);
/* A doorbell: look at all of its rings. */
void conn_kick(struct conn *c);
void conn_park(struct conn *c, enum vtoe_violation why);
/* Serves its control ring once; called by device_turn. */
void conn_turn(struct conn *c);
void conn_event(struct conn *c, enum vtoe_event event, uint32_t lane,
		uint32_t value);
void conn_set_status(struct conn *c, enum vtoe_status status);
void conn_set_link(struct conn *c, enum vtoe_link link);
void conn_flush(struct conn *c);
bool conn_arm(struct conn *c);
void conn_watch(struct conn *c);
void conn_hangup(struct conn *c);
/* Lets go of those that never said HELLO; true if some may still do. */
bool conn_tick(struct device *d);
/* After a lane, a hold or a region of it went: frees what waited for that. */
void conn_lane_gone(struct conn *c, struct lane *lane);
void conn_region_gone(struct conn *c, struct region *r);
void conn_try_free(struct conn *c);
void conn_free(struct conn *c);

/* -- lane.c -- */
void lane_init(struct lane *lane, struct conn *c, uint32_t id, uint32_t vector,
	       void *sq, uint32_t sq_entries, void *cq, uint32_t cq_entries);
/* Serves one lane; -> requests taken, or -EPROTO (parked). */
int lane_turn(struct lane *lane, uint32_t credit);
void lane_ready(struct lane *lane);
/* Asks to be woken for more; false if there is more already. */
bool lane_arm(struct lane *lane);
/* To be flushed at the end of the turn, also if nothing was posted: what waits for
 * room in the CQ asks for it then. */
void lane_dirty(struct lane *lane);
/* Publishes completions; notifies if the guest asked. */
void lane_flush(struct lane *lane);
void lane_park(struct lane *lane, enum vtoe_violation why);
/* Ends a lane: cancels, drops its holds, frees it when nothing is left. */
void lane_finish(struct lane *lane, bool abort);
void lane_try_free(struct lane *lane);
/* Room in the CQ for one completion that is not a request's last. */
bool lane_has_room(struct lane *lane);
/* ... for so many of them. */
bool lane_has_room_for(struct lane *lane, uint32_t count);
/* Posts at once, or behind what waits; `p` stays the lane's until then. */
void lane_post_pending(struct lane *lane, struct pending *p,
		       unsigned sqe_flags);
/* Posts at once; only where lane_has_room() was asked. `sqe_flags`: of the entry
 * that it answers. */
void lane_post(struct lane *lane, const struct vtoe_cqe *cqe,
	       unsigned sqe_flags);

struct request *request_new(struct lane *lane, struct stream *s,
			    const struct vtoe_sqe *sqe);
/* Completes it: flags and length as given; frees it. */
void request_finish(struct request *r, int32_t result, uint32_t flags);
/* Like it, with a completion prepared by the caller (user_data is set here). */
void request_finish_cqe(struct request *r, struct vtoe_cqe *cqe);
void request_cancel(struct request *r);
/* Checks and holds the memory that an entry names, for `rights`. */
int request_memory(struct lane *lane, const struct vtoe_sqe *sqe,
		   uint32_t length, uint32_t rights, struct region **region,
		   uint8_t **at);
/* Drops a region's hold, and ends its removal if that was the last. */
void region_put(struct conn *c, struct region *r);

/* -- stream.c -- */
/* Enters a stream, all zero but for what its engine has set, that the lane holds;
 * it is freed with free(). -EMFILE, -ENOMEM. */
int stream_enter(struct lane *lane, struct stream *s, unsigned family);
/* Finds a stream that the lane holds; -EBADF, -EACCES. */
int stream_find(struct lane *lane, uint32_t id, struct stream **stream);
struct hold *stream_hold_of(struct stream *s, struct lane *lane);
int stream_hold(struct stream *s, struct lane *lane);
/* Drops a lane's hold: its requests are cancelled (sends only if abort). */
void stream_unhold(struct hold *h, bool abort);
void stream_op_begin(struct stream *s);
/* A kernel operation came back; frees the stream if it was the last. */
void stream_op_end(struct stream *s);
/* Cancels the requests on one of its queues; of one lane, or of all (NULL). */
void stream_cancel_queue(struct list *queue, const struct lane *lane);
int stream_share(struct stream *s, uint8_t token[16]);
int stream_adopt(struct lane *lane, const uint8_t token[16],
		 struct stream **stream);
/* Expires tokens and drains, each half second; true while there are some. */
bool stream_tick(struct device *d);

/* -- toe.c -- */
/* Started: completes later, by its request. */
#define TOE_ASYNC 0x40000000
/* Done, and no completion is wanted. */
#define TOE_SILENT 0x40000001
/* Not now: the entry stays in the queue, and is looked at anew when who said so
 * makes the lane ready. It must do that some time. */
#define TOE_LATER 0x40000002

/* false: TOE_LATER. */
bool toe_start(struct lane *lane, const struct vtoe_sqe *sqe);

/* For engines. The memory of a SEND or RECV: -> 1, and it is held; else the result
 * of the operation. */
int toe_transfer_memory(struct lane *lane, const struct vtoe_sqe *sqe,
			uint32_t rights, struct region **region, uint8_t **at);
/* Must a RECV be filled before it completes? */
static inline bool toe_recv_is_whole(const struct request *r)
{
	return r->sqe.op_flags & VTOE_IO_WAITALL &&
	       !(r->sqe.op_flags & (VTOE_IO_PEEK | VTOE_IO_NONBLOCK));
}
/* GETOPT: bytes of the value that the guest wants, and the answer with `bytes`
 * of it. */
#define TOE_OPTION_MAX 256u
static inline uint32_t toe_option_wanted(const struct vtoe_sqe *sqe)
{
	return sqe->u.option.length < TOE_OPTION_MAX ? sqe->u.option.length :
						       TOE_OPTION_MAX;
}
int toe_option_answer(struct lane *lane, const struct vtoe_sqe *sqe,
		      struct vtoe_cqe *cqe, const uint8_t *value,
		      uint32_t bytes);
/* The oldest ACCEPT whose lane can take a connection, or NULL; lanes without room
 * are asked to tell us of some, and do not keep the others waiting. */
struct request *toe_accept_candidate(struct stream *s);

/* -- every engine: what the files above and below call -- */

/* An operation: -> its result, TOE_ASYNC, TOE_SILENT or TOE_LATER. */
typedef int toe_function(struct lane *lane, struct stream *s,
			 const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe);
toe_function toe_open, toe_bind, toe_connect, toe_listen, toe_accept, toe_send,
	toe_recv, toe_shutdown, toe_setopt, toe_getopt, toe_getname, toe_poll;

/* Once a turn, when everything that was ready has been served: starts what that
 * gathered. May set d->wake_us. */
void toe_issue(struct device *d, bool *busy);
/* A completion of the kernel's, for a tag of the engine's. */
void toe_complete(uint64_t tag, int32_t result, uint32_t flags);
/* Asks for the end of a request that is `busy`. */
void toe_cancel_started(struct request *r);
/* Everything queued is with the kernel; all of its answers were taken: quiet sends
 * that had none have succeeded. */
void toe_send_submitted(struct device *d);
void toe_send_settle(struct device *d);
/* A listener whose lanes may have room again. */
void toe_accept_next(struct stream *s);

/* No hold is left: what was submitted finishes, everything else ends. */
void stream_drain(struct stream *s);
/* Something ended: a draining stream may be able to close. */
void stream_drained(struct stream *s);
/* Looks at a draining one each half second; true: it still drains. */
bool stream_drain_on(struct stream *s);

/* Before the lane's first buffers; 0, -EDQUOT, -ENOMEM. */
int toe_generic_open(struct lane *lane);
/* A slot that is filled in is the engine's to fill from now on. */
void toe_generic_lend(struct generic_pool *g, uint16_t id);
void toe_generic_free(struct lane *lane);
void toe_generic_region_gone(struct lane *lane, struct region *r);
/* The mode is on: generic completions may follow that of its request. */
void toe_generic_begin(struct stream *s);
/* What kept a stream from its next generic completion has gone. */
void toe_generic_go_on(struct stream *s);
/* The mode is off: calls back what is under way. */
void toe_generic_cancel(struct stream *s);

/* -- toe_grq.c -- */
toe_function toe_grq_add, toe_grq_mode;
/* A lane holds the stream no more: ends its generic receive. */
void toe_generic_unhold(struct stream *s, const struct lane *lane);
/* Tries the lane's starved streams again. */
void toe_generic_feed(struct lane *lane);
/* Its completion, which waited for room, is in the CQ. */
void toe_generic_posted(struct stream *s);
/* For engines: `ids` is the room of free_ids, GENERIC_BUFFERS or more. */
int generic_pool_init(struct generic_pool *g, uint32_t ids);
/* With the holds of what is lent. */
void generic_pool_free(struct lane *lane);
void generic_free(struct generic_pool *g, uint32_t id);
/* A buffer is not out any more: given back, or its region is gone. */
void generic_forget(struct lane *lane, uint32_t id);
/* If nothing of it is under way any more: ends what waited for that. */
void generic_rest(struct stream *s);
/* `flags` besides VTOE_CQE_GRQ; b: what was filled, or NULL. */
void generic_post(struct stream *s, int32_t result, uint32_t flags,
		  const struct generic_buffer *b);
void generic_starve(struct stream *s);
static inline bool generic_may_take(const struct stream *s)
{
	return s->generic_out < s->generic_lane->generic.lent;
}

/* -- the kernel's sockets -- */

/* A stream for a socket; takes over fd on success. -EMFILE, -ENOMEM. */
int stream_new(struct lane *lane, int fd, unsigned family,
	       struct stream **stream);
void stream_abort(struct stream *s);
void stream_linger_done(struct stream *s);

void toe_recv_next(struct stream *s);
/* Before others look at the socket: readable means one byte again. */
void toe_recv_lowat_reset(struct stream *s);
void toe_recv_done(struct request *r, int32_t result, uint32_t flags);
/* Arms a stream's generic receive, or puts it on its lane's starved list. */
void toe_generic_arm(struct stream *s);
void toe_generic_done(struct stream *s, int32_t result, uint32_t flags);
void toe_send_next(struct stream *s);
void toe_send_done(struct send_batch *b, int32_t result, uint32_t flags);
void toe_accept_done(struct stream *s, int32_t result);
void toe_connect_done(struct request *r, int32_t result);
void toe_poll_done(struct request *r, int32_t result);

#endif
