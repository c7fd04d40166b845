/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control.c - the control socket: connections, lines, answers
 *
 * Whoever may open the socket may attach and detach guests: root, and the
 * control_group if one is set. Still no client can stop the supervisor: no call
 * blocks, a line has a size limit, and a client that sends garbage, or half a
 * line, or does not read its answer, is dropped.
 *
 * A client makes one request at a time; the next line waits in its buffer. A
 * client whose connection ends while a command is under way lives on without a
 * descriptor until the command answers.
 */
#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/control.h"
#include "daemon/endpoint.h"
#include "daemon/supervisor.h"

#define CONTROL_LINE_MAX 8192
#define CONTROL_CLIENTS_MAX 64
#define CONTROL_PATIENCE_MS 5000

struct control {
	struct supervisor *supervisor;
	struct loop_watch listener;
	struct list clients;
	unsigned int client_count;
	int fd;
	char path[CONFIG_PATH_MAX];
};

struct control_client {
	struct list link;
	struct control *control;
	struct loop_watch watch; /* fd -1: gone */
	struct loop_timer timer; /* set while we wait for it */
	bool busy; /* a command is under way */
	char line[CONTROL_LINE_MAX];
	size_t filled;
	char *output; /* what is left to send */
	size_t output_length, output_sent;
	int descriptor; /* that goes with it; -1 */
};

static void control_free(struct control_client *client)
{
	loop_timer_clear(&client->timer);
	if (!list_empty(&client->link)) {
		list_del(&client->link);
		client->control->client_count--;
	}
	if (client->descriptor >= 0)
		close(client->descriptor);
	free(client->output);
	free(client);
}

/* Ends the connection; a command under way keeps the rest. */
static void control_drop(struct control_client *client)
{
	int fd = client->watch.fd;

	loop_timer_clear(&client->timer);
	if (fd >= 0) {
		loop_remove(&client->control->supervisor->loop,
			    &client->watch);
		close(fd);
	}
	if (!client->busy)
		control_free(client);
}

static void control_on_timer(struct loop_timer *timer)
{
	struct control_client *client;

	client = list_entry(timer, struct control_client, timer);
	vtoe_log(VTOE_LOG_WARNING, "control socket: a slow client was dropped");
	control_drop(client);
}

/* Waits for what comes next: the end of a line, or room for an answer. */
static void control_wait(struct control_client *client)
{
	struct loop *loop = &client->control->supervisor->loop;

	if (client->output) {
		loop_change(loop, &client->watch, EPOLLOUT);
		loop_timer_set(loop, &client->timer, CONTROL_PATIENCE_MS);
		return;
	}
	/* While it waits for an answer only its hang-up is of interest, and
	 * epoll always tells of that. */
	loop_change(loop, &client->watch, client->busy ? 0 : EPOLLIN);
	if (client->busy || !client->filled)
		loop_timer_clear(&client->timer);
	else
		loop_timer_set(loop, &client->timer, CONTROL_PATIENCE_MS);
}

static void control_take_line(struct control_client *client, char *line)
{
	struct json_object *request = json_tokener_parse(line);

	client->busy = true;
	if (json_object_is_type(request, json_type_object))
		control_execute(client->control->supervisor, client, request);
	else
		control_refuse(client, "the request is not a JSON object");
	json_object_put(request);
}

/* Carries out the complete lines of the buffer, one at a time. */
static int control_take_lines(struct control_client *client)
{
	char line[CONTROL_LINE_MAX];
	size_t length;
	char *end;

	while (!client->busy && !client->output) {
		end = memchr(client->line, '\n', client->filled);
		if (!end)
			return client->filled == sizeof(client->line) ? -1 : 0;
		length = (size_t)(end - client->line);
		memcpy(line, client->line, length);
		line[length] = '\0';
		client->filled -= length + 1;
		memmove(client->line, end + 1, client->filled);
		control_take_line(client, line);
	}
	return 0;
}

static int control_read(struct control_client *client)
{
	ssize_t n;

	n = read(client->watch.fd, client->line + client->filled,
		 sizeof(client->line) - client->filled);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -1;
	client->filled += (size_t)n;
	return 0;
}

/* A part of the output; the first one has the descriptor with it. */
static ssize_t control_send(struct control_client *client)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { .bytes = { 0 } };
	struct iovec iov = { client->output + client->output_sent,
			     client->output_length - client->output_sent };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (client->descriptor >= 0) {
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &client->descriptor,
		       sizeof(int));
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
	}
	n = sendmsg(client->watch.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > 0 && client->descriptor >= 0) {
		close(client->descriptor);
		client->descriptor = -1;
	}
	return n;
}

static int control_flush(struct control_client *client)
{
	ssize_t n;

	while (client->output) {
		n = control_send(client);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -1;
		client->output_sent += (size_t)n;
		if (client->output_sent < client->output_length)
			continue;
		free(client->output);
		client->output = NULL;
	}
	return 0;
}

static void control_on_client(struct loop_watch *watch, uint32_t events)
{
	struct control_client *client;

	client = list_entry(watch, struct control_client, watch);
	if (client->busy ||
	    ((events & EPOLLOUT) && control_flush(client)) ||
	    ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !client->output &&
	     control_read(client)) ||
	    control_take_lines(client)) {
		control_drop(client);
		return;
	}
	if (client->watch.fd >= 0)
		control_wait(client);
}

void control_answer(struct control_client *client, struct json_object *answer)
{
	control_answer_with(client, answer, -1);
}

void control_answer_with(struct control_client *client,
			 struct json_object *answer, int descriptor)
{
	size_t length;
	const char *text;

	client->busy = false;
	client->descriptor = descriptor;
	text = json_object_to_json_string_length(
		answer, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE,
		&length);
	if (client->watch.fd >= 0 && text) {
		client->output = malloc(length + 1);
		client->output_length = length + 1;
		client->output_sent = 0;
	}
	if (client->output) {
		memcpy(client->output, text, length);
		client->output[length] = '\n';
	}
	json_object_put(answer);
	if (client->watch.fd < 0) {
		control_free(client);
		return;
	}
	if (!client->output) /* no memory: it sees the end instead */
		shutdown(client->watch.fd, SHUT_RDWR);
	control_wait(client);
}

void control_refuse(struct control_client *client, const char *format, ...)
{
	struct json_object *answer = json_object_new_object();
	va_list arguments;
	char text[512];

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	json_object_object_add(answer, "ok", json_object_new_boolean(0));
	json_object_object_add(answer, "error", json_object_new_string(text));
	control_answer(client, answer);
}

static void control_accept(struct control *control, int fd)
{
	struct loop *loop = &control->supervisor->loop;
	struct control_client *client;

	client = control->client_count < CONTROL_CLIENTS_MAX ?
		calloc(1, sizeof(*client)) : NULL;
	if (!client)
		goto refuse;
	client->control = control;
	client->watch.fd = -1;
	client->descriptor = -1;
	client->watch.ready = control_on_client;
	list_init(&client->link);
	loop_timer_init(&client->timer, control_on_timer);
	if (loop_add(loop, &client->watch, fd, EPOLLIN))
		goto refuse;
	list_add_tail(&control->clients, &client->link);
	control->client_count++;
	return;
refuse:
	vtoe_log(VTOE_LOG_WARNING, "control socket: a client was refused: "
		 "there are %u", control->client_count);
	free(client);
	close(fd);
}

static void control_on_listener(struct loop_watch *watch, uint32_t events)
{
	struct control *control = list_entry(watch, struct control, listener);
	int fd;

	(void)events;
	fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		control_accept(control, fd);
	else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		vtoe_log(VTOE_LOG_WARNING, "control socket: %s",
			 strerror(errno));
}

/* Gives the socket to the group that may use it. */
static int control_set_group(const char *path, const char *name)
{
	const struct group *group;

	if (!*name)
		return 0;
	group = getgrnam(name);
	if (!group) {
		vtoe_log(VTOE_LOG_ERROR, "control_group: there is no group "
			 "\"%s\": name one that exists", name);
		return -1;
	}
	if (!chown(path, (uid_t)-1, group->gr_gid) && !chmod(path, 0660))
		return 0;
	vtoe_log(VTOE_LOG_ERROR, "%s: giving it to group %s: %s", path, name,
		 strerror(errno));
	return -1;
}

struct control *control_open(struct supervisor *s)
{
	struct control *control = calloc(1, sizeof(*control));
	char why[256] = "out of memory";
	int fd = -1;

	if (!control)
		goto fail;
	control->supervisor = s;
	control->listener.ready = control_on_listener;
	list_init(&control->clients);
	snprintf(control->path, sizeof(control->path), "%s/vtoed.ctl",
		 s->config.run_dir);
	fd = endpoint_listen(control->path, 0600, why, sizeof(why));
	if (fd < 0)
		goto fail;
	if (control_set_group(control->path, s->config.control_group))
		goto close_socket;
	control->fd = fd;
	if (!loop_add(&s->loop, &control->listener, fd, EPOLLIN))
		return control;
	snprintf(why, sizeof(why), "watching %s: %s", control->path,
		 strerror(errno));
	vtoe_log(VTOE_LOG_ERROR, "%s", why);
close_socket:
	unlink(control->path);
	close(fd);
	free(control);
	return NULL;
fail:
	vtoe_log(VTOE_LOG_ERROR, "%s", why);
	free(control);
	return NULL;
}

/* No command is under way: all guests are gone. */
void control_close(struct control *control)
{
	struct control_client *client;
	struct list *at, *next;

	list_for_each_safe(at, next, &control->clients) {
		client = list_entry(at, struct control_client, link);
		/* The last answers: "vtoed is stopping", a detach. */
		if (client->watch.fd >= 0)
			control_flush(client);
		client->busy = false;
		control_drop(client);
	}
	loop_remove(&control->supervisor->loop, &control->listener);
	close(control->fd);
	unlink(control->path);
	free(control);
}
