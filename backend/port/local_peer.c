/* SPDX-License-Identifier: BSD-2-Clause */
#include "port/local_peer.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static void *local_map(struct port_link *link, const struct vtoe_range *ranges,
		       uint32_t count, uint64_t bytes, uint32_t rights)
{
	int prot = PROT_READ | (rights & VTOE_REGION_WRITE ? PROT_WRITE : 0);
	uint8_t *at, *to;
	uint32_t i;

	at = to = mmap(NULL, bytes, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		return NULL;
	for (i = 0; i < count; i++) {
		if (mmap(to, ranges[i].length, prot, MAP_SHARED | MAP_FIXED,
			 link->memory_fd, (off_t)ranges[i].offset) ==
		    MAP_FAILED) {
			int e = errno;

			munmap(at, bytes);
			errno = e;
			return NULL;
		}
		to += ranges[i].length;
	}
	return at;
}

static void local_unmap(struct port_link *link, void *at, uint64_t bytes)
{
	(void)link;
	munmap(at, bytes);
}

static void local_close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void local_close(struct port_link *link)
{
	uint32_t v;

	if (link->base)
		munmap(link->base, link->bytes);
	link->base = NULL;
	for (v = 0; v < link->vectors; v++)
		local_close_fd(&link->vector_fd[v]);
	local_close_fd(&link->doorbell_fd);
	local_close_fd(&link->memory_fd);
	local_close_fd(&link->socket_fd);
}

static const struct port_ops local_ops = {
	.name = "local",
	.map = local_map,
	.unmap = local_unmap,
	.close = local_close,
};

static int local_check_credentials(struct port_link *link,
				   const struct local_limits *limits)
{
	socklen_t len = sizeof(struct ucred);
	struct ucred who;
	uint32_t i;

	if (getsockopt(link->socket_fd, SOL_SOCKET, SO_PEERCRED, &who, &len))
		return -errno;
	link->pid = (uint32_t)who.pid;
	link->uid = who.uid;
	link->gid = who.gid;
	if (!limits->allow_count)
		return 0;
	for (i = 0; i < limits->allow_count; i++)
		if (limits->allow[i] == who.uid)
			return 0;
	return -EACCES;
}

/* Memory that the guest cannot shrink under our feet (a shrunk mapping is a
 * SIGBUS), nor grow beyond its quota. */
static int local_make_memory(struct port_link *link, uint64_t bytes)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

	link->memory_fd = memfd_create("vtoe", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (link->memory_fd < 0 ||
	    ftruncate(link->memory_fd, (off_t)bytes) ||
	    fcntl(link->memory_fd, F_ADD_SEALS, seals))
		return -errno;
	link->base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			  link->memory_fd, 0);
	if (link->base == MAP_FAILED) {
		link->base = NULL;
		return -errno;
	}
	link->bytes = bytes;
	return 0;
}

static int local_make_events(struct port_link *link, uint32_t lanes)
{
	uint32_t v;

	link->doorbell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (link->doorbell_fd < 0)
		return -errno;
	for (v = 0; v < 1 + lanes; v++) {
		link->vector_fd[v] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (link->vector_fd[v] < 0)
			return -errno;
		link->vectors = v + 1;
	}
	return 0;
}

static int local_send(int socket_fd, int64_t value, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	int64_t wire = (int64_t)htole64((uint64_t)value);
	struct iovec iov = { &wire, sizeof(wire) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;
	ssize_t n;

	if (fd >= 0) {
		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	n = sendmsg(socket_fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	return n == sizeof(wire) ? 0 : -EAGAIN;
}

int local_peer_accept(struct port_link *link, int listen_fd, uint32_t id,
		      const struct local_limits *limits,
		      const struct vtoe_device_page *page)
{
	struct vtoe_device_page *shown;
	int rc;

	memset(link, 0, sizeof(*link));
	memset(link->vector_fd, 0xff, sizeof(link->vector_fd));
	link->ops = &local_ops;
	link->memory_fd = link->doorbell_fd = -1;
	link->id = id;
	link->socket_fd = accept4(listen_fd, NULL, NULL,
				  SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (link->socket_fd < 0)
		return -errno;
	rc = local_check_credentials(link, limits);
	if (!rc)
		rc = local_make_memory(link, limits->memory);
	if (!rc)
		rc = local_make_events(link, limits->lanes);
	if (rc) {
		local_peer_refuse(link->socket_fd, rc);
		local_close(link);
		return rc;
	}
	shown = (struct vtoe_device_page *)link->base;
	*shown = *page;
	shown->memory_bytes = link->bytes;
	return 0;
}

void local_peer_refuse(int socket_fd, int error)
{
	local_send(socket_fd, error, -1);
}

int local_peer_greet(struct port_link *link)
{
	uint32_t v;
	int rc;

	rc = local_send(link->socket_fd, 0, -1);
	if (!rc)
		rc = local_send(link->socket_fd, link->id, -1);
	if (!rc)
		rc = local_send(link->socket_fd, -1, link->memory_fd);
	if (!rc)
		rc = local_send(link->socket_fd, 0, link->doorbell_fd);
	for (v = 0; !rc && v < link->vectors; v++)
		rc = local_send(link->socket_fd, link->id, link->vector_fd[v]);
	return rc;
}
