/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine_rig.h - a wire before the aggregator and a guest behind it
 *
 * A segment is described by a net_seg, and made into a frame in memory of its
 * own exact size. Whatever comes out is checked at once and on all accounts:
 * an aggregate's header must be, byte for byte, the one that a sender would
 * have written who sent its payload in one piece; frames come out once, those
 * of a flow in their order; nothing is held for too long or beyond a limit.
 * Then the frames are freed, as their owner may do. What came out is also
 * written down in words for a test to compare:
 *
 *	A3:fin F:fin A2:flush	three segments, ended by FIN; the FIN; two
 *
 * Nothing here uses the engine's own parsing, comparing or adding up.
 */
#ifndef VTOE_TESTS_ENGINE_RIG_H
#define VTOE_TESTS_ENGINE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/aggregate.h"

#define NET_MSS 1000u
#define NET_MS 1000000ull

struct net_seg {
	uint32_t flow; /* decides the addresses */
	uint16_t source_port;
	bool v6;
	uint8_t tags; /* VLAN tags: 0 to 3 */
	uint16_t tci[3];
	uint8_t mac;
	uint8_t tos;
	uint8_t ttl;
	uint32_t label;
	uint16_t fragment; /* IPv4: flags and offset */
	uint16_t id;
	uint8_t protocol;
	uint8_t ip_options; /* IPv4: words of NOP */
	uint8_t extensions; /* IPv6: how many of extension[] */
	uint8_t extension[4];
	uint32_t seq;
	uint32_t ack;
	uint16_t flags;
	uint16_t window;
	uint16_t urgent;
	bool ts;
	uint32_t ts_value;
	uint32_t ts_echo;
	uint8_t option[40]; /* TCP options beside */
	uint8_t option_length;
	uint32_t length; /* of payload */
	uint8_t pad;	 /* bytes of garbage behind the IP datagram */
	bool bad_ip;
	bool bad_tcp;
	bool no_ports;	/* it is of no flow that could be told: no order */
	uint32_t owner;
	uint32_t input_flags; /* FRAME_* */
};

#define NET_DF 0x4000u

/* A data segment of the flow: IPv4, ACK, NET_MSS bytes from seq 1000. */
struct net_seg net_first(uint32_t flow);
/* What its sender would send next: seq, ID and the rest go on. */
struct net_seg net_after(const struct net_seg *s);
/* The frame. *length: its bytes. To be freed. */
uint8_t *net_build(const struct net_seg *s, uint32_t *length);
/* The byte of a flow's stream at a sequence number. */
uint8_t net_byte(uint32_t flow, uint32_t seq);
/* RFC 1071, the slow way; 0xffff over data that has a right checksum. */
uint16_t net_sum(const uint8_t *at, size_t bytes, uint32_t sum);

enum { RIG_FRAMES = 1 << 16, RIG_WORDS = 1 << 14 };

struct rig_frame {
	struct net_seg seg;
	uint8_t *data; /* NULL: freed */
	uint32_t length;
	uint64_t at; /* `now` */
	uint32_t order; /* among the frames of its flow */
};

struct rig {
	struct aggregate_config config;
	struct aggregator a;
	void *memory;
	uint64_t now;
	struct rig_frame *frames; /* a ref is an index */
	uint32_t count;
	uint32_t sent[4096];	  /* frames, of each flow */
	uint32_t next_order[4096]; /* of each flow: no older one may come */
	bool any_order;		  /* isles: not in order of arrival */
	bool quiet;		  /* words are not written */
	uint64_t slack;		  /* how late the timer may be called */
	uint64_t delivered_bytes;
	struct delivery last;	  /* the last delivery; its segments are gone */
	unsigned last_lengths[256]; /* of its segments */
	char words[RIG_WORDS];
	char error[256];	  /* the first thing that was wrong */
	/* what else a delivery must be; sets the error */
	void (*judge)(struct rig *r, const struct delivery *d,
		      const uint32_t *frames, unsigned count);
	void *judge_state;
};

void rig_default(struct aggregate_config *c);
/* NULL: the default */
void rig_start(struct rig *r, const struct aggregate_config *c);
/* Flushes, checks that all came out, and asserts that nothing was wrong. */
void rig_stop(struct rig *r);
/* The same, but only says what was wrong; NULL: nothing. */
const char *rig_finish(struct rig *r);
void rig_fail(struct rig *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

void rig_push(struct rig *r, const struct net_seg *s);
/* Bytes that are no net_seg; they are copied, and belong to no flow. */
void rig_push_raw(struct rig *r, const uint8_t *data, uint32_t length,
		  uint32_t flags);
/* count segments, each after the one before; *s is then the next one. */
void rig_send(struct rig *r, struct net_seg *s, unsigned count);
/* Lets time go by, and calls the timer whenever it is due, and at the end. */
void rig_pass(struct rig *r, uint64_t time);
void rig_flush(struct rig *r, enum end_reason reason);
void rig_take(struct rig *r, struct delivery *d, unsigned count);
/* Key of the flow that a segment is of. */
struct flow_key net_key(const struct net_seg *s);

/* Compares what came out since the last time. */
#define rig_expect(r, text)                                 \
	do {                                                \
		assert_string_equal((r)->words, text);      \
		(r)->words[0] = 0;                          \
	} while (0)

#endif
