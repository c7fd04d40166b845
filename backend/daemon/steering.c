/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * steering.c - the supervisor's part of a guest's TTO service
 *
 * What has to be right before the program is put on the interface is checked
 * here, because afterwards it would show as connections that hang: a frame that
 * is longer than the buffers, one on a queue that no socket serves, or one
 * whose checksum its sender has left to the device, would be dropped.
 */
#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/bridge_port.h"
#include "daemon/ethtool.h"
#include "daemon/log.h"
#include "daemon/netns.h"
#include "daemon/pins.h"
#include "daemon/steering.h"
#include "path/tto.h"

#define MTU_MIN 576u /* config_guest.c's */

void steering_init(struct steering *steering)
{
	memset(steering, 0, sizeof(*steering));
}

__attribute__((format(printf, 2, 3)))
static int steering_refuse(struct steering *steering, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(steering->why, sizeof(steering->why), format, arguments);
	va_end(arguments);
	return -1;
}

static int steering_check(struct steering *steering,
			  const struct network *network)
{
	uint32_t mtu = network->mtu;

	if (!tto_is_built())
		return steering_refuse(steering, "this vtoed is built without "
				       "it: build it again with libbpf-dev");
	if (!network->inside[0])
		return steering_refuse(steering, "there is no interface that "
				       "is up in namespace %s: add one, and "
				       "attach the guest again",
				       network->netns_name);
	if (tto_frame_max(mtu))
		return 0;
	while (mtu > MTU_MIN && !tto_frame_max(mtu))
		mtu--;
	return steering_refuse(steering, "the mtu %u of %s is too large: use "
			       "at most %u", network->mtu, network->inside,
			       mtu);
}

static const char *steering_remedy(int error)
{
	switch (error) {
	case EPERM:
	case EACCES:
		return ": run vtoed as root, or with CAP_BPF, CAP_NET_ADMIN "
		       "and CAP_NET_RAW";
	case EBUSY:
	case EEXIST:
		return ": another XDP program is there: take it off with `ip "
		       "link set dev INTERFACE xdp off`";
	}
	return ": does this kernel have BPF and AF_XDP?";
}

/* Runs in the guest's namespace. */
static int steering_open_inside(struct steering *steering,
				const struct network *network,
				const struct config_guest *guest,
				const char *pins)
{
	struct steer_config config = {
		.claims_max = guest->streams,
		.queues = 1,
		.frame_max = tto_frame_max(network->mtu),
		.pins = pins,
	};
	int queues = ethtool_receive_queues(network->inside);
	int error;

	steering->ifindex = if_nametoindex(network->inside);
	if (queues < 0 || !steering->ifindex)
		return steering_refuse(steering, "reading interface %s: %s",
				       network->inside,
				       strerror(queues < 0 ? -queues : errno));
	if (queues > 1)
		return steering_refuse(steering, "%s has %d receive queues, "
				       "and one is served: `ethtool -L %s "
				       "combined 1`, or rx 1", network->inside,
				       queues, network->inside);
	config.ifindex = (int)steering->ifindex;
	error = steer_open(&steering->steer, &config);
	if (error)
		return steering_refuse(steering, "an XDP program on %s: %s%s",
				       network->inside, strerror(-error),
				       steering_remedy(-error));
	steering->open = true;
	if (steering->steer.unpinned)
		snprintf(steering->unpinned, sizeof(steering->unpinned),
			 "pinning in %s: %s", pins,
			 strerror(-steering->steer.unpinned));
	return 0;
}

static int steering_try(struct steering *steering,
			const struct network *network,
			const struct config_guest *guest, const char *run_dir)
{
	char pins[PINS_PATH_MAX];
	bool pinned;
	int result;
	int error;
	int home;

	if (steering_check(steering, network))
		return -1;
	pinned = !pins_open(run_dir, guest->name, pins, steering->unpinned);
	error = netns_enter(network->netns, &home);
	if (error)
		return steering_refuse(steering, "entering namespace %s: %s",
				       network->netns_name, strerror(-error));
	result = steering_open_inside(steering, network, guest,
				      pinned ? pins : NULL);
	netns_leave(home);
	if (result || !network->host[0])
		return result;
	error = ethtool_tx_checksum_off(network->host);
	if (!error)
		return 0;
	return steering_refuse(steering, "turning TX checksums of %s off: %s",
			       network->host, strerror(-error));
}

/* A frame that is handed over is dropped unless the program that gets it is in
 * the driver. */
static void steering_open_port(struct steering *steering,
			       const struct network *network,
			       const struct config_guest *guest)
{
	char why[BRIDGE_PORT_WHY_MAX] = "the XDP program inside is generic";

	if (!guest->tto_port[0])
		return;
	if (!steering->steer.native ||
	    bridge_port_add(guest->tto_port, network->mac, network->host,
			    why)) {
		vtoe_log(VTOE_LOG_WARNING, "guest %s: frames come by the "
			 "bridge: %s", guest->name, why);
		return;
	}
	strcpy(steering->port, guest->tto_port);
	memcpy(steering->mac, network->mac, sizeof(steering->mac));
	vtoe_log(VTOE_LOG_INFO, "guest %s: frames come from %s past the "
		 "bridge", guest->name, steering->port);
}

void steering_open(struct steering *steering, const struct network *network,
		   const struct config_guest *guest, const char *run_dir)
{
	if (!guest->tto)
		return;
	if (steering_try(steering, network, guest, run_dir)) {
		steering_close(steering, guest, run_dir);
		vtoe_log(VTOE_LOG_WARNING, "guest %s: TTO is not offered: %s",
			 guest->name, steering->why);
		return;
	}
	vtoe_log(VTOE_LOG_INFO, "guest %s: frames are steered on %s (%s XDP)%s",
		 guest->name, network->inside,
		 steering->steer.native ? "native" : "generic",
		 steering->steer.found ? ", with the claims of an earlier "
					 "vtoed" : "");
	if (steering->unpinned[0])
		vtoe_log(VTOE_LOG_WARNING, "guest %s: claims end with vtoed: "
			 "%s", guest->name, steering->unpinned);
	steering_open_port(steering, network, guest);
}

/* The port first: the program inside takes what it hands over. */
static void steering_leave(struct steering *steering,
			   void (*leave)(struct steer *steer))
{
	if (steering->port[0])
		bridge_port_remove(steering->port, steering->mac);
	steering->port[0] = '\0';
	if (steering->open)
		leave(&steering->steer);
	steering->open = false;
	steering->unpinned[0] = '\0';
}

void steering_hand_over(struct steering *steering)
{
	steering_leave(steering, steer_close);
}

void steering_close(struct steering *steering, const struct config_guest *guest,
		    const char *run_dir)
{
	steering_leave(steering, steer_end);
	if (guest->tto)
		pins_remove(run_dir, guest->name);
}
