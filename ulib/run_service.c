// SPDX-License-Identifier: BSD-2-Clause
/*
 * run_service.c - starts vtoe-stack for a program with the TTO service
 *
 * vtoe-stack must be nobody's child: a program that waits for its children would
 * meet one that it does not know. So a child starts it and ends. On one pipe it
 * says where its socket is, or why it cannot. Of another one the program and all
 * of its children keep the writing end, at a high number: when that is closed, the
 * last of them has ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run_service.h"
#include "vtoe.h"

#define STACK "vtoe-stack"

/* The socket of the stack that serves us already: vtoe-run in vtoe-run. */
#define SERVED "VTOE_SERVED"

static int device_offers_tto(void)
{
	struct vtoe_params params = { .name = "vtoe-run" };
	struct vtoe *ctx;
	int offers;

	if (vtoe_open(&ctx, &params))
		return 0;
	offers = !!(vtoe_device(ctx)->features & VTOE_F_TTO);
	vtoe_close(ctx);
	return offers;
}

static _Noreturn void become_stack(const char *stack, int ready, int life)
{
	const char *device = getenv("VTOE_SOCKET");
	char ready_text[16], life_text[16];
	pid_t pid = fork();

	if (pid)
		_exit(pid < 0);
	fcntl(ready, F_SETFD, 0);
	fcntl(life, F_SETFD, 0);
	snprintf(ready_text, sizeof(ready_text), "%d", ready);
	snprintf(life_text, sizeof(life_text), "%d", life);
	unsetenv("LD_PRELOAD");
	execl(stack, STACK, device ? device : "", ready_text, life_text,
	      (char *)NULL);
	dprintf(ready, "-%s: %s", stack, strerror(errno));
	_exit(1);
}

/* What it says, up to the pipe's end. */
static void hear_stack(int from, char *line, size_t room)
{
	size_t have = 0;
	ssize_t n;

	while (have < room - 1) {
		n = read(from, line + have, room - 1 - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		have += (size_t)n;
	}
	line[have] = '\0';
}

/* Where programs do not look for their own descriptors. -> NULL, or why not */
static const char *keep_life(int life)
{
	struct rlimit files = { .rlim_cur = 256 };
	int at;

	getrlimit(RLIMIT_NOFILE, &files);
	at = files.rlim_cur > 1000 ? 971 : (int)files.rlim_cur - 1;
	if (fcntl(life, F_DUPFD, at) < 0)
		return strerror(errno);
	close(life);
	return NULL;
}

/* -> NULL, or why it cannot be */
static const char *start_stack(void)
{
	const char *stack = run_find("VTOE_STACK", STACK, STACK_DIR "/" STACK,
				     X_OK), *why;
	int ready[2], life[2], status = 0;
	static char line[512];
	pid_t pid;

	if (pipe2(life, O_CLOEXEC) || pipe2(ready, O_CLOEXEC))
		return strerror(errno);
	pid = fork();
	if (!pid)
		become_stack(stack, ready[1], life[0]);
	if (pid < 0)
		return strerror(errno);
	/* ECHILD: whoever started us ignores SIGCHLD */
	if (waitpid(pid, &status, 0) == pid && status)
		return "cannot fork";
	close(ready[1]);
	close(life[0]);
	hear_stack(ready[0], line, sizeof(line));
	close(ready[0]);
	why = *line == '+' ? keep_life(life[1]) :
	      *line == '-' ? line + 1 : "it ended at once";
	if (why)
		close(life[1]);
	else if (setenv("VTOE_SOCKET", line + 1, 1) ||
		 setenv(SERVED, line + 1, 1))
		run_fail("VTOE_SOCKET", strerror(errno));
	return why;
}

static int is_served(void)
{
	const char *device = getenv("VTOE_SOCKET"), *by = getenv(SERVED);

	return device && by && !strcmp(device, by);
}

void run_service(const char *service)
{
	const char *why;

	if (!strcmp(service, "toe"))
		return;
	if (strcmp(service, "tto") && strcmp(service, "auto"))
		run_fail(service, "no service: toe, tto or auto");
	if (is_served() || (*service == 'a' && !device_offers_tto()))
		return;
	why = start_stack();
	if (why && *service == 't')
		run_fail(STACK, why);
	if (why && getenv("VTOE_EXPLAIN"))
		fprintf(stderr, "vtoe-run: %s: %s; the backend's TCP instead\n",
			STACK, why);
}
