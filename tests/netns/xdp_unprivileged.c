/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xdp_unprivileged.c - a worker without privilege uses what the supervisor opened
 *
 * The supervisor, root, opens the steering and an AF_XDP socket; a child that is
 * nobody, without capabilities, and whose seccomp filter leaves it of bpf(2)
 * the two commands that change elements of a map, has the descriptors alone. It
 * registers its own memory, binds, puts itself into the map, claims a flow and
 * receives it, byte for byte, unclaims it, and stays within RLIMIT_MEMLOCK. The
 * claim of a second flow outlives it; its socket does not, and a successor takes
 * over. It cannot open such things itself.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/netns/xdp_rig.h"

enum { NOBODY = 65534, WAIT_MS = 5000, FRAMES = 200 };

static const struct xsk_config sizes = {
	.frame_size = 2048, .receive = 64, .send = 4
};
static const struct rig_flow first = { 4, IPPROTO_TCP, 1, 2, 80, 40000,
				       0, 0, false, 0, 0, false };
static const struct rig_flow second = { 4, IPPROTO_TCP, 1, 2, 81, 40000,
					0, 0, false, 0, 0, false };

static void filter(void)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	uint32_t command;
	int rc = 0;

	/* all commands that there are, and some */
	for (command = 0; command < 64; command++)
		if (command != BPF_MAP_UPDATE_ELEM &&
		    command != BPF_MAP_DELETE_ELEM)
			rc |= seccomp_rule_add(f, SCMP_ACT_KILL_PROCESS,
					       SCMP_SYS(bpf), 1,
					       SCMP_A0(SCMP_CMP_EQ, command,
						       0));
	if (!f || rc || seccomp_load(f))
		rig_fail("seccomp");
	seccomp_release(f);
}

/* The limit is that of the user: the second worker gets what the first one had,
 * as soon as the kernel has let go of it. */
static void drop_privilege(void)
{
	struct xsk_config c = sizes;
	struct rlimit l;

	l.rlim_cur = l.rlim_max = xsk_memory_bytes(&c) + 65536;
	if (setrlimit(RLIMIT_MEMLOCK, &l) || setgroups(0, NULL) ||
	    setgid(NOBODY) || setuid(NOBODY) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		rig_fail("dropping privilege: errno %d", errno);
}

static void cannot_open(void)
{
	struct steer_config c = { .ifindex = 1, .claims_max = 1, .queues = 1,
				  .frame_max = 1500 };
	struct steer s;
	int rc = xsk_socket(0);

	if (rc != -EPERM)
		rig_fail("xsk_socket without privilege: %d", rc);
	rc = steer_open(&s, &c);
	if (rc != -EPERM)
		rig_fail("steer_open without privilege: %d", rc);
}

static void start(struct rig *r, int fd)
{
	struct xsk_config c = sizes;
	int rc;

	c.ifindex = r->ifindex;
	r->memory = mmap(NULL, xsk_memory_bytes(&c), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	rc = xsk_start(&r->xsk, fd, &c, r->memory);
	if (!rc)
		rc = steer_queue(r->steer.sockets, 0, r->xsk.fd);
	if (rc)
		rig_fail("a worker's start: %s", strerror(-rc));
}

static void exchange(struct rig *r, const struct rig_flow *f)
{
	uint8_t frame[RIG_LONGEST], got[RIG_LONGEST];
	uint32_t n, i;

	for (i = 0; i < FRAMES; i++) {
		n = rig_frame(frame, f, 100 + i);
		rig_send(r, frame, n);
		if (rig_receive(r, got, WAIT_MS) != n || memcmp(got, frame, n))
			rig_fail("frame %u is not what was sent", i);
	}
}

static void first_worker(struct rig *r, int fd)
{
	uint8_t frame[RIG_LONGEST], got[RIG_LONGEST];
	struct steer_claim a, b;
	uint32_t n;

	rig_claim_of(&a, &first);
	rig_claim_of(&b, &second);
	drop_privilege();
	cannot_open();
	filter();
	start(r, fd);
	if (steer_claim(r->steer.claims, &a, 1) ||
	    steer_claim(r->steer.claims, &b, 1) ||
	    steer_claim(r->steer.claims, &b, 1) != -EEXIST)
		rig_fail("claims of a worker: errno %d", errno);
	exchange(r, &first);
	if (steer_unclaim(r->steer.claims, &a))
		rig_fail("unclaim of a worker: errno %d", errno);
	n = rig_frame(frame, &first, 200);
	rig_send(r, frame, n);
	if (rig_seen(r->tap, got, WAIT_MS) != n || memcmp(got, frame, n))
		rig_fail("unclaimed, and does not pass up");
	kill(getpid(), SIGKILL);
}

static void second_worker(struct rig *r, int fd)
{
	drop_privilege();
	filter();
	start(r, fd);
	exchange(r, &second);
	_exit(0);
}

static int socket_for_worker(void)
{
	int fd = xsk_socket(20);

	if (fd == -EAFNOSUPPORT) {
		printf("SKIP: machine: no AF_XDP\n");
		exit(77);
	}
	if (fd < 0)
		rig_fail("xsk_socket: %d", fd);
	return fd;
}

/* The parent keeps no copy of the socket: it would keep the queue. */
static int run(struct rig *r, void (*worker)(struct rig *r, int fd))
{
	int fd = socket_for_worker(), status;
	pid_t pid = fork();

	if (pid < 0)
		rig_fail("fork");
	if (!pid)
		worker(r, fd);
	close(fd);
	if (waitpid(pid, &status, 0) != pid)
		rig_fail("waitpid");
	return status;
}

int main(void)
{
	struct rig r;
	int status;

	rig_namespace(&r);
	rig_steer(&r, false, 16);
	status = run(&r, first_worker);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		rig_fail("the first worker ended with status %x", status);
	status = run(&r, second_worker);
	if (status)
		rig_fail("the second worker ended with status %x", status);
	rig_close(&r);
	printf("PASS: a worker needs descriptors alone\n");
	return 0;
}
