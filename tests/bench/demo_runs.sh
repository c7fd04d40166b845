#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The demonstration, shortened: it ends well, shows each row of its table with
# numbers for both paths, proves that the applications' kernel sent no TCP, and
# leaves no network namespace, process or file behind, also when it is stopped
# in the middle.

# shellcheck source=../lib/net.sh
. "$(dirname "$0")/../lib/net.sh"
net_begin 120 "$0" "$@"
only_vtoe
for tool in curl nginx iperf3 redis-server redis-benchmark pgrep; do
	need "$tool" "what ./quickstart demo installs"
done
export top_builddir top_srcdir
# What the demonstration makes, it makes below this directory.
TMPDIR=$RUN/tmp
export TMPDIR
mkdir "$TMPDIR"

# Becomes the demonstration
demo() {
	exec env DEMO_ROUNDS=1 DEMO_FILE_MB=10 DEMO_REQUESTS=10000 \
		"$top_srcdir/tests/bench/demo.sh"
}

# left_behind PID: what a demonstration of that pid has left
left_behind() {
	ip netns list | grep -E "^(vtn$1-|vtoe-t$1)"
	ls "$TMPDIR"
	pgrep -f "$TMPDIR"
}

(demo) >"$RUN/demo.log" 2>&1 </dev/null &
demo=$!
net_pids=$demo
finish "$demo" 100 "the demonstration" || fail "the demonstration: exit $?"
for row in 'curl downloads' 'nginx serves' 'iperf3 sends' 'iperf3 receives' \
	'native receives' 'native sends' 'redis-server GET' \
	'redis-server SET' 'redis-benchmark'; do
	grep -Eq "^$row .*\\|( +[0-9.]+){3} \\|( +[0-9.]+){2} +[0-9.-]+ \\|" \
		"$RUN/demo.log" || fail "the table has no row '$row'"
done
grep -Eq '^  kernel TCP segments, guest +0 ' "$RUN/demo.log" ||
	fail "the applications' kernel has sent TCP, or nobody looked"
left=$(left_behind "$demo")
[ -z "$left" ] || fail "left behind: $left"

(demo) >"$RUN/demo.log" 2>&1 </dev/null &
demo=$!
net_pids=$demo
wait_for 30 grep -q 'round 1' "$RUN/demo.log" || fail "no round has begun"
kill -TERM "$demo"
if finish "$demo" 40 "the stopped demonstration"; then
	fail "stopped, but exit 0"
fi
left=$(left_behind "$demo")
[ -z "$left" ] || fail "left behind when stopped: $left"
pass
