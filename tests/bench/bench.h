/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench.h - what the parts of vtoe-bench share: options, cases, results
 *
 * A *case* is one workload with one number of streams and one size. A *round*
 * runs one case once over one transport, in a child process of its own, and
 * yields a struct result. A *series* is all rounds of one case over one
 * transport.
 */
#ifndef VTOE_BENCH_H
#define VTOE_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#define BENCH_MAX_LIST 8
#define BENCH_MAX_ROUNDS 64
#define BENCH_MAX_STREAMS 20000u

struct transport_ops;
struct workload;

struct bench_options {
	struct sockaddr_storage to;
	socklen_t to_len;
	const struct transport_ops *transports[BENCH_MAX_LIST];
	unsigned transport_count;
	const struct workload *workloads[BENCH_MAX_LIST];
	unsigned workload_count;
	unsigned streams[BENCH_MAX_LIST];
	unsigned stream_counts;
	unsigned sizes[BENCH_MAX_LIST]; /* of messages, rr */
	unsigned size_count;
	unsigned idle_streams;
	unsigned buffer; /* bytes of one bulk request */
	unsigned depth;	 /* bulk requests posted at once, where it can be */
	double seconds;
	unsigned rounds;
	bool verify;
	bool partial; /* bulk receives take what is there */
	int cpu;       /* of the application; -1: any */
	int spin_usec; /* -1: the library's default */
	const char *kernel_netns; /* name below /run/netns, or a path */
	const char *vtoe_socket;
	pid_t worker_pid; /* 0: unknown */
	const char *json_path;
	const char *plot_path;
};

struct bench_case {
	const struct workload *workload;
	unsigned streams;
	unsigned size;
};

/* What the transport itself counted, where it does (else zero). */
struct transport_counters {
	uint64_t registrations;
	uint64_t doorbells;
	uint64_t wakeups;
	uint64_t bytes_copied;
};

struct result {
	int error; /* errno; 0: the numbers below are valid */
	char what[120];
	double seconds;
	uint64_t bytes;
	uint64_t operations;
	double app_user, app_system; /* seconds */
	uint64_t app_switches;	     /* voluntary context switches */
	double worker_cpu;	     /* seconds; -1: unknown */
	double p50, p99, p999;	     /* seconds; rr and connect */
	long worker_own_kib;	     /* resident but not shared; -1: unknown */
	double worker_stream_bytes;  /* idle: growth per stream */
	struct transport_counters counters;
};

struct series {
	const struct transport_ops *transport;
	struct result rounds[BENCH_MAX_ROUNDS];
	unsigned count;
};

struct case_results {
	struct bench_case c;
	struct series series[BENCH_MAX_LIST];
	unsigned series_count;
};

/* options.c: fills *o; prints what is wrong and returns -1, or 1 for --help */
int bench_options_parse(struct bench_options *o, int argc, char **argv);
int bench_resolve(const char *text, const char *default_port,
		  struct sockaddr_storage *to, socklen_t *len);
void bench_usage(bool error);

/* pin.c: keeps this process on one processor; prints why it cannot */
int bench_pin(int cpu);

/* server.c */
int bench_server(int argc, char **argv);

/* round.c: one round in a child; r->error says whether it succeeded */
void bench_round(const struct bench_options *o,
		 const struct transport_ops *transport,
		 const struct bench_case *c, struct result *r);

/* table.c, json.c, plot.c */
struct bench_report {
	const struct bench_options *options;
	struct case_results *cases;
	unsigned case_count;
};
void bench_table_print(const struct bench_report *report);
int bench_json_write(const struct bench_report *report, const char *path);
int bench_plot_write(const struct bench_report *report, const char *path);

#endif
