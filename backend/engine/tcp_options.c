/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_options.c - reads and writes TCP headers (RFC 9293, 3.1 and 3.2)
 *
 * Owns nothing. The options are MSS (RFC 9293), window scale and timestamps
 * (RFC 7323), SACK permitted and SACK (RFC 2018). The first three that a
 * connection agrees on are read in SYNs only, so a later segment cannot change
 * them.
 */
#include "engine/tcp_wire.h"

#include <errno.h>
#include <string.h>

enum {
	KIND_END = 0,
	KIND_NOP = 1,
	KIND_MSS = 2,
	KIND_WSCALE = 3,
	KIND_SACK_OK = 4,
	KIND_SACK = 5,
	KIND_TS = 8,
};

static void parse_sack(struct tcp_head *h, const uint8_t *p, unsigned length)
{
	unsigned i, n = (length - 2) / 8;

	if (length < 10 || (length - 2) % 8 || n > TCP_SACK_MAX)
		return;
	for (i = 0; i < n; i++) {
		h->sack[i].start = bytes_get32(p + 2 + 8 * i);
		h->sack[i].end = bytes_get32(p + 6 + 8 * i);
	}
	h->sack_count = (uint8_t)n;
}

static void parse_option(struct tcp_head *h, const uint8_t *p, unsigned length)
{
	bool syn = h->flags & TCP_SYN;

	switch (p[0]) {
	case KIND_MSS:
		if (syn && length == 4) {
			h->mss = bytes_get16(p + 2);
			h->has_mss = true;
		}
		break;
	case KIND_WSCALE:
		if (syn && length == 3) {
			/* RFC 7323, 2.3: above 14 counts as 14 */
			h->wscale = p[2] > TCP_WSCALE_MAX ? TCP_WSCALE_MAX :
							    p[2];
			h->has_wscale = true;
		}
		break;
	case KIND_SACK_OK:
		if (syn && length == 2)
			h->has_sack_ok = true;
		break;
	case KIND_TS:
		if (length == 10) {
			h->tsval = bytes_get32(p + 2);
			h->tsecr = bytes_get32(p + 6);
			h->has_ts = true;
		}
		break;
	case KIND_SACK:
		if (!syn)
			parse_sack(h, p, length);
		break;
	}
}

int tcp_wire_parse(struct tcp_head *h, const uint8_t *bytes, size_t length)
{
	unsigned head, at, n;

	memset(h, 0, sizeof(*h));
	if (length < TCP_HEAD_MIN)
		return -EBADMSG;
	head = (bytes[12] >> 4) * 4u;
	if (head < TCP_HEAD_MIN || head > length)
		return -EBADMSG;
	h->source = bytes_get16(bytes);
	h->destination = bytes_get16(bytes + 2);
	h->seq = bytes_get32(bytes + 4);
	h->ack = bytes_get32(bytes + 8);
	h->flags = bytes[13];
	h->window = bytes_get16(bytes + 14);
	h->urgent = bytes_get16(bytes + 18);
	for (at = TCP_HEAD_MIN; at < head; at += n) {
		if (bytes[at] == KIND_END)
			break;
		n = 1;
		if (bytes[at] == KIND_NOP)
			continue;
		if (at + 1 >= head)
			break;
		n = bytes[at + 1];
		if (n < 2 || at + n > head)
			break;
		parse_option(h, bytes + at, n);
	}
	return (int)head;
}

static uint8_t *put_sack(uint8_t *p, const uint8_t *end,
			 const struct tcp_head *h)
{
	unsigned i, n = h->sack_count;

	while (n && p + 4 + 8 * n > end)
		n--;
	if (!n)
		return p;
	*p++ = KIND_NOP;
	*p++ = KIND_NOP;
	*p++ = KIND_SACK;
	*p++ = (uint8_t)(2 + 8 * n);
	for (i = 0; i < n; i++, p += 8) {
		bytes_put32(p, h->sack[i].start);
		bytes_put32(p + 4, h->sack[i].end);
	}
	return p;
}

unsigned tcp_wire_build(uint8_t bytes[TCP_HEAD_MAX], const struct tcp_head *h)
{
	uint8_t *p = bytes + TCP_HEAD_MIN;

	bytes_put16(bytes, h->source);
	bytes_put16(bytes + 2, h->destination);
	bytes_put32(bytes + 4, h->seq);
	bytes_put32(bytes + 8, h->ack);
	bytes[13] = h->flags;
	bytes_put16(bytes + 14, h->window);
	bytes_put16(bytes + 16, 0);
	bytes_put16(bytes + 18, h->urgent);
	if (h->has_mss) {
		*p++ = KIND_MSS;
		*p++ = 4;
		bytes_put16(p, h->mss);
		p += 2;
	}
	if (h->has_sack_ok) {
		*p++ = KIND_NOP;
		*p++ = KIND_NOP;
		*p++ = KIND_SACK_OK;
		*p++ = 2;
	}
	if (h->has_ts) {
		*p++ = KIND_NOP;
		*p++ = KIND_NOP;
		*p++ = KIND_TS;
		*p++ = 10;
		bytes_put32(p, h->tsval);
		bytes_put32(p + 4, h->tsecr);
		p += 8;
	}
	if (h->has_wscale) {
		*p++ = KIND_NOP;
		*p++ = KIND_WSCALE;
		*p++ = 3;
		*p++ = h->wscale;
	}
	p = put_sack(p, bytes + TCP_HEAD_MAX, h);
	bytes[12] = (uint8_t)((unsigned)(p - bytes) / 4 << 4);
	return (unsigned)(p - bytes);
}
