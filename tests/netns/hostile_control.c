/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile_control.c - HELLO, lanes' geometry, requests that are not there
 */
#include "hostile.h"

#include <errno.h>
#include <string.h>

/* -- HELLO -- */

static struct vtoe_ctl_request hello_of(struct raw_peer *p)
{
	struct vtoe_ctl_request r = { .op = VTOE_CTL_HELLO, .user_data = 1 };

	r.u.hello.version = VTOE_VERSION_1;
	r.u.hello.features = p->page.features;
	return r;
}

struct first {
	void (*spoil)(struct vtoe_ctl_request *r);
	uint32_t violation;
};

/* A first request that is wrong parks the connection, with a named reason. */
static const char *first_request(const struct hostile *h, const void *arg)
{
	const struct first *f = arg;
	struct vtoe_ctl_request r;
	struct raw_peer p;
	const char *text;
	int error;

	error = raw_connect(&p, h->socket);
	if (error)
		return want_result(0, error);
	r = hello_of(&p);
	f->spoil(&r);
	raw_control_submit(&p, &r);
	text = want_parked(&p, f->violation);
	raw_close(&p);
	return text;
}

static void spoil_op(struct vtoe_ctl_request *r)
{
	r->op = VTOE_CTL_LANE_ADD;
}

static void spoil_zero(struct vtoe_ctl_request *r)
{
	memset(r, 0, sizeof(*r));
}

static void spoil_reserved(struct vtoe_ctl_request *r)
{
	r->reserved0[1] = 1;
}

static void spoil_version(struct vtoe_ctl_request *r)
{
	r->u.hello.version = 2;
}

static void spoil_version_zero(struct vtoe_ctl_request *r)
{
	r->u.hello.version = 0;
}

static void spoil_features(struct vtoe_ctl_request *r)
{
	r->u.hello.features |= 1ull << 40;
}

static void spoil_frames(struct vtoe_ctl_request *r)
{
	r->u.hello.features |= VTOE_F_TTO;
}

static const struct first first_op = { spoil_op, VTOE_VIOLATION_HELLO };
static const struct first first_zero = { spoil_zero, VTOE_VIOLATION_HELLO };
static const struct first first_reserved = { spoil_reserved,
					     VTOE_VIOLATION_HELLO };
static const struct first first_version = { spoil_version,
					    VTOE_VIOLATION_VERSION };
static const struct first first_version0 = { spoil_version_zero,
					     VTOE_VIOLATION_VERSION };
static const struct first first_features = { spoil_features,
					     VTOE_VIOLATION_FEATURES };
static const struct first first_frames = { spoil_frames,
					   VTOE_VIOLATION_FEATURES };

static const char *hello_twice(const struct hostile *h, const void *arg)
{
	const char *text;
	struct rig g;

	(void)arg;
	TRY(rig_open(&g, h));
	text = want_result(-EALREADY, raw_hello(&g.peer));
	if (!text)
		text = want_answers(&g.lane);
	rig_close(&g);
	return text;
}

/* Operations of a feature that was offered and not accepted. */
static const char *not_accepted(const struct hostile *h, const void *arg)
{
	static const uint8_t ops[] = { VTOE_OP_OPEN, VTOE_OP_SHARE,
				       VTOE_OP_ADOPT, VTOE_OP_GRQ_ADD,
				       VTOE_OP_GRQ_MODE };
	struct vtoe_ctl_completion c;
	struct vtoe_ctl_request r;
	const char *text = NULL;
	struct raw_lane l;
	struct raw_peer p;
	unsigned i;
	int error;

	(void)arg;
	error = raw_connect(&p, h->socket);
	if (error)
		return want_result(0, error);
	r = hello_of(&p);
	r.u.hello.features = 0;
	error = raw_control(&p, &r, &c);
	if (!error)
		error = c.result;
	if (!error)
		error = raw_lane_add(&p, &l, 8, 8, 1);
	if (error)
		text = want_result(0, error);
	for (i = 0; i < sizeof(ops) && !text; i++)
		text = want_result(-EOPNOTSUPP,
				   raw_do(&l, ops[i], 0, 0, 0, NULL));
	if (!text) {
		memset(&r, 0, sizeof(r));
		r.op = VTOE_CTL_REGION_ADD;
		r.lane = VTOE_LANE_ANY;
		r.u.region.offset = raw_alloc(&p, VTOE_PAGE);
		r.u.region.count = 2;
		r.u.region.rights = VTOE_REGION_READ;
		error = raw_control(&p, &r, &c);
		text = want_result(-EOPNOTSUPP, error ? error : c.result);
	}
	raw_close(&p);
	return text;
}

/* -- geometry of a lane: one field of a good request is changed -- */

struct geometry {
	uint64_t sq, cq;     /* added to good offsets, or absolute */
	bool absolute;
	uint32_t sq_entries, cq_entries; /* 0: 16 */
	uint32_t vector;		 /* 0: 1 */
	int result;
};

static const char *lane_geometry(const struct hostile *h, const void *arg)
{
	struct vtoe_ctl_request r = { .op = VTOE_CTL_LANE_ADD };
	const struct geometry *a = arg;
	struct vtoe_ctl_completion c;
	const char *text;
	uint64_t at;
	struct rig g;
	int error;

	TRY(rig_open(&g, h));
	at = raw_alloc(&g.peer, 16 * VTOE_PAGE);
	r.u.lane.sq_offset = a->absolute ? a->sq : at + a->sq;
	r.u.lane.cq_offset = a->absolute && a->cq ? a->cq :
			     at + 8 * VTOE_PAGE + a->cq;
	r.u.lane.sq_entries = a->sq_entries ? a->sq_entries : 16;
	r.u.lane.cq_entries = a->cq_entries ? a->cq_entries : 16;
	r.u.lane.vector = a->vector ? a->vector : 1;
	if (a->vector == UINT32_MAX)
		r.u.lane.vector = 0;
	error = raw_control(&g.peer, &r, &c);
	text = want_result(a->result, error ? error : c.result);
	if (!text)
		text = want_answers(&g.lane);
	rig_close(&g);
	return text;
}

#define GEOMETRY(name, ...) \
	static const struct geometry name = { __VA_ARGS__ }
GEOMETRY(sq_misaligned, .sq = 32, .result = -EINVAL);
GEOMETRY(cq_misaligned, .cq = 1, .result = -EINVAL);
GEOMETRY(sq_not_power, .sq_entries = 24, .result = -EINVAL);
GEOMETRY(cq_not_power, .cq_entries = 100, .result = -EINVAL);
GEOMETRY(sq_too_small, .sq_entries = 4, .result = -EINVAL);
GEOMETRY(cq_one, .cq_entries = 1, .result = -EINVAL);
GEOMETRY(sq_too_large, .sq_entries = 65536, .result = -EINVAL);
GEOMETRY(cq_too_large, .cq_entries = 0x80000000u, .result = -EINVAL);
GEOMETRY(sq_all_ones, .sq_entries = 0xffffffffu, .result = -EINVAL);
GEOMETRY(sq_over_page, .absolute = true, .sq = 0, .result = -ERANGE);
GEOMETRY(sq_over_control, .absolute = true, .sq = VTOE_CTL_REQUEST_OFFSET,
	 .result = -ERANGE);
GEOMETRY(cq_over_control, .absolute = true, .sq = VTOE_GUEST_OFFSET,
	 .cq = VTOE_CTL_COMPLETION_OFFSET, .result = -ERANGE);
GEOMETRY(sq_just_before, .absolute = true, .sq = VTOE_GUEST_OFFSET - 64,
	 .result = -ERANGE);
GEOMETRY(sq_far_outside, .absolute = true, .sq = 1ull << 40,
	 .result = -ERANGE);
GEOMETRY(sq_wraps, .absolute = true, .sq = -64ull, .result = -ERANGE);
GEOMETRY(cq_over_sq, .cq = -8ull * VTOE_PAGE, .result = -EINVAL);
GEOMETRY(cq_in_sq, .cq = -8ull * VTOE_PAGE + 512, .result = -EINVAL);
GEOMETRY(over_other_lane, .absolute = true, .sq = VTOE_GUEST_OFFSET + 64,
	 .result = -EINVAL);
GEOMETRY(vector_zero, .vector = UINT32_MAX, .result = -EINVAL);
GEOMETRY(vector_absurd, .vector = 60000, .result = -EINVAL);

static const char *ring_past_end(const struct hostile *h, const void *arg)
{
	struct vtoe_ctl_request r = { .op = VTOE_CTL_LANE_ADD };
	struct vtoe_ctl_completion c;
	const char *text;
	struct rig g;
	int error;

	(void)arg;
	TRY(rig_open(&g, h));
	r.u.lane.sq_offset = g.peer.page.memory_bytes - 128 - 15 * 64;
	r.u.lane.cq_offset = raw_alloc(&g.peer, VTOE_PAGE);
	r.u.lane.sq_entries = r.u.lane.cq_entries = 16;
	r.u.lane.sq_offset &= ~63ull;
	r.u.lane.vector = 1;
	error = raw_control(&g.peer, &r, &c);
	text = want_result(-ERANGE, error ? error : c.result);
	rig_close(&g);
	return text;
}

static const char *lane_reserved(const struct hostile *h, const void *arg)
{
	struct vtoe_ctl_request r = { .op = VTOE_CTL_LANE_ADD };
	struct vtoe_ctl_completion c;
	const char *text;
	struct rig g;
	int error;

	(void)arg;
	TRY(rig_open(&g, h));
	r.u.lane.sq_offset = raw_alloc(&g.peer, VTOE_PAGE);
	r.u.lane.cq_offset = raw_alloc(&g.peer, VTOE_PAGE);
	r.u.lane.sq_entries = r.u.lane.cq_entries = 16;
	r.u.lane.vector = 1;
	r.u.lane.reserved = 1;
	error = raw_control(&g.peer, &r, &c);
	text = want_result(-EINVAL, error ? error : c.result);
	rig_close(&g);
	return text;
}

static const char *too_many_lanes(const struct hostile *h, const void *arg)
{
	struct raw_lane l;
	const char *text;
	unsigned made;
	struct rig g;
	int result;

	(void)arg;
	TRY(rig_open(&g, h));
	for (made = 2; made < 100000; made++) {
		result = raw_lane_add(&g.peer, &l, 8, 8, 1);
		if (result)
			break;
	}
	text = want_result(-EUSERS, result);
	if (!text && made != g.peer.page.max_lanes)
		text = wrong("%u lanes were made, the limit is %u", made,
			     g.peer.page.max_lanes);
	rig_close(&g);
	return text;
}

/* -- requests that fail, and nothing more -- */

static const char *control_error(const struct hostile *h, const void *arg)
{
	const struct vtoe_ctl_request *want = arg;
	struct vtoe_ctl_request r = *want;
	struct vtoe_ctl_completion c;
	const char *text;
	struct rig g;
	int error;

	TRY(rig_open(&g, h));
	/* The expected result rides in a field that the operation ignores. */
	memset(r.u.raw + 44, 0, 4);
	error = raw_control(&g.peer, &r, &c);
	text = want_result(-(int)want->u.raw[44], error ? error : c.result);
	if (!text)
		text = want_answers(&g.lane);
	rig_close(&g);
	return text;
}

#define CONTROL_ERROR(name, error, ...)                       \
	static const struct vtoe_ctl_request name = {         \
		__VA_ARGS__, .u.raw[44] = (error),            \
	}
CONTROL_ERROR(op_zero, EINVAL, .op = 0);
CONTROL_ERROR(op_six, EINVAL, .op = 6);
CONTROL_ERROR(op_event, EINVAL, .op = VTOE_CTL_EVENT);
CONTROL_ERROR(op_last, EINVAL, .op = 255);
CONTROL_ERROR(op_reserved, EINVAL, .op = VTOE_CTL_LANE_DEL, .lane = 1,
	      .reserved0 = { 0, 0, 1 });
CONTROL_ERROR(lane_unknown, ENOENT, .op = VTOE_CTL_LANE_DEL,
	      .lane = 0x12345678);
CONTROL_ERROR(lane_any, ENOENT, .op = VTOE_CTL_LANE_DEL,
	      .lane = VTOE_LANE_ANY);
CONTROL_ERROR(key_zero, ENOKEY, .op = VTOE_CTL_REGION_DEL);

static const char *user_data_zero(const struct hostile *h, const void *arg)
{
	struct vtoe_ctl_request r = { .op = VTOE_CTL_LANE_DEL, .lane = 0x999 };
	struct vtoe_ctl_completion c;
	const char *text;
	struct rig g;
	int error;

	(void)arg;
	TRY(rig_open(&g, h));
	raw_control_submit(&g.peer, &r);
	error = raw_control_next(&g.peer, &c, RAW_TIMEOUT_MS);
	text = want_result(-EINVAL, error ? error : c.result);
	rig_close(&g);
	return text;
}

static const char *lane_del_twice(const struct hostile *h, const void *arg)
{
	const char *text;
	struct rig g;

	(void)arg;
	TRY(rig_open(&g, h));
	text = want_result(0, raw_lane_del(&g.lane));
	if (!text)
		text = want_result(-ENOENT, raw_lane_del(&g.lane));
	/* The deleted lane's own region went with it. */
	if (!text)
		text = want_result(-ENOKEY, raw_region_del(&g.peer, g.key));
	if (!text)
		text = want_answers(&g.other);
	rig_close(&g);
	return text;
}

static const struct hostile_case cases[] = {
	{ "hello-missing", "P-12", "connection parked: HELLO", first_request,
	  &first_op },
	{ "hello-all-zero", "P-12", "connection parked: HELLO",
	  first_request, &first_zero },
	{ "hello-reserved-field", "P-12", "connection parked: HELLO",
	  first_request, &first_reserved },
	{ "hello-version-unknown", "P-12", "connection parked: VERSION",
	  first_request, &first_version },
	{ "hello-version-zero", "P-12", "connection parked: VERSION",
	  first_request, &first_version0 },
	{ "hello-feature-unknown", "P-13", "connection parked: FEATURES",
	  first_request, &first_features },
	{ "hello-feature-not-offered", "P-13", "connection parked: FEATURES",
	  first_request, &first_frames },
	{ "hello-twice", "P-14", "-EALREADY", hello_twice, NULL },
	{ "feature-not-accepted", "P-13", "-EOPNOTSUPP", not_accepted, NULL },
	{ "sq-misaligned", "P-24", "-EINVAL", lane_geometry, &sq_misaligned },
	{ "cq-misaligned", "P-24", "-EINVAL", lane_geometry, &cq_misaligned },
	{ "sq-no-power-of-two", "P-24", "-EINVAL", lane_geometry,
	  &sq_not_power },
	{ "cq-no-power-of-two", "P-24", "-EINVAL", lane_geometry,
	  &cq_not_power },
	{ "sq-too-small", "P-24", "-EINVAL", lane_geometry, &sq_too_small },
	{ "cq-of-one", "P-24", "-EINVAL", lane_geometry, &cq_one },
	{ "sq-too-large", "P-24", "-EINVAL", lane_geometry, &sq_too_large },
	{ "cq-too-large", "P-24", "-EINVAL", lane_geometry, &cq_too_large },
	{ "sq-entries-all-ones", "P-24", "-EINVAL", lane_geometry,
	  &sq_all_ones },
	{ "sq-over-device-page", "P-4", "-ERANGE", lane_geometry,
	  &sq_over_page },
	{ "sq-over-control-ring", "P-4", "-ERANGE", lane_geometry,
	  &sq_over_control },
	{ "cq-over-control-ring", "P-4", "-ERANGE", lane_geometry,
	  &cq_over_control },
	{ "sq-begins-too-early", "P-4", "-ERANGE", lane_geometry,
	  &sq_just_before },
	{ "sq-outside", "P-4", "-ERANGE", lane_geometry, &sq_far_outside },
	{ "sq-offset-wraps", "P-4", "-ERANGE", lane_geometry, &sq_wraps },
	{ "sq-past-end", "P-4", "-ERANGE", ring_past_end, NULL },
	{ "cq-is-sq", "P-24", "-EINVAL", lane_geometry, &cq_over_sq },
	{ "cq-inside-sq", "P-24", "-EINVAL", lane_geometry, &cq_in_sq },
	{ "sq-over-other-lane", "P-24", "-EINVAL", lane_geometry,
	  &over_other_lane },
	{ "vector-of-control", "P-24", "-EINVAL", lane_geometry,
	  &vector_zero },
	{ "vector-absurd", "P-24", "-EINVAL", lane_geometry, &vector_absurd },
	{ "lane-reserved-field", "P-1", "-EINVAL", lane_reserved, NULL },
	{ "lanes-over-quota", "section 12", "-EUSERS", too_many_lanes, NULL },
	{ "control-op-0", "section 7", "-EINVAL", control_error, &op_zero },
	{ "control-op-6", "section 7", "-EINVAL", control_error, &op_six },
	{ "control-op-event", "section 7", "-EINVAL", control_error,
	  &op_event },
	{ "control-op-255", "section 7", "-EINVAL", control_error, &op_last },
	{ "control-reserved-field", "P-1", "-EINVAL", control_error,
	  &op_reserved },
	{ "control-user-data-0", "P-20", "-EINVAL", user_data_zero, NULL },
	{ "lane-del-unknown", "section 7", "-ENOENT", control_error,
	  &lane_unknown },
	{ "lane-del-any", "section 7", "-ENOENT", control_error, &lane_any },
	{ "lane-del-twice", "section 7", "-ENOENT", lane_del_twice, NULL },
	{ "region-del-key-0", "section 7", "-ENOKEY", control_error,
	  &key_zero },
};
HOSTILE_TABLE(hostile_control, cases);
