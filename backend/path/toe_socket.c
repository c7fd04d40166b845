/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * toe_socket.c - the TOE service on the kernel's sockets: the simple operations
 *
 * What the kernel's TCP refuses (a send before connect, a second listen), it
 * refuses itself, with the errno that a program expects; nothing here repeats
 * its state machine.
 */
#include "path/path.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "nic/socket.h"

int toe_open(struct lane *lane, struct stream *unused,
	     const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe)
{
	struct stream *s;
	int fd, rc;

	(void)unused;
	lane->last_stream = VTOE_STREAM_NONE;
	if (sqe->u.address.family == VTOE_AF_INET6 &&
	    !(lane->conn->features & VTOE_F_IPV6))
		return -EAFNOSUPPORT;
	fd = socket_open(sqe->u.address.family);
	if (fd < 0)
		return fd;
	rc = stream_new(lane, fd, sqe->u.address.family, &s);
	if (rc) {
		close(fd);
		return rc;
	}
	lane->last_stream = s->id;
	cqe->stream = s->id;
	return 0;
}

int toe_bind(struct lane *lane, struct stream *s,
	     const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe)
{
	int rc;

	(void)lane;
	rc = socket_bind(s->fd, &sqe->u.address, s->family);
	s->bound |= !rc;
	if (!rc)
		socket_name(s->fd, 0, &cqe->u.address);
	return rc;
}

int toe_listen(struct lane *lane, struct stream *s,
	       const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe)
{
	int rc;

	(void)lane;
	rc = socket_listen(s->fd, sqe->length);
	if (rc)
		return rc;
	s->state = STREAM_LISTENING;
	socket_name(s->fd, 0, &cqe->u.address);
	return 0;
}

/* The one option that we use ourselves, as long as the guest does not. */
static bool is_lowat(const struct vtoe_option *option)
{
	return option->level == SOL_SOCKET && option->name == SO_RCVLOWAT;
}

int toe_setopt(struct lane *lane, struct stream *s,
	       const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe)
{
	int linger, rc;

	(void)lane;
	(void)cqe;
	if (is_lowat(&sqe->u.option)) {
		toe_recv_lowat_reset(s);
		s->lowat_guest = true;
	}
	rc = socket_set_option(s->fd, &sqe->u.option, &linger);
	if (!rc && linger >= 0)
		s->linger = (int16_t)linger;
	return rc;
}

/* The kernel does not know the time that we wait ourselves. */
static int toe_linger_of(const struct stream *s, uint8_t *value, uint32_t want)
{
	const struct linger l = { .l_onoff = 1, .l_linger = s->linger };

	if (want > sizeof(l))
		want = sizeof(l);
	memcpy(value, &l, want);
	return (int)want;
}

int toe_getopt(struct lane *lane, struct stream *s,
	       const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe)
{
	uint32_t want = toe_option_wanted(sqe);
	uint8_t value[TOE_OPTION_MAX];
	int n;

	memset(value, 0, sizeof(value));
	if (is_lowat(&sqe->u.option))
		toe_recv_lowat_reset(s);
	if (s->linger && sqe->u.option.level == SOL_SOCKET &&
	    sqe->u.option.name == SO_LINGER)
		n = toe_linger_of(s, value, want);
	else
		n = socket_get_option(s->fd, sqe->u.option.level,
				      sqe->u.option.name, value, want);
	if (n < 0)
		return n;
	return toe_option_answer(lane, sqe, cqe, value, (uint32_t)n);
}

int toe_getname(struct lane *lane, struct stream *s,
		const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe)
{
	(void)lane;
	if (sqe->length > 1)
		return -EINVAL;
	return socket_name(s->fd, sqe->length, &cqe->u.address);
}
