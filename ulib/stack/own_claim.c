/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * own_claim.c - claims: which frames are ours
 *
 *   ASKED   the wire is working on it
 *   READY   in force
 *   FAILED  refused; those who wait for it are told and let go
 *   LATE    of a connection that has ended: its frames still come to us for a
 *           moment, since a FIN that is sent again wants its answer
 *   DEAD    nobody waits for the answer any more: given up when it comes
 *
 * A port of the program's is claimed once, however many streams are bound to it,
 * as long as their options allow that; TIME-WAIT of its connections is then
 * nobody's obstacle.
 */
#include "stack/own.h"

#include <errno.h>
#include <string.h>

enum { LATE_US = 2000000, LATE_MAX = 256, SELF_MTU = 65535 };

static void claim_end(struct own_claim *c)
{
	struct own *o = c->own;

	list_del(&c->node);
	own_output(o); /* a reset may be the last thing that it sends */
	if (!c->self &&
	    (c->state == OWN_CLAIM_READY || c->state == OWN_CLAIM_LATE))
		o->wire->ops->unclaim(o->wire, c->id);
	c->state = OWN_CLAIM_FREE;
	o->claim_used--;
	while (o->claim_top &&
	       o->claims[o->claim_top - 1].state == OWN_CLAIM_FREE)
		o->claim_top--;
}

static void claim_end_late(struct own *o)
{
	o->late_count--;
	claim_end(list_entry(o->late.next, struct own_claim, node));
}

static struct own_claim *claim_slot(struct own *o)
{
	uint32_t i, n = o->claim_max;

	/* a moment is worth less than a new connection */
	if (o->claim_used == n && o->late_count)
		claim_end_late(o);
	for (i = 0; i < n && o->claim_used < n; i++) {
		if (o->claims[i].state != OWN_CLAIM_FREE)
			continue;
		if (i >= o->claim_top)
			o->claim_top = i + 1;
		return &o->claims[i];
	}
	return NULL;
}

static struct own_claim *claim_make(struct own *o,
				    const struct wire_claim *what)
{
	struct own_claim *c = claim_slot(o);

	if (!c)
		return NULL;
	memset(c, 0, sizeof(*c));
	list_init(&c->node);
	list_init(&c->uses);
	list_init(&c->listening);
	c->own = o;
	c->id = (uint32_t)(c - o->claims);
	c->users = 1;
	c->state = OWN_CLAIM_ASKED;
	c->port = what->flags & VTOE_CLAIM_PORT;
	c->what = *what;
	if (c->port)
		c->local = what->address;
	o->claim_used++;
	return c;
}

struct own_claim *own_claim_new(struct own *o, const struct wire_claim *what)
{
	struct own_claim *c = claim_make(o, what);

	if (c)
		o->wire->ops->claim(o->wire, c->id, what);
	return c;
}

struct own_claim *own_claim_new_self(struct own *o,
				     const struct wire_claim *what)
{
	uint16_t port = own_local_port(o);
	struct own_claim *c = port ? claim_make(o, what) : NULL;

	if (!c)
		return NULL;
	c->self = true;
	c->state = OWN_CLAIM_READY;
	c->local = what->address; /* who calls himself is both */
	c->local.port = port;
	c->mtu = SELF_MTU;
	return c;
}

void own_claim_put(struct own_claim *c, bool late)
{
	struct own *o = c->own;

	if (--c->users)
		return;
	if (c->state == OWN_CLAIM_ASKED) {
		c->state = OWN_CLAIM_DEAD;
		return;
	}
	/* a port is wanted again, by the next server */
	if (c->state != OWN_CLAIM_READY || !late || c->port || c->self) {
		claim_end(c);
		return;
	}
	if (o->late_count == LATE_MAX)
		claim_end_late(o);
	c->state = OWN_CLAIM_LATE;
	c->until_us = o->device.now_us + LATE_US;
	list_add_tail(&o->late, &c->node);
	o->late_count++;
}

uint64_t own_claim_expire(struct own *o, uint64_t now_us)
{
	while (!list_empty(&o->late)) {
		struct own_claim *c = list_entry(o->late.next,
						 struct own_claim, node);

		if (now_us < c->until_us)
			return c->until_us;
		claim_end_late(o);
	}
	return TCP_NEVER;
}

void own_claim_answer(struct own *o, const struct wire_event *e)
{
	struct own_claim *c = &o->claims[e->claim];
	struct list *at, *tmp;

	if (c->state == OWN_CLAIM_DEAD) {
		c->state = e->result ? OWN_CLAIM_FAILED : OWN_CLAIM_READY;
		claim_end(c);
		return;
	}
	c->state = e->result ? OWN_CLAIM_FAILED : OWN_CLAIM_READY;
	c->error = e->result;
	c->local = e->local;
	c->mtu = e->mtu;
	c->users++; /* over the calls below */
	if (c->connecting)
		own_connect_answered(c->connecting, e->result);
	list_for_each_safe(at, tmp, &c->uses)
		own_port_answered(list_entry(at, struct own_use, node),
				  e->result);
	own_claim_put(c, false);
}

struct own_claim *own_claim_find(struct own *o, unsigned family,
				 const uint8_t ip[16], uint16_t port)
{
	struct vtoe_address any = { .family = (uint16_t)family };
	bool all;
	uint32_t i;

	memcpy(any.ip, ip, 16);
	all = own_address_is_any(&any);
	for (i = 0; port && i < o->claim_top; i++) {
		struct own_claim *c = &o->claims[i];

		if ((c->state == OWN_CLAIM_READY ||
		     c->state == OWN_CLAIM_ASKED) &&
		    c->port && c->local.family == family &&
		    c->local.port == port &&
		    (all || own_address_is_any(&c->local) ||
		     !memcmp(c->local.ip, ip, 16)))
			return c;
	}
	return NULL;
}

struct own_claim *own_claim_of_tuple(struct own *o, const struct tcp_tuple *t)
{
	uint32_t i;

	for (i = 0; i < o->claim_top; i++) {
		struct own_claim *c = &o->claims[i];

		if ((c->state != OWN_CLAIM_READY &&
		     c->state != OWN_CLAIM_LATE) ||
		    c->local.family != t->family ||
		    c->local.port != t->local_port ||
		    (!own_address_is_any(&c->local) &&
		     memcmp(c->local.ip, t->local, 16)))
			continue;
		if (c->port || (c->what.address.port == t->remote_port &&
				!memcmp(c->what.address.ip, t->remote, 16)))
			return c;
	}
	return NULL;
}

unsigned own_claim_mss(const struct own_claim *c)
{
	unsigned heads = c->local.family == VTOE_AF_INET ? 40 : 60;
	unsigned mtu = c->mtu ? c->mtu : 1500;

	return mtu > heads + 88 ? mtu - heads : 88;
}
