/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * isolation.c - the privilege phases of a worker
 *
 * See isolation.h for the order. The worker is assumed hostile from its first
 * byte of guest data on: after the last phase it has its descriptors, its
 * memory, and the sockets of one network namespace, and no way to any other
 * thing. What io_uring does for it is not seen by seccomp, so the ring has
 * restrictions of its own (set where the ring is made).
 */
#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/isolation.h"

static int isolation_fail(const char **what, const char *step)
{
	*what = step;
	return -errno;
}

/* Sets both limits; without the privilege to raise, as high as possible. */
static int isolation_set_limit(int resource, rlim_t wanted,
			       const char *name, const char **short_of)
{
	struct rlimit limit = { wanted, wanted };

	if (!setrlimit((__rlimit_resource_t)resource, &limit))
		return 0;
	if (errno != EPERM || getrlimit((__rlimit_resource_t)resource, &limit))
		return -1;
	if (!*short_of && limit.rlim_max < wanted)
		*short_of = name;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit((__rlimit_resource_t)resource, &limit);
}

/*
 * RLIMIT_NPROC stays: it counts the threads of a user, of which io_uring's
 * helpers are some, so that one guest could use up another's. The system call
 * list has no fork and no clone instead.
 */
int isolation_limits(const struct isolation_limits *limits,
		     const char **short_of, const char **what)
{
	*short_of = NULL;
	if (isolation_set_limit(RLIMIT_NOFILE, limits->descriptors,
				"RLIMIT_NOFILE", short_of))
		return isolation_fail(what, "RLIMIT_NOFILE");
	if (isolation_set_limit(RLIMIT_MEMLOCK, limits->locked,
				"RLIMIT_MEMLOCK", short_of))
		return isolation_fail(what, "RLIMIT_MEMLOCK");
	/* A core dump would hold the guest's data. */
	if (isolation_set_limit(RLIMIT_CORE, 0, "RLIMIT_CORE", short_of))
		return isolation_fail(what, "RLIMIT_CORE");
	return 0;
}

/*
 * /tmp is only the place where the empty file system is mounted, in the new
 * namespace; pivot_root() then makes it the root, and the old tree goes.
 */
int isolation_mounts(const char **what)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS))
		return isolation_fail(what, "unshare");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return isolation_fail(what, "making / private");
	if (mount("vtoe", "/tmp", "tmpfs",
		  MS_NODEV | MS_NOEXEC | MS_NOSUID | MS_RDONLY,
		  "nr_inodes=2,nr_blocks=0,mode=0555"))
		return isolation_fail(what, "mounting an empty root");
	if (chdir("/tmp"))
		return isolation_fail(what, "chdir to the empty root");
	if (syscall(SYS_pivot_root, ".", "."))
		return isolation_fail(what, "pivot_root");
	if (umount2(".", MNT_DETACH))
		return isolation_fail(what, "leaving the old root");
	if (chdir("/"))
		return isolation_fail(what, "chdir to /");
	return 0;
}

static int isolation_drop_bounding_set(void)
{
	int cap;

	for (cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap))
			return -1;
	return 0;
}

static int isolation_drop_capabilities(void)
{
	cap_t none = cap_init();
	int result;

	if (!none)
		return -1;
	result = cap_set_proc(none);
	cap_free(none);
	return result;
}

/* All but CAP_IPC_LOCK, if it is there. */
static int isolation_drop_most_capabilities(void)
{
	static const cap_value_t kept[] = { CAP_IPC_LOCK };
	cap_flag_value_t have = CAP_CLEAR;
	cap_t now = cap_get_proc(), next = cap_init();
	int result = -1;

	if (!now || !next || cap_get_flag(now, kept[0], CAP_PERMITTED, &have))
		goto out;
	if (have == CAP_SET &&
	    (cap_set_flag(next, CAP_PERMITTED, 1, kept, CAP_SET) ||
	     cap_set_flag(next, CAP_EFFECTIVE, 1, kept, CAP_SET)))
		goto out;
	result = cap_set_proc(next);
out:
	cap_free(next);
	cap_free(now);
	return result;
}

/*
 * Root (worker_user = root) goes the same way: the user stays what it is, but
 * its capabilities go, and with an empty bounding set and no_new_privs nothing
 * that it executed could have them again.
 */
int isolation_identity(uid_t uid, gid_t gid, const char **what)
{
	if (isolation_drop_bounding_set())
		return isolation_fail(what, "dropping the bounding set");
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
		return isolation_fail(what, "clearing ambient capabilities");
	if (setgroups(0, NULL))
		return isolation_fail(what, "setgroups");
	if (setresgid(gid, gid, gid))
		return isolation_fail(what, "setresgid");
	/* For a moment: setresuid() would drop all of them. */
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
		return isolation_fail(what, "keeping capabilities");
	if (setresuid(uid, uid, uid))
		return isolation_fail(what, "setresuid");
	if (isolation_drop_most_capabilities() ||
	    prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0))
		return isolation_fail(what, "dropping capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return isolation_fail(what, "no_new_privs");
	/* Not to be traced, and its /proc entries are root's. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return isolation_fail(what, "clearing dumpable");
	return 0;
}

int isolation_last(const char **what)
{
	if (isolation_drop_capabilities())
		return isolation_fail(what, "dropping the last capability");
	return 0;
}

static int isolation_add(scmp_filter_ctx filter,
			 const struct isolation_syscall *list, size_t count,
			 uint32_t action)
{
	struct scmp_arg_cmp compare[2] = { 0 };
	unsigned int n;
	size_t i;
	int error;

	for (i = 0; i < count; i++) {
		const struct isolation_syscall *call = &list[i];

		n = 0;
		if (call->a.used)
			compare[n++] = SCMP_CMP(call->a.index,
						SCMP_CMP_MASKED_EQ,
						call->a.mask, call->a.value);
		if (call->b.used)
			compare[n++] = SCMP_CMP(call->b.index,
						SCMP_CMP_MASKED_EQ,
						call->b.mask, call->b.value);
		error = seccomp_rule_add_array(filter, action, call->number, n,
					       compare);
		/* -EDOM: this machine has no such call, so nobody makes it. */
		if (error && error != -EDOM)
			return error;
	}
	return 0;
}

int isolation_syscalls(unsigned int also, const char **what)
{
	scmp_filter_ctx filter;
	int error = -ENOMEM;

	*what = "making the system call filter";
	filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (!filter)
		return error;
	error = isolation_add(filter, isolation_allowed,
			      isolation_allowed_count, SCMP_ACT_ALLOW);
	if (!error)
		error = isolation_add(filter, isolation_sanitizer,
				      isolation_sanitizer_count,
				      SCMP_ACT_ALLOW);
	if (!error && also & ISOLATION_XEN)
		error = isolation_add(filter, isolation_xen,
				      isolation_xen_count, SCMP_ACT_ALLOW);
	if (!error && also & ISOLATION_TTO)
		error = isolation_add(filter, isolation_tto,
				      isolation_tto_count, SCMP_ACT_ALLOW);
	/* abort() signals itself; all workers share a user, and must not be
	 * able to signal one another. */
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW,
					 SCMP_SYS(tgkill), 1,
					 SCMP_A0(SCMP_CMP_EQ,
						 (scmp_datum_t)getpid(), 0));
	isolation_sanitizer_skip_leaks();
	if (!error)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error;
}
