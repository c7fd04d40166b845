/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/engine_rig.h"

/* -- frames -- */

uint8_t net_byte(uint32_t flow, uint32_t seq)
{
	return (uint8_t)((seq * 2654435761u) >> 24 ^ flow * 37);
}

uint16_t net_sum(const uint8_t *at, size_t bytes, uint32_t sum)
{
	size_t i;

	for (i = 0; i < bytes; i++) {
		sum += i & 1 ? at[i] : (uint32_t)at[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)sum;
}

struct net_seg net_first(uint32_t flow)
{
	return (struct net_seg){
		.flow = flow,
		.source_port = 40000,
		.mac = 1,
		.ttl = 64,
		.fragment = NET_DF,
		.id = 10,
		.protocol = 6,
		.seq = 1000,
		.ack = 500,
		.flags = TCP_ACK,
		.window = 300,
		.ts_value = 7000,
		.ts_echo = 9000,
		.length = NET_MSS,
		.input_flags = FRAME_CHOSEN,
	};
}

struct net_seg net_after(const struct net_seg *s)
{
	struct net_seg next = *s;

	next.seq += s->length;
	next.id++;
	return next;
}

static uint8_t *put16(uint8_t *at, uint32_t v)
{
	*at++ = (uint8_t)(v >> 8);
	*at++ = (uint8_t)v;
	return at;
}

static uint8_t *put32(uint8_t *at, uint32_t v)
{
	return put16(put16(at, v >> 16), v);
}

static uint8_t *put_link(uint8_t *at, const struct net_seg *s)
{
	unsigned i;

	memset(at, 0x02, 12);
	at[5] = 9;
	at[11] = s->mac;
	at += 12;
	for (i = 0; i < s->tags; i++) {
		at = put16(at, s->tags > 1 && !i ? 0x88a8 : 0x8100);
		at = put16(at, s->tci[i]);
	}
	return put16(at, s->v6 ? 0x86dd : 0x0800);
}

/* bytes: of all that follows. -> where TCP begins */
static uint8_t *put_ip(uint8_t *at, const struct net_seg *s, uint32_t bytes)
{
	uint8_t *ip = at;
	unsigned i;

	if (s->v6) {
		at = put32(at, 6u << 28 | (uint32_t)s->tos << 20 | s->label);
		at = put16(at, bytes + 8u * s->extensions);
		*at++ = s->extensions ? s->extension[0] : s->protocol;
		*at++ = s->ttl;
		memset(at, 0, 32);
		put32(at, 0x20010db8);
		put32(at + 12, s->flow);
		put32(at + 16, 0x20010db8);
		put32(at + 28, 1u << 31);
		at += 32;
		for (i = 0; i < s->extensions; i++) {
			memset(at, 0, 8);
			at[0] = i + 1u < s->extensions ? s->extension[i + 1] :
							 s->protocol;
			if (s->extension[i] == 44)
				put16(at + 2, s->fragment & 0xfff9);
			else
				at[2] = 1; /* PadN */
			at += 8;
		}
		return at;
	}
	*at++ = (uint8_t)(0x45 + s->ip_options);
	*at++ = s->tos;
	at = put16(at, 20 + 4u * s->ip_options + bytes);
	at = put16(at, s->id);
	at = put16(at, s->fragment);
	*at++ = s->ttl;
	*at++ = s->protocol;
	at = put16(at, 0);
	at = put32(at, 0x0a000000 + s->flow);
	at = put32(at, 0xc0000201);
	memset(at, 1, 4u * s->ip_options);
	at += 4 * s->ip_options;
	put16(ip + 10, (uint16_t)~net_sum(ip, (size_t)(at - ip), 0));
	if (s->bad_ip)
		ip[10] ^= 0x40;
	return at;
}

static uint32_t tcp_header(const struct net_seg *s)
{
	return 20 + (s->ts ? 12 : 0) + s->option_length;
}

static void put_tcp(uint8_t *tcp, const struct net_seg *s, const uint8_t *ip)
{
	uint32_t header = tcp_header(s), i, sum;
	uint8_t *at = tcp;

	at = put16(at, s->source_port);
	at = put16(at, 80);
	at = put32(at, s->seq);
	at = put32(at, s->ack);
	at = put16(at, header / 4 << 12 | s->flags);
	at = put16(at, s->window);
	at = put16(at, 0);
	at = put16(at, s->urgent);
	if (s->ts) {
		at = put32(at, 0x0101080a);
		at = put32(at, s->ts_value);
		at = put32(at, s->ts_echo);
	}
	memcpy(at, s->option, s->option_length);
	at += s->option_length;
	for (i = 0; i < s->length; i++)
		*at++ = net_byte(s->flow, s->seq + i);
	sum = 6 + ((header + s->length) >> 16) + ((header + s->length) & 0xffff);
	sum = s->v6 ? net_sum(ip + 8, 32, sum) : net_sum(ip + 12, 8, sum);
	put16(tcp + 16, (uint16_t)~net_sum(tcp, (size_t)(at - tcp), sum));
	if (s->bad_tcp)
		tcp[16] ^= 0x40;
}

uint8_t *net_build(const struct net_seg *s, uint32_t *length)
{
	uint32_t bytes = tcp_header(s) + s->length;
	uint32_t all = 14 + 4u * s->tags + bytes + s->pad;
	uint8_t *data, *ip, *tcp;

	all += s->v6 ? 40 + 8u * s->extensions : 20 + 4u * s->ip_options;
	data = malloc(all);
	if (!data)
		abort();
	ip = put_link(data, s);
	tcp = put_ip(ip, s, bytes);
	put_tcp(tcp, s, ip);
	memset(tcp + bytes, 0xee, s->pad);
	*length = all;
	return data;
}

struct flow_key net_key(const struct net_seg *s)
{
	struct flow_tuple t = { .version = s->v6 ? FLOW_IPV6 : FLOW_IPV4,
				.source_port = s->source_port,
				.destination_port = 80,
				.owner = s->owner };
	struct flow_key key;

	if (s->v6) {
		put32(t.source, 0x20010db8);
		put32(t.source + 12, s->flow);
		put32(t.destination, 0x20010db8);
		put32(t.destination + 12, 1u << 31);
	} else {
		put32(t.source, 0x0a000000 + s->flow);
		put32(t.destination, 0xc0000201);
	}
	t.outer_vid = s->tags ? s->tci[0] & 0xfff : 0;
	t.inner_vid = s->tags > 1 ? s->tci[1] & 0xfff : 0;
	flow_key_make(&key, &t);
	return key;
}

/* -- the rig -- */

void rig_default(struct aggregate_config *c)
{
	aggregate_config_default(c);
	c->flows = 64;
	c->hold_max = 256;
	c->backlog = 64;
	c->secret[0] = 0x0706050403020100;
	c->secret[1] = 0x0f0e0d0c0b0a0908;
	c->timeout = NET_MS;
}

void rig_start(struct rig *r, const struct aggregate_config *c)
{
	size_t bytes;

	memset(r, 0, sizeof(*r));
	if (c)
		r->config = *c;
	else
		rig_default(&r->config);
	bytes = aggregate_bytes(&r->config);
	assert_true(bytes > 0);
	r->memory = aligned_alloc(64, bytes);
	r->frames = calloc(RIG_FRAMES, sizeof(*r->frames));
	assert_non_null(r->memory);
	assert_non_null(r->frames);
	memset(r->memory, 0xa5, bytes);
	assert_int_equal(aggregate_init(&r->a, &r->config, r->memory, bytes),
			 0);
	r->now = 1000 * NET_MS;
}

void rig_fail(struct rig *r, const char *format, ...)
{
	va_list list;

	if (r->error[0])
		return;
	va_start(list, format);
	vsnprintf(r->error, sizeof(r->error), format, list);
	va_end(list);
}

static void word(struct rig *r, const struct delivery *d)
{
	size_t n = strlen(r->words);

	if (r->quiet)
		return;
	snprintf(r->words + n, sizeof(r->words) - n, "%s%s", n ? " " : "",
		 d->kind == DELIVERY_FRAME ? "F" : "A");
	n = strlen(r->words);
	if (d->kind == DELIVERY_AGGREGATE)
		snprintf(r->words + n, sizeof(r->words) - n, "%u", d->count);
	n = strlen(r->words);
	snprintf(r->words + n, sizeof(r->words) - n, ":%s",
		 event_reason_name(d->reason));
}

/* A frame leaves: once, and in its flow's order. */
static void leave(struct rig *r, const struct delivery *d, uint32_t ref)
{
	struct rig_frame *f = &r->frames[ref];

	if (d->first_at > f->at || r->now - d->first_at > r->config.timeout +
							  r->slack)
		rig_fail(r, "frame %u was held for too long", ref);
	if (f->seg.flow != UINT32_MAX && !f->seg.no_ports) {
		if (!r->any_order && f->order < r->next_order[f->seg.flow])
			rig_fail(r, "frame %u of flow %u comes too late", ref,
				 f->seg.flow);
		r->next_order[f->seg.flow] = f->order + 1;
	}
	free(f->data);
	f->data = NULL;
}

/* The frame that a sender would have sent in place of all these. */
static uint8_t *expected(const struct rig *r, const uint32_t *refs,
			 unsigned count, uint32_t *length)
{
	struct net_seg s = r->frames[refs[0]].seg;
	unsigned i;

	s.pad = 0;
	for (i = 1; i < count; i++) {
		const struct net_seg *t = &r->frames[refs[i]].seg;

		s.length += t->length;
		s.ack = t->ack;
		s.window = t->window;
		s.ts_echo = t->ts_echo;
		s.flags |= t->flags & TCP_PSH;
	}
	return net_build(&s, length);
}

static void check_meta(struct rig *r, const struct delivery *d,
		       const uint32_t *refs, unsigned count)
{
	const struct net_seg *first = &r->frames[refs[0]].seg;
	const struct net_seg *last = &r->frames[refs[count - 1]].seg;
	uint32_t largest = 0, bytes = 0, pure = 0, seq = first->seq;
	unsigned i;

	for (i = 0; i < count; i++) {
		const struct net_seg *s = &r->frames[refs[i]].seg;

		if (s->seq != seq)
			rig_fail(r, "frame %u does not follow", refs[i]);
		if (s->length > largest)
			largest = s->length;
		seq += s->length;
		bytes += s->length;
		pure += !s->length;
	}
	if (d->count != count || d->seq != first->seq ||
	    d->ack != last->ack || d->window != last->window ||
	    d->payload_length != bytes || d->max_segment != largest ||
	    d->pure_acks != pure || d->owner != first->owner ||
	    d->ref != refs[0] ||
	    !(d->flags & DELIVERY_HAS_TS) != !first->ts ||
	    (first->ts && (d->ts_value != first->ts_value ||
			   d->ts_echo != last->ts_echo ||
			   d->ts_delta != last->ts_value - first->ts_value)))
		rig_fail(r, "the numbers of the aggregate at %u are wrong",
			 refs[0]);
	if (bytes > r->config.bytes_max || count > r->config.count_max)
		rig_fail(r, "the aggregate at %u is over a limit", refs[0]);
}

/* Walks the segments in odd pieces, as into buffers that do not fit. */
static unsigned walk(struct rig *r, const struct delivery *d, uint32_t *refs,
		     uint8_t *to)
{
	struct segment_cursor cursor;
	struct segment piece;
	unsigned count = 0, bytes = 0, length = 0;

	segment_cursor_begin(&cursor, &d->segments);
	while (segment_cursor_next(&r->a.pool, &cursor, 777, &piece)) {
		struct rig_frame *f = &r->frames[piece.ref];

		if (piece.ref >= r->count || !f->data ||
		    piece.offset + piece.length > f->length || count == 65535 ||
		    bytes + piece.length > 65535) {
			rig_fail(r, "a segment names no frame");
			return 0;
		}
		memcpy(to + bytes, f->data + piece.offset, piece.length);
		bytes += piece.length;
		length += piece.length;
		if (!piece.whole)
			continue;
		if (count < 256)
			r->last_lengths[count] = length;
		length = 0;
		refs[count++] = (uint32_t)piece.ref;
	}
	return count;
}

static void take_aggregate(struct rig *r, struct delivery *d)
{
	static uint8_t payload[65536 + 1024];
	static uint32_t refs[65536];
	uint32_t length = 0, i, at;
	unsigned count = walk(r, d, refs, payload);
	uint8_t *want;

	if (!count) {
		rig_fail(r, "an aggregate of nothing");
		return;
	}
	check_meta(r, d, refs, count);
	want = expected(r, refs, count, &length);
	at = d->l4 + 16; /* the TCP checksum */
	if (d->flags & DELIVERY_NO_CHECKSUM)
		memset(want + at, 0, 2);
	if (!(d->flags & DELIVERY_NO_CHECKSUM) != !r->config.no_checksum ||
	    !(d->flags & DELIVERY_VERIFIED))
		rig_fail(r, "the aggregate at %u has wrong flags", refs[0]);
	if (length != d->header_length + d->payload_length)
		rig_fail(r, "the header at %u has the wrong length", refs[0]);
	for (i = 0; i < d->header_length && i < length; i++)
		if (want[i] != d->header[i])
			rig_fail(r, "byte %u of the header at %u is %02x, not "
				 "%02x", i, refs[0], d->header[i], want[i]);
	for (i = 0; i < d->payload_length && d->header_length + i < length; i++)
		if (want[d->header_length + i] != payload[i])
			rig_fail(r, "byte %u of the payload at %u is wrong", i,
				 refs[0]);
	free(want);
	if (r->judge)
		r->judge(r, d, refs, count);
	r->delivered_bytes += d->payload_length;
	for (i = 0; i < count; i++)
		leave(r, d, refs[i]);
}

static void take_frame(struct rig *r, const struct delivery *d)
{
	uint32_t ref = (uint32_t)d->ref, length;
	struct rig_frame *f = &r->frames[ref];
	uint8_t *want;

	if (d->ref >= r->count || !f->data || d->frame_length != f->length) {
		rig_fail(r, "a delivery names no frame");
		return;
	}
	if (f->seg.flow != UINT32_MAX) {
		want = net_build(&f->seg, &length);
		if (length != f->length || memcmp(want, f->data, length) != 0)
			rig_fail(r, "frame %u is not what was sent", ref);
		free(want);
	}
	if (r->judge)
		r->judge(r, d, &ref, 1);
	r->delivered_bytes += f->seg.length;
	leave(r, d, ref);
}

void rig_take(struct rig *r, struct delivery *d, unsigned count)
{
	unsigned i;

	for (i = 0; i < count; i++) {
		word(r, &d[i]);
		if (d[i].kind == DELIVERY_FRAME)
			take_frame(r, &d[i]);
		else
			take_aggregate(r, &d[i]);
		aggregate_release(&r->a, &d[i]);
		r->last = d[i];
	}
}

static void push(struct rig *r, uint32_t ref, uint32_t flags, uint32_t owner)
{
	struct rig_frame *f = &r->frames[ref];
	struct delivery out[AGGREGATE_OUT];
	struct frame_input in = { .data = f->data, .length = f->length,
				  .flags = flags, .ref = ref, .owner = owner };
	unsigned n;

	/* a delivery is whole, without help from what was there */
	memset(out, 0xa5, sizeof(out));
	n = aggregate_push(&r->a, &in, r->now, out);
	rig_take(r, out, n & ~AGGREGATE_DROPPED);
	if (n & AGGREGATE_DROPPED) {
		free(f->data);
		f->data = NULL;
	}
	if (aggregate_held(&r->a) > r->config.hold_max)
		rig_fail(r, "more frames are held than may be");
}

void rig_push(struct rig *r, const struct net_seg *s)
{
	struct rig_frame *f = &r->frames[r->count];

	assert_true(r->count < RIG_FRAMES && s->flow < 4096);
	f->seg = *s;
	f->at = r->now;
	f->order = r->sent[s->flow]++;
	f->data = net_build(s, &f->length);
	push(r, r->count++, s->input_flags, s->owner);
}

void rig_push_raw(struct rig *r, const uint8_t *data, uint32_t length,
		  uint32_t flags)
{
	struct rig_frame *f = &r->frames[r->count];

	assert_true(r->count < RIG_FRAMES);
	memset(f, 0, sizeof(*f));
	f->seg.flow = UINT32_MAX;
	f->at = r->now;
	f->data = malloc(length ? length : 1);
	assert_non_null(f->data);
	if (length)
		memcpy(f->data, data, length);
	f->length = length;
	push(r, r->count++, flags, 0);
}

void rig_send(struct rig *r, struct net_seg *s, unsigned count)
{
	while (count--) {
		rig_push(r, s);
		*s = net_after(s);
	}
}

static void expire(struct rig *r)
{
	struct delivery out[4];
	unsigned n;

	do {
		n = aggregate_expire(&r->a, r->now, out, 4);
		rig_take(r, out, n);
	} while (n);
	if (aggregate_deadline(&r->a) <= r->now)
		rig_fail(r, "the timer left something late");
}

void rig_pass(struct rig *r, uint64_t time)
{
	uint64_t end = r->now + time, next;

	while (!r->error[0] && (next = aggregate_deadline(&r->a)) <= end) {
		if (next > r->now)
			r->now = next;
		expire(r);
	}
	r->now = end;
	expire(r);
}

void rig_flush(struct rig *r, enum end_reason reason)
{
	struct delivery out[4];
	unsigned n;

	do {
		n = aggregate_flush(&r->a, reason, out, 4);
		rig_take(r, out, n);
	} while (n);
}

const char *rig_finish(struct rig *r)
{
	const struct aggregate_stats *s = &r->a.stats;
	uint64_t ended = 0, passed = 0;
	uint32_t i;

	rig_flush(r, END_FLUSH);
	for (i = 0; i < r->count; i++) {
		if (r->frames[i].data)
			rig_fail(r, "frame %u never came out", i);
		free(r->frames[i].data);
	}
	for (i = 0; i < END_REASONS; i++) {
		ended += s->ended[i];
		passed += s->passed[i];
	}
	if (aggregate_held(&r->a) || s->rx_frames != r->count ||
	    s->rx_frames != s->segs_in_agg + s->pass_through + s->drops_bad +
				    s->drops_delivery ||
	    ended != s->agg_out || passed != s->pass_through)
		rig_fail(r, "the counters do not add up");
	if (r->a.pool.free != r->a.pool.count)
		rig_fail(r, "segment chunks are lost");
	free(r->frames);
	free(r->memory);
	return r->error[0] ? r->error : NULL;
}

void rig_stop(struct rig *r)
{
	const char *error = rig_finish(r);

	if (error)
		fail_msg("%s", error);
}
