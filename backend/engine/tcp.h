/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp.h - a TCP in user space, as a pure library (RFC 9293)
 *
 * Pure: the caller gives the memory (once, tcp_stack_init()), the time (`now`
 * in microseconds, of any monotonic clock), the path's MSS and the secret key.
 * Nothing here allocates, makes a system call, reads a clock, logs or calls
 * upward. The caller drives it like this, under one lock for each stack:
 *
 *	tcp_input()	a segment, or an aggregate of many, has arrived
 *	tcp_timers()	the time that tcp_next_timer() told has come
 *	tcp_output()	fills an array with segments; ask until it returns 0
 *	tcp_events()	fills an array with what became of which connection
 *
 * A stack's memory holds no pointer, so processes may share it at different
 * addresses. Connections are named by positive numbers that are not soon used
 * again; a stale one is answered with -EBADF.
 *
 * Who owns the payload:
 * Sent: the engine never sees it. tcp_send() says that so many more bytes are
 *   ready; the n-th byte of a connection's life is at offset n of its send
 *   stream. A segment names its payload as {offset, length} there. A byte must
 *   stay readable and unchanged until it lies below tcp_status.acked, or until
 *   the connection's TCP_EVENT_CLOSED or _RESET was fetched.
 * Received: a packet comes with a list of references {buffer, offset, length};
 *   the engine never follows one. tcp_input() tells for each whether it was
 *   kept. What was not kept is the caller's again at once. What was kept comes
 *   back from tcp_recv_take() as one or more pieces in order of the stream; the
 *   piece with TCP_PIECE_LAST is the last of that reference, and each kept
 *   reference has exactly one. Bytes of a reference that no piece names were
 *   duplicates. Pieces with TCP_PIECE_DROPPED are not part of the stream: they
 *   only give the reference back (connection closed or reset before). The bytes
 *   taken are read in place; tcp_recv_done() says that they were consumed, and
 *   opens the window.
 */
#ifndef VTOE_ENGINE_TCP_H
#define VTOE_ENGINE_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TCP_HEAD_MAX 60u	/* bytes of a TCP header with options */
#define TCP_REFS_MAX 256u	/* references of one packet */
#define TCP_NEVER UINT64_MAX

/*
 * What may be called in a state; everything else is refused with -ENOTCONN (or
 * -EPIPE: sending after the own end). _abort, _close, _free, _set_*, _status
 * and taking what was received are always legal. LISTEN is not in the list: a
 * listener is an object of its own.
 */
enum tcp_state {
	TCP_ST_CLOSED,	      /* nothing but free */
	TCP_ST_SYN_SENT,      /* send (queues) */
	TCP_ST_SYN_RECEIVED,  /* send (queues), shutdown (queues) */
	TCP_ST_ESTABLISHED,   /* send, recv, shutdown */
	TCP_ST_FIN_WAIT_1,    /* recv */
	TCP_ST_FIN_WAIT_2,    /* recv */
	TCP_ST_CLOSE_WAIT,    /* send, shutdown */
	TCP_ST_CLOSING,	      /* nothing */
	TCP_ST_LAST_ACK,      /* nothing */
	TCP_ST_TIME_WAIT,     /* nothing */
};

/* A connection's name on the wire, seen from here. Ports in host order. */
struct tcp_tuple {
	uint8_t local[16]; /* IPv4: the first 4 bytes, the rest is zero */
	uint8_t remote[16];
	uint16_t local_port;
	uint16_t remote_port;
	uint8_t family;	   /* 4 or 6 */
	uint8_t zero[3];
};

struct tcp_ref {
	uint64_t buffer; /* the caller's name for it */
	uint32_t offset;
	uint32_t length;
};

/*
 * A packet whose lengths the caller has checked against the frame, and whose
 * TCP checksum is right (the NIC side's verdict, or tcp_checksum_packet()).
 * Its contents are not trusted in any way.
 */
struct tcp_packet {
	struct tcp_tuple tuple;	    /* local: the packet's destination */
	const uint8_t *head;	    /* the TCP header */
	uint32_t head_bytes;	    /* at most this many are looked at */
	const struct tcp_ref *refs; /* payload, in order */
	unsigned ref_count;
	uint16_t segments;	    /* of an aggregate; 0 counts as 1 */
	uint16_t segment_max;	    /* payload of its largest; 0: unknown */
	uint16_t dup_acks;	    /* duplicate ACKs merged into it */
	uint8_t ecn;		    /* the two ECN bits of its IP header */
};

struct tcp_kept {
	uint64_t bits[TCP_REFS_MAX / 64]; /* bit i: refs[i] was kept */
};

enum tcp_piece_flags {
	TCP_PIECE_LAST = 1,    /* of its reference */
	TCP_PIECE_DROPPED = 2, /* not part of the stream */
};

struct tcp_piece {
	uint64_t buffer;
	uint32_t offset;
	uint32_t length;
	uint32_t flags;
};

/*
 * To be sent: IP header by the caller, then head, then the payload. When length
 * is above segment_size it is to be cut: sequence numbers advance, PSH and FIN
 * on the last piece only, CWR on the first only. The checksum in head is the
 * folded sum of the pseudo header alone (tcp_config.checksum_partial), or that
 * of pseudo header and head, complemented, to which
 * tcp_checksum_segment() adds the payload.
 */
struct tcp_segment {
	struct tcp_tuple tuple;
	uint64_t offset;	/* of the payload in the send stream */
	uint32_t length;
	int conn;		/* 0: of no connection (a reset, a cookie) */
	uint16_t segment_size;
	uint8_t head_bytes;
	uint8_t ecn;		/* for the IP header */
	uint8_t head[TCP_HEAD_MAX];
};

enum tcp_event_bits {
	TCP_EVENT_CONNECTED = 1,
	TCP_EVENT_READABLE = 2,	 /* tcp_recv_take() has something */
	TCP_EVENT_WRITABLE = 4,	 /* tcp_status.acked has risen */
	TCP_EVENT_EOF = 8,	 /* the peer has sent its last byte */
	TCP_EVENT_CLOSED = 16,	 /* both ways closed in order: free it */
	TCP_EVENT_RESET = 32,	 /* over, `error` says why: free it */
	TCP_EVENT_URGENT = 64,	 /* tcp_status.urgent */
	TCP_EVENT_ACCEPT = 128,	 /* of a listener */
};

struct tcp_event {
	int id; /* connection or listener */
	uint32_t what;
	int error; /* errno's number, or 0 */
};

enum tcp_cc_kind {
	TCP_CC_CUBIC,
	TCP_CC_NEWRENO,
	TCP_CC_KINDS,
};

/* Times in microseconds. tcp_config_init() gives good values. */
struct tcp_config {
	uint8_t key[16];	/* secret and random: the tables, the cookies */
	uint8_t isn_key[16];	/* the same of RFC 6528, and of RFC 7323, 5.4; of
				 * all stacks of an address, one after the other,
				 * if their numbers are to go on (0: the key) */
	uint32_t conns;		/* connections at most, TIME-WAIT included */
	uint32_t listeners;
	uint32_t holds;		/* pieces of received data, of all */
	uint32_t sends;		/* records of sent segments, of all */
	uint32_t replies;	/* resets and cookies waiting for output */
	uint32_t conn_holds;	/* the same, for one connection */
	uint32_t conn_sends;
	uint32_t recv_bytes;	/* receive window at most */
	uint32_t segment_bytes;	/* payload of a segment to be cut, at most */
	uint64_t rto_initial;
	uint64_t rto_min;	/* added to SRTT at least */
	uint64_t rto_max;
	uint64_t delack;
	uint64_t time_wait;	/* twice the maximum segment lifetime */
	uint64_t fin_wait_2;	/* for a connection that nobody reads */
	uint64_t keep_idle;
	uint64_t keep_interval;
	uint8_t keep_count;
	uint8_t syn_retries;
	uint8_t retries;	/* of data, before the connection is given up */
	uint8_t cc;		/* enum tcp_cc_kind */
	uint8_t ack_every;	/* segments: RFC 9293 wants 2 */
	uint8_t ack_stretch;	/* segments that one ACK may cover; 0: any */
	bool timestamps;
	bool window_scale;
	bool sack;
	bool ecn;
	bool checksum_partial;
};

enum tcp_option {
	TCP_OPTION_NODELAY,   /* bool: no Nagle */
	TCP_OPTION_CORK,      /* bool: full segments only */
	TCP_OPTION_KEEPALIVE, /* bool */
	TCP_OPTION_KEEP_IDLE, /* microseconds */
	TCP_OPTION_KEEP_INTERVAL,
	TCP_OPTION_KEEP_COUNT,
	TCP_OPTION_CC,	      /* enum tcp_cc_kind */
	TCP_OPTION_RECV_BYTES, /* the window; below tcp_config.recv_bytes */
	TCP_OPTION_USER_TIMEOUT, /* us without progress; 0: by count */
	TCP_OPTION_REUSE_ADDR, /* bool: for tcp_may_share(); kept in */
	TCP_OPTION_REUSE_PORT, /* TIME-WAIT */
};

/* tcp_close(): how long it may take. */
#define TCP_LINGER_NONE TCP_NEVER /* as long as the retransmissions last */

struct tcp_status {
	struct tcp_tuple tuple;
	enum tcp_state state;
	uint64_t queued;  /* bytes given by tcp_send() */
	uint64_t acked;	  /* below this the peer has them */
	uint64_t received; /* bytes of the stream taken or to be taken */
	uint32_t unread;  /* of these, not yet taken */
	uint32_t held;	  /* pieces not yet taken, out of order too */
	uint32_t urgent;  /* unread bytes before the urgent mark; 0: none */
	uint32_t mss;	  /* payload of a full segment now */
	uint32_t cwnd;
	uint32_t ssthresh;
	uint32_t in_flight;
	uint32_t peer_window;
	uint64_t srtt;
	uint64_t rto;
	uint64_t retransmits;
	bool sack, timestamps, ecn;
};

#define TCP_COUNTERS(X)                                                      \
	X(rx_packets, "packets given to tcp_input()")                        \
	X(rx_segments, "segments of which these were made")                  \
	X(rx_bad, "headers that are no TCP")                                 \
	X(rx_no_conn, "packets of no connection")                            \
	X(rx_paws, "refused by their timestamp (RFC 7323)")                  \
	X(rx_no_timestamp, "refused for want of a timestamp")                \
	X(rx_out_of_window, "refused by their sequence number")              \
	X(rx_bad_ack, "acknowledging what was never sent, or long ago")      \
	X(rx_bad_sack, "SACK blocks that make no sense")                     \
	X(rx_duplicate_bytes, "bytes received again")                        \
	X(rx_beyond_bytes, "bytes beyond the window")                        \
	X(rx_out_of_order, "packets held for a gap before them")             \
	X(rx_no_hold, "references refused: no room to hold them")            \
	X(tx_segments, "segments given out by tcp_output()")                 \
	X(tx_bytes, "payload of these")                                      \
	X(tx_acks, "segments without payload or flags but ACK")              \
	X(tx_resets, "resets sent")                                          \
	X(tx_no_reply, "resets and cookies dropped: no room")                \
	X(retransmits, "segments sent again")                                \
	X(timeouts, "retransmission timeouts")                               \
	X(recoveries, "losses repaired without a timeout")                   \
	X(undone, "reductions taken back as needless")                       \
	X(tlp_probes, "tail loss probes (RFC 8985)")                         \
	X(window_probes, "zero-window probes")                               \
	X(keep_probes, "keepalive probes")                                   \
	X(challenge_acks, "challenge ACKs (RFC 5961)")                       \
	X(challenge_limited, "challenge ACKs not sent: too many")            \
	X(resets_challenged, "resets in the window but not exact")           \
	X(syn_backlog_full, "SYNs answered with a cookie")                   \
	X(syn_dropped, "SYNs not answered at all")                           \
	X(cookies_good, "connections made from a cookie")                    \
	X(cookies_bad, "ACKs to a listener that are no cookie")              \
	X(accept_full, "handshakes that wait for tcp_accept()")              \
	X(time_wait_reused, "TIME-WAITs ended by a newer SYN")               \
	X(time_wait_recycled, "TIME-WAITs ended for want of room")           \
	X(ecn_reductions, "reductions for an ECN echo")                      \
	X(aborted_timeouts, "connections given up")

struct tcp_counters {
#define TCP_COUNTER_FIELD(name, help) uint64_t name;
	TCP_COUNTERS(TCP_COUNTER_FIELD)
#undef TCP_COUNTER_FIELD
};

struct tcp_stack;

/* -- set-up ---------------------------------------------------------------- */

/* Fills all but the key. */
void tcp_config_init(struct tcp_config *config);
/* Bytes that a stack of this configuration needs; 0 if it makes no sense. */
size_t tcp_stack_bytes(const struct tcp_config *config);
/* `memory` is aligned to 16; NULL when it is too small. */
struct tcp_stack *tcp_stack_init(void *memory, size_t bytes,
				 const struct tcp_config *config);
void tcp_get_counters(const struct tcp_stack *s, struct tcp_counters *out);

/* -- connections: a negative result is -errno ------------------------------ */

/*
 * `mss` is what fits the path: its MTU without IP and TCP headers, TCP options
 * not subtracted (RFC 6691). -> the connection; TCP_EVENT_CONNECTED follows.
 */
int tcp_connect(struct tcp_stack *s, const struct tcp_tuple *tuple,
		unsigned mss, uint64_t now);
/* local and family of `at` count; an address of zeros means any. */
int tcp_listen(struct tcp_stack *s, const struct tcp_tuple *at, unsigned mss,
	       unsigned backlog);
/* -> a connection that is established (or was, and has an event). */
int tcp_accept(struct tcp_stack *s, int listener);
/* -EBUSY while there is something to accept; no new one comes after that. */
int tcp_unlisten(struct tcp_stack *s, int listener);

enum tcp_send_flags {
	TCP_SEND_MORE = 1,   /* more follows: as if corked, for this time */
	TCP_SEND_URGENT = 2, /* the urgent mark is after these bytes */
};

/* `bytes` more are ready at the end of the send stream. */
int tcp_send(struct tcp_stack *s, int conn, uint32_t bytes, unsigned flags,
	     uint64_t now);
/* -> pieces filled in. */
int tcp_recv_take(struct tcp_stack *s, int conn, struct tcp_piece *out,
		  unsigned max);
/* So many of the bytes taken have been consumed. */
int tcp_recv_done(struct tcp_stack *s, int conn, uint32_t bytes, uint64_t now);
/* The own end of the stream; receiving goes on. */
int tcp_shutdown(struct tcp_stack *s, int conn, uint64_t now);
/*
 * Both: what is received from now on is answered with a reset (RFC 2525), and
 * what was not read too. After `linger` without an end it is aborted; 0: at
 * once. Take until there is nothing, wait for _CLOSED or _RESET, then free.
 */
int tcp_close(struct tcp_stack *s, int conn, uint64_t linger, uint64_t now);
/* A reset goes out; TCP_EVENT_RESET with ECONNABORTED follows. */
int tcp_abort(struct tcp_stack *s, int conn, uint64_t now);
/* The name is void after that; aborts what is open. -EBUSY: take first. */
int tcp_free(struct tcp_stack *s, int conn, uint64_t now);
/* The path's MTU has changed: as in tcp_connect(). */
int tcp_set_mss(struct tcp_stack *s, int conn, unsigned mss, uint64_t now);
/*
 * Behind a time in which the caller knows that nothing arrived, either way: an
 * ACK goes out, as the last one may be lost and the peer waits for it; what is in
 * flight is not left to a timer that has backed off (RFC 6069). Attempts that had
 * no path do not count, but for TCP_OPTION_USER_TIMEOUT.
 */
int tcp_path_back(struct tcp_stack *s, int conn, uint64_t now);
int tcp_set_option(struct tcp_stack *s, int conn, enum tcp_option option,
		   uint64_t value, uint64_t now);
int tcp_get_status(const struct tcp_stack *s, int conn, struct tcp_status *out);
/* May another have this port (as in tcp_listen()) beside the connections that do,
 * in TIME-WAIT too? If it has an option that they all have. */
bool tcp_may_share(const struct tcp_stack *s, const struct tcp_tuple *at,
		   bool reuse_addr, bool reuse_port);

/* -- the wire, the time, what happened ------------------------------------- */

/* 0, -EBADMSG (no TCP), -ENOENT (of no connection; a reset may go out). */
int tcp_input(struct tcp_stack *s, const struct tcp_packet *packet,
	      struct tcp_kept *kept, uint64_t now);
/* -> segments filled in; 0 when there is nothing to send now. */
unsigned tcp_output(struct tcp_stack *s, struct tcp_segment *out, unsigned max,
		    uint64_t now);
/* When tcp_timers() wants to be called, or TCP_NEVER. */
uint64_t tcp_next_timer(const struct tcp_stack *s);
void tcp_timers(struct tcp_stack *s, uint64_t now);
/* -> events filled in. */
unsigned tcp_events(struct tcp_stack *s, struct tcp_event *out, unsigned max);

#endif
