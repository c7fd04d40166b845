/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/worker_tto.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/log.h"

static void worker_tto_give_up(const char *what, int error)
{
	struct worker_failed m = { .h.message = WORKER_NO_TTO,
				   .error = error };

	vtoe_log(VTOE_LOG_WARNING, "TTO is not offered: %s: %s", what,
		 strerror(error));
	snprintf(m.what, sizeof(m.what), "%s", what);
	send(WORKER_FD, &m, sizeof(m), MSG_NOSIGNAL);
}

void worker_tto_init(struct worker_tto *t, const struct worker_setup *setup,
		     int claims, int sockets)
{
	if (!setup->tto_ifindex) {
		close(claims);
		close(sockets);
		return;
	}
	t->wanted = true;
	t->config.claims = claims;
	t->config.queues = sockets;
	t->config.ifindex = (int)setup->tto_ifindex;
	t->config.mtu = setup->mtu;
	memcpy(t->config.mac, setup->mac, sizeof(t->config.mac));
	t->config.hold_usec = setup->tto_hold_usec;
	t->config.segments = setup->tto_segments;
	t->config.push_joins = setup->tto_push_joins;
	t->config.acks_join = setup->tto_acks_join;
}

uint64_t worker_tto_locked(const struct worker_tto *t)
{
	return t->wanted ? tto_locked_bytes(&t->config) : 0;
}

void worker_tto_open(struct worker_tto *t)
{
	const char *what = "sockets";
	int rc;

	if (!t->wanted)
		return;
	rc = tto_sockets_open(&t->config.sockets, t->config.ifindex, &what);
	if (rc)
		worker_tto_give_up(what, -rc);
	t->open = !rc;
}

void worker_tto_start(struct worker_tto *t, struct device *d)
{
	const char *what = "start";
	int rc;

	if (!t->open)
		return;
	rc = tto_start(d, &t->config, &what);
	if (rc)
		worker_tto_give_up(what, -rc);
	t->started = !rc;
}

/* The only one that may come. Others would stay open for ever. */
static int worker_tto_descriptor(struct msghdr *message)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(message);
	int fd = -1, other;
	size_t i, count;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return -1;
	count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	for (i = 0; i < count; i++) {
		memcpy(&other, CMSG_DATA(c) + i * sizeof(int), sizeof(other));
		if (fd < 0)
			fd = other;
		else
			close(other);
	}
	return fd;
}

ssize_t worker_tto_receive(union worker_question *question, int *fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { question, sizeof(*question) };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n;

	*fd = -1;
	n = recvmsg(WORKER_FD, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n >= 0)
		*fd = worker_tto_descriptor(&message);
	return n;
}

void worker_tto_capture(struct device *d, const struct worker_capture *question,
			int fd)
{
	struct worker_failed m = { .h.message = WORKER_REFUSED };

	m.error = fd < 0 ? EBADF : -tto_capture(d, fd, question->claim,
						question->snap);
	if (!m.error)
		return;
	snprintf(m.what, sizeof(m.what), "capture");
	send(WORKER_FD, &m, sizeof(m), MSG_NOSIGNAL);
}
