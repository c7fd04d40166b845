/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * measure.c - wall time, and processor time of this process and of the worker
 *
 * The worker's time is read from its process clock, which counts in
 * nanoseconds and includes threads that have ended (io_uring's among them).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "workload.h"

double measure_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static double measure_pid(pid_t pid)
{
	struct timespec ts;
	clockid_t clock;

	if (!pid || clock_getcpuclockid(pid, &clock) ||
	    clock_gettime(clock, &ts))
		return -1;
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void measure_take(struct measure *m, const struct bench_options *o)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	m->wall = measure_now();
	m->user = u.ru_utime.tv_sec + u.ru_utime.tv_usec / 1e6;
	m->system = u.ru_stime.tv_sec + u.ru_stime.tv_usec / 1e6;
	m->switches = (uint64_t)u.ru_nvcsw;
	m->worker = measure_pid(o->worker_pid);
}

void measure_start(struct measure *m, const struct bench_options *o)
{
	measure_take(m, o);
}

void measure_stop(const struct measure *m, const struct bench_options *o,
		  struct result *r)
{
	struct measure end;

	measure_take(&end, o);
	r->seconds = end.wall - m->wall;
	r->app_user = end.user - m->user;
	r->app_system = end.system - m->system;
	r->app_switches = end.switches - m->switches;
	r->worker_cpu = -1;
	if (m->worker >= 0 && end.worker >= 0)
		r->worker_cpu = end.worker - m->worker;
	r->worker_own_kib = measure_own_kib(o->worker_pid);
}

long measure_own_kib(pid_t pid)
{
	long anon = -1, file = -1;
	char path[64], line[128];
	FILE *f;

	if (!pid)
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "RssAnon: %ld", &anon);
		sscanf(line, "RssFile: %ld", &file);
	}
	fclose(f);
	return anon < 0 || file < 0 ? -1 : anon + file;
}
