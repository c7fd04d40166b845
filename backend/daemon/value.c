/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * value.c - the values of the configuration, as text
 *
 * See value.h. Numbers are read digit by digit: strtoul() takes signs, blanks
 * and other bases, which a configuration should not.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "daemon/value.h"

static int value_refuse(char *why, const char *text, const char *remedy)
{
	snprintf(why, VALUE_WHY_MAX, "\"%.64s\" %.180s", text, remedy);
	return -1;
}

/* Reads digits of @base; -1 without one, or when more than @max. */
static int value_read_number(const char **text, unsigned int base,
			     uint64_t max, uint64_t *number)
{
	const char *p = *text;
	uint64_t n = 0;

	for (; *p >= '0' && (unsigned int)(*p - '0') < base; p++) {
		unsigned int digit = (unsigned int)(*p - '0');

		if (digit > max || n > (max - digit) / base)
			return -1;
		n = n * base + digit;
	}
	if (p == *text)
		return -1;
	*text = p;
	*number = n;
	return 0;
}

static unsigned int value_unit_shift(char unit)
{
	switch (unit) {
	case 'K':
	case 'k':
		return 10;
	case 'M':
	case 'm':
		return 20;
	case 'G':
	case 'g':
		return 30;
	}
	return 0;
}

int value_parse_size(const char *text, uint64_t min, uint64_t max,
		     uint64_t *size, char *why)
{
	const char *p = text;
	unsigned int shift;
	uint64_t n;

	if (value_read_number(&p, 10, UINT64_MAX, &n))
		goto refuse;
	shift = value_unit_shift(*p);
	if (shift)
		p++;
	if (*p || n > UINT64_MAX >> shift)
		goto refuse;
	n <<= shift;
	if (n < min || n > max)
		goto refuse;
	*size = n;
	return 0;
refuse:
	snprintf(why, VALUE_WHY_MAX,
		 "\"%.64s\" is not a number from %llu to %llu (K, M and G may "
		 "follow it)", text, (unsigned long long)min,
		 (unsigned long long)max);
	return -1;
}

int value_parse_mode(const char *text, uint32_t *mode, char *why)
{
	const char *p = text;
	uint64_t n;

	if (strlen(text) > 4 || value_read_number(&p, 8, 0777, &n) || *p)
		return value_refuse(why, text, "is not a mode: write octal "
				    "permissions as 0600");
	*mode = (uint32_t)n;
	return 0;
}

static int value_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int value_parse_mac(const char *text, uint8_t mac[6], char *why)
{
	static const uint8_t zero[6];
	uint8_t bytes[6];
	int high, low;
	int i;

	if (strlen(text) != 17)
		goto refuse;
	for (i = 0; i < 6; i++) {
		high = value_hex_digit(text[3 * i]);
		low = value_hex_digit(text[3 * i + 1]);
		if (high < 0 || low < 0 || (i < 5 && text[3 * i + 2] != ':'))
			goto refuse;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	if (bytes[0] & 1)
		return value_refuse(why, text, "is a group address: the first "
				    "byte of a guest's MAC must be even, as "
				    "in 02:00:00:00:00:01");
	if (!memcmp(bytes, zero, 6))
		return value_refuse(why, text, "is no address: write another, "
				    "as 02:00:00:00:00:01");
	memcpy(mac, bytes, 6);
	return 0;
refuse:
	return value_refuse(why, text, "is not a MAC address: write six "
			    "hexadecimal bytes as 02:00:00:00:00:01");
}

/* One address of a list, with the prefix length if @with_length. */
static int value_parse_one(char *item, bool with_length,
			   struct value_prefix *v4, struct value_prefix *v6)
{
	struct value_prefix parsed = { .given = true };
	struct value_prefix *to = v4;
	uint64_t length = 0;
	const char *digits;
	char *slash;
	int bits = 32;

	slash = strchr(item, '/');
	if (!slash != !with_length)
		return -1;
	if (slash)
		*slash = '\0';
	if (inet_pton(AF_INET, item, parsed.ip) != 1) {
		if (inet_pton(AF_INET6, item, parsed.ip) != 1)
			return -1;
		bits = 128;
		to = v6;
	}
	if (slash) {
		digits = slash + 1;
		if (value_read_number(&digits, 10, (uint64_t)bits, &length) ||
		    *digits || !length)
			return -1;
	}
	if (to->given)
		return -1;
	parsed.length = (uint8_t)length;
	*to = parsed;
	return 0;
}

static int value_parse_pair(const char *text, bool with_length,
			    struct value_prefix *v4, struct value_prefix *v6)
{
	struct value_prefix found4 = { 0 }, found6 = { 0 };
	char copy[128];
	char *item, *next, *end;

	if (strlen(text) >= sizeof(copy))
		return -1;
	strcpy(copy, text);
	for (item = copy; item; item = next) {
		next = strchr(item, ',');
		if (next) {
			*next++ = '\0';
			next += strspn(next, " \t");
		}
		end = item + strcspn(item, " \t");
		if (end[strspn(end, " \t")])
			return -1; /* two without a comma */
		*end = '\0';
		if (value_parse_one(item, with_length, &found4, &found6))
			return -1;
	}
	*v4 = found4;
	*v6 = found6;
	return 0;
}

/* Addresses that no host may have: unspecified, loopback, group. */
static bool value_is_host4(const uint8_t *ip)
{
	return ip[0] && ip[0] != 127 && ip[0] < 224;
}

static bool value_is_host6(const uint8_t *ip)
{
	static const uint8_t zero[15];

	if (!memcmp(ip, zero, 15) && ip[15] <= 1)
		return false;
	return ip[0] != 0xff;
}

static bool value_are_hosts(const struct value_prefix *v4,
			    const struct value_prefix *v6)
{
	return (!v4->given || value_is_host4(v4->ip)) &&
	       (!v6->given || value_is_host6(v6->ip));
}

int value_parse_address(const char *text, struct value_prefix *v4,
			struct value_prefix *v6, char *why)
{
	struct value_prefix found4 = { 0 }, found6 = { 0 };

	if (value_parse_pair(text, true, &found4, &found6))
		return value_refuse(why, text, "is not an address with its "
				    "prefix length: write 192.0.2.7/24, "
				    "2001:db8::7/64, or both with a comma "
				    "between");
	if (!value_are_hosts(&found4, &found6))
		return value_refuse(why, text, "is no host's address: "
				    "unspecified, loopback and group addresses "
				    "cannot be a guest's");
	*v4 = found4;
	*v6 = found6;
	return 0;
}

int value_parse_gateway(const char *text, struct value_prefix *v4,
			struct value_prefix *v6, char *why)
{
	struct value_prefix found4 = { 0 }, found6 = { 0 };

	if (value_parse_pair(text, false, &found4, &found6) ||
	    !value_are_hosts(&found4, &found6))
		return value_refuse(why, text, "is not a router's address: "
				    "write 192.0.2.1, 2001:db8::1, or both "
				    "with a comma between");
	*v4 = found4;
	*v6 = found6;
	return 0;
}

int value_parse_name(const char *text, size_t max, char *why)
{
	size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");

	if (length && !text[length] && length <= max && text[0] != '-')
		return 0;
	snprintf(why, VALUE_WHY_MAX,
		 "\"%.64s\" is not a name: use at most %zu of the characters "
		 "a-z, 0-9 and - (not first)", text, max);
	return -1;
}

int value_parse_interface(const char *text, char *why)
{
	const char *p;

	if (!*text || strlen(text) >= IFNAMSIZ || !strcmp(text, ".") ||
	    !strcmp(text, ".."))
		goto refuse;
	for (p = text; *p; p++)
		if (*p == '/' || *p == ':' || *p == '%' ||
		    !isgraph((unsigned char)*p))
			goto refuse;
	return 0;
refuse:
	return value_refuse(why, text, "is not the name of an interface: see "
			    "`ip link` for those that exist");
}

bool value_prefix_contains(const struct value_prefix *net, const uint8_t *ip,
			   size_t bytes)
{
	unsigned int bits = net->length;
	size_t i;

	for (i = 0; i < bytes && bits; i++) {
		unsigned int here = bits < 8 ? bits : 8;
		uint8_t mask = (uint8_t)(0xff00u >> here);

		if ((net->ip[i] ^ ip[i]) & mask)
			return false;
		bits -= here;
	}
	return true;
}
