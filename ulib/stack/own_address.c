/* SPDX-License-Identifier: BSD-2-Clause */
/* own_address.c - addresses: of the contract, of TCP, and IPv4 in IPv6 */
#include "stack/own.h"

#include <string.h>

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

bool own_address_is_any(const struct vtoe_address *a)
{
	static const uint8_t zero[16];

	return !memcmp(a->ip, zero, a->family == VTOE_AF_INET ? 4 : 16);
}

void own_address_unmap(struct vtoe_address *a)
{
	if (a->family != VTOE_AF_INET6 || memcmp(a->ip, mapped, sizeof(mapped)))
		return;
	a->family = VTOE_AF_INET;
	a->scope = 0;
	memcpy(a->ip, a->ip + 12, 4);
	memset(a->ip + 4, 0, 12);
}

void own_address_map(struct vtoe_address *a)
{
	if (a->family != VTOE_AF_INET)
		return;
	a->family = VTOE_AF_INET6;
	memcpy(a->ip + 12, a->ip, 4);
	memcpy(a->ip, mapped, sizeof(mapped));
}

void own_address_of(struct own_conn *c, unsigned which, unsigned family,
		    struct vtoe_address *out)
{
	struct tcp_status st;

	memset(out, 0, sizeof(*out));
	if (tcp_get_status(c->own->tcp, c->id, &st))
		return;
	out->family = st.tuple.family;
	out->port = which ? st.tuple.remote_port : st.tuple.local_port;
	memcpy(out->ip, which ? st.tuple.remote : st.tuple.local, 16);
	if (family == VTOE_AF_INET6)
		own_address_map(out);
}
