#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# More than 150 cases of the socket interface give the same results, errors and
# bytes over vtoe as over the kernel's sockets (MECHANISMS G3). The same program
# runs twice against the same peer, from the same address; every line must be
# the same. VTOE_TEST_CASES names single cases; a case that differs once is run
# twice more, since some depend on what the machine does meanwhile.
. "$(dirname "$0")/../lib/net.sh"
net_begin 150 "$0" "$@"
only_vtoe
need python3 python3
need awk mawk
net_up
start peer peer "$PROGS/sockapi_peer" "$RUN/control" 9000 $APP4 $APP6
wait_listening peer 9000

# cases WHERE FILE [CASE...]
cases() {
	cases_where=$1 cases_to=$2
	shift 2
	$cases_where "$PROGS/sockapi" "$RUN/control" 9000 $PEER4 $PEER6 $APP4 \
		$APP6 "$@" >"$cases_to" 2>"$RUN/$cases_where.log"
}

# The names of the cases whose lines differ. The kernel's default congestion
# control is a setting of the host, which TTO's TCP does not follow: it has cubic.
differing() {
	[ "$VTOE_TEST_SERVICE" = toe ] ||
		sed -i 's/^\(option_congestion: [^ ]*\) [^ ]*/\1 cubic/' \
			"$RUN/kernel.out"
	diff "$RUN/kernel.out" "$RUN/app.out" | sed -n 's/^[<>] \([a-z0-9_]*\):.*/\1/p' |
		sort -u
}

# shellcheck disable=SC2086 # a list of names
cases kernel "$RUN/kernel.out" ${VTOE_TEST_CASES:-} ||
	error "sockapi over the kernel: exit $?"
# shellcheck disable=SC2086
cases app "$RUN/app.out" ${VTOE_TEST_CASES:-} ||
	fail "sockapi over vtoe: exit $?: $(tail -n 1 "$RUN/app.out")"
count=$(wc -l <"$RUN/app.out")
[ -n "${VTOE_TEST_CASES:-}" ] || [ "$count" -ge 150 ] ||
	fail "only $count cases were run"
again=$(differing)
round=0
while [ -n "$again" ] && [ $round -lt 2 ]; do
	round=$((round + 1))
	say "differ, and run again: $(echo "$again" | tr '\n' ' ')"
	diff "$RUN/kernel.out" "$RUN/app.out"
	# shellcheck disable=SC2086
	cases kernel "$RUN/kernel.out" $again || error "kernel: exit $?"
	# shellcheck disable=SC2086
	cases app "$RUN/app.out" $again || fail "vtoe: exit $?"
	again=$(differing)
done
[ -z "$again" ] || {
	diff "$RUN/kernel.out" "$RUN/app.out"
	fail "differ from the kernel: $(echo "$again" | tr '\n' ' ')"
}
pass "$count cases are the same over vtoe and over the kernel"
