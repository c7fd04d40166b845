/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_stack.c - lays out a stack in the caller's memory
 *
 * Owns the layout and the configuration. After tcp_stack_init() the sizes never
 * change: whatever peers do, memory is what tcp_stack_bytes() said.
 */
#include "engine/tcp_internal.h"

#include <string.h>

enum {
	CONNS_MAX = 1 << 18,
	LISTENERS_MAX = 1024,
	POOL_MAX = 1 << 24,
	ALIGN = 16,
};

void tcp_config_init(struct tcp_config *config)
{
	memset(config, 0, sizeof(*config));
	config->conns = 1024;
	config->listeners = 16;
	config->holds = 16384;
	config->sends = 16384;
	config->replies = 256;
	config->conn_holds = 2048;
	config->conn_sends = 2048;
	config->recv_bytes = 1024 * 1024;
	config->segment_bytes = 65535 - 40 - TCP_HEAD_MAX;
	config->rto_initial = 1 * TCP_US_PER_S; /* RFC 6298, 2.1 */
	config->rto_min = 200 * TCP_US_PER_MS;
	config->rto_max = 120 * TCP_US_PER_S;
	config->delack = 40 * TCP_US_PER_MS;
	config->time_wait = 60 * TCP_US_PER_S;
	config->fin_wait_2 = 60 * TCP_US_PER_S;
	config->keep_idle = 7200ull * TCP_US_PER_S;
	config->keep_interval = 75 * TCP_US_PER_S;
	config->keep_count = 9;
	config->syn_retries = 6;
	config->retries = 15;
	config->cc = TCP_CC_CUBIC;
	config->ack_every = 2;
	config->timestamps = true;
	config->window_scale = true;
	config->sack = true;
}

static bool sane(const struct tcp_config *c)
{
	return c->conns && c->conns <= CONNS_MAX &&
	       c->listeners <= LISTENERS_MAX && c->holds &&
	       c->holds <= POOL_MAX && c->sends && c->sends <= POOL_MAX &&
	       c->replies && c->replies <= POOL_MAX && c->conn_holds >= 8 &&
	       c->conn_sends >= 8 && c->recv_bytes >= 4096 &&
	       c->recv_bytes <= 65535u << TCP_WSCALE_MAX &&
	       c->segment_bytes >= 536 && c->segment_bytes <= 65535 &&
	       c->rto_initial && c->rto_min && c->rto_max >= c->rto_initial &&
	       c->cc < TCP_CC_KINDS && c->ack_every;
}

static size_t part(size_t *end, size_t element, size_t count)
{
	size_t at = *end;

	*end += (element * count + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	return at;
}

/* Fills the places of the parts. -> bytes in all */
static size_t lay_out(struct tcp_stack *s, const struct tcp_config *c)
{
	uint32_t buckets = 1;
	size_t end = 0;

	while (buckets < c->conns)
		buckets *= 2;
	s->buckets = buckets;
	part(&end, sizeof(*s), 1);
	s->listeners_at = part(&end, sizeof(struct tcp_listener), c->listeners);
	s->replies_at = part(&end, sizeof(struct tcp_segment), c->replies);
	s->conns_at = part(&end, sizeof(struct tcp_conn), c->conns);
	s->buckets_at = part(&end, sizeof(uint32_t), buckets);
	s->heap_at = part(&end, sizeof(uint32_t), c->conns);
	s->sends_at = part(&end, sizeof(struct tcp_sent), c->sends);
	s->holds_at = part(&end, sizeof(struct tcp_hold), c->holds);
	return end;
}

size_t tcp_stack_bytes(const struct tcp_config *config)
{
	struct tcp_stack places;

	return sane(config) ? lay_out(&places, config) : 0;
}

static void init_pools(struct tcp_stack *s)
{
	const struct tcp_config *c = &s->config;
	uint32_t i;

	for (i = 0; i < s->buckets; i++)
		*tcp_bucket_at(s, i) = TCP_NIL;
	for (i = 0; i < c->conns; i++) {
		struct tcp_conn *conn = tcp_conn_at(s, i);

		conn->index = i;
		conn->heap_at = conn->hash_next = TCP_NIL;
		tcp_list_add(s, &s->free, TCP_LIST_PLACE, conn);
	}
	for (i = 0; i < c->sends; i++)
		tcp_sent_at(s, i)->next = i + 1 < c->sends ? i + 1 : TCP_NIL;
	for (i = 0; i < c->holds; i++)
		tcp_hold_at(s, i)->next = i + 1 < c->holds ? i + 1 : TCP_NIL;
}

struct tcp_stack *tcp_stack_init(void *memory, size_t bytes,
				 const struct tcp_config *config)
{
	static const uint8_t no_key[sizeof(config->isn_key)];
	struct tcp_stack *s = memory;
	size_t need = tcp_stack_bytes(config);

	if (!need || bytes < need || (uintptr_t)memory % ALIGN)
		return NULL;
	memset(s, 0, need);
	s->config = *config;
	if (!memcmp(config->isn_key, no_key, sizeof(no_key)))
		memcpy(s->config.isn_key, config->key, sizeof(no_key));
	lay_out(s, config);
	tcp_list_init(&s->output);
	tcp_list_init(&s->events);
	tcp_list_init(&s->free);
	tcp_list_init(&s->time_wait);
	while (config->recv_bytes >> s->wscale > 65535)
		s->wscale++;
	init_pools(s);
	return s;
}

void tcp_get_counters(const struct tcp_stack *s, struct tcp_counters *out)
{
	*out = s->counters;
}
