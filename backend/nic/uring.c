/* SPDX-License-Identifier: BSD-2-Clause */
#include "nic/uring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Debian 12's shared liburing does not export its functions for these two. */
static int uring_register(struct uring *u, unsigned op, const void *arg,
			  unsigned count)
{
	long rc = syscall(__NR_io_uring_register, u->ring.ring_fd, op, arg,
			  count);

	return rc < 0 ? -errno : 0;
}

static const uint8_t uring_ops[] = {
	IORING_OP_NOP,	       IORING_OP_ACCEPT,   IORING_OP_CONNECT,
	IORING_OP_RECV,	       IORING_OP_SEND,	   IORING_OP_SENDMSG,
	IORING_OP_SEND_ZC,     IORING_OP_POLL_ADD, IORING_OP_POLL_REMOVE,
	IORING_OP_READ,	       IORING_OP_WRITE,	   IORING_OP_TIMEOUT,
	IORING_OP_TIMEOUT_REMOVE, IORING_OP_ASYNC_CANCEL, IORING_OP_CLOSE,
};

static const uint8_t uring_registers[] = {
	IORING_REGISTER_FILES_UPDATE, IORING_REGISTER_FILES_UPDATE2,
	IORING_REGISTER_PBUF_RING,    IORING_UNREGISTER_PBUF_RING,
	IORING_REGISTER_ENABLE_RINGS,
};

static int uring_restrict(struct uring *u)
{
	struct io_uring_restriction r[sizeof(uring_ops) +
				      sizeof(uring_registers) + 1];
	unsigned n = 0, i;

	memset(r, 0, sizeof(r));
	for (i = 0; i < sizeof(uring_ops); i++, n++) {
		r[n].opcode = IORING_RESTRICTION_SQE_OP;
		r[n].sqe_op = uring_ops[i];
	}
	for (i = 0; i < sizeof(uring_registers); i++, n++) {
		r[n].opcode = IORING_RESTRICTION_REGISTER_OP;
		r[n].register_op = uring_registers[i];
	}
	r[n].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	r[n++].sqe_flags = IOSQE_FIXED_FILE | IOSQE_ASYNC |
			   IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS;
	return uring_register(u, IORING_REGISTER_RESTRICTIONS, r, n);
}

int uring_open(struct uring *u, unsigned entries, unsigned files, bool threads)
{
	/* From the best to the least; 6.1 has them all. */
	static const unsigned flags[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			IORING_SETUP_TASKRUN_FLAG,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		0,
	};
	struct io_uring_params p;
	unsigned i;
	int rc = -EINVAL;

	memset(u, 0, sizeof(*u));
	for (i = threads; i < sizeof(flags) / sizeof(*flags) && rc == -EINVAL;
	     i++) {
		memset(&p, 0, sizeof(p));
		p.flags = flags[i] | IORING_SETUP_CQSIZE |
			  IORING_SETUP_R_DISABLED | IORING_SETUP_CLAMP;
		p.cq_entries = entries * 4;
		rc = io_uring_queue_init_params(entries, &u->ring, &p);
		u->defer = i == 0;
	}
	if (rc)
		return rc;
	u->open = true;
	u->report_usage = true;
	u->files = files;
	if (files && p.features & URING_FEAT_RW_ATTR &&
	    !io_uring_register_files_sparse(&u->ring, files))
		u->fixed = true;
	u->restricted = !uring_restrict(u);
	rc = uring_register(u, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
	if (rc)
		uring_close(u);
	return rc;
}

void uring_close(struct uring *u)
{
	if (u->open)
		io_uring_queue_exit(&u->ring);
	u->open = false;
}

struct io_uring_sqe *uring_sqe(struct uring *u, void *object, unsigned kind)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&u->ring))) {
		u->enters++;
		io_uring_submit(&u->ring);
	}
	/* The preparation functions of liburing keep user_data. */
	sqe->user_data = uring_tag(object, kind);
	return sqe;
}

int uring_file_set(struct uring *u, uint32_t slot, int fd)
{
	int rc;

	if (!u->fixed)
		return 0;
	rc = io_uring_register_files_update(&u->ring, slot, &fd, 1);
	return rc < 0 ? rc : 0;
}

int uring_submit(struct uring *u, bool wait)
{
	u->enters++;
	if (wait)
		return io_uring_submit_and_wait(&u->ring, 1);
	return io_uring_submit_and_get_events(&u->ring);
}

int uring_wait(struct uring *u, uint64_t usec)
{
	struct __kernel_timespec most = {
		.tv_sec = (int64_t)(usec / 1000000),
		.tv_nsec = (int64_t)(usec % 1000000 * 1000),
	};
	struct io_uring_cqe *cqe;

	u->enters++;
	return io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &most, NULL);
}

int uring_poll(struct uring *u)
{
	unsigned state = IO_URING_READ_ONCE(*u->ring.sq.kflags);

	if (!io_uring_sq_ready(&u->ring) &&
	    !(state & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)))
		return 0;
	return uring_submit(u, false);
}

/* struct io_uring_buf_reg; Debian 12's has no flags yet. */
struct uring_buffers {
	uint64_t address;
	uint32_t entries;
	uint16_t group;
	uint16_t flags;
	uint64_t reserved[3];
};

enum { URING_PBUF_RING_MMAP = 1 };
#define URING_OFF_PBUF_RING 0x80000000ull /* | group << 16: where to map it */

static struct io_uring_buf_ring *uring_buffers_map(struct uring *u,
						   uint16_t group, size_t bytes,
						   bool kernel)
{
	void *at;

	if (kernel)
		at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_POPULATE, u->ring.ring_fd,
			  (off_t)(URING_OFF_PBUF_RING | (uint64_t)group << 16));
	else
		at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return at == MAP_FAILED ? NULL : at;
}

static struct io_uring_buf_ring *uring_buffers_in_kernel(struct uring *u,
							 uint16_t group,
							 unsigned entries)
{
	const struct uring_buffers want = {
		.entries = entries,
		.group = group,
		.flags = URING_PBUF_RING_MMAP,
	};
	struct io_uring_buf_ring *ring;
	int rc;

	rc = uring_register(u, IORING_REGISTER_PBUF_RING, &want, 1);
	if (rc) {
		errno = -rc;
		return NULL;
	}
	ring = uring_buffers_map(u, group,
				 entries * sizeof(struct io_uring_buf), true);
	if (!ring)
		io_uring_unregister_buf_ring(&u->ring, group);
	return ring;
}

static struct io_uring_buf_ring *uring_buffers_in_ours(struct uring *u,
						       uint16_t group,
						       unsigned entries)
{
	const size_t bytes = entries * sizeof(struct io_uring_buf);
	struct io_uring_buf_ring *ring = uring_buffers_map(u, group, bytes,
							   false);
	const struct uring_buffers want = {
		.address = (uintptr_t)ring,
		.entries = entries,
		.group = group,
	};
	int rc;

	if (!ring)
		return NULL;
	rc = uring_register(u, IORING_REGISTER_PBUF_RING, &want, 1);
	if (rc) {
		munmap(ring, bytes);
		errno = -rc;
		return NULL;
	}
	return ring;
}

struct io_uring_buf_ring *uring_buffers_open(struct uring *u, uint16_t group,
					     unsigned entries)
{
	struct io_uring_buf_ring *ring = NULL;

	if (!u->own_buffers)
		ring = uring_buffers_in_kernel(u, group, entries);
	if (!ring && (u->own_buffers || errno == EINVAL)) {
		ring = uring_buffers_in_ours(u, group, entries);
		u->own_buffers |= ring != NULL; /* before 6.4 */
	}
	if (ring)
		io_uring_buf_ring_init(ring);
	return ring;
}

void uring_buffers_close(struct uring *u, uint16_t group, unsigned entries,
			 struct io_uring_buf_ring *ring)
{
	io_uring_unregister_buf_ring(&u->ring, group);
	munmap(ring, entries * sizeof(struct io_uring_buf));
}

void uring_close_later(struct uring *u, int fd)
{
	struct io_uring_sqe *sqe = uring_sqe(u, NULL, 0);

	io_uring_prep_close(sqe, fd);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

void uring_signal(struct uring *u, int event_fd)
{
	static const uint64_t one = 1;
	struct io_uring_sqe *sqe = uring_sqe(u, NULL, 0);

	io_uring_prep_write(sqe, event_fd, &one, sizeof(one), 0);
	/* A counter that the guest has filled, or made blocking, loses its own
	 * notification; it must not leave a request waiting in the kernel. */
	sqe->rw_flags = RWF_NOWAIT;
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}
