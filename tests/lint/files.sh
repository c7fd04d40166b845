# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
#
# files.sh - which files the lint tests look at
#
# lint_files prints the paths, relative to $top_srcdir, of every file that is
# ours: those that git tracks, or in an unpacked tarball all that autoreconf
# did not make. lint_files 'PATTERN' takes only those that match the extended
# regular expression. A test calls lint_bad for each finding and ends with
# lint_end.

top_srcdir=${top_srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
export top_srcdir
cd "$top_srcdir" || exit 99
lint_found=0

# Only when git's tree is this one, not one that merely contains it.
lint_git()
{
	command -v git >/dev/null &&
		[ "$(git -c safe.directory='*' rev-parse --show-toplevel \
			2>/dev/null)" = "$(pwd -P)" ]
}

lint_files()
{
	if lint_git; then
		# a file that is deleted and not yet committed does not count
		git -c safe.directory='*' ls-files |
			while IFS= read -r f; do
				[ ! -e "$f" ] || printf '%s\n' "$f"
			done
	else
		find . \( -name .git -o -name build-aux -o -name m4 \
			-o -name 'build*' -o -name autom4te.cache \
			-o -name '_build' -o -name '_inst' \) -prune -o \
			-type f -print | sed 's,^\./,,' |
			grep -vE '^(configure|aclocal\.m4|Makefile\.in|INSTALL)$'
	fi | LC_ALL=C sort | grep -E "${1:-.}" || :
}

lint_bad()
{
	printf '%s\n' "$*"
	lint_found=$((lint_found + 1))
}

# lint_end WHAT COUNT: the verdict; a test that looked at nothing proves nothing
lint_end()
{
	if [ "${2:-0}" -eq 0 ]; then
		echo "ERROR: no $1 found to check"
		exit 99
	fi
	if [ $lint_found -gt 0 ]; then
		echo "FAIL: $lint_found findings in $2 $1"
		exit 1
	fi
	echo "PASS: $2 $1"
	exit 0
}
