/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xdp_queues.c - an interface with two queues, a socket for each
 *
 * Frames of claimed flows reach the socket of the queue that they come in by,
 * each once, bit for bit and in the order of their flow; both queues have some.
 * Without the second socket the frames of its queue reach nobody, the kernel
 * neither, and those of the first are not disturbed.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/bytes.h"
#include "tests/netns/xdp_rig.h"

enum { FLOWS = 16, ROUNDS = 20, LENGTH = 200, ROUND_AT = 150, WAIT_MS = 5000,
       LIMIT_S = 30 };

static const struct xsk_config sizes = {
	.frame_size = 2048, .receive = 512, .send = 4
};

struct tally {
	unsigned of_flow[FLOWS];
	unsigned total;
};

static void start(struct rig *r, struct xsk *x, uint32_t queue)
{
	struct xsk_config c = sizes;
	void *memory = mmap(NULL, xsk_memory_bytes(&c), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int rc;

	c.ifindex = r->ifindex;
	c.queue = queue;
	rc = xsk_start(x, xsk_socket(0), &c, memory);
	if (!rc)
		rc = steer_queue(r->steer.sockets, queue, x->fd);
	if (rc)
		rig_fail("queue %u: %s", queue, strerror(-rc));
}

static void send_all(struct rig *r, uint8_t frames[FLOWS][LENGTH])
{
	struct rig_flow f = { .version = 4, .protocol = IPPROTO_TCP,
			      .local = 1, .remote = 2, .local_port = 80 };
	unsigned i, round;

	for (i = 0; i < FLOWS; i++) {
		f.remote_port = (uint16_t)(1000 + i);
		rig_frame(frames[i], &f, LENGTH);
	}
	for (round = 0; round < ROUNDS; round++)
		for (i = 0; i < FLOWS; i++) {
			frames[i][ROUND_AT] = (uint8_t)round;
			rig_send(r, frames[i], LENGTH);
		}
	/* marks on each queue, behind all that went there */
	f.protocol = IPPROTO_UDP;
	for (i = 0; i < FLOWS; i++) {
		f.remote_port = (uint16_t)(1000 + i);
		rig_send(r, frames[i], rig_frame(frames[i], &f, LENGTH));
	}
}

static void marks_pass(struct rig *r)
{
	uint8_t got[RIG_LONGEST];
	unsigned i;

	for (i = 0; i < FLOWS; i++)
		if (rig_seen(r->tap, got, WAIT_MS) != LENGTH ||
		    got[23] != IPPROTO_UDP)
			rig_fail("not a mark, but a claimed frame passed up");
}

static void count(struct xsk *x, struct tally *t)
{
	struct xsk_frame f;
	unsigned flow;

	while (xsk_receive(x, &f, 1)) {
		flow = bytes_get16(f.data + 34) - 1000u;
		if (f.length != LENGTH || flow >= FLOWS)
			rig_fail("another frame at a socket");
		if (f.data[ROUND_AT] != t->of_flow[flow])
			rig_fail("flow %u: frame %u is where %u should be",
				 flow, f.data[ROUND_AT], t->of_flow[flow]);
		t->of_flow[flow]++;
		t->total++;
		xsk_release(x, f.ref);
	}
}

int main(void)
{
	const struct steer_claim port = { .local_port = htons(80), .family = 4 };
	static uint8_t frames[FLOWS][LENGTH];
	struct tally t[2] = { 0 }, alone = { 0 };
	struct xsk x[2];
	struct rig r;
	unsigned i;

	alarm(LIMIT_S);
	rig_namespace(&r);
	if (system("ethtool -L ours rx 2 tx 2 && ethtool -L wire rx 2 tx 2")) {
		printf("SKIP: machine: veth with one queue, or no ethtool\n");
		return 77;
	}
	rig_steer_queues(&r, 2);
	start(&r, &x[0], 0);
	start(&r, &x[1], 1);
	if (steer_claim(r.steer.claims, &port, 0))
		rig_fail("claim");

	send_all(&r, frames);
	marks_pass(&r);
	/* a socket gets its frames when its queue's turn ends */
	while (t[0].total + t[1].total < FLOWS * ROUNDS)
		for (i = 0; i < 2; i++)
			count(&x[i], &t[i]);
	for (i = 0; i < FLOWS; i++)
		if (t[0].of_flow[i] + t[1].of_flow[i] != ROUNDS ||
		    (t[0].of_flow[i] && t[1].of_flow[i]))
			rig_fail("flow %u: %u and %u frames", i,
				 t[0].of_flow[i], t[1].of_flow[i]);
	printf("  %u and %u frames\n", t[0].total, t[1].total);
	if (!t[0].total || !t[1].total)
		rig_fail("a queue without frames");

	xsk_stop(&x[1]);
	send_all(&r, frames);
	marks_pass(&r);
	while (alone.total < t[0].total)
		count(&x[0], &alone);
	if (memcmp(&alone, &t[0], sizeof(alone)))
		rig_fail("the first queue has other frames than before");
	xsk_stop(&x[0]);
	rig_close(&r);
	printf("PASS: each queue has its socket\n");
	return 0;
}
