/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * event.h - what ends a collection (MECHANISMS D), and what follows from it
 *
 * A reason has the number of its row, T01 to T45; counters, completions and
 * tests name it so. The reasons after 45 end nothing by themselves: they say
 * why a frame passed alone. An event is a reason, or one of the few forms of a
 * reason that call for another action (T18 is CS when the option comes or goes,
 * CP when TSval goes back).
 */
#ifndef VTOE_ENGINE_EVENT_H
#define VTOE_ENGINE_EVENT_H

#include <stdint.h>

enum end_reason {
	END_NONE = 0,
	END_PSH = 1,
	END_FIN = 2,
	END_RST = 3,
	END_SYN = 4,
	END_URG = 5,
	END_ECN_FLAGS = 6, /* ECE, CWR, or a flag that is reserved */
	END_ECN_CE = 7,
	END_TOS = 8,
	END_TTL = 9,
	END_FLOW_LABEL = 10,
	END_DF = 11,
	END_IP_ID = 12,
	END_IP_OPTIONS = 13,
	END_FRAGMENT = 14,
	END_BAD_IP = 15,  /* the checksum, or a length of the IP header */
	END_BAD_TCP = 16, /* the checksum, or the length of the header */
	END_TCP_OPTIONS = 17,
	END_TIMESTAMP = 18,
	END_TCP_LENGTH = 19, /* never: two plain headers differ in length
			      * exactly when T18 applies */
	END_GAP = 20,
	END_DUPLICATE = 21,
	END_OVERLAP = 22,
	END_JOIN = 23,
	END_BYTES = 24,
	END_COUNT = 25,
	END_RUNT = 26,
	END_LARGER = 27,
	END_TIMER = 28,
	END_BATCH = 29,
	END_TABLE_FULL = 30,
	END_LOW_BUFFERS = 31,
	END_PURE_ACK = 32,
	END_DUPLICATE_ACK = 33,
	END_ACK_CHANGES = 34,
	END_WINDOW = 35,
	END_LINK = 36, /* VLAN tag or MAC pair */
	END_TUNNEL = 37,
	END_PROTOCOL = 38,
	END_CONFIG = 39,
	END_OWNER = 40,
	END_LINK_DOWN = 41,
	END_FLUSH = 42,
	END_BOUNDARY = 43,
	END_NOT_ETHERNET = 44,
	END_RESOURCE = 45,
	/* -- why a frame passed alone, beside the above -- */
	PASS_NO_ACK = 46,     /* C2: no flag at all, or without ACK */
	PASS_NOT_CHOSEN = 47, /* B8: not opted in, or aggregation is off */
	PASS_NO_ENTRY = 48,   /* B3: create_on=syn, and no SYN was seen */
	END_REASONS,
	/* -- events that are another form of a reason -- */
	EVENT_TS_OLD = END_REASONS, /* T18 as CP: TSval back, TSecr zero */
	EVENT_OVERSIZE, /* T24 as CP: a frame beyond the limit by itself */
	EVENT_RESTART,	/* T21 as CS: the expectation was wrong */
	EVENTS
};

enum event_action {
	ACTION_NONE, /* no flow is concerned: the frame passes */
	ACTION_AC,   /* append, then close */
	ACTION_CS,   /* close, then the trigger starts a new one */
	ACTION_CP,   /* close, then the trigger passes alone */
	ACTION_CO,   /* close only, there is no trigger */
};

/* What becomes of the flow's entry besides. */
enum event_effect {
	EFFECT_NONE,
	EFFECT_FORGET, /* the entry goes (B7) */
	EFFECT_REOPEN, /* a new generation: the next sequence number is known */
	EFFECT_UNKNOWN, /* what comes next is not known any more */
};

struct event_rule {
	uint8_t reason;
	uint8_t action;
	uint8_t effect;
};

/* Indexed by event. */
extern const struct event_rule event_rules[EVENTS];

/* A short name, as "psh" or "flt_full"; "?" for a number that is none. */
const char *event_reason_name(unsigned reason);

#endif
