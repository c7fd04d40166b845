/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * names.c - the contract's numbers as stable names, for people and JSON
 *
 * Scripts read these names: one that is published never changes.
 */
#include <stddef.h>

#include <vtoe_device.h>
#include <vtoe_lane.h>

#include "daemon/names.h"

static const char *names_look_up(const char *const *names, size_t count,
				 uint32_t number)
{
	return number < count && names[number] ? names[number] : "unknown";
}

#define LOOK_UP(table, number)                                                 \
	names_look_up(table, sizeof(table) / sizeof((table)[0]), number)

const char *names_fallback(uint32_t fallback)
{
	static const char *const names[] = {
		[VTOE_FALLBACK_NONE] = "none",
		[VTOE_FALLBACK_NOT_TCP] = "not_tcp",
		[VTOE_FALLBACK_FAMILY] = "family",
		[VTOE_FALLBACK_LOOPBACK] = "loopback",
		[VTOE_FALLBACK_NO_BACKEND] = "no_backend",
		[VTOE_FALLBACK_QUOTA] = "quota",
		[VTOE_FALLBACK_OPTION] = "option",
		[VTOE_FALLBACK_POLICY] = "policy",
		[VTOE_FALLBACK_INHERITED] = "inherited",
	};

	return LOOK_UP(names, fallback);
}

const char *names_fallback_reason(uint32_t fallback)
{
	static const char *const reasons[] = {
		[VTOE_FALLBACK_NONE] = "offloaded",
		[VTOE_FALLBACK_NOT_TCP] = "not a TCP socket",
		[VTOE_FALLBACK_FAMILY] = "neither IPv4 nor IPv6",
		[VTOE_FALLBACK_LOOPBACK] = "a loopback address",
		[VTOE_FALLBACK_NO_BACKEND] = "no backend was there",
		[VTOE_FALLBACK_QUOTA] = "the guest's quota was used up",
		[VTOE_FALLBACK_OPTION] = "a socket option that is not offered",
		[VTOE_FALLBACK_POLICY] = "left to the kernel by policy",
		[VTOE_FALLBACK_INHERITED] = "inherited from another program",
	};

	return LOOK_UP(reasons, fallback);
}

const char *names_status(uint32_t status)
{
	static const char *const names[] = {
		[VTOE_STATUS_STARTING] = "starting",
		[VTOE_STATUS_READY] = "ready",
		[VTOE_STATUS_PARKED] = "parked",
		[VTOE_STATUS_LEAVING] = "leaving",
	};

	return LOOK_UP(names, status);
}

const char *names_violation(uint32_t violation)
{
	static const char *const names[] = {
		[VTOE_VIOLATION_NONE] = "none",
		[VTOE_VIOLATION_INDEX] = "index",
		[VTOE_VIOLATION_CONSUMER] = "consumer",
		[VTOE_VIOLATION_HELLO] = "hello",
		[VTOE_VIOLATION_FEATURES] = "features",
		[VTOE_VIOLATION_VERSION] = "version",
		[VTOE_VIOLATION_FLOOD] = "flood",
		[VTOE_VIOLATION_DATA] = "data",
	};

	return LOOK_UP(names, violation);
}

const char *names_link(uint32_t link)
{
	static const char *const names[] = {
		[VTOE_LINK_DOWN] = "down",
		[VTOE_LINK_UP] = "up",
	};

	return LOOK_UP(names, link);
}
