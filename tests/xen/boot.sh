#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# boot.sh DIR pv|pvh: boots Xen under QEMU's software emulation and waits for
# its end. DIR holds xen, vmlinuz, dom0.cpio.gz, root.img (stays as it is),
# lab.tar (unpacked over the root), out.img (dom0 writes an archive of logs).
# Run it inside the network namespace that holds tap0. Console on stdout.
#
# Flags and their reasons (the emulation does rep movsb and stosb byte by byte, so
# a CPU without -erms is the faster one by half: the kernel would take them for the
# fastest way to clear a page): without -smap a PV dom0 dies in early boot; without
# -rdtscp a PVH guest dies; without -xsave a PVH dom0 does. The NIC hands over
# MTU-sized frames, as a real one does (guest_*=off), and cuts what it sends.
# gnttab_max_frames and the like are Xen's defaults.
set -euo pipefail

dir=$1 kind=$2
cd "$dir"
machine=() virtio='' xenargs=''
if [ "$kind" = pvh ]; then
	machine=(-machine q35 -device 'amd-iommu,intremap=on')
	virtio=,disable-legacy=on,iommu_platform=on
	xenargs=dom0=pvh
fi
wire=,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off
drives=()
for d in root.img lab.tar out.img; do
	snapshot=on
	[ $d = out.img ] && snapshot=off
	drives+=(-drive "file=$d,if=none,id=${d%.*},format=raw,cache=unsafe,snapshot=$snapshot"
		-device "virtio-blk-pci,drive=${d%.*},serial=${d%.*}$virtio")
done
exec qemu-system-x86_64 "${machine[@]}" -accel tcg,thread=multi -smp 2 \
	-m "${LAB_MEMORY:-4096}" -cpu max,-smap,-pku,-la57,-rdtscp,-rdpid,-xsave,-erms,-fsrm \
	-display none -serial stdio -monitor none -no-reboot -kernel xen \
	-append "console=com1 com1=115200,8n1 loglvl=all guest_loglvl=all conring_size=256k dom0_mem=1024M,max:1024M dom0_max_vcpus=1 $xenargs" \
	-initrd "vmlinuz root=/dev/vda console=hvc0 ${LAB_DOM0_ARGS:-quiet} tsc=reliable clocksource=tsc lab=$LAB_RUN,dom0.cpio.gz" \
	"${drives[@]}" \
	-netdev tap,id=n0,ifname=tap0,script=no,downscript=no,vhost=off \
	-device "virtio-net-pci,netdev=n0,mac=52:54:00:09:00:02$virtio$wire"
