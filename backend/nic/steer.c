/* SPDX-License-Identifier: BSD-2-Clause */
#include "nic/steer.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "nic/steer_pin.h"
#include "nic/steer_program.h"

/* Linux 5.18's, and in its headers since. */
static const uint32_t with_fragments = BPF_F_XDP_HAS_FRAGS;

static size_t counters_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static int open_counters(struct steer *s, int *fd)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	void *at;

	*fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "vtoe_counters", 4,
			     STEER_COUNTERS * sizeof(uint64_t), 1, &opts);
	if (*fd < 0)
		return -errno;
	at = mmap(NULL, counters_bytes(), PROT_READ, MAP_SHARED, *fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	s->counters = at;
	return 0;
}

static int open_maps(struct steer *s, const struct steer_config *c)
{
	if (c->pins)
		s->claims = steer_pin_find_claims(c->pins, c->claims_max);
	s->found = s->claims >= 0;
	if (!s->found)
		s->claims = bpf_map_create(BPF_MAP_TYPE_HASH, STEER_PIN_CLAIMS,
					   sizeof(struct steer_claim),
					   sizeof(uint64_t), c->claims_max,
					   NULL);
	if (s->claims < 0)
		return -errno;
	s->sockets = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "vtoe_sockets", 4, 4,
				    c->queues, NULL);
	return s->sockets < 0 ? -errno : 0;
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int load_program(struct steer *s, const struct steer_config *c,
			int counters, uint32_t flags)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = flags);
	struct bpf_code p;
	int rc;

	rc = steer_program_make(&p, s->claims, s->sockets, counters,
				c->frame_max);
	if (rc)
		return rc;
	s->program = bpf_prog_load(BPF_PROG_TYPE_XDP, "vtoe_steer",
				   "Dual BSD/GPL", p.insn, p.count, &opts);
	return s->program < 0 ? -errno : 0;
}

/* Puts the program on the interface: in place of the one of `link`, or with a
 * link of its own. */
static int attach(struct steer *s, const struct steer_config *c, int counters,
		  uint32_t load_flags, uint32_t attach_flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = attach_flags);
	int rc;

	rc = load_program(s, c, counters, load_flags);
	if (rc)
		return rc;
	if (s->link >= 0)
		rc = bpf_link_update(s->link, s->program, NULL) ? -errno : 0;
	else
		s->link = bpf_link_create(s->program, c->ifindex, BPF_XDP,
					  &opts);
	if (s->link < 0)
		rc = -errno;
	if (rc)
		close_one(&s->program);
	else
		s->native = attach_flags == XDP_FLAGS_DRV_MODE;
	return rc;
}

/*
 * The best that the driver does. A program that says that it bears frames in
 * several pieces can be on an interface with a large MTU; some drivers know
 * no such programs. The error is that of generic mode, which every interface
 * has.
 */
static int attach_best(struct steer *s, const struct steer_config *c,
		       int counters)
{
	if (!c->generic &&
	    (!attach(s, c, counters, with_fragments, XDP_FLAGS_DRV_MODE) ||
	     !attach(s, c, counters, 0, XDP_FLAGS_DRV_MODE)))
		return 0;
	return attach(s, c, counters, with_fragments, XDP_FLAGS_SKB_MODE);
}

/* The program that an earlier one left on the interface is replaced. */
static int take_over(struct steer *s, const struct steer_config *c,
		     int counters)
{
	uint32_t mode = 0;

	s->link = steer_pin_find_link(c->pins, c->ifindex, &mode);
	if (s->link < 0)
		return -ENOENT;
	if (!attach(s, c, counters, with_fragments, mode) ||
	    !attach(s, c, counters, 0, mode))
		return 0;
	/* the interface has changed, or what we ask of it */
	(void)bpf_link_detach(s->link);
	steer_pin_remove_link(c->pins);
	close_one(&s->link);
	return -ENOENT;
}

/* What was found there is there. */
static int leave_pins(const struct steer *s, const char *pins, bool taken_over)
{
	int rc = s->found ? 0 : steer_pin_claims(pins, s->claims);

	if (!rc && !taken_over)
		rc = steer_pin_link(pins, s->link);
	if (rc)
		steer_pin_remove(pins);
	return rc;
}

int steer_open(struct steer *s, const struct steer_config *c)
{
	bool taken_over = false;
	int counters = -1, rc;

	*s = (struct steer){ .claims = -1, .sockets = -1, .program = -1,
			     .link = -1 };
	rc = open_maps(s, c);
	if (!rc)
		rc = open_counters(s, &counters);
	if (!rc && c->pins)
		taken_over = !take_over(s, c, counters);
	if (!rc && !taken_over)
		rc = attach_best(s, c, counters);
	if (counters >= 0) /* the program and the mapping have it */
		close(counters);
	if (rc)
		steer_close(s);
	else if (c->pins)
		s->unpinned = leave_pins(s, c->pins, taken_over);
	return rc;
}

void steer_close(struct steer *s)
{
	close_one(&s->link);
	close_one(&s->program);
	close_one(&s->sockets);
	close_one(&s->claims);
	if (s->counters)
		munmap((void *)(uintptr_t)s->counters, counters_bytes());
	s->counters = NULL;
}

void steer_end(struct steer *s)
{
	if (s->link >= 0)
		(void)bpf_link_detach(s->link);
	steer_close(s);
}

int steer_claim(int claims, const struct steer_claim *c, uint64_t note)
{
	return bpf_map_update_elem(claims, c, &note, BPF_NOEXIST) ? -errno : 0;
}

int steer_unclaim(int claims, const struct steer_claim *c)
{
	return bpf_map_delete_elem(claims, c) ? -errno : 0;
}

int steer_next(int claims, struct steer_claim *c, uint64_t *note)
{
	static const struct steer_claim none;
	bool first = !memcmp(c, &none, sizeof(none));

	if (bpf_map_get_next_key(claims, first ? NULL : c, c))
		return -errno;
	return bpf_map_lookup_elem(claims, c, note) ? -errno : 0;
}

int steer_queue(int sockets, uint32_t queue, int socket)
{
	return bpf_map_update_elem(sockets, &queue, &socket, 0) ? -errno : 0;
}
