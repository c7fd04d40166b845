/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/worker_xen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "port/xen_peer.h"

struct worker_xen {
	struct xen_device device;
	uint32_t max_peers;
	uint64_t peer_memory, total_memory;
	/* The last refusal, for worker_xen_refused(). */
	struct vtoe_xen_request refused;
	int refused_error; /* 0: none new */
	bool refused_map;  /* by the hypervisor */
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

bool worker_xen_may_zerocopy(void)
{
	FILE *file = fopen("/sys/hypervisor/guest_type", "re");
	char type[8] = "";

	if (!file)
		return false;
	if (!fgets(type, sizeof(type), file))
		type[0] = '\0';
	fclose(file);
	return type[0] && strncmp(type, "PV\n", 3);
}

void worker_xen_watch(struct worker_xen *x, struct device *d, unsigned which)
{
	device_watch_read(d, xen_device_fd(&x->device), x->device.rung,
			  sizeof(x->device.rung), which);
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

static void xen_note_refusal(struct worker_xen *x, const struct device *d,
			     const struct vtoe_xen_request *q, int result,
			     uint64_t map_failures)
{
	/* a table of the connection's is full: conn.c says which */
	if (result >= 0 || (result == -EDQUOT && d->refused_conn) ||
	    (q->op != VTOE_XEN_CONNECT && q->op != VTOE_XEN_REGION_ADD))
		return;
	x->refused = *q;
	x->refused_error = result;
	x->refused_map = x->device.map_failures != map_failures;
}

bool worker_xen_refused(struct worker_xen *x, char *why, size_t size)
{
	const char *what = x->refused.op == VTOE_XEN_CONNECT ? "connection" :
							       "registration";
	uint32_t pages = x->refused.u.memory.pages;
	int error = x->refused_error;

	x->refused_error = 0;
	if (!error)
		return false;
	if (x->refused_map)
		snprintf(why, size, "a %s of %u pages cannot be mapped: the "
			 "guest's references are not valid, or Xen's table of "
			 "this domain's mappings is full: raise "
			 "gnttab_max_maptrack_frames on Xen's command line",
			 what, pages);
	else if (error == -EINVAL && pages > x->device.max_pages)
		snprintf(why, size, "a %s of %u pages is refused: it may have "
			 "%u: raise peer_memory in vtoed.conf (32M is the most)",
			 what, pages, x->device.max_pages);
	else if (error == -EUSERS &&
		 x->refused.connection >= x->device.connections)
		snprintf(why, size, "connection number %u is refused: the guest "
			 "may have %u: raise peers in vtoed.conf (%u is the "
			 "most)", x->refused.connection,
			 x->device.connections, XEN_CONNECTIONS);
	else if (error == -EUSERS || error == -EDQUOT)
		snprintf(why, size, "a %s of %u pages is refused: the guest's "
			 "memory is used up (%llu MiB): raise total_memory in "
			 "vtoed.conf", what, pages,
			 (unsigned long long)(x->total_memory >> 20));
	else
		return false; /* a mistake of the guest's */
	return true;
}

static int xen_serve_ring(struct worker_xen *x, struct device *d,
			  const struct vtoe_device_page *page)
{
	struct vtoe_xen_request q;
	int rc, result, n;

	/* the ring's size is the most that can be there */
	for (n = 0; n < (int)VTOE_XEN_RING_ENTRIES; n++) {
		uint64_t key = 0, failures = x->device.map_failures;

		rc = xen_device_take(&x->device, &q);
		if (rc <= 0)
			return rc;
		if (xen_serve(x, d, &q, page, &result, &key))
			continue;
		xen_note_refusal(x, d, &q, result, failures);
		xen_device_answer(&x->device, &q, result, key);
	}
	return 0;
}

int worker_xen_serve(struct worker_xen *x, struct device *d,
		     const struct vtoe_device_page *page, unsigned which)
{
	int32_t bytes = d->caller_result[which];
	unsigned i, n;
	int slot, rc = 0;

	if (bytes < 0 && bytes != -EAGAIN && bytes != -EINTR)
		return bytes;
	n = bytes < 0 ? 0 : (unsigned)bytes / sizeof(x->device.rung[0]);
	for (i = 0; i < n; i++) {
		slot = xen_device_slot(&x->device, x->device.rung[i]);
		if (slot < 0) {
			rc = xen_serve_ring(x, d, page);
			if (rc < 0)
				return rc;
		} else if (x->device.slots[slot].owner) {
			d->stats->doorbells++;
			conn_kick(x->device.slots[slot].owner);
		}
	}
	/* written before the read that is queued behind it fills them again */
	if (n)
		device_write(d, xen_device_fd(&x->device), x->device.rung,
			     n * sizeof(x->device.rung[0]));
	worker_xen_watch(x, d, which);
	return 0;
}

void worker_xen_turn(struct worker_xen *x, struct vtoe_stats *stats)
{
	stats->grant_maps = x->device.maps;
	stats->grant_unmaps = x->device.unmaps;
	xen_device_answer_ended(&x->device);
}
