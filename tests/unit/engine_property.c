/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine_property - random streams with random faults, against an oracle
 *
 * A case is a seed: it gives a configuration and a list of steps. The rig sees
 * to bytes, order, conservation, limits and hold times. The oracle here knows
 * in addition, from the descriptions of the segments alone, which of them may
 * be merged (nothing that may not be is), and that nothing ends by a segment
 * that would have fit. A case that fails is shrunk to the steps that matter,
 * which are printed with the seed.
 *
 *	VTOE_SEED=N	that case only
 *	VTOE_CASES=N	how many (default 400), from a seed by the clock
 */
#include "tests/unit/engine_rig.h"

#include <time.h>

enum { FLOWS = 6, STEPS = 250 };

enum kind {
	GOOD, PSH, FIN, RST, SYN, URG, ECE, CE, TOS, TTL, LABEL, DF, ID,
	OPTIONS, EXTENSION, FRAGMENT, BAD_IP, BAD_TCP, SACK, TS_TOGGLE, TS_ON,
	TS_BACK, TS_ZERO, GAP, FILL, DUPLICATE, OVERLAP, LENGTH, PURE_ACK, ACK,
	ACK_BACK, WINDOW, WINDOW_ZERO, MAC, VLAN_PRIORITY, NO_ACK, NOT_CHOSEN,
	PAD, WRAP, PASS, FLUSH, FLUSH_OWNER, KINDS
};

static const char *const kinds[KINDS] = {
	"GOOD", "PSH", "FIN", "RST", "SYN", "URG", "ECE", "CE", "TOS", "TTL",
	"LABEL", "DF", "ID", "OPTIONS", "EXTENSION", "FRAGMENT", "BAD_IP",
	"BAD_TCP", "SACK", "TS_TOGGLE", "TS_ON", "TS_BACK", "TS_ZERO", "GAP",
	"FILL", "DUPLICATE", "OVERLAP", "LENGTH", "PURE_ACK", "ACK",
	"ACK_BACK", "WINDOW", "WINDOW_ZERO", "MAC", "VLAN_PRIORITY", "NO_ACK",
	"NOT_CHOSEN", "PAD", "WRAP", "PASS", "FLUSH", "FLUSH_OWNER",
};

struct step {
	uint8_t kind;
	uint8_t flow;
	uint16_t value;
};

struct stream {
	struct net_seg next;
	struct net_seg hole[3]; /* what a GAP left out, and FILL sends */
	unsigned holes;
};

static uint64_t random_state;

static uint32_t rnd(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)((random_state >> 32) % below);
}

/* -- the oracle -- */

/* A segment that may be in an aggregate at all. */
static bool alone_fits(const struct aggregate_config *c,
		       const struct net_seg *s)
{
	return c->mode && s->input_flags & FRAME_CHOSEN &&
	       (s->flags | TCP_PSH) == (TCP_ACK | TCP_PSH) && !s->urgent &&
	       (s->tos & 3) != 3 && !s->ip_options && !s->extensions &&
	       !s->option_length && !(s->fragment & 0x3fff) && !s->bad_ip &&
	       !s->bad_tcp && !(s->ts && !s->ts_echo) &&
	       s->length <= c->bytes_max && (s->length || c->ack_merge_max);
}

static bool same_shape(const struct net_seg *a, const struct net_seg *b)
{
	return a->flow == b->flow && a->owner == b->owner && a->v6 == b->v6 &&
	       a->tags == b->tags && (!a->tags || a->tci[0] == b->tci[0]) &&
	       a->mac == b->mac && a->tos == b->tos && a->ttl == b->ttl &&
	       (a->v6 ? a->label == b->label : a->fragment == b->fragment) &&
	       a->ts == b->ts;
}

/* Whether the window of b may stand for that of a as well. */
static bool window_fits(const struct aggregate_config *c,
			const struct net_seg *a, const struct net_seg *b)
{
	if (a->window == b->window)
		return true;
	if (c->window == WINDOW_ANY || c->mode == AGGREGATE_REVERSIBLE)
		return false;
	return a->window && b->window &&
	       !(b->window < a->window && a->ack == b->ack);
}

static bool reversible_fits(const struct net_seg *first,
			    const struct net_seg *second,
			    const struct net_seg *last,
			    const struct net_seg *next, unsigned count)
{
	uint16_t step = (uint16_t)(next->id - last->id);

	if (next->length > first->length || last->length != first->length)
		return false;
	if (next->ack != last->ack)
		return false;
	if (next->ts && (next->ts_value != last->ts_value ||
			 next->ts_echo != last->ts_echo))
		return false;
	if (next->v6)
		return true;
	if (count == 1)
		return step == 1 || (!step && next->fragment & NET_DF);
	return step == (uint16_t)(second->id - first->id);
}

/* Whether the next segment may follow those that are together. */
static bool fits(const struct rig *r, const uint32_t *refs, unsigned count,
		 const struct net_seg *next)
{
	const struct aggregate_config *c = &r->config;
	const struct net_seg *first = &r->frames[refs[0]].seg;
	const struct net_seg *last = &r->frames[refs[count - 1]].seg;
	uint32_t bytes = next->length, changes = next->ack != last->ack;
	uint32_t header = next->ts ? 32 : 20, largest = 0, pure, i;

	pure = !next->length;
	for (i = 0; i < count; i++) {
		const struct net_seg *s = &r->frames[refs[i]].seg;

		bytes += s->length;
		pure += !s->length;
		if (s->length > largest)
			largest = s->length;
		if (i)
			changes += s->ack != r->frames[refs[i - 1]].seg.ack;
	}
	if (!alone_fits(c, next) || !same_shape(first, next) ||
	    next->seq != last->seq + last->length)
		return false;
	if (count >= c->count_max || bytes > c->bytes_max ||
	    bytes + header + (next->v6 ? 0 : 20) > 65535)
		return false;
	if ((last->flags & TCP_PSH && !c->push_joins) ||
	    (last->length && last->length < (c->runt ? c->runt : largest)))
		return false;
	if (next->ts && (int32_t)(next->ts_value - last->ts_value) < 0)
		return false;
	if (pure > c->ack_merge_max && !next->length)
		return false;
	if ((int32_t)(next->ack - last->ack) < 0)
		return false;
	if (c->mode == AGGREGATE_REVERSIBLE)
		return reversible_fits(first,
				       &r->frames[refs[count > 1]].seg, last,
				       next, count) &&
		       window_fits(c, last, next);
	return changes <= c->ack_change_max && window_fits(c, last, next);
}

/* Reasons that need no frame of the flow. */
static bool is_outer(unsigned reason)
{
	return (reason >= END_TIMER && reason <= END_LOW_BUFFERS) ||
	       (reason >= END_CONFIG && reason <= END_BOUNDARY) ||
	       reason == END_RESOURCE;
}

static void judge(struct rig *r, const struct delivery *d, const uint32_t *refs,
		  unsigned count)
{
	const struct net_seg *now = &r->frames[r->count - 1].seg;
	unsigned i;

	if (d->kind == DELIVERY_FRAME)
		return;
	if (!alone_fits(&r->config, &r->frames[refs[0]].seg))
		rig_fail(r, "frame %u is no part of an aggregate", refs[0]);
	for (i = 1; i < count; i++)
		if (!fits(r, refs, i, &r->frames[refs[i]].seg))
			rig_fail(r, "frame %u does not fit to %u", refs[i],
				 refs[0]);
	if (r->config.isle || is_outer(d->reason))
		return;
	if (refs[count - 1] == r->count - 1) {
		/* the frame itself ended it: by PSH, its length, or the count
		 */
		const struct net_seg probe = net_after(now);

		if (count < r->config.count_max && fits(r, refs, count, &probe))
			rig_fail(r, "frame %u ended nothing, but says %s",
				 r->count - 1, event_reason_name(d->reason));
	} else if (now->length && fits(r, refs, count, now)) {
		rig_fail(r, "frame %u would have fit, but for %s", r->count - 1,
			 event_reason_name(d->reason));
	}
}

/* -- steps -- */

static void make_config(struct aggregate_config *c)
{
	rig_default(c);
	c->flows = 1u << rnd(5);
	c->hold_max = 1 + rnd(60);
	c->isle = !rnd(4);
	c->mode = rnd(3) ? AGGREGATE_ENDPOINT : AGGREGATE_REVERSIBLE;
	c->create = !rnd(5);
	c->window = !rnd(4);
	c->drop_bad = !rnd(4);
	c->no_checksum = !rnd(4);
	c->bytes_max = rnd(2) ? 65535 : 1 + rnd(900);
	c->count_max = (uint16_t)(rnd(2) ? 64 : 1 + rnd(10));
	c->runt = (uint16_t)(rnd(2) ? 0 : rnd(200));
	c->ack_change_max = (uint16_t)rnd(4);
	if (c->mode == AGGREGATE_ENDPOINT && !rnd(3))
		c->ack_merge_max = (uint16_t)rnd(6);
	c->duplicate_max = (uint16_t)rnd(3);
	c->push_joins = c->mode == AGGREGATE_ENDPOINT && !rnd(3);
}

static void make_streams(struct stream *streams)
{
	unsigned i;

	for (i = 0; i < FLOWS; i++) {
		struct net_seg *s = &streams[i].next;

		*s = net_first(i);
		s->v6 = rnd(2);
		s->ts = rnd(2);
		s->tags = (uint8_t)rnd(3);
		s->tci[0] = (uint16_t)rnd(65536);
		s->owner = i & 1;
		s->seq = rnd(2) ? 0u - rnd(3000) : rnd(UINT32_MAX);
		s->length = 1 + rnd(150);
		s->pad = !rnd(3) ? (uint8_t)rnd(20) : 0;
		if (!rnd(3))
			s->input_flags |= FRAME_TCP_VERIFIED;
		streams[i].holes = 0;
	}
}

/* Of a trigger that passes alone: only this one, not those after it. */
static void change_one(struct net_seg *t, uint8_t kind)
{
	switch (kind) {
	case PSH:
		t->flags |= TCP_PSH;
		break;
	case FIN:
		t->flags |= TCP_FIN;
		break;
	case RST:
		t->flags |= TCP_RST;
		break;
	case URG:
		t->flags |= TCP_URG;
		break;
	case ECE:
		t->flags |= TCP_ECE;
		break;
	case CE:
		t->tos |= 3;
		break;
	case OPTIONS:
		t->ip_options = 3;
		break;
	case EXTENSION:
		t->extensions = 1;
		t->extension[0] = 60;
		break;
	case FRAGMENT:
		t->fragment = 0x2000;
		break;
	case BAD_IP:
		t->bad_ip = true;
		break;
	case BAD_TCP:
		t->bad_tcp = true;
		t->input_flags &= ~FRAME_TCP_VERIFIED;
		break;
	case SACK:
		t->option_length = 12;
		memset(t->option, 1, 12);
		break;
	case TS_BACK:
		t->ts_value -= 5;
		break;
	case TS_ZERO:
		t->ts_echo = 0;
		break;
	case PURE_ACK:
		t->length = 0;
		break;
	case NO_ACK:
		t->flags = 0;
		break;
	case NOT_CHOSEN:
		t->input_flags &= ~FRAME_CHOSEN;
		break;
	default:
		break;
	}
}

/* Of the stream, from now on. */
static void change_stream(struct net_seg *s, uint8_t kind, uint16_t value)
{
	switch (kind) {
	case TOS:
		s->tos = (uint8_t)(value & ~1);
		break;
	case TTL:
		s->ttl = (uint8_t)(60 + value % 3);
		break;
	case LABEL:
		s->label = value;
		break;
	case DF:
		s->fragment ^= NET_DF;
		break;
	case ID:
		s->id = (uint16_t)(s->id + value % 4);
		break;
	case TS_TOGGLE:
		s->ts = !s->ts;
		break;
	case TS_ON:
		s->ts_value += value % 50;
		s->ts_echo += value % 7;
		break;
	case LENGTH:
		s->length = 1 + value % 200;
		break;
	case ACK:
		s->ack += value;
		break;
	case ACK_BACK:
		s->ack -= value % 10;
		break;
	case WINDOW:
		s->window = value;
		break;
	case WINDOW_ZERO:
		s->window = 0;
		break;
	case MAC:
		s->mac ^= 3;
		break;
	case VLAN_PRIORITY:
		s->tci[0] ^= 0x2000;
		break;
	case PAD:
		s->pad = value % 30;
		break;
	case WRAP:
		s->seq = 0u - value % 500;
		break;
	default:
		break;
	}
}

static void push(struct rig *r, struct net_seg *t)
{
	/* only what its version of IP has */
	if (t->v6) {
		t->bad_ip = false;
		t->fragment = 0;
		t->ip_options = 0;
	} else {
		t->extensions = 0;
	}
	if (r->count < RIG_FRAMES)
		rig_push(r, t);
}

static void do_step(struct rig *r, struct stream *streams,
		    const struct step *step)
{
	struct stream *st = &streams[step->flow];
	struct net_seg t;
	struct delivery d[AGGREGATE_OUT];
	unsigned n;

	switch (step->kind) {
	case PASS:
		rig_pass(r, step->value * 20ull);
		return;
	case FLUSH:
		rig_flush(r, END_BATCH);
		return;
	case FLUSH_OWNER:
		do {
			n = aggregate_flush_owner(&r->a, step->value & 1,
						  END_OWNER, d, 2);
			rig_take(r, d, n);
		} while (n);
		return;
	case SYN:
		t = st->next;
		t.flags = TCP_SYN;
		t.length = 0;
		st->next.seq = t.seq + 1;
		push(r, &t);
		return;
	case GAP:
		for (n = 0; n <= step->value % 3u; n++) {
			st->hole[n] = st->next;
			st->next = net_after(&st->next);
		}
		st->holes = n;
		break;
	case FILL:
		if (!st->holes)
			return;
		t = st->hole[0];
		st->hole[0] = st->hole[1];
		st->hole[1] = st->hole[2];
		st->holes--;
		push(r, &t);
		return;
	case DUPLICATE:
		t = st->next;
		t.seq -= t.length * (1 + step->value % 3);
		push(r, &t);
		return;
	case OVERLAP:
		t = st->next;
		t.seq -= t.length / 2;
		push(r, &t);
		return;
	default:
		break;
	}
	change_stream(&st->next, step->kind, step->value);
	t = st->next;
	change_one(&t, step->kind);
	st->next = net_after(&st->next);
	if (step->kind == PURE_ACK)
		st->next.seq = t.seq;
	push(r, &t);
}

/* -- cases -- */

static unsigned make_steps(struct step *steps)
{
	uint32_t good = 30 + rnd(70), i; /* percent */

	for (i = 0; i < STEPS; i++) {
		steps[i].kind = (uint8_t)(rnd(100) < good ? GOOD : rnd(KINDS));
		steps[i].flow = (uint8_t)rnd(FLOWS);
		steps[i].value = (uint16_t)rnd(65536);
		if (i && steps[i - 1].kind == GAP) /* a wire that reorders */
			steps[i].flow = steps[i - 1].flow;
	}
	return STEPS;
}

/* -> what is wrong, or NULL */
static const char *run_steps(uint64_t seed, const struct step *steps,
			     unsigned count)
{
	static char error[256];
	static struct rig r;
	struct aggregate_config c;
	struct stream streams[FLOWS];
	const char *wrong;
	unsigned i;

	random_state = seed * 0x9e3779b97f4a7c15 + 1;
	make_config(&c);
	make_streams(streams);
	rig_start(&r, &c);
	r.judge = judge;
	r.quiet = true;
	r.any_order = c.isle;
	for (i = 0; i < count && !r.error[0]; i++)
		do_step(&r, streams, &steps[i]);
	wrong = rig_finish(&r);
	if (!wrong)
		return NULL;
	snprintf(error, sizeof(error), "%s", wrong);
	return error;
}

/* Leaves out pieces, ever smaller, while it still fails. */
static unsigned shrink(uint64_t seed, struct step *steps, unsigned count)
{
	struct step less[STEPS];
	unsigned piece, at;

	for (piece = count / 2; piece; piece /= 2)
		for (at = 0; at + piece <= count;) {
			memcpy(less, steps, at * sizeof(*steps));
			memcpy(less + at, steps + at + piece,
			       (count - at - piece) * sizeof(*steps));
			if (!run_steps(seed, less, count - piece)) {
				at += piece;
				continue;
			}
			count -= piece;
			memcpy(steps, less, count * sizeof(*steps));
		}
	return count;
}

static void run_case(uint64_t seed)
{
	struct step steps[STEPS];
	unsigned count, i;

	random_state = ~(seed * 0x9e3779b97f4a7c15) | 1;
	for (i = 0; i < 8; i++)
		rnd(2);
	count = make_steps(steps);
	if (!run_steps(seed, steps, count))
		return;
	count = shrink(seed, steps, count);
	print_error("VTOE_SEED=%llu, shrunk to %u steps:\n",
		    (unsigned long long)seed, count);
	for (i = 0; i < count; i++)
		print_error("  flow %u %s %u\n", steps[i].flow,
			    kinds[steps[i].kind], steps[i].value);
	fail_msg("%s", run_steps(seed, steps, count));
}

static void test_property(void **state)
{
	const char *one = getenv("VTOE_SEED"), *many = getenv("VTOE_CASES");
	uint64_t cases = many ? strtoull(many, NULL, 0) : 400, i;
	uint64_t seed = (uint64_t)time(NULL) * 1000000;

	(void)state;
	if (one) {
		run_case(strtoull(one, NULL, 0));
		return;
	}
	print_message("%llu seeds from %llu on\n", (unsigned long long)cases,
		      (unsigned long long)seed);
	for (i = 0; i < cases; i++)
		run_case(seed + i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_property),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
