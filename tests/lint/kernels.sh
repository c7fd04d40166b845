#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# kernels.sh DIR [SUITE...]: builds vtoe.ko for the kernels of several Debians,
# by tests/lint/module and by DKMS. For each suite (bookworm and trixie) DIR gets
# a root file system with the headers of its kernel and of its backports' kernel,
# the compiler that they name, sparse, DKMS and checkpatch; it is kept for the
# next run. Needs root and mmdebstrap. Exits 0, 1 fail, 77 skip, 99.
set -euo pipefail

here=$(dirname "$(realpath "$0")")
top=$(realpath "$here/../..")
[ $# -ge 1 ] || { echo "usage: kernels.sh DIR [SUITE...]" >&2; exit 99; }
[ "$(id -u)" = 0 ] || { echo "SKIP: needs root"; exit 77; }
command -v mmdebstrap > /dev/null ||
	{ echo "SKIP: mmdebstrap is missing: apt-get install mmdebstrap"; exit 77; }
mkdir -p "$1"
dir=$(realpath "$1")
shift
suites=("$@")
[ $# -gt 0 ] || suites=(bookworm trixie)
export INITRD=No
mirror=$({ cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list \
	2>/dev/null || true; } |
	sed -n 's/^URIs: *//p; s/^deb \(\[[^]]*\] \)\?\([^ ]*\).*/\2/p' |
	grep -m1 '/debian/\?$')
key=$(sha256sum < "$0" | cut -c1-16)
failed=0

# In the root, while apt still has its lists. Newer packages of headers come with
# the kernel; nobody boots it.
more='
export INITRD=No LC_ALL=C
apt-get install -qy --no-install-recommends -t "$0-backports" linux-headers-amd64
cd /tmp
package=$(apt-cache depends linux-source | sed -n "s/.*Depends: //p" | head -n 1)
apt-get -q download "$package"
dpkg-deb --fsys-tarfile "$package"_*.deb |
	tar -xO --wildcards "./usr/src/linux-source-*.tar.xz" |
	tar -xJ -C /usr/src --wildcards "*/scripts/checkpatch.pl" \
		"*/scripts/spelling.txt" "*/scripts/const_structs.checkpatch"
rm "$package"_*.deb'

make_root() # SUITE ROOT
{
	rm -rf "$2"
	mkdir -p "$2"
	suite=$1 more=$more mmdebstrap --quiet --variant=minbase --mode=root \
		--aptopt='APT::Install-Recommends "false"' \
		--include=make,gcc,perl,kmod,sparse,dkms,linux-headers-amd64 \
		--customize-hook='chroot "$1" bash -euc "$more" "$suite"' \
		"$1" - "deb $mirror $1 main" \
		"deb $mirror $1-backports main" | tar -x -C "$2"
}

# In the root, as its own user space: the lint test, then DKMS for each kernel.
check()
{
	export LC_ALL=C top_srcdir=/src
	rc=0
	/src/tests/lint/module || rc=1
	version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' /src/frontend/dkms.conf)
	rm -rf /var/lib/dkms/vtoe "/usr/src/vtoe-$version"
	dkms add /src/frontend > /dev/null || rc=1
	for kernel in /lib/modules/*/build; do
		kernel=$(basename "$(dirname "$kernel")")
		if dkms build "vtoe/$version" -k "$kernel" > /tmp/dkms.log 2>&1; then
			echo "$kernel: dkms build"
		else
			tail -n 5 /tmp/dkms.log
			echo "FAIL: $kernel: dkms build"
			rc=1
		fi
	done
	dkms status
	exit $rc
}

for suite in "${suites[@]}"; do
	root=$dir/$suite
	if [ "$(cat "$root.key" 2> /dev/null)" != "$key" ]; then
		echo "unpack $suite and its kernels' headers (some minutes)"
		rm -f "$root.key"
		make_root "$suite" "$root" > "$root.log" 2>&1 ||
			{ echo "ERROR: read $root.log"; exit 99; }
		echo "$key" > "$root.key"
	fi
	echo "== $suite"
	rm -rf "$root/src"
	mkdir -p "$root/src/tests"
	cp -a "$top/frontend" "$root/src/"
	cp -a "$top/tests/lint" "$root/src/tests/"
	# objtool wants /proc; the mount ends with the process
	root=$root body=$(declare -f check) unshare --mount bash -euc '
		mount -t proc proc "$root/proc"
		exec chroot "$root" bash -c "$body
		check"' || failed=1
done
[ $failed = 0 ] && echo "PASS: ${suites[*]}"
exit $failed
