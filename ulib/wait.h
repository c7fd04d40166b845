/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wait.h - of wait.c, what the stack in the program uses, too
 */
#ifndef VTOE_WAIT_H
#define VTOE_WAIT_H

#include <stdint.h>
#include <time.h>

struct timespec timespec_from(uint64_t ns);
/* Empties an eventfd. */
void event_drain(int fd);
void event_signal(int fd);

#endif
