/* SPDX-License-Identifier: BSD-2-Clause */
/* stats.c - order statistics of rounds and of latency samples */
#include <math.h>
#include <stdlib.h>

#include "workload.h"

static int compare_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

void stats_sort(double *values, unsigned count)
{
	qsort(values, count, sizeof(values[0]), compare_double);
}

/* Linear between the two nearest ranks. */
double stats_quantile(double *sorted, unsigned count, double q)
{
	double at;
	unsigned i;

	if (!count)
		return NAN;
	at = q * (count - 1);
	i = (unsigned)at;
	if (i + 1 >= count)
		return sorted[count - 1];
	return sorted[i] + (at - i) * (sorted[i + 1] - sorted[i]);
}

void stats_latencies(uint32_t *samples, size_t count, struct result *r)
{
	if (!count)
		return;
	qsort(samples, count, sizeof(samples[0]), compare_u32);
	r->p50 = samples[count / 2] / 1e9;
	r->p99 = samples[(size_t)(count * 0.99)] / 1e9;
	r->p999 = samples[(size_t)(count * 0.999)] / 1e9;
}
