/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * value.h - the values of the configuration, as text
 *
 * Each parser takes a NUL-terminated text from a user, stores the value, and
 * returns 0; or stores nothing and returns -1 with a message in @why that
 * names the text and the remedy. They allocate nothing and call nothing.
 */
#ifndef VTOE_DAEMON_VALUE_H
#define VTOE_DAEMON_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VALUE_WHY_MAX 256

/* An address and the length of its network's prefix. */
struct value_prefix {
	bool given;
	uint8_t length;
	uint8_t ip[16]; /* IPv4: the first four bytes */
};

/* A decimal number with an optional K, M or G (1024, and so on). */
int value_parse_size(const char *text, uint64_t min, uint64_t max,
		     uint64_t *size, char *why);
/* Three or four octal digits. */
int value_parse_mode(const char *text, uint32_t *mode, char *why);
/* A unicast address of six hexadecimal bytes. */
int value_parse_mac(const char *text, uint8_t mac[6], char *why);
/* v4/length, v6/length, or both with a comma between. */
int value_parse_address(const char *text, struct value_prefix *v4,
			struct value_prefix *v6, char *why);
/* v4, v6, or both with a comma between; the length stays 0. */
int value_parse_gateway(const char *text, struct value_prefix *v4,
			struct value_prefix *v6, char *why);
/* [a-z0-9-], at most @max characters, no hyphen at the start. */
int value_parse_name(const char *text, size_t max, char *why);
/* What the kernel takes for the name of an interface. */
int value_parse_interface(const char *text, char *why);

/* Whether @ip is in the network of @net. @bytes: 4 or 16. */
bool value_prefix_contains(const struct value_prefix *net, const uint8_t *ip,
			   size_t bytes);

#endif
