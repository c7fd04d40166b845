#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# mkinitrd.sh ROOT KVER OUT MOUNT MODULE...: an initramfs that loads the modules
# and hands over to /labinit on the block device. MOUNT is "device:options",
# e.g. /dev/vda:rw. Needs: busybox-static in ROOT, kmod, cpio, xz.
set -euo pipefail

root=$1 kver=$2 out=$(realpath -m "$3") device=${4%%:*} options=${4#*:}
shift 4
t=$(mktemp -d)
trap 'rm -rf "$t"' EXIT
mkdir -p "$t"/{bin,mods,proc,sys,dev,new}
cp "$root"/usr/bin/busybox "$t"/bin/ 2>/dev/null || cp "$root"/bin/busybox "$t"/bin/
n=0
for m in "$@"; do
	modprobe -d "$root"/usr -S "$kver" --show-depends "$m" 2>/dev/null ||
	modprobe -d "$root" -S "$kver" --show-depends "$m" 2>/dev/null || true
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' > "$t"/list
while read -r f; do
	n=$((n + 1))
	b=$(printf %02d $n)-$(basename "$f" .xz)
	case $f in
	*.xz) xz -dc "$f" > "$t/mods/$b" ;;
	*) cp "$f" "$t/mods/$b" ;;
	esac
done < "$t"/list
rm "$t"/list
cat > "$t"/init <<I
#!/bin/busybox sh
B=/bin/busybox
\$B mount -t proc p /proc; \$B mount -t sysfs s /sys; \$B mount -t devtmpfs d /dev
for m in /mods/*.ko; do \$B insmod \$m; done
n=0; while [ ! -b $device ] && [ \$n -lt 100 ]; do \$B sleep 0.1; n=\$((n+1)); done
\$B mount -t ext4 -o $options $device /new || { echo LAB-FAIL no root; echo o > /proc/sysrq-trigger; }
exec \$B switch_root /new /labinit
I
chmod +x "$t"/init
(cd "$t" && find . | cpio -o -H newc --quiet | gzip -1) > "$out"
