/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_linux.c - our TCP engine and Linux's, through a TUN device
 *
 * In a network namespace of its own. Both ends send at once, check every byte,
 * and close; each role, both families, with and without each option, with loss
 * and packets that overtake one another in both directions. With the device's
 * virtio header the kernel takes our large segments whole and gives us its own
 * as aggregates; without it we cut them and compute the checksums. In the end
 * the rates of both as senders over the same wire, with 1 % loss and an RTT of
 * 20 ms, beside one another.
 *
 * VTOE_TEST_BYTES is how much each way, VTOE_TEST_SEED which packets are lost.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "engine/tcp.h"
#include "engine/tcp_wire.h"

enum { PACKET = 66000, CHUNK = 65536, QUEUE = 1 << 20, LIMIT_S = 60 };

enum option { TIMESTAMPS = 1, SACK = 2, SCALE = 4, ECN = 8 };

struct scenario {
	const char *name;
	unsigned family;
	bool we_connect;
	bool virtio;
	unsigned without; /* enum option */
	uint8_t cc;
	unsigned loss; /* in 1,000 */
	uint64_t delay; /* microseconds each way */
	uint64_t jitter;
	unsigned only; /* 1: only we send, 2: only Linux does */
};

struct packet {
	struct packet *next;
	uint64_t at;
	unsigned length;
	bool in; /* to our engine */
	struct virtio_net_hdr v;
	uint8_t data[];
};

struct end { /* one of the two applications */
	uint64_t sent, received, bytes;
	bool shut, eof, closed;
};

struct test {
	const struct scenario *sc;
	int tun, sock, listening;
	struct tcp_stack *tcp;
	int conn, listener;
	uint64_t random;
	struct packet *queue;
	struct end ours, theirs;
	bool connected;
	int error;
	uint64_t slowest; /* turn of the loop, in microseconds */
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static uint8_t stream_byte(unsigned from, uint64_t at)
{
	return (uint8_t)((at / 8 + 1 + from) * 0x9e3779b97f4a7c15u >>
			 8 * (at % 8));
}

__attribute__((noreturn)) static void fail(const char *what)
{
	printf("FAIL: %s (errno %d)\n", what, errno);
	exit(1);
}

/* -- the device ------------------------------------------------------------ */

static int open_tun(bool virtio)
{
	struct ifreq r = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0) {
		printf("SKIP: machine: no /dev/net/tun\n");
		exit(77);
	}
	if (virtio)
		r.ifr_flags |= IFF_VNET_HDR;
	strcpy(r.ifr_name, "tcp0");
	if (ioctl(fd, TUNSETIFF, &r))
		fail("TUNSETIFF");
	if (virtio && ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 |
						       TUN_F_TSO6))
		fail("TUNSETOFFLOAD");
	if (system("ip addr add 10.99.0.1/24 dev tcp0 &&"
		   " ip -6 addr add fd99::1/64 dev tcp0 nodad &&"
		   " ip link set tcp0 up"))
		fail("ip");
	return fd;
}

/* -- IP -------------------------------------------------------------------- */

static uint16_t ip_checksum(const uint8_t *p, unsigned n)
{
	struct tcp_sum sum = { 0 };

	tcp_sum_add(&sum, p, n);
	return (uint16_t)~tcp_sum_fold(&sum);
}

static unsigned put_ip(uint8_t *p, const struct tcp_segment *seg,
		       unsigned length)
{
	memset(p, 0, 40);
	if (seg->tuple.family == 4) {
		p[0] = 0x45;
		p[1] = seg->ecn;
		bytes_put16(p + 2, (uint16_t)(20 + length));
		p[6] = 0x40;
		p[8] = 64;
		p[9] = IPPROTO_TCP;
		memcpy(p + 12, seg->tuple.local, 4);
		memcpy(p + 16, seg->tuple.remote, 4);
		bytes_put16(p + 10, ip_checksum(p, 20));
		return 20;
	}
	bytes_put32(p, 0x60000000u | (uint32_t)seg->ecn << 20);
	bytes_put16(p + 4, (uint16_t)length);
	p[6] = IPPROTO_TCP;
	p[7] = 64;
	memcpy(p + 8, seg->tuple.local, 16);
	memcpy(p + 24, seg->tuple.remote, 16);
	return 40;
}

/* -> bytes of the IP header; 0: not TCP */
static unsigned get_ip(const uint8_t *p, unsigned length,
		       struct tcp_packet *out, unsigned *end)
{
	if (length >= 40 && p[0] >> 4 == 4 && p[9] == IPPROTO_TCP) {
		out->tuple.family = 4;
		memcpy(out->tuple.remote, p + 12, 4);
		memcpy(out->tuple.local, p + 16, 4);
		out->ecn = p[1] & TCP_ECN_MASK;
		*end = bytes_get16(p + 2);
		length = (p[0] & 15) * 4u;
	} else if (length >= 60 && p[0] >> 4 == 6 && p[6] == IPPROTO_TCP) {
		out->tuple.family = 6;
		memcpy(out->tuple.remote, p + 8, 16);
		memcpy(out->tuple.local, p + 24, 16);
		out->ecn = p[1] >> 4 & TCP_ECN_MASK;
		*end = 40 + bytes_get16(p + 4);
		length = 40;
	} else {
		return 0;
	}
	out->tuple.remote_port = bytes_get16(p + length);
	out->tuple.local_port = bytes_get16(p + length + 2);
	return length;
}

/* -- the wire: what is lost, when the rest arrives ------------------------- */

static void travel(struct test *t, struct packet *p)
{
	struct packet **at = &t->queue;

	if (next_random(&t->random) % 1000 < t->sc->loss) {
		free(p);
		return;
	}
	p->at = now_us() + t->sc->delay;
	if (t->sc->jitter)
		p->at += next_random(&t->random) % t->sc->jitter;
	while (*at && (*at)->at <= p->at)
		at = &(*at)->next;
	p->next = *at;
	*at = p;
}

/* What a NIC that cuts does to the header. */
static void cut_head(struct tcp_segment *one, uint32_t at, const uint8_t *data,
		     uint32_t length)
{
	struct tcp_bytes bytes = { data, length };

	bytes_put32(one->head + 4, bytes_get32(one->head + 4) + at);
	if (at)
		one->head[13] &= (uint8_t)~TCP_CWR;
	if (at + length < one->length)
		one->head[13] &= (uint8_t)~(TCP_PSH | TCP_FIN);
	one->length = length;
	tcp_checksum_head(one, false);
	tcp_checksum_segment(one, &bytes, 1);
}

static void send_piece(struct test *t, const struct tcp_segment *seg,
		       uint32_t at, uint32_t length)
{
	struct packet *p = malloc(sizeof(*p) + 100 + length);
	struct tcp_segment one = *seg;
	unsigned ip, i;
	uint8_t *data;

	memset(&p->v, 0, sizeof(p->v));
	p->in = false;
	ip = put_ip(p->data, seg, seg->head_bytes + length);
	data = p->data + ip + seg->head_bytes;
	for (i = 0; i < length; i++)
		data[i] = stream_byte(1, seg->offset + at + i);
	if (t->sc->virtio) {
		p->v.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		p->v.csum_start = (uint16_t)ip;
		p->v.csum_offset = 16;
		if (length > seg->segment_size) {
			p->v.gso_type = seg->tuple.family == 4 ?
						VIRTIO_NET_HDR_GSO_TCPV4 :
						VIRTIO_NET_HDR_GSO_TCPV6;
			p->v.gso_size = seg->segment_size;
			p->v.hdr_len = (uint16_t)(ip + seg->head_bytes);
		}
	} else {
		cut_head(&one, at, data, length);
	}
	memcpy(p->data + ip, one.head, seg->head_bytes);
	p->length = ip + seg->head_bytes + length;
	travel(t, p);
}

static void our_output(struct test *t)
{
	struct tcp_segment seg;
	uint32_t at, length;

	while (tcp_output(t->tcp, &seg, 1, now_us())) {
		at = 0;
		do {
			length = seg.length - at;
			if (!t->sc->virtio && length > seg.segment_size)
				length = seg.segment_size;
			send_piece(t, &seg, at, length);
			at += length;
		} while (at < seg.length);
	}
}

static void our_input(struct test *t, struct packet *p)
{
	struct tcp_packet in = { 0 };
	struct tcp_ref ref;
	struct tcp_kept kept;
	struct tcp_bytes bytes;
	unsigned end, ip = get_ip(p->data, p->length, &in, &end), head;

	if (!ip || end > p->length || end < ip + 20) {
		free(p);
		return;
	}
	in.head = p->data + ip;
	head = (in.head[12] >> 4) * 4u;
	if (head < 20 || ip + head > end)
		fail("the kernel sends a bad header");
	in.head_bytes = head;
	ref.buffer = (uintptr_t)p;
	ref.offset = ip + head;
	ref.length = end - ref.offset;
	in.refs = &ref;
	in.ref_count = 1;
	bytes.at = p->data + ref.offset;
	bytes.length = ref.length;
	if (p->v.gso_size) {
		in.segments = (uint16_t)((ref.length + p->v.gso_size - 1) /
					 p->v.gso_size);
		in.segment_max = p->v.gso_size;
	}
	if (!(p->v.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) &&
	    !tcp_checksum_packet(&in, &bytes, 1))
		fail("the kernel's checksum is wrong, or ours of it");
	tcp_input(t->tcp, &in, &kept, now_us());
	if (!(kept.bits[0] & 1))
		free(p);
}

static void tun_read(struct test *t)
{
	unsigned skip = t->sc->virtio ? sizeof(struct virtio_net_hdr) : 0;
	static uint8_t buffer[PACKET];
	struct packet *p;
	ssize_t n;

	while ((n = read(t->tun, buffer, sizeof(buffer))) > (ssize_t)skip) {
		p = malloc(sizeof(*p) + (size_t)n);
		memset(&p->v, 0, sizeof(p->v));
		memcpy(&p->v, buffer, skip);
		p->length = (unsigned)n - skip;
		memcpy(p->data, buffer + skip, p->length);
		p->in = true;
		travel(t, p);
	}
}

static void tun_write(struct test *t, struct packet *p)
{
	static uint8_t buffer[PACKET + 100];
	unsigned skip = t->sc->virtio ? sizeof(p->v) : 0;

	memcpy(buffer, &p->v, skip);
	memcpy(buffer + skip, p->data, p->length);
	if (write(t->tun, buffer, skip + p->length) < 0)
		fail("the kernel refuses a packet");
	free(p);
}

static void deliver(struct test *t)
{
	while (t->queue && t->queue->at <= now_us()) {
		struct packet *p = t->queue;

		t->queue = p->next;
		if (p->in)
			our_input(t, p);
		else
			tun_write(t, p);
		our_output(t);
	}
}

/* -- our application ------------------------------------------------------- */

static void our_read(struct test *t)
{
	struct tcp_piece piece;
	struct packet *p;
	uint32_t i;

	while (tcp_recv_take(t->tcp, t->conn, &piece, 1) > 0) {
		p = (struct packet *)(uintptr_t)piece.buffer;
		for (i = 0; i < piece.length; i++)
			if (p->data[piece.offset + i] !=
			    stream_byte(0, t->ours.received++))
				fail("a byte that we received differs");
		if (piece.flags & TCP_PIECE_LAST)
			free(p);
		tcp_recv_done(t->tcp, t->conn, piece.length, now_us());
	}
}

static void our_write(struct test *t)
{
	uint64_t left = t->ours.bytes - t->ours.sent;
	struct tcp_status st;

	if (!t->connected || t->ours.shut ||
	    tcp_get_status(t->tcp, t->conn, &st))
		return;
	while (left && st.queued - st.acked < QUEUE) {
		uint32_t n = left > CHUNK ? CHUNK : (uint32_t)left;

		if (tcp_send(t->tcp, t->conn, n, 0, now_us()))
			fail("tcp_send");
		st.queued += n;
		t->ours.sent += n;
		left -= n;
	}
	if (!left) {
		tcp_shutdown(t->tcp, t->conn, now_us());
		t->ours.shut = true;
	}
}

static void our_events(struct test *t)
{
	struct tcp_event e;

	while (tcp_events(t->tcp, &e, 1)) {
		if (e.what & TCP_EVENT_ACCEPT)
			t->conn = tcp_accept(t->tcp, t->listener);
		if (e.what & (TCP_EVENT_ACCEPT | TCP_EVENT_CONNECTED))
			t->connected = true;
		if (e.what & TCP_EVENT_EOF)
			t->ours.eof = true;
		if (e.what & TCP_EVENT_CLOSED)
			t->ours.closed = true;
		if (e.what & TCP_EVENT_RESET)
			t->error = e.error;
	}
	if (!t->connected)
		return;
	our_read(t);
	our_write(t);
}

/* -- Linux's --------------------------------------------------------------- */

static void their_turn(struct test *t)
{
	static uint8_t buffer[CHUNK];
	uint64_t left = t->theirs.bytes - t->theirs.sent;
	ssize_t n, i;

	if (t->sock < 0) {
		t->sock = accept4(t->listening, NULL, NULL, SOCK_NONBLOCK);
		return;
	}
	while ((n = recv(t->sock, buffer, sizeof(buffer), 0)) > 0)
		for (i = 0; i < n; i++)
			if (buffer[i] != stream_byte(1, t->theirs.received++))
				fail("a byte that Linux received differs");
	if (!n)
		t->theirs.eof = true;
	else if (errno != EAGAIN && errno != ENOTCONN)
		fail("recv");
	for (i = 0; i < (ssize_t)sizeof(buffer) && (uint64_t)i < left; i++)
		buffer[i] = stream_byte(0, t->theirs.sent + (uint64_t)i);
	if (i) {
		n = send(t->sock, buffer, (size_t)i, MSG_NOSIGNAL);
		t->theirs.sent += n > 0 ? (uint64_t)n : 0;
	} else if (!t->theirs.shut) {
		t->theirs.shut = !shutdown(t->sock, SHUT_WR);
	}
}

static socklen_t their_address(unsigned family, const char *v4, const char *v6,
			       struct sockaddr_storage *out)
{
	struct sockaddr_in *a = (struct sockaddr_in *)out;
	struct sockaddr_in6 *b = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (family == 4) {
		a->sin_family = AF_INET;
		a->sin_port = htons(5001);
		inet_pton(AF_INET, v4, &a->sin_addr);
		return sizeof(*a);
	}
	b->sin6_family = AF_INET6;
	b->sin6_port = htons(5001);
	inet_pton(AF_INET6, v6, &b->sin6_addr);
	return sizeof(*b);
}

/* -- a scenario ------------------------------------------------------------ */

static void begin_ours(struct test *t)
{
	const struct scenario *sc = t->sc;
	struct tcp_tuple at = { .family = (uint8_t)sc->family };
	unsigned mss = sc->family == 4 ? 1460 : 1440;
	struct tcp_config c;
	size_t bytes;

	tcp_config_init(&c);
	memcpy(c.key, &t->random, sizeof(t->random));
	c.conns = 8;
	c.cc = sc->cc;
	c.ecn = !(sc->without & ECN);
	c.checksum_partial = sc->virtio;
	c.timestamps = !(sc->without & TIMESTAMPS);
	c.sack = !(sc->without & SACK);
	c.window_scale = !(sc->without & SCALE);
	bytes = tcp_stack_bytes(&c);
	t->tcp = tcp_stack_init(aligned_alloc(16, (bytes + 15) & ~15ul), bytes,
				&c);
	inet_pton(sc->family == 4 ? AF_INET : AF_INET6,
		  sc->family == 4 ? "10.99.0.2" : "fd99::2", at.local);
	at.local_port = 5001;
	if (!sc->we_connect) {
		t->listener = tcp_listen(t->tcp, &at, mss, 4);
		return;
	}
	inet_pton(sc->family == 4 ? AF_INET : AF_INET6,
		  sc->family == 4 ? "10.99.0.1" : "fd99::1", at.remote);
	at.local_port = (uint16_t)(20000 + next_random(&t->random) % 20000);
	at.remote_port = 5001;
	t->conn = tcp_connect(t->tcp, &at, mss, now_us());
}

static void begin_theirs(struct test *t)
{
	int domain = t->sc->family == 4 ? AF_INET : AF_INET6, on = 1;
	struct sockaddr_storage a;
	socklen_t n;

	t->listening = t->sock = -1;
	if (t->sc->we_connect) {
		n = their_address(t->sc->family, "10.99.0.1", "fd99::1", &a);
		t->listening = socket(domain, SOCK_STREAM | SOCK_NONBLOCK, 0);
		setsockopt(t->listening, IPPROTO_TCP, TCP_CONGESTION, "cubic",
			   5);
		setsockopt(t->listening, SOL_SOCKET, SO_REUSEADDR, &on,
			   sizeof(on));
		if (bind(t->listening, (struct sockaddr *)&a, n) ||
		    listen(t->listening, 4))
			fail("listen");
		return;
	}
	n = their_address(t->sc->family, "10.99.0.2", "fd99::2", &a);
	t->sock = socket(domain, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(t->sock, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
	if (connect(t->sock, (struct sockaddr *)&a, n) && errno != EINPROGRESS)
		fail("connect");
}

static void wait_for_something(struct test *t)
{
	struct pollfd p[2] = {
		{ .fd = t->tun, .events = POLLIN },
		{ .fd = t->sock < 0 ? t->listening : t->sock,
		  .events = POLLIN },
	};
	uint64_t next = tcp_next_timer(t->tcp), now = now_us();
	int ms = 5;

	if (t->queue && t->queue->at < next)
		next = t->queue->at;
	if (next < now + 5000)
		ms = next <= now ? 0 : (int)((next - now + 999) / 1000);
	if (t->theirs.eof)
		p[1].fd = -1;
	poll(p, 2, ms);
}

static void report(struct test *t, uint64_t began)
{
	struct tcp_counters c;

	tcp_get_counters(t->tcp, &c);
	printf("%s: %llu ms, %llu segments out, %llu in as %llu, %llu sent "
	       "again, %llu timeouts\n", t->sc->name,
	       (unsigned long long)(now_us() - began) / 1000,
	       (unsigned long long)c.tx_segments,
	       (unsigned long long)c.rx_segments,
	       (unsigned long long)c.rx_packets,
	       (unsigned long long)c.retransmits,
	       (unsigned long long)c.timeouts);
	fflush(stdout);
	/* a machine that stops this process for as long makes timeouts true */
	if (t->slowest > 100000)
		printf("  (once this process was not run for %llu ms)\n",
		       (unsigned long long)t->slowest / 1000);
	else if (!t->sc->loss && !t->sc->jitter && c.retransmits)
		fail("sent again though nothing was lost");
	if (t->sc->virtio && c.rx_segments < 4 * c.rx_packets)
		fail("no aggregates");
}

/* -> microseconds */
static uint64_t run(const struct scenario *sc, uint64_t bytes, uint64_t seed)
{
	uint64_t began = now_us(), turn = began, took;
	struct test t = { .sc = sc, .random = seed | 1 };

	t.ours.bytes = t.theirs.bytes = bytes;
	if (sc->without) /* a loss may be a timeout */
		t.ours.bytes = t.theirs.bytes = bytes / 4;
	if (sc->only == 1)
		t.theirs.bytes = 0;
	if (sc->only == 2)
		t.ours.bytes = 0;
	t.tun = open_tun(sc->virtio);
	begin_ours(&t);
	begin_theirs(&t);
	while (!(t.ours.closed && t.theirs.eof && t.theirs.shut)) {
		if (now_us() - turn > t.slowest)
			t.slowest = now_us() - turn;
		turn = now_us();
		our_output(&t);
		wait_for_something(&t);
		tun_read(&t);
		deliver(&t);
		tcp_timers(t.tcp, now_us());
		our_events(&t);
		their_turn(&t);
		if (t.error) {
			errno = t.error;
			fail("our connection was reset");
		}
		/* a fifth of what is usual, and a minute */
		if (now_us() - began > LIMIT_S * 1000000ull + bytes * 10) {
			report(&t, began);
			fail("it takes too long");
		}
	}
	if (t.ours.received != t.theirs.bytes ||
	    t.theirs.received != t.ours.bytes)
		fail("bytes are missing");
	took = now_us() - began;
	report(&t, began);
	our_output(&t); /* the last ACK */
	while (t.queue) {
		struct packet *p = t.queue;

		t.queue = p->next;
		free(p);
	}
	close(t.sock);
	if (t.listening >= 0)
		close(t.listening);
	close(t.tun);
	free(t.tcp);
	return took;
}

/* The medians of three wires; a loss at a bad moment is luck. */
static void compare_rates(uint64_t bytes, uint64_t seed)
{
	struct scenario sc = { .name = "we send, 1 % lost, 20 ms", .family = 4,
			       .we_connect = true, .loss = 10, .delay = 10000,
			       .only = 1 };
	uint64_t took[2][3], a, b, c;
	unsigned i, k;

	for (i = 0; i < 3; i++) {
		sc.only = 1;
		sc.name = "we send, 1 % lost, 20 ms";
		took[0][i] = run(&sc, bytes, seed + i);
		sc.only = 2;
		sc.name = "Linux sends, 1 % lost, 20 ms";
		took[1][i] = run(&sc, bytes, seed + i);
	}
	for (k = 0; k < 2; k++) {
		a = took[k][0];
		b = took[k][1];
		c = took[k][2];
		took[k][0] = a > b ? (b > c ? b : a > c ? c : a) :
				     (a > c ? a : b > c ? c : b);
	}
	printf("rate of ours %llu kB/s, of Linux %llu kB/s, ratio %.2f\n",
	       (unsigned long long)(bytes * 1000 / took[0][0]),
	       (unsigned long long)(bytes * 1000 / took[1][0]),
	       (double)took[1][0] / (double)took[0][0]);
	if (took[0][0] > 2 * took[1][0])
		fail("less than half of Linux's rate");
}

static const struct scenario all[] = {
	{ .name = "connect, IPv4", .family = 4, .we_connect = true },
	{ .name = "accept, IPv4", .family = 4 },
	{ .name = "connect, IPv6", .family = 6,
	  .we_connect = true },
	{ .name = "accept, IPv6", .family = 6 },
	{ .name = "connect, large segments", .family = 4,
	  .we_connect = true, .virtio = true },
	{ .name = "accept, large segments, IPv6", .family = 6,
	  .virtio = true },
	{ .name = "connect, no options", .family = 4,
	  .we_connect = true, .without = TIMESTAMPS | SACK | SCALE | ECN },
	{ .name = "accept, no options", .family = 4,
	  .without = TIMESTAMPS | SACK | SCALE | ECN },
	{ .name = "accept, loss, no timestamps", .family = 4, .loss = 10,
	  .delay = 2000, .without = TIMESTAMPS },
	{ .name = "connect, loss, no SACK", .family = 4, .loss = 10,
	  .we_connect = true, .delay = 2000, .without = SACK },
	{ .name = "accept, loss, no scale", .family = 6, .loss = 10,
	  .delay = 2000, .without = SCALE },
	{ .name = "connect, loss, no ECN", .family = 6, .loss = 10,
	  .we_connect = true, .delay = 2000, .without = ECN },
	{ .name = "connect, loss, CUBIC", .family = 4,
	  .we_connect = true, .loss = 20, .delay = 2000 },
	{ .name = "accept, loss, NewReno, IPv6", .family = 6,
	  .loss = 20, .delay = 2000, .cc = TCP_CC_NEWRENO },
	{ .name = "connect, overtaking and loss", .family = 4,
	  .we_connect = true, .loss = 5, .delay = 4000,
	  .jitter = 2000 },
	{ .name = "accept, loss, no options", .family = 4, .loss = 5,
	  .delay = 2000, .without = TIMESTAMPS | SACK | SCALE | ECN },
};

int main(void)
{
	const char *bytes = getenv("VTOE_TEST_BYTES");
	const char *seed = getenv("VTOE_TEST_SEED");
	uint64_t many = bytes ? strtoull(bytes, NULL, 0) : 2000000;
	uint64_t random = seed ? strtoull(seed, NULL, 0) : 12345;
	unsigned i;

	if (geteuid()) {
		printf("SKIP: needs root for a network namespace\n");
		return 77;
	}
	if (unshare(CLONE_NEWNET)) {
		printf("SKIP: machine: no network namespaces\n");
		return 77;
	}
	printf("VTOE_TEST_SEED=%llu\n", (unsigned long long)random);
	for (i = 0; i < sizeof(all) / sizeof(*all); i++)
		run(&all[i], many, random + i);
	compare_rates(many * 2, random);
	printf("PASS: tcp_linux\n");
	return 0;
}
