/* SPDX-License-Identifier: BSD-2-Clause */
/* xenbus_nostore.c - built without libxenstore and libxenctrl */
#include <stdio.h>

#include "daemon/xenbus.h"

struct xenbus_store *xenbus_store_open(char *why)
{
	snprintf(why, XENBUS_WHY_MAX, "port xen: this vtoed was built without "
		 "libxen: install libxen-dev and build it again");
	return NULL;
}
