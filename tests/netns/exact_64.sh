#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# MECHANISMS H9 to H13: 1 GB each way through 64 streams at once, byte for
# byte. First the native interface: random sizes, random order of posting,
# posted and generic buffers mixed, arena and registered memory. Then a quarter
# of it through the sockets of vtoe-run, as client and as server. The seed is
# printed; VTOE_TEST_SEED repeats a run, VTOE_TEST_BYTES (of one direction)
# makes it smaller.
. "$(dirname "$0")/../lib/net.sh"
bytes=${VTOE_TEST_BYTES:-1000000000}
net_begin $((60 + bytes / 10000000)) "$0" "$@"
[ "${VTOE_SANITIZER:-none}" = none ] || bytes=$((bytes / 10))
seed=${VTOE_TEST_SEED:-$(($(now_ms) % 1000000007))}
say "seed $seed (repeat with VTOE_TEST_SEED=$seed)"
net_up

# one SERVER CLIENT BYTES PROGRAM ADDRESS...
one() {
	server=$1 client=$2 size=$(($3 / 64))
	shift 3
	start "exact-$server" "$server" "$PROGS/exact" serve 7100 64
	exact=$STARTED
	wait_listening "$server" 7100
	case $1 in
	exact) set -- "$PROGS/exact" connect "$2" ;;
	*) set -- "$PROGS/$1" "$2" ;;
	esac
	(net_exec "$client" "$@" 7100 64 $size "$seed") >"$RUN/client.log" 2>&1 ||
		fail "$1 in $client: exit $?, seed $seed"
	finish "$exact" 20 "exact serve in $server" ||
		fail "exact serve in $server: exit $?, seed $seed"
	say "ok: $(cat "$RUN/client.log")"
}

[ "$VTOE_TEST_PATH" = kernel ] ||
	one peer native "$bytes" exact_native $PEER4
one peer app $((bytes / 4)) exact $PEER4
one app peer $((bytes / 4)) exact $APP6
pass
