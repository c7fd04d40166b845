#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Unmodified socat both ways, over IPv4 and IPv6. The server answers with a
# hash that it can only know at the end of the data: half close works. It gives
# the connection to a child by fork, and to a program by exec, which reads and
# writes it as its standard input and output.
. "$(dirname "$0")/../lib/net.sh"
net_begin 60 "$0" "$@"
need socat socat
net_up

make_data "$RUN/data" "${VTOE_TEST_BYTES:-20000000}"
want=$(hash_of "$RUN/data")
port=5000

# one SERVER CLIENT ADDRESS FAMILY OPTION PROGRAM
one() {
	port=$((port + 1))
	start "socat-$1" "$1" socat "TCP$4-LISTEN:$port,reuseaddr,fork" "$6"
	server=$STARTED
	wait_listening "$1" $port
	for round in 1 2; do
		got=$( (net_exec "$2" socat -t 20 - "TCP$4:$3:$port") \
			<"$RUN/data" 2>"$RUN/socat.log" | cut -d' ' -f1)
		same_hash "$want" "$got" "socat in $2 to $3, $5, round $round"
	done
	kill "$server"
	finish "$server" 5 "socat after SIGTERM"
	say "ok: socat in $2 to $3, $5"
}

for program in "fork,EXEC:sha256sum" "exec,EXEC:sha256sum,nofork"; do
	kind=${program%%,*} program=${program#*,}
	one peer app $PEER4 4 "$kind" "$program"
	one peer app "[$PEER6]" 6 "$kind" "$program"
	one app peer $APP4 4 "$kind" "$program"
	one app peer "[$APP6]" 6 "$kind" "$program"
done
pass
