/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_sim.c - the wire between two engines: see tcp_sim.h */
#include "tests/lib/tcp_sim.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/tcp_wire.h"

enum { BATCH = 8 };

uint64_t sim_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static bool chance(struct sim *sim, unsigned of_10000)
{
	return of_10000 && sim_random(&sim->random) % 10000 < of_10000;
}

__attribute__((format(printf, 2, 3)))
static void broken(struct sim *sim, const char *format, ...)
{
	va_list args;

	if (sim->failure[0])
		return;
	va_start(args, format);
	vsnprintf(sim->failure, sizeof(sim->failure), format, args);
	va_end(args);
}

static uint8_t stream_byte(unsigned from, uint64_t at)
{
	uint64_t v = (at / 8 + 1) * 0x9e3779b97f4a7c15u + from;

	return (uint8_t)(v >> 8 * (at % 8));
}

/* -- packets in flight, by time -------------------------------------------- */

static bool earlier(const struct sim_packet *a, const struct sim_packet *b)
{
	return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static void heap_push(struct sim *sim, struct sim_packet *p)
{
	unsigned i = sim->heap_count++;

	if (i == sim->heap_room) {
		sim->heap_room = sim->heap_room ? 2 * sim->heap_room : 256;
		sim->heap = realloc(sim->heap,
				    sim->heap_room * sizeof(*sim->heap));
	}
	for (; i && earlier(p, sim->heap[(i - 1) / 2]); i = (i - 1) / 2)
		sim->heap[i] = sim->heap[(i - 1) / 2];
	sim->heap[i] = p;
}

static struct sim_packet *heap_pop(struct sim *sim)
{
	struct sim_packet *top = sim->heap[0];
	struct sim_packet *last = sim->heap[--sim->heap_count];
	unsigned i = 0, child;

	while ((child = 2 * i + 1) < sim->heap_count) {
		if (child + 1 < sim->heap_count &&
		    earlier(sim->heap[child + 1], sim->heap[child]))
			child++;
		if (!earlier(sim->heap[child], last))
			break;
		sim->heap[i] = sim->heap[child];
		i = child;
	}
	if (sim->heap_count)
		sim->heap[i] = last;
	return top;
}

/* -- from an engine to the wire -------------------------------------------- */

static unsigned mtu_now(const struct sim *sim)
{
	return sim->c.mtu_later && sim->now >= sim->c.mtu_at ?
		       sim->c.mtu_later : sim->c.mtu;
}

static bool lost(struct sim *sim, const struct sim_packet *p)
{
	const struct sim_config *c = &sim->c;
	struct sim_host *from = &sim->host[!p->to];

	if (from->packets++ == 0 && c->drop_syn)
		return true;
	if (p->head_bytes + p->length > mtu_now(sim))
		return true;
	if (c->outage_for && sim->now >= c->outage_at &&
	    sim->now < c->outage_at + c->outage_for)
		return true;
	return chance(sim, c->loss);
}

static struct sim_packet *copy_of(const struct sim_packet *p)
{
	struct sim_packet *q = malloc(sizeof(*p) + p->length + 1);

	memcpy(q, p, sizeof(*p) + p->length);
	return q;
}

static void travel(struct sim *sim, struct sim_packet *p)
{
	const struct sim_config *c = &sim->c;
	struct sim_host *from = &sim->host[!p->to];
	uint64_t begin = sim->now;
	unsigned bit;

	if (c->rate) {
		uint64_t bytes = p->head_bytes + p->length + 40;

		if (from->busy_until > begin)
			begin = from->busy_until;
		if ((begin - sim->now) * c->rate / 1000000 > c->queue) {
			free(p);
			return;
		}
		from->busy_until = begin + bytes * 1000000 / c->rate;
		begin = from->busy_until;
	}
	p->at = begin + c->delay;
	if (c->jitter)
		p->at += sim_random(&sim->random) % c->jitter;
	p->order = sim->order++;
	if (p->ecn && chance(sim, c->mark))
		p->ecn = TCP_ECN_CE;
	if (chance(sim, c->corrupt)) {
		bit = (unsigned)(sim_random(&sim->random) %
				 (8 * (p->head_bytes + p->length)));
		if (bit / 8 < p->head_bytes)
			p->head[bit / 8] ^= (uint8_t)(1 << bit % 8);
		else
			p->data[bit / 8 - p->head_bytes] ^=
				(uint8_t)(1 << bit % 8);
	}
	heap_push(sim, p);
}

static void to_wire(struct sim *sim, struct sim_packet *p)
{
	struct sim_packet *twin = NULL;

	if (lost(sim, p)) {
		free(p);
		return;
	}
	if (chance(sim, sim->c.duplicate))
		twin = copy_of(p);
	travel(sim, p);
	if (twin)
		travel(sim, twin);
}

static void swap_tuple(struct tcp_tuple *to, const struct tcp_tuple *from)
{
	memset(to, 0, sizeof(*to));
	memcpy(to->local, from->remote, 16);
	memcpy(to->remote, from->local, 16);
	to->local_port = from->remote_port;
	to->remote_port = from->local_port;
	to->family = from->family;
}

/* One piece of a segment, as a NIC that cuts makes it. */
static struct sim_packet *cut(struct sim *sim, unsigned from,
			      const struct tcp_segment *seg, uint32_t at,
			      uint32_t length)
{
	struct tcp_segment one = *seg;
	struct sim_packet *p = malloc(sizeof(*p) + length + 1);
	struct tcp_bytes bytes = { p->data, length };
	uint32_t i;

	for (i = 0; i < length; i++)
		p->data[i] = stream_byte(from, seg->offset + at + i);
	bytes_put32(one.head + 4, bytes_get32(seg->head + 4) + at);
	if (at)
		one.head[13] &= (uint8_t)~TCP_CWR;
	if (at + length < seg->length)
		one.head[13] &= (uint8_t)~(TCP_PSH | TCP_FIN);
	one.length = length;
	tcp_checksum_head(&one, false);
	tcp_checksum_segment(&one, &bytes, 1);
	memcpy(p->head, one.head, sizeof(p->head));
	swap_tuple(&p->tuple, &seg->tuple);
	p->to = !from;
	p->head_bytes = seg->head_bytes;
	p->length = length;
	p->ecn = seg->ecn;
	(void)sim;
	return p;
}

/* Whether the bytes that a segment names are the sender's to name. */
static void check_segment(struct sim *sim, unsigned from,
			  const struct tcp_segment *seg)
{
	struct sim_host *h = &sim->host[from];
	struct tcp_status st;

	if (!seg->conn) {
		if (seg->length)
			broken(sim, "a reply has payload");
		return;
	}
	if (!seg->length)
		return;
	if (tcp_get_status(h->tcp, seg->conn, &st)) {
		broken(sim, "host %u: payload of a connection that is gone",
		       from);
		return;
	}
	if (seg->offset < st.acked || seg->offset + seg->length > st.queued)
		broken(sim, "host %u: segment %llu+%u is not in [%llu, %llu)",
		       from, (unsigned long long)seg->offset, seg->length,
		       (unsigned long long)st.acked,
		       (unsigned long long)st.queued);
	if (!seg->segment_size || seg->length > 65535)
		broken(sim, "host %u: %u bytes in pieces of %u", from,
		       seg->length, seg->segment_size);
}

static void send_segment(struct sim *sim, unsigned from,
			 const struct tcp_segment *seg)
{
	uint32_t at = 0, length;

	check_segment(sim, from, seg);
	if (sim->failure[0])
		return;
	do {
		length = seg->length - at;
		if (length > seg->segment_size)
			length = seg->segment_size;
		to_wire(sim, cut(sim, from, seg, at, length));
		at += length;
	} while (at < seg->length);
}

static void flush_output(struct sim *sim, unsigned i)
{
	struct tcp_segment out[BATCH];
	unsigned n, k;

	while ((n = tcp_output(sim->host[i].tcp, out, BATCH, sim->now)))
		for (k = 0; k < n; k++)
			send_segment(sim, i, &out[k]);
}

/* -- from the wire to an engine -------------------------------------------- */

static uint64_t new_buffer(struct sim *sim, struct sim_packet *p)
{
	if (sim->buffer_count == sim->buffer_room) {
		sim->buffer_room = sim->buffer_room ? 2 * sim->buffer_room :
						      1024;
		sim->buffers = realloc(sim->buffers, sim->buffer_room *
						     sizeof(*sim->buffers));
	}
	sim->buffers[sim->buffer_count].packet = p;
	sim->buffers[sim->buffer_count].kept = false;
	return sim->buffer_count++;
}

/* Gives the host's collected packets to its engine as one. */
static void deliver(struct sim *sim, unsigned to)
{
	struct sim_host *h = &sim->host[to];
	unsigned n = h->pending_count, i;
	struct sim_packet *first = h->pending[0], *last = h->pending[n - 1];
	struct tcp_packet p = { 0 };
	struct tcp_ref refs[64];
	struct tcp_kept kept;

	h->pending_count = 0;
	p.tuple = first->tuple;
	p.head = first->head;
	p.head_bytes = first->head_bytes;
	p.refs = refs;
	p.ecn = (uint8_t)first->ecn;
	p.segments = (uint16_t)n;
	if (n > 1) { /* the last one's ACK, window and PSH; TSecr too */
		memcpy(first->head + 8, last->head + 8, 4);
		first->head[13] |= last->head[13];
		memcpy(first->head + 14, last->head + 14, 2);
	}
	for (i = 0; i < n; i++) {
		struct sim_packet *q = h->pending[i];

		refs[i].buffer = new_buffer(sim, q);
		refs[i].offset = 0;
		refs[i].length = q->length;
		if (q->length > p.segment_max)
			p.segment_max = (uint16_t)q->length;
	}
	p.ref_count = n;
	tcp_input(h->tcp, &p, &kept, sim->now);
	for (i = 0; i < n; i++) {
		struct sim_buffer *b = &sim->buffers[refs[i].buffer];

		b->kept = kept.bits[i / 64] >> i % 64 & 1;
		if (b->kept && !b->packet->length)
			broken(sim, "host %u: kept a reference of 0 bytes", to);
		h->refs += b->kept;
		if (!b->kept) {
			free(b->packet);
			b->packet = NULL;
		}
	}
}

static bool joins(const struct sim_packet *a, const struct sim_packet *b)
{
	return a->head_bytes == b->head_bytes && a->ecn == b->ecn &&
	       a->length && b->length && a->head[13] == TCP_ACK &&
	       !(b->head[13] & ~(TCP_ACK | TCP_PSH)) &&
	       bytes_get32(a->head + 4) + a->length ==
		       bytes_get32(b->head + 4) &&
	       !memcmp(a->head + 20, b->head + 20, a->head_bytes - 20);
}

static void arrive(struct sim *sim, struct sim_packet *p)
{
	struct sim_host *h = &sim->host[p->to];
	struct tcp_packet look = {
		.tuple = p->tuple, .head = p->head, .head_bytes = p->head_bytes,
	};
	struct tcp_bytes bytes = { p->data, p->length };

	if (!tcp_checksum_packet(&look, &bytes, 1)) {
		free(p);
		return;
	}
	if (h->pending_count &&
	    (h->pending_count >= sim->c.aggregate ||
	     !joins(h->pending[h->pending_count - 1], p)))
		deliver(sim, p->to);
	h->pending[h->pending_count++] = p;
}

/* -- applications ---------------------------------------------------------- */

static void take_piece(struct sim *sim, unsigned i,
		       const struct tcp_piece *piece)
{
	struct sim_host *h = &sim->host[i];
	struct sim_buffer *b;
	uint32_t k;

	if (piece->buffer >= sim->buffer_count) {
		broken(sim, "host %u: a piece of no buffer", i);
		return;
	}
	b = &sim->buffers[piece->buffer];
	if (!b->kept || !b->packet ||
	    (uint64_t)piece->offset + piece->length > b->packet->length) {
		broken(sim, "host %u: a piece that is not of a kept reference",
		       i);
		return;
	}
	for (k = 0; !(piece->flags & TCP_PIECE_DROPPED) && k < piece->length;
	     k++)
		if (b->packet->data[piece->offset + k] !=
		    stream_byte(!i, h->received + k)) {
			broken(sim, "host %u: byte %llu differs", i,
			       (unsigned long long)h->received + k);
			return;
		}
	if (!(piece->flags & TCP_PIECE_DROPPED))
		h->received += piece->length;
	if (piece->flags & TCP_PIECE_LAST) {
		free(b->packet);
		b->packet = NULL;
		h->refs--;
	}
}

static void app_read(struct sim *sim, unsigned i)
{
	struct sim_host *h = &sim->host[i];
	struct tcp_piece pieces[16];
	uint64_t before;
	int n, k;

	if (!h->error && !h->closed &&
	    sim_random(&sim->random) % 100 >= sim->c.read_percent[i])
		return;
	do {
		before = h->received;
		n = tcp_recv_take(h->tcp, h->conn, pieces, 16);
		for (k = 0; k < n && !sim->failure[0]; k++)
			take_piece(sim, i, &pieces[k]);
		tcp_recv_done(h->tcp, h->conn, (uint32_t)(h->received - before),
			      sim->now);
	} while (n == 16 && !sim->failure[0]);
	h->readable = false;
}

static void app_write(struct sim *sim, unsigned i)
{
	struct sim_host *h = &sim->host[i];
	uint64_t left = sim->c.bytes[i] - h->sent, n;
	struct tcp_status st;

	if (!h->connected || h->shut)
		return;
	while (left) {
		if (tcp_get_status(h->tcp, h->conn, &st))
			return;
		n = st.queued - st.acked;
		if (n >= sim->c.window[i])
			return;
		n = sim->c.window[i] - n;
		n = n > left ? left : n;
		n = n > sim->c.chunk[i] ? sim->c.chunk[i] : n;
		if (tcp_send(h->tcp, h->conn, (uint32_t)n, 0, sim->now))
			return;
		h->sent += n;
		left -= n;
	}
	h->shut = true;
	if (sim->c.close_at_once && h->received == sim->c.bytes[!i] && h->eof)
		tcp_close(h->tcp, h->conn, TCP_LINGER_NONE, sim->now);
	else
		tcp_shutdown(h->tcp, h->conn, sim->now);
}

static void app_end(struct sim *sim, unsigned i)
{
	struct sim_host *h = &sim->host[i];

	if (!(h->closed || h->error) || h->freed)
		return;
	sim->c.read_percent[i] = 100;
	app_read(sim, i);
	if (!h->error && (h->received != sim->c.bytes[!i] || !h->eof))
		broken(sim, "host %u: closed after %llu bytes of %llu", i,
		       (unsigned long long)h->received,
		       (unsigned long long)sim->c.bytes[!i]);
	if (tcp_free(h->tcp, h->conn, sim->now))
		broken(sim, "host %u: tcp_free() refuses", i);
	h->freed = true;
}

static void take_event(struct sim *sim, unsigned i, const struct tcp_event *e)
{
	struct sim_host *h = &sim->host[i];

	if (e->what & TCP_EVENT_ACCEPT) {
		int conn = tcp_accept(h->tcp, h->listener);

		if (h->conn && conn > 0) {
			/* of a duplicate of an old SYN */
			tcp_free(h->tcp, conn, sim->now);
		} else if (conn > 0) {
			h->conn = conn;
			h->connected = h->readable = true;
		}
		return;
	}
	if (e->id != h->conn)
		return;
	if (e->what & TCP_EVENT_CONNECTED)
		h->connected = true;
	if (e->what & (TCP_EVENT_READABLE | TCP_EVENT_EOF))
		h->readable = true;
	if (e->what & TCP_EVENT_EOF)
		h->eof = true;
	if (e->what & TCP_EVENT_CLOSED)
		h->closed = true;
	if (e->what & TCP_EVENT_RESET)
		h->error = e->error;
}

static void app_look(struct sim *sim, unsigned i)
{
	struct sim_host *h = &sim->host[i];
	struct tcp_event events[BATCH];
	unsigned n, k;

	while ((n = tcp_events(h->tcp, events, BATCH)))
		for (k = 0; k < n; k++)
			take_event(sim, i, &events[k]);
	if (!h->conn || h->freed)
		return;
	if (h->readable)
		app_read(sim, i);
	app_write(sim, i);
	if (sim->c.abort && !i && h->sent > sim->c.bytes[0] / 2) {
		tcp_abort(h->tcp, h->conn, sim->now);
		sim->c.abort = false;
	}
	app_end(sim, i);
}

/* -- all of it ------------------------------------------------------------- */

static void set_tuple(struct tcp_tuple *t, unsigned family)
{
	memset(t, 0, sizeof(*t));
	t->family = (uint8_t)family;
	memcpy(t->local, "\x0a\x00\x00\x01", 4);
	memcpy(t->remote, "\x0a\x00\x00\x02", 4);
	if (family == 6) {
		t->local[15] = 1;
		t->remote[15] = 2;
	}
	t->local_port = 40000;
	t->remote_port = 80;
}

static void begin(struct sim *sim)
{
	const struct sim_config *c = &sim->c;
	struct tcp_tuple t, at;
	unsigned i, mss = c->mtu - 20;

	for (i = 0; i < 2; i++) {
		struct sim_host *h = &sim->host[i];
		size_t bytes = tcp_stack_bytes(&c->tcp[i]);

		h->memory = aligned_alloc(16, (bytes + 15) & ~(size_t)15);
		h->tcp = tcp_stack_init(h->memory, bytes, &c->tcp[i]);
		if (!h->tcp) {
			broken(sim, "host %u: no stack", i);
			return;
		}
	}
	set_tuple(&t, c->family);
	swap_tuple(&at, &t);
	sim->host[1].listener = tcp_listen(sim->host[1].tcp, &at, mss, 2);
	sim->host[0].conn = tcp_connect(sim->host[0].tcp, &t, mss, sim->now);
	if (sim->host[1].listener < 0 || sim->host[0].conn < 0)
		broken(sim, "connect or listen fails");
}

/* The kernel's path MTU discovery tells, after a while. */
static void tell_mtu(struct sim *sim)
{
	unsigned i;

	for (i = 0; i < 2; i++) {
		struct sim_host *h = &sim->host[i];

		if (h->mss || !sim->c.mtu_later || !h->connected || h->freed ||
		    sim->now < sim->c.mtu_at + 2 * sim->c.delay)
			continue;
		h->mss = sim->c.mtu_later - 20;
		tcp_set_mss(h->tcp, h->conn, h->mss, sim->now);
	}
}

static bool finished(const struct sim *sim)
{
	return sim->host[0].freed && sim->host[1].freed;
}

/* -> false: nothing will ever happen again */
static bool step(struct sim *sim)
{
	uint64_t next = sim->heap_count ? sim->heap[0]->at : TCP_NEVER, t;
	bool slow = false;
	unsigned i;

	for (i = 0; i < 2; i++) {
		t = tcp_next_timer(sim->host[i].tcp);
		next = t < next ? t : next;
		slow = slow || sim->host[i].readable;
	}
	/* an application that has not read looks again */
	if (slow && next > sim->now + 5000)
		next = sim->now + 5000;
	if (next == TCP_NEVER)
		return false;
	sim->now = next > sim->now ? next : sim->now;
	while (sim->heap_count && sim->heap[0]->at <= sim->now)
		arrive(sim, heap_pop(sim));
	for (i = 0; i < 2; i++) {
		const char *bad;

		if (sim->host[i].pending_count)
			deliver(sim, i);
		tcp_timers(sim->host[i].tcp, sim->now);
		app_look(sim, i);
		flush_output(sim, i);
		bad = tcp_check(sim->host[i].tcp);
		if (bad)
			broken(sim, "host %u: %s", i, bad);
	}
	tell_mtu(sim);
	return true;
}

/* When all is over nothing may be left in use. */
static void check_end(struct sim *sim)
{
	unsigned i;

	for (i = 0; i < 2; i++) {
		struct sim_host *h = &sim->host[i];

		if (h->refs)
			broken(sim, "host %u: %u references were not given "
			       "back", i, h->refs);
	}
}

int sim_run(struct sim *sim, const struct sim_config *c)
{
	memset(sim, 0, sizeof(*sim));
	sim->c = *c;
	sim->random = c->seed;
	sim->now = c->start ? c->start : 1000000 + c->seed % 1000 * 1000003;
	sim->c.limit += sim->now;
	sim->c.mtu_at += sim->now;
	sim->c.outage_at += sim->now;
	begin(sim);
	if (!sim->failure[0]) {
		flush_output(sim, 0);
		while (!finished(sim) && !sim->failure[0]) {
			if (!step(sim)) {
				/* aborted before host 1 had accepted it */
				if (sim->host[0].error && !sim->host[1].conn)
					break;
				broken(sim, "both wait for ever");
			}
			if (sim->now > sim->c.limit)
				broken(sim, "not over in time: %llu and %llu "
				       "bytes received",
				       (unsigned long long)
					       sim->host[0].received,
				       (unsigned long long)
					       sim->host[1].received);
		}
	}
	if (!sim->failure[0])
		check_end(sim);
	return sim->failure[0] ? -1 : 0;
}

void sim_free(struct sim *sim)
{
	uint64_t i;
	unsigned h;

	while (sim->heap_count)
		free(heap_pop(sim));
	for (i = 0; i < sim->buffer_count; i++)
		free(sim->buffers[i].packet);
	for (h = 0; h < 2; h++) {
		for (i = 0; i < sim->host[h].pending_count; i++)
			free(sim->host[h].pending[i]);
		free(sim->host[h].memory);
	}
	free(sim->heap);
	free(sim->buffers);
}
