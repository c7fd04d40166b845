/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * packet.h - sends segments longer than a frame, past the kernel's stack
 *
 * A packet socket with a virtio-net header (PACKET_VNET_HDR) takes a TCP
 * segment of up to 64 KiB with its headers; the kernel, or a NIC that can, cuts
 * it and makes the checksums. Opening needs CAP_NET_RAW: the supervisor's. The
 * socket receives nothing.
 *
 * Cutting it ourselves, for AF_XDP, costs more: 9 times as much processor time
 * at 64 KiB where the device cuts, 1.6 times where it does not, and at 6 KiB
 * twice as much and the same. What fits one frame costs a third less by
 * xsk_send(), ACKs too: that is what sends it (tests/bench/transmit).
 *
 * No PACKET_QDISC_BYPASS: the kernel drops what it had to cut there.
 */
#ifndef VTOE_NIC_PACKET_H
#define VTOE_NIC_PACKET_H

#include <stdint.h>
#include <sys/uio.h>

enum {
	PACKET_PIECES = 24, /* of one segment, the headers included */
	PACKET_BATCH = 32,
	/* What the device has not sent yet, at most: about 15 segments of 64 KiB.
	 * Half of it keeps 10 Gbit/s busy for 0.4 ms, until who waits for room
	 * has woken up; no queue for seconds is built in the kernel. */
	PACKET_BUFFER = 1 << 20,
};

struct packet {
	struct iovec pieces[PACKET_PIECES]; /* [0]: unused, the socket's */
	unsigned count;	       /* pieces, from [1] on */
	uint16_t headers;      /* bytes up to the payload, all in [1] */
	uint16_t l4;	       /* where TCP begins in [1] */
	uint16_t segment_size; /* payload of each cut; 0: one segment */
	uint8_t version;       /* of IP: 4 or 6 */
};

int packet_socket(int ifindex);
/*
 * The TCP checksum of each must be that of the pseudo header alone (not
 * complemented), over the length of the whole. -> how many the kernel has
 * taken (not waiting for room), or -errno of the first. -EAGAIN: the socket's
 * buffer is full; it is writable (POLLOUT) when half of it is free. -ENOBUFS: the
 * device's queueing discipline has dropped it.
 */
int packet_send(int fd, struct packet *packets, unsigned count);

#endif
