/* SPDX-License-Identifier: BSD-2-Clause */
/* worker_noxen.c - built without libxengnttab and libxenevtchn */
#include "daemon/worker_xen.h"

#include <errno.h>

struct worker_xen *worker_xen_open(const struct worker_setup *setup,
				   int *error, const char **what)
{
	(void)setup;
	*error = -EOPNOTSUPP;
	*what = "port xen: this vtoed was built without libxen (install "
		"libxen-dev and build again)";
	return NULL;
}

bool worker_xen_may_zerocopy(void)
{
	return false;
}

void worker_xen_watch(struct worker_xen *x, struct device *d, unsigned which)
{
	(void)x;
	(void)d;
	(void)which;
}

int worker_xen_serve(struct worker_xen *x, struct device *d,
		     const struct vtoe_device_page *page, unsigned which)
{
	(void)x;
	(void)d;
	(void)page;
	(void)which;
	return -EPROTO;
}

void worker_xen_turn(struct worker_xen *x, struct vtoe_stats *stats)
{
	(void)x;
	(void)stats;
}

bool worker_xen_refused(struct worker_xen *x, char *why, size_t size)
{
	(void)x;
	(void)why;
	(void)size;
	return false;
}
