/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shortcut.h - frames from a bridge's port to guests, past the bridge
 *
 * An XDP program on the port (a NIC) hands TCP for a guest's MAC to the other end
 * of its veth, before the kernel has made an skb of it. What the kernel would do
 * with such a frame otherwise costs more than what TTO does: it merges frames
 * (GRO), takes the result through the bridge, and cuts it into frames again,
 * because there is an XDP program at its end.
 *
 * All else passes as if there were no program: other protocols, tags, MACs that
 * are not known. So does, now and then, a frame of each sender, so that the bridge
 * still learns where senders are, and does not send to all its ports what is for
 * them. What the bridge would forbid (its filters, VLANs, a port that STP blocks)
 * is not asked for: whoever needs that does without.
 *
 * In native mode only: in generic mode nothing would be gained. The receiving end
 * must have an XDP program in native mode too, else the kernel drops the frames.
 * Needs CAP_BPF and CAP_NET_ADMIN. Ends when the link is closed. Functions return
 * 0, or -errno. One thread.
 */
#ifndef VTOE_NIC_SHORTCUT_H
#define VTOE_NIC_SHORTCUT_H

#include <stdint.h>

enum {
	SHORTCUT_GUESTS = 1024,	 /* on one port */
	SHORTCUT_SENDERS = 4096, /* remembered, those of late */
	/* A bridge forgets after 300 s. Not often: what passes is overtaken by
	 * what is behind it. */
	SHORTCUT_LEARN_S = 100,
};

struct shortcut {
	int guests; /* MAC -> interface */
	int senders; /* MAC -> when a frame of it passed */
	int program;
	int link;
};

/* -EBUSY: another XDP program is there. */
int shortcut_open(struct shortcut *s, int ifindex);
void shortcut_close(struct shortcut *s);
/* ifindex: our end of the guest's veth. */
int shortcut_add(const struct shortcut *s, const uint8_t mac[6],
		 uint32_t ifindex);
int shortcut_remove(const struct shortcut *s, const uint8_t mac[6]);

#endif
