/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile_store.c - lies in xenstore
 */
#include "tests/xen/hostile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The handshake with one key of garbage: refused, and offered again. */
static const char *garbage_key(struct front *f, const char *key,
			       const char *value, unsigned int length)
{
	char path[64];

	TRY(front_wait_backend(f, 2, CALL_MS));
	TRY(front_prepare(f));
	front_write_number(f, "ring-ref", f->ring.refs[0]);
	front_write_number(f, "event-channel", (uint32_t)f->port);
	front_write(f, "version", "1");
	snprintf(path, sizeof(path), FRONT "/%s", key);
	if (value)
		xs_write(f->xs, XBT_NULL, path, value, length);
	else
		xs_rm(f->xs, XBT_NULL, path);
	front_write(f, "state", "3");
	TRY(front_wait_backend(f, 5, CALL_MS));
	return front_end(f);
}

static const char *garbage_keys(struct front *f)
{
	static const char *const keys[] = { "version", "ring-ref",
					    "event-channel" };
	static const char *const values[] = {
		"", "garbage", "-1", "4294967296", "1 ", " 1", "0x1", "1,2",
		"99999999999999999999999999999999999999999999", "/local",
		"4294967295", NULL,
	};
	char long_value[1500];
	unsigned int i, j;

	memset(long_value, '1', sizeof(long_value));
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		/* so many quick rounds are slowed down: a few of them each */
		for (j = i; j < sizeof(values) / sizeof(values[0]); j += 3)
			TRY(garbage_key(f, keys[i], values[j],
					values[j] ?
					(unsigned int)strlen(values[j]) : 0));
		TRY(garbage_key(f, keys[i], "1\0002", 3));
		TRY(garbage_key(f, keys[i], long_value, sizeof(long_value)));
	}
	return NULL;
}

/* References and channels that are numbers, but not what they should be. (0 and
 * 1 are the guest's console and xenstore ring.) */
static const char *wrong_numbers(struct front *f)
{
	static const uint32_t refs[] = { 7, 100000, 0x7fffffff, 0xffffffff };
	static const uint32_t ports[] = { 0, 1, 4000, 0xffffffff };
	char value[16];
	unsigned int i;

	for (i = 0; i < 4; i++) {
		snprintf(value, sizeof(value), "%u", refs[i]);
		TRY(garbage_key(f, "ring-ref", value,
				(unsigned int)strlen(value)));
		snprintf(value, sizeof(value), "%u", ports[i]);
		TRY(garbage_key(f, "event-channel", value,
				(unsigned int)strlen(value)));
	}
	return NULL;
}

/* As fast as xenstored takes it; then the device works as before. */
static const char *store_storm(struct front *f)
{
	static const char *const states[] = { "1", "3", "4", "6", "garbage",
					      "5", "0", "" };
	uint64_t until = now_ms() + 4000;
	unsigned int n = 0, i;
	char path[64];

	while (now_ms() < until) {
		front_write(f, "state", states[n % 8]);
		if (n % 50 == 0)
			xs_rm(f->xs, XBT_NULL, FRONT "/state");
		if (n % 10 == 0) {
			snprintf(path, sizeof(path), "data/storm/%u/x", n);
			xs_write(f->xs, XBT_NULL, path, "x", 1);
		}
		n++;
	}
	xs_rm(f->xs, XBT_NULL, "data/storm");
	front_write(f, "state", "6");
	TRY(front_wait_backend(f, 2, CALL_MS));
	for (i = 0; i < 2; i++) {
		TRY(front_begin(f));
		TRY(front_end(f));
	}
	return n > 10 ? NULL : "that was no storm";
}

/* Connected, and then the guest says something else. */
static const char *states(struct front *f)
{
	static const char *const values[] = { "2", "5", "6", "0", "garbage",
					      "7", "-1", "4294967300" };
	unsigned int i;

	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		TRY(front_begin(f));
		front_write(f, "state", values[i]);
		nap(100);
		TRY(front_end(f));
	}
	return NULL;
}

/* The process ends with everything mapped, and says nothing. */
static const char *vanish(struct front *f)
{
	struct memory m;

	TRY(front_begin(f));
	TRY(memory_make(f, &m, 64));
	TRY(memory_connect(f, &m, 0));
	TRY(memory_hello(f, &m));
	printf("ok   vanish: with a connection\n");
	fflush(stdout);
	_Exit(0);
}

const struct lie lies_store[] = {
	{ "garbage_keys", garbage_keys, true },
	{ "wrong_numbers", wrong_numbers, true },
	{ "states", states, true },
	{ "store_storm", store_storm, true },
	{ "vanish", vanish, true },
};
const unsigned int lies_store_count =
	sizeof(lies_store) / sizeof(lies_store[0]);
