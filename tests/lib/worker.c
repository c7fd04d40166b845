// SPDX-License-Identifier: BSD-2-Clause
/*
 * worker.c - a real worker for a test in C, without a supervisor
 */
#include "tests/lib/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_OPTIONS 16

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(99);
}

void worker_namespace(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	if (unshare(CLONE_NEWNET)) {
		printf("skip: needs root for a network namespace of its own: "
		       "%s\n", strerror(errno));
		exit(77);
	}
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo))
		die("loopback");
	close(fd);
}

static void run_host(struct worker *w, int input, int output,
		     const char *const *options)
{
	const char *build = getenv("top_builddir");
	char *argv[3 + MAX_OPTIONS + 1];
	char host[512], vtoed[512];
	int n = 0;

	build = build ? build : ".";
	snprintf(host, sizeof(host), "%s/tests/lib/worker_host", build);
	snprintf(vtoed, sizeof(vtoed), "%s/vtoed", build);
	argv[n++] = host;
	argv[n++] = vtoed;
	argv[n++] = w->path;
	while (options && *options && n < 3 + MAX_OPTIONS)
		argv[n++] = (char *)*options++;
	argv[n] = NULL;
	dup2(input, 0);
	dup2(output, 1);
	execv(host, argv);
	fprintf(stderr, "%s: %s\n", host, strerror(errno));
	_exit(99);
}

void worker_start(struct worker *w, const char *const *options)
{
	const char *tmp = getenv("TMPDIR");
	int input[2], output[2], pid;
	char line[64] = "";
	FILE *from;

	snprintf(w->directory, sizeof(w->directory), "%.40s/worker-XXXXXX",
		 tmp ? tmp : "/tmp");
	if (!mkdtemp(w->directory) || chmod(w->directory, 0755))
		die("mkdtemp");
	snprintf(w->path, sizeof(w->path), "%s/vtoe.sock", w->directory);
	if (pipe2(input, O_CLOEXEC) || pipe2(output, O_CLOEXEC))
		die("pipe");
	w->host = fork();
	if (w->host < 0)
		die("fork");
	if (!w->host)
		run_host(w, input[0], output[1], options);
	close(input[0]);
	close(output[1]);
	w->input = input[1];
	from = fdopen(output[0], "r");
	if (!from || !fgets(line, sizeof(line), from) ||
	    sscanf(line, "ready %d", &pid) != 1) {
		fprintf(stderr, "the worker did not start\n");
		exit(99);
	}
	w->worker = pid;
	fclose(from);
}

void worker_kill(struct worker *w)
{
	kill(w->worker, SIGKILL);
}

void worker_stop(struct worker *w)
{
	char stats[128];

	close(w->input);
	waitpid(w->host, NULL, 0);
	snprintf(stats, sizeof(stats), "%s.stats", w->path);
	unlink(stats);
	unlink(w->path);
	rmdir(w->directory);
}
