# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# The domain goes under load: it is destroyed, it panics, it reboots (MECHANISMS
# P3); in a run of few rounds, each round another way. Its worker ends, dom0 maps
# nothing of it any more, no key and no half-dead domain is left, and the next
# domain of that name is served.
# guests: pv
# limit: 3000
# kernel-says: sysrq|Kernel panic
. /lab/faults.sh
peer_echoes
is_another() { [ -n "$(domid)" ] && [ "$(domid)" != "$old" ]; }
ends() { # ROUND HOW COMMAND: which ends the domain, and maybe boots the next
	load_start || fail "no load"
	old=$(domid)
	at=$(now_ms)
	eval "$3"
	expect "$1: nothing is left of the domain that $2" wait_for 30 domain_left_nothing "$old"
	say "$1: $2, and gone after $(($(now_ms) - at)) ms"
	if [ "$2" = rebooted ]; then
		expect "$1: there is another one" wait_for 30 is_another
		expect "$1: which runs" guest_answers 120
	else
		expect "$1: the next one boots" guest_boot "$TYPE"
	fi
	expect "$1: it is connected" connected 30
	expect "$1: and serves, SHA-256 equal" guest_is_served
}
for round in $(seq "$ROUNDS"); do
	way=$((ROUNDS > 3 ? 0 : (round - 1) % 3 + 1))
	case $way in 0 | 1) ends "$round" destroyed 'xl destroy g' ;; esac
	case $way in 0 | 2) ends "$round" panicked \
		'guest_begin 5 "echo c > /proc/sysrq-trigger"' ;; esac
	case $way in 0 | 3) ends "$round" rebooted \
		'guest_begin 5 "echo b > /proc/sysrq-trigger"' ;; esac
done
