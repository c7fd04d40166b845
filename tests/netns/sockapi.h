/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sockapi.h - cases of the socket interface, each a function
 *
 * A case prints, on its own line after its name, what calls returned: results,
 * the names of errors, lengths, checksums. Nothing that may differ between two
 * runs over the kernel's sockets (ports, times) is printed. The script runs
 * the same program over kernel sockets and over vtoe and compares the lines.
 */
#ifndef TESTS_NETNS_SOCKAPI_H
#define TESTS_NETNS_SOCKAPI_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct sockapi_case {
	const char *name;
	void (*run)(void);
};

/* Ends with a NULL name. */
extern const struct sockapi_case connect_cases[], io_cases[], message_cases[],
	poll_cases[], epoll_cases[], process_cases[], option_cases[],
	listen_cases[], end_cases[], descriptor_cases[], signal_cases[];

extern char peer4[64], peer6[64], own4[64], own6[64];
extern int peer_port;

/* Adds to the line of the case. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A call's result: the value, or the error's name. Returns it. */
long say(long result);
#define SAY(call) ((void)say(call))
/* The value only as negative, zero or positive. */
#define SAY_SIGN(call) sign(call)
void sign(long result);
/* Length and checksum of bytes. */
void bytes(const void *at, size_t n);

/* What the other end is to do (sockapi_peer.c), and what it saw. */
void peer_next(const char *script);
void peer_dial(int family, int port, const char *script);
void peer_result(void); /* notes it */

/* An address on the peer's link where nobody answers. */
const char *silent_host(void);
int tcp(int family, int flags);
socklen_t address(int family, const char *host, int port,
		  struct sockaddr_storage *to);
/* A connection on which the peer runs the script; -1 is noted. */
int dial(const char *script);
int dial_family(int family, const char *host, const char *script);
/* A listener on a free port of all addresses. */
int listener(int family, int *port);
int port_of(int fd);
void nonblocking(int fd, bool on);
void pause_ms(int ms);
long now_ms(void);
/* Reads until the end or an error: notes how much, checksum, how it ended. */
void drain(int fd);
/* Waits until there is something to read. */
void readable(int fd);
void close_all(void); /* what the case left open */

#endif
