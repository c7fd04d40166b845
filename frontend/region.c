// SPDX-License-Identifier: GPL-2.0-only
/*
 * region.c - registered application memory (MECHANISMS H1, H2, H5, H15)
 *
 * Registering pins the pages for long, counts them against RLIMIT_MEMLOCK and
 * the device's limit, grants them (read-only for memory that is only sent
 * from, O8), and lets the backend make a region of them. From then on no call
 * of the kernel is needed to use it.
 *
 * An mmu interval notifier watches the addresses. When they are unmapped or
 * remapped, the region is marked stale and the connection's generation goes
 * up: libvtoe sees that its cache no longer tells the truth. The pages
 * themselves stay pinned and granted: what is under way writes the old pages,
 * never whatever is mapped at the address now.
 */
#include <linux/capability.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "vtoe.h"

static bool vtoe_region_invalidate(struct mmu_interval_notifier *n,
				   const struct mmu_notifier_range *range,
				   unsigned long seq)
{
	struct vtoe_region *r = container_of(n, struct vtoe_region, notifier);

	/* Protection changes, aging and the like leave the pages in place. */
	if (range->event != MMU_NOTIFY_UNMAP &&
	    range->event != MMU_NOTIFY_CLEAR)
		return true;
	mmu_interval_set_seq(n, seq);
	WRITE_ONCE(r->stale, true);
	atomic64_inc(&r->connection->generation);
	return true;
}

static const struct mmu_interval_notifier_ops region_notifier = {
	.invalidate = vtoe_region_invalidate,
};

/* Takes the quota of RLIMIT_MEMLOCK and of the device. */
static int region_charge(struct vtoe_connection *c, unsigned int pages)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	struct vtoe_device *d = c->device;

	if (atomic_add_return(pages, &d->registered_pages) >
	    READ_ONCE(vtoe_max_registered_pages)) {
		atomic_sub(pages, &d->registered_pages);
		return -ENOMEM;
	}
	if (atomic64_add_return(pages, &current->mm->pinned_vm) > limit &&
	    !capable(CAP_IPC_LOCK)) {
		atomic64_sub(pages, &current->mm->pinned_vm);
		atomic_sub(pages, &d->registered_pages);
		return -ENOMEM;
	}
	return 0;
}

static void region_uncharge(struct vtoe_connection *c, struct mm_struct *mm,
			    unsigned int pages)
{
	atomic64_sub(pages, &mm->pinned_vm);
	atomic_sub(pages, &c->device->registered_pages);
}

static void region_free(struct vtoe_connection *c, struct vtoe_region *r)
{
	unsigned int pages = r->grants.count;

	if (r->watched)
		mmu_interval_notifier_remove(&r->notifier);
	vtoe_grants_end(&r->grants);
	region_uncharge(c, r->mm, pages);
	mmdrop(r->mm);
	kfree(r);
}

static int region_tell(struct vtoe_connection *c, struct vtoe_region *r,
		       u32 rights)
{
	struct vtoe_xen_request q = {
		.op = VTOE_XEN_REGION_ADD,
		.connection = c->number,
	};
	struct vtoe_xen_completion done;
	int rc;

	vtoe_grants_describe(&r->grants, &q);
	q.u.memory.rights = rights;
	rc = vtoe_device_call(c->device, &q, &done, VTOE_CALL_TIMEOUT);
	r->unsure = vtoe_call_is_unsure(rc);
	if (rc)
		return rc;
	r->key = done.key;
	return done.result;
}

int vtoe_region_add(struct vtoe_connection *c, struct vtoe_ioc_register *q)
{
	const u32 both = VTOE_REGION_READ | VTOE_REGION_WRITE;
	struct vtoe_region *r;
	unsigned int pages;
	int rc;

	if (!q->bytes || (q->address | q->bytes) & (PAGE_SIZE - 1) ||
	    q->address + q->bytes < q->address || !q->rights ||
	    q->rights & ~both || q->bytes >> PAGE_SHIFT > VTOE_XEN_MAX_PAGES)
		return -EINVAL;
	pages = q->bytes >> PAGE_SHIFT;
	r = kzalloc(sizeof(*r), GFP_KERNEL);
	if (!r)
		return -ENOMEM;
	rc = region_charge(c, pages);
	if (rc) {
		kfree(r);
		return rc;
	}
	r->connection = c;
	r->mm = current->mm;
	mmgrab(r->mm);
	/* Watch first, pin then: what changes in between is seen. */
	rc = mmu_interval_notifier_insert(&r->notifier, current->mm, q->address,
					  q->bytes, &region_notifier);
	if (!rc)
		r->watched = true;
	if (!rc)
		rc = vtoe_grants_pin(&r->grants, c->device->domid, q->address,
				     pages, !(q->rights & VTOE_REGION_WRITE));
	if (rc) {
		if (r->watched)
			mmu_interval_notifier_remove(&r->notifier);
		region_uncharge(c, r->mm, pages);
		mmdrop(r->mm);
		kfree(r);
		return rc;
	}
	rc = region_tell(c, r, q->rights);
	if (rc && !r->unsure) {
		region_free(c, r);
		return rc;
	}
	list_add_tail(&r->node, &c->regions);
	if (rc) {
		/* The backend may yet map it: it stays, of no use to anyone,
		 * until the connection has ended (chardev.c). */
		c->unsure = true;
		return rc;
	}
	q->key = r->key;
	q->stale = READ_ONCE(r->stale);
	return 0;
}

static int region_untell(struct vtoe_connection *c, struct vtoe_region *r)
{
	struct vtoe_xen_request q = {
		.op = VTOE_XEN_REGION_DEL,
		.connection = c->number,
		.u.key = r->key,
	};
	struct vtoe_xen_completion done;
	int rc = vtoe_device_call(c->device, &q, &done, VTOE_CALL_TIMEOUT);

	return rc ? rc : done.result;
}

int vtoe_region_del(struct vtoe_connection *c, struct vtoe_ioc_register *q)
{
	struct vtoe_region *r;
	int rc;

	list_for_each_entry(r, &c->regions, node) {
		if (r->unsure || r->key != q->key)
			continue;
		q->stale = READ_ONCE(r->stale);
		rc = region_untell(c, r);
		/* Whatever the backend says, the region is no more ours to
		 * use; what it still maps is quarantined. */
		list_del(&r->node);
		region_free(c, r);
		return rc;
	}
	return -ENOENT;
}

void vtoe_region_free_all(struct vtoe_connection *c)
{
	struct vtoe_region *r, *tmp;

	list_for_each_entry_safe(r, tmp, &c->regions, node) {
		list_del(&r->node);
		region_free(c, r);
	}
}
