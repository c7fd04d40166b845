/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * inside_native CASE ADDRESS PORT - a program whose TCP is in itself
 *
 * Over VTOE_OPEN_TTO, to a server that echoes; what comes back is compared. CASE:
 *
 *   rr       exchanges, for each of which this process is switched to once
 *   events   the same by the lane's descriptor, as a program with an event loop
 *            does, and as fast
 *   compute  the program computes for a second: TCP goes on (MECHANISMS G4)
 *   idle     nothing is said for two seconds: nothing wakes up
 *   fork     the parent's connection outlives a child that forgets its own
 *   threads  of which two have a lane each, and two share one (G6)
 *   close    all is sent and nothing waited for: vtoe_close() does (to a server
 *            that only reads, and ends)
 *
 * Prints what it measured.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vtoe.h>

#include "tests/netns/prog.h"

enum {
	SIZE = 64,
	PATIENCE_MS = 20000,
	EXCHANGES = 2000,
	BULK = 1000000,
	SENT = 20000000,
};

struct program {
	char **argv;
	struct vtoe *ctx;
	struct vtoe_lane *lane;
};

static void check(int error, const char *what)
{
	if (error >= 0)
		return;
	errno = -error;
	prog_fail("%s", what);
}

static void program_open(struct program *p, unsigned lane_flags)
{
	struct vtoe_params params = { .flags = VTOE_OPEN_TTO };

	check(vtoe_open(&p->ctx, &params), "open");
	check(vtoe_lane_open(p->ctx, &p->lane, 0, 0, lane_flags), "lane");
}

static void program_close(struct program *p)
{
	vtoe_lane_close(p->lane);
	vtoe_close(p->ctx);
}

static uint32_t program_connect(struct program *p)
{
	struct sockaddr_storage to;
	socklen_t len = prog_address(p->argv[2], p->argv[3], &to);
	uint32_t stream = 0;
	int one = 1;

	check(vtoe_stream_open_connect(p->lane, &stream, (void *)&to, len,
				       PATIENCE_MS),
	      "connect");
	check(vtoe_stream_setsockopt(p->lane, stream, 6 /* TCP */,
				     1 /* NODELAY */, &one, sizeof(one)),
	      "TCP_NODELAY");
	return stream;
}

static void exchange(struct program *p, uint32_t stream, uint64_t number)
{
	char out[SIZE], in[SIZE];
	size_t done = 0;
	ssize_t n;

	prog_pattern_fill(out, number, 0, SIZE);
	n = vtoe_stream_send(p->lane, stream, out, SIZE, PATIENCE_MS);
	check((int)n, "send");
	while (done < SIZE) {
		n = vtoe_stream_recv(p->lane, stream, in + done, SIZE - done,
				     PATIENCE_MS);
		check((int)n, "receive");
		if (!n)
			prog_fail("the peer has closed");
		done += (size_t)n;
	}
	errno = 0;
	if (prog_pattern_check(in, number, 0, SIZE) != SIZE)
		prog_fail("response %llu is wrong", (unsigned long long)number);
}

/* Voluntary switches, of all threads. */
static long switches(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_nvcsw;
}

static void case_rr(struct program *p)
{
	uint32_t stream = program_connect(p);
	uint64_t began, i;
	long before;

	for (i = 0; i < 100; i++)
		exchange(p, stream, i);
	before = switches();
	began = prog_now_us();
	for (; i < 100 + EXCHANGES; i++)
		exchange(p, stream, i);
	before = switches() - before;
	began = prog_now_us() - began;
	printf("%ld switches in %d exchanges, %llu us each\n", before,
	       EXCHANGES, (unsigned long long)began / EXCHANGES);
	/* and the thread, once in 4 ms */
	if (before > EXCHANGES * 5 / 4 + (long)(began / 1000))
		prog_fail("the thread is woken for what the program waits for");
}

/* One request by entries, completions by the descriptor. */
static void event_exchange(struct program *p, uint32_t stream, char *buffer)
{
	struct pollfd fd = { .fd = vtoe_lane_fd(p->lane), .events = POLLIN };
	struct vtoe_cqe *cqe;
	struct vtoe_sqe *sqe;
	int left = 2, rc;

	sqe = vtoe_get_sqe(p->lane);
	vtoe_sqe_set(sqe, VTOE_OP_SEND, stream, 1);
	check(vtoe_sqe_memory(p->ctx, sqe, buffer, SIZE), "memory");
	sqe = vtoe_get_sqe(p->lane);
	vtoe_sqe_set(sqe, VTOE_OP_RECV, stream, 2);
	sqe->op_flags = VTOE_IO_WAITALL;
	check(vtoe_sqe_memory(p->ctx, sqe, buffer + SIZE, SIZE), "memory");
	check(vtoe_submit(p->lane), "submit");
	while (left) {
		rc = vtoe_peek_cqe(p->lane, &cqe);
		check(rc, "peek");
		if (rc) {
			check(cqe->result == SIZE ? 0 : -EIO, "result");
			vtoe_cqe_seen(p->lane);
			left--;
			continue;
		}
		if (vtoe_lane_arm(p->lane))
			continue;
		if (poll(&fd, 1, PATIENCE_MS) != 1)
			prog_fail("nothing wakes the event loop");
		vtoe_lane_disarm(p->lane);
	}
	errno = 0;
	if (memcmp(buffer, buffer + SIZE, SIZE))
		prog_fail("the response is wrong");
}

static void case_events(struct program *p)
{
	uint32_t stream = program_connect(p);
	char *buffer = vtoe_alloc(p->ctx, 4096);
	uint64_t began = 0, i;

	if (!buffer)
		prog_fail("arena");
	for (i = 0; i < 100 + EXCHANGES; i++) {
		if (i == 100)
			began = prog_now_us();
		prog_pattern_fill(buffer, i, 0, SIZE);
		event_exchange(p, stream, buffer);
	}
	began = (prog_now_us() - began) / EXCHANGES;
	printf("%llu us for each exchange\n", (unsigned long long)began);
	errno = 0;
	if (began > 2000)
		prog_fail("as slow as the thread's clock");
}

static void case_compute(struct program *p)
{
	uint32_t stream = program_connect(p);
	char *out = malloc(BULK), *in = malloc(BULK);
	size_t done = 0;
	uint64_t until;
	ssize_t n;

	if (!out || !in)
		prog_error("memory");
	exchange(p, stream, 1);
	prog_pattern_fill(out, 2, 0, BULK);
	n = vtoe_stream_send(p->lane, stream, out, BULK, PATIENCE_MS);
	check((int)n, "send");
	if (n != BULK)
		prog_fail("sent %zd", n);
	for (until = prog_now_ms() + 1000; prog_now_ms() < until;)
		;
	/* what is there at once: the peer had to be answered for it to come */
	while (done < BULK) {
		n = vtoe_stream_recv(p->lane, stream, in + done, BULK - done, 0);
		if (n == -ETIME)
			break;
		check((int)n, "receive");
		if (!n)
			prog_fail("the peer has closed");
		done += (size_t)n;
	}
	printf("%zu of %d bytes were there\n", done, BULK);
	errno = 0;
	if (done < BULK / 2)
		prog_fail("TCP has not gone on meanwhile");
	if (prog_pattern_check(in, 2, 0, done) != done)
		prog_fail("a byte is wrong");
	free(out);
	free(in);
}

static void case_idle(struct program *p)
{
	uint32_t stream = program_connect(p);
	char byte;
	long before;
	ssize_t n;

	exchange(p, stream, 1);
	sleep(1); /* keepalive's and other timers are far */
	before = switches();
	n = vtoe_stream_recv(p->lane, stream, &byte, 1, 2000);
	before = switches() - before;
	printf("%ld switches in two seconds\n", before);
	errno = 0;
	if (n != -ETIME)
		prog_fail("received %zd", n);
	if (before > 40)
		prog_fail("something wakes up and finds nothing");
	exchange(p, stream, 2);
}

static void child(struct program *p)
{
	struct program own = { .argv = p->argv };

	vtoe_forget(p->ctx);
	program_open(&own, 0);
	exchange(&own, program_connect(&own), 7);
	program_close(&own);
	_exit(0);
}

static void case_fork(struct program *p)
{
	uint32_t stream = program_connect(p);
	int status = -1, i;
	pid_t pid;

	for (i = 0; i < 3; i++) {
		exchange(p, stream, 1);
		pid = fork();
		if (!pid)
			child(p);
		exchange(p, stream, 2);
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			prog_error("fork");
		errno = 0;
		if (status)
			prog_fail("the child: %x", (unsigned)status);
		exchange(p, stream, 3);
	}
	printf("%d children\n", i);
}

struct thread {
	pthread_t id;
	struct program p;
	uint64_t seed;
};

static void *thread_run(void *arg)
{
	struct thread *t = arg;
	uint32_t stream = program_connect(&t->p);
	uint64_t i;

	for (i = 0; i < EXCHANGES / 4; i++)
		exchange(&t->p, stream, t->seed + i);
	return NULL;
}

static void case_threads(struct program *p)
{
	struct thread t[4];
	unsigned i;

	for (i = 0; i < 4; i++) {
		t[i].p = *p;
		t[i].seed = i * 1000000;
		if (i >= 2)
			check(vtoe_lane_open(p->ctx, &t[i].p.lane, 0, 0, 0),
			      "lane");
		if (pthread_create(&t[i].id, NULL, thread_run, &t[i]))
			prog_error("thread");
	}
	for (i = 0; i < 4; i++) {
		pthread_join(t[i].id, NULL);
		if (i >= 2)
			vtoe_lane_close(t[i].p.lane);
	}
	printf("4 threads\n");
}

static void case_close(struct program *p)
{
	uint32_t stream = program_connect(p);
	char *out = malloc(SENT);
	ssize_t n;

	if (!out)
		prog_error("memory");
	prog_pattern_fill(out, 5, 0, SENT);
	n = vtoe_stream_send(p->lane, stream, out, SENT, PATIENCE_MS);
	if (n != SENT)
		prog_fail("sent %zd", n);
	check(vtoe_stream_close(p->lane, stream, 0), "close");
	free(out);
}

static const struct {
	const char *name;
	void (*run)(struct program *p);
} cases[] = {
	{ "rr", case_rr }, { "events", case_events },
	{ "compute", case_compute }, { "idle", case_idle },
	{ "fork", case_fork }, { "threads", case_threads },
	{ "close", case_close },
};

int main(int argc, char **argv)
{
	struct program p = { .argv = argv };
	unsigned i;

	if (argc != 4)
		prog_error("usage: inside_native CASE ADDRESS PORT");
	program_open(&p, VTOE_LANE_LOCKED);
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (!strcmp(argv[1], cases[i].name))
			break;
	if (i == sizeof(cases) / sizeof(*cases))
		prog_error("%s: no such case", argv[1]);
	cases[i].run(&p);
	program_close(&p);
	return 0;
}
