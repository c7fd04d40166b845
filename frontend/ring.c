// SPDX-License-Identifier: GPL-2.0-only
/*
 * ring.c - the ring between the driver and the backend
 *
 * It carries the few requests that concern grants; an application's own
 * requests go through the connection's memory and never come here. Requests
 * are made one at a time, by a thread that may sleep, under the ring's lock; so
 * the ring never fills, and the next completion is the answer. A completion
 * that answers something else, or an index that jumps, breaks the ring.
 */
#include <linux/interrupt.h>
#include <linux/mm.h>
#include <xen/events.h>

#include "vtoe.h"

static irqreturn_t vtoe_ring_interrupt(int irq, void *data)
{
	struct vtoe_xenring *r = data;

	wake_up_all(&r->wait);
	return IRQ_HANDLED;
}

int vtoe_ring_setup(struct xenbus_device *dev, struct vtoe_xenring *r)
{
	int rc;

	mutex_init(&r->lock);
	init_waitqueue_head(&r->wait);
	r->ref = INVALID_GRANT_REF;
	r->irq = -1;
	rc = xenbus_setup_ring(dev, GFP_KERNEL, &r->page, 1, &r->ref);
	if (rc)
		return rc;
	rc = xenbus_alloc_evtchn(dev, &r->evtchn);
	if (rc)
		goto ring;
	rc = bind_evtchn_to_irqhandler(r->evtchn, vtoe_ring_interrupt, 0,
				       "vtoe", r);
	if (rc < 0)
		goto evtchn;
	r->irq = rc;
	return 0;
evtchn:
	xenbus_free_evtchn(dev, r->evtchn);
ring:
	xenbus_teardown_ring(&r->page, 1, &r->ref);
	return rc;
}

void vtoe_ring_teardown(struct vtoe_xenring *r)
{
	if (r->irq >= 0)
		unbind_from_irqhandler(r->irq, r); /* closes the channel */
	r->irq = -1;
	if (r->page)
		xenbus_teardown_ring(&r->page, 1, &r->ref);
	r->page = NULL;
}

static struct vtoe_ring_shared *ring_at(struct vtoe_xenring *r, u32 offset)
{
	return r->page + offset;
}

static void *entry_at(struct vtoe_ring_shared *s, u32 index)
{
	return (u8 *)s + VTOE_RING_HEADER +
	       (index & (VTOE_XEN_RING_ENTRIES - 1)) * VTOE_RING_ENTRY;
}

static void vtoe_ring_put(struct vtoe_xenring *r,
			  const struct vtoe_xen_request *q)
{
	struct vtoe_ring_shared *s = ring_at(r, VTOE_XEN_REQUEST_OFFSET);

	memcpy(entry_at(s, r->producer), q, sizeof(*q));
	r->producer++;
	/* the entry before the index; pairs with the backend's acquire load */
	virt_wmb();
	WRITE_ONCE(s->p.producer, r->producer);
	/* One request at a time: always worth a notification. */
	notify_remote_via_irq(r->irq);
}

/* 1: a completion was taken; 0: none yet; -EPROTO */
static int vtoe_ring_take(struct vtoe_xenring *r,
			  struct vtoe_xen_completion *c)
{
	struct vtoe_ring_shared *s = ring_at(r, VTOE_XEN_COMPLETION_OFFSET);
	u32 producer;

	/* every completion is to notify: the next one is waited for */
	WRITE_ONCE(s->c.event, r->consumer);
	virt_mb();
	producer = READ_ONCE(s->p.producer);
	if (producer == r->consumer)
		return 0;
	if (producer - r->consumer > VTOE_XEN_RING_ENTRIES)
		return -EPROTO;
	virt_rmb();
	memcpy(c, entry_at(s, r->consumer), sizeof(*c));
	barrier(); /* the copy is what is used */
	r->consumer++;
	virt_mb();
	WRITE_ONCE(s->c.consumer, r->consumer);
	return 1;
}

static bool vtoe_ring_answered(struct vtoe_device *d,
			       struct vtoe_xen_completion *c, int *got)
{
	if (READ_ONCE(d->dead))
		*got = -ENOTCONN;
	else
		*got = vtoe_ring_take(&d->ring, c);
	return *got != 0;
}

int vtoe_device_call(struct vtoe_device *d, struct vtoe_xen_request *q,
		     struct vtoe_xen_completion *c)
{
	struct vtoe_xenring *r = &d->ring;
	int got = 0;
	long left;

	mutex_lock(&r->lock);
	if (READ_ONCE(d->dead) || r->broken) {
		mutex_unlock(&r->lock);
		return -ENOTCONN;
	}
	q->user_data = ++r->last_user_data;
	vtoe_ring_put(r, q);
	/* Not interruptible: the answer would be the next one's. A backend that
	 * does not answer is not waited for long, and never asked again. */
	left = wait_event_timeout(r->wait, vtoe_ring_answered(d, c, &got),
				  10 * HZ);
	if (!left && !got)
		got = -ETIMEDOUT;
	else if (got > 0 && c->user_data != q->user_data)
		got = -EPROTO;
	if (got < 0 && got != -ENOTCONN) {
		r->broken = true;
		pr_warn_ratelimited("vtoe: the backend broke the ring (%d)\n",
				    got);
	}
	mutex_unlock(&r->lock);
	return got < 0 ? got : 0;
}
