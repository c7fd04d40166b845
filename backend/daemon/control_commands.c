/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control_commands.c - what a request does
 *
 * A table of commands. Some answer at once (list, stats); attach and detach
 * answer when the guest has started or is gone; those that ask workers answer
 * when each worker has. A struct job is such a command under way: it holds the
 * client, and the answer as far as it has come.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vtoe_device.h>

#include "daemon/log.h"
#include "daemon/control.h"
#include "daemon/control_capture.h"
#include "daemon/control_describe.h"
#include "daemon/supervisor.h"

static struct json_object *command_new_answer(void)
{
	struct json_object *answer = json_object_new_object();

	json_object_object_add(answer, "ok", json_object_new_boolean(1));
	return answer;
}

/* The text of @key, "" if it has none; NULL if it is something else. */
static const char *command_text(struct json_object *request, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(request, key, &value) || !value)
		return "";
	if (!json_object_is_type(value, json_type_string))
		return NULL;
	return json_object_get_string(value);
}

/*
 * The guest that the request names. NULL and *all: it names none, and means
 * all of them. NULL and not *all: the client was refused.
 */
static struct guest *command_find(struct supervisor *s,
				  struct control_client *client,
				  struct json_object *request, bool *all)
{
	const char *name = command_text(request, "name");
	struct guest *guest;

	*all = name && !*name;
	if (*all)
		return NULL;
	guest = name ? supervisor_find(s, name) : NULL;
	if (!guest)
		control_refuse(client, "there is no guest \"%.64s\": see "
			       "`vtoectl list` for those that exist",
			       name ? name : "?");
	return guest;
}

/* -- attach and detach ---------------------------------------------------- */

struct command_wait {
	struct guest_waiter waiter;
	struct supervisor *supervisor;
	struct control_client *client;
	char name[CONFIG_NAME_MAX + 1];
};

static void command_wait_done(struct guest_waiter *waiter, const char *error)
{
	struct command_wait *wait;
	struct json_object *answer;
	struct guest *guest;

	wait = list_entry(waiter, struct command_wait, waiter);
	if (error) {
		control_refuse(wait->client, "%s", error);
		free(wait);
		return;
	}
	answer = command_new_answer();
	guest = supervisor_find(wait->supervisor, wait->name);
	if (guest)
		json_object_object_add(answer, "guest",
				       control_describe_guest(guest));
	control_answer(wait->client, answer);
	free(wait);
}

static struct command_wait *command_new_wait(struct supervisor *s,
					     struct control_client *client,
					     const char *name)
{
	struct command_wait *wait = calloc(1, sizeof(*wait));

	if (!wait) {
		control_refuse(client, "out of memory");
		return NULL;
	}
	wait->waiter.done = command_wait_done;
	wait->supervisor = s;
	wait->client = client;
	snprintf(wait->name, sizeof(wait->name), "%s", name);
	return wait;
}

/* The keys of a guest's section, as "keys": {"uplink": "bridge:br0", ...}. */
static int command_read_keys(struct json_object *request,
			     struct config_guest *config,
			     struct config_error *error)
{
	struct json_object *keys = NULL;

	json_object_object_get_ex(request, "keys", &keys);
	if (!keys)
		return 0;
	if (!json_object_is_type(keys, json_type_object)) {
		snprintf(error->text, sizeof(error->text),
			 "\"keys\" is not an object");
		return -1;
	}
	json_object_object_foreach(keys, key, value) {
		if (!value || json_object_is_type(value, json_type_object) ||
		    json_object_is_type(value, json_type_array)) {
			snprintf(error->text, sizeof(error->text),
				 "%.32s: the value is neither text nor a "
				 "number", key);
			return -1;
		}
		if (config_set_guest(config, key,
				     json_object_get_string(value), error))
			return -1;
	}
	return 0;
}

static void command_attach(struct supervisor *s, struct control_client *client,
			   struct json_object *request)
{
	const char *name = command_text(request, "name");
	struct config_error error = { 0 };
	struct config_guest config;
	struct command_wait *wait;
	char why[GUEST_WHY_MAX + 128];

	if (config_init_guest(&config, name ? name : "", &error) ||
	    command_read_keys(request, &config, &error)) {
		control_refuse(client, "%s", error.text);
		return;
	}
	wait = command_new_wait(s, client, config.name);
	if (!wait)
		return;
	if (!supervisor_attach(s, &config, &wait->waiter, why, sizeof(why)))
		return;
	control_refuse(client, "%s", why);
	free(wait);
}

static void command_detach(struct supervisor *s, struct control_client *client,
			   struct json_object *request)
{
	const char *name = command_text(request, "name");
	struct command_wait *wait;
	char why[GUEST_WHY_MAX];

	wait = command_new_wait(s, client, "");
	if (!wait)
		return;
	if (!supervisor_detach(s, name ? name : "", &wait->waiter, why,
			       sizeof(why)))
		return;
	control_refuse(client, "%s", why);
	free(wait);
}

/* -- what the supervisor knows itself ------------------------------------- */

typedef struct json_object *(*command_describe)(const struct guest *guest);

static void command_tell(struct supervisor *s, struct control_client *client,
			 struct json_object *request, command_describe describe)
{
	struct json_object *answer, *guests;
	struct list *at, *next;
	struct guest *guest;
	bool all;

	guest = command_find(s, client, request, &all);
	if (!guest && !all)
		return;
	answer = command_new_answer();
	guests = json_object_new_array();
	json_object_object_add(answer, "guests", guests);
	if (guest)
		json_object_array_add(guests, describe(guest));
	else
		list_for_each_safe(at, next, &s->guests)
			json_object_array_add(guests, describe(list_entry(
				at, struct guest, link)));
	control_answer(client, answer);
}

static void command_list(struct supervisor *s, struct control_client *client,
			 struct json_object *request)
{
	command_tell(s, client, request, control_describe_guest);
}

static void command_stats(struct supervisor *s, struct control_client *client,
			  struct json_object *request)
{
	command_tell(s, client, request, control_describe_stats);
}

/* -- what workers are asked ----------------------------------------------- */

struct command_job {
	struct control_client *client;
	struct json_object *answer;
	unsigned int pending; /* questions; one more while they are asked */
};

struct command_question {
	struct guest_query query;
	struct command_job *job;
	struct json_object *guest; /* its part of the answer, with the arrays */
};

static void command_job_put(struct command_job *job)
{
	if (--job->pending)
		return;
	control_answer(job->client, job->answer);
	free(job);
}

/* Only what was asked for has its array. */
static void command_collect(struct json_object *guest, const char *key,
			    struct json_object *object)
{
	struct json_object *array;

	if (json_object_object_get_ex(guest, key, &array))
		json_object_array_add(array, object);
	else
		json_object_put(object);
}

static void command_on_answer(struct guest_query *query,
			      const struct worker_header *packet)
{
	struct json_object *guest, *object = NULL;

	guest = list_entry(query, struct command_question, query)->guest;
	switch (packet->message) {
	case WORKER_SOCKET:
		object = control_describe_socket(
			(const struct worker_socket *)packet);
		command_collect(guest, "sockets", object);
		break;
	case WORKER_PEER:
		object = control_describe_peer(
			(const struct worker_peer *)packet);
		command_collect(guest, "peers", object);
		break;
	case WORKER_FLOW:
		object = control_describe_flow(
			(const struct worker_flow *)packet);
		command_collect(guest, "flows", object);
		break;
	case WORKER_REASON:
		object = control_describe_reason(
			(const struct worker_reason *)packet);
		command_collect(guest, "reasons", object);
		break;
	}
}

static void command_on_done(struct guest_query *query, const char *error)
{
	struct command_question *question;
	struct command_job *job;

	question = list_entry(query, struct command_question, query);
	job = question->job;
	json_object_object_add(question->guest, "error",
			       error ? json_object_new_string(error) : NULL);
	free(question);
	command_job_put(job);
}

/* The arrays of the answer to each question. */
static void command_prepare(struct json_object *object, uint32_t message,
			    const struct guest *guest)
{
	const char *key = NULL;

	if (message == WORKER_QUERY_SOCKETS)
		key = "sockets";
	else if (message == WORKER_QUERY_PEERS)
		key = "peers";
	else if (message == WORKER_QUERY_FLOWS)
		key = "flows";
	if (key)
		json_object_object_add(object, key, json_object_new_array());
	if (message != WORKER_QUERY_FLOWS)
		return;
	json_object_object_add(object, "reasons", json_object_new_array());
	json_object_object_add(object, "steering",
			       control_describe_steering(&guest->steering));
}

static void command_ask(struct command_job *job, struct guest *guest,
			struct json_object *guests, uint32_t message,
			uint32_t value)
{
	struct command_question *question = calloc(1, sizeof(*question));
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "name",
			       json_object_new_string(guest->config.name));
	json_object_object_add(object, "domain", guest->config.domain[0] ?
			       json_object_new_string(guest->config.domain) :
			       NULL);
	json_object_array_add(guests, object);
	if (!question) {
		json_object_object_add(object, "error",
				       json_object_new_string("out of memory"));
		return;
	}
	command_prepare(object, message, guest);
	question->guest = object;
	question->job = job;
	question->query.answer = command_on_answer;
	question->query.done = command_on_done;
	job->pending++;
	guest_ask(guest, message, value, &question->query);
}

static void command_ask_workers(struct supervisor *s,
				struct control_client *client,
				struct json_object *request, uint32_t message,
				uint32_t value)
{
	struct json_object *guests;
	struct list *at, *next;
	struct command_job *job;
	struct guest *guest;
	bool all;

	guest = command_find(s, client, request, &all);
	if (!guest && !all)
		return;
	job = calloc(1, sizeof(*job));
	if (!job) {
		control_refuse(client, "out of memory");
		return;
	}
	job->client = client;
	job->answer = command_new_answer();
	job->pending = 1;
	guests = json_object_new_array();
	json_object_object_add(job->answer, "guests", guests);
	if (guest)
		command_ask(job, guest, guests, message, value);
	else
		list_for_each_safe(at, next, &s->guests)
			command_ask(job, list_entry(at, struct guest, link),
				    guests, message, value);
	command_job_put(job);
}

static void command_sockets(struct supervisor *s,
			    struct control_client *client,
			    struct json_object *request)
{
	command_ask_workers(s, client, request, WORKER_QUERY_SOCKETS, 0);
}

static void command_peers(struct supervisor *s, struct control_client *client,
			  struct json_object *request)
{
	command_ask_workers(s, client, request, WORKER_QUERY_PEERS, 0);
}

static void command_flows(struct supervisor *s, struct control_client *client,
			  struct json_object *request)
{
	command_ask_workers(s, client, request, WORKER_QUERY_FLOWS, 0);
}

static void command_capture(struct supervisor *s,
			    struct control_client *client,
			    struct json_object *request)
{
	struct guest *guest;
	bool all;

	guest = command_find(s, client, request, &all);
	if (guest)
		control_capture(guest, client, request);
	else if (all)
		control_refuse(client, "capture: name a guest");
}

/* Without a guest's name: the supervisor's own level, and every guest's. */
static void command_log_level(struct supervisor *s,
			      struct control_client *client,
			      struct json_object *request)
{
	const char *text = command_text(request, "level");
	char why[VALUE_WHY_MAX];
	struct list *at, *next;
	struct guest *guest;
	uint32_t level;
	bool all;

	if (config_parse_log_level(text ? text : "", &level, why)) {
		control_refuse(client, "level: %s", why);
		return;
	}
	guest = command_find(s, client, request, &all);
	if (!guest && !all)
		return;
	if (guest) {
		guest->log_level = level;
	} else {
		s->config.log_level = level;
		vtoe_log_set_level(level);
		list_for_each_safe(at, next, &s->guests)
			list_entry(at, struct guest, link)->log_level = level;
	}
	command_ask_workers(s, client, request, WORKER_SET_LOG, level);
}

static void command_link(struct supervisor *s, struct control_client *client,
			 struct json_object *request)
{
	const char *text = command_text(request, "link");
	struct guest *guest;
	bool all;

	guest = command_find(s, client, request, &all);
	if (!guest && !all)
		return;
	if (!guest || !text || (strcmp(text, "up") && strcmp(text, "down"))) {
		control_refuse(client, "link: name a guest, and up or down");
		return;
	}
	guest->link_state = strcmp(text, "up") ? VTOE_LINK_DOWN : VTOE_LINK_UP;
	command_ask_workers(s, client, request, WORKER_SET_LINK,
			    guest->link_state);
}

static const struct command {
	const char *name;
	void (*run)(struct supervisor *s, struct control_client *client,
		    struct json_object *request);
} commands[] = {
	{ "attach", command_attach },
	{ "detach", command_detach },
	{ "list", command_list },
	{ "stats", command_stats },
	{ "sockets", command_sockets },
	{ "peers", command_peers },
	{ "flows", command_flows },
	{ "capture", command_capture },
	{ "log-level", command_log_level },
	{ "link", command_link },
};

void control_execute(struct supervisor *s, struct control_client *client,
		     struct json_object *request)
{
	const char *name = command_text(request, "command");
	size_t i;

	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!name || strcmp(name, commands[i].name))
			continue;
		commands[i].run(s, client, request);
		return;
	}
	control_refuse(client, "\"%.32s\" is not a command", name ? name : "?");
}
