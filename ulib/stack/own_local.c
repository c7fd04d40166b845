/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * own_local.c - connections to ourselves, and packets' way into TCP
 *
 * A segment to an address of our own would come back by no wire: what we send is
 * not seen by who claims. It waits here, its payload copied, until the next turn
 * gives it to TCP as a packet. While too many wait, TCP is asked for no more; each
 * turn takes those that waited when it began, so that none is without end.
 *
 * Both ends are in this stack. Ports of another's, or of the guest's with the TOE
 * service, are not reached: TCP answers for them as for any port without listener.
 */
#include "stack/own.h"

#include <stdlib.h>
#include <string.h>

enum { PORT_FIRST = 32768, PORT_COUNT = 28232 };

/* A packet, and the buffer of its payload, which is TCP's as long as it likes. */
struct own_packet {
	struct wire_buffer b; /* first */
	struct list node;
	struct tcp_packet packet;
	struct tcp_ref ref;
	uint8_t head[TCP_HEAD_MAX];
	uint8_t payload[];
};

void own_give_back(struct own *o, uint64_t buffer)
{
	struct wire_buffer *b = (struct wire_buffer *)(uintptr_t)buffer;

	if (b->lone)
		free(b);
	else
		o->wire->ops->give_back(o->wire, b);
}

void own_packet_input(struct own *o, const struct tcp_packet *p)
{
	unsigned i, n = p->ref_count; /* p may be in the last one's buffer */
	struct tcp_kept kept = { { 0 } };

	tcp_input(o->tcp, p, &kept, o->device.now_us);
	for (i = 0; i < n; i++)
		if (!(kept.bits[i / 64] & 1ull << i % 64))
			own_give_back(o, p->refs[i].buffer);
}

/* -- addresses and ports --------------------------------------------------- */

bool own_local_is(struct own *o, unsigned family, const uint8_t ip[16])
{
	const struct wire *w = o->wire;
	struct vtoe_address a = { .family = (uint16_t)family };
	uint32_t i;

	memcpy(a.ip, ip, sizeof(a.ip));
	if (own_address_is_any(&a))
		return false;
	if (family == VTOE_AF_INET ? !memcmp(ip, w->ipv4, sizeof(w->ipv4)) :
				     !memcmp(ip, w->ipv6, sizeof(w->ipv6)))
		return true;
	/* the device may have more than its page tells */
	for (i = 0; i < o->claim_top; i++) {
		const struct own_claim *c = &o->claims[i];

		if (c->port && c->state == OWN_CLAIM_READY &&
		    c->local.family == family &&
		    !memcmp(c->local.ip, ip, sizeof(c->local.ip)))
			return true;
	}
	return false;
}

uint16_t own_local_port(struct own *o)
{
	uint32_t i, n;

	for (n = 0; n < PORT_COUNT; n++) {
		uint16_t port = (uint16_t)(PORT_FIRST +
					   o->local_port++ % PORT_COUNT);

		for (i = 0; i < o->claim_top; i++)
			if (o->claims[i].state != OWN_CLAIM_FREE &&
			    o->claims[i].local.port == port)
				break;
		if (i == o->claim_top)
			return port;
	}
	return 0;
}

/* -- packets --------------------------------------------------------------- */

/* The other end's view of a segment. */
static void packet_fill(struct tcp_packet *p, const struct tcp_segment *seg)
{
	const struct tcp_tuple *t = &seg->tuple;
	uint32_t each = seg->segment_size;

	memcpy(p->tuple.local, t->remote, sizeof(t->remote));
	memcpy(p->tuple.remote, t->local, sizeof(t->local));
	p->tuple.local_port = t->remote_port;
	p->tuple.remote_port = t->local_port;
	p->tuple.family = t->family;
	p->head_bytes = seg->head_bytes;
	p->ecn = seg->ecn;
	p->segments = 1;
	if (!each || each > seg->length)
		each = seg->length;
	if (each)
		p->segments = (uint16_t)((seg->length + each - 1) / each);
	p->segment_max = (uint16_t)each;
}

void own_local_send(struct own *o, const struct tcp_segment *seg,
		    const struct iovec payload[2])
{
	struct own_packet *l = malloc(sizeof(*l) + seg->length);
	unsigned i;

	if (!l)
		return; /* as if lost on a wire */
	memset(l, 0, sizeof(*l));
	l->b.at = l->payload;
	l->b.lone = true;
	packet_fill(&l->packet, seg);
	memcpy(l->head, seg->head, sizeof(l->head));
	l->packet.head = l->head;
	for (i = 0; i < 2; i++) {
		if (payload[i].iov_len)
			memcpy(l->payload + l->ref.length,
			       payload[i].iov_base, payload[i].iov_len);
		l->ref.length += (uint32_t)payload[i].iov_len;
	}
	l->ref.buffer = (uint64_t)(uintptr_t)l;
	l->packet.refs = &l->ref;
	l->packet.ref_count = l->ref.length ? 1 : 0;
	list_add_tail(&o->local, &l->node);
	o->local_count++;
}

static struct own_packet *local_pop(struct own *o)
{
	struct own_packet *l = list_entry(o->local.next, struct own_packet,
					  node);

	list_del(&l->node);
	o->local_count--;
	return l;
}

void own_local_receive(struct own *o, bool *busy)
{
	uint32_t n = o->local_count;

	while (n--) {
		struct own_packet *l = local_pop(o);
		bool bare = !l->packet.ref_count;

		*busy = true;
		own_packet_input(o, &l->packet); /* the payload is TCP's, or gone */
		if (bare)
			free(l);
	}
}

void own_local_free(struct own *o)
{
	while (!list_empty(&o->local))
		free(local_pop(o));
}
