// SPDX-License-Identifier: BSD-2-Clause
/*
 * maps.c - what the kernel says is mapped
 *
 * Replacing the pages of memory is only right if it is what we think it is.
 * Registering and unregistering are rare, so the one true source is asked:
 * /proc/self/maps. Its lines come in the order of addresses.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

struct mapping {
	uint64_t start, end, offset, inode;
	char rights[5];
	char name[16]; /* its first characters */
};

static bool mapping_next(FILE *maps, struct mapping *m)
{
	char line[512];
	bool rest;
	int n;

	if (!fgets(line, sizeof(line), maps))
		return false;
	rest = !strchr(line, '\n');
	m->name[0] = 0;
	n = sscanf(line,
		   "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64
		   " %*x:%*x %" SCNu64 " %15s",
		   &m->start, &m->end, m->rights, &m->offset, &m->inode,
		   m->name);
	while (rest && fgets(line, sizeof(line), maps))
		rest = !strchr(line, '\n'); /* a long path */
	return n >= 5;
}

static FILE *maps_open(void)
{
	return fopen("/proc/self/maps", "re");
}

int maps_check_private(uintptr_t at, size_t bytes)
{
	uint64_t end = at + bytes;
	struct mapping m;
	int rc = -EFAULT;
	FILE *maps;

	maps = maps_open();
	if (!maps)
		return -errno;
	while (at < end && mapping_next(maps, &m)) {
		if (m.end <= at)
			continue;
		if (m.start > at)
			break; /* a hole */
		/* the kernel grows a main stack: it must stay what it is */
		if (strcmp(m.rights, "rw-p") || m.inode ||
		    !strcmp(m.name, "[stack]")) {
			rc = -EINVAL;
			break;
		}
		at = (uintptr_t)m.end;
	}
	fclose(maps);
	return at >= end ? 0 : rc;
}

size_t maps_find_shared(uintptr_t at, size_t bytes, uint64_t inode,
			uint64_t offset, uintptr_t *found)
{
	uintptr_t end = at + bytes, start, stop;
	struct mapping m;
	size_t n = 0;
	FILE *maps;

	maps = maps_open();
	if (!maps)
		return 0;
	while (!n && mapping_next(maps, &m) && m.start < end) {
		start = m.start > at ? (uintptr_t)m.start : at;
		stop = m.end < end ? (uintptr_t)m.end : end;
		if (start >= stop || m.inode != inode || m.rights[3] != 's' ||
		    m.offset + (start - m.start) != offset + (start - at))
			continue;
		*found = start;
		n = stop - start;
	}
	fclose(maps);
	return n;
}
