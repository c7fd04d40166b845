#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Unmodified ncat both ways, over IPv4 and IPv6: it sends a file and stops,
# receives one, serves a program's output (fork and exec), and as a client
# closes its half of the connection and still gets the answer.
. "$(dirname "$0")/../lib/net.sh"
net_begin 60 "$0" "$@"
need ncat ncat
need socat socat
net_up

make_data "$RUN/data" "${VTOE_TEST_BYTES:-20000000}"
want=$(hash_of "$RUN/data")
twice=$(cat "$RUN/data" "$RUN/data" | hash_of)
port=5100

# client WHERE ARGUMENTS...
client() {
	where=$1
	shift
	(net_exec "$where" timeout 20 ncat "$@" $port) 2>"$RUN/ncat.log"
}

# one SERVER CLIENT ADDRESS FAMILY
one() {
	port=$((port + 1))
	start "ncat-$1" "$1" sh -c \
		"exec ncat -$4 -l -p $port --recv-only >$RUN/got"
	server=$STARTED
	wait_listening "$1" $port
	client "$2" "-$4" --send-only "$3" <"$RUN/data" ||
		fail "ncat --send-only in $2 to $3: exit $?"
	finish "$server" 10 "ncat --recv-only" || fail "ncat in $1: exit $?"
	same_hash "$want" "$(hash_of "$RUN/got")" "ncat -l in $1"

	# Not to end with bytes in the pipe: SIGCHLD would interrupt ncat's
	# send(), and ncat 7.93 takes no notice of how much was sent (on the
	# kernel's own sockets too, about 1 in 80 here).
	start "exec-$1" "$1" ncat "-$4" -l -k -p $port \
		--sh-exec "cat $RUN/data; cat $RUN/data; sleep 1"
	server=$STARTED
	wait_listening "$1" $port
	for round in 1 2; do
		got=$(client "$2" "-$4" --recv-only "$3" | hash_of)
		same_hash "$twice" "$got" "ncat from ncat in $1, round $round"
	done
	kill "$server"
	finish "$server" 5 "ncat after SIGTERM"

	start "socat-$1" "$1" socat "TCP$4-LISTEN:$port,reuseaddr" \
		EXEC:sha256sum
	wait_listening "$1" $port
	got=$(client "$2" "-$4" "$3" <"$RUN/data" | cut -d' ' -f1)
	same_hash "$want" "$got" "ncat in $2 to $3, half closed"
	say "ok: ncat in $2 to $3"
}

one peer app $PEER4 4
one peer app $PEER6 6
one app peer $APP4 4
one app peer $APP6 6
pass
