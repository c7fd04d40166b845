/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * worker_host - starts one worker without a supervisor, for tests
 *
 *   worker_host VTOED SOCKET [key=value ...]
 *
 * Runs `VTOED --worker` in the network namespace it is started in, with a
 * device listening at SOCKET, prints "ready PID" and stays until its standard
 * input ends or it is killed; then the worker ends too. Keys are the numeric
 * fields of struct worker_setup (lanes=, streams=, peers=, memory=, ...) and
 * name=. The counters are a file that can be read: SOCKET.stats.
 * Exits 0; 99 when the worker could not be started.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/stats.h"
#include "daemon/setup.h"

static struct worker_setup setup = {
	.magic = WORKER_SETUP_MAGIC,
	.version = WORKER_SETUP_VERSION,
	.name = "test",
	.mtu = 1500,
	.link = 1,
	.uid = 65534,
	.gid = 65534,
	.log_level = 2,
	.max_peers = 64,
	.max_lanes = 8,
	.max_streams = 4096,
	.max_peer_streams = 4096,
	.max_regions = 64,
	.peer_memory = 64 << 20,
	.total_memory = 16ull << 30,
	.zerocopy_min = 16384,
	.credit = 64,
};

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "worker_host: %s: %s\n", what, strerror(errno));
	exit(99);
}

static void set(const char *arg)
{
	static const struct {
		const char *name;
		void *at;
		size_t bytes;
	} keys[] = {
		{ "uid", &setup.uid, 4 },
		{ "gid", &setup.gid, 4 },
		{ "log", &setup.log_level, 4 },
		{ "peers", &setup.max_peers, 4 },
		{ "lanes", &setup.max_lanes, 4 },
		{ "streams", &setup.max_streams, 4 },
		{ "peer_streams", &setup.max_peer_streams, 4 },
		{ "regions", &setup.max_regions, 4 },
		{ "memory", &setup.peer_memory, 8 },
		{ "total_memory", &setup.total_memory, 8 },
		{ "spin_usec", &setup.spin_usec, 4 },
		{ "zerocopy_min", &setup.zerocopy_min, 4 },
		{ "credit", &setup.credit, 4 },
		{ "allow", &setup.allow_uid[0], 4 },
		{ "allow_count", &setup.allow_count, 4 },
		{ "port", &setup.port, 4 },
		{ "xen_domid", &setup.xen_domid, 4 },
		{ "xen_ring_ref", &setup.xen_ring_ref, 4 },
		{ "xen_event_channel", &setup.xen_event_channel, 4 },
	};
	const char *eq = strchr(arg, '=');
	uint64_t value;
	size_t i;

	if (!eq)
		errno = EINVAL, fail(arg);
	if (!strncmp(arg, "name=", 5)) {
		snprintf(setup.name, sizeof(setup.name), "%s", eq + 1);
		return;
	}
	value = strtoull(eq + 1, NULL, 0);
	for (i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		if (strlen(keys[i].name) != (size_t)(eq - arg) ||
		    strncmp(keys[i].name, arg, (size_t)(eq - arg)))
			continue;
		memcpy(keys[i].at, &value, keys[i].bytes); /* little-endian */
		return;
	}
	errno = EINVAL;
	fail(arg);
}

static int listen_at(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (strlen(path) >= sizeof(a.sun_path))
		errno = ENAMETOOLONG, fail(path);
	strcpy(a.sun_path, path);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) ||
	    chmod(path, 0666) || listen(fd, 128))
		fail(path);
	return fd;
}

static void send_setup(int channel, const int fds[WORKER_SETUP_FDS])
{
	char control[CMSG_SPACE(WORKER_SETUP_FDS * sizeof(int))] = { 0 };
	struct iovec iov = { &setup, sizeof(setup) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(WORKER_SETUP_FDS * sizeof(int));
	memcpy(CMSG_DATA(c), fds, WORKER_SETUP_FDS * sizeof(int));
	if (sendmsg(channel, &msg, 0) != sizeof(setup))
		fail("send the set-up");
}

static pid_t start(const char *vtoed, int channel, int other)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(other);
	if (channel == WORKER_FD)
		fcntl(channel, F_SETFD, 0);
	else
		dup2(channel, WORKER_FD);
	close_range(WORKER_FD + 1, ~0u, 0);
	execl(vtoed, "vtoed", "--worker", setup.name, (char *)NULL);
	fprintf(stderr, "worker_host: %s: %s\n", vtoed, strerror(errno));
	_exit(99);
}

static int counters(const char *socket_path)
{
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s.stats", socket_path);
	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || ftruncate(fd, VTOE_STATS_BYTES))
		fail(path);
	return fd;
}

int main(int argc, char **argv)
{
	struct worker_failed answer = { 0 };
	int pair[2], fds[WORKER_SETUP_FDS], i, status;
	char buffer[256];
	ssize_t n;
	pid_t pid;

	if (argc < 3) {
		fprintf(stderr, "usage: worker_host VTOED SOCKET [key=value ...]\n");
		return 99;
	}
	for (i = 3; i < argc; i++)
		set(argv[i]);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		fail("socketpair");
	fds[0] = listen_at(argv[2]);
	fds[1] = counters(argv[2]);
	fds[2] = open("/dev/null", O_RDWR | O_CLOEXEC);
	fds[3] = fds[4] = fds[2]; /* no TTO */
	pid = start(argv[1], pair[1], pair[0]);
	close(pair[1]);
	send_setup(pair[0], fds);
	n = recv(pair[0], &answer, sizeof(answer), 0);
	if (n < (ssize_t)sizeof(struct worker_header) ||
	    answer.h.message != WORKER_READY) {
		fprintf(stderr, "worker_host: worker did not start: %.124s: %s\n",
			answer.what, strerror(answer.error));
		return 99;
	}
	printf("ready %d\n", (int)pid);
	fflush(stdout);
	for (;;) {
		struct pollfd p[2] = { { .fd = 0, .events = POLLIN },
				       { .fd = pair[0], .events = POLLIN } };

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			break;
		if (p[1].revents && recv(pair[0], buffer, sizeof(buffer),
					 MSG_DONTWAIT) == 0)
			break;
		if (p[0].revents && read(0, buffer, sizeof(buffer)) <= 0)
			break;
	}
	close(pair[0]);
	waitpid(pid, &status, 0);
	unlink(argv[2]);
	if (WIFSIGNALED(status))
		fprintf(stderr, "worker_host: worker ended by signal %d\n",
			WTERMSIG(status));
	return 0;
}
