#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The process that serves a program with the TTO service, vtoe-stack: it keeps
# none of the caller's descriptors; vtoe-run in vtoe-run starts no other; it
# finds the next worker also by a relative path; SIGTERM ends it only when its
# programs have ended; then it leaves nothing behind. If it is killed, programs
# have an error and do not hang.
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
new_worker() {
	[ -n "$(worker_pid)" ] && [ "$(worker_pid)" != "$worker" ] && net_ready
}
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
ls -l "/proc/$(stack_pid)/fd" | grep -q "$RUN/held" &&
	fail "vtoe-stack holds a descriptor of the caller's"
exec 9>&-
finish "$nested" 30 "curl, nested" || fail "nested: $(cat "$RUN/nested.log")"
same_hash "$want" "$(hash_of <"$RUN/got")" nested
wait_for 10 left_nothing || fail "nested: something is left"

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
