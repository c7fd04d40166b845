// SPDX-License-Identifier: BSD-2-Clause
/*
 * lane_open.c - the life of a lane
 *
 * A lane's two rings lie in one block of the arena. Its vector, the event
 * descriptor that the backend writes for it, is one of those that came with
 * the handshake. The rings are given back only after LANE_DEL completed:
 * nothing of the lane is under way in the backend any more.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define DEFAULT_SQ 256u
#define DEFAULT_CQ 1024u
#define DEFAULT_SPIN_USEC 20u
#define DEVICE_SPIN_USEC 50u

static int vector_take(struct vtoe *ctx, uint32_t *vector)
{
	uint32_t v;
	int rc = -EUSERS;

	pthread_mutex_lock(&ctx->lanes_lock);
	for (v = 1; v < ctx->vector_count; v++)
		if (!ctx->vectors_used[v]) {
			ctx->vectors_used[v] = 1;
			*vector = v;
			rc = 0;
			break;
		}
	pthread_mutex_unlock(&ctx->lanes_lock);
	return rc;
}

static void vector_give_back(struct vtoe *ctx, uint32_t vector)
{
	pthread_mutex_lock(&ctx->lanes_lock);
	ctx->vectors_used[vector] = 0;
	pthread_mutex_unlock(&ctx->lanes_lock);
}

static int lane_make_rings(struct vtoe_lane *lane, uint32_t sq, uint32_t cq)
{
	struct vtoe *ctx = lane->ctx;
	size_t bytes = VTOE_RING_BYTES((size_t)sq) +
		       VTOE_RING_BYTES((size_t)cq);
	char *at;

	lane->rings = arena_alloc(&ctx->arena, bytes);
	if (!lane->rings)
		return -ENOMEM;
	at = ctx->memory + lane->rings;
	memset(at, 0, VTOE_RING_HEADER);
	memset(at + VTOE_RING_BYTES(sq), 0, VTOE_RING_HEADER);
	vtoe_ring_init(&lane->sq, at, sq);
	vtoe_ring_init(&lane->cq, at + VTOE_RING_BYTES(sq), cq);
	lane->staged = calloc(sq, sizeof(*lane->staged));
	if (!lane->staged)
		return -ENOMEM;
	return track_init(&lane->track, 2 * sq);
}

static int lane_announce(struct vtoe_lane *lane)
{
	struct vtoe_ctl_request request = { .op = VTOE_CTL_LANE_ADD };
	struct vtoe_ctl_completion completion;
	int rc;

	request.u.lane.sq_offset = lane->rings;
	request.u.lane.cq_offset = lane->rings + VTOE_RING_BYTES(lane->sq.size);
	request.u.lane.sq_entries = lane->sq.size;
	request.u.lane.cq_entries = lane->cq.size;
	request.u.lane.vector = lane->vector;
	rc = control_request(lane->ctx, &request, &completion,
			     lane->ctx->answer_ms);
	if (rc || completion.result)
		return rc ? rc : completion.result;
	lane->id = completion.lane;
	/* no notification until somebody arms: behind our own index */
	__atomic_store_n(&lane->cq.shared->c.event, UINT32_MAX,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&lane->sq.shared->p.space_event, UINT32_MAX,
			 __ATOMIC_RELAXED);
	return 0;
}

void lane_free(struct vtoe_lane *lane)
{
	track_free(&lane->track);
	free(lane->staged);
	free(lane->kept);
	bounce_free(lane);
	free(lane);
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* A backend on this machine needs a processor of its own to answer while we
 * spin. A guest's has one, and notifying it costs hypercalls. */
static unsigned lane_default_spin(const struct vtoe *ctx)
{
	if (ctx->on_device)
		return DEVICE_SPIN_USEC;
	return processors() > 1 ? DEFAULT_SPIN_USEC : 0;
}

int vtoe_lane_open(struct vtoe *ctx, struct vtoe_lane **out, unsigned sq,
		   unsigned cq, unsigned flags)
{
	uint32_t most = ctx->device.max_ring_entries;
	struct vtoe_lane *lane;
	int rc;

	*out = NULL;
	sq = sq ? sq : smaller(DEFAULT_SQ, most);
	cq = cq ? cq : smaller(DEFAULT_CQ, most);
	if (!power_of_two(sq) || !power_of_two(cq) || sq < VTOE_RING_MIN ||
	    cq < VTOE_RING_MIN || sq > most || cq > most ||
	    flags & ~VTOE_LANE_LOCKED)
		return -EINVAL;
	lane = calloc(1, sizeof(*lane));
	if (!lane)
		return -ENOMEM;
	lane->ctx = ctx;
	lane->flags = flags;
	memset(lane->pin_guess, 0xff, sizeof(lane->pin_guess));
	pthread_mutex_init(&lane->lock, NULL);
	condition_init(&lane->changed);
	vtoe_lane_set_spin(lane, lane_default_spin(ctx));
	rc = vector_take(ctx, &lane->vector);
	if (rc)
		goto fail_free;
	lane->event_fd = ctx->vectors[lane->vector];
	event_drain(lane->event_fd);
	rc = lane_make_rings(lane, sq, cq);
	if (!rc)
		rc = lane_announce(lane);
	if (rc)
		goto fail_vector;
	pthread_mutex_lock(&ctx->lanes_lock);
	lane->next_lane = ctx->lanes;
	ctx->lanes = lane;
	pthread_mutex_unlock(&ctx->lanes_lock);
	*out = lane;
	return 0;

fail_vector:
	/* a lane that was perhaps added keeps its block; its context is dead */
	if (lane->rings && !context_dead(ctx))
		arena_release(&ctx->arena, lane->rings);
	vector_give_back(ctx, lane->vector);
fail_free:
	lane_free(lane);
	return rc > 0 ? -EPROTO : rc;
}

static void lane_unlink(struct vtoe_lane *lane)
{
	struct vtoe *ctx = lane->ctx;
	struct vtoe_lane **link;

	pthread_mutex_lock(&ctx->lanes_lock);
	for (link = &ctx->lanes; *link; link = &(*link)->next_lane)
		if (*link == lane) {
			*link = lane->next_lane;
			break;
		}
	lane_counters_add(&ctx->retired, &lane->counters);
	pthread_mutex_unlock(&ctx->lanes_lock);
}

void vtoe_lane_close(struct vtoe_lane *lane)
{
	struct vtoe_ctl_request request = { .op = VTOE_CTL_LANE_DEL };
	struct vtoe_ctl_completion completion;
	struct vtoe *ctx;
	uint32_t index;
	int rc;

	if (!lane)
		return;
	ctx = lane->ctx;
	request.lane = lane->id;
	rc = control_request(ctx, &request, &completion, LANE_DEL_PATIENCE * ctx->answer_ms);
	lane_unlink(lane);
	while ((index = track_oldest(&lane->track)) != NOT_TRACKED) {
		if (lane->track.entries[index].region != NO_REGION)
			cache_unpin(ctx, lane->track.entries[index].region);
		track_remove(&lane->track, index);
	}
	if (!rc) {
		struct bounce *b;

		for (b = lane->bounce; b; b = b->next)
			vtoe_free(ctx, b->at);
		arena_release(&ctx->arena, lane->rings);
		vector_give_back(ctx, lane->vector);
	}
	lane_free(lane);
}

void vtoe_lane_lock(struct vtoe_lane *lane)
{
	lane_lock_if(lane);
}

void vtoe_lane_unlock(struct vtoe_lane *lane)
{
	lane_unlock_if(lane);
}

unsigned vtoe_lane_violation(const struct vtoe_lane *lane)
{
	return lane->violation;
}
