/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_sim.h - two TCP engines on a simulated wire, in virtual time
 *
 * Host 0 connects, host 1 listens. Each sends `bytes` of a stream whose every
 * byte is a function of its place, and checks what it receives. The wire cuts
 * large segments like a NIC (and checks that they may be cut so), and loses,
 * delays, duplicates, corrupts, marks and reorders packets, all from one seed;
 * the receiving side may aggregate. It also checks the engine's promises: the
 * ownership of each payload reference, the bytes that a segment names, the sums
 * of the records (tcp_check.c).
 */
#ifndef VTOE_TESTS_TCP_SIM_H
#define VTOE_TESTS_TCP_SIM_H

#include "engine/tcp.h"

struct sim_config {
	uint64_t seed;
	uint64_t start;	     /* of virtual time; 0: by the seed */
	struct tcp_config tcp[2];
	unsigned family;
	unsigned mtu;	     /* payload of IP: TCP header and payload */
	unsigned mtu_later;  /* 0: stays; after the time below */
	uint64_t mtu_at;
	uint64_t delay;	     /* microseconds, one way */
	uint64_t jitter;     /* added at random: packets overtake */
	uint64_t rate;	     /* bytes per second; 0: no limit */
	uint64_t queue;	     /* bytes before the rate's limit drops */
	unsigned loss;	     /* in 10,000 */
	unsigned duplicate;
	unsigned corrupt;
	unsigned mark;	     /* CE on what is ECT */
	uint64_t outage_at;  /* everything is lost from here */
	uint64_t outage_for;
	unsigned aggregate;  /* packets at most; 0 or 1: none */
	uint64_t bytes[2];   /* that each host sends */
	unsigned chunk[2];   /* of one tcp_send() */
	unsigned window[2];  /* bytes given and not acknowledged at most */
	unsigned read_percent[2]; /* chance of reading; 100: at once */
	bool abort;	     /* host 0 aborts in the middle */
	bool close_at_once;  /* tcp_close() instead of _shutdown() at the end */
	bool drop_syn;	     /* the first SYN is lost */
	uint64_t limit;	     /* of virtual time */
};

struct sim_packet {
	uint64_t at;
	uint64_t order;
	struct tcp_tuple tuple; /* as the receiver sees it */
	unsigned to;
	unsigned head_bytes;
	unsigned length;
	unsigned ecn;
	uint8_t head[TCP_HEAD_MAX];
	uint8_t data[];
};

/* A received payload while the engine or the application has it. */
struct sim_buffer {
	struct sim_packet *packet;
	bool kept;
};

struct sim_host {
	void *memory;
	struct tcp_stack *tcp;
	int conn;
	int listener;
	bool connected, eof, done, closed, shut, readable, freed;
	int error;
	uint64_t sent;	   /* given by tcp_send() */
	uint64_t received; /* checked */
	uint64_t packets;  /* that it put on the wire */
	uint64_t busy_until;
	unsigned mss;
	uint32_t refs;	   /* kept and not yet given back */
	unsigned pending_count; /* for aggregation */
	struct sim_packet *pending[64];
};

struct sim {
	struct sim_config c;
	uint64_t now;
	uint64_t random;
	uint64_t order;
	struct sim_host host[2];
	struct sim_packet **heap;
	unsigned heap_count, heap_room;
	struct sim_buffer *buffers;
	uint64_t buffer_count, buffer_room;
	char failure[256];
};

void sim_config_init(struct sim_config *c, uint64_t seed);
/* Everything at random. */
void sim_config_random(struct sim_config *c, uint64_t seed);
/* -> 0; else `failure` says what went wrong. */
int sim_run(struct sim *sim, const struct sim_config *c);
void sim_free(struct sim *sim);
uint64_t sim_random(uint64_t *state);

/* tcp_check.c: NULL, or what is inconsistent in a stack's memory. */
const char *tcp_check(struct tcp_stack *s);

#endif
