/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/worker_tto.h"

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
