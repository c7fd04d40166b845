/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * own_options.c - socket options, as far as a TCP of our own has a use for them
 *
 * Most are numbers: kept, shown, and told to TCP where it knows them. The list is
 * that of the kernel's engine (nic/socket.c), so that a program finds the same.
 */
#include "stack/own.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

enum { LINGER_MAX = 120 };

static const struct own_option {
	uint16_t level;
	uint16_t name;
	int32_t start;
	int32_t least, most;
} own_options[OWN_VALUES] = {
	[OWN_REUSEADDR] = { SOL_SOCKET, SO_REUSEADDR, 0, 0, 1 },
	[OWN_REUSEPORT] = { SOL_SOCKET, SO_REUSEPORT, 0, 0, 1 },
	[OWN_KEEPALIVE] = { SOL_SOCKET, SO_KEEPALIVE, 0, 0, 1 },
	[OWN_RCVBUF] = { SOL_SOCKET, SO_RCVBUF, 4 << 20, 8192, 8 << 20 },
	[OWN_SNDBUF] = { SOL_SOCKET, SO_SNDBUF, 1 << 20, 16384, 8 << 20 },
	[OWN_RCVLOWAT] = { SOL_SOCKET, SO_RCVLOWAT, 1, 1, 1 << 20 },
	[OWN_OOBINLINE] = { SOL_SOCKET, SO_OOBINLINE, 0, 0, 1 },
	[OWN_DONTROUTE] = { SOL_SOCKET, SO_DONTROUTE, 0, 0, 1 },
	[OWN_NODELAY] = { IPPROTO_TCP, TCP_NODELAY, 0, 0, 1 },
	[OWN_CORK] = { IPPROTO_TCP, TCP_CORK, 0, 0, 1 },
	[OWN_KEEPIDLE] = { IPPROTO_TCP, TCP_KEEPIDLE, 7200, 1, 32767 },
	[OWN_KEEPINTVL] = { IPPROTO_TCP, TCP_KEEPINTVL, 75, 1, 32767 },
	[OWN_KEEPCNT] = { IPPROTO_TCP, TCP_KEEPCNT, 9, 1, 127 },
	[OWN_SYNCNT] = { IPPROTO_TCP, TCP_SYNCNT, 6, 1, 127 },
	[OWN_LINGER2] = { IPPROTO_TCP, TCP_LINGER2, 60, -1, 120 },
	[OWN_DEFER_ACCEPT] = { IPPROTO_TCP, TCP_DEFER_ACCEPT, 0, 0,
			       INT32_MAX },
	[OWN_WINDOW_CLAMP] = { IPPROTO_TCP, TCP_WINDOW_CLAMP, 0, 0, INT32_MAX },
	[OWN_QUICKACK] = { IPPROTO_TCP, TCP_QUICKACK, 1, 0, 1 },
	[OWN_USER_TIMEOUT] = { IPPROTO_TCP, TCP_USER_TIMEOUT, 0, 0, INT32_MAX },
	[OWN_NOTSENT_LOWAT] = { IPPROTO_TCP, TCP_NOTSENT_LOWAT, -1, INT32_MIN,
				INT32_MAX },
	[OWN_MAXSEG] = { IPPROTO_TCP, TCP_MAXSEG, 536, 88, 32767 },
	[OWN_CC] = { IPPROTO_TCP, TCP_CONGESTION, TCP_CC_CUBIC, 0, 0 },
	[OWN_TOS] = { IPPROTO_IP, IP_TOS, 0, 0, 255 },
	[OWN_TTL] = { IPPROTO_IP, IP_TTL, 64, -1, 255 },
	[OWN_MTU_DISCOVER] = { IPPROTO_IP, IP_MTU_DISCOVER, 1, 0, 5 },
	[OWN_NO_PORT] = { IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 0, 0, 1 },
	[OWN_V6ONLY] = { IPPROTO_IPV6, IPV6_V6ONLY, 0, 0, 1 },
	[OWN_HOPS] = { IPPROTO_IPV6, IPV6_UNICAST_HOPS, 64, -1, 255 },
	[OWN_TCLASS] = { IPPROTO_IPV6, IPV6_TCLASS, 0, -1, 255 },
	[OWN_MTU_DISCOVER6] = { IPPROTO_IPV6, IPV6_MTU_DISCOVER, 1, 0, 5 },
};

static const char *const own_cc_names[TCP_CC_KINDS] = {
	[TCP_CC_CUBIC] = "cubic",
	[TCP_CC_NEWRENO] = "reno",
};

void own_options_init(struct own_stream *st)
{
	unsigned i;

	for (i = 0; i < OWN_VALUES; i++)
		st->values[i] = own_options[i].start;
}

static int option_find(unsigned level, unsigned name)
{
	int i;

	for (i = 0; i < OWN_VALUES; i++)
		if (own_options[i].level == level &&
		    own_options[i].name == name)
			return i;
	return -ENOPROTOOPT;
}

/* What TCP has to know of a number, while there is a connection. */
static void option_apply(struct own_stream *st, unsigned which)
{
	/* seconds or milliseconds to microseconds */
	static const struct { uint8_t option; uint32_t scale; }
	tcp[OWN_VALUES] = {
		[OWN_REUSEADDR] = { TCP_OPTION_REUSE_ADDR, 1 },
		[OWN_REUSEPORT] = { TCP_OPTION_REUSE_PORT, 1 },
		[OWN_NODELAY] = { TCP_OPTION_NODELAY, 1 },
		[OWN_CORK] = { TCP_OPTION_CORK, 1 },
		[OWN_KEEPALIVE] = { TCP_OPTION_KEEPALIVE, 1 },
		[OWN_KEEPIDLE] = { TCP_OPTION_KEEP_IDLE, 1000000 },
		[OWN_KEEPINTVL] = { TCP_OPTION_KEEP_INTERVAL, 1000000 },
		[OWN_KEEPCNT] = { TCP_OPTION_KEEP_COUNT, 1 },
		[OWN_CC] = { TCP_OPTION_CC, 1 },
		[OWN_RCVBUF] = { TCP_OPTION_RECV_BYTES, 1 },
		[OWN_USER_TIMEOUT] = { TCP_OPTION_USER_TIMEOUT, 1000 },
	};
	struct own *o = own_of(st->s.device);

	if (!st->conn || !tcp[which].scale)
		return;
	tcp_set_option(o->tcp, st->conn->id,
		       (enum tcp_option)tcp[which].option,
		       (uint64_t)st->values[which] * tcp[which].scale,
		       o->device.now_us);
}

void own_options_apply(struct own_stream *st)
{
	unsigned i;

	for (i = 0; i < OWN_VALUES; i++)
		if (st->values[i] != own_options[i].start)
			option_apply(st, i);
}

void own_options_inherit(const struct own_stream *from, int conn)
{
	struct own *o = own_of(from->s.device);

	tcp_set_option(o->tcp, conn, TCP_OPTION_REUSE_ADDR,
		       (uint64_t)from->values[OWN_REUSEADDR],
		       o->device.now_us);
	tcp_set_option(o->tcp, conn, TCP_OPTION_REUSE_PORT,
		       (uint64_t)from->values[OWN_REUSEPORT],
		       o->device.now_us);
}

/* -- SETOPT ---------------------------------------------------------------- */

static int set_linger(struct own_stream *st, const struct vtoe_option *option)
{
	struct linger l;

	if (option->length < sizeof(l))
		return -EINVAL;
	memcpy(&l, option->value, sizeof(l));
	st->abort_close = l.l_onoff && !l.l_linger;
	st->s.linger = 0;
	if (l.l_onoff && l.l_linger) /* a negative time is for ever */
		st->s.linger = (int16_t)(l.l_linger < 0 ||
					 l.l_linger > LINGER_MAX ?
					 LINGER_MAX : l.l_linger);
	return 0;
}

static int set_cc(struct own_stream *st, const struct vtoe_option *option)
{
	uint32_t n = option->length, i;

	for (i = 0; i < TCP_CC_KINDS; i++) {
		size_t have = strlen(own_cc_names[i]);

		if (n >= have && !memcmp(option->value, own_cc_names[i], have) &&
		    (n == have || !option->value[have])) {
			st->values[OWN_CC] = (int32_t)i;
			option_apply(st, OWN_CC);
			return 0;
		}
	}
	return -ENOENT;
}

static int32_t clamp(int64_t v, int32_t least, int32_t most)
{
	return (int32_t)(v < least ? least : v > most ? most : v);
}

/* Those of 0 and 1 take any number; buffers are doubled and clamped, as Linux
 * does; others are refused beyond their limits. */
static int set_number(struct own_stream *st, int which, int32_t v)
{
	const struct own_option *o = &own_options[which];

	if (o->least == 0 && o->most == 1)
		v = v != 0;
	else if (which == OWN_RCVBUF || which == OWN_SNDBUF)
		v = clamp(2ll * v, o->least, o->most);
	else if (which == OWN_RCVLOWAT)
		v = clamp(v < 0 ? INT32_MAX : v, o->least, o->most);
	if (v < o->least || v > o->most)
		return -EINVAL;
	st->values[which] = v;
	option_apply(st, (unsigned)which);
	return 0;
}

int toe_setopt(struct lane *lane, struct stream *s, const struct vtoe_sqe *sqe,
	       struct vtoe_cqe *cqe)
{
	const struct vtoe_option *option = &sqe->u.option;
	struct own_stream *st = own_stream_of(s);
	int32_t v = 0;
	int which;

	(void)lane;
	(void)cqe;
	if (option->length > sizeof(option->value))
		return -EINVAL;
	if (option->level == SOL_SOCKET && option->name == SO_LINGER)
		return set_linger(st, option);
	which = option_find(option->level, option->name);
	if (which < 0)
		return which;
	if (which == OWN_CC)
		return set_cc(st, option);
	/* Linux takes a byte for the options of IP */
	if (option->length < sizeof(v) &&
	    !(option->level == IPPROTO_IP && option->length))
		return -EINVAL;
	memcpy(&v, option->value,
	       option->length < sizeof(v) ? 1 : sizeof(v));
	return set_number(st, which, v);
}

/* -- GETOPT ---------------------------------------------------------------- */

/* Linux's numbers of the states. */
static uint8_t info_state(const struct own_stream *st,
			  const struct tcp_status *status)
{
	static const uint8_t states[] = {
		[TCP_ST_CLOSED] = 7, [TCP_ST_SYN_SENT] = 2,
		[TCP_ST_SYN_RECEIVED] = 3, [TCP_ST_ESTABLISHED] = 1,
		[TCP_ST_FIN_WAIT_1] = 4, [TCP_ST_FIN_WAIT_2] = 5,
		[TCP_ST_CLOSE_WAIT] = 8, [TCP_ST_CLOSING] = 11,
		[TCP_ST_LAST_ACK] = 9, [TCP_ST_TIME_WAIT] = 6,
	};

	if (st->s.state == STREAM_LISTENING)
		return 10;
	return st->conn ? states[status->state] : 7;
}

static int get_info(struct own_stream *st, void *value, uint32_t room)
{
	struct own *o = own_of(st->s.device);
	struct tcp_status t = { .state = TCP_ST_CLOSED };
	struct tcp_info info = { 0 };

	if (st->conn && tcp_get_status(o->tcp, st->conn->id, &t))
		t.state = TCP_ST_CLOSED;
	info.tcpi_state = info_state(st, &t);
	info.tcpi_options = (t.timestamps ? TCPI_OPT_TIMESTAMPS : 0) |
			    (t.sack ? TCPI_OPT_SACK : 0) |
			    (t.ecn ? TCPI_OPT_ECN : 0);
	info.tcpi_rto = (uint32_t)t.rto;
	info.tcpi_snd_mss = info.tcpi_rcv_mss = info.tcpi_advmss = t.mss;
	info.tcpi_rtt = (uint32_t)t.srtt;
	info.tcpi_snd_ssthresh = t.mss ? t.ssthresh / t.mss : 0;
	info.tcpi_snd_cwnd = t.mss ? t.cwnd / t.mss : 0;
	info.tcpi_unacked = t.mss ? (t.in_flight + t.mss - 1) / t.mss : 0;
	info.tcpi_total_retrans = (uint32_t)t.retransmits;
	info.tcpi_bytes_acked = t.acked;
	info.tcpi_bytes_received = t.received;
	info.tcpi_notsent_bytes = (uint32_t)(t.queued - t.acked - t.in_flight);
	info.tcpi_snd_wnd = t.peer_window;
	if (st->s.state == STREAM_LISTENING) { /* as Linux has it */
		info.tcpi_unacked = st->backlog_count;
		info.tcpi_sacked = st->backlog_max;
	}
	if (room > sizeof(info))
		room = sizeof(info);
	memcpy(value, &info, room);
	return (int)room;
}

static int take_error(struct own_stream *st)
{
	int error = st->error;

	st->error = 0;
	if (!error && st->conn)
		error = -own_conn_take_error(st->conn);
	return error;
}

/* Numbers that are not kept; -ENOPROTOOPT. */
static int get_computed(struct own_stream *st, const struct vtoe_option *option,
			int32_t *v)
{
	if (option->level != SOL_SOCKET)
		return -ENOPROTOOPT;
	switch (option->name) {
	case SO_TYPE:
		*v = SOCK_STREAM;
		return 0;
	case SO_DOMAIN:
		*v = st->s.family == VTOE_AF_INET ? AF_INET : AF_INET6;
		return 0;
	case SO_PROTOCOL:
		*v = IPPROTO_TCP;
		return 0;
	case SO_ACCEPTCONN:
		*v = st->s.state == STREAM_LISTENING;
		return 0;
	case SO_ERROR:
		*v = take_error(st);
		return 0;
	case SO_INCOMING_NAPI_ID:
		*v = 0;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

/* The path's, of a connection. */
static int get_path(struct own_stream *st, const struct vtoe_option *option,
		    int32_t *v)
{
	struct own *o = own_of(st->s.device);
	struct tcp_status t;

	if (!st->conn || tcp_get_status(o->tcp, st->conn->id, &t))
		return -ENOTCONN;
	if (option->level == IPPROTO_TCP && option->name == TCP_MAXSEG) {
		*v = (int32_t)t.mss;
		return 0;
	}
	if ((option->level == IPPROTO_IP && option->name == IP_MTU) ||
	    (option->level == IPPROTO_IPV6 && option->name == IPV6_MTU)) {
		*v = (int32_t)st->conn->claim->mtu;
		return 0;
	}
	return -ENOPROTOOPT;
}

static bool is_mtu(const struct vtoe_option *option)
{
	return (option->level == IPPROTO_IP && option->name == IP_MTU) ||
	       (option->level == IPPROTO_IPV6 && option->name == IPV6_MTU);
}

/* -> bytes of the value */
static int get_option(struct own_stream *st, const struct vtoe_option *option,
		      void *value, uint32_t room)
{
	const struct linger l = {
		.l_onoff = st->s.linger || st->abort_close,
		.l_linger = st->s.linger,
	};
	int which = option_find(option->level, option->name);
	const void *from = &l;
	uint32_t n = sizeof(l);
	char cc[16] = "";
	int32_t v = 0;
	int rc = 0;

	if (option->level == IPPROTO_TCP && option->name == TCP_INFO)
		return get_info(st, value, room);
	if (which == OWN_CC) {
		memcpy(cc, own_cc_names[st->values[OWN_CC]],
		       strlen(own_cc_names[st->values[OWN_CC]]));
		from = cc;
		n = sizeof(cc);
	} else if (option->level != SOL_SOCKET || option->name != SO_LINGER) {
		from = &v;
		n = sizeof(v);
		if (is_mtu(option) || (which == OWN_MAXSEG && st->conn))
			rc = get_path(st, option, &v);
		else if (which >= 0)
			v = st->values[which];
		else
			rc = get_computed(st, option, &v);
	}
	if (rc)
		return rc;
	if (n > room)
		n = room;
	memcpy(value, from, n);
	return (int)n;
}

int toe_getopt(struct lane *lane, struct stream *s, const struct vtoe_sqe *sqe,
	       struct vtoe_cqe *cqe)
{
	uint8_t value[TOE_OPTION_MAX];
	int n;

	n = get_option(own_stream_of(s), &sqe->u.option, value,
		       toe_option_wanted(sqe));
	if (n < 0)
		return n;
	return toe_option_answer(lane, sqe, cqe, value, (uint32_t)n);
}
