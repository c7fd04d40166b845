/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * toe_generic.c - generic buffers (GRQ): receiving into them
 *
 * What the guest has lent (toe_grq.c) we lend to the kernel as a provided-buffer
 * ring, from which a stream's receive takes one only when data is there.
 */
#include "path/path.h"

#include <errno.h>

/* Linux before 6.9 never frees what it has of the groups below 64: a ring that is
 * registered there again begins where the kernel stood in the one before, at
 * entries that nobody has filled. */
#define GROUPS_FIRST 64u
#define GROUPS_END (64u * DEVICE_GROUP_WORDS)

void toe_generic_arm(struct stream *s)
{
	struct lane *lane = s->generic_lane;
	struct device *d = s->device;
	struct io_uring_sqe *sqe;

	if (s->generic_held || s->generic_ended)
		return;
	if (!generic_may_take(s)) {
		d->stats->grq_starved++;
		generic_starve(s);
		return;
	}
	list_del(&s->starved_node);
	toe_recv_lowat_reset(s);
	sqe = uring_sqe(&d->uring, s, TAG_GENERIC);
	io_uring_prep_recv(sqe, 0, NULL, 0, 0);
	uring_use_socket(&d->uring, sqe, s->index, s->fd);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = lane->generic.group;
	if (!s->nonempty)
		sqe->ioprio |= URING_RECVSEND_POLL_FIRST;
	s->generic = GENERIC_ARMED;
	lane->generic_armed++;
	stream_op_begin(s);
}

void toe_generic_cancel(struct stream *s)
{
	struct uring *u = &s->device->uring;

	if (s->generic != GENERIC_ARMED)
		return;
	s->generic = GENERIC_CANCELLING;
	io_uring_prep_cancel64(uring_sqe(u, NULL, TAG_IGNORE),
			       uring_tag(s, TAG_GENERIC), 0);
}

/* -- the pool ------------------------------------------------------------ */

static int generic_init(struct lane *lane)
{
	struct device *d = lane->conn->device;
	struct generic_pool *g = &lane->generic;
	uint32_t group;
	int rc;

	for (group = GROUPS_FIRST; group < GROUPS_END; group++)
		if (!(d->groups[group / 64] & 1ull << group % 64))
			break;
	if (group == GROUPS_END)
		return -EDQUOT;
	rc = generic_pool_init(g, GENERIC_BUFFERS);
	if (rc)
		return rc;
	g->ring = uring_buffers_open(&d->uring, (uint16_t)group,
				     GENERIC_BUFFERS);
	if (!g->ring) {
		generic_pool_free(lane);
		return -ENOMEM;
	}
	d->groups[group / 64] |= 1ull << group % 64;
	g->group = (uint16_t)group;
	return 0;
}

int toe_generic_open(struct lane *lane)
{
	int rc = lane->generic.buffers ? 0 : generic_init(lane);

	if (rc)
		return rc;
	return lane->generic.ring ? 0 : -ENOMEM; /* lost when a region went */
}

void toe_generic_free(struct lane *lane)
{
	struct device *d = lane->conn->device;
	struct generic_pool *g = &lane->generic;

	if (!g->buffers)
		return;
	if (g->ring)
		uring_buffers_close(&d->uring, g->group, GENERIC_BUFFERS,
				    g->ring);
	d->groups[g->group / 64] &= ~(1ull << g->group % 64);
	generic_pool_free(lane);
}

void toe_generic_lend(struct generic_pool *g, uint16_t id)
{
	struct generic_buffer *b = &g->buffers[id];

	io_uring_buf_ring_add(g->ring, b->region->at + b->offset, b->length, id,
			      io_uring_buf_ring_mask(GENERIC_BUFFERS), 0);
	io_uring_buf_ring_advance(g->ring, 1);
	b->state = GENERIC_LENT;
	g->lent++;
}

/* Marks the buffers that completions already made, but not yet seen, name. */
static void generic_mark_filled(struct lane *lane, bool *filled)
{
	struct uring *u = &lane->conn->device->uring;
	struct io_uring_cqe *cqe;
	unsigned head, id;

	io_uring_for_each_cqe(&u->ring, head, cqe) {
		struct stream *s = uring_tag_object(cqe->user_data);

		if (uring_tag_kind(cqe->user_data) != TAG_GENERIC ||
		    !(cqe->flags & IORING_CQE_F_BUFFER) ||
		    s->generic_lane != lane)
			continue;
		id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
		filled[id & (GENERIC_BUFFERS - 1)] = true;
	}
}

/* The region goes: take its buffers back from the kernel. The kernel picks a
 * buffer only while it fills it, so between its operations the ring can be
 * replaced by one without them; what it has filled already keeps its hold
 * until its completion is seen. */
void toe_generic_region_gone(struct lane *lane, struct region *r)
{
	struct generic_pool *g = &lane->generic;
	struct uring *u = &lane->conn->device->uring;
	bool filled[GENERIC_BUFFERS] = { false };
	uint32_t id, found = 0;

	if (!g->ring)
		return;
	for (id = 0; id < GENERIC_BUFFERS; id++) {
		struct generic_buffer *b = &g->buffers[id];

		found += b->state == GENERIC_LENT && b->region == r;
		/* nobody can give these back any more */
		if (b->state == GENERIC_OUT && b->key == r->key)
			generic_forget(lane, id);
	}
	if (!found)
		return;
	uring_buffers_close(u, g->group, GENERIC_BUFFERS, g->ring);
	generic_mark_filled(lane, filled);
	/* without a new one the pool is empty, and the lane's streams starve */
	g->ring = uring_buffers_open(u, g->group, GENERIC_BUFFERS);
	g->lent = 0;
	for (id = 0; id < GENERIC_BUFFERS; id++) {
		struct generic_buffer *b = &g->buffers[id];

		if (b->state != GENERIC_LENT)
			continue;
		if (filled[id]) {
			g->lent++;
		} else if (b->region != r && g->ring) {
			toe_generic_lend(g, (uint16_t)id);
		} else {
			struct region *held = b->region;

			generic_free(g, id);
			region_put(lane->conn, held);
		}
	}
}

void toe_generic_begin(struct stream *s)
{
	toe_recv_next(s);
}

void toe_generic_go_on(struct stream *s)
{
	toe_recv_next(s);
}

/* What became of the buffer that the kernel picked. */
static struct generic_buffer *toe_generic_take(struct lane *lane,
					       struct stream *s,
					       int32_t result, uint32_t flags,
					       bool wanted)
{
	struct generic_pool *g = &lane->generic;
	uint16_t id = (uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT);
	struct generic_buffer *b;
	struct region *r;

	if (!(flags & IORING_CQE_F_BUFFER) || id >= GENERIC_BUFFERS)
		return NULL;
	b = &g->buffers[id];
	if (b->state != GENERIC_LENT)
		return NULL;
	g->lent--;
	r = b->region;
	if ((result <= 0 || !wanted) && !r->removing && g->ring) {
		toe_generic_lend(g, id);
		return NULL;
	}
	b->region = NULL;
	if (r->removing) {
		/* the guest gets what is in it, but cannot give it back */
		generic_free(g, id);
	} else {
		b->state = GENERIC_OUT;
		b->stream = s->id;
		s->generic_out++;
	}
	region_put(lane->conn, r);
	return result > 0 && wanted ? b : NULL;
}

void toe_generic_done(struct stream *s, int32_t result, uint32_t flags)
{
	struct lane *lane = s->generic_lane;
	struct vtoe_stats *stats = s->device->stats;
	bool wanted = !lane->finishing && s->state < STREAM_DRAINING &&
		      stream_hold_of(s, lane);
	struct generic_buffer *b;

	s->generic = GENERIC_IDLE;
	lane->generic_armed--;
	s->nonempty = flags & IORING_CQE_F_SOCK_NONEMPTY;
	b = toe_generic_take(lane, s, result, flags, wanted);
	if (!wanted) {
		/* bytes for a stream that nobody reads any more */
	} else if (result > 0 && b) {
		s->rx_bytes += (uint32_t)result;
		stats->rx_bytes += (uint32_t)result;
		stats->rx_generic_bytes += (uint32_t)result;
		generic_post(s, result, s->nonempty ? VTOE_CQE_NONEMPTY : 0, b);
	} else if (result == -ENOBUFS) {
		stats->grq_starved++;
		if (s->generic_on)
			generic_starve(s);
	} else if (result != -ECANCELED && result != -EINTR) {
		s->generic_ended = true;
		generic_post(s, result, result ? 0 : VTOE_CQE_EOF, NULL);
	}
	generic_rest(s);
	if (result != -ENOBUFS || !list_empty(&s->recvs))
		toe_recv_next(s);
	if (lane->finishing)
		lane_try_free(lane);
	stream_op_end(s);
}
