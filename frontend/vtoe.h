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
 * by each connection. When the backend goes away the device is `dead` at once
 * and for ever; connections stay open, useless, until they are closed, and the
 * device that comes back is a new one. A page lives until the backend has
 * unmapped it, whoever else has forgotten it (MECHANISMS P1): the kernel's
 * grant code keeps pages of ours in its deferred list, and grant.c keeps pinned
 * pages of applications in one of its own.
 *
 * Locks: connection->lock (a mutex) around what changes its regions; the spin
 * locks of ring, device and connection (event_lock) are leaves, and are taken in
 * interrupts. The backend is not trusted: what it writes is loaded once and
 * checked.
 */
#ifndef VTOE_H
#define VTOE_H

#include <linux/eventfd.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/semaphore.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <xen/grant_table.h>
#include <xen/xenbus.h>

#include "vtoe_control.h"
#include "vtoe_device.h"
#include "vtoe_ioctl.h"
#include "vtoe_ring.h"
#include "vtoe_xen.h"

#define VTOE_VECTORS_MAX 33

extern unsigned int vtoe_connection_pages;
extern unsigned int vtoe_max_connections;
extern unsigned int vtoe_max_registered_pages;

/* -- ring.c: requests to the backend, and their answers ------------------- */

struct vtoe_xenring {
	spinlock_t lock;	/* guards all below but room */
	struct semaphore room;	/* entries free of calls */
	struct list_head calls;	/* struct vtoe_call, under way */
	void *page;
	grant_ref_t ref;
	int evtchn;
	int irq;
	u32 producer;		/* ours, private */
	u32 consumer;		/* ours, private */
	u64 last_user_data;
	bool broken;		/* no call any more */
};

int vtoe_ring_setup(struct xenbus_device *dev, struct vtoe_xenring *r);
/* All calls fail with -ENOTCONN, now and later. */
void vtoe_ring_stop(struct vtoe_xenring *r);
void vtoe_ring_teardown(struct vtoe_xenring *r);

/* -- grant.c --------------------------------------------------------------- */

struct vtoe_grants {
	struct page **pages;
	grant_ref_t *refs;
	unsigned int count;	/* granted */
	struct page *list[VTOE_XEN_LIST_PAGES];
	grant_ref_t list_ref[VTOE_XEN_LIST_PAGES];
	unsigned int list_count;
	bool pinned;		/* pages of an application, not ours */
	bool writable;		/* ... that the backend may write */
};

/* Allocates and grants pages of our own. */
int vtoe_grants_alloc(struct vtoe_grants *g, domid_t domid, unsigned int count);
/* Pins and grants an application's pages. */
int vtoe_grants_pin(struct vtoe_grants *g, domid_t domid, unsigned long at,
		    unsigned int count, bool readonly);
void vtoe_grants_describe(const struct vtoe_grants *g,
			  struct vtoe_xen_request *q);
/* Takes the grants back. What the backend still maps goes when it unmaps. */
void vtoe_grants_end(struct vtoe_grants *g);
int vtoe_grants_init(void);
void vtoe_grants_exit(void);
/* Pages whose grant the backend has not given back. */
unsigned int vtoe_grants_quarantined(void);

/* -- xenbus.c --------------------------------------------------------------- */

struct vtoe_device {
	struct kref ref;
	struct xenbus_device *xdev; /* valid until dead */
	domid_t domid;
	struct vtoe_xenring ring;
	struct miscdevice misc;
	char name[16];
	int index;
	bool registered;	/* misc */
	bool dead;
	spinlock_t lock;	/* guards connections and their numbers */
	struct list_head connections;
	DECLARE_BITMAP(numbers, 1024);
	unsigned int max_connections, connection_pages;
	atomic_t registered_pages;
};

int vtoe_xenbus_init(void);
void vtoe_xenbus_exit(void);
void vtoe_device_put(struct vtoe_device *d);
/* Sends a request and waits for its completion, @timeout jiffies at most. 0 and
 * the backend's verdict in @c; -ENOTCONN, -ETIMEDOUT. */
int vtoe_device_call(struct vtoe_device *d, struct vtoe_xen_request *q,
		     struct vtoe_xen_completion *c, long timeout);
#define VTOE_CALL_TIMEOUT (10 * HZ)

/* -- region.c ---------------------------------------------------------------- */

struct vtoe_connection;

struct vtoe_region {
	struct list_head node;
	struct vtoe_connection *connection;
	struct mmu_interval_notifier notifier;
	struct mm_struct *mm;	/* whose pinned_vm counts it */
	struct vtoe_grants grants;
	u64 key;
	bool watched;
	bool stale;
};

int vtoe_region_add(struct vtoe_connection *c, struct vtoe_ioc_register *q);
int vtoe_region_del(struct vtoe_connection *c, struct vtoe_ioc_register *q);
/* After the backend was told of the connection's end. */
void vtoe_region_free_all(struct vtoe_connection *c);

/* -- chardev.c ---------------------------------------------------------------- */

struct vtoe_connection {
	struct list_head node;	/* of the device */
	struct vtoe_device *device;
	struct mutex lock;	/* regions */
	struct list_head regions;
	struct vtoe_grants memory;
	unsigned int number;
	bool connected;
	int evtchn;
	int irq;
	wait_queue_head_t wait;
	spinlock_t event_lock;	/* guards events */
	struct eventfd_ctx *events[VTOE_VECTORS_MAX];
	atomic64_t generation;
};

int vtoe_chardev_add(struct vtoe_device *d);
void vtoe_chardev_remove(struct vtoe_device *d);
/* The device died: wake whoever waits. */
void vtoe_connections_dead(struct vtoe_device *d);

#endif
