/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * daemon_xenbus - the backend's side of a device on xenbus, over a xenstore that
 * is an array: what is written with which permissions, every transition, and a
 * frontend that writes garbage, deletes its nodes, never answers, or goes round
 * in circles.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/log.h"
#include "daemon/xenbus.h"

#define BACK "/local/domain/0/backend/vtoe/7/0"
#define FRONT "/local/domain/7/device/vtoe/0"

void vtoe_log(enum vtoe_log_level level, const char *format, ...)
{
	(void)level;
	(void)format;
}

/* -- a xenstore ------------------------------------------------------------ */

static struct xenbus_node nodes[64];
static unsigned int node_count, watches, transactions;
static int publish_error;

static struct xenbus_node *find(const char *path)
{
	unsigned int i;

	for (i = 0; i < node_count; i++)
		if (!strcmp(nodes[i].path, path))
			return &nodes[i];
	return NULL;
}

static const char *value_of(const char *path)
{
	const struct xenbus_node *node = find(path);

	return node ? node->value : "(none)";
}

static void put(const char *path, const char *value)
{
	struct xenbus_node *node = find(path);

	if (!node) {
		assert_true(node_count < 64);
		node = &nodes[node_count++];
		memset(node, 0, sizeof(*node));
		snprintf(node->path, sizeof(node->path), "%s", path);
	}
	snprintf(node->value, sizeof(node->value), "%s", value);
}

static void drop(const char *path)
{
	size_t length = strlen(path);
	unsigned int i;

	for (i = 0; i < node_count; i++) {
		if (strncmp(nodes[i].path, path, length) ||
		    (nodes[i].path[length] && nodes[i].path[length] != '/'))
			continue;
		nodes[i--] = nodes[--node_count];
	}
}

static int fake_read(struct xenbus_store *store, const char *path, char *value,
		     size_t size)
{
	const struct xenbus_node *node = find(path);

	(void)store;
	if (!node)
		return -ENOENT;
	snprintf(value, size, "%s", node->value);
	return (int)strlen(node->value);
}

static int fake_write(struct xenbus_store *store, const char *path,
		      const char *value)
{
	(void)store;
	put(path, value);
	return 0;
}

static int fake_publish(struct xenbus_store *store, const char *const *remove,
			const struct xenbus_node *new, size_t count)
{
	size_t i;

	(void)store;
	transactions++;
	if (publish_error)
		return publish_error;
	for (i = 0; remove && remove[i]; i++)
		drop(remove[i]);
	for (i = 0; i < count; i++) {
		put(new[i].path, new[i].value);
		*find(new[i].path) = new[i];
	}
	return 0;
}

static int fake_watch(struct xenbus_store *store, const char *path,
		      const char *token)
{
	(void)store;
	assert_string_equal(path, FRONT "/state");
	assert_string_equal(token, "g");
	watches++;
	return 0;
}

static void fake_unwatch(struct xenbus_store *store, const char *path,
			 const char *token)
{
	(void)store;
	(void)token;
	assert_string_equal(path, FRONT "/state");
	watches--;
}

static const struct xenbus_ops fake_ops = {
	.read = fake_read,
	.write = fake_write,
	.publish = fake_publish,
	.watch = fake_watch,
	.unwatch = fake_unwatch,
};

static struct xenbus_store fake = { .ops = &fake_ops, .fd = -1 };
static struct xenbus_device device;
static uint64_t now;

/* -- its parties ----------------------------------------------------------- */

static int setup(void **state)
{
	(void)state;
	node_count = watches = transactions = 0;
	publish_error = 0;
	now = 1000;
	xenbus_init(&device, &fake, "g", now);
	device.offer = (struct xenbus_offer) {
		.features = 61,
		.connection_pages = 4096,
		.max_connections = 16,
		.mac = "02:00:00:00:00:01",
		.ipv4 = "192.0.2.7",
	};
	return 0;
}

static void frontend(const char *state)
{
	if (state)
		put(FRONT "/state", state);
	else
		drop(FRONT "/state");
	xenbus_frontend_changed(&device, now);
}

static void assert_backend(const char *state, enum xenbus_phase phase)
{
	assert_string_equal(value_of(BACK "/state"), state);
	assert_int_equal(device.phase, phase);
}

/* Lets the time of the timer come. */
static void expire(void)
{
	assert_true(device.wake_at > now);
	now = device.wake_at;
	xenbus_expired(&device, now);
}

static void frontend_initialised(void)
{
	put(FRONT "/ring-ref", "8");
	put(FRONT "/event-channel", "15");
	put(FRONT "/version", "1");
	frontend("3");
}

static void offer(void)
{
	assert_int_equal(xenbus_offer(&device, 7, now), 0);
	assert_backend("2", XENBUS_OFFERED);
}

static void connect_device(void)
{
	frontend_initialised();
	assert_true(device.wants_worker);
	xenbus_worker_started(&device);
	xenbus_worker_ready(&device, now);
	assert_backend("4", XENBUS_SERVING);
	frontend("4");
	assert_backend("4", XENBUS_SERVING);
}

static void assert_gone(void)
{
	assert_int_equal(device.phase, XENBUS_GONE);
	assert_int_equal(node_count, 0);
	assert_int_equal(watches, 0);
	assert_false(device.wants_worker);
}

/* -- the tests ------------------------------------------------------------- */

static void test_numbers(void **state)
{
	static const char *const bad[] = {
		"", " ", "-1", "+1", "0x8", "1 ", " 1", "1.0", "4294967296",
		"18446744073709551617", "99999999999999999999999999", "a",
		"1\n", "1a",
	};
	uint32_t n = 77;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(xenbus_parse_u32(bad[i], &n), -1);
		assert_int_equal(n, 77);
	}
	assert_int_equal(xenbus_parse_u32("0", &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(xenbus_parse_u32("4294967295", &n), 0);
	assert_int_equal(n, UINT32_MAX);
}

static void test_offer(void **state)
{
	unsigned int i;

	(void)state;
	offer();
	assert_int_equal(transactions, 1);
	assert_int_equal(watches, 1);
	assert_string_equal(value_of(BACK "/frontend"), FRONT);
	assert_string_equal(value_of(BACK "/frontend-id"), "7");
	assert_string_equal(value_of(BACK "/version"), "1");
	assert_string_equal(value_of(BACK "/connection-pages"), "4096");
	assert_string_equal(value_of(BACK "/max-connections"), "16");
	assert_string_equal(value_of(FRONT "/backend"), BACK);
	assert_string_equal(value_of(FRONT "/backend-id"), "0");
	assert_string_equal(value_of(FRONT "/state"), "1");
	/* The guest writes its own directory, and nothing of ours. */
	for (i = 0; i < node_count; i++) {
		bool ours = !strncmp(nodes[i].path, BACK, strlen(BACK));

		assert_int_equal(nodes[i].owner, ours ? 0 : 7);
		assert_int_equal(nodes[i].reader, ours ? 7 : 0);
	}
	/* What was there under these names is gone. */
	xenbus_domain_gone(&device);
	put(FRONT "/ring-ref", "1");
	put(BACK "/hotplug-status", "x");
	offer();
	assert_null(find(FRONT "/ring-ref"));
	assert_null(find(BACK "/hotplug-status"));
}

static void test_offer_fails(void **state)
{
	(void)state;
	publish_error = -EAGAIN;
	assert_int_equal(xenbus_offer(&device, 7, now), -EAGAIN);
	assert_int_equal(device.phase, XENBUS_ABSENT);
	assert_int_equal(watches, 0);
	publish_error = 0;
	offer();
}

static void test_connect(void **state)
{
	(void)state;
	offer();
	frontend_initialised();
	assert_backend("2", XENBUS_STARTING);
	assert_true(device.wants_worker);
	assert_int_equal(device.ring_ref, 8);
	assert_int_equal(device.event_channel, 15);
	xenbus_worker_started(&device);
	xenbus_worker_ready(&device, now);
	assert_backend("4", XENBUS_SERVING);
	/* Other values are of no interest any more. */
	put(FRONT "/ring-ref", "9");
	frontend("4");
	assert_backend("4", XENBUS_SERVING);
	assert_int_equal(device.ring_ref, 8);
	assert_int_equal(device.wake_at, 0);
}

static void test_worker_dies(void **state)
{
	(void)state;
	offer();
	connect_device();
	xenbus_worker_ended(&device, "it was killed", now);
	assert_backend("5", XENBUS_ENDING);
	assert_false(device.wants_worker);
	frontend("4"); /* not yet */
	assert_backend("5", XENBUS_ENDING);
	frontend("6");
	assert_backend("6", XENBUS_PAUSING);
	expire();
	assert_backend("2", XENBUS_OFFERED);
	connect_device();
}

/* rmmod, modprobe: whether or not Initialising is ever seen. */
static void test_driver_reloaded(void **state)
{
	(void)state;
	offer();
	connect_device();
	frontend("6");
	assert_backend("5", XENBUS_ENDING);
	assert_false(device.wants_worker);
	xenbus_worker_ended(&device, "it was killed", now);
	assert_backend("6", XENBUS_PAUSING);
	frontend("1");
	frontend("6");
	expire();
	assert_backend("2", XENBUS_OFFERED);
	connect_device();
	frontend("1"); /* Closed went by unseen */
	assert_backend("5", XENBUS_ENDING);
	xenbus_worker_ended(&device, "it was killed", now);
	expire();
	connect_device();
}

/* The driver goes while its worker starts. */
static void test_closed_early(void **state)
{
	(void)state;
	offer();
	frontend_initialised();
	xenbus_worker_started(&device);
	frontend("5");
	assert_backend("5", XENBUS_ENDING);
	xenbus_worker_ready(&device, now); /* its last word */
	assert_backend("5", XENBUS_ENDING);
	xenbus_worker_ended(&device, "it was killed", now);
	assert_backend("5", XENBUS_ENDING);
	frontend("6");
	assert_backend("6", XENBUS_PAUSING);
}

static void test_garbage_keys(void **state)
{
	static const char *const bad[] = {
		NULL, "", "abc", "-1", "4294967296", "0x10", "8 ",
		"888888888888888888888888888888888888888888888888888888888888",
	};
	static const char *const keys[] = { "ring-ref", "event-channel" };
	char path[96];
	size_t i, k;

	(void)state;
	for (i = 0; i < 2 * sizeof(bad) / sizeof(bad[0]); i++) {
		k = i & 1;
		setup(NULL);
		offer();
		snprintf(path, sizeof(path), FRONT "/%s", keys[k]);
		put(FRONT "/version", "1");
		put(FRONT "/ring-ref", "8");
		put(FRONT "/event-channel", "15");
		drop(path);
		if (bad[i / 2])
			put(path, bad[i / 2]);
		frontend("3");
		assert_false(device.wants_worker);
		assert_backend("5", XENBUS_ENDING);
		assert_non_null(strstr(value_of(BACK "/error"), keys[k]));
		frontend("6");
		expire();
		assert_backend("2", XENBUS_OFFERED);
		connect_device();
	}
}

static void test_wrong_version(void **state)
{
	(void)state;
	offer();
	put(FRONT "/ring-ref", "8");
	put(FRONT "/event-channel", "15");
	put(FRONT "/version", "2");
	frontend("3");
	assert_false(device.wants_worker);
	assert_backend("5", XENBUS_ENDING);
}

/* Whatever is no state ends the service; nothing else happens. */
static void test_garbage_state(void **state)
{
	static const char *const bad[] = {
		NULL, "", "7", "9", "44", "4 ", "-4", "four",
		"4444444444444444444444444444444444444444444444444444444444444",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setup(NULL);
		offer();
		frontend(bad[i]);
		assert_backend("2", XENBUS_OFFERED);
		frontend("1");
		connect_device();
		frontend(bad[i]);
		assert_backend("5", XENBUS_ENDING);
		assert_false(device.wants_worker);
		xenbus_worker_ended(&device, "it was killed", now);
		expire();
		assert_backend("2", XENBUS_OFFERED);
		assert_int_equal(device.wake_at, 0);
		connect_device();
	}
}

static void test_worker_cannot_start(void **state)
{
	(void)state;
	offer();
	frontend_initialised();
	xenbus_worker_ended(&device, "no such grant", now);
	assert_backend("5", XENBUS_ENDING);
	assert_string_equal(value_of(BACK "/error"), "no such grant");
	frontend("6");
	expire();
	assert_backend("2", XENBUS_OFFERED);
}

/* A thousand rounds as fast as it can: at most one a second in the end. */
static void test_circles(void **state)
{
	uint64_t begin;
	int i;

	(void)state;
	offer();
	for (i = 0; i < 20; i++) {
		frontend("5");
		frontend("6");
		expire();
	}
	begin = now;
	for (i = 0; i < 1000; i++) {
		frontend_initialised();
		frontend("5");
		frontend("6");
		expire();
		assert_backend("2", XENBUS_OFFERED);
	}
	assert_true(now - begin >= 500 * 1000);
	/* Forgiven after a while. */
	now += 60000;
	begin = now;
	frontend("5");
	frontend("6");
	expire();
	assert_true(now - begin <= 200);
}

static void test_leave(void **state)
{
	(void)state;
	offer();
	connect_device();
	xenbus_leave(&device, now);
	assert_backend("5", XENBUS_LEAVING);
	assert_string_equal(value_of(BACK "/online"), "0");
	assert_false(device.wants_worker);
	xenbus_worker_ended(&device, "it left", now);
	assert_backend("5", XENBUS_LEAVING);
	frontend("6");
	assert_gone();
}

/* The frontend first, then the worker. */
static void test_leave_worker_last(void **state)
{
	(void)state;
	offer();
	connect_device();
	xenbus_leave(&device, now);
	frontend("6");
	assert_backend("5", XENBUS_LEAVING);
	xenbus_worker_ended(&device, "it left", now);
	assert_gone();
}

static void test_leave_no_answer(void **state)
{
	uint64_t begin = now;

	(void)state;
	offer();
	connect_device();
	xenbus_leave(&device, now);
	xenbus_worker_ended(&device, "it left", now);
	frontend("4");
	frontend("3");
	frontend("4");
	assert_backend("5", XENBUS_LEAVING);
	expire();
	assert_true(now - begin <= 5000);
	assert_gone();
}

static void test_leave_no_driver(void **state)
{
	(void)state;
	offer();
	xenbus_leave(&device, now);
	assert_gone();
	setup(NULL);
	xenbus_leave(&device, now);
	assert_gone();
}

static void test_domain_gone(void **state)
{
	(void)state;
	offer();
	connect_device();
	xenbus_domain_gone(&device);
	assert_int_equal(device.phase, XENBUS_ABSENT);
	assert_int_equal(node_count, 0);
	assert_int_equal(watches, 0);
	assert_false(device.wants_worker);
	xenbus_worker_ended(&device, "it was killed", now);
	assert_int_equal(device.phase, XENBUS_ABSENT);
	offer();
	connect_device();
	/* Between detach and its end, too. */
	xenbus_leave(&device, now);
	xenbus_domain_gone(&device);
	assert_gone();
}

/* A supervisor that was killed: its successor finds the frontend connected. */
static void test_left_over(void **state)
{
	(void)state;
	offer();
	connect_device();
	xenbus_init(&device, &fake, "g", now);
	device.offer.connection_pages = 64;
	assert_int_equal(xenbus_offer(&device, 7, now), 0);
	assert_backend("5", XENBUS_ENDING);
	assert_string_equal(value_of(FRONT "/state"), "4");
	assert_string_equal(value_of(FRONT "/ring-ref"), "8");
	assert_string_equal(value_of(BACK "/connection-pages"), "64");
	frontend("6");
	expire();
	assert_backend("2", XENBUS_OFFERED);
	connect_device();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_numbers, setup),
		cmocka_unit_test_setup(test_offer, setup),
		cmocka_unit_test_setup(test_offer_fails, setup),
		cmocka_unit_test_setup(test_connect, setup),
		cmocka_unit_test_setup(test_worker_dies, setup),
		cmocka_unit_test_setup(test_driver_reloaded, setup),
		cmocka_unit_test_setup(test_closed_early, setup),
		cmocka_unit_test_setup(test_garbage_keys, setup),
		cmocka_unit_test_setup(test_wrong_version, setup),
		cmocka_unit_test_setup(test_garbage_state, setup),
		cmocka_unit_test_setup(test_worker_cannot_start, setup),
		cmocka_unit_test_setup(test_circles, setup),
		cmocka_unit_test_setup(test_leave, setup),
		cmocka_unit_test_setup(test_leave_worker_last, setup),
		cmocka_unit_test_setup(test_leave_no_answer, setup),
		cmocka_unit_test_setup(test_leave_no_driver, setup),
		cmocka_unit_test_setup(test_domain_gone, setup),
		cmocka_unit_test_setup(test_left_over, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
