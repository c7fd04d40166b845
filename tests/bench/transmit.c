/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * transmit - what sending TCP segments past the kernel's stack costs
 *
 *	transmit [ROUNDS]
 *
 * The same segments through a packet socket, which takes them whole (packet.h),
 * and through AF_XDP, for which we cut them and make the checksums (xsk.h), on
 * a veth pair in a network namespace of its own; the far end throws frames
 * away. With the device's segmentation and checksums on, as those of a NIC that
 * has them, and off. In turn, medians: processor time of this process, that of
 * the device's and the far end's soft interrupts included, for a gigabyte of
 * payload, or for a frame where there is none.
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "engine/bytes.h"
#include "engine/checksum.h"
#include "nic/packet.h"
#include "nic/xsk.h"

enum {
	HEADER = 66,
	L4 = 34,
	MSS = 1448,
	ROUNDS_MAX = 101,
	BURST = 32,
	PAYLOAD_MAX = 44 * MSS,
	FRAMES = 60000, /* of the wire, in one measurement */
};

struct sender {
	int packet;
	struct xsk xsk;
	uint8_t header[BURST][HEADER];
	uint8_t *payload;
};

static void fail(const char *what, int rc)
{
	fprintf(stderr, "transmit: %s: %s\n", what, strerror(-rc));
	exit(99);
}

static double processor_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static void put_sum(uint8_t *at, uint64_t sum, bool complement)
{
	uint16_t s = checksum_fold(sum);

	s = complement ? (uint16_t)~s : s;
	memcpy(at, &s, 2);
}

static uint64_t make_header(uint8_t *f, uint32_t seq, uint32_t payload)
{
	static const uint8_t usual[HEADER] = {
		2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 0,
		0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1, 0x9c,
		0x40, 0, 80, 0, 0, 0, 0, 0, 0, 0, 1, 0x80, 0x10, 1, 0, 0, 0, 0,
		0, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1
	};

	memcpy(f, usual, HEADER);
	bytes_put16(f + 16, (uint16_t)(HEADER - ETH_HLEN + payload));
	bytes_put32(f + 38, seq);
	put_sum(f + 24, checksum_sum(f + ETH_HLEN, 20), true);
	return checksum_sum(f + 26, 8) + checksum_number(6) +
	       checksum_number((uint16_t)(HEADER - L4 + payload));
}

/* -- the two ways: so many segments of so much payload -- */

static void by_packet(struct sender *s, uint32_t segments, uint32_t payload)
{
	struct packet p[BURST];
	uint32_t done, i, n;
	int rc;

	for (done = 0; done < segments; done += n) {
		n = segments - done < BURST ? segments - done : BURST;
		for (i = 0; i < n; i++) {
			put_sum(s->header[i] + L4 + 16,
				make_header(s->header[i],
					    (done + i) * payload, payload),
				false);
			p[i] = (struct packet){
				.count = payload ? 2 : 1,
				.headers = HEADER,
				.l4 = L4,
				.segment_size = payload > MSS ? MSS : 0,
				.version = 4,
			};
			p[i].pieces[1] = (struct iovec){ s->header[i],
							 HEADER };
			p[i].pieces[2] = (struct iovec){ s->payload, payload };
		}
		for (i = 0; i < n; i += (uint32_t)rc) {
			rc = packet_send(s->packet, p + i, n - i);
			if (rc < 0)
				fail("packet_send", rc);
		}
	}
}

static void by_xdp(struct sender *s, uint32_t segments, uint32_t payload)
{
	struct iovec pieces[2] = { { s->header[0], HEADER } };
	uint32_t queued = 0, at, i;
	uint64_t sum;

	for (i = 0; i < segments; i++) {
		at = 0;
		do {
			pieces[1].iov_base = s->payload + at;
			pieces[1].iov_len = payload - at < MSS ? payload - at :
								 MSS;
			sum = make_header(s->header[0], i * payload + at,
					  (uint32_t)pieces[1].iov_len);
			sum += checksum_sum(s->header[0] + L4, HEADER - L4) +
			       checksum_sum(pieces[1].iov_base,
					    pieces[1].iov_len);
			put_sum(s->header[0] + L4 + 16, sum, true);
			while (xsk_send(&s->xsk, pieces, 2))
				xsk_flush(&s->xsk);
			if (++queued % (4 * BURST) == 0)
				xsk_flush(&s->xsk);
			at += (uint32_t)pieces[1].iov_len;
		} while (at < payload);
	}
	xsk_flush(&s->xsk);
}

/* -- measuring -- */

static uint64_t arrived(void)
{
	FILE *f = fopen("/proc/self/net/dev", "r");
	unsigned long long n = 0;
	bool found = false;
	char line[256];

	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, " far: %llu", &n) == 1;
	if (!found)
		fail("far end", -ENOENT);
	fclose(f);
	return n;
}

static double once(struct sender *s, bool xdp, uint32_t payload)
{
	uint32_t cuts = payload ? (payload + MSS - 1) / MSS : 1;
	uint32_t segments = FRAMES / cuts;
	uint64_t before = arrived();
	double begin = processor_seconds();

	(xdp ? by_xdp : by_packet)(s, segments, payload);
	begin = processor_seconds() - begin;
	/* the soft interrupts of the last frames */
	while (arrived() - before < (uint64_t)segments * payload)
		sched_yield();
	return payload ? begin * 1e9 / ((double)segments * payload) :
			 begin * 1e9 / segments;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static double median(double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), compare);
	return v[n / 2];
}

static void measure(struct sender *s, const char *device, unsigned rounds)
{
	static const uint32_t payloads[] = { 0, MSS, 4 * MSS, PAYLOAD_MAX };
	double packet[ROUNDS_MAX], xdp[ROUNDS_MAX], p, x;
	unsigned i, k;

	for (i = 0; i < sizeof(payloads) / sizeof(*payloads); i++) {
		for (k = 0; k < rounds; k++) {
			packet[k] = once(s, false, payloads[i]);
			xdp[k] = once(s, true, payloads[i]);
		}
		p = median(packet, rounds);
		x = median(xdp, rounds);
		printf("%-22s %8u  %10.2f  %10.2f %-10s  %5.2f\n", device,
		       payloads[i], p, x, payloads[i] ? "s/GB" : "ns/frame",
		       p / x);
		fflush(stdout);
	}
}

/* -- set-up -- */

static void shell(const char *command)
{
	if (system(command))
		fail(command, -EINVAL);
}

static void set_up(struct sender *s)
{
	struct xsk_config c = { .frame_size = 2048, .receive = 64,
				.send = 1024 };
	void *memory;
	int fd, rc;

	shell("ip link add near type veth peer name far &&"
	      " for i in near far; do"
	      " echo 1 >/proc/sys/net/ipv6/conf/$i/disable_ipv6;"
	      " ip link set $i up; done");
	c.ifindex = (int)if_nametoindex("near");
	s->packet = packet_socket(c.ifindex);
	if (s->packet < 0)
		fail("packet_socket", s->packet);
	fd = xsk_socket(0);
	if (fd < 0)
		fail("xsk_socket", fd);
	memory = mmap(NULL, xsk_memory_bytes(&c), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	s->payload = calloc(1, PAYLOAD_MAX);
	if (memory == MAP_FAILED || !s->payload)
		fail("memory", -ENOMEM);
	memset(s->payload, 0x5a, PAYLOAD_MAX);
	rc = xsk_start(&s->xsk, fd, &c, memory);
	if (rc)
		fail("xsk_start", rc);
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 5;
	static struct sender s;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (!rounds || rounds > ROUNDS_MAX)
		fail("ROUNDS", -EINVAL);
	if (unshare(CLONE_NEWNET) || sched_setaffinity(0, sizeof(one), &one))
		fail("namespace", -errno);
	set_up(&s);
	printf("device                  payload   packet      AF_XDP"
	       "                 ratio\n");
	measure(&s, "cuts and checksums", rounds);
	shell("ethtool -K near tx off tso off gso off >/dev/null");
	measure(&s, "neither", rounds);
	return 0;
}
