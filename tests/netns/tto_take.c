/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/netns/tto_take.h"

struct frame_of data(uint16_t local_port, uint32_t seq, uint32_t bytes)
{
	return (struct frame_of){ .remote_port = PEER,
				  .local_port = local_port,
				  .seq = seq,
				  .payload = bytes };
}

struct frame_of pushed(uint16_t local_port, uint32_t seq, uint32_t bytes)
{
	struct frame_of f = data(local_port, seq, bytes);

	f.flags = FLAG_ACK | FLAG_PSH;
	return f;
}

void deliver_one(struct frame_of f)
{
	wire_deliver(&f, 1);
}

static void check_metadata(const struct got *got)
{
	const struct vtoe_aggregate *a = &got->first.u.aggregate;

	assert_int_equal(a->seq, bytes_get32(got->r.head + 4));
	assert_int_equal(a->ack, bytes_get32(got->r.head + 8));
	assert_int_equal(a->window, bytes_get16(got->r.head + 14));
	assert_int_equal(got->r.head_bytes, (got->r.head[12] >> 4) * 4);
	assert_true(a->segments > 0);
	assert_true(a->max_segment <= got->first.result);
	assert_true((uint32_t)a->max_segment * a->segments >=
		    (uint32_t)got->first.result);
	assert_int_equal(got->r.reserved, 0);
}

struct got take_kept(struct guest *g, uint64_t user, uint32_t each,
		     bool give_back)
{
	struct vtoe_cqe c = wait_frame(g, user);
	struct got got = { .first = c, .r = *received(g, &c) };
	uint32_t done = 0, head = TAKE_HEAD, seq = c.u.aggregate.seq, i;

	check_metadata(&got);
	for (;;) {
		const uint8_t *at = g->memory + ARENA + c.offset + head;

		assert_int_equal(c.result, got.first.result);
		assert_int_equal(c.stream, got.first.stream);
		assert_int_equal(c.offset % each, 0);
		assert_true(c.length <= each - head);
		for (i = 0; i < c.length; i++)
			assert_int_equal(at[i], byte_at(seq + done + i));
		done += c.length;
		got.buffers++;
		if (give_back)
			lend(g, c.offset, 1, each);
		if (!(c.flags & VTOE_CQE_CONTINUED))
			break;
		assert_int_equal(c.length, each - head); /* it is full */
		head = 0;
		c = wait_frame(g, user);
	}
	assert_int_equal(done, got.first.result);
	return got;
}

struct got take(struct guest *g, uint64_t user)
{
	return take_kept(g, user, EACH, true);
}

void take_number(struct guest *g, uint64_t user, uint32_t seq)
{
	struct got got = take(g, user);

	assert_int_equal(got.first.u.aggregate.seq, seq);
	assert_int_equal(got.first.u.aggregate.segments, 1);
}

void begin(struct guest *g, const struct rig_options *o, uint32_t buffers)
{
	rig_begin(o);
	join(g);
	if (buffers)
		lend(g, 0, buffers, EACH);
}
