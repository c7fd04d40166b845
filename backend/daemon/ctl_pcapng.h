/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ctl_pcapng.h - a worker's captured packets as pcapng
 */
#ifndef VTOE_DAEMON_CTL_PCAPNG_H
#define VTOE_DAEMON_CTL_PCAPNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "path/tto_capture.h"

/* The longest message that a worker may send. */
#define PCAPNG_MESSAGE_MAX (sizeof(struct tto_captured) + TTO_CAPTURE_BYTES)

struct pcapng {
	FILE *out;
	uint64_t packets;
	uint64_t missed; /* that the worker could not tell of */
	uint32_t used;	 /* of block */
	uint8_t block[TTO_CAPTURE_BYTES + 512];
};

/* Each: 0, or -1 with errno of the output. */
int pcapng_begin(struct pcapng *p, FILE *out, const char *interface);
/* One message as it came, of so many bytes (MSG_TRUNC); *wrong, and nothing
 * written, if it is none that a worker sends. */
int pcapng_packet(struct pcapng *p, const void *message, size_t bytes,
		  bool *wrong);
/* The counts, and all to the kernel. */
int pcapng_end(struct pcapng *p);

#endif
