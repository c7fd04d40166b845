/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xdp_steer.c - claimed flows reach the AF_XDP socket, the rest passes up
 *
 * On a veth pair, in native and in generic mode: bytes and order of claimed
 * flows; every field of a claim tells flows apart; what is not claimed, or not
 * any more, passes up bit for bit; what a socket cannot take is dropped and
 * counted, and never seen by the kernel; a socket that is gone, and its
 * successor; a caller that keeps all frames.
 *
 * Whether a frame came out at neither place is told by markers that are sent
 * behind it, not by waiting.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "tests/netns/xdp_rig.h"

enum {
	BURST = 32,
	BURSTS = 100,
	LONGEST = 1514,
	WAIT_MS = 5000,
	CLAIMS = 16,
};

enum outcome { SOCKET, UP, DROPPED };
static const char *const outcomes[] = { "the socket", "the kernel", "nobody" };

static const struct xsk_config sizes = {
	.frame_size = 2048, .receive = 64, .send = 4
};
static const struct rig_flow base = { 4, IPPROTO_TCP, 1, 2, 80, 40000,
				      0, 0, false, 0, 0, false };
static const struct rig_flow base6 = { 6, IPPROTO_TCP, 1, 2, 80, 40006,
				       0, 0, false, 0, 0, false };
/* One is always claimed, the other never. */
static const struct rig_flow mark_socket = { 4, IPPROTO_TCP, 7, 7, 7, 7,
					     0, 0, false, 0, 0, false };
static const struct rig_flow mark_up = { 4, IPPROTO_UDP, 7, 7, 7, 7,
					 0, 0, false, 0, 0, false };

static void claim(struct rig *r, const struct rig_flow *f, int expected)
{
	struct steer_claim c;
	int rc;

	rig_claim_of(&c, f);
	rc = steer_claim(r->steer.claims, &c, 1);
	if (rc != expected)
		rig_fail("claim: %d, not %d", rc, expected);
}

static void unclaim(struct rig *r, const struct rig_flow *f, int expected)
{
	struct steer_claim c;
	int rc;

	rig_claim_of(&c, f);
	rc = steer_unclaim(r->steer.claims, &c);
	if (rc != expected)
		rig_fail("unclaim: %d, not %d", rc, expected);
}

static void claim_port(struct rig *r, uint16_t port, uint16_t vlan)
{
	struct steer_claim c = { .local_port = htons(port),
				 .vlan = htons(vlan) };
	int rc;

	for (c.family = 4; c.family <= 6; c.family += 2) {
		rc = steer_claim(r->steer.claims, &c, 1);
		if (rc)
			rig_fail("claim of port %u: %d", port, rc);
	}
}

static void unclaim_port(struct rig *r, uint16_t port, uint16_t vlan)
{
	struct steer_claim c = { .local_port = htons(port),
				 .vlan = htons(vlan) };
	int rc;

	for (c.family = 4; c.family <= 6; c.family += 2) {
		rc = steer_unclaim(r->steer.claims, &c);
		if (rc)
			rig_fail("unclaim of port %u: %d", port, rc);
	}
}

/* -- where one frame comes out --------------------------------------------- */

struct sent {
	uint8_t frame[RIG_LONGEST];
	uint32_t length;
	bool tagged; /* the kernel takes the tag off before the tap */
};

static bool is_sent(const struct sent *s, const uint8_t *got, uint32_t n,
		    bool untagged)
{
	uint32_t cut = untagged && s->tagged ? 4 : 0;

	return n == s->length - cut && !memcmp(got, s->frame, 12) &&
	       !memcmp(got + 12, s->frame + 12 + cut, n - 12);
}

static unsigned until_mark(struct rig *r, const struct sent *s, bool up)
{
	const struct rig_flow *f = up ? &mark_up : &mark_socket;
	uint8_t got[RIG_LONGEST];
	struct sent mark = { 0 };
	unsigned found = 0;
	uint32_t n;

	mark.length = rig_frame(mark.frame, f, 100);
	rig_send(r, mark.frame, mark.length);
	for (;;) {
		n = up ? rig_seen(r->tap, got, WAIT_MS) :
			 rig_receive(r, got, WAIT_MS);
		if (!n)
			rig_fail("no mark at %s", outcomes[up]);
		if (is_sent(&mark, got, n, up))
			return found;
		if (!is_sent(s, got, n, up))
			rig_fail("%u other bytes at %s", n, outcomes[up]);
		found++;
	}
}

static void expect(struct rig *r, const char *what, const struct rig_flow *f,
		   uint32_t length, enum outcome where)
{
	unsigned at_socket = 0, at_tap;
	struct sent s = { .tagged = f->vlan };

	s.length = rig_frame(s.frame, f, length);
	rig_send(r, s.frame, s.length);
	if (r->socket)
		at_socket = until_mark(r, &s, false);
	at_tap = until_mark(r, &s, true);
	if (at_socket != (where == SOCKET) || at_tap != (where == UP))
		rig_fail("%s: %u at the socket, %u at the kernel, not at %s",
			 what, at_socket, at_tap, outcomes[where]);
}

static void expect_counted(struct rig *r, const char *what,
			   const struct rig_flow *f, uint32_t length,
			   enum steer_counter which)
{
	uint64_t before = steer_count(&r->steer, which);

	expect(r, what, f, length, DROPPED);
	if (steer_count(&r->steer, which) != before + 1)
		rig_fail("%s: not counted", what);
}

/* -- the cases ------------------------------------------------------------- */

/* Bursts of all lengths, then all of it back, in order. */
static void exact(struct rig *r, const struct rig_flow *f)
{
	static uint8_t frames[BURST][LONGEST];
	uint8_t got[RIG_LONGEST];
	uint32_t lengths[BURST], n;
	unsigned i, k;

	for (k = 0; k < BURSTS; k++) {
		for (i = 0; i < BURST; i++) {
			lengths[i] = 80 + (uint32_t)(rig_random() %
						     (LONGEST - 79));
			rig_frame(frames[i], f, lengths[i]);
			rig_send(r, frames[i], lengths[i]);
		}
		for (i = 0; i < BURST; i++) {
			n = rig_receive(r, got, WAIT_MS);
			if (n != lengths[i] || memcmp(got, frames[i], n))
				rig_fail("frame %u of burst %u: %u bytes of %u",
					 i, k, n, lengths[i]);
		}
	}
	expect(r, "the last", f, 200, SOCKET);
}

static void each_field(struct rig *r, const struct rig_flow *claimed)
{
	struct rig_flow f = *claimed;

	expect(r, "claimed", &f, 60 + (f.version == 6) * 20, SOCKET);
	f.local++;
	expect(r, "another local address", &f, 100, UP);
	f = *claimed;
	f.remote++;
	expect(r, "another remote address", &f, 100, UP);
	f = *claimed;
	f.local_port++;
	expect(r, "another local port", &f, 100, UP);
	f = *claimed;
	f.remote_port++;
	expect(r, "another remote port", &f, 100, UP);
	f = *claimed;
	f.protocol = IPPROTO_UDP;
	expect(r, "UDP", &f, 100, UP);
	f = *claimed;
	f.version = f.version == 4 ? 6 : 4;
	expect(r, "the other family", &f, 100, UP);
	f.version = 0;
	expect(r, "ARP", &f, 60, UP);
}

static void tags(struct rig *r)
{
	struct rig_flow f = base;

	f.vlan = 5;
	expect(r, "tagged, claimed without a tag", &f, 100, UP);
	claim(r, &f, 0);
	expect(r, "VLAN 5, claimed", &f, 1518, SOCKET);
	expect(r, "untagged, claimed too", &base, 100, SOCKET);
	f.vlan2 = 5;
	expect(r, "two tags", &f, 100, UP);
	f.vlan2 = 0;
	f.vlan = 6;
	expect(r, "VLAN 6", &f, 100, UP);
	f.vlan = 5;
	unclaim(r, &f, 0);
	expect(r, "VLAN 5, unclaimed", &f, 100, UP);
	claim_port(r, 80, 6);
	f.vlan = 6;
	expect(r, "a port on VLAN 6", &f, 100, SOCKET);
	unclaim_port(r, 80, 6);
}

static void refused(struct rig *r, const struct rig_flow *claimed)
{
	struct rig_flow f = *claimed;
	uint64_t before;

	f.fragment = true;
	expect_counted(r, "the first fragment", &f, 200, STEER_FRAGMENT);
	f.offset = 21;
	expect(r, "a fragment in the middle", &f, 200, UP);
	f.fragment = false;
	expect(r, "the last fragment", &f, 200, UP);
	f = *claimed;
	f.fragment = true;
	f.local_port++;
	before = steer_count(&r->steer, STEER_FRAGMENT);
	expect(r, "the first fragment of another flow", &f, 200, UP);
	if (steer_count(&r->steer, STEER_FRAGMENT) != before)
		rig_fail("a fragment of another flow is counted");

	expect(r, "as long as a buffer", claimed, 2048 - 256, SOCKET);
	expect_counted(r, "longer than a buffer", claimed, 2048 - 255,
		       STEER_LONG);
	expect_counted(r, "jumbo", claimed, 3000, STEER_LONG);
	f = *claimed;
	f.remote_port++;
	expect(r, "jumbo of another flow", &f, 3000, UP);
	if (claimed->version == 6) {
		f = *claimed;
		f.extension = true;
		expect(r, "an extension header", &f, 100, UP);
	} else {
		f = *claimed;
		f.options = 10;
		expect(r, "IPv4 options", &f, 120, SOCKET);
	}
}

static void ports(struct rig *r)
{
	struct rig_flow f = base;
	unsigned i;

	f.local_port = 8080;
	expect(r, "no port claimed", &f, 100, UP);
	claim_port(r, 8080, 0);
	for (i = 0; i < 8; i++) {
		f.version = i % 2 ? 6 : 4;
		f.local = (uint8_t)(10 + i);
		f.remote = (uint8_t)(20 + i);
		f.remote_port = (uint16_t)(1000 + i);
		expect(r, "a claimed port", &f, 100 + i, SOCKET);
	}
	f.remote_port = f.local_port;
	f.local_port = 1000;
	expect(r, "as the remote port", &f, 100, UP);
	f.local_port = 8080;
	unclaim_port(r, 8080, 0);
	expect(r, "a port unclaimed", &f, 100, UP);
}

static void control(struct rig *r)
{
	struct rig_flow f = base;
	int i;

	claim(r, &base, -EEXIST);
	unclaim(r, &base, 0);
	expect(r, "unclaimed", &base, 100, UP);
	unclaim(r, &base, -ENOENT);
	claim(r, &base, 0);
	expect(r, "claimed again", &base, 100, SOCKET);
	/* two for the flows of both families, one for the mark */
	for (i = 0; i < CLAIMS - 3; i++) {
		f.local_port = (uint16_t)(2000 + i);
		claim(r, &f, 0);
	}
	f.local_port++;
	claim(r, &f, -E2BIG);
	for (i = 0; i < CLAIMS - 3; i++) {
		f.local_port = (uint16_t)(2000 + i);
		unclaim(r, &f, 0);
	}
}

/* A caller that keeps every frame: no overwriting, and no more than there are;
 * all that it releases is used again. */
static void kept(struct rig *r)
{
	struct xsk_frame f[256];
	uint8_t frame[256];
	unsigned n = 0, i, k;

	for (i = 0; i < 200; i++) {
		rig_frame(frame, &base, 100);
		memset(frame + 60, (int)i, 40);
		rig_send(r, frame, 100);
	}
	expect(r, "while nothing is taken", &mark_up, 100, UP);
	while ((k = xsk_receive(&r->xsk, f + n, 256 - n)) > 0)
		n += k;
	if (n != sizes.receive)
		rig_fail("%u frames kept, of %u", n, sizes.receive);
	for (i = 0; i < n; i++)
		if (f[i].data[60] != i || f[i].data[99] != i)
			rig_fail("frame %u was written over", i);
	for (i = 0; i < n; i++)
		xsk_release(&r->xsk, f[i].ref);
	xsk_kernel_stats(&r->xsk);
	if (!(r->xsk.stats.fill_empty + r->xsk.stats.ring_full +
	      r->xsk.stats.dropped))
		rig_fail("nothing is counted as lost");
}

static void successor(struct rig *r)
{
	rig_socket_close(r);
	expect(r, "claimed, no socket", &base, 100, DROPPED);
	expect(r, "not claimed, no socket", &mark_up, 100, UP);
	rig_socket(r, &sizes, 50);
	expect(r, "claimed, the next socket", &base, 100, SOCKET);
}

/* The socket is idle when `kept` begins: it looks at the tap alone. */
static void kept_with_new_socket(struct rig *r)
{
	bool socket = r->socket;

	/* refills everything, and nothing is under way */
	expect(r, "before", &base, 100, SOCKET);
	(void)xsk_receive(&r->xsk, &(struct xsk_frame){ 0 }, 1);
	r->socket = false;
	kept(r);
	r->socket = socket;
	(void)xsk_receive(&r->xsk, &(struct xsk_frame){ 0 }, 1);
	exact(r, &base);
}

static void in_mode(bool generic)
{
	struct rig r;

	rig_namespace(&r);
	rig_steer(&r, generic, CLAIMS);
	rig_socket(&r, &sizes, 0);
	claim(&r, &mark_socket, 0);
	expect(&r, "nothing claimed", &base, 100, UP);
	claim(&r, &base, 0);
	claim(&r, &base6, 0);
	exact(&r, &base);
	exact(&r, &base6);
	each_field(&r, &base);
	each_field(&r, &mark_socket);
	tags(&r);
	refused(&r, &base);
	refused(&r, &base6);
	ports(&r);
	control(&r);
	kept_with_new_socket(&r);
	successor(&r);
	rig_socket_close(&r);
	steer_close(&r.steer);
	expect(&r, "no program any more", &base, 100, UP);
	rig_close(&r);
	printf("  %s mode\n", generic ? "generic" : "native");
}

int main(void)
{
	in_mode(false);
	in_mode(true);
	printf("PASS: claimed flows reach the socket, the rest passes up\n");
	return 0;
}
