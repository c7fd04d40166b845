#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# vtoe-bench with --verify: every byte of its workloads is right over the
# kernel's sockets and over the native interface; the table, JSON and plot are
# complete; wrong options are refused. Short: it measures nothing.

# shellcheck source=../lib/net.sh
. "$(dirname "$0")/../lib/net.sh"
net_begin 60 "$0" "$@"
bench=$top_builddir/tests/bench/vtoe-bench
net_up
start server peer "$bench" server
wait_listening peer 5210

# measure TRANSPORTS OPTION...
measure() {
	transports=$1
	shift
	nsenter --net="/run/netns/$NS-app" "$bench" run --to $PEER4 --verify \
		--transports "$transports" --kernel-netns "vtoe-$GUEST" \
		--seconds 0.2 --rounds 2 "$@" >"$RUN/table.log" \
		2>"$RUN/bench.log" || fail "vtoe-bench $*: exit $?"
}

transports=kernel
[ "$VTOE_TEST_PATH" = kernel ] || transports=kernel,vtoe
measure $transports --vtoe-socket "$RUN/vtoed/$GUEST.sock" \
	--streams 1,8 --size 1,100000 \
	--json "$RUN/out.json" --plot "$RUN/out.svg"
for name in bulk-tx bulk-rx rr connect; do
	grep -q "^$name, 1 stream" "$RUN/table.log" ||
		fail "the table has no $name"
	grep -q "\"workload\": *\"$name\"" "$RUN/out.json" ||
		fail "the JSON has no $name"
done
grep -q '"error"' "$RUN/out.json" && fail "the JSON tells of an error"
[ "$(tail -n 1 "$RUN/out.svg")" = '</svg>' ] || fail "the plot is not whole"

if [ "$VTOE_TEST_PATH" = vtoe ]; then
	measure vtoe --vtoe-socket "$RUN/vtoed/$GUEST.sock" \
		--worker-pid "$(worker_pid)" --workloads idle \
		--idle-streams 200 --json "$RUN/out.json"
	grep -q '"stream_bytes"' "$RUN/out.json" ||
		fail "idle streams were not weighed"
fi

# refused OPTION...: exit 2 and a line that names the option
refused() {
	"$bench" run "$@" >"$RUN/bench.log" 2>&1
	[ $? = 2 ] || fail "vtoe-bench run $*: not refused"
	[ "$(head -n 1 "$RUN/bench.log" | cut -c1-11)" = vtoe-bench: ] ||
		fail "vtoe-bench run $*: no reason given"
}

refused
refused --to 10.0.0.1 --rounds 0
refused --to 10.0.0.1 --size 1,x
refused --to 10.0.0.1 --workloads none
refused --to nowhere
# Nothing listens there: an error of the round, not a hang.
if "$bench" run --to 127.0.0.1:1 --transports kernel --seconds 0.1 \
	--rounds 1 --workloads rr >"$RUN/table.log" 2>"$RUN/bench.log"; then
	fail "no far end, but exit 0"
fi
grep -q 'Connection refused' "$RUN/bench.log" || fail "no reason given"
pass
