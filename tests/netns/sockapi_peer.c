// SPDX-License-Identifier: BSD-2-Clause
/*
 * sockapi_peer - the other end of the sockets that sockapi tests
 *
 *   sockapi_peer CONTROL PORT GUEST4 GUEST6
 *
 * Listens on PORT (IPv6 and IPv4) and on the unix socket CONTROL, over which
 * the test says what to do; a command is a line, its answer a line:
 *
 *   pace N              waits take N times as long
 *   reset               forget scripts that nobody ran, and results
 *   next SCRIPT         what to do with the next connection that comes
 *   dial 4|6 PORT SCRIPT  connect to the guest, answer, and do it
 *   result              wait for the oldest script's end -> what was seen
 *
 * A script is words: sN send N bytes; rN read N bytes; e read until the end;
 * k echo until the end; w shutdown(SHUT_WR); dN wait N ms; a close with RST;
 * z close without reading. What e, r, k saw is the result: "eof:N", "got:N",
 * "reset:N". A reset needs a wait before it: the guest's connect() may or may not
 * see one that comes at once. Runs until CONTROL's other end closes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

struct job {
	struct job *next;
	int fd; /* -1: not connected yet */
	bool dials, connected, done;
	struct sockaddr_in6 to;
	char script[200];
	char seen[200];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct job *jobs; /* oldest first */
static int own_port;
static int pace = 1;
static unsigned flushes; /* connections from ourselves that were accepted */

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "sockapi_peer: %s: %s\n", what, strerror(errno));
	exit(99);
}

static void pause_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

static void see(struct job *j, const char *what, long n)
{
	size_t at = strlen(j->seen);

	snprintf(j->seen + at, sizeof(j->seen) - at, "%s%s:%ld",
		 at ? "," : "", what, n);
}

/* Byte i of what is sent is a function of i. */
static void send_bytes(struct job *j, long n)
{
	static __thread char block[65536];
	long at = 0, i;

	while (at < n) {
		long want = n - at < (long)sizeof(block) ? n - at :
							   (long)sizeof(block);
		ssize_t rc;

		for (i = 0; i < want; i++)
			block[i] = 'a' + (at + i) % 23;
		rc = send(j->fd, block, want, MSG_NOSIGNAL);
		if (rc < 0) {
			see(j, "unsent", n - at);
			return;
		}
		at += rc;
	}
}

static void read_bytes(struct job *j, long n, bool echo)
{
	static __thread char block[65536];
	long at = 0;

	while (at < n) {
		long want = n - at < (long)sizeof(block) ? n - at :
							   (long)sizeof(block);
		ssize_t rc = recv(j->fd, block, want, 0);

		if (rc < 0) {
			see(j, "reset", at);
			return;
		}
		if (!rc) {
			see(j, "eof", at);
			return;
		}
		at += rc;
		if (echo && send(j->fd, block, rc, MSG_NOSIGNAL) < 0)
			return;
	}
	see(j, "got", at);
}

static bool step(struct job *j, const char *word)
{
	struct linger abort_it = { 1, 0 };
	long n = atol(word + 1);

	switch (word[0]) {
	case 's':
		send_bytes(j, n);
		return true;
	case 'r':
		read_bytes(j, n, false);
		return true;
	case 'e':
		read_bytes(j, 1l << 40, false);
		return true;
	case 'k':
		read_bytes(j, 1l << 40, true);
		return true;
	case 'w':
		shutdown(j->fd, SHUT_WR);
		return true;
	case 'd':
		pause_ms(n * pace);
		return true;
	case 'a':
		setsockopt(j->fd, SOL_SOCKET, SO_LINGER, &abort_it,
			   sizeof(abort_it));
		return false;
	}
	return false;
}

static void *run(void *arg)
{
	struct job *j = arg;
	struct timeval patience = { 8, 0 };
	int one = 1;
	char *word, *rest = NULL;
	char script[200];

	strcpy(script, j->script);
	if (j->dials) {
		j->fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
		setsockopt(j->fd, SOL_SOCKET, SO_SNDTIMEO, &patience,
			   sizeof(patience));
		if (connect(j->fd, (struct sockaddr *)&j->to,
			    sizeof(j->to))) {
			snprintf(j->seen, sizeof(j->seen), "connect:%s",
				 strerrorname_np(errno));
			goto done;
		}
		pthread_mutex_lock(&lock);
		j->connected = true;
		pthread_cond_broadcast(&changed);
		pthread_mutex_unlock(&lock);
	}
	setsockopt(j->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(j->fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
		   sizeof(patience));
	for (word = strtok_r(script, " ", &rest); word;
	     word = strtok_r(NULL, " ", &rest))
		if (!step(j, word))
			break;
done:
	close(j->fd);
	pthread_mutex_lock(&lock);
	j->done = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void go(struct job *j)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, j))
		fail("thread");
	pthread_detach(thread);
}

static struct job *job_add(const char *script)
{
	struct job *j = calloc(1, sizeof(*j)), **at = &jobs;

	if (!j)
		fail("memory");
	snprintf(j->script, sizeof(j->script), "%s", script);
	j->fd = -1;
	while (*at)
		at = &(*at)->next;
	*at = j;
	return j;
}

/* Gives connections to the scripts that wait for one. */
static void *serve(void *arg)
{
	int listener = *(int *)arg, fd;
	struct job *j;

	for (;;) {
		struct sockaddr_in6 from;
		socklen_t len = sizeof(from);

		fd = accept4(listener, (struct sockaddr *)&from, &len,
			     SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		pthread_mutex_lock(&lock);
		if (IN6_IS_ADDR_LOOPBACK(&from.sin6_addr)) {
			flushes++;
			pthread_cond_broadcast(&changed);
			pthread_mutex_unlock(&lock);
			close(fd);
			continue;
		}
		for (j = jobs; j; j = j->next)
			if (!j->dials && j->fd < 0 && !j->done)
				break;
		if (j)
			j->fd = fd;
		pthread_mutex_unlock(&lock);
		if (j)
			go(j);
		else
			close(fd);
	}
	return NULL;
}

/*
 * Connections that nobody accepted yet belong to scripts of before: one from
 * ourselves, behind them, tells when they are gone. Threads of dropped jobs go
 * on using them: they are not freed.
 */
static void reset(void)
{
	struct sockaddr_in6 self = { .sin6_family = AF_INET6,
				     .sin6_port = htons(own_port),
				     .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unsigned before = flushes;

	if (connect(fd, (struct sockaddr *)&self, sizeof(self)))
		fail("connect to ourselves");
	while (flushes == before)
		pthread_cond_wait(&changed, &lock);
	close(fd);
	jobs = NULL;
}

static void result(FILE *to)
{
	struct timespec until;
	struct job *j = jobs;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	while (j && !j->done &&
	       !pthread_cond_timedwait(&changed, &lock, &until))
		;
	if (!j)
		fprintf(to, "none\n");
	else
		fprintf(to, "%s\n", !j->done ? "running" :
				    j->seen[0] ? j->seen : "done");
	if (j)
		jobs = j->next;
}

static void command(char *line, FILE *to, char **argv)
{
	char *rest = strchr(line, ' ');
	struct job *j;
	char text[80];

	line[strcspn(line, "\n")] = '\0';
	pthread_mutex_lock(&lock);
	if (!strncmp(line, "next ", 5)) {
		job_add(line + 5);
		fprintf(to, "ok\n");
	} else if (!strncmp(line, "dial ", 5)) {
		j = job_add(strchr(rest + 3, ' ') + 1);
		j->dials = true;
		j->to.sin6_family = AF_INET6;
		j->to.sin6_port = htons(atoi(rest + 3));
		snprintf(text, sizeof(text), "%s%s",
			 rest[1] == '6' ? "" : "::ffff:",
			 argv[rest[1] == '6' ? 4 : 3]);
		inet_pton(AF_INET6, text, &j->to.sin6_addr);
		go(j);
		while (!j->connected && !j->done)
			pthread_cond_wait(&changed, &lock);
		fprintf(to, "ok\n");
	} else if (!strncmp(line, "pace ", 5)) {
		pace = atoi(line + 5);
		fprintf(to, "ok\n");
	} else if (!strcmp(line, "result")) {
		result(to);
	} else {
		reset();
		fprintf(to, "ok\n");
	}
	pthread_mutex_unlock(&lock);
	fflush(to);
}

int main(int argc, char **argv)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6 };
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int listener, control, one = 1;
	pthread_t thread;
	char line[300];

	if (argc != 5) {
		fprintf(stderr,
			"usage: sockapi_peer CONTROL PORT GUEST4 GUEST6\n");
		return 99;
	}
	signal(SIGPIPE, SIG_IGN);
	own_port = atoi(argv[2]);
	listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	any.sin6_port = htons(own_port);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&any, sizeof(any)) ||
	    listen(listener, 64))
		fail(argv[2]);
	if (pthread_create(&thread, NULL, serve, &listener))
		fail("thread");
	control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", argv[1]);
	unlink(at.sun_path);
	if (bind(control, (struct sockaddr *)&at, sizeof(at)) ||
	    listen(control, 4))
		fail(argv[1]);
	for (;;) {
		FILE *from, *to;
		int fd = accept4(control, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		from = fdopen(fd, "r");
		to = fdopen(dup(fd), "w");
		while (fgets(line, sizeof(line), from))
			command(line, to, argv);
		fclose(from);
		fclose(to);
	}
}
