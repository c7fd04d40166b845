// SPDX-License-Identifier: GPL-2.0-only
/*
 * xenbus.c - the device's life on xenbus (vtoe_xen.h has the handshake)
 *
 * probe       a device appears: state Initialising
 * InitWait    the backend offers: a struct vtoe_device with ring and channel is
 *             made, Initialised
 * Connected   the backend serves: /dev/vtoeN appears, Connected
 * Closing     or Closed, or no state, or the device is removed: the struct
 *             vtoe_device is dead; connections are woken and stay behind as
 *             husks; Closed
 * InitWait    again: a new struct vtoe_device takes the place
 *
 * Every other state at any other time is ignored. When something fails here, or
 * the backend breaks the ring, we go to Closing, which an honest backend
 * answers with the way to InitWait; so each failure is tried again, at the
 * pace that it sets. One that runs round in circles costs xenstore messages and
 * the thread that handles them, as any device of any driver does; messages are
 * limited in rate, and the ring pages that it keeps count (grant.c).
 *
 * Callbacks of one device never run at the same time: xenbus has one thread for
 * watches, and stops a device's watch before removing it.
 *
 * Unloading. The driver is registered without an owner, so that a bound device
 * does not hold the module: then the module could only be unloaded after
 * unbinding by hand. That is safe, because vtoe_xenbus_exit() returns only when
 * no code of ours can be called by xenbus any more: driver_unregister() unbinds
 * each device under its lock, which waits for a probe that runs; unbinding
 * stops the watch, which waits for a callback that runs (unregister_xenbus_watch
 * takes xenwatch_mutex), and then calls remove. Files that are open hold the
 * module by themselves, so rmmod is refused then.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <xen/xenbus.h>

#include "vtoe.h"

/* -- the device ------------------------------------------------------------ */

static void vtoe_close_work(struct work_struct *work)
{
	struct vtoe_device *d = container_of(work, struct vtoe_device,
					     close_work);

	xenbus_switch_state(d->xdev, XenbusStateClosing);
}

/* In the ring's interrupt. */
void vtoe_device_lost(struct vtoe_device *d, bool broken)
{
	WRITE_ONCE(d->dead, true);
	vtoe_connections_dead(d);
	if (!broken)
		return; /* xenbus will tell */
	pr_warn_ratelimited("vtoe: the backend in domain %u broke the ring\n",
			    d->domid);
	queue_work(vtoe_workqueue, &d->close_work);
}

static struct vtoe_device *vtoe_device_new(struct xenbus_device *xdev)
{
	struct vtoe_device *d = kzalloc(sizeof(*d), GFP_KERNEL);
	int rc;

	if (!d)
		return ERR_PTR(-ENOMEM);
	spin_lock_init(&d->lock);
	INIT_LIST_HEAD(&d->connections);
	INIT_WORK(&d->close_work, vtoe_close_work);
	d->xdev = xdev;
	d->domid = xdev->otherend_id;
	rc = vtoe_chardev_prepare(d, &xdev->dev);
	return rc ? ERR_PTR(rc) : d;
}

/* Ends a device, in an order that has a reason. The ring stops first: whoever
 * waits for an answer returns, and nobody touches the page any more but the
 * interrupt. /dev/vtoeN goes; an open that is under way is refused by the ring.
 * Connections are woken. The interrupt is freed, then the page is given up.
 * The interrupt may have queued close_work, and nothing else does, so it is
 * cancelled last; xdev is not used after that. */
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
	cancel_work_sync(&d->close_work);
	put_device(&d->dev);
}

/* -- the handshake -------------------------------------------------------------- */

/* Is our version among those that the backend offers, "1,2,..."? */
static bool vtoe_is_offered(struct xenbus_device *xdev)
{
	char *list = xenbus_read(XBT_NIL, xdev->otherend, "version", NULL);
	char *rest = list, *word;
	bool found = false;
	unsigned int n;

	if (IS_ERR(list))
		return false;
	while ((word = strsep(&rest, ",")))
		if (!kstrtouint(word, 10, &n) && n == VTOE_XEN_VERSION)
			found = true;
	kfree(list);
	return found;
}

/* No transaction: the backend reads them when it sees Initialised. */
static int vtoe_publish(struct xenbus_device *xdev, struct vtoe_device *d)
{
	const struct {
		const char *key;
		unsigned int value;
	} keys[] = {
		{ "ring-ref", d->ring.memory.refs[0] },
		{ "event-channel", d->ring.evtchn },
		{ "version", VTOE_XEN_VERSION },
	};
	unsigned int i;
	int rc = 0;

	for (i = 0; i < ARRAY_SIZE(keys) && !rc; i++)
		rc = xenbus_printf(XBT_NIL, xdev->nodename, keys[i].key, "%u",
				   keys[i].value);
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
				   VTOE_NUMBERS);
}

static int vtoe_device_start(struct xenbus_device *xdev)
{
	struct vtoe_device *d = vtoe_device_new(xdev);
	int rc;

	if (IS_ERR(d))
		return PTR_ERR(d);
	vtoe_limits(xdev, d);
	rc = vtoe_ring_setup(&d->ring, d->domid);
	if (rc)
		goto put;
	rc = vtoe_publish(xdev, d);
	if (rc)
		goto ring;
	dev_set_drvdata(&xdev->dev, d);
	return xenbus_switch_state(xdev, XenbusStateInitialised);
ring:
	vtoe_ring_stop(&d->ring);
	vtoe_ring_teardown(&d->ring);
	cancel_work_sync(&d->close_work);
put:
	put_device(&d->dev);
	return rc;
}

/* The backend is in InitWait, and we have a device: have we answered this offer,
 * or is it a new one? It is if we were served before; or if our directory was
 * made anew, so that our keys are not there. */
static bool vtoe_is_new_offer(struct xenbus_device *xdev)
{
	return xdev->state != XenbusStateInitialised ||
	       xenbus_read_unsigned(xdev->nodename, "state", 0) !=
		       XenbusStateInitialised;
}

static void vtoe_offered(struct xenbus_device *xdev)
{
	int rc;

	if (dev_get_drvdata(&xdev->dev) && !vtoe_is_new_offer(xdev))
		return;
	vtoe_device_end(xdev);
	/* xenbus writes no state that it believes to be there already */
	xenbus_switch_state(xdev, XenbusStateInitialising);
	rc = vtoe_is_offered(xdev) ? vtoe_device_start(xdev) : -EPROTO;
	if (!rc)
		return;
	dev_err_ratelimited(&xdev->dev, "cannot start: %s (%d)\n",
			    rc == -EPROTO ?
				    "the backend offers no version that is known" :
				    "ring, event channel or xenstore",
			    rc);
	vtoe_device_end(xdev);
	xenbus_switch_state(xdev, XenbusStateClosing);
}

static void vtoe_connected(struct xenbus_device *xdev)
{
	struct vtoe_device *d = dev_get_drvdata(&xdev->dev);
	int rc;

	if (!d || d->registered || xdev->state != XenbusStateInitialised)
		return;
	vtoe_ring_check(&d->ring);
	rc = vtoe_chardev_add(d);
	if (rc) {
		dev_err_ratelimited(&xdev->dev, "cannot make /dev/%s (%d)\n",
				    dev_name(&d->dev), rc);
		vtoe_device_end(xdev);
		xenbus_switch_state(xdev, XenbusStateClosing);
		return;
	}
	xenbus_switch_state(xdev, XenbusStateConnected);
	dev_info_ratelimited(&xdev->dev,
			     "/dev/%s, %u connections of %u pages\n",
			     dev_name(&d->dev), d->max_connections,
			     d->connection_pages);
}

static void vtoe_otherend_changed(struct xenbus_device *xdev,
				  enum xenbus_state state)
{
	switch (state) {
	case XenbusStateInitWait:
		vtoe_offered(xdev);
		break;
	case XenbusStateConnected:
		vtoe_connected(xdev);
		break;
	case XenbusStateUnknown:
		/* Its directory is gone, or it is not there yet. */
		if (!dev_get_drvdata(&xdev->dev))
			break;
		fallthrough;
	case XenbusStateClosing:
	case XenbusStateClosed:
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

static void vtoe_remove(struct xenbus_device *xdev)
{
	vtoe_device_end(xdev);
}

/* -- what can be seen: /sys/bus/xen/drivers/vtoe/ (vtoe(4)) --------------------- */

static ssize_t connections_show(struct device_driver *driver, char *buffer)
{
	return sysfs_emit(buffer, "%u\n", vtoe_connections_count());
}
static DRIVER_ATTR_RO(connections);

static ssize_t granted_pages_show(struct device_driver *driver, char *buffer)
{
	return sysfs_emit(buffer, "%u\n", vtoe_grants_granted());
}
static DRIVER_ATTR_RO(granted_pages);

static ssize_t registered_pages_show(struct device_driver *driver, char *buffer)
{
	return sysfs_emit(buffer, "%u\n", vtoe_grants_registered());
}
static DRIVER_ATTR_RO(registered_pages);

static ssize_t quarantined_pages_show(struct device_driver *driver,
				      char *buffer)
{
	return sysfs_emit(buffer, "%u\n", vtoe_grants_quarantined());
}
static DRIVER_ATTR_RO(quarantined_pages);

static struct attribute *vtoe_attributes[] = {
	&driver_attr_connections.attr,
	&driver_attr_granted_pages.attr,
	&driver_attr_registered_pages.attr,
	&driver_attr_quarantined_pages.attr,
	NULL,
};

static const struct attribute_group vtoe_group = {
	.attrs = vtoe_attributes,
};

static const struct attribute_group *vtoe_groups[] = {
	&vtoe_group,
	NULL,
};

static const struct xenbus_device_id vtoe_ids[] = {
	{ "vtoe" },
	{ "" },
};

static struct xenbus_driver vtoe_driver = {
	.ids = vtoe_ids,
	.probe = vtoe_probe,
	.remove = vtoe_remove,
	.otherend_changed = vtoe_otherend_changed,
	.driver.groups = vtoe_groups,
	.not_essential = true,
};

int vtoe_xenbus_init(void)
{
	return __xenbus_register_frontend(&vtoe_driver, NULL, KBUILD_MODNAME);
}

void vtoe_xenbus_exit(void)
{
	xenbus_unregister_driver(&vtoe_driver);
}
