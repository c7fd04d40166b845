// SPDX-License-Identifier: GPL-2.0-only
/*
 * grant.c - pages that the backend may map
 *
 * A grant cannot be taken away while it is mapped; the page must not be used
 * for anything else until then (MECHANISMS P1). What cannot be ended at once
 * goes to the quarantine, which is tried again each second: pages of our own
 * are freed from there, pages of applications unpinned. The kernel has such a
 * list too (gnttab_end_foreign_access), but it knows nothing of pins, and does
 * not tell how long it is.
 *
 * Proof that no page is lost, given back early, or given back twice: a page is
 * in exactly one of three places: a struct vtoe_grants in use, one in the
 * quarantine, or free. page_end() is the only way from the first two to the
 * third, and gives the page back only when Xen has said, in one atomic step on
 * the grant's entry, that it is not mapped and cannot be any more; the caller
 * forgets the page in the same breath. vtoe_grants_end() moves what remains
 * from the first to the second, and nobody else moves pages. It needs no memory
 * for that: the element was made together with the grants.
 *
 * Bounds. What is granted or quarantined is counted. Together it may take seven
 * eighths of the grant table, so that disks and consoles find references. Once
 * max_quarantined_pages are quarantined nothing more is granted: that is all
 * that a backend which never unmaps can take from the guest.
 */
#include <linux/atomic.h>
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <xen/page.h>

#include "vtoe.h"

/* in version 1 of the table; version 2 has half as many, and then the kernel
 * says when there are no more */
#define GRANTS_PER_FRAME 512u

/* How long a backend's kernel may need to unmap what its process gave up. */
#define END_WAIT (HZ / 2)

struct vtoe_rest {
	struct list_head node;
	struct vtoe_grants grants;
};

static LIST_HEAD(quarantine);
static DEFINE_MUTEX(quarantine_lock);
static struct delayed_work quarantine_work;
static atomic_t granted, registered, quarantined;

/* -- the sums ------------------------------------------------------------- */

unsigned int vtoe_grants_granted(void)
{
	return atomic_read(&granted);
}

unsigned int vtoe_grants_registered(void)
{
	return atomic_read(&registered);
}

unsigned int vtoe_grants_quarantined(void)
{
	return atomic_read(&quarantined);
}

static void grants_charge(struct vtoe_grants *g, unsigned int pages,
			  unsigned int lists)
{
	g->charged = pages + lists;
	g->registered = g->pinned ? pages : 0;
	atomic_add(g->charged, &granted);
	atomic_add(g->registered, &registered);
}

static void grants_uncharge(struct vtoe_grants *g)
{
	atomic_sub(g->charged, g->parked ? &quarantined : &granted);
	atomic_sub(g->registered, &registered);
	g->charged = 0;
	g->registered = 0;
}

void vtoe_grants_park(struct vtoe_grants *g)
{
	unsigned int pages = g->charged;

	if (g->parked)
		return;
	grants_uncharge(g);
	g->parked = true;
	g->charged = pages;
	atomic_add(pages, &quarantined);
}

/* -- giving back ------------------------------------------------------------ */

/* Gives the page back if its grant can be ended, or was never made. */
static bool page_end(const struct vtoe_grants *g, struct page *page,
		     grant_ref_t ref, bool pinned)
{
	bool made = ref != INVALID_GRANT_REF;

	if (made && !gnttab_try_end_foreign_access(ref))
		return false;
	if (pinned)
		unpin_user_pages_dirty_lock(&page, 1, made && g->writable);
	else
		__free_page(page);
	return true;
}

/* Gives back all that can be, and keeps the others together at the front. */
static void grants_try(struct vtoe_grants *g)
{
	unsigned int i, n;

	for (i = 0, n = 0; i < g->list_count; i++) {
		if (page_end(g, g->list[i], g->list_ref[i], false))
			continue;
		g->list[n] = g->list[i];
		g->list_ref[n++] = g->list_ref[i];
	}
	g->list_count = n;
	for (i = 0, n = 0; i < g->count; i++) {
		if (page_end(g, g->pages[i], g->refs[i], g->pinned))
			continue;
		g->pages[n] = g->pages[i];
		g->refs[n++] = g->refs[i];
	}
	g->count = n;
}

static void grants_free(struct vtoe_grants *g)
{
	kvfree(g->pages);
	kvfree(g->refs);
	kfree(g->rest); /* of which @g may be a part */
}

static void quarantine_pass(void)
{
	struct vtoe_rest *rest, *tmp;

	mutex_lock(&quarantine_lock);
	list_for_each_entry_safe(rest, tmp, &quarantine, node) {
		struct vtoe_grants *g = &rest->grants;
		unsigned int before = g->charged;

		grants_try(g);
		g->charged = g->count + g->list_count;
		atomic_sub(before - g->charged, &quarantined);
		if (g->charged)
			continue;
		list_del(&rest->node);
		grants_free(g);
	}
	if (!list_empty(&quarantine))
		queue_delayed_work(vtoe_workqueue, &quarantine_work, HZ);
	mutex_unlock(&quarantine_lock);
}

static void quarantine_try(struct work_struct *work)
{
	quarantine_pass();
}

void vtoe_grants_end(struct vtoe_grants *g)
{
	struct vtoe_rest *rest = g->rest;

	grants_uncharge(g);
	grants_try(g);
	if (g->count || g->list_count) {
		g->parked = true;
		g->charged = g->count + g->list_count;
		atomic_add(g->charged, &quarantined);
		rest->grants = *g;
		mutex_lock(&quarantine_lock);
		list_add_tail(&rest->node, &quarantine);
		queue_delayed_work(vtoe_workqueue, &quarantine_work, HZ);
		mutex_unlock(&quarantine_lock);
	} else {
		grants_free(g);
	}
	memset(g, 0, sizeof(*g));
}

bool vtoe_grants_end_wait(struct vtoe_grants *g)
{
	unsigned long until = jiffies + END_WAIT;
	bool all;

	for (;;) {
		grants_try(g);
		all = !g->count && !g->list_count;
		if (all || time_after(jiffies, until))
			break;
		usleep_range(500, 2000);
	}
	vtoe_grants_end(g);
	return all;
}

void vtoe_grants_init(void)
{
	INIT_DELAYED_WORK(&quarantine_work, quarantine_try);
}

/* Everything has been ended. What a backend maps even now is given to the
 * kernel's own list, which holds a reference to each page until it is unmapped:
 * a page of an application need not be pinned for that. */
void vtoe_grants_exit(void)
{
	struct vtoe_rest *rest, *tmp;
	unsigned int i;

	cancel_delayed_work_sync(&quarantine_work);
	list_for_each_entry_safe(rest, tmp, &quarantine, node) {
		struct vtoe_grants *g = &rest->grants;

		for (i = 0; i < g->list_count; i++)
			gnttab_end_foreign_access(g->list_ref[i], g->list[i]);
		for (i = 0; i < g->count; i++) {
			if (g->pinned)
				get_page(g->pages[i]);
			gnttab_end_foreign_access(g->refs[i], g->pages[i]);
			if (g->pinned)
				unpin_user_pages_dirty_lock(&g->pages[i], 1,
							    g->writable);
		}
		list_del(&rest->node);
		grants_free(g);
	}
}

/* -- granting ----------------------------------------------------------------- */

static int grants_check_limits(unsigned int pages)
{
	unsigned int table = gnttab_max_grant_frames() * GRANTS_PER_FRAME;
	unsigned int most = READ_ONCE(vtoe_max_quarantined_pages);

	if (!most)
		most = totalram_pages() / 8;
	if (vtoe_grants_quarantined() > most)
		quarantine_pass(); /* it may be about to be empty */
	if (vtoe_grants_quarantined() > most) {
		pr_warn_ratelimited("vtoe: the backend keeps %u pages, more than max_quarantined_pages: nothing is granted\n",
				    vtoe_grants_quarantined());
		return -ENOSPC;
	}
	if (vtoe_grants_granted() + vtoe_grants_quarantined() + pages >
	    table / 8 * 7) {
		pr_warn_ratelimited("vtoe: %u pages more do not fit into the grant table of %u entries: raise max_grant_frames in the domain's configuration\n",
				    pages, table);
		return -ENOSPC;
	}
	return 0;
}

static int grants_allocate(struct vtoe_grants *g, unsigned int count,
			   unsigned int lists, bool pinned)
{
	int rc;

	memset(g, 0, sizeof(*g));
	if (!count || count > VTOE_XEN_MAX_PAGES)
		return -EINVAL;
	rc = grants_check_limits(count + lists);
	if (rc)
		return rc;
	g->pages = kvcalloc(count, sizeof(*g->pages), GFP_KERNEL_ACCOUNT);
	g->refs = kvcalloc(count, sizeof(*g->refs), GFP_KERNEL_ACCOUNT);
	g->rest = kzalloc(sizeof(*g->rest), GFP_KERNEL_ACCOUNT);
	if (!g->pages || !g->refs || !g->rest) {
		grants_free(g);
		memset(g, 0, sizeof(*g));
		return -ENOMEM;
	}
	g->pinned = pinned;
	grants_charge(g, count, lists);
	return 0;
}

static int page_grant(struct page *page, domid_t domid, bool readonly,
		      grant_ref_t *ref)
{
	int rc = gnttab_grant_foreign_access(domid, xen_page_to_gfn(page),
					     readonly);

	if (rc < 0)
		return rc;
	*ref = rc;
	return 0;
}

static int grants_make_list(struct vtoe_grants *g, domid_t domid)
{
	unsigned int i, n = DIV_ROUND_UP(g->count, VTOE_XEN_REFS_PER_PAGE);
	int rc;

	for (i = 0; i < n; i++) {
		g->list[i] = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		if (!g->list[i])
			return -ENOMEM;
		g->list_count = i + 1;
		g->list_ref[i] = INVALID_GRANT_REF;
		memcpy(page_address(g->list[i]),
		       g->refs + i * VTOE_XEN_REFS_PER_PAGE,
		       min(g->count - i * VTOE_XEN_REFS_PER_PAGE,
			   VTOE_XEN_REFS_PER_PAGE) * sizeof(u32));
		rc = page_grant(g->list[i], domid, true, &g->list_ref[i]);
		if (rc)
			return rc;
	}
	return 0;
}

/* Pages of our own, granted, after grants_allocate(). */
static int grants_fill(struct vtoe_grants *g, domid_t domid, unsigned int count)
{
	unsigned int i;
	int rc;

	for (i = 0; i < count; i++) {
		g->pages[i] = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		if (!g->pages[i])
			return -ENOMEM;
		g->refs[i] = INVALID_GRANT_REF;
		g->count = i + 1;
		rc = page_grant(g->pages[i], domid, false, &g->refs[i]);
		if (rc)
			return rc;
	}
	return 0;
}

int vtoe_grants_alloc(struct vtoe_grants *g, domid_t domid, unsigned int count)
{
	int rc;

	rc = grants_allocate(g, count,
			     DIV_ROUND_UP(count, VTOE_XEN_REFS_PER_PAGE),
			     false);
	if (rc)
		return rc;
	rc = grants_fill(g, domid, count);
	if (!rc)
		rc = grants_make_list(g, domid);
	if (rc)
		vtoe_grants_end(g);
	return rc;
}

int vtoe_grants_alloc_page(struct vtoe_grants *g, domid_t domid)
{
	int rc = grants_allocate(g, 1, 0, false);

	if (rc)
		return rc;
	rc = grants_fill(g, domid, 1);
	if (rc)
		vtoe_grants_end(g);
	return rc;
}

int vtoe_grants_pin(struct vtoe_grants *g, unsigned long at, unsigned int count,
		    bool readonly)
{
	unsigned int flags = FOLL_LONGTERM | (readonly ? 0 : FOLL_WRITE);
	unsigned int i;
	int rc;

	rc = grants_allocate(g, count,
			     DIV_ROUND_UP(count, VTOE_XEN_REFS_PER_PAGE), true);
	if (rc)
		return rc;
	g->writable = !readonly;
	while (g->count < count) {
		rc = pin_user_pages_fast(at + g->count * PAGE_SIZE,
					 count - g->count, flags,
					 g->pages + g->count);
		if (rc <= 0) {
			vtoe_grants_end(g);
			return rc ? rc : -EFAULT;
		}
		for (i = 0; i < rc; i++)
			g->refs[g->count + i] = INVALID_GRANT_REF;
		g->count += rc;
	}
	return 0;
}

int vtoe_grants_publish(struct vtoe_grants *g, domid_t domid)
{
	unsigned int i;
	int rc;

	for (i = 0; i < g->count; i++) {
		rc = page_grant(g->pages[i], domid, !g->writable, &g->refs[i]);
		if (rc)
			return rc;
	}
	return grants_make_list(g, domid);
}

void vtoe_grants_describe(const struct vtoe_grants *g,
			  struct vtoe_xen_request *q)
{
	unsigned int i;

	q->u.memory.pages = g->count;
	for (i = 0; i < g->list_count; i++)
		q->u.memory.list_ref[i] = g->list_ref[i];
}
