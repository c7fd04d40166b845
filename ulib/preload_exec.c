/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * preload_exec.c - handing streams to a new program image
 *
 * Theory of operation. Before an exec, each stream that has a descriptor
 * without close-on-exec gets a token, and a record of it goes into a memfd
 * whose number the environment tells (VTOE_HANDOFF). A record names the
 * placeholder by its inode and not by a descriptor, so that whatever happens
 * between (dup2, the file actions of posix_spawn, closing), the new image
 * finds which of its descriptors are which stream: its constructor compares
 * inodes and adopts. Records that nobody claims run out with their tokens.
 *
 * system and popen spawn inside the C library, from `environ`: there the
 * variable is set for the duration of the call.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "preload.h"

#define VT_HANDOFF "VTOE_HANDOFF"

struct vt_record {
	uint64_t inode;
	unsigned char token[16];
	int family, state, common_fd;
	bool eof, shut_rd, shut_wr, reset, bound, has_local, has_peer;
	int err;
	struct linger linger;
	int64_t rcv_timeout, snd_timeout;
	struct vtoe_address local, peer;
};

/* -- giving --------------------------------------------------------------------- */

static void vt_record_fill(struct vt_record *r, const struct vsock *s)
{
	memset(r, 0, sizeof(*r));
	r->inode = s->inode;
	r->family = s->family;
	r->state = s->state;
	r->common_fd = s->common_fd;
	r->eof = s->eof;
	r->shut_rd = s->shut_rd;
	r->shut_wr = s->shut_wr;
	r->reset = s->reset;
	r->bound = s->bound;
	r->has_local = s->has_local;
	r->has_peer = s->has_peer;
	r->err = s->err;
	r->linger = s->linger;
	r->rcv_timeout = s->rcv_timeout;
	r->snd_timeout = s->snd_timeout;
	r->local = s->local;
	r->peer = s->peer;
}

/* Does a descriptor of it survive an exec? */
static bool vt_survives(const struct vsock *s)
{
	int fd;

	for (fd = vt_table_next(0); fd >= 0; fd = vt_table_next(fd + 1))
		if (vt_peek(fd) == &s->o &&
		    !(REAL(fcntl)(fd, F_GETFD) & FD_CLOEXEC))
			return true;
	return false;
}

/*
 * Writes a record of each stream that survives (or of all). -> the memfd, or
 * -1 when there is none to write.
 */
static int vt_handoff_make(bool all)
{
	struct vsock *s, *next;
	int fd = -1;

	vt_lock();
	for (s = vt.socks; s; s = next) {
		struct vt_record record;
		bool given;

		next = s->next;
		if (s->state == VT_NEW || s->state == VT_CLOSED || s->dead ||
		    !s->o.refs || !(all || vt_survives(s)))
			continue;
		vt_hold(&s->o);
		given = !vt_make_shared(s);
		if (given) {
			vt_record_fill(&record, s);
			given = vt_share(s, record.token) >= 0;
			memcpy(s->token, record.token, sizeof(s->token));
			s->has_token = given;
		}
		if (given && s->common_fd >= 0)
			REAL(fcntl)(s->common_fd, F_SETFD, 0);
		if (given && fd < 0) {
			fd = memfd_create("vtoe-handoff", 0);
			if (fd >= 0)
				fd = vt_protect(fd);
		}
		if (given && fd >= 0 &&
		    REAL(write)(fd, &record, sizeof(record)) < 0)
			vt_say("cannot hand a stream over: %s",
			       strerror(errno));
		next = s->next;
		vt_drop(&s->o);
	}
	if (fd >= 0)
		REAL(fcntl)(fd, F_SETFD, 0);
	vt_unlock();
	return fd;
}

/*
 * After an exec that failed, or a spawn. Tokens that nobody can want any more
 * are used up by ourselves: they would hold the streams.
 */
static void vt_handoff_undo(int fd, bool take_back)
{
	struct vsock *s;

	if (fd < 0)
		return;
	vt_lock();
	for (s = vt.socks; take_back && s; s = s->next)
		if (s->has_token && !s->dead) {
			vt_token_drop(s->token);
			s->has_token = false;
		}
	vt_unprotect(fd);
	REAL(close)(fd);
	for (s = vt.socks; s; s = s->next)
		if (s->common_fd >= 0)
			REAL(fcntl)(s->common_fd, F_SETFD, FD_CLOEXEC);
	vt_unlock();
}

/* The environment with the variable. The caller frees the array. */
static char **vt_environment(char *const env[], int fd, char *text,
			     size_t room)
{
	size_t n = 0, kept = 0, i;
	char **copy;

	while (env && env[n])
		n++;
	copy = calloc(n + 2, sizeof(*copy));
	if (!copy)
		return NULL;
	for (i = 0; i < n; i++)
		if (strncmp(env[i], VT_HANDOFF "=", sizeof(VT_HANDOFF)))
			copy[kept++] = env[i];
	snprintf(text, room, VT_HANDOFF "=%d", fd);
	copy[kept] = text;
	return copy;
}

/* Runs one of the exec or spawn functions with the streams handed over. */
#define VT_WITH_HANDOFF(all, env, call)                                     \
	do {                                                                \
		char text[32];                                              \
		int fd = vt_handoff_make(all), rc, err;                     \
		char **copy = fd < 0 ? NULL :                               \
			      vt_environment(env, fd, text, sizeof(text));  \
		char *const *with = copy ? copy : (char *const *)(env);     \
		rc = call;                                                  \
		err = errno;                                                \
		free(copy);                                                 \
		vt_handoff_undo(fd, rc != 0);                               \
		errno = err;                                                \
		return rc;                                                  \
	} while (0)

VT_EXPORT int execve(const char *path, char *const argv[], char *const env[])
{
	VT_WITH_HANDOFF(false, env, REAL(execve)(path, argv, with));
}

VT_EXPORT int execvpe(const char *file, char *const argv[], char *const env[])
{
	VT_WITH_HANDOFF(false, env, REAL(execvpe)(file, argv, with));
}

VT_EXPORT int fexecve(int fd_, char *const argv[], char *const env[])
{
	VT_WITH_HANDOFF(false, env, REAL(fexecve)(fd_, argv, with));
}

VT_EXPORT int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

VT_EXPORT int execvp(const char *file, char *const argv[])
{
	return execvpe(file, argv, environ);
}

/* The arguments of execl and its likes, as a vector. */
static char **vt_argv(const char *first, va_list args, char *const **env)
{
	size_t n = 1, i;
	va_list count;
	char **argv;

	va_copy(count, args);
	if (first)
		while (va_arg(count, char *))
			n++;
	va_end(count);
	argv = calloc(n + 1, sizeof(*argv));
	if (!argv)
		return NULL;
	argv[0] = (char *)first;
	for (i = 1; first && i <= n; i++)
		argv[i] = va_arg(args, char *);
	if (env)
		*env = va_arg(args, char *const *);
	return argv;
}

#define VT_EXECL(first, env, call)                        \
	do {                                              \
		char **argv;                              \
		va_list args;                             \
		int rc;                                   \
		va_start(args, first);                    \
		argv = vt_argv(first, args, env);         \
		va_end(args);                             \
		if (!argv)                                \
			return vt_fail(ENOMEM);           \
		rc = call;                                \
		free(argv);                               \
		return rc;                                \
	} while (0)

VT_EXPORT int execl(const char *path, const char *first, ...)
{
	VT_EXECL(first, NULL, execve(path, argv, environ));
}

VT_EXPORT int execlp(const char *file, const char *first, ...)
{
	VT_EXECL(first, NULL, execvpe(file, argv, environ));
}

VT_EXPORT int execle(const char *path, const char *first, ...)
{
	char *const *env = NULL;

	VT_EXECL(first, &env, execve(path, argv, env));
}

VT_EXPORT int posix_spawn(pid_t *pid, const char *path,
			  const posix_spawn_file_actions_t *actions,
			  const posix_spawnattr_t *attr, char *const argv[],
			  char *const env[])
{
	VT_WITH_HANDOFF(actions != NULL, env,
			REAL(posix_spawn)(pid, path, actions, attr, argv,
					  with));
}

VT_EXPORT int posix_spawnp(pid_t *pid, const char *file,
			   const posix_spawn_file_actions_t *actions,
			   const posix_spawnattr_t *attr, char *const argv[],
			   char *const env[])
{
	VT_WITH_HANDOFF(actions != NULL, env,
			REAL(posix_spawnp)(pid, file, actions, attr, argv,
					   with));
}

static void vt_handoff_environ(int fd)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", fd);
	setenv(VT_HANDOFF, text, 1);
}

VT_EXPORT int system(const char *command)
{
	int fd = command ? vt_handoff_make(false) : -1, rc, err;

	if (fd < 0)
		return REAL(system)(command);
	vt_handoff_environ(fd);
	rc = REAL(system)(command);
	err = errno;
	unsetenv(VT_HANDOFF);
	vt_handoff_undo(fd, true);
	errno = err;
	return rc;
}

VT_EXPORT FILE *popen(const char *command, const char *mode)
{
	int fd = vt_handoff_make(false), err;
	FILE *file;

	if (fd < 0)
		return REAL(popen)(command, mode);
	vt_handoff_environ(fd);
	file = REAL(popen)(command, mode);
	err = errno;
	unsetenv(VT_HANDOFF);
	vt_handoff_undo(fd, !file);
	errno = err;
	return file;
}

/* -- taking ----------------------------------------------------------------------- */

static struct vsock *vt_record_take(const struct vt_record *r, int fd)
{
	struct vsock *s = vsock_new(fd, r->family,
				    REAL(fcntl)(fd, F_GETFL) & O_NONBLOCK);

	if (!s)
		return NULL;
	s->state = r->state;
	s->eof = r->eof;
	s->shut_rd = r->shut_rd;
	s->shut_wr = r->shut_wr;
	s->reset = r->reset;
	s->bound = r->bound;
	s->has_local = r->has_local;
	s->has_peer = r->has_peer;
	s->err = r->err;
	s->linger = r->linger;
	s->rcv_timeout = r->rcv_timeout;
	s->snd_timeout = r->snd_timeout;
	s->local = r->local;
	s->peer = r->peer;
	if (r->common_fd >= 0)
		vt_common_map(s, r->common_fd);
	vt_adopt(s, r->token);
	return s;
}

static void vt_record_match(const struct vt_record *r)
{
	DIR *dir = opendir("/proc/self/fd");
	struct vsock *s = NULL;
	struct dirent *entry;
	struct stat st;

	while (dir && (entry = readdir(dir))) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] == '.' || fstat(fd, &st) ||
		    !S_ISSOCK(st.st_mode) || st.st_ino != r->inode)
			continue;
		if (!s)
			s = vt_record_take(r, fd);
		if (s && !vt_table_set(fd, &s->o) && fd <= 2)
			vt_stdio_adopt(fd);
	}
	if (dir)
		closedir(dir);
	if (!s && r->common_fd >= 0)
		REAL(close)(r->common_fd);
}

/* At the start of a new image: which descriptors are streams? */
void vt_handoff_take(void)
{
	const char *text = getenv(VT_HANDOFF);
	struct vt_record record;
	off_t at = 0;
	int fd;

	if (!text)
		return;
	fd = atoi(text);
	unsetenv(VT_HANDOFF);
	vt_lock();
	while (fd > 2 && pread(fd, &record, sizeof(record), at) ==
				 sizeof(record)) {
		vt_record_match(&record);
		at += sizeof(record);
	}
	if (fd > 2)
		REAL(close)(fd);
	vt_unlock();
}
