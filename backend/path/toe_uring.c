/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * toe_uring.c - what the kernel completed, and what is asked back from it
 */
#include "path/path.h"

void toe_complete(uint64_t tag, int32_t result, uint32_t flags)
{
	void *object = uring_tag_object(tag);

	switch (uring_tag_kind(tag)) {
	case TAG_RECV:
		toe_recv_done(object, result, flags);
		break;
	case TAG_GENERIC:
		toe_generic_done(object, result, flags);
		break;
	case TAG_SEND:
		toe_send_done(object, result, flags);
		break;
	case TAG_ACCEPT:
		toe_accept_done(object, result);
		break;
	case TAG_CONNECT:
		toe_connect_done(object, result);
		break;
	case TAG_POLL:
		toe_poll_done(object, result);
		break;
	case TAG_LINGER:
		stream_linger_done(object);
		break;
	default:
		break;
	}
}

void toe_cancel_started(struct request *r)
{
	struct uring *u = &r->lane->conn->device->uring;
	uint64_t tag;

	switch (r->sqe.op) {
	case VTOE_OP_RECV:
		tag = uring_tag(r, TAG_RECV);
		break;
	case VTOE_OP_SEND:
		tag = uring_tag(r->batch, TAG_SEND);
		break;
	case VTOE_OP_ACCEPT:
		tag = uring_tag(r->stream, TAG_ACCEPT);
		break;
	case VTOE_OP_CONNECT:
		tag = uring_tag(r, TAG_CONNECT);
		break;
	case VTOE_OP_POLL:
		tag = uring_tag(r, TAG_POLL);
		break;
	default: /* CLOSE: lingering, ends by itself */
		return;
	}
	io_uring_prep_cancel64(uring_sqe(u, NULL, TAG_IGNORE), tag, 0);
}
