/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/bridge_port.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "nic/shortcut.h"

struct bridge_port {
	struct list node;
	char name[IFNAMSIZ];
	uint32_t guests;
	struct shortcut shortcut;
};

static struct list bridge_ports = { &bridge_ports, &bridge_ports };

static struct bridge_port *bridge_port_find(const char *name)
{
	struct list *at, *next;

	list_for_each_safe(at, next, &bridge_ports) {
		struct bridge_port *p = list_entry(at, struct bridge_port, node);

		if (!strcmp(p->name, name))
			return p;
	}
	return NULL;
}

static const char *bridge_port_remedy(int error)
{
	switch (error) {
	case EPERM:
	case EACCES:
		return ": run vtoed as root, or with CAP_BPF and "
		       "CAP_NET_ADMIN";
	case EBUSY:
	case EEXIST:
		return ": another XDP program is there";
	case EOPNOTSUPP:
	case EINVAL:
		return ": its driver may have no XDP, or not with its present "
		       "offloads (turn lro and rx-gro-hw off with ethtool -K)";
	}
	return "";
}

static struct bridge_port *bridge_port_open(const char *name, char *why)
{
	struct bridge_port *p = calloc(1, sizeof(*p));
	unsigned ifindex = if_nametoindex(name);
	int error = ifindex && p ? 0 : -errno;

	if (!error)
		error = shortcut_open(&p->shortcut, (int)ifindex);
	if (error) {
		snprintf(why, BRIDGE_PORT_WHY_MAX,
			 "an XDP program on %s: %s%s", name, strerror(-error),
			 bridge_port_remedy(-error));
		free(p);
		return NULL;
	}
	snprintf(p->name, sizeof(p->name), "%s", name);
	list_add_tail(&bridge_ports, &p->node);
	return p;
}

static void bridge_port_put(struct bridge_port *p)
{
	if (p->guests)
		return;
	list_del(&p->node);
	shortcut_close(&p->shortcut);
	free(p);
}

int bridge_port_add(const char *port, const uint8_t mac[6], const char *host,
		    char *why)
{
	struct bridge_port *p = bridge_port_find(port);
	unsigned ifindex = if_nametoindex(host);
	int error = ifindex ? 0 : -errno;

	if (!p)
		p = bridge_port_open(port, why);
	if (!p)
		return -1;
	if (!error)
		error = shortcut_add(&p->shortcut, mac, ifindex);
	if (!error) {
		p->guests++;
		return 0;
	}
	snprintf(why, BRIDGE_PORT_WHY_MAX, "frames from %s to %s: %s", port,
		 host, strerror(-error));
	bridge_port_put(p);
	return -1;
}

void bridge_port_remove(const char *port, const uint8_t mac[6])
{
	struct bridge_port *p = bridge_port_find(port);

	if (!p)
		return;
	shortcut_remove(&p->shortcut, mac);
	p->guests--;
	bridge_port_put(p);
}
