// SPDX-License-Identifier: GPL-2.0-only
/*
 * main.c - module parameters, start and end
 */
#include <linux/module.h>
#include <xen/xen.h>

#include "vtoe.h"

unsigned int vtoe_connection_pages = 4096;
module_param_named(connection_pages, vtoe_connection_pages, uint, 0644);
MODULE_PARM_DESC(connection_pages,
		 "Pages of one connection's shared memory (4096: 16 MiB)");

unsigned int vtoe_max_connections = 64;
module_param_named(max_connections, vtoe_max_connections, uint, 0644);
MODULE_PARM_DESC(max_connections, "Connections of one device at once");

unsigned int vtoe_max_registered_pages = 32768;
module_param_named(max_registered_pages, vtoe_max_registered_pages, uint, 0644);
MODULE_PARM_DESC(max_registered_pages,
		 "Pages of application memory registered at one device");

static int quarantined_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%u\n", vtoe_grants_quarantined());
}

static const struct kernel_param_ops quarantined_ops = {
	.get = quarantined_get,
};
module_param_cb(quarantined_pages, &quarantined_ops, NULL, 0444);
MODULE_PARM_DESC(quarantined_pages,
		 "Pinned pages that a backend has not unmapped yet (read only)");

static int __init vtoe_init(void)
{
	int rc;

	if (!xen_domain())
		return -ENODEV;
	rc = vtoe_grants_init();
	if (rc)
		return rc;
	rc = vtoe_xenbus_init();
	if (rc)
		vtoe_grants_exit();
	return rc;
}
module_init(vtoe_init);

static void __exit vtoe_exit(void)
{
	/* No connection is open: each holds a reference to the module. */
	vtoe_xenbus_exit();
	vtoe_grants_exit();
}
module_exit(vtoe_exit);

MODULE_DESCRIPTION("vtoe: TCP offload to the driver domain, frontend");
MODULE_AUTHOR("The vtoe authors");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
MODULE_ALIAS("xen:vtoe");
