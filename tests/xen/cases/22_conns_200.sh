# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# 200 connections at once, opened by the guest and accepted by it, over IPv4 and
# IPv6; each carries its own bytes, and none is left behind.
many=/opt/vtoe/libexec/manyconns
echo=/opt/vtoe/libexec/echo
none_left() { [ "$(counter streams) $(counter tto_claims)" = "0 0" ]; }
for to in $PEER fd00:9::1; do
	peer 10 'setsid ./echo 7000 200 > echo.log 2>&1 & sleep 0.5'
	expect "the guest opens 200 to $to" in_guest 60 \
		"$RUN $many $to 7000 200"
	expect "and $to served them at once" wait_for 10 peer 5 \
		"grep -q 'served 200, 200 at once' echo.log"
done
for at in $GUEST4 fd00:9::4; do
	in_guest 10 "setsid $RUN $echo 7000 200 > /tmp/echo.log 2>&1 & sleep 1"
	expect "outside opens 200 to $at" peer 60 "./manyconns $at 7000 200"
	expect "and $at served them at once" wait_for 10 in_guest 5 \
		"grep -q 'served 200, 200 at once' /tmp/echo.log"
done
expect "no stream is left" wait_for 15 none_left
