/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control_describe.h - guests, sockets and peers as JSON
 */
#ifndef VTOE_DAEMON_CONTROL_DESCRIBE_H
#define VTOE_DAEMON_CONTROL_DESCRIBE_H

#include <json-c/json.h>

#include "daemon/guest.h"

struct json_object *control_describe_guest(const struct guest *guest);
struct json_object *control_describe_stats(const struct guest *guest);
struct json_object *control_describe_socket(const struct worker_socket *socket);
struct json_object *control_describe_peer(const struct worker_peer *peer);
struct json_object *control_describe_flow(const struct worker_flow *flow);
struct json_object *control_describe_reason(const struct worker_reason *reason);
/* Frames that the steering drops before the worker sees them; NULL: none is. */
struct json_object *control_describe_steering(const struct steering *steering);

#endif
