/* SPDX-License-Identifier: BSD-2-Clause */
#include "hostile.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *wrong(const char *format, ...)
{
	static _Thread_local char text[256];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	return text;
}

static const char *result_text(int result)
{
	static _Thread_local char text[2][64];
	static _Thread_local unsigned turn;
	char *to = text[turn++ % 2];
	const char *name = result < 0 ? strerrorname_np(-result) : NULL;

	if (name)
		snprintf(to, sizeof(text[0]), "-%s", name);
	else
		snprintf(to, sizeof(text[0]), "%d", result);
	return to;
}

const char *want_result(int want, int got)
{
	if (want == got)
		return NULL;
	return wrong("expected %s, got %s", result_text(want),
		     result_text(got));
}

const char *rig_open(struct rig *g, const struct hostile *h)
{
	int error = raw_connect(&g->peer, h->socket);

	if (error)
		return wrong("cannot connect: %s", result_text(error));
	error = raw_hello(&g->peer);
	if (!error)
		error = raw_lane_add(&g->peer, &g->lane, 64, 64, 1);
	if (!error)
		error = raw_lane_add(&g->peer, &g->other, 64, 64, 2);
	g->memory = raw_alloc(&g->peer, RIG_BYTES);
	if (!error)
		error = raw_region_add(&g->peer, g->lane.id, g->memory,
				       RIG_BYTES,
				       VTOE_REGION_READ | VTOE_REGION_WRITE,
				       &g->key);
	if (!error)
		return NULL;
	raw_close(&g->peer);
	return wrong("cannot set up a connection: %s", result_text(error));
}

void rig_close(struct rig *g)
{
	raw_close(&g->peer);
}

const char *rig_stream(struct rig *g, const struct vtoe_address *to,
		       uint32_t *stream)
{
	int error = raw_stream_connect(&g->lane, to, stream);

	return error ? wrong("cannot connect a stream: %s",
			     result_text(error)) : NULL;
}

const char *want_answers(struct raw_lane *l)
{
	int result = raw_do(l, VTOE_OP_NOP, 0, 0, 0, NULL);

	return result ? wrong("a NOP afterwards: %s", result_text(result)) :
			NULL;
}

/* The status word changes when the backend has looked: wait for that. */
static const char *want_status(struct raw_peer *p, struct raw_lane *l,
			       uint32_t violation)
{
	struct pollfd f = { .fd = p->socket, .events = POLLRDHUP };
	uint32_t status = 0, why = 0;
	int waited;

	for (waited = 0; waited < RAW_TIMEOUT_MS; waited += 2) {
		status = l ? raw_lane_status(l, &why) : raw_status(p, &why);
		if (status == VTOE_STATUS_PARKED)
			break;
		if (f.revents) /* it hung up, and has written all before */
			return wrong("hung up, not parked");
		poll(&f, 1, 2);
	}
	if (status != VTOE_STATUS_PARKED)
		return wrong("not parked: status %u", status);
	if (why != violation)
		return wrong("parked with violation %u, expected %u", why,
			     violation);
	return NULL;
}

const char *want_lane_parked(struct rig *g, uint32_t violation)
{
	uint32_t why;

	TRY(want_status(&g->peer, &g->lane, violation));
	if (raw_status(&g->peer, &why) != VTOE_STATUS_READY)
		return wrong("the whole connection was parked (%u)", why);
	return want_answers(&g->other);
}

const char *want_parked(struct raw_peer *p, uint32_t violation)
{
	return want_status(p, NULL, violation);
}

const char *want_hangup(struct raw_peer *p)
{
	struct pollfd f = { .fd = p->socket, .events = POLLRDHUP };

	if (poll(&f, 1, RAW_TIMEOUT_MS) == 1 &&
	    f.revents & (POLLRDHUP | POLLHUP | POLLERR))
		return NULL;
	return wrong("the socket is still open");
}
