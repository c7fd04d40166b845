#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# bench.sh - runs vtoe-bench in a network of its own: `make bench`
#
# The far end runs in a peer's namespace, the kernel's transport in the guest's,
# vtoe's with no network at all. Arguments go to `vtoe-bench run`, as those in
# BENCH_FLAGS; without any, a default set is run. bench.json and bench.svg are
# left in the build directory. Gates nothing: exits 0 when everything could be
# measured, whatever came out. VTOE_TEST_PATH=kernel measures the kernel alone.

# shellcheck source=../lib/net.sh
. "$(dirname "$0")/../lib/net.sh"
NET_GUEST_KEYS="${NET_GUEST_KEYS:-}"
net_begin "${BENCH_LIMIT:-900}" "$0" "$@"
bench=$top_builddir/tests/bench/vtoe-bench
[ -x "$bench" ] || error "$bench is not built: run make first"

net_up
# The far end is another machine in spirit: it shares no processor with the
# application, if there are two. The worker goes where the scheduler likes.
server_cpu='' run_cpu=''
processors=$(nproc)
if [ "$processors" -gt 1 ]; then
	server_cpu="--cpu $((processors - 1))" run_cpu="--cpu 0"
fi
# shellcheck disable=SC2086 # words of options
start server peer "$bench" server $server_cpu
wait_listening peer 5210

# shellcheck disable=SC2086 # words of flags
set -- --to "$PEER4" --kernel-netns "vtoe-$GUEST" \
	--json "$top_builddir/bench.json" --plot "$top_builddir/bench.svg" \
	$run_cpu ${BENCH_FLAGS:-} "$@"
if [ "$VTOE_TEST_PATH" = kernel ]; then
	set -- --transports kernel "$@"
else
	set -- --vtoe-socket "$RUN/vtoed/$GUEST.sock" \
		--worker-pid "$(worker_pid)" "$@"
	# Idle streams are weighed first, while the worker is fresh.
	case " $* " in
	*" --workloads "*) ;;
	*) set -- "$@" --workloads idle,bulk-tx,bulk-rx,rr,connect ;;
	esac
fi
nsenter --net="/run/netns/$NS-app" "$bench" run "$@" ||
	error "vtoe-bench: exit $?"
say "written: bench.json and bench.svg in $top_builddir"
exit 0
