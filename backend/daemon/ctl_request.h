/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ctl_request.h - one request of vtoectl's to the supervisor
 */
#ifndef VTOE_DAEMON_CTL_REQUEST_H
#define VTOE_DAEMON_CTL_REQUEST_H

#include <json-c/json.h>

/* The answer, to be put; or NULL after a message on stderr. */
struct json_object *ctl_request(const char *socket_path,
				struct json_object *request);
/* The same; *descriptor: the one that came with it, or -1. */
struct json_object *ctl_request_descriptor(const char *socket_path,
					   struct json_object *request,
					   int *descriptor);

#endif
