// SPDX-License-Identifier: BSD-2-Clause
/*
 * sockapi_end.c - cases: shutdown, close, linger, resets
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "sockapi.h"

static char c[64];

static void so_error(int fd)
{
	int err = -1;
	socklen_t len = sizeof(err);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	note(" SO_ERROR=%s", err ? strerrorname_np(err) : "0");
}

static void end_write(void)
{
	/* the peer's end must not come before the second shutdown */
	int fd = dial("e d200 s5");

	SAY(write(fd, "abc", 3));
	SAY(shutdown(fd, SHUT_WR));
	SAY(write(fd, "abc", 3));
	SAY(shutdown(fd, SHUT_WR));
	peer_result();
	drain(fd);
	SAY(write(fd, "abc", 3));
}

static void end_read(void)
{
	int fd = dial("s5 d80 s5 e");

	readable(fd);
	SAY(shutdown(fd, SHUT_RD));
	SAY(read(fd, c, 3));
	SAY(read(fd, c, 16));
	SAY(read(fd, c, 16));
	SAY(write(fd, "abc", 3));
	SAY(shutdown(fd, SHUT_WR));
	peer_result();
}

static void end_both(void)
{
	int fd = dial("d40 e");

	SAY(write(fd, "abc", 3));
	SAY(shutdown(fd, SHUT_RDWR));
	SAY(read(fd, c, 3));
	SAY(write(fd, "abc", 3));
	peer_result();
}

static void end_read_then_write(void)
{
	int fd = dial("e");

	SAY(shutdown(fd, SHUT_RD));
	SAY(read(fd, c, 3));
	SAY(shutdown(fd, SHUT_WR));
	peer_result();
}

static void end_bad(void)
{
	int fd = dial("e"), fresh = tcp(AF_INET, 0);

	SAY(shutdown(fd, 3));
	SAY(shutdown(fd, -1));
	SAY(shutdown(fresh, SHUT_RD));
	SAY(shutdown(fresh, 3));
	SAY(shutdown(-1, SHUT_RD));
}

static void end_peer_closed(void)
{
	int fd = dial("s3");

	drain(fd);
	SAY(read(fd, c, 1));
	SAY(read(fd, c, 1));
}

static void end_write_to_closed(void)
{
	int fd = dial("z");

	readable(fd);
	SAY(read(fd, c, 1));
	SAY(send(fd, "abc", 3, MSG_NOSIGNAL));
	pause_ms(60);
	SAY(send(fd, "abc", 3, MSG_NOSIGNAL));
	SAY(send(fd, "abc", 3, MSG_NOSIGNAL));
	SAY(read(fd, c, 1));
	so_error(fd);
}

static void end_reset(void)
{
	int fd = dial("d40 a");

	readable(fd);
	SAY(read(fd, c, 1));
	SAY(read(fd, c, 1));
	SAY(send(fd, "abc", 3, MSG_NOSIGNAL));
	SAY(shutdown(fd, SHUT_WR));
}

static void end_reset_so_error(void)
{
	int fd = dial("d40 a");

	readable(fd);
	so_error(fd);
	so_error(fd);
	SAY(read(fd, c, 1));
	SAY(send(fd, "abc", 3, MSG_NOSIGNAL));
}

static void end_reset_send(void)
{
	int fd = dial("d40 a");

	pause_ms(100);
	SAY(send(fd, "abc", 3, MSG_NOSIGNAL));
	SAY(send(fd, "abc", 3, MSG_NOSIGNAL));
	SAY(read(fd, c, 1));
}

static void end_data_then_reset(void)
{
	int fd = dial("s10 d40 a");

	pause_ms(100);
	SAY(read(fd, c, 4));
	SAY(read(fd, c, 64));
	SAY(read(fd, c, 64));
	SAY(read(fd, c, 64));
}

static void end_peername_after_reset(void)
{
	struct sockaddr_storage at;
	socklen_t len = sizeof(at);
	int fd = dial("d40 a");

	readable(fd);
	SAY(getpeername(fd, (struct sockaddr *)&at, &len));
	SAY(getsockname(fd, (struct sockaddr *)&at, &len));
}

static void end_close_unread(void)
{
	int fd = dial("s100 e");

	readable(fd);
	pause_ms(30);
	SAY(read(fd, c, 10));
	SAY(close(fd));
	peer_result();
}

static void end_close_sends(void)
{
	static char big[300000];
	int fd = dial("d50 e");

	SAY(write(fd, big, sizeof(big)));
	SAY(close(fd));
	peer_result();
}

static void end_linger_zero(void)
{
	struct linger l = { 1, 0 };
	int fd = dial("e");

	SAY(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	SAY(close(fd));
	peer_result();
}

static void end_linger_time(void)
{
	static char big[100000];
	struct linger l = { 1, 5 };
	int fd = dial("d150 e");

	SAY(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	SAY(write(fd, big, sizeof(big)));
	SAY(close(fd));
	peer_result();
}

static void end_linger_off(void)
{
	struct linger l = { 0, 0 };
	int fd = dial("e");

	SAY(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	SAY(write(fd, "abc", 3));
	SAY(close(fd));
	peer_result();
}

static void end_listener_closed(void)
{
	int port, server = listener(AF_INET, &port);

	close(server);
	pause_ms(20);
	peer_dial(AF_INET, port, "e");
	peer_result();
}

static void end_half_closed_echo(void)
{
	int fd = dial("e s50000");

	SAY(write(fd, "request", 7));
	SAY(shutdown(fd, SHUT_WR));
	drain(fd);
	peer_result();
}

static void end_shutdown_wakes_reader(void)
{
	int fd = dial("e");

	if (!fork()) {
		pause_ms(80);
		shutdown(fd, SHUT_RDWR);
		_exit(0);
	}
	SAY(read(fd, c, 1));
}

static void end_close_twice(void)
{
	int fd = dial("e");

	SAY(close(fd));
	SAY(close(fd));
	SAY(write(fd, c, 1));
	peer_result();
}

static void end_peer_half_closed(void)
{
	int fd = dial("w e");

	readable(fd);
	SAY(read(fd, c, 1));
	SAY(write(fd, "abc", 3));
	SAY(write(fd, "def", 3));
	SAY(shutdown(fd, SHUT_WR));
	peer_result();
}

const struct sockapi_case end_cases[] = {
	{ "end_write", end_write },
	{ "end_read", end_read },
	{ "end_both", end_both },
	{ "end_read_then_write", end_read_then_write },
	{ "end_bad", end_bad },
	{ "end_peer_closed", end_peer_closed },
	{ "end_write_to_closed", end_write_to_closed },
	{ "end_reset", end_reset },
	{ "end_reset_so_error", end_reset_so_error },
	{ "end_reset_send", end_reset_send },
	{ "end_data_then_reset", end_data_then_reset },
	{ "end_peername_after_reset", end_peername_after_reset },
	{ "end_close_unread", end_close_unread },
	{ "end_close_sends", end_close_sends },
	{ "end_linger_zero", end_linger_zero },
	{ "end_linger_time", end_linger_time },
	{ "end_linger_off", end_linger_off },
	{ "end_listener_closed", end_listener_closed },
	{ "end_half_closed_echo", end_half_closed_echo },
	{ "end_shutdown_wakes_reader", end_shutdown_wakes_reader },
	{ "end_close_twice", end_close_twice },
	{ "end_peer_half_closed", end_peer_half_closed },
	{ NULL, NULL },
};
