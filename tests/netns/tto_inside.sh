#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# TCP in the program itself (VTOE_OPEN_TTO): what inside_native.c says; random
# posting byte-exact, also while workers are killed (B9); close() and the end of a
# program; that it may connect as the one before it did; nothing is left when
# programs are killed.
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
has_claims() { ctl flows | grep -q "^$GUEST "; }
no_claims() { ! has_claims; }

start echo peer "$PROGS/echo" 7100
wait_listening peer 7100
# fork(): libtsan knows of no threads in the child.
forks=fork
[ "${VTOE_SANITIZER:-none}" != thread ] || forks=
for case in rr events compute idle $forks threads; do
	(net_exec native "$PROGS/inside_native" $case $PEER4 7100) \
		>"$RUN/$case.log" 2>&1 ||
		fail "$case: exit $?: $(cat "$RUN/$case.log")"
	say "ok: $case: $(cat "$RUN/$case.log")"
	left_nothing || fail "$case: something is left"
done

# What was sent, and not waited for, arrives.
start sink peer socat -u TCP-LISTEN:7101 "CREATE:$RUN/sent"
sink=$STARTED
wait_listening peer 7101
(net_exec native "$PROGS/inside_native" close $PEER4 7101) >"$RUN/close.log" 2>&1 ||
	fail "close: exit $?: $(cat "$RUN/close.log")"
left_nothing || fail "close: something is left"
finish "$sink" 10 "the receiver" || fail "close: exit $?"
[ "$(stat -c %s "$RUN/sent")" = 20000000 ] ||
	fail "close: $(stat -c %s "$RUN/sent") bytes of 20000000 have arrived"
say "ok: close"

# Random posting; then also while workers are killed.
moved_or_over() { stat_above rx_bytes $1 || ! kill -0 "$client" 2>/dev/null; }
for kills in 0 5; do
	start "exact-$kills" peer "$PROGS/exact" serve 7102 16
	exact=$STARTED
	wait_listening peer 7102
	start client native "$PROGS/exact_native" $PEER4 7102 16 \
		$((bytes / 16)) "$seed" tto
	client=$STARTED
	killed=0
	while [ $killed -lt $kills ]; do
		wait_for 30 moved_or_over $((bytes / 20)) ||
			fail "$killed killed: nothing moves: $(cat "$RUN/client.log")"
		kill -0 "$client" 2>/dev/null || break
		worker=$(worker_pid)
		kill -9 "$worker"
		killed=$((killed + 1))
		wait_for 10 new_worker || fail "no new worker"
	done
	finish "$client" 60 exact_native ||
		fail "exact_native, $killed killed, seed $seed: $(cat "$RUN/client.log")"
	finish "$exact" 20 "exact serve" || fail "exact serve: seed $seed"
	[ $kills = 0 ] || [ $killed -gt 0 ] || fail "no worker was killed in time"
	say "ok: $killed workers killed: $(cat "$RUN/client.log")"
done

# What the peer remembers of a program's connections (TIME-WAIT) does not delay
# those that the next one makes between the same ports: a SYN would be lost to it,
# and come again after a second.
bench=$PROGS/../bench/vtoe-bench
start server peer "$bench" server
wait_listening peer 5210
for run in first second; do
	(net_exec native "$bench" run --to $PEER4 --workloads connect --streams 1 \
		--rounds 1 --seconds 2 --transports vtoe-tto) >"$RUN/connects.log" 2>&1 ||
		fail "$run connects: $(tail -n 3 "$RUN/connects.log")"
	rate=$(awk '$1 == "rate" { print int($3) }' "$RUN/connects.log")
	say "ok: $run program: $rate connections a second"
	[ "${rate:-0}" -gt 50 ] || fail "$run program: its connections are delayed"
done

# A program that is killed leaves nothing, neither here nor in the worker.
# Claims that were given up while no worker was there stay for ten seconds.
wait_for 30 no_claims || fail "claims are left: $(ctl flows)"
start victim native "$PROGS/inside_native" idle $PEER4 7100
wait_for 10 has_claims || fail "victim: $(cat "$RUN/victim.log")"
kill -9 "$STARTED"
wait_for 10 no_claims || fail "a killed program's claim is left: $(ctl flows)"
left_nothing || fail "a killed program's socket is left"
pass
