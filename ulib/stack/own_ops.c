/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * own_ops.c - OPEN, BIND, LISTEN, CONNECT, SHUTDOWN, GETNAME
 *
 * A port is the wire's to give, which takes a moment: BIND, and what comes behind
 * it in the same batch (LISTEN, CONNECT, GETNAME), wait on the stream's `others`
 * until it has answered. A stream of IPv6 that is bound to any address listens for
 * IPv4 too, so it uses two ports of the same number.
 *
 * CONNECT claims its one connection, which also tells the local address and the
 * path's MTU; then TCP begins. A stream that is bound has its port's claim, one
 * that connects to ourselves one that the wire does not know of.
 */
#include "stack/own.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int toe_open(struct lane *lane, struct stream *unused,
	     const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe)
{
	struct own_stream *st;
	int rc;

	(void)unused;
	lane->last_stream = VTOE_STREAM_NONE;
	if (sqe->u.address.family != VTOE_AF_INET &&
	    (sqe->u.address.family != VTOE_AF_INET6 ||
	     !(lane->conn->features & VTOE_F_IPV6)))
		return -EAFNOSUPPORT;
	st = own_stream_new(lane, sqe->u.address.family, &rc);
	if (!st)
		return rc;
	lane->last_stream = st->s.id;
	cqe->stream = st->s.id;
	return 0;
}

/* -- ports ----------------------------------------------------------------- */

/* Is its number known, with all that it was asked for? */
static bool bind_pending(const struct own_stream *st)
{
	return (st->use[0].claim &&
		st->use[0].claim->state == OWN_CLAIM_ASKED) ||
	       (st->use[1].claim &&
		st->use[1].claim->state == OWN_CLAIM_ASKED);
}

static void listen_end(struct own_use *use)
{
	struct own_claim *c = use->claim;

	list_del(&use->listen_node);
	if (c->listener && list_empty(&c->listening)) {
		int listener = c->listener, id;

		/* those that nobody accepted */
		c->listener = 0;
		while (tcp_unlisten(c->own->tcp, listener) == -EBUSY &&
		       (id = tcp_accept(c->own->tcp, listener)) > 0) {
			struct own_conn *conn = own_conn_new(c, id);

			if (conn)
				own_conn_leave(conn, true);
		}
	}
}

static void use_end(struct own_use *use)
{
	struct own_claim *c = use->claim;

	if (!c)
		return;
	list_del(&use->node);
	listen_end(use);
	use->claim = NULL;
	own_claim_put(c, false);
}

static void backlog_end(struct own_stream *st)
{
	while (!list_empty(&st->backlog)) {
		struct own_conn *c = list_entry(st->backlog.next,
						struct own_conn,
						backlog_node);

		st->backlog_count--;
		own_conn_leave(c, true);
	}
}

void own_unbind(struct own_stream *st)
{
	backlog_end(st);
	use_end(&st->use[0]);
	use_end(&st->use[1]);
}

/* May a stream share a port that another one has? As in Linux: with SO_REUSEPORT
 * on both, or with SO_REUSEADDR unless somebody listens there. */
static bool claim_shareable(const struct own_claim *c,
			    const struct own_stream *st)
{
	struct list *at;

	for (at = c->uses.next; at != &c->uses; at = at->next) {
		const struct own_use *use = list_entry(at, struct own_use,
						       node);
		const int32_t *v = use->stream->values;

		if (st->values[OWN_REUSEPORT] && v[OWN_REUSEPORT])
			continue;
		if (!st->values[OWN_REUSEADDR] || !v[OWN_REUSEADDR] ||
		    use->stream->listen_asked)
			return false;
	}
	return true;
}

static int use_begin(struct own_stream *st, struct own_use *use,
		     const struct vtoe_address *at)
{
	struct own *o = own_of(st->s.device);
	const struct wire_claim what = {
		.address = *at,
		.flags = VTOE_CLAIM_PORT,
	};
	struct own_claim *c = own_claim_find(o, at->family, at->ip, at->port);

	if (c && !memcmp(c->local.ip, at->ip, 16)) {
		if (!claim_shareable(c, st))
			return -EADDRINUSE;
		c->users++;
	} else if (c && !list_empty(&c->uses)) {
		return -EADDRINUSE;
	} else {
		c = own_claim_new(o, &what);
	}
	if (!c)
		return -EADDRNOTAVAIL;
	use->claim = c;
	use->stream = st;
	list_add_tail(&c->uses, &use->node);
	return 0;
}

static bool wants_both(const struct own_stream *st)
{
	return st->s.family == VTOE_AF_INET6 && !st->values[OWN_V6ONLY] &&
	       st->bound.family == VTOE_AF_INET6 &&
	       own_address_is_any(&st->bound);
}

/* IPv4's half of a port of both, now that its number is known. */
static int bind_second(struct own_stream *st)
{
	struct vtoe_address at = { .family = VTOE_AF_INET };

	if (!wants_both(st) || st->use[1].claim)
		return 0;
	at.port = st->use[0].claim->local.port;
	return use_begin(st, &st->use[1], &at);
}

/* Connections keep a port from those who would not share it, in TIME-WAIT too. */
static bool conns_share(const struct own_stream *st,
			const struct vtoe_address *at)
{
	struct own *o = own_of(st->s.device);
	struct tcp_tuple t = {
		.family = (uint8_t)at->family,
		.local_port = at->port,
	};

	memcpy(t.local, at->ip, sizeof(t.local));
	return !at->port || tcp_may_share(o->tcp, &t,
					  st->values[OWN_REUSEADDR],
					  st->values[OWN_REUSEPORT]);
}

static int bind_begin(struct own_stream *st, const struct vtoe_address *at)
{
	struct vtoe_address both = { .family = VTOE_AF_INET };
	int rc;

	st->bound = *at;
	own_address_unmap(&st->bound);
	both.port = st->bound.port;
	if (!conns_share(st, &st->bound) ||
	    (wants_both(st) && !conns_share(st, &both))) {
		st->bound.family = 0;
		return -EADDRINUSE;
	}
	rc = use_begin(st, &st->use[0], &st->bound);
	if (!rc && st->use[0].claim->state == OWN_CLAIM_READY)
		rc = bind_second(st);
	if (rc) {
		own_unbind(st);
		st->bound.family = 0;
	}
	return rc;
}

static void bound_name(const struct own_stream *st, struct vtoe_address *out)
{
	memset(out, 0, sizeof(*out));
	out->family = st->s.family;
	if (!st->bound.family)
		return;
	*out = st->bound;
	if (st->use[0].claim && st->use[0].claim->state == OWN_CLAIM_READY)
		out->port = st->use[0].claim->local.port;
	if (st->s.family == VTOE_AF_INET6)
		own_address_map(out);
}

static int wait_for_port(struct lane *lane, struct stream *s,
			 const struct vtoe_sqe *sqe)
{
	struct request *r = request_new(lane, s, sqe);

	if (!r)
		return -EBUSY;
	list_add_tail(&s->others, &r->node);
	return TOE_ASYNC;
}

int toe_bind(struct lane *lane, struct stream *s, const struct vtoe_sqe *sqe,
	     struct vtoe_cqe *cqe)
{
	struct own_stream *st = own_stream_of(s);
	int rc;

	if (sqe->u.address.family != s->family)
		return -EAFNOSUPPORT;
	if (st->bound.family || st->conn || s->state != STREAM_OPEN)
		return -EINVAL;
	if (st->values[OWN_NO_PORT] && !sqe->u.address.port) {
		st->bound = sqe->u.address;
		own_address_unmap(&st->bound);
		bound_name(st, &cqe->u.address);
		return 0;
	}
	rc = bind_begin(st, &sqe->u.address);
	if (rc)
		return rc;
	if (bind_pending(st)) {
		rc = wait_for_port(lane, s, sqe);
		if (rc == -EBUSY) {
			own_unbind(st);
			st->bound.family = 0;
		}
		return rc;
	}
	bound_name(st, &cqe->u.address);
	return 0;
}

/* -- LISTEN ---------------------------------------------------------------- */

/* What waits for the program waits here; what a flood of SYNs may take of TCP's
 * connections is no matter of the program's wishes. */
enum { TCP_BACKLOG_MAX = 1024 };

static int listen_begin(struct own_stream *st)
{
	struct own *o = own_of(st->s.device);
	unsigned backlog = st->backlog_max < TCP_BACKLOG_MAX ?
				   st->backlog_max : TCP_BACKLOG_MAX;
	unsigned i;

	for (i = 0; i < 2; i++) {
		struct own_claim *c = st->use[i].claim;
		struct tcp_tuple at = { .zero = { 0 } };

		if (!c)
			continue;
		at.family = (uint8_t)c->local.family;
		at.local_port = c->local.port;
		memcpy(at.local, c->local.ip, sizeof(at.local));
		if (!c->listener) {
			int id = tcp_listen(o->tcp, &at, own_claim_mss(c),
					    backlog);

			if (id < 0) {
				listen_end(&st->use[0]);
				return id == -ENOSPC ? -ENOBUFS : id;
			}
			c->listener = id;
		}
		list_add_tail(&c->listening, &st->use[i].listen_node);
	}
	st->s.state = STREAM_LISTENING;
	return 0;
}

int toe_listen(struct lane *lane, struct stream *s, const struct vtoe_sqe *sqe,
	       struct vtoe_cqe *cqe)
{
	struct own_stream *st = own_stream_of(s);
	const struct vtoe_address any = { .family = s->family };
	uint32_t most = sqe->length > 4096 ? 4096 : sqe->length;
	int rc = 0;

	if (s->state != STREAM_LISTENING &&
	    (s->state != STREAM_OPEN || st->conn || st->listen_asked))
		return -EINVAL;
	st->backlog_max = most ? most : 1;
	if (s->state != STREAM_LISTENING) {
		if (!st->use[0].claim)
			rc = bind_begin(st, st->bound.family ? &st->bound :
							       &any);
		if (rc)
			return rc;
		st->listen_asked = true;
		if (bind_pending(st))
			rc = wait_for_port(lane, s, sqe);
		else
			rc = listen_begin(st);
		st->listen_asked = !rc || rc == TOE_ASYNC;
		if (rc == TOE_ASYNC)
			return rc;
	}
	bound_name(st, &cqe->u.address);
	return rc;
}

/* -- CONNECT --------------------------------------------------------------- */

enum { SELF_TRIES = 64 };

static struct request *other_of(struct stream *s, enum vtoe_op op)
{
	struct list *at;

	for (at = s->others.next; at != &s->others; at = at->next)
		if (list_entry(at, struct request, node)->sqe.op == op)
			return list_entry(at, struct request, node);
	return NULL;
}

void own_connect_done(struct own_stream *st, int result)
{
	struct vtoe_cqe cqe = { .result = result, .stream = st->s.id };
	struct request *r = other_of(&st->s, VTOE_OP_CONNECT);
	struct own_conn *c = st->conn;

	/* one that drains goes on doing so */
	if (st->s.state == STREAM_CONNECTING)
		st->s.state = result ? STREAM_OPEN : STREAM_CONNECTED;
	if (!result) {
		st->s.device->stats->connects++;
		own_address_of(c, 0, st->s.family, &cqe.u.address);
	} else if (c) {
		st->conn = NULL;
		own_conn_leave(c, true);
	}
	if (r)
		request_finish_cqe(r, &cqe);
	else if (result)
		st->error = -result; /* nobody waits: SO_ERROR tells */
}

/* TCP begins, with frames that come by this claim. -> 0 or -errno */
static int connect_tcp(struct own_stream *st, struct own_claim *c,
		       const struct vtoe_address *to)
{
	struct own *o = own_of(st->s.device);
	const struct wire *w = o->wire;
	struct tcp_tuple t = { .zero = { 0 } };
	int id;

	t.family = (uint8_t)c->local.family;
	memcpy(t.local, c->local.ip, sizeof(t.local));
	if (own_address_is_any(&c->local) && t.family == VTOE_AF_INET)
		memcpy(t.local, w->ipv4, sizeof(w->ipv4));
	else if (own_address_is_any(&c->local))
		memcpy(t.local, w->ipv6, sizeof(w->ipv6));
	memcpy(t.remote, to->ip, sizeof(t.remote));
	t.local_port = c->local.port;
	t.remote_port = to->port;
	id = tcp_connect(o->tcp, &t, own_claim_mss(c), o->device.now_us);
	if (id < 0)
		return id == -EADDRINUSE ? -EADDRNOTAVAIL : id;
	st->conn = own_conn_new(c, id);
	if (!st->conn) {
		tcp_free(o->tcp, id, o->device.now_us);
		return -ENOMEM;
	}
	st->conn->stream = st;
	own_options_apply(st);
	return 0;
}

/* To ourselves: there is nothing to ask the wire for. */
static void connect_self(struct own_stream *st, const struct wire_claim *what)
{
	int rc = -EADDRNOTAVAIL;
	unsigned i;

	/* a port that is free may have a connection in TIME-WAIT */
	for (i = 0; i < SELF_TRIES && rc == -EADDRNOTAVAIL; i++) {
		struct own_claim *c = own_claim_new_self(
			own_of(st->s.device), what);

		if (!c)
			break;
		rc = connect_tcp(st, c, &what->address);
		own_claim_put(c, false); /* the connection has it now */
	}
	if (rc)
		own_connect_done(st, rc);
}

/* By the port that the stream is bound to, or by a claim of this connection. */
static void connect_begin(struct own_stream *st, const struct request *r)
{
	struct own *o = own_of(st->s.device);
	struct wire_claim what = { .address = r->sqe.u.address };
	unsigned i;
	int rc;

	own_address_unmap(&what.address);
	for (i = 0; i < 2; i++) {
		struct own_claim *c = st->use[i].claim;

		if (!c || c->local.family != what.address.family)
			continue;
		rc = connect_tcp(st, c, &what.address);
		if (rc)
			own_connect_done(st, rc);
		return;
	}
	if (own_local_is(o, what.address.family, what.address.ip)) {
		connect_self(st, &what);
		return;
	}
	st->claim = own_claim_new(o, &what);
	if (st->claim)
		st->claim->connecting = st;
	else
		own_connect_done(st, -EADDRNOTAVAIL);
}

void own_connect_answered(struct own_stream *st, int result)
{
	struct own_claim *c = st->claim;

	c->connecting = NULL;
	st->claim = NULL;
	if (!result)
		result = connect_tcp(st, c, &c->what.address);
	own_claim_put(c, false); /* the connection has it now */
	if (!result)
		return;
	stream_op_begin(&st->s);
	own_connect_done(st, result);
	own_stream_progress(st); /* what waited for it has an answer too */
	stream_op_end(&st->s);
}

int toe_connect(struct lane *lane, struct stream *s,
		const struct vtoe_sqe *sqe, struct vtoe_cqe *cqe)
{
	struct own_stream *st = own_stream_of(s);
	struct request *r;

	(void)cqe;
	if (s->state == STREAM_CONNECTING)
		return -EALREADY;
	if (s->state != STREAM_OPEN || st->conn)
		return -EISCONN;
	if (sqe->u.address.family == VTOE_AF_UNSPEC)
		return 0;
	if (sqe->u.address.family != s->family)
		return -EAFNOSUPPORT;
	if (!sqe->u.address.port)
		return -ECONNREFUSED;
	r = request_new(lane, s, sqe);
	if (!r)
		return -EBUSY;
	list_add_tail(&s->others, &r->node);
	s->state = STREAM_CONNECTING;
	if (!bind_pending(st))
		connect_begin(st, r);
	return TOE_ASYNC;
}

/* -- the port is there, or not --------------------------------------------- */

static void port_failed(struct own_stream *st, int result)
{
	struct list *at, *tmp;

	own_unbind(st);
	st->bound.family = 0;
	st->listen_asked = false;
	if (st->s.state == STREAM_CONNECTING)
		own_connect_done(st, result);
	list_for_each_safe(at, tmp, &st->s.others) {
		struct request *r = list_entry(at, struct request, node);

		if (r->sqe.op == VTOE_OP_BIND || r->sqe.op == VTOE_OP_LISTEN ||
		    r->sqe.op == VTOE_OP_GETNAME)
			request_finish(r, result, 0);
	}
	list_for_each_safe(at, tmp, &st->s.accepts)
		request_finish(list_entry(at, struct request, node), -EINVAL,
			       0);
}

static void port_ready(struct own_stream *st)
{
	struct vtoe_cqe cqe = { .stream = st->s.id };
	struct list *at, *tmp;

	bound_name(st, &cqe.u.address);
	list_for_each_safe(at, tmp, &st->s.others) {
		struct request *r = list_entry(at, struct request, node);
		struct vtoe_cqe told = cqe;

		if (r->sqe.op == VTOE_OP_CONNECT)
			connect_begin(st, r);
		if (r->sqe.op == VTOE_OP_LISTEN) {
			told.result = listen_begin(st);
			st->listen_asked = !told.result;
		}
		if (r->sqe.op == VTOE_OP_LISTEN || r->sqe.op == VTOE_OP_BIND ||
		    r->sqe.op == VTOE_OP_GETNAME)
			request_finish_cqe(r, &told);
	}
	own_poll_wake(st);
}

void own_port_answered(struct own_use *use, int result)
{
	struct own_stream *st = use->stream;

	stream_op_begin(&st->s);
	if (!result && use == &st->use[0])
		result = bind_second(st);
	if (result)
		port_failed(st, result);
	else if (!bind_pending(st))
		port_ready(st);
	own_stream_progress(st);
	stream_op_end(&st->s);
}

/* -- the rest -------------------------------------------------------------- */

int toe_getname(struct lane *lane, struct stream *s, const struct vtoe_sqe *sqe,
		struct vtoe_cqe *cqe)
{
	struct own_stream *st = own_stream_of(s);

	if (sqe->length > 1)
		return -EINVAL;
	if (sqe->length == 1 && (!st->conn || !st->conn->connected ||
				 s->state != STREAM_CONNECTED))
		return -ENOTCONN;
	if (st->conn) {
		own_address_of(st->conn, sqe->length, s->family,
			       &cqe->u.address);
		return 0;
	}
	if (bind_pending(st))
		return wait_for_port(lane, s, sqe);
	bound_name(st, &cqe->u.address);
	return 0;
}
