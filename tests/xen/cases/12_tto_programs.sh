# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC1090
# The programs of other cases with the TTO service: nginx's two processes with one
# listener, redis and 200 connections at once, each way; and dom0's own TCP has
# seen nothing of it (MECHANISMS G1, M2). Frames come past the bridge.
# limit: 900
programs="20_nginx 21_redis 22_conns_200"
# shellcheck disable=SC2034 # the cases'
RUN="vtoe-run --require --service tto"

expect "the guest is attached with tto = yes" anew tto=yes tto_port=eth0
expect "eth0 hands its frames over" eval \
	'ip link show dev eth0 | grep -q prog/xdp'
expect "and offered TOE and TTO" wait_for 20 offers_tto
frames=$(counter tto_frames)
dom0=$(dom0_tcp)
for name in $programs; do
	say "-- $name"
	. "/lab/cases/$name.sh"
done
frames=$(($(counter tto_frames) - frames)) dom0=$(($(dom0_tcp) - dom0))
# what dom0's curl has said to the machine outside is among them
expect "dom0's own TCP saw $dom0 segments, claims had $frames" \
	test $((dom0 * 20)) -lt $frames
say "$(vtoectl flows g | tail -n 12)"
expect "the guest is attached as before" anew
