# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# nginx in the guest, two worker processes that share its listener, serves the
# machine outside: SHA-256 equal, over IPv4 and IPv6, and 64 requests at once.
in_guest 30 'mkdir -p /tmp/www /tmp/ng && head -c 20000000 /dev/urandom > /tmp/www/data &&
	sha256sum < /tmp/www/data | cut -d" " -f1 > /tmp/www/sum &&
	cat > /tmp/ng/conf << C
user root;
worker_processes 2;
error_log /tmp/ng/error.log;
pid /tmp/ng/pid;
events { worker_connections 512; }
http { access_log off; sendfile on; server { listen 8000; listen [::]:8000; root /tmp/www; } }
C
' || fail "the guest cannot prepare nginx"
expect "nginx starts" in_guest 30 "$RUN nginx -c /tmp/ng/conf"
for host in $GUEST4 '[fd00:9::4]'; do
	expect "outside fetches from $host" peer 60 \
		"curl -sS --retry 5 --retry-connrefused --max-time $((50 * SLOW)) http://$host:8000/data | sha256sum | cut -d' ' -f1 > got &&
		curl -sS http://$host:8000/sum | cmp - got"
done
expect "64 requests at once" peer 60 \
	"rm -f part*; curl -sS --max-time $((50 * SLOW)) -Z --parallel-max 64 -H 'Connection: close' -r 0-99999 -o 'part#1' 'http://$GUEST4:8000/data?[1-64]' &&
	[ \$(sha256sum part* | cut -d' ' -f1 | sort -u | wc -l) = 1 ] && [ \$(ls part* | wc -l) = 64 ]"
expect "nginx ends when it is told to" in_guest 20 \
	'kill -QUIT $(cat /tmp/ng/pid); for i in $(seq 50); do [ -e /tmp/ng/pid ] || exit 0; sleep 0.2; done; exit 1'
