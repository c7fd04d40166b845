/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_script.h - one TCP engine against a peer that a test plays by hand
 *
 * In packetdrill's manner: a test injects segments and says which segments must
 * come out, and nothing else. Sequence numbers are relative: 0 is each side's
 * SYN. Time stands still until the script waits; then timers fire in order. A
 * script fails, with its own line, as soon as anything differs.
 */
#ifndef VTOE_TESTS_TCP_SCRIPT_H
#define VTOE_TESTS_TCP_SCRIPT_H

#include "engine/tcp.h"
#include "engine/tcp_wire.h"

#define MS 1000ull
#define SECONDS 1000000ull
/* Letters of the flags, as tcpdump has them. */
#define F_ (TCP_FIN)
#define S_ (TCP_SYN)
#define R_ (TCP_RST)
#define P_ (TCP_PSH)
#define A_ (TCP_ACK)

struct script {
	struct tcp_config config;
	void *memory;
	struct tcp_stack *tcp;
	struct tcp_tuple tuple; /* as the engine sees it */
	uint64_t now;
	int conn;
	int listener;
	uint32_t iss; /* of the engine, learned from its SYN */
	uint32_t peer_iss;
	/* what the peer puts in its segments */
	bool ts;
	uint32_t tsval;
	bool tsecr_fixed; /* else what the engine sent last */
	uint32_t tsecr;
	uint16_t window;
	uint8_t ecn;
	uint16_t segments, segment_max;
	uint16_t urgent;
	uint16_t mss; /* in its SYN */
	int wscale; /* in its SYN; -1: none */
	bool sack_ok;
	struct tcp_range sack[TCP_SACK_MAX]; /* relative, once */
	uint8_t sack_count;
	uint64_t buffer; /* of the next payload */
	/* the last segment that came out */
	struct tcp_segment seg;
	struct tcp_head head;
	struct tcp_kept kept; /* of the last injection */
	int result;
	uint32_t events; /* since they were last looked at */
	int error;
};

void script_config(struct script *s);
/* Makes the stack from s->config. */
void script_begin(struct script *s);
void script_end(struct script *s);
/* The first steps of most scripts. */
void script_connect(struct script *s);
void script_listen(struct script *s);
/* ... and established; the engine has sent its ACK. */
void script_connected(struct script *s);
void script_accepted(struct script *s);
void script_wait(struct script *s, uint64_t us);
uint32_t script_events(struct script *s);
/* Takes and consumes all; -> bytes. */
uint32_t script_read(struct script *s);
enum tcp_state script_state(struct script *s);
struct tcp_status script_status(struct script *s);
struct tcp_counters script_counters(struct script *s);

void script_inject(struct script *s, uint8_t flags, uint32_t seq,
		   uint32_t length, uint32_t ack);
void script_expect(struct script *s, const char *file, int line, uint8_t flags,
		   uint32_t seq, uint32_t length, uint32_t ack);
void script_nothing(struct script *s, const char *file, int line);

/* <: from the peer. >: from the engine. flags, seq, payload, ack */
#define IN(s, flags, seq, length, ack) \
	script_inject(s, flags, seq, length, ack)
#define OUT(s, flags, seq, length, ack) \
	script_expect(s, __FILE__, __LINE__, flags, seq, length, ack)
#define QUIET(s) script_nothing(s, __FILE__, __LINE__)

#endif
