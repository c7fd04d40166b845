/* SPDX-License-Identifier: BSD-2-Clause */
#include "fuzz_wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/bytes.h"
#include "nic/steer.h"
#include "path/tto_internal.h"

enum { FRAMES = 256, MTU = 1500, HEADERS = 14 + 20 + 20 };

static int wire = -1;
static struct steer steer;
static const uint8_t macs[12] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1 };

static int open_wire(void)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex("wire"),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at))) {
		close(fd);
		return -1;
	}
	return fd;
}

static int start(struct device *d)
{
	struct tto_config c = { .mtu = MTU, .frames = FRAMES,
				.hold_usec = 1000 };
	struct steer_config s = { .claims_max = 48, .queues = 1,
				  .frame_max = tto_frame_max(MTU) };
	const char *what;
	int rc;

	s.ifindex = c.ifindex = (int)if_nametoindex("ours");
	rc = steer_open(&steer, &s);
	if (rc)
		return rc;
	memcpy(c.mac, macs, sizeof(c.mac));
	c.claims = steer.claims;
	c.queues = steer.sockets;
	rc = tto_sockets_open(&c.sockets, c.ifindex, &what);
	if (!rc)
		rc = tto_start(d, &c, &what);
	if (rc)
		steer_close(&steer);
	return rc;
}

bool wire_open(struct device *d)
{
	if (!tto_is_built() ||
	    system("{ ip link add ours address 02:00:00:00:00:02 type veth"
		   " peer name wire address 02:00:00:00:00:01 &&"
		   " ip addr add 10.99.0.2/16 dev ours &&"
		   " ip link set wire up && ip link set ours up &&"
		   " ip neigh add 10.99.0.1 lladdr 02:00:00:00:00:01 dev ours;"
		   "} >/dev/null 2>&1"))
		return false;
	wire = open_wire();
	return wire >= 0 && !start(d);
}

static void put_checksum(uint8_t *at, uint64_t sum)
{
	uint16_t c = (uint16_t)~checksum_fold(sum);

	memcpy(at, &c, sizeof(c));
}

static void finish(uint8_t *frame, uint32_t length)
{
	uint8_t *ip = frame + 14, *tcp = ip + 20;

	memset(ip + 10, 0, 2);
	put_checksum(ip + 10, checksum_sum(ip, 20));
	memset(tcp + 16, 0, 2);
	put_checksum(tcp + 16, frame_pseudo_sum(frame, 14, FLOW_IPV4,
						length - 34) +
				       checksum_sum(tcp, length - 34));
}

void wire_input(struct fuzz_input *in)
{
	uint8_t frame[HEADERS + 1460], how = fuzz_u8(in), *ip = frame + 14;
	uint32_t payload = fuzz_u16(in) % 1461, length = HEADERS + payload;
	uint8_t *tcp = ip + 20;

	memset(frame, how, sizeof(frame));
	memcpy(frame, macs, sizeof(macs));
	bytes_put16(frame + 12, ETHERTYPE_IP);
	memcpy(ip, "\x45\0\0\0\0\0\x40\0\x40\x06\0\0\x0a\x63\0\1\x0a\x63\0\2",
	       20);
	bytes_put16(ip + 2, (uint16_t)(length - 14));
	bytes_put16(tcp, WIRE_PEER);
	bytes_put16(tcp + 2, (uint16_t)(WIRE_PORT + (how & 3)));
	bytes_put32(tcp + 4, fuzz_u16(in));
	tcp[12] = 5 << 4;
	tcp[13] = fuzz_u8(in);
	if (how & 4) /* anything anywhere in the headers */
		frame[12 + fuzz_u8(in) % (HEADERS - 12)] = fuzz_u8(in);
	if (!(how & 8))
		finish(frame, length);
	if (wire >= 0)
		(void)!send(wire, frame, length, 0);
}

void wire_check(struct device *d)
{
	struct steer_claim c = { .vlan = 0 };
	const struct aggregate_stats *s;
	uint64_t note;

	if (!d->tto)
		return;
	s = &d->tto->aggregator.stats;
	tto_flush(d->tto, NULL, END_OWNER);
	FUZZ_MUST(!d->tto->claim_count);
	FUZZ_MUST(steer_next(steer.claims, &c, &note) == -ENOENT);
	FUZZ_MUST(list_empty(&d->tto->waiting));
	FUZZ_MUST(!d->tto->held_frames && !d->tto->held.used);
	FUZZ_MUST(s->rx_frames == s->segs_in_agg + s->pass_through +
					  s->drops_bad + s->drops_delivery);
}
