/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control_capture.h - `vtoectl capture`, the supervisor's part
 */
#ifndef VTOE_DAEMON_CONTROL_CAPTURE_H
#define VTOE_DAEMON_CONTROL_CAPTURE_H

#include "daemon/control.h"
#include "daemon/guest.h"

/* Answers the client, now or later. @request is the caller's. */
void control_capture(struct guest *guest, struct control_client *client,
		     struct json_object *request);

#endif
