# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# modules_copy ROOT KVER DIR MODULE...: copies the modules and what they depend
# on to DIR, uncompressed, numbered in the order in which to insert them.

modules_copy()
{
	local root=$1 kver=$2 dir=$3 n=0 f b m
	shift 3
	for m in "$@"; do
		modprobe -d "$root"/usr -S "$kver" --show-depends "$m" \
			2>/dev/null ||
		modprobe -d "$root" -S "$kver" --show-depends "$m" \
			2>/dev/null || true
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' |
	while read -r f; do
		n=$((n + 1))
		b=$(printf %02d $n)-$(basename "$f" .xz)
		case $f in
		*.xz) xz -dc "$f" > "$dir/$b" ;;
		*) cp "$f" "$dir/$b" ;;
		esac
	done
}
