/* SPDX-License-Identifier: BSD-2-Clause */
/* path_kernel.c - the world of path_guest.h: the kernel's sockets, on loopback */
#include "path_guest.h"

#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>

struct device device;
const uint32_t world_own = INADDR_LOOPBACK, world_peer = INADDR_LOOPBACK;
const bool world_off_waits = true;

int world_start(const struct device_limits *limits)
{
	return device_init(&device, limits, &stats);
}

void world_stop(void)
{
	device_free(&device);
}

uint64_t world_us(uint64_t ms)
{
	return ms * 1000;
}

int world_network(void)
{
	struct ifreq up = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd, rc;

	if (unshare(CLONE_NEWNET))
		return -1;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	rc = ioctl(fd, SIOCSIFFLAGS, &up);
	close(fd);
	return rc;
}
