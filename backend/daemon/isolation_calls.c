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
#include <seccomp.h>
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
	/* The turn: io_uring (nic/uring.c) and the clock, where it is no
	 * vDSO call (worker.c). What io_uring does by itself is not seen
	 * here: the ring has restrictions of its own. */
	ANY(io_uring_enter),
	ANY(io_uring_register),
	ANY(clock_gettime),
	ANY(restart_syscall), /* the kernel, after a stop signal */

	/* The guests' sockets (worker.c, port/local_peer.c) */
	ANY(accept4),
	ANY(sendmsg),	/* the handshake, with descriptors */
	ANY(recvfrom),	/* recv(): a guest that speaks where it may not; the
			 * supervisor's questions */
	ANY(sendto),	/* send(): answers to the supervisor */
	ANY(getsockopt), /* SO_PEERCRED; a stream's SO_ERROR (nic/socket.c) */
	ANY(poll),	/* nic/socket.c, worker.c: never waits */
	ANY(ppoll),	/* the same, where the machine has no poll() */
	ANY(close),
	ANY(write),	/* log.c */

	/* A guest's shared memory and doorbells (port/local_peer.c): made,
	 * sealed, mapped; never executable */
	ANY(memfd_create),
	ANY(ftruncate),
	WHERE(fcntl, 1, ALL32, F_ADD_SEALS),
	WHERE(mmap, 2, PROT_EXEC, 0),
	ANY(munmap),
	ANY(eventfd2),

	/* Streams (nic/socket.c): TCP sockets of this namespace, no others */
	WHERE2(socket, 0, ALL32, AF_INET, 1, SOCKET_TYPE, SOCK_STREAM),
	WHERE2(socket, 0, ALL32, AF_INET6, 1, SOCKET_TYPE, SOCK_STREAM),
	ANY(bind),
	ANY(listen),
	ANY(shutdown),
	ANY(getsockname),
	ANY(getpeername),
	ANY(setsockopt),
	/* O_NONBLOCK; not F_SETOWN, with which signals can be sent */
	WHERE(fcntl, 1, ALL32, F_GETFL),
	WHERE(fcntl, 1, ALL32, F_SETFL),

	/* Random keys and tokens (path/) */
	ANY(getrandom),

	/* The C library: malloc(); exit(); and abort() with its message, which
	 * also needs tgkill() of this process: isolation_syscalls() */
	ANY(brk),
	ANY(mremap),
	ANY(madvise),
	WHERE(mprotect, 2, PROT_EXEC, 0),
	ANY(futex),
	ANY(exit),
	ANY(exit_group),
	ANY(writev),
	ANY(getpid),
	ANY(gettid),
	ANY(rt_sigaction),
	ANY(rt_sigprocmask),
	ANY(rt_sigreturn),
};

const size_t isolation_allowed_count =
	sizeof(isolation_allowed) / sizeof(isolation_allowed[0]);
