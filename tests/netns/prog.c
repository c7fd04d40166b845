/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * prog.c - what the test programs of this directory share
 */
#include "tests/netns/prog.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static void print_line(const char *format, va_list args)
{
	int error = errno;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	vfprintf(stderr, format, args);
	if (error)
		fprintf(stderr, ": %s", strerror(error));
	fputc('\n', stderr);
}

void prog_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_line(format, args);
	exit(1);
}

void prog_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_line(format, args);
	exit(99);
}

uint64_t prog_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t prog_now_ms(void)
{
	return prog_now_us() / 1000;
}

uint64_t prog_number(const char *text)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (end == text || *end || errno)
		prog_error("not a number: %s", text);
	return value;
}

socklen_t prog_address(const char *host, const char *port,
		       struct sockaddr_storage *to)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;
	struct sockaddr_in *in = (struct sockaddr_in *)to;
	uint16_t number = htons((uint16_t)prog_number(port));

	memset(to, 0, sizeof(*to));
	if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = number;
		return sizeof(*in);
	}
	if (inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = number;
		return sizeof(*in6);
	}
	errno = 0;
	prog_error("not an address: %s", host);
}

int prog_connect(const char *host, const char *port)
{
	struct sockaddr_storage to;
	socklen_t len = prog_address(host, port, &to);
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		prog_fail("socket");
	if (connect(fd, (struct sockaddr *)&to, len) < 0)
		prog_fail("connect to %s port %s", host, port);
	return fd;
}

int prog_listen(const char *port)
{
	struct sockaddr_storage at;
	socklen_t len = prog_address("::", port, &at);
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;

	if (fd < 0)
		prog_fail("socket");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
		prog_fail("SO_REUSEADDR");
	if (bind(fd, (struct sockaddr *)&at, len) < 0)
		prog_fail("bind to port %s", port);
	if (listen(fd, 4096) < 0)
		prog_fail("listen on port %s", port);
	return fd;
}

void prog_set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		prog_fail("O_NONBLOCK");
}

void prog_raise_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		prog_error("RLIMIT_NOFILE");
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		prog_error("RLIMIT_NOFILE");
}

/* The finalizer of splitmix64: every output bit depends on every input bit. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

uint64_t prog_random(uint64_t *state)
{
	*state += 0x9e3779b97f4a7c15ull;
	return mix(*state);
}

void prog_pattern_fill(void *to, uint64_t seed, uint64_t at, size_t bytes)
{
	uint8_t *p = to;

	while (bytes) {
		uint64_t word = mix(mix(seed) + at / 8);
		size_t skip = at % 8, n = 8 - skip;

		if (n > bytes)
			n = bytes;
		memcpy(p, (uint8_t *)&word + skip, n);
		p += n;
		at += n;
		bytes -= n;
	}
}

size_t prog_pattern_check(const void *from, uint64_t seed, uint64_t at,
			  size_t bytes)
{
	const uint8_t *p = from;
	size_t done = 0;

	while (done < bytes) {
		uint64_t word = mix(mix(seed) + at / 8);
		size_t skip = at % 8, n = 8 - skip, i;

		if (n > bytes - done)
			n = bytes - done;
		if (memcmp(p + done, (uint8_t *)&word + skip, n)) {
			for (i = 0; p[done + i] ==
				    ((uint8_t *)&word)[skip + i]; i++)
				;
			return done + i;
		}
		done += n;
		at += n;
	}
	return bytes;
}
