// SPDX-License-Identifier: BSD-2-Clause
/*
 * echo_server - many streams, one lane, one event loop
 *
 *	echo_server PORT
 *
 * Sends back whatever it receives, until SIGTERM or SIGINT; then it prints how
 * much that was. With epoll, as a program would that has other descriptors too.
 *
 * What it shows:
 *  - The lane in an event loop: use up the completions, arm, look once more
 *    (arm says so), and only then sleep on the lane's descriptor.
 *  - A multishot accept: one request, a completion for every connection.
 *  - Sends in order: requests of one stream and direction are carried out in
 *    the order of their submission, so an echo needs no queue of its own: what
 *    was received is sent from the very same memory, and received into again
 *    when it has been sent. SLOTS of them for each connection overlap.
 *  - user_data: which connection, which slot, which kind.
 *  - The end: a receive of 0 bytes. Sends that are under way go first; then
 *    the stream is closed.
 */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <vtoe.h>

#define SLOTS 4	      /* buffers of one connection */
#define BYTES 16384u  /* of one slot */
#define MOST 1024u    /* connections */

enum kind { KIND_ACCEPT, KIND_RECEIVE, KIND_SEND, KIND_CLOSE };

struct connection {
	uint32_t stream;  /* 0: the place is free */
	unsigned under_way; /* receives and sends */
	bool ending;	  /* no more receives */
	bool closing;
	char *memory;	  /* SLOTS * BYTES of the arena; kept for the next */
};

struct server {
	struct vtoe *ctx;
	struct vtoe_lane *lane;
	uint32_t listener;
	struct connection connections[MOST];
	bool accepting;
	uint64_t bytes, accepted;
	unsigned open;
};

static void fail(const char *what, int error)
{
	fprintf(stderr, "echo_server: %s: %s\n", what,
		strerror(error < 0 ? -error : error));
	exit(1);
}

static uint64_t tag(enum kind kind, unsigned connection, unsigned slot)
{
	return (uint64_t)kind << 32 | connection << 8 | slot;
}

static struct vtoe_sqe *entry(struct server *s, enum vtoe_op op,
			      uint32_t stream, uint64_t user_data)
{
	struct vtoe_sqe *sqe;
	int rc;

	while (!(sqe = vtoe_get_sqe(s->lane))) {
		/* the queue is full: publish it, and wait for room */
		rc = vtoe_wait_sqe(s->lane, -1);
		if (rc && rc != -EINTR)
			fail("vtoe_wait_sqe", rc);
	}
	vtoe_sqe_set(sqe, op, stream, user_data);
	return sqe;
}

static void move(struct server *s, enum vtoe_op op, unsigned c, unsigned slot,
		 uint32_t bytes)
{
	struct connection *conn = &s->connections[c];
	enum kind kind = op == VTOE_OP_RECV ? KIND_RECEIVE : KIND_SEND;
	struct vtoe_sqe *sqe;
	int rc;

	sqe = entry(s, op, conn->stream, tag(kind, c, slot));
	rc = vtoe_sqe_memory(s->ctx, sqe, conn->memory + slot * BYTES, bytes);
	if (rc)
		fail("vtoe_sqe_memory", rc);
	conn->under_way++;
}

static void start_accepting(struct server *s)
{
	struct vtoe_sqe *sqe;

	if (s->accepting)
		return;
	sqe = entry(s, VTOE_OP_ACCEPT, s->listener, tag(KIND_ACCEPT, 0, 0));
	sqe->op_flags = VTOE_IO_MULTI;
	s->accepting = true;
}

static void accept_one(struct server *s, const struct vtoe_cqe *cqe)
{
	struct connection *conn;
	unsigned c, slot;

	/* Without MORE the request is over, by a limit most likely: when a
	 * connection has closed there is a chance again. */
	if (!(cqe->flags & VTOE_CQE_MORE))
		s->accepting = false;
	if (cqe->result < 0)
		return;
	for (c = 0; c < MOST && s->connections[c].stream; c++)
		;
	conn = &s->connections[c < MOST ? c : 0];
	if (c < MOST && !conn->memory)
		conn->memory = vtoe_alloc(s->ctx, SLOTS * BYTES);
	if (c == MOST || !conn->memory) {
		/* full: say so to the peer with a reset */
		entry(s, VTOE_OP_CLOSE, cqe->stream, tag(KIND_CLOSE, MOST, 0))
			->op_flags = VTOE_CLOSE_ABORT;
		return;
	}
	conn->stream = cqe->stream;
	conn->under_way = 0;
	conn->ending = conn->closing = false;
	s->accepted++;
	s->open++;
	for (slot = 0; slot < SLOTS; slot++)
		move(s, VTOE_OP_RECV, c, slot, BYTES);
}

static void handle(struct server *s, const struct vtoe_cqe *cqe)
{
	enum kind kind = (enum kind)(cqe->user_data >> 32);
	unsigned c = cqe->user_data >> 8 & 0xffffff;
	unsigned slot = cqe->user_data & 0xff;
	struct connection *conn;

	if (kind == KIND_ACCEPT) {
		accept_one(s, cqe);
		return;
	}
	if (kind == KIND_CLOSE) {
		if (c < MOST) {
			s->connections[c].stream = 0;
			s->open--;
		}
		start_accepting(s);
		return;
	}
	conn = &s->connections[c];
	conn->under_way--;
	if (kind == KIND_RECEIVE && cqe->result > 0) {
		/* back it goes, from where it came to */
		s->bytes += (uint64_t)cqe->result;
		move(s, VTOE_OP_SEND, c, slot, (uint32_t)cqe->result);
	} else if (cqe->result <= 0) {
		conn->ending = true;
	} else if (!conn->ending) {
		move(s, VTOE_OP_RECV, c, slot, BYTES);
	}
	if (conn->ending && !conn->under_way && !conn->closing) {
		conn->closing = true;
		entry(s, VTOE_OP_CLOSE, conn->stream, tag(KIND_CLOSE, c, 0));
	}
}

/* All that has completed; what that leads to is submitted in one batch. */
static void use_completions(struct server *s)
{
	struct vtoe_cqe *cqe, copy;
	int rc;

	while ((rc = vtoe_peek_cqe(s->lane, &cqe)) == 1) {
		copy = *cqe;
		vtoe_cqe_seen(s->lane);
		handle(s, &copy);
	}
	if (rc >= 0)
		rc = vtoe_submit(s->lane);
	if (rc < 0)
		fail("the backend", rc);
}

static void listen_on(struct server *s, uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons(port) };
	int rc;

	rc = vtoe_stream_open_listen(s->lane, &s->listener,
				     (struct sockaddr *)&at, sizeof(at), 128);
	if (rc)
		fail("listen", rc);
	start_accepting(s);
}

static void watch(int epoll, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		fail("epoll_ctl", errno);
}

int main(int argc, char **argv)
{
	static struct server s;
	struct epoll_event event;
	sigset_t signals;
	int epoll, stop, rc;

	if (argc != 2) {
		fprintf(stderr, "usage: echo_server PORT\n");
		return 2;
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	stop = signalfd(-1, &signals, SFD_CLOEXEC);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	rc = vtoe_open(&s.ctx, NULL);
	if (rc)
		fail("vtoe_open", rc);
	rc = vtoe_lane_open(s.ctx, &s.lane, 1024, 4096, 0);
	if (rc)
		fail("vtoe_lane_open", rc);
	listen_on(&s, (uint16_t)atoi(argv[1]));
	watch(epoll, stop);
	watch(epoll, vtoe_lane_fd(s.lane));
	/* the backend's death wakes us by this one */
	watch(epoll, vtoe_control_fd(s.ctx));
	fprintf(stderr, "listening\n");

	for (;;) {
		use_completions(&s);
		/* 1: something came while we armed. Do not sleep. */
		if (vtoe_lane_arm(s.lane))
			continue;
		if (epoll_wait(epoll, &event, 1, -1) < 0 && errno != EINTR)
			fail("epoll_wait", errno);
		if (event.data.fd == stop)
			break;
		if (!vtoe_alive(s.ctx))
			fail("the backend", ENOTCONN);
		vtoe_lane_disarm(s.lane);
	}
	printf("%llu connections, %u open, %llu bytes\n",
	       (unsigned long long)s.accepted, s.open,
	       (unsigned long long)s.bytes);
	vtoe_lane_close(s.lane);
	vtoe_close(s.ctx);
	close(epoll);
	close(stop);
	return 0;
}
