/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * endpoint.h - listening unix sockets with a path
 */
#ifndef VTOE_DAEMON_ENDPOINT_H
#define VTOE_DAEMON_ENDPOINT_H

#include <stddef.h>
#include <stdint.h>

/*
 * A non-blocking SOCK_STREAM listener with permissions @mode. A socket that
 * nobody listens on any more is replaced; anything else at @path is not.
 * -1 with @why of @size bytes.
 */
int endpoint_listen(const char *path, uint32_t mode, char *why, size_t size);

#endif
