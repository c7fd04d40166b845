/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * probe.c - asking the network whether an address is in use
 *
 * An ARP probe (RFC 5227) for IPv4 and a neighbour solicitation as in duplicate
 * address detection (RFC 4862) for IPv6, from the guest's new interface, before
 * its worker starts. The standards wait for seconds; we ask three times in a
 * third of a second, which finds a host on the same link, and is not felt. What
 * comes back is anybody's frame: it is read as such.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <netinet/ip6.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/netns.h"
#include "daemon/probe.h"

#define PROBES 3
#define PROBE_MS 110
#define FRAMES_PER_TURN 64

struct probe_solicit {
	struct ip6_hdr ip;
	struct nd_neighbor_solicit nd;
};

/* Pseudo header, and @bytes (even) at @data. */
static uint16_t probe_checksum(const struct ip6_hdr *ip, const void *data,
			       size_t bytes)
{
	uint32_t sum = (uint32_t)bytes + IPPROTO_ICMPV6;
	const uint8_t *p;
	size_t i;

	for (p = ip->ip6_src.s6_addr, i = 0; i < 32; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	for (p = data, i = 0; i < bytes; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static void probe_send(const struct probe *probe, int fd, uint16_t protocol,
		       const uint8_t *to, const void *data, size_t bytes)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(protocol),
		.sll_ifindex = (int)probe->index,
		.sll_halen = ETH_ALEN,
	};

	memcpy(address.sll_addr, to, ETH_ALEN);
	/* One that is lost is asked again. */
	(void)!sendto(fd, data, bytes, MSG_DONTWAIT,
		      (struct sockaddr *)&address, sizeof(address));
}

static void probe_ask_arp(const struct probe *probe)
{
	static const uint8_t everybody[ETH_ALEN] = { 255, 255, 255, 255, 255,
						     255 };
	struct ether_arp arp = {
		.arp_hrd = htons(ARPHRD_ETHER),
		.arp_pro = htons(ETHERTYPE_IP),
		.arp_hln = ETH_ALEN,
		.arp_pln = 4,
		.arp_op = htons(ARPOP_REQUEST),
	};

	/* The sender's IP stays 0: nobody's cache may learn from a probe. */
	memcpy(arp.arp_sha, probe->network->mac, ETH_ALEN);
	memcpy(arp.arp_tpa, probe->network->address4.ip, 4);
	probe_send(probe, probe->arp.fd, ETH_P_ARP, everybody, &arp,
		   sizeof(arp));
}

static void probe_ask_neighbour(const struct probe *probe)
{
	static const uint8_t group[16] = { 0xff, 2, 0, 0, 0, 0, 0, 0,
					   0, 0, 0, 1, 0xff };
	const uint8_t *ip = probe->network->address6.ip;
	uint8_t to[ETH_ALEN] = { 0x33, 0x33, 0xff };
	struct probe_solicit frame;

	memset(&frame, 0, sizeof(frame));
	frame.ip.ip6_flow = htonl(6u << 28);
	frame.ip.ip6_plen = htons(sizeof(frame.nd));
	frame.ip.ip6_nxt = IPPROTO_ICMPV6;
	frame.ip.ip6_hlim = 255;
	memcpy(frame.ip.ip6_dst.s6_addr, group, 13);
	memcpy(frame.ip.ip6_dst.s6_addr + 13, ip + 13, 3);
	frame.nd.nd_ns_type = ND_NEIGHBOR_SOLICIT;
	memcpy(frame.nd.nd_ns_target.s6_addr, ip, 16);
	frame.nd.nd_ns_cksum = probe_checksum(&frame.ip, &frame.nd,
					      sizeof(frame.nd));
	memcpy(to + 3, ip + 13, 3);
	probe_send(probe, probe->neighbour.fd, ETH_P_IPV6, to, &frame,
		   sizeof(frame));
}

static void probe_finish(struct probe *probe, int family, const uint8_t *ip,
			 const uint8_t *mac)
{
	char text[INET6_ADDRSTRLEN];
	char conflict[192];

	probe_stop(probe);
	if (!ip) {
		probe->done(probe, NULL);
		return;
	}
	inet_ntop(family, ip, text, sizeof(text));
	snprintf(conflict, sizeof(conflict), "address %s is in use by "
		 "%02x:%02x:%02x:%02x:%02x:%02x on the network: choose "
		 "another, or set check_address = no", text, mac[0], mac[1],
		 mac[2], mac[3], mac[4], mac[5]);
	probe->done(probe, conflict);
}

/* The next frame of another host, and its sender; -1 when there is none. */
static ssize_t probe_receive(int fd, void *frame, size_t size,
			     struct sockaddr_ll *from)
{
	socklen_t length;
	ssize_t n;
	int i;

	for (i = 0; i < FRAMES_PER_TURN; i++) {
		length = sizeof(*from);
		n = recvfrom(fd, frame, size, MSG_DONTWAIT,
			     (struct sockaddr *)from, &length);
		if (n < 0)
			return -1;
		if (from->sll_pkttype != PACKET_OUTGOING)
			return n;
	}
	return -1;
}

static void probe_on_arp(struct loop_watch *watch, uint32_t events)
{
	struct probe *probe = list_entry(watch, struct probe, arp);
	const uint8_t *ip = probe->network->address4.ip;
	struct sockaddr_ll from;
	struct ether_arp arp;
	ssize_t n;

	(void)events;
	n = probe_receive(watch->fd, &arp, sizeof(arp), &from);
	if (n != sizeof(arp) || arp.arp_hln != ETH_ALEN || arp.arp_pln != 4 ||
	    memcmp(arp.arp_spa, ip, 4) ||
	    !memcmp(arp.arp_sha, probe->network->mac, ETH_ALEN))
		return;
	probe_finish(probe, AF_INET, ip, arp.arp_sha);
}

static void probe_on_neighbour(struct loop_watch *watch, uint32_t events)
{
	struct probe *probe = list_entry(watch, struct probe, neighbour);
	const uint8_t *ip = probe->network->address6.ip;
	struct {
		struct ip6_hdr ip;
		struct nd_neighbor_advert nd;
	} frame;
	struct sockaddr_ll from;
	ssize_t n;

	(void)events;
	n = probe_receive(watch->fd, &frame, sizeof(frame), &from);
	if (n != sizeof(frame) || frame.ip.ip6_nxt != IPPROTO_ICMPV6 ||
	    frame.ip.ip6_hlim != 255 ||
	    frame.nd.nd_na_type != ND_NEIGHBOR_ADVERT ||
	    memcmp(frame.nd.nd_na_target.s6_addr, ip, 16) ||
	    from.sll_halen != ETH_ALEN ||
	    !memcmp(from.sll_addr, probe->network->mac, ETH_ALEN))
		return;
	probe_finish(probe, AF_INET6, ip, from.sll_addr);
}

static void probe_on_timer(struct loop_timer *timer)
{
	struct probe *probe = list_entry(timer, struct probe, timer);

	if (probe->sent++ == PROBES) {
		probe_finish(probe, 0, NULL, NULL);
		return;
	}
	if (probe->arp.fd >= 0)
		probe_ask_arp(probe);
	if (probe->neighbour.fd >= 0)
		probe_ask_neighbour(probe);
	loop_timer_set(probe->loop, &probe->timer, PROBE_MS);
}

void probe_init(struct probe *probe,
		void (*done)(struct probe *probe, const char *conflict))
{
	memset(probe, 0, sizeof(*probe));
	probe->done = done;
	probe->arp.fd = -1;
	probe->arp.ready = probe_on_arp;
	probe->neighbour.fd = -1;
	probe->neighbour.ready = probe_on_neighbour;
	loop_timer_init(&probe->timer, probe_on_timer);
}

static int probe_open(struct probe *probe, struct loop_watch *watch,
		      uint16_t protocol)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(protocol),
		.sll_ifindex = (int)probe->index,
	};
	int error;
	int fd;

	/* Protocol 0: it hears nothing before it is bound to the interface. */
	fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	error = bind(fd, (struct sockaddr *)&address, sizeof(address)) ?
		-errno : loop_add(probe->loop, watch, fd, EPOLLIN);
	if (error)
		close(fd);
	return error;
}

/* Runs in the guest's namespace. */
static int probe_open_all(struct probe *probe)
{
	int error = 0;

	probe->index = if_nametoindex(probe->network->inside);
	if (!probe->index)
		return -errno;
	if (probe->network->address4.given)
		error = probe_open(probe, &probe->arp, ETH_P_ARP);
	if (!error && probe->network->address6.given)
		error = probe_open(probe, &probe->neighbour, ETH_P_IPV6);
	return error;
}

int probe_start(struct probe *probe, struct loop *loop,
		const struct network *network)
{
	int error;
	int home;

	probe->loop = loop;
	probe->network = network;
	probe->sent = 0;
	error = netns_enter(network->netns, &home);
	if (!error) {
		error = probe_open_all(probe);
		netns_leave(home);
	}
	if (error) {
		probe_stop(probe);
		return error;
	}
	/* The interface is just coming up: it takes a moment to send. */
	loop_timer_set(loop, &probe->timer, 20);
	return 0;
}

static void probe_close(struct probe *probe, struct loop_watch *watch)
{
	int fd = watch->fd;

	if (fd < 0)
		return;
	loop_remove(probe->loop, watch);
	close(fd);
}

void probe_stop(struct probe *probe)
{
	if (!probe->loop)
		return;
	probe_close(probe, &probe->arp);
	probe_close(probe, &probe->neighbour);
	loop_timer_clear(&probe->timer);
	probe->loop = NULL;
}
