/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * frame.c - parses Ethernet II, 802.1Q and QinQ, IPv4, IPv6 and TCP
 *
 * One pass, in stages; each stage either finds the next header inside what the
 * one before allows, or says by an event why the frame is no candidate. The
 * first FRAME_HEAD bytes are copied and only the copy is looked at, so a value
 * that was checked is the value that is used. A plain header fits the copy by
 * construction. Only a frame with IPv6 extension headers, which is passed on
 * anyhow, is read beyond it, word by word, for the ports: its flow's held data
 * must leave first (pitfall 1).
 *
 * A frame whose ports are found has a flow, even if it is no candidate. Lengths
 * come from the IP header (A2), so Ethernet's padding is never payload.
 */
#include "engine/frame.h"

#include "engine/bytes.h"
#include "engine/checksum.h"

enum {
	ETHERNET = 14,
	VLAN = 4,
	VLAN_TAGS = 2,
	IPV4_HEADER = 20,
	IPV6_HEADER = 40,
	TCP_HEADER = 20,
	TCP_WITH_TIMESTAMP = 32,
	/* NOP, NOP, Timestamps, 10 (RFC 7323 appendix A) */
	TIMESTAMP_WORD = 0x0101080a,
};

/* ethertypes; below 0x600 it is a length (IEEE 802.3) */
enum {
	TYPE_LENGTH = 0x600,
	TYPE_IPV4 = 0x0800,
	TYPE_IPV6 = 0x86dd,
	TYPE_VLAN = 0x8100,
	TYPE_QINQ = 0x88a8,
	TYPE_MPLS = 0x8847,
	TYPE_PPPOE = 0x8864,
};

enum {
	IP_HOP_BY_HOP = 0,
	IP_IPIP = 4,
	IP_TCP = 6,
	IP_UDP = 17,
	IP_IPV6 = 41,
	IP_ROUTING = 43,
	IP_FRAGMENT = 44,
	IP_GRE = 47,
	IP_AUTHENTICATION = 51,
	IP_DESTINATION = 60,
	IP_MOBILITY = 135,
	IP_HIP = 139,
	IP_SHIM6 = 140,
};

enum {
	PORT_VXLAN = 4789,
	PORT_GENEVE = 6081
};

static void frame_malformed(struct frame *f, uint8_t event)
{
	f->malformed = true;
	f->plain = false;
	f->event = event;
}

/* Bytes at an offset: of the copy, or read once from the frame beyond it. */
static const uint8_t *frame_at(const struct frame *f, uint32_t offset,
			       uint32_t bytes, uint8_t *scratch)
{
	if (offset + bytes <= FRAME_HEAD)
		return f->head + offset;
	memcpy(scratch, f->in.data + offset, bytes);
	__asm__ volatile("" ::: "memory"); /* no second load */
	return scratch;
}

static void frame_flags(struct frame *f)
{
	uint16_t flags = f->tcp_flags;

	if (f->event != END_NONE)
		return;
	if (flags & TCP_RST)
		f->event = END_RST;
	else if (flags & TCP_SYN)
		f->event = END_SYN;
	else if (flags & TCP_FIN)
		f->event = END_FIN;
	else if (flags & TCP_URG)
		f->event = END_URG;
	else if (flags & (TCP_ECE | TCP_CWR | TCP_RESERVED))
		f->event = END_ECN_FLAGS;
	else if (!(flags & TCP_ACK))
		f->event = PASS_NO_ACK;
}

/* A6: none, or exactly NOP, NOP, timestamps. -> whether it is so */
static bool frame_tcp_options(struct frame *f, uint32_t header)
{
	const uint8_t *at = f->head + f->l4 + TCP_HEADER;

	if (header == TCP_HEADER)
		return true;
	if (header != TCP_WITH_TIMESTAMP || !f->plain ||
	    bytes_get32(at) != TIMESTAMP_WORD)
		return false;
	f->has_timestamp = true;
	f->ts_value = bytes_get32(at + 4);
	f->ts_echo = bytes_get32(at + 8);
	f->shape.network |= SHAPE_TIMESTAMP;
	return true;
}

/* end: where IP says that the datagram ends. */
static void frame_tcp(struct frame *f, uint32_t end)
{
	uint8_t scratch[TCP_HEADER];
	const uint8_t *at;
	uint32_t header;
	uint16_t urgent;

	if (f->l4 + 4 > end) {
		frame_malformed(f, END_BAD_TCP);
		return;
	}
	at = frame_at(f, f->l4, 4, scratch);
	f->has_flow = true;
	f->key.ports = flow_key_ports(bytes_get16(at), bytes_get16(at + 2),
				      f->in.owner);
	if (f->event == END_FRAGMENT)
		return; /* the rest may be in another one */
	if (f->l4 + TCP_HEADER > end) {
		frame_malformed(f, END_BAD_TCP);
		return;
	}
	at = frame_at(f, f->l4, TCP_HEADER, scratch);
	header = (uint32_t)(at[12] >> 4) * 4;
	if (header < TCP_HEADER || f->l4 + header > end) {
		frame_malformed(f, END_BAD_TCP);
		return;
	}
	f->has_tcp = true;
	f->seq = bytes_get32(at + 4);
	f->ack = bytes_get32(at + 8);
	f->tcp_flags = bytes_get16(at + 12) & 0xfff;
	f->window = bytes_get16(at + 14);
	urgent = bytes_get16(at + 18);
	f->payload = f->l4 + header;
	f->payload_length = end - f->payload;
	frame_flags(f);
	/* it means nothing without URG, but an aggregate has only one */
	if (f->event == END_NONE && urgent)
		f->event = END_URG;
	if (!frame_tcp_options(f, header)) {
		f->plain = false;
		if (f->event == END_NONE)
			f->event = END_TCP_OPTIONS;
	}
}

/* Not TCP: a tunnel that may carry some (A7), or another protocol. */
static void frame_other(struct frame *f, uint8_t protocol, uint32_t end)
{
	uint8_t scratch[4];
	uint16_t port;

	f->plain = false;
	f->event = END_PROTOCOL;
	if (protocol == IP_IPIP || protocol == IP_IPV6 || protocol == IP_GRE)
		f->event = END_TUNNEL;
	if (protocol != IP_UDP || f->l4 + 4 > end)
		return;
	port = bytes_get16(frame_at(f, f->l4, 4, scratch) + 2);
	if (port == PORT_VXLAN || port == PORT_GENEVE)
		f->event = END_TUNNEL;
}

static void frame_ipv4(struct frame *f)
{
	const uint8_t *ip = f->head + f->l3;
	uint32_t header, total;
	uint16_t fragment;

	if (f->l3 + IPV4_HEADER > f->in.length) {
		frame_malformed(f, END_BAD_IP);
		return;
	}
	header = (uint32_t)(ip[0] & 15) * 4;
	total = bytes_get16(ip + 2);
	if (ip[0] >> 4 != 4 || header < IPV4_HEADER || total < header ||
	    total > f->in.length - f->l3) {
		frame_malformed(f, END_BAD_IP);
		return;
	}
	f->version = FLOW_IPV4;
	f->l4 = f->l3 + header;
	f->ip_id = bytes_get16(ip + 4);
	fragment = bytes_get16(ip + 6);
	f->key.address[0] = bytes_raw64(ip + 12);
	f->shape.network = (uint64_t)ip[1] << 48 | (uint64_t)ip[8] << 40 |
			   (uint64_t)(fragment & 0xc000) << 24;
	/* the longest header, behind two tags, is inside of the copy */
	if (!(f->in.flags & FRAME_IP_VERIFIED) &&
	    !checksum_is_right(checksum_sum(ip, header)))
		f->event = END_BAD_IP;
	else if (fragment & 0x3fff)
		f->event = END_FRAGMENT;
	else if (header > IPV4_HEADER)
		f->event = END_IP_OPTIONS;
	f->plain = f->event == END_NONE;
	if (ip[9] != IP_TCP)
		frame_other(f, ip[9], f->l3 + total);
	else if (!(fragment & 0x1fff))
		frame_tcp(f, f->l3 + total);
	if (f->event == END_NONE && (ip[1] & 3) == 3)
		f->event = END_ECN_CE;
}

/*
 * Looks for TCP behind extension headers. Each is 8 bytes at least, so the
 * frame's length bounds it. -> protocol, with l4 behind the last header
 */
static uint8_t frame_extensions(struct frame *f, uint8_t next, uint32_t end,
				bool *later_fragment)
{
	uint8_t scratch[8];
	const uint8_t *at;
	uint32_t bytes;

	for (;;) {
		switch (next) {
		case IP_HOP_BY_HOP:
		case IP_ROUTING:
		case IP_FRAGMENT:
		case IP_AUTHENTICATION:
		case IP_DESTINATION:
		case IP_MOBILITY:
		case IP_HIP:
		case IP_SHIM6:
			break;
		default:
			return next;
		}
		f->plain = false;
		if (f->event == END_NONE)
			f->event = END_IP_OPTIONS;
		if (f->l4 + 8 > end) {
			frame_malformed(f, END_BAD_IP);
			return next;
		}
		at = frame_at(f, f->l4, 8, scratch);
		bytes = ((uint32_t)at[1] + 1) * 8;
		if (next == IP_FRAGMENT) {
			bytes = 8;
			/* an atomic fragment (RFC 6946) is whole */
			if (bytes_get16(at + 2) & 0xfff9)
				f->event = END_FRAGMENT;
			*later_fragment = bytes_get16(at + 2) & 0xfff8;
		} else if (next == IP_AUTHENTICATION) {
			bytes = ((uint32_t)at[1] + 2) * 4;
		}
		next = at[0];
		f->l4 += bytes;
		if (*later_fragment)
			return next; /* what follows is no header */
	}
}

static void frame_ipv6(struct frame *f)
{
	const uint8_t *ip = f->head + f->l3;
	bool later_fragment = false;
	uint32_t length, end, first;
	uint8_t next;
	int i;

	if (f->l3 + IPV6_HEADER > f->in.length) {
		frame_malformed(f, END_BAD_IP);
		return;
	}
	first = bytes_get32(ip);
	length = bytes_get16(ip + 4);
	if (first >> 28 != 6 || length > f->in.length - f->l3 - IPV6_HEADER) {
		frame_malformed(f, END_BAD_IP);
		return;
	}
	f->version = FLOW_IPV6;
	f->plain = true;
	f->l4 = f->l3 + IPV6_HEADER;
	end = f->l4 + length;
	for (i = 0; i < 4; i++)
		f->key.address[i] = bytes_raw64(ip + 8 + 8 * i);
	f->shape.network = (uint64_t)(first >> 20 & 0xff) << 48 |
			   (uint64_t)ip[7] << 40 | (first & SHAPE_FLOW_LABEL);
	next = frame_extensions(f, ip[6], end, &later_fragment);
	if (f->malformed)
		return;
	if (f->l4 > end)
		frame_malformed(f, END_BAD_IP);
	else if (next != IP_TCP)
		frame_other(f, next, end);
	else if (!later_fragment)
		frame_tcp(f, end);
	if (f->event == END_NONE && (first >> 20 & 3) == 3)
		f->event = END_ECN_CE;
}

/* -> the ethertype behind the tags; l3 and the link's part of key and shape */
static uint16_t frame_link(struct frame *f)
{
	uint16_t type = bytes_get16(f->head + 12), vid[VLAN_TAGS] = { 0 };
	uint32_t tags = 0;

	f->shape.link[0] = bytes_raw64(f->head);
	f->shape.link[1] = bytes_raw32(f->head + 8);
	f->l3 = ETHERNET;
	while ((type == TYPE_VLAN || type == TYPE_QINQ) && tags < VLAN_TAGS) {
		const uint8_t *tag = f->head + f->l3;

		f->shape.link[2] = f->shape.link[2] << 32 |
				   (uint32_t)type << 16 | bytes_get16(tag);
		vid[tags++] = bytes_get16(tag) & 0xfff;
		type = bytes_get16(tag + 2);
		f->l3 += VLAN;
	}
	f->shape.link[1] |= (uint64_t)tags << 32;
	f->key.link = flow_key_link(type == TYPE_IPV6 ? FLOW_IPV6 : FLOW_IPV4,
				    vid[0], vid[1]);
	return type;
}

/* Field by field: compilers make a slow instruction of one large memset. */
static void frame_clear(struct frame *f)
{
	f->key = (struct flow_key){ { 0 }, 0, 0 };
	f->shape = (struct frame_shape){ { 0 }, 0 };
	f->has_flow = f->has_tcp = f->plain = f->has_timestamp = false;
	f->malformed = f->verified = false;
	f->event = END_NONE;
	f->version = 0;
	f->tcp_flags = f->window = f->ip_id = 0;
	f->l3 = f->l4 = 0;
	f->payload = f->payload_length = 0;
	f->seq = f->ack = 0;
	f->ts_value = f->ts_echo = 0;
}

void frame_parse(struct frame *f, const struct frame_input *in)
{
	uint32_t have = in->length < FRAME_HEAD ? in->length : FRAME_HEAD;
	uint16_t type;

	frame_clear(f);
	f->in = *in;
	if (have == FRAME_HEAD) {
		memcpy(f->head, in->data, FRAME_HEAD);
	} else {
		memset(f->head, 0, FRAME_HEAD);
		if (have)
			memcpy(f->head, in->data, have);
	}
	__asm__ volatile("" ::: "memory"); /* the copy, not the frame, again */
	if (in->length < ETHERNET || in->length > FRAME_MAX) {
		frame_malformed(f, END_NOT_ETHERNET);
		return;
	}
	type = frame_link(f);
	if (f->l3 > in->length)
		frame_malformed(f, END_NOT_ETHERNET);
	else if (type == TYPE_IPV4)
		frame_ipv4(f);
	else if (type == TYPE_IPV6)
		frame_ipv6(f);
	else if (type < TYPE_LENGTH)
		f->event = END_NOT_ETHERNET;
	else if (type == TYPE_VLAN || type == TYPE_QINQ || type == TYPE_MPLS ||
		 type == TYPE_PPPOE)
		f->event = END_TUNNEL; /* deeper than A1 goes */
	else
		f->event = END_PROTOCOL;
	f->verified = in->flags & FRAME_TCP_VERIFIED && f->has_tcp &&
		      f->event != END_BAD_IP;
}

uint64_t frame_pseudo_sum(const uint8_t *head, uint32_t l3, uint8_t version,
			  uint32_t tcp_length)
{
	const uint8_t *ip = head + l3;
	uint64_t sum;
	int i;

	sum = checksum_number(IP_TCP) +
	      checksum_number((uint16_t)(tcp_length >> 16)) +
	      checksum_number((uint16_t)tcp_length);
	if (version == FLOW_IPV4)
		return sum + bytes_raw32(ip + 12) + bytes_raw32(ip + 16);
	for (i = 8; i < IPV6_HEADER; i += 4)
		sum += bytes_raw32(ip + i);
	return sum;
}

bool frame_verify(struct frame *f, uint64_t *touched)
{
	uint32_t length = f->payload - f->l4 + f->payload_length;
	uint64_t sum;

	if (f->verified)
		return true;
	/* a routing header may hide the address that counts */
	if (!f->has_tcp || f->event == END_BAD_IP ||
	    (f->event == END_IP_OPTIONS && f->version != FLOW_IPV4))
		return false;
	sum = frame_pseudo_sum(f->head, f->l3, f->version, length);
	if (f->plain) /* of the header, the copy counts */
		sum += checksum_sum(f->head + f->l4, f->payload - f->l4) +
		       checksum_sum(f->in.data + f->payload, f->payload_length);
	else
		sum += checksum_sum(f->in.data + f->l4, length);
	*touched += length;
	f->verified = checksum_is_right(sum);
	return f->verified;
}

uint64_t frame_header_sum(const struct frame *f)
{
	const uint8_t *at = f->head + f->l4;
	uint64_t sum;

	sum = frame_pseudo_sum(f->head, f->l3, f->version,
			       f->payload - f->l4 + f->payload_length);
	sum += (uint64_t)bytes_raw32(at) + bytes_raw32(at + 4) +
	       bytes_raw32(at + 8) + bytes_raw32(at + 12) +
	       bytes_raw32(at + 16);
	if (f->has_timestamp)
		sum += (uint64_t)bytes_raw32(at + 20) + bytes_raw32(at + 24) +
		       bytes_raw32(at + 28);
	return sum;
}
