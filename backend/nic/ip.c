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

static bool is_loopback(const struct vtoe_address *a)
{
	static const uint8_t one[16] = { [15] = 1 };

	return a->family == VTOE_AF_INET6 ? !memcmp(a->ip, one, 16) :
					    a->ip[0] == 127;
}

bool ip_is_ours(const struct vtoe_address *a)
{
	static const uint8_t none[16];
	size_t bytes = a->family == VTOE_AF_INET6 ? 16 : 4;
	struct vtoe_address at = *a;
	bool is = false;
	int fd;

	if (is_loopback(a) || !memcmp(a->ip, none, bytes) ||
	    (bytes == 4 ? a->ip[0] >= 224 : a->ip[0] == 0xff))
		return false;
	fd = datagram_socket(a->family);
	if (fd < 0)
		return false;
	at.port = 0;
	is = !socket_bind(fd, &at, a->family);
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
