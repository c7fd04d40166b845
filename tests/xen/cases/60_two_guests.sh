# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Two guests on the same NIC at once (MECHANISMS M1): each fetches and is served,
# byte-exact, and they reach one another. One of them gives and takes memory by its
# balloon meanwhile.
# guests: pv
# (in the emulation two PVH guests at once end in triple faults)
# limit: 300
. /lab/faults.sh
h_ready || fail "no second guest"
peer_echoes
with_h guest_fetches 50m 100 > /tmp/h.log &
h=$!
expect "the guest g fetches 50 MB" guest_fetches 50m 100
wait $h
status=$?
cat /tmp/h.log
expect "the guest h at the same time" test $status = 0
expect "both have a load" eval 'load_start && with_h load_start'
memory() { in_guest 5 'grep MemTotal /proc/meminfo' && echo "$OUT"; }
before=$(memory)
memory_is_another() { [ "$(memory)" != "$before" ]; }
xl mem-set g 560
expect "the balloon takes memory of g" wait_for 20 memory_is_another
xl mem-set g 640
expect "each byte is as it was sent, in g" load_stop
expect "and in h" with_h load_stop
with_h in_guest 10 'setsid vtoe-run --require /opt/vtoe/libexec/echo 7000 1 > /tmp/echo.log 2>&1 & sleep 1'
expect "g reaches h" in_guest 30 "vtoe-run --require $LOAD $H4 7000 3 7 1"
say "$OUT"
