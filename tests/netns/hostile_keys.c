/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile_keys.c - keys, ranges and rights that a request does not have
 * (MECHANISMS O3, O5, O7, O8)
 */
#include "hostile.h"

#include <errno.h>
#include <string.h>

/* -- one request with {key, offset, length}: RECV, SEND, GRQ_ADD -- */

struct named {
	uint64_t offset;
	uint32_t length;
	uint64_t flip; /* bits of the good key turned over */
	int result;
};

static const char *ask(struct rig *g, uint32_t stream, uint64_t key,
		       const struct named *n, int result)
{
	static const uint8_t ops[] = { VTOE_OP_RECV, VTOE_OP_SEND,
				       VTOE_OP_GRQ_ADD };
	unsigned i;

	for (i = 0; i < sizeof(ops); i++) {
		uint32_t flags = ops[i] == VTOE_OP_GRQ_ADD;

		TRY(want_result(result,
				raw_memory(&g->lane, ops[i],
					   flags ? 0 : stream, key, n->offset,
					   n->length, flags, NULL)));
	}
	return want_answers(&g->lane);
}

static const char *memory_named(const struct hostile *h, const void *arg)
{
	const struct named *n = arg;
	uint32_t stream = 0;
	const char *text;
	struct rig g;

	TRY(rig_open(&g, h));
	text = rig_stream(&g, &h->echo, &stream);
	if (!text)
		text = ask(&g, stream, g.key ^ n->flip, n, n->result);
	rig_close(&g);
	return text;
}

#define NAMED(name, ...) static const struct named name = { __VA_ARGS__ }
NAMED(key_bit, .length = 64, .flip = 1, .result = -ENOKEY);
NAMED(key_high_bit, .length = 64, .flip = 1ull << 63, .result = -ENOKEY);
NAMED(key_inverted, .length = 64, .flip = ~0ull, .result = -ENOKEY);
NAMED(one_past, .offset = RIG_BYTES - 63, .length = 64, .result = -ERANGE);
NAMED(at_end, .offset = RIG_BYTES, .length = 1, .result = -ERANGE);
NAMED(offset_wraps, .offset = -32ull, .length = 64, .result = -ERANGE);
NAMED(offset_all_ones, .offset = ~0ull, .length = 1, .result = -ERANGE);
NAMED(sum_is_32_bit, .offset = 0xffffffffull, .length = 2,
      .result = -ERANGE);
NAMED(offset_over_4g, .offset = 1ull << 32, .length = 16,
      .result = -ERANGE);
NAMED(length_all_ones, .length = UINT32_MAX, .result = -ERANGE);
NAMED(length_half, .length = 0x80000000u, .result = -ERANGE);
NAMED(both_wrap, .offset = -16ull, .length = UINT32_MAX, .result = -ERANGE);

static const char *key_zero(const struct hostile *h, const void *arg)
{
	static const struct named n = { .length = 16 };
	uint32_t stream = 0;
	const char *text;
	struct rig g;

	(void)arg;
	TRY(rig_open(&g, h));
	text = rig_stream(&g, &h->echo, &stream);
	if (!text)
		text = ask(&g, stream, 0, &n, -ENOKEY);
	rig_close(&g);
	return text;
}

static const char *other_lane(const struct hostile *h, const void *arg)
{
	static const struct named n = { .length = 16 };
	uint32_t stream = 0;
	const char *text;
	uint64_t key;
	struct rig g;

	(void)arg;
	TRY(rig_open(&g, h));
	text = rig_stream(&g, &h->echo, &stream);
	if (!text)
		text = want_result(0, raw_region_add(&g.peer, g.other.id,
						     g.memory, VTOE_PAGE, 3,
						     &key));
	if (!text)
		text = ask(&g, stream, key, &n, -EACCES);
	rig_close(&g);
	return text;
}

static const char *other_connection(const struct hostile *h, const void *arg)
{
	static const struct named n = { .length = 16 };
	uint32_t stream = 0;
	struct rig g, other;
	const char *text;

	(void)arg;
	TRY(rig_open(&g, h));
	text = rig_open(&other, h);
	if (!text) {
		text = rig_stream(&g, &h->echo, &stream);
		if (!text)
			text = ask(&g, stream, other.key, &n, -ENOKEY);
		if (!text)
			text = want_result(-ENOKEY,
					   raw_region_del(&g.peer, other.key));
		rig_close(&other);
	}
	rig_close(&g);
	return text;
}

/* Keys of a connection that has gone, and of regions that were removed. */
static const char *stale(const struct hostile *h, const void *arg)
{
	static const struct named n = { .length = 16 };
	uint32_t stream = 0;
	struct rig g, gone;
	const char *text;

	(void)arg;
	TRY(rig_open(&gone, h));
	rig_close(&gone);
	TRY(rig_open(&g, h));
	text = rig_stream(&g, &h->echo, &stream);
	if (!text)
		text = ask(&g, stream, gone.key, &n, -ENOKEY);
	if (!text)
		text = want_result(0, raw_region_del(&g.peer, g.key));
	if (!text)
		text = ask(&g, stream, g.key, &n, -ENOKEY);
	rig_close(&g);
	return text;
}

static const char *rights(const struct hostile *h, const void *arg)
{
	uint64_t read_key, write_key;
	uint32_t stream = 0;
	const char *text;
	struct rig g;

	(void)arg;
	TRY(rig_open(&g, h));
	text = rig_stream(&g, &h->echo, &stream);
	if (!text)
		text = want_result(0, raw_region_add(&g.peer, VTOE_LANE_ANY,
						     g.memory, VTOE_PAGE,
						     VTOE_REGION_READ,
						     &read_key));
	if (!text)
		text = want_result(0, raw_region_add(&g.peer, VTOE_LANE_ANY,
						     g.memory, VTOE_PAGE,
						     VTOE_REGION_WRITE,
						     &write_key));
	if (!text)
		text = want_result(-EACCES,
				   raw_memory(&g.lane, VTOE_OP_RECV, stream,
					      read_key, 0, 16, 0, NULL));
	if (!text)
		text = want_result(-EACCES,
				   raw_memory(&g.lane, VTOE_OP_SEND, stream,
					      write_key, 0, 16, 0, NULL));
	if (!text)
		text = want_result(-EACCES,
				   raw_memory(&g.lane, VTOE_OP_GRQ_ADD, 0,
					      read_key, 0, 16, 1, NULL));
	/* And with the rights it goes, to the last byte of the page. */
	if (!text)
		text = want_result(16,
				   raw_memory(&g.lane, VTOE_OP_SEND, stream,
					      read_key, VTOE_PAGE - 16, 16, 0,
					      NULL));
	if (!text)
		text = want_result(16,
				   raw_memory(&g.lane, VTOE_OP_RECV, stream,
					      write_key, VTOE_PAGE - 16, 16,
					      VTOE_IO_WAITALL, NULL));
	rig_close(&g);
	return text;
}

/* Length 0 names no memory: no key is looked up, nothing is awaited. */
static const char *length_zero(const struct hostile *h, const void *arg)
{
	uint32_t stream = 0;
	const char *text;
	struct rig g;

	(void)arg;
	TRY(rig_open(&g, h));
	text = rig_stream(&g, &h->echo, &stream);
	if (!text)
		text = want_result(0, raw_memory(&g.lane, VTOE_OP_SEND, stream,
						 0x123, ~0ull, 0, 0, NULL));
	if (!text)
		text = want_result(0, raw_memory(&g.lane, VTOE_OP_RECV, stream,
						 0x123, ~0ull, 0, 0, NULL));
	rig_close(&g);
	return text;
}

/* A range of keys around a good one, and random ones: none is accepted. */
static const char *brute_force(const struct hostile *h, const void *arg)
{
	struct vtoe_sqe s = { .op = VTOE_OP_SEND, .length = 1 };
	unsigned sent = 0, got = 0, i;
	uint64_t seed = 88172645463325252ull;
	uint32_t stream = 0;
	struct vtoe_cqe c;
	const char *text;
	struct rig g;

	(void)arg;
	TRY(rig_open(&g, h));
	text = rig_stream(&g, &h->echo, &stream);
	s.stream = stream;
	while (!text && got < 100000 / h->share) {
		for (i = 0; i < 32; i++, sent++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			s.key = sent % 2 ? seed : g.key + 1 + sent;
			s.user_data = 0;
			raw_put(&g.lane, &s);
		}
		raw_submit(&g.lane);
		for (i = 0; i < 32 && !text; i++, got++) {
			int error = raw_next(&g.lane, &c, RAW_TIMEOUT_MS);

			text = want_result(-ENOKEY, error ? error : c.result);
		}
	}
	rig_close(&g);
	return text;
}

static const struct hostile_case cases[] = {
	{ "key-zero", "P-28", "-ENOKEY", key_zero, NULL },
	{ "key-one-bit-off", "P-28", "-ENOKEY", memory_named, &key_bit },
	{ "key-high-bit-off", "P-28", "-ENOKEY", memory_named,
	  &key_high_bit },
	{ "key-inverted", "P-28", "-ENOKEY", memory_named, &key_inverted },
	{ "key-of-other-lane", "P-28", "-EACCES", other_lane, NULL },
	{ "key-of-other-connection", "P-28", "-ENOKEY", other_connection,
	  NULL },
	{ "key-stale", "P-28", "-ENOKEY", stale, NULL },
	{ "key-rights", "P-28", "-EACCES", rights, NULL },
	{ "key-brute-force", "P-28", "-ENOKEY, 100000 times", brute_force,
	  NULL },
	{ "range-one-past-end", "P-28", "-ERANGE", memory_named, &one_past },
	{ "range-at-end", "P-28", "-ERANGE", memory_named, &at_end },
	{ "range-offset-wraps", "P-28", "-ERANGE", memory_named,
	  &offset_wraps },
	{ "range-offset-all-ones", "P-28", "-ERANGE", memory_named,
	  &offset_all_ones },
	{ "range-sum-wraps-32-bits", "P-28", "-ERANGE", memory_named,
	  &sum_is_32_bit },
	{ "range-offset-over-4g", "P-28", "-ERANGE", memory_named,
	  &offset_over_4g },
	{ "range-length-all-ones", "P-28", "-ERANGE", memory_named,
	  &length_all_ones },
	{ "range-length-negative", "P-28", "-ERANGE", memory_named,
	  &length_half },
	{ "range-both-wrap", "P-28", "-ERANGE", memory_named, &both_wrap },
	{ "range-length-zero", "none", "0 at once", length_zero, NULL },
};
HOSTILE_TABLE(hostile_keys, cases);
