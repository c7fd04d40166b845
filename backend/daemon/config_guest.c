/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config_guest.c - one guest's keys
 *
 * A table gives each key its parser and its field, so that the configuration
 * file, `vtoectl attach` and the manual page speak of the same keys. A guest
 * is valid only after config_check_guest(), which fills what depends on other
 * keys: the MAC, the socket's path, the namespace's name.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/config.h"

struct config_key {
	const char *name;
	int (*parse)(struct config_guest *guest, const char *value,
		     const struct config_key *key, char *why);
	size_t offset; /* numbers: the field, its size and its bounds */
	size_t size;
	uint64_t min, max;
};

__attribute__((format(printf, 2, 3)))
static int config_refuse(struct config_error *error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(error->text, sizeof(error->text), format, arguments);
	va_end(arguments);
	return -1;
}

static int config_set_port(struct config_guest *guest, const char *value,
			   const struct config_key *key, char *why)
{
	(void)key;
	if (strcmp(value, "local") && strcmp(value, "xen")) {
		snprintf(why, VALUE_WHY_MAX, "\"%.64s\" is not a port of this "
			 "version: use local or xen", value);
		return -1;
	}
	guest->port = strcmp(value, "xen") ? CONFIG_PORT_LOCAL :
					     CONFIG_PORT_XEN;
	return 0;
}

static int config_set_domain(struct config_guest *guest, const char *value,
			     const struct config_key *key, char *why)
{
	(void)key;
	if (!*value || strlen(value) >= sizeof(guest->domain) ||
	    strchr(value, '/')) {
		snprintf(why, VALUE_WHY_MAX, "\"%.64s\" is neither the name nor "
			 "the id of a domain: see `xl list` for those that "
			 "run", value);
		return -1;
	}
	strcpy(guest->domain, value);
	return 0;
}

static int config_parse_either(const char *value, const char *set,
			       const char *clear, bool *to, char *why)
{
	if (strcmp(value, set) && strcmp(value, clear)) {
		snprintf(why, VALUE_WHY_MAX, "\"%.64s\" is neither %s nor %s",
			 value, set, clear);
		return -1;
	}
	*to = !strcmp(value, set);
	return 0;
}

static int config_parse_bool(const char *value, bool *to, char *why)
{
	return config_parse_either(value, "yes", "no", to, why);
}

static int config_set_persist(struct config_guest *guest, const char *value,
			      const struct config_key *key, char *why)
{
	(void)key;
	guest->persist_given = true;
	return config_parse_bool(value, &guest->persist, why);
}

static int config_set_netns_name(char *to, size_t size, const char *value,
				 char *why)
{
	if (!*value || strlen(value) >= size || strchr(value, '/') ||
	    !strcmp(value, ".") || !strcmp(value, "..")) {
		snprintf(why, VALUE_WHY_MAX, "\"%.64s\" is not the name of a "
			 "network namespace: see `ip netns` for those that "
			 "exist", value);
		return -1;
	}
	strcpy(to, value);
	return 0;
}

static int config_set_uplink(struct config_guest *guest, const char *value,
			     const struct config_key *key, char *why)
{
	(void)key;
	if (!strcmp(value, "none")) {
		guest->uplink = CONFIG_UPLINK_NONE;
		guest->uplink_name[0] = '\0';
		return 0;
	}
	if (!strncmp(value, "netns:", 6)) {
		guest->uplink = CONFIG_UPLINK_NETNS;
		return config_set_netns_name(guest->uplink_name,
					     sizeof(guest->uplink_name),
					     value + 6, why);
	}
	if (!strncmp(value, "bridge:", 7)) {
		guest->uplink = CONFIG_UPLINK_BRIDGE;
		value += 7;
	} else if (!strncmp(value, "macvlan:", 8)) {
		guest->uplink = CONFIG_UPLINK_MACVLAN;
		value += 8;
	} else {
		snprintf(why, VALUE_WHY_MAX, "\"%.64s\" is not an uplink: use "
			 "bridge:NAME, macvlan:INTERFACE, netns:NAME or none",
			 value);
		return -1;
	}
	if (value_parse_interface(value, why))
		return -1;
	strcpy(guest->uplink_name, value);
	return 0;
}

static int config_set_netns(struct config_guest *guest, const char *value,
			    const struct config_key *key, char *why)
{
	(void)key;
	return config_set_netns_name(guest->netns, sizeof(guest->netns), value,
				     why);
}

static int config_set_mac(struct config_guest *guest, const char *value,
			  const struct config_key *key, char *why)
{
	(void)key;
	if (value_parse_mac(value, guest->mac, why))
		return -1;
	guest->mac_given = true;
	return 0;
}

static int config_set_address(struct config_guest *guest, const char *value,
			      const struct config_key *key, char *why)
{
	(void)key;
	return value_parse_address(value, &guest->address4, &guest->address6,
				   why);
}

static int config_set_gateway(struct config_guest *guest, const char *value,
			      const struct config_key *key, char *why)
{
	(void)key;
	return value_parse_gateway(value, &guest->gateway4, &guest->gateway6,
				   why);
}

static int config_set_check_address(struct config_guest *guest,
				    const char *value,
				    const struct config_key *key, char *why)
{
	(void)key;
	return config_parse_bool(value, &guest->check_address, why);
}

static int config_set_tto(struct config_guest *guest, const char *value,
			  const struct config_key *key, char *why)
{
	(void)key;
	return config_parse_bool(value, &guest->tto, why);
}

static int config_set_tto_push(struct config_guest *guest, const char *value,
			       const struct config_key *key, char *why)
{
	bool joins;

	(void)key;
	if (config_parse_either(value, "join", "end", &joins, why))
		return -1;
	guest->tto_push = joins ? CONFIG_PUSH_JOIN : CONFIG_PUSH_END;
	return 0;
}

static int config_set_tto_acks(struct config_guest *guest, const char *value,
			       const struct config_key *key, char *why)
{
	(void)key;
	return config_parse_either(value, "alone", "join",
				   &guest->tto_acks_alone, why);
}

static int config_set_tto_port(struct config_guest *guest, const char *value,
			       const struct config_key *key, char *why)
{
	(void)key;
	if (value_parse_interface(value, why))
		return -1;
	strcpy(guest->tto_port, value);
	return 0;
}

static int config_set_socket(struct config_guest *guest, const char *value,
			     const struct config_key *key, char *why)
{
	(void)key;
	if (value[0] != '/' || strlen(value) >= sizeof(guest->socket)) {
		snprintf(why, VALUE_WHY_MAX, "\"%.64s\" is not an absolute "
			 "path of less than %zu characters: write one as "
			 "/run/vtoe/guest.sock", value, sizeof(guest->socket));
		return -1;
	}
	strcpy(guest->socket, value);
	return 0;
}

static int config_set_socket_mode(struct config_guest *guest,
				  const char *value,
				  const struct config_key *key, char *why)
{
	(void)key;
	return value_parse_mode(value, &guest->socket_mode, why);
}

static int config_set_allow_uid(struct config_guest *guest, const char *value,
				const struct config_key *key, char *why)
{
	uint32_t uids[CONFIG_ALLOW_MAX];
	uint32_t count = 0;
	char item[24];
	uint64_t uid;
	size_t n;

	(void)key;
	for (;;) {
		value += strspn(value, " \t,");
		if (!*value)
			break;
		n = strcspn(value, " \t,");
		if (count == CONFIG_ALLOW_MAX) {
			snprintf(why, VALUE_WHY_MAX, "has more than %d users: "
				 "use a group and socket_mode instead",
				 CONFIG_ALLOW_MAX);
			return -1;
		}
		snprintf(item, sizeof(item), "%.*s",
			 n < sizeof(item) ? (int)n : (int)sizeof(item) - 1,
			 value);
		if (value_parse_size(item, 0, UINT32_MAX - 1, &uid, why))
			return -1;
		uids[count++] = (uint32_t)uid;
		value += n;
	}
	memcpy(guest->allow_uid, uids, count * sizeof(uids[0]));
	guest->allow_count = count;
	return 0;
}

static int config_set_number(struct config_guest *guest, const char *value,
			     const struct config_key *key, char *why)
{
	char *field = (char *)guest + key->offset;
	uint32_t narrow;
	uint64_t n;

	if (value_parse_size(value, key->min, key->max, &n, why))
		return -1;
	narrow = (uint32_t)n;
	if (key->size == sizeof(n))
		memcpy(field, &n, sizeof(n));
	else
		memcpy(field, &narrow, sizeof(narrow));
	return 0;
}

/* A guest of another processor's, behind event channels: looking costs less
 * than the hypercalls of a notification. */
#define SPIN_XEN_USEC 50u
#define SPIN_BY_PORT UINT32_MAX

#define CONFIG_NUMBER(field, least, most)                                      \
	{ #field, config_set_number, offsetof(struct config_guest, field),    \
	  sizeof(((struct config_guest *)0)->field), least, most }

static const struct config_key config_keys[] = {
	{ "port", config_set_port, 0, 0, 0, 0 },
	{ "domain", config_set_domain, 0, 0, 0, 0 },
	{ "persist", config_set_persist, 0, 0, 0, 0 },
	{ "uplink", config_set_uplink, 0, 0, 0, 0 },
	{ "netns", config_set_netns, 0, 0, 0, 0 },
	{ "mac", config_set_mac, 0, 0, 0, 0 },
	{ "address", config_set_address, 0, 0, 0, 0 },
	{ "gateway", config_set_gateway, 0, 0, 0, 0 },
	{ "check_address", config_set_check_address, 0, 0, 0, 0 },
	{ "socket", config_set_socket, 0, 0, 0, 0 },
	{ "socket_mode", config_set_socket_mode, 0, 0, 0, 0 },
	{ "allow_uid", config_set_allow_uid, 0, 0, 0, 0 },
	{ "tto", config_set_tto, 0, 0, 0, 0 },
	CONFIG_NUMBER(mtu, 576, 65535),
	CONFIG_NUMBER(peers, 1, 65535),
	CONFIG_NUMBER(lanes, 1, 64),
	CONFIG_NUMBER(streams, 1, 65535),
	CONFIG_NUMBER(peer_streams, 1, 65535),
	CONFIG_NUMBER(regions, 1, 65535),
	CONFIG_NUMBER(peer_memory, 1u << 20, 1ull << 40),
	CONFIG_NUMBER(total_memory, 1u << 20, 1ull << 46),
	CONFIG_NUMBER(spin_usec, 0, 10000),
	CONFIG_NUMBER(zerocopy_min, 0, 1u << 30),
	CONFIG_NUMBER(credit, 1, 65536),
	CONFIG_NUMBER(tto_hold_usec, 0, 10000),
	CONFIG_NUMBER(tto_segments, 1, 64),
	{ "tto_push", config_set_tto_push, 0, 0, 0, 0 },
	{ "tto_acks", config_set_tto_acks, 0, 0, 0, 0 },
	{ "tto_port", config_set_tto_port, 0, 0, 0, 0 },
};

#define CONFIG_KEYS (sizeof(config_keys) / sizeof(config_keys[0]))

int config_init_guest(struct config_guest *guest, const char *name,
		      struct config_error *error)
{
	char why[VALUE_WHY_MAX];

	memset(guest, 0, sizeof(*guest));
	if (value_parse_name(name, CONFIG_NAME_MAX, why))
		return config_refuse(error, "guest: %s", why);
	strcpy(guest->name, name);
	guest->check_address = true;
	guest->socket_mode = 0600;
	guest->peers = 256;
	guest->lanes = 8;
	guest->streams = 16384;
	guest->peer_streams = 16384;
	guest->regions = 64;
	guest->spin_usec = SPIN_BY_PORT;
	guest->zerocopy_min = 16384;
	guest->credit = 64;
	guest->tto_segments = 64;
	return 0;
}

int config_set_guest(struct config_guest *guest, const char *key,
		     const char *value, struct config_error *error)
{
	char why[VALUE_WHY_MAX];
	size_t i;

	for (i = 0; i < CONFIG_KEYS; i++) {
		if (strcmp(key, config_keys[i].name))
			continue;
		if (config_keys[i].parse(guest, value, &config_keys[i], why))
			return config_refuse(error, "%s: %s", key, why);
		return 0;
	}
	return config_refuse(error, "\"%.64s\" is not a key of a guest: see "
			     "vtoed.conf(5)", key);
}

/*
 * A locally administered address that depends on the name only, so that it is
 * the same after every restart (FNV-1a; it is no secret).
 */
static void config_derive_mac(const char *name, uint8_t mac[6])
{
	uint64_t hash = 0xcbf29ce484222325ull;
	int i;

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 0x100000001b3ull;
	for (i = 0; i < 6; i++)
		mac[i] = (uint8_t)(hash >> (8 * i));
	mac[0] = 0x02;
}

static int config_check_network(const struct config_guest *guest,
				struct config_error *error)
{
	bool link_local = guest->gateway6.given &&
			  guest->gateway6.ip[0] == 0xfe &&
			  (guest->gateway6.ip[1] & 0xc0) == 0x80;
	bool addressed = guest->address4.given || guest->address6.given;

	if (guest->uplink == CONFIG_UPLINK_NONE && addressed)
		return config_refuse(error, "guest %s has an address but no "
				     "uplink to use it on: add uplink = "
				     "bridge:NAME or macvlan:INTERFACE",
				     guest->name);
	if (guest->uplink == CONFIG_UPLINK_NETNS &&
	    (addressed || guest->mac_given || guest->mtu ||
	     guest->gateway4.given || guest->gateway6.given))
		return config_refuse(error, "guest %s uses the namespace %s as "
				     "it is: remove its mac, mtu, address and "
				     "gateway", guest->name,
				     guest->uplink_name);
	/* the same: it was checked before */
	if (guest->uplink == CONFIG_UPLINK_NETNS && guest->netns[0] &&
	    strcmp(guest->netns, guest->uplink_name))
		return config_refuse(error, "guest %s names a namespace twice: "
				     "remove netns, or the uplink %s",
				     guest->name, guest->uplink_name);
	if (guest->gateway4.given &&
	    (!guest->address4.given ||
	     !value_prefix_contains(&guest->address4, guest->gateway4.ip, 4)))
		return config_refuse(error, "guest %s: the IPv4 gateway is not "
				     "in the network of its address: correct "
				     "one of them", guest->name);
	if (guest->gateway6.given && !link_local &&
	    (!guest->address6.given ||
	     !value_prefix_contains(&guest->address6, guest->gateway6.ip, 16)))
		return config_refuse(error, "guest %s: the IPv6 gateway is not "
				     "in the network of its address: correct "
				     "one of them", guest->name);
	return 0;
}

/* Frames are steered on an Ethernet interface of the guest's own: a macvlan's
 * frames are its lower interface's first. */
static int config_check_tto(const struct config_guest *guest,
			    struct config_error *error)
{
	if (guest->tto && guest->uplink != CONFIG_UPLINK_BRIDGE &&
	    guest->uplink != CONFIG_UPLINK_NETNS)
		return config_refuse(error, "guest %s: tto = yes needs uplink = "
				     "bridge:NAME or netns:NAME: change the "
				     "uplink, or remove tto", guest->name);
	if ((guest->tto_hold_usec || guest->tto_push || guest->tto_port[0]) &&
	    !guest->tto)
		return config_refuse(error, "guest %s: tto_hold_usec, "
				     "tto_push and tto_port are for the TTO "
				     "service: add tto = yes", guest->name);
	if (guest->tto_port[0] && guest->uplink != CONFIG_UPLINK_BRIDGE)
		return config_refuse(error, "guest %s: tto_port = %s is a "
				     "port of a bridge: use uplink = "
				     "bridge:NAME, or remove it", guest->name,
				     guest->tto_port);
	if (guest->tto_hold_usec && guest->tto_push == CONFIG_PUSH_JOIN)
		return config_refuse(error, "guest %s: tto_push = join would "
				     "let what is pushed wait: remove "
				     "tto_hold_usec", guest->name);
	return 0;
}

/* A guest of the configuration waits for its domain unless told otherwise, one
 * of `vtoectl attach` goes with it. An id never comes back. */
static int config_check_domain(struct config_guest *guest,
			       struct config_error *error)
{
	bool is_id = !guest->domain[strspn(guest->domain, "0123456789")];

	if (guest->port != CONFIG_PORT_XEN) {
		if (!guest->domain[0] && !guest->persist_given)
			return 0;
		return config_refuse(error, "guest %s has a domain or persist, "
				     "which are for Xen: add port = xen",
				     guest->name);
	}
	if (!guest->domain[0])
		return config_refuse(error, "guest %s has no domain: add "
				     "domain = NAME, as in `xl list`",
				     guest->name);
	if (guest->persist_given && guest->persist && is_id)
		return config_refuse(error, "guest %s: a domain's id changes "
				     "when it reboots: give its name, or "
				     "remove persist", guest->name);
	if (!guest->persist_given)
		guest->persist = guest->line && !is_id;
	return 0;
}

/*
 * Shared memory costs nothing before it is used. Xen's pages are mapped, all of
 * a connection's at once, and the driver domain may map so many of all guests
 * together (by default 1 GiB).
 */
static void config_default_memory(struct config_guest *guest)
{
	bool xen = guest->port == CONFIG_PORT_XEN;

	if (!guest->peer_memory)
		guest->peer_memory = xen ? 16ull << 20 : 128ull << 20;
	if (!guest->total_memory)
		guest->total_memory = xen ? 512ull << 20 : 16ull << 30;
}

int config_check_guest(struct config_guest *guest, const char *run_dir,
		       struct config_error *error)
{
	int length;

	config_default_memory(guest);
	if (config_check_domain(guest, error) ||
	    config_check_network(guest, error) ||
	    config_check_tto(guest, error))
		return -1;
	if (guest->peer_memory % 4096)
		return config_refuse(error, "guest %s: peer_memory = %llu is "
				     "not a multiple of 4096: use %llu",
				     guest->name,
				     (unsigned long long)guest->peer_memory,
				     (unsigned long long)(guest->peer_memory |
							  4095) + 1);
	if (guest->peer_memory > guest->total_memory)
		return config_refuse(error, "guest %s: peer_memory is more "
				     "than total_memory: correct one of them",
				     guest->name);
	if (guest->spin_usec == SPIN_BY_PORT)
		guest->spin_usec = guest->port == CONFIG_PORT_XEN ?
			SPIN_XEN_USEC : 0;
	if (!guest->mac_given)
		config_derive_mac(guest->name, guest->mac);
	if (guest->uplink == CONFIG_UPLINK_NETNS)
		memcpy(guest->netns, guest->uplink_name, sizeof(guest->netns));
	else if (!guest->netns[0])
		snprintf(guest->netns, sizeof(guest->netns), "vtoe-%s",
			 guest->name);
	if (guest->socket[0])
		return 0;
	length = snprintf(guest->socket, sizeof(guest->socket), "%s/%s.sock",
			  run_dir, guest->name);
	if (length >= (int)sizeof(guest->socket))
		return config_refuse(error, "guest %s: its socket's path is "
				     "too long: shorten run_dir", guest->name);
	return 0;
}

static bool config_same_ip(const struct value_prefix *a,
			   const struct value_prefix *b)
{
	return a->given && b->given && !memcmp(a->ip, b->ip, sizeof(a->ip));
}

int config_check_pair(const struct config_guest *guest,
		      const struct config_guest *other,
		      struct config_error *error)
{
	const char *what = NULL;

	if (!strcmp(guest->name, other->name))
		return config_refuse(error, "there is a guest %s already: "
				     "choose another name, or detach it first",
				     guest->name);
	if (config_same_ip(&guest->address4, &other->address4))
		what = "IPv4 address";
	else if (config_same_ip(&guest->address6, &other->address6))
		what = "IPv6 address";
	else if (guest->uplink != CONFIG_UPLINK_NETNS &&
		 other->uplink != CONFIG_UPLINK_NETNS &&
		 !memcmp(guest->mac, other->mac, 6))
		what = "MAC address";
	else if (!strcmp(guest->socket, other->socket))
		what = "socket";
	else if (!strcmp(guest->netns, other->netns) &&
		 (guest->uplink != CONFIG_UPLINK_NETNS ||
		  other->uplink != CONFIG_UPLINK_NETNS))
		what = "network namespace";
	else if (guest->domain[0] && !strcmp(guest->domain, other->domain))
		what = "domain";
	if (!what)
		return 0;
	return config_refuse(error, "guest %s has the same %s as guest %s: "
			     "change one of them", guest->name, what,
			     other->name);
}

static bool config_same_prefix(const struct value_prefix *a,
			       const struct value_prefix *b)
{
	return a->given == b->given && a->length == b->length &&
	       !memcmp(a->ip, b->ip, sizeof(a->ip));
}

/* Field by field: the padding of a structure has no defined value. */
bool config_guest_equal(const struct config_guest *a,
			const struct config_guest *b)
{
	size_t i;

	for (i = 0; i < CONFIG_KEYS; i++) {
		const struct config_key *key = &config_keys[i];

		if (key->size && memcmp((const char *)a + key->offset,
					(const char *)b + key->offset,
					key->size))
			return false;
	}
	return !strcmp(a->name, b->name) && a->port == b->port &&
	       !strcmp(a->domain, b->domain) && a->persist == b->persist &&
	       a->uplink == b->uplink &&
	       !strcmp(a->uplink_name, b->uplink_name) &&
	       !strcmp(a->netns, b->netns) && !memcmp(a->mac, b->mac, 6) &&
	       config_same_prefix(&a->address4, &b->address4) &&
	       config_same_prefix(&a->address6, &b->address6) &&
	       config_same_prefix(&a->gateway4, &b->gateway4) &&
	       config_same_prefix(&a->gateway6, &b->gateway6) &&
	       !strcmp(a->socket, b->socket) &&
	       a->check_address == b->check_address && a->tto == b->tto &&
	       a->tto_push == b->tto_push &&
	       a->tto_acks_alone == b->tto_acks_alone &&
	       !strcmp(a->tto_port, b->tto_port) &&
	       a->socket_mode == b->socket_mode &&
	       a->allow_count == b->allow_count &&
	       !memcmp(a->allow_uid, b->allow_uid,
		       a->allow_count * sizeof(a->allow_uid[0]));
}

void config_print_uplink(const struct config_guest *guest, char *text)
{
	static const char *const kinds[] = {
		[CONFIG_UPLINK_NONE] = "none",
		[CONFIG_UPLINK_BRIDGE] = "bridge:",
		[CONFIG_UPLINK_MACVLAN] = "macvlan:",
		[CONFIG_UPLINK_NETNS] = "netns:",
	};

	snprintf(text, 80, "%s%s", kinds[guest->uplink], guest->uplink_name);
}
