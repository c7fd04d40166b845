/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tto_claim.c - which flows are whose
 *
 * A claim is in three places: here; as a socket that is bound to its local port,
 * so that no stream and no other claim gets it (and no connection of the kernel
 * is reset, or resets); and in the supervisor's map, by which the XDP program
 * steers. The map outlives the worker, with the number that the guest gave as
 * secret. So a new worker finds there what its predecessor had, binds the ports
 * again, and keeps all of it, without a lane, until the guests have claimed it
 * again, or VTOE_CLAIM_SECONDS are over (B9).
 *
 * The entry of a port, of IPv4 or of IPv6, is for all addresses, and so is its
 * socket. Claims of several addresses that have the same secret share it. What a
 * dead worker had there is one claim, of any address.
 */
#include "path/tto_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nic/ip.h"

#define INDEX_BITS 20u
#define INDEX_MASK ((1u << INDEX_BITS) - 1)

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

/* -- addresses ------------------------------------------------------------- */

/* Both forms of an address, bits that mean nothing left out. */
static struct vtoe_address clean(const struct vtoe_address *a)
{
	struct vtoe_address to = { .family = a->family, .port = a->port };

	memcpy(to.ip, a->ip, tto_ip_bytes(a->family));
	if (a->family == VTOE_AF_INET6)
		to.scope = a->scope;
	return to;
}

static bool same_ip(const struct vtoe_address *a, const struct vtoe_address *b)
{
	return a->family == b->family && !memcmp(a->ip, b->ip, sizeof(a->ip));
}

static bool is_any(const struct vtoe_address *a)
{
	static const uint8_t none[16];

	return !memcmp(a->ip, none, sizeof(none));
}

static void to_map(uint8_t to[16], const struct vtoe_address *a)
{
	if (a->family == VTOE_AF_INET6) {
		memcpy(to, a->ip, 16);
		return;
	}
	memcpy(to, mapped, sizeof(mapped));
	memcpy(to + 12, a->ip, 4);
}

static void from_map(struct vtoe_address *a, const uint8_t from[16],
		     uint16_t port)
{
	memset(a, 0, sizeof(*a));
	a->port = bytes_get16((const uint8_t *)&port);
	a->family = VTOE_AF_INET6;
	memcpy(a->ip, from, 16);
	if (memcmp(from, mapped, sizeof(mapped)))
		return;
	a->family = VTOE_AF_INET;
	memset(a->ip, 0, sizeof(a->ip));
	memcpy(a->ip, from + 12, 4);
}

static void name_port_for_map(struct steer_claim *s, unsigned family,
			      uint16_t port)
{
	memset(s, 0, sizeof(*s));
	bytes_put16((uint8_t *)&s->local_port, port);
	s->family = family == VTOE_AF_INET6 ? 6 : 4;
}

static void name_for_map(struct claim *c)
{
	name_port_for_map(&c->steer, c->local.family, c->local.port);
	if (c->port)
		return;
	c->steer.family = 0;
	to_map(c->steer.local, &c->local);
	to_map(c->steer.remote, &c->remote);
	bytes_put16((uint8_t *)&c->steer.remote_port, c->remote.port);
}

/* -- the tables ------------------------------------------------------------ */

static struct tto_port *port_of_number(struct tto *t, unsigned family,
				       uint16_t port)
{
	return &t->ports[family == VTOE_AF_INET6][port];
}

int tto_claims_init(struct tto *t)
{
	uint32_t n = t->device->limits.streams;

	t->claim_max = n < INDEX_MASK ? n : INDEX_MASK;
	for (t->bucket_count = 64; t->bucket_count < t->claim_max;)
		t->bucket_count *= 2;
	t->claims = calloc(t->claim_max + 1, sizeof(*t->claims));
	t->generation = calloc(t->claim_max + 1, sizeof(*t->generation));
	t->buckets = calloc(t->bucket_count, sizeof(*t->buckets));
	t->ports = calloc(2, sizeof(*t->ports));
	t->claim_hint = 1;
	return t->claims && t->generation && t->buckets && t->ports ? 0 :
								      -ENOMEM;
}

static void ports_close(struct tto *t, unsigned family)
{
	uint32_t i;

	for (i = 0; i < TTO_PORTS; i++) {
		struct tto_port *p = port_of_number(t, family, (uint16_t)i);

		if (p->socket)
			close(p->socket - 1);
	}
}

/* With the sockets; what is in the map stays. */
void tto_claims_free(struct tto *t)
{
	uint32_t i;

	for (i = 1; t->claims && i <= t->claim_max; i++) {
		if (t->claims[i] && t->claims[i]->fd >= 0)
			close(t->claims[i]->fd);
		free(t->claims[i]);
	}
	if (t->ports) {
		ports_close(t, VTOE_AF_INET);
		ports_close(t, VTOE_AF_INET6);
	}
	free(t->claims);
	free(t->generation);
	free(t->buckets);
	free(t->ports);
}

static struct claim **claim_chain(struct tto *t, const struct claim *c)
{
	uint64_t hash;

	if (c->port)
		return &port_of_number(t, c->local.family, c->local.port)->claims;
	hash = flow_key_hash(&c->key, t->aggregator.config.secret);
	return &t->buckets[hash & (t->bucket_count - 1)];
}

static void name_key(struct claim *c)
{
	struct flow_tuple tuple = {
		.version = c->local.family == VTOE_AF_INET6 ? FLOW_IPV6 :
							      FLOW_IPV4,
		.source_port = c->remote.port,
		.destination_port = c->local.port,
	};

	memcpy(tuple.source, c->remote.ip, 16);
	memcpy(tuple.destination, c->local.ip, 16);
	flow_key_make(&c->key, &tuple);
}

/* Finds it an index, and a place in the tables. */
static int claim_add(struct tto *t, struct claim *c)
{
	struct claim **chain;
	uint32_t i, n;

	if (t->claim_count == t->claim_max)
		return -EMFILE;
	for (n = 0, i = t->claim_hint; t->claims[i] && n < t->claim_max; n++)
		i = i % t->claim_max + 1;
	t->claim_hint = i % t->claim_max + 1;
	t->claims[i] = c;
	t->claim_count++;
	t->device->stats->tto_claims++;
	c->id = (uint32_t)++t->generation[i] << INDEX_BITS | i;
	if (!c->port)
		name_key(c);
	chain = claim_chain(t, c);
	c->next = *chain;
	*chain = c;
	return 0;
}

static void claim_remove(struct tto *t, struct claim *c)
{
	struct claim **link = claim_chain(t, c);

	while (*link != c)
		link = &(*link)->next;
	*link = c->next;
	t->claims[c->id & INDEX_MASK] = NULL;
	t->claim_count--;
	t->device->stats->tto_claims--;
}

static struct claim *claim_new(const struct vtoe_address *local,
			       const struct vtoe_address *remote, bool port)
{
	struct claim *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	list_init(&c->lane_node);
	c->fd = -1;
	c->port = port;
	c->local = *local;
	if (!port)
		c->remote = *remote;
	return c;
}

/* When the last claim of a port has gone. */
static void port_release(struct tto *t, unsigned family, uint16_t number)
{
	struct tto_port *p = port_of_number(t, family, number);
	struct steer_claim key;

	if (p->claims)
		return;
	name_port_for_map(&key, family, number);
	(void)steer_unclaim(t->config.claims, &key);
	if (p->socket)
		close(p->socket - 1);
	p->socket = 0;
}

/* A place less in the tables, and nothing else. */
static void claim_forget(struct tto *t, struct claim *c)
{
	if (c->lane) {
		tto_held_drop(t, c->lane->frames, c);
		c->lane->conn->claim_count--;
	} else {
		t->orphans--;
	}
	list_del(&c->lane_node);
	claim_remove(t, c);
}

void tto_claim_free(struct tto *t, struct claim *c)
{
	claim_forget(t, c);
	if (c->port)
		port_release(t, c->local.family, c->local.port);
	else
		(void)steer_unclaim(t->config.claims, &c->steer);
	if (c->fd >= 0)
		close(c->fd);
	free(c);
}

/* -- looking up ------------------------------------------------------------ */

struct claim *tto_claim_named(const struct tto *t, uint32_t id)
{
	uint32_t i = id & INDEX_MASK;

	if (!i || i > t->claim_max || !t->claims[i] || t->claims[i]->id != id)
		return NULL;
	return t->claims[i];
}

int tto_claim_find(struct lane *lane, uint32_t id, struct claim **claim)
{
	*claim = tto_claim_named(lane->conn->device->tto, id);
	return *claim && (*claim)->lane == lane ? 0 : -EBADF;
}

static bool port_takes(const struct claim *c, const struct flow_tuple *tuple)
{
	return is_any(&c->local) ||
	       !memcmp(c->local.ip, tuple->destination, sizeof(c->local.ip));
}

struct claim *tto_claim_of(struct tto *t, const struct flow_tuple *tuple)
{
	struct flow_key key;
	struct claim *c;
	uint64_t hash;

	flow_key_make(&key, tuple);
	hash = flow_key_hash(&key, t->aggregator.config.secret);
	for (c = t->buckets[hash & (t->bucket_count - 1)]; c; c = c->next)
		if (flow_key_is(&c->key, &key))
			return c;
	c = port_of_number(t, tuple->version == FLOW_IPV6 ? VTOE_AF_INET6 :
							    VTOE_AF_INET,
			   tuple->destination_port)->claims;
	for (; c; c = c->next)
		if (port_takes(c, tuple))
			return c;
	return NULL;
}

/* -- ports ----------------------------------------------------------------- */

/* Binds a port of all addresses; *port 0: a free one. -> descriptor, -errno */
static int port_socket(unsigned family, uint16_t *port)
{
	struct vtoe_address at = { .family = (vtoe_u16)family, .port = *port };
	int on = 1, rc = 0, fd = socket_open(family);

	if (fd < 0)
		return fd;
	/* the same port of IPv4 is another */
	if (family == VTOE_AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)))
		rc = -errno;
	if (!rc)
		rc = socket_bind(fd, &at, family);
	if (!rc)
		rc = socket_name(fd, 0, &at);
	if (rc) {
		close(fd);
		return rc;
	}
	*port = at.port;
	return fd;
}

/* Makes a port ours that is nobody's yet. */
static int port_take(struct tto *t, unsigned family, uint16_t *port)
{
	int fd = port_socket(family, port);

	if (fd < 0)
		return fd;
	port_of_number(t, family, *port)->socket = fd + 1;
	return 0;
}

/* May the port have this claim, too? What a dead worker left there ends. */
static int port_share(struct tto *t, const struct claim *want)
{
	struct claim *c = *claim_chain(t, want), *next;

	for (; c; c = next) {
		next = c->next;
		if (c->secret != want->secret ||
		    (c->lane && same_ip(&c->local, &want->local)))
			return -EADDRINUSE;
		if (c->lane)
			continue;
		claim_forget(t, c);
		free(c);
	}
	return 0;
}

/* -- connections ------------------------------------------------------------ */

/* Binds its port: at 0, to a free one. */
static int connection_bind(struct claim *c)
{
	struct vtoe_address name;
	int fd = socket_open(c->local.family), rc;

	if (fd < 0)
		return fd;
	rc = socket_bind(fd, &c->local, c->local.family);
	if (!rc)
		rc = socket_name(fd, 0, &name);
	if (rc) {
		close(fd);
		return rc;
	}
	c->fd = fd;
	c->local.port = name.port;
	return 0;
}

/* -- claims of a worker that died ------------------------------------------ */

static void orphan_add(struct tto *t, const struct steer_claim *s,
		       uint64_t secret)
{
	static const uint8_t none[16];
	struct vtoe_address local, remote;
	bool port = !memcmp(s->remote, none, 16) && !s->remote_port;
	struct claim *c;

	from_map(&local, s->local, s->local_port);
	from_map(&remote, s->remote, s->remote_port);
	if (port)
		local.family = s->family == 6 ? VTOE_AF_INET6 : VTOE_AF_INET;
	c = claim_new(&local, &remote, port);
	if (!c)
		return;
	c->steer = *s;
	c->secret = secret;
	/* if the port is not free, it is tried again when the guest asks */
	if (!port)
		(void)connection_bind(c);
	else
		(void)port_take(t, local.family, &c->local.port);
	if (claim_add(t, c)) {
		if (c->fd >= 0)
			close(c->fd);
		free(c);
		return;
	}
	t->orphans++;
}

void tto_claims_find(struct tto *t)
{
	struct steer_claim s = { .vlan = 0 };
	uint64_t secret;
	uint32_t n;

	for (n = 0; n < t->claim_max &&
		    !steer_next(t->config.claims, &s, &secret); n++)
		orphan_add(t, &s, secret);
	if (t->orphans)
		device_set_timer(t->device);
}

bool tto_claims_tick(struct tto *t)
{
	uint32_t i;

	for (i = 1; t->orphans && i <= t->claim_max; i++) {
		struct claim *c = t->claims[i];

		if (!c || c->lane)
			continue;
		/* the time begins with the worker's first turns */
		if (!c->deadline)
			c->deadline = t->device->now +
				      VTOE_CLAIM_SECONDS * 1000;
		else if (c->deadline <= t->device->now)
			tto_claim_free(t, c);
	}
	return t->orphans != 0;
}

/* -- requests -------------------------------------------------------------- */

static void claim_join(struct lane *lane, struct claim *c)
{
	c->lane = lane;
	list_add_tail(&lane->frames->claims, &c->lane_node);
	lane->conn->claim_count++;
}

/* The connection's claim by another number, of a worker that died or not: *c
 * is that one then. -> 0, -ENOENT, -EADDRINUSE */
static int connection_again(struct tto *t, struct lane *lane, struct claim **c)
{
	struct claim *of = *claim_chain(t, *c);

	while (of && !flow_key_is(&of->key, &(*c)->key))
		of = of->next;
	if (!of)
		return -ENOENT;
	if (of->lane || of->secret != (*c)->secret ||
	    (of->fd < 0 && connection_bind(of)))
		return -EADDRINUSE;
	of->user_data = (*c)->user_data;
	free(*c);
	*c = of;
	t->orphans--;
	claim_join(lane, of);
	return 0;
}

/* What is made is in *c, and to be freed if that fails. */
static int claim_connection(struct tto *t, struct lane *lane, struct claim **c)
{
	int rc = -ENOENT;

	name_key(*c);
	if ((*c)->local.port)
		rc = connection_again(t, lane, c);
	if (rc != -ENOENT)
		return rc;
	rc = connection_bind(*c);
	if (rc)
		return rc;
	name_for_map(*c);
	rc = steer_claim(t->config.claims, &(*c)->steer, (*c)->secret);
	if (rc)
		return rc == -EEXIST ? -EADDRINUSE : rc;
	rc = claim_add(t, *c);
	if (rc)
		(void)steer_unclaim(t->config.claims, &(*c)->steer);
	else
		claim_join(lane, *c);
	return rc;
}

static int claim_port(struct tto *t, struct lane *lane, struct claim *c)
{
	unsigned family = c->local.family;
	int rc = c->local.port ? port_share(t, c) : 0;

	if (!rc && !port_of_number(t, family, c->local.port)->socket)
		rc = port_take(t, family, &c->local.port);
	if (!rc) {
		name_for_map(c);
		rc = steer_claim(t->config.claims, &c->steer, c->secret);
	}
	/* there already: shared, or taken over, with the same secret */
	if (!rc || rc == -EEXIST)
		rc = claim_add(t, c);
	if (rc)
		port_release(t, family, c->local.port);
	else
		claim_join(lane, c);
	return rc;
}

/* The claim is complete but for its port. On failure it is freed. */
static int claim_begin(struct lane *lane, struct claim **c)
{
	struct tto *t = lane->conn->device->tto;
	int rc = (*c)->port ? claim_port(t, lane, *c) :
			      claim_connection(t, lane, c);

	if (!rc)
		return 0;
	if ((*c)->fd >= 0)
		close((*c)->fd);
	free(*c);
	return rc == -E2BIG ? -EMFILE : rc;
}

static int connection_of(const struct vtoe_sqe *sqe, struct claim **c,
			 uint32_t *mtu)
{
	struct vtoe_address remote = clean(&sqe->u.address), local;
	int rc;

	if (!remote.port || is_any(&remote) || sqe->length > 65535)
		return -EINVAL;
	rc = ip_route(&remote, &local, mtu);
	if (rc)
		return rc;
	local = clean(&local);
	/* this namespace's own addresses are not on the wire */
	if (!ip_is_unicast(remote.family, remote.ip) || ip_is_ours(&remote) ||
	    !ip_is_ours(&local))
		return -ENETUNREACH;
	local.port = (uint16_t)sqe->length;
	*c = claim_new(&local, &remote, false);
	return *c ? 0 : -ENOMEM;
}

static int port_of(const struct tto *t, const struct vtoe_sqe *sqe,
		   struct claim **c, uint32_t *mtu)
{
	struct vtoe_address local = clean(&sqe->u.address);

	if (!is_any(&local) && !ip_is_ours(&local))
		return -EADDRNOTAVAIL;
	*mtu = t->config.mtu;
	*c = claim_new(&local, NULL, true);
	return *c ? 0 : -ENOMEM;
}

int tto_claim(struct lane *lane, const struct vtoe_sqe *sqe,
	      struct vtoe_cqe *cqe)
{
	struct tto *t = lane->conn->device->tto;
	struct claim *c;
	uint32_t mtu;
	int rc;

	if (sqe->u.address.family != VTOE_AF_INET &&
	    (sqe->u.address.family != VTOE_AF_INET6 ||
	     !(lane->conn->features & VTOE_F_IPV6)))
		return -EAFNOSUPPORT;
	if (lane->conn->claim_count >= t->device->limits.peer_streams)
		return -EMFILE;
	rc = sqe->op_flags & VTOE_CLAIM_PORT ? port_of(t, sqe, &c, &mtu) :
					       connection_of(sqe, &c, &mtu);
	if (rc)
		return rc;
	c->secret = sqe->offset;
	c->user_data = sqe->user_data;
	rc = claim_begin(lane, &c);
	if (rc)
		return rc;
	cqe->stream = c->id;
	cqe->flags = VTOE_CQE_MORE;
	cqe->u.address = c->local;
	cqe->length = mtu;
	return 0;
}

/* The CLAIM's last completion, before that of UNCLAIM. */
static void claim_end(struct lane *lane, uint64_t user_data, uint32_t id)
{
	struct vtoe_sqe claim = { .op = VTOE_OP_CLAIM, .user_data = user_data };
	struct vtoe_cqe last = { .user_data = user_data, .stream = id };
	struct request *r;

	if (lane_has_room_for(lane, 2)) {
		lane_post(lane, &last, 0);
		return;
	}
	/* as in toe_start(): a guest that has filled its queue and its quota
	 * lives with the loss */
	r = request_new(lane, NULL, &claim);
	if (r)
		request_finish_cqe(r, &last);
}

int tto_unclaim(struct lane *lane, const struct vtoe_sqe *sqe,
		struct vtoe_cqe *cqe)
{
	struct tto *t = lane->conn->device->tto;
	struct claim *c;
	int rc;

	rc = tto_claim_find(lane, sqe->stream, &c);
	if (rc)
		return rc;
	tto_flush_claim(t, lane, c, END_OWNER);
	if (!c->port)
		(void)aggregate_forget_flow(&t->aggregator, &c->key);
	cqe->stream = c->id;
	claim_end(lane, c->user_data, c->id);
	tto_claim_free(t, c);
	return 0;
}
