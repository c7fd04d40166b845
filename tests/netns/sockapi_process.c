// SPDX-License-Identifier: BSD-2-Clause
/*
 * sockapi_process.c - cases: fork, exec, signals
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sockapi.h"

extern char **environ;
static char c[70000];

/* The child's exit status, or the signal as 128 + n. */
static void reap(pid_t pid)
{
	int status = 0;

	waitpid(pid, &status, 0);
	note(" child=%d", WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
						WEXITSTATUS(status));
}

static void fork_child_reads(void)
{
	int fd = dial("s10 e");
	pid_t pid = fork();

	if (!pid)
		_exit(recv(fd, c, 10, MSG_WAITALL));
	reap(pid);
	shutdown(fd, SHUT_WR);
	drain(fd);
}

static void fork_child_writes(void)
{
	int fd = dial("e");
	pid_t pid;

	SAY(write(fd, "parent", 6));
	pid = fork();
	if (!pid)
		_exit(write(fd, "child", 5));
	reap(pid);
	SAY(write(fd, "again", 5));
	SAY(shutdown(fd, SHUT_WR));
	peer_result();
}

static void fork_unread(void)
{
	int fd = dial("s20");
	pid_t pid;

	readable(fd);
	SAY(read(fd, c, 4));
	pid = fork();
	if (!pid)
		_exit(read(fd, c, 6));
	reap(pid);
	drain(fd);
}

static void fork_split(void)
{
	int fd = dial("s60000"), pipes[2];
	size_t mine = 0;
	pid_t pid;

	SAY(pipe(pipes));
	readable(fd);
	SAY(recv(fd, c, 1000, MSG_WAITALL));
	pid = fork();
	if (!pid) {
		while (read(fd, c, 700) > 0 && write(pipes[1], c, 1) == 1)
			;
		_exit(0);
	}
	while ((errno = 0, read(fd, c, 900)) > 0)
		mine++;
	reap(pid);
	note(" both=%d", mine > 0);
}

static void fork_close_in_parent(void)
{
	int fd = dial("e");
	pid_t pid = fork();

	if (!pid) {
		pause_ms(60);
		_exit(write(fd, "child", 5));
	}
	SAY(close(fd));
	reap(pid);
	peer_result();
}

static void fork_close_in_child(void)
{
	int fd = dial("e");
	pid_t pid = fork();

	if (!pid) {
		close(fd);
		_exit(0);
	}
	reap(pid);
	SAY(write(fd, "abc", 3));
	close(fd);
	peer_result();
}

static void fork_accept_in_child(void)
{
	int port, server = listener(AF_INET, &port);
	pid_t pid = fork();

	if (!pid) {
		int fd = accept(server, NULL, NULL);

		_exit(write(fd, "hello", 5));
	}
	peer_dial(AF_INET, port, "e");
	peer_result();
	reap(pid);
}

static void fork_per_connection(void)
{
	int port, server = listener(AF_INET, &port), i;

	for (i = 0; i < 3; i++) {
		int fd;
		pid_t pid;

		peer_dial(AF_INET, port, "s100 e");
		fd = accept(server, NULL, NULL);
		pid = fork();
		if (!pid) {
			close(server);
			SAY(recv(fd, c, 100, MSG_WAITALL));
			_exit(write(fd, c, 50));
		}
		close(fd);
		reap(pid);
		peer_result();
	}
}

static void fork_pre_forked(void)
{
	int port, server = listener(AF_INET, &port), i;
	pid_t pids[3];

	for (i = 0; i < 3; i++) {
		pids[i] = fork();
		if (!pids[i]) {
			int fd = accept(server, NULL, NULL);

			write(fd, "one", 3) == 3 ? _exit(0) : _exit(1);
		}
	}
	close(server);
	for (i = 0; i < 3; i++)
		peer_dial(AF_INET, port, "e");
	for (i = 0; i < 3; i++)
		peer_result();
	for (i = 0; i < 3; i++)
		reap(pids[i]);
}

static void fork_poll(void)
{
	int fd = dial("d120 s3 w e");
	struct pollfd p = { fd, POLLIN | POLLOUT, 0 };
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	reap(pid);
	SAY(poll(&p, 1, 0));
	note("/%x", p.revents);
	p.events = POLLIN;
	SAY(poll(&p, 1, 20));
	SAY(poll(&p, 1, 5000));
	note("/%x", p.revents);
	SAY(read(fd, c, 10));
	SAY(read(fd, c, 10));
	p.events = POLLIN | POLLRDHUP;
	SAY(poll(&p, 1, 5000));
	note("/%x", p.revents);
}

static void fork_epoll(void)
{
	int fd = dial("d120 s3 e"), set = epoll_create1(0);
	struct epoll_event e = { EPOLLIN, { .u64 = 7 } };
	pid_t pid;

	SAY(epoll_ctl(set, EPOLL_CTL_ADD, fd, &e));
	pid = fork();
	if (!pid) {
		pause_ms(20);
		_exit(0);
	}
	SAY(epoll_wait(set, &e, 1, 0));
	SAY(epoll_wait(set, &e, 1, 5000));
	note("/%x", e.events);
	SAY(read(fd, c, 10));
	SAY(epoll_wait(set, &e, 1, 10));
	reap(pid);
}

static void fork_nonblocking(void)
{
	int fd = dial("e");
	pid_t pid = fork();

	if (!pid) {
		nonblocking(fd, true);
		_exit(0);
	}
	reap(pid);
	SAY(read(fd, c, 1));
	note(" %d", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
}

static void fork_peek(void)
{
	int fd = dial("s30");
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	reap(pid);
	SAY(recv(fd, c, 30, MSG_PEEK | MSG_WAITALL));
	SAY(recv(fd, c, 10, MSG_PEEK));
	SAY(recv(fd, c, 40, MSG_WAITALL));
	SAY(recv(fd, c, 40, 0));
}

static void fork_end(void)
{
	int fd = dial("s3 w e");
	pid_t pid;

	pause_ms(50);
	SAY(read(fd, c, 10));
	SAY(read(fd, c, 10));
	pid = fork();
	if (!pid)
		_exit(read(fd, c, 10) == 0 ? 9 : 1);
	reap(pid);
	SAY(read(fd, c, 10));
	SAY(write(fd, "abc", 3));
	close(fd);
	peer_result();
}

static void fork_reset(void)
{
	int fd = dial("d80 a");
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	reap(pid);
	SAY(read(fd, c, 10));
	SAY(read(fd, c, 10));
	SAY(send(fd, c, 1, MSG_NOSIGNAL));
}

static void fork_vfork(void)
{
	int fd = dial("e"), status;
	pid_t pid = vfork();

	if (!pid) {
		execl("/bin/sh", "sh", "-c", "exit 5", (char *)NULL);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	note(" %d", WEXITSTATUS(status));
	SAY(write(fd, "abc", 3));
	close(fd);
	peer_result();
}

/* -- exec ---------------------------------------------------------------------- */

static void exec_cat(void)
{
	int fd = dial("s40000 w e");
	pid_t pid = fork();

	if (!pid) {
		dup2(fd, 0);
		dup2(fd, 1);
		execl("/bin/cat", "cat", (char *)NULL);
		_exit(99);
	}
	close(fd);
	reap(pid);
	peer_result();
}

static void exec_by_number(void)
{
	int fd = dial("e");
	char text[40];
	pid_t pid = fork();

	if (!pid) {
		snprintf(text, sizeof(text), "echo hello >&%d", fd);
		execlp("sh", "sh", "-c", text, (char *)NULL);
		_exit(99);
	}
	reap(pid);
	SAY(write(fd, "end", 3));
	close(fd);
	peer_result();
}

static void exec_cloexec(void)
{
	int fd = dial("e");
	char text[40];
	pid_t pid;

	fcntl(fd, F_SETFD, FD_CLOEXEC);
	pid = fork();
	if (!pid) {
		close(2);
		snprintf(text, sizeof(text), "echo hello >&%d", fd);
		execlp("sh", "sh", "-c", text, (char *)NULL);
		_exit(99);
	}
	reap(pid);
	close(fd);
	peer_result();
}

static void exec_unread(void)
{
	int fd = dial("s30 w e");
	pid_t pid;

	readable(fd);
	SAY(recv(fd, c, 10, MSG_WAITALL));
	pid = fork();
	if (!pid) {
		char *argv[] = { "cat", NULL };

		dup2(fd, 0);
		dup2(fd, 1);
		execvp("cat", argv);
		_exit(99);
	}
	close(fd);
	reap(pid);
	peer_result();
}

static void exec_failed(void)
{
	char *argv[] = { "x", NULL };
	int fd = dial("s3 e");

	SAY(execv("/nonexistent/x", argv));
	SAY(execvp("nonexistent-program", argv));
	SAY(read(fd, c, 3));
	SAY(write(fd, "abc", 3));
	close(fd);
	peer_result();
}

static void exec_spawn(void)
{
	char *argv[] = { "cat", NULL };
	posix_spawn_file_actions_t actions;
	int fd = dial("s1000 w e");
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fd, 0);
	posix_spawn_file_actions_adddup2(&actions, fd, 1);
	posix_spawn_file_actions_addclose(&actions, fd);
	SAY(posix_spawnp(&pid, "cat", &actions, NULL, argv, environ));
	posix_spawn_file_actions_destroy(&actions);
	close(fd);
	reap(pid);
	peer_result();
}

static void exec_system(void)
{
	int fd = dial("e");
	char text[40];

	snprintf(text, sizeof(text), "echo one >&%d", fd);
	SAY(system(text));
	SAY(write(fd, "two", 3));
	close(fd);
	peer_result();
}

static void exec_popen(void)
{
	int fd = dial("e");
	FILE *p = popen("echo hello", "r");
	char text[20] = "";

	SAY(fgets(text, sizeof(text), p) != NULL);
	note(" %.5s", text);
	SAY(pclose(p));
	SAY(write(fd, "abc", 3));
	close(fd);
	peer_result();
}

static void exec_printf(void)
{
	int fd = dial("e");
	pid_t pid = fork();

	if (!pid) {
		dup2(fd, 1);
		execlp("awk", "awk", "BEGIN { printf \"%s-%d\\n\", \"x\", 3 }",
		       (char *)NULL);
		_exit(99);
	}
	close(fd);
	reap(pid);
	peer_result();
}

static void exec_listener(void)
{
	int port, server = listener(AF_INET, &port);
	pid_t pid = fork();

	/* exec, and the new image accepts: inetd's "wait" */
	if (!pid) {
		dup2(server, 0);
		execlp("python3", "python3", "-c",
		       "import socket\n"
		       "s = socket.socket(fileno=0)\n"
		       "c, a = s.accept()\n"
		       "c.sendall(b'hello')\n", (char *)NULL);
		_exit(99);
	}
	close(server);
	peer_dial(AF_INET, port, "e");
	peer_result();
	reap(pid);
}

const struct sockapi_case process_cases[] = {
	{ "fork_child_reads", fork_child_reads },
	{ "fork_child_writes", fork_child_writes },
	{ "fork_unread", fork_unread },
	{ "fork_split", fork_split },
	{ "fork_close_in_parent", fork_close_in_parent },
	{ "fork_close_in_child", fork_close_in_child },
	{ "fork_accept_in_child", fork_accept_in_child },
	{ "fork_per_connection", fork_per_connection },
	{ "fork_pre_forked", fork_pre_forked },
	{ "fork_poll", fork_poll },
	{ "fork_epoll", fork_epoll },
	{ "fork_nonblocking", fork_nonblocking },
	{ "fork_peek", fork_peek },
	{ "fork_end", fork_end },
	{ "fork_reset", fork_reset },
	{ "fork_vfork", fork_vfork },
	{ "exec_cat", exec_cat },
	{ "exec_by_number", exec_by_number },
	{ "exec_cloexec", exec_cloexec },
	{ "exec_unread", exec_unread },
	{ "exec_failed", exec_failed },
	{ "exec_spawn", exec_spawn },
	{ "exec_system", exec_system },
	{ "exec_popen", exec_popen },
	{ "exec_printf", exec_printf },
	{ "exec_listener", exec_listener },
	{ NULL, NULL },
};

/* -- signals ---------------------------------------------------------------------- */

static volatile sig_atomic_t handled;

static void count(int sig)
{
	(void)sig;
	handled++;
}

/* SIGUSR1 after some time, with or without SA_RESTART. */
static void signal_soon(int ms, int flags)
{
	struct sigaction action = { .sa_handler = count, .sa_flags = flags };
	pid_t parent = getpid();

	handled = 0;
	sigaction(SIGUSR1, &action, NULL);
	if (!fork()) {
		pause_ms(ms);
		kill(parent, SIGUSR1);
		_exit(0);
	}
}

static void signals_off(void)
{
	signal(SIGUSR1, SIG_IGN);
	note(" handled=%d", (int)handled);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

/* The cases' own alarm has a handler too, which restarts. */
static void signal_read(void)
{
	int fd = dial("d5000");

	signal_soon(80, 0);
	SAY(read(fd, c, 1));
	signals_off();
}

static void signal_read_restart(void)
{
	int fd = dial("d200 s3");

	signal_soon(80, SA_RESTART);
	SAY(read(fd, c, 3));
	signals_off();
}

static void signal_read_timed(void)
{
	struct timeval t = { 3, 0 };
	int fd = dial("d5000");

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	signal_soon(80, SA_RESTART);
	SAY(read(fd, c, 3));
	signals_off();
}

static void signal_waitall(void)
{
	int fd = dial("s4 d5000");

	signal_soon(80, 0);
	SAY(recv(fd, c, 10, MSG_WAITALL));
	signals_off();
}

static void signal_accept(void)
{
	int port, server = listener(AF_INET, &port);

	signal_soon(80, 0);
	SAY(accept(server, NULL, NULL));
	signals_off();
}

static void signal_accept_restart(void)
{
	int port, server = listener(AF_INET, &port);

	signal_soon(60, SA_RESTART);
	peer_dial(AF_INET, port, "e");
	pause_ms(200);
	SAY_SIGN(accept(server, NULL, NULL));
	signals_off();
}

static void signal_poll(void)
{
	int fd = dial("d5000");
	struct pollfd p = { fd, POLLIN, 0 };

	signal_soon(80, SA_RESTART);
	SAY(poll(&p, 1, 3000));
	signals_off();
}

static void signal_epoll(void)
{
	int fd = dial("d5000"), set = epoll_create1(0);
	struct epoll_event e = { EPOLLIN, { .u64 = 1 } };

	epoll_ctl(set, EPOLL_CTL_ADD, fd, &e);
	signal_soon(80, SA_RESTART);
	SAY(epoll_wait(set, &e, 1, 3000));
	signals_off();
}

static void signal_select(void)
{
	int fd = dial("d5000");
	fd_set in;

	FD_ZERO(&in);
	FD_SET(fd, &in);
	signal_soon(80, SA_RESTART);
	SAY(select(fd + 1, &in, NULL, NULL, NULL));
	signals_off();
}

static void signal_write(void)
{
	int fd = dial("d5000");
	ssize_t n;

	signal_soon(150, 0);
	while ((n = write(fd, c, sizeof(c))) == sizeof(c))
		;
	/* either all or nothing of the last piece, or a part of it */
	note(" %s", n < 0 && errno != EINTR ? strerrorname_np(errno) :
					      "interrupted");
	signals_off();
}

static void signal_masked(void)
{
	int fd = dial("d5000");
	struct pollfd p = { fd, POLLIN, 0 };
	struct timespec t = { 3, 0 };
	sigset_t usr1, old;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, &old);
	signal_soon(50, 0);
	pause_ms(100);
	note(" %d", (int)handled);
	SAY(ppoll(&p, 1, &t, &old));
	sigprocmask(SIG_SETMASK, &old, NULL);
	signals_off();
}

static void signal_pipe(void)
{
	int fd = dial("e");

	handled = 0;
	signal(SIGPIPE, count);
	shutdown(fd, SHUT_WR);
	SAY(write(fd, "a", 1));
	SAY(send(fd, "a", 1, 0));
	note(" %d", (int)handled);
	SAY(send(fd, "a", 1, MSG_NOSIGNAL));
	note(" %d", (int)handled);
	SAY(write(tcp(AF_INET, 0), "a", 1));
	note(" %d", (int)handled);
	signal(SIGPIPE, SIG_IGN);
}

static void signal_connect(void)
{
	int fd = tcp(AF_INET, 0);
	struct sockaddr_storage to;
	socklen_t len = address(AF_INET, silent_host(), 80, &to);

	signal_soon(80, 0);
	SAY(connect(fd, (struct sockaddr *)&to, len));
	signals_off();
	nonblocking(fd, true);
	SAY(connect(fd, (struct sockaddr *)&to, len));
}

const struct sockapi_case signal_cases[] = {
	{ "signal_read", signal_read },
	{ "signal_read_restart", signal_read_restart },
	{ "signal_read_timed", signal_read_timed },
	{ "signal_waitall", signal_waitall },
	{ "signal_accept", signal_accept },
	{ "signal_accept_restart", signal_accept_restart },
	{ "signal_poll", signal_poll },
	{ "signal_epoll", signal_epoll },
	{ "signal_select", signal_select },
	{ "signal_write", signal_write },
	{ "signal_masked", signal_masked },
	{ "signal_pipe", signal_pipe },
	{ "signal_connect", signal_connect },
	{ NULL, NULL },
};
