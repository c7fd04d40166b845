#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# mkrootfs.sh SUITE DIR: unpacks a Debian root with Xen, its tools, a kernel,
# what vtoe is built with, and the programs of the tests.
#
# SUITE is trixie (Xen 4.20, Linux 6.12) or bookworm (Xen 4.17, Linux 6.1). The
# mirror is the one that apt of this machine uses. Needs: mmdebstrap, root.
set -euo pipefail

suite=$1 dir=$2
case $suite in
trixie) xen=4.20 ;;
bookworm) xen=4.17 ;;
*) echo "mkrootfs.sh: suite $suite: use trixie or bookworm" >&2; exit 2 ;;
esac
mirror=$({ cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list \
	2>/dev/null || true; } |
	sed -n 's/^URIs: *//p; s/^deb \(\[[^]]*\] \)\?\([^ ]*\).*/\2/p' |
	grep -m1 '/debian/\?$')

packages=(
	# the hypervisor and the toolstack
	"xen-hypervisor-$xen-amd64" "xen-utils-$xen" xen-utils-common
	xenstore-utils linux-image-amd64 linux-headers-amd64
	# the labinit
	kmod iproute2 bridge-utils procps ethtool busybox-static util-linux
	# building vtoe
	gcc make autoconf automake libtool pkg-config libc6-dev libxen-dev
	liburing-dev libseccomp-dev libmnl-dev libjson-c-dev libcap-dev
	libbpf-dev
	# the programs of the tests
	iperf3 curl nginx-light redis-server redis-tools python3-minimal
	socat strace
)
rm -rf "$dir"
mkdir -p "$dir"
include=$(IFS=,; echo "${packages[*]}")
mmdebstrap --quiet --variant=minbase --mode=root --include="$include" \
	--aptopt='APT::Install-Recommends "false"' "$suite" - \
	"deb $mirror $suite main" | tar -x -C "$dir"
