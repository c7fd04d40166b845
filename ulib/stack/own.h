/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * own.h - the data path's engine that is a TCP of our own
 *
 *   own         a device (path/device.h), a TCP stack, a wire
 *   own_stream  a stream of the contract; what backend/path does not know of it
 *   own_conn    a TCP connection and its bytes; outlives its stream until both
 *               ends have said all, and precedes it while it waits for ACCEPT
 *   own_claim   what the wire gives us: a connection's frames, or a port's
 *
 * Lives. A stream lives as path/device.h says. A connection lives until TCP is
 * through with it and no stream has it. A claim lives until nobody uses it: the
 * streams that are bound to it, the connections whose frames come by it; one of a
 * single connection a moment longer, to answer a FIN that comes again.
 *
 * What we send to ourselves does not go to the wire (own_local.c): a claim of it
 * is `self`, the connection `local`.
 *
 * The turn (own_turn.c) is path's: lanes are served, then toe_issue() takes what
 * came from the wire, lets TCP act, lets streams go on, and sends. One thread.
 */
#ifndef VTOE_STACK_OWN_H
#define VTOE_STACK_OWN_H

#include "path/path.h"

#include "engine/tcp.h"
#include "stack/wire.h"

#define OWN_BUCKETS 1024u
#define OWN_LOCAL_MAX 1024u /* packets to ourselves, and a batch more */

enum own_claim_state {
	OWN_CLAIM_FREE = 0,
	OWN_CLAIM_ASKED,  /* the wire will answer */
	OWN_CLAIM_READY,
	OWN_CLAIM_FAILED, /* its last user frees it */
	OWN_CLAIM_LATE,	  /* nobody uses it; it ends at its time */
	OWN_CLAIM_DEAD,	  /* nobody uses it; the wire's answer is awaited */
};

struct own_claim {
	struct list node;  /* on own.late */
	struct list uses;  /* PORT: struct own_use, that are bound to it */
	struct list listening; /* of these, struct own_use.listen_node */
	struct own *own;
	struct own_stream *connecting; /* of one connection: who asked */
	uint32_t id;
	uint32_t users;
	uint8_t state;	   /* enum own_claim_state */
	bool port;
	bool self;	   /* to ourselves: the wire does not know of it */
	bool back;	   /* its connections are to know that it is */
	bool closed;	   /* TCP has waited for the peer's last words */
	int listener;	   /* of TCP; 0: none */
	int error;
	struct wire_claim what;
	struct vtoe_address local;
	uint32_t mtu;
	uint64_t until_us; /* LATE */
};

/* A stream that is bound to a port. A dual-stack listener is to two. */
struct own_use {
	struct list node;
	struct list listen_node;
	struct own_claim *claim;
	struct own_stream *stream;
};

/* Numbers that options are kept in, in the order of own_options.c's table. */
enum own_value {
	OWN_REUSEADDR, OWN_REUSEPORT, OWN_KEEPALIVE, OWN_RCVBUF, OWN_SNDBUF,
	OWN_RCVLOWAT, OWN_OOBINLINE, OWN_DONTROUTE, OWN_NODELAY, OWN_CORK,
	OWN_KEEPIDLE, OWN_KEEPINTVL, OWN_KEEPCNT, OWN_SYNCNT, OWN_LINGER2,
	OWN_DEFER_ACCEPT, OWN_WINDOW_CLAMP, OWN_QUICKACK, OWN_USER_TIMEOUT,
	OWN_NOTSENT_LOWAT, OWN_MAXSEG, OWN_CC, OWN_TOS, OWN_TTL,
	OWN_MTU_DISCOVER, OWN_NO_PORT, OWN_V6ONLY, OWN_HOPS, OWN_TCLASS,
	OWN_MTU_DISCOVER6, OWN_VALUES
};

struct own_conn {
	struct list hash_node;
	struct list backlog_node; /* of a listener, until ACCEPT */
	struct own *own;
	struct own_stream *stream; /* NULL: not accepted yet, or closed */
	struct own_claim *claim;   /* whose frames are its */
	int id;			   /* of TCP */
	int error;		   /* why it was reset, until told */
	bool local;		   /* its peer is in this stack, too */
	bool connected;
	bool eof;		   /* the peer has said all */
	bool reset;
	bool over;		   /* TCP is through with it */
	bool shut_read, shut_write;
	bool left;		   /* the application has closed it */
	/* the send stream's bytes [acked, queued), at offset % ring_bytes */
	uint8_t *ring;
	uint32_t ring_bytes;
	uint64_t acked, queued;
	/* received, in order: pieces taken from TCP and not consumed */
	struct tcp_piece *pieces;
	uint32_t piece_first, piece_count;
};

struct own_stream {
	struct stream s; /* first: path frees it */
	struct own_conn *conn;
	struct own_claim *claim; /* of the connection that CONNECT makes */
	struct own_use use[2];
	struct vtoe_address bound; /* family 0: not */
	struct list backlog;	 /* struct own_conn */
	struct list linger_node; /* on own.lingering */
	uint32_t backlog_count, backlog_max;
	bool listen_asked;
	bool abort_close;	 /* SO_LINGER with 0 seconds */
	bool filling;		 /* its generic buffers, now */
	int error;		 /* SO_ERROR without a connection */
	int32_t values[OWN_VALUES];
};

struct own {
	struct device device; /* first */
	struct wire *wire;
	struct tcp_stack *tcp;
	void *memory;
	struct own_claim *claims;
	uint32_t claim_max, claim_used;
	uint32_t claim_top; /* those from here on are free */
	bool back;	  /* some claims are */
	struct list late; /* claims, by time */
	uint32_t late_count;
	struct list conns[OWN_BUCKETS];
	struct list lingering; /* closes that wait until all is acknowledged */
	uint32_t conn_count;
	struct list local; /* packets to ourselves, for the next turn */
	uint32_t local_count;
	uint16_t local_port; /* that was given last */
	struct wire_event event;
};

static inline struct own *own_of(struct device *d)
{
	return (struct own *)d;
}

static inline struct own_stream *own_stream_of(struct stream *s)
{
	return (struct own_stream *)s;
}

/* -- own_turn.c -- */
struct own_params {
	struct device_limits limits;
	struct tcp_config tcp;
	struct wire *wire;
	uint32_t claims;
};
/* Good values for all but the wire and the key. */
void own_params_init(struct own_params *p);
int own_init(struct own *o, const struct own_params *p,
	     struct vtoe_stats *stats);
void own_free(struct own *o);
/* What TCP has to send goes to the wire. -> was there anything? */
bool own_output(struct own *o);

/* -- own_claim.c -- */
/* Asks the wire; NULL: too many. It has one user then. */
struct own_claim *own_claim_new(struct own *o, const struct wire_claim *what);
/* One to an address of our own, in force at once. */
struct own_claim *own_claim_new_self(struct own *o,
				     const struct wire_claim *what);
/* The last user's end; `late`: it stays for a moment. */
void own_claim_put(struct own_claim *c, bool late);
/* The wire's answer. */
void own_claim_answer(struct own *o, const struct wire_event *e);
/* A port that is claimed already, by its local address; NULL: none. */
struct own_claim *own_claim_find(struct own *o, unsigned family,
				 const uint8_t ip[16], uint16_t port);
/* Whose frames a segment of no connection is of; NULL: nobody's. */
struct own_claim *own_claim_of_tuple(struct own *o, const struct tcp_tuple *t);
/* Ends those whose time has come. -> when the next one's comes */
uint64_t own_claim_expire(struct own *o, uint64_t now_us);
unsigned own_claim_mss(const struct own_claim *c);

/* -- own_address.c -- */
bool own_address_is_any(const struct vtoe_address *a);
/* ::ffff:a.b.c.d becomes a.b.c.d. */
void own_address_unmap(struct vtoe_address *a);
void own_address_map(struct vtoe_address *a);
/* Local (0) or peer's (1) address of a connection, as a stream of `family` has
 * it. */
void own_address_of(struct own_conn *c, unsigned which, unsigned family,
		    struct vtoe_address *out);

/* -- own_local.c -- */
/* Is this address the device's, or does a stream of ours have it? */
bool own_local_is(struct own *o, unsigned family, const uint8_t ip[16]);
/* A port for a connection to ourselves; 0: none. */
uint16_t own_local_port(struct own *o);
void own_local_send(struct own *o, const struct tcp_segment *seg,
		    const struct iovec payload[2]);
/* Those that were there when it was called. */
void own_local_receive(struct own *o, bool *busy);
void own_local_free(struct own *o);
/* A packet's way into TCP. */
void own_packet_input(struct own *o, const struct tcp_packet *p);
/* The buffer of a reference is given back. */
void own_give_back(struct own *o, uint64_t buffer);

/* -- own_conn.c -- */
/* NULL: no memory. Holds the claim. */
struct own_conn *own_conn_new(struct own_claim *claim, int id);
struct own_conn *own_conn_find(struct own *o, int id);
void own_conn_event(struct own_conn *c, uint32_t what, int error);
/* The wire has no way to its peer: CONNECT ends so. Later it may be a matter of
 * a moment, as in Linux. */
void own_conn_unreachable(struct own *o, int id, int result);
/* The application has closed it, or it was never accepted. */
void own_conn_leave(struct own_conn *c, bool abort);
/* Those of claims that are back go on at once. */
void own_conn_back_all(struct own *o);
/* Frees it, if TCP is through and no stream has it. */
void own_conn_try_free(struct own_conn *c);
/* How many more bytes it takes; how many it has taken. */
uint32_t own_conn_room(const struct own_conn *c);
uint32_t own_conn_write(struct own_conn *c, struct span from);
/* Where bytes of the send stream are. */
void own_conn_payload(const struct own_conn *c, uint64_t offset,
		      uint32_t length, struct iovec payload[2]);
/* -> bytes copied; with `peek` they stay. */
uint32_t own_conn_read(struct own_conn *c, struct span to, bool peek);
static inline bool own_conn_readable(const struct own_conn *c)
{
	return c->piece_count > 0;
}
/* All that is there to read. */
uint64_t own_conn_unread(const struct own_conn *c);
/* What a read or write meets behind the bytes: 0, or -errno, once. */
int own_conn_take_error(struct own_conn *c);
/* Has the peer everything, our FIN too? */
bool own_conn_delivered(const struct own_conn *c);

/* -- own_stream.c -- */
struct own_stream *own_stream_new(struct lane *lane, unsigned family,
				  int *error);
/* Something happened to its connection: whatever can go on does. */
void own_stream_progress(struct own_stream *st);
/* Closes that linger: is everything acknowledged? */
void own_stream_linger_all(struct own *o);

/* -- own_ops.c -- */
/* The port's claim was answered, or the connection's. */
void own_port_answered(struct own_use *use, int result);
void own_connect_answered(struct own_stream *st, int result);
/* CONNECT has ended. */
void own_connect_done(struct own_stream *st, int result);
/* Lets go of the ports. */
void own_unbind(struct own_stream *st);

/* -- own_send.c, own_recv.c, own_generic.c, own_wait.c, own_options.c -- */
void own_send_progress(struct own_stream *st);
void own_recv_progress(struct own_stream *st);
void own_generic_fill(struct own_stream *st);
uint32_t own_poll_bits(struct own_stream *st);
void own_poll_wake(struct own_stream *st);
/* Takes connections that TCP has for a listener. */
void own_accept_pull(struct own_claim *claim);
struct own_claim *own_accept_listener(struct own *o, int listener);
void own_options_init(struct own_stream *st);
/* To a connection that is new. */
void own_options_apply(struct own_stream *st);
/* To one that no stream has yet: who may share its port, as its listener says. */
void own_options_inherit(const struct own_stream *from, int conn);

#endif
