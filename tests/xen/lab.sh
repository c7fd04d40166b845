#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# lab.sh [OPTION...] DIR: builds vtoe for a Debian with Xen, boots Xen with a PV
# dom0 under QEMU's software emulation, runs the cases there, and prints their
# verdicts. DIR keeps the root file system for the next run, keyed by what it is
# made of, and the logs (SUITE/console.log, SUITE/logs/). Needs root.
#
#   --suite trixie|bookworm   Debian 13: Xen 4.20, Linux 6.12 (the default);
#                             Debian 12: Xen 4.17, Linux 6.1
#   --guests "pv pvh"         types of guests, one after the other
#   --cases "NAME ..."        cases/NAME.sh; all if not given
#   --rounds N                of each fault (default 3)
#   --bench                   the comparison, bench/, in place of the cases
#   --settings "NAME=VALUE"   variables for the cases
#   --shell                   afterwards (or at once, without --cases) dom0 is
#                             kept, and runs scripts that come by
#                             `nsenter --net=/run/netns/NS socat - TCP:10.9.0.2:7000`
#   --build DIRECTORY         where vtoe is built for this machine, for the far
#                             end's programs (default: the current directory)
#   --seconds N               that the whole boot may take (default 1500)
#
# The verdicts come out on a disk that dom0 writes an archive to. A warning of a
# kernel, of dom0 or of a guest, or an error message of the hypervisor fails the
# case in which it is seen. Exits 0, 1 fail, 77 skip, 99.
set -euo pipefail

here=$(dirname "$(realpath "$0")")
top=$(realpath "$here/../..")
began=$SECONDS
say() { printf '[%2d:%02d] %s\n' $(((SECONDS - began) / 60)) $(((SECONDS - began) % 60)) "$*"; }
usage() {
	sed -n '3,29s/^# \{0,1\}//p' "$0"
	exit "$1"
}

suite=trixie guests='pv pvh' cases='' rounds=3 kind=cases shell='' build=$PWD
limit=1500 settings=''
while [ $# -gt 0 ]; do
	case $1 in
	--suite) suite=$2; shift ;;
	--guests) guests=$2; shift ;;
	--cases) cases=$2; shift ;;
	--rounds) rounds=$2; shift ;;
	--build) build=$(realpath "$2"); shift ;;
	--seconds) limit=$2; shift ;;
	--bench) kind=bench limit=3400 ;;
	--settings) settings=$2; shift ;;
	--shell) shell=1 ;;
	-h | --help) usage 0 ;;
	-*) usage 99 >&2 ;;
	*) break ;;
	esac
	shift
done
[ $# = 1 ] || usage 99 >&2
[ "$(id -u)" = 0 ] || { echo "SKIP: needs root"; exit 77; }
for p in qemu-system-x86_64:qemu-system-x86 mmdebstrap:mmdebstrap \
	cpio:cpio modprobe:kmod mke2fs:e2fsprogs iperf3:iperf3 xz:xz-utils \
	python3:python3-minimal curl:curl socat:socat \
	redis-benchmark:redis-tools nsenter:util-linux; do
	command -v "${p%%:*}" > /dev/null ||
		{ echo "SKIP: ${p%%:*} is missing: apt-get install ${p#*:}"; exit 77; }
done
[ -c /dev/net/tun ] || { echo "SKIP: machine: no /dev/net/tun"; exit 77; }
memory=$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
[ "$memory" -ge 4500 ] ||
	{ echo "SKIP: machine: $memory MiB of memory are free, 4500 are needed"; exit 77; }
# shellcheck disable=SC2086,SC2116 # words, with one blank between
cases=$(echo $cases)
for c in $cases; do
	[ -f "$here/$kind/$c.sh" ] ||
		{ echo "lab.sh: there is no $here/$kind/$c.sh" >&2; exit 99; }
done
mkdir -p "$1/$suite"
dir=$(realpath "$1/$suite")
root=$dir/root

# -- the root file system, once for each content of mkrootfs.sh ----------------
key=$(echo "$suite" | cat - "$here/mkrootfs.sh" | sha256sum | cut -c1-16)
if [ "$(cat "$dir/root.key" 2> /dev/null)" != "$key" ]; then
	say "unpack Debian's $suite with Xen (about 90 s)"
	rm -f "$dir/root.key" "$dir/root.img"
	"$here/mkrootfs.sh" "$suite" "$root" > "$dir/root.log" 2>&1 ||
		{ echo "ERROR: no root file system: read $dir/root.log"; exit 99; }
	truncate -s 5G "$dir/root.img"
	mke2fs -q -t ext4 -O ^has_journal -d "$root" "$dir/root.img"
	echo "$key" > "$dir/root.key"
fi
kver=$(basename "$(echo "$root"/usr/lib/modules/* "$root"/lib/modules/* | tr ' ' '\n' | grep -v '\*' | sort -V | tail -1)")

say "build vtoe and vtoe.ko for Linux $kver"
rm -rf "$root/src" "$root/kmod" "$root/lab" "$root/opt/vtoe"
mkdir -p "$root/src" "$root/build" "$root/lab"
(cd "$top" && tar -c --exclude=./.git --exclude=./build-aux-none \
	--exclude='*.o' --exclude='*.trs' --exclude='*.log' --exclude='./xen-lab' \
	--exclude='*/xen-lab' --exclude='./build-*' --exclude=./build . ) |
	tar -x -C "$root/src"
mkdir -p "$root/src/build-aux"
cp -a "$top"/build-aux/. "$root/src/build-aux/" 2> /dev/null || true
cp -r "$root/src/frontend" "$root/kmod"
# Programs that run in dom0 and guests, beside what is installed.
programs=$(sed -n 's/^xen_lab_programs *= *//p' "$here/module.am")
chroot "$root" bash -euc '
	export LC_ALL=C
	cd /src
	[ -x configure ] || autoreconf -fi
	cd /build
	[ -f Makefile ] || /src/configure -q --prefix=/opt/vtoe
	make -s -j2 vtoed vtoectl libvtoe.la libvtoe-preload.la vtoe-run \
		vtoe-stack vtoe-inside.la '"$programs"'
	make -s install-exec
	mkdir -p /opt/vtoe/libexec
	for p in '"$programs"'; do
		./libtool --silent --mode=install install "$p" /opt/vtoe/libexec/
	done
	make -s -C /usr/src/linux-headers-*-amd64 M=/kmod modules
	strip -g /kmod/vtoe.ko
	cp /kmod/vtoe.ko /lab/vtoe.ko' > "$dir/build.log" 2>&1 ||
	{ tail -n 5 "$dir/build.log"; echo "ERROR: the build failed: read $dir/build.log"; exit 99; }
cp "$here/dom0.sh" "$root/lab/dom0"
cp "$here/guest.sh" "$root/lab/guest"
cp "$here/lib.sh" "$here/faults.sh" "$root/lab/"
cp "$here/labinit" "$root/labinit"
mkdir "$root/lab/cases"
cp "$here/$kind"/*.sh "$root/lab/cases/"
cat > "$root/lab/settings" <<- S
	TYPES='$guests'
	CASES='$cases'
	ROUNDS='$rounds'
	LAB_SHELL='$shell'
S
for s in $settings; do
	echo "export ${s%%=*}='${s#*=}'" | sed "s/,/ /g"
done >> "$root/lab/settings"
chmod +x "$root/lab/dom0" "$root/lab/guest" "$root/labinit"

say "make the images"
gunzip -c "$root"/boot/xen-4.*-amd64.gz > "$dir/xen"
cp "$root/boot/vmlinuz-$kver" "$dir/vmlinuz"
"$here/mkinitrd.sh" "$root" "$kver" "$dir/dom0.cpio.gz"
"$here/mkguest.sh" "$root" "$kver" "$dir/guest.cpio.gz" opt/vtoe lab
cp "$dir/guest.cpio.gz" "$root/lab/"
tar -cf "$dir/lab.tar" -C "$root" labinit lab opt/vtoe
truncate -s %512 "$dir/lab.tar"
rm -f "$dir/out.img"
truncate -s 64M "$dir/out.img"

# -- the far end: a namespace of its own ---------------------------------------
ns=vtoe-lab-$$
ip netns add "$ns"
in=(nsenter "--net=/run/netns/$ns")
pids=()
cleanup() {
	[ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2> /dev/null || true
	# and what cases left at the far end
	ip netns pids "$ns" | xargs -r kill -9 2> /dev/null || true
	wait
	ip netns del "$ns"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
"${in[@]}" ip link set lo up
"${in[@]}" ip tuntap add tap0 mode tap
"${in[@]}" ip addr add 10.9.0.1/24 dev tap0
"${in[@]}" ip -6 addr add fd00:9::1/64 dev tap0 nodad
"${in[@]}" ip link set tap0 up
mkdir -p "$dir/peer"
blob() { # NAME BYTES: a file of the far end, and its sum
	[ -f "$dir/peer/$1.sum" ] ||
		{ head -c "$2" /dev/urandom > "$dir/peer/$1"; sha256sum "$dir/peer/$1" | cut -d' ' -f1 > "$dir/peer/$1.sum"; }
}
blob 20m 20000000
blob 200m 200000000
blob 50m 50000000
blob 1m 1000000
for p in $(sed -n '/^xen_peer_programs/,/[^\\]$/p' "$here/module.am" |
	sed 's/.*=//; s/\\$//'); do
	rm -f "$dir/peer/${p##*/}"
	[ ! -x "$build/$p" ] || cp -f "$build/$p" "$dir/peer/"
done
BUILD=$build "${in[@]}" python3 "$here/peer.py" "$dir/peer" > "$dir/peer.log" 2>&1 & pids+=($!)
for port in 5201 5202 5203; do
	"${in[@]}" iperf3 -s -B 10.9.0.1 -p $port > "$dir/iperf3.$port.log" 2>&1 & pids+=($!)
done

say "boot Xen"
[ -z "$shell" ] || say "the far end's namespace is $ns"
LAB_RUN=dom0 "${in[@]}" timeout "$limit" "$here/boot.sh" "$dir" pv \
	> "$dir/console.log" 2>&1 & boot=$!
pids+=("$boot")
shown=0
lines() { tr -d '\r' < "$dir/console.log" | grep -aE '^(CASE |BEGIN |not ok|BENCH )' || true; }
now='Xen and dom0 start' since=$SECONDS told=$SECONDS
while kill -0 $boot 2> /dev/null; do
	sleep 1
	mapfile -t new < <(lines | tail -n +$((shown + 1)))
	for l in "${new[@]}"; do
		told=$SECONDS
		case $l in
		BEGIN*) now=${l#BEGIN } since=$SECONDS ;;
		*) say "${l#CASE }" ;;
		esac
	done
	shown=$((shown + ${#new[@]}))
	if [ $((SECONDS - told)) -ge 30 ]; then
		say "... $now, $((SECONDS - since)) s"
		told=$SECONDS
	fi
done
status=0
wait $boot || status=$?
say "the boot has ended"

# -- the verdict ----------------------------------------------------------------
rm -rf "$dir/logs"
mkdir -p "$dir/logs"
tar -xf "$dir/out.img" -C "$dir/logs" 2> /dev/null || true
verdicts=$dir/logs/verdicts
[ -f "$verdicts" ] || grep -a '^CASE ' "$dir/console.log" | tr -d '\r' |
	sed 's/^CASE //' > "$verdicts" || true
count() { grep -c "^$1 " "$verdicts" || true; }
passed=$(count PASS) failed=$(count FAIL) skipped=$(count SKIP)
if ! grep -q '^END' "$verdicts"; then
	echo "FAIL: the run did not come to its end ($([ $status != 124 ] ||
		echo "over $limit s, ")last: $now): read $dir/console.log"
	tail -n 15 "$dir/console.log"
	failed=$((failed + 1))
fi
echo
grep -v '^END' "$verdicts" || true
[ ! -f "$dir/logs/samples" ] ||
	python3 "$here/bench.py" "$dir/logs/samples" "$build/bench-xen.json" \
		"$build/bench-xen.svg"
{ grep '^FAIL ' "$verdicts" || true; } | while read -r _ name _; do
	log=$dir/logs/${name/\//-}.log
	[ ! -f "$log" ] || echo "read $log"
done
[ "$failed" = 0 ] ||
	echo "read $dir/console.log, and logs of vtoed, dom0, guests and Xen in $dir/logs"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
