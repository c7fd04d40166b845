/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rawpeer.h - a client of the local port, or of /dev/vtoeN, without libvtoe
 *
 * For tests that must be able to misbehave, and as a second reading of
 * frontend/abi/PROTOCOL.md that shares nothing with the library but the
 * headers. Every piece is visible to the test: it may write any index, entry
 * or page by hand. Nothing is checked that the test might want to break.
 *
 * Functions return 0 or a negated errno: -ETIME when nothing came in time,
 * -ENOTCONN when the backend hung up, -EPROTO when it answered nonsense or
 * parked us.
 */
#ifndef VTOE_TESTS_RAWPEER_H
#define VTOE_TESTS_RAWPEER_H

#include <stddef.h>
#include <stdint.h>

#include <vtoe_control.h>
#include <vtoe_device.h>
#include <vtoe_ioctl.h>
#include <vtoe_lane.h>
#include <vtoe_ring.h>

#define RAW_VECTORS 257
#define RAW_TIMEOUT_MS 10000

struct raw_peer {
	int socket;
	int memory_fd;
	int doorbell;
	int vectors[RAW_VECTORS];
	unsigned vector_count;
	int64_t id;
	uint8_t *memory;
	uint64_t bytes;
	struct vtoe_device_page page; /* a copy, taken at the handshake */
	struct vtoe_ring requests;
	struct vtoe_ring completions;
	uint64_t cursor; /* next free byte of the guest's part */
	uint64_t serial;
};

struct raw_lane {
	struct raw_peer *peer;
	uint32_t id;
	unsigned vector;
	uint64_t sq_offset, cq_offset;
	struct vtoe_ring sq, cq;
	uint64_t serial;
};

/* The socket only: connected, nothing received. */
int raw_dial(const char *path);
/* One message of the handshake; *fd is -1 if none came with it. */
int raw_receive(int socket, int64_t *value, int *fd, int timeout_ms);

/* Handshake and mapping; no HELLO. A refusal is returned as it was sent. */
int raw_connect(struct raw_peer *p, const char *path);
void raw_close(struct raw_peer *p);

/* Every feature that is offered, version 1. */
int raw_hello(struct raw_peer *p);
/* Sends a control request and waits for its completion, skipping events;
 * user_data is filled in if it is 0 and `op` is set. -> 0: see to->result. */
int raw_control(struct raw_peer *p, struct vtoe_ctl_request *request,
		struct vtoe_ctl_completion *to);
/* Only submits, without doorbell suppression. */
int raw_control_submit(struct raw_peer *p,
		       const struct vtoe_ctl_request *request);
/* The next completion or event. */
int raw_control_next(struct raw_peer *p, struct vtoe_ctl_completion *to,
		     int timeout_ms);

/* A page-aligned stretch of the guest's part -> offset; 0: no room. */
uint64_t raw_alloc(struct raw_peer *p, uint64_t bytes);

/* These return the completion's result too. */
int raw_lane_add(struct raw_peer *p, struct raw_lane *l, uint32_t sq_entries,
		 uint32_t cq_entries, unsigned vector);
int raw_lane_del(struct raw_lane *l);
int raw_region_add(struct raw_peer *p, uint32_t lane, uint64_t offset,
		   uint64_t length, uint32_t rights, uint64_t *key);
int raw_region_del(struct raw_peer *p, uint64_t key);

void raw_ring_doorbell(struct raw_peer *p);
uint32_t raw_status(const struct raw_peer *p, uint32_t *violation);
uint32_t raw_lane_status(const struct raw_lane *l, uint32_t *violation);

/* Copies the entry into the SQ; -ENOBUFS if it is full. user_data 0 gets a
 * number of its own. Nothing is published before raw_submit. */
int raw_put(struct raw_lane *l, struct vtoe_sqe *sqe);
void raw_submit(struct raw_lane *l);
/* The next completion of any request. */
int raw_next(struct raw_lane *l, struct vtoe_cqe *to, int timeout_ms);
/* put, submit, and wait for the completion of this one; others are dropped.
 * -> 0: see to->result. */
int raw_call(struct raw_lane *l, struct vtoe_sqe *sqe, struct vtoe_cqe *to);

/* OPEN and CONNECT in one batch -> 0 and the stream, or an error. */
int raw_stream_connect(struct raw_lane *l, const struct vtoe_address *to,
		       uint32_t *stream);
/* raw_call with the common fields filled -> cqe.result, or an error. */
int raw_do(struct raw_lane *l, enum vtoe_op op, uint32_t stream,
	   uint32_t length, uint32_t op_flags, struct vtoe_cqe *to);
int raw_memory(struct raw_lane *l, enum vtoe_op op, uint32_t stream,
	       uint64_t key, uint64_t offset, uint32_t length,
	       uint32_t op_flags, struct vtoe_cqe *to);

/* "192.0.2.1", 80 -> address; -EINVAL. */
int raw_address(struct vtoe_address *to, const char *ip, uint16_t port);

#endif
