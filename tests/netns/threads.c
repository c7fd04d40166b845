/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * threads ADDRESS PORT - threads that share sockets, against an echo server
 *
 *   readers   four threads read one socket: every byte comes exactly once
 *   writers   four threads write records to one socket: no record is torn or
 *             lost, and those of one thread come in order
 *   pairs     eight threads with a connection each
 *   workers   four threads wait on one epoll set with one-shot events
 *   acceptors four threads accept on one listener
 */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tests/netns/prog.h"

#define READERS 4
#define READ_BYTES (8u << 20)
#define WRITERS 4
#define RECORDS 2000
#define PAIRS 8
#define ROUNDS 300
#define SETS 16

static const char *host, *port;

static void make(pthread_t *t, void *(*run)(void *), void *arg)
{
	errno = pthread_create(t, NULL, run, arg);
	if (errno)
		prog_error("thread");
}

static void send_all(int fd, const void *from, size_t bytes)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t n = write(fd, (const char *)from + done, bytes - done);

		if (n <= 0)
			prog_fail("write");
		done += n;
	}
}

static void recv_all(int fd, void *into, size_t bytes)
{
	if (recv(fd, into, bytes, MSG_WAITALL) != (ssize_t)bytes)
		prog_fail("read");
}

/* -- readers ------------------------------------------------------------- */

struct reader {
	pthread_t thread;
	int fd;
	unsigned seed;
	uint64_t seen[256];
};

static void *read_some(void *arg)
{
	struct reader *r = arg;
	unsigned char block[9000];
	uint64_t random = r->seed;
	ssize_t n, i;

	while ((n = read(r->fd, block,
			 1 + prog_random(&random) % sizeof(block))) > 0)
		for (i = 0; i < n; i++)
			r->seen[block[i]]++;
	if (n < 0)
		prog_fail("read");
	return NULL;
}

static void *write_pattern(void *arg)
{
	static char block[65536];
	int fd = *(int *)arg;
	uint64_t at;

	for (at = 0; at < READ_BYTES; at += sizeof(block)) {
		prog_pattern_fill(block, 1, at, sizeof(block));
		send_all(fd, block, sizeof(block));
	}
	shutdown(fd, SHUT_WR);
	return NULL;
}

static void test_readers(void)
{
	static struct reader readers[READERS];
	uint64_t seen[256] = { 0 }, at;
	unsigned char byte;
	pthread_t writer;
	int fd, i, v;

	fd = prog_connect(host, port);
	make(&writer, write_pattern, &fd);
	for (i = 0; i < READERS; i++) {
		readers[i].fd = fd;
		readers[i].seed = i + 1;
		make(&readers[i].thread, read_some, &readers[i]);
	}
	pthread_join(writer, NULL);
	for (i = 0; i < READERS; i++) {
		pthread_join(readers[i].thread, NULL);
		for (v = 0; v < 256; v++)
			seen[v] += readers[i].seen[v];
	}
	for (at = 0; at < READ_BYTES; at++) {
		prog_pattern_fill(&byte, 1, at, 1);
		seen[byte]--;
	}
	errno = 0;
	for (v = 0; v < 256; v++)
		if (seen[v])
			prog_fail("readers: byte %d came %lld times too often",
				  v, (long long)seen[v]);
	close(fd);
}

/* -- writers ------------------------------------------------------------- */

struct record {
	uint32_t thread, sequence;
	unsigned char fill[56];
};

struct writer {
	pthread_t thread;
	int fd;
	unsigned number;
};

static void *write_records(void *arg)
{
	struct writer *w = arg;
	struct record r;

	for (r.sequence = 0; r.sequence < RECORDS; r.sequence++) {
		r.thread = w->number;
		memset(r.fill, w->number + r.sequence, sizeof(r.fill));
		send_all(w->fd, &r, sizeof(r));
	}
	return NULL;
}

static void test_writers(void)
{
	struct writer writers[WRITERS];
	unsigned next[WRITERS] = { 0 }, n, i;
	struct record r;
	int fd;

	fd = prog_connect(host, port);
	for (i = 0; i < WRITERS; i++) {
		writers[i].fd = fd;
		writers[i].number = i;
		make(&writers[i].thread, write_records, &writers[i]);
	}
	for (n = 0; n < WRITERS * RECORDS; n++) {
		recv_all(fd, &r, sizeof(r));
		errno = 0;
		if (r.thread >= WRITERS || r.sequence != next[r.thread])
			prog_fail("writers: record %u of thread %u",
				  r.sequence, r.thread);
		for (i = 0; i < sizeof(r.fill); i++)
			if (r.fill[i] !=
			    (unsigned char)(r.thread + r.sequence))
				prog_fail("writers: a torn record");
		next[r.thread]++;
	}
	for (i = 0; i < WRITERS; i++)
		pthread_join(writers[i].thread, NULL);
	close(fd);
}

/* -- pairs ---------------------------------------------------------------- */

static void *ping(void *arg)
{
	uint64_t random = (uintptr_t)arg;
	char out[3000], back[3000];
	int fd, i;

	fd = prog_connect(host, port);
	for (i = 0; i < ROUNDS; i++) {
		size_t n = 1 + prog_random(&random) % sizeof(out);

		prog_pattern_fill(out, random, 0, n);
		send_all(fd, out, n);
		recv_all(fd, back, n);
		errno = 0;
		if (memcmp(out, back, n))
			prog_fail("pairs: wrong bytes");
	}
	close(fd);
	return NULL;
}

static void test_pairs(void)
{
	pthread_t threads[PAIRS];
	uintptr_t i;

	for (i = 0; i < PAIRS; i++)
		make(&threads[i], ping, (void *)(i + 1));
	for (i = 0; i < PAIRS; i++)
		pthread_join(threads[i], NULL);
}

/* -- workers on one epoll set ------------------------------------------------ */

static struct {
	int set;
	int fds[SETS];
	unsigned rounds[SETS];
	int left; /* connections that are not done */
} shared;

static void arm(int op, unsigned i)
{
	struct epoll_event e = { EPOLLIN | EPOLLONESHOT, { .u32 = i } };

	if (epoll_ctl(shared.set, op, shared.fds[i], &e))
		prog_fail("epoll_ctl");
}

static void *serve(void *arg)
{
	struct epoll_event e;
	uint32_t value;

	(void)arg;
	while (__atomic_load_n(&shared.left, __ATOMIC_ACQUIRE)) {
		int n = epoll_wait(shared.set, &e, 1, 100);

		if (n < 0)
			prog_fail("epoll_wait");
		if (!n)
			continue;
		recv_all(shared.fds[e.data.u32], &value, sizeof(value));
		errno = 0;
		if (value != shared.rounds[e.data.u32])
			prog_fail("workers: %u instead of %u", value,
				  shared.rounds[e.data.u32]);
		if (++shared.rounds[e.data.u32] == ROUNDS) {
			__atomic_fetch_sub(&shared.left, 1, __ATOMIC_RELEASE);
			continue;
		}
		value++;
		send_all(shared.fds[e.data.u32], &value, sizeof(value));
		arm(EPOLL_CTL_MOD, e.data.u32);
	}
	return NULL;
}

static void test_workers(void)
{
	pthread_t threads[READERS];
	uint32_t zero = 0;
	unsigned i;

	shared.set = epoll_create1(0);
	shared.left = SETS;
	for (i = 0; i < SETS; i++) {
		shared.fds[i] = prog_connect(host, port);
		arm(EPOLL_CTL_ADD, i);
		send_all(shared.fds[i], &zero, sizeof(zero));
	}
	for (i = 0; i < READERS; i++)
		make(&threads[i], serve, NULL);
	for (i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < SETS; i++)
		close(shared.fds[i]);
	close(shared.set);
}

/* -- acceptors -------------------------------------------------------------- */

static int listener;

static void *accept_some(void *arg)
{
	int i, fd;

	(void)arg;
	for (i = 0; i < 10; i++) {
		fd = accept(listener, NULL, NULL);
		if (fd < 0)
			prog_fail("accept");
		send_all(fd, "hello", 5);
		close(fd);
	}
	return NULL;
}

static void test_acceptors(void)
{
	pthread_t threads[READERS];
	struct sockaddr_in6 at;
	socklen_t len = sizeof(at);
	char text[8], hello[5], own[64];
	int i, fd;

	listener = prog_listen("0");
	if (getsockname(listener, (struct sockaddr *)&at, &len))
		prog_fail("getsockname");
	snprintf(text, sizeof(text), "%u", ntohs(at.sin6_port));
	snprintf(own, sizeof(own), "%s", getenv("OWN_ADDRESS"));
	for (i = 0; i < READERS; i++)
		make(&threads[i], accept_some, NULL);
	for (i = 0; i < READERS * 10; i++) {
		fd = prog_connect(own, text);
		recv_all(fd, hello, sizeof(hello));
		close(fd);
	}
	for (i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	close(listener);
}

int main(int argc, char **argv)
{
	if (argc != 3 || !getenv("OWN_ADDRESS"))
		prog_error("usage: OWN_ADDRESS=... threads ADDRESS PORT");
	host = argv[1];
	port = argv[2];
	test_readers();
	test_writers();
	test_pairs();
	test_workers();
	test_acceptors();
	printf("threads: all bytes, once and in order\n");
	return 0;
}
