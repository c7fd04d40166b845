// SPDX-License-Identifier: GPL-2.0-only
/*
 * chardev.c - /dev/vtoeN: an open file is a connection
 *
 * open: pages are allocated and granted, an event channel is made, and the
 * backend is told (CONNECT). mmap gives the pages to the application, which
 * then speaks with the backend through them. The event channel's interrupt
 * signals the eventfds that the application has named, and the doorbell ioctl
 * is the other direction.
 *
 * release, in two phases: first nobody can use the connection any more (the
 * backend is told, and answers when it has unmapped; the channel is unbound, so
 * no interrupt comes), then memory is taken back. A backend that is dead or
 * does not answer changes nothing of that: its mappings end when it does, and
 * until then the pages are quarantined (grant.c).
 */
#include <linux/fs.h>
#include <linux/interrupt.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/version.h>
#include <xen/events.h>

#include "vtoe.h"

static void connection_signal(struct vtoe_connection *c)
{
	unsigned long flags;
	unsigned int i;

	spin_lock_irqsave(&c->event_lock, flags);
	for (i = 0; i < VTOE_VECTORS_MAX; i++) {
		if (!c->events[i])
			continue;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
		eventfd_signal(c->events[i]);
#else
		eventfd_signal(c->events[i], 1);
#endif
	}
	spin_unlock_irqrestore(&c->event_lock, flags);
}

static irqreturn_t connection_interrupt(int irq, void *data)
{
	connection_signal(data);
	return IRQ_HANDLED;
}

void vtoe_connections_dead(struct vtoe_device *d)
{
	struct vtoe_connection *c;
	unsigned long flags;

	spin_lock_irqsave(&d->lock, flags);
	list_for_each_entry(c, &d->connections, node) {
		wake_up_all(&c->wait);
		connection_signal(c);
	}
	spin_unlock_irqrestore(&d->lock, flags);
}

static int connection_number(struct vtoe_device *d, struct vtoe_connection *c)
{
	unsigned long flags;
	unsigned int n;

	spin_lock_irqsave(&d->lock, flags);
	n = find_first_zero_bit(d->numbers, d->max_connections);
	if (n < d->max_connections) {
		set_bit(n, d->numbers);
		c->number = n;
		list_add_tail(&c->node, &d->connections);
	}
	spin_unlock_irqrestore(&d->lock, flags);
	return n < d->max_connections ? 0 : -EUSERS;
}

static void connection_forget(struct vtoe_connection *c)
{
	struct vtoe_device *d = c->device;
	unsigned long flags;

	spin_lock_irqsave(&d->lock, flags);
	clear_bit(c->number, d->numbers);
	list_del(&c->node);
	spin_unlock_irqrestore(&d->lock, flags);
}

static int connection_channel(struct vtoe_connection *c)
{
	int rc;

	rc = xenbus_alloc_evtchn(c->device->xdev, &c->evtchn);
	if (rc)
		return rc;
	rc = bind_evtchn_to_irqhandler(c->evtchn, connection_interrupt, 0,
				       "vtoe-connection", c);
	if (rc < 0) {
		xenbus_free_evtchn(c->device->xdev, c->evtchn);
		return rc;
	}
	c->irq = rc;
	return 0;
}

static int connection_tell(struct vtoe_connection *c, u8 op)
{
	struct vtoe_xen_request q = { .op = op, .connection = c->number };
	struct vtoe_xen_completion done;
	int rc;

	if (op == VTOE_XEN_CONNECT) {
		vtoe_grants_describe(&c->memory, &q);
		q.u.memory.event_channel = c->evtchn;
	}
	rc = vtoe_device_call(c->device, &q, &done, VTOE_CALL_TIMEOUT);
	if (!rc)
		rc = done.result;
	return rc > 0 ? -EPROTO : rc;
}

static int vtoe_open(struct inode *inode, struct file *file)
{
	struct vtoe_device *d = container_of(file->private_data,
					     struct vtoe_device, misc);
	struct vtoe_connection *c;
	int rc;

	c = kzalloc(sizeof(*c), GFP_KERNEL_ACCOUNT);
	if (!c)
		return -ENOMEM;
	mutex_init(&c->lock);
	spin_lock_init(&c->event_lock);
	init_waitqueue_head(&c->wait);
	INIT_LIST_HEAD(&c->regions);
	c->device = d;
	/* misc_open holds the lock that misc_deregister needs, and xenbus holds
	 * its reference until after that: the device is there. */
	kref_get(&d->ref);
	rc = READ_ONCE(d->dead) ? -ENODEV : connection_number(d, c);
	if (rc)
		goto device;
	rc = vtoe_grants_alloc(&c->memory, d->domid, d->connection_pages);
	if (rc)
		goto number;
	rc = connection_channel(c);
	if (rc)
		goto memory;
	rc = connection_tell(c, VTOE_XEN_CONNECT);
	if (rc)
		goto channel;
	c->connected = true;
	file->private_data = c;
	return 0;
channel:
	unbind_from_irqhandler(c->irq, c);
memory:
	vtoe_grants_end(&c->memory);
number:
	connection_forget(c);
device:
	vtoe_device_put(d);
	kfree(c);
	return rc;
}

static int vtoe_release(struct inode *inode, struct file *file)
{
	struct vtoe_connection *c = file->private_data;
	struct vtoe_device *d = c->device;
	unsigned int i;

	/* Phase 1: told, and unmapped by the backend if it lives. */
	connection_tell(c, VTOE_XEN_DISCONNECT);
	unbind_from_irqhandler(c->irq, c);
	connection_forget(c);
	/* Phase 2: no interrupt, no caller: only we see it now. */
	for (i = 0; i < VTOE_VECTORS_MAX; i++)
		if (c->events[i])
			eventfd_ctx_put(c->events[i]);
	vtoe_region_free_all(c);
	vtoe_grants_end(&c->memory);
	kfree(c);
	vtoe_device_put(d);
	return 0;
}

static int vtoe_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct vtoe_connection *c = file->private_data;

	/* vm_map_pages checks offset and length */
	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	return vm_map_pages(vma, c->memory.pages, c->memory.count);
}

/* The doorbell: whatever is written. */
static ssize_t vtoe_write(struct file *file, const char __user *from,
			  size_t bytes, loff_t *at)
{
	struct vtoe_connection *c = file->private_data;

	if (READ_ONCE(c->device->dead))
		return -ENOTCONN;
	notify_remote_via_irq(c->irq);
	return bytes;
}

static __poll_t vtoe_poll(struct file *file, poll_table *wait)
{
	struct vtoe_connection *c = file->private_data;

	poll_wait(file, &c->wait, wait);
	return READ_ONCE(c->device->dead) ? EPOLLERR | EPOLLHUP : 0;
}

static int ioctl_eventfd(struct vtoe_connection *c,
			 const struct vtoe_ioc_eventfd *q)
{
	struct eventfd_ctx *event = NULL, *old;
	unsigned long flags;

	if (q->vector >= VTOE_VECTORS_MAX)
		return -EINVAL;
	if (q->fd >= 0) {
		event = eventfd_ctx_fdget(q->fd);
		if (IS_ERR(event))
			return PTR_ERR(event);
	}
	spin_lock_irqsave(&c->event_lock, flags);
	old = c->events[q->vector];
	c->events[q->vector] = event;
	spin_unlock_irqrestore(&c->event_lock, flags);
	if (old)
		eventfd_ctx_put(old);
	return 0;
}

static long ioctl_info(struct vtoe_connection *c, void __user *arg)
{
	struct vtoe_ioc_info info = {
		.version = VTOE_IOCTL_VERSION,
		.connection = c->number,
		.memory_bytes = (u64)c->memory.count << PAGE_SHIFT,
		.generation = atomic64_read(&c->generation),
	};

	return copy_to_user(arg, &info, sizeof(info)) ? -EFAULT : 0;
}

static long ioctl_register(struct vtoe_connection *c, unsigned int cmd,
			   void __user *arg)
{
	struct vtoe_ioc_register q;
	int rc;

	if (copy_from_user(&q, arg, sizeof(q)))
		return -EFAULT;
	mutex_lock(&c->lock);
	rc = cmd == VTOE_IOC_REGISTER ? vtoe_region_add(c, &q)
				      : vtoe_region_del(c, &q);
	mutex_unlock(&c->lock);
	if (!rc && copy_to_user(arg, &q, sizeof(q)))
		rc = -EFAULT; /* the region goes with the connection */
	return rc;
}

static long vtoe_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vtoe_connection *c = file->private_data;
	struct vtoe_ioc_eventfd e;

	switch (cmd) {
	case VTOE_IOC_INFO:
		return ioctl_info(c, (void __user *)arg);
	case VTOE_IOC_EVENTFD:
		if (copy_from_user(&e, (void __user *)arg, sizeof(e)))
			return -EFAULT;
		return ioctl_eventfd(c, &e);
	case VTOE_IOC_REGISTER:
	case VTOE_IOC_UNREGISTER:
		return ioctl_register(c, cmd, (void __user *)arg);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations vtoe_fops = {
	.owner = THIS_MODULE,
	.open = vtoe_open,
	.release = vtoe_release,
	.mmap = vtoe_mmap,
	.write = vtoe_write,
	.poll = vtoe_poll,
	.unlocked_ioctl = vtoe_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

int vtoe_chardev_add(struct vtoe_device *d)
{
	int rc;

	snprintf(d->name, sizeof(d->name), "vtoe%d", d->index);
	d->misc.minor = MISC_DYNAMIC_MINOR;
	d->misc.name = d->name;
	d->misc.fops = &vtoe_fops;
	d->misc.mode = 0660;
	d->misc.parent = &d->xdev->dev;
	rc = misc_register(&d->misc);
	d->registered = !rc;
	return rc;
}

void vtoe_chardev_remove(struct vtoe_device *d)
{
	if (d->registered)
		misc_deregister(&d->misc);
	d->registered = false;
}
