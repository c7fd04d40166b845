// SPDX-License-Identifier: BSD-2-Clause
/*
 * vtoe-run - runs a program with its TCP sockets in the backend
 *
 * Puts the shim (libvtoe-preload.so) into LD_PRELOAD and the options into the
 * environment (ulib/preload_init.c lists the variables), and becomes the
 * program. With --require it asks the backend first, so that the program is
 * not started in vain.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run_service.h"
#include "vtoe.h"

#define SHIM "libvtoe-preload.so"

static const char usage[] =
"usage: vtoe-run [options] command [argument ...]\n"
"Runs a command whose TCP sockets live in the vtoe backend.\n"
"\n"
"  --socket PATH   the device's socket (default: the only one in /run/vtoe)\n"
"  --service NAME  toe: the backend's TCP (the default, or $VTOE_SERVICE);\n"
"                  tto: one in this guest, which outlives the backend;\n"
"                  auto: tto if the device offers it\n"
"  --explain       say on stderr, for every socket, where it went and why\n"
"  --require       fail if there is no backend (default: use the kernel)\n"
"  --loopback      offload loopback addresses too (default: the kernel's)\n"
"  --stats         print the library's counters when a program ends\n"
"  --help          this text\n"
"  --version       the version\n"
"\n"
"Exits with the command's status; 125 if vtoe-run fails, 126 if the command\n"
"cannot be run, 127 if it is not found.\n";

_Noreturn void run_fail(const char *what, const char *why)
{
	fprintf(stderr, "vtoe-run: %s: %s\n", what, why);
	exit(125);
}

static void set(const char *name, const char *value)
{
	if (setenv(name, value, 1))
		run_fail(name, strerror(errno));
}

const char *run_find(const char *variable, const char *beside,
		     const char *installed, int mode)
{
	static char path[PATH_MAX];
	const char *given = getenv(variable);
	ssize_t n;

	if (given && *given)
		return given;
	n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	if (n > 0) {
		path[n] = '\0';
		n = strrchr(path, '/') + 1 - path;
		snprintf(path + n, sizeof(path) - (size_t)n, "%s", beside);
		if (!access(path, mode))
			return path;
	}
	return installed;
}

/*
 * In a build for tests the shim needs its sanitizer's library before it, since
 * the program does not have it. What programs leak is not our business.
 */
static void add_sanitizer(void)
{
	const char *before = getenv("LD_PRELOAD");

	if (!*SANITIZER_LIBRARY)
		return;
	if (!before || !*before)
		set("LD_PRELOAD", SANITIZER_LIBRARY);
	if (!getenv("ASAN_OPTIONS"))
		set("ASAN_OPTIONS", "detect_leaks=0");
}

static void add_preload(const char *shim)
{
	const char *before;
	char *both;

	if (access(shim, R_OK))
		run_fail(shim, strerror(errno));
	add_sanitizer();
	before = getenv("LD_PRELOAD");
	if (!before || !*before) {
		set("LD_PRELOAD", shim);
		return;
	}
	if (strstr(before, SHIM))
		return; /* vtoe-run in vtoe-run */
	/* what was there comes first: a sanitizer's library must */
	if (asprintf(&both, "%s:%s", before, shim) < 0)
		run_fail("LD_PRELOAD", strerror(ENOMEM));
	set("LD_PRELOAD", both);
	free(both);
}

/* Is there a backend? */
static void ask_backend(const char *path)
{
	struct vtoe_params params = { .path = path };
	struct vtoe *ctx;
	int rc = vtoe_open(&ctx, &params);

	if (rc) {
		fprintf(stderr, "vtoe-run: no backend at %s (%s); "
			"start vtoed, or leave out --require\n",
			path ? path : "/run/vtoe", strerror(-rc));
		exit(125);
	}
	vtoe_close(ctx);
}

int main(int argc, char **argv)
{
	enum { SOCKET = 1, SERVICE, EXPLAIN, REQUIRE, LOOPBACK, STATS, HELP, OPT_VERSION };
	static const struct option options[] = {
		{ "socket", required_argument, NULL, SOCKET },
		{ "service", required_argument, NULL, SERVICE },
		{ "explain", no_argument, NULL, EXPLAIN },
		{ "require", no_argument, NULL, REQUIRE },
		{ "loopback", no_argument, NULL, LOOPBACK },
		{ "stats", no_argument, NULL, STATS },
		{ "help", no_argument, NULL, HELP },
		{ "version", no_argument, NULL, OPT_VERSION },
		{ NULL, 0, NULL, 0 },
	};
	const char *service = getenv("VTOE_SERVICE");
	int option, require = 0;

	/* "+": options after the command are the command's */
	while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		switch (option) {
		case SOCKET:
			if (strlen(optarg) > 107)
				run_fail(optarg, "too long for a socket's path "
					     "(107 bytes at most)");
			set("VTOE_SOCKET", optarg);
			break;
		case SERVICE:
			service = optarg;
			break;
		case EXPLAIN:
			set("VTOE_EXPLAIN", "1");
			break;
		case REQUIRE:
			set("VTOE_REQUIRE", "1");
			require = 1;
			break;
		case LOOPBACK:
			set("VTOE_LOOPBACK", "offload");
			break;
		case STATS:
			set("VTOE_STATS", "1");
			break;
		case HELP:
			fputs(usage, stdout);
			return 0;
		case OPT_VERSION:
			puts("vtoe-run " PACKAGE_VERSION);
			return 0;
		default:
			fprintf(stderr, "vtoe-run: try vtoe-run --help\n");
			return 125;
		}
	}
	if (optind == argc) {
		fputs(usage, stderr);
		return 125;
	}
	run_service(service && *service ? service : "toe");
	if (require)
		ask_backend(getenv("VTOE_SOCKET"));
	add_preload(run_find("VTOE_PRELOAD", ".libs/" SHIM,
			     PRELOAD_DIR "/" SHIM, R_OK));
	execvp(argv[optind], argv + optind);
	option = errno;
	fprintf(stderr, "vtoe-run: %s: %s\n", argv[optind], strerror(option));
	return option == ENOENT ? 127 : 126;
}
