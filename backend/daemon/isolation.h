/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * isolation.h - the privilege phases of a worker
 *
 * A worker starts with the supervisor's privileges, in its guest's network
 * namespace, and gives them up in this order; what each phase still needs is
 * why it stands where it stands:
 *
 *  isolation_limits()	 resource limits; raising one needs CAP_SYS_RESOURCE
 *  isolation_mounts()	 an empty read-only root, System V and host name of
 *			 its own; needs CAP_SYS_ADMIN
 *  (here the worker opens what it needs: io_uring, and the sockets of TTO)
 *  isolation_identity() the unprivileged user, no capability but CAP_IPC_LOCK,
 *			 none to regain; also where that user is root
 *  (here TTO starts: it reads what another worker left, and locks memory, for
 *  which the limit is one of the user's, whom all workers share)
 *  isolation_last()	 no capability
 *  isolation_syscalls() the allow-list of system calls
 *
 * Each returns 0, or -errno with @what naming the step that failed. There is
 * no way on from a failure: the caller reports it and exits.
 */
#ifndef VTOE_DAEMON_ISOLATION_H
#define VTOE_DAEMON_ISOLATION_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct isolation_limits {
	uint64_t descriptors; /* RLIMIT_NOFILE */
	uint64_t locked;      /* RLIMIT_MEMLOCK, bytes: registered buffers */
};

enum {
	ISOLATION_XEN = 1, /* of a Xen guest */
	ISOLATION_TTO = 2, /* with the TTO service */
};

/* One argument of a system call: (argument & mask) == value. */
struct isolation_argument {
	uint8_t used;
	uint8_t index;
	uint64_t mask;
	uint64_t value;
};

struct isolation_syscall {
	int number; /* SCMP_SYS() */
	struct isolation_argument a, b;
};

/*
 * Limits that the process may not raise are raised as far as it may; @short_of
 * then names the first one that stayed lower (else it is NULL).
 */
int isolation_limits(const struct isolation_limits *limits,
		     const char **short_of, const char **what);
int isolation_mounts(const char **what);
int isolation_identity(uid_t uid, gid_t gid, const char **what);
int isolation_last(const char **what);
/* @also: ISOLATION_*, what the worker needs besides. */
int isolation_syscalls(unsigned int also, const char **what);

/* The lists: what the worker needs, and what a sanitizer's runtime adds. */
extern const struct isolation_syscall isolation_allowed[];
extern const size_t isolation_allowed_count;
extern const struct isolation_syscall isolation_xen[];
extern const size_t isolation_xen_count;
extern const struct isolation_syscall isolation_tto[];
extern const size_t isolation_tto_count;
extern const struct isolation_syscall isolation_sanitizer[];
extern const size_t isolation_sanitizer_count;
/* The leak check at exit needs what a worker has given up: it is turned off. */
void isolation_sanitizer_skip_leaks(void);

#endif
