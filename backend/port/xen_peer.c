/* SPDX-License-Identifier: BSD-2-Clause */
#include "port/xen_peer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xenevtchn.h>
#include <xengnttab.h>

/* A link of this port carries its device and slot in place of descriptors. */
struct xen_link {
	struct xen_device *device;
	uint32_t slot;
};

static struct xen_link *xen_link_of(struct port_link *link)
{
	return (struct xen_link *)link->private;
}

static void xen_unmap(struct port_link *link, void *at, uint64_t bytes)
{
	struct xen_device *x = xen_link_of(link)->device;

	x->unmaps++;
	xengnttab_unmap(x->grants, at, (uint32_t)(bytes / VTOE_PAGE));
}

static void *xen_map(struct port_link *link, const struct vtoe_range *ranges,
		     uint32_t count, uint64_t bytes, uint32_t rights)
{
	(void)bytes;
	(void)rights;
	/* Parts of the connection's memory are mapped already, and the kernel's
	 * grant mappings cannot be mapped again: a region's rights are those
	 * that region_find() checks, and several ranges are not offered. */
	if (count != 1) {
		errno = EOPNOTSUPP;
		return NULL;
	}
	return link->base + ranges[0].offset;
}

static void xen_unmap_part(struct port_link *link, void *at, uint64_t bytes)
{
	uint8_t *p = at;

	/* application memory has a mapping of its own */
	if (p >= link->base && p < link->base + link->bytes)
		return;
	xen_unmap(link, at, bytes);
	xen_link_of(link)->device->region_bytes -= bytes;
}

static void xen_notify(struct port_link *link, uint32_t vector)
{
	struct xen_link *l = xen_link_of(link);

	(void)vector; /* one channel for all vectors */
	xenevtchn_notify(l->device->events,
			 (evtchn_port_t)l->device->slots[l->slot].port);
}

static void xen_close(struct port_link *link)
{
	struct xen_link *l = xen_link_of(link);
	struct xen_slot *slot = &l->device->slots[l->slot];

	if (link->base)
		xen_unmap(link, link->base, link->bytes);
	link->base = NULL;
	if (slot->port >= 0)
		xenevtchn_unbind(l->device->events, (evtchn_port_t)slot->port);
	slot->port = -1;
	slot->owner = NULL;
	slot->gone = true;
}

static void xen_region_gone(struct port_link *link, uint64_t user_data)
{
	const struct vtoe_xen_request q = {
		.op = VTOE_XEN_REGION_DEL,
		.user_data = user_data,
	};

	xen_device_answer(xen_link_of(link)->device, &q, 0, 0);
}

static const struct port_ops xen_ops = {
	.name = "xen",
	.map = xen_map,
	.unmap = xen_unmap_part,
	.notify = xen_notify,
	.region_gone = xen_region_gone,
	.close = xen_close,
};

/* -- the device --------------------------------------------------------------- */

int xen_device_open(struct xen_device *x, uint32_t domid, uint32_t ring_ref,
		    uint32_t event_channel, const char **what)
{
	int rc;

	memset(x, 0, sizeof(*x));
	x->domid = domid;
	x->port = -1;
	*what = "open /dev/xen/gntdev (is the module xen-gntdev loaded?)";
	x->grants = xengnttab_open(NULL, 0);
	if (!x->grants)
		return -errno;
	*what = "open /dev/xen/evtchn (is the module xen-evtchn loaded?)";
	x->events = xenevtchn_open(NULL, 0);
	if (!x->events)
		goto fail;
	fcntl(xenevtchn_fd(x->events), F_SETFL, O_NONBLOCK);
	*what = "bind the guest's event channel";
	rc = xenevtchn_bind_interdomain(x->events, domid, event_channel);
	if (rc < 0)
		goto fail;
	x->port = rc;
	*what = "map the guest's ring page";
	/* The guest is told when this process ends, however it ends. */
	x->page = xengnttab_map_grant_ref_notify(
		x->grants, domid, ring_ref, PROT_READ | PROT_WRITE,
		VTOE_XEN_ALIVE_OFFSET, (evtchn_port_t)x->port);
	if (!x->page)
		goto fail;
	__atomic_store_n(x->page + VTOE_XEN_ALIVE_OFFSET, 1, __ATOMIC_RELAXED);
	ring_in_init(&x->requests, x->page + VTOE_XEN_REQUEST_OFFSET,
		     VTOE_XEN_RING_ENTRIES);
	ring_out_init(&x->completions, x->page + VTOE_XEN_COMPLETION_OFFSET,
		      VTOE_XEN_RING_ENTRIES);
	return 0;
fail:
	rc = errno ? -errno : -EIO;
	xen_device_close(x);
	return rc;
}

void xen_device_close(struct xen_device *x)
{
	if (x->page)
		xengnttab_unmap(x->grants, x->page, 1);
	if (x->events)
		xenevtchn_close(x->events);
	if (x->grants)
		xengnttab_close(x->grants);
	memset(x, 0, sizeof(*x));
}

int xen_device_fd(const struct xen_device *x)
{
	return xenevtchn_fd(x->events);
}

int xen_device_slot(const struct xen_device *x, uint32_t port)
{
	uint32_t i;

	for (i = 0; i < x->connections; i++)
		if (x->slots[i].used && x->slots[i].port == (int)port)
			return (int)i;
	return -1;
}

int xen_device_take(struct xen_device *x, struct vtoe_xen_request *request)
{
	int waiting = ring_in_peek(&x->requests);

	if (waiting == 0)
		waiting = ring_in_arm(&x->requests);
	if (waiting <= 0)
		return waiting;
	ring_in_take(&x->requests, request);
	ring_in_release(&x->requests);
	return 1;
}

void xen_device_answer(struct xen_device *x,
		       const struct vtoe_xen_request *request, int result,
		       uint64_t key)
{
	const struct vtoe_xen_completion c = {
		.op = request->op,
		.result = result,
		.user_data = request->user_data,
		.key = key,
	};

	/* No more answers than requests, no more requests than entries: an
	 * honest frontend always has room. */
	if (ring_out_room(&x->completions, 1) <= 0)
		return;
	ring_out_put(&x->completions, &c);
	ring_out_publish(&x->completions, false);
	xenevtchn_notify(x->events, (evtchn_port_t)x->port);
}

void xen_device_answer_ended(struct xen_device *x)
{
	uint32_t i;

	for (i = 0; i < x->connections; i++) {
		struct xen_slot *s = &x->slots[i];
		struct vtoe_xen_request q = { .op = VTOE_XEN_DISCONNECT };

		if (!s->gone || !s->ending)
			continue;
		q.user_data = s->user_data;
		memset(s, 0, sizeof(*s));
		xen_device_answer(x, &q, 0, 0);
	}
}

/* -- grants ---------------------------------------------------------------------*/

/* Copies the references out of the guest's list pages, and lets go of those. */
static int xen_read_list(struct xen_device *x,
			 const struct vtoe_xen_request *request,
			 uint32_t *refs)
{
	uint32_t pages = request->u.memory.pages, done = 0, i;

	for (i = 0; done < pages; i++) {
		uint32_t n = pages - done, ref = request->u.memory.list_ref[i];
		void *list;

		if (n > VTOE_XEN_REFS_PER_PAGE)
			n = VTOE_XEN_REFS_PER_PAGE;
		x->maps++;
		list = xengnttab_map_grant_ref(x->grants, x->domid, ref,
					       PROT_READ);
		if (!list)
			return -EFAULT;
		memcpy(refs + done, list, n * sizeof(*refs));
		x->unmaps++;
		xengnttab_unmap(x->grants, list, 1);
		done += n;
	}
	return 0;
}

static void *xen_map_pages(struct xen_device *x,
			   const struct vtoe_xen_request *request, int prot)
{
	static const uint32_t most = VTOE_XEN_MAX_PAGES;
	uint32_t pages = request->u.memory.pages;
	uint32_t *refs;
	void *at = NULL;
	int rc;

	if (!pages || pages > most || pages > x->max_pages) {
		errno = EINVAL;
		return NULL;
	}
	refs = mmap(NULL, most * sizeof(*refs), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (refs == MAP_FAILED)
		return NULL;
	rc = xen_read_list(x, request, refs);
	if (!rc) {
		x->maps++;
		at = xengnttab_map_domain_grant_refs(x->grants, pages, x->domid,
						     refs, prot);
		/* a failure must not look like none */
		rc = at ? 0 : errno ? -errno : -EIO;
	}
	munmap(refs, most * sizeof(*refs));
	if (!at)
		x->map_failures++;
	errno = -rc;
	return at;
}

int xen_link_connect(struct xen_device *x, struct port_link *link,
		     const struct vtoe_xen_request *request,
		     const struct vtoe_device_page *page)
{
	uint32_t n = request->connection;
	struct vtoe_device_page *shown;
	struct xen_slot *slot;
	struct xen_link *l;
	int port;

	if (n >= x->connections)
		return -EUSERS;
	slot = &x->slots[n];
	if (slot->used)
		return -EBUSY;
	if (request->u.memory.pages * (uint64_t)VTOE_PAGE <
	    VTOE_GUEST_OFFSET + VTOE_PAGE)
		return -EINVAL;
	memset(link, 0, sizeof(*link));
	memset(link->vector_fd, 0xff, sizeof(link->vector_fd));
	link->ops = &xen_ops;
	link->memory_fd = link->socket_fd = link->doorbell_fd = -1;
	link->base = xen_map_pages(x, request, PROT_READ | PROT_WRITE);
	if (!link->base)
		return -errno;
	link->bytes = request->u.memory.pages * (uint64_t)VTOE_PAGE;
	port = xenevtchn_bind_interdomain(x->events, x->domid,
					  request->u.memory.event_channel);
	if (port < 0) {
		int rc = -errno;

		x->unmaps++;
		xengnttab_unmap(x->grants, link->base,
				request->u.memory.pages);
		return rc;
	}
	*slot = (struct xen_slot){ .used = true, .port = port };
	l = xen_link_of(link);
	l->device = x;
	l->slot = n;
	link->vectors = 1 + PORT_MAX_LANES;
	shown = (struct vtoe_device_page *)link->base;
	*shown = *page;
	shown->memory_bytes = link->bytes;
	return 0;
}

void *xen_link_map_region(struct xen_device *x,
			  const struct vtoe_xen_request *request,
			  uint64_t *bytes)
{
	uint32_t rights = request->u.memory.rights;
	/* Memory that is only sent from is granted read-only; asking for more
	 * would be refused, and asking for less keeps our own mistakes out. */
	int prot = PROT_READ | (rights & VTOE_REGION_WRITE ? PROT_WRITE : 0);
	void *at;

	*bytes = request->u.memory.pages * (uint64_t)VTOE_PAGE;
	at = xen_map_pages(x, request, prot);
	if (at)
		x->region_bytes += *bytes;
	return at;
}
