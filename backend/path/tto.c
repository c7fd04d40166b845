/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tto.c - the TTO service: the guest owns TCP, and here is what a NIC would do
 *
 *	wire ─► XDP (nic/steer.h) ─► AF_XDP queue ─► aggregator ─► claim ─► buffers
 *	wire ◄─ packet socket or AF_XDP ◄──────────── SEGMENT ◄──── guest's TCP
 *
 * A turn takes frames from the queue, a burst at a time, and gives them to the
 * aggregator; what that gives out belongs to a claim, by its addresses, and is
 * copied, once, from the frames into buffers of the claim's lane. When the queue
 * is found empty all collections end (T29), so that nobody waits for a frame that
 * may never come; a queue that is never empty makes nobody wait for more than a
 * millisecond. Or, if the configuration says so, they are held for a short
 * time in hope of more (T28), and a timer ends them. One notification tells a lane
 * of all that a turn delivered (I4): device_flush().
 *
 * What a lane has no buffer for waits in the frames themselves, up to a share of
 * them, in order; later frames are dropped then (T45). So memory is bounded by
 * the frames of the socket, whatever the guest does.
 *
 * What a lane sends, and the device has no room for, waits in the lane's queue, up
 * to a time without any room (tto_stall.c): a guest that sends faster than the
 * device is slowed down, and loses nothing.
 *
 * Nothing here is state of a connection. What a new worker needs to go on is in
 * the supervisor's map (which claims there are), and in the guest (all else).
 *
 * One thread; no call waits, but tto_start(): for the memory and the queue of a
 * worker that has just died, xsk_start().
 */
#include "path/tto_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "nic/ip.h"
#include "nic/packet.h"

enum {
	BURST = 64,
	TURN_FRAMES = 512,
	FRAMES = 4096,
	SEND_FRAMES = 256,
	LINK = 14 + 4,
	BUSY_US = 1000,
	RETRY_NS = 1000000, /* of frames that the device had no room for */
};

bool tto_is_built(void)
{
	return true;
}

static struct xsk_config xsk_config_of(const struct tto_config *c)
{
	struct xsk_config x = {
		.ifindex = c->ifindex,
		.frame_size = 2048,
		.receive = c->frames ? c->frames : FRAMES,
		.send = SEND_FRAMES,
	};

	if (c->mtu + LINK > xsk_frame_max(&x))
		x.frame_size = 4096;
	return x;
}

uint32_t tto_frame_max(uint32_t mtu)
{
	struct tto_config c = { .mtu = mtu };
	struct xsk_config x = xsk_config_of(&c);
	uint32_t max = xsk_frame_max(&x);

	return mtu + LINK > max ? 0 : max;
}

uint64_t tto_locked_bytes(const struct tto_config *c)
{
	struct xsk_config x = xsk_config_of(c);

	return xsk_memory_bytes(&x);
}

static void sockets_close(struct tto_sockets *s)
{
	int *all[] = { &s->xsk,	 &s->packet,  &s->raw4,
		       &s->raw6, &s->errors4, &s->errors6 };
	unsigned i;

	for (i = 0; i < sizeof(all) / sizeof(*all); i++) {
		if (*all[i] >= 0)
			close(*all[i]);
		*all[i] = -1;
	}
}

int tto_sockets_open(struct tto_sockets *s, int ifindex, const char **what)
{
	int rc;

	*s = (struct tto_sockets){ -1, -1, -1, -1, -1, -1 };
	*what = "an AF_XDP socket";
	rc = s->xsk = xsk_socket(0);
	if (rc >= 0) {
		*what = "a packet socket";
		rc = s->packet = packet_socket(ifindex);
	}
	if (rc >= 0) {
		*what = "a raw socket";
		rc = s->raw4 = ip_raw_socket(VTOE_AF_INET);
	}
	if (rc < 0) {
		sockets_close(s);
		return rc;
	}
	s->raw6 = ip_raw_socket(VTOE_AF_INET6);
	s->errors4 = ip_error_socket(VTOE_AF_INET);
	s->errors6 = ip_error_socket(VTOE_AF_INET6);
	return 0;
}

/* -- receiving ------------------------------------------------------------- */

/* A frame that came out alone: is it TCP, and right? The aggregator has verified
 * those that it could have merged. -> where its headers are, in *d */
static bool frame_is_right(const struct tto *t, struct delivery *d,
			   struct flow_tuple *tuple)
{
	struct frame_input in = { .data = tto_delivery_head(t, d),
				  .length = d->frame_length };
	struct frame f;
	uint32_t length;

	frame_parse(&f, &in);
	if (!f.has_tcp || f.malformed || !f.version)
		return false;
	length = f.payload - f.l4 + f.payload_length;
	if (!(d->flags & DELIVERY_VERIFIED) &&
	    !checksum_is_right(frame_pseudo_sum(in.data, f.l3, f.version,
						length) +
			       checksum_sum(in.data + f.l4, length)))
		return false;
	d->l3 = (uint16_t)f.l3;
	d->l4 = (uint16_t)f.l4;
	d->payload_offset = f.payload;
	d->payload_length = f.payload_length;
	d->count = 1;
	d->max_segment = (uint16_t)f.payload_length;
	tuple->version = f.version;
	return true;
}

static bool delivery_tuple(const struct tto *t, struct delivery *d,
			   struct flow_tuple *tuple)
{
	const uint8_t *head = tto_delivery_head(t, d);
	const uint8_t *ip;

	memset(tuple, 0, sizeof(*tuple));
	if (d->kind == DELIVERY_FRAME && !frame_is_right(t, d, tuple))
		return false;
	ip = head + d->l3;
	tuple->version = ip[0] >> 4 == 4 ? FLOW_IPV4 : FLOW_IPV6;
	if (tuple->version == FLOW_IPV4) {
		memcpy(tuple->source, ip + 12, 4);
		memcpy(tuple->destination, ip + 16, 4);
	} else {
		memcpy(tuple->source, ip + 8, 16);
		memcpy(tuple->destination, ip + 24, 16);
	}
	tuple->source_port = bytes_get16(head + d->l4);
	tuple->destination_port = bytes_get16(head + d->l4 + 2);
	return true;
}

/* What the kernel would have looked at before it gave TCP a frame: the program
 * that steers saw neither whose MAC it is for nor, with the claim of a port,
 * whose address. */
static bool is_for_us(struct tto *t, const struct delivery *d,
		      const struct flow_tuple *tuple, const struct claim *c)
{
	struct vtoe_address to = { .family = c->local.family };

	if (memcmp(tto_delivery_head(t, d), t->config.mac, sizeof(t->config.mac)))
		return false;
	if (!c->port)
		return true;
	memcpy(to.ip, tuple->destination, sizeof(to.ip));
	return ip_is_unicast(to.family, tuple->source) && tto_is_local(t, &to);
}

void tto_deliver(struct tto *t, struct delivery *out, unsigned count)
{
	struct flow_tuple tuple;
	struct claim *c;
	unsigned i;

	for (i = 0; i < count; i++) {
		c = NULL;
		if (delivery_tuple(t, &out[i], &tuple))
			c = tto_claim_of(t, &tuple);
		if (!c || !c->lane || !is_for_us(t, &out[i], &tuple, c)) {
			t->device->stats->tto_unclaimed += out[i].count;
			tto_delivery_end(t, &out[i], true);
			continue;
		}
		tto_neighbour_learn(t, c->local.family, tuple.source,
				    tto_delivery_head(t, &out[i]) + 6);
		tto_place(t, c, &out[i]);
	}
}

void tto_flush(struct tto *t, const struct flow_key *key,
	       enum end_reason reason)
{
	struct delivery out[AGGREGATE_OUT];
	unsigned n;

	do {
		n = key ? aggregate_flush_flow(&t->aggregator, key, reason, out,
					       AGGREGATE_OUT) :
			  aggregate_flush(&t->aggregator, reason, out,
					  AGGREGATE_OUT);
		tto_deliver(t, out, n);
	} while (n);
}

void tto_flush_claim(struct tto *t, struct lane *lane, const struct claim *c,
		     enum end_reason reason)
{
	if (c && !c->port)
		tto_flush(t, &c->key, reason);
	else
		tto_flush(t, NULL, END_FLUSH);
	tto_place_held_of(t, lane);
}

static uint64_t tto_now(const struct tto *t)
{
	return t->device->now_us * 1000;
}

static void tto_push(struct tto *t, const struct xsk_frame *frame)
{
	struct frame_input in = {
		.data = frame->data,
		.length = frame->length,
		.flags = FRAME_CHOSEN,
		/* where it is in the memory; the kernel rounds down */
		.ref = (uint64_t)(frame->data - (uint8_t *)t->umem),
	};
	struct delivery out[AGGREGATE_OUT];
	unsigned n;

	n = aggregate_push(&t->aggregator, &in, tto_now(t), out);
	if (n & AGGREGATE_DROPPED) {
		t->device->stats->tto_unclaimed++;
		xsk_release(&t->xsk, frame->ref);
	}
	tto_deliver(t, out, n & ~AGGREGATE_DROPPED);
}

/* What has waited long enough. */
static void tto_expire(struct tto *t)
{
	struct delivery out[AGGREGATE_OUT];
	unsigned n;

	do {
		n = aggregate_expire(&t->aggregator, tto_now(t), out,
				     AGGREGATE_OUT);
		tto_deliver(t, out, n);
	} while (n);
}

static void tto_receive(struct tto *t, bool *busy)
{
	struct xsk_frame frames[BURST];
	unsigned total = 0, n, i;

	do {
		n = xsk_receive(&t->xsk, frames, BURST);
		for (i = 0; i < n; i++)
			tto_push(t, &frames[i]);
		total += n;
	} while (n && total < TURN_FRAMES);
	t->more = n != 0;
	t->device->stats->tto_frames += total;
	*busy |= total != 0;
	if (t->config.hold_usec || t->more)
		tto_expire(t);
	else
		tto_flush(t, NULL, END_BATCH);
}

static void tto_turn(struct device *d, bool *busy)
{
	struct tto *t = d->tto;

	tto_place_held(t);
	tto_receive(t, busy);
	tto_send_flush(t);
	/* or nothing comes while this sleeps */
	xsk_refill(&t->xsk);
	tto_stall_watch(t);
	t->routed = 0;
}

/* -- the lane's part ------------------------------------------------------- */

struct frame_lane *tto_lane(struct lane *lane)
{
	struct frame_lane *fl = lane->frames;

	if (fl)
		return fl;
	fl = calloc(1, sizeof(*fl));
	if (!fl)
		return NULL;
	fl->buffers = calloc(VTOE_AGGREGATE_MAX, sizeof(*fl->buffers));
	if (!fl->buffers) {
		free(fl);
		return NULL;
	}
	fl->lane = lane;
	list_init(&fl->node);
	list_init(&fl->claims);
	list_init(&fl->held);
	list_init(&fl->stall_node);
	lane->frames = fl;
	return fl;
}

static void tto_lane_gone(struct lane *lane)
{
	struct tto *t = lane->conn->device->tto;
	struct frame_lane *fl = lane->frames;
	bool claims = !list_empty(&fl->claims);

	tto_held_drop(t, fl, NULL);
	while (!list_empty(&fl->claims))
		tto_claim_free(t, list_entry(fl->claims.next, struct claim,
					     lane_node));
	/* what is collected of them is nobody's, also if the next lane claims
	 * the same */
	if (claims)
		tto_flush(t, NULL, END_FLUSH);
	while (fl->buffer_count)
		region_put(lane->conn,
			   fl->buffers[--fl->buffer_count].region);
	list_del(&fl->node);
	list_del(&fl->stall_node);
	free(fl->buffers);
	free(fl);
	lane->frames = NULL;
}

/* -- sleeping -------------------------------------------------------------- */

/* The timer that runs already ends no later: collections end in the order in
 * which they began. */
static void tto_set_timer(struct tto *t)
{
	uint64_t at = UINT64_MAX, now = tto_now(t), wait;

	if (t->config.hold_usec)
		at = aggregate_deadline(&t->aggregator);
	if (t->unsent && at > now + RETRY_NS)
		at = now + RETRY_NS;
	if (at == UINT64_MAX || t->timed)
		return;
	wait = at > now ? at - now : 0;
	t->timer.tv_sec = (long long)(wait / 1000000000);
	t->timer.tv_nsec = (long long)(wait % 1000000000);
	io_uring_prep_timeout(uring_sqe(&t->device->uring, &t->timer,
					TAG_FRAMES), &t->timer, 0, 0);
	t->timed = true;
}

static bool tto_arm(struct device *d)
{
	struct tto *t = d->tto;

	if (t->more)
		return false;
	tto_set_timer(t);
	if (!t->polled)
		io_uring_prep_poll_add(uring_sqe(&d->uring, t, TAG_FRAMES),
				       t->xsk.fd, POLLIN);
	t->polled = true;
	return true;
}

static void tto_woken(struct device *d, void *object)
{
	struct tto *t = d->tto;

	if (object == t)
		t->polled = false;
	else if (object == &t->timer)
		t->timed = false;
	else
		tto_stall_woken(t, object);
}

static bool tto_tick(struct device *d)
{
	bool again = tto_claims_tick(d->tto);

	return tto_send_tick(d->tto) || again;
}

/* -- requests -------------------------------------------------------------- */

static int tto_flush_request(struct lane *lane, const struct vtoe_sqe *sqe)
{
	struct tto *t = lane->conn->device->tto;
	struct claim *c = NULL;
	int rc = 0;

	if (sqe->stream != VTOE_STREAM_NONE)
		rc = tto_claim_find(lane, sqe->stream, &c);
	if (!rc)
		tto_flush_claim(t, lane, c, END_FLUSH);
	return rc;
}

static int tto_dispatch(struct lane *lane, const struct vtoe_sqe *sqe,
			struct vtoe_cqe *cqe)
{
	switch (sqe->op) {
	case VTOE_OP_CLAIM:
		return tto_claim(lane, sqe, cqe);
	case VTOE_OP_UNCLAIM:
		return tto_unclaim(lane, sqe, cqe);
	case VTOE_OP_SEGMENT:
		return tto_segment(lane, sqe);
	case VTOE_OP_AGGREGATE:
		return tto_buffers_add(lane, sqe);
	default:
		return tto_flush_request(lane, sqe);
	}
}

static int tto_start_request(struct lane *lane, const struct vtoe_sqe *sqe,
			     struct vtoe_cqe *cqe)
{
	int rc;

	if (!tto_lane(lane))
		return -ENOMEM;
	rc = tto_dispatch(lane, sqe, cqe);
	if (lane->frames)
		lane->frames->stalled = rc == TOE_LATER;
	return rc;
}

static const struct frame_service tto_service = {
	.start = tto_start_request,
	.turn = tto_turn,
	.arm = tto_arm,
	.woken = tto_woken,
	.tick = tto_tick,
	.wants_room = tto_wants_room,
	.region_gone = tto_buffers_forget,
	.lane_gone = tto_lane_gone,
};

/* -- start and end --------------------------------------------------------- */

static uint32_t power_of_two_from(uint32_t n)
{
	uint32_t p = 1;

	while (p < n)
		p *= 2;
	return p;
}

static int tto_start_aggregator(struct tto *t, uint32_t frames)
{
	struct aggregate_config c;
	size_t bytes;

	aggregate_config_default(&c);
	/* a connection of a listener has no claim of its own */
	c.flows = power_of_two_from(t->claim_max * 2);
	if (c.flows < 1024)
		c.flows = 1024;
	if (c.flows > 65536)
		c.flows = 65536;
	c.hold_max = frames / 2;
	c.backlog = frames;
	c.drop_bad = true;
	if (t->config.segments && t->config.segments < c.count_max)
		c.count_max = (uint16_t)t->config.segments;
	c.push_joins = t->config.push_joins && !t->config.hold_usec;
	if (t->config.acks_join && !t->config.hold_usec)
		c.ack_merge_max = c.ack_change_max = c.count_max;
	c.timeout = (t->config.hold_usec ? t->config.hold_usec : BUSY_US) *
		    1000ull;
	if (getrandom(c.secret, sizeof(c.secret), 0) != sizeof(c.secret))
		return -EIO;
	bytes = aggregate_bytes(&c);
	if (!bytes || posix_memalign(&t->memory, 64, bytes))
		return -ENOMEM;
	return aggregate_init(&t->aggregator, &c, t->memory, bytes);
}

static int tto_start_socket(struct tto *t)
{
	struct xsk_config x = xsk_config_of(&t->config);
	int fd = t->config.sockets.xsk, rc;

	t->umem_bytes = xsk_memory_bytes(&x);
	t->umem = mmap(NULL, t->umem_bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (t->umem == MAP_FAILED) {
		t->umem = NULL;
		return -ENOMEM;
	}
	t->config.sockets.xsk = -1; /* taken over, whatever comes */
	rc = xsk_start(&t->xsk, fd, &x, t->umem);
	if (!rc)
		rc = steer_queue(t->config.queues, 0, t->xsk.fd);
	return rc;
}

static int tto_start_parts(struct tto *t, const char **what)
{
	int rc;

	*what = "the TTO service's memory";
	rc = tto_claims_init(t);
	if (!rc)
		rc = tto_start_aggregator(t, t->config.frames);
	if (rc)
		return rc;
	*what = "the AF_XDP socket";
	return tto_start_socket(t);
}

int tto_start(struct device *d, const struct tto_config *c, const char **what)
{
	struct tto *t = NULL;
	int rc;

	*what = "the TTO service's memory";
	if (posix_memalign((void **)&t, 64, sizeof(*t))) {
		struct tto_sockets s = c->sockets;

		sockets_close(&s);
		return -ENOMEM;
	}
	memset(t, 0, sizeof(*t));
	t->config = *c;
	if (!t->config.frames)
		t->config.frames = FRAMES;
	t->device = d;
	t->xsk.fd = -1;
	list_init(&t->waiting);
	list_init(&t->stalled);
	list_init(&t->stalled_again);
	pool_init(&t->held, sizeof(struct held), 64, t->config.frames);
	d->tto = t;
	rc = tto_start_parts(t, what);
	if (rc) {
		tto_stop(d);
		return rc;
	}
	d->frames = &tto_service;
	tto_claims_find(t);
	return 0;
}

/* The lanes are gone by now, or go with the process. */
void tto_stop(struct device *d)
{
	struct tto *t = d->tto;

	if (!t)
		return;
	d->frames = NULL;
	d->tto = NULL;
	tto_capture_end(t);
	if (t->xsk.fd >= 0)
		xsk_stop(&t->xsk);
	if (t->umem)
		munmap(t->umem, t->umem_bytes);
	sockets_close(&t->config.sockets);
	tto_claims_free(t);
	pool_free(&t->held);
	free(t->memory);
	free(t);
}

/* -- what is shown --------------------------------------------------------- */

bool tto_next_flow(const struct device *d, uint32_t *at, struct tto_flow *flow)
{
	const struct tto *t = d->tto;
	const struct claim *c;

	if (!t)
		return false;
	if (!*at)
		*at = 1;
	while (*at <= t->claim_max && !t->claims[*at])
		++*at;
	if (*at > t->claim_max)
		return false;
	c = t->claims[(*at)++];
	memset(flow, 0, sizeof(*flow));
	flow->claim = c->id;
	if (c->lane) {
		flow->conn = c->lane->conn->link.id;
		flow->pid = c->lane->conn->pid;
		memcpy(flow->program, c->lane->conn->program,
		       sizeof(flow->program));
	}
	flow->port = c->port;
	flow->local = c->local;
	flow->remote = c->remote;
	flow->aggregates = c->aggregates;
	flow->segments = c->segments;
	flow->rx_bytes = c->rx_bytes;
	flow->dropped = c->dropped;
	flow->sent = c->sent;
	flow->tx_bytes = c->tx_bytes;
	return true;
}

const char *tto_reason(const struct device *d, unsigned reason, uint64_t *ended,
		       uint64_t *passed)
{
	*ended = *passed = 0;
	if (!d->tto || reason >= END_REASONS)
		return NULL;
	*ended = d->tto->aggregator.stats.ended[reason];
	*passed = d->tto->aggregator.stats.passed[reason];
	return event_reason_name(reason);
}
