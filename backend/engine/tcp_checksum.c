/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_checksum.c - the checksum of TCP over IPv4 and IPv6 (RFC 9293, 3.1)
 *
 * Owns nothing. A sum may be made of pieces of any length: an odd piece shifts
 * the bytes of the next one, which `odd` remembers.
 */
#include "engine/tcp_wire.h"

#include <string.h>

void tcp_sum_add(struct tcp_sum *sum, const void *bytes, size_t length)
{
	const uint8_t *p = bytes;

	if (length && sum->odd) {
		sum->sum += *p++;
		sum->odd = false;
		length--;
	}
	for (; length >= 2; length -= 2, p += 2)
		sum->sum += bytes_get16(p);
	if (length) {
		sum->sum += (uint64_t)*p << 8;
		sum->odd = true;
	}
}

uint16_t tcp_sum_fold(const struct tcp_sum *sum)
{
	uint64_t v = sum->sum;

	while (v >> 16)
		v = (v & 0xffff) + (v >> 16);
	return (uint16_t)v;
}

/* RFC 9293, 3.1, and RFC 8200, 8.1; which address is which does not matter */
static void sum_pseudo(struct tcp_sum *sum, const struct tcp_tuple *t,
		       uint32_t length)
{
	unsigned n = t->family == 4 ? 4 : 16;

	tcp_sum_add(sum, t->local, n);
	tcp_sum_add(sum, t->remote, n);
	sum->sum += 6; /* the protocol */
	sum->sum += (length >> 16) + (length & 0xffff);
}

void tcp_checksum_head(struct tcp_segment *seg, bool partial)
{
	struct tcp_sum sum = { 0 };

	bytes_put16(seg->head + 16, 0);
	sum_pseudo(&sum, &seg->tuple, seg->head_bytes + seg->length);
	if (partial) {
		bytes_put16(seg->head + 16, tcp_sum_fold(&sum));
		return;
	}
	tcp_sum_add(&sum, seg->head, seg->head_bytes);
	bytes_put16(seg->head + 16, (uint16_t)~tcp_sum_fold(&sum));
}

void tcp_checksum_segment(struct tcp_segment *seg,
			  const struct tcp_bytes *payload, unsigned count)
{
	struct tcp_sum sum = { 0 };
	unsigned i;

	sum.sum = (uint16_t)~bytes_get16(seg->head + 16);
	for (i = 0; i < count; i++)
		tcp_sum_add(&sum, payload[i].at, payload[i].length);
	bytes_put16(seg->head + 16, (uint16_t)~tcp_sum_fold(&sum));
}

bool tcp_checksum_packet(const struct tcp_packet *packet,
			 const struct tcp_bytes *payload, unsigned count)
{
	uint32_t length = packet->head_bytes;
	struct tcp_sum sum = { 0 };
	unsigned i;

	for (i = 0; i < count; i++)
		length += (uint32_t)payload[i].length;
	sum_pseudo(&sum, &packet->tuple, length);
	tcp_sum_add(&sum, packet->head, packet->head_bytes);
	for (i = 0; i < count; i++)
		tcp_sum_add(&sum, payload[i].at, payload[i].length);
	return tcp_sum_fold(&sum) == 0xffff;
}
