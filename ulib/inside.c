// SPDX-License-Identifier: BSD-2-Clause
/*
 * inside.c - a context whose TCP is in this process (VTOE_OPEN_TTO)
 *
 * Loads the module (inside.h), opens a stack, and sleeps as such a context does.
 */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>

#include "inside.h"
#include "internal.h"

/* -> NULL: it is not there, or not ours */
static const struct inside_ops *inside_load(void)
{
	const char *path = secure_getenv("VTOE_INSIDE");
	const struct inside_ops *ops;
	void *module;

	module = dlopen(path ? path : INSIDE_MODULE, RTLD_NOW | RTLD_LOCAL);
	if (!module)
		return NULL;
	ops = dlsym(module, INSIDE_SYMBOL);
	if (ops && ops->version == INSIDE_VERSION)
		return ops;
	dlclose(module);
	return NULL;
}

int context_inside_open(struct vtoe *ctx, const char *device)
{
	char why[256] = "";
	int rc;

	ctx->inside_ops = inside_load();
	if (!ctx->inside_ops)
		return -ELIBACC;
	rc = ctx->inside_ops->open(&ctx->inside, device, why, sizeof(why));
	if (rc)
		ctx->inside = NULL;
	return rc;
}

void context_inside_end(struct vtoe *ctx, bool forget)
{
	if (!ctx->inside)
		return;
	if (forget)
		ctx->inside_ops->forget(ctx->inside);
	else
		ctx->inside_ops->close(ctx->inside);
	ctx->inside = NULL;
}

int context_inside_sleep(struct vtoe *ctx, const struct sleep_on *on, uint64_t deadline)
{
	struct inside_wait w;
	struct pollfd p[3] = {
		{ .fd = on->fd, .events = POLLIN },
		{ .fd = ctx->socket, .events = POLLIN },
	};
	struct timespec left;
	uint64_t until;
	bool happened;
	int n, error;

	ctx->inside_ops->wait_begin(ctx->inside, &w);
	p[2] = (struct pollfd){ .fd = w.fd, .events = POLLIN };
	until = w.until_ns < deadline ? w.until_ns : deadline;
	if (until != FOREVER)
		left = timespec_from(time_left(until));
	n = ppoll(p, 3, until == FOREVER ? NULL : &left, NULL);
	error = errno;
	happened = n > 0 ? p[2].revents != 0 : !n && w.until_ns <= deadline;
	/* the turn is taken here: nobody has to notify us of what it completes */
	if (happened && on->ring)
		vtoe_ring_disarm(on->ring);
	ctx->inside_ops->wait_end(ctx->inside, &w, happened);
	if (n < 0)
		return -error;
	if (p[0].revents)
		event_drain(on->fd);
	if (p[1].revents)
		return context_check(ctx);
	return n || happened ? 0 : -ETIME;
}
