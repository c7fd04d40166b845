/* SPDX-License-Identifier: BSD-2-Clause */
#include "stack_tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "engine/tcp_wire.h"

enum { IP_HEAD = 20, MTU = 1500 };

struct tun_buffer {
	struct wire_buffer b; /* first */
	uint8_t bytes[];
};

static struct tun *tun_of(struct wire *w)
{
	return (struct tun *)w;
}

static bool tun_loses(struct tun *t)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	if (t->random % 10000 >= t->loss)
		return false;
	t->lost++;
	return true;
}

/* -- claims ---------------------------------------------------------------- */

static bool port_taken(const struct tun *t, uint16_t port)
{
	uint32_t i;

	for (i = 0; i < TUN_CLAIMS; i++)
		if (t->claims[i].used && t->claims[i].port == port)
			return true;
	return false;
}

static void tun_claim(struct wire *w, uint32_t claim,
		      const struct wire_claim *what)
{
	struct tun *t = tun_of(w);
	struct tun_claim *c = &t->claims[claim];

	c->used = true;
	c->what = *what;
	c->port = what->flags & VTOE_CLAIM_PORT ? what->address.port :
						  what->port;
	while (!c->port) {
		uint16_t port = (uint16_t)(40000 + t->next_port++ % 20000);

		if (!port_taken(t, port))
			c->port = port;
	}
	t->asked[t->asked_tail++ % TUN_CLAIMS] = claim;
}

static void tun_unclaim(struct wire *w, uint32_t claim)
{
	tun_of(w)->claims[claim].used = false;
}

static void tun_answer(struct tun *t, struct wire_event *e)
{
	struct tun_claim *c;
	uint32_t own = TUN_OWN;

	e->kind = WIRE_CLAIMED;
	e->claim = t->asked[t->asked_head++ % TUN_CLAIMS];
	c = &t->claims[e->claim];
	e->mtu = MTU;
	e->result = 0;
	memset(&e->local, 0, sizeof(e->local));
	e->local.family = c->what.address.family;
	e->local.port = c->port;
	if (c->what.flags & VTOE_CLAIM_PORT)
		memcpy(e->local.ip, c->what.address.ip, 16);
	else if (e->local.family == VTOE_AF_INET)
		bytes_put32(e->local.ip, own);
	if (c->what.flags & VTOE_CLAIM_PORT &&
	    e->local.family == VTOE_AF_INET && bytes_get32(e->local.ip) &&
	    bytes_get32(e->local.ip) != own)
		e->result = -EADDRNOTAVAIL;
	if (e->local.family != VTOE_AF_INET &&
	    !(c->what.flags & VTOE_CLAIM_PORT))
		e->result = -ENETUNREACH;
	if (e->result)
		c->used = false;
}

/* -- sending --------------------------------------------------------------- */

static unsigned tun_room(struct wire *w)
{
	(void)w;
	return 64;
}

static uint16_t ip_sum(const uint8_t *at)
{
	struct tcp_sum sum = { 0 };

	tcp_sum_add(&sum, at, IP_HEAD);
	return (uint16_t)~tcp_sum_fold(&sum);
}

static void tun_send_one(struct tun *t, struct tcp_segment *s,
			 const uint8_t *payload)
{
	const struct tcp_bytes bytes = { payload, s->length };
	uint32_t total = IP_HEAD + s->head_bytes + s->length;
	uint8_t *p = t->packet;

	memset(p, 0, IP_HEAD);
	p[0] = 0x45;
	p[1] = s->ecn;
	bytes_put16(p + 2, (uint16_t)total);
	p[6] = 0x40;
	p[8] = 64;
	p[9] = 6;
	memcpy(p + 12, s->tuple.local, 4);
	memcpy(p + 16, s->tuple.remote, 4);
	bytes_put16(p + 10, ip_sum(p));
	tcp_checksum_head(s, false);
	tcp_checksum_segment(s, &bytes, 1);
	memcpy(p + IP_HEAD, s->head, s->head_bytes);
	memcpy(p + IP_HEAD + s->head_bytes, payload, s->length);
	if (!tun_loses(t) && write(t->fd, p, total) < 0)
		t->lost++;
}

static void tun_send(struct wire *w, uint32_t claim,
		     const struct tcp_segment *segment,
		     const struct iovec payload[2])
{
	uint32_t most = segment->segment_size, at, n;
	struct tun *t = tun_of(w);
	uint8_t *all;

	(void)claim;
	if (t->no_way) {
		t->no_way_conn = segment->conn;
		return;
	}
	all = malloc(segment->length + 1);
	if (!all)
		abort();
	if (payload[0].iov_len)
		memcpy(all, payload[0].iov_base, payload[0].iov_len);
	if (payload[1].iov_len)
		memcpy(all + payload[0].iov_len, payload[1].iov_base,
		       payload[1].iov_len);
	for (at = 0; at < segment->length || !at; at += n) {
		struct tcp_segment one = *segment;

		n = segment->length - at;
		if (most && n > most) {
			n = most;
			one.head[13] &= (uint8_t)~(TCP_PSH | TCP_FIN);
		}
		if (at)
			one.head[13] &= (uint8_t)~TCP_CWR;
		one.length = n;
		bytes_put32(one.head + 4,
			    bytes_get32(segment->head + 4) + at);
		tun_send_one(t, &one, all + at);
		if (!n)
			break;
	}
	free(all);
}

static void tun_flush(struct wire *w)
{
	(void)w;
}

/* -- receiving ------------------------------------------------------------- */

static bool is_ours(const struct tun *t, uint16_t port)
{
	return port_taken(t, port);
}

/* -> false: nothing that is for the stack */
static bool tun_packet(struct tun *t, uint32_t total, struct wire_event *e)
{
	struct tcp_packet *p = &e->packet;
	const uint8_t *tcp = t->packet + IP_HEAD;
	struct tun_buffer *b;
	uint32_t head, n;

	if (total < IP_HEAD + 20 || t->packet[0] != 0x45 || t->packet[9] != 6 ||
	    bytes_get32(t->packet + 16) != TUN_OWN ||
	    !is_ours(t, bytes_get16(tcp + 2)) || tun_loses(t))
		return false;
	head = (tcp[12] >> 4) * 4u;
	if (head < 20 || head > total - IP_HEAD)
		return false;
	n = total - IP_HEAD - head;
	memset(p, 0, sizeof(*p));
	e->kind = WIRE_PACKET;
	memcpy(p->tuple.local, t->packet + 16, 4);
	memcpy(p->tuple.remote, t->packet + 12, 4);
	p->tuple.family = 4;
	p->tuple.local_port = bytes_get16(tcp + 2);
	p->tuple.remote_port = bytes_get16(tcp);
	memcpy(e->head, tcp, head);
	p->head = e->head;
	p->head_bytes = head;
	p->ecn = t->packet[1] & 3;
	p->segments = 1;
	p->segment_max = (uint16_t)n;
	p->refs = e->refs;
	if (!n)
		return true;
	b = malloc(sizeof(*b) + n);
	if (!b)
		abort();
	b->b = (struct wire_buffer){ .at = b->bytes };
	memcpy(b->bytes, tcp + head, n);
	t->buffers++;
	e->refs[0] = (struct tcp_ref){ (uint64_t)(uintptr_t)b, 0, n };
	p->ref_count = 1;
	return true;
}

static bool tun_next(struct wire *w, struct wire_event *e, uint64_t now_us)
{
	struct tun *t = tun_of(w);
	ssize_t n;

	(void)now_us;
	if (t->asked_head != t->asked_tail) {
		tun_answer(t, e);
		return true;
	}
	if (t->back) {
		t->back = false;
		e->kind = WIRE_BACK;
		e->claim = t->back_claim;
		return true;
	}
	if (t->no_way_conn > 0) {
		e->kind = WIRE_UNREACHABLE;
		e->conn = t->no_way_conn;
		e->result = -EHOSTUNREACH;
		t->no_way_conn = 0;
		return true;
	}
	while ((n = read(t->fd, t->packet, sizeof(t->packet))) > 0)
		if (tun_packet(t, (uint32_t)n, e))
			return true;
	return false;
}

static void tun_give_back(struct wire *w, struct wire_buffer *b)
{
	tun_of(w)->buffers--;
	free(b);
}

static bool tun_arm(struct wire *w)
{
	(void)w;
	return true;
}

static uint64_t tun_wake_us(const struct wire *w)
{
	(void)w;
	return TCP_NEVER;
}

static const struct wire_ops tun_ops = {
	.claim = tun_claim,
	.unclaim = tun_unclaim,
	.room = tun_room,
	.send = tun_send,
	.flush = tun_flush,
	.next = tun_next,
	.give_back = tun_give_back,
	.arm = tun_arm,
	.wake_us = tun_wake_us,
};

int tun_network(void)
{
	return unshare(CLONE_NEWNET) ? -errno : 0;
}

int tun_open(struct tun *t)
{
	struct ifreq r = { .ifr_name = "stack",
			   .ifr_flags = IFF_TUN | IFF_NO_PI };
	uint16_t port = t->next_port;

	memset(t, 0, sizeof(*t));
	t->wire.ops = &tun_ops;
	bytes_put32(t->wire.ipv4, TUN_OWN);
	t->random = 88172645463325252ull;
	t->next_port = port;
	t->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (t->fd < 0)
		return -errno;
	if (ioctl(t->fd, TUNSETIFF, &r) ||
	    system("ip addr add 10.77.0.1/24 dev stack && "
		   "ip link set stack up && ip link set lo up"))
		return -EIO;
	return 0;
}

void tun_close(struct tun *t)
{
	close(t->fd);
}
