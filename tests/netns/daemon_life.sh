#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# A supervisor's life: a worker that is killed is followed by the next within
# a second, and again and again, with growing pauses; the guest's socket stays
# and takes connections in between. SIGHUP adds and removes guests, and a
# mistake in the file changes nothing. SIGTERM and SIGINT leave nothing. The
# service manager hears of the start and of the end.
. "$(dirname "$0")/../lib/net.sh"
net_begin 60 "$0" "$@"
need socat socat
only_vtoe

state() {
	ip netns list | sed 's/ .*//' | grep -e "$NS" -e "t$$" | sort
	ip -n "$NS-dd" -br link | sed 's/@.*//;s/ .*//' | sort
	ls "$RUN/vtoed"
	find /sys/fs/cgroup -type d -path "*vtoe/t$$*" 2>/dev/null
}

before_vtoed() {
	net_namespace "$NS-dd"
	net_namespace "$NS-peer"
	net_namespace "$NS-app"
	ip -n "$NS-dd" link add br0 up type bridge mcast_snooping 0
	net_attach "$NS-peer" $PEER4 $PEER6
	net_guests=1
	net_configure
	state >"$RUN/before"
}

logged() { grep -q -e "$1" "$RUN/vtoed.log"; }
guests() { ctl list --json | grep -o '"name":"[^"]*"' | cut -d'"' -f4 | sort; }
there_are() { [ "$(guests | tr '\n' ' ')" = "$* " ]; }
new_worker() { [ -n "$(worker_pid)" ] && [ "$(worker_pid)" != "$worker" ]; }

# stop SIGNAL: and nothing is left.
stop() {
	kill -s "$1" "$VTOED_PID"
	wait_for 3 net_gone "$VTOED_PID" || fail "SIG$1: vtoed does not stop"
	status=0
	wait "$VTOED_PID" || status=$?
	[ $status = 0 ] || fail "SIG$1: exit $status"
	state >"$RUN/after"
	diff "$RUN/before" "$RUN/after" || fail "SIG$1: something is left"
}

before_vtoed
start notify dd socat -u "UNIX-RECV:$RUN/notify" STDOUT
wait_for 5 test -S "$RUN/notify" || error "socat does not listen"
NOTIFY_SOCKET=$RUN/notify
export NOTIFY_SOCKET
net_start_vtoed
wait_for 5 grep -q READY=1 "$RUN/notify.log" || fail "no READY=1"
grep -q STOPPING=1 "$RUN/notify.log" && fail "STOPPING=1 at the start"
start echo peer "$PROGS/echo" 7000
wait_listening peer 7000

# -- workers that are killed -------------------------------------------------
inode=$(stat -c %i "$RUN/vtoed/$GUEST.sock")
for round in 1 2 3 4; do
	worker=$(worker_pid)
	kill -KILL "$worker"
	wait_for 1 new_worker || fail "round $round: no new worker after 1 s"
	app "$PROGS/rr" $PEER4 7000 10 >"$RUN/rr.log" 2>&1 ||
		fail "round $round: the new worker does not serve"
done
[ "$(stat -c %i "$RUN/vtoed/$GUEST.sock")" = "$inode" ] ||
	fail "the guest's socket is another"
[ "$(stat_of worker_restarts)" = 4 ] ||
	fail "worker_restarts is $(stat_of worker_restarts), not 4"
# The worker's group has its name, where there can be one.
for mount in $(awk '$3 == "cgroup2" { print $2 }' /proc/self/mounts); do
	[ -w "$mount/cgroup.procs" ] || continue
	grep -q "^0::.*/vtoe/$GUEST\$" "/proc/$(worker_pid)/cgroup" ||
		fail "the worker is not in the group vtoe/$GUEST"
done
[ "$(ctl stats "$GUEST" --json | grep -c '"cpu_seconds":0.000')" = 0 ] ||
	fail "the worker's CPU time is not counted"
logged "end quickly: the next one starts in 100 ms" &&
	logged "end quickly: the next one starts in 200 ms" ||
	fail "no growing pause between workers that end quickly"
# An application that connects while there is no worker waits for the next.
kill -KILL "$(worker_pid)"
app "$PROGS/rr" $PEER4 7000 10 >"$RUN/rr.log" 2>&1 ||
	fail "an application that came between two workers got none"

# A worker that stops answering: vtoectl says so, and vtoed goes on.
worker=$(worker_pid)
kill -STOP "$worker"
ctl sockets "$GUEST" 2>"$RUN/ctl.log" && fail "a stopped worker answers"
grep -q "does not answer" "$RUN/ctl.log" || fail "no word of it: vtoectl"
ctl list >"$RUN/ctl.log" || fail "vtoed waits for a worker"
kill -CONT "$worker"
wait_for 5 ctl sockets "$GUEST" || fail "the worker does not answer any more"

# -- SIGHUP ------------------------------------------------------------------
cp "$RUN/vtoed.conf" "$RUN/good.conf"
printf '%s\n' "[guest $GUEST2]" "uplink = bridge:br0" \
	"address = $APP2_4/24" >>"$RUN/vtoed.conf"
kill -HUP "$VTOED_PID"
wait_for 5 there_are "$GUEST" "$GUEST2" || fail "SIGHUP adds no guest"
ctl attach "t$$m" || fail "attach: exit $?"

echo "mtu = none" >>"$RUN/vtoed.conf"
kill -HUP "$VTOED_PID"
wait_for 5 logged 'vtoed.conf:.*mtu: "none".*nothing was changed' ||
	fail "SIGHUP: a mistake is not reported"
there_are "$GUEST" "$GUEST2" "t$$m" || fail "SIGHUP: a mistake changed guests"

# The second guest becomes a third with its address; the first has changed.
worker=$(worker_pid)
sed "s,^uplink.*,&\\ncredit = 7," "$RUN/good.conf" >"$RUN/vtoed.conf"
printf '%s\n' "[guest t$$n]" "uplink = bridge:br0" \
	"address = $APP2_4/24" >>"$RUN/vtoed.conf"
kill -HUP "$VTOED_PID"
wait_for 5 there_are "$GUEST" "t$$m" "t$$n" ||
	fail "SIGHUP: guests are $(guests)"
logged "guest $GUEST has changed and stays" ||
	fail "SIGHUP: no word of a changed guest"
[ "$(worker_pid)" = "$worker" ] || fail "SIGHUP: the changed guest's worker"

# -- the end -----------------------------------------------------------------
worker=$(worker_pid)
stop TERM
grep -q STOPPING=1 "$RUN/notify.log" || fail "no STOPPING=1"
net_gone "$worker" || fail "SIGTERM: a worker is left"
cp "$RUN/good.conf" "$RUN/vtoed.conf"
net_start_vtoed
# With an application connected, and with a worker that does not leave.
start held app "$PROGS/rr" $PEER4 7000 100000000
held=$STARTED
wait_for 5 stat_above connects 0 || error "no connection"
kill -STOP "$(worker_pid)"
stop INT
wait_for 2 net_gone "$held" || fail "SIGINT: the application hangs"
pass
