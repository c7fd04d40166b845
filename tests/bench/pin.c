/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pin.c - one processor for one process
 *
 * The far end stands for another machine. Where it may share a processor with
 * the application, the scheduler of one machine makes a request and its answer
 * a mere switch between two processes, which no network can do; where both are
 * pinned apart, rounds are alike and latencies mean something.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"

int bench_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (!sched_setaffinity(0, sizeof(set), &set))
		return 0;
	fprintf(stderr, "vtoe-bench: --cpu '%d': %s; see lscpu\n", cpu,
		strerror(errno));
	return -1;
}
