/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control_describe.c - guests, sockets, peers and flows as JSON
 *
 * The field names are an interface (vtoectl(8)): new ones may be added, none is
 * renamed or removed. A value that does not exist is null, not missing.
 */
#include <arpa/inet.h>
#include <stdio.h>

#include <vtoe_lane.h>

#include "daemon/control_describe.h"
#include "daemon/guest_xen.h"
#include "daemon/names.h"

static void describe_text(struct json_object *object, const char *key,
			  const char *text)
{
	json_object_object_add(object, key,
			       text && *text ? json_object_new_string(text) :
					       NULL);
}

static void describe_number(struct json_object *object, const char *key,
			    uint64_t number)
{
	json_object_object_add(object, key, json_object_new_uint64(number));
}

static void describe_seconds(struct json_object *object, const char *key,
			     double seconds)
{
	char text[32];

	/* As text, or json-c prints seventeen digits. */
	snprintf(text, sizeof(text), "%.3f", seconds);
	json_object_object_add(object, key,
			       json_object_new_double_s(seconds, text));
}

static void describe_prefix(struct json_object *array, int family,
			    const struct value_prefix *prefix)
{
	char ip[INET6_ADDRSTRLEN];
	char text[INET6_ADDRSTRLEN + 8];

	if (!prefix->given)
		return;
	inet_ntop(family, prefix->ip, ip, sizeof(ip));
	snprintf(text, sizeof(text), "%s/%u", ip, prefix->length);
	json_object_array_add(array, json_object_new_string(text));
}

static struct json_object *describe_addresses(const struct network *network)
{
	struct json_object *array = json_object_new_array();

	describe_prefix(array, AF_INET, &network->address4);
	describe_prefix(array, AF_INET6, &network->address6);
	return array;
}

static void describe_worker(struct json_object *object,
			    const struct guest *guest)
{
	json_object_object_add(object, "pid", guest->process.pid ?
			       json_object_new_int(guest->process.pid) : NULL);
	describe_number(object, "worker_restarts", guest->restarts);
	describe_seconds(object, "uptime_seconds", guest->process.pid ?
			 (double)(loop_now() - guest->started_at) / 1000 : 0);
	describe_seconds(object, "cpu_seconds", guest_cpu_seconds(guest));
}

/* Of Xen: null in guests of another port. */
static void describe_xen(struct json_object *object, const struct guest *guest)
{
	const struct xenbus_device *device = guest->xen ? &guest->xen->device :
							  NULL;
	bool there = device && device->phase != XENBUS_ABSENT &&
		     device->phase != XENBUS_GONE;

	describe_text(object, "domain", guest->config.domain);
	json_object_object_add(object, "domain_id", there ?
			       json_object_new_int64(device->domid) : NULL);
	describe_text(object, "device_state",
		      device ? xenbus_phase_name(device) : NULL);
}

/* What its worker offers now. */
static struct json_object *describe_services(const struct guest *guest)
{
	struct json_object *array = json_object_new_array();

	if (guest->state != GUEST_RUNNING)
		return array;
	json_object_array_add(array, json_object_new_string("toe"));
	if (guest->tto)
		json_object_array_add(array, json_object_new_string("tto"));
	return array;
}

struct json_object *control_describe_guest(const struct guest *guest)
{
	struct json_object *object = json_object_new_object();
	const struct network *network = &guest->network;
	const uint8_t *mac = network->mac;
	char text[96];

	describe_text(object, "name", guest->config.name);
	describe_text(object, "state", guest_state_name(guest));
	describe_worker(object, guest);
	describe_text(object, "port", guest->xen ? "xen" : "local");
	describe_xen(object, guest);
	config_print_uplink(&guest->config, text);
	describe_text(object, "uplink", text);
	describe_text(object, "netns", network->netns_name);
	describe_text(object, "host_interface", network->host);
	describe_text(object, "interface", network->inside);
	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0],
		 mac[1], mac[2], mac[3], mac[4], mac[5]);
	describe_text(object, "mac", text);
	json_object_object_add(object, "address", describe_addresses(network));
	describe_number(object, "mtu", network->mtu);
	describe_text(object, "link", names_link(guest->link_state));
	describe_text(object, "socket", guest->xen ? NULL :
		      guest->config.socket);
	json_object_object_add(object, "services", describe_services(guest));
	describe_text(object, "tto_failure", guest_tto_failure(guest));
	describe_text(object, "unpinned", guest->steering.unpinned);
	describe_text(object, "failure", guest->failure);
	return object;
}

static struct json_object *describe_counters(const struct vtoe_stats *stats)
{
	struct json_object *object = json_object_new_object();

#define DESCRIBE_COUNTER(name, help)                                           \
	describe_number(object, #name,                                        \
			stats ? __atomic_load_n(&stats->name,                 \
						__ATOMIC_RELAXED) : 0);
	VTOE_STATS(DESCRIBE_COUNTER)
#undef DESCRIBE_COUNTER
	return object;
}

struct json_object *control_describe_stats(const struct guest *guest)
{
	struct json_object *object = json_object_new_object();

	describe_text(object, "name", guest->config.name);
	describe_text(object, "state", guest_state_name(guest));
	describe_worker(object, guest);
	describe_xen(object, guest);
	json_object_object_add(object, "counters",
			       describe_counters(guest->stats));
	return object;
}

static void describe_endpoint(struct json_object *object, const char *key,
			      uint16_t family, const uint8_t *ip,
			      uint16_t port)
{
	char address[INET6_ADDRSTRLEN];
	char text[INET6_ADDRSTRLEN + 16];

	if (family == VTOE_AF_INET) {
		inet_ntop(AF_INET, ip, address, sizeof(address));
		snprintf(text, sizeof(text), "%s:%u", address, port);
	} else if (family == VTOE_AF_INET6) {
		inet_ntop(AF_INET6, ip, address, sizeof(address));
		snprintf(text, sizeof(text), "[%s]:%u", address, port);
	} else {
		text[0] = '\0';
	}
	describe_text(object, key, text);
}

struct json_object *control_describe_socket(const struct worker_socket *socket)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "offloaded",
			       json_object_new_boolean(socket->stream != 0));
	describe_number(object, "stream", socket->stream);
	describe_text(object, "fallback", socket->stream ? NULL :
		      names_fallback(socket->fallback));
	describe_text(object, "reason", socket->stream ? NULL :
		      names_fallback_reason(socket->fallback));
	describe_number(object, "peer", socket->peer);
	describe_number(object, "pid", socket->pid);
	describe_text(object, "program", socket->program);
	describe_text(object, "state", socket->state);
	describe_endpoint(object, "local", socket->family, socket->local_ip,
			  socket->local_port);
	describe_endpoint(object, "remote", socket->family, socket->remote_ip,
			  socket->remote_port);
	describe_number(object, "rx_bytes", socket->rx_bytes);
	describe_number(object, "tx_bytes", socket->tx_bytes);
	describe_number(object, "rx_placed_bytes", socket->rx_placed_bytes);
	describe_number(object, "tx_zerocopy_bytes",
			socket->tx_zerocopy_bytes);
	return object;
}

struct json_object *control_describe_peer(const struct worker_peer *peer)
{
	struct json_object *object = json_object_new_object();

	describe_number(object, "peer", peer->peer);
	describe_number(object, "pid", peer->pid);
	describe_number(object, "uid", peer->uid);
	describe_text(object, "program", peer->program);
	describe_text(object, "status", names_status(peer->status));
	describe_text(object, "violation", peer->violation ?
		      names_violation(peer->violation) : NULL);
	describe_number(object, "lanes", peer->lanes);
	describe_number(object, "streams", peer->streams);
	describe_number(object, "regions", peer->regions);
	describe_number(object, "memory", peer->memory);
	return object;
}

struct json_object *control_describe_flow(const struct worker_flow *flow)
{
	struct json_object *object = json_object_new_object();
	uint16_t remote = flow->port ? VTOE_AF_UNSPEC : flow->family;

	describe_number(object, "claim", flow->claim);
	json_object_object_add(object, "peer", flow->peer ?
			       json_object_new_uint64(flow->peer) : NULL);
	json_object_object_add(object, "pid", flow->peer ?
			       json_object_new_uint64(flow->pid) : NULL);
	describe_text(object, "program", flow->program);
	describe_text(object, "kind", flow->port ? "port" : "connection");
	describe_endpoint(object, "local", flow->family, flow->local_ip,
			  flow->local_port);
	describe_endpoint(object, "remote", remote, flow->remote_ip,
			  flow->remote_port);
	describe_number(object, "aggregates", flow->aggregates);
	describe_number(object, "segments", flow->segments);
	describe_number(object, "rx_bytes", flow->rx_bytes);
	describe_number(object, "dropped", flow->dropped);
	describe_number(object, "sent", flow->sent);
	describe_number(object, "tx_bytes", flow->tx_bytes);
	return object;
}

struct json_object *control_describe_reason(const struct worker_reason *reason)
{
	struct json_object *object = json_object_new_object();

	describe_text(object, "reason", reason->name);
	describe_number(object, "ended", reason->ended);
	describe_number(object, "passed", reason->passed);
	return object;
}

struct json_object *control_describe_steering(const struct steering *steering)
{
	struct json_object *object;

	if (!steering->open)
		return NULL;
	object = json_object_new_object();
	describe_number(object, "dropped_fragments",
			steer_count(&steering->steer, STEER_FRAGMENT));
	describe_number(object, "dropped_long",
			steer_count(&steering->steer, STEER_LONG));
	return object;
}
