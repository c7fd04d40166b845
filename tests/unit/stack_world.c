/* SPDX-License-Identifier: BSD-2-Clause */
/* stack_world.c - the world of path_guest.h: our TCP, and the kernel's behind a
 * tun device */
#include "path_guest.h"

#include <time.h>

#include "stack/own.h"
#include "stack_tun.h"

const uint32_t world_own = TUN_OWN, world_peer = TUN_PEER;
static struct tun tun;
struct own own;
/* Its first member. Not attribute alias: that has a size, and what lies behind it
 * would be out of bounds to a sanitizer. */
__asm__(".globl device\n.set device, own");

static uint64_t clock_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* TCP's time goes on by itself. */
uint64_t world_us(uint64_t ms)
{
	static uint64_t began;

	if (!began)
		began = clock_us();
	return ms * 1000 + clock_us() - began;
}

int world_network(void)
{
	return tun_network();
}

int world_start(const struct device_limits *limits)
{
	struct own_params p;
	int rc;

	if (tun.wire.ops)
		tun_close(&tun); /* of a test that failed */
	rc = tun_open(&tun);
	if (rc)
		return rc;
	own_params_init(&p);
	p.limits = *limits;
	p.tcp.conns = 512;
	p.tcp.time_wait = p.tcp.fin_wait_2 = 100000;
	p.tcp.delack = 1000; /* tests wait for some turns only */
	p.claims = 512;
	p.wire = &tun.wire;
	return own_init(&own, &p, &stats);
}

void world_stop(void)
{
	int i;

	/* closed connections have a little to say yet */
	for (i = 0; i < 1000 && own.conn_count; i++) {
		turn();
		usleep(200);
	}
	assert_int_equal(own.conn_count, 0);
	assert_int_equal(tun.buffers, 0);
	assert_int_equal(own.claim_used, own.late_count);
	own_free(&own);
	tun_close(&tun);
}
