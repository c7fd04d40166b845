/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * worker_report.c - what `vtoectl sockets`, `peers` and `flows` ask a worker
 *
 * One packet per stream, peer or claim. The supervisor reads as fast as it can;
 * a send that finds no room waits, for a second at most (the socket's
 * time-out), and then the answer is cut short.
 */
#include "daemon/worker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "nic/socket.h"
#include "path/tto.h"

static int report_send(int fd, const void *packet, size_t bytes)
{
	return send(fd, packet, bytes, MSG_NOSIGNAL) == (ssize_t)bytes ? 0
								       : -errno;
}

static void report_program(char to[32], const char from[32])
{
	snprintf(to, 32, "%s", from);
}

static void report_endpoint(uint8_t ip[16], uint16_t *port,
			    const struct vtoe_address *from)
{
	memcpy(ip, from->ip, 16);
	*port = from->port;
}

static int report_stream(const struct stream *s, int fd)
{
	struct worker_socket m = { .h.message = WORKER_SOCKET };
	struct vtoe_address local = { 0 }, remote = { 0 };

	m.stream = s->id;
	m.family = s->family;
	if (s->owner) {
		m.peer = s->owner->link.id;
		m.pid = s->owner->pid;
		report_program(m.program, s->owner->program);
	}
	if (s->fd >= 0) {
		snprintf(m.state, sizeof(m.state), "%s", socket_state(s->fd));
		socket_name(s->fd, 0, &local);
		socket_name(s->fd, 1, &remote);
	} else {
		snprintf(m.state, sizeof(m.state), "closing");
	}
	report_endpoint(m.local_ip, &m.local_port, &local);
	report_endpoint(m.remote_ip, &m.remote_port, &remote);
	m.rx_bytes = s->rx_bytes;
	m.tx_bytes = s->tx_bytes;
	m.rx_placed_bytes = s->rx_placed;
	m.tx_zerocopy_bytes = s->tx_zerocopy;
	return report_send(fd, &m, sizeof(m));
}

static int report_fallback(const struct fallback_entry *e, int fd)
{
	struct worker_socket m = { .h.message = WORKER_SOCKET };

	m.fallback = e->reason;
	m.peer = e->conn_id;
	m.pid = e->pid;
	m.family = e->to.family;
	report_program(m.program, e->program);
	snprintf(m.state, sizeof(m.state), "kernel");
	report_endpoint(m.remote_ip, &m.remote_port, &e->to);
	return report_send(fd, &m, sizeof(m));
}

int worker_report_sockets(struct device *d, int fd)
{
	struct list *at;
	uint32_t first, i;
	int rc = 0;

	for (at = d->live.next; !rc && at != &d->live; at = at->next)
		rc = report_stream(list_entry(at, struct stream, live_node),
				   fd);
	first = d->fallback_count > FALLBACK_LOG ?
			d->fallback_count - FALLBACK_LOG : 0;
	for (i = first; !rc && i != d->fallback_count; i++)
		rc = report_fallback(&d->fallbacks[i % FALLBACK_LOG], fd);
	return rc;
}

int worker_report_peers(struct device *d, int fd)
{
	struct list *at;
	int rc = 0;

	for (at = d->conns.next; !rc && at != &d->conns; at = at->next) {
		const struct conn *c = list_entry(at, struct conn, node);
		struct worker_peer m = {
			.h.message = WORKER_PEER,
			.peer = c->link.id,
			.pid = c->pid,
			.uid = c->link.uid,
			.lanes = c->lane_count,
			.streams = c->stream_count,
			.regions = c->regions.used,
			.memory = c->link.bytes,
			.violation = c->violation,
		};

		m.status = VTOE_STATUS_READY;
		if (c->state == CONN_GREETED)
			m.status = VTOE_STATUS_STARTING;
		else if (c->state == CONN_PARKED)
			m.status = VTOE_STATUS_PARKED;
		else if (c->state == CONN_LEAVING)
			m.status = VTOE_STATUS_LEAVING;
		report_program(m.program, c->program);
		rc = report_send(fd, &m, sizeof(m));
	}
	return rc;
}

static int report_flow(const struct tto_flow *f, int fd)
{
	struct worker_flow m = {
		.h.message = WORKER_FLOW,
		.claim = f->claim,
		.peer = f->conn,
		.pid = f->pid,
		.port = f->port,
		.family = f->local.family,
		.aggregates = f->aggregates,
		.segments = f->segments,
		.rx_bytes = f->rx_bytes,
		.dropped = f->dropped,
		.sent = f->sent,
		.tx_bytes = f->tx_bytes,
	};

	report_program(m.program, f->program);
	report_endpoint(m.local_ip, &m.local_port, &f->local);
	if (!f->port)
		report_endpoint(m.remote_ip, &m.remote_port, &f->remote);
	return report_send(fd, &m, sizeof(m));
}

static int report_reason(const char *name, uint64_t ended, uint64_t passed,
			 int fd)
{
	struct worker_reason m = {
		.h.message = WORKER_REASON,
		.ended = ended,
		.passed = passed,
	};

	snprintf(m.name, sizeof(m.name), "%s", name);
	return report_send(fd, &m, sizeof(m));
}

int worker_report_flows(const struct device *d, int fd)
{
	uint64_t ended = 0, passed = 0;
	uint32_t at = 0, reason;
	struct tto_flow flow;
	const char *name;
	int rc = 0;

	while (!rc && tto_next_flow(d, &at, &flow))
		rc = report_flow(&flow, fd);
	for (reason = 0; !rc; reason++) {
		name = tto_reason(d, reason, &ended, &passed);
		if (!name)
			break;
		if (ended || passed)
			rc = report_reason(name, ended, passed, fd);
	}
	return rc;
}

int worker_report_end(int fd, uint32_t value)
{
	struct worker_header h = { WORKER_END, value };

	return report_send(fd, &h, sizeof(h));
}
