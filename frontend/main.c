// SPDX-License-Identifier: GPL-2.0-only
/*
 * main.c - module parameters, start and end
 */
#include <linux/module.h>
#include <linux/workqueue.h>
#include <xen/xen.h>

#include "vtoe.h"

/* Read when a device connects, but for the last three, which are read each time. */
unsigned int vtoe_connection_pages = 4096;
module_param_named(connection_pages, vtoe_connection_pages, uint, 0644);
MODULE_PARM_DESC(connection_pages,
		 "Pages of one connection's shared memory (4096: 16 MiB)");

unsigned int vtoe_max_connections = 64;
module_param_named(max_connections, vtoe_max_connections, uint, 0644);
MODULE_PARM_DESC(max_connections, "Connections of one device at once (64)");

/* Half of what a guest may grant by default: others grant too. */
unsigned int vtoe_max_registered_pages = 16384;
module_param_named(max_registered_pages, vtoe_max_registered_pages, uint, 0644);
MODULE_PARM_DESC(max_registered_pages,
		 "Pages of application memory registered at one device (16384)");

unsigned int vtoe_max_quarantined_pages;
module_param_named(max_quarantined_pages, vtoe_max_quarantined_pages, uint,
		   0644);
MODULE_PARM_DESC(max_quarantined_pages,
		 "Pages that a backend may keep before nothing more is granted (0: an eighth of memory)");

/* A backend whose process has ended is noticed at once. This is for one that
 * lives and does not answer, which an honest one may do, without malice, when
 * its domain gets no processor. */
unsigned int vtoe_call_timeout_ms = 5000;
module_param_named(call_timeout_ms, vtoe_call_timeout_ms, uint, 0644);
MODULE_PARM_DESC(call_timeout_ms,
		 "Time without any answer of the backend after which opening and registering fail (5000)");

struct workqueue_struct *vtoe_workqueue;

static int __init vtoe_init(void)
{
	int rc;

	if (!xen_domain())
		return -ENODEV;
	vtoe_workqueue = alloc_workqueue("vtoe", WQ_UNBOUND, 0);
	if (!vtoe_workqueue)
		return -ENOMEM;
	vtoe_grants_init();
	rc = vtoe_chardev_init();
	if (rc)
		goto workqueue;
	rc = vtoe_xenbus_init();
	if (rc)
		goto chardev;
	return 0;
chardev:
	vtoe_chardev_exit();
workqueue:
	destroy_workqueue(vtoe_workqueue);
	return rc;
}
module_init(vtoe_init);

/* No file is open, each would hold the module. After xenbus nothing begins any
 * more; then what has not ended ends, and then the quarantine is given away. */
static void __exit vtoe_exit(void)
{
	vtoe_xenbus_exit();
	vtoe_chardev_exit();
	vtoe_grants_exit();
	destroy_workqueue(vtoe_workqueue);
}
module_exit(vtoe_exit);

MODULE_DESCRIPTION("vtoe: TCP offload to the driver domain, frontend");
MODULE_AUTHOR("The vtoe authors");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
MODULE_ALIAS("xen:vtoe");
