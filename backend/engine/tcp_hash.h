/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_hash.h - SipHash-2-4, a keyed hash that an attacker cannot aim
 *
 * For the connection table, initial sequence numbers, SYN cookies and the
 * offsets of timestamps; `use` keeps these apart.
 */
#ifndef VTOE_ENGINE_TCP_HASH_H
#define VTOE_ENGINE_TCP_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t tcp_hash(const uint8_t key[16], uint64_t use, const void *bytes,
		  size_t length);

#endif
