/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * receive - receive and aggregate: AF_XDP and the aggregator, and kernel's GRO
 *
 *	receive [--json FILE] [--rounds N] [--hold MICROSECONDS] [FLOWS...]
 *
 * MTU-sized frames of so many flows, one of each in turn (default 1 16 256
 * 1024), the same for all, in turn; medians:
 *
 *	GRO	 the kernel collects them; what comes out is thrown away before IP
 *	vtoe	 steer, xsk, aggregate; the result is thrown away
 *	bare	 the same without aggregating: the limit
 *
 * For each the processor time of a frame, of the interface's NAPI thread and of
 * this process together, on one processor; the sender has the other. Checksums
 * are verified in software on both sides: veth has no NIC to do it. Segments of
 * an aggregate are of all that came out, those of the last flush too.
 *
 * A frame from a NIC carries a hash, by which GRO keeps up to 64 flows at
 * once; these have none, so it keeps 8: that is 16 flows' disadvantage here
 * (256 and more are beyond either). Aggregates are held until full, or for so
 * many microseconds (default: a minute): with the frames of a flow far apart, no
 * more is collected than what comes in that time.
 *
 * veth copies each frame into the socket's memory, which a NIC with zero copy
 * does not, and gives its page back to the sender's processor one by one: both
 * are in what the kernel's part of AF_XDP costs here. What the aggregator costs
 * is the difference of the two columns "own".
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "engine/aggregate.h"
#include "nic/steer.h"
#include "nic/xsk.h"
#include "tests/bench/receive_wire.h"

enum {
	FRAMES = 92160, /* at least; 45 of each flow, or a multiple */
	FULL = 45,	/* of these frames make an aggregate of 64 KiB */
	BURST = 64,
	BUFFERS = 1 << 16,
	ROUNDS_MAX = 101,
	LOST_MS = 20000, /* without a frame: also a busy machine's pause */
};

struct options {
	const char *json;
	unsigned rounds;
	uint64_t hold; /* ns */
};

struct sender {
	pid_t pid;
	int order[2]; /* pipe: a number of flows */
	int done[2];
};

struct bench {
	struct options options;
	struct wire wire;
	struct sender sender;
	void *memory;
	struct xsk_frame frames[BURST];
};

/* Nanoseconds of a frame. */
struct cost {
	double kernel;	/* the interface's thread */
	double process; /* ours */
};

struct result {
	double gro, gro_segments, vtoe_segments;
	struct cost vtoe, bare;
};

static double process_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void pin(int processor)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(processor, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		wire_fail("sched_setaffinity");
}

/* -- the sender, a process ------------------------------------------------- */

static void on_signal(int number)
{
	(void)number; /* it ends a system call */
}

/* sender_end() may signal once more after the call that it meant has ended. */
static bool sender_order(const struct bench *b, uint32_t *flows)
{
	ssize_t n;

	do
		n = read(b->sender.order[0], flows, sizeof(*flows));
	while (n < 0 && errno == EINTR);
	return n == sizeof(*flows);
}

static void sender_run(struct bench *b)
{
	struct sigaction end = { .sa_handler = on_signal };
	uint32_t flows;

	pin(0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGUSR1, &end, NULL);
	while (sender_order(b, &flows)) {
		wire_send(&b->wire, flows);
		if (write(b->sender.done[1], "", 1) != 1)
			break;
	}
	_exit(0);
}

static void sender_start(struct bench *b)
{
	if (pipe(b->sender.order) || pipe(b->sender.done))
		wire_fail("pipe");
	b->sender.pid = fork();
	if (b->sender.pid < 0)
		wire_fail("fork");
	if (!b->sender.pid)
		sender_run(b);
}

static void sender_begin(struct bench *b, uint32_t flows, uint64_t frames)
{
	volatile struct wire_state *s = b->wire.state;

	s->made = s->taken = s->packets = 0;
	s->total = frames;
	if (write(b->sender.order[1], &flows, sizeof(flows)) != sizeof(flows))
		wire_fail("sender");
}

/* All frames are made and taken: it has nothing to do, so a signal finds it in
 * the call, or the next does. */
static void sender_end(struct bench *b)
{
	struct pollfd p = { .fd = b->sender.done[0], .events = POLLIN };
	char c;

	do
		kill(b->sender.pid, SIGUSR1);
	while (poll(&p, 1, 10) != 1);
	if (read(p.fd, &c, 1) != 1)
		wire_fail("sender");
}

/* -- the kernel's side ----------------------------------------------------- */

static double gro(struct bench *b, uint32_t flows, uint64_t frames,
		  double *segments)
{
	volatile struct wire_state *s = b->wire.state;
	uint64_t taken, before = 0;
	unsigned waited = 0;
	double begin;

	wire_find_napi(&b->wire);
	begin = wire_napi_seconds(&b->wire);
	sender_begin(b, flows, frames);
	while ((taken = s->taken) < frames) {
		waited = taken == before ? waited + 1 : 0;
		before = taken;
		errno = ETIMEDOUT;
		if (waited > LOST_MS)
			wire_fail("the kernel lost frames");
		usleep(1000);
	}
	begin = wire_napi_seconds(&b->wire) - begin;
	sender_end(b);
	*segments = (double)frames / (double)s->packets;
	return begin * 1e9 / (double)frames;
}

/* -- ours ------------------------------------------------------------------ */

struct receiver {
	struct steer steer;
	struct xsk xsk;
	struct aggregator aggregator;
	void *memory; /* the aggregator's */
};

static void take_back(struct receiver *r, struct delivery *d)
{
	struct segment_cursor c;
	struct segment s;

	if (d->kind == DELIVERY_FRAME) {
		xsk_release(&r->xsk, (uint32_t)d->ref);
		return;
	}
	segment_cursor_begin(&c, &d->segments);
	while (segment_cursor_next(&r->aggregator.pool, &c, UINT32_MAX, &s))
		if (s.whole)
			xsk_release(&r->xsk, (uint32_t)s.ref);
	aggregate_release(&r->aggregator, d);
}

static void aggregate_burst(struct bench *b, struct receiver *r, unsigned n,
			    uint64_t now)
{
	struct frame_input in = { .flags = FRAME_CHOSEN };
	struct delivery out[AGGREGATE_OUT];
	unsigned i, k, came;

	for (i = 0; i < n; i++) {
		if (i + 2 < n) {
			__builtin_prefetch(b->frames[i + 2].data);
			__builtin_prefetch(b->frames[i + 2].data + 64);
		}
		in.data = b->frames[i].data;
		in.length = b->frames[i].length;
		in.ref = b->frames[i].ref;
		came = aggregate_push(&r->aggregator, &in, now, out);
		if (came & AGGREGATE_DROPPED)
			wire_fail("a frame was dropped");
		for (k = 0; k < came; k++)
			take_back(r, &out[k]);
	}
	while (aggregate_deadline(&r->aggregator) <= now &&
	       (came = aggregate_expire(&r->aggregator, now, out,
					AGGREGATE_OUT)) > 0)
		for (k = 0; k < came; k++)
			take_back(r, &out[k]);
}

static void flush(struct receiver *r)
{
	struct delivery out[AGGREGATE_OUT];
	unsigned n, k;

	while ((n = aggregate_flush(&r->aggregator, END_BATCH, out,
				    AGGREGATE_OUT)) > 0)
		for (k = 0; k < n; k++)
			take_back(r, &out[k]);
}

static void receive_all(struct bench *b, struct receiver *r, uint64_t frames,
			bool aggregate)
{
	struct pollfd p = { .fd = r->xsk.fd, .events = POLLIN };
	uint64_t taken = 0;
	unsigned n, i;

	while (taken < frames) {
		n = xsk_receive(&r->xsk, b->frames, BURST);
		if (!n) {
			errno = ETIMEDOUT;
			if (poll(&p, 1, LOST_MS) != 1)
				wire_fail("AF_XDP lost frames");
			continue;
		}
		if (aggregate)
			aggregate_burst(b, r, n, now_ns());
		for (i = 0; i < n && !aggregate; i++)
			xsk_release(&r->xsk, b->frames[i].ref);
		taken += n;
		b->wire.state->taken = taken;
	}
	if (aggregate)
		flush(r);
}

static void receiver_open(struct bench *b, struct receiver *r)
{
	const struct xsk_config x = { .ifindex = b->wire.ifindex,
				      .frame_size = 2048,
				      .receive = BUFFERS,
				      .send = 1 };
	const struct steer_config s = { .ifindex = b->wire.ifindex,
					.claims_max = 16,
					.queues = 1,
					.frame_max = xsk_frame_max(&x) };
	const struct steer_claim port = { .local_port = htons(80), .family = 4 };
	struct aggregate_config c;

	aggregate_config_default(&c);
	c.secret[0] = 1;
	c.flows = 4096;
	c.hold_max = BUFFERS - 1024;
	c.backlog = AGGREGATE_OUT * 16;
	c.timeout = b->options.hold;
	r->memory = aligned_alloc(64, aggregate_bytes(&c));
	if (!r->memory ||
	    aggregate_init(&r->aggregator, &c, r->memory, aggregate_bytes(&c)))
		wire_fail("aggregator");
	if (steer_open(&r->steer, &s) || !r->steer.native ||
	    xsk_start(&r->xsk, xsk_socket(0), &x, b->memory) ||
	    steer_queue(r->steer.sockets, 0, r->xsk.fd) ||
	    steer_claim(r->steer.claims, &port, 0))
		wire_fail("AF_XDP");
	wire_find_napi(&b->wire);
}

static void ours(struct bench *b, uint32_t flows, uint64_t frames,
		 struct cost *cost, double *segments)
{
	struct receiver r = { 0 };

	receiver_open(b, &r);
	cost->kernel = -wire_napi_seconds(&b->wire);
	cost->process = -process_seconds();
	sender_begin(b, flows, frames);
	receive_all(b, &r, frames, segments);
	cost->kernel += wire_napi_seconds(&b->wire);
	cost->process += process_seconds();
	cost->kernel *= 1e9 / (double)frames;
	cost->process *= 1e9 / (double)frames;
	sender_end(b);
	if (segments)
		*segments = (double)frames /
			    (double)(r.aggregator.stats.agg_out +
				     r.aggregator.stats.pass_through);
	steer_close(&r.steer);
	xsk_stop(&r.xsk);
	free(r.memory);
}

/* -- the table ------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static double median(double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), compare);
	return v[n / 2];
}

/* The run that was the median in all. */
static int compare_cost(const void *a, const void *b)
{
	const struct cost *x = a, *y = b;
	double xs = x->kernel + x->process, ys = y->kernel + y->process;

	return xs < ys ? -1 : xs > ys;
}

static struct cost median_cost(struct cost *v, unsigned n)
{
	qsort(v, n, sizeof(*v), compare_cost);
	return v[n / 2];
}

static void measure(struct bench *b, uint32_t flows, struct result *result)
{
	struct cost vtoe[ROUNDS_MAX], bare[ROUNDS_MAX];
	uint64_t frames = (uint64_t)FULL * flows;
	double kernel[ROUNDS_MAX], all;
	unsigned i;

	frames *= (FRAMES + frames - 1) / frames;
	for (i = 0; i < b->options.rounds; i++) {
		kernel[i] = gro(b, flows, frames, &result->gro_segments);
		ours(b, flows, frames, &vtoe[i], &result->vtoe_segments);
		ours(b, flows, frames, &bare[i], NULL);
	}
	result->gro = median(kernel, i);
	result->vtoe = median_cost(vtoe, i);
	result->bare = median_cost(bare, i);
	all = result->vtoe.kernel + result->vtoe.process;
	printf("%6u  %6.1f %6.1f  %6.0f  %6.0f %6.0f %6.0f  %6.0f %6.0f"
	       "  %6.2f %6.2f\n", flows, result->gro_segments,
	       result->vtoe_segments, result->gro, all, result->vtoe.kernel,
	       result->vtoe.process, result->bare.kernel,
	       result->bare.process, all / result->gro,
	       all / (result->bare.kernel + result->bare.process));
	fflush(stdout);
}

static void write_json(const char *path, const struct options *o,
		       const uint32_t *flows, const struct result *r,
		       unsigned count)
{
	FILE *f = fopen(path, "w");
	unsigned i;

	if (!f)
		wire_fail(path);
	fprintf(f, "{\n  \"benchmark\": \"receive\",\n  \"rounds\": %u,\n"
		   "  \"hold_ns\": %llu,\n  \"results\": [",
		o->rounds, (unsigned long long)o->hold);
	for (i = 0; i < count; i++)
		fprintf(f, "%s\n    {\"flows\": %u, "
			   "\"gro\": {\"ns_per_frame\": %.1f, "
			   "\"segments\": %.2f}, "
			   "\"vtoe\": {\"kernel_ns_per_frame\": %.1f, "
			   "\"process_ns_per_frame\": %.1f, "
			   "\"segments\": %.2f}, "
			   "\"bare\": {\"kernel_ns_per_frame\": %.1f, "
			   "\"process_ns_per_frame\": %.1f}}",
			i ? "," : "", flows[i], r[i].gro, r[i].gro_segments,
			r[i].vtoe.kernel, r[i].vtoe.process,
			r[i].vtoe_segments, r[i].bare.kernel,
			r[i].bare.process);
	fprintf(f, "\n  ]\n}\n");
	if (fclose(f))
		wire_fail(path);
}

static unsigned parse(struct options *o, int argc, char **argv,
		      uint32_t flows[16])
{
	unsigned count = 0;
	int i;

	*o = (struct options){ .rounds = 5, .hold = 60000000000 };
	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json") && argv[i + 1])
			o->json = argv[++i];
		else if (!strcmp(argv[i], "--rounds") && argv[i + 1])
			o->rounds = (unsigned)atoi(argv[++i]);
		else if (!strcmp(argv[i], "--hold") && argv[i + 1])
			o->hold = strtoull(argv[++i], NULL, 10) * 1000;
		else if (count < 16 && atoi(argv[i]) > 0 &&
			 atoi(argv[i]) <= 4096)
			flows[count++] = (uint32_t)atoi(argv[i]);
		else
			o->rounds = 0;
	}
	if (!o->rounds || o->rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: receive [--json FILE] [--rounds N] "
				"[--hold MICROSECONDS] [FLOWS...]\n");
		exit(99);
	}
	return count;
}

int main(int argc, char **argv)
{
	uint32_t flows[16] = { 1, 16, 256, 1024 };
	struct result results[16];
	struct bench b = { 0 };
	unsigned count, i;

	count = parse(&b.options, argc, argv, flows);
	if (!count)
		count = 4;
	wire_up(&b.wire);
	b.memory = mmap(NULL, (size_t)2048 * (BUFFERS + 1),
			PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	if (b.memory == MAP_FAILED)
		wire_fail("memory");
	sender_start(&b);
	pin(1);
	printf("        segments of an  ns of processor a frame"
	       "                     ratio of\n"
	       "        aggregate          GRO    vtoe                   bare"
	       "          vtoe to\n"
	       " flows     GRO   vtoe             all kernel    own  kernel"
	       "    own     GRO   bare\n");
	for (i = 0; i < count; i++)
		measure(&b, flows[i], &results[i]);
	if (b.options.json)
		write_json(b.options.json, &b.options, flows, results, count);
	kill(b.sender.pid, SIGKILL);
	return 0;
}
