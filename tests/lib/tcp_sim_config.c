/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_sim_config.c - a good wire, and any wire: see tcp_sim.h */
#include "tests/lib/tcp_sim.h"

#include <string.h>

enum { CONNS = 4 };

static void host_config(struct tcp_config *t, uint64_t seed)
{
	tcp_config_init(t);
	memcpy(t->key, &seed, sizeof(seed));
	t->conns = CONNS;
	t->listeners = 1;
	t->holds = t->sends = 4096;
	t->replies = 16;
}

void sim_config_init(struct sim_config *c, uint64_t seed)
{
	unsigned i;

	memset(c, 0, sizeof(*c));
	c->seed = seed;
	c->family = 4;
	c->mtu = 1480;
	c->delay = 10000;
	c->limit = 3600ull * 1000000;
	for (i = 0; i < 2; i++) {
		host_config(&c->tcp[i], seed + i);
		c->bytes[i] = 200000;
		c->chunk[i] = 16384;
		c->window[i] = 1 << 20;
		c->read_percent[i] = 100;
	}
}

static unsigned pick(uint64_t *r, unsigned least, unsigned most)
{
	return least + (unsigned)(sim_random(r) % (most - least + 1));
}

static void random_host(struct sim_config *c, unsigned i, uint64_t *r)
{
	struct tcp_config *t = &c->tcp[i];
	static const uint32_t windows[] = { 4096, 20000, 65535, 300000,
					    1 << 20 };

	t->timestamps = pick(r, 0, 3);
	t->sack = pick(r, 0, 3);
	t->window_scale = pick(r, 0, 3);
	t->ecn = pick(r, 0, 1);
	t->cc = (uint8_t)pick(r, 0, 1);
	t->ack_stretch = pick(r, 0, 2) ? 0 : 2;
	t->recv_bytes = windows[pick(r, 0, 4)];
	t->conn_holds = pick(r, 0, 3) ? 2048 : 32;
	t->conn_sends = pick(r, 0, 3) ? 2048 : 8;
	c->bytes[i] = pick(r, 0, 5) ? pick(r, 0, 200000) : pick(r, 0, 20);
	c->chunk[i] = pick(r, 0, 1) ? 65536 : pick(r, 1, 3000);
	c->window[i] = pick(r, 0, 1) ? 1 << 20 : pick(r, 1000, 100000);
	c->read_percent[i] = pick(r, 0, 2) ? 100 : pick(r, 5, 100);
}

void sim_config_random(struct sim_config *c, uint64_t seed)
{
	uint64_t r = seed * 7919 + 1;

	sim_config_init(c, seed);
	random_host(c, 0, &r);
	random_host(c, 1, &r);
	c->family = pick(&r, 0, 1) ? 4 : 6;
	c->mtu = pick(&r, 0, 3) ? 1480 : pick(&r, 600, 8980);
	c->delay = pick(&r, 10, 100000);
	c->jitter = pick(&r, 0, 1) ? 0 : pick(&r, 1, 20000);
	c->loss = pick(&r, 0, 2) ? pick(&r, 0, 1000) : 0;
	c->duplicate = pick(&r, 0, 2) ? 0 : pick(&r, 0, 500);
	c->corrupt = pick(&r, 0, 2) ? 0 : pick(&r, 0, 300);
	c->mark = pick(&r, 0, 2) ? 0 : pick(&r, 0, 500);
	c->aggregate = pick(&r, 0, 1) ? 1 : pick(&r, 2, 45);
	if (!pick(&r, 0, 3)) {
		c->rate = pick(&r, 100000, 20000000);
		c->queue = pick(&r, 20000, 300000);
	}
	if (!pick(&r, 0, 4)) {
		c->mtu_later = pick(&r, 200, c->mtu);
		c->mtu_at = pick(&r, 1, 2000000);
	}
	if (!pick(&r, 0, 5)) {
		c->outage_at = pick(&r, 1, 1000000);
		c->outage_for = pick(&r, 1, 5000000);
	}
	c->close_at_once = pick(&r, 0, 1);
	c->drop_syn = !pick(&r, 0, 9);
}
