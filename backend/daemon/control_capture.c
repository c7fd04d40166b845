/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control_capture.c - brings vtoectl and a worker together for a capture
 *
 * One end of a new socket goes to the worker with the question, the other to
 * vtoectl with the answer; the supervisor keeps none, and sees no packet. So a
 * capture lasts as long as both of them want, through no doing of ours, and
 * ends by itself with the worker. Whether there is one already only the worker
 * knows.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/control_capture.h"

/* What a worker may have waiting for vtoectl: some dozen of the largest
 * packets, some thousand of small ones. */
#define CAPTURE_QUEUE (4 << 20)

struct capture {
	struct guest_query query;
	struct control_client *client;
	int reader; /* vtoectl's end */
	int error;  /* the worker's, errno */
	uint32_t claim;
	char name[CONFIG_NAME_MAX + 1];
};

/* A number of the request; @value stays as it is if there is none. */
static int capture_number(struct json_object *request, const char *key,
			  uint32_t *value)
{
	struct json_object *number;
	int64_t n;

	if (!json_object_object_get_ex(request, key, &number) || !number)
		return 0;
	if (!json_object_is_type(number, json_type_int))
		return -1;
	n = json_object_get_int64(number);
	if (n < 1 || n > UINT32_MAX)
		return -1;
	*value = (uint32_t)n;
	return 0;
}

static void capture_refuse(const struct capture *c)
{
	switch (c->error) {
	case EBUSY:
		control_refuse(c->client, "guest %s: another capture is under "
			       "way: end that one first", c->name);
		break;
	case ENOENT:
		control_refuse(c->client, "guest %s: there is no claim %u: see "
			       "`vtoectl flows %s` for those that exist",
			       c->name, c->claim, c->name);
		break;
	default:
		control_refuse(c->client, "guest %s: its worker cannot "
			       "capture: %s", c->name, strerror(c->error));
	}
}

static void capture_on_answer(struct guest_query *query,
			      const struct worker_header *packet)
{
	struct capture *c = list_entry(query, struct capture, query);

	if (packet->message != WORKER_REFUSED)
		return;
	c->error = ((const struct worker_failed *)packet)->error;
	if (c->error <= 0)
		c->error = EPROTO;
}

static void capture_on_done(struct guest_query *query, const char *error)
{
	struct capture *c = list_entry(query, struct capture, query);
	struct json_object *answer;

	if (error) {
		control_refuse(c->client, "guest %s: %s", c->name, error);
	} else if (c->error) {
		capture_refuse(c);
	} else {
		answer = json_object_new_object();
		json_object_object_add(answer, "ok",
				       json_object_new_boolean(1));
		json_object_object_add(answer, "name",
				       json_object_new_string(c->name));
		control_answer_with(c->client, answer, c->reader);
		c->reader = -1;
	}
	if (c->reader >= 0)
		close(c->reader);
	free(c);
}

static int capture_make_sockets(int pair[2])
{
	const int bytes = CAPTURE_QUEUE;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -1;
	/* Else it is smaller, and more packets are missed. */
	(void)setsockopt(pair[1], SOL_SOCKET, SO_SNDBUFFORCE, &bytes,
			 sizeof(bytes));
	return 0;
}

static void capture_begin(struct capture *c, struct guest *guest,
			  struct worker_capture *question)
{
	int pair[2];

	if (capture_make_sockets(pair)) {
		control_refuse(c->client, "guest %s: a socket for packets: %s",
			       c->name, strerror(errno));
		free(c);
		return;
	}
	c->reader = pair[0];
	guest_ask_capture(guest, question, pair[1], &c->query);
	close(pair[1]);
}

void control_capture(struct guest *guest, struct control_client *client,
		     struct json_object *request)
{
	struct worker_capture question = { .h.message = WORKER_CAPTURE };
	const char *why = guest_tto_failure(guest);
	struct capture *c;

	if (capture_number(request, "claim", &question.claim) ||
	    capture_number(request, "snap", &question.snap)) {
		control_refuse(client, "claim and snap are numbers from 1 to "
			       "%u", UINT32_MAX);
		return;
	}
	if (guest->state == GUEST_RUNNING && !guest->tto) {
		control_refuse(client, "guest %s: TTO is not offered: %s",
			       guest->config.name, *why ? why :
			       "set tto = yes to have it");
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		control_refuse(client, "out of memory");
		return;
	}
	c->query.answer = capture_on_answer;
	c->query.done = capture_on_done;
	c->client = client;
	c->claim = question.claim;
	snprintf(c->name, sizeof(c->name), "%s", guest->config.name);
	capture_begin(c, guest, &question);
}
