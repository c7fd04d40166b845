/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * names.h - the contract's numbers as stable names, for people and JSON
 */
#ifndef VTOE_DAEMON_NAMES_H
#define VTOE_DAEMON_NAMES_H

#include <stdint.h>

/* "loopback", and "the address is a loopback address" */
const char *names_fallback(uint32_t fallback);
const char *names_fallback_reason(uint32_t fallback);
const char *names_status(uint32_t status);
const char *names_violation(uint32_t violation);
const char *names_link(uint32_t link);

#endif
