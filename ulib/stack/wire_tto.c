/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wire_tto.c - segments through the TTO service of a device's worker
 *
 * A client of libvtoe with one lane. Its memory, in the arena, is two arrays:
 * slots, each a struct vtoe_segment and room for its payload, which is copied
 * there; and buffers that the worker fills with what it received (AGGREGATE). A
 * buffer is the worker's until a completion names it, then TCP's until the
 * application has read it. Little in a large buffer is copied out, and the buffer
 * is free at once; and so is everything while half of them are TCP's: a reader
 * that is slow must not starve the others. Free ones go back with the next segment,
 * which rings anyway; by themselves only when they are many.
 *
 * The worker may die at any time. Then segments under way are lost, as on a wire;
 * a session with the next worker is opened, with new memory, and all claims are
 * asked for again, with the number that only we know (MECHANISMS B9). If its
 * supervisor died too, that is tried until there is another. The old session's
 * memory stays mapped until the last of its buffers was read.
 *
 *   claim   WANTED: asked for, unanswered; IN_FORCE: frames of it come;
 *           LOST: was in force with a worker that died, and is asked for again
 *
 * A completion names the claim that it is for with the number of its asking, so
 * that one that is late is not taken for another's.
 */
#include "stack/wire_tto.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "internal.h"
#include "stack/wire_session.h"

enum {
	COPY_BYTES = BUFFER_BYTES / 8, /* so much and less is copied out */
	RETRY_US = 20000,
	RETRY_MAX_US = 1000000,
	OPENING_US = 5000, /* a session that is being opened is looked for */
	OWED_US = 5000, /* buffers that found no room are offered again */
	ASK_AGAIN_US = 1000000,
};

enum claim_state { CLAIM_NONE, CLAIM_WANTED, CLAIM_IN_FORCE, CLAIM_LOST };

struct tto_claim {
	uint8_t state;
	bool asked;	 /* of the present worker, which has not answered */
	uint32_t asking; /* number of the last one */
	uint32_t stream; /* the worker's name for it */
	struct wire_claim what;
};

struct wire_tto {
	struct wire wire; /* first */
	char *path;
	struct session *now, *over;
	struct session_opener opener;
	struct vtoe_device_page page;
	struct tto_claim *claims;
	uint32_t claim_count;
	uint64_t secret;
	uint64_t retry_us, retry_after;
	uint64_t ask_us; /* claims that were refused are asked for again */
	uint64_t owed_us; /* so are buffers that are owed offered */
	uint64_t losses;
	/* an aggregate of which more is to come */
	bool partial;
	uint32_t partial_left;
	struct wire_event event;
};

static struct wire_tto *tto_of(struct wire *w)
{
	return (struct wire_tto *)w;
}

/* -- claims ---------------------------------------------------------------- */

static void claim_ask(struct wire_tto *t, uint32_t i)
{
	struct tto_claim *c = &t->claims[i];
	struct vtoe_sqe *sqe = t->now ? session_sqe(t->now) : NULL;

	if (!sqe) { /* in a while, or with the next session */
		t->ask_us = 0;
		return;
	}
	c->asked = true;
	c->asking++;
	vtoe_sqe_set(sqe, VTOE_OP_CLAIM, 0, USER(USER_CLAIM, c->asking, i));
	sqe->u.address = c->what.address;
	sqe->length = c->what.port;
	sqe->op_flags = c->what.flags;
	sqe->offset = t->secret;
}

static void tto_claim(struct wire *w, uint32_t claim,
		      const struct wire_claim *what)
{
	struct wire_tto *t = tto_of(w);
	struct tto_claim *c = &t->claims[claim];

	c->state = CLAIM_WANTED;
	c->asked = false;
	c->what = *what;
	claim_ask(t, claim);
}

static void stream_unclaim(struct wire_tto *t, uint32_t stream)
{
	struct vtoe_sqe *sqe = t->now ? session_sqe(t->now) : NULL;

	if (sqe)
		vtoe_sqe_set(sqe, VTOE_OP_UNCLAIM, stream,
			     USER(USER_UNCLAIM, 0, 0));
}

static void tto_unclaim(struct wire *w, uint32_t claim)
{
	struct wire_tto *t = tto_of(w);
	struct tto_claim *c = &t->claims[claim];

	/* one that is asked for again is given up when the answer comes */
	if (c->state == CLAIM_IN_FORCE)
		stream_unclaim(t, c->stream);
	c->state = CLAIM_NONE;
}

/* -> true: *e is filled */
static bool claim_answered(struct wire_tto *t, const struct vtoe_cqe *cqe,
			   struct wire_event *e)
{
	uint32_t i = USER_INDEX(cqe->user_data);
	struct tto_claim *c = &t->claims[i];
	bool wanted = c->state == CLAIM_WANTED;

	if (c->asking % (1u << 24) != USER_ASKING(cqe->user_data) ||
	    !c->asked || c->state == CLAIM_NONE) {
		if (cqe->flags & VTOE_CQE_MORE) /* nobody wants it any more */
			stream_unclaim(t, cqe->stream);
		return false;
	}
	c->asked = false;
	if (cqe->result < 0 && !wanted) {
		/* its port is not free yet: as if the wire were cut */
		t->ask_us = 0;
		return false;
	}
	c->state = cqe->result < 0 ? CLAIM_NONE : CLAIM_IN_FORCE;
	c->stream = cqe->stream;
	if (cqe->result >= 0 && wanted) {
		/* asked for again, it is this one */
		if (c->what.flags & VTOE_CLAIM_PORT)
			c->what.address.port = cqe->u.address.port;
		else
			c->what.port = cqe->u.address.port;
	}
	e->kind = wanted ? WIRE_CLAIMED : WIRE_BACK;
	e->claim = i;
	e->result = cqe->result < 0 ? cqe->result : 0;
	e->local = cqe->u.address;
	e->mtu = cqe->length;
	return true;
}

/* -- the worker comes and goes --------------------------------------------- */

static void tto_partial_drop(struct wire_tto *t);

/* One buffer less is out, of a session that is over. */
static void session_let_go(struct wire_tto *t, struct session *s)
{
	struct session **link = &t->over;

	if (--s->out)
		return;
	while (*link != s)
		link = &(*link)->next;
	*link = s->next;
	session_free(s);
}

static uint64_t twice(uint64_t us)
{
	return 2 * us < RETRY_MAX_US ? 2 * us : RETRY_MAX_US;
}

static void tto_lost(struct wire_tto *t, uint64_t now_us)
{
	static const uint64_t one = 1;
	struct session *s = t->now;
	uint32_t i;

	t->losses++;
	t->now = NULL;
	t->retry_us = now_us;
	if (now_us - s->since_us < RETRY_MAX_US) { /* one that fails at once */
		t->retry_us += t->retry_after;
		t->retry_after = twice(t->retry_after);
	} else {
		t->retry_after = RETRY_US;
	}
	for (i = 0; i < t->claim_count; i++) {
		if (t->claims[i].state == CLAIM_IN_FORCE)
			t->claims[i].state = CLAIM_LOST;
		t->claims[i].asked = false;
	}
	/* whoever watches its descriptors looks for the next one's; what has
	 * died may be the lane alone */
	(void)!write(vtoe_lane_fd(s->lane), &one, sizeof(one));
	(void)shutdown(vtoe_control_fd(s->ctx), SHUT_RDWR);
	s->out++; /* over the calls below */
	s->next = t->over;
	t->over = s;
	tto_partial_drop(t);
	session_let_go(t, s);
}

static void claims_ask_all(struct wire_tto *t)
{
	uint32_t i;

	for (i = 0; i < t->claim_count; i++)
		if (t->claims[i].state != CLAIM_NONE &&
		    t->claims[i].state != CLAIM_IN_FORCE &&
		    !t->claims[i].asked)
			claim_ask(t, i);
}

static void tto_use(struct wire_tto *t, struct session *s, uint64_t now_us)
{
	const struct vtoe_device_page *page = vtoe_device(s->ctx);

	t->now = s;
	s->since_us = now_us;
	s->unwatched = true;
	t->page = *page;
	memcpy(t->wire.ipv4, page->ipv4, sizeof(page->ipv4));
	memcpy(t->wire.ipv6, page->ipv6, sizeof(page->ipv6));
	claims_ask_all(t);
	session_submit(s);
}

static bool tto_again(struct wire_tto *t, uint64_t now_us)
{
	struct session *s;
	int rc;

	if (t->now)
		return true;
	if (now_us < t->retry_us)
		return false;
	rc = session_opener_ask(&t->opener, t->path, &s);
	if (!rc) {
		tto_use(t, s, now_us);
		return true;
	}
	t->retry_us = now_us + OPENING_US;
	if (rc != -EAGAIN) {
		t->retry_us = now_us + t->retry_after;
		t->retry_after = twice(t->retry_after);
	}
	return false;
}

/* -- receiving ------------------------------------------------------------- */

static void tto_give_back(struct wire *w, struct wire_buffer *b)
{
	struct tto_buffer *buffer = (struct tto_buffer *)b;
	struct session *s = buffer->session;
	struct wire_tto *t = tto_of(w);

	if (!s) {
		free(buffer);
		return;
	}
	if (s != t->now) {
		session_let_go(t, s);
		return;
	}
	s->out--;
	if (!session_lend(s, (uint32_t)(buffer - s->buffers), 1))
		s->owed[s->owed_count++] = (uint16_t)(buffer - s->buffers);
}

static void tto_partial_drop(struct wire_tto *t)
{
	struct tcp_packet *p = &t->event.packet;
	unsigned i;

	for (i = 0; t->partial && i < p->ref_count; i++)
		tto_give_back(&t->wire, (struct wire_buffer *)(uintptr_t)
						t->event.refs[i].buffer);
	t->partial = false;
}

/* Memory of its own for a few bytes. */
static struct tto_buffer *buffer_copy(const uint8_t *from, uint32_t bytes)
{
	struct tto_buffer *b = malloc(sizeof(*b) + bytes);

	if (!b)
		return NULL;
	memset(b, 0, sizeof(*b));
	b->b.at = (uint8_t *)(b + 1);
	memcpy(b->b.at, from, bytes);
	return b;
}

/* Adds what is in one buffer to the packet, which owns the buffer then. */
static void packet_add(struct wire_tto *t, struct tto_buffer *b,
		       uint32_t skip, uint32_t bytes)
{
	struct tcp_packet *p = &t->event.packet;
	struct tto_buffer *own = NULL;
	struct session *s = b->session;

	if (bytes && p->ref_count == TCP_REFS_MAX)
		bytes = 0; /* 4 MiB: it cannot be */
	if (bytes && (bytes <= COPY_BYTES || s->out > s->buffer_count / 2))
		own = buffer_copy(b->b.at + skip, bytes);
	if (!bytes || own)
		tto_give_back(&t->wire, &b->b);
	if (!bytes)
		return;
	t->event.refs[p->ref_count++] = (struct tcp_ref){
		.buffer = (uint64_t)(uintptr_t)(own ? own : b),
		.offset = own ? 0 : skip,
		.length = bytes,
	};
}

/* The header, copied out and checked (P-44). */
static bool packet_begin(struct wire_tto *t, const struct tto_buffer *b,
			 const struct vtoe_cqe *cqe)
{
	struct tcp_packet *p = &t->event.packet;
	struct vtoe_received r;

	memcpy(&r, b->b.at, sizeof(r));
	if (r.head_bytes < 20 || r.head_bytes > TCP_HEAD_MAX ||
	    (r.local.family != VTOE_AF_INET &&
	     r.local.family != VTOE_AF_INET6))
		return false;
	memset(p, 0, sizeof(*p));
	memcpy(p->tuple.local, r.local.ip, 16);
	memcpy(p->tuple.remote, r.remote.ip, 16);
	p->tuple.local_port = r.local.port;
	p->tuple.remote_port = r.remote.port;
	p->tuple.family = (uint8_t)r.local.family;
	memcpy(t->event.head, r.head, sizeof(r.head));
	p->head_bytes = r.head_bytes;
	p->segments = cqe->u.aggregate.segments;
	p->segment_max = cqe->u.aggregate.max_segment;
	p->dup_acks = cqe->u.aggregate.duplicate_acks;
	p->ecn = r.ecn;
	t->partial_left = (uint32_t)cqe->result;
	return true;
}

/* -> true: a packet is complete */
static bool tto_frame(struct wire_tto *t, const struct vtoe_cqe *cqe)
{
	uint32_t which, skip = t->partial ? 0 : sizeof(struct vtoe_received);
	struct session *s = t->now;
	struct tto_buffer *b;

	if (!session_is_ours(s, cqe->key, cqe->offset,
			     (uint64_t)cqe->length + skip, &which))
		return false;
	b = &s->buffers[which];
	b->lent = false;
	s->out++;
	if ((!t->partial && !packet_begin(t, b, cqe)) ||
	    cqe->length > t->partial_left) {
		tto_give_back(&t->wire, &b->b);
		tto_partial_drop(t);
		return false;
	}
	t->partial_left -= cqe->length;
	t->partial = true;
	packet_add(t, b, skip, cqe->length);
	if (cqe->flags & VTOE_CQE_CONTINUED)
		return false;
	t->partial = false;
	return true;
}

/* A segment was sent: its slot is free. Once, whatever the worker says.
 * -> true: it has no way to its peer, which the caller wants to know */
static bool slot_done(struct session *s, uint32_t slot, int result,
		      struct wire_event *e)
{
	if (slot >= s->slot_count || !s->slot_busy[slot])
		return false;
	s->slot_busy[slot] = false;
	s->free_slot[s->free_slots++] = (uint16_t)slot;
	if ((result != -EHOSTUNREACH && result != -ENETUNREACH) ||
	    s->slot_conn[slot] <= 0)
		return false;
	e->kind = WIRE_UNREACHABLE;
	e->conn = s->slot_conn[slot];
	e->result = result;
	return true;
}

static void packet_end(struct wire_tto *t, struct wire_event *e)
{
	const struct tcp_packet *p = &t->event.packet;

	e->kind = WIRE_PACKET;
	e->packet = *p;
	e->packet.head = e->head;
	e->packet.refs = e->refs;
	memcpy(e->head, t->event.head, sizeof(e->head));
	memcpy(e->refs, t->event.refs, p->ref_count * sizeof(*e->refs));
}

/* -> true: *e is filled */
static bool tto_complete(struct wire_tto *t, const struct vtoe_cqe *cqe,
			 struct wire_event *e)
{
	switch (USER_KIND(cqe->user_data)) {
	case USER_CLAIM:
		if (USER_INDEX(cqe->user_data) >= t->claim_count)
			return false;
		if (!(cqe->flags & VTOE_CQE_FRAME))
			return claim_answered(t, cqe, e);
		if (!tto_frame(t, cqe))
			return false;
		packet_end(t, e);
		return true;
	case USER_SEGMENT:
		return slot_done(t->now, USER_INDEX(cqe->user_data),
				 cqe->result, e);
	default:
		return false;
	}
}

static bool tto_next(struct wire *w, struct wire_event *e, uint64_t now_us)
{
	struct wire_tto *t = tto_of(w);
	struct vtoe_cqe *at, cqe;
	int rc;

	while (tto_again(t, now_us)) {
		rc = vtoe_peek_cqe(t->now->lane, &at);
		if (rc < 0) {
			tto_lost(t, now_us);
			continue;
		}
		if (!rc)
			break;
		cqe = *at;
		vtoe_cqe_seen(t->now->lane);
		/* the library's answers for a dead worker */
		if (cqe.result == -ENOTCONN)
			continue;
		if (tto_complete(t, &cqe, e))
			return true;
	}
	t->owed_us = now_us + OWED_US;
	if (t->now && !t->ask_us) {
		t->ask_us = now_us + ASK_AGAIN_US;
	} else if (t->now && now_us >= t->ask_us && t->ask_us != TCP_NEVER) {
		t->ask_us = TCP_NEVER;
		claims_ask_all(t);
	}
	return false;
}

/* -- sending --------------------------------------------------------------- */

static unsigned tto_room(struct wire *w)
{
	const struct session *s = tto_of(w)->now;

	if (!s) /* lost; but what goes to ourselves, which comes to no wire */
		return SLOTS_MAX;
	return s->free_slots > SPARE ? s->free_slots - SPARE : 0;
}

static void address_put(struct vtoe_address *to, const struct tcp_tuple *t,
			bool local)
{
	memset(to, 0, sizeof(*to));
	to->family = t->family;
	to->port = local ? t->local_port : t->remote_port;
	memcpy(to->ip, local ? t->local : t->remote, 16);
}

static void payload_copy(uint8_t *to, const struct iovec payload[2],
			 uint32_t from, uint32_t bytes)
{
	unsigned i;

	for (i = 0; i < 2 && bytes; i++) {
		size_t n = payload[i].iov_len;

		if (from >= n) {
			from -= (uint32_t)n;
			continue;
		}
		n -= from;
		if (n > bytes)
			n = bytes;
		memcpy(to, (const uint8_t *)payload[i].iov_base + from, n);
		to += n;
		bytes -= (uint32_t)n;
		from = 0;
	}
}

/* The bytes [at, at + bytes) of a segment's payload, in a slot. */
static void slot_fill(struct session *s, uint32_t slot,
		      const struct tcp_segment *seg,
		      const struct iovec payload[2], uint32_t at,
		      uint32_t bytes)
{
	uint8_t *memory = s->slots + (size_t)slot * SLOT_BYTES;
	struct vtoe_segment *v = (struct vtoe_segment *)memory;
	uint32_t seq;

	memset(v, 0, sizeof(*v));
	address_put(&v->local, &seg->tuple, true);
	address_put(&v->remote, &seg->tuple, false);
	memcpy(v->head, seg->head, sizeof(v->head));
	v->head_bytes = seg->head_bytes;
	v->ecn = seg->ecn;
	v->segment_size = seg->segment_size;
	if (at) {
		memcpy(&seq, v->head + 4, 4);
		seq = __builtin_bswap32(__builtin_bswap32(seq) + at);
		memcpy(v->head + 4, &seq, 4);
		v->head[13] &= 0x7f; /* CWR: in the first */
	}
	if (at + bytes < seg->length)
		v->head[13] &= 0xf6; /* FIN, PSH: in the last */
	if (!bytes)
		return;
	payload_copy(memory + sizeof(*v), payload, at, bytes);
	v->pieces[0].key = s->slots_key;
	v->pieces[0].offset = s->slots_offset +
			      (uint64_t)slot * SLOT_BYTES + sizeof(*v);
	v->pieces[0].length = bytes;
}

static void tto_send(struct wire *w, uint32_t claim,
		     const struct tcp_segment *seg,
		     const struct iovec payload[2])
{
	struct wire_tto *t = tto_of(w);
	const struct tto_claim *c = &t->claims[claim];
	uint32_t most = seg->segment_size * VTOE_SEGMENT_FRAMES, at = 0, n;
	struct session *s = t->now;

	if (!s || c->state != CLAIM_IN_FORCE)
		return; /* as if lost */
	do {
		struct vtoe_sqe *sqe;
		uint32_t slot;

		n = seg->length - at;
		if (most && n > most)
			n = most;
		sqe = s->free_slots ? session_sqe(s) : NULL;
		if (!sqe)
			return;
		slot = s->free_slot[--s->free_slots];
		s->slot_busy[slot] = true;
		s->slot_conn[slot] = seg->conn;
		slot_fill(s, slot, seg, payload, at, n);
		vtoe_sqe_set(sqe, VTOE_OP_SEGMENT, c->stream,
			     USER(USER_SEGMENT, 0, slot));
		sqe->flags = VTOE_SQE_QUIET;
		sqe->key = s->slots_key;
		sqe->offset = s->slots_offset + (uint64_t)slot * SLOT_BYTES;
		sqe->length = sizeof(struct vtoe_segment);
		at += n;
	} while (at < seg->length);
}

static void tto_flush(struct wire *w)
{
	struct wire_tto *t = tto_of(w);

	struct session *s = t->now;

	if (!s)
		return;
	session_lend_owed(s);
	if (!s->due && s->back < s->buffer_count / 8 &&
	    (s->out + s->back) * 2 < s->buffer_count)
		return;
	session_submit(s);
}

/* -- sleeping -------------------------------------------------------------- */

static bool tto_arm(struct wire *w)
{
	struct wire_tto *t = tto_of(w);
	struct session *s = t->now;
	bool all;

	if (!s)
		return true;
	if (s->unwatched) { /* its descriptors are new to the caller */
		s->unwatched = false;
		return false;
	}
	all = s->free_slots <= s->slot_count / 2;
	if (all != s->want_all)
		vtoe_lane_want_all(s->lane, all);
	s->want_all = all;
	return !vtoe_lane_arm(s->lane);
}

static uint64_t tto_wake_us(const struct wire *w)
{
	const struct wire_tto *t = (const struct wire_tto *)w;

	if (!t->now)
		return t->retry_us;
	if (t->now->owed_count)
		return t->owed_us;
	return t->ask_us ? t->ask_us : TCP_NEVER;
}

void wire_tto_woken(struct wire *w, bool hangup)
{
	struct wire_tto *t = tto_of(w);

	if (!t->now)
		return;
	vtoe_lane_disarm(t->now->lane);
	if (hangup)
		(void)vtoe_alive(t->now->ctx); /* looks, and tells the lane */
}

bool wire_tto_has_come(struct wire *w, bool quiet)
{
	struct wire_tto *t = tto_of(w);
	struct vtoe_cqe *cqe;

	if (!t->now)
		return false;
	if (quiet)
		vtoe_ring_disarm(&t->now->lane->cq);
	return vtoe_peek_cqe(t->now->lane, &cqe) != 0;
}

int wire_tto_lane_fd(const struct wire *w)
{
	const struct wire_tto *t = (const struct wire_tto *)w;

	return t->now ? vtoe_lane_fd(t->now->lane) : -1;
}

int wire_tto_hangup_fd(const struct wire *w)
{
	const struct wire_tto *t = (const struct wire_tto *)w;

	return t->now ? vtoe_control_fd(t->now->ctx) : -1;
}

uint64_t wire_tto_losses(const struct wire *w)
{
	return ((const struct wire_tto *)w)->losses;
}

const struct vtoe_device_page *wire_tto_page(const struct wire *w)
{
	return &((const struct wire_tto *)w)->page;
}

static const struct wire_ops tto_ops = {
	.claim = tto_claim,
	.unclaim = tto_unclaim,
	.room = tto_room,
	.send = tto_send,
	.flush = tto_flush,
	.next = tto_next,
	.give_back = tto_give_back,
	.arm = tto_arm,
	.wake_us = tto_wake_us,
};

struct wire *wire_tto_open(const char *path, uint32_t claims, int *error)
{
	struct wire_tto *t = calloc(1, sizeof(*t));
	struct session *s;

	*error = -ENOMEM;
	if (!t)
		return NULL;
	t->wire.ops = &tto_ops;
	t->ask_us = TCP_NEVER;
	t->retry_after = RETRY_US;
	t->path = path ? strdup(path) : NULL;
	t->claims = calloc(claims, sizeof(*t->claims));
	t->claim_count = claims;
	if (t->claims && (t->path || !path))
		*error = getrandom(&t->secret, sizeof(t->secret), 0) ==
					 sizeof(t->secret) ?
				 session_open(path, &s) : -errno;
	if (*error) {
		wire_tto_close(&t->wire);
		return NULL;
	}
	tto_use(t, s, 0);
	return &t->wire;
}

static void tto_free(struct wire_tto *t, void (*end)(struct session *s))
{
	struct session *s, *next;

	if (t->now)
		end(t->now);
	for (s = t->over; s; s = next) {
		next = s->next;
		end(s);
	}
	free(t->claims);
	free(t->path);
	free(t);
}

void wire_tto_close(struct wire *w)
{
	session_opener_end(&tto_of(w)->opener);
	tto_free(tto_of(w), session_free);
}

void wire_tto_forget(struct wire *w)
{
	/* a thread that opens one is the parent's, too */
	tto_free(tto_of(w), session_forget);
}
