/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * preload.h - inside of libvtoe-preload.so
 *
 * One process has one `vt`: a connection to a backend, a lane, a table of
 * descriptors, and one lock over all of them. The table, indexed by
 * descriptor, decides which are ours; looking up one that is not ours takes no
 * lock, so what is not offloaded costs a load. Each of our descriptors is
 * occupied by a kernel socket (the placeholder), so that fstat, fcntl and
 * falling back work.
 *
 *   preload_real.c     the C library's own functions
 *   preload_init.c     start, environment, what is said to the user
 *   preload_table.c    descriptors, and protecting our own ones
 *   preload_lane.c     backend, requests, completions
 *   preload_wait.c     sleeping, waking
 *   preload_signal.c   the program's signal handlers
 *   preload_pool.c     memory of the arena: send chunks, generic buffers
 *   preload_socket.c   socket, bind, connect
 *   preload_listen.c   listen, accept
 *   preload_close.c    close, shutdown, linger
 *   preload_recv.c     receiving
 *   preload_send.c     sending
 *   preload_io.c       read, write, recvmsg and their likes, as entry points
 *   preload_options.c  socket options, names
 *   preload_fd.c       dup, fcntl, ioctl, close_range
 *   preload_poll.c     poll and select
 *   preload_epoll.c    epoll
 *   preload_fork.c     fork: streams become shared
 *   preload_exec.c     exec and spawn: streams are handed to a new image
 *   preload_stdio.c    streams of the C library over our descriptors
 */
#ifndef VTOE_PRELOAD_H
#define VTOE_PRELOAD_H

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "preload_real.h"
#include "vtoe.h"

#define VT_EXPORT __attribute__((visibility("default")))
#define VT_TLS static __thread __attribute__((tls_model("initial-exec")))

#define VT_NEVER INT64_MAX	   /* a deadline, in monotonic nanoseconds */

/* -- objects behind descriptors ------------------------------------------ */

enum vt_kind { VT_SOCK = 1, VT_EPOLL = 2 };

struct vt_object {
	enum vt_kind kind;
	int refs;  /* descriptors */
	int users; /* calls under way; the last one out closes */
};

enum vt_state {
	VT_NEW,	       /* not decided yet: everything goes to the placeholder */
	VT_BOUND,      /* has a stream, not connected */
	VT_CONNECTING,
	VT_CONNECTED,
	VT_LISTENING,
	VT_CLOSED,     /* no descriptor left; waits for its last completion */
};

struct vt_piece { /* received and not read */
	unsigned char *at;
	uint32_t length;
	int32_t buffer;	     /* index of the generic buffer, -1: heap */
	unsigned char *heap; /* to be freed */
};

struct vt_option {
	int level, name;
	socklen_t length;
	unsigned char value[16];
};

struct vt_item; /* of an epoll set */

struct vsock {
	struct vt_object o;
	struct vsock *next, *prev; /* of vt.socks */
	enum vt_state state;
	int family;
	uint32_t stream;
	uint64_t inode; /* of the placeholder: names us across exec */
	bool nonblock;
	bool shared;	 /* another process may hold the stream too */
	bool handed;	 /* ... and did not count itself (exec) */
	bool connecting; /* the kernel's SS_CONNECTING: see vt_connect */
	bool reset;	 /* the connection broke */
	bool dead;	 /* the backend died */
	bool lost;	 /* a dead listener, to be made again */
	int64_t retry, retry_step; /* of a lost one: when, and then how long */
	bool eof;	 /* the peer's FIN came */
	bool shut_rd, shut_wr;
	bool wr_broken;	 /* a SEND found the stream broken */
	bool failed;	 /* connecting did, connect() has not said so */
	int queue;	 /* listen's second argument */
	bool grq;	 /* generic receive is on */
	bool poll_busy;	 /* a POLL is under way */
	bool want_room;	 /* somebody found no room to send */
	unsigned poll_bits; /* of the last POLL; cleared when used */
	int err;	    /* sk_err */
	int requests;	    /* under way with s == this */
	/* receive backlog: a ring of pieces */
	struct vt_piece *pieces;
	unsigned piece_head, piece_count, piece_room;
	size_t backlog;
	int *holders; /* processes that hold the stream; NULL: unknown */
	struct vt_shared_backlog *common; /* left over at a fork */
	int common_fd;
	size_t inflight; /* bytes submitted to SEND */
	size_t charged;	 /* bytes of the chunks that hold them */
	struct linger linger;
	int64_t rcv_timeout, snd_timeout; /* ns, 0: none */
	struct vt_option *options;
	unsigned option_count;
	struct vtoe_address local, peer;
	bool has_local, has_peer, bound;
	struct vt_item *items; /* of the epoll sets that watch it */
	unsigned char token[16]; /* of SHARE, from prepare to child */
	bool has_token;
};

/* -- requests ------------------------------------------------------------- */

struct vt_req {
	struct vt_req *next, *prev; /* of the live or the free list */
	struct vsock *s;
	void (*done)(struct vt_req *r, const struct vtoe_cqe *c);
	bool live, finished, abandoned;
	struct vtoe_cqe cqe; /* of a request that somebody waits for */
	struct vt_chunk *chunk;
	size_t bytes;
};

/* -- waiting --------------------------------------------------------------- */

struct vt_waiter {
	struct vt_waiter *next, *prev;
	bool linked, woken;
	int fd; /* eventfd */
	const void *on; /* object waited for; NULL: anything */
};

/* -- the process ------------------------------------------------------------ */

struct vt_config {
	char path[108];
	bool has_path;
	bool explain, require, offload_loopback, stats;
	char program[32];
};

struct vt {
	pthread_mutex_t lock;
	struct vt_config config;
	bool off;	     /* not asked for: everything to the kernel */
	bool ready;	     /* the constructor ran */
	struct vtoe *ctx;
	struct vtoe_lane *lane;
	int lane_fd, control_fd;
	bool dirty;	     /* entries got and not submitted */
	bool reaping;	     /* completions are being dispatched */
	bool died;	     /* ... and meanwhile the backend was lost */
	struct vtoe_cqe *later; /* taken, to be dispatched */
	unsigned later_next, later_count, later_room;
	bool said_no_backend, said_no_adoption;
	int64_t patience; /* the backend is not asked before */
	struct vsock *socks;
	struct vt_req *live_reqs, *free_reqs;
	unsigned sends;	     /* SENDs under way */
	bool starved;	     /* a stream found no chunk */
	unsigned want_sends; /* who waits for SENDs to complete */
	bool told_sends;     /* ... and the lane was told */
	struct vt_waiter *waiters, *leader;
	unsigned lost; /* listeners */
	uint64_t offloaded, fallbacks, bytes_in, bytes_out, sleeps;
};
extern struct vt vt;

/* preload_init.c */
void vt_start(void);
void vt_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void vt_explain_offload(int fd, const char *what, const struct sockaddr *a,
			socklen_t len);
void vt_explain_kernel(int fd, unsigned why, const char *detail,
		       const struct sockaddr *a, socklen_t len);

void vt_no_backend(int err);

/* preload_table.c */
struct vt_object *vt_peek(int fd); /* no lock, no reference */
/* Locks, and takes a use of the object; NULL (not locked) if not ours. */
struct vsock *vt_enter(int fd);
void vt_leave(struct vsock *s); /* drops the use, unlocks */
void vt_calls_check(const void *frame);
void vt_calls_end(void);
void vt_calls_child(void);
void vt_hold(struct vt_object *o);
void vt_drop(struct vt_object *o);
struct vt_object *vt_table_get(int fd);
int vt_table_set(int fd, struct vt_object *o);
struct vt_object *vt_table_take(int fd);
int vt_table_next(int fd); /* the first of ours >= fd, or -1 */
int context_own_fd(int fd); /* libvtoe's: internal.h */
int vt_protect(int fd); /* moves a descriptor of our own high -> new one */
void vt_unprotect(int fd);
bool vt_protected(int fd);
int vt_protected_next(int fd);
void vt_unref(struct vt_object *o); /* a descriptor less */
struct vsock *vsock_new(int fd, int family, bool nonblock);
void vsock_free(struct vsock *s);

/* True while libvtoe runs: its calls go straight through. */
bool *vt_inside_flag(void);
#define vt_inside (*vt_inside_flag())

/* preload_lane.c */
void vt_lock(void);
void vt_unlock(void);
int vt_backend(void); /* 0, or a negated errno */
void vt_reap(void);
void vt_submit(void);
void vt_backend_died(void);
struct vt_req *vt_req_get(struct vsock *s,
			  void (*done)(struct vt_req *,
				       const struct vtoe_cqe *));
void vt_req_put(struct vt_req *r);
struct vtoe_sqe *vt_sqe(struct vt_req *r, enum vtoe_op op, uint32_t stream);
/* Waits without interruption; -> the result. Gives the request back. */
int vt_req_result(struct vt_req *r, struct vtoe_cqe *cqe);
/* Waits until finished: 0, -ETIME, -EINTR. The request stays the caller's. */
int vt_req_wait(struct vt_req *r, int64_t deadline);
/* Nobody waits any more: give back when it completes. */
void vt_req_abandon(struct vt_req *r);
void vt_req_ignore(struct vt_req *r, const struct vtoe_cqe *c);
/* Cancels and waits: -> the result, as of vt_req_result. */
int vt_req_cancel(struct vt_req *r, struct vtoe_cqe *cqe);
void vt_lane_child(void);

/* preload_wait.c */
int64_t vt_now(void);
int64_t vt_deadline(int64_t timeout);
void vt_ask_sends(void);
int vt_sleep(const void *on, int64_t deadline, struct pollfd *extra,
	     unsigned count, const sigset_t *mask);
void vt_wake(const void *on);
void vt_wait_child(void);

/* preload_signal.c */
void vt_signals_hold(void);
void vt_signals_release(void);
void vt_signals_reset(void);
bool vt_restart(bool timed);

/* preload_pool.c */
struct vt_chunk {
	struct vt_chunk *next;
	unsigned char *at;
	uint64_t key, offset;
	uint32_t size;
	int class;
};
struct vt_chunk *vt_chunk_get(size_t want);
void vt_chunk_put(struct vt_chunk *c);
bool vt_chunk_left(void);
size_t vt_chunk_bytes_left(void);
int vt_generic_start(void);
void vt_generic_back(int index);
bool vt_generic_scarce(void);
void vt_generic_flush(void);
unsigned char *vt_generic_at(uint64_t key, uint64_t offset, size_t length,
			     int *index);
void vt_pool_forget(void);

/* preload_socket.c */
void vt_reports_send(void);
void vt_reports_forget(void);
void vt_kernel_decided(struct vsock *s, int fd);
void vt_connect_done(struct vsock *s, int result,
		     const struct vtoe_address *local);
void vt_to_kernel(struct vsock *s, int fd, unsigned why, const char *detail,
		  const struct sockaddr *to, socklen_t len);
int vt_decide(struct vsock *s, int fd, const struct vtoe_address *a,
	      const struct sockaddr *to, socklen_t len);
struct vt_req *vt_open_begin(struct vsock *s);
int vt_open_finish(struct vsock *s, struct vt_req *r);
unsigned vt_open_fallback(int rc);
int vt_drop_stream(struct vsock *s, bool abort);

/* preload_listen.c */
void vt_listen_again(struct vsock *s);
int64_t vt_listen_retry(void);

/* preload_close.c */
void vsock_last_close(struct vsock *s);
void vsock_maybe_free(struct vsock *s);

/* preload_recv.c */
struct vt_io {
	struct iovec *iov;
	unsigned count;
	size_t bytes;
	int flags;
	bool plain; /* read(2) and write(2), not send and recv */
};
ssize_t vt_recv(struct vsock *s, int fd, struct vt_io *io);
void vt_scatter(struct vt_io *io, size_t *done, const void *from,
		size_t bytes);
size_t vt_backlog_take(struct vsock *s, struct vt_io *io, size_t done);
void vt_receive_done(struct vsock *s, const struct vtoe_cqe *c);
void vt_want_data(struct vsock *s);
void vt_ask_data(struct vsock *s);
ssize_t vt_waiting_bytes(struct vsock *s);
void vt_arm_poll(struct vsock *s);
void vt_backlog_drop(struct vsock *s);
size_t vt_backlog_bytes(struct vsock *s);
int vt_grq_off(struct vsock *s);

/* preload_send.c */
ssize_t vt_send(struct vsock *s, int fd, struct vt_io *io);
bool vt_room(const struct vsock *s);
void vt_want_room(struct vsock *s, bool want);

/* preload_options.c */
bool vt_option_is_kernels(int level, int name);
int vt_getsockopt_live(struct vsock *s, int level, int name, void *value,
		       socklen_t len);
struct vt_req *vt_option_submit(struct vsock *s, uint32_t stream,
				const struct vt_option *o,
				void (*done)(struct vt_req *,
					     const struct vtoe_cqe *));
void vt_replay(struct vsock *s, uint32_t stream);
void vt_inherit(struct vsock *from, struct vsock *to, int fd);

/* preload_poll.c */
unsigned vt_ready(struct vsock *s);
void vt_interest(struct vsock *s);

/* preload_epoll.c */
struct vepoll;
void vt_notify(struct vsock *s); /* readiness may have changed */
void vepoll_free(struct vepoll *e);
void vt_items_forget(struct vsock *s);
void vt_items_to_kernel(struct vsock *s, int fd);
bool vepoll_ready(struct vepoll *e);

/* preload_fork.c */
struct vt_shared_backlog {
	pthread_mutex_t lock;
	size_t room, head, length;
	unsigned char data[];
};
size_t vt_common_take(struct vsock *s, struct vt_io *io, bool peek);
size_t vt_common_bytes(struct vsock *s);
void vt_common_drop(struct vsock *s);
int vt_common_map(struct vsock *s, int fd);
int vt_make_shared(struct vsock *s);
void vt_hold_begin(struct vsock *s);
void vt_hold_end(struct vsock *s); /* this process holds it no more */
void vt_try_unshare(struct vsock *s);
void vt_fork_setup(void);
int vt_share(struct vsock *s, unsigned char token[16]);
void vt_token_drop(const unsigned char token[16]);
int vt_adopt(struct vsock *s, const unsigned char token[16]);

/* preload_exec.c */
void vt_environment_keep(void);
void vt_handoff_take(void);

/* preload_stdio.c */
void vt_stdio_adopt(int fd);

static inline int vt_fail(int err)
{
	errno = err;
	return -1;
}

#endif
