/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * header.h - makes the header of an aggregate (MECHANISMS E)
 */
#ifndef VTOE_ENGINE_HEADER_H
#define VTOE_ENGINE_HEADER_H

#include "engine/aggregate_config.h"
#include "engine/delivery.h"
#include "engine/run.h"

/* The run's segments become the delivery's, and the run is empty. */
void header_make(struct delivery *d, struct run *r, uint8_t reason,
		 const struct aggregate_config *c);
/* A frame that passes as it is. */
void header_pass(struct delivery *d, const struct frame *f, uint8_t reason,
		 uint64_t now);

#endif
