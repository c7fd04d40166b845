/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile_backend DOMID MODE: plays the backend of a guest's device, and
 * misbehaves in one way. It replaces both directories in xenstore as vtoed
 * would, says "ready" when the frontend is Connected (or when there is nothing
 * to wait for), and goes on until it is killed; then all that it had mapped is
 * unmapped, by its end. The verdict is the guest's (cases/52_hostile_backend.sh).
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#include <vtoe_ring.h>
#include <vtoe_xen.h>

#define CONNECTIONS 64u
#define KEPT 4096u

struct connection {
	uint8_t *memory;
	uint32_t pages;
	int port;
};

struct backend {
	struct xs_handle *xs;
	xengnttab_handle *grants;
	xenevtchn_handle *events;
	uint32_t domid;
	uint8_t *page;
	int port;
	uint32_t taken, answered;
	struct connection connections[CONNECTIONS];
	unsigned int turn; /* of modes that do something else each time */
	const struct mode *mode;
};

struct mode {
	const char *name;
	/* A request; NULL: answered as it should be. */
	void (*request)(struct backend *b, const struct vtoe_xen_request *q);
	/* All the time, in place of serving the ring. */
	void (*play)(struct backend *b);
	/* Again and again, between requests. */
	void (*tick)(struct backend *b);
};

static void die(const char *what)
{
	fprintf(stderr, "ERROR: %s: %s\n", what, strerror(errno));
	exit(99);
}

static void sleep_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* -- xenstore --------------------------------------------------------------- */

static void back_path(struct backend *b, const char *key, char *path)
{
	snprintf(path, 128, "/local/domain/0/backend/vtoe/%u/0%s%s", b->domid,
		 *key ? "/" : "", key);
}

static void front_path(struct backend *b, const char *key, char *path)
{
	snprintf(path, 128, "/local/domain/%u/device/vtoe/0%s%s", b->domid,
		 *key ? "/" : "", key);
}

static void put(struct backend *b, xs_transaction_t t, const char *path,
		const char *value, uint32_t owner, uint32_t reader)
{
	struct xs_permissions p[2] = {
		{ .id = owner, .perms = XS_PERM_NONE },
		{ .id = reader, .perms = XS_PERM_READ },
	};

	if (!xs_write(b->xs, t, path, value, (unsigned int)strlen(value)) ||
	    !xs_set_permissions(b->xs, t, path, p, 2))
		die(path);
}

static void put_back(struct backend *b, xs_transaction_t t, const char *key,
		     const char *value)
{
	char path[128];

	back_path(b, key, path);
	put(b, t, path, value, 0, b->domid);
}

static void put_front(struct backend *b, xs_transaction_t t, const char *key,
		      const char *value)
{
	char path[128];

	front_path(b, key, path);
	put(b, t, path, value, b->domid, 0);
}

static void set_state(struct backend *b, const char *state)
{
	put_back(b, XBT_NULL, "state", state);
}

/* A number of the frontend's directory, or -1. */
static long front_number(struct backend *b, const char *key)
{
	char path[128], *text;
	unsigned int length;
	long n;

	front_path(b, key, path);
	text = xs_read(b->xs, XBT_NULL, path, &length);
	n = text && length ? strtol(text, NULL, 10) : -1;
	free(text);
	return n;
}

static bool wait_front(struct backend *b, long state, int seconds)
{
	int i;

	for (i = 0; i < seconds * 50; i++) {
		if (front_number(b, "state") == state)
			return true;
		sleep_ms(20);
	}
	return false;
}

static void make_directories(struct backend *b)
{
	char front[128], back[128], number[16];
	xs_transaction_t t;

	back_path(b, "", back);
	front_path(b, "", front);
	do {
		t = xs_transaction_start(b->xs);
		xs_rm(b->xs, t, back);
		xs_rm(b->xs, t, front);
		put(b, t, back, "", 0, b->domid);
		put_back(b, t, "frontend", front);
		snprintf(number, sizeof(number), "%u", b->domid);
		put_back(b, t, "frontend-id", number);
		put_back(b, t, "online", "1");
		put_back(b, t, "version", "1");
		put_back(b, t, "connection-pages", "256");
		put_back(b, t, "max-connections", "32");
		put_back(b, t, "state", "1");
		put(b, t, front, "", b->domid, 0);
		put_front(b, t, "backend", back);
		put_front(b, t, "backend-id", "0");
		put_front(b, t, "state", "1");
	} while (!xs_transaction_end(b->xs, t, false) && errno == EAGAIN);
}

/* -- the ring ----------------------------------------------------------------- */

static void notify(struct backend *b)
{
	xenevtchn_notify(b->events, (evtchn_port_t)b->port);
}

static struct vtoe_ring_shared *completions(struct backend *b)
{
	return (struct vtoe_ring_shared *)(b->page + VTOE_XEN_COMPLETION_OFFSET);
}

static bool take(struct backend *b, struct vtoe_xen_request *q)
{
	struct vtoe_ring_shared *s =
		(struct vtoe_ring_shared *)(b->page + VTOE_XEN_REQUEST_OFFSET);

	if (__atomic_load_n(&s->p.producer, __ATOMIC_ACQUIRE) == b->taken)
		return false;
	memcpy(q, (uint8_t *)s + VTOE_RING_HEADER +
	       b->taken % VTOE_XEN_RING_ENTRIES * VTOE_RING_ENTRY, sizeof(*q));
	b->taken++;
	return true;
}

static void complete(struct backend *b, const struct vtoe_xen_completion *c)
{
	struct vtoe_ring_shared *s = completions(b);

	memcpy((uint8_t *)s + VTOE_RING_HEADER +
	       b->answered % VTOE_XEN_RING_ENTRIES * VTOE_RING_ENTRY, c,
	       sizeof(*c));
	__atomic_store_n(&s->p.producer, ++b->answered, __ATOMIC_RELEASE);
	notify(b);
}

static void answer(struct backend *b, const struct vtoe_xen_request *q,
		   int32_t result)
{
	struct vtoe_xen_completion c = {
		.op = q->op,
		.result = result,
		.user_data = q->user_data,
		.key = 0x1234567890abcdef,
	};

	complete(b, &c);
}

/* -- what an honest backend does --------------------------------------------------- */

static void *map(struct backend *b, const struct vtoe_xen_request *q)
{
	static uint32_t refs[VTOE_XEN_MAX_PAGES];
	uint32_t pages = q->u.memory.pages, done = 0, n;
	uint32_t *list;

	while (done < pages && pages <= VTOE_XEN_MAX_PAGES) {
		n = pages - done < VTOE_XEN_REFS_PER_PAGE ?
			    pages - done : VTOE_XEN_REFS_PER_PAGE;
		list = xengnttab_map_grant_ref(
			b->grants, b->domid,
			q->u.memory.list_ref[done / VTOE_XEN_REFS_PER_PAGE],
			PROT_READ);
		if (!list)
			return NULL;
		memcpy(refs + done, list, n * sizeof(*refs));
		xengnttab_unmap(b->grants, list, 1);
		done += n;
	}
	return xengnttab_map_domain_grant_refs(b->grants, pages, b->domid, refs,
					       PROT_READ | PROT_WRITE);
}

static int serve_connect(struct backend *b, const struct vtoe_xen_request *q)
{
	struct connection *c = &b->connections[q->connection % CONNECTIONS];

	c->pages = q->u.memory.pages;
	c->memory = map(b, q);
	if (!c->memory)
		return -EFAULT;
	c->port = xenevtchn_bind_interdomain(b->events, b->domid,
					     q->u.memory.event_channel);
	return c->port < 0 ? -EFAULT : 0;
}

static void serve_disconnect(struct backend *b,
			     const struct vtoe_xen_request *q)
{
	struct connection *c = &b->connections[q->connection % CONNECTIONS];

	if (c->memory) {
		xengnttab_unmap(b->grants, c->memory, c->pages);
		xenevtchn_unbind(b->events, (evtchn_port_t)c->port);
	}
	memset(c, 0, sizeof(*c));
}

static void serve(struct backend *b, const struct vtoe_xen_request *q)
{
	int rc = 0;

	if (q->op == VTOE_XEN_CONNECT)
		rc = serve_connect(b, q);
	else if (q->op == VTOE_XEN_DISCONNECT)
		serve_disconnect(b, q);
	answer(b, q, rc);
}

/* The frontend's Initialised, and ours to follow; false: it never comes. */
static bool attach(struct backend *b)
{
	if (!wait_front(b, 3, 20))
		return false;
	b->port = xenevtchn_bind_interdomain(
		b->events, b->domid,
		(evtchn_port_t)front_number(b, "event-channel"));
	if (b->port < 0)
		die("bind the event channel");
	b->page = xengnttab_map_grant_ref_notify(
		b->grants, b->domid, (uint32_t)front_number(b, "ring-ref"),
		PROT_READ | PROT_WRITE, VTOE_XEN_ALIVE_OFFSET,
		(evtchn_port_t)b->port);
	if (!b->page)
		die("map the ring");
	b->page[VTOE_XEN_ALIVE_OFFSET] = 1;
	b->taken = b->answered = 0;
	return true;
}

/* -- modes of the ring ---------------------------------------------------------- */

static void move_index(struct backend *b, uint32_t by)
{
	completions(b)->p.producer = b->answered + by;
	notify(b);
}

static void jump(struct backend *b, const struct vtoe_xen_request *q)
{
	(void)q;
	move_index(b, VTOE_XEN_RING_ENTRIES + 1);
}

static void jump_back(struct backend *b, const struct vtoe_xen_request *q)
{
	(void)q;
	move_index(b, (uint32_t)-1);
}

static void nothing(struct backend *b, const struct vtoe_xen_request *q)
{
	struct vtoe_xen_request other = *q;

	other.user_data ^= 0xdeadbeef;
	answer(b, &other, 0);
}

static void twice(struct backend *b, const struct vtoe_xen_request *q)
{
	serve(b, q);
	answer(b, q, 0);
}

static void other_op(struct backend *b, const struct vtoe_xen_request *q)
{
	struct vtoe_xen_request other = *q;

	other.op = (uint8_t)(q->op + 1);
	answer(b, &other, 0);
}

/* Results that no system call may return, or that would be a success. */
static void garbage(struct backend *b, const struct vtoe_xen_request *q)
{
	static const int32_t results[] = {
		1, INT32_MAX, INT32_MIN, -4095, -4096, -5000, -512, -516, -EINTR
	};

	if (q->op == VTOE_XEN_CONNECT)
		answer(b, q, results[b->turn++ %
				     (sizeof(results) / sizeof(*results))]);
	else
		answer(b, q, (int32_t)0x87654321);
}

static void silent(struct backend *b, const struct vtoe_xen_request *q)
{
	(void)b;
	(void)q;
}

/* CONNECT is answered, nothing else is. */
static void deaf(struct backend *b, const struct vtoe_xen_request *q)
{
	if (q->op == VTOE_XEN_CONNECT)
		serve(b, q);
}

/* Says that it let go, and does not. */
static void keep(struct backend *b, const struct vtoe_xen_request *q)
{
	if (q->op == VTOE_XEN_CONNECT)
		serve(b, q);
	else
		answer(b, q, 0);
}

/* Maps, refuses, and keeps. */
static void refuse_and_keep(struct backend *b, const struct vtoe_xen_request *q)
{
	if (q->op == VTOE_XEN_CONNECT)
		serve_connect(b, q);
	answer(b, q, -EPERM);
}

static void end(struct backend *b, const struct vtoe_xen_request *q)
{
	(void)b;
	(void)q;
	_exit(0);
}

static void storm(struct backend *b)
{
	unsigned int i, n;

	for (n = 0; n < 2000; n++) {
		notify(b);
		for (i = 0; i < CONNECTIONS; i++)
			if (b->connections[i].memory)
				xenevtchn_notify(
					b->events,
					(evtchn_port_t)b->connections[i].port);
	}
}

/* Everything on the page is random, all the time; sometimes it is an answer. */
static void scribble(struct backend *b)
{
	uint8_t noise[4096];
	unsigned int n;

	for (n = 0; n < 50; n++) {
		if (getrandom(noise, sizeof(noise), 0) != sizeof(noise))
			die("getrandom");
		memcpy(b->page, noise, sizeof(noise) - 1);
		if (n % 2) {
			b->page[VTOE_XEN_COMPLETION_OFFSET] = (uint8_t)n;
			memset(b->page + VTOE_XEN_COMPLETION_OFFSET + 1, 0, 3);
		}
		notify(b);
	}
}

/* -- modes of xenbus ---------------------------------------------------------------- */

/* Connected before the frontend said anything, then any state at any time. */
static void early(struct backend *b)
{
	static const char *const states[] = {
		"4", "2", "4", "3", "1", "7", "8", "9", "99", "-1", "x", "",
		"4294967298", "0", "2", "4", "5", "2", "6", "4", "2", "2", "6",
	};
	unsigned int i;

	set_state(b, "4");
	printf("ready\n");
	for (i = 0; i < 400; i++) {
		set_state(b, states[i % (sizeof(states) / sizeof(*states))]);
		sleep_ms(i < 100 ? 0 : 15);
	}
	set_state(b, "6");
	printf("played\n");
}

/* Offers, maps what comes, keeps it, and offers again. */
static void cycle(struct backend *b)
{
	static void *kept[KEPT];
	unsigned int n, held = 0;

	printf("ready\n");
	for (n = 0; n < 40; n++) {
		set_state(b, "2");
		if (!wait_front(b, 3, 5))
			break;
		kept[held] = xengnttab_map_grant_ref(
			b->grants, b->domid,
			(uint32_t)front_number(b, "ring-ref"), PROT_READ);
		held += kept[held] ? 1 : 0;
		set_state(b, "6");
		if (!wait_front(b, 6, 5))
			break;
	}
	printf("played: %u rounds, %u ring pages\n", n, held);
}

static void version(struct backend *b)
{
	static const char *const versions[] = {
		"7", "", "x", "1x", "-1", "11", "4294967297", " 1", "0x1",
		",,,,", "2,3,4",
	};
	char longest[2048];
	unsigned int i, bad = 0, refused = 0;
	const unsigned int n = sizeof(versions) / sizeof(*versions);

	memset(longest, '9', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	printf("ready\n");
	for (i = 0; i <= n; i++) {
		put_back(b, XBT_NULL, "version", i < n ? versions[i] : longest);
		set_state(b, "2");
		/* it closes, and follows to Closed */
		refused += wait_front(b, 5, 5);
		bad += front_number(b, "state") == 3;
		set_state(b, "6");
		wait_front(b, 6, 5);
	}
	put_back(b, XBT_NULL, "version", "3,2,1");
	set_state(b, "2");
	printf("played: %u of %u refused, %u taken, 3,2,1 %s\n", refused, n + 1,
	       bad, wait_front(b, 3, 5) ? "taken" : "refused");
}

/* Deletes its directory when it has been connected. */
static void gone(struct backend *b)
{
	char path[128];

	set_state(b, "2");
	if (!attach(b))
		die("the frontend does not answer");
	set_state(b, "4");
	if (!wait_front(b, 4, 20))
		die("the frontend does not connect");
	back_path(b, "", path);
	xs_rm(b->xs, XBT_NULL, path);
	printf("ready\n");
}

static void absurd(struct backend *b)
{
	static const char *const numbers[] = {
		"0", "4294967295", "-1", "99999999999999999999", "x", "",
	};
	const unsigned int n = sizeof(numbers) / sizeof(*numbers);
	unsigned int i, connected = 0;

	printf("ready\n");
	for (i = 0; i < n; i++) {
		put_back(b, XBT_NULL, "max-connections", numbers[i]);
		put_back(b, XBT_NULL, "connection-pages", numbers[n - 1 - i]);
		set_state(b, "2");
		if (!wait_front(b, 3, 5))
			continue;
		set_state(b, "4");
		connected += wait_front(b, 4, 5);
		set_state(b, "6");
		wait_front(b, 6, 5);
	}
	printf("played: %u of %u connected\n", connected, n);
}

/* -- */

static const struct mode modes[] = {
	{ .name = "honest", .request = serve },
	{ .name = "jump", .request = jump },
	{ .name = "jump_back", .request = jump_back },
	{ .name = "nothing", .request = nothing },
	{ .name = "twice", .request = twice },
	{ .name = "other_op", .request = other_op },
	{ .name = "garbage", .request = garbage },
	{ .name = "silent", .request = silent },
	{ .name = "deaf", .request = deaf },
	{ .name = "keep", .request = keep },
	{ .name = "refuse_and_keep", .request = refuse_and_keep },
	{ .name = "end", .request = end },
	{ .name = "storm", .request = serve, .tick = storm },
	{ .name = "scribble", .request = silent, .tick = scribble },
	{ .name = "early", .play = early },
	{ .name = "cycle", .play = cycle },
	{ .name = "version", .play = version },
	{ .name = "gone", .play = gone },
	{ .name = "absurd", .play = absurd },
};

static void serve_ring(struct backend *b)
{
	struct pollfd p = { .fd = xenevtchn_fd(b->events), .events = POLLIN };
	struct vtoe_xen_request q;
	int port;

	for (;;) {
		if (poll(&p, 1, b->mode->tick ? 0 : 1000) > 0) {
			port = xenevtchn_pending(b->events);
			if (port >= 0)
				xenevtchn_unmask(b->events, (evtchn_port_t)port);
		}
		while (b->mode->tick != scribble && take(b, &q)) {
			printf("op %u connection %u\n", q.op, q.connection);
			b->mode->request(b, &q);
		}
		if (b->mode->tick)
			b->mode->tick(b);
	}
}

int main(int argc, char **argv)
{
	struct backend b = { .port = -1 };
	size_t i;

	if (argc != 3)
		return 99;
	setvbuf(stdout, NULL, _IOLBF, 0);
	b.domid = (uint32_t)atoi(argv[1]);
	for (i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		if (!strcmp(modes[i].name, argv[2]))
			b.mode = &modes[i];
	b.xs = xs_open(0);
	b.grants = xengnttab_open(NULL, 0);
	b.events = xenevtchn_open(NULL, 0);
	if (!b.mode || !b.xs || !b.grants || !b.events)
		die("start");
	make_directories(&b);
	if (b.mode->play) {
		b.mode->play(&b);
		for (;;)
			pause();
	}
	set_state(&b, "2");
	if (!attach(&b))
		die("the frontend does not answer");
	set_state(&b, "4");
	if (!wait_front(&b, 4, 20))
		die("the frontend does not connect");
	printf("ready\n");
	serve_ring(&b);
}
