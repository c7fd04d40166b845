/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main.c - vtoe-bench: TCP over kernel sockets beside TCP over vtoe
 *
 * Rounds of the transports alternate, in an order that turns round each time,
 * so that a change of the machine's mood hits both. Medians and quartiles over
 * rounds are shown, ratios are taken round by round.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "transport.h"
#include "workload.h"

#define MAX_CASES 64u

static unsigned cases_make(const struct bench_options *o,
			   struct case_results *cases)
{
	unsigned w, n, s, count = 0;

	for (w = 0; w < o->workload_count; w++) {
		const struct workload *load = o->workloads[w];
		unsigned streams = load->each_streams ? o->stream_counts : 1;
		unsigned sizes = load->each_size ? o->size_count : 1;

		for (n = 0; n < streams; n++) {
			for (s = 0; s < sizes && count < MAX_CASES; s++) {
				struct bench_case *c = &cases[count++].c;

				c->workload = load;
				c->streams = load->each_streams ?
					     o->streams[n] : 1;
				c->size = load->each_size ? o->sizes[s] : 0;
				if (load == &workload_idle)
					c->streams = o->idle_streams;
			}
		}
	}
	return count;
}

static bool case_run_round(const struct bench_options *o,
			   struct case_results *c, unsigned round)
{
	bool good = true;
	unsigned i, at;

	for (i = 0; i < c->series_count; i++) {
		struct series *s;
		struct result *r;

		at = round & 1 ? c->series_count - 1 - i : i;
		s = &c->series[at];
		r = &s->rounds[s->count++];
		bench_round(o, s->transport, &c->c, r);
		if (r->error) {
			fprintf(stderr, "vtoe-bench: %s over %s: %s\n",
				c->c.workload->name, s->transport->name,
				r->what);
			good = false;
		}
	}
	return good;
}

static bool case_run(const struct bench_options *o, struct case_results *c)
{
	char name[64];
	bool good = true;
	unsigned i;

	for (i = 0; i < o->transport_count; i++) {
		/* Idle streams are weighed in the worker; without one there
		 * is nothing to weigh. */
		if (c->c.workload == &workload_idle &&
		    !o->transports[i]->has_worker)
			continue;
		c->series[c->series_count++].transport = o->transports[i];
	}
	case_name(&c->c, name, sizeof(name));
	fprintf(stderr, "%-28s", name);
	for (i = 0; i < o->rounds; i++) {
		good &= case_run_round(o, c, i);
		fputc('.', stderr);
	}
	fputc('\n', stderr);
	return good;
}

static int bench_run(int argc, char **argv)
{
	struct bench_report report = { 0 };
	struct bench_options o;
	struct rlimit limit;
	bool good = true;
	int error;
	unsigned i;

	error = bench_options_parse(&o, argc, argv);
	if (error)
		return error < 0 ? 2 : 0;
	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	report.options = &o;
	report.cases = calloc(MAX_CASES, sizeof(report.cases[0]));
	if (!report.cases)
		return 1;
	report.case_count = cases_make(&o, report.cases);
	for (i = 0; i < report.case_count; i++)
		good &= case_run(&o, &report.cases[i]);
	bench_table_print(&report);
	if (o.json_path && bench_json_write(&report, o.json_path))
		good = false;
	if (o.plot_path && bench_plot_write(&report, o.plot_path))
		good = false;
	free(report.cases);
	return good ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "server"))
		return bench_server(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "run"))
		return bench_run(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "--help")) {
		bench_usage(false);
		return 0;
	}
	bench_usage(true);
	return 2;
}
