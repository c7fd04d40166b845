// SPDX-License-Identifier: BSD-2-Clause
/*
 * ulib_memory.c - arena, registrations and the forms of an address, over the
 * local port with a fake backend (MECHANISMS H1 to H5, H14, O2, O5, O9)
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <vtoe.h>

#include "tests/lib/fake_backend.h"

#define PAGE 4096u
#define BOTH (VTOE_READ | VTOE_WRITE)

struct fixture {
	struct fake *fake;
	struct vtoe *ctx;
	struct vtoe_lane *lane;
};

static struct fixture *start(const struct fake_params *fp,
			     struct vtoe_params *vp)
{
	static struct fixture f;
	struct vtoe_params none = { .name = "test" };

	vp = vp ? vp : &none;
	f.fake = fake_start(fp);
	vp->path = fake_path(f.fake);
	assert_int_equal(vtoe_open(&f.ctx, vp), 0);
	assert_int_equal(vtoe_lane_open(f.ctx, &f.lane, 64, 64, 0), 0);
	return &f;
}

static void stop(struct fixture *f)
{
	vtoe_lane_close(f->lane);
	vtoe_close(f->ctx);
	fake_stop(f->fake);
}

static char *pages(size_t n)
{
	char *at = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

static void fill(char *at, size_t bytes, unsigned seed)
{
	size_t i;

	for (i = 0; i < bytes; i++)
		at[i] = (char)(i * 31 + seed + (i >> 9));
}

static void check(const char *at, size_t bytes, unsigned seed)
{
	size_t i;

	for (i = 0; i < bytes; i++)
		if (at[i] != (char)(i * 31 + seed + (i >> 9)))
			fail_msg("byte %zu is wrong", i);
}

static struct vtoe_counters counters(struct fixture *f)
{
	struct vtoe_counters c;

	vtoe_get_counters(f->ctx, &c);
	return c;
}

/* An entry; completions can be seen before their entries are given back. */
static struct vtoe_sqe *entry(struct fixture *f)
{
	struct vtoe_sqe *sqe;

	while (!(sqe = vtoe_get_sqe(f->lane)))
		assert_int_equal(vtoe_wait_sqe(f->lane, 5000), 0);
	return sqe;
}

/* Sends `from` into an echo stream and receives it into `into`, directly. */
static void echo(struct fixture *f, uint32_t stream, const char *from,
		 char *into, uint32_t bytes)
{
	struct vtoe_cqe *cqe;
	struct vtoe_sqe *sqe;
	int i;

	sqe = entry(f);
	vtoe_sqe_set(sqe, VTOE_OP_SEND, stream, 1);
	assert_int_equal(vtoe_sqe_memory(f->ctx, sqe, from, bytes), 0);
	sqe = entry(f);
	vtoe_sqe_set(sqe, VTOE_OP_RECV, stream, 2);
	assert_int_equal(vtoe_sqe_memory(f->ctx, sqe, into, bytes), 0);
	for (i = 0; i < 2; i++) {
		assert_int_equal(vtoe_wait_cqe(f->lane, &cqe, 5000), 0);
		assert_int_equal(cqe->result, bytes);
		vtoe_cqe_seen(f->lane);
	}
}

static void test_alloc(void **state)
{
	struct fixture *f = start(NULL, NULL);
	char *a, *b;

	(void)state;
	a = vtoe_alloc(f->ctx, 10000);
	b = vtoe_alloc(f->ctx, 1);
	assert_non_null(a);
	assert_non_null(b);
	assert_int_equal((uintptr_t)a % PAGE, 0);
	fill(a, 10000, 3);
	memset(b, 0, PAGE);
	echo(f, 1, a, b, 4000);
	check(b, 4000, 3);
	assert_null(vtoe_alloc(f->ctx, 8u << 20));
	assert_int_equal(errno, ENOMEM);
	vtoe_free(f->ctx, a);
	vtoe_free(f->ctx, b);
	vtoe_free(f->ctx, NULL);
	/* memory of the arena needs no registration */
	assert_int_equal(counters(f).registrations, 0);
	assert_int_equal(vtoe_register(f->ctx, a, PAGE, BOTH), 0);
	assert_int_equal(counters(f).registrations, 0);
	stop(f);
}

/* O5: whatever is asked for, only what is inside gets an answer, and the
 * answer leads back to the same address. */
static void test_translate_bounds(void **state)
{
	struct fixture *f = start(NULL, NULL);
	char *mine = pages(20), *arena = vtoe_alloc(f->ctx, PAGE);
	uint64_t arena_key, arena_offset, key, offset, room;
	char *arena_start;
	int i;

	(void)state;
	srand(5);
	assert_int_equal(vtoe_register(f->ctx, mine + 4 * PAGE, 8 * PAGE, BOTH),
			 0);
	assert_int_equal(vtoe_translate(f->ctx, arena, 1, &arena_key,
					&arena_offset), 0);
	arena_start = arena - arena_offset;
	room = vtoe_device(f->ctx)->memory_bytes - VTOE_GUEST_OFFSET;
	for (i = 0; i < 200000; i++) {
		int64_t at = rand() % (int)(22 * PAGE) - (int)PAGE;
		size_t bytes = (size_t)rand() % (12 * PAGE);
		int inside = at >= 4 * PAGE &&
			     at + (int64_t)bytes <= 12 * PAGE &&
			     at < 12 * PAGE + !bytes;

		assert_int_equal(vtoe_translate(f->ctx, mine + at, bytes, &key,
						&offset) == 0, inside);
		if (!inside)
			continue;
		assert_int_equal(offset, at - 4 * PAGE);
		assert_ptr_equal(vtoe_address_of(f->ctx, key, offset, bytes),
				 mine + at);
		/* off by one at the end, and every overflow */
		assert_null(vtoe_address_of(f->ctx, key, offset,
					    8 * PAGE - offset + 1));
		assert_null(vtoe_address_of(f->ctx, key, UINT64_MAX - bytes,
					    bytes + 1));
		assert_null(vtoe_address_of(f->ctx, key, offset, SIZE_MAX));
		assert_null(vtoe_address_of(f->ctx, key ^ 1, offset, bytes));
	}
	assert_int_equal(vtoe_translate(f->ctx, mine + 5 * PAGE, SIZE_MAX, &key,
					&offset), -EFAULT);
	assert_int_equal(vtoe_translate(f->ctx, NULL, 1, &key, &offset),
			 -EFAULT);
	assert_int_equal(vtoe_translate(f->ctx, arena_start - 1, 1, &key,
					&offset), -EFAULT);
	assert_int_equal(vtoe_translate(f->ctx, arena_start, room, &key,
					&offset), 0);
	assert_int_equal(vtoe_translate(f->ctx, arena_start, room + 1, &key,
					&offset), -EFAULT);
	assert_non_null(vtoe_address_of(f->ctx, arena_key, room - 1, 1));
	assert_non_null(vtoe_address_of(f->ctx, arena_key, room, 0));
	assert_null(vtoe_address_of(f->ctx, arena_key, room, 1));
	assert_null(vtoe_address_of(f->ctx, arena_key, room + 1, 0));
	assert_null(vtoe_address_of(f->ctx, arena_key, UINT64_MAX, 2));
	assert_null(vtoe_address_of(f->ctx, 0, 0, 0));
	stop(f);
	munmap(mine, 20 * PAGE);
}

/* H4: one registration for 100,000 receives into one buffer. */
static void test_one_registration(void **state)
{
	struct fixture *f = start(NULL, NULL);
	char *from = vtoe_alloc(f->ctx, PAGE), *into = pages(4);
	struct vtoe_counters c;
	int i;

	(void)state;
	fill(from, PAGE, 9);
	for (i = 0; i < 100000; i++) {
		assert_int_equal(vtoe_register(f->ctx, into, 4 * PAGE, BOTH),
				 0);
		if (i % 100)
			continue;
		memset(into, 0, 64);
		echo(f, 1, from, into + i % 3 * PAGE, 64);
		check(into + i % 3 * PAGE, 64, 9);
	}
	c = counters(f);
	assert_int_equal(c.registrations, 1);
	assert_int_equal(c.cache_misses, 1);
	assert_int_equal(c.cache_hits, 99999);
	assert_int_equal(c.registered_bytes, 4 * PAGE);
	assert_int_equal(fake_regions(f->fake), 2); /* and the arena */
	stop(f);
	munmap(into, 4 * PAGE);
}

/* The blocking helper does the same by itself, and copies nothing (H1); what
 * is small is copied and never registered (H14). */
static void test_helper_registers_once(void **state)
{
	struct vtoe_params vp = { .direct_min = 2 * PAGE };
	struct fixture *f = start(NULL, &vp);
	char *into = pages(4), *from = pages(4);
	int i;

	(void)state;
	fill(from, 4 * PAGE, 1);
	assert_int_equal(vtoe_register(f->ctx, from, 4 * PAGE, VTOE_READ), 0);
	for (i = 0; i < 1000; i++) {
		assert_int_equal(vtoe_stream_send(f->lane, 3, from, 4 * PAGE,
						  1000), 4 * PAGE);
		memset(into, 0, 4 * PAGE);
		assert_int_equal(vtoe_stream_recv(f->lane, 3, into, 4 * PAGE,
						  1000), 4 * PAGE);
		check(into, 4 * PAGE, 1);
	}
	assert_int_equal(counters(f).registrations, 2);
	assert_int_equal(counters(f).bytes_copied, 0);
	vtoe_unregister(f->ctx, into, 4 * PAGE);
	assert_int_equal(vtoe_stream_send(f->lane, 3, from, PAGE, 1000), PAGE);
	assert_int_equal(vtoe_stream_recv(f->lane, 3, into, PAGE, 1000), PAGE);
	assert_int_equal(counters(f).registrations, 2);
	assert_int_equal(counters(f).bytes_copied, PAGE);
	stop(f);
	munmap(into, 4 * PAGE);
	munmap(from, 4 * PAGE);
}

/* Content survives registering and unregistering, and is private again. */
static void test_content_kept(void **state)
{
	struct fixture *f = start(NULL, NULL);
	char *mine = pages(10), *from = vtoe_alloc(f->ctx, PAGE);
	uint64_t key, offset;

	(void)state;
	fill(mine, 10 * PAGE, 4);
	assert_int_equal(vtoe_register(f->ctx, mine + PAGE, 8 * PAGE,
				       VTOE_WRITE), 0);
	check(mine, 10 * PAGE, 4);
	fill(from, 100, 77);
	echo(f, 2, from, mine + 3 * PAGE, 100);
	check(mine + 3 * PAGE, 100, 77);
	assert_int_equal(vtoe_unregister(f->ctx, mine + PAGE, 8 * PAGE), 0);
	check(mine, 3 * PAGE, 4);
	check(mine + 3 * PAGE, 100, 77);
	assert_int_equal(vtoe_translate(f->ctx, mine + PAGE, 1, &key, &offset),
			 -EFAULT);
	assert_int_equal(counters(f).deregistrations, 1);
	assert_int_equal(fake_regions(f->fake), 1);
	if (!fork()) {
		mine[PAGE] = 99; /* private: not seen by the parent */
		_exit(0);
	}
	wait(NULL);
	assert_int_equal(mine[PAGE], (char)(PAGE * 31 + 4 + (PAGE >> 9)));
	/* twice is no error; never registered neither */
	assert_int_equal(vtoe_unregister(f->ctx, mine + PAGE, 8 * PAGE), 0);
	stop(f);
	munmap(mine, 10 * PAGE);
}

static void test_register_bad_arguments(void **state)
{
	struct fixture *f = start(NULL, NULL);
	char *mine = pages(4), *shared, *readonly;
	int fd = open("/proc/self/exe", O_RDONLY);

	(void)state;
	assert_int_equal(vtoe_register(f->ctx, mine + 1, PAGE, BOTH), -EINVAL);
	assert_int_equal(vtoe_register(f->ctx, mine, PAGE + 1, BOTH), -EINVAL);
	assert_int_equal(vtoe_register(f->ctx, mine, 0, BOTH), -EINVAL);
	assert_int_equal(vtoe_register(f->ctx, mine, PAGE, 0), -EINVAL);
	assert_int_equal(vtoe_register(f->ctx, mine, PAGE, 8), -EINVAL);
	assert_int_equal(vtoe_register(f->ctx, mine, SIZE_MAX - PAGE + 1, BOTH),
			 -EINVAL);
	assert_int_equal(vtoe_unregister(f->ctx, mine + 1, PAGE), -EINVAL);
	/* memory that is not private anonymous is not replaced */
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	readonly = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_int_equal(vtoe_register(f->ctx, shared, PAGE, BOTH), -EINVAL);
	assert_int_equal(vtoe_register(f->ctx, readonly, PAGE, BOTH), -EINVAL);
	munmap(mine + PAGE, PAGE);
	assert_int_equal(vtoe_register(f->ctx, mine, 3 * PAGE, BOTH), -EFAULT);
	/* nor is anything left behind by a failure: the first page is private
	 * and can be registered */
	assert_int_equal(vtoe_register(f->ctx, mine, PAGE, BOTH), 0);
	assert_int_equal(counters(f).registrations, 1);
	stop(f);
	munmap(mine, 4 * PAGE);
	munmap(shared, PAGE);
	munmap(readonly, PAGE);
	close(fd);
}

/* The cap in bytes and the device's limit of regions evict the least recently
 * used; an evicted buffer keeps its content and can come back. */
static void test_lru(void **state)
{
	struct vtoe_params vp = { .cache_bytes = 4 * PAGE };
	struct fixture *f = start(NULL, &vp);
	char *mine = pages(8);
	uint64_t key, offset;
	int i;

	(void)state;
	fill(mine, 8 * PAGE, 2);
	for (i = 0; i < 4; i++)
		assert_int_equal(vtoe_register(f->ctx, mine + i * PAGE, PAGE,
					       BOTH), 0);
	/* the first is used again: the second is the oldest now */
	assert_int_equal(vtoe_register(f->ctx, mine, PAGE, BOTH), 0);
	assert_int_equal(vtoe_register(f->ctx, mine + 4 * PAGE, PAGE, BOTH),
			 0);
	assert_int_equal(vtoe_translate(f->ctx, mine, 1, &key, &offset), 0);
	assert_int_equal(vtoe_translate(f->ctx, mine + PAGE, 1, &key, &offset),
			 -EFAULT);
	assert_int_equal(counters(f).cache_evictions, 1);
	assert_int_equal(counters(f).registered_bytes, 4 * PAGE);
	check(mine, 8 * PAGE, 2);
	assert_int_equal(vtoe_register(f->ctx, mine + PAGE, PAGE, BOTH), 0);
	assert_int_equal(counters(f).registrations, 6);
	assert_int_equal(vtoe_register(f->ctx, mine, 5 * PAGE, BOTH), -ENOMEM);
	stop(f);
	check(mine, 8 * PAGE, 2);
	munmap(mine, 8 * PAGE);
}

static void test_limit_of_regions(void **state)
{
	struct fake_params fp = { .regions = 5 };
	struct fixture *f = start(&fp, NULL);
	char *mine = pages(20);
	int i;

	(void)state;
	for (i = 0; i < 20; i++)
		assert_int_equal(vtoe_register(f->ctx, mine + i * PAGE, PAGE,
					       BOTH), 0);
	assert_int_equal(counters(f).cache_evictions, 16);
	assert_int_equal(fake_regions(f->fake), 5);
	stop(f);
	munmap(mine, 20 * PAGE);
}

/* What a request under way names is not evicted. */
static void test_in_use_stays(void **state)
{
	struct vtoe_params vp = { .cache_bytes = 2 * PAGE };
	struct fixture *f = start(NULL, &vp);
	char *mine = pages(4), *from = vtoe_alloc(f->ctx, PAGE);
	struct vtoe_cqe *cqe;
	struct vtoe_sqe *sqe;

	(void)state;
	fill(from, PAGE, 8);
	assert_int_equal(vtoe_register(f->ctx, mine, PAGE, BOTH), 0);
	assert_int_equal(vtoe_register(f->ctx, mine + PAGE, PAGE, BOTH), 0);
	sqe = entry(f);
	vtoe_sqe_set(sqe, VTOE_OP_RECV, 5, 55);
	assert_int_equal(vtoe_sqe_memory(f->ctx, sqe, mine, PAGE), 0);
	assert_int_equal(vtoe_submit(f->lane), 1);
	/* the second was used later, but is the one that can go */
	assert_int_equal(vtoe_register(f->ctx, mine + PAGE, PAGE, BOTH), 0);
	assert_int_equal(vtoe_register(f->ctx, mine + 2 * PAGE, PAGE, BOTH),
			 0);
	assert_int_equal(vtoe_register(f->ctx, mine, 2 * PAGE, BOTH), -ENOMEM);
	sqe = entry(f);
	vtoe_sqe_set(sqe, VTOE_OP_SEND, 5, 56);
	assert_int_equal(vtoe_sqe_memory(f->ctx, sqe, from, PAGE), 0);
	assert_int_equal(vtoe_wait_cqe(f->lane, &cqe, 5000), 0);
	vtoe_cqe_seen(f->lane);
	assert_int_equal(vtoe_wait_cqe(f->lane, &cqe, 5000), 0);
	vtoe_cqe_seen(f->lane);
	check(mine, PAGE, 8);
	/* now it is free to go */
	assert_int_equal(vtoe_register(f->ctx, mine, 2 * PAGE, BOTH), 0);
	stop(f);
	munmap(mine, 4 * PAGE);
}

/* O9: unregistering under a receive that waits ends it first. */
static void test_unregister_under_way(void **state)
{
	struct fixture *f = start(NULL, NULL);
	char *mine = pages(2);
	struct vtoe_cqe *cqe;
	struct vtoe_sqe *sqe;

	(void)state;
	fill(mine, 2 * PAGE, 6);
	assert_int_equal(vtoe_register(f->ctx, mine, 2 * PAGE, BOTH), 0);
	sqe = entry(f);
	vtoe_sqe_set(sqe, VTOE_OP_RECV, 5, 55);
	assert_int_equal(vtoe_sqe_memory(f->ctx, sqe, mine, PAGE), 0);
	/* when the NOP behind it is done, the receive has been taken */
	sqe = entry(f);
	vtoe_sqe_set(sqe, VTOE_OP_NOP, 0, 56);
	assert_int_equal(vtoe_wait_cqe(f->lane, &cqe, 5000), 0);
	assert_int_equal(cqe->user_data, 56);
	vtoe_cqe_seen(f->lane);
	assert_int_equal(vtoe_unregister(f->ctx, mine, 2 * PAGE), 0);
	check(mine, 2 * PAGE, 6);
	assert_int_equal(vtoe_wait_cqe(f->lane, &cqe, 5000), 0);
	assert_int_equal(cqe->user_data, 55);
	assert_int_equal(cqe->result, -ECANCELED);
	vtoe_cqe_seen(f->lane);
	stop(f);
	munmap(mine, 2 * PAGE);
}

/* Overlapping registrations: pages that are shared already stay where they
 * are, and a region of several ranges covers old and new ones. */
static void test_overlaps(void **state)
{
	struct fixture *f = start(NULL, NULL);
	char *mine = pages(12), *from = vtoe_alloc(f->ctx, 12 * PAGE);
	uint64_t key, offset;

	(void)state;
	fill(from, 12 * PAGE, 5);
	assert_int_equal(vtoe_register(f->ctx, mine + 6 * PAGE, 2 * PAGE,
				       BOTH), 0);
	assert_int_equal(vtoe_register(f->ctx, mine + 2 * PAGE, 2 * PAGE,
				       BOTH), 0);
	assert_int_equal(vtoe_register(f->ctx, mine, 12 * PAGE, BOTH), 0);
	assert_true(fake_last_ranges(f->fake) > 1);
	echo(f, 4, from, mine, 12 * PAGE);
	check(mine, 12 * PAGE, 5);
	/* inside a larger one: no new registration; other rights: one */
	assert_int_equal(vtoe_register(f->ctx, mine + PAGE, PAGE, VTOE_READ),
			 0);
	assert_int_equal(counters(f).registrations, 3);
	/* unregistering a part takes every key that reaches into it */
	assert_int_equal(vtoe_unregister(f->ctx, mine + 3 * PAGE, PAGE), 0);
	assert_int_equal(fake_regions(f->fake), 2);
	assert_int_equal(vtoe_translate(f->ctx, mine + 6 * PAGE, PAGE, &key,
					&offset), 0);
	assert_int_equal(vtoe_translate(f->ctx, mine, PAGE, &key, &offset),
			 -EFAULT);
	check(mine, 12 * PAGE, 5);
	assert_int_equal(vtoe_register(f->ctx, mine, 12 * PAGE, BOTH), 0);
	memset(mine, 0, 12 * PAGE);
	echo(f, 4, from, mine, 12 * PAGE);
	check(mine, 12 * PAGE, 5);
	stop(f);
	check(mine, 12 * PAGE, 5);
	munmap(mine, 12 * PAGE);
}

/* Rights: a registration without a right does not serve a request for it. */
static void test_rights(void **state)
{
	struct fixture *f = start(NULL, NULL);
	char *mine = pages(1);
	struct vtoe_sqe sqe = { .op = VTOE_OP_RECV };

	(void)state;
	assert_int_equal(vtoe_register(f->ctx, mine, PAGE, VTOE_READ), 0);
	assert_int_equal(vtoe_sqe_memory(f->ctx, &sqe, mine, PAGE), -EFAULT);
	sqe.op = VTOE_OP_SEND;
	assert_int_equal(vtoe_sqe_memory(f->ctx, &sqe, mine, PAGE), 0);
	assert_int_equal(vtoe_register(f->ctx, mine, PAGE, VTOE_WRITE), 0);
	assert_int_equal(counters(f).registrations, 2);
	sqe.op = VTOE_OP_RECV;
	assert_int_equal(vtoe_sqe_memory(f->ctx, &sqe, mine, PAGE), 0);
	assert_int_equal(vtoe_sqe_memory(f->ctx, &sqe, mine,
					 (size_t)UINT32_MAX + 1), -EINVAL);
	stop(f);
	munmap(mine, PAGE);
}

/*
 * H5: the buffer is unmapped and something else mapped at the same address,
 * behind the library's back. The blocking helper notices; data arrives in the
 * new page, and closing does not touch what is not ours.
 */
static void test_remapped(void **state)
{
	struct fixture *f = start(NULL, NULL);
	char *mine = pages(4), *from = pages(4);
	int i;

	(void)state;
	for (i = 0; i < 50; i++) {
		fill(from, 4 * PAGE, (unsigned)i);
		assert_int_equal(vtoe_stream_send(f->lane, 3, from, 4 * PAGE,
						  1000), 4 * PAGE);
		assert_int_equal(vtoe_stream_recv(f->lane, 3, mine, 4 * PAGE,
						  1000), 4 * PAGE);
		check(mine, 4 * PAGE, (unsigned)i);
		/* one page, or all */
		assert_ptr_equal(mmap(mine + i % 4 * PAGE,
				      (i % 2 ? 1 : 4 - i % 4) * PAGE,
				      PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
				      -1, 0), mine + i % 4 * PAGE);
	}
	/* explicit: cheap when nothing is there, and it leaves the new page */
	memset(mine, 0x42, 4 * PAGE);
	assert_int_equal(vtoe_invalidate(f->ctx, mine + 5, 4 * PAGE - 10), 0);
	assert_int_equal(vtoe_invalidate(f->ctx, from, 100), 0);
	assert_int_equal(mine[0], 0x42);
	assert_int_equal(vtoe_register(f->ctx, mine, 4 * PAGE, BOTH), 0);
	munmap(mine, 2 * PAGE);
	assert_int_equal(vtoe_unregister(f->ctx, mine, 4 * PAGE), 0);
	assert_int_equal(mine[2 * PAGE], 0x42);
	assert_int_equal(fake_regions(f->fake), 1);
	/* closing over a stale registration */
	assert_int_equal(vtoe_register(f->ctx, from, 4 * PAGE, BOTH), 0);
	assert_ptr_equal(mmap(from + PAGE, PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 from + PAGE);
	from[PAGE] = 7;
	stop(f);
	assert_int_equal(from[PAGE], 7);
	munmap(mine + 2 * PAGE, 2 * PAGE);
	munmap(from, 4 * PAGE);
}

/* The arena is full: registering fails cleanly, receiving falls back to
 * copying (H15), and freeing helps. */
static void test_arena_full(void **state)
{
	struct fixture *f = start(NULL, NULL);
	char *mine = pages(16), *from = vtoe_alloc(f->ctx, PAGE);
	void *all[4096];
	size_t n = 0;

	(void)state;
	fill(mine, 16 * PAGE, 3);
	/* the lane's bounce */
	assert_int_equal(vtoe_stream_send(f->lane, 3, mine, 100, 1000), 100);
	assert_int_equal(vtoe_stream_recv(f->lane, 3, mine + 1, 100, 1000),
			 100);
	fill(mine, 16 * PAGE, 3);
	while ((all[n] = vtoe_alloc(f->ctx, PAGE)))
		n++;
	assert_int_equal(vtoe_register(f->ctx, mine, 16 * PAGE, BOTH),
			 -ENOMEM);
	check(mine, 16 * PAGE, 3);
	fill(from, PAGE, 11);
	assert_int_equal(vtoe_stream_send(f->lane, 3, from, PAGE, 1000), PAGE);
	assert_int_equal(vtoe_stream_recv(f->lane, 3, mine, 16 * PAGE, 1000),
			 PAGE);
	check(mine, PAGE, 11);
	/* single pages all over the arena: several ranges */
	while (n > 1) {
		n -= 2;
		vtoe_free(f->ctx, all[n]);
	}
	fill(mine, 16 * PAGE, 3);
	assert_int_equal(vtoe_register(f->ctx, mine, 16 * PAGE, BOTH), 0);
	assert_int_equal(fake_last_ranges(f->fake), 16);
	check(mine, 16 * PAGE, 3);
	stop(f);
	check(mine, 16 * PAGE, 3);
	munmap(mine, 16 * PAGE);
}

/* A registration that fails half-way leaves no page shared: memory that is
 * mapped anew there later is not taken for the old one. */
static void test_failure_undone(void **state)
{
	struct fake_params fp = { .features = VTOE_F_TOE };
	struct fixture *f = start(&fp, NULL);
	char *mine = pages(16), *from = vtoe_alloc(f->ctx, 16 * PAGE);
	void *all[4096];
	size_t n = 0;

	(void)state;
	fill(mine, 16 * PAGE, 3);
	while ((all[n] = vtoe_alloc(f->ctx, PAGE)))
		n++;
	/* three single pages, no more */
	vtoe_free(f->ctx, all[10]);
	vtoe_free(f->ctx, all[20]);
	vtoe_free(f->ctx, all[30]);
	assert_int_equal(vtoe_register(f->ctx, mine, 16 * PAGE, BOTH),
			 -ENOMEM);
	/* the backend takes no lists: fails after the pages are shared */
	assert_int_equal(vtoe_register(f->ctx, mine, 2 * PAGE, BOTH), -ENOMEM);
	check(mine, 16 * PAGE, 3);
	assert_ptr_equal(mmap(mine, 16 * PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 mine);
	assert_int_equal(vtoe_register(f->ctx, mine, PAGE, BOTH), 0);
	fill(from, PAGE, 9);
	echo(f, 1, from, mine, PAGE);
	check(mine, PAGE, 9);
	stop(f);
	munmap(mine, 16 * PAGE);
}

/* Random registering, unregistering, remapping and receiving, with content
 * checked (H5's random operations, as far as one process can). */
static void test_random(void **state)
{
	struct vtoe_params vp = { .cache_bytes = 40 * PAGE };
	struct fixture *f = start(NULL, &vp);
	char *mine = pages(64), *from = vtoe_alloc(f->ctx, 16 * PAGE);
	struct timespec begun, now;
	unsigned done = 0, i;
	uint8_t shadow[64];

	(void)state;
	srand(11);
	memset(shadow, 0, sizeof(shadow));
	clock_gettime(CLOCK_MONOTONIC, &begun);
	do {
		unsigned at = (unsigned)rand() % 64, n, seed;

		n = (unsigned)rand() % 12 + 1;
		n = at + n > 64 ? 64 - at : n;
		switch (rand() % 5) {
		case 0:
			vtoe_register(f->ctx, mine + at * PAGE, n * PAGE,
				      (unsigned)rand() % 3 + 1);
			break;
		case 1:
			assert_int_equal(vtoe_unregister(f->ctx,
							 mine + at * PAGE,
							 n * PAGE), 0);
			break;
		case 2:
			vtoe_invalidate(f->ctx, mine + at * PAGE, n * PAGE);
			assert_ptr_not_equal(
				mmap(mine + at * PAGE, n * PAGE,
				     PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
				     -1, 0), MAP_FAILED);
			memset(shadow + at, 0, n);
			break;
		default:
			seed = (unsigned)rand() % 255 + 1;
			memset(from, (int)seed, n * PAGE);
			assert_int_equal(vtoe_stream_send(f->lane, 3, from,
							  n * PAGE, 1000),
					 n * PAGE);
			assert_int_equal(vtoe_stream_recv(f->lane, 3,
							  mine + at * PAGE,
							  n * PAGE, 1000),
					 n * PAGE);
			memset(shadow + at, (int)seed, n);
			break;
		}
		for (i = 0; i < 64; i++) {
			assert_int_equal((uint8_t)mine[i * PAGE], shadow[i]);
			assert_int_equal((uint8_t)mine[i * PAGE + PAGE - 1],
					 shadow[i]);
		}
		done++;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - begun.tv_sec < 2);
	assert_true(done > 100);
	stop(f);
	for (i = 0; i < 64; i++)
		assert_int_equal((uint8_t)mine[i * PAGE], shadow[i]);
	munmap(mine, 64 * PAGE);
}

/* The child forgets: its copy of registered memory is its own, the parent's
 * connection lives on. */
static void test_forget_in_child(void **state)
{
	struct fixture *f = start(NULL, NULL);
	char *mine = pages(2), *from = vtoe_alloc(f->ctx, PAGE);
	int status;

	(void)state;
	fill(mine, 2 * PAGE, 1);
	fill(from, PAGE, 2);
	assert_int_equal(vtoe_register(f->ctx, mine, 2 * PAGE, BOTH), 0);
	if (!fork()) {
		vtoe_forget(f->ctx);
		mine[0] = 123;
		_exit(mine[1] == (char)(31 + 1) ? 0 : 1);
	}
	assert_true(wait(&status) > 0);
	assert_int_equal(status, 0);
	check(mine, 2 * PAGE, 1);
	echo(f, 2, from, mine, PAGE);
	check(mine, PAGE, 2);
	stop(f);
	munmap(mine, 2 * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alloc),
		cmocka_unit_test(test_translate_bounds),
		cmocka_unit_test(test_one_registration),
		cmocka_unit_test(test_helper_registers_once),
		cmocka_unit_test(test_content_kept),
		cmocka_unit_test(test_register_bad_arguments),
		cmocka_unit_test(test_lru),
		cmocka_unit_test(test_limit_of_regions),
		cmocka_unit_test(test_in_use_stays),
		cmocka_unit_test(test_unregister_under_way),
		cmocka_unit_test(test_overlaps),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_remapped),
		cmocka_unit_test(test_arena_full),
		cmocka_unit_test(test_failure_undone),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_forget_in_child),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
