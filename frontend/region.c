// SPDX-License-Identifier: GPL-2.0-only
/*
 * region.c - registered application memory (MECHANISMS H1, H2, H5, H15)
 *
 * Registering pins the pages for long, counts them against RLIMIT_MEMLOCK and
 * the device's limit, grants them (read-only for memory that is only sent
 * from, O8), and lets the backend make a region of them. From then on no call
 * of the kernel is needed to use it.
 *
 * An mmu interval notifier watches the addresses. When other pages come there,
 * or none, the registration's byte in the state page (vtoe_ioctl.h) says so
 * before the call that did it returns: libvtoe does not use its key again. The
 * pages themselves stay pinned and granted: what is under way writes the old
 * pages, never whatever is mapped at the address now.
 *
 * Pinning may itself change the pages: it breaks copy-on-write, moves pages out
 * of movable zones. So the pages are pinned between mmu_interval_read_begin()
 * and _retry(), again until nothing changed meanwhile; from the check on, which
 * is under the lock that the notifier takes, every change counts (`watching`).
 *
 * fork leaves the pages with the parent, as they are pinned, and the notifier
 * too, as it is of the parent's mm. Registering for another process's addresses
 * is refused (O2): pages and notifier would be of different processes.
 *
 * A REGION_ADD that was not answered in time may yet be carried out: the region
 * stays then, `unsure`, of no use to anyone, until the connection has ended
 * (chardev.c). If its grants were ended now, the references in its list might
 * be those of other pages by the time that the backend reads it.
 */
#include <linux/capability.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/version.h>

#include "vtoe.h"

/* Pages that change each time while they are pinned are in busy use. */
#define PIN_TRIES 8

struct vtoe_state_page *vtoe_regions_state(const struct vtoe_connection *c)
{
	return page_address(c->regions.page);
}

static void region_mark_stale(struct vtoe_region *r)
{
	struct vtoe_state_page *state = vtoe_regions_state(r->connection);

	r->stale = true;
	WRITE_ONCE(state->stale[r->slot], 1);
	/* who sees the count sees the mark */
	smp_wmb();
	atomic64_inc((atomic64_t *)&state->generation);
}

static bool vtoe_region_invalidate(struct mmu_interval_notifier *n,
				   const struct mmu_notifier_range *range,
				   unsigned long seq)
{
	struct vtoe_region *r = container_of(n, struct vtoe_region, notifier);

	/* What leaves the pages in place: mprotect, fork, dirty tracking. */
	switch (range->event) {
	case MMU_NOTIFY_PROTECTION_VMA:
	case MMU_NOTIFY_PROTECTION_PAGE:
	case MMU_NOTIFY_SOFT_DIRTY:
		return true;
	default:
		break;
	}
	spin_lock(&r->lock);
	mmu_interval_set_seq(n, seq);
	if (r->watching && !r->stale)
		region_mark_stale(r);
	spin_unlock(&r->lock);
	return true;
}

static const struct mmu_interval_notifier_ops region_notifier = {
	.invalidate = vtoe_region_invalidate,
};

unsigned int vtoe_region_most(const struct vtoe_connection *c)
{
	/* what the backend said that it maps at once */
	return c->device->connection_pages;
}

/* Takes the quota of RLIMIT_MEMLOCK and of the device. */
static int region_charge(struct vtoe_connection *c, unsigned int pages)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	struct mm_struct *mm = c->regions.mm;
	struct vtoe_device *d = c->device;

	if (atomic_add_return(pages, &d->registered_pages) >
	    READ_ONCE(vtoe_max_registered_pages))
		goto device;
	if (atomic64_add_return(pages, &mm->pinned_vm) > limit &&
	    !capable(CAP_IPC_LOCK))
		goto process;
	return 0;
process:
	atomic64_sub(pages, &mm->pinned_vm);
device:
	atomic_sub(pages, &d->registered_pages);
	return -ENOMEM;
}

static void region_uncharge(struct vtoe_connection *c, unsigned int pages)
{
	atomic64_sub(pages, &c->regions.mm->pinned_vm);
	atomic_sub(pages, &c->device->registered_pages);
}

static int region_take_slot(struct vtoe_connection *c, struct vtoe_region *r)
{
	struct vtoe_regions *all = &c->regions;
	unsigned int n;

	mutex_lock(&all->lock);
	n = find_first_zero_bit(all->slots, VTOE_STATE_SLOTS);
	if (n < VTOE_STATE_SLOTS)
		__set_bit(n, all->slots);
	mutex_unlock(&all->lock);
	if (n == VTOE_STATE_SLOTS)
		return -ENOSPC;
	r->slot = n;
	/* nobody watches the slot yet: its last region is gone */
	WRITE_ONCE(vtoe_regions_state(c)->stale[n], 0);
	return 0;
}

static void region_put_slot(struct vtoe_connection *c, struct vtoe_region *r)
{
	mutex_lock(&c->regions.lock);
	__clear_bit(r->slot, c->regions.slots);
	mutex_unlock(&c->regions.lock);
}

/* Pins what is mapped there, and knows of every change from then on. */
static int region_pin(struct vtoe_region *r, unsigned long at, bool readonly)
{
	unsigned long seq;
	bool changed;
	int rc, n;

	for (n = 0; n < PIN_TRIES; n++) {
		seq = mmu_interval_read_begin(&r->notifier);
		rc = vtoe_grants_pin(&r->grants, at, r->pages, readonly);
		if (rc)
			return rc;
		spin_lock(&r->lock);
		changed = mmu_interval_read_retry(&r->notifier, seq);
		r->watching = !changed;
		spin_unlock(&r->lock);
		if (!changed)
			return 0;
		vtoe_grants_end(&r->grants);
	}
	return -EAGAIN;
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
	if (done.result)
		return done.result;
	r->key = done.key;
	/* a success that nobody can name */
	return r->key ? 0 : -EPROTO;
}

static int region_make(struct vtoe_connection *c, struct vtoe_region *r,
		       const struct vtoe_ioc_register *q)
{
	int rc;

	rc = region_charge(c, r->pages);
	if (rc)
		return rc;
	rc = region_take_slot(c, r);
	if (rc)
		goto charge;
	rc = mmu_interval_notifier_insert(&r->notifier, c->regions.mm,
					  q->address, q->bytes,
					  &region_notifier);
	if (rc)
		goto slot;
	rc = region_pin(r, q->address, !(q->rights & VTOE_REGION_WRITE));
	if (rc)
		goto notifier;
	rc = vtoe_grants_publish(&r->grants, c->device->domid);
	if (!rc)
		rc = region_tell(c, r, q->rights);
	if (!rc || r->unsure)
		return rc;
	vtoe_grants_end(&r->grants);
notifier:
	mmu_interval_notifier_remove(&r->notifier);
slot:
	region_put_slot(c, r);
charge:
	region_uncharge(c, r->pages);
	return rc;
}

/* The reverse, when the backend was told. -> does it still map pages of it? */
static bool region_free(struct vtoe_connection *c, struct vtoe_region *r,
			bool wait)
{
	bool all = true;

	if (wait)
		all = vtoe_grants_end_wait(&r->grants);
	else
		vtoe_grants_end(&r->grants);
	/* no notifier is in r behind this */
	mmu_interval_notifier_remove(&r->notifier);
	region_put_slot(c, r);
	region_uncharge(c, r->pages);
	kfree(r);
	return !all;
}

static void region_keep(struct vtoe_connection *c, struct vtoe_region *r)
{
	mutex_lock(&c->regions.lock);
	list_add_tail(&r->node, &c->regions.list);
	if (r->unsure)
		c->unsure = true;
	mutex_unlock(&c->regions.lock);
}

int vtoe_region_add(struct vtoe_connection *c, struct vtoe_ioc_register *q)
{
	const u32 both = VTOE_REGION_READ | VTOE_REGION_WRITE;
	struct vtoe_region *r;
	int rc;

	if (current->mm != c->regions.mm)
		return -EPERM;
	if (!q->bytes || (q->address | q->bytes) & (PAGE_SIZE - 1) ||
	    q->address + q->bytes < q->address || !q->rights ||
	    q->rights & ~both || q->reserved ||
	    q->bytes >> PAGE_SHIFT > vtoe_region_most(c))
		return -EINVAL;
	r = kzalloc(sizeof(*r), GFP_KERNEL_ACCOUNT);
	if (!r)
		return -ENOMEM;
	spin_lock_init(&r->lock);
	r->connection = c;
	r->pages = q->bytes >> PAGE_SHIFT;
	rc = region_make(c, r, q);
	if (rc && !r->unsure) {
		kfree(r);
		return rc;
	}
	q->key = r->key;
	q->slot = r->slot;
	q->stale = READ_ONCE(r->stale);
	region_keep(c, r);
	return rc;
}

static struct vtoe_region *region_take(struct vtoe_connection *c, u64 key)
{
	struct vtoe_region *r, *found = NULL;

	mutex_lock(&c->regions.lock);
	list_for_each_entry(r, &c->regions.list, node)
		if (r->key == key && !r->unsure) {
			list_del(&r->node);
			found = r;
			break;
		}
	mutex_unlock(&c->regions.lock);
	return found;
}

int vtoe_region_del(struct vtoe_connection *c, struct vtoe_ioc_register *q)
{
	struct vtoe_xen_request request = {
		.op = VTOE_XEN_REGION_DEL,
		.connection = c->number,
		.u.key = q->key,
	};
	struct vtoe_xen_completion done;
	struct vtoe_region *r;
	int rc;

	if (current->mm != c->regions.mm)
		return -EPERM;
	r = region_take(c, q->key);
	if (!r)
		return -ENOENT;
	q->stale = READ_ONCE(r->stale);
	/* Without a time limit: a page that was sent without a copy is the
	 * network's until the peer has acknowledged it. */
	rc = vtoe_device_call(c->device, &request, &done, MAX_SCHEDULE_TIMEOUT);
	if (rc == -EBUSY || rc == -ENOMEM) {
		region_keep(c, r); /* nothing was sent */
		return rc;
	}
	/* Whether the backend let go of the pages, the hypervisor knows best;
	 * what it says of it itself does not matter. */
	if (!region_free(c, r, rc != -EINTR))
		return 0;
	return rc ? rc : -EBUSY;
}

int vtoe_regions_init(struct vtoe_connection *c)
{
	struct vtoe_regions *all = &c->regions;

	all->page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!all->page)
		return -ENOMEM;
	mutex_init(&all->lock);
	INIT_LIST_HEAD(&all->list);
	all->mm = current->mm;
	mmgrab(all->mm);
	return 0;
}

/* The file's last user is gone: no ioctl, no mapping of the state page. The
 * process may be dead for long, its mm a husk that only we and the notifiers
 * hold; we may be a work item. */
void vtoe_regions_end(struct vtoe_connection *c)
{
	struct vtoe_regions *all = &c->regions;
	struct vtoe_region *r, *tmp;

	list_for_each_entry_safe(r, tmp, &all->list, node) {
		list_del(&r->node);
		region_free(c, r, false);
	}
	mmdrop(all->mm);
	__free_page(all->page);
}

void vtoe_regions_park(struct vtoe_connection *c)
{
	struct vtoe_region *r;

	list_for_each_entry(r, &c->regions.list, node)
		vtoe_grants_park(&r->grants);
}

int vtoe_regions_mmap(struct vtoe_connection *c, struct vm_area_struct *vma)
{
	if (vma->vm_flags & VM_WRITE)
		return -EPERM;
	if (vma->vm_end - vma->vm_start != PAGE_SIZE)
		return -EINVAL;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_clear(vma, VM_MAYWRITE);
#else
	vma->vm_flags &= ~VM_MAYWRITE;
#endif
	return vm_insert_page(vma, vma->vm_start, c->regions.page);
}
