/* SPDX-License-Identifier: BSD-2-Clause */
#include "stack/server.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "port/local_peer.h"

enum { BACKLOG = 128, LANES = 64, MEMORY = 64 << 20, DEAF_US = 200000 };

struct reason {
	char *text;
	size_t room;
};

__attribute__((format(printf, 3, 4)))
static int server_fail(const struct reason *why, int error, const char *format,
		       ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why->text, why->room, format, args);
	va_end(args);
	return error;
}

/* The user's own directory; that of another user (su) is no place for ours. */
static const char *server_base(void)
{
	const char *base = getenv("XDG_RUNTIME_DIR");
	struct stat st;

	if (!base || *base != '/' || strlen(base) > 50 || access(base, W_OK) ||
	    stat(base, &st) || st.st_uid != geteuid())
		return "/tmp";
	return base;
}

/* Root's program may become another user and connect only then (setpriv, gosu,
 * su-exec). Nobody can list the directory: who connects was told its random name,
 * by root's environment. */
static int server_open_to_others(const struct server *s,
				 const struct reason *why)
{
	if (!s->others)
		return 0;
	if (chmod(s->directory, 0711) || chmod(s->path, 0666))
		return server_fail(why, -errno, "%s: %s", s->path,
				   strerror(errno));
	return 0;
}

static int server_listen(struct server *s, const struct reason *why)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const char *base = server_base();
	int error;

	snprintf(s->directory, sizeof(s->directory), "%s/vtoe-XXXXXX", base);
	if (!mkdtemp(s->directory)) {
		error = errno;
		*s->directory = '\0';
		return server_fail(why, -error, "%s: %s", base,
				   strerror(error));
	}
	snprintf(s->path, sizeof(s->path), "%s/stack.sock", s->directory);
	strcpy(a.sun_path, s->path);
	s->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC |
					       SOCK_NONBLOCK, 0);
	if (s->listen_fd < 0 ||
	    bind(s->listen_fd, (struct sockaddr *)&a, sizeof(a)) ||
	    chmod(s->path, 0600) || listen(s->listen_fd, BACKLOG)) {
		error = errno;
		return server_fail(why, -error, "%s: %s", s->path,
				   strerror(error));
	}
	return server_open_to_others(s, why);
}

static int server_open_wire(struct server *s, const char *device,
			    const struct reason *why)
{
	int error;

	s->wire = wire_tto_open(device, 4096, &error);
	if (error == -EOPNOTSUPP)
		return server_fail(why, error, "the device does not offer TTO: "
				   "set tto = yes for the guest in vtoed.conf");
	if (error)
		return server_fail(why, error, "no backend at %s: %s",
				   device ? device : "/run/vtoe",
				   strerror(-error));
	return 0;
}

static int server_make_page(struct server *s, const struct reason *why)
{
	const struct vtoe_device_page *from = wire_tto_page(s->wire);
	struct vtoe_device_page *p = &s->page;

	*p = *from;
	p->version_min = p->version_max = VTOE_VERSION_1;
	p->features = path_features(&s->own.device);
	p->control_entries = VTOE_CTL_ENTRIES;
	p->max_lanes = LANES;
	p->max_regions = s->own.device.limits.regions;
	p->max_inflight = s->own.device.limits.inflight;
	p->max_ring_entries = s->own.device.limits.ring_entries;
	p->max_streams = s->own.device.limits.peer_streams;
	p->status = VTOE_STATUS_STARTING;
	if (getrandom(&p->incarnation, sizeof(p->incarnation), 0) < 0)
		return server_fail(why, -errno, "random numbers: %s",
				   strerror(errno));
	return 0;
}

static int server_open_engine(struct server *s, bool threads,
			      const struct reason *why)
{
	const struct vtoe_device_page *from = wire_tto_page(s->wire);
	struct own_params p;
	int rc;

	own_params_init(&p);
	p.wire = s->wire;
	p.limits.threads = threads;
	if (getrandom(p.tcp.key, sizeof(p.tcp.key), 0) != sizeof(p.tcp.key))
		return server_fail(why, -EIO, "random numbers: %s",
				   strerror(errno));
	/* A peer that remembers a connection of the program before us (TIME-WAIT)
	 * takes one of ours between the same ports if its numbers are newer. So
	 * all programs of the device count from the same secret; it is theirs. */
	memcpy(p.tcp.isn_key, &from->incarnation, sizeof(from->incarnation));
	memcpy(p.tcp.isn_key + sizeof(from->incarnation), &from->incarnation,
	       sizeof(from->incarnation));
	rc = own_init(&s->own, &p, &s->stats);
	if (rc)
		return server_fail(why, rc,
				   "io_uring (Linux 6.1 or later is needed): %s",
				   strerror(-rc));
	s->own_open = true;
	return 0;
}

int server_open(struct server *s, const struct server_params *p, char *text,
		size_t room)
{
	const struct reason why = { text, room };
	int rc;

	memset(s, 0, sizeof(*s));
	s->listen_fd = s->lane_fd = s->hangup_fd = -1;
	s->looks = p->looks;
	s->others = p->others;
	rc = server_open_wire(s, p->device, &why);
	if (!rc)
		rc = server_open_engine(s, p->threads, &why);
	if (!rc)
		rc = server_make_page(s, &why);
	if (!rc)
		rc = server_listen(s, &why);
	return rc;
}

void server_hide(struct server *s)
{
	if (*s->path)
		unlink(s->path);
	if (*s->directory)
		rmdir(s->directory);
	*s->path = *s->directory = '\0';
}

static struct conn *server_conn(struct server *s)
{
	struct list *conns = &s->own.device.conns;

	return s->own_open && !list_empty(conns) ?
		       list_entry(conns->next, struct conn, node) : NULL;
}

static void server_free(struct server *s)
{
	if (s->listen_fd >= 0)
		close(s->listen_fd);
	if (s->own_open)
		own_free(&s->own);
}

void server_close(struct server *s)
{
	struct conn *c;

	server_hide(s);
	while ((c = server_conn(s)))
		conn_free(c);
	server_free(s);
	if (s->wire)
		wire_tto_close(s->wire);
}

/* Nothing is written to memory that the parent shares with anybody. */
void server_forget(struct server *s)
{
	struct conn *c;

	while ((c = server_conn(s))) {
		list_del(&c->node);
		region_table_free(&c->regions);
		port_link_close(&c->link);
		free(c);
	}
	server_free(s);
	wire_tto_forget(s->wire);
}

/* -- programs -------------------------------------------------------------- */

static void server_refuse(struct server *s)
{
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	local_peer_refuse(fd, -EUSERS);
	close(fd);
}

static int server_accept(struct server *s)
{
	const uint32_t uid = geteuid();
	const struct local_limits limits = {
		.memory = MEMORY,
		.lanes = LANES,
		.allow = &uid,
		.allow_count = s->others ? 0 : 1,
	};
	struct device *d = &s->own.device;
	struct port_link link;
	int rc;

	d->next_conn = d->next_conn % 65535 + 1;
	rc = local_peer_accept(&link, s->listen_fd, d->next_conn, &limits,
			       &s->page);
	if (rc)
		return rc;
	rc = local_peer_greet(&link);
	if (!rc && !conn_add(d, &link))
		rc = -ENOMEM;
	if (rc)
		port_link_close(&link);
	return 0;
}

static void server_accept_all(struct server *s)
{
	struct pollfd p = { .fd = s->listen_fd, .events = POLLIN };
	struct device *d = &s->own.device;
	int n, rc;

	s->deaf_us = 0;
	for (n = 0; n < BACKLOG && poll(&p, 1, 0) > 0; n++) {
		if (d->conn_count >= d->limits.peers) {
			server_refuse(s);
			continue;
		}
		rc = server_accept(s);
		if (rc == -EAGAIN)
			break;
		if (rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM) {
			/* it stays readable: look again in a while */
			s->deaf_us = d->now_us + DEAF_US;
			device_set_timer(d);
			return;
		}
	}
	device_watch(&s->own.device, s->listen_fd, SERVER_LISTENER);
}

/* The wire's descriptors change with its worker. */
static void server_watch_wire(struct server *s, unsigned events)
{
	int lane = wire_tto_lane_fd(s->wire);
	int hangup = wire_tto_hangup_fd(s->wire);

	if (events & (1u << SERVER_LANE | 1u << SERVER_HANGUP))
		wire_tto_woken(s->wire, events & 1u << SERVER_HANGUP);
	if (events & 1u << SERVER_LANE)
		s->lane_fd = -1;
	if (events & 1u << SERVER_HANGUP)
		s->hangup_fd = -1;
	if (lane >= 0 && s->lane_fd < 0 && !s->looks) {
		device_watch(&s->own.device, lane, SERVER_LANE);
		s->lane_fd = lane;
	}
	if (hangup >= 0 && s->hangup_fd < 0) {
		device_watch(&s->own.device, hangup, SERVER_HANGUP);
		s->hangup_fd = hangup;
	}
}

void server_events(struct server *s, unsigned events)
{
	server_watch_wire(s, events);
	if (events & 1u << SERVER_LISTENER || !s->listening ||
	    (s->deaf_us && s->own.device.now_us >= s->deaf_us)) {
		s->listening = true;
		server_accept_all(s);
	}
}
