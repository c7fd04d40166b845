/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flow_key.h - what makes two frames of one flow (MECHANISMS B1)
 *
 * Addresses and ports, the owner that the caller names (a guest, a lane), and
 * the VLAN identifiers: the same four numbers on two VLANs are two flows.
 */
#ifndef VTOE_ENGINE_FLOW_KEY_H
#define VTOE_ENGINE_FLOW_KEY_H

#include <stdbool.h>
#include <stdint.h>

enum {
	FLOW_IPV4 = 4,
	FLOW_IPV6 = 6
};

/* Every bit counts, so two keys are equal if their words are. */
struct flow_key {
	uint64_t address[4]; /* source, destination, as on the wire; IPv4: both
			      * in the first, the others zero */
	uint64_t ports;	     /* source, destination, owner */
	uint64_t link;	     /* version, outer and inner VLAN identifier */
};

/* What a key is made of. Addresses are in wire order, and 4 or 16 bytes. */
struct flow_tuple {
	uint8_t version; /* FLOW_IPV4 or FLOW_IPV6 */
	uint8_t source[16];
	uint8_t destination[16];
	uint16_t source_port;
	uint16_t destination_port;
	uint32_t owner;
	uint16_t outer_vid; /* 0: none */
	uint16_t inner_vid;
};

/* Of frames that go from source to destination. */
void flow_key_make(struct flow_key *key, const struct flow_tuple *t);
/* Of the frames in the other direction. Not in place. */
void flow_key_reverse(struct flow_key *to, const struct flow_key *from);
/* SipHash-1-3 under the secret: nobody outside can choose where a flow goes. */
uint64_t flow_key_hash(const struct flow_key *key, const uint64_t secret[2]);

static inline uint64_t flow_key_ports(uint16_t source, uint16_t destination,
				      uint32_t owner)
{
	return (uint64_t)source << 48 | (uint64_t)destination << 32 | owner;
}

static inline uint64_t flow_key_link(uint8_t version, uint16_t outer_vid,
				     uint16_t inner_vid)
{
	return (uint64_t)version << 32 | (uint32_t)(outer_vid & 0xfff) << 16 |
	       (inner_vid & 0xfff);
}

static inline bool flow_key_is(const struct flow_key *a,
			       const struct flow_key *b)
{
	return !((a->ports ^ b->ports) | (a->link ^ b->link) |
		 (a->address[0] ^ b->address[0]) |
		 (a->address[1] ^ b->address[1]) |
		 (a->address[2] ^ b->address[2]) |
		 (a->address[3] ^ b->address[3]));
}

#endif
