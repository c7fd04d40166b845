#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# kill -9 of the supervisor, again and again, under programs with the TTO service:
# no connection is lost, and every byte is right, also if it is started only a
# while later; and likewise if it hands over (SIGUSR2). Unmodified curl and nginx
# each way, and connections that were idle meanwhile, of a guest on a bridge, whose
# network is made anew, and of one in a namespace that stays, where the program
# stays on the interface. No peer is reset in all that. What is stale is removed:
# of an interface that was made anew, of guests that are not configured any more
# or without TTO; and when all is stopped (SIGTERM), nothing is left behind. That
# connections of the TOE service end is supervisor_killed's.
. "$(dirname "$0")/../lib/net.sh"
net_begin "${VTOE_TEST_SECONDS:-300}" "$0" "$@"
only_vtoe
need curl curl
sane curl --version
need nginx nginx-light
need python3 python3
need ethtool ethtool
VTOE_TEST_SERVICE=tto
net_up
pins=$RUN/vtoed/steering
ctl list | grep -q "claims end with vtoed" &&
	skip "machine: $(ctl list | sed -n 's/.*claims end with vtoed: //p')"

# program: the number of the XDP program on eth0 of the namespace that stays.
program() {
	ip -n "$NS-app2" -d link show eth0 |
		sed -n 's,.*prog/xdp id \([0-9]*\) name vtoe_steer.*,\1,p'
}

# make_eth0: there. A sender on this machine would leave checksums to the device.
make_eth0() {
	net_attach "$NS-app2" $APP2_4 $APP2_6
	ip netns exec "$NS-dd" ethtool -K "$net_port" tx off >/dev/null ||
		error "cannot turn checksums off"
}

# guest_there NAME [KEYS]: the guest of that namespace.
guest_there() {
	printf '%s\n' "[guest $1]" "uplink = netns:$NS-app2" "${2:-tto = yes}"
}

# left: of which guests there is something. (Kernels have files of their own.)
left() { find "$pins" -mindepth 1 -maxdepth 1 -type d -printf '%f\n'; }

# end_vtoed SIGNAL: it and its workers; what is claimed is left.
end_vtoed() {
	worker=$(worker_pid)
	kill -"$1" "$VTOED_PID"
	wait_for 5 net_gone "$VTOED_PID" || fail "$1: vtoed goes on"
	wait "$VTOED_PID" 2>/dev/null
	wait_for 2 net_gone "$worker" || fail "$1: the worker goes on"
	for name in "$GUEST" "$GUEST2"; do
		[ -e "$pins/$name/claims" ] || fail "$1: no claims of $name"
	done
	[ -n "$(program)" ] || fail "$1: the program has left the interface"
	stat -c %A:%u "$pins" "$pins/$GUEST" | grep -v '^drwx-----[-T]:0$' &&
		fail "$1: others may read $pins"
}

# end_each PID COUNTER: vtoed is killed, killed and away for a while, and hands
# over, while that program runs, and the counter says that it does.
end_each() {
	ended=0
	for how in KILL:0 KILL:3 USR2:0; do
		wait_for 20 stat_above "$2" 2000000 || break
		end_vtoed ${how%:*}
		ended=$((ended + 1))
		[ ${how#*:} = 0 ] || ! wait_for ${how#*:} net_gone "$1" ||
			fail "a program ends while there is no vtoed"
		net_start_vtoed
	done
}

# whole PID NAME: the file came as it was.
whole() {
	finish "$1" 120 "curl, $2" ||
		fail "$2: curl: exit $?: $(cat "$RUN/$2.log")"
	same_hash "$want" "$(hash_of <"$RUN/got")" "$2"
	[ $ended = 3 ] || fail "$2: vtoed ended $ended times, and not 3"
	say "$2: vtoed ended $ended times, every byte is there"
}

# A connection that exchanges something only when it is told to.
cat >"$RUN/idle.py" <<'END'
import socket, sys
s = socket.create_connection((sys.argv[1], 7000), 20)
s.settimeout(60)
while True:
    s.sendall(b"x" * 1000)
    got = 0
    while got < 1000:
        n = len(s.recv(1000))
        if not n:
            sys.exit("the end of the stream")
        got += n
    print("exchanged", flush=True)
    if not sys.stdin.readline():
        break
END
exchanged() { [ "$(grep -c exchanged "$RUN/$1.log")" = "$2" ]; }
# start_idle NAME PLACE ADDRESS: to a server of that guest.
start_idle() {
	start "$1.out" "$2" sh -c "exec $PROGS/echo 7000"
	wait_listening "$2" 7000
	mkfifo "$RUN/$1.in"
	(net_exec peer python3 "$RUN/idle.py" "$3" <>"$RUN/$1.in" \
		>"$RUN/$1.log" 2>&1) &
	idle=$!
	adopt $idle
}
# check_idle NAME PID: it had nothing to send meanwhile, and goes on.
check_idle() {
	net_gone "$2" && fail "$1: has ended: $(cat "$RUN/$1.log")"
	exchanged "$1" 1 || fail "$1: was not idle"
	echo >"$RUN/$1.in"
	wait_for 20 exchanged "$1" 2 ||
		fail "$1: does not go on: $(cat "$RUN/$1.log")"
}

# Connections of the peer's kernel that were reset.
resets() {
	peer sed -n 's/^Tcp: [0-9]* [0-9]* [0-9]* -1 //p' /proc/net/snmp |
		cut -d' ' -f4
}

mkdir -p "$RUN/www"
make_data "$RUN/www/data" "${VTOE_TEST_BYTES:-120000000}"
want=$(hash_of <"$RUN/www/data")

# The guest of a namespace that stays.
net_namespace "$NS-app2"
make_eth0
cp "$RUN/vtoed.conf" "$RUN/one.conf"
guest_there "$GUEST2" >>"$RUN/vtoed.conf"
net_guests=2
kill -HUP "$VTOED_PID"
wait_for 10 net_ready || error "no second guest: $(ctl list)"

start_idle bridge app $APP4
bridge=$idle
start_idle stays app2 $APP2_4
stays=$idle
for name in bridge stays; do
	wait_for 10 exchanged $name 1 ||
		error "$name: no connection: $(cat "$RUN/$name.log")"
done
before=$(resets)
[ -n "$before" ] || error "no count of resets"

start_nginx peer 1
nginx=$STARTED
start download app curl -sS --limit-rate 10M -o "$RUN/got" \
	"http://$PEER4:8080/data"
curl=$STARTED
end_each "$curl" rx_bytes
whole "$curl" download

net_end "$nginx"
start_nginx app 2
nginx=$STARTED
start server peer curl -sS --limit-rate 10M -o "$RUN/got" \
	"http://$APP4:8080/data"
curl=$STARTED
end_each "$curl" tx_bytes
whole "$curl" server

check_idle bridge $bridge
check_idle stays $stays
[ "$(resets)" = "$before" ] ||
	fail "the peer has seen resets: $(resets), and $before before"

# The same interface: its program was exchanged, by one of this vtoed.
id=$(program)
end_vtoed KILL
[ "$(program)" = "$id" ] || fail "the program went with vtoed"
net_start_vtoed
[ -n "$(program)" ] && [ "$(program)" != "$id" ] ||
	fail "the program of the one before: $(program)"

# Another one of that name, and perhaps number.
end_vtoed KILL
ip -n "$NS-app2" link del eth0
make_eth0
net_start_vtoed
ctl list --json | grep -o '"tto_failure": *"[^"]*"' && fail "no TTO on the next"
[ -n "$(program)" ] || fail "no program on the next interface"

# Another guest has the namespace now, and the first has no TTO any more.
end_vtoed KILL
{
	grep -v '^tto' "$RUN/one.conf"
	guest_there "${GUEST2}x"
} >"$RUN/vtoed.conf"
net_start_vtoed
ctl list --json | grep -o '"tto_failure": *"[^"]*"' &&
	fail "no TTO in the namespace of a guest that is gone"
[ "$(left)" = "${GUEST2}x" ] || fail "stale: $(left)"
ctl detach "${GUEST2}x" || fail "detach: exit $?"
[ -z "$(program)" ] || fail "the program stays when its guest is detached"
[ -z "$(left)" ] || fail "detached: $(left)"

# Stopped in order.
guest_there "$GUEST2" >>"$RUN/one.conf"
cp "$RUN/one.conf" "$RUN/vtoed.conf"
net_end "$VTOED_PID"
[ ! -e "$pins" ] || fail "stopped: $pins is left"

# Where nothing can be mounted it works, and says what it does not do.
echo "not ours" >"$pins"
net_start_vtoed
[ -n "$(program)" ] || fail "no program where nothing can be mounted"
why="^guest $GUEST: its TTO claims end with vtoed: mounting .*$pins"
ctl list | grep -q "$why" || fail "not said: $(ctl list)"
[ "$(grep -c "guest $GUEST: claims end with vtoed" "$RUN/vtoed.log")" = 1 ] ||
	fail "not in the log once"
net_end "$VTOED_PID"
[ -z "$(program)" ] || fail "the program is left where nothing can be mounted"
[ "$(cat "$pins")" = "not ours" ] || fail "the file of another is gone"
rm "$pins"

net_start_vtoed
[ -n "$(program)" ] || fail "no program"
kill -TERM "$VTOED_PID"
wait_for 5 net_gone "$VTOED_PID" || fail "vtoed goes on"
[ -z "$(program)" ] || fail "stopped: the program is left"
[ ! -e "$pins" ] || fail "stopped: $pins is left"
[ -z "$(ls "$RUN/vtoed")" ] || fail "stopped: left: $(ls "$RUN/vtoed")"
pass
