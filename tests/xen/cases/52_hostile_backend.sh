# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# A backend that misbehaves in each way that we can think of, in place of vtoed:
# the guest's kernel says nothing bad, applications get errors within 2 s (with
# call_timeout_ms=1500, for those that do not answer), pages are never used
# before the backend has unmapped them, what it keeps is counted and bounded,
# and vtoed serves the same guest afterwards (P1, P2, I7).
# limit: 1500
hostile=/opt/vtoe/libexec/hostile_backend
user=/opt/vtoe/libexec/device_user
counters=/sys/bus/xen/drivers/vtoe
log=/tmp/hostile.log

vtoed_stop() {
	kill "$(vtoed_pid)" 2> /dev/null
	wait_for 20 eval '! vtoed_runs'
}
hostile_start() { # MODE
	echo "== $1"
	"$hostile" "$(domid)" "$1" > $log 2>&1 &
	hostile_pid=$!
	wait_for 40 grep -qE '^(ready|ERROR)' $log
	grep -q '^ready' $log || cat $log
}
hostile_stop() {
	kill "$hostile_pid" 2> /dev/null
	wait "$hostile_pid" 2> /dev/null
	tail -n 2 $log
}
# counts: "connections granted registered quarantined"
counts() {
	in_guest 10 "cd $counters && echo \$(cat connections granted_pages registered_pages quarantined_pages)"
}
is_base() { counts > /dev/null && [ "$OUT" = "0 1 0 0" ]; }
at_base() {
	wait_for 15 is_base || {
		echo "counters: $OUT"
		return 1
	}
}
# try ARGUMENT...: device_user in the guest; OUT is what it says
try() {
	in_guest 60 "$user $*" && echo "$OUT" | sort | uniq -c | head -12
}
# no line of OUT tells of more than 2 s
soon() {
	! echo "$OUT" | awk '$(NF - 2) == "in" && $(NF - 1) > 2000 { n++ }
		END { exit !n }'
}
says() { # WHAT REGEX: all lines of OUT that begin with WHAT
	echo "$OUT" | grep -q "^$1: " &&
		! echo "$OUT" | grep "^$1: " | grep -qvE "^$1: ($2) "
}
# patience MS: with a backend that lives and does not answer
patience() {
	in_guest 10 "echo $1 > /sys/module/vtoe/parameters/call_timeout_ms"
}
# vtoed is back: it serves, and the counters are what they were
vtoed_serves() {
	vtoed_start && connected && guest_fetches 1m && at_base || {
		echo "states $(backend_state) $(frontend_state), guest says: $OUT"
		return 1
	}
}
# afterwards MODE: ends the hostile one and lets vtoed serve
afterwards() {
	hostile_stop
	patience 5000
	expect "$1: vtoed serves afterwards, counters at their base" vtoed_serves
	vtoed_stop
}
# ring MODE REGEX: opens three times; what open may say
ring() {
	expect "$1: the frontend connects" hostile_start "$1"
	try -n 3 || true
	expect "$1: open fails as it should" says open "$2"
	expect "$1: within 2 s" soon
	afterwards "$1"
}

vtoed_stop
expect "an honest one of ours connects" hostile_start honest
try -n 3
expect "and is used" says open OK
afterwards honest

ring jump 'EPROTO|ENODEV|ENOTCONN|no device'
ring jump_back 'EPROTO|ENODEV|ENOTCONN|no device'
ring nothing 'EPROTO|ENODEV|ENOTCONN|no device'
ring other_op 'EPROTO|ENODEV|ENOTCONN|no device'
patience 1500
ring silent 'ETIMEDOUT'
ring 'end' 'ENOTCONN|ENODEV|no device'

hostile_start twice
try -n 1
expect "twice: the answer counts, and the second breaks the ring" says open \
	'OK|EPROTO|ENOTCONN'
try -n 2
expect "twice: nothing is asked of it any more" says open 'ENODEV|ENOTCONN|no device'
afterwards twice

hostile_start garbage
try -n 9
expect "garbage: none comes through" says open EPROTO
expect "garbage: within 2 s" soon
afterwards garbage

# P1: it says that it let go, and does not
hostile_start keep
try -n 1
counts
say "counters: $OUT"
expect "keep: its 256 pages are quarantined" test "$OUT" = "0 1 0 256"
in_guest 5 'echo 600 > /sys/module/vtoe/parameters/max_quarantined_pages'
try -n 5
expect "keep: at the limit nothing more is granted" eval 'echo "$OUT" | tail -n 1 | grep -q ENOSPC'
counts
expect "keep: so the leak is bounded" test "${OUT##* }" -le 857
in_guest 5 'echo 0 > /sys/module/vtoe/parameters/max_quarantined_pages'
afterwards keep

hostile_start refuse_and_keep
try -n 2
expect "refuse_and_keep: its error is the application's" says open EPERM
counts
expect "refuse_and_keep: 512 pages are quarantined" eval \
	'[ "${OUT##* }" -ge 512 ] && [ "${OUT##* }" -le 514 ]'
afterwards refuse_and_keep

# answers CONNECT, and nothing else: close() does not wait for ever, registering
# fails in time, and a ring full of requests is not waited for either
patience 1500
hostile_start deaf
try -n 1 -r 16
expect "deaf: open" says open OK
expect "deaf: registering fails in time" says register 'ETIMEDOUT'
expect "deaf: all of it within 2 s" soon
counts
expect "deaf: what was closed counts as quarantined" test "$OUT" = "1 1 0 274"
in_guest 40 "for i in \$(seq 20); do $user > /dev/null & done; wait; $user"
expect "deaf: a full ring is busy" says open EBUSY
expect "deaf: and says so within 2 s" soon
afterwards deaf

# a storm of events, while an application uses the device
hostile_start storm
try -n 1 -h 3000
expect "storm: the guest lives and the device works" says open OK
try -n 3
expect "storm: they still do" says open OK
afterwards storm

hostile_start scribble
try -n 2
expect "scribble: no answer that counts" says open 'E[A-Z]*|no device'
expect "scribble: within 2 s" soon
afterwards scribble

# the process ends while an application waits for events
hostile_start honest
guest_begin 30 "$user -p"
wait_for 20 grep -q 'op 1' $log
hostile_stop
guest_end
expect "ended: poll() says so" says end OK
expect "ended: within 2 s" soon
try -n 1
expect "ended: nothing more is opened" says open 'ENODEV'
expect "ended: vtoed serves afterwards" vtoed_serves
vtoed_stop

# an application that waits in open() can be killed
hostile_start silent
in_guest 20 "$user & sleep 0.4; kill -9 \$!; s=\${EPOCHREALTIME/./}; wait; e=\${EPOCHREALTIME/./}; echo killed in \$(((e - s) / 1000)) ms"
say "$OUT"
expect "silent: open can be killed" soon
expect "silent: at once" eval '! echo "$OUT" | grep -q "[0-9]\{4,\} ms"'
afterwards silent

# -- xenbus -----------------------------------------------------------------------

played() { wait_for "${1:-60}" grep -q '^played' $log; }

hostile_start early
expect "early: states in any order" played
expect "early: the guest answers" in_guest 10 true
afterwards early

hostile_start cycle
expect "cycle: offers round in circles" played
grep played $log
counts
expect "cycle: the ring pages that it keeps are counted" eval \
	'[ "${OUT##* }" = "$(sed -n "s/.*rounds, \([0-9]*\) ring.*/\1/p" $log)" ]'
afterwards cycle

hostile_start version
expect "version: garbage is offered" played
expect "version: and refused, but one that is known is taken" grep -q \
	'12 of 12 refused, 0 taken, 3,2,1 taken' $log
afterwards version

hostile_start absurd
expect "absurd: limits that are none" played
expect "absurd: are brought within bounds" grep -q '6 of 6 connected' $log
afterwards absurd

hostile_start gone
try -n 1
expect "gone: no device without a backend's directory" says open \
	'ENODEV|ENOTCONN|no device'
afterwards gone

# what vtoed's end left is for the next case to find
vtoed_start
connected
