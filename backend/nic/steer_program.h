/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * steer_program.h - the XDP program of steer.h, as instructions
 */
#ifndef VTOE_NIC_STEER_PROGRAM_H
#define VTOE_NIC_STEER_PROGRAM_H

#include <stdint.h>

#include "nic/bpf_code.h"

/* Of descriptors of maps. -> 0, -ENOSPC: our own mistake */
int steer_program_make(struct bpf_code *p, int claims, int sockets,
		       int counters, uint32_t frame_max);

#endif
