#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The process that serves a program with the TTO service, vtoe-stack: it keeps
# none of the caller's descriptors; vtoe-run in vtoe-run starts no other; where
# none can run, `auto` does without it; it finds the next worker also by a
# relative path; SIGTERM ends it only when its programs have ended; then it leaves
# nothing behind. If it is killed, programs have an error and do not hang. An
# exchange rings the worker's bell once. What its programs say to each other waits
# for no worker. To connect where nobody is fails soon.
# Programs that do not read what they are sent do not take from the others what
# these receive with.
. "$(dirname "$0")/../lib/net.sh"
net_begin 120 "$0" "$@"
only_vtoe
need curl curl
sane curl --version
need nginx nginx-light
VTOE_TEST_SERVICE=tto
net_up

XDG_RUNTIME_DIR=$RUN/user
export XDG_RUNTIME_DIR
mkdir -p "$RUN/www" "$XDG_RUNTIME_DIR"
make_data "$RUN/www/data" 100000000
want=$(hash_of <"$RUN/www/data")
start_nginx peer 1
url=http://$PEER4:8080/data

# Those of this test: its socket is there.
stacks() {
	for directory in "$XDG_RUNTIME_DIR"/vtoe-*/stack.sock; do
		[ ! -S "$directory" ] || echo "$directory"
	done | wc -l
}
stack_is() { [ "$(stacks)" = "$1" ]; }
stack_pid() { pgrep -f "^vtoe-stack ([^ ]*/)?$GUEST.sock "; }
no_stack() { [ -z "$(stack_pid)" ]; }
left_nothing() { no_stack && [ -z "$(ls "$XDG_RUNTIME_DIR")" ]; }
slowly() {
	start "$1" app curl -sS --limit-rate 20M -o "$RUN/got" $url
	curl=$STARTED
	before=$(stat_of rx_bytes)
	wait_for 10 stat_above rx_bytes $((before + 200000)) ||
		fail "$1: nothing comes: $(cat "$RUN/$1.log")"
	stack=$(stack_pid)
	[ -n "$stack" ] || fail "$1: no vtoe-stack"
}

# vtoe-run in vtoe-run, both asked for the service; a lock of the caller's.
mkfifo "$RUN/held"
exec 9<>"$RUN/held"
start nested app "$VTOE_RUN" --service tto curl -sS --limit-rate 20M \
	-o "$RUN/got" $url
nested=$STARTED
wait_for 10 stack_is 1 || fail "nested: $(cat "$RUN/nested.log")"
[ -z "$(find "/proc/$(stack_pid)/fd" -lname "$RUN/held")" ] ||
	fail "vtoe-stack holds a descriptor of the caller's"
exec 9>&-
finish "$nested" 30 "curl, nested" || fail "nested: $(cat "$RUN/nested.log")"
same_hash "$want" "$(hash_of <"$RUN/got")" nested
wait_for 10 left_nothing || fail "nested: something is left"

# A program that root starts, and that is another user when it connects first.
# What it says of itself stays root's to read.
if command -v setpriv >/dev/null; then
	app setpriv --reuid=65534 --regid=65534 --clear-groups \
		curl -sS $url >"$RUN/got" 2>"$RUN/other.log" ||
		fail "another user: $(cat "$RUN/other.log")"
	same_hash "$want" "$(hash_of <"$RUN/got")" "another user"
	wait_for 10 left_nothing || fail "another user: something is left"
fi

# No stack can run: with auto it is the backend's TCP, with tto an error.
without() {
	(VTOE_SERVICE=$1 VTOE_STACK=$RUN/none
	export VTOE_SERVICE VTOE_STACK
	net_exec app curl -sS -o "$RUN/got" $url) >"$RUN/without.log" 2>&1
}
without auto || fail "auto without a stack: $(cat "$RUN/without.log")"
same_hash "$want" "$(hash_of <"$RUN/got")" auto
without tto && fail "tto without a stack: no error"
grep -q "vtoe-stack: .*No such file" "$RUN/without.log" ||
	fail "tto without a stack: not said why: $(cat "$RUN/without.log")"

# A relative path, and a worker that dies.
(cd "$RUN/vtoed" && VTOE_SOCKET=$GUEST.sock exec nsenter \
	--net="/run/netns/$NS-app" "$VTOE_RUN" curl -sS --limit-rate 20M \
	-o "$RUN/got" $url) >"$RUN/relative.log" 2>&1 &
relative=$!
adopt $relative
before=$(stat_of rx_bytes)
wait_for 10 stat_above rx_bytes $((before + 200000)) ||
	fail "relative: $(cat "$RUN/relative.log")"
worker=$(worker_pid)
kill -KILL "$worker" || error "no worker"
wait_for 10 new_worker || fail "no new worker"
finish $relative 40 "curl, relative path" ||
	fail "relative: $(cat "$RUN/relative.log")"
same_hash "$want" "$(hash_of <"$RUN/got")" "relative path"
wait_for 10 left_nothing || fail "relative: something is left"

# A response takes along the buffer that its request came in: one doorbell.
start exchanges app "$PROGS/echo" 7000
app=$STARTED
wait_listening app 7000
before=$(stat_of doorbells)
start rr peer "$PROGS/rr" $APP4 7000 1000
finish "$STARTED" 10 "rr" || fail "rr: $(cat "$RUN/rr.log")"
rang=$(($(stat_of doorbells) - before))
count=$(sed -n 's/^count //p' "$RUN/rr.log")
say "$count exchanges rang $rang times"
[ "$count" -ge 100 ] || fail "rr: $(cat "$RUN/rr.log")"
[ "$rang" -le $((count * 5 / 4)) ] || fail "$rang doorbells for $count exchanges"
net_end "$app"
wait_for 10 left_nothing || fail "exchanges: something is left"

# Where nobody is, the kernel's question for the neighbour tells, not TCP's patience.
for host in 10.77.0.99 "[fd77::99]"; do
	before=$(now_ms)
	app curl -sS --max-time 60 "http://$host:8080/" >"$RUN/nobody.log" 2>&1 &&
		fail "nobody: curl reaches $host"
	took=$(($(now_ms) - before))
	say "$host: $took ms: $(tail -n 1 "$RUN/nobody.log")"
	grep -qi "no route to host\|Failed to connect\|Couldn't connect" \
		"$RUN/nobody.log" || fail "nobody: $(cat "$RUN/nobody.log")"
	[ $took -lt 20000 ] || fail "nobody: it took $took ms"
done
wait_for 10 left_nothing || fail "nobody: something is left"

# While nobody answers at the device, programs of one stack talk to each other.
start local app sh -c "$PROGS/echo 7000 & sleep 1
	$PROGS/rr $APP4 7000 4000; kill \$!"
local=$STARTED
wait_listening app 7000
sleep 1.5
worker=$(worker_pid)
kill -STOP "$VTOED_PID"
kill -KILL "$worker" || error "no worker"
finish "$local" 20 "rr to itself" || fail "local: $(cat "$RUN/local.log")"
kill -CONT "$VTOED_PID"
worst=$(sed -n 's/^worst //p' "$RUN/local.log")
say "local, without a worker: at most $worst us"
[ "$worst" -lt 1000000 ] || fail "local: $(cat "$RUN/local.log")"
wait_for 10 new_worker || fail "no new worker"
wait_for 20 left_nothing || fail "local: something is left"
# the port of a listener that ended meanwhile is nobody's after 10 s
wait_for 20 stat_is tto_claims 0 || fail "local: its claim is left"

# Many that do not read, and one that answers, of one stack.
pushes=
readers="1 2 3 4 5 6 7 8"
start readers app sh -c "for i in $readers; do
	timeout 60 $PROGS/flow pull listen 730\$i &
done
exec $PROGS/echo 7000"
app=$STARTED
for i in $readers; do
	wait_listening app 730$i
	start "push$i" peer "$PROGS/flow" push connect $APP4 730$i 50000000
	pushes="$pushes $STARTED"
done
wait_listening app 7000
pulls=$(pgrep -f "^$PROGS/flow pull listen 730")
for pid in $pulls; do
	adopt "$pid"
done
for i in $readers; do
	wait_for 20 grep -q stalled "$RUN/push$i.log" ||
		fail "the sender $i never stalls: $(cat "$RUN/push$i.log")"
done
start rr peer "$PROGS/rr" $APP4 7000 200
finish "$STARTED" 10 "rr beside readers that do not read" ||
	fail "rr: $(cat "$RUN/rr.log")"
for pid in $pushes $app $pulls; do
	kill -KILL "$pid"
done
wait_for 20 left_nothing || fail "readers: something is left"

# SIGTERM: its program's connection goes on, it ends after that.
slowly terminated
kill -TERM "$stack"
finish "$curl" 30 "curl, SIGTERM" || fail "SIGTERM: $(cat "$RUN/terminated.log")"
same_hash "$want" "$(hash_of <"$RUN/got")" SIGTERM
wait_for 10 left_nothing || fail "SIGTERM: something is left"

# SIGKILL: an error at once.
slowly killed
kill -KILL "$stack"
wait_for 10 net_gone "$curl" || fail "curl hangs when vtoe-stack is killed"
wait "$curl" && fail "curl has not noticed that vtoe-stack was killed"
say "killed: $(tail -n 1 "$RUN/killed.log")"
pass
