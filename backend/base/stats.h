/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stats.h - a worker's counters
 *
 * One worker writes them, in a memfd that the supervisor made and maps
 * read-only; so they outlive the worker, and reading them disturbs nobody.
 * Every counter is a 64-bit monotonic count (or gauge where it says so), with
 * no ordering between them. The X-macro keeps names, JSON and code the same.
 */
#ifndef VTOE_BASE_STATS_H
#define VTOE_BASE_STATS_H

#include <stdint.h>

#define VTOE_STATS(X)                                                         \
	X(turns, "turns of the worker's loop")                                \
	X(sleeps, "times the worker slept")                                   \
	X(doorbells, "wake-ups by a guest's doorbell")                        \
	X(notify, "notifications sent to guests")                             \
	X(requests, "requests taken from lanes")                              \
	X(completions, "completions posted to lanes")                         \
	X(peers, "connected applications (gauge)")                            \
	X(lanes, "open lanes (gauge)")                                        \
	X(streams, "open streams (gauge)")                                    \
	X(regions, "mapped regions (gauge)")                                  \
	X(region_bytes, "bytes of mapped regions (gauge)")                    \
	X(reg, "regions added")                                               \
	X(dereg, "regions removed")                                           \
	X(grant_maps, "calls that mapped grants (xen)")                       \
	X(grant_unmaps, "calls that unmapped grants (xen)")                   \
	X(connects, "connections made")                                       \
	X(accepts, "connections accepted")                                    \
	X(rx_bytes, "bytes received from the network")                        \
	X(tx_bytes, "bytes sent to the network")                              \
	X(rx_placed_bytes, "bytes received straight into posted buffers")     \
	X(rx_generic_bytes, "bytes received into generic buffers")            \
	X(rx_copied_bytes, "bytes the worker itself copied on receive")       \
	X(tx_zerocopy_bytes, "bytes sent with no copy")                       \
	X(tx_copied_bytes, "bytes the kernel copied on send")                 \
	X(rq_posts, "receive buffers posted")                                 \
	X(rq_completions, "receive buffers completed")                        \
	X(grq_completions, "generic buffers completed")                       \
	X(grq_starved, "times a stream waited for a generic buffer")          \
	X(cq_full, "times a lane's completion queue was full")                \
	X(errors, "requests completed with an error")                         \
	X(bad_key, "requests that named an unknown or foreign key")           \
	X(bad_range, "requests that named bytes outside their region")        \
	X(parked, "lanes and guests parked for a violation")                  \
	X(refused_peers, "connections refused (credentials, quota)")          \
	X(fallback_not_tcp, "guest sockets left to its kernel: not TCP")      \
	X(fallback_family, "... address family")                              \
	X(fallback_loopback, "... loopback address")                          \
	X(fallback_no_backend, "... no backend")                              \
	X(fallback_quota, "... quota")                                        \
	X(fallback_option, "... socket option")                               \
	X(fallback_policy, "... policy")                                      \
	X(fallback_inherited, "... inherited descriptor")                     \
	X(tto_claims, "claims of flows (gauge)")                              \
	X(tto_frames, "frames of claimed flows received")                     \
	X(tto_aggregates, "aggregates and single segments delivered")         \
	X(tto_held, "aggregates that waited for a buffer")                    \
	X(tto_dropped, "frames dropped: no buffer in time")                   \
	X(tto_unclaimed, "frames dropped: claimed no more, or no right TCP")  \
	X(tto_segments, "segments that guests sent")                          \
	X(tto_cut, "... that were longer than a frame")                       \
	X(tto_routed, "... along the kernel's route")                         \
	X(tto_stalled, "... that waited for room in the device's queue")      \
	X(tto_lost, "... that found no room")

#define VTOE_STATS_MAGIC 0x53564f54u
#define VTOE_STATS_BYTES 4096u

struct vtoe_stats {
	uint32_t magic;
	uint32_t reserved;
#define VTOE_STATS_FIELD(name, help) uint64_t name;
	VTOE_STATS(VTOE_STATS_FIELD)
#undef VTOE_STATS_FIELD
};

#endif
