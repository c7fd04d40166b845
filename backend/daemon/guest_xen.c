/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guest_xen.c - guests that are Xen domains
 *
 * Such a guest has its network from attach to detach, as any other, but no
 * listening socket: its device in xenstore (xenbus.c) is what its driver finds.
 * The device comes with the domain and goes with it, the worker comes when the
 * driver is there and goes when it leaves. A guest with `persist` waits for the
 * next domain of that name; another one is detached with its domain.
 *
 * All guests share one connection to xenstored, opened for the first of them. A
 * frontend that changes its nodes all the time is looked at once in LOOK_MS.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <vtoe_xen.h>

#include "daemon/log.h"
#include "daemon/guest_xen.h"
#include "path/path.h"

#define LOOK_MS 20
#define RETRY_MS 1000
#define EVENTS_PER_TURN 64
#define CONNECTIONS_MAX 256u /* that a worker serves */

struct xen_host {
	struct xenbus_store *store;
	struct loop_watch watch;
	struct list guests;
	struct guest_host *host;
};

static struct guest *guest_of_xen(struct list *at)
{
	return list_entry(at, struct guest, xen_link);
}

/* -- after each step ------------------------------------------------------- */

static void guest_xen_set_timer(struct guest *guest)
{
	struct guest_xen *xen = guest->xen;
	uint64_t at = xen->device.wake_at;
	uint64_t now = loop_now();

	if (xen->changed && (!at || xen->looked_at + LOOK_MS < at))
		at = xen->looked_at + LOOK_MS;
	if (xen->retry_at && (!at || xen->retry_at < at))
		at = xen->retry_at;
	if (at)
		loop_timer_set(guest->host->loop, &xen->timer,
			       at > now ? at - now : 0);
	else
		loop_timer_clear(&xen->timer);
}

static void guest_xen_start_worker(struct guest *guest)
{
	struct guest_xen *xen = guest->xen;
	char why[GUEST_WHY_MAX];

	if (!guest_start_worker(guest, why)) {
		xenbus_worker_started(&xen->device);
		return;
	}
	vtoe_log(VTOE_LOG_ERROR, "guest %s: %s", guest->config.name, why);
	xenbus_worker_ended(&xen->device, why, loop_now());
}

static void guest_xen_end_worker(struct guest *guest)
{
	if (guest->xen->ending)
		return;
	guest->xen->ending = true;
	process_kill(&guest->process);
}

/* Does what the device wants. The guest may be gone when this returns. */
static void guest_xen_settle(struct guest *guest)
{
	struct xenbus_device *device = &guest->xen->device;

	if (guest->state == GUEST_LEAVING) {
		guest_xen_set_timer(guest);
		if (device->phase == XENBUS_GONE && !guest->process.pid)
			guest_finish(guest);
		return;
	}
	if (device->wants_worker && !guest->process.pid)
		guest_xen_start_worker(guest);
	else if (!device->wants_worker && guest->process.pid)
		guest_xen_end_worker(guest);
	guest_xen_set_timer(guest);
}

/* -- domains --------------------------------------------------------------- */

static int guest_xen_find(struct guest *guest, uint32_t *domid)
{
	struct xenbus_store *store = guest->xen->device.store;
	const char *domain = guest->config.domain;

	if (xenbus_parse_u32(domain, domid))
		return store->ops->find(store, domain, domid);
	return *domid && store->ops->exists(store, *domid) ? 0 : -ENOENT;
}

/* Every guest that is attached may use what its configuration allows. */
static int guest_xen_check_limits(struct guest *guest, uint32_t domid,
				  char *why)
{
	struct xenbus_store *store = guest->xen->device.store;
	struct xenbus_needs needs = {
		.connection = guest->xen->device.offer.connection_pages,
		.guest = guest->config.total_memory / VTOE_PAGE,
	};
	struct list *at, *next;

	list_for_each_safe(at, next, &guest->host->xen->guests)
		if (guest_of_xen(at) != guest)
			needs.others += guest_of_xen(at)->config.total_memory /
					VTOE_PAGE;
	return store->ops->check_limits(store, domid, &needs, why);
}

static void guest_xen_offer(struct guest *guest, uint32_t domid)
{
	struct guest_xen *xen = guest->xen;
	char why[XENBUS_WHY_MAX];
	int error;

	if (guest_xen_check_limits(guest, domid, why)) {
		vtoe_log(VTOE_LOG_ERROR, "guest %s: %s", guest->config.name,
			 why);
		snprintf(guest->failure, sizeof(guest->failure), "%s", why);
		return;
	}
	error = xenbus_offer(&xen->device, domid, loop_now());
	if (error) {
		if (!guest->failure[0])
			vtoe_log(VTOE_LOG_ERROR, "guest %s: writing its device "
				 "into xenstore: %s: it is tried again",
				 guest->config.name, strerror(-error));
		snprintf(guest->failure, sizeof(guest->failure),
			 "xenstore: %s", strerror(-error));
		xen->retry_at = loop_now() + RETRY_MS;
		return;
	}
	guest->failure[0] = '\0';
	vtoe_log(VTOE_LOG_INFO, "guest %s: offered to domain %s (%u)",
		 guest->config.name, guest->config.domain, domid);
}

/* Domains have come or gone, or a worker of one that is gone has ended. */
static void guest_xen_check_domain(struct guest *guest)
{
	struct xenbus_device *device = &guest->xen->device;
	uint32_t domid;

	if (device->phase != XENBUS_ABSENT && device->phase != XENBUS_GONE &&
	    !device->store->ops->exists(device->store, device->domid)) {
		vtoe_log(VTOE_LOG_INFO, "guest %s: domain %u is gone",
			 guest->config.name, device->domid);
		xenbus_domain_gone(device);
		if (!guest->config.persist && guest->state != GUEST_LEAVING) {
			guest_stop(guest);
			return;
		}
	}
	/* Not while a worker of the last one still has its pages. */
	if (device->phase == XENBUS_ABSENT && !guest->process.pid &&
	    guest->state == GUEST_IDLE && !guest_xen_find(guest, &domid))
		guest_xen_offer(guest, domid);
	guest_xen_settle(guest);
}

/* -- events ---------------------------------------------------------------- */

static void guest_xen_look(struct guest *guest)
{
	struct guest_xen *xen = guest->xen;
	enum xenbus_phase before = xen->device.phase;

	xen->changed = false;
	xen->looked_at = loop_now();
	xenbus_frontend_changed(&xen->device, xen->looked_at);
	if (xen->device.phase == XENBUS_ENDING && before != XENBUS_ENDING)
		vtoe_log(VTOE_LOG_DEBUG, "guest %s: %s", guest->config.name,
			 xen->device.why);
	guest_xen_settle(guest);
}

static void guest_xen_on_timer(struct loop_timer *timer)
{
	struct guest_xen *xen = list_entry(timer, struct guest_xen, timer);
	struct guest *guest = xen->guest;
	uint64_t now = loop_now();

	if (xen->device.wake_at && xen->device.wake_at <= now)
		xenbus_expired(&xen->device, now);
	if (xen->retry_at && xen->retry_at <= now) {
		xen->retry_at = 0;
		guest_xen_check_domain(guest);
		return;
	}
	if (xen->changed && xen->looked_at + LOOK_MS <= now)
		guest_xen_look(guest);
	else
		guest_xen_settle(guest);
}

static void guest_xen_on_change(struct xen_host *host, const char *token)
{
	struct list *at, *next;
	struct guest *guest;

	list_for_each_safe(at, next, &host->guests) {
		guest = guest_of_xen(at);
		if (!strcmp(token, XENBUS_DOMAINS)) {
			guest_xen_check_domain(guest);
		} else if (!strcmp(token, guest->config.name)) {
			guest->xen->changed = true;
			if (loop_now() - guest->xen->looked_at >= LOOK_MS)
				guest_xen_look(guest);
			else
				guest_xen_set_timer(guest);
		}
	}
}

static void guest_xen_on_store(struct loop_watch *watch, uint32_t events)
{
	struct xen_host *host = list_entry(watch, struct xen_host, watch);
	char token[XENBUS_TOKEN_MAX];
	int rc = 0, i;

	(void)events;
	for (i = 0; i < EVENTS_PER_TURN; i++) {
		rc = host->store->ops->next(host->store, token, sizeof(token));
		if (rc <= 0)
			break;
		guest_xen_on_change(host, token);
	}
	if (rc >= 0)
		return;
	vtoe_log(VTOE_LOG_ERROR, "xenstored does not answer any more (%s): "
		 "restart vtoed when it does", strerror(-rc));
	loop_remove(host->host->loop, watch);
}

/* -- a guest's life -------------------------------------------------------- */

static int guest_xen_open(struct guest_host *host, char *why)
{
	struct xen_host *xen = calloc(1, sizeof(*xen));
	int error;

	if (!xen) {
		snprintf(why, GUEST_WHY_MAX, "out of memory");
		return -1;
	}
	list_init(&xen->guests);
	xen->host = host;
	xen->watch.ready = guest_xen_on_store;
	xen->store = xenbus_store_open(why);
	if (!xen->store)
		goto fail;
	error = loop_add(host->loop, &xen->watch, xen->store->fd, EPOLLIN);
	if (error) {
		snprintf(why, GUEST_WHY_MAX, "watching xenstore: %s",
			 strerror(-error));
		xen->store->ops->close(xen->store);
		goto fail;
	}
	host->xen = xen;
	return 0;
fail:
	free(xen);
	return -1;
}

void guest_xen_close(struct guest_host *host)
{
	struct xen_host *xen = host->xen;

	if (!xen)
		return;
	loop_remove(host->loop, &xen->watch);
	xen->store->ops->close(xen->store);
	free(xen);
	host->xen = NULL;
}

/* Refuses a domain that another guest has, and one that is not there. */
static int guest_xen_check(struct guest *guest, char *why)
{
	struct list *at, *next;
	uint32_t domid;

	if (guest_xen_find(guest, &domid)) {
		if (guest->config.persist)
			return 0;
		snprintf(why, GUEST_WHY_MAX, "there is no domain \"%s\": see "
			 "`xl list` for those that run, or set persist = yes "
			 "to wait for it", guest->config.domain);
		return -1;
	}
	list_for_each_safe(at, next, &guest->host->xen->guests) {
		const struct guest *other = guest_of_xen(at);

		if (other->xen->device.phase == XENBUS_ABSENT ||
		    other->xen->device.domid != domid)
			continue;
		snprintf(why, GUEST_WHY_MAX, "domain %u has a device already, "
			 "of guest %s: detach that first", domid,
			 other->config.name);
		return -1;
	}
	return guest_xen_check_limits(guest, domid, why);
}

int guest_xen_attach(struct guest *guest, char *why)
{
	const struct config_guest *config = &guest->config;
	struct guest_xen *xen;
	uint64_t pages;

	if (!guest->host->xen && guest_xen_open(guest->host, why))
		return -1;
	xen = calloc(1, sizeof(*xen));
	if (!xen) {
		snprintf(why, GUEST_WHY_MAX, "out of memory");
		return -1;
	}
	xen->guest = guest;
	guest->xen = xen;
	loop_timer_init(&xen->timer, guest_xen_on_timer);
	xenbus_init(&xen->device, guest->host->xen->store, config->name,
		    loop_now());
	pages = config->peer_memory / VTOE_PAGE;
	if (pages > VTOE_XEN_MAX_PAGES)
		pages = VTOE_XEN_MAX_PAGES;
	xen->device.offer.features = PATH_FEATURES & ~PATH_WITHHELD_XEN;
	xen->device.offer.connection_pages = (uint32_t)pages;
	xen->device.offer.max_connections = config->peers < CONNECTIONS_MAX ?
		config->peers : CONNECTIONS_MAX;
	if (guest_xen_check(guest, why)) {
		guest_xen_free(guest);
		return -1;
	}
	list_add_tail(&guest->host->xen->guests, &guest->xen_link);
	return 0;
}

/* From what the network turned out to be. */
static void guest_xen_fill_offer(struct guest *guest)
{
	struct xenbus_offer *offer = &guest->xen->device.offer;
	const struct network *network = &guest->network;
	const uint8_t *mac = network->mac;

	if (guest->steering.open)
		offer->features |= VTOE_F_TTO;
	snprintf(offer->mac, sizeof(offer->mac),
		 "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		 mac[3], mac[4], mac[5]);
	if (network->address4.given)
		inet_ntop(AF_INET, network->address4.ip, offer->ipv4,
			  sizeof(offer->ipv4));
	if (network->address6.given)
		inet_ntop(AF_INET6, network->address6.ip, offer->ipv6,
			  sizeof(offer->ipv6));
}

void guest_xen_begin(struct guest *guest)
{
	guest_xen_fill_offer(guest);
	guest->state = GUEST_IDLE;
	/* Whoever attached it does not wait for the domain's driver; it is
	 * told by the timer, as it listens only when we have returned. */
	guest->was_ready = true;
	loop_timer_set(guest->host->loop, &guest->timer, 0);
	guest_xen_check_domain(guest);
}

void guest_xen_ready(struct guest *guest)
{
	struct xenbus_device *device = &guest->xen->device;

	xenbus_worker_ready(device, loop_now());
	vtoe_log(VTOE_LOG_INFO, "guest %s: serves domain %u",
		 guest->config.name, device->domid);
	guest_xen_settle(guest);
}

void guest_xen_ended(struct guest *guest, const char *why)
{
	guest->xen->ending = false;
	xenbus_worker_ended(&guest->xen->device, why, loop_now());
	guest_xen_check_domain(guest);
}

void guest_xen_leave(struct guest *guest)
{
	guest->xen->retry_at = 0;
	xenbus_leave(&guest->xen->device, loop_now());
	guest_xen_settle(guest);
}

void guest_xen_free(struct guest *guest)
{
	if (!guest->xen)
		return;
	loop_timer_clear(&guest->xen->timer);
	list_del(&guest->xen_link);
	free(guest->xen);
	guest->xen = NULL;
}
