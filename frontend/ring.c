// SPDX-License-Identifier: GPL-2.0-only
/*
 * ring.c - the ring between the driver and the backend
 *
 * It carries the few requests that concern grants; an application's own
 * requests go through the connection's memory and never come here. A request is
 * a struct vtoe_call on the ring's list; the interrupt takes completions, finds
 * the call by its user_data, and wakes its caller. Some are answered late (a
 * region that is still sent from), so several are under way, never more than
 * the ring has entries: a semaphore counts. A caller that stops waiting leaves
 * its call behind; whoever drops the last reference frees it.
 *
 * A completion that answers nothing, or an index that jumps, breaks the ring:
 * all calls fail, and no more are made.
 */
#include <linux/interrupt.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <xen/events.h>

#include "vtoe.h"

struct vtoe_call {
	struct kref ref; /* its caller, and the list */
	struct list_head node;
	struct completion done;
	u64 user_data;
	int error;
	struct vtoe_xen_completion answer;
};

static void vtoe_call_free(struct kref *ref)
{
	kfree(container_of(ref, struct vtoe_call, ref));
}

static void vtoe_call_end(struct vtoe_xenring *r, struct vtoe_call *call,
			  int error)
{
	lockdep_assert_held(&r->lock);
	call->error = error;
	list_del(&call->node);
	complete(&call->done);
	kref_put(&call->ref, vtoe_call_free);
	up(&r->room);
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

/* 1: a completion was taken; 0: none yet; -EPROTO */
static int vtoe_ring_take(struct vtoe_xenring *r,
			  struct vtoe_xen_completion *c)
{
	struct vtoe_ring_shared *s = ring_at(r, VTOE_XEN_COMPLETION_OFFSET);
	u32 producer;

	/* every completion is to notify: the next one is waited for */
	WRITE_ONCE(s->c.event, r->consumer);
	/* full: pairs with the backend's fence after its index */
	virt_mb();
	producer = READ_ONCE(s->p.producer);
	if (producer == r->consumer)
		return 0;
	if (producer - r->consumer > VTOE_XEN_RING_ENTRIES)
		return -EPROTO;
	/* pairs with the backend's release store of its index */
	virt_rmb();
	memcpy(c, entry_at(s, r->consumer), sizeof(*c));
	barrier(); /* the copy is what is used */
	r->consumer++;
	/* the entry is read before it is given back */
	virt_mb();
	WRITE_ONCE(s->c.consumer, r->consumer);
	return 1;
}

static int vtoe_ring_answer(struct vtoe_xenring *r,
			    const struct vtoe_xen_completion *c)
{
	struct vtoe_call *call;

	list_for_each_entry(call, &r->calls, node) {
		if (call->user_data != c->user_data)
			continue;
		call->answer = *c;
		vtoe_call_end(r, call, 0);
		return 0;
	}
	return -EPROTO;
}

static void vtoe_ring_fail(struct vtoe_xenring *r, int error)
{
	struct vtoe_call *call, *tmp;

	r->broken = true;
	list_for_each_entry_safe(call, tmp, &r->calls, node)
		vtoe_call_end(r, call, error);
}

static irqreturn_t vtoe_ring_interrupt(int irq, void *data)
{
	struct vtoe_xenring *r = data;
	struct vtoe_xen_completion c;
	unsigned long flags;
	int rc = 0;

	spin_lock_irqsave(&r->lock, flags);
	/* bounded: each completion ends a call, or breaks the ring */
	while (!r->broken && (rc = vtoe_ring_take(r, &c)) > 0) {
		rc = vtoe_ring_answer(r, &c);
		if (rc)
			break;
	}
	if (rc < 0) {
		pr_warn("vtoe: the backend broke the ring\n");
		vtoe_ring_fail(r, rc);
	}
	spin_unlock_irqrestore(&r->lock, flags);
	return IRQ_HANDLED;
}

void vtoe_ring_stop(struct vtoe_xenring *r)
{
	unsigned long flags;

	spin_lock_irqsave(&r->lock, flags);
	vtoe_ring_fail(r, -ENOTCONN);
	spin_unlock_irqrestore(&r->lock, flags);
}

int vtoe_ring_setup(struct xenbus_device *dev, struct vtoe_xenring *r)
{
	int rc;

	spin_lock_init(&r->lock);
	INIT_LIST_HEAD(&r->calls);
	sema_init(&r->room, VTOE_XEN_RING_ENTRIES);
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

static void vtoe_ring_put(struct vtoe_xenring *r,
			  const struct vtoe_xen_request *q)
{
	struct vtoe_ring_shared *s = ring_at(r, VTOE_XEN_REQUEST_OFFSET);

	memcpy(entry_at(s, r->producer), q, sizeof(*q));
	r->producer++;
	/* the entry before the index; pairs with the backend's acquire load */
	virt_wmb();
	WRITE_ONCE(s->p.producer, r->producer);
	notify_remote_via_irq(r->irq);
}

static int vtoe_ring_submit(struct vtoe_xenring *r, struct vtoe_call *call,
			    struct vtoe_xen_request *q)
{
	unsigned long flags;
	int rc = -ENOTCONN;

	spin_lock_irqsave(&r->lock, flags);
	if (!r->broken) {
		q->user_data = call->user_data = ++r->last_user_data;
		kref_get(&call->ref);
		list_add_tail(&call->node, &r->calls);
		vtoe_ring_put(r, q);
		rc = 0;
	}
	spin_unlock_irqrestore(&r->lock, flags);
	return rc;
}

int vtoe_device_call(struct vtoe_device *d, struct vtoe_xen_request *q,
		     struct vtoe_xen_completion *c, long timeout)
{
	struct vtoe_xenring *r = &d->ring;
	struct vtoe_call *call;
	int rc;

	call = kzalloc(sizeof(*call), GFP_KERNEL);
	if (!call)
		return -ENOMEM;
	kref_init(&call->ref);
	init_completion(&call->done);
	/* A call that was given up still has its entry: it is counted until
	 * it is answered, so the ring cannot fill. */
	if (down_timeout(&r->room, timeout)) {
		rc = -ETIMEDOUT;
		goto put;
	}
	rc = vtoe_ring_submit(r, call, q);
	if (rc) {
		up(&r->room);
		goto put;
	}
	rc = -ETIMEDOUT;
	if (wait_for_completion_timeout(&call->done, timeout)) {
		rc = call->error;
		*c = call->answer;
	}
put:
	kref_put(&call->ref, vtoe_call_free);
	return rc;
}
