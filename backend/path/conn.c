/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conn.c - a guest connection: its control ring and its life
 *
 *   GREETED   only HELLO is taken; anything else parks; one that says nothing
 *             for ten seconds is let go, with its memory
 *   READY     lanes and regions come and go
 *   PARKED    a violation: nothing is served; streams are reset; the guest
 *             sees the status and the reason in its device page
 *   LEAVING   the other end hung up: what it submitted before is still taken,
 *             sends are drained, then everything is freed
 *
 * Control completions that find their ring full wait in a list, bounded by the
 * lanes, regions and events that there can be; requests are only taken while
 * that list is empty.
 */
#include "path/path.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

enum { CTL_CREDIT = 16, CTL_PENDING_MAX = 256,
       GREET_MS = VTOE_HELLO_SECONDS * 1000 };

struct ctl_event {
	struct list node;
	struct vtoe_ctl_completion completion;
};

static struct vtoe_device_page *conn_page(struct conn *c)
{
	return (struct vtoe_device_page *)c->link.base;
}

void conn_set_status(struct conn *c, enum vtoe_status status)
{
	__atomic_store_n(&conn_page(c)->violation, c->violation,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&conn_page(c)->status, status, __ATOMIC_RELEASE);
}

void conn_set_link(struct conn *c, enum vtoe_link link)
{
	__atomic_store_n(&conn_page(c)->link, link, __ATOMIC_RELEASE);
	conn_event(c, VTOE_EVENT_LINK, 0, link);
}

/* Linux gives a process 65530 mappings (vm.max_map_count); half of them are
 * shared out among the connections that there can be. */
static uint32_t conn_mappings(const struct device *d)
{
	uint32_t each = 32768 / (d->limits.peers ? d->limits.peers : 1);

	return each < 64 ? 64 : each;
}

void conn_notify(struct conn *c, uint32_t vector)
{
	if (c->link.vector_fd[vector] >= 0)
		uring_signal(&c->device->uring, c->link.vector_fd[vector]);
	else if (c->link.ops->notify)
		c->link.ops->notify(&c->link, vector);
}

struct conn *conn_add(struct device *d, const struct port_link *link)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c || region_table_init(&c->regions, &c->link, d->limits.regions,
				    conn_mappings(d))) {
		free(c);
		return NULL;
	}
	c->link = *link;
	c->device = d;
	list_init(&c->node);
	list_init(&c->ready_node);
	list_init(&c->ctl_pending);
	ring_in_init(&c->ctl_in, c->link.base + VTOE_CTL_REQUEST_OFFSET,
		     VTOE_CTL_ENTRIES);
	ring_out_init(&c->ctl_out, c->link.base + VTOE_CTL_COMPLETION_OFFSET,
		      VTOE_CTL_ENTRIES);
	list_add_tail(&d->conns, &c->node);
	d->conn_count++;
	d->stats->peers++;
	c->greet_deadline = d->now + GREET_MS;
	device_set_timer(d);
	conn_set_status(c, VTOE_STATUS_READY);
	conn_watch(c);
	conn_kick(c);
	return c;
}

/* Watches the doorbell and the hang-up; a guest without descriptors (mem) is
 * kicked by its test. */
void conn_watch(struct conn *c)
{
	struct uring *u = &c->device->uring;

	if (c->link.doorbell_fd >= 0 && !c->doorbell_armed &&
	    c->state < CONN_PARKED) {
		io_uring_prep_poll_multishot(uring_sqe(u, c, TAG_DOORBELL),
					     c->link.doorbell_fd, POLLIN);
		c->doorbell_armed = true;
	}
	if (c->link.socket_fd >= 0 && !c->hangup_armed &&
	    c->state != CONN_LEAVING) {
		io_uring_prep_poll_add(uring_sqe(u, c, TAG_HANGUP),
				       c->link.socket_fd,
				       POLLIN | POLLRDHUP);
		c->hangup_armed = true;
	}
}

void conn_kick(struct conn *c)
{
	uint32_t i;

	if (c->state >= CONN_PARKED)
		return;
	if (list_empty(&c->ready_node))
		list_add_tail(&c->device->ready_conns, &c->ready_node);
	for (i = 0; i < PORT_MAX_LANES; i++)
		if (c->lanes[i].open)
			lane_ready(&c->lanes[i]);
}

/* -- completions --------------------------------------------------------- */

/* A broken ring has no room; the connection is parked for it by its next turn,
 * not here: callers walk the lists that parking empties. */
static int conn_ctl_room(struct conn *c)
{
	int room = ring_out_room(&c->ctl_out);

	if (room >= 0)
		return room;
	if (list_empty(&c->ready_node) && c->state < CONN_PARKED)
		list_add_tail(&c->device->ready_conns, &c->ready_node);
	return 0;
}

static void conn_flush_pending(struct conn *c)
{
	while (!list_empty(&c->ctl_pending) && conn_ctl_room(c) > 0) {
		struct ctl_event *e = list_entry(c->ctl_pending.next,
						 struct ctl_event, node);

		list_del(&e->node);
		c->pending_events--;
		ring_out_put(&c->ctl_out, &e->completion);
		c->ctl_dirty = true;
		free(e);
	}
}

static void conn_complete(struct conn *c,
			  const struct vtoe_ctl_completion *completion)
{
	struct ctl_event *e;

	if (c->state >= CONN_PARKED)
		return;
	c->ctl_dirty = true;
	if (list_empty(&c->ctl_pending) && conn_ctl_room(c) > 0) {
		ring_out_put(&c->ctl_out, completion);
		return;
	}
	if (completion->op == VTOE_CTL_EVENT &&
	    c->pending_events >= CTL_PENDING_MAX)
		return; /* the page has them; answers are never dropped */
	e = calloc(1, sizeof(*e));
	if (!e)
		return;
	e->completion = *completion;
	list_add_tail(&c->ctl_pending, &e->node);
	c->pending_events++;
}

void conn_event(struct conn *c, enum vtoe_event event, uint32_t lane,
		uint32_t value)
{
	struct vtoe_ctl_completion e = {
		.op = VTOE_CTL_EVENT,
		.event = (vtoe_u8)event,
		.lane = lane,
		.value = value,
	};

	conn_complete(c, &e);
	if (list_empty(&c->ready_node) && c->state < CONN_PARKED)
		list_add_tail(&c->device->ready_conns, &c->ready_node);
}

void conn_flush(struct conn *c)
{
	conn_flush_pending(c);
	if (!c->ctl_dirty)
		return;
	c->ctl_dirty = false;
	if (!list_empty(&c->ctl_pending) && ring_out_arm_space(&c->ctl_out, 1))
		conn_kick(c);
	if (ring_out_publish(&c->ctl_out, false)) {
		c->device->stats->notify++;
		c->link.notified[VTOE_VECTOR_CONTROL]++;
		conn_notify(c, VTOE_VECTOR_CONTROL);
	}
}

/* -- requests ------------------------------------------------------------ */

static int ctl_hello(struct conn *c, const struct vtoe_ctl_request *q)
{
	size_t i;

	if (c->state != CONN_GREETED)
		return -EALREADY;
	/* the page is the guest's to scribble on: only our constants count */
	if (q->u.hello.version != VTOE_VERSION_1) {
		conn_park(c, VTOE_VIOLATION_VERSION);
		return -EPROTO;
	}
	if (q->u.hello.features &
	    ~(PATH_FEATURES & ~c->device->limits.withheld)) {
		conn_park(c, VTOE_VIOLATION_FEATURES);
		return -EPROTO;
	}
	c->features = q->u.hello.features;
	c->pid = c->link.pid ? c->link.pid : q->u.hello.pid;
	memcpy(c->program, q->u.hello.name, sizeof(c->program));
	c->program[sizeof(c->program) - 1] = 0;
	for (i = 0; c->program[i]; i++)
		if (c->program[i] < ' ' || c->program[i] > '~')
			c->program[i] = '?';
	c->state = CONN_READY;
	return 0;
}

static bool ring_size_ok(uint32_t n, uint32_t max)
{
	return n >= VTOE_RING_MIN && n <= max && !(n & (n - 1));
}

static bool rings_overlap(const uint8_t *a, uint32_t a_entries,
			  const uint8_t *b, uint32_t b_entries)
{
	return a < b + VTOE_RING_BYTES(b_entries) &&
	       b < a + VTOE_RING_BYTES(a_entries);
}

/* Does a lane that was not removed yet have a ring there? */
static bool ring_in_use(const struct conn *c, const uint8_t *at,
			uint32_t entries)
{
	uint32_t i;

	for (i = 0; i < PORT_MAX_LANES; i++) {
		const struct lane *l = &c->lanes[i];

		if (l->open &&
		    (rings_overlap(at, entries, (uint8_t *)l->sq.shared,
				   l->sq.size) ||
		     rings_overlap(at, entries, (uint8_t *)l->cq.shared,
				   l->cq.size)))
			return true;
	}
	return false;
}

static void conn_note_refusal(struct conn *c, const char *key, uint32_t limit)
{
	c->device->refused_conn = c->link.id;
	c->device->refused_key = key;
	c->device->refused_limit = limit;
}

static int ctl_lane_add(struct conn *c, const struct vtoe_ctl_request *q,
			uint32_t *id)
{
	const uint32_t max = c->device->limits.ring_entries;
	uint32_t sq_n = q->u.lane.sq_entries, cq_n = q->u.lane.cq_entries, i;
	uint8_t *sq, *cq;

	if (!ring_size_ok(sq_n, max) || !ring_size_ok(cq_n, max) ||
	    !q->u.lane.vector || q->u.lane.vector >= c->link.vectors ||
	    q->u.lane.reserved)
		return -EINVAL;
	if ((q->u.lane.sq_offset | q->u.lane.cq_offset) &
	    (VTOE_CACHE_LINE - 1))
		return -EINVAL;
	sq = port_link_at(&c->link, q->u.lane.sq_offset, VTOE_RING_BYTES(sq_n),
			  VTOE_CACHE_LINE);
	cq = port_link_at(&c->link, q->u.lane.cq_offset, VTOE_RING_BYTES(cq_n),
			  VTOE_CACHE_LINE);
	if (!sq || !cq)
		return -ERANGE;
	if (rings_overlap(sq, sq_n, cq, cq_n) || ring_in_use(c, sq, sq_n) ||
	    ring_in_use(c, cq, cq_n))
		return -EINVAL;
	for (i = 0; i < c->device->limits.lanes && c->lanes[i].open; i++)
		;
	if (i == c->device->limits.lanes) {
		conn_note_refusal(c, "lanes", i);
		return -EUSERS;
	}
	lane_init(&c->lanes[i], c, i, q->u.lane.vector, sq, sq_n, cq, cq_n);
	c->lane_count++;
	c->device->stats->lanes++;
	lane_ready(&c->lanes[i]);
	*id = i;
	return 0;
}

static int ctl_lane_del(struct conn *c, const struct vtoe_ctl_request *q)
{
	struct lane *lane;

	if (q->lane >= PORT_MAX_LANES || !c->lanes[q->lane].open ||
	    c->lanes[q->lane].removing)
		return -ENOENT;
	lane = &c->lanes[q->lane];
	lane->removing = true;
	lane->remove_user = q->user_data;
	lane_finish(lane, true); /* as by CLOSE with ABORT */
	return TOE_ASYNC;
}

static int ctl_region_add(struct conn *c, const struct vtoe_ctl_request *q,
			  uint64_t *key)
{
	struct vtoe_stats *stats = c->device->stats;
	uint64_t before = c->regions.bytes, k;
	int rc;

	if (q->lane != VTOE_LANE_ANY &&
	    (q->lane >= PORT_MAX_LANES || !c->lanes[q->lane].open))
		return -ENOENT;
	if (q->u.region.count > 1 && !(c->features & VTOE_F_REGION_LIST))
		return -EOPNOTSUPP;
	if (getrandom(&k, sizeof(k), 0) != sizeof(k) || !k)
		return -EAGAIN;
	rc = region_add(&c->regions, k, q->lane, q->u.region.offset,
			q->u.region.length, q->u.region.count,
			q->u.region.rights);
	if (rc == -EDQUOT)
		conn_note_refusal(c, "regions", c->regions.slot_count);
	if (rc)
		return rc;
	*key = k;
	stats->reg++;
	stats->regions++;
	stats->region_bytes += c->regions.bytes - before;
	return 0;
}

static void ctl_region_done(struct conn *c, struct region *r)
{
	struct vtoe_ctl_completion done = {
		.op = VTOE_CTL_REGION_DEL,
		.user_data = r->remove_user_data,
		.key = r->key,
	};
	bool external = r->external;

	c->device->stats->dereg++;
	c->device->stats->regions--;
	c->device->stats->region_bytes -= r->bytes;
	region_release(&c->regions, r);
	if (external)
		c->link.ops->region_gone(&c->link, done.user_data);
	else
		conn_complete(c, &done);
}

void conn_region_gone(struct conn *c, struct region *r)
{
	if (c->state == CONN_LEAVING)
		return; /* the table goes as a whole */
	ctl_region_done(c, r);
	if (list_empty(&c->ready_node) && c->state < CONN_PARKED)
		list_add_tail(&c->device->ready_conns, &c->ready_node);
}

int conn_region_add(struct conn *c, void *at, uint64_t bytes, uint32_t rights,
		    uint64_t *key)
{
	struct vtoe_stats *stats = c->device->stats;
	uint64_t k;
	int rc;

	if (c->state != CONN_READY)
		return -ENOTCONN;
	if (getrandom(&k, sizeof(k), 0) != sizeof(k) || !k)
		return -EAGAIN;
	rc = region_add_mapped(&c->regions, k, at, bytes, rights);
	if (rc == -EDQUOT)
		conn_note_refusal(c, "regions", c->regions.slot_count);
	if (rc)
		return rc;
	*key = k;
	stats->reg++;
	stats->regions++;
	stats->region_bytes += bytes;
	return 0;
}

int conn_region_remove(struct conn *c, uint64_t key, uint64_t user_data,
		       bool external)
{
	struct list *at, *tmp;
	struct region *r;
	uint32_t i;
	int rc;

	rc = region_remove(&c->regions, key, external, &r);
	if (rc)
		return rc;
	r->remove_user_data = user_data;
	region_hold(r); /* over the calls below */
	for (i = 0; i < PORT_MAX_LANES; i++) {
		struct lane *lane = &c->lanes[i];

		if (!lane->open)
			continue;
		toe_generic_region_gone(lane, r);
		/* what waits is stopped; what was achieved is reported */
		list_for_each_safe(at, tmp, &lane->requests) {
			struct request *q2 = list_entry(at, struct request,
							lane_node);

			if (q2->region == r)
				request_cancel(q2);
		}
	}
	region_put(c, r);
	return TOE_ASYNC;
}

static void ctl_serve(struct conn *c, const struct vtoe_ctl_request *q)
{
	struct vtoe_ctl_completion done = {
		.op = q->op,
		.user_data = q->user_data,
		.lane = q->lane,
	};
	bool malformed = !q->user_data || q->reserved0[0] ||
			 q->reserved0[1] || q->reserved0[2];
	uint64_t key = 0;

	if (c->state == CONN_GREETED &&
	    (q->op != VTOE_CTL_HELLO || malformed)) {
		conn_park(c, VTOE_VIOLATION_HELLO);
		return;
	}
	switch (malformed ? 0 : q->op) {
	case VTOE_CTL_HELLO:
		done.result = ctl_hello(c, q);
		break;
	case VTOE_CTL_LANE_ADD:
		done.result = ctl_lane_add(c, q, &done.lane);
		break;
	case VTOE_CTL_LANE_DEL:
		done.result = ctl_lane_del(c, q);
		break;
	case VTOE_CTL_REGION_ADD:
		done.result = ctl_region_add(c, q, &key);
		done.key = key;
		break;
	case VTOE_CTL_REGION_DEL:
		done.result = conn_region_remove(c, q->u.key, q->user_data,
						 false);
		break;
	default:
		done.result = -EINVAL;
	}
	c->failures = done.result < 0 ? c->failures + 1 : 0;
	if (done.result != TOE_ASYNC)
		conn_complete(c, &done);
	if (c->failures >= VTOE_CTL_FAILURES_MAX)
		conn_park(c, VTOE_VIOLATION_FLOOD);
}

void conn_turn(struct conn *c)
{
	struct vtoe_ctl_request q;
	int waiting, taken = 0;

	list_del(&c->ready_node);
	conn_flush_pending(c);
	if (c->ctl_out.broken)
		conn_park(c, VTOE_VIOLATION_CONSUMER);
	waiting = ring_in_peek(&c->ctl_in);
	while (waiting > 0 && taken < waiting && taken < CTL_CREDIT &&
	       c->state < CONN_PARKED && list_empty(&c->ctl_pending) &&
	       conn_ctl_room(c) > 0) {
		ring_in_take(&c->ctl_in, &q);
		ctl_serve(c, &q);
		taken++;
	}
	if (waiting >= 0 && c->state < CONN_PARKED) {
		if (ring_in_release(&c->ctl_in))
			c->ctl_dirty = true;
		conn_flush(c);
		waiting = ring_in_arm(&c->ctl_in);
	}
	if (waiting < 0)
		conn_park(c, VTOE_VIOLATION_INDEX);
	/* more than one turn's credit, and room for the answers, now or when
	 * the guest has made some */
	if (waiting > 0 && c->state < CONN_PARKED &&
	    list_empty(&c->ready_node) && list_empty(&c->ctl_pending) &&
	    (conn_ctl_room(c) > 0 || ring_out_arm_space(&c->ctl_out, 1)))
		list_add_tail(&c->device->ready_conns, &c->ready_node);
}

/* -- the end ------------------------------------------------------------- */

static void conn_finish_lanes(struct conn *c, bool abort)
{
	uint32_t i;

	for (i = 0; i < PORT_MAX_LANES; i++)
		if (c->lanes[i].open)
			lane_finish(&c->lanes[i], abort);
}

void conn_park(struct conn *c, enum vtoe_violation why)
{
	struct device *d = c->device;
	uint32_t i;

	if (c->state >= CONN_PARKED)
		return;
	d->stats->parked++;
	d->parked_conn = c->link.id;
	d->parked_violation = why;
	c->violation = why;
	c->state = CONN_PARKED;
	conn_set_status(c, VTOE_STATUS_PARKED);
	ring_out_status(&c->ctl_out, VTOE_STATUS_PARKED, why);
	list_del(&c->ready_node);
	/* it may ring as it likes */
	if (c->doorbell_armed)
		io_uring_prep_cancel64(uring_sqe(&d->uring, NULL, TAG_IGNORE),
				       uring_tag(c, TAG_DOORBELL), 0);
	for (i = 0; i < c->link.vectors; i++)
		conn_notify(c, i);
	for (i = 0; i < PORT_MAX_LANES; i++) {
		if (!c->lanes[i].open || c->lanes[i].parked)
			continue;
		c->lanes[i].parked = true;
		ring_out_status(&c->lanes[i].cq, VTOE_STATUS_PARKED, why);
	}
	conn_finish_lanes(c, true);
}

/* A lane's own regions go with it: nobody else could name them, and the next
 * lane may get its number. */
static void conn_drop_regions(struct conn *c, uint32_t lane)
{
	struct vtoe_stats *stats = c->device->stats;
	uint32_t i;

	for (i = 0; i < c->regions.slot_count; i++) {
		struct region *r = &c->regions.slots[i];

		if (!r->key || r->lane != lane || r->holds)
			continue;
		stats->dereg++;
		stats->regions--;
		stats->region_bytes -= r->bytes;
		region_release(&c->regions, r);
	}
}

void conn_lane_gone(struct conn *c, struct lane *lane)
{
	struct vtoe_ctl_completion done = {
		.op = VTOE_CTL_LANE_DEL,
		.user_data = lane->remove_user,
		.lane = lane->id,
	};

	c->lane_count--;
	c->device->stats->lanes--;
	conn_drop_regions(c, lane->id);
	if (lane->removing && c->state < CONN_PARKED) {
		conn_complete(c, &done);
		if (list_empty(&c->ready_node))
			list_add_tail(&c->device->ready_conns, &c->ready_node);
	}
	conn_try_free(c);
}

void conn_hangup(struct conn *c)
{
	char byte;

	c->hangup_armed = false;
	/* Bytes mean that the guest talks where only we do. */
	if (recv(c->link.socket_fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) > 0)
		conn_park(c, VTOE_VIOLATION_DATA);
	conn_leave(c);
}

static void conn_cancel_all(struct conn *c)
{
	struct list *at, *tmp;
	uint32_t i;

	for (i = 0; i < PORT_MAX_LANES; i++) {
		if (!c->lanes[i].open)
			continue;
		list_for_each_safe(at, tmp, &c->lanes[i].requests)
			request_cancel(list_entry(at, struct request,
						  lane_node));
	}
}

/* Streams that wait for a generic buffer; true while there are some. */
static bool conn_feed(struct conn *c)
{
	bool more = false;
	uint32_t i;

	for (i = 0; i < PORT_MAX_LANES; i++) {
		struct lane *lane = &c->lanes[i];

		if (!lane->open || list_empty(&lane->starved))
			continue;
		toe_generic_feed(lane);
		more |= !list_empty(&lane->starved);
	}
	return more;
}

bool conn_tick(struct device *d)
{
	struct list *at, *tmp;
	bool more = false;

	list_for_each_safe(at, tmp, &d->conns) {
		struct conn *c = list_entry(at, struct conn, node);

		if (c->state == CONN_LEAVING) {
			/* streams of its own end by stream_tick() */
			if (d->now >= c->drain_deadline)
				conn_cancel_all(c);
			more = true;
			continue;
		}
		more |= conn_feed(c);
		if (c->state != CONN_GREETED)
			continue;
		if (d->now < c->greet_deadline) {
			more = true;
			continue;
		}
		conn_park(c, VTOE_VIOLATION_HELLO);
		conn_leave(c);
	}
	return more;
}

void conn_leave(struct conn *c)
{
	struct uring *u = &c->device->uring;
	bool ready = c->state == CONN_READY;
	uint32_t i;

	if (c->state == CONN_LEAVING)
		return;
	/* It may have submitted and left at once: take what it left behind. A
	 * full ring is the most that a hostile one can make us take. */
	c->state = CONN_LEAVING;
	for (i = 0; i < PORT_MAX_LANES && ready; i++)
		if (c->lanes[i].open && !c->lanes[i].finishing)
			lane_turn(&c->lanes[i], c->lanes[i].sq.size);
	c->drain_deadline = c->device->now + c->device->limits.drain_ms;
	device_set_timer(c->device);
	list_del(&c->ready_node);
	/* Not POLL_REMOVE: that lets a poll go on whose event is just being
	 * handled, and then nothing would ever end it. */
	if (c->doorbell_armed)
		io_uring_prep_cancel64(uring_sqe(u, NULL, TAG_IGNORE),
				       uring_tag(c, TAG_DOORBELL), 0);
	if (c->hangup_armed)
		io_uring_prep_cancel64(uring_sqe(u, NULL, TAG_IGNORE),
				       uring_tag(c, TAG_HANGUP), 0);
	/* the other end, if it is there at all, sees the end now */
	if (c->link.socket_fd >= 0)
		shutdown(c->link.socket_fd, SHUT_RDWR);
	conn_finish_lanes(c, false);
	/* parked lanes kept their slot; now they may go */
	for (i = 0; i < PORT_MAX_LANES; i++)
		if (c->lanes[i].open)
			lane_try_free(&c->lanes[i]);
	conn_try_free(c);
}

void conn_try_free(struct conn *c)
{
	struct device *d = c->device;

	if (c->state != CONN_LEAVING || c->lane_count || c->doorbell_armed ||
	    c->hangup_armed || c->dead)
		return;
	c->dead = true;
	list_del(&c->node);
	list_add_tail(&d->dead_conns, &c->node);
	d->conn_count--;
	d->stats->peers--;
}

/* Removals that the end has overtaken are answered too, where it is the port
 * that asked: it counts its questions. Its pages are unmapped by then. */
static void conn_end_removals(struct conn *c)
{
	uint32_t i;

	for (i = 0; i < c->regions.slot_count; i++) {
		struct region *r = &c->regions.slots[i];
		uint64_t user_data = r->remove_user_data;

		if (!r->key || !r->external || !r->removing)
			continue;
		region_release(&c->regions, r);
		c->link.ops->region_gone(&c->link, user_data);
	}
}

void conn_free(struct conn *c)
{
	struct vtoe_stats *stats = c->device->stats;
	struct list *at, *tmp;

	list_for_each_safe(at, tmp, &c->ctl_pending)
		free(list_entry(at, struct ctl_event, node));
	list_del(&c->node);
	list_del(&c->ready_node);
	stats->regions -= c->regions.used;
	stats->region_bytes -= c->regions.bytes;
	stats->dereg += c->regions.used;
	conn_end_removals(c);
	region_table_free(&c->regions);
	port_link_close(&c->link);
	free(c);
}
