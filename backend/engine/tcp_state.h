/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_state.h - what a TCP stack consists of
 *
 * One block of memory, laid out once by tcp_stack.c:
 *
 *	stack, listeners, replies, connections, buckets, heap, sends, holds
 *
 * Everything refers to everything else by index, so that the block may be
 * mapped anywhere. The names are those of RFC 9293, 3.3.1, where it has one.
 */
#ifndef VTOE_ENGINE_TCP_STATE_H
#define VTOE_ENGINE_TCP_STATE_H

#include "engine/tcp.h"
#include "engine/tcp_wire.h"

#define TCP_NIL UINT32_MAX
#define TCP_US_PER_MS 1000u
#define TCP_US_PER_S 1000000u

/* Doubly linked, by index of connection; a connection has one link per kind. */
enum tcp_list_kind {
	TCP_LIST_OUTPUT, /* has something to send, or may have */
	TCP_LIST_EVENT,
	TCP_LIST_PLACE,	 /* free, or in an accept queue, or in TIME-WAIT */
	TCP_LIST_KINDS,
};

struct tcp_list {
	uint32_t first;
	uint32_t last;
};

struct tcp_link {
	uint32_t prev;
	uint32_t next;
	bool on;
};

/* A range that was sent and not yet cumulatively acknowledged. */
struct tcp_sent {
	uint64_t at;	/* when it was last sent */
	uint32_t seq;
	uint32_t end;	/* FIN included */
	uint32_t next;
	uint16_t mss;	/* that it was cut to */
	bool fin;
	bool sacked;
	bool lost;	/* and not sacked */
	bool resent;	/* while lost: it is in flight again */
	bool ever_resent;
};

/* A piece of received data; until the gap before it is filled in `islands`. */
struct tcp_hold {
	uint64_t buffer;
	uint32_t offset;
	uint32_t length;
	uint32_t seq;
	uint32_t next;
	uint32_t flags;	/* enum tcp_piece_flags */
};

/* Of either algorithm; a copy is kept to undo a needless reduction. */
struct tcp_cc_state {
	uint32_t cwnd;	    /* bytes, as the next */
	uint32_t ssthresh;
	uint64_t epoch;	    /* CUBIC, RFC 9438: when it began; 0: not yet */
	uint32_t w_max;
	uint32_t cwnd_prior;
	uint32_t cwnd_epoch;
	uint32_t k;	    /* milliseconds */
	uint64_t w_est;	    /* bytes << 10 */
	uint32_t part;	    /* of a byte or a segment not yet added */
};

/* What one ACK told: made by tcp_ack.c, used by recovery and congestion. */
struct tcp_acked {
	uint32_t cumulative; /* bytes below SND.UNA now, not sacked before */
	uint32_t sacked;     /* bytes newly sacked */
	uint32_t advanced;   /* of SND.UNA */
	uint32_t repeats;    /* duplicate ACKs, for a peer without SACK */
	uint64_t rtt;	     /* of the oldest; TCP_NEVER: none */
	bool resent;	     /* some of it was sent more than once, */
	uint64_t resent_at;  /* for the last time then */
	bool dsack;
	uint32_t dsack_end;
	bool window_changed;
	bool has_data;
};

enum tcp_recovery_state {
	TCP_RECOVERY_OPEN,
	TCP_RECOVERY_FAST, /* RFC 6675 with RFC 6937's rate */
	TCP_RECOVERY_LOSS, /* after a timeout */
};

/* What the one timer of the send side waits for. */
enum tcp_send_timer {
	TCP_TIMER_OFF,
	TCP_TIMER_RTO,	   /* SYN, too */
	TCP_TIMER_REORDER, /* RFC 8985, 6.2 */
	TCP_TIMER_TLP,	   /* RFC 8985, 7 */
	TCP_TIMER_PERSIST, /* a window too small */
};

struct tcp_conn {
	struct tcp_tuple tuple;
	struct tcp_link link[TCP_LIST_KINDS];
	uint32_t index;
	uint32_t generation;
	uint32_t hash_next;
	uint32_t listener;	/* that made it; TCP_NIL */
	uint32_t heap_at;
	uint64_t heap_key;
	uint8_t state;
	uint8_t cc_kind;
	uint8_t recovery;
	uint8_t send_timer;
	uint32_t events;
	int error;
	bool owned;		/* the caller has its name */
	bool in_queue;		/* of a listener, to be accepted */
	bool passive;
	bool time_wait;		/* in the list of these */
	bool ts_ok;
	bool sack_ok;
	bool wscale_ok;
	bool ecn_ok;
	bool read_closed;	/* tcp_close(): nobody reads */
	bool reuse_addr;
	bool reuse_port;

	/* sending */
	uint32_t iss;
	uint32_t snd_una;
	uint32_t snd_nxt;
	uint32_t snd_max;	/* a window probe may be ahead of snd_nxt */
	uint32_t snd_wnd;
	uint32_t snd_wnd_max;
	uint32_t snd_wl1;
	uint32_t snd_wl2;
	uint32_t snd_up;	/* urgent mark */
	uint32_t snd_small;	/* end of the last segment that was not full */
	uint8_t snd_wscale;
	bool syn_pending;	/* to be sent (again) */
	bool fin_queued;
	bool fin_sent;
	bool fin_acked;
	bool urgent;
	bool nodelay;
	bool cork;
	bool more;		/* TCP_SEND_MORE at the last tcp_send() */
	bool push_small;	/* the override timer of RFC 1122, 4.2.3.4 */
	uint32_t mss_path;	/* of the caller */
	uint32_t mss_peer;	/* the option's value */
	uint64_t queued;	/* stream bytes given */
	uint64_t una_offset;	/* stream offset at snd_una */
	uint32_t sent_first;	/* records, by sequence number */
	uint32_t sent_last;
	uint32_t sent_count;
	uint32_t sacked_bytes;
	uint32_t lost_bytes;
	uint32_t resent_bytes;	/* of the lost ones */
	uint64_t last_sent;	/* data */

	/* round-trip time and the timer, RFC 6298 */
	uint64_t srtt;		/* 0: none yet */
	uint64_t rttvar;
	uint64_t rto;
	uint64_t min_rtt;
	uint8_t backoff;
	uint8_t tries;		/* without an answer */
	uint64_t first_try;	/* when the first of these was */

	/* congestion and recovery */
	struct tcp_cc_state cc;
	struct tcp_cc_state undo;
	bool undo_valid;
	uint32_t undo_ts;	/* timestamp of the first retransmission */
	bool cwnd_limited;
	uint32_t recovery_point;
	uint32_t prr_delivered;
	uint32_t prr_out;
	uint32_t prr_flight;
	uint32_t dup_acks;
	bool cwr_pending;	/* to be told to the peer */
	uint32_t ecn_point;	/* no further reduction before it is acked */
	bool ecn_reduced;

	/* RACK-TLP, RFC 8985 */
	uint64_t rack_at;
	uint64_t rack_rtt;
	uint32_t rack_end;
	uint32_t rack_fack;
	bool rack_valid;
	bool reordering;
	uint8_t reo_mult;
	uint8_t reo_persist;
	uint32_t reo_round;	/* DSACKs count once per round */
	bool reo_round_valid;
	bool tlp_out;
	bool tlp_resent;
	bool tlp_now;		/* a probe is to be sent */
	uint32_t tlp_end;

	/* receiving */
	uint32_t irs;
	uint32_t rcv_nxt;
	uint32_t rcv_right;	/* the window's edge as last told */
	uint32_t rcv_acked;	/* RCV.NXT as last told */
	uint32_t rcv_up;
	bool rcv_urgent;
	bool rcv_fin;		/* its place is known: */
	uint32_t fin_seq;
	uint8_t rcv_wscale;
	uint32_t recv_bytes;
	uint32_t pending;	/* in order and not yet done */
	uint32_t ready_bytes;	/* of these, not yet taken */
	uint64_t received;
	uint32_t ready_first;	/* holds in order */
	uint32_t ready_last;
	uint32_t island_first;	/* holds out of order, sorted, disjoint */
	uint32_t island_last;
	uint32_t ready_count;
	uint32_t island_count;
	uint32_t recent[TCP_SACK_MAX]; /* a byte of each block, RFC 2018, 4 */
	uint8_t recent_count;
	bool dsack_pending;	/* RFC 2883 */
	struct tcp_range dsack;
	uint32_t rcv_mss;	/* the largest segment seen */
	uint32_t ack_segments;	/* received since the last ACK */
	bool ack_now;
	bool ack_jump;		/* it covers what had waited for a gap */
	bool ece_send;		/* until the peer says CWR */
	uint32_t ts_recent;
	uint64_t ts_recent_at;
	uint32_t ts_offset;

	/* timers: TCP_NEVER is off */
	uint64_t send_at;
	uint64_t rto_at;	/* when TLP or reordering wait before it */
	uint64_t ack_at;
	uint64_t keep_at;	/* keepalive */
	uint64_t wait_at;	/* FIN-WAIT-2, TIME-WAIT */
	uint64_t linger_at;
	bool keepalive;
	bool keep_now;
	bool probe_now;
	uint8_t keep_tries;
	uint8_t keep_count;
	uint64_t keep_idle;
	uint64_t keep_interval;
	uint64_t last_heard;
	uint64_t user_timeout;
	uint64_t challenge_at;	/* when this second of RFC 5961 began */
	uint8_t challenges;

	uint64_t retransmits;
};

struct tcp_listener {
	struct tcp_tuple at;
	struct tcp_list queue;
	uint32_t mss;
	uint32_t backlog;
	uint32_t halves;	/* connections in SYN-RECEIVED */
	uint32_t waiting;	/* in the queue */
	uint64_t cookie_at;	/* when the last one was given out; 0: never */
	bool used;
	bool any;		/* of its address */
	bool closing;
	bool event;
};

struct tcp_stack {
	struct tcp_config config;
	struct tcp_counters counters;
	struct tcp_list output;
	struct tcp_list events;
	struct tcp_list free;
	struct tcp_list time_wait;
	uint32_t buckets;	/* a power of two */
	uint32_t heap_count;
	uint32_t free_send;
	uint32_t free_hold;
	uint32_t sends_used;
	uint32_t holds_used;
	uint32_t reply_first;
	uint32_t reply_count;
	uint32_t listener_events;
	uint8_t wscale;		/* that recv_bytes needs */
	size_t listeners_at;	/* offsets from the stack's begin */
	size_t replies_at;
	size_t conns_at;
	size_t buckets_at;
	size_t heap_at;
	size_t sends_at;
	size_t holds_at;
};

/* A segment that is being handled. */
struct tcp_arrival {
	const struct tcp_packet *packet;
	struct tcp_kept *kept;
	struct tcp_head h;
	uint32_t length;	/* payload */
	uint32_t end;		/* seq + length, without SYN and FIN */
	uint64_t now;
};

/* -- sequence numbers (RFC 9293, 3.4) -------------------------------------- */

static inline bool seq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool seq_le(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}

static inline uint32_t seq_max(uint32_t a, uint32_t b)
{
	return seq_lt(a, b) ? b : a;
}

static inline uint32_t seq_min(uint32_t a, uint32_t b)
{
	return seq_lt(a, b) ? a : b;
}

static inline uint32_t tcp_min32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static inline uint32_t tcp_max32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static inline uint64_t tcp_min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t tcp_max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* -- the block's parts ----------------------------------------------------- */

static inline struct tcp_conn *tcp_conn_at(struct tcp_stack *s, uint32_t i)
{
	return (struct tcp_conn *)((char *)s + s->conns_at) + i;
}

static inline struct tcp_listener *tcp_listener_at(struct tcp_stack *s,
						   uint32_t i)
{
	return (struct tcp_listener *)((char *)s + s->listeners_at) + i;
}

static inline struct tcp_segment *tcp_reply_at(struct tcp_stack *s, uint32_t i)
{
	return (struct tcp_segment *)((char *)s + s->replies_at) + i;
}

static inline uint32_t *tcp_bucket_at(struct tcp_stack *s, uint32_t i)
{
	return (uint32_t *)((char *)s + s->buckets_at) + i;
}

static inline uint32_t *tcp_heap_slot(struct tcp_stack *s, uint32_t i)
{
	return (uint32_t *)((char *)s + s->heap_at) + i;
}

static inline struct tcp_sent *tcp_sent_at(struct tcp_stack *s, uint32_t i)
{
	return (struct tcp_sent *)((char *)s + s->sends_at) + i;
}

static inline struct tcp_hold *tcp_hold_at(struct tcp_stack *s, uint32_t i)
{
	return (struct tcp_hold *)((char *)s + s->holds_at) + i;
}

#endif
