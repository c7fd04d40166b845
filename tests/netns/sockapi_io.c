// SPDX-License-Identifier: BSD-2-Clause
/*
 * sockapi_io.c - cases: sending and receiving
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sockapi.h"

static char big[1 << 20];
/* Bad arguments that the compiler is not to see. */
static void *volatile nowhere;
static volatile int minus_one = -1, too_many = 5000;

static void fill(void)
{
	size_t i;

	for (i = 0; i < sizeof(big); i++)
		big[i] = 'A' + i % 29;
}

/* Notes a received result and its bytes. */
static void got(ssize_t rc, const void *at)
{
	if (say(rc) > 0)
		bytes(at, rc);
}

static void io_read_write(void)
{
	int fd = dial("r5 s7");
	char b[16];

	SAY(write(fd, "12345", 5));
	readable(fd);
	got(read(fd, b, sizeof(b)), b);
	got(read(fd, b, sizeof(b)), b);
	got(read(fd, b, sizeof(b)), b);
	peer_result();
}

static void io_partial_reads(void)
{
	int fd = dial("s100");
	char b[16];
	int i;

	for (i = 0; i < 8; i++)
		got(recv(fd, b, 13, MSG_WAITALL), b);
}

static void io_large_receive(void)
{
	int fd = dial("s1000000");

	drain(fd);
}

static void io_large_send(void)
{
	int fd = dial("e");
	size_t done = 0;

	fill();
	while (done < sizeof(big)) {
		ssize_t n = write(fd, big + done, sizeof(big) - done);

		if (n <= 0)
			break;
		done += n;
	}
	note(" sent=%zu", done);
	SAY(shutdown(fd, SHUT_WR));
	peer_result();
}

static void io_echo(void)
{
	static char back[100000];
	int fd = dial("k");
	size_t done;

	fill();
	for (done = 0; done < sizeof(back); done += 1000) {
		if (write(fd, big + done, 1000) != 1000)
			note(" short");
		if (recv(fd, back + done, 1000, MSG_WAITALL) != 1000)
			note(" lost");
	}
	SAY(memcmp(big, back, sizeof(back)));
	shutdown(fd, SHUT_WR);
	drain(fd);
}

static void io_zero_length(void)
{
	int fd = dial("d50 s3"), fresh = tcp(AF_INET, 0);
	char b[4];

	SAY(read(fd, b, 0));
	SAY(write(fd, b, 0));
	SAY(send(fd, b, 0, 0));
	SAY(recv(fd, b, 0, MSG_DONTWAIT));
	readable(fd);
	SAY(recv(fd, b, 0, MSG_DONTWAIT));
	got(read(fd, b, 4), b);
	SAY(read(fresh, b, 0));
	SAY(recv(fresh, b, 0, 0));
	SAY(write(fresh, b, 0));
}

static void io_nonblocking_empty(void)
{
	int fd = dial("d60 s3");
	char b[8];

	nonblocking(fd, true);
	SAY(read(fd, b, 8));
	SAY(recv(fd, b, 8, MSG_PEEK));
	SAY(recv(fd, b, 8, MSG_WAITALL));
	readable(fd);
	got(read(fd, b, 8), b);
	readable(fd);
	got(read(fd, b, 8), b);
}

static void io_nonblocking_full(void)
{
	int fd = dial("d300 e");
	size_t done = 0;
	ssize_t n;

	fill();
	nonblocking(fd, true);
	for (;;) {
		struct pollfd p = { fd, POLLOUT, 0 };

		n = write(fd, big, sizeof(big));
		if (n > 0)
			done += n;
		else if (!poll(&p, 1, 50))
			break;
		if (done > 1u << 28)
			break;
	}
	SAY(n);
	note(" some=%d", done > 0);
	nonblocking(fd, false);
	SAY(write(fd, big, 1));
	shutdown(fd, SHUT_WR);
	pause_ms(10);
}

static void io_dontwait(void)
{
	int fd = dial("d60 s3");
	char b[8];

	SAY(recv(fd, b, 8, MSG_DONTWAIT));
	got(recv(fd, b, 8, 0), b);
}

static void io_peek(void)
{
	int fd = dial("s20");
	char b[32];

	readable(fd);
	got(recv(fd, b, 5, MSG_PEEK), b);
	got(recv(fd, b, 20, MSG_PEEK | MSG_WAITALL), b);
	got(recv(fd, b, 5, 0), b);
	got(recv(fd, b, 32, MSG_PEEK), b);
	got(recv(fd, b, 32, 0), b);
	got(recv(fd, b, 32, MSG_PEEK), b);
}

static void io_peek_waits(void)
{
	int fd = dial("s4 d60 s4");
	char b[32];

	got(recv(fd, b, 8, MSG_PEEK | MSG_WAITALL), b);
	got(recv(fd, b, 32, 0), b);
}

static void io_waitall(void)
{
	int fd = dial("s4 d40 s4 d40 s4");
	char b[32];

	got(recv(fd, b, 10, MSG_WAITALL), b);
	got(recv(fd, b, 10, MSG_WAITALL), b);
	got(recv(fd, b, 10, MSG_WAITALL), b);
}

static void io_waitall_timeout(void)
{
	struct timeval t = { 0, 100000 };
	int fd = dial("s4 e");
	char b[32];

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	got(recv(fd, b, 10, MSG_WAITALL), b);
	got(recv(fd, b, 10, MSG_WAITALL), b);
}

static void io_receive_timeout(void)
{
	struct timeval t = { 0, 100000 };
	int fd = dial("d5000");
	long before = now_ms(), took;
	char b[8];

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	SAY(read(fd, b, 8));
	took = now_ms() - before;
	note(" ms=%d", took >= 95 && took < 1500);
}

static void io_send_timeout(void)
{
	struct timeval t = { 0, 100000 };
	int fd = dial("d700 e");
	ssize_t n;

	fill();
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
	while ((n = write(fd, big, sizeof(big))) > 0)
		;
	SAY(n);
}

static void io_trunc(void)
{
	int fd = dial("s20");
	char b[32] = "################";

	readable(fd);
	SAY(recv(fd, b, 5, MSG_TRUNC));
	note(" %.3s", b);
	SAY(recv(fd, nowhere, 5, MSG_TRUNC));
	got(recv(fd, b, 32, 0), b);
}

static void io_bad_descriptors(void)
{
	char b[4] = "abc";
	int fd = tcp(AF_INET, 0), pipes[2];

	SAY(read(-1, b, 4));
	SAY(write(-1, b, 4));
	SAY(send(-1, b, 4, 0));
	SAY(recv(1234, b, 4, 0));
	SAY(pipe(pipes));
	SAY(send(pipes[1], b, 4, 0));
	SAY(recv(pipes[0], b, 4, 0));
	close(fd);
	SAY(read(fd, b, 4));
	SAY(send(fd, b, 4, 0));
	SAY(close(fd));
	SAY(shutdown(fd, SHUT_RD));
	SAY(shutdown(pipes[0], SHUT_RD));
}

static void io_bad_pointers(void)
{
	int fd = dial("s3 e");
	char b[8];

	readable(fd);
	SAY(send(fd, nowhere, 4, 0));
	SAY(write(fd, nowhere, 4));
	SAY(recv(fd, nowhere, 4, 0));
	SAY(readv(fd, nowhere, 1));
	SAY(sendmsg(fd, nowhere, 0));
	SAY(recvmsg(fd, nowhere, 0));
	got(read(fd, b, 8), b);
}

static void io_unconnected(void)
{
	int fd = tcp(AF_INET, 0);
	char b[4] = "abc";

	SAY(read(fd, b, 4));
	SAY(recv(fd, b, 4, MSG_DONTWAIT));
	SAY(write(fd, b, 4));
	SAY(send(fd, b, 4, MSG_NOSIGNAL));
	SAY(shutdown(fd, SHUT_WR));
	SAY(sendto(fd, b, 4, MSG_NOSIGNAL, NULL, 0));
}

static void io_out_of_band(void)
{
	int fd = dial("s3 e");
	char b[4];

	SAY(recv(fd, b, 1, MSG_OOB));
	readable(fd);
	SAY(recv(fd, b, 1, MSG_OOB));
	got(read(fd, b, 4), b);
}

static void io_fionread(void)
{
	int fd = dial("s20 e"), n = -1;
	char b[8];

	readable(fd);
	SAY(ioctl(fd, FIONREAD, &n));
	note(" n=%d", n);
	got(read(fd, b, 8), b);
	SAY(ioctl(fd, FIONREAD, &n));
	note(" n=%d", n);
}

/* A program may look whether all was acknowledged, and sleep in between. */
static void io_outq(void)
{
	int fd = dial("e"), n = -1, i;
	char b[8];

	SAY(write(fd, "hello", 5));
	for (i = 0; i < 400 && n; i++) {
		usleep(5000);
		if (ioctl(fd, TIOCOUTQ, &n))
			break;
	}
	note(" n=%d", n);
	got(read(fd, b, 8), b);
}

static void io_fionread_states(void)
{
	int port, server = listener(AF_INET, &port), n = -1;
	int fresh = tcp(AF_INET, 0);

	SAY(ioctl(server, FIONREAD, &n));
	SAY(ioctl(fresh, FIONREAD, &n));
	note(" n=%d", n);
}

static void io_sendfile(void)
{
	int fd = dial("e"), file = memfd_create("t", 0);
	off_t at = 100;

	fill();
	SAY(write(file, big, 300000));
	SAY(sendfile(fd, file, &at, 1000));
	note(" at=%ld", (long)at);
	SAY(lseek(file, 0, SEEK_CUR));
	SAY(lseek(file, 200000, SEEK_SET));
	SAY(sendfile(fd, file, NULL, 1000000));
	SAY(lseek(file, 0, SEEK_CUR));
	SAY(sendfile(fd, file, NULL, 1000));
	shutdown(fd, SHUT_WR);
	peer_result();
}

static void io_sendfile_bad(void)
{
	int fd = dial("e"), file = memfd_create("t", 0), pipes[2];
	off_t at = -1;

	SAY(pipe(pipes));
	SAY(write(pipes[1], "abc", 3));
	SAY(sendfile(fd, pipes[0], NULL, 3));
	SAY(sendfile(fd, -1, NULL, 3));
	SAY(sendfile(file, fd, NULL, 3));
	SAY(sendfile(fd, file, &at, 3));
	SAY(sendfile(fd, file, NULL, 3));
}

static void io_stdio(void)
{
	int fd = dial("r12 s30"), i;
	FILE *out = fdopen(dup(fd), "w"), *in = fdopen(fd, "r");
	char text[40];

	SAY(fileno(in) == fd);
	SAY(fprintf(out, "hello %d\n", 12345));
	SAY(fflush(out));
	peer_result();
	for (i = 0; i < 5 && fgets(text, 8, in); i++)
		note(" %s", text);
	SAY(feof(in) != 0);
	SAY(fclose(out));
	SAY(fclose(in));
	SAY(fcntl(fd, F_GETFD));
}

static void io_dprintf(void)
{
	int fd = dial("e");

	SAY(dprintf(fd, "%s-%05d", "number", 42));
	shutdown(fd, SHUT_WR);
	peer_result();
}

static void io_more(void)
{
	int fd = dial("e");

	SAY(send(fd, "ab", 2, MSG_MORE));
	SAY(send(fd, "cd", 2, MSG_MORE));
	SAY(send(fd, "ef", 2, 0));
	shutdown(fd, SHUT_WR);
	peer_result();
}

static void io_both_ways(void)
{
	int fd = dial("s200000 r1000 s100");
	size_t n = 0;
	ssize_t rc;

	fill();
	SAY(write(fd, big, 1000));
	while ((rc = recv(fd, big, 4096, 0)) > 0)
		n += rc;
	note(" total=%zu", n);
	SAY(rc);
	peer_result();
}

static void io_many_small_sends(void)
{
	int fd = dial("e"), i, n = 0;

	for (i = 0; i < 3000; i++)
		n += send(fd, "0123456789", 10, 0);
	SAY(n);
	shutdown(fd, SHUT_WR);
	peer_result();
}

static void io_many_small_receives(void)
{
	int fd = dial("s20000"), n = 0;
	char c;

	while (read(fd, &c, 1) == 1)
		n++;
	SAY(n);
}

const struct sockapi_case io_cases[] = {
	{ "io_read_write", io_read_write },
	{ "io_partial_reads", io_partial_reads },
	{ "io_large_receive", io_large_receive },
	{ "io_large_send", io_large_send },
	{ "io_echo", io_echo },
	{ "io_zero_length", io_zero_length },
	{ "io_nonblocking_empty", io_nonblocking_empty },
	{ "io_nonblocking_full", io_nonblocking_full },
	{ "io_dontwait", io_dontwait },
	{ "io_peek", io_peek },
	{ "io_peek_waits", io_peek_waits },
	{ "io_waitall", io_waitall },
	{ "io_waitall_timeout", io_waitall_timeout },
	{ "io_receive_timeout", io_receive_timeout },
	{ "io_send_timeout", io_send_timeout },
	{ "io_trunc", io_trunc },
	{ "io_bad_descriptors", io_bad_descriptors },
	{ "io_bad_pointers", io_bad_pointers },
	{ "io_unconnected", io_unconnected },
	{ "io_out_of_band", io_out_of_band },
	{ "io_fionread", io_fionread },
	{ "io_outq", io_outq },
	{ "io_fionread_states", io_fionread_states },
	{ "io_sendfile", io_sendfile },
	{ "io_sendfile_bad", io_sendfile_bad },
	{ "io_stdio", io_stdio },
	{ "io_dprintf", io_dprintf },
	{ "io_more", io_more },
	{ "io_both_ways", io_both_ways },
	{ "io_many_small_sends", io_many_small_sends },
	{ "io_many_small_receives", io_many_small_receives },
	{ NULL, NULL },
};

/* -- vectors and messages ------------------------------------------------------- */

static void msg_writev(void)
{
	struct iovec v[3] = { { "ab", 2 }, { "", 0 }, { "cdef", 4 } };
	int fd = dial("e");

	SAY(writev(fd, v, 3));
	SAY(writev(fd, v, 0));
	SAY(writev(fd, v, minus_one));
	SAY(writev(fd, v, too_many));
	shutdown(fd, SHUT_WR);
	peer_result();
}

static void msg_readv(void)
{
	char a[4], b[6], c[32];
	struct iovec v[3] = { { a, 4 }, { b, 6 }, { c, 32 } };
	int fd = dial("s20");

	pause_ms(60);
	SAY(readv(fd, v, 3));
	bytes(a, 4);
	bytes(b, 6);
	bytes(c, 10);
	SAY(readv(fd, v, 3));
}

static void msg_sendmsg(void)
{
	struct iovec v[2] = { { "hello", 5 }, { "world", 5 } };
	struct msghdr m = { .msg_iov = v, .msg_iovlen = 2 };
	int fd = dial("e");

	SAY(sendmsg(fd, &m, 0));
	m.msg_iovlen = 0;
	SAY(sendmsg(fd, &m, 0));
	shutdown(fd, SHUT_WR);
	peer_result();
}

static void msg_recvmsg(void)
{
	char a[8], control[64];
	struct sockaddr_storage from;
	struct iovec v = { a, 8 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_name = &from,
			    .msg_namelen = sizeof(from), .msg_control = control,
			    .msg_controllen = sizeof(control) };
	int fd = dial("s20");

	readable(fd);
	got(recvmsg(fd, &m, 0), a);
	note(" name=%d control=%d flags=%x", (int)m.msg_namelen,
	     (int)m.msg_controllen, m.msg_flags);
	got(recvmsg(fd, &m, MSG_PEEK), a);
	got(recvmsg(fd, &m, MSG_WAITALL), a);
	got(recvmsg(fd, &m, MSG_WAITALL), a);
	got(recvmsg(fd, &m, 0), a);
}

static void msg_recvfrom(void)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	int fd = dial("s5");
	char a[8];

	readable(fd);
	got(recvfrom(fd, a, 8, 0, (struct sockaddr *)&from, &len), a);
	note(" len=%d", (int)len);
	got(recvfrom(fd, a, 8, 0, NULL, NULL), a);
}

static void msg_sendto(void)
{
	struct sockaddr_storage to;
	socklen_t len = address(AF_INET, peer4, 1, &to);
	int fd = dial("e");

	/* the address of a connected stream is not looked at */
	SAY(sendto(fd, "abc", 3, 0, (struct sockaddr *)&to, len));
	SAY(sendto(fd, "abc", 3, 0, NULL, 0));
	shutdown(fd, SHUT_WR);
	peer_result();
}

static void msg_mmsg(void)
{
	struct iovec v[3] = { { "one", 3 }, { "two", 3 }, { "three", 5 } };
	struct mmsghdr m[3];
	int fd = dial("r11 s12"), i;
	char a[3][4];

	memset(m, 0, sizeof(m));
	for (i = 0; i < 3; i++) {
		m[i].msg_hdr.msg_iov = &v[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	SAY(sendmmsg(fd, m, 3, 0));
	note(" %u %u %u", m[0].msg_len, m[1].msg_len, m[2].msg_len);
	peer_result();
	for (i = 0; i < 3; i++)
		v[i] = (struct iovec){ a[i], 4 };
	SAY(recvmmsg(fd, m, 3, MSG_WAITALL, NULL));
	note(" %u %u %u", m[0].msg_len, m[1].msg_len, m[2].msg_len);
	bytes(a, 12);
}

static void msg_huge_vector(void)
{
	static char parts[1000][7];
	static struct iovec v[1000];
	int fd = dial("e"), i;

	for (i = 0; i < 1000; i++)
		v[i] = (struct iovec){ memset(parts[i], 'a' + i % 26, 7), 7 };
	SAY(writev(fd, v, 1000));
	shutdown(fd, SHUT_WR);
	peer_result();
}

const struct sockapi_case message_cases[] = {
	{ "msg_writev", msg_writev },
	{ "msg_readv", msg_readv },
	{ "msg_sendmsg", msg_sendmsg },
	{ "msg_recvmsg", msg_recvmsg },
	{ "msg_recvfrom", msg_recvfrom },
	{ "msg_sendto", msg_sendto },
	{ "msg_mmsg", msg_mmsg },
	{ "msg_huge_vector", msg_huge_vector },
	{ NULL, NULL },
};
