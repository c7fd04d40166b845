/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile_streams.c - streams of others, tokens, generic buffers
 */
#include "hostile.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static const char *ask_stream(struct raw_lane *l, uint32_t stream, int result)
{
	static const uint8_t ops[] = { VTOE_OP_SEND, VTOE_OP_RECV,
				       VTOE_OP_SHUTDOWN, VTOE_OP_CLOSE,
				       VTOE_OP_GETNAME, VTOE_OP_POLL,
				       VTOE_OP_SHARE, VTOE_OP_GRQ_MODE,
				       VTOE_OP_ACCEPT, VTOE_OP_LISTEN,
				       VTOE_OP_BIND, VTOE_OP_CONNECT,
				       VTOE_OP_SETOPT, VTOE_OP_GETOPT };
	unsigned i;

	for (i = 0; i < sizeof(ops); i++) {
		int got = raw_do(l, ops[i], stream, 0, 0, NULL);

		if (got != result)
			return wrong("op %u on stream %#x: %d, expected %d",
				     ops[i], stream, got, result);
	}
	return NULL;
}

/* A stream of another lane of the same connection. */
static const char *of_other_lane(const struct hostile *h, const void *arg)
{
	uint32_t stream = 0;
	const char *text;
	struct rig g;

	(void)arg;
	TRY(rig_open(&g, h));
	text = rig_stream(&g, &h->echo, &stream);
	if (!text)
		text = ask_stream(&g.other, stream, -EACCES);
	/* CANCEL by stream is refused too. */
	if (!text)
		text = want_result(-EACCES, raw_do(&g.other, VTOE_OP_CANCEL,
						   stream, 0, 0, NULL));
	if (!text)
		text = want_result(16, raw_memory(&g.lane, VTOE_OP_SEND,
						  stream, g.key, 0, 16, 0,
						  NULL));
	rig_close(&g);
	return text;
}

/* A stream of another connection to the same worker. */
static const char *of_other_peer(const struct hostile *h, const void *arg)
{
	uint32_t stream = 0;
	const char *text;
	struct rig g, victim;

	(void)arg;
	TRY(rig_open(&g, h));
	text = rig_open(&victim, h);
	if (!text) {
		text = rig_stream(&victim, &h->echo, &stream);
		if (!text)
			text = ask_stream(&g.lane, stream, -EACCES);
		if (!text)
			text = want_result(16,
				raw_memory(&victim.lane, VTOE_OP_SEND, stream,
					   victim.key, 0, 16, 0, NULL));
		rig_close(&victim);
	}
	rig_close(&g);
	return text;
}

/* Every id near a good one, and its index with other generations. */
static const char *generation_guess(const struct hostile *h, const void *arg)
{
	uint32_t stream = 0, i;
	const char *text;
	struct rig g;

	(void)arg;
	TRY(rig_open(&g, h));
	text = rig_stream(&g, &h->echo, &stream);
	for (i = 0; i < 32 && !text; i++) {
		int got = raw_do(&g.lane, VTOE_OP_GETNAME,
				 stream ^ (1u << i), 0, 0, NULL);

		/* The witness's stream may be hit: that one lives. */
		if (got != -EBADF && got != -EACCES)
			text = wrong("stream %#x: %d", stream ^ (1u << i),
				     got);
	}
	for (i = 1; i < 20000 / h->share && !text; i++) {
		int got = raw_do(&g.lane, VTOE_OP_GETNAME, i * 0x9e3779b1u, 0,
				 0, NULL);

		if (i * 0x9e3779b1u != stream && got != -EBADF &&
		    got != -EACCES)
			text = wrong("stream %#x: %d", i * 0x9e3779b1u, got);
	}
	rig_close(&g);
	return text;
}

/* Closed is dead, at once and for ever, also when its slot is used again. */
static const char *closed(const struct hostile *h, const void *arg)
{
	uint32_t stream = 0, next = 0;
	const char *text;
	struct rig g;
	int i;

	(void)arg;
	TRY(rig_open(&g, h));
	text = rig_stream(&g, &h->echo, &stream);
	if (!text)
		text = want_result(0, raw_do(&g.lane, VTOE_OP_CLOSE, stream, 0,
					     0, NULL));
	if (!text)
		text = ask_stream(&g.lane, stream, -EBADF);
	for (i = 0; i < 50 && !text; i++) {
		text = rig_stream(&g, &h->echo, &next);
		if (!text && next == stream)
			text = wrong("the id came back after %d streams", i);
		if (!text)
			text = want_result(-EBADF,
				raw_do(&g.lane, VTOE_OP_GETNAME, stream, 0, 0,
				       NULL));
		if (!text)
			text = want_result(0, raw_do(&g.lane, VTOE_OP_CLOSE,
						     next, 0, 0, NULL));
	}
	rig_close(&g);
	return text;
}

/* -- tokens -- */

static int adopt(struct raw_lane *l, const uint8_t *token, uint32_t *stream)
{
	struct vtoe_sqe s = { .op = VTOE_OP_ADOPT };
	struct vtoe_cqe c;
	int error;

	memcpy(s.u.token, token, sizeof(s.u.token));
	error = raw_call(l, &s, &c);
	*stream = c.stream;
	return error ? error : c.result;
}

static const char *token_twice(const struct hostile *h, const void *arg)
{
	uint32_t stream = 0, same = 0;
	struct vtoe_cqe shared;
	const char *text;
	struct rig g;
	int i;

	(void)arg;
	TRY(rig_open(&g, h));
	text = rig_stream(&g, &h->echo, &stream);
	if (!text)
		text = want_result(0, raw_do(&g.lane, VTOE_OP_SHARE, stream, 0,
					     0, &shared));
	/* One bit off: unknown, and the right one is not used up by that. */
	for (i = 0; i < 128 && !text; i++) {
		shared.u.token[i / 8] ^= 1u << i % 8;
		text = want_result(-ENOENT, adopt(&g.other, shared.u.token,
						  &same));
		shared.u.token[i / 8] ^= 1u << i % 8;
	}
	if (!text)
		text = want_result(0, adopt(&g.other, shared.u.token, &same));
	if (!text && same != stream)
		text = wrong("adopted %#x instead of %#x", same, stream);
	if (!text)
		text = want_result(-ENOENT, adopt(&g.other, shared.u.token,
						  &same));
	rig_close(&g);
	return text;
}

/* The token of a connection that has gone is good for one lane, once, as a
 * child needs it whose parent has exited. */
static const char *token_of_dead(const struct hostile *h, const void *arg)
{
	uint32_t stream = 0;
	struct vtoe_cqe shared;
	struct rig g, gone;
	const char *text;
	int i;

	(void)arg;
	TRY(rig_open(&gone, h));
	text = rig_stream(&gone, &h->echo, &stream);
	if (!text)
		text = want_result(0, raw_do(&gone.lane, VTOE_OP_SHARE, stream,
					     0, 0, &shared));
	rig_close(&gone);
	if (text)
		return text;
	TRY(rig_open(&g, h));
	/* The worker hears of the hang-up in its next turns. */
	for (i = 0; i < 50 && !text; i++)
		text = want_answers(&g.lane);
	if (!text)
		text = want_result(0, adopt(&g.lane, shared.u.token, &stream));
	if (!text)
		text = want_result(16, raw_memory(&g.lane, VTOE_OP_SEND,
						  stream, g.key, 0, 16, 0,
						  NULL));
	if (!text)
		text = want_result(-ENOENT, adopt(&g.other, shared.u.token,
						  &stream));
	rig_close(&g);
	return text;
}

static const char *share_dead(const struct hostile *h, const void *arg)
{
	uint32_t stream = 0;
	const char *text;
	struct rig g;

	(void)arg;
	TRY(rig_open(&g, h));
	text = rig_stream(&g, &h->echo, &stream);
	if (!text)
		text = want_result(0, raw_do(&g.lane, VTOE_OP_CLOSE, stream, 0,
					     VTOE_CLOSE_ABORT, NULL));
	if (!text)
		text = want_result(-EBADF, raw_do(&g.lane, VTOE_OP_SHARE,
						  stream, 0, 0, NULL));
	rig_close(&g);
	return text;
}

static const char *share_flood(const struct hostile *h, const void *arg)
{
	uint32_t stream = 0;
	const char *text;
	struct rig g;
	unsigned i;
	int result = 0;

	(void)arg;
	TRY(rig_open(&g, h));
	text = rig_stream(&g, &h->echo, &stream);
	for (i = 0; i < 1000 && !text; i++) {
		result = raw_do(&g.lane, VTOE_OP_SHARE, stream, 0, 0, NULL);
		if (result)
			break;
	}
	if (!text)
		text = want_result(-EBUSY, result);
	if (!text && i != 64)
		text = wrong("%u tokens were given", i);
	if (!text)
		text = want_answers(&g.lane);
	rig_close(&g);
	return text;
}

/* -- generic buffers -- */

static const char *grq_mode_twice(const struct hostile *h, const void *arg)
{
	struct vtoe_cqe shared;
	uint32_t stream = 0, same;
	const char *text;
	struct rig g;

	(void)arg;
	TRY(rig_open(&g, h));
	text = rig_stream(&g, &h->echo, &stream);
	if (!text)
		text = want_result(-EINVAL,
				   raw_do(&g.lane, VTOE_OP_GRQ_MODE, stream, 0,
					  0, NULL));
	if (!text)
		text = want_result(0, raw_do(&g.lane, VTOE_OP_GRQ_MODE, stream,
					     0, 1, NULL));
	if (!text)
		text = want_result(0, raw_do(&g.lane, VTOE_OP_GRQ_MODE, stream,
					     0, 1, NULL));
	if (!text)
		text = want_result(0, raw_do(&g.lane, VTOE_OP_SHARE, stream, 0,
					     0, &shared));
	if (!text)
		text = want_result(0, adopt(&g.other, shared.u.token, &same));
	if (!text)
		text = want_result(-EBUSY,
				   raw_do(&g.other, VTOE_OP_GRQ_MODE, stream,
					  0, 1, NULL));
	if (!text)
		text = want_result(-EINVAL,
				   raw_do(&g.other, VTOE_OP_GRQ_MODE, stream,
					  0, 0, NULL));
	rig_close(&g);
	return text;
}

static int grq_put(struct rig *g, uint64_t offset, uint32_t length,
		   uint32_t count)
{
	struct vtoe_sqe s = { .op = VTOE_OP_GRQ_ADD, .key = g->key,
			      .offset = offset, .length = length,
			      .op_flags = count };

	return raw_put(&g->lane, &s);
}

/* The same buffer over and over, and overlapping ones: the data of this guest
 * is mixed up, nothing else. */
static const char *grq_overlap(const struct hostile *h, const void *arg)
{
	struct vtoe_cqe c;
	uint32_t stream = 0;
	unsigned bytes = 0;
	const char *text;
	struct rig g;
	int i, error;

	(void)arg;
	TRY(rig_open(&g, h));
	text = rig_stream(&g, &h->echo, &stream);
	for (i = 0; i < 20; i++)
		grq_put(&g, (uint64_t)i * 100, 512, 1);
	for (i = 0; i < 10; i++)
		grq_put(&g, 0, 512, 1);
	raw_submit(&g.lane);
	if (!text)
		text = want_result(0, raw_do(&g.lane, VTOE_OP_GRQ_MODE, stream,
					     0, 1, NULL));
	if (!text)
		text = want_result(8192, raw_memory(&g.lane, VTOE_OP_SEND,
						    stream, g.key, 32768, 8192,
						    0, NULL));
	while (!text && bytes < 8192) {
		error = raw_next(&g.lane, &c, RAW_TIMEOUT_MS);
		if (error || c.result <= 0 || !(c.flags & VTOE_CQE_GRQ) ||
		    c.key != g.key || c.offset >= RIG_BYTES ||
		    c.length > RIG_BYTES - c.offset)
			text = wrong("generic completion: %d, %d bytes at "
				     "%#llx", error, c.result,
				     (unsigned long long)c.offset);
		else
			bytes += (unsigned)c.result;
		grq_put(&g, c.offset, 512, 1);
		raw_submit(&g.lane);
	}
	rig_close(&g);
	return text;
}

/* More buffers than a lane may have in its pool. */
static const char *grq_over_quota(const struct hostile *h, const void *arg)
{
	struct vtoe_cqe c;
	const char *text = NULL;
	struct rig g;
	int error;

	(void)arg;
	TRY(rig_open(&g, h));
	grq_put(&g, 0, VTOE_GRQ_MAX * 8, VTOE_GRQ_MAX);
	raw_submit(&g.lane);
	text = want_answers(&g.lane);
	grq_put(&g, 0, 8, 1);
	raw_submit(&g.lane);
	if (!text) {
		error = raw_next(&g.lane, &c, RAW_TIMEOUT_MS);
		text = want_result(-EDQUOT, error ? error : c.result);
	}
	rig_close(&g);
	return text;
}

/* Generic buffers whose region goes away before they are used. */
static const char *grq_region_gone(const struct hostile *h, const void *arg)
{
	uint32_t stream = 0;
	struct vtoe_cqe c;
	const char *text;
	uint64_t key;
	struct rig g;
	int error;

	(void)arg;
	TRY(rig_open(&g, h));
	text = want_result(0, raw_region_add(&g.peer, g.lane.id, g.memory,
					     VTOE_PAGE, 3, &key));
	if (!text)
		text = rig_stream(&g, &h->echo, &stream);
	grq_put(&g, 0, 4096, 4);
	raw_submit(&g.lane);
	if (!text)
		text = want_result(0, raw_do(&g.lane, VTOE_OP_GRQ_MODE, stream,
					     0, 1, NULL));
	if (!text)
		text = want_result(0, raw_region_del(&g.peer, g.key));
	if (!text)
		text = want_result(64, raw_memory(&g.lane, VTOE_OP_SEND,
						  stream, key, 0, 64, 0,
						  NULL));
	/* The echo finds no buffer, and waits; a RECV with the new key gets
	 * nothing lost. */
	if (!text) {
		error = raw_memory(&g.lane, VTOE_OP_RECV, stream, key, 1024,
				   64, VTOE_IO_WAITALL, &c);
		text = want_result(64, error);
	}
	rig_close(&g);
	return text;
}

/* -- closing slowly -- */

/* Many streams whose close waits for a peer that never reads. Each CLOSE takes
 * its time; nothing else of the guest's may wait for them. */
static const char *linger_storm(const struct hostile *h, const void *arg)
{
	struct linger l = { .l_onoff = 1, .l_linger = 120 };
	struct vtoe_sqe s = { .op = VTOE_OP_SETOPT };
	uint32_t stream = 0;
	struct vtoe_cqe c;
	const char *text;
	struct rig g;
	int most = 200 / (int)h->share + 20, i, error;

	(void)arg;
	TRY(rig_open(&g, h));
	text = NULL;
	for (i = 0; i < most && !text; i++) {
		text = rig_stream(&g, &h->deaf, &stream);
		s.stream = stream;
		s.user_data = 0;
		s.u.option.level = SOL_SOCKET;
		s.u.option.name = SO_LINGER;
		s.u.option.length = sizeof(l);
		memcpy(s.u.option.value, &l, sizeof(l));
		if (!text) {
			error = raw_call(&g.lane, &s, &c);
			text = want_result(0, error ? error : c.result);
		}
		error = 1; /* until nothing more goes in */
		while (!text && error > 0)
			error = raw_memory(&g.lane, VTOE_OP_SEND, stream,
					   g.key, 0, RIG_BYTES,
					   VTOE_IO_NONBLOCK, NULL);
		if (!text)
			text = want_result(-EAGAIN, error);
		if (!text) {
			struct vtoe_sqe close = { .op = VTOE_OP_CLOSE,
						  .stream = stream,
						  .user_data = 1u << 20 };

			raw_put(&g.lane, &close);
			raw_submit(&g.lane);
			text = want_answers(&g.lane);
		}
	}
	/* One that need not wait. */
	if (!text)
		text = rig_stream(&g, &h->echo, &stream);
	if (!text)
		text = want_result(0, raw_do(&g.lane, VTOE_OP_CLOSE, stream, 0,
					     0, NULL));
	rig_close(&g);
	return text;
}

/* Connecting to where nobody answers, and gone. */
static const char *connect_nowhere(const struct hostile *h, const void *arg)
{
	struct vtoe_sqe open = { .op = VTOE_OP_OPEN };
	struct vtoe_sqe to = { .op = VTOE_OP_CONNECT,
			       .stream = VTOE_STREAM_LAST };
	const char *text;
	struct rig g;
	int i;

	(void)arg;
	TRY(rig_open(&g, h));
	open.u.address.family = VTOE_AF_INET;
	to.u.address = h->echo;
	for (i = 0; i < 25; i++) {
		to.u.address.ip[3] = (uint8_t)(200 + i);
		open.user_data = to.user_data = 0;
		raw_put(&g.lane, &open);
		raw_put(&g.lane, &to);
	}
	raw_submit(&g.lane);
	text = want_answers(&g.other);
	rig_close(&g);
	return text;
}

static const struct hostile_case cases[] = {
	{ "stream-of-other-lane", "section 8", "-EACCES", of_other_lane,
	  NULL },
	{ "stream-of-other-connection", "section 8", "-EACCES",
	  of_other_peer, NULL },
	{ "stream-guesses", "section 8", "-EBADF", generation_guess, NULL },
	{ "stream-closed", "section 9", "-EBADF", closed, NULL },
	{ "linger-storm", "section 9", "others do not wait", linger_storm,
	  NULL },
	{ "connect-nowhere-and-gone", "section 11", "nothing left behind",
	  connect_nowhere, NULL },
	{ "token-twice-and-guessed", "section 9", "-ENOENT", token_twice,
	  NULL },
	{ "token-of-dead-connection", "section 9", "good once", token_of_dead,
	  NULL },
	{ "share-dead-stream", "section 9", "-EBADF", share_dead, NULL },
	{ "share-over-quota", "section 12", "-EBUSY", share_flood, NULL },
	{ "grq-mode-of-another", "section 9", "-EBUSY, -EINVAL",
	  grq_mode_twice, NULL },
	{ "grq-buffers-overlap", "P-31", "own data mixed up", grq_overlap,
	  NULL },
	{ "grq-over-quota", "section 12", "-EDQUOT", grq_over_quota, NULL },
	{ "grq-region-gone", "section 7", "data waits", grq_region_gone,
	  NULL },
};
HOSTILE_TABLE(hostile_streams, cases);
