/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bulk.c - streams that carry as much as they can in one direction
 *
 * Buffers stay posted: a completion is counted and its buffer posted again. A
 * receive asks for a full buffer (unless --partial), over both transports: a
 * program that wants bulk has no use for every few packets by themselves.
 * The payload is never touched, except that --verify compares what was
 * received (the far end compares what was sent). Sending ends with a half
 * close and the far end's report, so that the time covers every byte.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "workload.h"

struct bulk {
	struct run *run;
	unsigned depth;
	uint64_t *positions; /* of each stream: bytes done (rx), posted (tx) */
	uint8_t *pattern;
	uint8_t *buffers; /* rx: streams x depth */
};

static uint64_t bulk_tag(unsigned stream, unsigned slot)
{
	return (uint64_t)stream << 16 | slot;
}

static int bulk_open(struct bulk *b, struct run *run, uint8_t mode)
{
	unsigned i, stream;
	int error;

	b->run = run;
	b->depth = run->t->ops->depth(run->t, run->o->depth);
	b->positions = calloc(run->c->streams, sizeof(b->positions[0]));
	if (!b->positions)
		return run_fail(run, -ENOMEM, "memory");
	for (i = 0; i < run->c->streams; i++) {
		error = run_open_stream(run, mode, 0, &stream);
		if (error)
			return error;
		if (stream != i)
			return run_fail(run, -EPROTO, "numbers of streams");
	}
	return 0;
}

static int bulk_rx_post(struct bulk *b, unsigned stream, unsigned slot)
{
	size_t bytes = b->run->o->buffer;
	uint8_t *at = b->buffers + (stream * b->depth + slot) * bytes;

	return b->run->t->ops->recv(b->run->t, stream, at, bytes,
				    !b->run->o->partial,
				    bulk_tag(stream, slot));
}

static int bulk_rx_done(struct bulk *b, const struct transport_event *event)
{
	unsigned stream = (unsigned)(event->tag >> 16);
	unsigned slot = event->tag & 0xffff;
	struct run *run = b->run;
	const uint8_t *at;
	int error;

	if (event->result <= 0)
		return run_fail(run,
				event->result ? (int)event->result : -EPIPE,
				"receive");
	at = b->buffers + (stream * b->depth + slot) * (size_t)run->o->buffer;
	if (run->o->verify &&
	    memcmp(at, pattern_at(b->pattern, b->positions[stream]),
		   (size_t)event->result))
		return run_fail(run, -EILSEQ, "received bytes are wrong");
	b->positions[stream] += (uint64_t)event->result;
	run->r->bytes += (uint64_t)event->result;
	run->r->operations++;
	error = bulk_rx_post(b, stream, slot);
	return error ? run_fail(run, error, "posting a receive") : 0;
}

static int bulk_rx_loop(struct bulk *b)
{
	struct run *run = b->run;
	struct transport_event event;
	struct measure m;
	unsigned i, j;
	double end;
	int error;

	measure_start(&m, run->o);
	end = m.wall + run->o->seconds;
	for (j = 0; j < b->depth; j++) {
		for (i = 0; i < run->c->streams; i++) {
			error = bulk_rx_post(b, i, j);
			if (error)
				return run_fail(run, error,
						"posting a receive");
		}
	}
	do {
		error = run->t->ops->wait(run->t, &event);
		if (error)
			return run_fail(run, error, "waiting to receive");
		error = bulk_rx_done(b, &event);
		if (error)
			return error;
	} while (measure_now() < end);
	measure_stop(&m, run->o, run->r);
	return 0;
}

static int bulk_rx_body(struct run *run)
{
	size_t window = run->o->buffer;
	struct bulk b = { 0 };
	int error;

	error = bulk_open(&b, run, FAR_SOURCE);
	if (error)
		goto out;
	error = -ENOMEM;
	b.buffers = run->t->ops->alloc(run->t,
				       run->c->streams * b.depth * window);
	b.pattern = malloc(pattern_bytes(window));
	if (b.buffers && b.pattern) {
		pattern_fill(b.pattern, window);
		error = bulk_rx_loop(&b);
	} else {
		run_fail(run, error, "memory for the buffers");
	}
out:
	free(b.pattern);
	free(b.positions);
	return error;
}

static int bulk_tx_post(struct bulk *b, unsigned stream, unsigned slot)
{
	uint64_t position = b->positions[stream];
	size_t bytes = b->run->o->buffer;
	int error;

	error = b->run->t->ops->send(b->run->t, stream,
				     pattern_at(b->pattern, position), bytes, false,
				     bulk_tag(stream, slot));
	if (!error)
		b->positions[stream] += bytes;
	return error ? run_fail(b->run, error, "posting a send") : 0;
}

/* Half-closes every stream and compares the far end's reports. */
static int bulk_tx_finish(struct bulk *b)
{
	const struct transport_ops *ops = b->run->t->ops;
	struct transport *t = b->run->t;
	struct transport_event event;
	struct far_report *reports;
	struct run *run = b->run;
	int error = 0;
	unsigned i;

	reports = ops->alloc(t, run->c->streams * sizeof(*reports));
	if (!reports)
		return run_fail(run, -ENOMEM, "memory for the reports");
	for (i = 0; i < run->c->streams && !error; i++) {
		error = ops->recv(t, i, &reports[i], sizeof(reports[i]), true,
				  bulk_tag(i, 0));
		if (!error)
			error = ops->shutdown(t, i);
	}
	for (i = 0; i < run->c->streams && !error; i++) {
		error = ops->wait(t, &event);
		if (!error && event.result != sizeof(*reports))
			error = event.result < 0 ? (int)event.result : -EPIPE;
	}
	if (error)
		return run_fail(run, error, "the far end's report");
	for (i = 0; i < run->c->streams; i++) {
		if (be64toh(reports[i].bytes) != b->positions[i])
			return run_fail(run, -EILSEQ, "bytes were lost");
		if (reports[i].mismatches)
			return run_fail(run, -EILSEQ, "sent bytes are wrong");
		run->r->bytes += b->positions[i];
	}
	return 0;
}

static int bulk_tx_loop(struct bulk *b)
{
	struct run *run = b->run;
	struct transport_event event;
	struct measure m;
	unsigned i, j, posted = 0;
	double end;
	int error;

	measure_start(&m, run->o);
	end = m.wall + run->o->seconds;
	for (j = 0; j < b->depth; j++) {
		for (i = 0; i < run->c->streams; i++, posted++) {
			error = bulk_tx_post(b, i, j);
			if (error)
				return error;
		}
	}
	while (posted) {
		error = run->t->ops->wait(run->t, &event);
		if (!error && event.result != (ssize_t)run->o->buffer)
			error = event.result < 0 ? (int)event.result : -EIO;
		if (error)
			return run_fail(run, error, "send");
		run->r->operations++;
		posted--;
		if (measure_now() >= end)
			continue;
		error = bulk_tx_post(b, (unsigned)(event.tag >> 16),
				     event.tag & 0xffff);
		if (error)
			return error;
		posted++;
	}
	error = bulk_tx_finish(b);
	measure_stop(&m, run->o, run->r);
	return error;
}

static int bulk_tx_body(struct run *run)
{
	size_t window = run->o->buffer;
	struct bulk b = { 0 };
	int error;

	error = bulk_open(&b, run, FAR_SINK);
	if (error)
		goto out;
	b.pattern = run->t->ops->alloc(run->t, pattern_bytes(window));
	if (!b.pattern) {
		error = run_fail(run, -ENOMEM, "memory for the data");
		goto out;
	}
	pattern_fill(b.pattern, window);
	error = bulk_tx_loop(&b);
out:
	free(b.positions);
	return error;
}

const struct workload workload_bulk_tx = {
	.name = "bulk-tx",
	.metrics = METRICS_BULK,
	.each_streams = true,
	.body = bulk_tx_body,
};

const struct workload workload_bulk_rx = {
	.name = "bulk-rx",
	.metrics = METRICS_BULK,
	.each_streams = true,
	.body = bulk_rx_body,
};
