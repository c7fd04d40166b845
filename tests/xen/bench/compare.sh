# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# vtoe beside netfront, in one guest and one boot, interleaved, to a machine
# outside behind a NIC that hands over MTU-sized frames:
#
#   netfront   vtoe-bench over the guest's kernel sockets
#   vtoe       vtoe-bench over libvtoe
#   vtoe-run   the program of `netfront` as it is, under vtoe-run
#   tto        the same under vtoe-run --service tto
#   tto-native vtoe-bench over libvtoe with that service, as `vtoe` is with TOE
#   tto-inside the same with TCP in vtoe-bench itself (VTOE_OPEN_TTO)
#   dom0       the program of `netfront` in dom0, in the guest's network
#              namespace: what an engine made of dom0's own TCP can approach
#
# While a workload runs, processor time of dom0 and of the guest (by Xen's count)
# and bytes of the NIC are sampled twice. Lines "SAMPLE {json}" are for bench.py.
# XDP programs are on the guest's interface and on eth0 only while TTO is measured:
# the guest is attached to vtoe anew where the next way needs it otherwise, and for
# netfront not at all. BENCH_TTO has more of its configuration, the default is
# tto_port=eth0; BENCH_TTO=tto_port=none measures without.
# BENCH_ROUNDS, BENCH_WINDOW (seconds between the samples), BENCH_WORKLOADS and
# BENCH_WAYS are set by `make bench-xen BENCH_XEN="..."`. BENCH_SPIN is for how
# many microseconds the worker and the library look for work before they sleep, in
# place of their defaults: those are for processors that enter a kernel in about
# a microsecond, and here that takes far longer.
# guests: pv pvh
# limit: 3000
bench=/opt/vtoe/libexec/vtoe-bench
window=${BENCH_WINDOW:-3}
spin=${BENCH_SPIN:+--spin-usec $BENCH_SPIN}
rounds=${BENCH_ROUNDS:-3}
ways=${BENCH_WAYS:-netfront vtoe vtoe-run dom0}
workloads=${BENCH_WORKLOADS:-bulk-tx/1 bulk-tx/4 bulk-rx/1 bulk-rx/4 rr/1/1 rr/1/1024 connect/1}

# a guest with a network of its own besides
guest_destroy
wait_for 20 eval '! is_connected'
guest_boot "$TYPE" 'vif = [ "bridge=br0,mac=00:16:3e:09:00:05" ]' ||
	fail "no guest with netfront"
connected || fail "vtoe does not connect"
peer 5 'setsid "$BUILD/tests/bench/vtoe-bench" server > bench.log 2>&1 & echo $! > bench.pid
	sleep 1; kill -0 $!' || fail "vtoe-bench server: $(peer 5 'cat bench.log')"
expect "netfront reaches the machine outside" wait_for 20 in_guest 5 \
	"ip route get $PEER | grep -q eth0 && curl -sS --max-time 4 http://$PEER:8080/1m.sum"

domain=$(domid)
sample() { /opt/vtoe/libexec/domtime "$domain" eth0; }
moved() {
	local rx tx
	read -r rx < /sys/class/net/eth0/statistics/rx_bytes
	read -r tx < /sys/class/net/eth0/statistics/tx_bytes
	echo $((rx + tx))
}

flows() { [ "$(moved)" -gt "$1" ]; }

# attached_for WAY: to vtoe as that way needs it
attached_as=toe
attached_for() {
	local as=toe settings=
	case $1 in
	netfront) as=none ;;
	tto*) as=tto settings="tto=yes ${BENCH_TTO:-tto_port=eth0}" ;;
	esac
	[ $as != $attached_as ] || return 0
	[ $attached_as = none ] || vtoectl detach g > /dev/null || return 1
	attached_as=none
	[ $as != none ] || return 0
	# shellcheck disable=SC2086
	attach ${BENCH_SPIN:+spin_usec=$BENCH_SPIN} $settings > /dev/null &&
		connected || return 1
	attached_as=$as
	# the driver has made its device, and neighbours are known
	wait_for 40 in_guest 20 "vtoe-run --require ${settings:+--service tto} curl -sS --max-time 15 http://$PEER:8080/1m.sum"
}

# one ROUND WORKLOAD/STREAMS[/SIZE] WAY
one() {
	local round=$1 workload streams size way=$3 start bytes=1000 a b
	IFS=/ read -r workload streams size <<< "$2"
	local command="run --to $PEER --workloads $workload --streams $streams --size ${size:-1} --rounds 1 --seconds $((window + 3)) --transports"
	case $workload in bulk-*) bytes=5000000 ;; esac
	attached_for "$way" || {
		say "$way: the guest is not attached for it"
		return 1
	}
	start=$(moved)
	case $way in
	netfront) guest_begin 60 "$bench $command kernel" ;;
	vtoe) guest_begin 60 "$bench $command vtoe $spin" ;;
	vtoe-run) guest_begin 60 "vtoe-run --require $bench $command kernel" ;;
	tto) guest_begin 60 "vtoe-run --require --service tto $bench $command kernel" ;;
	tto-native) guest_begin 60 "vtoe-run --require --service tto $bench $command vtoe $spin" ;;
	tto-inside) guest_begin 60 "$bench $command vtoe-tto $spin" ;;
	dom0)
		# shellcheck disable=SC2086
		nsenter --net=/run/netns/vtoe-g $bench $command kernel \
			> /tmp/dom0.out 2>&1 &
		;;
	esac
	wait_for 30 flows $((start + bytes)) ||
		say "$way: nothing flows"
	sleep 0.7
	a=$(sample)
	sleep "$window"
	b=$(sample)
	case $way in
	dom0)
		wait $! || return 1
		OUT=$(cat /tmp/dom0.out)
		;;
	*) guest_end || return 1 ;;
	esac
	report "$round" "$workload" "$streams" "${size:-0}" "$way" "$a" "$b"
}

# what vtoe-bench itself has measured: field NAME
field() { awk -v n="$1" '$1 == n { print $3; exit }' <<< "$OUT"; }

report() {
	local round=$1 workload=$2 streams=$3 size=$4 way=$5 a b
	read -ra a <<< "$6"
	read -ra b <<< "$7"
	printf 'SAMPLE {"guest":"%s","round":%s,"workload":"%s","streams":%s,"size":%s,"way":"%s","ns":%s,"dom0_ns":%s,"guest_ns":%s,"rx_bytes":%s,"tx_bytes":%s,"rx_packets":%s,"tx_packets":%s,"rate":%s,"p50":%s,"p99":%s}\n' \
		"$TYPE" "$round" "$workload" "$streams" "$size" "$way" \
		$((b[0] - a[0])) $((b[1] - a[1])) $((b[2] - a[2])) \
		$((b[3] - a[3])) $((b[4] - a[4])) $((b[5] - a[5])) \
		$((b[6] - a[6])) "$(field rate | grep . || echo null)" \
		"$(field p50 | grep . || echo null)" \
		"$(field p99 | grep . || echo null)" | tee -a /tmp/logs/samples
}

bad=0
for ((round = 1; round <= rounds; round++)); do
	for workload in $workloads; do
		order=$ways
		[ $((round % 2)) = 1 ] || order=$(tac -s ' ' <<< "$ways " | tr '\n' ' ')
		for way in $order; do
			one "$round" "$workload" "$way" || bad=$((bad + 1))
			[ $bad -lt 5 ] || fail "too many runs fail"
		done
		echo "BENCH round $round of $rounds: $workload" > /dev/console
	done
done
peer 5 'kill $(cat bench.pid)'
expect "every run was measured ($bad were not)" eval \
	'[ $bad = 0 ] && [ -s /tmp/logs/samples ]'
guest_destroy
