# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# redis in the guest: a value of 10 MB comes back as it was stored, and
# redis-benchmark of the machine outside is served; then the guest's client with a
# server outside.
# limit: 300
expect "redis-server starts" in_guest 20 \
	"$RUN redis-server --bind 0.0.0.0 --port 6379 --save '' --protected-mode no --daemonize yes --dir /tmp --pidfile /tmp/redis.pid"
expect "a large value comes back" peer 60 \
	"head -c 10000000 50m > value; for i in \$(seq 50); do redis-cli -h $GUEST4 ping | grep -q PONG && break; sleep 0.2; done
	redis-cli -h $GUEST4 -x set value < value | grep -q OK &&
	redis-cli -h $GUEST4 --raw get value | head -c 10000000 | cmp - value"
expect "redis-benchmark is served" peer 90 \
	"[ \$(redis-benchmark -h $GUEST4 -n 5000 -c 50 -t set,get,lpush,lrange_100 -q --csv | grep -c '^\"[A-Z]') -ge 4 ]"
expect "pipelined too" peer 60 \
	"[ \$(redis-benchmark -h $GUEST4 -n 20000 -c 20 -P 16 -t set,get -q --csv | grep -c '^\"[A-Z]') -ge 2 ]"
in_guest 10 'kill $(cat /tmp/redis.pid)'
peer 10 "redis-server --bind $PEER --port 6379 --save '' --protected-mode no --daemonize yes --pidfile \$PWD/redis.pid"
expect "redis-benchmark in the guest" in_guest 60 \
	"[ \$($RUN redis-benchmark -h $PEER -n 3000 -c 20 -t set,get -q --csv | grep -c '^\"[A-Z]') -ge 2 ]"
peer 10 'kill $(cat redis.pid)'
