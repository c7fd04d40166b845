// SPDX-License-Identifier: GPL-2.0-only
/*
 * chardev.c - /dev/vtoeN: an open file is a connection
 *
 * open: pages are allocated and granted, an event channel is made, and the
 * backend is told (CONNECT). mmap gives the pages to the application, which
 * then speaks with the backend through them. The event channel's interrupt
 * signals the eventfds that the application has named and wakes who is in
 * VTOE_IOC_WAIT, and write() is the other direction.
 *
 * The end of a connection, and why it is safe. It ends when its file is closed,
 * or when opening gave up after CONNECT was sent. Then no system call is in
 * here with it and none will come, and no mapping of its memory is left, for a
 * mapping holds the file.
 *
 *  1. The interrupt is freed: when that returns it runs nowhere and will not.
 *  2. DISCONNECT is sent. Requests are carried out in order, so when it is
 *     answered the backend has carried out CONNECT and each REGION_ADD too, and
 *     reads their lists no more. Only the answer, or the end of the ring, leads
 *     to step 3; close() waits a moment for it, and leaves the rest to a work
 *     item. Until then the pages count as quarantined, and the number stays
 *     taken, so that no two connections ever have one.
 *  3. Nothing refers to the connection but us. Its grants are ended; what the
 *     backend has mapped in spite of its answer goes to the quarantine.
 *
 * If the ring has ended, then the backend's process has, or is being killed.
 * When it was yet to answer for memory, it may map that with its last breath,
 * so step 3 waits for VTOE_LAST_BREATH: before, the grant references must not
 * become those of another device's pages.
 *
 * While the backend is waited for, opening holds nothing but references to the
 * device and to this module. (It was a misc device once: misc_open() holds a
 * lock of all such devices.) When the device ends meanwhile, its ring refuses
 * every call.
 */
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/interrupt.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/version.h>
#include <linux/wait_bit.h>
#include <xen/events.h>

#include "vtoe.h"

/* One connection's events in a jiffy. An honest backend sends none before the
 * last one was seen, and stays far below; one that exceeds it is slowed down by
 * the kernel's handling of spurious events. */
#define EVENTS_PER_TICK DIV_ROUND_UP(100000, HZ)
/* How long close() waits for the backend. */
#define CLOSE_TIMEOUT HZ

static dev_t chardev_base;
static DEFINE_IDA(chardev_minors);
static atomic_t connections;

static struct class chardev_class = {
	.name = "vtoe",
};

unsigned int vtoe_connections_count(void)
{
	return atomic_read(&connections);
}

/* -- events --------------------------------------------------------------- */

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
	struct vtoe_connection *c = data;
	struct vtoe_state_page *state = vtoe_regions_state(c);

	if (time_after(jiffies, c->tick)) {
		c->tick = jiffies;
		c->tick_events = 0;
	}
	c->tick_events++;
	/* nobody else writes it, and this runs on one processor at a time */
	WRITE_ONCE(state->events, state->events + 1);
	wake_up_interruptible(&c->event_wait);
	connection_signal(c);
	xen_irq_lateeoi(irq, c->tick_events > EVENTS_PER_TICK ?
			     XEN_EOI_FLAG_SPURIOUS : 0);
	return IRQ_HANDLED;
}

void vtoe_connections_dead(struct vtoe_device *d)
{
	struct vtoe_connection *c;
	unsigned long flags;

	spin_lock_irqsave(&d->lock, flags);
	list_for_each_entry(c, &d->connections, node) {
		wake_up_all(&c->wait);
		wake_up_all(&c->event_wait);
		connection_signal(c);
	}
	spin_unlock_irqrestore(&d->lock, flags);
}

/* -- a connection's life --------------------------------------------------- */

static int connection_number(struct vtoe_device *d, struct vtoe_connection *c)
{
	unsigned long flags;
	unsigned int n;

	spin_lock_irqsave(&d->lock, flags);
	n = find_first_zero_bit(d->numbers, d->max_connections);
	if (n < d->max_connections) {
		__set_bit(n, d->numbers);
		c->number = n;
		list_add_tail(&c->node, &d->connections);
	}
	spin_unlock_irqrestore(&d->lock, flags);
	return n < d->max_connections ? 0 : -EUSERS;
}

static struct vtoe_connection *connection_new(struct vtoe_device *d)
{
	struct vtoe_connection *c = kzalloc(sizeof(*c), GFP_KERNEL_ACCOUNT);

	if (!c)
		return NULL;
	c->end = vtoe_call_new();
	if (!c->end)
		goto free;
	if (vtoe_regions_init(c))
		goto call;
	spin_lock_init(&c->event_lock);
	init_waitqueue_head(&c->wait);
	init_waitqueue_head(&c->event_wait);
	c->tick = jiffies;
	c->device = d;
	return c;
call:
	vtoe_call_put(c->end);
free:
	kfree(c);
	return NULL;
}

/* The last step: nobody else knows it. */
static void connection_free(struct vtoe_connection *c)
{
	struct vtoe_device *d = c->device;
	unsigned long flags;

	vtoe_regions_end(c);
	vtoe_grants_end(&c->memory);
	spin_lock_irqsave(&d->lock, flags);
	__clear_bit(c->number, d->numbers);
	list_del(&c->node);
	spin_unlock_irqrestore(&d->lock, flags);
	vtoe_call_put(c->end);
	kfree(c);
	put_device(&d->dev);
	if (atomic_dec_and_test(&connections))
		wake_up_var(&connections);
}

static void connection_end_work(struct work_struct *work)
{
	connection_free(container_of(to_delayed_work(work),
				     struct vtoe_connection, end_work));
}

static void connection_park(struct vtoe_connection *c)
{
	vtoe_grants_park(&c->memory);
	vtoe_regions_park(c);
}

static void connection_silence(struct vtoe_connection *c)
{
	struct eventfd_ctx *event;
	unsigned int i;

	unbind_from_irqhandler(c->irq, c); /* closes the channel */
	for (i = 0; i < VTOE_VECTORS_MAX; i++) {
		/* vtoe_connections_dead() may be signalling */
		spin_lock_irq(&c->event_lock);
		event = c->events[i];
		c->events[i] = NULL;
		spin_unlock_irq(&c->event_lock);
		if (event)
			eventfd_ctx_put(event);
	}
}

/* See above. The connection is no more, or the work item's. */
static void connection_end(struct vtoe_connection *c, bool wait)
{
	struct vtoe_xenring *ring = &c->device->ring;

	connection_silence(c);
	INIT_DELAYED_WORK(&c->end_work, connection_end_work);
	c->end->request.op = VTOE_XEN_DISCONNECT;
	c->end->request.connection = c->number;
	vtoe_call_start(ring, c->end);
	if (!wait || vtoe_call_wait(ring, c->end, CLOSE_TIMEOUT)) {
		connection_park(c);
		if (vtoe_call_leave(ring, c->end, &c->end_work))
			return;
	}
	if (c->end->error && c->unsure) {
		connection_park(c);
		queue_delayed_work(vtoe_workqueue, &c->end_work,
				   VTOE_LAST_BREATH);
		return;
	}
	connection_free(c);
}

/* Tells the backend of it; c->unsure if that failed and it may have heard. */
static int connection_announce(struct vtoe_connection *c)
{
	struct vtoe_xen_request q = {
		.op = VTOE_XEN_CONNECT,
		.connection = c->number,
	};
	struct vtoe_xen_completion done;
	int rc;

	vtoe_grants_describe(&c->memory, &q);
	q.u.memory.event_channel = c->evtchn;
	rc = vtoe_device_call(c->device, &q, &done, VTOE_CALL_TIMEOUT);
	if (!rc)
		return done.result;
	c->unsure = vtoe_call_is_unsure(rc);
	return rc;
}

/* -- system calls ----------------------------------------------------------- */

static int vtoe_open(struct inode *inode, struct file *file)
{
	struct vtoe_device *d = container_of(inode->i_cdev, struct vtoe_device,
					     cdev);
	struct vtoe_connection *c;
	int rc;

	/* our caller holds the cdev, and that holds the device */
	if (READ_ONCE(d->dead))
		return -ENODEV;
	c = connection_new(d);
	if (!c)
		return -ENOMEM;
	rc = connection_number(d, c);
	if (rc) {
		vtoe_regions_end(c);
		vtoe_call_put(c->end);
		kfree(c);
		return rc;
	}
	get_device(&d->dev);
	atomic_inc(&connections);
	rc = vtoe_grants_alloc(&c->memory, d->domid, d->connection_pages);
	if (rc)
		goto free;
	rc = vtoe_channel_open(d->domid, connection_interrupt,
			       "vtoe-connection", c, &c->evtchn);
	if (rc < 0)
		goto free;
	c->irq = rc;
	rc = connection_announce(c);
	if (c->unsure) {
		connection_end(c, false);
		return rc;
	}
	if (rc)
		goto channel;
	file->private_data = c;
	return 0;
channel:
	connection_silence(c);
free:
	connection_free(c);
	return rc;
}

static int vtoe_release(struct inode *inode, struct file *file)
{
	connection_end(file->private_data, true);
	return 0;
}

static int vtoe_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct vtoe_connection *c = file->private_data;

	/* vm_map_pages checks offset and length */
	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (vma->vm_pgoff == VTOE_STATE_OFFSET >> PAGE_SHIFT)
		return vtoe_regions_mmap(c, vma);
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

static int ioctl_wait(struct vtoe_connection *c, const struct vtoe_ioc_wait *q)
{
	const struct vtoe_state_page *state = vtoe_regions_state(c);
	ktime_t timeout = q->timeout_ns > KTIME_MAX ? KTIME_MAX : q->timeout_ns;
	int rc;

	if (q->flags & ~VTOE_WAIT_RING)
		return -EINVAL;
	if (READ_ONCE(c->device->dead))
		return -ENOTCONN;
	if (q->flags & VTOE_WAIT_RING)
		notify_remote_via_irq(c->irq);
	rc = wait_event_interruptible_hrtimeout(c->event_wait,
						READ_ONCE(state->events) !=
							q->seen ||
						READ_ONCE(c->device->dead),
						timeout);
	if (READ_ONCE(c->device->dead))
		return -ENOTCONN;
	/* not to be begun again: the caller's deadline is nearer now */
	return rc == -ERESTARTSYS ? -EINTR : rc;
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
		.region_bytes = (u64)vtoe_region_most(c) << PAGE_SHIFT,
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
	if (cmd == VTOE_IOC_UNREGISTER) {
		rc = vtoe_region_del(c, &q);
		if (!rc && copy_to_user(arg, &q, sizeof(q)))
			rc = -EFAULT;
		return rc;
	}
	rc = vtoe_region_add(c, &q);
	if (!rc && copy_to_user(arg, &q, sizeof(q))) {
		vtoe_region_del(c, &q); /* nobody knows its key */
		rc = -EFAULT;
	}
	return rc;
}

static long vtoe_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vtoe_connection *c = file->private_data;
	struct vtoe_ioc_eventfd e;
	struct vtoe_ioc_wait w;

	switch (cmd) {
	case VTOE_IOC_WAIT:
		if (copy_from_user(&w, (void __user *)arg, sizeof(w)))
			return -EFAULT;
		return ioctl_wait(c, &w);
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

/* -- devices ------------------------------------------------------------------ */

static void chardev_release(struct device *dev)
{
	struct vtoe_device *d = container_of(dev, struct vtoe_device, dev);

	ida_free(&chardev_minors, MINOR(dev->devt));
	kfree(d);
}

int vtoe_chardev_prepare(struct vtoe_device *d, struct device *parent)
{
	int minor = ida_alloc_max(&chardev_minors, VTOE_DEVICES_MAX - 1,
				  GFP_KERNEL);

	if (minor < 0) {
		kfree(d);
		return minor;
	}
	device_initialize(&d->dev);
	d->dev.class = &chardev_class;
	d->dev.parent = parent;
	d->dev.release = chardev_release;
	d->dev.devt = MKDEV(MAJOR(chardev_base), minor);
	cdev_init(&d->cdev, &vtoe_fops);
	d->cdev.owner = THIS_MODULE;
	if (!dev_set_name(&d->dev, "vtoe%d", minor))
		return 0;
	put_device(&d->dev);
	return -ENOMEM;
}

int vtoe_chardev_add(struct vtoe_device *d)
{
	int rc = cdev_device_add(&d->cdev, &d->dev);

	d->registered = !rc;
	return rc;
}

/* A file that is being opened at this moment may still come in: it finds the
 * device dead, or its ring. */
void vtoe_chardev_remove(struct vtoe_device *d)
{
	if (d->registered)
		cdev_device_del(&d->cdev, &d->dev);
	d->registered = false;
}

int vtoe_chardev_init(void)
{
	int rc = alloc_chrdev_region(&chardev_base, 0, VTOE_DEVICES_MAX,
				     "vtoe");

	if (rc)
		return rc;
	rc = class_register(&chardev_class);
	if (rc)
		unregister_chrdev_region(chardev_base, VTOE_DEVICES_MAX);
	return rc;
}

/* No file is open and no device is left. Connections may be, whose end a
 * backend did not confirm; the end of their ring has set them free, and this
 * waits for that: not longer than VTOE_LAST_BREATH. */
void vtoe_chardev_exit(void)
{
	wait_var_event(&connections, !atomic_read(&connections));
	flush_workqueue(vtoe_workqueue);
	class_unregister(&chardev_class);
	unregister_chrdev_region(chardev_base, VTOE_DEVICES_MAX);
	ida_destroy(&chardev_minors);
}
