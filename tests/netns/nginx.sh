#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# An unmodified nginx serves the peer's curl: four worker processes share the
# listeners that their master opened (pre-forking), files leave by sendfile,
# over IPv4 and IPv6; each byte is right, and nginx ends cleanly.
. "$(dirname "$0")/../lib/net.sh"
net_begin 60 "$0" "$@"
need curl curl
need nginx nginx-light
net_up

bytes=${VTOE_TEST_BYTES:-100000000}
start_nginx app 4
nginx=$STARTED
make_data "$RUN/www/data" "$bytes"
want=$(hash_of "$RUN/www/data")
for host in $APP4 "[$APP6]"; do
	got=$(peer curl -sS --max-time 25 "http://$host:8080/data" 2>"$RUN/curl.log" |
		hash_of)
	same_hash "$want" "$got" "nginx at $host"
done
# Connections enough for every worker process to get some.
peer curl -sS --max-time 20 -Z --parallel-max 32 -H 'Connection: close' \
	-o "$RUN/part#1" -r 0-99999 "http://$APP4:8080/data?[1-128]" \
	2>"$RUN/curl.log" || fail "curl in parallel: exit $?"
want=$(head -c 100000 "$RUN/www/data" | hash_of)
for part in "$RUN"/part*; do
	same_hash "$want" "$(hash_of "$part")" "$(basename "$part")"
done
kill -QUIT "$nginx"
finish "$nginx" 10 "nginx after SIGQUIT" || fail "nginx: exit $?"
# The worker learns of the end of a process a moment later.
wait_for 2 eval '! listening app 8080' ||
	fail "nginx ended 2 s ago, its listener has not"
pass
