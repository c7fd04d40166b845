#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# An unmodified iperf3 as client and as server, both directions, with one
# stream and with eight: every run ends well and moved its bytes.
. "$(dirname "$0")/../lib/net.sh"
net_begin 90 "$0" "$@"
need iperf3 iperf3
net_up

megabytes=${VTOE_TEST_MEGABYTES:-100}

# one CLIENT SERVER ADDRESS OPTIONS...
one() {
	client=$1 server=$2 address=$3
	shift 3
	start iperf3-server "$server" iperf3 -s -1
	server_pid=$STARTED
	wait_listening "$server" 5201
	(net_exec "$client" timeout 20 iperf3 -c "$address" \
		-n "${megabytes}M" -J "$@") >"$RUN/iperf3.json" 2>&1 || {
		cp "$RUN/iperf3.json" "$RUN/iperf3.log"
		fail "iperf3 -c $address $* in $client: exit $?"
	}
	got=$(sed -n '/"sum_received"/,/}/s/.*"bytes":[^0-9]*\([0-9]*\).*/\1/p' \
		"$RUN/iperf3.json")
	# The sender tells the end by the control connection while all that
	# socket buffers hold is still on its way, and the receiver stops there.
	[ "${got:-0}" -ge $((megabytes * 1048576 / 20)) ] ||
		fail "iperf3 -c $address $*: ${got:-no} bytes of $megabytes MiB"
	finish "$server_pid" 10 "iperf3 -s" || fail "iperf3 -s: exit $?"
	say "ok: iperf3 -c $address $* ($client)"
}

one app peer $PEER4
one app peer $PEER4 -R
one app peer $PEER4 -P 8
one app peer $PEER6 -P 8 -R
one peer app $APP4
one peer app $APP4 -R
one peer app $APP4 -P 8
one peer app $APP6 -P 8 -R
one app peer $PEER4 --bidir
pass
