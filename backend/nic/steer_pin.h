/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * steer_pin.h - a map and a link that outlive who made them; of steer.c
 *
 * Functions return a descriptor or 0, or -errno.
 */
#ifndef VTOE_NIC_STEER_PIN_H
#define VTOE_NIC_STEER_PIN_H

#include <stdint.h>

#include "nic/steer.h"

/* The name in the kernel. Another meaning of keys or values is another name, so
 * that no program takes over claims that it does not understand. */
#define STEER_PIN_CLAIMS "vtoe_claims_1"

/* The map of claims that is left there; -ENOENT: none, or not such a one as
 * ours would be (which is removed). */
int steer_pin_find_claims(const char *directory, uint32_t claims_max);
/* The link, if it is that of this interface's program; *mode: by which flag it
 * was attached. -ENOENT: none, or of an interface that is no more, or of another
 * (which is removed: that program goes, unless someone else has it). */
int steer_pin_find_link(const char *directory, int ifindex, uint32_t *mode);
/* Leaves it there, in place of another. */
int steer_pin_claims(const char *directory, int claims);
int steer_pin_link(const char *directory, int link);
void steer_pin_remove_link(const char *directory);
/* Both. */
void steer_pin_remove(const char *directory);

#endif
