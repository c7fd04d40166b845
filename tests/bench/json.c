/* SPDX-License-Identifier: BSD-2-Clause */
/* json.c - all numbers, for programs */
#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "transport.h"
#include "workload.h"

typedef struct json_object json;

static void put(json *to, const char *name, json *value)
{
	json_object_object_add(to, name, value);
}

static json *number(double value)
{
	return isfinite(value) ? json_object_new_double(value) : NULL;
}

static void put_int(json *to, const char *name, uint64_t value)
{
	put(to, name, json_object_new_int64((int64_t)value));
}

static json *json_round(const struct result *r)
{
	json *j = json_object_new_object();

	if (r->error) {
		put(j, "error", json_object_new_string(r->what));
		return j;
	}
	put(j, "seconds", number(r->seconds));
	put_int(j, "bytes", r->bytes);
	put_int(j, "operations", r->operations);
	put(j, "app_user", number(r->app_user));
	put(j, "app_system", number(r->app_system));
	put_int(j, "app_switches", r->app_switches);
	put(j, "worker_cpu", r->worker_cpu < 0 ? NULL : number(r->worker_cpu));
	put_int(j, "registrations", r->counters.registrations);
	put_int(j, "doorbells", r->counters.doorbells);
	put_int(j, "wakeups", r->counters.wakeups);
	put_int(j, "bytes_copied", r->counters.bytes_copied);
	return j;
}

static json *json_summaries(const struct case_results *c,
			    const struct series *s)
{
	json *j = json_object_new_object(), *one;
	const struct metric *metrics;
	struct summary summary;
	unsigned i, count;

	metrics = metrics_of(c->c.workload->metrics, &count);
	for (i = 0; i < count; i++) {
		summary_of(s, &metrics[i], &summary);
		if (!summary.count)
			continue;
		one = json_object_new_object();
		put(one, "unit", json_object_new_string(metrics[i].unit));
		put(one, "median", number(summary.median));
		put(one, "quartile1", number(summary.low));
		put(one, "quartile3", number(summary.high));
		put(j, metrics[i].name, one);
	}
	return j;
}

static json *json_series(const struct case_results *c, const struct series *s)
{
	json *j = json_object_new_object(), *rounds;
	unsigned i;

	put(j, "transport", json_object_new_string(s->transport->name));
	put(j, "metrics", json_summaries(c, s));
	rounds = json_object_new_array();
	for (i = 0; i < s->count; i++)
		json_object_array_add(rounds, json_round(&s->rounds[i]));
	put(j, "rounds", rounds);
	return j;
}

static json *json_ratios(const struct case_results *c)
{
	const struct series *kernel = series_named(c, "kernel");
	const struct series *vtoe = series_named(c, "vtoe");
	json *j = json_object_new_object();
	const struct metric *metrics;
	unsigned i, count;
	double ratio;

	if (!kernel || !vtoe)
		return j;
	metrics = metrics_of(c->c.workload->metrics, &count);
	for (i = 0; i < count; i++) {
		ratio = summary_ratio(vtoe, kernel, &metrics[i]);
		if (isfinite(ratio))
			put(j, metrics[i].name, number(ratio));
	}
	return j;
}

static json *json_case(const struct case_results *c)
{
	json *j = json_object_new_object(), *series;
	unsigned i;

	put(j, "workload", json_object_new_string(c->c.workload->name));
	put_int(j, "streams", c->c.streams);
	if (c->c.size)
		put_int(j, "size", c->c.size);
	series = json_object_new_array();
	for (i = 0; i < c->series_count; i++)
		json_object_array_add(series, json_series(c, &c->series[i]));
	put(j, "transports", series);
	put(j, "vtoe_over_kernel", json_ratios(c));
	return j;
}

static json *json_machine(void)
{
	json *j = json_object_new_object();
	char when[32] = "";
	time_t now = time(NULL);
	struct utsname u;

	uname(&u);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
	put(j, "time", json_object_new_string(when));
	put(j, "kernel", json_object_new_string(u.release));
	put(j, "machine", json_object_new_string(u.machine));
	put_int(j, "processors", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
	return j;
}

static json *json_options(const struct bench_options *o)
{
	json *j = json_object_new_object();

	put(j, "seconds", number(o->seconds));
	put_int(j, "rounds", o->rounds);
	put_int(j, "buffer", o->buffer);
	put_int(j, "depth", o->depth);
	put(j, "verify", json_object_new_boolean(o->verify));
	put(j, "partial", json_object_new_boolean(o->partial));
	put(j, "cpu", json_object_new_int(o->cpu));
	put(j, "spin_usec", json_object_new_int(o->spin_usec));
	return j;
}

static json *json_criteria(const struct bench_report *report)
{
	struct criterion criteria[CRITERIA_MAX];
	json *j = json_object_new_array(), *one;
	unsigned i, count;

	count = criteria_judge(report, criteria);
	for (i = 0; i < count; i++) {
		one = json_object_new_object();
		put(one, "criterion", json_object_new_string(criteria[i].text));
		put(one, "value", number(criteria[i].value));
		put(one, criteria[i].at_least ? "at_least" : "at_most",
		    number(criteria[i].limit));
		put(one, "verdict",
		    json_object_new_string(verdict_text(criteria[i].verdict)));
		json_object_array_add(j, one);
	}
	return j;
}

int bench_json_write(const struct bench_report *report, const char *path)
{
	json *j = json_object_new_object(), *cases;
	unsigned i;
	int error;

	put(j, "machine", json_machine());
	put(j, "options", json_options(report->options));
	cases = json_object_new_array();
	for (i = 0; i < report->case_count; i++)
		json_object_array_add(cases, json_case(&report->cases[i]));
	put(j, "cases", cases);
	put(j, "criteria", json_criteria(report));
	error = json_object_to_file_ext(path, j, JSON_C_TO_STRING_PRETTY);
	if (error)
		fprintf(stderr, "vtoe-bench: --json '%s': %s\n", path,
			json_util_get_last_err());
	json_object_put(j);
	return error;
}
