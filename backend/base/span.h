/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * span.h - a checked stretch of guest memory
 *
 * A span is made by the region table only (port/region.c), after its bounds
 * were checked against values that the guest can no longer change. The TOE
 * service's payload is moved by the kernel straight into or out of it; what the
 * backend itself writes (aggregates, large socket options), and what it reads in
 * order to look at it, goes through the two copies here. (What it only sends on,
 * a segment's payload, is read by nic/, once, whatever it says.)
 */
#ifndef VTOE_BASE_SPAN_H
#define VTOE_BASE_SPAN_H

#include <stddef.h>
#include <stdint.h>

struct span {
	uint8_t *at;
	uint32_t length;
};

/* At most span.length bytes; -> bytes copied. */
uint32_t span_copy_in(struct span to, const void *from, uint32_t bytes);
uint32_t span_copy_out(void *to, struct span from, uint32_t bytes);

#endif
