// SPDX-License-Identifier: BSD-2-Clause
/*
 * control.c - requests on the control ring
 *
 * Any thread may send one, and several may wait at once: a removal of a region
 * can take long, and must not hold up another thread's lane. Each caller hangs
 * its control_call in a list under the lock. One of those that wait, the
 * reader, sleeps on the event descriptor and hands completions out to all; the
 * others sleep on the condition and one of them takes over.
 *
 * The library's own user_data never repeats; a completion that answers nothing
 * of ours, or an index that cannot be, fails the whole context.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"

int control_init(struct vtoe *ctx, uint32_t entries)
{
	struct control *c = &ctx->control;

	if (!power_of_two(entries) || entries < VTOE_RING_MIN ||
	    entries > VTOE_CTL_ENTRIES)
		return -EPROTO;
	pthread_mutex_init(&c->lock, NULL);
	condition_init(&c->changed);
	vtoe_ring_init(&c->requests, ctx->memory + VTOE_CTL_REQUEST_OFFSET,
		       entries);
	vtoe_ring_init(&c->completions,
		       ctx->memory + VTOE_CTL_COMPLETION_OFFSET, entries);
	return 0;
}

/* Hands out what has come. */
static int control_collect(struct vtoe *ctx)
{
	struct control *c = &ctx->control;
	struct vtoe_ctl_completion completion;
	struct control_call **link, *call;
	const void *entry;

	while ((entry = vtoe_ring_peek(&c->completions))) {
		if (c->completions.other - c->completions.local >
		    c->completions.size)
			return -EPROTO;
		memcpy(&completion, entry, sizeof(completion));
		/* the copy is what counts from here on */
		__asm__ volatile("" ::: "memory");
		vtoe_ring_advance(&c->completions);
		/* events are hints: vtoe_device() reads the page itself, and a
		 * parked lane sees it in its own ring */
		if (completion.op == VTOE_CTL_EVENT)
			continue;
		for (link = &c->calls; (call = *link); link = &call->next)
			if (call->user_data == completion.user_data)
				break;
		if (!call)
			return -EPROTO;
		*link = call->next;
		call->completion = completion;
		call->done = true;
	}
	if (vtoe_ring_release(&c->completions))
		context_ring(ctx);
	return 0;
}

static void control_forget(struct control *c, const struct control_call *call)
{
	struct control_call **link;

	for (link = &c->calls; *link; link = &(*link)->next)
		if (*link == call) {
			*link = call->next;
			return;
		}
}

/* Sleeps until something may have changed; the lock is dropped meanwhile. */
static int control_sleep(struct vtoe *ctx, uint64_t deadline)
{
	struct control *c = &ctx->control;
	struct sleep_on on = { .fd = ctx->vectors[VTOE_VECTOR_CONTROL] };
	int rc;

	if (c->reader)
		return condition_wait(&c->changed, &c->lock, deadline);
	on.seen = context_events(ctx);
	if (vtoe_ring_arm(&c->completions))
		return 0;
	c->reader = true;
	pthread_mutex_unlock(&c->lock);
	rc = context_sleep(ctx, &on, deadline);
	pthread_mutex_lock(&c->lock);
	c->reader = false;
	pthread_cond_broadcast(&c->changed);
	/* a control request is not interruptible */
	return rc == -EINTR ? 0 : rc;
}

/* Puts a request into the ring; waits for room, of which there is some, but
 * for more than sixty threads at once or a slow backend. */
static int control_send(struct vtoe *ctx, struct vtoe_ctl_request *request,
			struct control_call *call, uint64_t deadline)
{
	struct control *c = &ctx->control;
	void *entry;
	int rc;

	while (!(entry = vtoe_ring_reserve(&c->requests))) {
		rc = control_collect(ctx);
		if (!rc && !vtoe_ring_arm_space(&c->requests, 1))
			rc = control_sleep(ctx, deadline);
		if (!rc)
			rc = context_dead(ctx);
		if (rc)
			return rc;
	}
	call->user_data = ++c->last_user_data;
	call->done = false;
	call->next = c->calls;
	c->calls = call;
	request->user_data = call->user_data;
	memcpy(entry, request, sizeof(*request));
	if (vtoe_ring_submit(&c->requests))
		context_ring(ctx);
	return 0;
}

int control_request(struct vtoe *ctx, struct vtoe_ctl_request *request,
		    struct vtoe_ctl_completion *completion, int timeout_ms)
{
	uint64_t deadline = deadline_after(timeout_ms);
	struct control *c = &ctx->control;
	struct control_call call = { .done = false };
	int rc;

	pthread_mutex_lock(&c->lock);
	rc = context_dead(ctx);
	if (!rc)
		rc = control_send(ctx, request, &call, deadline);
	while (!rc) {
		rc = control_collect(ctx);
		if (rc || call.done)
			break;
		rc = control_sleep(ctx, deadline);
		if (!rc)
			rc = context_dead(ctx);
	}
	/* it answered, then died */
	if (rc && !control_collect(ctx) && call.done)
		rc = 0;
	/* a backend that does not answer, or answers nonsense, is none */
	if (rc == -ETIME || rc == -EPROTO)
		context_fail(ctx, rc == -ETIME ? -ENOTCONN : rc);
	/* what one thread collected may be another's */
	pthread_cond_broadcast(&c->changed);
	if (rc)
		control_forget(c, &call);
	else
		*completion = call.completion;
	pthread_mutex_unlock(&c->lock);
	return rc == -ETIME ? -ETIMEDOUT : rc;
}
