/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_local.c - the backend's side of the local port
 *
 * Up to three clients that dial, take some of the handshake, write into their
 * memory, ring, send bytes where they must not, shut down and close, in any
 * order, while the backend takes turns. At the end nothing may be left.
 */
#include "fuzz_guest.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "port/local_peer.h"

enum { CLIENTS = 3, FDS = 16, MEMORY = 256 << 10, LANES = 2 };

struct client {
	int socket;
	int fds[FDS];
	unsigned count;
	uint8_t *memory;
};

static struct sockaddr_un address = { .sun_family = AF_UNIX };
static socklen_t address_bytes;
static int listener;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	guest_device_open();
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			  0);
	/* An abstract name of the kernel's choice. */
	if (listener < 0 ||
	    bind(listener, (void *)&address, sizeof(sa_family_t)) ||
	    listen(listener, 8))
		exit(99);
	address_bytes = sizeof(address);
	getsockname(listener, (void *)&address, &address_bytes);
	return 0;
}

static void dial(struct client *c)
{
	if (c->socket >= 0)
		return;
	c->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			   0);
	if (connect(c->socket, (void *)&address, address_bytes)) {
		close(c->socket);
		c->socket = -1;
	}
}

static void hang_up(struct client *c)
{
	unsigned i;

	if (c->memory)
		munmap(c->memory, MEMORY);
	for (i = 0; i < c->count; i++)
		close(c->fds[i]);
	if (c->socket >= 0)
		close(c->socket);
	memset(c, 0, sizeof(*c));
	c->socket = -1;
}

/* What the worker does with a connection that waits. */
static void serve(uint8_t choice)
{
	const struct vtoe_device_page page = { .magic = VTOE_MAGIC };
	const uint32_t nobody = 12345678;
	struct local_limits limits = { .memory = MEMORY, .lanes = LANES };
	struct device *d = guest_device();
	struct port_link link;

	if (choice & 1) {
		limits.allow = &nobody;
		limits.allow_count = 1;
	}
	if (local_peer_accept(&link, listener, ++d->next_conn, &limits, &page))
		return;
	if (local_peer_greet(&link) || !conn_add(d, &link))
		port_link_close(&link);
}

static void receive(struct client *c)
{
	char room[CMSG_SPACE(sizeof(int))];
	int64_t value;
	struct iovec v = { &value, sizeof(value) };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1,
			    .msg_control = room,
			    .msg_controllen = sizeof(room) };
	struct cmsghdr *h;
	int fd;

	if (c->socket < 0 || recvmsg(c->socket, &m, MSG_CMSG_CLOEXEC) <= 0)
		return;
	h = CMSG_FIRSTHDR(&m);
	if (!h)
		return;
	memcpy(&fd, CMSG_DATA(h), sizeof(fd));
	if (c->count == FDS) {
		close(fd);
		return;
	}
	c->fds[c->count++] = fd;
	if (c->memory)
		return;
	c->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			 0);
	if (c->memory == MAP_FAILED)
		c->memory = NULL;
}

static void request(struct client *c, struct fuzz_input *in)
{
	uint32_t *producer;
	uint8_t *entry;

	if (!c->memory)
		return;
	producer = (uint32_t *)(void *)(c->memory + VTOE_CTL_REQUEST_OFFSET);
	entry = c->memory + VTOE_CTL_REQUEST_OFFSET + VTOE_RING_HEADER +
		(*producer & (VTOE_CTL_ENTRIES - 1)) * VTOE_RING_ENTRY;
	fuzz_bytes(in, entry, VTOE_RING_ENTRY);
	++*producer;
}

static void meddle(struct client *c, struct fuzz_input *in, uint8_t choice)
{
	uint64_t most = 0xfffffffffffffffeull, one = 1;
	struct pollfd p = { .fd = c->count ? c->fds[choice % c->count] : -1,
			    .events = POLLOUT };
	int fd = p.fd;
	ssize_t n = 0;

	switch (choice >> 4 & 3) {
	case 0: /* the doorbell comes after the memory */
		p.fd = c->count > 1 ? c->fds[1] : -1;
		if (poll(&p, 1, 0) == 1) /* it may be full, and blocking */
			n = write(p.fd, &one, sizeof(one));
		break;
	case 1:
		fcntl(fd, F_SETFL, O_NONBLOCK);
		if (fd != c->fds[0])
			n = write(fd, &most, sizeof(most));
		break;
	case 2:
		fcntl(fd, F_SETFL, choice & 8 ? O_NONBLOCK : 0);
		break;
	default:
		n = ftruncate(fd, fuzz_u16(in));
		FUZZ_MUST(n || !c->memory || fd != c->fds[0]);
	}
	(void)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fuzz_input in = { data, bytes };
	struct client clients[CLIENTS] = { { .socket = -1 }, { .socket = -1 },
					   { .socket = -1 } };
	unsigned actions = 0;
	struct client *c;
	uint8_t action;
	uint32_t at;

	while (in.left && actions++ < 300) {
		action = fuzz_u8(&in);
		c = &clients[(action >> 4) % CLIENTS];
		switch (action & 15) {
		case 0:
			dial(c);
			break;
		case 1:
			serve(action >> 4);
			break;
		case 2:
		case 3:
			receive(c);
			break;
		case 4: /* the whole handshake at once */
			for (at = 0; at < 8; at++)
				receive(c);
			break;
		case 5:
			if (c->socket >= 0)
				send(c->socket, "?", 1, MSG_NOSIGNAL);
			break;
		case 6:
			if (c->socket >= 0)
				shutdown(c->socket, fuzz_u8(&in) % 3);
			break;
		case 7:
			hang_up(c);
			break;
		case 8:
			at = fuzz_u16(&in) & 0x7ffc;
			if (c->memory)
				fuzz_bytes(&in, c->memory + at, 4);
			break;
		case 9:
		case 10:
			request(c, &in);
			break;
		case 11:
			meddle(c, &in, fuzz_u8(&in));
			break;
		default:
			guest_turns(1);
		}
	}
	for (at = 0; at < CLIENTS; at++)
		hang_up(&clients[at]);
	/* Those that were not served wait at the listener. */
	for (at = 0; at < CLIENTS * 8; at++)
		serve(0);
	guest_settle();
	return 0;
}
