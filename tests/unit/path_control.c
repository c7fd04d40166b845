/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * path_control - the control ring, lanes, and how they end
 *
 * Parking for lies on either ring, answers that find the control ring full,
 * the removal of lanes with work under way, and connections that leave.
 */
#include "path_guest.h"

static void test_park(void **state)
{
	struct vtoe_ctl_request q = { .op = VTOE_CTL_LANE_DEL };
	struct vtoe_device_page *page;
	struct guest g, good;
	uint32_t id;
	int peer;

	(void)state;
	start();
	join(&good);
	join(&g);
	id = connected(&g, &peer);
	g.sq.shared->p.producer += ENTRIES + 1;
	conn_kick(g.conn);
	turn();
	assert_int_equal(g.cq.shared->p.status, VTOE_STATUS_PARKED);
	assert_int_equal(g.cq.shared->p.violation, VTOE_VIOLATION_INDEX);
	assert_int_equal(ctl_wait(&g).event, VTOE_EVENT_LANE_PARKED);
	assert_int_equal(stats.streams, 0);
	(void)id;
	/* its control ring still works; the lane can be removed */
	assert_int_equal(ctl(&g, q).result, 0);
	/* a lie on the control ring parks all of it */
	g.ctl_q.shared->p.producer += 1000;
	conn_kick(g.conn);
	turn();
	page = (void *)g.memory;
	assert_int_equal(page->status, VTOE_STATUS_PARKED);
	assert_int_equal(page->violation, VTOE_VIOLATION_INDEX);
	/* and nobody else noticed */
	entry(&good, VTOE_OP_NOP, 0, 12);
	submit(&good);
	assert_int_equal(wait_cqe(&good).user_data, 12);
	close(peer);
	leave(&g);
	leave(&good);
	stop();
}

/* A lie about the CQ, told while requests end: parked, and nothing is left. */
static void test_park_consumer(void **state)
{
	struct guest g, good;
	uint32_t id;
	int peer, i;

	(void)state;
	start();
	join(&good);
	join(&g);
	id = connected(&g, &peer);
	for (i = 0; i < 100; i++)
		entry(&g, VTOE_OP_RECV, id, 100)->length = 10;
	submit(&g);
	for (i = 0; i < 150; i++)
		entry(&g, VTOE_OP_NOP, 0, 1);
	submit(&g); /* more than half: the consumer index is looked at */
	entry(&g, VTOE_OP_CANCEL, 0, 2)->u.target = 100;
	vtoe_ring_submit(&g.sq);
	g.cq.shared->c.consumer += 5000;
	conn_kick(g.conn);
	turn();
	turn();
	assert_int_equal(g.cq.shared->p.status, VTOE_STATUS_PARKED);
	assert_int_equal(g.cq.shared->p.violation, VTOE_VIOLATION_CONSUMER);
	assert_int_equal(stats.streams, 0);
	entry(&good, VTOE_OP_NOP, 0, 12);
	submit(&good);
	assert_int_equal(wait_cqe(&good).user_data, 12);
	close(peer);
	leave(&g);
	leave(&good);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_park),
		cmocka_unit_test(test_park_consumer),
	};

	return PATH_RUN(tests);
}
