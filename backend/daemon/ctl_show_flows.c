/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ctl_show_flows.c - `vtoectl flows`, for people
 *
 * A table of all claims; below it, for each guest, why its aggregates ended,
 * the most frequent reason first, and what never reached its worker.
 */
#include <inttypes.h>
#include <stdio.h>

#include "daemon/ctl_show.h"
#include "daemon/ctl_table.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint64_t flows_number(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(object, key, &value);
	return value ? json_object_get_uint64(value) : 0;
}

static const char *flows_text(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(object, key, &value);
	return value ? json_object_get_string(value) : "-";
}

/* What people want in place of two counts. */
static void flows_add_ratios(struct json_object *row)
{
	uint64_t aggregates = flows_number(row, "aggregates");
	uint64_t segments = flows_number(row, "segments");
	char text[32];

	snprintf(text, sizeof(text), "%.1f",
		 aggregates ? (double)segments / (double)aggregates : 0);
	json_object_object_add(row, "each", json_object_new_string(text));
	snprintf(text, sizeof(text), "%.1f",
		 (double)flows_number(row, "rx_bytes") / 1e6);
	json_object_object_add(row, "rx_mb", json_object_new_string(text));
}

static int flows_compare(const void *one, const void *two)
{
	struct json_object *const *a = one, *const *b = two;
	uint64_t x = flows_number(*a, "ended") + flows_number(*a, "passed");
	uint64_t y = flows_number(*b, "ended") + flows_number(*b, "passed");

	return x < y ? 1 : x > y ? -1 : 0;
}

static void flows_show_reasons(struct json_object *guest)
{
	static const struct ctl_column columns[] = {
		{ "REASON", "reason", false },
		{ "AGGREGATES", "ended", true },
		{ "ALONE", "passed", true },
	};
	struct json_object *reasons = NULL;

	json_object_object_get_ex(guest, "reasons", &reasons);
	if (!reasons || !json_object_array_length(reasons))
		return;
	json_object_array_sort(reasons, flows_compare);
	printf("\nguest %s: why aggregates ended, and segments went alone\n",
	       flows_text(guest, "name"));
	ctl_table_print(columns, COUNT(columns), reasons);
}

static void flows_show_steering(struct json_object *guest)
{
	struct json_object *steering = NULL;
	uint64_t fragments, too_long;

	json_object_object_get_ex(guest, "steering", &steering);
	fragments = flows_number(steering, "dropped_fragments");
	too_long = flows_number(steering, "dropped_long");
	if (fragments || too_long)
		printf("guest %s: dropped before: %" PRIu64 " fragments, %"
		       PRIu64 " frames that are too long\n",
		       flows_text(guest, "name"), fragments, too_long);
}

void ctl_show_flows(struct json_object *guests)
{
	static const struct ctl_column columns[] = {
		{ "GUEST", "guest", false },
		{ "CLAIM", "claim", true },
		{ "PID", "pid", true },
		{ "PROGRAM", "program", false },
		{ "KIND", "kind", false },
		{ "LOCAL", "local", false },
		{ "REMOTE", "remote", false },
		{ "AGGREGATES", "aggregates", true },
		{ "SEGMENTS/AGGR", "each", true },
		{ "RX-MB", "rx_mb", true },
		{ "DROPPED", "dropped", true },
		{ "SENT", "sent", true },
	};
	struct json_object *all = ctl_show_collect(guests, "flows");
	struct json_object *guest;
	size_t i;

	for (i = 0; i < json_object_array_length(all); i++)
		flows_add_ratios(json_object_array_get_idx(all, i));
	ctl_table_print(columns, COUNT(columns), all);
	json_object_put(all);
	for (i = 0; i < json_object_array_length(guests); i++) {
		guest = json_object_array_get_idx(guests, i);
		flows_show_reasons(guest);
		flows_show_steering(guest);
	}
}
