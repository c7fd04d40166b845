/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * network.h - what a guest has in the driver domain's network
 */
#ifndef VTOE_DAEMON_NETWORK_H
#define VTOE_DAEMON_NETWORK_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/config.h"

#define NETWORK_INSIDE "eth0"
#define NETWORK_WHY_MAX 256

struct network {
	int netns;	   /* descriptor; -1: none */
	bool ours;	   /* we made the namespace */
	bool named;	   /* ... and it has its name */
	uint64_t inode;
	char netns_name[64];
	char host[IFNAMSIZ];   /* the veth's end outside; "": none */
	char inside[IFNAMSIZ]; /* "": none */
	char state_path[128];  /* the note for a later supervisor */
	/* What the guest is told. */
	uint8_t mac[6];
	uint32_t mtu;
	struct value_prefix address4, address6;
};

void network_init(struct network *network);
/* 0, or -1 with @why, and nothing left behind. */
int network_create(struct network *network, const struct config_guest *guest,
		   const char *run_dir, char *why);
/* Frames may come. Before that its end of a veth is down. */
int network_connect(const struct network *network, char *why);
/* Undoes all that was made; harmless on an empty one. */
void network_destroy(struct network *network);

#endif
