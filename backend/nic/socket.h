/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * socket.h - the driver domain's TCP sockets, as the TOE service uses them
 *
 * Thin, checked wrappers: which options a guest may set or read, addresses
 * between the contract's form and the kernel's. Sockets are in blocking mode:
 * io_uring waits for readiness by itself only on such; every direct call here
 * is one that cannot wait. All functions return 0 or a count, or -errno.
 */
#ifndef VTOE_NIC_SOCKET_H
#define VTOE_NIC_SOCKET_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

#include <vtoe_lane.h>

union socket_address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* -EAFNOSUPPORT for a family that is not `family` (VTOE_AF_*); AF_UNSPEC is
 * passed through for disconnecting. -> length in *len */
int socket_address_from(union socket_address *to, socklen_t *len,
			const struct vtoe_address *from, unsigned family);
void socket_address_to(struct vtoe_address *to,
		       const union socket_address *from);

int socket_open(unsigned family); /* VTOE_AF_*; -> descriptor */
int socket_bind(int fd, const struct vtoe_address *at, unsigned family);
int socket_listen(int fd, uint32_t backlog);
/* One connection that waits already, else -EAGAIN. -> descriptor */
int socket_accept_now(int fd);
/* which: 0 local, 1 peer */
int socket_name(int fd, unsigned which, struct vtoe_address *name);

/* -ENOPROTOOPT for what is not on the list. SO_LINGER with a time is not
 * passed on (a close that lingers would stop the worker): it is returned in
 * *linger_seconds for the caller to act on; -1 if not changed. */
int socket_set_option(int fd, const struct vtoe_option *option, int *linger);
/* -> bytes of the value, at most `room` */
int socket_get_option(int fd, unsigned level, unsigned name, void *value,
		      uint32_t room);
/* Before a close: RST instead of FIN; or wait up to `seconds` in close. */
void socket_linger(int fd, int on, int seconds);
/* How many bytes must be there before a receive or poll is told. */
int socket_set_lowat(int fd, uint32_t bytes);
/* "established", "listen", ... */
const char *socket_state(int fd);

#endif
