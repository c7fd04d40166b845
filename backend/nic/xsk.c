/* SPDX-License-Identifier: BSD-2-Clause */
#include "nic/xsk.h"

#include <errno.h>
#include <linux/if_xdp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* Older C libraries do not have these; the kernel's numbers. */
#ifndef SOL_XDP
#define SOL_XDP 283
#endif
#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#define SO_BUSY_POLL_BUDGET 70
#endif

enum {
	BUSY_BUDGET = 64,
	FRAME_HEADROOM = 256, /* XDP_PACKET_HEADROOM: the kernel's */
	SEND_TRIES = 4,
	/* The kernel lets go of a queue and of locked memory some time after
	 * the socket was closed: that of the worker that we succeed. */
	START_TRIES = 1000,
	START_PAUSE_US = 5000,
};

/* -- rings ----------------------------------------------------------------- */

/*
 * We produce on fill and TX, and consume from completion and RX. Each index is
 * written by one side only: a release store of it here pairs with the
 * acquire load in the kernel (net/xdp/xsk_queue.h), and the other way round.
 */
static uint32_t ring_room(struct xsk_ring *r, uint32_t wanted)
{
	uint32_t room = r->size - (r->ours - r->theirs);

	if (room < wanted) {
		r->theirs = __atomic_load_n(r->consumer, __ATOMIC_ACQUIRE);
		room = r->size - (r->ours - r->theirs);
	}
	return room < wanted ? room : wanted;
}

static void ring_submit(struct xsk_ring *r)
{
	__atomic_store_n(r->producer, r->ours, __ATOMIC_RELEASE);
}

static uint32_t ring_peek(struct xsk_ring *r, uint32_t wanted)
{
	uint32_t there = r->theirs - r->ours;

	if (there < wanted) {
		r->theirs = __atomic_load_n(r->producer, __ATOMIC_ACQUIRE);
		there = r->theirs - r->ours;
	}
	return there < wanted ? there : wanted;
}

static void ring_release(struct xsk_ring *r)
{
	__atomic_store_n(r->consumer, r->ours, __ATOMIC_RELEASE);
}

static bool ring_wants_wakeup(const struct xsk_ring *r)
{
	return __atomic_load_n(r->flags, __ATOMIC_RELAXED) &
	       XDP_RING_NEED_WAKEUP;
}

static uint64_t *ring_address(const struct xsk_ring *r)
{
	return (uint64_t *)r->entries + (r->ours & (r->size - 1));
}

static struct xdp_desc *ring_desc(const struct xsk_ring *r)
{
	return (struct xdp_desc *)r->entries + (r->ours & (r->size - 1));
}

static int ring_map(struct xsk_ring *r, int fd, uint32_t size, size_t entry,
		    const struct xdp_ring_offset *offset, uint64_t page_offset)
{
	uint8_t *at;

	r->size = size;
	r->map_bytes = offset->desc + size * entry;
	at = mmap(NULL, r->map_bytes, PROT_READ | PROT_WRITE,
		  MAP_SHARED | MAP_POPULATE, fd, (off_t)page_offset);
	if (at == MAP_FAILED)
		return -errno;
	r->map = at;
	r->producer = (uint32_t *)(void *)(at + offset->producer);
	r->consumer = (uint32_t *)(void *)(at + offset->consumer);
	r->flags = (uint32_t *)(void *)(at + offset->flags);
	r->entries = at + offset->desc;
	return 0;
}

static void ring_unmap(struct xsk_ring *r)
{
	if (r->map)
		munmap(r->map, r->map_bytes);
	memset(r, 0, sizeof(*r));
}

/* -- start and stop -------------------------------------------------------- */

int xsk_socket(unsigned busy_poll)
{
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	int on = 1, budget = BUSY_BUDGET, micros = (int)busy_poll, rc;

	if (fd < 0)
		return -errno;
	if (busy_poll &&
	    (setsockopt(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &on, sizeof(on)) ||
	     setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &micros,
			sizeof(micros)) ||
	     setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET, &budget,
			sizeof(budget)))) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

size_t xsk_memory_bytes(const struct xsk_config *c)
{
	return (size_t)c->frame_size * (c->receive + c->send);
}

uint32_t xsk_frame_max(const struct xsk_config *c)
{
	return c->frame_size - FRAME_HEADROOM;
}

static bool power_of_two(uint32_t n)
{
	return n && !(n & (n - 1)) && n <= 1u << 20;
}

static int set_option(int fd, int option, const void *value, size_t size)
{
	return setsockopt(fd, SOL_XDP, option, value, (socklen_t)size) ?
		       -errno : 0;
}

static int register_memory(struct xsk *x, const struct xsk_config *c)
{
	struct xdp_umem_reg reg = {
		.addr = (uintptr_t)x->memory,
		.len = xsk_memory_bytes(c),
		.chunk_size = c->frame_size,
	};
	unsigned tries;
	int rc = -ENOBUFS;

	for (tries = 0; tries < START_TRIES && rc == -ENOBUFS; tries++) {
		if (tries)
			usleep(START_PAUSE_US);
		rc = set_option(x->fd, XDP_UMEM_REG, &reg, sizeof(reg));
	}
	return rc;
}

static int set_up_memory(struct xsk *x, const struct xsk_config *c)
{
	uint32_t i;
	int rc;

	x->free = calloc(c->receive + c->send, sizeof(*x->free));
	if (!x->free)
		return -ENOMEM;
	x->send_free = x->free + c->receive;
	for (i = 0; i < c->receive; i++)
		x->free[x->free_count++] = i * c->frame_size;
	for (i = 0; i < c->send; i++)
		x->send_free[x->send_count++] =
			(c->receive + i) * c->frame_size;
	rc = register_memory(x, c);
	if (!rc)
		rc = set_option(x->fd, XDP_UMEM_FILL_RING, &c->receive, 4);
	if (!rc)
		rc = set_option(x->fd, XDP_UMEM_COMPLETION_RING, &c->send, 4);
	if (!rc)
		rc = set_option(x->fd, XDP_RX_RING, &c->receive, 4);
	if (!rc)
		rc = set_option(x->fd, XDP_TX_RING, &c->send, 4);
	return rc;
}

static int map_rings(struct xsk *x, const struct xsk_config *c)
{
	struct xdp_mmap_offsets o;
	socklen_t size = sizeof(o);
	int rc;

	if (getsockopt(x->fd, SOL_XDP, XDP_MMAP_OFFSETS, &o, &size))
		return -errno;
	if (size != sizeof(o)) /* before Linux 5.4: no flags */
		return -EOPNOTSUPP;
	rc = ring_map(&x->fill, x->fd, c->receive, sizeof(uint64_t), &o.fr,
		      XDP_UMEM_PGOFF_FILL_RING);
	if (!rc)
		rc = ring_map(&x->completion, x->fd, c->send, sizeof(uint64_t),
			      &o.cr, XDP_UMEM_PGOFF_COMPLETION_RING);
	if (!rc)
		rc = ring_map(&x->rx, x->fd, c->receive,
			      sizeof(struct xdp_desc), &o.rx,
			      XDP_PGOFF_RX_RING);
	if (!rc)
		rc = ring_map(&x->tx, x->fd, c->send, sizeof(struct xdp_desc),
			      &o.tx, XDP_PGOFF_TX_RING);
	return rc;
}

static int bind_to(int fd, const struct xsk_config *c, uint16_t flags)
{
	struct sockaddr_xdp at = {
		.sxdp_family = AF_XDP,
		.sxdp_flags = XDP_USE_NEED_WAKEUP | flags,
		.sxdp_ifindex = (uint32_t)c->ifindex,
		.sxdp_queue_id = c->queue,
	};

	return bind(fd, (struct sockaddr *)&at, sizeof(at)) ? -errno : 0;
}

static int bind_best(struct xsk *x, const struct xsk_config *c)
{
	unsigned tries;
	int rc = -EBUSY;

	for (tries = 0; tries < START_TRIES && rc == -EBUSY; tries++) {
		if (tries)
			usleep(START_PAUSE_US);
		if (!c->copy && !bind_to(x->fd, c, XDP_ZEROCOPY)) {
			x->zero_copy = true;
			return 0;
		}
		rc = bind_to(x->fd, c, XDP_COPY);
	}
	return rc;
}

void xsk_refill(struct xsk *x)
{
	uint32_t n = ring_room(&x->fill, x->free_count), i;

	if (!n)
		return;
	for (i = 0; i < n; i++) {
		*ring_address(&x->fill) = x->free[--x->free_count];
		x->fill.ours++;
	}
	ring_submit(&x->fill);
}

int xsk_start(struct xsk *x, int socket, const struct xsk_config *c,
	      void *memory)
{
	int micros = 0, rc = -EINVAL;
	socklen_t size = sizeof(micros);

	memset(x, 0, sizeof(*x));
	x->fd = socket;
	x->memory = memory;
	x->frame_size = c->frame_size;
	x->receive_frames = c->receive;
	if ((c->frame_size == 2048 || c->frame_size == 4096) &&
	    power_of_two(c->receive) && power_of_two(c->send) &&
	    xsk_memory_bytes(c) <= UINT32_MAX) /* xsk_frame.ref */
		rc = set_up_memory(x, c);
	if (!rc)
		rc = map_rings(x, c);
	if (!rc)
		xsk_refill(x); /* a driver wants it before the bind */
	if (!rc)
		rc = bind_best(x, c);
	if (rc) {
		xsk_stop(x);
		return rc;
	}
	x->busy_poll = !getsockopt(x->fd, SOL_SOCKET, SO_BUSY_POLL, &micros,
				   &size) && micros > 0;
	return 0;
}

void xsk_stop(struct xsk *x)
{
	ring_unmap(&x->tx);
	ring_unmap(&x->rx);
	ring_unmap(&x->completion);
	ring_unmap(&x->fill);
	if (x->fd >= 0)
		close(x->fd);
	x->fd = -1;
	free(x->free);
	x->free = x->send_free = NULL;
	x->free_count = x->send_count = 0;
}

/* -- receive --------------------------------------------------------------- */

static void wake_receive(struct xsk *x)
{
	x->stats.wakeups++;
	(void)recvfrom(x->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

unsigned xsk_receive(struct xsk *x, struct xsk_frame *frames, unsigned room)
{
	const struct xdp_desc *desc;
	uint32_t n, i;

	xsk_refill(x);
	n = ring_peek(&x->rx, room);
	if (ring_wants_wakeup(&x->fill) || (!n && x->busy_poll)) {
		wake_receive(x);
		n = ring_peek(&x->rx, room);
	}
	for (i = 0; i < n; i++) {
		desc = ring_desc(&x->rx);
		frames[i].data = x->memory + desc->addr;
		frames[i].length = desc->len;
		/* the kernel put it behind its headroom */
		frames[i].ref = (uint32_t)desc->addr & ~(x->frame_size - 1);
		x->rx.ours++;
	}
	if (n)
		ring_release(&x->rx);
	x->stats.received += n;
	return n;
}

void xsk_release(struct xsk *x, uint32_t ref)
{
	if (x->free_count < x->receive_frames)
		x->free[x->free_count++] = ref;
}

/* -- send ------------------------------------------------------------------ */

static void reap(struct xsk *x)
{
	uint32_t n = ring_peek(&x->completion, x->completion.size), i;

	for (i = 0; i < n; i++) {
		x->send_free[x->send_count++] =
			(uint32_t)*ring_address(&x->completion);
		x->completion.ours++;
	}
	if (n)
		ring_release(&x->completion);
}

int xsk_send(struct xsk *x, const struct iovec *pieces, unsigned count)
{
	struct xdp_desc *desc;
	uint32_t at, length = 0;
	unsigned i;

	for (i = 0; i < count; i++) {
		if (pieces[i].iov_len > x->frame_size - length)
			return -EMSGSIZE;
		length += (uint32_t)pieces[i].iov_len;
	}
	if (!x->send_count)
		reap(x);
	if (!x->send_count || !ring_room(&x->tx, 1))
		return -EAGAIN;
	at = x->send_free[--x->send_count];
	desc = ring_desc(&x->tx);
	*desc = (struct xdp_desc){ .addr = at, .len = length };
	for (i = 0; i < count; i++) {
		memcpy(x->memory + at, pieces[i].iov_base, pieces[i].iov_len);
		at += (uint32_t)pieces[i].iov_len;
	}
	x->tx.ours++;
	x->stats.sent++;
	return 0;
}

/* A call sends a number of frames only (16, or 32), by copying them. */
bool xsk_flush(struct xsk *x)
{
	uint32_t before = x->tx.theirs;
	unsigned idle = 0;

	ring_submit(&x->tx);
	while (idle < SEND_TRIES && ring_wants_wakeup(&x->tx)) {
		x->tx.theirs = __atomic_load_n(x->tx.consumer,
					       __ATOMIC_ACQUIRE);
		if (x->tx.theirs == x->tx.ours)
			break;
		idle = x->tx.theirs == before ? idle + 1 : 0;
		before = x->tx.theirs;
		x->stats.wakeups++;
		(void)sendto(x->fd, NULL, 0, MSG_DONTWAIT, NULL, 0);
	}
	reap(x);
	x->tx.theirs = __atomic_load_n(x->tx.consumer, __ATOMIC_ACQUIRE);
	return x->tx.theirs == x->tx.ours || !ring_wants_wakeup(&x->tx);
}

void xsk_kernel_stats(struct xsk *x)
{
	struct xdp_statistics k = { 0 };
	socklen_t size = sizeof(k);

	if (getsockopt(x->fd, SOL_XDP, XDP_STATISTICS, &k, &size))
		return;
	x->stats.dropped = k.rx_dropped;
	x->stats.ring_full = k.rx_ring_full;
	x->stats.fill_empty = k.rx_fill_ring_empty_descs;
}
