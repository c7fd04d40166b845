/* SPDX-License-Identifier: BSD-2-Clause */
#include "nic/packet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TCP_FLAGS = 13, TCP_CHECKSUM = 16, CWR = 0x80 };

int packet_socket(int ifindex)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_ifindex = ifindex,
	};
	int on = 1, buffer = PACKET_BUFFER / 2 /* the kernel doubles it */, rc;
	/* protocol 0: nothing is received */
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at))) {
		rc = -errno;
		close(fd);
		return rc;
	}
	/* without CAP_NET_ADMIN it is what the administrator allows */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer)))
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer,
				 sizeof(buffer));
	return fd;
}

static void describe(struct virtio_net_hdr *v, const struct packet *p)
{
	memset(v, 0, sizeof(*v));
	v->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	v->csum_start = p->l4;
	v->csum_offset = TCP_CHECKSUM;
	if (!p->segment_size)
		return;
	v->gso_type = p->version == 6 ? VIRTIO_NET_HDR_GSO_TCPV6 :
					VIRTIO_NET_HDR_GSO_TCPV4;
	/* who cuts must not say CWR twice (RFC 3168 6.1.2) */
	if (((const uint8_t *)p->pieces[1].iov_base)[p->l4 + TCP_FLAGS] & CWR)
		v->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	v->gso_size = p->segment_size;
	v->hdr_len = p->headers;
}

int packet_send(int fd, struct packet *packets, unsigned count)
{
	struct virtio_net_hdr v[PACKET_BATCH];
	struct mmsghdr m[PACKET_BATCH];
	unsigned i;
	int rc;

	if (count > PACKET_BATCH)
		count = PACKET_BATCH;
	memset(m, 0, sizeof(m[0]) * count);
	for (i = 0; i < count; i++) {
		describe(&v[i], &packets[i]);
		packets[i].pieces[0].iov_base = &v[i];
		packets[i].pieces[0].iov_len = sizeof(v[i]);
		m[i].msg_hdr.msg_iov = packets[i].pieces;
		m[i].msg_hdr.msg_iovlen = packets[i].count + 1;
	}
	rc = sendmmsg(fd, m, count, MSG_DONTWAIT);
	return rc < 0 ? -errno : rc;
}
