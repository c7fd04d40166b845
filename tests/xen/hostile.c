/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile [NAME...] - tells each lie of hostile_device.c and hostile_store.c, or
 * those whose names begin so
 *
 * After each lie the device is closed and offered again, so that the next one
 * finds it as it was. One line for each; exits 0 when the backend did what it may
 * do with all of them, 1, or 99 when the test could not be made.
 */
#include "tests/xen/hostile.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

const char *wrong(const char *format, ...)
{
	static char text[256];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	return text;
}

uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void nap(unsigned int ms)
{
	usleep(ms * 1000);
}

/* The same sequence in each run. */
uint32_t random32(void)
{
	static uint64_t state = 88172645463325252ull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 16);
}

/* -- xenstore -------------------------------------------------------------- */

void front_write(struct front *f, const char *key, const char *value)
{
	char path[256];

	snprintf(path, sizeof(path), FRONT "/%s", key);
	xs_write(f->xs, XBT_NULL, path, value, (unsigned int)strlen(value));
}

void front_write_number(struct front *f, const char *key, uint32_t value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	front_write(f, key, text);
}

int front_backend_number(struct front *f, const char *key)
{
	char path[160], *text;
	int number = -1;

	snprintf(path, sizeof(path), "%s/%s", f->backend, key);
	text = xs_read(f->xs, XBT_NULL, path, NULL);
	if (text)
		number = atoi(text);
	free(text);
	return number;
}

const char *front_wait_backend(struct front *f, int state, unsigned int ms)
{
	uint64_t until = now_ms() + ms;
	int is;

	while ((is = front_backend_number(f, "state")) != state) {
		if (now_ms() > until)
			return wrong("the backend is in state %d, not %d", is,
				     state);
		nap(20);
	}
	return NULL;
}

/* -- pages ----------------------------------------------------------------- */

const char *pages_share(struct front *f, struct pages *p, uint32_t count)
{
	p->count = count;
	p->refs = calloc(count, sizeof(*p->refs));
	if (!p->refs)
		return "memory";
	p->at = xengntshr_share_pages(f->shares, BACKEND_DOMID, (int)count,
				      p->refs, 1);
	if (p->at)
		return NULL;
	free(p->refs);
	p->refs = NULL;
	return wrong("sharing %u pages: %s", count, strerror(errno));
}

void pages_unshare(struct front *f, struct pages *p)
{
	if (p->at)
		xengntshr_unshare(f->shares, p->at, p->count);
	free(p->refs);
	memset(p, 0, sizeof(*p));
}

/* -- the device ------------------------------------------------------------ */

const char *front_prepare(struct front *f)
{
	TRY(pages_share(f, &f->ring, 1));
	memset(f->ring.at, 0, VTOE_PAGE);
	f->port = xenevtchn_bind_unbound_port(f->events, BACKEND_DOMID);
	if (f->port < 0) {
		pages_unshare(f, &f->ring);
		return wrong("event channel: %s", strerror(errno));
	}
	vtoe_ring_init(&f->requests, f->ring.at + VTOE_XEN_REQUEST_OFFSET,
		       VTOE_XEN_RING_ENTRIES);
	vtoe_ring_init(&f->completions,
		       f->ring.at + VTOE_XEN_COMPLETION_OFFSET,
		       VTOE_XEN_RING_ENTRIES);
	return NULL;
}

void front_unprepare(struct front *f)
{
	if (f->port >= 0)
		xenevtchn_unbind(f->events, (evtchn_port_t)f->port);
	f->port = -1;
	pages_unshare(f, &f->ring);
}

const char *front_begin(struct front *f)
{
	TRY(front_wait_backend(f, 2, CALL_MS));
	TRY(front_prepare(f));
	front_write_number(f, "ring-ref", f->ring.refs[0]);
	front_write_number(f, "event-channel", (uint32_t)f->port);
	front_write(f, "version", "1");
	front_write(f, "state", "3");
	TRY(front_wait_backend(f, 4, CALL_MS));
	front_write(f, "state", "4");
	return NULL;
}

const char *front_end(struct front *f)
{
	const char *text;

	front_write(f, "state", "6");
	text = front_wait_backend(f, 2, CALL_MS);
	front_unprepare(f);
	return text;
}

void front_notify(struct front *f)
{
	xenevtchn_notify(f->events, (evtchn_port_t)f->port);
}

const char *front_send(struct front *f, struct vtoe_xen_request *q)
{
	uint64_t until = now_ms() + CALL_MS;
	void *entry;

	while (!(entry = vtoe_ring_reserve(&f->requests))) {
		if (now_ms() > until)
			return "the backend takes no request";
		nap(1);
	}
	if (!q->user_data)
		q->user_data = ++f->serial;
	memcpy(entry, q, sizeof(*q));
	vtoe_ring_submit(&f->requests);
	front_notify(f);
	return NULL;
}

const char *front_next(struct front *f, struct vtoe_xen_completion *c,
		       unsigned int ms)
{
	uint64_t until = now_ms() + ms;
	void *entry;

	while (!(entry = vtoe_ring_peek(&f->completions))) {
		if (now_ms() > until)
			return "no answer";
		nap(1);
	}
	memcpy(c, entry, sizeof(*c));
	vtoe_ring_advance(&f->completions);
	vtoe_ring_release(&f->completions);
	return NULL;
}

const char *front_call(struct front *f, struct vtoe_xen_request *q,
		       struct vtoe_xen_completion *c)
{
	q->user_data = 0;
	TRY(front_send(f, q));
	do
		TRY(front_next(f, c, CALL_MS));
	while (c->user_data != q->user_data);
	return NULL;
}

const char *front_refuses(struct front *f, struct vtoe_xen_request *q)
{
	struct vtoe_xen_completion c;

	TRY(front_call(f, q, &c));
	return c.result < 0 && c.result > -4096 ? NULL :
	       wrong("operation %u is answered by %d", q->op, c.result);
}

const char *front_answers(struct front *f, struct vtoe_xen_request *q,
			  int32_t result)
{
	struct vtoe_xen_completion c;

	TRY(front_call(f, q, &c));
	return c.result == result ? NULL :
	       wrong("operation %u is answered by %d, not %d", q->op, c.result,
		     result);
}

/* -- connections ----------------------------------------------------------- */

const char *memory_make(struct front *f, struct memory *m, uint32_t pages)
{
	uint32_t lists = (pages + VTOE_XEN_REFS_PER_PAGE - 1) /
			 VTOE_XEN_REFS_PER_PAGE;
	const char *text;

	memset(m, 0, sizeof(*m));
	m->port = xenevtchn_bind_unbound_port(f->events, BACKEND_DOMID);
	if (m->port < 0)
		return wrong("event channel: %s", strerror(errno));
	text = pages_share(f, &m->pages, pages);
	if (!text)
		text = pages_share(f, &m->lists, lists);
	if (text) {
		memory_free(f, m);
		return text;
	}
	memset(m->pages.at, 0, pages * (size_t)VTOE_PAGE);
	memcpy(m->lists.at, m->pages.refs, pages * sizeof(uint32_t));
	return NULL;
}

void memory_free(struct front *f, struct memory *m)
{
	if (m->port >= 0)
		xenevtchn_unbind(f->events, (evtchn_port_t)m->port);
	m->port = -1;
	pages_unshare(f, &m->pages);
	pages_unshare(f, &m->lists);
}

void memory_describe(const struct memory *m, struct vtoe_xen_request *q)
{
	uint32_t i;

	q->u.memory.pages = m->pages.count;
	q->u.memory.event_channel = (uint32_t)m->port;
	for (i = 0; i < m->lists.count && i < VTOE_XEN_LIST_PAGES; i++)
		q->u.memory.list_ref[i] = m->lists.refs[i];
}

const char *memory_connect(struct front *f, struct memory *m, uint32_t number)
{
	struct vtoe_xen_request q = {
		.op = VTOE_XEN_CONNECT,
		.connection = number,
	};

	memory_describe(m, &q);
	return front_answers(f, &q, 0);
}

const char *front_disconnect(struct front *f, uint32_t number)
{
	struct vtoe_xen_request q = {
		.op = VTOE_XEN_DISCONNECT,
		.connection = number,
	};

	return front_answers(f, &q, 0);
}

static const char *control(struct front *f, struct memory *m,
			   struct vtoe_ring *requests,
			   struct vtoe_ring *completions,
			   const struct vtoe_ctl_request *q)
{
	struct vtoe_ctl_completion c = { 0 };
	uint64_t until = now_ms() + CALL_MS;
	void *entry = vtoe_ring_reserve(requests);

	if (!entry)
		return "the control ring is full";
	memcpy(entry, q, sizeof(*q));
	vtoe_ring_submit(requests);
	xenevtchn_notify(f->events, (evtchn_port_t)m->port);
	while (c.op != q->op) {
		entry = vtoe_ring_peek(completions);
		if (!entry && now_ms() > until)
			return "no answer on the control ring";
		if (!entry) {
			nap(1);
			continue;
		}
		memcpy(&c, entry, sizeof(c));
		vtoe_ring_advance(completions);
		vtoe_ring_release(completions);
	}
	return c.result ? wrong("control request %u: %d", q->op, c.result) :
			  NULL;
}

const char *memory_hello(struct front *f, struct memory *m)
{
	const struct vtoe_device_page *page = (void *)m->pages.at;
	struct vtoe_ctl_request hello = {
		.op = VTOE_CTL_HELLO,
		.user_data = 1,
		.u.hello = { .version = 1, .features = page->features,
			     .name = "hostile" },
	};
	struct vtoe_ctl_request lane = {
		.op = VTOE_CTL_LANE_ADD,
		.user_data = 2,
		.u.lane = { .sq_offset = VTOE_GUEST_OFFSET,
			    .cq_offset = VTOE_GUEST_OFFSET + 2 * VTOE_PAGE,
			    .sq_entries = 64, .cq_entries = 64, .vector = 1 },
	};
	struct vtoe_ring requests, completions;

	vtoe_ring_init(&requests, m->pages.at + VTOE_CTL_REQUEST_OFFSET,
		       VTOE_CTL_ENTRIES);
	vtoe_ring_init(&completions, m->pages.at + VTOE_CTL_COMPLETION_OFFSET,
		       VTOE_CTL_ENTRIES);
	TRY(control(f, m, &requests, &completions, &hello));
	return control(f, m, &requests, &completions, &lane);
}

const char *memory_is_clean(const struct memory *m)
{
	static const char mark[] = "vtoe-canary-";

	return memmem(m->pages.at, m->pages.count * (size_t)VTOE_PAGE, mark,
		      sizeof(mark) - 1) ?
	       "there are bytes of another guest" : NULL;
}

/* -------------------------------------------------------------------------- */

static bool named(const char *name, char **names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (!strncmp(name, *names, strlen(*names)))
			return true;
	return false;
}

static unsigned int tell(struct front *f, const struct lie *l)
{
	uint64_t at = now_ms();
	const char *text = NULL;
	char first[256];

	if (!l->alone)
		text = front_begin(f);
	if (!text)
		text = l->run(f);
	snprintf(first, sizeof(first), "%s", text ? text : "");
	if (!l->alone) {
		text = front_end(f);
		if (text && !first[0])
			snprintf(first, sizeof(first), "afterwards: %s", text);
	}
	printf("%s %s (%llu ms)%s%s\n", first[0] ? "FAIL" : "ok  ", l->name,
	       (unsigned long long)(now_ms() - at), first[0] ? ": " : "",
	       first);
	fflush(stdout);
	return first[0] ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct front f = { .port = -1 };
	unsigned int i, failed = 0, done = 0;
	char *backend;

	(void)argc;
	f.xs = xs_open(0);
	f.shares = xengntshr_open(NULL, 0);
	f.events = xenevtchn_open(NULL, 0);
	backend = f.xs ? xs_read(f.xs, XBT_NULL, FRONT "/backend", NULL) : NULL;
	if (!f.shares || !f.events || !backend) {
		fprintf(stderr, "hostile: no xenstore, gntalloc or evtchn, or "
			"no device\n");
		return 99;
	}
	snprintf(f.backend, sizeof(f.backend), "%s", backend);
	free(backend);
	front_write(&f, "state", "6"); /* whoever was here before is gone */
	for (i = 0; i < lies_device_count + lies_store_count; i++) {
		const struct lie *l = i < lies_device_count ? &lies_device[i] :
				      &lies_store[i - lies_device_count];

		if (!named(l->name, argv + 1))
			continue;
		failed += tell(&f, l);
		done++;
	}
	printf("%u lies, %u with a consequence that may not be\n", done, failed);
	return failed || !done ? 1 : 0;
}
