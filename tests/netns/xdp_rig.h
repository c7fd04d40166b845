/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xdp_rig.h - a veth pair, with an AF_XDP socket and a tap at its end
 *
 * In a network namespace of the test's own: frames are put on `wire`; at `ours`
 * the XDP program decides. The tap, a packet socket on `ours`, sees what passes
 * up, for it is behind the program.
 */
#ifndef VTOE_TESTS_XDP_RIG_H
#define VTOE_TESTS_XDP_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "nic/steer.h"
#include "nic/xsk.h"

enum { RIG_LONGEST = 9216 };

struct rig {
	int ifindex;
	int wire; /* packet sockets: on the other end, */
	int tap;  /* and to see what passes up */
	struct steer steer;
	struct xsk xsk;
	void *memory;
	bool socket;
};

struct rig_flow { /* the kinds of frame that there are */
	uint8_t version; /* 4, 6; 0: no IP at all */
	uint8_t protocol;
	uint8_t local, remote; /* last bytes of addresses */
	uint16_t local_port, remote_port;
	uint16_t vlan;	 /* 0: no tag */
	uint16_t vlan2;	 /* a second tag inside */
	bool fragment;	 /* there are more */
	uint16_t offset; /* of a fragment, in 8 bytes */
	uint8_t options; /* words of IPv4 options */
	bool extension;	 /* IPv6: destination options */
};

__attribute__((noreturn, format(printf, 1, 2))) void rig_fail(const char *why,
							      ...);

/* Skips where there is no root, or a kernel without XDP or AF_XDP. */
void rig_namespace(struct rig *r);
void rig_open(struct rig *r, const struct steer_config *c);
void rig_steer(struct rig *r, bool generic, uint32_t claims_max);
void rig_steer_queues(struct rig *r, uint32_t queues);
void rig_socket(struct rig *r, const struct xsk_config *sizes, unsigned busy);
void rig_socket_close(struct rig *r);
void rig_close(struct rig *r);

void rig_claim_of(struct steer_claim *c, const struct rig_flow *f);
/* -> its length; the payload is random */
uint32_t rig_frame(uint8_t *frame, const struct rig_flow *f, uint32_t length);
void rig_send(struct rig *r, const uint8_t *frame, uint32_t length);
/* The next frame at the socket; at the wire or the tap; 0: none within `ms`. */
uint32_t rig_receive(struct rig *r, uint8_t *frame, int ms);
uint32_t rig_seen(int packet, uint8_t *frame, int ms);
uint64_t rig_random(void);

#endif
