/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_wire.h - the TTO service for the device of fuzz_guest.h, and its wire
 *
 * A veth pair in the target's network namespace, with the service at one end.
 * Where that may not be made (XDP needs root), the device goes without, and
 * refuses all operations on frames.
 */
#ifndef VTOE_TESTS_FUZZ_WIRE_H
#define VTOE_TESTS_FUZZ_WIRE_H

#include "fuzz_guest.h"

/* We are 10.99.0.2, with the ports from WIRE_PORT on; the peer is 10.99.0.1. */
enum { WIRE_PEER = 7000, WIRE_PORT = 5000 };

bool wire_open(struct device *d);
/* Puts a frame on the wire, as the input says. */
void wire_input(struct fuzz_input *in);
/* When all guests have left: nothing is kept, every frame is accounted for. */
void wire_check(struct device *d);

#endif
