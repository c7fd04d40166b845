/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * own_turn.c - the engine's part of a turn
 *
 *   receive   what the wire has goes into TCP, and what we sent to ourselves
 *   timers    those whose time has come
 *   events    what became of which connection: its stream goes on
 *   output    TCP's segments go to the wire, as many as it takes
 *
 * Then the device flushes completions and sleeps, until a guest rings, the wire's
 * descriptor wakes it, or TCP's next timer.
 */
#include "stack/own.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { RECEIVE_TURN = 256, OUTPUT_BATCH = 16, EVENT_BATCH = 32 };

void own_params_init(struct own_params *p)
{
	memset(p, 0, sizeof(*p));
	tcp_config_init(&p->tcp);
	p->tcp.conns = 8192;
	p->tcp.listeners = 256;
	p->tcp.holds = p->tcp.sends = 65536;
	p->tcp.recv_bytes = 4u << 20;
	p->tcp.checksum_partial = true; /* the wire's business */
	p->claims = 4096;
	p->limits = (struct device_limits){
		.peers = 1024,
		.lanes = 64,
		.streams = 65535,
		.peer_streams = 65535,
		.regions = 1024,
		.inflight = 16384,
		.credit = 64,
		.requests = 65536,
		.ring_entries = 16384,
		.drain_ms = VTOE_DRAIN_SECONDS * 1000,
	};
}

int own_init(struct own *o, const struct own_params *p,
	     struct vtoe_stats *stats)
{
	size_t bytes = (tcp_stack_bytes(&p->tcp) + 15) & ~(size_t)15;
	unsigned i;
	int rc;

	memset(o, 0, sizeof(*o));
	rc = device_init(&o->device, &p->limits, stats);
	if (rc)
		return rc;
	o->wire = p->wire;
	o->claim_max = p->claims;
	list_init(&o->late);
	list_init(&o->lingering);
	list_init(&o->local);
	for (i = 0; i < OWN_BUCKETS; i++)
		list_init(&o->conns[i]);
	o->claims = calloc(p->claims, sizeof(*o->claims));
	o->memory = aligned_alloc(16, bytes);
	if (o->memory)
		o->tcp = tcp_stack_init(o->memory, bytes, &p->tcp);
	if (o->claims && o->tcp)
		return 0;
	own_free(o);
	return -ENOMEM;
}

void own_free(struct own *o)
{
	device_free(&o->device);
	own_local_free(o);
	free(o->claims);
	free(o->memory);
}

/* -> false: there may be more */
static bool own_receive(struct own *o, bool *busy)
{
	struct wire *w = o->wire;
	unsigned n;

	for (n = 0; n < RECEIVE_TURN; n++) {
		if (!w->ops->next(w, &o->event, o->device.now_us))
			return true;
		*busy = true;
		if (o->event.kind == WIRE_CLAIMED)
			own_claim_answer(o, &o->event);
		else if (o->event.kind == WIRE_BACK)
			o->back = o->claims[o->event.claim].back = true;
		else if (o->event.kind == WIRE_UNREACHABLE)
			own_conn_unreachable(o, o->event.conn,
					     o->event.result);
		else
			own_packet_input(o, &o->event.packet);
	}
	return false;
}

static void own_events(struct own *o, bool *busy)
{
	struct tcp_event e[EVENT_BATCH];
	unsigned i, n;

	while ((n = tcp_events(o->tcp, e, EVENT_BATCH))) {
		*busy = true;
		for (i = 0; i < n; i++) {
			struct own_claim *l = NULL;
			struct own_conn *c = NULL;

			if (e[i].what & TCP_EVENT_ACCEPT)
				l = own_accept_listener(o, e[i].id);
			else
				c = own_conn_find(o, e[i].id);
			if (l)
				own_accept_pull(l);
			if (c)
				own_conn_event(c, e[i].what, e[i].error);
		}
	}
}

static void own_send_segment(struct own *o, const struct tcp_segment *seg)
{
	struct own_conn *c = seg->conn > 0 ? own_conn_find(o, seg->conn) : NULL;
	struct own_claim *claim = c ? c->claim :
				      own_claim_of_tuple(o, &seg->tuple);
	struct iovec payload[2] = { { NULL, 0 }, { NULL, 0 } };

	if (c)
		own_conn_payload(c, seg->offset, seg->length, payload);
	if (c ? c->local : own_local_is(o, seg->tuple.family,
					seg->tuple.remote)) {
		own_local_send(o, seg, payload);
		return;
	}
	if (!claim || claim->self)
		return; /* as if lost on the wire */
	o->wire->ops->send(o->wire, claim->id, seg, payload);
}

bool own_output(struct own *o)
{
	struct tcp_segment seg[OUTPUT_BATCH];
	struct wire *w = o->wire;
	unsigned room, n, i;
	bool some = false;

	while (o->local_count < OWN_LOCAL_MAX && (room = w->ops->room(w))) {
		n = tcp_output(o->tcp, seg,
			       room < OUTPUT_BATCH ? room : OUTPUT_BATCH,
			       o->device.now_us);
		if (!n)
			break;
		some = true;
		for (i = 0; i < n; i++)
			own_send_segment(o, &seg[i]);
	}
	return some;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Streams that go on behind the completion of what was asked of them. */
static void own_deferred(struct own *o)
{
	struct list *from = &o->device.sending, *at;

	while (!list_empty(from)) {
		at = from->next;
		list_del(at);
		own_recv_progress(own_stream_of(list_entry(at, struct stream,
							   send_node)));
	}
}

void toe_issue(struct device *d, bool *busy)
{
	struct own *o = own_of(d);
	struct wire *w = o->wire;
	uint64_t wake;
	bool all, again;

	own_deferred(o);
	all = own_receive(o, busy);
	own_local_receive(o, busy);
	own_conn_back_all(o);
	if (tcp_next_timer(o->tcp) <= d->now_us)
		tcp_timers(o->tcp, d->now_us);
	own_events(o, busy);
	*busy |= own_output(o);
	own_events(o, busy);
	own_stream_linger_all(o);
	wake = own_claim_expire(o, d->now_us);
	/* what the last steps have to say; if even that has consequences, they
	 * are the next turn's */
	again = own_output(o);
	w->ops->flush(w);
	wake = earlier(wake, tcp_next_timer(o->tcp));
	wake = earlier(wake, w->ops->wake_us(w));
	if (!all || again || o->local_count || !w->ops->arm(w))
		wake = d->now_us;
	d->wake_us = wake;
}

/* -- what the kernel's sockets need and this does not ---------------------- */

void toe_complete(uint64_t tag, int32_t result, uint32_t flags)
{
	(void)tag;
	(void)result;
	(void)flags;
}

void toe_cancel_started(struct request *r)
{
	(void)r; /* those that are busy end by themselves */
}

void toe_send_submitted(struct device *d)
{
	(void)d;
}

void toe_send_settle(struct device *d)
{
	(void)d;
}
