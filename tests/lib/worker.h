/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * worker.h - a real worker for a test in C, without a supervisor
 *
 * worker_namespace() moves the test into a network namespace of its own with
 * nothing but loopback, or skips it (exit 77) without privilege. Workers
 * started afterwards live there too, so that the test's plain sockets are
 * their peers. Failures end the test with 99.
 */
#ifndef VTOE_TESTS_WORKER_H
#define VTOE_TESTS_WORKER_H

#include <sys/types.h>

struct worker {
	pid_t host;   /* tests/lib/worker_host */
	pid_t worker;
	int input;    /* closing it ends the worker */
	char directory[64];
	char path[96]; /* the device's socket */
};

void worker_namespace(void);
/* options: "key=value" of worker_host, NULL at the end; or NULL */
void worker_start(struct worker *w, const char *const *options);
/* As the kernel or an administrator would: SIGKILL. */
void worker_kill(struct worker *w);
/* Ends it in order, or what is left of it. */
void worker_stop(struct worker *w);

#endif
