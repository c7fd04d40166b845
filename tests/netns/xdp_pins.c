/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xdp_pins.c - claims that are left in a bpf file system, and taken over
 *
 * Frames of a claim stay away from the kernel while nobody has the steering
 * open, and while another takes it over, in native and in generic mode; then
 * the claim is his. What is stale is removed, and not taken over: a map of
 * another size, the link of an interface that is no more, and one of another
 * network namespace whose interface has the same number. Where nothing can be
 * left, steering works, and ends with who opened it.
 */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/netns/xdp_rig.h"

enum { CLAIMS = 16, WAIT_MS = 5000 };

static char directory[] = "/tmp/vtoe-pins.XXXXXX";

static const struct rig_flow claimed = { 4, IPPROTO_TCP, 1, 2, 80, 40000,
					 0, 0, false, 0, 0, false };
static const struct rig_flow mark = { 4, IPPROTO_UDP, 7, 7, 7, 7,
				      0, 0, false, 0, 0, false };

/* Of our own mount namespace: it goes with us. */
static void make_directory(void)
{
	if (unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    !mkdtemp(directory))
		rig_fail("a mount namespace: errno %d", errno);
	if (mount("bpf", directory, "bpf", 0, "mode=0700")) {
		rmdir(directory);
		printf("SKIP: machine: no bpf file system\n");
		exit(77);
	}
}

static void remove_directory(void)
{
	if (umount2(directory, MNT_DETACH) || rmdir(directory))
		rig_fail("%s: errno %d", directory, errno);
}

static bool is_left(const char *name)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return !stat(path, &st);
}

static void open_with(struct rig *r, bool generic, uint32_t claims,
		      const char *pins)
{
	const struct steer_config c = {
		.ifindex = (int)if_nametoindex("ours"),
		.claims_max = claims,
		.queues = 1,
		.frame_max = 2048 - 256,
		.generic = generic,
		.pins = pins,
	};

	rig_open(r, &c);
}

static void open_pinned(struct rig *r, bool generic, uint32_t claims,
			bool found)
{
	open_with(r, generic, claims, directory);
	if (r->steer.unpinned)
		rig_fail("not pinned: %s", strerror(-r->steer.unpinned));
	if (r->steer.found != found)
		rig_fail("claims were %sfound", found ? "not " : "");
	if (!is_left("claims") || !is_left("link"))
		rig_fail("nothing is left in %s", directory);
}

static void claim(struct rig *r, int expected)
{
	struct steer_claim c;
	int rc;

	rig_claim_of(&c, &claimed);
	rc = steer_claim(r->steer.claims, &c, 42);
	if (rc != expected)
		rig_fail("claim: %d, not %d", rc, expected);
}

static void check_note(struct rig *r)
{
	struct steer_claim c = { .vlan = 0 }, first;
	uint64_t note = 0;

	rig_claim_of(&first, &claimed);
	if (steer_next(r->steer.claims, &c, &note) || note != 42 ||
	    memcmp(&c, &first, sizeof(c)) ||
	    steer_next(r->steer.claims, &c, &note) != -ENOENT)
		rig_fail("it is not the claim that was left");
}

/* Does the kernel see a frame of the claim? */
static void expect_seen(struct rig *r, bool seen, const char *when)
{
	uint8_t frame[RIG_LONGEST], last[RIG_LONGEST], got[RIG_LONGEST];
	uint32_t length = rig_frame(frame, &claimed, 200), n;
	uint32_t last_length = rig_frame(last, &mark, 100);
	bool was = false;

	rig_send(r, frame, length);
	rig_send(r, last, last_length);
	for (;;) {
		n = rig_seen(r->tap, got, WAIT_MS);
		if (!n)
			rig_fail("%s: no mark", when);
		if (n == last_length && !memcmp(got, last, n))
			break;
		was |= n == length && !memcmp(got, frame, n);
	}
	if (was != seen)
		rig_fail("%s: the kernel has %sseen it", when,
			 was ? "" : "not ");
}

static void taken_over(struct rig *r, bool generic)
{
	rig_namespace(r);
	open_pinned(r, generic, CLAIMS, false);
	expect_seen(r, true, "before the claim");
	claim(r, 0);
	expect_seen(r, false, "claimed");
	steer_close(&r->steer);
	expect_seen(r, false, "while nobody runs");
	open_pinned(r, generic, CLAIMS, true);
	check_note(r);
	claim(r, -EEXIST);
	expect_seen(r, false, "taken over");
	steer_close(&r->steer);
	open_pinned(r, generic, CLAIMS, true);
	expect_seen(r, false, "taken over twice");
	steer_close(&r->steer);
}

/* The map of another size: claims end, the link is used again. */
static void another_size(struct rig *r)
{
	open_pinned(r, false, 2 * CLAIMS, false);
	expect_seen(r, true, "with another map");
	claim(r, 0);
	steer_close(&r->steer);
	expect_seen(r, false, "in the other map");
}

/* The claims are good for an interface that was made anew; so is the link not,
 * though its number is the same. */
static void another_interface(struct rig *r, bool generic, uint32_t claims)
{
	struct rig first = *r;

	rig_namespace(r); /* the first goes on in its own namespace */
	if ((int)if_nametoindex("ours") != first.ifindex)
		rig_fail("the second interface has another number");
	open_pinned(r, generic, claims, true);
	check_note(r);
	expect_seen(r, false, "on the second interface");
	expect_seen(&first, true, "on the first, without a program");
	steer_close(&r->steer);
	expect_seen(r, false, "on the second, while nobody runs");
	rig_close(&first);
	if (system("ip link del ours && ip link add ours type veth peer name "
		   "wire && ip link set ours up && ip link set wire up"))
		rig_fail("cannot make the interfaces anew");
	open_pinned(r, generic, claims, true);
	check_note(r);
	steer_close(&r->steer);
	rig_close(r);
}

static void nowhere_to_leave(struct rig *r)
{
	rig_namespace(r);
	open_with(r, false, CLAIMS, "/proc/vtoe");
	if (!r->steer.unpinned || r->steer.found)
		rig_fail("something was left in /proc");
	claim(r, 0);
	expect_seen(r, false, "without pins");
	steer_close(&r->steer);
	expect_seen(r, true, "without pins, when it is closed");
	rig_close(r);
}

int main(void)
{
	struct rig r, generic;

	if (geteuid()) {
		printf("SKIP: needs root for network namespaces\n");
		return 77;
	}
	make_directory();
	taken_over(&generic, true);
	another_interface(&generic, true, CLAIMS);
	remove_directory();

	memcpy(directory + sizeof(directory) - 7, "XXXXXX", 6);
	make_directory();
	taken_over(&r, false);
	another_size(&r);
	another_interface(&r, false, 2 * CLAIMS);
	nowhere_to_leave(&r);
	remove_directory();
	printf("PASS: claims are taken over, and what is stale is not\n");
	return 0;
}
