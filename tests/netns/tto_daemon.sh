#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# A guest with tto = yes: its worker offers the TTO service beside TOE, which
# works as before; the XDP program is on its interface from attach to detach,
# also while workers die; vtoectl flows shows claims, also those that a worker
# left. Where TTO cannot be, vtoectl says why, and the guest has TOE. (That
# frames are steered right is xdp_steer's; that connections outlive a worker is
# tto_linux's.)
. "$(dirname "$0")/../lib/net.sh"
net_begin 60 "$0" "$@"
need curl curl
sane curl --version
need nginx nginx-light
need ethtool ethtool
only_vtoe
# shellcheck disable=SC2034 # for net_up
NET_GUEST_KEYS="tto = yes
tto_hold_usec = 50"
net_up
A=t$$c B=t$$d

# field GUEST NAME: from the JSON.
field() {
	ctl list --json | python3 -c '
import json, sys
for guest in json.load(sys.stdin)["guests"]:
    if guest["name"] == sys.argv[1]:
        value = guest[sys.argv[2]]
        print(",".join(value) if isinstance(value, list) else value or "")
' "$1" "$2"
}

check() { [ "$2" = "$3" ] || fail "$1 is \"$2\", not \"$3\""; }

# program NAMESPACE: the number of the XDP program on eth0 there.
program() {
	ip -n "$1" -d link show eth0 |
		sed -n 's,.*prog/xdp id \([0-9]*\) name vtoe_steer.*,\1,p'
}

# A file through TOE, and a server behind it.
toe_works() {
	same_hash "$want" "$(app curl -sS --max-time 10 \
		"http://$PEER4:8080/data" 2>"$RUN/curl.log" | hash_of)" "$1"
	peer "$PROGS/rr" $APP6 7000 20 >"$RUN/rr.log" 2>&1 ||
		fail "$1: no way to the guest's server"
}

new_worker() {
	[ "$(worker_pid)" != "$worker" ] &&
		[ "$(field "$GUEST" state)" = running ]
}

serve() {
	start echo app "$PROGS/echo" 7000
	wait_listening app 7000
}

start_nginx peer 1
make_data "$RUN/www/data" 20000000
want=$(hash_of "$RUN/www/data")
serve
toe_works "at the start"

why=$(field "$GUEST" tto_failure)
case $why in
"")
	;;
*built*)
	check services "$(field "$GUEST" services)" toe
	check program "$(program "vtoe-$GUEST")" ""
	ctl list | grep -q "^guest $GUEST: TTO is not offered: .*libbpf" ||
		fail "vtoectl list does not say why"
	pass "this build has no TTO, and says so"
	;;
*)
	skip "machine: $why"
	;;
esac

check services "$(field "$GUEST" services)" toe,tto
ctl list | grep -q "TTO is not offered" && fail "list: offered, and not"
id=$(program "vtoe-$GUEST")
[ -n "$id" ] || fail "no XDP program on eth0"
ctl flows | grep -q '^GUEST .*SEGMENTS' || fail "vtoectl flows: no table"
ctl flows --json | grep -q '"flows":\[\],"reasons":\[' ||
	fail "vtoectl flows: a new worker has flows"
ip netns exec "$NS-dd" ethtool -k "vt-$GUEST" |
	grep -q '^tx-checksumming: off' || fail "tx checksums are on"

# Claims, through the worker's list of system calls: shown while they last.
claimed() { grep -q "^claimed " "$RUN/claim.log"; }
# flows WORDS: how many rows have them.
flows() { ctl flows | grep -c "^$GUEST .*$1"; }
no_flows() { [ "$(flows '')" = 0 ]; }
start_claims() {
	mkfifo "$RUN/claim.in"
	(exec 3<>"$RUN/claim.in"
	net_exec native "$PROGS/claim_native" "$1" 8080 \
		<"$RUN/claim.in" >"$RUN/claim.log" 2>&1 3<&-) &
	claims=$!
	adopt $claims
	exec 3>"$RUN/claim.in"
	wait_for 10 claimed || fail "no claims: $(cat "$RUN/claim.log")"
}
for host in $PEER4 $PEER6; do
	rm -f "$RUN/claim.in"
	start_claims $host
	row=$(ctl flows | grep "^$GUEST .* connection ")
	echo "$row" | grep -q " claim_native .*$host.*:8080 " ||
		fail "vtoectl flows: no row of the connection: $row"
	check "number of port claims" "$(flows ' port ')" 1
	ctl flows | grep -q '^REASON' || fail "vtoectl flows: no reasons"
	exec 3>&-
	finish $claims 10 claim_native || fail "claim_native: exit $?"
	check "number of claims" "$(flows '')" 0
done
[ "$(stat_of worker_restarts)" = 0 ] || fail "the worker was lost"

# Those of a worker that dies are its successor's, until their time is over.
rm -f "$RUN/claim.in"
start_claims $PEER4
worker=$(worker_pid)
kill -KILL "$worker" || error "no worker"
wait_for 5 new_worker || fail "no new worker"
check "number of claims that nobody has" "$(flows '[0-9]  *-  *-  ')" 2
exec 3>&-
wait_for 2 net_gone $claims || kill -KILL $claims
wait_for 20 no_flows || fail "claims stay for ever"

# Workers come and go, the program stays.
for round in 1 2; do
	worker=$(worker_pid)
	kill -KILL "$worker" || error "no worker"
	check "program without a worker" "$(program "vtoe-$GUEST")" "$id"
	wait_for 5 new_worker || fail "round $round: no new worker"
	check "services of the next" "$(field "$GUEST" services)" toe,tto
	check "its program" "$(program "vtoe-$GUEST")" "$id"
done
net_end "$STARTED"
serve
toe_works "after two workers"

# A namespace that is not ours is as before when the guest has gone. A second
# guest there cannot have the interface's frames too.
net_namespace "$NS-app2"
net_attach "$NS-app2" 10.77.0.9 fd77::9
attach() {
	ctl attach "$@" tto=yes >"$RUN/attach.log" 2>&1 ||
		fail "attach $*: exit $?"
}
detach() {
	ctl detach "$1" || fail "detach $1: exit $?"
}
# refused GUEST WORDS: it runs without TTO, and why.
refused() {
	check services "$(field "$1" services)" toe
	field "$1" tto_failure | grep -q "$2" ||
		fail "$1: not said why: $(field "$1" tto_failure)"
	grep -q "^guest $1: TTO is not offered: .*$2" "$RUN/attach.log" ||
		fail "attach does not say why"
}
fds() { find "/proc/$VTOED_PID/fd" | wc -l; }
before=$(fds)
attach "$A" "uplink=netns:$NS-app2"
check services "$(field "$A" services)" toe,tto
[ -n "$(program "$NS-app2")" ] || fail "netns: no XDP program on eth0"
attach "$B" "uplink=netns:$NS-app2"
refused "$B" "another XDP program"
detach "$B"
[ -n "$(program "$NS-app2")" ] || fail "netns: the program went with another"
detach "$A"
check "program after detach" "$(program "$NS-app2")" ""

ip -n "$NS-app2" link set eth0 mtu 9000 || error "cannot set an MTU"
attach "$A" "uplink=netns:$NS-app2"
refused "$A" "mtu 9000 of eth0 is too large: use at most [0-9]"
check program "$(program "$NS-app2")" ""
detach "$A"

ip -n "$NS-app2" link set eth0 down
attach "$A" "uplink=netns:$NS-app2"
refused "$A" "no interface"
detach "$A"

ip -n "$NS-app2" link del eth0 &&
	ip -n "$NS-dd" link add q0 type veth peer name eth0 numrxqueues 2 \
		netns "$NS-app2" && ip -n "$NS-dd" link set q0 up &&
	ip -n "$NS-app2" link set eth0 up &&
	ip netns exec "$NS-app2" ethtool -L eth0 rx 2 ||
	error "cannot make two queues"
attach "$A" "uplink=netns:$NS-app2"
refused "$A" "has 2 receive queues"
detach "$A"

ctl attach "$A" uplink=macvlan:br0 tto=yes >"$RUN/attach.log" 2>&1 &&
	fail "tto with a macvlan is accepted"
grep -q "needs uplink = bridge" "$RUN/attach.log" ||
	fail "macvlan: not said why"
check "number of vtoed's descriptors" "$(fds)" "$before"

kill -0 "$VTOED_PID" || fail "vtoed has ended"
detach "$GUEST"
[ ! -e "/run/netns/vtoe-$GUEST" ] || fail "the namespace is still there"
pass
