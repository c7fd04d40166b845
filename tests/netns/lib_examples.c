// SPDX-License-Identifier: BSD-2-Clause
/*
 * lib_examples.c - the two example programs do what their heads say
 *
 * Over a real worker; their peers are plain sockets of the same namespace.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/worker.h"

static struct worker worker;

struct program {
	pid_t pid;
	FILE *output; /* standard output and error */
};

static void program_start(struct program *p, const char *name, char **argv)
{
	const char *build = getenv("top_builddir");
	char path[512], line[256];
	int fds[2];

	snprintf(path, sizeof(path), "%s/ulib/examples/%s",
		 build ? build : ".", name);
	argv[0] = path;
	assert_int_equal(pipe(fds), 0);
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (!p->pid) {
		dup2(fds[1], 1);
		dup2(fds[1], 2);
		close(fds[0]);
		close(fds[1]);
		setenv("VTOE_SOCKET", worker.path, 1);
		execv(path, argv);
		_exit(99);
	}
	close(fds[1]);
	p->output = fdopen(fds[0], "r");
	assert_non_null(fgets(line, sizeof(line), p->output));
	assert_string_equal(line, "listening\n");
}

/* Waits for its end; its last line. */
static void program_end(struct program *p, char *line, int size)
{
	int status;

	assert_non_null(fgets(line, size, p->output));
	assert_true(waitpid(p->pid, &status, 0) == p->pid);
	assert_int_equal(status, 0);
	fclose(p->output);
}

static int dial(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		close(fd);
		return -1;
	}
	return fd;
}

#define CLIENTS 20
#define BYTES 300000u

static unsigned char byte_at(unsigned client, uint32_t i)
{
	return (unsigned char)(i * 131 + (i >> 8) + client);
}

/* Writes as long as it can, reads what is there: the echo is exact. */
static void *client(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	uint32_t sent = 0, received = 0, i;
	unsigned char block[7000];
	int fd = dial(7811);

	if (fd < 0)
		return "connect";
	while (received < BYTES) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (sent < BYTES)
			p.events |= POLLOUT;
		if (poll(&p, 1, 10000) <= 0)
			return "stalled";
		if (p.revents & POLLOUT) {
			uint32_t want = BYTES - sent;

			want = want < sizeof(block) ? want : sizeof(block);
			for (i = 0; i < want; i++)
				block[i] = byte_at(me, sent + i);
			n = send(fd, block, want, MSG_DONTWAIT | MSG_NOSIGNAL);
			if (n < 0 && errno != EAGAIN)
				return "send";
			sent += n > 0 ? (uint32_t)n : 0;
			if (sent == BYTES)
				shutdown(fd, SHUT_WR);
		}
		if (p.revents & (POLLIN | POLLHUP)) {
			n = recv(fd, block, sizeof(block), MSG_DONTWAIT);
			if (n == 0 || (n < 0 && errno != EAGAIN))
				return "receive";
			for (i = 0; n > 0 && i < (uint32_t)n; i++)
				if (block[i] != byte_at(me, received + i))
					return "wrong byte";
			received += n > 0 ? (uint32_t)n : 0;
		}
	}
	/* all is here, and the server closes too */
	if (recv(fd, block, 1, 0) != 0)
		return "no end";
	close(fd);
	return NULL;
}

static void test_echo_server(void **state)
{
	char *argv[] = { NULL, "7811", NULL }, line[256];
	unsigned long long connections, open, bytes;
	pthread_t threads[CLIENTS];
	struct program p;
	uintptr_t i;

	(void)state;
	program_start(&p, "echo_server", argv);
	for (i = 0; i < CLIENTS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, client,
						(void *)i), 0);
	for (i = 0; i < CLIENTS; i++) {
		void *failure;

		pthread_join(threads[i], &failure);
		if (failure)
			fail_msg("client %u: %s", (unsigned)i, (char *)failure);
	}
	kill(p.pid, SIGTERM);
	program_end(&p, line, sizeof(line));
	assert_int_equal(sscanf(line, "%llu connections, %llu open, %llu bytes",
				&connections, &open, &bytes), 3);
	assert_int_equal(connections, CLIENTS);
	assert_int_equal(bytes, CLIENTS * (uint64_t)BYTES);
}

static void test_zero_copy_receiver(void **state)
{
	char *argv[] = { NULL, "-l", "7812", NULL }, line[256];
	unsigned long long bytes, sum, registrations, copied;
	uint64_t total = 0, want = 0;
	unsigned char block[65521];
	struct program p;
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < sizeof(block); i++)
		block[i] = byte_at(3, (uint32_t)i);
	program_start(&p, "zero_copy_receiver", argv);
	fd = dial(7812);
	assert_true(fd >= 0);
	while (total < 50000000) {
		ssize_t n = send(fd, block, sizeof(block), MSG_NOSIGNAL);

		assert_true(n > 0);
		for (i = 0; i < (size_t)n; i++)
			want += block[i];
		total += (uint64_t)n;
	}
	close(fd);
	program_end(&p, line, sizeof(line));
	assert_int_equal(sscanf(line, "%llu bytes in %*f s: %*f Gbit/s; "
				      "sum %llu; registrations %llu, bytes "
				      "copied by the library %llu",
				&bytes, &sum, &registrations, &copied), 4);
	assert_int_equal(bytes, total);
	assert_int_equal(sum, want);
	assert_int_equal(registrations, 1);
	assert_int_equal(copied, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo_server),
		cmocka_unit_test(test_zero_copy_receiver),
	};
	int failed;

	worker_namespace();
	worker_start(&worker, NULL);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	worker_stop(&worker);
	return failed ? 1 : 0;
}
