/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine_ends - the termination matrix (MECHANISMS D): three good segments, the
 * trigger, three good segments, and what comes out, in order, with the reasons
 *
 * Every row runs over IPv4 and IPv6, with and without timestamps and VLAN tags,
 * as far as it makes sense there. The rig checks contents; here are order,
 * reason and counter.
 */
#include "tests/unit/engine_rig.h"

enum { V4 = 1, V6 = 2, NO_TS = 4, TS = 8, ANY = V4 | V6 | NO_TS | TS };

/*
 * name, where it makes sense, changes of the configuration (c) and of the first
 * segment (s), what the trigger (t) is, how the stream goes on (n, else the one
 * after t), what comes out, the row
 */
#define ENDINGS(X)                                                             \
	X(psh, ANY, , t->flags |= TCP_PSH, after(n, t, s),                     \
	  "A4:psh A3:flush", END_PSH)                                          \
	X(psh_joins, ANY, c->push_joins = true, t->flags |= TCP_PSH,           \
	  after(n, t, s), "A7:flush", END_FLUSH)                               \
	X(fin, ANY, , t->flags |= TCP_FIN, after(n, t, s),                     \
	  "A3:fin F:fin A3:flush", END_FIN)                                    \
	X(fin_psh, ANY, , t->flags |= TCP_FIN | TCP_PSH, after(n, t, s),       \
	  "A3:fin F:fin A3:flush", END_FIN)                                    \
	X(rst, ANY, , t->flags |= TCP_RST, after(n, t, s),                     \
	  "A3:rst F:rst A3:flush", END_RST)                                    \
	X(syn, ANY, , t->flags = TCP_SYN; t->length = 0; t->seq = 900000,      \
	  n->seq = 900001, "A3:syn F:syn A3:flush", END_SYN)                   \
	X(syn_ack, ANY, , t->flags |= TCP_SYN; t->length = 0;                  \
	  t->seq = 0xffffffff, n->seq = 0, "A3:syn F:syn A3:flush", END_SYN)   \
	X(urg, ANY, , t->flags |= TCP_URG; t->urgent = 5, after(n, t, s),      \
	  "A3:urg F:urg A3:flush", END_URG)                                    \
	X(ece, ANY, , t->flags |= TCP_ECE, after(n, t, s),                     \
	  "A3:ecn_flags F:ecn_flags A3:flush", END_ECN_FLAGS)                  \
	X(cwr, ANY, , t->flags |= TCP_CWR, after(n, t, s),                     \
	  "A3:ecn_flags F:ecn_flags A3:flush", END_ECN_FLAGS)                  \
	X(accurate_ecn, ANY, , t->flags |= 0x100, after(n, t, s),              \
	  "A3:ecn_flags F:ecn_flags A3:flush", END_ECN_FLAGS)                  \
	X(ce, ANY, s->tos = 2, t->tos = 3, after(n, t, s),                     \
	  "A3:ecn_ce F:ecn_ce A3:flush", END_ECN_CE)                           \
	X(tos, ANY, , t->tos = 0x20, after(n, t, s),                           \
	  "A3:tos A1:tos A3:flush", END_TOS)                                   \
	X(tos_stays, ANY, , t->tos = 2, *n = net_after(t),                     \
	  "A3:tos A4:flush", END_TOS)                                          \
	X(ttl, ANY, , t->ttl = 63, after(n, t, s),                             \
	  "A3:ttl A1:ttl A3:flush", END_TTL)                                   \
	X(ttl_stays, ANY, , t->ttl = 65, *n = net_after(t),                    \
	  "A3:ttl A4:flush", END_TTL)                                          \
	X(label, ANY & ~V4, s->label = 0xabcde, t->label = 0xabcdf,            \
	  *n = net_after(t), "A3:flow_label A4:flush", END_FLOW_LABEL)         \
	X(df, ANY & ~V6, , t->fragment = 0, *n = net_after(t),                 \
	  "A3:df A4:flush", END_DF)                                            \
	X(df_reserved, ANY & ~V6, , t->fragment |= 0x8000, after(n, t, s),     \
	  "A3:df A1:df A3:flush", END_DF)                                      \
	X(id, ANY & ~V6, c->mode = AGGREGATE_REVERSIBLE, t->id += 7,           \
	  *n = net_after(t), "A3:ip_id A4:flush", END_IP_ID)                   \
	X(ip_options, ANY & ~V6, , t->ip_options = 3, after(n, t, s),          \
	  "A3:ip_options F:ip_options A3:flush", END_IP_OPTIONS)               \
	X(hop_by_hop, ANY & ~V4, , t->extensions = 2; t->extension[0] = 0;     \
	  t->extension[1] = 60, after(n, t, s),                                \
	  "A3:ip_options F:ip_options A3:flush", END_IP_OPTIONS)               \
	X(fragment, ANY & ~V6, , t->fragment = 0x2000, after(n, t, s),         \
	  "A3:fragment F:fragment A3:flush", END_FRAGMENT)                     \
	X(fragment_later, ANY & ~V6, , t->no_ports = true;                     \
	  t->fragment = 0x2064, n->seq = s->seq, "F:fragment A6:flush", END_FRAGMENT)                \
	X(fragment_v6, ANY & ~V4, , t->extensions = 1; t->extension[0] = 44;   \
	  t->fragment = 1, after(n, t, s),                                     \
	  "A3:fragment F:fragment A3:flush", END_FRAGMENT)                     \
	X(fragment_v6_later, ANY & ~V4, , t->extensions = 1;                   \
	  t->extension[0] = 44; t->fragment = 0x40; t->no_ports = true,        \
	  n->seq = s->seq,                                                     \
	  "F:fragment A6:flush", END_FRAGMENT)                                 \
	X(bad_ip, ANY & ~V6, , t->bad_ip = true, after(n, t, s),               \
	  "A3:bad_ip F:bad_ip A3:flush", END_BAD_IP)                           \
	X(bad_tcp, ANY, , t->bad_tcp = true, after(n, t, s),                   \
	  "A3:bad_tcp F:bad_tcp A3:flush", END_BAD_TCP)                        \
	X(bad_rst, ANY, , t->bad_tcp = true; t->flags |= TCP_RST,              \
	  n->seq = s->seq, "A3:bad_tcp F:bad_tcp A3:flush", END_BAD_TCP)       \
	X(sack, ANY, , put_sack(t), after(n, t, s),                            \
	  "A3:tcp_options F:tcp_options A3:flush", END_TCP_OPTIONS)            \
	X(ts_vanishes, ANY & ~NO_TS, , t->ts = false, *n = net_after(t),       \
	  "A3:timestamp A4:flush", END_TIMESTAMP)                              \
	X(ts_appears, ANY & ~TS, , t->ts = true, *n = net_after(t),            \
	  "A3:timestamp A4:flush", END_TIMESTAMP)                              \
	X(ts_back, ANY & ~NO_TS, , t->ts_value--, after(n, t, s),              \
	  "A3:timestamp F:timestamp A3:flush", END_TIMESTAMP)                  \
	X(ts_no_echo, ANY & ~NO_TS, , t->ts_echo = 0, after(n, t, s),          \
	  "A3:timestamp F:timestamp A3:flush", END_TIMESTAMP)                  \
	X(gap, ANY, , t->seq += NET_MSS, *n = net_after(t),                    \
	  "A3:gap A4:flush", END_GAP)                                          \
	X(duplicate, ANY, , t->seq -= 2 * NET_MSS, n->seq = s->seq,            \
	  "A3:duplicate F:duplicate A3:flush", END_DUPLICATE)                  \
	X(overlap, ANY, , t->seq -= NET_MSS / 2, *n = net_after(t),            \
	  "A3:overlap F:overlap A3:flush", END_OVERLAP)                        \
	X(bytes, ANY, c->bytes_max = 3999, , *n = net_after(t),                \
	  "A3:bytes A3:bytes A1:flush", END_BYTES)                             \
	X(oversize, ANY, c->bytes_max = 3000, t->length = 3001,                \
	  after(n, t, s), "A3:bytes F:bytes A3:flush", END_BYTES)              \
	X(count, ANY, c->count_max = 4, , *n = net_after(t),                   \
	  "A4:count A3:flush", END_COUNT)                                      \
	X(runt, ANY, , t->length = NET_MSS - 1, after(n, t, s),                \
	  "A4:runt A3:flush", END_RUNT)                                        \
	X(runt_threshold, ANY, c->runt = 500, t->length = 499, after(n, t, s), \
	  "A4:runt A3:flush", END_RUNT)                                        \
	X(runt_not, ANY, c->runt = 500, t->length = 500, after(n, t, s),       \
	  "A7:flush", END_FLUSH)                                               \
	X(larger, ANY, c->mode = AGGREGATE_REVERSIBLE, t->length = 1400,       \
	  *n = net_after(t), "A3:larger A4:flush", END_LARGER)                 \
	X(larger_not, ANY, , t->length = 1400; t->flags |= TCP_PSH,            \
	  after(n, t, s), "A4:psh A3:flush", END_PSH)                          \
	X(pure_ack, ANY, , t->length = 0; t->ack += 10, after(n, t, s),        \
	  "A3:pure_ack F:pure_ack A3:flush", END_PURE_ACK)                     \
	X(keep_alive, ANY, , t->length = 0; t->seq--; t->ack++,                \
	  n->seq = s->seq, "A3:pure_ack F:pure_ack A3:flush", END_PURE_ACK)    \
	X(duplicate_ack, ANY, c->duplicate_max = 0, t->length = 0,             \
	  after(n, t, s), "A3:duplicate_ack F:duplicate_ack A3:flush",         \
	  END_DUPLICATE_ACK)                                                   \
	X(ack_changes, ANY, c->ack_change_max = 0, t->ack++,                   \
	  *n = net_after(t), "A3:ack_changes A4:flush", END_ACK_CHANGES)       \
	X(ack_back, ANY, , t->ack--, after(n, t, s),                           \
	  "A3:ack_changes A4:flush", END_ACK_CHANGES)                          \
	X(window_zero, ANY, , t->window = 0; t->ack++,                         \
	  after(n, t, s); n->ack++,                                            \
	  "A3:window A1:window A3:flush", END_WINDOW)                          \
	X(window_shrinks, ANY, , t->window--, *n = net_after(t),               \
	  "A3:window A4:flush", END_WINDOW)                                    \
	X(window_any, ANY, c->window = WINDOW_ANY, t->window++,                \
	  *n = net_after(t), "A3:window A4:flush", END_WINDOW)                 \
	X(window_grows, ANY, , t->window++, *n = net_after(t),                 \
	  "A7:flush", END_FLUSH)                                               \
	X(mac, ANY, , t->mac = 2, *n = net_after(t),                           \
	  "A3:link A4:flush", END_LINK)                                        \
	X(priority, ANY, s->tags = 1; s->tci[0] = 10, t->tci[0] |= 0x2000,     \
	  after(n, t, s), "A3:link A1:link A3:flush", END_LINK)                \
	X(no_ack, ANY, , t->flags = TCP_PSH, after(n, t, s),                   \
	  "A3:no_ack F:no_ack A3:flush", PASS_NO_ACK)                          \
	X(not_chosen, ANY, , t->input_flags = 0, after(n, t, s),               \
	  "A3:owner F:not_chosen A3:flush", END_OWNER)

/* The stream goes on as it was, behind the trigger's bytes. */
static void after(struct net_seg *n, const struct net_seg *t,
		  const struct net_seg *s)
{
	*n = *s;
	n->seq = t->seq + t->length;
	n->id++;
}

/* NOP, NOP, SACK with one block (RFC 2018) */
static void put_sack(struct net_seg *t)
{
	static const uint8_t sack[12] = { 1, 1, 5, 10, 0, 0, 9, 9, 0, 0, 9, 19 };

	memcpy(t->option, sack, sizeof(sack));
	t->option_length = sizeof(sack);
}

#define FUNCTIONS(name, where, setup, trigger, follow, words, row)           \
	static void name##_setup(struct aggregate_config *c,                 \
				 struct net_seg *s)                          \
	{                                                                    \
		(void)c;                                                     \
		(void)s;                                                     \
		setup;                                                       \
	}                                                                    \
	static void name##_trigger(struct net_seg *t, struct net_seg *n,     \
				   const struct net_seg *s)                  \
	{                                                                    \
		(void)s;                                                     \
		trigger;                                                     \
		follow;                                                      \
	}
ENDINGS(FUNCTIONS)

#define ROW(name, where, setup, trigger, follow, words, row) \
	{ #name, where, name##_setup, name##_trigger, words, row },

static const struct ending {
	const char *name;
	unsigned where;
	void (*setup)(struct aggregate_config *c, struct net_seg *s);
	void (*trigger)(struct net_seg *t, struct net_seg *n,
			const struct net_seg *s);
	const char *words;
	unsigned row;
} endings[] = { ENDINGS(ROW) };

/* How often the words say `kind`...:reason. */
static unsigned counted(const char *words, char kind, unsigned reason)
{
	const char *name = event_reason_name(reason);
	const char *at = words, *colon;
	unsigned n = 0;

	while (at && (colon = strchr(at, ':'))) {
		if (*at == kind && !strncmp(colon + 1, name, strlen(name)) &&
		    (colon[1 + strlen(name)] == ' ' ||
		     !colon[1 + strlen(name)]))
			n++;
		at = strchr(colon, ' ');
		at = at ? at + 1 : NULL;
	}
	return n;
}

static void run_ending(const struct ending *e, bool v6, bool ts, bool tagged)
{
	struct aggregate_config c;
	struct net_seg s = net_first(1), t, n;
	struct rig r;

	rig_default(&c);
	s.v6 = v6;
	s.ts = ts;
	s.tags = tagged;
	s.tci[0] = 100;
	e->setup(&c, &s);
	rig_start(&r, &c);
	rig_send(&r, &s, 3);
	t = n = s;
	e->trigger(&t, &n, &s);
	rig_push(&r, &t);
	rig_send(&r, &n, 3);
	rig_flush(&r, END_FLUSH);
	if (strcmp(r.words, e->words) != 0)
		fail_msg("%s (IPv%d%s%s): %s, not %s", e->name, v6 ? 6 : 4,
			 ts ? ", timestamps" : "", tagged ? ", VLAN" : "",
			 r.words, e->words);
	if (r.a.stats.ended[e->row] != counted(e->words, 'A', e->row) ||
	    r.a.stats.passed[e->row] != counted(e->words, 'F', e->row) ||
	    !(r.a.stats.ended[e->row] + r.a.stats.passed[e->row]))
		fail_msg("%s: the counter of its row is wrong", e->name);
	rig_stop(&r);
}

static void test_matrix(void **state)
{
	unsigned i, variant;

	(void)state;
	for (i = 0; i < sizeof(endings) / sizeof(*endings); i++)
		for (variant = 0; variant < 8; variant++) {
			bool v6 = variant & 1, ts = variant & 2;

			if (!(endings[i].where & (v6 ? V6 : V4)) ||
			    !(endings[i].where & (ts ? TS : NO_TS)))
				continue;
			run_ending(&endings[i], v6, ts, variant & 4);
		}
}

/* The action of each row, as the catalogue has it. */
static void test_actions(void **state)
{
	static const char classes[] =
		" APPPPPPSSSSSPPPPPSSSPPSSAASOOOOPPSSSP-OOOOOPP";
	static const char letters[] = "-ASPO";
	unsigned i;

	(void)state;
	for (i = END_PSH; i <= END_RESOURCE; i++) {
		if (event_rules[i].reason != i ||
		    letters[event_rules[i].action] != classes[i])
			fail_msg("T%02u has class %c, not %c", i,
				 letters[event_rules[i].action], classes[i]);
		assert_string_not_equal(event_reason_name(i), "?");
	}
	assert_int_equal(event_rules[EVENT_TS_OLD].action, ACTION_CP);
	assert_string_equal(event_reason_name(END_REASONS), "?");
}

/* T19: with the plain option set, doff changes exactly where T18 applies. */
static void test_header_length(void **state)
{
	struct net_seg s = net_first(1);
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	rig_send(&r, &s, 3);
	s.ts = true;
	rig_send(&r, &s, 3);
	s.ts = false;
	memset(s.option, 1, 12);
	s.option_length = 12; /* as long, but no timestamps */
	rig_send(&r, &s, 1);
	rig_flush(&r, END_FLUSH);
	rig_expect(&r, "A3:timestamp A3:tcp_options F:tcp_options");
	assert_int_equal(r.a.stats.ended[END_TCP_LENGTH], 0);
	rig_stop(&r);
}

/* T10 and T36: the mixed stream, each unit with its own value (the rig checks
 * values); two VLANs are two flows and do not disturb one another. */
static void test_vlan(void **state)
{
	struct net_seg s = net_first(1), other;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	s.tags = 1;
	s.tci[0] = 10;
	rig_send(&r, &s, 3);
	other = s;
	other.flow = 1;
	other.tci[0] = 20;
	r.any_order = true; /* of two flows that the rig takes for one */
	rig_push(&r, &other);
	rig_send(&r, &s, 3);
	other = s;
	other.tags = 2;
	other.tci[1] = 7;
	rig_push(&r, &other);
	rig_flush(&r, END_FLUSH);
	rig_expect(&r, "A6:flush A1:flush A1:flush");
	rig_stop(&r);
}

/* T25 and T24 over a long run. */
static void test_limits(void **state)
{
	struct net_seg s = net_first(1);
	struct aggregate_config c;
	struct rig r;

	(void)state;
	rig_default(&c);
	c.count_max = 8;
	rig_start(&r, &c);
	rig_send(&r, &s, 20);
	rig_flush(&r, END_FLUSH);
	rig_expect(&r, "A8:count A8:count A4:flush");
	rig_stop(&r);

	c.count_max = 1000;
	rig_start(&r, &c);
	s.length = 1460;
	s.ts = true;
	rig_send(&r, &s, 45);
	rig_flush(&r, END_FLUSH);
	/* 44 * 1460 + 52 bytes of headers fit 65535, 45 do not */
	rig_expect(&r, "A44:bytes A1:flush");
	rig_stop(&r);

	rig_start(&r, &c);
	s.v6 = true;
	s.length = 65535 - 32 - 65000;
	rig_push(&r, &s);
	s = net_after(&s);
	s.length = 65000; /* exactly the IPv6 payload length */
	rig_send(&r, &s, 1);
	s.length = 1;
	rig_send(&r, &s, 1);
	rig_flush(&r, END_FLUSH);
	rig_expect(&r, "A2:bytes A1:flush");
	rig_stop(&r);
}

/* T34: "split after each second change", the last ACK never lost. */
static void test_ack_changes(void **state)
{
	struct net_seg s = net_first(1);
	struct aggregate_config c;
	struct rig r;
	int i;

	(void)state;
	rig_default(&c);
	c.ack_change_max = 2;
	rig_start(&r, &c);
	for (i = 0; i < 9; i++) {
		rig_send(&r, &s, 1);
		s.ack += 100;
	}
	rig_flush(&r, END_FLUSH);
	rig_expect(&r, "A3:ack_changes A3:ack_changes A3:flush");
	assert_int_equal(r.last.ack, 500 + 800);
	rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_actions),
		cmocka_unit_test(test_matrix),
		cmocka_unit_test(test_header_length),
		cmocka_unit_test(test_vlan),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_ack_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
