/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ethtool.c - what ethtool(8) says and sets of an interface
 *
 * By its ioctl, which every kernel has, and which a socket of any kind takes.
 */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/ethtool.h"

static int ethtool_talk(const char *name, void *command)
{
	struct ifreq request = { .ifr_data = command };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -errno;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	error = ioctl(fd, SIOCETHTOOL, &request) ? -errno : 0;
	close(fd);
	return error;
}

int ethtool_tx_checksum_off(const char *name)
{
	struct ethtool_value command = { .cmd = ETHTOOL_STXCSUM, .data = 0 };

	return ethtool_talk(name, &command);
}

int ethtool_receive_queues(const char *name)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	int error = ethtool_talk(name, &channels);
	unsigned int count;

	if (error)
		return error == -EOPNOTSUPP ? 1 : error;
	count = channels.rx_count + channels.combined_count;
	return count ? (int)count : 1;
}
