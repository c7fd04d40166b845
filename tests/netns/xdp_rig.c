/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/netns/xdp_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/bytes.h"

void rig_fail(const char *why, ...)
{
	va_list args;

	va_start(args, why);
	printf("FAIL: ");
	vprintf(why, args);
	printf("\n");
	va_end(args);
	exit(1);
}

uint64_t rig_random(void)
{
	static uint64_t state = 0x9e3779b97f4a7c15u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* -- the place ------------------------------------------------------------- */

static int open_packet(const char *name, uint16_t protocol)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(protocol),
		.sll_ifindex = (int)if_nametoindex(name),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	int bytes = 8 << 20;

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)))
		rig_fail("packet socket on %s: errno %d", name, errno);
	return fd;
}

void rig_namespace(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	if (geteuid()) {
		printf("SKIP: needs root for network namespaces\n");
		exit(77);
	}
	if (unshare(CLONE_NEWNET))
		rig_fail("unshare: errno %d", errno);
	if (system("ip link add ours type veth peer name wire &&"
		   " for i in ours wire; do"
		   " echo 1 >/proc/sys/net/ipv6/conf/$i/disable_ipv6;"
		   " ip link set $i mtu 3000 up; done"))
		rig_fail("cannot make a veth pair");
	r->ifindex = (int)if_nametoindex("ours");
	r->wire = open_packet("wire", ETH_P_ALL);
	r->tap = open_packet("ours", ETH_P_ALL);
}

void rig_open(struct rig *r, const struct steer_config *c)
{
	int rc = steer_open(&r->steer, c);

	if (rc == -ENOSYS || rc == -EOPNOTSUPP || rc == -EPERM) {
		printf("SKIP: machine: no XDP (%s)\n", strerror(-rc));
		exit(77);
	}
	if (rc)
		rig_fail("steer_open: %s", strerror(-rc));
	if (r->steer.native == c->generic)
		rig_fail("asked for %s mode, and it is not",
			 c->generic ? "generic" : "native");
}

static void open_steer(struct rig *r, bool generic, uint32_t claims_max,
		       uint32_t queues)
{
	const struct steer_config c = {
		.ifindex = r->ifindex,
		.claims_max = claims_max,
		.queues = queues,
		.frame_max = 2048 - 256,
		.generic = generic,
	};

	rig_open(r, &c);
}

void rig_steer(struct rig *r, bool generic, uint32_t claims_max)
{
	open_steer(r, generic, claims_max, 1);
}

void rig_steer_queues(struct rig *r, uint32_t queues)
{
	open_steer(r, false, 16, queues);
}

void rig_socket(struct rig *r, const struct xsk_config *sizes, unsigned busy)
{
	struct xsk_config c = *sizes;
	int fd = xsk_socket(busy), rc;

	if (fd == -EAFNOSUPPORT) {
		printf("SKIP: machine: no AF_XDP\n");
		exit(77);
	}
	if (fd < 0)
		rig_fail("xsk_socket: %s", strerror(-fd));
	c.ifindex = r->ifindex;
	r->memory = mmap(NULL, xsk_memory_bytes(&c), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (r->memory == MAP_FAILED)
		rig_fail("no memory");
	rc = xsk_start(&r->xsk, fd, &c, r->memory);
	if (rc)
		rig_fail("xsk_start: %s", strerror(-rc));
	rc = steer_queue(r->steer.sockets, 0, r->xsk.fd);
	if (rc)
		rig_fail("steer_queue: %s", strerror(-rc));
	r->socket = true;
}

void rig_socket_close(struct rig *r)
{
	size_t bytes = (size_t)r->xsk.frame_size *
		       (r->xsk.receive_frames + r->xsk.tx.size);

	xsk_stop(&r->xsk);
	munmap(r->memory, bytes);
	r->socket = false;
}

void rig_close(struct rig *r)
{
	if (r->socket)
		rig_socket_close(r);
	steer_close(&r->steer);
	close(r->wire);
	close(r->tap);
}

/* -- frames ---------------------------------------------------------------- */

static void address_of(uint8_t to[16], const struct rig_flow *f, uint8_t last)
{
	static const uint8_t mapped[16] = { [10] = 255, 255, 10, 99, 0 };
	static const uint8_t six[16] = { 0xfd, 0x99 };

	memcpy(to, f->version == 6 ? six : mapped, 16);
	to[15] = last;
}

void rig_claim_of(struct steer_claim *c, const struct rig_flow *f)
{
	memset(c, 0, sizeof(*c));
	address_of(c->local, f, f->local);
	address_of(c->remote, f, f->remote);
	c->local_port = htons(f->local_port);
	c->remote_port = htons(f->remote_port);
	c->vlan = htons(f->vlan);
}

static uint8_t *put_ipv4(uint8_t *at, const struct rig_flow *f, uint32_t bytes)
{
	uint32_t header = 20 + f->options * 4u;
	uint8_t a[16];

	memset(at, 1, header); /* options: NOP */
	at[0] = (uint8_t)(0x40 | header / 4);
	bytes_put16(at + 2, (uint16_t)bytes);
	bytes_put16(at + 6, (uint16_t)(f->offset | (f->fragment ? 0x2000 :
							      0x4000)));
	if (f->offset)
		at[6] &= 0x3f;
	at[8] = 64;
	at[9] = f->protocol;
	address_of(a, f, f->remote);
	memcpy(at + 12, a + 12, 4);
	address_of(a, f, f->local);
	memcpy(at + 16, a + 12, 4);
	return at + header;
}

static uint8_t *put_ipv6(uint8_t *at, const struct rig_flow *f, uint32_t bytes)
{
	uint8_t *next = at + 6;

	memset(at, 0, 56);
	at[0] = 0x60;
	bytes_put16(at + 4, (uint16_t)(bytes - 40));
	at[7] = 64;
	address_of(at + 8, f, f->remote);
	address_of(at + 24, f, f->local);
	at += 40;
	if (f->extension) {
		*next = IPPROTO_DSTOPTS;
		next = at;
		at += 8;
	}
	if (f->fragment || f->offset) {
		*next = IPPROTO_FRAGMENT;
		next = at;
		bytes_put16(at + 2, (uint16_t)(f->offset << 3 | f->fragment));
		at += 8;
	}
	*next = f->protocol;
	return at;
}

static uint8_t *put_tag(uint8_t *at, uint16_t vlan)
{
	bytes_put16(at, 0x8100);
	bytes_put16(at + 2, (uint16_t)(0x6000 | vlan)); /* a priority, too */
	return at + 4;
}

uint32_t rig_frame(uint8_t *frame, const struct rig_flow *f, uint32_t length)
{
	static const uint8_t macs[12] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 };
	uint8_t *at = frame + 12;
	uint32_t i;

	for (i = 0; i < length; i++)
		frame[i] = (uint8_t)rig_random();
	memcpy(frame, macs, 12);
	if (f->vlan)
		at = put_tag(at, f->vlan);
	if (f->vlan2)
		at = put_tag(at, f->vlan2);
	bytes_put16(at, f->version == 4 ? ETH_P_IP : f->version == 6 ?
						ETH_P_IPV6 : ETH_P_ARP);
	at += 2;
	i = length - (uint32_t)(at - frame);
	if (f->version == 4)
		at = put_ipv4(at, f, i);
	else if (f->version == 6)
		at = put_ipv6(at, f, i);
	bytes_put16(at, f->remote_port);
	bytes_put16(at + 2, f->local_port);
	return length;
}

void rig_send(struct rig *r, const uint8_t *frame, uint32_t length)
{
	while (send(r->wire, frame, length, 0) != (ssize_t)length)
		if (errno != ENOBUFS && errno != EINTR)
			rig_fail("send of %u bytes: errno %d", length, errno);
}

static bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

uint32_t rig_receive(struct rig *r, uint8_t *frame, int ms)
{
	struct xsk_frame f;

	while (!xsk_receive(&r->xsk, &f, 1))
		if (!readable(r->xsk.fd, ms))
			return 0;
	memcpy(frame, f.data, f.length);
	xsk_release(&r->xsk, f.ref);
	return f.length;
}

uint32_t rig_seen(int packet, uint8_t *frame, int ms)
{
	struct sockaddr_ll from;
	socklen_t size = sizeof(from);
	ssize_t n;

	do {
		if (!readable(packet, ms))
			return 0;
		n = recvfrom(packet, frame, RIG_LONGEST, 0,
			     (struct sockaddr *)&from, &size);
	} while (n < 0 || from.sll_pkttype == PACKET_OUTGOING);
	return (uint32_t)n;
}
