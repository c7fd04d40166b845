/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exact_native ADDRESS PORT STREAMS BYTES SEED [tto] - random posting, byte-exact
 *
 * MECHANISMS H9 to H13: the client of `exact serve` over libvtoe, on one lane.
 * Buffers are posted and sends submitted in an order, number and size that
 * SEED draws; streams with an odd index also turn generic receive (GRQ) on and
 * off at random, so that data arrives before, between and after the posts.
 * Half of the memory is the arena's, half registered. The bytes of a stream,
 * read in the order of its completions, must be its sequence: no hole, no
 * duplicate, no swap. With tto, TCP is in this process (VTOE_OPEN_TTO).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <vtoe.h>

#include "tests/netns/exact.h"
#include "tests/netns/prog.h"

#define DEPTH 4		/* posted receives, and sends, of one stream */
#define SLOT 65536	/* bytes of one buffer */
#define GENERIC 256	/* generic buffers */
#define GENERIC_SIZE 8192
#define PATIENCE_MS 20000

enum kind { KIND_RECV, KIND_SEND, KIND_SHUTDOWN, KIND_MODE, KIND_GIVE };

struct stream {
	uint32_t id;
	struct exact_header header;
	char *in_memory, *out_memory; /* DEPTH slots each */
	uint32_t in_size[DEPTH], out_size[DEPTH];
	unsigned in_head, in_tail;   /* posted, completed: free-running */
	unsigned out_head, out_tail;
	uint64_t in_done, out_posted;
	int in_ended, out_ended, shutdown_posted;
	int generic, mode_pending;
};

struct run {
	struct vtoe *ctx;
	struct vtoe_lane *lane;
	struct stream *streams;
	uint32_t count, ended;
	uint64_t random;
	uint64_t posted_bytes, generic_bytes;
	char *generic;
};

static uint64_t tag(const struct run *r, const struct stream *s, enum kind kind)
{
	return (uint64_t)(s - r->streams) << 8 | kind | 1ull << 63;
}

static struct vtoe_sqe *get_sqe(struct run *r)
{
	struct vtoe_sqe *sqe = vtoe_get_sqe(r->lane);

	if (!sqe) {
		if (vtoe_submit(r->lane) < 0)
			prog_fail("submit");
		sqe = vtoe_get_sqe(r->lane);
	}
	errno = 0;
	if (!sqe)
		prog_error("the submission queue is too short for this test");
	return sqe;
}

static void set_memory(struct run *r, struct vtoe_sqe *sqe, void *at,
		       size_t bytes)
{
	int error = vtoe_sqe_memory(r->ctx, sqe, at, bytes);

	errno = -error;
	if (error)
		prog_fail("memory of a request");
}

static uint32_t random_size(struct run *r)
{
	uint64_t x = prog_random(&r->random);

	return 1 + (uint32_t)((x >> 8) % ((x & 3) ? SLOT : 100));
}

/* -- requests ------------------------------------------------------------ */

static int post_recv(struct run *r, struct stream *s)
{
	unsigned slot = s->in_head % DEPTH;
	struct vtoe_sqe *sqe;

	if (s->in_ended || s->in_head - s->in_tail == DEPTH)
		return 0;
	s->in_head++;
	s->in_size[slot] = random_size(r);
	sqe = get_sqe(r);
	vtoe_sqe_set(sqe, VTOE_OP_RECV, s->id, tag(r, s, KIND_RECV));
	set_memory(r, sqe, s->in_memory + slot * SLOT, s->in_size[slot]);
	return 1;
}

static int post_send(struct run *r, struct stream *s)
{
	uint64_t left = s->header.bytes - s->out_posted;
	unsigned slot = s->out_head % DEPTH;
	char *at = s->out_memory + slot * SLOT;
	struct vtoe_sqe *sqe;
	uint32_t size;

	if (!left) {
		if (s->shutdown_posted)
			return 0;
		s->shutdown_posted = 1;
		sqe = get_sqe(r);
		vtoe_sqe_set(sqe, VTOE_OP_SHUTDOWN, s->id,
			     tag(r, s, KIND_SHUTDOWN));
		sqe->length = 1;
		return 1;
	}
	if (s->out_head - s->out_tail == DEPTH)
		return 0;
	s->out_head++;
	size = random_size(r);
	if (size > left)
		size = (uint32_t)left;
	s->out_size[slot] = size;
	prog_pattern_fill(at, exact_up_seed(&s->header), s->out_posted, size);
	s->out_posted += size;
	sqe = get_sqe(r);
	vtoe_sqe_set(sqe, VTOE_OP_SEND, s->id, tag(r, s, KIND_SEND));
	set_memory(r, sqe, at, size);
	return 1;
}

static void set_generic(struct run *r, struct stream *s, int on)
{
	struct vtoe_sqe *sqe = get_sqe(r);

	vtoe_sqe_set(sqe, VTOE_OP_GRQ_MODE, s->id, tag(r, s, KIND_MODE));
	sqe->op_flags = (uint32_t)on;
	s->generic = on;
	s->mode_pending = 1;
}

static void give_generic(struct run *r, void *at, uint32_t bytes,
			 uint32_t count)
{
	struct vtoe_sqe *sqe = get_sqe(r);

	vtoe_sqe_set(sqe, VTOE_OP_GRQ_ADD, VTOE_STREAM_NONE,
		     1ull << 63 | KIND_GIVE);
	set_memory(r, sqe, at, bytes);
	sqe->op_flags = count;
}

/* -- completions --------------------------------------------------------- */

static void check_bytes(struct run *r, struct stream *s, const void *at,
			uint32_t bytes)
{
	uint64_t seed = exact_down_seed(&s->header);
	size_t right = prog_pattern_check(at, seed, s->in_done, bytes);

	errno = 0;
	if (right != bytes)
		prog_fail("stream %u: wrong byte at %llu",
			  (unsigned)(s - r->streams),
			  (unsigned long long)(s->in_done + right));
	s->in_done += bytes;
	if (s->in_done > s->header.bytes)
		prog_fail("stream %u: too many bytes",
			  (unsigned)(s - r->streams));
}

static void end_in(struct run *r, struct stream *s)
{
	errno = 0;
	if (s->in_done != s->header.bytes)
		prog_fail("stream %u: ended after %llu of %llu bytes",
			  (unsigned)(s - r->streams),
			  (unsigned long long)s->in_done,
			  (unsigned long long)s->header.bytes);
	s->in_ended = 1;
}

static void complete_recv(struct run *r, struct stream *s,
			  const struct vtoe_cqe *cqe)
{
	unsigned slot = s->in_tail++ % DEPTH;

	errno = cqe->result < 0 ? -cqe->result : 0;
	if (cqe->result < 0 || (uint32_t)cqe->result > s->in_size[slot])
		prog_fail("receive: %d", cqe->result);
	if (!cqe->result) {
		end_in(r, s);
		return;
	}
	check_bytes(r, s, s->in_memory + slot * SLOT, (uint32_t)cqe->result);
	r->posted_bytes += (uint32_t)cqe->result;
}

static void complete_generic(struct run *r, struct stream *s,
			     const struct vtoe_cqe *cqe)
{
	void *at;

	errno = cqe->result < 0 ? -cqe->result : 0;
	if (cqe->result < 0)
		prog_fail("generic receive");
	if (cqe->flags & VTOE_CQE_EOF) {
		end_in(r, s);
		return;
	}
	at = vtoe_address_of(r->ctx, cqe->key, cqe->offset, cqe->length);
	if (!at || (uint32_t)cqe->result != cqe->length)
		prog_fail("generic receive: %u bytes at offset %llu",
			  cqe->length, (unsigned long long)cqe->offset);
	check_bytes(r, s, at, cqe->length);
	r->generic_bytes += cqe->length;
	/* Back to the pool, whole: buffers are aligned to their size. */
	at = r->generic + ((char *)at - r->generic) / GENERIC_SIZE *
				  GENERIC_SIZE;
	give_generic(r, at, GENERIC_SIZE, 1);
}

static void complete_send(struct stream *s, const struct vtoe_cqe *cqe)
{
	unsigned slot = s->out_tail++ % DEPTH;

	errno = cqe->result < 0 ? -cqe->result : 0;
	if (cqe->result != (int32_t)s->out_size[slot])
		prog_fail("send of %u bytes: %d", s->out_size[slot],
			  cqe->result);
}

static void complete(struct run *r, const struct vtoe_cqe *cqe)
{
	struct stream *s = &r->streams[(cqe->user_data & ~(1ull << 63)) >> 8];
	int was_ended = s->in_ended && s->out_ended;

	errno = cqe->result < 0 ? -cqe->result : 0;
	switch ((enum kind)(cqe->user_data & 0xff)) {
	case KIND_RECV:
		complete_recv(r, s, cqe);
		break;
	case KIND_SEND:
		complete_send(s, cqe);
		break;
	case KIND_SHUTDOWN:
		if (cqe->result)
			prog_fail("shutdown");
		s->out_ended = 1;
		break;
	case KIND_MODE:
		if (cqe->flags & VTOE_CQE_GRQ) {
			complete_generic(r, s, cqe);
			break;
		}
		if (cqe->result < 0)
			prog_fail("generic mode");
		s->mode_pending = 0;
		break;
	case KIND_GIVE:
		prog_fail("giving generic buffers");
	}
	if (!was_ended && s->in_ended && s->out_ended)
		r->ended++;
}

/* -- the loop ------------------------------------------------------------ */

static void act_at_random(struct run *r)
{
	struct stream *s = &r->streams[prog_random(&r->random) % r->count];
	uint64_t what = prog_random(&r->random) % 32;

	if (what < 14)
		post_recv(r, s);
	else if (what < 28)
		post_send(r, s);
	else if ((s - r->streams) % 2 && !s->mode_pending && !s->in_ended)
		set_generic(r, s, !s->generic);
}

/* Before sleeping: each stream must have something to wake us for. */
static void keep_alive(struct run *r)
{
	struct stream *s;
	uint32_t i;

	for (i = 0; i < r->count; i++) {
		s = &r->streams[i];
		if (s->in_head == s->in_tail && !s->generic)
			post_recv(r, s);
		if (s->out_head == s->out_tail)
			post_send(r, s);
	}
}

static unsigned take_all(struct run *r)
{
	struct vtoe_cqe *cqe;
	unsigned n = 0;
	int error;

	while ((error = vtoe_peek_cqe(r->lane, &cqe)) > 0) {
		complete(r, cqe);
		vtoe_cqe_seen(r->lane);
		n++;
	}
	errno = -error;
	if (error < 0)
		prog_fail("lane");
	return n;
}

static void exchange(struct run *r)
{
	struct vtoe_cqe *cqe;
	unsigned n;
	int error;

	while (r->ended < r->count) {
		for (n = prog_random(&r->random) % 64; n; n--)
			act_at_random(r);
		error = vtoe_submit(r->lane);
		errno = -error;
		if (error < 0)
			prog_fail("submit");
		if (take_all(r))
			continue;
		keep_alive(r);
		error = vtoe_wait_cqe(r->lane, &cqe, PATIENCE_MS);
		errno = -error;
		if (error)
			prog_fail("waiting, %u of %u streams done", r->ended,
				  r->count);
	}
}

static void stream_connect(struct run *r, struct stream *s, char **argv)
{
	struct sockaddr_storage to;
	socklen_t len = prog_address(argv[1], argv[2], &to);
	size_t bytes = 2 * DEPTH * SLOT;
	ssize_t n;
	int error;

	error = vtoe_stream_open_connect(r->lane, &s->id,
					 (struct sockaddr *)&to, len,
					 PATIENCE_MS);
	errno = -error;
	if (error)
		prog_fail("connect");
	s->header.magic = EXACT_MAGIC;
	s->header.seed = prog_number(argv[5]);
	s->header.index = (uint64_t)(s - r->streams);
	s->header.bytes = prog_number(argv[4]);
	if (s->header.index % 4 < 2) {
		s->in_memory = vtoe_alloc(r->ctx, bytes);
		if (!s->in_memory)
			prog_fail("arena");
	} else {
		s->in_memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (s->in_memory == MAP_FAILED)
			prog_error("mmap");
		error = vtoe_register(r->ctx, s->in_memory, bytes,
				      VTOE_READ | VTOE_WRITE);
		errno = -error;
		if (error)
			prog_fail("register");
	}
	s->out_memory = s->in_memory + DEPTH * SLOT;
	n = vtoe_stream_send(r->lane, s->id, &s->header, sizeof(s->header),
			     PATIENCE_MS);
	if (n != sizeof(s->header))
		prog_fail("header: %zd", n);
}

int main(int argc, char **argv)
{
	struct vtoe_params params = { 0 };
	struct run r = { 0 };
	int error;
	uint32_t i;

	if (argc != 6 && argc != 7)
		prog_error("usage: exact_native ADDRESS PORT STREAMS BYTES SEED [tto]");
	params.flags = argc == 7 ? VTOE_OPEN_TTO : 0;
	r.count = (uint32_t)prog_number(argv[3]);
	r.random = prog_number(argv[5]);
	r.streams = calloc(r.count, sizeof(*r.streams));
	if (!r.streams)
		prog_error("memory");
	error = vtoe_open(&r.ctx, &params);
	errno = -error;
	if (error)
		prog_fail("no backend");
	error = vtoe_lane_open(r.ctx, &r.lane, 1024, 4096, 0);
	errno = -error;
	if (error)
		prog_fail("lane");
	r.generic = vtoe_alloc(r.ctx, GENERIC * GENERIC_SIZE);
	if (!r.generic)
		prog_fail("arena");
	give_generic(&r, r.generic, GENERIC * GENERIC_SIZE, GENERIC);
	for (i = 0; i < r.count; i++)
		stream_connect(&r, &r.streams[i], argv);
	exchange(&r);
	for (i = 0; i < r.count; i++) {
		error = vtoe_stream_close(r.lane, r.streams[i].id, 0);
		errno = -error;
		if (error)
			prog_fail("close");
	}
	vtoe_lane_close(r.lane);
	vtoe_close(r.ctx);
	free(r.streams);
	printf("%u streams, all right: %llu bytes in posted buffers, %llu in "
	       "generic ones\n", r.count,
	       (unsigned long long)r.posted_bytes,
	       (unsigned long long)r.generic_bytes);
	return 0;
}
