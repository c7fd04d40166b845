/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * prog.h - what the test programs of this directory share
 *
 * They speak plain sockets (or libvtoe, where the name says native), print one
 * line of result, and exit 0 (pass), 1 (the behaviour is wrong) or 99 (the
 * test could not be made).
 */
#ifndef TESTS_NETNS_PROG_H
#define TESTS_NETNS_PROG_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* One line to stderr, with errno's text if errno is not 0; exit 1 or 99. */
void prog_fail(const char *format, ...)
	__attribute__((format(printf, 1, 2), noreturn));
void prog_error(const char *format, ...)
	__attribute__((format(printf, 1, 2), noreturn));

uint64_t prog_now_ms(void);
uint64_t prog_now_us(void);

/* A number of the command line; error if it is none. */
uint64_t prog_number(const char *text);
/* A numeric address and port; error if they are none. */
socklen_t prog_address(const char *host, const char *port,
		       struct sockaddr_storage *to);
/* Connected, or listening on every address; fail if that cannot be. */
int prog_connect(const char *host, const char *port);
int prog_listen(const char *port);
void prog_set_nonblocking(int fd);
/* As many descriptors as the hard limit allows. */
void prog_raise_files(void);

/* Random numbers, and an endless pseudo-random sequence of bytes for each
 * seed: byte `at` of it depends on nothing else. */
uint64_t prog_random(uint64_t *state);
void prog_pattern_fill(void *to, uint64_t seed, uint64_t at, size_t bytes);
/* -> how many bytes are right, `bytes` if all are. */
size_t prog_pattern_check(const void *from, uint64_t seed, uint64_t at,
			  size_t bytes);

#endif
