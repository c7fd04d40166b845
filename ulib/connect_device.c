// SPDX-License-Identifier: BSD-2-Clause
/*
 * connect_device.c - a connection by /dev/vtoeN, in a guest
 *
 * The guest's kernel driver has done what the handshake does on the local port:
 * the open file is the connection, its memory is mapped from it, writing to it
 * rings the doorbell, and poll() tells of the backend's end. Notifications come
 * through eventfds that we make and the driver signals. So the context gets the
 * same descriptors as on the local port, and the rest of the library sees no
 * difference, but for two things: the driver can pin and grant the application's
 * own memory where it is (pin.c), and a thread that sleeps for a completion rings
 * and sleeps in one system call (MECHANISMS I4: entering the kernel costs a
 * paravirtual guest most of all).
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vtoe_ioctl.h>

#include "internal.h"

int device_find(char *path, size_t room)
{
	glob_t found;
	int rc = -ENOENT;

	if (glob("/dev/vtoe*", 0, NULL, &found))
		return -ENOENT;
	if (found.gl_pathc > 1)
		rc = -ENOTUNIQ;
	else if (strlen(found.gl_pathv[0]) < room)
		rc = 0;
	if (!rc)
		strcpy(path, found.gl_pathv[0]);
	globfree(&found);
	return rc;
}

int device_is(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISCHR(st.st_mode);
}

static int device_add(struct vtoe *ctx, struct vtoe_ioc_register *q)
{
	return ioctl(ctx->socket, VTOE_IOC_REGISTER, q) ? -errno : 0;
}

static int device_remove(struct vtoe *ctx, struct vtoe_ioc_register *q)
{
	return ioctl(ctx->socket, VTOE_IOC_UNREGISTER, q) ? -errno : 0;
}

static const struct driver_ops device_driver = {
	.add = device_add,
	.remove = device_remove,
};

uint32_t context_events(const struct vtoe *ctx)
{
	if (!ctx->on_device)
		return 0;
	/* acquire: the ring is armed and looked at after this */
	return __atomic_load_n(&ctx->pin.state->events, __ATOMIC_ACQUIRE);
}

int device_sleep(struct vtoe *ctx, const struct sleep_on *on, uint64_t deadline)
{
	struct vtoe_ioc_wait w = {
		.flags = on->bell ? VTOE_WAIT_RING : 0,
		.seen = on->seen,
		.timeout_ns = VTOE_WAIT_FOREVER,
	};
	int rc;

	if (deadline != FOREVER) /* 0 rings, if that is due, and does not sleep */
		w.timeout_ns = time_left(deadline);
	rc = ioctl(ctx->socket, VTOE_IOC_WAIT, &w) ? -errno : 0;
	return rc == -ENOTCONN ? context_check(ctx) : rc;
}

static int device_map_state(struct vtoe *ctx, uint64_t region_bytes)
{
	void *state;

	state = mmap(NULL, sizeof(struct vtoe_state_page), PROT_READ,
		     MAP_SHARED, ctx->socket, (off_t)VTOE_STATE_OFFSET);
	if (state == MAP_FAILED)
		return -errno;
	ctx->pin.state = state;
	return pin_init(ctx, &device_driver, region_bytes);
}

static int device_map(struct vtoe *ctx)
{
	struct vtoe_ioc_info info;
	struct stat st;

	if (ioctl(ctx->socket, VTOE_IOC_INFO, &info) || fstat(ctx->socket, &st))
		return -errno;
	if (info.version != VTOE_IOCTL_VERSION)
		return -EPROTONOSUPPORT;
	if (info.memory_bytes % VTOE_PAGE ||
	    info.memory_bytes < VTOE_GUEST_OFFSET + VTOE_PAGE)
		return -EPROTO;
	ctx->memory = mmap(NULL, info.memory_bytes, PROT_READ | PROT_WRITE,
			   MAP_SHARED, ctx->socket, 0);
	if (ctx->memory == MAP_FAILED) {
		ctx->memory = NULL;
		return -errno;
	}
	ctx->mapped = info.memory_bytes;
	ctx->memory_inode = st.st_ino;
	return device_map_state(ctx, info.region_bytes);
}

/* The shim has its own, which moves it out of the program's way. */
__attribute__((weak)) int context_own_fd(int fd)
{
	return fd;
}

static int device_vectors(struct vtoe *ctx)
{
	uint32_t n = 1 + ctx->device.max_lanes, i;

	ctx->vectors = malloc(n * sizeof(*ctx->vectors));
	ctx->vectors_used = calloc(n, 1);
	if (!ctx->vectors || !ctx->vectors_used)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		struct vtoe_ioc_eventfd e = { .vector = i };

		e.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (e.fd < 0)
			return -errno;
		e.fd = context_own_fd(e.fd);
		ctx->vectors[i] = e.fd;
		ctx->vector_count = i + 1;
		if (ioctl(ctx->socket, VTOE_IOC_EVENTFD, &e))
			return -errno;
	}
	return 0;
}

int device_connect(struct vtoe *ctx, const char *path)
{
	int rc;

	ctx->socket = open(path, O_RDWR | O_CLOEXEC);
	if (ctx->socket < 0)
		return -errno;
	ctx->socket = context_own_fd(ctx->socket);
	ctx->on_device = true;
	ctx->memory_fd = fcntl(ctx->socket, F_DUPFD_CLOEXEC, 0);
	if (ctx->memory_fd < 0)
		return -errno;
	ctx->memory_fd = context_own_fd(ctx->memory_fd);
	ctx->doorbell = fcntl(ctx->socket, F_DUPFD_CLOEXEC, 0);
	if (ctx->doorbell < 0)
		return -errno;
	ctx->doorbell = context_own_fd(ctx->doorbell);
	rc = device_map(ctx);
	if (!rc)
		rc = context_read_device(ctx);
	return rc ? rc : device_vectors(ctx);
}
