/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tto_send.c - the guest's segments onto the wire
 *
 * The guest gives a TCP header and names the payload; Ethernet, IP and all
 * checksums are made here, so no frame leaves with an address that is not this
 * device's. There are three ways, the cheapest that does (nic/packet.h has what
 * was measured):
 *
 *   AF_XDP	what fits one frame: ACKs, requests; sent at the end of the turn
 *   packet	what has to be cut, by the kernel or the NIC
 *   raw IP	as long as the next hop's MAC is not known: the kernel has the
 *		route, and asks the neighbour. A connection's first segment.
 *
 * A device that has no room makes the guest wait, as a NIC whose queue is full
 * makes its driver wait: the SEGMENT stays in the lane's queue (tto_stall.c). What
 * a queueing discipline drops is lost: so it tells TCP of congestion.
 *
 * What waits in the AF_XDP queue goes before anything by another way, so on a
 * veth, which has no queue of its own, the guest's order is kept; on a NIC whose
 * queueing discipline holds packets back, a later frame can pass them.
 *
 * Where nobody answers the kernel's question, it says so some seconds later, to a
 * socket that listens for that: the next segment there, TCP's own repetition,
 * ends in EHOSTUNREACH. So connect() tells within 7 s that there is no such host,
 * and not after two minutes.
 *
 * The next hop's MAC is that of what was last received from the same address,
 * while that is not long ago; another one does not replace it before. Who is on
 * our link and can forge it could answer ARP as well; who is not, and forges an
 * address of our link, makes us send to the router that his frame came from.
 */
#include "path/tto_internal.h"

#include <errno.h>
#include <net/ethernet.h>
#include <string.h>

#include "nic/ip.h"
#include "nic/packet.h"

enum {
	TCP_MIN = 20,
	NEIGHBOUR_MS = 10000,
	LOCAL_MS = 5000,
	/* the kernel asks for 3 s; a SYN is repeated 1, 3 and 7 s after the first */
	LISTEN_MS = 10000,
	UNREACHED_MS = 4500,
	UNREACHED_TURN = 256,
	/* packets in a turn, each a system call: one segment's */
	ROUTED_MAX = VTOE_SEGMENT_FRAMES,
	LINK_BYTES = 14,
	HEADERS = LINK_BYTES + 40 + 60,
	HOPS = 64,
	TCP_CHECKSUM = 16,
	TCP_FLAGS = 13,
};

/* -- neighbours ------------------------------------------------------------ */

static struct neighbour *neighbour_slot(struct tto *t, unsigned family,
					const uint8_t *ip)
{
	unsigned bytes = tto_ip_bytes(family), i;
	uint32_t h = family;

	/* who makes addresses meet here only makes the kernel look them up */
	for (i = 0; i < bytes; i++)
		h = (h ^ ip[i]) * 16777619u;
	return &t->neighbours[(h ^ h >> 16) % TTO_NEIGHBOURS];
}

void tto_neighbour_learn(struct tto *t, unsigned family, const uint8_t *ip,
			 const uint8_t *mac)
{
	struct neighbour *n = neighbour_slot(t, family, ip);
	bool same = n->family == family &&
		    !memcmp(n->ip, ip, tto_ip_bytes(family));

	if (mac[0] & 1) /* nobody's */
		return;
	if (same && n->until > t->device->now &&
	    memcmp(n->mac, mac, sizeof(n->mac)))
		return;
	n->family = (uint8_t)family;
	memset(n->ip, 0, sizeof(n->ip));
	memcpy(n->ip, ip, tto_ip_bytes(family));
	memcpy(n->mac, mac, sizeof(n->mac));
	n->until = t->device->now + NEIGHBOUR_MS;
}

static const uint8_t *neighbour_mac(struct tto *t, const struct vtoe_address *a)
{
	const struct neighbour *n = neighbour_slot(t, a->family, a->ip);

	return n->family == a->family && n->until > t->device->now &&
			       !memcmp(n->ip, a->ip, tto_ip_bytes(a->family)) ?
		       n->mac : NULL;
}

/* -- neighbours that do not answer ----------------------------------------- */

static bool same_ip(const struct vtoe_address *a, const struct vtoe_address *b)
{
	return a->family == b->family &&
	       !memcmp(a->ip, b->ip, tto_ip_bytes(a->family));
}

static struct unreached *unreached_find(struct tto *t,
					const struct vtoe_address *a)
{
	unsigned i;

	for (i = 0; i < TTO_UNREACHED; i++)
		if (same_ip(&t->unreached[i].address, a))
			return &t->unreached[i];
	return NULL;
}

static bool is_unreached(struct tto *t, const struct vtoe_address *a)
{
	const struct unreached *u = unreached_find(t, a);

	return u && u->until > t->device->now;
}

static void unreached_learn(struct tto *t, int fd, unsigned family)
{
	struct vtoe_address a;
	struct unreached *u;
	unsigned n;

	for (n = 0; n < UNREACHED_TURN && fd >= 0 &&
		    ip_next_unreached(fd, family, &a); n++) {
		u = unreached_find(t, &a);
		if (!u)
			u = &t->unreached[t->unreached_next++ % TTO_UNREACHED];
		u->address = a;
		u->until = t->device->now + UNREACHED_MS;
	}
}

bool tto_send_tick(struct tto *t)
{
	if (t->listen_until <= t->device->now)
		return false;
	unreached_learn(t, t->config.sockets.errors4, VTOE_AF_INET);
	unreached_learn(t, t->config.sockets.errors6, VTOE_AF_INET6);
	return true;
}

static void listen_for_errors(struct tto *t)
{
	t->listen_until = t->device->now + LISTEN_MS;
	device_set_timer(t->device);
}

/* -- one segment ----------------------------------------------------------- */

struct outgoing {
	struct vtoe_segment s; /* our copy */
	struct region *regions[VTOE_SEGMENT_PIECES];
	struct iovec iov[VTOE_SEGMENT_PIECES + 1]; /* [0]: headers */
	unsigned count;
	uint32_t payload;
	uint32_t l4; /* of headers: where TCP begins */
	enum tto_way way;
	uint8_t headers[HEADERS];
};

static void pieces_put(struct lane *lane, struct outgoing *o)
{
	unsigned i;

	for (i = 0; i < VTOE_SEGMENT_PIECES; i++)
		if (o->regions[i])
			region_put(lane->conn, o->regions[i]);
}

static int pieces_get(struct lane *lane, struct outgoing *o)
{
	uint8_t *at;
	unsigned i;
	int rc;

	o->count = 1;
	for (i = 0; i < VTOE_SEGMENT_PIECES; i++) {
		const struct vtoe_piece *p = &o->s.pieces[i];
		struct vtoe_sqe e = { .key = p->key, .offset = p->offset };

		if (!p->length)
			continue;
		if (p->length > 65535 || o->payload + p->length > 65535)
			return -EMSGSIZE;
		rc = request_memory(lane, &e, p->length, VTOE_REGION_READ,
				    &o->regions[i], &at);
		if (rc)
			return rc;
		o->iov[o->count++] = (struct iovec){ at, p->length };
		o->payload += p->length;
	}
	return 0;
}

static bool same_address(const struct vtoe_address *a,
			 const struct vtoe_address *b)
{
	return a->port == b->port && same_ip(a, b);
}

bool tto_is_local(struct tto *t, const struct vtoe_address *a)
{
	struct local_known *l;
	unsigned i;

	for (i = 0; i < TTO_LOCALS; i++) {
		l = &t->locals[i];
		if (l->until > t->device->now && same_ip(&l->address, a))
			return l->ours;
	}
	l = &t->locals[t->local_next++ % TTO_LOCALS];
	l->address = *a;
	l->ours = ip_is_ours(a);
	l->until = t->device->now + LOCAL_MS;
	return l->ours;
}

static bool is_covered(struct tto *t, const struct claim *c,
		       const struct vtoe_segment *s)
{
	struct vtoe_address local = s->local;

	if (!c->port)
		return same_address(&s->local, &c->local) &&
		       same_address(&s->remote, &c->remote);
	if (s->remote.family != c->local.family ||
	    s->local.family != c->local.family)
		return false;
	if (same_address(&s->local, &c->local))
		return tto_is_local(t, &local);
	memset(local.ip, 0, sizeof(local.ip));
	return same_address(&local, &c->local) && tto_is_local(t, &s->local);
}

static bool is_zero(const struct vtoe_segment *s)
{
	static const uint8_t zero[sizeof(s->pad)];
	unsigned i;

	for (i = 0; i < VTOE_SEGMENT_PIECES; i++)
		if (s->pieces[i].reserved)
			return false;
	return !memcmp(s->pad, zero, sizeof(zero));
}

static int check(struct tto *t, const struct claim *c,
		 const struct vtoe_segment *s)
{
	if (!is_zero(s))
		return -EINVAL;
	if (s->head_bytes < TCP_MIN || s->head_bytes > sizeof(s->head) ||
	    (s->head[12] >> 4) * 4 != s->head_bytes || s->ecn > 3)
		return -EINVAL;
	if (bytes_get16(s->head) != s->local.port ||
	    bytes_get16(s->head + 2) != s->remote.port ||
	    !is_covered(t, c, s))
		return -EACCES;
	return 0;
}

/* -- headers --------------------------------------------------------------- */

static void make_ip4(uint8_t *ip, const struct vtoe_segment *s, uint32_t length)
{
	uint16_t sum;

	ip[0] = 0x45;
	ip[1] = s->ecn;
	bytes_put16(ip + 2, (uint16_t)(20 + length));
	bytes_put16(ip + 6, 0x4000); /* not to be fragmented */
	ip[8] = HOPS;
	ip[9] = IPPROTO_TCP;
	memcpy(ip + 12, s->local.ip, 4);
	memcpy(ip + 16, s->remote.ip, 4);
	sum = (uint16_t)~checksum_fold(checksum_sum(ip, 20));
	memcpy(ip + 10, &sum, sizeof(sum));
}

static void make_ip6(uint8_t *ip, const struct vtoe_segment *s, uint32_t length)
{
	bytes_put32(ip, 0x60000000u | (uint32_t)s->ecn << 20);
	bytes_put16(ip + 4, (uint16_t)length);
	ip[6] = IPPROTO_TCP;
	ip[7] = HOPS;
	memcpy(ip + 8, s->local.ip, 16);
	memcpy(ip + 24, s->remote.ip, 16);
}

/* Ethernet and IP before TCP's, whose checksum is zero. -> bytes */
static uint32_t make_headers(struct outgoing *o)
{
	bool six = o->s.local.family == VTOE_AF_INET6;
	uint32_t length = o->s.head_bytes + o->payload;

	memset(o->headers, 0, sizeof(o->headers));
	bytes_put16(o->headers + 12, six ? ETHERTYPE_IPV6 : ETHERTYPE_IP);
	o->l4 = LINK_BYTES + (six ? 40 : 20);
	if (six)
		make_ip6(o->headers + LINK_BYTES, &o->s, length);
	else
		make_ip4(o->headers + LINK_BYTES, &o->s, length);
	memcpy(o->headers + o->l4, o->s.head, o->s.head_bytes);
	memset(o->headers + o->l4 + TCP_CHECKSUM, 0, 2);
	return o->l4 + o->s.head_bytes;
}

static uint64_t pseudo_sum(const struct outgoing *o)
{
	return frame_pseudo_sum(o->headers, LINK_BYTES,
				o->s.local.family == VTOE_AF_INET6 ? FLOW_IPV6 :
								     FLOW_IPV4,
				o->s.head_bytes + o->payload);
}

/* The whole checksum, of what is to leave as it is. */
static void complete_checksum(struct outgoing *o)
{
	uint64_t sum = pseudo_sum(o) + checksum_sum(o->headers + o->l4,
						    o->s.head_bytes);
	uint32_t at = 0;
	unsigned i;
	uint16_t c;

	for (i = 1; i < o->count; i++) {
		uint64_t piece = checksum_sum(o->iov[i].iov_base,
					      o->iov[i].iov_len);

		sum += at % 2 ? checksum_shift(piece) : piece;
		at += (uint32_t)o->iov[i].iov_len;
	}
	c = (uint16_t)~checksum_fold(sum);
	memcpy(o->headers + o->l4 + TCP_CHECKSUM, &c, sizeof(c));
}

/* -- the three ways -------------------------------------------------------- */

/* A segment that has to be cut; the checksums are whoever's who cuts. */
static int send_cut(struct tto *t, struct outgoing *o)
{
	struct packet p = {
		.count = o->count,
		.headers = (uint16_t)o->iov[0].iov_len,
		.l4 = (uint16_t)o->l4,
		.segment_size = o->payload > o->s.segment_size ?
					o->s.segment_size : 0,
		.version = o->s.local.family == VTOE_AF_INET6 ? 6 : 4,
	};
	uint16_t sum = checksum_fold(pseudo_sum(o));
	int rc;

	o->way = WAY_CUT;
	/* who waits for it goes first */
	if (t->full && !tto_is_stuck(t, WAY_CUT))
		return -EAGAIN;
	memcpy(o->headers + o->l4 + TCP_CHECKSUM, &sum, sizeof(sum));
	memcpy(p.pieces + 1, o->iov, sizeof(o->iov[0]) * o->count);
	tto_send_flush(t);
	rc = packet_send(t->config.sockets.packet, &p, 1);
	t->full = rc == -EAGAIN;
	return rc == 1 ? 0 : rc ? rc : -ENOBUFS;
}

static int send_frame(struct tto *t, struct outgoing *o)
{
	int rc;

	o->way = WAY_FRAME;
	complete_checksum(o);
	rc = xsk_send(&t->xsk, o->iov, o->count);
	if (rc == -EAGAIN) {
		tto_send_flush(t);
		rc = xsk_send(&t->xsk, o->iov, o->count);
	}
	if (rc == -EMSGSIZE)
		return send_cut(t, o);
	t->unsent = true;
	return rc;
}

/* A part of a segment, as one packet. */
struct part {
	uint32_t at, length;
	bool first, last;
};

static void part_headers(struct outgoing *o, const struct outgoing *whole,
			 const struct part *p)
{
	uint8_t *tcp = o->s.head;

	bytes_put32(tcp + 4, bytes_get32(whole->s.head + 4) + p->at);
	tcp[TCP_FLAGS] = whole->s.head[TCP_FLAGS];
	if (!p->first)
		tcp[TCP_FLAGS] &= (uint8_t)~TCP_CWR;
	if (!p->last)
		tcp[TCP_FLAGS] &= (uint8_t)~(TCP_FIN | TCP_PSH);
}

/* The pieces that lie in [at, at + length) of the payload. */
static void part_pieces(struct outgoing *o, const struct outgoing *whole,
			uint32_t at, uint32_t length)
{
	unsigned i;

	o->count = 1;
	o->payload = length;
	for (i = 1; i < whole->count && length; i++) {
		uint8_t *base = whole->iov[i].iov_base;
		uint32_t has = (uint32_t)whole->iov[i].iov_len;
		uint32_t n;

		if (at >= has) {
			at -= has;
			continue;
		}
		n = has - at < length ? has - at : length;
		o->iov[o->count++] = (struct iovec){ base + at, n };
		length -= n;
		at = 0;
	}
}

static int send_routed(struct tto *t, const struct outgoing *whole)
{
	uint32_t size = whole->s.segment_size;
	struct outgoing o = *whole;
	struct part p = { .first = true };
	int fd, rc;

	fd = o.s.local.family == VTOE_AF_INET6 ? t->config.sockets.raw6 :
						 t->config.sockets.raw4;
	if (fd < 0)
		return -EAFNOSUPPORT;
	if (is_unreached(t, &o.s.remote))
		return -EHOSTUNREACH;
	tto_send_flush(t);
	listen_for_errors(t);
	t->device->stats->tto_routed++;
	if (t->routed >= ROUTED_MAX)
		return -ENOBUFS;
	if (!size || size > whole->payload)
		size = whole->payload;
	do {
		p.length = whole->payload - p.at < size ? whole->payload - p.at :
							  size;
		p.last = p.at + p.length == whole->payload;
		part_headers(&o, whole, &p);
		part_pieces(&o, whole, p.at, p.length);
		o.iov[0].iov_len = make_headers(&o) - LINK_BYTES;
		o.iov[0].iov_base = o.headers + LINK_BYTES;
		complete_checksum(&o);
		rc = ip_send(fd, &o.s.remote, o.iov, o.count);
		p.at += p.length;
		p.first = false;
	} while (!rc && !p.last && ++t->routed < ROUTED_MAX);
	/* what the kernel's firewall says is not this contract's EACCES */
	if (rc == -EPERM || rc == -EACCES)
		return -EHOSTUNREACH;
	return rc == -EAGAIN ? -ENOBUFS : rc;
}

static void make_frame(struct tto *t, struct outgoing *o, const uint8_t *mac)
{
	o->iov[0].iov_len = make_headers(o);
	o->iov[0].iov_base = o->headers;
	if (mac)
		memcpy(o->headers, mac, 6);
	memcpy(o->headers + 6, t->config.mac, 6);
}

static int send_one(struct tto *t, struct outgoing *o)
{
	const uint8_t *mac = neighbour_mac(t, &o->s.remote);

	if (!mac)
		return send_routed(t, o);
	make_frame(t, o, mac);
	if (o->s.segment_size && o->payload > o->s.segment_size)
		return send_cut(t, o);
	return send_frame(t, o);
}

/* -- the request ----------------------------------------------------------- */

static int segment_copy(struct lane *lane, const struct vtoe_sqe *sqe,
			struct vtoe_segment *s)
{
	struct region *region;
	uint8_t *at;
	int rc;

	if (sqe->length != sizeof(*s))
		return -EINVAL;
	rc = request_memory(lane, sqe, sqe->length, VTOE_REGION_READ, &region,
			    &at);
	if (rc)
		return rc;
	span_copy_out(s, (struct span){ at, sizeof(*s) }, sizeof(*s));
	region_put(lane->conn, region);
	return 0;
}

/* As it was before it went; a next hop that only the kernel knows is zero. */
static void segment_show(struct tto *t, const struct claim *c,
			 struct outgoing *o)
{
	uint32_t size = o->s.segment_size;
	uint32_t frames = size ? (o->payload + size - 1) / size : 1;

	make_frame(t, o, neighbour_mac(t, &o->s.remote));
	tto_capture_sent(t, c, o->iov, o->count, o->l4, frames ? frames : 1);
}

static int segment_send(struct tto *t, struct claim *c, struct outgoing *o)
{
	uint32_t head = o->s.head_bytes, size = o->s.segment_size;
	int rc;

	head += o->s.local.family == VTOE_AF_INET6 ? 40 : 20;
	if (!size || size > o->payload)
		size = o->payload;
	if (o->payload + head > 65535 || size + head > t->config.mtu ||
	    o->payload > size * VTOE_SEGMENT_FRAMES)
		return -EMSGSIZE;
	rc = send_one(t, o);
	if (rc == -EAGAIN && tto_stall(c->lane, o->way))
		return TOE_LATER;
	if (!rc)
		t->took_us[o->way] = t->device->now_us;
	t->device->stats->tto_segments++;
	t->device->stats->tto_cut += o->way == WAY_CUT;
	if (rc == -ENOBUFS || rc == -EAGAIN) {
		t->device->stats->tto_lost++;
		rc = -ENOBUFS;
	}
	if (rc == -EMSGSIZE) { /* for the path: lost, as on it */
		t->device->stats->tto_lost++;
		rc = 0;
	}
	if (rc)
		return rc;
	if (t->capture)
		segment_show(t, c, o);
	c->sent++;
	c->tx_bytes += o->payload;
	t->device->stats->tx_bytes += o->payload;
	return (int)o->payload;
}

int tto_segment(struct lane *lane, const struct vtoe_sqe *sqe)
{
	struct tto *t = lane->conn->device->tto;
	struct outgoing o;
	struct claim *c;
	int rc;

	memset(&o, 0, offsetof(struct outgoing, headers));
	rc = tto_claim_find(lane, sqe->stream, &c);
	if (!rc)
		rc = segment_copy(lane, sqe, &o.s);
	if (!rc)
		rc = check(t, c, &o.s);
	if (rc)
		return rc;
	rc = pieces_get(lane, &o);
	if (!rc)
		rc = segment_send(t, c, &o);
	pieces_put(lane, &o);
	return rc;
}

void tto_send_flush(struct tto *t)
{
	if (t->unsent)
		t->unsent = !xsk_flush(&t->xsk);
}
