#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# demo.sh - unmodified programs over vtoe, beside the kernel's own sockets
#
#   peer   nginx, iperf3 -s, curl, redis-benchmark: another host on a bridge
#   app    a network namespace with no interface but lo: curl, nginx, iperf3
#          and redis-server run here under vtoe-run. Whatever they exchange
#          with the peer goes through vtoe
#
# For comparison the same programs run on kernel sockets inside the guest's
# network namespace, so that both take the same veth and bridge. Turns
# alternate; the table shows medians. Exits 0 when every transfer was right.
# `./quickstart demo` installs what is needed, builds, and runs this.

set -u
# net.sh's time limit would move the script out of the terminal's foreground,
# where Ctrl-C does not reach it; every step here has a limit of its own.
export NET_LIMITED=1
here=$(cd "$(dirname "$0")" && pwd)
top_srcdir=$(cd "$here/../.." && pwd)
top_builddir=${1:-${top_builddir:-$PWD}}
# shellcheck source=../lib/net.sh
. "$top_srcdir/tests/lib/net.sh"

ROUNDS=${DEMO_ROUNDS:-3}
FILE_MB=100     # of the file that is transferred
REPEAT=10       # times, in one timed turn
BENCH=$top_builddir/tests/bench/vtoe-bench
BENCH_PORT=5210
GB=$(awk "BEGIN { print $FILE_MB * 1048576 * $REPEAT / 1e9 }")
REQUESTS=100000 # of redis, in one timed turn
PEER_WEB=8000
PEER_REDIS=6381
wrong=0
began=$SECONDS

step() { printf '[%2d s] %s\n' $((SECONDS - began)) "$*"; }

# A transfer that went wrong is reported and remembered; the rest still runs.
bad()
{
	printf '       WRONG: %s\n' "$*"
	tail -n 5 "$RUN/err" 2>/dev/null | sed 's/^/       | /'
	rm -f "$RUN/err"
	wrong=$((wrong + 1))
}

# --- where things run --------------------------------------------------------

# place vtoe|kernel|peer|app: sets the words that run a program there, and the ports and the
# processes that serve there.
place()
{
	case $1 in
	vtoe)
		within=(env "VTOE_SOCKET=$RUN/vtoed/$GUEST.sock"
			nsenter "--net=/run/netns/$NS-app" "$VTOE_RUN")
		web_port=8001 redis_port=6379
		;;
	kernel)
		within=(nsenter "--net=/run/netns/vtoe-$GUEST")
		web_port=8002 redis_port=6380
		;;
	peer | app) # app: without the shim
		within=(nsenter "--net=/run/netns/$NS-$1")
		;;
	esac
	# A rehearsal of the script itself, without vtoe.
	if [ "$1:$VTOE_TEST_PATH" = vtoe:kernel ]; then
		within=(nsenter "--net=/run/netns/vtoe-$GUEST")
	fi
}

# serve NAME WHERE CMD...: a server in the background, ended by cleanup.
serve()
{
	local name=$1

	place "$2"
	shift 2
	"${within[@]}" "$@" >"$RUN/$name.log" 2>&1 </dev/null &
	STARTED=$!
	net_pids="$net_pids $STARTED"
}

serve_web()
{
	mkdir -p "$RUN/nginx-$1"
	cat >"$RUN/nginx-$1.conf" <<-END
		user root;
		worker_processes 1;
		daemon off;
		pid $RUN/nginx-$1/pid;
		error_log stderr warn;
		events { worker_connections 1024; }
		http {
			access_log off;
			sendfile on;
			client_body_temp_path $RUN/nginx-$1/body;
			proxy_temp_path $RUN/nginx-$1/proxy;
			fastcgi_temp_path $RUN/nginx-$1/fastcgi;
			uwsgi_temp_path $RUN/nginx-$1/uwsgi;
			scgi_temp_path $RUN/nginx-$1/scgi;
			server { listen $2; root $RUN/www; }
		}
	END
	serve "nginx-$1" "$1" nginx -e stderr -c "$RUN/nginx-$1.conf"
}

serve_redis()
{
	mkdir -p "$RUN/redis-$1"
	serve "redis-$1" "$1" redis-server --bind 0.0.0.0 --port "$2" \
		--save '' --protected-mode no --dir "$RUN/redis-$1"
}

# --- measuring ---------------------------------------------------------------

tree_of()
{
	local child

	echo "$1"
	for child in $(pgrep -P "$1"); do
		tree_of "$child"
	done
}

# Processor seconds of running processes; 0 for none.
cpu_of()
{
	local pid

	for pid; do
		sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null
	done | awk -v hz="$(getconf CLK_TCK)" \
		'{ t += $12 + $13 } END { printf "%.3f\n", t / hz }'
}

calculate() { awk "BEGIN { printf \"%.6f\\n\", $1 }"; }

# timed WHERE CMD...: runs it; sets real (seconds), client_cpu, worker_cpu;
# output in $RUN/out. SERVER, if set, is a process tree to account for.
timed()
{
	local TIMEFORMAT='%R %U %S' worker_was server_was status user system

	place "$1"
	shift
	worker_was=$(cpu_of $worker)
	server_was=$(cpu_of $server_tree)
	{ time timeout --foreground 30 "${within[@]}" "$@" >"$RUN/out" \
		2>"$RUN/err" </dev/null; } 2>"$RUN/times"
	status=$?
	read -r real user system < <(tail -n 1 "$RUN/times")
	client_cpu=$(calculate "$user + $system")
	worker_cpu=$(calculate "$(cpu_of $worker) - $worker_was")
	server_cpu=$(calculate "$(cpu_of $server_tree) - $server_was")
	return $status
}

# record NAME PATH VALUE APP-CPU WORKER-CPU
record() { echo "$1|$2|$3|$4|$5" >>"$RUN/samples"; }

# --- the turns ---------------------------------------------------------------

check_hash()
{
	local got

	got=$(hash_of "$2")
	[ "$got" = "$want" ] || bad "$1: SHA-256 is $got, not $want"
	rm -f "$2"
}

turn_download()
{
	local url=http://$PEER4:$PEER_WEB/data

	server_tree=
	timed "$1" curl -sS -o /dev/null "$url?[1-$REPEAT]" || {
		bad "curl over $1: exit $?"
		return
	}
	record "curl downloads|Gbit/s" "$1" \
		"$(calculate "$GB * 8 / $real")" \
		"$(calculate "$client_cpu / $GB")" \
		"$(calculate "$worker_cpu / $GB")"
}

turn_serve()
{
	local path=$1

	server_tree=$(tree_of "${web_pid[$path]}")
	place "$path"
	timed peer curl -sS -o /dev/null \
		"http://$APP4:$web_port/data?[1-$REPEAT]" || {
		bad "nginx over $path: curl's exit $?"
		return
	}
	record "nginx serves|Gbit/s" "$path" \
		"$(calculate "$GB * 8 / $real")" \
		"$(calculate "$server_cpu / $GB")" \
		"$(calculate "$worker_cpu / $GB")"
}

# json_number KEY: the number of the last such key in iperf3's output
json_number()
{
	sed -n "/\"$1\"/,/}/s/.*\"$2\":[^0-9]*\([0-9.e+]*\).*/\1/p" \
		"$RUN/out" | tail -n 1
}

turn_iperf()
{
	local path=$1 name=$2 bits bytes

	shift 2
	server_tree=
	timed "$path" iperf3 -c $PEER4 -t 1 -J "$@" || {
		bad "iperf3 $* over $path: exit $?"
		return
	}
	bits=$(json_number sum_received bits_per_second)
	bytes=$(json_number sum_received bytes)
	if [ "${bytes:-0}" -lt 1000000 ]; then
		bad "iperf3 $* over $path: moved ${bytes:-no} bytes"
		return
	fi
	record "$name|Gbit/s" "$path" "$(calculate "$bits / 1e9")" \
		"$(calculate "$client_cpu / ($bytes / 1e9)")" \
		"$(calculate "$worker_cpu / ($bytes / 1e9)")"
}

# redis_turn NAME PATH WHERE TEST ADDRESS PORT: redis-benchmark runs at WHERE
redis_turn()
{
	local name=$1 path=$2 rate cpu

	timed "$3" redis-benchmark -h "$5" -p "$6" -t "$4" -n $REQUESTS \
		-c 50 -q --csv || {
		bad "redis-benchmark over $path: exit $?"
		return
	}
	rate=$(sed -n 's/^"[A-Z]*","\([0-9.]*\)".*/\1/p' "$RUN/out")
	if [ -z "$rate" ]; then
		bad "redis-benchmark over $path: no result"
		return
	fi
	cpu=$server_cpu
	[ "$3" = peer ] || cpu=$client_cpu
	record "$name|1000/s" "$path" "$(calculate "$rate / 1000")" \
		"$(calculate "$cpu * 1e6 / $REQUESTS")" \
		"$(calculate "$worker_cpu * 1e6 / $REQUESTS")"
}

turn_redis_server()
{
	server_tree=$(tree_of "${redis_pid[$1]}")
	place "$1"
	redis_turn "redis-server ${2^^}" "$1" peer "$2" $APP4 "$redis_port"
}

turn_redis_client()
{
	server_tree=
	redis_turn "redis-benchmark" "$1" "$1" get $PEER4 $PEER_REDIS
}

# The native interface, where buffers are posted before data comes: vtoe-bench
# takes turns by itself.
native_turns()
{
	server_tree=
	timed app "$BENCH" run --to $PEER4 --kernel-netns "vtoe-$GUEST" \
		--vtoe-socket "$RUN/vtoed/$GUEST.sock" --worker-pid "$worker" \
		--workloads bulk-rx,bulk-tx --streams 1 --seconds 0.7 \
		--rounds "$ROUNDS" --json "$RUN/native.json" || {
		bad "vtoe-bench: exit $?"
		return
	}
	awk -F'[:,"]+' '
	$2 == "workload" { work = $3 == "bulk-rx" ? "receives" : "sends" }
	$2 == "transport" { path = $3; split("", n) }
	/"(throughput|app_cpu|worker_cpu)":\{/ { metric = $2 }
	$2 == "median" { n[metric] = $3 }
	/"rounds":\[/ {
		printf "native %s|Gbit/s|%s|%s|%s|%s\n", work, path,
			n["throughput"], n["app_cpu"], n["worker_cpu"] + 0
	}' "$RUN/native.json" >>"$RUN/samples"
}

# each_path FUNCTION ARGUMENT...: a turn on each path, the first one first in
# every other round.
each_path()
{
	local turn=$1

	shift
	if [ $((round % 2)) -eq 1 ]; then
		$turn kernel "$@"
		$turn vtoe "$@"
	else
		$turn vtoe "$@"
		$turn kernel "$@"
	fi
}

# --- what is shown -----------------------------------------------------------

show_table()
{
	awk -F'|' '
	function median(list,    a, n, i, j, t) {
		n = split(list, a, " ")
		for (i = 2; i <= n; i++)
			for (j = i; j > 1 && a[j] + 0 < a[j - 1] + 0; j--) {
				t = a[j]; a[j] = a[j - 1]; a[j - 1] = t
			}
		return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
	}
	function ratio(a, b) {
		return b > 0 ? sprintf("%.2f", a / b) : "-"
	}
	{
		if (!($1 in unit)) { order[++rows] = $1; unit[$1] = $2 }
		value[$1, $3] = value[$1, $3] " " $4
		cpu[$1, $3] = cpu[$1, $3] " " $5
		worker[$1, $3] = worker[$1, $3] " " $6
	}
	END {
		printf "%-18s %-7s|%8s %8s %6s |%8s %8s %6s |%8s\n", "", "",
			"kernel", "vtoe", "ratio", "kernel", "vtoe", "ratio",
			"worker"
		for (i = 1; i <= rows; i++) {
			r = order[i]
			if (!((r, "kernel") in value) || !((r, "vtoe") in value))
				continue
			vk = median(value[r, "kernel"])
			vv = median(value[r, "vtoe"])
			ck = median(cpu[r, "kernel"])
			cv = median(cpu[r, "vtoe"])
			printf "%-18s %-7s|%8.2f %8.2f %6s |%8.3f %8.3f " \
				"%6s |%8.3f %s\n", r, unit[r], vk, vv,
				ratio(vv, vk), ck, cv, ratio(cv, ck),
				median(worker[r, "vtoe"]),
				unit[r] == "Gbit/s" ? "s/GB" : "us/req"
		}
	}' "$RUN/samples"
}

# Segments that the TCP of a namespace's kernel received and sent.
segments_of()
{
	nsenter "--net=/run/netns/$1" awk '/^Tcp: [0-9]/ { print $11 + $12 }' \
		/proc/net/snmp
}

snapshot() { ctl stats "$GUEST" --json >"$RUN/stats.$1"; }

# The counters' growth in each phase, as one table: programs, native, redis.
show_counters()
{
	local name

	for name in start programs native redis; do
		tr -s ',{} \t' '[\n*]' <"$RUN/stats.$name" |
			sed -n "s/^\"\([a-z_]*\)\":\([0-9][0-9]*\)$/$name \1 \2/p"
	done | awk -v requests=$((ROUNDS * 3 * REQUESTS)) \
		-v segments="$(segments_of "$NS-app")" '
	{ n[$1, $2] = $3 }
	function grew(i, name) {
		return n[phase[i], name] - n[phase[i - 1], name]
	}
	function woken(i) {
		return grew(i, "notify") + grew(i, "doorbells")
	}
	function part(a, b, unit) {
		return b > 0 ? sprintf("%.2f%s", a / b, unit) : "-"
	}
	function row(text, a, b, c, meaning) {
		printf "  %-29s %9s %9s %9s  %s\n", text, a, b, c, meaning
	}
	function each(text, kind, meaning,    i, v, rx, tx) {
		for (i = 1; i <= 3; i++) {
			rx = grew(i, "rx_bytes")
			tx = grew(i, "tx_bytes")
			if (kind == "rx")
				v[i] = sprintf("%.0f", rx / 1e6)
			else if (kind == "tx")
				v[i] = sprintf("%.0f", tx / 1e6)
			else if (kind == "placed")
				v[i] = part(100 * grew(i, "rx_placed_bytes"),
					rx, " %")
			else if (kind == "copies")
				v[i] = part(grew(i, "rx_copied_bytes"), rx, "")
			else if (kind == "notify" && i == 3)
				v[i] = "-"
			else if (kind == "notify")
				v[i] = part(woken(i), (rx + tx) / 1e6, "")
			else
				v[i] = grew(i, kind)
		}
		row(text, v[1], v[2], v[3], meaning)
	}
	END {
		split("programs native redis", phase, " ")
		phase[0] = "start"
		row("", "programs", "native", "redis", "")
		each("received, MB", "rx", "")
		each("sent, MB", "tx", "")
		each("placed directly", "placed",
			"of what was received: the kernel wrote it")
		row("", "", "", "", "into the very buffer that was asked for;")
		row("", "", "", "", "the rest came through shared buffers, and")
		row("", "", "", "", "vtoe-run copied it once, in the application")
		each("copies per byte by the worker", "copies",
			"it never copies what it receives")
		each("notifications per MB", "notify",
			"wake-ups across the boundary, both ways")
		row("notifications per request", "-", "-",
			part(woken(3), requests, ""),
			"50 connections share a batch")
		each("memory registrations", "reg",
			"pages are shared once, then reused")
		row("kernel TCP segments, guest", "", segments, "",
			"the applications have no network but vtoe")
	}'
}

# --- the demonstration -------------------------------------------------------

NET_GUEST_KEYS=${NET_GUEST_KEYS:-}
net_begin 0 "$0"
trap 'exit 130' INT
trap 'exit 143' TERM
for tool in curl nginx iperf3 redis-server redis-benchmark sha256sum pgrep; do
	command -v "$tool" >/dev/null ||
		error "$tool is missing: ./quickstart demo installs it"
done
declare -A web_pid redis_pid
worker='' server_tree=''

step "making network namespaces: driver domain, guest, peer, application"
net_up 1
if [ "$VTOE_TEST_PATH" = vtoe ]; then
	worker=$(worker_pid)
	snapshot start
	step "vtoed runs; the worker of guest $GUEST is process $worker"
fi

mkdir -p "$RUN/www"
make_data "$RUN/www/data" $((FILE_MB * 1048576))
want=$(hash_of "$RUN/www/data")
serve_web peer $PEER_WEB
serve iperf3-server peer iperf3 -s
serve_redis peer $PEER_REDIS
serve bench-server peer "$BENCH" server
for path in kernel vtoe; do
	place $path
	serve_web $path $web_port
	web_pid[$path]=$STARTED
	place $path
	serve_redis $path $redis_port
	redis_pid[$path]=$STARTED
done
wait_listening peer $PEER_WEB
wait_listening peer 5201
wait_listening peer $PEER_REDIS
wait_listening peer $BENCH_PORT
for port in 8001 8002 6379 6380; do
	wait_listening app $port
done

step "curl under vtoe-run fetches $FILE_MB MB of random bytes from nginx"
timed vtoe curl -sS -o "$RUN/got" "http://$PEER4:$PEER_WEB/data" ||
	bad "curl: exit $?"
check_hash "curl from nginx" "$RUN/got"
step "nginx under vtoe-run serves the same file to the peer's curl"
place vtoe
timed peer curl -sS -o "$RUN/got" "http://$APP4:8001/data" ||
	bad "curl: exit $?"
check_hash "nginx to curl" "$RUN/got"
[ $wrong -ne 0 ] || step "SHA-256 is right both ways: $want"

for ((round = 1; round <= ROUNDS; round++)); do
	step "round $round of $ROUNDS: curl, nginx, iperf3"
	each_path turn_download
	each_path turn_serve
	each_path turn_iperf "iperf3 sends"
	each_path turn_iperf "iperf3 receives" -R
done
if [ "$VTOE_TEST_PATH" = vtoe ]; then
	snapshot programs
	step "vtoe's native interface, by vtoe-bench"
	native_turns
	snapshot native
fi
for ((round = 1; round <= ROUNDS; round++)); do
	step "round $round of $ROUNDS: redis-server, redis-benchmark"
	each_path turn_redis_server get
	each_path turn_redis_server set
	each_path turn_redis_client
done
[ "$VTOE_TEST_PATH" = kernel ] || snapshot redis

cat <<END

Unmodified programs over vtoe, beside the kernel's own sockets on the same path
(medians of $ROUNDS turns)

                          |      throughput         | application's CPU        |
END
show_table
cat <<END

throughput: of the whole path; a ratio over 1 means that vtoe is faster.
application's CPU: seconds per GB, or microseconds per request: what a guest
pays; a ratio under 1 means that vtoe spares it work.
worker: the CPU of vtoe's worker, in the driver domain: there the TCP is done.
native: vtoe-bench, which posts its buffers before data comes (libvtoe).
END
if [ "$VTOE_TEST_PATH" = vtoe ]; then
	printf '\nWhat the counters say\n\n'
	show_counters
	[ "$(segments_of "$NS-app")" = 0 ] ||
		bad "the kernel of the applications' namespace has sent TCP"
fi
echo
if [ $wrong -ne 0 ]; then
	step "done: $wrong transfers were WRONG"
	exit 1
fi
step "done: every transfer was right"
exit 0
