/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * daemon_pcapng - what vtoectl makes of a worker's captured packets: nothing of
 * a message that is wrong in any field, whole blocks of right ones, and the
 * counts. (That other programs read it is tto_capture.sh's.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/ctl_pcapng.h"

enum { BLOCK_STATISTICS = 5, BLOCK_PACKET = 6 };

struct test {
	struct pcapng pcapng;
	FILE *out;
	char *written;
	size_t size;
	struct {
		struct tto_captured head;
		uint8_t bytes[TTO_CAPTURE_BYTES + 1];
	} message;
};

static int setup(void **state)
{
	struct test *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->out = open_memstream(&t->written, &t->size);
	assert_non_null(t->out);
	assert_int_equal(pcapng_begin(&t->pcapng, t->out, "guest"), 0);
	t->message.head = (struct tto_captured){
		.magic = TTO_CAPTURED_MAGIC,
		.version = TTO_CAPTURED_VERSION,
		.time = 1700000000123456789u,
		.claim = 7,
		.original = 100,
		.captured = 61,
		.segments = 3,
		.direction = TTO_DELIVERED,
		.reason = "psh",
	};
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct test *t = *state;

	fclose(t->out);
	free(t->written);
	free(t);
	return 0;
}

/* -> was it written? */
static bool give(struct test *t, size_t bytes)
{
	uint64_t before = t->pcapng.packets;
	bool wrong;

	assert_int_equal(pcapng_packet(&t->pcapng, &t->message, bytes, &wrong),
			 0);
	assert_int_equal(t->pcapng.packets, before + !wrong);
	return !wrong;
}

static size_t all(const struct test *t)
{
	return sizeof(t->message.head) + t->message.head.captured;
}

static uint32_t word(const struct test *t, size_t at)
{
	uint32_t value;

	assert_true(at + sizeof(value) <= t->size);
	memcpy(&value, t->written + at, sizeof(value));
	return value;
}

/* How many blocks of a kind, each of which is whole. */
static unsigned blocks(struct test *t, uint32_t kind)
{
	unsigned count = 0;
	size_t at = 0;

	fflush(t->out);
	while (at < t->size) {
		uint32_t length = word(t, at + 4);

		assert_int_equal(length % 4, 0);
		assert_in_range(length, 12, t->size - at);
		assert_int_equal(word(t, at + length - 4), length);
		count += word(t, at) == kind;
		at += length;
	}
	assert_int_equal(at, t->size);
	return count;
}

static bool has(const struct test *t, const char *text)
{
	return memmem(t->written, t->size, text, strlen(text)) != NULL;
}

static void test_right(void **state)
{
	struct test *t = *state;

	assert_true(give(t, all(t)));
	t->message.head.direction = TTO_SENT;
	t->message.head.missed = 5;
	t->message.head.captured = 0;
	assert_true(give(t, all(t)));
	t->message.head.captured = t->message.head.original = TTO_CAPTURE_BYTES;
	memset(t->message.head.reason, 'x', sizeof(t->message.head.reason));
	t->message.head.direction = TTO_DELIVERED;
	t->message.head.segments = 65535;
	t->message.head.claim = UINT32_MAX;
	assert_true(give(t, all(t)));
	assert_int_equal(pcapng_end(&t->pcapng), 0);
	assert_int_equal(blocks(t, BLOCK_PACKET), 3);
	assert_int_equal(blocks(t, BLOCK_STATISTICS), 1);
	assert_int_equal(t->pcapng.missed, 5);
	assert_true(has(t, "3 segments, psh, claim 7"));
	assert_true(has(t, "to be 3 segments, claim 7"));
	assert_true(has(t, "65535 segments, xxxxxxxxxxxxxxx, claim 42949"));
}

static void test_wrong(void **state)
{
	struct test *t = *state;
	struct tto_captured right = t->message.head, *m = &t->message.head;
	size_t i;

	for (i = 0; i < sizeof(*m); i++)
		assert_false(give(t, i));
	assert_false(give(t, all(t) - 1));
	assert_false(give(t, all(t) + 1));
	m->magic++;
	assert_false(give(t, all(t)));
	*m = right;
	m->version++;
	assert_false(give(t, all(t)));
	*m = right;
	m->direction = 0;
	assert_false(give(t, all(t)));
	m->direction = TTO_SENT + 1;
	assert_false(give(t, all(t)));
	*m = right;
	m->original = m->captured - 1;
	assert_false(give(t, all(t)));
	m->captured = m->original = TTO_CAPTURE_BYTES + 1;
	assert_false(give(t, all(t)));
	m->captured = m->original = UINT32_MAX;
	assert_false(give(t, sizeof(*m) - 1)); /* as 32 bits add up */
	/* packets that had been missed are not any more */
	*m = right;
	m->missed = 2;
	assert_true(give(t, all(t)));
	m->missed = 1;
	assert_false(give(t, all(t)));
	assert_int_equal(blocks(t, BLOCK_PACKET), 1);
}

/* Nothing of it reaches a terminal. */
static void test_reason(void **state)
{
	struct test *t = *state;

	memcpy(t->message.head.reason, "\033[2J\n\x80", 7);
	assert_true(give(t, all(t)));
	assert_int_equal(blocks(t, BLOCK_PACKET), 1);
	assert_false(has(t, "\033["));
	assert_true(has(t, "3 segments, ?[2J??, claim 7"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_right),
		TEST(test_wrong),
		TEST(test_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
