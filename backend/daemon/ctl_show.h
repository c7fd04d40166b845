/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ctl_show.h - the answers of the supervisor, for people
 */
#ifndef VTOE_DAEMON_CTL_SHOW_H
#define VTOE_DAEMON_CTL_SHOW_H

#include <json-c/json.h>

void ctl_show_guests(struct json_object *guests);
void ctl_show_stats(struct json_object *guests);
void ctl_show_sockets(struct json_object *guests);
void ctl_show_peers(struct json_object *guests);
void ctl_show_flows(struct json_object *guests);
void ctl_show_attached(struct json_object *guest);

/* The rows under @key of all guests as one list, each with its guest's name. */
struct json_object *ctl_show_collect(struct json_object *guests,
				     const char *key);

#endif
