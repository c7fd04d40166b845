/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flow_table.c - open addressing with a bounded window
 *
 * Half of a hash, never zero, is the slot's tag; tags lie side by side, so a
 * look-up reads a cache line of them and then, nearly always, one entry.
 *
 * The victim is an entry that holds nothing, if there is one: its flow loses
 * only what is expected next. With create_on=syn it loses more, for no later
 * segment makes a new one; so a flood of SYNs takes the place of other SYNs
 * before that of connections that carry data. Among entries that all hold
 * something it is a random one: with one flow more than there are slots, taking
 * the longest unused would take each flow's entry just before its next frame
 * comes.
 */
#include "engine/flow_table.h"

#include <string.h>

static size_t round_up(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

size_t flow_table_bytes(uint32_t flows)
{
	return round_up(flows * sizeof(struct flow)) +
	       round_up(flows * sizeof(uint32_t));
}

void flow_table_init(struct flow_table *t, uint32_t flows,
		     const uint64_t secret[2], void *memory)
{
	memset(t, 0, sizeof(*t));
	memset(memory, 0, flow_table_bytes(flows));
	t->flows = memory;
	t->tags = (uint32_t *)((uint8_t *)memory +
			       round_up(flows * sizeof(struct flow)));
	t->mask = flows - 1;
	t->probes = flows < FLOW_PROBES ? flows : FLOW_PROBES;
	t->secret[0] = secret[0];
	t->secret[1] = secret[1];
	t->random = (secret[0] ^ secret[1]) | 1;
}

static inline uint32_t tag_of(uint64_t hash)
{
	return (uint32_t)(hash >> 32) | 1;
}

struct flow *flow_table_find(const struct flow_table *t,
			     const struct flow_key *key, uint64_t hash)
{
	uint32_t i, slot, tag = tag_of(hash);

	for (i = 0; i < t->probes; i++) {
		slot = ((uint32_t)hash + i) & t->mask;
		if (t->tags[slot] == tag &&
		    flow_key_is(&t->flows[slot].key, key))
			return &t->flows[slot];
	}
	return NULL;
}

static uint32_t next_random(struct flow_table *t)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return (uint32_t)(t->random >> 32);
}

static bool is_worth_less(const struct flow *f, const struct flow *than)
{
	if (f->proven != than->proven)
		return !f->proven;
	return f->used_at < than->used_at;
}

struct flow *flow_table_place(struct flow_table *t, uint64_t hash)
{
	struct flow *f, *idle = NULL;
	uint32_t i;

	for (i = 0; i < t->probes; i++) {
		f = &t->flows[((uint32_t)hash + i) & t->mask];
		if (!f->in_use)
			return f;
		if (!f->held && (!idle || is_worth_less(f, idle)))
			idle = f;
	}
	if (idle)
		return idle;
	return &t->flows[((uint32_t)hash + next_random(t) % t->probes) &
			 t->mask];
}

void flow_table_take(struct flow_table *t, struct flow *f,
		     const struct flow_key *key, uint64_t hash)
{
	memset(f, 0, sizeof(*f));
	f->key = *key;
	f->in_use = true;
	t->tags[f - t->flows] = tag_of(hash);
	t->used++;
}

void flow_table_remove(struct flow_table *t, struct flow *f)
{
	if (!f->in_use)
		return;
	f->in_use = false;
	t->tags[f - t->flows] = 0;
	t->used--;
}
