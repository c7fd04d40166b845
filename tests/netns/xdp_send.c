/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xdp_send.c - frames by AF_XDP, and segments that the kernel cuts
 *
 * On a veth pair. What xsk_send() sends arrives bit for bit, more of it than
 * there are frames, and pieces that make no frame are refused. What
 * packet_send() sends arrives, with the device's segmentation off, as segments
 * that follow one another, each with right checksums; one that fits a frame as
 * it is.
 */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/bytes.h"
#include "engine/checksum.h"
#include "engine/frame.h"
#include "nic/packet.h"
#include "tests/netns/xdp_rig.h"

enum { WAIT_MS = 5000, MSS = 1400, FIRST_SEQ = 1000, L3 = 14 };

static const struct xsk_config sizes = {
	.frame_size = 2048, .receive = 256, .send = 16
};

static void by_xsk(struct rig *r)
{
	const struct rig_flow f = { .version = 4, .protocol = IPPROTO_TCP };
	uint8_t frame[2100], got[RIG_LONGEST];
	struct iovec pieces[3];
	uint32_t n, i;
	int rc;

	for (i = 0; i < 1000; i++) {
		n = rig_frame(frame, &f, 60 + i);
		pieces[0] = (struct iovec){ frame, 54 };
		pieces[1] = (struct iovec){ frame + 54, 1 };
		pieces[2] = (struct iovec){ frame + 55, n - 55 };
		rc = xsk_send(&r->xsk, pieces, 3);
		if (rc)
			rig_fail("xsk_send: %d", rc);
		xsk_flush(&r->xsk);
		if (rig_seen(r->wire, got, WAIT_MS) != n ||
		    memcmp(got, frame, n))
			rig_fail("frame %u is not what was sent", i);
	}
	pieces[2].iov_len = 2048 - 54;
	rc = xsk_send(&r->xsk, pieces, 3);
	if (rc != -EMSGSIZE)
		rig_fail("xsk_send of too much: %d", rc);
	/* all frames are under way until the flush */
	for (i = 0; !(rc = xsk_send(&r->xsk, pieces, 1)); i++)
		;
	if (rc != -EAGAIN || i != sizes.send)
		rig_fail("%u frames were taken, of %u: %d", i, sizes.send, rc);
	xsk_flush(&r->xsk);
	while (i--)
		if (rig_seen(r->wire, got, WAIT_MS) != 54)
			rig_fail("queued frames do not arrive");
	rc = xsk_send(&r->xsk, pieces, 1);
	if (rc)
		rig_fail("no frame came back: %d", rc);
}

/* A segment with PSH, its checksum that of the pseudo header. -> of headers */
static uint32_t make_segment(uint8_t *s, const struct rig_flow *f,
			     uint32_t payload)
{
	uint32_t l4 = L3 + (f->version == 6 ? 40 : 20);
	uint64_t sum;
	uint16_t folded;

	rig_frame(s, f, l4 + 20 + payload);
	bytes_put32(s + l4 + 4, FIRST_SEQ);
	s[l4 + 12] = 0x50;
	s[l4 + 13] = TCP_ACK | TCP_PSH;
	memset(s + l4 + 16, 0, 4);
	sum = frame_pseudo_sum(s, L3, f->version, 20 + payload);
	folded = checksum_fold(sum);
	memcpy(s + l4 + 16, &folded, 2);
	if (f->version == 4) {
		memset(s + L3 + 10, 0, 2);
		folded = (uint16_t)~checksum_fold(checksum_sum(s + L3, 20));
		memcpy(s + L3 + 10, &folded, 2);
	}
	return l4 + 20;
}

static uint32_t check_cut(const uint8_t *got, uint32_t length,
			  const uint8_t *payload, uint32_t at, uint32_t end)
{
	struct frame_input in = { .data = got, .length = length };
	uint64_t touched = 0;
	struct frame f;

	frame_parse(&f, &in);
	if (!f.has_tcp || f.malformed || f.event == END_BAD_IP)
		rig_fail("a cut is no segment, or its IP checksum is wrong");
	if (!frame_verify(&f, &touched) || !touched)
		rig_fail("the checksum of the cut at %u is wrong", at);
	if (f.seq != FIRST_SEQ + at || f.payload_length > MSS ||
	    memcmp(got + f.payload, payload + at, f.payload_length))
		rig_fail("the cut at %u has other bytes", at);
	if (!!(f.tcp_flags & TCP_PSH) != (at + f.payload_length == end))
		rig_fail("PSH is not the last cut's");
	return at + f.payload_length;
}

static void by_packet(struct rig *r, int fd, uint8_t version, uint32_t payload)
{
	const struct rig_flow f = { version, IPPROTO_TCP, 1, 2, 80, 40000,
				    0, 0, false, 0, 0, false };
	static uint8_t s[66000];
	uint32_t headers = make_segment(s, &f, payload), at = 0, n;
	uint8_t got[RIG_LONGEST];
	struct packet p = {
		.pieces = { { 0 }, { s, headers },
			    { s + headers, payload / 3 },
			    { s + headers + payload / 3,
			      payload - payload / 3 } },
		.count = 3,
		.headers = (uint16_t)headers,
		.l4 = (uint16_t)(headers - 20),
		.segment_size = payload > MSS ? MSS : 0,
		.version = version,
	};
	int rc = packet_send(fd, &p, 1);

	if (rc != 1)
		rig_fail("packet_send of %u bytes: %d", payload, rc);
	do {
		n = rig_receive(r, got, WAIT_MS);
		if (!n)
			rig_fail("%u bytes of %u arrived", at, payload);
		at = check_cut(got, n, s + headers, at, payload);
	} while (at < payload);
	printf("  IPv%u, %u bytes\n", version, payload);
}

int main(void)
{
	static const uint32_t lengths[] = { 0, 1, MSS, MSS + 1, 4 * MSS, 64000 };
	const uint16_t port = htons(80);
	const struct steer_claim ports[] = {
		{ .local_port = port, .family = 4 },
		{ .local_port = port, .family = 6 },
	};
	struct rig r;
	unsigned i;
	int fd;

	rig_namespace(&r);
	if (system("ethtool -K wire tx off tso off gso off >/dev/null")) {
		printf("SKIP: ethtool is not installed\n");
		return 77;
	}
	rig_steer(&r, false, 4);
	rig_socket(&r, &sizes, 0);
	if (steer_claim(r.steer.claims, &ports[0], 0) ||
	    steer_claim(r.steer.claims, &ports[1], 0))
		rig_fail("claim");
	by_xsk(&r);
	fd = packet_socket((int)if_nametoindex("wire"));
	if (fd < 0)
		rig_fail("packet_socket: %d", fd);
	for (i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		by_packet(&r, fd, 4, lengths[i]);
		by_packet(&r, fd, 6, lengths[i]);
	}
	rig_close(&r);
	printf("PASS: frames and segments arrive as they were sent\n");
	return 0;
}
