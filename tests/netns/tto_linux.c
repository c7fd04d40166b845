/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tto_linux.c - TCP in user space over AF_XDP and aggregates, and Linux's
 *
 * The TTO service with its rings, a guest of the `mem` port, and our TCP engine
 * in it; at the other end of a veth pair, in another namespace, is Linux's TCP.
 * Both send at once and check every byte; each role, both families. The port is
 * reserved by a kernel socket, and the kernel resets nothing.
 *
 * Then the same while the worker is lost after every few hundred frames, with
 * all that it holds, and a new one begins: no connection may be (B9).
 *
 * VTOE_TEST_BYTES is how much each way.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/netns/tto_nic.h"

enum { PORT = 5001, CHUNK = 65536, QUEUE = 1 << 20, LIMIT_US = 90000000 };

struct scenario {
	const char *name;
	unsigned family;
	bool we_connect;
	bool killed; /* the worker, again and again */
};

struct test {
	const struct scenario *sc;
	struct nic nic;
	struct tcp_stack *tcp;
	int conn, listener;
	bool connected, shut, eof, closed;
	uint64_t bytes, sent, received;
	uint64_t random, kills;
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t next_random(struct test *t)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return t->random;
}

static uint8_t stream_byte(unsigned from, uint64_t at)
{
	return (uint8_t)((at / 8 + 1 + from) * 0x9e3779b97f4a7c15u >>
			 8 * (at % 8));
}

/* -- Linux's end, a process in the other namespace ------------------------- */

static socklen_t address_of(unsigned family, unsigned host,
			    struct sockaddr_storage *out)
{
	struct sockaddr_in *a = (struct sockaddr_in *)out;
	struct sockaddr_in6 *b = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (family == 4) {
		a->sin_family = AF_INET;
		a->sin_port = htons(PORT);
		a->sin_addr.s_addr = htonl(0x0a630000u + host);
		return sizeof(*a);
	}
	b->sin6_family = AF_INET6;
	b->sin6_port = htons(PORT);
	b->sin6_addr.s6_addr[0] = 0xfd;
	b->sin6_addr.s6_addr[1] = 0x99;
	b->sin6_addr.s6_addr[15] = (uint8_t)host;
	return sizeof(*b);
}

static int their_socket(const struct scenario *sc, int ready)
{
	int fd = socket(sc->family == 4 ? AF_INET : AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_storage a;
	socklen_t n = address_of(sc->family, sc->we_connect ? 1 : 2, &a);
	int on = 1, conn = fd;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (sc->we_connect &&
	    (bind(fd, (struct sockaddr *)&a, n) || listen(fd, 1)))
		nic_fail("listen", errno);
	if (write(ready, "", 1) != 1)
		nic_fail("pipe", errno);
	if (sc->we_connect)
		conn = accept(fd, NULL, NULL);
	else if (connect(fd, (struct sockaddr *)&a, n))
		nic_fail("connect", errno);
	if (conn < 0)
		nic_fail("accept", errno);
	fcntl(conn, F_SETFL, O_NONBLOCK);
	return conn;
}

static void their_run(const struct scenario *sc, uint64_t bytes, int ready)
{
	static uint8_t buffer[CHUNK];
	uint64_t sent = 0, received = 0;
	int fd = their_socket(sc, ready);
	bool eof = false, shut = false;
	struct pollfd p = { .fd = fd };
	ssize_t n, i;

	while (!eof || !shut) {
		p.events = (short)((eof ? 0 : POLLIN) | (shut ? 0 : POLLOUT));
		poll(&p, 1, -1);
		n = recv(fd, buffer, sizeof(buffer), 0);
		if (n < 0 && errno != EAGAIN)
			nic_fail("Linux: recv", errno);
		for (i = 0; i < n; i++)
			if (buffer[i] != stream_byte(1, received++))
				nic_fail("Linux: a byte differs", EBADMSG);
		eof = eof || !n;
		for (i = 0; i < CHUNK && sent + (uint64_t)i < bytes; i++)
			buffer[i] = stream_byte(0, sent + (uint64_t)i);
		n = i ? send(fd, buffer, (size_t)i, MSG_NOSIGNAL) : 0;
		if (n < 0 && errno != EAGAIN)
			nic_fail("Linux: send", errno);
		sent += n > 0 ? (uint64_t)n : 0;
		if (sent == bytes && !shut)
			shut = !shutdown(fd, SHUT_WR);
	}
	if (received != bytes)
		nic_fail("Linux: bytes are missing", EBADMSG);
	exit(0);
}

/* -- ours ------------------------------------------------------------------ */

static void take_packet(void *of, const struct tcp_packet *packet)
{
	struct test *t = of;
	struct tcp_kept kept;

	(void)tcp_input(t->tcp, packet, &kept, now_us());
	if (!(kept.bits[0] & 1))
		free((void *)(uintptr_t)packet->refs[0].buffer);
}

static void our_output(struct test *t)
{
	static uint8_t payload[CHUNK];
	struct tcp_segment s;
	uint32_t i;

	while (tcp_output(t->tcp, &s, 1, now_us())) {
		for (i = 0; i < s.length; i++)
			payload[i] = stream_byte(1, s.offset + i);
		nic_send(&t->nic, &s, payload);
	}
}

static void our_read(struct test *t)
{
	struct tcp_piece piece;
	uint8_t *at;
	uint32_t i;

	while (tcp_recv_take(t->tcp, t->conn, &piece, 1) > 0) {
		at = (uint8_t *)(uintptr_t)piece.buffer;
		for (i = 0; i < piece.length; i++)
			if (at[piece.offset + i] !=
			    stream_byte(0, t->received++))
				nic_fail("a byte differs", EBADMSG);
		if (piece.flags & TCP_PIECE_LAST)
			free(at);
		tcp_recv_done(t->tcp, t->conn, piece.length, now_us());
	}
}

static void our_write(struct test *t)
{
	struct tcp_status st;
	uint32_t n;

	if (t->shut || tcp_get_status(t->tcp, t->conn, &st))
		return;
	for (; t->sent < t->bytes && st.queued - st.acked < QUEUE;
	     st.queued += n, t->sent += n) {
		n = t->bytes - t->sent > CHUNK ? CHUNK :
						 (uint32_t)(t->bytes - t->sent);
		if (tcp_send(t->tcp, t->conn, n, 0, now_us()))
			nic_fail("tcp_send", EIO);
	}
	if (t->sent == t->bytes) {
		tcp_shutdown(t->tcp, t->conn, now_us());
		t->shut = true;
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
			t->eof = true;
		if (e.what & TCP_EVENT_CLOSED)
			t->closed = true;
		if (e.what & TCP_EVENT_RESET)
			nic_fail("our connection was reset", e.error);
	}
	if (t->connected) {
		our_read(t);
		our_write(t);
	}
}

static void begin_ours(struct test *t)
{
	struct tcp_tuple at = { .family = (uint8_t)t->sc->family,
				.local_port = PORT };
	unsigned mss = t->sc->family == 4 ? 1460 : 1440;
	static const uint8_t v4[4] = { 10, 99, 0, 2 };
	static const uint8_t v6[16] = { 0xfd, 0x99, [15] = 2 };
	struct tcp_config c;
	size_t bytes;

	tcp_config_init(&c);
	memcpy(c.key, &t->random, sizeof(t->random));
	c.conns = 8;
	c.checksum_partial = true;
	bytes = tcp_stack_bytes(&c);
	t->tcp = tcp_stack_init(aligned_alloc(16, (bytes + 15) & ~15ul), bytes,
				&c);
	memcpy(at.local, t->sc->family == 4 ? v4 : v6,
	       t->sc->family == 4 ? 4 : 16);
	if (!t->sc->we_connect) {
		t->listener = tcp_listen(t->tcp, &at, mss, 4);
		return;
	}
	memcpy(at.remote, at.local, 16);
	at.remote[t->sc->family == 4 ? 3 : 15] = 1;
	at.remote_port = PORT;
	t->conn = tcp_connect(t->tcp, &at, mss, now_us());
}

static void wait_for_something(struct test *t)
{
	uint64_t next = tcp_next_timer(t->tcp), now = now_us();
	struct pollfd p = { .fd = nic_descriptor(&t->nic), .events = POLLIN };
	int ms = 5;

	if (next < now + 5000)
		ms = next <= now ? 0 : (int)((next - now + 999) / 1000);
	poll(&p, 1, ms);
}

static uint64_t life(struct test *t)
{
	return t->sc->killed ? 1 + next_random(t) % 1000 : 0;
}

/* Its successor comes at once, or after a while without any. */
static void next_worker(struct test *t)
{
	nic_worker_kill(&t->nic);
	if (next_random(t) % 4 == 0)
		usleep((useconds_t)(next_random(t) % 10000));
	nic_worker_start(&t->nic, life(t));
	t->kills++;
}

static void report(const struct test *t, uint64_t took)
{
	struct tcp_counters c;

	tcp_get_counters(t->tcp, &c);
	printf("%s: %llu ms; %llu frames, %llu of them in %llu aggregates;"
	       " sent %llu long, %llu short, %llu routed; %llu sent again;"
	       " %llu workers lost, and %llu frames\n",
	       t->sc->name, (unsigned long long)took / 1000,
	       (unsigned long long)t->nic.frames,
	       (unsigned long long)t->nic.in_aggregates,
	       (unsigned long long)t->nic.aggregates,
	       (unsigned long long)t->nic.sent_long,
	       (unsigned long long)t->nic.sent_short,
	       (unsigned long long)t->nic.sent_routed,
	       (unsigned long long)c.retransmits,
	       (unsigned long long)t->kills,
	       (unsigned long long)t->nic.lost);
	fflush(stdout);
	if (t->nic.in_aggregates * 2 < t->nic.frames && !t->sc->killed)
		nic_fail("few frames were aggregated", EBADMSG);
	if (!t->nic.sent_long || !t->nic.sent_short ||
	    (t->sc->we_connect && !t->nic.sent_routed))
		nic_fail("one way of sending was not used", EBADMSG);
	if (t->sc->killed && (t->kills < 10 || !t->nic.lost))
		nic_fail("few workers were lost", EBADMSG);
}

static void run_ours(struct test *t)
{
	uint64_t began = now_us();

	begin_ours(t);
	while (!t->closed || !t->eof) {
		our_output(t);
		wait_for_something(t);
		if (!nic_receive(&t->nic, take_packet, t))
			next_worker(t);
		tcp_timers(t->tcp, now_us());
		our_events(t);
		if (now_us() - began > LIMIT_US)
			nic_fail("it takes too long", ETIMEDOUT);
	}
	our_output(t); /* the last ACK */
	if (t->received != t->bytes)
		nic_fail("bytes are missing", EBADMSG);
	nic_close(&t->nic);
	report(t, now_us() - began);
	free(t->tcp);
}

/* -- the place ------------------------------------------------------------- */

static void shell(const char *command)
{
	if (system(command))
		nic_fail(command, EIO);
}

struct theirs {
	pid_t pid;
	int there[2], moved[2], ready[2]; /* pipes */
};

static void theirs_fork(struct theirs *l, const struct scenario *sc,
			uint64_t bytes)
{
	char c;

	if (pipe(l->there) || pipe(l->moved) || pipe(l->ready))
		nic_fail("pipe", errno);
	l->pid = fork();
	if (l->pid < 0)
		nic_fail("fork", errno);
	if (l->pid)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNET) || write(l->there[1], "", 1) != 1 ||
	    read(l->moved[0], &c, 1) != 1)
		nic_fail("the other namespace", errno);
	/* what comes from a wire has a checksum and is not merged */
	shell("ethtool -K wire tx off tso off gso off >/dev/null &&"
	      " ip addr add 10.99.0.1/16 dev wire &&"
	      " ip -6 addr add fd99::1/64 dev wire nodad &&"
	      " ip link set wire up");
	their_run(sc, bytes, l->ready[1]);
}

static void theirs_begin(struct theirs *l)
{
	char command[80], c;
	unsigned i;

	snprintf(command, sizeof(command), "ip link set wire netns %d",
		 (int)l->pid);
	if (read(l->there[0], &c, 1) != 1)
		nic_fail("pipe", errno);
	shell(command);
	close(l->ready[1]);
	if (write(l->moved[1], "", 1) != 1 || read(l->ready[0], &c, 1) != 1)
		nic_fail("Linux's end", errno);
	close(l->ready[0]);
	for (i = 0; i < 2; i++) {
		close(l->there[i]);
		close(l->moved[i]);
	}
}

static void run(const struct scenario *sc, uint64_t bytes, uint64_t seed)
{
	struct test t = { .sc = sc, .bytes = bytes, .random = seed };
	struct theirs theirs;
	int status;

	if (unshare(CLONE_NEWNET))
		nic_fail("unshare", errno);
	shell("ip link add ours address 02:00:00:00:00:02 type veth"
	      " peer name wire address 02:00:00:00:00:01 &&"
	      " ip addr add 10.99.0.2/16 dev ours &&"
	      " ip -6 addr add fd99::2/64 dev ours nodad &&"
	      " ip link set ours up");
	/* first: a copy of the worker's socket would keep its queue */
	theirs_fork(&theirs, sc, bytes);
	nic_open(&t.nic, sc->family, PORT, sc->we_connect);
	t.nic.hold_usec = sc->killed ? 2000 : 0;
	nic_worker_start(&t.nic, life(&t));
	theirs_begin(&theirs);
	run_ours(&t);
	if (waitpid(theirs.pid, &status, 0) != theirs.pid || status)
		nic_fail("Linux's end failed", EIO);
}

int main(void)
{
	static const struct scenario all[] = {
		{ "connect, IPv4", 4, true, false },
		{ "accept, IPv4", 4, false, false },
		{ "connect, IPv6", 6, true, false },
		{ "accept, IPv6", 6, false, false },
		{ "connect, IPv4, workers killed", 4, true, true },
		{ "accept, IPv6, workers killed", 6, false, true },
	};
	const char *bytes = getenv("VTOE_TEST_BYTES");
	unsigned i;

	if (geteuid()) {
		printf("SKIP: needs root for network namespaces\n");
		return 77;
	}
	if (system("command -v ethtool >/dev/null")) {
		printf("SKIP: ethtool is not installed: apt-get install "
		       "ethtool\n");
		return 77;
	}
	for (i = 0; i < sizeof(all) / sizeof(*all); i++)
		run(&all[i], (bytes ? strtoull(bytes, NULL, 0) : 20000000) /
				     (all[i].killed ? 2 : 1), 12345 + i);
	printf("PASS: tto_linux\n");
	return 0;
}
