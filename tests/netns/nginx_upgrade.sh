#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# An unmodified nginx is reloaded (SIGHUP: new worker processes take the
# listeners over) and replaces its own binary (SIGUSR2: fork, then exec with the
# listeners and an environment of its own making) while the peer downloads
# without a pause: no download fails, and the new nginx serves alone at the end.
. "$(dirname "$0")/../lib/net.sh"
net_begin 60 "$0" "$@"
need curl curl
need nginx nginx-light
net_up

mkdir -p "$RUN/www"
make_data "$RUN/www/data" 2000000
want=$(hash_of "$RUN/www/data")
cat >"$RUN/load" <<END
#!/bin/sh
good=0
until [ -e "$RUN/stop" ]; do
	got=\$(curl -sS --max-time 10 http://$APP4:8080/data | sha256sum)
	[ "\${got%% *}" = $want ] || exit 1
	good=\$((good + 1))
	echo "good \$good"
done
END

# As a daemon: nginx replaces its binary only then.
make_nginx_conf 2
sed -i 's/daemon off/daemon on/' "$RUN/nginx.conf"
pid_file=$RUN/nginx/pid
app "$(command -v nginx)" -p "$RUN/nginx" -e "$RUN/nginx.log" \
	-c "$RUN/nginx.conf" >>"$RUN/nginx.log" 2>&1 || fail "nginx: exit $?"
wait_for 5 test -s "$pid_file" || fail "nginx has not started"
old=$(cat "$pid_file")
adopt "$old"
wait_listening app 8080
start load peer sh "$RUN/load"
load=$STARTED

good() { sed -n '$s/^good //p' "$RUN/load.log"; }
more_than() { [ "$(good)" -gt "$1" ]; }
# more WHAT: the downloads go on.
more() {
	net_gone "$load" && fail "$1: a download failed"
	wait_for 10 more_than $(($(good) + 3)) || fail "$1: downloads stand still"
	say "ok: $1 ($(good) downloads so far)"
}
children() { cat "/proc/$1/task/$1/children"; }
replaced() { [ "$(children "$old")" != "$before" ]; }

wait_for 10 grep -q good "$RUN/load.log" || fail "no download works"
before=$(children "$old")
kill -HUP "$old"
wait_for 5 replaced || fail "no new worker processes"
more "reload"
kill -USR2 "$old"
wait_for 5 test -s "$pid_file.oldbin" || fail "the binary is not replaced"
wait_for 5 test -s "$pid_file" || fail "the new nginx has not started"
new=$(cat "$pid_file")
adopt "$new"
more "both serve"
kill -QUIT "$old"
wait_for 10 net_gone "$old" || fail "the old nginx does not end"
more "the new one serves alone"
touch "$RUN/stop"
finish "$load" 10 "the downloads" || fail "a download failed"
kill -QUIT "$new"
wait_for 10 net_gone "$new" || fail "the new nginx does not end"
pass
