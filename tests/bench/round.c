/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * round.c - one round of one case, in a child process
 *
 * A process of its own gives every round its own CPU account and memory, and
 * lets the kernel's transport enter the guest's network namespace, so that both
 * transports take the same path to the far end.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "transport.h"
#include "workload.h"

/* For connecting and for draining, beside the time measured. */
#define ROUND_GRACE_SECONDS 20

static int round_enter_netns(const char *name)
{
	char path[512];
	int fd, error;

	snprintf(path, sizeof(path), "%s%s",
		 strchr(name, '/') ? "" : "/run/netns/", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	error = setns(fd, CLONE_NEWNET) ? -errno : 0;
	close(fd);
	return error;
}

static int round_run(struct run *run, const struct transport_ops *transport)
{
	int error;

	if (!transport->has_worker && run->o->kernel_netns) {
		error = round_enter_netns(run->o->kernel_netns);
		if (error)
			return run_fail(run, error, run->o->kernel_netns);
	}
	error = transport->open(&run->t, run->o, run->c->streams);
	if (error)
		return run_fail(run, error, "opening the transport");
	error = run->c->workload->body(run);
	if (!error)
		transport->count(run->t, &run->r->counters);
	transport->close(run->t);
	if (!transport->has_worker) { /* it was idle */
		run->r->worker_cpu = -1;
		run->r->worker_own_kib = -1;
	}
	return error;
}

static void round_child(const struct bench_options *o,
			const struct transport_ops *transport,
			const struct bench_case *c, int out)
{
	struct result r = { 0 };
	struct run run = { .o = o, .c = c, .r = &r };

	/* A child whose parent was killed has nobody to report to. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (o->cpu >= 0 && bench_pin(o->cpu))
		r.error = EINVAL;
	else
		r.error = -round_run(&run, transport);
	_exit(write(out, &r, sizeof(r)) == sizeof(r) ? 0 : 1);
}

static void round_failed(struct result *r, int error, const char *what)
{
	*r = (struct result){ .error = error };
	snprintf(r->what, sizeof(r->what), "%s", what);
}

/* The child's result; 0 if it ended without one, -1 if it hangs. */
static ssize_t round_read(int fd, double seconds, struct result *r)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	double end = measure_now() + seconds, left;
	int n;

	do {
		left = end - measure_now();
		n = left > 0 ? poll(&p, 1, (int)(left * 1000) + 1) : 0;
	} while (n < 0 && errno == EINTR);
	/* Smaller than PIPE_BUF, so it comes whole or not at all. */
	return n > 0 ? read(fd, r, sizeof(*r)) : -1;
}

void bench_round(const struct bench_options *o,
		 const struct transport_ops *transport,
		 const struct bench_case *c, struct result *r)
{
	int fds[2], status = 0;
	char what[120];
	ssize_t n;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC)) {
		round_failed(r, errno, "pipe");
		return;
	}
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		round_failed(r, errno, "fork");
		close(fds[0]);
		close(fds[1]);
		return;
	}
	if (!pid)
		round_child(o, transport, c, fds[1]);
	close(fds[1]);
	n = round_read(fds[0], o->seconds + ROUND_GRACE_SECONDS, r);
	close(fds[0]);
	if (n < 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (n < 0)
		round_failed(r, ETIMEDOUT, "hung, and was killed");
	if (n >= 0 && n != sizeof(*r)) {
		snprintf(what, sizeof(what), "the child ended with status %#x",
			 (unsigned)status);
		round_failed(r, ECHILD, what);
	}
}
