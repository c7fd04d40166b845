#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# What a worker that a guest took over could do: it is not root, has no
# capability and can gain none, has a system call filter, a network and a mount
# namespace of its own, and no descriptor of another guest. One with the TTO
# service, too: of the steering it has the two maps, not the program. With
# worker_user = root it is root, and has none of the rest either.
. "$(dirname "$0")/../lib/net.sh"
net_begin 60 "$0" "$@"
only_vtoe
net_up 2
GUEST3=t$$c
ctl attach "$GUEST3" uplink=bridge:br0 tto=yes >"$RUN/attach.log" ||
	error "no guest with tto = yes"

# field NAME: of the worker's status.
field() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$worker/status"; }

check() {
	[ "$2" = "$3" ] || fail "worker of $guest: $1 is $2, not $3"
}

differ() {
	one=$(readlink "/proc/$worker/ns/$1") two=$(readlink "/proc/$2/ns/$1")
	[ -n "$one" ] && [ "$one" != "$two" ] ||
		fail "worker of $guest: shares the $1 namespace of process $2"
}

# confined ROOT: the worker of $guest; as root (yes, no).
confined() {
	worker=$(worker_pid "$guest")
	[ -d "/proc/${worker:-none}" ] || error "vtoectl names no worker"
	for set in CapInh CapPrm CapEff CapBnd CapAmb; do
		check $set "$(field $set)" 0000000000000000
	done
	check NoNewPrivs "$(field NoNewPrivs)" 1
	check Seccomp "$(field Seccomp)" 2
	for id in $(field Uid) $(field Gid); do
		case $1:$id in
		no:0) fail "worker of $guest: runs as root" ;;
		yes:[!0]*) fail "worker of $guest: is not worker_user" ;;
		esac
	done
	check "its supplementary groups" "$(field Groups | tr -d ' ')" ""
	check "its network namespace" "$(readlink "/proc/$worker/ns/net")" \
		"net:[$(stat -L -c %i "/run/netns/vtoe-$guest")]"
	differ net "$VTOED_PID"
	differ mnt "$VTOED_PID"
	# Its file system is empty: nothing of the host can be opened.
	for path in etc/passwd run/vtoe proc/1/status "$RUN/vtoed"; do
		[ ! -e "/proc/$worker/root/$path" ] ||
			fail "worker of $guest: sees /$path"
	done
	[ "$(sed -n 's/^Max core file size *\([0-9]*\).*/\1/p' \
		"/proc/$worker/limits")" = 0 ] ||
		fail "worker of $guest: may write core files"
}

for guest in "$GUEST" "$GUEST2" "$GUEST3"; do
	confined no
done
# What the last one, of GUEST3, has of the kernel's BPF.
bpf() {
	find "/proc/$worker/fd" -lname "anon_inode:bpf$1" | wc -l
}
tto=no
if ctl list --json | grep -q '"tto"'; then
	tto=yes
	check "its number of maps" "$(bpf -map)" 2
	check "its number of programs" "$(bpf -prog)" 0
	check "its number of links" "$(bpf '[_-]link')" 0
fi
one=$(worker_pid "$GUEST") two=$(worker_pid "$GUEST2")
[ "$one" != "$two" ] || fail "two guests share a worker"
worker=$one guest=$GUEST
differ net "$two"
differ mnt "$two"

net_end "$VTOED_PID"
# shellcheck disable=SC2034 # for net_configure
NET_VTOED_KEYS="worker_user = root" NET_GUEST_KEYS="tto = yes"
net_configure
net_start_vtoed
for guest in "$GUEST" "$GUEST2"; do
	confined yes
done
[ $tto = no ] || ctl list --json | grep -q '"tto"' ||
	fail "as root: TTO is not offered: $(ctl list)"
pass
