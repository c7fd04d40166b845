/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exchange.c - request and response, connection rate, idle connections
 *
 * rr: every stream has one exchange under way: a message of `size` bytes goes
 * out and comes back. connect: a connection is made, one byte is exchanged, and
 * it is closed, one after another; the far end sends its FIN with the byte, so
 * that this side keeps no TIME_WAIT and runs out of no ports. idle: connections
 * that carry nothing, to see what one costs in the worker's memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "workload.h"

#define MAX_SAMPLES 1000000u

struct samples {
	uint32_t *ns;
	size_t count;
};

static int samples_open(struct samples *s)
{
	s->count = 0;
	s->ns = malloc(MAX_SAMPLES * sizeof(s->ns[0]));
	if (!s->ns)
		return -ENOMEM;
	/* Touched now, so that page faults are no part of the measurement. */
	memset(s->ns, 1, MAX_SAMPLES * sizeof(s->ns[0]));
	return 0;
}

static void samples_add(struct samples *s, double seconds)
{
	if (s->count < MAX_SAMPLES)
		s->ns[s->count++] = (uint32_t)(seconds * 1e9);
}

struct rr_stream {
	uint8_t *out, *in;
	double began;
	unsigned pending; /* of the two requests of an exchange */
};

struct rr {
	struct run *run;
	struct rr_stream *streams;
	struct samples samples;
	unsigned busy; /* streams with an exchange under way */
};

#define RR_IN 1u
/* Longer messages may be sent without a copy, and that completes when the peer
 * has acknowledged them, behind the answer. */
#define RR_QUIET_BYTES 4096u

static int rr_begin(struct rr *rr, unsigned stream)
{
	const struct transport_ops *ops = rr->run->t->ops;
	struct rr_stream *s = &rr->streams[stream];
	unsigned size = rr->run->c->size;
	int error;

	s->pending = 2;
	s->began = measure_now();
	error = ops->recv(rr->run->t, stream, s->in, size, true,
			  (uint64_t)stream << 1 | RR_IN);
	if (!error)
		error = ops->send(rr->run->t, stream, s->out, size,
				  size <= RR_QUIET_BYTES,
				  (uint64_t)stream << 1);
	if (error)
		return run_fail(rr->run, error, "posting an exchange");
	rr->busy++;
	return 0;
}

static int rr_done(struct rr *rr, const struct transport_event *event,
		   double now)
{
	struct rr_stream *s = &rr->streams[event->tag >> 1];
	struct run *run = rr->run;

	if (event->result != (ssize_t)run->c->size)
		return run_fail(run,
				event->result < 0 ? (int)event->result : -EPIPE,
				"exchange");
	if (event->tag & RR_IN) {
		samples_add(&rr->samples, now - s->began);
		run->r->operations++;
		run->r->bytes += run->c->size;
		if (run->o->verify && memcmp(s->in, s->out, run->c->size))
			return run_fail(run, -EILSEQ, "echoed bytes are wrong");
	}
	if (!--s->pending)
		rr->busy--;
	return 0;
}

static int rr_loop(struct rr *rr)
{
	struct run *run = rr->run;
	struct transport_event event;
	double now, end;
	struct measure m;
	unsigned i;
	int error;

	measure_start(&m, run->o);
	end = m.wall + run->o->seconds;
	for (i = 0; i < run->c->streams; i++) {
		error = rr_begin(rr, i);
		if (error)
			return error;
	}
	while (rr->busy) {
		error = run->t->ops->wait(run->t, &event);
		if (error)
			return run_fail(run, error, "waiting for an answer");
		now = measure_now();
		error = rr_done(rr, &event, now);
		i = (unsigned)(event.tag >> 1);
		if (!error && !rr->streams[i].pending && now < end)
			error = rr_begin(rr, i);
		if (error)
			return error;
	}
	measure_stop(&m, run->o, run->r);
	return 0;
}

static int rr_open(struct rr *rr)
{
	unsigned i, stream, size = rr->run->c->size;
	struct run *run = rr->run;
	uint8_t *memory;
	int error;

	rr->streams = calloc(run->c->streams, sizeof(rr->streams[0]));
	memory = run->t->ops->alloc(run->t,
				    2 * (size_t)size * run->c->streams);
	if (!rr->streams || !memory || samples_open(&rr->samples))
		return run_fail(run, -ENOMEM, "memory for the messages");
	for (i = 0; i < run->c->streams; i++) {
		error = run_open_stream(run, FAR_ECHO, size, &stream);
		if (error)
			return error;
		rr->streams[i].out = memory + 2 * (size_t)size * i;
		rr->streams[i].in = rr->streams[i].out + size;
		memset(rr->streams[i].out, 'a' + (int)(i % 26), size);
	}
	return 0;
}

static int rr_body(struct run *run)
{
	struct rr rr = { .run = run };
	int error;

	error = rr_open(&rr);
	if (!error)
		error = rr_loop(&rr);
	if (!error)
		stats_latencies(rr.samples.ns, rr.samples.count, run->r);
	free(rr.samples.ns);
	free(rr.streams);
	return error;
}

/* One byte there and back on a new connection. */
static int connect_once(struct run *run, uint8_t *bytes)
{
	const struct transport_ops *ops = run->t->ops;
	struct transport_event event;
	int error, waits = 2;
	unsigned stream;

	error = run_connect(run, &stream);
	if (error)
		return error;
	bytes[0] = FAR_CONNECT;
	error = ops->recv(run->t, stream, bytes + 1, 1, true, RR_IN);
	if (!error)
		error = ops->send(run->t, stream, bytes, 1, true, 0);
	while (!error && waits--) {
		error = ops->wait(run->t, &event);
		if (!error && event.result != 1)
			error = event.result < 0 ? (int)event.result : -EPIPE;
	}
	if (error)
		return run_fail(run, error, "exchange of one byte");
	ops->drop(run->t, stream);
	return 0;
}

static int connect_body(struct run *run)
{
	struct samples samples;
	double before, now, end;
	struct measure m;
	uint8_t *bytes;
	int error;

	bytes = run->t->ops->alloc(run->t, 2);
	if (!bytes || samples_open(&samples))
		return run_fail(run, -ENOMEM, "memory");
	measure_start(&m, run->o);
	end = m.wall + run->o->seconds;
	before = m.wall;
	do {
		error = connect_once(run, bytes);
		if (error)
			goto out;
		now = measure_now();
		samples_add(&samples, now - before);
		run->r->operations++;
		before = now;
	} while (now < end);
	measure_stop(&m, run->o, run->r);
	stats_latencies(samples.ns, samples.count, run->r);
out:
	free(samples.ns);
	return error;
}

static int idle_body(struct run *run)
{
	unsigned i, stream;
	struct measure m;
	long before;
	int error;

	/* The first stream pays for what all share; it is not counted. */
	error = run_open_stream(run, FAR_IDLE, 0, &stream);
	if (error)
		return error;
	before = measure_own_kib(run->o->worker_pid);
	measure_start(&m, run->o);
	for (i = 1; i < run->c->streams; i++) {
		error = run_open_stream(run, FAR_IDLE, 0, &stream);
		if (error)
			return error;
		run->r->operations++;
	}
	measure_stop(&m, run->o, run->r);
	if (before < 0 || run->r->worker_own_kib < 0)
		return run_fail(run, -ESRCH, "the worker's memory");
	run->r->worker_stream_bytes =
		(double)(run->r->worker_own_kib - before) * 1024 /
		(run->c->streams - 1);
	return 0;
}

const struct workload workload_rr = {
	.name = "rr",
	.metrics = METRICS_LATENCY,
	.each_streams = true,
	.each_size = true,
	.body = rr_body,
};

const struct workload workload_connect = {
	.name = "connect",
	.metrics = METRICS_LATENCY,
	.body = connect_body,
};

const struct workload workload_idle = {
	.name = "idle",
	.metrics = METRICS_IDLE,
	.body = idle_body,
};
