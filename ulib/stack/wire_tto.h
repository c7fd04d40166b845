/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wire_tto.h - the wire that is a device's TTO service
 */
#ifndef VTOE_STACK_WIRE_TTO_H
#define VTOE_STACK_WIRE_TTO_H

#include "stack/wire.h"

#include <vtoe_device.h>

/* Connects to the device (NULL: as vtoe_open()); `claims`: names that claim() may
 * be given. -> NULL, and -errno in *error; -EOPNOTSUPP: it does not offer TTO. */
struct wire *wire_tto_open(const char *path, uint32_t claims, int *error);
void wire_tto_close(struct wire *w);
/* Instead, in a child of fork: the worker's other end is the parent's. */
void wire_tto_forget(struct wire *w);
/* The device's page as it was at the start. */
const struct vtoe_device_page *wire_tto_page(const struct wire *w);

/* For the caller's loop: descriptors that wake it, -1: none now. They change when
 * the worker does; the old ones become readable then. */
int wire_tto_lane_fd(const struct wire *w);
int wire_tto_hangup_fd(const struct wire *w);
/* One of them is readable, and maybe the second. */
void wire_tto_woken(struct wire *w, bool hangup);
/* Has something come? `quiet`: and nobody is to be woken by what comes next, until
 * the next turn. */
bool wire_tto_has_come(struct wire *w, bool quiet);
/* Times that the worker was lost. */
uint64_t wire_tto_losses(const struct wire *w);

#endif
