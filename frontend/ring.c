// SPDX-License-Identifier: GPL-2.0-only
/*
 * ring.c - the ring between the driver and the backend
 *
 * It carries the few requests that concern grants; an application's own
 * requests go through the connection's memory and never come here. A request is
 * a struct vtoe_call:
 *
 *   queued   waits for an entry of the ring; can be cancelled
 *   sent     the backend has it, or will; only it or the ring's end ends it
 *   ended    on no list; `done` is complete, `error` and `answer` are final
 *
 * The interrupt takes completions, finds the sent call by its user_data, ends
 * it, and sends the next. No more calls are sent than the ring has entries, so
 * neither ring can fill. A caller that stops waiting leaves its call behind;
 * whoever drops the last reference frees it.
 *
 * A completion that answers nothing, or an index that jumps, breaks the ring:
 * all calls fail, and no more are made. The same when the backend's process has
 * ended, which its system tells by clearing the byte at VTOE_XEN_ALIVE_OFFSET
 * and ringing. The page is not touched any more from then on.
 *
 * What a backend can do with the interrupt: every turn of its loop ends a call,
 * so it turns VTOE_XEN_RING_ENTRIES times at most; and the channel is masked
 * until it is acknowledged, which the kernel delays, more each time, when there
 * was nothing to do (XSA-332, XSA-391).
 */
#include <linux/interrupt.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <xen/events.h>
#include <xen/interface/event_channel.h>
#include <asm/xen/hypercall.h>

#include "vtoe.h"

/* -- calls ---------------------------------------------------------------- */

static void vtoe_call_free(struct kref *ref)
{
	kfree(container_of(ref, struct vtoe_call, ref));
}

void vtoe_call_put(struct vtoe_call *call)
{
	kref_put(&call->ref, vtoe_call_free);
}

struct vtoe_call *vtoe_call_new(void)
{
	struct vtoe_call *call = kzalloc(sizeof(*call), GFP_KERNEL_ACCOUNT);

	if (!call)
		return NULL;
	kref_init(&call->ref);
	INIT_LIST_HEAD(&call->node);
	init_completion(&call->done);
	return call;
}

static void vtoe_call_end(struct vtoe_xenring *r, struct vtoe_call *call,
			  int error)
{
	lockdep_assert_held(&r->lock);
	call->error = error;
	list_del_init(&call->node);
	if (call->sent)
		r->in_flight--;
	if (call->then)
		queue_delayed_work(vtoe_workqueue, call->then,
				   error ? VTOE_LAST_BREATH : 0);
	complete_all(&call->done);
	vtoe_call_put(call);
}

/* -- the shared page --------------------------------------------------------- */

static struct vtoe_ring_shared *ring_at(struct vtoe_xenring *r, u32 offset)
{
	return (struct vtoe_ring_shared *)(r->page + offset);
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

static void vtoe_ring_put(struct vtoe_xenring *r,
			  const struct vtoe_xen_request *q)
{
	struct vtoe_ring_shared *s = ring_at(r, VTOE_XEN_REQUEST_OFFSET);

	memcpy(entry_at(s, r->producer), q, sizeof(*q));
	r->producer++;
	/* the entry before the index; pairs with the backend's acquire load */
	virt_wmb();
	WRITE_ONCE(s->p.producer, r->producer);
}

/* Has the process that served the ring ended? One that never says that it is
 * alive is only missed by xenbus. */
static bool vtoe_ring_abandoned(struct vtoe_xenring *r)
{
	bool alive = READ_ONCE(r->page[VTOE_XEN_ALIVE_OFFSET]);

	if (alive)
		r->served = true;
	return r->served && !alive;
}

/* -- the ring ------------------------------------------------------------------ */

static void vtoe_ring_fail(struct vtoe_xenring *r, int error)
{
	struct vtoe_call *call, *tmp;

	r->broken = true;
	list_for_each_entry_safe(call, tmp, &r->sent, node)
		vtoe_call_end(r, call, error);
	list_for_each_entry_safe(call, tmp, &r->queued, node)
		vtoe_call_end(r, call, error);
}

/* Sends what waits, as far as there are entries. */
static void vtoe_ring_pump(struct vtoe_xenring *r)
{
	struct vtoe_call *call;
	bool any = false;

	while (r->in_flight < VTOE_XEN_RING_ENTRIES &&
	       !list_empty(&r->queued)) {
		call = list_first_entry(&r->queued, struct vtoe_call, node);
		list_move_tail(&call->node, &r->sent);
		call->request.user_data = ++r->last_user_data;
		call->sent = true;
		r->in_flight++;
		vtoe_ring_put(r, &call->request);
		any = true;
	}
	if (any)
		notify_remote_via_irq(r->irq);
}

/* The result goes to applications, as what a system call returns: it must be
 * an error that they may get, and none that has them try again for ever. */
static s32 vtoe_ring_result(s32 result)
{
	if (result > 0 || result < -EHWPOISON || result == -EINTR)
		return -EPROTO;
	return result;
}

static int vtoe_ring_answer(struct vtoe_xenring *r,
			    const struct vtoe_xen_completion *c)
{
	struct vtoe_call *call;

	list_for_each_entry(call, &r->sent, node) {
		if (call->request.user_data != c->user_data)
			continue;
		if (call->request.op != c->op)
			break;
		call->answer = *c;
		call->answer.result = vtoe_ring_result(c->result);
		r->answers++;
		vtoe_call_end(r, call, 0);
		return 0;
	}
	return -EPROTO;
}

static irqreturn_t vtoe_ring_interrupt(int irq, void *data)
{
	struct vtoe_xenring *r = data;
	struct vtoe_xen_completion c;
	unsigned long flags;
	bool any = false;
	int rc = 0;

	spin_lock_irqsave(&r->lock, flags);
	if (r->broken)
		goto out;
	/* bounded: each turn ends a call that was sent before, or the loop */
	while ((rc = vtoe_ring_take(r, &c)) > 0) {
		rc = vtoe_ring_answer(r, &c);
		if (rc)
			break;
		any = true;
	}
	if (!rc && vtoe_ring_abandoned(r))
		rc = -ENOTCONN;
	if (rc)
		vtoe_ring_fail(r, rc);
	else
		vtoe_ring_pump(r);
out:
	spin_unlock_irqrestore(&r->lock, flags);
	if (rc)
		vtoe_device_lost(container_of(r, struct vtoe_device, ring),
				 rc == -EPROTO);
	xen_irq_lateeoi(irq, any ? 0 : XEN_EOI_FLAG_SPURIOUS);
	return IRQ_HANDLED;
}

void vtoe_ring_check(struct vtoe_xenring *r)
{
	unsigned long flags;

	spin_lock_irqsave(&r->lock, flags);
	if (!r->broken)
		vtoe_ring_abandoned(r);
	spin_unlock_irqrestore(&r->lock, flags);
}

void vtoe_ring_stop(struct vtoe_xenring *r)
{
	unsigned long flags;

	spin_lock_irqsave(&r->lock, flags);
	vtoe_ring_fail(r, -ENOTCONN);
	spin_unlock_irqrestore(&r->lock, flags);
}

int vtoe_channel_open(domid_t domid, irq_handler_t handler, const char *name,
		      void *data, evtchn_port_t *port)
{
	struct evtchn_alloc_unbound alloc = {
		.dom = DOMID_SELF,
		.remote_dom = domid,
	};
	struct evtchn_close close;
	int rc;

	/* Not xenbus_alloc_evtchn(): an application that uses up the channels
	 * gets an error, and must not take the device with it. */
	rc = HYPERVISOR_event_channel_op(EVTCHNOP_alloc_unbound, &alloc);
	if (rc)
		return rc;
	*port = alloc.port;
	rc = bind_evtchn_to_irqhandler_lateeoi(alloc.port, handler, 0, name,
					       data);
	if (rc < 0) {
		close.port = alloc.port;
		HYPERVISOR_event_channel_op(EVTCHNOP_close, &close);
	}
	return rc;
}

int vtoe_ring_setup(struct vtoe_xenring *r, domid_t domid)
{
	int rc;

	spin_lock_init(&r->lock);
	INIT_LIST_HEAD(&r->queued);
	INIT_LIST_HEAD(&r->sent);
	r->irq = -1;
	rc = vtoe_grants_alloc_page(&r->memory, domid);
	if (rc)
		return rc;
	r->page = page_address(r->memory.pages[0]);
	rc = vtoe_channel_open(domid, vtoe_ring_interrupt, "vtoe", r,
			       &r->evtchn);
	if (rc < 0) {
		vtoe_grants_end(&r->memory);
		return rc;
	}
	r->irq = rc;
	return 0;
}

/* After vtoe_ring_stop(): no call touches the page, and when the interrupt is
 * gone nobody does. */
void vtoe_ring_teardown(struct vtoe_xenring *r)
{
	unbind_from_irqhandler(r->irq, r); /* closes the channel */
	r->irq = -1;
	r->page = NULL;
	vtoe_grants_end(&r->memory);
}

void vtoe_call_start(struct vtoe_xenring *r, struct vtoe_call *call)
{
	unsigned long flags;

	kref_get(&call->ref);
	spin_lock_irqsave(&r->lock, flags);
	list_add_tail(&call->node, &r->queued);
	if (r->broken)
		vtoe_call_end(r, call, -ENOTCONN);
	else
		vtoe_ring_pump(r);
	spin_unlock_irqrestore(&r->lock, flags);
}

int vtoe_call_wait(struct vtoe_xenring *r, struct vtoe_call *call, long timeout)
{
	unsigned long last = jiffies + VTOE_CALL_LONGEST;
	unsigned long answers;
	long left;

	do {
		answers = READ_ONCE(r->answers);
		left = wait_for_completion_killable_timeout(&call->done,
							    timeout);
		if (left > 0)
			return 0;
		if (left < 0)
			return -EINTR;
	} while (READ_ONCE(r->answers) != answers && time_before(jiffies, last));
	return -ETIMEDOUT;
}

bool vtoe_call_cancel(struct vtoe_xenring *r, struct vtoe_call *call)
{
	unsigned long flags;
	bool cancelled;

	spin_lock_irqsave(&r->lock, flags);
	cancelled = !list_empty(&call->node) && !call->sent;
	if (cancelled)
		vtoe_call_end(r, call, -EBUSY);
	spin_unlock_irqrestore(&r->lock, flags);
	return cancelled;
}

bool vtoe_call_leave(struct vtoe_xenring *r, struct vtoe_call *call,
		     struct delayed_work *then)
{
	unsigned long flags;
	bool left;

	spin_lock_irqsave(&r->lock, flags);
	left = !list_empty(&call->node);
	if (left)
		call->then = then;
	spin_unlock_irqrestore(&r->lock, flags);
	return left;
}

int vtoe_device_call(struct vtoe_device *d, struct vtoe_xen_request *q,
		     struct vtoe_xen_completion *c, long timeout)
{
	struct vtoe_xenring *r = &d->ring;
	struct vtoe_call *call;
	int rc;

	call = vtoe_call_new();
	if (!call)
		return -ENOMEM;
	call->request = *q;
	vtoe_call_start(r, call);
	rc = vtoe_call_wait(r, call, timeout);
	if (rc && vtoe_call_cancel(r, call))
		rc = -EBUSY;
	else if (completion_done(&call->done))
		rc = call->error;
	if (!rc)
		*c = call->answer;
	vtoe_call_put(call);
	return rc;
}
