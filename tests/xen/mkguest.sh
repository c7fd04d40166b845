#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# mkguest.sh ROOT KVER OUT FILE...: a guest's whole file system as an initramfs:
# the programs of the tests out of ROOT with the libraries that they need, the
# module of netfront, and FILE... (paths in ROOT, copied as they are). A guest
# needs no disk then, and dom0 no hotplug script for one.
set -euo pipefail

root=$1 kver=$2 out=$(realpath -m "$3")
shift 3
programs=(bash sh cat awk curl iperf3 nginx redis-server redis-cli redis-benchmark
	python3 socat ip xenstore-read xenstore-write xenstore-rm
	xenstore-watch)
t=$(mktemp -d)
trap 'rm -rf "$t"' EXIT
# Debian's merged /usr: programs are looked up in /bin and /lib64 too.
mkdir -p "$t"/usr/{bin,sbin,lib,lib64} "$t"/{proc,sys,dev,run,tmp,mods,etc,var/log}
mkdir -p "$t"/var/{log,lib}/nginx
for d in bin sbin lib lib64; do ln -s usr/$d "$t/$d"; done

copy()
{
	mkdir -p "$t/$(dirname "$1")"
	cp -aT "$root/$1" "$t/$1"
}
cp "$root"/usr/bin/busybox "$t"/usr/bin/
chroot "$root" busybox --list | while read -r a; do
	[ "$a" = busybox ] || ln -s busybox "$t/usr/bin/$a"
done
cat > "$t"/list <<L
$(for p in "${programs[@]}"; do chroot "$root" sh -c "command -v $p"; done)
$(for f in "$@"; do (cd "$root" && find "./$f" -type f -perm /111 |
	sed 's/^\.//'); done)
L
# shellcheck disable=SC2013
for p in $(cat "$t"/list); do
	chroot "$root" ldd "$p" 2>/dev/null || true
done | sed -n 's/^[^/]*\(\/[^ ]*\) (0x.*/\1/p' | sort -u > "$t"/libraries
while read -r f; do
	f=${f#/}
	case $f in lib/*|lib64/*|bin/*|sbin/*) f=usr/$f ;; esac
	rm -f "$t/$f"
	mkdir -p "$t/$(dirname "$f")"
	cp -L "$root/$f" "$t/$f"
done < <(sort -u "$t"/list "$t"/libraries | grep .)
rm "$t"/list "$t"/libraries
for f in "$@" etc/passwd etc/group etc/nginx; do
	copy "$f"
done
python=$(basename "$(readlink "$root"/usr/bin/python3)")
copy usr/lib/"$python"
rm -rf "$t/usr/lib/$python"/{test,idlelib,ensurepip,pydoc_data,unittest,lib2to3}
find "$t/usr/lib/$python" -name __pycache__ -prune -exec rm -rf {} +
# shellcheck source=tests/xen/modules.sh
. "$(dirname "$0")"/modules.sh
modules_copy "$root" "$kver" "$t"/mods xen-netfront xen-evtchn xen-privcmd \
	xen-gntalloc
cp "$(dirname "$0")"/labinit "$t"/init
chmod +x "$t"/init
(cd "$t" && find . | cpio -o -H newc --quiet | gzip -1) > "$out"
