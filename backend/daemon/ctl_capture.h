/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ctl_capture.h - `vtoectl capture`
 */
#ifndef VTOE_DAEMON_CTL_CAPTURE_H
#define VTOE_DAEMON_CTL_CAPTURE_H

#include <stdint.h>

#include <json-c/json.h>

struct ctl_capture {
	const char *file; /* NULL: standard output */
	uint32_t claim;	  /* each of these: 0, not given */
	uint32_t seconds;
	uint32_t count; /* of packets */
	uint32_t snap;	/* bytes of a packet */
};

/* Asks the supervisor with `request`, which names the guest, and writes packets
 * until it is told to end. -> the exit status, messages on stderr. */
int ctl_capture_run(const struct ctl_capture *capture, const char *socket_path,
		    struct json_object *request);

#endif
