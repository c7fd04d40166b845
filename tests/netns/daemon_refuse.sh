#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Each bad input to vtoed and vtoectl: a non-zero exit, one line that names the
# value, and nothing half done: namespaces, interfaces, sockets, notes and
# control groups are the same before and after.
. "$(dirname "$0")/../lib/net.sh"
net_begin 60 "$0" "$@"
need setpriv util-linux
need socat socat
only_vtoe
net_up
A=t$$c

state() {
	ip netns list | sed 's/ .*//' | grep -e "$NS" -e "t$$" | sort
	ip -n "$NS-dd" -o link | sed 's/^[0-9]*: //;s/@.*//;s/:.*//' | sort
	find "$RUN" -name '*.log' -prune -o -name 'state.*' -prune -o -print |
		sort
	find /sys/fs/cgroup -type d -path "*vtoe/t$$*" 2>/dev/null | sort
}

# refused NAME-OF-CASE TEXT COMMAND...: exits with 1, one line with TEXT.
refused() {
	case=$1 text=$2
	shift 2
	state >"$RUN/state.before"
	status=0
	"$@" >"$RUN/out.log" 2>"$RUN/err.log" || status=$?
	state >"$RUN/state.after"
	[ "$status" = 1 ] || fail "$case: exit $status, not 1"
	[ "$(wc -l <"$RUN/err.log")" = 1 ] ||
		fail "$case: not one line on stderr"
	[ ! -s "$RUN/out.log" ] || fail "$case: output of a failed command"
	grep -qF -e "$text" "$RUN/err.log" ||
		fail "$case: \"$text\" is not in: $(cat "$RUN/err.log")"
	diff "$RUN/state.before" "$RUN/state.after" ||
		fail "$case: something has changed"
	say "$case: $(cat "$RUN/err.log")"
	count=$((${count:-0} + 1))
}

attach() { ctl attach "$@"; }

# -- attach, detach and the other commands -----------------------------------
refused "unknown bridge" '"nobridge"' attach "$A" uplink=bridge:nobridge
refused "unknown interface" '"noif0"' attach "$A" uplink=macvlan:noif0
refused "not a bridge" "is not a bridge" attach "$A" uplink=bridge:lo
refused "macvlan of loopback" '"lo"' attach "$A" uplink=macvlan:lo
refused "unknown namespace" '"nonetns"' attach "$A" uplink=netns:nonetns
refused "unknown kind of uplink" '"wire:br0"' attach "$A" uplink=wire:br0
refused "bad MAC" '"02:zz:00:00:00:01"' attach "$A" mac=02:zz:00:00:00:01
refused "group MAC" '"03:00:00:00:00:01"' attach "$A" mac=03:00:00:00:00:01
refused "bad address" '"10.77.0.300/24"' \
	attach "$A" uplink=bridge:br0 address=10.77.0.300/24
refused "address of another guest" "same IPv4 address as guest $GUEST" \
	attach "$A" uplink=bridge:br0 address=$APP4/24
ip -n "$NS-dd" addr add 10.77.0.50/24 dev br0
refused "address of this machine" "10.77.0.50 is in use by interface br0" \
	attach "$A" uplink=bridge:br0 address=10.77.0.50/24
for uplink in bridge:br0 macvlan:br0; do
	refused "address of another host, $uplink" "$PEER4 is in use by" \
		attach "$A" uplink=$uplink address=$PEER4/24
	refused "IPv6 address of another host, $uplink" "$PEER6 is in use by" \
		attach "$A" uplink=$uplink "address=10.77.0.8/24,$PEER6/64"
done
refused "neither yes nor no" '"perhaps"' attach "$A" check_address=perhaps
refused "address without uplink" "no uplink" attach "$A" address=10.77.0.8/24
refused "foreign gateway" gateway \
	attach "$A" uplink=bridge:br0 address=10.77.0.8/24 gateway=10.78.0.1
refused "MTU above the interface's" "mtu 9000" \
	attach "$A" uplink=macvlan:br0 mtu=9000 address=10.77.0.8/24
refused "bad name" '"Bad_Name"' attach Bad_Name
refused "long name" '"thirteenchars"' attach thirteenchars
refused "unknown key" '"colour"' attach "$A" colour=red
refused "attach twice" "there is a guest $GUEST already" attach "$GUEST"
refused "no such guest: detach" '"nobody"' ctl detach nobody
refused "no such guest: stats" '"nobody"' ctl stats nobody
refused "no such guest: sockets" '"nobody"' ctl sockets nobody
refused "no such guest: peers" '"nobody"' ctl peers nobody
refused "no such guest: link" '"nobody"' ctl link nobody up
refused "no such guest: log-level" '"nobody"' ctl log-level nobody info
refused "bad level" '"loud"' ctl log-level loud
refused "no vtoed" "is vtoed running?" "$VTOECTL" -r "$RUN/nowhere" list

# -- what belongs to somebody else -------------------------------------------
ip netns add "vtoe-$A"
refused "namespace of another" "vtoe-$A" attach "$A" uplink=bridge:br0
ip netns del "vtoe-$A"
ip -n "$NS-dd" link add "vt-$A" type bridge
refused "interface of another" "vt-$A" attach "$A" uplink=bridge:br0
ip -n "$NS-dd" link del "vt-$A"
start socat dd socat "UNIX-LISTEN:$RUN/taken.sock,fork" \
	STDIO
wait_for 5 test -S "$RUN/taken.sock" || error "socat does not listen"
refused "socket of another" "$RUN/taken.sock" \
	attach "$A" uplink=bridge:br0 "socket=$RUN/taken.sock"
echo precious >"$RUN/file"
refused "file in place of the socket" "$RUN/file" \
	attach "$A" "socket=$RUN/file"
[ "$(cat "$RUN/file")" = precious ] || fail "a file was replaced"
refused "no directory for the socket" "$RUN/none/x.sock" \
	attach "$A" uplink=bridge:br0 "socket=$RUN/none/x.sock"

# -- privilege ---------------------------------------------------------------
nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
mkdir "$RUN/bin" && cp "$VTOED" "$VTOECTL" "$RUN/bin" ||
	error "cannot copy the programs"
chmod -R a+rX "$RUN/bin" "$RUN/vtoed.conf" "$RUN/vtoed"
refused "missing privilege: vtoectl" "Permission denied" \
	nobody "$RUN/bin/vtoectl" -r "$RUN/vtoed" list
refused "missing privilege: vtoed" "missing privilege" \
	nobody "$RUN/bin/vtoed" -c "$RUN/vtoed.conf"

# -- the configuration -------------------------------------------------------
# configure LINE...: in $RUN/bad.conf, with a run_dir of its own.
configure() {
	printf '%s\n' "[vtoed]" "run_dir = $RUN/second" "log_level = error" \
		"$@" >"$RUN/bad.conf"
}

vtoed() { (net_exec dd timeout 20 "$VTOED" -c "$RUN/bad.conf" "$@"); }

configure "[guest $A]" "mac = 1"
refused "mistake in the configuration" "$RUN/bad.conf:5: mac: \"1\"" vtoed
refused "the same, only checked" "$RUN/bad.conf:5: mac: \"1\"" vtoed -n
configure "worker_user = no-such-user"
refused "unknown user" '"no-such-user"' vtoed
configure "control_group = no-such-group"
refused "unknown group" '"no-such-group"' vtoed
rm "$RUN/bad.conf"
refused "no configuration" "$RUN/bad.conf" vtoed
configure "run_dir = $RUN/vtoed"
refused "run_dir twice" "second time" vtoed
printf '%s\n' "[vtoed]" "run_dir = $RUN/vtoed" "log_level = error" \
	>"$RUN/bad.conf"
refused "run_dir of another vtoed" "another vtoed uses $RUN/vtoed" vtoed
configure "[guest $A]" "uplink = bridge:br0" "address = 10.77.0.8/24" \
	"[guest t$$d]" "uplink = bridge:nobridge"
refused "second guest of two" "$RUN/bad.conf:7: guest t$$d: " vtoed

[ "$(ctl list | wc -l)" = 2 ] || fail "the first guest is gone"
pass "$count kinds of bad input"
