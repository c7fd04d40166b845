/* SPDX-License-Identifier: BSD-2-Clause */
/* table.c - the results for a reader at a terminal */
#include <math.h>
#include <stdio.h>

#include "transport.h"
#include "workload.h"

static void print_number(double value, int width)
{
	if (isnan(value))
		printf("%*s", width, "-");
	else if (value >= 1000)
		printf("%*.0f", width, value);
	else if (value >= 10)
		printf("%*.1f", width, value);
	else
		printf("%*.3f", width, value);
}

static void print_row(const struct case_results *c, const struct metric *m)
{
	const struct series *kernel = series_named(c, "kernel");
	const struct series *vtoe = series_named(c, "vtoe");
	struct summary s;
	unsigned i;

	printf("  %-18s %-8s", m->title, m->unit);
	for (i = 0; i < c->series_count; i++) {
		summary_of(&c->series[i], m, &s);
		print_number(s.median, 11);
		printf(" [");
		print_number(s.low, 8);
		print_number(s.high, 9);
		printf("]");
	}
	if (kernel && vtoe) {
		double ratio = summary_ratio(vtoe, kernel, m);

		if (isnan(ratio))
			printf("%9s", "-");
		else
			printf("%9.2f", ratio);
	}
	printf("\n");
}

static void print_case(const struct case_results *c)
{
	const struct metric *metrics;
	unsigned i, count;
	char name[64];

	case_name(&c->c, name, sizeof(name));
	printf("\n%-29s", name);
	for (i = 0; i < c->series_count; i++)
		printf("%11s %-20s", c->series[i].transport->name,
		       "[quartiles]");
	printf("%9s\n", c->series_count > 1 ? "ratio" : "");
	metrics = metrics_of(c->c.workload->metrics, &count);
	for (i = 0; i < count; i++)
		print_row(c, &metrics[i]);
}

void bench_table_print(const struct bench_report *report)
{
	struct criterion criteria[CRITERIA_MAX];
	unsigned i, count;

	for (i = 0; i < report->case_count; i++)
		print_case(&report->cases[i]);
	count = criteria_judge(report, criteria);
	printf("\n");
	for (i = 0; i < count; i++) {
		if (criteria[i].verdict == VERDICT_UNKNOWN)
			continue;
		printf("%s  %s: %.3g (%s %g)\n",
		       verdict_text(criteria[i].verdict), criteria[i].text,
		       criteria[i].value,
		       criteria[i].at_least ? "at least" : "at most",
		       criteria[i].limit);
	}
}
