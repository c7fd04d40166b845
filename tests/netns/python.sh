#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Unmodified Python: http.server (threads, selectors) to the peer's curl and
# urllib, urllib from the peer's server, and asyncio both ways.
. "$(dirname "$0")/../lib/net.sh"
net_begin 60 "$0" "$@"
python=/usr/bin/python3
need $python python3
need curl curl
net_up

mkdir "$RUN/www"
make_data "$RUN/www/data" "${VTOE_TEST_BYTES:-50000000}"
want=$(hash_of "$RUN/www/data")
cat >"$RUN/fetch.py" <<'END'
import hashlib, sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=20) as r:
    print(hashlib.sha256(r.read()).hexdigest())
END
cat >"$RUN/aserve.py" <<'END'
import asyncio
async def serve(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
async def main():
    async with await asyncio.start_server(serve, "0.0.0.0", 8001) as s:
        await s.serve_forever()
asyncio.run(main())
END
cat >"$RUN/aecho.py" <<'END'
import asyncio, os, sys
async def one(i):
    reader, writer = await asyncio.open_connection(sys.argv[1], 8001)
    data = os.urandom(300000 + i)
    async def send():
        writer.write(data)
        await writer.drain()
        writer.write_eof()
    got, _ = await asyncio.gather(reader.read(-1), send())
    writer.close()
    assert got == data, (i, len(got))
async def main():
    await asyncio.wait_for(asyncio.gather(*map(one, range(50))), 20)
    print("echoed")
asyncio.run(main())
END

# one SERVER CLIENT ADDRESS
one() {
	start "http-$1" "$1" $python -m http.server --bind :: \
		--directory "$RUN/www" 8000
	wait_listening "$1" 8000
	got=$( (net_exec "$2" $python "$RUN/fetch.py" "http://$3:8000/data") \
		2>"$RUN/fetch.log")
	same_hash "$want" "$got" "urllib in $2"
	[ "$2" = app ] || {
		got=$(peer curl -sS --max-time 20 "http://$3:8000/data" \
			2>"$RUN/curl.log" | hash_of)
		same_hash "$want" "$got" "curl in $2"
	}
	start "aserve-$1" "$1" $python "$RUN/aserve.py"
	wait_listening "$1" 8001
	got=$( (net_exec "$2" $python "$RUN/aecho.py" "$3") 2>"$RUN/aecho.log")
	[ "$got" = echoed ] || fail "asyncio in $2"
}

one app peer $APP4
one peer app $PEER4
pass
