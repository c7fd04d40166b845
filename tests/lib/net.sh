# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
#
# net.sh - a small network for one test, and a vtoed in it
#
#   dd      the driver domain: bridge br0, and vtoed when it runs
#   peer    the other host: eth0 on the bridge, PEER4 and PEER6
#   guest   /run/netns/vtoe-NAME, made by vtoed: APP4 and APP6. In a run with
#           VTOE_TEST_PATH=kernel net.sh makes it itself, with a veth
#   app     the "guest's" application: only lo, and that without a route
#
#   app CMD     runs CMD in `app` under vtoe-run: its TCP can only be vtoe's.
#               With VTOE_TEST_PATH=kernel: in `guest` on kernel sockets. So
#               every test can be tried on the kernel first, which proves the
#               test itself
#               With VTOE_TEST_SERVICE=tto: with the TTO service
#   kernel CMD  runs CMD in `guest` on kernel sockets: same path as vtoe
#   peer CMD    runs CMD in `peer`
#   start LOG WHERE CMD   the same in the background, output to $RUN/LOG;
#               the program's own pid is in STARTED; ended by cleanup
#
# A script sources this file, says `net_begin SECONDS "$0" "$@"` (a hard limit
# on its time), then `net_up [guests]`, and ends with `pass`. Names carry the
# pid, so that tests run in parallel. A second guest's application is `app2`,
# at APP2_4. Exits: 0 pass, 1 fail, 77 skip, 99 error.

top_srcdir=${top_srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
top_builddir=${top_builddir:-$PWD}
VTOE_TEST_PATH=${VTOE_TEST_PATH:-vtoe}
VTOE_TEST_SERVICE=${VTOE_TEST_SERVICE:-toe}
VTOED=${VTOED:-$top_builddir/vtoed}
VTOECTL=${VTOECTL:-$top_builddir/vtoectl}
VTOE_RUN=${VTOE_RUN:-$top_builddir/vtoe-run}
# Where the tests' own programs are built.
# shellcheck disable=SC2034 # for the scripts
PROGS=$top_builddir/tests/netns

PEER4=10.77.0.1 PEER6=fd77::1
APP4=10.77.0.2 APP6=fd77::2
APP2_4=10.77.0.3 APP2_6=fd77::3

say() { printf '%s\n' "$*"; }

# -- verdicts ----------------------------------------------------------------

pass() { say "PASS: ${*:-$test_name}"; exit 0; }
fail() { say "FAIL: $*"; net_diagnose; exit 1; }
skip() { say "SKIP: $*"; exit 77; }
error() { say "ERROR: $*"; net_diagnose; exit 99; }

# need COMMAND PACKAGE: skips when a program of the test is not installed.
need() {
	command -v "$1" >/dev/null 2>&1 ||
		skip "$1 is not installed: apt-get install $2"
}

# sane CMD...: in a build with a sanitizer its library is loaded into unmodified
# programs too, and not every one of them bears that even without us.
sane() {
	[ -z "${VTOE_SAN_PRELOAD:-}" ] || LD_PRELOAD=$VTOE_SAN_PRELOAD \
		ASAN_OPTIONS=detect_leaks=0 timeout 5 "$@" >/dev/null 2>&1 ||
		skip "this machine: $1 does not run with the sanitizer's library"
}

# wait_for SECONDS CMD...: until CMD succeeds; 1 when the time is over.
wait_for() {
	wait_end=$(($(now_ms) + $1 * 1000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(now_ms)" -lt "$wait_end" ] || return 1
		sleep 0.02
	done
}

now_ms() { echo $(($(date +%s%N) / 1000000)); }

# -- life --------------------------------------------------------------------

# net_begin SECONDS "$0" "$@": runs the script again under a hard time limit
# (its whole process group), then prepares clean-up.
net_begin() {
	net_limit=$1 net_script=$2
	shift 2
	if [ -z "${NET_LIMITED:-}" ]; then
		NET_LIMITED=1
		export NET_LIMITED
		exec timeout --preserve-status -k 10 "$net_limit" \
			"$net_script" "$@"
	fi
	unset NET_LIMITED
	test_name=$(basename "$net_script" .sh)
	net_pids=
	NS=vtn$$ GUEST=t$$a GUEST2=t$$b
	RUN=
	[ "$(id -u)" = 0 ] || skip "needs root for network namespaces"
	need nsenter util-linux
	need ip iproute2
	trap net_cleanup EXIT
	trap 'trap "" TERM; say "FAIL: over its limit of $net_limit s"
		net_diagnose; exit 1' TERM
	trap 'exit 99' INT HUP PIPE
	RUN=$(mktemp -d "${TMPDIR:-/tmp}/vtoe-test.XXXXXX") || exit 99
	chmod 711 "$RUN"
	STARTED=
	VTOED_PID=
}

# What a failed test leaves to read.
net_diagnose() {
	[ -n "${RUN:-}" ] || return 0
	for net_log in "$RUN"/*.log; do
		[ -s "$net_log" ] || continue
		say "--- $(basename "$net_log")"
		tail -n 25 "$net_log" | tr -cd '[:print:]\n\t' | cut -c1-200
	done
}

net_cleanup() {
	net_status=$?
	trap - EXIT
	set +e
	# The supervisor last: an application may need it to end in order.
	for net_pid in $net_pids; do
		[ "$net_pid" = "$VTOED_PID" ] || net_end "$net_pid"
	done
	[ -z "$VTOED_PID" ] || net_end "$VTOED_PID"
	for net_ns in "$NS-app" "$NS-app2" "$NS-peer" "vtoe-$GUEST" \
		"vtoe-$GUEST2" "$NS-dd"; do
		[ ! -e "/run/netns/$net_ns" ] || ip netns del "$net_ns"
	done
	# What a supervisor that was killed leaves of the TTO service.
	mountpoint -q "$RUN/vtoed/steering" && umount "$RUN/vtoed/steering"
	if [ -n "${VTOE_TEST_KEEP:-}" ]; then
		say "kept: $RUN"
	elif [ -n "$RUN" ]; then
		rm -rf "$RUN"
	fi
	exit "$net_status"
}

# net_end PID: TERM, and KILL after 2 s. Only for our own children.
net_end() {
	kill -0 "$1" 2>/dev/null || return 0
	kill -TERM "$1" 2>/dev/null
	wait_for 2 net_gone "$1" || kill -KILL "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}

# A zombie that we have not waited for yet is gone too.
net_gone() {
	[ ! -e "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"
}

# -- running programs --------------------------------------------------------

# net_exec WHERE CMD...: becomes CMD, there.
net_exec() {
	net_where=$1
	shift
	case $VTOE_TEST_PATH:$net_where in
	*:peer | *:dd)
		exec nsenter --net="/run/netns/$NS-$net_where" "$@" ;;
	*:kernel | kernel:app)
		exec nsenter --net="/run/netns/vtoe-$GUEST" "$@" ;;
	*:kernel2 | kernel:app2)
		exec nsenter --net="/run/netns/vtoe-$GUEST2" "$@" ;;
	# The same, but without the shim: programs of the native interface.
	*:native)
		VTOE_SOCKET=$RUN/vtoed/$GUEST.sock
		export VTOE_SOCKET
		exec nsenter --net="/run/netns/$NS-app" "$@" ;;
	*:native2)
		VTOE_SOCKET=$RUN/vtoed/$GUEST2.sock
		export VTOE_SOCKET
		exec nsenter --net="/run/netns/$NS-app2" "$@" ;;
	*:app)
		VTOE_SOCKET=$RUN/vtoed/$GUEST.sock
		export VTOE_SOCKET
		exec nsenter --net="/run/netns/$NS-app" "$VTOE_RUN" "$@" ;;
	*:app2)
		VTOE_SOCKET=$RUN/vtoed/$GUEST2.sock
		export VTOE_SOCKET
		exec nsenter --net="/run/netns/$NS-app2" "$VTOE_RUN" "$@" ;;
	*)
		say "net_exec: no place $net_where" >&2
		exit 99 ;;
	esac
}

app() { (net_exec app "$@"); }
app2() { (net_exec app2 "$@"); }
native() { (net_exec native "$@"); }
kernel() { (net_exec kernel "$@"); }
peer() { (net_exec peer "$@"); }

# start LOG WHERE CMD...: in the background; STARTED is its pid.
start() {
	net_log=$RUN/$1.log
	shift
	(net_exec "$@") >"$net_log" 2>&1 </dev/null &
	STARTED=$!
	net_pids="$net_pids $STARTED"
}

# adopt PID: what a test's program started, ended by cleanup too.
adopt() { net_pids="$net_pids $1"; }

# finish PID SECONDS WHAT: waits for a started program; its status.
finish() {
	wait_for "$2" net_gone "$1" || fail "$3: still running after $2 s"
	wait "$1"
}

# listening WHERE PORT: is a TCP listener there? In the guest's namespace for
# `app`, whose listeners are the worker's.
listening() {
	case $1 in
	app | native) net_ns=vtoe-$GUEST ;;
	app2 | native2) net_ns=vtoe-$GUEST2 ;;
	*) net_ns=$NS-$1 ;;
	esac
	case $VTOE_TEST_SERVICE:$VTOE_TEST_PATH:$1 in
	# bind() claims the port; listen() shows nowhere, but is next
	tto:vtoe:app | tto:vtoe:app2)
		ctl flows | grep -q "^${net_ns#vtoe-} .* port .*:$2 " &&
			sleep 0.2 ;;
	*)
		nsenter --net="/run/netns/$net_ns" \
			ss -Hltn "sport = :$2" | grep -q . ;;
	esac
}

wait_listening() {
	wait_for 10 listening "$1" "$2" ||
		fail "$1: nothing listens on port $2 after 10 s"
}

# -- the network -------------------------------------------------------------

net_namespace() {
	ip netns add "$1" || error "cannot make network namespace $1"
	# No duplicate address detection: addresses work at once.
	# shellcheck disable=SC2016
	nsenter --net="/run/netns/$1" sh -c '
		ip link set lo up
		for f in all default; do
			echo 0 >/proc/sys/net/ipv6/conf/$f/accept_dad
		done' 2>/dev/null
}

# net_attach NAMESPACE IPV4 IPV6: eth0 there, its other end on the bridge.
net_attach() {
	net_port=p$(printf %s "$2" | tr -d .)
	ip -n "$NS-dd" link add "$net_port" type veth \
		peer name eth0 netns "$1" &&
		ip -n "$NS-dd" link set "$net_port" master br0 up &&
		ip -n "$1" link set eth0 up &&
		ip -n "$1" addr add "$2/24" dev eth0 &&
		ip -n "$1" addr add "$3/64" dev eth0 nodad && return
	error "cannot attach $1 to the bridge"
}

# The configuration; more keys of every guest in NET_GUEST_KEYS, of the second
# besides in NET_GUEST2_KEYS, of [vtoed] in NET_VTOED_KEYS, one a line.
net_configure() {
	mkdir -p "$RUN/vtoed" && {
		say "[vtoed]"
		say "run_dir = $RUN/vtoed"
		say "${NET_VTOED_KEYS:-log_level = info}"
		say "[guest $GUEST]"
		say "uplink = bridge:br0"
		say "address = $APP4/24, $APP6/64"
		say "${NET_GUEST_KEYS:-}"
		[ "$net_guests" = 1 ] || {
			say "[guest $GUEST2]"
			say "uplink = bridge:br0"
			say "address = $APP2_4/24, $APP2_6/64"
			say "${NET_GUEST_KEYS:-}"
			say "${NET_GUEST2_KEYS:-}"
		}
	} >"$RUN/vtoed.conf"
}

net_start_vtoed() {
	start vtoed dd "$VTOED" -c "$RUN/vtoed.conf"
	VTOED_PID=$STARTED
	wait_for 10 net_ready ||
		error "vtoed has no worker ready after 10 s"
}

ctl() { "$VTOECTL" -r "$RUN/vtoed" "$@"; }

net_ready() {
	[ "$(ctl list --json | grep -o '"state": *"running"' | wc -l)" = \
		"$net_guests" ]
}

# worker_pid [GUEST]
worker_pid() {
	ctl list --json | tr -d '\n' | tr '{' '\n' | grep "\"${1:-$GUEST}\"" |
		sed -n 's/.*"pid": *\([0-9]*\).*/\1/p'
}

# stat_of NAME [GUEST]: one counter.
stat_of() {
	ctl stats "${2:-$GUEST}" --json | tr -s ',{}' '[\n*]' |
		sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p"
}

net_link_up() {
	ip -n "vtoe-$GUEST" -br link show up | grep -v '^lo' | grep -q ' UP '
}

# A guest's programs with the TTO service, for VTOE_TEST_SERVICE=tto.
net_service() {
	[ "$VTOE_TEST_SERVICE" != toe ] || return 0
	NET_GUEST_KEYS="tto = yes
${NET_GUEST_KEYS:-}"
	VTOE_SERVICE=$VTOE_TEST_SERVICE
	export VTOE_SERVICE
}

# Where there can be none, and the device says why.
net_has_service() {
	[ "$VTOE_TEST_SERVICE" = toe ] ||
		ctl list --json | tr -d ' \n' | grep -q '"toe","tto"' || {
		net_why=$(ctl list | sed -n 's/.*TTO is not offered: //p')
		case $net_why in
		*built*) pass "this build has no TTO, and says so" ;;
		*) skip "machine: ${net_why:-no TTO, and no reason}" ;;
		esac
	}
}

# net_up [GUESTS]: the topology, and vtoed with that many guests (1 or 2).
net_up() {
	net_guests=${1:-1}
	net_namespace "$NS-dd"
	net_namespace "$NS-peer"
	ip -n "$NS-dd" link add br0 up type bridge mcast_snooping 0 ||
		error "cannot make a bridge"
	net_attach "$NS-peer" $PEER4 $PEER6
	net_namespace "$NS-app"
	[ "$net_guests" = 1 ] || net_namespace "$NS-app2"
	if [ "$VTOE_TEST_PATH" = kernel ]; then
		net_namespace "vtoe-$GUEST"
		net_attach "vtoe-$GUEST" $APP4 $APP6
		[ "$net_guests" = 1 ] || {
			net_namespace "vtoe-$GUEST2"
			net_attach "vtoe-$GUEST2" $APP2_4 $APP2_6
		}
	else
		net_service
		net_configure
		net_start_vtoed
		net_has_service
	fi
	wait_for 5 net_link_up ||
		error "no link is up in the guest's namespace after 5 s"
}

# Tests of vtoe itself have nothing to show on kernel sockets.
only_vtoe() {
	[ "$VTOE_TEST_PATH" = vtoe ] ||
		skip "$test_name is about vtoe: not run on kernel sockets"
}

# -- what several tests use --------------------------------------------------

# make_data FILE BYTES: random bytes.
make_data() {
	head -c "$2" /dev/urandom >"$1" || error "cannot write $1"
}

hash_of() { sha256sum "$@" | cut -d' ' -f1; }

# same_hash WANTED GOT WHAT
same_hash() {
	[ -n "$1" ] && [ "$1" = "$2" ] || fail "$3: SHA-256 differs: ${2:-none}"
}

# make_nginx_conf WORKERS: to serve $RUN/www on port 8080, IPv4 and IPv6. More
# directives in NGINX_KEYS.
make_nginx_conf() {
	mkdir -p "$RUN/www" "$RUN/nginx"
	cat >"$RUN/nginx.conf" <<-END
		user root;
		worker_processes $1;
		daemon off;
		pid $RUN/nginx/pid;
		error_log stderr warn;
		events { worker_connections 4096; }
		http {
			access_log off;
			sendfile on;
			keepalive_timeout 5;
			client_body_temp_path $RUN/nginx/body;
			proxy_temp_path $RUN/nginx/proxy;
			fastcgi_temp_path $RUN/nginx/fastcgi;
			uwsgi_temp_path $RUN/nginx/uwsgi;
			scgi_temp_path $RUN/nginx/scgi;
			${NGINX_KEYS:-}
			server {
				listen 8080;
				listen [::]:8080;
				root $RUN/www;
			}
		}
	END
}

# start_nginx WHERE WORKERS
start_nginx() {
	make_nginx_conf "$2"
	start nginx "$1" nginx -p "$RUN/nginx" -e stderr -c "$RUN/nginx.conf"
	wait_listening "$1" 8080
}

# stat_is COUNTER VALUE [GUEST]
stat_is() { [ "$(stat_of "$1" "${3:-$GUEST}")" = "$2" ]; }
# One that is not $worker serves.
new_worker() {
	# shellcheck disable=SC2154 # set by who waits for it
	[ -n "$(worker_pid "$GUEST")" ] &&
		[ "$(worker_pid "$GUEST")" != "$worker" ] && net_ready
}
stat_above() { [ "$(stat_of "$1" "${3:-$GUEST}")" -gt "$2" ]; }

# What a process holds.
files_of() { find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l; }
maps_of() { wc -l <"/proc/$1/maps"; }
# memory_of PID [FIELD]: kB of /proc/PID/status; its own memory by default.
memory_of() { sed -n "s/^${2:-RssAnon}:[^0-9]*\([0-9]*\).*/\1/p" "/proc/$1/status"; }
# switches_of PID...: context switches of all their threads.
switches_of() {
	for net_pid in "$@"; do
		cat "/proc/$net_pid"/task/*/status
	done | sed -n 's/.*ctxt_switches:[^0-9]*//p' |
		awk '{ n += $1 } END { print n }'
}
