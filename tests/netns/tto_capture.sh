#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# vtoectl capture, of traffic that it does not disturb: what a guest with TTO
# gets and sends, as tcpdump reads it. Both directions are there, an aggregate
# is one packet, so is a segment before it is cut, and every checksum is right;
# --claim, --count, --seconds, --snap and an interrupt do what they say; a second
# capture is refused; one whose reader, or whose worker, has gone ends.
. "$(dirname "$0")/../lib/net.sh"
net_begin 90 "$0" "$@"
need tcpdump tcpdump
need python3 python3
only_vtoe
# shellcheck disable=SC2034 # for net_up
NET_GUEST_KEYS="tto = yes
tto_hold_usec = 2000"
net_up
BYTES=60000

# capture LOG ARGUMENTS: in the background; STARTED.
capture() {
	log=$1
	shift
	start "$log" dd "$VTOECTL" -r "$RUN/vtoed" capture "$GUEST" "$@"
}

# Is one under way? Then another one is refused, before its claim is, which there
# is not.
captures() {
	ctl capture "$GUEST" --claim 4294967295 -w "$RUN/none" 2>&1 |
		grep -q "another capture is under way"
}
free() { ! captures; }
# begun WHICH
begun() { wait_for 5 captures || fail "$1: no capture under way"; }

# traffic [ROUNDS] [ADDRESS]: echo_native's counts are in $RUN/echo_native.log.
traffic() {
	native "$PROGS/echo_native" "${2:-$PEER4}" 7000 $BYTES "${1:-1}" \
		>"$RUN/echo_native.log" 2>&1 </dev/null ||
		fail "echo_native: $(cat "$RUN/echo_native.log")"
}

# dump FILE [FILTER]: a line a packet, with addresses and checksums.
dump() {
	file=$1
	shift
	tcpdump -nn -tt -vv -r "$file" "$@" 2>"$RUN/tcpdump.log" | paste -sd' ' |
		sed 's/ \([0-9]\{10\}\.[0-9]\{6\} IP\)/\n\1/g; s/$/\n/' |
		grep . || :
}
count() { dump "$@" | wc -l; }
# longest FILE FILTER: the most payload of one packet.
longest() {
	dump "$@" | sed -n 's/.* length \([0-9]*\) *$/\1/p' | sort -n | tail -n 1
}

# right FILE: something each way, and every checksum.
right() {
	all=$(count "$1")
	good=$(dump "$1" | grep -c 'cksum 0x[0-9a-f]* (correct)')
	[ "$all" -gt 0 ] && [ "$all" = "$good" ] ||
		fail "$1: $good of $all TCP checksums are right: $(dump "$1" |
			grep -v '(correct)' | head -n 3)"
	dump "$1" | grep -q 'bad cksum' && fail "$1: a wrong IP checksum"
	for way in "dst port 7000" "src port 7000"; do
		[ "$(count "$1" "$way")" -gt 1 ] || fail "$1: nothing of $way"
	done
}

# ended PID STATUS WORDS LOG
ended() {
	finish "$1" 10 "vtoectl capture"
	status=$?
	[ $status = "$2" ] || fail "$4: exit $status: $(cat "$RUN/$4.log")"
	grep -q "$3" "$RUN/$4.log" ||
		fail "$4: does not say \"$3\": $(cat "$RUN/$4.log")"
}

if ! ctl list --json | grep -q '"tto"\]'; then
	why=$(ctl list | sed -n 's/.*TTO is not offered: //p')
	ctl capture "$GUEST" -w "$RUN/none" 2>"$RUN/refused.log" &&
		fail "a capture without TTO"
	grep -q "TTO is not offered: ." "$RUN/refused.log" ||
		fail "not said why: $(cat "$RUN/refused.log")"
	case $why in
	*built*) pass "this build has no TTO, and says so" ;;
	esac
	skip "machine: $why"
fi
start echo peer "$PROGS/echo" 7000
wait_listening peer 7000

# Both families, to the end.
for host in $PEER4 $PEER6; do
	capture one -w "$RUN/one.pcapng"
	one=$STARTED
	begun one
	traffic 4 $host
	kill -INT "$one"
	ended "$one" 0 "[1-9][0-9]* packets captured, 0 not captured" one
	right "$RUN/one.pcapng"
	[ "$(count "$RUN/one.pcapng" "host $host")" = \
		"$(count "$RUN/one.pcapng")" ] ||
		fail "packets of others than $host"
	[ "$(longest "$RUN/one.pcapng" "dst port 7000")" = $BYTES ] ||
		fail "a long segment is not one packet"
	[ "$(longest "$RUN/one.pcapng" "src port 7000")" -gt 3000 ] ||
		fail "no aggregate of several segments"
done

# What only pcapng has: its blocks, read as its specification says.
cat >"$RUN/blocks.py" <<'END'
import struct, sys

data = open(sys.argv[1], "rb").read()
at, kinds, flags, comments, names = 0, [], set(), [], []
while at < len(data):
    kind, size = struct.unpack_from("=II", data, at)
    assert size % 4 == 0 and size >= 12, size
    assert struct.unpack_from("=I", data, at + size - 4)[0] == size
    options = {0x0A0D0D0A: 24, 1: 16, 5: 20}.get(kind)
    if kind == 6:
        captured, original = struct.unpack_from("=II", data, at + 20)
        assert captured <= original
        options = 28 + (captured + 3) // 4 * 4
    option = at + options
    while option < at + size - 4:
        code, length = struct.unpack_from("=HH", data, option)
        value = data[option + 4:option + 4 + length]
        if kind == 6 and code == 1:
            comments.append(value.decode())
        if kind == 6 and code == 2:
            flags.add(struct.unpack("=I", value)[0])
        if kind == 1 and code == 2:
            names.append(value.decode())
        option += 4 + (length + 3) // 4 * 4
    kinds.append(kind)
    at += size
assert kinds[:2] == [0x0A0D0D0A, 1] and kinds[-1] == 5, kinds
assert set(kinds[2:-1]) == {6} and flags == {1, 2}
print(names[0], kinds.count(6))
print("\n".join(comments))
END
python3 "$RUN/blocks.py" "$RUN/one.pcapng" >"$RUN/blocks.log" 2>&1 ||
	fail "one.pcapng is no right pcapng"
head -n 1 "$RUN/blocks.log" | grep -q "^$GUEST $(count "$RUN/one.pcapng")$" ||
	fail "the interface's name, or the number of blocks"
# The aggregate with the most segments is there with as many.
most=$(sed -n 's/.*of \([0-9]*\) at most/\1/p' "$RUN/echo_native.log")
[ "$most" -gt 1 ] || fail "nothing was aggregated"
grep -q "^$most segments, [a-z_]*, claim " "$RUN/blocks.log" ||
	fail "no comment of $most segments"
grep -q "^to be 4[1-9] segments, claim" "$RUN/blocks.log" ||
	fail "no comment of a segment that is cut"

# To a pipe; the reader ends it.
(ctl capture "$GUEST" 2>"$RUN/pipe.log"; echo $? >"$RUN/pipe.status") |
	tcpdump -nn -c 5 -r - >"$RUN/piped.log" 2>&1 &
adopt $!
begun pipe
traffic 4
wait_for 5 test -s "$RUN/pipe.status" || fail "pipe: does not end"
[ "$(cat "$RUN/pipe.status")" = 0 ] || fail "pipe: $(cat "$RUN/pipe.log")"
[ "$(grep -c Flags "$RUN/piped.log")" = 5 ] || fail "pipe: not 5 packets"
wait_for 5 free || fail "pipe: the worker goes on"

# --count, --snap; the file is root's alone.
capture few --count 7 --snap 100 -w "$RUN/few.pcapng"
few=$STARTED
begun few
traffic 2
ended "$few" 0 "^vtoectl: 7 packets captured" few
[ "$(count "$RUN/few.pcapng")" = 7 ] || fail "--count 7: not 7 packets"
[ "$(stat -c %s "$RUN/few.pcapng")" -lt 2500 ] || fail "--snap: too large"
[ "$(stat -c %a "$RUN/few.pcapng")" = 600 ] || fail "others may read packets"

# --seconds, of nothing.
capture none --seconds 1 -w "$RUN/none.pcapng"
ended "$STARTED" 0 "^vtoectl: 0 packets captured, 0 not" none
[ "$(count "$RUN/none.pcapng")" = 0 ] || fail "packets of nobody"

# --claim: the connection's has packets, the port's has none.
claimed() { grep -q "^claimed" "$RUN/claims.log"; }
for which in 2 3; do
	rm -f "$RUN/claims.in"
	mkfifo "$RUN/claims.in"
	(exec 3<>"$RUN/claims.in"
	net_exec native "$PROGS/echo_native" $PEER4 7000 $BYTES \
		<"$RUN/claims.in" >"$RUN/claims.log" 2>&1 3<&-) &
	claims=$!
	adopt $claims
	exec 3>"$RUN/claims.in"
	wait_for 10 claimed || fail "no claims: $(cat "$RUN/claims.log")"
	id=$(cut -d' ' -f$which "$RUN/claims.log")
	capture claim --claim "$id" -w "$RUN/claim.pcapng"
	claim=$STARTED
	begun claim
	echo >&3
	exec 3>&-
	finish $claims 10 echo_native || fail "echo_native: exit $?"
	kill -INT "$claim"
	ended "$claim" 0 "packets captured" claim
	[ $which = 2 ] && right "$RUN/claim.pcapng"
	[ $which = 2 ] || [ "$(count "$RUN/claim.pcapng")" = 0 ] ||
		fail "--claim of a port: packets of another claim"
done

# refused STATUS WORDS ARGUMENTS
refused() {
	want=$1 words=$2
	shift 2
	ctl capture "$@" >"$RUN/refused.out" 2>"$RUN/refused.log" </dev/null
	status=$?
	[ $status = "$want" ] || fail "capture $*: exit $status"
	grep -q "$words" "$RUN/refused.log" ||
		fail "capture $*: $(cat "$RUN/refused.log")"
	[ ! -s "$RUN/refused.out" ] || fail "capture $*: packets all the same"
}
refused 1 "there is no claim 4242: see .vtoectl flows" "$GUEST" --claim 4242
refused 1 "there is no guest \"nobody\"" nobody
refused 2 '"0" is not a number' "$GUEST" --count 0
refused 2 "wrong arguments for capture"
refused 1 "/no/where/x: No such file" "$GUEST" -w /no/where/x
wait_for 5 free || fail "the capture that could not be written goes on"
script=$(command -v script || :)
if [ -n "$script" ]; then
	"$script" -qec "'$VTOECTL' -r '$RUN/vtoed' capture $GUEST" \
		/dev/null >"$RUN/terminal.log" 2>&1 </dev/null &&
		fail "packets to a terminal"
	grep -q "name a file with -w" "$RUN/terminal.log" ||
		fail "terminal: no remedy is named"
fi

# A reader that stands still misses packets, which are counted, and delays
# nobody.
mkfifo "$RUN/slow"
(exec "$VTOECTL" -r "$RUN/vtoed" capture "$GUEST" \
	>"$RUN/slow" 2>"$RUN/slow.log") &
slow=$!
adopt $slow
exec 4<"$RUN/slow"
begun slow
traffic 120
cat <&4 >"$RUN/slow.pcapng" &
reader=$!
exec 4<&-
# There is room again: what is captured now tells of those that were not.
some() { [ "$(stat -c %s "$RUN/slow.pcapng")" -gt 500000 ]; }
wait_for 10 some || fail "slow: $(cat "$RUN/slow.log")"
traffic 1
kill -INT $slow
ended $slow 0 ", [1-9][0-9]* not captured" slow
wait $reader
right "$RUN/slow.pcapng"

# The worker dies: said, and what there was is right.
capture dead -w "$RUN/dead.pcapng"
dead=$STARTED
begun dead
traffic
worker=$(worker_pid)
kill -KILL "$worker" || error "no worker"
ended "$dead" 1 "its worker has ended" dead
right "$RUN/dead.pcapng"
kill -0 "$VTOED_PID" || fail "vtoed has ended"
[ "$(stat_of worker_restarts)" = 1 ] || fail "another worker was lost"

# A second reader, which takes every header apart: checksums of IP (1: good) and
# TCP, lengths, options. What it finds about the flow ("previous segment not
# captured") is no fault of a packet.
if command -v tshark >/dev/null; then
	for file in one slow claim dead; do
		tshark -r "$RUN/$file.pcapng" -o tcp.check_checksum:TRUE \
			-o ip.check_checksum:TRUE -T fields \
			-e tcp.checksum.status -e ip.checksum.status \
			-e _ws.malformed -e ip.bogus_ip_length \
			>"$RUN/tshark.out" 2>"$RUN/tshark.log" ||
			fail "$file: tshark: $(cat "$RUN/tshark.log")"
		grep -Evn '^1	1?		$' "$RUN/tshark.out" >"$RUN/bad.out" &&
			fail "$file: tshark: $(head -n 3 "$RUN/bad.out")"
		[ "$(wc -l <"$RUN/tshark.out")" = \
			"$(count "$RUN/$file.pcapng")" ] ||
			fail "$file: tshark and tcpdump count different packets"
	done
	say "tshark finds every packet right"
fi
pass
