/* SPDX-License-Identifier: BSD-2-Clause */
#include "nic/socket.h"

#include <errno.h>
#include <linux/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

enum { SET = 1, GET = 2, BOTH = SET | GET };

/* What a guest may do to its sockets. Not here: everything that needs a
 * privilege (marks, binding to devices, debugging), that hands over a
 * descriptor (filters), or that another operation does (timeouts). */
static const struct socket_option {
	uint16_t level;
	uint16_t name;
	uint8_t rights;
} socket_options[] = {
	{ SOL_SOCKET, SO_REUSEADDR, BOTH },
	{ SOL_SOCKET, SO_REUSEPORT, BOTH },
	{ SOL_SOCKET, SO_KEEPALIVE, BOTH },
	{ SOL_SOCKET, SO_LINGER, BOTH },
	{ SOL_SOCKET, SO_RCVBUF, BOTH },
	{ SOL_SOCKET, SO_SNDBUF, BOTH },
	{ SOL_SOCKET, SO_RCVLOWAT, BOTH },
	{ SOL_SOCKET, SO_OOBINLINE, BOTH },
	{ SOL_SOCKET, SO_DONTROUTE, BOTH },
	{ SOL_SOCKET, SO_TYPE, GET },
	{ SOL_SOCKET, SO_DOMAIN, GET },
	{ SOL_SOCKET, SO_PROTOCOL, GET },
	{ SOL_SOCKET, SO_ACCEPTCONN, GET },
	{ SOL_SOCKET, SO_ERROR, GET },
	{ SOL_SOCKET, SO_MEMINFO, GET },
	{ SOL_SOCKET, SO_INCOMING_NAPI_ID, GET },
	{ IPPROTO_TCP, TCP_NODELAY, BOTH },
	{ IPPROTO_TCP, TCP_MAXSEG, BOTH },
	{ IPPROTO_TCP, TCP_CORK, BOTH },
	{ IPPROTO_TCP, TCP_KEEPIDLE, BOTH },
	{ IPPROTO_TCP, TCP_KEEPINTVL, BOTH },
	{ IPPROTO_TCP, TCP_KEEPCNT, BOTH },
	{ IPPROTO_TCP, TCP_SYNCNT, BOTH },
	{ IPPROTO_TCP, TCP_LINGER2, BOTH },
	{ IPPROTO_TCP, TCP_DEFER_ACCEPT, BOTH },
	{ IPPROTO_TCP, TCP_WINDOW_CLAMP, BOTH },
	{ IPPROTO_TCP, TCP_QUICKACK, BOTH },
	{ IPPROTO_TCP, TCP_CONGESTION, BOTH },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, BOTH },
	{ IPPROTO_TCP, TCP_NOTSENT_LOWAT, BOTH },
	{ IPPROTO_TCP, TCP_INFO, GET },
	{ IPPROTO_IP, IP_TOS, BOTH },
	{ IPPROTO_IP, IP_TTL, BOTH },
	{ IPPROTO_IP, IP_MTU_DISCOVER, BOTH },
	{ IPPROTO_IP, IP_MTU, GET },
	{ IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, BOTH },
	{ IPPROTO_IPV6, IPV6_V6ONLY, BOTH },
	{ IPPROTO_IPV6, IPV6_UNICAST_HOPS, BOTH },
	{ IPPROTO_IPV6, IPV6_TCLASS, BOTH },
	{ IPPROTO_IPV6, IPV6_MTU_DISCOVER, BOTH },
	{ IPPROTO_IPV6, IPV6_MTU, GET },
};

static bool socket_option_allowed(unsigned level, unsigned name,
				  unsigned right)
{
	size_t i;

	for (i = 0; i < sizeof(socket_options) / sizeof(*socket_options); i++)
		if (socket_options[i].level == level &&
		    socket_options[i].name == name)
			return socket_options[i].rights & right;
	return false;
}

int socket_address_from(union socket_address *to, socklen_t *len,
			const struct vtoe_address *from, unsigned family)
{
	memset(to, 0, sizeof(*to));
	if (from->family == VTOE_AF_UNSPEC) {
		to->sa.sa_family = AF_UNSPEC;
		*len = sizeof(to->in);
		return 0;
	}
	if (from->family != family)
		return -EAFNOSUPPORT;
	if (family == VTOE_AF_INET) {
		to->in.sin_family = AF_INET;
		to->in.sin_port = htons(from->port);
		memcpy(&to->in.sin_addr, from->ip, 4);
		*len = sizeof(to->in);
		return 0;
	}
	to->in6.sin6_family = AF_INET6;
	to->in6.sin6_port = htons(from->port);
	to->in6.sin6_scope_id = from->scope;
	memcpy(&to->in6.sin6_addr, from->ip, 16);
	*len = sizeof(to->in6);
	return 0;
}

void socket_address_to(struct vtoe_address *to,
		       const union socket_address *from)
{
	memset(to, 0, sizeof(*to));
	if (from->sa.sa_family == AF_INET) {
		to->family = VTOE_AF_INET;
		to->port = ntohs(from->in.sin_port);
		memcpy(to->ip, &from->in.sin_addr, 4);
	} else if (from->sa.sa_family == AF_INET6) {
		to->family = VTOE_AF_INET6;
		to->port = ntohs(from->in6.sin6_port);
		to->scope = from->in6.sin6_scope_id;
		memcpy(to->ip, &from->in6.sin6_addr, 16);
	}
}

int socket_open(unsigned family)
{
	int af, fd;

	if (family == VTOE_AF_INET)
		af = AF_INET;
	else if (family == VTOE_AF_INET6)
		af = AF_INET6;
	else
		return -EAFNOSUPPORT;
	fd = socket(af, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	return fd < 0 ? -errno : fd;
}

int socket_bind(int fd, const struct vtoe_address *at, unsigned family)
{
	union socket_address a;
	socklen_t len;
	int rc = socket_address_from(&a, &len, at, family);

	if (rc)
		return rc;
	return bind(fd, &a.sa, len) ? -errno : 0;
}

int socket_listen(int fd, uint32_t backlog)
{
	/* the kernel clamps to net.core.somaxconn */
	return listen(fd, backlog > 65535 ? 65535 : (int)backlog) ? -errno : 0;
}

int socket_accept_now(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int got;

	/* Only this process takes from the queue, and Linux keeps a connection
	 * there even when it is reset meanwhile: so accept does not wait. On a
	 * socket that does not listen it fails at once, as it should. */
	if (poll(&p, 1, 0) == 0)
		return -EAGAIN;
	got = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	return got < 0 ? -errno : got;
}

int socket_name(int fd, unsigned which, struct vtoe_address *name)
{
	union socket_address a;
	socklen_t len = sizeof(a);
	int rc;

	memset(&a, 0, sizeof(a));
	rc = which ? getpeername(fd, &a.sa, &len) : getsockname(fd, &a.sa, &len);
	if (rc)
		return -errno;
	socket_address_to(name, &a);
	return 0;
}

int socket_set_option(int fd, const struct vtoe_option *option, int *linger)
{
	struct linger l;

	*linger = -1;
	if (!socket_option_allowed(option->level, option->name, SET))
		return -ENOPROTOOPT;
	if (option->length > sizeof(option->value))
		return -EINVAL;
	if (option->level == SOL_SOCKET && option->name == SO_LINGER) {
		if (option->length < sizeof(l))
			return -EINVAL;
		memcpy(&l, option->value, sizeof(l));
		*linger = l.l_onoff && l.l_linger > 0 ? l.l_linger : 0;
		if (*linger > 120)
			*linger = 120;
		if (*linger)
			return 0;
	}
	return setsockopt(fd, option->level, option->name, option->value,
			  option->length) ? -errno : 0;
}

int socket_get_option(int fd, unsigned level, unsigned name, void *value,
		      uint32_t room)
{
	socklen_t len = room;

	if (!socket_option_allowed(level, name, GET))
		return -ENOPROTOOPT;
	if (getsockopt(fd, (int)level, (int)name, value, &len))
		return -errno;
	return (int)len;
}

void socket_linger(int fd, int on, int seconds)
{
	struct linger l = { .l_onoff = on, .l_linger = seconds };

	/* fails only for a socket that is gone: nothing to linger for */
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

int socket_set_lowat(int fd, uint32_t bytes)
{
	int value = (int)bytes;

	return setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &value, sizeof(value))
		       ? -errno : 0;
}

const char *socket_state(int fd)
{
	static const char *const names[] = {
		"?", "established", "syn-sent", "syn-recv", "fin-wait-1",
		"fin-wait-2", "time-wait", "close", "close-wait", "last-ack",
		"listen", "closing", "new-syn-recv",
	};
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) ||
	    info.tcpi_state >= sizeof(names) / sizeof(*names))
		return "?";
	return names[info.tcpi_state];
}
