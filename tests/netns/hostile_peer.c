/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile_peer.c - breaks every rule of the protocol, one case at a time
 *
 *   hostile_peer serve IP PORT
 *       the servers of the other host: PORT echoes, PORT + 1 is deaf
 *   hostile_peer run SOCKET SOCKET2 PID PID2 IP PORT [NAME...]
 *       all cases, or those named, against the device at SOCKET, whose worker
 *       is PID. A witness exchanges bytes at SOCKET, another at SOCKET2, all
 *       the while. Afterwards the worker's descriptors and memory must be back
 *       at base.
 *   hostile_peer device DEVICE IP PORT [NAME...]
 *       the same in a Xen guest, at /dev/vtoe0: the worker, the second guest
 *       and leaks are looked after outside. Without the cases of the socket,
 *       which is not there.
 *   On a slow machine HOSTILE_SHARE=N sends one Nth of each flood.
 *
 * Exit: 0 all consequences were as PROTOCOL.md says, 1 not, 99 error.
 */
#include "hostile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const struct hostile_table *const tables[] = {
	&hostile_rings, &hostile_control, &hostile_regions, &hostile_keys,
	&hostile_entries, &hostile_streams, &hostile_floods, &hostile_sockets,
};

struct run {
	struct hostile h;
	const char *socket2;
	pid_t worker, worker2;
	uint64_t incarnation;
	struct witness *same, *second;
	unsigned failed, done;
};

/* -- the worker from outside -- */

static int count_descriptors(pid_t pid)
{
	char path[64];
	int count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return -1;
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static long mapped_kb(pid_t pid)
{
	char path[64], line[256];
	long kb = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "VmSize: %ld", &kb) == 1)
			break;
	fclose(f);
	return kb;
}

/* A new connection is served by the worker that was there before. */
static const char *still_serves(struct run *r)
{
	const char *text = NULL;
	struct rig g;
	int i;

	/* Places in the quota come free a moment after their users left. */
	for (i = 0; i < 500; i++) {
		text = rig_open(&g, &r->h);
		if (!text)
			break;
		poll(NULL, 0, 10);
	}
	if (text)
		return text;
	text = want_answers(&g.lane);
	if (!text && g.peer.page.incarnation != r->incarnation)
		text = wrong("the worker is another one now");
	rig_close(&g);
	return text;
}

static const char *after_case(struct run *r)
{
	if (r->worker && kill(r->worker, 0))
		return "the worker is gone";
	if (r->worker2 && kill(r->worker2, 0))
		return "the second guest's worker is gone";
	if (r->second)
		TRY(witness_check(r->second));
	TRY(witness_check(r->same));
	return still_serves(r);
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void run_case(struct run *r, const struct hostile_case *c)
{
	long begun = now_ms();
	const char *text = c->run(&r->h, c->arg);
	char first[256];

	if (text) {
		snprintf(first, sizeof(first), "%s", text);
		after_case(r);
		text = first;
	} else {
		text = after_case(r);
	}
	r->done++;
	if (text)
		r->failed++;
	if (text)
		printf("FAIL %s (%s: %s): %s\n", c->name, c->rule, c->expected,
		       text);
	else
		printf("ok   %s (%s: %s), %ld ms\n", c->name, c->rule,
		       c->expected, now_ms() - begun);
	fflush(stdout);
}

static bool named(const char *name, char **names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (!strncmp(name, *names, strlen(*names)))
			return true;
	return false;
}

static void run_all(struct run *r, char **names)
{
	unsigned i, j;

	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		if (!r->worker && tables[i] == &hostile_sockets)
			continue;
		for (j = 0; j < tables[i]->count; j++)
			if (named(tables[i]->cases[j].name, names))
				run_case(r, &tables[i]->cases[j]);
	}
}

/* Everything that the cases took must be free again. */
static void check_leaks(struct run *r, int descriptors, long kb)
{
	int now_descriptors = 0, i;
	long now_kb = 0;

	for (i = 0; i < 1000; i++) {
		now_descriptors = count_descriptors(r->worker);
		now_kb = mapped_kb(r->worker);
		/* The allocator may keep a little of what it had. */
		if (now_descriptors <= descriptors && now_kb <= kb + 32768)
			break;
		poll(NULL, 0, 10);
	}
	printf("worker before: %d descriptors, %ld KiB mapped; after: %d, %ld\n",
	       descriptors, kb, now_descriptors, now_kb);
	if (now_descriptors > descriptors || now_kb > kb + 32768) {
		printf("FAIL leak\n");
		r->failed++;
	}
}

static const char *first_look(struct run *r)
{
	struct raw_peer p;
	int error = raw_connect(&p, r->h.socket);

	if (error)
		return want_result(0, error);
	r->incarnation = p.page.incarnation;
	raw_close(&p);
	return NULL;
}

/* The echo server's address, and those beside it. */
static int run_prepare(struct run *r, const char *ip, uint16_t port)
{
	const char *share = getenv("HOSTILE_SHARE");
	struct rlimit files;
	const char *text;

	r->h.share = share && atoi(share) > 1 ? (unsigned)atoi(share) : 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	if (raw_address(&r->h.echo, ip, port))
		return 99;
	r->h.deaf = r->h.closed = r->h.echo;
	r->h.deaf.port = (uint16_t)(port + 1);
	r->h.closed.port = (uint16_t)(port + 2);
	text = first_look(r);
	if (!text)
		return 0;
	printf("ERROR: %s: %s\n", r->h.socket, text);
	return 99;
}

static int run_device(char **argv)
{
	struct run r = { .h.socket = argv[0] };
	uint64_t bytes;

	if (run_prepare(&r, argv[1], (uint16_t)atoi(argv[2])))
		return 99;
	r.same = witness_start(&r.h, r.h.socket, "on the same guest");
	run_all(&r, argv + 3);
	bytes = witness_stop(r.same);
	printf("witness: %llu bytes on the same guest\n",
	       (unsigned long long)bytes);
	printf("%u kinds of violation, %u failed\n", r.done, r.failed);
	return r.failed || !r.done ? 1 : 0;
}

static int run_main(char **argv)
{
	struct run r = { .h.socket = argv[0], .socket2 = argv[1],
			 .worker = atoi(argv[2]), .worker2 = atoi(argv[3]) };
	const char *text;
	int descriptors;
	uint64_t a, b;
	long kb;

	if (run_prepare(&r, argv[4], (uint16_t)atoi(argv[5])))
		return 99;
	r.second = witness_start(&r.h, r.socket2, "on the second guest");
	r.same = witness_start(&r.h, r.h.socket, "on the same guest");
	text = after_case(&r);
	if (text) {
		printf("ERROR: before the first case: %s\n", text);
		return 99;
	}
	poll(NULL, 0, 200); /* the connection of that check has gone by then */
	descriptors = count_descriptors(r.worker);
	kb = mapped_kb(r.worker);
	run_all(&r, argv + 6);
	check_leaks(&r, descriptors, kb);
	a = witness_stop(r.same);
	b = witness_stop(r.second);
	printf("witnesses: %llu bytes on the same guest, %llu on the second\n",
	       (unsigned long long)a, (unsigned long long)b);
	printf("%u kinds of violation, %u failed\n", r.done, r.failed);
	return r.failed || !r.done ? 1 : 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "serve"))
		return hostile_serve(argv[2], (uint16_t)atoi(argv[3]));
	if (argc >= 8 && !strcmp(argv[1], "run"))
		return run_main(argv + 2);
	if (argc >= 5 && !strcmp(argv[1], "device"))
		return run_device(argv + 2);
	fprintf(stderr, "usage: hostile_peer serve IP PORT\n"
			"       hostile_peer run SOCKET SOCKET2 PID PID2 IP "
			"PORT [NAME...]\n"
			"       hostile_peer device DEVICE IP PORT [NAME...]\n");
	return 99;
}
