/* SPDX-License-Identifier: BSD-2-Clause */
#include "nic/ip.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "nic/socket.h"

static int datagram_socket(unsigned family)
{
	int fd = socket(family == VTOE_AF_INET6 ? AF_INET6 : AF_INET,
			SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

/* A connected datagram socket has looked its route up, and sent nothing. */
static int look(int fd, const struct vtoe_address *to,
		struct vtoe_address *from, uint32_t *mtu)
{
	bool six = to->family == VTOE_AF_INET6;
	union socket_address a;
	int value, rc;
	socklen_t size;

	rc = socket_address_from(&a, &size, to, to->family);
	if (rc)
		return rc;
	if (connect(fd, &a.sa, size))
		return -errno;
	rc = socket_name(fd, 0, from);
	if (rc)
		return rc;
	from->port = 0;
	size = sizeof(value);
	if (getsockopt(fd, six ? IPPROTO_IPV6 : IPPROTO_IP,
		       six ? IPV6_MTU : IP_MTU, &value, &size))
		return -errno;
	*mtu = (uint32_t)value;
	return 0;
}

int ip_route(const struct vtoe_address *to, struct vtoe_address *from,
	     uint32_t *mtu)
{
	int fd = datagram_socket(to->family), rc;

	if (fd < 0)
		return fd;
	rc = look(fd, to, from, mtu);
	close(fd);
	return rc;
}

bool ip_is_unicast(unsigned family, const uint8_t *ip)
{
	static const uint8_t zero[16];

	if (family != VTOE_AF_INET6)
		return ip[0] != 0 && ip[0] != 127 && ip[0] < 224;
	/* nor IPv4 in IPv6's clothes, the loopback address, :: */
	return ip[0] != 0xff && memcmp(ip, zero, 10);
}

/* One's own can be bound to, as a broadcast address can; and connected to, as
 * others' can. */
static bool is_own(int fd, struct vtoe_address a)
{
	union socket_address to;
	socklen_t size;

	a.port = 0;
	if (socket_bind(fd, &a, a.family))
		return false;
	a.port = 9; /* nothing is sent */
	return !socket_address_from(&to, &size, &a, a.family) &&
	       !connect(fd, &to.sa, size);
}

bool ip_is_ours(const struct vtoe_address *a)
{
	bool is;
	int fd;

	if (!ip_is_unicast(a->family, a->ip))
		return false;
	fd = datagram_socket(a->family);
	if (fd < 0)
		return false;
	is = is_own(fd, *a);
	close(fd);
	return is;
}

int ip_raw_socket(unsigned family)
{
	/* of this protocol nothing is received, and headers are ours */
	int fd = socket(family == VTOE_AF_INET6 ? AF_INET6 : AF_INET,
			SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);

	return fd < 0 ? -errno : fd;
}

int ip_send(int fd, const struct vtoe_address *to, const struct iovec *pieces,
	    unsigned count)
{
	struct vtoe_address at = *to;
	union socket_address a;
	struct msghdr m = { .msg_name = &a,
			    .msg_iov = (struct iovec *)(uintptr_t)pieces,
			    .msg_iovlen = count };
	int rc;

	at.port = 0; /* IPv6 takes it for a protocol */
	rc = socket_address_from(&a, &m.msg_namelen, &at, at.family);
	if (rc)
		return rc;
	return sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}
