/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * survive ADDRESS PORT NOBODY WORKER - calls of an application whose worker dies
 *
 * ADDRESS and PORT are an echo server's, NOBODY is an address that does not
 * answer. One thread each waits in recv, send, accept, connect, poll, select,
 * epoll_wait, or exchanges messages as fast as it can; then the process WORKER
 * is killed (SIGKILL). Every call must fail within a second, and a receive must
 * not look like the end of the stream. Then new sockets of this process must
 * connect and exchange messages within two seconds. Prints a line for each.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <unistd.h>

#include "tests/netns/prog.h"

#define LIMIT_MS 1000
#define AGAIN_MS 2000

struct task {
	const char *name;
	/* Prepares, says task_ready(), then waits: the result of the last
	 * call, with errno. */
	ssize_t (*wait)(struct task *t);
	pthread_t thread;
	pid_t tid;
	int ready, done; /* atomic */
	uint64_t done_us;
	ssize_t result;
	int error;
};

static const char *address, *port, *nobody;

static void task_ready(struct task *t)
{
	__atomic_store_n(&t->ready, 1, __ATOMIC_RELEASE);
}

static ssize_t wait_recv(struct task *t)
{
	int fd = prog_connect(address, port);
	char c;

	task_ready(t);
	return recv(fd, &c, 1, 0);
}

static ssize_t wait_recv_timeout(struct task *t)
{
	struct timeval timeout = { .tv_sec = 30 };
	int fd = prog_connect(address, port);
	char c;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout,
		       sizeof(timeout)) < 0)
		prog_fail("SO_RCVTIMEO");
	task_ready(t);
	return recv(fd, &c, 1, 0);
}

/* The echo server stops reading when its answers are not taken. */
static ssize_t wait_send(struct task *t)
{
	int fd = prog_connect(address, port);
	static char data[65536];
	ssize_t n;

	while (send(fd, data, sizeof(data), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	if (errno != EAGAIN)
		prog_fail("send");
	task_ready(t);
	do
		n = send(fd, data, sizeof(data), MSG_NOSIGNAL);
	while (n > 0);
	return n;
}

static ssize_t wait_accept(struct task *t)
{
	int fd = prog_listen("0");

	task_ready(t);
	return accept(fd, NULL, NULL);
}

static ssize_t wait_connect(struct task *t)
{
	struct sockaddr_storage to;
	socklen_t len = prog_address(nobody, port, &to);
	int fd = socket(to.ss_family, SOCK_STREAM, 0);

	if (fd < 0)
		prog_fail("socket");
	task_ready(t);
	return connect(fd, (struct sockaddr *)&to, len);
}

static ssize_t wait_poll(struct task *t)
{
	struct pollfd p = { .events = POLLIN };
	char c;

	p.fd = prog_connect(address, port);
	task_ready(t);
	if (poll(&p, 1, 30000) != 1)
		return 0;
	return recv(p.fd, &c, 1, MSG_DONTWAIT);
}

static ssize_t wait_select(struct task *t)
{
	int fd = prog_connect(address, port);
	fd_set set;
	char c;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	task_ready(t);
	if (select(fd + 1, &set, NULL, NULL, NULL) != 1)
		return 0;
	return recv(fd, &c, 1, MSG_DONTWAIT);
}

static ssize_t wait_epoll(struct task *t)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	int fd = prog_connect(address, port);
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	char c;

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		prog_fail("epoll");
	task_ready(t);
	if (epoll_wait(epoll, &event, 1, 30000) != 1)
		return 0;
	return recv(fd, &c, 1, MSG_DONTWAIT);
}

static ssize_t exchange(int fd)
{
	char data[1000];
	size_t done = 0;
	ssize_t n;

	memset(data, 'x', sizeof(data));
	n = send(fd, data, sizeof(data), MSG_NOSIGNAL);
	if (n < 0)
		return n;
	while (done < sizeof(data)) {
		n = recv(fd, data, sizeof(data) - done, 0);
		if (n <= 0)
			return n;
		done += (size_t)n;
	}
	return 1;
}

static ssize_t wait_exchange(struct task *t)
{
	int fd = prog_connect(address, port);
	ssize_t n;

	while ((n = exchange(fd)) > 0)
		task_ready(t);
	return n;
}

static struct task tasks[] = {
	{ .name = "recv", .wait = wait_recv },
	{ .name = "recv with SO_RCVTIMEO", .wait = wait_recv_timeout },
	{ .name = "send", .wait = wait_send },
	{ .name = "accept", .wait = wait_accept },
	{ .name = "connect", .wait = wait_connect },
	{ .name = "poll", .wait = wait_poll },
	{ .name = "select", .wait = wait_select },
	{ .name = "epoll_wait", .wait = wait_epoll },
	{ .name = "send and recv", .wait = wait_exchange },
};

#define TASKS (sizeof(tasks) / sizeof(tasks[0]))

static void *task_run(void *arg)
{
	struct task *t = arg;

	t->tid = gettid();
	errno = 0;
	t->result = t->wait(t);
	t->error = errno;
	t->done_us = prog_now_us();
	__atomic_store_n(&t->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* Asleep: in the call, that is. The exchanging one never is for long. */
static int task_sleeps(const struct task *t)
{
	char path[64], line[256], *state;
	FILE *f;

	if (!__atomic_load_n(&t->ready, __ATOMIC_ACQUIRE))
		return 0;
	if (t->wait == wait_exchange)
		return 1;
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", t->tid);
	f = fopen(path, "r");
	if (!f || !fgets(line, sizeof(line), f))
		prog_error("%s", path);
	fclose(f);
	state = strrchr(line, ')');
	return state && state[2] == 'S';
}

static void wait_all_asleep(void)
{
	uint64_t end = prog_now_ms() + 10000;
	size_t i = 0;

	while (i < TASKS) {
		errno = 0;
		if (__atomic_load_n(&tasks[i].done, __ATOMIC_ACQUIRE)) {
			errno = tasks[i].error;
			prog_fail("%s ended by itself: %zd", tasks[i].name,
				  tasks[i].result);
		}
		if (prog_now_ms() > end)
			prog_fail("%s does not wait", tasks[i].name);
		if (task_sleeps(&tasks[i]))
			i++;
		else
			usleep(1000);
	}
}

/* 1 if this call hung, or looked like success. */
static int task_judge(struct task *t, uint64_t killed_us)
{
	uint64_t end = killed_us + LIMIT_MS * 1000;

	while (!__atomic_load_n(&t->done, __ATOMIC_ACQUIRE)) {
		if (prog_now_us() > end) {
			printf("%s: HANGS after %d ms\n", t->name, LIMIT_MS);
			return 1;
		}
		usleep(1000);
	}
	printf("%s: %s after %llu us\n", t->name,
	       t->result < 0 ? strerror(t->error) : "NO ERROR",
	       (unsigned long long)(t->done_us - killed_us));
	return t->result >= 0;
}

static int exchange_again(void)
{
	struct sockaddr_storage to;
	socklen_t len = prog_address(address, port, &to);
	int result, fd = socket(to.ss_family, SOCK_STREAM, 0);

	if (fd < 0)
		return -1;
	result = connect(fd, (struct sockaddr *)&to, len);
	if (!result)
		result = exchange(fd) == 1 ? 0 : -1;
	close(fd);
	return result;
}

int main(int argc, char **argv)
{
	uint64_t killed_us;
	int bad = 0;
	pid_t worker;
	size_t i;

	if (argc != 5)
		prog_error("usage: survive ADDRESS PORT NOBODY WORKER");
	address = argv[1];
	port = argv[2];
	nobody = argv[3];
	worker = (pid_t)prog_number(argv[4]);
	for (i = 0; i < TASKS; i++)
		if (pthread_create(&tasks[i].thread, NULL, task_run, &tasks[i]))
			prog_error("thread");
	wait_all_asleep();
	killed_us = prog_now_us();
	if (kill(worker, SIGKILL) < 0)
		prog_error("kill %d", worker);
	for (i = 0; i < TASKS; i++)
		bad += task_judge(&tasks[i], killed_us);
	while (exchange_again() < 0) {
		if (prog_now_us() > killed_us + AGAIN_MS * 1000)
			prog_fail("no new socket works %d ms after", AGAIN_MS);
		usleep(5000);
	}
	printf("a new socket works after %llu us\n",
	       (unsigned long long)(prog_now_us() - killed_us));
	if (bad)
		prog_fail("%d calls hang or look like success", bad);
	return 0;
}
