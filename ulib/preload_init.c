/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * preload_init.c - start, environment, and what the user is told
 *
 * Theory of operation. vtoe-run says what it was asked for in the environment:
 *
 *   VTOE_SOCKET    the backend's socket (else the only one in /run/vtoe)
 *   VTOE_EXPLAIN   1: a line for every socket, why it went where
 *   VTOE_REQUIRE   1: no backend is an error, not a reason for the kernel
 *   VTOE_LOOPBACK  offload: loopback addresses go to the backend too
 *   VTOE_STATS     1: the library's counters at exit
 *   VTOE_HANDOFF   streams that an exec brought along (preload_exec.c)
 *
 * They stay there, so that children are covered too. The backend is asked for
 * with the first socket that needs it, so that programs which open none cost
 * nothing.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "preload.h"

static bool vt_flag(const char *name)
{
	const char *value = getenv(name);

	return value && *value && strcmp(value, "0");
}

static void vt_stats_say(void)
{
	struct vtoe_counters n;

	vt_lock();
	memset(&n, 0, sizeof(n));
	if (vt.ctx)
		vtoe_get_counters(vt.ctx, &n);
	vt_say("%s[%d] sockets: %llu offloaded, %llu kernel; bytes: "
	       "%llu received, %llu sent; reg %llu, copied by libvtoe %llu, "
	       "submitted %llu, completed %llu, doorbells %llu, sleeps %llu",
	       vt.config.program, (int)getpid(),
	       (unsigned long long)vt.offloaded,
	       (unsigned long long)vt.fallbacks,
	       (unsigned long long)vt.bytes_in,
	       (unsigned long long)vt.bytes_out,
	       (unsigned long long)n.registrations,
	       (unsigned long long)n.bytes_copied,
	       (unsigned long long)n.submitted,
	       (unsigned long long)n.completed,
	       (unsigned long long)n.doorbells,
	       (unsigned long long)vt.sleeps);
	vt_unlock();
}

__attribute__((constructor(101))) void vt_start(void)
{
	const char *path = getenv("VTOE_SOCKET");
	const char *loopback = getenv("VTOE_LOOPBACK");

	if (vt.ready)
		return;
	vt.ready = true;
	vt_real_resolve();
	if (path && *path) {
		snprintf(vt.config.path, sizeof(vt.config.path), "%s", path);
		vt.config.has_path = true;
	}
	vt.config.explain = vt_flag("VTOE_EXPLAIN");
	vt.config.require = vt_flag("VTOE_REQUIRE");
	vt.config.stats = vt_flag("VTOE_STATS");
	vt.config.offload_loopback = loopback && !strcmp(loopback, "offload");
	snprintf(vt.config.program, sizeof(vt.config.program), "%s",
		 program_invocation_short_name);
	vt_fork_setup();
	vt_environment_keep();
	vt_handoff_take();
}

__attribute__((destructor)) static void vt_end(void)
{
	/* programs of a script that had no sockets say nothing */
	if (vt.config.stats && vt.offloaded + vt.fallbacks)
		vt_stats_say();
}

/* -- to the user ---------------------------------------------------------------- */

/* One line on stderr, unless that is one of ours itself. */
void vt_say(const char *format, ...)
{
	char line[512] = "vtoe-run: ";
	size_t n = strlen(line);
	int err = errno;
	va_list args;

	if (vt_peek(STDERR_FILENO))
		return;
	va_start(args, format);
	vsnprintf(line + n, sizeof(line) - n - 1, format, args);
	va_end(args);
	n = strlen(line);
	line[n++] = '\n';
	if (REAL(write)(STDERR_FILENO, line, n) < 0)
		errno = 0; /* nobody to tell */
	errno = err;
}

static const char *vt_address_text(const struct sockaddr *a, socklen_t len,
				   char *text, size_t room)
{
	char host[INET6_ADDRSTRLEN] = "";

	text[0] = '\0';
	if (a && a->sa_family == AF_INET &&
	    len >= sizeof(struct sockaddr_in)) {
		const struct sockaddr_in *in = (const void *)a;

		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(text, room, " %s:%u", host, ntohs(in->sin_port));
	} else if (a && a->sa_family == AF_INET6 &&
		   len >= sizeof(struct sockaddr_in6)) {
		const struct sockaddr_in6 *in = (const void *)a;

		inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof(host));
		snprintf(text, room, " [%s]:%u", host, ntohs(in->sin6_port));
	}
	return text;
}

void vt_explain_offload(int fd, const char *what, const struct sockaddr *a,
			socklen_t len)
{
	char text[64];

	if (vt.config.explain)
		vt_say("%s[%d] fd %d: offloaded to %s: %s%s",
		       vt.config.program, (int)getpid(), fd,
		       vt.ctx ? vtoe_device(vt.ctx)->name : "?", what,
		       vt_address_text(a, len, text, sizeof(text)));
}

void vt_explain_kernel(int fd, unsigned why, const char *detail,
		       const struct sockaddr *a, socklen_t len)
{
	char text[64];

	if (vt.config.explain)
		vt_say("%s[%d] fd %d: kernel: %s%s", vt.config.program,
		       (int)getpid(), fd,
		       detail ? detail : vtoe_fallback_text(why),
		       vt_address_text(a, len, text, sizeof(text)));
}

void vt_no_backend(int err)
{
	if (vt.said_no_backend)
		return;
	vt.said_no_backend = true;
	vt_say("no backend at %s (%s); %s",
	       vt.config.has_path ? vt.config.path : "/run/vtoe",
	       strerror(-err),
	       vt.config.require ? "refusing, as --require says" :
				   "using the kernel's sockets");
}
