/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vtoe.h - the inside of vtoe.ko
 *
 * The driver does no networking. It brings memory and notifications of the
 * guest's applications to the backend, and takes them back:
 *
 *   struct vtoe_device      one xenbus device, /dev/vtoeN     xenbus.c
 *   struct vtoe_xenring     the ring of that device            ring.c
 *   struct vtoe_grants      pages that the backend may map     grant.c
 *   struct vtoe_region      registered application memory      region.c
 *   struct vtoe_connection  an open /dev/vtoeN                 chardev.c
 *
 * Lives. A device lives until its last reference is dropped: one by xenbus, one
 * by each connection, one by each file that is being opened. When the backend
 * goes away the device is `dead` at once and for ever; connections stay open,
 * useless, until they are closed, and the device that comes back is a new one.
 * A connection lives until it is closed and the backend has said that it let go
 * of it, or the ring is dead. A page lives until the backend has unmapped it,
 * whoever else has forgotten it (MECHANISMS P1): grant.c keeps it until then.
 *
 * Locks: a mutex of the connection's regions around their list, never held while
 * the backend is waited for; a region's spin lock, a leaf, taken by its notifier
 * under locks of the memory management; the spin locks of ring, device and
 * connection (event_lock) are leaves but for one order, device before event_lock,
 * and are taken in interrupts. No lock that an unrelated driver needs is held
 * while the backend is waited for, and every such wait ends: by an answer, by
 * the backend's end, by SIGKILL, or, but for unregistering, by
 * VTOE_CALL_TIMEOUT.
 *
 * The backend is not trusted with more than the data that applications send
 * through it. What it writes, on the ring page and in xenstore, is loaded once
 * and checked; it is used as a number within bounds, never as an index or an
 * address. What it can do is refuse, be slow, send garbage to applications, and
 * keep pages that were granted to it, as many as max_quarantined_pages says.
 */
#ifndef VTOE_H
#define VTOE_H

#include <linux/cdev.h>
#include <linux/completion.h>
#include <linux/device.h>
#include <linux/eventfd.h>
#include <linux/interrupt.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <xen/grant_table.h>
#include <xen/xenbus.h>

#include "vtoe_control.h"
#include "vtoe_device.h"
#include "vtoe_ioctl.h"
#include "vtoe_ring.h"
#include "vtoe_xen.h"

#define VTOE_VECTORS_MAX 65 /* of 64 lanes, the most that a backend offers */
#define VTOE_NUMBERS 1024u /* connections of a device */
#define VTOE_DEVICES_MAX 256 /* also those of the past that are still open */

extern unsigned int vtoe_connection_pages;
extern unsigned int vtoe_max_connections;
extern unsigned int vtoe_max_registered_pages;
extern unsigned int vtoe_max_quarantined_pages;
extern unsigned int vtoe_call_timeout_ms;
extern struct workqueue_struct *vtoe_workqueue;

/* -- grant.c --------------------------------------------------------------- */

struct vtoe_rest;

struct vtoe_grants {
	struct page **pages;
	grant_ref_t *refs;
	unsigned int count;	/* granted */
	struct page *list[VTOE_XEN_LIST_PAGES];
	grant_ref_t list_ref[VTOE_XEN_LIST_PAGES];
	unsigned int list_count;
	bool pinned;		/* pages of an application, not ours */
	bool writable;		/* ... that the backend may write */
	bool parked;		/* counted as quarantined already */
	unsigned int charged;	/* pages of it in the sums below */
	unsigned int registered; /* in that of applications' pages */
	struct vtoe_rest *rest;	/* for vtoe_grants_end, which cannot fail */
};

/* Allocates and grants pages of our own. */
int vtoe_grants_alloc(struct vtoe_grants *g, domid_t domid, unsigned int count);
/* One page, without a list of it: refs[0] says it all. */
int vtoe_grants_alloc_page(struct vtoe_grants *g, domid_t domid);
/* Pins an application's pages; then grants what was pinned. After a failure of
 * the second, vtoe_grants_end(). */
int vtoe_grants_pin(struct vtoe_grants *g, unsigned long at, unsigned int count,
		    bool readonly);
int vtoe_grants_publish(struct vtoe_grants *g, domid_t domid);
void vtoe_grants_describe(const struct vtoe_grants *g,
			  struct vtoe_xen_request *q);
/* Nobody of ours uses these any more, but they cannot be ended yet: they count
 * as quarantined from now on. */
void vtoe_grants_park(struct vtoe_grants *g);
/* Takes the grants back. What the backend still maps goes when it unmaps. */
void vtoe_grants_end(struct vtoe_grants *g);
/* The same, but leaves the backend's kernel a moment to unmap. -> false: it has
 * not unmapped all */
bool vtoe_grants_end_wait(struct vtoe_grants *g);
void vtoe_grants_init(void);
void vtoe_grants_exit(void);

/* Pages, of all devices: granted and in use; those of them that are an
 * application's; and those that are only kept because of the backend. */
unsigned int vtoe_grants_granted(void);
unsigned int vtoe_grants_registered(void);
unsigned int vtoe_grants_quarantined(void);

/* -- ring.c: requests to the backend, and their answers ------------------- */

struct vtoe_call {
	struct kref ref; /* its maker, and the ring */
	struct list_head node;
	struct completion done;
	struct vtoe_xen_request request;
	struct vtoe_xen_completion answer;
	int error;	 /* 0: answered; -ENOTCONN, -EPROTO: the ring's end */
	bool sent;
	struct delayed_work *then; /* to do when it has ended */
};

struct vtoe_xenring {
	spinlock_t lock;	/* guards all below */
	struct list_head queued; /* calls that wait for an entry */
	struct list_head sent;	/* calls that wait for an answer */
	unsigned int in_flight;	/* of the latter, never more than entries */
	unsigned long answers;	/* so far: signs of life */
	struct vtoe_grants memory;
	u8 *page;
	evtchn_port_t evtchn;
	int irq;
	u32 producer;		/* ours, private */
	u32 consumer;		/* ours, private */
	u64 last_user_data;
	bool served;		/* the backend's process was seen alive */
	bool broken;		/* no call any more */
};

int vtoe_ring_setup(struct vtoe_xenring *r, domid_t domid);
/* All calls fail with -ENOTCONN, now and later. */
void vtoe_ring_stop(struct vtoe_xenring *r);
void vtoe_ring_teardown(struct vtoe_xenring *r);
/* The backend says that it serves: is it seen alive? */
void vtoe_ring_check(struct vtoe_xenring *r);

struct vtoe_call *vtoe_call_new(void);
void vtoe_call_put(struct vtoe_call *call);
/* Sends it, or fails it at once when the ring is dead. */
void vtoe_call_start(struct vtoe_xenring *r, struct vtoe_call *call);
/* Waits for its end; -ETIMEDOUT, or -EINTR by SIGKILL: it is under way still. */
int vtoe_call_wait(struct vtoe_xenring *r, struct vtoe_call *call,
		   long timeout);
/* Takes back what the backend has not been sent yet; false: too late. */
bool vtoe_call_cancel(struct vtoe_xenring *r, struct vtoe_call *call);
/* Has work done when it ends; false: it has ended. */
bool vtoe_call_leave(struct vtoe_xenring *r, struct vtoe_call *call,
		     struct delayed_work *then);

/* An event channel for @domid and its interrupt, or -errno. */
int vtoe_channel_open(domid_t domid, irq_handler_t handler, const char *name,
		      void *data, evtchn_port_t *port);

/* How long the backend may answer nothing at all before a call gives up. Each
 * answer to another call buys as much again, up to VTOE_CALL_LONGEST: mapping
 * for many applications that all start now takes its time. */
#define VTOE_CALL_TIMEOUT msecs_to_jiffies(READ_ONCE(vtoe_call_timeout_ms))
#define VTOE_CALL_LONGEST (10 * HZ)
/* When the ring is dead its backend is, or is being killed; this long we leave
 * alone what it was asked to map but never answered for. */
#define VTOE_LAST_BREATH (2 * HZ)

/* -- xenbus.c --------------------------------------------------------------- */

struct vtoe_device {
	struct device dev;	/* /dev/vtoeN; its reference count is ours */
	struct cdev cdev;
	struct xenbus_device *xdev; /* for xenbus's callbacks and close_work */
	domid_t domid;
	struct vtoe_xenring ring;
	struct work_struct close_work; /* tells xenbus that the ring broke */
	bool registered;	/* dev and cdev */
	bool dead;
	spinlock_t lock;	/* guards connections and their numbers */
	struct list_head connections;
	DECLARE_BITMAP(numbers, VTOE_NUMBERS);
	unsigned int max_connections, connection_pages;
	atomic_t registered_pages;
};

int vtoe_xenbus_init(void);
void vtoe_xenbus_exit(void);
/* The backend has ended or broken the ring, as the interrupt has found out. */
void vtoe_device_lost(struct vtoe_device *d, bool broken);
/* Sends a request and waits for its completion. 0 and the backend's verdict in
 * @c; or an error, and the request is
 *   -EBUSY, -ENOMEM   as if it had never been made: nothing was sent
 *   -ETIMEDOUT, -EINTR (SIGKILL)   sent, and may yet be carried out
 *   -ENOTCONN, -EPROTO   perhaps sent to a backend that is dead or dying
 * @timeout: VTOE_CALL_TIMEOUT, or MAX_SCHEDULE_TIMEOUT to wait for it alone. */
int vtoe_device_call(struct vtoe_device *d, struct vtoe_xen_request *q,
		     struct vtoe_xen_completion *c, long timeout);
/* May the backend still carry out a call that has ended so? */
static inline bool vtoe_call_is_unsure(int rc)
{
	return rc && rc != -EBUSY && rc != -ENOMEM;
}

/* -- region.c ---------------------------------------------------------------- */

struct vtoe_connection;

/* A connection's registrations. */
struct vtoe_regions {
	struct mutex lock;	/* list and slots */
	struct list_head list;
	struct mm_struct *mm;	/* the opener's: nobody else registers */
	struct page *page;	/* struct vtoe_state_page */
	DECLARE_BITMAP(slots, VTOE_STATE_SLOTS);
};

struct vtoe_region {
	struct list_head node;
	struct vtoe_connection *connection;
	struct mmu_interval_notifier notifier;
	spinlock_t lock;	/* guards the two below, and the notifier's seq */
	bool watching;		/* the pages are pinned: changes count */
	bool stale;
	bool unsure;		/* the backend has not answered for it */
	struct vtoe_grants grants;
	unsigned int pages;	/* charged */
	unsigned int slot;
	u64 key;
};

int vtoe_regions_init(struct vtoe_connection *c);
/* The end of the connection was confirmed. */
void vtoe_regions_end(struct vtoe_connection *c);
/* They cannot be ended yet, and count as quarantined. */
void vtoe_regions_park(struct vtoe_connection *c);
/* The page that says what the application need not ask for. */
struct vtoe_state_page *vtoe_regions_state(const struct vtoe_connection *c);
int vtoe_regions_mmap(struct vtoe_connection *c, struct vm_area_struct *vma);
int vtoe_region_add(struct vtoe_connection *c, struct vtoe_ioc_register *q);
int vtoe_region_del(struct vtoe_connection *c, struct vtoe_ioc_register *q);
/* The most pages of one. */
unsigned int vtoe_region_most(const struct vtoe_connection *c);

/* -- chardev.c ---------------------------------------------------------------- */

struct vtoe_connection {
	struct list_head node;	/* of the device */
	struct vtoe_device *device;
	struct vtoe_regions regions;
	struct vtoe_grants memory;
	unsigned int number;
	bool unsure;		/* it may hold what the backend is yet to map */
	evtchn_port_t evtchn;
	int irq;		/* or -1 */
	unsigned long tick;	/* the interrupt's: events in this jiffy */
	unsigned int tick_events;
	struct vtoe_call *end;	/* DISCONNECT */
	struct delayed_work end_work; /* ... when nobody waits for it */
	wait_queue_head_t wait;	/* for the backend's end */
	wait_queue_head_t event_wait; /* for a notification */
	spinlock_t event_lock;	/* guards events */
	struct eventfd_ctx *events[VTOE_VECTORS_MAX];
};

int vtoe_chardev_init(void);
void vtoe_chardev_exit(void);
/* Makes dev and cdev. From then on put_device() frees @d; an error has. */
int vtoe_chardev_prepare(struct vtoe_device *d, struct device *parent);
int vtoe_chardev_add(struct vtoe_device *d);
void vtoe_chardev_remove(struct vtoe_device *d);
/* Of all devices, also those whose end the backend is to confirm. */
unsigned int vtoe_connections_count(void);
/* The device died: wake whoever waits. */
void vtoe_connections_dead(struct vtoe_device *d);

#endif
