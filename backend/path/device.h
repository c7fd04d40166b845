/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * device.h - the data path of one guest device: its objects and their lives
 *
 *   device   one worker's everything: ring, pools, streams, connections
 *   conn     one guest connection (an application on the local port, a whole
 *            guest on ivshmem and xen): link, control ring, regions, lanes
 *   lane     submission and completion queue; a protection domain
 *   stream   a TCP socket of the driver domain's; held by one lane, or by
 *            several after SHARE and ADOPT (struct hold)
 *   request  one submission entry under way: a private copy
 *
 * Lives. A request lives until its completion is in the lane's CQ; a stream
 * until its last hold and token are dropped, its sends are drained, and the
 * kernel has no operation of it; a lane until it has no request and no hold; a
 * conn until it has no lane and no region is held. Each "until" is counted, and
 * the function that takes the last count down frees the object. Objects named
 * in a tag given to the kernel are never freed before that tag came back.
 *
 * One thread at a time; `now` (milliseconds of a monotonic clock) is told by the
 * caller.
 * Nothing here logs, aborts, or trusts a value of the guest's.
 */
#ifndef VTOE_PATH_DEVICE_H
#define VTOE_PATH_DEVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/list.h"
#include "base/pool.h"
#include "base/stats.h"
#include "nic/socket.h"
#include "nic/uring.h"
#include "path/spin.h"
#include "port/port.h"
#include "port/region.h"
#include "port/ring_peer.h"

/* Kinds of io_uring tags (four bits), and the object that each names. */
enum path_tag {
	TAG_IGNORE = 0,
	TAG_DOORBELL = 1, /* conn */
	TAG_HANGUP = 2,	  /* conn */
	TAG_RECV = 3,	  /* request: RQ */
	TAG_GENERIC = 4,  /* stream: GRQ */
	TAG_SEND = 5,	  /* send_batch */
	TAG_ACCEPT = 6,	  /* stream */
	TAG_CONNECT = 7,  /* request */
	TAG_POLL = 8,	  /* request */
	TAG_LINGER = 9,	  /* stream */
	TAG_TIMER = 10,	  /* device */
	TAG_FRAMES = 11,  /* device: the frame service's */
	TAG_CALLER = 12,  /* the worker's own: handed back by device_reap */
};

enum stream_state {
	STREAM_OPEN = 0,   /* BIND, CONNECT, LISTEN, options */
	STREAM_CONNECTING, /* CANCEL, CLOSE, POLL, options */
	STREAM_CONNECTED,  /* SEND, RECV, SHUTDOWN, ... */
	STREAM_LISTENING,  /* ACCEPT, POLL */
	STREAM_DRAINING,   /* no hold left; sends finish, then it closes */
	STREAM_CLOSING,	   /* kernel operations come back, then it is freed */
};

struct lane;
struct stream;
struct conn;
struct device;

/* A completion that found no room in its lane's CQ, in order. */
enum pending_kind { PENDING_REQUEST = 0, PENDING_GENERIC = 1 };
struct pending {
	struct list node;
	uint32_t kind;
	struct vtoe_cqe cqe;
};

struct request {
	struct list node;      /* on one of its stream's queues */
	struct list lane_node; /* on its lane's list of requests */
	struct lane *lane;
	struct stream *stream; /* or NULL */
	struct region *region; /* held, or NULL */
	uint8_t *at;	       /* memory, checked */
	uint32_t done;	       /* bytes so far */
	bool busy;	       /* the kernel has it */
	bool cancelled;
	bool finished;	       /* `pending` waits for room in the CQ */
	bool sent;	       /* SEND: on its stream's `sent` list */
	bool full;	       /* SEND: its socket had no room for all of it */
	bool settled;	       /* ... and done, with this: */
	int32_t result;
	uint32_t flags;
	struct send_batch *batch;
	struct vtoe_sqe sqe;
	struct pending pending;
};

/* One kernel send: one request with zero copy, or several queued ones. */
#define SEND_BATCH 16
struct send_batch {
	struct list node; /* of the device's lists, if it is quiet */
	struct stream *stream;
	uint32_t count;
	uint32_t bytes;
	int32_t result;
	bool zero_copy;
	bool have_result;
	bool quiet;	  /* the kernel answers only if it fails */
	struct request *requests[SEND_BATCH];
	struct iovec iov[SEND_BATCH];
	struct msghdr msg;
};

/* A lane's share in a stream. */
struct hold {
	struct list stream_node;
	struct list lane_node;
	struct stream *stream;
	struct lane *lane;
};

enum generic_state {
	GENERIC_IDLE = 0,
	GENERIC_ARMED,
	GENERIC_CANCELLING,
};

struct stream {
	struct list holds;
	struct list starved_node; /* on its lane's starved list */
	struct list send_node;	  /* on the device's list of those that send */
	struct list live_node;	  /* on the device's list; then on the dead */
	struct device *device;
	struct conn *owner;	/* whose quota it counts on; NULL: gone */
	uint32_t id;
	uint32_t index;
	int fd;
	uint8_t family;		/* VTOE_AF_* */
	uint8_t state;		/* enum stream_state */
	uint8_t generic;	/* enum generic_state */
	bool generic_on;
	bool generic_ended;	/* EOF or error was delivered */
	bool generic_held;	/* generic_pending waits for room in the CQ */
	bool nonempty;		/* the last receive left data behind */
	bool recv_busy;		/* an RQ receive is with the kernel */
	bool lowat_guest;	/* SO_RCVLOWAT is the guest's, not ours */
	bool send_busy;
	bool accept_busy;
	bool abort;
	bool bound;		/* to an address of the guest's choice */
	bool was_connected;	/* when its last hold was dropped */
	uint8_t zc_copied;	/* zero-copy sends in a row that copied */
	uint16_t zc_pause;	/* sends until zero copy is tried again */
	uint16_t tokens;	/* SHAREs that wait for their ADOPT */
	int16_t linger;		/* seconds; 0: none */
	uint16_t linger_wait;	/* ms until the next look; 0: not begun */
	bool linger_timer;	/* the kernel has it */
	struct __kernel_timespec linger_time;
	uint32_t lowat;		/* SO_RCVLOWAT that we set; 0: none */
	int32_t recv_error;	/* came behind bytes: the next RECV's */
	uint32_t inflight;	/* kernel operations, and zero-copy notices */
	uint32_t zc_out;	/* zero-copy sends that the kernel still reads */
	uint32_t generic_out;	/* generic buffers that the guest has of it, */
	struct lane *generic_out_lane; /* at this lane, the last with GRQ on */
	struct lane *generic_lane;
	struct request *generic_off; /* GRQ_MODE off, waits for rest */
	uint64_t generic_user;
	struct pending generic_pending;
	struct list recvs;	/* posted buffers: the RQ */
	struct list sends;	/* SEND, SHUTDOWN in order */
	struct list sent;	/* zero-copy sends that the kernel still reads,
				 * and what is done behind them */
	struct list accepts;
	struct list others;	/* CONNECT, POLL */
	struct request *close;	/* the CLOSE that waits for a lingering end */
	uint64_t deadline;	/* of draining, ms */
	uint64_t rx_bytes, tx_bytes, rx_placed, tx_zerocopy;
};

/* Generic buffers of a lane, lent to the kernel as a provided-buffer ring. */
#define GENERIC_BUFFERS VTOE_GRQ_MAX
#define DEVICE_GROUP_WORDS 17 /* the first is not used: toe_generic.c */
enum generic_buffer_state {
	GENERIC_FREE = 0, /* the slot names nothing */
	GENERIC_LENT,	  /* the kernel may fill it; the region is held */
	GENERIC_OUT,	  /* filled; the guest's until it gives it back */
};
struct generic_buffer {
	struct region *region;
	uint64_t key;
	uint64_t offset;
	uint32_t length;
	uint32_t stream; /* GENERIC_OUT: whose data it has */
	uint8_t state;
};

struct generic_pool {
	struct io_uring_buf_ring *ring;
	struct generic_buffer *buffers;
	uint16_t *free_ids;
	uint32_t free_count;
	uint32_t lent;
	uint32_t hint; /* where the next buffer to come back probably is */
	uint16_t group; /* the kernel's name of the ring */
	uint16_t first; /* ulib/stack's: the next one to be filled */
};

/*
 * The service of frames (TTO), as the rest of the data path calls it; a device
 * without it has none, and so the rest is built without what it needs.
 */
struct frame_service {
	/* A request (CLAIM to FLUSH): as a toe_function. */
	int (*start)(struct lane *lane, const struct vtoe_sqe *sqe,
		     struct vtoe_cqe *cqe);
	/* Receives, places, sends what the turn has gathered. */
	void (*turn)(struct device *d, bool *busy);
	/* Asks to be woken; false: there is something to do already. */
	bool (*arm)(struct device *d);
	/* What arm() asked for has come: the object of its tag. */
	void (*woken)(struct device *d, void *object);
	/* Each half second; true while it wants the next. */
	bool (*tick)(struct device *d);
	/* For how many entries of the lane's CQ do deliveries wait? */
	uint32_t (*wants_room)(const struct lane *lane);
	void (*region_gone)(struct lane *lane, struct region *r);
	void (*lane_gone)(struct lane *lane);
};

struct lane {
	struct list ready_node;	   /* on the device's ready list */
	struct list dirty_node;	   /* on the device's dirty list */
	struct list pending;	   /* completions without room, oldest first */
	struct list requests;
	struct list holds;
	struct list starved;	   /* streams that want a generic buffer */
	struct conn *conn;
	struct ring_in sq;
	struct ring_out cq;
	uint32_t id;
	uint32_t vector;
	uint32_t inflight;
	uint32_t generic_armed;	   /* streams whose GRQ receive the kernel has */
	uint32_t last_stream;	   /* for VTOE_STREAM_LAST */
	bool open;
	bool notify;		   /* notification owed with the next flush */
	bool loud;		   /* ... or due, if the guest asks for one */
	bool parked;
	bool removing;
	bool finishing;		   /* freed once nothing is under way */
	bool stalled;		   /* its next entry waits for more than room in
				    * the CQ (TOE_LATER) */
	uint64_t remove_user;
	struct generic_pool generic;
	struct frame_lane *frames; /* the frame service's; or NULL */
};

enum conn_state {
	CONN_GREETED = 0, /* waits for HELLO */
	CONN_READY,
	CONN_PARKED,	  /* nothing is served any more */
	CONN_LEAVING,	  /* the other end is gone; drains, then is freed */
};

struct conn {
	struct list node; /* on the device's list */
	struct list ready_node;	 /* control ring to serve */
	struct port_link link;
	struct region_table regions;
	struct ring_in ctl_in;
	struct ring_out ctl_out;
	struct list ctl_pending; /* struct ctl_event */
	struct device *device;
	struct lane lanes[PORT_MAX_LANES];
	uint32_t lane_count;
	uint32_t stream_count;
	uint32_t claim_count;
	uint32_t inflight; /* requests of all of its lanes */
	uint32_t pending_events;
	uint32_t failures; /* control requests in a row that failed */
	uint8_t state; /* enum conn_state */
	uint32_t violation;
	bool doorbell_armed, hangup_armed;
	bool ctl_dirty;
	bool dead;
	uint64_t drain_deadline; /* for sends on streams that others hold, ms */
	uint64_t greet_deadline; /* for its HELLO, ms */
	uint32_t pid; /* as it says in HELLO */
	char program[32];
	uint64_t features;
};

struct token {
	struct list node;
	struct stream *stream;
	uint8_t value[16];
	uint64_t deadline;
};

#define FALLBACK_LOG 64
struct fallback_entry {
	uint32_t reason;
	uint32_t conn_id;
	uint32_t pid;
	char program[32];
	struct vtoe_address to;
};

struct device_limits {
	uint32_t peers, lanes, streams, peer_streams, regions, inflight;
	uint32_t credit;	/* requests of a lane and turn */
	uint32_t zerocopy_min;
	uint32_t requests;	/* of the whole device */
	uint32_t ring_entries;
	uint32_t drain_ms;
	uint32_t spin_usec;	/* poll before sleeping, at most */
	uint64_t withheld;	/* of PATH_FEATURES: not offered */
	bool no_registered_files; /* as with a kernel without good ones */
	bool threads;		/* turns are taken by more than one */
};

#define DEVICE_CONNECTS 64
#define DEVICE_NEVER UINT64_MAX

struct device {
	struct uring uring;
	struct device_limits limits;
	struct vtoe_stats *stats;
	struct list conns;
	struct list ready;   /* lanes to serve */
	struct list ready_conns; /* control rings to serve */
	struct list dirty;   /* lanes with completions to publish */
	struct list live;    /* streams */
	struct list blocked; /* listeners whose lanes have no room (starved_node) */
	struct list sending; /* streams whose sends this turn issues */
	struct list tokens;
	/* Ended, and freed at the end of the turn: callers up the stack may
	 * still look at them. */
	struct list dead_streams, dead_conns;
	struct pool requests, batches, holds;
	struct list quiet_queued, quiet_sent; /* struct send_batch */
	struct stream **streams; /* by index; NULL: free */
	uint16_t *generation;
	uint32_t *free_index;
	uint32_t free_count;
	uint32_t conn_count;
	uint32_t next_conn;
	uint32_t token_count;
	uint64_t groups[DEVICE_GROUP_WORDS]; /* buffer groups in use */
	uint64_t now;	     /* ms */
	uint64_t now_us;
	uint64_t wake_us;    /* a turn sleeps until then at most */
	struct spin spin;    /* while it is on, lanes are not armed */
	const struct frame_service *frames; /* or NULL */
	struct tto *tto;		    /* its own */
	struct __kernel_timespec timer;
	bool timer_armed;
	/* addresses of connects that the next submission starts */
	union socket_address connect_address[DEVICE_CONNECTS];
	uint32_t connect_count;
	struct fallback_entry fallbacks[FALLBACK_LOG];
	uint32_t fallback_count;
	int32_t caller_result[4]; /* of device_watch_read() */
	/* The last violation, for the caller to log; conn 0: none new. */
	uint32_t parked_conn, parked_violation;
	/* The last refusal for a limit of the configuration, likewise. The one
	 * over which a peer goes is named, so that it can be raised. */
	uint32_t refused_conn;
	const char *refused_key; /* of vtoed.conf */
	uint32_t refused_limit;	 /* its value */
};

#endif
