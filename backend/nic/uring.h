/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * uring.h - the worker's io_uring
 *
 * One ring per worker, used by one thread (SINGLE_ISSUER, DEFER_TASKRUN where
 * the kernel has them), or by several, one at a time. The ring is restricted,
 * before it is enabled, to the operations that the worker uses, because seccomp
 * does not see what io_uring does. Sockets are registered files: index = the stream's index.
 *
 * Completions carry a 64-bit tag: a 16-byte aligned pointer and a kind in its
 * low four bits. Tag 0 is ignored by the reader.
 */
#ifndef VTOE_NIC_URING_H
#define VTOE_NIC_URING_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

/* Newer than Debian 12's liburing; the kernel's numbers. */
enum {
	URING_FEAT_RW_ATTR = 1 << 16,	     /* Linux 6.14 */
	URING_SEND_ZC_REPORT_USAGE = 1 << 3, /* Linux 6.2 */
	URING_RECVSEND_POLL_FIRST = 1 << 0,
};
#define URING_NOTIF_USAGE_ZC_COPIED (1u << 31)

struct uring {
	struct io_uring ring;
	bool open;
	bool defer;	   /* DEFER_TASKRUN is on */
	bool fixed;	   /* a registered file table is there */
	bool restricted;
	bool own_buffers;  /* provided-buffer rings in memory of ours */
	bool report_usage; /* SEND_ZC says whether it copied */
	uint32_t files;
	uint64_t enters;   /* system calls made */
};

/* A ring with room for `entries` submissions; `files` registered slots, 0 for
 * no table; `threads`: more than one will use it. What the kernel refuses is left
 * out; -errno if no ring can be made at all. */
int uring_open(struct uring *u, unsigned entries, unsigned files, bool threads);
void uring_close(struct uring *u);

/* A submission entry; submits first when the queue is full. Never NULL. */
struct io_uring_sqe *uring_sqe(struct uring *u, void *object, unsigned kind);
static inline uint64_t uring_tag(const void *object, unsigned kind)
{
	return (uint64_t)(uintptr_t)object | kind;
}
static inline void *uring_tag_object(uint64_t tag)
{
	return (void *)(uintptr_t)(tag & ~15ull);
}
static inline unsigned uring_tag_kind(uint64_t tag)
{
	return tag & 15;
}

/* Puts a socket into the file table; without one, does nothing. */
int uring_file_set(struct uring *u, uint32_t slot, int fd);
/* Makes an entry use the socket: by slot if registered. */
static inline void uring_use_socket(const struct uring *u,
				    struct io_uring_sqe *sqe, uint32_t slot,
				    int fd)
{
	if (u->fixed) {
		sqe->fd = (int)slot;
		sqe->flags |= IOSQE_FIXED_FILE;
	} else {
		sqe->fd = fd;
	}
}

/* Submits; with `wait`, sleeps until a completion is there. */
int uring_submit(struct uring *u, bool wait);
/* The same, and sleeps for so long at most. */
int uring_wait(struct uring *u, uint64_t usec);
/* Runs deferred work and submits, if there is any; no sleep, and no system
 * call when there is nothing to do. */
int uring_poll(struct uring *u);

/*
 * A ring of provided buffers, for receives that pick one (IOSQE_BUFFER_SELECT).
 * Its memory is the kernel's where it can be (Linux 6.4): with memory of ours,
 * Linux 6.10 to 6.12 keep a mapping of it for ever, which leaks, and on a Xen PV
 * dom0 is fatal once such a page becomes a page table. Kernels before 6.4 refuse
 * (EINVAL) to allocate one, and get memory of ours: they make no mapping of it,
 * but use that of all memory, and only while they hold the page. NULL with errno.
 */
struct io_uring_buf_ring *uring_buffers_open(struct uring *u, uint16_t group,
					     unsigned entries);
void uring_buffers_close(struct uring *u, uint16_t group, unsigned entries,
			 struct io_uring_buf_ring *ring);

/* Is a completion there that was not taken? */
static inline bool uring_has_answers(const struct uring *u)
{
	return io_uring_cq_ready(&u->ring) ||
	       IO_URING_READ_ONCE(*u->ring.sq.kflags) & IORING_SQ_CQ_OVERFLOW;
}
/* Closes a descriptor with the next submission, behind what is queued. Until then
 * its number, and what it is bound to, are in use. */
void uring_close_later(struct uring *u, int fd);
/* Writes 1 to an eventfd with the next submission; nothing is reported. */
void uring_signal(struct uring *u, int event_fd);

#endif
