/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile_device.c - lies on the device's ring, and in the memory of connections
 */
#include "tests/xen/hostile.h"

#include <pthread.h>
#include <string.h>

#define PAGES 64u /* of a connection here: little, so that many fit */

/* -- what CONNECT names ---------------------------------------------------- */

/* A reference may be good for something else: of the guest's console (0), of its
 * xenstore ring (1), of the device's. What it has of these is its own affair. */
static const char *try_references(struct front *f, struct memory *m,
				  uint32_t ref, bool may_exist)
{
	struct vtoe_xen_request of = { .op = VTOE_XEN_CONNECT };
	struct vtoe_xen_request in = { .op = VTOE_XEN_CONNECT };
	volatile uint32_t *list = (void *)m->lists.at;
	uint32_t was = list[PAGES / 2];
	struct vtoe_xen_completion c;

	memory_describe(m, &of);
	of.u.memory.list_ref[0] = ref;
	TRY(front_call(f, &of, &c));
	if (!c.result && !may_exist)
		return wrong("a list at %u is taken", ref);
	if (!c.result)
		TRY(front_disconnect(f, 0));
	memory_describe(m, &in);
	list[PAGES / 2] = ref;
	TRY(front_call(f, &in, &c));
	list[PAGES / 2] = was;
	if (!c.result && !may_exist)
		return wrong("%u in a list is taken", ref);
	return c.result ? NULL : front_disconnect(f, 0);
}

static const char *bad_references(struct front *f)
{
	const uint32_t real[] = { 0, 1, f->ring.refs[0] };
	const uint32_t bad[] = { 7, 30000, 100000, 0x7fffffff, 0xffffffff,
				 random32() | 1 << 30 };
	struct memory m;
	unsigned int i;

	TRY(memory_make(f, &m, PAGES));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		TRY(try_references(f, &m, bad[i], false));
	for (i = 0; i < sizeof(real) / sizeof(real[0]); i++)
		TRY(try_references(f, &m, real[i], true));
	TRY(memory_connect(f, &m, 0));
	TRY(front_disconnect(f, 0));
	memory_free(f, &m);
	return NULL;
}

static const char *page_counts(struct front *f)
{
	static const uint32_t counts[] = { 0, 1, 5, VTOE_XEN_MAX_PAGES + 1,
					   65536, 0x7fffffff, 0xffffffff,
					   VTOE_XEN_MAX_PAGES };
	struct memory m;
	unsigned int i;

	TRY(memory_make(f, &m, PAGES));
	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct vtoe_xen_request q = { .op = VTOE_XEN_CONNECT };

		memory_describe(&m, &q);
		q.u.memory.pages = counts[i];
		TRY(front_refuses(f, &q));
	}
	TRY(memory_connect(f, &m, 0));
	TRY(front_disconnect(f, 0));
	memory_free(f, &m);
	return NULL;
}

struct flipper {
	volatile bool stop;
	volatile uint32_t *at;
	uint32_t good;
	pthread_t thread;
};

static void *flip(void *arg)
{
	struct flipper *p = arg;

	while (!p->stop) {
		*p->at = 0xdeadbeef;
		*p->at = p->good;
	}
	return NULL;
}

/* Either content of the list is used; nothing of a refused one stays mapped. */
static const char *list_changes(struct front *f)
{
	struct vtoe_xen_completion c;
	struct flipper p = { .stop = false };
	unsigned int i;
	const char *text = NULL;
	struct memory m;

	TRY(memory_make(f, &m, PAGES));
	p.at = (uint32_t *)m.lists.at + PAGES / 2;
	p.good = *p.at;
	if (pthread_create(&p.thread, NULL, flip, &p))
		return "no thread";
	for (i = 0; i < 30 && !text; i++) {
		struct vtoe_xen_request q = { .op = VTOE_XEN_CONNECT };

		memory_describe(&m, &q);
		text = front_call(f, &q, &c);
		if (text || c.result)
			continue;
		text = front_disconnect(f, 0);
	}
	p.stop = true;
	pthread_join(p.thread, NULL);
	*p.at = p.good;
	if (!text)
		text = memory_connect(f, &m, 0);
	if (!text)
		text = front_disconnect(f, 0);
	memory_free(f, &m);
	return text;
}

static const char *same_pages_twice(struct front *f)
{
	struct vtoe_xen_request q = { .op = VTOE_XEN_CONNECT };
	xenevtchn_port_or_error_t first;
	struct memory m;
	unsigned int i;

	TRY(memory_make(f, &m, PAGES));
	/* each of them many times within one connection, too */
	TRY(memory_connect(f, &m, 0));
	first = m.port;
	m.port = xenevtchn_bind_unbound_port(f->events, BACKEND_DOMID);
	TRY(memory_connect(f, &m, 1));
	TRY(memory_hello(f, &m));
	/* The first one has the second one's rings: its indices go astray. */
	for (i = 0; i < 100; i++) {
		xenevtchn_notify(f->events, (evtchn_port_t)first);
		xenevtchn_notify(f->events, (evtchn_port_t)m.port);
	}
	for (i = 0; i < PAGES; i++)
		((uint32_t *)m.lists.at)[i] = m.pages.refs[i % 6];
	memory_describe(&m, &q);
	q.connection = 2;
	q.u.memory.event_channel = (uint32_t)m.port; /* taken */
	TRY(front_refuses(f, &q));
	TRY(front_disconnect(f, 0));
	TRY(front_disconnect(f, 1));
	xenevtchn_unbind(f->events, (evtchn_port_t)first);
	memory_free(f, &m);
	return NULL;
}

static const char *channels(struct front *f)
{
	uint32_t ports[] = { 0, 1, 2, (uint32_t)f->port, 1000, 4095, 131071,
			     0x7fffffff, 0xffffffff };
	struct vtoe_xen_completion c;
	struct memory m;
	unsigned int i;

	TRY(memory_make(f, &m, PAGES));
	for (i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		struct vtoe_xen_request q = { .op = VTOE_XEN_CONNECT };

		memory_describe(&m, &q);
		q.u.memory.event_channel = ports[i];
		TRY(front_call(f, &q, &c));
		if (!c.result)
			TRY(front_disconnect(f, 0));
	}
	TRY(memory_connect(f, &m, 0));
	TRY(front_disconnect(f, 0));
	memory_free(f, &m);
	return NULL;
}

/* -- numbers, operations --------------------------------------------------- */

static const char *numbers(struct front *f)
{
	static const uint32_t beyond[] = { 256, 1000, 0x7fffffff, 0x80000000,
					   0xffffffff };
	struct vtoe_xen_request q;
	struct memory m;
	unsigned int i, op;

	TRY(memory_make(f, &m, PAGES));
	TRY(memory_connect(f, &m, 0));
	for (i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++)
		for (op = VTOE_XEN_CONNECT; op <= VTOE_XEN_REGION_DEL; op++) {
			memset(&q, 0, sizeof(q));
			q.op = (uint8_t)op;
			q.connection = beyond[i];
			memory_describe(&m, &q);
			TRY(front_refuses(f, &q));
		}
	/* taken; not there; no operation; a key that nobody gave */
	memset(&q, 0, sizeof(q));
	q.op = VTOE_XEN_CONNECT;
	memory_describe(&m, &q);
	TRY(front_refuses(f, &q));
	for (op = VTOE_XEN_DISCONNECT; op <= VTOE_XEN_REGION_DEL; op++) {
		q.op = (uint8_t)op;
		q.connection = 1;
		TRY(front_refuses(f, &q));
	}
	q.connection = 0;
	for (op = VTOE_XEN_REGION_DEL; op < 256; op++) {
		q.op = (uint8_t)op;
		TRY(front_refuses(f, &q));
	}
	TRY(front_disconnect(f, 0));
	memset(&q, 0, sizeof(q));
	q.op = VTOE_XEN_DISCONNECT;
	TRY(front_refuses(f, &q)); /* a second time */
	memory_free(f, &m);
	return NULL;
}

/* Regions until there are no more: a bound, and all goes with the connection. */
static const char *regions(struct front *f)
{
	struct vtoe_xen_completion c;
	struct vtoe_xen_request q;
	struct memory m, more;
	unsigned int i, added = 0;
	uint64_t key = 0;

	TRY(memory_make(f, &m, PAGES));
	TRY(memory_make(f, &more, PAGES));
	TRY(memory_connect(f, &m, 0));
	memset(&q, 0, sizeof(q));
	q.op = VTOE_XEN_REGION_ADD;
	memory_describe(&more, &q);
	q.u.memory.rights = VTOE_REGION_READ | VTOE_REGION_WRITE;
	TRY(front_refuses(f, &q)); /* before HELLO */
	TRY(memory_hello(f, &m));
	q.u.memory.rights = 0;
	TRY(front_refuses(f, &q));
	q.u.memory.rights = 0xfffffffc;
	TRY(front_refuses(f, &q));
	for (i = 0; i < 70000; i++) {
		memory_describe(&more, &q);
		q.u.memory.rights = 1 + i % 3;
		TRY(front_call(f, &q, &c));
		if (c.result)
			break;
		key = c.key;
		added++;
	}
	if (c.result >= 0 || !added)
		return wrong("%u regions were added, and then %d", added,
			     c.result);
	memset(&q, 0, sizeof(q));
	q.op = VTOE_XEN_REGION_DEL;
	q.u.key = key + 1;
	TRY(front_refuses(f, &q));
	q.u.key = key;
	TRY(front_answers(f, &q, 0));
	TRY(front_refuses(f, &q));
	TRY(front_disconnect(f, 0));
	memory_free(f, &more);
	memory_free(f, &m);
	return NULL;
}

/* All pages that a connection may have, by fewer pages named again and again, in
 * as many connections as the backend takes. (Xen maps one page 255 times.) */
static const char *mappings(struct front *f)
{
	struct vtoe_xen_completion c;
	struct vtoe_xen_request q;
	int most = front_backend_number(f, "connection-pages");
	struct memory m;
	unsigned int n, i, made = 0;

	if (most < (int)PAGES)
		return "the backend offers no pages";
	TRY(memory_make(f, &m, VTOE_XEN_REFS_PER_PAGE));
	for (n = 0; n < 300; n++) {
		xenevtchn_port_or_error_t port =
			xenevtchn_bind_unbound_port(f->events, BACKEND_DOMID);

		memset(&q, 0, sizeof(q));
		q.op = VTOE_XEN_CONNECT;
		q.connection = n;
		memory_describe(&m, &q);
		q.u.memory.pages = (uint32_t)most;
		for (i = 0; i < VTOE_XEN_LIST_PAGES; i++)
			q.u.memory.list_ref[i] = m.lists.refs[0];
		q.u.memory.event_channel = (uint32_t)port;
		TRY(front_call(f, &q, &c));
		if (c.result)
			break;
		made++;
	}
	if (c.result >= 0 || !made)
		return wrong("%u connections, and then %d", made, c.result);
	for (n = 0; n < made; n++)
		TRY(front_disconnect(f, n));
	memory_free(f, &m);
	return NULL;
}

/* -- the ring --------------------------------------------------------------- */

static const char *garbage(struct front *f)
{
	struct vtoe_xen_completion c;
	struct memory m;
	unsigned int i, j;

	for (i = 0; i < 2000; i++) {
		uint8_t *entry = vtoe_ring_reserve(&f->requests);

		for (j = 0; entry && j < VTOE_RING_ENTRY; j++)
			entry[j] = (uint8_t)random32();
		/* half of them with an operation and a number that exist */
		if (entry && i % 2) {
			entry[0] = (uint8_t)(1 + random32() % 4);
			memset(entry + 4, 0, 4);
			entry[4] = (uint8_t)(random32() % 3);
		}
		if (entry)
			vtoe_ring_submit(&f->requests);
		front_notify(f);
		if (!entry)
			nap(1);
		while (!front_next(f, &c, 0))
			;
	}
	for (i = 0; i < 3; i++) { /* one of them may have been taken */
		struct vtoe_xen_request q = {
			.op = VTOE_XEN_DISCONNECT, .connection = i,
		};

		TRY(front_call(f, &q, &c));
	}
	TRY(memory_make(f, &m, PAGES));
	TRY(memory_connect(f, &m, 0));
	TRY(front_disconnect(f, 0));
	memory_free(f, &m);
	return NULL;
}

/* Answers are not consumed: they are dropped, and nothing else happens. */
static const char *answers_ignored(struct front *f)
{
	unsigned int i;

	for (i = 0; i < 1000; i++) {
		struct vtoe_xen_request q = { .op = 77 };

		TRY(front_send(f, &q));
	}
	return NULL;
}

static const char *jump(struct front *f, uint32_t *index, uint32_t by)
{
	struct vtoe_xen_request q = { .op = VTOE_XEN_DISCONNECT };
	struct vtoe_xen_completion c;

	TRY(front_refuses(f, &q));
	*index += by;
	front_notify(f);
	nap(200);
	/* Not served any more, until it connects anew. */
	q.user_data = 0;
	if (!front_send(f, &q) && !front_next(f, &c, 500))
		return "a ring with such an index is served";
	return NULL;
}

static const char *index_beyond(struct front *f)
{
	return jump(f, &f->requests.shared->p.producer,
		    VTOE_XEN_RING_ENTRIES + 1);
}

static const char *index_back(struct front *f)
{
	return jump(f, &f->requests.shared->p.producer, (uint32_t)-1);
}

static const char *index_half(struct front *f)
{
	return jump(f, &f->requests.shared->p.producer, 0x80000000);
}

/* The answers' index: that of a consumer who saw what was not there. */
static const char *answers_beyond(struct front *f)
{
	unsigned int i;

	for (i = 0; i < 100; i++) {
		struct vtoe_xen_request q = { .op = 77 };

		f->completions.shared->c.consumer = random32();
		f->completions.shared->c.event = random32();
		TRY(front_send(f, &q));
	}
	return NULL;
}

static const char *storm(struct front *f)
{
	uint64_t until = now_ms() + 2000;
	unsigned int i, n = 0;
	struct memory m;

	TRY(memory_make(f, &m, PAGES));
	TRY(memory_connect(f, &m, 0));
	while (now_ms() < until) {
		for (i = 0; i < 10; i++, n++) {
			front_notify(f);
			xenevtchn_notify(f->events, (evtchn_port_t)m.port);
		}
	}
	TRY(memory_hello(f, &m));
	TRY(front_disconnect(f, 0));
	memory_free(f, &m);
	return n > 20 ? NULL : "that was no storm";
}

/* -- the connection's memory ------------------------------------------------ */

/* Everything in it is overwritten while the backend uses it: device page,
 * control ring, a lane's rings and their entries. */
static const char *scribble(struct front *f)
{
	uint64_t until = now_ms() + 3000;
	struct memory m;
	unsigned int n;

	TRY(memory_make(f, &m, PAGES));
	for (n = 0; now_ms() < until; n++) {
		unsigned int i, hello = n % 4;

		memset(m.pages.at, 0, PAGES * (size_t)VTOE_PAGE);
		TRY(memory_connect(f, &m, n % 3));
		if (hello)
			TRY(memory_hello(f, &m));
		for (i = 0; i < 3000; i++) {
			uint32_t at = random32() %
				      (hello == 1 ? 3 * VTOE_PAGE :
				       hello == 2 ? 12 * VTOE_PAGE :
				       PAGES * VTOE_PAGE);

			/* Lanes are looked at most, and their indices. */
			if (hello == 3)
				at = VTOE_GUEST_OFFSET + at % 128 +
				     (i & 1) * 2 * VTOE_PAGE;
			((volatile uint8_t *)m.pages.at)[at] =
				(uint8_t)(random32() % (i % 5 ? 256 : 4));
			if (i % 8 == 0)
				xenevtchn_notify(f->events,
						 (evtchn_port_t)m.port);
		}
		TRY(memory_is_clean(&m));
		TRY(front_disconnect(f, n % 3));
		TRY(memory_is_clean(&m));
	}
	memory_free(f, &m);
	return NULL;
}

/* Its references are given back while the backend maps them, and used for other
 * pages, which the backend is then shown. */
static const char *references_reused(struct front *f)
{
	struct memory m[3];
	unsigned int i, round;

	for (round = 0; round < 10; round++) {
		for (i = 0; i < 3; i++)
			TRY(memory_make(f, &m[i], PAGES));
		for (i = 0; i < 3; i++)
			TRY(memory_connect(f, &m[i], i));
		TRY(memory_hello(f, &m[0]));
		for (i = 0; i < 3; i++)
			memory_free(f, &m[i]);
		for (i = 0; i < 3; i++)
			TRY(front_disconnect(f, i));
	}
	return NULL;
}

const struct lie lies_device[] = {
	{ "bad_references", bad_references, false },
	{ "page_counts", page_counts, false },
	{ "list_changes", list_changes, false },
	{ "same_pages_twice", same_pages_twice, false },
	{ "channels", channels, false },
	{ "numbers", numbers, false },
	{ "regions", regions, false },
	{ "mappings", mappings, false },
	{ "garbage", garbage, false },
	{ "answers_ignored", answers_ignored, false },
	{ "index_beyond", index_beyond, false },
	{ "index_back", index_back, false },
	{ "index_half", index_half, false },
	{ "answers_beyond", answers_beyond, false },
	{ "storm", storm, false },
	{ "scribble", scribble, false },
	{ "references_reused", references_reused, false },
};
const unsigned int lies_device_count =
	sizeof(lies_device) / sizeof(lies_device[0]);
