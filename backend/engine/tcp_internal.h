/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_internal.h - which file of the TCP engine does what for which other
 *
 * Calls go downwards:
 *
 *	entries		tcp_user, tcp_input, tcp_timer, tcp_output
 *	a segment	tcp_listen, tcp_cookie, tcp_syn, tcp_ack
 *	what is lost	tcp_recovery, tcp_rtt, tcp_sack, tcp_rack, tcp_flight
 *	windows		tcp_cc (tcp_cubic, tcp_newreno), tcp_receive
 *	life		tcp_conn
 *	tables, bytes	tcp_heap, tcp_table, tcp_reply, tcp_build, tcp_options
 *
 * but for tcp_conn, which empties tcp_flight and tcp_receive at a connection's
 * end and starts tcp_cc at its begin, and tcp_build, which asks tcp_receive and
 * tcp_sack what an ACK has to say.
 */
#ifndef VTOE_ENGINE_TCP_INTERNAL_H
#define VTOE_ENGINE_TCP_INTERNAL_H

#include "engine/tcp_state.h"

/* -- tcp_table.c: names, lists, the table ---------------------------------- */

void tcp_list_init(struct tcp_list *l);
void tcp_list_add(struct tcp_stack *s, struct tcp_list *l,
		  enum tcp_list_kind kind, struct tcp_conn *c);
void tcp_list_del(struct tcp_stack *s, struct tcp_list *l,
		  enum tcp_list_kind kind, struct tcp_conn *c);
struct tcp_conn *tcp_list_pop(struct tcp_stack *s, struct tcp_list *l,
			      enum tcp_list_kind kind);
struct tcp_conn *tcp_table_find(struct tcp_stack *s, const struct tcp_tuple *t);
void tcp_table_add(struct tcp_stack *s, struct tcp_conn *c);
void tcp_table_del(struct tcp_stack *s, struct tcp_conn *c);
int tcp_conn_name(const struct tcp_conn *c);
/* NULL: a stale name, or none. */
struct tcp_conn *tcp_conn_named(struct tcp_stack *s, int name);
struct tcp_listener *tcp_listener_named(struct tcp_stack *s, int name);
int tcp_listener_name(uint32_t index);
struct tcp_listener *tcp_listener_find(struct tcp_stack *s,
				       const struct tcp_tuple *t);

/* -- tcp_heap.c ------------------------------------------------------------ */

/* After a change of any of the connection's times. */
void tcp_heap_update(struct tcp_stack *s, struct tcp_conn *c);
void tcp_heap_remove(struct tcp_stack *s, struct tcp_conn *c);
uint64_t tcp_heap_earliest(const struct tcp_conn *c);
/* Takes out one whose time has come; NULL: none. */
struct tcp_conn *tcp_heap_due(struct tcp_stack *s, uint64_t now);

/* -- tcp_conn.c: life ------------------------------------------------------ */

/* A fresh one, in the table; NULL when there is no room. */
struct tcp_conn *tcp_conn_make(struct tcp_stack *s, const struct tcp_tuple *t,
			       uint32_t mss, uint64_t now);
/* To CLOSED, with _CLOSED (error 0) or _RESET; may free it. */
void tcp_conn_finish(struct tcp_stack *s, struct tcp_conn *c, int error);
void tcp_conn_reset(struct tcp_stack *s, struct tcp_conn *c, int error);
void tcp_conn_time_wait(struct tcp_stack *s, struct tcp_conn *c, uint64_t now);
void tcp_conn_free(struct tcp_stack *s, struct tcp_conn *c);
void tcp_conn_event(struct tcp_stack *s, struct tcp_conn *c, uint32_t what);
void tcp_conn_established(struct tcp_stack *s, struct tcp_conn *c,
			  uint64_t now);
void tcp_conn_stop_timers(struct tcp_conn *c);
/* Output and timers, after anything that happened to it. */
void tcp_conn_touch(struct tcp_stack *s, struct tcp_conn *c);
void tcp_conn_challenge(struct tcp_stack *s, struct tcp_conn *c, uint64_t now);
uint32_t tcp_conn_isn(const struct tcp_stack *s, const struct tcp_tuple *t,
		      uint64_t now);
uint32_t tcp_conn_ts_offset(const struct tcp_stack *s,
			    const struct tcp_tuple *t);
/* Payload of a full segment, options of every segment subtracted. */
uint32_t tcp_conn_mss(const struct tcp_conn *c);
void tcp_conn_options(struct tcp_stack *s, struct tcp_conn *c,
		      const struct tcp_head *h);

static inline uint32_t tcp_conn_ts(const struct tcp_conn *c, uint64_t now)
{
	return (uint32_t)(now / TCP_US_PER_MS) + c->ts_offset;
}

static inline bool tcp_state_synchronized(uint8_t state)
{
	return state >= TCP_ST_ESTABLISHED;
}

/* Sequence number of the end of what was queued: the FIN's, if one is. */
static inline uint32_t tcp_conn_queue_end(const struct tcp_conn *c)
{
	return c->snd_una + (uint32_t)(c->queued - c->una_offset);
}

/* -- tcp_reply.c: segments of no connection -------------------------------- */

void tcp_reply(struct tcp_stack *s, const struct tcp_tuple *t,
	       struct tcp_head *h);
/* The reset that answers a segment (RFC 9293, 3.10.7.1). */
void tcp_reply_reset(struct tcp_stack *s, const struct tcp_arrival *in);

/* -- tcp_flight.c: what was sent and is not acknowledged ------------------- */

uint32_t tcp_flight_pipe(const struct tcp_conn *c);
/* NULL when there is no room; the caller then waits for an ACK. */
struct tcp_sent *tcp_flight_append(struct tcp_stack *s, struct tcp_conn *c,
				   uint32_t seq, uint32_t end, uint64_t now);
/* Cuts a record; it keeps [seq, at). */
bool tcp_flight_split(struct tcp_stack *s, struct tcp_conn *c,
		      struct tcp_sent *r, uint32_t at);
void tcp_flight_mark_sacked(struct tcp_conn *c, struct tcp_sent *r);
void tcp_flight_mark_lost(struct tcp_conn *c, struct tcp_sent *r);
void tcp_flight_mark_resent(struct tcp_conn *c, struct tcp_sent *r,
			    uint64_t now);
/* A retransmission is lost as well. */
void tcp_flight_unmark_resent(struct tcp_conn *c, struct tcp_sent *r);
void tcp_flight_clear_lost(struct tcp_conn *c, struct tcp_sent *r);
void tcp_flight_clear_sacked(struct tcp_conn *c, struct tcp_sent *r);
/* Removes and cuts what is below `ack`, with what it says of time. */
void tcp_flight_ack(struct tcp_stack *s, struct tcp_conn *c, uint32_t ack,
		    const struct tcp_head *h, struct tcp_acked *a,
		    uint64_t now);
void tcp_flight_free(struct tcp_stack *s, struct tcp_conn *c);

/* -- tcp_sack.c ------------------------------------------------------------ */

/* The peer's blocks, into the records (RFC 2018, 2883). */
void tcp_sack_input(struct tcp_stack *s, struct tcp_conn *c,
		    const struct tcp_head *h, struct tcp_acked *a,
		    uint64_t now);
/* The byte at `seq` was received out of order. */
void tcp_sack_note(struct tcp_stack *s, struct tcp_conn *c, uint32_t seq);
/* Our blocks, for a segment with room for `max` of them. */
void tcp_sack_blocks(struct tcp_stack *s, struct tcp_conn *c,
		     struct tcp_head *h, unsigned max);

/* -- tcp_rack.c: RFC 8985 -------------------------------------------------- */

/* A record was acknowledged, up to `end`. */
void tcp_rack_delivered(struct tcp_conn *c, const struct tcp_sent *r,
			uint32_t end, const struct tcp_head *h, uint64_t now);
/* Marks what must be lost; arms the reordering timer. -> something was */
bool tcp_rack_detect(struct tcp_stack *s, struct tcp_conn *c, uint64_t now);
/* A round that showed (or not) needless retransmissions. */
void tcp_rack_adapt(struct tcp_conn *c, const struct tcp_acked *a);
void tcp_tlp_ack(struct tcp_stack *s, struct tcp_conn *c, uint32_t ack,
		 const struct tcp_acked *a, uint64_t now);
/* TCP_NEVER: no probe now. */
uint64_t tcp_tlp_timeout(struct tcp_stack *s, const struct tcp_conn *c,
			 uint64_t now);

/* -- tcp_rtt.c: RFC 6298 --------------------------------------------------- */

void tcp_rtt_sample(struct tcp_stack *s, struct tcp_conn *c, uint64_t rtt);
/* Arms RTO or TLP for what is in flight, or nothing. */
void tcp_rtt_arm(struct tcp_stack *s, struct tcp_conn *c, uint64_t now);
uint64_t tcp_rtt_backed_off(const struct tcp_stack *s,
			    const struct tcp_conn *c);

/* -- tcp_recovery.c -------------------------------------------------------- */

void tcp_recovery_ack(struct tcp_stack *s, struct tcp_conn *c,
		      const struct tcp_head *h, const struct tcp_acked *a,
		      uint64_t now);
void tcp_recovery_timeout(struct tcp_stack *s, struct tcp_conn *c,
			  uint64_t now);
/* RFC 8985's timer has fired: what is lost now? */
void tcp_recovery_reorder(struct tcp_stack *s, struct tcp_conn *c,
			  uint64_t now);
void tcp_recovery_enter(struct tcp_conn *c, uint64_t now);
/* The path's MTU fell: what was too large is lost, but not to congestion. */
void tcp_recovery_mss(struct tcp_stack *s, struct tcp_conn *c, uint64_t now);

/* -- tcp_cc.c and its algorithms ------------------------------------------- */

struct tcp_cc {
	const char *name;
	void (*reset)(struct tcp_conn *c);
	/* `acked` bytes, in congestion avoidance. */
	void (*avoid)(struct tcp_conn *c, uint32_t acked, uint64_t now);
	/* What the window becomes after a loss or a mark. */
	uint32_t (*reduce)(struct tcp_conn *c, uint64_t now);
};

extern const struct tcp_cc tcp_cc_cubic;
extern const struct tcp_cc tcp_cc_newreno;

void tcp_cc_init(struct tcp_conn *c);
void tcp_cc_ack(struct tcp_conn *c, uint32_t acked, uint64_t now);
/* Sets ssthresh; the caller sets cwnd. */
void tcp_cc_reduce(struct tcp_conn *c, uint64_t now);
void tcp_cc_idle(struct tcp_conn *c);
uint32_t tcp_cc_initial(const struct tcp_conn *c);

/* -- tcp_receive.c --------------------------------------------------------- */

void tcp_receive_data(struct tcp_stack *s, struct tcp_conn *c,
		      struct tcp_arrival *in);
/* The window to tell, in bytes; moves the edge. */
uint32_t tcp_receive_window(struct tcp_stack *s, struct tcp_conn *c);
bool tcp_receive_window_grew(struct tcp_stack *s, const struct tcp_conn *c);
/* Everything that is held only waits to be given back. */
void tcp_receive_drop(struct tcp_stack *s, struct tcp_conn *c);

/* -- the states of a segment's arrival ------------------------------------- */

/* tcp_ack.c; false: the segment is finished. */
bool tcp_ack_input(struct tcp_stack *s, struct tcp_conn *c,
		   struct tcp_arrival *in);
/*
 * tcp_listen.c: a segment to a listener. -> the connection that a cookie made,
 * to which it then belongs
 */
struct tcp_conn *tcp_listen_input(struct tcp_stack *s, struct tcp_listener *l,
				  struct tcp_arrival *in);
/* tcp_syn.c: SYN-SENT, and what is special in SYN-RECEIVED. */
void tcp_syn_sent_input(struct tcp_stack *s, struct tcp_conn *c,
			struct tcp_arrival *in);
/* tcp_cookie.c */
void tcp_cookie_send(struct tcp_stack *s, struct tcp_listener *l,
		     const struct tcp_arrival *in);
/* NULL: it is none. */
struct tcp_conn *tcp_cookie_accept(struct tcp_stack *s, struct tcp_listener *l,
				   const struct tcp_arrival *in);

/* -- tcp_build.c: headers -------------------------------------------------- */

/* A segment of the connection with these flags; its payload is [seq, end). */
void tcp_build_segment(struct tcp_stack *s, struct tcp_conn *c,
		       struct tcp_segment *out, uint32_t seq, uint32_t length,
		       uint8_t flags, uint64_t now);
void tcp_build_ack(struct tcp_stack *s, struct tcp_conn *c,
		   struct tcp_segment *out, uint32_t seq, uint32_t ack,
		   uint64_t now);
void tcp_build_syn(struct tcp_stack *s, struct tcp_conn *c,
		   struct tcp_segment *out, uint64_t now);
/* The window of a SYN, which is never scaled. */
uint32_t tcp_build_syn_window(const struct tcp_conn *c);
void tcp_build_finish(struct tcp_stack *s, struct tcp_segment *out,
		      const struct tcp_tuple *t, struct tcp_head *h);

#endif
