#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Servers outlive a worker: after kill -9 of it their listeners serve again at
# its successor, those of one process, and those that forked processes share.
. "$(dirname "$0")/../lib/net.sh"
net_begin 60 "$0" "$@"
only_vtoe
need nginx nginx-light
need curl curl
net_up
start echo app "$PROGS/echo" 7000
wait_listening app 7000
start_nginx app 2
make_data "$RUN/www/file" 1000000
new_worker() { [ -n "$(worker_pid)" ] && [ "$(worker_pid)" != "$worker" ]; }
fetched() {
	peer curl -sf -m 5 -o "$RUN/got" "http://$APP4:8080/file" &&
		cmp -s "$RUN/www/file" "$RUN/got"
}
echoed() { peer "$PROGS/rr" $APP4 7000 100; }
fetched || fail "nginx does not serve"
for round in 1 2; do
	worker=$(worker_pid)
	[ -n "$worker" ] || error "vtoectl names no worker"
	kill -9 "$worker"
	wait_for 2 new_worker || error "no new worker after 2 s"
	# the kernel may still be closing what the dead worker had
	wait_for 5 echoed || fail "round $round: the echo server serves no more"
	wait_for 5 fetched || fail "round $round: nginx serves no more"
	say "round $round: both serve again"
done
pass
