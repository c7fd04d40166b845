/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile_entries.c - entries with operations, flags and values that are not
 * there
 */
#include "hostile.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>

/* Every number that is no operation. */
static const char *unknown_ops(const struct hostile *h, const void *arg)
{
	const char *text = NULL;
	struct rig g;
	unsigned op;

	(void)arg;
	TRY(rig_open(&g, h));
	for (op = 20; op < 256 && !text; op++)
		if (op < 32 || op > 36)
			text = want_result(-EINVAL,
					   raw_do(&g.lane, op, 0, 0, 0, NULL));
	rig_close(&g);
	return text;
}

static const char *frame_ops(const struct hostile *h, const void *arg)
{
	const char *text = NULL;
	struct rig g;
	unsigned op;

	(void)arg;
	TRY(rig_open(&g, h));
	for (op = VTOE_OP_CLAIM; op <= VTOE_OP_FLUSH && !text; op++)
		text = want_result(-EOPNOTSUPP,
				   raw_do(&g.lane, op, 0, 0, 0, NULL));
	rig_close(&g);
	return text;
}

static const char *reserved(const struct hostile *h, const void *arg)
{
	const char *text = NULL;
	struct vtoe_cqe c;
	struct rig g;
	unsigned op;
	int error;

	(void)arg;
	TRY(rig_open(&g, h));
	for (op = 0; op < 20 && !text; op++) {
		struct vtoe_sqe s = { .op = (uint8_t)op };

		if (op % 2)
			s.flags = 0x80;
		else
			s.reserved = 0x8000;
		error = raw_call(&g.lane, &s, &c);
		text = want_result(-EINVAL, error ? error : c.result);
	}
	rig_close(&g);
	return text;
}

/* A flag bit that the operation does not have, for every operation. POLL and
 * GRQ_ADD use the field for numbers, REPORT for a reason: their own cases. */
static const char *unknown_flags(const struct hostile *h, const void *arg)
{
	static const struct {
		uint8_t op;
		uint32_t flags;
	} list[] = {
		{ VTOE_OP_NOP, 1 },
		{ VTOE_OP_OPEN, 1 },
		{ VTOE_OP_BIND, 1 },
		{ VTOE_OP_CONNECT, 1 },
		{ VTOE_OP_LISTEN, 1 },
		{ VTOE_OP_ACCEPT, VTOE_IO_PEEK },
		{ VTOE_OP_ACCEPT, 1u << 31 },
		{ VTOE_OP_ACCEPT, VTOE_IO_NONBLOCK | VTOE_IO_MULTI },
		{ VTOE_OP_SEND, VTOE_IO_WAITALL },
		{ VTOE_OP_SEND, 1u << 6 },
		{ VTOE_OP_RECV, VTOE_IO_MULTI },
		{ VTOE_OP_RECV, 0xffffff00u },
		{ VTOE_OP_SHUTDOWN, 1 },
		{ VTOE_OP_CLOSE, 2 },
		{ VTOE_OP_SETOPT, 1 },
		{ VTOE_OP_GETOPT, 1 },
		{ VTOE_OP_GETNAME, 1 },
		{ VTOE_OP_CANCEL, 1 },
		{ VTOE_OP_SHARE, 1 },
		{ VTOE_OP_ADOPT, 1 },
		{ VTOE_OP_POLL, 0x10000 },
		{ VTOE_OP_GRQ_MODE, 2 },
	};
	const char *text;
	struct rig g;
	uint32_t stream = 0;
	unsigned i;

	(void)arg;
	TRY(rig_open(&g, h));
	text = rig_stream(&g, &h->echo, &stream);
	for (i = 0; i < sizeof(list) / sizeof(list[0]) && !text; i++) {
		text = want_result(-EINVAL,
				   raw_memory(&g.lane, list[i].op, stream,
					      g.key, 0, 16, list[i].flags,
					      NULL));
		if (text)
			text = wrong("op %u, flags %#x: other than -EINVAL",
				     list[i].op, list[i].flags);
	}
	rig_close(&g);
	return text;
}

static const char *urgent(const struct hostile *h, const void *arg)
{
	uint32_t stream = 0;
	const char *text;
	struct rig g;

	(void)arg;
	TRY(rig_open(&g, h));
	text = rig_stream(&g, &h->echo, &stream);
	if (!text)
		text = want_result(-EOPNOTSUPP,
				   raw_memory(&g.lane, VTOE_OP_SEND, stream,
					      g.key, 0, 1, VTOE_IO_OOB,
					      NULL));
	if (!text)
		text = want_result(-EOPNOTSUPP,
				   raw_memory(&g.lane, VTOE_OP_RECV, stream,
					      g.key, 0, 1, VTOE_IO_OOB,
					      NULL));
	rig_close(&g);
	return text;
}

/* -- values -- */

static int option(struct rig *g, uint8_t op, uint32_t stream, int level,
		  int name, uint32_t length)
{
	struct vtoe_sqe s = { .op = op, .stream = stream };
	struct vtoe_cqe c;
	int error;

	s.u.option.level = (uint16_t)level;
	s.u.option.name = (uint16_t)name;
	s.u.option.length = length;
	s.u.option.value[0] = 1;
	error = raw_call(&g->lane, &s, &c);
	return error ? error : c.result;
}

/* Options that reach beyond the socket, or that no kernel has. */
static const char *options_forbidden(const struct hostile *h, const void *arg)
{
	static const struct {
		int level, name;
	} list[] = {
		{ SOL_SOCKET, SO_BINDTODEVICE },
		{ SOL_SOCKET, SO_MARK },
		{ SOL_SOCKET, SO_ATTACH_FILTER },
		{ SOL_SOCKET, SO_ATTACH_BPF },
		{ SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF },
		{ SOL_SOCKET, SO_BUSY_POLL },
		{ SOL_SOCKET, 9999 },
		{ IPPROTO_TCP, TCP_REPAIR },
		{ IPPROTO_TCP, TCP_ULP },
		{ IPPROTO_TCP, TCP_MD5SIG },
		{ IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE },
		{ IPPROTO_IP, IP_OPTIONS },
		{ IPPROTO_IP, IP_TRANSPARENT },
		{ IPPROTO_UDP, 1 },
		{ 0xffff, 0xffff },
	};
	uint32_t stream = 0;
	const char *text;
	struct rig g;
	unsigned i;

	(void)arg;
	TRY(rig_open(&g, h));
	text = rig_stream(&g, &h->echo, &stream);
	for (i = 0; i < sizeof(list) / sizeof(list[0]) && !text; i++) {
		int result = option(&g, VTOE_OP_SETOPT, stream, list[i].level,
				    list[i].name, 4);

		if (result != -ENOPROTOOPT)
			text = wrong("option %d/%d: result %d",
				     list[i].level, list[i].name, result);
	}
	rig_close(&g);
	return text;
}

static const char *option_lengths(const struct hostile *h, const void *arg)
{
	uint32_t stream = 0;
	const char *text;
	struct rig g;
	int result;

	(void)arg;
	TRY(rig_open(&g, h));
	text = rig_stream(&g, &h->echo, &stream);
	if (!text)
		text = want_result(-EINVAL,
				   option(&g, VTOE_OP_SETOPT, stream,
					  IPPROTO_TCP, TCP_NODELAY, 17));
	if (!text)
		text = want_result(-EINVAL,
				   option(&g, VTOE_OP_SETOPT, stream,
					  IPPROTO_TCP, TCP_NODELAY,
					  UINT32_MAX));
	/* TCP_INFO is larger than a completion, and no memory is named. */
	if (!text) {
		result = option(&g, VTOE_OP_GETOPT, stream, IPPROTO_TCP,
				TCP_INFO, UINT32_MAX);
		if (result >= 0)
			text = wrong("GETOPT of 4 GiB: %d", result);
	}
	if (!text)
		text = want_answers(&g.lane);
	rig_close(&g);
	return text;
}

struct valued {
	uint8_t op;
	bool stream;
	uint32_t length, flags;
	uint16_t family;
	int result;
};

static const char *value(const struct hostile *h, const void *arg)
{
	const struct valued *v = arg;
	struct vtoe_sqe s = { .op = v->op, .length = v->length,
			      .op_flags = v->flags };
	struct vtoe_cqe c;
	const char *text = NULL;
	struct rig g;
	int error;

	TRY(rig_open(&g, h));
	if (v->stream)
		text = rig_stream(&g, &h->echo, &s.stream);
	s.u.address.family = v->family;
	s.key = g.key;
	if (!text) {
		error = raw_call(&g.lane, &s, &c);
		text = want_result(v->result, error ? error : c.result);
	}
	if (!text)
		text = want_answers(&g.lane);
	rig_close(&g);
	return text;
}

#define VALUE(name, ...) static const struct valued name = { __VA_ARGS__ }
VALUE(open_unix, .op = VTOE_OP_OPEN, .family = 1, .result = -EAFNOSUPPORT);
VALUE(open_none, .op = VTOE_OP_OPEN, .result = -EAFNOSUPPORT);
VALUE(open_absurd, .op = VTOE_OP_OPEN, .family = 0xffff,
      .result = -EAFNOSUPPORT);
VALUE(connect_unix, .op = VTOE_OP_CONNECT, .stream = true, .family = 1,
      .result = -EAFNOSUPPORT);
VALUE(shutdown_3, .op = VTOE_OP_SHUTDOWN, .stream = true, .length = 3,
      .result = -EINVAL);
VALUE(shutdown_max, .op = VTOE_OP_SHUTDOWN, .stream = true,
      .length = UINT32_MAX, .result = -EINVAL);
VALUE(getname_2, .op = VTOE_OP_GETNAME, .stream = true, .length = 2,
      .result = -EINVAL);
VALUE(accept_no_listener, .op = VTOE_OP_ACCEPT, .stream = true,
      .result = -EINVAL);
VALUE(grq_count_0, .op = VTOE_OP_GRQ_ADD, .length = 4096,
      .result = -EINVAL);
VALUE(grq_length_0, .op = VTOE_OP_GRQ_ADD, .flags = 4, .result = -EINVAL);
VALUE(grq_uneven, .op = VTOE_OP_GRQ_ADD, .length = 4096, .flags = 3,
      .result = -EINVAL);
VALUE(grq_absurd, .op = VTOE_OP_GRQ_ADD, .length = 4096,
      .flags = UINT32_MAX, .result = -EINVAL);
VALUE(grq_over, .op = VTOE_OP_GRQ_ADD, .length = VTOE_GRQ_MAX + 1,
      .flags = VTOE_GRQ_MAX + 1, .result = -EINVAL);
VALUE(report_0, .op = VTOE_OP_REPORT, .result = -EINVAL);
VALUE(report_over, .op = VTOE_OP_REPORT, .flags = VTOE_FALLBACK_COUNT,
      .result = -EINVAL);
VALUE(last_of_none, .op = VTOE_OP_RECV, .length = 1, .result = -EBADF);

static const char *stream_last(const struct hostile *h, const void *arg)
{
	struct vtoe_sqe open = { .op = VTOE_OP_OPEN };
	struct vtoe_cqe c;
	const char *text;
	struct rig g;
	int error;

	(void)arg;
	TRY(rig_open(&g, h));
	text = want_result(-EBADF, raw_do(&g.lane, VTOE_OP_GETNAME,
					  VTOE_STREAM_LAST, 0, 0, NULL));
	open.u.address.family = VTOE_AF_INET;
	if (!text) {
		error = raw_call(&g.lane, &open, &c);
		text = want_result(0, error ? error : c.result);
	}
	if (!text)
		text = want_result(-EBADF, raw_do(&g.other, VTOE_OP_GETNAME,
						  VTOE_STREAM_LAST, 0, 0,
						  NULL));
	/* An OPEN that fails takes LAST away. */
	open.u.address.family = 77;
	open.user_data = 0;
	if (!text) {
		error = raw_call(&g.lane, &open, &c);
		text = want_result(-EAFNOSUPPORT, error ? error : c.result);
	}
	if (!text)
		text = want_result(-EBADF, raw_do(&g.lane, VTOE_OP_GETNAME,
						  VTOE_STREAM_LAST, 0, 0,
						  NULL));
	rig_close(&g);
	return text;
}

static const struct hostile_case cases[] = {
	{ "ops-unknown", "section 8", "-EINVAL", unknown_ops, NULL },
	{ "ops-of-frames", "section 9", "-EOPNOTSUPP", frame_ops, NULL },
	{ "entry-reserved-fields", "P-1", "-EINVAL", reserved, NULL },
	{ "entry-unknown-flags", "P-2", "-EINVAL", unknown_flags, NULL },
	{ "urgent-data", "P-2", "-EOPNOTSUPP", urgent, NULL },
	{ "options-forbidden", "section 9", "-ENOPROTOOPT",
	  options_forbidden, NULL },
	{ "option-lengths", "section 9", "an error", option_lengths, NULL },
	{ "open-family-unix", "section 9", "-EAFNOSUPPORT", value,
	  &open_unix },
	{ "open-family-0", "section 9", "-EAFNOSUPPORT", value, &open_none },
	{ "open-family-absurd", "section 9", "-EAFNOSUPPORT", value,
	  &open_absurd },
	{ "connect-family-unix", "section 9", "-EAFNOSUPPORT", value,
	  &connect_unix },
	{ "shutdown-3", "section 9", "-EINVAL", value, &shutdown_3 },
	{ "shutdown-all-ones", "section 9", "-EINVAL", value,
	  &shutdown_max },
	{ "getname-2", "section 9", "-EINVAL", value, &getname_2 },
	{ "accept-no-listener", "section 9", "-EINVAL", value,
	  &accept_no_listener },
	{ "grq-count-0", "section 9", "-EINVAL", value, &grq_count_0 },
	{ "grq-length-0", "section 9", "-EINVAL", value, &grq_length_0 },
	{ "grq-uneven", "section 9", "-EINVAL", value, &grq_uneven },
	{ "grq-count-all-ones", "section 9", "-EINVAL", value, &grq_absurd },
	{ "grq-count-over", "section 9", "-EINVAL", value, &grq_over },
	{ "report-reason-0", "section 9", "-EINVAL", value, &report_0 },
	{ "report-reason-over", "section 9", "-EINVAL", value,
	  &report_over },
	{ "stream-0", "section 8", "-EBADF", value, &last_of_none },
	{ "stream-last", "section 8", "-EBADF", stream_last, NULL },
};
HOSTILE_TABLE(hostile_entries, cases);
