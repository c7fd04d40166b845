// SPDX-License-Identifier: GPL-2.0-only
/*
 * xenbus.c - the device's life on xenbus (vtoe_xen.h has the handshake)
 *
 * probe       a device appears: ours is made, state Initialising
 * InitWait    the backend offers: ring and channel are made, Initialised
 * Connected   the backend serves: /dev/vtoeN appears, Connected
 * Closing     or Closed, or the device is removed: the struct vtoe_device is
 *             dead; connections are woken and stay behind as husks
 * InitWait    again: a new struct vtoe_device takes the place
 */
#include <linux/idr.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <xen/xenbus.h>

#include "vtoe.h"

static DEFINE_IDA(vtoe_indices);

static void vtoe_device_free(struct kref *ref)
{
	struct vtoe_device *d = container_of(ref, struct vtoe_device, ref);

	ida_free(&vtoe_indices, d->index);
	kfree(d);
}

void vtoe_device_put(struct vtoe_device *d)
{
	kref_put(&d->ref, vtoe_device_free);
}

static struct vtoe_device *vtoe_device_new(struct xenbus_device *xdev)
{
	struct vtoe_device *d = kzalloc(sizeof(*d), GFP_KERNEL);
	int index;

	if (!d)
		return ERR_PTR(-ENOMEM);
	index = ida_alloc(&vtoe_indices, GFP_KERNEL);
	if (index < 0) {
		kfree(d);
		return ERR_PTR(index);
	}
	kref_init(&d->ref);
	spin_lock_init(&d->lock);
	INIT_LIST_HEAD(&d->connections);
	d->index = index;
	d->xdev = xdev;
	d->domid = xdev->otherend_id;
	return d;
}

/* Ends a device. The order matters: the ring stops first, so that no call
 * waits or is made; then /dev/vtoeN goes (it waits for an open that is under
 * way), then the ring, which nobody uses any more. */
static void vtoe_device_end(struct xenbus_device *xdev)
{
	struct vtoe_device *d = dev_get_drvdata(&xdev->dev);

	if (!d)
		return;
	dev_set_drvdata(&xdev->dev, NULL);
	WRITE_ONCE(d->dead, true);
	vtoe_ring_stop(&d->ring);
	vtoe_chardev_remove(d);
	vtoe_connections_dead(d);
	vtoe_ring_teardown(&d->ring);
	vtoe_device_put(d);
}

static int vtoe_publish(struct xenbus_device *xdev, struct vtoe_device *d)
{
	struct xenbus_transaction t;
	int rc;

again:
	rc = xenbus_transaction_start(&t);
	if (rc)
		return rc;
	rc = xenbus_printf(t, xdev->nodename, "ring-ref", "%u", d->ring.ref);
	if (!rc)
		rc = xenbus_printf(t, xdev->nodename, "event-channel", "%u",
				   d->ring.evtchn);
	if (!rc)
		rc = xenbus_printf(t, xdev->nodename, "version", "%u",
				   VTOE_XEN_VERSION);
	if (rc) {
		xenbus_transaction_end(t, 1);
		return rc;
	}
	rc = xenbus_transaction_end(t, 0);
	if (rc == -EAGAIN)
		goto again;
	return rc;
}

static void vtoe_limits(struct xenbus_device *xdev, struct vtoe_device *d)
{
	unsigned int pages, connections;

	pages = xenbus_read_unsigned(xdev->otherend, "connection-pages", 4096);
	connections = xenbus_read_unsigned(xdev->otherend, "max-connections",
					   16);
	d->connection_pages = clamp(min(pages, vtoe_connection_pages), 64U,
				    VTOE_XEN_MAX_PAGES);
	d->max_connections = clamp(min(connections, vtoe_max_connections), 1U,
				   1024U);
}

static int vtoe_device_start(struct xenbus_device *xdev)
{
	unsigned int version;
	struct vtoe_device *d;
	int rc;

	/* The one version so far; others are behind a comma. */
	rc = xenbus_scanf(XBT_NIL, xdev->otherend, "version", "%u", &version);
	if (rc != 1 || version != VTOE_XEN_VERSION) {
		xenbus_dev_fatal(xdev, -EPROTO,
				 "the backend offers no version that is known");
		return -EPROTO;
	}
	d = vtoe_device_new(xdev);
	if (IS_ERR(d))
		return PTR_ERR(d);
	vtoe_limits(xdev, d);
	rc = vtoe_ring_setup(xdev, &d->ring);
	if (rc)
		goto put;
	rc = vtoe_publish(xdev, d);
	if (rc) {
		vtoe_ring_teardown(&d->ring);
		goto put;
	}
	dev_set_drvdata(&xdev->dev, d);
	return xenbus_switch_state(xdev, XenbusStateInitialised);
put:
	vtoe_device_put(d);
	return rc;
}

static void vtoe_connected(struct xenbus_device *xdev)
{
	struct vtoe_device *d = dev_get_drvdata(&xdev->dev);
	int rc;

	if (!d || d->registered)
		return;
	rc = vtoe_chardev_add(d);
	if (rc) {
		xenbus_dev_fatal(xdev, rc, "cannot make /dev/%s", d->name);
		return;
	}
	xenbus_switch_state(xdev, XenbusStateConnected);
	dev_info(&xdev->dev, "/dev/%s, %u connections of %u pages\n", d->name,
		 d->max_connections, d->connection_pages);
}

static void vtoe_otherend_changed(struct xenbus_device *xdev,
				  enum xenbus_state state)
{
	switch (state) {
	case XenbusStateInitWait:
		/* Either the first time, or the backend has a new worker. */
		if (dev_get_drvdata(&xdev->dev) &&
		    xdev->state != XenbusStateConnected)
			break;
		vtoe_device_end(xdev);
		if (vtoe_device_start(xdev))
			xenbus_dev_error(xdev, -EIO, "cannot start");
		break;
	case XenbusStateConnected:
		vtoe_connected(xdev);
		break;
	case XenbusStateClosing:
	case XenbusStateClosed:
		if (xdev->state == XenbusStateClosed)
			break;
		vtoe_device_end(xdev);
		xenbus_switch_state(xdev, XenbusStateClosed);
		break;
	default:
		break;
	}
}

static int vtoe_probe(struct xenbus_device *xdev,
		      const struct xenbus_device_id *id)
{
	return xenbus_switch_state(xdev, XenbusStateInitialising);
}

/* Linux 6.3 changed it, and so did stable kernels of before: see Kbuild. */
#ifndef VTOE_REMOVE_RETURNS_INT
static void vtoe_remove(struct xenbus_device *xdev)
{
	vtoe_device_end(xdev);
}
#else
static int vtoe_remove(struct xenbus_device *xdev)
{
	vtoe_device_end(xdev);
	return 0;
}
#endif

static const struct xenbus_device_id vtoe_ids[] = {
	{ "vtoe" },
	{ "" },
};

static struct xenbus_driver vtoe_driver = {
	.ids = vtoe_ids,
	.probe = vtoe_probe,
	.remove = vtoe_remove,
	.otherend_changed = vtoe_otherend_changed,
	.not_essential = true,
};

int vtoe_xenbus_init(void)
{
	return xenbus_register_frontend(&vtoe_driver);
}

void vtoe_xenbus_exit(void)
{
	xenbus_unregister_driver(&vtoe_driver);
	ida_destroy(&vtoe_indices);
}
