// SPDX-License-Identifier: BSD-2-Clause
/*
 * text.c - addresses and texts
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "internal.h"

int vtoe_address_from(struct vtoe_address *to, const struct sockaddr *from,
		      socklen_t len)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in4;

	if (len < (socklen_t)(offsetof(struct sockaddr, sa_family) +
			      sizeof(from->sa_family)))
		return -EINVAL;
	memset(to, 0, sizeof(*to));
	switch (from->sa_family) {
	case AF_INET:
		if (len < (socklen_t)sizeof(in4))
			return -EINVAL;
		memcpy(&in4, from, sizeof(in4));
		to->family = VTOE_AF_INET;
		to->port = ntohs(in4.sin_port);
		memcpy(to->ip, &in4.sin_addr, 4);
		return 0;
	case AF_INET6:
		/* RFC 2133 programs have no scope id */
		if (len < (socklen_t)offsetof(struct sockaddr_in6,
					      sin6_scope_id))
			return -EINVAL;
		memset(&in6, 0, sizeof(in6));
		memcpy(&in6, from, len < (socklen_t)sizeof(in6) ?
					   (size_t)len :
					   sizeof(in6));
		to->family = VTOE_AF_INET6;
		to->port = ntohs(in6.sin6_port);
		memcpy(to->ip, &in6.sin6_addr, 16);
		to->scope = in6.sin6_scope_id;
		return 0;
	default:
		return -EAFNOSUPPORT;
	}
}

socklen_t vtoe_address_to(const struct vtoe_address *from, struct sockaddr *to,
			  socklen_t room)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
	} a;
	socklen_t len = 0;

	memset(&a, 0, sizeof(a));
	if (from->family == VTOE_AF_INET) {
		a.in4.sin_family = AF_INET;
		a.in4.sin_port = htons(from->port);
		memcpy(&a.in4.sin_addr, from->ip, 4);
		len = sizeof(a.in4);
	} else if (from->family == VTOE_AF_INET6) {
		a.in6.sin6_family = AF_INET6;
		a.in6.sin6_port = htons(from->port);
		memcpy(&a.in6.sin6_addr, from->ip, 16);
		a.in6.sin6_scope_id = from->scope;
		len = sizeof(a.in6);
	}
	/* as accept(2) does: cut off, but tell the whole length */
	if (to)
		memcpy(to, &a, len < room ? len : room);
	return len;
}

const char *vtoe_violation_text(unsigned violation)
{
	static const char *const texts[] = {
		[VTOE_VIOLATION_NONE] = "none",
		[VTOE_VIOLATION_INDEX] =
			"a producer index passed the ring's size",
		[VTOE_VIOLATION_CONSUMER] =
			"a consumer index passed the producer's or went back",
		[VTOE_VIOLATION_HELLO] =
			"the first request was not a valid HELLO",
		[VTOE_VIOLATION_FEATURES] =
			"a feature was accepted that was not offered",
		[VTOE_VIOLATION_VERSION] =
			"a version was chosen that was not offered",
		[VTOE_VIOLATION_FLOOD] = "a flood of control requests",
		[VTOE_VIOLATION_DATA] =
			"bytes were sent on the handshake's socket",
	};

	if (violation >= sizeof(texts) / sizeof(texts[0]) || !texts[violation])
		return "unknown violation";
	return texts[violation];
}

const char *vtoe_fallback_text(unsigned fallback)
{
	static const char *const texts[VTOE_FALLBACK_COUNT] = {
		[VTOE_FALLBACK_NONE] = "offloaded",
		[VTOE_FALLBACK_NOT_TCP] = "not a TCP socket",
		[VTOE_FALLBACK_FAMILY] =
			"the device has no address of this family",
		[VTOE_FALLBACK_LOOPBACK] = "a loopback address",
		[VTOE_FALLBACK_NO_BACKEND] = "no backend",
		[VTOE_FALLBACK_QUOTA] = "the device's limit is reached",
		[VTOE_FALLBACK_OPTION] =
			"a socket option that cannot be offloaded",
		[VTOE_FALLBACK_POLICY] = "the configuration says so",
		[VTOE_FALLBACK_INHERITED] =
			"inherited from a program that does not run under vtoe",
	};

	if (fallback >= VTOE_FALLBACK_COUNT || !texts[fallback])
		return "unknown reason";
	return texts[fallback];
}
