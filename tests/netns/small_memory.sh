#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# curl, as in curl.sh, with so little memory for a connection that the buffers
# to receive into would use it up: there is some to send from all the same.
for memory in 1M 3M; do
	NET_GUEST_KEYS="peer_memory = $memory" VTOE_TEST_BYTES=2000000 \
		"$(dirname "$0")/curl.sh" "$@" || exit
done
