// SPDX-License-Identifier: GPL-2.0-only
/*
 * grant.c - pages that the backend may map
 *
 * A grant cannot be taken away while it is mapped; the page must not be used
 * for anything else until then (MECHANISMS P1). For pages of our own the
 * kernel does that: gnttab_end_foreign_access(ref, page) frees the page now or,
 * from its deferred list, later. Pages of applications are not ours to free,
 * but to unpin: those whose grant is still in use are kept pinned, here, and
 * tried again each second.
 *
 * Proof that no page is lost: a page is in exactly one of three places: a
 * struct vtoe_grants (granted), the deferred list of the kernel or of this file
 * (ending), or free. vtoe_grants_end() moves all pages of a struct from the
 * first to the second or third and empties the struct; nobody else does.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <xen/page.h>

#include "vtoe.h"

struct vtoe_pinned {
	struct list_head node;
	struct page *page;
	grant_ref_t ref;
	bool writable;
};

static LIST_HEAD(quarantine);
static DEFINE_MUTEX(quarantine_lock);
static unsigned int quarantine_count;
static struct delayed_work quarantine_work;

unsigned int vtoe_grants_quarantined(void)
{
	return READ_ONCE(quarantine_count);
}

static void quarantine_try(struct work_struct *work)
{
	struct vtoe_pinned *p, *tmp;

	mutex_lock(&quarantine_lock);
	list_for_each_entry_safe(p, tmp, &quarantine, node) {
		if (!gnttab_try_end_foreign_access(p->ref))
			continue;
		unpin_user_pages_dirty_lock(&p->page, 1, p->writable);
		list_del(&p->node);
		kfree(p);
		quarantine_count--;
	}
	if (!list_empty(&quarantine))
		schedule_delayed_work(&quarantine_work, HZ);
	mutex_unlock(&quarantine_lock);
}

int vtoe_grants_init(void)
{
	INIT_DELAYED_WORK(&quarantine_work, quarantine_try);
	return 0;
}

void vtoe_grants_exit(void)
{
	cancel_delayed_work_sync(&quarantine_work);
	/* What a backend maps even now stays pinned for ever: better a page
	 * lost than one shared by two. */
	if (quarantine_count)
		pr_warn("vtoe: %u pages stay with the backend\n",
			quarantine_count);
}

/* Ends one pinned page's grant, or leaves it to the quarantine. The element is
 * allocated beforehand, so that this cannot fail. */
static void pinned_end(struct page *page, grant_ref_t ref, bool writable,
		       struct vtoe_pinned *p)
{
	if (ref == INVALID_GRANT_REF || gnttab_try_end_foreign_access(ref)) {
		unpin_user_pages_dirty_lock(&page, 1,
					    writable &&
					    ref != INVALID_GRANT_REF);
		kfree(p);
		return;
	}
	p->page = page;
	p->ref = ref;
	p->writable = writable;
	mutex_lock(&quarantine_lock);
	list_add_tail(&p->node, &quarantine);
	quarantine_count++;
	schedule_delayed_work(&quarantine_work, HZ);
	mutex_unlock(&quarantine_lock);
}

static int grants_make_list(struct vtoe_grants *g, domid_t domid)
{
	unsigned int i, n = DIV_ROUND_UP(g->count, VTOE_XEN_REFS_PER_PAGE);
	u32 *refs;
	int ref;

	for (i = 0; i < n; i++) {
		g->list[i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!g->list[i])
			return -ENOMEM;
		g->list_count = i + 1;
		g->list_ref[i] = INVALID_GRANT_REF;
		refs = page_address(g->list[i]);
		memcpy(refs, g->refs + i * VTOE_XEN_REFS_PER_PAGE,
		       min(g->count - i * VTOE_XEN_REFS_PER_PAGE,
			   VTOE_XEN_REFS_PER_PAGE) * sizeof(u32));
		ref = gnttab_grant_foreign_access(
			domid, xen_page_to_gfn(g->list[i]), 1);
		if (ref < 0)
			return ref;
		g->list_ref[i] = ref;
	}
	return 0;
}

static int grants_allocate(struct vtoe_grants *g, unsigned int count)
{
	memset(g, 0, sizeof(*g));
	if (!count || count > VTOE_XEN_MAX_PAGES)
		return -EINVAL;
	g->pages = kvcalloc(count, sizeof(*g->pages), GFP_KERNEL);
	g->refs = kvcalloc(count, sizeof(*g->refs), GFP_KERNEL);
	if (g->pages && g->refs)
		return 0;
	kvfree(g->pages);
	kvfree(g->refs);
	memset(g, 0, sizeof(*g));
	return -ENOMEM;
}

static int grants_grant(struct vtoe_grants *g, domid_t domid, unsigned int i,
			bool readonly)
{
	int ref = gnttab_grant_foreign_access(
		domid, xen_page_to_gfn(g->pages[i]), readonly);

	if (ref < 0)
		return ref;
	g->refs[i] = ref;
	return 0;
}

int vtoe_grants_alloc(struct vtoe_grants *g, domid_t domid, unsigned int count)
{
	unsigned int i;
	int rc = grants_allocate(g, count);

	if (rc)
		return rc;
	for (i = 0; i < count; i++) {
		g->pages[i] = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO |
					 __GFP_HIGHMEM);
		rc = -ENOMEM;
		if (!g->pages[i])
			goto fail;
		g->refs[i] = INVALID_GRANT_REF;
		g->count = i + 1;
		rc = grants_grant(g, domid, i, false);
		if (rc)
			goto fail;
	}
	rc = grants_make_list(g, domid);
	if (!rc)
		return 0;
fail:
	vtoe_grants_end(g);
	return rc;
}

int vtoe_grants_pin(struct vtoe_grants *g, domid_t domid, unsigned long at,
		    unsigned int count, bool readonly)
{
	unsigned int flags = FOLL_LONGTERM | (readonly ? 0 : FOLL_WRITE);
	unsigned int i;
	int rc = grants_allocate(g, count);

	if (rc)
		return rc;
	g->pinned = true;
	g->writable = !readonly;
	while (g->count < count) {
		rc = pin_user_pages_fast(at + g->count * PAGE_SIZE,
					 count - g->count, flags,
					 g->pages + g->count);
		if (rc <= 0) {
			rc = rc ? rc : -EFAULT;
			goto fail;
		}
		for (i = 0; i < rc; i++)
			g->refs[g->count + i] = INVALID_GRANT_REF;
		g->count += rc;
	}
	for (i = 0; i < count; i++) {
		rc = grants_grant(g, domid, i, readonly);
		if (rc)
			goto fail;
	}
	rc = grants_make_list(g, domid);
	if (!rc)
		return 0;
fail:
	vtoe_grants_end(g);
	return rc;
}

void vtoe_grants_describe(const struct vtoe_grants *g,
			  struct vtoe_xen_request *q)
{
	unsigned int i;

	q->u.memory.pages = g->count;
	for (i = 0; i < g->list_count; i++)
		q->u.memory.list_ref[i] = g->list_ref[i];
}

static void page_end(struct page *page, grant_ref_t ref)
{
	if (ref == INVALID_GRANT_REF)
		__free_page(page);
	else
		gnttab_end_foreign_access(ref, page);
}

void vtoe_grants_end(struct vtoe_grants *g)
{
	unsigned int i;

	for (i = 0; i < g->list_count; i++)
		page_end(g->list[i], g->list_ref[i]);
	for (i = 0; i < g->count; i++) {
		if (g->pinned)
			pinned_end(g->pages[i], g->refs[i], g->writable,
				   kmalloc(sizeof(struct vtoe_pinned),
					   GFP_KERNEL | __GFP_NOFAIL));
		else
			page_end(g->pages[i], g->refs[i]);
	}
	kvfree(g->pages);
	kvfree(g->refs);
	memset(g, 0, sizeof(*g));
}
