// SPDX-License-Identifier: BSD-2-Clause
/*
 * zero_copy_receiver - receive into one's own memory, with no copy
 *
 *	zero_copy_receiver ADDRESS PORT		connect, and receive
 *	zero_copy_receiver -l PORT		listen, and receive from the first
 *
 * Receives until the other side is done, then prints how much came, how fast,
 * and how many bytes the library copied: none. Try it with
 *
 *	nc -l 5001 </dev/zero	on another machine, and here
 *	zero_copy_receiver 192.0.2.7 5001
 *
 * What it shows: memory that the program allocated itself is registered once;
 * DEPTH receives are kept posted, so that the backend always has a place to put
 * the next bytes; a completion says where they are; the same piece is posted
 * again when its bytes have been used. The kernel of the backend's side writes
 * straight into `memory`.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <vtoe.h>

#define DEPTH 8	       /* receives that are posted at once */
#define PIECE 262144u  /* bytes of each: a multiple of the page */

static void fail(const char *what, int error)
{
	fprintf(stderr, "zero_copy_receiver: %s: %s\n", what,
		strerror(error < 0 ? -error : error));
	exit(1);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Connection set-up is not where speed matters: the blocking helpers do. */
static uint32_t connect_or_accept(struct vtoe_lane *lane, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	int listening = !strcmp(argv[1], "-l"), rc;
	uint32_t listener, stream;

	address.sin_port = htons((uint16_t)atoi(argv[2]));
	if (!listening && inet_pton(AF_INET, argv[1], &address.sin_addr) != 1)
		fail(argv[1], EINVAL);
	if (!listening) {
		rc = vtoe_stream_open_connect(lane, &stream,
					      (struct sockaddr *)&address,
					      sizeof(address), 10000);
		if (rc)
			fail("connect", rc);
		return stream;
	}
	rc = vtoe_stream_open_listen(lane, &listener,
				     (struct sockaddr *)&address,
				     sizeof(address), 1);
	if (rc)
		fail("listen", rc);
	fprintf(stderr, "listening\n");
	rc = vtoe_stream_accept(lane, listener, &stream, NULL, NULL, -1);
	if (rc)
		fail("accept", rc);
	vtoe_stream_close(lane, listener, 0);
	return stream;
}

/* Posts piece number i. user_data comes back with the completion. */
static void post(struct vtoe *ctx, struct vtoe_lane *lane, uint32_t stream,
		 char *memory, unsigned i)
{
	struct vtoe_sqe *sqe;
	int rc;

	while (!(sqe = vtoe_get_sqe(lane))) {
		/* the queue is full: publish it, and wait for room */
		rc = vtoe_wait_sqe(lane, -1);
		if (rc && rc != -EINTR)
			fail("vtoe_wait_sqe", rc);
	}
	vtoe_sqe_set(sqe, VTOE_OP_RECV, stream, i);
	rc = vtoe_sqe_memory(ctx, sqe, memory + (size_t)i * PIECE, PIECE);
	if (rc)
		fail("vtoe_sqe_memory", rc);
}

/* A program of use would parse here; this one looks at every byte. */
static uint64_t use(const char *bytes, size_t n)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < n; i++)
		sum += (unsigned char)bytes[i];
	return sum;
}

int main(int argc, char **argv)
{
	struct vtoe_counters counters;
	uint64_t total = 0, sum = 0;
	struct vtoe_lane *lane;
	unsigned i, posted;
	struct vtoe *ctx;
	uint32_t stream;
	double begun;
	char *memory;
	int rc;

	if (argc != 3) {
		fprintf(stderr, "usage: zero_copy_receiver ADDRESS PORT\n"
				"       zero_copy_receiver -l PORT\n");
		return 2;
	}
	/* The device's socket: $VTOE_SOCKET, or the only one in /run/vtoe. */
	rc = vtoe_open(&ctx, NULL);
	if (rc)
		fail("vtoe_open", rc);
	rc = vtoe_lane_open(ctx, &lane, 0, 0, 0);
	if (rc)
		fail("vtoe_lane_open", rc);

	/* Our own memory, whole pages of it, registered once. */
	memory = mmap(NULL, DEPTH * PIECE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		fail("mmap", errno);
	rc = vtoe_register(ctx, memory, DEPTH * PIECE, VTOE_WRITE);
	if (rc)
		fail("vtoe_register", rc);

	stream = connect_or_accept(lane, argv);
	begun = seconds();
	for (posted = 0; posted < DEPTH; posted++)
		post(ctx, lane, stream, memory, posted);
	while (posted) {
		struct vtoe_cqe *cqe;

		/* Submits what was got, then waits: spins shortly, sleeps. */
		rc = vtoe_wait_cqe(lane, &cqe, -1);
		if (rc == -EINTR)
			continue;
		if (rc)
			fail("vtoe_wait_cqe", rc);
		i = (unsigned)cqe->user_data;
		rc = cqe->result;
		vtoe_cqe_seen(lane);
		posted--;
		if (rc < 0 && rc != -ECANCELED)
			fail("receive", rc);
		if (rc <= 0)
			continue; /* the end: the other pieces end too */
		/* Receives of one stream complete in order: so do its bytes. */
		sum += use(memory + (size_t)i * PIECE, (size_t)rc);
		total += (uint64_t)rc;
		post(ctx, lane, stream, memory, i);
		posted++;
	}
	begun = seconds() - begun;

	vtoe_get_counters(ctx, &counters);
	printf("%llu bytes in %.2f s: %.2f Gbit/s; sum %llu; "
	       "registrations %llu, bytes copied by the library %llu\n",
	       (unsigned long long)total, begun,
	       (double)total * 8 / 1e9 / (begun > 0 ? begun : 1),
	       (unsigned long long)sum,
	       (unsigned long long)counters.registrations,
	       (unsigned long long)counters.bytes_copied);
	vtoe_stream_close(lane, stream, 0);
	/* Before the memory goes away. */
	vtoe_unregister(ctx, memory, DEPTH * PIECE);
	munmap(memory, DEPTH * PIECE);
	vtoe_lane_close(lane);
	vtoe_close(ctx);
	return 0;
}
