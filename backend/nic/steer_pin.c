/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * steer_pin.c - a map and a link that outlive who made them
 *
 * Two names in a directory of a bpf file system: `claims`, the map, and `link`,
 * by which the program stays on the interface. All else is made anew by whoever
 * takes over: the program is exchanged in the link at one instant, so it may be
 * of another version; the map of sockets would be empty in any case.
 *
 * The two are independent. An interface that was made anew needs a new link, and
 * the claims are good for it as they are. An ifindex means something in its
 * network namespace only, so a link is that of an interface if the interface
 * says that it has the link's program.
 */
#include "nic/steer_pin.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PIN_PATH_MAX 256

static const char pin_claims[] = "claims", pin_link[] = "link";

static int pin_path(char path[PIN_PATH_MAX], const char *directory,
		    const char *name)
{
	int n = snprintf(path, PIN_PATH_MAX, "%s/%s", directory, name);

	return n < PIN_PATH_MAX ? 0 : -ENAMETOOLONG;
}

static void pin_remove(const char *directory, const char *name)
{
	char path[PIN_PATH_MAX];

	if (!pin_path(path, directory, name))
		unlink(path);
}

static int pin_open(const char *directory, const char *name)
{
	char path[PIN_PATH_MAX];
	int fd, rc = pin_path(path, directory, name);

	if (rc)
		return rc;
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

static int pin_put(const char *directory, const char *name, int fd)
{
	char path[PIN_PATH_MAX];
	int rc = pin_path(path, directory, name);

	if (rc)
		return rc;
	unlink(path);
	return bpf_obj_pin(fd, path) ? -errno : 0;
}

static int pin_stale(const char *directory, const char *name, int fd)
{
	close(fd);
	pin_remove(directory, name);
	return -ENOENT;
}

int steer_pin_find_claims(const char *directory, uint32_t claims_max)
{
	int fd = pin_open(directory, pin_claims);
	struct bpf_map_info map = { 0 };
	uint32_t bytes = sizeof(map);

	if (fd < 0)
		return fd;
	if (!bpf_obj_get_info_by_fd(fd, &map, &bytes) &&
	    map.type == BPF_MAP_TYPE_HASH && !map.map_flags &&
	    map.key_size == sizeof(struct steer_claim) &&
	    map.value_size == sizeof(uint64_t) &&
	    map.max_entries == claims_max &&
	    !strcmp(map.name, STEER_PIN_CLAIMS))
		return fd;
	return pin_stale(directory, pin_claims, fd);
}

static bool pin_link_is_of(int fd, int ifindex, uint32_t *mode)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, on);
	struct bpf_link_info link = { 0 };
	uint32_t bytes = sizeof(link);

	if (bpf_obj_get_info_by_fd(fd, &link, &bytes) ||
	    link.type != BPF_LINK_TYPE_XDP || !link.prog_id ||
	    link.xdp.ifindex != (uint32_t)ifindex ||
	    bpf_xdp_query(ifindex, 0, &on))
		return false;
	*mode = link.prog_id == on.drv_prog_id ? XDP_FLAGS_DRV_MODE :
						 XDP_FLAGS_SKB_MODE;
	return link.prog_id == on.drv_prog_id || link.prog_id == on.skb_prog_id;
}

int steer_pin_find_link(const char *directory, int ifindex, uint32_t *mode)
{
	int fd = pin_open(directory, pin_link);

	if (fd < 0 || pin_link_is_of(fd, ifindex, mode))
		return fd;
	/* without that the program goes some time after its last name */
	(void)bpf_link_detach(fd);
	return pin_stale(directory, pin_link, fd);
}

int steer_pin_claims(const char *directory, int claims)
{
	return pin_put(directory, pin_claims, claims);
}

int steer_pin_link(const char *directory, int link)
{
	return pin_put(directory, pin_link, link);
}

void steer_pin_remove_link(const char *directory)
{
	pin_remove(directory, pin_link);
}

void steer_pin_remove(const char *directory)
{
	pin_remove(directory, pin_link);
	pin_remove(directory, pin_claims);
}
