/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_aggregate.c - the aggregator against any wire
 *
 * The input is a configuration and a sequence of actions: a frame of any bytes,
 * a frame that is nearly a good one, time, flushes, and deliveries that are
 * kept for a while. Each frame is in memory of its exact size and freed as soon
 * as it comes out, so a sanitizer sees every byte too many. Checked besides:
 * a frame comes out once, segments lie inside of their frames and follow one
 * another, a generated header is consistent (and its checksums right, if the
 * NIC did not vouch for wrong ones), limits hold, and the counters add up.
 */
#include "fuzz.h"

#include "engine/aggregate.h"
#include "engine/checksum.h"

enum { FRAMES = 4096, KEPT = 40, FLOWS = 16 };

struct world {
	struct aggregator a;
	struct aggregate_config config;
	uint8_t *frames[FRAMES];
	uint32_t lengths[FRAMES];
	uint32_t count;
	uint32_t next[4]; /* sequence numbers of the nearly good flows */
	struct delivery kept[KEPT];
	unsigned kept_count;
	unsigned keep; /* how many are kept */
	bool honest;   /* the NIC verifies nothing, so checksums are real */
	uint64_t now;
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static uint32_t be32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 |
	       (uint32_t)at[2] << 8 | at[3];
}

static void leave(struct world *w, uint64_t ref)
{
	FUZZ_MUST(ref < w->count && w->frames[ref]);
	free(w->frames[ref]);
	w->frames[ref] = NULL;
}

static void check_header(const struct world *w, const struct delivery *d,
			 const uint8_t *payload)
{
	const uint8_t *ip = d->header + d->l3, *tcp = d->header + d->l4;
	uint32_t length = d->header_length - d->l4 + d->payload_length;
	bool v4 = ip[0] >> 4 == 4;
	uint64_t sum;

	FUZZ_MUST(d->header_length <= FRAME_HEAD);
	FUZZ_MUST(d->l4 + (tcp[12] >> 4) * 4 == d->header_length);
	FUZZ_MUST((tcp[13] | TCP_PSH) == (TCP_ACK | TCP_PSH));
	if (v4) {
		FUZZ_MUST((uint32_t)(ip[2] << 8 | ip[3]) == 20 + length);
		FUZZ_MUST(checksum_is_right(checksum_sum(ip, 20)));
	} else {
		FUZZ_MUST((uint32_t)(ip[4] << 8 | ip[5]) == length);
	}
	if (!w->honest || d->flags & DELIVERY_NO_CHECKSUM)
		return;
	sum = checksum_sum(ip + (v4 ? 12 : 8), v4 ? 8 : 32) +
	      checksum_number(6) + checksum_number((uint16_t)length) +
	      checksum_sum(tcp, d->header_length - d->l4) +
	      checksum_sum(payload, d->payload_length);
	FUZZ_MUST(checksum_is_right(sum));
}

static void take_aggregate(struct world *w, const struct delivery *d)
{
	static uint8_t payload[65536];
	uint32_t refs[128], bytes = 0;
	struct segment_cursor cursor;
	struct segment piece;
	unsigned count = 0, i;

	segment_cursor_begin(&cursor, &d->segments);
	while (segment_cursor_next(&w->a.pool, &cursor, UINT32_MAX, &piece)) {
		FUZZ_MUST(piece.ref < w->count && w->frames[piece.ref]);
		FUZZ_MUST(piece.offset + piece.length <=
			  w->lengths[piece.ref]);
		FUZZ_MUST(count < d->count && piece.whole);
		FUZZ_MUST(bytes + piece.length <= 65535);
		FUZZ_MUST(be32(w->frames[piece.ref] + d->l4 + 4) ==
			  d->seq + bytes);
		memcpy(payload + bytes, w->frames[piece.ref] + piece.offset,
		       piece.length);
		bytes += piece.length;
		refs[count++] = (uint32_t)piece.ref;
	}
	FUZZ_MUST(count == d->count && bytes == d->payload_length);
	FUZZ_MUST(bytes <= w->config.bytes_max && count &&
		  count <= w->config.count_max);
	check_header(w, d, payload);
	for (i = 0; i < count; i++)
		leave(w, refs[i]);
}

/* The frames come out now; the segments are given back later. */
static void take(struct world *w, struct delivery *d, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		FUZZ_MUST(d[i].reason && d[i].reason < END_REASONS);
		if (d[i].kind == DELIVERY_FRAME) {
			FUZZ_MUST(d[i].ref < w->count &&
				  d[i].frame_length == w->lengths[d[i].ref]);
			leave(w, d[i].ref);
		} else {
			take_aggregate(w, &d[i]);
		}
		if (w->kept_count == w->keep || w->kept_count == KEPT)
			aggregate_release(&w->a, &d[i]);
		else
			w->kept[w->kept_count++] = d[i];
	}
}

static void push(struct world *w, const uint8_t *data, uint32_t length,
		 uint32_t flags)
{
	struct delivery out[AGGREGATE_OUT];
	struct frame_input in = { .length = length, .flags = flags,
				  .ref = w->count, .owner = flags >> 8 & 1 };
	unsigned n;

	if (w->count == FRAMES)
		return;
	if (w->honest)
		in.flags &= ~(FRAME_IP_VERIFIED | FRAME_TCP_VERIFIED);
	in.data = w->frames[w->count] = malloc(length ? length : 1);
	if (!in.data)
		abort();
	memcpy(w->frames[w->count], data, length);
	w->lengths[w->count++] = length;
	memset(out, 0x5a, sizeof(out));
	n = aggregate_push(&w->a, &in, w->now, out);
	take(w, out, n & ~AGGREGATE_DROPPED);
	if (n & AGGREGATE_DROPPED)
		leave(w, in.ref);
	FUZZ_MUST(aggregate_held(&w->a) <= w->config.hold_max);
	FUZZ_MUST(w->a.table.used <= FLOWS);
}

static void put32(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 24);
	at[1] = (uint8_t)(v >> 16);
	at[2] = (uint8_t)(v >> 8);
	at[3] = (uint8_t)v;
}

static void put_sum(uint8_t *at, uint64_t sum)
{
	uint16_t checksum = (uint16_t)~checksum_fold(sum);

	memcpy(at, &checksum, 2);
}

/* A segment that follows, or nearly, with up to three bytes that are wrong. */
static void push_good(struct world *w, struct fuzz_input *in)
{
	uint8_t choice = fuzz_u8(in), patches = fuzz_u8(in) & 3, data[600];
	uint32_t flow = choice & 3, bytes = fuzz_u8(in) * 2u, total, i;
	bool v6 = choice & 4, ts = choice & 8;
	uint32_t header = ts ? 32 : 20, l4 = v6 ? 54 : 34;

	memset(data, 0, sizeof(data));
	data[12] = v6 ? 0x86 : 0x08;
	data[13] = v6 ? 0xdd : 0x00;
	total = header + bytes;
	if (v6) {
		data[14] = 0x60;
		data[18] = (uint8_t)(total >> 8);
		data[19] = (uint8_t)total;
		data[20] = 6;
		data[37] = (uint8_t)flow;
	} else {
		data[14] = 0x45;
		data[16] = (uint8_t)((total + 20) >> 8);
		data[17] = (uint8_t)(total + 20);
		data[23] = 6;
		data[29] = (uint8_t)flow;
	}
	if (choice & 0x10) /* ahead, or behind */
		w->next[flow] += (uint32_t)(int8_t)fuzz_u8(in);
	put32(data + l4 + 4, w->next[flow]);
	w->next[flow] += bytes;
	data[l4 + 12] = (uint8_t)(header << 2);
	data[l4 + 13] = choice & 0x20 ? fuzz_u8(in) : TCP_ACK;
	data[l4 + 15] = 9;
	if (ts) {
		put32(data + l4 + 20, 0x0101080a);
		put32(data + l4 + 24, choice & 0x40 ? fuzz_u8(in) : 7);
		put32(data + l4 + 28, 3);
	}
	for (i = 0; i < bytes; i++)
		data[l4 + header + i] = (uint8_t)(i * 7 + choice);
	while (patches--) {
		i = fuzz_u8(in);
		data[i < l4 + header ? i : 0] = fuzz_u8(in);
	}
	if (!v6) {
		memset(data + 24, 0, 2);
		put_sum(data + 24, checksum_sum(data + 14, 20));
	}
	memset(data + l4 + 16, 0, 2);
	put_sum(data + l4 + 16,
		checksum_sum(data + (v6 ? 22 : 26), v6 ? 32 : 8) +
			checksum_number(6) + checksum_number((uint16_t)total) +
			checksum_sum(data + l4, total));
	push(w, data, l4 + total, FRAME_CHOSEN | (choice & 0x80 ? 6 : 0));
}

static void push_raw(struct world *w, struct fuzz_input *in)
{
	uint8_t data[2048];
	uint32_t flags = fuzz_u16(in);
	size_t length = fuzz_u16(in) & 2047;

	length = fuzz_bytes(in, data, length);
	push(w, data, (uint32_t)length, flags);
}

static void flush_all(struct world *w, enum end_reason reason)
{
	struct delivery out[3];
	unsigned n;

	do {
		n = aggregate_flush(&w->a, reason, out, 3);
		take(w, out, n);
	} while (n);
}

static void control(struct world *w, struct fuzz_input *in)
{
	uint8_t what = fuzz_u8(in), value = fuzz_u8(in);
	struct aggregate_config c = w->config;
	struct frame_input sent = { .data = in->at, .flags = value };
	struct delivery out[4];
	unsigned n;

	switch (what & 7) {
	case 0:
		flush_all(w, (enum end_reason)value);
		break;
	case 1:
		n = aggregate_flush_owner(&w->a, value & 1, END_OWNER, out, 4);
		take(w, out, n);
		break;
	case 2:
		flush_all(w, END_CONFIG);
		c.mode = value % 3;
		if (!aggregate_set_config(&w->a, &c))
			w->config = c;
		break;
	case 3:
		sent.length = (uint32_t)(in->left < 200 ? in->left : 200);
		aggregate_note_sent(&w->a, &sent);
		break;
	case 4:
		aggregate_forget_owner(&w->a, value & 1);
		break;
	case 5:
		w->keep = value % (KEPT + 1);
		break;
	default:
		while (w->kept_count && value--)
			aggregate_release(&w->a, &w->kept[--w->kept_count]);
	}
}

static void pass(struct world *w, uint16_t time)
{
	struct delivery out[4];
	unsigned n;

	w->now += time;
	do {
		n = aggregate_expire(&w->a, w->now, out, 4);
		take(w, out, n);
	} while (n);
	FUZZ_MUST(aggregate_deadline(&w->a) > w->now);
}

static void configure(struct aggregate_config *c, struct fuzz_input *in)
{
	uint8_t a = fuzz_u8(in), b = fuzz_u8(in);

	aggregate_config_default(c);
	c->flows = 1u << (a % 5);
	c->hold_max = 1 + (b & 31);
	c->backlog = AGGREGATE_OUT;
	c->isle = a & 0x10;
	c->create = !!(a & 0x20);
	c->mode = a & 0x40 ? AGGREGATE_REVERSIBLE : AGGREGATE_ENDPOINT;
	c->window = !!(a & 0x80);
	c->drop_bad = b & 0x20;
	c->no_checksum = b & 0x40;
	c->ack_merge_max = b & 0x80 && !(a & 0x40) ? 3 : 0;
	c->push_joins = b & 0x80 && !(a & 0x40);
	c->count_max = 1 + fuzz_u8(in) % 100;
	c->bytes_max = 1 + fuzz_u16(in) % 65535;
	c->timeout = 1000;
	c->idle = 5000;
}

static void finish(struct world *w)
{
	const struct aggregate_stats *s = &w->a.stats;
	uint32_t i;

	flush_all(w, END_LINK_DOWN);
	while (w->kept_count)
		aggregate_release(&w->a, &w->kept[--w->kept_count]);
	for (i = 0; i < w->count; i++)
		FUZZ_MUST(!w->frames[i]);
	FUZZ_MUST(!aggregate_held(&w->a));
	FUZZ_MUST(s->rx_frames == w->count);
	FUZZ_MUST(s->rx_frames ==
		  s->segs_in_agg + s->pass_through + s->drops_bad);
	FUZZ_MUST(w->a.pool.free == w->a.pool.count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fuzz_input in = { data, bytes };
	struct world *w = calloc(1, sizeof(*w));
	uint8_t action;
	void *memory;
	size_t size;

	if (!w)
		abort();
	configure(&w->config, &in);
	w->honest = fuzz_u8(&in) & 1;
	size = aggregate_bytes(&w->config);
	FUZZ_MUST(size);
	memory = aligned_alloc(64, size);
	FUZZ_MUST(memory && !aggregate_init(&w->a, &w->config, memory, size));
	while (in.left) {
		action = fuzz_u8(&in);
		if (action & 0x80)
			push_good(w, &in);
		else if (action & 0x40)
			push_raw(w, &in);
		else if (action & 0x20)
			control(w, &in);
		else
			pass(w, action & 15 ? action : fuzz_u16(&in));
	}
	finish(w);
	free(memory);
	free(w);
	return 0;
}
