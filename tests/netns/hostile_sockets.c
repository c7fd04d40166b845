/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile_sockets.c - the unix socket, the descriptors that came over it, and
 * clients that do half of what they should
 */
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* -- bytes on a socket that only the backend writes -- */

struct bytes {
	unsigned count;
	int flags;
	bool before_hello;
	unsigned descriptors;
};

static void send_descriptors(int socket, unsigned count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(250 * sizeof(int))];
	} control = { 0 };
	char byte = 'x';
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = CMSG_SPACE(count * sizeof(int)) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	unsigned i;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(count * sizeof(int));
	for (i = 0; i < count; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(int), &socket, sizeof(int));
	sendmsg(socket, &m, MSG_NOSIGNAL);
}

static const char *garbage(const struct hostile *h, const void *arg)
{
	static const char text[4096] = "GET / HTTP/1.1\r\n";
	const struct bytes *b = arg;
	struct raw_peer p;
	const char *why;
	int error;

	error = raw_connect(&p, h->socket);
	if (!error && !b->before_hello)
		error = raw_hello(&p);
	if (error)
		return want_result(0, error);
	if (b->descriptors)
		send_descriptors(p.socket, b->descriptors);
	else
		send(p.socket, text, b->count, b->flags | MSG_NOSIGNAL);
	/* Of a byte out of band the kernel may show only that it came. */
	why = b->flags & MSG_OOB ? NULL :
				   want_parked(&p, VTOE_VIOLATION_DATA);
	if (!why)
		why = want_hangup(&p);
	raw_close(&p);
	return why;
}

#define BYTES(name, ...) static const struct bytes name = { __VA_ARGS__ }
BYTES(one_byte, .count = 1);
BYTES(a_page, .count = 4096);
BYTES(early, .count = 100, .before_hello = true);
BYTES(out_of_band, .count = 1, .flags = MSG_OOB);
BYTES(descriptor, .descriptors = 1);
BYTES(descriptors, .descriptors = 250);

/* -- leaving in odd ways -- */

static const char *half_closed(const struct hostile *h, const void *arg)
{
	const char *text;
	struct rig g;

	TRY(rig_open(&g, h));
	shutdown(g.peer.socket, arg ? SHUT_RDWR : SHUT_WR);
	text = want_hangup(&g.peer);
	rig_close(&g);
	return text;
}

static const char *open_and_close(const struct hostile *h, const void *arg)
{
	int i, fd;

	(void)arg;
	for (i = 0; i < 1000; i++) {
		fd = raw_dial(h->socket);
		if (fd < 0)
			return want_result(0, fd);
		close(fd);
	}
	return NULL;
}

/* The whole handshake, a lane and a region each, then gone without a word. */
static const char *open_and_die(const struct hostile *h, const void *arg)
{
	struct rig g;
	int i;

	(void)arg;
	for (i = 0; i < 200; i++) {
		TRY(rig_open(&g, h));
		rig_close(&g);
	}
	return NULL;
}

/* Killed with everything under way. */
static const char *killed(const struct hostile *h, const void *arg)
{
	struct vtoe_sqe s = { .op = VTOE_OP_SEND };
	int round, i, status;
	struct rig g;
	pid_t pid;

	(void)arg;
	for (round = 0; round < 10; round++) {
		pid = fork();
		if (pid < 0)
			return wrong("cannot fork");
		if (pid == 0) {
			if (rig_open(&g, h) ||
			    rig_stream(&g, &h->echo, &s.stream))
				_exit(1);
			s.key = g.key;
			for (i = 0; i < 60; i++) {
				s.op = i % 2 ? VTOE_OP_SEND : VTOE_OP_RECV;
				s.length = 1u << i % 15;
				s.user_data = 0;
				raw_put(&g.lane, &s);
			}
			raw_submit(&g.lane);
			raise(SIGKILL);
		}
		waitpid(pid, &status, 0);
		if (!WIFSIGNALED(status))
			return wrong("the client did not get that far");
	}
	return NULL;
}

/* -- half of the handshake -- */

#define IDLE 8

static const char *half_handshake(const struct hostile *h, const void *arg)
{
	int fds[IDLE], fd, i;
	const char *text = NULL;
	int64_t value;
	struct rig g;

	(void)arg;
	for (i = 0; i < IDLE; i++) {
		fds[i] = raw_dial(h->socket);
		/* Some read nothing, some a message or two. */
		if (fds[i] >= 0 && i % 2)
			raw_receive(fds[i], &value, &fd, 1000);
	}
	text = rig_open(&g, h);
	if (!text) {
		text = want_answers(&g.lane);
		rig_close(&g);
	}
	for (i = 0; i < IDLE; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return text;
}

/* Never a HELLO: parked and disconnected when its time is over. */
static const char *no_hello(const struct hostile *h, const void *arg)
{
	struct raw_peer p;
	const char *text;
	int error;

	(void)arg;
	error = raw_connect(&p, h->socket);
	if (error)
		return want_result(0, error);
	text = want_parked(&p, VTOE_VIOLATION_HELLO);
	if (text)
		text = want_parked(&p, VTOE_VIOLATION_HELLO);
	if (!text)
		text = want_hangup(&p);
	raw_close(&p);
	return text;
}

#define MANY 4096

/* Connections until the device's quota; those that have one keep it, and all
 * is free again when they have left. */
static const char *over_quota(const struct hostile *h, const void *arg)
{
	static int fds[MANY];
	const char *text;
	struct raw_peer p;
	int made, error = 0, i;

	(void)arg;
	for (made = 0; made < MANY; made++) {
		error = raw_connect(&p, h->socket);
		if (!error)
			error = raw_hello(&p);
		if (error)
			break;
		/* Only the socket counts; our own descriptors are few. */
		fds[made] = dup(p.socket);
		raw_close(&p);
	}
	text = want_result(-EUSERS, error);
	if (!text && made == 0)
		text = wrong("nobody was let in");
	for (i = 0; i < made; i++)
		close(fds[i]);
	return text;
}

/* -- the memory -- */

static const char *resize(const struct hostile *h, const void *arg)
{
	const char *text = NULL;
	struct rig g;

	(void)arg;
	TRY(rig_open(&g, h));
	if (ftruncate(g.peer.memory_fd, 4096) == 0 || errno != EPERM)
		text = wrong("shrinking: %s", strerror(errno));
	else if (ftruncate(g.peer.memory_fd,
			   (off_t)g.peer.bytes + 4096) == 0 || errno != EPERM)
		text = wrong("growing: %s", strerror(errno));
	else if (fcntl(g.peer.memory_fd, F_ADD_SEALS, F_SEAL_WRITE) == 0 ||
		 (errno != EPERM && errno != EBUSY))
		text = wrong("sealing: %s", strerror(errno));
	if (!text)
		text = want_answers(&g.lane);
	rig_close(&g);
	return text;
}

/* -- eventfds: their flags and counters are ours as much as theirs -- */

static void fill(int fd)
{
	uint64_t most = 0xfffffffffffffffeull;
	uint64_t count;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	/* Empty first, so that it fits; then to the brim. */
	while (read(fd, &count, sizeof(count)) > 0)
		;
	if (write(fd, &most, sizeof(most)) < 0)
		return;
}

/* Completions with notification, to a vector that is full and blocking. */
static const char *vector_full(const struct hostile *h, const void *arg)
{
	const char *text = NULL;
	struct rig g;
	unsigned i, spins;

	(void)arg;
	TRY(rig_open(&g, h));
	for (i = 0; i < 20 && !text; i++) {
		struct vtoe_sqe s = { .op = VTOE_OP_NOP };

		vtoe_ring_arm(&g.lane.cq);
		fill(g.peer.vectors[1]);
		fcntl(g.peer.vectors[1], F_SETFL, 0);
		raw_put(&g.lane, &s);
		raw_submit(&g.lane);
		raw_ring_doorbell(&g.peer);
		for (spins = 0; spins < 5000; spins++) {
			if (vtoe_ring_peek(&g.lane.cq))
				break;
			poll(NULL, 0, 1);
		}
		if (!vtoe_ring_peek(&g.lane.cq))
			text = wrong("no completion of round %u", i);
		vtoe_ring_advance(&g.lane.cq);
		vtoe_ring_release(&g.lane.cq);
	}
	/* Left as it is, full and blocking, when the connection ends. */
	if (!text)
		text = want_answers(&g.other);
	rig_close(&g);
	return text;
}

/* A doorbell that can take no more is not heard; emptied, it is again. */
static const char *doorbell_full(const struct hostile *h, const void *arg)
{
	struct vtoe_sqe s = { .op = VTOE_OP_NOP };
	const char *text = NULL;
	struct vtoe_cqe c;
	uint64_t count;
	struct rig g;
	ssize_t n;
	int i;

	(void)arg;
	TRY(rig_open(&g, h));
	for (i = 0; i < 20 && !text; i++) {
		fill(g.peer.doorbell);
		s.user_data = 0;
		raw_put(&g.lane, &s);
		raw_submit(&g.lane);
		n = read(g.peer.doorbell, &count, sizeof(count));
		(void)n;
		raw_ring_doorbell(&g.peer);
		text = want_result(0, raw_next(&g.lane, &c, RAW_TIMEOUT_MS));
	}
	if (!text)
		text = want_answers(&g.other);
	fill(g.peer.doorbell);
	rig_close(&g);
	return text;
}

struct thief {
	int fd;
	bool stop;
};

static void *steal(void *arg)
{
	struct thief *t = arg;
	struct pollfd p = { .fd = t->fd, .events = POLLIN };
	uint64_t count;

	while (!__atomic_load_n(&t->stop, __ATOMIC_RELAXED)) {
		fcntl(t->fd, F_SETFL, 0);
		if (poll(&p, 1, 1) != 1)
			continue;
		fcntl(t->fd, F_SETFL, O_NONBLOCK);
		if (read(t->fd, &count, sizeof(count)) < 0)
			continue;
	}
	return NULL;
}

/* The doorbell is made blocking, and emptied by us between the backend's look
 * and its read. */
static const char *doorbell_stolen(const struct hostile *h, const void *arg)
{
	struct vtoe_sqe s = { .op = VTOE_OP_NOP };
	struct thief t = { 0 };
	const char *text = NULL;
	struct vtoe_cqe c;
	pthread_t thread;
	struct rig g;
	int i;

	(void)arg;
	TRY(rig_open(&g, h));
	t.fd = g.peer.doorbell;
	pthread_create(&thread, NULL, steal, &t);
	for (i = 0; i < 3000; i++) {
		s.user_data = 0;
		raw_put(&g.lane, &s);
		raw_submit(&g.lane);
		raw_ring_doorbell(&g.peer);
		raw_next(&g.lane, &c, 1);
	}
	__atomic_store_n(&t.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	/* The worker must be there for the others all the same. */
	rig_close(&g);
	text = rig_open(&g, h);
	if (!text) {
		text = want_answers(&g.lane);
		rig_close(&g);
	}
	return text;
}

static const struct hostile_case cases[] = {
	{ "socket-one-byte", "P-8", "connection parked: DATA; closed",
	  garbage, &one_byte },
	{ "socket-a-page", "P-8", "connection parked: DATA; closed", garbage,
	  &a_page },
	{ "socket-before-hello", "P-8", "connection parked: DATA; closed",
	  garbage, &early },
	{ "socket-out-of-band", "P-8", "closed",
	  garbage, &out_of_band },
	{ "socket-descriptor", "P-8", "connection parked: DATA; closed",
	  garbage, &descriptor },
	{ "socket-250-descriptors", "P-8", "connection parked: DATA; closed",
	  garbage, &descriptors },
	{ "socket-half-closed", "section 11", "leaving", half_closed, NULL },
	{ "socket-shut-down", "section 11", "leaving", half_closed, "" },
	{ "connect-and-close-1000", "section 11", "nothing left behind",
	  open_and_close, NULL },
	{ "connect-and-die-200", "section 11", "nothing left behind",
	  open_and_die, NULL },
	{ "killed-under-io", "section 11", "nothing left behind", killed,
	  NULL },
	{ "half-handshake", "P-9", "others are served", half_handshake,
	  NULL },
	{ "no-hello-in-time", "P-9", "connection parked: HELLO; closed",
	  no_hello, NULL },
	{ "connections-over-quota", "section 12", "refused: -EUSERS",
	  over_quota, NULL },
	{ "memory-resized", "section 4", "EPERM", resize, NULL },
	{ "vector-full-and-blocking", "P-11", "not notified", vector_full, NULL },
	{ "doorbell-full", "P-11", "not heard", doorbell_full, NULL },
	{ "doorbell-stolen-and-blocking", "P-11", "own delay",
	  doorbell_stolen, NULL },
};
HOSTILE_TABLE(hostile_sockets, cases);
