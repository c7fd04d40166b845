/* SPDX-License-Identifier: MIT */
/*
 * vtoe_lane.h - submission and completion entries, and the operations
 *
 * A request names memory as {key, offset, length}: `key` is what REGION_ADD
 * returned, `offset` counts from the start of that region (MECHANISMS O5).
 * Every request has exactly one completion, with its user_data, unless the
 * completion says VTOE_CQE_MORE; unsolicited completions (generic receive)
 * carry the user_data that GRQ_MODE set. Requests of one lane start in order;
 * those of one stream and one direction also complete in order.
 */
#ifndef VTOE_LANE_H
#define VTOE_LANE_H

#include "vtoe_types.h"

/* An address; port in host order, ip in network order (IPv4: first 4 bytes).*/
#define VTOE_AF_UNSPEC 0u
#define VTOE_AF_INET 4u
#define VTOE_AF_INET6 6u
struct vtoe_address {
	vtoe_u16 family; /* VTOE_AF_* */
	vtoe_u16 port;
	vtoe_u8 ip[16];
	vtoe_u32 scope; /* IPv6 scope id, else 0 */
};
VTOE_ASSERT(sizeof(struct vtoe_address) == 24);

enum vtoe_op {
	VTOE_OP_NOP = 0,
	/* -- streams (VTOE_F_TOE) -- */
	VTOE_OP_OPEN = 1,     /* address.family, op_flags: VTOE_OPEN_*;
			       * result: 0; cqe.stream: the new stream */
	VTOE_OP_BIND = 2,     /* address */
	VTOE_OP_CONNECT = 3,  /* address; completes when connected or failed;
			       * cqe.address: the local address */
	VTOE_OP_LISTEN = 4,   /* length: backlog; cqe.address: local address */
	VTOE_OP_ACCEPT = 5,   /* op_flags: VTOE_IO_NONBLOCK, VTOE_IO_MULTI;
			       * result: 0; cqe.stream: the new stream;
			       * cqe.address: the peer's */
	VTOE_OP_SEND = 6,     /* memory; op_flags: VTOE_IO_NONBLOCK; result:
			       * bytes. All of them unless NONBLOCK or error.
			       * The memory is the backend's until then */
	VTOE_OP_RECV = 7,     /* memory; op_flags: VTOE_IO_NONBLOCK, _WAITALL,
			       * _PEEK; result: bytes, 0 at end of stream. This
			       * posts a buffer to the RQ */
	VTOE_OP_SHUTDOWN = 8, /* length: 0 read, 1 write, 2 both. Write: after
			       * the sends already submitted */
	VTOE_OP_CLOSE = 9,    /* op_flags: VTOE_CLOSE_ABORT. Drops this lane's
			       * hold; the last one closes, after the sends
			       * already submitted (ABORT: at once, with RST).
			       * Pending requests of this lane on the stream
			       * are asked to stop; each has its completion,
			       * before or after this one */
	VTOE_OP_SETOPT = 10,  /* option.level, .name (Linux numbers), .length,
			       * .value */
	VTOE_OP_GETOPT = 11,  /* option.level, .name, .length (wanted; up to 24
			       * in cqe.value; more goes to the memory named);
			       * result: bytes */
	VTOE_OP_GETNAME = 12, /* length: 0 local, 1 peer; cqe.address */
	VTOE_OP_CANCEL = 13,  /* target: user_data of requests of this lane on
			       * `stream` (or VTOE_STREAM_NONE: any); result:
			       * how many were asked to stop. Each completes by
			       * itself, -ECANCELED or what it achieved */
	VTOE_OP_POLL = 14,    /* op_flags: Linux poll(2) bits; once; result:
			       * the bits that are ready */
	VTOE_OP_GRQ_ADD = 15, /* memory: `length` bytes = count (in op_flags)
			       * buffers of equal size; returns consumed buffers
			       * likewise (count 1). No completion unless it
			       * fails */
	VTOE_OP_GRQ_MODE = 16, /* op_flags: 1 on, 0 off. On: data that arrives
			       * with no RECV posted goes to generic buffers,
			       * each a completion with VTOE_CQE_GRQ and this
			       * request's user_data. Off: completes when no
			       * more such completion will follow */
	VTOE_OP_SHARE = 17,   /* cqe.token: valid once, for VTOE_TOKEN_SECONDS,
			       * at any lane of the same guest; holds a
			       * reference to the stream until then */
	VTOE_OP_ADOPT = 18,   /* token; cqe.stream: the stream, now held by this
			       * lane too */
	VTOE_OP_REPORT = 19,  /* op_flags: enum vtoe_fallback, address: tells
			       * the backend that a socket went to the guest's
			       * kernel, and why; for `vtoectl sockets` */
	/* -- frames (VTOE_F_TTO): `stream` is a claim -- */
	VTOE_OP_CLAIM = 32,   /* op_flags: VTOE_CLAIM_*. PORT: address is the
			       * local one; else it is the peer's, and length
			       * the local port, 0: any. offset: the claim's
			       * secret. result: 0, with MORE; cqe.stream: the
			       * claim; cqe.address: the local address;
			       * cqe.length: the path's MTU */
	VTOE_OP_UNCLAIM = 33, /* completes behind the last of its aggregates, and
			       * behind the CLAIM's last, without MORE */
	VTOE_OP_SEGMENT = 34, /* memory: a struct vtoe_segment, length its size;
			       * result: bytes of payload. All memory is the
			       * guest's again then */
	VTOE_OP_AGGREGATE = 35, /* memory: as GRQ_ADD, buffers for aggregates,
				 * each at least VTOE_AGGREGATE_BUFFER_MIN */
	VTOE_OP_FLUSH = 36,   /* a claim, or VTOE_STREAM_NONE: all of this lane.
			       * Completes behind what was held for it (T42) */
};

#define VTOE_STREAM_NONE 0u
/* The stream that the last successful OPEN of this lane made: lets OPEN,
 * SETOPT, BIND, CONNECT be submitted as one batch. If that OPEN failed, every
 * request that says LAST fails with -EBADF. */
#define VTOE_STREAM_LAST 0xffffffffu

#define VTOE_TOKEN_SECONDS 10u
/* How long submitted sends may go on when their application has ended. */
#define VTOE_DRAIN_SECONDS 60u
/* Generic buffers in the pool of one lane. */
#define VTOE_GRQ_MAX 1024u

/* op_flags of OPEN; the family is address.family */
#define VTOE_OPEN_DEFAULT 0u

/* op_flags of SEND, RECV and ACCEPT */
#define VTOE_IO_NONBLOCK (1u << 0) /* complete at once, -EAGAIN if nothing */
#define VTOE_IO_WAITALL (1u << 1)  /* RECV: full, end of stream, or error */
#define VTOE_IO_PEEK (1u << 2)	   /* RECV: leave the bytes in the stream */
#define VTOE_IO_MULTI (1u << 3)	   /* ACCEPT: one completion a connection,
				    * VTOE_CQE_MORE, until cancelled */
#define VTOE_IO_PUSH (1u << 4)	   /* SEND: nothing more follows soon */
#define VTOE_IO_OOB (1u << 5)	   /* refused: -EOPNOTSUPP (no urgent data) */

#define VTOE_CLOSE_ABORT 1u

/* op_flags of CLAIM */
#define VTOE_CLAIM_PORT (1u << 0) /* a local port, for every peer */
/* How long the claims of a backend that died are kept for its guest. */
#define VTOE_CLAIM_SECONDS 10u
/* Frames that one SEGMENT may be cut into. */
#define VTOE_SEGMENT_FRAMES 128u
/* Buffers for aggregates in the pool of one lane, and the shortest one. */
#define VTOE_AGGREGATE_MAX 4096u
#define VTOE_AGGREGATE_BUFFER_MIN 2048u

/* Why a socket of the guest's is not ours (REPORT, --explain). */
enum vtoe_fallback {
	VTOE_FALLBACK_NONE = 0,
	VTOE_FALLBACK_NOT_TCP = 1,
	VTOE_FALLBACK_FAMILY = 2,
	VTOE_FALLBACK_LOOPBACK = 3,
	VTOE_FALLBACK_NO_BACKEND = 4,
	VTOE_FALLBACK_QUOTA = 5,
	VTOE_FALLBACK_OPTION = 6,
	VTOE_FALLBACK_POLICY = 7,
	VTOE_FALLBACK_INHERITED = 8,
	VTOE_FALLBACK_COUNT
};

struct vtoe_option {
	vtoe_u16 level;
	vtoe_u16 name;
	vtoe_u32 length;
	vtoe_u8 value[16];
};
VTOE_ASSERT(sizeof(struct vtoe_option) == 24);

/* flags of an entry (VTOE_F_QUIET): its completion, if it succeeds, is published
 * but is no reason to notify, unless the consumer of the CQ wants all of them
 * (VTOE_RING_WANT_ALL). For what nobody sleeps for: the SEND in front of the
 * RECV that is waited for. */
#define VTOE_SQE_QUIET (1u << 0)

struct vtoe_sqe {
	vtoe_u8 op; /* enum vtoe_op */
	vtoe_u8 flags; /* VTOE_SQE_*; unknown bits: -EINVAL */
	vtoe_u16 reserved; /* zero, else -EINVAL */
	vtoe_u32 stream;
	vtoe_u64 user_data;
	vtoe_u64 key;
	vtoe_u64 offset;
	vtoe_u32 length;
	vtoe_u32 op_flags; /* unknown bits: -EINVAL */
	union {
		struct vtoe_address address;
		struct vtoe_option option;
		vtoe_u64 target;
		vtoe_u8 token[16];
		vtoe_u8 raw[24];
	} u;
};
VTOE_ASSERT(sizeof(struct vtoe_sqe) == 64);

#define VTOE_CQE_MORE (1u << 0)	 /* further completions of this request */
#define VTOE_CQE_GRQ (1u << 1)	 /* the memory is a generic buffer, the guest's
				  * until it gives it back with GRQ_ADD */
#define VTOE_CQE_EOF (1u << 2)	 /* GRQ: end of stream (result 0) */
#define VTOE_CQE_COPIED (1u << 3) /* SEND: the kernel copied, not zero copy */
#define VTOE_CQE_NONEMPTY (1u << 4) /* more data is waiting already */

#define VTOE_CQE_FRAME (1u << 5) /* an aggregate, or one segment */
#define VTOE_CQE_CONTINUED (1u << 6) /* ... that goes on in the buffer of the next
				      * completion */

/* What SEGMENT sends: a TCP header, and where its payload lies (READ). The IP
 * header and all checksums are the backend's. */
struct vtoe_piece {
	vtoe_u64 key;
	vtoe_u64 offset;
	vtoe_u32 length;
	vtoe_u32 reserved;
};
VTOE_ASSERT(sizeof(struct vtoe_piece) == 24);

#define VTOE_SEGMENT_PIECES 3u
struct vtoe_segment {
	struct vtoe_address local;  /* must be covered by the claim */
	struct vtoe_address remote;
	vtoe_u8 head[60];	    /* TCP header and options, on the wire's
				     * order; its checksum is ignored */
	vtoe_u8 head_bytes;
	vtoe_u8 ecn;		    /* the two ECN bits of the IP header */
	vtoe_u16 segment_size;	    /* payload of each frame, when it has to be
				     * cut; 0: it goes in one */
	struct vtoe_piece pieces[VTOE_SEGMENT_PIECES]; /* length 0: unused */
	vtoe_u8 pad[8];
};
VTOE_ASSERT(sizeof(struct vtoe_segment) == 192);

/* What a buffer for aggregates begins with; payload follows it. An aggregate
 * that is CONTINUED has more payload in the next buffers, from their start. */
struct vtoe_received {
	struct vtoe_address local; /* where it was sent to */
	struct vtoe_address remote;
	vtoe_u8 head[60];	   /* TCP header and options; checksum verified */
	vtoe_u8 head_bytes;
	vtoe_u8 ecn;
	vtoe_u16 reserved;
	vtoe_u8 pad[16];
};
VTOE_ASSERT(sizeof(struct vtoe_received) == 128);

/* Metadata of an aggregate (MECHANISMS E11), with VTOE_CQE_FRAME. */
struct vtoe_aggregate {
	vtoe_u32 seq;
	vtoe_u32 ack;
	vtoe_u16 window;
	vtoe_u16 segments;
	vtoe_u16 max_segment;
	vtoe_u8 duplicate_acks;
	vtoe_u8 end_reason;
	vtoe_u32 ts_value;
	vtoe_u32 ts_echo;
};
VTOE_ASSERT(sizeof(struct vtoe_aggregate) == 24);

struct vtoe_cqe {
	vtoe_u64 user_data;
	vtoe_s32 result; /* >= 0, or a negated Linux errno */
	vtoe_u32 flags;	 /* VTOE_CQE_* */
	vtoe_u32 stream;
	vtoe_u32 length; /* bytes at key/offset, where memory was filled */
	vtoe_u64 key;
	vtoe_u64 offset;
	union {
		struct vtoe_address address;
		struct vtoe_aggregate aggregate;
		vtoe_u8 value[24];
		vtoe_u8 token[16];
	} u;
};
VTOE_ASSERT(sizeof(struct vtoe_cqe) == 64);

#endif
