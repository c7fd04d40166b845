/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * process.c - the process of a worker, as its parent sees it
 *
 * The child enters its control group and its guest's network namespace, then
 * executes this same program anew (/proc/self/exe: also after an upgrade has
 * replaced the file): it inherits an address space laid out afresh, and of our
 * descriptors only the channel and stderr. A descriptor of the process, not
 * its number, names it from then on.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/process.h"
#include "daemon/setup.h"

/* Nothing that the supervisor set for itself is the worker's. */
static int process_reset_signals(void)
{
	sigset_t none;
	int number;

	for (number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL);
}

static int process_place_descriptors(int channel)
{
	int null = open("/dev/null", O_RDWR);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		return -1;
	if (channel == WORKER_FD)
		return fcntl(channel, F_SETFD, 0);
	if (dup2(channel, WORKER_FD) < 0)
		return -1;
	/* Also those that some library opened without close-on-exec. */
	return close_range(WORKER_FD + 1, ~0u, CLOSE_RANGE_CLOEXEC);
}

_Noreturn static void process_become_worker(const char *name, int channel,
					    int netns, int cgroup)
{
	char *const arguments[] = {
		(char *)"vtoed", (char *)"--worker", (char *)name, NULL,
	};
	const char *step = "signals";

	if (process_reset_signals())
		goto fail;
	step = "entering its control group";
	if (cgroup >= 0 && write(cgroup, "0", 1) != 1)
		goto fail;
	step = "entering its network namespace";
	if (setns(netns, CLONE_NEWNET))
		goto fail;
	step = "placing its descriptors";
	if (process_place_descriptors(channel))
		goto fail;
	execv("/proc/self/exe", arguments);
	step = "executing /proc/self/exe";
fail:
	vtoe_log(VTOE_LOG_ERROR, "worker of guest %s: %s: %s", name, step,
		 strerror(errno));
	_exit(127);
}

int process_start(struct process *process, const char *name, int netns,
		  int cgroup)
{
	int pair[2];
	int error;
	int pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	pid = fork();
	if (!pid)
		process_become_worker(name, pair[1], netns, cgroup);
	error = errno;
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return -error;
	}
	process->pid = pid;
	process->channel = pair[0];
	process->pidfd = pidfd_open(pid, 0);
	if (process->pidfd >= 0)
		return 0;
	error = errno;
	close(pair[0]);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	process->pid = 0;
	return -error;
}

void process_kill(const struct process *process)
{
	if (process->pid)
		pidfd_send_signal(process->pidfd, SIGKILL, NULL, 0);
}

void process_reap(struct process *process, char *how, size_t size)
{
	siginfo_t info = { 0 };

	if (waitid(P_PIDFD, (id_t)process->pidfd, &info, WEXITED))
		snprintf(how, size, "ended");
	else if (info.si_code == CLD_EXITED)
		snprintf(how, size, "exited with status %d", info.si_status);
	else if (info.si_status == SIGSYS)
		snprintf(how, size, "was killed for a system call that is not "
			 "on its list (the kernel's audit log has its number)");
	else
		snprintf(how, size, "was killed by signal %d (%s)",
			 info.si_status, strsignal(info.si_status));
	close(process->pidfd);
	close(process->channel);
	process->pid = 0;
	process->pidfd = -1;
	process->channel = -1;
}
