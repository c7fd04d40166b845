/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_tcp.c - a TCP engine against any peer and any user
 *
 * The input is a sequence of actions: a segment arrives (its sequence numbers
 * near to where the connection is, or anywhere, its options any bytes), time
 * passes, the user does something, output is taken. After each the stack's
 * memory must be consistent (tcp_check.c), no segment may name bytes that are
 * not the sender's to name, and in the end every reference that was kept must
 * have come back once.
 */
#include "fuzz.h"

#include "engine/tcp_internal.h"
#include "tests/lib/tcp_sim.h"

enum { REFS = 4096, PEER_ISS = 0x10000 };

struct run {
	struct fuzz_input in;
	struct tcp_config config;
	struct tcp_stack *tcp;
	struct tcp_tuple tuple;
	uint64_t now;
	int conn;
	int listener;
	unsigned ref_count;
	uint32_t ref_length[REFS];
	bool kept[REFS];
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static void take_all(struct run *r, int conn)
{
	struct tcp_piece p[4];
	uint32_t bytes;
	int n, i;

	while ((n = tcp_recv_take(r->tcp, conn, p, 4)) > 0) {
		for (i = 0, bytes = 0; i < n; i++) {
			FUZZ_MUST(p[i].buffer < r->ref_count);
			FUZZ_MUST(r->kept[p[i].buffer]);
			FUZZ_MUST(p[i].length && p[i].offset + p[i].length <=
				  r->ref_length[p[i].buffer]);
			if (!(p[i].flags & TCP_PIECE_DROPPED))
				bytes += p[i].length;
			if (p[i].flags & TCP_PIECE_LAST)
				r->kept[p[i].buffer] = false;
		}
		FUZZ_MUST(!tcp_recv_done(r->tcp, conn, bytes, r->now));
	}
}

static void take_output(struct run *r, unsigned max)
{
	struct tcp_segment out;
	struct tcp_status st;

	while (max-- && tcp_output(r->tcp, &out, 1, r->now)) {
		FUZZ_MUST(out.head_bytes >= 20 && out.head_bytes <= 60);
		if (!out.conn || !out.length)
			continue;
		/* one that nobody has accepted yet has sent nothing */
		FUZZ_MUST(!tcp_get_status(r->tcp, out.conn, &st));
		FUZZ_MUST(out.offset >= st.acked);
		FUZZ_MUST(out.offset + out.length <= st.queued);
		FUZZ_MUST(out.segment_size && out.length <= 65535);
	}
}

static void take_events(struct run *r)
{
	struct tcp_event e[4];
	unsigned n, i;
	int conn;

	while ((n = tcp_events(r->tcp, e, 4)))
		for (i = 0; i < n; i++)
			if (e[i].what & TCP_EVENT_ACCEPT) {
				conn = tcp_accept(r->tcp, r->listener);
				if (conn > 0 && r->conn > 0) {
					tcp_abort(r->tcp, r->conn, r->now);
					take_all(r, r->conn);
					FUZZ_MUST(!tcp_free(r->tcp, r->conn,
							    r->now));
				}
				if (conn > 0)
					r->conn = conn;
			}
}

/* Where the peer's numbers should be about now. */
static void bases(struct run *r, uint32_t *seq, uint32_t *ack)
{
	struct tcp_conn *c = tcp_table_find(r->tcp, &r->tuple);

	*seq = c && c->state > TCP_ST_SYN_SENT ? c->rcv_nxt : PEER_ISS;
	*ack = c ? c->snd_una : 0;
}

static void arrive(struct run *r, uint8_t action)
{
	struct tcp_packet p = { .tuple = r->tuple };
	uint32_t seq, ack, options;
	struct tcp_ref refs[4];
	struct tcp_kept kept;
	uint8_t head[TCP_HEAD_MAX] = { 0 }, *exact;
	unsigned i, first = r->ref_count;

	bases(r, &seq, &ack);
	bytes_put16(head, r->tuple.remote_port);
	bytes_put16(head + 2, r->tuple.local_port);
	head[13] = fuzz_u8(&r->in);
	if (action & 0x10) {
		seq = fuzz_u32(&r->in);
		ack = fuzz_u32(&r->in);
	} else {
		seq += (uint32_t)(int16_t)fuzz_u16(&r->in);
		ack += (uint32_t)(int16_t)fuzz_u16(&r->in);
	}
	bytes_put32(head + 4, seq);
	bytes_put32(head + 8, ack);
	bytes_put16(head + 14, fuzz_u16(&r->in));
	bytes_put16(head + 18, action & 8 ? fuzz_u16(&r->in) : 0);
	options = fuzz_u8(&r->in) % 41;
	fuzz_bytes(&r->in, head + 20, options);
	head[12] = (uint8_t)((20 + (options + 3) / 4 * 4) / 4 << 4);
	p.head_bytes = (head[12] >> 4) * 4;
	if (action & 4) {
		p.ecn = fuzz_u8(&r->in);
		p.segments = fuzz_u16(&r->in);
		p.segment_max = fuzz_u16(&r->in);
		p.dup_acks = fuzz_u16(&r->in);
	}
	p.ref_count = action & 3;
	for (i = 0; i < p.ref_count; i++) {
		if (r->ref_count == REFS)
			return;
		refs[i].buffer = r->ref_count;
		refs[i].offset = 0;
		refs[i].length = fuzz_u16(&r->in);
		r->ref_length[r->ref_count++] = refs[i].length;
	}
	p.refs = refs;
	exact = malloc(p.head_bytes); /* so that reading beyond it shows */
	memcpy(exact, head, p.head_bytes);
	p.head = exact;
	tcp_input(r->tcp, &p, &kept, r->now);
	free(exact);
	for (i = 0; i < p.ref_count; i++)
		r->kept[first + i] = kept.bits[0] >> i & 1;
}

static void reopen(struct run *r)
{
	if (r->conn > 0) {
		take_all(r, r->conn);
		if (tcp_free(r->tcp, r->conn, r->now)) {
			take_all(r, r->conn);
			FUZZ_MUST(!tcp_free(r->tcp, r->conn, r->now));
		}
	}
	r->conn = tcp_connect(r->tcp, &r->tuple, 1460, r->now);
}

static void user(struct run *r, uint8_t action)
{
	switch (action & 15) {
	case 0:
		tcp_send(r->tcp, r->conn, fuzz_u32(&r->in), action >> 4 & 3,
			 r->now);
		break;
	case 1:
		tcp_send(r->tcp, r->conn, fuzz_u16(&r->in), action >> 4 & 3,
			 r->now);
		break;
	case 2:
		take_all(r, r->conn);
		break;
	case 3:
		tcp_shutdown(r->tcp, r->conn, r->now);
		break;
	case 4:
		tcp_close(r->tcp, r->conn, fuzz_u32(&r->in), r->now);
		break;
	case 5:
		tcp_abort(r->tcp, r->conn, r->now);
		break;
	case 6:
		tcp_set_mss(r->tcp, r->conn, fuzz_u16(&r->in), r->now);
		break;
	case 7:
		tcp_set_option(r->tcp, r->conn,
			       (enum tcp_option)(fuzz_u8(&r->in) % 10),
			       fuzz_u32(&r->in), r->now);
		break;
	case 8:
		reopen(r);
		break;
	case 9:
		take_events(r);
		break;
	case 10:
		take_output(r, fuzz_u8(&r->in));
		break;
	case 11:
		r->now += fuzz_u16(&r->in);
		tcp_timers(r->tcp, r->now);
		break;
	case 12:
		r->now += fuzz_u32(&r->in);
		tcp_timers(r->tcp, r->now);
		break;
	case 13: {
		uint64_t next = tcp_next_timer(r->tcp);

		if (next != TCP_NEVER && next > r->now)
			r->now = next;
		tcp_timers(r->tcp, r->now);
		break;
	}
	case 14:
		tcp_path_back(r->tcp, r->conn, r->now);
		break;
	default:
		take_output(r, 255);
	}
}

static void begin(struct run *r)
{
	uint8_t bits = fuzz_u8(&r->in);
	size_t bytes;

	tcp_config_init(&r->config);
	r->config.conns = 3;
	r->config.listeners = 1;
	r->config.holds = r->config.sends = 40;
	r->config.conn_holds = r->config.conn_sends = 32;
	r->config.replies = 4;
	r->config.timestamps = bits & 1;
	r->config.sack = bits & 2;
	r->config.window_scale = bits & 4;
	r->config.ecn = bits & 8;
	r->config.cc = bits >> 4 & 1;
	r->config.ack_stretch = bits & 0x20 ? 2 : 0;
	bytes = tcp_stack_bytes(&r->config);
	r->tcp = tcp_stack_init(aligned_alloc(16, (bytes + 15) & ~15ul), bytes,
				&r->config);
	FUZZ_MUST(r->tcp);
	r->now = 1000000;
	r->tuple.family = bits & 0x40 ? 6 : 4;
	r->tuple.local[0] = 1;
	r->tuple.remote[0] = 2;
	r->tuple.local_port = 80;
	r->tuple.remote_port = 4000;
	r->listener = tcp_listen(r->tcp, &r->tuple, 1460, 1);
	FUZZ_MUST(r->listener > 0);
	if (bits & 0x80)
		reopen(r);
}

static void end(struct run *r)
{
	unsigned i;

	take_events(r);
	if (r->conn > 0) {
		tcp_abort(r->tcp, r->conn, r->now);
		take_all(r, r->conn);
		FUZZ_MUST(!tcp_free(r->tcp, r->conn, r->now));
	}
	while ((r->conn = tcp_accept(r->tcp, r->listener)) > 0) {
		tcp_abort(r->tcp, r->conn, r->now);
		take_all(r, r->conn);
		FUZZ_MUST(!tcp_free(r->tcp, r->conn, r->now));
	}
	FUZZ_MUST(!tcp_unlisten(r->tcp, r->listener));
	FUZZ_MUST(!tcp_check(r->tcp));
	FUZZ_MUST(!r->tcp->holds_used && !r->tcp->sends_used);
	for (i = 0; i < r->ref_count; i++)
		FUZZ_MUST(!r->kept[i]);
	free(r->tcp);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct run *r = calloc(1, sizeof(*r));
	const char *bad;
	uint8_t action;

	if (!r)
		return 0;
	r->in.at = data;
	r->in.left = bytes;
	begin(r);
	while (r->in.left) {
		action = fuzz_u8(&r->in);
		if (action & 0x80)
			user(r, action);
		else
			arrive(r, action);
		bad = tcp_check(r->tcp);
		if (bad)
			fprintf(stderr, "%s\n", bad);
		FUZZ_MUST(!bad);
	}
	end(r);
	free(r);
	return 0;
}
