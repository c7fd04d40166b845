// SPDX-License-Identifier: BSD-2-Clause
/*
 * ulib_pin.c - registering through a guest's driver, with a driver of the test's
 * own (MECHANISMS H1, H4, H5, H14, H15, O2, O5, O8, O9, O10)
 *
 * The driver here does what vtoe.ko does, with what a process can do: memory of
 * the test is a window on a memfd, so that "pinning" is a second mapping of the
 * pages that are at an address now. It stays when other pages come to the
 * address, and the backend (tests/lib/fake_backend.c) reads and writes through
 * it. So a key used after its memory was replaced writes pages that the test
 * still sees: the canaries.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <vtoe.h>
#include <vtoe_ioctl.h>

#include "tests/lib/fake_backend.h"
#include "ulib/internal.h"

#define PAGE 4096u
#define PAGES 2560u /* of the window */
#define REGIONS 64u
#define MOST (1024u * PAGE)

struct registration {
	uint64_t key;
	uintptr_t at;
	size_t bytes;
	unsigned rights;
	char *pinned;
};

static struct world {
	struct fake *fake;
	struct vtoe *ctx;
	struct vtoe_lane *lane;
	/* the window, and which page of the memfd each of its pages shows */
	char *window;
	int memfd;
	uint32_t page[PAGES], next;
	/* the driver; its lock, and that of the window */
	pthread_mutex_t lock;
	struct vtoe_state_page *state;
	struct registration slots[REGIONS];
	size_t limit, pinned; /* bytes */
	unsigned calls, removes, last_rights;
	bool bad_key, bad_slot;
} w;

/* -- the window and the driver ------------------------------------------- */

static void show_page(uint32_t i, uint32_t page)
{
	w.page[i] = page;
	assert_ptr_not_equal(mmap(w.window + i * PAGE, PAGE,
				  PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_FIXED, w.memfd,
				  (off_t)page * PAGE), MAP_FAILED);
}

/* New, zero pages come to the window, and the driver hears of it. */
static void replace(uint32_t first, uint32_t n)
{
	uintptr_t at = (uintptr_t)w.window + first * PAGE;
	uint32_t i;

	pthread_mutex_lock(&w.lock);
	for (i = 0; i < REGIONS; i++) {
		const struct registration *r = &w.slots[i];

		if (r->key && r->at < at + n * PAGE && r->at + r->bytes > at) {
			__atomic_store_n(&w.state->stale[i], 1,
					 __ATOMIC_RELAXED);
			__atomic_fetch_add(&w.state->generation, 1,
					   __ATOMIC_RELAXED);
		}
	}
	if ((w.next + n) % 1024 < n)
		assert_int_equal(ftruncate(w.memfd, (w.next + n + 1024) *
						    (off_t)PAGE), 0);
	for (i = 0; i < n; i++)
		show_page(first + i, w.next++);
	pthread_mutex_unlock(&w.lock);
}

static int driver_add_locked(struct vtoe_ioc_register *q)
{
	struct registration *r = w.slots;
	uint32_t i, first;

	w.calls++;
	w.last_rights = q->rights;
	assert_int_equal((q->address | q->bytes) % PAGE, 0);
	assert_true(q->bytes && q->bytes <= MOST);
	if (w.pinned + q->bytes > w.limit)
		return -ENOMEM;
	if (q->address < (uintptr_t)w.window ||
	    q->address + q->bytes > (uintptr_t)w.window + PAGES * PAGE)
		return -EFAULT;
	while (r->key)
		if (++r == w.slots + REGIONS)
			return -ENOSPC;
	first = (uint32_t)((q->address - (uintptr_t)w.window) / PAGE);
	r->pinned = mmap(NULL, q->bytes, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (i = 0; i < q->bytes / PAGE; i++)
		assert_ptr_not_equal(
			mmap(r->pinned + i * PAGE, PAGE,
			     PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			     w.memfd, (off_t)w.page[first + i] * PAGE),
			MAP_FAILED);
	r->key = fake_region_add(w.fake, r->pinned, q->bytes);
	if (!r->key) {
		munmap(r->pinned, q->bytes);
		return -EDQUOT;
	}
	r->at = q->address;
	r->bytes = q->bytes;
	r->rights = q->rights;
	w.pinned += r->bytes;
	q->key = w.bad_key ? 0 : r->key;
	q->slot = w.bad_slot ? VTOE_STATE_SLOTS : (uint32_t)(r - w.slots);
	__atomic_store_n(&w.state->stale[r - w.slots], 0, __ATOMIC_RELAXED);
	return 0;
}

static int driver_add(struct vtoe *ctx, struct vtoe_ioc_register *q)
{
	int rc;

	(void)ctx;
	pthread_mutex_lock(&w.lock);
	rc = driver_add_locked(q);
	pthread_mutex_unlock(&w.lock);
	return rc;
}

static int driver_remove_locked(const struct vtoe_ioc_register *q)
{
	uint32_t i;

	for (i = 0; i < REGIONS; i++) {
		struct registration *r = &w.slots[i];

		if (r->key != q->key)
			continue;
		assert_int_equal(fake_region_del(w.fake, r->key), 0);
		munmap(r->pinned, r->bytes);
		w.pinned -= r->bytes;
		w.removes++;
		memset(r, 0, sizeof(*r));
		return 0;
	}
	return -ENOENT;
}

static int driver_remove(struct vtoe *ctx, struct vtoe_ioc_register *q)
{
	int rc;

	(void)ctx;
	pthread_mutex_lock(&w.lock);
	rc = driver_remove_locked(q);
	pthread_mutex_unlock(&w.lock);
	return rc;
}

static const struct driver_ops driver = { driver_add, driver_remove };

static void start(size_t direct_min, unsigned flags)
{
	struct vtoe_params vp = { .name = "test", .direct_min = direct_min,
				  .flags = flags };
	struct fake_params fp = { .memory = 16u << 20 };
	uint32_t i;

	memset(&w, 0, sizeof(w));
	pthread_mutex_init(&w.lock, NULL);
	w.fake = fake_start(&fp);
	vp.path = fake_path(w.fake);
	assert_int_equal(vtoe_open(&w.ctx, &vp), 0);
	w.state = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(w.state, MAP_FAILED);
	w.ctx->pin.state = w.state;
	assert_int_equal(pin_init(w.ctx, &driver, MOST), 0);
	assert_int_equal(vtoe_lane_open(w.ctx, &w.lane, 64, 64, 0), 0);
	w.limit = SIZE_MAX / 2;
	w.memfd = memfd_create("window", MFD_CLOEXEC);
	assert_int_equal(ftruncate(w.memfd, (PAGES + 1024) * (off_t)PAGE), 0);
	w.window = mmap(NULL, PAGES * PAGE, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (i = 0; i < PAGES; i++)
		show_page(i, w.next++);
}

static void stop(void)
{
	vtoe_lane_close(w.lane);
	vtoe_close(w.ctx);
	fake_stop(w.fake);
	munmap(w.window, PAGES * PAGE);
	close(w.memfd);
}

/* -- helpers -------------------------------------------------------------- */

static char pattern(size_t i, unsigned seed)
{
	return (char)(i * 31 + seed + (i >> 9));
}

static void fill(char *at, size_t bytes, unsigned seed)
{
	size_t i;

	for (i = 0; i < bytes; i++)
		at[i] = pattern(i, seed);
}

__attribute__((no_sanitize("thread")))
static void check(const char *at, size_t bytes, unsigned seed)
{
	size_t i;

	for (i = 0; i < bytes; i++)
		if (at[i] != pattern(i, seed))
			fail_msg("byte %zu is wrong", i);
}

/* Also for pages that the backend fills by another address: what orders the two
 * is in memory that a sanitizer of threads sees as two. */
__attribute__((no_sanitize("thread")))
static void all_are(const char *at, size_t bytes, char value)
{
	size_t i;

	for (i = 0; i < bytes; i++)
		if (at[i] != value)
			fail_msg("byte %zu is not %d", i, value);
}

static struct vtoe_counters counters(void)
{
	struct vtoe_counters c;

	vtoe_get_counters(w.ctx, &c);
	return c;
}

static void send_all(const void *from, size_t bytes)
{
	assert_int_equal(vtoe_stream_send(w.lane, 3, from, bytes, 5000),
			 bytes);
}

static void receive_all(void *into, size_t bytes)
{
	size_t done = 0;
	ssize_t n;

	while (done < bytes) {
		n = vtoe_stream_recv(w.lane, 3, (char *)into + done,
				     bytes - done, 5000);
		assert_true(n > 0);
		done += (size_t)n;
	}
}

/* A word from the arena, that `into` gets. */
static void send_word(const char *word, size_t bytes)
{
	char *from = vtoe_alloc(w.ctx, bytes);

	memcpy(from, word, bytes);
	send_all(from, bytes);
	vtoe_free(w.ctx, from);
}

/* -- the tests -------------------------------------------------------------- */

/* H1, H4: one registration for as many receives as there are. */
static void test_one_registration(void **state)
{
	char *from, *into;
	struct vtoe_counters c;
	int i;

	(void)state;
	start(PAGE, 0);
	from = vtoe_alloc(w.ctx, 4 * PAGE);
	into = w.window + 100;
	fill(from, 4 * PAGE, 5);
	for (i = 0; i < 20000; i++) {
		send_all(from, 4 * PAGE);
		receive_all(into, 4 * PAGE);
		if (i % 100 == 0)
			check(into, 4 * PAGE, 5);
		into[i % PAGE] = 0;
	}
	c = counters();
	assert_int_equal(c.registrations, 1);
	assert_int_equal(c.cache_misses, 1);
	assert_int_equal(c.cache_hits, 19999);
	assert_int_equal(c.registered_bytes, 5 * PAGE);
	assert_int_equal(c.bytes_copied, 0);
	assert_int_equal(w.calls, 1);
	stop();
}

/* H14, O8: what is small is copied; what is only sent is granted for reading. */
static void test_threshold_and_rights(void **state)
{
	char *a = w.window, *b;

	(void)state;
	start(2 * PAGE, 0);
	a = w.window + 10;
	b = w.window + 8 * PAGE;
	fill(a, 4 * PAGE, 1);
	send_all(a, 2 * PAGE - 1);
	receive_all(b, 2 * PAGE - 1);
	check(b, 2 * PAGE - 1, 1);
	assert_int_equal(w.calls, 0);
	assert_int_equal(counters().bytes_copied, 2 * (2 * PAGE - 1));
	send_all(a, 2 * PAGE);
	assert_int_equal(w.calls, 1);
	assert_int_equal(w.last_rights, VTOE_READ);
	receive_all(b, 2 * PAGE);
	check(b, 2 * PAGE, 1);
	assert_int_equal(w.calls, 2);
	assert_int_equal(w.last_rights, VTOE_READ | VTOE_WRITE);
	assert_int_equal(counters().bytes_copied, 2 * (2 * PAGE - 1));
	/* a registration for reading does not serve a receive */
	send_all(b, 2 * PAGE);
	receive_all(a, 2 * PAGE);
	assert_int_equal(w.calls, 3);
	assert_int_equal(w.last_rights, VTOE_READ | VTOE_WRITE);
	/* what is small and registered is sent as it is */
	send_all(a, 100);
	receive_all(b, 100);
	assert_int_equal(w.calls, 3);
	assert_int_equal(counters().bytes_copied, 2 * (2 * PAGE - 1) + 100);
	stop();
}

/* O10: any size at any offset, the bytes around it untouched. */
static void test_unaligned(void **state)
{
	static char around[30 * PAGE];
	size_t size, offset;
	char *into, *from;
	int i;

	(void)state;
	start(1, 0);
	srand(3);
	from = w.window + 40 * PAGE;
	for (i = 0; i < 3000; i++) {
		size = i < 100 ? (size_t)i + 1 : (size_t)rand() % 70000 + 1;
		offset = (size_t)rand() % PAGE;
		into = w.window + PAGE + offset;
		memset(w.window, 0x55, sizeof(around));
		fill(from + offset / 2, size, (unsigned)i);
		send_all(from + offset / 2, size);
		receive_all(into, size);
		check(into, size, (unsigned)i);
		memset(into, 0x55, size);
		all_are(w.window, sizeof(around), 0x55);
		if (i % 7 == 0)
			assert_int_equal(vtoe_unregister(w.ctx, into, size), 0);
		if (i % 11 == 0)
			assert_int_equal(vtoe_unregister(w.ctx, from, size), 0);
	}
	assert_int_equal(counters().bytes_copied, 0);
	assert_true(counters().registrations < 3000);
	stop();
}

/* O5: of registered memory only the bytes that were registered have a key. */
static void test_exact_bounds(void **state)
{
	uint64_t key, offset;
	char *at;

	(void)state;
	start(PAGE, 0);
	at = w.window + PAGE + 7;
	assert_int_equal(vtoe_register(w.ctx, at, PAGE, VTOE_WRITE), 0);
	assert_int_equal(counters().registered_bytes, 2 * PAGE);
	assert_int_equal(vtoe_translate(w.ctx, at, PAGE, &key, &offset), 0);
	assert_int_equal(offset, 7);
	assert_int_equal(vtoe_translate(w.ctx, at + 9, PAGE - 9, &key, &offset),
			 0);
	assert_int_equal(offset, 16);
	assert_ptr_equal(vtoe_address_of(w.ctx, key, 16, PAGE - 9), at + 9);
	assert_null(vtoe_address_of(w.ctx, key, 16, PAGE - 8));
	assert_null(vtoe_address_of(w.ctx, key, 6, 1));
	assert_null(vtoe_address_of(w.ctx, key, 0, 0));
	assert_null(vtoe_address_of(w.ctx, key, UINT64_MAX, 1));
	assert_int_equal(vtoe_translate(w.ctx, at - 1, 1, &key, &offset),
			 -EFAULT);
	assert_int_equal(vtoe_translate(w.ctx, at + PAGE, 1, &key, &offset),
			 -EFAULT);
	/* a neighbour in the same page has its own, and keeps it */
	assert_int_equal(vtoe_register(w.ctx, at + PAGE, 100, VTOE_WRITE), 0);
	assert_int_equal(w.calls, 2);
	assert_int_equal(vtoe_unregister(w.ctx, at, PAGE), 0);
	assert_int_equal(w.removes, 1);
	assert_int_equal(vtoe_translate(w.ctx, at + PAGE, 100, &key, &offset),
			 0);
	assert_int_equal(vtoe_register(w.ctx, at, MOST, VTOE_READ), -E2BIG);
	assert_int_equal(vtoe_register(w.ctx, at, SIZE_MAX - 2, VTOE_READ),
			 -EINVAL);
	assert_int_equal(vtoe_register(w.ctx, at, 0, VTOE_READ), -EINVAL);
	assert_int_equal(vtoe_register(w.ctx, at, 1, 4), -EINVAL);
	assert_int_equal(vtoe_register(w.ctx, &key, 8, VTOE_READ), -EFAULT);
	stop();
}

/* H5: other pages come to the address; the old ones are never written again,
 * and the registration goes. */
static void test_replaced(void **state)
{
	char *into, word[3 * PAGE];
	struct registration old;
	uint64_t key, offset;
	unsigned i;

	(void)state;
	start(PAGE, 0);
	into = w.window + 50;
	for (i = 0; i < 50; i++) {
		memset(word, (int)i + 1, sizeof(word));
		send_word(word, sizeof(word));
		receive_all(into, sizeof(word));
		all_are(into, sizeof(word), (char)(i + 1));
		assert_int_equal(counters().registrations, i + 1);
		assert_int_equal(counters().cache_invalidations, i);
		assert_int_equal(w.pinned, 4 * PAGE);
		/* one page, or all; the pinned ones get a canary */
		memset(into, 0x77, sizeof(word));
		old = w.slots[0];
		replace(i % 4, i % 2 ? 1 : 4 - i % 4);
		assert_int_equal(vtoe_translate(w.ctx, into, 10, &key, &offset),
				 -EFAULT);
		all_are(old.pinned + 50, sizeof(word), 0x77);
	}
	assert_int_equal(counters().bytes_copied, 0);
	stop();
}

/* The same under a request: the old pages get its bytes, the new ones nothing,
 * and the registration stays until the request is done. */
static void test_replaced_under_way(void **state)
{
	struct vtoe_cqe *cqe;
	struct vtoe_sqe *sqe;
	char word[PAGE];

	(void)state;
	start(PAGE, 0);
	memset(word, 9, sizeof(word));
	assert_int_equal(vtoe_register(w.ctx, w.window, PAGE, VTOE_WRITE), 0);
	sqe = vtoe_get_sqe(w.lane);
	vtoe_sqe_set(sqe, VTOE_OP_RECV, 3, 1);
	assert_int_equal(vtoe_sqe_memory(w.ctx, sqe, w.window, PAGE), 0);
	assert_int_equal(vtoe_submit(w.lane), 1);
	replace(0, 1);
	/* something else is registered: this one cannot go yet */
	assert_int_equal(vtoe_register(w.ctx, w.window + 8 * PAGE, PAGE,
				       VTOE_WRITE), 0);
	assert_int_equal(counters().cache_invalidations, 0);
	send_word(word, sizeof(word));
	assert_int_equal(vtoe_wait_cqe(w.lane, &cqe, 5000), 0);
	assert_int_equal(cqe->result, PAGE);
	vtoe_cqe_seen(w.lane);
	all_are(w.slots[0].pinned, PAGE, 9);
	all_are(w.window, PAGE, 0);
	/* now it is dropped by the next use of a helper */
	send_word(word, sizeof(word));
	receive_all(w.window + 8 * PAGE, PAGE);
	assert_int_equal(counters().cache_invalidations, 1);
	assert_int_equal(w.removes, 1);
	stop();
}

/* H5 at random: replacing, receiving, sending, unregistering, always exact. */
static void test_random(void **state)
{
	uint8_t shadow[64] = { 0 };
	unsigned i, k, at, n, seed;
	char word[8 * PAGE];

	(void)state;
	start(PAGE, 0);
	srand(17);
	for (k = 0; k < 20000; k++) {
		at = (unsigned)rand() % 64;
		n = (unsigned)rand() % 8 + 1;
		n = at + n > 64 ? 64 - at : n;
		switch (rand() % 8) {
		case 0:
			vtoe_register(w.ctx, w.window + at * PAGE, n * PAGE,
				      (unsigned)rand() % 3 + 1);
			break;
		case 1:
			assert_int_equal(vtoe_unregister(w.ctx,
							 w.window + at * PAGE,
							 n * PAGE), 0);
			break;
		case 2:
		case 3:
			replace(at, n);
			memset(shadow + at, 0, n);
			break;
		case 4:
			send_all(w.window + at * PAGE, PAGE);
			receive_all(word, PAGE);
			all_are(word, PAGE, (char)shadow[at]);
			break;
		default:
			seed = (unsigned)rand() % 255 + 1;
			memset(word, (int)seed, n * PAGE);
			send_word(word, n * PAGE);
			receive_all(w.window + at * PAGE, n * PAGE);
			memset(shadow + at, (int)seed, n);
			break;
		}
		for (i = 0; i < 64; i++) {
			assert_int_equal((uint8_t)w.window[i * PAGE],
					 shadow[i]);
			assert_int_equal((uint8_t)w.window[i * PAGE + PAGE - 1],
					 shadow[i]);
		}
	}
	assert_true(counters().cache_invalidations > 100);
	stop();
}

/* H15: nothing can be pinned: bytes are copied, exactly, and it is counted; the
 * driver is not asked each time. */
static void test_refused(void **state)
{
	char *from, *into;
	struct vtoe_counters c;
	int i;

	(void)state;
	start(PAGE, 0);
	w.limit = 0;
	from = w.window;
	into = w.window + 16 * PAGE;
	for (i = 0; i < 2000; i++) {
		fill(from, 4 * PAGE, (unsigned)i);
		send_all(from, 4 * PAGE);
		receive_all(into, 4 * PAGE);
		check(into, 4 * PAGE, (unsigned)i);
	}
	c = counters();
	assert_int_equal(c.registrations, 0);
	assert_int_equal(c.registrations_refused, 4000);
	assert_int_equal(c.bytes_copied, 4000 * 4 * PAGE);
	assert_true(w.calls < 30);
	/* the caller who asks is told; who may pin again does */
	assert_int_equal(vtoe_register(w.ctx, from, PAGE, VTOE_READ), -ENOMEM);
	w.limit = SIZE_MAX / 2;
	for (i = 0; i < 2000; i++) {
		send_all(from, 4 * PAGE);
		receive_all(into, 4 * PAGE);
	}
	assert_int_equal(counters().registrations, 2);
	stop();
}

/* A limit that can be met by giving up older registrations is met so; one that
 * cannot costs no more than what was asked for. */
static void test_limit_evicts(void **state)
{
	char *at;
	int i;

	(void)state;
	start(PAGE, 0);
	w.limit = 8 * PAGE;
	at = w.window;
	for (i = 0; i < 20; i++)
		assert_int_equal(vtoe_register(w.ctx, at + i * 2 * PAGE,
					       2 * PAGE, VTOE_READ), 0);
	assert_int_equal(counters().cache_evictions, 16);
	assert_int_equal(w.pinned, 8 * PAGE);
	assert_int_equal(vtoe_register(w.ctx, at, 8 * PAGE, VTOE_READ), 0);
	assert_int_equal(vtoe_unregister(w.ctx, at, PAGES * PAGE), 0);
	assert_int_equal(w.pinned, 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(vtoe_register(w.ctx, at + i * 2 * PAGE,
					       2 * PAGE, VTOE_READ), 0);
	w.limit = 0;
	assert_int_equal(vtoe_register(w.ctx, at + 100 * PAGE, PAGE,
				       VTOE_READ), -ENOMEM);
	assert_int_equal(w.pinned, 6 * PAGE);
	stop();
}

/* A long buffer is filled and sent through a few registrations, however its
 * reader and writer advance. */
static void test_window(void **state)
{
	const size_t bytes = 2048u * PAGE;
	size_t sent = 0, got = 0, n;
	char *from, *into;
	ssize_t rc;

	(void)state;
	start(PAGE, 0);
	from = vtoe_alloc(w.ctx, 1 << 18);
	into = w.window + 123;
	memset(from, 0x31, 1 << 18);
	while (got < bytes) {
		n = bytes - sent < 1 << 18 ? bytes - sent : 1 << 18;
		if (n)
			send_all(from, n);
		sent += n;
		rc = vtoe_stream_recv(w.lane, 3, into + got, bytes - got, 5000);
		assert_true(rc > 0);
		got += (size_t)rc;
	}
	all_are(into, bytes, 0x31);
	assert_int_equal(counters().bytes_copied, 0);
	/* 8 MiB in pieces of 4, the last quarter MiB of a piece left alone */
	assert_in_range(counters().registrations, 2, 4);
	stop();
}

/* Memory that does not fill its pages is copied for who wants it so. */
static void test_whole_pages(void **state)
{
	(void)state;
	start(PAGE, VTOE_OPEN_WHOLE_PAGES);
	fill(w.window, 4 * PAGE, 1);
	send_all(w.window + 1, 2 * PAGE);
	receive_all(w.window + 8 * PAGE, 2 * PAGE);
	assert_int_equal(w.calls, 1);
	assert_int_equal(counters().bytes_copied, 2 * PAGE);
	/* the last part of a page: copied, the rest is not */
	send_all(w.window, 2 * PAGE + 5);
	receive_all(w.window + 16 * PAGE, 2 * PAGE + 5);
	check(w.window + 16 * PAGE, 2 * PAGE + 5, 1);
	assert_int_equal(counters().registered_bytes, 6 * PAGE);
	assert_int_equal(counters().bytes_copied, 2 * PAGE + 10);
	stop();
}

/* A driver that answers nonsense is not believed. */
static void test_bad_driver(void **state)
{
	uint64_t key, offset;

	(void)state;
	start(PAGE, 0);
	w.bad_key = true;
	assert_int_equal(vtoe_register(w.ctx, w.window, PAGE, VTOE_READ),
			 -EPROTO);
	w.bad_key = false;
	w.bad_slot = true;
	assert_int_equal(vtoe_register(w.ctx, w.window, PAGE, VTOE_READ),
			 -EPROTO);
	assert_int_equal(vtoe_translate(w.ctx, w.window, 1, &key, &offset),
			 -EFAULT);
	stop();
}

/* O9: unregistering ends a receive that waits; no byte comes later (H17). */
static void test_unregister_under_way(void **state)
{
	struct vtoe_cqe *cqe;
	struct vtoe_sqe *sqe;
	char word[PAGE];

	(void)state;
	start(PAGE, 0);
	memset(w.window, 0x66, PAGE);
	assert_int_equal(vtoe_register(w.ctx, w.window, PAGE, VTOE_WRITE), 0);
	sqe = vtoe_get_sqe(w.lane);
	vtoe_sqe_set(sqe, VTOE_OP_RECV, 3, 1);
	assert_int_equal(vtoe_sqe_memory(w.ctx, sqe, w.window, PAGE), 0);
	sqe = vtoe_get_sqe(w.lane);
	vtoe_sqe_set(sqe, VTOE_OP_NOP, 0, 2);
	assert_int_equal(vtoe_wait_cqe(w.lane, &cqe, 5000), 0);
	assert_int_equal(cqe->user_data, 2);
	vtoe_cqe_seen(w.lane);
	assert_int_equal(vtoe_unregister(w.ctx, w.window, PAGE), 0);
	assert_int_equal(vtoe_wait_cqe(w.lane, &cqe, 5000), 0);
	assert_int_equal(cqe->result, -ECANCELED);
	vtoe_cqe_seen(w.lane);
	memset(word, 1, sizeof(word));
	send_word(word, sizeof(word));
	all_are(w.window, PAGE, 0x66);
	stop();
}

/* O2: in a child of fork no key of the parent's is found, and none is made. */
static void test_child(void **state)
{
	uint64_t key, offset;
	int status;

	(void)state;
	start(PAGE, 0);
	assert_int_equal(vtoe_register(w.ctx, w.window, PAGE, VTOE_WRITE), 0);
	if (!fork()) {
		int bad = 0;

		if (vtoe_translate(w.ctx, w.window, 1, &key, &offset) !=
		    -EFAULT)
			bad |= 1;
		if (vtoe_register(w.ctx, w.window, PAGE, VTOE_WRITE) != -EPERM)
			bad |= 2;
		if (vtoe_register(w.ctx, w.window + PAGE, PAGE, VTOE_READ) !=
		    -EPERM)
			bad |= 4;
		if (w.calls != 1)
			bad |= 8;
		vtoe_forget(w.ctx);
		_exit(bad);
	}
	assert_true(wait(&status) > 0);
	assert_int_equal(status, 0);
	assert_int_equal(vtoe_translate(w.ctx, w.window, 1, &key, &offset), 0);
	stop();
}

/* Threads with a lane, a stream and pages of their own each; registrations are
 * evicted and dropped under one another's hands all the time. */
enum { THREADS = 4, EACH = 16 };

static void *thread_run(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg, i, at, seed = me + 1;
	char *mine = w.window + me * EACH * PAGE;
	char *word = w.window + (THREADS + me) * EACH * PAGE;
	struct vtoe_lane *lane;
	size_t done, bytes, k;
	ssize_t n;

	if (vtoe_lane_open(w.ctx, &lane, 64, 64, 0))
		abort();
	for (i = 0; i < 1500; i++) {
		at = (unsigned)rand_r(&seed) % (EACH - 4);
		bytes = ((unsigned)rand_r(&seed) % 4 + 1) * PAGE;
		if (rand_r(&seed) % 8 == 0)
			replace((rand_r(&seed) % 2 * THREADS + me) * EACH + at,
				2);
		memset(word, (int)i, bytes);
		memset(mine + at * PAGE, (int)~i, bytes);
		if (vtoe_stream_send(lane, 10 + me, word, bytes, 20000) !=
		    (ssize_t)bytes)
			abort();
		for (done = 0; done < bytes; done += (size_t)n) {
			n = vtoe_stream_recv(lane, 10 + me,
					     mine + at * PAGE + done,
					     bytes - done, 20000);
			if (n <= 0)
				abort();
		}
		for (k = 0; k < bytes; k++)
			if (mine[at * PAGE + k] != (char)i)
				abort();
	}
	vtoe_lane_close(lane);
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[THREADS];
	uintptr_t i;

	(void)state;
	start(PAGE, 0);
	w.limit = 14 * PAGE;
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, thread_run,
						(void *)i), 0);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_true(counters().cache_evictions > 10);
	assert_true(counters().cache_invalidations > 10);
	assert_true(w.pinned <= w.limit);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_registration),
		cmocka_unit_test(test_threshold_and_rights),
		cmocka_unit_test(test_unaligned),
		cmocka_unit_test(test_exact_bounds),
		cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_replaced_under_way),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limit_evicts),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_whole_pages),
		cmocka_unit_test(test_bad_driver),
		cmocka_unit_test(test_unregister_under_way),
		cmocka_unit_test(test_child),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
