/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xenbus.c - the backend's side of one device on xenbus
 *
 *   ABSENT -offer-> OFFERED -Initialised-> STARTING -ready-> SERVING
 *                      ^                       |                |
 *                      |                       +-----+----------+
 *                      |                             | the worker ends, or
 *                      |                             v the frontend leaves
 *                      +--time-- PAUSING <------- ENDING
 *
 * ENDING writes Closing, which the frontend answers with Closed. When it has,
 * and the worker is gone, the device is Closed, and a moment later it is in
 * InitWait again by itself. It does not wait for the frontend to come back to
 * Initialising: a driver that is loaded while we are Closed goes to Closed at
 * once, and its Initialising may never be seen. In InitWait nothing happens
 * unless the frontend acts; and it acts with a new ring, because it has
 * answered Closing. So one sequence serves a worker that died, a driver that
 * was reloaded, and a supervisor that finds the device of its predecessor.
 *
 * The frontend's nodes are the guest's: it may delete them, fill them with
 * anything, or change them as fast as it likes. Each is read once into a buffer
 * and parsed strictly; a state that is no state counts as none. A frontend that
 * goes round in circles is offered the device CREDIT_MAX times, and then once
 * in SLOW_MS. One that never answers costs nothing, as nothing waits for it but
 * LEAVING, and that for LEAVE_MS.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/xenbus.h"

#define PAUSE_MS 100
#define SLOW_MS 1000 /* also what earns one credit */
#define CREDIT_MAX 10
#define LEAVE_MS 5000
#define OWN_DOMID 0

int xenbus_parse_u32(const char *text, uint32_t *number)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; text[i]; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		n = n * 10 + (uint64_t)(text[i] - '0');
		if (n > UINT32_MAX)
			return -1;
	}
	if (!i)
		return -1;
	*number = (uint32_t)n;
	return 0;
}

/* The path of @key in our directory ("" for the directory itself). */
static void xenbus_back_path(const struct xenbus_device *d, const char *key,
			     char *path)
{
	snprintf(path, XENBUS_PATH_MAX, "/local/domain/%u/backend/vtoe/%u/0%s%s",
		 OWN_DOMID, d->domid, *key ? "/" : "", key);
}

/* What is removed with the device: the directory of all of the domain's. */
static void xenbus_back_root(const struct xenbus_device *d, char *path)
{
	snprintf(path, XENBUS_PATH_MAX, "/local/domain/%u/backend/vtoe/%u",
		 OWN_DOMID, d->domid);
}

static void xenbus_front_path(const struct xenbus_device *d, const char *key,
			      char *path)
{
	snprintf(path, XENBUS_PATH_MAX, "/local/domain/%u/device/vtoe/0%s%s",
		 d->domid, *key ? "/" : "", key);
}

static void xenbus_write(struct xenbus_device *d, const char *key,
			 const char *value)
{
	char path[XENBUS_PATH_MAX];
	int error;

	xenbus_back_path(d, key, path);
	error = d->store->ops->write(d->store, path, value);
	if (error)
		vtoe_log(VTOE_LOG_ERROR, "%s: %s", path, strerror(-error));
}

static void xenbus_switch(struct xenbus_device *d, enum xenbus_phase phase,
			  enum xenbus_state state)
{
	char text[2] = { (char)('0' + state), '\0' };

	d->phase = phase;
	d->wake_at = 0;
	xenbus_write(d, "state", text);
}

static int xenbus_read_u32(struct xenbus_device *d, const char *key,
			   uint32_t *number)
{
	char path[XENBUS_PATH_MAX], value[16];
	int length;

	xenbus_front_path(d, key, path);
	length = d->store->ops->read(d->store, path, value, sizeof(value));
	/* A NUL inside would hide what follows it. */
	if (length < 0 || (size_t)length != strlen(value))
		return -1;
	return xenbus_parse_u32(value, number);
}

static void xenbus_read_state(struct xenbus_device *d)
{
	uint32_t state;

	if (xenbus_read_u32(d, "state", &state) || state > XENBUS_CLOSED)
		state = XENBUS_UNKNOWN;
	d->frontend = (enum xenbus_state)state;
}

void xenbus_init(struct xenbus_device *d, struct xenbus_store *store,
		 const char *token, uint64_t now)
{
	memset(d, 0, sizeof(*d));
	d->store = store;
	snprintf(d->token, sizeof(d->token), "%s", token);
	d->credit = CREDIT_MAX;
	d->credit_at = now;
}

/* -- what is written ------------------------------------------------------- */

struct xenbus_draft {
	struct xenbus_node nodes[20];
	size_t count;
};

static struct xenbus_node *xenbus_draft_node(struct xenbus_draft *draft,
					     const char *value)
{
	struct xenbus_node *node = &draft->nodes[draft->count++];

	snprintf(node->value, sizeof(node->value), "%s", value);
	return node;
}

static void xenbus_draft_back(struct xenbus_device *d,
			      struct xenbus_draft *draft, const char *key,
			      const char *value)
{
	struct xenbus_node *node = xenbus_draft_node(draft, value);

	xenbus_back_path(d, key, node->path);
	node->owner = OWN_DOMID;
	node->reader = d->domid;
}

static void xenbus_draft_front(struct xenbus_device *d,
			       struct xenbus_draft *draft, const char *key,
			       const char *value)
{
	struct xenbus_node *node = xenbus_draft_node(draft, value);

	xenbus_front_path(d, key, node->path);
	node->owner = d->domid;
	node->reader = OWN_DOMID;
}

static void xenbus_draft_number(struct xenbus_device *d,
				struct xenbus_draft *draft, const char *key,
				uint32_t number)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", number);
	xenbus_draft_back(d, draft, key, text);
}

static void xenbus_draft_backend(struct xenbus_device *d,
				 struct xenbus_draft *draft, const char *state)
{
	char path[XENBUS_PATH_MAX];

	xenbus_draft_back(d, draft, "", "");
	xenbus_front_path(d, "", path);
	xenbus_draft_back(d, draft, "frontend", path);
	xenbus_draft_number(d, draft, "frontend-id", d->domid);
	xenbus_draft_number(d, draft, "online", 1);
	xenbus_draft_number(d, draft, "version", 1);
	xenbus_draft_number(d, draft, "features", d->offer.features);
	xenbus_draft_number(d, draft, "connection-pages",
			    d->offer.connection_pages);
	xenbus_draft_number(d, draft, "max-connections",
			    d->offer.max_connections);
	xenbus_draft_back(d, draft, "mac", d->offer.mac);
	xenbus_draft_back(d, draft, "ipv4", d->offer.ipv4);
	xenbus_draft_back(d, draft, "ipv6", d->offer.ipv6);
	xenbus_draft_back(d, draft, "state", state);
}

static void xenbus_draft_frontend(struct xenbus_device *d,
				  struct xenbus_draft *draft)
{
	char path[XENBUS_PATH_MAX], text[16];

	xenbus_draft_front(d, draft, "", "");
	xenbus_back_path(d, "", path);
	xenbus_draft_front(d, draft, "backend", path);
	snprintf(text, sizeof(text), "%u", OWN_DOMID);
	xenbus_draft_front(d, draft, "backend-id", text);
	xenbus_draft_front(d, draft, "state", "1");
}

/*
 * A supervisor that was killed leaves a device behind that the guest's driver
 * still holds: its frontend must stay as it is, and be closed first.
 */
static bool xenbus_is_left_over(struct xenbus_device *d)
{
	char path[XENBUS_PATH_MAX], value[XENBUS_VALUE_MAX];

	xenbus_back_path(d, "state", path);
	if (d->store->ops->read(d->store, path, value, sizeof(value)) < 0)
		return false;
	xenbus_read_state(d);
	return d->frontend >= XENBUS_INIT_WAIT &&
	       d->frontend <= XENBUS_CLOSED;
}

static void xenbus_unwatch(struct xenbus_device *d)
{
	char path[XENBUS_PATH_MAX];

	if (!d->watched)
		return;
	xenbus_front_path(d, "state", path);
	d->store->ops->unwatch(d->store, path, d->token);
	d->watched = false;
}

int xenbus_offer(struct xenbus_device *d, uint32_t domid, uint64_t now)
{
	char front[XENBUS_PATH_MAX], back[XENBUS_PATH_MAX];
	const char *remove[] = { front, back, NULL };
	struct xenbus_draft draft = { .count = 0 };
	bool left_over;
	int error;

	d->domid = domid;
	d->frontend = XENBUS_INITIALISING;
	left_over = xenbus_is_left_over(d);
	xenbus_front_path(d, "", front);
	xenbus_back_root(d, back);
	xenbus_draft_backend(d, &draft, left_over ? "5" : "1");
	if (!left_over)
		xenbus_draft_frontend(d, &draft);
	error = d->store->ops->publish(d->store, left_over ? NULL : remove,
				       draft.nodes, draft.count);
	if (error)
		return error;
	d->why[0] = '\0';
	xenbus_front_path(d, "state", front);
	error = d->store->ops->watch(d->store, front, d->token);
	if (error) {
		front[strlen(front) - strlen("/state")] = '\0';
		d->store->ops->publish(d->store, remove, NULL, 0);
		return error;
	}
	d->watched = true;
	if (left_over) {
		d->phase = XENBUS_ENDING;
		d->wake_at = 0;
	} else {
		xenbus_switch(d, XENBUS_OFFERED, XENBUS_INIT_WAIT);
	}
	xenbus_frontend_changed(d, now);
	return 0;
}

/* -- transitions ----------------------------------------------------------- */

static void xenbus_remove(struct xenbus_device *d)
{
	char front[XENBUS_PATH_MAX], back[XENBUS_PATH_MAX];
	const char *remove[] = { front, back, NULL };
	int error;

	xenbus_unwatch(d);
	xenbus_front_path(d, "", front);
	xenbus_back_root(d, back);
	error = d->store->ops->publish(d->store, remove, NULL, 0);
	if (error)
		vtoe_log(VTOE_LOG_ERROR, "removing %s: %s", back,
			 strerror(-error));
	d->wake_at = 0;
	d->phase = d->leaving ? XENBUS_GONE : XENBUS_ABSENT;
}

/* How long until the next offer; each is paid for. */
static uint64_t xenbus_pause(struct xenbus_device *d, uint64_t now)
{
	uint64_t earned = (now - d->credit_at) / SLOW_MS;

	if (earned) {
		d->credit_at += earned * SLOW_MS;
		d->credit = earned + d->credit > CREDIT_MAX ? CREDIT_MAX :
			    d->credit + (uint32_t)earned;
	}
	if (!d->credit)
		return SLOW_MS;
	d->credit--;
	return PAUSE_MS;
}

/* Closing is done as far as the frontend is concerned. */
static bool xenbus_frontend_is_closed(const struct xenbus_device *d)
{
	return d->frontend == XENBUS_CLOSED ||
	       d->frontend == XENBUS_INITIALISING ||
	       d->frontend == XENBUS_UNKNOWN;
}

static void xenbus_check_ended(struct xenbus_device *d, uint64_t now)
{
	if (d->has_worker || !xenbus_frontend_is_closed(d))
		return;
	if (d->phase == XENBUS_LEAVING) {
		xenbus_remove(d);
		return;
	}
	xenbus_switch(d, XENBUS_PAUSING, XENBUS_CLOSED);
	d->wake_at = now + xenbus_pause(d, now);
}

static void xenbus_end(struct xenbus_device *d, uint64_t now, const char *why)
{
	d->wants_worker = false;
	snprintf(d->why, sizeof(d->why), "%s", why);
	xenbus_switch(d, XENBUS_ENDING, XENBUS_CLOSING);
	xenbus_check_ended(d, now);
}

/* The frontend has written its keys. They are read here, once. */
static void xenbus_start(struct xenbus_device *d, uint64_t now)
{
	const char *bad = NULL;
	uint32_t version;
	char text[64];

	if (xenbus_read_u32(d, "ring-ref", &d->ring_ref))
		bad = "ring-ref";
	else if (xenbus_read_u32(d, "event-channel", &d->event_channel))
		bad = "event-channel";
	else if (xenbus_read_u32(d, "version", &version) || version != 1)
		bad = "version";
	if (!bad) {
		d->wants_worker = true;
		d->phase = XENBUS_STARTING;
		d->wake_at = 0;
		return;
	}
	snprintf(text, sizeof(text), "the frontend's %s is not valid", bad);
	xenbus_write(d, "error", text);
	xenbus_end(d, now, text);
}

void xenbus_frontend_changed(struct xenbus_device *d, uint64_t now)
{
	if (d->phase == XENBUS_ABSENT || d->phase == XENBUS_GONE)
		return;
	xenbus_read_state(d);
	switch (d->phase) {
	case XENBUS_OFFERED:
		if (d->frontend == XENBUS_INITIALISED)
			xenbus_start(d, now);
		else if (d->frontend == XENBUS_CLOSING)
			xenbus_end(d, now, "the frontend closed");
		break;
	case XENBUS_STARTING:
		if (d->frontend != XENBUS_INITIALISED)
			xenbus_end(d, now, "the frontend closed");
		break;
	case XENBUS_SERVING:
		if (d->frontend != XENBUS_INITIALISED &&
		    d->frontend != XENBUS_CONNECTED)
			xenbus_end(d, now, "the frontend closed");
		break;
	case XENBUS_ENDING:
	case XENBUS_LEAVING:
		xenbus_check_ended(d, now);
		break;
	case XENBUS_PAUSING:
	case XENBUS_ABSENT:
	case XENBUS_GONE:
		break;
	}
}

void xenbus_worker_started(struct xenbus_device *d)
{
	d->has_worker = true;
}

void xenbus_worker_ready(struct xenbus_device *d, uint64_t now)
{
	if (d->phase != XENBUS_STARTING)
		return;
	d->why[0] = '\0';
	xenbus_switch(d, XENBUS_SERVING, XENBUS_CONNECTED);
	xenbus_frontend_changed(d, now);
}

void xenbus_worker_ended(struct xenbus_device *d, const char *why,
			 uint64_t now)
{
	d->has_worker = false;
	d->wants_worker = false;
	if (d->phase == XENBUS_STARTING || d->phase == XENBUS_SERVING) {
		if (d->phase == XENBUS_STARTING)
			xenbus_write(d, "error", why);
		xenbus_end(d, now, why);
	} else if (d->phase == XENBUS_ENDING || d->phase == XENBUS_LEAVING) {
		xenbus_check_ended(d, now);
	}
}

/* Nobody is left to answer. The worker ends for the same reason, if not yet. */
void xenbus_domain_gone(struct xenbus_device *d)
{
	if (d->phase == XENBUS_ABSENT || d->phase == XENBUS_GONE)
		return;
	d->wants_worker = false;
	xenbus_remove(d);
}

void xenbus_leave(struct xenbus_device *d, uint64_t now)
{
	d->leaving = true;
	d->wants_worker = false;
	if (d->phase == XENBUS_GONE)
		return;
	if (d->phase == XENBUS_ABSENT) {
		d->phase = XENBUS_GONE;
		return;
	}
	xenbus_write(d, "online", "0");
	xenbus_switch(d, XENBUS_LEAVING, XENBUS_CLOSING);
	d->wake_at = now + LEAVE_MS;
	xenbus_frontend_changed(d, now);
}

void xenbus_expired(struct xenbus_device *d, uint64_t now)
{
	d->wake_at = 0;
	if (d->phase == XENBUS_LEAVING) {
		if (d->has_worker) /* it is being killed */
			d->wake_at = now + PAUSE_MS;
		else
			xenbus_remove(d);
		return;
	}
	if (d->phase != XENBUS_PAUSING)
		return;
	xenbus_switch(d, XENBUS_OFFERED, XENBUS_INIT_WAIT);
	xenbus_frontend_changed(d, now);
}

const char *xenbus_phase_name(const struct xenbus_device *d)
{
	static const char *const names[] = {
		[XENBUS_ABSENT] = "no domain",
		[XENBUS_OFFERED] = "offered",
		[XENBUS_STARTING] = "starting",
		[XENBUS_SERVING] = "connected",
		[XENBUS_ENDING] = "closing",
		[XENBUS_PAUSING] = "closed",
		[XENBUS_LEAVING] = "leaving",
		[XENBUS_GONE] = "gone",
	};

	return names[d->phase];
}
