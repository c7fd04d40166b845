/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * daemon_guest_xen - a guest that is a Xen domain: when its device is offered,
 * when its worker starts and with what, and what follows when the worker, the
 * driver or the domain goes. xenstore, processes and network are fakes; the
 * guest's driver is this test.
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
#include <unistd.h>

#include <cmocka.h>

#include "daemon/endpoint.h"
#include "daemon/guest_xen.h"
#include "daemon/log.h"

static struct loop loop;
static struct cgroup_root no_cgroup;
static struct loop_timer pause_timer;
static int worker = -1, ended = -1;
static unsigned int started_workers, killed_workers, gone_calls, started_calls;

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

void steering_init(struct steering *steering)
{
	memset(steering, 0, sizeof(*steering));
}

void steering_open(struct steering *steering, const struct network *network,
		   const struct config_guest *guest, const char *run_dir)
{
	(void)steering;
	(void)network;
	(void)guest;
	(void)run_dir;
}

void steering_hand_over(struct steering *steering)
{
	(void)steering;
}

void steering_close(struct steering *steering, const struct config_guest *guest,
		    const char *run_dir)
{
	(void)steering;
	(void)guest;
	(void)run_dir;
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

int endpoint_listen(const char *path, uint32_t mode, char *why, size_t size)
{
	(void)path;
	(void)mode;
	(void)why;
	(void)size;
	fail(); /* a Xen guest has no socket */
	return -1;
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
	if (!process->pid || worker < 0)
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

/* -- xenstore: the few nodes that matter, and the domains ------------------ */

static char back_state[16], front_state[16], ring_ref[16];
static uint32_t domain; /* that is called "db"; 0: none */
static char events[8][XENBUS_TOKEN_MAX];
static unsigned int event_count, publishes, open_stores;
static bool small_grant_table;
static struct xenbus_needs asked; /* of check_limits, last */
static int store_fd = -1;

static void fire(const char *token)
{
	assert_true(event_count < 8);
	strcpy(events[event_count++], token);
	eventfd_write(store_fd, 1);
}

static const char *last(const char *path)
{
	return strrchr(path, '/') + 1;
}

static int fake_read(struct xenbus_store *store, const char *path, char *value,
		     size_t size)
{
	const char *key = last(path), *text = "";

	(void)store;
	if (!strcmp(key, "state"))
		text = strstr(path, "backend") ? back_state : front_state;
	else if (!strcmp(key, "ring-ref"))
		text = ring_ref;
	else if (!strcmp(key, "event-channel"))
		text = "33";
	else if (!strcmp(key, "version"))
		text = "1";
	if (!*text)
		return -ENOENT;
	snprintf(value, size, "%s", text);
	return (int)strlen(text);
}

static int fake_write(struct xenbus_store *store, const char *path,
		      const char *value)
{
	(void)store;
	if (!strcmp(last(path), "state"))
		snprintf(back_state, sizeof(back_state), "%s", value);
	return 0;
}

static int fake_publish(struct xenbus_store *store, const char *const *remove,
			const struct xenbus_node *nodes, size_t count)
{
	size_t i;

	(void)store;
	publishes++;
	if (remove)
		back_state[0] = front_state[0] = '\0';
	for (i = 0; i < count; i++) {
		if (strcmp(last(nodes[i].path), "state"))
			continue;
		strcpy(strstr(nodes[i].path, "backend") ? back_state :
							  front_state,
		       nodes[i].value);
	}
	return 0;
}

static int fake_watch(struct xenbus_store *store, const char *path,
		      const char *token)
{
	(void)store;
	(void)path;
	assert_string_equal(token, "g");
	return 0;
}

static void fake_unwatch(struct xenbus_store *store, const char *path,
			 const char *token)
{
	(void)store;
	(void)path;
	(void)token;
}

static int fake_next(struct xenbus_store *store, char *token, size_t size)
{
	eventfd_t n;

	if (!event_count) {
		eventfd_read(store->fd, &n);
		return 0;
	}
	snprintf(token, size, "%s", events[--event_count]);
	return 1;
}

static bool fake_exists(struct xenbus_store *store, uint32_t domid)
{
	(void)store;
	return domid == domain;
}

static int fake_find(struct xenbus_store *store, const char *name,
		     uint32_t *domid)
{
	(void)store;
	*domid = domain;
	return domain && !strcmp(name, "db") ? 0 : -ENOENT;
}

static int fake_check_limits(struct xenbus_store *store, uint32_t domid,
			     const struct xenbus_needs *needs, char *why)
{
	(void)store;
	(void)domid;
	asked = *needs;
	snprintf(why, XENBUS_WHY_MAX, "%u pages: set max_grant_frames",
		 needs->connection);
	return small_grant_table ? -1 : 0;
}

static void fake_close(struct xenbus_store *store)
{
	close(store->fd);
	open_stores--;
}

static const struct xenbus_ops fake_ops = {
	.read = fake_read,
	.write = fake_write,
	.publish = fake_publish,
	.watch = fake_watch,
	.unwatch = fake_unwatch,
	.next = fake_next,
	.exists = fake_exists,
	.find = fake_find,
	.check_limits = fake_check_limits,
	.close = fake_close,
};

static struct xenbus_store fake = { .ops = &fake_ops };

struct xenbus_store *xenbus_store_open(char *why)
{
	(void)why;
	open_stores++;
	store_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fake.fd = store_fd;
	return &fake;
}

/* -- the owner ------------------------------------------------------------- */

static void on_started(struct guest *guest, const char *error)
{
	(void)guest;
	assert_null(error);
	started_calls++;
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
	.started = on_started,
	.gone = on_gone,
};

static void on_pause(struct loop_timer *timer)
{
	(void)timer;
	loop_stop(&loop);
}

static void settle_for(uint64_t milliseconds)
{
	loop_timer_set(&loop, &pause_timer, milliseconds);
	loop.stopped = false;
	assert_int_equal(loop_run(&loop), 0);
}

/* Longer than a frontend waits to be looked at. */
static void settle(void)
{
	settle_for(40);
}

static int setup(void **state)
{
	(void)state;
	started_workers = killed_workers = gone_calls = started_calls = 0;
	domain = 0;
	event_count = publishes = 0;
	back_state[0] = front_state[0] = '\0';
	strcpy(ring_ref, "8");
	small_grant_table = false;
	loop_timer_init(&pause_timer, on_pause);
	return loop_init(&loop);
}

static int teardown(void **state)
{
	(void)state;
	guest_xen_close(&host);
	assert_int_equal(open_stores, 0);
	loop_close(&loop);
	return 0;
}

static struct guest *try_attach(const char *persist, char *why)
{
	struct config_guest config;
	struct config_error error;

	assert_int_equal(config_init_guest(&config, "g", &error), 0);
	assert_int_equal(config_set_guest(&config, "port", "xen", &error), 0);
	assert_int_equal(config_set_guest(&config, "domain", "db", &error), 0);
	assert_int_equal(config_set_guest(&config, "persist", persist, &error),
			 0);
	assert_int_equal(config_check_guest(&config, "/nonexistent", &error),
			 0);
	return guest_attach(&host, &config, VTOE_LOG_INFO, why);
}

static struct guest *attach(const char *persist)
{
	char why[GUEST_WHY_MAX];
	struct guest *guest = try_attach(persist, why);

	assert_non_null(guest);
	settle();
	assert_int_equal(started_calls, 1);
	return guest;
}

static void driver(const char *state)
{
	strcpy(front_state, state);
	fire("g");
	settle();
}

static void domains(uint32_t domid)
{
	domain = domid;
	fire(XENBUS_DOMAINS);
	settle();
}

/* The driver comes, and the worker that is started for it is ready. */
static void serve(struct guest *guest, uint32_t domid)
{
	struct worker_header ready = { WORKER_READY, 0 };
	unsigned int before = started_workers;
	struct worker_setup set_up;

	assert_string_equal(back_state, "2");
	driver("3");
	assert_int_equal(started_workers, before + 1);
	assert_int_equal(recv(worker, &set_up, sizeof(set_up), 0),
			 sizeof(set_up));
	assert_int_equal(set_up.port, WORKER_PORT_XEN);
	assert_int_equal(set_up.xen_domid, domid);
	assert_int_equal(set_up.xen_ring_ref, 8);
	assert_int_equal(set_up.xen_event_channel, 33);
	assert_string_equal(back_state, "2");
	send(worker, &ready, sizeof(ready), 0);
	settle();
	assert_string_equal(back_state, "4");
	assert_int_equal(guest->state, GUEST_RUNNING);
	driver("4");
	assert_int_equal(guest->state, GUEST_RUNNING);
}

static void detach(struct guest *guest)
{
	guest_stop(guest);
	end_worker();
	settle();
	if (!gone_calls)
		driver("6");
	assert_int_equal(gone_calls, 1);
	assert_string_equal(back_state, "");
	assert_int_equal(worker, -1);
}

/* -- the tests ------------------------------------------------------------- */

static void test_refused(void **state)
{
	char why[GUEST_WHY_MAX];

	(void)state;
	assert_null(try_attach("no", why));
	assert_non_null(strstr(why, "xl list"));
	domain = 7;
	small_grant_table = true;
	assert_null(try_attach("no", why));
	assert_non_null(strstr(why, "max_grant_frames"));
	assert_int_equal(publishes, 0);
	/* what it may need of its domain, and of ours */
	assert_int_equal(asked.connection, 4096);
	assert_int_equal(asked.guest, 131072);
	assert_int_equal(asked.others, 0);
}

static void test_serves(void **state)
{
	struct guest *guest;

	(void)state;
	domain = 7;
	guest = attach("no");
	assert_int_equal(guest->state, GUEST_IDLE);
	serve(guest, 7);
	detach(guest);
	assert_int_equal(killed_workers, 0);
}

/* The domain comes, reboots, goes: each time the device follows. */
static void test_persists(void **state)
{
	struct guest *guest;

	(void)state;
	guest = attach("yes");
	assert_int_equal(publishes, 0);
	domains(7);
	serve(guest, 7);
	domains(8);
	assert_int_equal(killed_workers, 1);
	assert_int_equal(guest->restarts, 0);
	serve(guest, 8);
	domains(0);
	assert_int_equal(killed_workers, 2);
	assert_int_equal(guest->state, GUEST_IDLE);
	assert_string_equal(back_state, "");
	assert_int_equal(gone_calls, 0);
	detach(guest);
}

static void test_goes_with_domain(void **state)
{
	struct guest *guest;

	(void)state;
	domain = 7;
	guest = attach("no");
	serve(guest, 7);
	domains(0);
	end_worker();
	settle();
	assert_int_equal(gone_calls, 1);
	assert_string_equal(back_state, "");
}

static void test_worker_dies(void **state)
{
	struct guest *guest;

	(void)state;
	domain = 7;
	guest = attach("yes");
	serve(guest, 7);
	end_worker();
	settle();
	assert_string_equal(back_state, "5");
	assert_int_equal(guest->restarts, 1);
	assert_int_equal(started_workers, 1);
	driver("6");
	settle_for(200);
	serve(guest, 7);
	assert_int_equal(started_workers, 2);
	detach(guest);
}

static void test_driver_reloaded(void **state)
{
	struct guest *guest;

	(void)state;
	domain = 7;
	guest = attach("yes");
	serve(guest, 7);
	driver("6");
	assert_int_equal(killed_workers, 1);
	assert_int_equal(guest->restarts, 0);
	settle_for(200);
	driver("1");
	serve(guest, 7);
	detach(guest);
}

/* No worker starts for a reference that is none. */
static void test_garbage(void **state)
{
	struct guest *guest;

	(void)state;
	domain = 7;
	guest = attach("yes");
	strcpy(ring_ref, "8x");
	driver("3");
	assert_int_equal(started_workers, 0);
	assert_string_equal(back_state, "5");
	detach(guest);
}

static void test_detach_waits(void **state)
{
	struct guest *guest;

	(void)state;
	domain = 7;
	guest = attach("yes");
	serve(guest, 7);
	guest_stop(guest);
	assert_string_equal(back_state, "5");
	end_worker();
	settle();
	assert_int_equal(gone_calls, 0);
	driver("6");
	assert_int_equal(gone_calls, 1);
	assert_string_equal(back_state, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_refused),
		TEST(test_serves),
		TEST(test_persists),
		TEST(test_goes_with_domain),
		TEST(test_worker_dies),
		TEST(test_driver_reloaded),
		TEST(test_garbage),
		TEST(test_detach_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
