/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rtnl.h - interfaces, addresses and routes, by rtnetlink
 *
 * One struct rtnl speaks to the network namespace in which it was opened.
 * Every call waits for the kernel's answer and returns 0 or -errno; then
 * @why has the kernel's own explanation, if it gave one.
 */
#ifndef VTOE_DAEMON_RTNL_H
#define VTOE_DAEMON_RTNL_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

struct mnl_socket;

struct rtnl {
	struct mnl_socket *socket;
	unsigned int sequence;
	char why[128];
};

struct rtnl_link {
	unsigned int index;
	unsigned int flags; /* IFF_* */
	unsigned int mtu;
	uint8_t mac[6];
	char name[IFNAMSIZ];
	char alias[64];
	char kind[16]; /* "bridge", "veth", ...; "" for hardware */
};

struct rtnl_address {
	unsigned int index;
	unsigned int scope;
	uint8_t family; /* AF_* */
	uint8_t length;
	uint8_t ip[16];
};

/* What a new interface in a guest's namespace gets. */
struct rtnl_new_link {
	const char *name; /* inside */
	int netns;	  /* descriptor of the namespace */
	const uint8_t *mac;
	unsigned int mtu;
};

int rtnl_open(struct rtnl *rtnl);
void rtnl_close(struct rtnl *rtnl);

int rtnl_link_get(struct rtnl *rtnl, const char *name, struct rtnl_link *link);
/* The first interface that is up and is not loopback; -ENODEV if none. */
int rtnl_link_find_up(struct rtnl *rtnl, struct rtnl_link *link);
/* A pair: @host here, the other end as @inside says. */
int rtnl_veth_add(struct rtnl *rtnl, const char *host,
		  const struct rtnl_new_link *inside);
int rtnl_macvlan_add(struct rtnl *rtnl, unsigned int lower,
		     const struct rtnl_new_link *inside);
int rtnl_link_up(struct rtnl *rtnl, unsigned int index);
int rtnl_link_set_alias(struct rtnl *rtnl, unsigned int index,
			const char *alias);
int rtnl_link_set_master(struct rtnl *rtnl, unsigned int index,
			 unsigned int master);
int rtnl_link_del(struct rtnl *rtnl, unsigned int index);

int rtnl_address_add(struct rtnl *rtnl, const struct rtnl_address *address);
/* Calls @visit for each address; stops when it returns true. */
int rtnl_address_each(struct rtnl *rtnl,
		      bool (*visit)(const struct rtnl_address *, void *),
		      void *data);
int rtnl_route_add_default(struct rtnl *rtnl, unsigned int index,
			   uint8_t family, const uint8_t *gateway);

#endif
