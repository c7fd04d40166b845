/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control.h - the control socket, RUN_DIR/vtoed.ctl
 *
 * A request is one line of JSON, an object with "command"; the answer is one
 * line too: {"ok": true, ...} or {"ok": false, "error": "..."}. The commands
 * and their answers are described in vtoectl(8). With that to "capture" comes a
 * descriptor (SCM_RIGHTS).
 */
#ifndef VTOE_DAEMON_CONTROL_H
#define VTOE_DAEMON_CONTROL_H

#include <json-c/json.h>

struct supervisor;
struct control;
struct control_client;

/* NULL after a logged message. */
struct control *control_open(struct supervisor *s);
void control_close(struct control *control);

/*
 * control_commands.c: carries one request out. Each request gets exactly one
 * answer, now or later. @request is the caller's.
 */
void control_execute(struct supervisor *s, struct control_client *client,
		     struct json_object *request);

/* Sends the answer and drops the reference to it. */
void control_answer(struct control_client *client, struct json_object *answer);
/* With a descriptor, which goes with the first byte, and is the callee's. */
void control_answer_with(struct control_client *client,
			 struct json_object *answer, int descriptor);
__attribute__((format(printf, 2, 3)))
void control_refuse(struct control_client *client, const char *format, ...);

#endif
