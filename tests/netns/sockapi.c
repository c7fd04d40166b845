// SPDX-License-Identifier: BSD-2-Clause
/*
 * sockapi - cases of the socket interface on TCP sockets
 *
 *   sockapi CONTROL PORT PEER4 PEER6 OWN4 OWN6 [CASE ...]
 *
 * Runs the cases (all, or those named) against sockapi_peer and prints a line
 * for each. A case that takes longer than 20 s ends the program. On a machine
 * that is slow, SOCKAPI_PACE=N makes pauses, the peer's too, N times as long.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "sockapi.h"

#define CASE_SECONDS 20

char peer4[64], peer6[64], own4[64], own6[64];
int peer_port;
static int control, pace = 1;
static char line[4096];

void note(const char *format, ...)
{
	size_t at = strlen(line);
	va_list args;

	va_start(args, format);
	vsnprintf(line + at, sizeof(line) - at, format, args);
	va_end(args);
}

long say(long result)
{
	if (result == -1)
		note(" %s", strerrorname_np(errno));
	else
		note(" %ld", result);
	return result;
}

void sign(long result)
{
	if (result == -1)
		note(" %s", strerrorname_np(errno));
	else
		note(" %s", result > 0 ? "+" : result ? "-" : "0");
}

void bytes(const void *at, size_t n)
{
	const unsigned char *p = at;
	unsigned sum = 1;
	size_t i;

	for (i = 0; i < n; i++)
		sum = sum * 31 + p[i];
	note(" %zu/%08x", n, sum);
}

/* -- the peer ------------------------------------------------------------ */

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "sockapi: %s: %s\n", what, strerror(errno));
	exit(99);
}

static void command(const char *text, char *answer, size_t room)
{
	size_t n = 0;

	if (write(control, text, strlen(text)) < 0)
		fail("control");
	while (n < room - 1 && read(control, answer + n, 1) == 1 &&
	       answer[n] != '\n')
		n++;
	answer[n] = '\0';
	if (!n)
		fail("control's answer");
}

void peer_next(const char *script)
{
	char text[256], answer[256];

	snprintf(text, sizeof(text), "next %s\n", script);
	command(text, answer, sizeof(answer));
}

void peer_dial(int family, int port, const char *script)
{
	char text[256], answer[256];

	snprintf(text, sizeof(text), "dial %d %d %s\n",
		 family == AF_INET ? 4 : 6, port, script);
	command(text, answer, sizeof(answer));
}

void peer_result(void)
{
	char answer[256];

	command("result\n", answer, sizeof(answer));
	note(" peer=%s", answer);
}

/* -- sockets --------------------------------------------------------------- */

const char *silent_host(void)
{
	static char host[sizeof(peer4) + 4];

	snprintf(host, sizeof(host), "%s", peer4);
	strcpy(strrchr(host, '.'), ".99");
	return host;
}

int tcp(int family, int flags)
{
	return socket(family, SOCK_STREAM | flags, 0);
}

socklen_t address(int family, const char *host, int port,
		  struct sockaddr_storage *to)
{
	memset(to, 0, sizeof(*to));
	to->ss_family = family;
	if (family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)to;

		in->sin_port = htons(port);
		inet_pton(AF_INET, host, &in->sin_addr);
		return sizeof(*in);
	}
	((struct sockaddr_in6 *)to)->sin6_port = htons(port);
	inet_pton(AF_INET6, host, &((struct sockaddr_in6 *)to)->sin6_addr);
	return sizeof(struct sockaddr_in6);
}

int dial_family(int family, const char *host, const char *script)
{
	struct sockaddr_storage to;
	socklen_t len = address(family, host, peer_port, &to);
	int fd = tcp(family, 0);

	peer_next(script);
	if (connect(fd, (struct sockaddr *)&to, len))
		note(" dial:%s", strerrorname_np(errno));
	return fd;
}

int dial(const char *script)
{
	return dial_family(AF_INET, peer4, script);
}

int port_of(int fd)
{
	struct sockaddr_in6 at;
	socklen_t len = sizeof(at);

	if (getsockname(fd, (struct sockaddr *)&at, &len))
		return -1;
	return ntohs(at.sin6_port); /* at the same place in both families */
}

int listener(int family, int *port)
{
	struct sockaddr_storage any;
	socklen_t len = address(family, family == AF_INET ? "0.0.0.0" : "::", 0,
				&any);
	int fd = tcp(family, 0);

	if (bind(fd, (struct sockaddr *)&any, len) || listen(fd, 16))
		note(" listener:%s", strerrorname_np(errno));
	*port = port_of(fd);
	return fd;
}

void nonblocking(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

void pause_ms(int ms)
{
	long long all = (long long)ms * pace;
	struct timespec t = { all / 1000, all % 1000 * 1000000l };

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void readable(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };

	poll(&p, 1, 5000);
}

void drain(int fd)
{
	static char all[1 << 21];
	size_t n = 0;
	ssize_t rc;

	for (;;) {
		rc = read(fd, all + n, sizeof(all) - n);
		if (rc <= 0)
			break;
		n += rc;
	}
	bytes(all, n);
	note(" then");
	say(rc);
}

/* Descriptors that were open before the first case stay. */
static bool keep[64];

void close_all(void)
{
	int fd;

	for (fd = 3; fd < 64; fd++)
		if (!keep[fd])
			close(fd);
}

/* -- running ----------------------------------------------------------------- */

static const struct sockapi_case *const groups[] = {
	connect_cases, io_cases, message_cases, poll_cases, epoll_cases,
	process_cases, option_cases, listen_cases, end_cases, descriptor_cases,
	signal_cases,
};

/* Tells the peer, too. */
static void pace_set(void)
{
	const char *text = getenv("SOCKAPI_PACE");
	char order[40], answer[256];

	if (text && atoi(text) > 1)
		pace = atoi(text);
	snprintf(order, sizeof(order), "pace %d\n", pace);
	command(order, answer, sizeof(answer));
}

static bool wanted(const char *name, char **names, int count)
{
	int i;

	for (i = 0; i < count; i++)
		if (!strcmp(names[i], name))
			return true;
	return !count;
}

static void run(const struct sockapi_case *c)
{
	char answer[256];

	command("reset\n", answer, sizeof(answer));
	snprintf(line, sizeof(line), "%s:", c->name);
	alarm(CASE_SECONDS);
	c->run();
	alarm(0);
	puts(line);
	fflush(stdout);
	close_all();
}

static void timed_out(int sig)
{
	static const char text[] = " TIMED OUT\n";

	(void)sig;
	if (write(1, line, strlen(line)) < 0 || write(1, text, sizeof(text) - 1) < 0)
		_exit(2);
	_exit(1);
}

int main(int argc, char **argv)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	const struct sockapi_case *c;
	size_t g;
	int fd;

	if (argc < 7) {
		fprintf(stderr, "usage: sockapi CONTROL PORT PEER4 PEER6 OWN4 "
			"OWN6 [CASE ...]\n");
		return 99;
	}
	peer_port = atoi(argv[2]);
	snprintf(peer4, sizeof(peer4), "%s", argv[3]);
	snprintf(peer6, sizeof(peer6), "%s", argv[4]);
	snprintf(own4, sizeof(own4), "%s", argv[5]);
	snprintf(own6, sizeof(own6), "%s", argv[6]);
	sigaction(SIGALRM, &(struct sigaction){ .sa_handler = timed_out,
			   .sa_flags = SA_RESTART }, NULL);
	signal(SIGPIPE, SIG_IGN);
	control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", argv[1]);
	if (connect(control, (struct sockaddr *)&at, sizeof(at)))
		fail(argv[1]);
	for (fd = 0; fd < 64; fd++)
		keep[fd] = fcntl(fd, F_GETFD) >= 0;
	pace_set();
	for (g = 0; g < sizeof(groups) / sizeof(*groups); g++)
		for (c = groups[g]; c->name; c++)
			if (wanted(c->name, argv + 7, argc - 7))
				run(c);
	return 0;
}
