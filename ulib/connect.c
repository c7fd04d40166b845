// SPDX-License-Identifier: BSD-2-Clause
/*
 * connect.c - the handshake, the mapping, the life of a context
 *
 * The client's half of the protocol of QEMU's ivshmem server: a unix stream
 * socket on which the server sends 8-byte little-endian integers, some with a
 * descriptor, in this order:
 *
 *   0 (version) | our id | -1 + memory | backend's id 0 + doorbell |
 *   our id + vector 0 | ... | our id + vector n
 *
 * A negated errno in the version's place is a refusal. We never send a byte;
 * closing the socket is leaving, and its hang-up tells that the backend died.
 * The number of vectors is in the device page, which is copied once after the
 * memory is mapped. Then HELLO goes out on the control ring, and the arena is
 * registered as one region for both rights and all lanes, so that memory from
 * vtoe_alloc() never needs a registration of its own.
 */
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "inside.h"
#include "internal.h"

#define RUN_DIRECTORY "/run/vtoe"
#define OPEN_TIMEOUT_MS 2000
#define MAX_VECTORS 1025u
#define KNOWN_FEATURES \
	(VTOE_F_TOE | VTOE_F_GRQ | VTOE_F_SHARE | VTOE_F_REGION_LIST | \
	 VTOE_F_IPV6 | VTOE_F_QUIET | VTOE_F_TTO)
#define DIRECT_MIN 4096u
/* registering costs a system call and grants once, using it nothing */
#define DIRECT_MIN_PINNED 16384u

/* -- finding and reaching the socket ------------------------------------- */

/* The only device's socket in RUN_DIRECTORY, NAME.sock. */
static int find_only_socket(char *path, size_t room)
{
	struct dirent *entry;
	struct stat st;
	int found = 0;
	DIR *dir;

	dir = opendir(RUN_DIRECTORY);
	if (!dir)
		return errno == EACCES ? -EACCES : -ENOENT;
	while ((entry = readdir(dir))) {
		const char *dot = strrchr(entry->d_name, '.');

		if (!dot || strcmp(dot, ".sock") ||
		    fstatat(dirfd(dir), entry->d_name, &st, 0) ||
		    !S_ISSOCK(st.st_mode))
			continue;
		if ((size_t)snprintf(path, room, RUN_DIRECTORY "/%s",
				     entry->d_name) < room)
			found++;
	}
	closedir(dir);
	if (found > 1)
		return -ENOTUNIQ;
	return found ? 0 : -ENOENT;
}

static int connect_socket(const char *path, uint64_t deadline)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	uint64_t now = clock_ns(), left;
	struct timeval patience;
	int fd, e;

	if (strlen(path) >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	strcpy(to.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* connect() waits as long as this for a place in the backlog */
	left = deadline > now ? (deadline - now) / 1000 : 1;
	patience.tv_sec = (time_t)(left / 1000000);
	patience.tv_usec = (suseconds_t)(left % 1000000);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	while (connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		e = errno;
		if (e == EINTR)
			continue;
		close(fd);
		if (e == ECONNREFUSED)
			return -ENOENT; /* a socket that nobody serves */
		return e == EAGAIN ? -ETIMEDOUT : -e;
	}
	return fd;
}

/* -- the handshake ------------------------------------------------------- */

/* One integer, and its descriptor or -1. */
static int receive_integer(int socket, int64_t *value, int *fd,
			   uint64_t deadline)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct pollfd p = { .fd = socket, .events = POLLIN };
	size_t have = 0;
	uint64_t raw;

	*fd = -1;
	while (have < sizeof(raw)) {
		struct iovec io = { (char *)&raw + have, sizeof(raw) - have };
		struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1,
				    .msg_control = &control,
				    .msg_controllen = sizeof(control) };
		uint64_t now = clock_ns();
		struct cmsghdr *c;
		ssize_t n;

		if (now >= deadline)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)((deadline - now) / 1000000) + 1) <= 0)
			continue;
		n = recvmsg(socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return have || n < 0 ? -EPROTO : -ECONNRESET;
		have += (size_t)n;
		for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
			if (c->cmsg_level != SOL_SOCKET ||
			    c->cmsg_type != SCM_RIGHTS)
				continue;
			if (*fd >= 0)
				close(*fd);
			memcpy(fd, CMSG_DATA(c), sizeof(*fd));
		}
		if (m.msg_flags & MSG_CTRUNC)
			return -EMFILE;
	}
	*value = (int64_t)le64toh(raw);
	return 0;
}

static int receive_plain(int socket, int64_t *value, uint64_t deadline)
{
	int fd, rc;

	rc = receive_integer(socket, value, &fd, deadline);
	if (fd >= 0) {
		close(fd);
		rc = rc ? rc : -EPROTO;
	}
	return rc;
}

static int receive_descriptor(int socket, int64_t want, int *to,
			      uint64_t deadline)
{
	int64_t value;
	int rc;

	rc = receive_integer(socket, &value, to, deadline);
	if (rc == -ECONNRESET)
		rc = -EPROTO;
	if (!rc && (value != want || *to < 0))
		rc = -EPROTO;
	return rc;
}

/* Our own copy of the device page, checked. */
int context_read_device(struct vtoe *ctx)
{
	struct vtoe_device_page *d = &ctx->device;

	memcpy(d, ctx->memory, sizeof(*d));
	__asm__ volatile("" ::: "memory");
	d->name[sizeof(d->name) - 1] = 0;
	if (d->magic != VTOE_MAGIC || d->memory_bytes > ctx->mapped ||
	    d->memory_bytes % VTOE_PAGE ||
	    d->memory_bytes < VTOE_GUEST_OFFSET + VTOE_PAGE)
		return -EPROTO;
	ctx->bytes = d->memory_bytes;
	if (d->version_min > VTOE_VERSION_1 || d->version_max < VTOE_VERSION_1)
		return -EPROTONOSUPPORT;
	if (!d->max_lanes || d->max_lanes >= MAX_VECTORS ||
	    !power_of_two(d->max_ring_entries) ||
	    d->max_ring_entries < VTOE_RING_MIN ||
	    d->max_ring_entries > VTOE_RING_MAX || !d->max_regions)
		return -EPROTO;
	return 0;
}

/* Maps memory that nobody can shrink under our feet. */
static int map_memory(struct vtoe *ctx)
{
	struct stat st;
	int seals;

	seals = fcntl(ctx->memory_fd, F_GET_SEALS);
	if (seals < 0 || !(seals & F_SEAL_SHRINK) ||
	    fstat(ctx->memory_fd, &st) || st.st_size % VTOE_PAGE ||
	    st.st_size < (off_t)VTOE_GUEST_OFFSET + VTOE_PAGE)
		return -EPROTO;
	ctx->memory = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE,
			   MAP_SHARED, ctx->memory_fd, 0);
	if (ctx->memory == MAP_FAILED) {
		ctx->memory = NULL;
		return -errno;
	}
	ctx->mapped = (size_t)st.st_size;
	ctx->memory_inode = st.st_ino;
	return 0;
}

static int shake_hands(struct vtoe *ctx, uint64_t deadline)
{
	int64_t version, id;
	uint32_t i;
	int rc;

	rc = receive_plain(ctx->socket, &version, deadline);
	if (rc)
		return rc;
	if (version < 0 && version >= -4095)
		return (int)version;
	if (version != 0)
		return -EPROTO;
	rc = receive_plain(ctx->socket, &id, deadline);
	if (rc)
		return rc == -ECONNRESET ? -EPROTO : rc;
	rc = receive_descriptor(ctx->socket, -1, &ctx->memory_fd, deadline);
	if (!rc)
		rc = map_memory(ctx);
	if (!rc)
		rc = context_read_device(ctx);
	if (!rc)
		rc = receive_descriptor(ctx->socket, 0, &ctx->doorbell,
					deadline);
	if (rc)
		return rc;
	ctx->vectors = malloc((1 + ctx->device.max_lanes) *
			      sizeof(*ctx->vectors));
	ctx->vectors_used = calloc(1 + ctx->device.max_lanes, 1);
	if (!ctx->vectors || !ctx->vectors_used)
		return -ENOMEM;
	for (i = 0; i < 1 + ctx->device.max_lanes && !rc; i++) {
		rc = receive_descriptor(ctx->socket, id, &ctx->vectors[i],
					deadline);
		if (ctx->vectors[i] >= 0)
			ctx->vector_count = i + 1;
	}
	return rc;
}

static int say_hello(struct vtoe *ctx, const char *name, uint64_t deadline)
{
	struct vtoe_ctl_request request = { .op = VTOE_CTL_HELLO };
	struct vtoe_ctl_completion completion;
	uint64_t now = clock_ns();
	int rc;

	ctx->features = ctx->device.features & KNOWN_FEATURES;
	request.u.hello.version = VTOE_VERSION_1;
	request.u.hello.pid = (vtoe_u32)getpid();
	request.u.hello.features = ctx->features;
	strncpy((char *)request.u.hello.name, name,
		sizeof(request.u.hello.name) - 1);
	if (now >= deadline)
		return -ETIMEDOUT;
	rc = control_request(ctx, &request, &completion,
			     (int)((deadline - now) / 1000000) + 1);
	return rc ? rc : completion.result;
}

static int add_arena(struct vtoe *ctx)
{
	struct vtoe_ctl_request request = { .op = VTOE_CTL_REGION_ADD };
	struct vtoe_ctl_completion completion;
	int rc;

	ctx->arena_start = (uint64_t)ctx->arena.first * VTOE_PAGE;
	request.lane = VTOE_LANE_ANY;
	request.u.region.offset = ctx->arena_start;
	request.u.region.length = ctx->bytes - ctx->arena_start;
	request.u.region.count = 1;
	request.u.region.rights = VTOE_READ | VTOE_WRITE;
	rc = control_request(ctx, &request, &completion, ctx->answer_ms);
	if (!rc)
		rc = completion.result;
	if (!rc && !completion.key)
		rc = -EPROTO;
	ctx->arena_key = completion.key;
	return rc;
}

/* -- open and close ------------------------------------------------------ */

static struct vtoe *context_new(void)
{
	struct vtoe *ctx = calloc(1, sizeof(*ctx));

	if (!ctx)
		return NULL;
	ctx->socket = ctx->memory_fd = ctx->doorbell = -1;
	ctx->pid = getpid();
	ctx->memory_ops = &share_ops;
	pthread_mutex_init(&ctx->lanes_lock, NULL);
	return ctx;
}

static void close_if_open(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void context_end(struct vtoe *ctx, bool forget)
{
	uint32_t i;

	if (!ctx)
		return;
	/* Hanging up first: the backend lets go of everything by itself. Dead:
	 * in a child of fork the pages are still the parent's. */
	__atomic_store_n(&ctx->dead, -ENOTCONN, __ATOMIC_RELAXED);
	close_if_open(ctx->socket);
	if (ctx->cache.order)
		cache_make_private(ctx);
	close_if_open(ctx->memory_fd);
	close_if_open(ctx->doorbell);
	for (i = 0; i < ctx->vector_count; i++)
		close_if_open(ctx->vectors[i]);
	while (ctx->lanes) {
		struct vtoe_lane *lane = ctx->lanes;

		ctx->lanes = lane->next_lane;
		lane_free(lane);
	}
	if (ctx->memory)
		munmap(ctx->memory, ctx->mapped);
	cache_free(ctx);
	pin_free(ctx);
	arena_free_tables(&ctx->arena);
	context_inside_end(ctx, forget);
	free(ctx->vectors);
	free(ctx->vectors_used);
	free(ctx);
}

void vtoe_forget(struct vtoe *ctx)
{
	context_end(ctx, true);
}

void vtoe_close(struct vtoe *ctx)
{
	context_end(ctx, false);
}

int vtoe_open(struct vtoe **out, const struct vtoe_params *params)
{
	static const struct vtoe_params defaults;
	const char *path, *name;
	char only[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct vtoe *ctx;
	uint64_t deadline;
	int rc;

	*out = NULL;
	params = params ? params : &defaults;
	if (params->flags & ~(VTOE_OPEN_WHOLE_PAGES | VTOE_OPEN_TTO))
		return -EINVAL;
	deadline = deadline_after(params->timeout_ms ? params->timeout_ms :
						       OPEN_TIMEOUT_MS);
	path = params->path ? params->path : getenv("VTOE_SOCKET");
	if (!path) {
		rc = device_find(only, sizeof(only));
		if (rc == -ENOENT)
			rc = find_only_socket(only, sizeof(only));
		if (rc)
			return rc;
		path = only;
	}
	name = params->name ? params->name : program_invocation_short_name;
	ctx = context_new();
	if (!ctx)
		return -ENOMEM;
	ctx->answer_ms = params->timeout_ms ? params->timeout_ms :
					      ANSWER_TIMEOUT_MS;
	if (params->flags & VTOE_OPEN_TTO) {
		rc = context_inside_open(ctx, path);
		if (rc)
			goto fail;
		path = ctx->inside_ops->path(ctx->inside);
		deadline = deadline_after(ctx->answer_ms);
	}
	if (device_is(path)) {
		rc = device_connect(ctx, path);
		/* The driver has its own patience: granting and mapping 16 MiB
		 * may take longer than a HELLO. */
		deadline = deadline_after(ctx->answer_ms);
	} else {
		rc = ctx->socket = connect_socket(path, deadline);
		if (rc >= 0)
			rc = shake_hands(ctx, deadline);
	}
	if (!rc)
		rc = control_init(ctx, ctx->device.control_entries);
	if (!rc)
		rc = arena_init(&ctx->arena, VTOE_GUEST_OFFSET, ctx->bytes);
	if (!rc)
		rc = cache_init(ctx, ctx->device.max_regions,
				params->cache_bytes);
	if (!rc)
		rc = say_hello(ctx, name, deadline);
	if (!rc)
		rc = add_arena(ctx);
	if (rc)
		goto fail;
	ctx->whole_pages = params->flags & VTOE_OPEN_WHOLE_PAGES;
	ctx->direct_min = params->direct_min ? params->direct_min :
			  ctx->pin.driver ? DIRECT_MIN_PINNED : DIRECT_MIN;
	*out = ctx;
	return 0;
fail:
	vtoe_close(ctx);
	return rc > 0 ? -EPROTO : rc;
}

/* -- life ---------------------------------------------------------------- */

void context_fail(struct vtoe *ctx, int error)
{
	int alive = 0;

	__atomic_compare_exchange_n(&ctx->dead, &alive, error, false,
				    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	/* whoever sleeps on the socket wakes by this, and finds it dead */
	shutdown(ctx->socket, SHUT_RDWR);
}

int context_check(struct vtoe *ctx)
{
	struct pollfd p = { .fd = ctx->socket, .events = POLLIN };

	/* a device of the guest's driver is never readable, only in error;
	 * after the handshake the backend sends nothing: readable means that
	 * it hung up, or that it is no backend of ours */
	if (!context_dead(ctx) && poll(&p, 1, 0) > 0)
		context_fail(ctx, -ENOTCONN);
	return context_dead(ctx);
}

const struct vtoe_device_page *vtoe_device(const struct vtoe *from)
{
	const struct vtoe_device_page *page = (const void *)from->memory;
	struct vtoe *ctx = (struct vtoe *)from;

	/* what may change; the rest stays as it was checked */
	__atomic_store_n(&ctx->device.status,
			 __atomic_load_n(&page->status, __ATOMIC_RELAXED),
			 __ATOMIC_RELAXED);
	__atomic_store_n(&ctx->device.violation,
			 __atomic_load_n(&page->violation, __ATOMIC_RELAXED),
			 __ATOMIC_RELAXED);
	__atomic_store_n(&ctx->device.link,
			 __atomic_load_n(&page->link, __ATOMIC_RELAXED),
			 __ATOMIC_RELAXED);
	__atomic_store_n(&ctx->device.mtu,
			 __atomic_load_n(&page->mtu, __ATOMIC_RELAXED),
			 __ATOMIC_RELAXED);
	return &ctx->device;
}

int vtoe_alive(const struct vtoe *ctx)
{
	return context_check((struct vtoe *)ctx) == 0;
}

int vtoe_control_fd(const struct vtoe *ctx)
{
	return ctx->socket;
}

int vtoe_doorbell_fd(const struct vtoe *ctx)
{
	return ctx->doorbell;
}

void vtoe_get_counters(const struct vtoe *from, struct vtoe_counters *to)
{
	struct vtoe *ctx = (struct vtoe *)from;
	struct lane_counters sum;
	struct vtoe_lane *lane;

	memset(to, 0, sizeof(*to));
	pthread_mutex_lock(&ctx->lanes_lock);
	sum = ctx->retired;
	for (lane = ctx->lanes; lane; lane = lane->next_lane)
		lane_counters_add(&sum, &lane->counters);
	pthread_mutex_unlock(&ctx->lanes_lock);
	to->submitted = sum.submitted;
	to->completed = sum.completed;
	to->doorbells = sum.doorbells;
	to->wakeups = sum.wakeups;
	to->spurious_wakeups = sum.spurious_wakeups;
	to->bytes_copied = sum.bytes_copied;
	cache_get_counters(ctx, to);
}
