/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ctl_show.c - the answers of the supervisor, for people
 *
 * Programs read --json, whose names are stable; these tables may change.
 */
#include <stdio.h>
#include <string.h>

#include "base/stats.h"
#include "daemon/ctl_show.h"
#include "daemon/ctl_table.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *show_text(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(object, key, &value);
	return value ? json_object_get_string(value) : "-";
}

/* Below the tables of guests: who has to do without it, or without a part of it,
 * and why. */
static void show_tto_failure(struct json_object *guest)
{
	struct json_object *why = NULL;

	json_object_object_get_ex(guest, "tto_failure", &why);
	if (why)
		printf("guest %s: TTO is not offered: %s\n",
		       show_text(guest, "name"), json_object_get_string(why));
	why = NULL;
	json_object_object_get_ex(guest, "unpinned", &why);
	if (why)
		printf("guest %s: its TTO claims end with vtoed: %s\n",
		       show_text(guest, "name"), json_object_get_string(why));
}

void ctl_show_guests(struct json_object *guests)
{
	static const struct ctl_column columns[] = {
		{ "GUEST", "name", false },
		{ "STATE", "state", false },
		{ "DOMAIN", "domain", false },
		{ "ID", "domain_id", true },
		{ "DEVICE", "device_state", false },
		{ "PID", "pid", true },
		{ "RESTARTS", "worker_restarts", true },
		{ "CPU-S", "cpu_seconds", true },
		{ "SERVICES", "services", false },
		{ "LINK", "link", false },
		{ "UPLINK", "uplink", false },
		{ "MAC", "mac", false },
		{ "ADDRESS", "address", false },
		{ "NETNS", "netns", false },
		{ "SOCKET", "socket", false },
	};
	size_t i;

	ctl_table_print(columns, COUNT(columns), guests);
	for (i = 0; i < json_object_array_length(guests); i++)
		show_tto_failure(json_object_array_get_idx(guests, i));
}

static void show_counters(struct json_object *counters)
{
#define SHOW_COUNTER(name, help)                                               \
	printf("  %-20s %20s  %s\n", #name, show_text(counters, #name), help);
	VTOE_STATS(SHOW_COUNTER)
#undef SHOW_COUNTER
}

void ctl_show_stats(struct json_object *guests)
{
	struct json_object *guest, *counters;
	size_t i;

	for (i = 0; i < json_object_array_length(guests); i++) {
		guest = json_object_array_get_idx(guests, i);
		printf("%sguest %s: %s, worker %s, %s restarts, %s CPU "
		       "seconds, up %s s\n", i ? "\n" : "",
		       show_text(guest, "name"), show_text(guest, "state"),
		       show_text(guest, "pid"),
		       show_text(guest, "worker_restarts"),
		       show_text(guest, "cpu_seconds"),
		       show_text(guest, "uptime_seconds"));
		if (json_object_object_get_ex(guest, "counters", &counters))
			show_counters(counters);
	}
}

struct json_object *ctl_show_collect(struct json_object *guests,
				     const char *key)
{
	struct json_object *all = json_object_new_array();
	struct json_object *guest, *rows, *row;
	size_t i, j;

	for (i = 0; i < json_object_array_length(guests); i++) {
		guest = json_object_array_get_idx(guests, i);
		if (!json_object_object_get_ex(guest, key, &rows))
			continue;
		for (j = 0; j < json_object_array_length(rows); j++) {
			row = json_object_array_get_idx(rows, j);
			json_object_object_add(row, "guest",
				json_object_new_string(show_text(guest,
								 "name")));
			json_object_array_add(all, json_object_get(row));
		}
	}
	return all;
}

void ctl_show_sockets(struct json_object *guests)
{
	static const struct ctl_column columns[] = {
		{ "GUEST", "guest", false },
		{ "STREAM", "stream", true },
		{ "PID", "pid", true },
		{ "PROGRAM", "program", false },
		{ "LOCAL", "local", false },
		{ "REMOTE", "remote", false },
		{ "STATE", "state", false },
		{ "RX-BYTES", "rx_bytes", true },
		{ "TX-BYTES", "tx_bytes", true },
		{ "LEFT-TO-THE-KERNEL-BECAUSE", "reason", false },
	};
	struct json_object *all = ctl_show_collect(guests, "sockets");

	ctl_table_print(columns, COUNT(columns), all);
	json_object_put(all);
}

void ctl_show_peers(struct json_object *guests)
{
	static const struct ctl_column columns[] = {
		{ "GUEST", "guest", false },
		{ "PEER", "peer", true },
		{ "PID", "pid", true },
		{ "UID", "uid", true },
		{ "PROGRAM", "program", false },
		{ "STATUS", "status", false },
		{ "VIOLATION", "violation", false },
		{ "LANES", "lanes", true },
		{ "STREAMS", "streams", true },
		{ "REGIONS", "regions", true },
		{ "MEMORY", "memory", true },
	};
	struct json_object *all = ctl_show_collect(guests, "peers");

	ctl_table_print(columns, COUNT(columns), all);
	json_object_put(all);
}

void ctl_show_attached(struct json_object *guest)
{
	if (strcmp(show_text(guest, "port"), "xen") == 0) {
		printf("guest %s is attached: domain %s (%s), device %s, "
		       "namespace %s, MAC %s\n", show_text(guest, "name"),
		       show_text(guest, "domain"),
		       show_text(guest, "domain_id"),
		       show_text(guest, "device_state"),
		       show_text(guest, "netns"), show_text(guest, "mac"));
		return;
	}
	printf("guest %s is ready: worker %s, socket %s, namespace %s, MAC "
	       "%s\n", show_text(guest, "name"), show_text(guest, "pid"),
	       show_text(guest, "socket"), show_text(guest, "netns"),
	       show_text(guest, "mac"));
	show_tto_failure(guest);
}
