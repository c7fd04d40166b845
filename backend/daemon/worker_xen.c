/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/worker_xen.h"

#include <errno.h>
#include <stdlib.h>

#include "port/xen_peer.h"

#define EVENTS_PER_TURN 64

struct worker_xen {
	struct xen_device device;
	uint32_t max_peers;
	uint64_t peer_memory, total_memory;
};

struct worker_xen *worker_xen_open(const struct worker_setup *setup,
				   int *error, const char **what)
{
	struct worker_xen *x = calloc(1, sizeof(*x));

	*what = "memory";
	*error = -ENOMEM;
	if (!x)
		return NULL;
	*error = xen_device_open(&x->device, setup->xen_domid,
				 setup->xen_ring_ref, setup->xen_event_channel,
				 what);
	if (*error) {
		free(x);
		return NULL;
	}
	x->device.connections = setup->max_peers < XEN_CONNECTIONS ?
				setup->max_peers : XEN_CONNECTIONS;
	x->device.max_pages = VTOE_XEN_MAX_PAGES;
	if (setup->peer_memory / VTOE_PAGE < x->device.max_pages)
		x->device.max_pages =
			(uint32_t)(setup->peer_memory / VTOE_PAGE);
	x->peer_memory = setup->peer_memory;
	x->total_memory = setup->total_memory;
	return x;
}

int worker_xen_fd(const struct worker_xen *x)
{
	return xen_device_fd(&x->device);
}

/* What the guest's connections and regions may have together: grant mappings are
 * a resource of the whole domain, and other guests' workers need some. */
static bool xen_has_room(const struct worker_xen *x, const struct device *d,
			 uint64_t bytes)
{
	return d->conn_count * x->peer_memory + x->device.region_bytes +
		       bytes <= x->total_memory;
}

static int xen_connect(struct worker_xen *x, struct device *d,
		       const struct vtoe_xen_request *q,
		       const struct vtoe_device_page *page)
{
	struct port_link link;
	struct conn *c;
	int rc;

	if (!xen_has_room(x, d, x->peer_memory))
		return -EUSERS;
	rc = xen_link_connect(&x->device, &link, q, page);
	if (rc)
		return rc;
	link.id = ++d->next_conn;
	c = conn_add(d, &link);
	if (!c) {
		port_link_close(&link);
		x->device.slots[q->connection].used = false;
		return -ENOMEM;
	}
	x->device.slots[q->connection].owner = c;
	return 0;
}

static struct xen_slot *xen_slot_of(struct worker_xen *x,
				    const struct vtoe_xen_request *q)
{
	struct xen_slot *s;

	if (q->connection >= x->device.connections)
		return NULL;
	s = &x->device.slots[q->connection];
	return s->used && !s->ending ? s : NULL;
}

static int xen_region_add(struct worker_xen *x, const struct device *d,
			  struct xen_slot *s, const struct vtoe_xen_request *q,
			  uint64_t *key)
{
	const uint32_t both = VTOE_REGION_READ | VTOE_REGION_WRITE;
	struct conn *c = s->owner;
	uint64_t bytes;
	void *at;
	int rc;

	if (!c)
		return -ENOTCONN;
	if (!q->u.memory.rights || q->u.memory.rights & ~both)
		return -EINVAL;
	if (!xen_has_room(x, d, q->u.memory.pages * (uint64_t)VTOE_PAGE))
		return -EDQUOT;
	at = xen_link_map_region(&x->device, q, &bytes);
	if (!at)
		return -errno;
	rc = conn_region_add(c, at, bytes, q->u.memory.rights, key);
	if (rc)
		c->link.ops->unmap(&c->link, at, bytes);
	return rc;
}

/* -> true: answered later */
static bool xen_serve(struct worker_xen *x, struct device *d,
		      const struct vtoe_xen_request *q,
		      const struct vtoe_device_page *page, int *result,
		      uint64_t *key)
{
	struct xen_slot *s;

	if (q->op == VTOE_XEN_CONNECT) {
		*result = xen_connect(x, d, q, page);
		return false;
	}
	s = xen_slot_of(x, q);
	*result = -ENOENT;
	if (!s)
		return false;
	switch (q->op) {
	case VTOE_XEN_DISCONNECT:
		s->ending = true;
		s->user_data = q->user_data;
		if (s->owner)
			conn_leave(s->owner);
		return true;
	case VTOE_XEN_REGION_ADD:
		*result = xen_region_add(x, d, s, q, key);
		return false;
	case VTOE_XEN_REGION_DEL:
		if (s->owner)
			*result = conn_region_remove(s->owner, q->u.key,
						     q->user_data, true);
		return *result > 0;
	default:
		*result = -EINVAL;
		return false;
	}
}

static int xen_serve_ring(struct worker_xen *x, struct device *d,
			  const struct vtoe_device_page *page)
{
	struct vtoe_xen_request q;
	int rc, result, n;

	/* the ring's size is the most that can be there */
	for (n = 0; n < (int)VTOE_XEN_RING_ENTRIES; n++) {
		uint64_t key = 0;

		rc = xen_device_take(&x->device, &q);
		if (rc <= 0)
			return rc;
		if (!xen_serve(x, d, &q, page, &result, &key))
			xen_device_answer(&x->device, &q, result, key);
	}
	return 0;
}

int worker_xen_serve(struct worker_xen *x, struct device *d,
		     const struct vtoe_device_page *page)
{
	/* One more look, to see that nothing is left, is a system call: with
	 * one connection the poll that follows tells as well. */
	int most = d->conn_count > 1 ? EVENTS_PER_TURN : 1;
	int slot, rc = 0, n;

	for (n = 0; n < most && !xen_device_event(&x->device, &slot); n++) {
		if (slot >= 0 && x->device.slots[slot].owner) {
			d->stats->doorbells++;
			conn_kick(x->device.slots[slot].owner);
		} else if (slot < 0 && !rc) {
			rc = xen_serve_ring(x, d, page);
		}
	}
	return rc;
}

void worker_xen_turn(struct worker_xen *x, struct vtoe_stats *stats)
{
	stats->grant_maps = x->device.maps;
	stats->grant_unmaps = x->device.unmaps;
	xen_device_answer_ended(&x->device);
}
