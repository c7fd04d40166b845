// SPDX-License-Identifier: BSD-2-Clause
/*
 * sockapi_option.c - cases: options, and what is done to descriptors
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sockapi.h"

static char c[64];

static void get(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	if (!say(getsockopt(fd, level, name, &value, &len)))
		note("/%d:%d", (int)len, value);
}

static void set(int fd, int level, int name, int value)
{
	SAY(setsockopt(fd, level, name, &value, sizeof(value)));
	get(fd, level, name);
}

/* An option before and after connecting, and what an accepted socket has. */
static void option(int level, int name, int value)
{
	int fd = tcp(AF_INET, 0), port, server = listener(AF_INET, &port);
	struct sockaddr_storage to;
	socklen_t len = address(AF_INET, peer4, peer_port, &to);

	get(fd, level, name);
	set(fd, level, name, value);
	peer_next("e");
	SAY(connect(fd, (struct sockaddr *)&to, len));
	get(fd, level, name);
	fd = dial("e");
	set(fd, level, name, value);
	set(server, level, name, value);
	peer_dial(AF_INET, port, "e");
	fd = accept(server, NULL, NULL);
	get(fd, level, name);
}

#define OPTION(case_name, level, name, value) \
	static void case_name(void)           \
	{                                     \
		option(level, name, value);   \
	}

OPTION(option_nodelay, IPPROTO_TCP, TCP_NODELAY, 1)
OPTION(option_keepalive, SOL_SOCKET, SO_KEEPALIVE, 1)
OPTION(option_keepidle, IPPROTO_TCP, TCP_KEEPIDLE, 33)
OPTION(option_keepintvl, IPPROTO_TCP, TCP_KEEPINTVL, 7)
OPTION(option_keepcnt, IPPROTO_TCP, TCP_KEEPCNT, 5)
OPTION(option_user_timeout, IPPROTO_TCP, TCP_USER_TIMEOUT, 4000)
OPTION(option_reuseaddr, SOL_SOCKET, SO_REUSEADDR, 1)
OPTION(option_reuseport, SOL_SOCKET, SO_REUSEPORT, 1)
OPTION(option_oobinline, SOL_SOCKET, SO_OOBINLINE, 1)
OPTION(option_rcvlowat, SOL_SOCKET, SO_RCVLOWAT, 1)
OPTION(option_priority, SOL_SOCKET, SO_PRIORITY, 3)
OPTION(option_tos, IPPROTO_IP, IP_TOS, 16)
OPTION(option_ttl, IPPROTO_IP, IP_TTL, 61)
OPTION(option_defer, IPPROTO_TCP, TCP_DEFER_ACCEPT, 0)
OPTION(option_syncnt, IPPROTO_TCP, TCP_SYNCNT, 3)
OPTION(option_linger2, IPPROTO_TCP, TCP_LINGER2, 5)
OPTION(option_notsent, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 65536)

static void option_buffers(void)
{
	int fd = tcp(AF_INET, 0), value = 65536;
	socklen_t len = sizeof(value);

	SAY(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, len));
	SAY(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, len));
	get(fd, SOL_SOCKET, SO_SNDBUF);
	get(fd, SOL_SOCKET, SO_RCVBUF);
	fd = dial("e");
	set(fd, SOL_SOCKET, SO_SNDBUF, value);
	set(fd, SOL_SOCKET, SO_RCVBUF, value);
}

static void option_identity(void)
{
	int port, fds[3] = { tcp(AF_INET, 0), dial("e"),
			     listener(AF_INET6, &port) }, i;

	for (i = 0; i < 3; i++) {
		get(fds[i], SOL_SOCKET, SO_TYPE);
		get(fds[i], SOL_SOCKET, SO_DOMAIN);
		get(fds[i], SOL_SOCKET, SO_PROTOCOL);
		get(fds[i], SOL_SOCKET, SO_ACCEPTCONN);
		get(fds[i], SOL_SOCKET, SO_ERROR);
	}
}

static void option_timeouts(void)
{
	struct timeval t = { 3, 500000 };
	socklen_t len = sizeof(t);
	int fd = dial("e");

	SAY(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, len));
	memset(&t, 0, sizeof(t));
	SAY(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, &len));
	note("/%ld.%06ld", (long)t.tv_sec, (long)t.tv_usec);
	SAY(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, &len));
	note("/%ld.%06ld", (long)t.tv_sec, (long)t.tv_usec);
	t.tv_usec = 2000000;
	SAY(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, len));
	SAY(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, 3));
}

static void option_linger(void)
{
	struct linger l = { 1, 9 };
	socklen_t len = sizeof(l);
	int fd = dial("e");

	SAY(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, len));
	memset(&l, 0, sizeof(l));
	SAY(getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len));
	note("/%d:%d,%d", (int)len, l.l_onoff, l.l_linger);
	SAY(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, 3));
}

static void option_bad(void)
{
	int fd = dial("e"), fresh = tcp(AF_INET, 0), value = 0, i;
	socklen_t len = sizeof(value);

	for (i = 0; i < 2; i++, fd = fresh) {
		SAY(setsockopt(fd, SOL_SOCKET, 9999, &value, len));
		SAY(getsockopt(fd, SOL_SOCKET, 9999, &value, &len));
		SAY(setsockopt(fd, 77, 1, &value, len));
		SAY(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, 1));
		SAY(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, NULL, len));
		SAY(getsockopt(fd, SOL_SOCKET, SO_TYPE, NULL, &len));
		SAY(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, NULL));
		SAY(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &value, len));
		SAY(setsockopt(fd, SOL_SOCKET, SO_ERROR, &value, len));
		SAY(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &value, len));
	}
	SAY(getsockopt(-1, SOL_SOCKET, SO_TYPE, &value, &len));
	SAY(setsockopt(0, SOL_SOCKET, SO_KEEPALIVE, &value, len) == -1);
}

static void option_short(void)
{
	unsigned char value[8] = { 9, 9, 9, 9, 9, 9, 9, 9 };
	socklen_t len = 2;
	int fd = dial("e");

	SAY(getsockopt(fd, SOL_SOCKET, SO_TYPE, value, &len));
	note("/%d %d %d", (int)len, value[0], value[2]);
	len = 8;
	SAY(getsockopt(fd, SOL_SOCKET, SO_ERROR, value, &len));
	note("/%d %d %d", (int)len, value[0], value[4]);
	len = 0;
	SAY(getsockopt(fd, SOL_SOCKET, SO_ERROR, value, &len));
	note("/%d", (int)len);
}

static void option_tcp_info(void)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);
	int fd = dial("e"), port;

	memset(&info, 0xff, sizeof(info));
	SAY(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	note("/%d state=%d mss=%d", (int)len, info.tcpi_state,
	     info.tcpi_snd_mss > 500);
	len = 8;
	SAY(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	note("/%d", (int)len);
	len = sizeof(info);
	SAY(getsockopt(tcp(AF_INET, 0), IPPROTO_TCP, TCP_INFO, &info, &len));
	note(" state=%d", info.tcpi_state);
	len = sizeof(info);
	SAY(getsockopt(listener(AF_INET, &port), IPPROTO_TCP, TCP_INFO, &info,
		       &len));
	note(" state=%d", info.tcpi_state);
}

static void option_congestion(void)
{
	char name[16] = "";
	socklen_t len = sizeof(name);
	int fd = dial("e");

	SAY(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len));
	note("/%d %s", (int)len, name);
	SAY(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	len = sizeof(name);
	SAY(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len));
	note("/%d %s", (int)len, name);
	SAY(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nosuch", 6));
}

static void option_maxseg(void)
{
	int fd = tcp(AF_INET, 0);

	get(fd, IPPROTO_TCP, TCP_MAXSEG);
	SAY(setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &(int){ 900 }, 4));
	fd = dial("e");
	get(fd, IPPROTO_TCP, TCP_MAXSEG);
}

static void option_cork(void)
{
	int fd = dial("e");

	set(fd, IPPROTO_TCP, TCP_CORK, 1);
	SAY(write(fd, "abc", 3));
	SAY(write(fd, "def", 3));
	set(fd, IPPROTO_TCP, TCP_CORK, 0);
	shutdown(fd, SHUT_WR);
	peer_result();
}

static void option_quickack(void)
{
	int fd = dial("e");

	SAY(setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &(int){ 1 }, 4));
	get(fd, IPPROTO_TCP, TCP_QUICKACK);
}

const struct sockapi_case option_cases[] = {
	{ "option_nodelay", option_nodelay },
	{ "option_keepalive", option_keepalive },
	{ "option_keepidle", option_keepidle },
	{ "option_keepintvl", option_keepintvl },
	{ "option_keepcnt", option_keepcnt },
	{ "option_user_timeout", option_user_timeout },
	{ "option_reuseaddr", option_reuseaddr },
	{ "option_reuseport", option_reuseport },
	{ "option_oobinline", option_oobinline },
	{ "option_rcvlowat", option_rcvlowat },
	{ "option_priority", option_priority },
	{ "option_tos", option_tos },
	{ "option_ttl", option_ttl },
	{ "option_defer", option_defer },
	{ "option_syncnt", option_syncnt },
	{ "option_linger2", option_linger2 },
	{ "option_notsent", option_notsent },
	{ "option_buffers", option_buffers },
	{ "option_identity", option_identity },
	{ "option_timeouts", option_timeouts },
	{ "option_linger", option_linger },
	{ "option_bad", option_bad },
	{ "option_short", option_short },
	{ "option_tcp_info", option_tcp_info },
	{ "option_congestion", option_congestion },
	{ "option_maxseg", option_maxseg },
	{ "option_cork", option_cork },
	{ "option_quickack", option_quickack },
	{ NULL, NULL },
};

/* -- descriptors ---------------------------------------------------------------- */

static void fd_lowest(void)
{
	int a = dial("e"), b = dial("e"), d;

	note(" %d", b - a);
	close(a);
	d = tcp(AF_INET, 0);
	note(" %d", d - a);
}

static void fd_dup(void)
{
	int fd = dial("e s3"), copy = dup(fd);

	note(" %d", copy - fd);
	SAY(write(copy, "abc", 3));
	SAY(close(fd));
	SAY(write(copy, "def", 3));
	SAY(shutdown(copy, SHUT_WR));
	drain(copy);
	peer_result();
	SAY(close(copy));
	SAY(dup(copy));
}

static void fd_dup2(void)
{
	int a = dial("e"), b = dial("s4"), pipes[2];

	SAY(pipe(pipes));
	SAY(dup2(a, b) - b);
	SAY(write(b, "abc", 3));
	SAY(dup2(pipes[1], a) - a);
	SAY(write(a, "x", 1));
	SAY(read(pipes[0], c, 4));
	SAY(close(b));
	peer_result();
	SAY(dup2(-1, 20));
	SAY(dup2(b, 20));
	SAY(dup3(a, a, 0));
	SAY(dup2(a, a) - a);
}

static void fd_dup2_before_connect(void)
{
	struct sockaddr_storage to;
	socklen_t len = address(AF_INET, peer4, peer_port, &to);
	int fd = tcp(AF_INET, 0);

	SAY(dup2(fd, 40));
	close(fd);
	peer_next("s4");
	SAY(connect(40, (struct sockaddr *)&to, len));
	drain(40);
}

static void fd_dup3(void)
{
	int fd = dial("e");

	SAY(dup3(fd, 41, O_CLOEXEC));
	SAY(fcntl(41, F_GETFD));
	SAY(dup3(fd, 41, 0));
	SAY(fcntl(41, F_GETFD));
	SAY(write(41, "a", 1));
	SAY(dup3(fd, 41, 0x77));
}

static void fd_fcntl(void)
{
	int fd = dial("e");

	note(" %x", fcntl(fd, F_GETFL));
	SAY(fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK));
	note(" %x", fcntl(fd, F_GETFL));
	SAY(read(fd, c, 1));
	SAY(fcntl(fd, F_SETFL, O_RDWR));
	SAY(fcntl(fd, F_SETFD, FD_CLOEXEC));
	SAY(fcntl(fd, F_GETFD));
	SAY(fcntl(fd, F_DUPFD, 45));
	SAY(fcntl(45, F_GETFD));
	SAY(fcntl(fd, F_DUPFD_CLOEXEC, 45));
	SAY(fcntl(46, F_GETFD));
	SAY(write(46, "abc", 3));
	SAY(fcntl(fd, 7777));
	SAY(fcntl(-1, F_GETFL));
}

static void fd_nonblock_shared(void)
{
	int fd = dial("e"), copy = dup(fd);

	SAY(fcntl(copy, F_SETFL, O_NONBLOCK));
	SAY(read(fd, c, 1));
}

static void fd_fionbio(void)
{
	int fd = dial("d50 s2"), on = 1;

	SAY(ioctl(fd, FIONBIO, &on));
	note(" %d", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	SAY(read(fd, c, 1));
	on = 0;
	SAY(ioctl(fd, FIONBIO, &on));
	SAY(read(fd, c, 2));
}

static void fd_socket_flags(void)
{
	int fd = tcp(AF_INET, SOCK_NONBLOCK | SOCK_CLOEXEC);

	note(" %d %d", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0,
	     fcntl(fd, F_GETFD));
	SAY(socket(AF_INET, 77, 0));
	SAY(socket(777, SOCK_STREAM, 0));
	SAY(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
}

static void fd_stat(void)
{
	int fd = dial("e");
	struct stat st;

	SAY(fstat(fd, &st));
	note(" socket=%d", S_ISSOCK(st.st_mode));
	SAY(lseek(fd, 0, SEEK_SET));
	SAY(isatty(fd));
}

static void fd_close_range(void)
{
	int a = dial("e"), b = dial("e");

	SAY(close_range(a, b, 0));
	SAY(write(a, c, 1));
	SAY(write(b, c, 1));
	peer_result();
	peer_result();
	a = dial("e");
	SAY(close_range(a, a, 4));
	SAY(fcntl(a, F_GETFD));
	SAY(write(a, c, 1));
	SAY(close_range(9, 8, 0));
}

static void fd_close_all(void)
{
	int fd = dial("e"), high;

	/* like a daemon at its start: all that it does not know */
	for (high = fd; high < 1100; high++)
		close(high);
	fd = dial("s4");
	drain(fd);
}

static void fd_exhausted(void)
{
	struct rlimit before, few;
	int port, server = listener(AF_INET, &port), fds[64], n = 0, fd;

	getrlimit(RLIMIT_NOFILE, &before);
	few = before;
	few.rlim_cur = 64;
	peer_dial(AF_INET, port, "s5");
	pause_ms(50);
	SAY(setrlimit(RLIMIT_NOFILE, &few));
	while (n < 64 && (fds[n] = dup(server)) >= 0)
		n++;
	SAY(accept(server, NULL, NULL));
	SAY(tcp(AF_INET, 0));
	close(fds[--n]);
	fd = accept(server, NULL, NULL);
	note(" fd=%d", fd == fds[n]);
	setrlimit(RLIMIT_NOFILE, &before);
	drain(fd);
	while (n)
		close(fds[--n]);
}

const struct sockapi_case descriptor_cases[] = {
	{ "fd_lowest", fd_lowest },
	{ "fd_dup", fd_dup },
	{ "fd_dup2", fd_dup2 },
	{ "fd_dup2_before_connect", fd_dup2_before_connect },
	{ "fd_dup3", fd_dup3 },
	{ "fd_fcntl", fd_fcntl },
	{ "fd_nonblock_shared", fd_nonblock_shared },
	{ "fd_fionbio", fd_fionbio },
	{ "fd_socket_flags", fd_socket_flags },
	{ "fd_stat", fd_stat },
	{ "fd_close_range", fd_close_range },
	{ "fd_close_all", fd_close_all },
	{ "fd_exhausted", fd_exhausted },
	{ NULL, NULL },
};
