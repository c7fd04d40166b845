/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config.h - the configuration of the supervisor
 *
 * config_parse() is pure: text in, a struct config out, no system call but
 * malloc. The same keys come from a `[guest NAME]` section and from
 * `vtoectl attach NAME key=value`, through config_set_guest().
 */
#ifndef VTOE_DAEMON_CONFIG_H
#define VTOE_DAEMON_CONFIG_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/value.h"

#define CONFIG_NAME_MAX 12 /* the host's interface is vt-NAME (IFNAMSIZ) */
#define CONFIG_ALLOW_MAX 16
#define CONFIG_PATH_MAX 108 /* of struct sockaddr_un */
#define CONFIG_FILE_MAX (1u << 20)
#define CONFIG_GUESTS_MAX 1024

enum config_port { CONFIG_PORT_LOCAL, CONFIG_PORT_XEN };

enum config_uplink {
	CONFIG_UPLINK_NONE,    /* a namespace with nothing but loopback */
	CONFIG_UPLINK_BRIDGE,  /* a veth pair, its host end in a bridge */
	CONFIG_UPLINK_MACVLAN, /* a macvlan of an interface */
	CONFIG_UPLINK_NETNS,   /* an existing namespace, used as it is */
};

/* What PSH does to an aggregate. By default it joins unless aggregates are
 * held. */
enum config_push {
	CONFIG_PUSH_DEFAULT = 0,
	CONFIG_PUSH_END,
	CONFIG_PUSH_JOIN,
};

struct config_guest {
	char name[CONFIG_NAME_MAX + 1];
	unsigned int line; /* of its section; 0: from `vtoectl attach` */
	enum config_port port;
	char domain[64];      /* of Xen: its name, or its id */
	bool persist_given;
	bool persist;	      /* it may come, go and reboot */
	enum config_uplink uplink;
	char uplink_name[64]; /* bridge, interface or namespace */
	char netns[64];	      /* name of the namespace; "": vtoe-NAME */
	bool mac_given;
	uint8_t mac[6];
	struct value_prefix address4, address6;
	struct value_prefix gateway4, gateway6;
	bool check_address;   /* ask the network whether it is in use */
	uint32_t mtu;	      /* 0: the uplink's */
	char socket[CONFIG_PATH_MAX]; /* "": RUN_DIR/NAME.sock */
	uint32_t socket_mode;
	uint32_t allow_count;
	uint32_t allow_uid[CONFIG_ALLOW_MAX];
	uint32_t peers, lanes, streams, peer_streams, regions;
	uint64_t peer_memory, total_memory;
	uint32_t spin_usec, zerocopy_min, credit;
	bool tto;	      /* offer the TTO service too */
	uint32_t tto_hold_usec;
	uint32_t tto_segments;
	enum config_push tto_push;
	bool tto_acks_alone;
	char tto_port[16];    /* "": none */
};

struct config {
	char run_dir[64];
	char worker_user[33]; /* "": vtoe if there is such a user, else nobody */
	char control_group[33]; /* "": only root may use the control socket */
	uint32_t log_level;   /* enum vtoe_log_level */
	struct config_guest *guests;
	size_t guest_count;
};

struct config_error {
	unsigned int line; /* 0: of no line in particular */
	char text[VALUE_WHY_MAX + 128];
};

void config_init(struct config *config);
void config_free(struct config *config);

/* 0, or -1 with @error filled and nothing left to free. */
int config_parse(struct config *config, const char *text, size_t length,
		 struct config_error *error);
/* Reads the file first. */
int config_load(struct config *config, const char *path,
		struct config_error *error);

/* One guest: defaults, one key, and the checks that need every key. */
int config_init_guest(struct config_guest *guest, const char *name,
		      struct config_error *error);
int config_set_guest(struct config_guest *guest, const char *key,
		     const char *value, struct config_error *error);
int config_check_guest(struct config_guest *guest, const char *run_dir,
		       struct config_error *error);
/* Whether both can exist: names, MACs, addresses, namespaces, sockets. */
int config_check_pair(const struct config_guest *guest,
		      const struct config_guest *other,
		      struct config_error *error);
bool config_guest_equal(const struct config_guest *a,
			const struct config_guest *b);

/* "debug", "info", ... as in `log_level`. */
int config_parse_log_level(const char *text, uint32_t *level, char *why);
const char *config_log_level_name(uint32_t level);

/* "bridge:br0" and the like, into a buffer of 80 bytes. */
void config_print_uplink(const struct config_guest *guest, char *text);

#endif
