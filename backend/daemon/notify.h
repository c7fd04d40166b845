/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * notify.h - telling the service manager our state
 */
#ifndef VTOE_DAEMON_NOTIFY_H
#define VTOE_DAEMON_NOTIFY_H

/* sd_notify(3): "READY=1", "STOPPING=1". Nothing without $NOTIFY_SOCKET. */
void notify_send(const char *state);

#endif
