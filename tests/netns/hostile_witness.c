/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile_witness.c - the well-behaved peer, and the servers that all use
 */
#include "hostile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* -- witness -- */

struct witness_shared {
	uint64_t bytes;
	bool stop;
	char text[256];
};

struct witness {
	struct witness_shared *shared;
	const char *name;
	uint64_t seen, step; /* more than step each time */
	pid_t pid;
};

static uint8_t pattern(uint64_t at)
{
	at *= 0x9e3779b97f4a7c15ull;
	return (uint8_t)(at >> 56);
}

/* One chunk there and back, each byte checked. */
static const char *exchange(struct rig *g, uint32_t stream, uint64_t at,
			    uint32_t bytes)
{
	uint8_t *out = g->peer.memory + g->memory;
	uint8_t *in = out + RIG_BYTES / 2;
	uint32_t i, got = 0;
	int result;

	for (i = 0; i < bytes; i++)
		out[i] = pattern(at + i);
	memset(in, 0xee, bytes);
	result = raw_memory(&g->lane, VTOE_OP_SEND, stream, g->key, 0, bytes,
			    0, NULL);
	TRY(want_result((int)bytes, result));
	while (got < bytes) {
		result = raw_memory(&g->lane, VTOE_OP_RECV, stream, g->key,
				    RIG_BYTES / 2 + got, bytes - got, 0, NULL);
		if (result <= 0)
			return wrong("RECV after %u of %u: %d", got, bytes,
				     result);
		got += (uint32_t)result;
	}
	for (i = 0; i < bytes; i++)
		if (in[i] != pattern(at + i))
			return wrong("byte %u of %u is %#x, not %#x", i, bytes,
				     in[i], pattern(at + i));
	return NULL;
}

static void witness_run(struct witness_shared *w, const struct hostile *h)
{
	uint32_t stream = 0, bytes, seed = 1;
	const char *text;
	struct rig g;

	text = rig_open(&g, h);
	if (!text)
		text = rig_stream(&g, &h->echo, &stream);
	while (!text && !__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
		seed = seed * 1664525u + 1013904223u;
		bytes = 1 + (seed >> 8) % (RIG_BYTES / 2);
		text = exchange(&g, stream, w->bytes, bytes);
		if (!text)
			__atomic_fetch_add(&w->bytes, bytes, __ATOMIC_RELEASE);
		if (h->share > 1) /* a slow machine's one processor */
			poll(NULL, 0, 20);
	}
	if (text)
		snprintf(w->text, sizeof(w->text), "%s", text);
	_exit(text ? 1 : 0);
}

struct witness *witness_start(const struct hostile *of, const char *socket,
			      const char *name)
{
	struct hostile h = *of;
	struct witness *w = calloc(1, sizeof(*w));

	if (!w)
		abort();
	h.socket = socket;
	w->step = RIG_BYTES / h.share;
	w->name = name;
	w->shared = mmap(NULL, sizeof(*w->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (w->shared == MAP_FAILED)
		abort();
	w->pid = fork();
	if (w->pid < 0)
		abort();
	if (w->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		witness_run(w->shared, &h);
	}
	return w;
}

const char *witness_check(struct witness *w)
{
	uint64_t bytes = w->seen;
	int waited;

	for (waited = 0; waited < 10000; waited += 5) {
		bytes = __atomic_load_n(&w->shared->bytes, __ATOMIC_ACQUIRE);
		if (bytes > w->seen + w->step)
			break;
		if (waitpid(w->pid, NULL, WNOHANG) != 0)
			return wrong("witness %s ended: %s", w->name,
				     w->shared->text);
		poll(NULL, 0, 5);
	}
	if (bytes <= w->seen + w->step)
		return wrong("witness %s stands still", w->name);
	w->seen = bytes;
	return NULL;
}

uint64_t witness_stop(struct witness *w)
{
	uint64_t bytes;

	__atomic_store_n(&w->shared->stop, true, __ATOMIC_RELEASE);
	waitpid(w->pid, NULL, 0);
	bytes = w->shared->bytes;
	munmap(w->shared, sizeof(*w->shared));
	free(w);
	return bytes;
}

/* -- servers -- */

static void *serve_echo(void *arg)
{
	int fd = (int)(intptr_t)arg;
	ssize_t n, sent, part;
	char buffer[65536];

	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		for (sent = 0; sent < n; sent += part) {
			part = send(fd, buffer + sent, (size_t)(n - sent),
				    MSG_NOSIGNAL);
			if (part <= 0)
				goto out;
		}
out:
	close(fd);
	return NULL;
}

static void *serve_deaf(void *arg)
{
	struct pollfd p = { .fd = (int)(intptr_t)arg, .events = POLLRDHUP };

	poll(&p, 1, -1);
	close(p.fd);
	return NULL;
}

static int serve_listen(const char *ip, uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons(port) };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || inet_pton(AF_INET, ip, &at.sin_addr) != 1)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 1024))
		return -1;
	return fd;
}

int hostile_serve(const char *ip, uint16_t port)
{
	void *(*serve[2])(void *) = { serve_echo, serve_deaf };
	struct pollfd p[2] = { { .events = POLLIN }, { .events = POLLIN } };
	pthread_attr_t detached;
	pthread_t thread;
	int i, fd;

	for (i = 0; i < 2; i++) {
		p[i].fd = serve_listen(ip, (uint16_t)(port + i));
		if (p[i].fd < 0) {
			fprintf(stderr, "cannot listen on %s port %d: %s\n",
				ip, port + i, strerror(errno));
			return 99;
		}
	}
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&detached, 256 * 1024);
	for (;;) {
		poll(p, 2, -1);
		for (i = 0; i < 2; i++) {
			if (!(p[i].revents & POLLIN))
				continue;
			fd = accept(p[i].fd, NULL, NULL);
			if (fd >= 0 && pthread_create(&thread, &detached,
						      serve[i],
						      (void *)(intptr_t)fd))
				close(fd);
		}
	}
}
