/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * isolation_calls.c - the system calls of a worker
 *
 * A call that is not here kills the worker. Each entry names the code that
 * needs it; a call that is only dangerous with certain arguments is listed
 * with those that are needed. Nothing opens a file, starts a process or a
 * thread, sends a signal to another process, or changes a privilege.
 */
#include <fcntl.h>
#include <linux/sockios.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "daemon/isolation.h"

#define ANY(call) { SCMP_SYS(call), { 0, 0, 0, 0 }, { 0, 0, 0, 0 } }
/* Argument @n, under @mask, is @value. */
#define WHERE(call, n, mask, value)                                            \
	{ SCMP_SYS(call), { 1, n, mask, value }, { 0, 0, 0, 0 } }
#define WHERE2(call, n, mask, value, n2, mask2, value2)                        \
	{ SCMP_SYS(call), { 1, n, mask, value }, { 1, n2, mask2, value2 } }

#define ALL32 0xffffffffu
/* The type of a socket without SOCK_CLOEXEC and SOCK_NONBLOCK. */
#define SOCKET_TYPE 0xfu

const struct isolation_syscall isolation_allowed[] = {
	/* The turn: io_uring, waiting, the clock (nic/, path/, base/clock) */
	ANY(io_uring_enter),
	ANY(io_uring_register),
	ANY(epoll_wait),
	ANY(epoll_pwait),
	ANY(epoll_pwait2),
	ANY(epoll_ctl),
	ANY(epoll_create1),
	ANY(poll),
	ANY(ppoll),
	ANY(clock_gettime),
	ANY(clock_nanosleep),
	ANY(nanosleep),
	ANY(sched_yield),
	ANY(restart_syscall), /* the kernel, after a stop signal */

	/* Doorbells (eventfd), the supervisor's and the guests' sockets */
	ANY(read),
	ANY(write),
	ANY(readv),
	ANY(writev),	/* log lines, too */
	ANY(recvmsg),
	ANY(sendmsg),
	ANY(recvfrom),
	ANY(sendto),
	ANY(accept4),
	ANY(eventfd2),
	ANY(close),
	ANY(close_range),

	/* A guest's shared memory (port/): made, sealed, mapped; not
	 * executable */
	ANY(memfd_create),
	ANY(ftruncate),
	ANY(fallocate),
	WHERE(mmap, 2, PROT_EXEC, 0),
	WHERE(mprotect, 2, PROT_EXEC, 0),
	ANY(munmap),
	ANY(mremap),
	ANY(madvise),
	/* Seals, O_NONBLOCK, copies; not F_SETOWN, which sends signals */
	WHERE(fcntl, 1, ALL32, F_ADD_SEALS),
	WHERE(fcntl, 1, ALL32, F_GET_SEALS),
	WHERE(fcntl, 1, ALL32, F_GETFL),
	WHERE(fcntl, 1, ALL32, F_SETFL),
	WHERE(fcntl, 1, ALL32, F_GETFD),
	WHERE(fcntl, 1, ALL32, F_SETFD),
	WHERE(fcntl, 1, ALL32, F_DUPFD_CLOEXEC),

	/* Streams (nic/): TCP sockets of this namespace and no others */
	WHERE2(socket, 0, ALL32, AF_INET, 1, SOCKET_TYPE, SOCK_STREAM),
	WHERE2(socket, 0, ALL32, AF_INET6, 1, SOCKET_TYPE, SOCK_STREAM),
	ANY(bind),
	ANY(listen),
	ANY(connect),
	ANY(shutdown),
	ANY(getsockname),
	ANY(getpeername),
	ANY(setsockopt),
	ANY(getsockopt), /* SO_PEERCRED of the port, too */
	WHERE(ioctl, 1, ALL32, SIOCINQ), /* FIONREAD is the same number */
	WHERE(ioctl, 1, ALL32, SIOCOUTQ),

	/* The C library: malloc, locks, stdio, keys, exit, abort */
	ANY(brk),
	ANY(futex),
	ANY(getrandom),
	ANY(fstat),
	/* fstat() is newfstatat(fd, "", ..., AT_EMPTY_PATH); a path leads
	 * nowhere, as the root is empty */
	ANY(newfstatat),
	ANY(getpid),
	ANY(gettid),
	/* abort() needs tgkill() of this process: isolation_syscalls() */
	ANY(rt_sigaction),
	ANY(rt_sigprocmask),
	ANY(rt_sigreturn),
	ANY(exit),
	ANY(exit_group),
};

const size_t isolation_allowed_count =
	sizeof(isolation_allowed) / sizeof(isolation_allowed[0]);
