#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# An unmodified curl fetches 200 MB from the peer's nginx, over IPv4 and IPv6,
# and each byte is right (SHA-256). A refused connection is curl's exit 7.
. "$(dirname "$0")/../lib/net.sh"
net_begin 60 "$0" "$@"
need curl curl
sane curl --version
need nginx nginx-light
net_up

bytes=${VTOE_TEST_BYTES:-200000000}
start_nginx peer 1
make_data "$RUN/www/data" "$bytes"
want=$(hash_of "$RUN/www/data")
for host in $PEER4 "[$PEER6]"; do
	got=$(app curl -sS --max-time 25 "http://$host:8080/data" 2>"$RUN/curl.log" |
		hash_of)
	same_hash "$want" "$got" "curl from $host"
done
# Many requests over one connection, and in parallel ones.
app curl -sS --max-time 20 -Z --parallel-max 16 -o "$RUN/part#1" \
	-r 0-99999 "http://$PEER4:8080/data?[1-64]" 2>"$RUN/curl.log" ||
	fail "curl in parallel: exit $?"
want=$(head -c 100000 "$RUN/www/data" | hash_of)
for part in "$RUN"/part*; do
	same_hash "$want" "$(hash_of "$part")" "$(basename "$part")"
done
status=0
app curl -sS --max-time 5 "http://$PEER4:9/" 2>"$RUN/curl.log" || status=$?
[ $status = 7 ] || fail "curl to a closed port: exit $status, not 7"
pass
