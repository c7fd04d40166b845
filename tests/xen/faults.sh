# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# faults.sh: what the cases of faults and hostile guests share (with lib.sh). A
# round is: a transfer runs in the guest, something breaks, and then everything is
# as it was: the application got its error in time, the device is connected again
# and serves, dom0 maps no page more of the guest than before, and the guest has
# all of its memory back.

LOAD=/opt/vtoe/libexec/load
ERROR_MS=2000	# in which an application must learn of a fault, see patience()
CLOCKS_MS=200	# that those of a PVH guest and of dom0 differ by, and more
SLACK_KB=6000	# of MemAvailable, which is no exact number
H4=10.9.0.6	# of the second guest, h

# -- the load -------------------------------------------------------------------

peer_echoes() {
	peer 10 '(exec 3<> /dev/tcp/10.9.0.1/7100) 2> /dev/null || {
		setsid ./echo 7100 > load.log 2>&1 & sleep 0.3; }'
}

# load_start [SECONDS [STREAMS [PAUSE]]]: bytes there and back in $G, each compared
# (see load.c); comes back when they move. Its end is "STATUS MICROSECONDS" in the guest's
# /tmp/load.end, and STATUS in data/lab/load.
load_start() {
	local id was tries
	id=$(domid) || return 1
	for tries in 1 2 3; do
		was=$(counter rx_bytes "$G")
		load_begin "$id" "${1:-600}" "${2:-4}" "${3:-0}" || return 1
		wait_for 40 load_moves_or_ends $((${was:-0} + 1000000)) || {
			say "the load neither moves nor ends"
			return 1
		}
		load_is_over || return 0
		# an overloaded machine: the library waits a few seconds
		in_guest 5 'tail -n 3 /tmp/load.out'
		say "attempt $tries: the load does not begin: $OUT"
	done
	return 1
}
load_begin() { # DOMID SECONDS STREAMS PAUSE
	xenstore-rm "/local/domain/$1/data/lab/load" 2> /dev/null
	in_guest 15 "rm -f /tmp/load.*
		cat > /tmp/load.run << 'L'
		vtoe-run --require $LOAD $PEER 7100 $2 $1 $3 $4 > /tmp/load.out 2>&1
		status=\$?
		echo \$status \${EPOCHREALTIME/./} > /tmp/load.new
		mv /tmp/load.new /tmp/load.end
		xenstore-write data/lab/load \$status
L
		setsid bash /tmp/load.run > /dev/null 2>&1 < /dev/null &"
}
load_moves_or_ends() { load_is_over || load_has_moved "$1"; }
load_has_moved() { [ "$(counter rx_bytes "$G")" -ge "$1" ]; }
load_status() {
	xenstore-read "/local/domain/$(domid)/data/lab/load" 2> /dev/null
}
load_is_over() { [ -n "$(load_status)" ]; }

# load_ends SECONDS: by itself, with every byte as it was sent
load_ends() {
	wait_for "$1" load_is_over || {
		say "$G: the load does not end"
		return 1
	}
	in_guest 10 'tail -n 1 /tmp/load.out'
	say "$G: $OUT"
	[ "$(load_status)" = 0 ]
}

# load_stop: asked to, with every byte as it was sent
load_stop() {
	in_guest 10 'killall load'
	load_ends 30
}

# The time that the application's error may take, in $most. All processors here
# are emulated by the far end's machine: when that is overloaded, everything is
# slower, so the limit is as many times longer as it has more than two processes
# for each processor.
patience() {
	most=$(peer 5 "awk -v n=\$(nproc) '{ f = \$1 / n / 2; print int($ERROR_MS * (f > 1 ? f : 1)) }' /proc/loadavg")
	[ -n "$most" ] || most=$ERROR_MS
}

# load_fails SINCE: dom0 broke something at that time (now_ms). When the error came
# is what the guest's clock says, which is Xen's as dom0's is: by the time that dom0
# has heard of it, several programs have been started in the emulation.
load_fails() {
	local status end ms now
	wait_for 15 load_is_over || {
		say "the application has no error after 15 s"
		return 1
	}
	in_guest 10 'cat /tmp/load.end; tail -n 1 /tmp/load.out'
	now=$(now_ms)
	read -r status end _ <<< "$(echo $OUT)"
	ms=$((${end:-0} / 1000 - $1))
	patience
	say "the application's error came after $ms ms (limit $most): $OUT"
	[ $ms -ge -$CLOCKS_MS ] && [ $ms -le $((now - $1 + CLOCKS_MS)) ] || {
		say "the clocks of guest and dom0 differ: now is $((now - $1)) ms"
		return 1
	}
	[ "$status" = 3 ] && [ $ms -le "$most" ]
}

# breaks_in_guest COMMAND: the guest breaks something; the load fails in time
breaks_in_guest() {
	local status ms
	in_guest 30 "at=\${EPOCHREALTIME/./}
		$1
		for _ in \$(seq 150); do [ -e /tmp/load.end ] && break; sleep 0.1; done
		read -r status end < /tmp/load.end || exit 1
		echo \$status \$(((end - at) / 1000)) \$(tail -n 1 /tmp/load.out)" ||
		return 1
	read -r status ms _ <<< "$OUT"
	patience
	say "the application's error came after $ms ms (limit $most): $OUT"
	[ "$status" = 3 ] && [ "$ms" -le "$most" ]
}

# -- what must be as before --------------------------------------------------------

# What the driver still has (pages, connections; 1 page is its ring), and the
# memory that the guest has left. All in one question, as each costs a round trip.
NUMBERS='cat /sys/bus/xen/drivers/vtoe/*_pages /sys/bus/xen/drivers/vtoe/connections \
		/sys/module/vtoe/parameters/quarantined_pages 2> /dev/null | sort -n | tail -n 1
	grep MemAvailable /proc/meminfo | tr -dc 0-9'
FETCH="vtoe-run --require curl -sS --max-time 30 http://$PEER:8080/1m | sha256sum | cut -d' ' -f1"
guest_numbers() { # in $held and $available
	in_guest 10 "$NUMBERS" && read -r held available <<< "$(echo $OUT)"
}
guest_holds_nothing() { guest_numbers && [ "${held:-0}" -le 1 ]; }
guest_has_memory() {
	[ "$available" -ge $((base_available - SLACK_KB)) ] || {
		guest_numbers && [ "$available" -ge $((base_available - SLACK_KB)) ]
	}
}
# guest_is_served: 1 MB, SHA-256 equal; and its numbers
guest_is_served() {
	local sum
	in_guest 60 "$FETCH; $NUMBERS" || return 1
	read -r sum held available <<< "$(echo $OUT)"
	[ "$sum" = "${sum_1m:=$(curl -sS "http://$PEER:8080/1m.sum")}" ]
}
guest_is_empty() { [ "${held:-0}" -le 1 ] || wait_for 15 guest_holds_nothing; }

# base: at the beginning of a case, after a first transfer
base() {
	guest_is_served || fail "the guest does not fetch, before any fault"
	guest_is_empty || fail "the driver holds $held pages, before any fault"
	base_mapped=$(mapped_pages "$(domid)")
	guest_numbers
	base_available=$available
	peer_echoes
	say "base: $base_mapped pages mapped, $base_available KiB available"
}

mapped_is_base() { [ "$(mapped_pages "$(domid)")" = "$base_mapped" ]; }

# restored ROUND: the device, dom0 and the guest are as at base
restored() {
	expect "$1: connected again" connected 30
	expect "$1: serves, SHA-256 equal" guest_is_served
	expect "$1: the driver holds no page" guest_is_empty
	expect "$1: dom0 maps $base_mapped pages, as before" wait_for 10 mapped_is_base
	expect "$1: the guest has its memory back" wait_for 10 guest_has_memory
}

# Nothing of a domain that ended is left in dom0.
no_zombie() { ! xl list | grep -q '(null)'; }
domain_left_nothing() { # DOMID
	[ "$(mapped_pages "$1")" = 0 ] && no_zombie &&
		! xenstore-read "/local/domain/0/backend/vtoe/$1/0/state" \
			> /dev/null 2>&1
}

# -- a hostile guest ----------------------------------------------------------------

# beside COMMAND...: while the guest h has a load; dom0, vtoed, h's worker and h
# notice nothing of what $G does
beside() {
	local vtoed worker moved
	head -c 32000000 /dev/urandom > /tmp/canary
	sha256sum < /tmp/canary > /tmp/canary.sum
	peer_echoes
	# gently: $G's many attempts share dom0's one processor with it
	with_h load_start 3000 2 40 || fail "no load in the second guest"
	vtoed=$(vtoed_pid)
	worker=$(with_h worker_pid)
	"$@"
	moved=$(counter rx_bytes h)
	expect "the other guest is served meanwhile" with_h wait_for 10 \
		load_has_moved $((moved + 1000000))
	expect "and got each byte as it was sent" with_h load_stop
	expect "by the same worker" test "$(with_h worker_pid)" = "$worker"
	expect "vtoed is the same" test "$(vtoed_pid)" = "$vtoed"
	expect "and answers" eval 'timeout 5 vtoectl list > /dev/null'
	expect "dom0's memory is as it was" eval \
		'sha256sum < /tmp/canary | cmp - /tmp/canary.sum'
	rm -f /tmp/canary
}
driver_unload() { # the device is bound, or not; nobody has it open
	in_guest 20 'for _ in $(seq 50); do
		rmmod vtoe 2> /dev/null && exit 0
		echo vtoe-0 > /sys/bus/xen/drivers/vtoe/unbind
		sleep 0.2
	done 2> /dev/null; exit 1'
}
driver_load() { in_guest 10 'insmod /lab/vtoe.ko'; }
vtoed_says() { grep -qE "$1" /tmp/logs/vtoed.log; }

# -- the second guest -----------------------------------------------------------------

# h_ready [LINE of xl.cfg...]: a guest h at $H4, connected
h_ready() {
	local G=h
	if ! domid > /dev/null || ! in_guest 10 true; then
		guest_destroy
		GUEST_MEMORY=400 guest_boot "$TYPE" "$@" || return 1
	fi
	vtoectl list | grep -q '^h ' || h_attach || return 1
	connected 30
}
h_attach() {
	vtoectl attach h port=xen domain=h uplink=bridge:br0 "address=$H4/24"
}
# with_h COMMAND...: of lib.sh or of this file, for h
with_h() {
	local G=h
	"$@"
}
