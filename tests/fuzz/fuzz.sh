#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Runs the fuzz targets from their seeds: in `make check` for a few seconds
# each, in `make fuzz` for FUZZ_SECONDS each, keeping what it learned in
# tests/fuzz/corpus of the build directory. Built with --enable-fuzz they are
# libFuzzer's, else replays of mutated seeds (fuzz_main.c). An input that fails
# is left in tests/fuzz of the build directory. Arguments: targets; all if none.
top_builddir=${top_builddir:-$PWD}
dir=$top_builddir/tests/fuzz
seconds=${FUZZ_SECONDS:-}
[ $# -gt 0 ] || set -- ring control frames lane local connect config \
	aggregate tcp

work=$(mktemp -d "${TMPDIR:-/tmp}/vtoe-fuzz.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 99' INT TERM HUP
"$dir/fuzz_corpus" "$work" || exit 99

# budget TARGET: libFuzzer's options.
budget() {
	if [ -n "$seconds" ]; then
		echo "-max_total_time=$seconds -runs=1000000000"
	else
		echo "-max_total_time=5 -runs=20000"
	fi
}

skipped='' failed=''
for target; do
	if [ "$target $VTOE_SANITIZER" = "connect thread" ]; then
		echo "connect: not run: its backend races on purpose"
		continue
	fi
	if [ "$target" = frames ] && [ ! -e "$dir/fuzz_$target" ]; then
		echo "frames: not built: no libbpf"
		continue
	fi
	set -- "$work/$target"
	if [ -n "$seconds" ]; then
		mkdir -p "$dir/corpus/$target"
		set -- "$dir/corpus/$target" "$@"
	fi
	# shellcheck disable=SC2046 # several options
	# libFuzzer's own code for a crash would be 77, which means a skip here
	"$dir/fuzz_$target" $(budget) -seed=1 -timeout=20 -rss_limit_mb=4096 \
		-error_exitcode=70 -timeout_exitcode=70 -oom_exitcode=70 \
		-artifact_prefix="$dir/$target-" "$@" >"$work/log" 2>&1
	case $? in
	0)
		echo "$target: $(tail -n 1 "$work/log")" ;;
	77)
		skipped="$skipped $target"
		echo "$target: skipped: $(tail -n 1 "$work/log")" ;;
	*)
		failed="$failed $target"
		echo "$target: FAILED"
		tail -n 40 "$work/log" ;;
	esac
done
[ -z "$failed" ] || {
	echo "FAIL:$failed"
	exit 1
}
[ -z "$skipped" ] || {
	echo "SKIP:$skipped: no network namespace can be made here"
	exit 77
}
echo "PASS: fuzz"
