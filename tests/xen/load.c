/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * load ADDRESS PORT SECONDS SEED [STREAMS [PAUSE]] - bytes there and back, for a
 *	while
 *
 * STREAMS (4) connections to an echo server, each with a sequence of bytes that
 * SEED and its number make; what comes back is compared byte by byte, so that one
 * byte of another stream, or of another guest, is seen. Each page of it begins
 * with a mark, for which a hostile guest looks in its memory. It rests for PAUSE
 * milliseconds (0) after each turn, to leave a processor to others. Ends with
 *
 *   0  the time is over, or SIGTERM came, and everything came back as it was sent
 *   1  a byte was another one
 *   3  a connection ended or failed: the last line says how
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/netns/prog.h"

#define CHUNK 65536
#define AHEAD (4 * CHUNK) /* bytes that may be on their way */
#define STREAMS_MAX 64
#define LOST 3
#define MARK "vtoe-canary-%08llx"
#define MARK_BYTES 20
#define PAGE 4096

struct stream {
	uint64_t seed, sent, got;
};

struct load {
	struct stream streams[STREAMS_MAX];
	struct pollfd polls[STREAMS_MAX];
	uint8_t buffer[CHUNK], expected[CHUNK];
	unsigned int count, pause_ms;
	uint64_t until;
};

static volatile sig_atomic_t told;

static void load_on_signal(int number)
{
	told = number;
}

static _Noreturn void load_lost(const char *what, const struct stream *s)
{
	printf("%s: %s after %llu bytes\n", what,
	       errno ? strerrorname_np(errno) : "end",
	       (unsigned long long)s->got);
	exit(LOST);
}

static void load_fill(uint8_t *to, uint64_t seed, uint64_t at, size_t bytes)
{
	char mark[MARK_BYTES + 1];
	uint64_t page, i;

	prog_pattern_fill(to, seed, at, bytes);
	snprintf(mark, sizeof(mark), MARK, (unsigned long long)seed);
	for (page = at / PAGE * PAGE; page < at + bytes; page += PAGE)
		for (i = 0; i < MARK_BYTES; i++)
			if (page + i >= at && page + i < at + bytes)
				to[page + i - at] = (uint8_t)mark[i];
}

static void load_send(struct load *l, unsigned int i)
{
	struct stream *s = &l->streams[i];
	ssize_t n;

	load_fill(l->buffer, s->seed, s->sent, CHUNK);
	n = send(l->polls[i].fd, l->buffer, CHUNK, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN)
		load_lost("send", s);
	if (n > 0)
		s->sent += (uint64_t)n;
}

static void load_receive(struct load *l, unsigned int i)
{
	struct stream *s = &l->streams[i];
	ssize_t n = recv(l->polls[i].fd, l->buffer, CHUNK, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (!n)
		errno = 0;
	if (n <= 0)
		load_lost("receive", s);
	load_fill(l->expected, s->seed, s->got, (size_t)n);
	if (memcmp(l->buffer, l->expected, (size_t)n)) {
		errno = 0;
		prog_fail("stream %u: a byte behind %llu is another one", i,
			  (unsigned long long)s->got);
	}
	s->got += (uint64_t)n;
}

/* -> whether there is more to do */
static int load_turn(struct load *l)
{
	int over = told || prog_now_ms() >= l->until, busy = 0, n;
	unsigned int i;

	for (i = 0; i < l->count; i++) {
		struct stream *s = &l->streams[i];

		l->polls[i].events = POLLIN;
		if (!over && s->sent - s->got < AHEAD)
			l->polls[i].events |= POLLOUT;
		busy |= !over || s->sent != s->got;
	}
	if (!busy)
		return 0;
	n = poll(l->polls, l->count, 20000);
	if (n < 0 && errno == EINTR)
		return 1;
	if (n <= 0) {
		errno = n ? errno : ETIMEDOUT;
		load_lost("poll", &l->streams[0]);
	}
	for (i = 0; i < l->count; i++) {
		if (l->polls[i].revents & ~POLLOUT)
			load_receive(l, i);
		if (l->polls[i].revents & POLLOUT)
			load_send(l, i);
	}
	if (l->pause_ms)
		poll(NULL, 0, (int)l->pause_ms);
	return 1;
}

int main(int argc, char **argv)
{
	static struct load l;
	uint64_t bytes = 0;
	unsigned int i;

	if (argc < 5 || argc > 7)
		prog_error("usage: load ADDRESS PORT SECONDS SEED [STREAMS [PAUSE]]");
	l.count = argc > 5 ? (unsigned int)prog_number(argv[5]) : 4;
	if (!l.count || l.count > STREAMS_MAX)
		prog_error("1 to %d streams", STREAMS_MAX);
	for (i = 0; i < l.count; i++) {
		l.streams[i].seed = prog_number(argv[4]) * STREAMS_MAX + i;
		l.polls[i].fd = prog_connect(argv[1], argv[2]);
		prog_set_nonblocking(l.polls[i].fd);
	}
	l.pause_ms = argc > 6 ? (unsigned int)prog_number(argv[6]) : 0;
	if (l.pause_ms > 10000)
		prog_error("a pause of at most 10000 ms");
	signal(SIGTERM, load_on_signal);
	l.until = prog_now_ms() + prog_number(argv[3]) * 1000;
	while (load_turn(&l))
		;
	for (i = 0; i < l.count; i++)
		bytes += l.streams[i].got;
	printf("%llu bytes, each as it was sent\n", (unsigned long long)bytes);
	return 0;
}
