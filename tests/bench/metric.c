/* SPDX-License-Identifier: BSD-2-Clause */
/* metric.c - the numbers that tables, JSON and plot show of a result */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "workload.h"

static double throughput(const struct result *r)
{
	return r->bytes * 8 / r->seconds / 1e9;
}

static double app_cpu(const struct result *r)
{
	return r->app_user + r->app_system;
}

static double per_gb(const struct result *r, double cpu)
{
	return cpu < 0 || !r->bytes ? NAN : cpu / (r->bytes / 1e9);
}

static double app_per_gb(const struct result *r)
{
	return per_gb(r, app_cpu(r));
}

static double worker_per_gb(const struct result *r)
{
	return per_gb(r, r->worker_cpu);
}

static double total_per_gb(const struct result *r)
{
	return per_gb(r, app_cpu(r) + (r->worker_cpu > 0 ? r->worker_cpu : 0));
}

static double rate(const struct result *r)
{
	return r->operations / r->seconds;
}

static double p50(const struct result *r)
{
	return r->p50 * 1e6;
}

static double p99(const struct result *r)
{
	return r->p99 * 1e6;
}

static double p999(const struct result *r)
{
	return r->p999 * 1e6;
}

static double app_per_op(const struct result *r)
{
	return r->operations ? app_cpu(r) * 1e6 / r->operations : NAN;
}

static double worker_per_op(const struct result *r)
{
	if (r->worker_cpu < 0 || !r->operations)
		return NAN;
	return r->worker_cpu * 1e6 / r->operations;
}

static double stream_bytes(const struct result *r)
{
	return r->worker_stream_bytes;
}

static double worker_mib(const struct result *r)
{
	return r->worker_own_kib < 0 ? NAN : r->worker_own_kib / 1024.0;
}

static const struct metric bulk_metrics[] = {
	{ "throughput", "throughput", "Gbit/s", true, throughput },
	{ "app_cpu", "application's CPU", "s/GB", false, app_per_gb },
	{ "worker_cpu", "worker's CPU", "s/GB", false, worker_per_gb },
	{ "total_cpu", "both", "s/GB", false, total_per_gb },
};

static const struct metric latency_metrics[] = {
	{ "rate", "rate", "1/s", true, rate },
	{ "p50", "p50", "us", false, p50 },
	{ "p99", "p99", "us", false, p99 },
	{ "p999", "p99.9", "us", false, p999 },
	{ "app_cpu", "application's CPU", "us each", false, app_per_op },
	{ "worker_cpu", "worker's CPU", "us each", false, worker_per_op },
};

static const struct metric idle_metrics[] = {
	{ "stream_bytes", "worker's memory", "B/stream", false, stream_bytes },
	{ "worker_own", "worker resident", "MiB", false, worker_mib },
	{ "rate", "connections", "1/s", true, rate },
};

const struct metric *metrics_of(enum metric_family family, unsigned *count)
{
	static const struct {
		const struct metric *metrics;
		unsigned count;
	} families[] = {
		[METRICS_BULK] = { bulk_metrics, 4 },
		[METRICS_LATENCY] = { latency_metrics, 6 },
		[METRICS_IDLE] = { idle_metrics, 3 },
	};

	*count = families[family].count;
	return families[family].metrics;
}

void summary_of(const struct series *series, const struct metric *metric,
		struct summary *s)
{
	double values[BENCH_MAX_ROUNDS], value;
	unsigned i;

	s->count = 0;
	for (i = 0; i < series->count; i++) {
		if (series->rounds[i].error)
			continue;
		value = metric->value(&series->rounds[i]);
		if (!isnan(value))
			values[s->count++] = value;
	}
	stats_sort(values, s->count);
	s->median = stats_quantile(values, s->count, 0.5);
	s->low = stats_quantile(values, s->count, 0.25);
	s->high = stats_quantile(values, s->count, 0.75);
}

double summary_ratio(const struct series *over, const struct series *under,
		     const struct metric *metric)
{
	double ratios[BENCH_MAX_ROUNDS], ratio;
	unsigned i, count = 0;

	/* Round by round, since the two ran next to each other in time. */
	for (i = 0; i < over->count && i < under->count; i++) {
		if (over->rounds[i].error || under->rounds[i].error)
			continue;
		ratio = metric->value(&over->rounds[i]) /
			metric->value(&under->rounds[i]);
		if (isfinite(ratio))
			ratios[count++] = ratio;
	}
	stats_sort(ratios, count);
	return stats_quantile(ratios, count, 0.5);
}

const struct series *series_named(const struct case_results *c,
				  const char *transport)
{
	unsigned i;

	for (i = 0; i < c->series_count; i++)
		if (!strcmp(c->series[i].transport->name, transport))
			return &c->series[i];
	return NULL;
}

void case_name(const struct bench_case *c, char *to, size_t room)
{
	int n = snprintf(to, room, "%s, %u stream%s", c->workload->name,
			 c->streams, c->streams == 1 ? "" : "s");

	if (c->size && n > 0 && (size_t)n < room)
		snprintf(to + n, room - (size_t)n, ", %u B", c->size);
}
