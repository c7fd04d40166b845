// SPDX-License-Identifier: BSD-2-Clause
/*
 * sockapi_connect.c - cases: connecting, names, listening and accepting
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "sockapi.h"

/* The name of one end: family, address, whether it has a port. */
static void name_of(int fd, int (*get)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_storage at;
	socklen_t len = sizeof(at);
	char text[64] = "?";

	memset(&at, 0, sizeof(at));
	if (say(get(fd, (struct sockaddr *)&at, &len)))
		return;
	if (at.ss_family == AF_INET)
		inet_ntop(AF_INET, &((struct sockaddr_in *)&at)->sin_addr, text,
			  sizeof(text));
	else
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&at)->sin6_addr,
			  text, sizeof(text));
	note(" len=%d family=%d %s port=%d", (int)len, at.ss_family, text,
	     ((struct sockaddr_in *)&at)->sin_port != 0);
}

static int connect_to(int fd, int family, const char *host, int port)
{
	struct sockaddr_storage to;
	socklen_t len = address(family, host, port, &to);

	return connect(fd, (struct sockaddr *)&to, len);
}

static void so_error(int fd)
{
	int err = -1;
	socklen_t len = sizeof(err);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len))
		note(" SO_ERROR fails");
	else
		note(" SO_ERROR=%s", err ? strerrorname_np(err) : "0");
}

static void polled(int fd, int events, int ms)
{
	struct pollfd p = { fd, events, 0 };

	SAY(poll(&p, 1, ms));
	note("/%x", p.revents);
}

static void connect_v4(void)
{
	int fd = dial("s5 e");

	name_of(fd, getpeername);
	name_of(fd, getsockname);
	shutdown(fd, SHUT_WR);
	drain(fd);
}

static void connect_v6(void)
{
	int fd = dial_family(AF_INET6, peer6, "s5 e");

	name_of(fd, getpeername);
	name_of(fd, getsockname);
	shutdown(fd, SHUT_WR);
	drain(fd);
}

static void connect_mapped(void)
{
	char mapped[80] = "::ffff:";
	int fd;

	strcat(mapped, peer4);
	fd = dial_family(AF_INET6, mapped, "s5 e");
	name_of(fd, getpeername);
	name_of(fd, getsockname);
	shutdown(fd, SHUT_WR);
	drain(fd);
}

static void connect_refused(void)
{
	int fd = tcp(AF_INET, 0);

	SAY(connect_to(fd, AF_INET, peer4, 1));
	so_error(fd);
	SAY(connect_to(fd, AF_INET, peer4, 1));
}

static void connect_refused_v6(void)
{
	int fd = tcp(AF_INET6, 0);

	SAY(connect_to(fd, AF_INET6, peer6, 1));
	so_error(fd);
}

static void connect_refused_state(void)
{
	int fd = tcp(AF_INET, 0);
	char c;

	SAY(connect_to(fd, AF_INET, peer4, 1));
	polled(fd, POLLIN | POLLOUT | POLLRDHUP, 0);
	SAY(read(fd, &c, 1));
	SAY(send(fd, "a", 1, MSG_NOSIGNAL));
	polled(fd, POLLIN, 0);
}

static void connect_refused_then_good(void)
{
	int fd = tcp(AF_INET, 0);

	SAY(connect_to(fd, AF_INET, peer4, 1));
	peer_next("s3");
	SAY(connect_to(fd, AF_INET, peer4, peer_port));
	drain(fd);
}

static void connect_nonblocking(void)
{
	int fd = tcp(AF_INET, SOCK_NONBLOCK);

	peer_next("s3");
	SAY(connect_to(fd, AF_INET, peer4, peer_port));
	polled(fd, POLLOUT, 5000);
	so_error(fd);
	SAY(connect_to(fd, AF_INET, peer4, peer_port));
	SAY(connect_to(fd, AF_INET, peer4, peer_port));
	nonblocking(fd, false);
	drain(fd);
}

static void connect_nonblocking_refused(void)
{
	int fd = tcp(AF_INET, SOCK_NONBLOCK);

	SAY(connect_to(fd, AF_INET, peer4, 1));
	polled(fd, POLLOUT, 5000);
	so_error(fd);
	so_error(fd);
	polled(fd, POLLOUT, 0);
}

static void connect_nonblocking_refused_again(void)
{
	int fd = tcp(AF_INET, SOCK_NONBLOCK);

	SAY(connect_to(fd, AF_INET, peer4, 1));
	polled(fd, POLLOUT, 5000);
	SAY(connect_to(fd, AF_INET, peer4, 1));
	so_error(fd);
	polled(fd, POLLIN | POLLOUT | POLLRDHUP, 0);
}

static void connect_nonblocking_refused_read(void)
{
	int fd = tcp(AF_INET, SOCK_NONBLOCK);
	char c;

	SAY(connect_to(fd, AF_INET, peer4, 1));
	polled(fd, POLLOUT, 5000);
	SAY(read(fd, &c, 1));
	SAY(read(fd, &c, 1));
	SAY(write(fd, &c, 1));
}

static void connect_unreachable(void)
{
	int fd = tcp(AF_INET, 0);

	/* not in the test's networks, and there is no default route */
	SAY(connect_to(fd, AF_INET, "198.51.100.1", 80));
	so_error(fd);
}

static void connect_unreachable_nonblocking(void)
{
	int fd = tcp(AF_INET, SOCK_NONBLOCK);

	SAY(connect_to(fd, AF_INET, "198.51.100.1", 80));
	so_error(fd);
}

static void connect_twice(void)
{
	int fd = dial("e");

	SAY(connect_to(fd, AF_INET, peer4, peer_port));
	SAY(connect_to(fd, AF_INET, peer4, 1));
}

static void connect_bad_arguments(void)
{
	struct sockaddr_storage to;
	int fd = tcp(AF_INET, 0);

	address(AF_INET, peer4, peer_port, &to);
	SAY(connect(fd, (struct sockaddr *)&to, 4));
	SAY(connect(fd, NULL, 16));
	SAY(connect(-1, (struct sockaddr *)&to, 16));
	SAY(connect(1000, (struct sockaddr *)&to, 16));
	SAY(connect(0, (struct sockaddr *)&to, 16) == -1);
	to.ss_family = AF_UNIX;
	SAY(connect(fd, (struct sockaddr *)&to, 16));
}

static void connect_wrong_family(void)
{
	int four = tcp(AF_INET, 0), six = tcp(AF_INET6, 0);

	SAY(connect_to(four, AF_INET6, peer6, peer_port));
	SAY(connect_to(six, AF_INET, peer4, peer_port));
}

static void connect_after_bind(void)
{
	struct sockaddr_storage at;
	socklen_t len = address(AF_INET, "0.0.0.0", 0, &at);
	int fd = tcp(AF_INET, 0), port;

	SAY(bind(fd, (struct sockaddr *)&at, len));
	port = port_of(fd);
	note(" port=%d", port > 0);
	peer_next("s2");
	SAY(connect_to(fd, AF_INET, peer4, peer_port));
	note(" same=%d", port_of(fd) == port);
	drain(fd);
}

static void connect_from_own_address(void)
{
	struct sockaddr_storage at;
	socklen_t len = address(AF_INET, own4, 0, &at);
	int fd = tcp(AF_INET, 0);

	SAY(bind(fd, (struct sockaddr *)&at, len));
	peer_next("s2");
	SAY(connect_to(fd, AF_INET, peer4, peer_port));
	name_of(fd, getsockname);
	drain(fd);
}

static void connect_loopback(void)
{
	int port, server = listener(AF_INET, &port), fd = tcp(AF_INET, 0);

	(void)server;
	SAY(connect_to(fd, AF_INET, "127.0.0.1", 1));
}

static void connect_disconnect(void)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	int fd = dial("e");
	char c;

	SAY(connect(fd, &none, sizeof(none)));
	SAY(read(fd, &c, 1));
	name_of(fd, getpeername);
	peer_next("s4");
	SAY(connect_to(fd, AF_INET, peer4, peer_port));
	drain(fd);
}

static void connect_timeout(void)
{
	struct timeval t = { 0, 200000 };
	int fd = tcp(AF_INET, 0);
	long before = now_ms(), took;

	/* A neighbour that does not answer: an unused address on the link. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
	SAY(connect_to(fd, AF_INET, silent_host(), 80));
	took = now_ms() - before;
	note(" ms=%d", took >= 190 && took < 2000);
}

static void names_unconnected(void)
{
	int fd = tcp(AF_INET, 0);

	name_of(fd, getsockname);
	name_of(fd, getpeername);
}

static void names_short(void)
{
	int fd = dial("e");
	struct sockaddr_storage at;
	socklen_t len = 4;

	memset(&at, 0, sizeof(at));
	SAY(getpeername(fd, (struct sockaddr *)&at, &len));
	note(" len=%d family=%d", (int)len, at.ss_family);
	len = 0;
	SAY(getsockname(fd, (struct sockaddr *)&at, &len));
	note(" len=%d", (int)len);
	len = (socklen_t)-1;
	SAY(getsockname(fd, (struct sockaddr *)&at, &len));
}

const struct sockapi_case connect_cases[] = {
	{ "connect_v4", connect_v4 },
	{ "connect_v6", connect_v6 },
	{ "connect_mapped", connect_mapped },
	{ "connect_refused", connect_refused },
	{ "connect_refused_v6", connect_refused_v6 },
	{ "connect_refused_state", connect_refused_state },
	{ "connect_refused_then_good", connect_refused_then_good },
	{ "connect_nonblocking", connect_nonblocking },
	{ "connect_nonblocking_refused", connect_nonblocking_refused },
	{ "connect_nonblocking_refused_again",
	  connect_nonblocking_refused_again },
	{ "connect_nonblocking_refused_read",
	  connect_nonblocking_refused_read },
	{ "connect_unreachable", connect_unreachable },
	{ "connect_unreachable_nonblocking", connect_unreachable_nonblocking },
	{ "connect_twice", connect_twice },
	{ "connect_bad_arguments", connect_bad_arguments },
	{ "connect_wrong_family", connect_wrong_family },
	{ "connect_after_bind", connect_after_bind },
	{ "connect_from_own_address", connect_from_own_address },
	{ "connect_loopback", connect_loopback },
	{ "connect_disconnect", connect_disconnect },
	{ "connect_timeout", connect_timeout },
	{ "names_unconnected", names_unconnected },
	{ "names_short", names_short },
	{ NULL, NULL },
};

/* -- listening ------------------------------------------------------------ */

static void accept_v4(void)
{
	int port, server = listener(AF_INET, &port), fd;
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);

	peer_dial(AF_INET, port, "s10 e");
	fd = accept(server, (struct sockaddr *)&from, &len);
	note(" fd=%d len=%d family=%d", fd > server, (int)len, from.ss_family);
	name_of(fd, getpeername);
	name_of(fd, getsockname);
	SAY(write(fd, "abc", 3));
	shutdown(fd, SHUT_WR);
	drain(fd);
	peer_result();
}

static void accept_v6(void)
{
	int port, server = listener(AF_INET6, &port), fd;

	peer_dial(AF_INET6, port, "s10");
	fd = accept(server, NULL, NULL);
	name_of(fd, getpeername);
	name_of(fd, getsockname);
	drain(fd);
}

static void accept_mapped(void)
{
	int port, server = listener(AF_INET6, &port), fd;
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);

	peer_dial(AF_INET, port, "s10");
	fd = accept(server, (struct sockaddr *)&from, &len);
	note(" len=%d family=%d", (int)len, from.ss_family);
	name_of(fd, getpeername);
	name_of(fd, getsockname);
	drain(fd);
}

static void accept_v6only(void)
{
	struct sockaddr_storage at;
	socklen_t len = address(AF_INET6, "::", 0, &at);
	int fd = tcp(AF_INET6, 0), one = 1;

	SAY(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)));
	SAY(bind(fd, (struct sockaddr *)&at, len));
	SAY(listen(fd, 4));
	peer_dial(AF_INET, port_of(fd), "s10");
	peer_result();
}

static void accept4_flags(void)
{
	int port, server = listener(AF_INET, &port), fd;

	peer_dial(AF_INET, port, "d100 s3");
	fd = accept4(server, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	note(" nonblock=%d cloexec=%d",
	     (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0, fcntl(fd, F_GETFD));
	SAY(read(fd, &port, 1));
	SAY(accept4(server, NULL, NULL, 0x123));
}

static void accept_not_inherited(void)
{
	int port, server = listener(AF_INET, &port), fd;

	peer_dial(AF_INET, port, "s3");
	readable(server);
	nonblocking(server, true);
	fd = accept(server, NULL, NULL);
	note(" nonblock=%d", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	SAY(accept(server, NULL, NULL));
}

static void accept_nonblocking(void)
{
	int port, server = listener(AF_INET, &port);

	nonblocking(server, true);
	SAY(accept(server, NULL, NULL));
	polled(server, POLLIN | POLLOUT, 0);
	peer_dial(AF_INET, port, "s3");
	polled(server, POLLIN | POLLOUT, 5000);
	drain(accept(server, NULL, NULL));
	polled(server, POLLIN, 0);
}

static void accept_timeout(void)
{
	struct timeval t = { 0, 100000 };
	int port, server = listener(AF_INET, &port);

	setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	SAY(accept(server, NULL, NULL));
}

static void accept_bad(void)
{
	int port, server = listener(AF_INET, &port), fresh = tcp(AF_INET, 0);
	int fd = dial("e");
	struct sockaddr_storage from;

	SAY(accept(fresh, NULL, NULL));
	SAY(accept(fd, NULL, NULL));
	SAY(accept(-1, NULL, NULL));
	SAY(accept(0, NULL, NULL) == -1);
	peer_dial(AF_INET, port, "s1");
	readable(server);
	SAY(accept(server, (struct sockaddr *)&from, NULL));
}

static void accept_order(void)
{
	int port, server = listener(AF_INET, &port), i;

	for (i = 0; i < 3; i++) {
		char script[16] = "s1";

		script[1] = '1' + i;
		peer_dial(AF_INET, port, script);
		pause_ms(30);
	}
	for (i = 0; i < 3; i++)
		drain(accept(server, NULL, NULL));
}

static void listen_states(void)
{
	int port, server = listener(AF_INET, &port), fresh = tcp(AF_INET, 0);
	int fd = dial("e");
	struct sockaddr_storage at;
	socklen_t len = address(AF_INET, "0.0.0.0", 0, &at);

	SAY(listen(server, 32));
	SAY(listen(fd, 4));
	SAY(listen(fresh, 4));
	note(" port=%d", port_of(fresh) > 0);
	SAY(bind(fresh, (struct sockaddr *)&at, len));
	SAY(listen(-1, 4));
}

static void listener_io(void)
{
	int port, server = listener(AF_INET, &port);
	char c = 0;

	SAY(read(server, &c, 1));
	SAY(recv(server, &c, 1, 0));
	SAY(write(server, &c, 1));
	SAY(send(server, &c, 1, 0));
	name_of(server, getpeername);
	SAY(connect_to(server, AF_INET, peer4, peer_port));
}

static void listener_shutdown(void)
{
	int port, server = listener(AF_INET, &port);

	SAY(shutdown(server, SHUT_RD));
	nonblocking(server, true);
	SAY(accept(server, NULL, NULL));
	SAY(listen(server, 4));
}

static void bind_in_use(void)
{
	struct sockaddr_storage at;
	socklen_t len;
	int port, server = listener(AF_INET, &port), fd = tcp(AF_INET, 0);

	(void)server;
	len = address(AF_INET, "0.0.0.0", port, &at);
	SAY(bind(fd, (struct sockaddr *)&at, len));
	len = address(AF_INET, own4, port, &at);
	SAY(bind(fd, (struct sockaddr *)&at, len));
	len = address(AF_INET, "0.0.0.0", 0, &at);
	SAY(bind(fd, (struct sockaddr *)&at, len));
}

static void bind_reuse(void)
{
	struct sockaddr_storage at;
	socklen_t len;
	int port, server = listener(AF_INET, &port), fd, one = 1;

	peer_dial(AF_INET, port, "e");
	fd = accept(server, NULL, NULL);
	close(server);
	close(fd);
	pause_ms(50);
	fd = tcp(AF_INET, 0);
	len = address(AF_INET, "0.0.0.0", port, &at);
	SAY(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	SAY(bind(fd, (struct sockaddr *)&at, len));
	SAY(listen(fd, 4));
}

static void bind_reuseport(void)
{
	struct sockaddr_storage at;
	socklen_t len = address(AF_INET, "0.0.0.0", 0, &at);
	int a = tcp(AF_INET, 0), b = tcp(AF_INET, 0), one = 1;

	setsockopt(a, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	setsockopt(b, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	SAY(bind(a, (struct sockaddr *)&at, len));
	len = address(AF_INET, "0.0.0.0", port_of(a), &at);
	SAY(bind(b, (struct sockaddr *)&at, len));
	SAY(listen(a, 4));
	SAY(listen(b, 4));
}

static void bind_not_ours(void)
{
	struct sockaddr_storage at;
	socklen_t len = address(AF_INET, "198.51.100.7", 0, &at);
	int fd = tcp(AF_INET, 0);

	SAY(bind(fd, (struct sockaddr *)&at, len));
	len = address(AF_INET, "0.0.0.0", 0, &at);
	SAY(bind(fd, (struct sockaddr *)&at, len));
	SAY(bind(fd, (struct sockaddr *)&at, len));
}

static void bind_bad(void)
{
	struct sockaddr_storage at;
	socklen_t len = address(AF_INET, "0.0.0.0", 0, &at);
	int fd = tcp(AF_INET, 0);

	SAY(bind(fd, (struct sockaddr *)&at, 4));
	SAY(bind(fd, NULL, len));
	SAY(bind(-1, (struct sockaddr *)&at, len));
	at.ss_family = AF_INET6;
	SAY(bind(fd, (struct sockaddr *)&at, 28));
	at.ss_family = 77;
	SAY(bind(fd, (struct sockaddr *)&at, len));
}

static void bound_io(void)
{
	struct sockaddr_storage at;
	socklen_t len = address(AF_INET, "0.0.0.0", 0, &at);
	int fd = tcp(AF_INET, 0);
	char c = 0;

	SAY(bind(fd, (struct sockaddr *)&at, len));
	SAY(read(fd, &c, 1));
	SAY(write(fd, &c, 1));
	SAY(shutdown(fd, SHUT_WR));
	SAY(accept(fd, NULL, NULL));
	name_of(fd, getsockname);
	name_of(fd, getpeername);
	polled(fd, POLLIN | POLLOUT, 0);
}

const struct sockapi_case listen_cases[] = {
	{ "accept_v4", accept_v4 },
	{ "accept_v6", accept_v6 },
	{ "accept_mapped", accept_mapped },
	{ "accept_v6only", accept_v6only },
	{ "accept4_flags", accept4_flags },
	{ "accept_not_inherited", accept_not_inherited },
	{ "accept_nonblocking", accept_nonblocking },
	{ "accept_timeout", accept_timeout },
	{ "accept_bad", accept_bad },
	{ "accept_order", accept_order },
	{ "listen_states", listen_states },
	{ "listener_io", listener_io },
	{ "listener_shutdown", listener_shutdown },
	{ "bind_in_use", bind_in_use },
	{ "bind_reuse", bind_reuse },
	{ "bind_reuseport", bind_reuseport },
	{ "bind_not_ours", bind_not_ours },
	{ "bind_bad", bind_bad },
	{ "bound_io", bound_io },
	{ NULL, NULL },
};
