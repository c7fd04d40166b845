/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile_regions.c - regions that are not there, lists that change, and
 * regions and lanes that go while requests use them
 */
#include "hostile.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

/* -- one range: a field of a good request is changed -- */

struct region {
	uint64_t offset; /* added to a good one, or absolute */
	bool absolute;
	uint64_t length; /* added to one page */
	uint32_t count;	 /* 0: 1 */
	bool no_range;
	uint32_t rights; /* 0: both */
	bool no_rights;
	uint32_t lane;	 /* 0: any */
	int result;
};

/* Several ranges are refused where they are not offered. */
static int listed(const struct rig *g, int result)
{
	return g->peer.page.features & VTOE_F_REGION_LIST ? result :
							    -EOPNOTSUPP;
}

static const char *region_add(const struct hostile *h, const void *arg)
{
	struct vtoe_ctl_request r = { .op = VTOE_CTL_REGION_ADD };
	const struct region *a = arg;
	struct vtoe_ctl_completion c;
	const char *text;
	struct rig g;
	int error;

	TRY(rig_open(&g, h));
	r.lane = a->lane ? a->lane : VTOE_LANE_ANY;
	r.u.region.offset = a->absolute ? a->offset : g.memory + a->offset;
	r.u.region.length = VTOE_PAGE + a->length;
	r.u.region.count = a->no_range ? 0 : a->count ? a->count : 1;
	r.u.region.rights = a->no_rights ? 0 : a->rights ? a->rights : 3;
	error = raw_control(&g.peer, &r, &c);
	text = want_result(a->count > 1 ? listed(&g, a->result) : a->result,
			   error ? error : c.result);
	if (!text)
		text = want_answers(&g.lane);
	rig_close(&g);
	return text;
}

#define REGION(name, ...) static const struct region name = { __VA_ARGS__ }
REGION(misaligned, .offset = 64, .result = -EINVAL);
REGION(length_odd, .length = 1, .result = -EINVAL);
REGION(length_zero, .length = -4096ull, .result = -EINVAL);
REGION(over_page, .absolute = true, .result = -ERANGE);
REGION(over_control, .absolute = true, .offset = VTOE_CTL_REQUEST_OFFSET,
       .result = -ERANGE);
REGION(into_guest, .absolute = true, .offset = VTOE_GUEST_OFFSET - VTOE_PAGE,
       .length = VTOE_PAGE, .result = -ERANGE);
REGION(outside, .absolute = true, .offset = 1ull << 45, .result = -ERANGE);
REGION(wraps, .absolute = true, .offset = VTOE_GUEST_OFFSET,
       .length = -8192ull, .result = -ERANGE);
REGION(wraps_to_good, .absolute = true, .offset = -4096ull,
       .length = 8 * VTOE_PAGE, .result = -ERANGE);
REGION(too_long, .length = 1ull << 40, .result = -ERANGE);
REGION(count_zero, .no_range = true, .result = -EINVAL);
REGION(count_many, .count = VTOE_REGION_MAX_RANGES + 1, .result = -EINVAL);
REGION(count_all_ones, .count = UINT32_MAX, .result = -EINVAL);
REGION(rights_none, .no_rights = true, .result = -EINVAL);
REGION(rights_unknown, .rights = 7, .result = -EINVAL);
REGION(lane_unknown, .lane = 0x4444, .result = -ENOENT);
REGION(list_outside, .count = 2, .absolute = true, .offset = 1ull << 50,
       .result = -ERANGE);
REGION(list_over_page, .count = 2, .absolute = true, .result = -ERANGE);
REGION(list_misaligned, .count = 2, .offset = 8, .result = -EINVAL);

static const char *list_past_end(const struct hostile *h, const void *arg)
{
	struct vtoe_ctl_request r = { .op = VTOE_CTL_REGION_ADD };
	struct vtoe_ctl_completion c;
	const char *text;
	struct rig g;
	int error;

	(void)arg;
	TRY(rig_open(&g, h));
	r.lane = VTOE_LANE_ANY;
	r.u.region.offset = g.peer.page.memory_bytes - 16;
	r.u.region.count = 2;
	r.u.region.rights = VTOE_REGION_READ;
	error = raw_control(&g.peer, &r, &c);
	text = want_result(listed(&g, -ERANGE), error ? error : c.result);
	rig_close(&g);
	return text;
}

/* -- lists -- */

static int list_add(struct rig *g, uint64_t at, uint32_t count, uint64_t *key)
{
	struct vtoe_ctl_request r = { .op = VTOE_CTL_REGION_ADD };
	struct vtoe_ctl_completion c;
	int error;

	r.lane = VTOE_LANE_ANY;
	r.u.region.offset = at;
	r.u.region.count = count;
	r.u.region.rights = VTOE_REGION_READ | VTOE_REGION_WRITE;
	error = raw_control(&g->peer, &r, &c);
	*key = c.key;
	return error ? error : c.result;
}

struct list {
	struct vtoe_range ranges[3]; /* offsets are added to a good one */
	int result;
};

static const char *region_list(const struct hostile *h, const void *arg)
{
	const struct list *l = arg;
	struct vtoe_range *list;
	const char *text;
	uint64_t at, key;
	struct rig g;
	int i;

	TRY(rig_open(&g, h));
	at = raw_alloc(&g.peer, VTOE_PAGE);
	list = (void *)(g.peer.memory + at);
	for (i = 0; i < 3; i++) {
		list[i].offset = g.memory + l->ranges[i].offset;
		list[i].length = l->ranges[i].length;
	}
	text = want_result(listed(&g, l->result),
			   list_add(&g, at, 3, &key));
	rig_close(&g);
	return text;
}

static const struct list list_good = {
	{ { 0, 4096 }, { 16384, 8192 }, { 8192, 4096 } }, 0 };
static const struct list list_overlap = {
	{ { 0, 8192 }, { 16384, 4096 }, { 4096, 4096 } }, -EINVAL };
static const struct list list_same = {
	{ { 0, 4096 }, { 0, 4096 }, { 0, 4096 } }, -EINVAL };
static const struct list list_odd = {
	{ { 0, 4096 }, { 8192, 4096 }, { 16384, 100 } }, -EINVAL };
static const struct list list_empty_range = {
	{ { 0, 4096 }, { 8192, 0 }, { 16384, 4096 } }, -EINVAL };
static const struct list list_range_outside = {
	{ { 0, 4096 }, { 1ull << 40, 4096 }, { 8192, 4096 } }, -ERANGE };
static const struct list list_range_wraps = {
	{ { 0, 4096 }, { 8192, -8192ull }, { 16384, 4096 } }, -ERANGE };
static const struct list list_sum_wraps = {
	{ { 0, 1ull << 63 }, { 8192, 1ull << 63 }, { 16384, 4096 } },
	-ERANGE };

struct changer {
	uint64_t *words;
	uint64_t good;
	bool stop;
};

static void *change(void *arg)
{
	struct changer *c = arg;
	unsigned i = 0;

	while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED)) {
		__atomic_store_n(&c->words[0], 0, __ATOMIC_RELAXED);
		__atomic_store_n(&c->words[1], ~0ull << (i++ % 52),
				 __ATOMIC_RELAXED);
		__atomic_store_n(&c->words[0], c->good, __ATOMIC_RELAXED);
		__atomic_store_n(&c->words[1], VTOE_PAGE, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Whatever was read is what was checked: a region that was accepted never
 * reaches beyond the good ranges. */
static const char *list_changes(const struct hostile *h, const void *arg)
{
	struct vtoe_range *list;
	const char *text = NULL;
	struct changer c = { 0 };
	uint64_t at, key;
	pthread_t thread;
	struct rig g;
	int i, result;

	(void)arg;
	TRY(rig_open(&g, h));
	at = raw_alloc(&g.peer, VTOE_PAGE);
	list = (void *)(g.peer.memory + at);
	list[0] = (struct vtoe_range){ g.memory, VTOE_PAGE };
	list[1] = (struct vtoe_range){ g.memory + 8192, VTOE_PAGE };
	c.words = (uint64_t *)&list[1];
	c.good = list[1].offset;
	pthread_create(&thread, NULL, change, &c);
	for (i = 0; i < 300 && !text; i++) {
		result = list_add(&g, at, 2, &key);
		if (result == -EINVAL || result == -ERANGE)
			continue;
		text = want_result(listed(&g, 0), result);
		if (!text && !result) /* one byte more than the two pages */
			text = want_result(-ERANGE,
				raw_memory(&g.lane, VTOE_OP_GRQ_ADD, 0, key,
					   VTOE_PAGE, VTOE_PAGE + 1, 1,
					   NULL));
		if (!text && !result)
			text = want_result(0, raw_region_del(&g.peer, key));
	}
	__atomic_store_n(&c.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	rig_close(&g);
	return text;
}

/* -- quota -- */

static const char *too_many_regions(const struct hostile *h, const void *arg)
{
	unsigned made;
	const char *text;
	uint64_t key;
	struct rig g;
	int result;

	(void)arg;
	TRY(rig_open(&g, h));
	for (made = 1; made < 1000000; made++) {
		result = raw_region_add(&g.peer, VTOE_LANE_ANY, g.memory,
					VTOE_PAGE, 3, &key);
		if (result)
			break;
	}
	text = want_result(-EDQUOT, result);
	if (!text && made != g.peer.page.max_regions)
		text = wrong("%u regions were made, the limit is %u", made,
			     g.peer.page.max_regions);
	rig_close(&g);
	return text;
}

/* -- removal in flight -- */

/* A RECV waits in the region: it is stopped, then the removal completes, and
 * the bytes that come later do not land there. */
static const char *del_under_recv(const struct hostile *h, const void *arg)
{
	struct vtoe_sqe s = { .op = VTOE_OP_RECV, .user_data = 0x77 };
	struct vtoe_cqe c;
	const char *text;
	struct rig g;
	int result;

	(void)arg;
	TRY(rig_open(&g, h));
	text = rig_stream(&g, &h->echo, &s.stream);
	s.key = g.key;
	s.length = 4096;
	if (!text) {
		raw_put(&g.lane, &s);
		raw_submit(&g.lane);
		/* The lane has taken it when a later request is answered. */
		text = want_answers(&g.lane);
	}
	if (!text)
		text = want_result(0, raw_region_del(&g.peer, g.key));
	if (!text) {
		result = raw_next(&g.lane, &c, RAW_TIMEOUT_MS);
		text = want_result(-ECANCELED, result ? result : c.result);
	}
	if (!text)
		text = want_result(-ENOKEY,
			raw_memory(&g.lane, VTOE_OP_RECV, s.stream, g.key, 0,
				   16, 0, NULL));
	rig_close(&g);
	return text;
}

/* SENDs to a peer that never reads: they stop half way. */
static const char *del_under_send(const struct hostile *h, const void *arg)
{
	struct vtoe_ctl_request r = { .op = VTOE_CTL_REGION_DEL,
				      .user_data = 0x5555 };
	struct vtoe_sqe s = { .op = VTOE_OP_SEND };
	struct vtoe_ctl_completion done;
	unsigned i, seen = 0;
	struct vtoe_cqe c;
	const char *text;
	struct rig g;
	int result;

	(void)arg;
	TRY(rig_open(&g, h));
	text = rig_stream(&g, &h->deaf, &s.stream);
	s.key = g.key;
	s.length = RIG_BYTES;
	for (i = 0; i < 60 && !text; i++) {
		s.user_data = 1000 + i;
		raw_put(&g.lane, &s);
	}
	raw_submit(&g.lane);
	r.u.key = g.key;
	if (!text)
		raw_control_submit(&g.peer, &r);
	/* Pages that went out without a copy stay the kernel's until they are
	 * acknowledged, which a deaf peer never does: aborting frees them. */
	if (!text) {
		struct vtoe_sqe close = { .op = VTOE_OP_CLOSE,
					  .stream = s.stream,
					  .op_flags = VTOE_CLOSE_ABORT,
					  .user_data = 2 };

		raw_put(&g.lane, &close);
		raw_submit(&g.lane);
	}
	while (!text && seen < 61) {
		result = raw_next(&g.lane, &c, RAW_TIMEOUT_MS);
		text = want_result(0, result);
		seen++;
	}
	if (!text) {
		do
			result = raw_control_next(&g.peer, &done,
						  RAW_TIMEOUT_MS);
		while (!result && done.user_data != r.user_data);
		text = want_result(0, result ? result : done.result);
	}
	rig_close(&g);
	return text;
}

static const char *lane_del_under_io(const struct hostile *h, const void *arg)
{
	struct vtoe_sqe s = { .op = VTOE_OP_SEND };
	const char *text;
	uint32_t reader = 0;
	struct rig g;
	int i;

	(void)arg;
	TRY(rig_open(&g, h));
	text = rig_stream(&g, &h->deaf, &s.stream);
	if (!text)
		text = rig_stream(&g, &h->echo, &reader);
	s.key = g.key;
	s.length = RIG_BYTES;
	for (i = 0; i < 30; i++) {
		s.user_data = 0;
		raw_put(&g.lane, &s);
	}
	s.op = VTOE_OP_RECV;
	s.stream = reader;
	for (i = 0; i < 30; i++) {
		s.user_data = 0;
		raw_put(&g.lane, &s);
	}
	raw_submit(&g.lane);
	if (!text)
		text = want_result(0, raw_lane_del(&g.lane));
	if (!text)
		text = want_answers(&g.other);
	rig_close(&g);
	return text;
}

static const char *del_twice(const struct hostile *h, const void *arg)
{
	const char *text;
	struct rig g;

	(void)arg;
	TRY(rig_open(&g, h));
	text = want_result(0, raw_region_del(&g.peer, g.key));
	if (!text)
		text = want_result(-ENOKEY, raw_region_del(&g.peer, g.key));
	rig_close(&g);
	return text;
}

static const struct hostile_case cases[] = {
	{ "region-misaligned", "P-26", "-EINVAL", region_add, &misaligned },
	{ "region-length-odd", "P-26", "-EINVAL", region_add, &length_odd },
	{ "region-empty", "P-26", "-EINVAL", region_add, &length_zero },
	{ "region-over-device-page", "P-4", "-ERANGE", region_add,
	  &over_page },
	{ "region-over-control-ring", "P-4", "-ERANGE", region_add,
	  &over_control },
	{ "region-begins-too-early", "P-4", "-ERANGE", region_add,
	  &into_guest },
	{ "region-outside", "P-4", "-ERANGE", region_add, &outside },
	{ "region-length-wraps", "P-4", "-ERANGE", region_add, &wraps },
	{ "region-offset-wraps", "P-4", "-ERANGE", region_add,
	  &wraps_to_good },
	{ "region-too-long", "P-4", "-ERANGE", region_add, &too_long },
	{ "region-no-range", "P-26", "-EINVAL", region_add, &count_zero },
	{ "region-257-ranges", "P-26", "-EINVAL", region_add, &count_many },
	{ "region-count-all-ones", "P-26", "-EINVAL", region_add,
	  &count_all_ones },
	{ "region-no-rights", "P-2", "-EINVAL", region_add, &rights_none },
	{ "region-unknown-rights", "P-2", "-EINVAL", region_add,
	  &rights_unknown },
	{ "region-lane-unknown", "section 7", "-ENOENT", region_add,
	  &lane_unknown },
	{ "list-outside", "P-4", "-ERANGE", region_add, &list_outside },
	{ "list-over-device-page", "P-4", "-ERANGE", region_add,
	  &list_over_page },
	{ "list-misaligned", "P-26", "-EINVAL", region_add,
	  &list_misaligned },
	{ "list-past-end", "P-4", "-ERANGE", list_past_end, NULL },
	{ "list-good", "none", "0", region_list, &list_good },
	{ "list-ranges-overlap", "P-26", "-EINVAL", region_list,
	  &list_overlap },
	{ "list-ranges-equal", "P-26", "-EINVAL", region_list, &list_same },
	{ "list-range-odd", "P-26", "-EINVAL", region_list, &list_odd },
	{ "list-range-empty", "P-26", "-EINVAL", region_list,
	  &list_empty_range },
	{ "list-range-outside", "P-4", "-ERANGE", region_list,
	  &list_range_outside },
	{ "list-range-wraps", "P-4", "-ERANGE", region_list,
	  &list_range_wraps },
	{ "list-sum-wraps", "P-4", "-ERANGE", region_list, &list_sum_wraps },
	{ "list-changes", "P-3", "checked is what is used", list_changes,
	  NULL },
	{ "regions-over-quota", "section 12", "-EDQUOT", too_many_regions,
	  NULL },
	{ "region-del-under-recv", "P-27", "-ECANCELED, then 0",
	  del_under_recv, NULL },
	{ "region-del-under-send", "P-27", "sends stop, then 0",
	  del_under_send, NULL },
	{ "region-del-twice", "section 7", "-ENOKEY", del_twice, NULL },
	{ "lane-del-under-io", "P-25", "0", lane_del_under_io, NULL },
};
HOSTILE_TABLE(hostile_regions, cases);
