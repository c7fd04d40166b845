/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xenbus_store.c - xenstore and the hypervisor, by libxenstore and libxenctrl
 *
 * Every call is a round trip to xenstored, on which no guest has a hand, or a
 * hypercall. libxenstore reads the connection in a thread of its own and hands
 * watches over through a pipe. Values are the guest's: they are copied out of
 * the library's buffer, cut to what the caller has room for.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenctrl.h>
#include <xenhypfs.h>
#include <xenstore.h>

#include <vtoe_xen.h>

#include "daemon/xenbus.h"

/* A guest that writes all the time must not keep a transaction from ending. */
#define ATTEMPTS 16
#define GNTDEV_LIMIT "/sys/module/xen_gntdev/parameters/limit"
#define GRANTS_PER_FRAME 512
/* What Xen's command line says of the mappings that a domain may have; 256 of
 * them are in a frame of its table. */
#define MAPTRACK_FRAMES "/params/gnttab_max_maptrack_frames"
#define MAPPINGS_PER_FRAME 256
#define BACKENDS "/local/domain/0/backend/vtoe"

struct xen_store {
	struct xenbus_store store;
	struct xs_handle *xs;
	xc_interface *xc;
};

static struct xen_store *store_of(struct xenbus_store *store)
{
	return (struct xen_store *)store;
}

static int store_error(void)
{
	return errno ? -errno : -EIO;
}

static int store_read(struct xenbus_store *store, const char *path,
		      char *value, size_t size)
{
	unsigned int length;
	size_t n;
	char *text;

	text = xs_read(store_of(store)->xs, XBT_NULL, path, &length);
	if (!text)
		return store_error();
	n = length < size ? length : size - 1;
	memcpy(value, text, n);
	value[n] = '\0';
	free(text);
	return (int)length;
}

static int store_write(struct xenbus_store *store, const char *path,
		       const char *value)
{
	if (xs_write(store_of(store)->xs, XBT_NULL, path, value,
		     (unsigned int)strlen(value)))
		return 0;
	return store_error();
}

static int store_put(struct xs_handle *xs, xs_transaction_t t,
		     const struct xenbus_node *node)
{
	struct xs_permissions permissions[2] = {
		{ .id = node->owner, .perms = XS_PERM_NONE },
		{ .id = node->reader, .perms = XS_PERM_READ },
	};

	if (xs_write(xs, t, node->path, node->value,
		     (unsigned int)strlen(node->value)) &&
	    xs_set_permissions(xs, t, node->path, permissions, 2))
		return 0;
	return store_error();
}

static int store_fill(struct xs_handle *xs, xs_transaction_t t,
		      const char *const *remove,
		      const struct xenbus_node *nodes, size_t count)
{
	int error = 0;
	size_t i;

	for (i = 0; remove && remove[i]; i++)
		if (!xs_rm(xs, t, remove[i]) && errno != ENOENT)
			return store_error();
	for (i = 0; i < count && !error; i++)
		error = store_put(xs, t, &nodes[i]);
	return error;
}

static int store_publish(struct xenbus_store *store, const char *const *remove,
			 const struct xenbus_node *nodes, size_t count)
{
	struct xs_handle *xs = store_of(store)->xs;
	xs_transaction_t t;
	int error = -EAGAIN;
	int i;

	for (i = 0; i < ATTEMPTS && error == -EAGAIN; i++) {
		t = xs_transaction_start(xs);
		if (t == XBT_NULL)
			return store_error();
		error = store_fill(xs, t, remove, nodes, count);
		if (error) {
			xs_transaction_end(xs, t, true);
			continue;
		}
		if (!xs_transaction_end(xs, t, false))
			error = store_error();
	}
	return error;
}

static int store_watch(struct xenbus_store *store, const char *path,
		       const char *token)
{
	if (xs_watch(store_of(store)->xs, path, token))
		return 0;
	return store_error();
}

static void store_unwatch(struct xenbus_store *store, const char *path,
			  const char *token)
{
	xs_unwatch(store_of(store)->xs, path, token);
}

static int store_next(struct xenbus_store *store, char *token, size_t size)
{
	char **event = xs_check_watch(store_of(store)->xs);

	if (!event)
		return errno == EAGAIN ? 0 : store_error();
	snprintf(token, size, "%s", event[XS_WATCH_TOKEN]);
	free(event);
	return 1;
}

static bool store_exists(struct xenbus_store *store, uint32_t domid)
{
	return xs_is_domain_introduced(store_of(store)->xs, domid);
}

static int store_find(struct xenbus_store *store, const char *name,
		      uint32_t *domid)
{
	struct xs_handle *xs = store_of(store)->xs;
	char path[XENBUS_PATH_MAX], value[XENBUS_VALUE_MAX];
	int error = -ENOENT;
	unsigned int count, i;
	char **ids;

	ids = xs_directory(xs, XBT_NULL, "/local/domain", &count);
	if (!ids)
		return store_error();
	for (i = 0; i < count && error; i++) {
		snprintf(path, sizeof(path), "/local/domain/%.10s/name",
			 ids[i]);
		if (xenbus_parse_u32(ids[i], domid) || !*domid ||
		    store_read(store, path, value, sizeof(value)) < 0 ||
		    strcmp(value, name) || !store_exists(store, *domid))
			continue;
		error = 0;
	}
	free(ids);
	return error;
}

/* What one descriptor of /dev/xen/gntdev may map; 0: not known. */
static uint32_t store_gntdev_limit(void)
{
	FILE *file = fopen(GNTDEV_LIMIT, "re");
	unsigned int limit = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%u", &limit) != 1)
		limit = 0;
	fclose(file);
	return limit;
}

/* How many pages of other domains this one may map; 0: not known. */
static uint64_t store_mappings(void)
{
	struct xenhypfs_handle *fs = xenhypfs_open(NULL, 0);
	uint64_t frames = 0;
	char *text;

	if (!fs)
		return 0;
	text = xenhypfs_read(fs, MAPTRACK_FRAMES);
	if (text)
		frames = strtoull(text, NULL, 0);
	free(text);
	xenhypfs_close(fs);
	return frames * MAPPINGS_PER_FRAME;
}

static int store_check_mappings(const struct xenbus_needs *needs, char *why)
{
	uint32_t limit = store_gntdev_limit(), pages = needs->connection;
	uint64_t mappings = store_mappings();
	uint64_t all = needs->guest + needs->others;

	if (limit && limit <= pages) {
		snprintf(why, XENBUS_WHY_MAX, "a connection may have %u pages, "
			 "but a process of this domain may map %u: set "
			 "xen_gntdev.limit=%u on its kernel's command line, or "
			 "lower peer_memory", pages, limit, pages * 4);
		return -1;
	}
	if (!mappings || all <= mappings)
		return 0;
	snprintf(why, XENBUS_WHY_MAX, "its total_memory is %llu pages and that "
		 "of other guests %llu, but this domain may map %llu: set "
		 "gnttab_max_maptrack_frames=%llu on Xen's command line, or "
		 "lower total_memory", (unsigned long long)needs->guest,
		 (unsigned long long)needs->others,
		 (unsigned long long)mappings,
		 (unsigned long long)(all / MAPPINGS_PER_FRAME + 16));
	return -1;
}

static int store_check_limits(struct xenbus_store *store, uint32_t domid,
			      const struct xenbus_needs *needs, char *why)
{
	struct gnttab_query_size query = { .dom = (domid_t)domid };
	uint32_t pages = needs->connection;
	uint64_t grants, needed;

	if (store_check_mappings(needs, why))
		return -1;
	if (xc_gnttab_query_size(store_of(store)->xc, &query) ||
	    query.status != GNTST_okay)
		return 0; /* not for us to ask: the guest will find out */
	/* Its driver leaves an eighth of the table to others, and grants the
	 * lists of a connection's pages and its own ring besides. */
	grants = (uint64_t)query.max_nr_frames * GRANTS_PER_FRAME / 8 * 7;
	needed = pages + (pages - 1) / VTOE_XEN_REFS_PER_PAGE + 2;
	if (grants >= needed)
		return 0;
	snprintf(why, XENBUS_WHY_MAX, "a connection may have %u pages, but "
		 "domain %u may grant %llu to it: set max_grant_frames = %u in "
		 "its xl.cfg (or gnttab_max_frames for Xen), or lower "
		 "peer_memory",
		 pages, domid, (unsigned long long)grants,
		 (unsigned int)(2 * needed * 8 / 7 / GRANTS_PER_FRAME + 1));
	return -1;
}

static void store_close(struct xenbus_store *store)
{
	struct xen_store *s = store_of(store);

	xc_interface_close(s->xc);
	xs_close(s->xs);
	free(s);
}

/* What a supervisor that was killed has left of domains that are gone. */
static void store_sweep(struct xenbus_store *store)
{
	struct xs_handle *xs = store_of(store)->xs;
	char path[XENBUS_PATH_MAX];
	unsigned int count, i;
	uint32_t domid;
	char **ids;

	ids = xs_directory(xs, XBT_NULL, BACKENDS, &count);
	for (i = 0; ids && i < count; i++) {
		if (xenbus_parse_u32(ids[i], &domid) ||
		    store_exists(store, domid))
			continue;
		snprintf(path, sizeof(path), BACKENDS "/%u", domid);
		xs_rm(xs, XBT_NULL, path);
	}
	free(ids);
}

static const struct xenbus_ops store_ops = {
	.read = store_read,
	.write = store_write,
	.publish = store_publish,
	.watch = store_watch,
	.unwatch = store_unwatch,
	.next = store_next,
	.exists = store_exists,
	.find = store_find,
	.check_limits = store_check_limits,
	.close = store_close,
};

struct xenbus_store *xenbus_store_open(char *why)
{
	struct xen_store *s = calloc(1, sizeof(*s));
	const char *step = "memory";

	if (!s)
		goto fail;
	step = "reaching xenstored";
	s->xs = xs_open(0);
	if (!s->xs)
		goto free_store;
	/* Asked for before the first watch, so that no event is missed. */
	s->store.fd = xs_fileno(s->xs);
	step = "watching for domains";
	if (s->store.fd < 0 ||
	    !xs_watch(s->xs, "@introduceDomain", XENBUS_DOMAINS) ||
	    !xs_watch(s->xs, "@releaseDomain", XENBUS_DOMAINS))
		goto close_xs;
	step = "reaching the hypervisor";
	s->xc = xc_interface_open(NULL, NULL, 0);
	if (!s->xc)
		goto close_xs;
	s->store.ops = &store_ops;
	store_sweep(&s->store);
	return &s->store;
close_xs:
	xs_close(s->xs);
free_store:
	free(s);
fail:
	snprintf(why, XENBUS_WHY_MAX, "port xen: %s: %s: run vtoed as root in "
		 "domain 0, with xenstored running", step, strerror(errno));
	return NULL;
}
