/* SPDX-License-Identifier: BSD-2-Clause */
/* options.c - the command line of `vtoe-bench run` */
#include <getopt.h>
#include <netdb.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport.h"
#include "workload.h"

static const char usage_text[] =
	"usage: vtoe-bench server [--bind ADDRESS] [--port N] [--cpu N]\n"
	"       vtoe-bench run --to ADDRESS[:PORT] [option]...\n"
	"\n"
	"`server` is the far end, on kernel sockets. `run` measures TCP over\n"
	"kernel sockets and over vtoe, turn by turn, and compares.\n"
	"\n"
	"  --to ADDRESS[:PORT]   the far end ([v6]:PORT for IPv6; port 5210)\n"
	"  --transports LIST     kernel,vtoe (default), vtoe-tto: the same with\n"
	"                        TCP in the application, over the TTO service\n"
	"  --workloads LIST      bulk-tx,bulk-rx,rr,connect (default), idle\n"
	"  --streams LIST        connections at once; default 1,8\n"
	"  --size LIST           bytes of an rr message; default 1,1024\n"
	"  --buffer BYTES        of one bulk send or receive; default 262144\n"
	"  --depth N             bulk requests posted at once; default 4\n"
	"  --idle-streams N      of the idle workload; default 1000\n"
	"  --seconds S           of one round; default 2\n"
	"  --rounds N            default 3\n"
	"  --partial             bulk receives complete with what is there, not\n"
	"                        with a full buffer\n"
	"  --verify              compare every byte\n"
	"  --cpu N               the only processor of the application; give the\n"
	"                        far end another one\n"
	"  --spin-usec N         how long vtoe's application polls before it\n"
	"                        sleeps; default: the library's\n"
	"  --kernel-netns NAME   where the kernel's sockets are opened: the\n"
	"                        guest's network namespace, for the same path\n"
	"  --vtoe-socket PATH    of the device; default $VTOE_SOCKET\n"
	"  --worker-pid PID      of the guest's worker, to account for it\n"
	"  --json FILE           write all numbers\n"
	"  --plot FILE           draw an SVG\n"
	"\n"
	"exit status: 0 measured (whatever the numbers), 1 a round failed,\n"
	"2 usage.\n";

void bench_usage(bool error)
{
	fputs(usage_text, error ? stderr : stdout);
}

static int bad(const char *option, const char *value, const char *remedy)
{
	fprintf(stderr, "vtoe-bench: --%s '%s': %s\n", option, value, remedy);
	return -1;
}

static int parse_number(const char *option, const char *text, double low,
			double high, double *to)
{
	char *end, remedy[80];

	*to = strtod(text, &end);
	if (end != text && !*end && *to >= low && *to <= high)
		return 0;
	snprintf(remedy, sizeof(remedy), "give a number from %g to %.0f", low,
		 high);
	return bad(option, text, remedy);
}

static int parse_unsigned(const char *option, const char *text, unsigned low,
			  unsigned high, unsigned *to)
{
	double value;

	if (parse_number(option, text, low, high, &value))
		return -1;
	*to = (unsigned)value;
	return 0;
}

/* Calls `item` for each comma-separated part of text. */
static int parse_list(const char *option, const char *text,
		      struct bench_options *o,
		      int (*item)(struct bench_options *o, const char *part))
{
	char *copy = strdup(text), *rest = copy, *part;
	int error = 0;

	while (!error && (part = strsep(&rest, ",")))
		error = item(o, part);
	free(copy);
	return error ? bad(option, text,
			   "unknown or out of range, or too many; see --help")
		     : 0;
}

static int add_transport(struct bench_options *o, const char *part)
{
	unsigned i;

	for (i = 0; transport_table[i]; i++) {
		if (strcmp(transport_table[i]->name, part) ||
		    o->transport_count == BENCH_MAX_LIST)
			continue;
		o->transports[o->transport_count++] = transport_table[i];
		return 0;
	}
	return -1;
}

static int add_workload(struct bench_options *o, const char *part)
{
	unsigned i;

	for (i = 0; workload_table[i]; i++) {
		if (strcmp(workload_table[i]->name, part) ||
		    o->workload_count == BENCH_MAX_LIST)
			continue;
		o->workloads[o->workload_count++] = workload_table[i];
		return 0;
	}
	return -1;
}

static int add_streams(struct bench_options *o, const char *part)
{
	unsigned value;

	if (o->stream_counts == BENCH_MAX_LIST ||
	    parse_unsigned("streams", part, 1, 4096, &value))
		return -1;
	o->streams[o->stream_counts++] = value;
	return 0;
}

static int add_size(struct bench_options *o, const char *part)
{
	unsigned value;

	if (o->size_count == BENCH_MAX_LIST ||
	    parse_unsigned("size", part, 1, FAR_MAX_MESSAGE, &value))
		return -1;
	o->sizes[o->size_count++] = value;
	return 0;
}

int bench_resolve(const char *text, const char *default_port,
		  struct sockaddr_storage *to, socklen_t *len)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_NUMERICHOST };
	char host[128], *port, *end;
	struct addrinfo *found;
	int error;

	snprintf(host, sizeof(host), "%s", text);
	port = strrchr(host, ':');
	end = strrchr(host, ']');
	/* More than one colon without brackets is a bare IPv6 address. */
	if (port && ((end && port > end) || (!end && strchr(host, ':') == port)))
		*port++ = '\0';
	else
		port = NULL;
	if (end)
		*end = '\0';
	error = getaddrinfo(host + (host[0] == '['), port ? port : default_port,
			    &hints, &found);
	if (error) {
		fprintf(stderr, "vtoe-bench: address '%s': %s; give ADDRESS, "
				"ADDRESS:PORT or [ADDRESS]:PORT\n",
			text, gai_strerror(error));
		return -1;
	}
	memcpy(to, found->ai_addr, found->ai_addrlen);
	*len = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

static const struct option long_options[] = {
	{ "to", required_argument, NULL, 't' },
	{ "transports", required_argument, NULL, 'T' },
	{ "workloads", required_argument, NULL, 'w' },
	{ "streams", required_argument, NULL, 'n' },
	{ "size", required_argument, NULL, 's' },
	{ "buffer", required_argument, NULL, 'b' },
	{ "depth", required_argument, NULL, 'd' },
	{ "idle-streams", required_argument, NULL, 'i' },
	{ "seconds", required_argument, NULL, 'S' },
	{ "rounds", required_argument, NULL, 'r' },
	{ "verify", no_argument, NULL, 'v' },
	{ "partial", no_argument, NULL, 'a' },
	{ "cpu", required_argument, NULL, 'c' },
	{ "spin-usec", required_argument, NULL, 'u' },
	{ "kernel-netns", required_argument, NULL, 'k' },
	{ "vtoe-socket", required_argument, NULL, 'o' },
	{ "worker-pid", required_argument, NULL, 'p' },
	{ "json", required_argument, NULL, 'j' },
	{ "plot", required_argument, NULL, 'P' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static int parse_numeric(struct bench_options *o, int c, const char *arg)
{
	unsigned value;
	int error;

	switch (c) {
	case 'b':
		return parse_unsigned("buffer", arg, 1, 8u << 20, &o->buffer);
	case 'd':
		return parse_unsigned("depth", arg, 1, 256, &o->depth);
	case 'i':
		return parse_unsigned("idle-streams", arg, 2,
				      BENCH_MAX_STREAMS, &o->idle_streams);
	case 'S':
		return parse_number("seconds", arg, 0.01, 3600, &o->seconds);
	case 'r':
		return parse_unsigned("rounds", arg, 1, BENCH_MAX_ROUNDS,
				      &o->rounds);
	case 'c':
		error = parse_unsigned("cpu", arg, 0, CPU_SETSIZE - 1, &value);
		o->cpu = (int)value;
		return error;
	case 'u':
		error = parse_unsigned("spin-usec", arg, 0, 1000000, &value);
		o->spin_usec = (int)value;
		return error;
	default:
		error = parse_unsigned("worker-pid", arg, 1, 1u << 30, &value);
		o->worker_pid = (pid_t)value;
		return error;
	}
}

static int parse_one(struct bench_options *o, int c, const char *arg)
{
	switch (c) {
	case 't':
		return bench_resolve(arg, "5210", &o->to, &o->to_len);
	case 'T':
		return parse_list("transports", arg, o, add_transport);
	case 'w':
		return parse_list("workloads", arg, o, add_workload);
	case 'n':
		return parse_list("streams", arg, o, add_streams);
	case 's':
		return parse_list("size", arg, o, add_size);
	case 'v':
		o->verify = true;
		return 0;
	case 'a':
		o->partial = true;
		return 0;
	case 'k':
		o->kernel_netns = arg;
		return 0;
	case 'o':
		o->vtoe_socket = arg;
		return 0;
	case 'j':
		o->json_path = arg;
		return 0;
	case 'P':
		o->plot_path = arg;
		return 0;
	case 'h':
		bench_usage(false);
		return 1;
	case '?':
		fputs("vtoe-bench: see vtoe-bench --help\n", stderr);
		return -1;
	}
	return parse_numeric(o, c, arg);
}

static int apply_defaults(struct bench_options *o)
{
	int error = 0;

	if (!o->to_len) {
		fputs("vtoe-bench: --to is missing: give the address of a "
		      "running `vtoe-bench server`\n", stderr);
		return -1;
	}
	if (!o->transport_count)
		error |= parse_list("transports", "kernel,vtoe", o,
				    add_transport);
	if (!o->workload_count)
		error |= parse_list("workloads", "bulk-tx,bulk-rx,rr,connect",
				    o, add_workload);
	if (!o->stream_counts)
		error |= parse_list("streams", "1,8", o, add_streams);
	if (!o->size_count)
		error |= parse_list("size", "1,1024", o, add_size);
	return error;
}

int bench_options_parse(struct bench_options *o, int argc, char **argv)
{
	int c, error;

	*o = (struct bench_options){
		.buffer = 256u << 10,
		.depth = 4,
		.idle_streams = 1000,
		.seconds = 2,
		.rounds = 3,
		.cpu = -1,
		.spin_usec = -1,
	};
	while ((c = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
		error = parse_one(o, c, optarg);
		if (error)
			return error;
	}
	if (optind < argc)
		return bad("", argv[optind], "unexpected argument");
	return apply_defaults(o);
}
