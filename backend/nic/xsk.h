/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xsk.h - an AF_XDP socket: the frames of one queue, in memory of ours
 *
 * The memory (UMEM) is a number of frames of one size. A frame is in one place
 * at a time:
 *
 *	free ──(xsk_receive refills)──► fill ring ──► kernel ──► RX ring
 *	  ▲                                                        │
 *	  └──────────── xsk_release ◄──── caller ◄── xsk_receive ──┘
 *
 * and a part of them, set apart at the start, goes free -> TX ring -> kernel ->
 * completion ring -> free when the caller sends. So memory is bounded by the
 * number of frames; a caller that keeps them all stops its own receiving, and
 * the kernel drops and counts. No call waits but xsk_start(), up to 5 s, for a
 * queue that is in use or for memory that is locked: by a worker that died, and
 * that the kernel is still clearing away.
 *
 * Opening the socket needs CAP_NET_RAW (and CAP_NET_ADMIN to poll busily): that
 * is the supervisor's. All else needs no privilege but leave to lock the
 * memory (RLIMIT_MEMLOCK), and is done by the process whose memory it is.
 * The kernel's interface is used as it is, without libxdp, which always makes
 * the socket itself. One thread. Functions return 0 or a count, or -errno.
 */
#ifndef VTOE_NIC_XSK_H
#define VTOE_NIC_XSK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct xsk_config {
	int ifindex;
	uint32_t queue;
	uint32_t frame_size; /* 2048 or 4096 */
	uint32_t receive;    /* frames to receive into, a power of two */
	uint32_t send;	     /* frames to send from, a power of two; of all
			      * together less than 4 GiB */
	bool copy;	     /* do not even try to bind without copying */
};

/* One of the rings that are shared with the kernel. */
struct xsk_ring {
	uint32_t *producer;
	uint32_t *consumer;
	uint32_t *flags;
	void *entries;
	void *map;
	size_t map_bytes;
	uint32_t size;
	uint32_t ours;	 /* our index, ahead of what is published */
	uint32_t theirs; /* the other side's, as last seen */
};

struct xsk_frame {
	uint8_t *data;
	uint32_t length;
	uint32_t ref; /* for xsk_release() */
};

struct xsk_stats {
	uint64_t received;
	uint64_t sent;
	uint64_t wakeups; /* system calls */
	/* -- the kernel's -- */
	uint64_t dropped;	/* frames that did not fit a buffer */
	uint64_t ring_full;	/* ... or the RX ring */
	uint64_t fill_empty;	/* times it wanted a buffer and found none */
};

struct xsk {
	int fd;
	bool zero_copy;
	bool busy_poll;
	uint8_t *memory;
	uint32_t frame_size;
	uint32_t *free; /* stacks: frames to receive into, */
	uint32_t free_count;
	uint32_t *send_free; /* and to send from */
	uint32_t send_count;
	uint32_t receive_frames;
	struct xsk_ring fill, completion, rx, tx;
	struct xsk_stats stats;
};

/* -- with privilege -- */

/* A socket, to be handed to xsk_start(). busy_poll: microseconds for which a
 * look at an empty queue lets the driver look too; 0: interrupts alone. */
int xsk_socket(unsigned busy_poll);

/* -- without -- */

/* Bytes of memory that xsk_start() wants, aligned to a page. */
size_t xsk_memory_bytes(const struct xsk_config *c);
/* The longest frame that fits a buffer. */
uint32_t xsk_frame_max(const struct xsk_config *c);
/* Takes the socket over, also if it fails. */
int xsk_start(struct xsk *x, int socket, const struct xsk_config *c,
	      void *memory);
void xsk_stop(struct xsk *x);

/* -> frames, at most `room`; they are the caller's until released. */
unsigned xsk_receive(struct xsk *x, struct xsk_frame *frames, unsigned room);
void xsk_release(struct xsk *x, uint32_t ref);
/* Gives the kernel the frames that were released: xsk_receive() does it too, but
 * who sleeps should have done it. */
void xsk_refill(struct xsk *x);

/* Copies a frame's pieces and queues it. -EAGAIN: no frame is free, flush;
 * -EMSGSIZE: it does not fit one. */
int xsk_send(struct xsk *x, const struct iovec *pieces, unsigned count);
/* Lets the kernel send what is queued, and takes back what it has sent. -> false:
 * it has not taken all of it now; ask again. */
bool xsk_flush(struct xsk *x);

void xsk_kernel_stats(struct xsk *x);

#endif
