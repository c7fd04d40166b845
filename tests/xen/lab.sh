#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# lab.sh DIR: builds vtoe for Debian 13, boots Xen 4.20 with a PV dom0 and a PV
# guest under QEMU's software emulation, runs the cases there, and prints their
# verdicts. DIR keeps the root file system and the images for the next run, and
# the logs (console.log, logs/). Needs root.
#
# The verdicts come out on a disk that dom0 writes an archive to. A kernel
# warning in dom0 or in the guest fails the run. Exits 0, 1 fail, 77 skip, 99.
set -euo pipefail

here=$(dirname "$(realpath "$0")")
top=$(realpath "$here/../..")
began=$SECONDS
say() { printf '[%2d:%02d] %s\n' $(((SECONDS - began) / 60)) $(((SECONDS - began) % 60)) "$*"; }

[ $# = 1 ] || { echo "usage: lab.sh DIR" >&2; exit 99; }
[ "$(id -u)" = 0 ] || { echo "SKIP: this machine: needs root"; exit 77; }
for p in qemu-system-x86_64:qemu-system-x86 mmdebstrap:mmdebstrap \
	cpio:cpio modprobe:kmod mke2fs:e2fsprogs iperf3:iperf3 \
	python3:python3-minimal; do
	command -v "${p%%:*}" > /dev/null ||
		{ echo "SKIP: ${p%%:*} is missing: apt-get install ${p#*:}"; exit 77; }
done
mkdir -p "$1"
dir=$(realpath "$1")
root=$dir/root

# -- the root file system, once for each content of mkrootfs.sh ----------------
key=$(sha256sum < "$here/mkrootfs.sh" | cut -c1-16)
if [ "$(cat "$dir/root.key" 2> /dev/null)" != "$key" ]; then
	say "unpack Debian 13 with Xen (some minutes)"
	rm -f "$dir/root.key" "$dir/root.img"
	"$here/mkrootfs.sh" trixie "$root"
	echo "$key" > "$dir/root.key"
fi
kver=$(basename "$(echo "$root"/usr/lib/modules/*)")

say "build vtoe and vtoe.ko for $kver"
rm -rf "$root/src" "$root/kmod"
mkdir -p "$root/src" "$root/build" "$root/lab"
(cd "$top" && tar -c --exclude=./build --exclude='./build-[!a]*' \
	--exclude=./build-asan --exclude=./.git --exclude=./xen-lab .) |
	tar -x -C "$root/src"
cp -r "$root/src/frontend" "$root/kmod"
chroot "$root" bash -euc '
	cd /src
	[ -x configure ] || autoreconf -fi
	cd /build
	[ -f Makefile ] || /src/configure -q --prefix=/opt/vtoe --without-bpf
	make -s -j2 vtoed vtoectl libvtoe.la libvtoe-preload.la vtoe-run
	make -s install-exec
	make -s -C /usr/src/linux-headers-*-amd64 M=/kmod modules
	strip -g /kmod/vtoe.ko
	cp /kmod/vtoe.ko /lab/vtoe.ko' > "$dir/build.log" 2>&1 ||
	{ echo "ERROR: the build failed: read $dir/build.log"; exit 99; }
cp "$here/dom0.sh" "$root/lab/dom0"
cp "$here/guest.sh" "$root/lab/guest"
cp "$here/labinit" "$root/labinit"
chmod +x "$root/lab/dom0" "$root/lab/guest" "$root/labinit"

say "make the images"
gunzip -c "$root"/boot/xen-4.*-amd64.gz > "$dir/xen"
cp "$root/boot/vmlinuz-$kver" "$dir/vmlinuz"
"$here/mkinitrd.sh" "$root" "$kver" "$dir/dom0.cpio.gz"
rm -f "$root/lab/guest.cpio.gz"
"$here/mkguest.sh" "$root" "$kver" "$dir/guest.cpio.gz" opt/vtoe lab
cp "$dir/guest.cpio.gz" "$root/lab/"
tar -cf "$dir/lab.tar" -C "$root" labinit lab opt/vtoe
truncate -s %512 "$dir/lab.tar"
if [ ! -f "$dir/root.img" ]; then
	truncate -s 5G "$dir/root.img"
	mke2fs -q -t ext4 -O ^has_journal -d "$root" "$dir/root.img"
fi
rm -f "$dir/out.img"
truncate -s 64M "$dir/out.img"

# -- the far end: a namespace of its own ---------------------------------------
ns=vtoe-lab-$$
ip netns add "$ns"
in=(nsenter "--net=/run/netns/$ns")
pids=()
cleanup() {
	[ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2> /dev/null || true
	ip netns del "$ns"
}
trap cleanup EXIT
"${in[@]}" ip link set lo up
"${in[@]}" ip tuntap add tap0 mode tap
"${in[@]}" ip addr add 10.9.0.1/24 dev tap0
"${in[@]}" ip link set tap0 up
mkdir -p "$dir/www"
[ -f "$dir/www/blob" ] || head -c 50000000 /dev/urandom > "$dir/www/blob"
sha256sum "$dir/www/blob" | cut -d' ' -f1 > "$dir/www/sum"
"${in[@]}" python3 -m http.server 8080 --bind 10.9.0.1 -d "$dir/www" \
	> "$dir/http.log" 2>&1 & pids+=($!)
"${in[@]}" iperf3 -s -B 10.9.0.1 > "$dir/iperf3.log" 2>&1 & pids+=($!)

say "boot Xen"
"${in[@]}" timeout "${LAB_SECONDS:-400}" "$here/boot.sh" "$dir" pv \
	> "$dir/console.log" 2>&1 & boot=$!
shown=0
while kill -0 $boot 2> /dev/null; do
	sleep 2
	lines=$(tr -d '\r' < "$dir/console.log" | grep -a '^CASE ' || true)
	n=$(printf '%s' "$lines" | grep -c . || true)
	printf '%s\n' "$lines" | tail -n +$((shown + 1)) | grep . |
		while read -r l; do say "$l"; done || true
	shown=$n
done
wait $boot || true

# -- the verdict ----------------------------------------------------------------
rm -rf "$dir/logs"
mkdir -p "$dir/logs"
tar -xf "$dir/out.img" -C "$dir/logs" 2> /dev/null || true
verdicts=$dir/logs/verdicts
passed=$(grep -c '^PASS' "$verdicts" 2> /dev/null || true)
failed=$(grep -c '^FAIL' "$verdicts" 2> /dev/null || true)
bad='BUG:|WARNING:|Oops|Kernel panic|multicall\(s\) failed|soft lockup'
if grep -aEq "$bad" "$dir/console.log" "$dir"/logs/* 2> /dev/null; then
	grep -aEh "$bad" "$dir/console.log" "$dir"/logs/* | sort | uniq -c | head -5
	echo "FAIL: a kernel complained"
	failed=$((${failed:-0} + 1))
fi
if ! grep -q '^END' "$verdicts" 2> /dev/null; then
	echo "FAIL: the run did not come to its end: read $dir/console.log"
	failed=$((${failed:-0} + 1))
fi
cat "$verdicts" 2> /dev/null || true
echo "${passed:-0} passed, ${failed:-0} failed, 0 skipped"
[ "${failed:-0}" = 0 ]
