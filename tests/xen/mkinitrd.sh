#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# mkinitrd.sh ROOT KVER OUT: dom0's initramfs. It mounts the root image
# (/dev/vda), unpacks over it what changes from run to run (/dev/vdb, a tar
# archive as it is), and hands over to /labinit.
# Needs: busybox-static in ROOT, kmod, cpio, xz.
set -euo pipefail

root=$1 kver=$2 out=$(realpath -m "$3")
t=$(mktemp -d)
trap 'rm -rf "$t"' EXIT
mkdir -p "$t"/{bin,mods,proc,sys,dev,new}
cp "$root"/usr/bin/busybox "$t"/bin/
# shellcheck source=tests/xen/modules.sh
. "$(dirname "$0")"/modules.sh
modules_copy "$root" "$kver" "$t"/mods virtio_blk virtio_pci ext4
cat > "$t"/init <<'I'
#!/bin/busybox sh
B=/bin/busybox
$B mount -t proc p /proc; $B mount -t sysfs s /sys; $B mount -t devtmpfs d /dev
for m in /mods/*.ko; do $B insmod $m; done
n=0
while [ ! -b /dev/vdb ] && [ $n -lt 100 ]; do $B sleep 0.1; n=$((n + 1)); done
if $B mount -t ext4 -o rw,noatime /dev/vda /new &&
   $B tar -x -C /new -f /dev/vdb; then
	exec $B switch_root /new /labinit
fi
echo "LAB-FAIL dom0's root"
echo o > /proc/sysrq-trigger
$B sleep 10
I
chmod +x "$t"/init
(cd "$t" && find . | cpio -o -H newc --quiet | gzip -1) > "$out"
