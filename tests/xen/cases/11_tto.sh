# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# The TTO service: the guest's TCP is a process of its own, dom0 carries frames.
# Bytes are right, nobody's kernel has seen a segment, and a worker that is killed
# under a transfer costs no connection (MECHANISMS B9).
# limit: 600
tto="vtoe-run --require --service tto"
gets() { # FILE SECONDS [CURL-OPTION]
	in_guest "$2" "$tto curl -sS --max-time $(($2 * SLOW - 2)) ${3:-} http://$PEER:8080/$1 | sha256sum | cut -d' ' -f1" &&
		[ "$OUT" = "$(curl -sS "http://$PEER:8080/$1.sum")" ]
}

expect "the guest is attached with tto = yes" anew tto=yes
expect "and offered TOE and TTO" wait_for 20 offers_tto
expect "curl gets 1 MB, SHA-256 equal" gets 1m 60
dom0=$(dom0_tcp)
expect "curl gets 20 MB, SHA-256 equal" gets 20m 100
expect "iperf3 sends" in_guest 60 "$tto iperf3 -c $PEER -t 5"
expect "iperf3 receives" in_guest 60 "$tto iperf3 -c $PEER -t 5 -R"
say "$(vtoectl flows g | tail -n 12)"
say "$(counter tto_frames) frames in $(counter tto_aggregates) aggregates;" \
	"$(counter tto_segments) segments sent"
expect "the guest's own TCP saw no segment" eval \
	'guest_tcp && [ "$OUT" = "0 0" ]'
expect "dom0's own TCP saw none of them" test $(($(dom0_tcp) - dom0)) -lt 200

# under a transfer that takes a while
kills() { [ "$(counter tto_frames)" -gt 200 ]; }
guest_begin 200 "$tto curl -sS --max-time 190 --limit-rate 4M -o /tmp/got http://$PEER:8080/200m && sha256sum < /tmp/got | cut -d' ' -f1"
for round in $(seq "$ROUNDS"); do
	expect "$round: frames come" wait_for 40 kills
	old=$(worker_pid)
	kill -9 "$old"
	expect "$round: another worker" wait_for 20 eval \
		'[ -n "$(worker_pid)" ] && [ "$(worker_pid)" != "$old" ]'
done
expect "curl has not noticed that workers were killed" guest_end
expect "SHA-256 equal" test "$OUT" = "$(curl -sS "http://$PEER:8080/200m.sum")"
expect "the guest is attached as before" anew
