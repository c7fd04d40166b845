/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guest_worker.c - the conversation with a worker (setup.h)
 *
 * A worker may have been taken over by its guest. So every packet is checked
 * for its length, its place in the conversation and the texts in it, and a
 * worker that breaks a rule is killed; its successor starts clean. It can make
 * the supervisor wait for nothing: sending never blocks, at most a few packets
 * are read in a turn, and queries that it does not answer in time are given up.
 * Nor can it fill our memory: an answer has no more packets than a guest can
 * have sockets or claims, applications, and remembered fall-backs or reasons.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/guest.h"
#include "daemon/guest_xen.h"

#define READY_MS 15000
#define ANSWER_MS 3000
#define PACKETS_PER_TURN 64
#define FALLBACKS_MAX 4096

union guest_packet {
	struct worker_header h;
	struct worker_failed failed;
	struct worker_socket socket;
	struct worker_peer peer;
	struct worker_flow flow;
	struct worker_reason reason;
};

/* A memory for the worker's counters: its size is sealed, as a mapping of a
 * file that shrinks would kill us. */
static int guest_make_stats(struct guest *guest)
{
	void *map;
	int fd;

	fd = memfd_create("vtoe-stats", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -1;
	if (ftruncate(fd, VTOE_STATS_BYTES) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		goto fail;
	map = mmap(NULL, VTOE_STATS_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		goto fail;
	if (guest->stats)
		munmap((void *)guest->stats, VTOE_STATS_BYTES);
	guest->stats = map;
	return fd;
fail:
	close(fd);
	return -1;
}

static void guest_fill_setup(const struct guest *guest,
			     struct worker_setup *setup)
{
	const struct config_guest *config = &guest->config;
	const struct network *network = &guest->network;

	memset(setup, 0, sizeof(*setup));
	setup->magic = WORKER_SETUP_MAGIC;
	setup->version = WORKER_SETUP_VERSION;
	strcpy(setup->name, config->name);
	memcpy(setup->mac, network->mac, sizeof(setup->mac));
	setup->mtu = (uint16_t)(network->mtu > 65535 ? 65535 : network->mtu);
	memcpy(setup->ipv4, network->address4.ip, sizeof(setup->ipv4));
	setup->ipv4_prefix = network->address4.length;
	memcpy(setup->ipv6, network->address6.ip, sizeof(setup->ipv6));
	setup->ipv6_prefix = network->address6.length;
	setup->link = guest->link_state;
	setup->uid = guest->host->uid;
	setup->gid = guest->host->gid;
	setup->log_level = guest->log_level;
	setup->max_peers = config->peers;
	setup->max_lanes = config->lanes;
	setup->max_streams = config->streams;
	setup->max_peer_streams = config->peer_streams;
	setup->max_regions = config->regions;
	setup->peer_memory = config->peer_memory;
	setup->total_memory = config->total_memory;
	setup->spin_usec = config->spin_usec;
	setup->zerocopy_min = config->zerocopy_min;
	setup->credit = config->credit;
	setup->tto_hold_usec = config->tto_hold_usec;
	setup->tto_segments = config->tto_segments;
	setup->tto_push_joins = config->tto_push != CONFIG_PUSH_END;
	setup->tto_acks_join = !config->tto_acks_alone;
	if (guest->steering.open)
		setup->tto_ifindex = guest->steering.ifindex;
	setup->allow_count = config->allow_count;
	memcpy(setup->allow_uid, config->allow_uid, sizeof(setup->allow_uid));
	if (!guest->xen)
		return;
	setup->port = WORKER_PORT_XEN;
	setup->xen_domid = guest->xen->device.domid;
	setup->xen_ring_ref = guest->xen->device.ring_ref;
	setup->xen_event_channel = guest->xen->device.event_channel;
}

static int guest_send_setup(struct guest *guest, int stats, int null)
{
	union {
		char bytes[CMSG_SPACE(WORKER_SETUP_FDS * sizeof(int))];
		struct cmsghdr align;
	} control = { .bytes = { 0 } };
	int listener = guest->listener >= 0 ? guest->listener : null;
	bool steered = guest->steering.open;
	int descriptors[WORKER_SETUP_FDS] = {
		listener, stats, null,
		steered ? guest->steering.steer.claims : null,
		steered ? guest->steering.steer.sockets : null,
	};
	struct worker_setup setup;
	struct iovec iov = { &setup, sizeof(setup) };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);

	guest_fill_setup(guest, &setup);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(descriptors));
	memcpy(CMSG_DATA(cmsg), descriptors, sizeof(descriptors));
	if (sendmsg(guest->process.channel, &message, MSG_NOSIGNAL) < 0)
		return -1;
	return 0;
}

static int guest_start_process(struct guest *guest)
{
	int cgroup;
	int error;

	cgroup = cgroup_create(guest->host->cgroup, guest->config.name);
	error = process_start(&guest->process, guest->config.name,
			      guest->network.netns, cgroup);
	if (cgroup >= 0)
		close(cgroup);
	return error;
}

static int guest_watch_worker(struct guest *guest)
{
	struct loop *loop = guest->host->loop;
	int flags = fcntl(guest->process.channel, F_GETFL);

	if (flags < 0 || fcntl(guest->process.channel, F_SETFL,
			       flags | O_NONBLOCK))
		return -1;
	guest->ended.ready = guest_on_ended;
	guest->channel.ready = guest_on_channel;
	if (loop_add(loop, &guest->ended, guest->process.pidfd, EPOLLIN))
		return -1;
	if (!loop_add(loop, &guest->channel, guest->process.channel, EPOLLIN))
		return 0;
	loop_remove(loop, &guest->ended);
	return -1;
}

/* On failure no process is left. */
int guest_start_worker(struct guest *guest, char *why)
{
	const char *step = "making its counters";
	int stats, null = -1;
	char how[160];
	int error;

	guest->stale_queries = 0;
	guest->failure[0] = '\0';
	guest->tto = false;
	guest->tto_failure[0] = '\0';
	stats = guest_make_stats(guest);
	if (stats < 0)
		goto fail;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		goto fail;
	step = "starting its worker";
	error = guest_start_process(guest);
	if (error) {
		errno = -error;
		goto fail;
	}
	step = "setting its worker up";
	if (guest_send_setup(guest, stats, null) || guest_watch_worker(guest)) {
		error = errno;
		process_kill(&guest->process);
		process_reap(&guest->process, how, sizeof(how));
		errno = error;
		goto fail;
	}
	close(null);
	close(stats);
	guest->state = GUEST_STARTING;
	guest->started_at = loop_now();
	loop_timer_set(guest->host->loop, &guest->timer, READY_MS);
	return 0;
fail:
	snprintf(why, GUEST_WHY_MAX, "%s: %s", step, strerror(errno));
	if (null >= 0)
		close(null);
	if (stats >= 0)
		close(stats);
	return -1;
}

static void guest_end_query(struct guest *guest, const char *error)
{
	struct guest_query *query;

	query = list_entry(guest->queries.next, struct guest_query, link);
	list_del(&query->link);
	loop_timer_clear(&guest->query_timer);
	if (!list_empty(&guest->queries))
		loop_timer_set(guest->host->loop, &guest->query_timer,
			       ANSWER_MS);
	query->done(query, error);
}

void guest_fail_queries(struct guest *guest, const char *error)
{
	while (!list_empty(&guest->queries))
		guest_end_query(guest, error);
}

void guest_on_query_timer(struct loop_timer *timer)
{
	struct guest *guest = list_entry(timer, struct guest, query_timer);

	if (list_empty(&guest->queries))
		return;
	guest->stale_queries++;
	guest_end_query(guest, "the worker does not answer");
}

/* To a worker that runs: without waiting. @fd: -1, or goes with it. */
static int guest_send(struct guest *guest, const void *packet, size_t bytes,
		      int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { .bytes = { 0 } };
	struct iovec iov = { (void *)(uintptr_t)packet, bytes };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
	}
	return sendmsg(guest->process.channel, &message,
		       MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -1 : 0;
}

static void guest_ask_with(struct guest *guest, const void *question,
			   size_t bytes, int fd, struct guest_query *query)
{
	bool first = list_empty(&guest->queries);

	list_init(&query->link);
	query->answers = 0;
	if (guest->state != GUEST_RUNNING) {
		query->done(query, "the worker is not running");
		return;
	}
	if (guest_send(guest, question, bytes, fd)) {
		query->done(query, "the worker does not listen");
		return;
	}
	list_add_tail(&guest->queries, &query->link);
	if (first)
		loop_timer_set(guest->host->loop, &guest->query_timer,
			       ANSWER_MS);
}

void guest_ask(struct guest *guest, uint32_t message, uint32_t value,
	       struct guest_query *query)
{
	struct worker_header header = { message, value };

	guest_ask_with(guest, &header, sizeof(header), -1, query);
}

void guest_ask_capture(struct guest *guest,
		       const struct worker_capture *question, int socket,
		       struct guest_query *query)
{
	guest_ask_with(guest, question, sizeof(*question), socket, query);
}

/* A text of a worker: terminated, and printable on anybody's terminal. */
static void guest_clean_text(char *text, size_t size)
{
	size_t i;

	text[size - 1] = '\0';
	for (i = 0; text[i]; i++)
		if (text[i] < ' ' || text[i] > '~')
			text[i] = '?';
}

static size_t guest_packet_size(const union guest_packet *packet)
{
	switch (packet->h.message) {
	case WORKER_READY:
	case WORKER_END:
		return sizeof(packet->h);
	case WORKER_FAILED:
	case WORKER_NO_TTO:
	case WORKER_REFUSED:
		return sizeof(packet->failed);
	case WORKER_SOCKET:
		return sizeof(packet->socket);
	case WORKER_PEER:
		return sizeof(packet->peer);
	case WORKER_FLOW:
		return sizeof(packet->flow);
	case WORKER_REASON:
		return sizeof(packet->reason);
	}
	return 0;
}

static void guest_clean_answer(union guest_packet *packet)
{
	switch (packet->h.message) {
	case WORKER_REFUSED:
		guest_clean_text(packet->failed.what,
				 sizeof(packet->failed.what));
		break;
	case WORKER_SOCKET:
		guest_clean_text(packet->socket.program,
				 sizeof(packet->socket.program));
		guest_clean_text(packet->socket.state,
				 sizeof(packet->socket.state));
		break;
	case WORKER_PEER:
		guest_clean_text(packet->peer.program,
				 sizeof(packet->peer.program));
		break;
	case WORKER_FLOW:
		guest_clean_text(packet->flow.program,
				 sizeof(packet->flow.program));
		break;
	case WORKER_REASON:
		guest_clean_text(packet->reason.name,
				 sizeof(packet->reason.name));
		break;
	}
}

static int guest_take_answer(struct guest *guest, union guest_packet *packet)
{
	struct guest_query *query;

	guest_clean_answer(packet);
	/* Answers come in order, so those to given-up queries come first. */
	if (guest->stale_queries) {
		if (packet->h.message == WORKER_END)
			guest->stale_queries--;
		return 0;
	}
	if (list_empty(&guest->queries))
		return -1;
	if (packet->h.message == WORKER_END) {
		guest_end_query(guest, NULL);
		return 0;
	}
	query = list_entry(guest->queries.next, struct guest_query, link);
	if (query->answers++ > guest->config.streams + guest->config.peers +
	    FALLBACKS_MAX)
		return -1;
	/* As long as answers come, it does answer. */
	loop_timer_set(guest->host->loop, &guest->query_timer, ANSWER_MS);
	query->answer(query, &packet->h);
	return 0;
}

/* What could not be done, and why, as the worker says. */
static void guest_take_failure(char why[GUEST_WHY_MAX], const char *begin,
			       struct worker_failed *failed)
{
	int error = failed->error < 0 ? -failed->error : failed->error;

	guest_clean_text(failed->what, sizeof(failed->what));
	snprintf(why, GUEST_WHY_MAX, "%s%s%s%s", begin, failed->what,
		 error ? ": " : "", error ? strerror(error) : "");
}

/* -1: the worker broke the protocol. */
static int guest_take_packet(struct guest *guest, union guest_packet *packet,
			     size_t length)
{
	if (length < sizeof(packet->h) ||
	    length != guest_packet_size(packet))
		return -1;
	switch (packet->h.message) {
	case WORKER_READY:
		if (guest->state == GUEST_LEAVING)
			return 0;
		if (guest->state != GUEST_STARTING)
			return -1;
		guest->tto = guest->steering.open &&
			     packet->h.value & WORKER_OFFERS_TTO;
		guest_on_ready(guest);
		return 0;
	case WORKER_FAILED:
		if (guest->state != GUEST_STARTING &&
		    guest->state != GUEST_LEAVING)
			return -1;
		guest_take_failure(guest->failure,
				   "its worker could not start: ",
				   &packet->failed);
		return 0;
	case WORKER_NO_TTO:
		if (!guest->steering.open ||
		    (guest->state != GUEST_STARTING &&
		     guest->state != GUEST_LEAVING))
			return -1;
		guest_take_failure(guest->tto_failure, "", &packet->failed);
		return 0;
	default:
		return guest_take_answer(guest, packet);
	}
}

void guest_on_channel(struct loop_watch *watch, uint32_t events)
{
	struct guest *guest = list_entry(watch, struct guest, channel);
	union guest_packet packet;
	ssize_t n = 0;
	int i;

	(void)events;
	for (i = 0; i < PACKETS_PER_TURN; i++) {
		memset(&packet, 0, sizeof(packet));
		n = recv(watch->fd, &packet, sizeof(packet), MSG_TRUNC);
		/* It ended with packets of ours unread; its last words are
		 * still there. */
		if (n < 0 && errno == ECONNRESET)
			continue;
		if (n <= 0)
			break;
		if (!guest_take_packet(guest, &packet, (size_t)n))
			continue;
		snprintf(guest->failure, sizeof(guest->failure),
			 "its worker sent a message that it may not send");
		process_kill(&guest->process);
		loop_remove(guest->host->loop, watch);
		return;
	}
	if (i == PACKETS_PER_TURN || (n < 0 && errno == EAGAIN))
		return;
	/* Hung up: the worker is ending, or has closed what it lives by. (One
	 * that is ending already keeps its own exit status.) */
	loop_remove(guest->host->loop, watch);
	if (guest->state != GUEST_LEAVING)
		process_kill(&guest->process);
}
