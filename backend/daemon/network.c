/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * network.c - what a guest has in the driver domain's network
 *
 * A namespace named vtoe-NAME; in it loopback and, with an uplink, eth0 with
 * the guest's MAC, addresses and default routes: one end of a veth pair whose
 * other end vt-NAME is in a bridge, or a macvlan. An uplink netns:NAME is an
 * existing namespace, which is only looked at.
 *
 * Everything is made in one go, and a failure at any step undoes all earlier
 * ones in reverse (network_destroy() knows from the structure what there is).
 * A supervisor that is killed leaves things behind. So before anything gets a
 * name, a file RUN_DIR/NAME.state says what it will be, with the number of the
 * namespace; a later supervisor removes exactly that (left_over.c), and nothing
 * that only has the same name.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/left_over.h"
#include "daemon/netns.h"
#include "daemon/network.h"
#include "daemon/rtnl.h"

void network_init(struct network *network)
{
	memset(network, 0, sizeof(*network));
	network->netns = -1;
}

__attribute__((format(printf, 2, 3)))
static int network_refuse(char *why, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why, NETWORK_WHY_MAX, format, arguments);
	va_end(arguments);
	return -1;
}

/* A failure that no check foresaw: the step, and what the kernel says. */
static int network_fail(char *why, const char *step, const char *object,
			int error, const struct rtnl *rtnl)
{
	const char *text = rtnl && rtnl->why[0] ? rtnl->why : NULL;

	if (error == -EPERM || error == -EACCES)
		return network_refuse(why, "%s %s: %s: run vtoed as root, or "
				      "with CAP_NET_ADMIN and CAP_SYS_ADMIN",
				      step, object, strerror(-error));
	return network_refuse(why, "%s %s: %s%s%s%s", step, object,
			      strerror(-error), text ? " (" : "",
			      text ? text : "", text ? ")" : "");
}

struct network_search {
	const struct config_guest *guest;
	const struct value_prefix *found;
	unsigned int index;
};

static bool network_is_taken(const struct rtnl_address *address, void *data)
{
	struct network_search *search = data;
	const struct value_prefix *wanted;
	size_t bytes = address->family == AF_INET6 ? 16 : 4;

	wanted = address->family == AF_INET6 ? &search->guest->address6 :
					       &search->guest->address4;
	if (!wanted->given || memcmp(wanted->ip, address->ip, bytes))
		return false;
	search->found = wanted;
	search->index = address->index;
	return true;
}

/* No address of the guest's may be one of the driver domain's own. */
static int network_check_addresses(struct rtnl *rtnl,
				   const struct config_guest *guest, char *why)
{
	struct network_search search = { .guest = guest };
	char text[INET6_ADDRSTRLEN];
	char name[IFNAMSIZ];
	int error;

	error = rtnl_address_each(rtnl, network_is_taken, &search);
	if (error)
		return network_fail(why, "reading", "addresses", error, rtnl);
	if (!search.found)
		return 0;
	inet_ntop(search.found == &guest->address6 ? AF_INET6 : AF_INET,
		  search.found->ip, text, sizeof(text));
	return network_refuse(why, "address %s is in use by interface %s of "
			      "this machine: choose another", text,
			      if_indextoname(search.index, name) ? name : "?");
}

/* The bridge or the interface below must exist and be what it has to be. */
static int network_check_uplink(struct rtnl *rtnl,
				const struct config_guest *guest,
				struct rtnl_link *uplink, char *why)
{
	bool bridge = guest->uplink == CONFIG_UPLINK_BRIDGE;
	int error;

	error = rtnl_link_get(rtnl, guest->uplink_name, uplink);
	if (error == -ENODEV)
		return network_refuse(why, "there is no %s \"%s\": see `ip "
				      "link` for the interfaces that exist",
				      bridge ? "bridge" : "interface",
				      guest->uplink_name);
	if (error)
		return network_fail(why, "reading interface",
				    guest->uplink_name, error, rtnl);
	if (bridge && strcmp(uplink->kind, "bridge"))
		return network_refuse(why, "interface \"%s\" is not a bridge: "
				      "use uplink = macvlan:%s, or name a "
				      "bridge", guest->uplink_name,
				      guest->uplink_name);
	if (!bridge && (uplink->flags & IFF_LOOPBACK))
		return network_refuse(why, "interface \"%s\" is loopback: a "
				      "macvlan needs an Ethernet interface",
				      guest->uplink_name);
	if (guest->mtu > uplink->mtu)
		return network_refuse(why, "mtu %u is more than interface "
				      "\"%s\" has: use at most %u",
				      guest->mtu, guest->uplink_name,
				      uplink->mtu);
	return 0;
}

static int network_make_namespace(struct network *network, char *why)
{
	int error;

	if (netns_exists(network->netns_name))
		return network_refuse(why, "there is a network namespace "
				      "\"%s\" already: set netns to another "
				      "name, or use it with uplink = netns:%s",
				      network->netns_name, network->netns_name);
	network->netns = netns_create();
	if (network->netns < 0) {
		error = network->netns;
		network->netns = -1;
		return network_fail(why, "creating network namespace",
				    network->netns_name, error, NULL);
	}
	network->ours = true;
	error = netns_inode(network->netns, &network->inode);
	if (error)
		return network_fail(why, "reading network namespace",
				    network->netns_name, error, NULL);
	return 0;
}

static int network_name_namespace(struct network *network, char *why)
{
	int error = netns_bind(network->netns, network->netns_name);

	if (error)
		return network_fail(why, "naming network namespace",
				    network->netns_name, error, NULL);
	network->named = true;
	return 0;
}

static int network_make_veth(struct network *network, struct rtnl *rtnl,
			     const struct config_guest *guest,
			     const struct rtnl_link *bridge, char *why)
{
	struct rtnl_new_link inside = {
		.name = NETWORK_INSIDE,
		.netns = network->netns,
		.mac = guest->mac,
		.mtu = guest->mtu ? guest->mtu : bridge->mtu,
	};
	char host[IFNAMSIZ], alias[32];
	struct rtnl_link link;
	int error;

	snprintf(host, sizeof(host), "vt-%s", guest->name);
	error = rtnl_veth_add(rtnl, host, &inside);
	if (error == -EEXIST)
		return network_refuse(why, "there is an interface \"%s\" "
				      "already: remove it, or rename the guest",
				      host);
	if (error)
		return network_fail(why, "creating interface", host, error,
				    rtnl);
	strcpy(network->host, host);
	strcpy(network->inside, NETWORK_INSIDE);
	error = rtnl_link_get(rtnl, host, &link);
	snprintf(alias, sizeof(alias), "vtoe:%s", guest->name);
	if (!error)
		error = rtnl_link_set_alias(rtnl, link.index, alias);
	if (!error)
		error = rtnl_link_set_master(rtnl, link.index, bridge->index);
	if (error)
		return network_fail(why, "connecting interface", host, error,
				    rtnl);
	return 0;
}

static int network_make_macvlan(struct network *network, struct rtnl *rtnl,
				const struct config_guest *guest,
				const struct rtnl_link *lower, char *why)
{
	struct rtnl_new_link inside = {
		.name = NETWORK_INSIDE,
		.netns = network->netns,
		.mac = guest->mac,
		.mtu = guest->mtu,
	};
	int error;

	error = rtnl_macvlan_add(rtnl, lower->index, &inside);
	if (error)
		return network_fail(why, "creating a macvlan of interface",
				    guest->uplink_name, error, rtnl);
	strcpy(network->inside, NETWORK_INSIDE);
	return 0;
}

static int network_add_address(struct rtnl *rtnl, unsigned int index,
			       uint8_t family,
			       const struct value_prefix *prefix)
{
	struct rtnl_address address = {
		.index = index,
		.family = family,
		.length = prefix->length,
	};

	if (!prefix->given)
		return 0;
	memcpy(address.ip, prefix->ip, sizeof(address.ip));
	return rtnl_address_add(rtnl, &address);
}

static int network_add_gateway(struct rtnl *rtnl, unsigned int index,
			       uint8_t family,
			       const struct value_prefix *gateway)
{
	if (!gateway->given)
		return 0;
	return rtnl_route_add_default(rtnl, index, family, gateway->ip);
}

/* Runs in the guest's namespace. */
static int network_configure_inside(struct network *network, struct rtnl *rtnl,
				    const struct config_guest *guest,
				    char *why)
{
	struct rtnl_link link;
	int error;

	/* The worker holds no capability, and a guest's port 80 is its own. */
	error = netns_sysctl("ipv4/ip_unprivileged_port_start", "0");
	if (error)
		return network_fail(why, "setting sysctl",
				    "ip_unprivileged_port_start", error, NULL);
	error = rtnl_link_get(rtnl, "lo", &link);
	if (!error)
		error = rtnl_link_up(rtnl, link.index);
	if (error)
		return network_fail(why, "starting interface", "lo", error,
				    rtnl);
	if (!network->inside[0])
		return 0;
	error = rtnl_link_get(rtnl, network->inside, &link);
	if (!error)
		error = network_add_address(rtnl, link.index, AF_INET,
					    &guest->address4);
	if (!error)
		error = network_add_address(rtnl, link.index, AF_INET6,
					    &guest->address6);
	if (!error)
		error = rtnl_link_up(rtnl, link.index);
	if (error)
		return network_fail(why, "configuring interface",
				    network->inside, error, rtnl);
	error = network_add_gateway(rtnl, link.index, AF_INET,
				    &guest->gateway4);
	if (!error)
		error = network_add_gateway(rtnl, link.index, AF_INET6,
					    &guest->gateway6);
	if (error)
		return network_fail(why, "setting the gateway of", guest->name,
				    error, rtnl);
	network->mtu = link.mtu;
	memcpy(network->mac, link.mac, sizeof(network->mac));
	return 0;
}

static bool network_take_address(const struct rtnl_address *address,
				 void *data)
{
	struct network *network = data;
	struct value_prefix *to = address->family == AF_INET6 ?
		&network->address6 : &network->address4;
	size_t bytes = address->family == AF_INET6 ? 16 : 4;

	if (if_nametoindex(network->inside) != address->index ||
	    address->scope >= 253 || to->given)
		return false;
	to->given = true;
	to->length = address->length;
	memcpy(to->ip, address->ip, bytes);
	return false;
}

/* Runs in an existing namespace: what is there is what the guest is told. */
static int network_look_inside(struct network *network, struct rtnl *rtnl,
			       char *why)
{
	struct rtnl_link link;
	int error;

	error = rtnl_link_find_up(rtnl, &link);
	if (error == -ENODEV)
		return 0; /* only loopback: like uplink = none */
	if (error)
		return network_fail(why, "reading interfaces of namespace",
				    network->netns_name, error, rtnl);
	strcpy(network->inside, link.name);
	network->mtu = link.mtu;
	memcpy(network->mac, link.mac, sizeof(network->mac));
	error = rtnl_address_each(rtnl, network_take_address, network);
	if (error)
		return network_fail(why, "reading addresses of namespace",
				    network->netns_name, error, rtnl);
	return 0;
}

static int network_work_inside(struct network *network,
			       const struct config_guest *guest, char *why)
{
	struct rtnl rtnl;
	int result, error;
	int home;

	error = netns_enter(network->netns, &home);
	if (error)
		return network_fail(why, "entering network namespace",
				    network->netns_name, error, NULL);
	error = rtnl_open(&rtnl);
	if (error) {
		result = network_fail(why, "opening", "rtnetlink", error,
				      NULL);
	} else {
		result = network->ours ?
			network_configure_inside(network, &rtnl, guest, why) :
			network_look_inside(network, &rtnl, why);
		rtnl_close(&rtnl);
	}
	netns_leave(home);
	return result;
}

static int network_make(struct network *network, struct rtnl *rtnl,
			const struct config_guest *guest, const char *run_dir,
			char *why)
{
	bool linked = guest->uplink != CONFIG_UPLINK_NONE;
	struct rtnl_link uplink;

	if (linked && network_check_uplink(rtnl, guest, &uplink, why))
		return -1;
	if (network_check_addresses(rtnl, guest, why))
		return -1;
	if (network_make_namespace(network, why))
		return -1;
	if (left_over_note(network, guest, run_dir, why))
		return -1;
	if (network_name_namespace(network, why))
		return -1;
	if (guest->uplink == CONFIG_UPLINK_BRIDGE &&
	    network_make_veth(network, rtnl, guest, &uplink, why))
		return -1;
	if (guest->uplink == CONFIG_UPLINK_MACVLAN &&
	    network_make_macvlan(network, rtnl, guest, &uplink, why))
		return -1;
	return network_work_inside(network, guest, why);
}

static int network_use(struct network *network,
		       const struct config_guest *guest, const char *run_dir,
		       char *why)
{
	network->netns = netns_open(network->netns_name);
	if (network->netns >= 0)
		return left_over_note(network, guest, run_dir, why) ||
		       network_work_inside(network, guest, why) ? -1 : 0;
	network->netns = -1;
	return network_refuse(why, "there is no network namespace \"%s\": see "
			      "`ip netns` for those that exist",
			      network->netns_name);
}

int network_create(struct network *network, const struct config_guest *guest,
		   const char *run_dir, char *why)
{
	struct rtnl rtnl;
	int result;
	int error;

	network_init(network);
	strcpy(network->netns_name, guest->netns);
	memcpy(network->mac, guest->mac, sizeof(network->mac));
	network->mtu = guest->mtu ? guest->mtu : 1500;
	network->address4 = guest->address4;
	network->address6 = guest->address6;
	if (guest->uplink == CONFIG_UPLINK_NETNS) {
		result = network_use(network, guest, run_dir, why);
	} else {
		error = rtnl_open(&rtnl);
		if (error)
			return network_fail(why, "opening", "rtnetlink", error,
					    NULL);
		result = network_make(network, &rtnl, guest, run_dir, why);
		rtnl_close(&rtnl);
	}
	if (result)
		network_destroy(network);
	return result;
}

int network_connect(const struct network *network, char *why)
{
	struct rtnl_link link;
	struct rtnl rtnl;
	int error;

	if (!network->host[0])
		return 0;
	error = rtnl_open(&rtnl);
	if (error)
		return network_fail(why, "opening", "rtnetlink", error, NULL);
	error = rtnl_link_get(&rtnl, network->host, &link);
	if (!error)
		error = rtnl_link_up(&rtnl, link.index);
	if (error)
		network_fail(why, "starting interface", network->host, error,
			     &rtnl);
	rtnl_close(&rtnl);
	return error ? -1 : 0;
}

/* Removes an interface by name, in the current namespace. */
static void network_delete_link(const char *name)
{
	struct rtnl_link link;
	struct rtnl rtnl;
	int error;

	error = rtnl_open(&rtnl);
	if (!error) {
		error = rtnl_link_get(&rtnl, name, &link);
		if (!error)
			error = rtnl_link_del(&rtnl, link.index);
		rtnl_close(&rtnl);
	}
	if (error && error != -ENODEV)
		vtoe_log(VTOE_LOG_WARNING, "removing interface %s: %s", name,
			 strerror(-error));
}

/*
 * Interfaces go first and by name: the kernel would remove them together with
 * the namespace, but later, and the next guest of this name needs them gone.
 */
void network_destroy(struct network *network)
{
	int error;
	int home;

	if (network->ours && network->inside[0] &&
	    !netns_enter(network->netns, &home)) {
		network_delete_link(network->inside);
		netns_leave(home);
	}
	if (network->named) {
		error = netns_unbind(network->netns_name, network->inode);
		if (error)
			vtoe_log(VTOE_LOG_WARNING, "removing network namespace "
				 "%s: %s", network->netns_name,
				 strerror(-error));
	}
	if (network->netns >= 0)
		close(network->netns);
	if (network->state_path[0])
		unlink(network->state_path);
	network_init(network);
}
