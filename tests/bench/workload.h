/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * workload.h - what is measured, and the far end's protocol
 *
 * The first byte of a connection says what the far end shall do:
 *   'c'  answer this one byte with one byte and close
 *   else a struct far_header follows (its first byte is `mode`):
 *   's'  source: send the pattern until the connection closes
 *   'k'  sink: read to the end, then answer with a struct far_report
 *   'e'  echo: answer every message of `size` bytes with the same bytes
 *   'i'  idle: send one byte, then do nothing. Nobody reads that byte, so the
 *        connection ends with a reset, and thousands of them leave no TIME_WAIT
 *        behind that would slow down every later connect
 */
#ifndef VTOE_BENCH_WORKLOAD_H
#define VTOE_BENCH_WORKLOAD_H

#include "bench.h"
#include "transport.h"

#define FAR_CONNECT 'c'
#define FAR_SOURCE 's'
#define FAR_SINK 'k'
#define FAR_ECHO 'e'
#define FAR_IDLE 'i'
#define FAR_MAX_MESSAGE (1u << 20)

struct far_header {
	uint8_t mode;
	uint8_t verify;
	uint8_t zero[2];
	uint32_t size; /* network order */
};

struct far_report {
	uint64_t bytes; /* network order, as mismatches */
	uint64_t mismatches;
};

/* What a workload's body works with: everything is set up by round.c. */
struct run {
	const struct bench_options *o;
	const struct bench_case *c;
	struct transport *t;
	struct result *r;
	struct far_header *header; /* in the transport's memory */
};

enum metric_family { METRICS_BULK, METRICS_LATENCY, METRICS_IDLE };

struct workload {
	const char *name;
	enum metric_family metrics;
	bool each_size;	   /* a case for each --sizes */
	bool each_streams; /* a case for each --streams, else one stream */
	/* 0 or a negated errno with r->what filled */
	int (*body)(struct run *run);
};

/* NULL-terminated */
extern const struct workload *const workload_table[];
extern const struct workload workload_bulk_tx, workload_bulk_rx;
extern const struct workload workload_rr, workload_connect, workload_idle;

/* run.c: helpers of the bodies */
int run_fail(struct run *run, int error, const char *what);
int run_connect(struct run *run, unsigned *stream);
/* Connects and sends the header that asks the far end for `mode`. */
int run_open_stream(struct run *run, uint8_t mode, uint32_t size,
		    unsigned *stream);

/* measure.c: a stop-watch of time and processors */
struct measure {
	double wall, user, system, worker;
	uint64_t switches;
};
double measure_now(void);
void measure_start(struct measure *m, const struct bench_options *o);
void measure_stop(const struct measure *m, const struct bench_options *o,
		  struct result *r);
/* Resident memory of a process that is not shared memory, in KiB; -1. */
long measure_own_kib(pid_t pid);

/* pattern.c: the byte at position p of a stream depends on p only. */
#define PATTERN_PERIOD 65521u
size_t pattern_bytes(size_t window);
/* Fills `at` so that any `window` bytes of the stream are contiguous in it. */
void pattern_fill(uint8_t *at, size_t window);
static inline const uint8_t *pattern_at(const uint8_t *pattern, uint64_t pos)
{
	return pattern + pos % PATTERN_PERIOD;
}

/* stats.c */
double stats_quantile(double *sorted, unsigned count, double q);
void stats_sort(double *values, unsigned count);
/* Of samples in nanoseconds, which are reordered. */
void stats_latencies(uint32_t *samples, size_t count, struct result *r);

/* metric.c: the numbers that are shown of a result */
struct metric {
	const char *name;
	const char *title;
	const char *unit;
	bool more_is_better;
	/* NAN when the result does not have it */
	double (*value)(const struct result *r);
};
const struct metric *metrics_of(enum metric_family family, unsigned *count);

struct summary {
	unsigned count;
	double median, low, high; /* quartiles */
};
void summary_of(const struct series *series, const struct metric *metric,
		struct summary *s);
/* Median over the rounds of metric(vtoe) / metric(kernel); NAN. */
double summary_ratio(const struct series *over, const struct series *under,
		     const struct metric *metric);
const struct series *series_named(const struct case_results *c,
				  const char *transport);
void case_name(const struct bench_case *c, char *to, size_t room);

/* criteria.c */
enum verdict { VERDICT_UNKNOWN, VERDICT_PASS, VERDICT_MISS };
struct criterion {
	char text[96];
	double value, limit;
	bool at_least;
	enum verdict verdict;
};
#define CRITERIA_MAX 16
unsigned criteria_judge(const struct bench_report *report,
			struct criterion *to);
const char *verdict_text(enum verdict verdict);

#endif
