/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * preload_real.h - the C library's own functions, behind the interposed ones
 *
 * They are called through pointers and not as raw system calls because they
 * are cancellation points, and because another preloaded object may stand
 * between us and the C library. REAL(name) resolves on first use: a program's
 * own constructors may call before ours ran.
 */
#ifndef VTOE_PRELOAD_REAL_H
#define VTOE_PRELOAD_REAL_H

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#define VT_REAL_LIST(X)                                                       \
	X(int, socket, (int, int, int))                                       \
	X(int, bind, (int, const struct sockaddr *, socklen_t))               \
	X(int, connect, (int, const struct sockaddr *, socklen_t))            \
	X(int, listen, (int, int))                                            \
	X(int, accept, (int, struct sockaddr *, socklen_t *))                 \
	X(int, accept4, (int, struct sockaddr *, socklen_t *, int))           \
	X(int, shutdown, (int, int))                                          \
	X(int, close, (int))                                                  \
	X(int, getsockname, (int, struct sockaddr *, socklen_t *))            \
	X(int, getpeername, (int, struct sockaddr *, socklen_t *))            \
	X(int, getsockopt, (int, int, int, void *, socklen_t *))              \
	X(int, setsockopt, (int, int, int, const void *, socklen_t))          \
	X(ssize_t, read, (int, void *, size_t))                               \
	X(ssize_t, write, (int, const void *, size_t))                        \
	X(ssize_t, readv, (int, const struct iovec *, int))                   \
	X(ssize_t, writev, (int, const struct iovec *, int))                  \
	X(ssize_t, recv, (int, void *, size_t, int))                          \
	X(ssize_t, send, (int, const void *, size_t, int))                    \
	X(ssize_t, recvfrom, (int, void *, size_t, int, struct sockaddr *,    \
			      socklen_t *))                                   \
	X(ssize_t, sendto, (int, const void *, size_t, int,                   \
			    const struct sockaddr *, socklen_t))              \
	X(ssize_t, recvmsg, (int, struct msghdr *, int))                      \
	X(ssize_t, sendmsg, (int, const struct msghdr *, int))                \
	X(int, recvmmsg, (int, struct mmsghdr *, unsigned, int,               \
			  struct timespec *))                                 \
	X(int, sendmmsg, (int, struct mmsghdr *, unsigned, int))              \
	X(ssize_t, sendfile, (int, int, off_t *, size_t))                     \
	X(ssize_t, splice, (int, off64_t *, int, off64_t *, size_t,           \
			    unsigned))                                        \
	X(int, dup, (int))                                                    \
	X(int, dup2, (int, int))                                              \
	X(int, dup3, (int, int, int))                                         \
	X(int, fcntl, (int, int, ...))                                        \
	X(int, fcntl64, (int, int, ...))                                      \
	X(int, ioctl, (int, unsigned long, ...))                              \
	X(int, poll, (struct pollfd *, nfds_t, int))                          \
	X(int, ppoll, (struct pollfd *, nfds_t, const struct timespec *,      \
		       const sigset_t *))                                     \
	X(int, select, (int, fd_set *, fd_set *, fd_set *,                    \
			struct timeval *))                                    \
	X(int, pselect, (int, fd_set *, fd_set *, fd_set *,                   \
			 const struct timespec *, const sigset_t *))          \
	X(int, epoll_create, (int))                                           \
	X(int, epoll_create1, (int))                                          \
	X(int, epoll_ctl, (int, int, int, struct epoll_event *))              \
	X(int, epoll_wait, (int, struct epoll_event *, int, int))             \
	X(int, epoll_pwait, (int, struct epoll_event *, int, int,             \
			     const sigset_t *))                               \
	X(int, sigaction, (int, const struct sigaction *,                     \
			   struct sigaction *))                               \
	X(sighandler_t, signal, (int, sighandler_t))                          \
	X(int, execve, (const char *, char *const[], char *const[]))          \
	X(int, execvpe, (const char *, char *const[], char *const[]))         \
	X(int, fexecve, (int, char *const[], char *const[]))                  \
	X(int, posix_spawn, (pid_t *, const char *,                           \
			     const posix_spawn_file_actions_t *,              \
			     const posix_spawnattr_t *, char *const[],        \
			     char *const[]))                                  \
	X(int, posix_spawnp, (pid_t *, const char *,                          \
			      const posix_spawn_file_actions_t *,             \
			      const posix_spawnattr_t *, char *const[],       \
			      char *const[]))                                 \
	X(int, system, (const char *))                                        \
	X(FILE *, popen, (const char *, const char *))                        \
	X(FILE *, fdopen, (int, const char *))                                \
	X(int, fileno, (FILE *))                                              \
	X(int, fileno_unlocked, (FILE *))                                     \
	X(int, vdprintf, (int, const char *, va_list))

struct vt_real {
#define X(type, name, args) type(*name) args;
	VT_REAL_LIST(X)
#undef X
};
extern struct vt_real vt_real;
void vt_real_resolve(void);

#define REAL(name) \
	(__builtin_expect(!vt_real.name, 0) ? \
	 (vt_real_resolve(), vt_real.name) : vt_real.name)

#endif
