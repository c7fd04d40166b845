/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flow_key.c - keys of flows, and their hash
 *
 * The hash is SipHash (Aumasson, Bernstein) with one round per word and three
 * at the end, as hash tables use it. An IPv4 key is three words, an IPv6 key
 * six; the version is in the last word, so neither is a prefix of the other.
 */
#include "engine/flow_key.h"

#include "engine/bytes.h"

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t v, unsigned by)
{
	return v << by | v >> (64 - by);
}

static inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v0 = rotate(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v2 = rotate(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_round(s);
	s->v0 ^= word;
}

uint64_t flow_key_hash(const struct flow_key *key, const uint64_t secret[2])
{
	struct sip s = {
		secret[0] ^ 0x736f6d6570736575,
		secret[1] ^ 0x646f72616e646f6d,
		secret[0] ^ 0x6c7967656e657261,
		secret[1] ^ 0x7465646279746573,
	};
	unsigned i, words = key->link >> 32 == FLOW_IPV6 ? 4 : 1;

	for (i = 0; i < words; i++)
		sip_word(&s, key->address[i]);
	sip_word(&s, key->ports);
	sip_word(&s, key->link);
	sip_word(&s, (uint64_t)(words + 2) * 8 << 56);
	s.v2 ^= 0xff;
	for (i = 0; i < 3; i++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

void flow_key_make(struct flow_key *key, const struct flow_tuple *t)
{
	memset(key, 0, sizeof(*key));
	if (t->version == FLOW_IPV6) {
		memcpy(key->address, t->source, 16);
		memcpy(key->address + 2, t->destination, 16);
	} else {
		memcpy(key->address, t->source, 4);
		memcpy((uint8_t *)key->address + 4, t->destination, 4);
	}
	key->ports =
		flow_key_ports(t->source_port, t->destination_port, t->owner);
	key->link = flow_key_link(t->version, t->outer_vid, t->inner_vid);
}

void flow_key_reverse(struct flow_key *to, const struct flow_key *from)
{
	uint8_t half[4];

	*to = *from;
	if (from->link >> 32 == FLOW_IPV6) {
		memcpy(to->address, from->address + 2, 16);
		memcpy(to->address + 2, from->address, 16);
	} else {
		memcpy(half, from->address, 4);
		memcpy(to->address, (const uint8_t *)from->address + 4, 4);
		memcpy((uint8_t *)to->address + 4, half, 4);
	}
	to->ports = flow_key_ports((uint16_t)(from->ports >> 32),
				   (uint16_t)(from->ports >> 48),
				   (uint32_t)from->ports);
}
