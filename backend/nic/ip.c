/* SPDX-License-Identifier: BSD-2-Clause */
#include "nic/ip.h"

#include <errno.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
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

/* -- neighbours that do not answer ----------------------------------------- */

/* The kernel tells itself by ICMP; of that these sockets get "unreachable". */
int ip_error_socket(unsigned family)
{
	bool six = family == VTOE_AF_INET6;
	int fd = socket(six ? AF_INET6 : AF_INET,
			SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
			six ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	struct icmp_filter four = { ~(1u << ICMP_DEST_UNREACH) };
	struct icmp6_filter six_only;
	int rc;

	if (fd < 0)
		return -errno;
	ICMP6_FILTER_SETBLOCKALL(&six_only);
	ICMP6_FILTER_SETPASS(ICMP6_DST_UNREACH, &six_only);
	rc = six ? setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &six_only,
			      sizeof(six_only)) :
		   setsockopt(fd, SOL_RAW, ICMP_FILTER, &four, sizeof(four));
	if (!rc)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

enum { ICMP_HEAD = 8, PORTS = 4 };

/* IP, ICMP, and the IP header of what did not arrive. A router's word is not
 * taken: the source is the packet's own. */
static bool unreached4(const uint8_t *p, size_t n, uint8_t ip[16])
{
	size_t outer = (p[0] & 15) * 4u;
	const uint8_t *icmp = p + outer, *inner = icmp + ICMP_HEAD;

	if (n < outer + ICMP_HEAD + 20 + PORTS || p[9] != IPPROTO_ICMP ||
	    icmp[0] != ICMP_DEST_UNREACH || icmp[1] != ICMP_HOST_UNREACH ||
	    inner[9] != IPPROTO_TCP || memcmp(p + 12, inner + 12, 4))
		return false;
	memcpy(ip, inner + 16, 4);
	return true;
}

/* ICMP; the kernel keeps the outer header to itself. */
static bool unreached6(const uint8_t *p, size_t n, const struct in6_addr *from,
		       uint8_t ip[16])
{
	const uint8_t *inner = p + ICMP_HEAD;

	if (n < ICMP_HEAD + 40 + PORTS || p[0] != ICMP6_DST_UNREACH ||
	    p[1] != ICMP6_DST_UNREACH_ADDR || inner[6] != IPPROTO_TCP ||
	    memcmp(from, inner + 8, 16))
		return false;
	memcpy(ip, inner + 24, 16);
	return true;
}

bool ip_next_unreached(int fd, unsigned family, struct vtoe_address *to)
{
	bool six = family == VTOE_AF_INET6;
	union socket_address from;
	uint8_t p[256];
	struct iovec iov = { p, sizeof(p) };
	ssize_t n;

	memset(to, 0, sizeof(*to));
	to->family = (uint16_t)family;
	do {
		struct msghdr m = { .msg_name = &from,
				    .msg_namelen = sizeof(from),
				    .msg_iov = &iov,
				    .msg_iovlen = 1 };

		n = recvmsg(fd, &m, MSG_DONTWAIT);
		if (n < 0)
			return false;
	} while (six ? !unreached6(p, (size_t)n, &from.in6.sin6_addr, to->ip) :
		       !unreached4(p, (size_t)n, to->ip));
	return true;
}
