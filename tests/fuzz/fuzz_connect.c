/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_connect.c - the library's side of the local port
 *
 * A thread plays a backend whose every byte is the input's: the messages of
 * the handshake, their descriptors, the device page, completions that lie in
 * the ring before they were asked for, stores while the library reads. The
 * library opens, makes a lane, submits, waits and closes; whatever comes back,
 * it must end in time with a result or an error.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <vtoe_ring.h>

#include "vtoe.h"

enum { MEMORY = 1 << 20, LANES = 2, MESSAGES = 12 };

static char path[108];
static int listener;

static void remove_socket(void)
{
	unlink(path);
	*strrchr(path, '/') = 0;
	rmdir(path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	const char *dir = getenv("TMPDIR");
	char name[80];

	(void)argc;
	(void)argv;
	snprintf(name, sizeof(name), "%s/vtoe-fuzz.XXXXXX", dir ? dir : "/tmp");
	if (!mkdtemp(name))
		exit(99);
	snprintf(path, sizeof(path), "%s/s", name);
	memcpy(at.sun_path, path, sizeof(at.sun_path));
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (void *)&at, sizeof(at)) ||
	    listen(listener, 4))
		exit(99);
	atexit(remove_socket);
	return 0;
}

/* A device page as it should be, and then as the input wants it. */
static void fill_memory(uint8_t *memory, struct fuzz_input *in)
{
	struct vtoe_device_page *page = (void *)memory;
	struct vtoe_ring_shared *ring;
	unsigned n;

	page->magic = VTOE_MAGIC;
	page->version_min = page->version_max = VTOE_VERSION_1;
	page->features = VTOE_F_TOE | VTOE_F_GRQ | VTOE_F_SHARE;
	page->memory_bytes = MEMORY;
	page->control_entries = VTOE_CTL_ENTRIES;
	page->max_lanes = LANES;
	page->max_streams = 16;
	page->max_regions = 8;
	page->max_inflight = 16;
	page->max_ring_entries = 256;
	page->status = VTOE_STATUS_READY;
	for (n = fuzz_u8(in) & 7; n; n--)
		memory[fuzz_u8(in)] = fuzz_u8(in);
	ring = (void *)(memory + VTOE_CTL_COMPLETION_OFFSET);
	n = fuzz_u8(in);
	ring->p.producer = n & 0x80 ? fuzz_u32(in) : n & 7;
	fuzz_bytes(in, ring + 1, (n & 7) * 64u);
}

static int make_memory(struct fuzz_input *in, unsigned kind)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint8_t *memory;

	if (fd < 0 || ftruncate(fd, kind == 3 ? 4096 : MEMORY))
		exit(99);
	if (kind != 3) {
		memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED,
			      fd, 0);
		if (memory == MAP_FAILED)
			exit(99);
		fill_memory(memory, in);
		munmap(memory, MEMORY);
	}
	if (kind != 2)
		fcntl(fd, F_ADD_SEALS,
		      F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	return fd;
}

static void tell(int socket, int64_t value, int fd, unsigned bytes)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec v = { &value, bytes };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	struct cmsghdr *h;

	if (fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	}
	if (sendmsg(socket, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return;
}

/* One message: a kind of descriptor, and a value, right or the input's. */
static void message(int socket, struct fuzz_input *in, unsigned step,
		    int *memory)
{
	static const int64_t right[] = { 0, 3, -1, 0, 3, 3, 3 };
	static const uint8_t right_kind[] = { 0, 0, 1, 4, 4, 4, 4 };
	uint8_t choice = fuzz_u8(in);
	unsigned kind = choice & 7;
	int64_t value = step < 7 ? right[step] : 3;
	int fd = -1;

	if (!(choice & 0x80))
		kind = step < 7 ? right_kind[step] : 0;
	if (choice & 0x40)
		fuzz_bytes(in, &value, sizeof(value));
	if (kind >= 1 && kind <= 3)
		fd = make_memory(in, kind);
	else if (kind == 4 || kind == 5)
		fd = eventfd(kind == 5, EFD_CLOEXEC | EFD_NONBLOCK);
	else if (kind == 6)
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	tell(socket, value, fd, choice & 0x20 ? choice & 7 : 8);
	if (kind >= 1 && kind <= 3 && *memory < 0)
		*memory = fd;
	else if (fd >= 0)
		close(fd);
}

/* What is left of the input is stored in the memory, over and over. */
static void scribble(int memory, const struct fuzz_input *left)
{
	uint8_t *at = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED,
			   memory, 0);
	struct fuzz_input in;
	unsigned round;
	uint32_t where;

	if (at == MAP_FAILED)
		return;
	for (round = 0; round < 20; round++) {
		for (in = *left; in.left;) {
			where = fuzz_u32(&in) & (MEMORY - 4);
			fuzz_bytes(&in, at + where, 4);
		}
		sched_yield();
	}
	munmap(at, MEMORY);
}

static void *backend(void *arg)
{
	struct fuzz_input in = *(struct fuzz_input *)arg;
	struct timespec t = { .tv_nsec = 1000000 };
	int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	unsigned step, count = 7;
	int memory = -1;
	uint8_t choice = fuzz_u8(&in);

	if (socket < 0)
		return NULL;
	if (choice & 1)
		count = choice >> 1 & 15;
	if (count > MESSAGES)
		count = MESSAGES;
	for (step = 0; step < count; step++)
		message(socket, &in, step, &memory);
	if (memory >= 0 && lseek(memory, 0, SEEK_END) == MEMORY) {
		scribble(memory, &in);
		nanosleep(&t, NULL); /* as long as the library may wait */
		scribble(memory, &in);
	}
	if (memory >= 0)
		close(memory);
	close(socket);
	return NULL;
}

static void use(struct vtoe *ctx)
{
	struct vtoe_lane *lane;
	struct vtoe_sqe *sqe;
	struct vtoe_cqe *cqe;
	void *block;
	int i;

	block = vtoe_alloc(ctx, 8192);
	if (block) {
		memset(block, 1, 8192);
		vtoe_free(ctx, block);
	}
	if (vtoe_lane_open(ctx, &lane, 8, 8, 0))
		return;
	for (i = 0; i < 4; i++) {
		sqe = vtoe_get_sqe(lane);
		if (!sqe)
			break;
		vtoe_sqe_set(sqe, VTOE_OP_NOP, 0, 1 + (unsigned)i);
	}
	vtoe_submit(lane);
	for (i = 0; i < 16 && vtoe_wait_cqe(lane, &cqe, 1) == 0; i++)
		vtoe_cqe_seen(lane);
	vtoe_lane_close(lane);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct vtoe_params params = { .path = path, .name = "fuzz",
				      .timeout_ms = 200 };
	struct fuzz_input in = { data, bytes };
	struct vtoe *ctx = NULL;
	pthread_t thread;
	int rc;

	if (pthread_create(&thread, NULL, backend, &in))
		exit(99);
	rc = vtoe_open(&ctx, &params);
	FUZZ_MUST((rc == 0) == (ctx != NULL));
	FUZZ_MUST(rc <= 0);
	if (ctx) {
		use(ctx);
		vtoe_close(ctx);
	}
	pthread_join(thread, NULL);
	return 0;
}
