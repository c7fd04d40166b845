/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/netns/tto_nic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <net/ethernet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/bytes.h"
#include "engine/checksum.h"
#include "nic/packet.h"
#include "nic/socket.h"

enum { BURST = 64, HEADERS = 14 + 40 + TCP_HEAD_MAX };

static const struct xsk_config sizes = {
	.frame_size = 2048, .receive = 1024, .send = 64
};

void nic_fail(const char *what, int error)
{
	printf("FAIL: %s: %s\n", what, strerror(error < 0 ? -error : error));
	exit(1);
}

/* -- the supervisor's part ------------------------------------------------- */

/* The kernel's sockets cannot have the port; nothing listens on it. */
static void reserve(struct nic *n, unsigned family, uint16_t port)
{
	struct vtoe_address at = {
		.family = family == 4 ? VTOE_AF_INET : VTOE_AF_INET6,
		.port = port
	};
	int rc;

	n->reserved = socket_open(at.family);
	rc = socket_bind(n->reserved, &at, at.family);
	if (rc)
		nic_fail("reserving the port", rc);
}

void nic_open(struct nic *n, unsigned family, uint16_t port)
{
	struct steer_claim claim = { .local_port = htons(port) };
	struct steer_config c = { .claims_max = 16, .queues = 1,
				  .frame_max = xsk_frame_max(&sizes) };
	int rc;

	memset(n, 0, sizeof(*n));
	c.ifindex = n->ifindex = (int)if_nametoindex("ours");
	rc = steer_open(&n->steer, &c);
	if (rc == -EPERM || rc == -ENOSYS || rc == -EOPNOTSUPP) {
		printf("SKIP: machine: no XDP (%s)\n", strerror(-rc));
		exit(77);
	}
	if (rc)
		nic_fail("steer_open", rc);
	n->packet = packet_socket(n->ifindex);
	if (n->packet < 0)
		nic_fail("packet_socket", n->packet);
	reserve(n, family, port);
	rc = steer_claim(n->steer.claims, &claim, 0);
	if (rc)
		nic_fail("steer_claim", rc);
}

void nic_close(struct nic *n)
{
	nic_worker_kill(n);
	close(n->packet);
	close(n->reserved);
	steer_close(&n->steer);
}

/* -- the worker's ---------------------------------------------------------- */

void nic_worker_start(struct nic *n, uint64_t life)
{
	struct xsk_config x = sizes;
	struct aggregate_config c;
	int rc;

	n->life = life;
	aggregate_config_default(&c);
	c.secret[0] = (uintptr_t)n;
	c.flows = 64;
	c.hold_max = 512;
	x.ifindex = n->ifindex;
	n->umem_bytes = xsk_memory_bytes(&x);
	n->umem = mmap(NULL, n->umem_bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	n->memory = aligned_alloc(64, aggregate_bytes(&c));
	if (n->umem == MAP_FAILED || !n->memory)
		nic_fail("memory", ENOMEM);
	rc = aggregate_init(&n->aggregator, &c, n->memory,
			    aggregate_bytes(&c));
	if (!rc)
		rc = xsk_start(&n->xsk, xsk_socket(0), &x, n->umem);
	if (!rc)
		rc = steer_queue(n->steer.sockets, 0, n->xsk.fd);
	if (rc)
		nic_fail("the worker's start", rc);
}

void nic_worker_kill(struct nic *n)
{
	n->frames += n->aggregator.stats.rx_frames;
	n->aggregates += n->aggregator.stats.agg_out;
	n->in_aggregates += n->aggregator.stats.segs_in_agg;
	n->held_lost += aggregate_held(&n->aggregator);
	xsk_stop(&n->xsk);
	munmap(n->umem, n->umem_bytes);
	free(n->memory);
}

/* -- receiving ------------------------------------------------------------- */

static void name_tuple(struct tcp_packet *p, const uint8_t *ip,
		       const uint8_t *tcp)
{
	memset(&p->tuple, 0, sizeof(p->tuple));
	if (ip[0] >> 4 == 4) {
		p->tuple.family = 4;
		memcpy(p->tuple.remote, ip + 12, 4);
		memcpy(p->tuple.local, ip + 16, 4);
		p->ecn = ip[1] & 3;
	} else {
		p->tuple.family = 6;
		memcpy(p->tuple.remote, ip + 8, 16);
		memcpy(p->tuple.local, ip + 24, 16);
		p->ecn = ip[1] >> 4 & 3;
	}
	p->tuple.remote_port = bytes_get16(tcp);
	p->tuple.local_port = bytes_get16(tcp + 2);
}

static void hand_on(struct tcp_packet *p, const uint8_t *head, uint32_t l3,
		    uint32_t l4, struct tcp_ref *ref, nic_handler *handler,
		    void *of)
{
	name_tuple(p, head + l3, head + l4);
	p->head = head + l4;
	p->head_bytes = (head[l4 + 12] >> 4) * 4u;
	p->refs = ref;
	p->ref_count = 1;
	handler(of, p);
}

/* One frame, as it came; what is no right TCP is dropped. */
static void take_frame(struct nic *n, const struct delivery *d,
		       nic_handler *handler, void *of)
{
	struct frame_input in = { .data = (uint8_t *)n->umem + d->ref,
				  .length = d->frame_length };
	struct tcp_packet p = { .segments = 1 };
	struct tcp_ref ref = { 0 };
	struct frame f;
	uint32_t length;

	frame_parse(&f, &in);
	if (!f.has_tcp || f.malformed)
		return;
	length = f.payload - f.l4 + f.payload_length;
	if (!checksum_is_right(frame_pseudo_sum(in.data, f.l3, f.version,
						length) +
			       checksum_sum(in.data + f.l4, length)))
		nic_fail("a TCP checksum is wrong", EBADMSG);
	ref.length = f.payload_length;
	ref.buffer = (uintptr_t)malloc(ref.length + 1);
	memcpy((void *)(uintptr_t)ref.buffer, in.data + f.payload, ref.length);
	hand_on(&p, in.data, f.l3, f.l4, &ref, handler, of);
}

/* Placement: the payload's one copy. */
static void take_aggregate(struct nic *n, struct delivery *d,
			   nic_handler *handler, void *of)
{
	struct tcp_packet p = { .segments = d->count,
				.segment_max = d->max_segment,
				.dup_acks = d->duplicate_acks };
	struct tcp_ref ref = { .length = d->payload_length };
	uint8_t *to = malloc(ref.length + 1);
	struct segment_cursor c;
	struct segment s;

	ref.buffer = (uintptr_t)to;
	segment_cursor_begin(&c, &d->segments);
	while (segment_cursor_next(&n->aggregator.pool, &c, UINT32_MAX, &s)) {
		memcpy(to, (uint8_t *)n->umem + s.ref + s.offset, s.length);
		to += s.length;
		if (s.whole)
			xsk_release(&n->xsk, (uint32_t)s.ref);
	}
	hand_on(&p, d->header, d->l3, d->l4, &ref, handler, of);
}

static void take(struct nic *n, struct delivery *out, unsigned count,
		 nic_handler *handler, void *of)
{
	unsigned i;

	for (i = 0; i < count; i++) {
		if (out[i].kind == DELIVERY_FRAME) {
			take_frame(n, &out[i], handler, of);
			xsk_release(&n->xsk, (uint32_t)out[i].ref);
		} else {
			take_aggregate(n, &out[i], handler, of);
		}
		aggregate_release(&n->aggregator, &out[i]);
	}
}

bool nic_receive(struct nic *n, uint64_t now, nic_handler *handler, void *of)
{
	struct delivery out[AGGREGATE_OUT];
	struct xsk_frame frames[BURST];
	struct frame_input in = { .flags = FRAME_CHOSEN };
	unsigned count, i, came;

	while ((count = xsk_receive(&n->xsk, frames, BURST)) > 0)
		for (i = 0; i < count; i++) {
			in.data = frames[i].data;
			in.length = frames[i].length;
			/* where it is in the memory; releasing rounds down */
			in.ref = (uint64_t)(in.data - (uint8_t *)n->umem);
			came = aggregate_push(&n->aggregator, &in, now, out);
			if (came & AGGREGATE_DROPPED)
				nic_fail("a frame is dropped", EBADMSG);
			take(n, out, came, handler, of);
			if (n->life && !--n->life)
				return false;
		}
	while ((came = aggregate_flush(&n->aggregator, END_BATCH, out,
				       AGGREGATE_OUT)) > 0)
		take(n, out, came, handler, of);
	return true;
}

/* -- sending --------------------------------------------------------------- */

static uint32_t make_headers(uint8_t *h, const struct tcp_segment *s)
{
	static const uint8_t macs[12] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 };
	uint32_t length = s->head_bytes + s->length;
	uint16_t sum;

	memset(h, 0, 54);
	memcpy(h, macs, 12);
	if (s->tuple.family == 4) {
		bytes_put16(h + 12, ETH_P_IP);
		h[14] = 0x45;
		h[15] = s->ecn;
		bytes_put16(h + 16, (uint16_t)(20 + length));
		h[20] = 0x40;
		h[22] = 64;
		h[23] = IPPROTO_TCP;
		memcpy(h + 26, s->tuple.local, 4);
		memcpy(h + 30, s->tuple.remote, 4);
		sum = (uint16_t)~checksum_fold(checksum_sum(h + 14, 20));
		memcpy(h + 24, &sum, 2);
		return 34;
	}
	bytes_put16(h + 12, ETH_P_IPV6);
	bytes_put32(h + 14, 0x60000000u | (uint32_t)s->ecn << 20);
	bytes_put16(h + 18, (uint16_t)length);
	h[20] = IPPROTO_TCP;
	h[21] = 64;
	memcpy(h + 22, s->tuple.local, 16);
	memcpy(h + 38, s->tuple.remote, 16);
	return 54;
}

/* A segment that is to be cut goes through the packet socket, any other through
 * AF_XDP, its checksum completed here. What finds no room is lost, as on a
 * wire. */
void nic_send(struct nic *n, const struct tcp_segment *s, uint8_t *payload)
{
	uint8_t headers[HEADERS];
	uint32_t l4 = make_headers(headers, s), bytes = l4 + s->head_bytes;
	struct iovec pieces[2] = { { headers, bytes }, { payload, s->length } };
	struct packet p = { .count = 2, .headers = (uint16_t)bytes,
			    .l4 = (uint16_t)l4,
			    .segment_size = s->segment_size,
			    .version = s->tuple.family };
	uint16_t sum;

	memcpy(headers + l4, s->head, s->head_bytes);
	if (s->length > s->segment_size) {
		memcpy(p.pieces + 1, pieces, sizeof(pieces));
		(void)packet_send(n->packet, &p, 1);
		n->sent_long++;
		return;
	}
	sum = (uint16_t)~checksum_fold(
		checksum_sum(headers + l4, s->head_bytes) +
		checksum_sum(payload, s->length));
	memcpy(headers + l4 + 16, &sum, 2);
	(void)xsk_send(&n->xsk, pieces, 2);
	xsk_flush(&n->xsk);
	n->sent_short++;
}
