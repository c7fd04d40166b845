/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * criteria.c - what the project promises of its speed and size
 *
 * Judged and shown, never enforced: a benchmark on a busy machine proves
 * nothing about a commit.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "workload.h"

struct judge {
	struct criterion *to;
	unsigned count;
};

static void judge_add(struct judge *j, const char *text, double value,
		      double limit, bool at_least)
{
	struct criterion *c;

	if (j->count == CRITERIA_MAX)
		return;
	c = &j->to[j->count++];
	snprintf(c->text, sizeof(c->text), "%s", text);
	c->value = value;
	c->limit = limit;
	c->at_least = at_least;
	if (isnan(value))
		c->verdict = VERDICT_UNKNOWN;
	else if (at_least ? value >= limit : value <= limit)
		c->verdict = VERDICT_PASS;
	else
		c->verdict = VERDICT_MISS;
}

static const struct metric *metric_named(const struct case_results *c,
					 const char *name)
{
	const struct metric *m;
	unsigned i, count;

	m = metrics_of(c->c.workload->metrics, &count);
	for (i = 0; i < count; i++)
		if (!strcmp(m[i].name, name))
			return &m[i];
	return NULL;
}

static void judge_ratio(struct judge *j, const struct case_results *c,
			const char *metric, double limit, bool at_least,
			const char *what)
{
	const struct series *kernel = series_named(c, "kernel");
	const struct series *vtoe = series_named(c, "vtoe");
	const struct metric *m = metric_named(c, metric);
	char text[96], name[64];

	if (!kernel || !vtoe || !m)
		return;
	case_name(&c->c, name, sizeof(name));
	snprintf(text, sizeof(text), "%s: %s, vtoe / kernel", name, what);
	judge_add(j, text, summary_ratio(vtoe, kernel, m), limit, at_least);
}

/* Of all rounds: a worker keeps and reuses what the first one made it take. */
static double largest(const struct series *s, const struct metric *m)
{
	double most = NAN;
	unsigned i;

	for (i = 0; i < s->count; i++)
		if (!s->rounds[i].error)
			most = fmax(most, m->value(&s->rounds[i]));
	return most;
}

static double largest_own_mib(const struct bench_report *report)
{
	double most = NAN;
	unsigned i, k;

	for (i = 0; i < report->case_count; i++) {
		const struct series *s;

		s = series_named(&report->cases[i], "vtoe");
		/* Thousands of streams are another criterion's business. */
		if (!s || report->cases[i].c.workload == &workload_idle)
			continue;
		for (k = 0; k < s->count; k++) {
			double mib = s->rounds[k].worker_own_kib / 1024.0;

			if (!s->rounds[k].error && mib > 0)
				most = isnan(most) ? mib : fmax(most, mib);
		}
	}
	return most;
}

static void judge_case(struct judge *j, const struct case_results *c)
{
	const struct series *vtoe = series_named(c, "vtoe");
	double most;

	if (c->c.workload->metrics == METRICS_BULK && c->c.streams == 1) {
		judge_ratio(j, c, "throughput", 0.6, true, "throughput");
		judge_ratio(j, c, "app_cpu", 0.5, false,
			    "application's CPU per GB");
	} else if (c->c.workload == &workload_rr && c->c.streams == 1) {
		judge_ratio(j, c, "p50", 2, false, "p50");
	} else if (c->c.workload == &workload_idle && vtoe) {
		most = largest(vtoe, metric_named(c, "stream_bytes"));
		judge_add(j, "worker's memory per idle stream, bytes", most,
			  1024, false);
	}
}

unsigned criteria_judge(const struct bench_report *report,
			struct criterion *to)
{
	struct judge j = { .to = to };
	unsigned i;

	for (i = 0; i < report->case_count; i++)
		judge_case(&j, &report->cases[i]);
	judge_add(&j, "worker's resident memory without the arena, MiB",
		  largest_own_mib(report), 16, false);
	return j.count;
}

const char *verdict_text(enum verdict verdict)
{
	static const char *const texts[] = {
		[VERDICT_UNKNOWN] = "unknown",
		[VERDICT_PASS] = "pass",
		[VERDICT_MISS] = "miss",
	};

	return texts[verdict];
}
