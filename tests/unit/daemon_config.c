/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * daemon_config - what the configuration accepts, what it makes of it, and that
 * each mistake is refused with its line, the value and a remedy.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/config.h"
#include "daemon/log.h"

static struct config config;
static struct config_error error;

static int parse(const char *text)
{
	return config_parse(&config, text, strlen(text), &error);
}

/* The text is refused at @line, with @part in the message. */
static void check_refused(const char *text, unsigned int line,
			  const char *part)
{
	if (!parse(text)) {
		config_free(&config);
		fail_msg("accepted: %s", text);
	}
	if (!strstr(error.text, part))
		fail_msg("\"%s\" is not in the message \"%s\"", part,
			 error.text);
	assert_int_equal(error.line, line);
	assert_null(strchr(error.text, '\n'));
	assert_null(config.guests);
}

static void test_defaults(void **state)
{
	const struct config_guest *guest;

	(void)state;
	assert_int_equal(parse(""), 0);
	assert_string_equal(config.run_dir, "/run/vtoe");
	assert_int_equal(config.log_level, VTOE_LOG_INFO);
	assert_int_equal(config.guest_count, 0);

	assert_int_equal(parse("[guest web-1]\n"), 0);
	assert_int_equal(config.guest_count, 1);
	guest = &config.guests[0];
	assert_string_equal(guest->name, "web-1");
	assert_string_equal(guest->netns, "vtoe-web-1");
	assert_string_equal(guest->socket, "/run/vtoe/web-1.sock");
	assert_int_equal(guest->line, 1);
	assert_int_equal(guest->uplink, CONFIG_UPLINK_NONE);
	assert_int_equal(guest->socket_mode, 0600);
	assert_true(guest->check_address);
	assert_int_equal(guest->peers, 256);
	assert_int_equal(guest->lanes, 8);
	assert_int_equal(guest->streams, 16384);
	assert_int_equal(guest->regions, 64);
	assert_int_equal(guest->peer_memory, 128u << 20);
	assert_int_equal(guest->total_memory, 16ull << 30);
	assert_int_equal(guest->zerocopy_min, 16384);
	assert_int_equal(guest->credit, 64);
	assert_false(guest->tto);
	assert_int_equal(guest->tto_hold_usec, 0);
	assert_int_equal(guest->tto_segments, 64);
	assert_int_equal(guest->tto_push, CONFIG_PUSH_DEFAULT);
	assert_string_equal(guest->tto_port, "");
	config_free(&config);
}

static void test_every_key(void **state)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0xaB, 0xcd, 1 };
	static const uint8_t ip4[4] = { 192, 0, 2, 7 };
	const struct config_guest *guest;

	(void)state;
	assert_int_equal(parse(
		"# comment\n; another\r\n\n"
		"[guest a]\r\n"
		"  port=local\n"
		"uplink = macvlan:eth0.7\n"
		"netns = mine\n"
		"mac = 02:00:00:AB:cd:01\n"
		"address = 192.0.2.7/24, 2001:db8::7/64\n"
		"gateway = 192.0.2.1,fe80::1\n"
		"mtu = 9000\n"
		"check_address = no\n"
		"socket = /tmp/x.sock\n"
		"socket_mode = 0660\n"
		"allow_uid = 0, 1000 4294967294\n"
		"peers = 1\nlanes = 64\nstreams = 2K\npeer_streams = 17\n"
		"regions = 3\npeer_memory = 2m\ntotal_memory = 1G\n"
		"spin_usec = 50\nzerocopy_min = 0\ncredit = 1\ntto = no\n"
		"[vtoed]\n"
		"run_dir = /run/other\nworker_user = u\ncontrol_group = g\n"
		"log_level = debug"), 0);
	guest = &config.guests[0];
	assert_int_equal(guest->uplink, CONFIG_UPLINK_MACVLAN);
	assert_string_equal(guest->uplink_name, "eth0.7");
	assert_string_equal(guest->netns, "mine");
	assert_memory_equal(guest->mac, mac, 6);
	assert_memory_equal(guest->address4.ip, ip4, 4);
	assert_int_equal(guest->address4.length, 24);
	assert_int_equal(guest->address6.length, 64);
	assert_true(guest->gateway4.given);
	assert_true(guest->gateway6.given);
	assert_int_equal(guest->mtu, 9000);
	assert_false(guest->check_address);
	assert_string_equal(guest->socket, "/tmp/x.sock");
	assert_int_equal(guest->socket_mode, 0660);
	assert_int_equal(guest->allow_count, 3);
	assert_int_equal(guest->allow_uid[2], 4294967294u);
	assert_int_equal(guest->streams, 2048);
	assert_int_equal(guest->peer_streams, 17);
	assert_int_equal(guest->peer_memory, 2u << 20);
	assert_int_equal(guest->total_memory, 1u << 30);
	assert_int_equal(guest->spin_usec, 50);
	assert_int_equal(guest->zerocopy_min, 0);
	assert_false(guest->tto);
	assert_string_equal(config.run_dir, "/run/other");
	assert_string_equal(config.worker_user, "u");
	assert_string_equal(config.control_group, "g");
	assert_int_equal(config.log_level, VTOE_LOG_DEBUG);
	config_free(&config);
}

static void test_bad_lines(void **state)
{
	(void)state;
	check_refused("peers = 1\n", 1, "before any section");
	check_refused("\n\nnonsense\n", 3, "\"nonsense\"");
	check_refused("[vtoed\n", 1, "not a section");
	check_refused("[other]\n", 1, "\"[other]\"");
	check_refused("[guest]\n", 1, "not a section");
	check_refused("[guest ]\n", 1, "\"\" is not a name");
	check_refused("[guest Web]\n", 1, "\"Web\" is not a name");
	check_refused("[guest -a]\n", 1, "\"-a\" is not a name");
	check_refused("[guest thirteenchars]\n", 1, "at most 12");
	check_refused("[vtoed]\n[vtoed]\n", 2, "second time");
	check_refused("[guest a]\n[guest b]\n[guest a]\n", 3,
		      "there is a guest a already");
	check_refused("[guest a]\npeers = 1\npeers = 2\n", 3, "second time");
	check_refused("[guest a]\ncolour = red\n", 2, "\"colour\"");
	check_refused("[vtoed]\nuplink = none\n", 2, "not a key of [vtoed]");
	assert_int_equal(config_parse(&config, "[vtoed]\n\0\n", 10, &error),
			 -1);
	assert_int_equal(error.line, 2);
	assert_non_null(strstr(error.text, "NUL"));
}

static void test_long_line(void **state)
{
	char text[2000];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[0] = '#';
	assert_int_equal(config_parse(&config, text, sizeof(text), &error),
			 -1);
	assert_non_null(strstr(error.text, "longer than"));
}

static void check_bad_value(const char *key, const char *value)
{
	char text[256], part[128];

	snprintf(text, sizeof(text), "[guest a]\n%s = %s\n", key, value);
	/* The message names the key and the value. */
	snprintf(part, sizeof(part), "%s: \"%s\"", key, value);
	check_refused(text, 2, part);
}

static void test_bad_values(void **state)
{
	static const struct {
		const char *key;
		const char *value;
	} bad[] = {
		{ "port", "kvm" },
		{ "domain", "" },
		{ "domain", "a/b" },
		{ "persist", "maybe" },
		{ "uplink", "eth0" },
		{ "netns", ".." },
		{ "mac", "02:00:00:00:00" },
		{ "mac", "02:00:00:00:00:0g" },
		{ "mac", "02-00-00-00-00-00" },
		{ "mac", "01:00:00:00:00:01" },
		{ "mac", "00:00:00:00:00:00" },
		{ "mac", "02:00:00:00:00:001" },
		{ "address", "192.0.2.7" },
		{ "address", "192.0.2.7/33" },
		{ "address", "192.0.2.7/0" },
		{ "address", "192.0.2.256/24" },
		{ "address", "192.0.2.7/24,192.0.2.8/24" },
		{ "address", "192.0.2.7/24," },
		{ "address", "192.0.2.7/24 2001:db8::7/64" },
		{ "address", "127.0.0.1/8" },
		{ "address", "224.0.0.1/24" },
		{ "address", "::1/128" },
		{ "address", "ff02::1/64" },
		{ "address", "2001:db8::7/129" },
		{ "gateway", "192.0.2.1/24" },
		{ "gateway", "0.0.0.0" },
		{ "check_address", "maybe" },
		{ "mtu", "100" },
		{ "mtu", "65536" },
		{ "mtu", "-1500" },
		{ "mtu", "1500 bytes" },
		{ "socket", "relative" },
		{ "socket_mode", "0999" },
		{ "socket_mode", "1777" },
		{ "allow_uid", "root" },
		{ "allow_uid", "4294967295" },
		{ "peers", "0" },
		{ "peers", "" },
		{ "lanes", "65" },
		{ "streams", "18446744073709551616" },
		{ "peer_memory", "1" },
		{ "peer_memory", "18014398509481984K" },
		{ "total_memory", "9999999999G" },
		{ "zerocopy_min", "+1" },
		{ "tto", "on" },
		{ "tto", "" },
		{ "tto_hold_usec", "10001" },
		{ "tto_hold_usec", "-1" },
		{ "tto_segments", "0" },
		{ "tto_segments", "65" },
		{ "tto_push", "yes" },
		{ "tto_port", "a name that is too long" },
		{ "tto_acks", "no" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_bad_value(bad[i].key, bad[i].value);
	check_refused("[guest a]\nuplink = bridge:waytoolonganame\n"
		      "[guest b]\nuplink = bridge:sixteen_letters_\n", 4,
		      "\"sixteen_letters_\"");
	check_refused("[guest a]\nuplink = netns:a/b\n", 2, "\"a/b\"");
	check_refused("[guest a]\nuplink = netns:\n", 2, "\"\"");
	check_refused("[vtoed]\nlog_level = loud\n", 2, "\"loud\"");
	check_refused("[vtoed]\nrun_dir = run\n", 2, "\"run\"");
	check_refused("[vtoed]\nworker_user = a b\n", 2, "\"a b\"");
}

static void test_contradictions(void **state)
{
	(void)state;
	check_refused("\n[guest a]\naddress = 192.0.2.7/24\n", 2,
		      "no uplink");
	check_refused("[guest a]\nuplink = bridge:b\naddress = 192.0.2.7/24\n"
		      "gateway = 192.0.3.1\n", 1, "gateway");
	check_refused("[guest a]\nuplink = bridge:b\ngateway = 192.0.3.1\n", 1,
		      "gateway");
	check_refused("[guest a]\nuplink = netns:x\nmtu = 1500\n", 1,
		      "as it is");
	check_refused("[guest a]\nuplink = netns:x\nnetns = y\n", 1,
		      "twice");
	check_refused("[guest a]\npeer_memory = 2G\ntotal_memory = 1G\n", 1,
		      "peer_memory");
	check_refused("[guest a]\ntto = yes\n", 1, "needs uplink");
	check_refused("[guest a]\nuplink = macvlan:e\ntto = yes\n", 1,
		      "needs uplink");
	check_refused("[guest a]\nuplink = bridge:b\ntto_hold_usec = 5\n", 1,
		      "add tto = yes");
	check_refused("[guest a]\nuplink = bridge:b\ntto_push = join\n", 1,
		      "add tto = yes");
	check_refused("[guest a]\nuplink = bridge:b\ntto = yes\n"
		      "tto_push = join\ntto_hold_usec = 5\n", 1,
		      "remove tto_hold_usec");
	check_refused("[guest a]\nuplink = netns:n\ntto = yes\n"
		      "tto_port = eth0\n", 1, "a port of a bridge");
	check_refused("[guest a]\nuplink = bridge:b\ntto_port = eth0\n", 1,
		      "add tto = yes");
	/* Between guests: the later one's line. */
	check_refused("[guest a]\nuplink = bridge:b\naddress = 192.0.2.7/24\n"
		      "[guest b]\nuplink = bridge:b\naddress = 192.0.2.7/16\n",
		      4, "same IPv4 address as guest a");
	check_refused("[guest a]\nuplink = bridge:b\naddress = 2001:db8::7/64\n"
		      "[guest b]\nuplink = bridge:b\n"
		      "address = 2001:db8::7/64\n",
		      4, "same IPv6 address as guest a");
	check_refused("[guest a]\nmac = 02:00:00:00:00:01\n"
		      "[guest b]\nmac = 02:00:00:00:00:01\n", 3,
		      "same MAC address as guest a");
	check_refused("[guest a]\n[guest b]\nsocket = /run/vtoe/a.sock\n", 2,
		      "same socket as guest a");
	check_refused("[guest a]\n[guest b]\nnetns = vtoe-a\n", 2,
		      "same network namespace as guest a");
}

static void test_tto(void **state)
{
	struct config_guest with;

	(void)state;
	assert_int_equal(parse("[guest a]\nuplink = bridge:b\ntto = yes\n"
			       "tto_hold_usec = 10000\n"
			       "tto_segments = 7\ntto_push = end\n"
			       "tto_port = eth9\ntto_acks = alone\n"
			       "[guest b]\nuplink = netns:n\ntto = yes\n"
			       "tto_push = join\n"), 0);
	with = config.guests[0];
	assert_true(with.tto);
	assert_int_equal(with.tto_segments, 7);
	assert_int_equal(with.tto_push, CONFIG_PUSH_END);
	assert_string_equal(with.tto_port, "eth9");
	assert_true(with.tto_acks_alone);
	assert_false(config.guests[1].tto_acks_alone);
	assert_int_equal(config.guests[1].tto_push, CONFIG_PUSH_JOIN);
	assert_int_equal(with.tto_hold_usec, 10000);
	assert_true(config.guests[1].tto);
	assert_int_equal(config.guests[1].tto_hold_usec, 0);
	/* The supervisor checks once more before it attaches one. */
	assert_int_equal(config_check_guest(&config.guests[1], "/run/vtoe",
					    &error), 0);
	/* What a reload has to notice. */
	config.guests[0].tto = false;
	assert_false(config_guest_equal(&with, &config.guests[0]));
	config.guests[0] = with;
	config.guests[0].tto_hold_usec--;
	assert_false(config_guest_equal(&with, &config.guests[0]));
	config.guests[0] = with;
	config.guests[0].tto_acks_alone = false;
	assert_false(config_guest_equal(&with, &config.guests[0]));
	config.guests[0] = with;
	config.guests[0].tto_push = CONFIG_PUSH_JOIN;
	assert_false(config_guest_equal(&with, &config.guests[0]));
	config.guests[0] = with;
	config.guests[0].tto_port[0] = 'f';
	assert_false(config_guest_equal(&with, &config.guests[0]));
	config_free(&config);
}

static void test_names_give_macs(void **state)
{
	struct config_guest first;

	(void)state;
	assert_int_equal(parse("[guest a]\n[guest b]\n"), 0);
	first = config.guests[0];
	assert_int_equal(first.mac[0], 2);
	assert_memory_not_equal(first.mac, config.guests[1].mac, 6);
	config_free(&config);
	assert_int_equal(parse("[guest a]\n"), 0);
	assert_true(config_guest_equal(&first, &config.guests[0]));
	config.guests[0].credit++;
	assert_false(config_guest_equal(&first, &config.guests[0]));
	config_free(&config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_key),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_contradictions),
		cmocka_unit_test(test_tto),
		cmocka_unit_test(test_names_give_macs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
