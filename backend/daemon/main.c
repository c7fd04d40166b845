/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main.c - vtoed: the supervisor, or one of its workers
 *
 * One program has both roles, so that an upgrade replaces both; `--worker` is
 * the supervisor's way of starting the other one. The supervisor stays in the
 * foreground, which is what a service manager wants.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>

#include "daemon/log.h"
#include "daemon/config.h"
#include "daemon/supervisor.h"
#include "daemon/worker.h"

#define MAIN_CONFIG "/etc/vtoe/vtoed.conf"

static const char main_usage[] =
	"usage: vtoed [-fnv] [-c FILE]\n"
	"  -c, --config FILE  configuration (" MAIN_CONFIG ")\n"
	"  -f, --foreground   stay in the foreground (it always does)\n"
	"  -n, --check        check the configuration, and do nothing\n"
	"  -v, --verbose      log more, as log_level = debug\n"
	"      --help         show this text\n"
	"      --version      show the version\n"
	"See vtoed(8) and vtoed.conf(5).\n";

enum { MAIN_HELP = 256, MAIN_VERSION };

struct main_options {
	const char *config;
	bool check;
	bool verbose;
};

/* -1: go on; else the exit status. */
static int main_parse(int argc, char **argv, struct main_options *options)
{
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "check", no_argument, NULL, 'n' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, MAIN_HELP },
		{ "version", no_argument, NULL, MAIN_VERSION },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "c:fnv", longs, NULL)) >= 0) {
		switch (option) {
		case 'c':
			options->config = optarg;
			break;
		case 'f':
			break;
		case 'n':
			options->check = true;
			break;
		case 'v':
			options->verbose = true;
			break;
		case MAIN_HELP:
			fputs(main_usage, stdout);
			return 0;
		case MAIN_VERSION:
			puts("vtoed " VTOE_VERSION);
			return 0;
		default:
			fputs(main_usage, stderr);
			return 2;
		}
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "vtoed: \"%s\" is one argument too many: see vtoed "
		"--help\n", argv[optind]);
	return 2;
}

/* One clear line now is better than a failure half way through. */
static int main_check_privilege(void)
{
	static const cap_value_t needed[] = {
		CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_SETUID, CAP_SETGID,
		CAP_SETPCAP,
	};
	cap_t own = cap_get_proc();
	cap_flag_value_t have;
	int missing = 0;
	size_t i;

	for (i = 0; own && i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (!cap_get_flag(own, needed[i], CAP_EFFECTIVE, &have) &&
		    have == CAP_SET)
			continue;
		fprintf(stderr, "vtoed: missing privilege: network namespaces "
			"and workers need CAP_NET_ADMIN, CAP_SYS_ADMIN, "
			"CAP_SETUID, CAP_SETGID and CAP_SETPCAP: run it as "
			"root\n");
		missing = -1;
		break;
	}
	cap_free(own);
	return missing;
}

static int main_supervise(int argc, char **argv)
{
	struct main_options options = { .config = MAIN_CONFIG };
	struct config_error error;
	struct config config;
	int status;

	status = main_parse(argc, argv, &options);
	if (status >= 0)
		return status;
	if (config_load(&config, options.config, &error)) {
		if (error.line)
			fprintf(stderr, "vtoed: %s:%u: %s\n", options.config,
				error.line, error.text);
		else
			fprintf(stderr, "vtoed: %s: %s\n", options.config,
				error.text);
		return 1;
	}
	if (options.check) {
		printf("%s: correct, with %zu guest%s\n", options.config,
		       config.guest_count, config.guest_count == 1 ? "" : "s");
		config_free(&config);
		return 0;
	}
	if (options.verbose)
		config.log_level = VTOE_LOG_DEBUG;
	vtoe_log_init("vtoed", config.log_level);
	if (main_check_privilege()) {
		config_free(&config);
		return 1;
	}
	return supervisor_run(options.config, &config);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "--worker"))
		return worker_main();
	return main_supervise(argc, argv);
}
