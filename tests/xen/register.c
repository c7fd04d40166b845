// SPDX-License-Identifier: BSD-2-Clause
/*
 * register.c - registered application memory in a Xen guest: `register CASE HOST
 * PORT`, against tests/xen/register_peer
 *
 * A case for each mechanism (MECHANISMS H, O, P); the table at the end names
 * them. It exits 0 when what it shows holds, 1 with a line "register: ..." when
 * not, 99 when it could not be made.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <vtoe.h>
#include <vtoe_ioctl.h>

#include "tests/xen/register.h"

#define PAGE 4096u
#define BOTH (VTOE_READ | VTOE_WRITE)
#define DEVICE "/dev/vtoe0"
#define SECONDS 20

static struct sockaddr_in peer = { .sin_family = AF_INET };
static struct vtoe *ctx;
static struct vtoe_lane *lane;
static uint32_t stream;
static char *scratch; /* of the arena, for orders */

static void quit(int status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("register: ", stdout);
	vprintf(format, args);
	putchar('\n');
	va_end(args);
	fflush(stdout);
	_exit(status);
}

#define CHECK(what)                                                   \
	do {                                                          \
		if (!(what))                                          \
			quit(1, "line %d: not %s", __LINE__, #what);   \
	} while (0)

#define CHECK_IS(a, b)                                                       \
	do {                                                                 \
		long long a_ = (long long)(a), b_ = (long long)(b);          \
		if (a_ != b_)                                                \
			quit(1, "line %d: %s is %lld, not %lld", __LINE__, \
			     #a, a_, b_);                                    \
	} while (0)

/* -- helpers ---------------------------------------------------------------- */

static void begin(size_t direct_min, unsigned flags)
{
	struct vtoe_params p = { .path = DEVICE, .direct_min = direct_min,
				 .flags = flags };
	int rc = vtoe_open(&ctx, &p);

	if (!rc)
		rc = vtoe_lane_open(ctx, &lane, 0, 0, 0);
	if (!rc)
		rc = vtoe_stream_open_connect(lane, &stream, (void *)&peer,
					      sizeof(peer), 10000);
	if (rc)
		quit(99, "no connection: %s", strerror(-rc));
	scratch = vtoe_alloc(ctx, PAGE);
}

static void end(void)
{
	vtoe_stream_close(lane, stream, 0);
	vtoe_lane_close(lane);
	vtoe_close(ctx);
}

static struct vtoe_counters counters(void)
{
	struct vtoe_counters c;

	vtoe_get_counters(ctx, &c);
	return c;
}

static void order(enum order_op op, uint32_t seed, uint64_t bytes)
{
	const struct order o = { op, seed, bytes };

	memcpy(scratch, &o, sizeof(o));
	CHECK_IS(vtoe_stream_send(lane, stream, scratch, sizeof(o), 10000),
		 sizeof(o));
}

static void fill(char *at, size_t bytes, uint32_t seed)
{
	size_t i;

	for (i = 0; i < bytes; i++)
		at[i] = (char)pattern(i, seed);
}

static void check(const char *at, size_t bytes, uint32_t seed)
{
	size_t i;

	for (i = 0; i < bytes; i++)
		if (at[i] != (char)pattern(i, seed))
			quit(1, "byte %zu of %zu is wrong", i, bytes);
}

static void all_are(const char *at, size_t bytes, int value)
{
	size_t i;

	for (i = 0; i < bytes; i++)
		if (at[i] != (char)value)
			quit(1, "byte %zu of %zu is %d, not %d", i, bytes,
			     at[i], value);
}

static void take(void *into, size_t bytes)
{
	size_t done = 0;
	ssize_t n;

	while (done < bytes) {
		n = vtoe_stream_recv(lane, stream, (char *)into + done,
				     bytes - done, 10000);
		if (n <= 0)
			quit(1, "recv: %zd", n);
		done += (size_t)n;
	}
}

/* The peer sends, and all of it comes. */
static void receive(void *into, size_t bytes, uint32_t seed)
{
	order(ORDER_SEND, seed, bytes);
	take(into, bytes);
}

/* The peer takes it, and finds it right. */
static void deliver(const void *from, size_t bytes, uint32_t seed)
{
	order(ORDER_TAKE, seed, bytes);
	CHECK_IS(vtoe_stream_send(lane, stream, from, bytes, 20000), bytes);
	CHECK_IS(vtoe_stream_recv(lane, stream, scratch, 1, 20000), 1);
	CHECK_IS(*scratch, 'y');
}

static char *pages(size_t n)
{
	char *at = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		quit(99, "no memory");
	return at;
}

static long pinned_kb(void)
{
	char line[256];
	FILE *f = fopen("/proc/self/status", "r");
	long kb = -1;

	while (f && kb < 0 && fgets(line, sizeof(line), f))
		sscanf(line, "VmPin: %ld", &kb);
	if (f)
		fclose(f);
	return kb;
}

/* Submits a receive by the native interface. */
static void post(uint64_t key, uint64_t offset, uint32_t length,
		 uint64_t cookie)
{
	struct vtoe_sqe *sqe = vtoe_get_sqe(lane);

	CHECK(sqe);
	vtoe_sqe_set(sqe, VTOE_OP_RECV, stream, cookie);
	sqe->key = key;
	sqe->offset = offset;
	sqe->length = length;
}

static struct vtoe_cqe completion(void)
{
	struct vtoe_cqe *cqe, copy;

	CHECK_IS(vtoe_wait_cqe(lane, &cqe, 10000), 0);
	copy = *cqe;
	vtoe_cqe_seen(lane);
	return copy;
}

/* What was submitted before has reached the backend. */
static void settle(void)
{
	struct vtoe_sqe *sqe = vtoe_get_sqe(lane);

	vtoe_sqe_set(sqe, VTOE_OP_NOP, 0, 0xfff);
	CHECK_IS(completion().user_data, 0xfff);
}

static void pause_ms(unsigned ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000l };

	nanosleep(&t, NULL);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* -- the cases ---------------------------------------------------------------- */

/* H1: the first receive registers once, and the bytes are not copied. */
static void case_h1(void)
{
	char *into = malloc(1 << 20);
	struct vtoe_counters c;

	begin(1, 0);
	receive(into, 300000, 1);
	check(into, 300000, 1);
	c = counters();
	CHECK_IS(c.registrations, 1);
	CHECK_IS(c.registrations_refused, 0);
	CHECK_IS(c.bytes_copied, 0);
	printf("1 registration of %llu bytes, 0 bytes copied\n",
	       (unsigned long long)c.registered_bytes);
	fill(into + 5, 700001, 2);
	deliver(into + 5, 700001, 2);
	c = counters();
	CHECK_IS(c.registrations, 2);
	CHECK_IS(c.bytes_copied, 0);
	end();
}

/* H2: VmPin rises by exactly the pages that were registered, and falls. */
static void case_h2(void)
{
	long before;
	char *at;
	int i;

	begin(0, 0);
	at = pages(64);
	before = pinned_kb();
	CHECK_IS(vtoe_register(ctx, at + 100, 10 * PAGE, BOTH), 0);
	CHECK_IS(pinned_kb() - before, 44);
	CHECK_IS(vtoe_register(ctx, at + 20 * PAGE, PAGE, VTOE_READ), 0);
	CHECK_IS(pinned_kb() - before, 48);
	CHECK_IS(vtoe_register(ctx, at + 31 * PAGE - 1, 2, VTOE_READ), 0);
	CHECK_IS(pinned_kb() - before, 56);
	CHECK_IS(vtoe_unregister(ctx, at + 100, 10 * PAGE), 0);
	CHECK_IS(pinned_kb() - before, 12);
	CHECK_IS(vtoe_unregister(ctx, at, 64 * PAGE), 0);
	CHECK_IS(pinned_kb(), before);
	for (i = 0; i < 100; i++) {
		CHECK_IS(vtoe_register(ctx, at, 64 * PAGE, BOTH), 0);
		CHECK_IS(pinned_kb() - before, 256);
		CHECK_IS(vtoe_unregister(ctx, at, 64 * PAGE), 0);
	}
	CHECK_IS(pinned_kb(), before);
	end();
}

/* H3: posted buffers are filled in order, with their cookies. */
static void case_h3(void)
{
	uint64_t key, offset, at = 0;
	struct vtoe_cqe c;
	char *into;
	unsigned i;

	begin(0, 0);
	into = pages(64);
	CHECK_IS(vtoe_register(ctx, into, 64 * PAGE, VTOE_WRITE), 0);
	CHECK_IS(vtoe_translate(ctx, into, 64 * PAGE, &key, &offset), 0);
	for (i = 0; i < 32; i++)
		post(key, offset + i * 2 * PAGE, 2 * PAGE, 1000 + i);
	order(ORDER_SEND, 5, 64 * PAGE);
	for (i = 0; i < 32 && at < 64 * PAGE; i++) {
		c = completion();
		CHECK_IS(c.user_data, 1000 + i);
		CHECK(c.result > 0);
		memmove(into + at, into + i * 2 * PAGE, (size_t)c.result);
		at += (uint64_t)c.result;
	}
	check(into, at, 5);
	CHECK_IS(counters().registrations, 1);
	printf("%u buffers in order, %llu bytes\n", i,
	       (unsigned long long)at);
	end();
}

/* From now on a system call to the driver, but to wait, is the end of this
 * process. */
static void forbid_ioctl(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, VTOE_IOC_WAIT, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 6, code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		quit(99, "seccomp: %s", strerror(errno));
}

/* H4: 10^4 receives into one buffer are one registration, and no call to the
 * driver asks whether it is still good. */
static void case_h4(void)
{
	const unsigned count = 10000, bytes = 1024;
	struct vtoe_counters c;
	uint64_t at = 0;
	unsigned i, k;
	double begun;
	char *into;

	begin(bytes, 0);
	into = pages(1) + 64;
	begun = now();
	order(ORDER_SEND, 7, (uint64_t)count * bytes);
	for (i = 0; i < count; i++) {
		ssize_t n = vtoe_stream_recv(lane, stream, into, bytes, 10000);

		CHECK(n > 0);
		for (k = 0; k < (unsigned)n; k += 97)
			CHECK_IS((unsigned char)into[k], pattern(at + k, 7));
		at += (uint64_t)n;
		if (!i)
			forbid_ioctl();
	}
	c = counters();
	CHECK_IS(c.registrations, 1);
	CHECK_IS(c.cache_misses, 1);
	CHECK_IS(c.cache_hits, count - 1);
	CHECK_IS(c.bytes_copied, 0);
	printf("%u receives, %llu bytes, 1 registration, %llu hits, %.1f s\n",
	       count, (unsigned long long)at,
	       (unsigned long long)c.cache_hits, now() - begun);
	end();
}

/* A page of memory that can be seen at two addresses: when the one goes, the
 * other shows what becomes of the page. */
static char *twice(int *fd, size_t n, char **other)
{
	*fd = memfd_create("twice", MFD_CLOEXEC);
	if (*fd < 0 || ftruncate(*fd, (off_t)(n * PAGE)))
		quit(99, "no memfd");
	*other = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, *fd,
		      0);
	return mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
}

static void fresh(char *at, size_t n)
{
	CHECK(mmap(at, n * PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at);
}

/* H5: another page at the same address gets the bytes, the old one none. */
static void case_h5(void)
{
	char *at, *old;
	int fd, i;

	begin(1, 0);
	for (i = 0; i < 20; i++) {
		at = twice(&fd, 8, &old);
		receive(at, 8 * PAGE, (uint32_t)i);
		check(old, 8 * PAGE, (uint32_t)i);
		CHECK_IS(counters().registrations, 2 * i + 1);
		memset(old, 0x5a, 8 * PAGE);
		munmap(at, 8 * PAGE);
		fresh(at, 8);
		receive(at, 8 * PAGE, (uint32_t)i + 100);
		check(at, 8 * PAGE, (uint32_t)i + 100);
		all_are(old, 8 * PAGE, 0x5a);
		CHECK_IS(counters().registrations, 2 * i + 2);
		CHECK(counters().cache_invalidations >= (unsigned)i + 1);
		munmap(at, 8 * PAGE);
		munmap(old, 8 * PAGE);
		close(fd);
	}
	CHECK_IS(counters().bytes_copied, 0);
	CHECK(pinned_kb() <= 64);
	printf("%llu registrations, %llu found stale, VmPin %ld kB\n",
	       (unsigned long long)counters().registrations,
	       (unsigned long long)counters().cache_invalidations,
	       pinned_kb());
	end();
}

/* H5 under way: a receive that waits fills the old page, never the new one. */
static void case_h5_under_way(void)
{
	uint64_t key, offset;
	char *at, *old;
	int fd;

	begin(PAGE, 0);
	at = twice(&fd, 2, &old);
	CHECK_IS(vtoe_register(ctx, at, 2 * PAGE, VTOE_WRITE), 0);
	CHECK_IS(vtoe_translate(ctx, at, 2 * PAGE, &key, &offset), 0);
	post(key, offset, 2 * PAGE, 1);
	settle();
	fresh(at, 2);
	memset(at, 0x33, 2 * PAGE);
	CHECK_IS(vtoe_translate(ctx, at, 1, &key, &offset), -EFAULT);
	order(ORDER_SEND, 9, PAGE);
	CHECK(completion().result > 0);
	pause_ms(300);
	all_are(at, 2 * PAGE, 0x33);
	CHECK_IS((unsigned char)old[3], pattern(3, 9));
	end();
}

/* What else brings other pages: MADV_DONTNEED, mremap, COW after fork. */
static void case_h5_kinds(void)
{
	char *at, *moved;
	int status, i;
	pid_t child;

	begin(1, 0);
	at = pages(8);
	for (i = 0; i < 10; i++) {
		receive(at, 8 * PAGE, 1);
		madvise(at, 8 * PAGE, MADV_DONTNEED);
		all_are(at, 8 * PAGE, 0);
		receive(at, 8 * PAGE, 2);
		check(at, 8 * PAGE, 2);
		moved = mremap(at, 8 * PAGE, 8 * PAGE,
			       MREMAP_MAYMOVE | MREMAP_FIXED, pages(8));
		CHECK(moved != MAP_FAILED);
		check(moved, 8 * PAGE, 2);
		fresh(at, 8);
		receive(at, 8 * PAGE, 3);
		check(at, 8 * PAGE, 3);
		check(moved, 8 * PAGE, 2);
		receive(moved, 8 * PAGE, 4);
		check(moved, 8 * PAGE, 4);
		check(at, 8 * PAGE, 3);
		munmap(moved, 8 * PAGE);
	}
	/* fork: the pages stay the parent's, whoever writes first */
	receive(at, 8 * PAGE, 5);
	child = fork();
	if (!child) {
		memset(at, 0x11, 4 * PAGE);
		pause_ms(1500);
		check(at + 4 * PAGE, 1, 5 + 31 * 4 * PAGE + (4 * PAGE >> 9));
		_exit(0);
	}
	receive(at, 8 * PAGE, 6);
	check(at, 8 * PAGE, 6);
	fill(at, 8 * PAGE, 7);
	deliver(at, 8 * PAGE, 7);
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	check(at, 8 * PAGE, 7);
	/* memory registered for reading before it is first written */
	at = pages(8);
	CHECK_IS(vtoe_register(ctx, at, 8 * PAGE, VTOE_READ), 0);
	fill(at, 8 * PAGE, 8);
	deliver(at, 8 * PAGE, 8);
	/* and registered while a child shares it */
	at = pages(8);
	fill(at, 8 * PAGE, 9);
	child = fork();
	if (!child) {
		pause_ms(1500);
		check(at, 8 * PAGE, 9);
		_exit(0);
	}
	deliver(at, 8 * PAGE, 9);
	fill(at, 8 * PAGE, 10);
	deliver(at, 8 * PAGE, 10);
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	CHECK_IS(counters().bytes_copied, 0);
	end();
}

/* H5 at random. */
static void case_h5_random(void)
{
	unsigned char shadow[64] = { 0 };
	unsigned long ops = 0, moved = 0;
	double until = now() + SECONDS;
	unsigned at, n, seed, i;
	char *mine, *from;

	begin(1, 0);
	srand(23);
	mine = pages(64);
	from = pages(8);
	while (now() < until) {
		at = (unsigned)rand() % 64;
		n = (unsigned)rand() % 8 + 1;
		n = at + n > 64 ? 64 - at : n;
		ops++;
		switch (rand() % 8) {
		case 0:
			munmap(mine + at * PAGE, n * PAGE);
			fresh(mine + at * PAGE, n);
			memset(shadow + at, 0, n);
			break;
		case 1:
			fresh(mine + at * PAGE, n);
			memset(shadow + at, 0, n);
			break;
		case 2:
			madvise(mine + at * PAGE, n * PAGE, MADV_DONTNEED);
			memset(shadow + at, 0, n);
			break;
		case 3:
			CHECK_IS(vtoe_unregister(ctx, mine + at * PAGE,
						 n * PAGE), 0);
			break;
		case 4:
			/* pages from elsewhere, with their content */
			memset(from, (int)ops & 0xff, n * PAGE);
			CHECK(mremap(from, n * PAGE, n * PAGE,
				     MREMAP_MAYMOVE | MREMAP_FIXED,
				     mine + at * PAGE) != MAP_FAILED);
			fresh(from, n);
			memset(shadow + at, (int)ops & 0xff, n);
			break;
		default:
			seed = (unsigned)rand() % 256;
			receive(mine + at * PAGE, n * PAGE, seed);
			check(mine + at * PAGE, n * PAGE, seed);
			memset(mine + at * PAGE, (int)seed, n * PAGE);
			memset(shadow + at, (int)seed, n);
			moved++;
			break;
		}
		for (i = 0; i < 64; i++) {
			CHECK_IS((unsigned char)mine[i * PAGE], shadow[i]);
			CHECK_IS((unsigned char)mine[i * PAGE + PAGE - 1],
				 shadow[i]);
		}
	}
	printf("%lu operations, %lu receives, %llu registrations, %llu found stale\n",
	       ops, moved, (unsigned long long)counters().registrations,
	       (unsigned long long)counters().cache_invalidations);
	CHECK(counters().cache_invalidations > 10);
	CHECK_IS(counters().bytes_copied, 0);
	end();
}

/* H14: what is small is copied and never registered. */
static void case_h14(void)
{
	char *into = malloc(1 << 16);
	int i;

	begin(8192, 0);
	for (i = 0; i < 100; i++) {
		receive(into, 8191, (uint32_t)i);
		check(into, 8191, (uint32_t)i);
	}
	CHECK_IS(counters().registrations, 0);
	CHECK_IS(counters().bytes_copied, 100 * 8191);
	receive(into, 8192, 1);
	CHECK_IS(counters().registrations, 1);
	end();
}

static void drop_ipc_lock(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data))
		quit(99, "capget");
	data[0].effective &= ~(1u << CAP_IPC_LOCK);
	if (syscall(SYS_capset, &head, data))
		quit(99, "capset");
}

/* H15: nothing may be pinned (or the device's limit is reached: the caller sees
 * to that): bytes are copied, and it is counted. */
static void copies(void)
{
	char *into = malloc(1 << 20);
	struct vtoe_counters c;
	int i;

	for (i = 0; i < 20; i++) {
		receive(into, 200000, (uint32_t)i);
		check(into, 200000, (uint32_t)i);
	}
	deliver(into, 200000, 19);
	c = counters();
	CHECK_IS(c.registrations, 0);
	CHECK(c.registrations_refused >= 21);
	CHECK(c.bytes_copied >= 21 * 200000);
	CHECK_IS(pinned_kb(), 0);
	printf("%llu transfers refused, %llu bytes copied\n",
	       (unsigned long long)c.registrations_refused,
	       (unsigned long long)c.bytes_copied);
}

static void case_h15(void)
{
	const struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_MEMLOCK, &none);
	drop_ipc_lock();
	begin(0, 0);
	CHECK_IS(vtoe_register(ctx, pages(1), PAGE, VTOE_READ), -ENOMEM);
	copies();
	end();
}

static void case_h15_device(void)
{
	begin(0, 0);
	CHECK_IS(vtoe_register(ctx, pages(64), 64 * PAGE, VTOE_READ), -ENOMEM);
	copies();
	end();
}

/* H17: after a completion nothing comes to the buffer. */
static void case_h17(void)
{
	char *into;
	int i;

	begin(PAGE, 0);
	into = pages(16);
	for (i = 0; i < 20; i++) {
		receive(into, 16 * PAGE, (uint32_t)i);
		memset(into, 0x6b, 16 * PAGE);
		order(ORDER_SEND, 77, 4 * PAGE); /* nobody asks for it yet */
		pause_ms(50);
		all_are(into, 16 * PAGE, 0x6b);
		CHECK_IS(vtoe_unregister(ctx, into, 16 * PAGE), 0);
		pause_ms(20);
		all_are(into, 16 * PAGE, 0x6b);
		take(into, 4 * PAGE);
		check(into, 4 * PAGE, 77);
	}
	end();
}

/* O2: another process's addresses are refused, in a child that has all of its
 * parent's descriptors. */
static void case_o2(void)
{
	struct vtoe_ioc_register q = { .bytes = PAGE, .rights = BOTH };
	uint64_t key, offset;
	int status;
	char *at;

	begin(0, 0);
	at = pages(1);
	*at = 1;
	CHECK_IS(vtoe_register(ctx, at, PAGE, BOTH), 0);
	CHECK_IS(vtoe_translate(ctx, at, PAGE, &key, &offset), 0);
	if (!fork()) {
		q.address = (uintptr_t)at;
		CHECK(ioctl(vtoe_control_fd(ctx), VTOE_IOC_REGISTER, &q) < 0);
		CHECK_IS(errno, EPERM);
		q.key = key;
		CHECK(ioctl(vtoe_control_fd(ctx), VTOE_IOC_UNREGISTER, &q) < 0);
		CHECK_IS(errno, EPERM);
		CHECK_IS(vtoe_register(ctx, at, PAGE, BOTH), -EPERM);
		CHECK_IS(vtoe_translate(ctx, at, 1, &key, &offset), -EFAULT);
		vtoe_forget(ctx);
		_exit(0);
	}
	CHECK(wait(&status) > 0 && status == 0);
	/* nothing mapped, the kernel's addresses, a length that wraps */
	q.address = 0x10000;
	CHECK(ioctl(vtoe_control_fd(ctx), VTOE_IOC_REGISTER, &q) < 0);
	q.address = 0xffff888000000000ull;
	CHECK(ioctl(vtoe_control_fd(ctx), VTOE_IOC_REGISTER, &q) < 0);
	q.address = 0xfffffffffffff000ull;
	q.bytes = 2 * PAGE;
	CHECK(ioctl(vtoe_control_fd(ctx), VTOE_IOC_REGISTER, &q) < 0);
	CHECK_IS(errno, EINVAL);
	q.address = (uintptr_t)at + 1;
	q.bytes = PAGE;
	CHECK(ioctl(vtoe_control_fd(ctx), VTOE_IOC_REGISTER, &q) < 0);
	CHECK_IS(errno, EINVAL);
	/* the state page cannot be written */
	CHECK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
		   vtoe_control_fd(ctx), (off_t)VTOE_STATE_OFFSET) ==
	      MAP_FAILED);
	receive(at, PAGE, 4);
	check(at, PAGE, 4);
	end();
}

/* O5: offsets and lengths outside of the region are refused. */
static void case_o5(void)
{
	static const uint64_t offsets[] = {
		0, 1, PAGE - 1, PAGE, 2 * PAGE - 1, 2 * PAGE, 2 * PAGE + 1,
		1ull << 31, 1ull << 32, 1ull << 63, UINT64_MAX - PAGE,
		UINT64_MAX - 1, UINT64_MAX,
	};
	static const uint32_t lengths[] = {
		1, PAGE, 2 * PAGE, 2 * PAGE + 1, 0x7fffffff, 0x80000000,
		UINT32_MAX,
	};
	uint64_t key, offset;
	unsigned i, k, refused = 0;
	char *at;

	begin(0, 0);
	at = pages(4);
	memset(at, 0x44, 4 * PAGE);
	CHECK_IS(vtoe_register(ctx, at + PAGE, 2 * PAGE, BOTH), 0);
	CHECK_IS(vtoe_translate(ctx, at + PAGE, 1, &key, &offset), 0);
	order(ORDER_SEND, 1, 100);
	for (i = 0; i < sizeof(offsets) / sizeof(*offsets); i++)
		for (k = 0; k < sizeof(lengths) / sizeof(*lengths); k++) {
			if (offsets[i] <= 2 * PAGE &&
			    lengths[k] <= 2 * PAGE - offsets[i])
				continue;
			post(key, offsets[i], lengths[k], 1);
			CHECK_IS(completion().result, -ERANGE);
			refused++;
		}
	all_are(at, 4 * PAGE, 0x44);
	printf("%u of %u refused\n", refused, refused);
	end();
}

/* O7, G5: the key of another process names nothing, a guessed one neither. */
static void case_o7(void)
{
	int to_child[2], status, i, refused = 0;
	uint64_t key, offset;
	pid_t child;
	char *at;

	if (pipe(to_child))
		quit(99, "pipe");
	child = fork();
	if (!child) {
		CHECK_IS(read(to_child[0], &key, sizeof(key)), sizeof(key));
		begin(0, 0);
		order(ORDER_SEND, 1, PAGE);
		post(key, 0, 100, 1);
		CHECK_IS(completion().result, -ENOKEY);
		end();
		_exit(0);
	}
	begin(0, 0);
	at = pages(1);
	memset(at, 0x44, PAGE);
	CHECK_IS(vtoe_register(ctx, at, PAGE, BOTH), 0);
	CHECK_IS(vtoe_translate(ctx, at, 1, &key, &offset), 0);
	CHECK_IS(write(to_child[1], &key, sizeof(key)), sizeof(key));
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	order(ORDER_SEND, 1, PAGE);
	srand((unsigned)getpid());
	for (i = 0; i < 20000; i++) {
		uint64_t guess = i < 64 ? key ^ 1ull << i :
				 i < 128 ? key + (unsigned)i :
				 (uint64_t)rand() << 33 ^ (uint64_t)rand() << 11 ^
				 (uint64_t)rand();

		post(guess == key ? key + 1 : guess, 0, 100, 1);
		for (; i % 100 == 99 && refused <= i; refused++)
			CHECK_IS(completion().result, -ENOKEY);
	}
	all_are(at, PAGE, 0x44);
	end();
}

/* O8: memory registered for sending cannot be received into. Stays for a while,
 * for who looks into the hypervisor's grant table: 40 pages read-only, 30
 * writable. */
static void case_o8(void)
{
	uint64_t key, offset;
	char *ro, *rw;

	begin(0, 0);
	ro = pages(40);
	rw = pages(30);
	fill(ro, 40 * PAGE, 3);
	CHECK_IS(vtoe_register(ctx, ro, 40 * PAGE, VTOE_READ), 0);
	CHECK_IS(vtoe_register(ctx, rw, 30 * PAGE, BOTH), 0);
	CHECK_IS(vtoe_translate(ctx, ro, 1, &key, &offset), 0);
	order(ORDER_SEND, 1, PAGE);
	post(key, 0, PAGE, 1);
	CHECK_IS(completion().result, -EACCES);
	pause_ms(15000);
	receive(rw, 100, 1);
	check(ro, 40 * PAGE, 3);
	end();
}

/* O9: unregistering under a receive and under a send that is stuck. */
static void case_o9(void)
{
	uint64_t key, offset;
	struct vtoe_sqe *sqe;
	double begun;
	char *at;
	int i;

	begin(PAGE, 0);
	at = pages(1024);
	for (i = 0; i < 20; i++) {
		memset(at, 0x29, 4 * PAGE);
		CHECK_IS(vtoe_register(ctx, at, 4 * PAGE, VTOE_WRITE), 0);
		CHECK_IS(vtoe_translate(ctx, at, 1, &key, &offset), 0);
		post(key, 0, 4 * PAGE, 1);
		settle();
		if (i % 2) /* as they come */
			order(ORDER_SEND, 2, 3 * PAGE);
		CHECK_IS(vtoe_unregister(ctx, at, 4 * PAGE), 0);
		memset(at, 0x29, 4 * PAGE);
		CHECK(completion().result != 0);
		pause_ms(20);
		all_are(at, 4 * PAGE, 0x29);
		while (vtoe_stream_recv(lane, stream, scratch, PAGE, 30) > 0)
			;
	}
	post(key, 0, 4 * PAGE, 1);
	CHECK_IS(completion().result, -ENOKEY);
	/* the peer reads nothing: 4 MiB are stuck on the way */
	order(ORDER_WAIT, 0, 3000);
	order(ORDER_TAKE, 4, 1024 * PAGE);
	fill(at, 1024 * PAGE, 4);
	CHECK_IS(vtoe_register(ctx, at, 1024 * PAGE, VTOE_READ), 0);
	sqe = vtoe_get_sqe(lane);
	vtoe_sqe_set(sqe, VTOE_OP_SEND, stream, 1);
	CHECK_IS(vtoe_sqe_memory(ctx, sqe, at, 1024 * PAGE), 0);
	settle();
	begun = now();
	CHECK_IS(vtoe_unregister(ctx, at, 1024 * PAGE), 0);
	printf("unregistered a stuck send in %.1f s; it had %d bytes\n",
	       now() - begun, completion().result);
	CHECK(pinned_kb() <= 16);
	end();
}

/* O10: any size at any offset; what is around it stays. */
static void case_o10(void)
{
	size_t size, offset;
	double until = now() + SECONDS;
	char *around, *from;
	unsigned i;

	begin(1, 0);
	srand(31);
	around = pages(24);
	from = pages(24);
	for (i = 0; i < 40 || now() < until; i++) {
		size = i < 40 ? i + 1 : (size_t)rand() % 70000 + 1;
		offset = (size_t)rand() % PAGE;
		memset(around, 0x55, 24 * PAGE);
		receive(around + PAGE + offset, size, i);
		check(around + PAGE + offset, size, i);
		memset(around + PAGE + offset, 0x55, size);
		all_are(around, 24 * PAGE, 0x55);
		fill(from + offset, size, i);
		deliver(from + offset, size, i);
		if (i % 5 == 0)
			CHECK_IS(vtoe_unregister(ctx, around, 24 * PAGE), 0);
	}
	CHECK_IS(counters().bytes_copied, 0);
	printf("%u transfers each way, %llu registrations, 0 bytes copied\n", i,
	       (unsigned long long)counters().registrations);
	end();
}

/* For P4: receives and sends until it is killed. */
static void case_load(void)
{
	char *into, *from;
	uint32_t seed;

	begin(0, 0);
	into = pages(512);
	from = pages(512);
	fill(from, 512 * PAGE, 1);
	puts("under load");
	fflush(stdout);
	for (seed = 0;; seed++) {
		receive(into, 256 * PAGE, seed);
		check(into, 256 * PAGE, seed);
		deliver(from, 256 * PAGE, 1);
	}
}

/* For P4: memory of the guest, taken while others are killed, stays as it is. */
static void case_canary(void)
{
	size_t n = 4096, i;
	double until = now() + SECONDS;
	char *at = pages(n);

	while (now() < until) {
		for (i = 0; i < n; i++)
			memset(at + i * PAGE, (int)(i & 0xff), PAGE);
		pause_ms(100);
		for (i = 0; i < n; i++)
			all_are(at + i * PAGE, PAGE, (int)(i & 0xff));
		munmap(at, n * PAGE);
		at = pages(n);
	}
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "h1", case_h1 },	     { "h2", case_h2 },
	{ "h3", case_h3 },	     { "h4", case_h4 },
	{ "h5", case_h5 },	     { "h5_under_way", case_h5_under_way },
	{ "h5_kinds", case_h5_kinds }, { "h5_random", case_h5_random },
	{ "h14", case_h14 },	     { "h15", case_h15 },
	{ "h15_device", case_h15_device }, { "h17", case_h17 },
	{ "o2", case_o2 },	     { "o5", case_o5 },
	{ "o7", case_o7 },	     { "o8", case_o8 },
	{ "o9", case_o9 },	     { "o10", case_o10 },
	{ "load", case_load },	     { "canary", case_canary },
};

int main(int argc, char **argv)
{
	size_t i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 4 || inet_pton(AF_INET, argv[2], &peer.sin_addr) != 1)
		quit(99, "usage: register CASE HOST PORT");
	peer.sin_port = htons((uint16_t)atoi(argv[3]));
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (!strcmp(cases[i].name, argv[1])) {
			cases[i].run();
			return 0;
		}
	quit(99, "no case %s", argv[1]);
	return 99;
}
