/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kernel.c - the transport to compare with: the kernel's own sockets
 *
 * One stream: blocking send() and recv(). Several: non-blocking calls, and
 * epoll (edge-triggered) when none of them gets on. A stream has at most one
 * request posted in each direction; more would only add bookkeeping, because
 * the kernel can fill a buffer no earlier than the call that names it.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport.h"

struct request {
	uint8_t *at;
	size_t bytes, done;
	uint64_t tag;
	bool posted, all, ready;
};

struct kernel_stream {
	int fd;
	struct request in, out;
};

struct kernel {
	struct transport base;
	int epoll;
	unsigned used;	 /* numbers given out: 0 .. used-1 */
	unsigned live;	 /* of them, connected */
	unsigned cursor; /* where the next look for work begins */
	unsigned room;
	struct kernel_stream streams[];
};

static struct kernel *kernel_of(struct transport *t)
{
	return (struct kernel *)t;
}

static int kernel_open(struct transport **t, const struct bench_options *o,
		       unsigned max_streams)
{
	struct kernel *k;

	(void)o;
	k = calloc(1, sizeof(*k) + max_streams * sizeof(k->streams[0]));
	if (!k)
		return -ENOMEM;
	k->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (k->epoll < 0) {
		free(k);
		return -errno;
	}
	k->room = max_streams;
	k->base.ops = &transport_kernel;
	*t = &k->base;
	return 0;
}

static void kernel_drop(struct transport *t, unsigned stream)
{
	struct kernel *k = kernel_of(t);

	close(k->streams[stream].fd);
	k->streams[stream] = (struct kernel_stream){ .fd = -1 };
	k->live--;
	while (k->used && k->streams[k->used - 1].fd < 0)
		k->used--;
}

static void kernel_close(struct transport *t)
{
	struct kernel *k = kernel_of(t);

	while (k->used)
		kernel_drop(t, k->used - 1);
	close(k->epoll);
	free(k);
}

static unsigned kernel_depth(const struct transport *t, unsigned wanted)
{
	(void)t;
	(void)wanted;
	return 1;
}

static void *kernel_alloc(struct transport *t, size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	(void)t;
	return at == MAP_FAILED ? NULL : at;
}

static int kernel_connect(struct transport *t, const struct sockaddr *to,
			  socklen_t len, unsigned *stream)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET };
	struct kernel *k = kernel_of(t);
	int one = 1, fd, error;

	if (k->used == k->room)
		return -ENOSPC;
	fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	event.data.u32 = k->used;
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) ||
	    connect(fd, to, len))
		goto fail;
	/* A lone stream never polls: spare it the cost of being watched. */
	if (k->room > 1 && epoll_ctl(k->epoll, EPOLL_CTL_ADD, fd, &event))
		goto fail;
	*stream = k->used++;
	k->streams[*stream] = (struct kernel_stream){ .fd = fd };
	k->streams[*stream].in.ready = true;
	k->streams[*stream].out.ready = true;
	k->live++;
	return 0;
fail:
	error = errno;
	close(fd);
	return -error;
}

static int request_post(struct request *r, void *at, size_t bytes, bool all,
			uint64_t tag)
{
	if (r->posted)
		return -EBUSY;
	r->at = at;
	r->bytes = bytes;
	r->done = 0;
	r->tag = tag;
	r->all = all;
	r->posted = true;
	return 0;
}

static int kernel_recv(struct transport *t, unsigned stream, void *into,
		       size_t bytes, bool all, uint64_t tag)
{
	return request_post(&kernel_of(t)->streams[stream].in, into, bytes,
			    all, tag);
}

static int kernel_send(struct transport *t, unsigned stream, const void *from,
		       size_t bytes, bool quiet, uint64_t tag)
{
	(void)quiet;
	return request_post(&kernel_of(t)->streams[stream].out, (void *)from,
			    bytes, true, tag);
}

/* One call for the request. -> whether it completed, into *event */
static bool request_try(struct request *r, int fd, bool out, int flags,
			struct transport_event *event)
{
	ssize_t n;

	if (out)
		n = send(fd, r->at + r->done, r->bytes - r->done,
			 flags | MSG_NOSIGNAL);
	else
		n = recv(fd, r->at + r->done, r->bytes - r->done,
			 flags | (r->all ? MSG_WAITALL : 0));
	if (n < 0 && errno == EINTR)
		return false;
	if (n < 0 && errno == EAGAIN && (flags & MSG_DONTWAIT)) {
		r->ready = false;
		return false;
	}
	if (n > 0) {
		r->done += n;
		if (r->all && r->done < r->bytes)
			return false;
		n = r->done;
	}
	event->tag = r->tag;
	event->result = n < 0 ? -errno : n;
	r->posted = false;
	return true;
}

static int kernel_wait_alone(struct kernel_stream *s,
			     struct transport_event *event)
{
	/* What is to be sent first is what the far end may be waiting for. */
	while (s->out.posted)
		if (request_try(&s->out, s->fd, true, 0, event))
			return 0;
	while (s->in.posted)
		if (request_try(&s->in, s->fd, false, 0, event))
			return 0;
	return -EINVAL;
}

static bool kernel_scan(struct kernel *k, struct transport_event *event)
{
	unsigned i, at, first = k->cursor;

	for (i = 0; i < k->used; i++) {
		struct kernel_stream *s;

		at = (first + i) % k->used;
		s = &k->streams[at];
		k->cursor = at + 1;
		while (s->out.posted && s->out.ready)
			if (request_try(&s->out, s->fd, true, MSG_DONTWAIT,
					event))
				return true;
		while (s->in.posted && s->in.ready)
			if (request_try(&s->in, s->fd, false, MSG_DONTWAIT,
					event))
				return true;
	}
	return false;
}

static int kernel_wait(struct transport *t, struct transport_event *event)
{
	struct kernel *k = kernel_of(t);
	struct epoll_event events[64];
	int i, n;

	if (k->room == 1)
		return kernel_wait_alone(&k->streams[0], event);
	while (!kernel_scan(k, event)) {
		n = epoll_wait(k->epoll, events, 64, TRANSPORT_TIMEOUT_MS);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -ETIMEDOUT;
		for (i = 0; i < n; i++) {
			struct kernel_stream *s;

			s = &k->streams[events[i].data.u32];
			if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
				s->in.ready = true;
			if (events[i].events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
				s->out.ready = true;
		}
	}
	return 0;
}

static int kernel_shutdown(struct transport *t, unsigned stream)
{
	return shutdown(kernel_of(t)->streams[stream].fd, SHUT_WR) ? -errno : 0;
}

static void kernel_count(const struct transport *t,
			 struct transport_counters *to)
{
	(void)t;
	*to = (struct transport_counters){ 0 };
}

const struct transport_ops transport_kernel = {
	.name = "kernel",
	.open = kernel_open,
	.close = kernel_close,
	.depth = kernel_depth,
	.alloc = kernel_alloc,
	.connect = kernel_connect,
	.recv = kernel_recv,
	.send = kernel_send,
	.wait = kernel_wait,
	.shutdown = kernel_shutdown,
	.drop = kernel_drop,
	.count = kernel_count,
};
