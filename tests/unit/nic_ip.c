/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nic_ip - what the kernel's routes say, and which addresses are ours
 *
 * An address that is taken for ours may be claimed, and sent from; so each kind
 * of address that is not one must be told from those that are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include "nic/ip.h"

static struct vtoe_address at(const char *text)
{
	struct vtoe_address a = { .family = VTOE_AF_INET };

	if (strchr(text, ':')) {
		a.family = VTOE_AF_INET6;
		assert_int_equal(inet_pton(AF_INET6, text, a.ip), 1);
	} else {
		assert_int_equal(inet_pton(AF_INET, text, a.ip), 1);
	}
	a.port = 80;
	return a;
}

static void route(const char *to, const char *from, uint32_t mtu)
{
	struct vtoe_address a = at(to), got, want;
	uint32_t is;

	if (!from) {
		assert_int_equal(ip_route(&a, &got, &is), -ENETUNREACH);
		return;
	}
	assert_int_equal(ip_route(&a, &got, &is), 0);
	want = at(from);
	want.port = 0;
	assert_memory_equal(&got, &want, sizeof(want));
	assert_int_equal(is, mtu);
}

static void test_route(void **state)
{
	struct vtoe_address none = { .family = 5, .port = 80 }, got;
	uint32_t mtu;

	(void)state;
	route("10.99.0.1", "10.99.0.2", 1400);
	route("10.99.200.1", "10.99.0.2", 1400);
	route("fd99::1", "fd99::2", 1400);
	route("192.0.2.1", "10.99.0.2", 1300);
	route("198.51.100.1", "10.99.0.3", 1400);
	route("203.0.113.1", NULL, 0);
	route("2001:db8::1", NULL, 0);
	assert_true(ip_route(&none, &got, &mtu) < 0);
	none.family = VTOE_AF_UNSPEC;
	assert_true(ip_route(&none, &got, &mtu) < 0);
}

static void test_is_ours(void **state)
{
	static const char *const ours[] = { "10.99.0.2", "10.99.0.3",
					    "fd99::2", "fd98::3" };
	static const char *const others[] = {
		"10.99.0.1", "10.99.0.4", "10.99.0.0", "10.99.255.255",
		"0.0.0.0", "127.0.0.1", "127.9.9.9", "224.0.0.1", "239.1.1.1",
		"255.255.255.255", "203.0.113.1", "::", "::1", "fd99::1",
		"fd99::", "fd99::3", "ff02::1", "ff0e::1", "2001:db8::1",
		"::ffff:10.99.0.2",
		"::ffff:127.0.0.1", "::ffff:0.0.0.0", "::10.99.0.2",
	};
	struct vtoe_address a;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(ours) / sizeof(*ours); i++) {
		a = at(ours[i]);
		assert_true(ip_is_ours(&a));
		a.port = 0;
		assert_true(ip_is_ours(&a));
	}
	for (i = 0; i < sizeof(others) / sizeof(*others); i++) {
		a = at(others[i]);
		if (ip_is_ours(&a))
			fail_msg("%s is taken for ours", others[i]);
	}
}

/* A packet of TCP with nothing in it. */
static void send_packet(unsigned family, const struct vtoe_address *to,
			const char *from)
{
	struct vtoe_address source = at(from);
	int fd = ip_raw_socket(family);
	uint8_t p[60] = { 0x45 };
	struct iovec iov = { p, 40 };

	assert_true(fd >= 0);
	if (family == VTOE_AF_INET) {
		p[3] = 40;
		p[8] = 64;
		p[9] = 6;
		memcpy(p + 12, source.ip, 4);
		memcpy(p + 16, to->ip, 4);
	} else {
		iov.iov_len = 60;
		p[0] = 0x60;
		p[5] = 20;
		p[6] = 6;
		p[7] = 64;
		memcpy(p + 8, source.ip, 16);
		memcpy(p + 24, to->ip, 16);
	}
	assert_int_equal(ip_send(fd, to, &iov, 1), 0);
	close(fd);
}

static void unreached(unsigned family, const char *to, const char *from)
{
	struct vtoe_address a = at(to), got;
	int fd = ip_error_socket(family), i;

	assert_true(fd >= 0);
	assert_false(ip_next_unreached(fd, family, &got));
	send_packet(family, &a, from);
	for (i = 0; i < 100 && !ip_next_unreached(fd, family, &got); i++)
		usleep(100000);
	assert_true(i < 100);
	a.port = 0;
	assert_memory_equal(&got, &a, sizeof(a));
	assert_false(ip_next_unreached(fd, family, &got));
	close(fd);
}

/* There is nobody. */
static void test_unreached(void **state)
{
	(void)state;
	unreached(VTOE_AF_INET, "10.99.0.77", "10.99.0.2");
	unreached(VTOE_AF_INET6, "fd99::77", "fd99::2");
}

/* Nothing is left open. */
static void test_descriptors(void **state)
{
	struct vtoe_address a = at("10.99.0.2"), b = at("203.0.113.1"), got;
	int before = dup(0), i;
	uint32_t mtu;

	(void)state;
	close(before);
	for (i = 0; i < 10; i++) {
		ip_is_ours(&a);
		ip_is_ours(&b);
		(void)ip_route(&a, &got, &mtu);
		(void)ip_route(&b, &got, &mtu);
	}
	i = dup(0);
	assert_int_equal(i, before);
	close(i);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_route),
		cmocka_unit_test(test_is_ours),
		cmocka_unit_test(test_unreached),
		cmocka_unit_test(test_descriptors),
	};

	if (unshare(CLONE_NEWNET)) {
		print_message("needs the right to make a network namespace "
			      "(run as root)\n");
		return 77;
	}
	if (system("set -e; ip link set lo up;"
		   " ip link add ours type veth peer name wire;"
		   " ip addr add 10.99.0.2/16 dev ours brd +;"
		   " ip addr add 10.99.0.3/16 dev ours brd +;"
		   " ip -6 addr add fd99::2/64 dev ours nodad;"
		   " ip -6 addr add fd98::3/64 dev ours nodad;"
		   " ip link set wire mtu 1400 up; ip link set ours mtu 1400 up;"
		   " for v in 4 6; do"
		   " echo 50 >/proc/sys/net/ipv$v/neigh/ours/retrans_time_ms;"
		   " done;"
		   " ip route add 192.0.2.0/24 via 10.99.0.1 mtu 1300;"
		   " ip route add 198.51.100.0/24 via 10.99.0.1 src 10.99.0.3;"
		   " ip route add 224.0.0.0/4 dev ours"))
		return 99;
	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
