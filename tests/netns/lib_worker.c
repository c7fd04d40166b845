// SPDX-License-Identifier: BSD-2-Clause
/*
 * lib_worker.c - libvtoe over a real worker
 *
 * The peers are plain sockets of the same network namespace. What is tested is
 * what a program may rely on: bytes exact in both directions and all forms of
 * memory, time-outs and cancellation that lose nothing, one registration for
 * 100,000 receives (H4), generic buffers in order (H7, H9), and the death of
 * the worker, which ends every wait within a second.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <vtoe.h>

#include "tests/lib/worker.h"

#define PAGE 4096u
#define BOTH (VTOE_READ | VTOE_WRITE)

static struct worker worker;

struct fixture {
	struct vtoe *ctx;
	struct vtoe_lane *lane;
};

static struct fixture *start(unsigned flags)
{
	struct vtoe_params vp = { .path = worker.path, .name = "lib_worker" };
	static struct fixture f;

	assert_int_equal(vtoe_open(&f.ctx, &vp), 0);
	assert_int_equal(vtoe_lane_open(f.ctx, &f.lane, 0, 0, flags), 0);
	return &f;
}

static void stop(struct fixture *f)
{
	vtoe_lane_close(f->lane);
	vtoe_close(f->ctx);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct sockaddr_in loopback(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port) };

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

/* A plain listener. */
static int kernel_listen(struct sockaddr_in *at)
{
	socklen_t len = sizeof(*at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*at = loopback(0);
	if (fd < 0 || bind(fd, (struct sockaddr *)at, sizeof(*at)) ||
	    listen(fd, 128) || getsockname(fd, (struct sockaddr *)at, &len))
		fail();
	return fd;
}

/* A stream of ours, connected to a plain socket. */
static uint32_t pair(struct fixture *f, int *kernel)
{
	struct sockaddr_in at;
	int listener = kernel_listen(&at);
	uint32_t stream;

	assert_int_equal(vtoe_stream_open_connect(f->lane, &stream,
						  (struct sockaddr *)&at,
						  sizeof(at), 5000), 0);
	*kernel = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(*kernel >= 0);
	close(listener);
	return stream;
}

/* An entry; completions can be seen before their entries are given back. */
static struct vtoe_sqe *entry(struct vtoe_lane *lane)
{
	struct vtoe_sqe *sqe;

	while (!(sqe = vtoe_get_sqe(lane)))
		assert_int_equal(vtoe_wait_sqe(lane, 5000), 0);
	return sqe;
}

static void write_all(int fd, const char *from, size_t bytes)
{
	while (bytes) {
		ssize_t n = write(fd, from, bytes);

		assert_true(n > 0);
		from += n;
		bytes -= (size_t)n;
	}
}

static void read_all(int fd, char *to, size_t bytes)
{
	while (bytes) {
		ssize_t n = read(fd, to, bytes);

		assert_true(n > 0);
		to += n;
		bytes -= (size_t)n;
	}
}

/* An echo of plain sockets. */
static void *kernel_echo(void *arg)
{
	char buffer[65536];
	int fd = *(int *)arg;
	ssize_t n, m, done;

	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		for (done = 0; done < n; done += m) {
			m = write(fd, buffer + done, (size_t)(n - done));
			if (m <= 0)
				return NULL;
		}
	shutdown(fd, SHUT_WR);
	return NULL;
}

static char byte_at(uint64_t i)
{
	return (char)(i * 2654435761u >> 13 ^ i);
}

/* Random sizes, offsets and kinds of memory; a sender thread is not needed:
 * never more is under way than the sockets hold. */
static void test_echo_exact(void **state)
{
	struct fixture *f = start(0);
	char *arena = vtoe_alloc(f->ctx, 200000), *plain = malloc(200000);
	char *mine = mmap(NULL, 50 * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t sent = 0, received = 0, i;
	pthread_t thread;
	uint32_t stream;
	int kernel;

	(void)state;
	srand(3);
	assert_int_equal(vtoe_register(f->ctx, mine, 50 * PAGE, BOTH), 0);
	stream = pair(f, &kernel);
	pthread_create(&thread, NULL, kernel_echo, &kernel);
	while (received < 20000000) {
		char *memory[] = { arena, plain, mine };
		char *at = memory[rand() % 3] + rand() % 4100;
		size_t n = (size_t)rand() % (rand() % 2 ? 190000 : 3000) + 1;

		for (i = 0; i < n; i++)
			at[i] = byte_at(sent + i);
		assert_int_equal(vtoe_stream_send(f->lane, stream, at, n,
						  10000), n);
		sent += n;
		while (received < sent) {
			size_t room = (size_t)rand() % 190000 + 1;
			ssize_t got;

			/* aligned: filled directly on first use */
			at = memory[rand() % 3] + rand() % 2 * (rand() % 4100);
			got = vtoe_stream_recv(f->lane, stream, at, room,
					       10000);
			assert_true(got > 0 && (size_t)got <= room);
			for (i = 0; i < (uint64_t)got; i++)
				if (at[i] != byte_at(received + i))
					fail_msg("byte %zu is wrong",
						 (size_t)(received + i));
			received += (uint64_t)got;
		}
	}
	assert_int_equal(vtoe_stream_shutdown(f->lane, stream, SHUT_WR), 0);
	assert_int_equal(vtoe_stream_recv(f->lane, stream, arena, 100, 5000),
			 0);
	assert_int_equal(vtoe_stream_close(f->lane, stream, 0), 0);
	pthread_join(thread, NULL);
	close(kernel);
	stop(f);
	munmap(mine, 50 * PAGE);
	free(plain);
}

/* H4: one registration, and no copy by the library. */
static void test_100000_receives(void **state)
{
	struct fixture *f = start(0);
	char *mine = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char block[64 * 100];
	struct vtoe_counters c;
	struct vtoe_sqe *sqe;
	struct vtoe_cqe *cqe;
	uint32_t stream;
	int kernel, i;

	(void)state;
	for (i = 0; i < (int)sizeof(block); i++)
		block[i] = byte_at((uint64_t)i);
	stream = pair(f, &kernel);
	for (i = 0; i < 100000; i++) {
		if (i % 100 == 0)
			write_all(kernel, block, sizeof(block));
		assert_int_equal(vtoe_register(f->ctx, mine, PAGE, VTOE_WRITE),
				 0);
		sqe = entry(f->lane);
		vtoe_sqe_set(sqe, VTOE_OP_RECV, stream, (uint64_t)i);
		sqe->op_flags = VTOE_IO_WAITALL;
		assert_int_equal(vtoe_sqe_memory(f->ctx, sqe, mine, 64), 0);
		assert_int_equal(vtoe_wait_cqe(f->lane, &cqe, 10000), 0);
		assert_int_equal(cqe->user_data, i);
		assert_int_equal(cqe->result, 64);
		vtoe_cqe_seen(f->lane);
		if (memcmp(mine, block + i % 100 * 64, 64))
			fail_msg("receive %d is wrong", i);
	}
	vtoe_get_counters(f->ctx, &c);
	assert_int_equal(c.registrations, 1);
	assert_int_equal(c.cache_hits, 99999);
	assert_int_equal(c.bytes_copied, 0);
	vtoe_stream_close(f->lane, stream, 0);
	close(kernel);
	stop(f);
	munmap(mine, PAGE);
}

static void test_accept(void **state)
{
	struct sockaddr_in at = loopback(7801), peer, name;
	struct fixture *f = start(0);
	socklen_t len = sizeof(peer), name_len = sizeof(name);
	uint32_t listener, stream, other;
	char text[16];
	int kernel;

	(void)state;
	assert_int_equal(vtoe_stream_open_listen(f->lane, &listener,
						 (struct sockaddr *)&at,
						 sizeof(at), 8), 0);
	/* in use */
	assert_int_equal(vtoe_stream_open_listen(f->lane, &other,
						 (struct sockaddr *)&at,
						 sizeof(at), 8), -EADDRINUSE);
	assert_int_equal(vtoe_stream_accept(f->lane, listener, &stream, NULL,
					    NULL, 50), -ETIME);
	kernel = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(kernel, (struct sockaddr *)&at, sizeof(at)),
			 0);
	assert_int_equal(vtoe_stream_accept(f->lane, listener, &stream,
					    (struct sockaddr *)&peer, &len,
					    5000), 0);
	getsockname(kernel, (struct sockaddr *)&name, &name_len);
	assert_int_equal(len, sizeof(peer));
	assert_int_equal(peer.sin_port, name.sin_port);
	assert_int_equal(vtoe_stream_send(f->lane, stream, "hello", 5, 1000),
			 5);
	read_all(kernel, text, 5);
	assert_memory_equal(text, "hello", 5);
	close(kernel);
	assert_int_equal(vtoe_stream_recv(f->lane, stream, text, 5, 5000), 0);
	assert_int_equal(vtoe_stream_close(f->lane, stream, 0), 0);
	assert_int_equal(vtoe_stream_close(f->lane, stream, 0), -EBADF);
	assert_int_equal(vtoe_stream_close(f->lane, listener, 0), 0);
	stop(f);
}

static void test_refused(void **state)
{
	struct sockaddr_in at = loopback(9);
	struct fixture *f = start(0);
	uint32_t stream;

	(void)state;
	assert_int_equal(vtoe_stream_open_connect(f->lane, &stream,
						  (struct sockaddr *)&at,
						  sizeof(at), 5000),
			 -ECONNREFUSED);
	stop(f);
}

static void test_options(void **state)
{
	struct fixture *f = start(0);
	struct tcp_info info;
	uint32_t stream;
	socklen_t len;
	int kernel, value = 1;

	(void)state;
	stream = pair(f, &kernel);
	assert_int_equal(vtoe_stream_setsockopt(f->lane, stream, IPPROTO_TCP,
						TCP_NODELAY, &value,
						sizeof(value)), 0);
	value = 0;
	len = sizeof(value);
	assert_int_equal(vtoe_stream_getsockopt(f->lane, stream, IPPROTO_TCP,
						TCP_NODELAY, &value, &len), 0);
	assert_int_equal(len, sizeof(value));
	assert_int_equal(value, 1);
	/* longer than a completion holds */
	memset(&info, 0, sizeof(info));
	len = sizeof(info);
	assert_int_equal(vtoe_stream_getsockopt(f->lane, stream, IPPROTO_TCP,
						TCP_INFO, &info, &len), 0);
	assert_true(len > 24);
	assert_int_equal(info.tcpi_state, TCP_ESTABLISHED);
	assert_true(info.tcpi_snd_mss > 100);
	vtoe_stream_close(f->lane, stream, 0);
	close(kernel);
	stop(f);
}

/* A time-out that races with data: each byte arrives once all the same. */
static void test_timeouts_lose_nothing(void **state)
{
	struct fixture *f = start(0);
	uint64_t sent = 0, received = 0;
	unsigned late = 0, i;
	uint32_t stream;
	char byte, into[64];
	int kernel;

	(void)state;
	stream = pair(f, &kernel);
	for (i = 0; i < 400 || received < sent; i++) {
		ssize_t n;
		int j;

		if (i < 400 && i % 3 == 0) {
			byte = byte_at(sent++);
			write_all(kernel, &byte, 1);
		}
		n = vtoe_stream_recv(f->lane, stream, into, sizeof(into),
				     (int)(i % 2));
		if (n == -ETIME) {
			late++;
			continue;
		}
		assert_true(n > 0);
		for (j = 0; j < n; j++)
			assert_int_equal(into[j], byte_at(received++));
	}
	assert_true(late > 0);
	assert_int_equal(received, sent);
	vtoe_stream_close(f->lane, stream, 0);
	close(kernel);
	stop(f);
}

struct reader {
	int fd;
	unsigned pause_usec;
	uint64_t received;
	bool wrong;
};

/* Reads slowly, and checks. */
static void *slow_reader(void *arg)
{
	struct reader *r = arg;
	char buffer[20000];
	ssize_t n, i;

	while ((n = read(r->fd, buffer, sizeof(buffer))) > 0) {
		for (i = 0; i < n; i++)
			r->wrong |= buffer[i] != byte_at(r->received++);
		usleep(r->pause_usec);
	}
	return NULL;
}

/* A peer that is slow: sends with a time-out say exactly how much went out. */
static void test_send_timeouts(void **state)
{
	const size_t most = 3000000;
	struct fixture *f = start(0);
	char *plain = malloc(most), *arena = vtoe_alloc(f->ctx, most);
	struct reader r = { .pause_usec = 100 };
	unsigned late = 0, partial = 0, i;
	uint64_t sent = 0;
	pthread_t thread;
	uint32_t stream;
	size_t j;

	(void)state;
	stream = pair(f, &r.fd);
	for (i = 0; sent < 20000000; i++) {
		char *from = i % 2 ? plain : arena;
		ssize_t n;

		for (j = 0; j < most; j++)
			from[j] = byte_at(sent + j);
		n = vtoe_stream_send(f->lane, stream, from, most, 20);
		/* nobody reads at first, so that it surely fills up */
		if (n == -ETIME && !late++)
			pthread_create(&thread, NULL, slow_reader, &r);
		if (n == -ETIME)
			continue;
		assert_true(n > 0);
		partial += (size_t)n < most;
		sent += (uint64_t)n;
	}
	assert_true(late > 0 && partial > 0);
	vtoe_stream_close(f->lane, stream, 0);
	pthread_join(thread, NULL);
	assert_false(r.wrong);
	assert_int_equal(r.received, sent);
	close(r.fd);
	stop(f);
	free(plain);
}

static void on_alarm(int signal)
{
	(void)signal;
}

/* Signals cut sends short; what was sent is known all the same, and pieces
 * that were on the way behind a cut one did not go out. */
static void test_send_signals(void **state)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct itimerval often = { .it_interval = { .tv_usec = 3000 },
				   .it_value = { .tv_usec = 3000 } };
	struct itimerval never = { .it_value = { .tv_usec = 0 } };
	const size_t most = 1500000;
	struct fixture *f = start(0);
	char *plain = malloc(most), *arena = vtoe_alloc(f->ctx, most);
	struct reader r = { .pause_usec = 150 };
	unsigned cut = 0, i;
	uint64_t sent = 0;
	pthread_t thread;
	sigset_t set;
	uint32_t stream;
	size_t j;

	(void)state;
	stream = pair(f, &r.fd);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigaction(SIGALRM, &action, NULL);
	/* not for the reader */
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	pthread_create(&thread, NULL, slow_reader, &r);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (i = 0; sent < 15000000; i++) {
		char *from = i % 3 ? plain : arena;
		ssize_t n;

		for (j = 0; j < most; j++)
			from[j] = byte_at(sent + j);
		n = vtoe_stream_send(f->lane, stream, from, most, -1);
		if (n == -EINTR) {
			cut++;
			continue;
		}
		if (n <= 0)
			fail_msg("send: %zd", n);
		cut += (size_t)n < most;
		sent += (uint64_t)n;
	}
	setitimer(ITIMER_REAL, &never, NULL);
	assert_true(cut > 0);
	vtoe_stream_close(f->lane, stream, 0);
	pthread_join(thread, NULL);
	assert_false(r.wrong);
	assert_int_equal(r.received, sent);
	close(r.fd);
	stop(f);
	free(plain);
}

/* H7, H9: what comes with no receive posted lies in generic buffers, in
 * order with what posted receives take. */
static void test_generic(void **state)
{
	struct fixture *f = start(0);
	char *pool = vtoe_alloc(f->ctx, 16 * PAGE), block[30000];
	uint64_t received = 0;
	struct vtoe_sqe *sqe;
	struct vtoe_cqe *cqe;
	uint32_t stream;
	int kernel, ended = 0;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(block); i++)
		block[i] = byte_at(i);
	stream = pair(f, &kernel);
	sqe = entry(f->lane);
	vtoe_sqe_set(sqe, VTOE_OP_GRQ_ADD, 0, 1);
	assert_int_equal(vtoe_sqe_memory(f->ctx, sqe, pool, 4 * PAGE), 0);
	sqe->op_flags = 4;
	sqe = entry(f->lane);
	vtoe_sqe_set(sqe, VTOE_OP_GRQ_MODE, stream, 2);
	sqe->op_flags = 1;
	assert_int_equal(vtoe_wait_cqe(f->lane, &cqe, 5000), 0);
	assert_int_equal(cqe->user_data, 2);
	assert_int_equal(cqe->result, 0);
	vtoe_cqe_seen(f->lane);
	write_all(kernel, block, sizeof(block));
	shutdown(kernel, SHUT_WR);
	while (!ended) {
		char *at;

		assert_int_equal(vtoe_wait_cqe(f->lane, &cqe, 5000), 0);
		assert_int_equal(cqe->user_data, 2);
		assert_true(cqe->flags & VTOE_CQE_GRQ);
		assert_true(cqe->result >= 0);
		ended = !!(cqe->flags & VTOE_CQE_EOF);
		if (!ended) {
			at = vtoe_address_of(f->ctx, cqe->key, cqe->offset,
					     cqe->length);
			assert_non_null(at);
			assert_true(at >= pool && at < pool + 4 * PAGE);
			assert_memory_equal(at, block + received, cqe->length);
			received += cqe->length;
			/* and back it goes */
			sqe = entry(f->lane);
			vtoe_sqe_set(sqe, VTOE_OP_GRQ_ADD, 0, 1);
			at -= (at - pool) % PAGE;
			assert_int_equal(vtoe_sqe_memory(f->ctx, sqe, at,
							 PAGE), 0);
			sqe->op_flags = 1;
		}
		vtoe_cqe_seen(f->lane);
	}
	assert_int_equal(received, sizeof(block));
	vtoe_stream_close(f->lane, stream, 0);
	close(kernel);
	stop(f);
}

/* O9: unregistering under a receive that waits ends it; the memory is private
 * and nothing is written to it afterwards. */
static void test_unregister_under_way(void **state)
{
	struct fixture *f = start(0);
	char *mine = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vtoe_sqe *sqe;
	struct vtoe_cqe *cqe;
	uint32_t stream;
	char into[8];
	int kernel;

	(void)state;
	stream = pair(f, &kernel);
	assert_int_equal(vtoe_register(f->ctx, mine, PAGE, VTOE_WRITE), 0);
	sqe = entry(f->lane);
	vtoe_sqe_set(sqe, VTOE_OP_RECV, stream, 5);
	assert_int_equal(vtoe_sqe_memory(f->ctx, sqe, mine, PAGE), 0);
	sqe = entry(f->lane);
	vtoe_sqe_set(sqe, VTOE_OP_NOP, 0, 6);
	assert_int_equal(vtoe_wait_cqe(f->lane, &cqe, 5000), 0);
	assert_int_equal(cqe->user_data, 6);
	vtoe_cqe_seen(f->lane);
	assert_int_equal(vtoe_unregister(f->ctx, mine, PAGE), 0);
	assert_int_equal(vtoe_wait_cqe(f->lane, &cqe, 5000), 0);
	assert_int_equal(cqe->user_data, 5);
	assert_int_equal(cqe->result, -ECANCELED);
	vtoe_cqe_seen(f->lane);
	write_all(kernel, "late", 4);
	assert_int_equal(vtoe_stream_recv(f->lane, stream, into, 4, 5000), 4);
	assert_memory_equal(into, "late", 4);
	assert_int_equal(mine[0], 0);
	vtoe_stream_close(f->lane, stream, 0);
	close(kernel);
	stop(f);
	munmap(mine, PAGE);
}

struct locked {
	struct fixture *f;
	unsigned failed;
	int kernel;
	uint32_t stream;
};

static void *locked_client(void *arg)
{
	struct locked *l = arg;
	char from[500], into[500];
	int i;

	for (i = 0; i < 500; i++) {
		ssize_t n, got = 0;

		memset(from, i + (int)l->stream, sizeof(from));
		n = vtoe_stream_send(l->f->lane, l->stream, from, sizeof(from),
				     10000);
		while (n > 0 && got < (ssize_t)sizeof(from)) {
			n = vtoe_stream_recv(l->f->lane, l->stream, into + got,
					     sizeof(into) - (size_t)got,
					     10000);
			got += n;
		}
		if (n <= 0 || memcmp(from, into, sizeof(from))) {
			l->failed = 1;
			break;
		}
	}
	return NULL;
}

/* Blocking threads on one lane do not hold one another up. */
static void test_locked_lane(void **state)
{
	struct fixture *f = start(VTOE_LANE_LOCKED);
	pthread_t clients[4], echoes[4];
	struct locked l[4];
	unsigned i;

	(void)state;
	for (i = 0; i < 4; i++) {
		l[i] = (struct locked){ .f = f };
		l[i].stream = pair(f, &l[i].kernel);
		pthread_create(&echoes[i], NULL, kernel_echo, &l[i].kernel);
	}
	for (i = 0; i < 4; i++)
		pthread_create(&clients[i], NULL, locked_client, &l[i]);
	for (i = 0; i < 4; i++) {
		pthread_join(clients[i], NULL);
		assert_false(l[i].failed);
		vtoe_stream_close(f->lane, l[i].stream, 0);
		pthread_join(echoes[i], NULL);
		close(l[i].kernel);
	}
	stop(f);
}

/* SHARE and ADOPT: what a forked child does. */
static void test_share(void **state)
{
	struct vtoe_params vp = { .path = worker.path };
	struct fixture *f = start(0);
	struct vtoe_lane *lane;
	struct vtoe_sqe *sqe;
	struct vtoe_cqe *cqe;
	struct vtoe *ctx;
	uint8_t token[16];
	uint32_t stream, same;
	char text[8];
	int kernel;

	(void)state;
	stream = pair(f, &kernel);
	sqe = entry(f->lane);
	vtoe_sqe_set(sqe, VTOE_OP_SHARE, stream, 1);
	assert_int_equal(vtoe_wait_cqe(f->lane, &cqe, 5000), 0);
	assert_int_equal(cqe->result, 0);
	memcpy(token, cqe->u.token, sizeof(token));
	vtoe_cqe_seen(f->lane);
	assert_int_equal(vtoe_open(&ctx, &vp), 0);
	assert_int_equal(vtoe_lane_open(ctx, &lane, 0, 0, 0), 0);
	sqe = entry(lane);
	vtoe_sqe_set(sqe, VTOE_OP_ADOPT, 0, 2);
	memcpy(sqe->u.token, token, sizeof(token));
	assert_int_equal(vtoe_wait_cqe(lane, &cqe, 5000), 0);
	assert_int_equal(cqe->result, 0);
	same = cqe->stream;
	vtoe_cqe_seen(lane);
	/* the first connection leaves, the stream stays */
	assert_int_equal(vtoe_stream_close(f->lane, stream, 0), 0);
	stop(f);
	assert_int_equal(vtoe_stream_send(lane, same, "still", 5, 5000), 5);
	read_all(kernel, text, 5);
	assert_memory_equal(text, "still", 5);
	vtoe_stream_close(lane, same, 0);
	vtoe_lane_close(lane);
	vtoe_close(ctx);
	close(kernel);
}

/* The worker is killed: all that was under way ends within a second, and the
 * application's memory is its own again. */
static void test_death(void **state)
{
	struct fixture *f = start(0);
	char *mine = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vtoe_sqe *sqe;
	struct vtoe_cqe *cqe;
	uint32_t stream, i;
	int kernel;
	double begun;

	(void)state;
	memset(mine, 0x21, 4 * PAGE);
	stream = pair(f, &kernel);
	assert_int_equal(vtoe_register(f->ctx, mine, 4 * PAGE, VTOE_WRITE), 0);
	for (i = 0; i < 30; i++) {
		sqe = entry(f->lane);
		vtoe_sqe_set(sqe, VTOE_OP_RECV, stream, i);
		assert_int_equal(vtoe_sqe_memory(f->ctx, sqe, mine, PAGE), 0);
	}
	assert_int_equal(vtoe_submit(f->lane), 30);
	assert_true(vtoe_alive(f->ctx));
	worker_kill(&worker);
	begun = now();
	for (i = 0; i < 30; i++) {
		assert_int_equal(vtoe_wait_cqe(f->lane, &cqe, -1), 0);
		assert_int_equal(cqe->user_data, i);
		assert_int_equal(cqe->result, -ENOTCONN);
		vtoe_cqe_seen(f->lane);
	}
	assert_int_equal(vtoe_wait_cqe(f->lane, &cqe, -1), -ENOTCONN);
	assert_int_equal(vtoe_stream_recv(f->lane, stream, mine, 10, -1),
			 -ENOTCONN);
	assert_int_equal(vtoe_unregister(f->ctx, mine, 4 * PAGE), 0);
	assert_true(now() - begun < 1.0);
	assert_false(vtoe_alive(f->ctx));
	for (i = 0; i < 4 * PAGE; i++)
		assert_int_equal(mine[i], 0x21);
	stop(f);
	close(kernel);
	munmap(mine, 4 * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo_exact),
		cmocka_unit_test(test_100000_receives),
		cmocka_unit_test(test_accept),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_timeouts_lose_nothing),
		cmocka_unit_test(test_send_timeouts),
		cmocka_unit_test(test_send_signals),
		cmocka_unit_test(test_generic),
		cmocka_unit_test(test_unregister_under_way),
		cmocka_unit_test(test_locked_lane),
		cmocka_unit_test(test_share),
		cmocka_unit_test(test_death), /* the last: it kills */
	};
	int failed;

	worker_namespace();
	worker_start(&worker, NULL);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	worker_stop(&worker);
	return failed ? 1 : 0;
}
