// SPDX-License-Identifier: BSD-2-Clause
/*
 * stream.c - the blocking helpers
 *
 * Each makes a request, waits for its own completion, and is done. Several
 * threads may do so on one locked lane: the lane's lock is dropped while one
 * sleeps (lane.c). After a time-out or a signal the request is cancelled first,
 * and what it achieved nevertheless wins: no byte is lost between a receive
 * that came late and its time-out.
 *
 * A send that was begun without a copy cannot be given up before the peer has
 * acknowledged the pages; so sends with a time-out never begin one
 * (transfer.c), and a signal to one without does not shorten it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"


void stream_stop(struct vtoe_lane *lane, uint32_t stream,
		 const struct waiter *w)
{
	struct vtoe_sqe *sqe;
	int rc;

	do
		sqe = lane_get_sqe(lane, FOREVER, &rc);
	while (!sqe && rc == -EINTR);
	if (!sqe)
		return; /* dead: it completes by that */
	vtoe_sqe_set(sqe, VTOE_OP_CANCEL, stream, LIBRARY_TAG);
	sqe->u.target = w->user_data;
}

/* Waits for a request whose time is over. -> why, or 0: it completed */
static int stream_cancel(struct vtoe_lane *lane, struct waiter *w,
			 uint32_t stream, int why)
{
	uint64_t deadline = deadline_after(w->op == VTOE_OP_SEND ?
						   -1 : lane->ctx->answer_ms);
	int rc;

	stream_stop(lane, stream, w);
	vtoe_submit(lane);
	do
		rc = lane_wait(lane, w, deadline);
	while (rc == -EINTR);
	if (rc) {
		/* it holds memory of ours and does not let go */
		lane_drop_waiter(lane, w);
		lane_fail(lane, -EPROTO);
		return lane->dead;
	}
	return w->cqe.result == -ECANCELED ? why : 0;
}

/* Submits a copy of *request. The lane is locked. */
int stream_start(struct vtoe_lane *lane, const struct vtoe_sqe *request,
		 struct waiter *w, uint64_t deadline)
{
	struct vtoe_sqe *sqe;
	int rc;

	sqe = lane_get_sqe(lane, deadline, &rc);
	if (!sqe)
		return rc;
	*sqe = *request;
	lane_add_waiter(lane, w, sqe);
	rc = vtoe_submit(lane);
	if (rc < 0)
		lane_drop_waiter(lane, w);
	return rc < 0 ? rc : 0;
}

/* Waits for it. -> its result */
int stream_finish(struct vtoe_lane *lane, uint32_t stream, struct waiter *w,
		  uint64_t deadline)
{
	int rc = lane_wait(lane, w, deadline);

	if (rc == -ETIME || rc == -EINTR)
		rc = stream_cancel(lane, w, stream, rc);
	else if (rc)
		lane_drop_waiter(lane, w);
	return rc ? rc : w->cqe.result;
}

static int stream_call(struct vtoe_lane *lane, const struct vtoe_sqe *request,
		       struct vtoe_cqe *cqe, uint64_t deadline)
{
	struct waiter w;
	int rc;

	vtoe_lane_lock(lane);
	rc = stream_start(lane, request, &w, deadline);
	if (!rc) {
		rc = stream_finish(lane, request->stream, &w, deadline);
		if (cqe)
			*cqe = w.cqe;
	}
	vtoe_lane_unlock(lane);
	return rc;
}

static int stream_open(struct vtoe_lane *lane, uint32_t *stream,
		       const struct vtoe_address *address, uint64_t deadline)
{
	struct vtoe_sqe request = { .op = VTOE_OP_OPEN };
	struct vtoe_cqe cqe;
	int rc;

	request.u.address.family = address->family;
	rc = stream_call(lane, &request, &cqe, deadline);
	if (!rc)
		*stream = cqe.stream;
	return rc;
}

int vtoe_stream_open_connect(struct vtoe_lane *lane, uint32_t *stream,
			     const struct sockaddr *to, socklen_t len,
			     int timeout_ms)
{
	struct vtoe_sqe request = { .op = VTOE_OP_CONNECT };
	uint64_t deadline = deadline_after(timeout_ms);
	int rc;

	rc = vtoe_address_from(&request.u.address, to, len);
	if (!rc)
		rc = stream_open(lane, stream, &request.u.address, deadline);
	if (rc)
		return rc;
	request.stream = *stream;
	rc = stream_call(lane, &request, NULL, deadline);
	if (rc < 0)
		vtoe_stream_close(lane, *stream, 1);
	return rc < 0 ? rc : 0;
}

int vtoe_stream_open_listen(struct vtoe_lane *lane, uint32_t *stream,
			    const struct sockaddr *at, socklen_t len,
			    int backlog)
{
	struct vtoe_sqe bind = { .op = VTOE_OP_BIND };
	struct vtoe_sqe listen = { .op = VTOE_OP_LISTEN };
	const int yes = 1;
	int rc;

	rc = vtoe_address_from(&bind.u.address, at, len);
	if (!rc)
		rc = stream_open(lane, stream, &bind.u.address, FOREVER);
	if (rc)
		return rc;
	bind.stream = listen.stream = *stream;
	listen.length = backlog > 0 ? (vtoe_u32)backlog : 0;
	/* as every server does, so that it can be started again at once */
	rc = vtoe_stream_setsockopt(lane, *stream, SOL_SOCKET, SO_REUSEADDR,
				    &yes, sizeof(yes));
	if (!rc)
		rc = stream_call(lane, &bind, NULL, FOREVER);
	if (!rc)
		rc = stream_call(lane, &listen, NULL, FOREVER);
	if (rc < 0)
		vtoe_stream_close(lane, *stream, 1);
	return rc < 0 ? rc : 0;
}

int vtoe_stream_accept(struct vtoe_lane *lane, uint32_t listener,
		       uint32_t *stream, struct sockaddr *peer,
		       socklen_t *len, int timeout_ms)
{
	struct vtoe_sqe request = { .op = VTOE_OP_ACCEPT, .stream = listener };
	struct vtoe_cqe cqe;
	int rc;

	rc = stream_call(lane, &request, &cqe, deadline_after(timeout_ms));
	if (rc < 0)
		return rc;
	*stream = cqe.stream;
	if (peer && len)
		*len = vtoe_address_to(&cqe.u.address, peer, *len);
	return 0;
}

int vtoe_stream_setsockopt(struct vtoe_lane *lane, uint32_t stream, int level,
			   int name, const void *value, socklen_t len)
{
	struct vtoe_sqe request = { .op = VTOE_OP_SETOPT, .stream = stream };
	int rc;

	if (len > sizeof(request.u.option.value) || level < 0 ||
	    level > UINT16_MAX || name < 0 || name > UINT16_MAX)
		return -EINVAL;
	request.u.option.level = (vtoe_u16)level;
	request.u.option.name = (vtoe_u16)name;
	request.u.option.length = len;
	memcpy(request.u.option.value, value, len);
	rc = stream_call(lane, &request, NULL, FOREVER);
	return rc < 0 ? rc : 0;
}

int vtoe_stream_getsockopt(struct vtoe_lane *lane, uint32_t stream, int level,
			   int name, void *value, socklen_t *len)
{
	struct vtoe_sqe request = { .op = VTOE_OP_GETOPT, .stream = stream };
	void *room = NULL;
	struct vtoe_cqe cqe;
	int rc = 0;

	if (level < 0 || level > UINT16_MAX || name < 0 || name > UINT16_MAX)
		return -EINVAL;
	request.u.option.level = (vtoe_u16)level;
	request.u.option.name = (vtoe_u16)name;
	request.u.option.length = *len < VTOE_PAGE ? *len : VTOE_PAGE;
	if (*len > sizeof(cqe.u.value)) {
		room = vtoe_alloc(lane->ctx, VTOE_PAGE);
		if (!room)
			return -ENOMEM;
		rc = vtoe_sqe_memory(lane->ctx, &request, room, VTOE_PAGE);
	}
	if (!rc)
		rc = stream_call(lane, &request, &cqe, FOREVER);
	if (rc > (int)request.u.option.length)
		rc = -EPROTO;
	if (rc >= 0) {
		memcpy(value, room ? room : cqe.u.value, (size_t)rc);
		*len = (socklen_t)rc;
		rc = 0;
	}
	vtoe_free(lane->ctx, room);
	return rc;
}

int vtoe_stream_shutdown(struct vtoe_lane *lane, uint32_t stream, int how)
{
	struct vtoe_sqe request = { .op = VTOE_OP_SHUTDOWN, .stream = stream };

	if (how < SHUT_RD || how > SHUT_RDWR)
		return -EINVAL;
	request.length = (vtoe_u32)how;
	return stream_call(lane, &request, NULL, FOREVER);
}

int vtoe_stream_close(struct vtoe_lane *lane, uint32_t stream, int abort)
{
	struct vtoe_sqe request = { .op = VTOE_OP_CLOSE, .stream = stream };

	request.op_flags = abort ? VTOE_CLOSE_ABORT : 0;
	return stream_call(lane, &request, NULL, FOREVER);
}
