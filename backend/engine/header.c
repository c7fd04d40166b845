/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * header.c - the header is the first segment's, but for what the row of each
 * field says
 *
 * Link header, TOS, TTL, DF, flow label (all segments have the same), IP ID
 * (E7), seq (E1) and TSval (E4) stay; ACK (E2), window (E3) and TSecr (E4) are
 * the last one's; of the flags, PSH is set if any segment had it (E5), and the
 * data offset is never taken from anywhere (pitfall 8). TSval must not move on:
 * a receiver's PAWS takes it for that of the first byte (pitfall 6).
 */
#include "engine/header.h"

#include "engine/bytes.h"
#include "engine/checksum.h"

enum {
	IPV4_HEADER = 20
};

/* offsets in the TCP header with the timestamps option of A6 */
enum {
	TCP_ACK_AT = 8,
	TCP_FLAGS_AT = 13,
	TCP_WINDOW_AT = 14,
	TCP_CHECKSUM_AT = 16,
	TCP_TSECR_AT = 28
};

static void make_ip(uint8_t *header, const struct run *r, uint32_t tcp_length)
{
	uint8_t *ip = header + r->l3;

	if (r->version == FLOW_IPV6) {
		bytes_put16(ip + 4, (uint16_t)tcp_length); /* E6 */
		return;
	}
	bytes_put16(ip + 2, (uint16_t)(IPV4_HEADER + tcp_length)); /* E6 */
	memset(ip + 10, 0, 2);
	/* E9; stored as it was added up (checksum.h) */
	memcpy(ip + 10,
	       &(uint16_t){ (uint16_t)~checksum_fold(
		       checksum_sum(ip, IPV4_HEADER)) },
	       2);
}

static void make_tcp(uint8_t *header, const struct run *r, uint32_t tcp_length,
		     bool no_checksum)
{
	uint8_t *tcp = header + r->l4;
	uint16_t checksum;
	uint64_t sum;

	bytes_put32(tcp + TCP_ACK_AT, r->ack);
	tcp[TCP_FLAGS_AT] = (uint8_t)r->tcp_flags;
	bytes_put16(tcp + TCP_WINDOW_AT, r->window);
	if (r->has_timestamp)
		bytes_put32(tcp + TCP_TSECR_AT, r->ts_echo);
	memset(tcp + TCP_CHECKSUM_AT, 0, 2);
	if (no_checksum)
		return;
	sum = frame_pseudo_sum(header, r->l3, r->version, tcp_length) +
	      checksum_sum(tcp, r->header_length - r->l4) +
	      (uint16_t)~checksum_fold(r->sum); /* of the payload */
	checksum = (uint16_t)~checksum_fold(sum);
	memcpy(tcp + TCP_CHECKSUM_AT, &checksum, 2);
}

void header_make(struct delivery *d, struct run *r, uint8_t reason,
		 const struct aggregate_config *c)
{
	uint32_t tcp_length = r->header_length - r->l4 + r->bytes;

	d->kind = DELIVERY_AGGREGATE;
	d->reason = reason;
	d->flags = DELIVERY_TCP | DELIVERY_VERIFIED;
	if (c->no_checksum)
		d->flags |= DELIVERY_NO_CHECKSUM;
	if (r->fixed_id)
		d->flags |= DELIVERY_FIXED_ID;
	if (r->has_timestamp)
		d->flags |= DELIVERY_HAS_TS;
	d->owner = r->owner;
	d->ref = r->first_ref;
	d->first_at = r->first_at;
	d->frame_length = 0;
	d->payload_offset = 0;
	d->payload_length = r->bytes;
	d->segments = r->segments;
	d->seq = r->seq;
	d->ack = r->ack;
	d->ts_value = r->ts_first;
	d->ts_echo = r->ts_echo;
	d->ts_delta = r->ts_last - r->ts_first;
	d->window = r->window;
	d->tcp_flags = r->tcp_flags;
	d->count = r->count;
	d->max_segment = r->max_segment;
	d->duplicate_acks = r->duplicate_acks;
	d->pure_acks = r->pure_acks;
	d->tx_next = d->tx_window = 0;
	d->header_length = r->header_length;
	d->l3 = r->l3;
	d->l4 = r->l4;
	memcpy(d->header, r->header, FRAME_HEAD);
	make_ip(d->header, r, tcp_length);
	make_tcp(d->header, r, tcp_length, c->no_checksum);
	segment_list_init(&r->segments);
	r->count = 0;
}

void header_pass(struct delivery *d, const struct frame *f, uint8_t reason,
		 uint64_t now)
{
	d->kind = DELIVERY_FRAME;
	d->reason = reason;
	d->flags = 0;
	if (f->has_tcp)
		d->flags |= DELIVERY_TCP;
	if (f->verified)
		d->flags |= DELIVERY_VERIFIED;
	if (f->has_timestamp)
		d->flags |= DELIVERY_HAS_TS;
	d->owner = f->in.owner;
	d->ref = f->in.ref;
	d->first_at = now;
	d->frame_length = f->in.length;
	d->payload_offset = f->payload;
	d->payload_length = f->payload_length;
	segment_list_init(&d->segments);
	d->seq = f->seq;
	d->ack = f->ack;
	d->ts_value = f->ts_value;
	d->ts_echo = f->ts_echo;
	d->ts_delta = 0;
	d->window = f->window;
	d->tcp_flags = f->tcp_flags;
	d->count = 1;
	d->max_segment = (uint16_t)f->payload_length;
	d->duplicate_acks = d->pure_acks = 0;
	d->tx_next = d->tx_window = 0;
	d->header_length = 0;
	d->l3 = (uint16_t)f->l3;
	d->l4 = (uint16_t)f->l4;
}
