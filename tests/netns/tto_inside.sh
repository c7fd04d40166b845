#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# TCP in the program itself (VTOE_OPEN_TTO): what inside_native.c says; random
# posting byte-exact, also while workers are killed (B9); close() and the end of a
# program; nothing is left when programs are killed.
. "$(dirname "$0")/../lib/net.sh"
bytes=${VTOE_TEST_BYTES:-200000000}
net_begin 150 "$0" "$@"
only_vtoe
[ "${VTOE_SANITIZER:-none}" = none ] || bytes=$((bytes / 10))
seed=${VTOE_TEST_SEED:-$(($(now_ms) % 1000000007))}
say "seed $seed (repeat with VTOE_TEST_SEED=$seed)"
# shellcheck disable=SC2034 # for net_up
NET_GUEST_KEYS="tto = yes"
net_up
VTOE_INSIDE=$(dirname "$VTOE_RUN")/.libs/vtoe-inside.so
XDG_RUNTIME_DIR=$RUN/user
export VTOE_INSIDE XDG_RUNTIME_DIR
mkdir -p "$XDG_RUNTIME_DIR"

left_nothing() { [ -z "$(ls "$XDG_RUNTIME_DIR")" ]; }

start echo peer "$PROGS/echo" 7100
wait_listening peer 7100
for case in rr events compute idle fork threads; do
	(net_exec native ${STRACE:-} "$PROGS/inside_native" $case $PEER4 7100) \
		>"$RUN/$case.log" 2>&1 ||
		fail "$case: exit $?: $(cat "$RUN/$case.log")"
	say "ok: $case: $(cat "$RUN/$case.log")"
	left_nothing || fail "$case: something is left"
done
pass
