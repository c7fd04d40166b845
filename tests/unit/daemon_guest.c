/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * daemon_guest - a guest's life with a worker that is this test: what the
 * supervisor tells it, that every breach of their protocol ends the worker and
 * nothing else, that queries end exactly once whatever happens, and how long
 * it waits before the next worker. Network, processes and groups are fakes.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <vtoe_device.h>

#include "daemon/endpoint.h"
#include "daemon/guest.h"
#include "daemon/log.h"
#include "daemon/xenbus.h"

static struct loop loop;
static struct cgroup_root no_cgroup;
static struct loop_timer pause_timer;
static int worker = -1; /* the worker's end */
static int ended;	/* stands for its pidfd */
static unsigned int started_workers, killed_workers;
static unsigned int started_calls, gone_calls;
static char started_error[256];

/* -- fakes ----------------------------------------------------------------- */

void vtoe_log(enum vtoe_log_level level, const char *format, ...)
{
	(void)level;
	(void)format;
}

void network_init(struct network *network)
{
	memset(network, 0, sizeof(*network));
	network->netns = -1;
}

int network_create(struct network *network, const struct config_guest *guest,
		   const char *run_dir, char *why)
{
	(void)run_dir;
	(void)why;
	memcpy(network->mac, guest->mac, 6);
	network->mtu = 1500;
	return 0;
}

int network_connect(const struct network *network, char *why)
{
	(void)network;
	(void)why;
	return 0;
}

void network_destroy(struct network *network)
{
	network_init(network);
}

static unsigned int open_steerings;
static unsigned int ended_steerings; /* ... and nothing left */
static char no_steering[64]; /* why there is none; "": there is */

void steering_init(struct steering *steering)
{
	memset(steering, 0, sizeof(*steering));
}

void steering_open(struct steering *steering, const struct network *network,
		   const struct config_guest *guest, const char *run_dir)
{
	(void)network;
	(void)run_dir;
	if (!guest->tto)
		return;
	strcpy(steering->why, no_steering);
	if (no_steering[0])
		return;
	steering->open = true;
	steering->steer.claims = eventfd(0, EFD_CLOEXEC);
	steering->steer.sockets = eventfd(0, EFD_CLOEXEC);
	steering->ifindex = 7;
	open_steerings++;
}

void steering_hand_over(struct steering *steering)
{
	if (!steering->open)
		return;
	close(steering->steer.claims);
	close(steering->steer.sockets);
	steering->open = false;
	open_steerings--;
}

void steering_close(struct steering *steering, const struct config_guest *guest,
		    const char *run_dir)
{
	(void)guest;
	(void)run_dir;
	ended_steerings += steering->open;
	steering_hand_over(steering);
}

void probe_init(struct probe *probe,
		void (*done)(struct probe *probe, const char *conflict))
{
	probe->done = done;
}

int probe_start(struct probe *probe, struct loop *on,
		const struct network *network)
{
	(void)probe;
	(void)on;
	(void)network;
	return -ENOTSUP;
}

void probe_stop(struct probe *probe)
{
	(void)probe;
}

int cgroup_create(const struct cgroup_root *root, const char *name)
{
	(void)root;
	(void)name;
	return -1;
}

void cgroup_remove(const struct cgroup_root *root, const char *name)
{
	(void)root;
	(void)name;
}

double cgroup_cpu_seconds(const struct cgroup_root *root, const char *name,
			  int pid)
{
	(void)root;
	(void)name;
	return pid;
}

struct xenbus_store *xenbus_store_open(char *why)
{
	snprintf(why, XENBUS_WHY_MAX, "no xenstore here");
	return NULL;
}

int endpoint_listen(const char *path, uint32_t mode, char *why, size_t size)
{
	(void)path;
	(void)mode;
	(void)why;
	(void)size;
	return eventfd(0, EFD_CLOEXEC);
}

int process_start(struct process *process, const char *name, int netns,
		  int cgroup)
{
	int pair[2];

	(void)name;
	(void)netns;
	(void)cgroup;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	process->pid = 4242;
	process->channel = pair[0];
	process->pidfd = eventfd(0, EFD_CLOEXEC);
	worker = pair[1];
	ended = process->pidfd;
	started_workers++;
	return 0;
}

/* The worker ends: by itself, or because it was killed. */
static void end_worker(void)
{
	if (worker < 0)
		return;
	close(worker);
	worker = -1;
	eventfd_write(ended, 1);
}

void process_kill(const struct process *process)
{
	if (!process->pid || worker < 0) /* it has ended already */
		return;
	killed_workers++;
	end_worker();
}

void process_reap(struct process *process, char *how, size_t size)
{
	snprintf(how, size, "ended");
	close(process->pidfd);
	close(process->channel);
	process->pid = 0;
}

/* -- the owner ------------------------------------------------------------- */

static void on_started(struct guest *guest, const char *error)
{
	(void)guest;
	started_calls++;
	snprintf(started_error, sizeof(started_error), "%s",
		 error ? error : "");
}

static void on_gone(struct guest *guest)
{
	gone_calls++;
	guest_free(guest);
}

static struct guest_host host = {
	.loop = &loop,
	.cgroup = &no_cgroup,
	.run_dir = "/nonexistent",
	.uid = 1001,
	.gid = 1002,
	.started = on_started,
	.gone = on_gone,
};

static void on_pause(struct loop_timer *timer)
{
	(void)timer;
	loop_stop(&loop);
}

/* Lets the supervisor's side run until it has nothing more to do. */
/* Twice: what the first has caused may be in the second, when the machine is so
 * busy that the pause was over at once. */
static void settle(void)
{
	for (int i = 0; i < 2; i++) {
		loop_timer_set(&loop, &pause_timer, 5);
		loop.stopped = false;
		assert_int_equal(loop_run(&loop), 0);
	}
}

static void expire(struct loop_timer *timer)
{
	assert_false(list_empty(&timer->link));
	loop_timer_set(&loop, timer, 0);
	settle();
}

static int setup(void **state)
{
	(void)state;
	started_workers = killed_workers = 0;
	started_calls = gone_calls = 0;
	loop_timer_init(&pause_timer, on_pause);
	return loop_init(&loop);
}

static int teardown(void **state)
{
	(void)state;
	loop_close(&loop);
	return 0;
}

static struct guest *attach_with(bool tto)
{
	struct config_guest config;
	struct config_error error;
	char why[GUEST_WHY_MAX];
	struct guest *guest;

	assert_int_equal(config_init_guest(&config, "g", &error), 0);
	assert_int_equal(config_set_guest(&config, "streams", "10", &error),
			 0);
	if (tto) {
		config.uplink = CONFIG_UPLINK_BRIDGE;
		config.tto = true;
		config.tto_hold_usec = 50;
		config.tto_segments = 7;
	}
	assert_int_equal(config_check_guest(&config, "/nonexistent", &error),
			 0);
	guest = guest_attach(&host, &config, VTOE_LOG_INFO, why);
	assert_non_null(guest);
	return guest;
}

static struct guest *attach(void)
{
	return attach_with(false);
}

static void say(uint32_t message)
{
	struct worker_header header = { message, 0 };

	assert_int_equal(send(worker, &header, sizeof(header), 0),
			 sizeof(header));
}

/* Takes the set-up, and is ready. */
static struct guest *attach_ready(void)
{
	struct guest *guest = attach();
	struct worker_setup set_up;

	assert_int_equal(recv(worker, &set_up, sizeof(set_up), 0),
			 sizeof(set_up));
	say(WORKER_READY);
	settle();
	assert_int_equal(guest->state, GUEST_RUNNING);
	return guest;
}

/* However it is now: to the end. */
static void detach(struct guest *guest)
{
	guest_stop(guest);
	settle();
	end_worker();
	settle();
	assert_int_equal(gone_calls, 1);
}

/* -- the tests ------------------------------------------------------------- */

/* What the descriptors are, and that there are so many. */
static void take_set_up(struct worker_setup *set_up,
			struct stat files[WORKER_SETUP_FDS])
{
	char control[CMSG_SPACE(8 * sizeof(int))];
	struct iovec iov = { set_up, sizeof(*set_up) };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int fds[WORKER_SETUP_FDS], i;
	struct cmsghdr *cmsg;

	assert_int_equal(recvmsg(worker, &message, 0), sizeof(*set_up));
	cmsg = CMSG_FIRSTHDR(&message);
	assert_non_null(cmsg);
	assert_int_equal(cmsg->cmsg_len, CMSG_LEN(sizeof(fds)));
	memcpy(fds, CMSG_DATA(cmsg), sizeof(fds));
	for (i = 0; i < WORKER_SETUP_FDS; i++) {
		assert_int_equal(fstat(fds[i], &files[i]), 0);
		close(fds[i]);
	}
}

static void test_set_up(void **state)
{
	struct stat files[WORKER_SETUP_FDS];
	struct worker_setup set_up;
	struct guest *guest = attach();

	(void)state;
	assert_int_equal(guest->state, GUEST_STARTING);
	take_set_up(&set_up, files);
	assert_true(S_ISCHR(files[3].st_mode)); /* /dev/null */
	assert_true(S_ISCHR(files[4].st_mode));
	assert_int_equal(set_up.tto_ifindex, 0);
	assert_int_equal(set_up.magic, WORKER_SETUP_MAGIC);
	assert_int_equal(set_up.version, WORKER_SETUP_VERSION);
	assert_string_equal(set_up.name, "g");
	assert_int_equal(set_up.uid, 1001);
	assert_int_equal(set_up.gid, 1002);
	assert_int_equal(set_up.mtu, 1500);
	assert_int_equal(set_up.link, VTOE_LINK_UP);
	assert_int_equal(set_up.max_streams, 10);
	assert_int_equal(started_calls, 0);
	say(WORKER_READY);
	settle();
	assert_int_equal(started_calls, 1);
	assert_string_equal(started_error, "");
	detach(guest);
}

static void test_failed(void **state)
{
	struct worker_failed failed = {
		.h.message = WORKER_FAILED,
		.error = EPERM,
	};
	struct guest *guest = attach();

	(void)state;
	/* Neither terminated nor fit for a terminal; and the set-up that it
	 * has not read makes its end a reset. */
	memset(failed.what, '\033', sizeof(failed.what));
	memcpy(failed.what, "io_uring", 8);
	send(worker, &failed, sizeof(failed), 0);
	end_worker();
	settle();
	assert_int_equal(started_calls, 1);
	assert_non_null(strstr(started_error, "io_uring"));
	assert_non_null(strstr(started_error, "not permitted"));
	assert_null(strchr(started_error, '\033'));
	assert_int_equal(started_workers, 1);
	guest_stop(guest);
	assert_int_equal(gone_calls, 1);
}

/* One packet of each kind that a running worker may not send. */
static void test_breaches(void **state)
{
	static const struct {
		uint32_t message;
		size_t bytes;
	} breaches[] = {
		{ 0, 8 },
		{ 0xffffffff, 8 },
		{ WORKER_READY, 8 }, /* a second time */
		{ WORKER_READY, 4 },
		{ WORKER_END, 8 }, /* of nothing */
		{ WORKER_END, 9 },
		{ WORKER_FAILED, sizeof(struct worker_failed) },
		{ WORKER_NO_TTO, sizeof(struct worker_failed) },
		{ WORKER_SOCKET, sizeof(struct worker_socket) },
		{ WORKER_SOCKET, sizeof(struct worker_socket) - 1 },
		{ WORKER_PEER, sizeof(struct worker_peer) },
		{ WORKER_PEER, 4096 },
		{ WORKER_FLOW, sizeof(struct worker_flow) },
		{ WORKER_FLOW, sizeof(struct worker_flow) + 1 },
		{ WORKER_REASON, sizeof(struct worker_reason) },
		{ WORKER_REASON, sizeof(struct worker_header) },
		{ WORKER_REFUSED, sizeof(struct worker_failed) },
		{ WORKER_REFUSED, sizeof(struct worker_header) },
		{ WORKER_LEAVE, 8 },
		{ WORKER_QUERY_PEERS, 8 },
	};
	char packet[4096] = { 0 };
	struct guest *guest;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(breaches) / sizeof(breaches[0]); i++) {
		killed_workers = gone_calls = 0;
		guest = attach_ready();
		memcpy(packet, &breaches[i].message, 4);
		send(worker, packet, breaches[i].bytes, 0);
		settle();
		assert_int_equal(killed_workers, 1);
		/* Its successor has begun, as every worker does. */
		assert_int_equal(guest->restarts, 1);
		assert_int_equal(guest->state, GUEST_STARTING);
		detach(guest);
	}
}

static void ready_with(uint32_t offers)
{
	struct worker_header header = { WORKER_READY, offers };

	send(worker, &header, sizeof(header), 0);
	settle();
}

/* The steering is there from attach to gone, whatever becomes of workers. */
static void test_tto(void **state)
{
	struct guest *guest = attach_with(true), *other;
	struct stat files[WORKER_SETUP_FDS];
	struct worker_setup set_up;

	(void)state;
	take_set_up(&set_up, files);
	assert_false(S_ISCHR(files[3].st_mode));
	assert_false(S_ISCHR(files[4].st_mode));
	assert_int_equal(set_up.tto_ifindex, 7);
	assert_int_equal(set_up.tto_hold_usec, 50);
	assert_int_equal(set_up.tto_segments, 7);
	assert_false(guest->tto);
	ready_with(WORKER_OFFERS_TTO);
	assert_true(guest->tto);
	assert_string_equal(guest_tto_failure(guest), "");
	end_worker();
	settle();
	assert_int_equal(guest->state, GUEST_STARTING);
	assert_false(guest->tto);
	assert_int_equal(open_steerings, 1);
	take_set_up(&set_up, files);
	assert_int_equal(set_up.tto_ifindex, 7);
	ready_with(WORKER_OFFERS_TTO);
	assert_true(guest->tto);
	ended_steerings = 0;
	detach(guest);
	assert_int_equal(open_steerings, 0);
	assert_int_equal(ended_steerings, 1);

	/* A supervisor that hands over keeps nothing, and ends nothing. */
	gone_calls = 0;
	guest = attach_with(true);
	ready_with(WORKER_OFFERS_TTO);
	host.hands_over = true;
	detach(guest);
	host.hands_over = false;
	assert_int_equal(open_steerings, 0);
	assert_int_equal(ended_steerings, 1);

	/* One that did not ask for it cannot offer it. */
	gone_calls = 0;
	other = attach();
	ready_with(WORKER_OFFERS_TTO);
	assert_false(other->tto);
	detach(other);
}

/* Neither the supervisor's failure nor the worker's is the guest's end. */
static void test_no_tto(void **state)
{
	struct worker_failed failed = {
		.h.message = WORKER_NO_TTO,
		.error = ENOBUFS,
		.what = "ring\033",
	};
	struct guest *guest;

	(void)state;
	strcpy(no_steering, "no BPF");
	guest = attach_with(true);
	strcpy(no_steering, "");
	ready_with(0);
	assert_int_equal(guest->state, GUEST_RUNNING);
	assert_string_equal(guest_tto_failure(guest), "no BPF");
	detach(guest);

	gone_calls = 0;
	guest = attach_with(true);
	send(worker, &failed, sizeof(failed), 0);
	ready_with(0);
	assert_int_equal(guest->state, GUEST_RUNNING);
	assert_false(guest->tto);
	assert_non_null(strstr(guest_tto_failure(guest), "ring?: No buffer"));
	assert_string_equal(guest->failure, "");
	assert_int_equal(killed_workers, 0);
	/* It may say so only before it is ready. */
	send(worker, &failed, sizeof(failed), 0);
	settle();
	assert_int_equal(killed_workers, 1);
	assert_string_equal(guest_tto_failure(guest), "");
	detach(guest);
	assert_int_equal(open_steerings, 0);
}

static void test_hang_up(void **state)
{
	struct guest *guest = attach_ready();

	(void)state;
	shutdown(worker, SHUT_WR); /* it lives on, but says nothing more */
	settle();
	assert_int_equal(killed_workers, 1);
	assert_int_equal(guest->state, GUEST_STARTING);
	detach(guest);
}

struct asked {
	struct guest_query query;
	unsigned int answers, dones;
	char error[64];
	struct worker_socket last;
	struct worker_flow last_flow;
	struct worker_reason last_reason;
};

static void on_answer(struct guest_query *query,
		      const struct worker_header *packet)
{
	struct asked *asked = list_entry(query, struct asked, query);

	asked->answers++;
	if (packet->message == WORKER_SOCKET)
		memcpy(&asked->last, packet, sizeof(asked->last));
	else if (packet->message == WORKER_FLOW)
		memcpy(&asked->last_flow, packet, sizeof(asked->last_flow));
	else if (packet->message == WORKER_REASON)
		memcpy(&asked->last_reason, packet,
		       sizeof(asked->last_reason));
}

static void on_done(struct guest_query *query, const char *error)
{
	struct asked *asked = list_entry(query, struct asked, query);

	asked->dones++;
	snprintf(asked->error, sizeof(asked->error), "%s", error ? error : "");
}

static void ask(struct guest *guest, struct asked *asked)
{
	memset(asked, 0, sizeof(*asked));
	asked->query.answer = on_answer;
	asked->query.done = on_done;
	guest_ask(guest, WORKER_QUERY_SOCKETS, 0, &asked->query);
}

static void answer(uint32_t stream)
{
	struct worker_socket packet = {
		.h.message = WORKER_SOCKET,
		.stream = stream,
	};

	memset(packet.program, 'p', sizeof(packet.program));
	packet.program[3] = '\033';
	memset(packet.state, 's', sizeof(packet.state));
	send(worker, &packet, sizeof(packet), 0);
}

static void test_answers(void **state)
{
	struct guest *guest = attach_ready();
	struct asked first, second;

	(void)state;
	ask(guest, &first);
	ask(guest, &second);
	answer(1);
	answer(2);
	say(WORKER_END);
	answer(3);
	settle();
	assert_int_equal(first.answers, 2);
	assert_int_equal(first.dones, 1);
	assert_string_equal(first.error, "");
	assert_int_equal(second.answers, 1);
	assert_int_equal(second.dones, 0);
	assert_int_equal(second.last.stream, 3);
	assert_int_equal(strlen(second.last.program), 31);
	assert_int_equal(second.last.program[3], '?');
	assert_int_equal(strlen(second.last.state), 15);
	say(WORKER_END);
	settle();
	assert_int_equal(second.dones, 1);
	assert_int_equal(killed_workers, 0);
	detach(guest);
}

static void test_flows(void **state)
{
	struct worker_flow flow = {
		.h.message = WORKER_FLOW,
		.claim = 9,
		.rx_bytes = UINT64_MAX,
	};
	struct worker_reason reason = {
		.h.message = WORKER_REASON,
		.ended = 3,
	};
	struct guest *guest = attach_ready();
	struct asked asked;

	(void)state;
	ask(guest, &asked);
	memset(flow.program, '\n', sizeof(flow.program));
	memset(reason.name, '\033', sizeof(reason.name));
	send(worker, &flow, sizeof(flow), 0);
	send(worker, &reason, sizeof(reason), 0);
	say(WORKER_END);
	settle();
	assert_int_equal(asked.answers, 2);
	assert_int_equal(asked.dones, 1);
	assert_int_equal(asked.last_flow.claim, 9);
	assert_true(asked.last_flow.rx_bytes == UINT64_MAX);
	assert_int_equal(strlen(asked.last_flow.program), 31);
	assert_null(strchr(asked.last_flow.program, '\n'));
	assert_int_equal(asked.last_reason.ended, 3);
	assert_int_equal(strlen(asked.last_reason.name), 31);
	assert_null(strchr(asked.last_reason.name, '\033'));
	assert_int_equal(killed_workers, 0);
	detach(guest);
}

/* The question, and the one descriptor that is with it. */
static int take_capture(struct worker_capture *question)
{
	char control[CMSG_SPACE(4 * sizeof(int))];
	struct iovec iov = { question, sizeof(*question) };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;
	int fd;

	assert_int_equal(recvmsg(worker, &message, 0), sizeof(*question));
	cmsg = CMSG_FIRSTHDR(&message);
	assert_non_null(cmsg);
	assert_int_equal(cmsg->cmsg_len, CMSG_LEN(sizeof(fd)));
	memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	return fd;
}

static void test_capture(void **state)
{
	struct worker_capture question = {
		.h.message = WORKER_CAPTURE, .claim = 7, .snap = 128,
	}, taken;
	struct worker_failed refused = {
		.h.message = WORKER_REFUSED, .error = EBUSY,
	};
	struct guest *guest = attach_ready();
	struct asked asked = { .query = { .answer = on_answer,
					  .done = on_done } };
	int ours = eventfd(0, EFD_CLOEXEC), theirs;
	uint64_t n = 4711;

	(void)state;
	guest_ask_capture(guest, &question, ours, &asked.query);
	theirs = take_capture(&taken);
	assert_memory_equal(&taken, &question, sizeof(taken));
	assert_int_equal(write(theirs, &n, sizeof(n)), sizeof(n));
	n = 0;
	assert_int_equal(read(ours, &n, sizeof(n)), sizeof(n)); /* the same */
	assert_int_equal(n, 4711);
	close(theirs);
	close(ours);
	send(worker, &refused, sizeof(refused), 0);
	say(WORKER_END);
	settle();
	assert_int_equal(asked.answers, 1);
	assert_int_equal(asked.dones, 1);
	assert_string_equal(asked.error, "");
	assert_int_equal(killed_workers, 0);
	detach(guest);
}

static void test_endless_answer(void **state)
{
	struct guest *guest = attach_ready();
	struct asked asked;
	int i;

	(void)state;
	ask(guest, &asked);
	for (i = 0; i < 10000 && !killed_workers; i++) {
		answer(1);
		if (i % 64 == 0)
			settle();
	}
	assert_int_equal(killed_workers, 1);
	assert_int_equal(asked.dones, 1);
	assert_string_not_equal(asked.error, "");
	detach(guest);
}

/* A late answer is not taken for that to a later question. */
static void test_late_answer(void **state)
{
	struct guest *guest = attach_ready();
	struct asked late, next;

	(void)state;
	ask(guest, &late);
	expire(&guest->query_timer);
	assert_int_equal(late.dones, 1);
	assert_non_null(strstr(late.error, "does not answer"));
	ask(guest, &next);
	answer(1);
	say(WORKER_END);
	settle();
	assert_int_equal(late.answers, 0);
	assert_int_equal(late.dones, 1);
	assert_int_equal(next.answers, 0);
	assert_int_equal(next.dones, 0);
	answer(2);
	say(WORKER_END);
	settle();
	assert_int_equal(next.last.stream, 2);
	assert_int_equal(next.dones, 1);
	assert_string_equal(next.error, "");
	detach(guest);
}

static void test_end_with_questions(void **state)
{
	struct guest *guest = attach_ready();
	struct asked first, second, none;

	(void)state;
	ask(guest, &first);
	ask(guest, &second);
	end_worker();
	settle();
	assert_int_equal(first.dones, 1);
	assert_int_equal(second.dones, 1);
	assert_string_not_equal(second.error, "");
	assert_int_equal(guest->state, GUEST_STARTING);
	ask(guest, &none);
	assert_int_equal(none.dones, 1);
	assert_non_null(strstr(none.error, "not running"));
	detach(guest);
}

/* The first end is followed at once, then pauses double up to five seconds. */
static void test_pauses(void **state)
{
	static const unsigned int wanted[] = { 0, 100, 200, 400, 800, 1600,
					       3200, 5000, 5000 };
	struct guest *guest = attach_ready();
	uint64_t now, pause;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		end_worker();
		now = loop_now();
		settle();
		assert_int_equal(guest->restarts, i + 1);
		if (!wanted[i]) {
			assert_int_equal(guest->state, GUEST_STARTING);
			continue;
		}
		assert_int_equal(guest->state, GUEST_WAITING);
		pause = guest->timer.at - now;
		assert_in_range(pause, wanted[i], wanted[i] + 50);
		expire(&guest->timer);
		assert_int_equal(guest->state, GUEST_STARTING);
	}
	/* One that lived long enough begins the row anew. */
	guest->started_at -= 20000;
	end_worker();
	settle();
	assert_int_equal(guest->state, GUEST_STARTING);
	detach(guest);
}

static void test_leave(void **state)
{
	struct guest *guest = attach_ready();
	struct worker_header header;

	(void)state;
	guest_stop(guest);
	guest_stop(guest); /* again: no difference */
	assert_int_equal(recv(worker, &header, sizeof(header), 0),
			 sizeof(header));
	assert_int_equal(header.message, WORKER_LEAVE);
	settle();
	assert_int_equal(gone_calls, 0);
	end_worker();
	settle();
	assert_int_equal(gone_calls, 1);
	assert_int_equal(killed_workers, 0);

	/* One that does not leave is killed. */
	gone_calls = 0;
	guest = attach_ready();
	guest_stop(guest);
	expire(&guest->timer);
	assert_int_equal(killed_workers, 1);
	assert_int_equal(gone_calls, 1);
}

static void test_never_ready(void **state)
{
	struct guest *guest = attach();

	(void)state;
	expire(&guest->timer);
	assert_int_equal(killed_workers, 1);
	assert_int_equal(started_calls, 1);
	assert_non_null(strstr(started_error, "not ready in time"));
	guest_stop(guest);
	assert_int_equal(gone_calls, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_set_up),
		TEST(test_failed),
		TEST(test_breaches),
		TEST(test_tto),
		TEST(test_no_tto),
		TEST(test_hang_up),
		TEST(test_answers),
		TEST(test_flows),
		TEST(test_capture),
		TEST(test_endless_answer),
		TEST(test_late_answer),
		TEST(test_end_with_questions),
		TEST(test_pauses),
		TEST(test_leave),
		TEST(test_never_ready),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
